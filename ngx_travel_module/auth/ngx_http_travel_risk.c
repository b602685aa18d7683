/*
 * How unlike its user is this request, and what follows?
 *
 * The access handler runs after auth's.  It asks for no more than is there: no
 * database, no place; no user, nothing but the address.  A request is judged
 * once; after an internal redirect the new location's rules are applied to the
 * score that it has.
 *
 * What is over the threshold teaches nothing, unless the mode is to report or
 * the token answers the challenge: then place and device are the user's.
 */

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_RISK_DEVICE     1024     /* bytes that are hashed */


static ngx_int_t ngx_http_travel_risk_judge(ngx_http_request_t *r,
    const ngx_http_travel_risk_t *risk, ngx_http_travel_risk_record_t *record);
static uint64_t ngx_http_travel_risk_device(ngx_http_request_t *r,
    const ngx_http_travel_risk_main_conf_t *rmcf);
static u_char *ngx_http_travel_risk_words(u_char *p, u_char *last,
    const ngx_str_t *text);
static ngx_int_t ngx_http_travel_risk_reasons(ngx_http_request_t *r,
    const ngx_http_travel_risk_t *risk, const travel_risk_verdict_t *verdict,
    ngx_http_travel_risk_record_t *record);
static ngx_http_travel_risk_result_e ngx_http_travel_risk_decide(
    const ngx_http_travel_risk_t *risk,
    const ngx_http_travel_risk_record_t *record);
static ngx_uint_t ngx_http_travel_risk_failed(ngx_http_request_t *r,
    const ngx_http_travel_ctx_t *ctx);


/* --- travel_risk --------------------------------------------------------- */

static const ngx_http_travel_param_t  ngx_http_travel_risk_params[] = {

    { "mode", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_risk_t, mode),
      NULL, NULL, "report", "report|challenge|block", 0 },

    { "threshold", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, threshold),
      "0.01", "1", "0.8", NULL, 0 },

    { "travel", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, rule.weight[TRAVEL_RISK_TRAVEL]),
      "0", "1", "0.85", NULL, 0 },

    { "country", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, rule.weight[TRAVEL_RISK_COUNTRY]),
      "0", "1", "0.4", NULL, 0 },

    { "device", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, rule.weight[TRAVEL_RISK_DEVICE]),
      "0", "1", "0.4", NULL, 0 },

    { "failures", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, rule.weight[TRAVEL_RISK_FAILURES]),
      "0", "1", "0.6", NULL, 0 },

    { "hours", ngx_http_travel_param_share,
      offsetof(ngx_http_travel_risk_t, rule.weight[TRAVEL_RISK_HOURS]),
      "0", "1", "0.2", NULL, 0 },

    { "speed", ngx_http_travel_param_real,
      offsetof(ngx_http_travel_risk_t, rule.speed),
      "1", "100000", "1000", "km/h", 0 },

    { "acr", ngx_http_travel_stepup_acr,
      offsetof(ngx_http_travel_risk_t, stepup),
      NULL, NULL, NULL, NULL, 0 },

    { "max_age", ngx_http_travel_param_sec,
      offsetof(ngx_http_travel_risk_t, stepup.max_age),
      "0", "30d", "5m", NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_risk_directive(ngx_conf_t *cf, ngx_http_travel_risk_t *risk)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    risk->on = 1;

    return ngx_http_travel_params_whole(cf, ngx_http_travel_risk_params, 1,
                                        risk);
}


/* --- the request --------------------------------------------------------- */

ngx_int_t
ngx_http_travel_risk_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_travel_risk_t            *risk;
    ngx_http_travel_risk_result_e      result;
    ngx_http_travel_risk_record_t     *record;
    ngx_http_travel_auth_loc_conf_t   *alcf;
    ngx_http_travel_risk_loc_conf_t   *rlcf;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    static const char  *done[] = { NULL, "reported", "challenged",
                                   "stepped up", "blocked" };

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_risk_module);
    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);

    if (alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF) {
        return NGX_DECLINED;
    }

    if (rlcf->stepup != NULL) {
        ngx_http_travel_count(rmcf->stepups[0], 1);

        if (!ngx_http_travel_stepup_met(r, rlcf->stepup)) {
            return ngx_http_travel_stepup_refuse(r, rlcf->stepup);
        }

        ngx_http_travel_count(rmcf->stepups[1], 1);
    }

    risk = rlcf->risk;

    if (risk == NULL || !risk->on) {
        return NGX_DECLINED;
    }

    record = ngx_http_travel_risk_record(r);
    if (record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_risk_judge(r, risk, record);
    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    result = ngx_http_travel_risk_decide(risk, record);
    ngx_http_travel_count(rmcf->results[result], 1);

    if (result == NGX_HTTP_TRAVEL_RISK_PASSED) {
        return NGX_DECLINED;
    }

    if (ngx_http_travel_client_text(r, record) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "travel_risk: %s %.2f (%V) from %V in \"%V\"",
                  done[result], record->score, &record->reasons, &record->text,
                  &record->country);

    switch (result) {

    case NGX_HTTP_TRAVEL_RISK_CHALLENGED:
        return ngx_http_travel_stepup_refuse(r, &risk->stepup);

    case NGX_HTTP_TRAVEL_RISK_BLOCKED:
        rc = ngx_http_travel_leave(r, TRAVEL_E_RISK_TOO_HIGH);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_travel_refuse(r,
                   ngx_http_travel_error(r, TRAVEL_E_RISK_TOO_HIGH,
                                         "This request is too unlike what is "
                                         "known of its user."));

    default:
        return NGX_DECLINED;
    }
}


