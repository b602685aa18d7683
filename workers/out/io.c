/*
 * The I/O thread: one libcurl multi handle, many calls.
 *
 * A call is its owner's until it is submitted.  Then it is on exactly one
 * list: 'incoming' (mutex), its destination's 'waiting' or in the multi handle
 * (I/O thread alone); and when it is over the I/O thread calls its 'over' and
 * never looks at it again.  Destinations, breakers and easy handles belong to
 * the I/O thread.
 *
 * One that talks stays in the multi handle, where its connection is; so does a
 * connection that is kept, on its destination's list.  Their sockets are polled
 * beside those of the transfers, which are in the multi handle's epoll set.
 *
 * The time-out counts from the submission, so a call that waits for its turn
 * at a busy destination does not wait for ever.  One that keeps nobody waiting
 * has patience: that long in all, and its time-out from when it has its turn.
 */

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "io.h"
#include "account.h"
#include "multi.h"
#include "../pool/log.h"

#define IO_TIMEOUT_MS    30000
#define IO_CONCURRENCY   64
#define IO_DESTINATIONS  WORKER_BOARD_DESTINATIONS
#define IO_NAME_MAX      48
#define IO_TICK_MS       500
#define IO_CONNECTIONS   256L            /* kept */
#define IO_SESSIONS      256             /* of a destination, of those that are
                                            spoken over */
#define IO_SESSION_MS    30000
#define IO_STREAMS       1000L           /* of one HTTP/2 connection, if the
                                            server allows so many */

/* A connection that waits for another call; in the multi handle, like all. */
typedef struct io_session_s {
    struct io_session_s  *next;
    CURL                 *easy;
    curl_socket_t         fd;
    uint64_t              since;
} io_session_t;

struct io_destination_s {
    char                name[IO_NAME_MAX];
    unsigned            limit;
    unsigned            active;
    worker_io_call_t   *waiting;
    worker_io_call_t  **last;
    io_session_t       *sessions;        /* the last one first */
    unsigned            nsessions;
    worker_breaker_t    breaker;
    worker_board_destination_t  *row;
};

struct worker_io_s {
    pthread_mutex_t       mutex;
    pthread_t             thread;
    worker_io_call_t     *incoming;      /* mutex */
    worker_io_call_t    **last;          /* mutex */
    bool                  stopping;      /* mutex */
    worker_multi_t        multi;         /* I/O thread, but for wake */
    io_destination_t      destinations[IO_DESTINATIONS];
    size_t                ndestinations; /* I/O thread, so below */
    worker_io_call_t     *active;        /* in the multi handle */
    uint64_t              look_at;       /* for those that are cancelled */
    struct pollfd        *fds;           /* the set, those that talk, and kept
                                            connections */
    worker_io_call_t    **talkers;
    size_t                room;
    const worker_conf_t  *conf;          /* borrowed */
    worker_board_destination_t  *rows;   /* of the sheet, or 'own' */
    worker_board_destination_t  *own;    /* without a sheet */
};


uint64_t
worker_io_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* The only way a call ends. */
static void
io_finish(worker_io_call_t *call, int rc)
{
    if (call->easy != NULL) {
        curl_easy_cleanup(call->easy);
        call->easy = NULL;
    }

    call->rc = rc;
    call->over(call);
}


static void
io_refuse(worker_io_call_t *call, const char *why)
{
    snprintf(call->why, sizeof(call->why), "%s", why);
    io_finish(call, TRAVEL_ERROR);
}


static io_destination_t *
io_destination(worker_io_t *io, const char *name)
{
    size_t                   i;
    io_destination_t        *to;
    const worker_partner_t  *partner;

    for (i = 0; i < io->ndestinations; i++) {
        if (strncmp(io->destinations[i].name, name, IO_NAME_MAX - 1) == 0) {
            return &io->destinations[i];
        }
    }

    if (io->ndestinations == IO_DESTINATIONS) {
        return NULL;
    }

    to = &io->destinations[io->ndestinations];
    to->row = &io->rows[io->ndestinations++];
    partner = worker_conf_partner(io->conf, name);

    snprintf(to->name, sizeof(to->name), "%s", name);
    to->limit = partner != NULL && partner->concurrency > 0
                ? partner->concurrency : IO_CONCURRENCY;

    if (partner != NULL) {
        to->breaker.max_failures = partner->breaker_failures;
        to->breaker.min_successes = partner->breaker_successes;
        to->breaker.open_ms = (uint64_t) partner->breaker_open_ms;
    }

    to->last = &to->waiting;
    worker_account_open(to->row, to->name);

    return to;
}


