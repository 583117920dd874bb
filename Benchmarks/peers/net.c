/*
 * The other end of the line: fetches bodies, counts small requests, sends bytes over a bare socket.
 *
 *   net send CONGESTION                    serve bytes without HTTP; prints its port, ends with standard input
 *   net receive PORT BYTES                 fetch so many of them
 *   net get PORT TARGET [FIELD]            fetch one body; FIELD is a header field such as "Range: bytes=0-9"
 *   net load PORT CONNECTIONS SECONDS TARGET
 *                                          ask again and again, one request under way for each connection
 *   net spin PORT CONNECTIONS SECONDS TARGET
 *                                          the same, never asleep: waking a client costs its server more than a small
 *                                          reply, and a fast server less often, for its client is seldom through
 *   net start PORT COMMAND...              milliseconds from starting a server to its first reply; then ends it
 *
 * All of it on 127.0.0.1. Each prints one line of JSON.
 */

#define _GNU_SOURCE /* memmem, strcasestr */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, HEAD = 16 << 10, CONNECTIONS = 256, SAMPLES = 1 << 22 };

static char block[BLOCK];

static void fail(const char *what) {
    fprintf(stderr, "net: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A connected socket, or -1. */
static int connected(int port) {
    struct sockaddr_in address = loopback(port);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        fail("socket");
    }
    const int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static bool sent(int descriptor, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = send(descriptor, next, count, MSG_NOSIGNAL);
        if (written <= 0) {
            return false;
        }
        next += written;
        count -= (size_t)written;
    }
    return true;
}

/* MARK: Bare sockets */

static int send_bytes(const char *congestion) {
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 16) != 0
        || getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        fail("listen");
    }
    if (setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) != 0) {
        fail(congestion);
    }
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    while (poll(polled, 2, -1) >= 0 && polled[0].revents == 0) {
        int descriptor = accept(listener, NULL, NULL);
        uint64_t count = 0;
        if (descriptor < 0 || recv(descriptor, &count, sizeof count, MSG_WAITALL) != sizeof count) {
            continue;
        }
        for (; count > 0 && sent(descriptor, block, count < BLOCK ? count : BLOCK); count -= count < BLOCK ? count : BLOCK) {
        }
        close(descriptor);
    }
    return 0;
}

static int receive(int port, uint64_t count) {
    int descriptor = connected(port);
    if (descriptor < 0) {
        fail("connect");
    }
    double start = now(), first = 0;
    if (!sent(descriptor, &count, sizeof count)) {
        fail("send");
    }
    uint64_t total = 0;
    ssize_t received;
    while ((received = recv(descriptor, block, BLOCK, 0)) > 0) {
        first = total == 0 ? now() : first;
        total += (uint64_t)received;
    }
    printf("{\"bytes\": %llu, \"seconds\": %.9f, \"first_byte\": %.9f}\n", (unsigned long long)total, now() - start, first - start);
    return total == count ? 0 : 1;
}

/* MARK: Bodies */

