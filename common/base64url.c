/* Base64url without padding, strict in what it accepts (RFC 4648 section 5). */

#include "base64url.h"


#define BAD  0x80        /* survives the OR over a group's four values */

static const char travel_base64url_chars[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BAD8   BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD
#define BAD32  BAD8, BAD8, BAD8, BAD8

static const uint8_t travel_base64url_values[256] = {
    BAD32,
    BAD8, BAD, BAD, BAD, BAD, BAD, 62, BAD, BAD,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, BAD, BAD, BAD, BAD, 63,
    BAD, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, BAD, BAD, BAD, BAD, BAD,
    BAD32, BAD32, BAD32, BAD32
};


size_t
travel_base64url_encode(char *dst, const void *src, size_t n)
{
    char           *p;
    uint32_t        v;
    const uint8_t  *s;

    p = dst;
    s = src;

    for ( /* void */ ; n >= 3; n -= 3, s += 3) {
        v = (uint32_t) s[0] << 16 | (uint32_t) s[1] << 8 | s[2];

        *p++ = travel_base64url_chars[v >> 18];
        *p++ = travel_base64url_chars[v >> 12 & 63];
        *p++ = travel_base64url_chars[v >> 6 & 63];
        *p++ = travel_base64url_chars[v & 63];
    }

    if (n == 1) {
        *p++ = travel_base64url_chars[s[0] >> 2];
        *p++ = travel_base64url_chars[(s[0] & 3) << 4];

    } else if (n == 2) {
        *p++ = travel_base64url_chars[s[0] >> 2];
        *p++ = travel_base64url_chars[(s[0] & 3) << 4 | s[1] >> 4];
        *p++ = travel_base64url_chars[(s[1] & 15) << 2];
    }

    return (size_t) (p - dst);
}


int
travel_base64url_decode(uint8_t *dst, size_t *ret_len, travel_str_t src)
{
    size_t          n;
    uint8_t         a, b, c, d, *p;
    const uint8_t  *s;

    p = dst;
    s = (const uint8_t *) src.data;

    for (n = src.len; n >= 4; n -= 4, s += 4) {
        a = travel_base64url_values[s[0]];
        b = travel_base64url_values[s[1]];
        c = travel_base64url_values[s[2]];
        d = travel_base64url_values[s[3]];

        if ((a | b | c | d) & BAD) {
            return TRAVEL_INVALID;
        }

        *p++ = (uint8_t) (a << 2 | b >> 4);
        *p++ = (uint8_t) (b << 4 | c >> 2);
        *p++ = (uint8_t) (c << 6 | d);
    }

    if (n == 1) {
        return TRAVEL_INVALID;
    }

    if (n >= 2) {
        a = travel_base64url_values[s[0]];
        b = travel_base64url_values[s[1]];
        c = n == 3 ? travel_base64url_values[s[2]] : 0;

        /* bits that encode nothing are zero, or one value has many spellings */

        if (((a | b | c) & BAD) || (n == 2 ? b & 15 : c & 3)) {
            return TRAVEL_INVALID;
        }

        *p++ = (uint8_t) (a << 2 | b >> 4);

        if (n == 3) {
            *p++ = (uint8_t) (b << 4 | c >> 2);
        }
    }

    *ret_len = (size_t) (p - dst);

    return TRAVEL_OK;
}
