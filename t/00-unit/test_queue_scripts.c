/*
 * The edge's Redis scripts against a real redis-server of this test's own, on
 * a private socket, run as the user 'edge' with the rules of the shipped
 * conf/redis-acl.conf: what the scripts need, the edge must be allowed.
 */

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hiredis.h>

#include "unit.h"
#include "queue_scripts.h"


#define TAG    "travel:{booking.3}:"
#define UUID1  "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
#define UUID2  "017f22e2-79b0-7cc3-98c4-dc0c0c073990"

static char           dir[] = "/tmp/travel-scripts-XXXXXX";
static char           socket_path[sizeof(dir) + 16];
static pid_t          server;
static redisContext  *admin, *edge;


static redisReply *
ask(redisContext *c, const char *format, ...)
{
    va_list      args;
    redisReply  *reply;

    va_start(args, format);
    reply = redisvCommand(c, format, args);
    va_end(args);

    if (reply == NULL) {
        fail_msg("redis: %s", c->errstr);
    }

    return reply;
}


/* "@queue user edge ..." of the shipped file, as ACL SETUSER arguments. */

static void
make_edge(void)
{
    int          argc;
    char        *line, *word, *save;
    char         text[16384];
    FILE        *f;
    size_t       n;
    const char  *argv[512] = { "ACL", "SETUSER", "edge", "on", "nopass" };
    redisReply  *reply;

    f = fopen("conf/redis-acl.conf", "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';

    line = strstr(text, "\n@queue user edge ");
    assert_non_null(line);
    line += strlen("\n@queue user edge ");

    for (word = line; *word && !(*word == '\n' && word[-1] != '\\'); word++) {
        if (*word == '\\' || *word == '\n') {
            *word = ' ';
            word[1] = word[1] == '\n' ? ' ' : word[1];
        }
    }

    *word = '\0';
    argc = 5;

    for (word = strtok_r(line, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
    {
        if (*word == '#' || strcmp(word, "on") == 0) {
            continue;
        }

        argv[argc++] = word;
        assert_true(argc < 512);
    }

    reply = redisCommandArgv(admin, argc, argv, NULL);
    assert_non_null(reply);

    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s", reply->str);
    }

    freeReplyObject(reply);
}


static int
start_server(void **state)
{
    int  i;

    (void) state;

    assert_non_null(mkdtemp(dir));
    snprintf(socket_path, sizeof(socket_path), "%s/s", dir);

    server = fork();

    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (freopen("/dev/null", "w", stdout) == NULL) {
            _exit(126);
        }

        execlp("redis-server", "redis-server", "--port", "0", "--save", "",
               "--appendonly", "no", "--unixsocket", socket_path, "--dir",
               dir, (char *) NULL);
        _exit(127);
    }

    for (i = 0; i < 200; i++) {
        admin = redisConnectUnix(socket_path);

        if (admin && !admin->err) {
            break;
        }

        redisFree(admin);
        admin = NULL;
        usleep(20000);
    }

    assert_non_null(admin);
    make_edge();

    edge = redisConnectUnix(socket_path);
    assert_int_equal(edge->err, 0);
    freeReplyObject(ask(edge, "AUTH edge x"));

    return 0;
}


static int
stop_server(void **state)
{
    (void) state;

    redisFree(edge);
    redisFree(admin);

    kill(server, SIGKILL);
    waitpid(server, NULL, 0);

    unlink(socket_path);
    rmdir(dir);

    return 0;
}


static int
flush(void **state)
{
    (void) state;

    freeReplyObject(ask(admin, "FLUSHALL"));

    return 0;
}


static redisReply *
accept_job(const char *print, const char *final, const char *uuid)
{
    char  job[128];

    snprintf(job, sizeof(job), TAG "job:%s", uuid);

    return ask(edge, "EVAL %s 3 %s %s %s %s 60000 %s %s 0 8"
               " status queued type booking.create sub alice resource %s"
               " id %s type booking.create body %s",
               travel_script_accept, TAG "idem:aa", job, TAG "normal",
               print, final, uuid, uuid, uuid, "{\"party size\": 2}");
}


/* One that is to be unique for 'ttl'; print "": without an idempotency key. */
static redisReply *
accept_alike(const char *print, const char *uuid, const char *ttl)
{
    char  job[128];

    snprintf(job, sizeof(job), TAG "job:%s", uuid);

    return ask(edge, "EVAL %s 4 %s %s %s %s %s 60000 0 %s %s 4"
               " status queued sub alice id %s body x",
               travel_script_accept, print[0] ? TAG "idem:aa" : TAG "idem:bb",
               job, TAG "normal", TAG "idem:bb", print, uuid, ttl, uuid);
}


static const char *
word(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s", reply->str);
    }

    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);

    return reply->element[0]->str;
}


