/*
 * Strict JSON (RFC 8259) in one pass into a flat array of nodes.
 *
 * A document belongs to one thread at a time; nothing here is shared.  It owns
 * three growing buffers that every parse uses again:
 *
 *   nodes   in the order of the text; while a container is open, its 'next'
 *           holds the index of the container around it, so the nodes are
 *           their own stack and depth costs no memory
 *   arena   decoded texts of strings with escapes; a decoded string is never
 *           longer than its source, so source length is room enough and the
 *           arena never moves while texts point into it
 *   slots   hash tables of the objects with more than JSON_SMALL_OBJECT
 *           members: they find duplicate names now and members later
 *
 * Names come from outside, so the tables hash under a random key; a small
 * object is compared member by member behind a 64-bit filter.
 */

#include <stdlib.h>
#include <sys/random.h>

#include "json_parts.h"
#include "decimal.h"
#include "errors.h"
#include "utf8.h"

#define JSON_NODES_MIN     64
#define JSON_NO_PARENT     UINT32_MAX

typedef enum {
    JSON_WANT_VALUE,          /* a value and nothing else */
    JSON_WANT_FIRST,          /* after '[': a value or ']' */
    JSON_WANT_NAME,           /* after ',' in an object */
    JSON_WANT_FIRST_NAME,     /* after '{': a name or '}' */
    JSON_WANT_MORE,           /* after a value: ',' or the container's end */
    JSON_FAILED,              /* ps->message and ps->err_at say why */
    JSON_NO_MEMORY
} json_state_e;

typedef struct {
    travel_json_t  *doc;
    const char     *start;
    const char     *p;
    const char     *end;
    char           *out;          /* free part of the arena, NULL: not yet */
    uint32_t        open;         /* innermost open container */
    unsigned        depth;
    unsigned        max_depth;
    uint32_t        dup;          /* name node of the first duplicate, or 0 */
    const char     *err_at;
    const char     *message;
} json_parse_t;

static json_state_e json_run(json_parse_t *ps);
static json_state_e json_value(json_parse_t *ps);
static json_state_e json_name(json_parse_t *ps);
static json_state_e json_more(json_parse_t *ps);
static json_state_e json_open(json_parse_t *ps, travel_json_type_e type);
static json_state_e json_close(json_parse_t *ps, travel_json_type_e type);
static json_state_e json_literal(json_parse_t *ps, const char *word, size_t len,
    travel_json_type_e type);
static json_state_e json_number(json_parse_t *ps);
static json_state_e json_string(json_parse_t *ps);
static json_state_e json_string_escaped(json_parse_t *ps,
    travel_json_node_t *node, const char *text);
static bool json_escape(json_parse_t *ps);
static bool json_unicode(json_parse_t *ps, const char *at);
static bool json_hex4(json_parse_t *ps, uint32_t *cp);
static json_state_e json_unique(json_parse_t *ps, uint32_t object);
static void json_unique_small(json_parse_t *ps, uint32_t object);
static json_state_e json_unique_hashed(json_parse_t *ps, uint32_t object);
static void json_tell(const json_parse_t *ps, travel_json_error_t *err);


travel_json_t *
travel_json_create(size_t hint)
{
    travel_json_t  *doc;

    doc = calloc(1, sizeof(*doc));
    if (doc == NULL) {
        return NULL;
    }

    doc->cap = hint / 8 + JSON_NODES_MIN;
    doc->nodes = malloc(doc->cap * sizeof(doc->nodes[0]));

    if (doc->nodes == NULL
        || getrandom(&doc->seed, sizeof(doc->seed), 0)
           != (ssize_t) sizeof(doc->seed))
    {
        travel_json_free(doc);
        return NULL;
    }

    return doc;
}


void
travel_json_free(travel_json_t *doc)
{
    if (doc == NULL) {
        return;
    }

    free(doc->nodes);
    free(doc->arena);
    free(doc->slots);
    free(doc->tables);
    free(doc);
}