static void
io_report(worker_io_call_t *call, bool good)
{
    uint64_t           now;
    io_destination_t  *to;

    to = call->to;
    now = worker_io_now();
    worker_account_call(to->row, good, now - call->sent_ms);

    if (!call->unguarded
        && worker_breaker_report(&to->breaker, call->pass, good, now))
    {
        worker_log(WORKER_LOG_WARN, "circuit breaker for %s %s", to->name,
                   to->breaker.state == WORKER_BREAKER_OPEN ? "opened"
                                                            : "closed");
    }

    worker_account_breaker(to->row, &to->breaker, now);
}


static long
io_timeout(const worker_io_call_t *call)
{
    return call->timeout_ms > 0 ? call->timeout_ms : IO_TIMEOUT_MS;
}


/* How long it may take from now on. */
static long
io_left(const worker_io_call_t *call, uint64_t now)
{
    long  left;

    left = (long) (call->until_ms - now);

    return call->patience_ms > 0 && left > io_timeout(call) ? io_timeout(call)
                                                            : left;
}


static bool
io_easy(worker_io_call_t *call, long left)
{
    CURL  *easy;

    easy = curl_easy_init();
    call->easy = easy;

    if (easy == NULL || !call->prepare(call, easy)) {
        return false;
    }

    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *) call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* a name server that is silent keeps its own thread, and not this one */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    /* none from the environment: it would be the address that is judged */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    return true;
}


static void
io_activate(worker_io_t *io, worker_io_call_t *call)
{
    call->to->active++;
    atomic_store(&call->to->row->active, call->to->active);
    call->active_prev = NULL;
    call->active_next = io->active;

    if (io->active != NULL) {
        io->active->active_prev = call;
    }

    io->active = call;
}


/* Out of the multi handle, unless its connection is kept, and its turn is
 * free. */
static void
io_deactivate(worker_io_t *io, worker_io_call_t *call)
{
    if (call->easy != NULL) {
        curl_multi_remove_handle(io->multi.curl, call->easy);
    }

    call->talking = false;
    call->to->active--;
    atomic_store(&call->to->row->active, call->to->active);

    if (call->active_prev != NULL) {
        call->active_prev->active_next = call->active_next;
    } else {
        io->active = call->active_next;
    }

    if (call->active_next != NULL) {
        call->active_next->active_prev = call->active_prev;
    }
}


/* --- connections that are spoken over ------------------------------------- */

static void
io_session_close(worker_io_t *io, io_destination_t *to, io_session_t **p)
{
    io_session_t  *session;

    session = *p;
    *p = session->next;
    to->nsessions--;
    curl_multi_remove_handle(io->multi.curl, session->easy);
    curl_easy_cleanup(session->easy);
    free(session);
}


/* Those that are too old; now 0: all. */
static void
io_sessions_expire(worker_io_t *io, io_destination_t *to, uint64_t now)
{
    io_session_t  **p;

    for (p = &to->sessions; *p != NULL; ) {
        if (now == 0 || now - (*p)->since > IO_SESSION_MS) {
            io_session_close(io, to, p);
        } else {
            p = &(*p)->next;
        }
    }
}


/* The call's connection is for another one. */
static void
io_session_keep(worker_io_call_t *call)
{
    io_session_t      *session;
    io_destination_t  *to;

    to = call->to;
    session = to->nsessions < IO_SESSIONS ? malloc(sizeof(io_session_t))
                                          : NULL;

    if (session == NULL) {
        return;
    }

    *session = (io_session_t) { to->sessions, call->easy, call->fd,
                                worker_io_now() };
    to->sessions = session;
    to->nsessions++;
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, NULL);
    call->easy = NULL;
}


static bool
io_session_take(worker_io_call_t *call)
{
    io_session_t      *session;
    io_destination_t  *to;

    to = call->to;
    session = to->sessions;

    if (session == NULL) {
        return false;
    }

    to->sessions = session->next;
    to->nsessions--;
    call->easy = session->easy;
    call->fd = session->fd;
    call->kept = true;
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, (char *) call);
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->why);
    free(session);

    return true;
}


