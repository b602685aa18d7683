/*
 * The board as JSON, for the operators' page (GET /state): processes and what
 * runs in their slots, partitions, types, destinations, schedules.
 *
 * Counts only grow; who asks twice knows the rates.
 */

#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "metrics_parts.h"
#include "../schedule/schedule.h"
#include "../../common/breaker_state.h"
#include "../../common/timestamp.h"


static int64_t
state_clock(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static json_t *
state_count(uint64_t n)
{
    return json_integer((json_int_t) n);
}


static json_t *
state_time(int64_t unix_ms)
{
    char  text[TRAVEL_TIMESTAMP_LEN];

    if (unix_ms <= 0) {
        return json_null();
    }

    travel_timestamp_format(text, (uint64_t) unix_ms);

    return json_stringn(text, sizeof(text));
}


/* --- processes ------------------------------------------------------------ */

static json_t *
state_slot(const worker_board_slot_t *slot, unsigned number, int64_t now)
{
    int64_t  started;

    started = atomic_load(&slot->started_ms);

    if (started == 0) {
        return NULL;
    }

    /* A job may end while its name is read: it is told of once more then. */
    return json_pack("{s:i, s:s#, s:s#, s:f}", "slot", (int) number,
                     "job", slot->job_id,
                     (int) strnlen(slot->job_id, sizeof(slot->job_id)),
                     "type", slot->type,
                     (int) strnlen(slot->type, sizeof(slot->type)),
                     "seconds", (double) (now - started) / 1000);
}


static json_t *
state_process(const worker_sheet_t *sheet, unsigned number, int64_t now)
{
    json_t    *jobs, *one;
    unsigned   s;

    jobs = json_array();

    for (s = 0; s < WORKER_SLOTS_MAX; s++) {
        one = state_slot(&sheet->slots[s], s, now);

        if (one != NULL) {
            (void) json_array_append_new(jobs, one);
        }
    }

    return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:o}",
        "process", (int) number, "pid", atomic_load(&sheet->pid),
        "slots", (int) atomic_load(&sheet->nslots),
        "restarts", (json_int_t) worker_metrics_load(&sheet->restarts),
        "in_memory", (json_int_t) worker_metrics_load(&sheet->in_memory),
        "asking", (json_int_t) worker_metrics_load(&sheet->asking),
        "ran", (json_int_t) worker_metrics_load(&sheet->ran),
        "running", jobs);
}


/* --- partitions ----------------------------------------------------------- */

static json_t *
state_part(const worker_board_part_t *part, unsigned process, int64_t now)
{
    int64_t  oldest;

    oldest = atomic_load(&part->oldest_ms);

    return json_pack("{s:s#, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:f}",
        "partition", part->name, (int) strnlen(part->name, sizeof(part->name)),
        "process", (int) process,
        "high", (json_int_t) atomic_load(&part->depth[0]),
        "normal", (json_int_t) atomic_load(&part->depth[1]),
        "low", (json_int_t) atomic_load(&part->depth[2]),
        "delayed", (json_int_t) atomic_load(&part->delayed),
        "dead", (json_int_t) atomic_load(&part->dead),
        "fence", (json_int_t) atomic_load(&part->fence),
        "oldest_seconds", oldest > 0 && oldest < now
                          ? (double) (now - oldest) / 1000 : 0.0);
}


/* --- types ---------------------------------------------------------------- */

/* Seconds below which a part 'q' of the runs stayed, within its bucket by
 * proportion; null: there were none. */
static json_t *
state_quantile(const uint64_t run[WORKER_BOARD_BUCKETS], double q)
{
    size_t  b;
    double  n, want, below, from;

    for (n = 0, b = 0; b < WORKER_BOARD_BUCKETS; b++) {
        n += (double) run[b];
    }

    if (n <= 0) {
        return json_null();
    }

    want = q * n;

    for (below = 0, b = 0; b < WORKER_BOARD_BUCKETS - 1; b++) {
        if (below + (double) run[b] >= want) {
            from = b > 0 ? worker_board_bounds[b - 1] : 0;
            return json_real(from + (worker_board_bounds[b] - from)
                             * (want - below) / (double) run[b]);
        }

        below += (double) run[b];
    }

    return json_real(worker_board_bounds[WORKER_BOARD_BUCKETS - 2]);
}