const travel_json_node_t *
travel_json_nodes(const travel_json_t *doc)
{
    return doc->nodes;
}


size_t
travel_json_count(const travel_json_t *doc)
{
    return doc->n;
}


size_t
travel_json_room(const travel_json_t *doc)
{
    return doc->cap * sizeof(doc->nodes[0]) + doc->arena_cap
           + doc->slots_cap * sizeof(doc->slots[0])
           + doc->tables_cap * sizeof(doc->tables[0]);
}


int
travel_json_parse(travel_json_t *doc, travel_str_t src, unsigned max_depth,
    travel_json_error_t *ret_err)
{
    json_state_e  state;
    json_parse_t  ps = { 0 };

    doc->n = 0;
    doc->nslots = 0;
    doc->ntables = 0;

    if (src.len >= UINT32_MAX) {
        return TRAVEL_ERROR;
    }

    ps.doc = doc;
    ps.start = src.len ? src.data : "";
    ps.p = ps.start;
    ps.end = ps.start + src.len;
    ps.open = JSON_NO_PARENT;
    ps.max_depth = max_depth ? max_depth : TRAVEL_JSON_DEPTH_DEFAULT;

    if (ps.max_depth > TRAVEL_JSON_DEPTH_MAX) {
        ps.max_depth = TRAVEL_JSON_DEPTH_MAX;
    }

    state = json_run(&ps);

    if (state == JSON_WANT_MORE && ps.dup == 0) {
        return TRAVEL_OK;
    }

    if (state != JSON_NO_MEMORY) {
        json_tell(&ps, ret_err);
    }

    doc->n = 0;

    return state == JSON_NO_MEMORY ? TRAVEL_ERROR : TRAVEL_INVALID;
}


/* Ends in JSON_WANT_MORE with nothing open, or with what went wrong. */
static json_state_e
json_run(json_parse_t *ps)
{
    json_state_e  state = JSON_WANT_VALUE;

    for ( ;; ) {

        while (ps->p < ps->end
               && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r'
                   || *ps->p == '\t'))
        {
            ps->p++;
        }

        if (ps->p == ps->end) {
            break;
        }

        switch (state) {

        case JSON_WANT_FIRST:
            if (*ps->p == ']') {
                state = json_close(ps, TRAVEL_JSON_ARRAY);
                break;
            }

            /* fall through */

        case JSON_WANT_VALUE:
            state = json_value(ps);
            break;

        case JSON_WANT_FIRST_NAME:
            if (*ps->p == '}') {
                state = json_close(ps, TRAVEL_JSON_OBJECT);
                break;
            }

            /* fall through */

        case JSON_WANT_NAME:
            state = json_name(ps);
            break;

        case JSON_WANT_MORE:
            state = json_more(ps);
            break;

        default:
            return state;
        }
    }

    if (state < JSON_FAILED
        && (state != JSON_WANT_MORE || ps->open != JSON_NO_PARENT))
    {
        ps->err_at = ps->end;
        ps->message = ps->start == ps->end ? "the text is empty"
                                           : "the text ends too early";
        return JSON_FAILED;
    }

    return state;
}


static inline json_state_e
json_fail(json_parse_t *ps, const char *at, const char *message)
{
    ps->err_at = at;
    ps->message = at == ps->end ? "the text ends too early" : message;

    return JSON_FAILED;
}


static bool
json_grow(void **pp, size_t *cap, size_t want, size_t item)
{
    void    *p;
    size_t   n = *cap ? *cap : 16;

    while (n < want) {
        n *= 2;
    }

    p = realloc(*pp, n * item);
    if (p == NULL) {
        return false;
    }

    *pp = p;
    *cap = n;

    return true;
}


