#include "CBuiltInModels.h"

// Swift has no such directive: it would compile an array of millions of elements, for minutes.
#if defined(__clang__)
// An extension before C23.
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif

static const unsigned char models[] = {
#embed "models.bin"
};

const unsigned char *cbm_bytes(void) { return models; }

size_t cbm_byte_count(void) { return sizeof models; }