static const char *
field(const redisReply *hash, const char *name)
{
    size_t  i;

    assert_int_equal(hash->type, REDIS_REPLY_ARRAY);

    for (i = 0; i + 1 < hash->elements; i += 2) {
        if (strcmp(hash->element[i]->str, name) == 0) {
            return hash->element[i + 1]->str;
        }
    }

    return NULL;
}


static long long
number(const char *command)
{
    long long    n;
    redisReply  *reply;

    reply = ask(admin, command);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    n = reply->integer;
    freeReplyObject(reply);

    return n;
}


static void
first_call_accepts(void **state)
{
    redisReply  *reply, *entry, *hash;

    (void) state;

    reply = accept_job("f1", "0", UUID1);
    assert_string_equal(word(reply), "new");
    assert_int_equal(reply->elements, 3);
    assert_string_equal(reply->element[1]->str, UUID1);

    entry = ask(admin, "XRANGE " TAG "normal - +");
    assert_int_equal(entry->elements, 1);
    assert_string_equal(entry->element[0]->element[0]->str,
                        reply->element[2]->str);
    assert_string_equal(field(entry->element[0]->element[1], "id"), UUID1);
    assert_string_equal(field(entry->element[0]->element[1], "body"),
                        "{\"party size\": 2}");
    assert_int_equal(entry->element[0]->element[1]->elements, 6);

    hash = ask(admin, "HGETALL " TAG "job:" UUID1);
    assert_int_equal(hash->elements, 10);
    assert_string_equal(field(hash, "status"), "queued");
    assert_string_equal(field(hash, "resource"), UUID1);
    assert_string_equal(field(hash, "entry"), reply->element[2]->str);

    /* the job stays until it is settled, the key for its time */

    assert_int_equal(number("PTTL " TAG "job:" UUID1), -1);
    assert_in_range(number("PTTL " TAG "idem:aa"), 50000, 60000);

    freeReplyObject(hash);
    freeReplyObject(entry);
    freeReplyObject(reply);
}


static void
repeat_replays_the_first(void **state)
{
    int          i;
    redisReply  *reply;

    (void) state;

    freeReplyObject(accept_job("f1", "0", UUID1));

    for (i = 0; i < 3; i++) {
        reply = accept_job("f1", "0", UUID2);       /* its ids do not count */

        assert_string_equal(word(reply), "replay");
        assert_string_equal(reply->element[1]->str, UUID1);
        assert_string_equal(field(reply->element[2], "status"), "queued");
        assert_string_equal(field(reply->element[2], "resource"), UUID1);
        freeReplyObject(reply);
    }

    assert_int_equal(number("XLEN " TAG "normal"), 1);
    assert_int_equal(number("EXISTS " TAG "job:" UUID2), 0);

    /* later the replay tells what became of it */

    freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1
                        " status succeeded result %s", "{\"ok\":true}"));
    reply = accept_job("f1", "1", UUID2);
    assert_string_equal(word(reply), "replay");
    assert_string_equal(field(reply->element[2], "result"), "{\"ok\":true}");
    freeReplyObject(reply);

    /* and still names it when the hash is gone */

    freeReplyObject(ask(admin, "DEL " TAG "job:" UUID1));
    reply = accept_job("f1", "1", UUID2);
    assert_string_equal(word(reply), "replay");
    assert_string_equal(reply->element[1]->str, UUID1);
    assert_int_equal(reply->element[2]->elements, 0);
    freeReplyObject(reply);
}


