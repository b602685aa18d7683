/*
 * Request duration histograms by route and status class.
 *
 * One shard holds a fixed table, open addressing by the route's hash.  A row
 * is claimed under the shard's lock and never freed; once its 'used' word is
 * set its name does not change, so finding and adding take no lock: the cells
 * are atomic.  A full table counts into its last row, "other".
 */

#include "ngx_http_travel_observe_room.h"


#define NGX_HTTP_TRAVEL_DURATION_ROWS   512
#define NGX_HTTP_TRAVEL_DURATION_PROBES 16
#define NGX_HTTP_TRAVEL_DURATION_NAME   64

/* Upper bounds in microseconds; the last bucket has none. */
static const uint64_t  ngx_http_travel_duration_us[] = {
    500, 1000, 2000, 5000, 10000, 25000, 50000, 75000, 100000, 250000, 500000,
    750000, 1000000, 2500000, 5000000, 7500000, 10000000
};

static const char  *ngx_http_travel_duration_le[] = {
    "0.0005", "0.001", "0.002", "0.005", "0.01", "0.025", "0.05", "0.075",
    "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "+Inf"
};

#define NGX_HTTP_TRAVEL_DURATION_BUCKETS                                      \
    (sizeof(ngx_http_travel_duration_us) / sizeof(uint64_t) + 1)

typedef struct {
    ngx_atomic_t    used;
    ngx_uint_t      class;               /* 1 ... 5 */
    size_t          len;
    u_char          name[NGX_HTTP_TRAVEL_DURATION_NAME];
    ngx_atomic_t    bucket[NGX_HTTP_TRAVEL_DURATION_BUCKETS];
    ngx_atomic_t    sum;                 /* microseconds */
} ngx_http_travel_duration_row_t;


static ngx_http_travel_duration_row_t *ngx_http_travel_duration_find(
    ngx_http_travel_duration_row_t *rows, const ngx_str_t *route,
    ngx_uint_t class, ngx_uint_t claim);


ngx_int_t
ngx_http_travel_durations_init(ngx_http_travel_shard_t *shard)
{
    shard->data = ngx_slab_calloc_locked(shard->pool,
                                   (NGX_HTTP_TRAVEL_DURATION_ROWS + 1)
                                   * sizeof(ngx_http_travel_duration_row_t));

    return shard->data ? NGX_OK : NGX_ERROR;
}


void
ngx_http_travel_durations_add(ngx_http_travel_zone_t *zone,
    const ngx_str_t *route, ngx_uint_t status, uint64_t us)
{
    ngx_str_t                        name;
    ngx_uint_t                       i, class;
    ngx_http_travel_shard_t         *shard;
    ngx_http_travel_duration_row_t  *row;

    shard = &zone->shards[0];
    class = status / 100;
    name = *route;

    if (name.len > NGX_HTTP_TRAVEL_DURATION_NAME) {
        name.len = NGX_HTTP_TRAVEL_DURATION_NAME;
    }

    row = ngx_http_travel_duration_find(shard->data, &name, class, 0);

    if (row == NULL) {
        ngx_http_travel_shard_lock(shard);
        row = ngx_http_travel_duration_find(shard->data, &name, class, 1);
        ngx_http_travel_shard_unlock(shard);
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_DURATION_BUCKETS - 1; i++) {
        if (us <= ngx_http_travel_duration_us[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&row->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&row->sum, (ngx_atomic_int_t) us);
}


static ngx_http_travel_duration_row_t *
ngx_http_travel_duration_find(ngx_http_travel_duration_row_t *rows,
    const ngx_str_t *route, ngx_uint_t class, ngx_uint_t claim)
{
    uint32_t                         hash;
    ngx_uint_t                       i;
    ngx_http_travel_duration_row_t  *row;

    hash = ngx_murmur_hash2(route->data, route->len) + class;

    for (i = 0; i < NGX_HTTP_TRAVEL_DURATION_PROBES; i++) {
        row = &rows[(hash + i) % NGX_HTTP_TRAVEL_DURATION_ROWS];

        if (!row->used) {
            if (!claim) {
                return NULL;
            }

            /* who held the row before the table was emptied may have added */
            ngx_memzero((void *) row->bucket, sizeof(row->bucket));
            row->sum = 0;

            row->class = class;
            row->len = route->len;
            ngx_memcpy(row->name, route->data, route->len);
            ngx_memory_barrier();
            row->used = 1;

            return row;
        }

        if (row->class == class && row->len == route->len
            && ngx_memcmp(row->name, route->data, route->len) == 0)
        {
            return row;
        }
    }

    if (!claim) {
        return NULL;
    }

    row = &rows[NGX_HTTP_TRAVEL_DURATION_ROWS];

    if (!row->used) {
        row->class = 0;
        row->len = ngx_cpymem(row->name, "other", 5) - row->name;
        ngx_memory_barrier();
        row->used = 1;
    }

    return row;
}


size_t
ngx_http_travel_durations_size(ngx_http_travel_zone_t *zone)
{
    size_t                           size;
    ngx_uint_t                       i;
    ngx_http_travel_duration_row_t  *rows;

    rows = zone->shards[0].data;
    size = 256;

    for (i = 0; i <= NGX_HTTP_TRAVEL_DURATION_ROWS; i++) {
        if (rows[i].used) {
            /* a row may be claimed between measuring and rendering */
            size += 2 * (NGX_HTTP_TRAVEL_DURATION_BUCKETS + 2)
                    * (128 + NGX_HTTP_TRAVEL_DURATION_NAME);
        }
    }

    return size;
}


u_char *
ngx_http_travel_durations_render(ngx_http_travel_zone_t *zone, u_char *p,
    u_char *last)
{
    uint64_t                         n, sum;
    ngx_str_t                        name;
    ngx_uint_t                       i, k;
    ngx_http_travel_duration_row_t  *row;

    static const char  metric[] = "travel_http_request_duration_seconds";

    p = ngx_slprintf(p, last,
                     "# HELP %s Time from the first byte of a request to the "
                     "last of its answer.\n# TYPE %s histogram\n",
                     metric, metric);

    row = zone->shards[0].data;

    for (i = 0; i <= NGX_HTTP_TRAVEL_DURATION_ROWS; i++, row++) {
        if (!row->used) {
            continue;
        }

        name.data = row->name;
        name.len = row->len;
        n = 0;

        for (k = 0; k < NGX_HTTP_TRAVEL_DURATION_BUCKETS; k++) {
            n += row->bucket[k];
            p = ngx_slprintf(p, last,
                             "%s_bucket{route=\"%V\",status=\"%uixx\","
                             "le=\"%s\"} %uL\n", metric, &name, row->class,
                             ngx_http_travel_duration_le[k], n);
        }

        sum = row->sum;
        p = ngx_slprintf(p, last,
                         "%s_sum{route=\"%V\",status=\"%uixx\"} %uL.%06uL\n"
                         "%s_count{route=\"%V\",status=\"%uixx\"} %uL\n",
                         metric, &name, row->class, sum / 1000000,
                         sum % 1000000, metric, &name, row->class, n);
    }

    return p;
}
