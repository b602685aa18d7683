/*
 * Internet addresses, and whose a request is when it came through proxies:
 * X-Forwarded-For as it is commonly written, Forwarded by RFC 7239.
 *
 * Each proxy appends the address that it got the request from, so the list is
 * read from its right end, and only as far as the hops are known proxies: what
 * stands further left was written by nobody that is trusted.
 */

#ifndef TRAVEL_ADDRESS_H
#define TRAVEL_ADDRESS_H

#include "travel.h"

#define TRAVEL_ADDRESS_TEXT_LEN  45

/* In network order; an IPv4 address is ::ffff:a.b.c.d. */
typedef struct {
    uint8_t           bytes[16];
} travel_address_t;

/* Bits count from the left of those 16 bytes: 96 + n for IPv4. */
typedef struct {
    travel_address_t  address;
    unsigned          bits;            /* 0 .. 128 */
} travel_network_t;

typedef enum {
    TRAVEL_FORWARDED_X,                /* X-Forwarded-For */
    TRAVEL_FORWARDED_RFC7239           /* Forwarded */
} travel_forwarded_e;

/* "192.0.2.1" or "2001:db8::1", nothing around it; or TRAVEL_INVALID. */
int travel_address_parse(travel_address_t *ret_address, travel_str_t text)
    TRAVEL_MUST_CHECK;
bool travel_address_is_v4(const travel_address_t *address);
/* 'dst' holds TRAVEL_ADDRESS_TEXT_LEN characters and a NUL; the length. */
size_t travel_address_format(char *dst, const travel_address_t *address);

/* "ADDRESS" or "ADDRESS/BITS", with no bit set behind them; or
 * TRAVEL_INVALID. */
int travel_network_parse(travel_network_t *ret_network, travel_str_t text)
    TRAVEL_MUST_CHECK;
bool travel_network_holds(const travel_network_t *network,
    const travel_address_t *address);

/* Is it an address of the public Internet?  Not: this host, private networks,
 * links, multicast, documentation, translations of such (IANA's registries of
 * special purpose addresses). */
bool travel_address_public(const travel_address_t *address);

/*
 * Takes the last element from *list, one header line.  TRAVEL_OK with its
 * address; TRAVEL_UNKNOWN: there is none left; TRAVEL_INVALID: it does not
 * name an address ("unknown", "_hidden", malformed).
 */
int travel_forwarded_last(travel_str_t *list, travel_forwarded_e form,
    travel_address_t *ret_address) TRAVEL_MUST_CHECK;

/*
 * From *address, the peer's, through all hops that are in 'networks': the
 * first that is not, or the last one that is known.  'lines' are the header's,
 * in the order they came.  Returns how many elements were taken.
 */
size_t travel_forwarded_client(travel_address_t *address,
    travel_forwarded_e form, const travel_str_t *lines, size_t nlines,
    const travel_network_t *networks, size_t nnetworks);

#endif
