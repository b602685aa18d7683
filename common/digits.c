/* Whole unsigned numbers to decimal text and back, without any locale. */

#include "digits.h"


/* In place and two digits at a time: this runs dozens of times per request. */

size_t
travel_digits_format(char *dst, uint64_t v)
{
    char    *p;
    size_t   n;

    static const char  pairs[] =
        "00010203040506070809101112131415161718192021222324"
        "25262728293031323334353637383940414243444546474849"
        "50515253545556575859606162636465666768697071727374"
        "75767778798081828384858687888990919293949596979899";

    static const uint64_t  powers[TRAVEL_DIGITS_MAX] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
        1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
        100000000000000, 1000000000000000, 10000000000000000,
        100000000000000000, 1000000000000000000, 10000000000000000000u
    };

    if (v < 10) {
        *dst = (char) ('0' + v);
        return 1;
    }

    /* log10(2) of the bits is the number of digits, or one too few */
    n = (size_t) (64 - __builtin_clzll(v | 1)) * 1233 >> 12;
    n += v >= powers[n];

    p = dst + n;

    for ( /* void */ ; v >= 100; v /= 100) {
        p -= 2;
        memcpy(p, pairs + 2 * (v % 100), 2);
    }

    if (v >= 10) {
        memcpy(p - 2, pairs + 2 * v, 2);

    } else {
        p[-1] = (char) ('0' + v);
    }

    return n;
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
