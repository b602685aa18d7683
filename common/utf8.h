/* UTF-8 by the strict table of RFC 3629: no overlong form, no surrogate. */

#ifndef TRAVEL_UTF8_H
#define TRAVEL_UTF8_H

#include "travel.h"

/* Bytes of the well-formed sequence at p (1-4), 0 when there is none. */
static inline unsigned
travel_utf8_len(const char *p, const char *end)
{
    const uint8_t  *s = (const uint8_t *) p;
    size_t          left = (size_t) (end - p);
    uint8_t         lo = 0x80, hi = 0xBF;

    if (left == 0) {
        return 0;
    }

    if (s[0] < 0x80) {
        return 1;
    }

    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        return left >= 2 && (s[1] & 0xC0) == 0x80 ? 2 : 0;
    }

    if ((s[0] & 0xF0) == 0xE0) {
        if (s[0] == 0xE0) { lo = 0xA0; }
        if (s[0] == 0xED) { hi = 0x9F; }

        return left >= 3 && s[1] >= lo && s[1] <= hi
               && (s[2] & 0xC0) == 0x80 ? 3 : 0;
    }

    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        if (s[0] == 0xF0) { lo = 0x90; }
        if (s[0] == 0xF4) { hi = 0x8F; }

        return left >= 4 && s[1] >= lo && s[1] <= hi
               && (s[2] & 0xC0) == 0x80 && (s[3] & 0xC0) == 0x80 ? 4 : 0;
    }

    return 0;
}

/* Makes a text of others', or one that was cut, well-formed: what is not
 * becomes question marks. */
static inline void
travel_utf8_mend(char *p, const char *end)
{
    unsigned  n;

    for ( ; p < end; p += n) {
        n = travel_utf8_len(p, end);

        if (n == 0) {
            *p = '?';
            n = 1;
        }
    }
}

/* Decodes one code point of text that is known to be well-formed. */
static inline uint32_t
travel_utf8_next(const char **pp)
{
    const uint8_t  *s = (const uint8_t *) *pp;

    if (s[0] < 0x80) {
        *pp += 1;
        return s[0];
    }

    if (s[0] < 0xE0) {
        *pp += 2;
        return (uint32_t) (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }

    if (s[0] < 0xF0) {
        *pp += 3;
        return (uint32_t) (s[0] & 0x0F) << 12 | (uint32_t) (s[1] & 0x3F) << 6
               | (s[2] & 0x3F);
    }

    *pp += 4;
    return (uint32_t) (s[0] & 0x07) << 18 | (uint32_t) (s[1] & 0x3F) << 12
           | (uint32_t) (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

/* Writes one code point (no surrogate, at most 0x10FFFF); returns its bytes. */
static inline unsigned
travel_utf8_put(char *dst, uint32_t cp)
{
    uint8_t  *d = (uint8_t *) dst;

    if (cp < 0x80) {
        d[0] = (uint8_t) cp;
        return 1;
    }

    if (cp < 0x800) {
        d[0] = (uint8_t) (0xC0 | cp >> 6);
        d[1] = (uint8_t) (0x80 | (cp & 0x3F));
        return 2;
    }

    if (cp < 0x10000) {
        d[0] = (uint8_t) (0xE0 | cp >> 12);
        d[1] = (uint8_t) (0x80 | (cp >> 6 & 0x3F));
        d[2] = (uint8_t) (0x80 | (cp & 0x3F));
        return 3;
    }

    d[0] = (uint8_t) (0xF0 | cp >> 18);
    d[1] = (uint8_t) (0x80 | (cp >> 12 & 0x3F));
    d[2] = (uint8_t) (0x80 | (cp >> 6 & 0x3F));
    d[3] = (uint8_t) (0x80 | (cp & 0x3F));
    return 4;
}

#endif
