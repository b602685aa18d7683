/* The board as Prometheus text, and the small HTTP server that hands it out. */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "metrics.h"
#include "metrics_parts.h"

#define METRICS_CONNS      (WORKER_METRICS_FDS - 1)
#define METRICS_REQUEST    2048
#define METRICS_PATIENCE   5        /* seconds a client may take */

typedef struct {
    int      fd;                    /* -1: free */
    time_t   since;
    char     request[METRICS_REQUEST];
    size_t   nrequest;
    char    *answer;                /* NULL while the request is read */
    size_t   nanswer;
    size_t   sent;
} metrics_conn_t;

struct worker_metrics_s {
    const worker_conf_t   *conf;
    const worker_board_t  *board;
    int                    fd;
    metrics_conn_t         conns[METRICS_CONNS];
};


/* --- the text ------------------------------------------------------------- */

uint64_t
worker_metrics_load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}


void
worker_metrics_head(FILE *f, const char *name, const char *type,
    const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}


static const char *
metrics_type(unsigned row)
{
    const worker_job_type_t  *type;

    type = row < WORKER_BOARD_TYPES - 1 ? worker_job_type_at(row) : NULL;

    return type != NULL ? type->type
                        : row == WORKER_BOARD_TYPES - 1 ? "unknown" : NULL;
}


static void
metrics_outcomes(FILE *f, const worker_board_t *board)
{
    unsigned                  row, o, p;
    uint64_t                  n;
    static const char *const  names[WORKER_OUTCOME_MAX] = {
        "succeeded", "retrying", "failed", "dead", "cancelled", "fenced"
    };

    worker_metrics_head(f, "travel_worker_jobs_total", "counter",
                 "Runs of jobs by how they ended.");

    for (row = 0; row < WORKER_BOARD_TYPES; row++) {
        for (o = 0; metrics_type(row) != NULL && o < WORKER_OUTCOME_MAX; o++) {
            for (n = 0, p = 0; p < WORKER_PROCESSES_MAX; p++) {
                n += worker_metrics_load(
                         &board->sheets[p].types[row].outcome[o]);
            }

            fprintf(f, "travel_worker_jobs_total{type=\"%s\",outcome=\"%s\"} "
                    "%llu\n", metrics_type(row), names[o],
                    (unsigned long long) n);
        }
    }
}


static void
metrics_run_row(FILE *f, const worker_board_t *board, unsigned row)
{
    unsigned     b, p;
    uint64_t     n, us;
    const char  *type;

    type = metrics_type(row);

    for (n = 0, b = 0; b < WORKER_BOARD_BUCKETS; b++) {
        for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
            n += worker_metrics_load(&board->sheets[p].types[row].run[b]);
        }

        if (b < WORKER_BOARD_BUCKETS - 1) {
            fprintf(f, "travel_worker_job_duration_seconds_bucket"
                    "{type=\"%s\",le=\"%g\"} %llu\n", type,
                    worker_board_bounds[b], (unsigned long long) n);
        } else {
            fprintf(f, "travel_worker_job_duration_seconds_bucket"
                    "{type=\"%s\",le=\"+Inf\"} %llu\n", type,
                    (unsigned long long) n);
        }
    }

    for (us = 0, p = 0; p < WORKER_PROCESSES_MAX; p++) {
        us += worker_metrics_load(&board->sheets[p].types[row].run_us);
    }

    fprintf(f, "travel_worker_job_duration_seconds_sum{type=\"%s\"} %.6f\n"
            "travel_worker_job_duration_seconds_count{type=\"%s\"} %llu\n",
            type, (double) us / 1e6, type, (unsigned long long) n);
}


static void
metrics_run(FILE *f, const worker_board_t *board)
{
    unsigned  row;

    worker_metrics_head(f, "travel_worker_job_duration_seconds", "histogram",
                 "Time a job spent in its slot.");

    for (row = 0; row < WORKER_BOARD_TYPES - 1; row++) {
        if (metrics_type(row) != NULL) {
            metrics_run_row(f, board, row);
        }
    }
}


