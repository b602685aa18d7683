/*
 * A named query's SQL: ":name" becomes "$n::type".
 *
 * It follows PostgreSQL's own lexical rules as far as they decide what is
 * inside a quote or a comment: 'text' (a backslash is nothing special), E'text'
 * (it is), "names", $tag$ text $tag$, "--" and nested slash-star comments.
 */

#include <stdio.h>
#include <stdlib.h>

#include "catalog_parts.h"

typedef struct {
    travel_query_t          *query;
    travel_catalog_place_t   place;      /* the line of 'p' */
    const char              *p;
    const char              *end;
    char                    *out;        /* roomy: see travel_sql_room */
    size_t                   len;
} travel_sql_t;


/* The longest replacement is "$17::double precision" for ":a". */

static size_t
travel_sql_room(travel_str_t sql)
{
    return sql.len * 11 + 1;
}


static void
travel_sql_keep(travel_sql_t *s, const char *to)
{
    while (s->p < to) {
        if (*s->p == '\n') {
            s->place.line++;
        }

        s->out[s->len++] = *s->p++;
    }
}


static bool
travel_sql_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
           || (c & 0x80);
}


static bool
travel_sql_word_char(char c)
{
    return travel_sql_letter(c) || (c >= '0' && c <= '9') || c == '$';
}


/* The end of a quote whose opening character is at 'p'; NULL: none. */

static const char *
travel_sql_quote_end(const char *p, const char *end, bool escapes)
{
    char  quote = *p++;

    for ( /* void */ ; p < end; p++) {
        if (escapes && *p == '\\' && p + 1 < end) {
            p++;

        } else if (*p == quote) {
            if (p + 1 < end && p[1] == quote) {
                p++;

            } else {
                return p + 1;
            }
        }
    }

    return NULL;
}


/* "$tag$ ... $tag$"; 'p' itself when this '$' opens none; NULL: unclosed. */

static const char *
travel_sql_dollar_end(const char *p, const char *end)
{
    size_t       len;
    const char  *q = p + 1;

    while (q < end && travel_sql_word_char(*q) && *q != '$') {
        q++;
    }

    if (q == end || *q != '$' || (p[1] >= '0' && p[1] <= '9')) {
        return p;
    }

    len = (size_t) (q + 1 - p);

    for (q++; (size_t) (end - q) >= len; q++) {
        if (memcmp(q, p, len) == 0) {
            return q + len;
        }
    }

    return NULL;
}


static const char *
travel_sql_comment_end(const char *p, const char *end)
{
    unsigned  depth = 0;

    if (*p == '-') {
        while (p < end && *p != '\n') {
            p++;
        }

        return p;
    }

    while (p + 1 < end) {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;

        } else if (p[0] == '*' && p[1] == '/') {
            p += 2;
            if (--depth == 0) {
                return p;
            }

        } else {
            p++;
        }
    }

    return NULL;
}


static bool
travel_sql_comment(const travel_sql_t *s)
{
    return s->p + 1 < s->end
           && ((s->p[0] == '-' && s->p[1] == '-')
               || (s->p[0] == '/' && s->p[1] == '*'));
}


/* A line like "-- @param" below the head would be lost without a word. */

static bool
travel_sql_stray(const travel_sql_t *s)
{
    const char  *p = s->p;

    if (*p != '-') {
        return false;
    }

    for (p += 2; p < s->end && (*p == ' ' || *p == '\t'); p++) { /* void */ }

    return p + 1 < s->end && *p == '@' && travel_sql_letter(p[1]);
}


/* Keeps quotes, comments and words as they are; *ret_took says whether there
 * was one. */

static int
travel_sql_opaque(travel_sql_t *s, bool *ret_took)
{
    const char  *to = s->p;
    const char  *what = "comment";

    if (travel_sql_comment(s)) {
        if (travel_sql_stray(s)) {
            return travel_catalog_fault(&s->place, "lines that start with "
                                        "\"-- @\" must stand before the "
                                        "statement");
        }

        to = travel_sql_comment_end(s->p, s->end);

    } else if (*s->p == '\'' || *s->p == '"') {
        what = "quote";
        to = travel_sql_quote_end(s->p, s->end, false);

    } else if (*s->p == '$') {
        what = "dollar quote";
        to = travel_sql_dollar_end(s->p, s->end);

    } else if (travel_sql_letter(*s->p)) {
        while (to < s->end && travel_sql_word_char(*to)) {
            to++;
        }

        if (to - s->p == 1 && (*s->p == 'E' || *s->p == 'e') && to < s->end
            && *to == '\'')
        {
            what = "quote";
            to = travel_sql_quote_end(to, s->end, true);
        }
    }

    if (to == NULL) {
        return travel_catalog_fault(&s->place, "a %s that starts here is not "
                                    "closed", what);
    }

    *ret_took = to > s->p;
    travel_sql_keep(s, to);

    return TRAVEL_OK;
}


