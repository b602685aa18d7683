/* What auth's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_BEARER_H
#define NGX_HTTP_TRAVEL_BEARER_H

#include "ngx_http_travel_auth.h"
#include "ngx_http_travel_revocation.h"
#include "../net/ngx_http_travel_http.h"
#include "ngx_http_travel_claims.h"
#include "ngx_http_travel_api_key.h"
#include "../../common/jwt.h"
#include "../../common/hash.h"

#define NGX_HTTP_TRAVEL_OUR_ISSUER   "https://travel.local"
#define NGX_HTTP_TRAVEL_AUDS_MAX     16
#define NGX_HTTP_TRAVEL_SUBJECT_MAX  255


/* --- key sets (jwks) ----------------------------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_JWKS_NEW,          /* other keys than before */
    NGX_HTTP_TRAVEL_JWKS_SAME,
    NGX_HTTP_TRAVEL_JWKS_FAILED,
    NGX_HTTP_TRAVEL_JWKS_OUTCOMES
} ngx_http_travel_jwks_outcome_e;

/* Where the keys of a travel_jwks with url= come from (jwks_source). */
typedef struct {
    ngx_http_travel_http_place_t  place;
    uint64_t                      id;          /* whose document is meant */
    ngx_msec_t                    refresh;     /* between two fetches */
    ngx_msec_t                    grace;       /* beyond that */
    ngx_msec_t                    cooldown;    /* of unknown keys */
    ngx_msec_t                    wait;        /* a request, for a fetch */
    ngx_http_travel_zone_t       *zone;
    ngx_int_t                     counters[NGX_HTTP_TRAVEL_JWKS_OUTCOMES];

    /* this process's view of the zone, and its fetch if it has one */
    ngx_atomic_t                 *generation;  /* shm */
    ngx_atomic_uint_t             adopted;     /* the generation read last */
    ngx_msec_t                    until;       /* the keys are good */
    ngx_msec_t                    due;         /* the next fetch */
    ngx_http_travel_http_t       *fetch;
    uint64_t                      lease;
} ngx_http_travel_jwks_source_t;

/*
 * One travel_jwks line.  Everything but the part marked so is fixed at
 * configuration time; that part belongs to the process, which replaces it
 * when the file or the document changes.
 */
typedef struct {
    ngx_str_t         name;
    ngx_str_t         file;            /* absolute, NUL-terminated */
    ngx_http_travel_jwks_source_t  *source;    /* NULL: a file */
    ngx_str_t         issuer;          /* empty: not pinned */
    uint32_t          algs;            /* TRAVEL_ALG_BIT mask */
    uint64_t          rule;            /* names how it makes a user of a sub */
    ngx_flag_t        ours;
    ngx_flag_t        user_id;

    /* this process's view of the file */
    travel_jwks_t    *keys;            /* the last good ones; NULL: none yet */
    uint64_t          digest;          /* of the text they came from */
    uint64_t          seen;            /* of the text last read, good or not */
    time_t            mtime;
    ngx_uint_t        mtime_ns;
    off_t             size;
    ngx_file_uniq_t   uniq;
    unsigned          racy:1;          /* read within a second of its mtime */
} ngx_http_travel_jwks_t;

/* travel_jwks: fills the set and reads its file; logs what is wrong. */
char *ngx_http_travel_jwks_directive(ngx_conf_t *cf, ngx_array_t *sets);

/* Reads the file again if it changed; keeps the last good keys otherwise. */
void ngx_http_travel_jwks_refresh(ngx_http_travel_jwks_t *jwks,
    ngx_log_t *log);

/* Makes keys of a text, and their digest: the same text is another set of keys
 * where other algorithms are used.  NULL, or what is wrong with it. */
const char *ngx_http_travel_jwks_load(ngx_http_travel_jwks_t *jwks,
    travel_str_t text, travel_jwks_t **ret_keys, uint64_t *ret_digest);

/* Is a key with this thumbprint in the set now? */
ngx_uint_t ngx_http_travel_jwks_holds(const ngx_http_travel_jwks_t *jwks,
    const uint8_t *thumbprint);


/* --- key sets from a URL (jwks_source) ----------------------------------- */

/* When all of a line is read (a file has no source); in postconfiguration. */
char *ngx_http_travel_jwks_source_check(ngx_conf_t *cf,
    ngx_http_travel_jwks_t *jwks);
