/*
 * The fetcher: the one thread of a worker process that talks to the streams.
 *
 * Who does what in a process:
 *
 *   fetcher  this file, read.c, ahead.c, pause.c, take.c, before.c, give.c,
 *            ready.c, limits.c, settle.c, watch.c, partition.c: owns
 *            worker_queue_t, all partitions, all entries that are not with a
 *            slot, both links
 *   keeper   keeper*.c, relay*.c: leases, heartbeat row, outbox, dead letters
 *   slots    pool/slots.c, pool/run.c: run jobs
 *
 * They meet in three places only: the hand-over (slots' mutex), the leases
 * (keeper's mutex) and the two lists under queue->mutex that the functions of
 * queue.h append to.  Everybody rings the fetcher by one eventfd.
 *
 * A turn: wait in poll(); read answers, collect what came back, meet the
 * keeper, do what the clock says; then fetch, start and settle, each in one
 * write to Redis.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "fetcher.h"
#include "run.h"
#include "../pool/log.h"
#include "../../common/quota_claim.h"
#include "../trace/trace.h"

#define FETCHER_TICK_MS    1000
#define FETCHER_BEAT_MS    250
#define FETCHER_GAUGE_MS   5000
#define FETCHER_MEET_MS    100      /* renewals do not ring */
#define FETCHER_CLOSE_MS   5000     /* as long a partition may take to empty
                                       before it is given back another day */
#define FETCHER_NEW_MS     100.0    /* a type's run time before the first run */


static int64_t
fetcher_clock(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
fetcher_now(worker_queue_t *queue)
{
    queue->now = fetcher_clock(CLOCK_MONOTONIC);
    queue->now_unix = fetcher_clock(CLOCK_REALTIME);
}


/* --- any thread ----------------------------------------------------------- */

static void
queue_ring(worker_queue_t *queue)
{
    uint64_t  one;

    one = 1;

    if (write(queue->ring_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        worker_log(WORKER_LOG_ERROR, "eventfd: %s", strerror(errno));
    }
}


void
worker_queue_invalidate(worker_queue_t *queue, const worker_job_t *job,
    const char *tags, travel_lsn_t commit)
{
    size_t           len;
    worker_inval_t  *inval;

    len = strlen(tags);
    inval = malloc(sizeof(worker_inval_t) + len + 1);

    if (inval == NULL) {
        /* The caches must not miss a commit: better to run the job again. */
        worker_log_job(WORKER_LOG_ERROR, job, -1, "out of memory");
        abort();
    }

    inval->next = NULL;
    inval->queue = queue;
    inval->entry = (worker_entry_t *) job;      /* its first member */
    inval->commit = commit;
    memcpy(inval->sub, job->sub, sizeof(inval->sub));
    memcpy(inval->tags, tags, len + 1);

    pthread_mutex_lock(&queue->mutex);
    *queue->invals_in.tail = inval;
    queue->invals_in.tail = &inval->next;
    pthread_mutex_unlock(&queue->mutex);

    queue_ring(queue);
}


void
worker_queue_progress(worker_queue_t *queue, const worker_job_t *job,
    unsigned percent)
{
    worker_progress_t  *p;

    p = malloc(sizeof(worker_progress_t));

    if (p == NULL) {
        return;
    }

    /* The id's queue points into the job, which may be gone when it is sent. */
    p->id = job->id;
    memcpy(p->queue, job->id.queue.data, job->id.queue.len);
    p->id.queue.data = p->queue;
    p->percent = percent;

    pthread_mutex_lock(&queue->mutex);
    p->next = queue->progress_in;
    queue->progress_in = p;
    pthread_mutex_unlock(&queue->mutex);

    queue_ring(queue);
}


void
worker_queue_outbox(worker_queue_t *queue, const worker_job_t *job)
{
    worker_keeper_outbox(queue->keeper, job->id.queue, job->id.partition);
}


/* --- leases --------------------------------------------------------------- */

static worker_partition_t *
lease_part(worker_queue_t *queue, const char *name, unsigned number)
{
    size_t               i;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->number == number && strcmp(part->queue_name, name) == 0) {
            return part;
        }
    }

    if (queue->nparts == WORKER_PARTITIONS_MAX) {
        return NULL;
    }

    part = worker_part_create(queue, name, number);

    if (part != NULL) {
        queue->parts[queue->nparts++] = part;
    }

    return part;
}


/* Under the keeper's mutex: copies its word, leaves ours. */
static void
lease_meet(void *data, const char *name, unsigned number,
    worker_lease_t *lease)
{
    worker_queue_t      *queue = data;
    worker_partition_t  *part;

    part = lease_part(queue, name, number);

    if (part == NULL) {
        return;
    }

    if (part->lease.let_go && part->lease.fence == lease->fence) {
        lease->let_go = true;
    }

    if (part->lease.lift > lease->lift) {
        lease->lift = part->lease.lift;
    }

    part->lease = *lease;
    part->lease.lift = 0;
}


