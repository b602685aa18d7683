/*
 * Commands on the shared links: operations, deadlines, scripts, replies.
 *
 * An operation (op) is ours, never the request's: replies may come after the
 * request died.  It is in one of two places: in its link's list of waiting ops,
 * ordered by deadline, while its handler may still be called; or nowhere, only
 * counted by its outstanding commands, when the handler will not be called any
 * more (finished, lost, released by its request) but replies are still to be
 * drained.  It goes back to the free list with its last command.
 *
 * A command (cmd) is what hiredis holds for one reply.  A script's cmd keeps
 * its arguments until it is answered, because a Redis that forgot the script
 * answers NOSCRIPT and wants the text.
 *
 * Which server a command goes to: the role's, or in a cluster that of its key
 * (redis_cluster.c).  What a durable op waits for: redis_durable.c.
 *
 * One timer per role guards the head of the waiting list.  It is cancelable
 * only while nothing waits: an nginx worker that shuts down stays for its
 * requests.
 */

#include "ngx_http_travel_redis_call.h"

#include <openssl/sha.h>

#define NGX_HTTP_TRAVEL_REDIS_OP_MAGIC  0x54524F50            /* "TROP" */
#define NGX_HTTP_TRAVEL_REDIS_BATCH     64       /* of a free list's growth */
#define NGX_HTTP_TRAVEL_SCRIPTS_MAX     32
#define NGX_HTTP_TRAVEL_SCRIPT_ARGS     288
#define NGX_HTTP_TRAVEL_SCRIPT_AGAIN    5        /* NOSCRIPT, in a cluster */


typedef struct {
    const char                    *text;
    size_t                         len;
    char                           sha[41];
} ngx_http_travel_redis_sha_t;


static ngx_http_travel_redis_call_t *ngx_http_travel_redis_call_get(void);
static ngx_http_travel_redis_cmd_t *ngx_http_travel_redis_cmd_get(void);
static void ngx_http_travel_redis_cmd_free(ngx_http_travel_redis_cmd_t *cmd);
static void ngx_http_travel_redis_wait(ngx_http_travel_redis_call_t *call);
static void ngx_http_travel_redis_released(void *data);
static void ngx_http_travel_redis_deadline(ngx_event_t *ev);
static ngx_int_t ngx_http_travel_redis_again(redisAsyncContext *ac,
    ngx_http_travel_redis_cmd_t *cmd, const redisReply *reply);
static ngx_int_t ngx_http_travel_redis_send(ngx_http_travel_redis_call_t *call,
    ngx_http_travel_redis_cmd_t *cmd, ngx_uint_t argc, const char **argv,
    const size_t *argvlen);
static const ngx_http_travel_redis_sha_t *ngx_http_travel_redis_sha(
    const char *script);
static char *ngx_http_travel_redis_save(const char *script,
    size_t script_len, ngx_uint_t argc, const char **argv,
    const size_t *argvlen);


/* of this nginx worker; empty in the master */

static ngx_http_travel_redis_role_t
    *ngx_http_travel_redis_roles[NGX_HTTP_TRAVEL_REDIS_ROLES];
static ngx_queue_t                  ngx_http_travel_redis_calls;
static ngx_queue_t                  ngx_http_travel_redis_cmds;
static ngx_http_travel_redis_sha_t
    ngx_http_travel_redis_scripts[NGX_HTTP_TRAVEL_SCRIPTS_MAX];
static ngx_uint_t                   ngx_http_travel_redis_nscripts;


/* --- start and stop ------------------------------------------------------- */

