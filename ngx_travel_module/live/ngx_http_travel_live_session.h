/*
 * A session: GraphQL operations of one caller over one transport.
 *
 * An operation is asked of the endpoint by an inner request in the caller's
 * name.  A query's or mutation's answer is its one result; a subscription
 * comes back as a topic and a plan, and is then fed by the hub.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_SESSION_H
#define NGX_HTTP_TRAVEL_LIVE_SESSION_H

#include "ngx_http_travel_live_hub.h"
#include "../net/ngx_http_travel_inner.h"
#include "../cache/ngx_http_travel_cache.h"
#include "../graphql/ngx_http_travel_graphql.h"
#include "../../common/json.h"

typedef struct ngx_http_travel_session_s    ngx_http_travel_session_t;
typedef struct ngx_http_travel_operation_s  ngx_http_travel_operation_t;
typedef struct ngx_http_travel_requery_s    ngx_http_travel_requery_t;

/* What a transport tells its client.  The operation is freed after error and
 * complete; none of them may touch the session's operations. */
typedef struct {
    /* an execution result, as JSON */
    void  (*next)(ngx_http_travel_session_t *session,
                  ngx_http_travel_operation_t *op, const ngx_str_t *result);
    /* it was refused: an array of errors, as JSON */
    void  (*error)(ngx_http_travel_session_t *session,
                   ngx_http_travel_operation_t *op, const ngx_str_t *errors);
    void  (*complete)(ngx_http_travel_session_t *session,
                      ngx_http_travel_operation_t *op);
} ngx_http_travel_session_pt;

/* Who a credential stands for, as the location's own rules see it. */
typedef struct {
    ngx_http_travel_guest_t                 guest;     /* not entered */
    ngx_http_travel_live_rights_t           rights;
} ngx_http_travel_caller_t;

typedef void (*ngx_http_travel_vouched_pt)(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller);

struct ngx_http_travel_session_s {
    const ngx_http_travel_session_pt       *handlers;
    void                                   *data;      /* the transport's */
    const ngx_http_travel_live_loc_conf_t  *conf;
    ngx_http_travel_operation_t            *ops;
    ngx_uint_t                              n;
    ngx_http_travel_peer_t                  peer;
    ngx_str_t                               uri;       /* of the location */
    ngx_str_t                               credential;  /* header lines */
    ngx_http_travel_live_rights_t           rights;
    ngx_http_travel_inner_t                *asking;    /* who it is */
    ngx_http_travel_vouched_pt              vouched;
    ngx_str_t                               offered;   /* in place of it */
    unsigned                                safe:1;    /* nothing is changed */
    unsigned                                unsure:1;  /* who it is could not be
                                                          found out */
};

struct ngx_http_travel_operation_s {
    ngx_http_travel_operation_t            *next;
    ngx_http_travel_session_t              *session;
    ngx_http_travel_inner_t                *inner;     /* asked just now */
    ngx_http_travel_graphql_subscription_t *may;       /* 'check' is asked */
    ngx_http_travel_graphql_watch_t        *watch;
    ngx_http_travel_subscriber_t            sub;
    travel_stream_id_t                      cursor;
    unsigned                                resumes:1;

    /* a query with @live: what it is asked by, and who asks the same */
    ngx_http_travel_requery_t              *group;
    ngx_queue_t                             member;
    ngx_str_t                               body;
    ngx_http_travel_since_t                 since;

    ngx_str_t                               id;
    u_char                                  text[];
};

/* Asks once more; the answer goes to requery_answered(). */
ngx_int_t ngx_http_travel_operation_ask(ngx_http_travel_operation_t *op,
    const ngx_str_t *body);
/* It was refused: its client is told, and it ends. */
void ngx_http_travel_operation_refused(ngx_http_travel_operation_t *op,
    const ngx_str_t *body);


/* --- queries with @live -------------------------------------------------- */

/* op's first answer has been told: it stays, and hears of every other.
 * NGX_DECLINED: nothing can overwrite it; NGX_ERROR. */
ngx_int_t ngx_http_travel_requery_join(ngx_http_travel_operation_t *op,
    const ngx_http_travel_graphql_live_t *live, const ngx_str_t *result);
void ngx_http_travel_requery_leave(ngx_http_travel_operation_t *op);
/* The answer to what op asked for its group; op may be gone after it. */
void ngx_http_travel_requery_answered(ngx_http_travel_operation_t *op,
    ngx_uint_t status, ngx_str_t *body);
void ngx_http_travel_requery_start(ngx_cycle_t *cycle);
void ngx_http_travel_requery_stop(void);

/* From a request: copies what is needed of it, rights and guest included.
 * NGX_OK; NGX_BUSY, NGX_ERROR: nothing was made. */
ngx_int_t ngx_http_travel_session_open(ngx_http_travel_session_t *session,
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_guest_t *guest);
void ngx_http_travel_session_close(ngx_http_travel_session_t *session);

/* 'request' is the object {query, variables, ...} of 'doc', 'body' the same as
 * text.  NGX_OK; NGX_BUSY: there is one of that id; NGX_DECLINED: there are as
 * many as there may be; NGX_ERROR. */
ngx_int_t ngx_http_travel_session_start(ngx_http_travel_session_t *session,
    const ngx_str_t *id, const travel_json_t *doc,
    const travel_json_node_t *request, const ngx_str_t *body);
/* It is gone, without a word; NGX_DECLINED: there is none. */
ngx_int_t ngx_http_travel_session_stop(ngx_http_travel_session_t *session,
    const ngx_str_t *id);

/* Asks whom a bearer token stands for; then 'vouched', with NULL when it is
 * not let in.  What it is given it may move things out of.  NGX_OK; NGX_BUSY:
 * one is being asked for. */
ngx_int_t ngx_http_travel_session_vouch(ngx_http_travel_session_t *session,
    const ngx_str_t *token, ngx_http_travel_vouched_pt vouched);
/* Is it the same user? */
ngx_uint_t ngx_http_travel_session_same(
    const ngx_http_travel_session_t *session,
    const ngx_http_travel_caller_t *caller);
/* From now on it is he, by the token that was vouched for.  NGX_OK; NGX_BUSY:
 * he has no seat. */
ngx_int_t ngx_http_travel_session_become(ngx_http_travel_session_t *session,
    ngx_http_travel_guest_t *guest, ngx_http_travel_caller_t *caller);

/* GraphQL over event streams.  NGX_DECLINED: r does not ask for one. */
ngx_int_t ngx_http_travel_live_graphql(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);

/* The handler of such a question. */
ngx_int_t ngx_http_travel_live_vouch(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_inner_t *inner);

/* A JSON value's own bytes in 'text', which 'doc' was read from. */
ngx_str_t ngx_http_travel_live_bytes(const travel_json_node_t *node,
    const ngx_str_t *text);

#endif
