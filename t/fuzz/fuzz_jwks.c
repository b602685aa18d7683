/* Key sets: whatever loads must also be able to say no. */

#include <stdint.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "jwt.h"


static const travel_alg_e  algs[] = {
    TRAVEL_ALG_RS256, TRAVEL_ALG_PS512, TRAVEL_ALG_ES256, TRAVEL_ALG_ES384,
    TRAVEL_ALG_ES512, TRAVEL_ALG_EDDSA, TRAVEL_ALG_HS256
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t          i, key;
    const char     *why;
    travel_jwt_t    jwt = { 0 };
    travel_jwks_t  *jwks;

    static const travel_str_t  token = { "e30.e30.c2lnbmF0dXJl", 20 };

    if (travel_jwks_load(&jwks, (travel_str_t) { (const char *) data, n },
                         TRAVEL_ALG_PUBLIC_MASK | TRAVEL_ALG_HS_MASK, &why)
        == TRAVEL_OK)
    {
        if (travel_jwks_count(jwks) == 0) {
            abort();
        }

        jwt.signing_input = (travel_str_t) { token.data, 7 };

        for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
            jwt.alg = algs[i];

            if (travel_jwks_verify(jwks, &jwt, token, &key, &why)
                == TRAVEL_OK)
            {
                abort();
            }
        }

        travel_jwks_free(jwks);
    }

    if (ERR_peek_error()) {
        abort();
    }

    return 0;
}
