/* What the files of the breaker room share. */

#ifndef NGX_HTTP_TRAVEL_BREAKER_ROOM_H
#define NGX_HTTP_TRAVEL_BREAKER_ROOM_H

#include "ngx_http_travel_breaker.h"
#include "../../common/breaker_state.h"

#define NGX_HTTP_TRAVEL_BREAKERS_MAX  64

typedef struct {
    ngx_flag_t   enable;
    ngx_uint_t   needed;
    ngx_int_t    refused;          /* counter */
} ngx_http_travel_breaker_main_conf_t;

/* One destination as all processes together have it. */
typedef struct {
    size_t                  len;
    u_char                  name[TRAVEL_BREAKER_NAME_MAX];
    travel_breaker_sum_t    sum;
} ngx_http_travel_breaker_t;

/* What this nginx worker knows; *ret_n may be 0. */
const ngx_http_travel_breaker_t *ngx_http_travel_breakers(ngx_uint_t *ret_n);
travel_breaker_state_e ngx_http_travel_breaker_state(
    const ngx_http_travel_breaker_t *breaker, uint64_t *ret_wait);

/* From init_process: reads from now on. */
void ngx_http_travel_breakers_start(ngx_cycle_t *cycle);

#endif /* NGX_HTTP_TRAVEL_BREAKER_ROOM_H */
