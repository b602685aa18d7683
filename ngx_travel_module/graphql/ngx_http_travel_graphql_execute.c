/*
 * A document, executed: plan, rules, values, and on to the query room, which
 * knows the cache, the router and the caller's last write.
 */

#include "ngx_http_travel_graphql_room.h"
#include "../net/ngx_http_travel_inner.h"
#include "../../common/graphql/introspection.h"
#include "../../common/graphql/project.h"


static ngx_int_t ngx_http_travel_graphql_rules(ngx_http_travel_graphql_t *g,
    ngx_uint_t *ret_status, travel_graphql_error_t *ret_error);
static ngx_int_t ngx_http_travel_graphql_permitted(
    ngx_http_travel_graphql_t *g, ngx_uint_t *ret_status,
    travel_graphql_error_t *ret_error);
static ngx_int_t ngx_http_travel_graphql_prepare(ngx_http_travel_graphql_t *g,
    travel_graphql_error_t *ret_error);
static ngx_int_t ngx_http_travel_graphql_identity(
    ngx_http_travel_graphql_t *g, ngx_str_t *ret_identity);
static ngx_int_t ngx_http_travel_graphql_tags(ngx_http_travel_graphql_t *g,
    ngx_str_t *ret_tags);

static ngx_int_t ngx_http_travel_graphql_body(ngx_http_request_t *r,
    void *data, ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body,
    ngx_str_t *ret_tags);
static ngx_int_t ngx_http_travel_graphql_framed(ngx_http_travel_graphql_t *g,
    ngx_str_t *body);
static ngx_int_t ngx_http_travel_graphql_answer(ngx_http_request_t *r,
    void *data, ngx_http_travel_hit_t *hit, ngx_uint_t kept);
