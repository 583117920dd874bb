#ifndef C_EMBEDDED_FILES_H
#define C_EMBEDDED_FILES_H

#include <stddef.h>

/// A file that is embedded in the program. Only the pages that are read take memory.
struct c_embedded_file {
    const unsigned char *bytes;
    size_t count;
};

struct c_embedded_file c_embedded_page(void);
struct c_embedded_file c_embedded_readme(void);
struct c_embedded_file c_embedded_problems(void);
struct c_embedded_file c_embedded_openapi_json(void);
struct c_embedded_file c_embedded_openapi_yaml(void);
struct c_embedded_file c_embedded_models(void);
struct c_embedded_file c_embedded_vectors(void);
struct c_embedded_file c_embedded_orthogonal_vectors(void);

#endif
