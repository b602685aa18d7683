/*
 * The plans of this nginx worker: a fixed number, the least recently used one
 * makes room.
 *
 * A plan is found by its document's text and operation, then by the shape of
 * the variables, which depends on what the operation declares.  Each slot has
 * a statement of its own whose address never changes, as net wants it: a new
 * plan in the slot counts its version up, and sessions forget the old text
 * when they meet the new one.  A slot that a request holds stays as it is.
 */

#include "ngx_http_travel_graphql_room.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_BUCKETS    1024
#define NGX_HTTP_TRAVEL_GRAPHQL_SHAPE      2048
#define NGX_HTTP_TRAVEL_GRAPHQL_PERSISTED  256


typedef struct {
    u_char      hash[2 * TRAVEL_SHA256_LEN];
    ngx_str_t   query;
} ngx_http_travel_graphql_persisted_t;


/* of this nginx worker */

static ngx_http_travel_graphql_plan_t       *ngx_http_travel_graphql_slots;
static ngx_queue_t                           ngx_http_travel_graphql_lru;
static ngx_queue_t  ngx_http_travel_graphql_buckets[
                        NGX_HTTP_TRAVEL_GRAPHQL_BUCKETS];
static travel_siphash_key_t                  ngx_http_travel_graphql_key;
static ngx_http_travel_graphql_persisted_t  *ngx_http_travel_graphql_persisted;


static void ngx_http_travel_graphql_release(void *data);


ngx_int_t
ngx_http_travel_graphql_plans_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_travel_graphql_plan_t  *slot;

    ngx_http_travel_graphql_slots =
        ngx_pcalloc(cycle->pool, NGX_HTTP_TRAVEL_GRAPHQL_PLANS
                                 * sizeof(ngx_http_travel_graphql_plan_t));
    ngx_http_travel_graphql_persisted =
        ngx_pcalloc(cycle->pool, NGX_HTTP_TRAVEL_GRAPHQL_PERSISTED
                                 * sizeof(ngx_http_travel_graphql_persisted_t));

    if (ngx_http_travel_graphql_slots == NULL
        || ngx_http_travel_graphql_persisted == NULL
        || travel_random(&ngx_http_travel_graphql_key,
                         sizeof(travel_siphash_key_t)) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    ngx_queue_init(&ngx_http_travel_graphql_lru);

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_BUCKETS; i++) {
        ngx_queue_init(&ngx_http_travel_graphql_buckets[i]);
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_PLANS; i++) {
        slot = &ngx_http_travel_graphql_slots[i];
        slot->statement.name.data = slot->name;
        slot->statement.name.len = ngx_sprintf(slot->name, "graphql.%ui", i)
                                   - slot->name;
        slot->statement.timeout = NGX_HTTP_TRAVEL_GRAPHQL_TIMEOUT;
        ngx_queue_insert_tail(&ngx_http_travel_graphql_lru, &slot->lru);
    }

    return NGX_OK;
}


static void
ngx_http_travel_graphql_empty(ngx_http_travel_graphql_plan_t *slot)
{
    if (slot->plan == NULL) {
        return;
    }

    ngx_queue_remove(&slot->chain);
    travel_graphql_plan_free(slot->plan);
    travel_graphql_statement_fini(&slot->alone);
    ngx_free(slot->query.data);
    slot->plan = NULL;
}


void
ngx_http_travel_graphql_plans_exit(void)
{
    ngx_uint_t  i;

    if (ngx_http_travel_graphql_slots == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_PLANS; i++) {
        ngx_http_travel_graphql_empty(&ngx_http_travel_graphql_slots[i]);
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_PERSISTED; i++) {
        if (ngx_http_travel_graphql_persisted[i].query.data != NULL) {
            ngx_free(ngx_http_travel_graphql_persisted[i].query.data);
        }
    }

    ngx_http_travel_graphql_slots = NULL;
}


/* --- finding ------------------------------------------------------------- */

static uint64_t
ngx_http_travel_graphql_hash(ngx_http_travel_graphql_t *g)
{
    return travel_siphash(&ngx_http_travel_graphql_key, g->query.data,
                          g->query.len)
           ^ (travel_siphash(&ngx_http_travel_graphql_key, g->operation.data,
                             g->operation.len) * 3);
}


