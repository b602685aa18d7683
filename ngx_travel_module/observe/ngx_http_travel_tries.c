/*
 * Client spans of what nginx asked upstreams (semantic conventions for HTTP
 * clients): one for each try, below the request's server span, whose id the
 * upstream was given as its parent.
 *
 * nginx notes how long each try took, not when it began; they follow each
 * other, and the last has ended when its request is logged.
 */

#include "ngx_http_travel_observe_room.h"


#define NGX_HTTP_TRAVEL_TRIES_MAX  8         /* spans of a request */


static void ngx_http_travel_tries_span(ngx_http_request_t *r,
    const ngx_http_upstream_state_t *state, ngx_uint_t resent,
    uint64_t end_ns);


void
ngx_http_travel_observe_tries(ngx_http_request_t *r, uint64_t now)
{
    uint64_t                    end;
    ngx_uint_t                  i, n, resent;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return;
    }

    state = r->upstream_states->elts;
    n = r->upstream_states->nelts;
    end = now;
    resent = n;

    for (i = 0; i < n; i++) {
        resent -= (state[i].peer == NULL);
    }

    /* from the last one back */

    for (i = 0; i < n && i < NGX_HTTP_TRAVEL_TRIES_MAX; i++) {
        if (state[n - 1 - i].peer == NULL
            || state[n - 1 - i].response_time == (ngx_msec_t) -1)
        {
            continue;
        }

        ngx_http_travel_tries_span(r, &state[n - 1 - i], --resent, end);
        end -= (uint64_t) state[n - 1 - i].response_time * 1000000;
    }
}


static void
ngx_http_travel_tries_span(ngx_http_request_t *r,
    const ngx_http_upstream_state_t *state, ngx_uint_t resent,
    uint64_t end_ns)
{
    u_char         digits[NGX_INT_T_LEN];
    travel_attr_t  attrs[5];
    travel_span_t  span;

    ngx_memzero(&span, sizeof(travel_span_t));
    ngx_memzero(attrs, sizeof(attrs));

    attrs[0].name = TRAVEL_STR("http.request.method");
    attrs[0].v.s = ngx_http_travel_observe_method(r);
    attrs[1].name = TRAVEL_STR("server.address");
    attrs[1].v.s = ngx_http_travel_view(state->peer);
    span.nattrs = 2;

    if (state->status != 0) {
        attrs[span.nattrs].name = TRAVEL_STR("http.response.status_code");
        attrs[span.nattrs].type = TRAVEL_ATTR_INT;
        attrs[span.nattrs].v.i = state->status;
        span.nattrs++;
    }

    if (resent != 0) {
        attrs[span.nattrs].name = TRAVEL_STR("http.request.resend_count");
        attrs[span.nattrs].type = TRAVEL_ATTR_INT;
        attrs[span.nattrs].v.i = resent;
        span.nattrs++;
    }

    /* to a client 4xx is an error, too */

    if (state->status == 0 || state->status >= 400) {
        span.error = 1;
        attrs[span.nattrs].name = TRAVEL_STR("error.type");
        attrs[span.nattrs].v.s.data = (char *) digits;
        attrs[span.nattrs].v.s.len = ngx_sprintf(digits, "%ui",
                                                 state->status
                                                 ? state->status : 502)
                                     - digits;
        span.nattrs++;
    }

    span.name = (attrs[0].v.s.data[0] == '_') ? TRAVEL_STR("HTTP")
                                              : attrs[0].v.s;
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = end_ns - (uint64_t) state->response_time * 1000000;
    span.end_ns = end_ns;
    span.attrs = attrs;

    ngx_http_travel_observe_span(r, &span);
}
