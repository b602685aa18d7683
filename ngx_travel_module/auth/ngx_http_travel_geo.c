/*
 * Where is the client?  Databases in MaxMind's format, by libmaxminddb, mapped
 * into memory: the master opens them with the configuration, and its workers
 * share the pages.
 *
 * A look-up is a walk down a binary tree in mapped memory, made when somebody
 * asks and at most once a request.  Each worker looks at the files once a
 * second and opens what changed: that maps the file and reads its metadata, no
 * request waits for more.  A file must be replaced by rename: what is
 * overwritten in place is pulled away under the mapping.
 *
 * A database belongs to its process (after a refresh) or to the cycle's
 * processes (before); nothing here is locked.
 */

#include <maxminddb.h>

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_GEOIP_FILES  4


struct ngx_http_travel_geoip_s {
    ngx_str_t         file;            /* absolute, NUL-terminated */
    MMDB_s           *db;              /* the last good one */

    /* the file that was looked at last, good or not */
    time_t            mtime;
    ngx_uint_t        mtime_ns;
    off_t             size;
    ngx_file_uniq_t   uniq;
};


static char *ngx_http_travel_geo_country(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static void ngx_http_travel_geoip_note(ngx_http_travel_geoip_t *geoip,
    const ngx_file_info_t *info);
static ngx_uint_t ngx_http_travel_geoip_changed(
    const ngx_http_travel_geoip_t *geoip, const ngx_file_info_t *info);
static MMDB_s *ngx_http_travel_geoip_open(const ngx_str_t *file,
    const char **ret_why);
static void ngx_http_travel_geoip_close(void *data);
static ngx_int_t ngx_http_travel_geoip_look(ngx_http_request_t *r,
    const MMDB_s *db, ngx_http_travel_risk_record_t *record);
static ngx_uint_t ngx_http_travel_geoip_find(const MMDB_s *db,
    const travel_address_t *address, MMDB_lookup_result_s *ret_found);
static ngx_uint_t ngx_http_travel_geoip_number(MMDB_entry_s *entry,
    const char *const *path, double *ret_number);
static ngx_int_t ngx_http_travel_geoip_text(ngx_pool_t *pool,
    MMDB_entry_s *entry, const char *const *path, ngx_str_t *ret_text);
static ngx_http_travel_geo_result_e ngx_http_travel_geo_judge(
    const ngx_http_travel_geo_t *geo, const ngx_str_t *country);


/* --- the files ----------------------------------------------------------- */

char *
ngx_http_travel_geoip_directive(ngx_conf_t *cf, ngx_array_t *databases)
{
    const char                *why;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_file_info_t            info;
    ngx_pool_cleanup_t        *cln;
    ngx_http_travel_geoip_t   *geoip, **slot;

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    slot = databases->elts;

    for (i = 0; i < databases->nelts; i++) {
        if (ngx_strcmp(slot[i]->file.data, value[1].data) == 0) {
            return "is duplicate";
        }
    }

    if (databases->nelts == NGX_HTTP_TRAVEL_GEOIP_FILES) {
        return "is there more than four times: name fewer files";
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_travel_geoip_t));
    slot = ngx_array_push(databases);

    if (cln == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    geoip = cln->data;
    ngx_memzero(geoip, sizeof(ngx_http_travel_geoip_t));
    geoip->file = value[1];
    *slot = geoip;

    if (ngx_file_info(geoip->file.data, &info) != NGX_FILE_ERROR) {
        ngx_http_travel_geoip_note(geoip, &info);
    }

    geoip->db = ngx_http_travel_geoip_open(&geoip->file, &why);

    if (geoip->db == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_geoip\" file \"%V\": %s: name a database "
                           "in MaxMind's format (.mmdb)", &geoip->file, why);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_travel_geoip_close;

    return NGX_CONF_OK;
}


static void
ngx_http_travel_geoip_note(ngx_http_travel_geoip_t *geoip,
    const ngx_file_info_t *info)
{
    geoip->mtime = ngx_file_mtime(info);
    geoip->mtime_ns = info->st_mtim.tv_nsec;
    geoip->size = ngx_file_size(info);
    geoip->uniq = ngx_file_uniq(info);
}


static ngx_uint_t
ngx_http_travel_geoip_changed(const ngx_http_travel_geoip_t *geoip,
    const ngx_file_info_t *info)
{
    return geoip->mtime != ngx_file_mtime(info)
           || geoip->mtime_ns != (ngx_uint_t) info->st_mtim.tv_nsec
           || geoip->size != ngx_file_size(info)
           || geoip->uniq != ngx_file_uniq(info);
}


static MMDB_s *
ngx_http_travel_geoip_open(const ngx_str_t *file, const char **ret_why)
{
    int      rc;
    MMDB_s  *db;

    db = ngx_alloc(sizeof(MMDB_s), ngx_cycle->log);
    if (db == NULL) {
        *ret_why = "out of memory";
        return NULL;
    }

    rc = MMDB_open((char *) file->data, MMDB_MODE_MMAP, db);

    if (rc != MMDB_SUCCESS) {
        *ret_why = MMDB_strerror(rc);
        ngx_free(db);
        return NULL;
    }

    return db;
}


static void
ngx_http_travel_geoip_close(void *data)
{
    ngx_http_travel_geoip_t  *geoip = data;

    MMDB_close(geoip->db);
    ngx_free(geoip->db);
    geoip->db = NULL;
}


ngx_int_t
ngx_http_travel_geoip_refresh(ngx_http_travel_geoip_t *geoip, ngx_log_t *log)
{
    MMDB_s           *db;
    const char       *why;
    ngx_file_info_t   info;

    if (ngx_file_info(geoip->file.data, &info) == NGX_FILE_ERROR) {
        ngx_memzero(&info, sizeof(info));
    }

    if (!ngx_http_travel_geoip_changed(geoip, &info)) {
        return NGX_DECLINED;
    }

    ngx_http_travel_geoip_note(geoip, &info);

    db = ngx_http_travel_geoip_open(&geoip->file, &why);

    if (db == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "travel_geoip file \"%V\": %s, going on with the one "
                      "read before", &geoip->file, why);
        return NGX_ERROR;
    }

    ngx_http_travel_geoip_close(geoip);
    geoip->db = db;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "travel_geoip file \"%V\" was read again", &geoip->file);

    return NGX_OK;
}


