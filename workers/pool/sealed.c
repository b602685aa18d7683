/* Opening what the edge has sealed. */

#include <stdlib.h>

#include "sealed.h"
#include "../../common/seal.h"


/* The value of a member, in the place of its sealed text. */
static int
sealed_set(worker_job_t *job, const char *name, const char *text, size_t len)
{
    json_t  *value;

    value = json_loadb(text, len, JSON_DECODE_ANY, NULL);

    return value != NULL && json_object_set_new(job->body, name, value) == 0
           ? TRAVEL_OK : TRAVEL_INVALID;
}


static int
sealed_member(worker_job_t *job, const char *name)
{
    int                         rc;
    char                       *text;
    size_t                      len;
    travel_str_t                sealed;
    const json_t               *value;
    travel_seal_place_t         place;
    const travel_seal_keys_t   *keys;

    value = json_object_get(job->body, name);
    keys = job->slot->conf->sealed_keys;

    if (!json_is_string(value)) {
        return TRAVEL_INVALID;
    }

    if (keys == NULL) {
        return TRAVEL_UNKNOWN;
    }

    sealed = (travel_str_t) { json_string_value(value),
                              json_string_length(value) };
    place.type = job->env.type;
    place.sub = job->env.sub;
    place.member = (travel_str_t) { name, strlen(name) };
    text = malloc(sealed.len + 1);

    if (text == NULL) {
        return TRAVEL_ERROR;
    }

    rc = travel_unseal(text, &len, keys, &place, sealed);

    if (rc == TRAVEL_OK) {
        rc = sealed_set(job, name, text, len);
    }

    explicit_bzero(text, sealed.len);
    free(text);

    return rc;
}


static worker_verdict_e
sealed_refuse(worker_job_t *job, int rc, const char *name)
{
    if (rc == TRAVEL_INVALID) {
        return worker_job_fail(job, WORKER_REJECT, "MALFORMED",
                               "member \"%s\" is not what the edge sealed",
                               name);
    }

    return worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           rc == TRAVEL_UNKNOWN
                           ? "no key here opens member \"%s\": see sealed_key"
                           : "no memory to open member \"%s\"", name);
}


worker_verdict_e
worker_sealed_open(worker_job_t *job)
{
    int           rc;
    char          name[128];
    size_t        len;
    travel_str_t  rest;

    rest = job->env.sealed;

    while (rest.len > 0) {
        for (len = 0; len < rest.len && rest.data[len] != ' '; len++) {
            /* void */
        }

        snprintf(name, sizeof(name), "%.*s", (int) len, rest.data);
        rc = len < sizeof(name) ? sealed_member(job, name) : TRAVEL_INVALID;

        if (rc != TRAVEL_OK) {
            return sealed_refuse(job, rc, name);
        }

        len += len < rest.len;
        rest.data += len;
        rest.len -= len;
    }

    return WORKER_DONE;
}