ngx_int_t
ngx_http_travel_redis_start(ngx_cycle_t *cycle,
    ngx_http_travel_net_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_travel_redis_role_t  *role;

    ngx_queue_init(&ngx_http_travel_redis_calls);
    ngx_queue_init(&ngx_http_travel_redis_cmds);

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_ROLES; i++) {

        if (!conf->redis[i].configured) {
            continue;
        }

        role = ngx_pcalloc(cycle->pool, sizeof(ngx_http_travel_redis_role_t));
        if (role == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_init(&role->waiting);

        role->deadline.handler = ngx_http_travel_redis_deadline;
        role->deadline.data = role;
        role->deadline.log = cycle->log;

        ngx_http_travel_redis_node_init(&role->node, role, &conf->redis[i]);

        if (conf->redis[i].cluster
            && ngx_http_travel_redis_cluster_start(role) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_travel_redis_roles[i] = role;

        ngx_http_travel_link_connect(&role->node.link);
    }

    return NGX_OK;
}


void
ngx_http_travel_redis_node_init(ngx_http_travel_redis_node_t *node,
    ngx_http_travel_redis_role_t *role, ngx_http_travel_redis_conf_t *conf)
{
    ngx_queue_init(&node->durable);
    node->role = role;

    ngx_http_travel_link_init(&node->link, conf, "commands");
    node->link.data = node;

    if (conf->acks) {
        node->link.on_write = ngx_http_travel_redis_bar;
    }
}


void
ngx_http_travel_redis_stop(void)
{
    ngx_uint_t                     i;
    ngx_http_travel_redis_role_t  *role;

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_ROLES; i++) {
        role = ngx_http_travel_redis_roles[i];

        if (role == NULL) {
            continue;
        }

        if (role->cluster) {
            ngx_http_travel_redis_cluster_stop(role);
        }

        ngx_http_travel_link_close(&role->node.link);

        if (role->deadline.timer_set) {
            ngx_del_timer(&role->deadline);
        }

        ngx_http_travel_redis_roles[i] = NULL;
    }
}


ngx_uint_t
ngx_http_travel_redis_configured(ngx_http_travel_redis_role_e role)
{
    return role < NGX_HTTP_TRAVEL_REDIS_ROLES
           && ngx_http_travel_redis_roles[role] != NULL;
}


ngx_uint_t
ngx_http_travel_redis_declared(ngx_conf_t *cf,
    ngx_http_travel_redis_role_e role)
{
    ngx_http_travel_net_conf_t  *conf;

    conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_net_module);

    return conf->redis[role].configured;
}


ngx_uint_t
ngx_http_travel_redis_up(ngx_http_travel_redis_role_e role)
{
    const ngx_http_travel_redis_role_t  *r;

    if (!ngx_http_travel_redis_configured(role)) {
        return 0;
    }

    r = ngx_http_travel_redis_roles[role];

    return r->cluster ? ngx_http_travel_redis_cluster_up(r)
                      : r->node.link.state == NGX_HTTP_TRAVEL_LINK_UP;
}


/* --- free lists ----------------------------------------------------------- */

static ngx_http_travel_redis_call_t *
ngx_http_travel_redis_call_get(void)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_travel_redis_call_t  *call;

    if (ngx_queue_empty(&ngx_http_travel_redis_calls)) {

        /* given back with the nginx worker's own pool */

        call = ngx_palloc(ngx_cycle->pool, NGX_HTTP_TRAVEL_REDIS_BATCH
                          * sizeof(ngx_http_travel_redis_call_t));
        if (call == NULL) {
            return NULL;
        }

        for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_BATCH; i++) {
            ngx_queue_insert_tail(&ngx_http_travel_redis_calls,
                                  &call[i].queue);
        }
    }

    q = ngx_queue_head(&ngx_http_travel_redis_calls);
    ngx_queue_remove(q);

    call = ngx_queue_data(q, ngx_http_travel_redis_call_t, queue);
    ngx_memzero(call, sizeof(ngx_http_travel_redis_call_t));

    return call;
}


