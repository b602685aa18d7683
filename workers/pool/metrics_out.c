/* Metrics of calls to the outside, by destination and process. */

#include "metrics_parts.h"
#include "../../common/breaker_state.h"

typedef void (*out_print_pt)(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to);


static void
out_state(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to)
{
    int  s, state;

    state = atomic_load(&to->state);

    for (s = TRAVEL_BREAKER_CLOSED; s <= TRAVEL_BREAKER_HALF_OPEN; s++) {
        fprintf(f, "%s{process=\"%u\",destination=\"%s\",state=\"%s\"} %d\n",
                name, process, to->name,
                travel_breaker_name((travel_breaker_state_e) s), s == state);
    }
}


static void
out_opened(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to)
{
    fprintf(f, "%s{process=\"%u\",destination=\"%s\"} %llu\n", name, process,
            to->name,
            (unsigned long long) worker_metrics_load(&to->opened));
}


static void
out_active(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to)
{
    fprintf(f, "%s{process=\"%u\",destination=\"%s\"} %lld\n", name, process,
            to->name, (long long) atomic_load(&to->active));
}


static void
out_calls(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to)
{
    size_t  i;
    struct {
        const char              *outcome;
        const _Atomic uint64_t  *n;
    } rows[] = { { "good", &to->good }, { "bad", &to->bad },
                 { "refused", &to->refused } };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fprintf(f, "%s{process=\"%u\",destination=\"%s\",outcome=\"%s\"}"
                " %llu\n", name, process, to->name, rows[i].outcome,
                (unsigned long long) worker_metrics_load(rows[i].n));
    }
}


static void
out_took(FILE *f, const char *name, unsigned process,
    const worker_board_destination_t *to)
{
    size_t    b;
    uint64_t  n;

    for (n = 0, b = 0; b < WORKER_BOARD_BUCKETS; b++) {
        n += worker_metrics_load(&to->took[b]);
        fprintf(f, "%s_bucket{process=\"%u\",destination=\"%s\",le=\"",
                name, process, to->name);

        if (b < WORKER_BOARD_BUCKETS - 1) {
            fprintf(f, "%g\"} %llu\n", worker_board_bounds[b],
                    (unsigned long long) n);
        } else {
            fprintf(f, "+Inf\"} %llu\n", (unsigned long long) n);
        }
    }

    fprintf(f, "%s_sum{process=\"%u\",destination=\"%s\"} %.6f\n"
            "%s_count{process=\"%u\",destination=\"%s\"} %llu\n",
            name, process, to->name,
            (double) worker_metrics_load(&to->took_us) / 1e6,
            name, process, to->name, (unsigned long long) n);
}


/* --- from the databases (schedule/figures.c) ------------------------------ */

static const struct {
    const char  *name;
    const char  *type;
    const char  *help;
} out_figures[] = {
    { "travel_sagas", "gauge", "Sagas that are not over." },
    { "travel_saga_oldest_seconds", "gauge",
      "Since the saga that moved longest ago did." },
    { "travel_schedule_last_fire_timestamp_seconds", "gauge",
      "Fire time that was last dealt with." },
    { "travel_schedule_fired_total", "counter", "Jobs of a schedule." },
    { "travel_schedule_skipped_total", "counter",
      "Fire times that were missed and left out." },
    { "travel_schedule_paused", "gauge", "1: by travelctl." },
    { "travel_paused_since_timestamp_seconds", "gauge",
      "Since when a queue or a job type is paused; none: it is not." },
    { "travel_webhooks", "gauge", "Webhooks by state." },
    { "travel_webhook_pending", "gauge", "Deliveries not over yet." },
    { "travel_webhook_oldest_pending_seconds", "gauge",
      "Age of the oldest of these." },
    { "travel_outbox_unsent", "gauge", "Rows of the outbox not relayed." },
    { "travel_outbox_oldest_seconds", "gauge", "Age of the oldest of these." },
    { "travel_notices", "gauge", "Messages of batches that are not over." },
    { "travel_publisher_published_total", "counter",
      "Domain events published or fanned out." },
    { "travel_publisher_moved_timestamp_seconds", "gauge",
      "When the publisher's checkpoint last moved." },
    { "travel_etl_last_sync_timestamp_seconds", "gauge",
      "Up to when an ETL job has loaded." },
    { "travel_etl_rows_total", "counter", "Rows loaded." },
    { "travel_etl_runs_total", "counter", "Runs." }
};


static bool
out_is(const char *figure, const char *family)
{
    size_t  n;

    n = strlen(family);
    return strncmp(figure, family, n) == 0
           && (figure[n] == '{' || figure[n] == '\0');
}


/* One process of all pools counts; in others the rows are out of use. */
static void
out_counted(FILE *f, const worker_board_t *board)
{
    bool                          told;
    size_t                        i, k;
    unsigned                      p;
    const worker_board_figure_t  *row;

    for (i = 0; i < sizeof(out_figures) / sizeof(out_figures[0]); i++) {
        told = false;

        for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
            for (k = 0; k < WORKER_BOARD_FIGURES; k++) {
                row = &board->sheets[p].figures[k];

                if (atomic_load(&board->sheets[p].pid) == 0
                    || !atomic_load(&row->used)
                    || !out_is(row->name, out_figures[i].name))
                {
                    continue;
                }

                if (!told) {
                    worker_metrics_head(f, out_figures[i].name,
                                        out_figures[i].type,
                                        out_figures[i].help);
                    told = true;
                }

                fprintf(f, "%s %.15g\n", row->name, atomic_load(&row->value));
            }
        }
    }
}


void
worker_metrics_out(FILE *f, const worker_board_t *board)
{
    size_t                             i, k;
    unsigned                           p;
    const worker_board_destination_t  *to;
    static const struct {
        const char    *name;
        const char    *type;
        const char    *help;
        out_print_pt   print;
    } families[] = {
        { "travel_out_calls_total", "counter",
          "Calls to a destination; refused: by its breaker.", out_calls },
        { "travel_out_duration_seconds", "histogram",
          "Time of a call from its turn to its end.", out_took },
        { "travel_out_active", "gauge", "Calls under way.", out_active },
        { "travel_breaker_state", "gauge",
          "1 for the state the breaker is in.", out_state },
        { "travel_breaker_opened_total", "counter",
          "Times that the breaker opened.", out_opened }
    };

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        worker_metrics_head(f, families[i].name, families[i].type,
                            families[i].help);

        for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
            for (k = 0; k < WORKER_BOARD_DESTINATIONS; k++) {
                to = &board->sheets[p].destinations[k];

                if (atomic_load(&board->sheets[p].pid) != 0
                    && atomic_load(&to->used))
                {
                    families[i].print(f, families[i].name, p, to);
                }
            }
        }
    }

    out_counted(f, board);
}
