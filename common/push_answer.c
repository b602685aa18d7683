/* What a push service's answer means for the message and for the token. */

#include <ctype.h>

#include <jansson.h>

#include "push_answer.h"

#define PUSH_QUOTA_MS  60000    /* FCM: without Retry-After wait a minute */

typedef struct {
    const char             *reason;
    travel_push_outcome_e   outcome;
} push_reason_t;


static json_t *
push_body(travel_str_t body)
{
    return body.len > 0 ? json_loadb(body.data, body.len, 0, NULL) : NULL;
}


/* Words only: it goes into logs and rows. */
static void
push_set_reason(travel_push_answer_t *answer, const json_t *word)
{
    size_t       i, n;
    const char  *s;

    s = json_string_value(word);
    n = 0;

    for (i = 0; s != NULL && s[i] != '\0' && n < sizeof(answer->reason) - 1;
         i++)
    {
        if (isalnum((unsigned char) s[i]) || s[i] == '_') {
            answer->reason[n++] = s[i];
        }
    }

    answer->reason[n] = '\0';
}


/* By the service's word where it has one of ours, else as the status says. */
static travel_push_outcome_e
push_outcome(const travel_push_answer_t *answer, int status,
    const push_reason_t *reasons, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (strcmp(reasons[i].reason, answer->reason) == 0) {
            return reasons[i].outcome;
        }
    }

    if (status >= 200 && status <= 299) {
        return TRAVEL_PUSH_SENT;
    }

    if (status == 401) {
        return TRAVEL_PUSH_KEY;
    }

    return status == 0 || status == 408 || status == 429 || status >= 500
           || (status >= 300 && status <= 399)
           ? TRAVEL_PUSH_LATER : TRAVEL_PUSH_REFUSED;
}


/* --- FCM ----------------------------------------------------------------- */

/* errorCode of the FcmError among the details; else the status' own name. */
static const json_t *
push_fcm_word(const json_t *error)
{
    size_t         i;
    const json_t  *details, *word;

    details = json_object_get(error, "details");

    for (i = 0; i < json_array_size(details); i++) {
        word = json_object_get(json_array_get(details, i), "errorCode");

        if (json_is_string(word)) {
            return word;
        }
    }

    return json_object_get(error, "status");
}


/* A BadRequest that is about the token and not about the message. */
static bool
push_fcm_token_bad(const json_t *error)
{
    size_t         i, k;
    const char    *field;
    const json_t  *details, *list;

    details = json_object_get(error, "details");

    for (i = 0; i < json_array_size(details); i++) {
        list = json_object_get(json_array_get(details, i), "fieldViolations");

        for (k = 0; k < json_array_size(list); k++) {
            field = json_string_value(json_object_get(json_array_get(list, k),
                                                      "field"));

            if (field != NULL && strcmp(field, "message.token") == 0) {
                return true;
            }
        }
    }

    return false;
}


void
travel_push_fcm(travel_push_answer_t *ret_answer, int status,
    travel_str_t body)
{
    json_t        *root;
    const json_t  *error;

    static const push_reason_t  reasons[] = {
        { "UNREGISTERED", TRAVEL_PUSH_GONE },
        { "SENDER_ID_MISMATCH", TRAVEL_PUSH_GONE },
        { "QUOTA_EXCEEDED", TRAVEL_PUSH_SLOW },
        { "UNAVAILABLE", TRAVEL_PUSH_SLOW },
        { "INTERNAL", TRAVEL_PUSH_LATER },
        { "THIRD_PARTY_AUTH_ERROR", TRAVEL_PUSH_LATER },
        { "UNAUTHENTICATED", TRAVEL_PUSH_KEY },
        { "PERMISSION_DENIED", TRAVEL_PUSH_LATER }
    };

    memset(ret_answer, 0, sizeof(*ret_answer));
    root = status < 200 || status > 299 ? push_body(body) : NULL;
    error = json_object_get(root, "error");
    push_set_reason(ret_answer, push_fcm_word(error));

    ret_answer->outcome = push_outcome(ret_answer, status, reasons,
                                       sizeof(reasons) / sizeof(reasons[0]));

    if (status == 400 && push_fcm_token_bad(error)) {
        ret_answer->outcome = TRAVEL_PUSH_GONE;
    }

    if (ret_answer->outcome == TRAVEL_PUSH_SLOW && status == 429) {
        ret_answer->wait_ms = PUSH_QUOTA_MS;
    }

    json_decref(root);
}


/* --- APNs ---------------------------------------------------------------- */

void
travel_push_apns(travel_push_answer_t *ret_answer, int status,
    travel_str_t body)
{
    json_t        *root;
    const json_t  *since;

    /* 429 TooManyRequests is about one device: the others need not wait */
    static const push_reason_t  reasons[] = {
        { "Unregistered", TRAVEL_PUSH_GONE },
        { "ExpiredToken", TRAVEL_PUSH_GONE },
        { "BadDeviceToken", TRAVEL_PUSH_GONE },
        { "DeviceTokenNotForTopic", TRAVEL_PUSH_GONE },
        { "ExpiredProviderToken", TRAVEL_PUSH_KEY },
        { "InvalidProviderToken", TRAVEL_PUSH_LATER },
        { "MissingProviderToken", TRAVEL_PUSH_LATER },
        { "TooManyProviderTokenUpdates", TRAVEL_PUSH_SLOW },
        { "TooManyRequests", TRAVEL_PUSH_LATER },
        { "IdleTimeout", TRAVEL_PUSH_LATER },
        { "ServiceUnavailable", TRAVEL_PUSH_SLOW },
        { "Shutdown", TRAVEL_PUSH_LATER }
    };

    memset(ret_answer, 0, sizeof(*ret_answer));
    root = status != 200 ? push_body(body) : NULL;
    push_set_reason(ret_answer, json_object_get(root, "reason"));

    ret_answer->outcome = status == 410
                          ? TRAVEL_PUSH_GONE
                          : push_outcome(ret_answer, status, reasons,
                                         sizeof(reasons) / sizeof(reasons[0]));

    since = json_object_get(root, "timestamp");

    if (ret_answer->outcome == TRAVEL_PUSH_GONE && json_is_integer(since)
        && json_integer_value(since) > 0)
    {
        ret_answer->gone_ms = json_integer_value(since);
    }

    json_decref(root);
}
