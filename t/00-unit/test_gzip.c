/* gzip: what another inflate gives back, what does not fit, what is refused. */

#include "unit.h"
#include "gzip.h"

#include <stdlib.h>
#include <zlib.h>


/* By zlib's own reader, member and trailer checked. */
static size_t
unpack(char *dst, size_t cap, const char *src, size_t len)
{
    z_stream  z;

    memset(&z, 0, sizeof(z));
    assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);

    z.next_in = (Bytef *) (uintptr_t) src;
    z.avail_in = (uInt) len;
    z.next_out = (Bytef *) dst;
    z.avail_out = (uInt) cap;

    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);

    return cap - z.avail_out;
}


static void
test_round(void **state)
{
    int             level;
    size_t          n, len, again;
    char            plain[5000], packed[6000], second[6000], back[5000];
    travel_gzip_t  *gz;

    (void) state;

    for (n = 0; n < sizeof(plain); n++) {
        plain[n] = (char) ("journey "[n % 8] + (n % 97 == 0));
    }

    for (level = 1; level <= TRAVEL_GZIP_LEVELS; level++) {
        gz = travel_gzip_new(level);
        assert_non_null(gz);

        for (n = 0; n <= sizeof(plain); n += 1250) {
            assert_int_equal(travel_gzip_pack(gz, (travel_str_t) { plain, n },
                                              packed, sizeof(packed), &len),
                             TRAVEL_OK);
            assert_int_equal(unpack(back, sizeof(back), packed, len), n);
            assert_memory_equal(back, plain, n);

            assert_int_equal(travel_gzip_pack(gz, (travel_str_t) { plain, n },
                                              second, sizeof(second), &again),
                             TRAVEL_OK);
            assert_int_equal(again, len);
            assert_memory_equal(second, packed, len);
        }

        travel_gzip_free(gz);
    }
}


static void
test_does_not_fit(void **state)
{
    size_t          n, len;
    char            noise[1000], packed[1000];
    unsigned        x;
    travel_gzip_t  *gz;

    (void) state;

    for (n = 0, x = 1; n < sizeof(noise); n++) {
        x = x * 1103515245 + 12345;
        noise[n] = (char) (x >> 16);
    }

    gz = travel_gzip_new(6);
    assert_non_null(gz);
    len = 77;

    assert_int_equal(travel_gzip_pack(gz, (travel_str_t) { noise,
                                                           sizeof(noise) },
                                      packed, sizeof(packed), &len),
                     TRAVEL_REFUSED);
    assert_int_equal(len, 77);

    /* and it is as new after that */

    assert_int_equal(travel_gzip_pack(gz, TRAVEL_STR("aaaaaaaaaaaaaaaaaaaaaa"),
                                      packed, sizeof(packed), &len),
                     TRAVEL_OK);
    assert_true(len < 30);

    travel_gzip_free(gz);
}


static void
test_levels(void **state)
{
    (void) state;

    assert_null(travel_gzip_new(0));
    assert_null(travel_gzip_new(-1));
    assert_null(travel_gzip_new(TRAVEL_GZIP_LEVELS + 1));
    travel_gzip_free(NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_does_not_fit),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
