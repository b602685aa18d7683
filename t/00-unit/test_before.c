/* What the partitions before still hold is asked while other things go on: an
 * answer ends the adoption that waits for it, and no other. */

#include <hiredis/hiredis.h>

#include "unit.h"
#include "queue/fetcher.h"

static worker_reply_pt   asked[8];
static void             *asked_by[8];
static size_t            nasked;


/* Redis answers when the test says so. */
static void
ask(worker_link_t *link, travel_script_e script, worker_reply_pt cb,
    void *data, worker_args_t *args, unsigned keys)
{
    (void) link;
    (void) script;
    (void) keys;

    assert_false(args->failed);
    asked[nasked] = cb;
    asked_by[nasked++] = data;
}


static worker_link_t *
no_link(const worker_hub_t *hub, unsigned slot)
{
    (void) hub;
    (void) slot;

    return NULL;
}

#define worker_link_script  ask
#define worker_hub_link     no_link
#include "../../workers/queue/before.c"


/* "Nothing is left", from each. */
static void
answer(void)
{
    size_t       i;
    redisReply   left = { .type = REDIS_REPLY_INTEGER };
    redisReply  *list[] = { &left };
    redisReply   reply = { .type = REDIS_REPLY_ARRAY, .elements = 1,
                           .element = list };

    for (i = 0; i < nasked; i++) {
        asked[i](asked_by[i], &reply);
    }

    nasked = 0;
}


static void
begun(worker_partition_t *part, worker_queue_t *queue, bool first)
{
    memset(queue, 0, sizeof(*queue));
    memset(part, 0, sizeof(*part));
    part->queue = queue;
    memcpy(part->queue_name, "maintenance", sizeof("maintenance"));
    part->range = (travel_range_t) { 2, 4 };
    part->epoch = 1;
    part->first = first;
    worker_before_ask(part);
    assert_int_equal(nasked, 2);
    assert_int_equal(part->adopting, first);
}


static void
an_answer_of_an_earlier_lease(void **state)
{
    static worker_queue_t      queue;
    static worker_partition_t  part;

    (void) state;

    /* the lease is gone, and back, and its adoption under way */
    begun(&part, &queue, false);
    worker_before_forget(&part);
    part.epoch++;
    part.adopting = true;
    answer();
    assert_true(part.adopting);
    worker_args_free(&queue.args);

    /* the one that waited for it may begin again */
    begun(&part, &queue, true);
    worker_before_forget(&part);
    part.epoch++;
    answer();
    assert_false(part.adopting);
    worker_args_free(&queue.args);
}


static void
an_answer_while_an_adoption_is_repeated(void **state)
{
    static worker_queue_t      queue;
    static worker_partition_t  part;

    (void) state;

    begun(&part, &queue, false);
    part.adopting = true;
    answer();
    assert_true(part.adopting);
    assert_null(part.before);
    worker_args_free(&queue.args);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(an_answer_of_an_earlier_lease),
        cmocka_unit_test(an_answer_while_an_adoption_is_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
