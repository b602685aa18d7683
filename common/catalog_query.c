/* A query file: the head's "-- @word" lines, then the statement. */

#include <stdlib.h>

#include "catalog_parts.h"
#include "utf8.h"

#define TRAVEL_QUERY_TIMEOUT_DEFAULT  2000
#define TRAVEL_QUERY_TIMEOUT_MIN      10
#define TRAVEL_QUERY_TIMEOUT_MAX      60000

typedef enum {
    TRAVEL_HEAD_PUBLIC,
    TRAVEL_HEAD_REQUIRES,
    TRAVEL_HEAD_PARAM,
    TRAVEL_HEAD_RETURNS,
    TRAVEL_HEAD_TAGS,
    TRAVEL_HEAD_PENDING,
    TRAVEL_HEAD_CLASS,
    TRAVEL_HEAD_TIMEOUT,
    TRAVEL_HEAD_ROUTE,
    TRAVEL_HEAD_PRIORITY,
    TRAVEL_HEAD_CURSOR,
    TRAVEL_HEAD_MAX
} travel_head_e;

static const travel_str_t travel_heads[TRAVEL_HEAD_MAX] = {
    { "public", 6 }, { "requires", 8 }, { "param", 5 }, { "returns", 7 },
    { "tags", 4 }, { "pending", 7 }, { "class", 5 }, { "timeout", 7 },
    { "route", 5 }, { "priority", 8 }, { "cursor", 6 }
};

typedef struct {
    travel_query_t          *query;
    travel_catalog_place_t   place;
    size_t                   at[TRAVEL_HEAD_MAX];      /* line, 0: absent */
    size_t                   param_at[TRAVEL_QUERY_PARAMS_MAX];
} travel_head_t;


void
travel_query_free(travel_query_t *query)
{
    size_t  i;

    if (query == NULL) {
        return;
    }

    for (i = 0; i < query->nparams; i++) {
        travel_param_fini(&query->params[i]);
    }

    for (i = 0; i < query->nkeys; i++) {
        free(query->keys[i].name);
    }

    free(query->name);
    free(query->file);
    free(query->sql);
    free(query->sql_next);
    free(query->requires);
    free(query->tags);
    free(query->pending);
    free(query);
}


static int
travel_head_param(travel_head_t *h, travel_str_t text)
{
    int              rc;
    size_t           i;
    travel_query_t  *q = h->query;

    if (q->nparams == TRAVEL_QUERY_PARAMS_MAX) {
        return travel_catalog_fault(&h->place, "a query has at most %d "
                                    "parameters", TRAVEL_QUERY_PARAMS_MAX);
    }

    i = q->nparams++;
    h->param_at[i] = h->place.line;

    rc = travel_param_declare(&q->params[i], text, &h->place);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    while (i-- > 0) {
        if (strcmp(q->params[i].name, q->params[q->nparams - 1].name) == 0) {
            return travel_catalog_fault(&h->place, "parameter \"%s\" is "
                                        "declared twice; keep one",
                                        q->params[i].name);
        }
    }

    return TRAVEL_OK;
}


static int
travel_head_returns(travel_head_t *h, travel_str_t text)
{
    if (travel_str_eq(text, TRAVEL_STR("one"))) {
        h->query->returns = TRAVEL_RETURNS_ONE;

    } else if (travel_str_eq(text, TRAVEL_STR("list"))) {
        h->query->returns = TRAVEL_RETURNS_LIST;

    } else if (travel_str_eq(text, TRAVEL_STR("rows"))) {
        h->query->returns = TRAVEL_RETURNS_ROWS;

    } else {
        return travel_catalog_fault(&h->place, "@returns must be one, list or "
                                    "rows");
    }

    return TRAVEL_OK;
}


static int
travel_head_class(travel_head_t *h, travel_str_t text)
{
    h->query->slow = travel_str_eq(text, TRAVEL_STR("slow"));

    if (!h->query->slow && !travel_str_eq(text, TRAVEL_STR("fast"))) {
        return travel_catalog_fault(&h->place, "@class must be fast or slow");
    }

    return TRAVEL_OK;
}


