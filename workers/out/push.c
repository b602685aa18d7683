/*
 * Pushes to devices: one request each, many at once over one HTTP/2
 * connection.
 *
 * A key that a service does not take any more costs one more round: those that
 * were told so are sent again with a new one.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "push.h"
#include "push_key.h"
#include "http.h"
#include "../../common/hash.h"

#define PUSH_HEADERS      7
#define PUSH_HEADER_MAX   (WORKER_PUSH_KEY_MAX + 64)
#define PUSH_URL_MAX      1600
#define PUSH_ANSWER_MAX   16384
#define PUSH_LIFE_S       86400         /* how long a service keeps trying */

typedef struct {
    const worker_push_t        *push;
    worker_push_answer_t       *answer;
    char                        url[PUSH_URL_MAX];
    char                        lines[PUSH_HEADERS - 2][160];
    const char                 *headers[PUSH_HEADERS];
    char                       *body;   /* owned */
} push_call_t;

typedef struct {                        /* of one service, in this round */
    char  line[PUSH_HEADER_MAX];        /* "authorization: bearer ..." */
    char  key[WORKER_PUSH_KEY_MAX];
    bool  asked;
    int   rc;
    char  why[160];
} push_key_line_t;


int
worker_push_service(const char *name)
{
    return strcmp(name, "fcm") == 0 ? WORKER_PUSH_FCM
           : strcmp(name, "apns") == 0 ? WORKER_PUSH_APNS : -1;
}


bool
worker_push_on(const worker_conf_t *conf, worker_push_service_e service)
{
    return conf->push[service].url != NULL;
}


/* Not ours to choose: a token goes into a path, letters and digits only. */
static bool
push_token_hex(const char *token)
{
    size_t  n;

    n = strspn(token, "0123456789abcdefABCDEF");
    return n > 0 && token[n] == '\0' && n <= 1024;
}


/* --- FCM ----------------------------------------------------------------- */

/* The data of a message: strings to strings. */
static json_t *
push_strings(const json_t *data)
{
    char         text[32];
    json_t      *strings, *value;
    const char  *name;

    strings = json_object();

    json_object_foreach((json_t *) data, name, value) {
        if (json_is_string(value)) {
            json_object_set(strings, name, value);

        } else if (json_is_integer(value)) {
            snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                     json_integer_value(value));
            json_object_set_new(strings, name, json_string(text));
        }
    }

    return strings;
}


static bool
push_fcm(push_call_t *call, const worker_push_conf_t *conf)
{
    json_t               *message;
    const worker_push_t  *push;

    push = call->push;
    snprintf(call->url, sizeof(call->url), "%.700s/v1/projects/%.200s"
             "/messages:send", conf->url, conf->project_id);

    message = json_pack("{s:{s:s, s:{s:s, s:s}, s:o, s:{s:s, s:s, s:{s:s}}}}",
        "message", "token", push->token,
        "notification", "title", push->title, "body", push->body,
        "data", push_strings(push->data),
        "android", "priority", "high", "ttl", "86400s",
        "notification", "tag", push->id);
    call->body = json_dumps(message, JSON_COMPACT);
    json_decref(message);

    call->headers[1] = "content-type: application/json";
    call->headers[2] = NULL;
    return call->body != NULL;
}


/* --- APNs ---------------------------------------------------------------- */

static bool
push_apns(push_call_t *call, const worker_push_conf_t *conf)
{
    json_t               *root;
    const worker_push_t  *push;

    push = call->push;
    snprintf(call->url, sizeof(call->url), "%.300s/3/device/%.1024s",
             conf->url, push->token);

    root = push_strings(push->data);
    json_object_set_new(root, "aps", json_pack("{s:{s:s, s:s}, s:s}",
        "alert", "title", push->title, "body", push->body,
        "sound", "default"));
    call->body = json_dumps(root, JSON_COMPACT);
    json_decref(root);

    snprintf(call->lines[0], sizeof(call->lines[0]), "apns-topic: %.128s",
             conf->topic);
    snprintf(call->lines[1], sizeof(call->lines[1]), "apns-id: %.36s",
             push->id);
    snprintf(call->lines[2], sizeof(call->lines[2]), "apns-collapse-id: %.36s",
             push->id);
    snprintf(call->lines[3], sizeof(call->lines[3]), "apns-expiration: %lld",
             (long long) time(NULL) + PUSH_LIFE_S);

    call->headers[1] = call->lines[0];
    call->headers[2] = call->lines[1];
    call->headers[3] = call->lines[2];
    call->headers[4] = call->lines[3];
    call->headers[5] = "apns-push-type: alert";
    call->headers[6] = NULL;
    return call->body != NULL;
}


/* --- a round ------------------------------------------------------------- */

static void
push_fail(worker_push_answer_t *answer, travel_push_outcome_e outcome,
    const char *why)
{
    memset(answer, 0, sizeof(*answer));
    answer->outcome = outcome;
    snprintf(answer->why, sizeof(answer->why), "%s", why);
}


/* The service's key as a header; asked for once in a round. */
static int
push_authorize(worker_io_t *io, const worker_push_t *push,
    push_key_line_t *line)
{
    if (!line->asked) {
        line->asked = true;
        line->rc = worker_push_key(io, push->service, push->trace, line->key,
                                   line->why);
        snprintf(line->line, sizeof(line->line), "authorization: %s %s",
                 push->service == WORKER_PUSH_FCM ? "Bearer" : "bearer",
                 line->key);
    }

    return line->rc;
}


