/*
 * How unlike its user is a request?  A score from 0 (as ever) to 1, from five
 * signals that are each 0 to 1:
 *
 *   travel    the journey from where he was last seen needs more than 'speed'
 *             km/h: 0 up to it, 1 from twice as much
 *   country   it is none of those he was seen in
 *   device    it is none of those he was seen with
 *   failures  refused credentials, of the user or from the address, that
 *             halve every five minutes: 0 up to three, 1 from ten
 *   hours     less than a twentieth of his active hours lie around this one
 *
 * They add up as independent reasons do: score = 1 - product(1 - weight *
 * signal), in hundredths.  What is not known raises no suspicion: a first
 * sighting, a request without a place, an hour before there are twenty active
 * ones to compare.
 *
 * A profile is plain data without pointers and starts as zeroes; who keeps it
 * locks it.
 */

#ifndef TRAVEL_RISK_H
#define TRAVEL_RISK_H

#include "travel.h"

#define TRAVEL_RISK_EARTH_KM   6371.0088
#define TRAVEL_RISK_COUNTRIES  8       /* remembered, the latest */
#define TRAVEL_RISK_DEVICES    8
#define TRAVEL_RISK_RADIUS     50      /* km, of a place that states none */
#define TRAVEL_RISK_RADIUS_MAX 500

typedef enum {
    TRAVEL_RISK_TRAVEL,
    TRAVEL_RISK_COUNTRY,
    TRAVEL_RISK_DEVICE,
    TRAVEL_RISK_FAILURES,
    TRAVEL_RISK_HOURS,
    TRAVEL_RISK_SIGNALS
} travel_risk_signal_e;

/* "travel", "country", ... */
const char *travel_risk_signal_name(travel_risk_signal_e signal);

/* Events that halve in number every five minutes. */
typedef struct {
    int64_t   at;                      /* unix seconds */
    double    count;                   /* at that time */
} travel_risk_burst_t;

void travel_risk_burst_add(travel_risk_burst_t *burst, int64_t now);
double travel_risk_burst_count(const travel_risk_burst_t *burst, int64_t now);

typedef struct {
    int64_t              placed_at;    /* unix seconds; 0: never */
    float                lat;          /* degrees */
    float                lon;
    uint32_t             radius;       /* km */
    uint32_t             hour;         /* the one now active, since 1970 */
    uint64_t             devices[TRAVEL_RISK_DEVICES];       /* latest first */
    uint16_t             countries[TRAVEL_RISK_COUNTRIES];
    uint8_t              hours[24];    /* finished active hours, UTC */
    travel_risk_burst_t  failures;
} travel_risk_profile_t;

/* A request as far as it matters here. */
typedef struct {
    int64_t   now;                     /* unix seconds */
    bool      placed;                  /* lat, lon and radius are known */
    double    lat;
    double    lon;
    uint32_t  radius;                  /* km; 0: not stated */
    uint16_t  country;                 /* travel_risk_country(); 0: unknown */
    uint64_t  device;                  /* a hash; 0: unknown */
    double    failures;                /* from this address, as of now */
} travel_risk_sighting_t;

typedef struct {
    double    weight[TRAVEL_RISK_SIGNALS];    /* 0 .. 1 */
    double    speed;                   /* km/h that are still plausible */
} travel_risk_rule_t;

typedef struct {
    double    score;
    double    signal[TRAVEL_RISK_SIGNALS];
} travel_risk_verdict_t;

/* "DE" as a number; 0 unless it is two upper-case letters. */
uint16_t travel_risk_country(travel_str_t code);

/* Great-circle distance by haversine, in km. */
double travel_risk_distance(double lat1, double lon1, double lat2,
    double lon2);

/* A NULL profile: nobody in particular, only failures count. */
void travel_risk_judge(travel_risk_verdict_t *ret_verdict,
    const travel_risk_rule_t *rule, const travel_risk_profile_t *profile,
    const travel_risk_sighting_t *sighting);

/* From now on this place, device and hour are his. */
void travel_risk_learn(travel_risk_profile_t *profile,
    const travel_risk_sighting_t *sighting);

/* The same of what another node saw, perhaps longer ago than what is known. */
void travel_risk_hear(travel_risk_profile_t *profile,
    const travel_risk_sighting_t *sighting);

#endif
