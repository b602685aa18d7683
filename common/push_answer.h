/*
 * What a push service's answer means for the message and for the device's
 * token: Firebase Cloud Messaging's HTTP v1 API (google.rpc.Status with
 * fcm.v1.FcmError) and Apple's Push Notification service ({"reason": ...}).
 */

#ifndef TRAVEL_PUSH_ANSWER_H
#define TRAVEL_PUSH_ANSWER_H

#include "travel.h"

typedef enum {
    TRAVEL_PUSH_SENT,
    TRAVEL_PUSH_LATER,              /* try again */
    TRAVEL_PUSH_SLOW,               /* the service wants all to wait */
    TRAVEL_PUSH_KEY,                /* our own key is not taken (any more) */
    TRAVEL_PUSH_REFUSED,            /* this message, now or later */
    TRAVEL_PUSH_GONE                /* the token is of no use any more */
} travel_push_outcome_e;

typedef struct {
    travel_push_outcome_e  outcome;
    char                   reason[64];      /* the service's word, or "" */
    int64_t                gone_ms;         /* since when (unix), 0: not said */
    long                   wait_ms;         /* at least, when the answer has no
                                               Retry-After; 0: nothing said */
} travel_push_answer_t;

/* 'status' of an HTTP answer, 0 when there was none; 'body' may be anything. */
void travel_push_fcm(travel_push_answer_t *ret_answer, int status,
    travel_str_t body);
void travel_push_apns(travel_push_answer_t *ret_answer, int status,
    travel_str_t body);

#endif