/* A transfer or a talk is over. */
static void
io_end(worker_io_t *io, worker_io_call_t *call, CURLcode code)
{
    bool  good;

    io_deactivate(io, call);
    good = call->judge(call, call->easy, code);

    if (code != CURLE_OK && call->why[0] == '\0') {
        snprintf(call->why, sizeof(call->why), "%s", curl_easy_strerror(code));
    }

    io_report(call, good);
    io_finish(call, code == CURLE_OK ? TRAVEL_OK : TRAVEL_ERROR);
}


/* Over a connection of its own; false: it is not under way. */
static bool
io_connect(worker_io_t *io, worker_io_call_t *call)
{
    call->kept = false;

    return io_easy(call, (long) (call->ends_ms - call->sent_ms))
           && curl_multi_add_handle(io->multi.curl, call->easy) == CURLM_OK;
}


/* Goes on talking.  True: it is over, and its turn is free. */
static bool
io_talk(worker_io_t *io, worker_io_call_t *call)
{
    call->talking = true;

    switch (call->talk(call, call->easy)) {

    case WORKER_IO_READ:
        call->events = POLLIN;
        return false;

    case WORKER_IO_WRITE:
        call->events = POLLIN | POLLOUT;
        return false;

    case WORKER_IO_STALE:
        call->talking = false;
        curl_multi_remove_handle(io->multi.curl, call->easy);
        curl_easy_cleanup(call->easy);
        call->easy = NULL;

        if (io_connect(io, call)) {
            return false;
        }

        io_end(io, call, CURLE_OUT_OF_MEMORY);
        return true;

    case WORKER_IO_KEEP:
        io_session_keep(call);
        break;

    case WORKER_IO_CLOSE:
        break;
    }

    io_end(io, call, CURLE_OK);
    return true;
}


/* Room for so many more descriptors. */
static bool
io_room(worker_io_t *io, size_t n)
{
    size_t   room;
    void    *fds, *talkers;

    if (n <= io->room) {
        return true;
    }

    room = n * 2;
    fds = realloc(io->fds, room * sizeof(struct pollfd));
    io->fds = fds != NULL ? fds : io->fds;
    talkers = realloc(io->talkers, room * sizeof(worker_io_call_t *));
    io->talkers = talkers != NULL ? talkers : io->talkers;

    if (fds == NULL || talkers == NULL) {
        return false;
    }

    io->room = room;
    return true;
}


/* The set of those that transfer; who talks; then connections that nobody uses,
 * of which something can only be read when they end.  Returns how many there
 * are up to those. */
static size_t
io_descriptors(worker_io_t *io, size_t *ret_all)
{
    size_t             i, n, talk;
    io_session_t      *session;
    worker_io_call_t  *call;

    io->fds[0] = (struct pollfd) { io->multi.epoll, POLLIN, 0 };
    n = 1;

    for (call = io->active; call != NULL && io_room(io, n + 1);
         call = call->active_next)
    {
        if (call->talking) {
            io->talkers[n] = call;
            io->fds[n++] = (struct pollfd) { call->fd, call->events, 0 };
        }
    }

    talk = n;

    for (i = 0; i < io->ndestinations; i++) {
        session = io->destinations[i].sessions;

        for ( ; session != NULL && io_room(io, n + 1); session = session->next)
        {
            io->fds[n++] = (struct pollfd) { session->fd, POLLIN, 0 };
        }
    }

    *ret_all = n;
    return talk;
}


static void  io_pump(worker_io_t *io, io_destination_t *to);


static void
io_wait(worker_io_t *io)
{
    size_t             i, k, n, talk;
    io_session_t     **p;
    io_destination_t  *to;

    talk = io_descriptors(io, &n);

    if (n == 1) {
        worker_multi_turn(&io->multi, worker_multi_left(&io->multi,
                                                        IO_TICK_MS));
        return;
    }

    if (poll(io->fds, n, worker_multi_left(&io->multi, IO_TICK_MS)) <= 0) {
        return;
    }

    /* before anybody takes or leaves one */
    for (k = talk, i = 0; i < io->ndestinations && k < n; i++) {
        to = &io->destinations[i];

        for (p = &to->sessions; *p != NULL && k < n; k++) {
            if (io->fds[k].revents != 0) {
                io_session_close(io, to, p);
            } else {
                p = &(*p)->next;
            }
        }
    }

    for (i = 1; i < talk; i++) {
        to = io->talkers[i]->to;

        if (io->fds[i].revents != 0 && io_talk(io, io->talkers[i])) {
            io_pump(io, to);
        }
    }

    if (io->fds[0].revents != 0) {
        worker_multi_turn(&io->multi, 0);
    }
}


