/* TLS outside libmicrohttpd. CHTTPDaemon.h and identity.h document each function. */

#include "CHTTPDaemon.h"
#include "identity.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

/* MARK: As a server */

struct identity {
    gnutls_pcert_st chain[16];
    unsigned int chain_length;
    gnutls_privkey_t key;
    struct identity *newer;
    size_t connections; /* Open connections that began while this one was shown. */
};

/* The library does not tell its callback which daemon calls, but each of its threads serves one daemon only. */
static _Thread_local identities *showing;

static void identity_free(struct identity *identity) {
    for (unsigned int i = 0; i < identity->chain_length; i++) {
        gnutls_pcert_deinit(&identity->chain[i]);
    }
    gnutls_privkey_deinit(identity->key);
    free(identity);
}

/* Frees certificates that are neither shown nor in use. Called under the lock. */
static void free_unused(identities *list) {
    while (list->oldest != NULL && list->oldest != list->shown && list->oldest->connections == 0) {
        struct identity *oldest = list->oldest;
        list->oldest = oldest->newer;
        identity_free(oldest);
    }
}

void identities_begin(identities *list) { *list = (identities){.mutex = PTHREAD_MUTEX_INITIALIZER}; }

const char *c_httpd_tls_fault(const char *certificate, const char *key) {
    gnutls_certificate_credentials_t credentials;
    int code = gnutls_certificate_allocate_credentials(&credentials);
    if (code < 0) {
        return gnutls_strerror(code);
    }
    /* The library writes through neither pointer. */
    const gnutls_datum_t certificate_text = {(unsigned char *)certificate, (unsigned int)strlen(certificate)};
    const gnutls_datum_t key_text = {(unsigned char *)key, (unsigned int)strlen(key)};
    code = gnutls_certificate_set_x509_key_mem(credentials, &certificate_text, &key_text, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return code < 0 ? gnutls_strerror(code) : NULL;
}

const char *identities_add(identities *list, const char *certificate, const char *key) {
    const gnutls_datum_t certificate_text = {(unsigned char *)certificate, (unsigned int)strlen(certificate)};
    const gnutls_datum_t key_text = {(unsigned char *)key, (unsigned int)strlen(key)};
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) {
        return gnutls_strerror(GNUTLS_E_MEMORY_ERROR);
    }
    int code = gnutls_privkey_init(&identity->key);
    if (code < 0) {
        free(identity);
        return gnutls_strerror(code);
    }
    code = gnutls_privkey_import_x509_raw(identity->key, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code >= 0) {
        unsigned int length = sizeof identity->chain / sizeof identity->chain[0];
        code = gnutls_pcert_list_import_x509_raw(
            identity->chain, &length, &certificate_text, GNUTLS_X509_FMT_PEM,
            GNUTLS_X509_CRT_LIST_SORT | GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
        identity->chain_length = code < 0 ? 0 : length;
    }
    if (code < 0) {
        identity_free(identity);
        return gnutls_strerror(code);
    }
    pthread_mutex_lock(&list->mutex);
    if (list->shown == NULL) {
        list->oldest = identity;
    } else {
        list->shown->newer = identity;
    }
    list->shown = identity;
    free_unused(list);
    pthread_mutex_unlock(&list->mutex);
    return NULL;
}

void identities_end(identities *list) {
    list->shown = NULL;
    free_unused(list);
    pthread_mutex_destroy(&list->mutex);
}

struct identity *identities_show(identities *list) {
    pthread_mutex_lock(&list->mutex);
    showing = list;
    struct identity *identity = list->shown;
    if (identity != NULL) {
        identity->connections += 1;
    }
    pthread_mutex_unlock(&list->mutex);
    return identity;
}

void identities_release(identities *list, struct identity *since) {
    if (since != NULL) {
        pthread_mutex_lock(&list->mutex);
        since->connections -= 1;
        free_unused(list);
        pthread_mutex_unlock(&list->mutex);
    }
}

size_t identities_count(identities *list) {
    size_t count = 0;
    pthread_mutex_lock(&list->mutex);
    for (const struct identity *identity = list->oldest; identity != NULL; identity = identity->newer) {
        count += 1;
    }
    pthread_mutex_unlock(&list->mutex);
    return count;
}

bool tls_send_last(void *session, const uint8_t *bytes, size_t byte_count) {
    return gnutls_record_send(session, bytes, byte_count) == (ssize_t)byte_count
           && gnutls_bye(session, GNUTLS_SHUT_WR) == GNUTLS_E_SUCCESS;
}

static int retrieve(
    gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain, unsigned int *chain_length,
    gnutls_privkey_t *key) {
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    if (showing == NULL) {
        return -1;
    }
    pthread_mutex_lock(&showing->mutex);
    /* Lives as long as the calling connection, which began with this certificate or an older one. */
    struct identity *identity = showing->shown;
    pthread_mutex_unlock(&showing->mutex);
    if (identity == NULL) {
        return -1;
    }
    *chain = identity->chain;
    *chain_length = identity->chain_length;
    *key = identity->key;
    return 0;
}

void *identities_retriever(void) { return (void *)&retrieve; }

/* MARK: As a client */

static int exchange(gnutls_session_t session, const char *request, char *answer, size_t capacity) {
    int code;
    do {
        code = gnutls_handshake(session);
    } while (code == GNUTLS_E_INTERRUPTED || code == GNUTLS_E_WARNING_ALERT_RECEIVED);
    size_t size = strlen(request);
    if (code == GNUTLS_E_SUCCESS) {
        /* Short enough for one record. */
        ssize_t sent = gnutls_record_send(session, request, size);
        code = sent == (ssize_t)size ? GNUTLS_E_SUCCESS : sent < 0 ? (int)sent : GNUTLS_E_PUSH_ERROR;
    }
    size_t filled = 0;
    while (code == GNUTLS_E_SUCCESS && filled < capacity) {
        ssize_t received = gnutls_record_recv(session, answer + filled, capacity - filled);
        if (received <= 0 && received != GNUTLS_E_INTERRUPTED) {
            /* The end of the stream, with or without close_notify. */
            return filled > 0 || received == 0 ? (int)filled : (int)received;
        }
        filled += received > 0 ? (size_t)received : 0;
    }
    return code == GNUTLS_E_SUCCESS ? (int)filled : code;
}

int c_httpd_tls_exchange(int descriptor, const char *request, char *answer, size_t capacity) {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int code = gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (code < 0) {
        return code;
    }
    code = gnutls_certificate_allocate_credentials(&credentials);
    if (code >= 0) {
        code = gnutls_set_default_priority(session);
        if (code >= 0) {
            code = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
        }
        if (code >= 0) {
            gnutls_transport_set_int(session, descriptor);
            code = exchange(session, request, answer, capacity);
        }
        gnutls_deinit(session);
        gnutls_certificate_free_credentials(credentials);
        return code;
    }
    gnutls_deinit(session);
    return code;
}

const char *c_httpd_tls_error(int code) { return gnutls_strerror(code); }
