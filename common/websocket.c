/* WebSocket frames (RFC 6455 section 5), the close codes and the handshake's
 * key. */

#include <openssl/evp.h>

#include "websocket.h"


/* --- the handshake (section 4.2.2) ---------------------------------------- */

bool
travel_ws_key_sane(travel_str_t key)
{
    size_t  i;
    char    c;

    if (key.len != 24 || key.data[22] != '=' || key.data[23] != '=') {
        return false;
    }

    for (i = 0; i < 22; i++) {
        c = key.data[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
              || (c >= '0' && c <= '9') || c == '+' || c == '/'))
        {
            return false;
        }
    }

    /* sixteen bytes leave four bits of the last character unused */
    return strchr("AQgw", key.data[21]) != NULL;
}


int
travel_ws_accept(char ret_accept[TRAVEL_WS_ACCEPT_LEN], travel_str_t key)
{
    int       ok;
    char      text[24 + 36], out[TRAVEL_WS_ACCEPT_LEN + 1];
    uint8_t   digest[EVP_MAX_MD_SIZE];
    unsigned  n;

    if (!travel_ws_key_sane(key)) {
        return TRAVEL_INVALID;
    }

    memcpy(text, key.data, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);

    ok = EVP_Digest(text, sizeof(text), digest, &n, EVP_sha1(), NULL);

    if (ok != 1 || n != 20) {
        return TRAVEL_ERROR;
    }

    (void) EVP_EncodeBlock((unsigned char *) out, digest, 20);
    memcpy(ret_accept, out, TRAVEL_WS_ACCEPT_LEN);

    return TRAVEL_OK;
}


/* --- masking (section 5.3) ------------------------------------------------ */

unsigned
travel_ws_unmask(uint8_t *p, size_t len, const uint8_t mask[4], unsigned phase)
{
    size_t    i;
    uint8_t   turned[8];
    uint64_t  m, w;

    for (i = 0; i < 8; i++) {
        turned[i] = mask[(phase + i) & 3];
    }

    memcpy(&m, turned, 8);

    for (i = 0; i + 8 <= len; i += 8) {
        memcpy(&w, p + i, 8);
        w ^= m;
        memcpy(p + i, &w, 8);
    }

    for ( ; i < len; i++) {
        p[i] ^= turned[i & 7];
    }

    return (phase + len) & 3;
}


/* --- UTF-8, as it comes --------------------------------------------------- */

/*
 * state[0]: bytes still to come; state[1]: the least that the next may be, its
 * low bit telling (0) that it may be up to 0xBF.  The first byte after a lead
 * is the only one with a range of its own: E0 A0-BF, ED 80-9F, F0 90-BF,
 * F4 80-8F.
 */
bool
travel_ws_utf8(uint8_t state[2], const uint8_t *p, size_t len)
{
    uint8_t         c, lo, hi;
    uint64_t        w;
    const uint8_t  *end = p + len;

    while (p < end) {

        if (state[0] == 0) {

            /* plain ASCII, eight at a time */
            while (end - p >= 8) {
                memcpy(&w, p, 8);

                if (w & 0x8080808080808080ull) {
                    break;
                }

                p += 8;
            }

            if (p == end) {
                return true;
            }

            c = *p++;

            if (c < 0x80) {
                continue;
            }

            if (c < 0xC2 || c > 0xF4) {
                return false;
            }

            state[0] = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
            state[1] = c;
            continue;
        }

        lo = 0x80;
        hi = 0xBF;

        switch (state[1]) {
        case 0xE0: lo = 0xA0; break;
        case 0xED: hi = 0x9F; break;
        case 0xF0: lo = 0x90; break;
        case 0xF4: hi = 0x8F; break;
        }

        if (*p < lo || *p > hi) {
            return false;
        }

        p++;
        state[0]--;
        state[1] = 0;
    }

    return true;
}


bool
travel_ws_utf8_whole(const uint8_t state[2])
{
    return state[0] == 0;
}


/* --- frames in ------------------------------------------------------------ */

void
travel_ws_reader_init(travel_ws_reader_t *r, uint64_t max, bool deflate)
{
    memset(r, 0, sizeof(*r));

    r->max = max;
    r->deflate = deflate;
}


bool
travel_ws_reader_within(const travel_ws_reader_t *r)
{
    return r->nhead > 0 || r->payload || r->message != 0;
}


static void
ws_broken(travel_ws_reader_t *r, unsigned code, const char *why,
    travel_ws_event_t *ret_event)
{
    r->broken = 1;

    ret_event->event = TRAVEL_WS_BROKEN;
    ret_event->code = code;
    ret_event->why = why;
}


