/*
 * The target of a reference, as in Location and Content-Location, seen from
 * the request that it answers (RFC 3986 section 5): only where it is of the
 * same origin.
 */

#ifndef TRAVEL_HTTP_TARGET_H
#define TRAVEL_HTTP_TARGET_H

#include "travel.h"

/*
 * 'scheme' is "http" or "https", 'authority' the host in lower case with the
 * port unless that is the scheme's; 'path' the request target with its query.
 * Writes the referred path and query (dot segments gone, no fragment) to 'dst',
 * which holds path.len + ref.len + 1 bytes.
 *
 * TRAVEL_OK; TRAVEL_REFUSED: another origin; TRAVEL_INVALID: no reference.
 */
int travel_http_target(char *dst, size_t *ret_len, travel_str_t scheme,
    travel_str_t authority, travel_str_t path, travel_str_t ref)
    TRAVEL_MUST_CHECK;

/*
 * The normal form of a request target (RFC 9110 section 4.2.3, RFC 3986 section
 * 6.2.2): no escapes that need not be, the others in capitals, no dot segments.
 * For what must hold for all spellings of a resource; an origin need not answer
 * them alike.  'dst' holds target.len bytes; returns how many there are.
 */
size_t travel_http_normal(char *dst, travel_str_t target);

/* host[:port] in lower case without the port that the scheme has anyway;
 * 'dst' holds host.len bytes. */
size_t travel_http_authority(char *dst, travel_str_t scheme,
    travel_str_t host);

#endif
