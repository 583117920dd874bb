// The kernels, once for every instruction set: avx512.c, avx2.c and portable.c set the target, define the macros below
// and include this file. Everything is static: no code of one instruction set can be linked in place of another's.
//
//   CTK_TABLE   name of the table to define          CTK_NAME   its name as a string
//   CTK_LANES   32-bit lanes of a vector: 4, 8, 16   CTK_WIDTH  vectors that a normal is computed on at once
//   CTK_FMA     1 if the target fuses a multiply-add in hardware (if not, CTK_LANES is 4 and CTK_WIDTH 1)
//   CTK_HALF    1 if the target converts to IEEE half in hardware
//
// Every rounding step below is part of the result. Contraction is off in the including file; fma_f32() and
// __builtin_elementwise_fma() are the only fused operations, and stand exactly where PyTorch's AVX2 code has one.

// MARK: Vectors

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = CTK_LANES,
    STATE_VECTORS = CTK_STATE_WORDS / LANES,
};

typedef uint32_t u32v __attribute__((ext_vector_type(CTK_LANES)));
typedef int32_t i32v __attribute__((ext_vector_type(CTK_LANES)));
typedef float f32v __attribute__((ext_vector_type(CTK_LANES)));
typedef uint64_t u64v __attribute__((ext_vector_type(CTK_LANES / 2)));
typedef double f64v __attribute__((ext_vector_type(CTK_LANES / 2)));
typedef uint32_t u32h __attribute__((ext_vector_type(CTK_LANES / 2)));
typedef float f32h __attribute__((ext_vector_type(CTK_LANES / 2)));
typedef uint16_t u16h __attribute__((ext_vector_type(CTK_LANES / 2)));
typedef uint16_t u16v __attribute__((ext_vector_type(CTK_LANES)));
typedef uint16_t u16d __attribute__((ext_vector_type(2 * CTK_LANES)));
typedef int16_t i16d __attribute__((ext_vector_type(2 * CTK_LANES)));
#if CTK_HALF
typedef _Float16 f16v __attribute__((ext_vector_type(CTK_LANES)));
#endif

// Operands of the normals' transforms: several vectors side by side, because their chains of dependent
// operations are long. The compiler takes them apart.
typedef uint32_t u32w __attribute__((ext_vector_type(CTK_LANES * CTK_WIDTH)));
typedef int32_t i32w __attribute__((ext_vector_type(CTK_LANES * CTK_WIDTH)));
typedef float f32w __attribute__((ext_vector_type(CTK_LANES * CTK_WIDTH)));
typedef union { u32w all; u32v each[CTK_WIDTH]; } u32w_parts;
typedef union { f32w all; f32v each[CTK_WIDTH]; } f32w_parts;

// The same types in memory of any alignment and declared type.
typedef u32v u32v_memory __attribute__((aligned(1), may_alias));
typedef f32v f32v_memory __attribute__((aligned(1), may_alias));
typedef u64v u64v_memory __attribute__((aligned(1), may_alias));
typedef f64v f64v_memory __attribute__((aligned(1), may_alias));
typedef u32h u32h_memory __attribute__((aligned(1), may_alias));
typedef f32h f32h_memory __attribute__((aligned(1), may_alias));
typedef u16h u16h_memory __attribute__((aligned(1), may_alias));
typedef u16v u16v_memory __attribute__((aligned(1), may_alias));

INLINE u32v load_u32(const void *p) { return *(const u32v_memory *)p; }
INLINE u64v load_u64(const void *p) { return *(const u64v_memory *)p; }
INLINE f64v load_f64(const void *p) { return *(const f64v_memory *)p; }
INLINE void store_u32(void *p, u32v v) { *(u32v_memory *)p = v; }
INLINE void store_f32(void *p, f32v v) { *(f32v_memory *)p = v; }
INLINE void store_u64(void *p, u64v v) { *(u64v_memory *)p = v; }
INLINE void store_f64(void *p, f64v v) { *(f64v_memory *)p = v; }
INLINE void store_u16(void *p, u16v v) { *(u16v_memory *)p = v; }

// MARK: Fused multiply-add

#if CTK_FMA

#define fma_f32(a, b, c) __builtin_elementwise_fma(a, b, c)
/// a·b + c for an exact product a·b, so that the result is the same fused or not.
#define fma_exact(a, b, c) fma_f32(a, b, c)

#else

#define fma_exact(a, b, c) ((a) * (b) + (c))

#define fma_f32(a, b, c) cfma_fma_f32(a, b, c)

#endif

// MARK: Generator

#if CTK_LANES == 16
#define SHIFT_BY_1(a, b) __builtin_shufflevector(a, b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
#define SHIFT_BY_397(a, b) __builtin_shufflevector(a, b, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28)
#elif CTK_LANES == 8
#define SHIFT_BY_1(a, b) __builtin_shufflevector(a, b, 1, 2, 3, 4, 5, 6, 7, 8)
#define SHIFT_BY_397(a, b) __builtin_shufflevector(a, b, 5, 6, 7, 8, 9, 10, 11, 12)
#else
#define SHIFT_BY_1(a, b) __builtin_shufflevector(a, b, 1, 2, 3, 4)
#define SHIFT_BY_397(a, b) __builtin_shufflevector(a, b, 1, 2, 3, 4)
#endif

// LOOK_UP takes from a table of four numbers by the lower two bits of each index: one instruction, which the compiler
// does not find by itself.
#if CTK_LANES == 16
#define FOUR_TIMES(a, b, c, d) {a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d}
#define LOOK_UP(table, index) ((f32v)_mm512_permutevar_ps((__m512)(table), (__m512i)(index)))
#elif CTK_LANES == 8
#define FOUR_TIMES(a, b, c, d) {a, b, c, d, a, b, c, d}
#define LOOK_UP(table, index) ((f32v)_mm256_permutevar_ps((__m256)(table), (__m256i)(index)))
#endif

/// The highest bit of `last` and the others of `next`.
INLINE u32v join(u32v last, u32v next) {
#if CTK_LANES == 16
    return (u32v)_mm512_ternarylogic_epi32(_mm512_set1_epi32(INT32_MIN), (__m512i)last, (__m512i)next, 0xca);
#else
    return (last & 0x80000000) | (next & 0x7fffffff);
#endif
}

/// The recurrence's constant for odd words.
INLINE u32v matrix(u32v word) {
#ifdef LOOK_UP
    return (u32v)LOOK_UP(((u32v)FOUR_TIMES(0, 0x9908b0df, 0, 0x9908b0df)), word);
#else
    return (u32v)((i32v)(word << 31) >> 31) & 0x9908b0df;
#endif
}

INLINE u32v temper(u32v y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >> 18);
}

/// k − 2^24 as a signed number, the input of normals; k is the lower 24 bits of a word. With AVX-512, this and the last
/// step of tempering are one instruction.
INLINE u32v numerator(u32v word) { return word | 0xff000000; }

/// Destination of a word.
typedef enum {
    DISCARD,
    UNTEMPERED,
    WORD,
    NUMERATOR,
    NUMERATOR_APART,  // in the order of `numerators` for 16 lanes; positions are multiples of 16
    UNIFORM_F32,
    UNIFORM_F32_TO_MEMORY,
    UNIFORM_F16,
    UNIFORM_BF16,
} sink;

typedef struct {
    int plain;  // A constant to the compiler: no value can be `replaced`, and `width` has the factor 2^-24 in it.
    float from, width;
    float replaced, replacement;
    uint16_t replaced_bits, replacement_bits;
} uniform_range;

/// float to bfloat16, to nearest even.
INLINE u16v to_bf16(f32v v) {
    u32v bits = (u32v)v;
    u32v rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector(v == v ? rounded : 0x7fc0, u16v);
}

/// float to IEEE half, to nearest even, subnormals kept.
INLINE u16v to_f16(f32v v) {
#if CTK_HALF
    return (u16v)__builtin_convertvector(v, f16v);
#else
    u32v bits = (u32v)v;
    u32v sign = (bits >> 16) & 0x8000;
    u32v magnitude = bits & 0x7fffffff;
    // Rebias the exponent by 15 - 127 and round at bit 13; 65520 and more carry into infinity by themselves.
    u32v normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    // Below 2^-14 the sum with 0.5 has its last bit at 2^-24, where the subnormals have theirs.
    u32v subnormal = (u32v)((f32v)magnitude + 0.5f) - 0x3f000000;
    u32v half = magnitude < 0x38800000 ? subnormal : normal;
    half = magnitude >= 0x47800000 ? (u32v)0x7c00 : half;
    half = magnitude > 0x7f800000 ? (u32v)0x7e00 : half;
    return __builtin_convertvector(sign | half, u16v);
#endif
}

/// Values of 16 bits equal to `replaced` as numbers become `replacement`.
INLINE u16v replace_bits(u16v v, uint16_t replaced, uint16_t replacement) {
    uint16_t ignoring_zero_sign = (replaced & 0x7fff) == 0 ? 0x7fff : 0xffff;
    return (v & ignoring_zero_sign) == (u16v)(replaced & ignoring_zero_sign) ? (u16v)replacement : v;
}

/// Writes one vector of elements made from the untempered `state`, from element `at` on.
INLINE void emit(sink kind, u32v state, void *out, size_t at, const uniform_range *range) {
    if (kind == UNTEMPERED) {
        store_u32((uint32_t *)out + at, state);
        return;
    }
    u32v word = temper(state);
    if (kind == WORD) {
        store_u32((uint32_t *)out + at, word);
        return;
    }
    if (kind == NUMERATOR) {
        store_u32((uint32_t *)out + at, numerator(word));
        return;
    }
    if (kind == NUMERATOR_APART) {
        u32v made = numerator(word);
        u32h_memory *halves = (u32h_memory *)((uint32_t *)out + (at - (at & 16) / 2));
        halves[0] = made.lo;
        halves[2] = made.hi;
        return;
    }
    f32v u = __builtin_convertvector((i32v)(word & 0xffffff), f32v);
    if (!range->plain) u *= 0x1p-24f;
    f32v v = fma_f32(u, (f32v)range->width, (f32v)range->from);
    if (kind == UNIFORM_F32 || kind == UNIFORM_F32_TO_MEMORY) {
        if (!range->plain) v = v == range->replaced ? (f32v)range->replacement : v;
        if (kind == UNIFORM_F32) store_f32((float *)out + at, v);
        else __builtin_nontemporal_store(v, (f32v *)((float *)out + at));
    } else {
        u16v half = kind == UNIFORM_F16 ? to_f16(v) : to_bf16(v);
        store_u16((uint16_t *)out + at, replace_bits(half, range->replaced_bits, range->replacement_bits));
    }
}