static ngx_http_travel_redis_cmd_t *
ngx_http_travel_redis_cmd_get(void)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_travel_redis_cmd_t  *cmd;

    if (ngx_queue_empty(&ngx_http_travel_redis_cmds)) {

        cmd = ngx_palloc(ngx_cycle->pool, NGX_HTTP_TRAVEL_REDIS_BATCH
                         * sizeof(ngx_http_travel_redis_cmd_t));
        if (cmd == NULL) {
            return NULL;
        }

        for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_BATCH; i++) {
            ngx_queue_insert_tail(&ngx_http_travel_redis_cmds, &cmd[i].queue);
        }
    }

    q = ngx_queue_head(&ngx_http_travel_redis_cmds);
    ngx_queue_remove(q);

    cmd = ngx_queue_data(q, ngx_http_travel_redis_cmd_t, queue);
    ngx_memzero(cmd, sizeof(ngx_http_travel_redis_cmd_t));

    return cmd;
}


static void
ngx_http_travel_redis_cmd_free(ngx_http_travel_redis_cmd_t *cmd)
{
    if (cmd->eval) {
        ngx_free(cmd->eval);
    }

    if (cmd->text) {
        ngx_free(cmd->text);
    }

    ngx_queue_insert_head(&ngx_http_travel_redis_cmds, &cmd->queue);
}


void
ngx_http_travel_redis_call_end(ngx_http_travel_redis_call_t *call)
{
    ngx_uint_t  i;

    if (call->outstanding || call->busy) {
        return;
    }

    ngx_http_travel_redis_unwait(call);

    if (call->cleanup) {
        call->cleanup->handler = NULL;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_HELD; i++) {
        if (call->held[i]) {
            freeReplyObject(call->held[i]);
        }
    }

    call->op.magic = 0;

    ngx_queue_insert_head(&ngx_http_travel_redis_calls, &call->queue);
}


/* --- operations ----------------------------------------------------------- */

ngx_http_travel_redis_op_t *
ngx_http_travel_redis_op(ngx_http_travel_redis_role_e role,
    ngx_http_request_t *request, ngx_msec_t timeout,
    ngx_http_travel_redis_handler_pt handler, void *data)
{
    ngx_http_travel_redis_call_t  *call;

    call = ngx_http_travel_redis_call_get();
    if (call == NULL) {
        return NULL;
    }

    call->op.magic = NGX_HTTP_TRAVEL_REDIS_OP_MAGIC;
    call->op.handler = handler;
    call->op.data = data;
    call->op.request = request;
    call->role = ngx_http_travel_redis_roles[role];

    if (timeout == 0 && call->role) {
        timeout = call->role->node.link.conf->timeout;
    }

    call->deadline = ngx_current_msec + timeout;

    if (request) {
        call->cleanup = ngx_http_cleanup_add(request, 0);

        if (call->cleanup == NULL) {
            ngx_http_travel_redis_call_end(call);
            return NULL;
        }

        call->cleanup->handler = ngx_http_travel_redis_released;
        call->cleanup->data = call;
    }

    return &call->op;
}


/* The request ended first: replies are drained, nobody is told. */
static void
ngx_http_travel_redis_released(void *data)
{
    ngx_http_travel_redis_call_t  *call = data;

    call->cleanup = NULL;
    call->op.request = NULL;
    call->done = 1;
    call->released = 1;

    ngx_http_travel_redis_unwait(call);

    ngx_http_travel_redis_call_end(call);
}


/* Into the waiting list, by deadline; nearly always at its tail. */
static void
ngx_http_travel_redis_wait(ngx_http_travel_redis_call_t *call)
{
    ngx_queue_t                   *q;
    ngx_http_travel_redis_call_t  *other;
    ngx_http_travel_redis_role_t  *role;

    role = call->role;

    for (q = ngx_queue_last(&role->waiting);
         q != ngx_queue_sentinel(&role->waiting);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_http_travel_redis_call_t, queue);

        if ((ngx_msec_int_t) (other->deadline - call->deadline) <= 0) {
            break;
        }
    }

    ngx_queue_insert_after(q, &call->queue);
    call->waiting = 1;

    role->deadline.cancelable = 0;

    if (!role->deadline.timer_set
        || ngx_queue_head(&role->waiting) == &call->queue)
    {
        ngx_add_timer(&role->deadline, call->deadline - ngx_current_msec);
    }
}


