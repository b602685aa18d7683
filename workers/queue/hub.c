/*
 * Links of one thread, and in a cluster the map that says which is whose.
 *
 * A member is a link and what it is for.  Members of servers are made when the
 * map or a redirection first names one and stay; one that the map does not name
 * any more is let rest: it is not connected again.  The seed goes by the
 * addresses of workers.conf and is there to be asked for the map when no
 * server is.
 *
 * The map is asked for (CLUSTER NODES) while something is wrong with it: it is
 * not known, a command was redirected, or one of its servers is away; from one
 * server after another, since one that is cut off knows only what was.
 *
 * A redirected command waits in 'parked' while the link that it must go to is
 * being made.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "hub.h"
#include "../pool/log.h"

#define HUB_ASK_MS       200        /* between two questions for the map */
#define HUB_PARK_MS      2000       /* a link that long in the making: lost */
#define HUB_REDIRECTS    5          /* of one command */

typedef enum {
    HUB_SERVER,
    HUB_SEED,
    HUB_BELL
} hub_kind_e;

typedef struct {
    worker_hub_t           *hub;
    hub_kind_e              kind;
    worker_link_t          *link;
    travel_cluster_node_t   at;         /* of a server */
    unsigned                slot;       /* of a bell */
} hub_member_t;

typedef struct hub_parked_s {
    struct hub_parked_s    *next;
    worker_command_t       *command;
    worker_link_t          *link;
    bool                    asking;
    int64_t                 until;
} hub_parked_t;

struct worker_hub_s {
    worker_hub_spec_t       spec;
    hub_member_t          **members;
    size_t                  n;
    size_t                  room;
    size_t                  polled;     /* members in 'fds' */
    struct pollfd          *fds;
    size_t                  roomfds;

    worker_link_t          *only;       /* NULL: a cluster; so below */
    travel_cluster_map_t    map;
    bool                    known;
    bool                    doubtful;   /* somebody was redirected */
    bool                    asking;
    size_t                  asked;      /* whose turn it was */
    int64_t                 ask_at;
    int64_t                 now;
    worker_link_t          *server[TRAVEL_CLUSTER_MASTERS + 1];
                                        /* by the map's owner[]; 0: nobody */
    hub_parked_t           *parked;
    worker_hub_stat_t       stat;
};


/* --- members -------------------------------------------------------------- */

static void
hub_up(void *data)
{
    (void) data;                    /* the next turn sends */
}


static void
hub_down(void *data)
{
    hub_member_t  *member = data;

    if (member->kind == HUB_SERVER) {
        member->hub->ask_at = 0;
        member->hub->spec.down(member->hub->spec.data, member->link);
    }
}


static hub_member_t *
hub_join(worker_hub_t *hub, hub_kind_e kind, const char *name)
{
    size_t          room;
    hub_member_t   *member, **members;

    if (hub->n == hub->room) {
        room = hub->room ? 2 * hub->room : 8;
        members = realloc(hub->members, room * sizeof(hub_member_t *));

        if (members == NULL) {
            return NULL;
        }

        hub->members = members;
        hub->room = room;
    }

    member = calloc(1, sizeof(hub_member_t));

    if (member == NULL) {
        return NULL;
    }

    member->hub = hub;
    member->kind = kind;
    member->link = worker_link_create(hub->spec.conf, name,
                                      kind == HUB_SERVER, hub_up, hub_down,
                                      member);

    if (member->link == NULL) {
        free(member);
        return NULL;
    }

    hub->members[hub->n++] = member;

    return member;
}


static void
hub_leave(worker_hub_t *hub, size_t i)
{
    hub_member_t  *member;

    member = hub->members[i];
    hub->members[i] = hub->members[--hub->n];
    worker_link_free(&member->link);
    free(member);
}


/* --- the map -------------------------------------------------------------- */

static bool hub_redirected(void *data, worker_command_t *command,
    const redisReply *reply);


/* The link to that server, a new one if need be; NULL: no memory. */
static worker_link_t *
hub_server(worker_hub_t *hub, const travel_cluster_node_t *at)
{
    size_t         i;
    hub_member_t  *member;

    for (i = 0; i < hub->n; i++) {
        member = hub->members[i];

        if (member->kind == HUB_SERVER
            && travel_cluster_node_eq(&member->at, at))
        {
            worker_link_rest(member->link, false);
            return member->link;
        }
    }

    member = hub_join(hub, HUB_SERVER, hub->spec.name);

    if (member == NULL) {
        return NULL;
    }

    member->at = *at;
    worker_link_aim(member->link, at);
    worker_link_follow(member->link, hub_redirected, member);

    return member->link;
}


