/*
 * A crowd of WebSocket clients in one process, by epoll, for bench/live.pl.
 *
 *     crowd HOST PORT FROM N TOKEN TOPIC
 *
 * Opens N sockets from the address FROM, subscribes each to TOPIC ("-": to
 * nothing), and prints "open SECONDS" when all are.  Each line on stdin asks
 * for something: "wait K": until K messages have come to each, then "got
 * COUNT p50 p99 max lost L cpu MS first MS" in ms, stamped at the read against
 * the "t" (ns, the monotonic clock) in the message, and what the crowd itself
 * has spent on them; "until K": until each has had the message whose "n" is K,
 * coming back with its cursor whenever it is told to leave, then "had COUNT
 * back B lost L twice T out O late S all A over H": how many have it, came
 * back, the numbers missed, repeated, gaps told, seconds; seconds from when the
 * first was told to leave until the last was subscribed again, and the longest
 * that anybody took for that when its time had come; "quit".  Pings are
 * answered.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "spent.h"

enum { CONNECTING, ASKED, SUBSCRIBING, READY };

typedef struct {
    int       fd;
    int       state;
    unsigned  used;
    char     *in;                     /* only while something is incomplete */
    char      cursor[48];             /* after the last message */
    long      n;                      /* its number; 0: none yet */
    double    back;                   /* when to come back; 0: it is here */
    double    since;                  /* it has been coming back */
} client_t;

static client_t            *clients;
static int                  n, ready, opened, next_client, inflight, lost;
static int                  backs, gaps, measuring;
static long                 missing, twice;
static int                  ep;
static double               told, all, over;
static double              *delays;
static size_t               ndelays, room;
static const char          *token, *topic;
static struct sockaddr_in   to, from;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
die(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
dial(client_t *c)
{
    int                 one = 1;
    struct epoll_event  ev;

    c->state = CONNECTING;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (c->fd < 0) {
        die("socket");
    }

    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
               sizeof(one));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (bind(c->fd, (struct sockaddr *) &from, sizeof(from)) < 0) {
        die("bind");
    }

    if (connect(c->fd, (struct sockaddr *) &to, sizeof(to)) < 0
        && errno != EINPROGRESS)
    {
        die("connect");
    }

    ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    inflight++;
}


static void
open_more(void)
{
    while (next_client < n && inflight < 256) {
        dial(&clients[next_client++]);
    }
}


/* It was told to leave, or cut off: it comes back where it stopped. */
static void
leave(client_t *c)
{
    close(c->fd);
    free(c->in);
    c->in = NULL;
    c->used = 0;
    c->fd = -1;

    if (c->back == 0) {
        c->back = now();
    }
}


static void
come_back(void)
{
    int     i;
    double  at = now();

    for (i = 0; i < n && inflight < 256; i++) {
        if (clients[i].fd == -1 && clients[i].back <= at) {
            clients[i].since = clients[i].back;
            clients[i].back = 0;
            backs++;
            dial(&clients[i]);
        }
    }
}


static void
frame(client_t *c, int first, const char *data, size_t len)
{
    size_t         h;
    unsigned char  out[2048];

    out[0] = (unsigned char) first;

    if (len < 126) {
        out[1] = (unsigned char) (0x80 | len);
        h = 2;
    } else {
        out[1] = 0x80 | 126;
        out[2] = (unsigned char) (len >> 8);
        out[3] = (unsigned char) len;
        h = 4;
    }

    memset(out + h, 0, 4);                       /* a mask of zeroes */
    memcpy(out + h + 4, data, len);

    if (write(c->fd, out, h + 4 + len) < 0) {
        lost++;
    }
}


static void
ask(client_t *c)
{
    int   len;
    char  text[4096];

    len = snprintf(text, sizeof(text), "GET /live HTTP/1.1\r\nHost: x\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Authorization: Bearer %s\r\n\r\n", token);

    if (write(c->fd, text, (size_t) len) != len) {
        die("write");
    }

    c->state = ASKED;
}


