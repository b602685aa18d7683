/* Tokens: what is one, what it says, and whether its claims are acceptable. */

#include "unit.h"
#include "jose.h"


static travel_jwt_parser_t  *parser;


static int
setup(void **state)
{
    (void) state;

    parser = travel_jwt_parser_create();

    return parser == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    travel_jwt_parser_free(parser);

    return 0;
}


static int
parse(travel_jwt_t *jwt, char **ret_token, const char *header,
    const char *payload, const char **why)
{
    *ret_token = jose_join(header, payload, "signature", 9);

    return travel_jwt_parse(parser, S(*ret_token), jwt, why);
}


static void
claims(void **state)
{
    char          *token;
    const char    *why;
    travel_jwt_t   jwt;

    (void) state;

    assert_int_equal(parse(&jwt, &token,
        "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\","
        " \"jku\":\"https://evil/\",\"jwk\":{},\"x5u\":\"x\",\"x5c\":[]}",
        "{\"iss\":\"https://i\",\"sub\":\"\\u00e9\",\"aud\":[\"a\",\"b\"],"
        " \"exp\":1772391600,\"nbf\":1772391500.75,\"iat\":-1.5,"
        " \"acr\":\"mfa\",\"auth_time\":1772391400,"
        " \"jti\":\"j\",\"email\":\"a@b\",\"user_id\":\"u\","
        " \"permissions\":[\"journeys:read\",\"bookings:write\"],"
        " \"scope\":\"ignored\",\"extra\":{\"deep\":[1,2]}}", &why), TRAVEL_OK);

    assert_int_equal(jwt.alg, TRAVEL_ALG_ES256);
    assert_str(jwt.kid, "k1");
    assert_str(jwt.typ, "at+jwt");
    assert_str(jwt.iss, "https://i");
    assert_str(jwt.sub, "\xc3\xa9");
    assert_str(jwt.user_id, "u");
    assert_str(jwt.email, "a@b");
    assert_str(jwt.jti, "j");
    assert_str(jwt.permissions, "journeys:read bookings:write");
    assert_int_equal(jwt.naud, 2);
    assert_str(jwt.auds[0], "a");
    assert_str(jwt.auds[1], "b");
    assert_true(jwt.exp == 1772391600);
    assert_true(jwt.nbf == 1772391500);
    assert_true(jwt.iat == -2);
    assert_str(jwt.acr, "mfa");
    assert_true(jwt.auth_time == 1772391400);
    assert_memory_equal(jwt.payload.data, "{\"iss\"", 6);
    assert_ptr_equal(jwt.signing_input.data, token);
    assert_int_equal(token[jwt.signing_input.len], '.');
    assert_null(memchr(token + jwt.signing_input.len + 1, '.',
                       strlen(token) - jwt.signing_input.len - 1));
    free(token);
}


static void
absent_claims(void **state)
{
    char          *token;
    const char    *why;
    travel_jwt_t   jwt;

    (void) state;

    assert_int_equal(parse(&jwt, &token, "{\"alg\":\"EdDSA\"}", "{}", &why),
                     TRAVEL_OK);
    assert_int_equal(jwt.kid.len, 0);
    assert_int_equal(jwt.iss.len, 0);
    assert_int_equal(jwt.permissions.len, 0);
    assert_int_equal(jwt.naud, 0);
    assert_true(jwt.exp == INT64_MAX);
    assert_true(jwt.nbf == INT64_MIN);
    assert_true(jwt.iat == INT64_MIN);
    assert_int_equal(jwt.acr.len, 0);
    assert_true(jwt.auth_time == INT64_MIN);
    free(token);
}


static void
claim_forms(void **state)
{
    size_t         i;
    char          *token, payload[64];
    const char    *why;
    travel_jwt_t   jwt;

    static const struct { const char *json, *text; } ids[] = {
        { "7", "7" }, { "0", "0" }, { "-12", "-12" }, { "1e3", "1000" },
        { "9223372036854775807", "9223372036854775807" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "\"7\"", "7" }
    };

    (void) state;

    for (i = 0; i < N(ids); i++) {
        snprintf(payload, sizeof(payload), "{\"user_id\":%s}", ids[i].json);
        assert_int_equal(parse(&jwt, &token, "{\"alg\":\"RS256\"}", payload,
                               &why), TRAVEL_OK);
        assert_str(jwt.user_id, ids[i].text);
        free(token);
    }

    assert_int_equal(parse(&jwt, &token, "{\"alg\":\"RS256\"}",
        "{\"aud\":\"one\",\"scope\":\"a:b c:d\"}", &why), TRAVEL_OK);
    assert_int_equal(jwt.naud, 1);
    assert_str(jwt.auds[0], "one");
    assert_str(jwt.permissions, "a:b c:d");
    free(token);

    assert_int_equal(parse(&jwt, &token, "{\"alg\":\"RS256\"}",
        "{\"aud\":[],\"permissions\":[],\"scope\":\"x\"}", &why), TRAVEL_OK);
    assert_int_equal(jwt.naud, 0);
    assert_int_equal(jwt.permissions.len, 0);   /* an empty list is a list */
    free(token);
}


