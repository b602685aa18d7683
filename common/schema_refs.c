/*
 * $id, $anchor, $dynamicAnchor; $ref and $dynamicRef.
 *
 * Nothing is fetched: a reference leads to a place in the document or the
 * schema cannot be judged.  What it leads to may be a place that no keyword
 * made a schema, so resolving may queue new subschemas, and these may define
 * what others refer to: it goes round until nothing is left or nothing moves.
 */

#include <stdlib.h>

#include "schema_parts.h"

static bool schema_resolve_one(schema_compile_t *cc, schema_ref_t *ref,
    bool last);


static travel_str_t
schema_member_text(schema_compile_t *cc, uint32_t json, const char *name,
    uint32_t *ret_value)
{
    travel_str_t               s = { name, strlen(name) };
    const travel_json_node_t  *v;

    v = travel_json_member(cc->schema->doc, json, s);

    if (v == NULL || v->type != TRAVEL_JSON_STRING) {
        return TRAVEL_NULL_STR;       /* its handler complains about a type */
    }

    *ret_value = (uint32_t) (v - cc->json);

    return v->text;
}


/* A copy of the URI 'ref' made absolute against 'base'. */
static travel_str_t
schema_absolute(schema_compile_t *cc, travel_str_t base, travel_str_t ref)
{
    char  *p;

    p = schema_alloc(cc, base.len + ref.len + 4);
    if (p == NULL) {
        return TRAVEL_NULL_STR;
    }

    return (travel_str_t) { p, schema_uri_resolve(p, base, ref) };
}


static void
schema_identify_resource(schema_compile_t *cc, uint32_t json)
{
    uint32_t            value = 0, i;
    const char         *hash;
    travel_str_t        id, uri;
    schema_node_t      *node = &cc->schema->nodes[json];
    travel_schema_t    *schema = cc->schema;

    id = schema_member_text(cc, json, "$id", &value);
    if (id.data == NULL) {
        return;
    }

    hash = memchr(id.data, '#', id.len);
    if (hash && hash != id.data + id.len - 1) {
        schema_fault(cc, TRAVEL_INVALID, value,
                     "an \"$id\" must not have a fragment; use \"$anchor\"");
        return;
    }

    uri = schema_absolute(cc, schema->resources[node->resource].uri, id);
    if (uri.data == NULL) {
        return;
    }

    if (json == 0) {
        schema->resources[0].uri = uri;
        return;
    }

    for (i = 0; i < schema->nresources; i++) {
        if (travel_str_eq(schema->resources[i].uri, uri)) {
            schema_fault(cc, TRAVEL_INVALID, value,
                         "this \"$id\" is there twice");
            return;
        }
    }

    if (schema_array_grow(cc, (void **) &schema->resources,
                          schema->nresources, &schema->resources_cap,
                          sizeof(schema->resources[0])))
    {
        node->resource = schema->nresources;
        schema->resources[schema->nresources].root = json;
        schema->resources[schema->nresources].uri = uri;
        schema->nresources++;
    }
}


static const schema_anchor_t *
schema_anchor_find(const travel_schema_t *schema, uint32_t resource,
    travel_str_t name)
{
    uint32_t  i;

    for (i = 0; i < schema->nanchors; i++) {
        if (schema->anchors[i].resource == resource
            && travel_str_eq(schema->anchors[i].name, name))
        {
            return &schema->anchors[i];
        }
    }

    return NULL;
}


static bool
schema_anchor_name(travel_str_t name)
{
    size_t  i;
    char    c;

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if (!((uint8_t) ((c | 0x20) - 'a') < 26 || c == '_'
              || (i && ((uint8_t) (c - '0') < 10 || c == '-' || c == '.'))))
        {
            return false;
        }
    }

    return name.len != 0;
}


