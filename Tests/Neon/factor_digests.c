/*
 * Prints a digest of the orthogonal factor for matrices of many shapes, one on a line, as in
 * Tests/CLinearAlgebraTests/factors.txt. The first argument names the kernels, the second sets the number of threads.
 */

#include "CLinearAlgebra.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t shapes[][2] = {
    {1, 1},    {1, 9},    {9, 1},     {2, 2},     {5, 2},     {3, 300},   {700, 1},   {40, 8},    {8, 40},    {9, 9},
    {15, 15},  {16, 16},  {17, 17},   {31, 33},   {64, 64},   {33, 65},   {96, 96},   {100, 100}, {128, 128}, {129, 129},
    {200, 96}, {96, 200}, {257, 255}, {300, 300}, {511, 20},  {77, 600},  {513, 130}, {600, 577}, {513, 620},
};

/* A pseudorandom element between -1 and 1, by xorshift64 (Marsaglia 2003). */
static double element(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(int64_t)*state * 0x1p-63;
}

static int print_digest(const char *kernels, cla_precision precision, size_t rows, size_t columns) {
    size_t count = rows * columns, size = precision == CLA_FLOAT32 ? 4 : 8;
    unsigned char *matrix = aligned_alloc(64, (count * size + 63) / 64 * 64);
    if (matrix == NULL) return 1;
    uint64_t state = 88172645463325252, digest = 14695981039346656037u;
    for (size_t i = 0; i < count; i++) {
        double value = element(&state);
        if (precision == CLA_FLOAT32) ((float *)(void *)matrix)[i] = (float)value;
        else ((double *)(void *)matrix)[i] = value;
    }
    cla_factor *factor = cla_factor_begin(kernels, precision, matrix, rows, columns, 1);
    if (factor == NULL) return 1;
    while (cla_factor_step(factor)) {}
    cla_factor_end(factor);
    /* FNV-1a. */
    for (size_t i = 0; i < count * size; i++) digest = (digest ^ matrix[i]) * 1099511628211;
    free(matrix);
    printf("%016llx %zu %zu %s\n", (unsigned long long)digest, rows, columns, size == 4 ? "float32" : "float64");
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    cla_set_thread_limit((size_t)atoi(argv[2]));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int precision = CLA_FLOAT32; precision <= CLA_FLOAT64; precision++)
            if (print_digest(argv[1], (cla_precision)precision, shapes[i][0], shapes[i][1]) != 0) return 1;
    return 0;
}
