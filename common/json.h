/*
 * Strict JSON (RFC 8259) into a flat, immutable document.
 *
 * One pass over the bytes, one arena, no recursion; numbers keep their text.
 * Refused: anything after the value, a BOM, invalid UTF-8, lone surrogates,
 * unescaped control characters, duplicate member names, depth over the limit.
 *
 * The hot path of a command parses into an arena that is used again for the
 * next request, so a small body costs no malloc.
 */

#ifndef TRAVEL_JSON_H
#define TRAVEL_JSON_H

#include "travel.h"

typedef enum {
    TRAVEL_JSON_NULL,
    TRAVEL_JSON_FALSE,
    TRAVEL_JSON_TRUE,
    TRAVEL_JSON_NUMBER,
    TRAVEL_JSON_STRING,
    TRAVEL_JSON_ARRAY,
    TRAVEL_JSON_OBJECT
} travel_json_type_e;

/* A node of the document; children of a container follow it in order.  For an
 * object they alternate name (a STRING) and value. */
typedef struct {
    uint8_t   type;
    uint8_t   integer;    /* NUMBER: mathematically an integer (1.0, 1e3 too) */
    uint16_t  depth;
    uint32_t  offset;     /* byte offset of the token in the source */
    uint32_t  count;      /* ARRAY: elements; OBJECT: members */
    uint32_t  next;       /* index of the node after this whole subtree */
    travel_str_t  text;   /* STRING: decoded UTF-8; NUMBER, ARRAY, OBJECT: as
                             written */
} travel_json_node_t;

typedef struct travel_json_s  travel_json_t;      /* arena + nodes */

typedef struct {
    int       kind;     /* TRAVEL_E_MALFORMED_JSON or _DUPLICATE_KEY */
    size_t    offset;     /* byte offset of the first offending byte */
    char      pointer[256];  /* DUPLICATE_KEY: RFC 6901 pointer of the member */
    char      message[128];  /* one sentence, no quotes from the input */
} travel_json_error_t;

#define TRAVEL_JSON_DEPTH_DEFAULT  64
#define TRAVEL_JSON_DEPTH_MAX      1024   /* no caller gets more than this */

travel_json_t *travel_json_create(size_t hint);   /* NULL: out of memory */
void travel_json_free(travel_json_t *doc);

/* Replaces what 'doc' held.  Node texts point into 'src' or the arena: both
 * must outlive their use.  'max_depth' counts nested containers; 0 is the
 * default.  TRAVEL_OK, TRAVEL_INVALID (*ret_err filled), TRAVEL_ERROR (memory,
 * or over 4 GiB); 'doc' is empty after the last two.
 *
 * The offset is where the text stops being the start of any JSON text, for a
 * bad escape or bad UTF-8 where that sequence starts, for a duplicate where
 * the second name starts.  Text that is no JSON is MALFORMED_JSON even when
 * it has duplicates too; of several duplicates the first is told. */
int travel_json_parse(travel_json_t *doc, travel_str_t src, unsigned max_depth,
    travel_json_error_t *ret_err) TRAVEL_MUST_CHECK;

/* Node 0 is the root; valid until the next parse or free. */
const travel_json_node_t *travel_json_nodes(const travel_json_t *doc);
size_t travel_json_count(const travel_json_t *doc);
/* Bytes that it keeps for the next parse. */
size_t travel_json_room(const travel_json_t *doc);

/* Value of a member of the object at index 'obj', or NULL. */
const travel_json_node_t *travel_json_member(const travel_json_t *doc,
    uint32_t obj, travel_str_t name);

/* RFC 6901 pointer of a node (of a member, when the node is its name or its
 * value), NUL-terminated; returns its length.  A pointer that does not fit is
 * that of the nearest ancestor whose pointer does. */
size_t travel_json_pointer(const travel_json_t *doc, uint32_t node, char *dst,
    size_t room);

/* Appends "/token", escaped, at dst, without NUL; returns its length, 0 when
 * it does not fit with a NUL behind it. */
size_t travel_json_pointer_token(char *dst, size_t room, travel_str_t token);

/* Numbers.  TRAVEL_OK, or TRAVEL_INVALID when it is no integer or does not
 * fit. */
int travel_json_int64(const travel_json_node_t *node, int64_t *ret_v)
    TRAVEL_MUST_CHECK;
double travel_json_double(const travel_json_node_t *node);

/* Deep equality as JSON Schema means it (1 = 1.0, members in any order). */
bool travel_json_equal(const travel_json_t *a, uint32_t ia,
    const travel_json_t *b, uint32_t ib);

/* Appends 's' as a quoted JSON string; dst must hold 6 * s.len + 2.  Returns
 * bytes written.  Invalid UTF-8 becomes U+FFFD. */
size_t travel_json_quote(char *dst, travel_str_t s);

#endif
