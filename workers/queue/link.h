/*
 * One pipelined, never blocking connection to the queue Redis, for a thread
 * that runs its own poll() loop.  Replies come in the order of the commands.
 *
 * One thread owns a link and all that hangs on it.
 */

#ifndef WORKER_LINK_H
#define WORKER_LINK_H

#include "../pool/conf.h"
#include "../../common/cluster.h"
#include "../../common/worker_scripts.h"

struct redisReply;

typedef struct worker_link_s  worker_link_t;

/* reply NULL: the link broke before the answer came, so whether the command
 * was done is not known.  The reply is freed after the call. */
typedef void (*worker_reply_pt)(void *data, const struct redisReply *reply);

/* The link is up, scripts are loaded; sends may follow at once. */
typedef void (*worker_link_up_pt)(void *data);
/* It broke; every open command has been answered with NULL before. */
typedef void (*worker_link_down_pt)(void *data);

worker_link_t *worker_link_create(const worker_conf_t *conf, const char *name,
    bool scripts, worker_link_up_pt up, worker_link_down_pt down, void *data);
/* Open commands are answered with NULL before. */
void worker_link_free(worker_link_t **plink);

/* Also false for NULL; what is sent to no link is answered with NULL. */
bool worker_link_up(const worker_link_t *link);

/* For poll(): -1 while there is no socket. */
int worker_link_fd(const worker_link_t *link);
short worker_link_events(const worker_link_t *link);

/* After poll(); also connects when it is time.  now: monotonic ms. */
void worker_link_turn(worker_link_t *link, short revents, int64_t now);
/* Writes what the turn gathered. */
void worker_link_flush(worker_link_t *link);
/* ms until it wants a turn without an event, or -1. */
int worker_link_wait(const worker_link_t *link, int64_t now);

/* Only while up; arguments are copied. */
void worker_link_send(worker_link_t *link, worker_reply_pt cb, void *data,
    int argc, const char **argv, const size_t *argvlen);

/*
 * For hub.c, in a cluster.  A link goes by the addresses of workers.conf until
 * it is aimed at one server; one that rests is not connected again once it is
 * down, and is given up soon when it owes answers.
 */
void worker_link_aim(worker_link_t *link, const travel_cluster_node_t *at);
void worker_link_rest(worker_link_t *link, bool resting);
/* The server that it is connected to, as far as it has a numeric address. */
void worker_link_address(const worker_link_t *link,
    travel_cluster_node_t *ret_at);

/* A command that can be sent again; text is freed with it. */
typedef struct {
    worker_reply_pt   cb;
    void             *data;
    char             *text;
    size_t            len;
    unsigned          tries;
} worker_command_t;

/* An error has come.  True: the command is not answered but yours now. */
typedef bool (*worker_link_error_pt)(void *data, worker_command_t *command,
    const struct redisReply *reply);

/* Keeps from now on what is sent until it is answered. */
void worker_link_follow(worker_link_t *link, worker_link_error_pt error,
    void *data);
/* Only while up. */
void worker_link_again(worker_link_t *link, worker_command_t *command,
    bool asking);
void worker_command_free(worker_command_t *command);

/* The arguments of a script call, gathered piece by piece. */
typedef struct {
    const char  **argv;
    size_t       *argvlen;
    size_t       *offset;             /* into text, SIZE_MAX: borrowed */
    int           argc;
    int           room;
    char         *text;               /* numbers and keys made on the way */
    size_t        ntext;
    size_t        roomtext;
    bool          failed;             /* out of memory on the way */
} worker_args_t;

void worker_args_begin(worker_args_t *args);
void worker_args_free(worker_args_t *args);
/* Borrowed until the call is sent. */
void worker_args_str(worker_args_t *args, const char *s, size_t len);
/* Copied. */
void worker_args_copy(worker_args_t *args, const char *s, size_t len);
/* Copied behind the last argument, which was copied: as a part of it. */
void worker_args_more(worker_args_t *args, const char *s, size_t len);
void worker_args_int(worker_args_t *args, int64_t v);

/* What was gathered after args->argc was set to 0.  As below. */
void worker_link_call(worker_link_t *link, worker_reply_pt cb, void *data,
    worker_args_t *args);

/* EVALSHA of what was gathered, the first nkeys of it keys.  Not sent, but
 * answered with NULL, when memory ran out. */
void worker_link_script(worker_link_t *link, travel_script_e script,
    worker_reply_pt cb, void *data, worker_args_t *args, int nkeys);

#endif
