/*
 * travel_publish: what clients tell those who watch a topic, without a job and
 * without the database.
 *
 *     travel_publish TOPIC type=NAME schema=FILE [check=URI]
 *                    [until=MEMBER:VALUE:CODE] [keep=T] [stream=KEY]
 *                    [max_body=SIZE];
 *
 * POST: the body is checked by the schema, becomes the data of a message, and
 * passes by on the topic's channel; with stream= it is also appended to a
 * stream of the cache role, from which workers store it in batches.  Answered
 * 204 when Redis has both.
 *
 * Who may is asked by 'check': a GET of that URI in the caller's name must be
 * 200; and what it shows must not be what 'until' names, after which there is
 * nothing to tell.  The verdict is remembered for 'keep' in a table of this
 * nginx worker: a place for a caller and topic, taken over by the next who
 * falls on it.
 *
 * All else is in the request's pool.
 */

#include "ngx_http_travel_live_hub.h"
#include "../../common/schema.h"
#include "../../common/timestamp.h"
#include "../../common/json_writer.h"

#define NGX_HTTP_TRAVEL_PUBLISH_ERRORS   20
#define NGX_HTTP_TRAVEL_PUBLISH_PLACES   4096
#define NGX_HTTP_TRAVEL_PUBLISH_STREAM   "1000000" /* entries, about */


struct ngx_http_travel_publish_s {
    ngx_http_complex_value_t  *topic;
    ngx_http_complex_value_t  *check;              /* NULL: who is let in */
    ngx_str_t                  member;             /* until=; empty: none */
    ngx_str_t                  value;
    travel_error_e             code;
    ngx_str_t                  type;
    ngx_str_t                  stream;             /* empty: none */
    travel_schema_t           *schema;
    ngx_msec_t                 keep;
    size_t                     max_body;
    ngx_http_travel_door_t     door;
};

typedef struct {
    ngx_http_request_t                *request;
    const ngx_http_travel_publish_t   *conf;
    ngx_http_travel_ctx_t             *ctx;
    ngx_str_t                          topic;
    travel_live_topic_t                parsed;
    ngx_str_t                          body;
    uint64_t                           hash;       /* of caller and topic */
    ngx_http_travel_inner_t           *asking;
    ngx_uint_t                         answers;
} ngx_http_travel_post_t;

typedef struct {
    uint64_t                           hash;
    ngx_msec_t                         until;
} ngx_http_travel_verdict_place_t;


static char *ngx_http_travel_publish_stream(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_publish_schema(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *file, void *conf);
static char *ngx_http_travel_publish_until(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static void ngx_http_travel_publish_unload(void *data);
static ngx_int_t ngx_http_travel_publish_handler(ngx_http_request_t *r);
static void ngx_http_travel_publish_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_publish_body(ngx_http_travel_post_t *post);
static ngx_int_t ngx_http_travel_publish_refuse(ngx_http_travel_post_t *post,
    travel_schema_error_t *errors, size_t n);
static ngx_int_t ngx_http_travel_publish_may(ngx_http_travel_post_t *post);
static void ngx_http_travel_publish_asked(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);
static ngx_int_t ngx_http_travel_publish_over(ngx_http_travel_post_t *post,
    ngx_str_t *body);
static void ngx_http_travel_publish_cleanup(void *data);
static ngx_int_t ngx_http_travel_publish_send(ngx_http_travel_post_t *post);
static ngx_str_t ngx_http_travel_publish_message(
    ngx_http_travel_post_t *post);
static ngx_int_t ngx_http_travel_publish_append(ngx_http_travel_post_t *post,
    ngx_http_travel_redis_op_t *op);
static void ngx_http_travel_publish_sent(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


#if (TRAVEL_LIVE_MESSAGE_MAX / 2 != 32768)
#error the bound of max_body= below, and in the reference, is another
#endif

static const ngx_http_travel_param_t  ngx_http_travel_publish_params[] = {

    { "type", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_publish_t, type),
      NULL, NULL, NULL, NULL, 0 },

    { "schema", ngx_http_travel_publish_schema,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "check", ngx_http_travel_live_uri,
      offsetof(ngx_http_travel_publish_t, check),
      NULL, NULL, NULL, NULL, 0 },

    { "until", ngx_http_travel_publish_until,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "keep", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_publish_t, keep),
      "0", "10m", "60s", NULL, 0 },

    { "stream", ngx_http_travel_publish_stream,
      offsetof(ngx_http_travel_publish_t, stream),
      NULL, NULL, NULL, NULL, 0 },

    { "max_body", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_publish_t, max_body),
      "64", "32k", "4k", NULL, 0 },

      ngx_http_travel_null_param
};


