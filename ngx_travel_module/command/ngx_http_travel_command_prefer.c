/* Two request headers: Prefer (RFC 7240) and Idempotency-Key. */

#include "ngx_http_travel_command_room.h"


static u_char *ngx_http_travel_prefer_word(u_char *p, u_char *last);
static u_char *ngx_http_travel_prefer_space(u_char *p, u_char *last);
static ngx_uint_t ngx_http_travel_prefer_next(ngx_str_t *rest,
    ngx_str_t *ret_name, ngx_str_t *ret_value);
static ngx_int_t ngx_http_travel_idempotency_key(ngx_http_request_t *r,
    ngx_str_t *header, ngx_str_t *ret_key);
static ngx_uint_t ngx_http_travel_idempotency_twice(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_idempotency_marks(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);


/* Past a token, or past a quoted string with what is escaped in it. */
static u_char *
ngx_http_travel_prefer_word(u_char *p, u_char *last)
{
    if (p < last && *p == '"') {
        for (p++; p < last && *p != '"'; p++) {
            if (*p == '\\' && p + 1 < last) {
                p++;
            }
        }

        return p < last ? p + 1 : last;
    }

    while (p < last && *p != ',' && *p != ';' && *p != '=' && *p != '"'
           && *p != ' ' && *p != '\t')
    {
        p++;
    }

    return p;
}


static u_char *
ngx_http_travel_prefer_space(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


/* The next "name[=value]" of a list; parameters after ';' are skipped. */
static ngx_uint_t
ngx_http_travel_prefer_next(ngx_str_t *rest, ngx_str_t *ret_name,
    ngx_str_t *ret_value)
{
    u_char  *p, *last, *end;

    p = rest->data;
    last = rest->data + rest->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
    }

    if (p == last) {
        return 0;
    }

    ngx_str_null(ret_value);

    end = ngx_http_travel_prefer_word(p, last);
    ret_name->data = p;
    ret_name->len = end - p;

    p = ngx_http_travel_prefer_space(end, last);

    if (p < last && *p == '=') {
        p = ngx_http_travel_prefer_space(p + 1, last);
        end = ngx_http_travel_prefer_word(p, last);

        if (end - p >= 2 && *p == '"') {
            ret_value->data = p + 1;
            ret_value->len = end - p - 2;

        } else {
            ret_value->data = p;
            ret_value->len = end - p;
        }

        p = end;
    }

    while (p < last && *p != ',') {
        end = ngx_http_travel_prefer_word(p, last);
        p = (end > p) ? end : p + 1;
    }

    rest->data = p;
    rest->len = last - p;

    return 1;
}


/*
 * How long to wait: "wait=N" up to the cap; "respond-async" alone not at all;
 * else what the location says.  What was honoured is told back.  Of a
 * preference that comes twice only the first counts (RFC 7240 section 2).
 */
ngx_int_t
ngx_http_travel_command_prefer(ngx_http_request_t *r, ngx_msec_t cap,
    ngx_msec_t unasked, ngx_msec_t *ret_wait, ngx_str_t *ret_applied)
{
    ngx_int_t         n, asked;
    ngx_str_t         rest, name, value;
    ngx_uint_t        i, async, waits;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    asked = NGX_ERROR;
    async = 0;
    waits = 0;

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

            } else if (name.len == 4
                       && ngx_strncasecmp(name.data, (u_char *) "wait", 4)
                          == 0
                       && waits++ == 0)
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


/* A string of RFC 8941 (in quotes, '"' and '\' escaped), or a bare word of
 * visible ASCII.  Both forms of one key are one key. */
static ngx_int_t
ngx_http_travel_idempotency_key(ngx_http_request_t *r, ngx_str_t *header,
    ngx_str_t *ret_key)
{
    u_char     *p, *q, *last, *key;
    ngx_uint_t  quoted, escaped;

    p = header->data;
    last = p + header->len;
    quoted = (header->len >= 2 && *p == '"' && last[-1] == '"');
    escaped = 0;

    if (quoted) {
        p++;
        last--;
    }

    key = p;

    for (q = p; q < last; q++) {

        if (*q < 0x20 || *q >= 0x7f || *q == '"' || (*q == ' ' && !quoted)) {
            return NGX_ERROR;
        }

        if (*q == '\\') {
            if (!quoted || ++q == last || (*q != '"' && *q != '\\')) {
                return NGX_ERROR;
            }

            escaped++;
        }
    }

    ret_key->data = key;
    ret_key->len = last - p - escaped;

    if (ret_key->len == 0 || ret_key->len > NGX_HTTP_TRAVEL_IDEM_KEY_MAX) {
        return NGX_ERROR;
    }

    if (escaped == 0) {
        return NGX_OK;
    }

    ret_key->data = q = ngx_pnalloc(r->pool, ret_key->len);
    if (q == NULL) {
        return NGX_ERROR;
    }

    while (p < last) {
        p += (*p == '\\');
        *q++ = *p++;
    }

    return NGX_OK;
}


/* Which of two would it be? */
static ngx_uint_t
ngx_http_travel_idempotency_twice(ngx_http_request_t *r)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            n += (h[i].key.len == 15
                  && ngx_strncasecmp(h[i].key.data,
                                     (u_char *) "idempotency-key", 15) == 0);
        }
    }

    return n > 1;
}


/* Scope and fingerprint of contracts section 3; NGX_OK also without a key. */
ngx_int_t
ngx_http_travel_command_idempotency(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                    rc;
    ngx_str_t                   *header;
    ngx_uint_t                   i;
    ngx_http_travel_command_t  **items;

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

    if (ngx_http_travel_idempotency_twice(r)
        || ngx_http_travel_idempotency_key(r, header, &cmd->idem) != NGX_OK)
    {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                     "An Idempotency-Key comes once and has 1 "
                                     "to 255 visible characters, quoted or "
                                     "not."));
    }

    if (cmd->batch == NULL) {
        return ngx_http_travel_idempotency_marks(r, cmd);
    }

    items = cmd->batch->jobs.elts;

    for (i = 0; i < cmd->batch->jobs.nelts; i++) {

        if (items[i]->fault.error != TRAVEL_E_NONE) {
            continue;
        }

        items[i]->idem = cmd->idem;

        rc = ngx_http_travel_idempotency_marks(r, items[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* An item of a batch has its place as a part of its key. */
static ngx_int_t
ngx_http_travel_idempotency_marks(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    char                    place[TRAVEL_DIGITS_MAX];
    uint8_t                 md[TRAVEL_SHA256_LEN];
    travel_str_t            parts[6];
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    parts[0] = ngx_http_travel_view(&ctx->user);
    parts[1] = ngx_http_travel_view(&r->method_name);
    parts[2] = ngx_http_travel_view(&cmd->use->entry->type);
    parts[3] = ngx_http_travel_view(&cmd->key);
    parts[4] = ngx_http_travel_view(&cmd->idem);
    parts[5].data = place;
    parts[5].len = travel_digits_format(place, cmd->index);

    if (travel_sha256_parts(cmd->scope, parts, cmd->item ? 6 : 5)
        != TRAVEL_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_travel_command_print(r, cmd, md) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_hex_encode((char *) cmd->print, md, TRAVEL_SHA256_LEN);

    return NGX_OK;
}
