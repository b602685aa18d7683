/* Redis Cluster: slots by the specification's examples, maps, redirections. */

#include <stdio.h>

#include "unit.h"
#include "cluster.h"
#include "queues.h"

static const travel_cluster_node_t  asked = { "192.0.2.9", 6379 };


static void
test_slots(void **state)
{
    size_t  i;

    static const struct {
        const char  *key;
        unsigned     slot;
    } known[] = {
        { "123456789",        0x31c3 },     /* CRC-16/XMODEM's check value */
        { "foo",              12182 },
        { "bar",              5061 },
        { "hello",            866 },
        { "somekey",          11058 },
        { "foo{hash_tag}",    2515 },
        { "bar{hash_tag}",    2515 },
        { "",                 0 }
    };

    static const struct {
        const char  *a;
        const char  *b;
    } alike[] = {
        { "{user1000}.following", "{user1000}.followers" },
        { "{user1000}.following", "user1000" },
        { "foo{{bar}}zap",        "{bar" },
        { "foo{bar}{zap}",        "bar" },
        { "a}b{c}d",              "c" }
    };

    (void) state;

    for (i = 0; i < N(known); i++) {
        assert_int_equal(travel_cluster_slot(S(known[i].key)), known[i].slot);
    }

    for (i = 0; i < N(alike); i++) {
        assert_int_equal(travel_cluster_slot(S(alike[i].a)),
                         travel_cluster_slot(S(alike[i].b)));
    }

    /* an empty tag is none, nor is an open one */
    assert_int_not_equal(travel_cluster_slot(S("foo{}{bar}")),
                         travel_cluster_slot(S("foo{}{baz}")));
    assert_int_not_equal(travel_cluster_slot(S("foo{bar")),
                         travel_cluster_slot(S("bar")));
    assert_int_equal(travel_cluster_slot(L("\0{a\0}b")),
                     travel_cluster_slot(L("a\0")));
}


/* All keys of a partition are in one slot, and partitions in several. */
static void
test_partitions(void **state)
{
    char             key[TRAVEL_KEY_MAX];
    size_t           i, n;
    unsigned         slot[4], p;
    uint8_t          scope[32] = { 7 };
    travel_job_id_t  id = { .queue = TRAVEL_STR("booking") };

    static const char  *names[] = { "delayed", "dead", "owner", "unique:ab" };

    (void) state;

    for (p = 0; p < N(slot); p++) {
        n = travel_key_stream(key, id.queue, p, TRAVEL_PRIORITY_HIGH);
        slot[p] = travel_cluster_slot((travel_str_t) { key, n });

        for (i = 1; i < TRAVEL_PRIORITY_MAX; i++) {
            n = travel_key_stream(key, id.queue, p, (travel_priority_e) i);
            assert_int_equal(travel_cluster_slot((travel_str_t) { key, n }),
                             slot[p]);
        }

        for (i = 0; i < N(names); i++) {
            n = travel_key_named(key, id.queue, p, names[i]);
            assert_int_equal(travel_cluster_slot((travel_str_t) { key, n }),
                             slot[p]);
        }

        id.partition = p;
        n = travel_key_job(key, &id);
        assert_int_equal(travel_cluster_slot((travel_str_t) { key, n }),
                         slot[p]);
        n = travel_key_idem(key, id.queue, p, scope);
        assert_int_equal(travel_cluster_slot((travel_str_t) { key, n }),
                         slot[p]);
    }

    assert_true(slot[0] != slot[1] && slot[1] != slot[2]
                && slot[2] != slot[3]);
}


/* "GET foo" as it is sent. */
static size_t
command(char *dst, const char *words)
{
    char         text[256], *word, *save;
    size_t       n, len;
    const char  *body[16];

    n = 0;
    snprintf(text, sizeof(text), "%s", words);

    for (word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save))
    {
        body[n++] = word;
    }

    len = (size_t) sprintf(dst, "*%zu\r\n", n);

    for (size_t i = 0; i < n; i++) {
        len += (size_t) sprintf(dst + len, "$%zu\r\n%s\r\n", strlen(body[i]),
                                body[i]);
    }

    return len;
}


