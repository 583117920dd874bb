#include "CEmbeddedFiles.h"

/* In C, because Swift would need an array literal with every byte, which takes a minute to compile. */
#if defined(__clang__)
/* An extension before C23. */
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif

static const unsigned char page[] = {
#embed "page.html"
}, readme[] = {
#embed "../../README.md"
}, problems[] = {
#embed "../../docs/problems.md"
}, openapi_json[] = {
#embed "../../openapi.json"
}, openapi_yaml[] = {
#embed "../../openapi.yaml"
}, models[] = {
#embed "models.bin"
}, vectors[] = {
#embed "vectors.txt"
}, orthogonal_vectors[] = {
#embed "orthogonal.txt"
};

#define DEFINE(name) \
    struct c_embedded_file c_embedded_##name(void) { return (struct c_embedded_file){name, sizeof name}; }
C_EMBEDDED_FILES(DEFINE)
