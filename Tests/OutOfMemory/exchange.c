/*
 * Makes allocations in the C parts of the daemon fail one by one, as SQLite's tests do: the first in the first run, the
 * second in the second run, and so on, until a run makes fewer. Each run starts a daemon, exchanges requests of every
 * kind, renews the certificate and stops. A run must neither crash nor leak memory, and each body must be released
 * exactly once.
 *
 * `make test-oom` builds this program and makes the linker call the functions here instead of malloc, calloc, strdup
 * and free.
 */

#define _GNU_SOURCE

#include "CHTTPDaemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* MARK: Allocations of the C parts */

static atomic_long allocations; /* number so far in this run */
static atomic_long failing;     /* number of the allocation that fails */
static atomic_bool persists;    /* later allocations fail, too */
static atomic_bool has_failed;
static atomic_long held; /* allocated and not freed */

static bool fails(void) {
    long number = atomic_fetch_add(&allocations, 1) + 1;
    bool is_failing = number == atomic_load(&failing) || (atomic_load(&persists) && number > atomic_load(&failing));
    if (is_failing) {
        atomic_store(&has_failed, true);
    }
    return is_failing;
}

static void *counted(void *memory) {
    if (memory != NULL) {
        atomic_fetch_add(&held, 1);
    }
    return memory;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);

void *__wrap_malloc(size_t size) { return fails() ? NULL : counted(__real_malloc(size)); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : counted(__real_calloc(count, size)); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : counted(__real_strdup(text)); }
void __wrap_free(void *memory) {
    if (memory != NULL) {
        atomic_fetch_sub(&held, 1);
    }
    __real_free(memory);
}

static void require(bool holds, const char *promise) {
    if (!holds) {
        fprintf(stderr, "oom: broken at allocation %ld: %s\n", atomic_load(&failing), promise);
        exit(1);
    }
}

/* MARK: The daemon's side */

static atomic_long given;    /* bodies handed to responses */
static atomic_long released; /* bodies that responses have released */
static atomic_long open_connections;
static const char text[] = "hello";

static void release(void *body) {
    (void)body;
    atomic_fetch_add(&released, 1);
}

static int64_t read_body(void *body, uint64_t position, uint8_t *buffer, size_t capacity) {
    (void)body;
    if (position >= 5000) {
        return C_HTTPD_BODY_END;
    }
    size_t count = capacity < 5000 - position ? capacity : 5000 - (size_t)position;
    memset(buffer, 'a', count);
    return (int64_t)count;
}

static void *opened(void *context, int descriptor, const char *peer) {
    (void)descriptor;
    (void)peer;
    atomic_fetch_add(&open_connections, 1);
    return context;
}

static void closed(void *context, void *connection) {
    (void)context;
    (void)connection;
    atomic_fetch_sub(&open_connections, 1);
}

static _Thread_local char target[16];

static void started(void *context, void *connection, const char *path) {
    (void)context;
    (void)connection;
    snprintf(target, sizeof target, "%s", path == NULL ? "" : path);
}

static c_httpd_response *respond(char kind) {
    int body;
    switch (kind) {
    case 'b':
        atomic_fetch_add(&given, 1);
        return c_httpd_response_of_shared_bytes(text, 5, &body, &release);
    case 'r':
        atomic_fetch_add(&given, 1);
        return c_httpd_response_of_reader(5000, 512, &read_body, &body, &release);
    case 's':
        atomic_fetch_add(&given, 1);
        return c_httpd_response_of_stream(512, &read_body, &body, &release);
    case 'u':
        return c_httpd_response_unsent(77);
    case 'v':
        return c_httpd_response_unsent_of_unknown_size();
    default:
        return c_httpd_response_empty();
    }
}

static bool continued(
    void *context, void *connection, void **request, c_httpd_connection *handle, const char *method, const char *version,
    const uint8_t *bytes, size_t byte_count) {
    static int begun;
    (void)context;
    (void)bytes;
    if (*request == connection) {
        *request = &begun; /* the head */
        uint8_t key[1024];
        (void)c_httpd_head_key(handle, method, version, target, strlen(target), key, sizeof key);
        return true;
    }
    if (byte_count > 0) {
        return true;
    }
    int descriptor = c_httpd_descriptor(handle);
    bool is_gone;
    c_httpd_wait_for_hang_up(&descriptor, &is_gone, 1, 0);
    c_httpd_response *response = c_httpd_has_memory(100) ? respond(target[1]) : NULL;
    unsigned int status = target[1] == 'u' || target[1] == 'v' ? 304 : 200;
    if (response == NULL) {
        status = 503;
        response = c_httpd_response_empty();
    }
    if (response == NULL) {
        return false;
    }
    bool is_queued = c_httpd_response_add_field(response, "X", "one") && c_httpd_response_change_field(response, "X", "two")
                     && c_httpd_queue(handle, status, response);
    c_httpd_response_release(response);
    return is_queued;
}

