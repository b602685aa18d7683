/* The rows of errors.def by number, by wire code and by HTTP status. */

#include "errors.h"


static const struct {
    const char  *code;
    uint8_t      len;
    uint16_t     status;
    const char  *title;
    const char  *advice;
} travel_errors[] = {
#define X(name, status, title, advice)                                        \
    { #name, sizeof(#name) - 1, status, title, advice },
#include "errors.def"
#undef X
};


static unsigned
travel_error_index(travel_error_e e)
{
    return (unsigned) e < TRAVEL_E_MAX ? (unsigned) e : TRAVEL_E_INTERNAL_ERROR;
}


const char *
travel_error_code(travel_error_e e)
{
    return travel_errors[travel_error_index(e)].code;
}


int
travel_error_status(travel_error_e e)
{
    return travel_errors[travel_error_index(e)].status;
}


const char *
travel_error_title(travel_error_e e)
{
    return travel_errors[travel_error_index(e)].title;
}


const char *
travel_error_advice(travel_error_e e)
{
    return travel_errors[travel_error_index(e)].advice;
}


travel_error_e
travel_error_by_code(travel_str_t code)
{
    unsigned  i;

    for (i = 0; i < TRAVEL_E_MAX; i++) {
        if (travel_errors[i].len == code.len
            && memcmp(travel_errors[i].code, code.data, code.len) == 0)
        {
            return (travel_error_e) i;
        }
    }

    return TRAVEL_E_NONE;
}


/* Several rows may share a status; this says which one speaks for it when
 * nothing but the status is known. */

travel_error_e
travel_error_by_status(int status)
{
    switch (status) {
    case 401: return TRAVEL_E_AUTHENTICATION_ERROR;
    case 403: return TRAVEL_E_AUTHORIZATION_ERROR;
    case 404: return TRAVEL_E_RESOURCE_NOT_FOUND;
    case 405: return TRAVEL_E_METHOD_NOT_ALLOWED;
    case 406: return TRAVEL_E_NOT_ACCEPTABLE;
    case 408: return TRAVEL_E_REQUEST_TIMEOUT;
    case 409: return TRAVEL_E_CONFLICT;
    case 411: return TRAVEL_E_LENGTH_REQUIRED;
    case 412: return TRAVEL_E_PRECONDITION_FAILED;
    case 413: return TRAVEL_E_PAYLOAD_TOO_LARGE;
    case 414: return TRAVEL_E_URI_TOO_LONG;
    case 415: return TRAVEL_E_UNSUPPORTED_MEDIA_TYPE;
    case 416: return TRAVEL_E_RANGE_NOT_SATISFIABLE;
    case 421: return TRAVEL_E_MISDIRECTED_REQUEST;
    case 422: return TRAVEL_E_VALIDATION_ERROR;
    case 426: return TRAVEL_E_UPGRADE_REQUIRED;
    case 429: return TRAVEL_E_RATE_LIMIT_EXCEEDED;
    case 431:
    case 494: return TRAVEL_E_HEADERS_TOO_LARGE;
    case 501: return TRAVEL_E_NOT_IMPLEMENTED;
    case 502: return TRAVEL_E_EXTERNAL_SERVICE_ERROR;
    case 503: return TRAVEL_E_DEPENDENCY_UNAVAILABLE;
    case 504: return TRAVEL_E_GATEWAY_TIMEOUT;
    case 505: return TRAVEL_E_HTTP_VERSION_NOT_SUPPORTED;
    }

    if (status >= 400 && status < 500) {
        return TRAVEL_E_MALFORMED_REQUEST;
    }

    return TRAVEL_E_INTERNAL_ERROR;
}
