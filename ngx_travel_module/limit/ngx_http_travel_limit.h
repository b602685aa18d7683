/*
 * How often?  Sliding windows in shared memory, and days of the calendar; of
 * this node alone, or of all nodes through Redis.
 *
 *     travel_limit [METHOD ...] KEY RATE ... [burst=N/T] [name=POLICY]
 *                  [cost=C] [reserve=N] [window=day] [tz=ZONE]
 *                  [mode=local|global|strict] [slice=N|N%] [timeout=T]
 *                  [fail=local|open|closed] [delay=T] [hold=N]
 *                  [partition] [dry_run];
 *     travel_limit off;
 *     travel_limit $travel_user        60r/m 1000r/h burst=10/10s name=user;
 *     travel_limit $binary_remote_addr 100r/m 2000r/h burst=20/10s name=ip;
 *
 * Several directives apply together; a request is admitted only if every
 * window of every key admits it, and counts nowhere when it is refused.
 * Zone: "limits".
 */

#ifndef NGX_HTTP_TRAVEL_LIMIT_H
#define NGX_HTTP_TRAVEL_LIMIT_H

#include "../core/ngx_http_travel.h"

/* What limits that nodes share may admit beyond their quotas because of this
 * node, as gauges; for observe. */
size_t ngx_http_travel_limit_metrics_size(void);
u_char *ngx_http_travel_limit_metrics(u_char *p, u_char *last);

extern ngx_module_t  ngx_http_travel_limit_module;

#endif
