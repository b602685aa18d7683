/*
 * The supervisor: forks worker processes, reaps them, starts them again.
 *
 * One thread, one poll() loop over a signalfd and the metrics listener.  It
 * holds no connection while it forks: what it has to say to Redis and
 * PostgreSQL after a death it says over connections made for the purpose.
 *
 * After a death by signal, in this order: an attempt is counted for the job
 * whose slot crashed (contracts section 7), the dead one's leases are given
 * back, so that others take its partitions at once, and a successor is
 * forked: at once the first time, later with backoff.
 *
 * How large the pool is, within the bounds of the config, follows from how
 * long jobs wait for a slot (scale.h): the processes are counted here, the
 * slots each process counts for itself by the word on its sheet.  A process
 * that has done enough (recycle.h) is replaced like one of an old config: one
 * at a time, drained, when all the others run.
 *
 * SIGTERM, SIGINT, SIGQUIT drain and end; SIGHUP reads the config again and
 * replaces the processes one by one, if the config is good.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "log.h"
#include "metrics.h"
#include "process.h"
#include "supervisor.h"
#include "../../common/backoff.h"
#include "../../common/hash.h"
#include "../queue/redis.h"
#include "../../common/worker_scripts.h"
#include "../store/pg.h"

#define SUPERVISOR_TICK_MS    200
#define SUPERVISOR_SECOND_MS  1000
#define SUPERVISOR_STEADY_MS  30000     /* alive that long: no longer failing */
#define SUPERVISOR_BASE_MS    200
#define SUPERVISOR_CAP_MS     10000
#define SUPERVISOR_GRACE_MS   5000      /* beyond the drain: SIGKILL */
#define SUPERVISOR_RELEASES   16

typedef struct {
    pid_t     pid;                  /* 0: none */
    char      owner[WORKER_OWNER_MAX];
    char      seat[WORKER_OWNER_MAX];
    int64_t   started;              /* monotonic ms, so all below */
    int64_t   start_at;             /* when there is none */
    int64_t   kill_at;              /* 0: it was not asked to end */
    unsigned  failures;
    bool      renew;                /* to be replaced */
    worker_recycle_t  enough;
} supervisor_child_t;

typedef struct {
    worker_conf_t       *conf;
    worker_board_t      *board;
    worker_metrics_t    *metrics;
    int                  signal_fd;
    int64_t              now;
    bool                 stopping;
    unsigned             incarnation;
    worker_scale_t       scale;
    int64_t              second_at;     /* next once-a-second work */
    unsigned             busy;          /* most slots in use since the last */
    supervisor_child_t   children[WORKER_PROCESSES_MAX];

    struct {
        char     owner[WORKER_OWNER_MAX];   /* "": free */
        int64_t  until;             /* by then its leases have lapsed */
    } releases[SUPERVISOR_RELEASES];
} supervisor_t;


static int64_t
supervisor_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* --- what a death leaves behind ------------------------------------------- */

static void
supervisor_suspect(supervisor_t *sup, const char *job_id)
{
    char              key[TRAVEL_KEY_MAX];
    size_t            len;
    redisReply       *reply;
    travel_str_t      script;
    worker_redis_t   *redis;
    travel_job_id_t   id;

    if (travel_job_id_parse(&id, (travel_str_t) { job_id, strlen(job_id) })
        != TRAVEL_OK)
    {
        return;
    }

    redis = worker_redis_connect(sup->conf, "travel-supervisor", 1);

    if (redis == NULL) {
        worker_log(WORKER_LOG_WARN, "%s crashed its slot, but Redis cannot be "
                   "told", job_id);
        return;
    }

    len = travel_key_job(key, &id);
    script = travel_worker_script(TRAVEL_SCRIPT_SUSPECT);
    reply = worker_redis_command(redis, "EVAL %b 1 %b", script.data,
                                 script.len, key, len);
    worker_log(WORKER_LOG_ERROR, "%s crashed its slot: one attempt, and it "
               "runs alone next time", job_id);

    if (reply != NULL) {
        freeReplyObject(reply);
    }

    worker_redis_close(&redis);
}


static bool
supervisor_release(supervisor_t *sup, const char *owner)
{
    bool          good;
    PGresult     *res;
    worker_pg_t  *pg;
    const char   *params[1] = { owner };

    good = false;
    pg = worker_pg_create(sup->conf->pg_dsn, "travel-supervisor");

    if (pg != NULL && worker_pg_ready(pg) == TRAVEL_OK) {
        PQclear(worker_pg_exec(pg, "SET lock_timeout = '500ms'", 0, NULL));
        res = worker_pg_exec(pg, "UPDATE jobs.partition"
                                 "   SET owner = NULL,"
                                 "       expires_at = '-infinity'"
                                 " WHERE owner = $1", 1, params);
        good = PQresultStatus(res) == PGRES_COMMAND_OK;
        PQclear(res);
    }

    worker_pg_free(&pg);
    return good;
}