INLINE size_t element_size(sink kind) { return kind == UNIFORM_F16 || kind == UNIFORM_BF16 ? 2 : 4; }

/// `emit` for any number of elements. The last vector overlaps the one before it, which is written twice alike.
INLINE void emit_span(sink kind, const uint32_t *state, void *out, size_t at, size_t n, const uniform_range *range) {
    if (n >= LANES) {
        for (size_t i = 0; i + LANES <= n; i += LANES) emit(kind, load_u32(state + i), out, at + i, range);
        if (n % LANES != 0) emit(kind, load_u32(state + n - LANES), out, at + n - LANES, range);
    } else if (n > 0) {
        uint32_t few[LANES] = {0}, made[2 * LANES];
        memcpy(few, state, n * sizeof(uint32_t));
        emit(kind, load_u32(few), made, 0, range);
        memcpy((char *)out + at * element_size(kind), made, n * element_size(kind));
    }
}

/// Shifts vectors of state by some lanes, so that stores are aligned to cache lines wherever a block begins: a store
/// across two lines takes as long as two stores.
typedef struct {
    u32v last;   // The previous vector.
    u32v lanes;  // Indices of lanes in the previous and the next vector.
    size_t lag;  // Number of lanes from the previous vector.
} realignment;

/// The vector that begins in the last one and ends in `next`. For 16 lanes only: the others have no such instruction.
INLINE u32v realign(realignment *shift, u32v next) {
    u32v moved = next;
#if CTK_LANES == 16
    moved = (u32v)_mm512_permutex2var_epi32((__m512i)shift->last, (__m512i)shift->lanes, (__m512i)next);
#endif
    shift->last = next;
    return moved;
}

/// Makes the vector of new words at k from the words at k, k + 1 and k + 397, and its elements.
INLINE void renew(
    sink kind, uint32_t *words, size_t k, u32v next, u32v far, void *out, size_t at, realignment *shift,
    const uniform_range *range) {
    u32v made = far ^ (join(load_u32(words + k), next) >> 1) ^ matrix(next);
    store_u32(words + k, made);
    if (kind == DISCARD) return;
    if (shift == NULL) emit(kind, made, out, at + k, range);
    else emit(kind, realign(shift, made), out, at + k - shift->lag, range);
}

/// Makes the next block in place, and its elements with it.
///
/// Indices are modulo 624: the vector at 224 is the one that needs words from both ends of the block.
INLINE void regenerate(
    sink kind, uint32_t *words, void *out, size_t at, realignment *shift, const uniform_range *range) {
    size_t k = 0;
#pragma clang loop unroll_count(4)
    for (; k < 224; k += LANES)
        renew(kind, words, k, load_u32(words + k + 1), load_u32(words + k + 397), out, at, shift, range);
    u32v around = SHIFT_BY_397(load_u32(words + CTK_STATE_WORDS - LANES), load_u32(words));
    renew(kind, words, k, load_u32(words + k + 1), around, out, at, shift, range);
#pragma clang loop unroll_count(4)
    for (k += LANES; k < CTK_STATE_WORDS - LANES; k += LANES)
        renew(kind, words, k, load_u32(words + k + 1), load_u32(words + k - 227), out, at, shift, range);
    u32v next = SHIFT_BY_1(load_u32(words + k), load_u32(words));
    renew(kind, words, k, next, load_u32(words + k - 227), out, at, shift, range);
}

/// Number of elements from which on uniforms bypass the caches, which is twice as fast: so many would not stay in the
/// caches anyway.
enum { TO_MEMORY = 1 << 22 };

/// Makes float32 uniforms from `at` to `end`, whole blocks, by stores to whole lines if possible.
///
/// Returns where it ends. It returns `at` if this way has no advantage.
INLINE size_t draw_lines(uint32_t *words, float *out, size_t at, size_t end, int past_caches, const uniform_range *range) {
    size_t lag = (uintptr_t)(out + at) % sizeof(f32v) / sizeof(float);
    if (lag == 0 && past_caches) {
        for (; at < end; at += CTK_STATE_WORDS)
            regenerate(UNIFORM_F32_TO_MEMORY, words, out, at, NULL, range);
    } else if (LANES == 16 && lag != 0 && at < end) {
        // The first block is not shifted, because there may be no room before it.
        regenerate(UNIFORM_F32, words, out, at, NULL, range);
        realignment shift = {.last = load_u32(words + CTK_STATE_WORDS - LANES), .lag = lag};
        for (uint32_t i = 0; i < LANES; i++) shift.lanes[i] = (uint32_t)(LANES - lag) + i;
        at += CTK_STATE_WORDS;
        if (past_caches)
            for (; at < end; at += CTK_STATE_WORDS)
                regenerate(UNIFORM_F32_TO_MEMORY, words, out, at, &shift, range);
        else
            for (; at < end; at += CTK_STATE_WORDS) regenerate(UNIFORM_F32, words, out, at, &shift, range);
        emit(UNIFORM_F32, shift.last, out, at - LANES, range);
    }
    if (past_caches) __atomic_thread_fence(__ATOMIC_SEQ_CST);  // Without it, later stores could come before these.
    return at;
}

/// Draws `n` words and writes an element for each.
INLINE void draw(sink kind, ctk_stream *stream, void *out, size_t n, const uniform_range *range) {
    size_t left = CTK_STATE_WORDS - stream->used;
    size_t at = n < left ? n : left;
    emit_span(kind, stream->words + stream->used, out, 0, at, range);
    stream->used += (uint32_t)at;
    size_t end = n - (n - at) % CTK_STATE_WORDS;
    if (kind == UNIFORM_F32) at = draw_lines(stream->words, out, at, end, n >= TO_MEMORY, range);
    for (; at < end; at += CTK_STATE_WORDS) regenerate(kind, stream->words, out, at, NULL, range);
    if (at < n) {
        regenerate(DISCARD, stream->words, out, 0, NULL, range);
        emit_span(kind, stream->words, out, at, n - at, range);
        stream->used = (uint32_t)(n - at);
    }
}

static void words(ctk_stream *stream, uint32_t *out, size_t n) { draw(WORD, stream, out, n, NULL); }

/// Draws the numerators of `n` normals; `n` is a multiple of 16. For vectors of 16 lanes the first halves of two blocks
/// come first, then the second halves of the two, so that each pair fills a vector; `out` has room for an even number
/// of blocks there.
static void numerators(ctk_stream *stream, uint32_t *out, size_t n) {
    if (LANES == 16 && stream->used % 16 == 0) {
        draw(NUMERATOR_APART, stream, out, n, NULL);
        return;
    }
    draw(NUMERATOR, stream, out, n, NULL);
    for (size_t i = 0; LANES == 16 && i < n; i += 32) {
        u32h_memory *halves = (u32h_memory *)(out + i);
        u32h second = halves[1];
        halves[1] = halves[2];
        halves[2] = second;
    }
}

/// Splits a distance into the number of regenerations and the `used` after them, at least 1 if `n` is.
INLINE uint64_t regenerations(uint32_t *used, uint64_t n) {
    uint64_t blocks = n / CTK_STATE_WORDS;
    uint32_t end = *used + (uint32_t)(n % CTK_STATE_WORDS);
    if (end > CTK_STATE_WORDS) {
        end -= CTK_STATE_WORDS;
        blocks += 1;
    } else if (end == 0 && blocks > 0) {
        end = CTK_STATE_WORDS;
        blocks -= 1;
    }
    *used = end;
    return blocks;
}

static void skip(ctk_stream *stream, uint64_t n) {
    for (uint64_t blocks = regenerations(&stream->used, n); blocks > 0; blocks--)
        regenerate(DISCARD, stream->words, NULL, 0, NULL, NULL);
}

// MARK: Uniforms

static void uniform_f32(
    ctk_stream *stream, float *out, size_t n, float from, float width, float replaced, float replacement) {
    // Most ranges are so wide, for how far they are from zero, that no value is rounded to their end.
    float greatest = fma_f32((f32v)(0x1.fffffep-1f), (f32v)width, (f32v)from)[0], scaled = width * 0x1p-24f;
    if (greatest < replaced && from < replaced && scaled * 0x1p24f == width) {
        uniform_range range = {.plain = 1, .from = from, .width = scaled};
        draw(UNIFORM_F32, stream, out, n, &range);
    } else {
        uniform_range range = {.from = from, .width = width, .replaced = replaced, .replacement = replacement};
        draw(UNIFORM_F32, stream, out, n, &range);
    }
}

static void uniform_f16(
    ctk_stream *stream, uint16_t *out, size_t n, float from, float width, uint16_t replaced, uint16_t replacement) {
    uniform_range range = {.from = from, .width = width, .replaced_bits = replaced, .replacement_bits = replacement};
    draw(UNIFORM_F16, stream, out, n, &range);
}

static void uniform_bf16(
    ctk_stream *stream, uint16_t *out, size_t n, float from, float width, uint16_t replaced, uint16_t replacement) {
    uniform_range range = {.from = from, .width = width, .replaced_bits = replaced, .replacement_bits = replacement};
    draw(UNIFORM_BF16, stream, out, n, &range);
}

/// The low 53 bits of (first word · 2^32 + second word), times 2^-53, for LANES / 2 pairs of words. Exact.
///
/// The upper 21 bits become the end of a double near 2^31, the lower 32 the end of a double near 1/2; the offsets
/// cancel.
INLINE f64v unit_f64(const uint32_t *pairs) {
    u64v both = load_u64(pairs);
    f64v high = (f64v)((both & 0x1fffff) | 0x41e0000000000000);
    f64v low = (f64v)((both >> 32) | 0x3fe0000000000000);
    return (high - 0x1.00000001p31) + low;
}