static void
other_request_is_a_mismatch(void **state)
{
    redisReply  *reply;

    (void) state;

    freeReplyObject(accept_job("f1", "0", UUID1));

    reply = accept_job("f2", "0", UUID2);
    assert_string_equal(word(reply), "mismatch");
    assert_int_equal(reply->elements, 1);
    freeReplyObject(reply);

    /* no prefix, no pattern */

    reply = accept_job("f", "0", UUID2);
    assert_string_equal(word(reply), "mismatch");
    freeReplyObject(reply);
    reply = accept_job(".*", "0", UUID2);
    assert_string_equal(word(reply), "mismatch");
    freeReplyObject(reply);

    assert_int_equal(number("XLEN " TAG "normal"), 1);
}


static void
final_required(void **state)
{
    size_t       i;
    redisReply  *reply;

    static const struct { const char *status, *word; } rows[] = {
        { "queued", "running" }, { "running", "running" },
        { "retrying", "running" }, { "succeeded", "replay" },
        { "failed", "replay" }, { "dead", "replay" }, { "cancelled", "replay" }
    };

    (void) state;

    freeReplyObject(accept_job("f1", "1", UUID1));

    for (i = 0; i < N(rows); i++) {
        freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status %s",
                            rows[i].status));

        reply = accept_job("f1", "1", UUID2);
        assert_string_equal(word(reply), rows[i].word);
        assert_string_equal(reply->element[1]->str, UUID1);
        freeReplyObject(reply);

        reply = accept_job("f1", "0", UUID2);
        assert_string_equal(word(reply), "replay");
        freeReplyObject(reply);
    }
}


static void
key_forgotten_in_time(void **state)
{
    redisReply  *reply;

    (void) state;

    freeReplyObject(accept_job("f1", "0", UUID1));
    freeReplyObject(ask(admin, "PEXPIRE " TAG "idem:aa 1"));
    usleep(20000);

    reply = accept_job("f2", "0", UUID2);
    assert_string_equal(word(reply), "new");
    freeReplyObject(reply);
    assert_int_equal(number("XLEN " TAG "normal"), 2);
}


/* A stream that cannot take the entry leaves no half of a job behind. */

static void
failure_has_no_effect(void **state)
{
    redisReply  *reply;

    (void) state;

    freeReplyObject(ask(admin, "SET " TAG "normal wrong"));

    reply = accept_job("f1", "0", UUID1);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    assert_int_equal(number("EXISTS " TAG "job:" UUID1 " " TAG "idem:aa"), 0);
}


static void
alike(void **state)
{
    size_t       i;
    redisReply  *reply;

    static const char  *vain[] = { "failed", "dead", "cancelled" };

    (void) state;

    reply = accept_alike("", UUID1, "60000");
    assert_string_equal(word(reply), "new");
    freeReplyObject(reply);
    assert_int_equal(number("EXISTS " TAG "idem:aa"), 0);
    assert_in_range(number("PTTL " TAG "idem:bb"), 50000, 60000);

    /* the second one is the first, also for who repeats it */

    reply = accept_alike("f1", UUID2, "60000");
    assert_string_equal(word(reply), "alike");
    assert_string_equal(reply->element[1]->str, UUID1);
    assert_string_equal(field(reply->element[2], "status"), "queued");
    freeReplyObject(reply);
    assert_int_equal(number("EXISTS " TAG "job:" UUID2), 0);
    assert_int_equal(number("XLEN " TAG "normal"), 1);

    reply = accept_alike("f1", UUID2, "60000");
    assert_string_equal(word(reply), "replay");
    assert_string_equal(reply->element[1]->str, UUID1);
    freeReplyObject(reply);

    /* one that came to nothing keeps nobody out, nor one that is forgotten */

    for (i = 0; i < N(vain); i++) {
        freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status %s",
                            vain[i]));
        freeReplyObject(ask(admin, "SET " TAG "idem:bb " UUID1));
        reply = accept_alike("", UUID2, "60000");
        assert_string_equal(word(reply), "new");
        freeReplyObject(reply);
    }

    freeReplyObject(ask(admin, "DEL " TAG "job:" UUID2));
    reply = accept_alike("", UUID1, "60000");
    assert_string_equal(word(reply), "new");
    freeReplyObject(reply);
    freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status succeeded"));
    reply = accept_alike("", UUID2, "60000");
    assert_string_equal(word(reply), "alike");
    freeReplyObject(reply);
}


static redisReply *
cancel_job(const char *sub)
{
    return ask(edge, "EVAL %s 1 %s %s %s", travel_script_cancel,
               TAG "job:" UUID1, sub, "2026-03-01T19:00:00.000Z");
}


