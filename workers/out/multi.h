/*
 * A libcurl multi handle whose sockets are watched by epoll: a turn costs what
 * is ready, not what is open.  Of one thread, but for worker_multi_wake.
 */

#ifndef WORKER_MULTI_H
#define WORKER_MULTI_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

typedef struct {
    CURLM     *curl;
    int        epoll;           /* readable: worker_multi_turn has work */
    int        wake;            /* eventfd, in it */
    bool       timed;
    uint64_t   due;             /* of libcurl's timer, worker_io_now(), if
                                   timed */
} worker_multi_t;

/* False: out of memory or descriptors, and there is nothing to free. */
bool worker_multi_init(worker_multi_t *m);
void worker_multi_free(worker_multi_t *m);

/* Milliseconds until libcurl's timer, at most 'most'. */
int worker_multi_left(const worker_multi_t *m, int most);

/* Serves what is ready; waits up to so many milliseconds until something is. */
void worker_multi_turn(worker_multi_t *m, int wait);

/* The timer, if it is due: what was added begins by it. */
void worker_multi_timer(worker_multi_t *m);

/* From any thread: a turn that waits ends. */
void worker_multi_wake(worker_multi_t *m);

#endif
