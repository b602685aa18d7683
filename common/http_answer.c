/* Reads answers to our own HTTP requests: strictly, and nothing it need not. */

#include <strings.h>

#include "http_answer.h"


#define TRAVEL_HTTP_DELTA_MAX   2147483648   /* RFC 9111 section 1.2.2 */
#define TRAVEL_HTTP_CHUNK_LINE  256          /* bytes, extensions included */

typedef struct {
    travel_http_answer_t  answer;
    size_t                head;         /* bytes of the head */
    int64_t               length;       /* -1: not said */
    bool                  chunked;
} travel_http_head_t;


static travel_str_t
travel_http_trim(travel_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


static bool
travel_http_is(travel_str_t s, travel_str_t lower)
{
    return s.len == lower.len && strncasecmp(s.data, lower.data, s.len) == 0;
}


/* A number of digits only, -1 when it is none or larger than 2^31. */

static int64_t
travel_http_number(travel_str_t s)
{
    size_t   i;
    int64_t  n;

    n = 0;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return -1;
        }

        n = n * 10 + (s.data[i] - '0');

        if (n > TRAVEL_HTTP_DELTA_MAX) {
            n = TRAVEL_HTTP_DELTA_MAX;
        }
    }

    return s.len ? n : -1;
}


/* What a header says that tells where the body ends; NULL, or what is wrong. */

static const char *
travel_http_framing(travel_http_head_t *head, travel_str_t name,
    travel_str_t value)
{
    int64_t  n;

    if (travel_http_is(name, TRAVEL_STR("content-length"))) {
        n = travel_http_number(value);

        if (n < 0 || n == TRAVEL_HTTP_DELTA_MAX
            || (head->length >= 0 && head->length != n))
        {
            return "its Content-Length is not one number";
        }

        head->length = n;

    } else if (travel_http_is(name, TRAVEL_STR("transfer-encoding"))) {

        if (head->chunked || !travel_http_is(value, TRAVEL_STR("chunked"))) {
            return "its Transfer-Encoding is not chunked";
        }

        head->chunked = true;
    }

    return NULL;
}


static void
travel_http_field(travel_http_answer_t *answer, travel_str_t name,
    travel_str_t value)
{
    size_t  i;

    struct {
        travel_str_t   name;
        travel_str_t  *value;
    } fields[] = {
        { TRAVEL_STR("etag"), &answer->etag },
        { TRAVEL_STR("last-modified"), &answer->last_modified },
        { TRAVEL_STR("location"), &answer->location },
        { TRAVEL_STR("cache-control"), &answer->cache_control },
        { TRAVEL_STR("age"), &answer->age },
        { TRAVEL_STR("content-encoding"), &answer->coding }
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].value->data == NULL
            && travel_http_is(name, fields[i].name))
        {
            *fields[i].value = value;
            return;
        }
    }
}


/* "HTTP/1.1 200 OK"; the reason may be missing. */

static bool
travel_http_status(travel_http_head_t *head, const char *line, size_t len)
{
    int  i;

    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0
        || (line[7] != '0' && line[7] != '1') || line[8] != ' '
        || (len > 12 && line[12] != ' '))
    {
        return false;
    }

    head->answer.status = 0;

    for (i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return false;
        }

        head->answer.status = head->answer.status * 10
                              + (unsigned) (line[i] - '0');
    }

    return head->answer.status >= 100;
}


/* One header line without its end; NULL, or what is wrong. */

static const char *
travel_http_line(travel_http_head_t *head, const char *line, size_t len)
{
    size_t        i;
    const char   *colon;
    travel_str_t  name, value;

    colon = memchr(line, ':', len);

    if (colon == NULL || colon == line) {
        return "a header line has no name";
    }

    name = (travel_str_t) { line, (size_t) (colon - line) };

    for (i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] == 0x7f) {
            return "a header's name is not a word";
        }
    }

    value = (travel_str_t) { colon + 1, len - name.len - 1 };

    for (i = 0; i < value.len; i++) {
        if (((unsigned char) value.data[i] < ' ' && value.data[i] != '\t')
            || value.data[i] == 0x7f)
        {
            return "a header has a control character";
        }
    }

    value = travel_http_trim(value);
    travel_http_field(&head->answer, name, value);

    return travel_http_framing(head, name, value);
}


