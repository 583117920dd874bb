#ifndef CLINEARALGEBRA_H
#define CLINEARALGEBRA_H

#include <stdint.h>

#pragma clang assume_nonnull begin

/// Replaces a matrix by its orthogonal factor.
///
/// `matrix` holds `rows` × `columns` elements column by column, with rows ≥ columns ≥ 1 (both below 2^31). On return it
/// holds the Q of its thin QR decomposition whose R has a positive diagonal; a column whose diagonal in R is exactly 0
/// becomes 0.
///
/// Returns 0, or −1 where memory for the workspace is not to be had (`matrix` is then undefined).
int32_t cla_orthogonalize_f32(float *matrix, int32_t rows, int32_t columns);

/// The float64 form of cla_orthogonalize_f32.
int32_t cla_orthogonalize_f64(double *matrix, int32_t rows, int32_t columns);

/// The name of the processor kind whose kernels the library uses: results may differ in their last bits between kinds.
const char *cla_core_name(void);

#pragma clang assume_nonnull end

#endif
