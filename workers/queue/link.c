/*
 * A pipelined connection to the queue Redis over hiredis.
 *
 * hiredis is used for its buffers and its parser only: the socket never
 * blocks, the owner's poll() says when to read and write, and the open
 * commands stand in a ring in the order they were sent.  A broken connection
 * is dropped in one place, worker_link_drop(), which answers all of them with
 * NULL, tells the owner, and lets a later turn connect again.
 *
 * In a cluster a server may answer that a command belongs elsewhere, so its
 * text is kept, beside the ring, until it is answered.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <hiredis/hiredis.h>

#include "connect.h"
#include "link.h"
#include "redis.h"
#include "../pool/log.h"
#include "../../common/backoff.h"
#include "../../common/digits.h"
#include "../../common/hash.h"

#define LINK_CONNECT_MS   2000      /* of a server that says nothing */
#define LINK_SILENCE_MS   15000     /* an answer overdue: it is dead */
#define LINK_REST_MS      1000      /* the same of one that should rest */
#define LINK_READS        64        /* chunks of 16 KB per turn */
#define LINK_RETRY_MS     20
#define LINK_RETRY_CAP_MS 500

typedef enum {
    LINK_DOWN,                      /* no socket; connects at retry_at */
    LINK_CONNECTING,                /* socket, waits to become writable */
    LINK_GREETING,                  /* login and scripts are under way */
    LINK_UP
} link_state_e;

typedef struct {
    worker_reply_pt    cb;
    void              *data;
    worker_command_t  *kept;        /* of a link that follows; or NULL */
} link_open_t;

struct worker_link_s {
    const worker_conf_t  *conf;
    const char           *name;     /* in the log and in CLIENT LIST */
    link_state_e          state;
    redisContext         *rc;       /* NULL when down */

    link_open_t          *ring;     /* commands without an answer yet */
    size_t                head;
    size_t                count;
    size_t                room;     /* a power of two */

    bool                  scripts;
    char                  sha[TRAVEL_SCRIPT_MAX][41];
    int                   script;   /* whose SHA comes next */
    int                   greeting; /* answers missing until it is up */
    unsigned              server;   /* whose turn it is */

    travel_cluster_node_t  at;      /* the only one, when it is aimed */
    bool                  aimed;
    bool                  resting;
    worker_link_error_pt  error;    /* NULL: nothing is kept */
    void                 *error_data;

    int64_t               now;      /* of this turn */
    int64_t               heard;    /* when the last answer came, or
                                       connecting began */
    int64_t               retry_at;
    unsigned              failures;
    const char           *broken;   /* why it must be dropped, or NULL */

    worker_link_up_pt     up;
    worker_link_down_pt   down;
    void                 *data;
};


worker_link_t *
worker_link_create(const worker_conf_t *conf, const char *name, bool scripts,
    worker_link_up_pt up, worker_link_down_pt down, void *data)
{
    worker_link_t  *link;

    link = calloc(1, sizeof(worker_link_t));

    if (link == NULL) {
        return NULL;
    }

    link->room = 64;
    link->ring = calloc(link->room, sizeof(link_open_t));

    if (link->ring == NULL) {
        free(link);
        return NULL;
    }

    link->conf = conf;
    link->name = name;
    link->scripts = scripts;
    link->up = up;
    link->down = down;
    link->data = data;

    return link;
}


static link_open_t
link_pop(worker_link_t *link)
{
    link_open_t  open;

    open = link->ring[link->head];
    link->head = (link->head + 1) & (link->room - 1);
    link->count--;

    return open;
}


/* Whoever waits for an answer hears that there will be none. */
static void
link_disappoint(worker_link_t *link)
{
    link_open_t  open;

    while (link->count) {
        open = link_pop(link);
        worker_command_free(open.kept);

        if (open.cb != NULL) {
            open.cb(open.data, NULL);
        }
    }
}


void
worker_link_free(worker_link_t **plink)
{
    worker_link_t  *link;

    link = *plink;
    *plink = NULL;

    if (link == NULL) {
        return;
    }

    link->state = LINK_DOWN;
    link_disappoint(link);

    if (link->rc != NULL) {
        redisFree(link->rc);
    }

    free(link->ring);
    free(link);
}


bool
worker_link_up(const worker_link_t *link)
{
    return link != NULL && link->state == LINK_UP;
}


int
worker_link_fd(const worker_link_t *link)
{
    return link->rc != NULL ? link->rc->fd : -1;
}


