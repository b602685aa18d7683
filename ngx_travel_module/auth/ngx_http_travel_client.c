/*
 * Whose address is it?  The peer's, unless that is a proxy of ours: then the
 * one that the proxy names, and so on, from the right end of its header to the
 * first address that is no proxy of ours.  A header that anybody else sends is
 * not looked at.
 */

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_CLIENT_LINES  16     /* header lines, the last ones */


static void ngx_http_travel_client_peer(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record);
static char *ngx_http_travel_client_network(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static size_t ngx_http_travel_client_lines(ngx_http_request_t *r,
    const ngx_str_t *name, travel_str_t *lines);


/* A peer without an address, behind a Unix socket, is written as "::". */
static const travel_address_t  ngx_http_travel_client_none;


void
ngx_http_travel_client(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record)
{
    size_t                            n;
    travel_str_t                      lines[NGX_HTTP_TRAVEL_CLIENT_LINES];
    const ngx_http_travel_proxies_t  *proxies;
    ngx_http_travel_risk_loc_conf_t  *rlcf;

    static ngx_str_t  names[] = {
        ngx_string("x-forwarded-for"), ngx_string("forwarded")
    };

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_risk_module);
    proxies = rlcf->proxies;

    if (record->addressed && record->proxies == proxies) {
        return;
    }

    ngx_http_travel_client_peer(r, record);

    if (proxies != NULL) {
        n = ngx_http_travel_client_lines(r, &names[proxies->form], lines);

        (void) travel_forwarded_client(&record->address, proxies->form, lines,
                                       n, proxies->networks.elts,
                                       proxies->networks.nelts);
    }

    record->local = (ngx_memcmp(&record->address, &ngx_http_travel_client_none,
                                sizeof(travel_address_t)) == 0);

    ngx_str_null(&record->text);

    record->proxies = proxies;
    record->addressed = 1;
    record->located = 0;
}


/* As nginx's own $remote_addr and $binary_remote_addr are. */
ngx_int_t
ngx_http_travel_client_text(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record)
{
    u_char  *p;

    ngx_http_travel_client(r, record);

    if (record->text.len != 0) {
        return NGX_OK;
    }

    if (record->local) {
        ngx_str_set(&record->text, "unix:");
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, TRAVEL_ADDRESS_TEXT_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    record->text.data = p;
    record->text.len = travel_address_format((char *) p, &record->address);

    return NGX_OK;
}


void
ngx_http_travel_client_binary(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record, ngx_str_t *ret_binary)
{
    ngx_http_travel_client(r, record);

    if (record->local) {
        ngx_str_set(ret_binary, "unix:");

    } else if (travel_address_is_v4(&record->address)) {
        ret_binary->data = record->address.bytes + 12;
        ret_binary->len = 4;

    } else {
        ret_binary->data = record->address.bytes;
        ret_binary->len = 16;
    }
}


const struct sockaddr *
ngx_http_travel_client_sockaddr(ngx_http_request_t *r, ngx_sockaddr_t *room)
{
    ngx_http_travel_risk_record_t    *record;
    ngx_http_travel_risk_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_risk_module);

    if (rlcf->proxies == NULL) {
        return r->connection->sockaddr;
    }

    record = ngx_http_travel_risk_record(r);
    if (record == NULL) {
        return r->connection->sockaddr;
    }

    ngx_http_travel_client(r, record);

    if (record->local) {
        return r->connection->sockaddr;
    }

    ngx_memzero(room, sizeof(ngx_sockaddr_t));

    if (travel_address_is_v4(&record->address)) {
        room->sockaddr_in.sin_family = AF_INET;
        ngx_memcpy(&room->sockaddr_in.sin_addr.s_addr,
                   record->address.bytes + 12, 4);

    } else {
        room->sockaddr_in6.sin6_family = AF_INET6;
        ngx_memcpy(room->sockaddr_in6.sin6_addr.s6_addr, record->address.bytes,
                   16);
    }

    return &room->sockaddr;
}


static void
ngx_http_travel_client_peer(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record)
{
    u_char               *p;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    p = record->address.bytes;
    ngx_memzero(p, sizeof(travel_address_t));

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;
        p[10] = p[11] = 0xff;
        ngx_memcpy(p + 12, &sin->sin_addr.s_addr, 4);
        break;

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        ngx_memcpy(p, sin6->sin6_addr.s6_addr, 16);
        break;

    default:
        break;
    }
}


static size_t
ngx_http_travel_client_lines(ngx_http_request_t *r, const ngx_str_t *name,
    travel_str_t *lines)
{
    size_t            n;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return n;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != name->len
            || ngx_memcmp(h[i].lowcase_key, name->data, name->len) != 0)
        {
            continue;
        }

        if (n == NGX_HTTP_TRAVEL_CLIENT_LINES) {
            ngx_memmove(lines, lines + 1, --n * sizeof(*lines));
        }

        lines[n++] = ngx_http_travel_view(&h[i].value);
    }
}


static const ngx_http_travel_param_t  ngx_http_travel_trusted_proxy_params[] = {

    { "header", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_proxies_t, form),
      NULL, NULL, "x-forwarded-for", "x-forwarded-for|forwarded", 0 },

    { "", ngx_http_travel_client_network,
      offsetof(ngx_http_travel_proxies_t, networks),
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_proxies_directive(ngx_conf_t *cf,
    ngx_http_travel_proxies_t *proxies)
{
    if (ngx_array_init(&proxies->networks, cf->pool, cf->args->nelts,
                       sizeof(travel_network_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_params(cf, ngx_http_travel_trusted_proxy_params, 1,
                               proxies)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (proxies->networks.nelts == 0) {
        return "names a header but no proxy, as in "
               "\"travel_trusted_proxy 10.0.0.0/8 header=forwarded\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_client_network(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_array_t       *networks;
    travel_network_t  *network;

    (void) cf;

    networks = (ngx_array_t *) ((char *) conf + param->offset);
    network = ngx_array_push(networks);
    if (network == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value->data, "unix:") == 0) {
        network->address = ngx_http_travel_client_none;
        network->bits = 128;
        return NGX_CONF_OK;
    }

    if (travel_network_parse(network, ngx_http_travel_view(value))
        != TRAVEL_OK)
    {
        return "must be an address, a network without host bits as in "
               "10.0.0.0/8 or 2001:db8::/32, or \"unix:\"";
    }

    return NGX_CONF_OK;
}
