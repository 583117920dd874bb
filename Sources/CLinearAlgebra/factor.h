// The orthogonal factor of a matrix, once for every precision and instruction set: kernels.h sets the macros below and
// includes this file.
//
//   REAL    float or double                      NAME(x)   x, followed by the precision
//   LANES   elements of a vector                 TILE      rows of a tile
//   WIDE    slabs of a tile: 1 or 2              FMA       a·b + c on vectors, rounded once
//   SQRT    square root of a REAL                INTEGER   an integer of the size of a REAL
//
// DEFINITION OF THE BITS. Blocked Householder reflections (Schreiber and Van Loan 1989) in a fixed order. The matrix is
// m × n, m ≥ n (else it is its transpose), padded by columns of zeros to whole slabs of 64 bytes, 16 or 8 columns.
//
//  1. Columns are in blocks of 32 (n ≤ 128), 48 (n ≤ 512) or 96 from left to right; the last block may be narrower. A
//     block of s slabs is halved down to single slabs: the left ⌈s / 2⌉ are factored and applied to the others, those
//     are factored, and the two Ts are joined (`block_columns`, `plan_panel` of schedule.c).
//  2. A slab's reflectors H = 1 − τvvᵀ are made column by column (`NAME(begin_column)`) from the dots d of the column,
//     from its diagonal element α down, with all columns of the slab: β = ∓√d so that α − β loses nothing,
//     τ = (β − α) / β, and v = x · (1 / (α − β)) with 1 on the diagonal and 0 above. Columns to the right become
//     fma(v, −(x − d / β), ·). T's column is −τ times a chain over the columns before it. If d is not above 0, v and τ
//     are 0. Dots are sums over four rows at a time in four accumulators, (0 + 1) + (2 + 3), of runs of 128 rows that
//     are added in order (`NAME(run)`).
//  3. Products: each element of VᵀA is a chain of fused multiply-adds from 0 down the rows, for each 256 rows from the
//     first one that counts, and these are added in order. Elements of T·W, W·T and V·W are one chain over all their
//     columns.
//  4. Blocks are applied to the columns to their right as A − V(Tᵀ(VᵀA)), rounded at each bracket. T of two neighbours
//     gets −((T₁(V₁ᵀV₂))T₂) as its corner.
//  5. Q begins as the unit matrix with the signs of R's diagonal, so that A = QR with R's diagonal positive. Blocks
//     from right to left change the columns to their right, in which the block's rows are 0 until then, as
//     Q − V(T(VᵀQ)). They replace their own columns by E − V(T V₀ᵀ), where V₀ is the upper square of V with each row
//     times its sign. The result is multiplied by the gain.
//
// Everything else is free: vectors, tiles, the rows of A − VW in a block, which columns go together, threads. Products
// leave out the terms in the zero half of a triangle: these terms change nothing.

enum {
    NAME(SLAB) = CLA_ROW_BYTES / sizeof(REAL),
    NAME(PARTS) = NAME(SLAB) / LANES,
};
#define SLAB ((size_t)NAME(SLAB))
#define PARTS NAME(PARTS)
#define EACH_PART(v) _Pragma("clang loop unroll(full)") for (int v = 0; v < PARTS; v++)

typedef REAL NAME(vector) __attribute__((ext_vector_type(LANES)));
typedef INTEGER NAME(mask) __attribute__((ext_vector_type(LANES)));
#define vector NAME(vector)

/// A row of a slab.
typedef struct {
    vector part[NAME(SLAB) / LANES];
} NAME(row);
#define row_t NAME(row)

INLINE REAL *NAME(place)(const cla_slabs *m, size_t r, size_t c) {
    return (REAL *)(void *)m->at + (c / SLAB * m->rows + r) * SLAB + c % SLAB;
}
#define PLACE NAME(place)

INLINE size_t NAME(up)(size_t n, size_t to) { return (n + to - 1) / to * to; }
#define UP NAME(up)

// MARK: Products