static int
travel_head_route(travel_head_t *h, travel_str_t text)
{
    h->query->analytics = travel_str_eq(text, TRAVEL_STR("analytics"));

    if (!h->query->analytics && !travel_str_eq(text, TRAVEL_STR("replica"))) {
        return travel_catalog_fault(&h->place, "@route must be replica or "
                                    "analytics");
    }

    return TRAVEL_OK;
}


static int
travel_head_priority(travel_head_t *h, travel_str_t text)
{
    if (travel_priority_parse(&h->query->priority, text) != TRAVEL_OK) {
        return travel_catalog_fault(&h->place, "@priority must be high, normal "
                                    "or low");
    }

    return TRAVEL_OK;
}


static int
travel_head_timeout(travel_head_t *h, travel_str_t text)
{
    if (travel_catalog_duration(&h->query->timeout_ms, text) != TRAVEL_OK
        || h->query->timeout_ms < TRAVEL_QUERY_TIMEOUT_MIN
        || h->query->timeout_ms > TRAVEL_QUERY_TIMEOUT_MAX)
    {
        return travel_catalog_fault(&h->place, "@timeout must be a duration "
                                    "from 10ms to 1m, like 500ms or 2s");
    }

    return TRAVEL_OK;
}


static int
travel_head_text(travel_head_t *h, char **ret_text, travel_str_t text,
    bool words)
{
    travel_str_t  rest = text;

    (void) travel_catalog_word(&rest);

    if (text.len == 0 || (!words && rest.len != 0)) {
        return travel_catalog_fault(&h->place, "this line needs %s after its "
                                    "@word", words ? "a value" : "one word");
    }

    *ret_text = travel_catalog_copy(text);

    return *ret_text != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static int
travel_head_public(travel_head_t *h, travel_str_t text)
{
    if (text.len != 0) {
        return travel_catalog_fault(&h->place, "@public stands alone; take "
                                    "\"%.*s\" out", (int) text.len, text.data);
    }

    h->query->public = true;

    return TRAVEL_OK;
}


static int
travel_head_take(travel_head_t *h, travel_head_e head, travel_str_t text)
{
    switch (head) {

    case TRAVEL_HEAD_PUBLIC:
        return travel_head_public(h, text);

    case TRAVEL_HEAD_REQUIRES:
        return travel_head_text(h, &h->query->requires, text, false);

    case TRAVEL_HEAD_PARAM:
        return travel_head_param(h, text);

    case TRAVEL_HEAD_RETURNS:
        return travel_head_returns(h, text);

    case TRAVEL_HEAD_TAGS:
        return travel_head_text(h, &h->query->tags, text, true);

    case TRAVEL_HEAD_PENDING:
        return travel_head_text(h, &h->query->pending, text, false);

    case TRAVEL_HEAD_CLASS:
        return travel_head_class(h, text);

    case TRAVEL_HEAD_TIMEOUT:
        return travel_head_timeout(h, text);

    case TRAVEL_HEAD_ROUTE:
        return travel_head_route(h, text);

    case TRAVEL_HEAD_PRIORITY:
        return travel_head_priority(h, text);

    case TRAVEL_HEAD_CURSOR:
        return travel_cursor_declare(h->query, text, &h->place);

    default:
        return TRAVEL_ERROR;
    }
}


/* 'text' is what follows "--" and spaces. */

static int
travel_head_line(travel_head_t *h, travel_str_t text)
{
    travel_str_t   word;
    unsigned       i;

    if (text.len == 0 || text.data[0] != '@') {
        return TRAVEL_OK;
    }

    word = travel_catalog_word(&text);
    word.data++;
    word.len--;

    for (i = 0; i < TRAVEL_HEAD_MAX; i++) {
        if (travel_str_eq(travel_heads[i], word)) {
            break;
        }
    }

    if (i == TRAVEL_HEAD_MAX) {
        return travel_catalog_fault(&h->place, "\"@%.*s\" is not known; use "
                                    "@public, @requires, @param, @returns, "
                                    "@tags, @pending, @class, @timeout, "
                                    "@route, @priority or @cursor",
                                    (int) word.len, word.data);
    }

    if (h->at[i] != 0 && i != TRAVEL_HEAD_PARAM) {
        return travel_catalog_fault(&h->place, "\"@%.*s\" stands twice; keep "
                                    "one", (int) word.len, word.data);
    }

    h->at[i] = h->place.line;

    return travel_head_take(h, (travel_head_e) i, travel_catalog_trim(text));
}


/* Reads the head; *text is left at the statement, h->place.line on it. */

static int
travel_head_read(travel_head_t *h, travel_str_t *text)
{
    int           rc;
    size_t        n;
    travel_str_t  line;

    for (h->place.line = 1; text->len; h->place.line++) {

        for (n = 0; n < text->len && text->data[n] != '\n'; n++) { /* void */ }

        line = travel_catalog_trim((travel_str_t) { text->data, n });

        if (line.len && (line.len < 2 || memcmp(line.data, "--", 2) != 0)) {
            return TRAVEL_OK;
        }

        if (line.len) {
            line.data += 2;
            line.len -= 2;
            rc = travel_head_line(h, travel_catalog_trim(line));
            if (rc != TRAVEL_OK) {
                return rc;
            }
        }

        n += n < text->len;
        text->data += n;
        text->len -= n;
    }

    return travel_catalog_fault(&h->place, "there is no statement; write one "
                                "below the head");
}


int
travel_catalog_template(const travel_query_t *query, const char *text,
    const travel_catalog_place_t *place)
{
    const char            *close;
    travel_str_t           name;
    const travel_param_t  *param;

    for ( /* void */ ; *text != '\0'; text++) {
        if (*text == '}') {
            return travel_catalog_fault(place, "a '}' without its '{'");
        }

        if (*text != '{') {
            continue;
        }

        close = strchr(text, '}');
        if (close == NULL) {
            return travel_catalog_fault(place, "a '{' is not closed");
        }

        name = (travel_str_t) { text + 1, (size_t) (close - text) - 1 };

        param = travel_query_param(query, name);

        if (param == NULL && !travel_str_eq(name, TRAVEL_STR("viewer"))) {
            return travel_catalog_fault(place, "\"{%.*s}\" is no parameter of "
                                        "this query, nor {viewer}",
                                        (int) name.len, name.data);
        }

        if (param != NULL && param->type == TRAVEL_PARAM_TEXT) {
            return travel_catalog_fault(place, "\"{%.*s}\" is free text; tags "
                                        "are made of ids, numbers and words",
                                        (int) name.len, name.data);
        }

        text = close;
    }

    return TRAVEL_OK;
}


/* Who may ask must be said: the viewer, the public, or a permission. */

static int
travel_head_check_access(travel_head_t *h)
{
    travel_query_t  *q = h->query;

    if (q->public && q->requires != NULL) {
        h->place.line = h->at[TRAVEL_HEAD_REQUIRES];
        return travel_catalog_fault(&h->place, "@public and @requires exclude "
                                    "each other; keep one");
    }

    if (q->viewer == 0 && !q->public && q->requires == NULL) {
        h->place.line = 0;
        return travel_catalog_fault(&h->place, "everybody's rows to anybody: "
                                    "bind :viewer, or add \"-- @requires "
                                    "PERMISSION\", or \"-- @public\"");
    }

    return TRAVEL_OK;
}


static int
travel_head_check_pending(travel_head_t *h)
{
    const travel_param_t  *id;

    if (h->query->pending == NULL) {
        return TRAVEL_OK;
    }

    id = travel_query_param(h->query, TRAVEL_STR("id"));

    if (h->query->returns != TRAVEL_RETURNS_ONE || id == NULL
        || id->type != TRAVEL_PARAM_UUID)
    {
        h->place.line = h->at[TRAVEL_HEAD_PENDING];
        return travel_catalog_fault(&h->place, "@pending needs \"@returns "
                                    "one\" and \"@param id uuid\"");
    }

    return TRAVEL_OK;
}


static int
travel_head_check(travel_head_t *h)
{
    int              rc;
    size_t           i;
    travel_query_t  *q = h->query;

    for (i = 0; i < q->nparams; i++) {
        if (strcmp(q->params[i].name, "limit") == 0) {
            h->place.line = h->param_at[i];
        }
    }

    rc = travel_cursor_check_limit(q, &h->place);

    if (rc == TRAVEL_OK) {
        h->place.line = h->at[TRAVEL_HEAD_CURSOR];
        rc = travel_cursor_check(q, &h->place);
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    for (i = 0; i < q->nparams; i++) {
        if (q->params[i].position == 0) {
            h->place.line = h->param_at[i];
            return travel_catalog_fault(&h->place, "parameter \"%s\" is not "
                                        "used; use :%s in the statement or "
                                        "take the line out",
                                        q->params[i].name, q->params[i].name);
        }
    }

    if (h->at[TRAVEL_HEAD_RETURNS] == 0) {
        h->place.line = 0;
        return travel_catalog_fault(&h->place, "say what comes back: add "
                                    "\"-- @returns one\", \"list\" or "
                                    "\"rows\"");
    }

    if (q->tags != NULL) {
        h->place.line = h->at[TRAVEL_HEAD_TAGS];
        if (travel_catalog_template(q, q->tags, &h->place) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (travel_head_check_pending(h) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    rc = travel_head_check_access(h);

    return rc == TRAVEL_OK ? travel_cursor_wrap(q) : rc;
}


/* PostgreSQL would refuse these at the first request only. */

static int
travel_query_bytes(travel_str_t text, const travel_catalog_place_t *place)
{
    unsigned                 n;
    const char              *p, *end;
    travel_catalog_place_t   here = *place;

    here.line = 1;
    end = text.data + text.len;

    for (p = text.data; p < end; p += n) {
        n = travel_utf8_len(p, end);

        if (n == 0 || *p == '\0') {
            return travel_catalog_fault(&here, "this line is not UTF-8 text; "
                                        "save the file as UTF-8");
        }

        here.line += *p == '\n';
    }

    return TRAVEL_OK;
}


static int
travel_query_fill(travel_head_t *h, const char *name, travel_str_t text)
{
    int              rc;
    travel_query_t  *q = h->query;

    q->timeout_ms = TRAVEL_QUERY_TIMEOUT_DEFAULT;
    q->priority = TRAVEL_PRIORITY_NORMAL;
    q->name = travel_catalog_copy((travel_str_t) { name, strlen(name) });
    q->file = travel_catalog_copy((travel_str_t) { h->place.file,
                                                   strlen(h->place.file) });

    if (q->name == NULL || q->file == NULL) {
        return TRAVEL_ERROR;
    }

    rc = travel_query_bytes(text, &h->place);
    if (rc == TRAVEL_OK) {
        rc = travel_head_read(h, &text);
    }

    if (rc == TRAVEL_OK) {
        rc = travel_sql_rewrite(q, text, &h->place);
    }

    return rc == TRAVEL_OK ? travel_head_check(h) : rc;
}


int
travel_query_parse(travel_query_t **ret_query, const char *name,
    const char *file, travel_str_t text, travel_catalog_fault_t *ret_fault)
{
    int            rc;
    travel_head_t  h = { 0 };

    h.place.file = file;
    h.place.fault = ret_fault;
    h.query = calloc(1, sizeof(travel_query_t));

    if (h.query == NULL) {
        return TRAVEL_ERROR;
    }

    rc = travel_query_fill(&h, name, text);

    if (rc != TRAVEL_OK) {
        travel_query_free(h.query);
        return rc;
    }

    *ret_query = h.query;

    return TRAVEL_OK;
}
