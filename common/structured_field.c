/* Structured fields: one pass, every character checked. */

#include "http_token.h"
#include "structured_field.h"
#include "utf8.h"


#define SF_INTEGER_DIGITS  15
#define SF_DECIMAL_DIGITS  12

/* A sequence of UTF-8 that has begun. */
typedef struct {
    char      seq[4];
    unsigned  n;
} sf_utf8_t;


static int sf_item(travel_sf_t *sf, travel_sf_item_t *item);


static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}


static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}


static bool
is_alpha(char c)
{
    return is_lower((char) (c | 0x20));
}


static bool
is_token(char c)
{
    return travel_http_tchar(c) || c == ':' || c == '/';
}


static void
sf_spaces(travel_sf_t *sf)
{
    while (sf->p < sf->end && *sf->p == ' ') {
        sf->p++;
    }
}


static void
sf_blank(travel_sf_t *sf)
{
    while (sf->p < sf->end && (*sf->p == ' ' || *sf->p == '\t')) {
        sf->p++;
    }
}


static int
sf_number(travel_sf_t *sf, travel_sf_item_t *item)
{
    bool      negative;
    int64_t   v;
    unsigned  whole, fraction;

    negative = *sf->p == '-';
    sf->p += negative;

    for (whole = 0, v = 0; sf->p < sf->end && is_digit(*sf->p); sf->p++) {
        v = v * 10 + (*sf->p - '0');

        if (++whole > SF_INTEGER_DIGITS) {
            return TRAVEL_INVALID;
        }
    }

    if (whole == 0) {
        return TRAVEL_INVALID;
    }

    item->type = TRAVEL_SF_INTEGER;

    if (sf->p < sf->end && *sf->p == '.') {

        if (whole > SF_DECIMAL_DIGITS) {
            return TRAVEL_INVALID;
        }

        sf->p++;

        for (fraction = 0; sf->p < sf->end && is_digit(*sf->p); sf->p++) {
            if (++fraction > 3) {
                return TRAVEL_INVALID;
            }

            v = v * 10 + (*sf->p - '0');
        }

        if (fraction == 0) {
            return TRAVEL_INVALID;
        }

        for ( /* void */ ; fraction < 3; fraction++) {
            v *= 10;
        }

        item->type = TRAVEL_SF_DECIMAL;
    }

    item->number = negative ? -v : v;

    return TRAVEL_OK;
}


static int
sf_string(travel_sf_t *sf, travel_sf_item_t *item)
{
    char  c;

    item->type = TRAVEL_SF_STRING;
    item->text.data = ++sf->p;

    while (sf->p < sf->end) {
        c = *sf->p++;

        if (c == '"') {
            item->text.len = (size_t) (sf->p - 1 - item->text.data);
            return TRAVEL_OK;
        }

        if (c < ' ' || c > '~') {
            return TRAVEL_INVALID;
        }

        if (c == '\\') {
            if (sf->p == sf->end || (*sf->p != '"' && *sf->p != '\\')) {
                return TRAVEL_INVALID;
            }

            sf->p++;
        }
    }

    return TRAVEL_INVALID;
}


/* An octet as two digits: lower-case hexadecimal only. */
static bool
sf_octet(travel_sf_t *sf, char *ret_octet)
{
    char      c;
    unsigned  i, v;

    for (i = 0, v = 0; i < 2; i++) {

        if (sf->p == sf->end) {
            return false;
        }

        c = *sf->p++;

        if (!is_digit(c) && !(c >= 'a' && c <= 'f')) {
            return false;
        }

        v = v * 16 + (unsigned) (is_digit(c) ? c - '0' : c - 'a' + 10);
    }

    *ret_octet = (char) v;

    return true;
}


/* One octet more of a text in UTF-8; false: it is none. */
static bool
sf_utf8(sf_utf8_t *u, char octet)
{
    uint8_t   first;
    unsigned  whole;

    u->seq[u->n++] = octet;
    first = (uint8_t) u->seq[0];
    whole = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;

    if (u->n < whole) {
        return true;
    }

    u->n = 0;

    return travel_utf8_len(u->seq, u->seq + whole) == whole;
}


