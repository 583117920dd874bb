#include "tables.h"

void ctk_seed(ctk_stream *stream, uint32_t seed) {
    stream->words[0] = seed;
    for (uint32_t j = 1; j < CTK_STATE_WORDS; j++) {
        uint32_t last = stream->words[j - 1];
        stream->words[j] = 1812433253u * (last ^ last >> 30) + j;
    }
    stream->used = CTK_STATE_WORDS;
}

size_t ctk_variants(const ctk_kernels **out, size_t capacity) {
    size_t count = 0;
#define OFFER(table) (count < capacity ? (void)(out[count] = &(table)) : (void)0, count++)
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        OFFER(ctk_avx512);
    if (avx2) OFFER(ctk_avx2);
#endif
    OFFER(ctk_portable);
#undef OFFER
    return count;
}

const ctk_kernels *ctk_best(void) {
    const ctk_kernels *best;
    ctk_variants(&best, 1);
    return best;
}

/// Distance in words from which a jump is faster than skipping, on all the processors measured.
enum { JUMP_PAYS = 1 << 22 };

void ctk_jump(const ctk_kernels *kernels, ctk_stream *stream, uint64_t n) {
    if (n < JUMP_PAYS) kernels->skip(stream, n);
    else kernels->jump(stream, n);
}
