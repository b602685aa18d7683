/*
 * The body of a command: media type, size, strict JSON, members from the path,
 * schema; and what later steps need of it, copied out.
 *
 * One JSON document and one schema run serve all requests of an nginx worker:
 * everything here happens in one go, nothing of them is kept afterwards.
 */

#include "ngx_http_travel_command_room.h"


static ngx_int_t ngx_http_travel_body_bytes(ngx_http_request_t *r,
    ngx_http_travel_command_use_t *use, ngx_str_t *ret_body);
static ngx_int_t ngx_http_travel_body_parse(ngx_http_request_t *r,
    travel_str_t text);
static ngx_int_t ngx_http_travel_body_path(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_inject(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, travel_uuid_t *ids);
static ngx_int_t ngx_http_travel_body_uuid(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, travel_uuid_t *ret_id);
static ngx_int_t ngx_http_travel_body_nuls(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_body_schema(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_values(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_echo(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_key(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_refuse(ngx_http_request_t *r,
    travel_error_e error, const char *pointer, const char *code,
    const char *message, const char *sentence);
static travel_str_t ngx_http_travel_body_copy(ngx_http_request_t *r,
    const char *s);
static ngx_int_t ngx_http_travel_body_unique(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_breaker(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_seal(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_batch(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_elements(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_use(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
static ngx_int_t ngx_http_travel_body_say(ngx_http_request_t *r,
    travel_error_e error, ngx_http_travel_detail_t *details, ngx_uint_t n,
    const char *fmt, ...);
static ngx_int_t ngx_http_travel_body_large(ngx_http_request_t *r,
    size_t max);


/* of this nginx worker */

static travel_json_t        *ngx_http_travel_body_doc;
static travel_schema_run_t  *ngx_http_travel_body_run;

/* where a refusal goes while an item of a batch is judged; else NULL */

static ngx_http_travel_fault_t  *ngx_http_travel_body_sink;


/* Before the body is read: can it be one? */
ngx_int_t
ngx_http_travel_command_media(ngx_http_request_t *r,
    ngx_http_travel_command_use_t *use)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   type;
    ngx_uint_t  gzip;

    if (r->headers_in.content_length_n
        > (off_t) ngx_http_travel_command_max_body(use))
    {
        return ngx_http_travel_body_large(r,
                                     ngx_http_travel_command_max_body(use));
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return NGX_OK;
    }

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
        p = ngx_strlchr(type.data, type.data + type.len, ';');
        len = p ? (size_t) (p - type.data) : type.len;

        while (len && type.data[len - 1] == ' ') {
            len--;
        }

        type.len = len;
    }

    if (use->batch && type.len == sizeof("application/x-ndjson") - 1
        && ngx_strncasecmp(type.data, (u_char *) "application/x-ndjson",
                           type.len)
           == 0)
    {
        ngx_http_travel_command_of(r)->ndjson = 1;

    } else if (type.len != sizeof("application/json") - 1
        || ngx_strncasecmp(type.data, (u_char *) "application/json", type.len)
           != 0)
    {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_UNSUPPORTED_MEDIA_TYPE,
                                     use->batch
                                     ? "The body must be application/json or "
                                       "application/x-ndjson."
                                     : "The body must be application/json."));
    }

    return ngx_http_travel_command_coding(r, &gzip);
}


ngx_int_t
ngx_http_travel_command_body(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t   rc;
    ngx_uint_t  gzip;

    rc = ngx_http_travel_body_bytes(r, cmd->use, &cmd->body);

    if (rc == NGX_OK && r->request_body->bufs) {
        rc = ngx_http_travel_command_coding(r, &gzip);

        if (rc == NGX_OK && gzip) {
            rc = ngx_http_travel_command_inflate(r,
                         ngx_http_travel_command_max_body(cmd->use),
                         &cmd->body);
        }
    }

    if (rc == NGX_OK && !cmd->ndjson) {
        rc = ngx_http_travel_body_parse(r, ngx_http_travel_view(&cmd->body));
    }

    if (rc == NGX_OK && cmd->use->batch) {

        if (cmd->ndjson || travel_json_nodes(ngx_http_travel_body_doc)[0].type
                           == TRAVEL_JSON_ARRAY)
        {
            return ngx_http_travel_body_batch(r, cmd);
        }

        if (cmd->body.len > cmd->use->max_body) {
            rc = ngx_http_travel_body_large(r, cmd->use->max_body);
        }
    }

    if (rc == NGX_OK) { rc = ngx_http_travel_body_path(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_schema(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_nuls(r); }

    return rc == NGX_OK ? ngx_http_travel_body_use(r, cmd) : rc;
}


/* What is made of a document that is as it should be. */
static ngx_int_t
ngx_http_travel_body_use(ngx_http_request_t *r, ngx_http_travel_command_t *cmd)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_body_values(r, cmd);

    if (rc == NGX_OK) { rc = ngx_http_travel_body_echo(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_key(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_unique(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_breaker(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_seal(r, cmd); }

    return rc;
}


/* breaker=: can the destination that the body names be reached now?  Of an
 * item, whoever answers for all of them says when to come again. */
static ngx_int_t
ngx_http_travel_body_breaker(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_str_t                  destination;
    ngx_uint_t                 later;
    const travel_json_node_t  *node;

    if (cmd->use->breaker.len == 0) {
        return NGX_OK;
    }

    node = travel_json_member(ngx_http_travel_body_doc, 0,
                              ngx_http_travel_view(&cmd->use->breaker));

    if (node == NULL || node->type != TRAVEL_JSON_STRING) {
        return NGX_OK;
    }

    destination = ngx_http_travel_str(node->text);

    if (ngx_http_travel_breaker_ask(&destination, &later) == NGX_OK) {
        return NGX_OK;
    }

    if (cmd->item) {
        ngx_http_travel_breaker_refused(r);
        ngx_http_travel_command_of(r)->batch->later =
            ngx_max(ngx_http_travel_command_of(r)->batch->later, later);

        return ngx_http_travel_body_say(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                        NULL, 0, NGX_HTTP_TRAVEL_BREAKER_SAYS);
    }

    return ngx_http_travel_command_told(r,
                                   ngx_http_travel_breaker_refuse(r, later));
}


static ngx_int_t
ngx_http_travel_body_unique(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    return ngx_http_travel_command_unique(r, cmd, ngx_http_travel_body_doc);
}


/* Last: from here on the body is not what the document was made of. */
static ngx_int_t
ngx_http_travel_body_seal(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    return ngx_http_travel_command_seal(r, cmd, ngx_http_travel_body_doc);
}


ngx_int_t
ngx_http_travel_command_given(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t  rc;

    if (cmd->body.len > cmd->use->max_body) {
        return ngx_http_travel_body_large(r, cmd->use->max_body);
    }

    rc = ngx_http_travel_body_parse(r, ngx_http_travel_view(&cmd->body));

    if (rc == NGX_OK) { rc = ngx_http_travel_body_schema(r, cmd); }
    if (rc == NGX_OK) { rc = ngx_http_travel_body_nuls(r); }

    return rc == NGX_OK ? ngx_http_travel_body_use(r, cmd) : rc;
}


/* --- a batch -------------------------------------------------------------- */

size_t
ngx_http_travel_command_max_body(const ngx_http_travel_command_use_t *use)
{
    size_t  all;

    all = use->max_body * (use->batch ? use->batch : 1);

    return (use->batch && all > NGX_HTTP_TRAVEL_BATCH_BODY)
           ? ngx_max(use->max_body, NGX_HTTP_TRAVEL_BATCH_BODY) : all;
}


static ngx_int_t
ngx_http_travel_body_batch(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_travel_command_t **items;

    rc = cmd->ndjson ? ngx_http_travel_batch_lines(r, cmd)
                     : ngx_http_travel_body_elements(r, cmd);

    if (rc == NGX_DECLINED) {
        return ngx_http_travel_body_say(r, TRAVEL_E_PAYLOAD_TOO_LARGE, NULL, 0,
                                        "A batch may have %ui commands.",
                                        cmd->use->batch);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cmd->batch->items.nelts == 0) {
        return ngx_http_travel_body_refuse(r, TRAVEL_E_VALIDATION_ERROR, "",
                   "minItems", "There is no command in this.",
                   "The batch is empty.");
    }

    items = cmd->batch->items.elts;

    for (i = 0; i < cmd->batch->items.nelts; i++) {
        ngx_http_travel_body_sink = &items[i]->fault;
        rc = ngx_http_travel_command_given(r, items[i]);
        ngx_http_travel_body_sink = NULL;

        if (rc != NGX_OK && rc != NGX_DONE) {
            return rc;
        }
    }

    if (!cmd->use->pack) {
        cmd->batch->jobs = cmd->batch->items;
        return NGX_OK;
    }

    return ngx_http_travel_batch_pack(r, cmd) == NGX_OK
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The texts of the array's elements, without what is between them. */
static ngx_int_t
ngx_http_travel_body_elements(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    u_char                    *start, *end, *last;
    uint32_t                   at, next;
    ngx_int_t                  rc;
    const travel_json_node_t  *nodes;

    nodes = travel_json_nodes(ngx_http_travel_body_doc);
    last = cmd->body.data + cmd->body.len;

    while (last[-1] != ']') {
        last--;
    }

    last--;

    rc = ngx_http_travel_batch_push(r, cmd, NULL, NULL);

    for (at = 1; at < nodes[0].next && rc == NGX_OK; at = next) {
        next = nodes[at].next;
        start = cmd->body.data + nodes[at].offset;
        end = (next < nodes[0].next) ? cmd->body.data + nodes[next].offset
                                     : last;

        while (end > start && (end[-1] <= ' ' || end[-1] == ',')) {
            end--;
        }

        rc = ngx_http_travel_batch_push(r, cmd, start, end);
    }

    return rc;
}


/* Tells the client; or, of an item, whoever tells the client in the end. */
static ngx_int_t
ngx_http_travel_body_say(ngx_http_request_t *r, travel_error_e error,
    ngx_http_travel_detail_t *details, ngx_uint_t n, const char *fmt, ...)
{
    u_char                    buf[256];
    va_list                   args;
    ngx_str_t                 text;
    ngx_http_travel_fault_t  *fault;

    va_start(args, fmt);
    text.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    text.data = ngx_pnalloc(r->pool, text.len + 1);
    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(text.data, buf, text.len);

    fault = ngx_http_travel_body_sink;

    if (fault == NULL) {
        return ngx_http_travel_command_told(r,
                   ngx_http_travel_error_details(r, error, details, n, "%V",
                                                 &text));
    }

    fault->error = error;
    fault->text = text;
    fault->details = details;
    fault->ndetails = n;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_travel_body_large(ngx_http_request_t *r, size_t max)
{
    return ngx_http_travel_body_say(r, TRAVEL_E_PAYLOAD_TOO_LARGE, NULL, 0,
                                    "A body of this command may have %uz "
                                    "bytes.", max);
}


/* --- bytes ---------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_body_bytes(ngx_http_request_t *r,
    ngx_http_travel_command_use_t *use, ngx_str_t *ret_body)
{
    u_char       *p;
    off_t         size;
    ngx_chain_t  *cl;

    static const ngx_str_t  empty = ngx_string("{}");

    size = ngx_http_travel_received_size(r);

    if (size > (off_t) ngx_http_travel_command_max_body(use)) {
        return ngx_http_travel_body_large(r,
                                     ngx_http_travel_command_max_body(use));
    }

    if (size == 0) {
        *ret_body = empty;
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        ret_body->data = cl->buf->pos;
        ret_body->len = (size_t) size;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, (size_t) size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ret_body->data = p;
    ret_body->len = (size_t) size;

    return (ngx_http_travel_received_copy(r, p) == NGX_OK)
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* --- JSON ----------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_body_parse(ngx_http_request_t *r, travel_str_t text)
{
    int                        rc;
    travel_json_error_t        err;
    ngx_http_travel_detail_t  *detail;

    if (ngx_http_travel_body_doc == NULL) {
        ngx_http_travel_body_doc = travel_json_create(16384);
        ngx_http_travel_body_run = travel_schema_run_create();
    }

    if (ngx_http_travel_body_doc == NULL || ngx_http_travel_body_run == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = travel_json_parse(ngx_http_travel_body_doc, text, 0, &err);

    if (rc == TRAVEL_OK) {
        return NGX_OK;
    }

    if (rc != TRAVEL_INVALID) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    detail = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_detail_t));
    if (detail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    detail->message = ngx_http_travel_body_copy(r, err.message);
    detail->has_offset = 1;
    detail->offset = err.offset;

    if (err.kind == TRAVEL_E_DUPLICATE_KEY) {
        detail->pointer = ngx_http_travel_body_copy(r, err.pointer);
        detail->code = TRAVEL_STR("duplicate");

        return ngx_http_travel_body_say(r, TRAVEL_E_DUPLICATE_KEY, detail, 1,
                                        "An object of the body has a member "
                                        "twice.");
    }

    detail->code = TRAVEL_STR("syntax");

    return ngx_http_travel_body_say(r, TRAVEL_E_MALFORMED_JSON, detail, 1,
                                    "The body stops being JSON at byte %uz.",
                                    err.offset);
}


static travel_str_t
ngx_http_travel_body_copy(ngx_http_request_t *r, const char *s)
{
    char          *p;
    travel_str_t   copy;

    copy.len = ngx_strlen(s);
    p = ngx_pnalloc(r->pool, copy.len);

    if (p == NULL) {
        return TRAVEL_NULL_STR;
    }

    ngx_memcpy(p, s, copy.len);
    copy.data = p;

    return copy;
}


static ngx_int_t
ngx_http_travel_body_refuse(ngx_http_request_t *r, travel_error_e error,
    const char *pointer, const char *code, const char *message,
    const char *sentence)
{
    ngx_http_travel_detail_t  *detail;

    detail = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_detail_t));
    if (detail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    detail->pointer = ngx_http_travel_body_copy(r, pointer);
    detail->code = ngx_http_travel_body_copy(r, code);
    detail->message = ngx_http_travel_body_copy(r, message);

    return ngx_http_travel_body_say(r, error, detail, 1, "%s", sentence);
}


/* --- members from the path ------------------------------------------------ */

/* An id in the path that is none names nothing: 404. */
static ngx_int_t
ngx_http_travel_body_uuid(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, travel_uuid_t *ret_id)
{
    ngx_str_t  text;

    if (ngx_http_complex_value(r, value, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (travel_uuid_parse(ret_id, ngx_http_travel_view(&text)) != TRAVEL_OK) {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_query_refuse(r, TRAVEL_E_RESOURCE_NOT_FOUND));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_body_path(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                        rc;
    ngx_uint_t                       i;
    travel_str_t                     name;
    travel_uuid_t                    ids[NGX_HTTP_TRAVEL_COMMAND_SETS];
    char                             pointer[80];
    ngx_http_travel_command_use_t   *use;

    use = cmd->use;

    for (i = 0; i < use->nsets; i++) {
        rc = ngx_http_travel_body_uuid(r, use->sets[i].value, &ids[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* a body that is no object goes on as it is: the schema says so */

    if (use->nsets == 0
        || travel_json_nodes(ngx_http_travel_body_doc)[0].type
           != TRAVEL_JSON_OBJECT)
    {
        return NGX_OK;
    }

    for (i = 0; i < use->nsets; i++) {
        name = ngx_http_travel_view(&use->sets[i].member);

        if (travel_json_member(ngx_http_travel_body_doc, 0, name)) {
            *ngx_snprintf((u_char *) pointer, sizeof(pointer) - 1, "/%V",
                          &use->sets[i].member) = '\0';

            return ngx_http_travel_body_refuse(r, TRAVEL_E_VALIDATION_ERROR,
                       pointer, "path", "This is said by the path.",
                       "The body does not satisfy the schema.");
        }
    }

    return ngx_http_travel_body_inject(r, cmd, ids);
}


/* {"journey_id":"<uuid>", and then what the client sent. */
static ngx_int_t
ngx_http_travel_body_inject(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, travel_uuid_t *ids)
{
    u_char      *p;
    size_t       size, start;
    ngx_str_t    body;
    ngx_uint_t   i, members;

    start = travel_json_nodes(ngx_http_travel_body_doc)[0].offset + 1;
    members = travel_json_nodes(ngx_http_travel_body_doc)[0].count;

    size = cmd->body.len;

    for (i = 0; i < cmd->use->nsets; i++) {
        size += cmd->use->sets[i].member.len + TRAVEL_UUID_TEXT_LEN
                + sizeof("\"\":\"\",") - 1;
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;
    *p++ = '{';

    for (i = 0; i < cmd->use->nsets; i++) {
        p = ngx_sprintf(p, "\"%V\":\"", &cmd->use->sets[i].member);
        travel_uuid_format((char *) p, &ids[i]);
        p += TRAVEL_UUID_TEXT_LEN;
        *p++ = '"';

        if (members || i + 1 < cmd->use->nsets) {
            *p++ = ',';
        }
    }

    p = ngx_cpymem(p, cmd->body.data + start, cmd->body.len - start);
    body.len = p - body.data;

    cmd->body = body;

    return ngx_http_travel_body_parse(r, ngx_http_travel_view(&cmd->body));
}


/* --- schema --------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_body_schema(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    int                        rc;
    size_t                     i, n;
    travel_schema_error_t     *errors;
    ngx_http_travel_detail_t  *details;

    static travel_schema_error_t  found[NGX_HTTP_TRAVEL_COMMAND_ERRORS];

    errors = found;
    n = 0;

    travel_schema_run_formats(ngx_http_travel_body_run, !cmd->use->annotate);

    rc = travel_schema_check(cmd->use->entry->command->schema,
                             ngx_http_travel_body_doc,
                             ngx_http_travel_body_run, errors,
                             cmd->use->max_errors, &n);
    if (rc == TRAVEL_OK) {
        return NGX_OK;
    }

    if (rc != TRAVEL_REFUSED) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    details = ngx_pcalloc(r->pool, (n + 1) * sizeof(ngx_http_travel_detail_t));
    if (details == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        details[i].pointer = ngx_http_travel_body_copy(r, errors[i].pointer);
        details[i].code = ngx_http_travel_body_copy(r, errors[i].code);
        details[i].message = ngx_http_travel_body_copy(r, errors[i].message);
        details[i].schema = ngx_http_travel_body_copy(r, errors[i].schema);
    }

    return ngx_http_travel_body_say(r, TRAVEL_E_VALIDATION_ERROR, details, n,
                                    "The body does not satisfy the schema.");
}


/* U+0000 can be said in JSON and stored by nobody behind us. */
static ngx_int_t
ngx_http_travel_body_nuls(ngx_http_request_t *r)
{
    char                       pointer[256];
    size_t                     i, n;
    const travel_json_node_t  *nodes;

    nodes = travel_json_nodes(ngx_http_travel_body_doc);
    n = travel_json_count(ngx_http_travel_body_doc);

    for (i = 0; i < n; i++) {

        if (nodes[i].type != TRAVEL_JSON_STRING || nodes[i].text.len == 0
            || memchr(nodes[i].text.data, 0, nodes[i].text.len) == NULL)
        {
            continue;
        }

        (void) travel_json_pointer(ngx_http_travel_body_doc, (uint32_t) i,
                                   pointer, sizeof(pointer));

        return ngx_http_travel_body_refuse(r, TRAVEL_E_VALIDATION_ERROR,
                   pointer, "nul", "The character U+0000 is not accepted.",
                   "The body does not satisfy the schema.");
    }

    return NGX_OK;
}


/* --- what later steps need ------------------------------------------------ */

static const travel_json_node_t *
ngx_http_travel_body_member(const char *name)
{
    travel_str_t  s;

    if (travel_json_nodes(ngx_http_travel_body_doc)[0].type
        != TRAVEL_JSON_OBJECT)
    {
        return NULL;
    }

    s.data = name;
    s.len = ngx_strlen(name);

    return travel_json_member(ngx_http_travel_body_doc, 0, s);
}


/* A scalar as SQL parameter text; NULL for null and containers. */
static char *
ngx_http_travel_body_text(ngx_http_request_t *r,
    const travel_json_node_t *node)
{
    char          *p;
    travel_str_t   s;

    switch (node->type) {

    case TRAVEL_JSON_TRUE:
        return "true";

    case TRAVEL_JSON_FALSE:
        return "false";

    case TRAVEL_JSON_NUMBER:
    case TRAVEL_JSON_STRING:
        s = node->text;
        break;

    default:
        return NULL;
    }

    p = ngx_pnalloc(r->pool, s.len + 1);
    if (p) {
        ngx_memcpy(p, s.data, s.len);
        p[s.len] = '\0';
    }

    return p;
}


/* The check's parameters are the body's members of the same name. */
static ngx_int_t
ngx_http_travel_body_values(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    char                       pointer[80], why[160];
    size_t                     i;
    travel_str_t               value;
    const char                *code;
    const travel_query_t      *query;
    const travel_param_t      *param;
    const travel_json_node_t  *node;
    int                        rc;

    query = cmd->use->check;

    if (query == NULL) {
        return NGX_OK;
    }

    cmd->values = ngx_pcalloc(r->pool, (query->nparams + 1) * sizeof(char *));
    if (cmd->values == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < query->nparams; i++) {
        param = &query->params[i];
        node = ngx_http_travel_body_member(param->name);

        cmd->values[i] = node ? ngx_http_travel_body_text(r, node) : NULL;

        if (cmd->values[i] == NULL) {
            cmd->values[i] = param->fallback;
            continue;
        }

        value.data = cmd->values[i];
        value.len = ngx_strlen(value.data);

        rc = travel_param_check(param, value, why);

        if (rc != TRAVEL_OK) {
            *ngx_snprintf((u_char *) pointer, sizeof(pointer) - 1, "/%s",
                          param->name) = '\0';
            code = (rc == TRAVEL_INVALID) ? "type" : "range";

            return ngx_http_travel_body_refuse(r, TRAVEL_E_VALIDATION_ERROR,
                       pointer, code, why,
                       "The body does not satisfy the schema.");
        }
    }

    return NGX_OK;
}


/* The members that are shown while the aggregate is pending, as a piece of
 * JSON without braces. */
static ngx_int_t
ngx_http_travel_body_echo(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    char                       **names;
    size_t                       i, size;
    travel_str_t                 name;
    travel_json_writer_t         w;
    const travel_json_node_t    *node;

    names = cmd->use->entry->command->pending;

    if (names == NULL || names[0] == NULL) {
        return NGX_OK;
    }

    /* what is escaped grows sixfold at most, with a brace on each side */

    size = 64;

    for (i = 0; names[i]; i++) {
        node = ngx_http_travel_body_member(names[i]);
        size += 6 * (ngx_strlen(names[i]) + (node ? node->text.len : 0)) + 8;
    }

    if (ngx_http_travel_command_writer(r, &w, size) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_object(&w);

    for (i = 0; names[i]; i++) {
        node = ngx_http_travel_body_member(names[i]);
        name.data = names[i];
        name.len = ngx_strlen(names[i]);

        if (node == NULL || node->type == TRAVEL_JSON_ARRAY
            || node->type == TRAVEL_JSON_OBJECT)
        {
            continue;
        }

        travel_json_key(&w, name);

        switch (node->type) {

        case TRAVEL_JSON_STRING:
            travel_json_string(&w, node->text);
            break;

        case TRAVEL_JSON_NUMBER:
            travel_json_raw(&w, node->text);
            break;

        case TRAVEL_JSON_NULL:
            travel_json_null(&w);
            break;

        default:
            travel_json_bool(&w, node->type == TRAVEL_JSON_TRUE);
            break;
        }
    }

    travel_json_object_end(&w);

    if (travel_json_writer_finish(&w) > 2) {
        cmd->echo.data = (u_char *) w.dst + 1;
        cmd->echo.len = w.len - 2;
    }

    return NGX_OK;
}


/* Whom the command is about, when that is not the new aggregate itself: the id
 * in the path, or the member that the catalog names. */
static ngx_int_t
ngx_http_travel_body_key(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd)
{
    ngx_int_t                  rc;
    const char                *name;
    travel_uuid_t              id;
    const travel_json_node_t  *node;

    name = cmd->use->entry->command->key;

    if (cmd->use->id) {
        rc = ngx_http_travel_body_uuid(r, cmd->use->id, &id);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        node = ngx_strcmp(name, "id") == 0 ? NULL
                                           : ngx_http_travel_body_member(name);

        if (node == NULL || node->type != TRAVEL_JSON_STRING
            || travel_uuid_parse(&id, node->text) != TRAVEL_OK)
        {
            return NGX_OK;
        }
    }

    cmd->key.data = ngx_pnalloc(r->pool, TRAVEL_UUID_TEXT_LEN);
    if (cmd->key.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cmd->key.len = TRAVEL_UUID_TEXT_LEN;
    travel_uuid_format((char *) cmd->key.data, &id);

    return NGX_OK;
}