static ngx_http_travel_risk_result_e
ngx_http_travel_risk_decide(const ngx_http_travel_risk_t *risk,
    const ngx_http_travel_risk_record_t *record)
{
    if (record->score < risk->threshold) {
        return NGX_HTTP_TRAVEL_RISK_PASSED;
    }

    switch (risk->mode) {

    case NGX_HTTP_TRAVEL_RISK_CHALLENGE:
        return record->satisfied ? NGX_HTTP_TRAVEL_RISK_STEPPED_UP
                                 : NGX_HTTP_TRAVEL_RISK_CHALLENGED;

    case NGX_HTTP_TRAVEL_RISK_BLOCK:
        return NGX_HTTP_TRAVEL_RISK_BLOCKED;

    default:
        return NGX_HTTP_TRAVEL_RISK_REPORTED;
    }
}


/* Fills score and reasons, once a request. */
static ngx_int_t
ngx_http_travel_risk_judge(ngx_http_request_t *r,
    const ngx_http_travel_risk_t *risk, ngx_http_travel_risk_record_t *record)
{
    ngx_uint_t                         known, learn, evicted, news;
    travel_uuid_t                      user;
    ngx_http_travel_ctx_t             *ctx;
    travel_risk_verdict_t              verdict;
    travel_risk_sighting_t             sighting;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (risk->mode == NGX_HTTP_TRAVEL_RISK_CHALLENGE) {
        record->satisfied = ngx_http_travel_stepup_met(r, &risk->stepup);
    }

    if (record->judged) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || ngx_http_travel_locate(r, record) != NGX_OK) {
        return NGX_ERROR;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);

    ngx_memzero(&sighting, sizeof(sighting));

    sighting.now = ngx_time();
    sighting.country = travel_risk_country(
                           ngx_http_travel_view(&record->country));
    sighting.placed = record->placed;
    sighting.lat = record->lat;
    sighting.lon = record->lon;
    sighting.radius = record->radius;

    if (!record->local) {
        sighting.failures = ngx_http_travel_sightings_failures(rmcf->zone,
                                &record->address, sighting.now);
    }

    known = ctx->authenticated
            && travel_uuid_parse(&user, ngx_http_travel_view(&ctx->user))
               == TRAVEL_OK;

    if (known) {
        sighting.device = ngx_http_travel_risk_device(r, rmcf);
    }

    learn = (risk->mode == NGX_HTTP_TRAVEL_RISK_REPORT || record->satisfied);

    evicted = ngx_http_travel_sightings_judge(rmcf->zone, known ? &user : NULL,
                                              risk, &sighting, learn,
                                              &verdict, &news);

    if (news && rmcf->shared) {
        ngx_http_travel_risk_tell(&user, &sighting);
    }

    if (evicted != 0) {
        ngx_http_travel_count(rmcf->evicted, evicted);
    }

    record->score = verdict.score;
    record->judged = 1;

    return ngx_http_travel_risk_reasons(r, risk, &verdict, record);
}


