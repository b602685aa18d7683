/* travelctl token: mint, publish and judge the tokens the edge accepts. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "ctl.h"
#include "../../common/hash.h"
#include "../../common/ids.h"
#include "../../common/jwt.h"


#define TOKEN_ISSUER    "https://travel.local"
#define TOKEN_AUDIENCE  "travel"
#define TOKEN_DEMO      "01890000-0000-7000-8000-000000000000"
#define TOKEN_DEMO_MAIL "demo@travel.local"
#define TOKEN_BRIEF     60      /* s: for a request of our own */
#define TOKEN_RIGHTS    "journeys:read journeys:write stories:read "          \
                        "stories:write bookings:read bookings:write jobs:read"

typedef struct {
    const char  *key;
    const char  *sub;
    const char  *email;
    const char  *permissions;
    const char  *issuer;
    const char  *audience;
    const char  *kid;
    long         ttl;
} token_mint_t;

typedef struct {
    const char  *jwks;
    const char  *issuer;
    const char  *audience;
    bool         signature_only;
    bool         allow_hs;
} token_verify_t;


static json_t *
token_words(const char *text)
{
    size_t   n;
    json_t  *list;

    list = json_array();

    for ( ;; ) {
        text += strspn(text, " ,");
        n = strcspn(text, " ,");

        if (n == 0) {
            return list;
        }

        json_array_append_new(list, json_stringn(text, n));
        text += n;
    }
}


/* The claims as JSON text, owned by the caller; NULL on failure. */
static char *
token_claims(const token_mint_t *t)
{
    char           *text, jti[TRAVEL_UUID_TEXT_LEN + 1];
    json_t         *claims;
    time_t          now;
    uint8_t         rnd[8];
    travel_uuid_t   id;

    if (travel_random(rnd, sizeof(rnd)) != TRAVEL_OK) {
        return NULL;
    }

    now = time(NULL);
    id = travel_uuid7((uint64_t) now * 1000, 0, rnd);
    travel_uuid_format(jti, &id);
    jti[TRAVEL_UUID_TEXT_LEN] = '\0';

    claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:o}",
                       "iss", t->issuer, "sub", t->sub, "aud", t->audience,
                       "iat", (json_int_t) now,
                       "exp", (json_int_t) now + t->ttl, "jti", jti,
                       "permissions", token_words(t->permissions));

    if (claims != NULL && t->email != NULL && *t->email != '\0') {
        json_object_set_new(claims, "email", json_string(t->email));
    }

    text = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);

    return text;
}


/* The "kid" under which the key's public half is published. */
static bool
token_kid_is(travel_str_t pem, const char *kid)
{
    char         jwks[4096];
    bool         same;
    json_t      *doc;
    const char  *why, *text;

    if (travel_jwks_of_pem(jwks, sizeof(jwks), pem, &why) != TRAVEL_OK) {
        return false;
    }

    doc = json_loads(jwks, 0, NULL);
    text = json_string_value(json_object_get(
               json_array_get(json_object_get(doc, "keys"), 0), "kid"));
    same = text != NULL && strcmp(text, kid) == 0;
    json_decref(doc);

    return same;
}


static int
token_sign(const token_mint_t *t, travel_str_t pem,
    char token[TRAVEL_JWT_MAX + 1])
{
    char        *claims;
    const char  *why = "out of memory";

    if (t->kid != NULL && !token_kid_is(pem, t->kid)) {
        return ctl_broken("%s: is not the key \"%s\"", t->key, t->kid);
    }

    claims = token_claims(t);

    if (claims == NULL
        || travel_jwt_sign(token, TRAVEL_JWT_MAX + 1, pem,
                           (travel_str_t) { claims, strlen(claims) }, &why)
           != TRAVEL_OK)
    {
        free(claims);
        return ctl_broken("%s: %s", t->key, why);
    }

    free(claims);
    return CTL_GOOD;
}