typedef struct {
    /// TILE numbers for each k, one tile after the other.
    const REAL *left;
    /// Elements from tile to tile.
    size_t left_step;
    size_t tiles;
    const REAL *right;
    /// Elements from slab to slab.
    size_t right_step;
    REAL *to;
    size_t to_step;
    size_t slabs, k;
    /// The triangle of the left operand that is 0: with ABOVE, row i has k ≤ i only; with BELOW, k ≥ i only.
    enum { NAME(NONE), NAME(ABOVE), NAME(BELOW) } zeros;
} NAME(product);

/// One tile: TILE rows of `slabs` slabs.
INLINE void NAME(tile)(
    sink to, int slabs, const REAL *a, const REAL *b, size_t b_step, size_t k, REAL *c, size_t c_step) {
    vector sum[TILE][PARTS * WIDE];
    const int width = PARTS * slabs;
#pragma clang loop unroll(full)
    for (int i = 0; i < TILE; i++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[i][v] = (vector)0;
#pragma clang loop unroll_count(2)
    for (size_t t = 0; t < k; t++) {
        vector right[PARTS * WIDE];
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++)
            right[v] = *(const vector *)(const void *)(b + (size_t)(v / PARTS) * b_step + t * SLAB + (size_t)(v % PARTS) * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < TILE; i++) {
            vector left = (vector)a[t * TILE + (size_t)i];
#pragma clang loop unroll(full)
            for (int v = 0; v < width; v++) sum[i][v] = FMA(left, right[v], sum[i][v]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < TILE; i++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) {
            vector *at =
                (vector *)(void *)(c + (size_t)(v / PARTS) * c_step + (size_t)i * SLAB + (size_t)(v % PARTS) * LANES);
            *at = to == STORE ? sum[i][v] : to == ADD ? *at + sum[i][v] : *at - sum[i][v];
        }
}

INLINE void NAME(all_tiles)(sink to, const NAME(product) * p) {
    for (size_t s = 0; s < p->slabs;) {
        int slabs = WIDE == 2 && s + 2 <= p->slabs ? 2 : 1;
        for (size_t i = 0; i < p->tiles; i++) {
            size_t end = p->zeros == NAME(ABOVE) && (i + 1) * TILE < p->k ? (i + 1) * TILE : p->k;
            size_t from = p->zeros != NAME(BELOW) ? 0 : i * TILE < end ? i * TILE : end;
            const REAL *a = p->left + i * p->left_step + from * TILE;
            const REAL *b = p->right + s * p->right_step + from * SLAB;
            REAL *c = p->to + s * p->to_step + i * TILE * SLAB;
            if (slabs == WIDE) NAME(tile)(to, WIDE, a, b, p->right_step, end - from, c, p->to_step);
            else NAME(tile)(to, 1, a, b, p->right_step, end - from, c, p->to_step);
        }
        s += (size_t)slabs;
    }
}

/// Computes a product, including the rows of zeros of its last tile: there must be room for them.
static __attribute__((noinline)) void NAME(multiply)(sink to, const NAME(product) * p) {
    switch (to) {
    case STORE: NAME(all_tiles)(STORE, p); break;
    case ADD: NAME(all_tiles)(ADD, p); break;
    case SUBTRACT: NAME(all_tiles)(SUBTRACT, p); break;
    }
}

/// Packs m[r..r+k, c..c+width], transposed, as a left operand: its rows are m's columns.
static void NAME(pack_columns)(const cla_slabs *m, size_t r, size_t k, size_t c, size_t width, REAL *to) {
    for (size_t i = 0; i < width; i += TILE, to += k * TILE) {
        const REAL *from[TILE];
        size_t n = width - i < TILE ? width - i : TILE;
        for (size_t x = 0; x < n; x++) from[x] = PLACE(m, r, c + i + x);
        if (n == TILE)
            for (size_t t = 0; t < k; t++)
#pragma clang loop unroll(full)
                for (size_t x = 0; x < TILE; x++) to[t * TILE + x] = from[x][t * SLAB];
        else
            for (size_t t = 0; t < k; t++)
                for (size_t x = 0; x < TILE; x++) to[t * TILE + x] = x < n ? from[x][t * SLAB] : 0;
    }
}

/// Packs m[r..r+n, c..c+k] as a left operand. c is at a slab's beginning, k a multiple of SLAB.
static void NAME(pack_rows)(const cla_slabs *m, size_t r, size_t n, size_t c, size_t k, REAL *to) {
    for (size_t i = 0; i < n; i += TILE) {
        size_t some = n - i < TILE ? n - i : TILE;
        for (size_t t = 0; t < k; t += SLAB, to += SLAB * TILE) {
            const REAL *from = PLACE(m, r + i, c + t);
            if (some == TILE)
                for (size_t y = 0; y < SLAB; y++)
#pragma clang loop unroll(full)
                    for (size_t x = 0; x < TILE; x++) to[y * TILE + x] = from[x * SLAB + y];
            else
                for (size_t y = 0; y < SLAB; y++)
                    for (size_t x = 0; x < TILE; x++) to[y * TILE + x] = x < some ? from[x * SLAB + y] : 0;
        }
    }
}

// MARK: Between the caller's matrix and slabs

/// Rows that are copied at a time, so that both sides stay in the cache.
enum { NAME(FEW) = 16 };

/// Copies `rows` rows, at most FEW, of `columns` columns, at most SLAB, between the caller's matrix and a slab: in,
/// with zeros for the other columns, or out, times the gain.
INLINE void NAME(copy_few)(
    const cla_state *s, bool in, size_t r, size_t rows, size_t c, size_t columns, REAL *slab, REAL gain) {
    REAL *other = (REAL *)s->matrix + (s->is_transposed ? c * s->rows + r : r * s->columns + c);
    size_t next_row = s->is_transposed ? 1 : s->columns, next_column = s->is_transposed ? s->rows : 1;
    if (in && columns < SLAB) memset(slab, 0, rows * CLA_ROW_BYTES);
#define COPY(next_row, next_column)                                       \
    {                                                                     \
        REAL *a = &slab[x * SLAB + y], *b = &other[x * next_row + y * next_column]; \
        if (in) *a = *b;                                                  \
        else *b = *a * gain;                                              \
    }
    if (!s->is_transposed && columns == SLAB) {
        for (size_t x = 0; x < rows; x++)
            for (size_t y = 0; y < SLAB; y++) COPY(next_row, 1)
    } else if (s->is_transposed && rows == NAME(FEW)) {
        for (size_t y = 0; y < columns; y++)
            for (size_t x = 0; x < NAME(FEW); x++) COPY(1, next_column)
    } else {
        for (size_t x = 0; x < rows; x++)
            for (size_t y = 0; y < columns; y++) COPY(next_row, next_column)
    }
#undef COPY
}

INLINE void NAME(copy)(const cla_state *s, bool in, size_t r, size_t rows, size_t c, REAL *slab, REAL gain) {
    size_t columns = s->columns - c < SLAB ? s->columns - c : SLAB;
    for (size_t at = 0; at < rows; at += NAME(FEW)) {
        size_t few = rows - at < NAME(FEW) ? rows - at : NAME(FEW);
        NAME(copy_few)(s, in, r + at, few, c, columns, slab + at * SLAB, gain);
    }
}

static void NAME(load)(const cla_state *s, size_t r, size_t rows, size_t c, REAL *slab) {
    NAME(copy)(s, true, r, rows, c, slab, 1);
}

static void NAME(store)(const cla_state *s, size_t r, size_t rows, size_t c, REAL *slab) {
    NAME(copy)(s, false, r, rows, c, slab, (REAL)s->gain);
}

// MARK: A slab of reflectors

typedef struct {
    /// Dots of the next column with all columns.
    row_t dots;
    /// Changes of the columns to the right, times v.
    row_t less;
    /// Columns of T.
    row_t triangle[NAME(SLAB)];
    REAL scale;
    /// Column that is being made.
    size_t column;
} NAME(reflection);

/// The dots of the first column: `rows` rows, at most a run.
static void NAME(first_run)(NAME(reflection) * to, const REAL *p, size_t rows) {
    row_t sum[4] = {0};
    for (size_t i = 0; i < rows; i++) {
        const row_t *x = (const row_t *)(const void *)(p + i * SLAB);
        vector first = (vector)p[i * SLAB];
        EACH_PART(v) sum[i % 4].part[v] = FMA(first, x->part[v], sum[i % 4].part[v]);
    }
    EACH_PART(v) to->dots.part[v] += (sum[0].part[v] + sum[1].part[v]) + (sum[2].part[v] + sum[3].part[v]);
}

/// Makes the reflector's part of `rows` rows below the diagonal, at most a run. Changes the columns to its right by it,
/// and adds up the dots of the next column.
static void NAME(run)(NAME(reflection) * to, REAL *p, size_t rows) {
    const size_t j = to->column, next = j + 1 < SLAB ? j + 1 : j;
    row_t less = to->less, sum[4] = {0};
    NAME(mask) here[NAME(SLAB) / LANES] = {0};
    here[j / LANES][j % LANES] = -1;
    const REAL *less_numbers = (const REAL *)(const void *)&to->less;
    vector scale = (vector)to->scale, next_less = (vector)less_numbers[next];
    // The element of the next column is made twice, for all lanes and lane by lane, which saves waiting for it.
#define STEP(i, y)                                                           \
    {                                                                        \
        REAL *numbers = p + (i) * SLAB;                                      \
        row_t *x = (row_t *)(void *)numbers;                                     \
        vector element = (vector)numbers[j] * scale;                         \
        vector next_element = FMA(element, next_less, (vector)numbers[next]); \
        EACH_PART(v) {                                                       \
            vector made = FMA(element, less.part[v], x->part[v]);            \
            made = here[v] ? element : made;                                 \
            x->part[v] = made;                                               \
            sum[y].part[v] = FMA(next_element, made, sum[y].part[v]);        \
        }                                                                    \
    }
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        STEP(i, 0) STEP(i + 1, 1) STEP(i + 2, 2) STEP(i + 3, 3)
    }
    if (i < rows) STEP(i, 0)
    if (i + 1 < rows) STEP(i + 1, 1)
    if (i + 2 < rows) STEP(i + 2, 2)
#undef STEP
    EACH_PART(v) to->dots.part[v] += (sum[0].part[v] + sum[1].part[v]) + (sum[2].part[v] + sum[3].part[v]);
}

/// Makes the reflector of the next column from its dots: T's column, and the change of the columns to the right. `p` is
/// the diagonal element's row.
static void NAME(begin_column)(NAME(reflection) * to, REAL *p, REAL *sign) {
    const size_t j = to->column;
    row_t dots = to->dots, top = *(const row_t *)(const void *)p;
    REAL alpha = p[j], square = ((const REAL *)(const void *)&to->dots)[j];
    bool is_zero = !(square > 0);
    REAL size = SQRT(square), beta = alpha > 0 ? -size : size;
    *sign = is_zero ? 0 : beta > 0 ? 1 : -1;
    REAL tau = is_zero ? 0 : (beta - alpha) / beta;
    to->scale = is_zero ? 0 : 1 / (alpha - beta);
    row_t change, before, column = {0};
    EACH_PART(v) {
        change.part[v] = is_zero ? top.part[v] - top.part[v] : top.part[v] - dots.part[v] / beta;
        // vᵀV for the columns before.
        before.part[v] = FMA((vector)-beta, top.part[v], dots.part[v]) * to->scale;
    }
    REAL *changes = (REAL *)(void *)&change, *elements = (REAL *)(void *)&column;
    for (size_t i = 0; i < j; i++) {
        vector factor = (vector)((const REAL *)(const void *)&before)[i];
        EACH_PART(v) column.part[v] = FMA(factor, to->triangle[i].part[v], column.part[v]);
        changes[i] = 0;
    }
    EACH_PART(v) column.part[v] = column.part[v] * -tau;
    elements[j] = tau;
    changes[j] = 0;
    to->triangle[j] = column;
    EACH_PART(v) to->less.part[v] = -change.part[v];
    for (size_t i = j; i < SLAB; i++) p[i] = 0;
    p[j] = is_zero ? 0 : 1;
    to->dots = (row_t){0};
}

/// Writes T, row by row.
static void NAME(store_triangle)(const NAME(reflection) * from, REAL *t) {
    for (size_t j = 0; j < SLAB; j++)
        for (size_t i = 0; i < SLAB; i++) t[i * SLAB + j] = ((const REAL *)(const void *)&from->triangle[j])[i];
}

// MARK: Operations, a unit at a time

/// Remaining work of a unit, in multiply-adds.
typedef ptrdiff_t NAME(budget);
#define budget_t NAME(budget)

/// Costs in multiply-adds of a panel's row, of a copied element and of a packed element, which wait for memory.
enum { NAME(ROW_WORK) = 256, NAME(COPY_WORK) = 64, NAME(PACK_WORK) = 32 };

/// `rows` rows of a slab, or a copy of them if the matrix is not in slabs.
static REAL *NAME(open)(const cla_state *s, cla_worker *w, size_t r, size_t rows, size_t c) {
    if (s->slabs.at != NULL) return PLACE(&s->slabs, r, c);
    REAL *window = (REAL *)(void *)w->window;
    NAME(load)(s, r, rows, c, window);
    return window;
}

static void NAME(close)(const cla_state *s, size_t r, size_t rows, size_t c, REAL *opened, REAL gain) {
    if (s->slabs.at == NULL) NAME(copy)(s, false, r, rows, c, opened, gain);
}

static bool NAME(reflect)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    NAME(reflection) *reflection = (NAME(reflection) *)(void *)w->reflection;
    const size_t rows = s->rows - o->column;
    const size_t columns = s->columns - o->column < SLAB ? s->columns - o->column : SLAB;
    REAL *signs = (REAL *)(void *)s->signs + o->column;
    // Phase 0 is the dots of the first column, phase j + 1 the reflector of column j.
    if (w->phase == 0 && w->row == 0) memset(reflection, 0, sizeof *reflection);
    for (;;) {
        if (w->phase > 0 && w->row < (size_t)w->phase) {
            size_t diagonal = (size_t)w->phase - 1;
            reflection->column = diagonal;
            REAL *p = NAME(open)(s, w, o->column + diagonal, 1, o->column);
            NAME(begin_column)(reflection, p, &signs[diagonal]);
            NAME(close)(s, o->column + diagonal, 1, o->column, p, 1);
            w->row = (size_t)w->phase;
        }
        while (w->row < rows) {
            if (left <= 0) return false;
            size_t some = rows - w->row < CLA_RUN_ROWS ? rows - w->row : CLA_RUN_ROWS;
            REAL *p = NAME(open)(s, w, o->column + w->row, some, o->column);
            if (w->phase == 0) NAME(first_run)(reflection, p, some);
            else {
                NAME(run)(reflection, p, some);
                NAME(close)(s, o->column + w->row, some, o->column, p, 1);
            }
            w->row += some;
            left -= (budget_t)some * NAME(ROW_WORK);
        }
        if ((size_t)w->phase == columns) break;
        w->phase++;
        w->row = 0;
    }
    NAME(store_triangle)(reflection, PLACE(&s->triangles, o->column - o->block, o->column));
    return true;
}