enum { SCRATCH_WORDS = 8 * CTK_STATE_WORDS };

static void uniform_f64(
    ctk_stream *stream, double *out, size_t n, double from, double width, double replaced, double replacement) {
    _Alignas(64) uint32_t scratch[SCRATCH_WORDS];
    while (n > 0) {
        size_t count = n < SCRATCH_WORDS / 2 ? n : SCRATCH_WORDS / 2;
        words(stream, scratch, 2 * count);
        if (count < LANES / 2) memset(scratch + 2 * count, 0, LANES * sizeof(uint32_t));
        for (size_t i = 0; i < count; i += LANES / 2) {
            // As in emit_span, the last vector goes back to end at the last element.
            size_t at = i + LANES / 2 <= count ? i : count < LANES / 2 ? 0 : count - LANES / 2;
            f64v v = __builtin_elementwise_fma(unit_f64(scratch + 2 * at), (f64v)width, (f64v)from);
            v = v == replaced ? (f64v)replacement : v;
            if (count >= LANES / 2) store_f64(out + at, v);
            else memcpy(out, &v, count * sizeof(double));
        }
        out += count;
        n -= count;
    }
}

// MARK: Normals

// The transforms are split into pieces, so that the pieces of two groups can be interleaved. k is a numerator.

/// u = (1 + m) · 2^e for u = 1 − k·2^-24, with 1 + m in [√½, √2).
///
/// Cephes logf, with steps scaled by a power of two if that saves an operation: it changes no rounding.
INLINE void split(const u32w *k, f32w *m, u32w *exponent) {
    // −u · 2^24 is an integer and converts exactly.
    f32w u = __builtin_convertvector((i32w)*k, f32w);
    // e at its place in a float; 0 for u = 1.
    *exponent = ((u32w)u + (0x3f800000 - 0x3f3504f3 - ((127 + 24) << 23) + 0x80000000u)) & 0xff800000;
    *m = fma_exact((f32w)((u32w)u - *exponent), (f32w)(-0x1p-24f), (f32w)(-1.0f));
}

/// The polynomial of log (1 + m), times 2.
INLINE void logarithm_polynomial(const f32w *m, f32w *y) {
    *y = (f32w)(2 * 0x1.204376p-4f);
    *y = fma_f32(*y, *m, (f32w)(2 * -0x1.d7a37p-4f));
    *y = fma_f32(*y, *m, (f32w)(2 * 0x1.de4a34p-4f));
    *y = fma_f32(*y, *m, (f32w)(2 * -0x1.fcba9ep-4f));
    *y = fma_f32(*y, *m, (f32w)(2 * 0x1.23d37ep-3f));
    *y = fma_f32(*y, *m, (f32w)(2 * -0x1.555cap-3f));
    *y = fma_f32(*y, *m, (f32w)(2 * 0x1.999d58p-3f));
    *y = fma_f32(*y, *m, (f32w)(2 * -0x1.fffff8p-3f));
    *y = fma_f32(*y, *m, (f32w)(2 * 0x1.555554p-2f));
}

/// −2 log u. Its square root is the radius.
INLINE void radius_squared(const f32w *m, const u32w *exponent, const f32w *polynomial, f32w *out) {
    f32w e = __builtin_convertvector((i32w)*exponent, f32w);
    f32w z = *m * *m;
    f32w y = *polynomial * *m;
    y = fma_f32(y, z, e * (2 * -0x1.bd0106p-13f * 0x1p-23f));
    y = y - z;
    // −2 (m + y/2), which is −0 for u = 1.
    f32w sum = fma_exact(*m, (f32w)(-2.0f), -y);
    *out = fma_f32(e, (f32w)(-2 * 0x1.63p-1f * 0x1p-23f), sum);
}

INLINE void radius_squared_of(const u32w *k, f32w *out) {
    f32w m, y;
    u32w exponent;
    split(k, &m, &exponent);
    logarithm_polynomial(&m, &y);
    radius_squared(&m, &exponent, &y, out);
}

/// sqrt(−2 log u) for u = 1 − k·2^-24.
INLINE void radius(const u32w *k, f32w *out) {
    f32w square;
    radius_squared_of(k, &square);
    *out = __builtin_elementwise_sqrt(square);
}

/// 2π·k·2^-24 − quadrant·π/2, for the quadrant that leaves the least. Only the lower two bits of quadrant count.
///
/// The quadrant is the same as from the truncated product angle · 4/π of Cephes.
INLINE void reduce(const u32w *k, f32w *rest, u32w *quadrant) {
    f32w u = __builtin_convertvector((i32w)*k, f32w);
    // The factor 2^-24 is exact wherever it stands, so it goes into the constant.
#if CTK_FMA
    // (u + 2^24) · 2π·2^-24, where 2^24 · 2π·2^-24 is exact.
    f32w angle = fma_f32(u, (f32w)(0x1.921fb6p2f * 0x1p-24f), (f32w)(0x1.921fb6p2f));
    // Adding a large number rounds u · 2^-22 to the quadrant − 4. Halves would round to the even neighbour. With the
    // float below 2^-22 as the factor they are a little higher and round up, and nothing else reaches a half.
    f32w rounded = fma_f32(u, (f32w)(0x1.fffffep-23f), (f32w)(0x1.8p23f));
    *quadrant = (u32w)rounded;
    f32w y = rounded - (0x1.8p23f - 4);
#else
    f32w angle = (u + 0x1p24f) * (0x1.921fb6p2f * 0x1p-24f);
    *quadrant = ((*k & 0xffffff) + (1u << 21)) >> 22;
    f32w y = __builtin_convertvector((i32w)*quadrant, f32w);
#endif
    // Cephes sinf and cosf; the parts of π/4 are doubled, because y counts quadrants, not octants. The remainder after
    // the first two parts is a multiple of 2^-24 below 1 and thus exact, and so is the sum of these parts.
    f32w x = fma_f32(y, (f32w)(2 * -0x1.92p-1f + 2 * -0x1.fb4p-13f), angle);
    *rest = fma_f32(y, (f32w)(2 * -0x1.4442d2p-25f), x);
}

INLINE void cosine_within(const f32w *rest, f32w *cosine) {
    f32w z = *rest * *rest;
    // Cosine − 1, times −2.
    f32w c = (f32w)(-2 * 0x1.99eb9cp-16f);
    c = fma_f32(c, z, (f32w)(-2 * -0x1.6c0c34p-10f));
    c = fma_f32(c, z, (f32w)(-2 * 0x1.55554ap-5f));
    c = c * z;
    c = fma_f32(c, z, z);
    *cosine = fma_exact(c, (f32w)(-0.5f), (f32w)(1.0f));
}

INLINE void sine_within(const f32w *rest, f32w *sine) {
    f32w z = *rest * *rest;
    f32w s = (f32w)(-0x1.9943f2p-13f);
    s = fma_f32(s, z, (f32w)(0x1.11073cp-7f));
    s = fma_f32(s, z, (f32w)(-0x1.555546p-3f));
    s = s * z;
    *sine = fma_f32(s, *rest, *rest);
}

/// Sine and cosine of 2π·k·2^-24 − quadrant·π/2.
INLINE void sincos_in_quadrant(const u32w *k, f32w *sine, f32w *cosine, u32w *quadrant) {
    f32w rest;
    reduce(k, &rest, quadrant);
    cosine_within(&rest, cosine);
    sine_within(&rest, sine);
}

/// `a` where the bits of `mask` are set, else `b`.
INLINE f32v choose(u32v mask, f32v a, f32v b) { return (f32v)((u32v)b ^ (((u32v)a ^ (u32v)b) & mask)); }

/// Exchanges sine and cosine where `quadrant` is odd.
INLINE void exchange(u32v quadrant, f32v *sine, f32v *cosine) {
    f32v s = *sine, c = *cosine;
#if CTK_LANES == 16
    __mmask16 odd = _mm512_test_epi32_mask((__m512i)quadrant, _mm512_set1_epi32(1));
    *sine = (f32v)_mm512_mask_blend_ps(odd, (__m512)s, (__m512)c);
    *cosine = (f32v)_mm512_mask_blend_ps(odd, (__m512)c, (__m512)s);
#else
    // Blends by a mask take longer on some processors.
#ifdef LOOK_UP
    u32v odd = (u32v)LOOK_UP(((u32v)FOUR_TIMES(0, 0xffffffff, 0, 0xffffffff)), quadrant);
#else
    u32v odd = (u32v)((i32v)(quadrant << 31) >> 31);
#endif
    u32v change = ((u32v)s ^ (u32v)c) & odd;
    *sine = (f32v)((u32v)s ^ change);
    *cosine = (f32v)((u32v)c ^ change);
#endif
}

/// `v`, the same in all lanes, with the sign that a sine has in the quadrant.
INLINE f32v sine_signed(f32v v, u32v quadrant) {
#ifdef LOOK_UP
    return LOOK_UP(((f32v)FOUR_TIMES(v[0], v[0], -v[0], -v[0])), quadrant);
#else
    return (f32v)((u32v)v ^ ((quadrant << 30) & 0x80000000));
#endif
}

/// `v`, the same in all lanes, with the sign that a cosine has in the quadrant.
INLINE f32v cosine_signed(f32v v, u32v quadrant) {
#ifdef LOOK_UP
    return LOOK_UP(((f32v)FOUR_TIMES(v[0], -v[0], -v[0], v[0])), quadrant);
#else
    return sine_signed(v, quadrant + 1);
#endif
}

typedef enum { F32, F16, BF16 } stored;

INLINE void store_as(stored type, void *out, size_t at, f32v v) {
    if (type == F32) store_f32((float *)out + at, v);
    else if (type == F16) store_u16((uint16_t *)out + at, to_f16(v));
    else store_u16((uint16_t *)out + at, to_bf16(v));
}

