/*
 * Spans of the queue's own work: one `receive` and one `settle` per script
 * call, and only when a sampled job is in it.
 *
 * Such a call serves many traces.  Its span belongs to the trace of the first
 * sampled job and links the others, so each trace can find it.
 */

#include <stdio.h>

#include "fetcher.h"
#include "../trace/trace.h"


static travel_str_t
spans_str(const char *s)
{
    return (travel_str_t) { s, strlen(s) };
}


static bool
spans_sampled(const travel_trace_t *trace)
{
    return trace->flags & TRAVEL_TRACE_SAMPLED;
}


/* The context a job is known by at this point: before its run that of the
 * enqueue span, after it that of its process span. */
static bool
spans_context(const worker_entry_t *entry, bool settle,
    travel_trace_t *ret_trace)
{
    if (settle) {
        *ret_trace = entry->job.trace;
        return spans_sampled(ret_trace);
    }

    return entry->job.env.tp.len > 0
           && travel_traceparent_parse(ret_trace, entry->job.env.tp)
              == TRAVEL_OK
           && spans_sampled(ret_trace);
}


void
worker_spans_add(worker_spans_t *spans, const worker_entry_t *entry,
    bool settle)
{
    travel_trace_t  trace;

    spans->messages++;

    if (spans->n < WORKER_SPANS_LINKS && spans_context(entry, settle, &trace)) {
        spans->links[spans->n++] = trace;
    }
}


void
worker_spans_end(const worker_spans_t *spans, const worker_partition_t *part,
    const char *operation, uint64_t start_ns, bool error)
{
    char           name[64], number[8];
    size_t         n;
    travel_span_t  span = { 0 };
    travel_attr_t  attrs[7];

    if (spans->n == 0) {
        return;
    }

    n = (size_t) snprintf(name, sizeof(name), "%s %s", operation,
                          part->queue_name);
    snprintf(number, sizeof(number), "%u", part->number);

    span.id = worker_trace_child(&spans->links[0]);
    memcpy(span.parent, spans->links[0].span_id, sizeof(span.parent));
    span.name = (travel_str_t) { name, n };
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = start_ns;
    span.end_ns = worker_trace_now();
    span.error = error;
    span.links = spans->links + 1;
    span.nlinks = spans->n - 1;

#define SPANS_TEXT(i, key, value)                                             \
    attrs[i] = (travel_attr_t) { TRAVEL_STR(key), TRAVEL_ATTR_STRING,         \
                                 { .s = value } }

    SPANS_TEXT(0, "messaging.system", TRAVEL_STR("redis"));
    SPANS_TEXT(1, "messaging.operation.type", spans_str(operation));
    SPANS_TEXT(2, "messaging.operation.name", spans_str(operation));
    SPANS_TEXT(3, "messaging.destination.name", spans_str(part->queue_name));
    SPANS_TEXT(4, "messaging.destination.partition.id", spans_str(number));
    SPANS_TEXT(5, "messaging.consumer.group.name", TRAVEL_STR(TRAVEL_GROUP));
    attrs[6] = (travel_attr_t) { TRAVEL_STR("messaging.batch.message_count"),
                                 TRAVEL_ATTR_INT,
                                 { .i = (int64_t) spans->messages } };
    span.attrs = attrs;
    span.nattrs = 7;

    worker_trace_emit(&span);
}