/// Adds up VᵀA over the next rows, up to all of them. V's first row that counts is `first`; A is the columns from
/// `from` to `end`.
static bool NAME(inner)(const cla_state *s, cla_worker *w, budget_t *left, size_t first, size_t from, size_t end) {
    const cla_operation *o = &w->operation;
    const size_t tiles = UP(o->width, TILE) / TILE, slabs = (end - from) / SLAB;
    while (w->row < s->rows) {
        if (*left <= 0) return false;
        size_t k = s->rows - w->row < CLA_INNER_ROWS ? s->rows - w->row : CLA_INNER_ROWS;
        REAL *packed = (REAL *)(void *)w->left;
        if (o->pack >= 0) packed = (REAL *)(void *)s->packs[o->pack].columns + (w->row - first) * tiles * TILE;
        else NAME(pack_columns)(&s->slabs, w->row, k, o->column, o->width, packed);
        NAME(product) product = {
            .left = packed,
            .left_step = k * TILE,
            .tiles = tiles,
            .right = PLACE(&s->slabs, w->row, from),
            .right_step = s->slabs.rows * SLAB,
            .to = PLACE(&w->product, 0, 0),
            .to_step = w->product.rows * SLAB,
            .slabs = slabs,
            .k = k,
        };
        NAME(multiply)(w->row == first ? STORE : ADD, &product);
        w->row += k;
        *left -= (budget_t)(k * o->width * (end - from));
    }
    return true;
}

