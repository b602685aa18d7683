/*
 * The workers' spans: a bounded ring per process, exported by its own thread
 * to the OTLP collector; full means drop and count.
 */

#ifndef WORKER_TRACE_H
#define WORKER_TRACE_H

#include "../../common/otlp.h"
#include "../pool/conf.h"

int worker_trace_start(const worker_conf_t *conf) TRAVEL_MUST_CHECK;
void worker_trace_stop(void);            /* flushes, bounded in time */

/* Any thread.  Encodes and queues; does nothing when span->id.flags has no
 * sampled bit. */
void worker_trace_emit(const travel_span_t *span);

/* A child's ids: same trace and flags, a fresh span id. */
travel_trace_t worker_trace_child(const travel_trace_t *parent);
/* A trace that may be passed on: an id of zeros is none. */
bool worker_trace_valid(const travel_trace_t *trace);
uint64_t worker_trace_now(void);         /* unix ns */

typedef struct { uint64_t exported, dropped, failed; } worker_trace_stat_t;
worker_trace_stat_t worker_trace_stat(void);

#endif
