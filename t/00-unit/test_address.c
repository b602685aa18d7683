/* Addresses and networks; hops by X-Forwarded-For and by RFC 7239. */

#include "unit.h"
#include "address.h"


static const char *
canonical(const char *text)
{
    static char       buf[TRAVEL_ADDRESS_TEXT_LEN + 1];
    travel_address_t  a;

    if (travel_address_parse(&a, S(text)) != TRAVEL_OK) {
        return "invalid";
    }

    buf[travel_address_format(buf, &a)] = '\0';

    return buf;
}


static void
addresses(void **state)
{
    size_t  i;

    static const char  *good[][2] = {
        { "192.0.2.1", "192.0.2.1" },
        { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "::", "::" },
        { "::ffff:192.0.2.1", "192.0.2.1" }
    };

    static const char  *bad[] = {
        "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4",
        "01.2.3.4", "0x7f.0.0.1", "[::1]", "::1%lo", "1.2.3.4:80", ":", "::g",
        "2001:db8::1::2", "unknown",
        "2001:0db8:0000:0000:0000:0000:0000:0000:0000001"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_string_equal(canonical(good[i][0]), good[i][1]);
    }

    for (i = 0; i < N(bad); i++) {
        assert_string_equal(canonical(bad[i]), "invalid");
    }

    {
        travel_address_t  a;

        assert_int_equal(travel_address_parse(&a, L("1.2.3.4\0")),
                         TRAVEL_INVALID);
    }
}


static bool
in(const char *network, const char *address)
{
    travel_address_t  a;
    travel_network_t  n;

    assert_int_equal(travel_network_parse(&n, S(network)), TRAVEL_OK);
    assert_int_equal(travel_address_parse(&a, S(address)), TRAVEL_OK);

    return travel_network_holds(&n, &a);
}


static void
networks(void **state)
{
    size_t            i;
    travel_network_t  n;

    static const char  *bad[] = {
        "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/-1",
        "10.0.0.1/8", "10.0.0.0/8/8", "2001:db8::/129", "2001:db8::1/32",
        "10.0.0.0/0008", "host"
    };

    (void) state;

    assert_true(in("10.0.0.0/8", "10.255.0.1"));
    assert_false(in("10.0.0.0/8", "11.0.0.1"));
    assert_false(in("10.0.0.0/8", "a00::"));
    assert_true(in("192.0.2.128/25", "192.0.2.200"));
    assert_false(in("192.0.2.128/25", "192.0.2.127"));
    assert_true(in("192.0.2.1", "192.0.2.1"));
    assert_false(in("192.0.2.1", "192.0.2.2"));
    assert_true(in("0.0.0.0/0", "203.0.113.9"));
    assert_false(in("0.0.0.0/0", "2001:db8::1"));
    assert_true(in("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(in("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(in("::1", "::1"));
    assert_true(in("::/0", "192.0.2.1"));

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_network_parse(&n, S(bad[i])), TRAVEL_INVALID);
    }
}


/* The client of one to three header lines behind 10.0.0.0/8 and fd00::/8. */
static const char *
client(travel_forwarded_e form, const char *peer, const char *a,
    const char *b)
{
    size_t            n;
    travel_str_t      lines[2];
    travel_address_t  address;
    travel_network_t  nets[2];

    static char  buf[TRAVEL_ADDRESS_TEXT_LEN + 1];

    assert_int_equal(travel_network_parse(&nets[0], S("10.0.0.0/8")), 0);
    assert_int_equal(travel_network_parse(&nets[1], S("fd00::/8")), 0);
    assert_int_equal(travel_address_parse(&address, S(peer)), 0);

    n = 0;

    if (a) {
        lines[n++] = S(a);
    }

    if (b) {
        lines[n++] = S(b);
    }

    (void) travel_forwarded_client(&address, form, lines, n, nets, 2);

    buf[travel_address_format(buf, &address)] = '\0';

    return buf;
}

