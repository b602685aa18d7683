/*
 * An append-only JSON writer over the caller's memory: error answers, log
 * lines, job results.  Commas and colons are its business, order and nesting
 * the caller's.
 *
 * It never writes past the end.  Once something did not fit, it only goes on
 * counting, so that the same calls over a NULL buffer of size 0 measure.
 */

#ifndef TRAVEL_JSON_WRITER_H
#define TRAVEL_JSON_WRITER_H

#include "travel.h"

typedef struct {
    char      *dst;           /* borrowed */
    size_t     room;
    size_t     len;           /* bytes so far, also those that did not fit */
    unsigned   depth;
    bool       comma;         /* a value came before on this level */
    bool       overflow;
} travel_json_writer_t;

void travel_json_writer_init(travel_json_writer_t *w, char *dst, size_t room);

/* Bytes written (no NUL), or 0: did not fit, or a container is still open. */
size_t travel_json_writer_finish(const travel_json_writer_t *w);

void travel_json_object(travel_json_writer_t *w);
void travel_json_object_end(travel_json_writer_t *w);
void travel_json_array(travel_json_writer_t *w);
void travel_json_array_end(travel_json_writer_t *w);

/* A member's name; exactly one value must follow.  Escaped like a string. */
void travel_json_key(travel_json_writer_t *w, travel_str_t name);

/* Invalid UTF-8 becomes U+FFFD: what is written is always JSON. */
void travel_json_string(travel_json_writer_t *w, travel_str_t s);
void travel_json_cstring(travel_json_writer_t *w, const char *s);
void travel_json_int(travel_json_writer_t *w, int64_t v);
void travel_json_uint(travel_json_writer_t *w, uint64_t v);
/* v / 10^digits with that many decimals (0-18): fixed(12345, 3) is 12.345. */
void travel_json_fixed(travel_json_writer_t *w, int64_t v, unsigned digits);
void travel_json_bool(travel_json_writer_t *w, bool v);
void travel_json_null(travel_json_writer_t *w);
/* A whole JSON value as it is; that it is one is the caller's promise. */
void travel_json_raw(travel_json_writer_t *w, travel_str_t json);

/* Members in one call: "name": value. */
void travel_json_member_string(travel_json_writer_t *w, const char *name,
    travel_str_t s);
void travel_json_member_cstring(travel_json_writer_t *w, const char *name,
    const char *s);
void travel_json_member_int(travel_json_writer_t *w, const char *name,
    int64_t v);

#endif
