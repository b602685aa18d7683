/*
 * Places: names are gathered in a batch, which is asked for when it is full or
 * at the end of the turn, and freed with its answer.
 *
 * Without a link, or out of memory, nothing is known of them, and that is told
 * as well: who waits for a place finds it out in another way.
 */

#include "ngx_http_travel_live_places.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/live_message.h"

#define NGX_HTTP_TRAVEL_PLACES_BATCH  128
#define NGX_HTTP_TRAVEL_PLACES_ROOM   16384    /* bytes of names */

typedef struct {
    ngx_uint_t              n;
    size_t                  used;
    ngx_http_travel_mark_t  marks[NGX_HTTP_TRAVEL_PLACES_BATCH];
    const char             *names[NGX_HTTP_TRAVEL_PLACES_BATCH];
    size_t                  lens[NGX_HTTP_TRAVEL_PLACES_BATCH];
    char                    text[NGX_HTTP_TRAVEL_PLACES_ROOM];
} ngx_http_travel_places_t;


static void ngx_http_travel_places_due(ngx_event_t *ev);
static void ngx_http_travel_places_send(void);
static void ngx_http_travel_places_answered(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_places_tell(ngx_http_travel_places_t *places,
    const ngx_http_travel_reply_t *reply);


static ngx_http_travel_places_t  *ngx_http_travel_places;     /* to be asked */
static ngx_http_travel_place_pt   ngx_http_travel_places_told;
static ngx_event_t                ngx_http_travel_places_event;


void
ngx_http_travel_places_start(ngx_cycle_t *cycle,
    ngx_http_travel_place_pt told)
{
    ngx_http_travel_places_told = told;
    ngx_http_travel_places_event.handler = ngx_http_travel_places_due;
    ngx_http_travel_places_event.log = cycle->log;
}


void
ngx_http_travel_places_stop(void)
{
    if (ngx_http_travel_places_event.posted) {
        ngx_delete_posted_event(&ngx_http_travel_places_event);
    }

    ngx_free(ngx_http_travel_places);
    ngx_http_travel_places = NULL;
}


void
ngx_http_travel_places_ask(const ngx_http_travel_mark_t *mark,
    const ngx_str_t *channel)
{
    char                      *p;
    ngx_http_travel_places_t  *places = ngx_http_travel_places;

    static const ngx_str_t  none = ngx_string("");

    if (places != NULL
        && (places->n == NGX_HTTP_TRAVEL_PLACES_BATCH
            || places->used + channel->len > NGX_HTTP_TRAVEL_PLACES_ROOM))
    {
        ngx_http_travel_places_send();
        places = NULL;
    }

    if (places == NULL) {
        places = ngx_alloc(sizeof(ngx_http_travel_places_t), ngx_cycle->log);

        if (places == NULL) {
            ngx_http_travel_places_told(mark, channel, &none);
            return;
        }

        places->n = 0;
        places->used = 0;
        ngx_http_travel_places = places;
        ngx_post_event(&ngx_http_travel_places_event, &ngx_posted_events);
    }

    p = places->text + places->used;
    ngx_memcpy(p, channel->data, channel->len);

    places->marks[places->n] = *mark;
    places->names[places->n] = p;
    places->lens[places->n] = channel->len;
    places->used += channel->len;
    places->n++;
}


static void
ngx_http_travel_places_due(ngx_event_t *ev)
{
    (void) ev;

    if (ngx_http_travel_places != NULL) {
        ngx_http_travel_places_send();
    }
}


static void
ngx_http_travel_places_send(void)
{
    ngx_http_travel_places_t    *places = ngx_http_travel_places;
    ngx_http_travel_redis_op_t  *op;

    ngx_http_travel_places = NULL;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_places_answered, places);

    if (op == NULL
        || ngx_http_travel_redis_script(op, travel_live_positions, places->n,
                                        places->n, places->names,
                                        places->lens)
           != NGX_OK)
    {
        ngx_http_travel_places_tell(places, NULL);
    }
}


static void
ngx_http_travel_places_answered(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    (void) i;

    ngx_http_travel_places_tell(op->data, reply);
}


/* And frees them; NULL, or an error: nothing is known. */
static void
ngx_http_travel_places_tell(ngx_http_travel_places_t *places,
    const ngx_http_travel_reply_t *reply)
{
    ngx_str_t   name, position;
    ngx_uint_t  i, known;

    known = reply != NULL
            && ngx_http_travel_reply_type(reply)
               == NGX_HTTP_TRAVEL_REPLY_ARRAY
            && ngx_http_travel_reply_count(reply) == places->n;

    for (i = 0; i < places->n; i++) {
        name.data = (u_char *) places->names[i];
        name.len = places->lens[i];

        ngx_str_set(&position, "");

        if (known && ngx_http_travel_reply_type(
                         ngx_http_travel_reply_elt(reply, i))
                     == NGX_HTTP_TRAVEL_REPLY_STRING)
        {
            position = ngx_http_travel_reply_str(
                           ngx_http_travel_reply_elt(reply, i));
        }

        ngx_http_travel_places_told(&places->marks[i], &name, &position);
    }

    ngx_free(places);
}
