/*
 * The location where purges are asked for:
 *
 *     travel_purge [permission=NAME];       default: cache:purge
 *
 *     POST ?tag=TAG
 *     POST ?route=NAME[&value=V1[&value=V2 ...]]
 *     POST ?prefix=TEXT
 *     POST ?all=1                           each with &soft=1, perhaps
 *
 * The purge is added to the stream of purges; the answer comes when this node
 * has carried it out, with what that took.  A caller without the permission is
 * refused whatever the configuration says: there is no open purge location.
 */

#include "ngx_http_travel_cache_room.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_PURGE_PATIENCE  1000    /* ms for our own part */
#define NGX_HTTP_TRAVEL_PURGE_STEP      5


typedef struct {
    ngx_event_t               event;
    ngx_http_request_t       *request;
    ngx_http_travel_purge_t   purge;
    travel_stream_id_t        id;
    ngx_msec_t                until;
} ngx_http_travel_purging_t;


static ngx_int_t ngx_http_travel_purge_args(ngx_http_request_t *r,
    ngx_http_travel_purge_t *ret_purge);
static ngx_int_t ngx_http_travel_purge_arg(ngx_http_travel_purge_t *purge,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_travel_purge_add(ngx_http_travel_purge_t *purge,
    const void *p, size_t len);
static ngx_int_t ngx_http_travel_purge_send(ngx_http_travel_purging_t *p);
static void ngx_http_travel_purge_sent(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_purge_look(ngx_event_t *ev);
static ngx_int_t ngx_http_travel_purge_answer(ngx_http_travel_purging_t *p,
    ngx_int_t known, ngx_uint_t dropped);
static void ngx_http_travel_purge_gone(void *data);


static const ngx_http_travel_param_t  ngx_http_travel_purge_params[] = {

    { "permission", ngx_http_travel_param_text,
      0,
      NULL, NULL, "cache:purge", NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_purge_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                          *permission;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    permission = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (permission->len != 0) {
        return "is duplicate";
    }

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_purge_params, 1,
                                     permission)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_cache_module);
    cmcf->used = 1;

    return ngx_http_travel_claim(cf, NGX_HTTP_POST,
                                 ngx_http_travel_purge_handler);
}


ngx_int_t
ngx_http_travel_purge_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                  *permission;
    ngx_pool_cleanup_t         *cln;
    ngx_http_travel_ctx_t      *ctx;
    ngx_http_travel_purging_t  *p;

    static ngx_str_t  bearer = ngx_string("Bearer realm=\"travel\"");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_travel_get_ctx(r);
    permission = ngx_http_travel_purge_permission(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->authenticated) {
        if (ngx_http_travel_add_header(r, "WWW-Authenticate", &bearer)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_travel_error(r, TRAVEL_E_AUTHENTICATION_ERROR,
                                     "A purge needs an access token.");
    }

    if (!ngx_http_travel_permitted(r, permission)) {
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "The permission \"%V\" is missing.",
                                     permission);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_purging_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = cln->data;
    ngx_memzero(p, sizeof(ngx_http_travel_purging_t));
    cln->handler = ngx_http_travel_purge_gone;

    p->request = r;
    p->event.data = r->connection;
    p->event.handler = ngx_http_travel_purge_look;
    p->event.log = r->connection->log;

    if (ngx_http_travel_purge_args(r, &p->purge) != NGX_OK) {
        return ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                     "Say what to purge: one of tag=TAG, "
                                     "route=NAME (with the values of its "
                                     "parameters as value=...), prefix=TEXT, "
                                     "all=1; soft=1 besides, if old answers "
                                     "may stand in until they are renewed.");
    }

    if (ngx_http_travel_purge_send(p) != NGX_OK) {
        return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "The nodes cannot be told at the moment. "
                                     "Please try again.");
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    return NGX_DONE;
}


/* --- what is asked for --------------------------------------------------- */

