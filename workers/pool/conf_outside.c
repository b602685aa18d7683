/*
 * workers.conf, whom the workers call: mail, pushes, partners, Kafka, webhooks.
 *
 * Each is a destination with its bounds and breaker: conf->partners has a row
 * for it, under its name.
 */

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "conf_parts.h"
#include "../publish/kafka.h"

#define CONF_FILE_MAX  16384

/* What every destination of calls to the outside has. */
#define CONF_DESTINATION(timeout, concurrency)                                \
    CFG_STR("timeout", timeout, CFGF_NONE),                                   \
    CFG_INT("concurrency", concurrency, CFGF_NONE),                           \
    CFG_INT("breaker_failures", 5, CFGF_NONE),                                \
    CFG_STR("breaker_open", "60s", CFGF_NONE),                                \
    CFG_INT("breaker_successes", 2, CFGF_NONE)


cfg_opt_t  worker_conf_smtp_opts[] = {
    CFG_STR("host", "127.0.0.1", CFGF_NONE),
    CFG_INT("port", 25, CFGF_NONE),
    CFG_STR("from", "travel@travel.local", CFGF_NONE),
    CFG_STR("user", NULL, CFGF_NONE),
    CFG_STR("password_file", NULL, CFGF_NONE),
    CFG_STR("tls", "off", CFGF_NONE),
    CFG_STR("ca_file", NULL, CFGF_NONE),
    CONF_DESTINATION("30s", 8),
    CFG_END()
};

cfg_opt_t  worker_conf_push_opts[] = {
    CFG_STR("key_file", NULL, CFGF_NONE),
    CFG_STR("key_id", NULL, CFGF_NONE),
    CFG_STR("team_id", NULL, CFGF_NONE),
    CFG_STR("topic", NULL, CFGF_NONE),
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_STR("ca_file", NULL, CFGF_NONE),
    CONF_DESTINATION("10s", 100),
    CFG_END()
};

cfg_opt_t  worker_conf_kafka_opts[] = {
    CFG_STR("brokers", NULL, CFGF_NONE),
    CFG_STR("topic_prefix", "", CFGF_NONE),
    CFG_STR_LIST("properties", "{}", CFGF_NONE),
    CFG_END()
};

cfg_opt_t  worker_conf_partner_opts[] = {
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_STR("key_file", NULL, CFGF_NONE),
    CONF_DESTINATION("5s", 16),
    CFG_STR_LIST("header", "{}", CFGF_NONE),
    CFG_END()
};


/* Bounds and breaker of a destination, under its name. */
static worker_partner_t *
conf_destination(cfg_t *sec, worker_conf_t *conf, const char *name)
{
    worker_partner_t  *to;

    if (conf->npartners == WORKER_PARTNERS_MAX
        || worker_conf_partner(conf, name) != NULL)
    {
        cfg_error(sec, "\"%s\": %s", name,
                  conf->npartners == WORKER_PARTNERS_MAX
                  ? "too many partners" : "that name is taken");
        return NULL;
    }

    to = &conf->partners[conf->npartners++];
    to->code = strdup(name);
    worker_conf_duration(sec, "timeout", &to->timeout_ms);
    to->concurrency = (unsigned) cfg_getint(sec, "concurrency");
    to->breaker_failures = (unsigned) cfg_getint(sec, "breaker_failures");
    to->breaker_successes = (unsigned) cfg_getint(sec, "breaker_successes");
    worker_conf_duration(sec, "breaker_open", &to->breaker_open_ms);

    return to;
}


static int
conf_smtp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t             *sec;
    worker_partner_t  *to;

    sec = cfg_getsec(cfg, "smtp");
    to = conf_destination(sec, conf, "smtp");

    if (to == NULL) {
        return TRAVEL_INVALID;
    }

    conf->smtp_timeout_ms = to->timeout_ms;
    conf->smtp_tls = (worker_tls_e) worker_conf_tls(cfg_getstr(sec, "tls"));
    conf->smtp_ca_file = worker_conf_string(sec, "ca_file");
    conf->smtp_host = worker_conf_string(sec, "host");
    conf->smtp_from = worker_conf_string(sec, "from");
    conf->smtp_user = worker_conf_string(sec, "user");
    conf->smtp_port = (unsigned) cfg_getint(sec, "port");

    return worker_conf_secret(sec, "password_file", &conf->smtp_password);
}


/* --- push services ------------------------------------------------------- */

