/* Running one entry in a slot: parse, trace, handler, outcome. */

#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "slot.h"
#include "../queue/entry.h"

/* On the slot's thread.  Never fails: whatever happens is the entry's
 * outcome. */
void worker_run(worker_slot_t *slot, worker_entry_t *entry);

#endif
