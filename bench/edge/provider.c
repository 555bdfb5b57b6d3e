/* An instant provider: OpenAI's chat completions with constant responses, so that a benchmark measures the gateway in
 * front of it. One thread, epoll, HTTP/1.1 with keep-alive and Content-Length.
 *
 * The request's body selects the response: a stream for `"stream":true`, otherwise one JSON body. A stream sends 20 chunks
 * at once; with `"user":"paced"` 100 chunks, one every 20 ms; with `"user":"hold"` 120 chunks, one every second.
 *
 *     cc -O2 -o provider provider.c && ./provider PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 16384, IN_BYTES = 16384, TICK_MS = 2 };

struct connection {
    int open, used, left;
    long pause_ms, due_ms;
    char in[IN_BYTES];
};

static struct connection *connections[MAX_CONNECTIONS];
static int highest;
static char whole[2048], head[256], chunk[512], last[1024], burst[16384];
static int whole_bytes, head_bytes, chunk_bytes, last_bytes, burst_bytes;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int framed(char *to, size_t room, const char *data) {
    return snprintf(to, room, "%zx\r\n%s\r\n", strlen(data), data);
}

static void prepare(void) {
    const char *usage = "{\"prompt_tokens\":12,\"completion_tokens\":20,\"total_tokens\":32}";
    char body[1024], data[768];
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{"
             "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The river flows past the harbor, slow and brown, "
             "as it always has and always will, they say.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":%s}",
             usage);
    whole_bytes = snprintf(whole, sizeof whole,
                           "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                           strlen(body), body);
    head_bytes = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    const char *event = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
                        "\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" river\"},\"logprobs\":null,"
                        "\"finish_reason\":null}]}\n\n";
    chunk_bytes = framed(chunk, sizeof chunk, event);
    snprintf(data, sizeof data,
             "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
             "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
             "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
             "\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n",
             usage);
    last_bytes = framed(last, sizeof last, data);
    last_bytes += sprintf(last + last_bytes, "0\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        memcpy(burst + burst_bytes, chunk, chunk_bytes);
        burst_bytes += chunk_bytes;
    }
    memcpy(burst + burst_bytes, last, last_bytes);
    burst_bytes += last_bytes;
}

static void end(int fd) {
    close(fd);
    if (connections[fd]) connections[fd]->open = 0;
}

/* Responses are far smaller than a socket's buffer. A client that does not read them is disconnected. */
static int put(int fd, const char *data, int bytes) {
    if (send(fd, data, bytes, MSG_NOSIGNAL) == bytes) return 1;
    end(fd);
    return 0;
}

static void answer(int fd, struct connection *c, const char *body) {
    if (!strstr(body, "\"stream\":true") && !strstr(body, "\"stream\": true")) {
        put(fd, whole, whole_bytes);
        return;
    }
    int paced = strstr(body, "\"paced\"") != NULL, held = strstr(body, "\"hold\"") != NULL;
    if (!put(fd, head, head_bytes)) return;
    if (!paced && !held) {
        put(fd, burst, burst_bytes);
        return;
    }
    c->left = paced ? 100 : 120;
    c->pause_ms = paced ? 20 : 1000;
    c->due_ms = now_ms();
}

static void take(int fd, struct connection *c) {
    for (;;) {
        c->in[c->used] = 0;
        char *blank = strstr(c->in, "\r\n\r\n");
        if (!blank) return;
        char *length = strcasestr(c->in, "content-length:");
        int body_bytes = length && length < blank ? atoi(length + 15) : 0;
        int total = (int)(blank + 4 - c->in) + body_bytes;
        if (total >= IN_BYTES) {
            end(fd);
            return;
        }
        if (c->used < total) return;
        char kept = c->in[total];
        c->in[total] = 0;
        answer(fd, c, blank + 4);
        if (!c->open) return;
        c->in[total] = kept;
        memmove(c->in, c->in + total, c->used - total);
        c->used -= total;
    }
}

static void pace(void) {
    long now = now_ms();
    for (int fd = 0; fd <= highest; fd++) {
        struct connection *c = connections[fd];
        if (!c || !c->open || !c->left || c->due_ms > now) continue;
        c->due_ms += c->pause_ms;
        if (put(fd, chunk, chunk_bytes) && --c->left == 0) put(fd, last, last_bytes);
    }
}

static void accept_all(int listening, int poller) {
    int fd, on = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!connections[fd]) connections[fd] = malloc(sizeof(struct connection));
        memset(connections[fd], 0, offsetof(struct connection, in));
        connections[fd]->open = 1;
        if (fd > highest) highest = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: %s PORT\n", arguments[0]), 2;
    struct rlimit files = {MAX_CONNECTIONS, MAX_CONNECTIONS};
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prepare();
    int on = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 4096)) return perror("bind"), 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 256, TICK_MS);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                accept_all(listening, poller);
                continue;
            }
            struct connection *c = connections[fd];
            ssize_t got = recv(fd, c->in + c->used, IN_BYTES - 1 - c->used, 0);
            if (got > 0) {
                c->used += got;
                take(fd, c);
            } else if (got == 0 || errno != EAGAIN) {
                end(fd);
            }
        }
        pace();
    }
}
