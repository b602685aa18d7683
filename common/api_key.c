/* The text of API keys. */

#include <string.h>

#include "api_key.h"
#include "base64url.h"

#define API_KEY_HEAD  (sizeof(TRAVEL_API_KEY_PREFIX) - 1)


int
travel_api_key_parse(travel_str_t *ret_id, travel_str_t text)
{
    size_t         i, len;
    uint8_t        secret[TRAVEL_API_KEY_SECRET];
    travel_str_t   part;

    if (text.len != TRAVEL_API_KEY_LEN
        || memcmp(text.data, TRAVEL_API_KEY_PREFIX, API_KEY_HEAD) != 0
        || text.data[API_KEY_HEAD + TRAVEL_API_KEY_ID_LEN] != '_')
    {
        return TRAVEL_INVALID;
    }

    ret_id->data = text.data + API_KEY_HEAD;
    ret_id->len = TRAVEL_API_KEY_ID_LEN;

    for (i = 0; i < ret_id->len; i++) {
        if (strchr("0123456789abcdef", ret_id->data[i]) == NULL
            || ret_id->data[i] == '\0')
        {
            return TRAVEL_INVALID;
        }
    }

    part.data = ret_id->data + TRAVEL_API_KEY_ID_LEN + 1;
    part.len = text.len - (size_t) (part.data - text.data);

    return travel_base64url_decode(secret, &len, part);
}


void
travel_api_key_format(char *dst, const uint8_t id[8],
    const uint8_t secret[TRAVEL_API_KEY_SECRET])
{
    memcpy(dst, TRAVEL_API_KEY_PREFIX, API_KEY_HEAD);
    dst += API_KEY_HEAD;

    travel_hex_encode(dst, id, 8);
    dst += TRAVEL_API_KEY_ID_LEN;

    *dst++ = '_';
    travel_base64url_encode(dst, secret, TRAVEL_API_KEY_SECRET);
}