/* %"f%c3%bc": what is escaped and what is not is UTF-8 together. */
static int
sf_display(travel_sf_t *sf, travel_sf_item_t *item)
{
    char       c;
    sf_utf8_t  utf8;

    if (sf->end - sf->p < 2 || sf->p[1] != '"') {
        return TRAVEL_INVALID;
    }

    sf->p += 2;
    utf8.n = 0;
    item->type = TRAVEL_SF_DISPLAY;
    item->text.data = sf->p;

    while (sf->p < sf->end) {
        c = *sf->p++;

        if (c == '"') {
            item->text.len = (size_t) (sf->p - 1 - item->text.data);
            return utf8.n == 0 ? TRAVEL_OK : TRAVEL_INVALID;
        }

        if (c < ' ' || c > '~' || (c == '%' && !sf_octet(sf, &c))
            || !sf_utf8(&utf8, c))
        {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_INVALID;
}


/* Base64; as RFC 9651 asks of a reader, padding may be left out, and what is
 * left over of the last character does not matter. */
static int
sf_bytes(travel_sf_t *sf, travel_sf_item_t *item)
{
    char    c;
    size_t  n, padding;

    item->type = TRAVEL_SF_BYTES;
    item->text.data = ++sf->p;

    for (n = 0, padding = 0; sf->p < sf->end; /* void */) {
        c = *sf->p++;

        if (c == ':') {
            item->text.len = n + padding;

            return n % 4 != 1
                   && (padding == 0 || (padding < 3 && (n + padding) % 4 == 0))
                   ? TRAVEL_OK : TRAVEL_INVALID;
        }

        if (c == '=') {
            padding++;

        } else if (padding == 0 && (is_alpha(c) || is_digit(c) || c == '+'
                                    || c == '/'))
        {
            n++;

        } else {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_INVALID;
}


static int
sf_bare(travel_sf_t *sf, travel_sf_item_t *item)
{
    char  c;

    item->number = 0;
    item->text = TRAVEL_NULL_STR;

    if (sf->p == sf->end) {
        return TRAVEL_INVALID;
    }

    c = *sf->p;

    if (c == '-' || is_digit(c)) {
        return sf_number(sf, item);
    }

    if (c == '"') {
        return sf_string(sf, item);
    }

    if (c == ':') {
        return sf_bytes(sf, item);
    }

    if (c == '%') {
        return sf_display(sf, item);
    }

    if (c == '?') {
        if (sf->end - sf->p < 2 || (sf->p[1] != '0' && sf->p[1] != '1')) {
            return TRAVEL_INVALID;
        }

        item->type = TRAVEL_SF_BOOLEAN;
        item->number = sf->p[1] - '0';
        sf->p += 2;

        return TRAVEL_OK;
    }

    if (c == '@') {
        sf->p++;

        if (sf->p == sf->end || sf_number(sf, item) != TRAVEL_OK
            || item->type != TRAVEL_SF_INTEGER)
        {
            return TRAVEL_INVALID;
        }

        item->type = TRAVEL_SF_DATE;

        return TRAVEL_OK;
    }

    if (!is_alpha(c) && c != '*') {
        return TRAVEL_INVALID;
    }

    item->type = TRAVEL_SF_TOKEN;
    item->text.data = sf->p;

    while (sf->p < sf->end && is_token(*sf->p)) {
        sf->p++;
    }

    item->text.len = (size_t) (sf->p - item->text.data);

    return TRAVEL_OK;
}


static int
sf_key(travel_sf_t *sf, travel_str_t *ret_key)
{
    char  c;

    if (sf->p == sf->end || (!is_lower(*sf->p) && *sf->p != '*')) {
        return TRAVEL_INVALID;
    }

    ret_key->data = sf->p;

    while (sf->p < sf->end) {
        c = *sf->p;

        if (!is_lower(c) && !is_digit(c) && c != '_' && c != '-' && c != '.'
            && c != '*')
        {
            break;
        }

        sf->p++;
    }

    ret_key->len = (size_t) (sf->p - ret_key->data);

    return TRAVEL_OK;
}


static int
sf_parameters(travel_sf_t *sf)
{
    travel_str_t      key;
    travel_sf_item_t  value;

    while (sf->p < sf->end && *sf->p == ';') {
        sf->p++;
        sf_spaces(sf);

        if (sf_key(sf, &key) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }

        if (sf->p < sf->end && *sf->p == '=') {
            sf->p++;

            if (sf_bare(sf, &value) != TRAVEL_OK) {
                return TRAVEL_INVALID;
            }
        }
    }

    return TRAVEL_OK;
}


static int
sf_inner_list(travel_sf_t *sf, travel_sf_item_t *item)
{
    travel_sf_item_t  member;

    item->type = TRAVEL_SF_INNER_LIST;
    item->number = 0;
    item->text = TRAVEL_NULL_STR;
    sf->p++;

    for ( ;; ) {
        sf_spaces(sf);

        if (sf->p == sf->end) {
            return TRAVEL_INVALID;
        }

        if (*sf->p == ')') {
            sf->p++;
            return sf_parameters(sf);
        }

        if (sf_bare(sf, &member) != TRAVEL_OK
            || sf_parameters(sf) != TRAVEL_OK || sf->p == sf->end
            || (*sf->p != ' ' && *sf->p != ')'))
        {
            return TRAVEL_INVALID;
        }
    }
}


static int
sf_item(travel_sf_t *sf, travel_sf_item_t *item)
{
    if (sf->p < sf->end && *sf->p == '(') {
        return sf_inner_list(sf, item);
    }

    if (sf_bare(sf, item) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    return sf_parameters(sf);
}


/* What stands between members, or ends them. */
static int
sf_comma(travel_sf_t *sf)
{
    sf->more = false;
    sf_blank(sf);

    if (sf->p == sf->end) {
        return TRAVEL_OK;
    }

    if (*sf->p != ',') {
        return TRAVEL_INVALID;
    }

    sf->p++;
    sf->more = true;
    sf_blank(sf);

    return TRAVEL_OK;
}


travel_sf_t
travel_sf_open(travel_str_t field)
{
    travel_sf_t  sf;

    sf.p = field.data;
    sf.end = field.data + field.len;
    sf.more = false;

    sf_spaces(&sf);

    while (sf.end > sf.p && sf.end[-1] == ' ') {
        sf.end--;
    }

    return sf;
}


int
travel_sf_list_next(travel_sf_t *sf, travel_sf_item_t *ret_item)
{
    travel_sf_item_t  item;

    if (sf->p == sf->end) {
        return sf->more ? TRAVEL_INVALID : TRAVEL_UNKNOWN;
    }

    if (sf_item(sf, &item) != TRAVEL_OK || sf_comma(sf) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    *ret_item = item;

    return TRAVEL_OK;
}


int
travel_sf_dict_next(travel_sf_t *sf, travel_str_t *ret_key,
    travel_sf_item_t *ret_item)
{
    int               rc;
    travel_str_t      key;
    travel_sf_item_t  item;

    if (sf->p == sf->end) {
        return sf->more ? TRAVEL_INVALID : TRAVEL_UNKNOWN;
    }

    if (sf_key(sf, &key) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    if (sf->p < sf->end && *sf->p == '=') {
        sf->p++;
        rc = sf_item(sf, &item);

    } else {
        item.type = TRAVEL_SF_BOOLEAN;
        item.number = 1;
        item.text = TRAVEL_NULL_STR;
        rc = sf_parameters(sf);
    }

    if (rc != TRAVEL_OK || sf_comma(sf) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    *ret_key = key;
    *ret_item = item;

    return TRAVEL_OK;
}


size_t
travel_sf_string(char *dst, travel_str_t text)
{
    size_t  i, n;

    for (i = 0, n = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len) {
            i++;
        }

        dst[n++] = text.data[i];
    }

    return n;
}
