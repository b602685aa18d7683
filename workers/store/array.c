/*
 * Arrays as array_recv reads them: a head (dimensions, are there nulls, the
 * element's type, how many, from which index), then each element with its
 * length; everything big-endian.
 */

#include <stdlib.h>

#include "array.h"

#define ARRAY_HEAD       20
#define ARRAY_NULL       0xFFFFFFFF              /* as a length */
#define ARRAY_PARAMS     16
#define ARRAY_EPOCH_US   946684800000000LL       /* 2000-01-01 */


static void
array_u32(char *dst, uint32_t v)
{
    dst[0] = (char) (v >> 24);
    dst[1] = (char) (v >> 16);
    dst[2] = (char) (v >> 8);
    dst[3] = (char) v;
}


static void
array_u64(char *dst, uint64_t v)
{
    array_u32(dst, (uint32_t) (v >> 32));
    array_u32(dst + 4, (uint32_t) v);
}


void
worker_array_init(worker_array_t *a, worker_array_e type)
{
    memset(a, 0, sizeof(*a));
    a->type = type;
    a->len = ARRAY_HEAD;
}


void
worker_array_free(worker_array_t *a)
{
    free(a->data);
    a->data = NULL;
    a->room = 0;
}


static bool
array_room(worker_array_t *a, size_t n)
{
    char    *data;
    size_t   room;

    if (a->failed) {
        return false;
    }

    if (a->len + n <= a->room) {
        return true;
    }

    room = a->room < 4096 ? 4096 : a->room;

    while (room < a->len + n) {
        room *= 2;
    }

    data = realloc(a->data, room);

    if (data == NULL) {
        a->failed = true;
        return false;
    }

    a->data = data;
    a->room = room;
    return true;
}


/* One more element of 'len' bytes, to be filled in; NULL: no memory. */
static char *
array_add(worker_array_t *a, size_t len)
{
    char  *p;

    if (len > INT32_MAX || !array_room(a, 4 + len)) {
        a->failed = true;
        return NULL;
    }

    p = a->data + a->len;
    array_u32(p, (uint32_t) len);
    a->len += 4 + len;
    a->n++;
    return p + 4;
}


void
worker_array_null(worker_array_t *a)
{
    char  *p;

    p = array_add(a, 0);

    if (p != NULL) {
        array_u32(p - 4, ARRAY_NULL);
        a->nulls = true;
    }
}


void
worker_array_text(worker_array_t *a, travel_str_t text)
{
    char  *p;

    p = array_add(a, text.len);

    if (p != NULL && text.len > 0) {
        memcpy(p, text.data, text.len);
    }
}


void
worker_array_uuid(worker_array_t *a, const uint8_t uuid[16])
{
    worker_array_text(a, (travel_str_t) { (const char *) uuid, 16 });
}


void
worker_array_int4(worker_array_t *a, int32_t v)
{
    char  data[4];

    array_u32(data, (uint32_t) v);
    worker_array_text(a, (travel_str_t) { data, sizeof(data) });
}


void
worker_array_int8(worker_array_t *a, int64_t v)
{
    char  data[8];

    array_u64(data, (uint64_t) v);
    worker_array_text(a, (travel_str_t) { data, sizeof(data) });
}


void
worker_array_timestamp(worker_array_t *a, int64_t unix_us)
{
    worker_array_int8(a, unix_us - ARRAY_EPOCH_US);
}


/* An array without elements has no dimension. */
static bool
array_head(worker_array_t *a)
{
    if (!array_room(a, 0)) {
        return false;
    }

    array_u32(a->data, a->n > 0);
    array_u32(a->data + 4, a->nulls);
    array_u32(a->data + 8, a->type);
    array_u32(a->data + 12, a->n);
    array_u32(a->data + 16, 1);

    if (a->n == 0) {
        a->len = ARRAY_HEAD - 8;
    }

    return true;
}


PGresult *
worker_array_exec(worker_pg_t *pg, const char *sql, worker_array_t *arrays,
    int n)
{
    int          i, lengths[ARRAY_PARAMS], formats[ARRAY_PARAMS];
    const char  *params[ARRAY_PARAMS];

    for (i = 0; i < n; i++) {
        if (i == ARRAY_PARAMS || !array_head(&arrays[i])
            || arrays[i].len > INT32_MAX)
        {
            return NULL;
        }

        params[i] = arrays[i].data;
        lengths[i] = (int) arrays[i].len;
        formats[i] = 1;
    }

    return worker_pg_exec_binary(pg, sql, n, params, lengths, formats);
}