/* --- looking up ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_locate(ngx_http_request_t *r,
    ngx_http_travel_risk_record_t *record)
{
    ngx_uint_t                         i;
    ngx_http_travel_geoip_t          **geoip;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    ngx_http_travel_client(r, record);

    if (record->located) {
        return NGX_OK;
    }

    ngx_str_null(&record->country);
    ngx_str_null(&record->city);
    record->placed = 0;
    record->asn = 0;
    record->located = 1;

    if (record->local) {
        return NGX_OK;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);
    geoip = rmcf->databases.elts;

    for (i = 0; i < rmcf->databases.nelts; i++) {
        if (ngx_http_travel_geoip_look(r, geoip[i]->db, record) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Takes what is not known yet: the first file that says it counts. */
static ngx_int_t
ngx_http_travel_geoip_look(ngx_http_request_t *r, const MMDB_s *db,
    ngx_http_travel_risk_record_t *record)
{
    double                 lat, lon, n;
    ngx_int_t              rc;
    MMDB_lookup_result_s   found;

    static const char *const  country[] = { "country", "iso_code", NULL };
    static const char *const  registered[] = { "registered_country",
                                               "iso_code", NULL };
    static const char *const  city[] = { "city", "names", "en", NULL };
    static const char *const  latitude[] = { "location", "latitude", NULL };
    static const char *const  longitude[] = { "location", "longitude", NULL };
    static const char *const  radius[] = { "location", "accuracy_radius",
                                           NULL };
    static const char *const  asn[] = { "autonomous_system_number", NULL };

    if (!ngx_http_travel_geoip_find(db, &record->address, &found)) {
        return NGX_OK;
    }

    rc = NGX_OK;

    if (record->country.len == 0) {
        rc = ngx_http_travel_geoip_text(r->pool, &found.entry, country,
                                        &record->country);
    }

    if (rc == NGX_OK && record->country.len == 0) {
        rc = ngx_http_travel_geoip_text(r->pool, &found.entry, registered,
                                        &record->country);
    }

    /* anything else than two letters is nothing to compare */
    if (travel_risk_country(ngx_http_travel_view(&record->country)) == 0) {
        record->country.len = 0;
    }

    if (rc == NGX_OK && record->city.len == 0) {
        rc = ngx_http_travel_geoip_text(r->pool, &found.entry, city,
                                        &record->city);
    }

    if (!record->placed
        && ngx_http_travel_geoip_number(&found.entry, latitude, &lat)
        && ngx_http_travel_geoip_number(&found.entry, longitude, &lon)
        && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180)
    {
        record->placed = 1;
        record->lat = lat;
        record->lon = lon;
        record->radius =
            ngx_http_travel_geoip_number(&found.entry, radius, &n)
            ? (uint32_t) n : 0;
    }

    if (record->asn == 0
        && ngx_http_travel_geoip_number(&found.entry, asn, &n))
    {
        record->asn = (uint32_t) n;
    }

    return rc;
}


/* A damaged database, or an IPv6 address in one for IPv4, knows nothing. */
static ngx_uint_t
ngx_http_travel_geoip_find(const MMDB_s *db, const travel_address_t *address,
    MMDB_lookup_result_s *ret_found)
{
    int  error;

    union {
        struct sockaddr      any;
        struct sockaddr_in   v4;
        struct sockaddr_in6  v6;
    } sa;

    ngx_memzero(&sa, sizeof(sa));

    if (travel_address_is_v4(address)) {
        sa.v4.sin_family = AF_INET;
        ngx_memcpy(&sa.v4.sin_addr.s_addr, address->bytes + 12, 4);

    } else {
        sa.v6.sin6_family = AF_INET6;
        ngx_memcpy(sa.v6.sin6_addr.s6_addr, address->bytes, 16);
    }

    *ret_found = MMDB_lookup_sockaddr(db, &sa.any, &error);

    return error == MMDB_SUCCESS && ret_found->found_entry;
}