static void
schema_identify_anchor(schema_compile_t *cc, uint32_t json, bool dynamic)
{
    uint32_t          value = 0;
    travel_str_t      name;
    travel_schema_t  *schema = cc->schema;
    schema_anchor_t  *anchor;

    name = schema_member_text(cc, json,
                              dynamic ? "$dynamicAnchor" : "$anchor", &value);
    if (name.data == NULL) {
        return;
    }

    if (!schema_anchor_name(name)) {
        schema_fault(cc, TRAVEL_INVALID, value,
                     "an anchor is a letter or _ and then letters, digits, "
                     "'-', '_' and '.'");
        return;
    }

    anchor = (schema_anchor_t *)
                 schema_anchor_find(schema, schema->nodes[json].resource,
                                    name);

    if (anchor && anchor->schema == json) {
        anchor->dynamic |= dynamic;   /* the same name as both is fine */
        return;
    }

    if (anchor) {
        schema_fault(cc, TRAVEL_INVALID, value, "this anchor is there twice");
        return;
    }

    if (schema_array_grow(cc, (void **) &schema->anchors, schema->nanchors,
                          &schema->anchors_cap, sizeof(*anchor)))
    {
        anchor = &schema->anchors[schema->nanchors++];
        anchor->resource = schema->nodes[json].resource;
        anchor->schema = json;
        anchor->name = name;
        anchor->dynamic = dynamic;
    }
}


void
schema_refs_identify(schema_compile_t *cc, uint32_t json)
{
    schema_identify_resource(cc, json);

    if (cc->rc == TRAVEL_OK) {
        schema_identify_anchor(cc, json, false);
    }

    if (cc->rc == TRAVEL_OK) {
        schema_identify_anchor(cc, json, true);
    }
}


void
schema_refs_add(schema_compile_t *cc, uint32_t json, uint32_t value,
    bool dynamic)
{
    schema_ref_t  *ref;

    if (schema_array_grow(cc, (void **) &cc->refs, cc->nrefs, &cc->refs_cap,
                          sizeof(*ref)))
    {
        ref = &cc->refs[cc->nrefs++];
        ref->schema = json;
        ref->value = value;
        ref->dynamic = dynamic;
        ref->done = false;
    }
}


void
schema_refs_resolve(schema_compile_t *cc)
{
    bool      moved = true, last = false;
    uint32_t  i, left = 1;

    while (left && cc->rc == TRAVEL_OK) {

        last = !moved;                /* nothing new: now say which and why */
        moved = false;
        left = 0;

        for (i = 0; i < cc->nrefs && cc->rc == TRAVEL_OK; i++) {

            if (cc->refs[i].done) {
                continue;
            }

            cc->refs[i].done = schema_resolve_one(cc, &cc->refs[i], last);
            moved |= cc->refs[i].done;
            left += !cc->refs[i].done;

            schema_compile_queued(cc);
        }
    }
}


static int
schema_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
           : -1;
}


/* Percent-decoding; data NULL when it is broken or memory ran out. */
static travel_str_t
schema_unescape(schema_compile_t *cc, travel_str_t s)
{
    char    *p, *q;
    size_t   i;

    p = q = schema_alloc(cc, s.len + 1);
    if (p == NULL) {
        return TRAVEL_NULL_STR;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] != '%') {
            *q++ = s.data[i];
            continue;
        }

        if (s.len - i < 3 || schema_hex(s.data[i + 1]) < 0
            || schema_hex(s.data[i + 2]) < 0)
        {
            return TRAVEL_NULL_STR;
        }

        *q++ = (char) (schema_hex(s.data[i + 1]) * 16
                       + schema_hex(s.data[i + 2]));
        i += 2;
    }

    return (travel_str_t) { p, (size_t) (q - p) };
}


/* One reference token of a JSON pointer: from the container at 'json' to the
 * child, or SCHEMA_NONE. */
