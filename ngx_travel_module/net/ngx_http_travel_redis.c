/*
 * Commands on the shared links: operations, deadlines, scripts, replies; and
 * the travel_redis directive.
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
 * One timer per link guards the head of the waiting list.  It is cancelable
 * only while nothing waits: an nginx worker that shuts down stays for its
 * requests.
 */

#include "ngx_http_travel_redis_link.h"

#include <openssl/sha.h>

#define NGX_HTTP_TRAVEL_REDIS_OP_MAGIC  0x54524F50            /* "TROP" */
#define NGX_HTTP_TRAVEL_REDIS_BATCH     64       /* of a free list's growth */
#define NGX_HTTP_TRAVEL_SCRIPTS_MAX     32
#define NGX_HTTP_TRAVEL_SCRIPT_ARGS     64


typedef struct ngx_http_travel_redis_role_s  ngx_http_travel_redis_role_t;

typedef struct {
    ngx_http_travel_redis_op_t     op;           /* first: what rooms see */
    ngx_queue_t                    queue;        /* waiting, or free */
    ngx_http_travel_redis_role_t  *role;
    ngx_http_cleanup_t            *cleanup;      /* of op.request */
    ngx_uint_t                     commands;     /* appended */
    ngx_uint_t                     outstanding;  /* cmds that hiredis holds */
    ngx_uint_t                     answered;
    ngx_uint_t                     epoch;        /* the link's, at the last */
    ngx_msec_t                     deadline;
    unsigned                       waiting:1;    /* in role->waiting */
    unsigned                       done:1;       /* no more handler calls */
    unsigned                       busy:1;       /* inside its handler */
    unsigned                       released:1;   /* its request has ended */
} ngx_http_travel_redis_call_t;


typedef struct {
    ngx_queue_t                    queue;        /* free */
    ngx_http_travel_redis_call_t  *call;
    ngx_uint_t                     index;
    char                          *eval;         /* see above; ngx_alloc() */
    ngx_uint_t                     argc;
} ngx_http_travel_redis_cmd_t;


struct ngx_http_travel_redis_role_s {
    ngx_http_travel_link_t         link;
    ngx_queue_t                    waiting;      /* calls, by deadline */
    ngx_uint_t                     outstanding;  /* cmds, drained ones too */
    ngx_event_t                    deadline;
};


typedef struct {
    const char                    *text;
    size_t                         len;
    char                           sha[41];
} ngx_http_travel_redis_sha_t;


static ngx_http_travel_redis_call_t *ngx_http_travel_redis_call_get(void);
static ngx_http_travel_redis_cmd_t *ngx_http_travel_redis_cmd_get(void);
static void ngx_http_travel_redis_cmd_free(ngx_http_travel_redis_cmd_t *cmd);
static void ngx_http_travel_redis_call_end(ngx_http_travel_redis_call_t *call);
static void ngx_http_travel_redis_wait(ngx_http_travel_redis_call_t *call);
static void ngx_http_travel_redis_unwait(ngx_http_travel_redis_call_t *call);
static void ngx_http_travel_redis_released(void *data);
static void ngx_http_travel_redis_lost(ngx_http_travel_redis_call_t *call,
    ngx_uint_t i, const char *why);
static void ngx_http_travel_redis_deadline(ngx_event_t *ev);
static void ngx_http_travel_redis_replied(redisAsyncContext *ac, void *reply,
    void *data);
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
static ngx_int_t ngx_http_travel_redis_address(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_str_t *address);
static ngx_int_t ngx_http_travel_redis_param(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_str_t *arg);


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

        ngx_http_travel_link_init(&role->link, &conf->redis[i], "commands");

        ngx_http_travel_redis_roles[i] = role;

        ngx_http_travel_link_connect(&role->link);
    }

    return NGX_OK;
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

        ngx_http_travel_link_close(&role->link);

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
    return ngx_http_travel_redis_configured(role)
           && ngx_http_travel_redis_roles[role]->link.state
              == NGX_HTTP_TRAVEL_LINK_UP;
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

    ngx_queue_insert_head(&ngx_http_travel_redis_cmds, &cmd->queue);
}


