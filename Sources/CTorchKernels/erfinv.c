#include "erfinv.h"

#include <pthread.h>
#include <string.h>

// Every rounding below is part of the result.
#pragma clang fp contract(off)

// MARK: One number at a time

// erfinv(x) / x, highest power first, as polynomials of x² or of w = −log (1 − x²), less the centre of its range. Made
// by Tests/Derivations/erfinv.py.
/// x² − 0.125, |x| < ½.
static const double erfinv_small[] = {
    0x1.063bf23dd4b2bp-3, 0x1.edddec9473319p-4, 0x1.b2c171dce489cp-4, 0x1.9e7945a83181bp-4, 0x1.8edff1daa7577p-4,
    0x1.8261266b5dcc3p-4, 0x1.7a31d9c2d8dafp-4, 0x1.76f884a721a48p-4, 0x1.79cf268733df1p-4, 0x1.84ae1144b627ap-4,
    0x1.9b356de906a4bp-4, 0x1.c499564b10a19p-4, 0x1.08877d2b5758fp-3, 0x1.56a033eae07a1p-3, 0x1.12fc00eac5523p-2,
    0x1.d5b68cab21ed6p-1};
/// w − 1.64, to w = 3.
static const double erfinv_middle[] = {
    0x1.2263827ff2d59p-61, 0x1.0e62675a92211p-51, -0x1.d45b71a4d366fp-50, -0x1.64107bc804a21p-46,
    0x1.3ca2d6ca66835p-43, 0x1.db0a981f09418p-42, -0x1.12d5b7e8f75cfp-37, 0x1.19b5c379f9da4p-37,
    0x1.6923d0bbd6853p-32, -0x1.a4b6d8db8bc33p-30, -0x1.4e0cadd6cf24dp-27, 0x1.cb59163be918ap-24,
    0x1.06182ff52ec3fp-24, -0x1.68a0be171c669p-18, 0x1.3ad732b70e433p-16, 0x1.9377aeaa7ba9dp-13,
    -0x1.04a522d49fd10p-9, 0x1.794d23d97ea4fp-16, 0x1.007fdbec82da2p-2, 0x1.498119832277cp+0};
/// w − 4.625, to w = 6.25.
static const double erfinv_far[] = {
    0x1.33e012e3a8493p-56, -0x1.5280c9ca88b9cp-55, -0x1.0c9485e3289c3p-50, 0x1.5ed5ee046d4d8p-47,
    -0x1.20a7ca430b034p-45, -0x1.62cf91ab706c5p-42, 0x1.6850652290c13p-38, -0x1.fdbaf4c9fd49ap-36,
    -0x1.dc2f8d29651d1p-35, 0x1.4e8e7846a1660p-29, -0x1.5e117ee94ac80p-26, 0x1.63c19b0a66b50p-25,
    0x1.f906abd3259e7p-21, -0x1.a890cf3abafc7p-17, 0x1.382a958f87cb0p-14, 0x1.2c1074d08deb4p-15,
    -0x1.e26ef9793d26cp-8, 0x1.c0e8bf013b294p-3, 0x1.ffa753c544c50p+0};
/// √w − 3.29, from there on.
static const double erfinv_tail[] = {
    -0x1.a06a06cb6ea13p-33, -0x1.adfc55a5c4df1p-30, 0x1.dbced3f142900p-28, -0x1.603d517b75f9dp-28,
    -0x1.d959f271af58ap-26, 0x1.d1be7fd0672f6p-24, -0x1.62abe52dec0d7p-23, -0x1.4bf0ca2b80520p-23,
    0x1.7ea2cf1e6f259p-20, -0x1.a96eb648f7d80p-19, 0x1.201035b1d63d8p-20, 0x1.c1f5777d7359cp-17,
    -0x1.5ced6b8bee160p-15, 0x1.a78a81e825087p-15, 0x1.7c5c7f0868452p-15, -0x1.6877452901eb0p-12,
    0x1.c06c1b1aea478p-11, -0x1.81b1d5f09020cp-10, 0x1.1d3246c8822e7p-9, -0x1.bad058f4d8987p-9, 0x1.43fc8fd531082p-8,
    0x1.0173abd125c9ep+0, 0x1.8fe2a690bbb66p+1};