/* This nginx worker's. */
static travel_json_t                    *ngx_http_travel_publish_json;
static travel_schema_run_t              *ngx_http_travel_publish_run;
static travel_siphash_key_t              ngx_http_travel_publish_key;
static ngx_http_travel_verdict_place_t  *ngx_http_travel_publish_verdicts;


/* --- configuration ------------------------------------------------------- */

char *
ngx_http_travel_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_live_loc_conf_t  *llcf = conf;

    ngx_str_t                  *value;
    ngx_http_travel_publish_t  *pub;

    (void) cmd;

    if (llcf->publish != NULL) {
        return "is duplicate";
    }

    pub = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_publish_t));
    if (pub == NULL) {
        return NGX_CONF_ERROR;
    }

    llcf->publish = pub;
    ngx_http_travel_door(cf, &pub->door);

    value = cf->args->elts;
    pub->topic = ngx_http_travel_expression(cf, &value[1]);

    if (pub->topic == NULL
        || ngx_http_travel_params_whole(cf, ngx_http_travel_publish_params, 2,
                                        pub)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (pub->type.len == 0 || pub->schema == NULL) {
        return "needs type=NAME, of the messages, and schema=FILE, of the body";
    }

    if (pub->member.len > 0 && pub->check == NULL) {
        return "needs check=URI, whose answer until= is about";
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_POST,
                                 ngx_http_travel_publish_handler);
}


static char *
ngx_http_travel_publish_stream(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    if (value->len < 8 || ngx_strncmp(value->data, "travel:", 7) != 0) {
        return "must begin with travel:";
    }

    return ngx_http_travel_param_text(cf, param, value, conf);
}


static char *
ngx_http_travel_publish_until(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *text, void *conf)
{
    ngx_http_travel_publish_t  *pub = conf;

    u_char     *value, *code, *last;
    ngx_str_t   name;

    (void) cf;
    (void) param;

    last = text->data + text->len;
    value = ngx_strlchr(text->data, last, ':');
    code = value != NULL ? ngx_strlchr(value + 1, last, ':') : NULL;

    if (code == NULL || value == text->data || code == value + 1) {
        return "must be MEMBER:VALUE:CODE, as in "
               "status:completed:JOURNEY_COMPLETED";
    }

    name.data = code + 1;
    name.len = last - name.data;
    pub->code = travel_error_by_code(ngx_http_travel_view(&name));

    if (pub->code == TRAVEL_E_NONE) {
        return "must end with a code of common/errors.def";
    }

    pub->member.data = text->data;
    pub->member.len = value - text->data;
    pub->value.data = value + 1;
    pub->value.len = code - pub->value.data;

    return NGX_CONF_OK;
}