/* A node for the token at ps->p; NULL: out of memory. */
static inline travel_json_node_t *
json_push(json_parse_t *ps, travel_json_type_e type)
{
    travel_json_t       *doc = ps->doc;
    travel_json_node_t  *node;

    if (doc->n == doc->cap
        && !json_grow((void **) &doc->nodes, &doc->cap, doc->n + 1,
                      sizeof(doc->nodes[0])))
    {
        return NULL;
    }

    node = &doc->nodes[doc->n++];

    node->type = (uint8_t) type;
    node->integer = 0;
    node->depth = (uint16_t) ps->depth;
    node->offset = (uint32_t) (ps->p - ps->start);
    node->count = 0;
    node->next = (uint32_t) doc->n;
    node->text = TRAVEL_NULL_STR;

    return node;
}


static json_state_e
json_value(json_parse_t *ps)
{
    if (ps->open != JSON_NO_PARENT
        && ps->doc->nodes[ps->open].type == TRAVEL_JSON_ARRAY)
    {
        ps->doc->nodes[ps->open].count++;
    }

    switch (*ps->p) {

    case '"':
        return json_string(ps);

    case '{':
        return json_open(ps, TRAVEL_JSON_OBJECT);

    case '[':
        return json_open(ps, TRAVEL_JSON_ARRAY);

    case 't':
        return json_literal(ps, "true", 4, TRAVEL_JSON_TRUE);

    case 'f':
        return json_literal(ps, "false", 5, TRAVEL_JSON_FALSE);

    case 'n':
        return json_literal(ps, "null", 4, TRAVEL_JSON_NULL);

    case '-': case '0': case '1': case '2': case '3': case '4': case '5':
    case '6': case '7': case '8': case '9':
        return json_number(ps);

    default:
        if (ps->p == ps->start && *ps->p == '\xEF') {
            return json_fail(ps, ps->p, "a byte order mark is not allowed");
        }

        return json_fail(ps, ps->p, "a value was expected here");
    }
}


static json_state_e
json_name(json_parse_t *ps)
{
    json_state_e  state;

    if (*ps->p != '"') {
        return json_fail(ps, ps->p, "a member name in quotes was expected");
    }

    ps->doc->nodes[ps->open].count++;

    state = json_string(ps);
    if (state != JSON_WANT_MORE) {
        return state;
    }

    while (ps->p < ps->end
           && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r'
               || *ps->p == '\t'))
    {
        ps->p++;
    }

    if (ps->p == ps->end || *ps->p != ':') {
        return json_fail(ps, ps->p, "a colon was expected after the name");
    }

    ps->p++;

    return JSON_WANT_VALUE;
}


static json_state_e
json_more(json_parse_t *ps)
{
    uint8_t  type;

    if (ps->open == JSON_NO_PARENT) {
        return json_fail(ps, ps->p, "there is more text after the value");
    }

    type = ps->doc->nodes[ps->open].type;

    if (*ps->p == ',') {
        ps->p++;
        return type == TRAVEL_JSON_OBJECT ? JSON_WANT_NAME : JSON_WANT_VALUE;
    }

    if (*ps->p == (type == TRAVEL_JSON_OBJECT ? '}' : ']')) {
        return json_close(ps, type);
    }

    return json_fail(ps, ps->p, type == TRAVEL_JSON_OBJECT
                     ? "a comma or a closing brace was expected"
                     : "a comma or a closing bracket was expected");
}


static json_state_e
json_open(json_parse_t *ps, travel_json_type_e type)
{
    travel_json_node_t  *node;

    if (ps->depth == ps->max_depth) {
        return json_fail(ps, ps->p, "the text is nested too deeply");
    }

    node = json_push(ps, type);
    if (node == NULL) {
        return JSON_NO_MEMORY;
    }

    node->next = ps->open;
    ps->open = (uint32_t) (node - ps->doc->nodes);
    ps->depth++;
    ps->p++;

    return type == TRAVEL_JSON_OBJECT ? JSON_WANT_FIRST_NAME : JSON_WANT_FIRST;
}