/* Again and again until it is done or the leases have lapsed by themselves. */
static void
supervisor_releases(supervisor_t *sup)
{
    size_t  i;

    for (i = 0; i < SUPERVISOR_RELEASES; i++) {
        if (sup->releases[i].owner[0] == '\0') {
            continue;
        }

        if (supervisor_release(sup, sup->releases[i].owner)
            || sup->now > sup->releases[i].until)
        {
            sup->releases[i].owner[0] = '\0';
        }
    }
}


static void
supervisor_release_later(supervisor_t *sup, const char *owner)
{
    size_t  i;

    for (i = 0; i < SUPERVISOR_RELEASES; i++) {
        if (sup->releases[i].owner[0] == '\0') {
            memcpy(sup->releases[i].owner, owner,
                   strnlen(owner, WORKER_OWNER_MAX - 1) + 1);
            sup->releases[i].until = sup->now + sup->conf->lease_ttl_ms;
            return;
        }
    }
}


/* --- children ------------------------------------------------------------- */

static void
supervisor_signal_defaults(void)
{
    sigset_t  none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}


static void
supervisor_child(supervisor_t *sup, unsigned i)
{
    worker_process_t  process;

    worker_metrics_close(&sup->metrics);
    close(sup->signal_fd);
    supervisor_signal_defaults();

    process.conf = sup->conf;
    process.sheet = &sup->board->sheets[i];
    process.index = i;
    process.seat = sup->children[i].seat;
    memcpy(process.owner, sup->children[i].owner, sizeof(process.owner));

    worker_process_main(&process);
}


static void
supervisor_start(supervisor_t *sup, unsigned i)
{
    pid_t                pid;
    char                 host[24];
    supervisor_child_t  *child;

    child = &sup->children[i];

    if (gethostname(host, sizeof(host)) != 0) {
        snprintf(host, sizeof(host), "host");
    }

    host[sizeof(host) - 1] = '\0';
    snprintf(child->seat, sizeof(child->seat), "%s.%d.%u", host,
             (int) getpid(), i);
    snprintf(child->owner, sizeof(child->owner), "%s.%d.%u.%u", host,
             (int) getpid(), i, ++sup->incarnation);
    worker_board_reset(&sup->board->sheets[i]);
    atomic_store(&sup->board->sheets[i].nslots, sup->scale.size.slots);

    pid = fork();

    if (pid == 0) {
        supervisor_child(sup, i);
    }

    if (pid < 0) {
        worker_log(WORKER_LOG_ERROR, "fork: %s", strerror(errno));
        child->start_at = sup->now + SUPERVISOR_CAP_MS;
        return;
    }

    child->pid = pid;
    child->started = sup->now;
    child->kill_at = 0;
    child->renew = false;
    worker_recycle_begin(&child->enough, sup->conf);
    atomic_store(&sup->board->sheets[i].pid, pid);
}


static void
supervisor_end(supervisor_t *sup, supervisor_child_t *child)
{
    if (child->pid == 0 || child->kill_at != 0) {
        return;
    }

    kill(child->pid, SIGTERM);
    child->kill_at = sup->now + sup->conf->drain_ms + SUPERVISOR_GRACE_MS;
}


static void
supervisor_backoff(supervisor_t *sup, supervisor_child_t *child)
{
    uint32_t  rnd;

    if (sup->now - child->started > SUPERVISOR_STEADY_MS) {
        child->failures = 0;
    }

    if (child->failures++ == 0 || travel_random(&rnd, sizeof(rnd)) < 0) {
        child->start_at = sup->now;
        return;
    }

    child->start_at = sup->now
                      + (int64_t) travel_backoff_ms(child->failures,
                                                    SUPERVISOR_BASE_MS,
                                                    SUPERVISOR_CAP_MS,
                                                    SUPERVISOR_BASE_MS, rnd);
}


static void
supervisor_reaped(supervisor_t *sup, unsigned i, int status)
{
    int                  slot;
    worker_sheet_t      *sheet;
    supervisor_child_t  *child;

    child = &sup->children[i];
    sheet = &sup->board->sheets[i];
    atomic_store(&sheet->pid, 0);
    child->pid = 0;
    child->start_at = sup->now;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return;                     /* drained; its leases are given back */
    }

    if (WIFSIGNALED(status)) {
        worker_log(WORKER_LOG_ERROR, "process %u was killed by signal %d (%s)",
                   i, WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        worker_log(WORKER_LOG_ERROR, "process %u ended with code %d", i,
                   WEXITSTATUS(status));
    }

    slot = atomic_load(&sheet->crash_slot);

    if (slot >= 0 && slot < WORKER_SLOTS_MAX
        && atomic_load(&sheet->slots[slot].started_ms) != 0)
    {
        supervisor_suspect(sup, sheet->slots[slot].job_id);
    }

    if (!supervisor_release(sup, child->owner)) {
        supervisor_release_later(sup, child->owner);
    }

    supervisor_backoff(sup, child);
}


