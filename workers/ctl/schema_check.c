/* travelctl schema check: judges a document by a JSON Schema as the edge
 * judges the body of a command. */

#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../../common/schema.h"


/* The schema of a file; NULL with a complaint. */
static travel_schema_t *
schema_of(const char *path)
{
    int                     rc;
    char                   *text;
    size_t                  len;
    travel_schema_t        *schema;
    travel_schema_fault_t   fault = { 0 };

    text = ctl_read(path, &len);

    if (text == NULL) {
        return NULL;
    }

    rc = travel_schema_compile(&schema, (travel_str_t) { text, len }, &fault);
    free(text);

    if (rc == TRAVEL_OK) {
        return schema;
    }

    if (rc == TRAVEL_ERROR) {
        ctl_broken("out of memory");

    } else {
        ctl_broken("%s:%zu: %s%s%s", path, fault.line, fault.pointer,
                   fault.pointer[0] ? ": " : "", fault.message);
    }

    return NULL;
}


static int
schema_judge(const travel_schema_t *schema, const travel_json_t *doc,
    travel_schema_run_t *run)
{
    size_t                 n;
    travel_schema_error_t  err;

    switch (travel_schema_check(schema, doc, run, &err, 1, &n)) {

    case TRAVEL_OK:
        return CTL_GOOD;

    case TRAVEL_REFUSED:
        return ctl_refused(TRAVEL_E_VALIDATION_ERROR, err.pointer, "%s",
                           err.message);

    default:
        return ctl_broken("this schema takes too much work on this document");
    }
}


static int
schema_read_and_judge(const travel_schema_t *schema, const char *path,
    travel_json_t *doc, travel_schema_run_t *run)
{
    int                   rc;
    char                  at[32], *text;
    size_t                len;
    travel_json_error_t   err;

    text = ctl_read(path, &len);

    if (text == NULL) {
        return CTL_BROKEN;
    }

    switch (travel_json_parse(doc, (travel_str_t) { text, len },
                              TRAVEL_JSON_DEPTH_DEFAULT, &err))
    {
    case TRAVEL_OK:
        rc = schema_judge(schema, doc, run);
        break;

    case TRAVEL_INVALID:
        snprintf(at, sizeof(at), "@%zu", err.offset);
        rc = ctl_refused(err.kind, err.kind == TRAVEL_E_DUPLICATE_KEY
                         ? err.pointer : at, "%s", err.message);
        break;

    default:
        rc = ctl_broken("%s: out of memory", path);
    }

    free(text);

    return rc;
}


int
travelctl_schema_check(int argc, char **argv)
{
    int                   rc;
    const char           *args[CTL_ARGS_MAX + 1], *formats = "assert";
    travel_json_t        *doc;
    travel_schema_t      *schema;
    travel_schema_run_t  *run;

    const ctl_option_t  options[] = {
        { "formats", CTL_STRING, &formats, "assert|annotate",
          "whether \"format\" refuses (assert)" },
        { .name = NULL }
    };
    const ctl_spec_t    spec = { "schema check SCHEMA INSTANCE",
        "Judges INSTANCE by a JSON Schema (draft 2020-12) as the edge does.\n"
        "One of the two may be \"-\" for standard input.  The reason of a "
        "refusal is one\nline on stderr: CODE pointer message; a byte offset "
        "is written @123.",
        options, 2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (strcmp(args[0], "-") == 0 && strcmp(args[1], "-") == 0) {
        return ctl_broken("only one of SCHEMA and INSTANCE can be \"-\"");
    }

    if (strcmp(formats, "assert") != 0 && strcmp(formats, "annotate") != 0) {
        return ctl_broken("--formats is \"assert\" or \"annotate\"");
    }

    schema = schema_of(args[0]);

    if (schema == NULL) {
        return CTL_BROKEN;
    }

    doc = travel_json_create(0);
    run = travel_schema_run_create();

    if (run != NULL) {
        travel_schema_run_formats(run, strcmp(formats, "assert") == 0);
    }

    rc = doc != NULL && run != NULL
         ? schema_read_and_judge(schema, args[1], doc, run)
         : ctl_broken("out of memory");

    travel_schema_run_free(run);
    travel_json_free(doc);
    travel_schema_free(schema);

    return rc;
}
