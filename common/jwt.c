/* Reads compact tokens and judges their claims; signatures are jwks.c's. */

#include <stdlib.h>

#include "base64url.h"
#include "jwt.h"


#define TRAVEL_JWT_DEPTH  16
#define TRAVEL_JWT_AUDS   32
#define TRAVEL_JWT_TIME   9007199254740992.0    /* 2^53: exact in a double */

struct travel_jwt_parser_s {
    travel_json_t  *header;
    travel_json_t  *claims;
    travel_str_t    auds[TRAVEL_JWT_AUDS];
    char            user_id[24];
    uint8_t         header_text[TRAVEL_BASE64URL_MAX(TRAVEL_JWT_MAX)];
    uint8_t         claims_text[TRAVEL_BASE64URL_MAX(TRAVEL_JWT_MAX)];
    char            permissions[TRAVEL_BASE64URL_MAX(TRAVEL_JWT_MAX)];
};

static const char *travel_alg_names[TRAVEL_ALG_MAX] = {
    [TRAVEL_ALG_RS256] = "RS256",
    [TRAVEL_ALG_RS384] = "RS384",
    [TRAVEL_ALG_RS512] = "RS512",
    [TRAVEL_ALG_PS256] = "PS256",
    [TRAVEL_ALG_PS384] = "PS384",
    [TRAVEL_ALG_PS512] = "PS512",
    [TRAVEL_ALG_ES256] = "ES256",
    [TRAVEL_ALG_ES384] = "ES384",
    [TRAVEL_ALG_ES512] = "ES512",
    [TRAVEL_ALG_EDDSA] = "EdDSA",
    [TRAVEL_ALG_HS256] = "HS256",
    [TRAVEL_ALG_HS384] = "HS384",
    [TRAVEL_ALG_HS512] = "HS512"
};


const char *
travel_alg_name(travel_alg_e alg)
{
    return (unsigned) alg < TRAVEL_ALG_MAX ? travel_alg_names[alg] : "unknown";
}


int
travel_alg_parse(travel_alg_e *ret_alg, travel_str_t name)
{
    unsigned  i;

    for (i = 0; i < TRAVEL_ALG_MAX; i++) {
        if (name.len == strlen(travel_alg_names[i])
            && memcmp(name.data, travel_alg_names[i], name.len) == 0)
        {
            *ret_alg = (travel_alg_e) i;
            return TRAVEL_OK;
        }
    }

    return TRAVEL_INVALID;
}


travel_jwt_parser_t *
travel_jwt_parser_create(void)
{
    travel_jwt_parser_t  *parser;

    parser = calloc(1, sizeof(travel_jwt_parser_t));
    if (parser == NULL) {
        return NULL;
    }

    parser->header = travel_json_create(512);
    parser->claims = travel_json_create(2048);

    if (parser->header == NULL || parser->claims == NULL) {
        travel_jwt_parser_free(parser);
        return NULL;
    }

    return parser;
}


void
travel_jwt_parser_free(travel_jwt_parser_t *parser)
{
    if (parser == NULL) {
        return;
    }

    if (parser->header) {
        travel_json_free(parser->header);
    }

    if (parser->claims) {
        travel_json_free(parser->claims);
    }

    free(parser);
}


/* A JSON object out of one decoded part; NULL, or what is wrong. */

static const char *
travel_jwt_object(travel_json_t *doc, travel_str_t text,
    const char *not_json, const char *not_object)
{
    travel_json_error_t  err;

    if (travel_json_parse(doc, text, TRAVEL_JWT_DEPTH, &err) != TRAVEL_OK) {
        return not_json;
    }

    return travel_json_nodes(doc)->type == TRAVEL_JSON_OBJECT ? NULL
                                                              : not_object;
}


/*
 * Text that becomes part of an identity, a key or a mail header: no control
 * characters, which PostgreSQL (NUL) or SMTP (CR, LF) would trip over later.
 */

static bool
travel_jwt_clean(travel_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if ((unsigned char) s.data[i] < 0x20 || s.data[i] == 0x7f) {
            return false;
        }
    }

    return true;
}


/* A member that is a clean string, or absent. */

static const char *
travel_jwt_string(const travel_json_t *doc, travel_str_t name,
    travel_str_t *ret_s, const char *why)
{
    const travel_json_node_t  *node;

    node = travel_json_member(doc, 0, name);

    if (node == NULL) {
        *ret_s = TRAVEL_NULL_STR;
        return NULL;
    }

    if (node->type != TRAVEL_JSON_STRING || !travel_jwt_clean(node->text)) {
        return why;
    }

    *ret_s = node->text;

    return NULL;
}


