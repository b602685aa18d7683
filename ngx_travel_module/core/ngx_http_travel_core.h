/* What core's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_CORE_H
#define NGX_HTTP_TRAVEL_CORE_H

#include "ngx_http_travel.h"

/* zone */
char *ngx_http_travel_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* module: what a location serves, as Allow says it; NULL: not ours to say */
const ngx_str_t *ngx_http_travel_allowed(ngx_http_request_t *r);

/* satisfy: the last access handler of ours; core's module comes first, so that
 * it is that */
ngx_int_t ngx_http_travel_satisfy_init(ngx_conf_t *cf);

/* headers: the filter, before any other of ours is put before it: what is added
 * there is of this answer, and must not be kept with it */
void ngx_http_travel_headers_install(void);

/* module: called last of all, for nginx runs handlers from the last on */
ngx_int_t ngx_http_travel_before_content_init(ngx_conf_t *cf);

/* counter */
ngx_int_t ngx_http_travel_counters_init(ngx_conf_t *cf,
    ngx_http_travel_main_conf_t *tmcf);
ngx_int_t ngx_http_travel_counters_create(ngx_conf_t *cf);
void ngx_http_travel_counters_use(ngx_http_travel_main_conf_t *tmcf);

#endif
