/*
 * The error table (errors.def) as C: one enum, the wire code, the HTTP status
 * and the constant title of each row.  Both sides answer with these and with
 * nothing else.
 */

#ifndef TRAVEL_ERRORS_H
#define TRAVEL_ERRORS_H

#include "travel.h"

typedef enum {
#define X(name, status, title, advice)  TRAVEL_E_##name,
#include "errors.def"
#undef X
    TRAVEL_E_MAX,
    TRAVEL_E_NONE = -1
} travel_error_e;

/* All four accept any value; out of range reads as INTERNAL_ERROR. */
const char *travel_error_code(travel_error_e e);
int travel_error_status(travel_error_e e);
const char *travel_error_title(travel_error_e e);
const char *travel_error_advice(travel_error_e e);

/* The row whose wire code is 'code', or TRAVEL_E_NONE. */
travel_error_e travel_error_by_code(travel_str_t code);

/*
 * The row that stands for a bare HTTP status, as when nginx itself refused
 * a request (400, 404, 405, 408, 413, 414, 494, 5xx).  494 and 431 are one.
 * Unknown 4xx reads as MALFORMED_REQUEST, anything else as INTERNAL_ERROR.
 */
travel_error_e travel_error_by_status(int status);

#endif /* TRAVEL_ERRORS_H */
