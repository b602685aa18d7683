/*
 * Queries with @live: asked again when their answer has been overwritten.
 *
 * Operations that ask the same (plan, values, and the viewer where rows are
 * his) are a group of this nginx worker.  A timer looks ten times a second, in
 * shared memory, whether a tag of a group was invalidated since it asked last;
 * then one member asks, by an inner request in its own name, so that all rules
 * are kept again; across nginx workers, the cache collapses what they ask.
 * An answer that differs from the last goes to all members, one that does not
 * to nobody.  A group asks at most four times a second, and so many groups at
 * a time as there may be.
 *
 * A member that is refused is told and ends, and another asks.  The member
 * that asks may go meanwhile: then the group is due again.
 */

#include "ngx_http_travel_live_session.h"

#define NGX_HTTP_TRAVEL_REQUERY_LOOK     100       /* ms */
#define NGX_HTTP_TRAVEL_REQUERY_APART    250       /* ms, of one group */
#define NGX_HTTP_TRAVEL_REQUERY_RUNNING  16        /* groups at once */
#define NGX_HTTP_TRAVEL_REQUERY_BUCKETS  1024


struct ngx_http_travel_requery_s {
    ngx_queue_t                   all;
    ngx_http_travel_requery_t    *next;            /* of the chain */
    ngx_queue_t                   members;
    ngx_http_travel_operation_t  *asking;          /* NULL: nobody */
    ngx_http_travel_since_t       since;           /* of the last answer */
    ngx_http_travel_since_t       asked;           /* of the one to come */
    ngx_msec_t                    apart;           /* not before */
    uint8_t                       digest[TRAVEL_SHA256_LEN];
    unsigned                      due:1;
    uint32_t                      hash;
    ngx_str_t                     identity;
    u_char                        text[];
};


static void ngx_http_travel_requery_look(ngx_event_t *ev);
static void ngx_http_travel_requery_ask(ngx_http_travel_requery_t *group);
static void ngx_http_travel_requery_tell(ngx_http_travel_requery_t *group,
    const ngx_str_t *result);


static ngx_queue_t                 ngx_http_travel_requeries;
static ngx_http_travel_requery_t
    *ngx_http_travel_requery_buckets[NGX_HTTP_TRAVEL_REQUERY_BUCKETS];
static ngx_event_t                 ngx_http_travel_requery_timer;
static ngx_uint_t                  ngx_http_travel_requery_running;


void
ngx_http_travel_requery_start(ngx_cycle_t *cycle)
{
    static ngx_connection_t  dummy;      /* what timers' debug log looks at */

    ngx_queue_init(&ngx_http_travel_requeries);

    ngx_http_travel_requery_timer.handler = ngx_http_travel_requery_look;
    ngx_http_travel_requery_timer.data = &dummy;
    ngx_http_travel_requery_timer.log = cycle->log;
    ngx_http_travel_requery_timer.cancelable = 1;
}


void
ngx_http_travel_requery_stop(void)
{
    if (ngx_http_travel_requery_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_requery_timer);
    }
}


/* --- groups -------------------------------------------------------------- */

static ngx_http_travel_requery_t *
ngx_http_travel_requery_group(ngx_http_travel_operation_t *op,
    const ngx_http_travel_graphql_live_t *live)
{
    uint32_t                     hash;
    ngx_http_travel_requery_t   *group, **chain;

    hash = ngx_murmur_hash2(live->identity.data, live->identity.len);
    chain = &ngx_http_travel_requery_buckets[
                 hash % NGX_HTTP_TRAVEL_REQUERY_BUCKETS];

    for (group = *chain; group != NULL; group = group->next) {
        if (group->identity.len == live->identity.len
            && ngx_memcmp(group->identity.data, live->identity.data,
                          live->identity.len) == 0)
        {
            return group;
        }
    }

    group = ngx_calloc(sizeof(ngx_http_travel_requery_t) + live->identity.len,
                       ngx_cycle->log);
    if (group == NULL) {
        return NULL;
    }

    group->hash = hash;
    group->identity.data = group->text;
    group->identity.len = live->identity.len;
    ngx_memcpy(group->text, live->identity.data, live->identity.len);
    group->since = op->since;
    ngx_queue_init(&group->members);

    group->next = *chain;
    *chain = group;
    ngx_queue_insert_tail(&ngx_http_travel_requeries, &group->all);

    if (!ngx_http_travel_requery_timer.timer_set) {
        ngx_add_timer(&ngx_http_travel_requery_timer,
                      NGX_HTTP_TRAVEL_REQUERY_LOOK);
    }

    return group;
}


