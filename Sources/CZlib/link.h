/* zlib, for elements that a request spells out. */
#include <zlib.h>