/* A NumericDate (RFC 7519 section 2): fractions are cut off downwards. */

static const char *
travel_jwt_time(const travel_json_t *doc, travel_str_t name, int64_t absent,
    int64_t *ret_seconds, const char *why)
{
    double                     d;
    const travel_json_node_t  *node;

    node = travel_json_member(doc, 0, name);

    if (node == NULL) {
        *ret_seconds = absent;
        return NULL;
    }

    if (node->type != TRAVEL_JSON_NUMBER) {
        return why;
    }

    d = travel_json_double(node);

    if (!(d > -TRAVEL_JWT_TIME && d < TRAVEL_JWT_TIME)) {
        return why;
    }

    *ret_seconds = (int64_t) d;

    if ((double) *ret_seconds > d) {
        (*ret_seconds)--;
    }

    return NULL;
}


static const char *
travel_jwt_header(travel_jwt_parser_t *parser, travel_jwt_t *jwt)
{
    const char                *why;
    const travel_json_t       *doc;
    const travel_json_node_t  *alg;

    doc = parser->header;

    if (travel_json_member(doc, 0, TRAVEL_STR("crit"))) {
        return "the header has critical extensions";
    }

    if (travel_json_member(doc, 0, TRAVEL_STR("b64"))) {
        return "the header changes the payload's encoding";
    }

    if (travel_json_member(doc, 0, TRAVEL_STR("zip"))) {
        return "the payload is compressed";
    }

    alg = travel_json_member(doc, 0, TRAVEL_STR("alg"));

    if (alg == NULL || alg->type != TRAVEL_JSON_STRING
        || travel_alg_parse(&jwt->alg, alg->text) != TRAVEL_OK)
    {
        return "the header's alg is not one of ours";
    }

    why = travel_jwt_string(doc, TRAVEL_STR("kid"), &jwt->kid,
                            "the header's kid is not a plain string");
    if (why == NULL && jwt->kid.len > TRAVEL_JWT_KID_MAX) {
        why = "the header's kid is too long";
    }

    if (why == NULL) {
        why = travel_jwt_string(doc, TRAVEL_STR("typ"), &jwt->typ,
                                "the header's typ is not a plain string");
    }

    return why;
}


/* A string, or an integer as its decimal text. */

static const char *
travel_jwt_user_id(travel_jwt_parser_t *parser, travel_jwt_t *jwt)
{
    char                      *p;
    int64_t                    v;
    uint64_t                   u;
    const travel_json_node_t  *node;
    static const char          why[] = "user_id is no string or integer";

    node = travel_json_member(parser->claims, 0, TRAVEL_STR("user_id"));

    if (node == NULL || node->type != TRAVEL_JSON_NUMBER) {
        return travel_jwt_string(parser->claims, TRAVEL_STR("user_id"),
                                 &jwt->user_id, why);
    }

    if (travel_json_int64(node, &v) != TRAVEL_OK) {
        return why;
    }

    p = parser->user_id + sizeof(parser->user_id);
    u = v < 0 ? 0 - (uint64_t) v : (uint64_t) v;

    do {
        *--p = (char) ('0' + u % 10);
        u /= 10;
    } while (u);

    if (v < 0) {
        *--p = '-';
    }

    jwt->user_id.data = p;
    jwt->user_id.len = (size_t) (parser->user_id + sizeof(parser->user_id)
                                 - p);

    return NULL;
}


/* "aud": one string or an array of them (RFC 7519 section 4.1.3). */

static const char *
travel_jwt_auds(travel_jwt_parser_t *parser, travel_jwt_t *jwt)
{
    size_t                     i, n;
    const travel_json_node_t  *node, *nodes;

    jwt->auds = parser->auds;
    jwt->naud = 0;

    node = travel_json_member(parser->claims, 0, TRAVEL_STR("aud"));

    if (node == NULL) {
        return NULL;
    }

    n = 1;

    if (node->type == TRAVEL_JSON_ARRAY) {
        n = node->count;
        node++;
    }

    if (n > TRAVEL_JWT_AUDS) {
        return "aud has too many entries";
    }

    nodes = travel_json_nodes(parser->claims);

    for (i = 0; i < n; i++, node = nodes + node->next) {
        if (node->type != TRAVEL_JSON_STRING) {
            return "aud is no string or array of strings";
        }

        parser->auds[i] = node->text;
    }

    jwt->naud = n;

    return NULL;
}


/*
 * "permissions", an array, joined by spaces into memory that is as large as
 * the payload they came from; else "scope" as it is (RFC 8693 section 4.2).
 * A name with a space in it would be read as two.
 */

