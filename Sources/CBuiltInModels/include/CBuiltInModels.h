#ifndef C_BUILT_IN_MODELS_H
#define C_BUILT_IN_MODELS_H

#include <stddef.h>

/// The file of the built-in models, which `make models` writes. It is a part of the program, and takes memory only for the pages
/// that are read.
const unsigned char *cbm_bytes(void);

/// Bytes of the file.
size_t cbm_byte_count(void);

#endif
