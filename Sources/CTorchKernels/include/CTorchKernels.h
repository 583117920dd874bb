#ifndef CTORCHKERNELS_H
#define CTORCHKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "ctk_libm.h"

/// Vector kernels for the random tensors of PyTorch's CPU generator: MT19937 words, uniforms and normals, and a seek.
///
/// Every kernel set gives the same bits, those of PyTorch 2.13 on x86-64 with AVX2. The float64 normals are the one
/// exception: their logarithm, sine and cosine are the C library's, and only glibc's with FMA are PyTorch's.
///
/// Conventions. Counts are in words (32 bits), elements or blocks (16 elements), never in bytes. Outputs belong to the
/// caller, need the alignment of their element only, must not overlap the stream, and are written in exactly the
/// counted elements. Nothing allocates, nothing fails, and distinct streams may be used from distinct threads. A stack
/// of 128 KiB suffices.

enum {
    /// Words in one block of the generator's state.
    CTK_STATE_WORDS = 624,
    /// Elements in one block of normals.
    CTK_NORMAL_BLOCK = 16,
};

/// A position in an MT19937 stream: the current block of untempered words, and how many of them have been drawn.
///
/// A plain value: copy it to fork the stream. Any alignment of `uint32_t` works; 64 bytes is fastest.
typedef struct ctk_stream {
    uint32_t words[CTK_STATE_WORDS];
    /// 0...624; at 624 the next draw regenerates the block. A greater value is undefined behaviour.
    uint32_t used;
} ctk_stream;

/// Blocks from the first to the last one with a mask that is not zero; none if `first` is `end`.
typedef struct ctk_range {
    size_t first, end;
} ctk_range;

/// A step of arithmetic on elements.
typedef enum ctk_operation {
    CTK_ADD,
    CTK_SUBTRACT,
    CTK_MULTIPLY,
    CTK_DIVIDE,
    /// The larger of the element and `first`, then the smaller of that and `second`. NaN stays.
    CTK_CLAMP,
    /// The inverse of the error function, to the nearest float; beyond ±1 NaN. Not in double.
    CTK_INVERSE_ERROR,
} ctk_operation;

typedef struct ctk_step {
    ctk_operation operation;
    /// Operands, which the type of the elements or of the computation can represent.
    double first, second;
} ctk_step;

/// Types of the kernels that take the same parameters for IEEE half and bfloat16, or for all element types.
typedef void (*ctk_uniform_16)(
    ctk_stream *_Nonnull, uint16_t *_Nonnull out, size_t n, float from, float width, uint16_t replaced,
    uint16_t replacement);
typedef void (*ctk_normal_16)(ctk_stream *_Nonnull, uint16_t *_Nonnull out, size_t blocks, float mean, float std);
typedef ctk_range (*ctk_outside_16)(
    const void *_Nonnull, size_t blocks, uint16_t low, uint16_t high, uint16_t *_Nonnull masks);
typedef ctk_range (*ctk_redraw_16)(
    ctk_stream *_Nonnull, void *_Nonnull values, size_t blocks, float mean, float std, uint16_t low, uint16_t high,
    uint16_t *_Nonnull pending);
typedef void (*ctk_change)(void *_Nonnull values, size_t n, const ctk_step *_Nonnull steps, size_t count);