void
ngx_http_travel_redis_unwait(ngx_http_travel_redis_call_t *call)
{
    if (!call->waiting) {
        return;
    }

    ngx_queue_remove(&call->queue);
    call->waiting = 0;

    if (ngx_queue_empty(&call->role->waiting)) {
        call->role->deadline.cancelable = 1;
    }
}


void
ngx_http_travel_redis_lost(ngx_http_travel_redis_call_t *call, ngx_uint_t i,
    const char *why)
{
    ngx_http_travel_redis_unwait(call);

    if (call->done) {
        return;
    }

    call->done = 1;
    call->op.lost = why;
    call->op.sent = (call->spread || call->node->link.epoch != call->epoch);

    call->busy = 1;
    call->op.handler(&call->op, i, NULL);
    call->busy = 0;
}


static void
ngx_http_travel_redis_deadline(ngx_event_t *ev)
{
    ngx_uint_t                     expired;
    ngx_queue_t                   *q;
    ngx_msec_t                     quiet;
    ngx_http_travel_link_t        *link;
    ngx_http_travel_redis_call_t  *call;
    ngx_http_travel_redis_role_t  *role;

    role = ev->data;
    link = &role->node.link;
    expired = 0;

    while (!ngx_queue_empty(&role->waiting)) {
        q = ngx_queue_head(&role->waiting);
        call = ngx_queue_data(q, ngx_http_travel_redis_call_t, queue);

        if ((ngx_msec_int_t) (call->deadline - ngx_current_msec) > 0) {
            if (!ev->timer_set) {
                ngx_add_timer(ev, call->deadline - ngx_current_msec);
            }
            break;
        }

        expired++;
        link = &call->node->link;
        ngx_http_travel_redis_lost(call, call->answered, "deadline");
        ngx_http_travel_redis_call_end(call);
    }

    if (expired == 0) {
        return;
    }

    ngx_http_travel_count(link->conf->counters.timeouts, (ngx_int_t) expired);

    /* late answers are drained; a server that says nothing at all is left */

    quiet = ngx_current_msec - link->heard;

    if (link->state == NGX_HTTP_TRAVEL_LINK_UP
        && quiet >= 2 * link->conf->timeout)
    {
        ngx_http_travel_link_drop(link, "no answer");
    }
}


static ngx_int_t
ngx_http_travel_redis_send(ngx_http_travel_redis_call_t *call,
    ngx_http_travel_redis_cmd_t *cmd, ngx_uint_t argc, const char **argv,
    const size_t *argvlen)
{
    ngx_int_t  rc;

    cmd->call = call;
    cmd->index = call->commands;

    if (call->role->cluster) {
        rc = ngx_http_travel_redis_cluster_send(cmd, argc, argv, argvlen);

    } else {
        cmd->node = &call->role->node;
        rc = ngx_http_travel_link_send(&cmd->node->link,
                                       ngx_http_travel_redis_replied, cmd,
                                       argc, argv, argvlen);
    }

    if (rc != NGX_OK) {
        ngx_http_travel_redis_cmd_free(cmd);
        return rc;
    }

    call->spread |= (call->node && call->node != cmd->node);
    call->node = cmd->node;
    call->epoch = call->node->link.epoch;
    call->outstanding++;

    if (call->node->outstanding++ == 0) {
        call->node->link.heard = ngx_current_msec;
    }

    if (call->commands++ == 0) {
        ngx_http_travel_redis_wait(call);
    }

    if (call->op.durable) {
        ngx_http_travel_redis_gather(call);
    }

    return NGX_OK;
}


