/*
 * Flows: a graph of jobs that wait for each other, begun, followed and ended in
 * PostgreSQL (schema/130_flows.sql), exactly once.
 *
 *     { "name": "import",
 *       "nodes": {
 *         "fetch":  { "type": "etl.run", "body": {...} },
 *         "count":  { "type": "...", "after": ["fetch"], "results": "from" },
 *         "tidy":   { "type": "...", "after": ["count"], "always": true } },
 *       "on_success": { "type": "...", "body": {...} } }
 *
 * A node is a job of any type.  It is queued when all nodes in its "after" are
 * over and were well; otherwise it is skipped, unless it is "always".  Further
 * members of a node, all optional:
 *
 *   body      of the job                   results   the name of a member that
 *   key       ordering key (a uuid)                  is added to it: an object
 *   delay_ms  not before so long after it            of what those in "after"
 *             is ready                               came to, by name
 *   optional  nobody minds if it fails: what is after it runs as if it had not
 *
 * "if_failed": "stop" (as when it is left out): nothing is begun any more;
 * "cancel": what is queued or runs is called off, too; "continue": what does
 * not depend on it goes on.  When all nodes are over, a job on_success or
 * on_failure and one on_end is queued; its body's member "flow" says which
 * flow, its state and counts.  A flow is cancelled as a whole, and one that
 * failed may be retried: what failed, and what was skipped for it, is run once
 * more.
 *
 * A flow that is begun by a node's job belongs to that node, which is over when
 * the flow is, and well if the flow was.
 *
 * A job knows its flow by its envelope; one that is of none costs nothing.  One
 * that is pays two statements, as it begins and before it is settled.  What was
 * lost between that and the queue is told by flow.check.
 */

#ifndef WORKER_FLOW_H
#define WORKER_FLOW_H

#include "tx.h"

#define WORKER_FLOW_NODES  10000
#define WORKER_FLOW_EDGES  100000
#define WORKER_FLOW_NAME   64        /* [A-Za-z0-9._-], a node's too */

/*
 * In a handler's transaction: begins a flow when that commits.  Its id is that
 * of the job with 'key' NULL, else it follows from job, step and key, so that a
 * job that runs again begins no second one.  Steals 'spec'.
 *
 * TRAVEL_OK; TRAVEL_INVALID: it is no flow, job->error says why; TRAVEL_ERROR:
 * job->error is filled, to be tried again.  In both the caller ends 'tx'.
 */
int worker_tx_flow(worker_tx_t *tx, const char *key, json_t *spec,
    char ret_id[37]) TRAVEL_MUST_CHECK;

/* What the nodes before the job's came to, by name: a new reference, an empty
 * object when it is of no flow.  NULL: job->error is filled, for RETRY. */
json_t *worker_flow_results(worker_job_t *job);

/* Is it of one? */
bool worker_flow_of(const worker_job_t *job);

/* For pool/run.c.  Before the handler: DONE, or what became of the job that its
 * flow does not want any more (as one that was called off), or RETRY. */
worker_verdict_e worker_flow_begin(worker_job_t *job);

/* Under the job's lease, the end of the node whose job is 'node' (a uuid) is
 * put on record; 'result' and 'error' are JSON or NULL.  DONE, and *ret_new:
 * its flow had not heard of it; FENCED; RETRY. */
worker_verdict_e worker_flow_node_over(worker_job_t *job, const char *flow,
    const char *node, const char *state, const char *result,
    const char *error, bool *ret_new);

/* And before the job is settled with 'state' (a word of queues.h): DONE,
 * FENCED, or RETRY. */
worker_verdict_e worker_flow_done(worker_job_t *job, const char *state);

#endif