/// Multiplies the upper triangle T, or its transpose, by the sums.
static void NAME(change)(const cla_state *s, cla_worker *w, bool is_transposed, size_t slabs) {
    const cla_operation *o = &w->operation;
    REAL *packed = (REAL *)(void *)w->triangle;
    size_t r = o->column - o->block;
    if (is_transposed) NAME(pack_columns)(&s->triangles, r, o->width, o->column, o->width, packed);
    else NAME(pack_rows)(&s->triangles, r, o->width, o->column, o->width, packed);
    NAME(product) product = {
        .left = packed,
        .left_step = o->width * TILE,
        .tiles = UP(o->width, TILE) / TILE,
        .right = PLACE(&w->product, 0, 0),
        .right_step = w->product.rows * SLAB,
        .to = PLACE(&w->changed, 0, 0),
        .to_step = w->changed.rows * SLAB,
        .slabs = slabs,
        .k = o->width,
        .zeros = is_transposed ? NAME(ABOVE) : NAME(BELOW),
    };
    NAME(multiply)(STORE, &product);
}

enum { NAME(OUTER_ROWS) = 16 * TILE };

/// V's rows from `r` on as a left operand; `first` is the first row that counts.
static const REAL *NAME(rows_of)(const cla_state *s, cla_worker *w, size_t r, size_t rows, size_t first) {
    const cla_operation *o = &w->operation;
    if (o->pack >= 0) return (const REAL *)(void *)s->packs[o->pack].rows + (r - first) * o->width;
    NAME(pack_rows)(&s->slabs, r, rows, o->column, o->width, (REAL *)(void *)w->left);
    return (const REAL *)(void *)w->left;
}

