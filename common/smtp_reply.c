/* What a mail server's reply means for the mail. */

#include "smtp_reply.h"


/* A number of at most three digits; how many it has, 0: none. */
static size_t
smtp_number(travel_str_t text, unsigned *ret_n)
{
    size_t    i;
    unsigned  n;

    n = 0;

    for (i = 0; i < text.len && i < 3; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            break;
        }

        n = n * 10 + (unsigned) (text.data[i] - '0');
    }

    *ret_n = n;
    return i;
}


/* "5.1.1" at the beginning of a text (RFC 3463: class, subject, detail), of
 * the same class as the code. */
static void
smtp_enhanced(travel_smtp_reply_t *reply, travel_str_t text)
{
    size_t    i, n;
    unsigned  part[3];

    for (i = 0; i < 3; i++) {
        n = smtp_number(text, &part[i]);

        if (n == 0 || (i < 2 && (n >= text.len || text.data[n] != '.'))) {
            return;
        }

        n += i < 2;
        text = (travel_str_t) { text.data + n, text.len - n };
    }

    if (part[0] != reply->code / 100
        || (text.len > 0 && text.data[0] != ' '))
    {
        return;
    }

    reply->class = part[0];
    reply->subject = part[1];
    reply->detail = part[2];
}


int
travel_smtp_reply_parse(travel_smtp_reply_t *ret_reply, travel_str_t line)
{
    travel_smtp_reply_t  reply = { 0, 0, 0, 0 };

    while (line.len > 0 && (line.data[line.len - 1] == '\n'
                            || line.data[line.len - 1] == '\r'))
    {
        line.len--;
    }

    if (smtp_number(line, &reply.code) != 3 || reply.code < 200
        || reply.code > 599
        || (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-'))
    {
        return TRAVEL_INVALID;
    }

    if (line.len > 4) {
        smtp_enhanced(&reply, (travel_str_t) { line.data + 4, line.len - 4 });
    }

    *ret_reply = reply;
    return TRAVEL_OK;
}


/* A 5xx that says what it is about (RFC 3463 sections 3.2 to 3.8). */
static travel_smtp_bounce_e
smtp_judge_enhanced(const travel_smtp_reply_t *reply)
{
    switch (reply->subject) {

    case 1:
        /* the address; x.1.7 and x.1.8 are about the sender's */
        return reply->detail != 7 && reply->detail != 8
               ? TRAVEL_SMTP_HARD : TRAVEL_SMTP_REFUSED;

    case 2:
        /* the mailbox: disabled for good, or full for now */
        return reply->detail == 1 ? TRAVEL_SMTP_HARD
               : reply->detail == 2 ? TRAVEL_SMTP_SOFT : TRAVEL_SMTP_REFUSED;

    case 4:
        /* no route, no answer: networks recover */
        return TRAVEL_SMTP_SOFT;

    default:
        return TRAVEL_SMTP_REFUSED;
    }
}


travel_smtp_bounce_e
travel_smtp_judge(const travel_smtp_reply_t *reply, travel_smtp_stage_e stage)
{
    if (reply->code < 400) {
        return TRAVEL_SMTP_ACCEPTED;
    }

    if (reply->code < 500 || stage == TRAVEL_SMTP_SESSION) {
        return TRAVEL_SMTP_SOFT;
    }

    if (reply->class != 0) {
        return smtp_judge_enhanced(reply);
    }

    switch (reply->code) {

    case 550:
    case 551:
    case 553:
        /* of a recipient: no such; of a mail: its contents */
        return stage == TRAVEL_SMTP_RCPT ? TRAVEL_SMTP_HARD
                                         : TRAVEL_SMTP_REFUSED;

    case 552:
        return stage == TRAVEL_SMTP_RCPT ? TRAVEL_SMTP_SOFT
                                         : TRAVEL_SMTP_REFUSED;

    case 530:
    case 534:
    case 535:
    case 538:
        return TRAVEL_SMTP_SOFT;        /* who we are: configuration */

    default:
        return TRAVEL_SMTP_REFUSED;
    }
}


const char *
travel_smtp_bounce_name(travel_smtp_bounce_e bounce)
{
    static const char *const  names[] = { "accepted", "soft", "refused",
                                          "hard" };

    return names[bounce];
}
