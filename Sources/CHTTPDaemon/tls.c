/* TLS outside libmicrohttpd. See CHTTPDaemon.h for what each function promises. */

#include "CHTTPDaemon.h"

#include <gnutls/gnutls.h>
#include <string.h>

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
            /* The end, with or without a farewell. */
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
