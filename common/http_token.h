/* The characters of tokens (RFC 9110 section 5.6.2): names of fields, methods,
 * parameters. */

#ifndef TRAVEL_HTTP_TOKEN_H
#define TRAVEL_HTTP_TOKEN_H

#include <string.h>

#include "travel.h"

static inline bool
travel_http_tchar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z')
           || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

#endif
