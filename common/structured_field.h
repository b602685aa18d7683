/*
 * Structured fields (RFC 9651, before it RFC 8941): a reader of Lists and
 * Dictionaries, member by member, without allocation.
 *
 *     travel_sf_t  sf = travel_sf_open(text);
 *     while ((rc = travel_sf_list_next(&sf, &item)) == TRAVEL_OK) ...
 *     if (rc == TRAVEL_INVALID) the whole field counts as absent
 *
 * Several lines of one field are joined with commas before they are read.
 * Parameters and the members of inner lists are checked and passed over.
 */

#ifndef TRAVEL_STRUCTURED_FIELD_H
#define TRAVEL_STRUCTURED_FIELD_H

#include "travel.h"

typedef enum {
    TRAVEL_SF_INTEGER,      /* number */
    TRAVEL_SF_DECIMAL,      /* number, in thousandths */
    TRAVEL_SF_STRING,       /* text between the quotes, escapes as they came */
    TRAVEL_SF_TOKEN,        /* text */
    TRAVEL_SF_BYTES,        /* text, base64 */
    TRAVEL_SF_BOOLEAN,      /* number 0 or 1 */
    TRAVEL_SF_DATE,         /* number, unix seconds */
    TRAVEL_SF_DISPLAY,      /* text, percent-encoded */
    TRAVEL_SF_INNER_LIST
} travel_sf_type_e;

typedef struct {
    travel_sf_type_e   type;
    int64_t            number;
    travel_str_t       text;        /* within the field that was opened */
} travel_sf_item_t;

typedef struct {
    const char        *p;
    const char        *end;
    bool               more;        /* a comma was read */
} travel_sf_t;

travel_sf_t travel_sf_open(travel_str_t field);

/* TRAVEL_OK: a member; TRAVEL_UNKNOWN: there are no more; TRAVEL_INVALID: the
 * field is malformed and its earlier members do not count either. */
int travel_sf_list_next(travel_sf_t *sf, travel_sf_item_t *ret_item)
    TRAVEL_MUST_CHECK;
/* Of a key that comes twice the last counts; the caller sees both. */
int travel_sf_dict_next(travel_sf_t *sf, travel_str_t *ret_key,
    travel_sf_item_t *ret_item) TRAVEL_MUST_CHECK;

/* The characters of a String without its escapes; 'dst' holds text.len. */
size_t travel_sf_string(char *dst, travel_str_t text);

#endif
