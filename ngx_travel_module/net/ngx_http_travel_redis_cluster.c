/*
 * A role that is a Redis Cluster: one link to each master, commands sent by
 * their key's slot, redirections followed.
 *
 * A node is made when the map or a redirection first names it and stays for the
 * nginx worker's life, so that nobody holds a pointer to one that is gone; one
 * that the map does not name any more is let rest: its link is not made again.
 * The role's own node is the seed, which goes by the configured addresses.
 * Until the map is known all commands go to the seed and are redirected; so a
 * fresh nginx worker refuses nobody.
 *
 * The map (CLUSTER NODES) is asked for while something is wrong with it: it is
 * not known, a command was told of another place, or the link to a master is
 * down; of one server after the other, since one that is cut off knows only
 * what was.
 *
 * A command's text is kept until it is answered.  MOVED is news of one slot and
 * sends the command to where that is; ASK sends this command only, behind
 * ASKING.  TRYAGAIN and CLUSTERDOWN are answers like other errors: not now.
 */

#include "ngx_http_travel_redis_call.h"

#include "../../common/cluster.h"

#define NGX_HTTP_TRAVEL_CLUSTER_TICK   200       /* ms: a look at the map */
#define NGX_HTTP_TRAVEL_CLUSTER_TRIES  5         /* redirections of one */
#define NGX_HTTP_TRAVEL_CLUSTER_NODES  512       /* ever seen */


struct ngx_http_travel_redis_cluster_s {
    ngx_http_travel_redis_role_t  *role;
    travel_cluster_map_t           map;
    ngx_http_travel_redis_node_t  *owner[TRAVEL_CLUSTER_MASTERS + 1];
                                            /* by the map's; 0: nobody */
    ngx_http_travel_redis_node_t  *nodes[NGX_HTTP_TRAVEL_CLUSTER_NODES];
    ngx_uint_t                     n;
    ngx_uint_t                     turn;    /* who is asked next */
    ngx_event_t                    timer;   /* cancelable */
    unsigned                       known:1;
    unsigned                       doubtful:1;   /* told of another place */
    unsigned                       asking:1;
};


static void ngx_http_travel_cluster_tick(ngx_event_t *ev);
static void ngx_http_travel_cluster_doubt(
    ngx_http_travel_redis_cluster_t *cluster);
static ngx_uint_t ngx_http_travel_cluster_troubled(
    const ngx_http_travel_redis_cluster_t *cluster);
static void ngx_http_travel_cluster_ask(
    ngx_http_travel_redis_cluster_t *cluster);
static void ngx_http_travel_cluster_seed_up(ngx_http_travel_link_t *link);
static void ngx_http_travel_cluster_node_down(ngx_http_travel_link_t *link);
static void ngx_http_travel_cluster_nodes(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_cluster_changed(
    ngx_http_travel_redis_cluster_t *cluster);
static ngx_http_travel_redis_node_t *ngx_http_travel_cluster_node(
    ngx_http_travel_redis_cluster_t *cluster, const travel_cluster_node_t *at);
static const ngx_http_travel_redis_server_t *ngx_http_travel_cluster_aim(
    ngx_http_travel_link_t *link);
static ngx_http_travel_redis_node_t *ngx_http_travel_cluster_route(
    ngx_http_travel_redis_cluster_t *cluster, travel_str_t command);
static ngx_int_t ngx_http_travel_cluster_answer(
    ngx_http_travel_redis_cluster_t *cluster,
    const ngx_http_travel_redis_server_t *by, const redisReply *reply,
    travel_cluster_answer_t *ret_answer);


/* of this nginx worker: the only role that can be one is the queue's */

static ngx_http_travel_redis_cluster_t  *ngx_http_travel_cluster;


ngx_int_t
ngx_http_travel_redis_cluster_start(ngx_http_travel_redis_role_t *role)
{
    ngx_http_travel_redis_cluster_t  *cluster;

    cluster = ngx_pcalloc(ngx_cycle->pool,
                          sizeof(ngx_http_travel_redis_cluster_t));
    if (cluster == NULL) {
        return NGX_ERROR;
    }

    cluster->role = role;
    cluster->timer.handler = ngx_http_travel_cluster_tick;
    cluster->timer.data = cluster;
    cluster->timer.log = ngx_cycle->log;
    cluster->timer.cancelable = 1;

    role->cluster = cluster;
    role->node.link.on_up = ngx_http_travel_cluster_seed_up;
    role->node.link.on_down = ngx_http_travel_cluster_node_down;
    ngx_http_travel_cluster = cluster;

    ngx_add_timer(&cluster->timer, NGX_HTTP_TRAVEL_CLUSTER_TICK);

    return NGX_OK;
}


void
ngx_http_travel_redis_cluster_stop(ngx_http_travel_redis_role_t *role)
{
    ngx_uint_t                        i;
    ngx_http_travel_redis_cluster_t  *cluster;

    cluster = role->cluster;
    ngx_http_travel_cluster = NULL;

    for (i = 0; i < cluster->n; i++) {
        ngx_http_travel_link_close(&cluster->nodes[i]->link);
    }

    if (cluster->timer.timer_set) {
        ngx_del_timer(&cluster->timer);
    }
}


ngx_uint_t
ngx_http_travel_redis_cluster_up(const ngx_http_travel_redis_role_t *role)
{
    size_t                                  i;
    const ngx_http_travel_redis_cluster_t  *cluster;

    cluster = role->cluster;

    for (i = 1; cluster->known && i <= cluster->map.n; i++) {
        if (cluster->owner[i]
            && cluster->owner[i]->link.state == NGX_HTTP_TRAVEL_LINK_UP)
        {
            return 1;
        }
    }

    return 0;
}


/* --- the map -------------------------------------------------------------- */

static void
ngx_http_travel_cluster_tick(ngx_event_t *ev)
{
    ngx_http_travel_redis_cluster_t  *cluster;

    cluster = ev->data;

    if (ngx_http_travel_cluster_troubled(cluster)) {
        ngx_http_travel_cluster_ask(cluster);
    }

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_CLUSTER_TICK);
    }
}