static void
lease_take(worker_partition_t *part)
{
    size_t  i;

    part->fence = part->lease.fence;
    part->first = true;
    worker_pause_part(part);
    part->retry_at = 0;
    worker_take_begin(part);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part->streams[i].last[0] = '\0';
        part->streams[i].rung = true;
    }

    worker_board_add(&part->queue->sheet->leases_taken, 1);
}


static bool
lease_empty(const worker_partition_t *part)
{
    size_t                 i;
    const worker_queue_t  *queue;

    queue = part->queue;

    if (part->starting || part->settling || part->settle.count > 0
        || part->adopting || part->promoting || queue->finishing > 0)
    {
        return false;
    }

    for (i = 0; i < queue->handed; i++) {
        if (queue->handed_list[i]->part == part) {
            return false;
        }
    }

    return true;
}


/* The keeper asks for it back: nothing starts any more, what runs may end. */
static void
lease_close(worker_partition_t *part)
{
    worker_queue_t  *queue;

    queue = part->queue;

    if (part->state == WORKER_PART_OPEN) {
        if (queue->now < part->closing_since + 2 * FETCHER_CLOSE_MS) {
            return;
        }

        part->state = WORKER_PART_CLOSING;
        part->closing_since = queue->now;
    }

    if (part->state != WORKER_PART_CLOSING) {
        return;
    }

    if (lease_empty(part)) {
        worker_part_lose(part, "handed to another process");
        part->closing_since = 0;
        part->lease.let_go = true;
        queue->meet_at = 0;

    } else if (queue->now - part->closing_since > FETCHER_CLOSE_MS) {
        part->state = WORKER_PART_OPEN;
    }
}


static void
lease_turn(worker_partition_t *part)
{
    bool             held;
    worker_lease_t  *lease;

    lease = &part->lease;
    held = lease->fence != 0 && lease->until > part->queue->now
           && !lease->let_go;

    if (part->state != WORKER_PART_FREE
        && (!held || lease->fence != part->fence))
    {
        worker_part_lose(part, held ? "its fence was raised"
                                    : "its lease has lapsed");
    }

    if (!held || part->queue->draining) {
        return;
    }

    if (part->state == WORKER_PART_FREE) {
        if (part->queue->now >= part->retry_at && !part->adopting
            && !part->starting && !part->settling && !part->promoting)
        {
            lease_take(part);
        }

    } else if (lease->wanted_back) {
        lease_close(part);

    } else if (part->state == WORKER_PART_CLOSING) {
        part->state = WORKER_PART_OPEN;
    }
}


static void
fetcher_meet(worker_queue_t *queue)
{
    queue->meet_at = queue->now + FETCHER_MEET_MS;
    worker_keeper_meet(queue->keeper, lease_meet, queue);
    worker_pause_turn(queue);
}


static void
fetcher_leases(worker_queue_t *queue)
{
    size_t  i;
    bool    told;

    told = queue->meet_at == 0;     /* there is something to tell the keeper */

    if (worker_keeper_rang(queue->keeper) || queue->now >= queue->meet_at) {
        fetcher_meet(queue);
    }

    for (i = 0; i < queue->nparts; i++) {
        lease_turn(queue->parts[i]);
    }

    if (queue->meet_at == 0) {
        fetcher_meet(queue);
        told = true;
    }

    if (told) {
        worker_keeper_hurry(queue->keeper);
    }
}


/* --- links and clocks ----------------------------------------------------- */

static void
fetcher_link_down(void *data, const worker_link_t *link)
{
    worker_queue_t  *queue = data;

    worker_board_add(&queue->sheet->redis_drops, 1);
    worker_take_link_down(queue, link);
}


static void
fetcher_second(worker_queue_t *queue)
{
    size_t               i, p;
    worker_hub_stat_t    hub;
    worker_trace_stat_t  stat;

    /* Should a bell have been missed, it is made up for here. */
    for (i = 0; i < queue->nparts; i++) {
        for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
            queue->parts[i]->streams[p].rung = true;
        }
    }

    worker_watch_slots(queue);
    worker_before_turn(queue);
    worker_slots_resize(queue->slots, atomic_load(&queue->sheet->nslots));
    atomic_store(&queue->sheet->waited_ms, queue->waited_ms);
    queue->waited_ms = 0;
    atomic_store(&queue->sheet->asking,
                 worker_slots_load(queue->slots).asking);

    hub = worker_hub_stat(queue->hub);
    atomic_store(&queue->sheet->redis_moved, hub.moved);
    atomic_store(&queue->sheet->redis_asked, hub.asked);

    stat = worker_trace_stat();
    atomic_store(&queue->sheet->spans_exported, stat.exported);
    atomic_store(&queue->sheet->spans_dropped, stat.dropped);
    atomic_store(&queue->sheet->spans_failed, stat.failed);
}


