/*
 * Take the write: schema check, precheck query, idempotency, accept into the
 * queue, wait for the result, job status.
 *
 *     travel_command METHOD TYPE [check=QUERY] [wait=10s] [wait_default=0]
 *                    [max_body=64k] [id=$var] [set=member:$var ...]
 *                    [resource=/api/v1/bookings/] [breaker=MEMBER] [batch=N]
 *                    [max_errors=20] [formats=assert|annotate]
 *                    [idempotency_ttl=24h] [deadline=T]
 *                    [idempotency=optional|required] [require=final]
 *                    [unique=PART,... [unique_ttl=1h]];
 *     travel_job_status id=$var [wait=30s] [events=5m] [streams=1000]
 *                       [result=QUERY];
 *                                             GET, DELETE /api/v1/jobs/{id}
 *     travel_backlog N [bytes=256m] [normal=95%] [low=80%];   per partition
 *
 * The catalog's commands (conf/travel/commands/TYPE.json) are parsed by
 * common/catalog.h at configuration time.
 */

#ifndef NGX_HTTP_TRAVEL_COMMAND_H
#define NGX_HTTP_TRAVEL_COMMAND_H

#include "../core/ngx_http_travel.h"
#include "../../common/consistency.h"

/* --- for graphql: a command without a location of its own ---------------- */

typedef struct ngx_http_travel_order_s  ngx_http_travel_order_t;

/* As travel_command has them; check and breaker may be empty. */
typedef struct {
    ngx_str_t              type;
    ngx_str_t              check;
    ngx_str_t              breaker;
    ngx_msec_t             wait;
} ngx_http_travel_order_spec_t;

/* At configuration: a command of the catalog.  NULL after logging why. */
const ngx_http_travel_order_t *ngx_http_travel_command_order(ngx_conf_t *cf,
    ngx_http_travel_order_spec_t *spec);

/* How it went: status 200 or 201, done; 202, accepted; else 'error' and a
 * sentence.  Texts live as long as r. */
typedef struct {
    ngx_uint_t             status;
    travel_error_e         error;
    ngx_str_t              message;
    ngx_str_t              id;          /* of what it makes or changes */
    ngx_str_t              job;
} ngx_http_travel_ordered_t;

typedef void (*ngx_http_travel_ordered_pt)(ngx_http_request_t *r, void *data,
    const ngx_http_travel_ordered_t *ordered);

/* Runs it with a JSON body that lives as long as r, for r's caller.  done() is
 * called once, unless r ends before, perhaps from inside of this call.  One at
 * a time in a request.  'keyed': the request's Idempotency-Key is for it. */
void ngx_http_travel_command_run(ngx_http_request_t *r,
    const ngx_http_travel_order_t *order, ngx_str_t *body, ngx_uint_t keyed,
    ngx_http_travel_ordered_pt done, void *data);


/* --- for live: a job as it changes, without a request -------------------- */

typedef struct ngx_http_travel_observer_s  ngx_http_travel_observer_t;

/* Valid during the call.  Equal positions are of equal states; another says
 * nothing of which is the later one. */
typedef struct {
    ngx_str_t              json;        /* as its status_url tells it */
    ngx_str_t              owner;       /* the user whose it is */
    const char            *status;
    travel_stream_id_t     position;
} ngx_http_travel_observed_t;

/* At first, and at each change; NULL: there is no such job, and nothing more
 * will be told.  May give the observer up. */
typedef void (*ngx_http_travel_observed_pt)(void *data,
    const ngx_http_travel_observed_t *seen);

/* The handler is called from events of its own, never from within.  NULL: no
 * memory, or the id is none. */
ngx_http_travel_observer_t *ngx_http_travel_job_observe(const ngx_str_t *id,
    ngx_http_travel_observed_pt handler, void *data);
void ngx_http_travel_job_unobserve(ngx_http_travel_observer_t *observer);

extern ngx_module_t  ngx_http_travel_command_module;

#endif