/* What is wrong with the first two bytes; NULL: nothing. */
static const char *
ws_head_wrong(const travel_ws_reader_t *r)
{
    uint8_t  op, len;

    op = r->head[0] & 0x0F;
    len = r->head[1] & 0x7F;

    if (r->head[0] & 0x30) {
        return "a reserved bit is set";
    }

    if ((r->head[0] & 0x40)
        && (!r->deflate || (op != TRAVEL_WS_TEXT && op != TRAVEL_WS_BINARY)))
    {
        return "a reserved bit is set";
    }

    if ((op > TRAVEL_WS_BINARY && op < TRAVEL_WS_CLOSE) || op > TRAVEL_WS_PONG)
    {
        return "the opcode is reserved";
    }

    if (!(r->head[1] & 0x80)) {
        return "a client's frame must be masked";
    }

    if (op >= TRAVEL_WS_CLOSE) {

        if (!(r->head[0] & 0x80)) {
            return "a control frame is fragmented";
        }

        if (len > TRAVEL_WS_CONTROL_MAX) {
            return "a control frame is too long";
        }

    } else if (op == TRAVEL_WS_CONTINUATION) {

        if (r->message == 0) {
            return "there is nothing to continue";
        }

    } else if (r->message != 0) {
        return "a message begins within another";
    }

    return NULL;
}


/* All of the head is there: what it says, from now on. */
static bool
ws_head_done(travel_ws_reader_t *r, travel_ws_event_t *ret_event)
{
    unsigned  i, n;

    n = r->head[1] & 0x7F;

    if (n < 126) {
        r->left = n;
        n = 2;

    } else {
        n = n == 126 ? 4 : 10;

        for (r->left = 0, i = 2; i < n; i++) {
            r->left = r->left << 8 | r->head[i];
        }

        if (r->left >> 63) {
            ws_broken(r, TRAVEL_WS_PROTOCOL, "the length is negative",
                      ret_event);
            return false;
        }

        if (r->left < (n == 4 ? 126 : 65536)) {
            ws_broken(r, TRAVEL_WS_PROTOCOL, "the length is not minimal",
                      ret_event);
            return false;
        }
    }

    memcpy(r->mask, r->head + n, 4);

    r->fin = r->head[0] >> 7;
    r->opcode = r->head[0] & 0x0F;
    r->phase = 0;
    r->payload = 1;
    r->nhead = 0;
    r->need = 0;

    if (r->opcode >= TRAVEL_WS_CLOSE) {
        r->ncontrol = 0;
        return true;
    }

    if (r->opcode != TRAVEL_WS_CONTINUATION) {
        r->message = r->opcode;
        r->compressed = r->head[0] >> 6 & 1;
        r->size = 0;
        memset(r->utf8, 0, sizeof(r->utf8));
    }

    if (r->max != 0 && r->left > r->max - r->size) {
        ws_broken(r, TRAVEL_WS_TOO_BIG, "the message is too long", ret_event);
        return false;
    }

    r->size += r->left;
    return true;
}


/* false: no more bytes, or broken. */
static bool
ws_read_head(travel_ws_reader_t *r, uint8_t **pp, uint8_t *end,
    travel_ws_event_t *ret_event)
{
    uint8_t      n;
    const char  *why;

    while (*pp < end) {
        r->head[r->nhead++] = *(*pp)++;

        if (r->nhead == 2) {
            why = ws_head_wrong(r);

            if (why != NULL) {
                ws_broken(r, TRAVEL_WS_PROTOCOL, why, ret_event);
                return false;
            }

            n = r->head[1] & 0x7F;
            r->need = n < 126 ? 6 : n == 126 ? 8 : 14;
        }

        if (r->need != 0 && r->nhead == r->need) {
            return ws_head_done(r, ret_event);
        }
    }

    return false;
}


static void
ws_read_close(travel_ws_reader_t *r, travel_ws_event_t *ret_event)
{
    uint8_t         state[2] = { 0, 0 };
    unsigned        code;
    const uint8_t  *p = (const uint8_t *) r->control;

    if (r->ncontrol == 0) {
        ret_event->code = TRAVEL_WS_NO_STATUS;
        ret_event->data = TRAVEL_STR("");
        return;
    }

    if (r->ncontrol == 1) {
        ws_broken(r, TRAVEL_WS_PROTOCOL, "half a close code", ret_event);
        return;
    }

    code = (unsigned) p[0] << 8 | p[1];

    if (!travel_ws_code_sane(code)) {
        ws_broken(r, TRAVEL_WS_PROTOCOL, "no such close code", ret_event);
        return;
    }

    if (!travel_ws_utf8(state, p + 2, r->ncontrol - 2u)
        || !travel_ws_utf8_whole(state))
    {
        ws_broken(r, TRAVEL_WS_BAD_DATA, "the reason is not UTF-8", ret_event);
        return;
    }

    ret_event->code = code;
    ret_event->data = (travel_str_t) { r->control + 2, r->ncontrol - 2u };
}


