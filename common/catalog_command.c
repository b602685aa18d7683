/* A command file: JSON, with the schema of the body inside. */

#include <stdio.h>
#include <stdlib.h>

#include "catalog_parts.h"
#include "errors.h"
#include "json.h"

#define TRAVEL_COMMAND_PENDING_MAX  16
#define TRAVEL_COMMAND_SEALED_NAME  64

typedef struct {
    travel_command_t            *command;
    travel_json_t               *doc;
    const travel_json_node_t    *nodes;
    travel_str_t                 text;
    travel_catalog_place_t       place;
} travel_command_file_t;


void
travel_command_free(travel_command_t *command)
{
    size_t  i;

    if (command == NULL) {
        return;
    }

    for (i = 0; command->pending != NULL && command->pending[i]; i++) {
        free(command->pending[i]);
    }

    for (i = 0; i < command->nsealed; i++) {
        free(command->sealed[i]);
    }

    free(command->pending);
    free(command->type);
    free(command->file);
    free(command->queue);
    free(command->aggregate);
    free(command->resource);
    free(command->key);
    free(command->accepted);
    travel_schema_free(command->schema);
    free(command);
}


static size_t
travel_command_line(const travel_command_file_t *f, size_t offset)
{
    size_t  i, line = 1;

    for (i = 0; i < offset && i < f->text.len; i++) {
        line += f->text.data[i] == '\n';
    }

    return line;
}


static void
travel_command_at(travel_command_file_t *f, const travel_json_node_t *node)
{
    f->place.line = travel_command_line(f, node != NULL ? node->offset : 0);
}


/* The member by name, checked for its type; NULL and TRAVEL_OK: absent. */

static int
travel_command_member(travel_command_file_t *f, const char *name,
    travel_json_type_e type, bool required, const travel_json_node_t **ret_node)
{
    const travel_json_node_t  *node;

    node = travel_json_member(f->doc, 0, (travel_str_t) { name, strlen(name) });

    if (node == NULL && required) {
        f->place.line = 0;
        return travel_catalog_fault(&f->place, "member \"%s\" is missing; add "
                                    "it", name);
    }

    if (node != NULL && node->type != type) {
        travel_command_at(f, node);
        return travel_catalog_fault(&f->place, "member \"%s\" must be %s", name,
                                    type == TRAVEL_JSON_STRING ? "a string"
                                                               : "an object");
    }

    *ret_node = node;

    return TRAVEL_OK;
}


static int
travel_command_string(travel_command_file_t *f, const char *name,
    bool required, char **ret_text)
{
    int                        rc;
    const travel_json_node_t  *node;

    rc = travel_command_member(f, name, TRAVEL_JSON_STRING, required, &node);
    if (rc != TRAVEL_OK || node == NULL) {
        return rc;
    }

    travel_command_at(f, node);

    if (node->text.len == 0 || memchr(node->text.data, 0, node->text.len)) {
        return travel_catalog_fault(&f->place, "member \"%s\" must be text",
                                    name);
    }

    *ret_text = travel_catalog_copy(node->text);

    return *ret_text != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static int
travel_command_known(travel_command_file_t *f)
{
    size_t     i, m;
    uint32_t   at = 1;

    static const travel_str_t  known[] = {
        { "type", 4 }, { "queue", 5 }, { "priority", 8 }, { "aggregate", 9 },
        { "creates", 7 }, { "resource", 8 }, { "key", 3 }, { "deadline", 8 },
        { "pending", 7 }, { "accepted", 8 }, { "result", 6 },
        { "batches", 7 }, { "schema", 6 }, { "description", 11 }
    };

    for (m = 0; m < f->nodes[0].count; m++) {

        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (travel_str_eq(known[i], f->nodes[at].text)) {
                break;
            }
        }

        if (i == sizeof(known) / sizeof(known[0])) {
            travel_command_at(f, &f->nodes[at]);
            return travel_catalog_fault(&f->place, "member \"%.*s\" is not "
                                        "known; use type, queue, priority, "
                                        "aggregate, creates, resource, key, "
                                        "deadline, pending, accepted, "
                                        "result, batches, schema or "
                                        "description",
                                        (int) f->nodes[at].text.len,
                                        f->nodes[at].text.data);
        }

        at = f->nodes[at + 1].next;
    }

    return TRAVEL_OK;
}


static int
travel_command_type(travel_command_file_t *f, const char *type)
{
    int  rc;

    rc = travel_command_string(f, "type", true, &f->command->type);

    if (rc == TRAVEL_OK && strcmp(f->command->type, type) != 0) {
        return travel_catalog_fault(&f->place, "type \"%s\" must be that of "
                                    "the file's name, \"%s\"",
                                    f->command->type, type);
    }

    return rc;
}


