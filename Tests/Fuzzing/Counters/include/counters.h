// Counts the cost of an input in units that are the same on every machine: comparisons in the program's own code,
// look-ups in Unicode's tables by Swift's library, and bytes of memory held.
#pragma once

#include <stdint.h>

typedef struct {
    /// Comparisons that branch or value coverage reports: each round of a loop makes at least one.
    uint64_t steps;
    /// Look-ups in the tables of normalisation, case and characters' borders; comparing `String`s makes some for each
    /// scalar that is not ASCII.
    uint64_t unicode_lookups;
    int64_t held_bytes;
    /// The largest of `held_bytes` since the counters were reset.
    int64_t peak_bytes;
} fuzz_counters;

/// 0 if the program was linked without the wrappers, so that nothing is counted.
int fuzz_counters_active(void);

/// Sets all counters to 0; memory that is already held is not counted.
void fuzz_counters_reset(void);

fuzz_counters fuzz_counters_read(void);