/* One head at 'text', interim or final. */

static int
travel_http_read_head(travel_http_head_t *head, const char *text, size_t len,
    const char **ret_why)
{
    bool         first;
    const char  *p, *end, *last;

    memset(head, 0, sizeof(*head));
    head->length = -1;

    last = text + (len < TRAVEL_HTTP_HEAD_MAX ? len : TRAVEL_HTTP_HEAD_MAX);
    first = true;

    for (p = text; p < last; p = end + 1) {

        end = memchr(p, '\n', (size_t) (last - p));

        if (end == NULL) {
            break;
        }

        if (end == p || end[-1] != '\r') {
            *ret_why = "a line of its head does not end in CRLF";
            return TRAVEL_INVALID;
        }

        if (first) {
            if (!travel_http_status(head, p, (size_t) (end - 1 - p))) {
                *ret_why = "it does not speak HTTP/1";
                return TRAVEL_INVALID;
            }

            first = false;
            continue;
        }

        if (end - 1 == p) {
            head->head = (size_t) (end + 1 - text);
            return TRAVEL_OK;
        }

        *ret_why = travel_http_line(head, p, (size_t) (end - 1 - p));

        if (*ret_why) {
            return TRAVEL_INVALID;
        }
    }

    if (len >= TRAVEL_HTTP_HEAD_MAX) {
        *ret_why = "its head is too long";
        return TRAVEL_INVALID;
    }

    return TRAVEL_UNKNOWN;
}


/* The size line of a chunk at *p; -1 when it is none, -2 when it is not
 * complete. */

