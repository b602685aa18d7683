/* A mail as it goes over the wire: headers, and a body that is quoted so that
 * no server on the way can spoil it. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mail_text.h"

#define TEXT_COLUMNS  73                /* of a quoted line, before its "=" */
#define TEXT_WORD     45                /* bytes of an encoded word */
#define TEXT_LINE     900               /* of a header; RFC 5322: below 998 */


static bool
text_header(FILE *f, const char *name, const char *value)
{
    if (strpbrk(value, "\r\n") != NULL) {
        return false;
    }

    fprintf(f, "%s: %s\r\n", name, value);
    return true;
}


/* RFC 2047: UTF-8 in encoded words, cut between characters and folded; plain
 * ASCII goes as it is, unless that is longer than a line may be. */
static bool
text_subject(FILE *f, const char *text)
{
    size_t       i, n, len;
    uint32_t     v;
    const char  *p, *apart;

    static const char  b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (p = text; *p != '\0' && (uint8_t) *p < 0x80; p++) { /* void */ }

    if (*p == '\0' && p - text <= TEXT_LINE) {
        return text_header(f, "Subject", text);
    }

    fputs("Subject:", f);
    apart = " ";

    for (len = strlen(text); len > 0; text += n, len -= n) {
        n = len < TEXT_WORD ? len : TEXT_WORD;

        while (n < len && n > 1 && ((uint8_t) text[n] & 0xc0) == 0x80) {
            n--;
        }

        fprintf(f, "%s=?UTF-8?B?", apart);
        apart = "\r\n ";

        for (i = 0; i < n; i += 3) {
            v = (uint32_t) (uint8_t) text[i] << 16
                | (i + 1 < n ? (uint32_t) (uint8_t) text[i + 1] << 8 : 0)
                | (i + 2 < n ? (uint32_t) (uint8_t) text[i + 2] : 0);
            fputc(b64[v >> 18], f);
            fputc(b64[v >> 12 & 63], f);
            fputc(i + 1 < n ? b64[v >> 6 & 63] : '=', f);
            fputc(i + 2 < n ? b64[v & 63] : '=', f);
        }

        fputs("?=", f);
    }

    fputs("\r\n", f);
    return true;
}


static void
text_date(FILE *f)
{
    time_t      now;
    struct tm   tm;

    static const char  *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
                                         "Fri", "Sat" };
    static const char  *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
                                           "Jun", "Jul", "Aug", "Sep", "Oct",
                                           "Nov", "Dec" };

    now = time(NULL);
    gmtime_r(&now, &tm);
    fprintf(f, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n",
            days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
            tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}


static bool
text_headers(FILE *f, const char *from, const worker_mail_t *mail,
    const travel_trace_t *trace)
{
    char  id[256], tp[TRAVEL_TRACEPARENT_LEN + 1];

    snprintf(id, sizeof(id), "<%.250s>", mail->message_id);
    text_date(f);

    if (!text_header(f, "From", from) || !text_header(f, "To", mail->to)
        || !text_subject(f, mail->subject)
        || !text_header(f, "Message-ID", id)
        || !text_header(f, "Auto-Submitted", "auto-generated"))
    {
        return false;
    }

    if (trace != NULL) {
        travel_traceparent_format(tp, trace);
        tp[TRAVEL_TRACEPARENT_LEN] = '\0';
        fprintf(f, "traceparent: %s\r\n", tp);
    }

    fputs("MIME-Version: 1.0\r\n", f);
    return true;
}


/* May it stand for itself?  A dot that begins a line would be doubled by one
 * and not undone by another; a blank that ends one would be lost. */
static bool
text_plain(const char *p, size_t column)
{
    if (*p == ' ' || *p == '\t') {
        return p[1] != '\n' && p[1] != '\r' && p[1] != '\0';
    }

    return *p > ' ' && *p < 0x7f && *p != '=' && !(*p == '.' && column == 0);
}


/* RFC 2045 section 6.7: quoted-printable. */
static void
text_quoted(FILE *f, const char *p)
{
    size_t  column;

    for (column = 0; *p != '\0'; p++) {
        if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
            p += *p == '\r';
            fputs("\r\n", f);
            column = 0;
            continue;
        }

        if (column >= TEXT_COLUMNS) {
            fputs("=\r\n", f);
            column = 0;
        }

        if (text_plain(p, column)) {
            fputc(*p, f);
            column++;
        } else {
            fprintf(f, "=%02X", (uint8_t) *p);
            column += 3;
        }
    }

    if (column > 0) {
        fputs("\r\n", f);
    }
}


static void
text_part(FILE *f, const char *type, const char *text)
{
    fprintf(f, "Content-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n", type);
    text_quoted(f, text);
}


/* What parts them cannot stand in them: "=_" is not quoted-printable. */
static void
text_body(FILE *f, const worker_mail_t *mail)
{
    if (mail->html == NULL) {
        text_part(f, "text/plain", mail->text);
        return;
    }

    fputs("Content-Type: multipart/alternative; boundary=\"=_travel\"\r\n\r\n"
          "--=_travel\r\n", f);
    text_part(f, "text/plain", mail->text);
    fputs("\r\n--=_travel\r\n", f);
    text_part(f, "text/html", mail->html);
    fputs("\r\n--=_travel--\r\n", f);
}


int
worker_mail_text(char **ret_text, size_t *ret_len, const char *from,
    const worker_mail_t *mail, const travel_trace_t *trace)
{
    bool     good;
    char    *text;
    FILE    *f;
    size_t   len;

    text = NULL;
    f = open_memstream(&text, &len);

    if (f == NULL) {
        return TRAVEL_ERROR;
    }

    good = text_headers(f, from, mail, trace);

    if (good) {
        text_body(f, mail);
        fputs(".\r\n", f);
    }

    if (fclose(f) != 0 || !good) {
        free(text);
        return good ? TRAVEL_ERROR : TRAVEL_INVALID;
    }

    *ret_text = text;
    *ret_len = len;
    return TRAVEL_OK;
}
