/*
 * Accepting: ids, envelope, HSET and XADD (or the script), and the answer.
 *
 * After the bytes have left there are three outcomes and no fourth: the reply
 * says it is in, the reply says it is not, or no reply came, which is
 * OUTCOME_UNKNOWN and never tried again from here.
 */

#include "ngx_http_travel_command_room.h"
#include "../../common/quota_claim.h"

#define NGX_HTTP_TRAVEL_COMMAND_RANDOM  2048
#define NGX_HTTP_TRAVEL_COMMAND_MOVES   20

#define NGX_HTTP_TRAVEL_HASH_ARGS       24


typedef struct {
    const char                 *argv[64];
    size_t                      len[64];
    ngx_uint_t                  n;
} ngx_http_travel_args_t;


typedef struct {
    travel_envelope_t           env;
    travel_envelope_scratch_t   scratch;
    char                        now[TRAVEL_DIGITS_MAX + 1];
    char                        tp[TRAVEL_TRACEPARENT_LEN];
    char                        quota[TRAVEL_QUOTA_CLAIM_MAX];
    char                        resource[256];
    char                        job[TRAVEL_KEY_MAX];
    char                        stream[TRAVEL_KEY_MAX];
    char                        idem[TRAVEL_KEY_MAX];
    char                        alike[TRAVEL_KEY_MAX];
    size_t                      now_len;
    size_t                      resource_len;
    size_t                      job_len;
    size_t                      stream_len;
    size_t                      idem_len;
    size_t                      alike_len;
    unsigned                    nhash;
} ngx_http_travel_message_t;


