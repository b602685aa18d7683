/* Patterns: what matches, what is refused and where, and that no pattern and
 * no text make the time explode. */

#include <stdio.h>
#include <time.h>

#include "unit.h"
#include "pattern.h"

#define FACE   "\xF0\x9F\x98\x80"
#define ACUTE  "\xC3\xA9"                     /* e with an acute accent */

static travel_pattern_scratch_t  scratch;


static travel_pattern_t *
compile(const char *text)
{
    int                rc;
    size_t             at = 0;
    const char        *why = "";
    travel_pattern_t  *pattern = NULL;

    rc = travel_pattern_compile(&pattern, S(text), &why, &at);

    if (rc != TRAVEL_OK) {
        print_error("%s: %s at %zu\n", text, why, at);
    }

    assert_int_equal(rc, TRAVEL_OK);

    return pattern;
}


static void
matches(void **state)
{
    int                rc;
    size_t             i;
    travel_pattern_t  *pattern;

    static const struct { const char *pattern, *text; int is; } rows[] = {
        { "", "", 1 }, { "", "x", 1 }, { "a", "", 0 }, { "b", "abc", 1 },
        { "^abc$", "abc", 1 }, { "^abc$", "abcd", 0 }, { "^abc$", "abc\n", 0 },
        { "^", "x", 1 }, { "$", "x", 1 }, { "^$", "", 1 }, { "^$", "x", 0 },
        { "a^b", "ab", 0 }, { "a$b", "ab", 0 }, { "(^|,)b", "a,b", 1 },
        { "a|b|c", "xxc", 1 }, { "^(a|b)$", "c", 0 }, { "^(?:a|)$", "", 1 },
        { "^(?<year>\\d{4})-\\d\\d$", "2026-03", 1 },

        { "^a*$", "", 1 }, { "^a*$", "aaa", 1 }, { "^a+$", "", 0 },
        { "^a?b$", "ab", 1 }, { "^a?b$", "aab", 0 }, { "^a+?b$", "aab", 1 },
        { "^a{2}$", "aa", 1 }, { "^a{2}$", "aaa", 0 }, { "^a{2,}$", "a", 0 },
        { "^a{2,}$", "aaaa", 1 }, { "^a{1,3}$", "aaa", 1 },
        { "^a{1,3}$", "aaaa", 0 }, { "^a{0}$", "", 1 }, { "^a{0}$", "a", 0 },
        { "^(ab){2}c{0,1}?$", "abab", 1 }, { "^(a*)*$", "aaa", 1 },
        { "^(a|b*)+$", "abba", 1 }, { "^(){5}$", "", 1 },

        { "^.$", ACUTE, 1 }, { "^.$", FACE, 1 }, { "^.$", "\n", 0 },
        { "^.$", "\xE2\x80\xA8", 0 }, { "^..$", FACE, 0 },
        { "^[a-c]+$", "abcab", 1 }, { "^[a-c]+$", "abd", 0 },
        { "^[^a-c]$", FACE, 1 }, { "^[^a-c]$", "b", 0 }, { "[]", "x", 0 },
        { "^[]{1,3}$", FACE, 0 },
        { "^[^]$", "\n", 1 }, { "^[-a]+$", "a-", 1 }, { "^[a-]+$", "a-", 1 },
        { "^[\\]\\\\^]+$", "]\\^", 1 }, { "^[\\b]$", "\b", 1 },
        { "^[" ACUTE "-\xC3\xBF]$", "\xC3\xB0", 1 }, { "^[.]$", "x", 0 },
        { "^[\\d\\-x]+$", "4-x", 1 }, { "^[^\\s\\d]$", "7", 0 },

        { "^\\d+$", "0123456789", 1 }, { "^\\d$", "\xD9\xA3", 0 },
        { "^\\w+$", "aZ_9", 1 }, { "^\\w$", ACUTE, 0 }, { "^\\W$", ACUTE, 1 },
        { "^\\s+$", " \t\r\n\v\f\xC2\xA0\xE2\x80\xA9\xEF\xBB\xBF", 1 },
        { "^\\S$", " ", 0 }, { "^\\D$", "a", 1 },
        { "^\\t\\n\\v\\f\\r\\0$", "\t", 0 }, { "^\\x41\\u0042$", "AB", 1 },
        { "^\\u{1F600}$", FACE, 1 }, { "^\\uD83D\\uDE00$", FACE, 1 },
        { "^\\cJ$", "\n", 1 }, { "^\\^\\$\\\\\\.\\*\\/$", "^$\\.*/", 1 },

        { "^\\p{L}+$", "a" ACUTE "\xE6\x97\xA5", 1 }, { "^\\p{Lu}$", "a", 0 },
        { "^\\p{Lu}$", "\xC3\x89", 1 }, { "^\\P{Lu}$", "\xC3\x89", 0 },
        { "^\\p{Nd}$", "\xD9\xA3", 1 }, { "^\\p{Letter}$", "x", 1 },
        { "^\\p{gc=Lowercase_Letter}$", "x", 1 },
        { "^\\p{Sc}$", "\xE2\x82\xAC", 1 },
        { "^[\\p{L}\\p{N}' -]+$", "Saint-Malo 2", 1 }, { "^\\p{Any}$", "!", 1 },
        { "^\\p{ASCII}$", ACUTE, 0 }, { "^\\p{Cn}$", "\xCD\xB8", 1 },
        { "^[^\\p{L}]$", "x", 0 }, { "^\\p{P}$", "!", 1 },

        { "\\bcat\\b", "a cat sat", 1 }, { "\\bcat\\b", "concat", 0 },
        { "\\Bcat", "concat", 1 }, { "^\\b", "", 0 }, { "\\B", "", 1 },
        { "^(\\b|\\B)$", "", 1 }, { "x\\b$", "x", 1 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        pattern = compile(rows[i].pattern);
        rc = travel_pattern_search(pattern, S(rows[i].text), &scratch);

        if ((rc == TRAVEL_OK) != rows[i].is) {
            print_error("/%s/ on \"%s\": %d\n", rows[i].pattern, rows[i].text,
                        rc);
            fail();
        }

        travel_pattern_free(pattern);
    }
}


static void
refusals(void **state)
{
    size_t             i, at;
    const char        *why;
    travel_pattern_t  *pattern;

    static const struct { const char *pattern; size_t at; int valid; } rows[]
    = {
        { "(", 0, 0 }, { ")", 0, 0 }, { "a)", 1, 0 }, { "(a", 0, 0 },
        { "*", 0, 0 }, { "a**", 2, 0 }, { "+a", 0, 0 }, { "a|?", 2, 0 },
        { "^*", 1, 0 }, { "{1}", 0, 0 }, { "a{", 1, 0 }, { "a{x}", 1, 0 },
        { "a{,3}", 1, 0 }, { "a{3,2}", 1, 0 }, { "a}", 1, 0 }, { "a]", 1, 0 },
        { "[a", 0, 0 }, { "[b-a]", 1, 0 }, { "[a-\\d]", 1, 0 },
        { "[\\w-z]", 1, 0 }, { "\\", 0, 0 }, { "a\\", 1, 0 }, { "\\q", 0, 0 },
        { "\\-", 0, 0 }, { "\\x4", 0, 0 }, { "\\u12", 0, 0 },
        { "\\u{110000}", 0, 0 }, { "\\u{}", 0, 0 }, { "\\c1", 0, 0 },
        { "\\00", 0, 0 }, { "\\p", 0, 0 }, { "\\p{Foo}", 0, 0 },
        { "\\p{Lu", 0, 0 }, { "(?a)", 2, 0 }, { "(?<>a)", 2, 0 },
        { "(?<1>a)", 2, 0 }, { "\\2(a)", 0, 0 },

        /* regular expressions, but not for a finite automaton */
        { "a(?=b)", 1, 1 }, { "(?!b)", 0, 1 }, { "(?<=a)b", 0, 1 },
        { "(?<!a)b", 0, 1 }, { "(a)\\1", 3, 1 }, { "(?<n>a)\\k<n>", 7, 1 },

        /* too large */
        { "a{1001}", 0, 1 }, { "(a{1000}){11}", 0, 1 },
        { "((((((){1000}){1000}){1000}){1000}){1000}){1000}", 0, 1 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        at = 999;
        why = NULL;
        pattern = NULL;

        if (travel_pattern_compile(&pattern, S(rows[i].pattern), &why, &at)
                != TRAVEL_INVALID
            || at != rows[i].at || why == NULL || pattern != NULL
            || travel_pattern_valid(S(rows[i].pattern)) != rows[i].valid)
        {
            print_error("/%s/: at %zu: %s\n", rows[i].pattern, at, why);
            fail();
        }
    }
}


static void
nesting(void **state)
{
    char    text[3 * TRAVEL_PATTERN_NESTING_MAX + 16];
    size_t  n = TRAVEL_PATTERN_NESTING_MAX;

    (void) state;

    memset(text, '(', n);
    memset(text + n, ')', n);
    assert_true(travel_pattern_valid((travel_str_t) { text, 2 * n }));

    memset(text, '(', n + 1);
    memset(text + n + 1, ')', n + 1);
    assert_false(travel_pattern_valid((travel_str_t) { text, 2 * n + 2 }));
}


/* What takes a backtracking matcher 2^n or n^3 steps.  Linear code needs
 * milliseconds for all of it; the limit leaves room for a sanitizer. */
static void
linear(void **state)
{
    char              *text;
    size_t             i, n = 100000;
    clock_t            start = clock();
    travel_pattern_t  *pattern;

    static const char *const  rows[] = {
        "^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(a*)*b", "^(.*)*c",
        "a.*a.*a.*a.*b", "(a?){50}a{50}b", "^(\\w+\\s?)*$", "(a*a*)*\\bX",
        "^(([a-z])+.)+[A-Z]([a-z])+$"
    };

    (void) state;

    text = malloc(n);
    memset(text, 'a', n);
    text[n - 1] = '!';

    for (i = 0; i < N(rows); i++) {
        pattern = compile(rows[i]);
        assert_int_equal(travel_pattern_search(pattern,
                             (travel_str_t) { text, n }, &scratch),
                         TRAVEL_REFUSED);
        travel_pattern_free(pattern);
    }

    assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
    free(text);
}


/* The table and the walk must agree; a \b that holds anywhere keeps a pattern
 * from having a table and changes nothing else. */
static void
table_and_walk(void **state)
{
    char               text[16], walked[80];
    size_t             i, k, n;
    unsigned           seed = 7;
    travel_pattern_t  *a, *b;

    static const char *const  rows[] = {
        "ab|ba", "^(a|b)*a(a|b){3}$", "(ab*|c)+c$", "^[^b]*b?c{2,3}$",
        "a(b|c?){2}a", "(^a|b$)", "^(aa|b)*$", "c.a"
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        sprintf(walked, "(?:\\b|\\B)(?:%s)", rows[i]);
        a = compile(rows[i]);
        b = compile(walked);

        for (k = 0; k < 2000; k++) {
            for (n = 0; n < k % 10; n++) {
                seed = seed * 1103515245 + 12345;
                text[n] = (char) ('a' + (seed >> 16) % 3);
            }

            assert_int_equal(
                travel_pattern_search(a, (travel_str_t) { text, n }, &scratch),
                travel_pattern_search(b, (travel_str_t) { text, n },
                                      &scratch));
        }

        travel_pattern_free(a);
        travel_pattern_free(b);
    }
}


static int
tear_down(void **state)
{
    (void) state;
    travel_pattern_scratch_free(&scratch);
    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(refusals),
        cmocka_unit_test(nesting),
        cmocka_unit_test(linear),
        cmocka_unit_test(table_and_walk),
    };

    return cmocka_run_group_tests_name("pattern", tests, NULL, tear_down);
}