static json_state_e
json_close(json_parse_t *ps, travel_json_type_e type)
{
    uint32_t             object = ps->open;
    travel_json_node_t  *node = &ps->doc->nodes[object];

    ps->open = node->next;
    ps->depth--;
    ps->p++;

    node->next = (uint32_t) ps->doc->n;
    node->text.data = ps->start + node->offset;
    node->text.len = (size_t) (ps->p - node->text.data);

    if (type == TRAVEL_JSON_OBJECT && node->count > 1) {
        return json_unique(ps, object);
    }

    return JSON_WANT_MORE;
}


static json_state_e
json_literal(json_parse_t *ps, const char *word, size_t len,
    travel_json_type_e type)
{
    size_t  i;

    if (json_push(ps, type) == NULL) {
        return JSON_NO_MEMORY;
    }

    for (i = 0; i < len; i++) {
        if (ps->p + i == ps->end || ps->p[i] != word[i]) {
            return json_fail(ps, ps->p + i, "a value was expected here");
        }
    }

    ps->p += len;

    return JSON_WANT_MORE;
}


static inline bool
json_digits(const char **pp, const char *end)
{
    const char  *p = *pp;

    while (p < end && (uint8_t) (*p - '0') <= 9) {
        p++;
    }

    if (p == *pp) {
        return false;
    }

    *pp = p;

    return true;
}


static json_state_e
json_number(json_parse_t *ps)
{
    bool                 plain = true;
    const char          *p = ps->p, *end = ps->end;
    travel_decimal_t     d;
    travel_json_node_t  *node;

    node = json_push(ps, TRAVEL_JSON_NUMBER);
    if (node == NULL) {
        return JSON_NO_MEMORY;
    }

    p += *p == '-';

    if (p < end && *p == '0') {
        p++;
        if (p < end && (uint8_t) (*p - '0') <= 9) {
            return json_fail(ps, p, "a number must not start with a zero");
        }

    } else if (!json_digits(&p, end)) {
        return json_fail(ps, p, "a digit was expected");
    }

    if (p < end && *p == '.') {
        p++;
        plain = false;
        if (!json_digits(&p, end)) {
            return json_fail(ps, p, "a digit was expected after the point");
        }
    }

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        plain = false;
        p += p < end && (*p == '+' || *p == '-');
        if (!json_digits(&p, end)) {
            return json_fail(ps, p, "a digit was expected in the exponent");
        }
    }

    node->text.data = ps->p;
    node->text.len = (size_t) (p - ps->p);
    node->integer = 1;

    if (!plain) {
        d = travel_decimal_read(node->text);
        node->integer = travel_decimal_integer(&d);
    }

    ps->p = p;

    return JSON_WANT_MORE;
}


static json_state_e
json_string(json_parse_t *ps)
{
    unsigned             n;
    const char          *text;
    travel_json_node_t  *node;

    node = json_push(ps, TRAVEL_JSON_STRING);
    if (node == NULL) {
        return JSON_NO_MEMORY;
    }

    text = ++ps->p;

    for ( ;; ) {
        ps->p = json_plain_run(ps->p, ps->end);

        if (ps->p == ps->end) {
            return json_fail(ps, ps->p, "");
        }

        if (*ps->p == '"') {
            node->text.data = text;
            node->text.len = (size_t) (ps->p - text);
            ps->p++;
            return JSON_WANT_MORE;
        }

        if (*ps->p == '\\') {
            return json_string_escaped(ps, node, text);
        }

        n = travel_utf8_len(ps->p, ps->end);

        if (n < 2) {
            return json_fail(ps, ps->p, (uint8_t) *ps->p < 0x20
                             ? "a control character must be escaped"
                             : "the text is not valid UTF-8");
        }

        ps->p += n;
    }
}


