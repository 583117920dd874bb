#ifndef CFUSEDMULTIPLYADD_H
#define CFUSEDMULTIPLYADD_H

#include <math.h>
#include <stdint.h>

/// a·b + c rounded once, for vectors of 16 bytes on a processor that has no such instruction. Exact for all numbers.
///
/// The including file must have contraction off.

typedef float cfma_f32x4 __attribute__((ext_vector_type(4)));
typedef double cfma_f64x2 __attribute__((ext_vector_type(2)));
typedef float cfma_f32x2 __attribute__((ext_vector_type(2)));
typedef int32_t cfma_i32x4 __attribute__((ext_vector_type(4)));
typedef uint32_t cfma_u32x4 __attribute__((ext_vector_type(4)));
typedef int64_t cfma_i64x2 __attribute__((ext_vector_type(2)));

#define CFMA_INLINE static inline __attribute__((always_inline))

/// a + b without its rounding error, which goes to `error` (Knuth's two-sum).
CFMA_INLINE cfma_f64x2 cfma_sum(cfma_f64x2 a, cfma_f64x2 b, cfma_f64x2 *error) {
    cfma_f64x2 sum = a + b;
    cfma_f64x2 part = sum - a;
    *error = (a - (sum - part)) + (b - part);
    return sum;
}

/// a + b rounded to odd: rounding the result again, to a precision of at least two bits less, gives the same number as
/// rounding once.
///
/// If the sum has an error and an even last bit, the result is its odd neighbour on the error's side (Boldo and
/// Melquiond, IEEE Trans. Computers 57, 2008).
CFMA_INLINE cfma_f64x2 cfma_sum_to_odd(cfma_f64x2 a, cfma_f64x2 b) {
    cfma_f64x2 error, sum = cfma_sum(a, b, &error);
    // Ordered comparisons: a sum that is infinite or NaN has NaN as its error and stays as it is.
    cfma_i64x2 inexact = (error > 0) | (error < 0);
    cfma_i64x2 bits = (cfma_i64x2)sum;
    cfma_i64x2 inward = ((cfma_i64x2)error ^ bits) >> 63;
    cfma_i64x2 odd = bits + (inward | 1);
    cfma_i64x2 change = inexact & ((bits & 1) - 1);
    return (cfma_f64x2)((odd & change) | (bits & ~change));
}

CFMA_INLINE cfma_f32x4 cfma_fma_f32(cfma_f32x4 a, cfma_f32x4 b, cfma_f32x4 c) {
    cfma_f64x2 a_low = __builtin_convertvector(a.lo, cfma_f64x2), a_high = __builtin_convertvector(a.hi, cfma_f64x2);
    cfma_f64x2 b_low = __builtin_convertvector(b.lo, cfma_f64x2), b_high = __builtin_convertvector(b.hi, cfma_f64x2);
    cfma_f64x2 c_low = __builtin_convertvector(c.lo, cfma_f64x2), c_high = __builtin_convertvector(c.hi, cfma_f64x2);
    // The products are exact.
    cfma_f64x2 low = a_low * b_low + c_low, high = a_high * b_high + c_high;
    // Rounding twice differs from rounding once only if the double lies midway between two floats. Subnormal floats
    // have their midpoints elsewhere.
    cfma_u32x4 lower_words = __builtin_shufflevector((cfma_u32x4)low, (cfma_u32x4)high, 0, 2, 4, 6);
    cfma_u32x4 upper_words = __builtin_shufflevector((cfma_u32x4)low, (cfma_u32x4)high, 1, 3, 5, 7);
    cfma_i32x4 midway = (lower_words & 0x1fffffff) == 0x10000000;
    cfma_i32x4 subnormal = (cfma_i32x4)(upper_words & 0x7fffffff) < 0x38200000;
    if (__builtin_expect(__builtin_reduce_or(midway | subnormal) != 0, 0)) {
        low = cfma_sum_to_odd(a_low * b_low, c_low);
        high = cfma_sum_to_odd(a_high * b_high, c_high);
    }
    cfma_f32x4 result;
    result.lo = __builtin_convertvector(low, cfma_f32x2);
    result.hi = __builtin_convertvector(high, cfma_f32x2);
    return result;
}

/// The halves of a product's factor, of 26 bits each (Veltkamp's splitting).
CFMA_INLINE cfma_f64x2 cfma_split(cfma_f64x2 a, cfma_f64x2 *low) {
    cfma_f64x2 scaled = a * 0x1.0000002p27;
    cfma_f64x2 high = scaled - (scaled - a);
    *low = a - high;
    return high;
}

CFMA_INLINE cfma_f64x2 cfma_magnitude(cfma_f64x2 a) { return (cfma_f64x2)((cfma_i64x2)a & INT64_MAX); }

CFMA_INLINE cfma_f64x2 cfma_fma_f64(cfma_f64x2 a, cfma_f64x2 b, cfma_f64x2 c) {
    cfma_f64x2 product = a * b;
    // Computes the product's error (Dekker), then adds three numbers and rounds the sum of their errors to odd (Boldo
    // and Melquiond).
    cfma_f64x2 a_low, b_low, a_high = cfma_split(a, &a_low), b_high = cfma_split(b, &b_low);
    cfma_f64x2 error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    cfma_f64x2 low_error, high_error;
    cfma_f64x2 low = cfma_sum(c, error, &low_error);
    cfma_f64x2 high = cfma_sum(product, low, &high_error);
    cfma_f64x2 result = high + cfma_sum_to_odd(low_error, high_error);
    // A product with 0 is exact. Nothing overflows or underflows on the way if all are far from the ends of the range.
    cfma_i64x2 zero = (a == 0) | (b == 0);
    cfma_f64x2 product_size = cfma_magnitude(product), c_size = cfma_magnitude(c);
    cfma_i64x2 usual = (product_size > 0x1p-800) & (product_size < 0x1p800) & (cfma_magnitude(a) < 0x1p900)
        & (cfma_magnitude(b) < 0x1p900) & (((c_size > 0x1p-800) & (c_size < 0x1p800)) | (c == 0));
    result = zero ? product + c : result;
    if (__builtin_expect(__builtin_reduce_and(zero | usual) == 0, 0))
        for (int i = 0; i < 2; i++) result[i] = fma(a[i], b[i], c[i]);
    return result;
}

#undef CFMA_INLINE

#endif
