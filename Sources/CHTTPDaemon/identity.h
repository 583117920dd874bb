/*
 * Certificates of a server: the interface between daemon.c, which does not use GnuTLS, and tls.c, which does not use
 * libmicrohttpd.
 */

#ifndef C_HTTP_DAEMON_IDENTITY_H
#define C_HTTP_DAEMON_IDENTITY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A certificate with its key. */
struct identity;

/*
 * The certificate that a daemon shows, and older ones that a connection may still use.
 *
 * A connection uses a certificate that was shown at its beginning or later. So an old certificate is freed when all
 * connections that began before its replacement have ended.
 */
typedef struct identities {
    pthread_mutex_t mutex;
    struct identity *oldest;
    struct identity *shown;
} identities;

void identities_begin(identities *list);

/* Shows another certificate. Returns NULL, or an error message in English; then the old one stays. Must not be called
   by two threads at once. */
const char *identities_add(identities *list, const char *certificate, const char *key);

/* Frees all certificates. */
void identities_end(identities *list);

/* Begins a connection: handshakes of this thread use this list. Returns the identity to release; NULL without TLS. */
struct identity *identities_show(identities *list);

/* Ends a connection. */
void identities_release(identities *list, struct identity *since);

size_t identities_count(identities *list);

/* Sends the last bytes of a session, and ends its output. `session` is a gnutls_session_t. False if they do not fit. */
bool tls_send_last(void *session, const uint8_t *bytes, size_t byte_count);

/* Returns a gnutls_certificate_retrieve_function2 for MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *identities_retriever(void);

#endif
