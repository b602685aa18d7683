#include <math.h>

#include "risk.h"

#define TRAVEL_RISK_HALF_LIFE      300.0     /* seconds */
#define TRAVEL_RISK_FAILURES_FREE  3.0
#define TRAVEL_RISK_FAILURES_FULL  10.0
#define TRAVEL_RISK_HOURS_MIN      20        /* active hours to compare with */
#define TRAVEL_RISK_HOURS_SHARE    0.05
#define TRAVEL_RISK_PI             3.14159265358979323846


static const char *const  travel_risk_names[TRAVEL_RISK_SIGNALS] = {
    "travel", "country", "device", "failures", "hours"
};


const char *
travel_risk_signal_name(travel_risk_signal_e signal)
{
    return travel_risk_names[signal];
}


uint16_t
travel_risk_country(travel_str_t code)
{
    if (code.len != 2 || code.data[0] < 'A' || code.data[0] > 'Z'
        || code.data[1] < 'A' || code.data[1] > 'Z')
    {
        return 0;
    }

    return (uint16_t) (code.data[0] << 8 | code.data[1]);
}


double
travel_risk_distance(double lat1, double lon1, double lat2, double lon2)
{
    double  a, p, l, k;

    k = TRAVEL_RISK_PI / 180;
    p = sin((lat2 - lat1) * k / 2);
    l = sin((lon2 - lon1) * k / 2);
    a = p * p + cos(lat1 * k) * cos(lat2 * k) * l * l;

    return 2 * TRAVEL_RISK_EARTH_KM * asin(a < 1 ? sqrt(a) : 1);
}


/* --- bursts -------------------------------------------------------------- */

double
travel_risk_burst_count(const travel_risk_burst_t *burst, int64_t now)
{
    if (burst->count <= 0 || now <= burst->at) {
        return burst->count;
    }

    return burst->count * exp2(-(double) (now - burst->at)
                               / TRAVEL_RISK_HALF_LIFE);
}


void
travel_risk_burst_add(travel_risk_burst_t *burst, int64_t now)
{
    burst->count = travel_risk_burst_count(burst, now) + 1;

    if (now > burst->at) {
        burst->at = now;
    }
}


/* --- signals ------------------------------------------------------------- */

static double
travel_risk_clamp(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}


static uint32_t
travel_risk_radius(uint32_t radius)
{
    if (radius == 0) {
        return TRAVEL_RISK_RADIUS;
    }

    return radius < TRAVEL_RISK_RADIUS_MAX ? radius : TRAVEL_RISK_RADIUS_MAX;
}


/* Places are only known to within their radius: the distance that counts is
 * the least that is possible. */

static double
travel_risk_travel(const travel_risk_profile_t *p,
    const travel_risk_sighting_t *s, double speed)
{
    double  km, seconds;

    if (!s->placed || p->placed_at == 0 || speed <= 0) {
        return 0;
    }

    km = travel_risk_distance(p->lat, p->lon, s->lat, s->lon)
         - p->radius - travel_risk_radius(s->radius);

    if (!(km > 0)) {
        return 0;
    }

    seconds = (double) (s->now - p->placed_at);

    if (seconds < 1) {
        seconds = 1;
    }

    return travel_risk_clamp(km / seconds * 3600 / speed - 1);
}


static double
travel_risk_new_country(const travel_risk_profile_t *p,
    const travel_risk_sighting_t *s)
{
    size_t  i;

    if (s->country == 0 || p->countries[0] == 0) {
        return 0;
    }

    for (i = 0; i < TRAVEL_RISK_COUNTRIES; i++) {
        if (p->countries[i] == s->country) {
            return 0;
        }
    }

    return 1;
}


static double
travel_risk_new_device(const travel_risk_profile_t *p,
    const travel_risk_sighting_t *s)
{
    size_t  i;

    if (s->device == 0 || p->devices[0] == 0) {
        return 0;
    }

    for (i = 0; i < TRAVEL_RISK_DEVICES; i++) {
        if (p->devices[i] == s->device) {
            return 0;
        }
    }

    return 1;
}


/* The hours before and after count too: nobody is that punctual. */

