#ifndef CTK_LIBM_H
#define CTK_LIBM_H

#include <stdint.h>

/// pow(base, exponent) of the C library, in a translation unit of its own so that no caller's constant exponent is
/// folded into multiplications, which round differently.
double ctk_pow(double base, double exponent);

/// Digest (FNV-1a by words) of log, sin and cos of the C library at 2048 arguments. glibc has variants of them with and
/// without fused multiply-add, picked when the process starts; at these arguments each of the three differs in a bit.
uint64_t ctk_libm_digest(void);

#endif