static void
header_refusals(void **state)
{
    size_t         i;
    char          *token;
    const char    *why;
    travel_jwt_t   jwt, was;

    static const char  *bad[] = {
        "", "[]", "\"ES256\"", "{", "{}", "{\"alg\":\"ES256\"} x",
        "{\"alg\":\"none\"}", "{\"alg\":\"None\"}", "{\"alg\":\"NONE\"}",
        "{\"alg\":\"\"}", "{\"alg\":null}", "{\"alg\":[\"ES256\"]}",
        "{\"alg\":256}", "{\"alg\":\"es256\"}", "{\"alg\":\"ES256K\"}",
        "{\"alg\":\"ES256 \"}", "{\"alg\":\"RS1\"}", "{\"alg\":\"dir\"}",
        "{\"alg\":\"ES256\\u0000\"}",
        "{\"alg\":\"ES256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"crit\":[]}", "{\"alg\":\"ES256\",\"crit\":null}",
        "{\"alg\":\"ES256\",\"b64\":false}",
        "{\"alg\":\"ES256\",\"b64\":true}",
        "{\"alg\":\"ES256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"ES256\",\"kid\":7}", "{\"alg\":\"ES256\",\"kid\":null}",
        "{\"alg\":\"ES256\",\"kid\":\"a\\nb\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\\u0000\"}",
        "{\"alg\":\"ES256\",\"typ\":[]}",
        "{\"alg\":\"ES256\",\"kid\":\"\xff\"}",
        "{'alg':'ES256'}", "{\"alg\":\"ES256\",}",
        "\xef\xbb\xbf{\"alg\":\"ES256\"}"
    };

    (void) state;

    memset(&was, 0x5a, sizeof(was));
    jwt = was;

    for (i = 0; i < N(bad); i++) {
        why = NULL;

        if (parse(&jwt, &token, bad[i], "{}", &why) != TRAVEL_INVALID) {
            fail_msg("accepted: %s", bad[i]);
        }

        assert_non_null(why);
        free(token);
    }

    assert_memory_equal(&jwt, &was, sizeof(jwt));
}


static void
payload_refusals(void **state)
{
    size_t         i;
    char          *token;
    const char    *why;
    travel_jwt_t   jwt;

    static const char  *bad[] = {
        "", "[]", "null", "Payload", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        "{\"sub\":\"a\",\"sub\":\"b\"}",
        "{\"sub\":7}", "{\"sub\":null}", "{\"iss\":[\"x\"]}",
        "{\"email\":false}", "{\"jti\":1}",
        "{\"sub\":\"a\\u0000b\"}", "{\"email\":\"a@b\\r\\nBcc: c@d\"}",
        "{\"user_id\":1.5}", "{\"user_id\":null}", "{\"user_id\":[1]}",
        "{\"user_id\":9223372036854775808}", "{\"user_id\":\"a\\tb\"}",
        "{\"exp\":\"1772391600\"}", "{\"exp\":null}", "{\"exp\":1e400}",
        "{\"exp\":9007199254740993}", "{\"nbf\":-1e300}", "{\"iat\":true}",
        "{\"acr\":1}", "{\"acr\":[\"mfa\"]}", "{\"auth_time\":\"now\"}",
        "{\"aud\":7}", "{\"aud\":null}", "{\"aud\":[\"a\",7]}",
        "{\"aud\":[[\"a\"]]}", "{\"aud\":{\"a\":1}}",
        "{\"permissions\":\"journeys:read\"}", "{\"permissions\":[7]}",
        "{\"permissions\":[\"a b\"]}", "{\"permissions\":[\"\"]}",
        "{\"permissions\":[\"a\\u0000\"]}", "{\"permissions\":{\"a\":1}}",
        "{\"permissions\":null}", "{\"scope\":[\"a\"]}", "{\"scope\":7}",
        "{\"sub\":\"\xc3\"}", "{\"sub\":\"\\ud800\"}",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        why = NULL;

        if (parse(&jwt, &token, "{\"alg\":\"RS256\"}", bad[i], &why)
            != TRAVEL_INVALID)
        {
            fail_msg("accepted: %s", bad[i]);
        }

        assert_non_null(why);
        free(token);
    }
}