static void
test_commands(void **state)
{
    int     want;
    char    text[1024], *end;
    size_t  i, n, cut;

    static const struct {
        const char  *words;
        const char  *key;
    } list[] = {
        { "GET foo",                                   "foo" },
        { "hset foo a b",                              "foo" },
        { "XADD foo * a b",                            "foo" },
        { "MEMORY USAGE foo",                          "foo" },
        { "xinfo STREAM foo",                          "foo" },
        { "EVALSHA 0123 2 foo{x} bar{x} 1",            "foo{x}" },
        { "EVAL text 1 foo",                           "foo" },
        { "EVAL text 0 foo",                           NULL },
        { "EVAL text",                                 NULL },
        { "XREAD COUNT 5 BLOCK 10 STREAMS foo 0-0",    "foo" },
        { "XREADGROUP GROUP g c streams foo >",        "foo" },
        { "XREAD COUNT 5",                             NULL },
        { "XREAD COUNT 5 STREAMS",                     NULL },
        { "PUBLISH foo bar",                           NULL },
        { "CLUSTER NODES",                             NULL },
        { "WAIT 1 100",                                NULL },
        { "PING",                                      NULL },
        { "GETX",                                      NULL },
        { "WAITER foo",                                "foo" }
    };

    (void) state;

    for (i = 0; i < N(list); i++) {
        n = command(text, list[i].words);
        want = list[i].key != NULL ? (int) travel_cluster_slot(S(list[i].key))
                                   : TRAVEL_CLUSTER_ANY;
        assert_int_equal(travel_cluster_command_slot((travel_str_t)
                                                     { text, n }), want);
    }

    /* cut anywhere before the key's end there is no key */
    n = command(text, "EVALSHA 0123 1 foo");

    for (cut = 0; cut < n; cut++) {
        end = malloc(cut ? cut : 1);
        memcpy(end, text, cut);
        assert_int_equal(travel_cluster_command_slot((travel_str_t)
                                                     { end, cut }),
                         TRAVEL_CLUSTER_ANY);
        free(end);
    }

    assert_int_equal(travel_cluster_command_slot(L("*2\r\n$3\r\nGET\r\n"
                         "$99999999999999999999\r\nfoo\r\n")),
                     TRAVEL_CLUSTER_ANY);
    assert_int_equal(travel_cluster_command_slot(L("*2\r\n$3\r\nGET\r\n"
                         "$18446744073709551615\r\nfoo\r\n")),
                     TRAVEL_CLUSTER_ANY);
}


static void
test_map(void **state)
{
    travel_cluster_map_t          *map;
    const travel_cluster_node_t   *node;

    /* as Redis 7.0 says it, and a server that does not know its own address,
     * one with a host name, one of IPv6, slots on their way */
    static const char  text[] =
        "07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,host4 "
        "slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 "
        "connected\n"
        "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,host2 "
        "master - 0 1426238316232 2 connected 5461-10922\r\n"
        "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 2001:DB8:0::3:30003@31003 "
        "master - 0 1426238318243 3 connected 10923-16383 "
        "[93-<-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]\n"
        "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca :6379@16379 "
        "myself,master - 0 0 1 connected 0-5459 5460 "
        "[77->-292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f]\n"
        "824fe116063bc5fcf9f4ffd895bc17aee7731ac3 127.0.0.1:30006@31006 "
        "master,fail - 1426238317741 1426238316000 6 disconnected\n"
        "924fe116063bc5fcf9f4ffd895bc17aee7731ac3 :0@0 "
        "master,noaddr - 1426238317741 1426238316000 6 disconnected\n";

    (void) state;

    map = malloc(sizeof(*map));
    assert_int_equal(travel_cluster_map_parse(map, S(text), &asked),
                     TRAVEL_OK);
    assert_int_equal(map->n, 3);

    node = travel_cluster_map_find(map, 0);
    assert_string_equal(node->host, "192.0.2.9");
    assert_int_equal(node->port, 6379);
    assert_ptr_equal(travel_cluster_map_find(map, 5460), node);
    assert_ptr_equal(travel_cluster_map_find(map, 77), node);

    node = travel_cluster_map_find(map, 5461);
    assert_string_equal(node->host, "127.0.0.1");
    assert_int_equal(node->port, 30002);
    assert_ptr_equal(travel_cluster_map_find(map, 10922), node);

    node = travel_cluster_map_find(map, 16383);
    assert_string_equal(node->host, "2001:db8::3");
    assert_null(travel_cluster_map_find(map, 16384));

    /* one slot moves, to somebody known and to somebody new */
    assert_true(travel_cluster_map_move(map, 5461, node));
    assert_true(travel_cluster_node_eq(travel_cluster_map_find(map, 5461),
                                       node));
    assert_int_equal(map->n, 3);
    assert_true(travel_cluster_map_move(map, 1, &(travel_cluster_node_t)
                                        { "127.0.0.1", 7 }));
    assert_int_equal(travel_cluster_map_find(map, 1)->port, 7);
    assert_int_equal(map->n, 4);
    assert_false(travel_cluster_map_move(map, 16384, node));
    free(map);
}


