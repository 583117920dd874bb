// Included first by every file here; declares the tables that the kernel files define.

#ifndef CTK_TABLES_H
#define CTK_TABLES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // sincos
#endif

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "CTorchKernels.h"
#include "erfinv.h"
#include "mt19937_polynomial.h"

#if defined(__x86_64__)
extern const ctk_kernels ctk_avx512;
extern const ctk_kernels ctk_avx2;
#endif
extern const ctk_kernels ctk_portable;

#endif