static void
delayed(const char *p, size_t len, double at)
{
    const char  *t = memmem(p, len, "\"t\":", 4);

    if (t != NULL && ndelays < room) {
        delays[ndelays++] = at * 1e3 - (double) strtoll(t + 4, NULL, 10) / 1e6;
    }
}


static void
message(client_t *c, const char *p, size_t len, double at)
{
    const char  *t;

    if (measuring) {                  /* the core is the senders', too */
        delayed(p, len, at);
        return;
    }

    if (memmem(p, len, "\"type\":\"bye\"", 12) != NULL) {
        t = memmem(p, len, "\"reconnect_in\":", 15);
        c->back = now() + (t != NULL ? strtod(t + 15, NULL) / 1e3 : 0);
        told = told > 0 ? told : now();
        return;
    }

    if (memmem(p, len, "\"type\":\"gap\"", 12) != NULL) {
        gaps++;
    }

    t = memmem(p, len, "\"cursor\":\"", 10);

    if (t != NULL) {
        snprintf(c->cursor, sizeof(c->cursor), "%.*s",
                 (int) strcspn(t + 10, "\""), t + 10);
    }

    if (c->state == SUBSCRIBING) {
        c->state = READY;
        ready++;

        if (c->since > 0) {
            all = now() - told;
            over = now() - c->since > over ? now() - c->since : over;
        }

        return;
    }

    t = memmem(p, len, "\"n\":", 4);

    if (t != NULL) {
        long  k = strtol(t + 4, NULL, 10);

        if (c->n > 0 && k > c->n + 1) {
            missing += k - c->n - 1;
        } else if (c->n > 0 && k <= c->n) {
            twice++;
        }

        c->n = k > c->n ? k : c->n;
    }
}


/* One whole thing at p: its length, 0: not complete. */
static size_t
take(client_t *c, char *p, size_t len, double at)
{
    char           text[256], *end;
    size_t         h, body;
    unsigned char *u = (unsigned char *) p;

    if (c->state == ASKED) {
        end = memmem(p, len, "\r\n\r\n", 4);

        if (end == NULL) {
            return 0;
        }

        if (memcmp(p, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "crowd: %.*s\n", 40, p);
            exit(1);
        }

        inflight--;
        opened++;
        c->state = READY;

        if (topic[0] != '-') {
            c->state = SUBSCRIBING;
            h = (size_t) snprintf(text, sizeof(text), "{\"type\":\"subscribe\""
                                  ",\"topic\":\"%s\"%s%s%s}", topic,
                                  c->cursor[0] ? ",\"cursor\":\"" : "",
                                  c->cursor, c->cursor[0] ? "\"" : "");
            frame(c, 0x81, text, h);
        } else {
            ready++;
        }

        open_more();
        return (size_t) (end + 4 - p);
    }

    if (len < 2) {
        return 0;
    }

    h = 2;
    body = u[1];

    if (body == 126) {
        if (len < 4) {
            return 0;
        }

        h = 4;
        body = (size_t) u[2] << 8 | u[3];
    }

    if (len < h + body) {
        return 0;
    }

    if (u[0] == 0x81 || u[0] == 0x82) {
        message(c, p + h, body, at);
    } else if (u[0] == 0x89) {
        frame(c, 0x8A, p + h, body);
    } else if (u[0] == 0x88) {
        lost++;
        frame(c, 0x88, p + h, body);
    }

    return h + body;
}


static void
readable(client_t *c)
{
    char     buf[65536];
    size_t   have, done, k;
    double   at;
    ssize_t  got;

    for ( ;; ) {
        have = c->used;

        if (have > 0) {
            memcpy(buf, c->in, have);
            free(c->in);
            c->in = NULL;
            c->used = 0;
        }

        got = read(c->fd, buf + have, sizeof(buf) - have);
        at = now();

        if (got < 0 && errno == EAGAIN) {
            got = 0;
        } else if (got <= 0) {
            lost++;
            inflight -= c->state < SUBSCRIBING;
            leave(c);
            return;
        }

        have += (size_t) got;

        for (done = 0; done < have; done += k) {
            k = take(c, buf + done, have - done, at);

            if (k == 0) {
                break;
            }
        }

        if (done < have) {
            c->used = (unsigned) (have - done);
            c->in = malloc(c->used);
            memcpy(c->in, buf + done, c->used);
        }

        /* a short read has taken all there was */
        if (got < (ssize_t) (sizeof(buf) / 2)) {
            return;
        }
    }
}