/// Stores two blocks, of which `a` has the first halves and `b` the second.
INLINE void store_blocks(stored type, void *out, size_t at, f32v a, f32v b) {
#if CTK_LANES == 16
    if (type == F32) {
        // The processor stores halves at no cost, but the compiler would combine them first.
        volatile f32h_memory *halves = (f32h_memory *)((float *)out + at);
        halves[0] = a.lo;
        halves[1] = b.lo;
        halves[2] = a.hi;
        halves[3] = b.hi;
    } else {
        u16v first = type == F16 ? to_f16(a) : to_bf16(a), second = type == F16 ? to_f16(b) : to_bf16(b);
        u16h_memory *halves = (u16h_memory *)((uint16_t *)out + at);
        halves[0] = first.lo;
        halves[1] = second.lo;
        halves[2] = first.hi;
        halves[3] = second.hi;
    }
#else
    store_as(type, out, at, a);
    store_as(type, out, at + 8, b);
#endif
}

enum { GROUP = 2 * LANES * CTK_WIDTH };

/// Start of the group after the one at `at`. A group is a whole number of blocks, or one half of a block's pairs.
INLINE size_t after(size_t at) { return LANES == 4 ? at + (at % 16 == 0 ? 4 : 12) : at + GROUP; }

/// The first (0) or the second halves (1) of a group's blocks.
INLINE void load_halves(int which, const uint32_t *words, u32w_parts *out) {
    for (size_t i = 0; i < CTK_WIDTH; i++) {
        if (LANES == 16) out->each[i] = load_u32(words + 32 * i + 16 * which);
        else out->each[i] = load_u32(words + 16 * i + 8 * which);
    }
}

/// Keeps the compiler from moving the computation of `vector` to after this place, and its uses to before. Costs
/// nothing.
#if defined(__x86_64__)
#define HOLD(vector) __asm__ volatile("" : "+v"(vector))
#elif defined(__aarch64__)
#define HOLD(vector) __asm__ volatile("" : "+w"(vector))
#else
#define HOLD(vector) ((void)0)
#endif

INLINE void hold(f32w_parts *vectors) {
    for (size_t i = 0; i < CTK_WIDTH; i++) HOLD(vectors->each[i]);
}

/// Takes the square roots of one of four places: a quarter of the vectors; if there is one vector, the last place takes
/// it.
INLINE void take_roots(size_t place, f32w_parts *vectors) {
    for (size_t i = place * CTK_WIDTH / 4; i < (place + 1) * CTK_WIDTH / 4; i++) {
        HOLD(vectors->each[i]);
        vectors->each[i] = __builtin_elementwise_sqrt(vectors->each[i]);
        HOLD(vectors->each[i]);
    }
}

/// Turns GROUP numerators into GROUP normals. Takes the squares of their radii from `squares`, and leaves there those
/// of the group at `next`.
///
/// Square roots in a row keep one of the processor's units from other work, so they stand far apart. Between them are
/// the logarithms of the next group, for which nothing here has to wait.
INLINE void normal_group(
    stored type, const uint32_t *words, const uint32_t *next, f32w_parts *squares, void *out, size_t at, f32v mean,
    f32v std) {
    u32w_parts first, second, exponent, quadrant;
    f32w_parts m, y, rest, sine, cosine, r = *squares;
    take_roots(0, &r);
    load_halves(0, next, &first);
    load_halves(1, words, &second);
    split(&first.all, &m.all, &exponent.all);
    reduce(&second.all, &rest.all, &quadrant.all);
    hold(&m);
    hold(&rest);
    take_roots(1, &r);
    logarithm_polynomial(&m.all, &y.all);
    cosine_within(&rest.all, &cosine.all);
    hold(&y);
    hold(&cosine);
    take_roots(2, &r);
    radius_squared(&m.all, &exponent.all, &y.all, &squares->all);
    sine_within(&rest.all, &sine.all);
    hold(squares);
    hold(&sine);
    take_roots(3, &r);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < CTK_WIDTH; i++) {
        u32v q = quadrant.each[i];
        exchange(q, &sine.each[i], &cosine.each[i]);
        f32v a = fma_f32(r.each[i] * cosine.each[i], cosine_signed(std, q), mean);
        f32v b = fma_f32(r.each[i] * sine.each[i], sine_signed(std, q), mean);
        store_blocks(type, out, at + (LANES == 16 ? 32 : 16) * i, a, b);
    }
}

/// Writes a group of finished normals to memory, bypassing the caches.
INLINE void to_memory(const uint32_t *made, float *out) {
    for (size_t i = 0; i < GROUP; i += LANES) __builtin_nontemporal_store((f32v)load_u32(made + i), (f32v *)(out + i));
}

/// Normals that bypass the caches, a whole number of scratches, are first made in place of their words: a cache line
/// must be written whole, and vectors of 16 lanes hold it in halves.
INLINE void normals(stored type, int past_caches, ctk_stream *stream, void *out, size_t blocks, float mean, float std) {
    _Static_assert(SCRATCH_WORDS % GROUP == 0, "a scratch is a whole number of groups");
    _Alignas(64) uint32_t scratch[SCRATCH_WORDS + GROUP], made[GROUP];
    size_t size = type == F32 ? 4 : 2;
    f32v m = (f32v)mean, s = (f32v)std;
    while (blocks > 0) {
        size_t count = blocks < SCRATCH_WORDS / 16 ? blocks : SCRATCH_WORDS / 16;
        size_t n = 16 * count;
        // Zeros for the surplus of the last group and the last pair of blocks.
        if (n < SCRATCH_WORDS)
            for (size_t i = n / 32 * 32; i < n + GROUP; i += LANES) store_u32(scratch + i, (u32v)0);
        numerators(stream, scratch, n);
        u32w_parts first;
        f32w_parts squares;
        load_halves(0, scratch, &first);
        radius_squared_of(&first.all, &squares.all);
        for (size_t at = 0, next; at < n; at = next) {
            next = after(at);
            const uint32_t *ahead = scratch + (next < n ? next : 0);
            if (past_caches) {
                normal_group(type, scratch + at, ahead, &squares, scratch, at, m, s);
                // The group before, because its halves have reached the cache by now and can be read as one.
                if (at > 0) to_memory(scratch + at - GROUP, (float *)out + at - GROUP);
            } else if (at + GROUP <= n) {
                normal_group(type, scratch + at, ahead, &squares, out, at, m, s);
            } else {
                normal_group(type, scratch + at, ahead, &squares, made, 0, m, s);
                // Copied by vectors, as it was written: the processor need not wait for the stores.
                for (size_t i = 0; i < (n - at) * size; i += 2 * LANES)
                    store_u16((char *)out + at * size + i, *(const u16v_memory *)((const char *)made + i));
            }
        }
        if (past_caches) to_memory(scratch + n - GROUP, (float *)out + n - GROUP);
        out = (char *)out + n * size;
        blocks -= count;
    }
}

static void normal_f32(ctk_stream *stream, float *out, size_t blocks, float mean, float std) {
    // If a group is half a block's pairs, the transform is slower than memory anyway.
    if (LANES > 4 && blocks >= TO_MEMORY / 16 && (uintptr_t)out % sizeof(f32v) == 0) {
        size_t whole = blocks - blocks % (SCRATCH_WORDS / 16);
        normals(F32, 1, stream, out, whole, mean, std);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);  // Without it, later stores could come before these.
        out += 16 * whole;
        blocks -= whole;
    }
    normals(F32, 0, stream, out, blocks, mean, std);
}

static void normal_f16(ctk_stream *stream, uint16_t *out, size_t blocks, float mean, float std) {
    normals(F16, 0, stream, out, blocks, mean, std);
}

static void normal_bf16(ctk_stream *stream, uint16_t *out, size_t blocks, float mean, float std) {
    normals(BF16, 0, stream, out, blocks, mean, std);
}

static void radius_f32(const uint32_t *k, float *out, size_t n) {
    enum { WIDE = LANES * CTK_WIDTH };
    for (size_t i = 0; i < n; i += WIDE) {
        size_t count = n - i < WIDE ? n - i : WIDE;
        u32w few = {0};
        f32w r;
        memcpy(&few, k + i, count * sizeof(uint32_t));
        few |= 0xff000000;
        radius(&few, &r);
        memcpy(out + i, &r, count * sizeof(float));
    }
}

static void sincos_f32(const uint32_t *k, float *sine, float *cosine, size_t n) {
    enum { WIDE = LANES * CTK_WIDTH };
    for (size_t i = 0; i < n; i += WIDE) {
        size_t count = n - i < WIDE ? n - i : WIDE;
        u32w few = {0};
        u32w_parts quadrant;
        f32w_parts s, c;
        memcpy(&few, k + i, count * sizeof(uint32_t));
        few |= 0xff000000;
        sincos_in_quadrant(&few, &s.all, &c.all, &quadrant.all);
        for (size_t v = 0; v < CTK_WIDTH; v++) {
            exchange(quadrant.each[v], &s.each[v], &c.each[v]);
            s.each[v] *= sine_signed((f32v)(1.0f), quadrant.each[v]);
            c.each[v] *= cosine_signed((f32v)(1.0f), quadrant.each[v]);
        }
        memcpy(sine + i, &s, count * sizeof(float));
        memcpy(cosine + i, &c, count * sizeof(float));
    }
}

INLINE void sine_cosine(double angle, double *sine, double *cosine) {
#if defined(__GLIBC__)
    sincos(angle, sine, cosine);  // The values of sin and cos.
#else
    *sine = sin(angle);
    *cosine = cos(angle);
#endif
}
/// Indices of `count` numbers in [0, 1), in ascending order except within each 1/64.
INLINE void order_roughly(const double *u, size_t count, uint16_t *order) {
    enum { BUCKETS = 64 };
    uint16_t start[BUCKETS + 1] = {0};
    for (size_t i = 0; i < count; i++) start[(size_t)(u[i] * BUCKETS) + 1]++;
    for (size_t b = 1; b < BUCKETS; b++) start[b] = (uint16_t)(start[b] + start[b - 1]);
    for (size_t i = 0; i < count; i++) order[start[(size_t)(u[i] * BUCKETS)]++] = (uint16_t)i;
}

