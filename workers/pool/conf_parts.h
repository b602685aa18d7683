/* What the files that read workers.conf share; nobody else needs it. */

#ifndef WORKER_CONF_PARTS_H
#define WORKER_CONF_PARTS_H

#include <confuse.h>

#include "conf.h"

/* Leaves *ms alone when the option is not given. */
void worker_conf_duration(cfg_t *cfg, const char *name, long *ms);

/* conf_work.c: the sections "type" and "queue" */
extern cfg_opt_t  worker_conf_type_opts[];
extern cfg_opt_t  worker_conf_queue_opts[];

int worker_conf_work(cfg_t *cfg, worker_conf_t *conf) TRAVEL_MUST_CHECK;

#endif