static void ngx_http_travel_accept_now(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_accept_closed(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_accept_random(uint8_t rnd[8]);
static void ngx_http_travel_accept_quota(ngx_http_travel_ctx_t *ctx,
    ngx_http_travel_message_t *m);
static void ngx_http_travel_accept_unsent(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static void ngx_http_travel_accept_message(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m);
static void ngx_http_travel_accept_arg(ngx_http_travel_args_t *a,
    const char *s, size_t len);
static void ngx_http_travel_accept_hash(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_args_t *a);
static ngx_int_t ngx_http_travel_accept_plain(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_redis_handler_pt handler);
static ngx_int_t ngx_http_travel_accept_script(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_redis_handler_pt handler);
static void ngx_http_travel_accept_unheard(void *tag,
    const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_accept_plain_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_accept_script_reply(
    ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_accept_lost(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_redis_op_t *op);
static void ngx_http_travel_accept_refused(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_accept_forgotten(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_accept_ended(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);


void
ngx_http_travel_command_accept(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_layout(r, ngx_http_travel_command_resume);

    if (rc == NGX_AGAIN) {
        ngx_http_travel_command_suspend(r);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_travel_command_resume(r, rc);
        return;
    }

    ngx_http_travel_accept_now(r, cmd);
}


void
ngx_http_travel_command_resume(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);

    ngx_http_set_log_request(r->connection->log, r);

    if (rc != NGX_OK) {
        ngx_http_travel_command_count(cmd,
                                      NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE);
        ngx_http_travel_command_end(r, ngx_http_travel_command_unavailable(r,
                   TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                   "The queue cannot be reached. Nothing was done."));
        return;
    }

    ngx_http_travel_accept_now(r, cmd);
}


static void
ngx_http_travel_accept_now(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                             rc;
    ngx_uint_t                            later;
    travel_layout_t                       layout;
    ngx_http_travel_command_main_conf_t  *cmcf;

    if (r->connection->error || r->connection->read->pending_eof) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client hung up: command %V was not accepted",
                      &cmd->use->entry->type);
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_ABORTED);
        ngx_http_travel_command_end(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    layout = ngx_http_travel_layout_now(
                             ngx_http_travel_view(&cmd->use->entry->queue));

    if (layout.was.n && !cmd->sought) {
        cmd->sought = 1;

        if (cmd->batch) {
            ngx_http_travel_batch_seek(r, cmd);
            return;
        }

        if (cmd->idem.len && ngx_http_travel_command_seek(r, cmd) == NGX_OK) {
            ngx_http_travel_command_suspend(r);
            return;
        }
    }

    if (cmd->batch) {
        ngx_http_travel_batch_put(r, cmd);
        return;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);

    if (ngx_http_travel_command_ids(r, cmd, &layout.now) != NGX_OK) {
        ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_travel_backlog(cmd->name.id.queue, cmd->name.id.partition,
                                cmd->use->entry->command->priority,
                                cmd->body.len, &cmcf->backlog, &later)
        != NGX_OK)
    {
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_FULL);
        ngx_http_travel_command_end(r, ngx_http_travel_command_later(r,
                   TRAVEL_E_QUEUE_FULL, later,
                   "Too much is waiting to be done. Please try again."));
        return;
    }

    if (cmd->wait) {
        ngx_http_travel_command_expect(r, cmd);
    }

    if (cmd->waiter && cmd->use->entry->command->once) {
        ngx_http_travel_job_receive(cmd->waiter);
    }

    rc = ngx_http_travel_command_put(r, cmd,
                                     ngx_http_travel_command_scripted(cmd)
                                     ? ngx_http_travel_accept_script_reply
                                     : ngx_http_travel_accept_plain_reply);

    if (rc != NGX_OK) {
        ngx_http_travel_command_resume(r, rc);
        return;
    }

    ngx_http_travel_command_suspend(r);
}


ngx_int_t
ngx_http_travel_command_put(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_redis_handler_pt handler)
{
    ngx_http_travel_message_t  m;

    ngx_http_travel_accept_message(r, cmd, &m);

    return ngx_http_travel_command_scripted(cmd)
           ? ngx_http_travel_accept_script(r, cmd, &m, handler)
           : ngx_http_travel_accept_plain(r, cmd, &m, handler);
}


/* --- ids ------------------------------------------------------------------ */

/* Random bytes are drawn for many ids at once. */
static ngx_int_t
ngx_http_travel_accept_random(uint8_t rnd[8])
{
    static uint8_t  pool[NGX_HTTP_TRAVEL_COMMAND_RANDOM];
    static size_t   used = NGX_HTTP_TRAVEL_COMMAND_RANDOM;
    static ngx_pid_t  drawn_by;

    if (used == NGX_HTTP_TRAVEL_COMMAND_RANDOM || drawn_by != ngx_pid) {
        if (travel_random(pool, sizeof(pool)) != TRAVEL_OK) {
            return NGX_ERROR;
        }

        used = 0;
        drawn_by = ngx_pid;
    }

    ngx_memcpy(rnd, pool + used, 8);
    ngx_memzero(pool + used, 8);
    used += 8;

    return NGX_OK;
}


/*
 * The bucket: of the aggregate that the command is about; else of what makes it
 * alike to others, if it is to be unique; else of the caller;
 * else, without a caller, of the Idempotency-Key, so that a repeat meets its
 * first; else any.
 */
ngx_int_t
ngx_http_travel_command_ids(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_range_t *range)
{
    uint8_t                 rnd[8];
    unsigned                bucket;
    ngx_time_t             *tp;
    travel_uuid_t           about;
    travel_job_id_t         id;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    if (ngx_http_travel_accept_random(rnd) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the key of a create is its id, of which this may not be the first */

    if (cmd->use->entry->command->creates && cmd->key.data == cmd->id.data) {
        ngx_str_null(&cmd->key);
    }

    if (cmd->key.len
        && travel_uuid_parse(&about, ngx_http_travel_view(&cmd->key))
           == TRAVEL_OK)
    {
        bucket = travel_uuid_bucket(&about);

    } else if (cmd->unique) {
        bucket = ((unsigned) cmd->alike[0] << 4) | (cmd->alike[1] >> 4);

    } else if (ctx->user.len) {
        bucket = travel_bucket(ngx_http_travel_view(&ctx->user));

    } else if (cmd->idem.len) {
        bucket = ((unsigned) cmd->scope[0] << 4) | (cmd->scope[1] >> 4);

    } else {
        bucket = (unsigned) ngx_random() % TRAVEL_BUCKETS;
    }

    tp = ngx_timeofday();

    id.queue = ngx_http_travel_view(&cmd->use->entry->queue);
    id.partition = travel_range_place(range, bucket);
    id.id = travel_uuid7((uint64_t) tp->sec * 1000 + tp->msec, bucket, rnd);

    if (ngx_http_travel_job_name(&cmd->name, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!cmd->item) {
        ctx->job.data = (u_char *) cmd->name.text;
        ctx->job.len = cmd->name.len;
    }

    cmd->id = cmd->key;

    if (cmd->use->entry->command->creates) {
        cmd->id.data = (u_char *) cmd->name.text + cmd->name.len
                       - TRAVEL_UUID_TEXT_LEN;
        cmd->id.len = TRAVEL_UUID_TEXT_LEN;
    }

    if (cmd->key.len == 0) {
        cmd->key = cmd->id;
    }

    return NGX_OK;
}


/* --- the message ---------------------------------------------------------- */

travel_str_t
ngx_http_travel_command_sub(const ngx_http_travel_ctx_t *ctx)
{
    return ctx->user.len ? ngx_http_travel_view(&ctx->user)
                         : TRAVEL_STR(TRAVEL_ENVELOPE_ANYBODY);
}


static void
ngx_http_travel_accept_message(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m)
{
    uint64_t                 ms;
    ngx_time_t              *tp;
    travel_str_t             queue;
    travel_command_t        *command;
    ngx_http_travel_ctx_t   *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    command = cmd->use->entry->command;
    queue = cmd->name.id.queue;

    tp = ngx_timeofday();
    ms = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_memzero(&m->env, sizeof(travel_envelope_t));

    m->env.id.data = cmd->name.text;
    m->env.id.len = cmd->name.len;
    m->env.type = ngx_http_travel_view(&cmd->use->entry->type);
    m->env.sub = ngx_http_travel_command_sub(ctx);
    m->env.email = ngx_http_travel_view(&ctx->email);
    m->env.key = ngx_http_travel_view(&cmd->key);
    m->env.body = ngx_http_travel_view(&cmd->body);
    m->env.sealed = ngx_http_travel_view(&cmd->sealed);
    m->env.once = command->once;
    m->env.ts = ms;
    m->env.deadline = cmd->use->deadline ? ms + cmd->use->deadline
                      : command->deadline_ms
                      ? ms + (uint64_t) command->deadline_ms : 0;

    if (cmd->waiter) {
        m->env.reply = ngx_http_travel_job_channel();
    }

    m->env.quota = ngx_http_travel_view(&ctx->quota);

    if (ctx->quota.len != 0) {
        ngx_http_travel_accept_quota(ctx, m);
    }

    cmd->sent_ns = ngx_http_travel_observe_now();

    if (ctx->trace.flags & TRAVEL_TRACE_SAMPLED) {
        ngx_http_travel_observe_child(r, &cmd->span);
        travel_traceparent_format(m->tp, &cmd->span);
        m->env.tp.data = m->tp;
        m->env.tp.len = TRAVEL_TRACEPARENT_LEN;
    }

    m->now_len = travel_digits_format(m->now, ms);
    m->job_len = travel_key_job(m->job, &cmd->name.id);
    m->stream_len = travel_key_stream(m->stream, queue,
                                      cmd->name.id.partition,
                                      command->priority);
    m->resource_len = 0;

    if (command->creates && cmd->holds == 0 && cmd->use->resource.len
        && cmd->use->resource.len + cmd->id.len <= sizeof(m->resource))
    {
        ngx_memcpy(m->resource, cmd->use->resource.data,
                   cmd->use->resource.len);
        ngx_memcpy(m->resource + cmd->use->resource.len, cmd->id.data,
                   cmd->id.len);
        m->resource_len = cmd->use->resource.len + cmd->id.len;
    }
}


/* A request has reserved once: of its jobs the first takes that back. */
static void
ngx_http_travel_accept_quota(ngx_http_travel_ctx_t *ctx,
    ngx_http_travel_message_t *m)
{
    if (ctx->quota_sent) {
        ngx_memcpy(m->quota, ctx->quota.data, ctx->quota.len);
        m->quota[0] = TRAVEL_QUOTA_CLAIM_MORE;
        m->env.quota.data = m->quota;
    }

    ctx->quota_sent = 1;
}


static void
ngx_http_travel_accept_arg(ngx_http_travel_args_t *a, const char *s,
    size_t len)
{
    a->argv[a->n] = s;
    a->len[a->n] = len;
    a->n++;
}


/* The job hash: what status and pending reads need. */
static void
ngx_http_travel_accept_hash(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_args_t *a)
{
    ngx_uint_t              i;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    struct {
        const char    *name;
        travel_str_t   value;
    } fields[] = {
        { "status",     TRAVEL_STR("queued") },
        { "type",       m->env.type },
        { "queue",      cmd->name.id.queue },
        { "sub",        m->env.sub },
        { "key",        m->env.key },
        { "route",      ngx_http_travel_view(&ctx->route) },
        { "resource",   { m->resource, m->resource_len } },
        { "created_at", { m->now, m->now_len } },
        { "updated_at", { m->now, m->now_len } },
        { "attempts",   TRAVEL_STR("0") },
        { "echo",       ngx_http_travel_view(&cmd->echo) },
        { "promised",   { "1", ngx_http_travel_command_scripted(cmd)
                               && cmd->waiter == NULL } }
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].value.len) {
            ngx_http_travel_accept_arg(a, fields[i].name,
                                       ngx_strlen(fields[i].name));
            ngx_http_travel_accept_arg(a, fields[i].value.data,
                                       fields[i].value.len);
        }
    }
}


static ngx_int_t
ngx_http_travel_accept_plain(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_redis_handler_pt handler)
{
    ngx_int_t                    rc;
    ngx_http_travel_args_t       a;
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0, handler,
                                  cmd);
    if (op == NULL) {
        return NGX_ERROR;
    }

    op->orphan = ngx_http_travel_accept_unheard;
    op->tag = cmd->use->entry;
    op->durable = 1;

    a.n = 0;
    ngx_http_travel_accept_arg(&a, "HSET", 4);
    ngx_http_travel_accept_arg(&a, m->job, m->job_len);
    ngx_http_travel_accept_hash(r, cmd, m, &a);

    rc = ngx_http_travel_redis_command(op, a.n, a.argv, a.len);
    if (rc != NGX_OK) {
        return rc;
    }

    a.n = 0;
    ngx_http_travel_accept_arg(&a, "XADD", 4);
    ngx_http_travel_accept_arg(&a, m->stream, m->stream_len);
    ngx_http_travel_accept_arg(&a, "*", 1);
    a.n = travel_envelope_args(&m->env, &m->scratch, a.argv, a.len, a.n);

    return ngx_http_travel_redis_command(op, a.n, a.argv, a.len);
}


static ngx_int_t
ngx_http_travel_accept_script(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_message_t *m,
    ngx_http_travel_redis_handler_pt handler)
{
    char                         count[8];
    ngx_uint_t                   at;
    ngx_http_travel_args_t       a;
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0, handler,
                                  cmd);
    if (op == NULL) {
        return NGX_ERROR;
    }

    op->orphan = ngx_http_travel_accept_unheard;
    op->tag = cmd->use->entry;
    op->durable = 1;

    m->idem_len = travel_key_idem(m->idem, cmd->name.id.queue,
                                  cmd->name.id.partition,
                                  cmd->idem.len ? cmd->scope : cmd->alike);
    a.n = 0;
    ngx_http_travel_accept_arg(&a, m->idem, m->idem_len);
    ngx_http_travel_accept_arg(&a, m->job, m->job_len);
    ngx_http_travel_accept_arg(&a, m->stream, m->stream_len);

    if (cmd->unique) {
        m->alike_len = travel_key_idem(m->alike, cmd->name.id.queue,
                                       cmd->name.id.partition, cmd->alike);
        ngx_http_travel_accept_arg(&a, m->alike, m->alike_len);
    }

    ngx_http_travel_accept_arg(&a, (char *) cmd->print,
                               cmd->idem.len ? sizeof(cmd->print) : 0);
    ngx_http_travel_accept_arg(&a, (char *) cmd->use->idem_ttl.data,
                               cmd->use->idem_ttl.len);
    ngx_http_travel_accept_arg(&a, cmd->use->final ? "1" : "0", 1);
    ngx_http_travel_accept_arg(&a, cmd->name.text + cmd->name.len
                               - TRAVEL_UUID_TEXT_LEN, TRAVEL_UUID_TEXT_LEN);
    ngx_http_travel_accept_arg(&a, (char *) cmd->use->unique_ttl.data,
                               cmd->use->unique_ttl.len);

    at = a.n;
    ngx_http_travel_accept_arg(&a, count, 0);
    ngx_http_travel_accept_hash(r, cmd, m, &a);
    a.len[at] = ngx_sprintf((u_char *) count, "%ui", a.n - at - 1)
                - (u_char *) count;

    a.n = travel_envelope_args(&m->env, &m->scratch, a.argv, a.len, a.n);

    return ngx_http_travel_redis_script(op, travel_script_accept,
                                        cmd->unique ? 4 : 3, a.n,
                                        a.argv, a.len);
}


/* --- replies -------------------------------------------------------------- */

/* The client left before it could be told: the entry's id, or {"new", ...}. */
static void
ngx_http_travel_accept_unheard(void *tag, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                         word;
    ngx_http_travel_command_entry_t  *entry = tag;

    if (ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_ARRAY
        && ngx_http_travel_reply_count(reply))
    {
        word = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));

        if (word.len == 0 || word.data[0] != 'n') {
            return;
        }

    } else if (ngx_http_travel_reply_type(reply)
               != NGX_HTTP_TRAVEL_REPLY_STRING)
    {
        return;
    }

    ngx_http_travel_count(entry->counters[NGX_HTTP_TRAVEL_COMMAND_UNHEARD], 1);
}


