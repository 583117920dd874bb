/*
 * Prints a digest of the results of each of the processor's best kernels, for `make test-neon`, which compares the
 * digests of this processor with those of an emulated one.
 *
 * Sizes, offsets, arguments and the streams' positions are random, and the same in every run.
 */

#include "CTorchKernels.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state = 88172645463325252;

/* xorshift64 (Marsaglia 2003). */
static uint64_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t digest;

/* FNV-1a. */
static void take(const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211;
}

static void begin(void) { digest = 14695981039346656037u; }

static void end(const char *what) { printf("%016llx %s\n", (unsigned long long)digest, what); }

enum { INPUTS = 1 << 24, AT_ONCE = 4096, MOST = 3000, LARGE = (1 << 22) + 16 * 1234 };

static void every_input(const ctk_kernels *kernels) {
    static uint32_t k[AT_ONCE];
    static float first[AT_ONCE], second[AT_ONCE];
    begin();
    for (uint32_t base = 0; base < INPUTS; base += AT_ONCE) {
        for (uint32_t i = 0; i < AT_ONCE; i++) k[i] = base + i;
        kernels->radius_f32(k, first, AT_ONCE);
        take(first, sizeof first);
        kernels->sincos_f32(k, first, second, AT_ONCE);
        take(first, sizeof first);
        take(second, sizeof second);
    }
    end("radius, sine and cosine of every input");
}

/* Normals; those outside the bounds are redrawn until none is left. */
#define TRUNCATED(format, type, memory, low, high) \
    do { \
        kernels->normal_##format(stream, (type *)memory, blocks, 0, 1); \
        range = kernels->outside_##format(memory, blocks, low, high, pending); \
        while (range.first < range.end) \
            range = kernels->redraw_##format(stream, memory, blocks, 0, 1, low, high, pending); \
        take(memory, sizeof(type) * CTK_NORMAL_BLOCK * blocks); \
    } while (0)

/* Makes one draw of the given kind from the stream's position. */
static void draw(const ctk_kernels *kernels, unsigned kind, ctk_stream *stream) {
    static char memory[8 * (MOST + 8)];
    size_t n = random_bits() % MOST, blocks = n / CTK_NORMAL_BLOCK, offset = random_bits() % 8;
    float from = (float)(int64_t)random_bits() * 0x1p-60f, width = (float)(random_bits() % 1000) / 100;
    uint16_t pending[MOST / CTK_NORMAL_BLOCK];
    char *two = memory + 2 * offset, *four = memory + 4 * offset, *eight = memory + 8 * offset;
    ctk_range range;
    switch (kind) {
    case 0: kernels->words(stream, (uint32_t *)four, n), take(four, 4 * n); break;
    case 1: kernels->uniform_f32(stream, (float *)four, n, from, width, from + width, from), take(four, 4 * n); break;
    case 2: kernels->uniform_f64(stream, (double *)eight, n, from, width, 1, 0), take(eight, 8 * n); break;
    case 3: kernels->uniform_f16(stream, (uint16_t *)two, n, from, width, 0x3c00, 0x3800), take(two, 2 * n); break;
    case 4: kernels->uniform_bf16(stream, (uint16_t *)two, n, from, width, 0x3f80, 0x3f00), take(two, 2 * n); break;
    case 5: kernels->normal_f32(stream, (float *)four, blocks, from, width), take(four, 64 * blocks); break;
    case 6: kernels->normal_f16(stream, (uint16_t *)two, blocks, from, width), take(two, 32 * blocks); break;
    case 7: kernels->normal_bf16(stream, (uint16_t *)two, blocks, from, width), take(two, 32 * blocks); break;
    case 8: kernels->normal_f64(stream, (double *)eight, blocks, from, width), take(eight, 128 * blocks); break;
    case 9: TRUNCATED(f32, float, four, -1, 1.5f); break;
    case 10: TRUNCATED(f16, uint16_t, two, 0xbc00, 0x3e00); break;
    case 11: TRUNCATED(f64, double, eight, -1, 1.5); break;
    }
    take(stream, sizeof *stream);
}

