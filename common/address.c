#include <arpa/inet.h>

#include "address.h"
#include "http_token.h"


static const uint8_t  travel_address_mapped[12] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};


static travel_str_t
travel_address_trim(travel_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


int
travel_address_parse(travel_address_t *ret_address, travel_str_t text)
{
    char              buf[TRAVEL_ADDRESS_TEXT_LEN + 1];
    travel_address_t  address;

    if (text.len == 0 || text.len > TRAVEL_ADDRESS_TEXT_LEN
        || memchr(text.data, '\0', text.len))
    {
        return TRAVEL_INVALID;
    }

    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';

    if (memchr(buf, ':', text.len)) {
        if (inet_pton(AF_INET6, buf, address.bytes) != 1) {
            return TRAVEL_INVALID;
        }

    } else {
        memcpy(address.bytes, travel_address_mapped,
               sizeof(travel_address_mapped));

        if (inet_pton(AF_INET, buf, address.bytes + 12) != 1) {
            return TRAVEL_INVALID;
        }
    }

    *ret_address = address;

    return TRAVEL_OK;
}


bool
travel_address_is_v4(const travel_address_t *address)
{
    return memcmp(address->bytes, travel_address_mapped,
                  sizeof(travel_address_mapped)) == 0;
}


size_t
travel_address_format(char *dst, const travel_address_t *address)
{
    const char  *p;

    p = travel_address_is_v4(address)
        ? inet_ntop(AF_INET, address->bytes + 12, dst,
                    TRAVEL_ADDRESS_TEXT_LEN + 1)
        : inet_ntop(AF_INET6, address->bytes, dst,
                    TRAVEL_ADDRESS_TEXT_LEN + 1);

    return p ? strlen(p) : 0;
}


/* --- networks ------------------------------------------------------------ */

int
travel_network_parse(travel_network_t *ret_network, travel_str_t text)
{
    size_t             i;
    unsigned           bits, most;
    const char        *slash;
    travel_str_t       name;
    travel_network_t   network;

    name = text;
    slash = text.len ? memchr(text.data, '/', text.len) : NULL;

    if (slash) {
        name.len = (size_t) (slash - text.data);
    }

    if (travel_address_parse(&network.address, name) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    most = memchr(name.data, ':', name.len) ? 128 : 32;
    bits = most;

    if (slash) {
        i = name.len + 1;

        if (i == text.len || text.len - i > 3) {
            return TRAVEL_INVALID;
        }

        for (bits = 0; i < text.len; i++) {
            if (text.data[i] < '0' || text.data[i] > '9') {
                return TRAVEL_INVALID;
            }

            bits = bits * 10 + (unsigned) (text.data[i] - '0');
        }

        if (bits > most) {
            return TRAVEL_INVALID;
        }
    }

    network.bits = bits + 128 - most;

    /* 10.0.0.1/8 is a slip of the pen: which one was meant? */
    for (i = network.bits; i < 128; i++) {
        if (network.address.bytes[i / 8] & (0x80 >> i % 8)) {
            return TRAVEL_INVALID;
        }
    }

    *ret_network = network;

    return TRAVEL_OK;
}


bool
travel_network_holds(const travel_network_t *network,
    const travel_address_t *address)
{
    size_t   whole;
    uint8_t  mask;

    whole = network->bits / 8;
    mask = (uint8_t) (0xff00 >> network->bits % 8);

    if (memcmp(network->address.bytes, address->bytes, whole) != 0) {
        return false;
    }

    return mask == 0
           || (network->address.bytes[whole] & mask)
              == (address->bytes[whole] & mask);
}


/* Whatever these hold is not public; of IPv6 only 2000::/3 is. */
bool
travel_address_public(const travel_address_t *address)
{
    size_t            i;
    travel_network_t  net;

    static const char *const  special[] = {
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
        "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"
    };

    if (!travel_address_is_v4(address)
        && (address->bytes[0] & 0xe0) != 0x20)
    {
        return false;
    }

    for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (travel_network_parse(&net, (travel_str_t) { special[i],
                                 strlen(special[i]) }) != TRAVEL_OK
            || travel_network_holds(&net, address))
        {
            return false;
        }
    }

    return true;
}


/* --- hops ---------------------------------------------------------------- */

/* ":" and a port: digits, or in RFC 7239 section 6.3 "_" and a name. */

static bool
travel_forwarded_port(travel_str_t s)
{
    size_t  i;
    char    c;

    if (s.len < 2 || s.data[0] != ':') {
        return false;
    }

    if (s.data[1] == '_') {
        return s.len > 2;
    }

    for (i = 1; i < s.len; i++) {
        c = s.data[i];

        if (c < '0' || c > '9') {
            return false;
        }
    }

    return s.len <= 6;
}


/* "[2001:db8::1]", "192.0.2.1", each with or without a port; 'bare' allows an
 * IPv6 address without brackets. */

static int
travel_forwarded_node(travel_str_t s, bool bare, travel_address_t *ret_address)
{
    const char    *end;
    travel_str_t   name, rest;

    name = s;
    rest.data = s.data + s.len;
    rest.len = 0;

    if (s.len && s.data[0] == '[') {
        end = memchr(s.data, ']', s.len);

        if (end == NULL) {
            return TRAVEL_INVALID;
        }

        name.data = s.data + 1;
        name.len = (size_t) (end - name.data);
        rest.data = end + 1;
        rest.len = (size_t) (s.data + s.len - rest.data);

        if (memchr(name.data, ':', name.len) == NULL) {
            return TRAVEL_INVALID;
        }

    } else if (s.len) {
        end = memchr(s.data, ':', s.len);

        if (end && bare
            && memchr(end + 1, ':', (size_t) (s.data + s.len - end - 1)))
        {
            return travel_address_parse(ret_address, s);
        }

        if (end) {
            name.len = (size_t) (end - s.data);
            rest.data = end;
            rest.len = s.len - name.len;
        }
    }

    if (rest.len && !travel_forwarded_port(rest)) {
        return TRAVEL_INVALID;
    }

    return travel_address_parse(ret_address, name);
}


static bool
travel_forwarded_token(travel_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (!travel_http_tchar(s.data[i])) {
            return false;
        }
    }

    return s.len != 0;
}