/// Subtracts from `to` rows of V times the result of `NAME(change)`.
static void NAME(subtract)(const cla_worker *w, const REAL *left, size_t rows, REAL *to, size_t to_step, size_t slabs) {
    const cla_operation *o = &w->operation;
    NAME(product) product = {
        .left = left,
        .left_step = o->width * TILE,
        .tiles = UP(rows, TILE) / TILE,
        .right = PLACE(&w->changed, 0, 0),
        .right_step = w->changed.rows * SLAB,
        .to = to,
        .to_step = to_step,
        .slabs = slabs,
        .k = o->width,
    };
    NAME(multiply)(SUBTRACT, &product);
}

static bool NAME(update)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    const size_t below = o->column + o->width, slabs = (o->end - o->from) / SLAB;
    // On the way forward, the block's own rows become rows of R, which are not needed. On the way back, they are 0
    // before.
    const size_t inner = o->is_backward ? below : o->column, outer = o->is_backward ? o->column : below;
    if (w->phase == 0) {
        if (w->row == 0) w->row = inner;
        if (!NAME(inner)(s, w, &left, inner, o->from, o->end)) return false;
        NAME(change)(s, w, !o->is_backward, slabs);
        if (!o->is_backward)
            for (size_t i = 0; i < slabs; i++)
                memset(PLACE(&s->slabs, o->column, o->from + i * SLAB), 0, o->width * CLA_ROW_BYTES);
        w->phase = 1;
        w->row = outer;
    }
    while (w->row < s->rows) {
        if (left <= 0) return false;
        size_t rows = s->rows - w->row < NAME(OUTER_ROWS) ? s->rows - w->row : NAME(OUTER_ROWS);
        const REAL *packed = NAME(rows_of)(s, w, w->row, rows, outer);
        NAME(subtract)(w, packed, rows, PLACE(&s->slabs, w->row, o->from), s->slabs.rows * SLAB, slabs);
        w->row += rows;
        left -= (budget_t)(rows * o->width * (o->end - o->from));
    }
    return true;
}

