/* Renders an error as the house's envelope or as an RFC 9457 problem. */

#include "json_writer.h"
#include "problem.h"
#include "timestamp.h"


const char *
travel_problem_media_type(travel_problem_form_e form)
{
    return form == TRAVEL_PROBLEM_RFC9457 ? "application/problem+json"
                                          : "application/json";
}


static void
travel_problem_details(travel_json_writer_t *w, const travel_problem_t *problem)
{
    size_t                          i;
    const travel_problem_detail_t  *d;

    travel_json_array(w);

    for (i = 0; i < problem->ndetails; i++) {
        d = &problem->details[i];

        travel_json_object(w);
        travel_json_member_string(w, "pointer", d->pointer);
        travel_json_member_string(w, "code", d->code);
        travel_json_member_string(w, "message", d->message);

        if (d->schema.len) {
            travel_json_member_string(w, "schema", d->schema);
        }

        if (d->has_offset) {
            travel_json_key(w, TRAVEL_STR("offset"));
            travel_json_uint(w, d->offset);
        }

        travel_json_object_end(w);
    }

    travel_json_array_end(w);
}


static void
travel_problem_message(travel_json_writer_t *w, const char *name,
    const travel_problem_t *problem)
{
    if (problem->message.len) {
        travel_json_member_string(w, name, problem->message);

    } else {
        travel_json_member_cstring(w, name,
                                   travel_error_title(problem->error));
    }
}


static void
travel_problem_envelope(travel_json_writer_t *w,
    const travel_problem_t *problem, travel_str_t timestamp)
{
    travel_json_object(w);
    travel_json_key(w, TRAVEL_STR("error"));
    travel_json_object(w);

    travel_json_member_cstring(w, "code", travel_error_code(problem->error));
    travel_problem_message(w, "message", problem);
    travel_json_key(w, TRAVEL_STR("details"));
    travel_problem_details(w, problem);
    travel_json_member_string(w, "timestamp", timestamp);
    travel_json_member_string(w, "request_id", problem->request_id);

    travel_json_object_end(w);
    travel_json_object_end(w);
}


/* The type is the constant part and a code of [A-Z_]: nothing to escape. */

static void
travel_problem_type(travel_json_writer_t *w, travel_str_t base,
    const char *code)
{
    char    uri[TRAVEL_PROBLEM_BASE_MAX + 64];
    size_t  n;

    if (base.len == 0 || base.len > TRAVEL_PROBLEM_BASE_MAX) {
        base = TRAVEL_STR(TRAVEL_PROBLEM_TYPE);
    }

    n = strlen(code);

    if (n > sizeof(uri) - base.len) {
        n = sizeof(uri) - base.len;
    }

    memcpy(uri, base.data, base.len);
    memcpy(uri + base.len, code, n);

    travel_json_member_string(w, "type", (travel_str_t) { uri, base.len + n });
}


static void
travel_problem_violated(travel_json_writer_t *w,
    const travel_problem_t *problem)
{
    size_t  i;

    travel_json_key(w, TRAVEL_STR("violated-policies"));
    travel_json_array(w);

    for (i = 0; i < problem->nviolated; i++) {
        travel_json_string(w, problem->violated[i]);
    }

    travel_json_array_end(w);
}


static void
travel_problem_rfc9457(travel_json_writer_t *w,
    const travel_problem_t *problem, travel_str_t timestamp)
{
    const char  *code;

    code = travel_error_code(problem->error);

    travel_json_object(w);

    if (problem->nviolated) {
        travel_json_member_cstring(w, "type", TRAVEL_PROBLEM_QUOTA);

    } else if (problem->error == TRAVEL_E_QUEUE_FULL) {
        travel_json_member_cstring(w, "type", TRAVEL_PROBLEM_CAPACITY);

    } else if (problem->error == TRAVEL_E_RISK_TOO_HIGH) {
        travel_json_member_cstring(w, "type", TRAVEL_PROBLEM_ABNORMAL);

    } else {
        travel_problem_type(w, problem->base, code);
    }

    travel_json_member_cstring(w, "title", travel_error_title(problem->error));
    travel_json_member_int(w, "status", travel_error_status(problem->error));
    travel_problem_message(w, "detail", problem);

    if (problem->instance.len) {
        travel_json_member_string(w, "instance", problem->instance);
    }

    if (problem->nviolated) {
        travel_problem_violated(w, problem);
    }

    travel_json_member_cstring(w, "code", code);
    travel_json_key(w, TRAVEL_STR("errors"));
    travel_problem_details(w, problem);
    travel_json_member_string(w, "request_id", problem->request_id);
    travel_json_member_string(w, "timestamp", timestamp);

    travel_json_object_end(w);
}


size_t
travel_problem_render(char *dst, size_t room, const travel_problem_t *problem,
    travel_problem_form_e form)
{
    char                  now[TRAVEL_TIMESTAMP_LEN];
    travel_str_t          timestamp;
    travel_json_writer_t  w;

    travel_timestamp_format(now, problem->unix_ms);
    timestamp = (travel_str_t) { now, sizeof(now) };

    travel_json_writer_init(&w, dst, dst ? room : 0);

    if (form == TRAVEL_PROBLEM_RFC9457) {
        travel_problem_rfc9457(&w, problem, timestamp);

    } else {
        travel_problem_envelope(&w, problem, timestamp);
    }

    return dst ? travel_json_writer_finish(&w) : w.len;
}