static void ended(void *context, void *connection, void *request, unsigned int status, bool is_whole) {
    (void)context;
    (void)connection;
    (void)request;
    (void)status;
    (void)is_whole;
}

static size_t refused(void *context, void *connection, unsigned int status, uint8_t *bytes, size_t capacity) {
    (void)context;
    (void)connection;
    return (size_t)snprintf((char *)bytes, capacity, "HTTP/1.1 %u No\r\nContent-Length: 0\r\n\r\n", status);
}

static void logged(void *context, const char *message) {
    (void)context;
    (void)message;
}

/* MARK: The client's side */

static const char requests[] = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /r HTTP/1.1\r\nHost: a\r\n\r\n"
                               "POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                               "GET /u HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /v HTTP/1.1\r\nHost: a\r\n\r\n"
                               "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n";

static void talk(int descriptor) {
    const struct timeval limit = {.tv_sec = 20};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buffer[4096];
    if (send(descriptor, requests, sizeof requests - 1, MSG_NOSIGNAL) > 0) {
        (void)shutdown(descriptor, SHUT_WR);
        ssize_t count;
        do {
            count = recv(descriptor, buffer, sizeof buffer, 0);
        } while (count > 0);
        require(count == 0 || errno != EAGAIN, "a connection ends");
    }
}

/* MARK: Runs */

static void exchange(const char *certificate, const char *key, const char *path) {
    const c_httpd_callbacks callbacks = {
        .connection_opened = &opened,
        .connection_closed = &closed,
        .request_started = &started,
        .request_continued = &continued,
        .request_ended = &ended,
        .length_refused = &refused,
        .log = &logged,
    };
    const c_httpd_options options = {
        .socket_path = path,
        .host = "127.0.0.1",
        .thread_count = 2,
        .connection_limit = 8,
        .idle_seconds = 10,
        .connection_memory = 16 << 10,
        .tls_certificate = certificate,
        .tls_key = key,
    };
    c_httpd_failure failure = {0};
    int context;
    c_httpd_daemon *daemon = c_httpd_start(&options, &callbacks, &context, &failure);
    if (daemon == NULL) {
        require(atomic_load(&has_failed), "a daemon starts");
        require(failure.step != 0, "a failure has a step");
        return;
    }
    if (certificate != NULL) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(c_httpd_port(daemon))};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0) {
            char answer[12];
            (void)c_httpd_renew_identity(daemon, certificate, key);
            (void)c_httpd_tls_exchange(descriptor, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n", answer, sizeof answer);
        }
        close(descriptor);
    } else {
        int descriptor = c_httpd_connect_to_path(path, 10);
        require(descriptor >= 0, "somebody listens");
        talk(descriptor);
        close(descriptor);
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
            if (c_httpd_adopt(daemon, pair[1])) {
                talk(pair[0]);
            }
            close(pair[0]);
        }
    }
    c_httpd_quiesce(daemon);
    /* As the service does: the library reads through a null pointer if it is stopped during a refusal of its own. */
    for (int milliseconds = 0; atomic_load(&open_connections) > 0 && milliseconds < 1000; milliseconds += 1) {
        usleep(1000);
    }
    c_httpd_stop(daemon);
}

/* Returns the number of runs. */
static long run(const char *certificate, const char *key, const char *path, bool persist) {
    long number = 0;
    do {
        number += 1;
        atomic_store(&allocations, 0);
        atomic_store(&failing, number);
        atomic_store(&persists, persist);
        atomic_store(&has_failed, false);
        exchange(certificate, key, path);
        require(atomic_load(&held) == 0, "all memory is freed");
        require(atomic_load(&given) == atomic_load(&released), "all bodies are released once");
        require(atomic_load(&open_connections) == 0, "all connections are closed");
    } while (atomic_load(&has_failed));
    return number;
}

static char *contents(const char *path) {
    static char texts[2][16384];
    static int next;
    char *found = texts[next++];
    FILE *file = fopen(path, "r");
    require(file != NULL && fread(found, 1, sizeof texts[0] - 1, file) > 0, "certificate and key can be read");
    fclose(file);
    return found;
}

int main(int count, char **arguments) {
    require(count == 4, "usage: exchange CERTIFICATE KEY SOCKET");
    const char *certificate = contents(arguments[1]), *key = contents(arguments[2]), *path = arguments[3];
    long plain = 0, secure = 0;
    for (int persist = 0; persist < 2; persist++) {
        plain += run(NULL, NULL, path, persist);
        secure += run(certificate, key, NULL, persist);
    }
    printf("oom: %ld runs of plain connections and %ld of TLS, one allocation of each failed\n", plain, secure);
    return 0;
}