/* --- turns ---------------------------------------------------------------- */

/* Sends a call that has its turn, or ends it at once. */
static void
io_send(worker_io_t *io, worker_io_call_t *call)
{
    uint64_t           now, wait;
    io_destination_t  *to;

    to = call->to;
    now = worker_io_now();

    if (now >= call->until_ms) {
        io_refuse(call, "no turn within the time-out");
        return;
    }

    if (!call->unguarded
        && !worker_breaker_ask(&to->breaker, now, &call->pass, &wait))
    {
        snprintf(call->why, sizeof(call->why), "the breaker for %s is open",
                 to->name);
        call->wait_ms = (long) wait;
        worker_board_add(&to->row->refused, 1);
        io_finish(call, TRAVEL_REFUSED);
        return;
    }

    worker_account_breaker(to->row, &to->breaker, now);
    call->sent_ms = now;
    call->ends_ms = now + (uint64_t) io_left(call, now);

    if (call->talk != NULL && io_session_take(call)) {
        io_activate(io, call);
        (void) io_talk(io, call);
        return;
    }

    if (!io_connect(io, call)) {
        io_report(call, false);
        io_refuse(call, "out of memory");
        return;
    }

    io_activate(io, call);
}


static void
io_pump(worker_io_t *io, io_destination_t *to)
{
    worker_io_call_t  *call;

    while (to->waiting != NULL && to->active < to->limit) {
        call = to->waiting;
        to->waiting = call->next;

        if (to->waiting == NULL) {
            to->last = &to->waiting;
        }

        io_send(io, call);
    }
}


/* Takes what was submitted; false when it is time to stop. */
static bool
io_accept(worker_io_t *io)
{
    bool               stopping;
    worker_io_call_t  *call, *next;
    io_destination_t  *to;

    pthread_mutex_lock(&io->mutex);
    call = io->incoming;
    io->incoming = NULL;
    io->last = &io->incoming;
    stopping = io->stopping;
    pthread_mutex_unlock(&io->mutex);

    for ( ; call != NULL; call = next) {
        next = call->next;
        call->next = NULL;
        to = io_destination(io, call->destination);
        call->to = to;

        if (stopping || to == NULL) {
            io_refuse(call, stopping ? "the process is stopping"
                                     : "too many destinations");
            continue;
        }

        *to->last = call;
        to->last = &call->next;
        io_pump(io, to);
    }

    return !stopping;
}


static void
io_complete(worker_io_t *io, CURL *easy, CURLcode code)
{
    worker_io_call_t  *call;
    io_destination_t  *to;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &call);
    to = call->to;

    if (code == CURLE_OK && call->talk != NULL) {
        curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &call->fd);

        if (!io_talk(io, call)) {
            return;
        }

    } else {
        io_end(io, call, code);
    }

    io_pump(io, to);
}


static bool
io_cancelled(const worker_io_call_t *call)
{
    return call->cancel != NULL && *call->cancel;
}


/* Of those that wait for their turn. */
static void
io_cancel_waiting(io_destination_t *to)
{
    worker_io_call_t  *call, **p;

    for (p = &to->waiting; (call = *p) != NULL; ) {
        if (!io_cancelled(call)) {
            p = &call->next;
            continue;
        }

        *p = call->next;
        io_refuse(call, "cancelled");
    }

    to->last = p;
}


/* Now and then: calls whose owners do not want them any more, which says
 * nothing about the destination; and those that talk too long. */
static void
io_look(worker_io_t *io)
{
    size_t             i;
    uint64_t           now;
    worker_io_call_t  *call, *next;

    now = worker_io_now();

    if (now < io->look_at) {
        return;
    }

    io->look_at = now + IO_TICK_MS;

    for (i = 0; i < io->ndestinations; i++) {
        io_cancel_waiting(&io->destinations[i]);
        io_sessions_expire(io, &io->destinations[i], now);
    }

    for (call = io->active; call != NULL; call = next) {
        next = call->active_next;

        if (io_cancelled(call)) {
            io_deactivate(io, call);

            if (!call->unguarded) {
                worker_breaker_forget(&call->to->breaker, call->pass);
            }

            io_refuse(call, "cancelled");

        } else if (call->talking && now >= call->ends_ms) {
            io_end(io, call, CURLE_OPERATION_TIMEDOUT);
        }
    }

    for (i = 0; i < io->ndestinations; i++) {
        io_pump(io, &io->destinations[i]);
    }
}