static ngx_uint_t
ngx_http_travel_cluster_troubled(
    const ngx_http_travel_redis_cluster_t *cluster)
{
    size_t  i;

    for (i = 1; cluster->known && i <= cluster->map.n; i++) {
        if (cluster->owner[i] == NULL
            || cluster->owner[i]->link.state != NGX_HTTP_TRAVEL_LINK_UP)
        {
            return 1;
        }
    }

    return !cluster->known || cluster->doubtful;
}


/* Once for all that are redirected before the answer comes. */
static void
ngx_http_travel_cluster_doubt(ngx_http_travel_redis_cluster_t *cluster)
{
    if (!cluster->doubtful) {
        cluster->doubtful = 1;

        if (!cluster->asking) {
            ngx_add_timer(&cluster->timer, 1);
        }
    }
}


static void
ngx_http_travel_cluster_ask(ngx_http_travel_redis_cluster_t *cluster)
{
    ngx_uint_t                     i, n;
    ngx_http_travel_redis_node_t  *node;

    static const char    *argv[] = { "CLUSTER", "NODES" };
    static const size_t   len[] = { 7, 5 };

    if (cluster->asking) {
        return;
    }

    n = cluster->n + 1;

    for (i = 0; i < n; i++) {
        cluster->turn = (cluster->turn + 1) % n;
        node = cluster->turn < cluster->n ? cluster->nodes[cluster->turn]
                                          : &cluster->role->node;

        if (node->link.state != NGX_HTTP_TRAVEL_LINK_UP
            || ngx_http_travel_link_send(&node->link,
                                         ngx_http_travel_cluster_nodes, node,
                                         2, (const char **) argv, len)
               != NGX_OK)
        {
            continue;
        }

        cluster->asking = 1;
        cluster->doubtful = 0;
        return;
    }
}


static void
ngx_http_travel_cluster_seed_up(ngx_http_travel_link_t *link)
{
    (void) link;

    if (ngx_http_travel_cluster && !ngx_http_travel_cluster->known) {
        ngx_http_travel_cluster_ask(ngx_http_travel_cluster);
    }
}


/* Those that wait for a WAIT which is not written yet would wait in vain. */
static void
ngx_http_travel_cluster_node_down(ngx_http_travel_link_t *link)
{
    ngx_queue_t                   *q;
    ngx_http_travel_redis_call_t  *call;
    ngx_http_travel_redis_node_t  *node;

    node = link->data;

    while (!ngx_queue_empty(&node->durable)) {
        q = ngx_queue_head(&node->durable);
        call = ngx_queue_data(q, ngx_http_travel_redis_call_t, durable);

        ngx_http_travel_redis_ungather(call);
        ngx_http_travel_redis_lost(call, call->answered, link->why);
        ngx_http_travel_redis_call_end(call);
    }

    if (ngx_http_travel_cluster) {
        ngx_http_travel_cluster_doubt(ngx_http_travel_cluster);
    }
}


/* The address that the answer's server is asked by; the seed's is one of the
 * configured ones. */
