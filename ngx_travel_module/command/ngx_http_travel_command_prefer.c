/* Two request headers: Prefer (RFC 7240) and Idempotency-Key. */

#include "ngx_http_travel_command_room.h"


static ngx_uint_t ngx_http_travel_prefer_next(ngx_str_t *rest,
    ngx_str_t *ret_name, ngx_str_t *ret_value);
static ngx_int_t ngx_http_travel_idempotency_key(ngx_str_t *header,
    ngx_str_t *ret_key);


/* The next "name[=value]" of a list; parameters after ';' are skipped. */
static ngx_uint_t
ngx_http_travel_prefer_next(ngx_str_t *rest, ngx_str_t *ret_name,
    ngx_str_t *ret_value)
{
    u_char     *p, *last, *end, *eq;
    ngx_str_t   item;

    p = rest->data;
    last = rest->data + rest->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
    }

    if (p == last) {
        return 0;
    }

    end = ngx_strlchr(p, last, ',');
    end = end ? end : last;

    rest->data = end;
    rest->len = last - end;

    item.data = p;
    eq = ngx_strlchr(p, end, ';');
    item.len = (eq ? eq : end) - p;

    while (item.len && (item.data[item.len - 1] == ' '
                        || item.data[item.len - 1] == '\t'))
    {
        item.len--;
    }

    eq = ngx_strlchr(item.data, item.data + item.len, '=');

    *ret_name = item;
    ngx_str_null(ret_value);

    if (eq) {
        ret_name->len = eq - item.data;
        ret_value->data = eq + 1;
        ret_value->len = item.data + item.len - eq - 1;

        if (ret_value->len >= 2 && ret_value->data[0] == '"'
            && ret_value->data[ret_value->len - 1] == '"')
        {
            ret_value->data++;
            ret_value->len -= 2;
        }
    }

    return 1;
}


/*
 * How long to wait: "wait=N" up to the cap; "respond-async" alone not at all;
 * else what the location says.  What was honoured is told back.
 */
ngx_int_t
ngx_http_travel_command_prefer(ngx_http_request_t *r, ngx_msec_t cap,
    ngx_msec_t unasked, ngx_msec_t *ret_wait, ngx_str_t *ret_applied)
{
    ngx_int_t         n, asked;
    ngx_str_t         rest, name, value;
    ngx_uint_t        i, async;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    asked = NGX_ERROR;
    async = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != 6
            || ngx_strncasecmp(h[i].key.data, (u_char *) "prefer", 6) != 0)
        {
            continue;
        }

        rest = h[i].value;

        while (ngx_http_travel_prefer_next(&rest, &name, &value)) {

            if (name.len == 13
                && ngx_strncasecmp(name.data, (u_char *) "respond-async", 13)
                   == 0)
            {
                async = 1;

            } else if (name.len == 4 && asked == NGX_ERROR
                       && ngx_strncasecmp(name.data, (u_char *) "wait", 4)
                          == 0)
            {
                n = ngx_atoi(value.data, value.len);
                asked = (n > 86400) ? 86400 : n;
            }
        }
    }

    ngx_str_null(ret_applied);

    if (asked == NGX_ERROR) {
        *ret_wait = async ? 0 : unasked;

        if (async) {
            ngx_str_set(ret_applied, "respond-async");
        }

        return NGX_OK;
    }

    *ret_wait = ngx_min((ngx_msec_t) asked * 1000, cap);

    ret_applied->data = ngx_pnalloc(r->pool, sizeof("wait=") + NGX_INT_T_LEN
                                             + sizeof("respond-async, "));
    if (ret_applied->data == NULL) {
        return NGX_ERROR;
    }

    ret_applied->len = ngx_sprintf(ret_applied->data, "%swait=%M",
                                   async ? "respond-async, " : "",
                                   *ret_wait / 1000)
                       - ret_applied->data;

    return NGX_OK;
}


/* A structured-field string in quotes, or a bare token; visible ASCII. */
static ngx_int_t
ngx_http_travel_idempotency_key(ngx_str_t *header, ngx_str_t *ret_key)
{
    size_t     i;
    ngx_str_t  key;

    key = *header;

    if (key.len >= 2 && key.data[0] == '"' && key.data[key.len - 1] == '"') {
        key.data++;
        key.len -= 2;
    }

    if (key.len == 0 || key.len > NGX_HTTP_TRAVEL_IDEM_KEY_MAX) {
        return NGX_ERROR;
    }

    for (i = 0; i < key.len; i++) {
        if (key.data[i] <= 0x20 || key.data[i] >= 0x7f || key.data[i] == '"'
            || key.data[i] == '\\')
        {
            return NGX_ERROR;
        }
    }

    *ret_key = key;

    return NGX_OK;
}


/* Scope and fingerprint of contracts section 3; NGX_OK also without a key. */
ngx_int_t
ngx_http_travel_command_idempotency(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    uint8_t                 md[TRAVEL_SHA256_LEN];
    ngx_str_t              *header;
    travel_str_t            parts[5];
    ngx_http_travel_ctx_t  *ctx;

    header = ngx_http_travel_header_in(r, "idempotency-key",
                                       sizeof("idempotency-key") - 1);

    if (header == NULL) {
        if (!cmd->use->idempotency) {
            return NGX_OK;
        }

        return ngx_http_travel_command_told(r,
                   ngx_http_travel_error(r, TRAVEL_E_IDEMPOTENCY_KEY_REQUIRED,
                                         "Send an Idempotency-Key, so that "
                                         "the request can be repeated "
                                         "safely."));
    }

    if (ngx_http_travel_idempotency_key(header, &cmd->idem) != NGX_OK) {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                     "An Idempotency-Key has 1 to 255 visible "
                                     "characters, quoted or not."));
    }

    ctx = ngx_http_travel_get_ctx(r);

    parts[0] = ngx_http_travel_view(&ctx->user);
    parts[1] = ngx_http_travel_view(&r->method_name);
    parts[2] = ngx_http_travel_view(&cmd->use->entry->type);
    parts[3] = ngx_http_travel_view(&cmd->key);
    parts[4] = ngx_http_travel_view(&cmd->idem);

    if (travel_sha256_parts(cmd->scope, parts, 5) != TRAVEL_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    parts[0] = ngx_http_travel_view(&r->method_name);
    parts[1] = ngx_http_travel_view(&r->uri);
    parts[2] = ngx_http_travel_view(&cmd->body);

    if (travel_sha256_parts(md, parts, 3) != TRAVEL_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_hex_encode((char *) cmd->print, md, TRAVEL_SHA256_LEN);

    return NGX_OK;
}