static void
turn(int ms)
{
    int                 i, k;
    client_t           *c;
    struct epoll_event  evs[1024];

    k = epoll_wait(ep, evs, 1024, ms);

    for (i = 0; i < k; i++) {
        c = evs[i].data.ptr;

        if (c == NULL) {
            continue;
        }

        if (c->state == CONNECTING && evs[i].events & EPOLLOUT) {
            ask(c);
        }

        if (evs[i].events & EPOLLIN) {
            readable(c);
        } else if (evs[i].events & (EPOLLERR | EPOLLHUP)) {
            lost++;
            inflight -= c->state < SUBSCRIBING;
            leave(c);
        }
    }
}


static int
order(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


static void
wait_for(size_t each)
{
    size_t  want = each * (size_t) n;
    double  end = now() + 30, cpu = spent();

    measuring = 1;

    while (ndelays < want && now() < end) {
        turn(20);
    }

    measuring = 0;
    cpu = spent() - cpu;

    qsort(delays, ndelays, sizeof(double), order);
    printf("got %zu %.2f %.2f %.2f lost %d cpu %.1f first %.2f\n", ndelays,
           ndelays ? delays[ndelays / 2] : 0,
           ndelays ? delays[ndelays * 99 / 100] : 0,
           ndelays ? delays[ndelays - 1] : 0, lost, cpu,
           ndelays ? delays[0] : 0);
    ndelays = 0;
}


static int
had(long k)
{
    int  i, count = 0;

    for (i = 0; i < n; i++) {
        count += clients[i].n >= k && clients[i].fd >= 0;
    }

    return count;
}


static void
until(long k)
{
    double  start = now(), look = 0;

    while (now() - start < 60) {
        turn(5);
        come_back();

        if (now() - look > 0.05) {
            look = now();

            if (had(k) == n) {
                break;
            }
        }
    }

    printf("had %d back %d lost %ld twice %ld out %d late %.2f all %.2f "
           "over %.2f\n", had(k), backs, missing, twice, gaps, now() - start,
           all, over);
}


int
main(int argc, char **argv)
{
    char                line[128];
    double              start;
    ssize_t             len;
    struct rlimit       files;
    struct epoll_event  ev;

    if (argc != 7) {
        fprintf(stderr, "usage: crowd HOST PORT FROM N TOKEN TOPIC\n");
        return 2;
    }

    /* it shares cores with those who send: to wake up for each message, in
     * their place, would be most of what is measured; a crowd of many machines
     * would not */
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param) { 0 });

    setvbuf(stdout, NULL, _IOLBF, 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    to.sin_family = from.sin_family = AF_INET;
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    to.sin_port = htons((uint16_t) atoi(argv[2]));
    inet_pton(AF_INET, argv[3], &from.sin_addr);
    n = atoi(argv[4]);
    token = argv[5];
    topic = argv[6];

    room = (size_t) n * 64;
    clients = calloc((size_t) n, sizeof(client_t));
    delays = calloc(room, sizeof(double));
    ep = epoll_create1(0);

    start = now();
    open_more();

    while (ready < n && now() - start < 120) {
        turn(100);
    }

    printf("open %.2f %d lost %d\n", now() - start, ready, lost);

    fcntl(0, F_SETFL, O_NONBLOCK);
    ev.events = EPOLLIN;
    ev.data.ptr = NULL;
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev);

    for ( ;; ) {
        len = read(0, line, sizeof(line) - 1);

        if (len == 0) {
            return 0;
        }

        if (len < 0) {
            turn(50);
            continue;
        }

        line[len] = '\0';

        if (strncmp(line, "quit", 4) == 0) {
            return 0;
        }

        if (strncmp(line, "until ", 6) == 0) {
            until(atol(line + 6));
        }

        if (strncmp(line, "wait ", 5) == 0) {
            wait_for((size_t) atoi(line + 5));
        }
    }
}