short
worker_link_events(const worker_link_t *link)
{
    if (link->state == LINK_CONNECTING) {
        return POLLOUT;
    }

    return link->rc != NULL && sdslen(link->rc->obuf) > 0 ? POLLIN | POLLOUT
                                                          : POLLIN;
}


/* --- the ring of open commands -------------------------------------------- */

static bool
link_push(worker_link_t *link, worker_reply_pt cb, void *data,
    worker_command_t *kept)
{
    size_t        i;
    link_open_t  *ring;

    if (link->count == link->room) {
        ring = calloc(link->room * 2, sizeof(link_open_t));

        if (ring == NULL) {
            return false;
        }

        for (i = 0; i < link->count; i++) {
            ring[i] = link->ring[(link->head + i) & (link->room - 1)];
        }

        free(link->ring);
        link->ring = ring;
        link->head = 0;
        link->room *= 2;
    }

    if (link->count == 0) {
        link->heard = link->now;
    }

    i = (link->head + link->count++) & (link->room - 1);
    link->ring[i] = (link_open_t) { cb, data, kept };

    return true;
}


/* The one place where a connection ends. */
static void
worker_link_drop(worker_link_t *link, const char *why)
{
    bool          was_up;
    uint32_t      rnd;
    redisContext *rc;

    rc = link->rc;
    was_up = link->state == LINK_UP;
    link->rc = NULL;
    link->state = LINK_DOWN;
    link->broken = NULL;
    link->server++;                 /* the master may be another one now */

    if (was_up || link->failures == 0) {
        worker_log(WORKER_LOG_WARN, "redis %s: %s", link->name, why);
    }

    if (rc != NULL) {
        redisFree(rc);
    }

    if (travel_random(&rnd, sizeof(rnd)) != TRAVEL_OK) {
        rnd = (uint32_t) link->now;
    }

    link->retry_at = link->now
                     + (int64_t) travel_backoff_ms(link->failures++,
                                                   LINK_RETRY_MS,
                                                   LINK_RETRY_CAP_MS, 1, rnd);

    link_disappoint(link);

    if (was_up) {
        link->down(link->data);
    }
}


/* --- connecting ----------------------------------------------------------- */

static worker_address_t
link_address(worker_link_t *link)
{
    unsigned          count;
    worker_address_t  at = { .text = "", .port = 0 };

    if (link->aimed) {
        snprintf(at.text, sizeof(at.text), "%s", link->at.host);
        at.port = link->at.port;
        return at;
    }

    count = worker_redis_address(&at, link->conf->redis_socket, link->server);

    if (link->server >= count && count > 0) {
        link->server %= count;
        (void) worker_redis_address(&at, link->conf->redis_socket,
                                    link->server);
    }

    return at;
}


static void
link_connect(worker_link_t *link)
{
    char              why[160];
    worker_address_t  at;

    at = link_address(link);
    link->rc = at.port > 0 ? redisConnectNonBlock(at.text, at.port)
                           : redisConnectUnixNonBlock(at.text);

    if (link->rc == NULL) {
        worker_link_drop(link, "out of memory");
        return;
    }

    link->state = LINK_CONNECTING;
    link->heard = link->now;

    if (link->rc->err) {
        snprintf(why, sizeof(why), "cannot connect: %s", link->rc->errstr);
        worker_link_drop(link, why);
    }
}


static void
link_greeted(worker_link_t *link)
{
    if (--link->greeting > 0) {
        return;
    }

    if (link->failures > 1) {
        worker_log(WORKER_LOG_INFO, "redis %s: connected again", link->name);
    }

    link->state = LINK_UP;
    link->failures = 0;
    link->up(link->data);
}


/* Once, and not with every attempt: a server may load its data for minutes. */
static void
link_refused(worker_link_t *link, const char *what, const redisReply *reply)
{
    if (link->failures == 0) {
        worker_log(WORKER_LOG_ERROR, "redis %s: %s: %s", link->name, what,
                   reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
    }
}


static void
link_on_greeting(void *data, const redisReply *reply)
{
    worker_link_t  *link = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        link_refused(link, "login", reply);
        link->broken = "login refused";
        return;
    }

    link_greeted(link);
}


static void
link_on_info(void *data, const redisReply *reply)
{
    const char     *unfit;
    worker_link_t  *link = data;

    if (reply == NULL) {
        return;
    }

    unfit = worker_redis_unfit(reply);

    if (unfit != NULL) {
        link->broken = unfit;
        return;
    }

    link_greeted(link);
}


