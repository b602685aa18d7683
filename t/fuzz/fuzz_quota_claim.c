/* Quota claims from a stream: what parses must come out the same again. */

#include "quota_claim.h"

#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                  text[TRAVEL_QUOTA_CLAIM_MAX];
    size_t                len;
    travel_quota_claim_t  claim;

    if (travel_quota_claim_parse(&claim,
                                 (travel_str_t) { (const char *) data, size })
        != TRAVEL_OK)
    {
        return 0;
    }

    len = travel_quota_claim_format(text, &claim);

    if (len != size || memcmp(text, data, len) != 0) {
        abort();
    }

    return 0;
}