ngx_int_t ngx_http_travel_jwks_source_init(ngx_conf_t *cf,
    ngx_http_travel_jwks_t *jwks);

/* A worker starts; looks once a second; ends. */
void ngx_http_travel_jwks_source_start(ngx_http_travel_jwks_t *jwks);
void ngx_http_travel_jwks_source_tick(ngx_http_travel_jwks_t *jwks);
void ngx_http_travel_jwks_source_stop(ngx_http_travel_jwks_t *jwks);

/* Has a worker brought other keys than this one has? */
#define ngx_http_travel_jwks_behind(jwks)                                     \
    ((jwks)->source != NULL                                                   \
     && *(jwks)->source->generation != (jwks)->source->adopted)

/* NGX_OK: there are keys and they are not too old, read from the zone if this
 * process is behind; NGX_DECLINED: there are none. */
ngx_int_t ngx_http_travel_jwks_source_ready(ngx_http_travel_jwks_t *jwks);

/* A key is missing: NGX_AGAIN, a fetch is under way and *ret_lease names it;
 * NGX_DECLINED, not so soon after the last time. */
ngx_int_t ngx_http_travel_jwks_source_ask(ngx_http_travel_jwks_t *jwks,
    uint64_t *ret_lease);
/* Is that fetch still under way? */
ngx_uint_t ngx_http_travel_jwks_source_busy(ngx_http_travel_jwks_t *jwks,
    uint64_t lease);

u_char *ngx_http_travel_jwks_metrics(const ngx_array_t *sets, u_char *p,
    u_char *last);

/* Parks r, in the access phase, until a fetch that may bring its key is over
 * or the time that a request waits: NGX_OK, and the handler returns NGX_AGAIN
 * to be called again; NGX_DECLINED: it has waited before, nobody fetches, or
 * too many wait. */
ngx_int_t ngx_http_travel_jwks_wait(ngx_http_request_t *r,
    ngx_http_travel_jwks_t *jwks);
/* A fetch of this process is over. */
void ngx_http_travel_jwks_wake(void);


/* --- facts: what a token with a good signature says ---------------------- */

typedef struct {
    travel_jwt_t      jwt;             /* no signing_input, payload; kid:
                                          the key's own */
    travel_str_t      auds[NGX_HTTP_TRAVEL_AUDS_MAX];
    uint64_t          digest;          /* of the key set that verified it */
    uint8_t           thumbprint[TRAVEL_THUMBPRINT_LEN];
    uint64_t          rule;            /* whose 'user' is below; 0: nobody's */
    u_char            user[TRAVEL_UUID_TEXT_LEN];
} ngx_http_travel_facts_t;


/* --- the cache of verified tokens (token) -------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_TOKEN_GOOD,        /* facts are filled */
    NGX_HTTP_TRAVEL_TOKEN_FORGED,      /* the signature is wrong */
    NGX_HTTP_TRAVEL_TOKEN_STRANGE,     /* no such key */
    NGX_HTTP_TRAVEL_TOKEN_MALFORMED    /* it is no token */
} ngx_http_travel_token_e;

/* The zone "tokens"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_token_zone(ngx_conf_t *cf);

/*
 * What is known of this token?  NGX_OK with *ret_verdict, and *ret_facts when
 * it is GOOD, whose texts point into memory of this process that the next call
 * overwrites; NGX_DECLINED: nothing.  A bad verdict counts only for the key
 * set (its digest) that gave it, and for five seconds.
 */
ngx_int_t ngx_http_travel_token_find(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_token_e *ret_verdict, ngx_http_travel_facts_t *ret_facts);

/* The same for a bad verdict alone, of a token whose good one does not count
 * for this set (the key that signed it may have gone). */
ngx_uint_t ngx_http_travel_token_refused(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_token_e *ret_verdict);

/* Remembers a verdict; facts may be NULL unless it is GOOD.  What is too large
 * is not remembered. */
void ngx_http_travel_token_keep(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest, ngx_http_travel_token_e verdict,
    const ngx_http_travel_facts_t *facts);


/* --- the budget of signature checks (budget) ----------------------------- */

/* One travel_signature_budget line; interval 0: off. */
typedef struct {
    int64_t          interval;         /* us between two checks */
    int64_t          depth;            /* us: the burst */
    uint32_t         rule;             /* tells it from other lines */
    unsigned         set:1;
} ngx_http_travel_budget_t;

