/*
 * batch_jobs=one: what is good of a batch goes in as one job, or as few as
 * max_body allows, and not as one each.
 *
 * A job's body is an array of its items at their places; an item that was
 * refused is null there.  So an item's id follows from its job's id and its
 * place: it is the n-th after that, the first one's the next (ids.h).  Where
 * one job ends and the next begins follows from what the client sent alone, so
 * that a repeat under the same Idempotency-Key meets its first.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_PACK_NULL  4


static size_t ngx_http_travel_pack_size(const ngx_http_travel_command_t *item);
static ngx_int_t ngx_http_travel_pack_one(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t first, ngx_uint_t n,
    size_t size);


ngx_int_t
ngx_http_travel_batch_pack(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    size_t                       size, more;
    ngx_uint_t                   i, first, n;
    ngx_http_travel_batch_t     *batch;
    ngx_http_travel_command_t  **items;

    batch = cmd->batch;
    items = batch->items.elts;
    n = batch->items.nelts;

    if (ngx_array_init(&batch->jobs, r->pool, 4,
                       sizeof(ngx_http_travel_command_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (first = 0; first < n; first = i) {
        size = sizeof("[]") - 1;

        for (i = first; i < n; i++) {
            more = ngx_http_travel_pack_size(items[i]) + 1;

            if (i > first && size + more > cmd->use->max_body) {
                break;
            }

            size += more;
        }

        if (ngx_http_travel_pack_one(r, cmd, first, i - first, size)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The room for an item, whatever was thought of it. */
static size_t
ngx_http_travel_pack_size(const ngx_http_travel_command_t *item)
{
    if (item->body.len > item->use->max_body) {
        return NGX_HTTP_TRAVEL_PACK_NULL;
    }

    return ngx_max(item->body.len, NGX_HTTP_TRAVEL_PACK_NULL);
}


static ngx_int_t
ngx_http_travel_pack_one(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t first, ngx_uint_t n, size_t size)
{
    u_char                      *p;
    ngx_uint_t                   i;
    ngx_http_travel_command_t  **items, **place, *job;

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_command_t));
    place = ngx_array_push(&cmd->batch->jobs);
    p = ngx_pnalloc(r->pool, size);

    if (job == NULL || place == NULL || p == NULL) {
        return NGX_ERROR;
    }

    *place = job;
    job->use = cmd->use;
    job->item = 1;
    job->fault.error = TRAVEL_E_NONE;
    job->index = first;
    job->spans = n;
    job->body.data = p;

    items = (ngx_http_travel_command_t **) cmd->batch->items.elts + first;
    *p++ = '[';

    for (i = 0; i < n; i++) {
        items[i]->job = job;

        if (i) {
            *p++ = ',';
        }

        if (items[i]->fault.error != TRAVEL_E_NONE) {
            p = ngx_cpymem(p, "null", NGX_HTTP_TRAVEL_PACK_NULL);
            ngx_http_travel_command_count(items[i],
                                          NGX_HTTP_TRAVEL_COMMAND_REFUSED);
            continue;
        }

        p = ngx_cpymem(p, items[i]->body.data, items[i]->body.len);
        job->holds++;
    }

    *p++ = ']';
    job->body.len = p - job->body.data;

    return NGX_OK;
}


/* The id of an item that a job carries. */
travel_uuid_t
ngx_http_travel_batch_item_id(const ngx_http_travel_command_t *item)
{
    return travel_uuid_after(&item->job->name.id.id,
                             item->index - item->job->index + 1);
}


/* "jobs": [{id, status, status_url, first, last}, ...] */
void
ngx_http_travel_batch_write_jobs(travel_json_writer_t *w,
    const ngx_http_travel_command_t *cmd)
{
    ngx_uint_t                         i;
    const ngx_http_travel_command_t  **jobs, *job;

    jobs = cmd->batch->jobs.elts;

    travel_json_key(w, TRAVEL_STR("jobs"));
    travel_json_array(w);

    for (i = 0; i < cmd->batch->jobs.nelts; i++) {
        job = jobs[i];

        if (job->holds == 0 || job->fault.error != TRAVEL_E_NONE) {
            continue;
        }

        travel_json_object(w);
        ngx_http_travel_command_job_members(w, &job->name, "queued");
        travel_json_member_int(w, "first", job->index);
        travel_json_member_int(w, "last", job->index + job->spans - 1);
        travel_json_object_end(w);
    }

    travel_json_array_end(w);
}
