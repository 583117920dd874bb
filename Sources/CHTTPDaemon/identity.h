/* What a server shows of itself: between daemon.c, which knows nothing of GnuTLS, and tls.c, which knows nothing of libmicrohttpd. */

#ifndef C_HTTP_DAEMON_IDENTITY_H
#define C_HTTP_DAEMON_IDENTITY_H

#include <stdatomic.h>

/* A certificate with its key. The one before it is kept, for a handshake under way may still be showing it. */
struct identity;

/* Those that a daemon has had; the newest is shown. */
typedef struct identity *_Atomic identities;

/* Adds one. Returns NULL, or what is wrong, in English; then all is as before. Not to be called by two threads at once. */
const char *identities_add(identities *list, const char *certificate, const char *key);

void identities_free(identities *list);

/* Says whose are shown in handshakes of this thread. */
void identities_show(identities *list);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK: a gnutls_certificate_retrieve_function2. */
void *identities_retriever(void);

#endif
