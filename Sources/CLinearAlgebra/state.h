#ifndef CLA_STATE_H
#define CLA_STATE_H

#include "CLinearAlgebra.h"

#include <stdint.h>

#include "schedule.h"

enum {
    /// Bytes of a slab's row: one vector of AVX-512, one cache line.
    CLA_ROW_BYTES = 64,
    /// Upper bound of the rows of a tile, for every instruction set.
    CLA_MOST_TILE_ROWS = 16,
    /// Rows of a block of a product VᵀA, whose sums are added to the sums of the blocks before. Decides the bits.
    CLA_INNER_ROWS = 256,
    /// Rows of a block of a product A − VW, at most.
    CLA_MOST_OUTER_ROWS = 16 * CLA_MOST_TILE_ROWS,
    /// Rows of a panel's run, after which its sums are added to the sums of the runs before. Decides the bits.
    CLA_RUN_ROWS = 128,
    CLA_MOST_WORKERS = 16,
};

/// A matrix in slabs: columns that fill CLA_ROW_BYTES side by side, row after row, one slab after the other.
///
/// A slab has three uses: it is the right operand of a product, packed as a tile reads it; the result of a product, as
/// a tile writes it; and the rows of a panel.
typedef struct {
    char *at;
    /// Rows from a slab to the next.
    size_t rows;
} cla_slabs;

/// The reflectors of a block, packed as left operands for all operations that apply them.
typedef struct {
    char *columns, *rows;
} cla_pack;

/// A thread's current operation, its progress in it, and its memory.
typedef struct {
    cla_operation operation;
    /// Next row of the operation's current phase.
    size_t row;
    int phase;
    /// VᵀA, and T times that.
    cla_slabs product, changed;
    /// A left operand for one block of rows, and T as a left operand.
    char *left, *triangle;
    /// Rows of a matrix that is not in slabs.
    char *window;
    /// The state of the panel's reflectors, between runs.
    char *reflection;
} cla_worker;

/// The matrix, and the part of its decomposition that all threads share. Set up at the beginning; afterwards only the
/// memory behind the pointers changes.
typedef struct {
    size_t rows, columns;
    /// Columns of a block.
    size_t block;
    /// Columns of a slab.
    size_t lanes;
    bool is_transposed;
    double gain;
    /// The caller's matrix.
    void *matrix;
    /// The matrix in slabs: the reflectors of the columns done, and in the end Q. There are none if the matrix is so
    /// narrow that slabs would be half empty: then the caller's matrix is read and written in windows of a few rows.
    cla_slabs slabs;
    /// T of every block, at the block's columns.
    cla_slabs triangles;
    /// Signs of R's diagonal.
    char *signs;
    cla_pack packs[CLA_MOST_PACKS];
} cla_state;

/// The kernels of one instruction set.
typedef struct {
    const char *name;
    /// Work that takes a millisecond or two, in multiply-adds of float32.
    ptrdiff_t unit;
    /// Continues the worker's operation for about a unit. Returns true if the operation is complete.
    bool (*advance[2])(const cla_state *, cla_worker *, ptrdiff_t unit);
} cla_kernels;

extern const cla_kernels cla_avx512, cla_avx2, cla_portable;

/// Bytes of a reflection's state: vectors of a slab's row, and a few numbers.
enum { CLA_REFLECTION_BYTES = 24 * CLA_ROW_BYTES };

#endif