static void
fetcher_clocks(worker_queue_t *queue)
{
    if (queue->now >= queue->second_at) {
        queue->second_at = queue->now + FETCHER_TICK_MS;
        fetcher_second(queue);
    }

    if (queue->now >= queue->beat_at) {
        queue->beat_at = queue->now + FETCHER_BEAT_MS;
        worker_watch_beat(queue);
    }

    if (queue->now >= queue->gauge_at) {
        queue->gauge_at = queue->now + FETCHER_GAUGE_MS;
        worker_watch_gauges(queue);
        worker_watch_ended(queue);
    }
}


/* ms until something is due without an event. */
static int
fetcher_wait(const worker_queue_t *queue)
{
    int                        wait, w;
    size_t                     i;
    int64_t                    at;
    const worker_partition_t  *part;

    at = queue->beat_at < queue->second_at ? queue->beat_at : queue->second_at;
    at = queue->ready_at < at ? queue->ready_at : at;
    wait = at > queue->now ? (int) (at - queue->now) : 0;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (worker_take_promotes(part)
            && worker_take_promote_ms(part) < wait)
        {
            wait = (int) worker_take_promote_ms(part);
        }

        if (part->retry_at > queue->now && part->retry_at - queue->now < wait) {
            wait = (int) (part->retry_at - queue->now);
        }
    }

    w = worker_hub_wait(queue->hub, queue->now);

    return w >= 0 && w < wait ? w : wait;
}


static void
fetcher_drain(worker_queue_t *queue, const char *why)
{
    if (queue->draining) {
        return;
    }

    worker_log(WORKER_LOG_INFO, "draining: %s; %zu jobs are running", why,
               queue->handed);
    queue->draining = true;
    queue->drain_until = queue->now + queue->conf->drain_ms;
}


static void
fetcher_signal(worker_queue_t *queue, int fd)
{
    struct signalfd_siginfo  info;

    while (read(fd, &info, sizeof(info)) == (ssize_t) sizeof(info)) {
        fetcher_drain(queue, info.ssi_signo == SIGTERM ? "SIGTERM" : "signal");
    }
}


