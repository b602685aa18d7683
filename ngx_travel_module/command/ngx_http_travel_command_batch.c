/*
 * Many commands of one type in one request: a JSON array, or NDJSON.
 *
 * Each item is a command of its own: judged by the schema, put under its own
 * key (the request's Idempotency-Key and the item's place), accepted or refused
 * for itself, in the order in which they came; all of them leave in one write.
 * The check runs for each of them, a few at a time, before anything goes in.
 * What is wrong with the request as a whole (no JSON, too many items, no
 * database to check by) refuses it before anything goes in.
 *
 * The items live in the request's pool.  A reply finds its item by the op; the
 * last one answers the request.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_BATCH_CHECKS  8        /* of a request at a time */


static void ngx_http_travel_batch_checked(ngx_http_request_t *r);
static void ngx_http_travel_batch_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_batch_script_reply(
    ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_batch_lost(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_http_travel_redis_op_t *op);
static void ngx_http_travel_batch_fault(ngx_http_travel_command_t *item,
    travel_error_e error, const char *text);
static void ngx_http_travel_batch_done(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_uint_t outcome);
static ngx_int_t ngx_http_travel_batch_answer(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static void ngx_http_travel_batch_write(travel_json_writer_t *w,
    const ngx_http_travel_command_t *cmd);
static void ngx_http_travel_batch_write_item(travel_json_writer_t *w,
    const ngx_http_travel_command_t *item);
static const ngx_http_travel_fault_t *ngx_http_travel_batch_fault_of(
    const ngx_http_travel_command_t *item);
static ngx_uint_t ngx_http_travel_batch_replayed(
    const ngx_http_travel_command_t *item);
static void ngx_http_travel_batch_write_fault(travel_json_writer_t *w,
    const ngx_http_travel_fault_t *fault);


/* One more item; NGX_DECLINED: there are as many as may be. */
ngx_int_t
ngx_http_travel_batch_push(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, u_char *start, u_char *end)
{
    ngx_http_travel_batch_t    *batch;
    ngx_http_travel_command_t  *item;

    batch = cmd->batch;

    if (batch == NULL) {
        batch = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_batch_t));

        if (batch == NULL
            || ngx_array_init(&batch->items, r->pool, 16,
                              sizeof(ngx_http_travel_command_t *))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        cmd->batch = batch;
    }

    if (start == NULL) {
        return NGX_OK;
    }

    if (batch->items.nelts == cmd->use->batch) {
        return NGX_DECLINED;
    }

    item = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_command_t));

    if (item == NULL) {
        return NGX_ERROR;
    }

    item->use = cmd->use;
    item->item = 1;
    item->fault.error = TRAVEL_E_NONE;
    item->index = batch->items.nelts;
    item->body.data = start;
    item->body.len = end - start;

    *(ngx_http_travel_command_t **) ngx_array_push(&batch->items) = item;

    return NGX_OK;
}


/* A line each; lines of nothing but space are none. */
ngx_int_t
ngx_http_travel_batch_lines(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    u_char     *p, *q, *end, *last;
    ngx_int_t   rc;

    last = cmd->body.data + cmd->body.len;
    rc = ngx_http_travel_batch_push(r, cmd, NULL, NULL);

    for (p = cmd->body.data; p < last && rc == NGX_OK; p = end + 1) {

        end = ngx_strlchr(p, last, '\n');
        end = end ? end : last;

        for (q = p; q < end && (*q == ' ' || *q == '\t' || *q == '\r'); q++) {
            /* void */
        }

        if (q < end) {
            rc = ngx_http_travel_batch_push(r, cmd, q, end);
        }
    }

    return rc;
}


/* --- the check of each ---------------------------------------------------- */