/// The kernels compiled for one instruction set.
///
/// All functions that take a stream advance it. `n` and `blocks` may be 0; positions need not be at block boundaries.
typedef struct ctk_kernels {
    /// `avx512`, `avx2`, `neon` or `portable`.
    const char *_Nonnull name;

    /// Draws `n` tempered words.
    void (*_Nonnull words)(ctk_stream *_Nonnull, uint32_t *_Nonnull out, size_t n);
    /// Skips `n` words one block at a time, without tempering them.
    void (*_Nonnull skip)(ctk_stream *_Nonnull, uint64_t n);
    /// Skips `n` words in a time that grows with the logarithm of `n`, by a power of the transition over GF(2).
    ///
    /// Leaves the stream exactly as `skip` does. It costs as much as skipping a few million words; `ctk_jump` chooses.
    void (*_Nonnull jump)(ctk_stream *_Nonnull, uint64_t n);

    /// Uniforms `fma(u, width, from)`; a value equal to `replaced` becomes `replacement`. One word each, u of 24 bits.
    ///
    /// PyTorch's half-open range [from, to): `width` is to − from, rounded; `replaced` is to; `replacement` is from.
    void (*_Nonnull uniform_f32)(
        ctk_stream *_Nonnull, float *_Nonnull out, size_t n, float from, float width, float replaced,
        float replacement);
    /// Like `uniform_f32` in double, with two words each and u of 53 bits.
    void (*_Nonnull uniform_f64)(
        ctk_stream *_Nonnull, double *_Nonnull out, size_t n, double from, double width, double replaced,
        double replacement);
    /// Like `uniform_f32`, rounded to IEEE half; `replaced` is compared after rounding, as a number (−0 equals +0).
    ctk_uniform_16 _Nonnull uniform_f16;
    /// Like `uniform_f16`, rounded to bfloat16.
    ctk_uniform_16 _Nonnull uniform_bf16;

    /// Normals in whole blocks of 16, 16 words each: elements j and j + 8 of a block are the cosine and sine half of a
    /// Box-Muller pair from words j and j + 8.
    void (*_Nonnull normal_f32)(ctk_stream *_Nonnull, float *_Nonnull out, size_t blocks, float mean, float std);
    /// Like `normal_f32`, rounded to IEEE half.
    ctk_normal_16 _Nonnull normal_f16;
    /// Like `normal_f32`, rounded to bfloat16.
    ctk_normal_16 _Nonnull normal_bf16;
    /// Like `normal_f32` in double, with 32 words to a block and the C library's `log`, `sin` and `cos`.
    void (*_Nonnull normal_f64)(ctk_stream *_Nonnull, double *_Nonnull out, size_t blocks, double mean, double std);

    /// Writes for each block of 16 values a mask of the values below `low` or above `high`, with the first value's bit
    /// lowest. NaN is neither below nor above. Values may have any alignment; bounds of 16 bits have the values' type.
    ///
    /// Returns the blocks whose masks are not zero.
    ctk_range (*_Nonnull outside_f32)(
        const void *_Nonnull, size_t blocks, float low, float high, uint16_t *_Nonnull masks);
    ctk_range (*_Nonnull outside_f64)(
        const void *_Nonnull, size_t blocks, double low, double high, uint16_t *_Nonnull masks);
    ctk_outside_16 _Nonnull outside_f16, outside_bf16;

    /// Draws blocks like `normal_f32` and the others, but makes only the values whose bit in `pending` is set; they
    /// replace those in `values`. The bit of a value stays set if the value is outside of the bounds again.
    ///
    /// Returns the blocks whose `pending` is not zero afterwards.
    ctk_range (*_Nonnull redraw_f32)(
        ctk_stream *_Nonnull, void *_Nonnull values, size_t blocks, float mean, float std, float low, float high,
        uint16_t *_Nonnull pending);
    ctk_range (*_Nonnull redraw_f64)(
        ctk_stream *_Nonnull, void *_Nonnull values, size_t blocks, double mean, double std, double low, double high,
        uint16_t *_Nonnull pending);
    ctk_redraw_16 _Nonnull redraw_f16, redraw_bf16;

    /// Applies the steps, one after the other, to `n` values of any alignment, in place. Values of 16 bits are widened
    /// to float for each step, and rounded after it.
    ctk_change _Nonnull change_f32, change_f64, change_f16, change_bf16;

    /// sqrt(−2 log u) for u = 1 − k·2^-24, k < 2^24: the radius in `normal_f32`, separate so that tests can try every
    /// input.
    void (*_Nonnull radius_f32)(const uint32_t *_Nonnull k, float *_Nonnull out, size_t n);
    /// Sine and cosine of 2π·k·2^-24, k < 2^24: the angle in `normal_f32`, separate so that tests can try every input.
    void (*_Nonnull sincos_f32)(
        const uint32_t *_Nonnull k, float *_Nonnull sine, float *_Nonnull cosine, size_t n);
} ctk_kernels;

/// Sets the stream to the start for a seed (`init_genrand` of Matsumoto and Nishimura).
void ctk_seed(ctk_stream *_Nonnull, uint32_t seed);

/// Writes the kernel sets that this processor can run, best first, and returns how many there are.
///
/// Writes at most `capacity` of them. The last is always the portable one, or `neon` on arm64. They are constants.
size_t ctk_variants(const ctk_kernels *_Nonnull *_Nonnull out, size_t capacity);

/// The best kernel set that this processor can run.
const ctk_kernels *_Nonnull ctk_best(void);

/// Skips any number of words by `skip` or `jump`, whichever is faster.
void ctk_jump(const ctk_kernels *_Nonnull, ctk_stream *_Nonnull, uint64_t n);

#endif