ngx_int_t
ngx_http_travel_requery_join(ngx_http_travel_operation_t *op,
    const ngx_http_travel_graphql_live_t *live, const ngx_str_t *result)
{
    uint8_t                     digest[TRAVEL_SHA256_LEN];
    ngx_http_travel_requery_t  *group;

    if (ngx_http_travel_since_tags(&op->since, &live->tags) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (travel_sha256(digest, ngx_http_travel_view(result)) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    group = ngx_http_travel_requery_group(op, live);
    if (group == NULL) {
        return NGX_ERROR;
    }

    if (ngx_queue_empty(&group->members)) {
        ngx_memcpy(group->digest, digest, sizeof(digest));

    } else if (ngx_memcmp(group->digest, digest, sizeof(digest)) != 0) {
        /* who came first has heard another: the next answer is for all */
        ngx_memzero(group->digest, sizeof(digest));
        group->due = 1;
    }

    op->group = group;
    ngx_queue_insert_tail(&group->members, &op->member);

    return NGX_OK;
}


void
ngx_http_travel_requery_leave(ngx_http_travel_operation_t *op)
{
    ngx_http_travel_requery_t  *group = op->group, **chain;

    if (group == NULL) {
        return;
    }

    op->group = NULL;
    ngx_queue_remove(&op->member);

    if (group->asking == op) {
        group->asking = NULL;
        group->due = 1;
        ngx_http_travel_requery_running--;
    }

    if (!ngx_queue_empty(&group->members)) {
        return;
    }

    for (chain = &ngx_http_travel_requery_buckets[
                      group->hash % NGX_HTTP_TRAVEL_REQUERY_BUCKETS];
         *chain != group; chain = &(*chain)->next)
    {
        /* void */
    }

    *chain = group->next;
    ngx_queue_remove(&group->all);
    ngx_free(group);
}


/* --- asking -------------------------------------------------------------- */

static void
ngx_http_travel_requery_look(ngx_event_t *ev)
{
    ngx_queue_t                *q;
    ngx_http_travel_requery_t  *group;

    for (q = ngx_queue_head(&ngx_http_travel_requeries);
         q != ngx_queue_sentinel(&ngx_http_travel_requeries)
         && ngx_http_travel_requery_running < NGX_HTTP_TRAVEL_REQUERY_RUNNING;
         q = ngx_queue_next(q))
    {
        group = ngx_queue_data(q, ngx_http_travel_requery_t, all);

        if (group->asking == NULL
            && (ngx_msec_int_t) (group->apart - ngx_current_msec) <= 0
            && (group->due || ngx_http_travel_since_changed(&group->since)))
        {
            ngx_http_travel_requery_ask(group);
        }
    }

    if (!ngx_queue_empty(&ngx_http_travel_requeries) && !ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_REQUERY_LOOK);
    }
}


/* The first member, who goes to the end: all have their turn. */
static void
ngx_http_travel_requery_ask(ngx_http_travel_requery_t *group)
{
    ngx_queue_t                  *q;
    ngx_http_travel_operation_t  *op;

    q = ngx_queue_head(&group->members);
    op = ngx_queue_data(q, ngx_http_travel_operation_t, member);

    ngx_queue_remove(q);
    ngx_queue_insert_tail(&group->members, q);

    group->apart = ngx_current_msec + NGX_HTTP_TRAVEL_REQUERY_APART;
    group->asked = group->since;
    ngx_http_travel_since_now(&group->asked);

    if (ngx_http_travel_operation_ask(op, &op->body) != NGX_OK) {
        return;
    }

    group->due = 0;
    group->asking = op;
    ngx_http_travel_requery_running++;
}


void
ngx_http_travel_requery_answered(ngx_http_travel_operation_t *op,
    ngx_uint_t status, ngx_str_t *body)
{
    uint8_t                     digest[TRAVEL_SHA256_LEN];
    ngx_http_travel_requery_t  *group = op->group;

    group->asking = NULL;
    ngx_http_travel_requery_running--;

    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN) {
        group->due = 1;
        ngx_http_travel_operation_refused(op, body);
        return;
    }

    if (status != NGX_HTTP_OK
        || travel_sha256(digest, ngx_http_travel_view(body)) != TRAVEL_OK)
    {
        /* something is away: it is asked again, and what they have stays */
        group->due = 1;
        return;
    }

    group->since = group->asked;

    if (ngx_memcmp(group->digest, digest, sizeof(digest)) != 0) {
        ngx_memcpy(group->digest, digest, sizeof(digest));
        ngx_http_travel_requery_tell(group, body);
    }
}


static void
ngx_http_travel_requery_tell(ngx_http_travel_requery_t *group,
    const ngx_str_t *result)
{
    ngx_queue_t                  *q;
    ngx_http_travel_operation_t  *op;

    for (q = ngx_queue_head(&group->members);
         q != ngx_queue_sentinel(&group->members);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_travel_operation_t, member);
        op->session->handlers->next(op->session, op, result);
    }
}
