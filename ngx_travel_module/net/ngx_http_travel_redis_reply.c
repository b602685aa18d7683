/* Replies: what rooms may see of them, and copies that outlive hiredis' own. */

#include "ngx_http_travel_redis_link.h"

#define NGX_HTTP_TRAVEL_REPLY_DEPTH  4           /* of one that is copied */


ngx_http_travel_reply_e
ngx_http_travel_reply_type(const ngx_http_travel_reply_t *reply)
{
    switch (((const redisReply *) reply)->type) {

    case REDIS_REPLY_STRING:
        return NGX_HTTP_TRAVEL_REPLY_STRING;

    case REDIS_REPLY_STATUS:
        return NGX_HTTP_TRAVEL_REPLY_STATUS;

    case REDIS_REPLY_INTEGER:
        return NGX_HTTP_TRAVEL_REPLY_INTEGER;

    case REDIS_REPLY_ARRAY:
        return NGX_HTTP_TRAVEL_REPLY_ARRAY;

    case REDIS_REPLY_NIL:
        return NGX_HTTP_TRAVEL_REPLY_NIL;

    default:
        return NGX_HTTP_TRAVEL_REPLY_ERROR;
    }
}


ngx_str_t
ngx_http_travel_reply_str(const ngx_http_travel_reply_t *reply)
{
    ngx_str_t          s;
    const redisReply  *r;

    r = (const redisReply *) reply;

    switch (r->type) {

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        s.data = (u_char *) r->str;
        s.len = r->len;
        break;

    default:
        ngx_str_null(&s);
        break;
    }

    return s;
}


int64_t
ngx_http_travel_reply_int(const ngx_http_travel_reply_t *reply)
{
    const redisReply  *r = (const redisReply *) reply;

    return r->type == REDIS_REPLY_INTEGER ? (int64_t) r->integer : 0;
}


ngx_uint_t
ngx_http_travel_reply_count(const ngx_http_travel_reply_t *reply)
{
    const redisReply  *r = (const redisReply *) reply;

    return r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}


const ngx_http_travel_reply_t *
ngx_http_travel_reply_elt(const ngx_http_travel_reply_t *reply, ngx_uint_t i)
{
    const redisReply  *r = (const redisReply *) reply;

    return (const ngx_http_travel_reply_t *) r->element[i];
}


static redisReply *
ngx_http_travel_reply_copy_at(const redisReply *reply, ngx_uint_t depth)
{
    size_t       i;
    redisReply  *copy;

    if (depth == NGX_HTTP_TRAVEL_REPLY_DEPTH) {
        return NULL;
    }

    copy = calloc(1, sizeof(redisReply));
    if (copy == NULL) {
        return NULL;
    }

    copy->type = reply->type;
    copy->integer = reply->integer;

    if (reply->str) {
        copy->str = malloc(reply->len + 1);
        if (copy->str == NULL) {
            goto failed;
        }

        memcpy(copy->str, reply->str, reply->len);
        copy->str[reply->len] = '\0';
        copy->len = reply->len;
    }

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements) {
        copy->element = calloc(reply->elements, sizeof(redisReply *));
        if (copy->element == NULL) {
            goto failed;
        }

        copy->elements = reply->elements;

        for (i = 0; i < reply->elements; i++) {
            copy->element[i] =
                ngx_http_travel_reply_copy_at(reply->element[i], depth + 1);
            if (copy->element[i] == NULL) {
                goto failed;
            }
        }
    }

    return copy;

failed:

    freeReplyObject(copy);
    return NULL;
}


redisReply *
ngx_http_travel_reply_copy(const redisReply *reply)
{
    return ngx_http_travel_reply_copy_at(reply, 0);
}