static ngx_int_t
ngx_http_travel_purge_args(ngx_http_request_t *r,
    ngx_http_travel_purge_t *ret_purge)
{
    u_char     *p, *last, *end, *eq, *dst, *src;
    ngx_str_t   name, value;

    p = r->args.data;
    last = p + r->args.len;

    for (/* void */; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');
        end = (end != NULL) ? end : last;
        eq = ngx_strlchr(p, end, '=');

        if (eq == NULL) {
            return NGX_ERROR;
        }

        name.data = p;
        name.len = eq - p;

        value.data = ngx_pnalloc(r->pool, end - eq);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        dst = value.data;
        src = eq + 1;
        ngx_unescape_uri(&dst, &src, end - src, 0);
        value.len = dst - value.data;

        if (ngx_http_travel_purge_arg(ret_purge, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ret_purge->kind ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_travel_purge_arg(ngx_http_travel_purge_t *purge, ngx_str_t *name,
    ngx_str_t *value)
{
    uint32_t    n;
    ngx_uint_t  i;

    static const struct {
        ngx_str_t   name;
        ngx_uint_t  kind;
    } kinds[] = {
        { ngx_string("tag"), NGX_HTTP_TRAVEL_PURGE_TAG },
        { ngx_string("route"), NGX_HTTP_TRAVEL_PURGE_ROUTE },
        { ngx_string("prefix"), NGX_HTTP_TRAVEL_PURGE_PREFIX },
        { ngx_string("all"), NGX_HTTP_TRAVEL_PURGE_ALL }
    };

    for (i = 0; i < 4; i++) {
        if (name->len != kinds[i].name.len
            || ngx_memcmp(name->data, kinds[i].name.data, name->len) != 0)
        {
            continue;
        }

        if (purge->kind || value->len == 0
            || (kinds[i].kind == NGX_HTTP_TRAVEL_PURGE_ALL
                && (value->len != 1 || value->data[0] != '1'))
            || ngx_http_travel_purge_add(purge, value->data, value->len)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        purge->kind = kinds[i].kind;

        return (purge->kind == NGX_HTTP_TRAVEL_PURGE_ROUTE)
               ? ngx_http_travel_purge_add(purge, "", 1) : NGX_OK;
    }

    if (name->len == 5 && ngx_memcmp(name->data, "value", 5) == 0
        && purge->kind == NGX_HTTP_TRAVEL_PURGE_ROUTE)
    {
        /* as ngx_http_travel_query_identity() writes it */

        n = (uint32_t) value->len;

        return (ngx_http_travel_purge_add(purge, "=", 1) == NGX_OK
                && ngx_http_travel_purge_add(purge, &n, sizeof(n)) == NGX_OK
                && ngx_http_travel_purge_add(purge, value->data, value->len)
                   == NGX_OK) ? NGX_OK : NGX_ERROR;
    }

    if (name->len == 4 && ngx_memcmp(name->data, "soft", 4) == 0
        && value->len == 1 && (value->data[0] | 1) == '1')
    {
        purge->soft = value->data[0] == '1';
        return NGX_OK;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_travel_purge_add(ngx_http_travel_purge_t *purge, const void *p,
    size_t len)
{
    if (len > sizeof(purge->what) - purge->len) {
        return NGX_ERROR;
    }

    ngx_memcpy(purge->what + purge->len, p, len);
    purge->len += len;

    return NGX_OK;
}


/* --- to all nodes, and the answer ---------------------------------------- */

static ngx_int_t
ngx_http_travel_purge_send(ngx_http_travel_purging_t *p)
{
    char                         kind, soft;
    size_t                       argvlen[12];
    ngx_uint_t                   i;
    const char                  *argv[12];
    ngx_http_travel_redis_op_t  *op;

    kind = (char) ('0' + p->purge.kind);
    soft = p->purge.soft ? '1' : '0';

    argv[0] = "XADD";
    argv[1] = NGX_HTTP_TRAVEL_PURGE_STREAM;
    argv[2] = "MAXLEN";
    argv[3] = "~";
    argv[4] = NGX_HTTP_TRAVEL_PURGE_KEPT;
    argv[5] = "*";
    argv[6] = "kind";
    argv[8] = "soft";
    argv[10] = "what";

    for (i = 0; i < 11; i += (i < 6) ? 1 : 2) {
        argvlen[i] = ngx_strlen(argv[i]);
    }

    argv[7] = &kind;
    argvlen[7] = 1;
    argv[9] = &soft;
    argvlen[9] = 1;
    argv[11] = (char *) p->purge.what;
    argvlen[11] = p->purge.len;

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)) {
        return NGX_DECLINED;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, p->request, 0,
                                  ngx_http_travel_purge_sent, p);

    return (op != NULL && ngx_http_travel_redis_command(op, 12, argv, argvlen)
                          == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_travel_purge_sent(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                   id;
    ngx_http_travel_purging_t  *p = op->data;

    if (reply != NULL) {
        id = ngx_http_travel_reply_str(reply);

        if (ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_STRING
            && travel_stream_id_parse(&p->id, ngx_http_travel_view(&id))
               == TRAVEL_OK)
        {
            p->until = ngx_current_msec + NGX_HTTP_TRAVEL_PURGE_PATIENCE;
            ngx_add_timer(&p->event, NGX_HTTP_TRAVEL_PURGE_STEP);
            return;
        }
    }

    ngx_http_travel_finish(p->request,
        ngx_http_travel_error(p->request, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                              "Whether the nodes were told is not known. "
                              "Please try again: twice does no harm."));
}


static void
ngx_http_travel_purge_look(ngx_event_t *ev)
{
    ngx_int_t                   rc;
    ngx_uint_t                  dropped;
    ngx_http_travel_purging_t  *p;

    p = (ngx_http_travel_purging_t *)
            ((u_char *) ev - offsetof(ngx_http_travel_purging_t, event));

    dropped = 0;
    rc = ngx_http_travel_purge_outcome(p->id, &dropped);

    if (rc == NGX_AGAIN
        && (ngx_msec_int_t) (p->until - ngx_current_msec) > 0)
    {
        ngx_add_timer(&p->event, NGX_HTTP_TRAVEL_PURGE_STEP);
        return;
    }

    ngx_http_travel_finish(p->request,
                           ngx_http_travel_purge_answer(p, rc, dropped));
}


/* 202 when this node itself is not done in time: it will be, as all others. */
static ngx_int_t
ngx_http_travel_purge_answer(ngx_http_travel_purging_t *p, ngx_int_t known,
    ngx_uint_t dropped)
{
    char        id[64];
    size_t      n;
    u_char     *last;
    ngx_str_t   body;

    n = travel_stream_id_format(id, p->id);

    body.data = ngx_pnalloc(p->request->pool, 128);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_sprintf(body.data, "{\"id\":\"%*s\",\"soft\":%s,\"dropped\":",
                       n, id, p->purge.soft ? "true" : "false");
    last = (known == NGX_OK) ? ngx_sprintf(last, "%ui}", dropped)
                             : ngx_sprintf(last, "null}");
    body.len = last - body.data;

    return ngx_http_travel_send(p->request, known == NGX_OK
                                            ? NGX_HTTP_OK : NGX_HTTP_ACCEPTED,
                                NULL, &body);
}


static void
ngx_http_travel_purge_gone(void *data)
{
    ngx_http_travel_purging_t  *p = data;

    if (p->event.timer_set) {
        ngx_del_timer(&p->event);
    }
}
