/* Options of travelctl's commands: tables of rows, their help and checks. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../../common/ids.h"
#include "../../common/timestamp.h"


static void
ctl_help(const ctl_spec_t *spec)
{
    char                 left[64];
    const ctl_option_t  *o;

    printf("usage: travelctl %s\n\n%s\n", spec->usage, spec->about);

    if (spec->options == NULL || spec->options->name == NULL) {
        return;
    }

    printf("\noptions:\n");

    for (o = spec->options; o->name != NULL; o++) {
        snprintf(left, sizeof(left), "--%s %s", o->name,
                 o->arg != NULL ? o->arg : "");
        printf("  %-26s %s\n", left, o->help);
    }
}


static bool
ctl_number(const char *text, long *ret_n, const char **ret_rest)
{
    long   n;
    char  *end;

    if (*text < '0' || *text > '9') {
        return false;
    }

    errno = 0;
    n = strtol(text, &end, 10);

    if (errno != 0) {
        return false;
    }

    *ret_n = n;
    *ret_rest = end;
    return true;
}


static bool
ctl_seconds(const char *text, long *ret_n)
{
    long         n, unit;
    const char  *rest;

    if (!ctl_number(text, &n, &rest)) {
        return false;
    }

    switch (*rest) {
    case '\0':
    case 's':
        unit = 1;
        break;
    case 'm':
        unit = 60;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'd':
        unit = 86400;
        break;
    default:
        return false;
    }

    if ((rest[0] != '\0' && rest[1] != '\0') || n > 1000000000L / unit) {
        return false;
    }

    *ret_n = n * unit;
    return true;
}


static bool
ctl_is_uuid(const char *text)
{
    travel_uuid_t  uuid;

    return travel_uuid_parse(&uuid, (travel_str_t) { text, strlen(text) })
           == TRAVEL_OK;
}


static bool
ctl_is_instant(const char *text)
{
    int64_t  ms;

    return travel_timestamp_parse(&ms, (travel_str_t) { text, strlen(text) })
           == TRAVEL_OK;
}


/* What an option's value should have been. */
static const char *
ctl_advice(ctl_kind_e kind)
{
    switch (kind) {
    case CTL_SECONDS:
        return ": write 90s, 15m, 12h or 7d";
    case CTL_UUID:
        return ": it is a UUID";
    case CTL_INSTANT:
        return ": write a time with its offset, like 2026-05-01T12:00:00Z";
    default:
        return "";
    }
}


static bool
ctl_store(const ctl_option_t *o, const char *text)
{
    long         n;
    const char  *rest;

    switch (o->kind) {

    case CTL_STRING:
        *(const char **) o->value = text;
        return true;

    case CTL_NUMBER:
        if (!ctl_number(text, &n, &rest) || *rest != '\0') {
            break;
        }

        *(long *) o->value = n;
        return true;

    case CTL_SECONDS:
        if (!ctl_seconds(text, &n)) {
            break;
        }

        *(long *) o->value = n;
        return true;

    case CTL_UUID:
    case CTL_INSTANT:
        if (o->kind == CTL_UUID ? !ctl_is_uuid(text) : !ctl_is_instant(text)) {
            break;
        }

        *(const char **) o->value = text;
        return true;

    case CTL_FLAG:
        *(bool *) o->value = true;
        return true;
    }

    ctl_broken("--%s does not take \"%s\"%s", o->name, text,
               ctl_advice(o->kind));
    return false;
}


bool
ctl_uuid(const char *text, const char *what)
{
    if (ctl_is_uuid(text)) {
        return true;
    }

    ctl_broken("\"%s\" is not the id of a %s, which is a UUID", text, what);
    return false;
}


bool
ctl_job_id(travel_job_id_t *ret_id, const char *text)
{
    if (travel_job_id_possible(ret_id, (travel_str_t) { text, strlen(text) })
        == TRAVEL_OK)
    {
        return true;
    }

    ctl_broken("\"%s\" is not a job id", text);
    return false;
}


/* One "--name", "--name=value" or "--name value"; *i is moved over it. */
static bool
ctl_option(const ctl_spec_t *spec, int argc, char **argv, int *i)
{
    size_t               len;
    const char          *name, *value;
    const ctl_option_t  *o;

    name = argv[*i] + 2;
    value = strchr(name, '=');
    len = value != NULL ? (size_t) (value - name) : strlen(name);

    for (o = spec->options; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
            break;
        }
    }

    if (o == NULL || o->name == NULL) {
        ctl_broken("unknown option %s; usage: travelctl %s", argv[*i],
                   spec->usage);
        return false;
    }

    if (o->kind == CTL_FLAG) {
        if (value != NULL) {
            ctl_broken("--%s takes no value", o->name);
            return false;
        }

        return ctl_store(o, "");
    }

    if (value != NULL) {
        return ctl_store(o, value + 1);
    }

    if (*i + 1 >= argc) {
        ctl_broken("--%s needs a value", o->name);
        return false;
    }

    *i += 1;
    return ctl_store(o, argv[*i]);
}


bool
ctl_parse(const ctl_spec_t *spec, int argc, char **argv,
    const char *args[CTL_ARGS_MAX + 1], int *ret_rc)
{
    int   i, n;
    bool  options;

    n = 0;
    options = true;
    *ret_rc = CTL_BROKEN;
    memset(args, 0, (CTL_ARGS_MAX + 1) * sizeof(*args));

    for (i = 1; i < argc; i++) {

        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }

        if (options && (strcmp(argv[i], "--help") == 0
                        || strcmp(argv[i], "-h") == 0))
        {
            ctl_help(spec);
            *ret_rc = CTL_GOOD;
            return false;
        }

        if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (argv[i][1] != '-') {
                ctl_broken("unknown option %s", argv[i]);
                return false;
            }

            if (!ctl_option(spec, argc, argv, &i)) {
                return false;
            }

            continue;
        }

        if (n == spec->max_args || n == CTL_ARGS_MAX) {
            ctl_broken("too many arguments; usage: travelctl %s", spec->usage);
            return false;
        }

        args[n++] = argv[i];
    }

    if (n < spec->min_args) {
        ctl_broken("arguments missing; usage: travelctl %s", spec->usage);
        return false;
    }

    return true;
}


int
ctl_broken(const char *fmt, ...)
{
    va_list  ap;

    fputs("travelctl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);

    return CTL_BROKEN;
}


int
ctl_refused(travel_error_e code, const char *pointer, const char *fmt, ...)
{
    va_list  ap;

    fprintf(stderr, "%s %s ", travel_error_code(code), pointer);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);

    return CTL_REFUSED;
}
