/* W3C Trace Context, level 2: the traceparent header, and tracestate's bounds.
 * Source: https://www.w3.org/TR/trace-context-2/ */

#ifndef TRAVEL_TRACEPARENT_H
#define TRAVEL_TRACEPARENT_H

#include "travel.h"

#define TRAVEL_TRACEPARENT_LEN  55
#define TRAVEL_TRACE_SAMPLED    0x01
#define TRAVEL_TRACE_RANDOM     0x02

typedef struct {
    uint8_t  trace_id[16];
    uint8_t  span_id[8];      /* on input the parent's, on output our own */
    uint8_t  flags;           /* sampled and random only */
} travel_trace_t;

/* Accepts version 00 exactly and higher versions by their known prefix; refuses
 * upper case, version ff, all-zero ids.  TRAVEL_OK or TRAVEL_INVALID. */
int travel_traceparent_parse(travel_trace_t *ret_trace, travel_str_t header)
    TRAVEL_MUST_CHECK;

/* Version 00, TRAVEL_TRACEPARENT_LEN characters, no NUL. */
void travel_traceparent_format(char *dst, const travel_trace_t *trace);

/* How many bytes of a tracestate may be passed on: whole list members only, at
 * most 32 members and 512 bytes, 0 when it is malformed. */
size_t travel_tracestate_keep(travel_str_t header);

#endif
