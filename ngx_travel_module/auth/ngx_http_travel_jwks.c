/*
 * Key sets: the directive, and those from files (from a URL: jwks_source).
 *
 * A set is read at configuration time, where a broken file fails the start.
 * After the fork every worker owns its copy: once a second it looks at the
 * file's identity, and when that changed reads it and swaps the keys.
 * Verification is synchronous, so nobody holds the old keys across a swap.  A
 * file that cannot be used is logged once per change and the last good keys
 * stay.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_JWKS_FILE_MAX  (1024 * 1024)

typedef struct {
    u_char           *text;             /* malloc'ed, NUL-terminated */
    size_t            len;
    uint64_t          digest;
    ngx_file_info_t   info;
} ngx_http_travel_jwks_text_t;


static const char *ngx_http_travel_jwks_first(ngx_http_travel_jwks_t *jwks);
static char *ngx_http_travel_jwks_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_jwks_allow(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_jwks_algs(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *names, void *conf);
static ngx_int_t ngx_http_travel_jwks_rule(ngx_http_travel_jwks_t *jwks);
static ngx_int_t ngx_http_travel_jwks_digest(
    const ngx_http_travel_jwks_t *jwks, travel_str_t text,
    uint64_t *ret_digest);
static const char *ngx_http_travel_jwks_read(ngx_http_travel_jwks_t *jwks,
    ngx_http_travel_jwks_text_t *ret_text);
static const char *ngx_http_travel_jwks_slurp(ngx_fd_t fd,
    ngx_http_travel_jwks_text_t *text);
static void ngx_http_travel_jwks_note(ngx_http_travel_jwks_t *jwks,
    const ngx_file_info_t *info);
static ngx_uint_t ngx_http_travel_jwks_changed(
    const ngx_http_travel_jwks_t *jwks, const ngx_file_info_t *info);
static void ngx_http_travel_jwks_cleanup(void *data);


/* A line of the configuration: the set, and where its keys come from. */
typedef struct {
    ngx_http_travel_jwks_t         set;
    ngx_http_travel_jwks_source_t  source;
} ngx_http_travel_jwks_line_t;


static const ngx_http_travel_param_t  ngx_http_travel_jwks_params[] = {

    { "file", ngx_http_travel_jwks_file,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "url", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_jwks_line_t, source.place.url),
      NULL, NULL, NULL, NULL, 0 },

    { "issuer", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_jwks_line_t, set.issuer),
      NULL, NULL, NULL, NULL, 0 },

    { "algs", ngx_http_travel_jwks_algs,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "allow", ngx_http_travel_jwks_allow,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "ours", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_jwks_line_t, set.ours),
      NULL, NULL, NULL, NULL, 0 },

    { "user_id", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_jwks_line_t, set.user_id),
      NULL, NULL, NULL, NULL, 0 },

    { "refresh", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_jwks_line_t, source.refresh),
      "1s", "7d", "10m", NULL, 0 },

    { "grace", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_jwks_line_t, source.grace),
      "0", "30d", "1d", NULL, 0 },

    { "cooldown", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_jwks_line_t, source.cooldown),
      "1s", "1h", "30s", NULL, 0 },

    { "timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_jwks_line_t, source.place.timeout),
      "100ms", "1m", "5s", NULL, 0 },

    { "wait", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_jwks_line_t, source.wait),
      "0", "5s", "1s", NULL, 0 },

    { "max_size", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_jwks_line_t, source.place.max),
      "1k", "1m", "256k", NULL, 0 },

    { "ca", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_jwks_line_t, source.place.ca),
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_jwks_directive(ngx_conf_t *cf, ngx_array_t *sets)
{
    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    const char                   *why;
    ngx_pool_cleanup_t           *cln;
    ngx_http_travel_jwks_t      **set, *jwks;
    ngx_http_travel_jwks_line_t  *line;

    value = cf->args->elts;
    set = sets->elts;

    for (i = 0; i < sets->nelts; i++) {
        if (set[i]->name.len == value[1].len
            && ngx_strncmp(set[i]->name.data, value[1].data, value[1].len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_jwks\" \"%V\" is set twice, give each "
                               "set a name of its own", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    line = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_jwks_line_t));
    set = ngx_array_push(sets);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (line == NULL || set == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    jwks = &line->set;
    *set = jwks;
    jwks->name = value[1];
    jwks->algs = TRAVEL_ALG_PUBLIC_MASK;
    jwks->source = &line->source;

    cln->handler = ngx_http_travel_jwks_cleanup;
    cln->data = jwks;

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_jwks_params, 2, line)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_travel_jwks_source_check(cf, jwks);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_travel_jwks_rule(jwks) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (jwks->source != NULL) {
        return NGX_CONF_OK;
    }

    why = ngx_http_travel_jwks_first(jwks);

    if (why != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_jwks\" \"%V\": file \"%V\": %s",
                           &jwks->name, &jwks->file, why);
        return NGX_CONF_ERROR;
    }

    if (travel_jwks_skipped(jwks->keys)) {
        ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0,
                           "\"travel_jwks\" \"%V\": %uz of the keys in \"%V\" "
                           "cannot be used here", &jwks->name,
                           travel_jwks_skipped(jwks->keys), &jwks->file);
    }

    return NGX_CONF_OK;
}