static int
token_mint(token_mint_t *t, char token[TRAVEL_JWT_MAX + 1])
{
    int      rc;
    char    *pem;
    size_t   len;

    if (t->sub == NULL) {
        t->sub = TOKEN_DEMO;

        if (t->email == NULL) {
            t->email = TOKEN_DEMO_MAIL;
        }
    }

    if (t->key == NULL) {
        t->key = ctl_run_path("keys/signing.pem");
    }

    pem = ctl_read(t->key, &len);

    if (pem == NULL) {
        return CTL_BROKEN;
    }

    rc = token_sign(t, (travel_str_t) { pem, len }, token);
    free(pem);

    return rc;
}


int
ctl_token(const char *permissions, char ret_token[TRAVEL_JWT_MAX + 1])
{
    token_mint_t  t = { .permissions = permissions, .issuer = TOKEN_ISSUER,
                        .audience = TOKEN_AUDIENCE, .ttl = TOKEN_BRIEF };

    return token_mint(&t, ret_token);
}


int
travelctl_token_mint(int argc, char **argv)
{
    int            rc;
    char           token[TRAVEL_JWT_MAX + 1];
    const char    *args[CTL_ARGS_MAX + 1];
    token_mint_t   t = { .permissions = TOKEN_RIGHTS, .issuer = TOKEN_ISSUER,
                         .audience = TOKEN_AUDIENCE, .ttl = 12 * 3600 };

    ctl_option_t  options[] = {
        { "key", CTL_STRING, &t.key, "PEM",
          "EC P-256 private key (run/keys/signing.pem)" },
        { "sub", CTL_STRING, &t.sub, "UUID", "the user (the demo user)" },
        { "email", CTL_STRING, &t.email, "ADDRESS", "e-mail claim" },
        { "permissions", CTL_STRING, &t.permissions, "\"A B\"",
          "rights (all of a traveller)" },
        { "ttl", CTL_SECONDS, &t.ttl, "TIME", "life: 90s, 15m, 12h, 7d (12h)" },
        { "issuer", CTL_STRING, &t.issuer, "URL", TOKEN_ISSUER },
        { "audience", CTL_STRING, &t.audience, "NAME", TOKEN_AUDIENCE },
        { "kid", CTL_STRING, &t.kid, "KID",
          "refuse unless the key's thumbprint is this" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "token mint [options]",
                         "Prints an access token signed with ES256.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = token_mint(&t, token);

    if (rc == CTL_GOOD) {
        puts(token);
    }

    return rc;
}


int
travelctl_token_jwks(int argc, char **argv)
{
    int          rc;
    char         jwks[4096], *pem;
    size_t       len;
    const char  *key = NULL, *why, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        { "key", CTL_STRING, &key, "PEM",
          "EC P-256 private key (run/keys/signing.pem)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "token jwks [--key PEM]",
                         "Prints the key's public half as a JWKS, with its "
                         "RFC 7638 thumbprint as kid.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (key == NULL) {
        key = ctl_run_path("keys/signing.pem");
    }

    pem = ctl_read(key, &len);

    if (pem == NULL) {
        return CTL_BROKEN;
    }

    if (travel_jwks_of_pem(jwks, sizeof(jwks), (travel_str_t) { pem, len },
                           &why) != TRAVEL_OK)
    {
        free(pem);
        return ctl_broken("%s: %s", key, why);
    }

    free(pem);
    puts(jwks);
    return CTL_GOOD;
}


static int
token_judge(const token_verify_t *t, const travel_jwt_t *jwt)
{
    travel_error_e       e;
    const char          *why;
    travel_jwt_policy_t  policy = { .exp_required = true, .leeway = 0 };

    if (t->issuer != NULL) {
        policy.issuer = (travel_str_t) { t->issuer, strlen(t->issuer) };
    }

    if (t->audience != NULL) {
        policy.audience = (travel_str_t) { t->audience, strlen(t->audience) };
    }

    e = travel_jwt_judge(jwt, &policy, time(NULL), &why);

    if (e != TRAVEL_E_NONE) {
        return ctl_refused(e, "-", "%s", why);
    }

    return CTL_GOOD;
}


static int
token_check(const token_verify_t *t, const travel_jwks_t *jwks,
    travel_jwt_parser_t *parser, travel_str_t token)
{
    int           rc;
    size_t        key;
    const char   *why;
    travel_jwt_t  jwt;

    rc = t->signature_only ? travel_jws_parse(parser, token, &jwt, &why)
                           : travel_jwt_parse(parser, token, &jwt, &why);

    if (rc == TRAVEL_ERROR) {
        return ctl_broken("out of memory");
    }

    if (rc != TRAVEL_OK) {
        return ctl_refused(TRAVEL_E_TOKEN_INVALID, "-", "%s", why);
    }

    rc = travel_jwks_verify(jwks, &jwt, token, &key, &why);

    if (rc == TRAVEL_ERROR) {
        return ctl_broken("the signature cannot be computed");
    }

    if (rc != TRAVEL_OK) {
        return ctl_refused(TRAVEL_E_TOKEN_INVALID, "-", "%s", why);
    }

    rc = t->signature_only ? CTL_GOOD : token_judge(t, &jwt);

    if (rc == CTL_GOOD) {
        printf("%.*s\n", (int) jwt.payload.len, jwt.payload.data);
    }

    return rc;
}


/* Loads the key set, then asks; 'text' is the token as given, white space at
 * its end (a shell's newline) not part of it. */
static int
token_verify(const token_verify_t *t, travel_str_t set, travel_str_t text)
{
    int                   rc;
    uint32_t              allow;
    const char           *why;
    travel_jwks_t        *jwks;
    travel_jwt_parser_t  *parser;

    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL) {
        text.len--;
    }

    allow = TRAVEL_ALG_PUBLIC_MASK;

    if (t->allow_hs || t->signature_only) {
        allow |= TRAVEL_ALG_HS_MASK;
    }

    if (travel_jwks_load(&jwks, set, allow, &why) != TRAVEL_OK) {
        return ctl_broken("%s: %s", t->jwks, why);
    }

    parser = travel_jwt_parser_create();
    rc = parser != NULL ? token_check(t, jwks, parser, text)
                        : ctl_broken("out of memory");

    travel_jwt_parser_free(parser);
    travel_jwks_free(jwks);
    return rc;
}


int
travelctl_token_verify(int argc, char **argv)
{
    int              rc;
    char            *set, *input;
    size_t           len, input_len;
    const char      *args[CTL_ARGS_MAX + 1];
    token_verify_t   t = { .jwks = NULL };

    ctl_option_t  options[] = {
        { "jwks", CTL_STRING, &t.jwks, "FILE", "the keys (run/jwks.json)" },
        { "issuer", CTL_STRING, &t.issuer, "I", "\"iss\" must be this" },
        { "audience", CTL_STRING, &t.audience, "A", "\"aud\" must have this" },
        { "signature-only", CTL_FLAG, &t.signature_only, NULL,
          "any compact JWS; claims are not judged" },
        { "allow-hs", CTL_FLAG, &t.allow_hs, NULL,
          "let symmetric keys of the set verify too" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "token verify [options] TOKEN",
                         "Judges as the edge does.  TOKEN and FILE may be "
                         "\"-\" for standard input.\nThe reason of a refusal "
                         "is one line on stderr: CODE pointer message.",
                         options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (t.jwks == NULL) {
        t.jwks = ctl_run_path("jwks.json");
    }

    if (strcmp(t.jwks, "-") == 0 && strcmp(args[0], "-") == 0) {
        return ctl_broken("only one of FILE and TOKEN can be \"-\"");
    }

    set = ctl_read(t.jwks, &len);

    if (set == NULL) {
        return CTL_BROKEN;
    }

    if (strcmp(args[0], "-") == 0) {
        input = ctl_read("-", &input_len);
    } else {
        input_len = strlen(args[0]);
        input = strdup(args[0]);
    }

    rc = input != NULL ? token_verify(&t, (travel_str_t) { set, len },
                                      (travel_str_t) { input, input_len })
                       : CTL_BROKEN;
    free(set);
    free(input);
    return rc;
}