/// Takes sines and cosines in the order of the angles. The library's functions choose one of a dozen paths by the size
/// of the angle, and with unsorted angles half of the time would go into mispredicted branches.
static void normal_f64(ctk_stream *stream, double *out, size_t blocks, double mean, double std) {
    enum { CHUNK = 64, PAIRS = 8 * CHUNK };
    _Alignas(64) uint32_t scratch[4 * PAIRS];
    _Alignas(64) double u1[PAIRS], u2[PAIRS], r[PAIRS], sines[PAIRS], cosines[PAIRS];
    uint16_t order[PAIRS];
    while (blocks > 0) {
        size_t count = blocks < CHUNK ? blocks : CHUNK;
        size_t pairs = 8 * count;
        words(stream, scratch, 32 * count);
        for (size_t i = 0; i < pairs; i += LANES / 2) {
            const uint32_t *block = scratch + i / 8 * 32 + i % 8 * 2;
            store_f64(u1 + i, 1.0 - unit_f64(block));
            store_f64(u2 + i, unit_f64(block + 16));
        }
        for (size_t i = 0; i < pairs; i++) r[i] = log(u1[i]);
        order_roughly(u2, pairs, order);
        for (size_t i = 0; i < pairs; i++) {
            size_t next = order[i];
            sine_cosine(0x1.921fb54442d18p2 * u2[next], sines + next, cosines + next);
        }
        for (size_t i = 0; i < pairs; i += LANES / 2) {
            f64v radii = __builtin_elementwise_sqrt(load_f64(r + i) * -2.0);
            double *block = out + i / 8 * 16 + i % 8;
            store_f64(block, __builtin_elementwise_fma(radii * load_f64(cosines + i), (f64v)std, (f64v)mean));
            store_f64(block + 8, __builtin_elementwise_fma(radii * load_f64(sines + i), (f64v)std, (f64v)mean));
        }
        out += 16 * count;
        blocks -= count;
    }
}

// MARK: Jump
//
// One step of the generator is a linear map A of its 19937 bits, and p(A) = 0 for its characteristic polynomial p. So
// A^n = g(A) with g = t^n mod p, and word m after n steps is the sum of the current words m + i over the terms t^i of g
// (Haramoto, Matsumoto, Nishimura, Panneton, L'Ecuyer, INFORMS J. Computing 20, 2008).
//
// A polynomial is an array of 64-bit words, bit i of the whole the coefficient of t^i.

enum {
    VECTOR_BITS = 32 * LANES,
    VECTOR_BYTES = VECTOR_BITS / 8,
    POLYNOMIAL_VECTORS = (CTK_DEGREE + VECTOR_BITS - 1) / VECTOR_BITS,
    POLYNOMIAL_WORDS = POLYNOMIAL_VECTORS * VECTOR_BITS / 64,
    // A quotient and, on either side of it, a vector of zeros. An odd number of cache lines, to spread the copies.
    QUOTIENT_BYTES = (POLYNOMIAL_WORDS * 8 + 2 * VECTOR_BYTES + 63) / 64 * 64 + 64 * ((POLYNOMIAL_WORDS / 8) % 2 == 0),
};

/// Position of a polynomial term's bits in the shifted copies of the quotient, relative to the current one.
typedef struct {
    int32_t for_quotient[CTK_TERMS];
    int32_t for_remainder[CTK_TERMS];
} term_offsets;

/// Offset in bytes, within eight copies of which copy s is shifted down by s bits, of the bits from `bit` on.
INLINE int32_t bit_offset(int32_t bit) { return (bit & 7) * QUOTIENT_BYTES + VECTOR_BYTES + (bit >> 3); }

INLINE void prepare_terms(term_offsets *offsets) {
    for (int t = 0; t < CTK_TERMS; t++) {
        offsets->for_quotient[t] = bit_offset(CTK_DEGREE - ctk_exponents[t]);
        offsets->for_remainder[t] = bit_offset(-(int32_t)ctk_exponents[t]);
    }
}

/// 32 bits moved apart to the even bits of 64.
INLINE u64v spread(u64v v) {
    v = (v | v << 16) & 0x0000ffff0000ffff;
    v = (v | v << 8) & 0x00ff00ff00ff00ff;
    v = (v | v << 4) & 0x0f0f0f0f0f0f0f0f;
    v = (v | v << 2) & 0x3333333333333333;
    return (v | v << 1) & 0x5555555555555555;
}

/// g ← g² · t^bit mod p.
static void square(uint64_t *g, unsigned bit, const term_offsets *offsets) {
    _Alignas(64) uint64_t product[2 * POLYNOMIAL_WORDS + LANES / 2];
    _Alignas(64) uint8_t quotient[8 * QUOTIENT_BYTES];

    // Squaring is linear: the coefficients move apart.
    for (size_t i = 0; i < 2 * POLYNOMIAL_WORDS; i += LANES / 2) {
        u32h half = *(const u32h_memory *)((const char *)g + 4 * i);
        store_u64(product + i, spread(__builtin_convertvector(half, u64v)) << bit);
    }
    store_u64(product + 2 * POLYNOMIAL_WORDS, (u64v){0});

    // The second-highest term of p lies 623 below the highest, so a vector of the quotient needs only those above it.
    for (size_t s = 0; s < 8; s++) {
        memset(quotient + s * QUOTIENT_BYTES, 0, VECTOR_BYTES);
        memset(quotient + s * QUOTIENT_BYTES + VECTOR_BYTES + POLYNOMIAL_WORDS * 8, 0, VECTOR_BYTES);
    }
    for (int v = POLYNOMIAL_VECTORS - 1; v >= 0; v--) {
        const uint64_t *high = product + CTK_DEGREE / 64 + v * (LANES / 2);
        u64v q = (load_u64(high) >> CTK_DEGREE % 64) | (load_u64(high + 1) << (64 - CTK_DEGREE % 64));
        const uint8_t *here = quotient + v * VECTOR_BYTES;
        for (int t = 0; t < CTK_TERMS; t++) {
            if (CTK_DEGREE - ctk_exponents[t] >= (POLYNOMIAL_VECTORS - v) * VECTOR_BITS) break;
            q ^= load_u64(here + offsets->for_quotient[t]);
        }
        uint8_t *copy = quotient + VECTOR_BYTES + v * VECTOR_BYTES;
        store_u64(copy, q);
        u64v one_byte_on = load_u64(copy + 1);
        for (size_t s = 1; s < 8; s++) store_u64(copy + s * QUOTIENT_BYTES, (q >> s) | (one_byte_on << (8 - s)));
    }
    // Copy s has its first s bits below the quotient proper.
    for (size_t s = 1; s < 8; s++)
        quotient[s * QUOTIENT_BYTES + VECTOR_BYTES - 1] = (uint8_t)(quotient[VECTOR_BYTES] << (8 - s));

    for (int v = 0; v < POLYNOMIAL_VECTORS; v++) {
        u64v r = load_u64(product + v * (LANES / 2));
        const uint8_t *here = quotient + v * VECTOR_BYTES;
        for (int t = CTK_TERMS - 1; t >= 0; t--) {
            if (ctk_exponents[t] >= (v + 1) * VECTOR_BITS) break;
            r ^= load_u64(here + offsets->for_remainder[t]);
        }
        store_u64(g + v * (LANES / 2), r);
    }
    g[CTK_DEGREE / 64] &= (1ull << CTK_DEGREE % 64) - 1;
    for (size_t i = CTK_DEGREE / 64 + 1; i < POLYNOMIAL_WORDS; i++) g[i] = 0;
}

/// g ← t^n mod p.
static void power(uint64_t *g, uint64_t n) {
    term_offsets offsets;
    prepare_terms(&offsets);
    int squarings = 0;
    while (n >> squarings >= 1 << 14) squarings++;
    uint64_t start = n >> squarings;
    memset(g, 0, POLYNOMIAL_WORDS * sizeof(uint64_t));
    g[start / 64] = 1ull << start % 64;
    while (squarings-- > 0) square(g, n >> squarings & 1, &offsets);
}

/// Replaces a block of words by g(A) applied to it. All its words must come from the recurrence.
static void apply(const uint64_t *g, uint32_t *block) {
    enum { ACCUMULATORS = 13 };
    _Static_assert(STATE_VECTORS % ACCUMULATORS == 0, "the block is a whole number of passes");
    _Alignas(64) uint32_t sequence[2 * CTK_STATE_WORDS + LANES] = {0};
    _Alignas(64) uint32_t aligned[2 * CTK_STATE_WORDS];
    _Alignas(64) uint32_t sum[CTK_STATE_WORDS] = {0};
    uint16_t terms[CTK_STATE_WORDS / LANES];
    memcpy(sequence + CTK_STATE_WORDS, block, sizeof sum);
    for (size_t first = 0; first < CTK_DEGREE; first += CTK_STATE_WORDS) {
        memcpy(sequence, sequence + CTK_STATE_WORDS, sizeof sum);
        regenerate(DISCARD, sequence + CTK_STATE_WORDS, NULL, 0, NULL, NULL);
        // Takes the terms by their place within a vector, so that all terms of one place are read at vector boundaries.
        for (size_t place = 0; place < LANES; place++) {
            for (size_t i = 0; i < 2 * CTK_STATE_WORDS; i += LANES)
                store_u32(aligned + i, load_u32(sequence + place + i));
            size_t count = 0;
            for (size_t i = 0; i < CTK_STATE_WORDS && first + place + i < CTK_DEGREE; i += LANES) {
                terms[count] = (uint16_t)i;
                count += g[(first + place + i) / 64] >> (first + place + i) % 64 & 1;
            }
            for (size_t pass = 0; pass < CTK_STATE_WORDS; pass += ACCUMULATORS * LANES) {
                u32v partial[ACCUMULATORS];
#pragma clang loop unroll(full)
                for (size_t v = 0; v < ACCUMULATORS; v++) partial[v] = load_u32(sum + pass + v * LANES);
                for (size_t t = 0; t < count; t++) {
                    const uint32_t *shifted = aligned + terms[t] + pass;
#pragma clang loop unroll(full)
                    for (size_t v = 0; v < ACCUMULATORS; v++) partial[v] ^= load_u32(shifted + v * LANES);
                }
#pragma clang loop unroll(full)
                for (size_t v = 0; v < ACCUMULATORS; v++) store_u32(sum + pass + v * LANES, partial[v]);
            }
        }
    }
    memcpy(block, sum, sizeof sum);
}

