/*
 * The I/O thread of a worker process: it owns the libcurl multi handle, and
 * every call to the outside goes through it (contracts section 7), be it HTTP
 * (http.h) or mail (smtp.h).
 *
 * A call is a transfer of libcurl's, which does all; or (talk) it speaks for
 * itself over a connection that libcurl has made and logged in on, or that an
 * earlier call has left.  (libcurl's own SMTP waits for what a server says to a
 * mail, and nobody else's call goes on meanwhile.)
 *
 * Each destination has its bound on calls under way and its circuit breaker
 * (breaker.h); connections are libcurl's, kept and used again.
 */

#ifndef WORKER_IO_H
#define WORKER_IO_H

#include <curl/curl.h>

#include "../pool/board.h"

typedef struct worker_io_s       worker_io_t;
typedef struct worker_io_call_s  worker_io_call_t;
typedef struct io_destination_s  io_destination_t;

typedef enum {
    WORKER_IO_READ,                      /* goes on when there is an answer */
    WORKER_IO_WRITE,                     /* when more can be written */
    WORKER_IO_KEEP,                      /* over; the connection is as new */
    WORKER_IO_CLOSE,                     /* over, and the connection with it */
    WORKER_IO_STALE                      /* it was kept, and is closed: nothing
                                            was done, over another one */
} worker_io_talk_e;

/* All zero but for what the caller sets; it must stay where it is until
 * 'over' was called. */
struct worker_io_call_s {
    const char         *destination;     /* a partner's code, "smtp" ... */
    long                timeout_ms;      /* from the submission; 0: 30 s */
    long                patience_ms;     /* from the submission, the time-out
                                            being from its turn; 0: see above */
    bool                unguarded;       /* no breaker */
    const _Atomic bool *cancel;          /* given up within a second when it
                                            becomes true; or NULL */
    void               *ctx;

    /* On the I/O thread.  Sets the handle's options (all but time-out and
     * error buffer); false: out of memory. */
    bool              (*prepare)(worker_io_call_t *call, CURL *easy);
    /* On the I/O thread, or NULL: 'prepare' has set CURLOPT_CONNECT_ONLY, and
     * this is called once connected and then whenever the socket is ready. */
    worker_io_talk_e  (*talk)(worker_io_call_t *call, CURL *easy);
    /* On the I/O thread, when a transfer is over: notes what came; true when
     * the destination is well, whatever it answered.  easy: NULL when the
     * connection was kept. */
    bool              (*judge)(worker_io_call_t *call, CURL *easy,
                               CURLcode code);
    /* Last of all, exactly once, on the I/O thread (or in worker_io_submit,
     * when the process is stopping): the call is its owner's again. */
    void              (*over)(worker_io_call_t *call);

    /* TRAVEL_OK: a transfer took place; TRAVEL_REFUSED: the breaker is open
     * for wait_ms; TRAVEL_ERROR: no answer, 'why' says why. */
    int                 rc;
    long                wait_ms;
    char                why[CURL_ERROR_SIZE];

    io_destination_t   *to;              /* the I/O thread's, so below */
    worker_io_call_t   *next;
    worker_io_call_t   *active_prev;     /* while it is in the multi handle */
    worker_io_call_t   *active_next;
    CURL               *easy;
    bool                talking;
    bool                kept;            /* the connection was */
    curl_socket_t       fd;              /* while it talks */
    short               events;
    uint64_t            ends_ms;
    uint64_t            until_ms;
    uint64_t            sent_ms;
    unsigned            pass;
};

/* sheet: where it accounts for itself, or NULL. */
worker_io_t *worker_io_start(const worker_conf_t *conf, worker_sheet_t *sheet);
void worker_io_stop(worker_io_t **pio);

const worker_conf_t *worker_io_conf(const worker_io_t *io);

/* Its clock, in ms. */
uint64_t worker_io_now(void);

/* Any thread, the I/O thread too; returns at once. */
void worker_io_submit(worker_io_t *io, worker_io_call_t *call);

#endif