/* --- commands ------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_redis_command(ngx_http_travel_redis_op_t *op, ngx_uint_t argc,
    const char **argv, const size_t *argvlen)
{
    ngx_int_t                      rc;
    ngx_http_travel_redis_cmd_t   *cmd;
    ngx_http_travel_redis_call_t  *call;

    call = (ngx_http_travel_redis_call_t *) op;
    rc = NGX_DECLINED;

    if (call->role) {
        cmd = ngx_http_travel_redis_cmd_get();

        rc = cmd ? ngx_http_travel_redis_send(call, cmd, argc, argv, argvlen)
                 : NGX_ERROR;

        if (rc == NGX_DECLINED) {
            ngx_http_travel_count(
                call->role->node.link.conf->counters.busy, 1);
        }
    }

    if (rc != NGX_OK && call->commands == 0) {
        ngx_http_travel_redis_call_end(call);
    }

    return rc;
}


/* --- scripts -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_redis_script(ngx_http_travel_redis_op_t *op,
    const char *script, ngx_uint_t nkeys, ngx_uint_t argc, const char **argv,
    const size_t *argvlen)
{
    u_char                             *p;
    size_t                              len[NGX_HTTP_TRAVEL_SCRIPT_ARGS + 3];
    ngx_int_t                           rc;
    const char                         *all[NGX_HTTP_TRAVEL_SCRIPT_ARGS + 3];
    u_char                              keys[NGX_INT_T_LEN];
    ngx_http_travel_redis_cmd_t        *cmd;
    ngx_http_travel_redis_call_t       *call;
    const ngx_http_travel_redis_sha_t  *sha;

    call = (ngx_http_travel_redis_call_t *) op;
    sha = ngx_http_travel_redis_sha(script);
    rc = call->role ? NGX_ERROR : NGX_DECLINED;

    if (rc == NGX_DECLINED || sha == NULL || argc > NGX_HTTP_TRAVEL_SCRIPT_ARGS)
    {
        goto failed;
    }

    p = ngx_sprintf(keys, "%ui", nkeys);

    all[0] = "EVALSHA";
    len[0] = 7;
    all[1] = sha->sha;
    len[1] = 40;
    all[2] = (char *) keys;
    len[2] = p - keys;

    ngx_memcpy(&all[3], argv, argc * sizeof(char *));
    ngx_memcpy(&len[3], argvlen, argc * sizeof(size_t));

    cmd = ngx_http_travel_redis_cmd_get();
    if (cmd == NULL) {
        goto failed;
    }

    cmd->argc = argc + 3;
    cmd->eval = ngx_http_travel_redis_save(script, sha->len, argc + 3, all,
                                           len);
    if (cmd->eval == NULL) {
        ngx_http_travel_redis_cmd_free(cmd);
        goto failed;
    }

    rc = ngx_http_travel_redis_send(call, cmd, argc + 3, all, len);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

failed:

    if (call->commands == 0) {
        ngx_http_travel_redis_call_end(call);
    }

    return rc;
}


/* SHA-1 because that is Redis' name for a script; counted once per text. */
static const ngx_http_travel_redis_sha_t *
ngx_http_travel_redis_sha(const char *script)
{
    u_char                        md[SHA_DIGEST_LENGTH];
    ngx_uint_t                    i;
    ngx_http_travel_redis_sha_t  *sha;

    for (i = 0; i < ngx_http_travel_redis_nscripts; i++) {
        if (ngx_http_travel_redis_scripts[i].text == script) {
            return &ngx_http_travel_redis_scripts[i];
        }
    }

    if (i == NGX_HTTP_TRAVEL_SCRIPTS_MAX) {
        return NULL;
    }

    sha = &ngx_http_travel_redis_scripts[i];

    sha->text = script;
    sha->len = ngx_strlen(script);

    (void) SHA1((const u_char *) script, sha->len, md);
    ngx_hex_dump((u_char *) sha->sha, md, SHA_DIGEST_LENGTH);
    sha->sha[40] = '\0';

    ngx_http_travel_redis_nscripts++;

    return sha;
}