static uint32_t
schema_step_into(schema_compile_t *cc, uint32_t json, travel_str_t token)
{
    char                       name[512];
    size_t                     i, n = 0;
    uint32_t                   k, child;
    uint64_t                   index = 0;
    const travel_json_node_t  *v;

    if (token.len > sizeof(name)) {
        return SCHEMA_NONE;
    }

    if (cc->json[json].type == TRAVEL_JSON_ARRAY) {

        for (i = 0; i < token.len && i < 10; i++) {
            if ((uint8_t) (token.data[i] - '0') > 9) {
                return SCHEMA_NONE;
            }

            index = index * 10 + (uint64_t) (token.data[i] - '0');
        }

        if (token.len == 0 || i < token.len || index >= cc->json[json].count
            || (token.data[0] == '0' && token.len > 1))
        {
            return SCHEMA_NONE;
        }

        for (k = 0, child = json + 1; k < index; k++) {
            child = cc->json[child].next;
        }

        return child;
    }

    for (i = 0; i < token.len; i++) {
        name[n] = token.data[i];

        if (token.data[i] == '~') {
            if (++i == token.len
                || (token.data[i] != '0' && token.data[i] != '1'))
            {
                return SCHEMA_NONE;
            }

            name[n] = token.data[i] == '0' ? '~' : '/';
        }

        n++;
    }

    v = travel_json_member(cc->schema->doc, json,
                           (travel_str_t) { name, n });

    return v ? (uint32_t) (v - cc->json) : SCHEMA_NONE;
}


/* The node a JSON pointer leads to from 'root', made a schema if it was none;
 * it belongs to the resource of the nearest schema around it. */
static uint32_t
schema_follow(schema_compile_t *cc, uint32_t root, travel_str_t pointer)
{
    size_t         i, start;
    uint32_t       at = root, resource = cc->schema->nodes[root].resource;
    travel_str_t   token;

    for (i = 0; i < pointer.len; ) {

        for (start = ++i; i < pointer.len && pointer.data[i] != '/'; i++) {
            /* void */
        }

        token.data = pointer.data + start;
        token.len = i - start;

        at = schema_step_into(cc, at, token);
        if (at == SCHEMA_NONE) {
            return SCHEMA_NONE;
        }

        if (cc->schema->nodes[at].kind != SCHEMA_UNSEEN) {
            resource = cc->schema->nodes[at].resource;
        }
    }

    schema_request(cc, at, resource, "$ref");

    return at;
}


static uint32_t
schema_resource_find(const travel_schema_t *schema, travel_str_t uri)
{
    uint32_t  i;

    for (i = 0; i < schema->nresources; i++) {
        if (travel_str_eq(schema->resources[i].uri, uri)) {
            return i;
        }
    }

    return SCHEMA_NONE;
}


static bool
schema_resolve_one(schema_compile_t *cc, schema_ref_t *ref, bool last)
{
    uint32_t                resource, to = SCHEMA_NONE;
    const char             *hash;
    travel_str_t            text, uri, fragment = TRAVEL_NULL_STR;
    schema_node_t          *node = &cc->schema->nodes[ref->schema];
    const schema_anchor_t  *anchor = NULL;

    text = cc->json[ref->value].text;
    hash = memchr(text.data, '#', text.len);
    uri = text;
    resource = node->resource;

    if (hash) {
        uri.len = (size_t) (hash - text.data);
        fragment.data = hash + 1;
        fragment.len = text.len - uri.len - 1;
        fragment = schema_unescape(cc, fragment);
    }

    if (uri.len) {
        uri = schema_absolute(cc, cc->schema->resources[resource].uri, uri);
        resource = uri.data ? schema_resource_find(cc->schema, uri)
                            : SCHEMA_NONE;
    }

    if (cc->rc != TRAVEL_OK) {
        return false;
    }

    if (resource == SCHEMA_NONE) {
        if (last) {
            schema_fault(cc, TRAVEL_UNKNOWN, ref->value, "this reference "
                         "leaves the document; move what it refers to into "
                         "\"$defs\"");
        }

        return false;
    }

    if (fragment.len == 0) {
        to = cc->schema->resources[resource].root;

    } else if (fragment.data[0] == '/') {
        to = schema_follow(cc, cc->schema->resources[resource].root, fragment);

    } else {
        anchor = schema_anchor_find(cc->schema, resource, fragment);
        to = anchor ? anchor->schema : SCHEMA_NONE;
    }

    if (to == SCHEMA_NONE || (hash && fragment.data == NULL)) {
        if (last) {
            schema_fault(cc, TRAVEL_UNKNOWN, ref->value,
                         "there is nothing in the schema at this reference");
        }

        return false;
    }

    if (!ref->dynamic) {
        node->logic->ref = to;
        return true;
    }

    node->logic->dynamic = to;

    if (anchor && anchor->dynamic) {
        node->logic->dynamic_name = anchor->name;
    }

    return true;
}


