/*
 * What one node has learnt of a user, told to the others: travel_risk_shared.
 *
 * A stream of the cache role, "travel:sightings", capped.  What is told is a
 * place, a country or a device that is new, or that he is still there, at most
 * once a second and at least once a minute per user (sightings.c keeps the
 * time), behind the client's back: a request never waits for it, and what
 * cannot be written now is not told.  One nginx worker of each node reads the
 * stream, from its beginning when it starts; what it says twice, or late, does
 * no harm (travel_risk_hear()).  Refusals of addresses stay on their node.
 *
 * A device is known by a hash under a key that all nodes have.
 */

#include "ngx_http_travel_risk.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/hash.h"
#include "../../common/risk_news.h"

#define NGX_HTTP_TRAVEL_SHARED_SIGHTINGS  "travel:sightings"
#define NGX_HTTP_TRAVEL_SHARED_KEPT       "65536"
#define NGX_HTTP_TRAVEL_SHARED_PAGE       "1000"
#define NGX_HTTP_TRAVEL_SHARED_UNTOLD     256      /* unanswered, per worker */


static void ngx_http_travel_risk_told(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_risk_on_up(void *data, ngx_str_t *after);
static void ngx_http_travel_risk_on_start(void *data, ngx_str_t *after);
static void ngx_http_travel_risk_page(const ngx_str_t *from);
static void ngx_http_travel_risk_paged(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_risk_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_risk_heard(const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_risk_on_batch(void *data, ngx_uint_t newest);
static travel_str_t ngx_http_travel_risk_secret(void);


static ngx_http_travel_risk_main_conf_t  *ngx_http_travel_risk_shared_conf;
static ngx_http_travel_redis_tail_t       ngx_http_travel_risk_tail;
static u_char                             ngx_http_travel_risk_after[64];
static size_t                             ngx_http_travel_risk_after_len;
static ngx_uint_t                         ngx_http_travel_risk_untold;


/* What all nodes must have in common. */
ngx_int_t
ngx_http_travel_risk_shared_init(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf)
{
    if (!rmcf->shared) {
        return NGX_OK;
    }

    if (!ngx_http_travel_redis_declared(cf, NGX_HTTP_TRAVEL_REDIS_CACHE)
        || ngx_http_travel_main_conf(cf)->consistency_secret.len == 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_risk_shared on\" needs \"travel_redis cache\" "
                      "and \"travel_consistency_key\", the same on every "
                      "node");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_risk_shared_start(ngx_cycle_t *cycle,
    ngx_http_travel_risk_main_conf_t *rmcf)
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    ngx_int_t     rc;
    travel_str_t  parts[2];

    if (!rmcf->shared || rmcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_travel_risk_shared_conf = rmcf;

    parts[0] = TRAVEL_STR("device");
    parts[1] = ngx_http_travel_risk_secret();

    if (travel_sha256_parts(md, parts, 2) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&rmcf->device, md, sizeof(rmcf->device));

    if (ngx_process == NGX_PROCESS_WORKER && ngx_worker != 0) {
        return NGX_OK;
    }

    ngx_str_set(&ngx_http_travel_risk_tail.stream,
                NGX_HTTP_TRAVEL_SHARED_SIGHTINGS);
    ngx_http_travel_risk_tail.on_up = ngx_http_travel_risk_on_up;
    ngx_http_travel_risk_tail.on_start = ngx_http_travel_risk_on_start;
    ngx_http_travel_risk_tail.on_entry = ngx_http_travel_risk_on_entry;
    ngx_http_travel_risk_tail.on_batch = ngx_http_travel_risk_on_batch;

    rc = ngx_http_travel_redis_tail(cycle, NGX_HTTP_TRAVEL_REDIS_CACHE,
                                    &ngx_http_travel_risk_tail);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static travel_str_t
ngx_http_travel_risk_secret(void)
{
    ngx_http_travel_main_conf_t  *mcf;

    mcf = ngx_http_travel_cycle_conf((ngx_cycle_t *) ngx_cycle);

    return ngx_http_travel_view(&mcf->consistency_secret);
}


/* --- telling ------------------------------------------------------------- */

void
ngx_http_travel_risk_tell(const travel_uuid_t *user,
    const travel_risk_sighting_t *sighting)
{
    char                         bytes[TRAVEL_RISK_NEWS_LEN];
    size_t                       len[8];
    ngx_uint_t                   i, sent;
    ngx_http_travel_redis_op_t  *op;
    const char                  *argv[8] = { "XADD",
                                     NGX_HTTP_TRAVEL_SHARED_SIGHTINGS,
                                     "MAXLEN", "~",
                                     NGX_HTTP_TRAVEL_SHARED_KEPT, "*", "s",
                                     "" };

    sent = 0;

    if (ngx_http_travel_risk_untold < NGX_HTTP_TRAVEL_SHARED_UNTOLD
        && ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE)
        && travel_risk_news_encode(bytes, user, sighting,
                                   ngx_http_travel_risk_secret())
           == TRAVEL_OK)
    {
        op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                      ngx_http_travel_risk_told, NULL);

        for (i = 0; i < 7; i++) {
            len[i] = ngx_strlen(argv[i]);
        }

        argv[7] = bytes;
        len[7] = sizeof(bytes);

        sent = op != NULL
               && ngx_http_travel_redis_command(op, 8, argv, len) == NGX_OK;
    }

    ngx_http_travel_risk_untold += sent;
    ngx_http_travel_count(ngx_http_travel_risk_shared_conf->told[
                              sent ? NGX_HTTP_TRAVEL_RISK_SENT
                                   : NGX_HTTP_TRAVEL_RISK_DROPPED], 1);
}


static void
ngx_http_travel_risk_told(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    (void) op;
    (void) i;
    (void) reply;

    ngx_http_travel_risk_untold--;
}


/* --- hearing ------------------------------------------------------------- */

static void
ngx_http_travel_risk_on_up(void *data, ngx_str_t *after)
{
    (void) data;

    after->data = ngx_http_travel_risk_after;
    after->len = ngx_http_travel_risk_after_len;

    if (after->len == 0) {
        ngx_str_set(after, "0-0");
    }
}


/* It does not go on where this process stood, or this is its first look: all
 * that is there is read, in pages, beside what comes from now on. */
static void
ngx_http_travel_risk_on_start(void *data, ngx_str_t *after)
{
    static ngx_str_t  first = ngx_string("-");

    (void) data;
    (void) after;

    ngx_http_travel_risk_page(&first);
}


static void
ngx_http_travel_risk_page(const ngx_str_t *from)
{
    size_t                       len[6];
    ngx_uint_t                   i;
    ngx_http_travel_redis_op_t  *op;
    const char                  *argv[6] = { "XRANGE",
                                     NGX_HTTP_TRAVEL_SHARED_SIGHTINGS, "",
                                     "+", "COUNT", NGX_HTTP_TRAVEL_SHARED_PAGE
                                 };

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_risk_paged, NULL);
    if (op == NULL) {
        return;
    }

    for (i = 0; i < 6; i++) {
        len[i] = ngx_strlen(argv[i]);
    }

    argv[2] = (char *) from->data;
    len[2] = from->len;

    /* without a link the others are not known: each for itself */
    (void) ngx_http_travel_redis_command(op, 6, argv, len);
}


static void
ngx_http_travel_risk_paged(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    u_char                          text[64];
    ngx_str_t                       id, next;
    ngx_uint_t                      n;
    const ngx_http_travel_reply_t  *entry;

    (void) op;
    (void) i;

    n = reply ? ngx_http_travel_reply_count(reply) : 0;
    ngx_str_null(&id);

    for (i = 0; i < n; i++) {
        entry = ngx_http_travel_reply_elt(reply, i);
        id = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(entry, 0));
        ngx_http_travel_risk_heard(ngx_http_travel_reply_elt(entry, 1));
    }

    if (n > 1 && id.len < sizeof(text)) {
        next.data = text;
        next.len = ngx_sprintf(text, "(%V", &id) - text;
        ngx_http_travel_risk_page(&next);
    }
}


static void
ngx_http_travel_risk_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields)
{
    (void) data;

    if (id->len <= sizeof(ngx_http_travel_risk_after)) {
        ngx_memcpy(ngx_http_travel_risk_after, id->data, id->len);
        ngx_http_travel_risk_after_len = id->len;
    }

    ngx_http_travel_risk_heard(fields);
}


