/*
 * Pushes to devices: one request each, many at once over one HTTP/2
 * connection.
 *
 * An ask goes in rounds: the keys of the services it needs are got, then the
 * requests sent; when the last answer is there the round is over.  A key that a
 * service does not take any more costs one more round: those that were told so
 * are sent again with a new one.  Keys and answers come on any thread; 'left'
 * counts what the round waits for, and whoever brings it to nothing goes on.
 */

#include <stdatomic.h>
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

typedef struct push_ask_s  push_ask_t;

/* A request in the making. */
typedef struct {
    char         url[PUSH_URL_MAX];
    char         key[PUSH_HEADER_MAX];  /* "authorization: bearer ..." */
    char         lines[PUSH_HEADERS - 2][160];
    const char  *headers[PUSH_HEADERS];
    char        *body;                  /* owned */
} push_request_t;

typedef struct {
    push_ask_t    *of;
    worker_ask_t  *http;                /* in this round, or NULL */
} push_call_t;

typedef struct {                        /* of one service, in this round */
    worker_push_wait_t   wait;
    push_ask_t          *of;
    bool                 wanted;
    char                *key;           /* owned; NULL: there is none */
    char                 why[160];
} push_line_t;

struct push_ask_s {
    worker_ask_t           ask;
    worker_io_t           *io;
    const worker_push_t   *pushes;      /* borrowed, so below */
    worker_push_answer_t  *answers;
    uint64_t               until_ms;    /* 0: each has its own time */
    const _Atomic bool    *cancel;
    push_line_t            lines[WORKER_PUSH_SERVICES];
    bool                   again;       /* it is the second round */
    _Atomic size_t         left;        /* what the round waits for; and one,
                                           while that is being asked for */
    size_t                 n;
    push_call_t            calls[];
};


