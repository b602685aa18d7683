/*
 * Subscriptions: what is left of a request's document for who watches.
 *
 * A subscription is asked for by an inner request of the live room.  It passes
 * all the rules of an operation here; then its plan stays, shared by all who
 * subscribe by the same document and shape of variables (a watch), and live is
 * left the topic, and the query that decides whether the caller may.
 *
 * Watches are this nginx worker's, count their owners, and are in one list:
 * there are as many as there are different documents.
 */

#include "ngx_http_travel_graphql_room.h"
#include "../net/ngx_http_travel_inner.h"
#include "../../common/graphql/project.h"


struct ngx_http_travel_graphql_watch_s {
    ngx_queue_t              queue;
    ngx_uint_t               refs;
    travel_graphql_plan_t   *plan;
    ngx_str_t                query;
    ngx_str_t                operation;
    ngx_str_t                shape;
    u_char                   text[];
};


static void ngx_http_travel_graphql_left(void *data);
static ngx_int_t ngx_http_travel_graphql_watch(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_watch_t **ret_watch);
static ngx_int_t ngx_http_travel_graphql_watch_plan(
    ngx_http_travel_graphql_t *g, ngx_http_travel_graphql_watch_t *watch);
static ngx_int_t ngx_http_travel_graphql_watch_text(
    travel_graphql_text_t *text, ngx_str_t *ret_copy);


static ngx_queue_t     ngx_http_travel_graphql_watches;
/* This worker's reader of messages. */
static travel_json_t  *ngx_http_travel_graphql_message;


void
ngx_http_travel_graphql_watches_init(void)
{
    ngx_queue_init(&ngx_http_travel_graphql_watches);
}


void
ngx_http_travel_graphql_watches_exit(void)
{
    travel_json_free(ngx_http_travel_graphql_message);
    ngx_http_travel_graphql_message = NULL;
}


/* Always ends the request, unless NGX_ERROR or NGX_DECLINED: *ret_error. */
ngx_int_t
ngx_http_travel_graphql_subscribe(ngx_http_travel_graphql_t *g,
    travel_graphql_error_t *ret_error)
{
    int                                      rc;
    travel_graphql_text_t                    topic, check;
    ngx_http_travel_ctx_t                   *ctx;
    ngx_http_travel_inner_t                 *inner;
    ngx_http_travel_graphql_subscription_t  *sub;

    static ngx_str_t  body = ngx_string("{\"data\":null}");

    inner = ngx_http_travel_inner_of(g->request);
    sub = ngx_calloc(sizeof(ngx_http_travel_graphql_subscription_t),
                     ngx_cycle->log);

    ctx = ngx_http_travel_get_ctx(g->request);

    if (inner == NULL || sub == NULL || ctx == NULL) {
        ngx_free(sub);
        return NGX_ERROR;
    }

    ngx_memzero(&topic, sizeof(travel_graphql_text_t));
    ngx_memzero(&check, sizeof(travel_graphql_text_t));

    rc = travel_graphql_topic(g->plan->plan, &g->variables,
                              ngx_http_travel_view(&ctx->user), &topic,
                              &check);

    if (rc == TRAVEL_OK
        && (ngx_http_travel_graphql_watch_text(&topic, &sub->topic) != NGX_OK
            || ngx_http_travel_graphql_watch_text(&check, &sub->check)
               != NGX_OK
            || ngx_http_travel_graphql_watch(g, &sub->watch) != NGX_OK))
    {
        rc = TRAVEL_ERROR;
    }

    travel_graphql_text_free(&topic);
    travel_graphql_text_free(&check);

    if (rc != TRAVEL_OK
        || ngx_http_travel_inner_leave(inner,
                                       NGX_HTTP_TRAVEL_INNER_SUBSCRIPTION, sub,
                                       ngx_http_travel_graphql_unsubscribe)
           != NGX_OK)
    {
        ngx_http_travel_graphql_unsubscribe(sub);

        if (rc != TRAVEL_INVALID) {
            return NGX_ERROR;
        }

        ngx_memzero(ret_error, sizeof(travel_graphql_error_t));
        ret_error->code = TRAVEL_E_VALIDATION_ERROR;
        ngx_cpystrn((u_char *) ret_error->message, (u_char *)
                    "A variable has a value that cannot stand here.",
                    sizeof(ret_error->message));
        return NGX_DECLINED;
    }

    ngx_http_travel_graphql_end(g, ngx_http_travel_graphql_send(g, NGX_HTTP_OK,
                                                                &body));
    return NGX_OK;
}


ngx_int_t
ngx_http_travel_graphql_leave(ngx_http_travel_graphql_t *g)
{
    u_char                          *p;
    ngx_http_travel_inner_t         *inner;
    ngx_http_travel_graphql_live_t  *live;

    inner = ngx_http_travel_inner_of(g->request);

    if (inner == NULL || !travel_graphql_live(g->plan->plan)) {
        return NGX_OK;
    }

    live = ngx_calloc(sizeof(ngx_http_travel_graphql_live_t)
                      + g->read.identity.len + g->read.tags.len,
                      ngx_cycle->log);
    if (live == NULL) {
        return NGX_ERROR;
    }

    live->identity.data = live->text;
    live->identity.len = g->read.identity.len;
    p = ngx_cpymem(live->text, g->read.identity.data, g->read.identity.len);
    live->tags.data = p;
    live->tags.len = g->read.tags.len;
    ngx_memcpy(p, g->read.tags.data, g->read.tags.len);

    if (ngx_http_travel_inner_leave(inner, NGX_HTTP_TRAVEL_INNER_QUERY, live,
                                    ngx_http_travel_graphql_left)
        != NGX_OK)
    {
        ngx_free(live);
    }

    return NGX_OK;
}


