#ifndef CLA_SCHEDULE_H
#define CLA_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

/// The order of the operations of a decomposition. The operations form a few lines; those of one line run one after the
/// other. An operation waits for the operations of other lines that make its operands, so several threads can work on
/// different lines.
///
/// * The chain factors the blocks from left to right, each slab by slab, and packs their reflectors for the other
///   lines. Afterwards it packs the reflectors from right to left.
/// * Each group of columns is loaded, and changed by each block to its left as soon as that block is factored. Once R
///   is complete, the blocks from right to left turn the group into columns of Q; the group's own blocks replace their
///   reflectors by their part of Q.

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
    /// First column of the block, to which row 0 of T belongs.
    size_t block;
    /// Columns of the reflectors.
    size_t column, width;
    /// Columns that are changed; for a merge, the right neighbour's.
    size_t from, end;
    /// Index of the pack that holds the reflectors, or will hold them; −1 if the operation packs them itself.
    int pack;
    /// The line of the schedule that the operation belongs to.
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
    /// Complete operations of the current stage.
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

/// Plans how a matrix of this many columns is divided. Sets everything but the progress.
void cla_schedule_plan(cla_schedule *, size_t columns, size_t lanes, size_t threads);

/// Begins the schedule. `groups` has room for the progress of each group.
void cla_schedule_begin(cla_schedule *, cla_group *groups);

/// Takes an operation whose operands are ready.
///
/// Returns false if there is none.
bool cla_schedule_take(cla_schedule *, cla_operation *);

/// Marks an operation as complete.
void cla_schedule_finish(cla_schedule *, const cla_operation *);

bool cla_schedule_is_complete(const cla_schedule *);

#endif
