#include "ctk_libm.h"

#include <math.h>
#include <string.h>

double ctk_pow(double base, double exponent) { return pow(base, exponent); }

static uint64_t mix(uint64_t digest, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (digest ^ bits) * 0x100000001b3;
}

/* The functions of normals, and pow, which PyTorch's gains need. Gains that PyTorch does not have use exp, expm1, tanh and
   erf, too. These are left out: glibc's erf has other last bits on arm64, and all tags of such a host would differ. */
uint64_t ctk_libm_digest(void) {
    uint64_t digest = 0xcbf29ce484222325, word = 1;
    for (int i = 0; i < 2048; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        double uniform = (double)((word >> 11) + 1) * 0x1p-53;
        double angle = 6.283185307179586 * uniform;
        digest = mix(mix(mix(digest, log(uniform)), sin(angle)), cos(angle));
        digest = mix(mix(digest, log1p(-uniform)), pow(uniform, 2.0 + angle));
    }
    return digest;
}