/* Bytes of a head up to and with its empty line; 0 where that has not come yet. */
static size_t head_size(const char *bytes, size_t count) {
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

/* What Content-Length says; -1 where there is none. The head ends with a NUL. */
static long long content_length(const char *head) {
    const char *field = strcasestr(head, "\r\ncontent-length:");
    return field == NULL ? -1 : atoll(field + strlen("\r\ncontent-length:"));
}

static int get(int port, const char *target, const char *field) {
    char head[HEAD + 1];
    int length = snprintf(
        head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n", target, field == NULL ? "" : field,
        field == NULL ? "" : "\r\n");
    int descriptor = connected(port);
    if (descriptor < 0 || length < 0 || (size_t)length >= sizeof head) {
        fail("connect");
    }
    double start = now();
    if (!sent(descriptor, head, (size_t)length)) {
        fail("send");
    }
    size_t have = 0, size = 0;
    while (size == 0) {
        ssize_t received = recv(descriptor, head + have, HEAD - have, 0);
        if (received <= 0) {
            fail("no head");
        }
        have += (size_t)received;
        size = head_size(head, have);
    }
    uint64_t total = have - size;
    double first = total > 0 ? now() : 0;
    ssize_t received;
    while ((received = recv(descriptor, block, BLOCK, 0)) > 0) {
        first = total == 0 ? now() : first;
        total += (uint64_t)received;
    }
    double seconds = now() - start;
    head[size] = '\0';
    long long expected = content_length(head);
    bool is_whole = received == 0 && (expected < 0 || (uint64_t)expected == total);
    printf("{\"status\": %.3s, \"bytes\": %llu, \"seconds\": %.9f, \"first_byte\": %.9f}\n", head + 9,
           (unsigned long long)total, seconds, first - start);
    return is_whole ? 0 : 1;
}

/* MARK: Small requests */

struct client {
    int descriptor;
    double asked;
    size_t have;
    size_t wanted; /* head and body; 0 until the head is there */
    char bytes[64 << 10];
};

static float latencies[SAMPLES];

static int ascending(const void *one, const void *other) {
    float difference = *(const float *)one - *(const float *)other;
    return (difference > 0) - (difference < 0);
}

static int load(int port, int connections, double seconds, const char *target, bool sleeps) {
    static struct client clients[CONNECTIONS];
    char request[HEAD];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    int queue = epoll_create1(EPOLL_CLOEXEC);
    if (queue < 0 || length < 0 || (size_t)length >= sizeof request || connections < 1 || connections > CONNECTIONS) {
        fail("too many connections, or too long a target");
    }
    double start = now(), end = start + seconds;
    for (int index = 0; index < connections; index++) {
        struct client *client = &clients[index];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        client->descriptor = connected(port);
        client->asked = now();
        if (client->descriptor < 0 || epoll_ctl(queue, EPOLL_CTL_ADD, client->descriptor, &event) != 0
            || !sent(client->descriptor, request, (size_t)length)) {
            fail("connect");
        }
    }
    size_t answered = 0;
    double last = start;
    while (last < end) {
        struct epoll_event events[CONNECTIONS];
        int count = epoll_wait(queue, events, CONNECTIONS, sleeps ? 1000 : 0);
        last = now();
        for (int index = 0; index < count; index++) {
            struct client *client = events[index].data.ptr;
            ssize_t received = recv(client->descriptor, client->bytes + client->have, sizeof client->bytes - client->have - 1, 0);
            if (received <= 0) {
                fail("the connection was closed");
            }
            client->have += (size_t)received;
            if (client->wanted == 0) {
                size_t head = head_size(client->bytes, client->have);
                if (head == 0) {
                    continue;
                }
                char after = client->bytes[head];
                client->bytes[head] = '\0';
                long long body = content_length(client->bytes);
                if (memcmp(client->bytes + 9, "200", 3) != 0 || body < 0 || head + (size_t)body >= sizeof client->bytes) {
                    fprintf(stderr, "%s\n", client->bytes);
                    fail("not an answer that can be counted");
                }
                client->bytes[head] = after;
                client->wanted = head + (size_t)body;
            }
            if (client->have < client->wanted) {
                continue;
            }
            double time = now();
            latencies[answered % SAMPLES] = (float)(time - client->asked);
            answered++;
            client->have = client->wanted = 0;
            client->asked = time;
            if (!sent(client->descriptor, request, (size_t)length)) {
                fail("send");
            }
        }
    }
    double taken = now() - start;
    size_t samples = answered < SAMPLES ? answered : SAMPLES;
    qsort(latencies, samples, sizeof *latencies, ascending);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f, \"longest\": %.9f}\n", answered, taken,
           samples == 0 ? 0 : latencies[samples / 2], samples == 0 ? 0 : latencies[samples - 1 - samples / 100],
           samples == 0 ? 0 : latencies[samples - 1]);
    return answered > 0 ? 0 : 1;
}

/* MARK: Start */

static int start_server(int port, char **command) {
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    double start = now();
    pid_t server = fork();
    if (server < 0) {
        fail("fork");
    }
    if (server == 0) {
        /* Its lines are not ours. */
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        execv(command[0], command);
        _exit(127);
    }
    bool has_answer = false;
    while (!has_answer && now() - start < 60 && waitpid(server, NULL, WNOHANG) == 0) {
        int descriptor = connected(port);
        if (descriptor >= 0) {
            has_answer = sent(descriptor, request, sizeof request - 1) && recv(descriptor, block, BLOCK, 0) > 0;
            close(descriptor);
        } else {
            usleep(100);
        }
    }
    double taken = now() - start;
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    printf("{\"milliseconds\": %.3f}\n", 1000 * taken);
    return has_answer ? 0 : 1;
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (strcmp(mode, "send") == 0 && count == 3) {
        return send_bytes(arguments[2]);
    }
    if (strcmp(mode, "receive") == 0 && count == 4) {
        return receive(atoi(arguments[2]), strtoull(arguments[3], NULL, 10));
    }
    if (strcmp(mode, "get") == 0 && (count == 4 || count == 5)) {
        return get(atoi(arguments[2]), arguments[3], count == 5 ? arguments[4] : NULL);
    }
    bool sleeps = strcmp(mode, "load") == 0;
    if ((sleeps || strcmp(mode, "spin") == 0) && count == 6) {
        return load(atoi(arguments[2]), atoi(arguments[3]), atof(arguments[4]), arguments[5], sleeps);
    }
    if (strcmp(mode, "start") == 0 && count > 3) {
        return start_server(atoi(arguments[2]), arguments + 3);
    }
    fprintf(stderr, "net: see the head of its source for how it is called\n");
    return 2;
}