/* What the edge's login cannot write may not be promised to a client. */

static int
travel_command_queue(travel_command_file_t *f)
{
    int           rc;
    travel_str_t  name;

    rc = travel_command_string(f, "queue", true, &f->command->queue);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    name = (travel_str_t) { f->command->queue, strlen(f->command->queue) };

    if (!travel_queue_exists(name)) {
        return travel_catalog_fault(&f->place, "there is no queue \"%s\"; use "
                                    "journey, booking, ai, content or account",
                                    name.data);
    }

    if (travel_queue_internal(name)) {
        return travel_catalog_fault(&f->place, "queue \"%s\" is internal: "
                                    "workers alone write it; use another",
                                    name.data);
    }

    return TRAVEL_OK;
}


static int
travel_command_priority(travel_command_file_t *f)
{
    int    rc;
    char  *name = NULL;

    f->command->priority = TRAVEL_PRIORITY_NORMAL;
    rc = travel_command_string(f, "priority", false, &name);

    if (rc == TRAVEL_OK && name != NULL
        && travel_priority_parse(&f->command->priority,
                                 (travel_str_t) { name, strlen(name) })
           != TRAVEL_OK)
    {
        rc = travel_catalog_fault(&f->place, "priority must be high, normal "
                                  "or low");
    }

    free(name);

    return rc;
}


static int
travel_command_flag(travel_command_file_t *f, const char *name, bool *ret_flag)
{
    const travel_json_node_t  *node;

    node = travel_json_member(f->doc, 0, (travel_str_t) { name, strlen(name) });
    travel_command_at(f, node);

    if (node != NULL && node->type != TRAVEL_JSON_TRUE
        && node->type != TRAVEL_JSON_FALSE)
    {
        return travel_catalog_fault(&f->place, "member \"%s\" must be true or "
                                    "false", name);
    }

    *ret_flag = node != NULL && node->type == TRAVEL_JSON_TRUE;

    return TRAVEL_OK;
}


static int
travel_command_creates(travel_command_file_t *f)
{
    int    rc;
    char  *resource;

    rc = travel_command_flag(f, "creates", &f->command->creates);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    rc = travel_command_string(f, "resource", false, &f->command->resource);
    if (rc != TRAVEL_OK || f->command->resource == NULL) {
        return rc;
    }

    resource = f->command->resource;

    if (resource[0] != '/' || resource[strlen(resource) - 1] != '/') {
        return travel_catalog_fault(&f->place, "resource must be a path that "
                                    "starts and ends with '/': the id is put "
                                    "behind it");
    }

    if (!f->command->creates) {
        return travel_catalog_fault(&f->place, "resource needs \"creates\": "
                                    "true");
    }

    return TRAVEL_OK;
}


static int
travel_command_deadline(travel_command_file_t *f)
{
    int    rc;
    char  *text = NULL;

    rc = travel_command_string(f, "deadline", false, &text);

    if (rc == TRAVEL_OK && text != NULL
        && (travel_catalog_duration(&f->command->deadline_ms,
                                    (travel_str_t) { text, strlen(text) })
            != TRAVEL_OK || f->command->deadline_ms == 0))
    {
        rc = travel_catalog_fault(&f->place, "deadline must be a duration "
                                  "like 30s or 5m");
    }

    free(text);

    return rc;
}


static int
travel_command_result(travel_command_file_t *f)
{
    int    rc;
    char  *word = NULL;

    rc = travel_command_string(f, "result", false, &word);

    if (rc == TRAVEL_OK && word != NULL) {
        f->command->once = strcmp(word, "once") == 0;

        if (!f->command->once) {
            rc = travel_catalog_fault(&f->place, "result must be \"once\", or "
                                      "left out: then it is kept with the "
                                      "job");
        }
    }

    free(word);

    return rc;
}


/* Whether the schema's own properties, where it lists any, have the member. */

static bool
travel_command_in_schema(const travel_command_file_t *f, travel_str_t member)
{
    const travel_json_node_t  *schema, *properties;

    schema = travel_json_member(f->doc, 0, TRAVEL_STR("schema"));
    properties = travel_json_member(f->doc, (uint32_t) (schema - f->nodes),
                                    TRAVEL_STR("properties"));

    if (properties == NULL || properties->type != TRAVEL_JSON_OBJECT) {
        return true;
    }

    return travel_json_member(f->doc, (uint32_t) (properties - f->nodes),
                              member) != NULL;
}