static void
supervisor_reap(supervisor_t *sup)
{
    int       status;
    pid_t     pid;
    unsigned  i;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
            if (sup->children[i].pid == pid) {
                supervisor_reaped(sup, i, status);
                break;
            }
        }
    }
}


/* --- how many, and for how long ------------------------------------------- */

/* The size goes onto the board: to be seen, and to be followed. */
static void
supervisor_sized(supervisor_t *sup)
{
    unsigned  i;

    atomic_store(&sup->board->processes, sup->scale.size.processes);
    atomic_store(&sup->board->slots, sup->scale.size.slots);

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        atomic_store(&sup->board->sheets[i].nslots, sup->scale.size.slots);
    }
}


static unsigned
supervisor_busy(const supervisor_t *sup)
{
    unsigned               i, s, busy;
    const worker_sheet_t  *sheet;

    for (busy = 0, i = 0; i < WORKER_PROCESSES_MAX; i++) {
        sheet = &sup->board->sheets[i];

        for (s = 0; sup->children[i].pid != 0 && s < sup->conf->scale.max.slots;
             s++)
        {
            busy += atomic_load(&sheet->slots[s].started_ms) != 0;
        }
    }

    return busy;
}


static void
supervisor_scale(supervisor_t *sup)
{
    int64_t               waited;
    worker_scale_e        way;
    const worker_size_t  *size;

    waited = worker_board_waited(sup->board);
    way = worker_scale_turn(&sup->scale, &sup->conf->scale, waited, sup->busy,
                            sup->now);
    sup->busy = 0;

    if (way == WORKER_SCALE_STAY) {
        return;
    }

    size = &sup->scale.size;
    worker_board_add(&sup->board->scalings[way == WORKER_SCALE_DOWN], 1);
    worker_log(WORKER_LOG_INFO, "scaled %s: %u processes, %u slots each; a "
               "job waited %lld ms for a slot", way == WORKER_SCALE_UP
               ? "up" : "down", size->processes, size->slots,
               (long long) waited);
    supervisor_sized(sup);
}


static void
supervisor_recycle(supervisor_t *sup)
{
    unsigned             i;
    worker_sheet_t      *sheet;
    worker_recycle_e     why;
    supervisor_child_t  *child;

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        child = &sup->children[i];
        sheet = &sup->board->sheets[i];

        if (child->pid == 0 || child->kill_at != 0 || child->renew) {
            continue;
        }

        why = worker_recycle_due(&child->enough, child->pid,
                                 atomic_load(&sheet->ran));

        if (why != WORKER_RECYCLE_NOT) {
            worker_log(WORKER_LOG_INFO, "process %u has done enough (%s): "
                       "it is replaced", i, worker_recycle_name(why));
            worker_board_add(&sheet->recycled[why], 1);
            child->renew = true;
        }
    }
}


static void
supervisor_second(supervisor_t *sup)
{
    unsigned  busy;

    busy = supervisor_busy(sup);
    sup->busy = busy > sup->busy ? busy : sup->busy;

    if (sup->stopping || sup->now < sup->second_at) {
        return;
    }

    sup->second_at = sup->now + SUPERVISOR_SECOND_MS;
    supervisor_recycle(sup);
    supervisor_scale(sup);
}


/* --- signals -------------------------------------------------------------- */

static void
supervisor_listen(supervisor_t *sup)
{
    if (sup->conf->metrics != NULL) {
        sup->metrics = worker_metrics_open(sup->conf, sup->board);
    }
}


static void
supervisor_reload(supervisor_t *sup)
{
    unsigned        i;
    worker_conf_t  *conf;

    conf = worker_conf_load(sup->conf->path);

    if (conf == NULL) {
        worker_log(WORKER_LOG_ERROR, "%s is not good, the pool goes on with "
                   "what it has", sup->conf->path);
        return;
    }

    worker_log(WORKER_LOG_INFO, "config read again: %u processes, %u slots",
               conf->processes, conf->slots);
    worker_metrics_close(&sup->metrics);
    worker_conf_free(sup->conf);
    sup->conf = conf;
    worker_log_init(conf->log_level, "supervisor");
    supervisor_listen(sup);
    worker_scale_begin(&sup->scale, &conf->scale, sup->now);
    supervisor_sized(sup);

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        sup->children[i].renew = true;
    }
}


