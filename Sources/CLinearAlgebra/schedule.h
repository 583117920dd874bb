#ifndef CLA_SCHEDULE_H
#define CLA_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

/// The order of the operations of a decomposition: a few lines of operations, each done one after the other. An operation
/// waits for those of other lines that its operands come from, so that lines may be worked on by several threads.
///
/// * The chain factors the blocks from left to right, each slab by slab, and packs their reflectors for the other lines;
///   afterwards it packs them from right to left.
/// * Each group of columns is loaded, changed by the blocks to its left as they come, and once R is complete becomes columns of
///   Q: changed by the blocks from right to left, where its own blocks replace their reflectors by their part of Q.

typedef enum {
    /// Brings columns from the caller's matrix into slabs.
    CLA_LOAD,
    /// Makes the reflectors of a slab, and its T.
    CLA_REFLECT,
    /// Applies reflectors to columns: (1 − VTᵀVᵀ) on the way forward, (1 − VTVᵀ) on the way back.
    CLA_UPDATE,
    /// Joins the Ts of two neighbours.
    CLA_MERGE,
    /// Packs a block's reflectors as left operands.
    CLA_PACK,
    /// Replaces a block's reflectors by their columns of Q.
    CLA_OWN,
    /// Brings columns back into the caller's matrix, times the gain.
    CLA_STORE,
} cla_kind;

typedef struct {
    cla_kind kind;
    bool is_backward;
    /// First column of the block, whose row 0 of T is at.
    size_t block;
    /// Columns of the reflectors.
    size_t column, width;
    /// Columns that are changed; of a merge, the right neighbour's.
    size_t from, end;
    /// Index of the pack that holds the reflectors, or is to; −1 if they are packed on the way.
    int pack;
    /// The line of the schedule that it belongs to.
    size_t line;
} cla_operation;

enum {
    /// Packs in use at the same time: one that is being made, one that is being applied.
    CLA_MOST_PACKS = 2,
    /// Operations of a panel: a panel of n slabs has 3n − 2.
    CLA_MOST_PANEL_STEPS = 34,
};

/// A step of a panel, in slabs from the panel's beginning.
typedef struct {
    cla_kind kind;
    size_t column, width, end;
} cla_panel_step;

typedef struct {
    /// Operations that are complete, of the stage `stage`.
    size_t done;
    enum { CLA_LOADING, CLA_FORWARD, CLA_BACKWARD, CLA_STORING, CLA_COMPLETE } stage;
    bool is_busy;
} cla_group;

typedef struct {
    size_t columns, lanes, block, blocks;
    /// Blocks of a group, and groups.
    size_t group_blocks, groups;
    int packs;
    bool is_in_slabs;
    /// Steps of a panel of the full width, and of the last one.
    cla_panel_step steps[2][CLA_MOST_PANEL_STEPS];
    size_t step_counts[2];
    /// Blocks factored and packed, steps done of the next one, and blocks packed on the way back.
    size_t factored, steps_done, packed_back;
    bool chain_is_busy;
    cla_group *state;
} cla_schedule;

/// Sets everything but the progress: how a matrix of so many columns is divided.
void cla_schedule_plan(cla_schedule *, size_t columns, size_t lanes, size_t threads);

/// Begins, with room for the progress of `groups` groups.
void cla_schedule_begin(cla_schedule *, cla_group *groups);

/// Takes an operation whose operands are there.
///
/// Returns whether there is one.
bool cla_schedule_take(cla_schedule *, cla_operation *);

/// Says that an operation is complete.
void cla_schedule_finish(cla_schedule *, const cla_operation *);

bool cla_schedule_is_complete(const cla_schedule *);

#endif
