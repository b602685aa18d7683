/*
 * OTLP/HTTP protobuf encoding of trace batches
 * (opentelemetry-proto: collector/trace/v1 ExportTraceServiceRequest).
 *
 * A span is encoded when it ends, into memory the caller owns; a batch is the
 * resource plus encoded spans, concatenated.  No allocation anywhere here.
 */

#ifndef TRAVEL_OTLP_H
#define TRAVEL_OTLP_H

#include "traceparent.h"

typedef enum {            /* the protocol's own numbers */
    TRAVEL_SPAN_INTERNAL = 1,
    TRAVEL_SPAN_SERVER   = 2,
    TRAVEL_SPAN_CLIENT   = 3,
    TRAVEL_SPAN_PRODUCER = 4,
    TRAVEL_SPAN_CONSUMER = 5
} travel_span_kind_e;

typedef enum {
    TRAVEL_ATTR_STRING,
    TRAVEL_ATTR_INT,
    TRAVEL_ATTR_DOUBLE,
    TRAVEL_ATTR_BOOL
} travel_attr_type_e;

typedef struct {
    travel_str_t        name;
    travel_attr_type_e  type;
    union {
        travel_str_t    s;
        int64_t         i;
        double          d;
        bool            b;
    } v;
} travel_attr_t;

typedef struct {
    travel_trace_t         id;           /* trace id, own span id, flags */
    uint8_t                parent[8];    /* all zero: a root span */
    travel_str_t           name;
    travel_span_kind_e     kind;
    uint64_t               start_ns;     /* unix time */
    uint64_t               end_ns;
    bool                   error;        /* status code ERROR, else UNSET */
    travel_str_t           message;      /* status message when error */
    const travel_attr_t   *attrs;
    size_t                 nattrs;
    const travel_trace_t  *links;
    size_t                 nlinks;
} travel_span_t;

/* Bytes written to dst, or 0 when 'room' is too small: the caller drops and
 * counts the span.  The result is one complete ScopeSpans.spans field. */
size_t travel_otlp_span(uint8_t *dst, size_t room, const travel_span_t *span);

/* The bytes that go before a run of encoded spans of total length 'spans_len':
 * resource attributes (service.name and what is given), scope "ngx_travel".
 * Returns bytes written or 0 when 'room' is too small. */
size_t travel_otlp_batch_head(uint8_t *dst, size_t room,
    const travel_attr_t *resource, size_t nresource, size_t spans_len);

#endif