/* At the end: whoever still waits is told. */
static void
io_abandon(worker_io_t *io)
{
    size_t             i;
    worker_io_call_t  *call, *next;

    for (i = 0; i < io->ndestinations; i++) {
        call = io->destinations[i].waiting;
        io->destinations[i].waiting = NULL;
        io->destinations[i].last = &io->destinations[i].waiting;

        for ( ; call != NULL; call = next) {
            next = call->next;
            io_refuse(call, "the process is stopping");
        }
    }
}


static bool
io_busy(const worker_io_t *io)
{
    size_t  i;

    for (i = 0; i < io->ndestinations; i++) {
        if (io->destinations[i].active > 0) {
            return true;
        }
    }

    return false;
}


static void *
io_main(void *ctx)
{
    int           left;
    bool          go_on;
    size_t        i;
    CURLMsg      *msg;
    worker_io_t  *io = ctx;

    do {
        go_on = io_accept(io);

        if (!go_on) {
            io_abandon(io);
        }

        worker_multi_timer(&io->multi);

        while ((msg = curl_multi_info_read(io->multi.curl, &left)) != NULL) {
            if (msg->msg == CURLMSG_DONE) {
                io_complete(io, msg->easy_handle, msg->data.result);
            }
        }

        io_look(io);

        if (go_on || io_busy(io)) {
            io_wait(io);
        }

        /* those on the wire finish, bounded by their time-outs */
    } while (go_on || io_busy(io));

    for (i = 0; i < io->ndestinations; i++) {
        io_sessions_expire(io, &io->destinations[i], 0);
    }

    return NULL;
}


static void
io_free(worker_io_t *io)
{
    free(io->fds);
    free(io->talkers);
    free(io->own);
    free(io);
}


worker_io_t *
worker_io_start(const worker_conf_t *conf, worker_sheet_t *sheet)
{
    worker_io_t  *io;

    io = calloc(1, sizeof(worker_io_t));

    if (io == NULL) {
        return NULL;
    }

    io->conf = conf;
    io->own = sheet == NULL ? calloc(IO_DESTINATIONS, sizeof(*io->own)) : NULL;
    io->rows = sheet != NULL ? sheet->destinations : io->own;
    io->last = &io->incoming;

    if (io->rows == NULL || !io_room(io, 1) || !worker_multi_init(&io->multi)) {
        io_free(io);
        return NULL;
    }

    curl_multi_setopt(io->multi.curl, CURLMOPT_MAXCONNECTS, IO_CONNECTIONS);
    curl_multi_setopt(io->multi.curl, CURLMOPT_MAX_CONCURRENT_STREAMS,
                      IO_STREAMS);
    pthread_mutex_init(&io->mutex, NULL);

    if (pthread_create(&io->thread, NULL, io_main, io) != 0) {
        worker_multi_free(&io->multi);
        pthread_mutex_destroy(&io->mutex);
        io_free(io);
        return NULL;
    }

    return io;
}


void
worker_io_stop(worker_io_t **pio)
{
    worker_io_t  *io;

    io = *pio;
    *pio = NULL;

    if (io == NULL) {
        return;
    }

    pthread_mutex_lock(&io->mutex);
    io->stopping = true;
    pthread_mutex_unlock(&io->mutex);
    worker_multi_wake(&io->multi);

    pthread_join(io->thread, NULL);
    worker_multi_free(&io->multi);
    pthread_mutex_destroy(&io->mutex);
    io_free(io);
}


const worker_conf_t *
worker_io_conf(const worker_io_t *io)
{
    return io->conf;
}


void
worker_io_submit(worker_io_t *io, worker_io_call_t *call)
{
    bool  stopping, first;

    call->until_ms = worker_io_now()
                     + (uint64_t) (call->patience_ms > 0 ? call->patience_ms
                                                         : io_timeout(call));
    call->next = NULL;

    pthread_mutex_lock(&io->mutex);
    stopping = io->stopping;
    first = io->incoming == NULL;

    if (!stopping) {
        *io->last = call;
        io->last = &call->next;
    }

    if (!stopping && first) {       /* else it has been woken already */
        worker_multi_wake(&io->multi);
    }

    pthread_mutex_unlock(&io->mutex);

    if (stopping) {
        io_refuse(call, "the process is stopping");
    }
}
