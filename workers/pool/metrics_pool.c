/* The pool itself as Prometheus text: how large it is, and why. */

#include "metrics_parts.h"


static void
pool_gauge(FILE *f, const char *name, const char *help, double value)
{
    worker_metrics_head(f, name, "gauge", help);
    fprintf(f, "%s %g\n", name, value);
}


void
worker_metrics_pool(FILE *f, const worker_board_t *board)
{
    unsigned                  p, why;
    static const char *const  ways[] = { "up", "down" };

    pool_gauge(f, "travel_worker_pool_processes", "Processes that there are "
               "to be.", atomic_load(&board->processes));
    pool_gauge(f, "travel_worker_pool_slots", "Slots of each of them.",
               atomic_load(&board->slots));
    pool_gauge(f, "travel_worker_slot_wait_seconds", "The longest that a job "
               "waited for nothing but a slot, of late.",
               (double) worker_board_waited(board) / 1e3);

    worker_metrics_head(f, "travel_worker_pool_scalings_total", "counter",
                        "Steps by which the pool grew and shrank.");

    for (p = 0; p < 2; p++) {
        fprintf(f, "travel_worker_pool_scalings_total{direction=\"%s\"} "
                "%llu\n", ways[p], (unsigned long long)
                worker_metrics_load(&board->scalings[p]));
    }

    worker_metrics_head(f, "travel_worker_recycled_total", "counter",
                        "Processes replaced because they had done enough.");

    for (p = 0; p < WORKER_PROCESSES_MAX; p++) {
        for (why = WORKER_RECYCLE_JOBS; why < WORKER_RECYCLE_MAX
                                        && atomic_load(&board->sheets[p].pid)
                                           != 0; why++)
        {
            fprintf(f, "travel_worker_recycled_total{process=\"%u\","
                    "reason=\"%s\"} %llu\n", p,
                    worker_recycle_name((worker_recycle_e) why),
                    (unsigned long long)
                    worker_metrics_load(&board->sheets[p].recycled[why]));
        }
    }
}