static void jump(ctk_stream *stream, uint64_t n) {
    uint64_t blocks = regenerations(&stream->used, n);
    if (blocks == 0) return;
    // The first word of a seeded block does not come from the recurrence; all words of the next block do.
    regenerate(DISCARD, stream->words, NULL, 0, NULL, NULL);
    if (blocks == 1) return;
    _Alignas(64) uint64_t g[POLYNOMIAL_WORDS];
    power(g, (blocks - 1) * CTK_STATE_WORDS);
    apply(g, stream->words);
}

// MARK: Rejection

typedef float f32b __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef int32_t i32b __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef double f64b __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef int64_t i64b __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef int16_t i16b __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef _Bool boolb __attribute__((ext_vector_type(CTK_NORMAL_BLOCK)));
typedef f32b f32b_memory __attribute__((aligned(1), may_alias));
typedef f64b f64b_memory __attribute__((aligned(1), may_alias));
typedef i16b i16b_memory __attribute__((aligned(1), may_alias));

/// A bit for each lane of a comparison, the first lane's lowest.
#define STORE_MASK(destination, comparison)                     \
    do {                                                        \
        boolb lanes = __builtin_convertvector(comparison, boolb); \
        memcpy(destination, &lanes, sizeof(uint16_t));          \
    } while (0)

INLINE void find_outside_f32(const void *values, size_t blocks, float low, float high, uint16_t *masks) {
    for (size_t i = 0; i < blocks; i++) {
        f32b v = ((const f32b_memory *)values)[i];
        i32b out = (v < low) | (v > high);
        STORE_MASK(masks + i, out != 0);
    }
}

INLINE void find_outside_f64(const void *values, size_t blocks, double low, double high, uint16_t *masks) {
    for (size_t i = 0; i < blocks; i++) {
        f64b v = ((const f64b_memory *)values)[i];
        i64b out = (v < low) | (v > high);
        STORE_MASK(masks + i, out != 0);
    }
}

/// Sign and magnitude as an integer in the order of the numbers, so that both 16-bit types are compared without being
/// converted; both zeros are 0.
#define ORDER_16(bits) (((bits) >> 15 & -((bits) & 0x7fff)) | (~((bits) >> 15) & (bits)))

INLINE void find_outside_16(
    const void *values, size_t blocks, uint16_t low, uint16_t high, uint16_t infinity, uint16_t *masks) {
    int16_t lowest = (int16_t)ORDER_16((int16_t)low), highest = (int16_t)ORDER_16((int16_t)high);
    for (size_t i = 0; i < blocks; i++) {
        i16b bits = ((const i16b_memory *)values)[i];
        i16b v = ORDER_16(bits);
        i16b number = (bits & 0x7fff) <= (int16_t)infinity;
        i16b out = number & ((v < lowest) | (v > highest));
        STORE_MASK(masks + i, out != 0);
    }
}

enum { F16_INFINITY = 0x7c00, BF16_INFINITY = 0x7f80 };

INLINE ctk_range range_pending(const uint16_t *pending, size_t blocks) {
    ctk_range range = {0, blocks};
    uint64_t four;
    for (; range.first + 4 <= blocks; range.first += 4) {
        memcpy(&four, pending + range.first, sizeof four);
        if (four != 0) break;
    }
    while (range.first < blocks && pending[range.first] == 0) range.first++;
    for (; range.end >= range.first + 4; range.end -= 4) {
        memcpy(&four, pending + range.end - 4, sizeof four);
        if (four != 0) break;
    }
    while (range.end > range.first && pending[range.end - 1] == 0) range.end--;
    return range;
}

static ctk_range outside_f32(const void *values, size_t blocks, float low, float high, uint16_t *masks) {
    find_outside_f32(values, blocks, low, high, masks);
    return range_pending(masks, blocks);
}

static ctk_range outside_f64(const void *values, size_t blocks, double low, double high, uint16_t *masks) {
    find_outside_f64(values, blocks, low, high, masks);
    return range_pending(masks, blocks);
}

static ctk_range outside_f16(const void *values, size_t blocks, uint16_t low, uint16_t high, uint16_t *masks) {
    find_outside_16(values, blocks, low, high, F16_INFINITY, masks);
    return range_pending(masks, blocks);
}

static ctk_range outside_bf16(const void *values, size_t blocks, uint16_t low, uint16_t high, uint16_t *masks) {
    find_outside_16(values, blocks, low, high, BF16_INFINITY, masks);
    return range_pending(masks, blocks);
}

enum {
    // Words and elements listed at a time.
    REDRAWN = 4 * CTK_STATE_WORDS,
    REDRAWN_WIDE = (REDRAWN + LANES * CTK_WIDTH - 1) / (LANES * CTK_WIDTH) * (LANES * CTK_WIDTH),
    AT_ONCE = 6,
};

/// Lists the elements whose bits are set, and returns how many there are. Writes up to AT_ONCE entries more.
INLINE size_t list(const uint16_t *pending, size_t blocks, uint16_t *places) {
    size_t count = 0;
    for (size_t block = 0; block < blocks; block += 4) {
        uint64_t bits = 0;
        if (blocks - block >= 4) memcpy(&bits, pending + block, sizeof bits);
        else
            for (size_t i = block; i < blocks; i++) bits |= (uint64_t)pending[i] << 16 * (i - block);
        if (bits == 0) continue;
        size_t here = (size_t)__builtin_popcountll(bits);
        // A loop of exactly as many steps as needed would mostly end with a mispredicted branch.
        for (size_t i = 0; i < here || i < AT_ONCE; i++) {
            places[count + i] = (uint16_t)(16 * block + (size_t)__builtin_ctzll(bits | 1ull << 63));
            bits &= bits - 1;
        }
        count += here;
    }
    return count;
}

/// Sets the bits of the listed elements that are marked in `masks`, and no others.
INLINE void relist(const uint16_t *places, size_t count, const uint16_t *masks, uint16_t *pending, size_t blocks) {
    memset(pending, 0, blocks * sizeof(uint16_t));
    for (size_t i = 0; i < count; i += 16) {
        uint32_t bits = masks[i / 16];
        if (count - i < 16) bits &= (1u << (count - i)) - 1;
        for (; bits != 0; bits &= bits - 1) {
            size_t place = places[i + (size_t)__builtin_ctz(bits)];
            pending[place / 16] |= (uint16_t)(1 << place % 16);
        }
    }
}

typedef struct { float low, high; uint16_t low_bits, high_bits; } bounds;

INLINE ctk_range redraw(
    stored type, ctk_stream *stream, void *values, size_t blocks, float mean, float std, bounds accepted,
    uint16_t *pending) {
    enum { WIDE = LANES * CTK_WIDTH, BLOCKS = REDRAWN / 16 };
    _Alignas(64) uint32_t scratch[REDRAWN], first[REDRAWN_WIDE], second[REDRAWN_WIDE], is_sine[REDRAWN_WIDE];
    _Alignas(64) uint32_t made[REDRAWN_WIDE];
    uint16_t places[REDRAWN + AT_ONCE], outside[REDRAWN_WIDE / 16 + 1];
    size_t size = type == F32 ? 4 : 2;
    f32v m = (f32v)mean, s = (f32v)std;
    for (size_t block = 0; block < blocks; block += BLOCKS) {
        size_t these = blocks - block < BLOCKS ? blocks - block : BLOCKS;
        size_t count = list(pending + block, these, places);
        if (count == 0) {
            skip(stream, 16 * these);
            continue;
        }
        draw(UNTEMPERED, stream, scratch, 16 * these, NULL);
        for (size_t i = 0; i < count; i++) {
            first[i] = scratch[places[i] & ~8];
            second[i] = scratch[places[i] | 8];
            is_sine[i] = -(uint32_t)(places[i] >> 3 & 1);
        }
        for (size_t i = count; i % WIDE != 0; i++) first[i] = second[i] = is_sine[i] = 0;
        for (size_t i = 0; i < count; i += WIDE) {
            u32w_parts k, quadrant;
            f32w_parts r, sine, cosine;
            for (size_t v = 0; v < CTK_WIDTH; v++) k.each[v] = numerator(temper(load_u32(first + i + LANES * v)));
            radius(&k.all, &r.all);
            for (size_t v = 0; v < CTK_WIDTH; v++) k.each[v] = numerator(temper(load_u32(second + i + LANES * v)));
            sincos_in_quadrant(&k.all, &sine.all, &cosine.all, &quadrant.all);
            for (size_t v = 0; v < CTK_WIDTH; v++) {
                u32v q = quadrant.each[v], choice = load_u32(is_sine + i + LANES * v);
                exchange(q, &sine.each[v], &cosine.each[v]);
                f32v a = r.each[v] * choose(choice, sine.each[v], cosine.each[v]);
                f32v b = choose(choice, sine_signed(s, q), cosine_signed(s, q));
                store_as(type, made, i + LANES * v, fma_f32(a, b, m));
            }
        }
        size_t groups = (count + 15) / 16;
        if (type == F32) find_outside_f32(made, groups, accepted.low, accepted.high, outside);
        else
            find_outside_16(
                made, groups, accepted.low_bits, accepted.high_bits, type == F16 ? F16_INFINITY : BF16_INFINITY, outside);
        char *to = (char *)values + 16 * block * size;
        for (size_t i = 0; i < count; i++) memcpy(to + places[i] * size, (const char *)made + i * size, size);
        relist(places, count, outside, pending + block, these);
    }
    return range_pending(pending, blocks);
}

static ctk_range redraw_f32(
    ctk_stream *stream, void *values, size_t blocks, float mean, float std, float low, float high, uint16_t *pending) {
    return redraw(F32, stream, values, blocks, mean, std, (bounds){.low = low, .high = high}, pending);
}

static ctk_range redraw_f16(
    ctk_stream *stream, void *values, size_t blocks, float mean, float std, uint16_t low, uint16_t high,
    uint16_t *pending) {
    return redraw(F16, stream, values, blocks, mean, std, (bounds){.low_bits = low, .high_bits = high}, pending);
}

