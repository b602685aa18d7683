/* Codes that a client says: what is taken is six digits, and the code of a step
 * within a step of now; recovery codes stay within their room. */

#include "totp.h"

#include <stdlib.h>

#define FUZZ_NOW  1234567890

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            rc;
    char          *plain, code[TRAVEL_TOTP_DIGITS + 1];
    size_t         i;
    uint64_t       step;
    travel_str_t   said = { (const char *) data, size };
    travel_str_t   secret = TRAVEL_STR("12345678901234567890");

    rc = travel_totp_step(&step, secret, said, FUZZ_NOW);

    if (rc == TRAVEL_ERROR
        || (rc == TRAVEL_OK
            && (step + 1 < FUZZ_NOW / 30 || step > FUZZ_NOW / 30 + 1
                || travel_hotp(code, secret, step, TRAVEL_TOTP_DIGITS)
                   != TRAVEL_OK)))
    {
        abort();
    }

    plain = malloc(size + 1);

    if (plain == NULL) {
        abort();
    }

    if (travel_recovery_plain(plain, said) == TRAVEL_OK) {
        for (i = 0; plain[i] != '\0'; i++) {
            if ((plain[i] < 'A' || plain[i] > 'Z')
                && (plain[i] < '0' || plain[i] > '9'))
            {
                abort();
            }
        }
    }

    free(plain);
    return 0;
}