static void
shape_refusals(void **state)
{
    size_t         i;
    char          *token, *big;
    const char    *why;
    travel_jwt_t   jwt;

    /* eyJhbGciOiJSUzI1NiJ9 = {"alg":"RS256"}, e30 = {} */

    static const char  *bad[] = {
        "", ".", "..", "...", "a", "a.b", "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJSUzI1NiJ9.e30", "eyJhbGciOiJSUzI1NiJ9.e30.",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.c2ln", ".e30.c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.c2ln.c2ln",         /* as a JWE */
        "eyJhbGciOiJSUzI1NiJ9..c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln=", "eyJhbGciOiJSUzI1NiJ9=.e30.c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e30=.c2ln", "eyJhbGciOiJSUzI1NiJ9.e3.c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e31.c2ln",          /* trailing bits */
        "eyJhbGciOiJSUzI1NiJ9.e30.c2l", "eyJhbGciOiJSUzI1NiJ9.e30.c",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\n", " eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2+n", "eyJhbGciOiJSUzI1NiJ9.e30.c2/n",
        "{\"alg\":\"RS256\"}.{}.c2ln",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.", "eyJhbGciOiJSUzI1NiJ9 .e30.c2ln"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        if (travel_jwt_parse(parser, S(bad[i]), &jwt, &why)
            != TRAVEL_INVALID)
        {
            fail_msg("accepted: %s", bad[i]);
        }
    }

    assert_int_equal(travel_jwt_parse(parser, TRAVEL_NULL_STR, &jwt, &why),
                     TRAVEL_INVALID);
    assert_int_equal(travel_jwt_parse(parser,
        S("eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), &jwt, &why), TRAVEL_OK);

    /* just too long */

    big = malloc(TRAVEL_JWT_MAX + 8);
    memset(big, 'A', TRAVEL_JWT_MAX + 8);
    memcpy(big, "eyJhbGciOiJSUzI1NiJ9.e30.", 25);
    i = TRAVEL_JWT_MAX - (TRAVEL_JWT_MAX - 25) % 4;
    assert_int_equal(travel_jwt_parse(parser, (travel_str_t) { big, i }, &jwt,
                                      &why), TRAVEL_OK);
    assert_int_equal(travel_jwt_parse(parser,
                         (travel_str_t) { big, TRAVEL_JWT_MAX + 1 }, &jwt,
                         &why), TRAVEL_INVALID);
    assert_string_equal(why, "the token is too long");
    free(big);

    /* kid and aud have bounds of their own */

    big = malloc(8192);
    i = (size_t) sprintf(big, "{\"alg\":\"RS256\",\"kid\":\"%0257d\"}", 0);
    assert_int_equal(parse(&jwt, &token, big, "{}", &why), TRAVEL_INVALID);
    free(token);

    strcpy(big, "{\"aud\":[\"a\"");
    for (i = 0; i < 32; i++) {
        strcat(big, ",\"a\"");
    }
    strcat(big, "]}");
    assert_int_equal(parse(&jwt, &token, "{\"alg\":\"RS256\"}", big, &why),
                     TRAVEL_INVALID);
    free(token);
    free(big);
}


/* A JWS is any signed bytes; only a JWT has claims. */

static void
jws_payloads(void **state)
{
    const char    *why;
    travel_jwt_t   jwt;

    (void) state;

    assert_int_equal(travel_jws_parse(parser,
        S("eyJhbGciOiJSUzI1NiJ9.UGF5bG9hZA.c2ln"), &jwt, &why), TRAVEL_OK);
    assert_str(jwt.payload, "Payload");
    assert_int_equal(jwt.sub.len, 0);
    assert_true(jwt.exp == INT64_MAX);

    assert_int_equal(travel_jws_parse(parser,
        S("eyJhbGciOiJSUzI1NiJ9..c2ln"), &jwt, &why), TRAVEL_OK);
    assert_int_equal(travel_jws_parse(parser,
        S("eyJhbGciOiJub25lIn0.UGF5bG9hZA.c2ln"), &jwt, &why),
        TRAVEL_INVALID);
}


static void
judge(void **state)
{
    size_t  i;

    static const travel_str_t  auds[] = { L("other"), L("travel") };

    static const struct {
        const char           *iss, *typ;
        int                   naud;
        int64_t               exp, nbf, iat, now;
        travel_jwt_policy_t   policy;
        travel_error_e        want;
    } rows[] = {
        /* times, without leeway: exp is the first second that is too late */
        { "i", "", 2, 100, INT64_MIN, INT64_MIN, 99, { .exp_required = true },
          TRAVEL_E_NONE },
        { "i", "", 2, 100, INT64_MIN, INT64_MIN, 100, { .leeway = 0 },
          TRAVEL_E_TOKEN_EXPIRED },
        { "i", "", 2, 100, INT64_MIN, INT64_MIN, 129, { .leeway = 30 },
          TRAVEL_E_NONE },
        { "i", "", 2, 100, INT64_MIN, INT64_MIN, 130, { .leeway = 30 },
          TRAVEL_E_TOKEN_EXPIRED },
        { "i", "", 2, INT64_MAX, 100, INT64_MIN, 100, { .leeway = 0 },
          TRAVEL_E_NONE },
        { "i", "", 2, INT64_MAX, 100, INT64_MIN, 99, { .leeway = 0 },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, INT64_MAX, 100, INT64_MIN, 70, { .leeway = 30 },
          TRAVEL_E_NONE },
        { "i", "", 2, INT64_MAX, 100, INT64_MIN, 69, { .leeway = 30 },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, INT64_MAX, INT64_MIN, 131, 100, { .leeway = 30 },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, INT64_MAX, INT64_MIN, 130, 100, { .leeway = 30 },
          TRAVEL_E_NONE },
        { "i", "", 2, INT64_MAX, INT64_MIN, INT64_MIN, 100,
          { .exp_required = true }, TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, INT64_MAX, INT64_MIN, INT64_MIN, 100,
          { .exp_required = false }, TRAVEL_E_NONE },
        { "i", "", 2, -5, INT64_MIN, INT64_MIN, 100, { .leeway = 0 },
          TRAVEL_E_TOKEN_EXPIRED },

        /* issuer, audience, type */
        { "i", "", 2, 200, 0, 0, 100, { .issuer = L("i") }, TRAVEL_E_NONE },
        { "i", "", 2, 200, 0, 0, 100, { .issuer = L("I") },
          TRAVEL_E_TOKEN_INVALID },
        { "", "", 2, 200, 0, 0, 100, { .issuer = L("i") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, 200, 0, 0, 100, { .audience = L("travel") },
          TRAVEL_E_NONE },
        { "i", "", 1, 200, 0, 0, 100, { .audience = L("travel") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 0, 200, 0, 0, 100, { .audience = L("travel") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, 200, 0, 0, 100, { .audience = L("trave") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "at+jwt", 2, 200, 0, 0, 100, { .typ = L("at+jwt") },
          TRAVEL_E_NONE },
        { "i", "application/AT+jwt", 2, 200, 0, 0, 100,
          { .typ = L("at+jwt") }, TRAVEL_E_NONE },
        { "i", "JWT", 2, 200, 0, 0, 100, { .typ = L("at+jwt") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "", 2, 200, 0, 0, 100, { .typ = L("at+jwt") },
          TRAVEL_E_TOKEN_INVALID },
        { "i", "dpop+jwt", 2, 200, 0, 0, 100, { .typ = L("JWT") },
          TRAVEL_E_TOKEN_INVALID },

        /* somebody else's is never just expired */
        { "i", "", 2, 50, 0, 0, 100, { .issuer = L("x") },
          TRAVEL_E_TOKEN_INVALID }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        const char    *why = NULL;
        travel_jwt_t   jwt = {
            .iss = S(rows[i].iss), .typ = S(rows[i].typ), .auds = auds,
            .naud = (size_t) rows[i].naud, .exp = rows[i].exp,
            .nbf = rows[i].nbf, .iat = rows[i].iat
        };

        if (travel_jwt_judge(&jwt, &rows[i].policy, rows[i].now, &why)
            != rows[i].want)
        {
            fail_msg("row %zu", i);
        }

        assert_int_equal(why == NULL, rows[i].want == TRAVEL_E_NONE);
    }
}


static void
alg_names(void **state)
{
    int           i;
    travel_alg_e  alg;

    (void) state;

    for (i = 0; i < TRAVEL_ALG_MAX; i++) {
        assert_int_equal(travel_alg_parse(&alg, S(travel_alg_name(
                             (travel_alg_e) i))), TRAVEL_OK);
        assert_int_equal(alg, i);
    }

    assert_string_equal(travel_alg_name(TRAVEL_ALG_MAX), "unknown");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(claims),
        cmocka_unit_test(absent_claims),
        cmocka_unit_test(claim_forms),
        cmocka_unit_test(header_refusals),
        cmocka_unit_test(payload_refusals),
        cmocka_unit_test(shape_refusals),
        cmocka_unit_test(jws_payloads),
        cmocka_unit_test(judge),
        cmocka_unit_test(alg_names)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
