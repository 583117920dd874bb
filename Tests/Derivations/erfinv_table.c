/*
 * Proves the results of erfinv's table, for `make prove-erfinv`.
 *
 * First, it measures the relative errors of the rows' polynomials, at every float that has a row. CUBIC_ERROR in
 * kernels.h is larger, so that the true value rounds to the result if the two roundings there agree.
 *
 * Then it compares, for every float of both signs, each kernel that this processor can run with the scalar form, whose
 * results are the nearest floats, as Tests/Derivations/erfinv.py proves.
 */

#include "CTorchKernels.h"

/* Included for `ratio`, which is static. */
#include "erfinv.c"

#include <math.h>
#include <stdio.h>

enum { AT_ONCE = 4096 };

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int measure_rows(void) {
    double fused = 0, separate = 0;
    unsigned long count = 0;
    for (uint32_t bits = 0; bits < 0x3f800000; bits++) {
        float x = float_of(bits), u = 1 - x;
        if (bits_of(u) < CTK_ERFINV_LEAST || bits_of(u) >= 0x3f800000) continue;
        uint32_t begin = bits_of(u) & ~(uint32_t)CTK_ERFINV_REST;
        ctk_erfinv_row row = ctk_erfinv_rows[1 + ((begin - CTK_ERFINV_LEAST) >> (23 - CTK_ERFINV_STEP_BITS))];
        float t = x - (1 - float_of(begin)), third = float_of(row.packed);
        float constant = float_of((row.packed & 0xffff) | 0xb8000000);
        double truth = ratio(x);
        /* The order of kernels with a fused multiply-add. */
        float low = fmaf(fmaf(fmaf(third, t, row.second), t, row.first), t, constant);
        float product = x * row.high;
        float rest = fmaf(x, low, fmaf(x, row.high, -product));
        fused = fmax(fused, fabs((x * truth - product) / rest - 1));
        /* The order of the other kernels. */
        low = ((third * t + row.second) * t + row.first) * t + constant;
        separate = fmax(separate, fabs((truth - row.high) / low - 1));
        count++;
    }
    printf("errors at %lu floats: fused 2^%.2f, separate 2^%.2f\n", count, log2(fused), log2(separate));
    return fused < 0x1p-22 && separate < 0x1p-22;
}

static unsigned long compare(const ctk_kernels *const *kernels, size_t variants) {
    static float x[AT_ONCE], expected[AT_ONCE], made[AT_ONCE];
    static const ctk_step step = {CTK_INVERSE_ERROR, 0, 0};
    unsigned long wrong = 0;
    for (uint64_t base = 0; base < UINT64_C(1) << 32; base += AT_ONCE) {
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            x[i] = float_of((uint32_t)base + i);
            expected[i] = erfinv_exact(x[i]);
        }
        for (size_t variant = 0; variant < variants; variant++) {
            memcpy(made, x, sizeof made);
            kernels[variant]->change_f32(made, AT_ONCE, &step, 1);
            for (uint32_t i = 0; i < AT_ONCE; i++) {
                if (bits_of(made[i]) == bits_of(expected[i])) continue;
                if (wrong++ < 10) printf("%s makes %a of %a, not %a\n", kernels[variant]->name, made[i], x[i], expected[i]);
            }
        }
    }
    return wrong;
}

int main(void) {
    const ctk_kernels *kernels[8];
    size_t variants = ctk_variants(kernels, 8);
    ctk_erfinv_prepare();
    if (!measure_rows()) return 1;
    unsigned long wrong = compare(kernels, variants);
    printf("every float:");
    for (size_t variant = 0; variant < variants; variant++) printf(" %s", kernels[variant]->name);
    printf(", %lu differ\n", wrong);
    return wrong != 0;
}