static void
cancel(void **state)
{
    size_t       i;
    redisReply  *reply;

    static const char  *begun[] = { "running", "retrying" };
    static const char  *over[] = {
        "succeeded", "failed", "dead", "cancelled"
    };

    (void) state;

    reply = cancel_job("alice");
    assert_string_equal(word(reply), "unknown");
    freeReplyObject(reply);

    freeReplyObject(accept_job("f1", "0", UUID1));

    reply = cancel_job("mallory");
    assert_string_equal(word(reply), "unknown");
    assert_int_equal(reply->elements, 1);
    freeReplyObject(reply);

    reply = cancel_job("alice");
    assert_string_equal(word(reply), "cancelled");
    assert_string_equal(field(reply->element[1], "status"), "cancelled");
    assert_string_equal(field(reply->element[1], "updated_at"),
                        "2026-03-01T19:00:00.000Z");
    freeReplyObject(reply);

    /* what says "do not run" must outlive the message, which is still there */

    assert_int_equal(number("XLEN " TAG "normal"), 1);
    assert_int_equal(number("PTTL " TAG "job:" UUID1), -1);

    for (i = 0; i < N(begun); i++) {
        freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status %s",
                            begun[i]));
        reply = cancel_job("mallory");
        assert_string_equal(word(reply), "unknown");
        freeReplyObject(reply);
        assert_int_equal(number("HEXISTS " TAG "job:" UUID1 " cancel"), 0);

        reply = cancel_job("alice");
        assert_string_equal(word(reply), "told");
        assert_string_equal(field(reply->element[1], "status"), begun[i]);
        assert_string_equal(field(reply->element[1], "cancel"), "1");
        freeReplyObject(reply);
        freeReplyObject(ask(admin, "HDEL " TAG "job:" UUID1 " cancel"));
    }

    for (i = 0; i < N(over); i++) {
        freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status %s",
                            over[i]));
        reply = cancel_job("alice");
        assert_string_equal(word(reply), "refused");
        assert_string_equal(field(reply->element[1], "status"), over[i]);
        freeReplyObject(reply);
        assert_int_equal(number("HEXISTS " TAG "job:" UUID1 " cancel"), 0);
    }

    /* a job of nobody's is the operator's to cancel, who may cancel any */

    freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status queued"));
    reply = cancel_job("");
    assert_string_equal(word(reply), "cancelled");
    freeReplyObject(reply);

    freeReplyObject(ask(admin, "HSET " TAG "job:" UUID1 " status queued"));
    freeReplyObject(ask(admin, "HDEL " TAG "job:" UUID1 " sub"));
    reply = cancel_job("alice");
    assert_string_equal(word(reply), "unknown");
    freeReplyObject(reply);
    reply = cancel_job("");
    assert_string_equal(word(reply), "cancelled");
    freeReplyObject(reply);
}


/* The same login may not do with other keys what the scripts do with theirs:
 * an internal queue takes no job from the edge, and no entry leaves. */

static void
edge_may_no_more(void **state)
{
    redisReply  *reply;

    (void) state;

    reply = ask(edge, "EVAL %s 3 " TAG "idem:aa " TAG "job:" UUID1
                " travel:{maintenance.0}:normal"
                " f 1000 0 u 2 status queued id u", travel_script_accept);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    reply = ask(edge, "XADD travel:{notification.0}:normal * id u");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    freeReplyObject(accept_job("f1", "0", UUID1));
    reply = ask(edge, "XTRIM " TAG "normal MAXLEN 0");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    assert_int_equal(number("XLEN " TAG "normal"), 1);
    assert_int_equal(number("EXISTS travel:{maintenance.0}:normal"), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(first_call_accepts, flush),
        cmocka_unit_test_setup(repeat_replays_the_first, flush),
        cmocka_unit_test_setup(other_request_is_a_mismatch, flush),
        cmocka_unit_test_setup(final_required, flush),
        cmocka_unit_test_setup(key_forgotten_in_time, flush),
        cmocka_unit_test_setup(failure_has_no_effect, flush),
        cmocka_unit_test_setup(alike, flush),
        cmocka_unit_test_setup(cancel, flush),
        cmocka_unit_test_setup(edge_may_no_more, flush)
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
