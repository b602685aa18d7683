/*
 * gzip (RFC 1952) of bytes that lie in memory, into no more room than it is
 * worth: what does not fit is not compressible enough.
 */

#ifndef TRAVEL_GZIP_H
#define TRAVEL_GZIP_H

#include "travel.h"

#define TRAVEL_GZIP_LEVELS  9       /* 1: fast ... 9: small */

typedef struct travel_gzip_s  travel_gzip_t;

/* About 270 KB, to be used again and again; NULL: no memory, or no such
 * level.  Not for two threads at a time. */
travel_gzip_t *travel_gzip_new(int level);
void travel_gzip_free(travel_gzip_t *gz);

/* One member of 'src' into 'dst'.  TRAVEL_REFUSED: more than 'cap' bytes.
 * The same bytes always give the same ones: there is no time in them. */
int travel_gzip_pack(travel_gzip_t *gz, travel_str_t src, char *dst,
    size_t cap, size_t *ret_len) TRAVEL_MUST_CHECK;

#endif
