/* Whole unsigned numbers to decimal text and back, without any locale. */

#include "digits.h"


size_t
travel_digits_format(char *dst, uint64_t v)
{
    char    buf[TRAVEL_DIGITS_MAX];
    size_t  i;

    i = sizeof(buf);

    do {
        buf[--i] = (char) ('0' + v % 10);
        v /= 10;
    } while (v);

    memcpy(dst, buf + i, sizeof(buf) - i);

    return sizeof(buf) - i;
}


int
travel_digits_parse(uint64_t *ret_v, travel_str_t text)
{
    size_t    i;
    uint64_t  v, digit;

    if (text.len == 0 || text.len > TRAVEL_DIGITS_MAX
        || (text.data[0] == '0' && text.len > 1))
    {
        return TRAVEL_INVALID;
    }

    v = 0;

    for (i = 0; i < text.len; i++) {
        digit = (uint64_t) (unsigned char) text.data[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return TRAVEL_INVALID;
        }

        v = v * 10 + digit;
    }

    *ret_v = v;

    return TRAVEL_OK;
}
