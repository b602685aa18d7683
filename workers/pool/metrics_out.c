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
}