#define HORNER(coefficients, t) horner(coefficients, sizeof coefficients / sizeof *coefficients, t)

static inline double horner(const double *coefficients, size_t count, double t) {
    double sum = coefficients[0];
    for (size_t i = 1; i < count; i++) sum = sum * t + coefficients[i];
    return sum;
}

/// u = 2^k · m for a normal double u.
static double reduced(double u, double *k) {
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    int64_t exponent = (int64_t)(bits - 0x3fe6a09e667f3bcd) >> 52;
    uint64_t rest = bits - ((uint64_t)exponent << 52);
    double m;
    memcpy(&m, &rest, sizeof m);
    *k = (double)exponent;
    return m;
}

/// log u for a normal double u, within an ulp or two. Not the C library's log, whose bits differ between libraries.
static double log_exact(double u) {
    double k, m = reduced(u, &k);
    double q = (m - 1) / (m + 1), square = q * q, sum = 1.0 / 23;
    for (int i = 21; i >= 3; i -= 2) sum = sum * square + 1.0 / i;
    return k * 0x1.62e42fefa0000p-1 + (2 * q + (2 * q * (square * sum) + k * 0x1.cf79abc9e3b3ap-40));
}

/// erfinv(x) / x within 2^-52 for |x| < 1, if 1 − x² is a double.
static double ratio(double x) {
    double square = x * x;
    if (square < 0.25) return HORNER(erfinv_small, square - 0.125);
    double w = -log_exact(1 - square);
    if (w < 3) return HORNER(erfinv_middle, w - 1.64);
    if (w < 6.25) return HORNER(erfinv_far, w - 4.625);
    return HORNER(erfinv_tail, __builtin_sqrt(w) - 3.29);
}

/// erfinv(x), decided by `ratio`, which is within 2^-52.
static float erfinv_exact(float x) {
    float magnitude = __builtin_fabsf(x);
    // So near to a tie that only an error below 2^-57 would decide it. For every other float, the double decides.
    if (magnitude == 0x1.51904ep-3f) return __builtin_copysignf(0x1.2d5172p-3f, x);
    if (!(magnitude < 1)) {
        uint32_t undefined = 0xffc00000;
        float result = x / 0;
        if (x == x && magnitude > 1) memcpy(&result, &undefined, sizeof result);
        return x == x ? result : x;
    }
    double wide = x;
    return (float)(wide * ratio(wide));
}

typedef double f64x4 __attribute__((ext_vector_type(4)));

/// The polynomial as four polynomials in t^4, whose chains of dependent operations are a quarter as long.
///
/// The first coefficients are 0 if their number is no multiple of four.
static inline double in_four(const double *coefficients, size_t count, double t) {
    double square = t * t, fourth = square * square;
    f64x4 sum = {0, 0, 0, 0};
    size_t first = count % 4;
    for (size_t i = 0; i < first; i++) sum[4 - first + i] = coefficients[i];
    for (size_t i = first; i < count; i += 4) {
        f64x4 next = {coefficients[i], coefficients[i + 1], coefficients[i + 2], coefficients[i + 3]};
        sum = sum * fourth + next;
    }
    return (sum[0] * t + sum[1]) * square + (sum[2] * t + sum[3]);
}

#define IN_FOUR(coefficients, t) in_four(coefficients, sizeof coefficients / sizeof *coefficients, t)