static void
hub_map_changed(worker_hub_t *hub)
{
    size_t  i, k;

    for (i = 0; i < hub->n; i++) {
        if (hub->members[i]->kind == HUB_SERVER) {
            worker_link_rest(hub->members[i]->link, true);
        }
    }

    for (k = 0; k < hub->map.n; k++) {
        hub->server[k + 1] = hub_server(hub, &hub->map.nodes[k]);
    }
}


static void
hub_on_nodes(void *data, const redisReply *reply)
{
    worker_hub_t           *hub;
    hub_member_t           *member = data;
    travel_cluster_node_t   asked;

    hub = member->hub;
    hub->asking = false;

    if (reply == NULL) {
        return;
    }

    asked = member->at;

    if (member->kind == HUB_SEED) {
        worker_link_address(member->link, &asked);
    }

    if (reply->type != REDIS_REPLY_STRING
        || travel_cluster_map_parse(&hub->map, (travel_str_t) { reply->str,
                                    (size_t) reply->len }, &asked)
           != TRAVEL_OK)
    {
        worker_log(WORKER_LOG_WARN, "redis %s: CLUSTER NODES: %s",
                   hub->spec.name, reply->type == REDIS_REPLY_ERROR
                                   ? reply->str : "no master has slots");
        return;
    }

    if (!hub->known) {
        worker_log(WORKER_LOG_INFO, "redis %s: a cluster of %zu masters",
                   hub->spec.name, hub->map.n);
    }

    hub->known = true;
    hub_map_changed(hub);
}


/* Is what is known of the cluster of no use, at least in part? */
static bool
hub_troubled(const worker_hub_t *hub)
{
    size_t  k;

    for (k = 1; hub->known && k <= hub->map.n; k++) {
        if (!worker_link_up(hub->server[k])) {
            return true;
        }
    }

    return !hub->known || hub->doubtful;
}


static void
hub_ask(worker_hub_t *hub)
{
    size_t        i;
    hub_member_t *member;
    const char   *argv[2] = { "CLUSTER", "NODES" };

    for (i = 0; i < hub->n; i++) {
        hub->asked = (hub->asked + 1) % hub->n;
        member = hub->members[hub->asked];

        if (member->kind != HUB_BELL && worker_link_up(member->link)) {
            hub->ask_at = hub->now + HUB_ASK_MS;
            hub->asking = true;
            hub->doubtful = false;
            worker_link_send(member->link, hub_on_nodes, member, 2, argv,
                             NULL);
            return;
        }
    }
}


/* --- redirections --------------------------------------------------------- */

static void
hub_drop(worker_command_t *command)
{
    if (command->cb != NULL) {
        command->cb(command->data, NULL);
    }

    worker_command_free(command);
}


static void
hub_park(worker_hub_t *hub, worker_link_t *link, worker_command_t *command,
    bool asking)
{
    hub_parked_t  **p, *parked;

    parked = malloc(sizeof(hub_parked_t));

    if (parked == NULL) {
        hub_drop(command);
        return;
    }

    *parked = (hub_parked_t) { NULL, command, link, asking,
                               hub->now + HUB_PARK_MS };

    for (p = &hub->parked; *p; p = &(*p)->next) {
        continue;
    }

    *p = parked;
}


static void
hub_unpark(worker_hub_t *hub)
{
    hub_parked_t  **p, *parked;

    for (p = &hub->parked; (parked = *p) != NULL; ) {

        if (!worker_link_up(parked->link) && hub->now < parked->until) {
            p = &parked->next;
            continue;
        }

        *p = parked->next;

        if (worker_link_up(parked->link)) {
            worker_link_again(parked->link, parked->command, parked->asking);
        } else {
            hub_drop(parked->command);
        }

        free(parked);
    }
}


/* True: the command is ours now. */
static bool
hub_redirected(void *data, worker_command_t *command, const redisReply *reply)
{
    bool                      asking;
    hub_member_t             *member = data;
    worker_hub_t             *hub;
    worker_link_t            *link;
    travel_cluster_answer_t   answer;

    hub = member->hub;

    if (travel_cluster_answer_parse(&answer, (travel_str_t) { reply->str,
                                    (size_t) reply->len }, &member->at)
        != TRAVEL_OK)
    {
        return false;
    }

    asking = answer.kind == TRAVEL_CLUSTER_ASK;
    hub->doubtful = hub->doubtful || !asking;

    if (answer.kind == TRAVEL_CLUSTER_LATER
        || ++command->tries > HUB_REDIRECTS)
    {
        return false;
    }

    if (!asking
        && travel_cluster_map_move(&hub->map, answer.slot, &answer.node))
    {
        hub_map_changed(hub);
    }

    link = hub_server(hub, &answer.node);

    if (link == NULL) {
        return false;
    }

    hub->stat.asked += asking;
    hub->stat.moved += !asking;

    if (worker_link_up(link)) {
        worker_link_again(link, command, asking);
    } else {
        hub_park(hub, link, command, asking);
    }

    return true;
}


