/*
 * unique=: of the commands that are alike in what it names, one is accepted in
 * a time; who sends another gets the first one's job.
 *
 * What makes them alike is hashed into a key beside the Idempotency-Keys of the
 * partition, which the accept script looks at and sets.  So alike commands must
 * meet in one partition: a create's follows from that hash, any other's is that
 * of its aggregate, within which it is alike to others.
 */

#include "ngx_http_travel_command_room.h"


/* "PART,PART": "/member" of the body, else text with variables. */
char *
ngx_http_travel_command_unique_parts(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_command_use_t  *use = conf;

    u_char                         *p, *end, *last;
    ngx_str_t                       part;
    ngx_http_travel_command_set_t  *set;

    (void) param;

    last = value->data + value->len;

    for (p = value->data; p <= last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');
        end = end ? end : last;

        if (end == p || (end == p + 1 && *p == '/')
            || use->nunique == NGX_HTTP_TRAVEL_COMMAND_UNIQUE)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"unique=%V\" must be 1 to %d parts with "
                               "commas between: \"/member\" of the body, or "
                               "text with variables, $travel_user say", value,
                               NGX_HTTP_TRAVEL_COMMAND_UNIQUE);
            return NGX_CONF_ERROR;
        }

        set = &use->unique[use->nunique++];

        if (*p == '/') {
            set->member.data = p + 1;
            set->member.len = end - p - 1;
            continue;
        }

        part.len = end - p;
        part.data = ngx_pnalloc(cf->pool, part.len + 1);
        if (part.data == NULL) {
            return NGX_CONF_ERROR;
        }

        (void) ngx_cpystrn(part.data, p, part.len + 1);

        set->value = ngx_http_travel_expression(cf, &part);
        if (set->value == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Of a body that 'doc' was parsed from.  Without one of the members a command
 * is like no other. */
ngx_int_t
ngx_http_travel_command_unique(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_json_t *doc)
{
    ngx_str_t                       text;
    ngx_uint_t                      i, n;
    travel_str_t                    parts[NGX_HTTP_TRAVEL_COMMAND_UNIQUE + 3];
    const travel_json_node_t       *node;
    ngx_http_travel_command_set_t  *set;

    if (cmd->use->nunique == 0) {
        return NGX_OK;
    }

    n = 0;
    parts[n++] = TRAVEL_STR("unique");
    parts[n++] = ngx_http_travel_view(&cmd->use->entry->type);
    parts[n++] = ngx_http_travel_view(&cmd->key);

    for (i = 0; i < cmd->use->nunique; i++) {
        set = &cmd->use->unique[i];

        if (set->member.len) {
            node = travel_json_member(doc, 0,
                                      ngx_http_travel_view(&set->member));

            if (node == NULL) {
                return NGX_OK;
            }

            switch (node->type) {

            case TRAVEL_JSON_NULL:
                parts[n++] = TRAVEL_STR("null");
                break;

            case TRAVEL_JSON_TRUE:
                parts[n++] = TRAVEL_STR("true");
                break;

            case TRAVEL_JSON_FALSE:
                parts[n++] = TRAVEL_STR("false");
                break;

            default:
                parts[n++] = node->text;
            }

            continue;
        }

        if (ngx_http_complex_value(r, set->value, &text) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        parts[n++] = ngx_http_travel_view(&text);
    }

    if (travel_sha256_parts(cmd->alike, parts, n) != TRAVEL_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cmd->unique = 1;

    return NGX_OK;
}
