/*
 * Is it really him, and may it come from there?  What the files of zero trust
 * share; no other room may use it.
 *
 *     travel_trusted_proxy CIDR ... [unix:] [header=x-forwarded-for|forwarded];
 *     travel_geoip  FILE;
 *     travel_geo    off | allow CC ... | deny CC ... [unknown=allow|deny];
 *     travel_stepup off | [acr=A,...] [max_age=TIME];
 *     travel_risk   off | [threshold=S] [mode=report|challenge|block] ... ;
 *     travel_risk_shared on | off;
 *
 * Variables: $travel_client_ip $travel_binary_client_ip $travel_country
 * $travel_city $travel_lat $travel_lon $travel_asn $travel_risk
 * $travel_risk_reasons.
 */

#ifndef NGX_HTTP_TRAVEL_RISK_H
#define NGX_HTTP_TRAVEL_RISK_H

#include "ngx_http_travel_bearer.h"
#include "../../common/address.h"
#include "../../common/risk.h"


/* --- configuration ------------------------------------------------------- */

typedef struct {
    ngx_array_t            networks;   /* travel_network_t */
    ngx_uint_t             form;       /* travel_forwarded_e */
} ngx_http_travel_proxies_t;

#define NGX_HTTP_TRAVEL_GEO_ALLOW  1   /* only the countries listed */
#define NGX_HTTP_TRAVEL_GEO_DENY   2   /* all but those */

typedef struct {
    ngx_uint_t             mode;       /* 0: off */
    ngx_uint_t             refuse_unknown;
    uint32_t               listed[26]; /* by first letter, a bit per second */
    ngx_str_t              file;       /* where it stood */
    ngx_uint_t             line;
} ngx_http_travel_geo_t;

/* What a token must show (RFC 9470): empty and -1 ask for nothing. */
typedef struct {
    ngx_array_t            acr;        /* ngx_str_t, any of them */
    ngx_str_t              values;     /* the same, separated by spaces */
    time_t                 max_age;
} ngx_http_travel_stepup_t;

#define NGX_HTTP_TRAVEL_RISK_REPORT     0
#define NGX_HTTP_TRAVEL_RISK_CHALLENGE  1
#define NGX_HTTP_TRAVEL_RISK_BLOCK      2

typedef struct {
    ngx_uint_t                 on;     /* 0: travel_risk off */
    ngx_uint_t                 mode;
    double                     threshold;
    travel_risk_rule_t         rule;
    ngx_http_travel_stepup_t   stepup; /* what answers a challenge */
} ngx_http_travel_risk_t;

/* One location's; each part NULL (unset), or inherited as a whole. */
typedef struct {
    ngx_http_travel_proxies_t  *proxies;
    ngx_http_travel_geo_t      *geo;
    ngx_http_travel_stepup_t   *stepup;
    ngx_http_travel_risk_t     *risk;
    unsigned                    stepup_set:1;
} ngx_http_travel_risk_loc_conf_t;

typedef enum {
    NGX_HTTP_TRAVEL_RISK_PASSED,
    NGX_HTTP_TRAVEL_RISK_REPORTED,
    NGX_HTTP_TRAVEL_RISK_CHALLENGED,
    NGX_HTTP_TRAVEL_RISK_STEPPED_UP,
    NGX_HTTP_TRAVEL_RISK_BLOCKED,
    NGX_HTTP_TRAVEL_RISK_RESULTS
} ngx_http_travel_risk_result_e;

typedef enum {
    NGX_HTTP_TRAVEL_GEO_ALLOWED,
    NGX_HTTP_TRAVEL_GEO_DENIED,
    NGX_HTTP_TRAVEL_GEO_UNKNOWN_ALLOWED,
    NGX_HTTP_TRAVEL_GEO_UNKNOWN_DENIED,
    NGX_HTTP_TRAVEL_GEO_RESULTS
} ngx_http_travel_geo_result_e;

