/*
 * Warm-up: answers that are asked for before anybody asks.
 *
 *     travel_cache_warm [URI ...] [list=FILE] [host=NAME] [rate=Nr/s];
 *
 * in a server block.  Each URI is a request of the node to its own server
 * block, through a pair of sockets instead of a listening one: it passes all
 * that a client's request passes, but limits, and its answer is thrown away.
 * One nginx worker of the node asks (the first; its successor, should it die),
 * one request at a time, at most 'rate' a second; what fails (an error of ours,
 * or none at all) is tried again, twice, at the end.
 *
 * A round begins when the node may keep answers (contracts section 4), and
 * again after everything was lost: a gap in the invalidation stream, another
 * timeline, a purge of all.
 *
 * All state is the one nginx worker's.  'warm' walks
 *
 *   IDLE   a look every second: is a round due?
 *   ROUND  the timer asks the next URI; its answer's end sets the timer again
 */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_inner.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_WARM_URIS      10000
#define NGX_HTTP_TRAVEL_WARM_URI_MAX   2048
#define NGX_HTTP_TRAVEL_WARM_FILE_MAX  (8 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_WARM_RATE_MAX  1000    /* requests a second */
#define NGX_HTTP_TRAVEL_WARM_LOOK      1000    /* ms */
#define NGX_HTTP_TRAVEL_WARM_TIMEOUT   30000   /* ms, for an answer */
#define NGX_HTTP_TRAVEL_WARM_TRIES     3


struct ngx_http_travel_warm_conf_s {
    ngx_array_t                     uris;      /* ngx_str_t */
    ngx_msec_t                      interval;
    ngx_str_t                       host;
    ngx_http_travel_door_t          door;
};

typedef enum {
    NGX_HTTP_TRAVEL_WARM_IDLE,
    NGX_HTTP_TRAVEL_WARM_ROUND
} ngx_http_travel_warm_state_e;

typedef struct {
    ngx_array_t                    *servers;   /* conf * */
    ngx_http_travel_warm_state_e    state;
    ngx_event_t                     timer;

    uint64_t                        generation;  /* of the last round */
    travel_stream_id_t              emptied;     /* purge of all, then */
    unsigned                        done:1;      /* there was a round */

    ngx_uint_t                      server;      /* the next URI */
    ngx_uint_t                      uri;
    ngx_uint_t                      pass;
    ngx_uint_t                      failed;      /* in this pass */
    ngx_uint_t                      good;
    ngx_msec_t                      began;
    ngx_msec_t                      asked;

    u_char                         *missing;     /* per URI, all servers' */
    size_t                          total;       /* of them */
    ngx_uint_t                      number;      /* of the URI under way */
} ngx_http_travel_warm_t;


static ngx_http_travel_warm_conf_t *ngx_http_travel_warm_create(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf);
static char *ngx_http_travel_warm_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_warm_lines(ngx_conf_t *cf, ngx_str_t *name,
    u_char *p, u_char *last, ngx_http_travel_warm_conf_t *wcf);
