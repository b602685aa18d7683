/* Exact decimal arithmetic on the text of JSON numbers: compare, divide. */

#include <stdio.h>
#include <stdlib.h>

#include "decimal.h"

/* An exponent beyond this says "astronomic" and needs no exact value; it
 * exceeds any scale that digits alone (< 4 GiB of them) can make up for. */
#define DECIMAL_EXP_MAX  ((int64_t) 1 << 40)

/* Digits that can matter to the rounding of a double, and some. */
#define DECIMAL_DOUBLE_DIGITS  800

static int64_t  decimal_exponent(const char *p, const char *end);
static uint64_t decimal_mulmod(uint64_t a, uint64_t b, uint64_t m);


travel_decimal_t
travel_decimal_read(travel_str_t text)
{
    const char        *p = text.data, *end = text.data + text.len;
    const char        *first = NULL, *last = NULL, *dot = NULL;
    int64_t            exp = 0;
    travel_decimal_t   d = { NULL, 0, 0, false };

    if (p < end && *p == '-') {
        d.negative = true;
        p++;
    }

    for ( ; p < end; p++) {
        if (*p == '.') {
            dot = p;

        } else if (*p == 'e' || *p == 'E') {
            exp = decimal_exponent(p + 1, end);
            end = p;
            break;

        } else if (*p != '0') {
            last = p;
            if (first == NULL) {
                first = p;
            }
        }
    }

    if (first == NULL) {
        d.negative = false;
        return d;
    }

    d.digits = first;
    d.n = (size_t) (last - first) + 1;

    if (dot == NULL) {
        d.scale = exp + (end - last - 1);

    } else if (last < dot) {
        d.scale = exp + (dot - last - 1);

    } else {
        d.scale = exp - (last - dot);
        d.n -= first < dot;
    }

    return d;
}


static int64_t
decimal_exponent(const char *p, const char *end)
{
    bool     negative = false;
    int64_t  v = 0;

    if (p < end && (*p == '-' || *p == '+')) {
        negative = *p == '-';
        p++;
    }

    for ( ; p < end; p++) {
        v = v * 10 + (*p - '0');
        if (v > DECIMAL_EXP_MAX) {
            v = DECIMAL_EXP_MAX;
        }
    }

    return negative ? -v : v;
}


int
travel_decimal_cmp(const travel_decimal_t *a, const travel_decimal_t *b)
{
    int          sign;
    size_t       i, n;
    int64_t      ea, eb;
    const char  *pa, *pb;

    if (a->n == 0 || b->n == 0 || a->negative != b->negative) {
        ea = a->n == 0 ? 0 : a->negative ? -1 : 1;
        eb = b->n == 0 ? 0 : b->negative ? -1 : 1;
        return (ea > eb) - (ea < eb);
    }

    sign = a->negative ? -1 : 1;

    /* The exponent of the first digit decides before any digit does. */

    ea = (int64_t) a->n + a->scale;
    eb = (int64_t) b->n + b->scale;

    if (ea != eb) {
        return ea > eb ? sign : -sign;
    }

    pa = a->digits;
    pb = b->digits;
    n = a->n < b->n ? a->n : b->n;

    for (i = 0; i < n; i++) {
        pa += *pa == '.';
        pb += *pb == '.';

        if (*pa != *pb) {
            return *pa > *pb ? sign : -sign;
        }

        pa++;
        pb++;
    }

    /* Neither ends in a zero, so the longer one is the greater one. */

    return a->n == b->n ? 0 : a->n > b->n ? sign : -sign;
}


bool
travel_decimal_multiple(const travel_decimal_t *a, const travel_decimal_t *b)
{
    size_t       i;
    int64_t      k;
    uint64_t     m, r, base;
    const char  *p;

    if (a->n == 0) {
        return true;
    }

    /* D of 'a' ends in a digit other than zero: no factor 10 left in it. */

    if (a->scale < b->scale) {
        return false;
    }

    m = 0;
    for (i = 0, p = b->digits; i < b->n; i++, p++) {
        p += *p == '.';
        m = m * 10 + (uint64_t) (*p - '0');
    }

    r = 0;
    for (i = 0, p = a->digits; i < a->n; i++, p++) {
        p += *p == '.';
        r = (r * 10 + (uint64_t) (*p - '0')) % m;
    }

    k = a->scale - b->scale;
    base = 10 % m;

    for ( ; k > 0 && r != 0; k >>= 1) {
        if (k & 1) {
            r = decimal_mulmod(r, base, m);
        }
        base = decimal_mulmod(base, base, m);
    }

    return r == 0;
}


static uint64_t
decimal_mulmod(uint64_t a, uint64_t b, uint64_t m)
{
    return (uint64_t) ((unsigned __int128) a * b % m);
}


int
travel_decimal_int64(const travel_decimal_t *d, int64_t *ret_v)
{
    size_t       i;
    int64_t      k;
    uint64_t     v, limit;
    const char  *p;

    if (d->n == 0) {
        *ret_v = 0;
        return TRAVEL_OK;
    }

    if (d->scale < 0 || (int64_t) d->n + d->scale > 19) {
        return TRAVEL_INVALID;
    }

    /* 19 digits fit into 64 unsigned bits, so nothing wraps below. */

    v = 0;
    for (i = 0, p = d->digits; i < d->n; i++, p++) {
        p += *p == '.';
        v = v * 10 + (uint64_t) (*p - '0');
    }

    for (k = 0; k < d->scale; k++) {
        v *= 10;
    }

    limit = (uint64_t) INT64_MAX + d->negative;
    if (v > limit) {
        return TRAVEL_INVALID;
    }

    *ret_v = d->negative ? (int64_t) (0 - v) : (int64_t) v;
    return TRAVEL_OK;
}


double
travel_decimal_double(const travel_decimal_t *d)
{
    char         buf[DECIMAL_DOUBLE_DIGITS + 32];
    char        *q = buf;
    double       v;
    size_t       i, n;
    int64_t      scale;
    uint64_t     small;
    const char  *p;

    static const double  ten[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
        1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22 };

    if (d->n <= 15 && d->scale >= -22 && d->scale <= 22) {

        /* Both factors are exact, so one rounding happens: the right one. */

        small = 0;
        for (i = 0, p = d->digits; i < d->n; i++, p++) {
            p += *p == '.';
            small = small * 10 + (uint64_t) (*p - '0');
        }

        v = d->scale < 0 ? (double) small / ten[-d->scale]
                         : (double) small * ten[d->scale];

        return d->negative ? -v : v;
    }

    n = d->n < DECIMAL_DOUBLE_DIGITS ? d->n : DECIMAL_DOUBLE_DIGITS;
    scale = d->scale + (int64_t) (d->n - n);

    for (i = 0, p = d->digits; i < n; i++, p++) {
        p += *p == '.';
        *q++ = *p;
    }

    if (n < d->n) {
        *q++ = '1';          /* "and a bit": what was cut is not zero */
        scale--;
    }

    /* No decimal point in it, so no locale can misread it. */

    snprintf(q, (size_t) (buf + sizeof(buf) - q), "e%lld", (long long) scale);
    v = strtod(buf, NULL);

    return d->negative ? -v : v;
}