static void
ngx_http_travel_risk_heard(const ngx_http_travel_reply_t *fields)
{
    ngx_str_t                          bytes;
    travel_uuid_t                      user;
    travel_risk_sighting_t             sighting;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rmcf = ngx_http_travel_risk_shared_conf;
    ngx_str_null(&bytes);

    if (ngx_http_travel_reply_count(fields) == 2) {
        bytes = ngx_http_travel_reply_str(
                                     ngx_http_travel_reply_elt(fields, 1));
    }

    if (travel_risk_news_decode(&user, &sighting, ngx_http_travel_view(&bytes),
                                ngx_http_travel_risk_secret())
        != TRAVEL_OK
        || sighting.now > ngx_time() + NGX_HTTP_TRAVEL_RISK_SKEW)
    {
        ngx_http_travel_count(rmcf->told[NGX_HTTP_TRAVEL_RISK_REFUSED], 1);
        return;
    }

    ngx_http_travel_sightings_heard(rmcf->zone, &user, &sighting);
    ngx_http_travel_count(rmcf->told[NGX_HTTP_TRAVEL_RISK_HEARD], 1);
}


static void
ngx_http_travel_risk_on_batch(void *data, ngx_uint_t newest)
{
    /* each entry has been told already */

    (void) data;
    (void) newest;
}