static void
ngx_http_travel_accept_plain_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                   text;
    ngx_http_request_t         *r;
    ngx_http_travel_command_t  *cmd;

    r = op->request;
    cmd = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (reply == NULL) {
        ngx_http_travel_accept_lost(r, cmd, op);
        return;
    }

    if (i == 0) {
        if (ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_ERROR) {
            text = ngx_http_travel_reply_str(reply);
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "job %s: HSET refused: %V", cmd->name.text, &text);
        }

        return;
    }

    if (ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_STRING) {
        ngx_http_travel_accept_refused(r, cmd, reply);
        return;
    }

    ngx_http_travel_command_accepted(r, cmd, 0);
}


static void
ngx_http_travel_accept_script_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                   word;
    ngx_http_request_t         *r;
    ngx_http_travel_command_t  *cmd;

    (void) i;

    r = op->request;
    cmd = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (reply == NULL) {
        ngx_http_travel_accept_lost(r, cmd, op);
        return;
    }

    if (ngx_http_travel_reply_count(reply) == 0) {
        ngx_http_travel_accept_refused(r, cmd, reply);
        return;
    }

    word = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));

    switch (word.len ? word.data[0] : '\0') {

    case 'n':                                                     /* new */
        ngx_http_travel_command_accepted(r, cmd, 0);
        return;

    case 'a':                                                   /* alike */
    case 'r':                                       /* replay, or running */
        ngx_http_travel_accept_unsent(r, cmd);

        if (cmd->use->final && word.data[1] == 'u') {
            ngx_http_travel_command_count(cmd,
                                          NGX_HTTP_TRAVEL_COMMAND_REFUSED);
            ngx_http_travel_command_end(r, ngx_http_travel_error(r,
                       TRAVEL_E_CONFLICT,
                       "The first request with this Idempotency-Key is still "
                       "being carried out."));
            return;
        }

        ngx_http_travel_command_replay(r, cmd, reply);
        return;

    case 'm':                                                /* mismatch */
        ngx_http_travel_accept_unsent(r, cmd);
        ngx_http_travel_command_mismatch(r, cmd);
        return;

    default:
        ngx_http_travel_accept_refused(r, cmd, reply);
        return;
    }
}


