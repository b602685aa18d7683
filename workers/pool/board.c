/* The board's memory, its reset and its histogram. */

#include <sys/mman.h>

#include "board.h"

const double  worker_board_bounds[WORKER_BOARD_BUCKETS - 1] = {
    0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    30, 60, 300
};


worker_board_t *
worker_board_create(void)
{
    size_t           i;
    worker_board_t  *board;

    board = mmap(NULL, sizeof(worker_board_t), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (board == MAP_FAILED) {
        return NULL;
    }

    for (i = 0; i < WORKER_PROCESSES_MAX; i++) {
        atomic_store(&board->sheets[i].crash_slot, -1);
    }

    return board;
}


int64_t
worker_board_waited(const worker_board_t *board)
{
    unsigned  i;
    int64_t   ms, most;

    for (most = 0, i = 0; i < WORKER_PROCESSES_MAX; i++) {
        ms = atomic_load(&board->sheets[i].pid) != 0
             ? atomic_load(&board->sheets[i].waited_ms) : 0;
        most = ms > most ? ms : most;
    }

    return most;
}


void
worker_board_reset(worker_sheet_t *sheet)
{
    size_t  i;

    atomic_store(&sheet->crash_slot, -1);
    atomic_store(&sheet->in_memory, 0);
    atomic_store(&sheet->asking, 0);
    atomic_store(&sheet->waited_ms, 0);
    atomic_store(&sheet->ran, 0);

    for (i = 0; i < WORKER_SLOTS_MAX; i++) {
        atomic_store(&sheet->slots[i].started_ms, 0);
    }

    for (i = 0; i < WORKER_BOARD_PARTS; i++) {
        atomic_store(&sheet->parts[i].used, false);
    }

    for (i = 0; i < WORKER_BOARD_FIGURES; i++) {
        atomic_store(&sheet->figures[i].used, false);
    }

    for (i = 0; i < WORKER_BOARD_DESTINATIONS; i++) {
        atomic_store(&sheet->destinations[i].used, false);
    }
}


void
worker_board_ran(worker_sheet_t *sheet, unsigned type, uint64_t run_ns)
{
    size_t                i;
    double                s;
    worker_board_type_t  *row;

    s = (double) run_ns / 1e9;
    row = &sheet->types[type];

    for (i = 0; i < WORKER_BOARD_BUCKETS - 1; i++) {
        if (s <= worker_board_bounds[i]) {
            break;
        }
    }

    worker_board_add(&row->run[i], 1);
    worker_board_add(&row->run_us, run_ns / 1000);
}
