/*
 * Lists by keyset: "-- @cursor created_at desc, id desc".
 *
 * The statement of such a file yields one row per item: the columns named
 * there, none of them null, and "item".  It is wrapped twice: 'sql' for the
 * first page, 'sql_next' for what comes after the keys of the last row seen,
 * bound behind all other parameters.  Both yield one row: the items as one JSON
 * array, and the keys of the page's last item as texts, null when it is the
 * last page.  A list of something that may not exist ("@returns one") has a row
 * without an item where it does and is empty; no row at all is a 404, which the
 * first page alone can tell.  Two statements, because one with "or the key is
 * null" could not start in the middle of an index.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog_parts.h"

#define TRAVEL_LIST_LIMIT_MAX  1000

typedef struct {
    char    *text;
    size_t   len;
    size_t   size;
} travel_cursor_text_t;

#define TRAVEL_CURSOR_ITEMS                                                   \
    "coalesce(json_agg(l.item ORDER BY l.travel_n) FILTER "                  \
    "(WHERE l.travel_n <= $%d::integer%s), '[]')::text"


/* --- the head ------------------------------------------------------------- */

static int
travel_cursor_key(travel_query_t *q, travel_str_t text,
    const travel_catalog_place_t *place)
{
    size_t               i;
    travel_str_t         name, way;
    travel_query_key_t  *key;

    name = travel_catalog_word(&text);
    text = travel_catalog_trim(text);
    way = travel_catalog_word(&text);

    for (i = 0; i < name.len; i++) {
        if (!(name.data[i] == '_'
              || (name.data[i] >= 'a' && name.data[i] <= 'z')
              || (i != 0 && name.data[i] >= '0' && name.data[i] <= '9')))
        {
            break;
        }
    }

    if (name.len == 0 || i < name.len || name.len > 60 || text.len != 0
        || !(way.len == 0 || travel_str_eq(way, TRAVEL_STR("asc"))
             || travel_str_eq(way, TRAVEL_STR("desc"))))
    {
        return travel_catalog_fault(place, "@cursor must be columns of the "
                                    "statement in lower case, each with asc "
                                    "or desc, like \"created_at desc, id "
                                    "desc\"");
    }

    if (q->nkeys == TRAVEL_QUERY_KEYS_MAX) {
        return travel_catalog_fault(place, "@cursor has at most %d columns",
                                    TRAVEL_QUERY_KEYS_MAX);
    }

    key = &q->keys[q->nkeys];
    key->name = travel_catalog_copy(name);
    if (key->name == NULL) {
        return TRAVEL_ERROR;
    }

    q->nkeys++;
    key->desc = travel_str_eq(way, TRAVEL_STR("desc"));

    return TRAVEL_OK;
}


int
travel_cursor_declare(travel_query_t *query, travel_str_t text,
    const travel_catalog_place_t *place)
{
    int           rc;
    const char   *comma;
    travel_str_t  one;

    do {
        comma = text.len ? memchr(text.data, ',', text.len) : NULL;
        one.data = text.data;
        one.len = comma != NULL ? (size_t) (comma - text.data) : text.len;

        rc = travel_cursor_key(query, travel_catalog_trim(one), place);
        if (rc != TRAVEL_OK) {
            return rc;
        }

        if (comma != NULL) {
            text.len -= one.len + 1;
            text.data = comma + 1;
        }

    } while (comma != NULL);

    return TRAVEL_OK;
}


/* A list says how long a page may be at most. */

int
travel_cursor_check_limit(const travel_query_t *query,
    const travel_catalog_place_t *place)
{
    const travel_param_t  *limit;

    limit = travel_query_param(query, TRAVEL_STR("limit"));

    if (limit != NULL
        && (query->returns == TRAVEL_RETURNS_LIST || query->nkeys != 0)
        && !(limit->type == TRAVEL_PARAM_INT && limit->bounded
             && limit->min >= 1 && limit->max <= TRAVEL_LIST_LIMIT_MAX))
    {
        return travel_catalog_fault(place, "the limit of a list must be a "
                                    "number with bounds, at most %d: \"-- "
                                    "@param limit int 1..100 = 20\"",
                                    TRAVEL_LIST_LIMIT_MAX);
    }

    return TRAVEL_OK;
}


int
travel_cursor_check(travel_query_t *query, const travel_catalog_place_t *place)
{
    travel_param_t  *limit;

    if (query->nkeys == 0) {
        return TRAVEL_OK;
    }

    limit = (travel_param_t *) travel_query_param(query, TRAVEL_STR("limit"));

    if (query->returns == TRAVEL_RETURNS_ROWS) {
        return travel_catalog_fault(place, "@cursor is for lists: say "
                                    "\"-- @returns list\", or \"one\" where no "
                                    "row is to be a 404");
    }

    if (limit == NULL || limit->optional) {
        return travel_catalog_fault(place, "@cursor needs a page length: add "
                                    "\"-- @param limit int 1..100 = 20\"");
    }

    if (travel_query_param(query, TRAVEL_STR("cursor")) != NULL) {
        return travel_catalog_fault(place, "with @cursor there is no parameter "
                                    "\"cursor\": take one of them out");
    }

    limit->position = (int) (limit - query->params) + 1;

    return TRAVEL_OK;
}