void
ngx_http_travel_batch_check(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_http_travel_batch_t     *batch;
    ngx_http_travel_command_t  **items, *item;

    batch = cmd->batch;
    items = batch->items.elts;
    batch->sending = 1;

    while (batch->checking < NGX_HTTP_TRAVEL_BATCH_CHECKS
           && batch->next < batch->items.nelts)
    {
        item = items[batch->next++];

        if (item->fault.error != TRAVEL_E_NONE) {
            continue;
        }

        batch->checking++;

        if (ngx_http_travel_command_ask(r, item) != NGX_OK) {
            batch->over = 1;
            ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    batch->sending = 0;

    if (batch->checking == 0) {
        ngx_http_travel_command_accept(r, cmd);
    }
}


static void
ngx_http_travel_batch_checked(ngx_http_request_t *r)
{
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);
    cmd->batch->checking--;

    if (!cmd->batch->sending) {
        ngx_http_travel_batch_check(r, cmd);
    }
}


void
ngx_http_travel_batch_judged(ngx_http_request_t *r,
    ngx_http_travel_command_t *item)
{
    if (item->nrows) {
        item->fault.error = ngx_http_travel_command_verdict(item,
                                                         &item->fault.text);
        item->fault.details = item->rows;
        item->fault.ndetails = item->nrows;
    }

    ngx_http_travel_batch_checked(r);
}


/* The check refuses what the first request has done: that is a repeat. */
void
ngx_http_travel_batch_recalled(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, const ngx_str_t *uuid)
{
    if (uuid == NULL) {
        ngx_http_travel_batch_fault(item, TRAVEL_E_IDEMPOTENCY_MISMATCH,
               "This Idempotency-Key was used for another request.");

    } else if (ngx_http_travel_command_rename(r, item, uuid) != NGX_OK) {
        ngx_http_travel_batch_fault(item, TRAVEL_E_INTERNAL_ERROR,
                                    "An internal error occurred.");
    }

    ngx_http_travel_batch_checked(r);
}


/* --- repeats of what was accepted before a repartitioning ----------------- */

void
ngx_http_travel_batch_seek(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_uint_t                   i;
    ngx_http_travel_batch_t     *batch;
    ngx_http_travel_command_t  **items;

    batch = cmd->batch;
    items = batch->jobs.elts;
    batch->next = batch->items.nelts;       /* all are checked */
    batch->sending = 1;

    for (i = 0; i < batch->jobs.nelts; i++) {

        if (items[i]->fault.error != TRAVEL_E_NONE || items[i]->replayed
            || (items[i]->spans != 0 && items[i]->holds == 0)
            || items[i]->idem.len == 0)
        {
            continue;
        }

        batch->checking++;

        if (ngx_http_travel_command_seek(r, items[i]) != NGX_OK) {
            batch->checking--;
            ngx_http_travel_batch_fault(items[i],
                   TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                   "The queue cannot be reached. Nothing was done.");
        }
    }

    batch->sending = 0;

    if (batch->checking) {
        ngx_http_travel_command_suspend(r);
        return;
    }

    ngx_http_travel_command_accept(r, cmd);
}


void
ngx_http_travel_batch_sought(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_travel_batch_fault(item, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
               "The queue cannot be reached. Nothing was done.");
    }

    ngx_http_travel_batch_checked(r);
}


/* --- all of them --------------------------------------------------------- */

/* Nothing is to be sent for it. */
static ngx_uint_t
ngx_http_travel_batch_skip(ngx_http_travel_command_t *job)
{
    if (job->fault.error != TRAVEL_E_NONE) {
        ngx_http_travel_command_count(job, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
        return 1;
    }

    if (job->replayed) {
        ngx_http_travel_command_count(job, NGX_HTTP_TRAVEL_COMMAND_REPLAYED);
        return 1;
    }

    return job->spans != 0 && job->holds == 0;
}


/* The partitions are known: all that is good goes out. */
void
ngx_http_travel_batch_put(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                             rc;
    ngx_uint_t                            i;
    travel_layout_t                       layout;
    ngx_http_travel_batch_t              *batch;
    ngx_http_travel_command_t           **items, *item;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);
    batch = cmd->batch;
    items = batch->jobs.elts;
    batch->sending = 1;
    layout = ngx_http_travel_layout_now(
                             ngx_http_travel_view(&cmd->use->entry->queue));

    for (i = 0; i < batch->jobs.nelts; i++) {
        item = items[i];

        if (ngx_http_travel_batch_skip(item)) {
            continue;
        }

        if (ngx_http_travel_command_ids(r, item, &layout.now) != NGX_OK) {
            ngx_http_travel_batch_fault(item, TRAVEL_E_INTERNAL_ERROR,
                                        "An internal error occurred.");
            continue;
        }

        if (ngx_http_travel_backlog(item->name.id.queue,
                                    item->name.id.partition,
                                    item->use->entry->command->priority,
                                    item->body.len, &cmcf->backlog,
                                    &batch->later)
            != NGX_OK)
        {
            ngx_http_travel_command_count(item, NGX_HTTP_TRAVEL_COMMAND_FULL);
            ngx_http_travel_batch_fault(item, TRAVEL_E_QUEUE_FULL,
                   "Too much is waiting to be done. Please try again.");
            continue;
        }

        batch->left++;

        rc = ngx_http_travel_command_put(r, item,
                                         ngx_http_travel_command_scripted(item)
                                         ? ngx_http_travel_batch_script_reply
                                         : ngx_http_travel_batch_reply);

        if (rc != NGX_OK && !item->answered) {
            ngx_http_travel_batch_fault(item, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                   "The queue cannot be reached. Nothing was done.");
            ngx_http_travel_batch_done(r, item,
                                       NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE);
        }
    }

    batch->sending = 0;

    if (batch->left) {
        ngx_http_travel_command_suspend(r);
        return;
    }

    ngx_http_travel_command_end(r, ngx_http_travel_batch_answer(r, cmd));
}