/// Like `log_exact`, but within about 2^-48.
static double log_quick(double u) {
    static const double series[] = {
        1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3};
    double k, m = reduced(u, &k);
    double q = (m - 1) / (m + 1), square = q * q;
    return k * 0x1.62e42fefa39efp-1 + (2 * q + 2 * q * square * IN_FOUR(series, square));
}

// Faster than `erfinv_exact`, whose operations each wait for the one before.
float ctk_erfinv(float x) {
    float magnitude = __builtin_fabsf(x);
    double wide = x, square = wide * wide, quick;
    if (magnitude < 0.5f) {
        quick = wide * IN_FOUR(erfinv_small, square - 0.125);
    } else if (magnitude < 1) {
        double w = -log_quick(1 - square);
        if (w < 3) quick = wide * IN_FOUR(erfinv_middle, w - 1.64);
        else if (w < 6.25) quick = wide * IN_FOUR(erfinv_far, w - 4.625);
        else quick = wide * IN_FOUR(erfinv_tail, __builtin_sqrt(w) - 3.29);
    } else {
        return erfinv_exact(x);
    }
    uint64_t bits;
    memcpy(&bits, &quick, sizeof bits);
    // Within 2^-44 of a tie the order of operations might decide, and subnormal floats have their ties elsewhere.
    if ((bits & 0x1fffffff) - 0x10000000 + 0x100 < 0x200 || magnitude < 0x1p-120f) return erfinv_exact(x);
    return (float)quick;
}

// MARK: Table for vectors

ctk_erfinv_row ctk_erfinv_rows[CTK_ERFINV_ROWS];

static const ctk_erfinv_row beyond = {.high = __builtin_nanf("")};

/// The cubic through the ratio at four points near Chebyshev's, in powers of t = |x| − (1 − u) where `u` begins a row.
static ctk_erfinv_row make_row(double u, double width) {
    // In 32nds of the width, so that the squares of 1 − u − place · width are nearly exact.
    static const double places[] = {1, 10, 22, 31};
    double t[4], f[4];
    for (int i = 0; i < 4; i++) {
        t[i] = -places[i] / 32;
        f[i] = ratio(1 - u + t[i] * width);
    }
    // Newton's divided differences, then powers of t.
    for (int order = 1; order < 4; order++)
        for (int i = 3; i >= order; i--) f[i] = (f[i] - f[i - 1]) / (t[i] - t[i - order]);
    double c[4] = {f[3], 0, 0, 0};
    for (int i = 2; i >= 0; i--) {
        for (int power = 3; power > 0; power--) c[power] = c[power - 1] - t[i] * c[power];
        c[0] = f[i] - t[i] * c[0];
    }

    // The constant is high − 2^-15 − low · 2^-38.
    float high = (float)(c[0] + 0x1p-15);
    if (high < c[0] + 0x1p-15) high = __builtin_nextafterf(high, 8);
    double low = (high - c[0] - 0x1p-15) * 0x1p38 + 0.5;
    uint32_t lower = low < 0xffff ? (uint32_t)low : 0xffff;
    // The upper 16 bits make the nearest cubic coefficient that has these lower bits.
    float cubic = (float)(c[3] / (width * width * width));
    uint32_t bits;
    memcpy(&bits, &cubic, sizeof bits);
    uint32_t upper = (bits - lower + 0x8000) & 0xffff0000;
    return (ctk_erfinv_row){
        .high = high, .first = (float)(c[1] / width), .second = (float)(c[2] / (width * width)), .packed = upper | lower};
}

static void make_rows(void) {
    ctk_erfinv_row *row = ctk_erfinv_rows;
    *row++ = beyond;
    for (int octave = -CTK_ERFINV_OCTAVES; octave < 0; octave++) {
        double least = __builtin_ldexp(1, octave), width = least / CTK_ERFINV_STEPS;
        for (int step = 0; step < CTK_ERFINV_STEPS; step++) *row++ = make_row(least + step * width, width);
    }
    *row = beyond;
}

void ctk_erfinv_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_rows);
}
