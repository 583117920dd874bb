#include "CEmbeddedFiles.h"

/* In C, because Swift would need an array literal with every byte, which takes a minute to compile. */
#if defined(__clang__)
/* An extension before C23. */
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif

#define FILE_OF(name) \
    struct c_embedded_file c_embedded_##name(void) { return (struct c_embedded_file){name, sizeof name}; }

static const unsigned char page[] = {
#embed "page.html"
};
FILE_OF(page)

static const unsigned char readme[] = {
#embed "../../README.md"
};
FILE_OF(readme)

static const unsigned char problems[] = {
#embed "../../docs/problems.md"
};
FILE_OF(problems)

static const unsigned char openapi_json[] = {
#embed "../../openapi.json"
};
FILE_OF(openapi_json)

static const unsigned char openapi_yaml[] = {
#embed "../../openapi.yaml"
};
FILE_OF(openapi_yaml)

static const unsigned char models[] = {
#embed "models.bin"
};
FILE_OF(models)

static const unsigned char vectors[] = {
#embed "vectors.txt"
};
FILE_OF(vectors)

static const unsigned char orthogonal_vectors[] = {
#embed "orthogonal.txt"
};
FILE_OF(orthogonal_vectors)
