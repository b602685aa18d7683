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

extern ngx_module_t  ngx_http_travel_command_module;

#endif
