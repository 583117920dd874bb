#ifndef C_EMBEDDED_FILES_H
#define C_EMBEDDED_FILES_H

#include <stddef.h>

/// A file that is embedded in the program. Only the pages that are read take memory.
struct c_embedded_file {
    const unsigned char *bytes;
    size_t count;
};

/// The files, each of which has a function `c_embedded_…`.
#define C_EMBEDDED_FILES(of) \
    of(page) of(readme) of(problems) of(openapi_json) of(openapi_yaml) of(models) of(vectors) of(orthogonal_vectors)

#define C_EMBEDDED_DECLARE(name) struct c_embedded_file c_embedded_##name(void);
C_EMBEDDED_FILES(C_EMBEDDED_DECLARE)

#endif
