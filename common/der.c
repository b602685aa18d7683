/* Writes DER elements: heads and unsigned integers. */

#include "der.h"


size_t
travel_der_size(size_t len)
{
    return len + (len < 0x80 ? 2 : len < 0x100 ? 3 : 4);
}


uint8_t *
travel_der_head(uint8_t *p, uint8_t tag, size_t len)
{
    *p++ = tag;

    if (len >= 0x100) {
        *p++ = 0x82;
        *p++ = (uint8_t) (len >> 8);

    } else if (len >= 0x80) {
        *p++ = 0x81;
    }

    *p++ = (uint8_t) len;

    return p;
}


static void
travel_der_trim(const uint8_t **be, size_t *n)
{
    while (*n > 1 && **be == 0) {
        (*be)++;
        (*n)--;
    }
}


size_t
travel_der_uint_len(const uint8_t *be, size_t n)
{
    travel_der_trim(&be, &n);

    return n + (be[0] >> 7);
}


uint8_t *
travel_der_uint(uint8_t *p, const uint8_t *be, size_t n)
{
    travel_der_trim(&be, &n);

    p = travel_der_head(p, TRAVEL_DER_INTEGER, n + (be[0] >> 7));

    if (be[0] & 0x80) {
        *p++ = 0;
    }

    memcpy(p, be, n);

    return p + n;
}
