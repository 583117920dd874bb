#include "state.h"

#if defined(__x86_64__)

#define CLA_TABLE cla_avx2
#define CLA_NAME "avx2"
#define CLA_VECTOR_BYTES 32
#define TILE 6
#define WIDE 1
#define CLA_UNIT (1 << 25)
#define CLA_FMA 1

#pragma clang fp contract(off)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop

#endif
