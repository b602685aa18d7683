/*
 * A command's way through the edge: headers, body, check, and on to accepting.
 *
 * The check is a named query whose rows refuse.  It may run on a replica that
 * has not seen the caller's last write yet, and it cannot see what is still in
 * the queue.  So a RESOURCE_NOT_FOUND from a replica is asked again of the
 * primary, and one that the primary confirms is forgiven when the caller's own
 * creating command of that very id is queued or running: then the create comes
 * first, in the same partition or before its worker looks.
 */

#include "ngx_http_travel_command_room.h"


static void ngx_http_travel_command_read(ngx_http_request_t *r);
static void ngx_http_travel_command_ordered(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_int_t rc);
static ngx_int_t ngx_http_travel_command_prepare(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static void ngx_http_travel_command_stop(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_int_t rc);
static void ngx_http_travel_command_checked(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_command_rows(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_command_judge(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_uint_t ngx_http_travel_command_absent(
    const ngx_http_travel_detail_t *row);
static ngx_int_t ngx_http_travel_command_pending(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_detail_t *row);
static void ngx_http_travel_command_looked(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);


ngx_int_t
ngx_http_travel_command_handler(ngx_http_request_t *r)
{
    ngx_int_t                             rc;
    ngx_uint_t                            i;
    ngx_http_travel_ctx_t                *ctx;
    ngx_http_travel_command_t            *cmd;
    ngx_http_travel_command_use_t       **uses, *use;
    ngx_http_travel_command_loc_conf_t   *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_command_module);
    uses = clcf->uses.elts;
    use = NULL;

    for (i = 0; i < clcf->uses.nelts; i++) {
        if (uses[i]->method == r->method) {
            use = uses[i];
        }
    }

    ctx = ngx_http_travel_get_ctx(r);
    cmd = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_command_t));

    if (use == NULL || ctx == NULL || cmd == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cmd->use = use;
    ctx->room[NGX_HTTP_TRAVEL_ROOM_COMMAND] = cmd;
    ctx->route = use->entry->type;

    rc = ngx_http_travel_command_media(r, use);
    if (rc != NGX_OK) {
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
        return rc == NGX_DONE ? cmd->told : rc;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_travel_command_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* An answer was sent, and sending may well be NGX_OK: that is not "go on". */
ngx_int_t
ngx_http_travel_command_told(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_travel_command_of(r)->told = rc;

    return NGX_DONE;
}


/* The whole body is here; a truncated one never comes this far. */
static void
ngx_http_travel_command_read(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);

    rc = ngx_http_travel_command_prepare(r, cmd);

    if (rc != NGX_OK) {
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
        ngx_http_travel_command_end(r, rc == NGX_DONE ? cmd->told : rc);
        return;
    }

    if (cmd->use->check == NULL) {
        ngx_http_travel_command_accept(r, cmd);
        return;
    }

    if (cmd->batch) {
        ngx_http_travel_batch_check(r, cmd);
        return;
    }

    if (ngx_http_travel_command_ask(r, cmd) != NGX_OK) {
        ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_int_t
ngx_http_travel_command_prepare(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t  rc;

    if (r->request_body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_command_body(r, cmd);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_travel_command_idempotency(r, cmd);
    if (rc != NGX_OK) {
        return rc;
    }

    /* nobody waits for a batch */

    if (ngx_http_travel_command_prefer(r, cmd->batch ? 0 : cmd->use->wait,
                                       cmd->use->wait_default, &cmd->wait,
                                       &cmd->applied)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cmd->batch && cmd->wait == 0 && cmd->applied.len > 13) {
        ngx_str_null(&cmd->applied);
    }

    /* who does not wait would never hear it */

    if (cmd->wait == 0 && cmd->use->entry->command->once) {
        cmd->wait = cmd->use->wait_default;
        ngx_str_null(&cmd->applied);
    }

    return NGX_OK;
}


/*
 * Until the request is suspended nginx's own code is above us and goes on with
 * it when we return, posted requests included.  Running them here would free
 * the request of a client that has hung up under that code's feet.
 */
void
ngx_http_travel_command_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);

    if (cmd->done != NULL) {
        ngx_http_travel_command_ordered(r, cmd, rc);
        return;
    }

    if (cmd->async) {
        ngx_http_travel_finish(r, rc);
        return;
    }

    ngx_http_finalize_request(r, rc);
}


/* --- of another room ----------------------------------------------------- */

void
ngx_http_travel_command_run(ngx_http_request_t *r,
    const ngx_http_travel_order_t *order, ngx_str_t *body, ngx_uint_t keyed,
    ngx_http_travel_ordered_pt done, void *data)
{
    ngx_int_t                         rc;
    ngx_http_travel_ctx_t            *ctx;
    ngx_http_travel_command_t        *cmd;
    const ngx_http_travel_ordered_t   none = {
        NGX_HTTP_INTERNAL_SERVER_ERROR, TRAVEL_E_INTERNAL_ERROR,
        ngx_string("The command could not be carried out."),
        ngx_null_string, ngx_null_string
    };

    ctx = ngx_http_travel_get_ctx(r);
    cmd = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_command_t));

    if (cmd == NULL) {
        done(r, data, &none);
        return;
    }

    cmd->use = (ngx_http_travel_command_use_t *) &order->use;
    cmd->body = *body;
    cmd->wait = order->wait;
    cmd->done = done;
    cmd->data = data;

    ctx->room[NGX_HTTP_TRAVEL_ROOM_COMMAND] = cmd;
    ctx->divert = &cmd->divert;
    ngx_str_null(&ctx->error_message);

    rc = ngx_http_travel_command_given(r, cmd);

    if (rc == NGX_OK && keyed) {
        rc = ngx_http_travel_command_idempotency(r, cmd);
    }

    if (rc != NGX_OK) {
        ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);
        ngx_http_travel_command_end(r, rc == NGX_DONE ? cmd->told : rc);
        return;
    }

    if (cmd->use->check == NULL) {
        ngx_http_travel_command_accept(r, cmd);
        return;
    }

    if (ngx_http_travel_command_ask(r, cmd) != NGX_OK) {
        ngx_http_travel_command_end(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* The answer was caught: the room that asked is told what it says. */
static void
ngx_http_travel_command_ordered(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_int_t rc)
{
    ngx_http_travel_ctx_t      *ctx;
    ngx_http_travel_ordered_t   ordered;

    ctx = ngx_http_travel_get_ctx(r);
    ctx->divert = NULL;

    ngx_memzero(&ordered, sizeof(ngx_http_travel_ordered_t));
    ordered.status = cmd->divert.status;
    ordered.error = TRAVEL_E_NONE;
    ordered.id = cmd->id;
    ordered.job.data = (u_char *) cmd->name.text;
    ordered.job.len = cmd->name.len;

    if (ordered.status == 0) {
        ordered.status = rc >= NGX_HTTP_SPECIAL_RESPONSE
                         ? (ngx_uint_t) rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
        ctx->error = TRAVEL_E_INTERNAL_ERROR;
    }

    if (ordered.status >= NGX_HTTP_SPECIAL_RESPONSE) {
        ordered.error = ctx->error;
        ordered.message = ctx->error_message;

        /* what is wrong with a member says more than that something is */

        if (ctx->ndetails != 0 && ctx->details[0].message.len != 0
            && ctx->error == TRAVEL_E_VALIDATION_ERROR)
        {
            ordered.message = ngx_http_travel_str(ctx->details[0].message);
        }
    }

    cmd->done(r, cmd->data, &ordered);
}


/* From here on the request waits for others: a client that hangs up ends it. */
void
ngx_http_travel_command_suspend(ngx_http_request_t *r)
{
    ngx_event_t                *rev;
    ngx_http_travel_command_t  *cmd;

    cmd = ngx_http_travel_command_of(r);

    if (cmd) {
        if (cmd->async) {
            return;
        }

        cmd->async = 1;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


/* --- the check ------------------------------------------------------------ */

/* Of a batch, the check of one item may end the request. */
static void
ngx_http_travel_command_stop(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_int_t rc)
{
    if (cmd->item) {
        ngx_http_travel_command_of(r)->batch->over = 1;
    }

    ngx_http_travel_command_end(r, rc);
}


ngx_int_t
ngx_http_travel_command_ask(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                      rc;
    travel_consistency_t           last;
    ngx_http_travel_route_need_t   need;

    ngx_memzero(&need, sizeof(ngx_http_travel_route_need_t));

    if (cmd->primary) {
        need.primary = 1;

    } else {
        rc = ngx_http_travel_query_need(r, &last);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        need.floor = last.commit;
        need.primary = (rc == NGX_ABORT);
        cmd->primary = need.primary;
    }

    rc = ngx_http_travel_query_run(r, cmd->use->check,
                                   cmd->use->check_statement, cmd->values,
                                   &need, ngx_http_travel_command_checked,
                                   cmd);

    if (rc == NGX_OK) {
        ngx_http_travel_command_suspend(r);
    }

    return rc;
}


static void
ngx_http_travel_command_checked(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_command_t  *cmd = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (cmd->item && ngx_http_travel_command_of(r)->batch->over) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_travel_command_count(cmd,
                                      NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE);
        ngx_http_travel_command_stop(r, cmd,
                                     ngx_http_travel_query_refuse(r, rc));
        return;
    }

    if (ngx_http_travel_command_rows(r, cmd, result) != NGX_OK) {
        ngx_http_travel_command_stop(r, cmd, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_travel_command_judge(r, cmd);
}


/* The rows, copied: the result goes when we return. */
static ngx_int_t
ngx_http_travel_command_rows(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_pg_result_t *result)
{
    u_char        *p;
    ngx_str_t      value;
    ngx_uint_t     i, n, column;
    travel_str_t  *fields[3];

    n = ngx_http_travel_pg_rows(result);
    n = ngx_min(n, cmd->use->max_errors);

    cmd->nrows = 0;
    cmd->looked = 0;

    if (n == 0) {
        return NGX_OK;
    }

    if (ngx_http_travel_pg_columns(result) != 3) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "query \"%s\" must return code, pointer, message",
                      cmd->use->check->name);
        return NGX_ERROR;
    }

    cmd->rows = ngx_pcalloc(r->pool, n * sizeof(ngx_http_travel_detail_t));
    if (cmd->rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        fields[0] = &cmd->rows[i].code;
        fields[1] = &cmd->rows[i].pointer;
        fields[2] = &cmd->rows[i].message;

        for (column = 0; column < 3; column++) {
            value = ngx_http_travel_pg_value(result, i, column);
            p = ngx_pnalloc(r->pool, value.len + 1);

            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, value.data, value.len);
            fields[column]->data = (char *) p;
            fields[column]->len = value.len;
        }
    }

    cmd->nrows = n;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_travel_command_absent(const ngx_http_travel_detail_t *row)
{
    return travel_str_eq(row->code, TRAVEL_STR("RESOURCE_NOT_FOUND"));
}


/* Goes on where it was, row by row; accepts when none is left. */
static void
ngx_http_travel_command_judge(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                  rc;
    ngx_http_travel_detail_t  *row;

    while (cmd->looked < cmd->nrows) {
        row = &cmd->rows[cmd->looked];

        if (!ngx_http_travel_command_absent(row)) {
            cmd->looked++;
            continue;
        }

        if (!cmd->primary) {
            cmd->primary = 1;

            if (ngx_http_travel_command_ask(r, cmd) != NGX_OK) {
                ngx_http_travel_command_stop(r, cmd,
                                             NGX_HTTP_INTERNAL_SERVER_ERROR);
            }

            return;
        }

        rc = ngx_http_travel_command_pending(r, cmd, row);

        if (rc == NGX_AGAIN) {
            return;
        }

        cmd->looked++;
    }

    if (cmd->nrows == 0 && !cmd->item) {
        ngx_http_travel_command_accept(r, cmd);
        return;
    }

    if (cmd->nrows && cmd->idem.len
        && ngx_http_travel_command_recall(r, cmd) == NGX_OK)
    {
        return;
    }

    if (cmd->item) {
        ngx_http_travel_batch_judged(r, cmd);
        return;
    }

    ngx_http_travel_command_end(r, ngx_http_travel_command_refuse(r, cmd));
}


/*
 * "/journey_id" is said not to be there: is a journey with that id being made?
 * NGX_AGAIN: its job is looked up; NGX_DECLINED: no such job can be.
 */
static ngx_int_t
ngx_http_travel_command_pending(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_detail_t *row)
{
    size_t                            i;
    travel_str_t                      member, kind, text;
    travel_job_id_t                   id;
    const travel_query_t             *query;
    ngx_http_travel_job_name_t       *name;
    ngx_http_travel_command_entry_t  *creator;

    if (row->pointer.len < 5
        || ngx_memcmp(row->pointer.data + row->pointer.len - 3, "_id", 3) != 0)
    {
        return NGX_DECLINED;
    }

    member.data = row->pointer.data + 1;
    member.len = row->pointer.len - 1;
    kind.data = member.data;
    kind.len = member.len - 3;

    creator = ngx_http_travel_command_creator(r, kind);
    query = cmd->use->check;
    text = TRAVEL_NULL_STR;

    for (i = 0; i < query->nparams; i++) {
        if (cmd->values[i] && ngx_strlen(query->params[i].name) == member.len
            && ngx_memcmp(query->params[i].name, member.data, member.len) == 0)
        {
            text.data = cmd->values[i];
            text.len = ngx_strlen(text.data);
        }
    }

    if (creator == NULL || text.len == 0
        || travel_uuid_parse(&id.id, text) != TRAVEL_OK)
    {
        return NGX_DECLINED;
    }

    id.queue = ngx_http_travel_view(&creator->queue);
    name = ngx_palloc(r->pool, sizeof(ngx_http_travel_job_name_t));

    if (name == NULL
        || ngx_http_travel_job_find(r, name, &id,
                                    ngx_http_travel_command_looked,
                                    cmd)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


static void
ngx_http_travel_command_looked(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_uint_t                  i;
    ngx_http_travel_command_t  *cmd = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (cmd->item && ngx_http_travel_command_of(r)->batch->over) {
        return;
    }

    if (job && ngx_http_travel_job_mine(r, job)
        && (!job->final || job->status == TRAVEL_JOB_SUCCEEDED))
    {
        /* forgiven: the row goes */

        cmd->nrows--;

        for (i = cmd->looked; i < cmd->nrows; i++) {
            cmd->rows[i] = cmd->rows[i + 1];
        }

    } else {
        cmd->looked++;
    }

    ngx_http_travel_command_judge(r, cmd);
}


/* What is not there outweighs what is in the way, and that what is wrong. */
travel_error_e
ngx_http_travel_command_verdict(const ngx_http_travel_command_t *cmd,
    ngx_str_t *ret_text)
{
    ngx_uint_t       i;
    travel_error_e   error, found;

    error = TRAVEL_E_VALIDATION_ERROR;
    ngx_str_set(ret_text, "The request cannot be carried out as it is.");

    for (i = 0; i < cmd->nrows; i++) {
        found = travel_error_by_code(cmd->rows[i].code);

        if (found == TRAVEL_E_NONE || found == TRAVEL_E_VALIDATION_ERROR
            || error == TRAVEL_E_RESOURCE_NOT_FOUND
            || (error != TRAVEL_E_VALIDATION_ERROR
                && found != TRAVEL_E_RESOURCE_NOT_FOUND))
        {
            continue;
        }

        error = found;
        *ret_text = ngx_http_travel_str(cmd->rows[i].message);
    }

    return error;
}


ngx_int_t
ngx_http_travel_command_refuse(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_str_t        text;
    travel_error_e   error;

    ngx_http_travel_command_count(cmd, NGX_HTTP_TRAVEL_COMMAND_REFUSED);

    error = ngx_http_travel_command_verdict(cmd, &text);

    return ngx_http_travel_error_details(r, error, cmd->rows, cmd->nrows, "%V",
                                         &text);
}
