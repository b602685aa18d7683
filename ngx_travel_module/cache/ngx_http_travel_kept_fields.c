/*
 * The fields of an upstream's answer: which of them are stored, which of them
 * the client sees, and what they mean to the cache.
 *
 * Two lists say it together: what the upstream sent, and what nginx made of it
 * (proxy_hide_header, proxy_redirect, proxy_cookie_path).  The client's version
 * is stored as such; what nginx kept from the client is stored hidden, since
 * Date, Age and the like are needed for judging.
 */

#include "ngx_http_travel_kept.h"
#include "../../common/http_date.h"


static ngx_uint_t ngx_http_travel_field_kept(const ngx_str_t *name,
    const ngx_str_t *connection);
static ngx_uint_t ngx_http_travel_field_ours(const ngx_str_t *name);
static ngx_int_t ngx_http_travel_fields_list(const ngx_list_t *list,
    const ngx_str_t *connection, ngx_uint_t hidden, ngx_array_t *fields);
static ngx_uint_t ngx_http_travel_fields_have(const ngx_array_t *fields,
    ngx_uint_t n, const ngx_str_t *name);
static void ngx_http_travel_fields_control(ngx_http_request_t *r,
    const ngx_array_t *fields, travel_http_facts_t *answer);
static int64_t ngx_http_travel_field_date(const ngx_str_t *value);


ngx_uint_t
ngx_http_travel_name_is(const ngx_str_t *name, const char *is)
{
    return name->len == ngx_strlen(is)
           && ngx_strncasecmp(name->data, (u_char *) is, name->len) == 0;
}


/* RFC 9111 section 3.1: all but what belongs to the connection; and what the
 * response gets anew each time it goes out. */
