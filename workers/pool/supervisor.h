/* The supervisor: keeps the configured number of worker processes alive. */

#ifndef WORKER_SUPERVISOR_H
#define WORKER_SUPERVISOR_H

#include "conf.h"

/* Owns 'conf' from here on.  Returns the exit code of travel-worker. */
int worker_supervisor_run(worker_conf_t *conf);

#endif
