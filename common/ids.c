/* UUIDs with a bucket inside, and job ids made of them. */

#include "digits.h"
#include "hash.h"
#include "ids.h"


unsigned
travel_bucket(travel_str_t user)
{
    uint8_t  md[TRAVEL_SHA256_LEN];

    /* the digest fails only where nothing works any more; any constant keeps
     * both sides of such a process in agreement */

    if (travel_sha256(md, user) != TRAVEL_OK) {
        return 0;
    }

    return (unsigned) md[0] << 4 | md[1] >> 4;
}


static void
travel_uuid_stamp(travel_uuid_t *id, unsigned version)
{
    id->b[6] = (uint8_t) ((id->b[6] & 0x0f) | version << 4);
    id->b[8] = (uint8_t) ((id->b[8] & 0x3f) | 0x80);
}


travel_uuid_t
travel_uuid7(uint64_t unix_ms, unsigned bucket, const uint8_t rnd[8])
{
    int            i;
    travel_uuid_t  id;

    for (i = 0; i < 6; i++) {
        id.b[i] = (uint8_t) (unix_ms >> (40 - 8 * i));
    }

    id.b[6] = (uint8_t) (bucket >> 8);
    id.b[7] = (uint8_t) bucket;

    memcpy(id.b + 8, rnd, 8);
    travel_uuid_stamp(&id, 7);

    return id;
}


travel_uuid_t
travel_uuid_after(const travel_uuid_t *id, uint32_t n)
{
    int            i;
    uint64_t       random;
    travel_uuid_t  next;

    for (random = 0, i = 8; i < TRAVEL_UUID_LEN; i++) {
        random = random << 8 | id->b[i];
    }

    next = *id;

    for (random += n, i = TRAVEL_UUID_LEN - 1; i >= 8; i--, random >>= 8) {
        next.b[i] = (uint8_t) random;
    }

    next.b[8] = (uint8_t) ((next.b[8] & 0x3f) | (id->b[8] & 0xc0));

    return next;
}


/* As RFC 9562 appendix B.2: the digest's first 128 bits with version and
 * variant written over six of them. */

int
travel_uuid8(travel_uuid_t *ret_id, const travel_str_t *parts, size_t n)
{
    int      rc;
    uint8_t  md[TRAVEL_SHA256_LEN];

    rc = travel_sha256_parts(md, parts, n);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    memcpy(ret_id->b, md, TRAVEL_UUID_LEN);
    travel_uuid_stamp(ret_id, 8);

    return TRAVEL_OK;
}


unsigned
travel_uuid_bucket(const travel_uuid_t *id)
{
    return (unsigned) (id->b[6] & 0x0f) << 8 | id->b[7];
}


uint64_t
travel_uuid_ms(const travel_uuid_t *id)
{
    int       i;
    uint64_t  ms;

    for (ms = 0, i = 0; i < 6; i++) {
        ms = ms << 8 | id->b[i];
    }

    return ms;
}


unsigned
travel_uuid_version(const travel_uuid_t *id)
{
    return id->b[6] >> 4;
}


void
travel_uuid_format(char dst[TRAVEL_UUID_TEXT_LEN], const travel_uuid_t *id)
{
    travel_hex_encode(dst, id->b, 4);
    dst[8] = '-';
    travel_hex_encode(dst + 9, id->b + 4, 2);
    dst[13] = '-';
    travel_hex_encode(dst + 14, id->b + 6, 2);
    dst[18] = '-';
    travel_hex_encode(dst + 19, id->b + 8, 2);
    dst[23] = '-';
    travel_hex_encode(dst + 24, id->b + 10, 6);
}


/* Every request parses its caller's id: all digits first, one question at the
 * end.  A digit has its bit 4 set, what is none is zero. */

