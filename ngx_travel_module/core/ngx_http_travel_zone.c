/*
 * Shared zones in shards.
 *
 * A shard is one nginx shared zone.  The first allocation of its slab pool is
 * the root below; everything in the shard, the root included, is guarded by
 * shpool->mutex, the only lock that the master frees when a worker dies.  The
 * dirty word is set while the lock is held, so whoever locks next after a
 * crash finds it set and empties the shard: ngx_slab_init() forgets every
 * allocation, and allocating again in the same order gives the same addresses.
 *
 * shard->data is per process and refreshed from the root on every lock.
 */

#include "ngx_http_travel_core.h"


#define NGX_HTTP_TRAVEL_SHARD_MIN  (64 * 1024)

typedef struct {
    ngx_uint_t         layout;       /* the room's layout version */
    volatile ngx_uint_t  dirty;      /* somebody is, or died, inside */
    ngx_uint_t         emptied;
    void              *data;         /* the room's root */
} ngx_http_travel_root_t;


static ngx_int_t ngx_http_travel_zone_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_zones_create(ngx_conf_t *cf);
static ngx_http_travel_zone_t *ngx_http_travel_zone_find(ngx_conf_t *cf,
    const ngx_str_t *name);
static ngx_int_t ngx_http_travel_zone_shard(ngx_conf_t *cf,
    ngx_http_travel_zone_t *zone, ngx_uint_t i);
static ngx_int_t ngx_http_travel_shard_start(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_travel_shard_layout(ngx_http_travel_shard_t *shard);
static void ngx_http_travel_shard_empty(ngx_http_travel_shard_t *shard);


static ngx_http_module_t  ngx_http_travel_zone_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_zone_postconfiguration, /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_zone_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_zone_module_ctx,      /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static const ngx_http_travel_param_t  ngx_http_travel_zone_params[] = {

    { "shards", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_zone_t, nshards),
      "1", "64", NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ssize_t                  size;
    ngx_str_t               *value;
    ngx_http_travel_zone_t  *zone;

    value = cf->args->elts;

    size = ngx_parse_size(&value[2]);
    if (size == NGX_ERROR || size < NGX_HTTP_TRAVEL_SHARD_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_zone\" size \"%V\" must be a size of at "
                           "least 64k, as in \"travel_zone %V 16m\"",
                           &value[2], &value[1]);
        return NGX_CONF_ERROR;
    }

    zone = ngx_http_travel_zone_find(cf, &value[1]);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (zone->size != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_zone %V\" is set twice, remove one",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    zone->size = size;
    zone->file = cf->conf_file->file.name;
    zone->line = cf->conf_file->line;

    if (ngx_http_travel_params(cf, ngx_http_travel_zone_params, 3, zone)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (zone->nshards != 0
        && (size_t) size / zone->nshards < NGX_HTTP_TRAVEL_SHARD_MIN)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_zone %V\" has shards= that are smaller "
                           "than 64k each: make it larger or them fewer",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_http_travel_zone_t *
ngx_http_travel_zone(ngx_conf_t *cf, const char *name, size_t default_size,
    ngx_uint_t default_shards, ngx_uint_t layout,
    ngx_http_travel_shard_init_pt init)
{
    ngx_str_t                s;
    ngx_http_travel_zone_t  *zone;

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    zone = ngx_http_travel_zone_find(cf, &s);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = init;
    zone->layout = layout;

    /* a later travel_zone line replaces the size: see zones_create */
    zone->default_size = default_size;
    zone->default_shards = default_shards;

    return zone;
}


static ngx_http_travel_zone_t *
ngx_http_travel_zone_find(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_http_travel_zone_t      **zones, *zone, **slot;
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_main_conf(cf);
    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        if (zones[i]->name.len == name->len
            && ngx_strncmp(zones[i]->name.data, name->data, name->len) == 0)
        {
            return zones[i];
        }
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_zone_t));
    slot = ngx_array_push(&tmcf->zones);

    if (zone == NULL || slot == NULL) {
        return NULL;
    }

    zone->name = *name;
    *slot = zone;

    return zone;
}


/*
 * The last module of the object: its postconfiguration runs when every room
 * and every directive has said what it wants of shared memory.
 */
static ngx_int_t
ngx_http_travel_zone_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_travel_zones_create(cf) != NGX_OK
        || ngx_http_travel_before_content_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_counters_create(cf);
}