#define is_client(form, peer, a, b, want)                                     \
    assert_string_equal(client(TRAVEL_FORWARDED_##form, peer, a, b), want)


static void
x_forwarded_for(void **state)
{
    (void) state;

    /* a peer that is no proxy is the client, whatever it says */
    is_client(X, "192.0.2.9", "203.0.113.1", NULL, "192.0.2.9");

    is_client(X, "10.0.0.1", NULL, NULL, "10.0.0.1");
    is_client(X, "10.0.0.1", "", NULL, "10.0.0.1");
    is_client(X, "10.0.0.1", "203.0.113.1", NULL, "203.0.113.1");
    is_client(X, "10.0.0.1", "203.0.113.1:4711", NULL, "203.0.113.1");
    is_client(X, "10.0.0.1", "2001:db8::1", NULL, "2001:db8::1");
    is_client(X, "10.0.0.1", "[2001:db8::1]:80", NULL, "2001:db8::1");
    is_client(X, "fd00::1", "203.0.113.1", NULL, "203.0.113.1");

    /* from the right, through known hops only */
    is_client(X, "10.0.0.1", "6.6.6.6, 203.0.113.1", NULL, "203.0.113.1");
    is_client(X, "10.0.0.1", "6.6.6.6, 203.0.113.1, 10.0.0.7", NULL,
              "203.0.113.1");
    is_client(X, "10.0.0.1", "10.0.0.9,10.0.0.8", NULL, "10.0.0.9");
    is_client(X, "10.0.0.1", "6.6.6.6,203.0.113.1", "10.0.0.7 , 10.0.0.8",
              "203.0.113.1");
    is_client(X, "10.0.0.1", "203.0.113.1, ,, ", NULL, "203.0.113.1");

    /* what is no address ends the way */
    is_client(X, "10.0.0.1", "6.6.6.6, unknown", NULL, "10.0.0.1");
    is_client(X, "10.0.0.1", "6.6.6.6, x, 10.0.0.7", NULL, "10.0.0.7");
    is_client(X, "10.0.0.1", "6.6.6.6, 1.2.3.4:123456", NULL, "10.0.0.1");
    is_client(X, "10.0.0.1", "6.6.6.6, \"1.2.3.4\"", NULL, "10.0.0.1");
}


static void
forwarded(void **state)
{
    (void) state;

    is_client(RFC7239, "192.0.2.9", "for=203.0.113.1", NULL, "192.0.2.9");

    /* the examples of RFC 7239 sections 4 and 7 */
    is_client(RFC7239, "10.0.0.1", "for=\"_gazonk\"", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "For=\"[2001:db8:cafe::17]:4711\"", NULL,
              "2001:db8:cafe::17");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.60;proto=http;by=203.0.113.43",
              NULL, "192.0.2.60");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43, for=198.51.100.17", NULL,
              "198.51.100.17");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43,for=\"[2001:db8:cafe::17]\""
              ",for=unknown", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=_hidden, for=_SEVKISEK", NULL,
              "10.0.0.1");
    /* several lines are one list, section 7.1 */
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43", "for=10.0.0.2, "
              "for=\"[fd00::9]\"", "192.0.2.43");

    /* ports, also hidden ones, want quotes; IPv6 wants brackets */
    is_client(RFC7239, "10.0.0.1", "for=\"192.0.2.43:47011\"", NULL,
              "192.0.2.43");
    is_client(RFC7239, "10.0.0.1", "for=\"192.0.2.43:_x\"", NULL,
              "192.0.2.43");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43:47011", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=\"2001:db8::1\"", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=[2001:db8::1]", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=\"[192.0.2.1]\"", NULL, "10.0.0.1");

    /* other parameters, quoted text with everything in it */
    is_client(RFC7239, "10.0.0.1",
              "host=\"a,b;\\\"for=6.6.6.6\\\"\";for=192.0.2.43;x=y", NULL,
              "192.0.2.43");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43;", NULL, "192.0.2.43");
    is_client(RFC7239, "10.0.0.1", "by=192.0.2.43", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43;for=192.0.2.44", NULL,
              "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "192.0.2.43", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for = 192.0.2.43", NULL, "10.0.0.1");

    /* a client's open quote does not hide what the proxy wrote behind it */
    is_client(RFC7239, "10.0.0.1", "for=\", for=192.0.2.43", NULL,
              "192.0.2.43");
    is_client(RFC7239, "10.0.0.1", "for=\"\\, for=\"[2001:db8::1]\"", NULL,
              "2001:db8::1");
    is_client(RFC7239, "10.0.0.1", "for=192.0.2.43, for=\"10.0.0.2", NULL,
              "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "\"", NULL, "10.0.0.1");
    is_client(RFC7239, "10.0.0.1", "for=\"192.0.2.43\\", NULL, "10.0.0.1");
}


static void
public(void **state)
{
    size_t            i;
    travel_address_t  a;

    static const struct {
        const char  *text;
        bool         yes;
    } table[] = {
        { "8.8.8.8", true }, { "1.1.1.1", true }, { "172.15.255.255", true },
        { "172.32.0.0", true }, { "100.63.255.255", true },
        { "2606:4700::1111", true }, { "2a00:1450::1", true },
        { "0.0.0.0", false }, { "10.255.255.255", false },
        { "100.64.0.1", false }, { "127.0.0.1", false },
        { "169.254.169.254", false }, { "172.16.0.0", false },
        { "172.31.255.255", false }, { "192.168.1.1", false },
        { "198.18.0.1", false }, { "224.0.0.1", false },
        { "255.255.255.255", false }, { "::", false }, { "::1", false },
        { "::ffff:127.0.0.1", false }, { "::ffff:8.8.8.8", true },
        { "fe80::1", false }, { "fc00::1", false }, { "fd12::1", false },
        { "ff02::1", false }, { "64:ff9b::7f00:1", false },
        { "2001:db8::1", false }, { "2002:7f00:1::", false }
    };

    (void) state;

    for (i = 0; i < N(table); i++) {
        assert_int_equal(travel_address_parse(&a, S(table[i].text)),
                         TRAVEL_OK);
        assert_int_equal(travel_address_public(&a), table[i].yes);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(networks),
        cmocka_unit_test(public),
        cmocka_unit_test(x_forwarded_for),
        cmocka_unit_test(forwarded)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
