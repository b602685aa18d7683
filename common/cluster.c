/* Redis Cluster: slots of keys, the map of slots, redirections. */

#include "cluster.h"
#include "digits.h"


/* --- slots ---------------------------------------------------------------- */

/* CRC-16/XMODEM, four bits at a time. */
static uint16_t
cluster_crc16(travel_str_t s)
{
    size_t                 i;
    uint8_t                c;
    uint16_t               crc;
    static const uint16_t  step[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
    };

    crc = 0;

    for (i = 0; i < s.len; i++) {
        c = (uint8_t) s.data[i];
        crc = (uint16_t) ((crc << 4) ^ step[(crc >> 12) ^ (c >> 4)]);
        crc = (uint16_t) ((crc << 4) ^ step[(crc >> 12) ^ (c & 15)]);
    }

    return crc;
}


unsigned
travel_cluster_slot(travel_str_t key)
{
    const char  *open, *close;

    open = key.len ? memchr(key.data, '{', key.len) : NULL;

    if (open != NULL) {
        open++;
        close = memchr(open, '}', key.len - (size_t) (open - key.data));

        if (close != NULL && close > open) {
            key = (travel_str_t) { open, (size_t) (close - open) };
        }
    }

    return cluster_crc16(key) % TRAVEL_CLUSTER_SLOTS;
}


/* --- the key of a command ------------------------------------------------- */

/* "<mark>N\r\n" at the head of *s, which then begins behind it. */
static bool
cluster_number(travel_str_t *s, char mark, uint64_t *ret_n)
{
    size_t       len;
    const char  *end;

    if (s->len < 4 || s->data[0] != mark) {
        return false;
    }

    end = memchr(s->data, '\r', s->len);

    if (end == NULL) {
        return false;
    }

    len = (size_t) (end - s->data);

    if (len + 2 > s->len || end[1] != '\n'
        || travel_digits_parse(ret_n, (travel_str_t) { s->data + 1, len - 1 })
           != TRAVEL_OK)
    {
        return false;
    }

    s->data += len + 2;
    s->len -= len + 2;

    return true;
}


static bool
cluster_argument(travel_str_t *s, travel_str_t *ret_arg)
{
    uint64_t  n;

    if (!cluster_number(s, '$', &n) || s->len < 2 || n > s->len - 2) {
        return false;
    }

    *ret_arg = (travel_str_t) { s->data, (size_t) n };
    s->data += n + 2;
    s->len -= n + 2;

    return true;
}


static bool
cluster_is(travel_str_t word, const char *upper)
{
    size_t  i;

    for (i = 0; i < word.len && upper[i]; i++) {
        if ((word.data[i] & ~0x20) != upper[i]) {
            return false;
        }
    }

    return i == word.len && upper[i] == '\0';
}


static bool
cluster_is_one_of(travel_str_t word, const char *const *list)
{
    for ( ; *list; list++) {
        if (cluster_is(word, *list)) {
            return true;
        }
    }

    return false;
}


/* Which argument is the first key; 0: none. */
static size_t
cluster_key_at(travel_str_t name)
{
    static const char *const  none[] = {
        "PING", "PUBLISH", "WAIT", "INFO", "CLUSTER", "SCRIPT", "CLIENT",
        "AUTH", "ASKING", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE",
        "PUNSUBSCRIBE", "TIME", "CONFIG", "SELECT", "HELLO", NULL
    };
    static const char *const  second[] = {
        "XGROUP", "XINFO", "MEMORY", "OBJECT", NULL
    };
    static const char *const  script[] = {
        "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", NULL
    };

    return cluster_is_one_of(name, none) ? 0
         : cluster_is_one_of(name, second) ? 2
         : cluster_is_one_of(name, script) ? 3 : 1;
}


