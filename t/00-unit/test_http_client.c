/* The outgoing HTTP client against a small server that misbehaves to order:
 * the path of the URL says how. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>
#include <time.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "workers/out/http.h"
#include "workers/out/breaker.h"

static int                listener;
static unsigned           port;
static atomic_int         connections;
static atomic_int         requests;
static atomic_int         together;
static atomic_int         most;
static char               last[4096];        /* the last request's head */
static pthread_mutex_t    last_mutex = PTHREAD_MUTEX_INITIALIZER;
static worker_io_t       *http;


/* --- a name server that is silent ----------------------------------------- */

static pthread_mutex_t    name_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t     name_cond = PTHREAD_COND_INITIALIZER;
static bool               name_asked, name_silent, name_over;


/* In the place of the C library's, for libcurl too: "silent.test" waits until
 * the test lets it go. */
int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    int  (*real)(const char *, const char *, const struct addrinfo *,
                 struct addrinfo **);

    if (node == NULL || strcmp(node, "silent.test") != 0) {
        *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, res);
    }

    pthread_mutex_lock(&name_mutex);
    name_asked = true;
    pthread_cond_broadcast(&name_cond);

    while (name_silent) {
        pthread_cond_wait(&name_cond, &name_mutex);
    }

    name_over = true;
    pthread_cond_broadcast(&name_cond);
    pthread_mutex_unlock(&name_mutex);

    return EAI_AGAIN;
}


static void *
name_speaks(void *ctx)
{
    struct timespec  nap = { 8, 0 };

    (void) ctx;
    nanosleep(&nap, NULL);
    pthread_mutex_lock(&name_mutex);
    name_silent = false;
    pthread_cond_broadcast(&name_cond);
    pthread_mutex_unlock(&name_mutex);

    return NULL;
}


static void
answer(int fd, const char *status, const char *extra, size_t len)
{
    char    head[512];
    char   *body;

    snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
             "%s\r\n", status, len, extra);
    body = malloc(len + 1);
    memset(body, 'x', len);
    (void) !write(fd, head, strlen(head));
    (void) !write(fd, body, len);
    free(body);
}