static char *ngx_http_travel_warm_uri(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_http_travel_warm_conf_t *wcf);
static char *ngx_http_travel_warm_given(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_warm_rate(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);

static void ngx_http_travel_warm_server(ngx_http_travel_warm_conf_t *wcf);
static void ngx_http_travel_warm_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_travel_warm_due(void);
static void ngx_http_travel_warm_begin(void);
static void ngx_http_travel_warm_next(void);
static ngx_int_t ngx_http_travel_warm_find(void);
static void ngx_http_travel_warm_over(void);
static void ngx_http_travel_warm_told(ngx_uint_t good);

static ngx_int_t ngx_http_travel_warm_ask(ngx_http_travel_warm_conf_t *wcf,
    ngx_str_t *uri);
static void ngx_http_travel_warm_answered(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);


static ngx_http_travel_warm_t  warm;
static ngx_connection_t        warm_dumb = { .fd = (ngx_socket_t) -1 };
                               /* nginx logs a timer by it */

static const char  warm_request[] =
    "GET %V HTTP/1.0\r\n"
    "Host: %V\r\n"
    "User-Agent: ngx_travel warm-up\r\n"
    "\r\n";


/* --- configuration ------------------------------------------------------- */

static const ngx_http_travel_param_t  ngx_http_travel_cache_warm_params[] = {

    { "list", ngx_http_travel_warm_file,
      0,
      NULL, NULL, NULL, NULL, 1 },

    { "host", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_warm_conf_t, host),
      NULL, NULL, NULL, NULL, 0 },

    { "rate", ngx_http_travel_warm_rate,
      offsetof(ngx_http_travel_warm_conf_t, interval),
      "1r/s", "1000r/s", "20r/s", NULL, 0 },

    { "", ngx_http_travel_warm_given,
      0,
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_warm_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_cache_main_conf_t  *cmcf = conf;

    ngx_http_travel_warm_conf_t  *wcf;

    wcf = ngx_http_travel_warm_create(cf, cmcf);

    if (wcf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (wcf->uris.nelts != 0) {
        return "is duplicate";
    }

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_cache_warm_params, 1,
                                     wcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (wcf->uris.nelts == 0) {
        return "names no URI: add some, or list=FILE with one on each line";
    }

    return NGX_CONF_OK;
}


/* This server block's; made when it has none. */
static ngx_http_travel_warm_conf_t *
ngx_http_travel_warm_create(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    ngx_uint_t                     i;
    ngx_http_core_srv_conf_t      *cscf;
    ngx_http_travel_warm_conf_t  **wcf;

    if (cmcf->warm.elts == NULL
        && ngx_array_init(&cmcf->warm, cf->pool, 2, sizeof(*wcf)) != NGX_OK)
    {
        return NULL;
    }

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    wcf = cmcf->warm.elts;

    for (i = 0; i < cmcf->warm.nelts; i++) {
        if (wcf[i]->door.addr.conf.default_server == cscf) {
            return wcf[i];
        }
    }

    wcf = ngx_array_push(&cmcf->warm);
    if (wcf == NULL) {
        return NULL;
    }

    *wcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_warm_conf_t));

    if (*wcf == NULL
        || ngx_array_init(&(*wcf)->uris, cf->pool, 16, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NULL;
    }

    ngx_http_travel_door(cf, &(*wcf)->door);
    (*wcf)->door.name = ngx_http_travel_own;

    return *wcf;
}


static char *
ngx_http_travel_warm_rate(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_int_t  n;

    (void) cf;

    n = NGX_ERROR;

    if (value->len > 3
        && ngx_strncmp(value->data + value->len - 3, "r/s", 3) == 0)
    {
        n = ngx_atoi(value->data, value->len - 3);
    }

    if (n < 1 || n > NGX_HTTP_TRAVEL_WARM_RATE_MAX) {
        return "must be from 1r/s to 1000r/s";
    }

    *(ngx_msec_t *) ((char *) conf + param->offset) = 1000 / n;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_warm_given(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    (void) param;

    return value->data[0] == '/' ? ngx_http_travel_warm_uri(cf, value, conf)
                                 : "must be a URI (\"/...\")";
}


static char *
ngx_http_travel_warm_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf)
{
    ngx_http_travel_warm_conf_t  *wcf = conf;

    char        *rc;
    u_char      *p;
    size_t       size;
    ssize_t      n;
    ngx_fd_t     fd;
    ngx_file_t   file;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = *name;
    file.log = cf->log;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE
        || ngx_fd_info(fd, &file.info) == NGX_FILE_ERROR)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_cache_warm\" cannot read \"%V\": list= "
                           "must be a file with a URI on each line", name);

        if (fd != NGX_INVALID_FILE) {
            ngx_close_file(fd);
        }

        return NGX_CONF_ERROR;
    }

    file.fd = fd;
    size = ngx_file_size(&file.info);
    rc = NGX_CONF_ERROR;

    if (size > NGX_HTTP_TRAVEL_WARM_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache_warm\" list \"%V\" is longer than "
                           "8 MB", name);

    } else {
        p = ngx_pnalloc(cf->pool, size + 1);
        n = p ? ngx_read_file(&file, p, size, 0) : NGX_ERROR;

        if (n == (ssize_t) size) {
            rc = ngx_http_travel_warm_lines(cf, name, p, p + size, wcf);
        }
    }

    ngx_close_file(fd);

    return rc;
}