int
travel_uuid_parse(travel_uuid_t *ret_id, travel_str_t text)
{
    size_t          i;
    uint8_t         hi, lo, valid;
    const uint8_t  *p;
    travel_uuid_t   id;

    static const uint8_t  offset[TRAVEL_UUID_LEN] = {
        0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34
    };

    static const uint8_t  digit[256] = {
        ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13,
        ['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
        ['8'] = 0x18, ['9'] = 0x19,
        ['a'] = 0x1a, ['b'] = 0x1b, ['c'] = 0x1c, ['d'] = 0x1d,
        ['e'] = 0x1e, ['f'] = 0x1f,
        ['A'] = 0x1a, ['B'] = 0x1b, ['C'] = 0x1c, ['D'] = 0x1d,
        ['E'] = 0x1e, ['F'] = 0x1f
    };

    if (text.len != TRAVEL_UUID_TEXT_LEN) {
        return TRAVEL_INVALID;
    }

    p = (const uint8_t *) text.data;
    valid = 0x10;

    for (i = 0; i < TRAVEL_UUID_LEN; i++) {
        hi = digit[p[offset[i]]];
        lo = digit[p[offset[i] + 1]];

        valid &= hi & lo;
        id.b[i] = (uint8_t) (hi << 4 | (lo & 0x0f));
    }

    if (!valid || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-'
        || (id.b[8] & 0xc0) != 0x80)
    {
        return TRAVEL_INVALID;
    }

    *ret_id = id;

    return TRAVEL_OK;
}


static bool
travel_job_queue_valid(travel_str_t queue)
{
    size_t  i;

    if (queue.len == 0 || queue.len > TRAVEL_QUEUE_NAME_MAX) {
        return false;
    }

    for (i = 0; i < queue.len; i++) {
        if (queue.data[i] < 'a' || queue.data[i] > 'z') {
            return false;
        }
    }

    return true;
}


size_t
travel_job_id_format(char *dst, const travel_job_id_t *id)
{
    char  *p;

    p = dst;

    /* what parse would refuse is not written: 0 and an empty text */

    if (travel_job_queue_valid(id->queue)
        && id->partition < TRAVEL_PARTITIONS_MAX)
    {
        memcpy(p, id->queue.data, id->queue.len);
        p += id->queue.len;
        *p++ = '.';
        p += travel_digits_format(p, id->partition);
        *p++ = '.';
        travel_uuid_format(p, &id->id);
        p += TRAVEL_UUID_TEXT_LEN;
    }

    *p = '\0';

    return (size_t) (p - dst);
}


int
travel_job_id_parse(travel_job_id_t *ret_id, travel_str_t text)
{
    uint64_t         partition;
    const char      *dot, *end;
    travel_str_t     number, uuid;
    travel_job_id_t  id;

    if (text.len > TRAVEL_JOB_ID_MAX
        || text.len < TRAVEL_UUID_TEXT_LEN + sizeof("a.0.") - 1)
    {
        return TRAVEL_INVALID;
    }

    /* the uuid has a fixed length, so the second dot has a fixed place */

    end = text.data + text.len - TRAVEL_UUID_TEXT_LEN - 1;
    dot = memchr(text.data, '.', (size_t) (end - text.data));

    if (dot == NULL || *end != '.') {
        return TRAVEL_INVALID;
    }

    id.queue.data = text.data;
    id.queue.len = (size_t) (dot - text.data);

    number.data = dot + 1;
    number.len = (size_t) (end - number.data);

    uuid.data = end + 1;
    uuid.len = TRAVEL_UUID_TEXT_LEN;

    if (!travel_job_queue_valid(id.queue)
        || travel_digits_parse(&partition, number) != TRAVEL_OK
        || partition >= TRAVEL_PARTITIONS_MAX
        || travel_uuid_parse(&id.id, uuid) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    id.partition = (unsigned) partition;
    *ret_id = id;

    return TRAVEL_OK;
}


bool
travel_job_id_uuid(char dst[TRAVEL_UUID_TEXT_LEN + 1], travel_str_t text)
{
    travel_job_id_t  id;

    if (travel_job_id_parse(&id, text) != TRAVEL_OK) {
        return false;
    }

    travel_uuid_format(dst, &id.id);
    dst[TRAVEL_UUID_TEXT_LEN] = '\0';

    return true;
}