static ngx_int_t
ngx_http_travel_zones_create(ngx_conf_t *cf)
{
    ngx_uint_t                    i, n;
    ngx_http_travel_zone_t      **zones, *zone;
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_main_conf(cf);
    zones = tmcf->zones.elts;

    for (n = 0; n < tmcf->zones.nelts; n++) {
        zone = zones[n];

        if (zone->init == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"travel_zone %V\" names no zone that is used "
                          "here, remove the line or the misspelling in %V:%ui",
                          &zone->name, &zone->file, zone->line);
            return NGX_ERROR;
        }

        if (zone->size == 0) {
            zone->size = zone->default_size;
        }

        if (zone->nshards == 0) {
            zone->nshards = zone->default_shards;
        }

        while (zone->size / zone->nshards < NGX_HTTP_TRAVEL_SHARD_MIN) {
            zone->nshards--;
        }

        zone->shards = ngx_pcalloc(cf->pool, zone->nshards
                                             * sizeof(ngx_http_travel_shard_t));
        if (zone->shards == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < zone->nshards; i++) {
            if (ngx_http_travel_zone_shard(cf, zone, i) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_zone_shard(ngx_conf_t *cf, ngx_http_travel_zone_t *zone,
    ngx_uint_t i)
{
    u_char                   *p;
    ngx_str_t                 name;
    ngx_http_travel_shard_t  *shard;

    shard = &zone->shards[i];
    shard->zone = zone;
    shard->number = i;

    p = ngx_pnalloc(cf->pool, sizeof("travel__64") + zone->name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;
    name.len = ngx_sprintf(p, "travel_%V_%ui", &zone->name, i) - p;

    shard->shm_zone = ngx_shared_memory_add(cf, &name,
                                            zone->size / zone->nshards,
                                            &ngx_http_travel_module);
    if (shard->shm_zone == NULL) {
        return NGX_ERROR;
    }

    shard->shm_zone->init = ngx_http_travel_shard_start;
    shard->shm_zone->data = shard;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_shard_start(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_travel_shard_t  *prev = data;

    ngx_http_travel_root_t   *root;
    ngx_http_travel_shard_t  *shard;

    shard = shm_zone->data;
    shard->pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (prev == NULL && !shm_zone->shm.exists) {
        return ngx_http_travel_shard_layout(shard);
    }

    root = shard->pool->data;

    if (root->layout != shard->zone->layout) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "travel_zone \"%V\" has layout %ui and this module "
                      "wants %ui: restart nginx instead of reloading it",
                      &shard->zone->name, root->layout, shard->zone->layout);
        return NGX_ERROR;
    }

    shard->root = root;
    shard->data = root->data;

    return NGX_OK;
}


/* An empty shard: the root first, then what the room lays out. */
static ngx_int_t
ngx_http_travel_shard_layout(ngx_http_travel_shard_t *shard)
{
    ngx_http_travel_root_t  *root;

    /* a full zone is an everyday event that the room answers by eviction */
    shard->pool->log_nomem = 0;

    root = ngx_slab_calloc_locked(shard->pool, sizeof(ngx_http_travel_root_t));
    if (root == NULL) {
        return NGX_ERROR;
    }

    shard->pool->data = root;
    shard->root = root;
    shard->data = NULL;

    if (shard->zone->init(shard) != NGX_OK) {
        return NGX_ERROR;
    }

    root->layout = shard->zone->layout;
    root->data = shard->data;

    return NGX_OK;
}


static void
ngx_http_travel_shard_empty(ngx_http_travel_shard_t *shard)
{
    ngx_uint_t               emptied;
    ngx_http_travel_root_t  *root;

    root = shard->root;
    emptied = root->emptied + 1;

    ngx_slab_init(shard->pool);

    /*
     * The same pool, the same first allocations: this cannot fail, and the
     * root is where it was.
     */
    (void) ngx_http_travel_shard_layout(shard);

    root = shard->root;
    root->emptied = emptied;
}


ngx_http_travel_shard_t *
ngx_http_travel_shard(ngx_http_travel_zone_t *zone, uint64_t hash)
{
    return &zone->shards[(hash >> 32) % zone->nshards];
}


ngx_int_t
ngx_http_travel_shard_key(ngx_http_travel_shard_t *shard,
    travel_siphash_key_t *ret_key, size_t offset)
{
    ngx_uint_t                i;
    ngx_http_travel_shard_t  *other;

    for (i = 0; i < shard->zone->nshards; i++) {
        other = &shard->zone->shards[i];

        if (other != shard && other->data != NULL) {
            ngx_memcpy(ret_key, (u_char *) other->data + offset,
                       sizeof(travel_siphash_key_t));
            return NGX_OK;
        }
    }

    return (travel_random(ret_key, sizeof(travel_siphash_key_t)) == TRAVEL_OK)
           ? NGX_OK : NGX_ERROR;
}


void
ngx_http_travel_shard_lock(ngx_http_travel_shard_t *shard)
{
    ngx_http_travel_root_t  *root;

    ngx_shmtx_lock(&shard->pool->mutex);

    root = shard->root;

    if (root->dirty) {
        ngx_http_travel_shard_empty(shard);
        root = shard->root;
    }

    root->dirty = 1;
    shard->data = root->data;

    ngx_memory_barrier();
}


void
ngx_http_travel_shard_unlock(ngx_http_travel_shard_t *shard)
{
    ngx_http_travel_root_t  *root;

    root = shard->root;

    ngx_memory_barrier();

    root->dirty = 0;

    ngx_shmtx_unlock(&shard->pool->mutex);
}


ngx_uint_t
ngx_http_travel_zone_emptied(ngx_http_travel_zone_t *zone)
{
    ngx_uint_t               i, n;
    ngx_http_travel_root_t  *root;

    n = 0;

    for (i = 0; i < zone->nshards; i++) {
        root = zone->shards[i].root;
        n += root->emptied;
    }

    return n;
}
