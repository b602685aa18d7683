/*
 * Watching a descriptor that a library owns, on nginx's event loop.
 *
 * Level-triggered in every add and del: hiredis reads 16 KB and libpq one
 * recv() per call, and neither goes on until EAGAIN, so an edge would be lost.
 * The "active" bits belong to nginx's event module; nothing here writes them.
 */

#include "ngx_http_travel_net.h"


ngx_connection_t *
ngx_http_travel_fd_open(int fd, void *data, ngx_event_handler_pt read,
    ngx_event_handler_pt write)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    c->data = data;
    c->pool = NULL;

    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->read->handler = read;
    c->write->handler = write;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    return c;
}


ngx_int_t
ngx_http_travel_fd_read(ngx_connection_t *c, ngx_uint_t on)
{
    if (c->read->active == on) {
        return NGX_OK;
    }

    return on ? ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT)
              : ngx_del_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
}


ngx_int_t
ngx_http_travel_fd_write(ngx_connection_t *c, ngx_uint_t on)
{
    if (c->write->active == on) {
        return NGX_OK;
    }

    return on ? ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT)
              : ngx_del_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
}


void
ngx_http_travel_fd_release(ngx_connection_t **pc, ngx_uint_t closed)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = *pc;
    *pc = NULL;

    if (c == NULL) {
        return;
    }

    /* the kernel forgot a closed descriptor, or gave its number away */

    flags = closed ? NGX_CLOSE_EVENT : NGX_LEVEL_EVENT;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;
}
