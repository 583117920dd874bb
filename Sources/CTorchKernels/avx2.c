#include "tables.h"

#if defined(__x86_64__)

#define CTK_TABLE ctk_avx2
#define CTK_NAME "avx2"
#define CTK_LANES 8
#define CTK_WIDTH 4
#define CTK_FMA 1
#define CTK_HALF 1

#pragma clang fp contract(off)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop

#endif
