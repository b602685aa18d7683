/* DER heads and integers, as OpenSSL's own reader takes them. */

#include <openssl/asn1.h>
#include <openssl/bn.h>

#include "unit.h"
#include "der.h"


static void
integers(void **state)
{
    size_t   i, n;
    uint8_t  buf[64], *p;

    static const struct { const char *be; size_t n; const char *der; size_t m; }
    rows[] = {
        { "\x00", 1, "\x02\x01\x00", 3 },
        { "\x00\x00\x00", 3, "\x02\x01\x00", 3 },
        { "\x01", 1, "\x02\x01\x01", 3 },
        { "\x7f", 1, "\x02\x01\x7f", 3 },
        { "\x80", 1, "\x02\x02\x00\x80", 4 },
        { "\x00\x80", 2, "\x02\x02\x00\x80", 4 },
        { "\x00\x00\x7f\x00", 4, "\x02\x02\x7f\x00", 4 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        p = travel_der_uint(buf, (const uint8_t *) rows[i].be, rows[i].n);
        n = (size_t) (p - buf);

        assert_int_equal(n, rows[i].m);
        assert_memory_equal(buf, rows[i].der, n);
        assert_int_equal(travel_der_size(travel_der_uint_len(
                             (const uint8_t *) rows[i].be, rows[i].n)), n);
    }
}


static void
lengths(void **state)
{
    size_t          n;
    uint8_t         be[1200], buf[1210], *p;
    const uint8_t  *q;
    BIGNUM         *want, *got;
    ASN1_INTEGER   *a;

    (void) state;

    for (n = 1; n <= sizeof(be); n++) {
        memset(be, 0xc5, n);
        p = travel_der_uint(buf, be, n);
        assert_int_equal((size_t) (p - buf),
                         travel_der_size(travel_der_uint_len(be, n)));

        q = buf;
        a = d2i_ASN1_INTEGER(NULL, &q, p - buf);
        assert_non_null(a);
        assert_ptr_equal(q, p);

        want = BN_bin2bn(be, (int) n, NULL);
        got = ASN1_INTEGER_to_BN(a, NULL);
        assert_int_equal(BN_cmp(want, got), 0);

        BN_free(want);
        BN_free(got);
        ASN1_INTEGER_free(a);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(lengths)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
