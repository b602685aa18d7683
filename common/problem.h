/*
 * What a refused client reads, from one description in two forms
 * (contracts section 6):
 *
 *   the envelope, application/json
 *     {"error":{"code","message","details":[{"pointer","code","message"}],
 *               "timestamp","request_id"}}
 *   the problem, application/problem+json (RFC 9457), for who accepts it
 *     {"type","title","status","detail","instance"?,"code","errors":[...],
 *      "request_id","timestamp"}
 *
 * Some have registered types (draft-ietf-httpapi-ratelimit-headers): a refusal
 * by limits is quota-exceeded and names them in "violated-policies"; a full
 * queue is temporary-reduced-capacity; what is too unlike its user is
 * abnormal-usage-detected.
 *
 * A detail about malformed JSON also has "offset", the byte in the body; one
 * that a JSON Schema found also has "schema", where in the schema.
 */

#ifndef TRAVEL_PROBLEM_H
#define TRAVEL_PROBLEM_H

#include "errors.h"

#define TRAVEL_PROBLEM_TYPE   "https://travel.local/problems/"
#define TRAVEL_PROBLEM_BASE_MAX  255

#define TRAVEL_PROBLEM_IANA   "https://iana.org/assignments/http-problem-types#"
#define TRAVEL_PROBLEM_QUOTA     TRAVEL_PROBLEM_IANA "quota-exceeded"
#define TRAVEL_PROBLEM_CAPACITY                                               \
    TRAVEL_PROBLEM_IANA "temporary-reduced-capacity"
#define TRAVEL_PROBLEM_ABNORMAL  TRAVEL_PROBLEM_IANA "abnormal-usage-detected"

typedef enum {
    TRAVEL_PROBLEM_ENVELOPE,
    TRAVEL_PROBLEM_RFC9457
} travel_problem_form_e;

typedef struct {
    travel_str_t  pointer;       /* RFC 6901; empty: the whole body */
    travel_str_t  code;
    travel_str_t  message;
    uint64_t      offset;        /* valid when has_offset */
    bool          has_offset;
    travel_str_t  schema;        /* RFC 6901, the keyword; empty: left out */
} travel_problem_detail_t;

typedef struct {
    travel_error_e                  error;
    travel_str_t                    message;     /* empty: the row's title */
    const travel_problem_detail_t  *details;
    size_t                          ndetails;
    travel_str_t                    instance;    /* URI path; empty: left out */
    travel_str_t                    request_id;
    uint64_t                        unix_ms;
    const travel_str_t             *violated;    /* names of limits */
    size_t                          nviolated;
    travel_str_t                    base;        /* of its type, at most
                                                    TRAVEL_PROBLEM_BASE_MAX;
                                                    empty: ..._TYPE */
} travel_problem_t;

/* "application/json" or "application/problem+json". */
const char *travel_problem_media_type(travel_problem_form_e form);

/* Bytes written to 'dst', no NUL; 0 when 'room' is too small.  With a NULL
 * 'dst' nothing is written and the room needed is returned. */
size_t travel_problem_render(char *dst, size_t room,
    const travel_problem_t *problem, travel_problem_form_e form);

/* The page, HTML, that the type of an error leads to; TRAVEL_E_NONE: the list
 * of all.  As above. */
size_t travel_problem_page(char *dst, size_t room, travel_error_e error);

#endif