static void
test_map_refused(void **state)
{
    char                  *text, *p;
    size_t                 i;
    travel_cluster_map_t  *map;

    static const char  *bad[] = {
        "",
        "\n",
        "nonsense\n",
        "id 127.0.0.1:1@2 slave x 0 0 1 connected\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected 16384\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected 5-4\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected 0-16384\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected 0--1\n",
        "id 127.0.0.1:1@2 master - 0 0 1 connected a\n",
        "id 127.0.0.1:0@2 master - 0 0 1 connected 0\n",
        "id 127.0.0.1:65536@2 master - 0 0 1 connected 0\n",
        "id a.example:1@2 master - 0 0 1 connected 0\n",
        "id 127.0.0.1@2 master - 0 0 1 connected 0\n"
    };

    (void) state;

    map = malloc(sizeof(*map));
    memset(map, 0x55, sizeof(*map));

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_cluster_map_parse(map, S(bad[i]), &asked),
                         TRAVEL_INVALID);
    }

    assert_int_equal(map->owner[0], 0x55);

    /* 255 masters are taken, 256 are not */
    text = malloc(64 * 256);

    for (i = 0, p = text; i < 255; i++) {
        p += sprintf(p, "i 10.0.0.%zu:1@2 master - 0 0 1 c %zu\n", i, i);
    }

    assert_int_equal(travel_cluster_map_parse(map, S(text), &asked),
                     TRAVEL_OK);
    assert_int_equal(map->n, 255);
    assert_string_equal(travel_cluster_map_find(map, 254)->host,
                        "10.0.0.254");
    assert_false(travel_cluster_map_move(map, 1, &asked));
    sprintf(p, "i 10.0.1.0:1@2 master - 0 0 1 c 255\n");
    assert_int_equal(travel_cluster_map_parse(map, S(text), &asked),
                     TRAVEL_INVALID);
    free(text);
    free(map);
}


static void
test_answers(void **state)
{
    size_t                   i;
    travel_cluster_answer_t  a;

    static const char  *other[] = {
        "", "MOVED", "MOVED ", "MOVED 1", "MOVED 16384 127.0.0.1:1",
        "MOVED -1 127.0.0.1:1", "MOVED 1 127.0.0.1:0", "MOVED 1 host:1",
        "MOVEDX 1 127.0.0.1:1", "ASK 1 127.0.0.1", "ERR unknown command",
        "moved 1 127.0.0.1:1", "NOSCRIPT No matching script."
    };

    (void) state;

    assert_int_equal(travel_cluster_answer_parse(&a,
                         L("MOVED 3999 127.0.0.1:6381"), &asked), TRAVEL_OK);
    assert_int_equal(a.kind, TRAVEL_CLUSTER_MOVED);
    assert_int_equal(a.slot, 3999);
    assert_string_equal(a.node.host, "127.0.0.1");
    assert_int_equal(a.node.port, 6381);

    assert_int_equal(travel_cluster_answer_parse(&a, L("ASK 16383 ::1:6381"),
                                                 &asked), TRAVEL_OK);
    assert_int_equal(a.kind, TRAVEL_CLUSTER_ASK);
    assert_string_equal(a.node.host, "::1");

    /* "the host that you have asked" */
    assert_int_equal(travel_cluster_answer_parse(&a, L("MOVED 3999 :6381"),
                                                 &asked), TRAVEL_OK);
    assert_string_equal(a.node.host, "192.0.2.9");
    assert_int_equal(a.node.port, 6381);

    assert_int_equal(travel_cluster_answer_parse(&a, L("TRYAGAIN Multiple "
                         "keys request during rehashing of slot"), &asked),
                     TRAVEL_OK);
    assert_int_equal(a.kind, TRAVEL_CLUSTER_LATER);
    assert_int_equal(travel_cluster_answer_parse(&a, L("CLUSTERDOWN The "
                         "cluster is down"), &asked), TRAVEL_OK);
    assert_int_equal(a.kind, TRAVEL_CLUSTER_LATER);

    for (i = 0; i < N(other); i++) {
        assert_int_equal(travel_cluster_answer_parse(&a, S(other[i]), &asked),
                         TRAVEL_UNKNOWN);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_refused),
        cmocka_unit_test(test_answers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