static int
travel_command_key(travel_command_file_t *f)
{
    int            rc;
    travel_str_t   key;

    rc = travel_command_string(f, "key", false, &f->command->key);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    if (f->command->key == NULL) {
        f->command->key = travel_catalog_copy(TRAVEL_STR("id"));
        return f->command->key != NULL ? TRAVEL_OK : TRAVEL_ERROR;
    }

    key = (travel_str_t) { f->command->key, strlen(f->command->key) };

    if (!travel_str_eq(key, TRAVEL_STR("id"))
        && !travel_command_in_schema(f, key))
    {
        return travel_catalog_fault(&f->place, "key \"%s\" is no member of the "
                                    "schema; name one, or \"id\"", key.data);
    }

    return TRAVEL_OK;
}


static int
travel_command_pending(travel_command_file_t *f)
{
    int                        rc;
    size_t                     m;
    uint32_t                   at;
    const travel_json_node_t  *node, *name;

    rc = travel_command_member(f, "pending", TRAVEL_JSON_OBJECT, false, &node);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    f->command->pending = calloc(TRAVEL_COMMAND_PENDING_MAX + 1,
                                 sizeof(char *));
    if (f->command->pending == NULL) {
        return TRAVEL_ERROR;
    }

    if (node == NULL) {
        return TRAVEL_OK;
    }

    at = (uint32_t) (node - f->nodes) + 1;

    for (m = 0; m < node->count; m++) {
        name = &f->nodes[at];
        travel_command_at(f, name);

        if (m == TRAVEL_COMMAND_PENDING_MAX
            || name[1].type != TRAVEL_JSON_TRUE
            || memchr(name->text.data, 0, name->text.len) != NULL
            || !travel_command_in_schema(f, name->text))
        {
            return travel_catalog_fault(&f->place, "pending: \"%.*s\" must be "
                                        "a member of the schema, with the "
                                        "value true; %d at most",
                                        (int) name->text.len, name->text.data,
                                        TRAVEL_COMMAND_PENDING_MAX);
        }

        f->command->pending[m] = travel_catalog_copy(name->text);
        if (f->command->pending[m] == NULL) {
            return TRAVEL_ERROR;
        }

        at = f->nodes[at + 1].next;
    }

    return TRAVEL_OK;
}


static int
travel_command_schema(travel_command_file_t *f)
{
    int                        rc;
    travel_schema_fault_t      fault = { 0 };
    const travel_json_node_t  *node;

    rc = travel_command_member(f, "schema", TRAVEL_JSON_OBJECT, true, &node);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    rc = travel_schema_compile(&f->command->schema, node->text, &fault);

    if (rc == TRAVEL_OK || rc == TRAVEL_ERROR) {
        return rc;
    }

    travel_command_at(f, node);
    f->place.line += fault.line ? fault.line - 1 : 0;

    return travel_catalog_fault(&f->place, "schema %s%s%s", fault.pointer,
                                fault.pointer[0] ? ": " : "", fault.message);
}


static bool
travel_command_seals(const travel_command_t *command, travel_str_t member)
{
    size_t  i;

    for (i = 0; i < command->nsealed; i++) {
        if (travel_str_eq(member, (travel_str_t) { command->sealed[i],
                                           strlen(command->sealed[i]) }))
        {
            return true;
        }
    }

    return false;
}


/* Their names go along with the command, with a space between them. */

static bool
travel_command_sealable(travel_str_t member)
{
    size_t  i;
    char    c;

    for (i = 0; i < member.len; i++) {
        c = member.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
        {
            return false;
        }
    }

    return member.len > 0 && member.len <= TRAVEL_COMMAND_SEALED_NAME;
}


static int
travel_command_sealed(travel_command_file_t *f)
{
    size_t             i;
    char              *copy;
    travel_str_t       member;
    travel_command_t  *command = f->command;

    travel_command_at(f, travel_json_member(f->doc, 0, TRAVEL_STR("schema")));

    if (travel_schema_seals_astray(command->schema)) {
        return travel_catalog_fault(&f->place, "\"x-sealed\": true is for "
                                    "the members in the schema's own "
                                    "\"properties\" (also by allOf and $ref);"
                                    " elsewhere it would seal nothing: move "
                                    "it there");
    }

    for (i = 0; travel_schema_seals(command->schema, i, &member); i++) {

        if (travel_command_seals(command, member)) {
            continue;
        }

        if (!travel_command_sealable(member)
            || command->nsealed == TRAVEL_COMMAND_SEALED_MAX)
        {
            return travel_catalog_fault(&f->place, "sealed member \"%.*s\" "
                                        "must have a name of at most %d "
                                        "letters, digits, '_', '-' and '.'; "
                                        "%d members at most are sealed",
                                        (int) member.len, member.data,
                                        TRAVEL_COMMAND_SEALED_NAME,
                                        TRAVEL_COMMAND_SEALED_MAX);
        }

        copy = travel_catalog_copy(member);
        if (copy == NULL) {
            return TRAVEL_ERROR;
        }

        command->sealed[command->nsealed++] = copy;
    }

    return TRAVEL_OK;
}