static bool
serve(int fd, char *head)
{
    int              now;
    struct timespec  nap = { 0, 100000000 };

    atomic_fetch_add(&requests, 1);

    if (strstr(head, " /silent") != NULL) {
        nap.tv_sec = 1;
        nanosleep(&nap, NULL);
        return false;
    }

    if (strstr(head, " /hangup") != NULL) {
        return false;
    }

    if (strstr(head, " /slow") != NULL) {
        now = atomic_fetch_add(&together, 1) + 1;

        if (now > atomic_load(&most)) {
            atomic_store(&most, now);
        }

        nanosleep(&nap, NULL);
        atomic_fetch_sub(&together, 1);
    }

    if (strstr(head, " /503") != NULL) {
        answer(fd, "503 Busy", "Retry-After: 7\r\n", 2);

    } else if (strstr(head, " /next-year") != NULL) {
        answer(fd, "503 Busy", "Retry-After: 1000000000000\r\n", 2);

    } else if (strstr(head, " /last-year") != NULL) {
        answer(fd, "503 Busy",
               "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 2);

    } else if (strstr(head, " /big") != NULL) {
        answer(fd, "200 OK", "", 5000);

    } else if (strstr(head, " /empty") != NULL) {
        answer(fd, "204 No Content", "", 0);

    } else if (strstr(head, " /moved") != NULL) {
        answer(fd, "302 Found", "Location: /ok\r\n", 0);

    } else {
        answer(fd, "200 OK", "", 2);
    }

    return true;
}


static void *
connection(void *ctx)
{
    int      fd = (int) (intptr_t) ctx;
    char     buf[4096], *end;
    size_t   len = 0, body;
    ssize_t  n;

    while ((n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0) {
        len += (size_t) n;
        buf[len] = '\0';
        end = strstr(buf, "\r\n\r\n");

        if (end == NULL) {
            continue;
        }

        body = strstr(buf, "Content-Length: ") != NULL
               ? (size_t) atoi(strstr(buf, "Content-Length: ") + 16) : 0;

        if (len < (size_t) (end + 4 - buf) + body) {
            continue;
        }

        pthread_mutex_lock(&last_mutex);
        memcpy(last, buf, len + 1);
        pthread_mutex_unlock(&last_mutex);
        len = 0;

        if (!serve(fd, buf)) {
            break;
        }
    }

    close(fd);
    return NULL;
}


static void *
acceptor(void *ctx)
{
    int        fd;
    pthread_t  thread;

    (void) ctx;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        atomic_fetch_add(&connections, 1);
        pthread_create(&thread, NULL, connection, (void *) (intptr_t) fd);
        pthread_detach(thread);
    }

    return NULL;
}


/* Sent and waited for; the answer is a copy. */
static int
call(const worker_http_request_t *req, worker_http_response_t *ret_resp)
{
    worker_ask_t  *ask;

    ask = worker_http_ask(req, req->timeout_ms, 0, NULL);
    assert_non_null(ask);
    worker_ask_wait(ask, http);
    *ret_resp = *ask->answer;
    ret_resp->body = malloc(ret_resp->len + 1);
    memcpy(ret_resp->body, ask->answer->body, ret_resp->len + 1);
    worker_ask_free(&ask);
    assert_null(ask);

    return ret_resp->rc;
}


static void
done(worker_http_response_t *resp)
{
    free(resp->body);
}


static int
get(const char *path, const char *destination, long timeout, size_t max,
    worker_http_response_t *resp)
{
    char                   url[128];
    worker_http_request_t  req = { .method = "GET", .url = url,
                                   .timeout_ms = timeout, .max_response = max,
                                   .destination = destination };

    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    return call(&req, resp);
}


static void
one_is_over(void *data)
{
    atomic_fetch_sub((atomic_int *) data, 1);
}


static void
test_answers_and_reuse(void **state)
{
    int                     i, before;
    worker_http_response_t  resp;

    (void) state;

    before = atomic_load(&connections);

    for (i = 0; i < 20; i++) {
        assert_int_equal(get("/ok", "reuse", 1000, 0, &resp), TRAVEL_OK);
        assert_int_equal(resp.status, 200);
        assert_string_equal(resp.body, "xx");
        done(&resp);
    }

    assert_int_equal(atomic_load(&connections) - before, 1);

    assert_int_equal(get("/empty", "reuse", 1000, 0, &resp), TRAVEL_OK);
    assert_int_equal(resp.status, 204);
    assert_string_equal(resp.body, "");
    done(&resp);

    assert_int_equal(get("/moved", "reuse", 1000, 0, &resp), TRAVEL_OK);
    assert_int_equal(resp.status, 302);
    done(&resp);

    assert_int_equal(get("/503", "reuse", 1000, 0, &resp), TRAVEL_OK);
    assert_int_equal(resp.status, 503);
    assert_int_equal(resp.retry_after_ms, 7000);
    done(&resp);

    assert_int_equal(get("/next-year", "reuse", 1000, 0, &resp), TRAVEL_OK);
    assert_int_equal(resp.retry_after_ms, 86400 * 1000);
    done(&resp);

    assert_int_equal(get("/last-year", "reuse", 1000, 0, &resp), TRAVEL_OK);
    assert_int_equal(resp.retry_after_ms, 0);
    done(&resp);
}


/* One call's name is not resolved in its time: the others do not wait for the
 * name server with it. */
static void
test_a_silent_name_server(void **state)
{
    bool                    silent;
    pthread_t               watch;
    atomic_int              left;
    worker_ask_t           *ask;
    struct timespec         nap = { 0, 10000000 };
    worker_http_response_t  resp;
    worker_http_request_t   req = { .method = "GET", .destination = "nowhere",
                                    .url = "http://silent.test/" };

    (void) state;

    atomic_store(&left, 1);
    name_silent = true;
    pthread_create(&watch, NULL, name_speaks, NULL);
    pthread_detach(watch);
    ask = worker_http_ask(&req, 200, 0, NULL);
    worker_ask_send(ask, http, one_is_over, &left);

    pthread_mutex_lock(&name_mutex);

    while (!name_asked) {
        pthread_cond_wait(&name_cond, &name_mutex);
    }

    pthread_mutex_unlock(&name_mutex);

    while (atomic_load(&left) > 0) {
        nanosleep(&nap, NULL);
    }

    assert_int_equal(get("/ok", "elsewhere", 5000, 0, &resp), TRAVEL_OK);
    done(&resp);

    pthread_mutex_lock(&name_mutex);
    silent = name_silent;
    name_silent = false;
    pthread_cond_broadcast(&name_cond);

    while (!name_over) {
        pthread_cond_wait(&name_cond, &name_mutex);
    }

    pthread_mutex_unlock(&name_mutex);
    assert_true(silent);
    assert_int_equal(ask->answer->rc, TRAVEL_ERROR);
    worker_ask_free(&ask);
}


static void
test_what_is_sent(void **state)
{
    char                    url[128];
    travel_trace_t          trace = { .trace_id = { 0xab, 1 },
                                      .span_id = { 7 }, .flags = 1 };
    const char             *headers[] = { "Idempotency-Key: k1", NULL };
    worker_http_response_t  resp;
    worker_http_request_t   req = { .method = "POST", .url = url,
        .headers = headers, .body = TRAVEL_STR("{\"a\":1}"),
        .trace = &trace, .destination = "sent", .timeout_ms = 1000 };

    (void) state;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", port);
    assert_int_equal(call(&req, &resp), TRAVEL_OK);
    done(&resp);

    assert_non_null(strstr(last, "POST /ok HTTP/1.1\r\n"));
    assert_non_null(strstr(last, "Idempotency-Key: k1\r\n"));
    assert_non_null(strstr(last, "\r\n\r\n{\"a\":1}"));
    assert_non_null(strstr(last, "traceparent: 00-ab01"));
    assert_null(strstr(last, "-0700000000000000-"));     /* our own span's id */
    assert_null(strstr(last, "Expect:"));

    memset(trace.trace_id, 0, sizeof(trace.trace_id));
    req.body = TRAVEL_NULL_STR;
    assert_int_equal(call(&req, &resp), TRAVEL_OK);
    done(&resp);
    assert_null(strstr(last, "traceparent"));
    assert_non_null(strstr(last, "Content-Length: 0"));
}


static void
test_bounds(void **state)
{
    worker_http_response_t  resp;

    (void) state;

    assert_int_equal(get("/big", "bounds", 1000, 5000, &resp), TRAVEL_OK);
    assert_int_equal(resp.len, 5000);
    done(&resp);

    assert_int_equal(get("/big", "bounds", 1000, 4999, &resp), TRAVEL_ERROR);
    assert_int_equal(resp.status, 0);
    assert_non_null(strstr(resp.error, "larger than 4999"));
    done(&resp);

    assert_int_equal(get("/silent", "bounds", 200, 0, &resp), TRAVEL_ERROR);
    assert_int_equal(resp.status, 0);
    assert_true(resp.error[0] != '\0');
    done(&resp);

    assert_int_equal(get("/hangup", "bounds", 1000, 0, &resp), TRAVEL_ERROR);
    done(&resp);
}


static void
test_breaker_refuses_without_asking(void **state)
{
    int                     i, before;
    worker_http_response_t  resp;

    (void) state;

    for (i = 0; i < WORKER_BREAKER_FAILURES; i++) {
        assert_int_equal(get("/503", "broken", 1000, 0, &resp), TRAVEL_OK);
        done(&resp);
    }

    before = atomic_load(&requests);
    assert_int_equal(get("/ok", "broken", 1000, 0, &resp), TRAVEL_REFUSED);
    assert_in_range(resp.retry_after_ms, 50000, 60000);
    done(&resp);
    assert_int_equal(atomic_load(&requests), before);

    assert_int_equal(get("/ok", "another", 1000, 0, &resp), TRAVEL_OK);
    done(&resp);
}


static void *
slow_caller(void *ctx)
{
    worker_http_response_t  resp;

    *(int *) ctx = get("/slow", "crowd", 5000, 0, &resp);
    done(&resp);
    return NULL;
}


static void
test_concurrency_is_the_partner_s(void **state)
{
    int        i, rc[12];
    pthread_t  threads[12];

    (void) state;

    for (i = 0; i < 12; i++) {
        pthread_create(&threads[i], NULL, slow_caller, &rc[i]);
    }

    for (i = 0; i < 12; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(rc[i], TRAVEL_OK);
    }

    assert_int_equal(atomic_load(&most), 3);
}


static void
test_many_at_once(void **state)
{
    int                    i;
    char                   url[128];
    atomic_int             left;
    worker_ask_t          *asks[12];
    struct timespec        nap = { 0, 10000000 };
    worker_http_request_t  req = { .method = "GET", .destination = "crowd" };

    (void) state;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", port);
    atomic_store(&most, 0);
    atomic_store(&left, 12);

    for (i = 0; i < 12; i++) {
        req.url = i == 5 ? "nonsense://x" : url;
        asks[i] = worker_http_ask(&req, 5000, 0, NULL);
        worker_ask_send(asks[i], http, one_is_over, &left);
    }

    while (atomic_load(&left) > 0) {
        nanosleep(&nap, NULL);
    }

    assert_int_equal(atomic_load(&most), 3);

    for (i = 0; i < 12; i++) {
        assert_int_equal(asks[i]->answer->rc,
                         i == 5 ? TRAVEL_ERROR : TRAVEL_OK);
        assert_int_equal(asks[i]->answer->status, i == 5 ? 0 : 200);
        worker_ask_free(&asks[i]);
    }
}


static int
setup(void **state)
{
    pthread_t              thread;
    socklen_t              len;
    struct sockaddr_in     addr = { .sin_family = AF_INET };
    static worker_conf_t   conf;

    (void) state;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    len = sizeof(addr);

    if (bind(listener, (struct sockaddr *) &addr, sizeof(addr)) != 0
        || listen(listener, 64) != 0
        || getsockname(listener, (struct sockaddr *) &addr, &len) != 0)
    {
        return -1;
    }

    port = ntohs(addr.sin_port);
    pthread_create(&thread, NULL, acceptor, NULL);
    pthread_detach(thread);

    conf.partners[0].code = (char *) "crowd";
    conf.partners[0].concurrency = 3;
    conf.npartners = 1;
    http = worker_io_start(&conf, NULL);

    return http != NULL ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    worker_io_stop(&http);
    return http == NULL ? 0 : -1;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_answers_and_reuse),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_silent_name_server),
        cmocka_unit_test(test_breaker_refuses_without_asking),
        cmocka_unit_test(test_concurrency_is_the_partner_s),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