static void
ngx_http_travel_accept_lost(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_redis_op_t *op)
{
    ngx_http_travel_command_span(r, cmd, 1);

    if (!op->sent) {
        ngx_http_travel_command_resume(r, NGX_DECLINED);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "job %s: outcome unknown: %s", cmd->name.text, op->lost);

    ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_UNKNOWN);
    ngx_http_travel_command_end(r, ngx_http_travel_command_unavailable(r,
               TRAVEL_E_OUTCOME_UNKNOWN,
               "It is not known whether the command was accepted. Repeating "
               "it with the same Idempotency-Key is safe."));
}


/* No job has the claim on what this request has reserved. */
static void
ngx_http_travel_accept_unsent(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_http_travel_ctx_t  *ctx;

    if (!cmd->item) {
        ctx = ngx_http_travel_get_ctx(r);
        ctx->quota_sent = 0;
    }
}


/* Redis said no: it loads, is full, or does not let us; nothing went in. */
static void
ngx_http_travel_accept_refused(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_command_span(r, cmd, 1);
    ngx_http_travel_command_forget(r, cmd, reply);
    ngx_http_travel_accept_unsent(r, cmd);

    if (ngx_http_travel_accept_closed(r, cmd, reply) != NGX_OK) {
        ngx_http_travel_command_resume(r, NGX_DECLINED);
    }
}