static int64_t
travel_http_chunk_size(const char **p, const char *last)
{
    char         c;
    int64_t      n;
    const char  *s, *end;

    end = memchr(*p, '\n', (size_t) (last - *p));

    if ((end ? end : last) - *p > TRAVEL_HTTP_CHUNK_LINE) {
        return -1;
    }

    if (end == NULL) {
        return -2;
    }

    n = 0;

    for (s = *p; s < end; s++) {
        c = *s;

        if (c >= '0' && c <= '9') {
            n = n * 16 + (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            n = n * 16 + ((c | 0x20) - 'a' + 10);

        } else {
            break;
        }

        if (n > TRAVEL_HTTP_DELTA_MAX) {
            return -1;
        }
    }

    /* an extension may stand between the size and the end */

    if (s == *p || end[-1] != '\r' || (*s != '\r' && *s != ';' && *s != ' ')) {
        return -1;
    }

    *p = end + 1;

    return n;
}


/* The end of the trailers at p: where the empty line ends; NULL: not yet. */

static const char *
travel_http_trailers(const char *p, const char *last)
{
    const char  *end;

    for ( ;; ) {
        end = memchr(p, '\n', (size_t) (last - p));

        if (end == NULL) {
            return NULL;
        }

        if (end - p <= 1) {
            return end + 1;
        }

        p = end + 1;
    }
}


/* Walks the chunks; with 'dst' it joins them there.  Returns the body's bytes,
 * -1: malformed, -2: not complete. */

static int64_t
travel_http_chunks(const char *p, const char *last, char *dst)
{
    int64_t  n, sum;

    sum = 0;

    for ( ;; ) {
        n = travel_http_chunk_size(&p, last);

        if (n < 0) {
            return n;
        }

        if (n == 0) {
            return travel_http_trailers(p, last) ? sum : -2;
        }

        if (last - p < n + 2) {
            return -2;
        }

        if (p[n] != '\r' || p[n + 1] != '\n') {
            return -1;
        }

        if (dst) {
            memmove(dst + sum, p, (size_t) n);
        }

        sum += n;
        p += n + 2;
    }
}


static int
travel_http_chunked(travel_http_head_t *head, char *body, size_t len,
    const char **ret_why)
{
    int64_t  n;

    n = travel_http_chunks(body, body + len, NULL);

    if (n == -2) {
        return TRAVEL_UNKNOWN;
    }

    if (n < 0) {
        *ret_why = "a chunk of its body is malformed";
        return TRAVEL_INVALID;
    }

    (void) travel_http_chunks(body, body + len, body);

    head->answer.body = (travel_str_t) { body, (size_t) n };

    return TRAVEL_OK;
}


/* The body behind the head. */

static int
travel_http_body(travel_http_head_t *head, char *body, size_t len, bool closed,
    const char **ret_why)
{
    if (head->answer.status == 204 || head->answer.status == 304) {
        head->answer.body = (travel_str_t) { body, 0 };
        return TRAVEL_OK;
    }

    if (head->chunked) {
        if (head->length >= 0) {
            *ret_why = "it has a Content-Length and chunks";
            return TRAVEL_INVALID;
        }

        return travel_http_chunked(head, body, len, ret_why);
    }

    if (head->length < 0) {
        head->answer.body = (travel_str_t) { body, len };
        return closed ? TRAVEL_OK : TRAVEL_UNKNOWN;
    }

    if (len < (size_t) head->length) {
        return TRAVEL_UNKNOWN;
    }

    head->answer.body = (travel_str_t) { body, (size_t) head->length };

    return TRAVEL_OK;
}


int
travel_http_answer(travel_http_answer_t *ret_answer, char *text, size_t len,
    bool closed, const char **ret_why)
{
    int                 rc;
    size_t              at;
    travel_http_head_t  head;

    at = 0;

    do {
        rc = travel_http_read_head(&head, text + at, len - at, ret_why);

        if (rc != TRAVEL_OK) {
            break;
        }

        at += head.head;

        if (at > TRAVEL_HTTP_HEAD_MAX) {
            *ret_why = "its head is too long";
            return TRAVEL_INVALID;
        }

        if (head.answer.status == 101) {
            *ret_why = "it changes the protocol unasked";
            return TRAVEL_INVALID;
        }

    } while (head.answer.status < 200);

    if (rc == TRAVEL_OK) {
        rc = travel_http_body(&head, text + at, len - at, closed, ret_why);
    }

    if (rc == TRAVEL_UNKNOWN && closed) {
        *ret_why = "it closed the connection before the end";
        return TRAVEL_INVALID;
    }

    if (rc == TRAVEL_OK) {
        *ret_answer = head.answer;
    }

    return rc;
}


int64_t
travel_http_freshness(const travel_http_answer_t *answer)
{
    int64_t       fresh, age;
    const char   *p, *end, *last;
    travel_str_t  word, prefix;

    if (answer->cache_control.len == 0) {
        return -1;
    }

    fresh = -1;
    last = answer->cache_control.data + answer->cache_control.len;
    prefix = TRAVEL_STR("max-age=");

    for (p = answer->cache_control.data; p < last; p = end + 1) {

        end = memchr(p, ',', (size_t) (last - p));
        if (end == NULL) {
            end = last;
        }

        word = travel_http_trim((travel_str_t) { p, (size_t) (end - p) });

        if (travel_http_is(word, TRAVEL_STR("no-store"))
            || travel_http_is(word, TRAVEL_STR("no-cache")))
        {
            return 0;
        }

        if (fresh < 0 && word.len > prefix.len
            && strncasecmp(word.data, prefix.data, prefix.len) == 0)
        {
            word.data += prefix.len;
            word.len -= prefix.len;
            fresh = travel_http_number(word);
        }
    }

    age = travel_http_number(answer->age);

    if (fresh > 0 && age > 0) {
        fresh = age < fresh ? fresh - age : 0;
    }

    return fresh;
}
