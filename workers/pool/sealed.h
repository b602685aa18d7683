/*
 * Sealed members of a command's body (common/seal.h), opened for the handler
 * and nobody else: the entry, the job's hash and a dead letter keep them
 * sealed.
 */

#ifndef WORKER_SEALED_H
#define WORKER_SEALED_H

#include "slot.h"

/* Opens, in job->body, the members that job->env.sealed names; the keys are
 * those of the slot's configuration.  WORKER_DONE; WORKER_RETRY: a key is not
 * here; WORKER_REJECT: a member is not what the edge sealed. */
worker_verdict_e worker_sealed_open(worker_job_t *job);

#endif
