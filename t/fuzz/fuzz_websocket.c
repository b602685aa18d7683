/* A client's bytes as WebSocket frames: however they are cut, the same comes
 * of them; and as a list of extensions, and as deflated data. */

#include <stdint.h>
#include <stdlib.h>

#include "websocket.h"
#include "websocket_deflate.h"


static void
check(bool ok)
{
    if (!ok) {
        abort();
    }
}


/* Hashes what is read, step bytes at a time. */
static uint64_t
run(const uint8_t *data, size_t n, size_t step)
{
    size_t              at, i, len;
    uint8_t            *copy, *p, *end;
    uint64_t            h = 1469598103934665603u, m = 1;
    travel_ws_event_t   ev;
    travel_ws_reader_t  r;

    travel_ws_reader_init(&r, 4096, n % 2);

    for (at = 0; at < n; at += step) {
        len = n - at < step ? n - at : step;
        copy = malloc(len);
        memcpy(copy, data + at, len);
        p = copy;
        end = copy + len;

        do {
            travel_ws_read(&r, &p, end, &ev);
            check(p <= end);

            for (i = 0; ev.event == TRAVEL_WS_PIECE && i < ev.data.len; i++) {
                m = (m ^ (uint8_t) ev.data.data[i]) * 1099511628211u;
            }

            if (ev.event == TRAVEL_WS_CONTROL) {
                h = (h ^ ev.code) * 1099511628211u;

            } else if (ev.last) {
                h = (h ^ m ^ ev.event ^ (uint64_t) ev.opcode << 8)
                    * 1099511628211u;
                m = 1;
            }

            check(ev.event != TRAVEL_WS_PIECE
                  || ev.opcode == TRAVEL_WS_TEXT
                  || ev.opcode == TRAVEL_WS_BINARY);

        } while (ev.event != TRAVEL_WS_MORE && ev.event != TRAVEL_WS_BROKEN);

        free(copy);

        if (ev.event == TRAVEL_WS_BROKEN) {
            return h * 31 + ev.code;
        }
    }

    return h;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                        answer[TRAVEL_WS_DEFLATE_MAX];
    size_t                      len;
    uint64_t                    whole;
    travel_str_t                s, out, back;
    travel_ws_deflate_t         deal;
    static travel_ws_packer_t  *a, *b;

    if (a == NULL) {
        a = travel_ws_packer_create();
        b = travel_ws_packer_create();
    }

    s = (travel_str_t) { (const char *) data, n };

    if (n > 0) {
        whole = run(data, n, n);
        check(whole == run(data, n, 1) && whole == run(data, n, 7));
    }

    if (travel_ws_deflate_agree(s, &deal, answer, &len) == TRAVEL_OK) {
        check(deal.window >= 9 && deal.window <= 15 && len < sizeof(answer));
    }

    if (travel_ws_inflate(a, s, 20000, &out) == TRAVEL_OK) {
        check(out.len <= 20000);

        deal.window = (uint8_t) (9 + n % 7);
        check(travel_ws_deflate(b, &deal, out, &back) == TRAVEL_OK);
        check(travel_ws_inflate(a, back, 20000, &back) == TRAVEL_OK);
    }

    return 0;
}