static void
ngx_http_travel_cluster_by(const ngx_http_travel_redis_server_t *by,
    travel_cluster_node_t *ret_node)
{
    ngx_memzero(ret_node, sizeof(travel_cluster_node_t));

    if (by) {
        (void) travel_cluster_node_set(ret_node, (travel_str_t) { by->addr,
                                       ngx_strlen(by->addr) }, by->port);
    }
}


static void
ngx_http_travel_cluster_nodes(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply                       *r;
    travel_cluster_node_t             asked;
    ngx_http_travel_redis_node_t     *node;
    ngx_http_travel_redis_cluster_t  *cluster;

    (void) ac;

    r = reply;
    node = data;
    cluster = node->role->cluster;
    cluster->asking = 0;

    if (r == NULL) {
        return;
    }

    ngx_http_travel_cluster_by(node->link.at, &asked);

    if (r->type != REDIS_REPLY_STRING
        || travel_cluster_map_parse(&cluster->map,
                                    (travel_str_t) { r->str, r->len }, &asked)
           != TRAVEL_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "redis %V: CLUSTER NODES: %s", &node->link.conf->name,
                      r->type == REDIS_REPLY_ERROR ? r->str
                                                   : "no master has slots");
        return;
    }

    cluster->known = 1;
    ngx_http_travel_cluster_changed(cluster);
}


/* The map names others: who is new is connected, who is left may rest. */
static void
ngx_http_travel_cluster_changed(ngx_http_travel_redis_cluster_t *cluster)
{
    size_t      i;
    ngx_uint_t  n;

    for (n = 0; n < cluster->n; n++) {
        cluster->nodes[n]->link.resting = 1;
    }

    for (i = 0; i < cluster->map.n; i++) {
        cluster->owner[i + 1] =
            ngx_http_travel_cluster_node(cluster, &cluster->map.nodes[i]);
    }
}


/* NULL: out of memory, or there were too many. */
static ngx_http_travel_redis_node_t *
ngx_http_travel_cluster_node(ngx_http_travel_redis_cluster_t *cluster,
    const travel_cluster_node_t *at)
{
    char                          *host;
    ngx_uint_t                     i;
    ngx_http_travel_redis_node_t  *node;

    for (i = 0; i < cluster->n; i++) {
        node = cluster->nodes[i];

        if (node->at.port == at->port
            && ngx_strcmp(node->at.addr, at->host) == 0)
        {
            ngx_http_travel_link_wake(&node->link);
            return node;
        }
    }

    if (i == NGX_HTTP_TRAVEL_CLUSTER_NODES) {
        return NULL;
    }

    node = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_http_travel_redis_node_t)
                                        + sizeof(at->host));
    if (node == NULL) {
        return NULL;
    }

    host = (char *) (node + 1);
    ngx_memcpy(host, at->host, sizeof(at->host));

    node->at.addr = host;
    node->at.port = at->port;

    ngx_http_travel_redis_node_init(node, cluster->role,
                                    cluster->role->node.link.conf);
    node->link.aim = ngx_http_travel_cluster_aim;
    node->link.on_down = ngx_http_travel_cluster_node_down;

    cluster->nodes[cluster->n++] = node;
    ngx_http_travel_link_connect(&node->link);

    return node;
}


static const ngx_http_travel_redis_server_t *
ngx_http_travel_cluster_aim(ngx_http_travel_link_t *link)
{
    ngx_http_travel_redis_node_t  *node;

    node = link->data;

    return &node->at;
}


/* --- commands ------------------------------------------------------------- */

static ngx_http_travel_redis_node_t *
ngx_http_travel_cluster_route(ngx_http_travel_redis_cluster_t *cluster,
    travel_str_t command)
{
    int  slot;

    if (!cluster->known) {
        return &cluster->role->node;
    }

    slot = travel_cluster_command_slot(command);

    if (slot == TRAVEL_CLUSTER_ANY) {
        return &cluster->role->node;
    }

    return cluster->owner[cluster->map.owner[slot]];
}