static void
metrics_slots(FILE *f, const worker_board_t *board)
{
    unsigned  p, s, busy;

    worker_metrics_head(f, "travel_worker_slots_busy", "gauge",
                 "Slots that run a job, by process.");

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        if (atomic_load(&board->sheets[p].pid) == 0) {
            continue;
        }

        for (busy = 0, s = 0; s < WORKER_SLOTS_MAX; s++) {
            busy += atomic_load(&board->sheets[p].slots[s].started_ms) != 0;
        }

        fprintf(f, "travel_worker_slots_busy{process=\"%u\"} %u\n", p, busy);
    }

    worker_metrics_head(f, "travel_worker_asking", "gauge",
                 "Jobs that wait for the outside without a slot.");

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        if (atomic_load(&board->sheets[p].pid) != 0) {
            fprintf(f, "travel_worker_asking{process=\"%u\"} %llu\n", p,
                    (unsigned long long) atomic_load(&board->sheets[p]
                                                     .asking));
        }
    }
}


static void
metrics_processes(FILE *f, const worker_board_t *board)
{
    unsigned  p, i;
    static const struct {
        const char  *name;
        const char  *help;
        size_t       offset;
    } counters[] = {
        { "travel_worker_restarts_total", "Processes started again.",
          offsetof(worker_sheet_t, restarts) },
        { "travel_worker_fetched_total", "Entries read from streams.",
          offsetof(worker_sheet_t, fetched) },
        { "travel_worker_leases_taken_total", "Partition leases taken.",
          offsetof(worker_sheet_t, leases_taken) },
        { "travel_worker_leases_lost_total",
          "Partition leases lost or given back.",
          offsetof(worker_sheet_t, leases_lost) },
        { "travel_worker_redis_disconnects_total",
          "Connections to the queue Redis that broke.",
          offsetof(worker_sheet_t, redis_drops) },
        { "travel_worker_redis_moved_total",
          "Commands sent again because a cluster's slot had moved.",
          offsetof(worker_sheet_t, redis_moved) },
        { "travel_worker_redis_asked_total",
          "Commands sent again because a cluster's slot was moving.",
          offsetof(worker_sheet_t, redis_asked) },
        { "travel_worker_spans_exported_total", "Spans the collector took.",
          offsetof(worker_sheet_t, spans_exported) },
        { "travel_worker_spans_dropped_total", "Spans dropped: ring full.",
          offsetof(worker_sheet_t, spans_dropped) },
        { "travel_worker_spans_failed_total", "Spans the collector refused.",
          offsetof(worker_sheet_t, spans_failed) }
    };

    worker_metrics_head(f, "travel_worker_up", "gauge", "1: the process runs.");

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        if (atomic_load(&board->sheets[p].pid) != 0) {
            fprintf(f, "travel_worker_up{process=\"%u\"} 1\n", p);
        }
    }

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        worker_metrics_head(f, counters[i].name, "counter", counters[i].help);

        for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
            if (atomic_load(&board->sheets[p].pid) == 0) {
                continue;
            }

            fprintf(f, "%s{process=\"%u\"} %llu\n", counters[i].name, p,
                    (unsigned long long)
                    worker_metrics_load(
                        (const _Atomic uint64_t *) (const void *)
                                 ((const char *) &board->sheets[p]
                                  + counters[i].offset)));
        }
    }
}


typedef enum {
    METRICS_DEPTH,
    METRICS_DELAYED,
    METRICS_DEAD,
    METRICS_AGE,
    METRICS_FENCE
} metrics_gauge_e;


static void
metrics_part(FILE *f, const worker_board_part_t *part, metrics_gauge_e what,
    int64_t now_ms)
{
    int          i, len;
    int64_t      oldest;
    const char  *dot;

    dot = strchr(part->name, '.');
    len = dot != NULL ? (int) (dot - part->name) : 0;
    dot = dot != NULL ? dot + 1 : "";

#define METRICS_LABELS  "{queue=\"%.*s\",partition=\"%s\"} %lld\n"

    switch (what) {

    case METRICS_DEPTH:
        for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
            fprintf(f, "travel_queue_depth{queue=\"%.*s\",partition=\"%s\","
                    "priority=\"%s\"} %lld\n", len, part->name, dot,
                    travel_priority_name((travel_priority_e) i),
                    (long long) atomic_load(&part->depth[i]));
        }

        break;

    case METRICS_DELAYED:
        fprintf(f, "travel_queue_delayed" METRICS_LABELS, len, part->name, dot,
                (long long) atomic_load(&part->delayed));
        break;

    case METRICS_DEAD:
        fprintf(f, "travel_queue_dead" METRICS_LABELS, len, part->name, dot,
                (long long) atomic_load(&part->dead));
        break;

    case METRICS_AGE:
        oldest = atomic_load(&part->oldest_ms);
        fprintf(f, "travel_queue_oldest_age_seconds{queue=\"%.*s\","
                "partition=\"%s\"} %.3f\n", len, part->name, dot,
                oldest && oldest < now_ms ? (double) (now_ms - oldest) / 1e3
                                          : 0.0);
        break;

    case METRICS_FENCE:
        fprintf(f, "travel_queue_fence" METRICS_LABELS, len, part->name, dot,
                (long long) atomic_load(&part->fence));
        break;
    }
}


