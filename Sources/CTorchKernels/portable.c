#include "tables.h"

// Uses only instructions that every processor of the target has: on x86-64, no fused multiply-add.

#define CTK_TABLE ctk_portable
#define CTK_LANES 4
#define CTK_WIDTH 1
#if defined(__aarch64__)
#define CTK_NAME "neon"
#define CTK_FMA 1
#define CTK_HALF 1
#else
#define CTK_NAME "portable"
#define CTK_FMA 0
#define CTK_HALF 0
#endif

#pragma clang fp contract(off)
#include "CFusedMultiplyAdd.h"
#include "kernels.h"
