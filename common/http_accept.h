/* Accept (RFC 9110 section 12.5.1), as far as who serves one form to those who
 * name it and another to all others has to know. */

#ifndef TRAVEL_HTTP_ACCEPT_H
#define TRAVEL_HTTP_ACCEPT_H

#include "travel.h"

/* Is the media type, which is in lower case, named, and not with q=0?  "*" in a
 * range names nothing. */
bool travel_http_accepts(travel_str_t accept, travel_str_t type);

#endif
