/*
 * What a command's client reads: the promise (202), the outcome (201, 200, or
 * the error that the job ended with), and that it cannot be said.
 */

#include "ngx_http_travel_command_room.h"


static ngx_int_t ngx_http_travel_command_headers(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static void ngx_http_travel_command_note(ngx_http_travel_command_t *cmd);
static void ngx_http_travel_command_noted(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_command_untold(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_command_token(ngx_http_request_t *r,
    const ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_command_failed(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job);


ngx_int_t
ngx_http_travel_command_writer(ngx_http_request_t *r, travel_json_writer_t *w,
    size_t size)
{
    char  *p;

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    travel_json_writer_init(w, p, size);

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_command_send(ngx_http_request_t *r, ngx_uint_t status,
    travel_json_writer_t *w)
{
    ngx_str_t  body;

    body.len = travel_json_writer_finish(w);
    body.data = (u_char *) w->dst;

    if (body.len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_send(r, status, NULL, &body);
}


void
ngx_http_travel_command_job_member(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const char *status)
{
    travel_json_key(w, TRAVEL_STR("job"));
    travel_json_object(w);
    ngx_http_travel_command_job_members(w, name, status);
    travel_json_object_end(w);
}


void
ngx_http_travel_command_job_members(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const char *status)
{
    char          url[sizeof(NGX_HTTP_TRAVEL_JOBS_URL) + TRAVEL_JOB_ID_MAX];
    travel_str_t  s;

    s.data = name->text;
    s.len = name->len;

    travel_json_member_string(w, "id", s);
    travel_json_member_cstring(w, "status", status);

    s.data = url;
    s.len = ngx_snprintf((u_char *) url, sizeof(url), "%s%s",
                         NGX_HTTP_TRAVEL_JOBS_URL, name->text)
            - (u_char *) url;

    travel_json_member_string(w, "status_url", s);
}


/* What every answer to an accepted command says in its headers, errors too. */
ngx_int_t
ngx_http_travel_command_applied(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    static ngx_str_t  yes = ngx_string("true");
    static ngx_str_t  prefer = ngx_string("Prefer");

    if (cmd->use->wait
        && ngx_http_travel_add_header(r, "Vary", &prefer) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cmd->applied.len
        && ngx_http_travel_add_header(r, "Preference-Applied", &cmd->applied)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cmd->replayed) {
        return ngx_http_travel_add_header(r, "Idempotent-Replayed", &yes);
    }

    return NGX_OK;
}


/* The same, and where to find what is made. */
static ngx_int_t
ngx_http_travel_command_headers(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    u_char     *p;
    ngx_str_t   value;

    if (ngx_http_travel_command_applied(r, cmd) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!cmd->use->entry->command->creates || cmd->use->resource.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, cmd->use->resource.len + cmd->id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, cmd->use->resource.data, cmd->use->resource.len);
    p = ngx_cpymem(p, cmd->id.data, cmd->id.len);
    value.len = p - value.data;

    if (ngx_http_travel_add_header(r, "Location", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_command_promise(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    u_char                *p;
    ngx_str_t              token;
    const char            *status;
    travel_json_writer_t   w;

    status = cmd->use->entry->command->accepted;
    status = status ? status : "pending";

    if (ngx_http_travel_command_headers(r, cmd) != NGX_OK
        || ngx_http_travel_command_writer(r, &w, 256 + 6 * ngx_strlen(status)
                                             + 3 * TRAVEL_JOB_ID_MAX)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("job:") + cmd->name.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    token.data = p;
    token.len = ngx_sprintf(p, "job:%s", cmd->name.text) - p;

    if (ngx_http_travel_add_header(r, "Travel-Consistency", &token) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_object(&w);
    travel_json_member_string(&w, "id", ngx_http_travel_view(&cmd->id));
    travel_json_member_cstring(&w, "status", status);
    ngx_http_travel_command_job_member(&w, &cmd->name, "queued");
    travel_json_object_end(&w);

    return ngx_http_travel_command_send(r, NGX_HTTP_ACCEPTED, &w);
}


ngx_int_t
ngx_http_travel_command_again(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    static ngx_str_t  async = ngx_string("respond-async");

    if (cmd->applied.len < async.len
        || ngx_memcmp(cmd->applied.data, async.data, async.len) != 0)
    {
        ngx_str_null(&cmd->applied);

    } else {
        cmd->applied = async;
    }

    return ngx_http_travel_command_promise(r, cmd);
}


/* The wait is over and the promise is what the client gets: so be it for
 * repeats.  Should this be lost, a repeat is told the outcome instead. */
static void
ngx_http_travel_command_note(ngx_http_travel_command_t *cmd)
{
    char                         key[TRAVEL_KEY_MAX];
    size_t                       len[4];
    const char                  *argv[4];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                  ngx_http_travel_command_noted, NULL);
    if (op == NULL) {
        return;
    }

    argv[0] = "HSET";
    len[0] = 4;
    argv[1] = key;
    len[1] = travel_key_job(key, &cmd->name.id);
    argv[2] = "promised";
    len[2] = 8;
    argv[3] = "1";
    len[3] = 1;

    (void) ngx_http_travel_redis_command(op, 4, argv, len);
}


static void
ngx_http_travel_command_noted(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    (void) op;
    (void) i;
    (void) reply;
}


/* The job as it is now; one that has not ended, or cannot be looked at, is
 * still a promise. */
ngx_int_t
ngx_http_travel_command_outcome(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job)
{
    ngx_str_t               *result;
    ngx_uint_t               status;
    ngx_http_travel_ctx_t   *ctx;

    static ngx_str_t  nothing = ngx_string("null");

    ctx = ngx_http_travel_get_ctx(r);

    if (cmd->since) {
        ctx->wait = ngx_current_msec - cmd->since;
    }

    if (job == NULL || !job->found || !job->final) {
        if (cmd->idem.len && job && job->found) {
            ngx_http_travel_command_note(cmd);
        }

        return ngx_http_travel_command_promise(r, cmd);
    }

    if (job->written && ctx->user.len) {
        ngx_http_travel_writer_note(&ctx->user, &job->write);
    }

    if (job->status != TRAVEL_JOB_SUCCEEDED) {
        return ngx_http_travel_command_failed(r, cmd, job);
    }

    if (ngx_http_travel_command_headers(r, cmd) != NGX_OK
        || ngx_http_travel_command_token(r, job) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    result = &job->field[NGX_HTTP_TRAVEL_JOB_RESULT];

    if (result->len == 0 && cmd->use->entry->command->once) {
        return ngx_http_travel_command_untold(r, cmd);
    }

    status = cmd->use->entry->command->creates ? NGX_HTTP_CREATED
                                               : NGX_HTTP_OK;

    return ngx_http_travel_send(r, status, NULL,
                                result->len ? result : &nothing);
}


/* It is done, but its result was for another's ears, or was lost on the way:
 * {"id","result":null,"job"}. */
static ngx_int_t
ngx_http_travel_command_untold(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    travel_json_writer_t  w;

    if (ngx_http_travel_command_writer(r, &w, 256 + 3 * TRAVEL_JOB_ID_MAX)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_object(&w);
    travel_json_member_string(&w, "id", ngx_http_travel_view(&cmd->id));
    travel_json_key(&w, TRAVEL_STR("result"));
    travel_json_null(&w);
    ngx_http_travel_command_job_member(&w, &cmd->name, "succeeded");
    travel_json_object_end(&w);

    return ngx_http_travel_command_send(r, cmd->use->entry->command->creates
                                           ? NGX_HTTP_CREATED : NGX_HTTP_OK,
                                        &w);
}


/* Travel-Consistency: what this write made, signed. */
static ngx_int_t
ngx_http_travel_command_token(ngx_http_request_t *r,
    const ngx_http_travel_job_t *job)
{
    size_t                        len;
    ngx_str_t                     token;
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_module);

    if (!job->written || tmcf->consistency_secret.len == 0) {
        return NGX_OK;
    }

    token.data = ngx_pnalloc(r->pool, TRAVEL_CONSISTENCY_MAX);

    if (token.data == NULL
        || travel_consistency_sign((char *) token.data, &len, &job->write,
                          ngx_http_travel_view(&tmcf->consistency_secret))
           != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    token.len = len;

    return ngx_http_travel_add_header(r, "Travel-Consistency", &token);
}


/* {"code":"...","message":"..."} as the worker wrote it: the client hears the
 * code if it is one of ours. */
static ngx_int_t
ngx_http_travel_command_failed(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job)
{
    ngx_str_t                  text;
    travel_str_t               source;
    travel_json_t             *doc;
    travel_error_e             error;
    travel_json_error_t        err;
    const travel_json_node_t  *code, *message;
    ngx_http_travel_detail_t  *detail;

    static ngx_str_t  bearer = ngx_string("Bearer realm=\"travel\"");

    if (ngx_http_travel_command_applied(r, cmd) != NGX_OK
        || ngx_http_travel_command_token(r, job) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (job->status == TRAVEL_JOB_CANCELLED) {
        return ngx_http_travel_error(r, TRAVEL_E_CONFLICT,
                                     "The job was cancelled.");
    }

    detail = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_detail_t));
    source = ngx_http_travel_view(&job->field[NGX_HTTP_TRAVEL_JOB_ERROR]);
    doc = travel_json_create(512);

    if (detail == NULL || doc == NULL) {
        travel_json_free(doc);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    error = TRAVEL_E_NONE;
    ngx_str_set(&text, "The command could not be carried out.");
    detail->code = TRAVEL_STR("job");

    if (source.len && travel_json_parse(doc, source, 0, &err) == TRAVEL_OK
        && travel_json_nodes(doc)[0].type == TRAVEL_JSON_OBJECT)
    {
        code = travel_json_member(doc, 0, TRAVEL_STR("code"));
        message = travel_json_member(doc, 0, TRAVEL_STR("message"));

        if (code && code->type == TRAVEL_JSON_STRING) {
            error = travel_error_by_code(code->text);
        }

        if (message && message->type == TRAVEL_JSON_STRING
            && message->text.len)
        {
            text.data = ngx_pnalloc(r->pool, message->text.len);

            if (text.data == NULL) {
                travel_json_free(doc);
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            text.len = message->text.len;
            ngx_memcpy(text.data, message->text.data, text.len);
        }
    }

    travel_json_free(doc);

    if (error == TRAVEL_E_NONE) {
        error = (job->status == TRAVEL_JOB_FAILED)
                ? TRAVEL_E_VALIDATION_ERROR : TRAVEL_E_EXTERNAL_SERVICE_ERROR;
    }

    if (travel_error_status(error) == NGX_HTTP_UNAUTHORIZED
        && ngx_http_travel_add_header(r, "WWW-Authenticate", &bearer)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    detail->message.data = job->name->text;
    detail->message.len = job->name->len;

    return ngx_http_travel_error_details(r, error, detail, 1, "%V", &text);
}


ngx_int_t
ngx_http_travel_command_unavailable(ngx_http_request_t *r,
    travel_error_e code, const char *text)
{
    return ngx_http_travel_command_later(r, code, 1, text);
}


ngx_int_t
ngx_http_travel_command_later(ngx_http_request_t *r, travel_error_e code,
    ngx_uint_t later, const char *text)
{
    if (ngx_http_travel_add_number(r, "Retry-After", later) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_error(r, code, "%s", text);
}