/* The string has an escape at ps->p: from here on it lives in the arena. */
static json_state_e
json_string_escaped(json_parse_t *ps, travel_json_node_t *node,
    const char *text)
{
    char           *out;
    unsigned        n;
    const char     *p;
    travel_json_t  *doc = ps->doc;

    if (ps->out == NULL) {
        if (doc->arena_cap < (size_t) (ps->end - ps->start)) {
            free(doc->arena);
            doc->arena_cap = (size_t) (ps->end - ps->start);
            doc->arena = malloc(doc->arena_cap);

            if (doc->arena == NULL) {
                doc->arena_cap = 0;
                return JSON_NO_MEMORY;
            }
        }

        ps->out = doc->arena;
    }

    out = ps->out;
    p = ps->p;
    ps->p = text;

    for ( ;; ) {
        memcpy(ps->out, ps->p, (size_t) (p - ps->p));
        ps->out += p - ps->p;
        ps->p = p;

        if (p == ps->end) {
            return json_fail(ps, p, "");
        }

        if (*p == '"') {
            node->text.data = out;
            node->text.len = (size_t) (ps->out - out);
            ps->p++;
            return JSON_WANT_MORE;
        }

        if (*p == '\\') {
            if (!json_escape(ps)) {
                return JSON_FAILED;
            }

            p = json_plain_run(ps->p, ps->end);
            continue;
        }

        n = travel_utf8_len(p, ps->end);

        if (n < 2) {
            return json_fail(ps, p, (uint8_t) *p < 0x20
                             ? "a control character must be escaped"
                             : "the text is not valid UTF-8");
        }

        p = json_plain_run(p + n, ps->end);
    }
}


/* Decodes the escape at ps->p to ps->out. */
static bool
json_escape(json_parse_t *ps)
{
    char         c;
    const char  *at = ps->p++;

    if (ps->p == ps->end) {
        json_fail(ps, ps->p, "");
        return false;
    }

    c = *ps->p++;

    switch (c) {
    case '"':
    case '\\':
    case '/':
        break;
    case 'b':
        c = '\b';
        break;
    case 'f':
        c = '\f';
        break;
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case 't':
        c = '\t';
        break;
    case 'u':
        return json_unicode(ps, at);
    default:
        json_fail(ps, at, "this escape is not known to JSON");
        return false;
    }

    *ps->out++ = c;

    return true;
}


static bool
json_unicode(json_parse_t *ps, const char *at)
{
    uint32_t  cp, low;

    if (!json_hex4(ps, &cp)) {
        json_fail(ps, ps->p == ps->end ? ps->end : at,
                  "four hexadecimal digits were expected in this escape");
        return false;
    }

    if (cp >= 0xD800 && cp <= 0xDBFF) {

        if (ps->end - ps->p < 2 || ps->p[0] != '\\' || ps->p[1] != 'u') {
            goto lone;
        }

        ps->p += 2;

        if (!json_hex4(ps, &low) || low < 0xDC00 || low > 0xDFFF) {
            goto lone;
        }

        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);

    } else if (cp >= 0xDC00 && cp <= 0xDFFF) {
        goto lone;
    }

    ps->out += travel_utf8_put(ps->out, cp);

    return true;

lone:

    json_fail(ps, ps->p == ps->end ? ps->end : at,
              "a surrogate must be half of a pair");
    return false;
}


static bool
json_hex4(json_parse_t *ps, uint32_t *cp)
{
    char      c;
    unsigned  i;

    *cp = 0;

    for (i = 0; i < 4; i++) {
        if (ps->p == ps->end) {
            return false;
        }

        c = *ps->p;

        if (c >= '0' && c <= '9') {
            *cp = *cp << 4 | (uint32_t) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            *cp = *cp << 4 | (uint32_t) ((c | 0x20) - 'a' + 10);

        } else {
            return false;
        }

        ps->p++;
    }

    return true;
}