static double
travel_risk_odd_hour(const travel_risk_profile_t *p,
    const travel_risk_sighting_t *s)
{
    unsigned  i, h, all, near;

    for (all = 0, i = 0; i < 24; i++) {
        all += p->hours[i];
    }

    if (all < TRAVEL_RISK_HOURS_MIN) {
        return 0;
    }

    h = (unsigned) ((uint64_t) s->now / 3600 % 24);
    near = p->hours[(h + 23) % 24] + p->hours[h] + p->hours[(h + 1) % 24];

    return travel_risk_clamp(1 - (double) near / all
                                 / TRAVEL_RISK_HOURS_SHARE);
}


static double
travel_risk_failed(double count)
{
    return travel_risk_clamp((count - TRAVEL_RISK_FAILURES_FREE)
                             / (TRAVEL_RISK_FAILURES_FULL
                                - TRAVEL_RISK_FAILURES_FREE));
}


void
travel_risk_judge(travel_risk_verdict_t *ret_verdict,
    const travel_risk_rule_t *rule, const travel_risk_profile_t *p,
    const travel_risk_sighting_t *s)
{
    size_t   i;
    double   failures, rest, *signal;

    memset(ret_verdict, 0, sizeof(*ret_verdict));

    signal = ret_verdict->signal;
    failures = s->failures;

    if (p) {
        signal[TRAVEL_RISK_TRAVEL] = travel_risk_travel(p, s, rule->speed);
        signal[TRAVEL_RISK_COUNTRY] = travel_risk_new_country(p, s);
        signal[TRAVEL_RISK_DEVICE] = travel_risk_new_device(p, s);
        signal[TRAVEL_RISK_HOURS] = travel_risk_odd_hour(p, s);

        failures = fmax(failures, travel_risk_burst_count(&p->failures,
                                                          s->now));
    }

    signal[TRAVEL_RISK_FAILURES] = travel_risk_failed(failures);

    for (rest = 1, i = 0; i < TRAVEL_RISK_SIGNALS; i++) {
        rest *= 1 - travel_risk_clamp(rule->weight[i]) * signal[i];
    }

    /* as it is written: 0.20 is not below a threshold of 0.2 */
    ret_verdict->score = round(travel_risk_clamp(1 - rest) * 100) / 100;
}


/* --- learning ------------------------------------------------------------ */

static void
travel_risk_learn_hour(travel_risk_profile_t *p, int64_t now)
{
    size_t    i;
    uint32_t  hour;

    hour = (uint32_t) (now / 3600);

    if (hour == p->hour) {
        return;
    }

    /* it counts when it is over: an odd hour is odd to its end */
    if (p->hour) {
        i = p->hour % 24;

        if (p->hours[i] == UINT8_MAX) {
            for (i = 0; i < 24; i++) {
                p->hours[i] /= 2;
            }

            i = p->hour % 24;
        }

        p->hours[i]++;
    }

    p->hour = hour;
}


void
travel_risk_learn(travel_risk_profile_t *p, const travel_risk_sighting_t *s)
{
    size_t  i;

    if (s->placed) {
        p->placed_at = s->now;
        p->lat = (float) s->lat;
        p->lon = (float) s->lon;
        p->radius = travel_risk_radius(s->radius);
    }

    if (s->country && s->country != p->countries[0]) {

        for (i = 1; i < TRAVEL_RISK_COUNTRIES - 1; i++) {
            if (p->countries[i] == s->country) {
                break;
            }
        }

        memmove(p->countries + 1, p->countries, i * sizeof(p->countries[0]));
        p->countries[0] = s->country;
    }

    if (s->device && s->device != p->devices[0]) {

        for (i = 1; i < TRAVEL_RISK_DEVICES - 1; i++) {
            if (p->devices[i] == s->device) {
                break;
            }
        }

        memmove(p->devices + 1, p->devices, i * sizeof(p->devices[0]));
        p->devices[0] = s->device;
    }

    travel_risk_learn_hour(p, s->now);
}


void
travel_risk_hear(travel_risk_profile_t *p, const travel_risk_sighting_t *s)
{
    travel_risk_sighting_t  heard = *s;

    heard.placed = s->placed && s->now >= p->placed_at;

    if (s->now / 3600 < (int64_t) p->hour) {
        heard.now = (int64_t) p->hour * 3600;
    }

    travel_risk_learn(p, &heard);

    if (heard.placed) {
        p->placed_at = s->now;
    }
}
