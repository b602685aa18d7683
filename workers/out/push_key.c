/*
 * The keys of this process, one per push service, under one mutex.
 *
 * Nothing is asked for under the mutex.  Who finds a key due has a new one made
 * (APNs: at once) or asked for, one at a time; he and the others use the old
 * one while it lasts, and when there is none they stand in a list until the
 * answer is there.
 *
 * APNs wants its token no younger than 20 minutes when it is replaced and no
 * older than 60; ours is replaced after 40.  An access token of Google's is
 * replaced when four fifths of its time are over.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "push_key.h"
#include "http.h"
#include "../../common/jwt.h"
#include "../pool/log.h"

#define KEY_APNS_RENEW_S   (40 * 60)
#define KEY_APNS_LIFE_S    (59 * 60)
#define KEY_APNS_YOUNG_S   (20 * 60)
#define KEY_FCM_SCOPE      "https://www.googleapis.com/auth/"                 \
                           "firebase.messaging"
#define KEY_FCM_GRANT      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3A"        \
                           "grant-type%3Ajwt-bearer&assertion="
#define KEY_FCM_LIFE_S     3600
#define KEY_PAUSE_S        5            /* after a failure */

typedef struct {
    char      key[WORKER_PUSH_KEY_MAX];     /* "": none */
    time_t    made;                     /* all monotonic seconds */
    time_t    renew;
    time_t    ends;
    time_t    again;                    /* not before, after a failure */
    char      why[160];                 /* of the last failure */
    worker_ask_t        *ask;           /* for a new one, under way; or NULL */
    worker_push_wait_t  *waiting;       /* for it */
} push_key_t;

static pthread_mutex_t  key_mutex = PTHREAD_MUTEX_INITIALIZER;
static push_key_t       keys[WORKER_PUSH_SERVICES];


static time_t
key_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec;
}


/* --- APNs ---------------------------------------------------------------- */

static int
key_apns(const worker_push_conf_t *conf, push_key_t *made)
{
    int          rc;
    char         claims[128];
    const char  *why;

    snprintf(claims, sizeof(claims), "{\"iss\":\"%.32s\",\"iat\":%lld}",
             conf->team_id, (long long) time(NULL));
    rc = travel_jwt_sign_as(made->key, sizeof(made->key),
             (travel_str_t) { conf->pem, strlen(conf->pem) },
             TRAVEL_ALG_ES256,
             (travel_str_t) { conf->key_id, strlen(conf->key_id) },
             (travel_str_t) { claims, strlen(claims) }, &why);

    if (rc != TRAVEL_OK) {
        snprintf(made->why, sizeof(made->why), "apns: %s", why);
        return TRAVEL_ERROR;
    }

    made->made = key_now();
    made->renew = made->made + KEY_APNS_RENEW_S;
    made->ends = made->made + KEY_APNS_LIFE_S;
    return TRAVEL_OK;
}


/* --- FCM ----------------------------------------------------------------- */

/* The grant's form: "grant_type=...&assertion=<JWT>" (RFC 7523). */
static char *
key_fcm_form(const worker_push_conf_t *conf, const char **ret_why)
{
    int          rc;
    char        *form, *text;
    json_t      *claims;
    long long    now;

    now = (long long) time(NULL);
    claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", conf->client_email,
                       "scope", KEY_FCM_SCOPE, "aud", conf->token_url,
                       "iat", (json_int_t) now, "exp",
                       (json_int_t) now + KEY_FCM_LIFE_S);
    text = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
    form = malloc(sizeof(KEY_FCM_GRANT) + TRAVEL_JWT_MAX);
    *ret_why = "out of memory";

    if (form == NULL || text == NULL) {
        free(form);
        free(text);
        return NULL;
    }

    strcpy(form, KEY_FCM_GRANT);
    rc = travel_jwt_sign_as(form + sizeof(KEY_FCM_GRANT) - 1, TRAVEL_JWT_MAX,
             (travel_str_t) { conf->pem, strlen(conf->pem) },
             TRAVEL_ALG_RS256,
             (travel_str_t) { conf->key_id, strlen(conf->key_id) },
             (travel_str_t) { text, strlen(text) }, ret_why);
    free(text);

    if (rc != TRAVEL_OK) {
        free(form);
        return NULL;
    }

    return form;
}


static int
key_fcm_read(const worker_http_response_t *resp, push_key_t *made)
{
    json_t      *root;
    json_int_t   life;
    const char  *token;

    root = json_loadb(resp->body, resp->len, 0, NULL);
    token = json_string_value(json_object_get(root, "access_token"));
    life = json_integer_value(json_object_get(root, "expires_in"));

    if (token == NULL || strlen(token) >= sizeof(made->key)
        || strpbrk(token, "\r\n") != NULL || life <= 0)
    {
        json_decref(root);
        snprintf(made->why, sizeof(made->why),
                 "fcm: the token's answer is not what it should be");
        return TRAVEL_ERROR;
    }

    life = life < 86400 ? life : 86400;
    strcpy(made->key, token);
    json_decref(root);
    made->made = key_now();
    made->renew = made->made + life * 4 / 5;
    made->ends = made->made + life - (life > 20 ? 10 : 0);
    return TRAVEL_OK;
}