static ngx_uint_t
ngx_http_travel_graphql_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/* NULL: none; *ret_shape is filled when the document is known at all. */
static ngx_http_travel_graphql_plan_t *
ngx_http_travel_graphql_find(ngx_http_travel_graphql_t *g, uint64_t hash,
    const travel_graphql_part_t *part, u_char *buf, ngx_str_t *ret_shape)
{
    ngx_queue_t                     *q, *bucket;
    ngx_http_travel_graphql_plan_t  *slot;

    ret_shape->data = buf;
    ret_shape->len = 0;
    bucket = &ngx_http_travel_graphql_buckets[
                 hash % NGX_HTTP_TRAVEL_GRAPHQL_BUCKETS];

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        slot = ngx_queue_data(q, ngx_http_travel_graphql_plan_t, chain);

        if (slot->hash != hash
            || !ngx_http_travel_graphql_same(&slot->query, &g->query)
            || !ngx_http_travel_graphql_same(&slot->operation, &g->operation))
        {
            continue;
        }

        if (ret_shape->len == 0) {
            ret_shape->len = travel_graphql_shape(g->main->mapping,
                                 slot->plan->operation, &g->variables,
                                 (char *) buf, NGX_HTTP_TRAVEL_GRAPHQL_SHAPE);
        }

        if (ret_shape->len != 0
            && ngx_memcmp(&slot->part, part, sizeof(travel_graphql_part_t))
               == 0
            && ngx_http_travel_graphql_same(&slot->shape, ret_shape))
        {
            return slot;
        }
    }

    return NULL;
}


/* --- making -------------------------------------------------------------- */

/* The least recently used that nobody holds. */
static ngx_http_travel_graphql_plan_t *
ngx_http_travel_graphql_slot(void)
{
    ngx_queue_t                     *q;
    ngx_http_travel_graphql_plan_t  *slot;

    for (q = ngx_queue_last(&ngx_http_travel_graphql_lru);
         q != ngx_queue_sentinel(&ngx_http_travel_graphql_lru);
         q = ngx_queue_prev(q))
    {
        slot = ngx_queue_data(q, ngx_http_travel_graphql_plan_t, lru);

        if (slot->refs == 0) {
            return slot;
        }
    }

    return NULL;
}


/* The statement: the plan's own, or that of a part of it. */
static int
ngx_http_travel_graphql_alone(ngx_http_travel_graphql_plan_t *slot,
    travel_graphql_plan_t *plan, const travel_graphql_part_t *part)
{
    slot->sql = &plan->statement;
    slot->part = *part;

    if (part->only == 0 && part->denied == 0) {
        return TRAVEL_OK;
    }

    slot->sql = &slot->alone;
    return travel_graphql_part_sql(&slot->alone, plan, part);
}


static void
ngx_http_travel_graphql_statement(ngx_http_travel_graphql_plan_t *slot)
{
    travel_query_t  *like;

    like = &slot->query_like;
    ngx_memzero(like, sizeof(travel_query_t));

    like->name = (char *) slot->name;
    like->file = (char *) slot->name;
    like->sql = slot->sql->sql;
    like->nbinds = slot->sql->nbinds;
    like->nparams = slot->sql->nbinds;
    like->returns = TRAVEL_RETURNS_LIST;
    like->public = !slot->plan->viewer;
    like->priority = TRAVEL_PRIORITY_NORMAL;
    like->timeout_ms = NGX_HTTP_TRAVEL_GRAPHQL_TIMEOUT;

    slot->statement.sql.data = (u_char *) slot->sql->sql;
    slot->statement.sql.len = slot->sql->sql != NULL
                              ? ngx_strlen(slot->sql->sql) : 0;
    slot->statement.nparams = slot->sql->nbinds;
    slot->statement.version++;
}


/* --- judging ------------------------------------------------------------- */

static void
ngx_http_travel_graphql_unreport(void *data)
{
    travel_graphql_report_free(data);
}


