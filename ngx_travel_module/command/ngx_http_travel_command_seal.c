/*
 * Members that the schema marks "x-sealed": sealed to the workers' public key
 * before the command is stored anywhere (common/seal.h).
 *
 * It is done when the body has been judged, on the body as it will be enqueued.
 * The fingerprint of an Idempotency-Key still is of what the client sent, but
 * under a key of ours: a card number is found from its bare digest by trying.
 */

#include "ngx_http_travel_command_room.h"
#include "../../common/seal.h"

#define NGX_HTTP_TRAVEL_SEAL_PEM  4096


static ngx_int_t ngx_http_travel_seal_read(ngx_conf_t *cf, ngx_str_t *path,
    travel_seal_public_t *ret_key);
static const travel_json_node_t *ngx_http_travel_seal_next(
    const travel_command_t *command, const travel_json_t *doc, uint32_t *at,
    const char **ret_name);
static ngx_int_t ngx_http_travel_seal_value(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const char *name, travel_str_t value,
    u_char **p);
static void ngx_http_travel_seal_name(ngx_http_travel_command_t *cmd,
    const char *name);


/* travel_sealed_key FILE */
char *
ngx_http_travel_sealed_key_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_command_main_conf_t  *cmcf = conf;

    ngx_str_t  *value;

    (void) cmd;

    if (cmcf->sealed_key != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cmcf->sealed_key = ngx_palloc(cf->pool, sizeof(travel_seal_public_t));

    if (cmcf->sealed_key == NULL
        || ngx_http_travel_seal_read(cf, &value[1], cmcf->sealed_key)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_seal_read(ngx_conf_t *cf, ngx_str_t *path,
    travel_seal_public_t *ret_key)
{
    char          pem[NGX_HTTP_TRAVEL_SEAL_PEM];
    ssize_t       n;
    ngx_fd_t      fd;
    travel_str_t  text;

    static const char  how[] = "\"openssl genpkey -algorithm X25519 -out "
                               "sealed.pem\", then \"openssl pkey -in "
                               "sealed.pem -pubout\"";

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_sealed_key\" \"%V\" cannot be opened: "
                           "make it with %s", path, how);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, pem, sizeof(pem));
    ngx_close_file(fd);

    text.data = pem;
    text.len = n > 0 ? (size_t) n : 0;

    if (travel_seal_public(ret_key, text) != TRAVEL_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_sealed_key\" \"%V\" must be a public "
                           "X25519 key in PEM: make it with %s", path, how);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Whether all that is to be sealed can be. */
ngx_int_t
ngx_http_travel_command_sealable(ngx_conf_t *cf,
    ngx_http_travel_command_main_conf_t *cmcf)
{
    ngx_uint_t                         i;
    const char                        *lacks;
    ngx_http_travel_main_conf_t       *mcf;
    ngx_http_travel_command_entry_t  **entries;

    mcf = ngx_http_travel_main_conf(cf);
    entries = cmcf->entries.elts;

    lacks = cmcf->sealed_key == NULL ? "travel_sealed_key"
            : mcf->consistency_secret.len == 0 ? "travel_consistency_key"
            : NULL;

    for (i = 0; lacks && i < cmcf->entries.nelts; i++) {

        if (entries[i]->command->nsealed) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s: \"x-sealed\" members need \"%s FILE\" in "
                          "\"http\": add it", entries[i]->command->file,
                          lacks);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A sealed member in an SQL statement would be sealed no more. */
ngx_int_t
ngx_http_travel_command_check_secret(ngx_conf_t *cf,
    const ngx_http_travel_command_use_t *use)
{
    size_t                   i;
    travel_str_t             name;
    const travel_command_t  *command;

    command = use->entry->command;

    for (i = 0; use->check != NULL && i < command->nsealed; i++) {
        name.data = command->sealed[i];
        name.len = ngx_strlen(command->sealed[i]);

        if (travel_query_param(use->check, name) != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"check=%s\" reads :%s, which %V seals: "
                               "leave that to the worker", use->check->name,
                               command->sealed[i], &use->entry->type);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* --- a body --------------------------------------------------------------- */

/* From member *at on, the next that is there and to be sealed, or NULL. */
static const travel_json_node_t *
ngx_http_travel_seal_next(const travel_command_t *command,
    const travel_json_t *doc, uint32_t *at, const char **ret_name)
{
    size_t                     i;
    travel_str_t               name;
    const travel_json_node_t  *nodes, *value;

    nodes = travel_json_nodes(doc);

    while (*at < nodes[0].next) {
        name = nodes[*at].text;
        value = &nodes[*at + 1];
        *at = value->next;

        for (i = 0; i < command->nsealed; i++) {
            if (name.len == ngx_strlen(command->sealed[i])
                && ngx_memcmp(name.data, command->sealed[i], name.len) == 0)
            {
                *ret_name = command->sealed[i];
                return value;
            }
        }
    }

    return NULL;
}


/* The text of the value that ends where member 'next' begins. */
static travel_str_t
ngx_http_travel_seal_text(const ngx_str_t *body, const travel_json_t *doc,
    const travel_json_node_t *value)
{
    const char                *end;
    travel_str_t               text;
    const travel_json_node_t  *nodes;

    nodes = travel_json_nodes(doc);
    text.data = (char *) body->data + value->offset;

    if (value->next < nodes[0].next) {
        end = (char *) body->data + nodes[value->next].offset;

    } else {
        end = (char *) body->data + body->len;

        while (end[-1] != '}') {
            end--;
        }

        end--;
    }

    while (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n'
           || end[-1] == '\r' || end[-1] == ',')
    {
        end--;
    }

    text.len = end - text.data;

    return text;
}


ngx_int_t
ngx_http_travel_command_seal(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_json_t *doc)
{
    u_char                    *p;
    size_t                     size;
    uint32_t                   at;
    ngx_str_t                  sealed;
    const char                *name;
    travel_str_t               text;
    const u_char              *from;
    const travel_json_node_t  *value;
    const travel_command_t    *command;

    command = cmd->use->entry->command;

    if (command->nsealed == 0
        || travel_json_nodes(doc)[0].type != TRAVEL_JSON_OBJECT)
    {
        return NGX_OK;
    }

    size = cmd->body.len;
    at = 1;

    while ((value = ngx_http_travel_seal_next(command, doc, &at, &name))) {
        text = ngx_http_travel_seal_text(&cmd->body, doc, value);
        size += TRAVEL_SEALED_LEN(text.len) + 2;
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sealed.data = p;
    from = cmd->body.data;
    at = 1;

    while ((value = ngx_http_travel_seal_next(command, doc, &at, &name))) {
        text = ngx_http_travel_seal_text(&cmd->body, doc, value);
        p = ngx_cpymem(p, from, (u_char *) text.data - from);
        from = (u_char *) text.data + text.len;

        if (ngx_http_travel_seal_value(r, cmd, name, text, &p) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    p = ngx_cpymem(p, from, cmd->body.data + cmd->body.len - from);
    sealed.len = p - sealed.data;

    cmd->plain = cmd->body;
    cmd->body = sealed;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_seal_value(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const char *name, travel_str_t value,
    u_char **p)
{
    travel_seal_place_t                   place;
    ngx_http_travel_ctx_t                *ctx;
    ngx_http_travel_command_main_conf_t  *cmcf;

    ctx = ngx_http_travel_get_ctx(r);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);

    place.type = ngx_http_travel_view(&cmd->use->entry->type);
    place.sub = ngx_http_travel_command_sub(ctx);
    place.member.data = name;
    place.member.len = ngx_strlen(name);

    if (cmd->sealed.data == NULL) {
        cmd->sealed.data = ngx_pnalloc(r->pool, NGX_HTTP_TRAVEL_SEALED_NAMES);

        if (cmd->sealed.data == NULL) {
            return NGX_ERROR;
        }
    }

    *(*p)++ = '"';

    if (travel_seal((char *) *p, cmcf->sealed_key, &place, value)
        != TRAVEL_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "member %s of %V could not be sealed", name,
                      &cmd->use->entry->type);
        return NGX_ERROR;
    }

    *p += TRAVEL_SEALED_LEN(value.len);
    *(*p)++ = '"';

    ngx_http_travel_seal_name(cmd, name);

    return NGX_OK;
}


static void
ngx_http_travel_seal_name(ngx_http_travel_command_t *cmd, const char *name)
{
    u_char  *p;

    p = cmd->sealed.data + cmd->sealed.len;

    if (cmd->sealed.len) {
        *p++ = ' ';
    }

    p = ngx_cpymem(p, name, ngx_strlen(name));
    cmd->sealed.len = p - cmd->sealed.data;
}


ngx_int_t
ngx_http_travel_command_print(ngx_http_request_t *r,
    const ngx_http_travel_command_t *cmd, uint8_t md[TRAVEL_SHA256_LEN])
{
    travel_str_t                  parts[3];
    ngx_http_travel_main_conf_t  *mcf;

    parts[0] = ngx_http_travel_view(&r->method_name);
    parts[1] = ngx_http_travel_view(&r->uri);
    parts[2] = ngx_http_travel_view(cmd->sealed.len ? &cmd->plain
                                                    : &cmd->body);

    if (travel_sha256_parts(md, parts, 3) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    if (cmd->sealed.len == 0) {
        return NGX_OK;
    }

    mcf = ngx_http_travel_cycle_conf((ngx_cycle_t *) ngx_cycle);
    parts[0].data = (char *) md;
    parts[0].len = TRAVEL_SHA256_LEN;

    return travel_hmac_sha256(md,
                              ngx_http_travel_view(&mcf->consistency_secret),
                              parts[0])
           == TRAVEL_OK ? NGX_OK : NGX_ERROR;
}