static ngx_uint_t
ngx_http_travel_field_kept(const ngx_str_t *name, const ngx_str_t *connection)
{
    u_char      *p, *last, *start;
    ngx_str_t    option;
    ngx_uint_t   i;

    static const char *const  dropped[] = {
        "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "proxy-authenticate",
        "proxy-authentication-info", "proxy-authorization",
        "content-length", "accept-ranges",

        /* a quota told once is not told again (RateLimit draft) */
        "ratelimit", "ratelimit-policy"
    };

    for (i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        if (ngx_http_travel_name_is(name, dropped[i])) {
            return 0;
        }
    }

    p = connection->data;
    last = p + connection->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ' ' && *p != '\t' && *p != ',') {
            p++;
        }

        option.data = start;
        option.len = p - start;

        if (option.len == name->len
            && ngx_strncasecmp(option.data, name->data, name->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/* Addressed to this cache, or written for it: not for the client. */
static ngx_uint_t
ngx_http_travel_field_ours(const ngx_str_t *name)
{
    return ngx_http_travel_name_is(name, "surrogate-key")
           || ngx_http_travel_name_is(name, "surrogate-control")
           || ngx_http_travel_name_is(name, "ngx-travel-cache-control")
           || ngx_http_travel_name_is(name, "age");
}


ngx_int_t
ngx_http_travel_fields_collect(ngx_http_request_t *r, ngx_array_t *ret_fields)
{
    ngx_uint_t                n;
    ngx_str_t                 connection;
    ngx_http_travel_field_t  *field;

    if (ngx_array_init(ret_fields, r->pool, 24,
                       sizeof(ngx_http_travel_field_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the names that the upstream wants dropped */

    if (ngx_http_travel_fields_list(&r->upstream->headers_in.headers, NULL, 0,
                                    ret_fields)
            != NGX_OK
        || ngx_http_travel_fields_join(r, ret_fields, "connection",
                                       &connection)
            != NGX_OK)
    {
        return NGX_ERROR;
    }

    ret_fields->nelts = 0;

    if (r->headers_out.content_type.len) {
        field = ngx_array_push(ret_fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        ngx_str_set(&field->name, "Content-Type");
        field->value = r->headers_out.content_type;
        field->hidden = 0;
    }

    if (ngx_http_travel_fields_list(&r->headers_out.headers, &connection, 0,
                                    ret_fields)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ret_fields->nelts;

    if (ngx_http_travel_fields_list(&r->upstream->headers_in.headers,
                                    &connection, n + 1, ret_fields)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Adds a list's fields.  Where 'connection' is NULL, all of them; where
 * 'hidden' is n + 1, as hidden ones, those whose names are not among the first
 * n that are there.
 */
static ngx_int_t
ngx_http_travel_fields_list(const ngx_list_t *list,
    const ngx_str_t *connection, ngx_uint_t hidden, ngx_array_t *fields)
{
    ngx_uint_t                i;
    ngx_table_elt_t          *h;
    const ngx_list_part_t    *part;
    ngx_http_travel_field_t  *field;

    part = &list->part;
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

        if (h[i].hash == 0 && !hidden && connection != NULL) {
            continue;
        }

        if (connection != NULL
            && !ngx_http_travel_field_kept(&h[i].key, connection))
        {
            continue;
        }

        if (hidden
            && ngx_http_travel_fields_have(fields, hidden - 1, &h[i].key))
        {
            continue;
        }

        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        field->name = h[i].key;
        field->value = h[i].value;
        field->hidden = hidden || ngx_http_travel_field_ours(&h[i].key);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_travel_fields_have(const ngx_array_t *fields, ngx_uint_t n,
    const ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_http_travel_field_t  *field;

    field = fields->elts;

    for (i = 0; i < n; i++) {
        if (field[i].name.len == name->len
            && ngx_strncasecmp(field[i].name.data, name->data, name->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_travel_fields_merge(ngx_http_request_t *r,
    const ngx_http_travel_record_t *old, ngx_array_t *fields)
{
    ngx_uint_t                i, n, named;
    ngx_http_travel_field_t  *field, *add;

    /* those say how the stored body is written, and a 304 has none */

    static const char *const  body[] = {
        "content-encoding", "content-range", "content-length"
    };

    field = fields->elts;

    for (i = 0, n = 0; i < fields->nelts; i++) {

        if (ngx_http_travel_name_is(&field[i].name, body[0])
            || ngx_http_travel_name_is(&field[i].name, body[1])
            || ngx_http_travel_name_is(&field[i].name, body[2]))
        {
            continue;
        }

        field[n++] = field[i];
    }

    fields->nelts = n;
    named = n;

    for (i = 0; i < old->fields.nelts; i++) {
        field = old->fields.elts;

        /* an age is of the answer that brought it */

        if (ngx_http_travel_fields_have(fields, named, &field[i].name)
            || ngx_http_travel_name_is(&field[i].name, "age")
            || ngx_http_travel_name_is(&field[i].name, "date"))
        {
            continue;
        }

        add = ngx_array_push(fields);
        if (add == NULL) {
            return NGX_ERROR;
        }

        *add = field[i];
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_fields_join(ngx_http_request_t *r, const ngx_array_t *fields,
    const char *name, ngx_str_t *ret_value)
{
    u_char                   *p;
    size_t                    len;
    ngx_uint_t                i, n;
    ngx_http_travel_field_t  *field;

    field = fields->elts;
    ngx_str_null(ret_value);

    for (i = 0, n = 0, len = 0; i < fields->nelts; i++) {
        if (ngx_http_travel_name_is(&field[i].name, name)) {
            len += field[i].value.len + 2;
            *ret_value = field[i].value;
            n++;
        }
    }

    if (n < 2) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_value->data = p;

    for (i = 0; i < fields->nelts; i++) {
        if (ngx_http_travel_name_is(&field[i].name, name)) {
            if (p > ret_value->data) {
                *p++ = ',';
                *p++ = ' ';
            }

            p = ngx_cpymem(p, field[i].value.data, field[i].value.len);
        }
    }

    ret_value->len = p - ret_value->data;

    return NGX_OK;
}


/* --- meaning ------------------------------------------------------------- */

void
ngx_http_travel_fields_read(ngx_http_request_t *r, const ngx_array_t *fields,
    ngx_http_travel_meaning_t *ret_meaning)
{
    ngx_uint_t                 i;
    travel_str_t               value;
    travel_http_facts_t       *a;
    ngx_http_travel_field_t   *field;

    ngx_memzero(ret_meaning, sizeof(ngx_http_travel_meaning_t));
    a = &ret_meaning->answer;

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        value = ngx_http_travel_view(&field[i].value);

        if (ngx_http_travel_name_is(&field[i].name, "cache-control")) {
            travel_cache_control_parse(&a->cc, value);

        } else if (ngx_http_travel_name_is(&field[i].name, "expires")) {
            if (!a->has_expires) {
                a->has_expires = 1;
                a->expires = ngx_http_travel_field_date(&field[i].value);
            }

        } else if (ngx_http_travel_name_is(&field[i].name, "date")) {
            a->date = ngx_http_travel_field_date(&field[i].value);

        } else if (ngx_http_travel_name_is(&field[i].name, "last-modified")) {
            a->last_modified = ngx_http_travel_field_date(&field[i].value);

        } else if (ngx_http_travel_name_is(&field[i].name, "etag")) {
            a->has_etag = value.len != 0;

        } else if (ngx_http_travel_name_is(&field[i].name, "vary")) {
            travel_vary_add(&ret_meaning->vary, value);

        } else if (ngx_http_travel_name_is(&field[i].name, "set-cookie")) {
            ret_meaning->cookie |= !field[i].hidden;

        } else if (ngx_http_travel_name_is(&field[i].name, "age")) {
            /* the first of several counts */

            for (value.len = 0; value.len < field[i].value.len
                                && value.data[value.len] != ','
                                && value.data[value.len] != ' '; value.len++)
            {
                /* void */
            }

            if (travel_delta_seconds(&a->age, value) != TRAVEL_OK) {
                a->age = 0;
            }
        }
    }

    a->vary_any = ret_meaning->vary.any;
    ngx_http_travel_fields_control(r, fields, a);
}


/* RFC 9213: the first targeted field that is one decides alone. */
static void
ngx_http_travel_fields_control(ngx_http_request_t *r,
    const ngx_array_t *fields, travel_http_facts_t *answer)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    static const char *const  targeted[] = {
        "ngx-travel-cache-control", "cdn-cache-control", "surrogate-control"
    };

    for (i = 0; i < sizeof(targeted) / sizeof(targeted[0]); i++) {

        if (ngx_http_travel_fields_join(r, fields, targeted[i], &value)
            == NGX_OK
            && value.len
            && travel_cache_control_targeted(&answer->cc,
                                             ngx_http_travel_view(&value))
               == TRAVEL_OK)
        {
            answer->targeted = 1;
            answer->has_expires = 0;
            return;
        }
    }
}


static int64_t
ngx_http_travel_field_date(const ngx_str_t *value)
{
    int64_t  seconds;

    return travel_http_date_parse(&seconds, ngx_http_travel_view(value),
                                  ngx_time())
           == TRAVEL_OK ? seconds : 0;
}
