/* permessage-deflate: the negotiation of RFC 7692 section 7.1, and section
 * 7.2's packing and unpacking of whole messages by zlib. */

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "http_token.h"
#include "websocket_deflate.h"

#define WS_PACKER_KEEP  65536           /* a larger buffer is given back */

struct travel_ws_packer_s {
    z_stream   in;
    z_stream   out;
    int        window;                  /* out's; 0: not made */
    bool       in_made;
    char      *data;
    size_t     room;
};


/* --- the deal ------------------------------------------------------------- */

typedef struct {
    const char  *p;
    const char  *end;
} ws_list_t;


static void
ws_blank(ws_list_t *l)
{
    while (l->p < l->end && (*l->p == ' ' || *l->p == '\t')) {
        l->p++;
    }
}


static bool
ws_take(ws_list_t *l, char c)
{
    ws_blank(l);

    if (l->p < l->end && *l->p == c) {
        l->p++;
        ws_blank(l);
        return true;
    }

    return false;
}


static bool
ws_token(ws_list_t *l, travel_str_t *ret_token)
{
    const char  *from = l->p;

    while (l->p < l->end && travel_http_tchar(*l->p)) {
        l->p++;
    }

    *ret_token = (travel_str_t) { from, (size_t) (l->p - from) };
    return l->p > from;
}


/* A token, or a quoted string that holds one (section 9.1 of RFC 6455). */
static bool
ws_value(ws_list_t *l, travel_str_t *ret_value)
{
    bool  quoted;

    quoted = ws_take(l, '"');

    if (!ws_token(l, ret_value)) {
        return false;
    }

    return !quoted || (l->p < l->end && *l->p++ == '"');
}


/* 8 to 15 without a leading zero; 0: it is not. */
static unsigned
ws_bits(travel_str_t v)
{
    if (v.len == 1 && (v.data[0] == '8' || v.data[0] == '9')) {
        return (unsigned) (v.data[0] - '0');
    }

    if (v.len == 2 && v.data[0] == '1' && v.data[1] >= '0'
        && v.data[1] <= '5')
    {
        return 10u + (unsigned) (v.data[1] - '0');
    }

    return 0;
}


typedef struct {
    unsigned  seen;                     /* a bit per parameter */
    unsigned  window;                   /* server_max_window_bits */
    bool      good;
} ws_offer_t;


static void
ws_parameter(ws_offer_t *o, travel_str_t name, const travel_str_t *value)
{
    unsigned  i, bits;

    static const char *const  names[] = {
        "server_no_context_takeover", "client_no_context_takeover",
        "server_max_window_bits", "client_max_window_bits"
    };

    for (i = 0; i < 4; i++) {
        if (travel_str_eq(name, (travel_str_t) { names[i], strlen(names[i]) }))
        {
            break;
        }
    }

    if (i == 4 || (o->seen & 1u << i)) {
        o->good = false;
        return;
    }

    o->seen |= 1u << i;

    if (i < 2) {
        o->good = o->good && value == NULL;
        return;
    }

    if (value == NULL) {
        o->good = o->good && i == 3;
        return;
    }

    bits = ws_bits(*value);

    if (bits == 0) {
        o->good = false;

    } else if (i == 2) {
        /* zlib has no raw window of 256 bytes */
        o->good = o->good && bits > 8;
        o->window = bits;
    }
}


/* One extension with its parameters; false: the list is malformed. */
static bool
ws_extension(ws_list_t *l, ws_offer_t *ret_offer)
{
    bool          has;
    travel_str_t  name, value;
    ws_offer_t    o = { 0, 0, true };

    if (!ws_token(l, &name)) {
        return false;
    }

    if (!travel_str_eq(name, TRAVEL_STR("permessage-deflate"))) {
        o.good = false;
    }

    while (ws_take(l, ';')) {

        if (!ws_token(l, &name)) {
            return false;
        }

        has = ws_take(l, '=');

        if (has && !ws_value(l, &value)) {
            return false;
        }

        ws_parameter(&o, name, has ? &value : NULL);
    }

    *ret_offer = o;
    return true;
}


int
travel_ws_deflate_agree(travel_str_t offers, travel_ws_deflate_t *ret_deal,
    char ret_answer[TRAVEL_WS_DEFLATE_MAX], size_t *ret_len)
{
    int         n;
    bool        found = false;
    ws_list_t   l = { offers.data, offers.data + offers.len };
    ws_offer_t  offer, taken = { 0, 0, false };

    ws_blank(&l);

    while (l.p < l.end) {

        if (ws_take(&l, ',')) {
            continue;
        }

        if (!ws_extension(&l, &offer)) {
            return TRAVEL_INVALID;
        }

        if (offer.good && !found) {
            found = true;
            taken = offer;
        }

        ws_blank(&l);

        if (l.p < l.end && *l.p != ',') {
            return TRAVEL_INVALID;
        }
    }

    if (!found) {
        return TRAVEL_REFUSED;
    }

    n = snprintf(ret_answer, TRAVEL_WS_DEFLATE_MAX,
                 "permessage-deflate; server_no_context_takeover; "
                 "client_no_context_takeover");

    if (taken.window != 0) {
        n += snprintf(ret_answer + n, (size_t) (TRAVEL_WS_DEFLATE_MAX - n),
                      "; server_max_window_bits=%u", taken.window);
    }

    ret_deal->window = (uint8_t) (taken.window != 0 ? taken.window : 15);
    *ret_len = (size_t) n;

    return TRAVEL_OK;
}


/* --- packing -------------------------------------------------------------- */

