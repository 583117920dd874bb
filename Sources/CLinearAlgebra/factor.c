#include "state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// Time that a thread waits for another's operation before it checks again.
enum { WAIT_NANOSECONDS = 2000000 };

typedef struct {
    cla_factor *factor;
    cla_worker worker;
    /// For helpers: the thread, whether there is one to join, and whether it has left.
    pthread_t thread;
    bool is_started;
    atomic_bool has_left;
} member;

struct cla_factor {
    cla_state state;
    cla_kernels kernels;
    cla_precision precision;
    void *memory;

    pthread_mutex_t lock;
    /// Signalled when an operation is complete.
    pthread_cond_t progress;
    /// Used only under the lock.
    cla_schedule schedule;
    atomic_bool is_ended;

    /// First the caller of `cla_factor_step`, then helpers.
    size_t member_count;
    member members[CLA_MOST_WORKERS];
    bool has_operation;
};

// MARK: Threads

/// Threads that all factors run on.
static atomic_size_t thread_limit = 1, threads_in_use;

void cla_set_thread_limit(size_t limit) { atomic_store(&thread_limit, limit < 1 ? 1 : limit); }

/// Takes a place among the threads that may run, if there is one.
static bool take_place(void) {
    size_t used = atomic_load(&threads_in_use);
    do {
        if (used >= atomic_load(&thread_limit)) return false;
    } while (!atomic_compare_exchange_weak(&threads_in_use, &used, used + 1));
    return true;
}

static bool is_crowded(void) { return atomic_load(&threads_in_use) > atomic_load(&thread_limit); }

static bool take_operation(cla_factor *f, cla_worker *w) {
    if (!cla_schedule_take(&f->schedule, &w->operation)) return false;
    w->phase = 0;
    w->row = 0;
    return true;
}

static void finish_operation(cla_factor *f, cla_worker *w) {
    pthread_mutex_lock(&f->lock);
    cla_schedule_finish(&f->schedule, &w->operation);
    pthread_cond_broadcast(&f->progress);
    pthread_mutex_unlock(&f->lock);
}

/// Waits for an operation of another thread to complete. Called under the lock.
static void wait_for_progress(cla_factor *f) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&f->progress, &f->lock, &until);
}

/// Continues the worker's operation for a millisecond or two. Returns true if the operation is complete.
static bool advance(const cla_factor *f, cla_worker *w) {
    // A vector has half as many float64 numbers.
    ptrdiff_t unit = f->precision == CLA_FLOAT64 ? f->kernels.unit / 2 : f->kernels.unit;
    return f->kernels.advance[f->precision](&f->state, w, unit);
}

/// Main loop of a helper: runs operations until there are none left, or until more threads run than the limit allows.
static void *help(void *argument) {
    member *m = argument;
    cla_factor *f = m->factor;
    while (!atomic_load(&f->is_ended) && !is_crowded()) {
        pthread_mutex_lock(&f->lock);
        bool is_complete = cla_schedule_is_complete(&f->schedule);
        bool is_taken = !is_complete && take_operation(f, &m->worker);
        if (!is_complete && !is_taken) wait_for_progress(f);
        pthread_mutex_unlock(&f->lock);
        if (is_complete) break;
        if (!is_taken) continue;
        // A started operation is finished, because other threads wait for it.
        while (!advance(f, &m->worker))
            if (atomic_load(&f->is_ended)) goto end;
        finish_operation(f, &m->worker);
    }
end:
    atomic_fetch_sub(&threads_in_use, 1);
    atomic_store(&m->has_left, true);
    return NULL;
}

static void join(member *m) {
    if (!m->is_started) return;
    pthread_join(m->thread, NULL);
    m->is_started = false;
}

/// Starts as many helpers as may run. Without helpers, the work only takes longer.
static void start_helpers(cla_factor *f) {
    for (size_t i = 1; i < f->member_count; i++) {
        member *m = &f->members[i];
        if (m->is_started && !atomic_load(&m->has_left)) continue;
        if (!take_place()) return;
        join(m);
        atomic_store(&m->has_left, false);
        m->is_started = pthread_create(&m->thread, NULL, help, m) == 0;
        if (!m->is_started) atomic_fetch_sub(&threads_in_use, 1);
    }
}

// MARK: Memory

/// Hands out parts of a block of memory, or only measures them if there is none.
typedef struct {
    char *at;
    size_t used;
} arena;

static char *take(arena *a, size_t bytes) {
    char *part = a->at == NULL ? NULL : a->at + a->used;
    a->used += (bytes + CLA_ROW_BYTES - 1) / CLA_ROW_BYTES * CLA_ROW_BYTES;
    return part;
}

static cla_slabs take_slabs(arena *a, size_t rows, size_t slabs) {
    return (cla_slabs){take(a, rows * slabs * CLA_ROW_BYTES), rows};
}

