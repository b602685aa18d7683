/*
 * Origins of the Fetch standard ("https://app.example.com:8443") and the
 * patterns that a server allows them by:
 *
 *     SCHEME, then app.example.com  that one, byte for byte
 *     SCHEME, then *.example.com    any host below it, at any depth, not it
 *     * alone                       any origin but "null"
 */

#ifndef TRAVEL_ORIGIN_H
#define TRAVEL_ORIGIN_H

#include "travel.h"

#define TRAVEL_ORIGIN_MAX  300      /* scheme, the longest name, a port */

/* A serialized origin: scheme, host and port in lower case, nothing else. */
bool travel_origin_sane(travel_str_t origin);
/* One of the patterns above. */
bool travel_origin_pattern_sane(travel_str_t pattern);
/* 'origin' comes from a client and may be anything. */
bool travel_origin_match(travel_str_t pattern, travel_str_t origin);

#endif
