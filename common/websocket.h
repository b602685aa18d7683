/*
 * The WebSocket protocol (RFC 6455): handshake key, frames in, frames out.
 *
 * A reader eats a client's bytes as they come, in pieces of any size, and
 * keeps nothing but its own few bytes of state: payload is unmasked where it
 * lies and handed on as pieces; control payloads (125 bytes at most) are
 * gathered inside.  Text is checked to be UTF-8 as it comes, so that a wrong
 * byte ends the connection before the message does; compressed text can only
 * be checked when it has been inflated, by who does that.
 *
 * Whatever breaks the protocol is an event of its own, with the close code
 * that section 7.4.1 has for it; nothing may be read after it.
 */

#ifndef TRAVEL_WEBSOCKET_H
#define TRAVEL_WEBSOCKET_H

#include "travel.h"

#define TRAVEL_WS_ACCEPT_LEN   28
#define TRAVEL_WS_CONTROL_MAX  125
#define TRAVEL_WS_HEAD_MAX     10       /* of a frame without a mask */

/* Close codes (section 7.4.1 and the registry of section 11.7). */
#define TRAVEL_WS_NORMAL       1000
#define TRAVEL_WS_GOING_AWAY   1001
#define TRAVEL_WS_PROTOCOL     1002
#define TRAVEL_WS_UNSUPPORTED  1003
#define TRAVEL_WS_NO_STATUS    1005     /* never on the wire */
#define TRAVEL_WS_ABNORMAL     1006     /* never on the wire */
#define TRAVEL_WS_BAD_DATA     1007
#define TRAVEL_WS_POLICY       1008
#define TRAVEL_WS_TOO_BIG      1009
#define TRAVEL_WS_INTERNAL     1011
#define TRAVEL_WS_RESTART      1012
#define TRAVEL_WS_TRY_LATER    1013

typedef enum {
    TRAVEL_WS_CONTINUATION = 0,
    TRAVEL_WS_TEXT = 1,
    TRAVEL_WS_BINARY = 2,
    TRAVEL_WS_CLOSE = 8,
    TRAVEL_WS_PING = 9,
    TRAVEL_WS_PONG = 10
} travel_ws_opcode_e;

typedef enum {
    TRAVEL_WS_MORE,            /* all bytes are eaten */
    TRAVEL_WS_PIECE,           /* of a message; 'last' ends it */
    TRAVEL_WS_CONTROL,         /* a whole ping, pong or close */
    TRAVEL_WS_BROKEN           /* 'code' and 'why' */
} travel_ws_event_e;

typedef struct {
    travel_ws_event_e   event;
    travel_ws_opcode_e  opcode;     /* of the message, or of the control */
    bool                compressed; /* PIECE: RSV1 was set on its first frame */
    bool                last;       /* PIECE: the message is complete */
    travel_str_t        data;       /* lives until the next call */
    unsigned            code;       /* BROKEN; CLOSE: 1005 when it says none */
    const char         *why;        /* BROKEN: a short sentence */
} travel_ws_event_t;

typedef struct {
    uint64_t   left;                /* of this frame's payload */
    uint64_t   size;                /* of this message so far */
    uint64_t   max;                 /* a message may have; 0: any size */
    uint8_t    mask[4];
    uint8_t    head[14];
    uint8_t    nhead;
    uint8_t    need;                /* bytes of head; 0: not known yet */
    uint8_t    phase;               /* of the mask */
    uint8_t    opcode;              /* of this frame */
    uint8_t    message;             /* opcode of the message; 0: none */
    uint8_t    utf8[2];             /* a sequence that is not complete */
    uint8_t    ncontrol;
    unsigned   fin:1;
    unsigned   compressed:1;        /* the message is */
    unsigned   deflate:1;           /* RSV1 is agreed upon */
    unsigned   payload:1;           /* the head has been read */
    unsigned   broken:1;
    char       control[TRAVEL_WS_CONTROL_MAX];
} travel_ws_reader_t;

/* 'max': bytes of a message as it comes; 'deflate': permessage-deflate was
 * negotiated. */
void travel_ws_reader_init(travel_ws_reader_t *r, uint64_t max, bool deflate);

/*
 * Eats bytes of [*pp, end), unmasking them, up to one event.  Call again until
 * MORE.  A frame that is empty makes a piece that is: who counts what comes
 * must see it.
 */
void travel_ws_read(travel_ws_reader_t *r, uint8_t **pp, uint8_t *end,
    travel_ws_event_t *ret_event);

/* Has a frame or a message begun that is not complete? */
bool travel_ws_reader_within(const travel_ws_reader_t *r);

/*
 * Incremental UTF-8 (RFC 3629): 'state' begins as zeroes.  false: these bytes
 * can not be; at the end of a text, travel_ws_utf8_whole() must hold.
 */
bool travel_ws_utf8(uint8_t state[2], const uint8_t *p, size_t len);
bool travel_ws_utf8_whole(const uint8_t state[2]);

/* The head of an unmasked frame, as servers send; bytes written. */
size_t travel_ws_head(uint8_t dst[TRAVEL_WS_HEAD_MAX],
    travel_ws_opcode_e opcode, bool compressed, uint64_t len);

/* May this code be in a close frame? (section 7.4) */
bool travel_ws_code_sane(unsigned code);

/* The payload of a close frame, the reason cut where it must be, between two
 * characters; bytes written, at most TRAVEL_WS_CONTROL_MAX. */
size_t travel_ws_close(char dst[TRAVEL_WS_CONTROL_MAX], unsigned code,
    travel_str_t reason);

/* Is this a Sec-WebSocket-Key: base64 of 16 bytes? */
bool travel_ws_key_sane(travel_str_t key);
/* Sec-WebSocket-Accept for it. */
int travel_ws_accept(char ret_accept[TRAVEL_WS_ACCEPT_LEN], travel_str_t key)
    TRAVEL_MUST_CHECK;

/* XORs the mask over bytes, a word at a time, from 'phase' (0-3) on; the phase
 * of what follows is returned. */
unsigned travel_ws_unmask(uint8_t *p, size_t len, const uint8_t mask[4],
    unsigned phase);

#endif