/* The EVAL that a NOSCRIPT asks for: argv, lengths and bytes in one piece. */
static char *
ngx_http_travel_redis_save(const char *script, size_t script_len,
    ngx_uint_t argc, const char **argv, const size_t *argvlen)
{
    char         *blob, *p;
    size_t        size, *len;
    ngx_uint_t    i;
    const char  **args;

    size = argc * (sizeof(char *) + sizeof(size_t));

    for (i = 2; i < argc; i++) {
        size += argvlen[i];
    }

    blob = ngx_alloc(size, ngx_cycle->log);
    if (blob == NULL) {
        return NULL;
    }

    args = (const char **) blob;
    len = (size_t *) (blob + argc * sizeof(char *));
    p = (char *) (len + argc);

    args[0] = "EVAL";
    len[0] = 4;
    args[1] = script;
    len[1] = script_len;

    for (i = 2; i < argc; i++) {
        args[i] = p;
        len[i] = argvlen[i];
        p = (char *) ngx_cpymem(p, argv[i], argvlen[i]);
    }

    return blob;
}


/* NGX_OK: the server did not know the script and was asked again. */
static ngx_int_t
ngx_http_travel_redis_again(redisAsyncContext *ac,
    ngx_http_travel_redis_cmd_t *cmd, const redisReply *reply)
{
    char        *blob;
    size_t      *len;
    ngx_int_t    rc;

    if (cmd->eval == NULL || reply->type != REDIS_REPLY_ERROR
        || ngx_strncmp(reply->str, "NOSCRIPT", 8) != 0
        || ++cmd->tries > NGX_HTTP_TRAVEL_SCRIPT_AGAIN)
    {
        return NGX_DECLINED;
    }

    blob = cmd->eval;
    len = (size_t *) (blob + cmd->argc * sizeof(char *));

    rc = redisAsyncCommandArgv(ac, ngx_http_travel_redis_replied, cmd,
                               (int) cmd->argc, (const char **) blob, len)
         == REDIS_OK ? NGX_OK : NGX_DECLINED;

    if (rc == NGX_OK) {
        ngx_http_travel_count(cmd->node->link.conf->counters.resent, 1);

        if (cmd->text == NULL) {
            /* once; in a cluster another server may not know it either */
            ngx_free(cmd->eval);
            cmd->eval = NULL;
        }
    }

    return rc;
}


/* --- replies -------------------------------------------------------------- */

/* A master that was made a replica says so; the link goes when this read is
 * through, so that all of it is told what became of it. */
static void
ngx_http_travel_redis_demoted(ngx_http_travel_link_t *link,
    const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR
        && ngx_strncmp(reply->str, "READONLY", 8) == 0)
    {
        link->demoted = 1;
    }
}


void
ngx_http_travel_redis_replied(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_uint_t                     i;
    ngx_http_travel_redis_node_t  *node;
    ngx_http_travel_redis_cmd_t   *cmd;
    ngx_http_travel_redis_call_t  *call;

    cmd = data;
    call = cmd->call;
    i = cmd->index;

    if (reply && ngx_http_travel_redis_again(ac, cmd, reply) == NGX_OK) {
        return;
    }

    if (reply && cmd->text
        && ngx_http_travel_redis_cluster_follow(cmd, reply) == NGX_OK)
    {
        return;
    }

    node = cmd->node;
    ngx_http_travel_redis_demoted(&node->link, reply);

    ngx_http_travel_redis_cmd_free(cmd);

    call->outstanding--;
    node->outstanding--;

    if (reply == NULL) {
        ngx_http_travel_redis_ungather(call);
        ngx_http_travel_redis_lost(call, i, node->link.why);

    } else if (call->released) {
        if (call->op.orphan) {
            call->op.orphan(call->op.tag, (ngx_http_travel_reply_t *) reply);
        }

    } else if (call->gathered || call->barred) {
        call->answered++;

        if (!call->done && !ngx_http_travel_redis_hold(call, i, reply)) {
            ngx_http_travel_redis_lost(call, i, "out of memory");
        }

    } else if (!call->done) {
        call->answered++;

        if (call->outstanding == 0) {
            ngx_http_travel_redis_unwait(call);
        }

        call->busy = 1;
        call->op.handler(&call->op, i, (ngx_http_travel_reply_t *) reply);
        call->busy = 0;
    }

    ngx_http_travel_redis_call_end(call);
}