typedef enum {
    NGX_HTTP_TRAVEL_RISK_SENT,
    NGX_HTTP_TRAVEL_RISK_DROPPED,
    NGX_HTTP_TRAVEL_RISK_HEARD,
    NGX_HTTP_TRAVEL_RISK_REFUSED,      /* not signed by us, or impossible */
    NGX_HTTP_TRAVEL_RISK_TOLD
} ngx_http_travel_risk_told_e;

typedef struct {
    ngx_array_t              databases;  /* ngx_http_travel_geoip_t * */
    ngx_array_t              checks;     /* for postconfiguration */
    ngx_http_travel_zone_t  *zone;       /* NULL: no travel_risk anywhere */
    unsigned                 geo:1;      /* travel_geo somewhere */
    unsigned                 stepup:1;   /* travel_stepup somewhere */

    ngx_int_t                results[NGX_HTTP_TRAVEL_RISK_RESULTS];
    ngx_int_t                signals[TRAVEL_RISK_SIGNALS];
    ngx_int_t                countries[NGX_HTTP_TRAVEL_GEO_RESULTS];
    ngx_int_t                stepups[2];       /* asked, met */
    ngx_int_t                reloads[2];       /* read, failed */
    ngx_int_t                evicted;
    ngx_int_t                failures;

    ngx_flag_t               shared;           /* travel_risk_shared */
    ngx_int_t                told[NGX_HTTP_TRAVEL_RISK_TOLD];
    travel_siphash_key_t     device;           /* shared: hashes devices */
} ngx_http_travel_risk_main_conf_t;


/* --- the request's record ------------------------------------------------ */

typedef struct {
    /* client */
    const ngx_http_travel_proxies_t  *proxies;   /* it was found with these */
    travel_address_t       address;
    ngx_str_t              text;       /* empty: not written yet */

    /* geo */
    ngx_str_t              country;    /* "DE"; empty: unknown */
    ngx_str_t              city;
    double                 lat;
    double                 lon;
    uint32_t               radius;     /* km; 0: not stated */
    uint32_t               asn;        /* 0: unknown */

    /* risk */
    double                 score;
    ngx_str_t              reasons;    /* "travel,device" */
    travel_uuid_t          suspect;    /* whose signed token was refused */

    unsigned               addressed:1;
    unsigned               local:1;    /* the address is a Unix socket's */
    unsigned               located:1;
    unsigned               placed:1;   /* lat and lon are known */
    unsigned               judged:1;
    unsigned               satisfied:1;
    unsigned               suspected:1;
} ngx_http_travel_risk_record_t;

/* NULL only when out of memory. */
ngx_http_travel_risk_record_t *ngx_http_travel_risk_record(
    ngx_http_request_t *r);


/* --- whose address it is (client) ---------------------------------------- */

char *ngx_http_travel_proxies_directive(ngx_conf_t *cf,
    ngx_http_travel_proxies_t *proxies);

/* Fills address, once for a request and list of proxies; then its text, or
 * gives it as bytes of the record. */
void ngx_http_travel_client(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record);
ngx_int_t ngx_http_travel_client_text(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record);
void ngx_http_travel_client_binary(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record, ngx_str_t *ret_binary);

/* For those who count by address: the connection's, or in *room the client's
 * behind a proxy. */
const struct sockaddr *ngx_http_travel_client_sockaddr(ngx_http_request_t *r,
    ngx_sockaddr_t *room);


/* --- where that is (geo) ------------------------------------------------- */

typedef struct ngx_http_travel_geoip_s  ngx_http_travel_geoip_t;

char *ngx_http_travel_geoip_directive(ngx_conf_t *cf, ngx_array_t *databases);
char *ngx_http_travel_geo_directive(ngx_conf_t *cf, ngx_http_travel_geo_t *geo);

/* Opens the file again if it changed: NGX_OK; NGX_DECLINED: it did not;
 * NGX_ERROR, logged: what was read before stays in use. */
