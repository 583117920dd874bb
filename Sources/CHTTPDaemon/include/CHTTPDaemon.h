/*
 * The part of libmicrohttpd the service uses, as plain C functions over opaque handles.
 *
 * <microhttpd.h> does not survive the import into Swift: its enumerations become frozen ones, its variadic functions and
 * MHD_SIZE_UNKNOWN vanish. Nothing of it leaves daemon.c; what is here are integers, pointers and callbacks.
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

/** How the daemon calls back, on its own threads, several at once. `context` is the one given to c_httpd_start. */
typedef struct c_httpd_callbacks {
    /** A connection was accepted from `peer` (a numeric address). Returns what stands for it in the other callbacks. */
    void *_Nonnull (*_Nonnull connection_opened)(void *context, int descriptor, const char *_Nullable peer);

    /** The last callback for a connection; its descriptor is closed after this has returned. */
    void (*_Nonnull connection_closed)(void *context, void *connection_context);

    /** A request line has arrived, `target` exactly as sent. Until another pointer is put there, the connection's stands for it. */
    void (*_Nonnull request_started)(void *context, void *connection_context, const char *_Nullable target);

    /**
     * The head has arrived (first call), then pieces of the body, then the end (no bytes). May put what stands for the request
     * into `request_context`. False cuts the connection.
     */
    bool (*_Nonnull request_continued)(
        void *context, void *connection_context, void *_Nonnull *_Nonnull request_context, c_httpd_connection *connection,
        const char *method, const char *version, const uint8_t *_Nullable bytes, size_t byte_count);

    /**
     * The request is over, whichever way it ended. Called once for each request_started. `status` is that of the response, the
     * library's own included, 0 where there was none; `is_whole` tells whether all of it was sent.
     */
    void (*_Nonnull request_ended)(
        void *context, void *connection_context, void *request_context, unsigned int status, bool is_whole);

    /**
     * The head has arrived, but its Content-Length is no number of bytes (400), or too large a number (413). Writes the whole
     * response, with which the connection ends, and returns its size. request_continued does not follow, request_ended does.
     */
    size_t (*_Nonnull length_refused)(
        void *context, void *connection_context, unsigned int status, uint8_t *bytes, size_t capacity);

    /** The library has something to say. */
    void (*_Nonnull log)(void *context, const char *message);
} c_httpd_callbacks;

typedef struct c_httpd_options {
    /** Where to listen: at a socket of the file system or, where this is NULL, at `host` and `port`. */
    const char *_Nullable socket_path;
    /** A numeric IPv4 or IPv6 address. */
    const char *host;
    /** 0 picks a free port. */
    uint16_t port;
    /** 0 starts none and listens nowhere: c_httpd_run serves what c_httpd_adopt has been given. */
    unsigned int thread_count;
    unsigned int connection_limit;
    /** 0 is no limit. */
    unsigned int connections_per_address;
    /** Seconds without traffic after which a connection is closed; 0 is never. */
    unsigned int idle_seconds;
    /** Bytes for the head of a request, its buffers included. */
    size_t connection_memory;
    /** The server's certificate, with those that sign it behind it, and its key, in PEM; both or neither. With them it speaks TLS. */
    const char *_Nullable tls_certificate;
    const char *_Nullable tls_key;
} c_httpd_options;

/** What c_httpd_start failed at. */
enum {
    C_HTTPD_FAILED_ADDRESS = 1, /* host is not a numeric address, or socket_path is too long for one */
    C_HTTPD_FAILED_SOCKET = 2,
    C_HTTPD_FAILED_BIND = 3,
    C_HTTPD_FAILED_LISTEN = 4,
    C_HTTPD_FAILED_START = 5, /* MHD_start_daemon, or the thread that accepts */
};

typedef struct c_httpd_failure {
    int step;
    /** errno, or 0. */
    int code;
} c_httpd_failure;

/** Listens, and hands what it accepts to MHD_start_daemon's threads. */
c_httpd_daemon *_Nullable c_httpd_start(
    const c_httpd_options *options, const c_httpd_callbacks *callbacks, void *context, c_httpd_failure *failure);

/** The port bound. */
uint16_t c_httpd_port(const c_httpd_daemon *daemon);

/**
 * Who connects from now on sees this certificate, in PEM as in c_httpd_options; only where there is one already. Returns NULL,
 * or what is wrong with it, in English: then it stays as it was. Not to be called by two threads at once.
 */
const char *_Nullable c_httpd_renew_identity(c_httpd_daemon *daemon, const char *certificate, const char *key);

/** Serves a connected socket of the file system, or of a pair, as if it had been accepted. It is closed in any case. */
bool c_httpd_adopt(c_httpd_daemon *daemon, int descriptor);

/**
 * Serves a daemon without threads: does what there is to do, having waited for something up to `milliseconds`. Always to be
 * called by the thread that adopts connections.
 */
void c_httpd_run(c_httpd_daemon *daemon, int milliseconds);

/** Certificates in memory: the one that is shown, and those before it that a connection may still be using. 0 without TLS. */
size_t c_httpd_identity_count(c_httpd_daemon *daemon);

/** Stops listening: who connects from now on is refused. What is open goes on. */
void c_httpd_quiesce(c_httpd_daemon *daemon);

/** Quiesces, then MHD_stop_daemon; no connection may be suspended. Frees the daemon; no callback runs after it has returned. */
void c_httpd_stop(c_httpd_daemon *daemon);

/** Called for each header field in the order sent, repeated ones one by one. False ends the walk. */
typedef bool (*c_httpd_field_visitor)(
    void *context, const char *name, size_t name_size, const char *_Nullable value, size_t value_size);

/** MHD_get_connection_values_n. */
void c_httpd_visit_fields(c_httpd_connection *connection, c_httpd_field_visitor visitor, void *context);