uint32_t
schema_refs_dynamic(const travel_schema_t *schema, uint32_t resource,
    travel_str_t name)
{
    const schema_anchor_t  *anchor;

    anchor = schema_anchor_find(schema, resource, name);

    return anchor && anchor->dynamic ? anchor->schema : SCHEMA_NONE;
}


/* The k-th subschema that 'node' applies to the very instance it is applied
 * to; false past the last, SCHEMA_NONE for a gap. */
static bool
schema_same_place(const travel_schema_t *schema, const schema_node_t *node,
    uint32_t k, uint32_t *to)
{
    size_t                 i;
    const schema_logic_t  *l = node->logic;

    *to = SCHEMA_NONE;

    if (node->object) {
        if (k < node->object->ndependents) {
            *to = node->object->dependents[k].schema;
            return true;
        }

        k -= node->object->ndependents;
    }

    if (l == NULL) {
        return false;
    }

    const uint32_t  single[] = { l->ref, l->dynamic, l->not, l->if_, l->then,
                                 l->else_ };
    const schema_list_t  *lists[] = { &l->all, &l->any, &l->one };

    if (k < sizeof(single) / sizeof(single[0])) {
        *to = single[k];
        return true;
    }

    k -= sizeof(single) / sizeof(single[0]);

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (k < lists[i]->n) {
            *to = lists[i]->v[k];
            return true;
        }

        k -= lists[i]->n;
    }

    if (l->dynamic_name.data && k < schema->nanchors) {
        if (schema->anchors[k].dynamic
            && travel_str_eq(schema->anchors[k].name, l->dynamic_name))
        {
            *to = schema->anchors[k].schema;
        }

        return true;
    }

    return false;
}


/*
 * A chain of subschemas that comes back to its start without a step into the
 * instance would never end, so there must be none.  This is what bounds the
 * runner's depth: below each instance node it meets a subschema once at most.
 */
void
schema_refs_loops(schema_compile_t *cc)
{
    uint8_t          *state;          /* 1 on the way, 2 done */
    uint32_t         *path, *edge, top, to;
    size_t            i;
    travel_schema_t  *schema = cc->schema;

    if (cc->rc != TRAVEL_OK) {
        return;
    }

    state = calloc(schema->n, 1);
    path = malloc(schema->n * sizeof(path[0]));
    edge = malloc(schema->n * sizeof(edge[0]));

    if (state == NULL || path == NULL || edge == NULL) {
        cc->rc = TRAVEL_ERROR;
    }

    for (i = 0; i < schema->n && cc->rc == TRAVEL_OK; i++) {

        if (schema->nodes[i].kind != SCHEMA_RULES || state[i]) {
            continue;
        }

        top = 0;
        path[0] = (uint32_t) i;
        edge[0] = 0;
        state[i] = 1;

        for ( ;; ) {
            if (!schema_same_place(schema, &schema->nodes[path[top]],
                                   edge[top]++, &to))
            {
                state[path[top]] = 2;

                if (top-- == 0) {
                    break;
                }

                continue;
            }

            if (to == SCHEMA_NONE || state[to] == 2) {
                continue;
            }

            if (state[to] == 1) {
                schema_fault(cc, TRAVEL_INVALID, path[top],
                             "these references run in a circle without going "
                             "deeper into the instance");
                break;
            }

            state[to] = 1;
            path[++top] = to;
            edge[top] = 0;
        }
    }

    free(state);
    free(path);
    free(edge);
}
