/*
 * The other side of the connection: fetches bodies, counts small requests, sends bytes over a bare socket.
 *
 *   net send CONGESTION                    serve bytes without HTTP; prints its port, ends with its standard input
 *   net send PATH                          the same at a socket in the file system, with the send buffer that the service has
 *   net send CONGESTION METHOD             the same, but each block is made before it is sent, uniform or normal, by the
 *                                          service's own kernels: the best speed without HTTP, in C alone
 *   net receive PLACE BYTES [FEWEST]       fetch this number of bytes; sleep until FEWEST are there, by default 1
 *   net get PLACE TARGET [FIELD [FEWEST]]  fetch one body; FIELD is a header field such as "Range: bytes=0-9", or empty
 *   net load PLACE CONNECTIONS SECONDS TARGET
 *                                          repeat a request, one active request for each connection; {} in the target
 *                                          is a number that no other request has
 *   net spin PLACE CONNECTIONS SECONDS TARGET
 *                                          the same, never asleep: waking a client costs the server more than a small
 *                                          reply, and a fast server would seldom pay it, because its client is busy
 *   net probe PLACE SECONDS TARGET         ask every few milliseconds, each time over a new connection, as probes do
 *   net start PORT CPU COMMAND...          milliseconds from starting a server, on that processor, to its first reply;
 *                                          then ends it
 *
 * A PLACE is a port of 127.0.0.1, or the path of a socket. Each prints one line of JSON.
 */

#define _GNU_SOURCE /* memmem, strcasestr, sched_setaffinity */

#include "CTorchKernels.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, HEAD = 16 << 10, CONNECTIONS = 256, SAMPLES = 1 << 22 };

static _Alignas(64) char block[BLOCK];