/**
 * Whether the head of the request consists of the parts that were reported and nothing else: one space between the parts of
 * the request line, every line ended by CR LF, no NUL, no folded field.
 *
 * The library cuts names and values at a NUL, joins folded lines and takes a bare LF as the end of a line, all unnoticed,
 * so a proxy in front can see another request than it does. It parses in place, though: where the parts lie end to
 * end, nothing was skipped. Releases after 0.9.75 refuse such heads themselves and arrange them otherwise: true there.
 */
bool c_httpd_head_is_exact(
    c_httpd_connection *connection, const char *method, const char *version, size_t target_size);

/**
 * Writes down a head: two requests have the same key exactly when method, version, target and all fields, in their order, are
 * the same bytes. Returns its size; 0 where the head is not exact, and where there is not enough room.
 */
size_t c_httpd_head_key(
    c_httpd_connection *connection, const char *method, const char *version, const char *_Nullable target,
    size_t target_size, uint8_t *bytes, size_t capacity);

/** A quick hash (FNV-1a, eight bytes at a time). Whoever wants to can find bytes with the same one. */
uint64_t c_httpd_hash(const uint8_t *bytes, size_t byte_count);

/** MHD_suspend_connection; only within request_continued. */
void c_httpd_suspend(c_httpd_connection *connection);

/** MHD_resume_connection; from any thread, once for each suspension. request_continued follows. */
void c_httpd_resume(c_httpd_connection *connection);

/** The socket of the connection. */
int c_httpd_descriptor(c_httpd_connection *connection);

/**
 * Waits up to `milliseconds` until a peer has closed its half of a connection, or reset it, and says of each whether it has.
 * poll with POLLRDHUP, which headers show to _GNU_SOURCE alone, and Swift therefore not at all.
 */
void c_httpd_wait_for_hang_up(const int *descriptors, bool *gone, size_t count, int milliseconds);

/**
 * Ends a TCP connection at once so that the peer sees a reset: connect to AF_UNSPEC. For bodies whose end is the connection's,
 * which are not through. Other sockets stay as they are.
 */
void c_httpd_reset(int descriptor);

/** malloc_trim, of a header that Swift does not see: whole free pages go back to the system. */
void c_httpd_give_back_memory(void);

/** Whether the system has so many bytes for malloc. Swift ends the process where it has none, so what is large is asked for here first. */
bool c_httpd_has_memory(size_t byte_count);

/** A response with a body of no bytes. */
c_httpd_response *_Nullable c_httpd_response_empty(void);

/** A response over `bytes`, which stay as they are until `release` has run, once, at the end of the response. */
c_httpd_response *_Nullable c_httpd_response_of_shared_bytes(
    const void *bytes, size_t byte_count, void *owner, void (*_Nonnull release)(void *owner));

/** What a reader returns at the end of the body, and where there is no more to come of it, which cuts the connection. */
enum { C_HTTPD_BODY_END = -1, C_HTTPD_BODY_BROKEN = -2 };

/**
 * Writes the body from `position` on into `buffer`. Returns the number of bytes written, 0 where there is none yet: it is
 * then asked again as soon as other connections have had their turn, so it should have got on with its work.
 */
typedef int64_t (*c_httpd_reader)(void *body, uint64_t position, uint8_t *buffer, size_t capacity);

/** A response whose body is read piece by piece into a buffer of `block_size` bytes. `release` runs once, at its end. */
c_httpd_response *_Nullable c_httpd_response_of_reader(
    uint64_t byte_count, size_t block_size, c_httpd_reader reader, void *body, void (*_Nonnull release)(void *body));

/** The same, of unknown length: sent chunked. */
c_httpd_response *_Nullable c_httpd_response_of_stream(
    size_t block_size, c_httpd_reader reader, void *body, void (*_Nonnull release)(void *body));

/** A response to HEAD, or a 304, that states the length of a body it does not send. */
c_httpd_response *_Nullable c_httpd_response_unsent(uint64_t byte_count);

/** The same where the length is unknown: states none and closes the connection, for the library would end a body. */
c_httpd_response *_Nullable c_httpd_response_unsent_of_unknown_size(void);

/** MHD_add_response_header. False where the library does not take the field. */
bool c_httpd_response_add_field(c_httpd_response *response, const char *name, const char *value);

/**
 * Gives a field of a response another value. MHD_get_response_header shows the library's own copy of the value: where both are
 * as long, it is written over, which takes no memory. False where the library does not take it, or the response has no such
 * field. Not while the response is queued.
 */
bool c_httpd_response_change_field(c_httpd_response *response, const char *name, const char *value);

/** MHD_queue_response. False where the library does not take it. */
bool c_httpd_queue(c_httpd_connection *connection, unsigned int status, c_httpd_response *response);

/** What is wrong with a certificate and its key in PEM, in English; NULL where nothing is. gnutls_certificate_set_x509_key_mem. */
const char *_Nullable c_httpd_tls_fault(const char *certificate, const char *key);

/**
 * As a client, sends a short request over TLS on a connected socket, and reads until `answer` is full or the end has come. Takes
 * any certificate. Returns the number of bytes read, or an error of GnuTLS, which is less than 0.
 */
int c_httpd_tls_exchange(int descriptor, const char *request, char *answer, size_t capacity);

/** A socket connected to the one at a path of the file system; -1 with errno where there is none, or nobody listens. */
int c_httpd_connect_to_path(const char *path);

/** gnutls_strerror. */
const char *c_httpd_tls_error(int code);

/** MHD_destroy_response: gives up the caller's hold. What is queued lives until it has been sent. */
void c_httpd_response_release(c_httpd_response *response);

#if __has_feature(assume_nonnull)
#pragma clang assume_nonnull end
#endif

#endif
