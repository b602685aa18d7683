/*
 * The machine's time zones, read while nginx reads its configuration, so that
 * no request ever opens a file: of each zone the offsets from some days ago to
 * twelve years ahead.  The C library is asked, who knows the files' formats;
 * the process's own TZ is as it was afterwards.
 */

#include "ngx_http_travel_policy.h"

#include <time.h>


#define NGX_HTTP_TRAVEL_TZ_NAMES   "/usr/share/zoneinfo/tzdata.zi"
#define NGX_HTTP_TRAVEL_TZ_BEFORE  (7 * 86400)
#define NGX_HTTP_TRAVEL_TZ_AHEAD   (12 * 366 * 86400LL)
/* None changes twice in it: the shortest season, Morocco's Ramadan, takes four
 * weeks. */
#define NGX_HTTP_TRAVEL_TZ_STEP    (21 * 86400)
#define NGX_HTTP_TRAVEL_TZ_SIZE    (1024 * 1024)


static ngx_int_t ngx_http_travel_tz_names(ngx_conf_t *cf, ngx_array_t *zones);
static ngx_int_t ngx_http_travel_tz_add(ngx_conf_t *cf, ngx_array_t *zones,
    u_char *p, u_char *last);
static ngx_int_t ngx_http_travel_tz_read(ngx_conf_t *cf,
    ngx_http_travel_tz_t *tz);
static int32_t ngx_http_travel_tz_offset(int64_t at);
static int ngx_libc_cdecl ngx_http_travel_tz_cmp(const void *a, const void *b);


ngx_int_t
ngx_http_travel_tz_load(ngx_conf_t *cf, ngx_array_t *zones)
{
    char                  *was;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_travel_tz_t  *tz;

    if (zones->nelts != 0) {
        return NGX_OK;
    }

    if (ngx_array_init(zones, cf->pool, 640, sizeof(ngx_http_travel_tz_t))
        != NGX_OK
        || ngx_http_travel_tz_names(cf, zones) != NGX_OK)
    {
        return NGX_ERROR;
    }

    was = getenv("TZ");
    was = was ? strdup(was) : NULL;
    tz = zones->elts;
    rc = NGX_OK;

    for (i = 0; i < zones->nelts && rc == NGX_OK; i++) {
        rc = ngx_http_travel_tz_read(cf, &tz[i]);
    }

    if (was) {
        (void) setenv("TZ", was, 1);
        free(was);

    } else {
        (void) unsetenv("TZ");
    }

    tzset();

    ngx_qsort(zones->elts, zones->nelts, sizeof(ngx_http_travel_tz_t),
              ngx_http_travel_tz_cmp);

    return rc;
}


const travel_zone_t *
ngx_http_travel_tz_find(const ngx_array_t *zones, const ngx_str_t *name)
{
    int                    cmp;
    ngx_uint_t             low, high, middle;
    ngx_http_travel_tz_t  *tz;

    tz = zones->elts;
    low = 0;
    high = zones->nelts;

    while (low < high) {
        middle = (low + high) / 2;
        cmp = ngx_memn2cmp(name->data, tz[middle].name.data, name->len,
                           tz[middle].name.len);
        if (cmp == 0) {
            return &tz[middle].zone;
        }

        if (cmp < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    return NULL;
}


/* Zones are the lines "Z NAME ...", other names of theirs "L ZONE NAME". */
static ngx_int_t
ngx_http_travel_tz_names(ngx_conf_t *cf, ngx_array_t *zones)
{
    u_char    *buf, *p, *end, *last;
    ssize_t    n;
    ngx_fd_t   fd;

    buf = ngx_alloc(NGX_HTTP_TRAVEL_TZ_SIZE, cf->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(NGX_HTTP_TRAVEL_TZ_NAMES, NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);
    n = (fd == NGX_INVALID_FILE) ? -1
                                 : ngx_read_fd(fd, buf,
                                               NGX_HTTP_TRAVEL_TZ_SIZE);

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    if (n <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_limit\" tz= reads \"%s\" and could not: "
                           "install tzdata", NGX_HTTP_TRAVEL_TZ_NAMES);
        ngx_free(buf);
        return NGX_ERROR;
    }

    last = buf + n;

    for (p = buf; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '\n');
        end = end ? end : last;

        if ((end - p > 2 && (*p == 'Z' || *p == 'L') && p[1] == ' ')
            && ngx_http_travel_tz_add(cf, zones, p, end) != NGX_OK)
        {
            ngx_free(buf);
            return NGX_ERROR;
        }
    }

    ngx_free(buf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_tz_add(ngx_conf_t *cf, ngx_array_t *zones, u_char *p,
    u_char *last)
{
    u_char                *space;
    ngx_http_travel_tz_t  *tz;

    if (*p == 'L') {
        p = ngx_strlchr(p + 2, last, ' ');

    } else {
        space = ngx_strlchr(p + 2, last, ' ');
        last = space ? space : last;
        p++;
    }

    if (p == NULL || p + 1 >= last) {
        return NGX_OK;
    }

    tz = ngx_array_push(zones);
    if (tz == NULL) {
        return NGX_ERROR;
    }

    tz->name.len = last - (p + 1);
    tz->name.data = ngx_pnalloc(cf->pool, tz->name.len + 1);
    if (tz->name.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(tz->name.data, p + 1, tz->name.len + 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_tz_read(ngx_conf_t *cf, ngx_http_travel_tz_t *tz)
{
    int32_t                offset, next;
    int64_t                at, last, low, high, first, middle;
    ngx_array_t            changes;
    travel_zone_change_t  *change;

    if (setenv("TZ", (char *) tz->name.data, 1) != 0
        || ngx_array_init(&changes, cf->pool, 2, sizeof(travel_zone_change_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    tzset();

    at = ngx_time() - NGX_HTTP_TRAVEL_TZ_BEFORE;
    last = ngx_time() + NGX_HTTP_TRAVEL_TZ_AHEAD;
    offset = ngx_http_travel_tz_offset(at) - 1;
    high = at;

    for ( ;; ) {
        next = ngx_http_travel_tz_offset(high);

        if (next != offset) {

            /* the second from which it is so */
            low = changes.nelts ? at : high - 1;

            first = high;

            while (first - low > 1) {
                middle = low + (first - low) / 2;

                if (ngx_http_travel_tz_offset(middle) == offset) {
                    low = middle;

                } else {
                    first = middle;
                }
            }

            change = ngx_array_push(&changes);
            if (change == NULL) {
                return NGX_ERROR;
            }

            change->from = first;
            change->offset = next;
            offset = next;
        }

        if (high >= last) {
            break;
        }

        at = high;
        high += NGX_HTTP_TRAVEL_TZ_STEP;
    }

    tz->zone.changes = changes.elts;
    tz->zone.n = changes.nelts;

    return NGX_OK;
}


static int32_t
ngx_http_travel_tz_offset(int64_t at)
{
    time_t     t;
    struct tm  tm;

    t = (time_t) at;

    return localtime_r(&t, &tm) ? (int32_t) tm.tm_gmtoff : 0;
}


static int ngx_libc_cdecl
ngx_http_travel_tz_cmp(const void *a, const void *b)
{
    const ngx_http_travel_tz_t  *x = a;
    const ngx_http_travel_tz_t  *y = b;

    return (int) ngx_memn2cmp(x->name.data, y->name.data, x->name.len,
                              y->name.len);
}
