/* A query's parameters: how they are declared, and what a value must be. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog_parts.h"
#include "decimal.h"
#include "ids.h"
#include "timestamp.h"
#include "utf8.h"

#define TRAVEL_PARAM_NAME_MAX    63
#define TRAVEL_PARAM_NUMBER_MAX  64
#define TRAVEL_PARAM_WORDS_MAX   64

static const struct {
    travel_str_t         name;
    travel_param_type_e  type;
    const char          *sql;
} travel_param_types[] = {
    { { "int", 3 },       TRAVEL_PARAM_INT,       "integer" },
    { { "bigint", 6 },    TRAVEL_PARAM_BIGINT,    "bigint" },
    { { "number", 6 },    TRAVEL_PARAM_NUMBER,    "double precision" },
    { { "text", 4 },      TRAVEL_PARAM_TEXT,      "text" },
    { { "uuid", 4 },      TRAVEL_PARAM_UUID,      "uuid" },
    { { "bool", 4 },      TRAVEL_PARAM_BOOL,      "boolean" },
    { { "date", 4 },      TRAVEL_PARAM_DATE,      "date" },
    { { "timestamp", 9 }, TRAVEL_PARAM_TIMESTAMP, "timestamptz" },
    { { "enum", 4 },      TRAVEL_PARAM_ENUM,      "text" }
};

#define TRAVEL_PARAM_TYPES                                                    \
    (sizeof(travel_param_types) / sizeof(travel_param_types[0]))


const char *
travel_param_sql_type(const travel_param_t *param)
{
    return travel_param_types[param->type].sql;
}


void
travel_param_fini(travel_param_t *param)
{
    size_t  i;

    for (i = 0; param->words != NULL && param->words[i] != NULL; i++) {
        free(param->words[i]);
    }

    free(param->words);
    free(param->fallback);
    free(param->name);
}


/* --- values --------------------------------------------------------------- */

static size_t
travel_param_digits(travel_str_t s, size_t *i)
{
    size_t  from = *i;

    while (*i < s.len && s.data[*i] >= '0' && s.data[*i] <= '9') {
        (*i)++;
    }

    return *i - from;
}


/* RFC 8259's number, so that decimal.h may read it. */

static bool
travel_param_number_shape(travel_str_t s)
{
    size_t  i, n;

    i = s.len && s.data[0] == '-';
    n = travel_param_digits(s, &i);

    if (n == 0 || (n > 1 && s.data[i - n] == '0')) {
        return false;
    }

    if (i < s.len && s.data[i] == '.') {
        i++;
        if (travel_param_digits(s, &i) == 0) {
            return false;
        }
    }

    if (i < s.len && (s.data[i] | 0x20) == 'e') {
        i++;
        if (i < s.len && (s.data[i] == '-' || s.data[i] == '+')) {
            i++;
        }

        if (travel_param_digits(s, &i) == 0) {
            return false;
        }
    }

    return i == s.len;
}


/* One spelling per number: no "+5", "007", "-0" or "5.0". */

static bool
travel_param_integer(int64_t *ret_v, travel_str_t s)
{
    size_t            i;
    travel_decimal_t  d;

    for (i = 0; i < s.len; i++) {
        if ((s.data[i] < '0' || s.data[i] > '9')
            && !(i == 0 && s.data[i] == '-'))
        {
            return false;
        }
    }

    if (s.len > 20 || !travel_param_number_shape(s)
        || (s.len == 2 && s.data[0] == '-' && s.data[1] == '0'))
    {
        return false;
    }

    d = travel_decimal_read(s);

    return travel_decimal_int64(&d, ret_v) == TRAVEL_OK;
}


static int
travel_param_range(const travel_param_t *param, double v, const char *what,
    const char *unit, char *ret_why)
{
    if (!param->bounded || (v >= param->min && v <= param->max)) {
        return TRAVEL_OK;
    }

    if (isinf(param->max)) {
        snprintf(ret_why, 160, "must be %s of at least %.15g%s", what,
                 param->min, unit);

    } else if (isinf(param->min)) {
        snprintf(ret_why, 160, "must be %s of at most %.15g%s", what,
                 param->max, unit);

    } else {
        snprintf(ret_why, 160, "must be %s from %.15g to %.15g%s", what,
                 param->min, param->max, unit);
    }

    return TRAVEL_REFUSED;
}