/* "travel,device": the signals that made the score. */
static ngx_int_t
ngx_http_travel_risk_reasons(ngx_http_request_t *r,
    const ngx_http_travel_risk_t *risk, const travel_risk_verdict_t *verdict,
    ngx_http_travel_risk_record_t *record)
{
    u_char                            *p;
    ngx_uint_t                         i;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    ngx_str_null(&record->reasons);

    if (verdict->score <= 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, TRAVEL_RISK_SIGNALS * sizeof("failures"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);
    record->reasons.data = p;

    for (i = 0; i < TRAVEL_RISK_SIGNALS; i++) {

        if (verdict->signal[i] * risk->rule.weight[i] <= 0) {
            continue;
        }

        ngx_http_travel_count(rmcf->signals[i], 1);

        p = ngx_sprintf(p, "%s%s", p == record->reasons.data ? "" : ",",
                        travel_risk_signal_name(i));
    }

    record->reasons.len = p - record->reasons.data;

    return NGX_OK;
}


/*
 * The User-Agent and the hints that do not change by themselves, without
 * figures: the next version of a browser is the same device.
 */
static uint64_t
ngx_http_travel_risk_device(ngx_http_request_t *r,
    const ngx_http_travel_risk_main_conf_t *rmcf)
{
    u_char      *p, *last, buf[NGX_HTTP_TRAVEL_RISK_DEVICE];
    uint64_t     hash;
    ngx_str_t   *text;
    ngx_uint_t   i;

    static ngx_str_t  hints[] = {
        ngx_string("sec-ch-ua-platform"), ngx_string("sec-ch-ua-model"),
        ngx_string("sec-ch-ua-mobile")
    };

    p = buf;
    last = buf + sizeof(buf);

    if (r->headers_in.user_agent != NULL) {
        p = ngx_http_travel_risk_words(p, last,
                                       &r->headers_in.user_agent->value);
    }

    for (i = 0; i < 3; i++) {

        if (p < last) {
            *p++ = '\n';
        }

        text = ngx_http_travel_header_in(r, (char *) hints[i].data,
                                         hints[i].len);
        if (text != NULL) {
            p = ngx_http_travel_risk_words(p, last, text);
        }
    }

    if (!rmcf->shared) {
        return ngx_http_travel_sightings_hash(rmcf->zone, buf, p - buf);
    }

    hash = travel_siphash(&rmcf->device, buf, p - buf);

    return hash ? hash : 1;
}


static u_char *
ngx_http_travel_risk_words(u_char *p, u_char *last, const ngx_str_t *text)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < text->len && p < last; i++) {
        c = text->data[i];

        if ((c < '0' || c > '9') && c != '.' && c != '_') {
            *p++ = c;
        }
    }

    return p;
}


/* --- refused credentials ------------------------------------------------- */

void
ngx_http_travel_risk_suspect(ngx_http_request_t *r, const u_char *user)
{
    travel_str_t                       text;
    ngx_http_travel_risk_record_t     *record;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);

    if (rmcf->zone == NULL) {
        return;
    }

    record = ngx_http_travel_risk_record(r);

    text.data = (const char *) user;
    text.len = TRAVEL_UUID_TEXT_LEN;

    if (record != NULL
        && travel_uuid_parse(&record->suspect, text) == TRAVEL_OK)
    {
        record->suspected = 1;
    }
}


ngx_int_t
ngx_http_travel_risk_log_handler(ngx_http_request_t *r)
{
    travel_uuid_t                     *user;
    ngx_http_travel_ctx_t             *ctx;
    ngx_http_travel_risk_record_t     *record;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (r != r->main || r->headers_out.status != NGX_HTTP_UNAUTHORIZED) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || !ngx_http_travel_risk_failed(r, ctx)) {
        return NGX_OK;
    }

    record = ngx_http_travel_risk_record(r);

    if (record == NULL) {
        return NGX_OK;
    }

    ngx_http_travel_client(r, record);

    if (record->local) {
        return NGX_OK;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);
    user = record->suspected ? &record->suspect : NULL;

    if (user == NULL && ctx->authenticated
        && travel_uuid_parse(&record->suspect, ngx_http_travel_view(&ctx->user))
           == TRAVEL_OK)
    {
        user = &record->suspect;
    }

    ngx_http_travel_count(rmcf->failures, 1);
    ngx_http_travel_sightings_failed(rmcf->zone, &record->address, user,
                                     ngx_time());

    return NGX_OK;
}


/*
 * Was a credential refused?  Ours: a token that is not good; an expired one is
 * everyday, and who had none or is asked for a better one has not failed.  An
 * upstream's, or nginx's own: it was in the header, or posted by a form.
 */
static ngx_uint_t
ngx_http_travel_risk_failed(ngx_http_request_t *r,
    const ngx_http_travel_ctx_t *ctx)
{
    switch (ctx->error) {

    case TRAVEL_E_TOKEN_INVALID:
    case TRAVEL_E_CREDENTIALS_INVALID:
    case TRAVEL_E_SESSION_INVALID:
        return 1;

    case TRAVEL_E_NONE:
        return r->headers_in.authorization != NULL
               || r->method == NGX_HTTP_POST;

    default:
        return 0;
    }
}