/* False: it is answered already. */
static bool
push_begin(worker_io_t *io, push_call_t *call, push_key_line_t *lines,
    worker_http_request_t *req)
{
    bool                       good;
    const worker_push_t       *push;
    const worker_push_conf_t  *conf;

    push = call->push;
    conf = &worker_io_conf(io)->push[push->service];

    if (!worker_push_on(worker_io_conf(io), push->service)) {
        push_fail(call->answer, TRAVEL_PUSH_REFUSED,
                  "workers.conf has no push section for it");
        return false;
    }

    if (push->service == WORKER_PUSH_APNS && !push_token_hex(push->token)) {
        push_fail(call->answer, TRAVEL_PUSH_GONE, "not a device token");
        return false;
    }

    if (push_authorize(io, push, &lines[push->service]) != TRAVEL_OK) {
        push_fail(call->answer, TRAVEL_PUSH_LATER, lines[push->service].why);
        return false;
    }

    good = push->service == WORKER_PUSH_FCM ? push_fcm(call, conf)
                                            : push_apns(call, conf);

    if (!good) {
        push_fail(call->answer, TRAVEL_PUSH_REFUSED, "the message is not text");
        return false;
    }

    call->headers[0] = lines[push->service].line;

    *req = (worker_http_request_t) {
        .method = "POST", .url = call->url, .headers = call->headers,
        .body = { call->body, strlen(call->body) },
        .timeout_ms = conf->timeout_ms, .max_response = PUSH_ANSWER_MAX,
        .trace = push->trace, .destination =
            push->service == WORKER_PUSH_FCM ? "fcm" : "apns",
        .ca_file = conf->ca_file, .multiplexed = true
    };

    return true;
}


static void
push_judge(const push_call_t *call, const worker_http_response_t *resp)
{
    travel_str_t           body;
    travel_push_answer_t   said;
    worker_push_answer_t  *answer;

    answer = call->answer;
    memset(answer, 0, sizeof(*answer));
    body = (travel_str_t) { resp->body, resp->len };

    if (call->push->service == WORKER_PUSH_FCM) {
        travel_push_fcm(&said, resp->status, body);
    } else {
        travel_push_apns(&said, resp->status, body);
    }

    answer->outcome = said.outcome;
    answer->status = resp->status;
    answer->gone_ms = said.gone_ms;
    answer->retry_after_ms = resp->retry_after_ms > 0 ? resp->retry_after_ms
                                                      : said.wait_ms;

    if (said.outcome == TRAVEL_PUSH_LATER && resp->rc == TRAVEL_REFUSED) {
        answer->outcome = TRAVEL_PUSH_SLOW;     /* the breaker is open */
    }

    if (said.outcome != TRAVEL_PUSH_SENT) {
        snprintf(answer->why, sizeof(answer->why), "%d %s%.90s", resp->status,
                 said.reason, resp->status == 0 ? resp->error : "");
    }
}


/* Sends those of 'calls' that have no answer yet (outcome KEY). */
static void
push_round(worker_io_t *io, push_call_t *calls, size_t n,
    push_key_line_t *lines, worker_http_request_t *reqs,
    worker_http_response_t *resps)
{
    size_t  i, sent;

    sent = 0;

    for (i = 0; i < n; i++) {
        if (calls[i].answer->outcome == TRAVEL_PUSH_KEY
            && push_begin(io, &calls[i], lines, &reqs[sent]))
        {
            sent++;
        }
    }

    worker_http_calls(io, reqs, resps, sent);

    for (i = 0, sent = 0; i < n; i++) {
        if (calls[i].body != NULL) {
            push_judge(&calls[i], &resps[sent]);
            worker_http_response_free(&resps[sent]);
            free(calls[i].body);
            calls[i].body = NULL;
            sent++;
        }
    }
}


/* Services whose key was not taken: is there another one to try? */
static bool
push_again(const push_call_t *calls, size_t n, push_key_line_t *lines)
{
    bool                    again;
    size_t                  i;
    worker_push_service_e   service;

    again = false;

    for (i = 0; i < n; i++) {
        service = calls[i].push->service;

        if (calls[i].answer->outcome != TRAVEL_PUSH_KEY) {
            continue;
        }

        if (lines[service].asked) {
            lines[service].asked = false;
            again |= worker_push_key_bad(service, lines[service].key);
        }
    }

    return again;
}


void
worker_push_send(worker_io_t *io, const worker_push_t *pushes,
    worker_push_answer_t *ret_answers, size_t n)
{
    size_t                   i;
    push_call_t             *calls;
    push_key_line_t         *lines;
    worker_http_request_t   *reqs;
    worker_http_response_t  *resps;

    calls = calloc(n, sizeof(push_call_t));
    lines = calloc(WORKER_PUSH_SERVICES, sizeof(push_key_line_t));
    reqs = calloc(n, sizeof(worker_http_request_t));
    resps = calloc(n, sizeof(worker_http_response_t));

    for (i = 0; i < n; i++) {
        push_fail(&ret_answers[i], TRAVEL_PUSH_KEY, "out of memory");
    }

    if (calls != NULL && lines != NULL && reqs != NULL && resps != NULL) {
        for (i = 0; i < n; i++) {
            calls[i].push = &pushes[i];
            calls[i].answer = &ret_answers[i];
        }

        push_round(io, calls, n, lines, reqs, resps);

        if (push_again(calls, n, lines)) {
            push_round(io, calls, n, lines, reqs, resps);
        }
    }

    for (i = 0; i < n; i++) {
        if (ret_answers[i].outcome == TRAVEL_PUSH_KEY) {
            ret_answers[i].outcome = TRAVEL_PUSH_LATER;
        }
    }

    free(calls);
    free(lines);
    free(reqs);
    free(resps);
}
