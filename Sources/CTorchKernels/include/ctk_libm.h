#ifndef CTK_LIBM_H
#define CTK_LIBM_H

/// pow(base, exponent) of the C library, in a translation unit of its own so that no caller's constant exponent is
/// folded into multiplications, which round differently.
double ctk_pow(double base, double exponent);

#endif