/* A URI on each line; what is empty or begins with "#" says nothing. */
static char *
ngx_http_travel_warm_lines(ngx_conf_t *cf, ngx_str_t *name, u_char *p,
    u_char *last, ngx_http_travel_warm_conf_t *wcf)
{
    u_char      *end;
    ngx_str_t    uri;
    ngx_uint_t   line;

    for (line = 1; p < last; line++, p = end + 1) {

        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        uri.data = p;
        uri.len = end - p;

        while (uri.len && uri.data[uri.len - 1] <= ' ') {
            uri.len--;
        }

        if (uri.len == 0 || uri.data[0] == '#') {
            continue;
        }

        if (ngx_http_travel_warm_uri(cf, &uri, wcf) != NGX_CONF_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "... line %ui of \"%V\"", line, name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_warm_uri(ngx_conf_t *cf, ngx_str_t *uri,
    ngx_http_travel_warm_conf_t *wcf)
{
    size_t      i;
    ngx_str_t  *slot;

    for (i = 0; i < uri->len; i++) {
        if (uri->data[i] <= ' ' || uri->data[i] >= 0x7f
            || uri->data[i] == '#')
        {
            break;
        }
    }

    if (uri->data[0] != '/' || i < uri->len
        || uri->len > NGX_HTTP_TRAVEL_WARM_URI_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache_warm\": \"%V\" is no URI to ask "
                           "for: it begins with \"/\", is escaped, and has at "
                           "most %d bytes", uri, NGX_HTTP_TRAVEL_WARM_URI_MAX);
        return NGX_CONF_ERROR;
    }

    if (wcf->uris.nelts == NGX_HTTP_TRAVEL_WARM_URIS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache_warm\" takes at most %d URIs",
                           NGX_HTTP_TRAVEL_WARM_URIS);
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(&wcf->uris);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = *uri;

    return NGX_CONF_OK;
}


/* --- rounds -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_warm_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    ngx_uint_t                     i;
    ngx_http_travel_warm_conf_t  **wcf;

    if (cmcf->warm.nelts == 0 || ngx_worker != 0) {
        return NGX_OK;
    }

    ngx_memzero(&warm, sizeof(ngx_http_travel_warm_t));
    warm.servers = &cmcf->warm;
    wcf = warm.servers->elts;

    for (i = 0; i < warm.servers->nelts; i++) {
        ngx_http_travel_warm_server(wcf[i]);
        warm.total += wcf[i]->uris.nelts;
    }

    warm.missing = ngx_pcalloc(cycle->pool, warm.total);
    if (warm.missing == NULL) {
        return NGX_ERROR;
    }

    warm.timer.handler = ngx_http_travel_warm_timer;
    warm.timer.data = &warm_dumb;
    warm.timer.log = cycle->log;
    warm.timer.cancelable = 1;

    ngx_add_timer(&warm.timer, 1);

    return NGX_OK;
}


/* What is only known when the configuration is complete. */
static void
ngx_http_travel_warm_server(ngx_http_travel_warm_conf_t *wcf)
{
    ngx_http_core_srv_conf_t  *cscf;

    cscf = wcf->door.addr.conf.default_server;

    if (wcf->host.len == 0) {
        wcf->host = cscf->server_name;

        if (wcf->host.len == 0 || wcf->host.data[0] == '_'
            || ngx_strlchr(wcf->host.data, wcf->host.data + wcf->host.len, '*')
               != NULL
            || wcf->host.data[0] == '~')
        {
            ngx_str_set(&wcf->host, "localhost");
        }
    }
}


static void
ngx_http_travel_warm_timer(ngx_event_t *ev)
{
    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    switch (warm.state) {

    case NGX_HTTP_TRAVEL_WARM_IDLE:
        if (ngx_http_travel_warm_due()) {
            ngx_http_travel_warm_begin();
            ngx_http_travel_warm_next();
            break;
        }

        ngx_add_timer(ev, NGX_HTTP_TRAVEL_WARM_LOOK);
        break;

    case NGX_HTTP_TRAVEL_WARM_ROUND:
        ngx_http_travel_warm_next();
        break;
    }
}


/* May answers be kept now, and were those of the last round lost? */
static ngx_uint_t
ngx_http_travel_warm_due(void)
{
    travel_stream_id_t            emptied;
    ngx_http_travel_knowledge_t   look;

    ngx_memzero(&look, sizeof(ngx_http_travel_knowledge_t));

    if (ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE)) {
        ngx_http_travel_node_look(&look);

        if (!look.settled || !ngx_http_travel_node_hearing(&look)) {
            return 0;
        }
    }

    ngx_http_travel_purge_emptied(&emptied);

    if (warm.done && warm.generation == look.generation
        && travel_stream_id_cmp(warm.emptied, emptied) == 0)
    {
        return 0;
    }

    warm.generation = look.generation;
    warm.emptied = emptied;

    return 1;
}


static void
ngx_http_travel_warm_begin(void)
{
    ngx_memset(warm.missing, 1, warm.total);

    warm.state = NGX_HTTP_TRAVEL_WARM_ROUND;
    warm.server = 0;
    warm.uri = 0;
    warm.number = 0;
    warm.pass = 1;
    warm.failed = 0;
    warm.good = 0;
    warm.began = ngx_current_msec;
}


static void
ngx_http_travel_warm_next(void)
{
    ngx_str_t                    *uri;
    ngx_http_travel_warm_conf_t  *wcf;

    if (ngx_http_travel_warm_find() != NGX_OK) {
        ngx_http_travel_warm_over();
        return;
    }

    wcf = ((ngx_http_travel_warm_conf_t **)
           warm.servers->elts)[warm.server];
    uri = (ngx_str_t *) wcf->uris.elts + warm.uri;

    warm.asked = ngx_current_msec;

    if (ngx_http_travel_warm_ask(wcf, uri) != NGX_OK) {
        ngx_http_travel_warm_told(0);
    }
}


/* The next URI of this pass, or the first of another; NGX_DONE: no more. */
static ngx_int_t
ngx_http_travel_warm_find(void)
{
    ngx_http_travel_warm_conf_t  **wcf;

    wcf = warm.servers->elts;

    for ( ;; ) {

        for ( /* void */ ; warm.server < warm.servers->nelts; warm.server++) {

            for ( /* void */ ; warm.uri < wcf[warm.server]->uris.nelts;
                 warm.uri++, warm.number++)
            {
                if (warm.missing[warm.number]) {
                    return NGX_OK;
                }
            }

            warm.uri = 0;
        }

        if (warm.failed == 0 || warm.pass == NGX_HTTP_TRAVEL_WARM_TRIES) {
            return NGX_DONE;
        }

        warm.server = 0;
        warm.uri = 0;
        warm.number = 0;
        warm.failed = 0;
        warm.pass++;
    }
}


static void
ngx_http_travel_warm_over(void)
{
    ngx_uint_t  level;

    warm.done = 1;
    warm.state = NGX_HTTP_TRAVEL_WARM_IDLE;

    level = warm.failed ? NGX_LOG_WARN : NGX_LOG_NOTICE;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "travel_cache_warm: %ui URIs answered, %ui not, in %M ms",
                  warm.good, warm.failed, ngx_current_msec - warm.began);

    ngx_add_timer(&warm.timer, NGX_HTTP_TRAVEL_WARM_LOOK);
}


