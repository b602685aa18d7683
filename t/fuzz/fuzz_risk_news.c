/* Sightings from a stream: unsigned ones are refused; signed here, what they
 * say must be possible, and come out the same again. */

#include "hash.h"
#include "risk_news.h"

#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                     bytes[TRAVEL_RISK_NEWS_LEN];
    char                     again[TRAVEL_RISK_NEWS_LEN];
    uint8_t                  md[TRAVEL_SHA256_LEN];
    travel_str_t             text = { (const char *) data, size };
    travel_uuid_t            user;
    travel_risk_sighting_t   s;

    (void) travel_risk_news_decode(&user, &s, text, TRAVEL_STR("key"));

    if (size < sizeof(bytes)) {
        return 0;
    }

    memcpy(bytes, data, sizeof(bytes));

    if (travel_hmac_sha256(md, TRAVEL_STR("key"),
                           (travel_str_t) { bytes, sizeof(bytes) - 8 })
        != TRAVEL_OK)
    {
        return 0;
    }

    memcpy(bytes + sizeof(bytes) - 8, md, 8);
    text = (travel_str_t) { bytes, sizeof(bytes) };

    if (travel_risk_news_decode(&user, &s, text, TRAVEL_STR("key"))
        != TRAVEL_OK)
    {
        return 0;
    }

    if (s.now <= 0 || !(s.lat >= -90 && s.lat <= 90)
        || travel_risk_news_encode(again, &user, &s, TRAVEL_STR("key"))
           != TRAVEL_OK
        || (s.placed && memcmp(bytes, again, sizeof(bytes)) != 0))
    {
        abort();
    }

    return 0;
}