/*
 * The partition was closed: the queue has others (worker_scripts.h, CLOSE),
 * which the layout tells in the same moment.  NGX_OK: once more, there.
 */
static ngx_int_t
ngx_http_travel_accept_closed(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t  text;

    text = ngx_http_travel_reply_str(reply);

    if (text.len < 9 || ngx_strncmp(text.data, "WRONGTYPE", 9) != 0
        || cmd->moved == NGX_HTTP_TRAVEL_COMMAND_MOVES)
    {
        return NGX_DECLINED;
    }

    cmd->moved++;

    if (cmd->waiter) {
        ngx_http_travel_job_forget(cmd->waiter);
        cmd->waiter = NULL;
    }

    return ngx_http_travel_layout_again(r, ngx_http_travel_command_resume);
}


/* A job hash whose message was refused names a job that never will be. */
void
ngx_http_travel_command_forget(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply)
{
    char                         key[TRAVEL_KEY_MAX];
    size_t                       len[3];
    ngx_str_t                    text;
    const char                  *argv[3];
    ngx_http_travel_redis_op_t  *op;

    text = ngx_http_travel_reply_str(reply);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "job %s: refused by the queue: %V", cmd->name.text, &text);

    if (cmd->item && text.len > 9
        && ngx_strncmp(text.data, "WRONGTYPE", 9) == 0)
    {
        (void) ngx_http_travel_layout_again(NULL, NULL);    /* for a repeat */
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                  ngx_http_travel_accept_forgotten, NULL);
    if (op == NULL) {
        return;
    }

    argv[0] = "EXPIRE";
    len[0] = 6;
    argv[1] = key;
    len[1] = travel_key_job(key, &cmd->name.id);
    argv[2] = "60";
    len[2] = 2;

    (void) ngx_http_travel_redis_command(op, 3, argv, len);
}