static const char *
travel_jwt_permissions(travel_jwt_parser_t *parser, travel_jwt_t *jwt)
{
    char                      *p;
    size_t                     i, n;
    const travel_json_node_t  *node, *nodes;

    node = travel_json_member(parser->claims, 0, TRAVEL_STR("permissions"));

    if (node == NULL) {
        return travel_jwt_string(parser->claims, TRAVEL_STR("scope"),
                                 &jwt->permissions,
                                 "scope is not a plain string");
    }

    if (node->type != TRAVEL_JSON_ARRAY) {
        return "permissions is not an array";
    }

    nodes = travel_json_nodes(parser->claims);
    p = parser->permissions;
    n = node->count;
    node++;

    for (i = 0; i < n; i++, node = nodes + node->next) {

        if (node->type != TRAVEL_JSON_STRING || node->text.len == 0
            || memchr(node->text.data, ' ', node->text.len)
            || !travel_jwt_clean(node->text))
        {
            return "a permission is not a plain word";
        }

        if (i) {
            *p++ = ' ';
        }

        memcpy(p, node->text.data, node->text.len);
        p += node->text.len;
    }

    jwt->permissions.data = parser->permissions;
    jwt->permissions.len = (size_t) (p - parser->permissions);

    return NULL;
}


static const char *
travel_jwt_claims(travel_jwt_parser_t *parser, travel_jwt_t *jwt)
{
    size_t       i;
    const char  *why;

    struct {
        travel_str_t   name;
        travel_str_t  *text;
        const char    *why;
    } texts[] = {
        { TRAVEL_STR("iss"), &jwt->iss, "iss is not a plain string" },
        { TRAVEL_STR("sub"), &jwt->sub, "sub is not a plain string" },
        { TRAVEL_STR("email"), &jwt->email, "email is not a plain string" },
        { TRAVEL_STR("jti"), &jwt->jti, "jti is not a plain string" },
        { TRAVEL_STR("acr"), &jwt->acr, "acr is not a plain string" }
    };

    struct {
        travel_str_t   name;
        int64_t        absent;
        int64_t       *seconds;
        const char    *why;
    } times[] = {
        { TRAVEL_STR("exp"), INT64_MAX, &jwt->exp, "exp is not a time" },
        { TRAVEL_STR("nbf"), INT64_MIN, &jwt->nbf, "nbf is not a time" },
        { TRAVEL_STR("iat"), INT64_MIN, &jwt->iat, "iat is not a time" },
        { TRAVEL_STR("auth_time"), INT64_MIN, &jwt->auth_time,
          "auth_time is not a time" }
    };

    why = NULL;

    for (i = 0; why == NULL && i < sizeof(texts) / sizeof(texts[0]); i++) {
        why = travel_jwt_string(parser->claims, texts[i].name, texts[i].text,
                                texts[i].why);
    }

    for (i = 0; why == NULL && i < sizeof(times) / sizeof(times[0]); i++) {
        why = travel_jwt_time(parser->claims, times[i].name, times[i].absent,
                              times[i].seconds, times[i].why);
    }

    if (why == NULL) {
        why = travel_jwt_user_id(parser, jwt);
    }

    if (why == NULL) {
        why = travel_jwt_auds(parser, jwt);
    }

    if (why == NULL) {
        why = travel_jwt_permissions(parser, jwt);
    }

    return why;
}


/* Cuts "header.payload.signature"; false unless there are exactly three. */

static bool
travel_jwt_cut(travel_str_t token, travel_str_t part[3])
{
    int          i;
    const char  *p, *dot, *end;

    p = token.data;
    end = p + token.len;

    for (i = 0; i < 3; i++, p = dot + 1) {

        dot = memchr(p, '.', (size_t) (end - p));

        if ((dot == NULL) != (i == 2)) {
            return false;
        }

        part[i].data = p;
        part[i].len = (size_t) ((dot ? dot : end) - p);

        if (dot == NULL) {
            break;
        }
    }

    return part[0].len && part[2].len;
}


/* Both decoded parts into the parser; the signature is only looked at. */

static const char *
travel_jwt_decode(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *jwt, travel_str_t *ret_header)
{
    size_t        n;
    uint8_t       signature[TRAVEL_BASE64URL_MAX(TRAVEL_JWT_MAX)];
    travel_str_t  part[3];

    if (token.len > TRAVEL_JWT_MAX) {
        return "the token is too long";
    }

    if (token.len == 0 || !travel_jwt_cut(token, part)) {
        return "the token does not have three parts";
    }

    if (travel_base64url_decode(parser->header_text, &n, part[0])
        != TRAVEL_OK)
    {
        return "the header is not base64url";
    }

    *ret_header = (travel_str_t) { (const char *) parser->header_text, n };

    if (travel_base64url_decode(parser->claims_text, &n, part[1])
        != TRAVEL_OK)
    {
        return "the payload is not base64url";
    }

    jwt->payload = (travel_str_t) { (const char *) parser->claims_text, n };

    if (travel_base64url_decode(signature, &n, part[2]) != TRAVEL_OK) {
        return "the signature is not base64url";
    }

    jwt->signing_input.data = token.data;
    jwt->signing_input.len = part[0].len + 1 + part[1].len;

    return NULL;
}


