#ifndef CLINEARALGEBRA_H
#define CLINEARALGEBRA_H

#include <stdint.h>

#pragma clang assume_nonnull begin

/// What is used of OpenBLAS. Filled in by cla_load, and then never changed.
typedef struct {
    void *_Null_unspecified sgeqrf, *_Null_unspecified sorgqr;
    void *_Null_unspecified dgeqrf, *_Null_unspecified dorgqr;
    /// The name of the processor kind whose kernels the library uses: results may differ in their last bits between
    /// kinds.
    const char *_Null_unspecified core_name;
} cla_library;

/// Loads OpenBLAS from a file, which is searched for as dlopen does, and fills in `library`.
///
/// A processor that the library does not know, being older, gets the library's best kernels for what it can do, unless the
/// environment's OPENBLAS_CORETYPE has a say; that is done by setting this variable, so that nobody else may be setting
/// variables meanwhile.
///
/// Returns NULL, or why the library cannot be had: a text that lasts until the thread's next call of the dynamic linker.
const char *_Nullable cla_load(const char *file, cla_library *library);

/// Replaces a matrix by its orthogonal factor.
///
/// `matrix` holds `rows` × `columns` elements column by column, with rows ≥ columns ≥ 1 (both below 2^31). On return it
/// holds the Q of its thin QR decomposition whose R has a positive diagonal; a column whose diagonal in R is exactly 0
/// becomes 0.
///
/// Returns 0, or −1 where memory for the workspace is not to be had (`matrix` is then undefined).
int32_t cla_orthogonalize_f32(cla_library library, float *matrix, int32_t rows, int32_t columns);

/// The float64 form of cla_orthogonalize_f32.
int32_t cla_orthogonalize_f64(cla_library library, double *matrix, int32_t rows, int32_t columns);

#pragma clang assume_nonnull end

#endif
