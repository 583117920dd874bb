// The inverse of the error function: one number at a time, and the table that vectors are computed from.

#ifndef CTK_ERFINV_H
#define CTK_ERFINV_H

#include <stdint.h>

/// The nearest float to erfinv(x).
float ctk_erfinv(float x);

enum {
    CTK_ERFINV_STEP_BITS = 8,
    /// Rows for each power of two of u = 1 − |x|.
    CTK_ERFINV_STEPS = 1 << CTK_ERFINV_STEP_BITS,
    /// Powers of two from the least u to 1.
    CTK_ERFINV_OCTAVES = 14,
    /// Bits of the least u, and the bits of u that do not select a row.
    CTK_ERFINV_LEAST = (127 - CTK_ERFINV_OCTAVES) << 23,
    CTK_ERFINV_REST = (1 << (23 - CTK_ERFINV_STEP_BITS)) - 1,
    /// One row at each end gives NaN: for smaller u, and for u that rounds to 1.
    CTK_ERFINV_ROWS = CTK_ERFINV_OCTAVES * CTK_ERFINV_STEPS + 2,
};

/// erfinv(x) / x for a range of |x|, as `high` and a cubic polynomial of t, which is |x| less the range's greatest.
///
/// The polynomial's highest coefficient is the float whose bits are `packed`. Its constant has the bits 0xb8000000 and
/// the lower 16 of `packed`: −2^-15 − (packed mod 2^16) · 2^-38. The constant keeps the polynomial away from 0, so that
/// its error is a relative one.
typedef struct {
    float high, first, second;
    uint32_t packed;
} __attribute__((aligned(16))) ctk_erfinv_row;

/// The rows in the order of u. Written only by `ctk_erfinv_prepare`.
extern ctk_erfinv_row ctk_erfinv_rows[CTK_ERFINV_ROWS];

/// Makes the table if that has not been done.
void ctk_erfinv_prepare(void);

#endif
