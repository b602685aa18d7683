/* Text templates of the product: files with {{name}} places. */

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "template.h"

#define TEMPLATE_MAX  (256 * 1024)


static bool
template_name_good(const char *name)
{
    const char  *p;

    for (p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char) *p) && *p != '_' && *p != '-'
            && (*p != '.' || p == name))
        {
            return false;
        }
    }

    return p > name;
}


char *
worker_template_load(const char *dir, const char *name)
{
    char    path[PATH_MAX], *text;
    FILE   *f;
    size_t  n;

    if (!template_name_good(name)
        || snprintf(path, sizeof(path), "%s/%s", dir, name)
           >= (int) sizeof(path))
    {
        return NULL;
    }

    f = fopen(path, "rb");
    text = f != NULL ? malloc(TEMPLATE_MAX + 1) : NULL;

    if (text != NULL) {
        n = fread(text, 1, TEMPLATE_MAX, f);
        text[n] = '\0';

        if (ferror(f) || !feof(f)) {
            free(text);
            text = NULL;
        }
    }

    if (f != NULL) {
        fclose(f);
    }

    return text;
}


static void
template_put(FILE *out, const char *text, bool html)
{
    for ( ; *text != '\0'; text++) {

        switch (html ? *text : ' ') {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*text, out);
            break;
        }
    }
}


static void
template_value(FILE *out, const json_t *value, bool html)
{
    if (json_is_string(value)) {
        template_put(out, json_string_value(value), html);

    } else if (json_is_integer(value)) {
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));

    } else if (json_is_real(value)) {
        fprintf(out, "%.15g", json_real_value(value));
    }
}


char *
worker_template_render(travel_str_t text, const json_t *data, bool html)
{
    char         name[64], *dst;
    FILE        *out;
    size_t       n, len;
    const char  *p, *end, *close;

    out = open_memstream(&dst, &len);

    if (out == NULL) {
        return NULL;
    }

    end = text.data + text.len;

    for (p = text.data; p < end; p++) {
        close = end - p > 4 && p[0] == '{' && p[1] == '{'
                ? memmem(p, (size_t) (end - p), "}}", 2) : NULL;
        n = close != NULL ? (size_t) (close - p - 2) : sizeof(name);

        if (n >= sizeof(name)) {
            fputc(*p, out);
            continue;
        }

        memcpy(name, p + 2, n);
        name[n] = '\0';
        template_value(out, json_object_get(data, name), html);
        p = close + 1;
    }

    if (fclose(out) != 0) {
        free(dst);
        return NULL;
    }

    return dst;
}