static ngx_int_t ngx_http_travel_graphql_failed(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static void ngx_http_travel_graphql_ended(ngx_http_request_t *r, void *data,
    ngx_int_t rc);

static ngx_int_t ngx_http_travel_graphql_meta(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, const char **ret_value);
static ngx_int_t ngx_http_travel_graphql_memory(ngx_http_travel_graphql_t *g);


void
ngx_http_travel_graphql_execute(ngx_http_travel_graphql_t *g)
{
    ngx_int_t               rc;
    ngx_uint_t              status;
    travel_graphql_error_t  error;

    rc = ngx_http_travel_graphql_plan(g, NULL, &g->plan, &error);
    status = error.code == TRAVEL_E_MALFORMED_REQUEST && g->modern
             ? NGX_HTTP_BAD_REQUEST : NGX_HTTP_TRAVEL_GRAPHQL_INVALID;

    if (rc == NGX_OK) {
        status = NGX_HTTP_TRAVEL_GRAPHQL_INVALID;
        rc = ngx_http_travel_graphql_rules(g, &status, &error);
    }

    if (rc == NGX_OK
        && g->plan->plan->operation->op == TRAVEL_GRAPHQL_SUBSCRIPTION)
    {
        rc = ngx_http_travel_graphql_subscribe(g, &error);

        if (rc == NGX_OK) {
            return;
        }
    }

    if (rc == NGX_OK
        && g->plan->plan->operation->op == TRAVEL_GRAPHQL_MUTATION)
    {
        if (ngx_http_travel_graphql_mutate(g) != NGX_OK) {
            ngx_http_travel_graphql_end(g, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    if (rc == NGX_OK && !g->plan->plan->data) {
        ngx_http_travel_graphql_end(g, ngx_http_travel_graphql_memory(g));
        return;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_travel_graphql_prepare(g, &error);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_travel_graphql_leave(g);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_travel_graphql_end(g, ngx_http_travel_graphql_refuse(g,
                                           status, &error));
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_travel_graphql_end(g, rc == NGX_ERROR
                                       ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc);
        return;
    }

    /* it may be over before this returns, and g with it */

    g->async = 1;
    ngx_http_travel_query_read(g->request, &g->read);
}


/* --- rules --------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_graphql_fault(travel_graphql_error_t *error, ngx_uint_t *status,
    ngx_uint_t said, travel_error_e code, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    ngx_memzero(error, sizeof(travel_graphql_error_t));
    error->code = code;
    *status = said;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) error->message, (u_char *) error->message
                      + sizeof(error->message) - 1, fmt, args);
    va_end(args);
    *p = '\0';

    return NGX_DECLINED;
}


/*
 * Before the look-up, each time: an answer may be kept, the right to it not.
 * Without a permission a query goes on by another plan, whose statement does
 * not have the fields that need it; what is to be carried out, or told again
 * and again to several, is refused as a whole.
 */
static ngx_int_t
ngx_http_travel_graphql_permitted(ngx_http_travel_graphql_t *g,
    ngx_uint_t *ret_status, travel_graphql_error_t *ret_error)
{
    size_t                  i;
    ngx_str_t               permission, missing;
    travel_graphql_part_t   part;
    ngx_http_travel_ctx_t  *ctx;
    travel_graphql_plan_t  *plan = g->plan->plan;

    ngx_memzero(&part, sizeof(travel_graphql_part_t));
    ngx_str_null(&missing);
    ctx = ngx_http_travel_get_ctx(g->request);

    if ((plan->viewer || plan->nrequires != 0) && ctx->user.len == 0) {
        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_UNAUTHORIZED, TRAVEL_E_AUTHENTICATION_ERROR,
                   "This operation needs an access token.");
    }

    for (i = 0; i < plan->nrequires; i++) {
        permission = ngx_http_travel_str(plan->requires[i]);

        if (!ngx_http_travel_permitted(g->request, &permission)) {
            missing = part.denied == 0 ? permission : missing;
            part.denied |= (uint64_t) 1 << i;
        }
    }

    if (part.denied == 0) {
        return NGX_OK;
    }

    if (plan->operation->op != TRAVEL_GRAPHQL_QUERY
        || travel_graphql_live(plan)
        || !travel_graphql_part_shows(plan, part.denied))
    {
        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_FORBIDDEN, TRAVEL_E_AUTHORIZATION_ERROR,
                   "The permission \"%V\" is missing.", &missing);
    }

    return ngx_http_travel_graphql_plan(g, &part, &g->plan, ret_error);
}


static ngx_int_t
ngx_http_travel_graphql_rules(ngx_http_travel_graphql_t *g,
    ngx_uint_t *ret_status, travel_graphql_error_t *ret_error)
{
    uint64_t                  cost;
    ngx_int_t                 rc;
    travel_graphql_plan_t    *plan = g->plan->plan;
    ngx_http_travel_inner_t  *inner;

    static ngx_str_t  post = ngx_string("POST");

    if (plan->operation->op == TRAVEL_GRAPHQL_SUBSCRIPTION
        && ngx_http_travel_inner_of(g->request) == NULL)
    {
        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_TRAVEL_GRAPHQL_INVALID, TRAVEL_E_VALIDATION_ERROR,
                   "A subscription needs a WebSocket or an event stream.");
    }

    if (plan->operation->op == TRAVEL_GRAPHQL_SUBSCRIPTION
        && (plan->nroots != 1 || plan->roots->field == NULL))
    {
        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_TRAVEL_GRAPHQL_INVALID, TRAVEL_E_VALIDATION_ERROR,
                   "A subscription must select one field, and no more.");
    }

    inner = ngx_http_travel_inner_of(g->request);

    if (plan->operation->op == TRAVEL_GRAPHQL_MUTATION
        ? g->get || (inner && ngx_http_travel_inner_is_safe(inner))
        : g->get && plan->operation->op != TRAVEL_GRAPHQL_QUERY)
    {
        if (ngx_http_travel_add_header(g->request, "Allow", &post) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_NOT_ALLOWED, TRAVEL_E_METHOD_NOT_ALLOWED,
                   "GET is for queries: a mutation is sent by POST.");
    }

    rc = ngx_http_travel_graphql_coerce(g, plan->operation, ret_error);

    if (rc != NGX_OK) {
        return rc;
    }

    if (travel_graphql_cost(plan, &g->variables, &cost, ret_error)
        != TRAVEL_OK)
    {
        return NGX_DECLINED;
    }

    if (plan->depth > g->conf->depth || plan->breadth > g->conf->fields
        || cost > g->conf->cost
        || plan->nroots > NGX_HTTP_TRAVEL_GRAPHQL_ROOTS)
    {
        return ngx_http_travel_graphql_fault(ret_error, ret_status,
                   NGX_HTTP_TRAVEL_GRAPHQL_INVALID, TRAVEL_E_VALIDATION_ERROR,
                   "The operation is too large: depth %ui of at most %ui, "
                   "fields %ui of %ui, cost %uL of %ui, roots %ui of %d.",
                   (ngx_uint_t) plan->depth, g->conf->depth,
                   (ngx_uint_t) plan->breadth, g->conf->fields, cost,
                   g->conf->cost, (ngx_uint_t) plan->nroots,
                   NGX_HTTP_TRAVEL_GRAPHQL_ROOTS);
    }

    return ngx_http_travel_graphql_permitted(g, ret_status, ret_error);
}


