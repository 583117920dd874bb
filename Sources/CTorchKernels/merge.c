#include "tables.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/// Replaces the items of up to four blocks whose bits are set: of all at a time, for every loop that ends costs a wrong guess.
INLINE void merge_four(char *values, const char *redrawn, size_t item_size, uint64_t bits) {
    for (; bits != 0; bits &= bits - 1) {
        size_t offset = (size_t)__builtin_ctzll(bits) * item_size;
        memcpy(values + offset, redrawn + offset, item_size);
    }
}

INLINE size_t merge(
    char *values, const char *redrawn, size_t item_size, size_t blocks, uint16_t *pending, const uint16_t *outside) {
    size_t left = 0;
    for (size_t block = 0; block < blocks; block += 4) {
        size_t count = blocks - block < 4 ? blocks - block : 4;
        uint64_t bits = 0;
        for (size_t i = 0; i < count; i++) bits |= (uint64_t)pending[block + i] << CTK_NORMAL_BLOCK * i;
        size_t offset = block * CTK_NORMAL_BLOCK * item_size;
        merge_four(values + offset, redrawn + offset, item_size, bits);
        for (size_t i = 0; i < count; i++) {
            pending[block + i] &= outside[block + i];
            left += pending[block + i] != 0;
        }
    }
    return left;
}

size_t ctk_merge(
    void *values, const void *redrawn, size_t item_size, size_t blocks, uint16_t *pending, const uint16_t *outside) {
    // So that the compiler knows the size in each.
    switch (item_size) {
    case 2: return merge(values, redrawn, 2, blocks, pending, outside);
    case 4: return merge(values, redrawn, 4, blocks, pending, outside);
    default: return merge(values, redrawn, 8, blocks, pending, outside);
    }
}