static void
ngx_http_travel_graphql_left(void *data)
{
    ngx_free(data);
}


static ngx_int_t
ngx_http_travel_graphql_watch_text(travel_graphql_text_t *text,
    ngx_str_t *ret_copy)
{
    if (text->len == 0) {
        return NGX_OK;
    }

    ret_copy->data = ngx_alloc(text->len, ngx_cycle->log);
    if (ret_copy->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ret_copy->data, text->data, text->len);
    ret_copy->len = text->len;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_travel_graphql_watch_is(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


static ngx_int_t
ngx_http_travel_graphql_watch(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_watch_t **ret_watch)
{
    u_char                           *p;
    ngx_queue_t                      *q;
    ngx_http_travel_graphql_watch_t  *watch;

    for (q = ngx_queue_head(&ngx_http_travel_graphql_watches);
         q != ngx_queue_sentinel(&ngx_http_travel_graphql_watches);
         q = ngx_queue_next(q))
    {
        watch = ngx_queue_data(q, ngx_http_travel_graphql_watch_t, queue);

        if (ngx_http_travel_graphql_watch_is(&watch->query, &g->query)
            && ngx_http_travel_graphql_watch_is(&watch->operation,
                                                &g->operation)
            && ngx_http_travel_graphql_watch_is(&watch->shape,
                                                &g->plan->shape))
        {
            watch->refs++;
            *ret_watch = watch;
            return NGX_OK;
        }
    }

    watch = ngx_calloc(sizeof(ngx_http_travel_graphql_watch_t) + g->query.len
                       + g->operation.len + g->plan->shape.len,
                       ngx_cycle->log);
    if (watch == NULL) {
        return NGX_ERROR;
    }

    watch->query.data = watch->text;
    watch->query.len = g->query.len;
    p = ngx_cpymem(watch->text, g->query.data, g->query.len);
    watch->operation.data = p;
    watch->operation.len = g->operation.len;
    p = ngx_cpymem(p, g->operation.data, g->operation.len);
    watch->shape.data = p;
    watch->shape.len = g->plan->shape.len;
    ngx_memcpy(p, g->plan->shape.data, g->plan->shape.len);

    if (ngx_http_travel_graphql_watch_plan(g, watch) != NGX_OK) {
        ngx_free(watch);
        return NGX_ERROR;
    }

    watch->refs = 1;
    ngx_queue_insert_head(&ngx_http_travel_graphql_watches, &watch->queue);
    *ret_watch = watch;

    return NGX_OK;
}


/* A plan points into its own text: one that stays is made of a copy. */
static ngx_int_t
ngx_http_travel_graphql_watch_plan(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_watch_t *watch)
{
    travel_graphql_error_t      error;
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *document;

    if (travel_graphql_parse(&document, ngx_http_travel_view(&watch->query),
                             &fault)
        != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    return travel_graphql_plan(&watch->plan, g->main->mapping, document,
                               ngx_http_travel_view(&watch->operation),
                               &g->variables, &error)
           == TRAVEL_OK ? NGX_OK : NGX_ERROR;
}


/* --- for live ------------------------------------------------------------ */

void
ngx_http_travel_graphql_unsubscribe(void *data)
{
    ngx_http_travel_graphql_subscription_t  *sub = data;

    ngx_http_travel_graphql_watch_release(sub->watch);

    ngx_free(sub->topic.data);
    ngx_free(sub->check.data);
    ngx_free(sub);
}


void
ngx_http_travel_graphql_watch_release(ngx_http_travel_graphql_watch_t *watch)
{
    if (watch == NULL || --watch->refs > 0) {
        return;
    }

    ngx_queue_remove(&watch->queue);
    travel_graphql_plan_free(watch->plan);
    ngx_free(watch);
}


ngx_int_t
ngx_http_travel_graphql_told(ngx_http_travel_graphql_watch_t *watch,
    const ngx_str_t *message, travel_graphql_text_t *out)
{
    travel_json_error_t  error;

    if (ngx_http_travel_graphql_message == NULL) {
        ngx_http_travel_graphql_message = travel_json_create(1024);
    }

    if (ngx_http_travel_graphql_message == NULL
        || travel_json_parse(ngx_http_travel_graphql_message,
                             ngx_http_travel_view(message), 0, &error)
           != TRAVEL_OK
        || travel_json_nodes(ngx_http_travel_graphql_message)->type
           != TRAVEL_JSON_OBJECT)
    {
        return NGX_DECLINED;
    }

    travel_graphql_project(watch->plan, ngx_http_travel_graphql_message, out);

    return out->failed ? NGX_ERROR : NGX_OK;
}