static void
link_on_script(void *data, const redisReply *reply)
{
    worker_link_t  *link = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_STRING || reply->len != 40) {
        link_refused(link, travel_worker_script_name((travel_script_e)
                                                     link->script), reply);
        link->broken = "a script was refused";
        return;
    }

    memcpy(link->sha[link->script++], reply->str, 41);
    link_greeted(link);
}


void
worker_command_free(worker_command_t *command)
{
    if (command != NULL) {
        free(command->text);
        free(command);
    }
}


static worker_command_t *
link_keep(worker_reply_pt cb, void *data, int argc, const char **argv,
    const size_t *argvlen)
{
    int                len;
    worker_command_t  *command;

    command = calloc(1, sizeof(worker_command_t));

    if (command == NULL) {
        return NULL;
    }

    len = redisFormatCommandArgv(&command->text, argc, argv, argvlen);

    if (len < 0) {
        free(command);
        return NULL;
    }

    command->cb = cb;
    command->data = data;
    command->len = (size_t) len;

    return command;
}


static void
link_unsent(worker_reply_pt cb, void *data)
{
    if (cb != NULL) {
        cb(data, NULL);
    }
}


static void
link_send_kept(worker_link_t *link, worker_command_t *command)
{
    if (!link_push(link, command->cb, command->data, command)) {
        link->broken = "out of memory";
        link_unsent(command->cb, command->data);
        worker_command_free(command);
        return;
    }

    if (redisAppendFormattedCommand(link->rc, command->text, command->len)
        != REDIS_OK)
    {
        link->broken = "out of memory";
    }
}


static void
link_send(worker_link_t *link, worker_reply_pt cb, void *data, int argc,
    const char **argv, const size_t *argvlen)
{
    worker_command_t  *command;

    if (link->error != NULL && link->state == LINK_UP) {
        command = link_keep(cb, data, argc, argv, argvlen);

        if (command != NULL) {
            link_send_kept(link, command);
            return;
        }
    }

    if (!link_push(link, cb, data, NULL)) {
        link->broken = "out of memory";
        link_unsent(cb, data);
        return;
    }

    if (redisAppendCommandArgv(link->rc, argc, argv, argvlen) != REDIS_OK) {
        link->broken = "out of memory";
    }
}


static void
link_greet(worker_link_t *link)
{
    int           i;
    size_t        len[3];
    const char   *argv[3];
    travel_str_t  text;

    link->state = LINK_GREETING;
    link->greeting = 1;
    link->script = 0;

    if (link->conf->redis_password != NULL) {
        argv[0] = "AUTH";
        argv[1] = link->conf->redis_user;
        argv[2] = link->conf->redis_password;

        if (argv[1] == NULL) {
            argv[1] = argv[2];
        }

        link->greeting++;
        link_send(link, link_on_greeting, link, argv[1] == argv[2] ? 2 : 3,
                  argv, NULL);
    }

    argv[0] = "CLIENT";
    argv[1] = "SETNAME";
    argv[2] = link->name;
    link_send(link, link_on_greeting, link, 3, argv, NULL);

    if (!link->conf->redis_cluster) {
        argv[0] = "INFO";
        argv[1] = "replication";
        argv[2] = "cluster";
        link->greeting++;
        link_send(link, link_on_info, link, 3, argv, NULL);
    }

    argv[0] = "SCRIPT";
    argv[1] = "LOAD";
    len[0] = 6;
    len[1] = 4;

    for (i = 0; link->scripts && i < TRAVEL_SCRIPT_MAX; i++) {
        text = travel_worker_script((travel_script_e) i);
        argv[2] = text.data;
        len[2] = text.len;
        link->greeting++;
        link_send(link, link_on_script, link, 3, argv, len);
    }
}


