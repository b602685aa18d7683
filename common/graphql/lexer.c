/* Tokens of a GraphQL text.  See lexer.h. */

#include "lexer.h"
#include "../utf8.h"

#include <stdarg.h>
#include <stdio.h>


void
travel_graphql_lexer_init(travel_graphql_lexer_t *lexer, travel_str_t source,
    travel_graphql_fault_t *fault)
{
    memset(lexer, 0, sizeof(*lexer));
    lexer->p = source.data;
    lexer->end = source.data + source.len;
    lexer->line = 1;
    lexer->fault = fault;

    lexer->counted = lexer->p;
    lexer->column = 1;
    lexer->at_line = 1;
    lexer->at_column = 1;
}


int
travel_graphql_lexer_fault(travel_graphql_lexer_t *lexer, const char *fmt, ...)
{
    va_list  args;

    lexer->fault->line = lexer->at_line;
    lexer->fault->column = lexer->at_column;

    va_start(args, fmt);
    vsnprintf(lexer->fault->message, sizeof(lexer->fault->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


/* Columns are code points, as clients count them in ASCII at least. */
static void
lexer_here(travel_graphql_lexer_t *lexer)
{
    for ( /* void */ ; lexer->counted < lexer->p; lexer->counted++) {
        lexer->column += ((uint8_t) *lexer->counted & 0xc0) != 0x80;
    }

    lexer->at_line = lexer->line;
    lexer->at_column = lexer->column;
}


static void
lexer_newline(travel_graphql_lexer_t *lexer)
{
    if (*lexer->p == '\r' && lexer->p + 1 < lexer->end
        && lexer->p[1] == '\n')
    {
        lexer->p++;
    }

    lexer->p++;
    lexer->line++;
    lexer->counted = lexer->p;
    lexer->column = 1;
}


static int
lexer_comment(travel_graphql_lexer_t *lexer)
{
    unsigned  n;

    while (lexer->p < lexer->end && *lexer->p != '\n' && *lexer->p != '\r') {
        n = travel_utf8_len(lexer->p, lexer->end);

        if (n == 0) {
            lexer_here(lexer);
            return travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                              "character within a comment.");
        }

        lexer->p += n;
    }

    return TRAVEL_OK;
}


/* What means nothing; a byte order mark is such wherever it stands. */
static int
lexer_skip(travel_graphql_lexer_t *lexer)
{
    while (lexer->p < lexer->end) {

        switch (*lexer->p) {

        case ' ': case '\t': case ',':
            lexer->p++;
            break;

        case '\n': case '\r':
            lexer_newline(lexer);
            break;

        case '#':
            if (lexer_comment(lexer) != TRAVEL_OK) {
                return TRAVEL_INVALID;
            }

            break;

        case '\xEF':
            if (lexer->end - lexer->p < 3
                || memcmp(lexer->p, "\xEF\xBB\xBF", 3) != 0)
            {
                return TRAVEL_OK;
            }

            lexer->p += 3;
            break;

        default:
            return TRAVEL_OK;
        }
    }

    return TRAVEL_OK;
}


static bool
lexer_digit(const travel_graphql_lexer_t *lexer)
{
    return lexer->p < lexer->end && *lexer->p >= '0' && *lexer->p <= '9';
}


static bool
lexer_name_char(const travel_graphql_lexer_t *lexer)
{
    return lexer->p < lexer->end
           && (*lexer->p == '_' || lexer_digit(lexer)
               || ((*lexer->p | 0x20) >= 'a' && (*lexer->p | 0x20) <= 'z'));
}


static int
lexer_digits(travel_graphql_lexer_t *lexer)
{
    if (!lexer_digit(lexer)) {
        return travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                          "number, a digit is expected.");
    }

    while (lexer_digit(lexer)) {
        lexer->p++;
    }

    return TRAVEL_OK;
}


static int
lexer_number(travel_graphql_lexer_t *lexer)
{
    bool         zero;
    const char  *start = lexer->p;

    lexer->kind = TRAVEL_GRAPHQL_TOKEN_INT;
    lexer->p += *lexer->p == '-';
    zero = lexer->p < lexer->end && *lexer->p == '0';

    if (zero) {
        lexer->p++;

    } else if (lexer_digits(lexer) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    if (lexer->p < lexer->end && *lexer->p == '.') {
        lexer->kind = TRAVEL_GRAPHQL_TOKEN_FLOAT;
        lexer->p++;

        if (lexer_digits(lexer) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (lexer->p < lexer->end && (*lexer->p | 0x20) == 'e') {
        lexer->kind = TRAVEL_GRAPHQL_TOKEN_FLOAT;
        lexer->p++;
        lexer->p += lexer->p < lexer->end
                    && (*lexer->p == '+' || *lexer->p == '-');

        if (lexer_digits(lexer) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (lexer_name_char(lexer) || (lexer->p < lexer->end && *lexer->p == '.')) {
        return travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                          "number.");
    }

    lexer->text = (travel_str_t) { start, (size_t) (lexer->p - start) };
    return TRAVEL_OK;
}


static int
lexer_block(travel_graphql_lexer_t *lexer)
{
    unsigned     n;
    const char  *start;

    lexer->kind = TRAVEL_GRAPHQL_TOKEN_BLOCK;
    lexer->escaped = true;
    lexer->p += 3;
    start = lexer->p;

    while (lexer->p < lexer->end) {

        if (lexer->end - lexer->p >= 4 && memcmp(lexer->p, "\\\"\"\"", 4) == 0)
        {
            lexer->p += 4;

        } else if (lexer->end - lexer->p >= 3
                   && memcmp(lexer->p, "\"\"\"", 3) == 0)
        {
            lexer->text = (travel_str_t) { start,
                                           (size_t) (lexer->p - start) };
            lexer->p += 3;
            return TRAVEL_OK;

        } else if (*lexer->p == '\n' || *lexer->p == '\r') {
            lexer_newline(lexer);

        } else {
            n = travel_utf8_len(lexer->p, lexer->end);

            if (n == 0) {
                return travel_graphql_lexer_fault(lexer, "Syntax Error: "
                                       "Invalid character within String.");
            }

            lexer->p += n;
        }
    }

    return travel_graphql_lexer_fault(lexer,
                                      "Syntax Error: Unterminated string.");
}


static int
lexer_string(travel_graphql_lexer_t *lexer)
{
    unsigned     n;
    const char  *start;

    if (lexer->end - lexer->p >= 3 && memcmp(lexer->p, "\"\"\"", 3) == 0) {
        return lexer_block(lexer);
    }

    lexer->kind = TRAVEL_GRAPHQL_TOKEN_STRING;
    start = ++lexer->p;

    while (lexer->p < lexer->end && *lexer->p != '\n' && *lexer->p != '\r') {

        if (*lexer->p == '"') {
            lexer->text = (travel_str_t) { start,
                                           (size_t) (lexer->p - start) };
            lexer->p++;
            return TRAVEL_OK;
        }

        if (*lexer->p == '\\') {
            lexer->escaped = true;
            lexer->p++;

            if (lexer->p == lexer->end) {
                break;
            }
        }

        n = travel_utf8_len(lexer->p, lexer->end);

        if (n == 0) {
            return travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                              "character within String.");
        }

        lexer->p += n;
    }

    return travel_graphql_lexer_fault(lexer,
                                      "Syntax Error: Unterminated string.");
}


int
travel_graphql_lexer_next(travel_graphql_lexer_t *lexer)
{
    size_t       n;
    const char  *start;

    if (lexer_skip(lexer) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    lexer_here(lexer);

    lexer->escaped = false;
    lexer->text = TRAVEL_NULL_STR;
    start = lexer->p;

    if (lexer->p == lexer->end) {
        lexer->kind = TRAVEL_GRAPHQL_TOKEN_END;
        return TRAVEL_OK;
    }

    if (*lexer->p == '"') {
        return lexer_string(lexer);
    }

    if (*lexer->p == '-' || lexer_digit(lexer)) {
        return lexer_number(lexer);
    }

    if (lexer_name_char(lexer)) {
        while (lexer_name_char(lexer)) {
            lexer->p++;
        }

        lexer->kind = TRAVEL_GRAPHQL_TOKEN_NAME;
        lexer->text = (travel_str_t) { start, (size_t) (lexer->p - start) };
        return TRAVEL_OK;
    }

    n = 1;

    if (*lexer->p == '.') {
        n = lexer->end - lexer->p >= 3 && memcmp(lexer->p, "...", 3) == 0
            ? 3 : 0;

    } else if (memchr("!$&()*:=@[]{|}", *lexer->p, 14) == NULL
               || *lexer->p == '*')
    {
        n = 0;
    }

    if (n == 0) {
        return (uint8_t) *lexer->p < 0x20 || (uint8_t) *lexer->p >= 0x7f
               ? travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                            "character U+%04X.",
                                            (unsigned) (uint8_t) *lexer->p)
               : travel_graphql_lexer_fault(lexer, "Syntax Error: Unexpected "
                                            "character: \"%c\".", *lexer->p);
    }

    lexer->p += n;
    lexer->kind = TRAVEL_GRAPHQL_TOKEN_PUNCT;
    lexer->text = (travel_str_t) { start, n };
    return TRAVEL_OK;
}


/* --- what a string says -------------------------------------------------- */

static int
lexer_hex(const char *p, const char *end, size_t n, uint32_t *ret_v)
{
    size_t    i;
    uint32_t  v = 0;

    if ((size_t) (end - p) < n || n == 0 || n > 8) {
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        v <<= 4;

        if (p[i] >= '0' && p[i] <= '9') {
            v |= (uint32_t) (p[i] - '0');

        } else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f') {
            v |= (uint32_t) ((p[i] | 0x20) - 'a' + 10);

        } else {
            return TRAVEL_INVALID;
        }
    }

    *ret_v = v;
    return TRAVEL_OK;
}


/* \uXXXX, a pair of them, or \u{X...}: *pp is after the 'u'. */
static int
lexer_unicode(const char **pp, const char *end, uint32_t *ret_cp)
{
    uint32_t     cp, low;
    const char  *p = *pp, *close;

    if (p < end && *p == '{') {
        close = memchr(p, '}', (size_t) (end - p));

        if (close == NULL
            || lexer_hex(p + 1, close, (size_t) (close - p - 1), &cp)
               != TRAVEL_OK)
        {
            return TRAVEL_INVALID;
        }

        p = close + 1;

    } else {
        if (lexer_hex(p, end, 4, &cp) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }

        p += 4;

        if (cp >= 0xD800 && cp <= 0xDBFF && end - p >= 6 && p[0] == '\\'
            && p[1] == 'u' && lexer_hex(p + 2, end, 4, &low) == TRAVEL_OK
            && low >= 0xDC00 && low <= 0xDFFF)
        {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }

    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
        return TRAVEL_INVALID;
    }

    *pp = p;
    *ret_cp = cp;
    return TRAVEL_OK;
}


static size_t
lexer_decode_string(travel_graphql_lexer_t *lexer, char *dst)
{
    char         *d = dst;
    uint32_t      cp;
    const char   *p = lexer->text.data, *end = p + lexer->text.len, *found;

    static const char  escapes[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

    while (p < end) {

        if (*p != '\\') {
            *d++ = *p++;
            continue;
        }

        p++;
        found = p < end && *p != '\0' ? strchr(escapes, *p) : NULL;

        if (found != NULL) {
            *d++ = values[found - escapes];
            p++;
            continue;
        }

        if (p == end || *p++ != 'u' || lexer_unicode(&p, end, &cp) != TRAVEL_OK)
        {
            (void) travel_graphql_lexer_fault(lexer, "Syntax Error: Invalid "
                                              "character escape sequence.");
            return SIZE_MAX;
        }

        d += travel_utf8_put(d, cp);
    }

    return (size_t) (d - dst);
}


/* The end of the line that begins at p, and the start of the next. */
static const char *
lexer_line(const char *p, const char *end, const char **ret_next)
{
    const char  *eol = p;

    while (eol < end && *eol != '\n' && *eol != '\r') {
        eol++;
    }

    *ret_next = eol;

    if (eol < end) {
        *ret_next = eol + 1 + (*eol == '\r' && eol + 1 < end
                               && eol[1] == '\n');
    }

    return eol;
}


static size_t
lexer_indent(const char *p, const char *eol)
{
    const char  *start = p;

    while (p < eol && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return (size_t) (p - start);
}


/* The common indentation of all lines but the first goes, and blank lines at
 * both ends. */
static size_t
lexer_decode_block(travel_graphql_lexer_t *lexer, char *dst)
{
    char        *d = dst, *last;
    bool         first = true, begun = false;
    size_t       indent, common = SIZE_MAX;
    const char  *p, *eol, *next, *start, *end;

    start = lexer->text.data;
    end = start + lexer->text.len;

    for (p = start; p < end; p = next) {
        eol = lexer_line(p, end, &next);
        indent = lexer_indent(p, eol);

        if (p != start && p + indent < eol && indent < common) {
            common = indent;
        }
    }

    for (p = start; p < end; p = next, first = false) {
        eol = lexer_line(p, end, &next);
        indent = lexer_indent(p, eol);

        if (p + indent == eol && !begun) {
            continue;
        }

        if (begun) {
            *d++ = '\n';
        }

        begun = true;

        if (!first && common != SIZE_MAX) {
            p += indent < common ? indent : common;
        }

        for ( /* void */ ; p < eol; p++) {
            if (eol - p >= 4 && memcmp(p, "\\\"\"\"", 4) == 0) {
                p++;
            }

            *d++ = *p;
        }

    }

    /* trailing blank lines */

    for (last = d; last > dst; last = d) {
        while (d > dst && (d[-1] == ' ' || d[-1] == '\t')) {
            d--;
        }

        if (d > dst && d[-1] == '\n') {
            d--;
            continue;
        }

        if (d == dst) {
            break;
        }

        return (size_t) (last - dst);
    }

    return (size_t) (d - dst);
}


size_t
travel_graphql_lexer_decode(travel_graphql_lexer_t *lexer, char *dst)
{
    return lexer->kind == TRAVEL_GRAPHQL_TOKEN_BLOCK
           ? lexer_decode_block(lexer, dst) : lexer_decode_string(lexer, dst);
}
