/* Sealed values from a stream: nothing that was not sealed may open, and a
 * value that was must, unless a byte of it differs. */

#include "seal.h"

#include <stdlib.h>

static const char  fuzz_private[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIEDtvfGEvCg42W0Ys02OE5YT7R8zg42V1WIQMX2zJ6x/\n"
    "-----END PRIVATE KEY-----\n";
static const char  fuzz_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAQSsUOnMMay0meqMVBwXYhO5ywNOfTZSs0I1wtac8wWI=\n"
    "-----END PUBLIC KEY-----\n";


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The value 'data', sealed and opened again. */
static void
fuzz_round(const travel_seal_keys_t *keys, const travel_seal_public_t *key,
    const travel_seal_place_t *place, travel_str_t value)
{
    char    *sealed, *back;
    size_t   len, n = TRAVEL_SEALED_LEN(value.len);

    sealed = malloc(n);
    back = malloc(n);

    if (sealed == NULL || back == NULL
        || travel_seal(sealed, key, place, value) != TRAVEL_OK
        || travel_unseal(back, &len, keys, place, (travel_str_t) { sealed, n })
           != TRAVEL_OK
        || len != value.len || memcmp(back, value.data, len) != 0)
    {
        abort();
    }

    free(sealed);
    free(back);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                        *back;
    size_t                       len;
    travel_str_t                 text = { (const char *) data, size };
    travel_seal_place_t          place = { TRAVEL_STR("t"), TRAVEL_STR("s"),
                                           TRAVEL_STR("m") };
    static travel_seal_keys_t   *keys;
    static travel_seal_public_t  key;

    if (keys == NULL
        && (travel_seal_private(&keys, TRAVEL_STR(fuzz_private)) != TRAVEL_OK
            || travel_seal_public(&key, TRAVEL_STR(fuzz_public)) != TRAVEL_OK))
    {
        abort();
    }

    back = malloc(size + 1);

    if (back == NULL
        || travel_unseal(back, &len, keys, &place, text) == TRAVEL_OK)
    {
        abort();
    }

    free(back);

    if (size > 0 && size < 1024) {
        fuzz_round(keys, &key, &place, text);
    }

    return 0;
}