int
travel_cluster_command_slot(travel_str_t command)
{
    bool          reads;
    size_t        i, at;
    uint64_t      argc;
    travel_str_t  arg, name;

    if (!cluster_number(&command, '*', &argc)
        || !cluster_argument(&command, &name))
    {
        return TRAVEL_CLUSTER_ANY;
    }

    reads = cluster_is(name, "XREAD") || cluster_is(name, "XREADGROUP");
    at = cluster_key_at(name);

    for (i = 1; at && i < argc && cluster_argument(&command, &arg); i++) {

        if (reads) {
            at = i + 1;
            reads = !cluster_is(arg, "STREAMS");

        } else if (at == 3 && i == 2 && travel_str_eq(arg, TRAVEL_STR("0"))) {
            return TRAVEL_CLUSTER_ANY;

        } else if (i == at) {
            return (int) travel_cluster_slot(arg);
        }
    }

    return TRAVEL_CLUSTER_ANY;
}


/* --- addresses ------------------------------------------------------------ */

bool
travel_cluster_node_set(travel_cluster_node_t *ret_node, travel_str_t host,
    unsigned port)
{
    travel_address_t       address;
    travel_cluster_node_t  node;

    if (port == 0 || port > 65535 || host.len > TRAVEL_ADDRESS_TEXT_LEN
        || travel_address_parse(&address, host) != TRAVEL_OK)
    {
        return false;
    }

    memset(&node, 0, sizeof(node));
    node.host[travel_address_format(node.host, &address)] = '\0';
    node.port = (uint16_t) port;
    *ret_node = node;

    return true;
}


bool
travel_cluster_node_eq(const travel_cluster_node_t *a,
    const travel_cluster_node_t *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}


/* "HOST:PORT", where HOST may be left out. */
static bool
cluster_node_parse(travel_cluster_node_t *ret_node, travel_str_t text,
    const travel_cluster_node_t *asked)
{
    size_t        colon;
    uint64_t      port;
    travel_str_t  host;

    for (colon = text.len; colon > 0 && text.data[colon - 1] != ':'; colon--) {
        continue;
    }

    if (colon == 0
        || travel_digits_parse(&port, (travel_str_t) { text.data + colon,
                               text.len - colon }) != TRAVEL_OK
        || port > 65535)
    {
        return false;
    }

    host = (travel_str_t) { text.data, colon - 1 };

    if (host.len == 0) {
        host = (travel_str_t) { asked->host, strlen(asked->host) };
    }

    return travel_cluster_node_set(ret_node, host, (unsigned) port);
}


/* --- the map -------------------------------------------------------------- */

/* What stands before 'mark', or all; *s then begins behind that. */
static travel_str_t
cluster_before(travel_str_t *s, char mark)
{
    size_t        n;
    const char   *end;
    travel_str_t  word;

    end = s->len ? memchr(s->data, mark, s->len) : NULL;
    n = end != NULL ? (size_t) (end - s->data) : s->len;
    word = (travel_str_t) { s->data, n };
    n += end != NULL;
    s->data += n;
    s->len -= n;

    return word;
}


static bool
cluster_flagged(travel_str_t flags, travel_str_t flag)
{
    while (flags.len > 0) {
        if (travel_str_eq(cluster_before(&flags, ','), flag)) {
            return true;
        }
    }

    return false;
}


/* The node's place, or a new one; 0: there is no room. */
static uint8_t
cluster_map_place(travel_cluster_map_t *map, const travel_cluster_node_t *node)
{
    size_t  i;

    for (i = 0; i < map->n; i++) {
        if (travel_cluster_node_eq(&map->nodes[i], node)) {
            return (uint8_t) (i + 1);
        }
    }

    if (map->n == TRAVEL_CLUSTER_MASTERS) {
        return 0;
    }

    map->nodes[map->n++] = *node;

    return (uint8_t) map->n;
}


/* "7", "0-5460"; "[93->-node]" and "[93-<-node]" are on their way. */
static bool
cluster_map_slots(travel_cluster_map_t *map, travel_str_t range,
    const travel_cluster_node_t *node)
{
    uint8_t       place;
    uint64_t      from, to;
    travel_str_t  first;

    if (range.len == 0 || range.data[0] == '[') {
        return true;
    }

    first = cluster_before(&range, '-');

    if (travel_digits_parse(&from, first) != TRAVEL_OK) {
        return false;
    }

    to = from;

    if ((range.len > 0 && travel_digits_parse(&to, range) != TRAVEL_OK)
        || from > to || to >= TRAVEL_CLUSTER_SLOTS)
    {
        return false;
    }

    place = cluster_map_place(map, node);

    if (place == 0) {
        return false;
    }

    memset(map->owner + from, place, (size_t) (to - from) + 1);

    return true;
}