/* The keys at configuration time; NULL, or what is wrong. */
static const char *
ngx_http_travel_jwks_first(ngx_http_travel_jwks_t *jwks)
{
    int                           rc;
    const char                   *why;
    ngx_http_travel_jwks_text_t   text;

    why = ngx_http_travel_jwks_read(jwks, &text);
    if (why != NULL) {
        return why;
    }

    ngx_http_travel_jwks_note(jwks, &text.info);
    jwks->seen = text.digest;
    jwks->digest = text.digest;

    rc = travel_jwks_load(&jwks->keys,
                          (travel_str_t) { (char *) text.text, text.len },
                          jwks->algs, &why);
    ngx_free(text.text);

    if (rc != TRAVEL_OK) {
        jwks->keys = NULL;
        return why;
    }

    return NULL;
}


static char *
ngx_http_travel_jwks_file(ngx_conf_t *cf, const ngx_http_travel_param_t *param,
    ngx_str_t *value, void *conf)
{
    ngx_http_travel_jwks_line_t  *line = conf;

    (void) param;

    line->set.file = *value;

    return ngx_conf_full_name(cf->cycle, &line->set.file, 1) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_jwks_allow(ngx_conf_t *cf, const ngx_http_travel_param_t *param,
    ngx_str_t *value, void *conf)
{
    ngx_http_travel_jwks_line_t  *line = conf;

    (void) cf;
    (void) param;

    if (value->len != 2 || ngx_strncmp(value->data, "hs", 2) != 0) {
        return "must be allow=hs";
    }

    line->set.algs |= TRAVEL_ALG_HS_MASK;

    return NGX_CONF_OK;
}


/* algs= narrows the public-key algorithms; HS is allow=hs's business only. */
static char *
ngx_http_travel_jwks_algs(ngx_conf_t *cf, const ngx_http_travel_param_t *param,
    ngx_str_t *names, void *conf)
{
    ngx_http_travel_jwks_line_t  *line = conf;

    u_char        *p, *end, *last;
    uint32_t       algs;
    ngx_uint_t     i;

    (void) cf;
    (void) param;

    algs = 0;
    last = names->data + names->len;

    for (p = names->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        for (i = 0; i < TRAVEL_ALG_MAX; i++) {
            if (ngx_strlen(travel_alg_name(i)) == (size_t) (end - p)
                && ngx_memcmp(travel_alg_name(i), p, end - p) == 0
                && (TRAVEL_ALG_BIT(i) & TRAVEL_ALG_PUBLIC_MASK))
            {
                algs |= TRAVEL_ALG_BIT(i);
                break;
            }
        }

        if (i == TRAVEL_ALG_MAX) {
            algs = 0;
            break;
        }
    }

    if (algs == 0) {
        return "must list public-key algorithms, as in "
               "algs=ES256,RS256,EdDSA";
    }

    line->set.algs = (line->set.algs & TRAVEL_ALG_HS_MASK) | algs;

    return NGX_CONF_OK;
}


/*
 * A set of ours that names no issuer gets our name; naming our issuer makes
 * the set ours.  The rule is what a remembered user was derived under.
 */
static ngx_int_t
ngx_http_travel_jwks_rule(ngx_http_travel_jwks_t *jwks)
{
    uint8_t           md[TRAVEL_SHA256_LEN];
    travel_str_t      part[3];

    static ngx_str_t  our = ngx_string(NGX_HTTP_TRAVEL_OUR_ISSUER);

    if (jwks->issuer.len == 0 && jwks->ours) {
        jwks->issuer = our;
    }

    if (jwks->issuer.len == our.len
        && ngx_strncmp(jwks->issuer.data, our.data, our.len) == 0)
    {
        jwks->ours = 1;
    }

    part[0] = ngx_http_travel_view(&jwks->name);
    part[1] = ngx_http_travel_view(&jwks->issuer);
    part[2].data = jwks->ours ? (jwks->user_id ? "ou" : "o")
                              : (jwks->user_id ? "u" : "");
    part[2].len = ngx_strlen(part[2].data);

    if (travel_sha256_parts(md, part, 3) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&jwks->rule, md, sizeof(jwks->rule));
    jwks->rule |= 1;

    return NGX_OK;
}


void
ngx_http_travel_jwks_refresh(ngx_http_travel_jwks_t *jwks, ngx_log_t *log)
{
    const char                   *why;
    travel_jwks_t                *keys;
    ngx_file_info_t               info;
    ngx_http_travel_jwks_text_t   text;

    if (ngx_file_info(jwks->file.data, &info) == NGX_FILE_ERROR) {
        ngx_memzero(&info, sizeof(info));
    }

    if (!ngx_http_travel_jwks_changed(jwks, &info)) {
        return;
    }

    ngx_http_travel_jwks_note(jwks, &info);

    why = ngx_http_travel_jwks_read(jwks, &text);

    if (why != NULL) {
        jwks->seen = 0;
        jwks->racy = 0;
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "travel_jwks \"%V\": file \"%V\": %s, going on with the "
                      "keys read before", &jwks->name, &jwks->file, why);
        return;
    }

    if (text.digest == jwks->seen) {
        ngx_free(text.text);
        return;
    }

    jwks->seen = text.digest;

    if (travel_jwks_load(&keys,
                         (travel_str_t) { (char *) text.text, text.len },
                         jwks->algs, &why)
        != TRAVEL_OK)
    {
        ngx_free(text.text);
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "travel_jwks \"%V\": file \"%V\": %s, going on with the "
                      "keys read before", &jwks->name, &jwks->file, why);
        return;
    }

    ngx_free(text.text);

    travel_jwks_free(jwks->keys);
    jwks->keys = keys;
    jwks->digest = text.digest;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "travel_jwks \"%V\": %uz keys read from \"%V\"", &jwks->name,
                  travel_jwks_count(keys), &jwks->file);
}


