/*
 * One endpoint over query, cache and command: a document becomes one SQL
 * statement, a mutation a command.
 *
 *     travel_graphql [depth=12] [fields=500] [cost=5000] [batch=0]
 *                    [max_body=256k] [persisted=off|apq|DIRECTORY]
 *                    [status=strict|legacy] [graphiql=URI];
 *     travel_graphql_sdl;                      the schema's own text
 *
 * The schema is graphql/schema.graphql of the catalog; what it says is checked
 * by `nginx -t` (common/graphql/mapping.h).
 */

#ifndef NGX_HTTP_TRAVEL_GRAPHQL_H
#define NGX_HTTP_TRAVEL_GRAPHQL_H

#include "../core/ngx_http_travel.h"
#include "../../common/graphql/plan.h"
#include "../../common/graphql/text.h"

/*
 * What a subscription that an inner request asked for
 * (NGX_HTTP_TRAVEL_INNER_SUBSCRIPTION) comes to: all rules are kept but one,
 * which 'check', a query, answers: its "check" must not be null for who asks.
 */
typedef struct ngx_http_travel_graphql_watch_s  ngx_http_travel_graphql_watch_t;

typedef struct {
    ngx_http_travel_graphql_watch_t  *watch;
    ngx_str_t                         topic;       /* both in the heap */
    ngx_str_t                         check;       /* empty: none */
} ngx_http_travel_graphql_subscription_t;

/*
 * What a query with @live that an inner request asked for
 * (NGX_HTTP_TRAVEL_INNER_QUERY) leaves besides its answer: what tells it from
 * others (plan, values, the viewer where rows are his), and the tags by which
 * its answer is overwritten.  Freed by ngx_free, all of it.
 */
typedef struct {
    ngx_str_t                         identity;
    ngx_str_t                         tags;
    u_char                            text[];
} ngx_http_travel_graphql_live_t;

/* Frees it, with its watch if that is still in it. */
void ngx_http_travel_graphql_unsubscribe(void *subscription);
void ngx_http_travel_graphql_watch_release(
    ngx_http_travel_graphql_watch_t *watch);
/* Appends "data":... of a message, without braces around.  NGX_DECLINED: it is
 * no object; NGX_ERROR: no memory. */
ngx_int_t ngx_http_travel_graphql_told(ngx_http_travel_graphql_watch_t *watch,
    const ngx_str_t *message, travel_graphql_text_t *out);

extern ngx_module_t  ngx_http_travel_graphql_module;

#endif
