/* Hops: whatever the header, the walk ends, and at an address that prints. */

#include <stdlib.h>

#include "address.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char              buf[TRAVEL_ADDRESS_TEXT_LEN + 1];
    size_t            hops, len;
    travel_str_t      lines[2], text;
    travel_address_t  address, again;
    travel_network_t  all;

    text.data = (const char *) data;
    text.len = n;

    if (travel_network_parse(&all, text) == TRAVEL_OK) {
        (void) travel_network_holds(&all, &all.address);
    }

    if (travel_network_parse(&all, TRAVEL_STR("::/0")) != TRAVEL_OK
        || travel_address_parse(&address, TRAVEL_STR("10.0.0.1"))
           != TRAVEL_OK)
    {
        abort();
    }

    lines[0].data = text.data;
    lines[0].len = n / 2;
    lines[1].data = text.data + n / 2;
    lines[1].len = n - n / 2;

    again = address;

    hops = travel_forwarded_client(&address, TRAVEL_FORWARDED_X, lines, 2,
                                   &all, 1);
    if (hops > n) {
        abort();
    }

    hops = travel_forwarded_client(&again, TRAVEL_FORWARDED_RFC7239, lines, 2,
                                   &all, 1);
    if (hops > n) {
        abort();
    }

    len = travel_address_format(buf, &again);
    text.data = buf;
    text.len = len;

    if (travel_address_parse(&address, text) != TRAVEL_OK
        || memcmp(&address, &again, sizeof(address)) != 0)
    {
        abort();
    }

    return 0;
}