int
worker_push_service(const char *name)
{
    return strcmp(name, "fcm") == 0 ? WORKER_PUSH_FCM
           : strcmp(name, "apns") == 0 ? WORKER_PUSH_APNS : -1;
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
push_fcm(push_request_t *req, const worker_push_conf_t *conf,
    const worker_push_t *push)
{
    json_t  *message;

    snprintf(req->url, sizeof(req->url), "%.700s/v1/projects/%.200s"
             "/messages:send", conf->url, conf->project_id);

    message = json_pack("{s:{s:s, s:{s:s, s:s}, s:o, s:{s:s, s:s, s:{s:s}}}}",
        "message", "token", push->token,
        "notification", "title", push->title, "body", push->body,
        "data", push_strings(push->data),
        "android", "priority", "high", "ttl", "86400s",
        "notification", "tag", push->id);
    req->body = json_dumps(message, JSON_COMPACT);
    json_decref(message);

    req->headers[1] = "content-type: application/json";
    req->headers[2] = NULL;
    return req->body != NULL;
}


/* --- APNs ---------------------------------------------------------------- */

static bool
push_apns(push_request_t *req, const worker_push_conf_t *conf,
    const worker_push_t *push)
{
    json_t  *root;

    snprintf(req->url, sizeof(req->url), "%.300s/3/device/%.1024s",
             conf->url, push->token);

    root = push_strings(push->data);
    json_object_set_new(root, "aps", json_pack("{s:{s:s, s:s}, s:s}",
        "alert", "title", push->title, "body", push->body,
        "sound", "default"));
    req->body = json_dumps(root, JSON_COMPACT);
    json_decref(root);

    snprintf(req->lines[0], sizeof(req->lines[0]), "apns-topic: %.128s",
             conf->topic);
    snprintf(req->lines[1], sizeof(req->lines[1]), "apns-id: %.36s",
             push->id);
    snprintf(req->lines[2], sizeof(req->lines[2]), "apns-collapse-id: %.36s",
             push->id);
    snprintf(req->lines[3], sizeof(req->lines[3]), "apns-expiration: %lld",
             (long long) time(NULL) + PUSH_LIFE_S);

    req->headers[1] = req->lines[0];
    req->headers[2] = req->lines[1];
    req->headers[3] = req->lines[2];
    req->headers[4] = req->lines[3];
    req->headers[5] = "apns-push-type: alert";
    req->headers[6] = NULL;
    return req->body != NULL;
}


/* --- one ----------------------------------------------------------------- */

static void
push_fail(worker_push_answer_t *answer, travel_push_outcome_e outcome,
    const char *why)
{
    memset(answer, 0, sizeof(*answer));
    answer->outcome = outcome;
    snprintf(answer->why, sizeof(answer->why), "%s", why);
}


/* What is left of the time for all of it. */
static long
push_patience(const push_ask_t *of)
{
    uint64_t  now;

    if (of->until_ms == 0) {
        return 0;
    }

    now = worker_io_now();
    return now < of->until_ms ? (long) (of->until_ms - now) : 1;
}


/* Can it be sent?  If not, it is answered. */
static bool
push_sound(const worker_conf_t *conf, const worker_push_t *push,
    worker_push_answer_t *answer)
{
    if (conf->push[push->service].url == NULL) {
        push_fail(answer, TRAVEL_PUSH_REFUSED,
                  "workers.conf has no push section for it");
        return false;
    }

    if (push->service == WORKER_PUSH_APNS && !push_token_hex(push->token)) {
        push_fail(answer, TRAVEL_PUSH_GONE, "not a device token");
        return false;
    }

    return true;
}


/* NULL: it is answered already. */
static worker_ask_t *
push_request(const push_ask_t *of, const worker_push_t *push,
    worker_push_answer_t *answer)
{
    bool                       good, fcm;
    worker_ask_t              *http;
    push_request_t             text;
    worker_http_request_t      req;
    const push_line_t         *line;
    const worker_push_conf_t  *conf;

    line = &of->lines[push->service];
    conf = &worker_io_conf(of->io)->push[push->service];
    fcm = push->service == WORKER_PUSH_FCM;

    if (line->key == NULL) {
        push_fail(answer, TRAVEL_PUSH_LATER, line->why);
        return NULL;
    }

    good = fcm ? push_fcm(&text, conf, push) : push_apns(&text, conf, push);

    if (!good) {
        push_fail(answer, TRAVEL_PUSH_REFUSED, "the message is not text");
        return NULL;
    }

    snprintf(text.key, sizeof(text.key), "authorization: %s %s",
             fcm ? "Bearer" : "bearer", line->key);
    text.headers[0] = text.key;

    req = (worker_http_request_t) {
        .method = "POST", .url = text.url, .headers = text.headers,
        .body = { text.body, strlen(text.body) },
        .max_response = PUSH_ANSWER_MAX, .trace = push->trace,
        .destination = fcm ? "fcm" : "apns", .ca_file = conf->ca_file,
        .multiplexed = true
    };
    http = worker_http_ask(&req, conf->timeout_ms, push_patience(of),
                           of->cancel);
    free(text.body);

    if (http == NULL) {
        push_fail(answer, TRAVEL_PUSH_LATER, "out of memory");
    }

    return http;
}


static void
push_judge(const worker_push_t *push, worker_push_answer_t *answer,
    const worker_http_response_t *resp)
{
    travel_str_t          body;
    travel_push_answer_t  said;

    memset(answer, 0, sizeof(*answer));
    body = (travel_str_t) { resp->body, resp->len };

    if (push->service == WORKER_PUSH_FCM) {
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


/* --- a round ------------------------------------------------------------- */

static void  push_round(push_ask_t *of);


/* Is there another key to try for one that was not taken? */
static bool
push_again(push_ask_t *of)
{
    bool                    again;
    size_t                  i;
    push_line_t            *line;
    worker_push_service_e   service;

    again = false;

    for (i = 0; i < of->n; i++) {
        service = of->pushes[i].service;
        line = &of->lines[service];

        if (of->answers[i].outcome == TRAVEL_PUSH_KEY && line->wanted) {
            line->wanted = false;
            again |= worker_push_key_bad(service, line->key);
        }
    }

    return again;
}


/* The keys of a round. */
static void
push_forget(push_ask_t *of)
{
    size_t  i;

    for (i = 0; i < WORKER_PUSH_SERVICES; i++) {
        free(of->lines[i].key);
        of->lines[i].key = NULL;
        of->lines[i].wanted = false;
    }
}


static void
push_round_over(push_ask_t *of)
{
    bool    again;
    size_t  i;

    again = !of->again && push_again(of);
    push_forget(of);

    if (again) {
        of->again = true;
        push_round(of);
        return;
    }

    for (i = 0; i < of->n; i++) {
        if (of->answers[i].outcome == TRAVEL_PUSH_KEY) {
            of->answers[i].outcome = TRAVEL_PUSH_LATER;
        }
    }

    worker_ask_over(&of->ask);
}


static void
push_answered(push_ask_t *of)
{
    if (atomic_fetch_sub(&of->left, 1) == 1) {
        push_round_over(of);
    }
}


static void
push_over(void *data)
{
    size_t        i;
    push_ask_t   *of;
    push_call_t  *call = data;

    of = call->of;
    i = (size_t) (call - of->calls);
    push_judge(&of->pushes[i], &of->answers[i], call->http->answer);
    worker_ask_free(&call->http);
    push_answered(of);
}


/* The keys are there, or not: sends those that have no answer yet. */
static void
push_requests(push_ask_t *of)
{
    size_t        i;
    push_call_t  *call;

    atomic_store(&of->left, 1);

    for (i = 0; i < of->n; i++) {
        call = &of->calls[i];

        if (of->answers[i].outcome == TRAVEL_PUSH_KEY) {
            call->http = push_request(of, &of->pushes[i], &of->answers[i]);
        }

        if (call->http != NULL) {
            atomic_fetch_add(&of->left, 1);
            worker_ask_send(call->http, of->io, push_over, call);
        }
    }

    push_answered(of);
}


static void
push_keyed(push_ask_t *of)
{
    if (atomic_fetch_sub(&of->left, 1) == 1) {
        push_requests(of);
    }
}


static void
push_got(worker_push_wait_t *wait, const char *key, const char *why)
{
    push_line_t  *line = (push_line_t *) wait;      /* its first member */

    line->key = key != NULL ? strdup(key) : NULL;
    snprintf(line->why, sizeof(line->why), "%s",
             key != NULL ? "out of memory" : why);
    push_keyed(line->of);
}


/* Those that have no answer yet (outcome KEY): the keys they need. */
static void
push_round(push_ask_t *of)
{
    size_t                  i;
    push_line_t            *line;
    const travel_trace_t   *trace;

    trace = NULL;

    for (i = 0; i < of->n; i++) {
        if (of->answers[i].outcome == TRAVEL_PUSH_KEY
            && push_sound(worker_io_conf(of->io), &of->pushes[i],
                          &of->answers[i]))
        {
            of->lines[of->pushes[i].service].wanted = true;
            trace = of->pushes[i].trace;
        }
    }

    atomic_store(&of->left, WORKER_PUSH_SERVICES + 1);

    for (i = 0; i < WORKER_PUSH_SERVICES; i++) {
        line = &of->lines[i];
        line->of = of;
        line->wait.got = push_got;

        if (line->wanted) {
            worker_push_key(of->io, (worker_push_service_e) i, trace,
                            &line->wait);
        } else {
            push_keyed(of);
        }
    }

    push_keyed(of);
}


/* --- an ask --------------------------------------------------------------- */

static void
push_send(worker_ask_t *ask, worker_io_t *io)
{
    size_t       i;
    push_ask_t  *of = (push_ask_t *) ask;

    of->io = io;

    for (i = 0; i < of->n; i++) {
        of->calls[i].of = of;
        push_fail(&of->answers[i], TRAVEL_PUSH_KEY, "the key was not taken");
    }

    push_round(of);
}


static void
push_free(worker_ask_t *ask)
{
    free(ask);
}


worker_ask_t *
worker_push_ask(const worker_push_t *pushes, worker_push_answer_t *ret_answers,
    size_t n, long patience_ms, const _Atomic bool *cancel)
{
    push_ask_t  *of;

    of = calloc(1, sizeof(push_ask_t) + n * sizeof(push_call_t));

    if (of == NULL) {
        return NULL;
    }

    of->ask.send = push_send;
    of->ask.free = push_free;
    of->pushes = pushes;
    of->answers = ret_answers;
    of->n = n;
    of->until_ms = patience_ms > 0 ? worker_io_now() + (uint64_t) patience_ms
                                   : 0;
    of->cancel = cancel;

    return &of->ask;
}
