#include "state.h"

#if defined(__x86_64__)

#define CLA_TABLE cla_avx512
#define CLA_NAME "avx512"
#define CLA_VECTOR_BYTES 64
#define TILE 12
#define WIDE 2
#define CLA_UNIT (1 << 26)
#define CLA_FMA 1

#pragma clang fp contract(off)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop

#endif
