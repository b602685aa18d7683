/*
 * Cache groups (RFC 9875): what a field names, and what Redis knows of them.
 *
 * Which groups an answer is of, only the answer says, too late for a version
 * like that of its URI (kept_l2.c).  So there is a sequence in Redis, which
 * each invalidation of a group raises, and a key for each group with the number
 * of its last one.  A fill notes the sequence before the upstream is asked; its
 * answer is believed while all its groups have keys, and none of them a later
 * number.  A key that is not there is made with the sequence as it is then, so
 * that what was evicted makes answers invalid, no more; a sequence that is not
 * there begins at the clock, above all before it.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/digits.h"
#include "../../common/structured_field.h"


#define NGX_HTTP_TRAVEL_KEPT_GROUP_KEY  96


static size_t ngx_http_travel_kept_group_key(u_char *key,
    const ngx_str_t *text);


ngx_int_t
ngx_http_travel_mark_groups(ngx_http_request_t *r, const ngx_str_t *field,
    ngx_str_t *texts, ngx_uint_t max)
{
    int               rc;
    ngx_str_t         name;
    ngx_uint_t        n;
    travel_sf_t       sf;
    travel_sf_item_t  item;

    sf = travel_sf_open(ngx_http_travel_view(field));
    n = 0;

    while ((rc = travel_sf_list_next(&sf, &item)) == TRAVEL_OK) {

        if (item.type != TRAVEL_SF_STRING || n++ >= max) {
            continue;
        }

        name.data = ngx_pnalloc(r->pool, item.text.len + 1);
        if (name.data == NULL) {
            return NGX_ERROR;
        }

        name.len = travel_sf_string((char *) name.data, item.text);

        if (ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_GROUP, &name,
                                      &texts[n - 1])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return rc == TRAVEL_UNKNOWN ? (ngx_int_t) n : 0;
}


ngx_int_t
ngx_http_travel_kept_groups_of(ngx_http_request_t *r,
    const ngx_array_t *fields, ngx_str_t *texts)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (ngx_http_travel_fields_join(r, fields, "cache-groups", &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_http_travel_mark_groups(r, &value, texts,
                                    NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX);

    return n > NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX ? NGX_ERROR : n;
}


/* --- in Redis ------------------------------------------------------------ */

static size_t
ngx_http_travel_kept_group_key(u_char *key, const ngx_str_t *text)
{
    u_char   hex[2 * TRAVEL_SHA256_LEN];
    uint8_t  md[TRAVEL_SHA256_LEN];

    if (travel_sha256(md, ngx_http_travel_view(text)) != TRAVEL_OK) {
        return 0;
    }

    travel_hex_encode((char *) hex, md, TRAVEL_SHA256_LEN);

    return ngx_sprintf(key, "travel:l2grp:%*s", sizeof(hex), hex) - key;
}


ngx_int_t
ngx_http_travel_kept_group_keys(ngx_http_request_t *r, const ngx_str_t *texts,
    ngx_uint_t n, const char **argv, size_t *argvlen)
{
    u_char      *p;
    ngx_uint_t   i;

    p = ngx_pnalloc(r->pool, n * NGX_HTTP_TRAVEL_KEPT_GROUP_KEY);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++, p += NGX_HTTP_TRAVEL_KEPT_GROUP_KEY) {
        argv[i] = (char *) p;
        argvlen[i] = ngx_http_travel_kept_group_key(p, &texts[i]);

        if (argvlen[i] == 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_travel_kept_groups_hold(const ngx_http_travel_reply_t *reply,
    ngx_uint_t n, uint64_t since)
{
    uint64_t    last;
    ngx_str_t   s;
    ngx_uint_t  i;

    if (reply == NULL || ngx_http_travel_reply_count(reply) != n) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        s = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, i));

        if (travel_digits_parse(&last, ngx_http_travel_view(&s)) != TRAVEL_OK
            || last > since)
        {
            return 0;
        }
    }

    return 1;
}


/* No EVALSHA: see kept_told.c. */
ngx_int_t
ngx_http_travel_kept_group_over(ngx_http_travel_redis_op_t *op,
    const ngx_str_t *text)
{
    u_char       key[NGX_HTTP_TRAVEL_KEPT_GROUP_KEY];
    size_t       argvlen[5];
    const char  *argv[5];

    static const char  script[] =
        "if redis.call('EXISTS', KEYS[2]) == 0 then\n"
        "  redis.call('SET', KEYS[2], redis.call('TIME')[1] .. '000000')\n"
        "end\n"
        "redis.call('SET', KEYS[1], redis.call('INCR', KEYS[2]),"
        " 'EX', 2678400)\n"
        "return 'over'\n";

    argv[0] = "EVAL";
    argvlen[0] = 4;
    argv[1] = script;
    argvlen[1] = sizeof(script) - 1;
    argv[2] = "2";
    argvlen[2] = 1;
    argv[3] = (char *) key;
    argvlen[3] = ngx_http_travel_kept_group_key(key, text);
    argv[4] = NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE;
    argvlen[4] = sizeof(NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE) - 1;

    return ngx_http_travel_redis_command(op, 5, argv, argvlen);
}