static void
metrics_parts(FILE *f, const worker_board_t *board)
{
    unsigned                    g, p, i;
    int64_t                     now_ms;
    struct timespec             ts;
    const worker_board_part_t  *part;
    static const char *const    heads[][2] = {
        [METRICS_DEPTH] = { "travel_queue_depth", "Entries in a stream." },
        [METRICS_DELAYED] = { "travel_queue_delayed",
                              "Jobs that wait for their time." },
        [METRICS_DEAD] = { "travel_queue_dead",
                           "Dead letters in the stream." },
        [METRICS_AGE] = { "travel_queue_oldest_age_seconds",
                          "Age of the oldest entry that is not settled." },
        [METRICS_FENCE] = { "travel_queue_fence",
                            "Fence of the lease; one series per owner." }
    };

    clock_gettime(CLOCK_REALTIME, &ts);
    now_ms = (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;

    for (g = METRICS_DEPTH; g <= METRICS_FENCE; g++) {
        worker_metrics_head(f, heads[g][0], "gauge", heads[g][1]);

        for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
            for (i = 0; i < WORKER_BOARD_PARTS; i++) {
                part = &board->sheets[p].parts[i];

                if (atomic_load(&board->sheets[p].pid) != 0
                    && atomic_load(&part->used))
                {
                    metrics_part(f, part, (metrics_gauge_e) g, now_ms);
                }
            }
        }
    }
}


char *
worker_metrics_text(const worker_board_t *board, size_t *ret_len)
{
    char  *text;
    FILE  *f;

    text = NULL;
    f = open_memstream(&text, ret_len);

    if (f == NULL) {
        return NULL;
    }

    metrics_processes(f, board);
    worker_metrics_pool(f, board);
    metrics_slots(f, board);
    metrics_outcomes(f, board);
    metrics_run(f, board);
    metrics_parts(f, board);
    worker_metrics_out(f, board);

    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }

    return text;
}


/* --- the server ----------------------------------------------------------- */

static int
metrics_listen(const char *at)
{
    int               fd, one;
    char              host[256];
    const char       *colon;
    struct addrinfo  *ai, hints;

    colon = strrchr(at, ':');
    snprintf(host, sizeof(host), "%.*s", (int) (colon - at), at);
    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;

    if (getaddrinfo(host, colon + 1, &hints, &ai) != 0) {
        errno = EINVAL;
        return -1;
    }

    one = 1;
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0
        && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0
            || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0
            || listen(fd, 16) < 0))
    {
        close(fd);
        fd = -1;
    }

    freeaddrinfo(ai);
    return fd;
}


worker_metrics_t *
worker_metrics_open(const worker_conf_t *conf, const worker_board_t *board)
{
    size_t             i;
    worker_metrics_t  *metrics;

    metrics = calloc(1, sizeof(worker_metrics_t));

    if (metrics == NULL) {
        return NULL;
    }

    metrics->conf = conf;
    metrics->board = board;
    metrics->fd = metrics_listen(conf->metrics);

    for (i = 0; i < METRICS_CONNS; i++) {
        metrics->conns[i].fd = -1;
    }

    if (metrics->fd < 0) {
        worker_log(WORKER_LOG_ERROR, "metrics = \"%s\": %s", conf->metrics,
                   strerror(errno));
        free(metrics);
        return NULL;
    }

    return metrics;
}


static void
metrics_hang_up(metrics_conn_t *conn)
{
    close(conn->fd);
    free(conn->answer);
    memset(conn, 0, sizeof(*conn));
    conn->fd = -1;
}


void
worker_metrics_close(worker_metrics_t **pmetrics)
{
    size_t             i;
    worker_metrics_t  *metrics;

    metrics = *pmetrics;
    *pmetrics = NULL;

    if (metrics == NULL) {
        return;
    }

    for (i = 0; i < METRICS_CONNS; i++) {
        if (metrics->conns[i].fd >= 0) {
            metrics_hang_up(&metrics->conns[i]);
        }
    }

    close(metrics->fd);
    free(metrics);
}