static json_state_e
json_unique(json_parse_t *ps, uint32_t object)
{
    if (ps->doc->nodes[object].count > JSON_SMALL_OBJECT) {
        return json_unique_hashed(ps, object);
    }

    json_unique_small(ps, object);

    return JSON_WANT_MORE;
}


/* Of all duplicates in the text the one that starts first is told; inner
 * objects close before the members after them, so it may come late. */
static inline void
json_duplicate(json_parse_t *ps, uint32_t name)
{
    if (ps->dup == 0 || name < ps->dup) {
        ps->dup = name;
    }
}


static void
json_unique_small(json_parse_t *ps, uint32_t object)
{
    uint32_t                   i, k, n = 0, count, seen[JSON_SMALL_OBJECT];
    uint64_t                   bit, filter = 0;
    travel_str_t               name;
    const travel_json_node_t  *nodes = ps->doc->nodes;

    count = nodes[object].count;

    for (i = object + 1; n < count; i = nodes[i + 1].next) {
        name = nodes[i].text;

        bit = 0;
        if (name.len) {
            bit = name.len * 5 + (uint8_t) name.data[0] * 7u
                  + (uint8_t) name.data[name.len - 1];
        }

        bit = UINT64_C(1) << (bit & 63);

        if (filter & bit) {
            for (k = 0; k < n; k++) {
                if (travel_str_eq(nodes[seen[k]].text, name)) {
                    json_duplicate(ps, i);
                    return;
                }
            }
        }

        filter |= bit;
        seen[n++] = i;
    }
}


static json_state_e
json_unique_hashed(json_parse_t *ps, uint32_t object)
{
    size_t                     want, h;
    uint32_t                   i, *slots;
    json_table_t              *table;
    travel_json_t             *doc = ps->doc;
    const travel_json_node_t  *nodes = doc->nodes;

    for (want = 64; want < (size_t) nodes[object].count * 2; want *= 2) {
        /* void */
    }

    if (doc->slots_cap - doc->nslots < want
        && !json_grow((void **) &doc->slots, &doc->slots_cap,
                      doc->nslots + want, sizeof(doc->slots[0])))
    {
        return JSON_NO_MEMORY;
    }

    if (doc->ntables == doc->tables_cap
        && !json_grow((void **) &doc->tables, &doc->tables_cap,
                      doc->ntables + 1, sizeof(doc->tables[0])))
    {
        return JSON_NO_MEMORY;
    }

    table = &doc->tables[doc->ntables++];
    table->end = nodes[object].next;
    table->object = object;
    table->start = (uint32_t) doc->nslots;
    table->mask = (uint32_t) (want - 1);

    slots = doc->slots + doc->nslots;
    doc->nslots += want;
    memset(slots, 0, want * sizeof(slots[0]));

    for (i = object + 1; i < table->end; i = nodes[i + 1].next) {

        h = json_hash(doc, nodes[i].text) & table->mask;

        while (slots[h]) {
            if (travel_str_eq(nodes[slots[h]].text, nodes[i].text)) {
                json_duplicate(ps, i);
                return JSON_WANT_MORE;
            }

            h = (h + 1) & table->mask;
        }

        slots[h] = i;
    }

    return JSON_WANT_MORE;
}


static void
json_tell(const json_parse_t *ps, travel_json_error_t *err)
{
    const char  *message = ps->message;

    err->pointer[0] = '\0';

    if (message != NULL) {
        err->kind = TRAVEL_E_MALFORMED_JSON;
        err->offset = (size_t) (ps->err_at - ps->start);

    } else {
        err->kind = TRAVEL_E_DUPLICATE_KEY;
        err->offset = ps->doc->nodes[ps->dup].offset;
        message = "this member name appears twice in its object";

        travel_json_pointer(ps->doc, ps->dup, err->pointer,
                            sizeof(err->pointer));
    }

    memcpy(err->message, message, strlen(message) + 1);
}
