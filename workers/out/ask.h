/*
 * What is asked of the outside while nobody waits: an HTTP request (http.h),
 * mails (smtp.h), pushes (push.h).  Who sends one goes on with something else
 * and is told when all of it is over.
 */

#ifndef WORKER_OUT_ASK_H
#define WORKER_OUT_ASK_H

#include "io.h"

typedef struct worker_ask_s  worker_ask_t;

struct worker_http_response_s;

/* The first member of what is asked. */
struct worker_ask_s {
    /* On whatever thread; worker_ask_over once, when all is over. */
    void  (*send)(worker_ask_t *ask, worker_io_t *io);
    void  (*free)(worker_ask_t *ask);

    /* Of an HTTP request, when it is over; else NULL: the answers are where
     * its maker wants them. */
    const struct worker_http_response_s  *answer;

    void  (*over)(void *data);
    void   *data;
};

/* Sent, it must stay, and all that it borrows, until 'over' was called: exactly
 * once, on the I/O thread; or in here, when there was nothing to send or the
 * process is stopping. */
void worker_ask_send(worker_ask_t *ask, worker_io_t *io,
    void (*over)(void *data), void *data);

/* The same, and waits.  Any thread but the I/O thread. */
void worker_ask_wait(worker_ask_t *ask, worker_io_t *io);

/* For its maker: it is the owner's again, and not to be looked at. */
void worker_ask_over(worker_ask_t *ask);

/* None (NULL), or one that is not under way. */
void worker_ask_free(worker_ask_t **pask);

#endif