/* What was found, kept for the answer; the first of it is the error. */
static ngx_int_t
ngx_http_travel_graphql_judged(ngx_http_travel_graphql_t *g, int rc,
    travel_graphql_report_t *report, travel_graphql_error_t *ret_error)
{
    ngx_pool_cleanup_t              *cln;
    const travel_graphql_mistake_t  *first;

    if (rc != TRAVEL_INVALID || report->n == 0) {
        travel_graphql_report_free(report);
        return rc == TRAVEL_OK ? NGX_OK : NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(g->request->pool,
                               sizeof(travel_graphql_report_t));
    if (cln == NULL) {
        travel_graphql_report_free(report);
        return NGX_ERROR;
    }

    g->report = cln->data;
    *g->report = *report;
    cln->handler = ngx_http_travel_graphql_unreport;

    first = &report->items[0];
    ngx_memzero(ret_error, sizeof(travel_graphql_error_t));
    ret_error->code = TRAVEL_E_VALIDATION_ERROR;
    ret_error->line = first->places[0].line;
    ret_error->column = first->places[0].column;
    (void) ngx_cpystrn((u_char *) ret_error->message,
                       (u_char *) first->message, sizeof(ret_error->message));

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_travel_graphql_coerce(ngx_http_travel_graphql_t *g,
    const travel_graphql_ast_t *operation, travel_graphql_error_t *ret_error)
{
    int                      rc;
    travel_graphql_report_t  report;

    travel_graphql_report_init(&report, NGX_HTTP_TRAVEL_GRAPHQL_MISTAKES);
    rc = travel_graphql_coerce(g->main->schema, operation, &g->variables,
                               &report);

    return ngx_http_travel_graphql_judged(g, rc, &report, ret_error);
}


/* By all the rules of the language, and then the variables. */
static ngx_int_t
ngx_http_travel_graphql_judge(ngx_http_travel_graphql_t *g,
    travel_graphql_document_t *document, travel_str_t name,
    travel_graphql_error_t *ret_error)
{
    int                          rc;
    travel_graphql_report_t      report;
    const travel_graphql_ast_t  *operation;

    travel_graphql_report_init(&report, NGX_HTTP_TRAVEL_GRAPHQL_MISTAKES);
    rc = travel_graphql_validate(g->main->schema, document,
                                 TRAVEL_GRAPHQL_WORK, &report);

    if (rc != TRAVEL_OK) {
        return ngx_http_travel_graphql_judged(g, rc, &report, ret_error);
    }

    travel_graphql_report_free(&report);

    if (travel_graphql_operation(&operation, document, name, ret_error)
        != TRAVEL_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_travel_graphql_coerce(g, operation, ret_error);
}


/* Copies of what the plan is found by; the document's tree points into them. */
static u_char *
ngx_http_travel_graphql_copy(ngx_http_travel_graphql_t *g, size_t shape,
    ngx_http_travel_graphql_plan_t *slot)
{
    u_char  *p;

    p = ngx_alloc(g->query.len + g->operation.len + shape + 1,
                  ngx_cycle->log);
    if (p == NULL) {
        return NULL;
    }

    slot->query.data = p;
    slot->query.len = g->query.len;
    slot->operation.data = ngx_cpymem(p, g->query.data, g->query.len);
    slot->operation.len = g->operation.len;
    slot->shape.data = ngx_cpymem(slot->operation.data, g->operation.data,
                                  g->operation.len);
    slot->shape.len = shape;

    return p;
}


/* The slot's text as a document that can be planned. */
static ngx_int_t
ngx_http_travel_graphql_document(ngx_http_travel_graphql_t *g,
    const ngx_http_travel_graphql_plan_t *slot,
    travel_graphql_document_t **ret_document,
    travel_graphql_error_t *ret_error)
{
    int                         rc;
    ngx_int_t                   judged;
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *document;

    rc = travel_graphql_parse(&document, ngx_http_travel_view(&slot->query),
                              &fault);

    if (rc == TRAVEL_INVALID) {
        ngx_memzero(ret_error, sizeof(travel_graphql_error_t));
        ret_error->code = TRAVEL_E_MALFORMED_REQUEST;
        ret_error->line = fault.line;
        ret_error->column = fault.column;
        (void) ngx_cpystrn((u_char *) ret_error->message,
                           (u_char *) fault.message, sizeof(fault.message));
        return NGX_DECLINED;
    }

    if (rc != TRAVEL_OK) {
        return NGX_ERROR;
    }

    judged = ngx_http_travel_graphql_judge(g, document,
                                 ngx_http_travel_view(&slot->operation),
                                 ret_error);
    if (judged != NGX_OK) {
        travel_graphql_document_free(document);
        return judged;
    }

    *ret_document = document;
    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_make(ngx_http_travel_graphql_t *g, uint64_t hash,
    const travel_graphql_part_t *part,
    ngx_http_travel_graphql_plan_t **ret_plan,
    travel_graphql_error_t *ret_error)
{
    int                              rc;
    u_char                           shape[NGX_HTTP_TRAVEL_GRAPHQL_SHAPE];
    size_t                           n;
    ngx_int_t                        judged;
    travel_str_t                     sql;
    travel_graphql_plan_t           *plan;
    travel_graphql_document_t       *document;
    ngx_http_travel_graphql_plan_t  *slot;

    plan = NULL;
    slot = ngx_http_travel_graphql_slot();

    if (slot == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_graphql_empty(slot);

    if (ngx_http_travel_graphql_copy(g, sizeof(shape), slot) == NULL) {
        return NGX_ERROR;
    }

    judged = ngx_http_travel_graphql_document(g, slot, &document, ret_error);

    if (judged != NGX_OK) {
        ngx_free(slot->query.data);
        return judged;
    }

    rc = travel_graphql_plan(&plan, g->main->mapping, document,
                             ngx_http_travel_view(&slot->operation),
                             &g->variables, ret_error);

    if (rc == TRAVEL_OK) {
        n = travel_graphql_shape(g->main->mapping, plan->operation,
                                 &g->variables, (char *) shape, sizeof(shape));
        ngx_memcpy(slot->shape.data, shape, n);
        slot->shape.len = n;
        rc = ngx_http_travel_graphql_alone(slot, plan, part);

        sql.data = slot->sql->sql != NULL ? slot->sql->sql : "";
        sql.len = ngx_strlen(sql.data);

        if (rc != TRAVEL_OK || travel_sha256(slot->digest, sql) != TRAVEL_OK) {
            travel_graphql_plan_free(plan);
            rc = TRAVEL_ERROR;
        }
    }

    if (rc != TRAVEL_OK) {
        ngx_free(slot->query.data);
        return rc == TRAVEL_INVALID ? NGX_DECLINED : NGX_ERROR;
    }

    slot->plan = plan;
    slot->hash = hash;
    ngx_http_travel_graphql_statement(slot);
    ngx_queue_insert_head(&ngx_http_travel_graphql_buckets[
                              hash % NGX_HTTP_TRAVEL_GRAPHQL_BUCKETS],
                          &slot->chain);
    *ret_plan = slot;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_graphql_plan(ngx_http_travel_graphql_t *g,
    const travel_graphql_part_t *part,
    ngx_http_travel_graphql_plan_t **ret_plan,
    travel_graphql_error_t *ret_error)
{
    u_char                           buf[NGX_HTTP_TRAVEL_GRAPHQL_SHAPE];
    uint64_t                         hash;
    ngx_int_t                        rc;
    ngx_str_t                        shape;
    ngx_pool_cleanup_t              *cln;
    ngx_http_travel_graphql_plan_t  *slot;

    static const travel_graphql_part_t  whole;

    cln = ngx_pool_cleanup_add(g->request->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    part = part != NULL ? part : &whole;
    hash = ngx_http_travel_graphql_hash(g);
    slot = ngx_http_travel_graphql_find(g, hash, part, buf, &shape);

    ngx_http_travel_count(slot != NULL ? g->main->reused : g->main->planned,
                          1);

    if (slot == NULL) {
        rc = ngx_http_travel_graphql_make(g, hash, part, &slot, ret_error);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_queue_remove(&slot->lru);
    ngx_queue_insert_head(&ngx_http_travel_graphql_lru, &slot->lru);

    slot->refs++;
    cln->handler = ngx_http_travel_graphql_release;
    cln->data = slot;
    *ret_plan = slot;

    return NGX_OK;
}


static void
ngx_http_travel_graphql_release(void *data)
{
    ngx_http_travel_graphql_plan_t  *slot = data;

    slot->refs--;
}


void
ngx_http_travel_graphql_let_go(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_plan_t *plan)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = g->request->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler == ngx_http_travel_graphql_release
            && cln->data == plan)
        {
            cln->handler = NULL;
            ngx_http_travel_graphql_release(plan);
            return;
        }
    }
}


/* --- persisted documents ------------------------------------------------- */

static ngx_http_travel_graphql_persisted_t *
ngx_http_travel_graphql_place(const ngx_str_t *hash)
{
    return &ngx_http_travel_graphql_persisted[
               travel_siphash(&ngx_http_travel_graphql_key, hash->data,
                              hash->len)
               % NGX_HTTP_TRAVEL_GRAPHQL_PERSISTED];
}


ngx_int_t
ngx_http_travel_graphql_recall(const ngx_str_t *hash, ngx_str_t *ret_query)
{
    ngx_http_travel_graphql_persisted_t  *place;

    place = ngx_http_travel_graphql_place(hash);

    if (place->query.data == NULL
        || ngx_memcmp(place->hash, hash->data, sizeof(place->hash)) != 0)
    {
        return NGX_DECLINED;
    }

    *ret_query = place->query;
    return NGX_OK;
}


void
ngx_http_travel_graphql_remember(const ngx_str_t *hash, const ngx_str_t *query)
{
    u_char                               *copy;
    ngx_http_travel_graphql_persisted_t  *place;

    place = ngx_http_travel_graphql_place(hash);

    copy = ngx_alloc(query->len + 1, ngx_cycle->log);
    if (copy == NULL) {
        return;
    }

    if (place->query.data != NULL) {
        ngx_free(place->query.data);
    }

    ngx_memcpy(copy, query->data, query->len);
    ngx_memcpy(place->hash, hash->data, sizeof(place->hash));
    place->query.data = copy;
    place->query.len = query->len;
}