static void
link_connected(worker_link_t *link)
{
    int        err;
    char       why[128];
    socklen_t  len;

    err = 0;
    len = sizeof(err);

    if (getsockopt(link->rc->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        err = errno;
    }

    if (err != 0) {
        snprintf(why, sizeof(why), "cannot connect: %s", strerror(err));
        worker_link_drop(link, why);
        return;
    }

    link->rc->flags |= REDIS_CONNECTED;
    link_greet(link);
}


/* --- of a cluster --------------------------------------------------------- */

void
worker_link_follow(worker_link_t *link, worker_link_error_pt error,
    void *data)
{
    link->error = error;
    link->error_data = data;
}


void
worker_link_again(worker_link_t *link, worker_command_t *command, bool asking)
{
    const char  *argv[1] = { "ASKING" };

    if (asking) {
        if (!link_push(link, NULL, NULL, NULL)
            || redisAppendCommandArgv(link->rc, 1, argv, NULL) != REDIS_OK)
        {
            link->broken = "out of memory";
        }
    }

    link_send_kept(link, command);
}


void
worker_link_rest(worker_link_t *link, bool resting)
{
    link->resting = resting;
}


void
worker_link_aim(worker_link_t *link, const travel_cluster_node_t *at)
{
    if (link->aimed && travel_cluster_node_eq(&link->at, at)) {
        return;
    }

    link->at = *at;
    link->aimed = true;

    if (link->state != LINK_DOWN) {
        worker_link_drop(link, "its slot has moved");
    }

    link->failures = 0;
    link->retry_at = link->now;
}


void
worker_link_address(const worker_link_t *link, travel_cluster_node_t *ret_at)
{
    worker_address_t  at;

    if (link->aimed) {
        *ret_at = link->at;
        return;
    }

    if (worker_redis_address(&at, link->conf->redis_socket, link->server)
        > link->server)
    {
        (void) travel_cluster_node_set(ret_at, (travel_str_t) { at.text,
                                       strlen(at.text) }, (unsigned) at.port);
    }
}


/* --- a turn --------------------------------------------------------------- */

static void
link_error(worker_link_t *link, link_open_t *open, const redisReply *reply)
{
    if (worker_redis_readonly(reply)) {
        link->broken = "it has become a replica";
    }

    if (strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        link->broken = "it has lost our scripts";   /* greeted, it gets them */
    }

    if (open->kept != NULL
        && link->error(link->error_data, open->kept, reply))
    {
        open->kept = NULL;
        open->cb = NULL;
    }
}


static void
link_answers(worker_link_t *link)
{
    void        *reply;
    link_open_t  open;

    while (link->rc != NULL && link->broken == NULL) {
        reply = NULL;

        if (redisReaderGetReply(link->rc->reader, &reply) != REDIS_OK) {
            link->broken = "the answer is not Redis protocol";
            return;
        }

        if (reply == NULL) {
            return;
        }

        if (link->count == 0) {
            freeReplyObject(reply);
            link->broken = "an answer nobody asked for";
            return;
        }

        open = link_pop(link);
        link->heard = link->now;

        if (((redisReply *) reply)->type == REDIS_REPLY_ERROR) {
            link_error(link, &open, reply);
        }

        if (open.cb != NULL) {
            open.cb(open.data, reply);
        }

        worker_command_free(open.kept);
        freeReplyObject(reply);
    }
}


static void
link_read(worker_link_t *link)
{
    int  i, left;

    for (i = 0; i < LINK_READS; i++) {
        if (redisBufferRead(link->rc) != REDIS_OK) {
            link_answers(link);     /* what came before the end counts */

            if (link->broken == NULL) {
                link->broken = "connection lost";
            }

            return;
        }

        left = 0;

        if (ioctl(link->rc->fd, FIONREAD, &left) < 0 || left == 0) {
            break;
        }
    }

    link_answers(link);
}


static int
link_silence(const worker_link_t *link)
{
    return link->resting ? LINK_REST_MS : LINK_SILENCE_MS;
}


void
worker_link_turn(worker_link_t *link, short revents, int64_t now)
{
    link->now = now;

    if (link->state == LINK_DOWN) {
        if (now < link->retry_at || link->resting) {
            return;
        }

        link_connect(link);
        return;
    }

    if (link->state == LINK_CONNECTING) {
        if (revents & (POLLOUT | POLLERR | POLLHUP)) {
            link_connected(link);

        } else if (now - link->heard > LINK_CONNECT_MS) {
            link->broken = "cannot connect: no answer";
        }

    } else if (revents & (POLLIN | POLLERR | POLLHUP)) {
        link_read(link);
    }

    if (link->broken == NULL && link->count > 0
        && now - link->heard > link_silence(link))
    {
        link->broken = "no answer";
    }

    if (link->broken != NULL) {
        worker_link_drop(link, link->broken);
    }
}


void
worker_link_flush(worker_link_t *link)
{
    int  done;

    if (link->state < LINK_GREETING || sdslen(link->rc->obuf) == 0) {
        return;
    }

    done = 0;

    if (redisBufferWrite(link->rc, &done) != REDIS_OK) {
        worker_link_drop(link, "connection lost");
    }
}


int
worker_link_wait(const worker_link_t *link, int64_t now)
{
    if (link->state == LINK_CONNECTING) {
        return LINK_CONNECT_MS;
    }

    if (link->state != LINK_DOWN) {
        return link->count ? link_silence(link) : -1;
    }

    if (link->resting) {
        return -1;
    }

    return link->retry_at > now ? (int) (link->retry_at - now) : 0;
}


void
worker_link_send(worker_link_t *link, worker_reply_pt cb, void *data, int argc,
    const char **argv, const size_t *argvlen)
{
    if (!worker_link_up(link)) {
        link_unsent(cb, data);
        return;
    }

    link_send(link, cb, data, argc, argv, argvlen);
}


/* --- the arguments of a script -------------------------------------------- */

void
worker_args_begin(worker_args_t *args)
{
    args->argc = 0;
    args->ntext = 0;
    args->failed = false;

    /* EVALSHA, the SHA and the number of keys come in when it is sent. */
    worker_args_str(args, "EVALSHA", 7);
    worker_args_str(args, "", 0);
    worker_args_str(args, "", 0);
}


void
worker_args_free(worker_args_t *args)
{
    free(args->argv);
    free(args->argvlen);
    free(args->offset);
    free(args->text);
    memset(args, 0, sizeof(*args));
}


static bool
args_room(worker_args_t *args)
{
    int     room;
    void   *argv, *len, *offset;

    if (args->argc < args->room) {
        return true;
    }

    room = args->room ? args->room * 2 : 256;
    argv = realloc(args->argv, (size_t) room * sizeof(char *));
    args->argv = argv != NULL ? argv : args->argv;
    len = realloc(args->argvlen, (size_t) room * sizeof(size_t));
    args->argvlen = len != NULL ? len : args->argvlen;
    offset = realloc(args->offset, (size_t) room * sizeof(size_t));
    args->offset = offset != NULL ? offset : args->offset;

    if (argv == NULL || len == NULL || offset == NULL) {
        args->failed = true;
        return false;
    }

    args->room = room;
    return true;
}


void
worker_args_str(worker_args_t *args, const char *s, size_t len)
{
    if (!args_room(args)) {
        return;
    }

    args->argv[args->argc] = s;
    args->argvlen[args->argc] = len;
    args->offset[args->argc++] = SIZE_MAX;
}


static bool
args_text(worker_args_t *args, const char *s, size_t len)
{
    char    *text;
    size_t   room;

    if (args->ntext + len > args->roomtext) {
        room = (args->ntext + len) * 2 + 1024;
        text = realloc(args->text, room);

        if (text == NULL) {
            args->failed = true;
            return false;
        }

        args->text = text;
        args->roomtext = room;
    }

    if (len) {
        memcpy(args->text + args->ntext, s, len);
    }

    return true;
}


void
worker_args_copy(worker_args_t *args, const char *s, size_t len)
{
    if (!args_text(args, s, len)) {
        return;
    }

    worker_args_str(args, NULL, len);

    if (!args->failed) {
        args->offset[args->argc - 1] = args->ntext;
        args->ntext += len;
    }
}


void
worker_args_more(worker_args_t *args, const char *s, size_t len)
{
    if (!args->failed && args_text(args, s, len)) {
        args->argvlen[args->argc - 1] += len;
        args->ntext += len;
    }
}


void
worker_args_int(worker_args_t *args, int64_t v)
{
    char    text[TRAVEL_DIGITS_MAX + 1];
    size_t  n;

    n = 0;

    if (v < 0) {
        text[n++] = '-';
        v = -v;
    }

    n += travel_digits_format(text + n, (uint64_t) v);
    worker_args_copy(args, text, n);
}


/* The text does not move any more: what was made in it can be pointed at. */
static void
args_settle(worker_args_t *args)
{
    int  i;

    for (i = 0; i < args->argc; i++) {
        if (args->offset[i] != SIZE_MAX) {
            args->argv[i] = args->text + args->offset[i];
        }
    }
}


void
worker_link_call(worker_link_t *link, worker_reply_pt cb, void *data,
    worker_args_t *args)
{
    if (args->failed || !worker_link_up(link)) {
        link_unsent(cb, data);
        return;
    }

    args_settle(args);
    link_send(link, cb, data, args->argc, args->argv, args->argvlen);
}


void
worker_link_script(worker_link_t *link, travel_script_e script,
    worker_reply_pt cb, void *data, worker_args_t *args, int nkeys)
{
    char  keys[16];

    if (args->failed || !worker_link_up(link)) {
        link_unsent(cb, data);
        return;
    }

    args_settle(args);
    args->argv[1] = link->sha[script];
    args->argvlen[1] = 40;
    args->argv[2] = keys;
    args->argvlen[2] = (size_t) snprintf(keys, sizeof(keys), "%d", nkeys);

    link_send(link, cb, data, args->argc, args->argv, args->argvlen);
}
