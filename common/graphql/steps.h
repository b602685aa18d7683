/* Two shorthands of the files here; no header includes it. */

#ifndef TRAVEL_GRAPHQL_STEPS_H
#define TRAVEL_GRAPHQL_STEPS_H

#include "../travel.h"

/* A step that failed ends what it is part of. */
#define TRY(call)                                                             \
    do {                                                                      \
        int  rc_ = (call);                                                    \
        if (rc_ != TRAVEL_OK) {                                               \
            return rc_;                                                       \
        }                                                                     \
    } while (0)

/* A view for "%.*s". */
#define S_(s)  (int) (s).len, (s).data

#endif