ngx_int_t ngx_http_travel_geoip_refresh(ngx_http_travel_geoip_t *geoip,
    ngx_log_t *log);

/* Fills country ... asn with what the databases say of the client. */
ngx_int_t ngx_http_travel_locate(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record);

ngx_int_t ngx_http_travel_geo_handler(ngx_http_request_t *r);


/* --- how he proved it (stepup) ------------------------------------------- */

/* All of the directive but "off". */
char *ngx_http_travel_stepup_directive(ngx_conf_t *cf,
    ngx_http_travel_stepup_t *stepup);

/* Reads acr=, as a row of parameters; at its offset is a stepup_t. */
char *ngx_http_travel_stepup_acr(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *list, void *conf);

/* Does the token that was admitted satisfy it? */
ngx_uint_t ngx_http_travel_stepup_met(ngx_http_request_t *r,
    const ngx_http_travel_stepup_t *stepup);

/* Refuses with 401 and says what is needed. */
ngx_int_t ngx_http_travel_stepup_refuse(ngx_http_request_t *r,
    const ngx_http_travel_stepup_t *stepup);


/* --- what is remembered (sightings) -------------------------------------- */

/* The zone "risk"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_sightings_zone(ngx_conf_t *cf);

#define NGX_HTTP_TRAVEL_RISK_SKEW  2           /* s between nodes' clocks */

/* Hashes parts of a request under the zone's key; never 0. */
uint64_t ngx_http_travel_sightings_hash(ngx_http_travel_zone_t *zone,
    const void *data, size_t len);

/* How many refusals the address has, as of now. */
double ngx_http_travel_sightings_failures(ngx_http_travel_zone_t *zone,
    const travel_address_t *address, int64_t now);

/*
 * Judges a sighting of the user (NULL: nobody in particular) and learns from
 * it, if 'learn', or the score is below the threshold; *ret_news: that is to be
 * told to other nodes.  Returns how many other users had to be forgotten.
 */
ngx_uint_t ngx_http_travel_sightings_judge(ngx_http_travel_zone_t *zone,
    const travel_uuid_t *user, const ngx_http_travel_risk_t *risk,
    const travel_risk_sighting_t *sighting, ngx_uint_t learn,
    travel_risk_verdict_t *ret_verdict, ngx_uint_t *ret_news);

/* What another node has learnt. */
void ngx_http_travel_sightings_heard(ngx_http_travel_zone_t *zone,
    const travel_uuid_t *user, const travel_risk_sighting_t *sighting);

/* Refused credentials; user NULL: whose, is not known. */
void ngx_http_travel_sightings_failed(ngx_http_travel_zone_t *zone,
    const travel_address_t *address, const travel_uuid_t *user, int64_t now);


/* --- what nodes tell each other (risk_shared) ---------------------------- */

ngx_int_t ngx_http_travel_risk_shared_init(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf);
ngx_int_t ngx_http_travel_risk_shared_start(ngx_cycle_t *cycle,
    ngx_http_travel_risk_main_conf_t *rmcf);
/* Behind the client's back; what cannot be told now is not. */
void ngx_http_travel_risk_tell(const travel_uuid_t *user,
    const travel_risk_sighting_t *sighting);


/* --- how unlike him it is (risk) ----------------------------------------- */

char *ngx_http_travel_risk_directive(ngx_conf_t *cf,
    ngx_http_travel_risk_t *risk);
ngx_int_t ngx_http_travel_risk_handler(ngx_http_request_t *r);

/* A token that this user (36 characters) did get is refused: what the address
 * did wrong also counts for him.  Without travel_risk, nothing. */
void ngx_http_travel_risk_suspect(ngx_http_request_t *r, const u_char *user);

ngx_int_t ngx_http_travel_risk_log_handler(ngx_http_request_t *r);

extern ngx_module_t  ngx_http_travel_risk_module;

#endif
