/* Revocations as text, and the scripts that announce them. */

#include <string.h>

#include "digits.h"
#include "revocation.h"


static const char  *travel_revoke_names[] = { "jti", "user", "kid", "key" };


/*
 * What has expired goes out at the same time, so the set is as large as what
 * is in force.
 */
const char  travel_revoke_note_script[] =
    "for i = 3, #ARGV do\n"
    "  redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[i])\n"
    "end\n"
    "return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])\n";

const char  travel_revoke_tell_script[] =
    "local id\n"
    "for i = 3, #ARGV do\n"
    "  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*',\n"
    "                  'r', ARGV[i], 'exp', ARGV[1])\n"
    "end\n"
    "return id\n";


const char *
travel_revoke_name(travel_revoke_e kind)
{
    return travel_revoke_names[kind];
}


static bool
travel_revocation_text(travel_str_t text)
{
    size_t  i;

    if (text.len > TRAVEL_REVOCATION_ID_MAX) {
        return false;
    }

    for (i = 0; i < text.len; i++) {
        if ((unsigned char) text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return false;
        }
    }

    return true;
}


static char *
travel_revocation_put(char *p, const char *data, size_t len, char end)
{
    if (len != 0) {
        memcpy(p, data, len);
    }

    p += len;

    if (end != '\0') {
        *p++ = end;
    }

    return p;
}


int
travel_revocation_format(char *dst, size_t *ret_len,
    const travel_revocation_t *revocation)
{
    char        *p, digits[TRAVEL_DIGITS_MAX];
    const char  *name;

    if (revocation->id.len == 0 || revocation->before < 0
        || !travel_revocation_text(revocation->id)
        || !travel_revocation_text(revocation->issuer))
    {
        return TRAVEL_INVALID;
    }

    name = travel_revoke_names[revocation->kind];

    p = travel_revocation_put(dst, name, strlen(name), '\t');
    p = travel_revocation_put(p, digits,
                              travel_digits_format(digits,
                                            (uint64_t) revocation->before),
                              '\t');
    p = travel_revocation_put(p, revocation->issuer.data,
                              revocation->issuer.len, '\t');
    p = travel_revocation_put(p, revocation->id.data, revocation->id.len, '\0');

    *ret_len = (size_t) (p - dst);

    return TRAVEL_OK;
}


/* Up to the next tab, which is taken as well; false when there is none. */
static bool
travel_revocation_field(travel_str_t *rest, travel_str_t *ret_field)
{
    const char  *tab;

    tab = rest->len ? memchr(rest->data, '\t', rest->len) : NULL;

    if (tab == NULL) {
        return false;
    }

    ret_field->data = rest->data;
    ret_field->len = (size_t) (tab - rest->data);
    rest->data = tab + 1;
    rest->len -= ret_field->len + 1;

    return true;
}


int
travel_revocation_parse(travel_revocation_t *ret_revocation,
    travel_str_t member)
{
    unsigned      kind;
    uint64_t      n;
    travel_str_t  name, before;

    if (!travel_revocation_field(&member, &name)
        || !travel_revocation_field(&member, &before)
        || !travel_revocation_field(&member, &ret_revocation->issuer)
        || member.len == 0
        || !travel_revocation_text(member)
        || !travel_revocation_text(ret_revocation->issuer)
        || travel_digits_parse(&n, before) != TRAVEL_OK
        || n > INT64_MAX)
    {
        return TRAVEL_INVALID;
    }

    for (kind = 0; kind < TRAVEL_REVOKE_KINDS; kind++) {
        if (name.len == strlen(travel_revoke_names[kind])
            && memcmp(name.data, travel_revoke_names[kind], name.len) == 0)
        {
            break;
        }
    }

    if (kind == TRAVEL_REVOKE_KINDS) {
        return TRAVEL_INVALID;
    }

    ret_revocation->kind = kind;
    ret_revocation->before = (int64_t) n;
    ret_revocation->id = member;

    return TRAVEL_OK;
}
