/*
 * The part of libmicrohttpd the service uses, as plain C functions over opaque handles.
 *
 * <microhttpd.h> does not survive the import into Swift: its enumerations become frozen ones, its variadic functions
 * and MHD_SIZE_UNKNOWN vanish. None of its types is in this header, which has only integers, pointers and callbacks.
 */

#ifndef C_HTTP_DAEMON_H
#define C_HTTP_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __has_feature(assume_nonnull)
#pragma clang assume_nonnull begin
#endif

/** A running daemon. */
typedef struct c_httpd_daemon c_httpd_daemon;
/** A connection; valid in callbacks that name it, and while it is suspended. */
typedef struct c_httpd_connection c_httpd_connection;
/** A response that has not been queued yet. */
typedef struct c_httpd_response c_httpd_response;

/** Callbacks of the daemon, which several of its threads call at once. `context` is the one given to c_httpd_start. */
typedef struct c_httpd_callbacks {
    /**
     * A connection was accepted from `peer` (a numeric address). Returns the connection's context for the other
     * callbacks.
     */
    void *_Nonnull (*_Nonnull connection_opened)(void *context, int descriptor, const char *_Nullable peer);

    /** The last callback for a connection; its descriptor is closed after this has returned. */
    void (*_Nonnull connection_closed)(void *context, void *connection_context);

    /**
     * A request line has arrived, with `target` exactly as sent. The connection's context is also the request's until
     * request_continued replaces it.
     */
    void (*_Nonnull request_started)(void *context, void *connection_context, const char *_Nullable target);

    /**
     * Called for the head (first call), for each piece of the body, and for the end (no bytes). May replace
     * `request_context`. Returning false cuts the connection.
     */
    bool (*_Nonnull request_continued)(
        void *context, void *connection_context, void *_Nonnull *_Nonnull request_context, c_httpd_connection *connection,
        const char *method, const char *version, const uint8_t *_Nullable bytes, size_t byte_count);

    /**
     * The request is over. Called once for each request_started. `status` is the status of the response, also if the
     * library made it; 0 if there was none. `is_whole` is true if all of the response was sent.
     */
    void (*_Nonnull request_ended)(
        void *context, void *connection_context, void *request_context, unsigned int status, bool is_whole);

    /**
     * The head has arrived, but its Content-Length is not a number of bytes (400), or too large a number (413). Writes
     * the whole response and returns its size; the connection ends after the response. request_ended follows,
     * request_continued does not.
     */
    size_t (*_Nonnull length_refused)(
        void *context, void *connection_context, unsigned int status, uint8_t *bytes, size_t capacity);

    /** A log message of the library. */
    void (*_Nonnull log)(void *context, const char *message);
} c_httpd_callbacks;

typedef struct c_httpd_options {
    /** Path of a Unix domain socket to listen at. If it is NULL, the daemon listens at `host` and `port`. */
    const char *_Nullable socket_path;
    /** A numeric IPv4 or IPv6 address. */
    const char *host;
    /** 0 picks a free port. */
    uint16_t port;
    /** 0 starts no threads and listens nowhere: c_httpd_run serves the sockets that c_httpd_adopt has been given. */
    unsigned int thread_count;
    unsigned int connection_limit;
    /** 0 is no limit. */
    unsigned int connections_per_address;
    /** Seconds without traffic after which a connection is closed; 0 is never. */
    unsigned int idle_seconds;
    /** Bytes for the head of a request, its buffers included. */
    size_t connection_memory;
    /**
     * The server's certificate, followed by its chain, and its key, in PEM; both or neither. With them, the daemon
     * speaks TLS.
     */
    const char *_Nullable tls_certificate;
    const char *_Nullable tls_key;
} c_httpd_options;

/** The step at which c_httpd_start failed. */
enum {
    C_HTTPD_FAILED_ADDRESS = 1, /* host is not a numeric address, or socket_path is too long for one */
    C_HTTPD_FAILED_SOCKET = 2,
    C_HTTPD_FAILED_BIND = 3,
    C_HTTPD_FAILED_LISTEN = 4,
    C_HTTPD_FAILED_START = 5, /* MHD_start_daemon, or the thread that accepts */
    C_HTTPD_FAILED_IDENTITY = 6, /* The certificate or its key */
};