/* Frees the call when nothing refers to it any more. */
static void
ngx_http_travel_redis_call_end(ngx_http_travel_redis_call_t *call)
{
    if (call->outstanding || call->busy) {
        return;
    }

    ngx_http_travel_redis_unwait(call);

    if (call->cleanup) {
        call->cleanup->handler = NULL;
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
        timeout = call->role->link.conf->timeout;
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


static void
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


static void
ngx_http_travel_redis_lost(ngx_http_travel_redis_call_t *call, ngx_uint_t i,
    const char *why)
{
    ngx_http_travel_redis_unwait(call);

    if (call->done) {
        return;
    }

    call->done = 1;
    call->op.lost = why;
    call->op.sent = (call->role->link.epoch != call->epoch);

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
    link = &role->link;
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

    rc = ngx_http_travel_link_send(&call->role->link,
                                   ngx_http_travel_redis_replied, cmd, argc,
                                   argv, argvlen);
    if (rc != NGX_OK) {
        ngx_http_travel_redis_cmd_free(cmd);
        return rc;
    }

    call->epoch = call->role->link.epoch;
    call->outstanding++;

    if (call->role->outstanding++ == 0) {
        call->role->link.heard = ngx_current_msec;
    }

    if (call->commands++ == 0) {
        ngx_http_travel_redis_wait(call);
    }

    return NGX_OK;
}


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
            ngx_http_travel_count(call->role->link.conf->counters.busy, 1);
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
        || ngx_strncmp(reply->str, "NOSCRIPT", 8) != 0)
    {
        return NGX_DECLINED;
    }

    blob = cmd->eval;
    len = (size_t *) (blob + cmd->argc * sizeof(char *));

    rc = redisAsyncCommandArgv(ac, ngx_http_travel_redis_replied, cmd,
                               (int) cmd->argc, (const char **) blob, len)
         == REDIS_OK ? NGX_OK : NGX_DECLINED;

    if (rc == NGX_OK) {
        /* once */
        ngx_free(cmd->eval);
        cmd->eval = NULL;
        ngx_http_travel_count(cmd->call->role->link.conf->counters.resent, 1);
    }

    return rc;
}


/* --- replies -------------------------------------------------------------- */

static void
ngx_http_travel_redis_replied(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_uint_t                     i;
    ngx_http_travel_redis_cmd_t   *cmd;
    ngx_http_travel_redis_call_t  *call;

    cmd = data;
    call = cmd->call;
    i = cmd->index;

    if (reply && ngx_http_travel_redis_again(ac, cmd, reply) == NGX_OK) {
        return;
    }

    ngx_http_travel_redis_cmd_free(cmd);

    call->outstanding--;
    call->role->outstanding--;

    if (reply == NULL) {
        ngx_http_travel_redis_lost(call, i, call->role->link.why);

    } else if (!call->done) {
        call->answered++;

        if (call->outstanding == 0) {
            ngx_http_travel_redis_unwait(call);
        }

        call->busy = 1;
        call->op.handler(&call->op, i, (ngx_http_travel_reply_t *) reply);
        call->busy = 0;

    } else if (call->released && call->op.orphan) {
        call->op.orphan(call->op.tag, (ngx_http_travel_reply_t *) reply);
    }

    ngx_http_travel_redis_call_end(call);
}


ngx_http_travel_reply_e
ngx_http_travel_reply_type(const ngx_http_travel_reply_t *reply)
{
    switch (((const redisReply *) reply)->type) {

    case REDIS_REPLY_STRING:
        return NGX_HTTP_TRAVEL_REPLY_STRING;

    case REDIS_REPLY_STATUS:
        return NGX_HTTP_TRAVEL_REPLY_STATUS;

    case REDIS_REPLY_INTEGER:
        return NGX_HTTP_TRAVEL_REPLY_INTEGER;

    case REDIS_REPLY_ARRAY:
        return NGX_HTTP_TRAVEL_REPLY_ARRAY;

    case REDIS_REPLY_NIL:
        return NGX_HTTP_TRAVEL_REPLY_NIL;

    default:
        return NGX_HTTP_TRAVEL_REPLY_ERROR;
    }
}


ngx_str_t
ngx_http_travel_reply_str(const ngx_http_travel_reply_t *reply)
{
    ngx_str_t          s;
    const redisReply  *r;

    r = (const redisReply *) reply;

    switch (r->type) {

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        s.data = (u_char *) r->str;
        s.len = r->len;
        break;

    default:
        ngx_str_null(&s);
        break;
    }

    return s;
}


