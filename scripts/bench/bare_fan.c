/*
 * What a fan-out could be here: the bare least, for bench/live.pl.
 *
 *     bare_fan PORT N
 *
 * N processes that listen together take WebSocket clients (bench/crowd.c) and
 * answer their handshake and their first message with constants.  Each line on
 * stdin is a message: every process sends it to every socket that it has, as
 * one frame made beforehand, a write each and nothing else.  For each line
 * "sent MS": the CPU time that all processes have spent on it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
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

enum { MAX = 65536, WORKERS = 16 };

static unsigned char   asked[MAX];    /* by descriptor: the handshake is over */
static int             fds[MAX], nfds;
static int             ep;


static void
die(const char *what)
{
    fprintf(stderr, "bare_fan: %s: %s\n", what, strerror(errno));
    exit(1);
}


static size_t
frame(unsigned char *out, const char *text, size_t len)
{
    size_t  h = 2;

    out[0] = 0x81;

    if (len < 126) {
        out[1] = (unsigned char) len;
    } else {
        out[1] = 126;
        out[2] = (unsigned char) (len >> 8);
        out[3] = (unsigned char) len;
        h = 4;
    }

    memcpy(out + h, text, len);

    return h + len;
}


static int
listener(uint16_t port)
{
    int                 fd, one = 1;
    struct sockaddr_in  at = { .sin_family = AF_INET, .sin_port = htons(port) };

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (fd < 0 || bind(fd, (struct sockaddr *) &at, sizeof(at)) < 0
        || listen(fd, 8192) < 0)
    {
        die("listen");
    }

    return fd;
}


static void
watch(int fd)
{
    struct epoll_event  ev = { .events = EPOLLIN, .data.fd = fd };

    if (fd >= MAX || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
        die("epoll_ctl");
    }
}


static void
welcome(int from)
{
    int  fd, one = 1;

    while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(fd);
        asked[fd] = 0;
        fds[nfds++] = fd;
    }
}


static void
answer(int fd)
{
    int            i;
    char           in[4096];
    ssize_t        n;
    unsigned char  out[128];

    static const char  hello[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    static const char  ready[] = "{\"type\":\"subscribed\",\"cursor\":\"1-0\"}";

    n = read(fd, in, sizeof(in));

    if (n <= 0) {
        close(fd);

        for (i = 0; i < nfds && fds[i] != fd; i++) { /* void */ }

        fds[i] = fds[--nfds];
        return;
    }

    if (!asked[fd]) {
        asked[fd] = 1;
        n = write(fd, hello, sizeof(hello) - 1);
    } else {
        n = write(fd, out, frame(out, ready, sizeof(ready) - 1));
    }

    if (n < 0) {
        die("write");
    }
}


static void
tell(int from, int to)
{
    int            i;
    char           text[4096];
    double         cpu = spent();
    size_t         len;
    ssize_t        n;
    unsigned char  out[4200];

    n = read(from, text, sizeof(text));

    if (n <= 0) {
        _exit(0);
    }

    len = frame(out, text, (size_t) n);

    for (i = 0; i < nfds; i++) {
        if (send(fds[i], out, len, MSG_NOSIGNAL) < 0) {
            die("send");
        }
    }

    n = snprintf(text, sizeof(text), "%.3f\n", spent() - cpu);

    if (write(to, text, (size_t) n) < 0) {
        die("write");
    }
}


static void
work(uint16_t port, int from, int to)
{
    int                 i, k, l;
    struct epoll_event  evs[512];

    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    l = listener(port);
    watch(l);
    watch(from);

    for ( ;; ) {
        k = epoll_wait(ep, evs, 512, -1);

        for (i = 0; i < k; i++) {
            if (evs[i].data.fd == l) {
                welcome(l);
            } else if (evs[i].data.fd == from) {
                tell(from, to);
            } else {
                answer(evs[i].data.fd);
            }
        }
    }
}


int
main(int argc, char **argv)
{
    int            i, n, in[WORKERS][2], out[WORKERS][2];
    char           line[4096], text[32];
    double         cpu;
    ssize_t        len;
    struct rlimit  files;

    if (argc != 3 || (n = atoi(argv[2])) < 1 || n > WORKERS) {
        fprintf(stderr, "usage: bare_fan PORT N\n");
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    for (i = 0; i < n; i++) {
        if (pipe(in[i]) < 0 || pipe(out[i]) < 0) {
            die("pipe");
        }

        if (fork() == 0) {
            close(in[i][1]);
            work((uint16_t) atoi(argv[1]), in[i][0], out[i][1]);
        }

        close(in[i][0]);
        close(out[i][1]);
    }

    while (fgets(line, sizeof(line), stdin) != NULL) {

        for (i = 0; i < n; i++) {
            if (write(in[i][1], line, strcspn(line, "\n")) < 0) {
                die("write");
            }
        }

        for (cpu = 0, i = 0; i < n; i++) {
            len = read(out[i][0], text, sizeof(text) - 1);
            text[len > 0 ? len : 0] = '\0';
            cpu += strtod(text, NULL);
        }

        printf("sent %.3f\n", cpu);
    }

    return 0;
}