typedef struct c_httpd_failure {
    int step;
    /** errno, or 0. */
    int code;
    /** Constant text about a certificate or its key, or NULL. */
    const char *_Nullable reason;
} c_httpd_failure;

/** Listens, and hands accepted connections to MHD_start_daemon's threads. */
c_httpd_daemon *_Nullable c_httpd_start(
    const c_httpd_options *options, const c_httpd_callbacks *callbacks, void *context, c_httpd_failure *failure);

/** The bound port. */
uint16_t c_httpd_port(const c_httpd_daemon *daemon);

/**
 * Shows another certificate, in PEM as in c_httpd_options, on new connections. The daemon must have one already.
 * Returns NULL, or an error message in English; then the old certificate stays. Must not be called by two threads at
 * once.
 */
const char *_Nullable c_httpd_renew_identity(c_httpd_daemon *daemon, const char *certificate, const char *key);

/**
 * Serves a connected Unix domain socket, such as one of a pair, as if it had been accepted. The socket is closed in any
 * case.
 */
bool c_httpd_adopt(c_httpd_daemon *daemon, int descriptor);

/**
 * Serves a daemon without threads: waits up to `milliseconds` for something to do, and does it. Must be called by the
 * thread that adopts connections.
 */
void c_httpd_run(c_httpd_daemon *daemon, int milliseconds);

/** Number of certificates in memory: the shown one, and older ones that a connection may still use. 0 without TLS. */
size_t c_httpd_identity_count(c_httpd_daemon *daemon);

/** Stops listening: new connections are refused. Open ones continue. */
void c_httpd_quiesce(c_httpd_daemon *daemon);

/**
 * Calls c_httpd_quiesce and MHD_stop_daemon, and frees the daemon. No connection may be suspended. No callback runs
 * after the return.
 */
void c_httpd_stop(c_httpd_daemon *daemon);

/** Called for each header field in the order sent, also for each repeated one. False ends the walk. */
typedef bool (*c_httpd_field_visitor)(
    void *context, const char *name, size_t name_size, const char *_Nullable value, size_t value_size);

/** MHD_get_connection_values_n. */
void c_httpd_visit_fields(c_httpd_connection *connection, c_httpd_field_visitor visitor, void *context);

/**
 * Returns true if the head of the request consists of the reported parts and nothing else: one space between the parts
 * of the request line, every line ended by CR LF, no NUL, no folded field.
 *
 * The library silently cuts names and values at a NUL, joins folded lines and takes a bare LF as the end of a line, so
 * a proxy in front can see another request than the library. But the library parses in place: if the parts lie end to
 * end, nothing was skipped. Releases after 0.9.75 refuse these heads themselves and have another layout; there, the
 * result is always true.
 */
bool c_httpd_head_is_exact(
    c_httpd_connection *connection, const char *method, const char *version, size_t target_size);

/**
 * Writes the key of a head: two requests have the same key exactly if method, version, target and all fields, in their
 * order, have the same bytes. Returns the key's size; 0 if the head is not exact, or if there is not enough room.
 */
size_t c_httpd_head_key(
    c_httpd_connection *connection, const char *method, const char *version, const char *_Nullable target,
    size_t target_size, uint8_t *bytes, size_t capacity);

/** A quick hash (FNV-1a, eight bytes at a time). It does not resist deliberate collisions. */
uint64_t c_httpd_hash(const uint8_t *bytes, size_t byte_count);

/** MHD_suspend_connection; only within request_continued. */
void c_httpd_suspend(c_httpd_connection *connection);

/** MHD_resume_connection; from any thread, once for each suspension. request_continued follows. */
void c_httpd_resume(c_httpd_connection *connection);

/** The socket of the connection. */
int c_httpd_descriptor(c_httpd_connection *connection);

/**
 * Waits up to `milliseconds` until a peer has closed its half of a connection or reset it, and sets `gone` for each
 * connection. Calls poll with POLLRDHUP, which headers define only with _GNU_SOURCE, so that Swift does not see it.
 */
void c_httpd_wait_for_hang_up(const int *descriptors, bool *gone, size_t count, int milliseconds);