static void
ngx_http_travel_accept_forgotten(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    /* at worst the hash stays */

    (void) op;
    (void) i;
    (void) reply;
}


void
ngx_http_travel_command_accepted(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_msec_t poll)
{
    if (!cmd->replayed) {
        ngx_http_travel_command_span(r, cmd, 0);
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_ACCEPTED);
    }

    if (cmd->waiter == NULL) {
        ngx_http_travel_command_end(r, ngx_http_travel_command_promise(r, cmd));
        return;
    }

    cmd->since = ngx_current_msec;

    ngx_http_travel_job_start(cmd->waiter, cmd->wait, poll, 0);
}


void
ngx_http_travel_command_expect(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    cmd->waiter = ngx_http_travel_job_expect(r, &cmd->name,
                                             ngx_http_travel_accept_ended,
                                             cmd);
}


static void
ngx_http_travel_accept_ended(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_set_log_request(r->connection->log, r);

    ngx_http_travel_command_end(r,
                               ngx_http_travel_command_outcome(r, data, job));
}


/* "send booking": the time Redis took, and the parent of the job (semantic
 * conventions for messaging). */
void
ngx_http_travel_command_span(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t error)
{
    u_char                  name[96], partition[NGX_INT_T_LEN];
    uint64_t                now;
    ngx_uint_t              i;
    travel_span_t           span;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    now = ngx_http_travel_observe_now();

    ctx->dependency_us += (unsigned) ((now - cmd->sent_ns) / 1000);

    if (!(ctx->trace.flags & TRAVEL_TRACE_SAMPLED)) {
        return;
    }

    struct {
        travel_str_t   key;
        travel_str_t   value;
    } facts[] = {
        { TRAVEL_STR("messaging.system"), TRAVEL_STR("redis") },
        { TRAVEL_STR("messaging.operation.name"), TRAVEL_STR("send") },
        { TRAVEL_STR("messaging.operation.type"), TRAVEL_STR("send") },
        { TRAVEL_STR("messaging.destination.name"),
          ngx_http_travel_view(&cmd->use->entry->queue) },
        { TRAVEL_STR("messaging.destination.partition.id"),
          { (char *) partition,
            ngx_sprintf(partition, "%ui",
                        (ngx_uint_t) cmd->name.id.partition) - partition } },
        { TRAVEL_STR("messaging.message.id"),
          { cmd->name.text, cmd->name.len } },
        { TRAVEL_STR("travel.job.type"),
          ngx_http_travel_view(&cmd->use->entry->type) }
    };

    travel_attr_t  attrs[sizeof(facts) / sizeof(facts[0])];

    ngx_memzero(&span, sizeof(travel_span_t));
    ngx_memzero(attrs, sizeof(attrs));

    for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        attrs[i].name = facts[i].key;
        attrs[i].v.s = facts[i].value;
    }

    span.id = cmd->span;
    ngx_memcpy(span.parent, ctx->trace.span_id, sizeof(span.parent));
    span.name.data = (char *) name;
    span.name.len = ngx_snprintf(name, sizeof(name), "send %V",
                                 &cmd->use->entry->queue)
                    - name;
    span.kind = TRAVEL_SPAN_PRODUCER;
    span.start_ns = cmd->sent_ns;
    span.end_ns = now;
    span.error = error;
    span.attrs = attrs;
    span.nattrs = i;

    ngx_http_travel_observe_span(r, &span);
}
