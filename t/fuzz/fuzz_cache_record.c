/* A record from a shared store: whatever the bytes, views stay inside them,
 * and what is believed is signed the same again. */

#include <stdint.h>
#include <stdlib.h>

#include "cache_record.h"
#include "hash.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                   *again;
    char                   *own;
    travel_str_t            secret;
    travel_cache_record_t   r;

    if (n > TRAVEL_CACHE_RECORD_MAX) {
        return 0;
    }

    secret = TRAVEL_STR("fuzz");
    own = malloc(n + 1);

    if (own == NULL) {
        return 0;
    }

    memcpy(own, data, n);

    /* signed as one of us would, else nothing gets past the signature */

    if (n >= TRAVEL_SHA256_LEN
        && travel_hmac_sha256((uint8_t *) own + n - TRAVEL_SHA256_LEN, secret,
                              (travel_str_t) { own, n - TRAVEL_SHA256_LEN })
           != TRAVEL_OK)
    {
        abort();
    }

    if (travel_cache_record_decode(&r, (travel_str_t) { own, n }, secret)
        == TRAVEL_OK)
    {
        again = malloc(n);

        if (again == NULL || travel_cache_record_size(&r) != n
            || travel_cache_record_encode(again, &r, secret) != TRAVEL_OK
            || memcmp(again, own, n) != 0)
        {
            abort();
        }

        free(again);
    }

    free(own);

    return 0;
}