static int
travel_param_check_integer(const travel_param_t *param, travel_str_t value,
    char *ret_why)
{
    int64_t  v;

    if (!travel_param_integer(&v, value)) {
        snprintf(ret_why, 160, "must be a whole number");
        return TRAVEL_INVALID;
    }

    if (param->type == TRAVEL_PARAM_INT && (v < INT32_MIN || v > INT32_MAX)) {
        snprintf(ret_why, 160, "must be a whole number of 32 bits");
        return TRAVEL_REFUSED;
    }

    return travel_param_range(param, (double) v, "a whole number", "",
                              ret_why);
}


static int
travel_param_check_number(const travel_param_t *param, travel_str_t value,
    char *ret_why)
{
    double            v;
    travel_decimal_t  d;

    if (value.len > TRAVEL_PARAM_NUMBER_MAX
        || !travel_param_number_shape(value))
    {
        snprintf(ret_why, 160, "must be a number");
        return TRAVEL_INVALID;
    }

    d = travel_decimal_read(value);
    v = travel_decimal_double(&d);

    /* PostgreSQL refuses what neither fits a double nor is zero */

    if (isinf(v) || (v == 0 && d.n != 0)) {
        snprintf(ret_why, 160, "must be a number that fits 64 bits");
        return TRAVEL_REFUSED;
    }

    return travel_param_range(param, v, "a number", "", ret_why);
}


static int
travel_param_check_text(const travel_param_t *param, travel_str_t value,
    char *ret_why)
{
    size_t       points = 0;
    unsigned     n;
    const char  *p, *end;

    end = value.data + value.len;

    for (p = value.data; p < end; p += n) {
        n = travel_utf8_len(p, end);

        if (n == 0 || *p == '\0') {
            snprintf(ret_why, 160, "must be UTF-8 text without zero bytes");
            return TRAVEL_INVALID;
        }

        points++;
    }

    return travel_param_range(param, (double) points, "text", " characters",
                              ret_why);
}


static int
travel_param_check_word(const travel_param_t *param, travel_str_t value,
    char *ret_why)
{
    char    **word;
    size_t    len, n;

    for (word = param->words; *word != NULL; word++) {
        if (strlen(*word) == value.len
            && memcmp(*word, value.data, value.len) == 0)
        {
            return TRAVEL_OK;
        }
    }

    len = (size_t) snprintf(ret_why, 160, "must be one of");

    for (word = param->words; *word != NULL; word++) {
        n = strlen(*word);

        if (len + n + 5 > 160) {
            snprintf(ret_why + len, 160 - len, " ...");
            break;
        }

        len += (size_t) snprintf(ret_why + len, 160 - len, " %s", *word);
    }

    return TRAVEL_REFUSED;
}


/* The calendar of PostgreSQL has no year 0, and its offsets end at 15:59. */

static bool
travel_param_instant(travel_str_t s)
{
    int64_t      ms;
    const char  *offset;

    if (travel_timestamp_parse(&ms, s) != TRAVEL_OK
        || memcmp(s.data, "0000", 4) == 0)
    {
        return false;
    }

    if (s.data[s.len - 1] == 'Z' || s.data[s.len - 1] == 'z') {
        return true;
    }

    offset = s.data + s.len - 6;

    return (offset[1] - '0') * 10 + (offset[2] - '0') < 16;
}


/* Any version and variant: what the column's type takes. */

static bool
travel_param_uuid(travel_str_t s)
{
    char    c;
    size_t  i;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return false;
            }

        } else if (!((c >= '0' && c <= '9')
                     || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
        {
            return false;
        }
    }

    return s.len == TRAVEL_UUID_TEXT_LEN;
}


