#include "tables.h"

size_t ctk_merge(
    void *values, const void *redrawn, size_t item_size, size_t blocks, uint16_t *pending, const uint16_t *outside) {
    size_t left = 0;
    for (size_t block = 0; block < blocks; block++) {
        // Few bits are set: one at a time.
        for (unsigned bits = pending[block]; bits != 0; bits &= bits - 1) {
            size_t item = block * CTK_NORMAL_BLOCK + (size_t)__builtin_ctz(bits);
            switch (item_size) {
            case 2: ((uint16_t *)values)[item] = ((const uint16_t *)redrawn)[item]; break;
            case 4: ((uint32_t *)values)[item] = ((const uint32_t *)redrawn)[item]; break;
            default: ((uint64_t *)values)[item] = ((const uint64_t *)redrawn)[item]; break;
            }
        }
        pending[block] &= outside[block];
        left += pending[block] != 0;
    }
    return left;
}
