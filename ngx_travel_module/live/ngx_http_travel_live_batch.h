/*
 * Many small writes by one system call, where the kernel has io_uring and lets
 * us: of what ten thousand calls of send() cost, a quarter and more is to call.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_BATCH_H
#define NGX_HTTP_TRAVEL_LIVE_BATCH_H

#include "../core/ngx_http_travel.h"

#define NGX_HTTP_TRAVEL_BATCH_MAX  256

typedef struct {
    int                     fd;        /* does not block */
    const void             *data;
    size_t                  len;
    ssize_t                 sent;      /* bytes; 0: none, find out by send();
                                          NGX_ERROR: nobody knows */
} ngx_http_travel_write_t;

/* Can it be done?  Finds out when it is first asked. */
ngx_uint_t ngx_http_travel_batch_possible(void);
/* BATCH_MAX at most; all are done when it returns. */
void ngx_http_travel_batch_send(ngx_http_travel_write_t *writes, ngx_uint_t n);
void ngx_http_travel_batch_stop(void);

#endif
