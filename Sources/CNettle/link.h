/* Nettle's SHA-2. GnuTLS brings the library along. */
#include <nettle/sha2.h>
