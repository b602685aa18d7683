/* Entries from packed fields: what a stream may hold, whole and cut off. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/entry.h"

#define JOB_ID  "maintenance.3.01890000-0000-7003-8000-000000000001"
#define USER    "01890000-0000-7000-8000-000000000001"

typedef struct {
    char    bytes[8192];
    size_t  len;
} pack_t;


/* As cmsgpack writes a list of strings: fixarray or array16, then fixstr,
 * str8 or str16. */
static void
pack_begin(pack_t *p, unsigned n)
{
    p->len = 0;

    if (n < 16) {
        p->bytes[p->len++] = (char) (0x90 | n);
    } else {
        p->bytes[p->len++] = (char) 0xDC;
        p->bytes[p->len++] = (char) (n >> 8);
        p->bytes[p->len++] = (char) n;
    }
}


static void
pack_add(pack_t *p, const char *s, size_t n)
{
    if (n < 32) {
        p->bytes[p->len++] = (char) (0xA0 | n);
    } else if (n < 256) {
        p->bytes[p->len++] = (char) 0xD9;
        p->bytes[p->len++] = (char) n;
    } else {
        p->bytes[p->len++] = (char) 0xDA;
        p->bytes[p->len++] = (char) (n >> 8);
        p->bytes[p->len++] = (char) n;
    }

    memcpy(p->bytes + p->len, s, n);
    p->len += n;
}


static void
pack_job(pack_t *p, const char *body)
{
    size_t              i;
    const char *const   fields[] = {
        "id", JOB_ID, "type", "maintenance.noop", "v", "1", "sub", USER,
        "key", USER, "ts", "1700000000000", "deadline", "1700000001000",
        "reply", "travel:reply:7", "colour", "blue", "body", body
    };

    pack_begin(p, sizeof(fields) / sizeof(fields[0]));

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        pack_add(p, fields[i], strlen(fields[i]));
    }
}


static void
whole(void **state)
{
    char             body[600];
    pack_t           p;
    worker_entry_t  *entry;

    (void) state;
    memset(body, ' ', sizeof(body));
    body[0] = '{';
    body[598] = '}';
    body[599] = '\0';
    pack_job(&p, body);
    entry = worker_entry_create(p.bytes, p.len);

    assert_non_null(entry);
    assert_string_equal(entry->cause, "");
    assert_string_equal(entry->job.job_id, JOB_ID);
    assert_string_equal(entry->job.uuid, &JOB_ID[14]);
    assert_string_equal(entry->job.key, USER);
    assert_string_equal(entry->job.sub, USER);
    assert_int_equal(entry->job.id.partition, 3);
    assert_int_equal(entry->job.env.deadline, 1700000001000);
    assert_int_equal(entry->job.env.body.len, 599);
    assert_memory_equal(entry->job.env.body.data, body, 599);
    worker_entry_free(entry);
}


/* Cut anywhere it is malformed, and nothing beyond its end is read: the copy
 * is exact, so a sanitizer sees a byte too far. */
static void
cut(void **state)
{
    char            *copy;
    size_t           n;
    pack_t           p;
    worker_entry_t  *entry;

    (void) state;
    pack_job(&p, "{}");

    for (n = 0; n < p.len; n++) {
        copy = malloc(n ? n : 1);
        memcpy(copy, p.bytes, n);
        entry = worker_entry_create(copy, n);
        free(copy);

        assert_non_null(entry);
        assert_string_equal(entry->cause, "MALFORMED");
        assert_string_equal(entry->job.error.code, "MALFORMED");
        worker_entry_free(entry);
    }
}


static void
wrong(void **state)
{
    size_t           i;
    pack_t           p;
    worker_entry_t  *entry;

    static const char *const  cases[][3] = {
        /* field, value, is the job known all the same? */
        { "id", "maintenance.3.not-a-uuid", "" },
        { "id", "../../etc", "" },
        { "key", "short", "known" },
        { "v", "2", "known" },
        { "ts", "soon", "known" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const  fields[] = {
            "id", strcmp(cases[i][0], "id") == 0 ? cases[i][1] : JOB_ID,
            "type", "maintenance.noop",
            "v", strcmp(cases[i][0], "v") == 0 ? cases[i][1] : "1",
            "sub", USER,
            "key", strcmp(cases[i][0], "key") == 0 ? cases[i][1] : USER,
            "ts", strcmp(cases[i][0], "ts") == 0 ? cases[i][1] : "1",
            "body", "{}"
        };
        size_t  k;

        pack_begin(&p, 14);

        for (k = 0; k < 14; k++) {
            pack_add(&p, fields[k], strlen(fields[k]));
        }

        entry = worker_entry_create(p.bytes, p.len);
        assert_string_equal(entry->cause, "MALFORMED");
        assert_int_equal(entry->job.job_id[0] != '\0', cases[i][2][0] != '\0');
        worker_entry_free(entry);
    }
}


static void
bytes(void **state)
{
    size_t           i;
    worker_entry_t  *entry;

    static const struct {
        const char  *p;
        size_t       n;
    } cases[] = {
        { "\xC0", 1 },                          /* nil */
        { "\xDD\xFF\xFF\xFF\xFF", 5 },          /* four billion elements */
        { "\xDC\x00\x02\xDB\xFF\xFF\xFF\xFF", 8 },
        { "\x92\x01\x02", 3 },                  /* numbers */
        { "\x91\xA1x", 3 },                     /* odd */
        { "\x90", 1 },                          /* empty */
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        entry = worker_entry_create(cases[i].p, cases[i].n);
        assert_string_equal(entry->cause, "MALFORMED");
        worker_entry_free(entry);
    }
}


static void
field(void **state)
{
    pack_t        p;
    travel_str_t  v;

    (void) state;
    pack_job(&p, "{}");
    v = worker_pack_field((travel_str_t) { p.bytes, p.len }, "key");
    assert_int_equal(v.len, 36);
    assert_memory_equal(v.data, USER, 36);
    v = worker_pack_field((travel_str_t) { p.bytes, p.len }, "absent");
    assert_int_equal(v.len, 0);
    /* a value is not taken for a name */
    v = worker_pack_field((travel_str_t) { p.bytes, p.len }, "blue");
    assert_int_equal(v.len, 0);
}


static void
lists(void **state)
{
    worker_entries_t   list;
    worker_entry_t     a, b, c;

    (void) state;
    worker_entries_init(&list);
    assert_null(worker_entries_pop(&list));
    worker_entries_push(&list, &b);
    worker_entries_push_front(&list, &a);
    worker_entries_push(&list, &c);
    assert_int_equal(list.count, 3);
    assert_ptr_equal(worker_entries_pop(&list), &a);
    assert_ptr_equal(worker_entries_pop(&list), &b);
    assert_ptr_equal(worker_entries_pop(&list), &c);
    assert_null(worker_entries_pop(&list));
    worker_entries_push_front(&list, &a);
    worker_entries_push(&list, &b);
    assert_ptr_equal(worker_entries_pop(&list), &a);
    assert_ptr_equal(worker_entries_pop(&list), &b);
    assert_int_equal(list.count, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(cut),
        cmocka_unit_test(wrong),
        cmocka_unit_test(bytes),
        cmocka_unit_test(field),
        cmocka_unit_test(lists)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
