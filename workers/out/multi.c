/*
 * libcurl's sockets in epoll.
 *
 * libcurl says by its callbacks which sockets it wants to hear of and when it
 * wants its turn without one; it never blocks.  A socket that it has closed has
 * left the epoll set by itself.
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "multi.h"
#include "io.h"

#define MULTI_EVENTS  128


static uint32_t
multi_events(int what)
{
    return (what & CURL_POLL_IN ? EPOLLIN : 0u)
           | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
}


/* 'known': libcurl has been told that the socket is in the set. */
static int
multi_on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *known)
{
    int                  op;
    worker_multi_t      *m = data;
    struct epoll_event   event = { .events = multi_events(what),
                                   .data.fd = fd };

    (void) easy;

    if (what == CURL_POLL_REMOVE) {
        (void) epoll_ctl(m->epoll, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }

    op = known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(m->epoll, op, fd, &event) != 0) {
        if (errno != EEXIST && errno != ENOENT) {
            return -1;
        }

        /* closed and opened again meanwhile, or the other way */
        op = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (epoll_ctl(m->epoll, op, fd, &event) != 0) {
            return -1;
        }
    }

    curl_multi_assign(m->curl, fd, m);
    return 0;
}


static int
multi_on_timer(CURLM *curl, long ms, void *data)
{
    worker_multi_t  *m = data;

    (void) curl;
    m->timed = ms >= 0;
    m->due = m->timed ? worker_io_now() + (uint64_t) ms : 0;

    return 0;
}


bool
worker_multi_init(worker_multi_t *m)
{
    struct epoll_event  event = { .events = EPOLLIN };

    memset(m, 0, sizeof(*m));
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    event.data.fd = m->wake;

    if (m->epoll == -1 || m->wake == -1
        || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->wake, &event) != 0)
    {
        worker_multi_free(m);
        return false;
    }

    m->curl = curl_multi_init();

    if (m->curl == NULL) {
        worker_multi_free(m);
        return false;
    }

    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, multi_on_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, multi_on_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    return true;
}


/* libcurl closes its sockets in the set's lifetime. */
void
worker_multi_free(worker_multi_t *m)
{
    if (m->curl != NULL) {
        curl_multi_cleanup(m->curl);
    }

    if (m->wake != -1) {
        close(m->wake);
    }

    if (m->epoll != -1) {
        close(m->epoll);
    }
}


int
worker_multi_left(const worker_multi_t *m, int most)
{
    uint64_t  now;

    if (!m->timed) {
        return most;
    }

    now = worker_io_now();

    if (m->due <= now) {
        return 0;
    }

    return m->due - now < (uint64_t) most ? (int) (m->due - now) : most;
}


void
worker_multi_timer(worker_multi_t *m)
{
    int  running;

    if (m->timed && m->due <= worker_io_now()) {
        m->timed = false;       /* libcurl sets it anew */
        (void) curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0,
                                        &running);
    }
}


static int
multi_ready(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0)
           | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0)
           | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
}


void
worker_multi_turn(worker_multi_t *m, int wait)
{
    int                 i, n, running;
    uint64_t            count;
    struct epoll_event  events[MULTI_EVENTS];

    n = epoll_wait(m->epoll, events, MULTI_EVENTS, wait);

    for (i = 0; i < n; i++) {
        if (events[i].data.fd == m->wake) {
            (void) !read(m->wake, &count, sizeof(count));

        } else {
            (void) curl_multi_socket_action(m->curl, events[i].data.fd,
                                            multi_ready(events[i].events),
                                            &running);
        }
    }
}


void
worker_multi_wake(worker_multi_t *m)
{
    uint64_t  one = 1;

    (void) !write(m->wake, &one, sizeof(one));
}