/* NULL: it cannot be asked for, as 'why' says. */
static worker_ask_t *
key_fcm(const worker_push_conf_t *conf, const travel_trace_t *trace,
    char why[160])
{
    char          *form;
    const char    *reason;
    worker_ask_t  *ask;

    static const char *const  headers[] = {
        "Content-Type: application/x-www-form-urlencoded", NULL
    };

    form = key_fcm_form(conf, &reason);

    if (form == NULL) {
        snprintf(why, 160, "fcm: %s", reason);
        return NULL;
    }

    worker_http_request_t  req = {
        .method = "POST", .url = conf->token_url, .headers = headers,
        .body = { form, strlen(form) }, .max_response = 65536, .trace = trace,
        .destination = "fcm-token", .ca_file = conf->ca_file
    };

    ask = worker_http_ask(&req, conf->timeout_ms, 0, NULL);
    free(form);

    if (ask == NULL) {
        snprintf(why, 160, "fcm: out of memory");
    }

    return ask;
}


static int
key_fcm_judge(const worker_http_response_t *resp, push_key_t *made)
{
    if (resp->rc == TRAVEL_OK && resp->status == 200) {
        return key_fcm_read(resp, made);
    }

    snprintf(made->why, sizeof(made->why),
             "fcm: no access token: %d %.100s", resp->status, resp->error);
    return TRAVEL_ERROR;
}


/* --- both ---------------------------------------------------------------- */

static void
key_take_locked(push_key_t *key, const push_key_t *made)
{
    memcpy(key->key, made->key, sizeof(key->key));
    key->made = made->made;
    key->renew = made->renew;
    key->ends = made->ends;
}


static void
key_fail_locked(push_key_t *key, const char *why)
{
    snprintf(key->why, sizeof(key->why), "%s", why);
    key->again = key_now() + KEY_PAUSE_S;
    worker_log(WORKER_LOG_WARN, "push: %s", why);
}


/* On the I/O thread: the answer is there. */
static void
key_fcm_over(void *data)
{
    int                  rc;
    push_key_t           made = { .key = "" }, *key = data;
    worker_ask_t        *ask;
    worker_push_wait_t  *wait, *next;

    rc = key_fcm_judge(key->ask->answer, &made);

    pthread_mutex_lock(&key_mutex);

    if (rc == TRAVEL_OK) {
        key_take_locked(key, &made);
    } else {
        key_fail_locked(key, made.why);
    }

    ask = key->ask;
    wait = key->waiting;
    key->ask = NULL;
    key->waiting = NULL;
    pthread_mutex_unlock(&key_mutex);

    worker_ask_free(&ask);

    for ( ; wait != NULL; wait = next) {
        next = wait->next;
        wait->got(wait, rc == TRAVEL_OK ? made.key : NULL, made.why);
    }
}


/* It is due.  What is to be sent for it, or NULL: it is there, or not, as it
 * stands. */
static worker_ask_t *
key_renew_locked(push_key_t *key, const worker_push_conf_t *conf,
    worker_push_service_e service, const travel_trace_t *trace)
{
    push_key_t  made = { .key = "" };

    if (service == WORKER_PUSH_FCM) {
        key->ask = key_fcm(conf, trace, made.why);

        if (key->ask == NULL) {
            key_fail_locked(key, made.why);
        }

        return key->ask;
    }

    if (key_apns(conf, &made) == TRAVEL_OK) {
        key_take_locked(key, &made);
    } else {
        key_fail_locked(key, made.why);
    }

    return NULL;
}


void
worker_push_key(worker_io_t *io, worker_push_service_e service,
    const travel_trace_t *trace, worker_push_wait_t *wait)
{
    bool           good, waits;
    char           now_key[WORKER_PUSH_KEY_MAX], why[160];
    time_t         now;
    push_key_t    *key;
    worker_ask_t  *ask;

    ask = NULL;
    key = &keys[service];
    pthread_mutex_lock(&key_mutex);
    now = key_now();

    if (key->ask == NULL && now >= key->renew && now >= key->again) {
        ask = key_renew_locked(key, &worker_io_conf(io)->push[service],
                               service, trace);
    }

    good = now < key->ends;
    waits = !good && key->ask != NULL;
    memcpy(now_key, key->key, sizeof(now_key));
    memcpy(why, key->why, sizeof(why));

    if (waits) {
        wait->next = key->waiting;
        key->waiting = wait;
    }

    pthread_mutex_unlock(&key_mutex);

    if (ask != NULL) {
        worker_ask_send(ask, io, key_fcm_over, key);
    }

    if (!waits) {
        wait->got(wait, good ? now_key : NULL, why);
    }
}


bool
worker_push_key_bad(worker_push_service_e service, const char *bad)
{
    bool         gone;
    push_key_t  *key;

    key = &keys[service];
    pthread_mutex_lock(&key_mutex);

    gone = strcmp(key->key, bad) != 0;      /* renewed by somebody already */

    if (!gone && (service != WORKER_PUSH_APNS
                  || key_now() >= key->made + KEY_APNS_YOUNG_S))
    {
        key->renew = 0;
        key->ends = 0;
        gone = true;
    }

    pthread_mutex_unlock(&key_mutex);
    return gone;
}
