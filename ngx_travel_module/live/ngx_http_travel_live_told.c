/*
 * What is told of a topic, as JSON, the same over every transport:
 *
 *   {"type":"subscribed","topic":T,"cursor":C}
 *   {"type":"gap","topic":T,"missed":N|null,"cursor":C}
 *   {"type":"message","topic":T,"cursor":C,"message":{...}}
 *   {"type":"error","code":CODE,"message":TEXT[,"topic":T]}
 *   {"type":"bye","code":N,"reconnect_in":MS,"cursors":{T:C, ...}}
 *
 * A message is written once per nginx worker and form, whoever is sent it.
 */

#include "ngx_http_travel_live_hub.h"
#include "../graphql/ngx_http_travel_graphql.h"
#include "../../common/json_writer.h"


static ngx_http_travel_text_t *ngx_http_travel_told_frame(
    const ngx_http_travel_text_t *json);
static ngx_http_travel_text_t *ngx_http_travel_told_event(
    const ngx_http_travel_text_t *json, const travel_stream_id_t *id);


static void
ngx_http_travel_told_cursor(travel_json_writer_t *json, travel_stream_id_t id)
{
    char    text[NGX_HTTP_TRAVEL_CURSOR_MAX];
    size_t  len;

    len = travel_stream_id_format(text, id);
    travel_json_string(json, (travel_str_t) { text, len });
}


size_t
ngx_http_travel_told_ready(const ngx_http_travel_subscriber_t *sub, char *dst)
{
    travel_json_writer_t  json;

    travel_json_writer_init(&json, dst, NGX_HTTP_TRAVEL_TOLD_MAX);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "subscribed");
    travel_json_member_string(&json, "topic", ngx_http_travel_view(
                                  ngx_http_travel_subscribed(sub)));
    travel_json_key(&json, TRAVEL_STR("cursor"));
    ngx_http_travel_told_cursor(&json, sub->pos);
    travel_json_object_end(&json);

    return travel_json_writer_finish(&json);
}


size_t
ngx_http_travel_told_gap(const ngx_http_travel_subscriber_t *sub,
    int64_t missed, char *dst)
{
    travel_json_writer_t  json;

    travel_json_writer_init(&json, dst, NGX_HTTP_TRAVEL_TOLD_MAX);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "gap");
    travel_json_member_string(&json, "topic", ngx_http_travel_view(
                                  ngx_http_travel_subscribed(sub)));
    travel_json_key(&json, TRAVEL_STR("missed"));

    if (missed >= 0) {
        travel_json_int(&json, missed);
    } else {
        travel_json_null(&json);
    }

    travel_json_key(&json, TRAVEL_STR("cursor"));
    ngx_http_travel_told_cursor(&json, sub->pos);
    travel_json_object_end(&json);

    return travel_json_writer_finish(&json);
}


size_t
ngx_http_travel_told_error(const char *code, const char *message,
    const ngx_str_t *topic, char *dst)
{
    travel_json_writer_t  json;

    travel_json_writer_init(&json, dst, NGX_HTTP_TRAVEL_TOLD_MAX);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "error");
    travel_json_member_cstring(&json, "code", code);
    travel_json_member_cstring(&json, "message", message);

    if (topic != NULL && topic->len > 0
        && topic->len <= TRAVEL_LIVE_TOPIC_MAX)
    {
        travel_json_member_string(&json, "topic", ngx_http_travel_view(topic));
    }

    travel_json_object_end(&json);

    return travel_json_writer_finish(&json);
}


size_t
ngx_http_travel_told_refused(const ngx_http_travel_subscriber_t *sub,
    char *dst)
{
    return ngx_http_travel_told_error("RESOURCE_NOT_FOUND",
                                      NGX_HTTP_TRAVEL_TOLD_REFUSED,
                                      ngx_http_travel_subscribed(sub), dst);
}


/* Where each topic stands, and when to come back: not all at once. */
ngx_http_travel_text_t *
ngx_http_travel_told_bye(const ngx_http_travel_subscriber_t *subs,
    ngx_uint_t n, unsigned code)
{
    size_t                   room;
    travel_json_writer_t     json;
    ngx_http_travel_text_t  *text;

    room = NGX_HTTP_TRAVEL_TOLD_MAX
           + n * (TRAVEL_LIVE_TOPIC_MAX + NGX_HTTP_TRAVEL_CURSOR_MAX + 8);

    text = ngx_http_travel_text(room);
    if (text == NULL) {
        return NULL;
    }

    travel_json_writer_init(&json, (char *) text->data, room);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "bye");
    travel_json_member_int(&json, "code", code);
    travel_json_member_int(&json, "reconnect_in",
                           code == TRAVEL_WS_GOING_AWAY
                           ? ngx_random() % NGX_HTTP_TRAVEL_LIVE_BACK : 0);
    travel_json_key(&json, TRAVEL_STR("cursors"));
    travel_json_object(&json);

    for ( /* void */ ; subs != NULL; subs = subs->next) {
        if (subs->ready) {
            travel_json_key(&json, ngx_http_travel_view(
                                       ngx_http_travel_subscribed(subs)));
            ngx_http_travel_told_cursor(&json, subs->pos);
        }
    }

    travel_json_object_end(&json);
    travel_json_object_end(&json);
    text->len = travel_json_writer_finish(&json);

    return text;
}