/* A file of the catalog. */
static char *
ngx_http_travel_publish_schema(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *file, void *conf)
{
    ngx_http_travel_publish_t  *pub = conf;

    int                           rc;
    ssize_t                       n;
    ngx_fd_t                      fd;
    ngx_str_t                     path;
    travel_str_t                  text;
    ngx_file_info_t               fi;
    ngx_pool_cleanup_t           *cln;
    travel_schema_fault_t         fault;
    ngx_http_travel_main_conf_t  *tmcf;

    (void) param;

    tmcf = ngx_http_travel_main_conf(cf);

    if (tmcf->catalog.len == 0) {
        return "needs travel_catalog before it";
    }

    path.data = ngx_pnalloc(cf->pool, tmcf->catalog.len + file->len + 2);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (path.data == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    path.len = ngx_sprintf(path.data, "%V/%V%Z", &tmcf->catalog, file)
               - path.data - 1;

    fd = ngx_open_file(path.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_publish\" cannot read \"%V\"", &path);
        return NGX_CONF_ERROR;
    }

    text.len = (size_t) ngx_file_size(&fi);
    text.data = ngx_pnalloc(cf->pool, text.len + 1);
    n = text.data ? ngx_read_fd(fd, (char *) text.data, text.len) : -1;
    (void) ngx_close_file(fd);

    if (n != (ssize_t) text.len) {
        return NGX_CONF_ERROR;
    }

    rc = travel_schema_compile(&pub->schema, text, &fault);

    if (rc != TRAVEL_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V:%uz: %s", &path,
                           fault.line, rc == TRAVEL_ERROR ? "no memory"
                                                          : fault.message);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_travel_publish_unload;
    cln->data = pub->schema;

    return NGX_CONF_OK;
}


static void
ngx_http_travel_publish_unload(void *data)
{
    travel_schema_free(data);
}


