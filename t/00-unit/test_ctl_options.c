/* What a command of travelctl gets of its command line: options, arguments,
 * and nothing in the place of those that were not given. */

#include "unit.h"
#include "ctl/ctl.h"

static const char    *user;
static long           seconds;
static bool           force;

static ctl_option_t   options[] = {
    { "user", CTL_STRING, &user, "ID", "whose" },
    { "wait", CTL_SECONDS, &seconds, "TIME", "how long" },
    { "force", CTL_FLAG, &force, NULL, "all the same" },
    { .name = NULL }
};

static const char    *args[CTL_ARGS_MAX + 1];


/* As a command has them on its stack: with whatever was there before. */
static bool
parse(int min, int max, const char *const *words, int n)
{
    int         i, rc;
    char       *argv[8];
    ctl_spec_t  spec = { "do it", "Does it.", options, min, max };

    user = NULL;
    seconds = 0;
    force = false;

    for (i = 0; i <= CTL_ARGS_MAX; i++) {
        args[i] = "left over";
    }

    for (i = 0; i < n; i++) {
        argv[i] = (char *) (uintptr_t) words[i];
    }

    return ctl_parse(&spec, n, argv, args, &rc);
}


#define parsed(min, max, ...)                                                 \
    parse(min, max, (const char *const []) { "it", __VA_ARGS__ },             \
          (int) N(((const char *const []) { "it", __VA_ARGS__ })))


static void
none_left_over(int from)
{
    for ( ; from <= CTL_ARGS_MAX; from++) {
        assert_null(args[from]);
    }
}


static void
arguments_that_are_not_given(void **state)
{
    (void) state;

    assert_true(parsed(0, 2, "--user", "u"));
    assert_string_equal(user, "u");
    none_left_over(0);

    assert_true(parsed(1, 3, "a", "--force"));
    assert_true(force);
    assert_string_equal(args[0], "a");
    none_left_over(1);

    assert_true(parsed(0, 2, "a", "--wait=2m", "--", "--force"));
    assert_int_equal(seconds, 120);
    assert_false(force);
    assert_string_equal(args[1], "--force");
    none_left_over(2);
}


static void
what_is_refused(void **state)
{
    (void) state;

    assert_false(parsed(2, 2, "a"));
    assert_false(parsed(0, 1, "a", "b"));
    assert_false(parsed(0, 1, "--nobody"));
    assert_false(parsed(0, 1, "--user"));
    assert_false(parsed(0, 1, "--force=yes"));
    assert_false(parsed(0, 1, "--wait", "soon"));
    assert_false(parsed(0, 1, "-x"));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(arguments_that_are_not_given),
        cmocka_unit_test(what_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
