/* travelctl trace show: one trace as a tree, from the collector's lines. */

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "ctl.h"

typedef struct {
    json_t    *line;                 /* owned */
    uint64_t   start;
    uint64_t   end;
    bool       shown;
} trace_span_t;

typedef struct {
    trace_span_t  *spans;
    size_t         n;
    size_t         room;
} trace_set_t;


static const char *
trace_text(const trace_span_t *span, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(span->line, name));
    return text != NULL ? text : "";
}


/* Does the line belong to the trace, or name the job? */
static bool
trace_wanted(const json_t *line, const char *id)
{
    json_t      *value;
    const char  *name, *text;

    text = json_string_value(json_object_get(line, "trace_id"));

    if (text != NULL && strcmp(text, id) == 0) {
        return true;
    }

    json_object_foreach(json_object_get(line, "attributes"), name, value) {
        text = json_string_value(value);

        if (text != NULL && strcmp(text, id) == 0) {
            return true;
        }
    }

    return false;
}


static bool
trace_add(trace_set_t *set, json_t *line)
{
    trace_span_t  *more, *span;

    if (set->n == set->room) {
        set->room = set->room != 0 ? set->room * 2 : 64;
        more = realloc(set->spans, set->room * sizeof(trace_span_t));

        if (more == NULL) {
            return false;
        }

        set->spans = more;
    }

    span = &set->spans[set->n++];
    memset(span, 0, sizeof(*span));
    span->line = json_incref(line);
    span->start = strtoull(trace_text(span, "start"), NULL, 10);
    span->end = strtoull(trace_text(span, "end"), NULL, 10);

    return true;
}


/* Reads the file; 'id' is a trace's, or anything a span has as an attribute.
 * In the second case ret_trace gets the trace's id and nothing is collected. */
static bool
trace_read(FILE *f, const char *id, trace_set_t *set, char ret_trace[40])
{
    char         *text;
    bool          good;
    json_t       *line;
    size_t        room;
    const char   *trace;

    text = NULL;
    room = 0;
    good = true;

    while (good && getline(&text, &room, f) != -1) {

        if (strstr(text, id) == NULL) {
            continue;
        }

        line = json_loads(text, 0, NULL);

        if (line != NULL && trace_wanted(line, id)) {
            trace = json_string_value(json_object_get(line, "trace_id"));

            if (trace != NULL && strcmp(trace, id) != 0) {
                snprintf(ret_trace, 40, "%s", trace);
            } else {
                good = trace_add(set, line);
            }
        }

        json_decref(line);
    }

    free(text);
    return good;
}


static int
trace_by_start(const void *a, const void *b)
{
    const trace_span_t  *sa = a, *sb = b;

    return (sa->start > sb->start) - (sa->start < sb->start);
}


static const char *
trace_service(const trace_span_t *span)
{
    const char  *name;

    name = json_string_value(json_object_get(
               json_object_get(span->line, "resource"), "service.name"));
    return name != NULL ? name : "?";
}


static void
trace_print(const trace_span_t *span, unsigned depth, uint64_t zero)
{
    size_t       i;
    json_t      *value, *attributes;

    static const char  *shown[] = {
        "http.response.status_code", "db.response.status_code",
        "messaging.message.id", "travel.cache.status", "error.type"
    };

    printf("%9.3f ms %9.3f ms  %*s%s [%s, %s]",
           (double) (span->start - zero) / 1e6,
           (double) (span->end - span->start) / 1e6, (int) (2 * depth), "",
           trace_text(span, "name"), trace_service(span),
           trace_text(span, "kind"));

    attributes = json_object_get(span->line, "attributes");

    for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        value = json_object_get(attributes, shown[i]);

        if (json_is_string(value)) {
            printf(" %s=%s", shown[i], json_string_value(value));

        } else if (json_is_integer(value)) {
            printf(" %s=%lld", shown[i], (long long) json_integer_value(value));
        }
    }

    if (strcmp(trace_text(span, "status"), "error") == 0) {
        printf(" ERROR %s", trace_text(span, "status_message"));
    }

    putchar('\n');
}


/* The children of a span, in the order they began, each with its own. */
static void
trace_children(trace_set_t *set, const char *parent, unsigned depth)
{
    size_t         i;
    trace_span_t  *span;

    for (i = 0; i < set->n; i++) {
        span = &set->spans[i];

        if (!span->shown
            && strcmp(trace_text(span, "parent_span_id"), parent) == 0)
        {
            span->shown = true;
            trace_print(span, depth, set->spans[0].start);

            if (depth < 100) {
                trace_children(set, trace_text(span, "span_id"), depth + 1);
            }
        }
    }
}


static bool
trace_has(const trace_set_t *set, const char *id)
{
    size_t  i;

    for (i = 0; i < set->n; i++) {
        if (strcmp(trace_text(&set->spans[i], "span_id"), id) == 0) {
            return true;
        }
    }

    return false;
}


static void
trace_show(trace_set_t *set)
{
    size_t         i;
    trace_span_t  *span;

    qsort(set->spans, set->n, sizeof(trace_span_t), trace_by_start);
    printf("trace %s, %zu spans\n", trace_text(&set->spans[0], "trace_id"),
           set->n);

    for (i = 0; i < set->n; i++) {
        span = &set->spans[i];

        /* roots: of the trace, or of what we were told of it */
        if (!span->shown
            && !trace_has(set, trace_text(span, "parent_span_id")))
        {
            span->shown = true;
            trace_print(span, 0, set->spans[0].start);
            trace_children(set, trace_text(span, "span_id"), 1);
        }
    }
}


int
travelctl_trace_show(int argc, char **argv)
{
    int          rc;
    char         trace[40] = "";
    FILE        *f;
    const char  *file = NULL, *args[CTL_ARGS_MAX + 1];
    trace_set_t  set = { .spans = NULL };

    ctl_option_t  options[] = {
        { "file", CTL_STRING, &file, "FILE",
          "the collector's lines (run/traces.jsonl)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "trace show [--file FILE] ID",
                         "ID is a trace's 32 hex digits, or a job's id.  Per "
                         "span: when it began after\nthe first one, how long "
                         "it took.  Exit code 1: nothing is known of it.",
                         options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (file == NULL) {
        file = ctl_run_path("traces.jsonl");
    }

    f = fopen(file, "r");

    if (f == NULL) {
        return ctl_broken("%s cannot be read", file);
    }

    rc = trace_read(f, args[0], &set, trace) ? CTL_GOOD : CTL_BROKEN;

    if (rc == CTL_GOOD && set.n == 0 && trace[0] != '\0') {
        rewind(f);
        rc = trace_read(f, trace, &set, trace) ? CTL_GOOD : CTL_BROKEN;
    }

    fclose(f);

    if (rc == CTL_GOOD && set.n == 0) {
        rc = ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                         "no span of %s is in %s", args[0], file);

    } else if (rc == CTL_GOOD) {
        trace_show(&set);
    }

    while (set.n > 0) {
        json_decref(set.spans[--set.n].line);
    }

    free(set.spans);
    return rc;
}
