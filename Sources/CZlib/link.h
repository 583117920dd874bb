/* zlib, for compressed elements in a request. */
#include <zlib.h>