/* What is sealed is not to be told otherwise. */

static int
travel_command_secret(travel_command_file_t *f)
{
    size_t             i;
    const char        *told;
    travel_command_t  *command = f->command;

    told = travel_command_seals(command, (travel_str_t) { command->key,
                                                  strlen(command->key) })
           ? command->key : NULL;

    for (i = 0; told == NULL && command->pending[i]; i++) {
        if (travel_command_seals(command, (travel_str_t) { command->pending[i],
                                              strlen(command->pending[i]) }))
        {
            told = command->pending[i];
        }
    }

    if (told == NULL) {
        return TRAVEL_OK;
    }

    travel_command_at(f, travel_json_member(f->doc, 0, TRAVEL_STR("schema")));

    return travel_catalog_fault(&f->place, "member \"%s\" is sealed, so it "
                                "cannot be the key or be echoed while "
                                "pending: name another there", told);
}


/* Many in one job: each is a new aggregate, and nobody else is told of it. */

static int
travel_command_batches(travel_command_file_t *f)
{
    int  rc;

    rc = travel_command_flag(f, "batches", &f->command->batches);

    if (rc == TRAVEL_OK && f->command->batches
        && (!f->command->creates || f->command->nsealed > 0
            || f->command->pending[0] != NULL
            || strcmp(f->command->key, "id") != 0))
    {
        return travel_catalog_fault(&f->place, "\"batches\": true is for "
                                    "commands that create, under the new id as "
                                    "key, with no member sealed or pending");
    }

    return rc;
}


static int
travel_command_fill(travel_command_file_t *f, const char *type)
{
    int  rc;

    f->command->file = travel_catalog_copy((travel_str_t) {
                           f->place.file, strlen(f->place.file) });
    if (f->command->file == NULL) {
        return TRAVEL_ERROR;
    }

    rc = travel_command_known(f);

    /* the schema comes first: key and pending look into it */

    if (rc == TRAVEL_OK) { rc = travel_command_schema(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_sealed(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_type(f, type); }
    if (rc == TRAVEL_OK) { rc = travel_command_queue(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_priority(f); }
    if (rc == TRAVEL_OK) {
        rc = travel_command_string(f, "aggregate", true,
                                   &f->command->aggregate);
    }
    if (rc == TRAVEL_OK) { rc = travel_command_creates(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_key(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_deadline(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_result(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_pending(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_secret(f); }
    if (rc == TRAVEL_OK) { rc = travel_command_batches(f); }
    if (rc == TRAVEL_OK) {
        rc = travel_command_string(f, "accepted", false,
                                   &f->command->accepted);
    }

    return rc;
}


static int
travel_command_json(travel_command_file_t *f)
{
    int                  rc;
    travel_json_error_t  err;

    rc = travel_json_parse(f->doc, f->text, 0, &err);

    if (rc == TRAVEL_INVALID) {
        f->place.line = travel_command_line(f, err.offset);
        return travel_catalog_fault(&f->place, "is not the JSON it should be: "
                                    "%s%s%s", err.message,
                                    err.kind == TRAVEL_E_DUPLICATE_KEY
                                    ? " at " : "",
                                    err.kind == TRAVEL_E_DUPLICATE_KEY
                                    ? err.pointer : "");
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    f->nodes = travel_json_nodes(f->doc);

    if (f->nodes[0].type != TRAVEL_JSON_OBJECT) {
        f->place.line = 1;
        return travel_catalog_fault(&f->place, "a command file must be a JSON "
                                    "object");
    }

    return TRAVEL_OK;
}


int
travel_command_parse(travel_command_t **ret_command, const char *type,
    const char *file, travel_str_t text, travel_catalog_fault_t *ret_fault)
{
    int                    rc = TRAVEL_ERROR;
    travel_command_file_t  f = { 0 };

    f.text = text;
    f.place.file = file;
    f.place.fault = ret_fault;
    f.doc = travel_json_create(text.len);
    f.command = calloc(1, sizeof(travel_command_t));

    if (f.doc != NULL && f.command != NULL) {
        rc = travel_command_json(&f);
    }

    if (rc == TRAVEL_OK) {
        rc = travel_command_fill(&f, type);
    }

    travel_json_free(f.doc);

    if (rc != TRAVEL_OK) {
        travel_command_free(f.command);
        return rc;
    }

    *ret_command = f.command;

    return TRAVEL_OK;
}
