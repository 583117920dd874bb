/* The life of a daemon, its connections and requests. CHTTPDaemon.h documents each function. */

#define _GNU_SOURCE /* accept4, POLLRDHUP */

#include "CHTTPDaemon.h"
#include "identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Older versions accept heads that requests cannot be told apart by, and c_httpd_head_is_exact does not know them. */
#if MHD_VERSION < 0x00097500
#error "libmicrohttpd 0.9.75 or later is needed"
#endif

struct c_httpd_daemon {
    struct MHD_Daemon *mhd;
    c_httpd_callbacks callbacks;
    void *context;
    uint16_t port;

    /* Connections are accepted here and handed to the library. If the library listened itself, only MHD_quiesce_daemon
       could make it stop. That function races with the library's threads for the listener's place in their epoll sets,
       and aborts the process if it loses: under load, once in a few hundred times. */
    int listener;
    char *socket_path; /* NULL if the listener has an address */
    struct stat socket_file; /* the file made there: no other file is removed */
    int wake; /* eventfd: room for a connection, or time to end */
    pthread_t acceptor;
    unsigned int connection_limit;
    identities identities; /* none without TLS */
    atomic_uint connections;
    atomic_bool is_quiesced;
    bool is_accepting;
};

static struct MHD_Connection *mhd_connection(c_httpd_connection *connection) {
    return (struct MHD_Connection *)connection;
}

/* MARK: Callbacks */

/* Numeric address of the peer; an IPv4 address that came through an IPv6 socket is written as IPv4. */
static bool peer_address(const struct sockaddr *address, char *text, socklen_t text_size, bool *is_loopback) {
    if (address->sa_family == AF_INET) {
        const struct in_addr *ip = &((const struct sockaddr_in *)address)->sin_addr;
        *is_loopback = (ntohl(ip->s_addr) >> 24) == IN_LOOPBACKNET;
        return inet_ntop(AF_INET, ip, text, text_size) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(ip)) {
            *is_loopback = ip->s6_addr[12] == IN_LOOPBACKNET;
            return inet_ntop(AF_INET, &ip->s6_addr[12], text, text_size) != NULL;
        }
        *is_loopback = IN6_IS_ADDR_LOOPBACK(ip);
        return inet_ntop(AF_INET6, ip, text, text_size) != NULL;
    }
    return false;
}

/* The context of a connection in the library. */
struct opened {
    void *context; /* result of connection_opened */
    struct identity *identity; /* the certificate shown when it began */
    struct c_httpd_daemon *daemon;
    struct MHD_Connection *connection;
    bool is_handled; /* the request has reached the handler, or never will */
    bool is_refused; /* the response has been sent from here */
    struct opened *next;
    struct opened **link; /* the pointer to this one */
};

/* The open connections of one thread of the library, which begin, live and end on it. */
static _Thread_local struct opened *served;

static struct opened *opened_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context; /* NULL if there was no memory to keep it */
}

static void serve(struct opened *opened) {
    opened->next = served;
    opened->link = &served;
    if (served != NULL) {
        served->link = &opened->next;
    }
    served = opened;
}

static void serve_no_more(struct opened *opened) {
    *opened->link = opened->next;
    if (opened->next != NULL) {
        opened->next->link = opened->link;
    }
}

/* MARK: Lengths that cannot be read

   The library (0.9.75) answers these requests by itself, and writes the head of its response twice. It logs a message
   before, which does not name the connection: it is the connection of this thread whose head is whole and has not been
   handled. So the response is sent from here, and the connection's output is ended, so that the library's response does
   not follow. */