/* The viewer comes behind the declared ones. */

static int
travel_sql_bind(travel_sql_t *s, travel_str_t name)
{
    size_t           i;
    int              position;
    const char      *type;
    travel_param_t  *param;

    if (travel_str_eq(name, TRAVEL_STR("viewer"))) {
        position = (int) s->query->nparams + 1;
        type = "uuid";
        s->query->viewer = position;

    } else {
        param = (travel_param_t *) travel_query_param(s->query, name);

        if (param == NULL) {
            return travel_catalog_fault(&s->place, "\":%.*s\" is not declared;"
                                        " add \"-- @param %.*s TYPE\" to the "
                                        "head (or, in an array slice, a space "
                                        "after the ':')",
                                        (int) name.len, name.data,
                                        (int) name.len, name.data);
        }

        i = (size_t) (param - s->query->params);
        position = (int) i + 1;
        type = travel_param_sql_type(param);
        param->position = position;
    }

    s->len += (size_t) sprintf(s->out + s->len, "$%d::%s", position, type);

    return TRAVEL_OK;
}


static int
travel_sql_colon(travel_sql_t *s)
{
    const char    *to = s->p + 1;
    travel_str_t   name;

    if (to < s->end && (*to == ':' || *to == '=')) {
        travel_sql_keep(s, to + 1);
        return TRAVEL_OK;
    }

    if (to == s->end || !travel_catalog_name_start(*to)) {
        travel_sql_keep(s, to);
        return TRAVEL_OK;
    }

    while (to < s->end && travel_catalog_name_char(*to)) {
        to++;
    }

    name = (travel_str_t) { s->p + 1, (size_t) (to - s->p) - 1 };
    s->p = to;

    return travel_sql_bind(s, name);
}


/* A ';' may end the file, and nothing may follow it but comments. */

static int
travel_sql_end(travel_sql_t *s)
{
    const char  *to;

    s->p++;

    while (s->p < s->end) {
        if (travel_sql_comment(s)) {
            to = travel_sql_comment_end(s->p, s->end);
            s->p = to != NULL ? to : s->end;

        } else if (travel_catalog_space(*s->p)) {
            if (*s->p++ == '\n') {
                s->place.line++;
            }

        } else {
            return travel_catalog_fault(&s->place, "a query file holds one "
                                        "statement; take out what follows the "
                                        "';'");
        }
    }

    return TRAVEL_OK;
}


static int
travel_sql_step(travel_sql_t *s)
{
    int   rc;
    bool  took = false;

    rc = travel_sql_opaque(s, &took);
    if (rc != TRAVEL_OK || took) {
        return rc;
    }

    switch (*s->p) {

    case ':':
        return travel_sql_colon(s);

    case ';':
        return travel_sql_end(s);

    case '$':
        return travel_catalog_fault(&s->place, "write parameters by name, like"
                                    " :limit, not by number");

    default:
        travel_sql_keep(s, s->p + 1);
        return TRAVEL_OK;
    }
}


/* The edge reads.  Its database role makes sure of it; this says so sooner. */

static int
travel_sql_reads(const travel_sql_t *s, travel_str_t sql)
{
    size_t        i, n;
    travel_str_t  word;

    static const char *const  words[] = { "select", "with", "values", "table" };

    while (sql.len && (travel_catalog_space(*sql.data) || *sql.data == '(')) {
        sql.data++;
        sql.len--;
    }

    word = sql;
    for (n = 0; n < sql.len && travel_sql_word_char(sql.data[n]); n++) {
        /* void */
    }

    word.len = n;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (word.len != strlen(words[i])) {
            continue;
        }

        for (n = 0; n < word.len && (word.data[n] | 0x20) == words[i][n]; n++) {
            /* void */
        }

        if (n == word.len) {
            return TRAVEL_OK;
        }
    }

    return travel_catalog_fault(&s->place, "a query must start with SELECT or "
                                "WITH: the edge reads; writes are commands");
}


int
travel_sql_rewrite(travel_query_t *query, travel_str_t sql,
    const travel_catalog_place_t *place)
{
    int           rc;
    travel_sql_t  s = { 0 };

    sql = travel_catalog_trim(sql);
    s.query = query;
    s.place = *place;
    s.p = sql.data;
    s.end = sql.data + sql.len;

    rc = travel_sql_reads(&s, sql);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    s.out = malloc(travel_sql_room(sql));
    if (s.out == NULL) {
        return TRAVEL_ERROR;
    }

    while (rc == TRAVEL_OK && s.p < s.end) {
        rc = travel_sql_step(&s);
    }

    if (rc != TRAVEL_OK) {
        free(s.out);
        return rc;
    }

    while (s.len && travel_catalog_space(s.out[s.len - 1])) {
        s.len--;
    }

    s.out[s.len] = '\0';
    query->sql = s.out;
    query->nbinds = query->nparams + (query->viewer != 0);

    return TRAVEL_OK;
}