static ctk_range redraw_bf16(
    ctk_stream *stream, void *values, size_t blocks, float mean, float std, uint16_t low, uint16_t high,
    uint16_t *pending) {
    return redraw(BF16, stream, values, blocks, mean, std, (bounds){.low_bits = low, .high_bits = high}, pending);
}

/// `unit_f64` of one pair of words.
INLINE double unit_of_pair(const uint32_t *pair) {
    return (double)(int64_t)(((uint64_t)(pair[0] & 0x1fffff) << 32) | pair[1]) * 0x1p-53;
}

static ctk_range redraw_f64(
    ctk_stream *stream, void *values, size_t blocks, double mean, double std, double low, double high,
    uint16_t *pending) {
    enum { BLOCKS = REDRAWN / 32 };
    _Alignas(64) uint32_t scratch[REDRAWN];
    _Alignas(64) double made[16 * BLOCKS];
    uint16_t places[16 * BLOCKS + AT_ONCE], outside[BLOCKS];
    for (size_t block = 0; block < blocks; block += BLOCKS) {
        size_t these = blocks - block < BLOCKS ? blocks - block : BLOCKS;
        size_t count = list(pending + block, these, places);
        if (count == 0) {
            skip(stream, 32 * these);
            continue;
        }
        words(stream, scratch, 32 * these);
        for (size_t i = 0; i < count; i++) {
            double u1 = 1.0 - unit_of_pair(scratch + 2 * (places[i] & ~8));
            double angle = 0x1.921fb54442d18p2 * unit_of_pair(scratch + 2 * (places[i] | 8));
            double r = __builtin_elementwise_sqrt(log(u1) * -2.0);
            made[i] = __builtin_elementwise_fma(r * (places[i] & 8 ? sin(angle) : cos(angle)), std, mean);
        }
        for (size_t i = count; i % 16 != 0; i++) made[i] = 0;
        find_outside_f64(made, (count + 15) / 16, low, high, outside);
        char *to = (char *)values + 16 * block * sizeof(double);
        for (size_t i = 0; i < count; i++) memcpy(to + places[i] * sizeof(double), made + i, sizeof(double));
        relist(places, count, outside, pending + block, these);
    }
    return range_pending(pending, blocks);
}

// MARK: Arithmetic on elements

// Indices of the lanes that are (a[i], b[i], a[j], b[j]), or (a[i], a[j], b[i], b[j]), in each quarter of 16 bytes.
#if CTK_LANES == 16
#define ALTERNATE(a, b, i, j) __builtin_shufflevector(a, b, i, 16 + i, j, 16 + j, 4 + i, 20 + i, 4 + j, 20 + j, \
    8 + i, 24 + i, 8 + j, 24 + j, 12 + i, 28 + i, 12 + j, 28 + j)
#define ADJOIN(a, b, i, j) __builtin_shufflevector(a, b, i, j, 16 + i, 16 + j, 4 + i, 4 + j, 20 + i, 20 + j, \
    8 + i, 8 + j, 24 + i, 24 + j, 12 + i, 12 + j, 28 + i, 28 + j)
#elif CTK_LANES == 8
#define ALTERNATE(a, b, i, j) __builtin_shufflevector(a, b, i, 8 + i, j, 8 + j, 4 + i, 12 + i, 4 + j, 12 + j)
#define ADJOIN(a, b, i, j) __builtin_shufflevector(a, b, i, j, 8 + i, 8 + j, 4 + i, 4 + j, 12 + i, 12 + j)
#else
#define ALTERNATE(a, b, i, j) __builtin_shufflevector(a, b, i, 4 + i, j, 4 + j)
#define ADJOIN(a, b, i, j) __builtin_shufflevector(a, b, i, j, 4 + i, 4 + j)
#endif

typedef float f32x4 __attribute__((ext_vector_type(4), may_alias));