/// Sets everything that depends on the size of the matrix.
static void plan(cla_factor *f, cla_precision precision, size_t rows, size_t columns) {
    cla_state *s = &f->state;
    f->precision = precision;
    s->is_transposed = rows < columns;
    s->rows = s->is_transposed ? columns : rows;
    s->columns = s->is_transposed ? rows : columns;
    s->lanes = CLA_ROW_BYTES / (precision == CLA_FLOAT32 ? sizeof(float) : sizeof(double));
    size_t threads = atomic_load(&thread_limit);
    cla_schedule_plan(&f->schedule, s->columns, s->lanes, threads);
    s->block = f->schedule.block;
    if (threads > f->schedule.groups) threads = f->schedule.groups;
    f->member_count = threads < CLA_MOST_WORKERS ? threads : CLA_MOST_WORKERS;
}

/// Lays out the memory of a planned factor. Returns its bytes.
static size_t lay_out(cla_factor *f, char *memory) {
    arena a = {memory, 0};
    cla_state *s = &f->state;
    const cla_schedule *schedule = &f->schedule;
    const size_t size = CLA_ROW_BYTES / s->lanes, all_slabs = schedule->columns / s->lanes;
    const size_t most_width = s->block + CLA_MOST_TILE_ROWS;
    f->schedule.state = (cla_group *)(void *)take(&a, schedule->groups * sizeof(cla_group));
    s->signs = take(&a, schedule->columns * size);
    s->triangles = take_slabs(&a, most_width, all_slabs);
    // Extra rows for the last tile. Lines that are a power of two apart would compete for the same places in the
    // caches.
    if (schedule->is_in_slabs) s->slabs = take_slabs(&a, s->rows + CLA_MOST_TILE_ROWS + (s->rows % 64 == 0 ? 8 : 0), all_slabs);
    for (int i = 0; i < schedule->packs; i++) {
        s->packs[i].columns = take(&a, s->rows * most_width * size);
        s->packs[i].rows = take(&a, (s->rows + CLA_MOST_TILE_ROWS) * s->block * size);
    }
    const size_t group_slabs = schedule->groups == 1 ? all_slabs : schedule->group_blocks * s->block / s->lanes;
    for (size_t i = 0; i < f->member_count; i++) {
        cla_worker *w = &f->members[i].worker;
        w->product = take_slabs(&a, most_width, group_slabs);
        w->changed = take_slabs(&a, most_width, group_slabs);
        w->left = take(&a, CLA_INNER_ROWS * most_width * size);
        w->triangle = take(&a, most_width * s->block * size);
        w->reflection = take(&a, CLA_REFLECTION_BYTES);
        if (!schedule->is_in_slabs) w->window = take(&a, CLA_MOST_OUTER_ROWS * CLA_ROW_BYTES);
    }
    return a.used;
}

size_t cla_factor_bytes(cla_precision precision, size_t rows, size_t columns) {
    cla_factor f = {0};
    plan(&f, precision, rows, columns);
    return lay_out(&f, NULL) + sizeof(cla_factor);
}

// MARK: Steps

static const cla_kernels *kernels_named(const char *name) {
#if defined(__x86_64__)
    if (strcmp(name, cla_avx512.name) == 0) return &cla_avx512;
    if (strcmp(name, cla_avx2.name) == 0) return &cla_avx2;
#endif
    return &cla_portable;
}

cla_factor *cla_factor_begin(
    const char *kernels, cla_precision precision, void *matrix, size_t rows, size_t columns, double gain) {
    cla_factor *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    plan(f, precision, rows, columns);
    size_t bytes = lay_out(f, NULL);
    f->memory = aligned_alloc(CLA_ROW_BYTES, bytes);
    if (f->memory == NULL) {
        free(f);
        return NULL;
    }
    lay_out(f, f->memory);
    f->kernels = *kernels_named(kernels);
    cla_state *s = &f->state;
    s->matrix = matrix;
    s->gain = gain;
    // Clears the Ts below their diagonals, and the columns that only fill a slab.
    memset(s->triangles.at, 0, s->triangles.rows * f->schedule.columns / s->lanes * CLA_ROW_BYTES);
    memset(s->signs, 0, f->schedule.columns * CLA_ROW_BYTES / s->lanes);
    cla_schedule_begin(&f->schedule, f->schedule.state);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->progress, &attributes);
    pthread_condattr_destroy(&attributes);
    for (size_t i = 0; i < f->member_count; i++) f->members[i].factor = f;
    // The caller has a thread already.
    atomic_fetch_add(&threads_in_use, 1);
    return f;
}

bool cla_factor_step(cla_factor *f) {
    cla_worker *w = &f->members[0].worker;
    if (!f->has_operation) {
        start_helpers(f);
        pthread_mutex_lock(&f->lock);
        bool is_complete = cla_schedule_is_complete(&f->schedule);
        f->has_operation = !is_complete && take_operation(f, w);
        if (!is_complete && !f->has_operation) wait_for_progress(f);
        pthread_mutex_unlock(&f->lock);
        if (is_complete) return false;
        if (!f->has_operation) return true;
    }
    if (!advance(f, w)) return true;
    f->has_operation = false;
    finish_operation(f, w);
    return true;
}

void cla_factor_end(cla_factor *f) {
    atomic_store(&f->is_ended, true);
    for (size_t i = 1; i < f->member_count; i++) join(&f->members[i]);
    atomic_fetch_sub(&threads_in_use, 1);
    pthread_cond_destroy(&f->progress);
    pthread_mutex_destroy(&f->lock);
    free(f->memory);
    free(f);
}