static void refuse_length(struct c_httpd_daemon *daemon, unsigned int status) {
    for (struct opened *opened = served; opened != NULL; opened = opened->next) {
        const union MHD_ConnectionInfo *size =
            MHD_get_connection_info(opened->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
        if (opened->daemon != daemon || opened->is_handled || size == NULL || size->header_size == 0) {
            continue;
        }
        opened->is_handled = true;
        uint8_t bytes[4096];
        size_t count = daemon->callbacks.length_refused(daemon->context, opened->context, status, bytes, sizeof bytes);
        const union MHD_ConnectionInfo *secure =
            MHD_get_connection_info(opened->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        int descriptor = c_httpd_descriptor((c_httpd_connection *)opened->connection);
        /* The response is short, and nothing waits to be sent before it: it fits unless the client has stopped
           reading. */
        opened->is_refused = secure != NULL
                                 ? tls_send_last(secure->tls_session, bytes, count)
                                 : send(descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count;
        (void)shutdown(descriptor, SHUT_WR);
        return;
    }
}

static void log_message(void *cls, const char *format, va_list arguments) {
    static const char unreadable[] = "Failed to parse `Content-Length'", too_large[] = "Too large value of 'Content-Length'";
    struct c_httpd_daemon *daemon = cls;
    char message[512];
    if (vsnprintf(message, sizeof message, format, arguments) < 0) {
        return;
    }
    message[strcspn(message, "\n")] = '\0';
    daemon->callbacks.log(daemon->context, message);
    if (strncmp(message, unreadable, sizeof unreadable - 1) == 0) {
        refuse_length(daemon, MHD_HTTP_BAD_REQUEST);
    } else if (strncmp(message, too_large, sizeof too_large - 1) == 0) {
        refuse_length(daemon, MHD_HTTP_CONTENT_TOO_LARGE);
    }
}

/* MARK: Connections */

static void wake_acceptor(struct c_httpd_daemon *daemon) {
    const uint64_t one = 1;
    ssize_t written = write(daemon->wake, &one, sizeof one);
    (void)written; /* It can only fail because the acceptor has been woken already. */
}

static void connection_is_over(struct c_httpd_daemon *daemon) {
    if (atomic_fetch_sub(&daemon->connections, 1) == daemon->connection_limit) {
        wake_acceptor(daemon);
    }
}

static void connection_changed(
    void *cls, struct MHD_Connection *connection, void **socket_context, enum MHD_ConnectionNotificationCode change) {
    struct c_httpd_daemon *daemon = cls;
    if (change == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct opened *closed = *socket_context;
        *socket_context = NULL;
        if (closed != NULL) {
            serve_no_more(closed);
            daemon->callbacks.connection_closed(daemon->context, closed->context);
            identities_release(&daemon->identities, closed->identity);
            free(closed);
        }
        connection_is_over(daemon);
        return;
    }
    struct opened *opened = calloc(1, sizeof *opened);
    *socket_context = opened;
    if (opened == NULL) {
        return; /* Its requests are cut off. */
    }
    opened->daemon = daemon;
    opened->connection = connection;
    serve(opened);
    /* This thread will do the handshake. */
    opened->identity = identities_show(&daemon->identities);
    int descriptor = c_httpd_descriptor((c_httpd_connection *)connection);
    char peer[INET6_ADDRSTRLEN];
    bool is_loopback = false;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool has_peer = info != NULL && info->client_addr != NULL
                    && peer_address(info->client_addr, peer, sizeof peer, &is_loopback);
    if (!has_peer) {
        /* On a Unix domain socket, every send wakes the reader, so a few large ones are faster than many small ones. */
        static const int size = 4 << 20;
        if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
            (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        }
    }
    if (is_loopback) {
        /* BBR paces, which over loopback costs more than half of the throughput. A kernel without reno keeps its
           default. */
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    }
    opened->context = daemon->callbacks.connection_opened(daemon->context, descriptor, has_peer ? peer : NULL);
}

static void *request_started(void *cls, const char *target, struct MHD_Connection *connection) {
    struct c_httpd_daemon *daemon = cls;
    struct opened *opened = opened_of(connection);
    if (opened == NULL) {
        return NULL;
    }
    opened->is_handled = false;
    daemon->callbacks.request_started(daemon->context, opened->context, target);
    return opened->context;
}

static enum MHD_Result request_continued(
    void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_size, void **request_context) {
    struct c_httpd_daemon *daemon = cls;
    (void)url; /* the raw target went to request_started */
    size_t size = *upload_size;
    *upload_size = 0; /* bytes left unconsumed hang the connection */
    struct opened *opened = opened_of(connection);
    if (opened == NULL || *request_context == NULL) {
        return MHD_NO;
    }
    opened->is_handled = true;
    return daemon->callbacks.request_continued(
               daemon->context, opened->context, request_context, (c_httpd_connection *)connection, method, version,
               (const uint8_t *)upload, size)
               ? MHD_YES
               : MHD_NO;
}

static void request_ended(
    void *cls, struct MHD_Connection *connection, void **request_context, enum MHD_RequestTerminationCode reason) {
    struct c_httpd_daemon *daemon = cls;
    struct opened *opened = opened_of(connection);
    void *request = *request_context;
    *request_context = NULL; /* an aborted request can be reported twice */
    if (opened != NULL && request != NULL) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
        daemon->callbacks.request_ended(
            daemon->context, opened->context, request, info == NULL ? 0 : info->http_status,
            opened->is_refused || reason == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    }
}

/* Leaves targets as they were sent: the library would turn %00 into the end of the path. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text) {
    (void)cls;
    (void)connection;
    return strlen(text);
}

/* MARK: Accepting */

static bool has_room(struct c_httpd_daemon *daemon) {
    return atomic_load(&daemon->connections) < daemon->connection_limit;
}

/* The library closes the descriptor of a connection that it rejects. */
static bool hand_over(
    struct c_httpd_daemon *daemon, int descriptor, const struct sockaddr *peer, socklen_t peer_size) {
    atomic_fetch_add(&daemon->connections, 1);
    bool is_taken = MHD_add_connection(daemon->mhd, descriptor, peer, peer_size) == MHD_YES;
    if (!is_taken) {
        connection_is_over(daemon); /* over the limit of its address, or without memory */
    }
    return is_taken;
}

bool c_httpd_adopt(c_httpd_daemon *daemon, int descriptor) {
    const struct sockaddr_un peer = {.sun_family = AF_UNIX};
    if (fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) {
        close(descriptor);
        return false;
    }
    return hand_over(daemon, descriptor, (const struct sockaddr *)&peer, sizeof peer.sun_family);
}

/* Returns false if there are no descriptors or no memory for another connection. */
static bool accept_connection(struct c_httpd_daemon *daemon) {
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    int descriptor = accept4(daemon->listener, (struct sockaddr *)&peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    }
    (void)hand_over(daemon, descriptor, (const struct sockaddr *)&peer, peer_size);
    return true;
}

static void *accept_connections(void *argument) {
    static const int shortage_milliseconds = 50;
    struct c_httpd_daemon *daemon = argument;
    bool has_resources = true;
    while (!atomic_load(&daemon->is_quiesced)) {
        struct pollfd polled[] = {
            {.fd = daemon->wake, .events = POLLIN},
            {.fd = has_resources && has_room(daemon) ? daemon->listener : -1, .events = POLLIN},
        };
        (void)poll(polled, 2, has_resources ? -1 : shortage_milliseconds);
        has_resources = true;
        if (polled[0].revents != 0) {
            uint64_t count;
            ssize_t consumed = read(daemon->wake, &count, sizeof count);
            (void)consumed; /* The loop checks the reason by itself. */
        }
        if (polled[1].revents != 0) {
            has_resources = accept_connection(daemon);
        }
    }
    return NULL;
}

/* MARK: Life */

/* Returns false if the path is empty or does not fit. */
static bool path_address(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;
    if (size == 1 || size > sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, size);
    return true;
}

int c_httpd_connect_to_path(const char *path, unsigned int seconds) {
    struct sockaddr_un address;
    if (!path_address(path, &address)) {
        return -1;
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    /* The call waits while the listener's queue is full; no time at all would mean no limit. */
    const struct timeval limit = {.tv_sec = seconds, .tv_usec = seconds == 0 ? 1 : 0};
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0
        || connect(descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        int code = errno;
        close(descriptor);
        errno = code;
        return -1;
    }
    return descriptor;
}

/* Returns true for a socket that nobody listens at any more, as a killed process leaves behind. */
static bool is_abandoned(const char *path) {
    struct stat file;
    if (lstat(path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    int descriptor = c_httpd_connect_to_path(path, 0);
    if (descriptor >= 0) {
        close(descriptor);
        return false;
    }
    return errno == ECONNREFUSED;
}

static int listening_path(struct c_httpd_daemon *daemon, const char *path, c_httpd_failure *failure) {
    struct sockaddr_un address;
    if (!path_address(path, &address)) {
        *failure = (c_httpd_failure){.step = C_HTTPD_FAILED_ADDRESS, .code = 0};
        return -1;
    }
    int step = C_HTTPD_FAILED_SOCKET;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor >= 0) {
        step = C_HTTPD_FAILED_BIND;
        if (is_abandoned(path)) {
            (void)unlink(path);
        }
        if (bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0) {
            step = C_HTTPD_FAILED_LISTEN;
            if (listen(descriptor, SOMAXCONN) == 0 && lstat(path, &daemon->socket_file) == 0
                && (daemon->socket_path = strdup(path)) != NULL) {
                return descriptor;
            }
            int code = errno;
            (void)unlink(path);
            errno = code;
        }
    }
    *failure = (c_httpd_failure){.step = step, .code = errno};
    if (descriptor >= 0) {
        close(descriptor);
    }
    return -1;
}

static void remove_path(struct c_httpd_daemon *daemon) {
    struct stat file;
    if (daemon->socket_path != NULL && lstat(daemon->socket_path, &file) == 0
        && file.st_dev == daemon->socket_file.st_dev && file.st_ino == daemon->socket_file.st_ino) {
        (void)unlink(daemon->socket_path);
    }
    free(daemon->socket_path);
    daemon->socket_path = NULL;
}

static int listening_socket(const c_httpd_options *options, uint16_t *port, c_httpd_failure *failure) {
    char service[8];
    (void)snprintf(service, sizeof service, "%u", options->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *address = NULL;
    if (getaddrinfo(options->host, service, &hints, &address) != 0) {
        *failure = (c_httpd_failure){.step = C_HTTPD_FAILED_ADDRESS, .code = 0};
        return -1;
    }

    int step = C_HTTPD_FAILED_SOCKET;
    const int on = 1, off = 0;
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        goto failed;
    }
    /* SO_REUSEADDR: a restart must not wait for old connections. No SO_REUSEPORT: two servers would share the port. */
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6) {
        (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    step = C_HTTPD_FAILED_BIND;
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        goto failed;
    }
    step = C_HTTPD_FAILED_LISTEN;
    if (listen(descriptor, SOMAXCONN) != 0) {
        goto failed;
    }
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof bound;
    if (getsockname(descriptor, (struct sockaddr *)&bound, &bound_size) != 0) {
        goto failed;
    }
    *port = ntohs(
        bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                    : ((struct sockaddr_in *)&bound)->sin_port);
    freeaddrinfo(address);
    return descriptor;

failed:
    *failure = (c_httpd_failure){.step = step, .code = errno};
    if (descriptor >= 0) {
        close(descriptor);
    }
    freeaddrinfo(address);
    return -1;
}

/* GnuTLS's default, in the server's order, without the versions that RFC 8996 deprecates, without ciphers that are not
   AEAD (CBC), and without key exchange that lacks forward secrecy (RSA). */
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM"
                                     ":+CHACHA20-POLY1305:+AES-128-GCM:-RSA:%SERVER_PRECEDENCE";

/* Each arena of malloc reserves 64 MiB of address space. If the address space is limited, a few threads could reserve
   all of it, and another thread would get no memory for its first object. */
static void share_arena_if_address_space_is_limited(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        (void)mallopt(M_ARENA_MAX, 1);
    }
}

c_httpd_daemon *c_httpd_start(
    const c_httpd_options *options, const c_httpd_callbacks *callbacks, void *context, c_httpd_failure *failure) {
    share_arena_if_address_space_is_limited();
    struct c_httpd_daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL) {
        *failure = (c_httpd_failure){.step = C_HTTPD_FAILED_START, .code = ENOMEM};
        return NULL;
    }
    daemon->callbacks = *callbacks;
    daemon->context = context;
    daemon->connection_limit = options->connection_limit;
    daemon->wake = -1;
    identities_begin(&daemon->identities);
    if (options->tls_certificate != NULL) {
        const char *fault = identities_add(&daemon->identities, options->tls_certificate, options->tls_key);
        if (fault != NULL) {
            *failure = (c_httpd_failure){.step = C_HTTPD_FAILED_IDENTITY, .reason = fault};
            free(daemon);
            return NULL;
        }
    }
    const bool has_threads = options->thread_count > 0;
    daemon->listener = !has_threads                   ? -1
                       : options->socket_path == NULL ? listening_socket(options, &daemon->port, failure)
                                                      : listening_path(daemon, options->socket_path, failure);
    if (has_threads && daemon->listener < 0) {
        identities_end(&daemon->identities);
        free(daemon);
        return NULL;
    }

    /* The acceptor enforces the limit. The library would divide the limit among its threads and reject connections
       while there is room. So it gets a limit that no thread can reach, even while it still counts closed
       connections. */
    const intptr_t unreachable_limit =
        (intptr_t)(has_threads ? options->thread_count : 1) * ((intptr_t)options->connection_limit + 64);
    struct MHD_OptionItem items[] = {
        /* The logger comes first, so that it gets messages about the others. */
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)&log_message, daemon},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)&connection_changed, daemon},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)&request_started, daemon},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)&keep_escapes, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)&request_ended, daemon},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)options->connection_memory, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, unreachable_limit, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)options->connections_per_address, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_seconds, NULL},
        /* Options for threads and TLS come last: without them, the list ends earlier. */
        {has_threads ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)options->thread_count, NULL},
        {options->tls_certificate == NULL ? MHD_OPTION_END : MHD_OPTION_HTTPS_CERT_CALLBACK, 0, identities_retriever()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    errno = 0;
    daemon->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (daemon->wake >= 0) {
        daemon->mhd = MHD_start_daemon(
            (has_threads ? MHD_USE_EPOLL_INTERNAL_THREAD : MHD_USE_EPOLL) | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG
                | MHD_USE_NO_LISTEN_SOCKET | (options->tls_certificate == NULL ? 0 : MHD_USE_TLS),
            0, NULL, NULL, &request_continued, daemon, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    }
    int code = errno;
    if (daemon->mhd != NULL && has_threads) {
        code = pthread_create(&daemon->acceptor, NULL, &accept_connections, daemon);
        daemon->is_accepting = code == 0;
    }
    if (daemon->mhd == NULL || daemon->is_accepting != has_threads) {
        *failure = (c_httpd_failure){.step = C_HTTPD_FAILED_START, .code = code};
        c_httpd_stop(daemon);
        return NULL;
    }
    return daemon;
}

void c_httpd_run(c_httpd_daemon *daemon, int milliseconds) { (void)MHD_run_wait(daemon->mhd, milliseconds); }

size_t c_httpd_identity_count(c_httpd_daemon *daemon) { return identities_count(&daemon->identities); }

uint16_t c_httpd_port(const c_httpd_daemon *daemon) { return daemon->port; }

const char *c_httpd_renew_identity(c_httpd_daemon *daemon, const char *certificate, const char *key) {
    return identities_add(&daemon->identities, certificate, key);
}

void c_httpd_quiesce(c_httpd_daemon *daemon) {
    atomic_store(&daemon->is_quiesced, true);
    if (daemon->is_accepting) {
        wake_acceptor(daemon);
        pthread_join(daemon->acceptor, NULL);
        daemon->is_accepting = false;
    }
    if (daemon->listener >= 0) {
        remove_path(daemon);
        close(daemon->listener);
        daemon->listener = -1;
    }
}

void c_httpd_stop(c_httpd_daemon *daemon) {
    c_httpd_quiesce(daemon);
    if (daemon->mhd != NULL) {
        MHD_stop_daemon(daemon->mhd);
    }
    if (daemon->wake >= 0) {
        close(daemon->wake);
    }
    identities_end(&daemon->identities);
    free(daemon);
}

/* MARK: Requests */

struct field_walk {
    c_httpd_field_visitor visitor;
    void *context;
};

static enum MHD_Result visit_field(
    void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value, size_t value_size) {
    const struct field_walk *walk = cls;
    (void)kind;
    return walk->visitor(walk->context, name, name_size, value, value_size) ? MHD_YES : MHD_NO;
}

void c_httpd_visit_fields(c_httpd_connection *connection, c_httpd_field_visitor visitor, void *context) {
    struct field_walk walk = {.visitor = visitor, .context = context};
    (void)MHD_get_connection_values_n(mhd_connection(connection), MHD_HEADER_KIND, &visit_field, &walk);
}

struct exactness {
    const char *line; /* the place at which the next line must start */
    bool is_exact;
};

static enum MHD_Result check_field(
    void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value, size_t value_size) {
    struct exactness *head = cls;
    (void)kind;
    /* White space between the colon and the value is the only thing that may lie between two parts. */
    head->is_exact = name == head->line && value != NULL && value > name + name_size;
    for (const char *gap = name + name_size + 1; head->is_exact && gap < value; gap++) {
        head->is_exact = *gap == ' ' || *gap == '\t';
    }
    head->line = head->is_exact ? value + value_size + 2 : head->line;
    return head->is_exact ? MHD_YES : MHD_NO;
}

bool c_httpd_head_is_exact(
    c_httpd_connection *connection, const char *method, const char *version, size_t target_size) {
    static const char layout_known_in[] = "0.9.75";
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(mhd_connection(connection), MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (strcmp(MHD_get_version(), layout_known_in) != 0 || size == NULL) {
        return true;
    }
    if (version != method + strlen(method) + 1 + target_size + 1) {
        return false;
    }
    struct exactness head = {.line = version + strlen(version) + 2, .is_exact = true};
    (void)MHD_get_connection_values_n(mhd_connection(connection), MHD_HEADER_KIND, &check_field, &head);
    return head.is_exact && head.line + 2 == method + size->header_size;
}

/* A head as a list of parts, each with its size before its bytes. */
struct head_key {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    bool fits;
};

static void append_part(struct head_key *key, const char *part, size_t part_size) {
    const uint32_t size = (uint32_t)part_size;
    key->fits = key->fits && part_size <= UINT16_MAX && key->capacity - key->size >= sizeof size + part_size;
    if (key->fits) {
        memcpy(key->bytes + key->size, &size, sizeof size);
        memcpy(key->bytes + key->size + sizeof size, part, part_size);
        key->size += sizeof size + part_size;
    }
}

static enum MHD_Result append_field(
    void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value, size_t value_size) {
    struct head_key *key = cls;
    (void)kind;
    append_part(key, name, name_size);
    append_part(key, value == NULL ? "" : value, value == NULL ? 0 : value_size);
    return key->fits ? MHD_YES : MHD_NO;
}

size_t c_httpd_head_key(
    c_httpd_connection *connection, const char *method, const char *version, const char *target, size_t target_size,
    uint8_t *bytes, size_t capacity) {
    struct head_key key = {.bytes = bytes, .capacity = capacity, .fits = true};
    append_part(&key, method, strlen(method));
    append_part(&key, version, strlen(version));
    append_part(&key, target == NULL ? "" : target, target == NULL ? 0 : target_size);
    (void)MHD_get_connection_values_n(mhd_connection(connection), MHD_HEADER_KIND, &append_field, &key);
    return key.fits && c_httpd_head_is_exact(connection, method, version, target_size) ? key.size : 0;
}

uint64_t c_httpd_hash(const uint8_t *bytes, size_t byte_count) {
    static const uint64_t prime = 0x100000001b3;
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < byte_count; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, byte_count - i < 8 ? byte_count - i : 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 32;
    }
    return hash;
}

void c_httpd_suspend(c_httpd_connection *connection) { MHD_suspend_connection(mhd_connection(connection)); }

void c_httpd_resume(c_httpd_connection *connection) { MHD_resume_connection(mhd_connection(connection)); }

int c_httpd_descriptor(c_httpd_connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd_connection(connection), MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

void c_httpd_wait_for_hang_up(const int *descriptors, bool *gone, size_t count, int milliseconds) {
    struct pollfd *polled = calloc(count, sizeof *polled);
    for (size_t i = 0; i < count; i++) {
        gone[i] = false;
        if (polled != NULL) {
            polled[i] = (struct pollfd){.fd = descriptors[i], .events = POLLRDHUP};
        }
    }
    /* Without memory, this call only sleeps, and the next one finds out. */
    int hits = poll(polled, polled == NULL ? 0 : count, milliseconds);
    for (size_t i = 0; hits > 0 && i < count; i++) {
        gone[i] = (polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    }
    free(polled);
}

void c_httpd_reset(int descriptor) {
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    (void)connect(descriptor, &nowhere, sizeof nowhere);
}

/* MARK: Memory */

void c_httpd_give_back_memory(void) { (void)malloc_trim(0); }

bool c_httpd_has_memory(size_t byte_count) {
    if (byte_count == 0) {
        return true;
    }
    if (byte_count >= 1 << 20) {
        /* Not with malloc: freeing this much would raise the size from which malloc asks the system. */
        void *pages = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return pages != MAP_FAILED && munmap(pages, byte_count) == 0;
    }
    /* Volatile, or the compiler would leave out both calls. */
    void *volatile memory = malloc(byte_count);
    free(memory);
    return memory != NULL;
}