travel_ws_packer_t *
travel_ws_packer_create(void)
{
    return calloc(1, sizeof(travel_ws_packer_t));
}


void
travel_ws_packer_free(travel_ws_packer_t *packer)
{
    if (packer == NULL) {
        return;
    }

    if (packer->in_made) {
        (void) inflateEnd(&packer->in);
    }

    if (packer->window != 0) {
        (void) deflateEnd(&packer->out);
    }

    free(packer->data);
    free(packer);
}


/* Room for at least 'want' bytes; what is there is kept when 'used'. */
static int
ws_room(travel_ws_packer_t *packer, size_t want, size_t used)
{
    char  *data;

    if (packer->room >= want
        && !(used == 0 && packer->room > WS_PACKER_KEEP
             && want <= WS_PACKER_KEEP))
    {
        return TRAVEL_OK;
    }

    if (used == 0) {
        free(packer->data);
        packer->data = NULL;
        packer->room = 0;
    }

    data = realloc(packer->data, want);

    if (data == NULL) {
        return TRAVEL_ERROR;
    }

    packer->data = data;
    packer->room = want;

    return TRAVEL_OK;
}


/* Inflates one run of input to its end. */
static int
ws_inflate_run(travel_ws_packer_t *packer, travel_str_t in, size_t max,
    size_t *used)
{
    int        rc;
    size_t     room;
    z_stream  *z = &packer->in;

    z->next_in = (Bytef *) (uintptr_t) in.data;
    z->avail_in = (uInt) in.len;

    for ( ;; ) {

        if (*used == packer->room) {
            room = packer->room * 2;

            /* one byte more tells that it is too much */
            if (room > max + 1) {
                room = max + 1;
            }

            if (ws_room(packer, room, *used) != TRAVEL_OK) {
                return TRAVEL_ERROR;
            }
        }

        z->next_out = (Bytef *) packer->data + *used;
        z->avail_out = (uInt) (packer->room - *used);

        rc = inflate(z, Z_SYNC_FLUSH);
        *used = packer->room - z->avail_out;

        if (rc == Z_MEM_ERROR) {
            return TRAVEL_ERROR;
        }

        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return TRAVEL_INVALID;
        }

        if (*used > max) {
            return TRAVEL_REFUSED;
        }

        if (rc == Z_STREAM_END) {
            /* a final block: more may follow as a stream of its own */
            if (inflateReset(z) != Z_OK) {
                return TRAVEL_ERROR;
            }

            if (z->avail_in == 0) {
                return TRAVEL_OK;
            }

            continue;
        }

        if (z->avail_in == 0 && z->avail_out > 0) {
            return TRAVEL_OK;
        }

        if (rc == Z_BUF_ERROR && z->avail_out > 0) {
            return TRAVEL_INVALID;
        }
    }
}


int
travel_ws_inflate(travel_ws_packer_t *packer, travel_str_t in, size_t max,
    travel_str_t *ret_out)
{
    int     rc;
    size_t  used, first;

    if (in.len > 0x7FFFFFFF || max > 0x7FFFFFFF) {
        return TRAVEL_REFUSED;
    }

    if (!packer->in_made) {
        if (inflateInit2(&packer->in, -15) != Z_OK) {
            return TRAVEL_ERROR;
        }

        packer->in_made = true;

    } else if (inflateReset(&packer->in) != Z_OK) {
        return TRAVEL_ERROR;
    }

    first = in.len < 1024 ? 4096 : 4 * in.len;

    if (first > max + 1) {
        first = max + 1;
    }

    if (ws_room(packer, first, 0) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    used = 0;
    rc = ws_inflate_run(packer, in, max, &used);

    if (rc == TRAVEL_OK) {
        rc = ws_inflate_run(packer, TRAVEL_STR("\0\0\xff\xff"), max, &used);
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    *ret_out = (travel_str_t) { packer->data, used };
    return TRAVEL_OK;
}


int
travel_ws_deflate(travel_ws_packer_t *packer, const travel_ws_deflate_t *deal,
    travel_str_t in, travel_str_t *ret_out)
{
    int        rc;
    size_t     bound;
    z_stream  *z = &packer->out;

    if (in.len > 0x7FFFFFFF) {
        return TRAVEL_ERROR;
    }

    if (packer->window != 0 && packer->window != deal->window) {
        (void) deflateEnd(z);
        packer->window = 0;
    }

    if (packer->window == 0) {
        memset(z, 0, sizeof(*z));

        if (deflateInit2(z, 1, Z_DEFLATED, -(int) deal->window, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
        {
            return TRAVEL_ERROR;
        }

        packer->window = deal->window;

    } else if (deflateReset(z) != Z_OK) {
        return TRAVEL_ERROR;
    }

    bound = deflateBound(z, (uLong) in.len) + 16;

    if (ws_room(packer, bound, 0) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    z->next_in = (Bytef *) (uintptr_t) in.data;
    z->avail_in = (uInt) in.len;
    z->next_out = (Bytef *) packer->data;
    z->avail_out = (uInt) packer->room;

    rc = deflate(z, Z_SYNC_FLUSH);

    if ((rc != Z_OK && rc != Z_BUF_ERROR) || z->avail_in > 0
        || z->avail_out == 0)
    {
        return TRAVEL_ERROR;
    }

    bound = packer->room - z->avail_out;

    if (bound < 4) {
        /* nothing to flush: an empty message */
        packer->data[0] = '\0';
        bound = 5;
    }

    /* the empty block of the flush is not sent */
    *ret_out = (travel_str_t) { packer->data, bound - 4 };
    return TRAVEL_OK;
}
