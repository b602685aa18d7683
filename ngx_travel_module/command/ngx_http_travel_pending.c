/*
 * What query asks of the queue: a resource that is accepted but not made yet,
 * and a consistency token that is a job id (contracts section 4).
 */

#include "ngx_http_travel_command_room.h"


typedef struct {
    ngx_http_travel_job_name_t     name;
    ngx_http_travel_resolved_pt    resolved;
    ngx_http_travel_waiter_t      *waiter;
    ngx_msec_t                     timeout;
    ngx_str_t                      id;
} ngx_http_travel_pending_t;


static ngx_int_t ngx_http_travel_pending_read(ngx_http_request_t *r,
    const travel_query_t *query, const ngx_str_t *id);
static void ngx_http_travel_pending_found(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_pending_answer(ngx_http_request_t *r,
    ngx_http_travel_pending_t *pending, ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_token_resolve(ngx_http_request_t *r,
    const ngx_str_t *job, ngx_msec_t timeout,
    ngx_http_travel_resolved_pt resolved);
static void ngx_http_travel_token_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static void ngx_http_travel_token_waited(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);


#define NGX_HTTP_TRAVEL_TOKEN_POLL  20       /* ms, within a wait of 250 */


void
ngx_http_travel_pending_hooks(void)
{
    ngx_http_travel_query_set_pending(ngx_http_travel_pending_read);
    ngx_http_travel_query_set_token_resolver(ngx_http_travel_token_resolve);
}


/* --- pending reads -------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_pending_read(ngx_http_request_t *r,
    const travel_query_t *query, const ngx_str_t *id)
{
    travel_str_t                      kind;
    travel_job_id_t                   job;
    ngx_http_travel_pending_t        *pending;
    ngx_http_travel_command_entry_t  *creator;

    kind.data = query->pending;
    kind.len = ngx_strlen(kind.data);

    creator = ngx_http_travel_command_creator(r, kind);

    if (creator == NULL
        || travel_uuid_parse(&job.id, ngx_http_travel_view(id)) != TRAVEL_OK
        || travel_uuid_version(&job.id) != 7)
    {
        return NGX_DECLINED;
    }

    job.queue = ngx_http_travel_view(&creator->queue);
    pending = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_pending_t));

    if (pending == NULL
        || ngx_http_travel_job_find(r, &pending->name, &job,
                                    ngx_http_travel_pending_found, pending)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    pending->id = *id;

    return NGX_DONE;
}


static void
ngx_http_travel_pending_found(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_travel_pending_t  *pending = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (job == NULL || !ngx_http_travel_job_mine(r, job)) {
        ngx_http_travel_finish(r, ngx_http_travel_query_refuse(r,
                                      TRAVEL_E_RESOURCE_NOT_FOUND));
        return;
    }

    if (job->status == TRAVEL_JOB_SUCCEEDED && job->written) {
        ngx_http_travel_query_again(r, &job->write);
        return;
    }

    ngx_http_travel_finish(r, ngx_http_travel_pending_answer(r, pending, job));
}


/* {"id","status":"pending"|"failed"|"cancelled", what was asked for, "job"} */
static ngx_int_t
ngx_http_travel_pending_answer(ngx_http_request_t *r,
    ngx_http_travel_pending_t *pending, ngx_http_travel_job_t *job)
{
    ngx_str_t             *echo, *error;
    const char            *status;
    travel_json_writer_t   w;

    static ngx_str_t  fresh = ngx_string("private, no-cache");

    echo = &job->field[NGX_HTTP_TRAVEL_JOB_ECHO];
    error = &job->field[NGX_HTTP_TRAVEL_JOB_ERROR];

    switch (job->status) {

    case TRAVEL_JOB_FAILED:
    case TRAVEL_JOB_DEAD:
        status = "failed";
        break;

    case TRAVEL_JOB_CANCELLED:
        status = "cancelled";
        break;

    default:
        status = "pending";
        break;
    }

    if (ngx_http_travel_command_writer(r, &w, 256 + echo->len + error->len
                                              + 3 * TRAVEL_JOB_ID_MAX)
        != NGX_OK
        || ngx_http_travel_add_header(r, "Cache-Control", &fresh) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_object(&w);
    travel_json_member_string(&w, "id", ngx_http_travel_view(&pending->id));
    travel_json_member_cstring(&w, "status", status);

    if (echo->len) {
        /* whole members, as they were written at acceptance */
        travel_json_raw(&w, ngx_http_travel_view(echo));
    }

    if (error->len && job->final) {
        travel_json_key(&w, TRAVEL_STR("error"));
        travel_json_raw(&w, ngx_http_travel_view(error));
    }

    ngx_http_travel_command_job_member(&w, &pending->name,
                                       travel_job_status_name(job->status));
    travel_json_object_end(&w);

    return ngx_http_travel_command_send(r, NGX_HTTP_OK, &w);
}


/* --- tokens that are job ids ---------------------------------------------- */

static ngx_int_t
ngx_http_travel_token_resolve(ngx_http_request_t *r, const ngx_str_t *job,
    ngx_msec_t timeout, ngx_http_travel_resolved_pt resolved)
{
    ngx_str_t                   text;
    ngx_http_travel_pending_t  *pending;

    text = *job;

    if (text.len > 4 && ngx_memcmp(text.data, "job:", 4) == 0) {
        text.data += 4;
        text.len -= 4;
    }

    pending = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_pending_t));

    if (pending == NULL
        || ngx_http_travel_job_parse(&pending->name, &text) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    pending->resolved = resolved;
    pending->timeout = timeout;
    pending->waiter = ngx_http_travel_job_expect(r, &pending->name,
                                        ngx_http_travel_token_waited, pending);

    if (pending->waiter == NULL
        || ngx_http_travel_job_read(r, &pending->name,
                                    ngx_http_travel_token_seen, pending)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


/* The first look also tells whose it is. */
static void
ngx_http_travel_token_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_travel_pending_t  *pending = data;

    if (job && !job->final && pending->timeout
        && ngx_http_travel_job_mine(r, job))
    {
        ngx_http_travel_job_start(pending->waiter, pending->timeout,
                                  NGX_HTTP_TRAVEL_TOKEN_POLL, 0);
        return;
    }

    ngx_http_travel_job_forget(pending->waiter);
    ngx_http_travel_token_waited(r, data, job);
}


static void
ngx_http_travel_token_waited(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_travel_pending_t  *pending = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (job && job->final && job->written && ngx_http_travel_job_mine(r, job))
    {
        pending->resolved(r, NGX_OK, &job->write);
        return;
    }

    pending->resolved(r, NGX_DECLINED, NULL);
}