/* false: its payload is not complete. */
static bool
ws_read_control(travel_ws_reader_t *r, uint8_t **pp, uint8_t *end,
    travel_ws_event_t *ret_event)
{
    size_t  n;

    n = (size_t) (end - *pp);

    if (n > r->left) {
        n = (size_t) r->left;
    }

    memcpy(r->control + r->ncontrol, *pp, n);
    r->phase = (uint8_t) travel_ws_unmask((uint8_t *) r->control + r->ncontrol,
                                          n, r->mask, r->phase);
    r->ncontrol = (uint8_t) (r->ncontrol + n);
    r->left -= n;
    *pp += n;

    if (r->left > 0) {
        return false;
    }

    r->payload = 0;

    ret_event->event = TRAVEL_WS_CONTROL;
    ret_event->opcode = r->opcode;
    ret_event->data = (travel_str_t) { r->control, r->ncontrol };

    if (r->opcode == TRAVEL_WS_CLOSE) {
        ws_read_close(r, ret_event);
    }

    return true;
}


/* false: there is nothing to hand on. */
static bool
ws_read_data(travel_ws_reader_t *r, uint8_t **pp, uint8_t *end,
    travel_ws_event_t *ret_event)
{
    bool      last, text;
    size_t    n;
    uint8_t  *p = *pp;

    n = (size_t) (end - p);

    if (n > r->left) {
        n = (size_t) r->left;
    }

    r->phase = (uint8_t) travel_ws_unmask(p, n, r->mask, r->phase);
    r->left -= n;
    *pp += n;

    last = r->left == 0 && r->fin;
    text = r->message == TRAVEL_WS_TEXT && !r->compressed;

    if (text && (!travel_ws_utf8(r->utf8, p, n)
                 || (last && !travel_ws_utf8_whole(r->utf8))))
    {
        ws_broken(r, TRAVEL_WS_BAD_DATA, "the text is not UTF-8", ret_event);
        return true;
    }

    ret_event->event = TRAVEL_WS_PIECE;
    ret_event->opcode = r->message;
    ret_event->compressed = r->compressed;
    ret_event->last = last;
    ret_event->data = (travel_str_t) { (char *) p, n };

    if (r->left == 0) {
        r->payload = 0;
    }

    if (last) {
        r->message = 0;
    }

    return n > 0 || !r->payload;
}


void
travel_ws_read(travel_ws_reader_t *r, uint8_t **pp, uint8_t *end,
    travel_ws_event_t *ret_event)
{
    bool  got;

    memset(ret_event, 0, sizeof(*ret_event));
    ret_event->event = TRAVEL_WS_MORE;

    if (r->broken) {
        *pp = end;
        return;
    }

    for ( ;; ) {

        if (!r->payload && !ws_read_head(r, pp, end, ret_event)) {
            return;
        }

        got = r->opcode >= TRAVEL_WS_CLOSE
              ? ws_read_control(r, pp, end, ret_event)
              : ws_read_data(r, pp, end, ret_event);

        if (got) {
            return;
        }

        ret_event->event = TRAVEL_WS_MORE;

        if (r->payload || *pp == end) {
            return;
        }
    }
}


/* --- frames out ----------------------------------------------------------- */

size_t
travel_ws_head(uint8_t dst[TRAVEL_WS_HEAD_MAX], travel_ws_opcode_e opcode,
    bool compressed, uint64_t len)
{
    unsigned  i;

    dst[0] = (uint8_t) (0x80 | (compressed ? 0x40 : 0) | opcode);

    if (len < 126) {
        dst[1] = (uint8_t) len;
        return 2;
    }

    if (len < 65536) {
        dst[1] = 126;
        dst[2] = (uint8_t) (len >> 8);
        dst[3] = (uint8_t) len;
        return 4;
    }

    dst[1] = 127;

    for (i = 0; i < 8; i++) {
        dst[2 + i] = (uint8_t) (len >> (56 - 8 * i));
    }

    return 10;
}


bool
travel_ws_code_sane(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
           || (code >= 3000 && code <= 4999);
}


size_t
travel_ws_close(char dst[TRAVEL_WS_CONTROL_MAX], unsigned code,
    travel_str_t reason)
{
    size_t  n;

    if (code == TRAVEL_WS_NO_STATUS) {
        return 0;
    }

    n = reason.len;

    if (n > TRAVEL_WS_CONTROL_MAX - 2) {
        n = TRAVEL_WS_CONTROL_MAX - 2;

        while (n > 0 && ((uint8_t) reason.data[n] & 0xC0) == 0x80) {
            n--;
        }
    }

    dst[0] = (char) (code >> 8);
    dst[1] = (char) code;

    if (n > 0) {
        memcpy(dst + 2, reason.data, n);
    }

    return n + 2;
}