static void random_draws(const ctk_kernels *kernels) {
    static const char *const kinds[] = {
        "words", "uniforms, float32", "uniforms, float64", "uniforms, float16", "uniforms, bfloat16", "normals, float32",
        "normals, float16", "normals, bfloat16", "normals, float64", "truncated normals, float32",
        "truncated normals, float16", "truncated normals, float64",
    };
    for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        begin();
        for (int round = 0; round < 250; round++) {
            ctk_stream stream;
            ctk_seed(&stream, (uint32_t)random_bits());
            kernels->skip(&stream, random_bits() % MOST);
            for (int time = 0; time < 3; time++) draw(kernels, kind, &stream);
        }
        end(kinds[kind]);
    }
}

/* Applies steps to every 997th float of both signs, infinities and NaN included, and to every 16-bit number. */
static void changes(const ctk_kernels *kernels) {
    static const ctk_step steps[] = {
        {CTK_INVERSE_ERROR, 0, 0}, {CTK_MULTIPLY, 0.0282842703f, 0}, {CTK_ADD, 0.5, 0}, {CTK_CLAMP, 0.46875, 0.5625},
        {CTK_INVERSE_ERROR, 0, 0}, {CTK_ADD, 1, 0}};
    static uint32_t four[AT_ONCE], made[AT_ONCE];
    static uint16_t two[AT_ONCE];
    for (size_t count = 1; count <= sizeof steps / sizeof *steps; count++) {
        begin();
        for (uint64_t base = 0; base < UINT64_C(1) << 32; base += UINT64_C(997) * AT_ONCE) {
            for (uint32_t i = 0; i < AT_ONCE; i++) made[i] = four[i] = (uint32_t)(base + UINT64_C(997) * i);
            kernels->change_f32(made, AT_ONCE - base % 7, steps, count);
            /* Processors return different NaNs. */
            for (uint32_t i = 0; i < AT_ONCE; i++)
                if ((four[i] & 0x7fffffff) > 0x7f800000) made[i] = 0;
            take(made, sizeof made);
        }
        for (uint32_t base = 0; base < 1 << 16; base += AT_ONCE) {
            for (uint32_t i = 0; i < AT_ONCE; i++) two[i] = (uint16_t)(base + i);
            if ((base & 0x7fff) >= 0x7800) continue;
            kernels->change_f16(two, AT_ONCE, steps, count);
            take(two, sizeof two);
            for (uint32_t i = 0; i < AT_ONCE; i++) two[i] = (uint16_t)(base + i);
            kernels->change_bf16(two, AT_ONCE, steps, count);
            take(two, sizeof two);
        }
        end("steps of arithmetic");
    }
}

static void jumps(const ctk_kernels *kernels) {
    begin();
    for (unsigned bits = 1; bits <= 64; bits += 9) {
        ctk_stream stream;
        ctk_seed(&stream, bits);
        kernels->jump(&stream, random_bits() >> (64 - bits));
        take(&stream, sizeof stream);
    }
    end("jumps");
}

/* Draws so many numbers that they bypass the caches. */
static bool large(const ctk_kernels *kernels) {
    enum { LINE = 64 / sizeof(float) };
    float *memory = aligned_alloc(64, sizeof(float) * (LARGE + LINE));
    if (memory == NULL) return false;
    ctk_stream stream;
    ctk_seed(&stream, 7);
    begin();
    for (size_t offset = 0; offset < LINE; offset += 5) {
        kernels->normal_f32(&stream, memory + offset, LARGE / CTK_NORMAL_BLOCK, 0.5f, 2);
        take(memory + offset, sizeof(float) * LARGE);
        kernels->uniform_f32(&stream, memory + offset, LARGE, -1, 2, 1, -1);
        take(memory + offset, sizeof(float) * LARGE);
    }
    end("large tensors");
    free(memory);
    return true;
}

int main(void) {
    const ctk_kernels *kernels = ctk_best();
    fprintf(stderr, "%s\n", kernels->name);
    every_input(kernels);
    random_draws(kernels);
    jumps(kernels);
    changes(kernels);
    return large(kernels) ? 0 : 1;
}
