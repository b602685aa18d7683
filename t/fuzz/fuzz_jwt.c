/* Tokens: parsing, judging, and verifying against one key of each kind.  An
 * input of three lines is encoded first, so that changes reach the claims. */

#include <stdint.h>
#include <stdlib.h>

#include "base64url.h"
#include "jwt.h"


static const char  keys[] =
    "{\"keys\":["
    "{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"e\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
    "{\"kty\":\"oct\",\"kid\":\"h\","
    "\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}]}";


/* Header, payload and signature by lines into a token; false if they are not
 * three. */

static bool
encode(travel_str_t *ret_token, char *dst, const char *p, size_t n)
{
    int          part;
    char        *q;
    const char  *line, *end;

    q = dst;
    end = p + n;

    for (part = 0; part < 3; part++, p = line + 1) {
        line = part < 2 ? memchr(p, '\n', (size_t) (end - p)) : end;

        if (line == NULL) {
            return false;
        }

        q += travel_base64url_encode(q, p, (size_t) (line - p));
        *q++ = '.';
    }

    *ret_token = (travel_str_t) { dst, (size_t) (q - dst) - 1 };

    return true;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                         text[2 * TRAVEL_JWT_MAX];
    size_t                       key, i, sum;
    const char                  *why;
    travel_str_t                 token;
    travel_jwt_t                 jwt;
    static travel_jwks_t        *jwks;
    static travel_jwt_parser_t  *parser;

    static const travel_jwt_policy_t  policy = {
        { "joe", 3 }, { "travel", 6 }, { NULL, 0 }, 30, true
    };

    if (parser == NULL) {
        parser = travel_jwt_parser_create();

        if (travel_jwks_load(&jwks, TRAVEL_STR(keys),
                             TRAVEL_ALG_PUBLIC_MASK | TRAVEL_ALG_HS_MASK,
                             &why) != TRAVEL_OK)
        {
            abort();
        }
    }

    token = (travel_str_t) { (const char *) data, n };

    if (n && n <= TRAVEL_JWT_MAX) {
        encode(&token, text, token.data, n);
    }

    if (travel_jws_parse(parser, token, &jwt, &why) == TRAVEL_OK) {
        if (travel_jwks_verify(jwks, &jwt, token, &key, &why) == TRAVEL_OK
            && key >= travel_jwks_count(jwks))
        {
            abort();
        }
    }

    if (travel_jwt_parse(parser, token, &jwt, &why) == TRAVEL_OK) {
        (void) travel_jwt_judge(&jwt, &policy, 1300819379, &why);

        /* every view must be readable */

        for (sum = 0, i = 0; i < jwt.naud; i++) {
            sum += jwt.auds[i].len ? (size_t) jwt.auds[i].data[0] : 0;
        }

        for (i = 0; i < jwt.permissions.len; i++) {
            sum += (size_t) jwt.permissions.data[i];
        }

        if (sum == SIZE_MAX || jwt.signing_input.len + 2 > token.len) {
            abort();
        }
    }

    return 0;
}
