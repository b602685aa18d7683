/* The catalog's ground: reading files, telling faults, small syntax. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog_parts.h"
#include "digits.h"

#define TRAVEL_CATALOG_FILE_MAX  (1024 * 1024)


int
travel_catalog_fault(const travel_catalog_place_t *place, const char *fmt, ...)
{
    va_list  args;

    place->fault->line = place->line;
    snprintf(place->fault->file, sizeof(place->fault->file), "%s",
             place->file);

    va_start(args, fmt);
    vsnprintf(place->fault->message, sizeof(place->fault->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


bool
travel_catalog_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f'
           || c == '\v';
}


bool
travel_catalog_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_';
}


bool
travel_catalog_name_char(char c)
{
    return travel_catalog_name_start(c) || (c >= '0' && c <= '9');
}


travel_str_t
travel_catalog_trim(travel_str_t s)
{
    while (s.len && travel_catalog_space(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len && travel_catalog_space(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


travel_str_t
travel_catalog_word(travel_str_t *s)
{
    travel_str_t  word;

    word = travel_catalog_trim(*s);
    *s = word;

    for (word.len = 0; word.len < s->len; word.len++) {
        if (travel_catalog_space(s->data[word.len])) {
            break;
        }
    }

    s->data += word.len;
    s->len -= word.len;

    return word;
}


char *
travel_catalog_copy(travel_str_t s)
{
    char  *copy;

    copy = malloc(s.len + 1);
    if (copy == NULL) {
        return NULL;
    }

    if (s.len) {
        memcpy(copy, s.data, s.len);
    }

    copy[s.len] = '\0';

    return copy;
}


int
travel_catalog_duration(long *ret_ms, travel_str_t text)
{
    size_t        i;
    uint64_t      value;
    travel_str_t  unit;

    static const struct {
        travel_str_t  unit;
        uint64_t      ms;
    } units[] = {
        { { "ms", 2 }, 1 },
        { { "s", 1 }, 1000 },
        { { "m", 1 }, 60 * 1000 },
        { { "h", 1 }, 60 * 60 * 1000 }
    };

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            break;
        }
    }

    unit = (travel_str_t) { text.data + i, text.len - i };
    text.len = i;

    if (travel_digits_parse(&value, text) != TRAVEL_OK || value > 1000000) {
        return TRAVEL_INVALID;
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (travel_str_eq(units[i].unit, unit)) {
            *ret_ms = (long) (value * units[i].ms);
            return TRAVEL_OK;
        }
    }

    return TRAVEL_INVALID;
}


static int
travel_catalog_read_error(const travel_catalog_place_t *place, FILE *f)
{
    int  err = errno;

    if (f != NULL) {
        fclose(f);
    }

    return travel_catalog_fault(place, "cannot be read: %s; check that it "
                                "exists and may be read", strerror(err));
}


int
travel_catalog_read(char **ret_text, size_t *ret_len, const char *path,
    travel_catalog_fault_t *ret_fault)
{
    char                    *text;
    FILE                    *f;
    size_t                   n;
    travel_catalog_place_t   place = { path, 0, ret_fault };

    f = fopen(path, "rb");
    if (f == NULL) {
        return travel_catalog_read_error(&place, NULL);
    }

    text = malloc(TRAVEL_CATALOG_FILE_MAX + 2);
    if (text == NULL) {
        fclose(f);
        return TRAVEL_ERROR;
    }

    n = fread(text, 1, TRAVEL_CATALOG_FILE_MAX + 1, f);

    if (ferror(f)) {
        free(text);
        return travel_catalog_read_error(&place, f);
    }

    fclose(f);

    if (n > TRAVEL_CATALOG_FILE_MAX) {
        free(text);
        return travel_catalog_fault(&place, "is larger than 1 MB; this is no "
                                    "file of the catalog");
    }

    text[n] = '\0';
    *ret_text = text;
    *ret_len = n;

    return TRAVEL_OK;
}