int64_t
ngx_http_travel_reply_int(const ngx_http_travel_reply_t *reply)
{
    const redisReply  *r = (const redisReply *) reply;

    return r->type == REDIS_REPLY_INTEGER ? (int64_t) r->integer : 0;
}


ngx_uint_t
ngx_http_travel_reply_count(const ngx_http_travel_reply_t *reply)
{
    const redisReply  *r = (const redisReply *) reply;

    return r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}


const ngx_http_travel_reply_t *
ngx_http_travel_reply_elt(const ngx_http_travel_reply_t *reply, ngx_uint_t i)
{
    const redisReply  *r = (const redisReply *) reply;

    return (const ngx_http_travel_reply_t *) r->element[i];
}


/* --- travel_redis ROLE ADDRESS [param=value ...] -------------------------- */

char *
ngx_http_travel_redis_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_travel_net_conf_t    *nmcf;
    ngx_http_travel_redis_conf_t  *rc;

    (void) cmd;

    nmcf = conf;
    value = cf->args->elts;
    rc = NULL;

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_ROLES; i++) {
        if (value[1].len == nmcf->redis[i].name.len
            && ngx_strncmp(value[1].data, nmcf->redis[i].name.data,
                           value[1].len) == 0)
        {
            rc = &nmcf->redis[i];
        }
    }

    if (rc == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis\" role \"%V\" must be \"queue\" "
                           "or \"cache\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rc->configured) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" is duplicate: one server per "
                           "role", &value[1]);
        return NGX_CONF_ERROR;
    }

    rc->configured = 1;
    rc->timeout = 1000;

    if (ngx_http_travel_redis_address(cf, rc, &value[2]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_travel_redis_param(cf, rc, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (rc->user.len && rc->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" has user= and needs password= "
                           "or password_file= too", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_net_counters(cf, "redis", &rc->name, &rc->counters)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_redis_address(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_str_t *address)
{
    u_char     *p, *last;
    ngx_str_t   host;
    ngx_int_t   port;

    if (ngx_strncmp(address->data, "unix:", 5) == 0) {
        host.data = address->data + 5;
        host.len = address->len - 5;

        if (ngx_conf_full_name(cf->cycle, &host, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        if (host.len == 0
            || host.len >= sizeof(((struct sockaddr_un *) 0)->sun_path))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "socket path \"%V\" must have 1 to %uz bytes",
                               &host,
                               sizeof(((struct sockaddr_un *) 0)->sun_path)
                               - 1);
            return NGX_ERROR;
        }

        rc->path = ngx_http_travel_net_cstr(cf->pool, &host);

        return rc->path ? NGX_OK : NGX_ERROR;
    }

    /* the last colon: "[::1]:6379" has more */

    last = address->data + address->len;

    for (p = last - 1; p > address->data && *p != ':'; p--) { /* void */ }

    port = (p > address->data) ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if (port < 1 || port > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis\" address \"%V\" must be "
                           "unix:PATH or HOST:PORT", address);
        return NGX_ERROR;
    }

    host.data = address->data;
    host.len = p - address->data;

    rc->port = (in_port_t) port;

    return ngx_http_travel_net_resolve(cf, &host, rc->port, &rc->addrs,
                                       &rc->naddrs);
}


static ngx_int_t
ngx_http_travel_redis_param(ngx_conf_t *cf, ngx_http_travel_redis_conf_t *rc,
    ngx_str_t *arg)
{
    ngx_str_t   value;
    ngx_uint_t  n;

    if (ngx_http_travel_net_param(arg, "user", &value)) {
        rc->user = value;
        return NGX_OK;
    }

    if (ngx_http_travel_net_param(arg, "password", &value)) {
        rc->password = value;
        return NGX_OK;
    }

    if (ngx_http_travel_net_param(arg, "password_file", &value)) {
        return ngx_http_travel_net_secret(cf, &value, &rc->password);
    }

    if (ngx_http_travel_net_param(arg, "timeout", &value)) {
        return ngx_http_travel_net_time(cf, "timeout", &value, 10, 60000,
                                        &rc->timeout);
    }

    if (ngx_http_travel_net_param(arg, "db", &value)) {
        if (ngx_http_travel_net_number(cf, "db", &value, 0, 65535, &n)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc->db = (ngx_int_t) n;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"travel_redis\" parameter \"%V\" must be one of "
                       "user=, password=, password_file=, timeout=, db=", arg);
    return NGX_ERROR;
}