/* The URI under way has had its answer, or will not have one. */
static void
ngx_http_travel_warm_told(ngx_uint_t good)
{
    ngx_msec_t                          interval, spent;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_cache_module);
    interval = ((ngx_http_travel_warm_conf_t **)
                warm.servers->elts)[warm.server]->interval;

    if (good) {
        warm.good++;
        warm.missing[warm.number] = 0;

    } else {
        warm.failed++;
    }

    ngx_http_travel_count(good ? cmcf->warmed : cmcf->unwarmed, 1);

    warm.uri++;
    warm.number++;

    spent = ngx_current_msec - warm.asked;

    ngx_add_timer(&warm.timer, spent < interval ? interval - spent : 1);
}


/* --- a request ----------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_warm_ask(ngx_http_travel_warm_conf_t *wcf, ngx_str_t *uri)
{
    ngx_str_t               request;
    ngx_http_travel_peer_t  peer;

    request.data = ngx_alloc(uri->len + wcf->host.len + sizeof(warm_request),
                             ngx_cycle->log);
    if (request.data == NULL) {
        return NGX_ERROR;
    }

    request.len = ngx_sprintf(request.data, warm_request, uri, &wcf->host)
                  - request.data;

    ngx_memzero(&peer, sizeof(ngx_http_travel_peer_t));
    peer.sockaddr.sockaddr.sa_family = AF_UNIX;
    peer.socklen = sizeof(peer.sockaddr.sockaddr.sa_family);
    peer.len = sizeof("unix:") - 1;
    ngx_memcpy(peer.text, "unix:", peer.len);

    return ngx_http_travel_inner(&wcf->door, &peer, &request,
                                 NGX_HTTP_TRAVEL_WARM_TIMEOUT,
                                 ngx_http_travel_warm_answered, NULL)
           ? NGX_OK : NGX_ERROR;
}


/* Only the status is looked at. */
static void
ngx_http_travel_warm_answered(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    (void) data;
    (void) inner;
    (void) body;

    ngx_http_travel_warm_told(status / 100 == 2);
}
