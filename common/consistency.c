/* Positions in the database and in the invalidation stream, and the signed
 * token that carries both. */

#include "base64url.h"
#include "consistency.h"
#include "digits.h"
#include "hash.h"


#define TRAVEL_TOKEN_VERSION  1
#define TRAVEL_TOKEN_BODY     25     /* 1 + 4 + 8 + 8 + 4 */
#define TRAVEL_TOKEN_MAC      12
#define TRAVEL_TOKEN_LEN      (TRAVEL_TOKEN_BODY + TRAVEL_TOKEN_MAC)


int
travel_lsn_cmp(travel_lsn_t a, travel_lsn_t b)
{
    if (a.timeline != b.timeline) {
        return a.timeline < b.timeline ? -1 : 1;
    }

    return a.lsn < b.lsn ? -1 : a.lsn > b.lsn;
}


int
travel_stream_id_cmp(travel_stream_id_t a, travel_stream_id_t b)
{
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }

    return a.seq < b.seq ? -1 : a.seq > b.seq;
}


static size_t
travel_lsn_half(char *dst, uint32_t v)
{
    int                shift;
    char              *p;
    static const char  digits[16] = "0123456789ABCDEF";

    p = dst;

    for (shift = 28; shift > 0 && v >> shift == 0; shift -= 4) { /* void */ }

    for ( /* void */ ; shift >= 0; shift -= 4) {
        *p++ = digits[v >> shift & 15];
    }

    return (size_t) (p - dst);
}


size_t
travel_lsn_format(char *dst, uint64_t lsn)
{
    char  *p;

    p = dst;

    p += travel_lsn_half(p, (uint32_t) (lsn >> 32));
    *p++ = '/';
    p += travel_lsn_half(p, (uint32_t) lsn);
    *p = '\0';

    return (size_t) (p - dst);
}


static int
travel_lsn_half_parse(uint64_t *ret_v, const char *p, const char *end)
{
    char      c;
    uint64_t  v;

    if (end - p < 1 || end - p > 8) {
        return TRAVEL_INVALID;
    }

    for (v = 0; p < end; p++) {
        c = *p;

        if (c >= '0' && c <= '9') {
            v = v << 4 | (uint64_t) (c - '0');
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return TRAVEL_INVALID;
        }

        v = v << 4 | (uint64_t) (c - 'a' + 10);
    }

    *ret_v = v;

    return TRAVEL_OK;
}


int
travel_lsn_parse(uint64_t *ret_lsn, travel_str_t text)
{
    uint64_t     hi, lo;
    const char  *slash, *end;

    if (text.len == 0) {
        return TRAVEL_INVALID;
    }

    end = text.data + text.len;
    slash = memchr(text.data, '/', text.len);

    if (slash == NULL
        || travel_lsn_half_parse(&hi, text.data, slash) != TRAVEL_OK
        || travel_lsn_half_parse(&lo, slash + 1, end) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    *ret_lsn = hi << 32 | lo;

    return TRAVEL_OK;
}


size_t
travel_stream_id_format(char *dst, travel_stream_id_t id)
{
    char  *p;

    p = dst;

    p += travel_digits_format(p, id.ms);
    *p++ = '-';
    p += travel_digits_format(p, id.seq);
    *p = '\0';

    return (size_t) (p - dst);
}


int
travel_stream_id_parse(travel_stream_id_t *ret_id, travel_str_t text)
{
    travel_str_t        ms, seq;
    const char         *dash;
    travel_stream_id_t  id;

    if (text.len == 0) {
        return TRAVEL_INVALID;
    }

    dash = memchr(text.data, '-', text.len);
    if (dash == NULL) {
        return TRAVEL_INVALID;
    }

    ms.data = text.data;
    ms.len = (size_t) (dash - text.data);
    seq.data = dash + 1;
    seq.len = text.len - ms.len - 1;

    if (travel_digits_parse(&id.ms, ms) != TRAVEL_OK
        || travel_digits_parse(&id.seq, seq) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    *ret_id = id;

    return TRAVEL_OK;
}


static uint8_t *
travel_put(uint8_t *p, uint64_t v, int bytes)
{
    while (bytes--) {
        *p++ = (uint8_t) (v >> (8 * bytes));
    }

    return p;
}


static uint64_t
travel_get(const uint8_t *p, int bytes)
{
    uint64_t  v;

    for (v = 0; bytes; bytes--) {
        v = v << 8 | *p++;
    }

    return v;
}


/* TRAVEL_INVALID for an empty secret, which would sign for everybody, and
 * for a sequence number that the token has no room for. */

int
travel_consistency_sign(char *dst, size_t *ret_len,
    const travel_consistency_t *token, travel_str_t secret)
{
    int           rc;
    uint8_t       raw[TRAVEL_TOKEN_LEN], mac[TRAVEL_SHA256_LEN], *p;
    travel_str_t  body;

    if (secret.len == 0 || token->inval.seq > UINT32_MAX) {
        return TRAVEL_INVALID;
    }

    p = travel_put(raw, TRAVEL_TOKEN_VERSION, 1);
    p = travel_put(p, token->commit.timeline, 4);
    p = travel_put(p, token->commit.lsn, 8);
    p = travel_put(p, token->inval.ms, 8);
    p = travel_put(p, token->inval.seq, 4);

    body.data = (const char *) raw;
    body.len = TRAVEL_TOKEN_BODY;

    rc = travel_hmac_sha256(mac, secret, body);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    memcpy(p, mac, TRAVEL_TOKEN_MAC);
    *ret_len = travel_base64url_encode(dst, raw, sizeof(raw));

    return TRAVEL_OK;
}


int
travel_consistency_verify(travel_consistency_t *ret_token, travel_str_t text,
    travel_str_t secret)
{
    int           rc;
    size_t        n;
    uint8_t       raw[TRAVEL_TOKEN_LEN], mac[TRAVEL_SHA256_LEN];
    travel_str_t  body, want, have;

    if (text.len != TRAVEL_BASE64URL_LEN(TRAVEL_TOKEN_LEN)
        || travel_base64url_decode(raw, &n, text) != TRAVEL_OK
        || raw[0] != TRAVEL_TOKEN_VERSION)
    {
        return TRAVEL_INVALID;
    }

    if (secret.len == 0) {
        return TRAVEL_REFUSED;
    }

    body.data = (const char *) raw;
    body.len = TRAVEL_TOKEN_BODY;

    rc = travel_hmac_sha256(mac, secret, body);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    want = (travel_str_t) { (const char *) mac, TRAVEL_TOKEN_MAC };
    have = (travel_str_t) { body.data + body.len, TRAVEL_TOKEN_MAC };

    if (!travel_secret_eq(want, have)) {
        return TRAVEL_REFUSED;
    }

    ret_token->commit.timeline = (uint32_t) travel_get(raw + 1, 4);
    ret_token->commit.lsn = travel_get(raw + 5, 8);
    ret_token->inval.ms = travel_get(raw + 13, 8);
    ret_token->inval.seq = travel_get(raw + 21, 4);

    return TRAVEL_OK;
}