static int
travel_param_check_shape(const travel_param_t *param, travel_str_t value,
    char *ret_why)
{
    bool         ok = false;
    const char  *what = "";

    switch (param->type) {

    case TRAVEL_PARAM_UUID:
        what = "a UUID";
        ok = travel_param_uuid(value);
        break;

    case TRAVEL_PARAM_BOOL:
        what = "true or false";
        ok = travel_str_eq(value, TRAVEL_STR("true"))
             || travel_str_eq(value, TRAVEL_STR("false"));
        break;

    case TRAVEL_PARAM_DATE:
        what = "a date like 2026-03-01";
        ok = travel_date_valid(value) && memcmp(value.data, "0000", 4) != 0;
        break;

    case TRAVEL_PARAM_TIMESTAMP:
        what = "a time with its offset, like 2026-03-01T19:00:00Z";
        ok = travel_param_instant(value);
        break;

    default:
        break;
    }

    if (!ok) {
        snprintf(ret_why, 160, "must be %s", what);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
travel_param_check(const travel_param_t *param, travel_str_t value,
    char ret_why[160])
{
    switch (param->type) {

    case TRAVEL_PARAM_INT:
    case TRAVEL_PARAM_BIGINT:
        return travel_param_check_integer(param, value, ret_why);

    case TRAVEL_PARAM_NUMBER:
        return travel_param_check_number(param, value, ret_why);

    case TRAVEL_PARAM_TEXT:
        return travel_param_check_text(param, value, ret_why);

    case TRAVEL_PARAM_ENUM:
        return travel_param_check_word(param, value, ret_why);

    default:
        return travel_param_check_shape(param, value, ret_why);
    }
}


/* --- declarations --------------------------------------------------------- */

static int
travel_param_declare_name(travel_param_t *param, travel_str_t name,
    const travel_catalog_place_t *place)
{
    size_t  i;

    if (name.len == 0 || name.len > TRAVEL_PARAM_NAME_MAX
        || !travel_catalog_name_start(name.data[0]))
    {
        return travel_catalog_fault(place, "@param needs a name of lower case "
                                    "letters, digits and '_', then a type");
    }

    for (i = 0; i < name.len; i++) {
        if (!travel_catalog_name_char(name.data[i])) {
            return travel_catalog_fault(place, "parameter \"%.*s\" must be of "
                                        "lower case letters, digits and '_'",
                                        (int) name.len, name.data);
        }
    }

    if (travel_str_eq(name, TRAVEL_STR("viewer"))) {
        return travel_catalog_fault(place, "\"viewer\" is bound by itself; "
                                    "take its @param line out");
    }

    param->name = travel_catalog_copy(name);

    return param->name != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


/* "(a|b|c)" */

static int
travel_param_declare_words(travel_param_t *param, travel_str_t list,
    const travel_catalog_place_t *place)
{
    size_t        i, n = 0, from = 1;
    travel_str_t  word;

    if (list.len < 3 || list.data[0] != '(' || list.data[list.len - 1] != ')')
    {
        return travel_catalog_fault(place, "write the words of parameter "
                                    "\"%s\" as enum(a|b|c), without spaces",
                                    param->name);
    }

    param->words = calloc(TRAVEL_PARAM_WORDS_MAX + 1, sizeof(char *));
    if (param->words == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 1; i < list.len; i++) {
        if (list.data[i] != '|' && i != list.len - 1) {
            continue;
        }

        word = (travel_str_t) { list.data + from, i - from };
        from = i + 1;

        if (word.len == 0 || n == TRAVEL_PARAM_WORDS_MAX) {
            return travel_catalog_fault(place, "parameter \"%s\" has an empty "
                                        "word or more than %d of them",
                                        param->name, TRAVEL_PARAM_WORDS_MAX);
        }

        param->words[n] = travel_catalog_copy(word);
        if (param->words[n++] == NULL) {
            return TRAVEL_ERROR;
        }
    }

    return TRAVEL_OK;
}


static int
travel_param_declare_type(travel_param_t *param, travel_str_t text,
    const travel_catalog_place_t *place)
{
    size_t        i;
    travel_str_t  type;

    if (text.len && text.data[text.len - 1] == '?') {
        param->optional = true;
        text.len--;
    }

    type = text;
    for (i = 0; i < text.len; i++) {
        if (text.data[i] == '(') {
            type.len = i;
            break;
        }
    }

    for (i = 0; i < TRAVEL_PARAM_TYPES; i++) {
        if (travel_str_eq(travel_param_types[i].name, type)) {
            param->type = travel_param_types[i].type;
            break;
        }
    }

    if (i == TRAVEL_PARAM_TYPES
        || (param->type != TRAVEL_PARAM_ENUM && type.len != text.len))
    {
        return travel_catalog_fault(place, "parameter \"%s\" has no known "
                                    "type; use int, bigint, number, text, "
                                    "uuid, bool, date, timestamp or "
                                    "enum(a|b)", param->name);
    }

    if (param->type != TRAVEL_PARAM_ENUM) {
        return TRAVEL_OK;
    }

    text.data += type.len;
    text.len -= type.len;

    return travel_param_declare_words(param, text, place);
}


static bool
travel_param_bound(double *bound, travel_str_t text, double absent)
{
    travel_decimal_t  d;

    if (text.len == 0) {
        *bound = absent;
        return true;
    }

    if (!travel_param_number_shape(text)) {
        return false;
    }

    d = travel_decimal_read(text);
    *bound = travel_decimal_double(&d);

    return !isinf(*bound);
}


/* "MIN..MAX", either may be left out. */

static int
travel_param_declare_bounds(travel_param_t *param, travel_str_t text,
    const travel_catalog_place_t *place)
{
    size_t        i;
    travel_str_t  lo, hi;

    if (param->type > TRAVEL_PARAM_TEXT) {
        return travel_catalog_fault(place, "parameter \"%s\": only numbers "
                                    "and text have bounds; take \"%.*s\" out",
                                    param->name, (int) text.len, text.data);
    }

    for (i = 0; i + 1 < text.len; i++) {
        if (text.data[i] == '.' && text.data[i + 1] == '.') {
            break;
        }
    }

    lo = (travel_str_t) { text.data, i };
    hi = (travel_str_t) { text.data + i + 2, text.len - i - 2 };

    if (i + 1 >= text.len || text.len == 2
        || !travel_param_bound(&param->min, lo, -INFINITY)
        || !travel_param_bound(&param->max, hi, INFINITY)
        || param->min > param->max
        || (param->type == TRAVEL_PARAM_TEXT && lo.len && param->min < 0))
    {
        return travel_catalog_fault(place, "parameter \"%s\": \"%.*s\" must "
                                    "be bounds like 1..100, the smaller "
                                    "first", param->name, (int) text.len,
                                    text.data);
    }

    param->bounded = true;

    return TRAVEL_OK;
}


static int
travel_param_declare_default(travel_param_t *param, travel_str_t text,
    const travel_catalog_place_t *place)
{
    int   rc;
    char  why[160];

    if (param->optional) {
        return travel_catalog_fault(place, "parameter \"%s\" has '?' and a "
                                    "default; keep one", param->name);
    }

    rc = travel_param_check(param, text, why);

    if (text.len == 0 || rc != TRAVEL_OK) {
        return travel_catalog_fault(place, "the default of parameter \"%s\" "
                                    "%s", param->name,
                                    text.len ? why : "is empty; give a value "
                                                     "or drop the '='");
    }

    param->fallback = travel_catalog_copy(text);

    return param->fallback != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


int
travel_param_declare(travel_param_t *param, travel_str_t text,
    const travel_catalog_place_t *place)
{
    int           rc;
    travel_str_t  word;

    rc = travel_param_declare_name(param, travel_catalog_word(&text), place);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    rc = travel_param_declare_type(param, travel_catalog_word(&text), place);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    text = travel_catalog_trim(text);

    if (text.len && text.data[0] != '=') {
        word = travel_catalog_word(&text);
        rc = travel_param_declare_bounds(param, word, place);
        if (rc != TRAVEL_OK) {
            return rc;
        }

        text = travel_catalog_trim(text);
    }

    if (text.len == 0) {
        return TRAVEL_OK;
    }

    if (text.data[0] != '=') {
        return travel_catalog_fault(place, "parameter \"%s\": \"%.*s\" is too "
                                    "much; write NAME TYPE [MIN..MAX] "
                                    "[= DEFAULT]", param->name,
                                    (int) text.len, text.data);
    }

    text.data++;
    text.len--;

    return travel_param_declare_default(param, travel_catalog_trim(text),
                                        place);
}


const travel_param_t *
travel_query_param(const travel_query_t *query, travel_str_t name)
{
    size_t  i;

    for (i = 0; i < query->nparams; i++) {
        if (strlen(query->params[i].name) == name.len
            && memcmp(query->params[i].name, name.data, name.len) == 0)
        {
            return &query->params[i];
        }
    }

    return NULL;
}
