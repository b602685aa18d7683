/*
 * A job's topic: what its hash says, told whenever that is something else.
 *
 *     {"type":"job.running","id":"<job>/<cursor>",
 *      "aggregate":{"type":"job","id":"<job>"},
 *      "data":{what GET /api/v1/jobs/<job> answers}}
 *
 * The command room looks at the hash (command.h); here its state becomes a
 * message, and its position the topic's.  It is kept for those who come later.
 */

#include "ngx_http_travel_live_topic.h"
#include "../../common/json_writer.h"

#define NGX_HTTP_TRAVEL_HUB_JOB_ROOM  512      /* all but the job itself */


static void ngx_http_travel_hub_job_seen(void *data,
    const ngx_http_travel_observed_t *seen);
static ngx_int_t ngx_http_travel_hub_job_state(ngx_http_travel_topic_t *t,
    const ngx_http_travel_observed_t *seen);
static void ngx_http_travel_hub_job_refuse(ngx_http_travel_topic_t *t);


ngx_int_t
ngx_http_travel_hub_job(ngx_http_travel_topic_t *t)
{
    ngx_str_t  id;

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE)) {
        return NGX_ERROR;
    }

    id.data = t->name.data + 4;
    id.len = t->name.len - 4;

    t->job = ngx_http_travel_job_observe(&id, ngx_http_travel_hub_job_seen, t);

    return t->job != NULL ? NGX_OK : NGX_ERROR;
}


void
ngx_http_travel_hub_job_gone(ngx_http_travel_topic_t *t)
{
    if (t->job != NULL) {
        ngx_http_travel_job_unobserve(t->job);
        t->job = NULL;
    }

    ngx_free(t->state_json.data);
}


ngx_uint_t
ngx_http_travel_hub_job_of(const ngx_http_travel_topic_t *t,
    const ngx_http_travel_subscriber_t *sub)
{
    return t->placed
           && (sub->owner == NULL
               || ngx_memcmp(sub->owner, t->owner, TRAVEL_UUID_TEXT_LEN) == 0);
}


static void
ngx_http_travel_hub_job_seen(void *data,
    const ngx_http_travel_observed_t *seen)
{
    ngx_http_travel_topic_t  *t = data;

    if (seen == NULL) {
        ngx_http_travel_hub_job_refuse(t);
        return;
    }

    if (ngx_http_travel_hub_job_state(t, seen) != NGX_OK) {
        return;
    }

    if (t->state == NGX_HTTP_TRAVEL_TOPIC_LIVE) {
        ngx_http_travel_hub_deliver(t, &t->name, t->last, &t->state_json);
        return;
    }

    t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;
    ngx_http_travel_hub_settle_all(t);
}


/* As it is from now on. */
static ngx_int_t
ngx_http_travel_hub_job_state(ngx_http_travel_topic_t *t,
    const ngx_http_travel_observed_t *seen)
{
    char                  type[32], id[TRAVEL_LIVE_TOPIC_MAX
                                       + NGX_HTTP_TRAVEL_CURSOR_MAX];
    size_t                len, room;
    ngx_str_t             text;
    travel_str_t          job;
    travel_json_writer_t  w;

    room = NGX_HTTP_TRAVEL_HUB_JOB_ROOM + seen->json.len;
    text.data = ngx_alloc(room, ngx_cycle->log);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    job.data = (char *) t->name.data + 4;
    job.len = t->name.len - 4;

    (void) ngx_snprintf((u_char *) type, sizeof(type), "job.%s%Z",
                        seen->status);
    ngx_memcpy(id, job.data, job.len);
    len = job.len;
    id[len++] = '/';
    len += travel_stream_id_format(id + len, seen->position);

    travel_json_writer_init(&w, (char *) text.data, room);
    travel_json_object(&w);
    travel_json_member_cstring(&w, "type", type);
    travel_json_member_string(&w, "id", (travel_str_t) { id, len });
    travel_json_key(&w, TRAVEL_STR("aggregate"));
    travel_json_object(&w);
    travel_json_member_cstring(&w, "type", "job");
    travel_json_member_string(&w, "id", job);
    travel_json_object_end(&w);
    travel_json_key(&w, TRAVEL_STR("data"));
    travel_json_raw(&w, ngx_http_travel_view(&seen->json));
    travel_json_object_end(&w);
    text.len = travel_json_writer_finish(&w);

    if (text.len == 0) {
        ngx_free(text.data);
        return NGX_ERROR;
    }

    ngx_free(t->state_json.data);
    t->state_json = text;
    t->last = seen->position;
    t->placed = 1;

    /* any other is no user's who may watch by being the owner */

    ngx_memzero(t->owner, sizeof(t->owner));

    if (seen->owner.len == sizeof(t->owner)) {
        ngx_memcpy(t->owner, seen->owner.data, sizeof(t->owner));
    }

    return NGX_OK;
}


/* Nobody may watch what is not there; the topic goes with the last of them. */
static void
ngx_http_travel_hub_job_refuse(ngx_http_travel_topic_t *t)
{
    t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;
    ngx_http_travel_hub_settle_all(t);
}
