/*
 * A page to try queries in (GraphiQL), where a browser opens the endpoint.
 *
 * Only the frame is written here: the scripts are files of the server's own,
 * below the URI of graphiql=, and the page's policy lets no others in.
 */

#include "ngx_http_travel_graphql_room.h"


static char  ngx_http_travel_graphql_html[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<title>GraphiQL</title>\n"
    "<link rel=\"stylesheet\" href=\"%Vgraphiql.min.css\">\n"
    "<style>html, body, #graphiql { height: 100%%; margin: 0 }</style>\n"
    "</head>\n"
    "<body>\n"
    "<div id=\"graphiql\" data-endpoint=\"%V\"></div>\n"
    "<script src=\"%Vreact.production.min.js\"></script>\n"
    "<script src=\"%Vreact-dom.production.min.js\"></script>\n"
    "<script src=\"%Vgraphiql.min.js\"></script>\n"
    "<script src=\"%Vstart.js\"></script>\n"
    "</body>\n"
    "</html>\n";

static ngx_str_t  ngx_http_travel_graphql_policy = ngx_string(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");


/* A browser that opens the URL, and asks nothing yet. */
static ngx_uint_t
ngx_http_travel_graphql_opened(ngx_http_request_t *r)
{
    ngx_str_t  *accept, query;

    if (r->method != NGX_HTTP_GET
        || ngx_http_arg(r, (u_char *) "query", 5, &query) == NGX_OK
        || ngx_http_arg(r, (u_char *) "extensions", 10, &query) == NGX_OK)
    {
        return 0;
    }

    accept = ngx_http_travel_header_in(r, "accept", sizeof("accept") - 1);

    return accept != NULL
           && ngx_strlcasestrn(accept->data, accept->data + accept->len,
                               (u_char *) "text/html", sizeof("text/html") - 2)
              != NULL;
}


/* As it may stand in an attribute. */
static ngx_int_t
ngx_http_travel_graphql_attribute(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *ret_text)
{
    size_t  more;

    more = ngx_escape_html(NULL, text->data, text->len);
    ret_text->len = text->len + more;
    ret_text->data = ngx_pnalloc(pool, ret_text->len + 1);

    if (ret_text->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_html(ret_text->data, text->data, text->len);
    return NGX_OK;
}


ngx_int_t
ngx_http_travel_graphql_page(ngx_http_request_t *r,
    const ngx_http_travel_graphql_loc_conf_t *glcf)
{
    size_t      size;
    ngx_int_t   rc;
    ngx_str_t   body, uri, assets;

    static ngx_str_t  type = ngx_string("text/html; charset=utf-8");
    static ngx_str_t  vary = ngx_string("Accept");

    if (glcf->graphiql.len == 0 || !ngx_http_travel_graphql_opened(r)) {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_travel_graphql_attribute(r->pool, &r->uri, &uri) != NGX_OK
        || ngx_http_travel_graphql_attribute(r->pool, &glcf->graphiql, &assets)
           != NGX_OK
        || ngx_http_travel_add_header(r, "Vary", &vary) != NGX_OK
        || ngx_http_travel_add_header(r, "Content-Security-Policy",
                                      &ngx_http_travel_graphql_policy)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = sizeof(ngx_http_travel_graphql_html) + uri.len + 5 * assets.len;
    body.data = ngx_pnalloc(r->pool, size);

    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = ngx_sprintf(body.data, ngx_http_travel_graphql_html, &assets,
                           &uri, &assets, &assets, &assets, &assets)
               - body.data;

    return ngx_http_travel_send(r, NGX_HTTP_OK, &type, &body);
}