static bool NAME(merge)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    const size_t right = o->end - o->from, slabs = right / SLAB;
    if (w->row == 0) w->row = o->from;
    if (!NAME(inner)(s, w, &left, o->from, o->from, o->end)) return false;
    NAME(change)(s, w, false, slabs);
    REAL *packed = (REAL *)(void *)w->triangle;
    NAME(pack_rows)(&w->changed, 0, o->width, 0, right, packed);
    NAME(product) product = {
        .left = packed,
        .left_step = right * TILE,
        .tiles = UP(o->width, TILE) / TILE,
        .right = PLACE(&s->triangles, o->from - o->block, o->from),
        .right_step = s->triangles.rows * SLAB,
        .to = PLACE(&w->product, 0, 0),
        .to_step = w->product.rows * SLAB,
        .slabs = slabs,
        .k = right,
    };
    NAME(multiply)(STORE, &product);
    // Copied from other memory, because the last tile's rows of zeros would overwrite the neighbour's T.
    for (size_t i = 0; i < slabs; i++) {
        REAL *from = PLACE(&w->product, 0, i * SLAB), *to = PLACE(&s->triangles, o->column - o->block, o->from + i * SLAB);
        for (size_t x = 0; x < o->width * SLAB; x++) to[x] = -from[x];
    }
    return true;
}