/* --- replies -------------------------------------------------------------- */

static void
ngx_http_travel_batch_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_request_t         *r;
    ngx_http_travel_command_t  *item;

    r = op->request;
    item = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (item->answered) {
        return;
    }

    if (reply == NULL) {
        ngx_http_travel_batch_lost(r, item, op);
        return;
    }

    if (i == 0) {
        return;
    }

    if (ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_STRING) {
        ngx_http_travel_command_forget(r, item, reply);
        ngx_http_travel_batch_fault(item, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
               "The queue cannot be reached. Nothing was done.");
        ngx_http_travel_batch_done(r, item,
                                   NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE);
        return;
    }

    ngx_http_travel_batch_done(r, item, NGX_HTTP_TRAVEL_COMMAND_ACCEPTED);
}


static void
ngx_http_travel_batch_script_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                   word, uuid;
    ngx_uint_t                  outcome;
    ngx_http_request_t         *r;
    ngx_http_travel_command_t  *item;

    (void) i;

    r = op->request;
    item = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (item->answered) {
        return;
    }

    if (reply == NULL) {
        ngx_http_travel_batch_lost(r, item, op);
        return;
    }

    ngx_str_null(&word);
    ngx_str_null(&uuid);

    if (ngx_http_travel_reply_count(reply)) {
        word = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));
    }

    if (ngx_http_travel_reply_count(reply) > 1) {
        uuid = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 1));
    }

    outcome = NGX_HTTP_TRAVEL_COMMAND_REFUSED;

    if (word.len && word.data[0] == 'n') {                        /* new */
        outcome = NGX_HTTP_TRAVEL_COMMAND_ACCEPTED;

    } else if (word.len && word.data[0] == 'm') {            /* mismatch */
        ngx_http_travel_batch_fault(item, TRAVEL_E_IDEMPOTENCY_MISMATCH,
               "This Idempotency-Key was used for another request.");

    } else if (word.len > 1 && word.data[0] == 'r' && word.data[1] == 'u') {
        ngx_http_travel_batch_fault(item, TRAVEL_E_CONFLICT,
               "The first request with this Idempotency-Key is still being "
               "carried out.");

    } else if (word.len && (word.data[0] == 'r' || word.data[0] == 'a')
               && ngx_http_travel_command_rename(r, item, &uuid) == NGX_OK)
    {
        outcome = NGX_HTTP_TRAVEL_COMMAND_REPLAYED;

    } else {
        ngx_http_travel_command_forget(r, item, reply);
        ngx_http_travel_batch_fault(item, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
               "The queue cannot be reached. Nothing was done.");
        outcome = NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE;
    }

    ngx_http_travel_batch_done(r, item, outcome);
}


static void
ngx_http_travel_batch_lost(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_http_travel_redis_op_t *op)
{
    if (!op->sent) {
        ngx_http_travel_batch_fault(item, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
               "The queue cannot be reached. Nothing was done.");
        ngx_http_travel_batch_done(r, item,
                                   NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "job %s: outcome unknown: %s", item->name.text, op->lost);

    ngx_http_travel_batch_fault(item, TRAVEL_E_OUTCOME_UNKNOWN,
           "It is not known whether the command was accepted. Repeating it "
           "with the same Idempotency-Key is safe.");
    ngx_http_travel_batch_done(r, item, NGX_HTTP_TRAVEL_COMMAND_UNKNOWN);
}


static void
ngx_http_travel_batch_fault(ngx_http_travel_command_t *item,
    travel_error_e error, const char *text)
{
    item->fault.error = error;
    item->fault.text.data = (u_char *) text;
    item->fault.text.len = ngx_strlen(text);
}


static void
ngx_http_travel_batch_done(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_uint_t outcome)
{
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);

    item->answered = 1;
    ngx_http_travel_command_count(item, outcome);
    ngx_http_travel_command_span(r, item,
                                 outcome != NGX_HTTP_TRAVEL_COMMAND_ACCEPTED
                                 && outcome
                                    != NGX_HTTP_TRAVEL_COMMAND_REPLAYED);

    if (--cmd->batch->left == 0 && !cmd->batch->sending) {
        ngx_http_travel_command_end(r, ngx_http_travel_batch_answer(r, cmd));
    }
}


/* --- the answer ----------------------------------------------------------- */