const char *
ngx_http_travel_jwks_load(ngx_http_travel_jwks_t *jwks, travel_str_t text,
    travel_jwks_t **ret_keys, uint64_t *ret_digest)
{
    const char  *why;

    if (ngx_http_travel_jwks_digest(jwks, text, ret_digest) != NGX_OK) {
        return "it could not be hashed";
    }

    return (travel_jwks_load(ret_keys, text, jwks->algs, &why) == TRAVEL_OK)
           ? NULL : why;
}


/* The same text is another set of keys where other algorithms are used. */
static ngx_int_t
ngx_http_travel_jwks_digest(const ngx_http_travel_jwks_t *jwks,
    travel_str_t text, uint64_t *ret_digest)
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    travel_str_t  part[2];

    part[0] = text;
    part[1] = (travel_str_t) { (char *) &jwks->algs, sizeof(jwks->algs) };

    if (travel_sha256_parts(md, part, 2) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(ret_digest, md, sizeof(*ret_digest));

    return NGX_OK;
}


ngx_uint_t
ngx_http_travel_jwks_holds(const ngx_http_travel_jwks_t *jwks,
    const uint8_t *thumbprint)
{
    size_t  i, n;

    n = travel_jwks_count(jwks->keys);

    for (i = 0; i < n; i++) {
        if (ngx_memcmp(travel_jwks_thumbprint(jwks->keys, i), thumbprint,
                       TRAVEL_THUMBPRINT_LEN)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


static const char *
ngx_http_travel_jwks_read(ngx_http_travel_jwks_t *jwks,
    ngx_http_travel_jwks_text_t *ret_text)
{
    ngx_fd_t                      fd;
    const char                   *why;
    ngx_http_travel_jwks_text_t   text;

    fd = ngx_open_file(jwks->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return (ngx_errno == NGX_ENOENT) ? "it does not exist"
                                         : "it cannot be opened";
    }

    why = ngx_http_travel_jwks_slurp(fd, &text);

    (void) ngx_close_file(fd);

    if (why != NULL) {
        return why;
    }

    if (ngx_http_travel_jwks_digest(jwks, (travel_str_t) {
                                    (char *) text.text, text.len },
                                    &text.digest)
        != NGX_OK)
    {
        ngx_free(text.text);
        return "it could not be hashed";
    }

    *ret_text = text;

    return NULL;
}


static const char *
ngx_http_travel_jwks_slurp(ngx_fd_t fd, ngx_http_travel_jwks_text_t *text)
{
    size_t   size;
    ssize_t  n;

    if (ngx_fd_info(fd, &text->info) == NGX_FILE_ERROR) {
        return "it cannot be looked at";
    }

    if (!ngx_is_file(&text->info)) {
        return "it is not a file";
    }

    if (ngx_file_size(&text->info) > NGX_HTTP_TRAVEL_JWKS_FILE_MAX) {
        return "it is larger than 1 MB";
    }

    size = (size_t) ngx_file_size(&text->info);

    text->text = ngx_alloc(size + 1, ngx_cycle->log);
    if (text->text == NULL) {
        return "there is no memory for it";
    }

    for (text->len = 0; text->len < size; text->len += n) {
        n = ngx_read_fd(fd, text->text + text->len, size - text->len);

        if (n <= 0) {
            ngx_free(text->text);
            return "it cannot be read";
        }
    }

    text->text[size] = '\0';

    return NULL;
}


#if (NGX_LINUX)
#define ngx_http_travel_mtime_ns(info)  ((ngx_uint_t) (info)->st_mtim.tv_nsec)
#else
#define ngx_http_travel_mtime_ns(info)  0
#endif


/*
 * A file read within a second of its change may change again without its time
 * showing it: such a file is read once more.
 */
static void
ngx_http_travel_jwks_note(ngx_http_travel_jwks_t *jwks,
    const ngx_file_info_t *info)
{
    jwks->mtime = ngx_file_mtime(info);
    jwks->mtime_ns = ngx_http_travel_mtime_ns(info);
    jwks->size = ngx_file_size(info);
    jwks->uniq = ngx_file_uniq(info);
    jwks->racy = (jwks->mtime != 0 && jwks->mtime >= ngx_time() - 1);
}


static ngx_uint_t
ngx_http_travel_jwks_changed(const ngx_http_travel_jwks_t *jwks,
    const ngx_file_info_t *info)
{
    return jwks->racy
           || jwks->mtime != ngx_file_mtime(info)
           || jwks->mtime_ns != ngx_http_travel_mtime_ns(info)
           || jwks->size != ngx_file_size(info)
           || jwks->uniq != ngx_file_uniq(info);
}


static void
ngx_http_travel_jwks_cleanup(void *data)
{
    ngx_http_travel_jwks_t  *jwks = data;

    travel_jwks_free(jwks->keys);
    jwks->keys = NULL;
}
