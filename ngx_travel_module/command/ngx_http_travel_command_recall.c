/*
 * Repeats: whether the Idempotency-Key of a command was used before, and what
 * a repeat is told.
 *
 * The script that accepts a command looks for its key in the same step (see
 * accept.c).  Here it is looked for where the script does not look: of a
 * command that the check refuses, and in the partitions that its queue had
 * before the last repartitioning.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_REPLAY_POLL     150      /* ms, where nobody tells */


static ngx_int_t ngx_http_travel_recall_ask(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t before,
    ngx_http_travel_redis_handler_pt handler);
static void ngx_http_travel_recall_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_seek_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_recall_heard(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_recall_found(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_recall_read(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static void ngx_http_travel_recall_told(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job);


/* --- looking -------------------------------------------------------------- */

/*
 * What the first request did may be why the check refuses the second: a booking
 * is cancelled once.  So before a request with an Idempotency-Key hears the
 * refusal, its key is looked up.  NGX_OK: r will be finished; NGX_DECLINED: it
 * cannot be looked up.
 */
ngx_int_t
ngx_http_travel_command_recall(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    return ngx_http_travel_recall_ask(r, cmd, 0, ngx_http_travel_recall_reply);
}


/* The partition that the command has now was not where its first went; and one
 * that was closed gets no new keys, so what is not there will not be. */
ngx_int_t
ngx_http_travel_command_seek(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    return ngx_http_travel_recall_ask(r, cmd, 1, ngx_http_travel_seek_reply);
}


static ngx_int_t
ngx_http_travel_recall_ask(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t before,
    ngx_http_travel_redis_handler_pt handler)
{
    char                         key[TRAVEL_KEY_MAX];
    size_t                       len[2];
    const char                  *argv[2];
    travel_range_t              *range;
    travel_layout_t              layout;
    ngx_http_travel_redis_op_t  *op;

    layout = ngx_http_travel_layout_now(
                             ngx_http_travel_view(&cmd->use->entry->queue));
    range = before ? &layout.was : &layout.now;

    if (range->n == 0 || ngx_http_travel_command_ids(r, cmd, range) != NGX_OK) {
        return NGX_DECLINED;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0, handler,
                                  cmd);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    argv[0] = "GET";
    len[0] = 3;
    argv[1] = key;
    len[1] = travel_key_idem(key, cmd->name.id.queue, cmd->name.id.partition,
                             cmd->scope);

    return ngx_http_travel_redis_command(op, 2, argv, len) == NGX_OK
           ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_travel_recall_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_request_t         *r;
    ngx_http_travel_command_t  *cmd;

    (void) i;

    r = op->request;
    cmd = op->data;

    if (cmd->item && ngx_http_travel_command_of(r)->batch->over) {
        return;
    }

    if (ngx_http_travel_recall_heard(op, reply) == NGX_OK) {
        return;
    }

    if (cmd->item) {
        ngx_http_travel_batch_judged(r, cmd);
        return;
    }

    /* the id that was made for looking names nothing */
    ngx_str_null(&ngx_http_travel_get_ctx(r)->job);

    ngx_http_travel_command_end(r, ngx_http_travel_command_refuse(r, cmd));
}


static void
ngx_http_travel_seek_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                   rc;
    ngx_http_travel_command_t  *cmd;

    (void) i;

    cmd = op->data;
    rc = ngx_http_travel_recall_heard(op, reply);

    if (rc == NGX_OK) {
        return;
    }

    rc = (rc == NGX_DECLINED) ? NGX_OK : NGX_DECLINED;

    if (cmd->item) {
        ngx_http_travel_batch_sought(op->request, cmd, rc);
        return;
    }

    ngx_http_travel_command_resume(op->request, rc);
}


/* NGX_OK: the key is there, and r goes on; NGX_DECLINED: it is not there;
 * NGX_ERROR: nobody knows. */
static ngx_int_t
ngx_http_travel_recall_heard(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_set_log_request(op->request->connection->log, op->request);

    if (reply == NULL) {
        return NGX_ERROR;
    }

    switch (ngx_http_travel_reply_type(reply)) {

    case NGX_HTTP_TRAVEL_REPLY_STRING:
        ngx_http_travel_recall_found(op->request, op->data, reply);
        return NGX_OK;

    case NGX_HTTP_TRAVEL_REPLY_NIL:
        return NGX_DECLINED;

    default:
        return NGX_ERROR;
    }
}


/* "<fingerprint> <uuid>", as the script left it. */
static void
ngx_http_travel_recall_found(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t  seen, uuid;

    seen = ngx_http_travel_reply_str(reply);

    if (seen.len != sizeof(cmd->print) + 1 + TRAVEL_UUID_TEXT_LEN
        || ngx_memcmp(seen.data, cmd->print, sizeof(cmd->print)) != 0)
    {
        if (cmd->item) {
            ngx_http_travel_batch_recalled(r, cmd, NULL);
            return;
        }

        ngx_http_travel_command_mismatch(r, cmd);
        return;
    }

    uuid.data = seen.data + sizeof(cmd->print) + 1;
    uuid.len = TRAVEL_UUID_TEXT_LEN;

    if (cmd->item) {
        ngx_http_travel_batch_recalled(r, cmd, &uuid);
        return;
    }

    if (ngx_http_travel_command_rename(r, cmd, &uuid) != NGX_OK
        || ngx_http_travel_job_read(r, &cmd->name,
                                    ngx_http_travel_recall_read, cmd)
           != NGX_OK)
    {
        ngx_http_travel_command_resume(r, NGX_DECLINED);
    }
}


/* --- the first one's answer ----------------------------------------------- */

/* The command takes the first one's id.  cmd->id and ctx->job are views of the
 * name, whose text is now that of the first; only the length is to be set. */
ngx_int_t
ngx_http_travel_command_rename(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_str_t *uuid)
{
    travel_job_id_t         id;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    id = cmd->name.id;
    id.queue = ngx_http_travel_view(&cmd->use->entry->queue);

    if (travel_uuid_parse(&id.id, ngx_http_travel_view(uuid)) != TRAVEL_OK
        || ngx_http_travel_job_name(&cmd->name, &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!cmd->item) {
        ctx->job.len = cmd->name.len;
    }

    cmd->replayed = 1;

    return NGX_OK;
}


/* The first request's ids and its answer. */
void
ngx_http_travel_command_replay(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t               uuid;
    ngx_http_travel_job_t  *job;

    uuid = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 1));
    job = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_job_t));

    if (cmd->waiter) {
        ngx_http_travel_job_forget(cmd->waiter);
        cmd->waiter = NULL;
    }

    if (job == NULL || ngx_http_travel_reply_count(reply) != 3
        || ngx_http_travel_command_rename(r, cmd, &uuid) != NGX_OK)
    {
        ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    job->name = &cmd->name;

    ngx_http_travel_command_span(r, cmd, 0);

    if (ngx_http_travel_job_pairs(r, ngx_http_travel_reply_elt(reply, 2), job)
        != NGX_OK)
    {
        ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (cmd->unique && job->found
        && !travel_str_eq(ngx_http_travel_view(
                              &job->field[NGX_HTTP_TRAVEL_JOB_SUB]),
                          ngx_http_travel_view(
                              &ngx_http_travel_get_ctx(r)->user)))
    {
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
        ngx_http_travel_command_end(r, ngx_http_travel_error(r,
                   TRAVEL_E_CONFLICT,
                   "Somebody else has asked for the same."));
        return;
    }

    if (job->field[NGX_HTTP_TRAVEL_JOB_CLAIM].len
        && ngx_http_travel_job_read(r, &cmd->name,
                                    ngx_http_travel_recall_read, cmd)
           == NGX_OK)
    {
        return;
    }

    ngx_http_travel_recall_told(r, cmd, job);
}


static void
ngx_http_travel_recall_read(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_set_log_request(r->connection->log, r);
    ngx_http_travel_recall_told(r, data, job);
}


/*
 * A repeat hears what the first was told, whatever became of the job since: its
 * promise when that is what it got; else its outcome.  Where the first is still
 * waiting, or its client left before it was told anything, the repeat waits as
 * it asks to.
 */
static void
ngx_http_travel_recall_told(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job)
{
    ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REPLAYED);

    if (job && job->field[NGX_HTTP_TRAVEL_JOB_PROMISED].len) {
        ngx_http_travel_command_end(r, ngx_http_travel_command_again(r, cmd));
        return;
    }

    if (job == NULL || job->final || cmd->wait == 0 || !job->found) {
        ngx_http_travel_command_end(r,
                               ngx_http_travel_command_outcome(r, cmd, job));
        return;
    }

    ngx_http_travel_command_expect(r, cmd);
    ngx_http_travel_command_accepted(r, cmd, NGX_HTTP_TRAVEL_REPLAY_POLL);

    if (cmd->waiter) {
        ngx_http_travel_job_watch(cmd->waiter, 0);
    }
}


void
ngx_http_travel_command_mismatch(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx != NULL) {
        ngx_str_null(&ctx->job);        /* there never was one of that name */
    }

    ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
    ngx_http_travel_command_end(r, ngx_http_travel_error(r,
               TRAVEL_E_IDEMPOTENCY_MISMATCH,
               "This Idempotency-Key was used for another request."));
}
