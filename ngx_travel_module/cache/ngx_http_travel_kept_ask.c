/*
 * The answer is not known: a wait for another request that asks the same, or
 * what the upstream is asked, with conditions of our own in the place of the
 * client's; and asking behind a client's back (stale-while-revalidate).
 *
 * A wait ends with the fill, with its time or with the request; the phase
 * handler then runs again.  A background request is a subrequest of the one
 * that has been served, with a state of its own in the same pool.
 */

#include "ngx_http_travel_kept.h"


#define NGX_HTTP_TRAVEL_KEPT_JOINS    2


static ngx_int_t ngx_http_travel_kept_join(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_suspend(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_kept_condition(ngx_http_request_t *r,
    const char *name, const char *lower, const ngx_str_t *value);


/* stale-while-revalidate: one request of this nginx worker asks behind the
 * client's back. */
void
ngx_http_travel_kept_refresh(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec)
{
    ngx_str_t                name;
    ngx_http_request_t      *r, *sr;
    travel_stream_id_t       floor;
    ngx_http_travel_kept_t  *b;

    r = h->request;
    ngx_memzero(&floor, sizeof(floor));

    if (ngx_http_travel_fills_running(&h->fill, floor)
        || ngx_http_subrequest(r, &r->uri, &r->args, &sr, NULL,
                               NGX_HTTP_SUBREQUEST_CLONE
                               |NGX_HTTP_SUBREQUEST_BACKGROUND)
           != NGX_OK)
    {
        return;
    }

    ngx_str_set(&name, "GET");
    sr->method = NGX_HTTP_GET;
    sr->method_name = name;

    /* the client has had its answer: what it asked of it is settled */

    sr->headers_in.range = NULL;
    sr->headers_in.if_range = NULL;
    sr->headers_in.if_none_match = NULL;
    sr->headers_in.if_modified_since = NULL;
    sr->headers_in.if_match = NULL;
    sr->headers_in.if_unmodified_since = NULL;

    b = ngx_http_travel_kept_create(sr, h->conf);
    if (b == NULL) {
        sr->content_handler = NULL;
        return;
    }

    b->caller = h->caller;
    b->user = h->user;
    b->key = h->key;
    b->fill = h->fill;
    b->look = h->look;
    b->seq = h->seq;
    b->uri = h->uri;
    b->named = h->named;
    b->target = h->target;
    b->words = h->words;
    b->ntags = h->ntags;
    ngx_memcpy(b->tags, h->tags, sizeof(h->tags));
    b->credentials = h->credentials;
    b->no_store = h->no_store;
    b->old = rec;
    b->fwd = "stale";
    b->expected = -1;
    b->background = 1;
    b->silent = 1;

    if (ngx_http_travel_cache_begin(sr, &b->fill) == NGX_OK) {
        b->filling = 1;
    }
}


/* Another node may have renewed it, or be about to. */
ngx_int_t
ngx_http_travel_kept_behind(ngx_http_travel_kept_t *h)
{
    if (ngx_http_travel_kept_l2_found(h) != NULL) {
        h->state = NGX_HTTP_TRAVEL_KEPT_OVER;
        return ngx_http_travel_refuse(h->request, NGX_OK);
    }

    if (h->filling && ngx_http_travel_kept_l2_ask(h) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    return ngx_http_travel_kept_conditions(h);
}


/* --- the upstream is asked ----------------------------------------------- */

ngx_int_t
ngx_http_travel_kept_ask(ngx_http_travel_kept_t *h)
{
    ngx_http_request_t     *r;
    travel_stream_id_t      floor;
    ngx_http_travel_ctx_t  *ctx;

    r = h->request;
    ngx_memzero(&floor, sizeof(floor));

    ctx = ngx_http_travel_get_ctx(r);
    ctx->cache_status = h->old ? "EXPIRED" : "MISS";

    /* an answer that would not be the whole, or not kept anyway */

    if (r->method != NGX_HTTP_GET || h->no_store || r->headers_in.range
        || r->headers_in.if_range || r->headers_in.if_match
        || r->headers_in.if_unmodified_since)
    {
        ngx_http_travel_count(ngx_http_travel_kept.miss, 1);
        h->state = NGX_HTTP_TRAVEL_KEPT_PASS;
        return NGX_DECLINED;
    }

    if (h->filling) {
        /* Redis was asked meanwhile */

    } else if (!h->alone && !h->insists
               && ngx_http_travel_fills_running(&h->fill, floor))
    {
        if (ngx_http_travel_kept_join(h) == NGX_OK) {
            return NGX_AGAIN;
        }

    } else if (!h->alone) {

        switch (ngx_http_travel_cache_begin(r, &h->fill)) {

        case NGX_OK:
            h->filling = 1;
            break;

        case NGX_BUSY:
            /* another nginx worker was faster */

            if (!h->insists && ngx_http_travel_kept_join(h) == NGX_OK) {
                return NGX_AGAIN;
            }

            break;

        default:
            break;
        }
    }

    if (h->filling && ngx_http_travel_kept_l2_ask(h) == NGX_AGAIN) {
        return ngx_http_travel_kept_suspend(r) == NGX_OK
               ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_count(ngx_http_travel_kept.miss, 1);

    return ngx_http_travel_kept_conditions(h);
}


static ngx_int_t
ngx_http_travel_kept_join(ngx_http_travel_kept_t *h)
{
    ngx_msec_int_t       left;
    ngx_http_request_t  *r;

    r = h->request;

    if (h->joins == 0) {
        h->patience = ngx_current_msec + h->conf->wait;
    }

    left = h->patience - ngx_current_msec;

    if (left <= 0 || h->joins == NGX_HTTP_TRAVEL_KEPT_JOINS
        || ngx_http_travel_cache_wait(r, &h->fill, left,
                                      ngx_http_travel_kept_woken)
           != NGX_OK
        || ngx_http_travel_kept_suspend(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    h->joins++;
    ngx_http_travel_count(ngx_http_travel_kept.collapsed, 1);

    return NGX_OK;
}


/* A client that hangs up ends the wait. */
static ngx_int_t
ngx_http_travel_kept_suspend(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


void
ngx_http_travel_kept_woken(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/*
 * What goes to the upstream: the request's fields without its conditions, and
 * with those that ask about what is stored.  The list is made anew; what points
 * to fields of the old one stays, so that the client's conditions can still be
 * answered.
 */
ngx_int_t
ngx_http_travel_kept_conditions(ngx_http_travel_kept_t *h)
{
    ngx_uint_t                i;
    ngx_list_t                was;
    ngx_list_part_t          *part;
    ngx_table_elt_t          *e, *copy;
    ngx_http_request_t       *r;
    ngx_http_travel_field_t  *etag, *modified;

    r = h->request;

    h->state = NGX_HTTP_TRAVEL_KEPT_FILL;
    h->asked_ms = ngx_http_travel_kept_now();
    ngx_http_travel_purge_place(&h->purge);

    was = r->headers_in.headers;
    part = &was.part;
    e = part->elts;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            e = part->elts;
            i = 0;
        }

        if (ngx_http_travel_name_is(&e[i].key, "if-none-match")
            || ngx_http_travel_name_is(&e[i].key, "if-modified-since")
            || ngx_http_travel_name_is(&e[i].key, "if-match")
            || ngx_http_travel_name_is(&e[i].key, "if-unmodified-since")
            || ngx_http_travel_name_is(&e[i].key, "if-range")
            || ngx_http_travel_name_is(&e[i].key, "range"))
        {
            continue;
        }

        copy = ngx_list_push(&r->headers_in.headers);
        if (copy == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        *copy = e[i];
    }

    if (h->old == NULL || h->old->head.status != NGX_HTTP_OK) {
        return NGX_DECLINED;
    }

    etag = ngx_http_travel_record_field(h->old, "etag");
    modified = ngx_http_travel_record_field(h->old, "last-modified");

    if (etag != NULL && etag->value.len) {
        h->asks = 1;

        if (ngx_http_travel_kept_condition(r, "If-None-Match",
                                           "if-none-match", &etag->value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (modified != NULL && h->old->head.last_modified) {
        h->asks = 1;

        if (ngx_http_travel_kept_condition(r, "If-Modified-Since",
                                           "if-modified-since",
                                           &modified->value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_travel_kept_condition(ngx_http_request_t *r, const char *name,
    const char *lower, const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->lowcase_key = (u_char *) lower;
    h->hash = ngx_hash_key((u_char *) lower, h->key.len);
    h->value = *value;

    return NGX_OK;
}


void
ngx_http_travel_kept_end_fill(ngx_http_travel_kept_t *h)
{
    if (h->filling) {
        h->filling = 0;
        ngx_http_travel_fills_end(h->request, &h->fill);
    }

    ngx_http_travel_kept_l2_release(h);
}