nfds_t
worker_metrics_poll(worker_metrics_t *metrics, struct pollfd *fds)
{
    size_t           i;
    nfds_t           n;
    metrics_conn_t  *conn;

    if (metrics == NULL) {
        return 0;
    }

    n = 0;
    fds[n++] = (struct pollfd) { metrics->fd, POLLIN, 0 };

    for (i = 0; i < METRICS_CONNS; i++) {
        conn = &metrics->conns[i];
        fds[n++] = (struct pollfd) {
            conn->fd, conn->answer != NULL ? POLLOUT : POLLIN, 0
        };
    }

    return n;
}


static void
metrics_accept(worker_metrics_t *metrics)
{
    int     fd;
    size_t  i;

    for (i = 0; i < METRICS_CONNS; i++) {
        if (metrics->conns[i].fd < 0) {
            break;
        }
    }

    fd = accept4(metrics->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }

    if (i == METRICS_CONNS) {
        close(fd);
        return;
    }

    metrics->conns[i].fd = fd;
    metrics->conns[i].since = time(NULL);
}


static bool
metrics_asks(const metrics_conn_t *conn, const char *path)
{
    size_t       n;
    const char  *p;

    n = strlen(path);
    p = conn->request + 4;

    return strncmp(conn->request, "GET ", 4) == 0 && strncmp(p, path, n) == 0
           && (p[n] == ' ' || p[n] == '?');
}


static void
metrics_answer(const worker_metrics_t *metrics, metrics_conn_t *conn)
{
    int          head;
    char        *text;
    size_t       len;
    const char  *status, *type;

    status = "200 OK";
    type = "text/plain; version=0.0.4; charset=utf-8";

    if (metrics_asks(conn, "/metrics")) {
        text = worker_metrics_text(metrics->board, &len);

    } else if (metrics_asks(conn, "/state")) {
        type = "application/json";
        text = worker_metrics_state(metrics->conf, metrics->board);

    } else {
        status = "404 Not Found";
        text = strdup("try GET /metrics\n");
    }

    if (text == NULL) {
        metrics_hang_up(conn);
        return;
    }

    len = strlen(text);
    head = asprintf(&conn->answer, "HTTP/1.1 %s\r\n"
                    "Content-Type: %s\r\nContent-Length: %zu\r\n"
                    "Connection: close\r\n\r\n%s", status, type, len, text);
    free(text);

    if (head < 0) {
        conn->answer = NULL;
        metrics_hang_up(conn);
        return;
    }

    conn->nanswer = (size_t) head;
}


static void
metrics_read(const worker_metrics_t *metrics, metrics_conn_t *conn)
{
    ssize_t  n;

    n = read(conn->fd, conn->request + conn->nrequest,
             sizeof(conn->request) - 1 - conn->nrequest);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            metrics_hang_up(conn);
        }

        return;
    }

    conn->nrequest += (size_t) n;
    conn->request[conn->nrequest] = '\0';

    if (strstr(conn->request, "\r\n\r\n") != NULL) {
        metrics_answer(metrics, conn);
    } else if (conn->nrequest == sizeof(conn->request) - 1) {
        metrics_hang_up(conn);
    }
}


static void
metrics_write(metrics_conn_t *conn)
{
    ssize_t  n;

    n = send(conn->fd, conn->answer + conn->sent, conn->nanswer - conn->sent,
             MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN) {
            metrics_hang_up(conn);
        }

        return;
    }

    conn->sent += (size_t) n;

    if (conn->sent == conn->nanswer) {
        metrics_hang_up(conn);
    }
}


void
worker_metrics_turn(worker_metrics_t *metrics, const struct pollfd *fds,
    nfds_t n)
{
    nfds_t           i;
    metrics_conn_t  *conn;

    for (i = 1; i < n; i++) {
        conn = &metrics->conns[i - 1];

        if (conn->fd < 0 || conn->fd != fds[i].fd) {
            continue;
        }

        if (fds[i].revents & POLLOUT) {
            metrics_write(conn);
        } else if (fds[i].revents) {
            metrics_read(metrics, conn);
        } else if (time(NULL) - conn->since > METRICS_PATIENCE) {
            metrics_hang_up(conn);
        }
    }

    if (n > 0 && (fds[0].revents & POLLIN)) {
        metrics_accept(metrics);
    }
}