/* --- the wrapping --------------------------------------------------------- */

static void TRAVEL_PRINTF(2, 3)
travel_cursor_add(travel_cursor_text_t *t, const char *fmt, ...)
{
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(t->text + t->len, t->size - t->len, fmt, args);
    va_end(args);

    t->len += (size_t) n;
}


static void
travel_cursor_order(travel_cursor_text_t *t, const travel_query_t *q,
    char table)
{
    size_t  i;

    for (i = 0; i < q->nkeys; i++) {
        travel_cursor_add(t, "%s%c.\"%s\"%s", i ? ", " : " ORDER BY ", table,
                          q->keys[i].name, q->keys[i].desc ? " DESC" : "");
    }
}


/* What comes after the keys, which begin at $first.  One direction is a
 * comparison of rows, which an index serves; two are spelt out, with a bound on
 * the first column for the index. */

static void
travel_cursor_after(travel_cursor_text_t *t, const travel_query_t *q,
    size_t first)
{
    size_t  i, same;

    for (same = 1; same < q->nkeys; same++) {
        if (q->keys[same].desc != q->keys[0].desc) {
            break;
        }
    }

    if (same == q->nkeys) {
        for (i = 0; i < q->nkeys; i++) {
            travel_cursor_add(t, "%sq.\"%s\"", i ? ", " : " WHERE (",
                              q->keys[i].name);
        }

        travel_cursor_add(t, ") %c ", q->keys[0].desc ? '<' : '>');

        for (i = 0; i < q->nkeys; i++) {
            travel_cursor_add(t, "%s$%zu", i ? ", " : "(", first + i);
        }

        travel_cursor_add(t, ")");
        return;
    }

    travel_cursor_add(t, " WHERE q.\"%s\" %c= $%zu AND ", q->keys[0].name,
                      q->keys[0].desc ? '<' : '>', first);

    for (i = 0; i < q->nkeys; i++) {
        travel_cursor_add(t, "(q.\"%s\" %c $%zu", q->keys[i].name,
                          q->keys[i].desc ? '<' : '>', first + i);

        if (i + 1 < q->nkeys) {
            travel_cursor_add(t, " OR (q.\"%s\" = $%zu AND ", q->keys[i].name,
                              first + i);
        }
    }

    for (i = 1; i < q->nkeys; i++) {
        travel_cursor_add(t, "))");
    }

    travel_cursor_add(t, ")");
}


static char *
travel_cursor_page(const travel_query_t *q, int limit, bool next)
{
    bool                  one = q->returns == TRAVEL_RETURNS_ONE;
    size_t                i;
    travel_cursor_text_t  t;

    /* a key is named eight times at most, and the rest is about 600 long */

    t.size = strlen(q->sql) + 1024 + q->nkeys * 8 * 128;
    t.len = 0;
    t.text = malloc(t.size);
    if (t.text == NULL) {
        return NULL;
    }

    travel_cursor_add(&t, "WITH travel_page AS (SELECT q.* FROM (\n%s\n) AS q",
                      q->sql);

    if (next) {
        travel_cursor_after(&t, q, q->nbinds + 1);
    }

    travel_cursor_order(&t, q, 'q');
    travel_cursor_add(&t, " LIMIT $%d::integer + 1), travel_list AS (SELECT "
                      "p.*, row_number() OVER (", limit);
    travel_cursor_order(&t, q, 'p');
    travel_cursor_add(&t, ") AS travel_n FROM travel_page AS p) SELECT "
                      TRAVEL_CURSOR_ITEMS, limit,
                      one ? " AND l.item IS NOT NULL" : "");

    for (i = 0; i < q->nkeys; i++) {
        travel_cursor_add(&t, ", CASE WHEN count(*) > $%d::integer THEN "
                          "min(l.\"%s\"::text) FILTER (WHERE l.travel_n = "
                          "$%d::integer) END", limit, q->keys[i].name, limit);
    }

    travel_cursor_add(&t, " FROM travel_list AS l%s",
                      one && !next ? " HAVING count(*) > 0" : "");

    return t.text;
}


int
travel_cursor_wrap(travel_query_t *query)
{
    int                    limit;
    char                  *first;
    const travel_param_t  *param;

    if (query->nkeys == 0) {
        return TRAVEL_OK;
    }

    param = travel_query_param(query, TRAVEL_STR("limit"));
    limit = (int) (param - query->params) + 1;

    first = travel_cursor_page(query, limit, false);
    query->sql_next = travel_cursor_page(query, limit, true);

    if (first == NULL || query->sql_next == NULL) {
        free(first);
        return TRAVEL_ERROR;
    }

    free(query->sql);
    query->sql = first;

    return TRAVEL_OK;
}
