/* Encode and check the records by which nodes share cached answers. */

#include "cache_record.h"
#include "hash.h"


#define CACHE_RECORD_MAGIC   "TRC1"
#define CACHE_RECORD_PARTS   5
#define CACHE_RECORD_HEAD    (4 + 4 + 16 + 4 + 16 + 24                        \
                              + 4 * CACHE_RECORD_PARTS)


static char *
cache_record_put32(char *p, uint32_t v)
{
    int  shift;

    for (shift = 24; shift >= 0; shift -= 8) {
        *p++ = (char) (v >> shift);
    }

    return p;
}


static char *
cache_record_put64(char *p, uint64_t v)
{
    p = cache_record_put32(p, (uint32_t) (v >> 32));

    return cache_record_put32(p, (uint32_t) v);
}


static uint32_t
cache_record_get32(const char **p)
{
    int       i;
    uint32_t  v;

    v = 0;

    for (i = 0; i < 4; i++) {
        v = v << 8 | (uint8_t) *(*p)++;
    }

    return v;
}


static uint64_t
cache_record_get64(const char **p)
{
    uint64_t  high;

    high = cache_record_get32(p);

    return high << 32 | cache_record_get32(p);
}


size_t
travel_cache_record_size(const travel_cache_record_t *record)
{
    size_t               i, left;
    const travel_str_t  *parts[CACHE_RECORD_PARTS] = {
        &record->key, &record->tags, &record->etag, &record->body,
        &record->packed
    };

    left = TRAVEL_CACHE_RECORD_MAX - CACHE_RECORD_HEAD - TRAVEL_SHA256_LEN;

    for (i = 0; i < CACHE_RECORD_PARTS; i++) {
        if (parts[i]->len > left) {
            return 0;
        }

        left -= parts[i]->len;
    }

    return TRAVEL_CACHE_RECORD_MAX - left;
}


int
travel_cache_record_encode(char *dst, const travel_cache_record_t *record,
    travel_str_t secret)
{
    char                *p;
    size_t               i, size;
    uint8_t              mac[TRAVEL_SHA256_LEN];
    const travel_str_t  *parts[CACHE_RECORD_PARTS] = {
        &record->key, &record->tags, &record->etag, &record->body,
        &record->packed
    };

    size = travel_cache_record_size(record);

    if (size == 0) {
        return TRAVEL_REFUSED;
    }

    memcpy(dst, CACHE_RECORD_MAGIC, 4);

    p = cache_record_put32(dst + 4, (uint32_t) size);
    p = cache_record_put64(p, record->pos.ms);
    p = cache_record_put64(p, record->pos.seq);
    p = cache_record_put32(p, record->timeline);
    p = cache_record_put64(p, record->purge.ms);
    p = cache_record_put64(p, record->purge.seq);
    p = cache_record_put64(p, record->filled);
    p = cache_record_put64(p, record->ttl);
    p = cache_record_put64(p, record->stale);

    for (i = 0; i < CACHE_RECORD_PARTS; i++) {
        p = cache_record_put32(p, (uint32_t) parts[i]->len);
    }

    for (i = 0; i < CACHE_RECORD_PARTS; i++) {
        if (parts[i]->len != 0) {
            memcpy(p, parts[i]->data, parts[i]->len);
            p += parts[i]->len;
        }
    }

    if (travel_hmac_sha256(mac, secret,
                           (travel_str_t) { dst, (size_t) (p - dst) })
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    memcpy(p, mac, sizeof(mac));

    return TRAVEL_OK;
}


/* Is it whole, of this version, and signed by one of us? */
static bool
cache_record_ours(travel_str_t bytes, travel_str_t secret)
{
    size_t       signed_len;
    uint8_t      mac[TRAVEL_SHA256_LEN];
    const char  *p;

    if (bytes.len < CACHE_RECORD_HEAD + TRAVEL_SHA256_LEN
        || bytes.len > TRAVEL_CACHE_RECORD_MAX
        || memcmp(bytes.data, CACHE_RECORD_MAGIC, 4) != 0)
    {
        return false;
    }

    p = bytes.data + 4;

    if (cache_record_get32(&p) != bytes.len) {
        return false;
    }

    signed_len = bytes.len - TRAVEL_SHA256_LEN;

    return travel_hmac_sha256(mac, secret,
                              (travel_str_t) { bytes.data, signed_len })
               == TRAVEL_OK
           && travel_secret_eq((travel_str_t) { (char *) mac, sizeof(mac) },
                               (travel_str_t) { bytes.data + signed_len,
                                                TRAVEL_SHA256_LEN });
}


int
travel_cache_record_decode(travel_cache_record_t *ret_record,
    travel_str_t bytes, travel_str_t secret)
{
    size_t                  i, left;
    const char             *p;
    travel_cache_record_t   record;
    travel_str_t           *parts[CACHE_RECORD_PARTS] = {
        &record.key, &record.tags, &record.etag, &record.body, &record.packed
    };

    if (!cache_record_ours(bytes, secret)) {
        return TRAVEL_INVALID;
    }

    p = bytes.data + 8;

    record.pos.ms = cache_record_get64(&p);
    record.pos.seq = cache_record_get64(&p);
    record.timeline = cache_record_get32(&p);
    record.purge.ms = cache_record_get64(&p);
    record.purge.seq = cache_record_get64(&p);
    record.filled = cache_record_get64(&p);
    record.ttl = cache_record_get64(&p);
    record.stale = cache_record_get64(&p);

    if (record.ttl > TRAVEL_CACHE_RECORD_TIME
        || record.stale > TRAVEL_CACHE_RECORD_TIME
        || record.filled > UINT64_MAX / 4)
    {
        return TRAVEL_INVALID;
    }

    left = bytes.len - CACHE_RECORD_HEAD - TRAVEL_SHA256_LEN;

    for (i = 0; i < CACHE_RECORD_PARTS; i++) {
        parts[i]->len = cache_record_get32(&p);

        if (parts[i]->len > left) {
            return TRAVEL_INVALID;
        }

        left -= parts[i]->len;
    }

    if (left != 0) {
        return TRAVEL_INVALID;
    }

    for (i = 0; i < CACHE_RECORD_PARTS; i++) {
        parts[i]->data = p;
        p += parts[i]->len;
    }

    *ret_record = record;

    return TRAVEL_OK;
}