/* The zone "signatures"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_budget_zone(ngx_conf_t *cf);

/* Pays for one check: 0, or the seconds after which the address can. */
ngx_uint_t ngx_http_travel_budget_take(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr);
/* What was paid for turned out not to be an attack. */
void ngx_http_travel_budget_return(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr);

void ngx_http_travel_budget_default(ngx_http_travel_budget_t *budget);
char *ngx_http_travel_budget_directive(ngx_conf_t *cf,
    ngx_http_travel_budget_t *budget);


/* --- who that is (identity) ---------------------------------------------- */

/*
 * The internal user of a token under a key set (contracts section 1), 36
 * characters, and the subject text as the token has it.  NULL, or a sentence
 * why there is none; ret_rule is what to remember the user under.
 */
const char *ngx_http_travel_identify(const ngx_http_travel_jwks_t *jwks,
    const travel_jwt_t *jwt, u_char ret_user[TRAVEL_UUID_TEXT_LEN],
    travel_str_t *ret_subject);

/* Is this a permission: two words of [a-z0-9_.-] around one colon? */
ngx_uint_t ngx_http_travel_permission_ok(const ngx_str_t *permission);

/* Rewrites a token's space-separated permissions to lower case noun:verb into
 * dst (same length suffices); words that are no permission are left out.
 * Returns the length. */
size_t ngx_http_travel_permissions_normal(u_char *dst, travel_str_t text);

/* Does the normal form hold it, in either order of its two words? */
ngx_uint_t ngx_http_travel_permissions_hold(const ngx_str_t *permissions,
    const ngx_str_t *permission);

/* --- configuration ------------------------------------------------------- */

#define NGX_HTTP_TRAVEL_AUTH_OFF        0
#define NGX_HTTP_TRAVEL_AUTH_OPTIONAL   1
#define NGX_HTTP_TRAVEL_AUTH_REQUIRED   2

typedef enum {
    NGX_HTTP_TRAVEL_AUTH_CACHED,
    NGX_HTTP_TRAVEL_AUTH_VERIFIED,
    NGX_HTTP_TRAVEL_AUTH_ANONYMOUS,
    NGX_HTTP_TRAVEL_AUTH_ABSENT,
    NGX_HTTP_TRAVEL_AUTH_EXPIRED,
    NGX_HTTP_TRAVEL_AUTH_INVALID,
    NGX_HTTP_TRAVEL_AUTH_KNOWN_BAD,
    NGX_HTTP_TRAVEL_AUTH_FORBIDDEN,
    NGX_HTTP_TRAVEL_AUTH_OVER_BUDGET,
    NGX_HTTP_TRAVEL_AUTH_REVOKED,
    NGX_HTTP_TRAVEL_AUTH_BLIND,
    NGX_HTTP_TRAVEL_AUTH_NO_KEYS,
    NGX_HTTP_TRAVEL_AUTH_API_KEY,
    NGX_HTTP_TRAVEL_AUTH_RESULTS
} ngx_http_travel_auth_result_e;

typedef struct {
    ngx_array_t              sets;      /* ngx_http_travel_jwks_t * */
    ngx_http_travel_zone_t  *zone;
    ngx_http_travel_zone_t  *budgets;
    ngx_http_travel_zone_t  *revocations;   /* NULL: nobody asks */
    ngx_http_travel_zone_t  *keys;          /* NULL: no API keys */
    unsigned                 claim_headers:1;   /* some location has them */
    ngx_int_t                counters[NGX_HTTP_TRAVEL_AUTH_RESULTS];
    ngx_int_t                served_last;   /* counter */
    unsigned                 used:1;    /* some location authenticates */
} ngx_http_travel_auth_main_conf_t;

/* One travel_require line: all of 'all' and of 'claims', and one of 'any' if
 * there are some,
 * of requests with these methods. */
typedef struct {
    ngx_uint_t               methods;   /* NGX_HTTP_GET ...; 0: all */
    ngx_array_t              all;       /* ngx_str_t */
    ngx_array_t              any;       /* ngx_str_t */
    ngx_array_t              claims;    /* ngx_http_travel_claim_t: all */
    ngx_str_t                file;      /* where it stood */
    ngx_uint_t               line;
} ngx_http_travel_require_t;

