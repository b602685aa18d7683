/* What the files of the catalog's parser share; nobody else includes it. */

#ifndef TRAVEL_CATALOG_PARTS_H
#define TRAVEL_CATALOG_PARTS_H

#include "catalog.h"

/* Where the parser is, for faults: the line is that of the file. */
typedef struct {
    const char              *file;
    size_t                   line;
    travel_catalog_fault_t  *fault;
} travel_catalog_place_t;

/* Fills the fault; always TRAVEL_INVALID. */
int travel_catalog_fault(const travel_catalog_place_t *place, const char *fmt,
    ...) TRAVEL_PRINTF(2, 3);

bool travel_catalog_space(char c);
bool travel_catalog_name_start(char c);
bool travel_catalog_name_char(char c);
travel_str_t travel_catalog_trim(travel_str_t s);
/* Takes the first word off *s; empty at the end. */
travel_str_t travel_catalog_word(travel_str_t *s);
/* A NUL-terminated copy, owned; NULL: out of memory. */
char *travel_catalog_copy(travel_str_t s);
/* "250ms", "2s", "5m", "1h". */
int travel_catalog_duration(long *ret_ms, travel_str_t text)
    TRAVEL_MUST_CHECK;
/* Every "{name}" of the template is a parameter or the viewer. */
int travel_catalog_template(const travel_query_t *query, const char *text,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;

/* "NAME TYPE[?] [MIN..MAX] [= DEFAULT]" into *param (zeroed by the caller,
 * freed by it whatever is returned). */
int travel_param_declare(travel_param_t *param, travel_str_t text,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;
void travel_param_fini(travel_param_t *param);
/* Its type as PostgreSQL spells it. */
const char *travel_param_sql_type(const travel_param_t *param);

/* "NAME [asc|desc], ..." into query->keys. */
int travel_cursor_declare(travel_query_t *query, travel_str_t text,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;
/* A list's limit has a bound; what a @cursor needs of the rest of the head. */
int travel_cursor_check_limit(const travel_query_t *query,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;
int travel_cursor_check(travel_query_t *query,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;
/* Makes pages of query->sql, which is rewritten, when there is a @cursor. */
int travel_cursor_wrap(travel_query_t *query) TRAVEL_MUST_CHECK;

/* Rewrites a statement that starts at place->line; sets query->sql, nbinds,
 * viewer and the positions. */
int travel_sql_rewrite(travel_query_t *query, travel_str_t sql,
    const travel_catalog_place_t *place) TRAVEL_MUST_CHECK;

#endif