static ngx_uint_t
ngx_http_travel_geoip_number(MMDB_entry_s *entry, const char *const *path,
    double *ret_number)
{
    MMDB_entry_data_s  data;

    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data) {
        return 0;
    }

    switch (data.type) {

    case MMDB_DATA_TYPE_DOUBLE:
        *ret_number = data.double_value;
        return 1;

    case MMDB_DATA_TYPE_FLOAT:
        *ret_number = data.float_value;
        return 1;

    case MMDB_DATA_TYPE_UINT16:
        *ret_number = data.uint16;
        return 1;

    case MMDB_DATA_TYPE_UINT32:
        *ret_number = data.uint32;
        return 1;

    default:
        return 0;
    }
}


/* Copied, as a refresh may unmap the file before the request ends. */
static ngx_int_t
ngx_http_travel_geoip_text(ngx_pool_t *pool, MMDB_entry_s *entry,
    const char *const *path, ngx_str_t *ret_text)
{
    size_t             i;
    u_char            *p;
    MMDB_entry_data_s  data;

    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data
        || data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size == 0
        || data.data_size > 255)
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, data.data_size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_text->data = p;
    ret_text->len = data.data_size;

    /* it may go into a header of a request or an answer */
    for (i = 0; i < data.data_size; i++) {
        p[i] = data.utf8_string[i];

        if (p[i] < 0x20 || p[i] == 0x7f) {
            p[i] = ' ';
        }
    }

    return NGX_OK;
}


/* --- travel_geo ---------------------------------------------------------- */

static const ngx_http_travel_param_t  ngx_http_travel_geo_params[] = {

    { "unknown", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_geo_t, refuse_unknown),
      NULL, NULL, NULL, "allow|deny", 0 },

    { "", ngx_http_travel_geo_country,
      0,
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_geo_directive(ngx_conf_t *cf, ngx_http_travel_geo_t *geo)
{
    uint32_t     any;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    any = 0;

    geo->file = cf->conf_file->file.name;
    geo->line = cf->conf_file->line;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "allow") == 0) {
        geo->mode = NGX_HTTP_TRAVEL_GEO_ALLOW;
        geo->refuse_unknown = 1;

    } else if (ngx_strcmp(value[1].data, "deny") == 0) {
        geo->mode = NGX_HTTP_TRAVEL_GEO_DENY;

    } else {
        return "must be \"off\", or \"allow\" or \"deny\" and countries, as in "
               "\"travel_geo allow DE AT CH\"";
    }

    if (ngx_http_travel_params(cf, ngx_http_travel_geo_params, 2, geo)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < 26; i++) {
        any |= geo->listed[i];
    }

    return any ? NGX_CONF_OK
               : "names no country, as in \"travel_geo allow DE AT CH\"";
}


static char *
ngx_http_travel_geo_country(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_geo_t  *geo = conf;

    (void) cf;
    (void) param;

    if (travel_risk_country(ngx_http_travel_view(value)) == 0) {
        return "must be a country's two capital letters (ISO 3166-1)";
    }

    geo->listed[value->data[0] - 'A'] |= 1u << (value->data[1] - 'A');

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_travel_geo_handler(ngx_http_request_t *r)
{
    ngx_http_travel_geo_t             *geo;
    ngx_http_travel_geo_result_e       result;
    ngx_http_travel_risk_record_t     *record;
    ngx_http_travel_risk_loc_conf_t   *rlcf;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_risk_module);
    geo = rlcf->geo;

    /* nginx's own refusal may go to its error page from everywhere */
    if (geo == NULL || geo->mode == 0 || r != r->main || r->error_page) {
        return NGX_DECLINED;
    }

    record = ngx_http_travel_risk_record(r);

    if (record == NULL || ngx_http_travel_locate(r, record) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    result = ngx_http_travel_geo_judge(geo, &record->country);

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_risk_module);
    ngx_http_travel_count(rmcf->countries[result], 1);

    if (result == NGX_HTTP_TRAVEL_GEO_ALLOWED
        || result == NGX_HTTP_TRAVEL_GEO_UNKNOWN_ALLOWED)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_travel_client_text(r, record) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "travel_geo: refused %V from \"%V\"", &record->text,
                  &record->country);

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_REGION_NOT_ALLOWED,
                                     "This is not available in your region."));
}


static ngx_http_travel_geo_result_e
ngx_http_travel_geo_judge(const ngx_http_travel_geo_t *geo,
    const ngx_str_t *country)
{
    ngx_uint_t  listed;

    if (country->len == 0) {
        return !geo->refuse_unknown
               ? NGX_HTTP_TRAVEL_GEO_UNKNOWN_ALLOWED
               : NGX_HTTP_TRAVEL_GEO_UNKNOWN_DENIED;
    }

    listed = geo->listed[country->data[0] - 'A'] >> (country->data[1] - 'A')
             & 1;

    return (listed == (geo->mode == NGX_HTTP_TRAVEL_GEO_ALLOW))
           ? NGX_HTTP_TRAVEL_GEO_ALLOWED : NGX_HTTP_TRAVEL_GEO_DENIED;
}