/* --- life ----------------------------------------------------------------- */

worker_hub_t *
worker_hub_create(const worker_hub_spec_t *spec)
{
    hub_member_t  *member;
    worker_hub_t  *hub;

    hub = calloc(1, sizeof(worker_hub_t));

    if (hub == NULL) {
        return NULL;
    }

    hub->spec = *spec;
    member = hub_join(hub, spec->conf->redis_cluster ? HUB_SEED : HUB_SERVER,
                      spec->name);

    if (member == NULL) {
        worker_hub_free(&hub);
        return NULL;
    }

    if (!spec->conf->redis_cluster) {
        hub->only = member->link;
    }

    return hub;
}


void
worker_hub_free(worker_hub_t **phub)
{
    worker_hub_t  *hub;
    hub_parked_t  *parked;

    hub = *phub;
    *phub = NULL;

    if (hub == NULL) {
        return;
    }

    while ((parked = hub->parked) != NULL) {
        hub->parked = parked->next;
        hub_drop(parked->command);
        free(parked);
    }

    while (hub->n > 0) {
        hub_leave(hub, 0);
    }

    free(hub->members);
    free(hub->fds);
    free(hub);
}


bool
worker_hub_is_cluster(const worker_hub_t *hub)
{
    return hub->only == NULL;
}


worker_hub_stat_t
worker_hub_stat(const worker_hub_t *hub)
{
    return hub->stat;
}


worker_link_t *
worker_hub_link(const worker_hub_t *hub, unsigned slot)
{
    return hub->only != NULL ? hub->only : hub->server[hub->map.owner[slot]];
}


worker_link_t *
worker_hub_bell(worker_hub_t *hub, const char *name, unsigned slot)
{
    hub_member_t  *member;

    member = hub_join(hub, HUB_BELL, name);

    if (member == NULL) {
        return NULL;
    }

    member->slot = slot;
    worker_link_rest(member->link, hub->only == NULL);

    return member->link;
}


void
worker_hub_mute(worker_hub_t *hub, worker_link_t **pbell)
{
    size_t  i;

    for (i = 0; i < hub->n; i++) {
        if (hub->members[i]->link == *pbell) {
            hub_leave(hub, i);
            break;
        }
    }

    *pbell = NULL;
}


/* --- a turn --------------------------------------------------------------- */

struct pollfd *
worker_hub_poll(worker_hub_t *hub, size_t ahead, size_t *ret_n)
{
    size_t          i, room;
    struct pollfd  *fds;

    if (hub->roomfds < ahead + hub->n) {
        room = 2 * (ahead + hub->n);
        fds = realloc(hub->fds, room * sizeof(struct pollfd));

        if (fds == NULL) {
            worker_log(WORKER_LOG_ERROR, "out of memory");
            abort();                /* the supervisor starts another */
        }

        hub->fds = fds;
        hub->roomfds = room;
    }

    for (i = 0; i < hub->n; i++) {
        hub->fds[ahead + i] = (struct pollfd) {
            worker_link_fd(hub->members[i]->link),
            worker_link_events(hub->members[i]->link), 0
        };
    }

    hub->polled = hub->n;
    *ret_n = ahead + hub->n;

    return hub->fds;
}


/* A bell goes to who has its slot now. */
static void
hub_aim(hub_member_t *member)
{
    const travel_cluster_node_t  *at;

    at = travel_cluster_map_find(&member->hub->map, member->slot);
    worker_link_rest(member->link, at == NULL);

    if (at != NULL) {
        worker_link_aim(member->link, at);
    }
}


void
worker_hub_turn(worker_hub_t *hub, const struct pollfd *fds, int64_t now)
{
    size_t  i;

    hub->now = now;

    for (i = 0; i < hub->n; i++) {
        if (hub->only == NULL && hub->members[i]->kind == HUB_BELL) {
            hub_aim(hub->members[i]);
        }

        worker_link_turn(hub->members[i]->link,
                         i < hub->polled ? fds[i].revents : 0, now);
    }

    if (hub->only != NULL) {
        return;
    }

    hub_unpark(hub);

    if (!hub->asking && now >= hub->ask_at && hub_troubled(hub)) {
        hub_ask(hub);
    }
}


void
worker_hub_flush(worker_hub_t *hub)
{
    size_t  i;

    for (i = 0; i < hub->n; i++) {
        worker_link_flush(hub->members[i]->link);
    }
}


int
worker_hub_wait(const worker_hub_t *hub, int64_t now)
{
    int     wait, w;
    size_t  i;

    wait = hub->only == NULL && hub_troubled(hub) ? HUB_ASK_MS : -1;

    for (i = 0; i < hub->n; i++) {
        w = worker_link_wait(hub->members[i]->link, now);
        wait = w >= 0 && (wait < 0 || w < wait) ? w : wait;
    }

    return wait;
}
