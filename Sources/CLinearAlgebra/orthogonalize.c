#include "CLinearAlgebra.h"

#include <stdlib.h>

/* LAPACK's Fortran interface, as OpenBLAS exports it. */
#define LAPACK(type, geqrf, orgqr)                                                                                     \
    typedef void geqrf(const int32_t *m, const int32_t *n, type *a, const int32_t *lda, type *tau, type *work,         \
                       const int32_t *lwork, int32_t *info);                                                           \
    typedef void orgqr(const int32_t *m, const int32_t *n, const int32_t *k, type *a, const int32_t *lda,              \
                       const type *tau, type *work, const int32_t *lwork, int32_t *info);

LAPACK(float, sgeqrf_function, sorgqr_function)
LAPACK(double, dgeqrf_function, dorgqr_function)

/* One body for both precisions: only the type and LAPACK's prefix differ. */
#define DEFINE_ORTHOGONALIZE(name, type, p)                                                                            \
    int32_t name(cla_library library, type *matrix, int32_t rows, int32_t columns) {                                   \
        p##geqrf_function *geqrf = library.p##geqrf;                                                                   \
        p##orgqr_function *orgqr = library.p##orgqr;                                                                   \
        const int32_t query = -1;                                                                                      \
        int32_t info = 0;                                                                                              \
        type best_for_factors = 0, best_for_q = 0, unused = 0;                                                         \
        geqrf(&rows, &columns, matrix, &rows, &unused, &best_for_factors, &query, &info);                              \
        orgqr(&rows, &columns, &columns, matrix, &rows, &unused, &best_for_q, &query, &info);                          \
        const type best = best_for_factors > best_for_q ? best_for_factors : best_for_q;                               \
        const int32_t lwork = best > columns ? (int32_t)best : columns;                                                \
        type *tau = malloc((size_t)columns * sizeof(type));                                                            \
        type *diagonal = malloc((size_t)columns * sizeof(type));                                                       \
        type *work = malloc((size_t)lwork * sizeof(type));                                                             \
        const int failed = tau == NULL || diagonal == NULL || work == NULL;                                            \
        if (!failed) {                                                                                                 \
            geqrf(&rows, &columns, matrix, &rows, tau, work, &lwork, &info);                                           \
            for (int32_t i = 0; i < columns; ++i)                                                                      \
                diagonal[i] = matrix[(size_t)i * (size_t)rows + (size_t)i];                                            \
            orgqr(&rows, &columns, &columns, matrix, &rows, tau, work, &lwork, &info);                                 \
            for (int32_t i = 0; i < columns; ++i) {                                                                    \
                const type sign = (type)((diagonal[i] > 0) - (diagonal[i] < 0));                                       \
                type *column = matrix + (size_t)i * (size_t)rows;                                                      \
                for (int32_t j = 0; j < rows; ++j)                                                                     \
                    column[j] *= sign;                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
        free(work);                                                                                                    \
        free(diagonal);                                                                                                \
        free(tau);                                                                                                     \
        return failed ? -1 : 0;                                                                                        \
    }

DEFINE_ORTHOGONALIZE(cla_orthogonalize_f32, float, s)
DEFINE_ORTHOGONALIZE(cla_orthogonalize_f64, double, d)