static ngx_http_travel_text_t *
ngx_http_travel_told_json(const ngx_http_travel_message_t *message)
{
    size_t                   room;
    travel_json_writer_t     json;
    ngx_http_travel_text_t  *text;

    room = NGX_HTTP_TRAVEL_TOLD_MAX + message->json.len;

    text = ngx_http_travel_text(room);
    if (text == NULL) {
        return NULL;
    }

    travel_json_writer_init(&json, (char *) text->data, room);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "message");
    travel_json_member_string(&json, "topic",
                              ngx_http_travel_view(message->topic));
    travel_json_key(&json, TRAVEL_STR("cursor"));
    ngx_http_travel_told_cursor(&json, message->id);
    travel_json_key(&json, TRAVEL_STR("message"));
    travel_json_raw(&json, ngx_http_travel_view(&message->json));
    travel_json_object_end(&json);
    text->len = travel_json_writer_finish(&json);

    return text;
}


ngx_http_travel_text_t *
ngx_http_travel_told(ngx_http_travel_message_t *message,
    ngx_http_travel_form_e form)
{
    ngx_http_travel_text_t  *json;

    if (message->forms[form] != NULL) {
        return message->forms[form];
    }

    if (message->forms[NGX_HTTP_TRAVEL_FORM_JSON] == NULL) {
        message->forms[NGX_HTTP_TRAVEL_FORM_JSON] =
            ngx_http_travel_told_json(message);
    }

    json = message->forms[NGX_HTTP_TRAVEL_FORM_JSON];

    if (json == NULL) {
        return NULL;
    }

    switch (form) {

    case NGX_HTTP_TRAVEL_FORM_FRAME:
        message->forms[form] = ngx_http_travel_told_frame(json);
        break;

    case NGX_HTTP_TRAVEL_FORM_EVENT:
        message->forms[form] = ngx_http_travel_told_event(json, &message->id);
        break;

    case NGX_HTTP_TRAVEL_FORM_DATA:
        message->forms[form] = ngx_http_travel_told_event(json, NULL);
        break;

    default:
        break;
    }

    return message->forms[form];
}


static ngx_http_travel_text_t *
ngx_http_travel_told_frame(const ngx_http_travel_text_t *json)
{
    return ngx_http_travel_text_frame(TRAVEL_WS_TEXT, 0, json->data,
                                      json->len);
}


static ngx_http_travel_text_t *
ngx_http_travel_told_event(const ngx_http_travel_text_t *json,
    const travel_stream_id_t *id)
{
    char       cursor[NGX_HTTP_TRAVEL_CURSOR_MAX];
    ngx_str_t  text;

    text.data = (u_char *) cursor;
    text.len = id ? travel_stream_id_format(cursor, *id) : 0;

    return ngx_http_travel_text_event(NULL, id ? &text : NULL, json->data,
                                      json->len);
}


static ngx_http_travel_text_t *
ngx_http_travel_told_project(const ngx_http_travel_message_t *message,
    ngx_http_travel_graphql_watch_t *watch)
{
    char                     cursor[NGX_HTTP_TRAVEL_CURSOR_MAX];
    ngx_http_travel_text_t  *text;
    travel_graphql_text_t    out;

    cursor[travel_stream_id_format(cursor, message->id)] = '\0';

    ngx_memzero(&out, sizeof(travel_graphql_text_t));
    travel_graphql_text_puts(&out, "{");

    text = NULL;

    if (ngx_http_travel_graphql_told(watch, &message->json, &out) == NGX_OK) {
        travel_graphql_text_printf(&out, ",\"extensions\":{\"cursor\":\"%s\"}}",
                                   cursor);
        text = out.failed ? NULL : ngx_http_travel_text_copy(out.data,
                                                             out.len);
    }

    travel_graphql_text_free(&out);

    return text;
}


ngx_http_travel_text_t *
ngx_http_travel_told_to(ngx_http_travel_message_t *message,
    struct ngx_http_travel_graphql_watch_s *watch)
{
    ngx_http_travel_projection_t  *p;

    for (p = message->projections; p != NULL; p = p->next) {
        if (p->watch == watch) {
            return p->text;
        }
    }

    p = ngx_alloc(sizeof(ngx_http_travel_projection_t), ngx_cycle->log);
    if (p == NULL) {
        return NULL;
    }

    p->watch = watch;
    p->text = ngx_http_travel_told_project(message, watch);
    p->next = message->projections;
    message->projections = p;

    return p->text;
}


void
ngx_http_travel_told_release(ngx_http_travel_message_t *message)
{
    ngx_uint_t                     i;
    ngx_http_travel_projection_t  *p;

    for (i = 0; i < NGX_HTTP_TRAVEL_FORMS; i++) {
        if (message->forms[i] != NULL) {
            ngx_http_travel_text_release(message->forms[i]);
        }
    }

    while (message->projections != NULL) {
        p = message->projections;
        message->projections = p->next;

        if (p->text != NULL) {
            ngx_http_travel_text_release(p->text);
        }

        ngx_free(p);
    }
}