static bool NAME(pack)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    const cla_pack *pack = &s->packs[o->pack];
    const size_t below = o->column + o->width, wide = UP(o->width, TILE);
    const size_t inner = o->is_backward ? below : o->column, outer = o->is_backward ? o->column : below;
    if (w->phase == 0) {
        if (w->row == 0) w->row = inner;
        for (; w->row < s->rows; w->row += CLA_INNER_ROWS) {
            if (left <= 0) return false;
            size_t k = s->rows - w->row < CLA_INNER_ROWS ? s->rows - w->row : CLA_INNER_ROWS;
            NAME(pack_columns)(
                &s->slabs, w->row, k, o->column, o->width, (REAL *)(void *)pack->columns + (w->row - inner) * wide);
            left -= (budget_t)(k * o->width) * NAME(PACK_WORK);
        }
        w->phase = 1;
        w->row = outer;
    }
    for (; w->row < s->rows; w->row += NAME(OUTER_ROWS)) {
        if (left <= 0) return false;
        size_t rows = s->rows - w->row < NAME(OUTER_ROWS) ? s->rows - w->row : NAME(OUTER_ROWS);
        NAME(pack_rows)(
            &s->slabs, w->row, rows, o->column, o->width, (REAL *)(void *)pack->rows + (w->row - outer) * o->width);
        left -= (budget_t)(rows * o->width) * NAME(PACK_WORK);
    }
    return true;
}

/// V₀ᵀ with the signs, from the upper square of V.
static void NAME(upper_square)(const cla_state *s, cla_worker *w) {
    const cla_operation *o = &w->operation;
    const REAL *signs = (const REAL *)(const void *)s->signs + o->column;
    const size_t rows = s->rows - o->column < o->width ? s->rows - o->column : o->width;
    for (size_t c = 0; c < o->width; c += SLAB) {
        const REAL *v = NAME(open)(s, w, o->column, rows, o->column + c);
        for (size_t k = 0; k < SLAB; k++)
            for (size_t i = 0; i < o->width; i++)
                *PLACE(&w->product, c + k, i) = i < rows ? v[i * SLAB + k] * signs[i] : 0;
    }
}

