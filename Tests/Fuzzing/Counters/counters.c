#include "counters.h"

#include <malloc.h>
#include <stddef.h>

// The linker's --wrap=NAME sends calls of NAME to __wrap_NAME. Each thread counts its own work, so the counters need no
// atomics. This file is compiled without coverage, because it would count itself.
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

static _Thread_local fuzz_counters counters;

#ifdef COUNTING

int fuzz_counters_active(void) { return 1; }

// Maximum number of comparisons reported to the fuzzer for an input: more teach it little, and a report takes longer
// than a comparison.
static const uint64_t heard = 1 << 14;

#define COMPARISON(NAME, TYPE)                                                                                         \
    void __real_##NAME(TYPE left, TYPE right);                                                                         \
    void __wrap_##NAME(TYPE left, TYPE right) {                                                                        \
        if (counters.steps++ > heard) return;                                                                          \
        /* A tail call keeps the caller's address, by which the fuzzer identifies the comparison. */                   \
        __attribute__((musttail)) return __real_##NAME(left, right);                                                   \
    }

COMPARISON(__sanitizer_cov_trace_cmp1, uint8_t)
COMPARISON(__sanitizer_cov_trace_cmp2, uint16_t)
COMPARISON(__sanitizer_cov_trace_cmp4, uint32_t)
COMPARISON(__sanitizer_cov_trace_cmp8, uint64_t)
COMPARISON(__sanitizer_cov_trace_const_cmp1, uint8_t)
COMPARISON(__sanitizer_cov_trace_const_cmp2, uint16_t)
COMPARISON(__sanitizer_cov_trace_const_cmp4, uint32_t)
COMPARISON(__sanitizer_cov_trace_const_cmp8, uint64_t)

void __real___sanitizer_cov_trace_switch(uint64_t value, void *cases);
void __wrap___sanitizer_cov_trace_switch(uint64_t value, void *cases) {
    if (counters.steps++ > heard) return;
    __attribute__((musttail)) return __real___sanitizer_cov_trace_switch(value, cases);
}

#define LOOK_UP(NAME, RESULT, PARAMETERS, ARGUMENTS)                                                                   \
    RESULT __real_##NAME PARAMETERS;                                                                                   \
    RESULT __wrap_##NAME PARAMETERS {                                                                                  \
        counters.unicode_lookups++;                                                                                    \
        return __real_##NAME ARGUMENTS;                                                                                \
    }

LOOK_UP(_swift_stdlib_getNormData, uint16_t, (uint32_t scalar), (scalar))
LOOK_UP(_swift_stdlib_getGraphemeBreakProperty, uint8_t, (uint32_t scalar), (scalar))
LOOK_UP(_swift_stdlib_getMapping, int32_t, (uint32_t scalar, uint8_t mapping), (scalar, mapping))
LOOK_UP(_swift_stdlib_getSpecialMapping, const uint8_t *, (uint32_t scalar, uint8_t mapping, ptrdiff_t *length),
        (scalar, mapping, length))

static void *taken(void *memory) {
    if (memory != NULL) {
        counters.held_bytes += (int64_t)malloc_usable_size(memory);
        if (counters.held_bytes > counters.peak_bytes) counters.peak_bytes = counters.held_bytes;
    }
    return memory;
}

static void given_back(void *memory) {
    if (memory != NULL) counters.held_bytes -= (int64_t)malloc_usable_size(memory);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size) { return taken(__real_malloc(size)); }

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) { return taken(__real_calloc(count, size)); }

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size) {
    given_back(memory);
    return taken(__real_realloc(memory, size));
}

void __real_free(void *memory);
void __wrap_free(void *memory) {
    given_back(memory);
    __real_free(memory);
}

int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    int result = __real_posix_memalign(memory, alignment, size);
    if (result == 0) taken(*memory);
    return result;
}

#else

int fuzz_counters_active(void) { return 0; }

#endif

void fuzz_counters_reset(void) { counters = (fuzz_counters){0}; }

fuzz_counters fuzz_counters_read(void) { return counters; }

#pragma clang attribute pop
