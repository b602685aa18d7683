/* For who keeps an answer elsewhere than in the cache (a @live query): has it
 * been overwritten since?  A look at shared memory, by the rules of entries. */

#include "ngx_http_travel_cache_room.h"


void
ngx_http_travel_since_now(ngx_http_travel_since_t *since)
{
    ngx_http_travel_knowledge_t  look;

    ngx_http_travel_node_look(&look);

    since->pos = look.pos;
    since->generation = look.generation;
}


ngx_int_t
ngx_http_travel_since_tags(ngx_http_travel_since_t *since,
    const ngx_str_t *tags)
{
    u_char  *p, *last, *start;

    since->ntags = 0;
    last = tags->data + tags->len;

    for (p = tags->data; p < last; /* void */) {

        while (p < last && *p == ' ') {
            p++;
        }

        for (start = p; p < last && *p != ' '; p++) {
            /* void */
        }

        if (p == start) {
            break;
        }

        if (since->ntags == NGX_HTTP_TRAVEL_TAGS_MAX) {
            return NGX_DECLINED;
        }

        since->tags[since->ntags++] = travel_siphash(
                                          ngx_http_travel_node_key(), start,
                                          p - start);
    }

    return since->ntags > 0 ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_travel_since_changed(const ngx_http_travel_since_t *since)
{
    ngx_http_travel_knowledge_t  look;

    ngx_http_travel_node_look(&look);

    /* while nothing is known, nothing can be told; after it, all may have
     * changed */
    return look.generation != 0 && ngx_http_travel_node_hearing(&look)
           && (look.generation != since->generation
               || ngx_http_travel_tags_since(since->tags, since->ntags,
                                             since->pos));
}
