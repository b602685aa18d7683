/* A topic, and what the two files of the hub share: one follows topics, one
 * tells their subscribers. */

#ifndef NGX_HTTP_TRAVEL_LIVE_TOPIC_H
#define NGX_HTTP_TRAVEL_LIVE_TOPIC_H

#include "ngx_http_travel_live_hub.h"
#include "../command/ngx_http_travel_command.h"

typedef enum {
    NGX_HTTP_TRAVEL_TOPIC_JOINING,
    NGX_HTTP_TRAVEL_TOPIC_PLACING,
    NGX_HTTP_TRAVEL_TOPIC_LIVE
} ngx_http_travel_topic_state_e;

struct ngx_http_travel_topic_s {
    ngx_http_travel_topic_t        *next;      /* of the chain */
    ngx_queue_t                     all;
    ngx_queue_t                     subs;
    ngx_http_travel_redis_op_t     *op;        /* asks the position, or reads */
    travel_stream_id_t              last;      /* valid when 'placed' */
    ngx_uint_t                      watchers;
    ngx_http_travel_topic_state_e   state;
    unsigned                        placed:1;
    unsigned                        again:1;   /* read once more */
    unsigned                        ripe:1;    /* is in that queue */
    unsigned                        pattern:1;
    unsigned                        late:1;    /* some have still to read */
    ngx_http_travel_line_t         *line;      /* NULL: it is a topic */
    ngx_http_travel_observer_t     *job;       /* in place of a history */
    ngx_str_t                       state_json;    /* of it, as it is told */
    u_char                          owner[TRAVEL_UUID_TEXT_LEN];
    ngx_http_travel_presence_t      presence;
    ngx_queue_t                     unsettled;
    ngx_str_t                       name;
    ngx_str_t                       key;       /* name with the prefix */
    u_char                          text[];
};


/* --- following (hub) ----------------------------------------------------- */

/* Appends the question for a history's next entries to the op. */
ngx_int_t ngx_http_travel_hub_range(ngx_http_travel_redis_op_t *op,
    const ngx_str_t *key, travel_stream_id_t after);
/* One of them; NGX_ERROR: it is none. */
ngx_int_t ngx_http_travel_hub_entry(const ngx_http_travel_reply_t *entry,
    travel_stream_id_t *ret_id, ngx_str_t *ret_json);
/* What could not be asked, by 'again' or 'late', is asked again soon. */
void ngx_http_travel_hub_ask_later(void);


/* --- jobs (hub_job) ------------------------------------------------------ */

/* Follows the job of the topic's name.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_travel_hub_job(ngx_http_travel_topic_t *t);
void ngx_http_travel_hub_job_gone(ngx_http_travel_topic_t *t);
/* Is it for this subscriber? */
ngx_uint_t ngx_http_travel_hub_job_of(const ngx_http_travel_topic_t *t,
    const ngx_http_travel_subscriber_t *sub);


/* --- telling (hub_tell) -------------------------------------------------- */

/* Those who are up to the topic's position: a gap, a message that moves it, one
 * that passes by. */
void ngx_http_travel_hub_gap(ngx_http_travel_topic_t *t, int64_t missed);
void ngx_http_travel_hub_deliver(ngx_http_travel_topic_t *t,
    const ngx_str_t *name, travel_stream_id_t id, const ngx_str_t *json);
void ngx_http_travel_hub_pass(ngx_http_travel_topic_t *t,
    const ngx_str_t *json);

/* The topic is live: those who have waited for that follow it from now on.
 * It is gone after this when none of them may. */
void ngx_http_travel_hub_settle_all(ngx_http_travel_topic_t *t);
/* Those who have still to read its history go on with that. */
void ngx_http_travel_hub_hurry(ngx_http_travel_topic_t *t);

#endif
