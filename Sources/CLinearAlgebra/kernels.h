// Both precisions for one instruction set: avx512.c, avx2.c and portable.c set the target, define the macros below and
// include this file. Everything is static: no code of one instruction set can be linked in place of another's.
//
//   CLA_TABLE          name of the table to define      CLA_NAME   its name as a string
//   CLA_VECTOR_BYTES   bytes of a vector                TILE       rows of a tile, at most CLA_MOST_TILE_ROWS
//   WIDE               slabs of a tile: 1 or 2          CLA_UNIT   multiply-adds of a millisecond or two
//   CLA_FMA            1 if the target fuses a multiply-add in hardware
//
// Contraction is off in the including file: only explicit multiply-adds are fused.

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/// Use of a product.
typedef enum { STORE, ADD, SUBTRACT } sink;

#define REAL float
#define INTEGER int32_t
#define NAME(x) x##_f32
#define LANES (CLA_VECTOR_BYTES / 4)
#define SQRT __builtin_sqrtf
#if CLA_FMA
#define FMA __builtin_elementwise_fma
#else
#define FMA cfma_fma_f32
#endif
#include "factor.h"

#define REAL double
#define INTEGER int64_t
#define NAME(x) x##_f64
#define LANES (CLA_VECTOR_BYTES / 8)
#define SQRT __builtin_sqrt
#if CLA_FMA
#define FMA __builtin_elementwise_fma
#else
#define FMA cfma_fma_f64
#endif
#include "factor.h"

const cla_kernels CLA_TABLE = {CLA_NAME, CLA_UNIT, {advance_f32, advance_f64}};
