/* Questions about a parsed JSON document: members, pointers, numbers, deep
 * equality; and the quoting of strings.  Nothing here changes a document. */

#include "json_parts.h"
#include "decimal.h"
#include "utf8.h"


size_t
travel_json_pointer_token(char *dst, size_t room, travel_str_t token)
{
    size_t  i, n = 0;

    for (i = 0; i <= token.len; i++) {
        if (room - n < 4) {
            return 0;
        }

        if (i == 0) {
            dst[n++] = '/';
        }

        if (i == token.len) {
            break;
        }

        switch (token.data[i]) {
        case '~':
            dst[n++] = '~';
            dst[n++] = '0';
            break;
        case '/':
            dst[n++] = '~';
            dst[n++] = '1';
            break;
        default:
            dst[n++] = token.data[i];
        }
    }

    return n;
}


size_t
travel_json_pointer(const travel_json_t *doc, uint32_t node, char *dst,
    size_t room)
{
    char                       digits[12], *q;
    size_t                     n, len = 0;
    uint32_t                   at = 0, i, k, v;
    travel_str_t               token;
    const travel_json_node_t  *nodes = doc->nodes;

    dst[0] = '\0';

    while (at != node) {

        if (nodes[at].type == TRAVEL_JSON_OBJECT) {
            for (i = at + 1; nodes[i + 1].next <= node; ) {
                i = nodes[i + 1].next;
            }

            token = nodes[i].text;
            at = i + 1;

            if (node == i) {
                node = at;
            }

        } else {
            for (k = 0, i = at + 1; nodes[i].next <= node; k++) {
                i = nodes[i].next;
            }

            q = digits + sizeof(digits);
            v = k;

            do {
                *--q = (char) ('0' + v % 10);
                v /= 10;
            } while (v);

            token.data = q;
            token.len = (size_t) (digits + sizeof(digits) - q);
            at = i;
        }

        n = travel_json_pointer_token(dst + len, room - len, token);
        if (n == 0) {
            break;
        }

        len += n;
    }

    dst[len] = '\0';

    return len;
}