static bool NAME(own)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    const REAL *signs = (const REAL *)(const void *)s->signs;
    const size_t slabs = o->width / SLAB;
    if (w->phase == 0) {
        NAME(upper_square)(s, w);
        NAME(change)(s, w, false, slabs);
        w->phase = 1;
        w->row = o->column;
    }
    while (w->row < s->rows) {
        if (left <= 0) return false;
        size_t rows = s->rows - w->row < NAME(OUTER_ROWS) ? s->rows - w->row : NAME(OUTER_ROWS);
        REAL *first = NAME(open)(s, w, w->row, rows, o->column);
        const REAL *packed = (const REAL *)(const void *)w->left;
        if (s->slabs.at == NULL) {
            const cla_slabs window = {w->window, 0};
            NAME(pack_rows)(&window, 0, rows, 0, SLAB, (REAL *)(void *)w->left);
        } else {
            packed = NAME(rows_of)(s, w, w->row, rows, o->column);
        }
        for (size_t i = 0; i < slabs; i++)
            memset(first + i * s->slabs.rows * SLAB, 0, UP(rows, TILE) * CLA_ROW_BYTES);
        for (size_t i = 0; i < rows && w->row - o->column + i < o->width; i++) {
            size_t diagonal = w->row - o->column + i;
            first[diagonal / SLAB * s->slabs.rows * SLAB + i * SLAB + diagonal % SLAB] = signs[w->row + i];
        }
        NAME(subtract)(w, packed, rows, first, s->slabs.rows * SLAB, slabs);
        NAME(close)(s, w->row, rows, o->column, first, (REAL)s->gain);
        w->row += rows;
        left -= (budget_t)(rows * o->width * o->width + rows * NAME(ROW_WORK));
    }
    return true;
}

/// Copies a group's columns in or out.
static bool NAME(transfer)(const cla_state *s, cla_worker *w, budget_t left) {
    const cla_operation *o = &w->operation;
    for (; w->row < s->rows; w->row += NAME(FEW)) {
        if (left <= 0) return false;
        size_t rows = s->rows - w->row < NAME(FEW) ? s->rows - w->row : NAME(FEW);
        for (size_t c = o->from; c < o->end; c += SLAB) {
            if (o->kind == CLA_LOAD) NAME(load)(s, w->row, rows, c, PLACE(&s->slabs, w->row, c));
            else NAME(store)(s, w->row, rows, c, PLACE(&s->slabs, w->row, c));
        }
        left -= (budget_t)(rows * (o->end - o->from)) * NAME(COPY_WORK);
    }
    // Below the matrix, tiles add products with zeros.
    if (o->kind == CLA_LOAD)
        for (size_t c = o->from; c < o->end; c += SLAB)
            memset(PLACE(&s->slabs, s->rows, c), 0, (s->slabs.rows - s->rows) * CLA_ROW_BYTES);
    return true;
}

static bool NAME(advance)(const cla_state *s, cla_worker *w, ptrdiff_t unit) {
    switch (w->operation.kind) {
    case CLA_LOAD:
    case CLA_STORE: return NAME(transfer)(s, w, unit);
    case CLA_REFLECT: return NAME(reflect)(s, w, unit);
    case CLA_UPDATE: return NAME(update)(s, w, unit);
    case CLA_MERGE: return NAME(merge)(s, w, unit);
    case CLA_PACK: return NAME(pack)(s, w, unit);
    case CLA_OWN: return NAME(own)(s, w, unit);
    }
    return true;
}

#undef SLAB
#undef PARTS
#undef EACH_PART
#undef vector
#undef row_t
#undef PLACE
#undef UP
#undef budget_t
#undef REAL
#undef INTEGER
#undef NAME
#undef LANES
#undef FMA
#undef SQRT
