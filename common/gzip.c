/* gzip of bytes in memory, by zlib. */

#include "gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>


#define GZIP_FRAME   (MAX_WBITS + 16)     /* gzip's header and trailer */
#define GZIP_MEMORY  8


struct travel_gzip_s {
    z_stream  z;
};


travel_gzip_t *
travel_gzip_new(int level)
{
    travel_gzip_t  *gz;

    if (level < 1 || level > TRAVEL_GZIP_LEVELS) {
        return NULL;
    }

    gz = calloc(1, sizeof(travel_gzip_t));
    if (gz == NULL) {
        return NULL;
    }

    if (deflateInit2(&gz->z, level, Z_DEFLATED, GZIP_FRAME, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        free(gz);
        return NULL;
    }

    return gz;
}


void
travel_gzip_free(travel_gzip_t *gz)
{
    if (gz != NULL) {
        (void) deflateEnd(&gz->z);
        free(gz);
    }
}


int
travel_gzip_pack(travel_gzip_t *gz, travel_str_t src, char *dst, size_t cap,
    size_t *ret_len)
{
    int        rc;
    z_stream  *z = &gz->z;

    if (src.len > UINT_MAX || cap > UINT_MAX || deflateReset(z) != Z_OK) {
        return TRAVEL_ERROR;
    }

    z->next_in = (Bytef *) (uintptr_t) src.data;
    z->avail_in = (uInt) src.len;
    z->next_out = (Bytef *) dst;
    z->avail_out = (uInt) cap;

    rc = deflate(z, Z_FINISH);

    if (rc == Z_STREAM_END) {
        *ret_len = cap - z->avail_out;
        return TRAVEL_OK;
    }

    return (rc == Z_OK || rc == Z_BUF_ERROR) ? TRAVEL_REFUSED : TRAVEL_ERROR;
}
