/* TOTP, HOTP by OpenSSL's HMAC-SHA-1, and base32. */

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hash.h"
#include "totp.h"

#define TOTP_DIGITS_MAX  9


size_t
travel_base32_encode(char *dst, const void *src, size_t n)
{
    char           *p;
    size_t          i;
    unsigned        bits, held;
    const uint8_t  *s = src;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    p = dst;
    bits = 0;
    held = 0;

    for (i = 0; i < n; i++) {
        bits = (bits << 8 | s[i]) & 0xfff;
        held += 8;

        while (held >= 5) {
            held -= 5;
            *p++ = letters[bits >> held & 31];
        }
    }

    if (held > 0) {
        *p++ = letters[bits << (5 - held) & 31];
    }

    return (size_t) (p - dst);
}


int
travel_hotp(char *dst, travel_str_t secret, uint64_t counter, unsigned digits)
{
    uint8_t   message[8], md[EVP_MAX_MD_SIZE];
    unsigned  i, len, at;
    uint32_t  n;

    if (digits == 0 || digits > TOTP_DIGITS_MAX) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < 8; i++) {
        message[i] = (uint8_t) (counter >> (56 - 8 * i));
    }

    if (HMAC(EVP_sha1(), secret.data, (int) secret.len, message,
             sizeof(message), md, &len) == NULL || len < 20)
    {
        return TRAVEL_ERROR;
    }

    at = md[len - 1] & 15;
    n = (uint32_t) (md[at] & 127) << 24 | (uint32_t) md[at + 1] << 16
        | (uint32_t) md[at + 2] << 8 | md[at + 3];

    for (i = digits; i > 0; i--, n /= 10) {
        dst[i - 1] = (char) ('0' + n % 10);
    }

    dst[digits] = '\0';
    return TRAVEL_OK;
}


/* Six digits, blanks left out; TRAVEL_OK or TRAVEL_INVALID. */
static int
totp_digits(char dst[TRAVEL_TOTP_DIGITS], travel_str_t code)
{
    size_t  i, n;

    for (i = 0, n = 0; i < code.len; i++) {

        if (code.data[i] == ' ') {
            continue;
        }

        if (code.data[i] < '0' || code.data[i] > '9'
            || n == TRAVEL_TOTP_DIGITS)
        {
            return TRAVEL_INVALID;
        }

        dst[n++] = code.data[i];
    }

    return n == TRAVEL_TOTP_DIGITS ? TRAVEL_OK : TRAVEL_INVALID;
}


int
travel_totp_step(uint64_t *ret_step, travel_str_t secret, travel_str_t code,
    int64_t now)
{
    int       drift, rc;
    char      said[TRAVEL_TOTP_DIGITS], good[TRAVEL_TOTP_DIGITS + 1];
    uint64_t  step;

    if (totp_digits(said, code) != TRAVEL_OK || now < 0) {
        return TRAVEL_INVALID;
    }

    rc = TRAVEL_REFUSED;

    for (drift = -TRAVEL_TOTP_DRIFT; drift <= TRAVEL_TOTP_DRIFT; drift++) {
        step = (uint64_t) (now / TRAVEL_TOTP_STEP + drift);

        if (travel_hotp(good, secret, step, TRAVEL_TOTP_DIGITS) != TRAVEL_OK) {
            return TRAVEL_ERROR;
        }

        if (travel_secret_eq((travel_str_t) { said, TRAVEL_TOTP_DIGITS },
                             (travel_str_t) { good, TRAVEL_TOTP_DIGITS }))
        {
            *ret_step = step;
            rc = TRAVEL_OK;
        }
    }

    return rc;
}


int
travel_recovery_plain(char *dst, travel_str_t code)
{
    char    c;
    size_t  i, n;

    for (i = 0, n = 0; i < code.len; i++) {
        c = code.data[i];

        if (c == '-' || c == ' ') {
            continue;
        }

        if (c >= 'a' && c <= 'z') {
            c = (char) (c - 'a' + 'A');
        }

        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
            return TRAVEL_INVALID;
        }

        dst[n++] = c;
    }

    dst[n] = '\0';
    return n > 0 ? TRAVEL_OK : TRAVEL_INVALID;
}
