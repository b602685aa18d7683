/* Running one entry in a slot: parse, trace, handler, outcome. */

#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "slot.h"
#include "../queue/entry.h"

/* On the slot's thread: the stage that is due.  True: the job is over, and
 * whatever happened is the entry's outcome.  False: it waits for the answer to
 * entry->job.ask, which is to be sent, and is to be run again after that. */
bool worker_run(worker_slot_t *slot, worker_entry_t *entry);

#define WORKER_RUN_BATCH_MAX  1000

/* So many jobs of one type that has a batch handler: none of them begun, or all
 * with their answers.  Those that wait have an ask, as above; the others are
 * over.  Returns the nanoseconds that each took. */
uint64_t worker_run_batch(worker_slot_t *slot,
    worker_entry_t *const *entries, size_t n);

#endif