static json_t *
state_type(const worker_board_t *board, const worker_job_type_t *type,
    size_t row)
{
    size_t                      k;
    uint64_t                    n[WORKER_OUTCOME_MAX] = { 0 };
    uint64_t                    run[WORKER_BOARD_BUCKETS] = { 0 };
    unsigned                    p;
    const worker_board_type_t  *t;

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        t = &board->sheets[p].types[row];

        for (k = 0; k < WORKER_OUTCOME_MAX; k++) {
            n[k] += worker_metrics_load(&t->outcome[k]);
        }

        for (k = 0; k < WORKER_BOARD_BUCKETS; k++) {
            run[k] += worker_metrics_load(&t->run[k]);
        }
    }

    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "type", type->type, "queue", type->queue,
        "succeeded", state_count(n[WORKER_OUTCOME_SUCCEEDED]),
        "retrying", state_count(n[WORKER_OUTCOME_RETRYING]),
        "failed", state_count(n[WORKER_OUTCOME_FAILED]),
        "dead", state_count(n[WORKER_OUTCOME_DEAD]),
        "cancelled", state_count(n[WORKER_OUTCOME_CANCELLED]),
        "p50", state_quantile(run, 0.5), "p95", state_quantile(run, 0.95),
        "p99", state_quantile(run, 0.99));
}


static json_t *
state_types(const worker_board_t *board)
{
    size_t                    i;
    json_t                   *list;
    const worker_job_type_t  *type;

    list = json_array();

    for (i = 0; i < WORKER_BOARD_TYPES - 1; i++) {
        type = worker_job_type_at(i);

        if (type == NULL) {
            break;
        }

        (void) json_array_append_new(list, state_type(board, type, i));
    }

    return list;
}


/* --- destinations, schedules ---------------------------------------------- */

static json_t *
state_destination(const worker_board_destination_t *to, unsigned process)
{
    return json_pack("{s:s#, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:o}",
        "destination", to->name, (int) strnlen(to->name, sizeof(to->name)),
        "process", (int) process,
        "state", travel_breaker_name((travel_breaker_state_e)
                                     atomic_load(&to->state)),
        "active", (json_int_t) atomic_load(&to->active),
        "good", (json_int_t) worker_metrics_load(&to->good),
        "bad", (json_int_t) worker_metrics_load(&to->bad),
        "refused", (json_int_t) worker_metrics_load(&to->refused),
        "opened", (json_int_t) worker_metrics_load(&to->opened),
        "until", state_time(atomic_load(&to->until_ms)));
}


static json_t *
state_schedules(const worker_conf_t *conf)
{
    size_t                    i;
    json_t                   *list;
    int64_t                   at;
    const worker_schedule_t  *s;

    list = json_array();

    for (i = 0; i < conf->nschedules; i++) {
        s = &conf->schedules[i];
        at = 0;

        if (worker_schedule_next(s, time(NULL), &at) != TRAVEL_OK) {
            at = 0;
        }

        (void) json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s,"
            " s:o}", "name", s->name, "cron", s->expression,
            "timezone", s->timezone, "type", s->type,
            "next", state_time(at * 1000)));
    }

    return list;
}


char *
worker_metrics_state(const worker_conf_t *conf, const worker_board_t *board)
{
    char                  *text;
    json_t                *state, *processes, *parts, *to;
    int64_t                now, unix_now;
    unsigned               p, i;
    const worker_sheet_t  *sheet;

    now = state_clock(CLOCK_MONOTONIC);
    unix_now = state_clock(CLOCK_REALTIME);
    processes = json_array();
    parts = json_array();
    to = json_array();

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        sheet = &board->sheets[p];

        if (atomic_load(&sheet->pid) == 0) {
            continue;
        }

        (void) json_array_append_new(processes, state_process(sheet, p, now));

        for (i = 0; i < WORKER_BOARD_PARTS; i++) {
            if (atomic_load(&sheet->parts[i].used)) {
                (void) json_array_append_new(parts,
                    state_part(&sheet->parts[i], p, unix_now));
            }
        }

        for (i = 0; i < WORKER_BOARD_DESTINATIONS; i++) {
            if (atomic_load(&sheet->destinations[i].used)) {
                (void) json_array_append_new(to,
                    state_destination(&sheet->destinations[i], p));
            }
        }
    }

    state = json_pack("{s:o, s:f, s:o, s:o, s:o, s:o, s:o}",
        "at", state_time(unix_now),
        "slot_wait_seconds", (double) worker_board_waited(board) / 1000,
        "processes", processes, "partitions", parts,
        "types", state_types(board), "destinations", to,
        "schedules", state_schedules(conf));
    text = state != NULL ? json_dumps(state, JSON_COMPACT
                                             | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(state);

    return text;
}
