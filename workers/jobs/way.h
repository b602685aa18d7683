/* Stories of ways between two places. */

#ifndef WORKER_WAY_H
#define WORKER_WAY_H

#include "job.h"

/* {title, content, model, places}, a new reference; job->tokens has grown by
 * what it cost.  NULL: job->error is filled, to be tried again. */
json_t *worker_way_story(worker_job_t *job, const char *origin,
    const char *destination, const char *theme);

#endif