/* id ip:port@bus[,host] flags master ping pong epoch state slot ... */
static bool
cluster_map_line(travel_cluster_map_t *map, travel_str_t line,
    const travel_cluster_node_t *asked)
{
    size_t                 i;
    travel_str_t           flags, address;
    travel_cluster_node_t  node;

    (void) cluster_before(&line, ' ');
    address = cluster_before(&line, ' ');
    flags = cluster_before(&line, ' ');

    if (flags.len == 0) {
        return false;
    }

    if (!cluster_flagged(flags, TRAVEL_STR("master"))) {
        return true;
    }

    for (i = 0; i < 5; i++) {
        (void) cluster_before(&line, ' ');
    }

    if (line.len == 0) {
        return true;                /* it has no slots */
    }

    if (!cluster_node_parse(&node, cluster_before(&address, '@'), asked)) {
        return false;
    }

    while (line.len > 0) {
        if (!cluster_map_slots(map, cluster_before(&line, ' '), &node)) {
            return false;
        }
    }

    return true;
}


int
travel_cluster_map_parse(travel_cluster_map_t *ret_map, travel_str_t text,
    const travel_cluster_node_t *asked)
{
    travel_str_t          line;
    travel_cluster_map_t  map;

    memset(&map, 0, sizeof(map));

    while (text.len > 0) {
        line = cluster_before(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }

        if (line.len > 0 && !cluster_map_line(&map, line, asked)) {
            return TRAVEL_INVALID;
        }
    }

    if (map.n == 0) {
        return TRAVEL_INVALID;
    }

    *ret_map = map;

    return TRAVEL_OK;
}


const travel_cluster_node_t *
travel_cluster_map_find(const travel_cluster_map_t *map, unsigned slot)
{
    uint8_t  place;

    place = slot < TRAVEL_CLUSTER_SLOTS ? map->owner[slot] : 0;

    return place ? &map->nodes[place - 1] : NULL;
}


bool
travel_cluster_map_move(travel_cluster_map_t *map, unsigned slot,
    const travel_cluster_node_t *node)
{
    uint8_t  place;

    place = slot < TRAVEL_CLUSTER_SLOTS ? cluster_map_place(map, node) : 0;

    if (place == 0) {
        return false;
    }

    map->owner[slot] = place;

    return true;
}


/* --- answers -------------------------------------------------------------- */

int
travel_cluster_answer_parse(travel_cluster_answer_t *ret_answer,
    travel_str_t error, const travel_cluster_node_t *asked)
{
    uint64_t                 slot;
    travel_str_t             word;
    travel_cluster_answer_t  answer;

    memset(&answer, 0, sizeof(answer));
    word = cluster_before(&error, ' ');

    if (travel_str_eq(word, TRAVEL_STR("TRYAGAIN"))
        || travel_str_eq(word, TRAVEL_STR("CLUSTERDOWN")))
    {
        answer.kind = TRAVEL_CLUSTER_LATER;
        *ret_answer = answer;
        return TRAVEL_OK;
    }

    if (travel_str_eq(word, TRAVEL_STR("MOVED"))) {
        answer.kind = TRAVEL_CLUSTER_MOVED;
    } else if (travel_str_eq(word, TRAVEL_STR("ASK"))) {
        answer.kind = TRAVEL_CLUSTER_ASK;
    } else {
        return TRAVEL_UNKNOWN;
    }

    if (travel_digits_parse(&slot, cluster_before(&error, ' ')) != TRAVEL_OK
        || slot >= TRAVEL_CLUSTER_SLOTS
        || !cluster_node_parse(&answer.node, error, asked))
    {
        return TRAVEL_UNKNOWN;
    }

    answer.slot = (unsigned) slot;
    *ret_answer = answer;

    return TRAVEL_OK;
}