/* --- values -------------------------------------------------------------- */

static void *
ngx_http_travel_graphql_room(void *pool, size_t size)
{
    return ngx_pnalloc(pool, size);
}


static ngx_int_t
ngx_http_travel_graphql_text(ngx_http_travel_graphql_t *g, travel_str_t text,
    const char **ret_value, travel_graphql_error_t *ret_error)
{
    u_char      *p;
    ngx_uint_t   status;

    *ret_value = NULL;

    if (text.data == NULL) {
        return NGX_OK;
    }

    if (memchr(text.data, '\0', text.len) != NULL) {
        return ngx_http_travel_graphql_fault(ret_error, &status, 0,
                   TRAVEL_E_VALIDATION_ERROR,
                   "A string must not contain U+0000.");
    }

    p = ngx_pnalloc(g->request->pool, text.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text.data, text.len);
    p[text.len] = '\0';
    *ret_value = (char *) p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_key(ngx_http_travel_graphql_t *g,
    const travel_graphql_bind_t *bind, const char **ret_value,
    travel_graphql_error_t *ret_error)
{
    ngx_int_t      rc;
    ngx_str_t      name;
    ngx_uint_t     status;
    const char    *keys[TRAVEL_GRAPHQL_KEYS_MAX];
    travel_str_t   text;

    if (travel_graphql_value(g->plan->plan, bind->value, &g->variables,
                             ngx_http_travel_graphql_room, g->request->pool,
                             &text) != TRAVEL_OK)
    {
        text = TRAVEL_STR("");
    }

    rc = ngx_http_travel_graphql_cursor_read(g, bind->node, text, keys);

    if (rc == NGX_DECLINED) {
        name = ngx_http_travel_str(bind->value->arg->name);
        (void) ngx_http_travel_graphql_fault(ret_error, &status, 0,
                   TRAVEL_E_VALIDATION_ERROR,
                   "\"%V\" is no cursor of this list in this order.", &name);
        ret_error->line = bind->node->line;
        ret_error->column = bind->node->column;
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        *ret_value = keys[bind->key];
    }

    return rc;
}


static ngx_int_t
ngx_http_travel_graphql_meta(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, const char **ret_value)
{
    ngx_str_t              kept;
    travel_graphql_text_t  text;

    ngx_memzero(&text, sizeof(travel_graphql_text_t));
    travel_graphql_introspect(g->plan->plan, node, &g->variables, &text);

    if (ngx_http_travel_graphql_keep(g, &text, &kept) != NGX_OK) {
        return NGX_ERROR;
    }

    *ret_value = (const char *) kept.data;
    return NGX_OK;
}


/* Nothing but introspection: no server is asked. */
static ngx_int_t
ngx_http_travel_graphql_memory(ngx_http_travel_graphql_t *g)
{
    ngx_str_t                     body;
    travel_graphql_text_t         text;
    const travel_graphql_node_t  *node;

    ngx_memzero(&text, sizeof(travel_graphql_text_t));

    for (node = g->plan->plan->roots; node != NULL; node = node->next) {
        travel_graphql_text_puts(&text, node == g->plan->plan->roots
                                        ? "{\"data\":{" : ",");
        travel_graphql_text_string(&text, node->key);
        travel_graphql_text_puts(&text, ":");

        if (node->kind == TRAVEL_GRAPHQL_NODE_META) {
            travel_graphql_introspect(g->plan->plan, node, &g->variables,
                                      &text);
        } else {
            travel_graphql_text_string(&text, node->type);
        }
    }

    travel_graphql_text_puts(&text, text.len != 0 ? "}}" : "{\"data\":{}}");

    return ngx_http_travel_graphql_keep(g, &text, &body) == NGX_OK
           ? ngx_http_travel_graphql_send(g, NGX_HTTP_OK, &body)
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_travel_graphql_value(ngx_http_travel_graphql_t *g,
    const travel_graphql_bind_t *bind, const char **ret_value,
    travel_graphql_error_t *ret_error)
{
    u_char                 *p;
    uint32_t                limit;
    ngx_uint_t              status;
    travel_str_t            text;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(g->request);

    switch (bind->kind) {

    case TRAVEL_GRAPHQL_BIND_LIMIT:
        p = ngx_pnalloc(g->request->pool, NGX_INT32_LEN + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (travel_graphql_limit(g->plan->plan, bind->node, &g->variables,
                                 &limit, ret_error) != TRAVEL_OK)
        {
            return NGX_DECLINED;
        }

        (void) ngx_sprintf(p, "%uD%Z", limit);
        *ret_value = (char *) p;
        return NGX_OK;

    case TRAVEL_GRAPHQL_BIND_KEY:
        return ngx_http_travel_graphql_key(g, bind, ret_value, ret_error);

    case TRAVEL_GRAPHQL_BIND_VIEWER:
        return ngx_http_travel_graphql_text(g,
                   ngx_http_travel_view(&ctx->user), ret_value, ret_error);

    case TRAVEL_GRAPHQL_BIND_MARK:
        *ret_value = (char *) g->mark;
        return NGX_OK;

    case TRAVEL_GRAPHQL_BIND_MADE:
        return ngx_http_travel_graphql_text(g,
                   ngx_http_travel_view(&g->made), ret_value, ret_error);

    case TRAVEL_GRAPHQL_BIND_JOB:
        return ngx_http_travel_graphql_job(g, bind->node, ret_value);

    case TRAVEL_GRAPHQL_BIND_META:
        return ngx_http_travel_graphql_meta(g, bind->node, ret_value);

    default:
        if (travel_graphql_value(g->plan->plan, bind->value, &g->variables,
                                 ngx_http_travel_graphql_room,
                                 g->request->pool, &text) != TRAVEL_OK)
        {
            return ngx_http_travel_graphql_fault(ret_error, &status, 0,
                       TRAVEL_E_VALIDATION_ERROR,
                       "A variable has a value that cannot stand here.");
        }

        return ngx_http_travel_graphql_text(g, text, ret_value, ret_error);
    }
}


ngx_int_t
ngx_http_travel_graphql_bind(ngx_http_travel_graphql_t *g,
    const ngx_http_travel_graphql_plan_t *plan, const char ***ret_values,
    travel_graphql_error_t *ret_error)
{
    size_t        i;
    uint8_t       mark[NGX_HTTP_TRAVEL_GRAPHQL_MARK / 2];
    ngx_int_t     rc;
    const char  **values;

    values = ngx_palloc(g->request->pool, (plan->sql->nbinds + 1)
                                          * sizeof(char *));
    if (values == NULL) {
        return NGX_ERROR;
    }

    if (plan->sql->marked && g->mark[0] == '\0') {
        if (travel_random(mark, sizeof(mark)) != TRAVEL_OK) {
            return NGX_ERROR;
        }

        travel_hex_encode((char *) g->mark, mark, sizeof(mark));
    }

    for (i = 0; i < plan->sql->nbinds; i++) {
        rc = ngx_http_travel_graphql_value(g, &plan->sql->binds[i], &values[i],
                                           ret_error);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    *ret_values = values;
    return NGX_OK;
}


/* --- the read ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_graphql_prepare(ngx_http_travel_graphql_t *g,
    travel_graphql_error_t *ret_error)
{
    ngx_int_t                rc;
    ngx_http_travel_read_t  *read = &g->read;

    rc = ngx_http_travel_graphql_bind(g, g->plan, &g->values, ret_error);
    if (rc != NGX_OK) {
        return rc;
    }

    read->conf = g->main->reads;
    read->query = &g->plan->query_like;
    read->statement = &g->plan->statement;
    read->values = g->values;
    read->ttl = (ngx_msec_t) g->plan->plan->ttl * 1000;
    read->data = g;
    read->body = ngx_http_travel_graphql_body;
    read->answer = ngx_http_travel_graphql_answer;
    read->failed = ngx_http_travel_graphql_failed;
    read->end = ngx_http_travel_graphql_ended;

    if (ngx_http_travel_graphql_identity(g, &read->identity) != NGX_OK
        || ngx_http_travel_graphql_tags(g, &read->tags) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The statement's digest tells the document; then what was left out of it, each
 * value, framed, and the viewer where rows are his.  The mark is not part of
 * what is asked. */
static ngx_int_t
ngx_http_travel_graphql_identity(ngx_http_travel_graphql_t *g,
    ngx_str_t *ret_identity)
{
    u_char                            *p;
    size_t                             i, len;
    uint32_t                           n;
    uint64_t                           denied = g->plan->part.denied;
    ngx_http_travel_ctx_t             *ctx;
    const travel_graphql_statement_t  *sql = g->plan->sql;

    static const ngx_str_t  route = ngx_string("graphql");

    ctx = ngx_http_travel_get_ctx(g->request);
    len = route.len + 1 + TRAVEL_SHA256_LEN + sizeof(denied) + ctx->user.len;

    for (i = 0; i < sql->nbinds; i++) {
        len += 5 + (g->values[i] != NULL ? ngx_strlen(g->values[i]) : 0);
    }

    p = ngx_pnalloc(g->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_identity->data = p;
    p = ngx_cpymem(p, route.data, route.len);
    *p++ = '\0';
    p = ngx_cpymem(p, g->plan->digest, TRAVEL_SHA256_LEN);
    p = ngx_cpymem(p, &denied, sizeof(denied));

    for (i = 0; i < sql->nbinds; i++) {

        if (sql->binds[i].kind == TRAVEL_GRAPHQL_BIND_MARK
            || sql->binds[i].kind == TRAVEL_GRAPHQL_BIND_VIEWER)
        {
            continue;
        }

        if (g->values[i] == NULL) {
            *p++ = '-';
            continue;
        }

        *p++ = '=';
        n = (uint32_t) ngx_strlen(g->values[i]);
        p = ngx_cpymem(p, &n, sizeof(n));
        p = ngx_cpymem(p, g->values[i], n);
    }

    if (g->plan->plan->viewer) {
        p = ngx_cpymem(p, ctx->user.data, ctx->user.len);
    }

    ret_identity->len = p - ret_identity->data;
    return NGX_OK;
}


/* A piece of a tag, as it is now. */
static travel_str_t
ngx_http_travel_graphql_tag(ngx_http_travel_graphql_t *g,
    const travel_graphql_tags_t *tags, const travel_graphql_piece_t *piece)
{
    size_t                           i;
    travel_str_t                     text;
    ngx_http_travel_ctx_t           *ctx;
    const travel_graphql_node_t     *node = tags->node;

    switch (piece->kind) {

    case TRAVEL_GRAPHQL_PIECE_TEXT:
        return piece->text;

    case TRAVEL_GRAPHQL_PIECE_VIEWER:
        ctx = ngx_http_travel_get_ctx(g->request);
        return ngx_http_travel_view(&ctx->user);

    default:
        for (i = 0; i < node->field->nargs; i++) {
            if (travel_str_eq(node->field->args[i].name, piece->text)
                && node->given[i].given
                && travel_graphql_value(g->plan->plan, &node->given[i].value,
                                        &g->variables,
                                        ngx_http_travel_graphql_room,
                                        g->request->pool, &text) == TRAVEL_OK)
            {
                return text;
            }
        }

        return TRAVEL_STR("-");
    }
}


static ngx_int_t
ngx_http_travel_graphql_tags(ngx_http_travel_graphql_t *g,
    ngx_str_t *ret_tags)
{
    u_char                       *p;
    size_t                        i, k, len;
    travel_str_t                  text;
    travel_graphql_plan_t        *plan = g->plan->plan;
    const travel_graphql_tags_t  *tags;

    for (len = 0, i = 0; i < plan->ntags; i++) {
        tags = &plan->tags[i];

        for (k = 0; k < tags->tags->n; k++) {
            len += ngx_http_travel_graphql_tag(g, tags,
                                               &tags->tags->pieces[k]).len;
        }

        len++;
    }

    p = ngx_pnalloc(g->request->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_tags->data = p;

    for (i = 0; i < plan->ntags; i++) {
        tags = &plan->tags[i];

        for (k = 0; k < tags->tags->n; k++) {
            text = ngx_http_travel_graphql_tag(g, tags,
                                               &tags->tags->pieces[k]);
            p = ngx_cpymem(p, text.data, text.len);
        }

        *p++ = ' ';
    }

    ret_tags->len = p - ret_tags->data;
    return NGX_OK;
}


/* --- what the query room asks -------------------------------------------- */

/* An array of PostgreSQL's, whose items need no quotes, as words. */
static void
ngx_http_travel_graphql_words(ngx_str_t *tags)
{
    u_char  *src, *dst, *last;

    last = tags->data + tags->len;

    for (src = tags->data, dst = src; src < last; src++) {
        if (*src == ',') {
            *dst++ = ' ';

        } else if (*src != '{' && *src != '}' && *src != '"') {
            *dst++ = *src;
        }
    }

    tags->len = dst - tags->data;
}


static ngx_int_t
ngx_http_travel_graphql_body(ngx_http_request_t *r, void *data,
    ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body,
    ngx_str_t *ret_tags)
{
    ngx_str_t                   whole;
    ngx_http_travel_graphql_t  *g = data;

    whole = ngx_http_travel_pg_value(result, 0, 0);
    *ret_body = whole;
    *ret_tags = ngx_http_travel_pg_value(result, 0, 1);
    ngx_http_travel_graphql_words(ret_tags);

    if (ngx_http_travel_graphql_data(g, g->plan->plan->roots, 0, NULL,
                                     ret_body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ret_body->data == whole.data + sizeof("{\"data\":") - 1
        && g->told.len == 0)
    {
        *ret_body = whole;

    } else if (ngx_http_travel_graphql_framed(g, ret_body) != NGX_OK) {
        return NGX_ERROR;
    }

    if (g->plan->sql->marked
        && ngx_http_travel_graphql_cursor_body(g, g->plan->plan->roots,
                                               ret_body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return g->told.len != 0 ? NGX_DONE : NGX_OK;
}


/* What was made anew, as an answer again. */
static ngx_int_t
ngx_http_travel_graphql_framed(ngx_http_travel_graphql_t *g, ngx_str_t *body)
{
    u_char  *p;

    p = ngx_pnalloc(g->request->pool, g->told.len + body->len
                                      + sizeof("{\"errors\":[],\"data\":}"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (g->told.len != 0) {
        ngx_http_travel_count(g->main->partial, 1);
        body->len = ngx_sprintf(p, "{\"errors\":[%V],\"data\":%V}", &g->told,
                                body) - p;
    } else {
        body->len = ngx_sprintf(p, "{\"data\":%V}", body) - p;
    }

    body->data = p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_answer(ngx_http_request_t *r, void *data,
    ngx_http_travel_hit_t *hit, ngx_uint_t kept)
{
    ngx_uint_t                  own;
    ngx_http_travel_graphql_t  *g = data;

    static ngx_str_t  private = ngx_string("private, no-cache");
    static ngx_str_t  public = ngx_string("public, no-cache");
    static ngx_str_t  none = ngx_string("no-store");

    if (kept && ngx_http_travel_add_number(r, "Age", hit->age) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    own = g->plan->plan->viewer || g->plan->plan->nrequires != 0;

    if (ngx_http_travel_add_header(r, "Cache-Control",
                                   !g->get ? &none : own ? &private : &public)
        != NGX_OK
        || ngx_http_travel_cache_coding(r, hit) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_graphql_send(g, ngx_http_travel_graphql_well(g,
                                               g->told.len != 0), &hit->body);
}


static ngx_int_t
ngx_http_travel_graphql_failed(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_travel_graphql_t  *g = data;

    if (rc == TRAVEL_E_DEPENDENCY_UNAVAILABLE) {
        if (ngx_http_travel_add_number(r, "Retry-After", 1) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_travel_graphql_error(g,
                   NGX_HTTP_SERVICE_UNAVAILABLE, rc,
                   "The database cannot be asked at the moment. Please try "
                   "again.");
    }

    g->async = 1;

    return ngx_http_travel_graphql_roots(g, rc);
}


static void
ngx_http_travel_graphql_ended(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_http_travel_graphql_end(data, rc);
}