typedef struct {
    ngx_uint_t               mode;
    ngx_str_t                names;     /* jwks=, as written */
    ngx_array_t             *sets;      /* ngx_http_travel_jwks_t * */
    ngx_str_t                audience;
    ngx_str_t                typ;
    time_t                   leeway;
    ngx_http_travel_budget_t budget;
    ngx_http_travel_revocation_t revocation;
    ngx_http_travel_api_key_conf_t api_key;
    ngx_array_t             *requires;  /* ngx_http_travel_require_t */
    unsigned                 alone:1;   /* what is required above is not */
    ngx_array_t             *claim_headers;
    ngx_uint_t               claim_headers_alone;

    /* where travel_auth stood, for what is only found wrong when merging */
    ngx_str_t                file;
    ngx_uint_t               line;
} ngx_http_travel_auth_loc_conf_t;


/* --- the request (auth_access) ------------------------------------------- */

/* The parser of this process. */
ngx_int_t ngx_http_travel_auth_open(void);
void ngx_http_travel_auth_close(void);

ngx_int_t ngx_http_travel_auth_handler(ngx_http_request_t *r);

/*
 * NGX_OK: a token; NGX_DECLINED: no header; NGX_BUSY: another scheme, which is
 * never taken for an anonymous caller; NGX_ABORT: more than one header.
 */
ngx_int_t ngx_http_travel_auth_bearer(ngx_http_request_t *r,
    ngx_str_t *ret_token);

/* The answer's one WWW-Authenticate header; the value must live as long as the
 * request.  auth_challenge: RFC 6750 section 3, with 'error' and one attribute
 * more, or the bare challenge where 'error' is NULL. */
ngx_int_t ngx_http_travel_challenge(ngx_http_request_t *r,
    const ngx_str_t *value);
ngx_int_t ngx_http_travel_auth_challenge(ngx_http_request_t *r,
    const char *error, const char *name, const ngx_str_t *value);

/* auth_refuse.c: what the handler returns to whom it does not let in */
ngx_int_t ngx_http_travel_auth_no_keys(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_auth_refuse(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result, travel_error_e code,
    const char *why);
void ngx_http_travel_auth_count(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result);
void ngx_http_travel_auth_forget(ngx_http_travel_ctx_t *ctx);
ngx_int_t ngx_http_travel_auth_over(ngx_http_request_t *r,
    ngx_uint_t seconds);

/* lane.c: what comes next on this connection is served after all else, if
 * 'client', whose budget is spent, is at the other end of it; 'counter' counts
 * what was. */
void ngx_http_travel_auth_last(ngx_http_request_t *r,
    const struct sockaddr *client, ngx_uint_t counter);


/* --- is it still in force? (auth_force) ----------------------------------- */

/* Of the caller in ctx; NGX_OK, or what the handler returns, ctx forgotten. */
ngx_int_t ngx_http_travel_auth_in_force(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_jwks_t *jwks, const ngx_http_travel_facts_t *facts);

/* The same of a caller with an API key. */
ngx_int_t ngx_http_travel_auth_key_in_force(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx);

/* What auth keeps of a request that had to wait; NULL: out of memory. */
typedef struct {
    ngx_event_t       hold;            /* until revocations are loaded */
    ngx_msec_t        until;

    enum {
        NGX_HTTP_TRAVEL_KEY_UNASKED,
        NGX_HTTP_TRAVEL_KEY_TOLD,      /* 'key' says what */
        NGX_HTTP_TRAVEL_KEY_FAILED
    } key_state;

    uint8_t                       key_digest[TRAVEL_SHA256_LEN];
    ngx_http_travel_key_facts_t  *key;
} ngx_http_travel_auth_request_t;

ngx_http_travel_auth_request_t *ngx_http_travel_auth_request(
    ngx_http_request_t *r);

/* The access phase stops here until resume() runs it again from auth on. */
void ngx_http_travel_auth_suspend(ngx_http_request_t *r);
void ngx_http_travel_auth_resume(ngx_http_request_t *r);


/* --- API keys (api_key) --------------------------------------------------- */

char *ngx_http_travel_api_key_directive(ngx_conf_t *cf,
    ngx_http_travel_api_key_conf_t *conf);

/* NGX_OK: the caller in ctx; NGX_DECLINED: no key was shown; else what the
 * handler returns. */
ngx_int_t ngx_http_travel_api_key(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx);

#endif