static const json_table_t *
json_table_of(const travel_json_t *doc, uint32_t object)
{
    size_t               lo = 0, hi = doc->ntables, mid;
    uint32_t             end = doc->nodes[object].next;
    const json_table_t  *t;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        t = &doc->tables[mid];

        if (t->object == object) {
            return t;
        }

        if (t->end < end || (t->end == end && t->object > object)) {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    return NULL;
}


/* The value's index, 0 when there is no such member. */
static uint32_t
json_find(const travel_json_t *doc, uint32_t object, travel_str_t name)
{
    size_t                     h;
    uint32_t                   i;
    const uint32_t            *slots;
    const json_table_t        *table;
    const travel_json_node_t  *nodes = doc->nodes;

    if (nodes[object].count <= JSON_SMALL_OBJECT) {

        for (i = object + 1; i < nodes[object].next; i = nodes[i + 1].next) {
            if (travel_str_eq(nodes[i].text, name)) {
                return i + 1;
            }
        }

        return 0;
    }

    table = json_table_of(doc, object);
    if (table == NULL) {
        return 0;
    }

    slots = doc->slots + table->start;

    for (h = json_hash(doc, name) & table->mask; slots[h];
         h = (h + 1) & table->mask)
    {
        if (travel_str_eq(nodes[slots[h]].text, name)) {
            return slots[h] + 1;
        }
    }

    return 0;
}


const travel_json_node_t *
travel_json_member(const travel_json_t *doc, uint32_t obj, travel_str_t name)
{
    uint32_t  i;

    if (obj >= doc->n || doc->nodes[obj].type != TRAVEL_JSON_OBJECT) {
        return NULL;
    }

    i = json_find(doc, obj, name);

    return i ? &doc->nodes[i] : NULL;
}


int
travel_json_int64(const travel_json_node_t *node, int64_t *ret_v)
{
    travel_decimal_t  d;

    if (node->type != TRAVEL_JSON_NUMBER || !node->integer) {
        return TRAVEL_INVALID;
    }

    d = travel_decimal_read(node->text);

    return travel_decimal_int64(&d, ret_v);
}


double
travel_json_double(const travel_json_node_t *node)
{
    travel_decimal_t  d;

    if (node->type != TRAVEL_JSON_NUMBER) {
        return 0;
    }

    d = travel_decimal_read(node->text);

    return travel_decimal_double(&d);
}


static bool
json_scalar_equal(const travel_json_node_t *a, const travel_json_node_t *b)
{
    travel_decimal_t  da, db;

    if (a->type != b->type || a->count != b->count) {
        return false;
    }

    switch (a->type) {

    case TRAVEL_JSON_STRING:
        return travel_str_eq(a->text, b->text);

    case TRAVEL_JSON_NUMBER:
        if (travel_str_eq(a->text, b->text)) {
            return true;
        }

        da = travel_decimal_read(a->text);
        db = travel_decimal_read(b->text);
        return travel_decimal_cmp(&da, &db) == 0;

    default:
        return true;
    }
}


/*
 * Walks 'a' in its order and keeps, per open container, where its counterpart
 * in 'b' stands.  Equal counts and unique names make it enough to find each
 * member of 'a' in 'b'.
 */
bool
travel_json_equal(const travel_json_t *a, uint32_t ia, const travel_json_t *b,
    uint32_t ib)
{
    size_t                     top = 0;
    uint32_t                   i, j;
    const travel_json_node_t  *na = a->nodes, *nb = b->nodes;
    struct {
        uint32_t  a;              /* the container */
        uint32_t  b;
        uint32_t  next;           /* its next child in b: a guess for names */
    } open[TRAVEL_JSON_DEPTH_MAX];

    i = ia;
    j = ib;

    for ( ;; ) {

        if (!json_scalar_equal(&na[i], &nb[j])) {
            return false;
        }

        if (na[i].count) {
            open[top].a = i;
            open[top].b = j;
            open[top].next = j + 1;
            top++;
            i++;

        } else {
            i = na[i].next;
        }

        while (top && i == na[open[top - 1].a].next) {
            top--;
        }

        if (top == 0) {
            return true;
        }

        j = open[top - 1].next;

        if (na[open[top - 1].a].type == TRAVEL_JSON_OBJECT) {

            if (j >= nb[open[top - 1].b].next
                || !travel_str_eq(na[i].text, nb[j].text))
            {
                j = json_find(b, open[top - 1].b, na[i].text);
                if (j == 0) {
                    return false;
                }

                j--;
            }

            i++;
            j++;
        }

        open[top - 1].next = nb[j].next;
    }
}


size_t
travel_json_quote(char *dst, travel_str_t s)
{
    char        *q = dst;
    uint8_t      c;
    unsigned     n;
    const char  *p = s.data, *end = s.data + s.len, *run;

    static const char  hex[] = "0123456789abcdef";
    static const char  brief[] = "btn.fr";          /* 0x08 - 0x0D */

    *q++ = '"';

    while (p < end) {
        run = json_plain_run(p, end);
        memcpy(q, p, (size_t) (run - p));
        q += run - p;
        p = run;

        if (p == end) {
            break;
        }

        c = (uint8_t) *p;

        if (c >= 0x80) {
            n = travel_utf8_len(p, end);
            memcpy(q, n ? p : "\xEF\xBF\xBD", n ? n : 3);
            q += n ? n : 3;
            p += n ? n : 1;
            continue;
        }

        *q++ = '\\';
        p++;

        if (c >= 0x20) {
            *q++ = (char) c;

        } else if (c >= 0x08 && c <= 0x0D && c != 0x0B) {
            *q++ = brief[c - 0x08];

        } else {
            memcpy(q, "u00", 3);
            q[3] = hex[c >> 4];
            q[4] = hex[c & 15];
            q += 5;
        }
    }

    *q++ = '"';

    return (size_t) (q - dst);
}