ngx_int_t
ngx_http_travel_redis_cluster_send(ngx_http_travel_redis_cmd_t *cmd,
    ngx_uint_t argc, const char **argv, const size_t *argvlen)
{
    char    *text;
    size_t   len;

    text = ngx_http_travel_link_format(argc, argv, argvlen, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    cmd->node = ngx_http_travel_cluster_route(cmd->call->role->cluster,
                                              (travel_str_t) { text, len });
    if (cmd->node == NULL) {
        return NGX_DECLINED;
    }

    cmd->text = ngx_alloc(len + 1, ngx_cycle->log);
    if (cmd->text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cmd->text, text, len + 1);
    cmd->text_len = len;

    return ngx_http_travel_link_send_text(&cmd->node->link,
                                          ngx_http_travel_redis_replied, cmd,
                                          cmd->text, len);
}


/* NGX_OK: the reply is a redirection; what it says of the map is noted. */
static ngx_int_t
ngx_http_travel_cluster_answer(ngx_http_travel_redis_cluster_t *cluster,
    const ngx_http_travel_redis_server_t *by, const redisReply *reply,
    travel_cluster_answer_t *ret_answer)
{
    travel_cluster_node_t  asked;

    if (reply->type != REDIS_REPLY_ERROR) {
        return NGX_DECLINED;
    }

    ngx_http_travel_cluster_by(by, &asked);

    if (travel_cluster_answer_parse(ret_answer,
                                    (travel_str_t) { reply->str, reply->len },
                                    &asked)
        != TRAVEL_OK)
    {
        return NGX_DECLINED;
    }

    if (ret_answer->kind != TRAVEL_CLUSTER_ASK) {
        ngx_http_travel_cluster_doubt(cluster);
    }

    if (ret_answer->kind == TRAVEL_CLUSTER_MOVED && cluster->known
        && travel_cluster_map_move(&cluster->map, ret_answer->slot,
                                   &ret_answer->node))
    {
        ngx_http_travel_cluster_changed(cluster);
    }

    return ret_answer->kind == TRAVEL_CLUSTER_LATER ? NGX_DECLINED : NGX_OK;
}


ngx_int_t
ngx_http_travel_redis_cluster_follow(ngx_http_travel_redis_cmd_t *cmd,
    const redisReply *reply)
{
    travel_cluster_answer_t           answer;
    ngx_http_travel_redis_call_t     *call;
    ngx_http_travel_redis_node_t     *node;
    ngx_http_travel_redis_cluster_t  *cluster;
    ngx_http_travel_net_counters_t   *counters;

    static const char    *asking[] = { "ASKING" };
    static const size_t   len[] = { 6 };

    call = cmd->call;
    cluster = call->role->cluster;

    if (ngx_http_travel_cluster_answer(cluster, cmd->node->link.at, reply,
                                       &answer)
        != NGX_OK
        || ++cmd->tries > NGX_HTTP_TRAVEL_CLUSTER_TRIES)
    {
        return NGX_DECLINED;
    }

    node = ngx_http_travel_cluster_node(cluster, &answer.node);

    if (node == NULL
        || (answer.kind == TRAVEL_CLUSTER_ASK
            && ngx_http_travel_link_send(&node->link, NULL, NULL, 1,
                                         (const char **) asking, len)
               != NGX_OK)
        || ngx_http_travel_link_send_text(&node->link,
                                          ngx_http_travel_redis_replied, cmd,
                                          cmd->text, cmd->text_len)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    counters = &node->link.conf->counters;
    ngx_http_travel_count(answer.kind == TRAVEL_CLUSTER_ASK ? counters->asked
                                                            : counters->moved,
                          1);

    cmd->node->outstanding--;
    node->outstanding++;
    call->spread |= (call->commands > 1 || cmd->node != call->node);
    call->rebar = (call->gathered || call->barred);
    cmd->node = node;
    call->node = node;
    call->epoch = node->link.epoch;

    return NGX_OK;
}


/* --- links of one key ----------------------------------------------------- */

const ngx_http_travel_redis_server_t *
ngx_http_travel_redis_cluster_at(const ngx_http_travel_redis_conf_t *conf,
    const ngx_str_t *key)
{
    unsigned                          slot;
    ngx_http_travel_redis_node_t     *node;
    ngx_http_travel_redis_cluster_t  *cluster;

    cluster = ngx_http_travel_cluster;

    if (cluster == NULL || cluster->role->node.link.conf != conf) {
        return NULL;
    }

    slot = travel_cluster_slot((travel_str_t) { (char *) key->data,
                               key->len });
    node = cluster->owner[cluster->map.owner[slot]];

    return node ? &node->at : NULL;
}


void
ngx_http_travel_redis_cluster_told(const ngx_http_travel_redis_conf_t *conf,
    const ngx_http_travel_redis_server_t *by, const redisReply *reply)
{
    travel_cluster_answer_t  answer;

    if (ngx_http_travel_cluster
        && ngx_http_travel_cluster->role->node.link.conf == conf)
    {
        (void) ngx_http_travel_cluster_answer(ngx_http_travel_cluster, by,
                                              reply, &answer);
    }
}