/**
 * Ends a TCP connection at once so that the peer sees a reset, by connect to AF_UNSPEC. Needed if the end of the
 * connection would otherwise mark the end of an incomplete body. Other sockets stay as they are.
 */
void c_httpd_reset(int descriptor);

/** Returns whole free pages to the system. Calls malloc_trim, whose header Swift does not see. */
void c_httpd_give_back_memory(void);

/**
 * Returns true if the system has this many bytes for malloc. A failed allocation in Swift ends the process, so large
 * ones are tried here first.
 */
bool c_httpd_has_memory(size_t byte_count);

/** A response with an empty body. */
c_httpd_response *_Nullable c_httpd_response_empty(void);

/** A response over `bytes`, which must not change until `release` has run, once, at the end of the response. */
c_httpd_response *_Nullable c_httpd_response_of_shared_bytes(
    const void *bytes, size_t byte_count, void *owner, void (*_Nonnull release)(void *owner));

/** Results of a reader at the end of the body, and if the body cannot be completed, which cuts the connection. */
enum { C_HTTPD_BODY_END = -1, C_HTTPD_BODY_BROKEN = -2 };

/**
 * Writes the body from `position` on into `buffer`. Returns the number of bytes written. After 0, it is called again as
 * soon as other connections have had their turn, so each call should make progress.
 */
typedef int64_t (*c_httpd_reader)(void *body, uint64_t position, uint8_t *buffer, size_t capacity);

/**
 * A response whose body is read piece by piece into a buffer of `block_size` bytes. `release` runs once, at the end of
 * the response.
 */
c_httpd_response *_Nullable c_httpd_response_of_reader(
    uint64_t byte_count, size_t block_size, c_httpd_reader reader, void *body, void (*_Nonnull release)(void *body));

/** The same with unknown length, sent in chunks to HTTP/1.1 clients. */
c_httpd_response *_Nullable c_httpd_response_of_stream(
    size_t block_size, c_httpd_reader reader, void *body, void (*_Nonnull release)(void *body));

/** A response to HEAD, or a 304, that states the length of a body that it does not send. */
c_httpd_response *_Nullable c_httpd_response_unsent(uint64_t byte_count);

/**
 * The same with unknown length: states none, and closes the connection, because the library would otherwise send a last
 * chunk.
 */
c_httpd_response *_Nullable c_httpd_response_unsent_of_unknown_size(void);

/** MHD_add_response_header. False if the library rejects the field. */
bool c_httpd_response_add_field(c_httpd_response *response, const char *name, const char *value);

/**
 * Changes the value of a field of a response. A value of the same length overwrites the library's own copy, which
 * MHD_get_response_header returns, and takes no memory. False if the library rejects the value, or if the response does
 * not have the field. Must not be called while the response is queued.
 */
bool c_httpd_response_change_field(c_httpd_response *response, const char *name, const char *value);

/** MHD_queue_response. False if the library rejects the response. */
bool c_httpd_queue(c_httpd_connection *connection, unsigned int status, c_httpd_response *response);

/**
 * Returns an error message, in English, if a certificate or its key in PEM is wrong, else NULL. Calls
 * gnutls_certificate_set_x509_key_mem.
 */
const char *_Nullable c_httpd_tls_fault(const char *certificate, const char *key);

/**
 * As a client, sends a short request over TLS on a connected socket, and reads until `answer` is full or the stream
 * ends. Accepts any certificate. Returns the number of bytes read, or a negative error code of GnuTLS.
 */
int c_httpd_tls_exchange(int descriptor, const char *request, char *answer, size_t capacity);

/**
 * Returns a socket connected to the Unix domain socket at a path; -1 with errno if there is none, or if nobody listens.
 * If the listener's queue is full, waits for `seconds` and fails with EAGAIN; 0 is a moment.
 */
int c_httpd_connect_to_path(const char *path, unsigned int seconds);

/** gnutls_strerror. */
const char *c_httpd_tls_error(int code);

/** MHD_destroy_response: releases the caller's reference. A queued response lives until it has been sent. */
void c_httpd_response_release(c_httpd_response *response);

#if __has_feature(assume_nonnull)
#pragma clang assume_nonnull end
#endif

#endif