/* 202: all are in; 207: look at each. */
static ngx_int_t
ngx_http_travel_batch_answer(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_uint_t                   i, refused, replayed;
    travel_json_writer_t         w;
    ngx_http_travel_command_t  **items;

    items = cmd->batch->items.elts;
    refused = 0;
    replayed = 0;

    for (i = 0; i < cmd->batch->items.nelts; i++) {
        if (ngx_http_travel_batch_fault_of(items[i])) {
            refused++;
        } else {
            replayed += ngx_http_travel_batch_replayed(items[i]);
        }
    }

    cmd->replayed = (replayed && replayed + refused == i);

    if (ngx_http_travel_command_applied(r, cmd) != NGX_OK
        || (cmd->batch->later
            && ngx_http_travel_add_number(r, "Retry-After", cmd->batch->later)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_writer_init(&w, NULL, 0);
    ngx_http_travel_batch_write(&w, cmd);

    if (ngx_http_travel_command_writer(r, &w, w.len + 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_batch_write(&w, cmd);

    return ngx_http_travel_command_send(r, refused ? 207 : NGX_HTTP_ACCEPTED,
                                        &w);
}


static void
ngx_http_travel_batch_write(travel_json_writer_t *w,
    const ngx_http_travel_command_t *cmd)
{
    ngx_uint_t                   i;
    ngx_http_travel_command_t  **items;

    items = cmd->batch->items.elts;

    travel_json_object(w);

    if (cmd->use->pack) {
        ngx_http_travel_batch_write_jobs(w, cmd);
    }

    travel_json_key(w, TRAVEL_STR("items"));
    travel_json_array(w);

    for (i = 0; i < cmd->batch->items.nelts; i++) {
        ngx_http_travel_batch_write_item(w, items[i]);
    }

    travel_json_array_end(w);
    travel_json_object_end(w);
}


/* Why the item is not in: for its own sake, or its pack's; NULL: it is. */
static const ngx_http_travel_fault_t *
ngx_http_travel_batch_fault_of(const ngx_http_travel_command_t *item)
{
    if (item->fault.error != TRAVEL_E_NONE) {
        return &item->fault;
    }

    return (item->job && item->job->fault.error != TRAVEL_E_NONE)
           ? &item->job->fault : NULL;
}


static ngx_uint_t
ngx_http_travel_batch_replayed(const ngx_http_travel_command_t *item)
{
    return item->job ? item->job->replayed : item->replayed;
}


static void
ngx_http_travel_batch_write_item(travel_json_writer_t *w,
    const ngx_http_travel_command_t *item)
{
    char                            text[TRAVEL_UUID_TEXT_LEN];
    travel_str_t                    id;
    travel_uuid_t                   uuid;
    const ngx_http_travel_fault_t  *fault;

    travel_json_object(w);
    travel_json_key(w, TRAVEL_STR("index"));
    travel_json_uint(w, item->index);
    travel_json_key(w, TRAVEL_STR("status"));

    fault = ngx_http_travel_batch_fault_of(item);

    if (fault) {
        travel_json_int(w, travel_error_status(fault->error));
        travel_json_key(w, TRAVEL_STR("error"));
        ngx_http_travel_batch_write_fault(w, fault);
        travel_json_object_end(w);
        return;
    }

    id = ngx_http_travel_view(&item->id);

    if (item->job) {
        uuid = ngx_http_travel_batch_item_id(item);
        travel_uuid_format(text, &uuid);
        id.data = text;
        id.len = sizeof(text);
    }

    travel_json_uint(w, NGX_HTTP_ACCEPTED);
    travel_json_member_string(w, "id", id);

    if (ngx_http_travel_batch_replayed(item)) {
        travel_json_key(w, TRAVEL_STR("replayed"));
        travel_json_bool(w, true);
    }

    if (item->job == NULL) {
        ngx_http_travel_command_job_member(w, &item->name, "queued");
    }

    travel_json_object_end(w);
}


static void
ngx_http_travel_batch_write_fault(travel_json_writer_t *w,
    const ngx_http_travel_fault_t *fault)
{
    ngx_uint_t                       i;
    const ngx_http_travel_detail_t  *d;

    travel_json_object(w);
    travel_json_member_cstring(w, "code", travel_error_code(fault->error));
    travel_json_member_string(w, "message", ngx_http_travel_view(&fault->text));
    travel_json_key(w, TRAVEL_STR("details"));
    travel_json_array(w);

    for (i = 0; i < fault->ndetails; i++) {
        d = &fault->details[i];

        travel_json_object(w);
        travel_json_member_string(w, "pointer", d->pointer);
        travel_json_member_string(w, "code", d->code);
        travel_json_member_string(w, "message", d->message);

        if (d->schema.len) {
            travel_json_member_string(w, "schema", d->schema);
        }

        if (d->has_offset) {
            travel_json_key(w, TRAVEL_STR("offset"));
            travel_json_uint(w, d->offset);
        }

        travel_json_object_end(w);
    }

    travel_json_array_end(w);
    travel_json_object_end(w);
}