char *
worker_conf_file(cfg_t *sec, const char *name)
{
    char        *text;
    FILE        *f;
    size_t       n;
    const char  *path;

    path = cfg_getstr(sec, name);
    f = path != NULL ? fopen(path, "re") : NULL;
    text = f != NULL ? calloc(1, CONF_FILE_MAX + 1) : NULL;

    if (text == NULL) {
        cfg_error(sec, "%s%s%s needs %s, a file that can be read",
                  cfg_name(sec), cfg_title(sec) != NULL ? " " : "",
                  cfg_title(sec) != NULL ? cfg_title(sec) : "", name);

    } else {
        n = fread(text, 1, CONF_FILE_MAX, f);
        text[n] = '\0';
    }

    if (f != NULL) {
        fclose(f);
    }

    return text;
}


static char *
conf_member(const json_t *root, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(root, name));
    return text != NULL && *text != '\0' ? strdup(text) : NULL;
}


/* A service account's key as Google hands it out. */
static int
conf_fcm(cfg_t *sec, worker_push_conf_t *push, const char *text)
{
    json_t  *root;

    root = json_loads(text, 0, NULL);
    push->pem = conf_member(root, "private_key");
    push->key_id = conf_member(root, "private_key_id");
    push->client_email = conf_member(root, "client_email");
    push->project_id = conf_member(root, "project_id");
    push->token_url = conf_member(root, "token_uri");
    json_decref(root);

    if (push->pem == NULL || push->key_id == NULL || push->project_id == NULL
        || push->client_email == NULL || push->token_url == NULL)
    {
        cfg_error(sec, "push fcm: key_file is not the JSON key of a service "
                  "account, download one from the Google Cloud console");
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_apns(cfg_t *sec, worker_push_conf_t *push, const char *text)
{
    push->pem = strdup(text);
    push->key_id = worker_conf_string(sec, "key_id");
    push->team_id = worker_conf_string(sec, "team_id");
    push->topic = worker_conf_string(sec, "topic");

    if (push->key_id == NULL || push->team_id == NULL || push->topic == NULL
        || strstr(text, "PRIVATE KEY") == NULL)
    {
        cfg_error(sec, "push apns needs key_file (the .p8 of an APNs key), "
                  "key_id, team_id and topic (the app's bundle id)");
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_push(cfg_t *sec, worker_conf_t *conf)
{
    int                  rc;
    char                *text;
    bool                 fcm;
    size_t               n;
    const char          *url;
    worker_partner_t    *to;
    worker_push_conf_t  *push;

    fcm = strcmp(cfg_title(sec), "fcm") == 0;

    if (!fcm && strcmp(cfg_title(sec), "apns") != 0) {
        cfg_error(sec, "push \"%s\": there are \"fcm\" and \"apns\"",
                  cfg_title(sec));
        return TRAVEL_INVALID;
    }

    to = conf_destination(sec, conf, cfg_title(sec));
    text = to != NULL ? worker_conf_file(sec, "key_file") : NULL;

    if (text == NULL) {
        return TRAVEL_INVALID;
    }

    push = &conf->push[fcm ? WORKER_PUSH_FCM : WORKER_PUSH_APNS];
    url = cfg_getstr(sec, "url");
    url = url != NULL ? url : fcm ? "https://fcm.googleapis.com"
                                  : "https://api.push.apple.com";
    push->url = strdup(url);

    for (n = strlen(push->url); n > 0 && push->url[n - 1] == '/'; n--) {
        push->url[n - 1] = '\0';
    }

    push->ca_file = worker_conf_string(sec, "ca_file");
    push->timeout_ms = to->timeout_ms;
    rc = fcm ? conf_fcm(sec, push, text) : conf_apns(sec, push, text);
    explicit_bzero(text, strlen(text));
    free(text);
    return rc;
}


static int
conf_pushes(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i;

    for (i = 0; i < cfg_size(cfg, "push"); i++) {
        if (conf_push(cfg_getnsec(cfg, "push", i), conf) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


static int
conf_partner(cfg_t *sec, worker_conf_t *conf)
{
    size_t             i, n;
    const char        *url;
    worker_partner_t  *partner;

    url = cfg_getstr(sec, "url");

    if (url == NULL) {
        cfg_error(sec, "partner %s needs a url", cfg_title(sec));
        return TRAVEL_INVALID;
    }

    partner = conf_destination(sec, conf, cfg_title(sec));

    if (partner == NULL) {
        return TRAVEL_INVALID;
    }

    partner->url = strdup(url);

    for (n = strlen(partner->url); n > 0 && partner->url[n - 1] == '/'; n--) {
        partner->url[n - 1] = '\0';
    }

    n = cfg_size(sec, "header");

    if (n >= WORKER_HEADERS_MAX) {
        cfg_error(sec, "partner %s has more than %d headers",
                  partner->code, WORKER_HEADERS_MAX - 1);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        partner->headers[i] = strdup(cfg_getnstr(sec, "header", i));
    }

    return worker_conf_secret(sec, "key_file", &partner->key);
}


/* An option that names the partner who does something; NULL: nobody does. */
static bool
conf_partner_for(cfg_t *cfg, const worker_conf_t *conf, const char *option,
    char **ret_partner)
{
    *ret_partner = worker_conf_string(cfg, option);

    if (*ret_partner == NULL
        || worker_conf_partner(conf, *ret_partner) != NULL)
    {
        return true;
    }

    cfg_error(cfg, "%s = \"%s\" is no partner, add its section", option,
              *ret_partner);
    return false;
}


static int
conf_partners(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "partner");

    for (i = 0; i < n; i++) {
        if (conf_partner(cfg_getnsec(cfg, "partner", i), conf) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    return conf_partner_for(cfg, conf, "payments", &conf->payments)
           && conf_partner_for(cfg, conf, "images", &conf->images)
           ? TRAVEL_OK : TRAVEL_INVALID;
}


/* Networks that are not public and yet may be told. */
static int
conf_allow(cfg_t *cfg, worker_conf_t *conf)
{
    size_t       i, n;
    const char  *text;

    n = cfg_size(cfg, "webhook_allow");

    for (i = 0; i < n; i++) {
        text = cfg_getnstr(cfg, "webhook_allow", i);

        if (i == WORKER_ALLOW_MAX
            || travel_network_parse(&conf->webhook_allow[i], (travel_str_t) {
                                    text, strlen(text) }) != TRAVEL_OK)
        {
            cfg_error(cfg, "webhook_allow: \"%s\" is no network, write it "
                      "like 10.1.0.0/16 (%d at most)", text, WORKER_ALLOW_MAX);
            return TRAVEL_INVALID;
        }

        conf->nwebhook_allow++;
    }

    return TRAVEL_OK;
}


static int
conf_kafka(cfg_t *cfg, worker_conf_t *conf)
{
    char    why[256];
    cfg_t  *sec;
    size_t  i, n;

    sec = cfg_getsec(cfg, "kafka");
    conf->kafka_brokers = worker_conf_string(sec, "brokers");
    n = cfg_size(sec, "properties");

    if (conf->kafka_brokers == NULL) {
        return TRAVEL_OK;
    }

    if (n >= WORKER_PROPERTIES_MAX) {
        cfg_error(sec, "kafka: more than %d properties",
                  WORKER_PROPERTIES_MAX - 1);
        return TRAVEL_INVALID;
    }

    conf->kafka_prefix = strdup(cfg_getstr(sec, "topic_prefix"));

    for (i = 0; i < n; i++) {
        conf->kafka_properties[i] = strdup(cfg_getnstr(sec, "properties", i));
    }

    if (!worker_kafka_check(conf, why)) {
        cfg_error(sec, "kafka: %s", why);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
worker_conf_outside(cfg_t *cfg, worker_conf_t *conf)
{
    return conf_allow(cfg, conf) == TRAVEL_OK
           && conf_smtp(cfg, conf) == TRAVEL_OK
           && conf_pushes(cfg, conf) == TRAVEL_OK
           && conf_kafka(cfg, conf) == TRAVEL_OK
           && conf_partners(cfg, conf) == TRAVEL_OK
           ? TRAVEL_OK : TRAVEL_INVALID;
}


const worker_partner_t *
worker_conf_partner(const worker_conf_t *conf, const char *code)
{
    size_t  i;

    for (i = 0; i < conf->npartners; i++) {
        if (strcmp(conf->partners[i].code, code) == 0) {
            return &conf->partners[i];
        }
    }

    return NULL;
}


static void
conf_partner_free(worker_partner_t *partner)
{
    size_t  i;

    free(partner->code);
    free(partner->url);
    free(partner->key);

    for (i = 0; i < WORKER_HEADERS_MAX; i++) {
        free(partner->headers[i]);
    }
}


static void
conf_push_free(worker_push_conf_t *push)
{
    free(push->url);
    free(push->pem);
    free(push->key_id);
    free(push->client_email);
    free(push->project_id);
    free(push->token_url);
    free(push->team_id);
    free(push->topic);
    free(push->ca_file);
}


void
worker_conf_outside_free(worker_conf_t *conf)
{
    size_t  i;

    for (i = 0; i < conf->npartners; i++) {
        conf_partner_free(&conf->partners[i]);
    }

    for (i = 0; i < WORKER_PUSH_SERVICES; i++) {
        conf_push_free(&conf->push[i]);
    }

    for (i = 0; i < WORKER_PROPERTIES_MAX; i++) {
        free(conf->kafka_properties[i]);
    }

    free(conf->kafka_brokers);
    free(conf->kafka_prefix);
    free(conf->payments);
    free(conf->images);
    free(conf->smtp_host);
    free(conf->smtp_from);
    free(conf->smtp_user);
    free(conf->smtp_password);
    free(conf->smtp_ca_file);
}