static void fail(const char *what) {
    fprintf(stderr, "net: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* An address of a socket, of either kind. */
struct place {
    union {
        struct sockaddr any;
        struct sockaddr_in port;
        struct sockaddr_un path;
    };
    socklen_t size;
};

static bool is_path(const char *text) { return strchr(text, '/') != NULL; }

static struct place place_of(const char *text) {
    struct place place = {.size = sizeof place.port};
    if (is_path(text)) {
        place.path.sun_family = AF_UNIX;
        if ((size_t)snprintf(place.path.sun_path, sizeof place.path.sun_path, "%s", text) >= sizeof place.path.sun_path) {
            fail("too long a path");
        }
        place.size = sizeof place.path;
    } else {
        place.port = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(text)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    }
    return place;
}

/* A connected socket, or -1. */
static int connected(const char *text) {
    struct place place = place_of(text);
    int descriptor = socket(place.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        fail("socket");
    }
    const int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* A path has no such option. */
    if (connect(descriptor, &place.any, place.size) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

/* Makes the reader sleep until `fewest` bytes are there. */
static void wait_for(int descriptor, const char *fewest) {
    const int bytes = fewest == NULL ? 0 : atoi(fewest);
    if (bytes > 0 && setsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) != 0) {
        fail("SO_RCVLOWAT");
    }
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

static ctk_stream stream;

/* Makes the next block of a tensor; without a method, the block stays the same. */
static void make_block(const char *method) {
    enum { ELEMENTS = BLOCK / sizeof(float) };
    if (method == NULL) {
        return;
    }
    if (strcmp(method, "uniform") == 0) {
        ctk_best()->uniform_f32(&stream, (float *)block, ELEMENTS, 0, 1, 1, 0);
    } else {
        ctk_best()->normal_f32(&stream, (float *)block, ELEMENTS / CTK_NORMAL_BLOCK, 0, 1);
    }
}

static int send_bytes(const char *congestion_or_path, const char *method) {
    ctk_seed(&stream, 42);
    /* Memory that was never written is one page of zeros everywhere, which the first-level cache would hold. */
    memset(block, 1, sizeof block);
    bool has_path = is_path(congestion_or_path);
    struct place place = place_of(has_path ? congestion_or_path : "0");
    int listener = socket(place.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, &place.any, place.size) != 0 || listen(listener, 16) != 0
        || getsockname(listener, &place.any, &place.size) != 0) {
        fail("listen");
    }
    if (!has_path
        && setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion_or_path, (socklen_t)strlen(congestion_or_path)) != 0) {
        fail(congestion_or_path);
    }
    printf("{\"port\": %d}\n", has_path ? 0 : ntohs(place.port.sin_port));
    fflush(stdout);
    struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    while (poll(polled, 2, -1) >= 0 && polled[0].revents == 0) {
        int descriptor = accept(listener, NULL, NULL);
        uint64_t count = 0;
        if (descriptor < 0 || recv(descriptor, &count, sizeof count, MSG_WAITALL) != sizeof count) {
            continue;
        }
        if (has_path) {
            static const int size = 4 << 20;
            if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
                (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            }
        }
        while (count > 0) {
            size_t size = count < BLOCK ? (size_t)count : BLOCK;
            make_block(method);
            if (!sent(descriptor, block, size)) {
                break;
            }
            count -= size;
        }
        close(descriptor);
    }
    return 0;
}

static int receive(const char *place, uint64_t count, const char *fewest) {
    int descriptor = connected(place);
    if (descriptor < 0) {
        fail("connect");
    }
    wait_for(descriptor, fewest);
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

/* Bytes of a head including its empty line; 0 if the empty line has not arrived yet. */
static size_t head_size(const char *bytes, size_t count) {
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

/* The value of Content-Length; -1 if there is none. The head ends with a NUL. */
static long long content_length(const char *head) {
    const char *field = strcasestr(head, "\r\ncontent-length:");
    return field == NULL ? -1 : atoll(field + strlen("\r\ncontent-length:"));
}

static int get(const char *place, const char *target, const char *field, const char *fewest) {
    char head[HEAD + 1];
    int length = snprintf(
        head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n", target, field,
        *field == '\0' ? "" : "\r\n");
    int descriptor = connected(place);
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
    wait_for(descriptor, fewest);
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

/* The repeated request. */
struct question {
    char text[HEAD];
    int length;
    int last_digit; /* position of the counter's last digit; 0 if the request has no counter */
};

/* Numbers have ten digits. A run begins with the current time in microseconds, and a request takes longer than one: in
   half an hour no number comes twice. */
static struct question question_of(const char *target) {
    struct question question = {.last_digit = 0};
    const char *hole = strstr(target, "{}");
    char number[16] = "";
    if (hole != NULL) {
        (void)snprintf(number, sizeof number, "%llu", 1000000000 + (unsigned long long)(1e6 * now()) % 3000000000);
        question.last_digit = (int)(strlen("GET ") + (size_t)(hole - target) + strlen(number)) - 1;
    }
    question.length = snprintf(
        question.text, sizeof question.text, "GET %.*s%s%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        (int)(hole == NULL ? strlen(target) : (size_t)(hole - target)), target, number, hole == NULL ? "" : hole + 2);
    if (question.length < 0 || (size_t)question.length >= sizeof question.text) {
        fail("too long a target");
    }
    return question;
}

static bool ask(int descriptor, struct question *question) {
    for (int digit = question->last_digit; digit > 0 && ++question->text[digit] > '9'; digit--) {
        question->text[digit] = '0';
    }
    return sent(descriptor, question->text, (size_t)question->length);
}

enum progress { CLOSED, WAITING, ANSWERED };

/* Receives once. */
static enum progress progress_of(struct client *client) {
    ssize_t received = recv(client->descriptor, client->bytes + client->have, sizeof client->bytes - client->have - 1, 0);
    if (received <= 0) {
        return CLOSED;
    }
    client->have += (size_t)received;
    if (client->wanted == 0) {
        size_t head = head_size(client->bytes, client->have);
        if (head == 0) {
            return WAITING;
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
    return client->have < client->wanted ? WAITING : ANSWERED;
}

/* Prints the latencies of the answers. */
static void report(size_t answered, double taken) {
    size_t samples = answered < SAMPLES ? answered : SAMPLES;
    qsort(latencies, samples, sizeof *latencies, ascending);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f, \"longest\": %.9f}\n", answered, taken,
           samples == 0 ? 0 : latencies[samples / 2], samples == 0 ? 0 : latencies[samples - 1 - samples / 100],
           samples == 0 ? 0 : latencies[samples - 1]);
}

static int load(const char *place, int connections, double seconds, const char *target, bool sleeps) {
    static struct client clients[CONNECTIONS];
    struct question question = question_of(target);
    int queue = epoll_create1(EPOLL_CLOEXEC);
    if (queue < 0 || connections < 1 || connections > CONNECTIONS) {
        fail("too many connections");
    }
    double start = now(), end = start + seconds;
    for (int index = 0; index < connections; index++) {
        struct client *client = &clients[index];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        client->descriptor = connected(place);
        client->asked = now();
        if (client->descriptor < 0 || epoll_ctl(queue, EPOLL_CTL_ADD, client->descriptor, &event) != 0
            || !ask(client->descriptor, &question)) {
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
            enum progress progress = progress_of(client);
            if (progress == CLOSED) {
                fail("the connection was closed");
            }
            if (progress == WAITING) {
                continue;
            }
            double time = now();
            latencies[answered % SAMPLES] = (float)(time - client->asked);
            answered++;
            client->have = client->wanted = 0;
            client->asked = time;
            if (!ask(client->descriptor, &question)) {
                fail("send");
            }
        }
    }
    report(answered, now() - start);
    return answered > 0 ? 0 : 1;
}

static int probe(const char *place, double seconds, const char *target) {
    struct question question = question_of(target);
    const double start = now();
    size_t answered = 0;
    while (now() - start < seconds) {
        const double asked = now();
        static struct client client;
        client.descriptor = connected(place);
        if (client.descriptor < 0 || !ask(client.descriptor, &question)) {
            fail("connect");
        }
        client.have = client.wanted = 0;
        /* A connection that is closed without an answer has waited, too. */
        while (progress_of(&client) == WAITING) {
        }
        close(client.descriptor);
        latencies[answered++ % SAMPLES] = (float)(now() - asked);
        usleep(2000);
    }
    report(answered, now() - start);
    return answered > 0 ? 0 : 1;
}

/* MARK: Start */

static int start_server(const char *port, int cpu, char **command) {
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    double start = now();
    pid_t server = fork();
    if (server < 0) {
        fail("fork");
    }
    if (server == 0) {
        /* This process polls all the time, and would delay the server on the same processor. */
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((size_t)cpu, &cpus);
        if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
            _exit(127);
        }
        /* The server's output is not part of this program's. */
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
    if (strcmp(mode, "send") == 0 && (count == 3 || count == 4)) {
        return send_bytes(arguments[2], count > 3 ? arguments[3] : NULL);
    }
    if (strcmp(mode, "receive") == 0 && (count == 4 || count == 5)) {
        return receive(arguments[2], strtoull(arguments[3], NULL, 10), arguments[4]);
    }
    if (strcmp(mode, "get") == 0 && count >= 4 && count <= 6) {
        return get(arguments[2], arguments[3], count > 4 ? arguments[4] : "", count > 5 ? arguments[5] : NULL);
    }
    bool sleeps = strcmp(mode, "load") == 0;
    if ((sleeps || strcmp(mode, "spin") == 0) && count == 6) {
        return load(arguments[2], atoi(arguments[3]), atof(arguments[4]), arguments[5], sleeps);
    }
    if (strcmp(mode, "probe") == 0 && count == 5) {
        return probe(arguments[2], atof(arguments[3]), arguments[4]);
    }
    if (strcmp(mode, "start") == 0 && count > 4) {
        return start_server(arguments[2], atoi(arguments[3]), arguments + 4);
    }
    fprintf(stderr, "net: see the head of its source for how it is called\n");
    return 2;
}
