/* Cursors of lists: signing and reading them.  See cursor.h. */

#include "cursor.h"
#include "base64url.h"
#include "hash.h"

#include <string.h>

#define TRAVEL_CURSOR_VERSION  1
#define TRAVEL_CURSOR_MAC      16
#define TRAVEL_CURSOR_BODY     (TRAVEL_CURSOR_RAW_MAX - TRAVEL_CURSOR_MAC)


/* The same secret signs consistency tokens, whose text begins with a version:
 * "cursor" cannot be taken for it. */

static int
travel_cursor_mac(uint8_t ret_mac[TRAVEL_SHA256_LEN], travel_str_t body,
    travel_str_t scope, travel_str_t secret)
{
    int           rc;
    uint8_t       md[TRAVEL_SHA256_LEN], text[6 + TRAVEL_SHA256_LEN];
    travel_str_t  parts[2];

    parts[0] = scope;
    parts[1] = body;

    rc = travel_sha256_parts(md, parts, 2);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    memcpy(text, "cursor", 6);
    memcpy(text + 6, md, sizeof(md));

    return travel_hmac_sha256(ret_mac, secret,
                              (travel_str_t) { (const char *) text,
                                               sizeof(text) });
}


int
travel_cursor_sign(char *dst, size_t *ret_len, const travel_str_t *values,
    size_t n, travel_str_t scope, travel_str_t secret)
{
    int       rc;
    char      raw[TRAVEL_CURSOR_RAW_MAX];
    size_t    i, len;
    uint8_t   mac[TRAVEL_SHA256_LEN];

    if (secret.len == 0 || n == 0 || n > TRAVEL_CURSOR_VALUES_MAX) {
        return TRAVEL_INVALID;
    }

    raw[0] = TRAVEL_CURSOR_VERSION;
    len = 1;

    for (i = 0; i < n; i++) {
        if (values[i].len >= TRAVEL_CURSOR_BODY - len
            || (values[i].len != 0
                && memchr(values[i].data, '\0', values[i].len) != NULL))
        {
            return TRAVEL_INVALID;
        }

        if (values[i].len != 0) {
            memcpy(raw + len, values[i].data, values[i].len);
        }

        len += values[i].len;
        raw[len++] = '\0';
    }

    rc = travel_cursor_mac(mac, (travel_str_t) { raw, len }, scope, secret);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    memcpy(raw + len, mac, TRAVEL_CURSOR_MAC);
    *ret_len = travel_base64url_encode(dst, raw, len + TRAVEL_CURSOR_MAC);

    return TRAVEL_OK;
}


/* Exactly n values, each closed by its NUL. */

static int
travel_cursor_split(char *body, size_t len, const char **ret_values, size_t n)
{
    char    *p, *end;
    size_t   i;

    p = body;
    end = body + len;

    for (i = 0; i < n; i++) {
        ret_values[i] = p;

        p = p < end ? memchr(p, '\0', (size_t) (end - p)) : NULL;
        if (p == NULL) {
            return TRAVEL_INVALID;
        }

        p++;
    }

    return p == end ? TRAVEL_OK : TRAVEL_INVALID;
}


int
travel_cursor_verify(char *buf, const char **ret_values, size_t n,
    travel_str_t text, travel_str_t scope, travel_str_t secret)
{
    int           rc;
    size_t        len;
    uint8_t       mac[TRAVEL_SHA256_LEN];
    travel_str_t  want, have;

    if (text.len > TRAVEL_CURSOR_MAX || n > TRAVEL_CURSOR_VALUES_MAX
        || travel_base64url_decode((uint8_t *) buf, &len, text) != TRAVEL_OK
        || len < 1 + TRAVEL_CURSOR_MAC
        || buf[0] != TRAVEL_CURSOR_VERSION)
    {
        return TRAVEL_INVALID;
    }

    if (secret.len == 0) {
        return TRAVEL_REFUSED;
    }

    len -= TRAVEL_CURSOR_MAC;

    rc = travel_cursor_mac(mac, (travel_str_t) { buf, len }, scope, secret);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    want = (travel_str_t) { (const char *) mac, TRAVEL_CURSOR_MAC };
    have = (travel_str_t) { buf + len, TRAVEL_CURSOR_MAC };

    if (!travel_secret_eq(want, have)) {
        return TRAVEL_REFUSED;
    }

    return travel_cursor_split(buf + 1, len - 1, ret_values, n);
}