/// The rows of every fourth lane, one after the other; `offsets` are in bytes.
INLINE f32v rows_at(const char *rows, const uint32_t *offsets) {
#define ROW(i) (*(const f32x4 *)(rows + offsets[i]))
#if CTK_LANES == 16
    return __builtin_shufflevector(
        __builtin_shufflevector(ROW(0), ROW(4), 0, 1, 2, 3, 4, 5, 6, 7),
        __builtin_shufflevector(ROW(8), ROW(12), 0, 1, 2, 3, 4, 5, 6, 7),
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif CTK_LANES == 8
    return __builtin_shufflevector(ROW(0), ROW(4), 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return ROW(0);
#endif
#undef ROW
}

/// Shift that turns the bits of u into the place of its row in bytes, if the bits that do not select a row are 0.
enum { ROW_SHIFT = 23 - CTK_ERFINV_STEP_BITS - 4 };

/// Finds the row of each number, in bytes from where u = 0 would have one, and the number's distance from its end.
INLINE void erfinv_place(f32v u, f32v magnitude, uint32_t *offset, float *distance) {
    u32v begin = (u32v)u & ~(uint32_t)CTK_ERFINV_REST;
    store_u32(offset, begin >> ROW_SHIFT);
    store_f32(distance, magnitude - (1 - (f32v)begin));
}

/// The same for several vectors.
INLINE void erfinv_places(const float *values, size_t vectors, uint32_t *offsets, float *distances) {
    u32v greatest = 0;
    for (size_t i = 0; i < vectors; i++) {
        u32v magnitude = load_u32(values + i * LANES) & 0x7fffffff;
        greatest = __builtin_elementwise_max(greatest, magnitude);
        erfinv_place(1 - (f32v)magnitude, (f32v)magnitude, offsets + i * LANES, distances + i * LANES);
    }
    uint32_t least_bits = CTK_ERFINV_LEAST, beyond_bits = CTK_ERFINV_LEAST - 1, last_bits;
    float least, beyond, last;
    memcpy(&least, &least_bits, sizeof least);
    memcpy(&beyond, &beyond_bits, sizeof beyond);
    last = 1 - least;
    memcpy(&last_bits, &last, sizeof last_bits);
    if (__builtin_expect(__builtin_reduce_max(greatest) <= last_bits, 1)) return;
    // Some numbers have no row. They get the first row, which gives NaN and so decides nothing.
    for (size_t i = 0; i < vectors; i++) {
        f32v magnitude = (f32v)(load_u32(values + i * LANES) & 0x7fffffff), u = 1 - magnitude;
        u = magnitude <= last ? u : (f32v)beyond;
        erfinv_place(u, magnitude, offsets + i * LANES, distances + i * LANES);
    }
}

typedef _Bool lanes_of_bits __attribute__((ext_vector_type(CTK_LANES)));

/// Upper bound of the relative error of `rest` below, and of `low`. `make prove-erfinv` tries all floats: the error is
/// 2^-22.09 at most.
#define CUBIC_ERROR 0x1p-22f

/// Bounds of the true value, rounded. If both are the same number, it is the result.
typedef struct { f32v result, other; } erfinv_bounds;

INLINE erfinv_bounds erfinv_near(f32v x, const uint32_t *offsets, f32v t) {
    // The address of a row for u = 0. It is outside of the table, so it is computed as an integer.
    const char *rows = (const char *)((uintptr_t)(ctk_erfinv_rows + 1) - (CTK_ERFINV_LEAST >> ROW_SHIFT));
    f32v a = rows_at(rows, offsets), b = rows_at(rows, offsets + 1);
    f32v c = rows_at(rows, offsets + 2), d = rows_at(rows, offsets + 3);
    f32v ab = ALTERNATE(a, b, 0, 1), cd = ALTERNATE(c, d, 0, 1);
    f32v high = ADJOIN(ab, cd, 0, 1), first = ADJOIN(ab, cd, 2, 3);
    ab = ALTERNATE(a, b, 2, 3), cd = ALTERNATE(c, d, 2, 3);
    f32v second = ADJOIN(ab, cd, 0, 1), third = ADJOIN(ab, cd, 2, 3);
    // A choice of halves, which is one instruction. The compiler does not find it for masks of bits.
    f32v constant = (f32v)((i16d)((u32v)0 + 0xffff) ? (u16d)third : (u16d)((u32v)0 + 0xb8000000));
    f32v result, other;
#if CTK_FMA
    f32v low = fma_f32(fma_f32(fma_f32(third, t, second), t, first), t, constant);
    f32v product = x * high;
    f32v rest = fma_f32(x, low, fma_f32(x, high, -product));
    result = fma_f32(rest, (f32v)(1 + CUBIC_ERROR), product);
    other = fma_f32(rest, (f32v)(1 - CUBIC_ERROR), product);
#else
    f32v low = ((third * t + second) * t + first) * t + constant;
    f64v x_wide[2] = {__builtin_convertvector(x.lo, f64v), __builtin_convertvector(x.hi, f64v)};
    f64v low_wide[2] = {__builtin_convertvector(low.lo, f64v), __builtin_convertvector(low.hi, f64v)};
    f64v ratio[2] = {__builtin_convertvector(high.lo, f64v), __builtin_convertvector(high.hi, f64v)};
    for (int half = 0; half < 2; half++) ratio[half] += low_wide[half];
    result.lo = __builtin_convertvector(x_wide[0] * (ratio[0] + low_wide[0] * CUBIC_ERROR), f32h);
    result.hi = __builtin_convertvector(x_wide[1] * (ratio[1] + low_wide[1] * CUBIC_ERROR), f32h);
    other.lo = __builtin_convertvector(x_wide[0] * (ratio[0] - low_wide[0] * CUBIC_ERROR), f32h);
    other.hi = __builtin_convertvector(x_wide[1] * (ratio[1] - low_wide[1] * CUBIC_ERROR), f32h);
#endif
    return (erfinv_bounds){result, other};
}

/// The result of an operation. If it is NaN although the operands are numbers, its sign is the same on every processor.
INLINE f32v undefined_alike(f32v x, float operand, f32v result) {
#if defined(__x86_64__)
    return result;
#else
    i32v undefined = (result != result) & (x == x);
    return operand == operand ? (f32v)(undefined ? (u32v)0xffc00000 : (u32v)result) : result;
#endif
}

INLINE f32v step_of(ctk_operation operation, f32v x, const ctk_step *step) {
    float first = (float)step->first, second = (float)step->second;
    switch (operation) {
    case CTK_ADD: return undefined_alike(x, first, x + first);
    case CTK_SUBTRACT: return undefined_alike(x, first, x - first);
    case CTK_MULTIPLY: return undefined_alike(x, first, x * first);
    case CTK_DIVIDE: return undefined_alike(x, first, x / first);
    case CTK_CLAMP:
        x = x < first ? (f32v)first : x;
        return x > second ? (f32v)second : x;
    case CTK_INVERSE_ERROR: break;
    }
    return x;
}

INLINE f32v step_f32(f32v x, const ctk_step *step) { return step_of(step->operation, x, step); }

INLINE f32v from_bf16(u16v v) { return (f32v)(__builtin_convertvector(v, u32v) << 16); }

INLINE f32v from_f16(u16v v) {
#if CTK_HALF
    return __builtin_convertvector((f16v)v, f32v);
#else
    u32v bits = __builtin_convertvector(v, u32v);
    u32v magnitude = bits & 0x7fff;
    // Exact: the exponent is moved by a product. Infinity and NaN have an exponent of their own.
    f32v value = (f32v)(magnitude << 13) * 0x1p112f;
    u32v result = magnitude >= 0x7c00 ? 0x7f800000 | magnitude << 13 : (u32v)value;
    return (f32v)(result | (bits & 0x8000) << 16);
#endif
}

/// Values that all steps are applied to before the next values are loaded: they stay in the first-level cache.
enum { CHANGED = 512, TOGETHER = 4 };

INLINE f32v rounded_as(stored type, f32v x) {
    if (type == F16) return from_f16(to_f16(x));
    if (type == BF16) return from_bf16(to_bf16(x));
    return x;
}

/// Steps that often follow the inverse of the error function. A step may do nothing: adding −0, or multiplying by 1.
typedef struct { ctk_step scale, shift, limit; } affine;

/// Reads the inverse of the error function and those of the three steps that follow it in this order.
///
/// Returns `false` if there is no `scale`: values without a following step must not be multiplied by 1.
INLINE int read_affine(const ctk_step **step, const ctk_step *end, affine *found) {
    if (++*step == end || (*step)->operation != CTK_MULTIPLY) return 0;
    found->scale = *(*step)++;
    if (*step < end && (*step)->operation == CTK_ADD) found->shift = *(*step)++;
    if (*step < end && (*step)->operation == CTK_CLAMP) found->limit = *(*step)++;
    return 1;
}

INLINE f32v apply_affine(stored type, f32v x, const affine *steps) {
    x = rounded_as(type, step_of(CTK_MULTIPLY, x, &steps->scale));
    x = rounded_as(type, step_of(CTK_ADD, x, &steps->shift));
    return rounded_as(type, step_of(CTK_CLAMP, x, &steps->limit));
}

INLINE f32v erfinv_finish(stored type, f32v x, const affine *then) {
    x = rounded_as(type, x);
    return then == NULL ? x : apply_affine(type, x, then);
}

/// Applies the inverse of the error function, and the steps after it if there are any, in place.
INLINE void erfinv_and(
    stored type, float *values, size_t vectors, const uint32_t *offsets, const float *distances, const affine *then) {
    // Numbers that the table does not decide. They come last, so that nothing waits for them.
    _Alignas(64) float undecided[CHANGED], x_lanes[LANES];
    uint16_t places[CHANGED];
    size_t count = 0;
    for (size_t i = 0; i < vectors; i++) {
        f32v x = *(const f32v_memory *)(values + i * LANES);
        erfinv_bounds near = erfinv_near(x, offsets + i * LANES, *(const f32v_memory *)(distances + i * LANES));
        store_f32(values + i * LANES, erfinv_finish(type, near.result, then));
        lanes_of_bits differ = __builtin_convertvector(near.result != near.other, lanes_of_bits);
        uint32_t bits = 0;
        memcpy(&bits, &differ, sizeof differ);
        if (LANES < 8) bits &= (1 << LANES) - 1;
        if (__builtin_expect(bits != 0, 0)) {
            store_f32(x_lanes, x);
            for (; bits != 0; bits &= bits - 1, count++) {
                int lane = __builtin_ctz(bits);
                undecided[count] = x_lanes[lane];
                places[count] = (uint16_t)(i * LANES + lane);
            }
        }
    }
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) undecided[i] = ctk_erfinv(undecided[i]);
    // Unused lanes of a vector must be numbers, too.
    for (size_t i = count; i % LANES != 0; i++) undecided[i] = 0;
    for (size_t i = 0; i < count; i += LANES)
        store_f32(undecided + i, erfinv_finish(type, *(const f32v_memory *)(undecided + i), then));
    for (size_t i = 0; i < count; i++) memcpy((char *)values + places[i] * sizeof(float), undecided + i, sizeof(float));
}

INLINE void change_narrow(stored type, void *values, size_t n, const ctk_step *steps, size_t count) {
    // Unused elements must be numbers, too, although they are never stored.
    _Alignas(64) float wide[CHANGED] = {0};
    _Alignas(64) uint16_t narrow[CHANGED] = {0};
    _Alignas(64) uint32_t offsets[CHANGED];
    _Alignas(64) float distances[CHANGED];
    size_t size = type == F32 ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < count; i++)
        if (steps[i].operation == CTK_INVERSE_ERROR) ctk_erfinv_prepare();
    for (size_t at = 0; at < n; at += CHANGED) {
        size_t these = n - at < CHANGED ? n - at : CHANGED, vectors = (these + LANES - 1) / LANES;
        char *place = (char *)values + at * size;
        // A whole run of floats is changed in place.
        float *changed = type == F32 && these == CHANGED ? (float *)place : wide;
        if (type == F32) {
            if (changed == wide) memcpy(wide, place, these * size);
        } else {
            memcpy(narrow, place, these * size);
            for (size_t i = 0; i < vectors; i++) {
                u16v bits = *(const u16v_memory *)(narrow + i * LANES);
                store_f32(wide + i * LANES, type == F16 ? from_f16(bits) : from_bf16(bits));
            }
        }
        for (const ctk_step *step = steps; step < steps + count;) {
            const ctk_step *end = step;
            // The buffers have room for whole groups.
            if (step->operation == CTK_INVERSE_ERROR) {
                // Finds all places in the table first, so that the loads of rows need not wait for them.
                erfinv_places(changed, vectors, offsets, distances);
                affine then = {
                    .scale = {CTK_MULTIPLY, 1, 0},
                    .shift = {CTK_ADD, -0.0, 0},
                    .limit = {CTK_CLAMP, -INFINITY, INFINITY},
                };
                if (read_affine(&end, steps + count, &then))
                    erfinv_and(type, changed, vectors, offsets, distances, &then);
                else
                    erfinv_and(type, changed, vectors, offsets, distances, NULL);
            } else {
                while (end < steps + count && end->operation != CTK_INVERSE_ERROR) end++;
                for (size_t i = 0; i < vectors; i += TOGETHER) {
                    f32v x[TOGETHER];
                    for (int k = 0; k < TOGETHER; k++) x[k] = *(const f32v_memory *)(changed + (i + k) * LANES);
                    for (const ctk_step *each = step; each < end; each++)
                        for (int k = 0; k < TOGETHER; k++) x[k] = rounded_as(type, step_f32(x[k], each));
                    for (int k = 0; k < TOGETHER; k++) store_f32(changed + (i + k) * LANES, x[k]);
                }
            }
            step = end;
        }
        if (type == F32) {
            if (changed == wide) memcpy(place, wide, these * size);
        } else {
            for (size_t i = 0; i < vectors; i++) {
                f32v x = *(const f32v_memory *)(wide + i * LANES);
                store_u16(narrow + i * LANES, type == F16 ? to_f16(x) : to_bf16(x));
            }
            memcpy(place, narrow, these * size);
        }
    }
}

static void change_f32(void *values, size_t n, const ctk_step *steps, size_t count) {
    change_narrow(F32, values, n, steps, count);
}

static void change_f16(void *values, size_t n, const ctk_step *steps, size_t count) {
    change_narrow(F16, values, n, steps, count);
}

static void change_bf16(void *values, size_t n, const ctk_step *steps, size_t count) {
    change_narrow(BF16, values, n, steps, count);
}

static void change_f64(void *values, size_t n, const ctk_step *steps, size_t count) {
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (char *)values + i * sizeof x, sizeof x);
        for (const ctk_step *step = steps; step < steps + count; step++) {
            double before = x;
            switch (step->operation) {
            case CTK_ADD: x += step->first; break;
            case CTK_SUBTRACT: x -= step->first; break;
            case CTK_MULTIPLY: x *= step->first; break;
            case CTK_DIVIDE: x /= step->first; break;
            case CTK_CLAMP:
                x = x < step->first ? step->first : x;
                x = x > step->second ? step->second : x;
                break;
            case CTK_INVERSE_ERROR: break;
            }
            // Like `undefined_alike`.
            if (x != x && before == before && step->first == step->first) {
                uint64_t undefined = 0xfff8000000000000;
                memcpy(&x, &undefined, sizeof x);
            }
        }
        memcpy((char *)values + i * sizeof x, &x, sizeof x);
    }
}

const ctk_kernels CTK_TABLE = {
    .name = CTK_NAME,
    .words = words,
    .skip = skip,
    .jump = jump,
    .uniform_f32 = uniform_f32,
    .uniform_f64 = uniform_f64,
    .uniform_f16 = uniform_f16,
    .uniform_bf16 = uniform_bf16,
    .normal_f32 = normal_f32,
    .normal_f16 = normal_f16,
    .normal_bf16 = normal_bf16,
    .normal_f64 = normal_f64,
    .outside_f32 = outside_f32,
    .outside_f64 = outside_f64,
    .outside_f16 = outside_f16,
    .outside_bf16 = outside_bf16,
    .redraw_f32 = redraw_f32,
    .redraw_f64 = redraw_f64,
    .redraw_f16 = redraw_f16,
    .redraw_bf16 = redraw_bf16,
    .change_f32 = change_f32,
    .change_f64 = change_f64,
    .change_f16 = change_f16,
    .change_bf16 = change_bf16,
    .radius_f32 = radius_f32,
    .sincos_f32 = sincos_f32,
};