/* --- life ---------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_publish_tools(void)
{
    if (ngx_http_travel_publish_verdicts != NULL) {
        return NGX_OK;
    }

    if (ngx_http_travel_publish_json == NULL) {
        ngx_http_travel_publish_json = travel_json_create(1024);
    }

    if (ngx_http_travel_publish_run == NULL) {
        ngx_http_travel_publish_run = travel_schema_run_create();
    }

    if (ngx_http_travel_publish_json == NULL
        || ngx_http_travel_publish_run == NULL
        || travel_random(&ngx_http_travel_publish_key,
                         sizeof(ngx_http_travel_publish_key))
           != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_publish_verdicts = ngx_calloc(
        NGX_HTTP_TRAVEL_PUBLISH_PLACES
        * sizeof(ngx_http_travel_verdict_place_t), ngx_cycle->log);

    return ngx_http_travel_publish_verdicts != NULL ? NGX_OK : NGX_ERROR;
}


void
ngx_http_travel_publish_stop(void)
{
    travel_json_free(ngx_http_travel_publish_json);
    travel_schema_run_free(ngx_http_travel_publish_run);
    ngx_free(ngx_http_travel_publish_verdicts);

    ngx_http_travel_publish_json = NULL;
    ngx_http_travel_publish_run = NULL;
    ngx_http_travel_publish_verdicts = NULL;
}


/* --- a request ----------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_publish_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_str_t                               topic;
    ngx_http_cleanup_t                     *cln;
    ngx_http_travel_post_t                 *post;
    const ngx_http_travel_live_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_travel_live_module);

    rc = ngx_http_travel_live_json_type(r, conf->publish->max_body);
    if (rc != NGX_OK || r->header_sent) {
        return rc;
    }

    post = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_post_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (post == NULL || cln == NULL
        || ngx_http_travel_publish_tools() != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_travel_publish_cleanup;
    cln->data = post;

    post->request = r;
    post->conf = conf->publish;
    post->ctx = ngx_http_travel_get_ctx(r);
    ngx_http_set_ctx(r, post, ngx_http_travel_live_module);

    if (post->ctx == NULL
        || ngx_http_complex_value(r, (ngx_http_complex_value_t *)
                                     post->conf->topic, &topic)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the id may be from the path, as the client writes it */
    post->topic.len = topic.len;
    post->topic.data = ngx_pnalloc(r->pool, topic.len + 1);

    if (post->topic.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_strlow(post->topic.data, topic.data, topic.len);

    if (travel_live_topic_parse(&post->parsed,
                                ngx_http_travel_view(&post->topic))
        != TRAVEL_OK || post->parsed.pattern
        || post->parsed.kind == TRAVEL_LIVE_JOB)
    {
        return ngx_http_travel_error(r, TRAVEL_E_RESOURCE_NOT_FOUND,
                                     "There is nothing by that id.");
    }

    r->request_body_in_single_buf = 1;
    rc = ngx_http_read_client_request_body(r, ngx_http_travel_publish_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_travel_publish_read(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_travel_post_t  *post;

    post = ngx_http_get_module_ctx(r, ngx_http_travel_live_module);

    rc = ngx_http_travel_publish_body(post);

    if (rc == NGX_OK && !r->header_sent) {
        rc = ngx_http_travel_publish_may(post);
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_travel_publish_body(ngx_http_travel_post_t *post)
{
    int                     rc;
    off_t                   size;
    size_t                  n;
    travel_json_error_t     err;

    static travel_schema_error_t  errors[NGX_HTTP_TRAVEL_PUBLISH_ERRORS];

    size = ngx_http_travel_received_size(post->request);

    if (size > (off_t) post->conf->max_body) {
        return ngx_http_travel_error(post->request, TRAVEL_E_PAYLOAD_TOO_LARGE,
                                     "The body may have %uz bytes.",
                                     post->conf->max_body);
    }

    post->body.len = (size_t) size;
    post->body.data = ngx_pnalloc(post->request->pool, post->body.len + 1);

    if (post->body.data == NULL
        || ngx_http_travel_received_copy(post->request, post->body.data)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = travel_json_parse(ngx_http_travel_publish_json,
                           ngx_http_travel_view(&post->body), 16, &err);

    if (rc == TRAVEL_INVALID) {
        return ngx_http_travel_error(post->request, err.kind, "%s",
                                     err.message);
    }

    n = 0;

    if (rc == TRAVEL_OK) {
        rc = travel_schema_check(post->conf->schema,
                                 ngx_http_travel_publish_json,
                                 ngx_http_travel_publish_run, errors,
                                 NGX_HTTP_TRAVEL_PUBLISH_ERRORS, &n);
    }

    return rc == TRAVEL_OK ? NGX_OK
           : rc == TRAVEL_REFUSED
             ? ngx_http_travel_publish_refuse(post, errors, n)
             : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static travel_str_t
ngx_http_travel_publish_copy(ngx_http_travel_post_t *post, const char *text)
{
    size_t   len;
    u_char  *p;

    len = ngx_strlen(text);
    p = ngx_pnalloc(post->request->pool, len + 1);

    if (p == NULL) {
        return TRAVEL_STR("");
    }

    ngx_memcpy(p, text, len);

    return (travel_str_t) { (char *) p, len };
}


static ngx_int_t
ngx_http_travel_publish_refuse(ngx_http_travel_post_t *post,
    travel_schema_error_t *errors, size_t n)
{
    size_t                     i;
    ngx_http_travel_detail_t  *details;

    details = ngx_pcalloc(post->request->pool,
                          (n + 1) * sizeof(ngx_http_travel_detail_t));
    if (details == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        details[i].pointer = ngx_http_travel_publish_copy(post,
                                                          errors[i].pointer);
        details[i].code = ngx_http_travel_publish_copy(post, errors[i].code);
        details[i].message = ngx_http_travel_publish_copy(post,
                                                          errors[i].message);
        details[i].schema = ngx_http_travel_publish_copy(post,
                                                         errors[i].schema);
    }

    return ngx_http_travel_error_details(post->request,
                                         TRAVEL_E_VALIDATION_ERROR, details, n,
                                         "The body does not satisfy the "
                                         "schema.");
}


/* --- may he? ------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_publish_may(ngx_http_travel_post_t *post)
{
    ngx_http_travel_verdict_place_t  *place;

    if (post->conf->check == NULL) {
        return ngx_http_travel_publish_send(post);
    }

    post->hash = travel_siphash(&ngx_http_travel_publish_key,
                                post->topic.data, post->topic.len)
                 ^ 3 * travel_siphash(&ngx_http_travel_publish_key,
                                      post->ctx->user.data,
                                      post->ctx->user.len);

    place = &ngx_http_travel_publish_verdicts[
                post->hash % NGX_HTTP_TRAVEL_PUBLISH_PLACES];

    if (place->hash == post->hash
        && (ngx_msec_int_t) (place->until - ngx_current_msec) > 0)
    {
        return ngx_http_travel_publish_send(post);
    }

    return ngx_http_travel_live_ask(post->request, (ngx_http_travel_door_t *)
                                                   &post->conf->door,
                                    post->conf->check,
                                    ngx_http_travel_publish_asked, post,
                                    &post->asking);
}


static void
ngx_http_travel_publish_asked(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    ngx_int_t                         rc;
    ngx_http_request_t               *r;
    ngx_http_travel_post_t           *post = data;
    ngx_http_travel_verdict_place_t  *place;

    (void) inner;

    post->asking = NULL;
    r = post->request;
    ngx_http_set_log_request(r->connection->log, r);

    rc = ngx_http_travel_live_verdict(r, status);

    if (rc == NGX_OK && post->conf->member.len > 0) {
        rc = ngx_http_travel_publish_over(post, body);
    }

    if (rc == NGX_OK && !r->header_sent) {
        place = &ngx_http_travel_publish_verdicts[
                    post->hash % NGX_HTTP_TRAVEL_PUBLISH_PLACES];
        place->hash = post->hash;
        place->until = ngx_current_msec + post->conf->keep;

        rc = ngx_http_travel_publish_send(post);
    }

    ngx_http_travel_finish(r, rc);
}


/* Whether what it is about has come to its end: by the answer to 'check'. */
static ngx_int_t
ngx_http_travel_publish_over(ngx_http_travel_post_t *post, ngx_str_t *body)
{
    int                               rc;
    travel_json_error_t               err;
    const travel_json_node_t         *node;
    const ngx_http_travel_publish_t  *conf;

    conf = post->conf;
    rc = travel_json_parse(ngx_http_travel_publish_json,
                           ngx_http_travel_view(body), 0, &err);

    if (rc != TRAVEL_OK
        || travel_json_nodes(ngx_http_travel_publish_json)->type
           != TRAVEL_JSON_OBJECT)
    {
        return ngx_http_travel_error(post->request,
                                     TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "Whether the caller may cannot be told "
                                     "now.");
    }

    node = travel_json_member(ngx_http_travel_publish_json, 0,
                              ngx_http_travel_view(&conf->member));

    if (node == NULL || node->type != TRAVEL_JSON_STRING
        || node->text.len != conf->value.len
        || ngx_memcmp(node->text.data, conf->value.data, conf->value.len) != 0)
    {
        return NGX_OK;
    }

    return ngx_http_travel_error(post->request, conf->code,
                                 "Its %V is %V: nothing more can be told "
                                 "of it.", &conf->member, &conf->value);
}


static void
ngx_http_travel_publish_cleanup(void *data)
{
    ngx_http_travel_post_t  *post = data;

    if (post->asking != NULL) {
        ngx_http_travel_inner_cancel(post->asking);
        post->asking = NULL;
    }
}


/* --- out ----------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_publish_send(ngx_http_travel_post_t *post)
{
    size_t                       len[3];
    u_char                       channel[sizeof(TRAVEL_LIVE_PREFIX)
                                         + TRAVEL_LIVE_TOPIC_MAX];
    ngx_str_t                    message;
    const char                  *argv[3];
    ngx_http_travel_redis_op_t  *op;

    message = ngx_http_travel_publish_message(post);
    op = message.len > 0
         ? ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, post->request,
                                    0, ngx_http_travel_publish_sent, post)
         : NULL;

    if (op == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = "PUBLISH";
    len[0] = 7;
    argv[1] = (char *) channel;
    len[1] = ngx_sprintf(channel, TRAVEL_LIVE_PREFIX "%V", &post->topic)
             - channel;
    argv[2] = (char *) message.data;
    len[2] = message.len;

    /* what is to be stored goes first: it is what must not be lost */

    post->answers = post->conf->stream.len > 0 ? 2 : 1;

    if ((post->conf->stream.len > 0
         && ngx_http_travel_publish_append(post, op) != NGX_OK)
        || ngx_http_travel_redis_command(op, 3, argv, len) != NGX_OK)
    {
        return ngx_http_travel_error(post->request,
                                     TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "Nothing can be published now.");
    }

    post->request->main->count++;

    return NGX_DONE;
}


/* "- {"type":..,"aggregate":{..},"data":..,"ts":..}" */
static ngx_str_t
ngx_http_travel_publish_message(ngx_http_travel_post_t *post)
{
    char                   stamp[TRAVEL_TIMESTAMP_LEN];
    size_t                 room, skip;
    ngx_str_t              message;
    ngx_time_t            *tp;
    travel_json_writer_t   json;

    static const char *const  kinds[] = { "user", "journey", "job", "system" };

    tp = ngx_timeofday();
    travel_timestamp_format(stamp, (uint64_t) tp->sec * 1000 + tp->msec);

    skip = sizeof(TRAVEL_LIVE_PASSING) - 1;
    room = post->body.len + 6 * (post->conf->type.len + post->topic.len) + 256;

    message.len = 0;
    message.data = ngx_pnalloc(post->request->pool, skip + room);

    if (message.data == NULL) {
        return message;
    }

    ngx_memcpy(message.data, TRAVEL_LIVE_PASSING, skip);

    travel_json_writer_init(&json, (char *) message.data + skip, room);
    travel_json_object(&json);
    travel_json_member_string(&json, "type",
                              ngx_http_travel_view(&post->conf->type));
    travel_json_key(&json, TRAVEL_STR("aggregate"));
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", kinds[post->parsed.kind]);
    travel_json_member_string(&json, "id", post->parsed.id);
    travel_json_object_end(&json);
    travel_json_key(&json, TRAVEL_STR("data"));
    travel_json_raw(&json, ngx_http_travel_view(&post->body));
    travel_json_member_string(&json, "ts", (travel_str_t) {
                              stamp, sizeof(stamp) });
    travel_json_object_end(&json);

    room = travel_json_writer_finish(&json);
    message.len = room > 0 ? skip + room : 0;

    return message;
}


static ngx_int_t
ngx_http_travel_publish_append(ngx_http_travel_post_t *post,
    ngx_http_travel_redis_op_t *op)
{
    size_t       len[12];
    ngx_uint_t   n;
    const char  *argv[12];

#define PIECE(text, size)  (argv[n] = (const char *) (text), len[n++] = (size))

    n = 0;
    PIECE("XADD", 4);
    PIECE(post->conf->stream.data, post->conf->stream.len);
    PIECE("MAXLEN", 6);
    PIECE("~", 1);
    PIECE(NGX_HTTP_TRAVEL_PUBLISH_STREAM,
          sizeof(NGX_HTTP_TRAVEL_PUBLISH_STREAM) - 1);
    PIECE("*", 1);
    PIECE("id", 2);
    PIECE(post->parsed.id.data, post->parsed.id.len);
    PIECE("sub", 3);
    PIECE(post->ctx->user.data, post->ctx->user.len);
    PIECE("m", 1);
    PIECE(post->body.data, post->body.len);

#undef PIECE

    return ngx_http_travel_redis_command(op, n, argv, len);
}


static void
ngx_http_travel_publish_sent(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_travel_post_t  *post = op->data;

    r = post->request;

    if (post->answers == 0) {
        return;
    }

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_ERROR)
    {
        post->answers = 0;
        ngx_http_travel_finish(r, ngx_http_travel_error(r,
                                      TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                      "Nothing can be published now."));
        return;
    }

    if (i + 1 < post->answers) {
        return;
    }

    post->answers = 0;
    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;
    rc = ngx_http_send_header(r);

    ngx_http_travel_finish(r, rc);
}
