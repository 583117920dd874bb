#include "state.h"

// Uses only instructions that every processor of the target has: on x86-64, no fused multiply-add.

#define CLA_TABLE cla_portable
#define CLA_VECTOR_BYTES 16
#define WIDE 1
#if defined(__aarch64__)
#define CLA_NAME "neon"
#define TILE 6
#define CLA_UNIT (1 << 24)
#define CLA_FMA 1
#else
#define CLA_NAME "portable"
#define TILE 2
#define CLA_UNIT (1 << 20)
#define CLA_FMA 0
#endif

#pragma clang fp contract(off)
#include "CFusedMultiplyAdd.h"
#include "kernels.h"
