#ifndef CLINEARALGEBRA_H
#define CLINEARALGEBRA_H

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// The orthogonal factor of a matrix A: the Q of its thin QR decomposition A = QR whose R has a positive diagonal.
///
/// Every instruction set and any number of threads give the same bits: factor.h defines them. A column whose diagonal
/// element of R is exactly 0 becomes 0, as in PyTorch.
///
/// The work is done in units of a few milliseconds: `cla_factor_begin`, `cla_factor_step` until it returns false,
/// `cla_factor_end`. Ending earlier cancels the rest. Only one thread at a time may call these functions; helper
/// threads belong to the factor and end with it.
typedef struct cla_factor cla_factor;

typedef enum {
    CLA_FLOAT32,
    CLA_FLOAT64,
} cla_precision;

/// Bytes of memory that a factor takes besides its matrix.
///
/// - `rows`, `columns`: at least 1, their product below 2^31.
size_t cla_factor_bytes(cla_precision precision, size_t rows, size_t columns);

/// Begins the decomposition of a matrix in place.
///
/// - `kernels`: `avx512`, `avx2`, `neon` or `portable`; this processor must be able to run them. An unknown name gets
///   `neon` or `portable`, which every processor can run.
/// - `matrix`: `rows` × `columns` elements, row by row, aligned for their type; undefined until the last step is done.
///   If there are more columns than rows, its transpose is decomposed and the result is transposed back.
/// - `gain`: factor of every element of the result, rounded to their type first.
///
/// Returns NULL if there is no memory.
cla_factor *_Nullable cla_factor_begin(
    const char *kernels, cla_precision precision, void *matrix, size_t rows, size_t columns, double gain);

/// Does the next few milliseconds of the work, or waits as long for the helper threads.
///
/// Returns true if there is more to do.
bool cla_factor_step(cla_factor *factor);

/// Frees the factor, whether or not it is complete.
void cla_factor_end(cla_factor *factor);

/// Sets the number of threads that all factors of the process may run on at the same time, those that call
/// `cla_factor_step` included; 1 until it is set. Must not be called between the beginning and the end of a factor.
void cla_set_thread_limit(size_t limit);

#pragma clang assume_nonnull end

#endif