static void
supervisor_stop(supervisor_t *sup)
{
    unsigned  i;

    if (!sup->stopping) {
        worker_log(WORKER_LOG_INFO, "ending: processes drain for up to %ld ms",
                   sup->conf->drain_ms);
    }

    sup->stopping = true;

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        supervisor_end(sup, &sup->children[i]);
    }
}


static void
supervisor_signals(supervisor_t *sup)
{
    struct signalfd_siginfo  info;

    while (read(sup->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
    {
        switch (info.ssi_signo) {

        case SIGCHLD:
            supervisor_reap(sup);
            break;

        case SIGHUP:
            if (!sup->stopping) {
                supervisor_reload(sup);
            }

            break;

        default:
            supervisor_stop(sup);
        }
    }
}


/* --- the loop ------------------------------------------------------------- */

/* One process at a time is replaced, and only when all the others run. */
static void
supervisor_renew(supervisor_t *sup)
{
    unsigned             i;
    supervisor_child_t  *child, *next;

    next = NULL;

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        child = &sup->children[i];

        if (i < sup->scale.size.processes
            && (child->pid == 0 || child->kill_at != 0))
        {
            return;
        }

        if (next == NULL && child->pid != 0 && child->renew) {
            next = child;
        }
    }

    if (next != NULL) {
        supervisor_end(sup, next);
    }
}


static void
supervisor_children(supervisor_t *sup)
{
    unsigned             i;
    supervisor_child_t  *child;

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        child = &sup->children[i];

        if (child->pid == 0) {
            if (!sup->stopping && i < sup->scale.size.processes
                && sup->now >= child->start_at)
            {
                if (child->started != 0) {
                    worker_board_add(&sup->board->sheets[i].restarts, 1);
                }

                supervisor_start(sup, i);
            }

            continue;
        }

        if (i >= sup->scale.size.processes) {
            supervisor_end(sup, child);
        }

        if (child->kill_at != 0 && sup->now > child->kill_at) {
            worker_log(WORKER_LOG_ERROR, "process %u does not end, killing it",
                       i);
            kill(child->pid, SIGKILL);
            child->kill_at = sup->now + SUPERVISOR_GRACE_MS;
        }
    }

    if (!sup->stopping) {
        supervisor_renew(sup);
    }
}


static bool
supervisor_alone(const supervisor_t *sup)
{
    unsigned  i;

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        if (sup->children[i].pid != 0) {
            return false;
        }
    }

    return true;
}


static void
supervisor_turn(supervisor_t *sup)
{
    nfds_t         n;
    struct pollfd  fds[1 + WORKER_METRICS_FDS];

    fds[0] = (struct pollfd) { sup->signal_fd, POLLIN, 0 };
    n = worker_metrics_poll(sup->metrics, fds + 1);

    if (poll(fds, n + 1, SUPERVISOR_TICK_MS) < 0 && errno != EINTR) {
        worker_log(WORKER_LOG_ERROR, "poll: %s", strerror(errno));
        supervisor_stop(sup);
    }

    sup->now = supervisor_clock();
    worker_metrics_turn(sup->metrics, fds + 1, n);

    if (fds[0].revents & POLLIN) {
        supervisor_signals(sup);
    }

    supervisor_reap(sup);           /* signals of one kind merge */
    supervisor_releases(sup);
    supervisor_second(sup);
    supervisor_children(sup);
}


static int
supervisor_signal_fd(void)
{
    sigset_t  set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_SETMASK, &set, NULL);

    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}


int
worker_supervisor_run(worker_conf_t *conf)
{
    supervisor_t  *sup;

    sup = calloc(1, sizeof(supervisor_t));

    if (sup == NULL) {
        return 1;
    }

    worker_log_init(conf->log_level, "supervisor");
    sup->conf = conf;
    sup->board = worker_board_create();
    sup->signal_fd = supervisor_signal_fd();

    if (sup->board == NULL || sup->signal_fd < 0) {
        worker_log(WORKER_LOG_ERROR, "does not start: %s", strerror(errno));
        return 1;
    }

    signal(SIGPIPE, SIG_IGN);
    supervisor_listen(sup);
    worker_log(WORKER_LOG_INFO, "travel-worker: %u processes, %u slots each",
               conf->processes, conf->slots);

    sup->now = supervisor_clock();
    worker_scale_begin(&sup->scale, &conf->scale, sup->now);
    supervisor_sized(sup);
    supervisor_children(sup);

    while (!sup->stopping || !supervisor_alone(sup)) {
        supervisor_turn(sup);
    }

    worker_metrics_close(&sup->metrics);
    worker_log(WORKER_LOG_INFO, "ended");
    worker_conf_free(sup->conf);
    close(sup->signal_fd);
    free(sup);

    return 0;
}
