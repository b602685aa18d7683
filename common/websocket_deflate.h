/*
 * permessage-deflate (RFC 7692): what is agreed upon, and one message packed
 * or unpacked.
 *
 * We always ask for no_context_takeover in both directions: then nothing has
 * to be kept between two messages, and one packer and one unpacker serve all
 * connections of a process, however many there are.
 */

#ifndef TRAVEL_WEBSOCKET_DEFLATE_H
#define TRAVEL_WEBSOCKET_DEFLATE_H

#include "travel.h"

#define TRAVEL_WS_DEFLATE_MAX  128      /* bytes of our side of the deal */

typedef struct {
    uint8_t  window;                    /* bits that we may use: 9 to 15 */
} travel_ws_deflate_t;

/*
 * Sec-WebSocket-Extensions as the client has it (several lines joined by
 * commas): the first offer that we can take.  TRAVEL_OK with the answer's
 * value; TRAVEL_REFUSED: there is none, and nothing is answered;
 * TRAVEL_INVALID: the header is no list of extensions.
 */
int travel_ws_deflate_agree(travel_str_t offers, travel_ws_deflate_t *ret_deal,
    char ret_answer[TRAVEL_WS_DEFLATE_MAX], size_t *ret_len) TRAVEL_MUST_CHECK;

typedef struct travel_ws_packer_s  travel_ws_packer_t;

travel_ws_packer_t *travel_ws_packer_create(void);      /* NULL: no memory */
void travel_ws_packer_free(travel_ws_packer_t *packer);

/* The result lives in the packer until the next call of either.
 *
 * inflate: TRAVEL_REFUSED: more than 'max' bytes came of it; TRAVEL_INVALID:
 * it is no deflated data. */
int travel_ws_inflate(travel_ws_packer_t *packer, travel_str_t in, size_t max,
    travel_str_t *ret_out) TRAVEL_MUST_CHECK;
int travel_ws_deflate(travel_ws_packer_t *packer,
    const travel_ws_deflate_t *deal, travel_str_t in, travel_str_t *ret_out)
    TRAVEL_MUST_CHECK;

#endif
