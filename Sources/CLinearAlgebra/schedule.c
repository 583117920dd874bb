#include "schedule.h"

enum {
    /// Approximate number of slabs of a group.
    GROUP_SLABS = 16,
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/// Columns of a block. Decides the bits.
static size_t block_columns(size_t columns) { return columns <= 128 ? 32 : columns <= 512 ? 48 : 96; }

/// Writes the steps of a panel: it is halved down to single slabs. Decides the bits.
static size_t plan_panel(cla_panel_step *steps, size_t count, size_t column, size_t width) {
    if (width == 1) {
        steps[count] = (cla_panel_step){CLA_REFLECT, column, 1, column + 1};
        return count + 1;
    }
    size_t left = (width + 1) / 2, end = column + width;
    count = plan_panel(steps, count, column, left);
    steps[count++] = (cla_panel_step){CLA_UPDATE, column, left, end};
    count = plan_panel(steps, count, column + left, width - left);
    steps[count++] = (cla_panel_step){CLA_MERGE, column, left, end};
    return count;
}

void cla_schedule_plan(cla_schedule *s, size_t columns, size_t lanes, size_t threads) {
    *s = (cla_schedule){.lanes = lanes, .block = block_columns(columns)};
    s->columns = (columns + lanes - 1) / lanes * lanes;
    s->block = smaller(s->block, s->columns);
    s->blocks = (s->columns + s->block - 1) / s->block;
    s->group_blocks = (GROUP_SLABS * lanes + s->block / 2) / s->block;
    s->groups = (s->blocks + s->group_blocks - 1) / s->group_blocks;
    // The blocks of a single group are applied to its columns once each: they are packed on the way.
    s->packs = s->groups == 1 ? 0 : threads == 1 ? 1 : CLA_MOST_PACKS;
    s->is_in_slabs = 2 * columns > lanes;
    size_t last_columns = s->columns - (s->blocks - 1) * s->block;
    s->step_counts[0] = plan_panel(s->steps[0], 0, 0, s->block / lanes);
    s->step_counts[1] = plan_panel(s->steps[1], 0, 0, last_columns / lanes);
}

static size_t first_block(const cla_schedule *s, size_t group) { return group * s->group_blocks; }

static size_t last_block(const cla_schedule *s, size_t group) {
    return smaller((group + 1) * s->group_blocks, s->blocks) - 1;
}

static size_t end_column(const cla_schedule *s, size_t block) { return smaller((block + 1) * s->block, s->columns); }

/// Returns the next block on a group's way back. `is_own` is true if the block's own columns are next.
static size_t backward_block(const cla_schedule *s, size_t group, bool *is_own) {
    size_t first = first_block(s, group), last = last_block(s, group), done = s->state[group].done;
    size_t of_own = 2 * (last - first) + 1;
    *is_own = done < of_own && done % 2 == 0;
    return done < of_own ? last - (done + 1) / 2 : first - 1 - (done - of_own);
}

static size_t backward_count(const cla_schedule *s, size_t group) {
    return 2 * (last_block(s, group) - first_block(s, group)) + 1 + first_block(s, group);
}

/// `true` if a block's pack on the way forward is no longer needed.
static bool is_applied_forward(const cla_schedule *s, size_t block) {
    for (size_t g = block / s->group_blocks; g < s->groups; g++) {
        const cla_group *group = &s->state[g];
        if (last_block(s, g) > block && (group->stage < CLA_FORWARD || (group->stage == CLA_FORWARD && group->done <= block)))
            return false;
    }
    return true;
}

/// `true` if a block's pack on the way back is no longer needed.
static bool is_applied_backward(const cla_schedule *s, size_t block) {
    bool is_own;
    for (size_t g = block / s->group_blocks; g < s->groups; g++)
        if (s->state[g].stage <= CLA_BACKWARD && backward_block(s, g, &is_own) >= block) return false;
    return true;
}

static int pack_index(const cla_schedule *s, size_t block) { return s->packs == 0 ? -1 : (int)block % s->packs; }

/// Finds the chain's next operation. Returns true if there is one and its operands are ready.
static bool next_of_chain(const cla_schedule *s, cla_operation *operation) {
    size_t packs = (size_t)s->packs;
    if (s->factored < s->blocks) {
        size_t block = s->factored, column = block * s->block, is_last = block == s->blocks - 1;
        const cla_group *group = &s->state[block / s->group_blocks];
        bool is_up_to_date = group->stage > CLA_FORWARD || (group->stage == CLA_FORWARD && group->done >= block);
        if (s->steps_done < s->step_counts[is_last]) {
            cla_panel_step step = s->steps[is_last][s->steps_done];
            *operation = (cla_operation){
                .kind = step.kind,
                .block = column,
                .column = column + step.column * s->lanes,
                .width = step.width * s->lanes,
                .from = column + (step.column + step.width) * s->lanes,
                .end = column + step.end * s->lanes,
                .pack = -1,
            };
            return is_up_to_date;
        }
        *operation = (cla_operation){
            CLA_PACK, false, column, column, s->block, 0, 0, pack_index(s, block), s->groups};
        return block < packs || is_applied_forward(s, block - packs);
    }
    if (packs == 0 || s->packed_back == s->blocks) return false;
    size_t block = s->blocks - 1 - s->packed_back, column = block * s->block;
    *operation = (cla_operation){
        CLA_PACK, true, column, column, end_column(s, block) - column, 0, 0, pack_index(s, block), s->groups};
    return block + packs >= s->blocks || is_applied_backward(s, block + packs);
}

/// Finds a group's next operation. Returns 0 if its operands are not ready, else a number that is smaller for a more
/// urgent operation.
static size_t next_of_group(const cla_schedule *s, size_t g, cla_operation *operation) {
    const cla_group *group = &s->state[g];
    size_t from = first_block(s, g) * s->block, end = end_column(s, last_block(s, g)), block = group->done;
    *operation = (cla_operation){.from = from, .end = end, .line = g, .pack = -1};
    switch (group->stage) {
    case CLA_LOADING:
        operation->kind = CLA_LOAD;
        return 1;
    case CLA_FORWARD:
        operation->kind = CLA_UPDATE;
        if (block >= s->factored) return 0;
        break;
    case CLA_BACKWARD: {
        bool is_own;
        block = backward_block(s, g, &is_own);
        operation->kind = is_own ? CLA_OWN : CLA_UPDATE;
        operation->is_backward = true;
        if (s->factored < s->blocks || (s->packs > 0 && s->packed_back < s->blocks - block)) return 0;
        break;
    }
    case CLA_STORING:
        operation->kind = CLA_STORE;
        return 3 * s->blocks;
    case CLA_COMPLETE: return 0;
    }
    operation->block = operation->column = block * s->block;
    operation->width = end_column(s, block) - operation->column;
    operation->pack = pack_index(s, block);
    if (from <= operation->column) operation->from = end_column(s, block);
    return group->stage == CLA_FORWARD ? 2 + block : 2 + 2 * s->blocks - block;
}

bool cla_schedule_take(cla_schedule *s, cla_operation *operation) {
    if (!s->chain_is_busy && next_of_chain(s, operation)) {
        operation->line = s->groups;
        s->chain_is_busy = true;
        return true;
    }
    size_t most_urgent = 0;
    for (size_t g = 0; g < s->groups; g++) {
        cla_operation other;
        size_t urgency = s->state[g].is_busy ? 0 : next_of_group(s, g, &other);
        if (urgency == 0 || (most_urgent != 0 && urgency >= most_urgent)) continue;
        most_urgent = urgency;
        *operation = other;
    }
    if (most_urgent == 0) return false;
    s->state[operation->line].is_busy = true;
    return true;
}

static void finish_chain(cla_schedule *s, const cla_operation *operation) {
    s->chain_is_busy = false;
    if (operation->kind == CLA_PACK && operation->is_backward) {
        s->packed_back++;
        return;
    }
    bool is_last = s->factored == s->blocks - 1;
    if (operation->kind != CLA_PACK) s->steps_done++;
    if (s->steps_done < s->step_counts[is_last]) return;
    // The last block has no columns to its right.
    if (operation->kind == CLA_PACK || s->packs == 0 || is_last) s->factored++, s->steps_done = 0;
}

/// Moves a group past the stages that have no operations left.
static void move_on(cla_schedule *s, size_t g) {
    cla_group *group = &s->state[g];
    for (;;) {
        size_t count = 0;
        switch (group->stage) {
        case CLA_LOADING:
        case CLA_STORING: count = s->is_in_slabs; break;
        case CLA_FORWARD: count = last_block(s, g); break;
        case CLA_BACKWARD: count = backward_count(s, g); break;
        case CLA_COMPLETE: return;
        }
        if (group->done < count) return;
        group->stage++;
        group->done = 0;
    }
}

void cla_schedule_begin(cla_schedule *s, cla_group *groups) {
    s->state = groups;
    for (size_t g = 0; g < s->groups; g++) {
        groups[g] = (cla_group){0};
        move_on(s, g);
    }
}

void cla_schedule_finish(cla_schedule *s, const cla_operation *operation) {
    if (operation->line == s->groups) {
        finish_chain(s, operation);
        return;
    }
    cla_group *group = &s->state[operation->line];
    group->is_busy = false;
    group->done++;
    move_on(s, operation->line);
}

bool cla_schedule_is_complete(const cla_schedule *s) {
    for (size_t g = 0; g < s->groups; g++)
        if (s->state[g].stage != CLA_COMPLETE) return false;
    return true;
}
