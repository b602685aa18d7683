/* From a token's claims to one internal user, and to permissions. */

#include "ngx_http_travel_bearer.h"


static ngx_uint_t ngx_http_travel_permission_verb(const u_char *p, size_t len);
static ngx_uint_t ngx_http_travel_permission_is(const u_char *held, size_t len,
    const ngx_str_t *permission);


/*
 * Words that are what somebody does, not what it is done to: "read:content"
 * is turned into "content:read" because of them.
 */
static const char  *ngx_http_travel_verbs[] = {
    "read", "write", "create", "update", "delete", "list", "manage", "cancel",
    "approve", "execute", "publish", "send", "search", "use", "view", NULL
};


/*
 * A caller is (issuer, subject).  A set that pins its issuer speaks for that
 * name; one that does not can claim any name, so its own name enters the hash
 * too and it can never produce another issuer's user.
 */
const char *
ngx_http_travel_identify(const ngx_http_travel_jwks_t *jwks,
    const travel_jwt_t *jwt, u_char ret_user[TRAVEL_UUID_TEXT_LEN],
    travel_str_t *ret_subject)
{
    size_t         n;
    travel_str_t   subject, part[3];
    travel_uuid_t  id;

    subject = jwt->sub;

    if (jwks->user_id && jwt->user_id.len != 0) {

        if (subject.len != 0 && !travel_str_eq(subject, jwt->user_id)) {
            return "the claims sub and user_id name different users";
        }

        subject = jwt->user_id;
    }

    if (subject.len == 0) {
        return "the token names no subject";
    }

    if (subject.len > NGX_HTTP_TRAVEL_SUBJECT_MAX) {
        return "the subject is longer than 255 bytes";
    }

    if (!jwks->ours || travel_uuid_parse(&id, subject) != TRAVEL_OK) {
        n = 0;

        if (jwks->issuer.len == 0) {
            part[n++] = ngx_http_travel_view(&jwks->name);
            part[n++] = jwt->iss;

        } else {
            part[n++] = ngx_http_travel_view(&jwks->issuer);
        }

        part[n++] = subject;

        if (travel_uuid8(&id, part, n) != TRAVEL_OK) {
            return "the subject could not be hashed";
        }
    }

    travel_uuid_format((char *) ret_user, &id);
    *ret_subject = subject;

    return NULL;
}


ngx_uint_t
ngx_http_travel_permission_ok(const ngx_str_t *permission)
{
    u_char      c;
    size_t      i;
    ngx_uint_t  colons;

    colons = 0;

    for (i = 0; i < permission->len; i++) {
        c = permission->data[i];

        if (c == ':') {
            if (i == 0 || i == permission->len - 1) {
                return 0;
            }

            colons++;
            continue;
        }

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
              || c == '_' || c == '.' || c == '-'))
        {
            return 0;
        }
    }

    return colons == 1;
}


size_t
ngx_http_travel_permissions_normal(u_char *dst, travel_str_t text)
{
    u_char      *p, *word, *colon;
    size_t       i, end;
    ngx_str_t    permission;

    p = dst;

    for (i = 0; i < text.len; i = end + 1) {

        for (end = i; end < text.len && text.data[end] != ' '; end++) {
            /* void */
        }

        if (end == i) {
            continue;
        }

        /* one separator less is written than was read, so dst suffices */
        word = p;

        if (p != dst) {
            *p++ = ' ';
        }

        permission.data = p;
        permission.len = end - i;
        ngx_strlow(p, (u_char *) text.data + i, end - i);

        if (!ngx_http_travel_permission_ok(&permission)) {
            p = word;
            continue;
        }

        colon = ngx_strlchr(p, p + permission.len, ':');

        if (ngx_http_travel_permission_verb(p, colon - p)
            && !ngx_http_travel_permission_verb(colon + 1, p + permission.len
                                                           - colon - 1))
        {
            /* turned around, from the token's own text */
            p = ngx_cpymem(p, text.data + i + (colon - permission.data) + 1,
                           permission.len - (colon - permission.data) - 1);
            *p++ = ':';
            p = ngx_cpymem(p, text.data + i, colon - permission.data);
            ngx_strlow(permission.data, permission.data, permission.len);

        } else {
            p += permission.len;
        }
    }

    return p - dst;
}


static ngx_uint_t
ngx_http_travel_permission_verb(const u_char *p, size_t len)
{
    const char  **verb;

    for (verb = ngx_http_travel_verbs; *verb; verb++) {
        if (ngx_strlen(*verb) == len && ngx_memcmp(*verb, p, len) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_travel_permissions_hold(const ngx_str_t *permissions,
    const ngx_str_t *permission)
{
    u_char  *p, *end, *last;

    last = permissions->data + permissions->len;

    for (p = permissions->data; p < last; p = end + 1) {

        end = memchr(p, ' ', last - p);
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) == permission->len
            && ngx_http_travel_permission_is(p, permission->len, permission))
        {
            return 1;
        }
    }

    return 0;
}


/* "a:b" is "a:b" or "b:a"; both have the length 'len'. */
static ngx_uint_t
ngx_http_travel_permission_is(const u_char *held, size_t len,
    const ngx_str_t *permission)
{
    u_char  *colon;
    size_t   first, second;

    if (ngx_memcmp(held, permission->data, len) == 0) {
        return 1;
    }

    colon = ngx_strlchr(permission->data, permission->data + len, ':');
    if (colon == NULL) {
        return 0;
    }

    first = colon - permission->data;
    second = len - first - 1;

    return held[second] == ':'
           && ngx_memcmp(held, colon + 1, second) == 0
           && ngx_memcmp(held + second + 1, permission->data, first) == 0;
}