/* One "name=value" of an element; sets *ret_for when it is the hop. */

static int
travel_forwarded_pair(travel_str_t pair, travel_str_t *ret_for)
{
    const char    *eq;
    travel_str_t   name, value;

    eq = pair.len ? memchr(pair.data, '=', pair.len) : NULL;

    if (eq == NULL) {
        return TRAVEL_INVALID;
    }

    name.data = pair.data;
    name.len = (size_t) (eq - pair.data);
    value.data = eq + 1;
    value.len = pair.len - name.len - 1;

    if (!travel_forwarded_token(name)) {
        return TRAVEL_INVALID;
    }

    if (value.len >= 2 && value.data[0] == '"'
        && value.data[value.len - 1] == '"')
    {
        /* no address needs an escape: one that has some does not parse */
        value.data++;
        value.len -= 2;

    } else if (!travel_forwarded_token(value)) {
        return TRAVEL_INVALID;
    }

    if (name.len != 3 || (name.data[0] | 0x20) != 'f'
        || (name.data[1] | 0x20) != 'o' || (name.data[2] | 0x20) != 'r')
    {
        return TRAVEL_OK;
    }

    if (ret_for->data) {
        return TRAVEL_INVALID;
    }

    *ret_for = value;

    return TRAVEL_OK;
}


/* RFC 7239 section 4: forwarded-element. */

static int
travel_forwarded_element(travel_str_t s, travel_address_t *ret_address)
{
    size_t        i, begin;
    bool          quoted;
    travel_str_t  pair, node = { NULL, 0 };

    quoted = false;
    begin = 0;

    for (i = 0; i <= s.len; i++) {

        if (i < s.len && quoted && s.data[i] == '\\') {
            i++;
            continue;
        }

        if (i < s.len && s.data[i] == '"') {
            quoted = !quoted;
            continue;
        }

        if (i < s.len && (quoted || s.data[i] != ';')) {
            continue;
        }

        pair.data = s.data + begin;
        pair.len = i - begin;
        begin = i + 1;

        /* pairs may be absent: "for=192.0.2.1;" */
        if (pair.len && travel_forwarded_pair(pair, &node) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (quoted || begin != s.len + 1 || node.data == NULL) {
        return TRAVEL_INVALID;
    }

    return travel_forwarded_node(node, false, ret_address);
}


/*
 * Where the last element of s begins.  Quotes are matched from the right, so
 * that an unbalanced one further left, which a client can write, does not
 * swallow what a proxy has appended.
 */

static size_t
travel_forwarded_begin(travel_str_t s, bool quotes)
{
    size_t  i, k;
    bool    quoted;

    quoted = false;

    for (i = s.len; i > 0; i--) {

        if (s.data[i - 1] == ',' && !quoted) {
            break;
        }

        if (s.data[i - 1] == '"' && quotes) {

            for (k = i - 1; k > 0 && s.data[k - 1] == '\\'; k--) {
                /* void */
            }

            if ((i - 1 - k) % 2 == 0 || !quoted) {
                quoted = !quoted;
            }
        }
    }

    return i;
}


int
travel_forwarded_last(travel_str_t *list, travel_forwarded_e form,
    travel_address_t *ret_address)
{
    size_t        begin;
    travel_str_t  element;

    while (list->len) {

        begin = travel_forwarded_begin(*list,
                                       form == TRAVEL_FORWARDED_RFC7239);

        element.data = list->data + begin;
        element.len = list->len - begin;
        element = travel_address_trim(element);

        list->len = begin ? begin - 1 : 0;

        if (element.len == 0) {
            continue;
        }

        return (form == TRAVEL_FORWARDED_RFC7239)
               ? travel_forwarded_element(element, ret_address)
               : travel_forwarded_node(element, true, ret_address);
    }

    return TRAVEL_UNKNOWN;
}


size_t
travel_forwarded_client(travel_address_t *address, travel_forwarded_e form,
    const travel_str_t *lines, size_t nlines, const travel_network_t *networks,
    size_t nnetworks)
{
    int           rc;
    size_t        i, hops;
    travel_str_t  line;

    line.data = NULL;
    line.len = 0;

    for (hops = 0; ; hops++) {

        for (i = 0; i < nnetworks; i++) {
            if (travel_network_holds(&networks[i], address)) {
                break;
            }
        }

        if (i == nnetworks) {
            return hops;
        }

        for ( ;; ) {
            rc = travel_forwarded_last(&line, form, address);

            if (rc != TRAVEL_UNKNOWN) {
                break;
            }

            if (nlines == 0) {
                return hops;
            }

            line = lines[--nlines];
        }

        if (rc != TRAVEL_OK) {
            return hops;
        }
    }
}
