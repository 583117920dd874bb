/* Certificates of a server: between daemon.c, which knows nothing of GnuTLS, and tls.c, which knows nothing of libmicrohttpd. */

#ifndef C_HTTP_DAEMON_IDENTITY_H
#define C_HTTP_DAEMON_IDENTITY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A certificate with its key. */
struct identity;

/*
 * The certificate that a daemon shows, and those before it that a connection may still be using.
 *
 * A connection uses one that was shown at its beginning or after it. So one that is no longer shown is freed when all the
 * connections have ended that had begun before the next one was shown.
 */
typedef struct identities {
    pthread_mutex_t mutex;
    struct identity *oldest;
    struct identity *shown;
} identities;

void identities_begin(identities *list);

/* Shows another. Returns NULL, or what is wrong, in English; then all is as before. Not to be called by two threads at once. */
const char *identities_add(identities *list, const char *certificate, const char *key);

/* Frees all of them. */
void identities_end(identities *list);

/* Begins a connection: handshakes of this thread show those of this list. Returns what to release; NULL without TLS. */
struct identity *identities_show(identities *list);

/* Ends a connection. */
void identities_release(identities *list, struct identity *since);

size_t identities_count(identities *list);

/* Sends the last bytes of a session, and that they are the last. `session` is a gnutls_session_t. False if they do not fit. */
bool tls_send_last(void *session, const uint8_t *bytes, size_t byte_count);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK: a gnutls_certificate_retrieve_function2. */
void *identities_retriever(void);

#endif
