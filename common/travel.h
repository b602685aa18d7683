/*
 * The ground that every file of common/ stands on: return codes, the string
 * view, and the few compiler attributes that are used everywhere.
 *
 * common/ is pure C11: no nginx, no sockets, no mutable globals.  A function
 * that can fail returns one of the codes below and leaves its outputs, which
 * are named ret_*, untouched unless it returns TRAVEL_OK.
 */

#ifndef TRAVEL_H
#define TRAVEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#define TRAVEL_OK         0
#define TRAVEL_ERROR    (-1)    /* internal: out of memory, library failure */
#define TRAVEL_INVALID  (-2)    /* the input is not what it should be */
#define TRAVEL_REFUSED  (-3)    /* well-formed, but the answer is no */
#define TRAVEL_UNKNOWN  (-4)    /* cannot judge: key, $ref or name not known */

#define TRAVEL_MUST_CHECK   __attribute__((warn_unused_result))
#define TRAVEL_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* A view of bytes that somebody else owns; never NUL-terminated by promise. */
typedef struct {
    const char  *data;
    size_t       len;
} travel_str_t;

#define TRAVEL_STR(lit)   ((travel_str_t) { (lit), sizeof(lit) - 1 })
#define TRAVEL_NULL_STR   ((travel_str_t) { NULL, 0 })

static inline bool
travel_str_eq(travel_str_t a, travel_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif /* TRAVEL_H */