static const char *
travel_jws_read(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *jwt)
{
    const char    *why;
    travel_str_t   header;

    memset(jwt, 0, sizeof(*jwt));

    jwt->exp = INT64_MAX;
    jwt->nbf = INT64_MIN;
    jwt->iat = INT64_MIN;
    jwt->auth_time = INT64_MIN;

    why = travel_jwt_decode(parser, token, jwt, &header);

    if (why == NULL) {
        why = travel_jwt_object(parser->header, header,
                                "the header is not strict JSON",
                                "the header is not a JSON object");
    }

    if (why == NULL) {
        why = travel_jwt_header(parser, jwt);
    }

    return why;
}


int
travel_jws_parse(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *ret_jwt, const char **ret_why)
{
    const char    *why;
    travel_jwt_t   jwt;

    why = travel_jws_read(parser, token, &jwt);

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    *ret_jwt = jwt;

    return TRAVEL_OK;
}


int
travel_jwt_parse(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *ret_jwt, const char **ret_why)
{
    const char    *why;
    travel_jwt_t   jwt;

    why = travel_jws_read(parser, token, &jwt);

    if (why == NULL) {
        why = travel_jwt_object(parser->claims, jwt.payload,
                                "the payload is not strict JSON",
                                "the payload is not a JSON object");
    }

    if (why == NULL) {
        why = travel_jwt_claims(parser, &jwt);
    }

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    *ret_jwt = jwt;

    return TRAVEL_OK;
}


static char
travel_jwt_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}


/* Media types ignore case, and "application/" may be left out (RFC 7515
 * section 4.1.9). */

static bool
travel_jwt_typ_eq(travel_str_t a, travel_str_t b)
{
    size_t                     i, k;
    travel_str_t              *s;
    static const travel_str_t  prefix = { "application/", 12 };

    for (k = 0; k < 2; k++) {
        s = k ? &b : &a;

        for (i = 0; i < prefix.len && i < s->len; i++) {
            if (travel_jwt_lower(s->data[i]) != prefix.data[i]) {
                break;
            }
        }

        if (i == prefix.len) {
            s->data += i;
            s->len -= i;
        }
    }

    if (a.len != b.len) {
        return false;
    }

    for (i = 0; i < a.len; i++) {
        if (travel_jwt_lower(a.data[i]) != travel_jwt_lower(b.data[i])) {
            return false;
        }
    }

    return true;
}


static bool
travel_jwt_for(const travel_jwt_t *jwt, travel_str_t audience)
{
    size_t  i;

    for (i = 0; i < jwt->naud; i++) {
        if (travel_str_eq(jwt->auds[i], audience)) {
            return true;
        }
    }

    return false;
}


/* Whom the token is from and for comes before when: an expired token of
 * somebody else's is not "expired", it was never good here. */

travel_error_e
travel_jwt_judge(const travel_jwt_t *jwt, const travel_jwt_policy_t *policy,
    int64_t now, const char **ret_why)
{
    const char  *why;

    why = NULL;

    if (policy->issuer.len && !travel_str_eq(jwt->iss, policy->issuer)) {
        why = "the token is from another issuer";

    } else if (policy->audience.len
               && !travel_jwt_for(jwt, policy->audience))
    {
        why = "the token is for another audience";

    } else if (policy->typ.len && !travel_jwt_typ_eq(jwt->typ, policy->typ)) {
        why = "the token is of another type";

    } else if (policy->exp_required && jwt->exp == INT64_MAX) {
        why = "the token never expires";

    } else if (jwt->nbf > now && jwt->nbf - now > policy->leeway) {
        why = "the token is not valid yet";

    } else if (jwt->iat > now && jwt->iat - now > policy->leeway) {
        why = "the token was issued in the future";
    }

    if (why) {
        *ret_why = why;
        return TRAVEL_E_TOKEN_INVALID;
    }

    if (jwt->exp <= now && now - jwt->exp >= policy->leeway) {
        *ret_why = "the token has expired";
        return TRAVEL_E_TOKEN_EXPIRED;
    }

    return TRAVEL_E_NONE;
}
