/* Sightings as bytes. */

#include <math.h>

#include "hash.h"
#include "risk_news.h"

#define NEWS_MAC    8
#define NEWS_BODY   (TRAVEL_RISK_NEWS_LEN - NEWS_MAC)
#define NEWS_SCALE  1e6


static uint8_t *
news_put(uint8_t *p, uint64_t v, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        p[i] = (uint8_t) (v >> 8 * (n - 1 - i));
    }

    return p + n;
}


static uint64_t
news_get(const uint8_t **p, unsigned n)
{
    uint64_t  v;

    for (v = 0; n > 0; n--) {
        v = v << 8 | *(*p)++;
    }

    return v;
}


static int
news_sign(uint8_t ret_mac[NEWS_MAC], const void *bytes, travel_str_t secret)
{
    uint8_t  md[TRAVEL_SHA256_LEN];

    if (travel_hmac_sha256(md, secret, (travel_str_t) { bytes, NEWS_BODY })
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    memcpy(ret_mac, md, NEWS_MAC);

    return TRAVEL_OK;
}


int
travel_risk_news_encode(char dst[TRAVEL_RISK_NEWS_LEN],
    const travel_uuid_t *user, const travel_risk_sighting_t *s,
    travel_str_t secret)
{
    int32_t   lat, lon;
    uint8_t  *p, bytes[TRAVEL_RISK_NEWS_LEN];

    lat = s->placed ? (int32_t) lround(s->lat * NEWS_SCALE) : INT32_MIN;
    lon = s->placed ? (int32_t) lround(s->lon * NEWS_SCALE) : 0;

    p = bytes;
    *p++ = 'R';
    *p++ = '1';
    p = news_put(p, s->country, 2);
    p = news_put(p, s->placed ? s->radius : 0, 4);
    memcpy(p, user->b, sizeof(user->b));
    p += sizeof(user->b);
    p = news_put(p, (uint64_t) s->now, 8);
    p = news_put(p, s->device, 8);
    p = news_put(p, (uint32_t) lat, 4);
    p = news_put(p, (uint32_t) lon, 4);

    if (news_sign(p, bytes, secret) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    memcpy(dst, bytes, sizeof(bytes));

    return TRAVEL_OK;
}


int
travel_risk_news_decode(travel_uuid_t *ret_user,
    travel_risk_sighting_t *ret_sighting, travel_str_t text,
    travel_str_t secret)
{
    int32_t                  lat, lon;
    uint8_t                  mac[NEWS_MAC];
    const uint8_t           *p;
    travel_uuid_t            user;
    travel_risk_sighting_t   s = { 0 };

    if (text.len != TRAVEL_RISK_NEWS_LEN
        || memcmp(text.data, "R1", 2) != 0
        || news_sign(mac, text.data, secret) != TRAVEL_OK
        || !travel_secret_eq((travel_str_t) { (char *) mac, NEWS_MAC },
                             (travel_str_t) { text.data + NEWS_BODY,
                                              NEWS_MAC }))
    {
        return TRAVEL_INVALID;
    }

    p = (const uint8_t *) text.data + 2;
    s.country = (uint16_t) news_get(&p, 2);
    s.radius = (uint32_t) news_get(&p, 4);
    memcpy(user.b, p, sizeof(user.b));
    p += sizeof(user.b);
    s.now = (int64_t) news_get(&p, 8);
    s.device = news_get(&p, 8);
    lat = (int32_t) (uint32_t) news_get(&p, 4);
    lon = (int32_t) (uint32_t) news_get(&p, 4);

    s.placed = lat != INT32_MIN;
    s.lat = s.placed ? lat / NEWS_SCALE : 0;
    s.lon = s.placed ? lon / NEWS_SCALE : 0;

    if (s.now <= 0 || fabs(s.lat) > 90 || fabs(s.lon) > 180) {
        return TRAVEL_INVALID;
    }

    *ret_user = user;
    *ret_sighting = s;

    return TRAVEL_OK;
}
