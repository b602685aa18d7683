/* Accept (RFC 9110 sections 12.4.2 and 12.5.1).  A type is "type/subtype" in
 * lower case; parameters of a range other than its weight do not matter. */

#ifndef TRAVEL_HTTP_ACCEPT_H
#define TRAVEL_HTTP_ACCEPT_H

#include "travel.h"

/* The weight of the type in thousandths, by the range that says most of it; 0:
 * it is not wanted.  *ret_place: where in the header it is named, from 1 on; 0,
 * it is not.  An empty header names nothing. */
unsigned travel_http_accept_weight(travel_str_t accept, travel_str_t type,
    unsigned *ret_place);

/* For who serves one form to those who name it and another to all others: is
 * the type named, and wanted?  "*" in a range names nothing. */
bool travel_http_accepts(travel_str_t accept, travel_str_t type);

#endif
