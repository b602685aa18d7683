/*
 * Take the write: schema check, precheck query, idempotency, accept into the
 * queue, wait for the result, job status.
 *
 *     travel_command METHOD TYPE [check=QUERY] [wait=10s] [wait_default=0]
 *                    [max_body=64k] [id=$var] [set=member:$var ...]
 *                    [resource=/api/v1/bookings/] [batch=N]
 *                    [max_errors=20] [formats=assert|annotate]
 *                    [idempotency_ttl=24h] [deadline=T]
 *                    [idempotency=optional|required] [require=final];
 *     travel_job_status id=$var [wait=30s] [events=5m] [streams=1000];
 *                                             GET, DELETE /api/v1/jobs/{id}
 *     travel_backlog N [bytes=256m] [normal=95%] [low=80%];   per partition
 *
 * The catalog's commands (conf/travel/commands/TYPE.json) are parsed by
 * common/catalog.h at configuration time.  Nothing here is called by others
 * but what is below.
 */

#ifndef NGX_HTTP_TRAVEL_COMMAND_H
#define NGX_HTTP_TRAVEL_COMMAND_H

#include "../core/ngx_http_travel.h"

extern ngx_module_t  ngx_http_travel_command_module;

#endif