static void
fetcher_turn(worker_queue_t *queue, int signal_fd)
{
    size_t          n;
    uint64_t        rings;
    struct pollfd  *fds;

    fds = worker_hub_poll(queue->hub, 2, &n);
    fds[0] = (struct pollfd) { queue->ring_fd, POLLIN, 0 };
    fds[1] = (struct pollfd) { signal_fd, POLLIN, 0 };

    if (poll(fds, n, fetcher_wait(queue)) < 0 && errno != EINTR) {
        worker_log(WORKER_LOG_ERROR, "poll: %s", strerror(errno));
        abort();
    }

    fetcher_now(queue);

    if ((fds[0].revents & POLLIN)
        && read(queue->ring_fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN)
    {
        worker_log(WORKER_LOG_ERROR, "eventfd: %s", strerror(errno));
    }

    if (fds[1].revents & POLLIN) {
        fetcher_signal(queue, signal_fd);
    }

    worker_hub_turn(queue->hub, fds + 2, queue->now);
    worker_give_collect(queue);
    fetcher_leases(queue);
    fetcher_clocks(queue);

    if (queue->failed) {
        fetcher_drain(queue, "a slot hangs");
    }

    worker_give_turn(queue);
    worker_take_turn(queue);
    worker_read_turn(queue);
    worker_ahead_turn(queue);
    worker_hub_flush(queue->hub);
}


/* --- life ----------------------------------------------------------------- */

static const worker_type_conf_t *
fetcher_type_conf(const worker_conf_t *conf, const char *type)
{
    size_t                           i;
    static const worker_type_conf_t  none = { .retries = -1, .base_ms = -1,
                                             .cap_ms = -1, .timeout_ms = -1 };

    for (i = 0; i < conf->ntypes; i++) {
        if (strcmp(conf->types[i].type, type) == 0) {
            return &conf->types[i];
        }
    }

    return &none;
}


static void
fetcher_types(worker_queue_t *queue)
{
    size_t                     i;
    worker_type_t             *t;
    const worker_job_type_t   *type;
    const worker_type_conf_t  *over;

    for (i = 0; i < WORKER_BOARD_TYPES - 1; i++) {
        type = worker_job_type_at(i);

        if (type == NULL) {
            break;
        }

        over = fetcher_type_conf(queue->conf, type->type);
        t = &queue->types[i];
        t->type = type;
        t->batch = worker_job_batch(type->type);
        t->number = (unsigned) i;
        t->retries = over->retries >= 0 ? (unsigned) over->retries
                                        : type->retries;
        t->base_ms = over->base_ms >= 0 ? over->base_ms : type->base_ms;
        t->cap_ms = over->cap_ms >= 0 ? over->cap_ms : type->cap_ms;
        t->timeout_ms = over->timeout_ms >= 0 ? over->timeout_ms
                                              : type->timeout_ms;
        t->est_ms = FETCHER_NEW_MS;
        t->weight = over->weight > 0 ? over->weight : 1;
        t->concurrency = over->concurrency;
        t->rate = over->rate;
        t->user_concurrency = over->user_concurrency;
        t->user_rate = over->user_rate;
        t->share = 1;
        t->slot = worker_limits_slot(t);
    }

    queue->ntypes = i;
}


static int
fetcher_start(worker_queue_t *queue, const worker_queue_spec_t *spec)
{
    worker_hub_spec_t     hub;
    worker_slots_spec_t   slots;
    worker_keeper_spec_t  keeper;

    queue->conf = spec->conf;
    queue->sheet = spec->sheet;
    queue->owner = spec->owner;
    queue->ring_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&queue->mutex, NULL);
    queue->invals_in.tail = &queue->invals_in.head;
    queue->invals.tail = &queue->invals.head;
    worker_entries_init(&queue->suspects);
    fetcher_types(queue);
    fetcher_now(queue);

    queue->inval_slot = travel_cluster_slot(TRAVEL_STR(TRAVEL_KEY_INVAL));
    queue->quota_slot = travel_cluster_slot(TRAVEL_STR(TRAVEL_KEY_QUOTA));

    hub = (worker_hub_spec_t) {
        .conf = spec->conf, .name = "travel-fetcher",
        .down = fetcher_link_down, .data = queue
    };
    queue->hub = worker_hub_create(&hub);
    keeper = (worker_keeper_spec_t) {
        .conf = spec->conf, .queue = queue, .owner = spec->owner,
        .seat = spec->seat, .ring_fd = queue->ring_fd
    };
    slots = (worker_slots_spec_t) {
        .conf = spec->conf, .sheet = spec->sheet, .queue = queue,
        .io = spec->io, .name = spec->owner, .ring_fd = queue->ring_fd
    };

    if (queue->ring_fd < 0 || queue->hub == NULL
        || !worker_read_start(queue))
    {
        return TRAVEL_ERROR;
    }

    queue->keeper = worker_keeper_start(&keeper);
    queue->slots = worker_slots_start(&slots);

    return queue->keeper != NULL && queue->slots != NULL ? TRAVEL_OK
                                                         : TRAVEL_ERROR;
}


static void
fetcher_stop(worker_queue_t *queue)
{
    size_t           i;
    worker_entry_t  *entry;

    worker_slots_stop(&queue->slots);

    while ((entry = worker_entries_pop(&queue->suspects)) != NULL) {
        worker_part_forget(entry->part, entry);
    }

    worker_hub_free(&queue->hub);

    for (i = 0; i < queue->nparts; i++) {
        worker_part_free(queue->parts[i]);
    }

    worker_args_free(&queue->args);
    free(queue->handed_list);
    close(queue->ring_fd);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}


worker_queue_end_e
worker_queue_run(const worker_queue_spec_t *spec)
{
    bool             hung;
    worker_queue_t  *queue;

    queue = calloc(1, sizeof(worker_queue_t));

    if (queue == NULL || fetcher_start(queue, spec) != TRAVEL_OK) {
        worker_log(WORKER_LOG_ERROR, "the process does not start: no memory "
                   "or no threads");
        return WORKER_QUEUE_BROKEN;
    }

    while (!queue->draining
           || (!worker_give_idle(queue) && queue->now < queue->drain_until))
    {
        fetcher_turn(queue, spec->signal_fd);
    }

    hung = queue->failed;

    if (!worker_give_idle(queue)) {
        worker_log(WORKER_LOG_WARN, "%zu jobs did not end in time and are "
                   "left to the next owner", queue->handed);
    }

    /* Leases go back last: what was settled was settled under them. */
    worker_keeper_stop(&queue->keeper);

    if (queue->handed > 0) {
        return hung ? WORKER_QUEUE_HUNG : WORKER_QUEUE_LEFT;
    }

    fetcher_stop(queue);
    return hung ? WORKER_QUEUE_HUNG : WORKER_QUEUE_ENDED;
}
