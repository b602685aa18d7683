/*
 * Named counters in shared memory.
 *
 * One zone of fixed size; each counter has a slot of its own cache line, found
 * by name at every (re)load, so counts go on across reloads whatever the new
 * configuration declares.  Adding is one atomic instruction and takes no lock;
 * slots are only claimed while the master starts a cycle.
 */

#include "ngx_http_travel_core.h"
#include "../../common/hash.h"


#define NGX_HTTP_TRAVEL_COUNTERS_MAX   1024
#define NGX_HTTP_TRAVEL_COUNTER_NAME   120

typedef struct {
    ngx_atomic_t    value;
    u_char          name[NGX_HTTP_TRAVEL_COUNTER_NAME];
} ngx_http_travel_counter_slot_t;

typedef struct {
    const char      *name;
    const char      *help;
    ngx_http_travel_counter_slot_t  *slot;      /* shm, from zone init on */
} ngx_http_travel_counter_decl_t;


static ngx_int_t ngx_http_travel_counter_start(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_travel_counter_slot_t *ngx_http_travel_counter_claim(
    ngx_http_travel_counter_slot_t *slots, const char *name);
static size_t ngx_http_travel_counter_family(const char *name);


/* The declarations of the cycle this process runs. */
static ngx_array_t  *ngx_http_travel_counters;


ngx_int_t
ngx_http_travel_counter_add(ngx_conf_t *cf, const char *name,
    const char *help)
{
    ngx_uint_t                       i;
    ngx_http_travel_main_conf_t     *tmcf;
    ngx_http_travel_counter_decl_t  *decl;

    tmcf = ngx_http_travel_main_conf(cf);
    decl = tmcf->counters.elts;

    for (i = 0; i < tmcf->counters.nelts; i++) {
        if (ngx_strcmp(decl[i].name, name) == 0) {
            return i;
        }
    }

    if (tmcf->counters.nelts == NGX_HTTP_TRAVEL_COUNTERS_MAX
        || ngx_strlen(name) >= NGX_HTTP_TRAVEL_COUNTER_NAME)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "counter \"%s\": names have at most %d characters "
                           "and there are at most %d of them: name fewer "
                           "routes, shorter", name,
                           NGX_HTTP_TRAVEL_COUNTER_NAME - 1,
                           NGX_HTTP_TRAVEL_COUNTERS_MAX);
        return NGX_ERROR;
    }

    decl = ngx_array_push(&tmcf->counters);
    if (decl == NULL) {
        return NGX_ERROR;
    }

    decl->name = name;
    decl->help = help;
    decl->slot = NULL;

    return tmcf->counters.nelts - 1;
}


ngx_int_t
ngx_http_travel_counters_init(ngx_conf_t *cf,
    ngx_http_travel_main_conf_t *tmcf)
{
    return ngx_array_init(&tmcf->counters, cf->pool, 64,
                          sizeof(ngx_http_travel_counter_decl_t));
}


ngx_int_t
ngx_http_travel_counters_create(ngx_conf_t *cf)
{
    size_t                        size;
    ngx_http_travel_main_conf_t  *tmcf;

    static ngx_str_t  name = ngx_string("travel_counters");

    tmcf = ngx_http_travel_main_conf(cf);

    if (tmcf->counters.nelts == 0) {
        return NGX_OK;
    }

    size = NGX_HTTP_TRAVEL_COUNTERS_MAX
           * sizeof(ngx_http_travel_counter_slot_t);

    /* the slab pool's own bookkeeping takes a few pages more */
    tmcf->counter_zone = ngx_shared_memory_add(cf, &name,
                                               size + 16 * ngx_pagesize,
                                               &ngx_http_travel_module);
    if (tmcf->counter_zone == NULL) {
        return NGX_ERROR;
    }

    tmcf->counter_zone->init = ngx_http_travel_counter_start;
    tmcf->counter_zone->data = &tmcf->counters;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_counter_start(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                       i;
    ngx_array_t                     *counters;
    ngx_slab_pool_t                 *pool;
    ngx_http_travel_counter_decl_t  *decl;
    ngx_http_travel_counter_slot_t  *slots;

    counters = shm_zone->data;
    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data == NULL && !shm_zone->shm.exists) {
        slots = ngx_slab_calloc(pool, NGX_HTTP_TRAVEL_COUNTERS_MAX
                                      * sizeof(ngx_http_travel_counter_slot_t));
        if (slots == NULL) {
            return NGX_ERROR;
        }

        pool->data = slots;
    }

    slots = pool->data;
    decl = counters->elts;

    for (i = 0; i < counters->nelts; i++) {
        decl[i].slot = ngx_http_travel_counter_claim(slots, decl[i].name);

        if (decl[i].slot == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "no room for counter \"%s\": reloads have declared "
                          "too many names, restart nginx", decl[i].name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_travel_counter_slot_t *
ngx_http_travel_counter_claim(ngx_http_travel_counter_slot_t *slots,
    const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_TRAVEL_COUNTERS_MAX; i++) {
        if (slots[i].name[0] == '\0') {
            (void) ngx_cpystrn(slots[i].name, (u_char *) name,
                               NGX_HTTP_TRAVEL_COUNTER_NAME);
            return &slots[i];
        }

        if (ngx_strcmp(slots[i].name, name) == 0) {
            return &slots[i];
        }
    }

    return NULL;
}


/* From init_process: the cycle's declarations are now this process's. */
void
ngx_http_travel_counters_use(ngx_http_travel_main_conf_t *tmcf)
{
    ngx_http_travel_counters = &tmcf->counters;
}


void
ngx_http_travel_count(ngx_uint_t index, ngx_int_t n)
{
    ngx_http_travel_counter_decl_t  *decl;

    if (ngx_http_travel_counters == NULL) {
        return;
    }

    decl = ngx_http_travel_counters->elts;

    (void) ngx_atomic_fetch_add(&decl[index].slot->value, n);
}


/* Length of the name before its labels. */
static size_t
ngx_http_travel_counter_family(const char *name)
{
    return strcspn(name, "{");
}


size_t
ngx_http_travel_counters_size(void)
{
    size_t                           size;
    ngx_uint_t                       i;
    ngx_http_travel_counter_decl_t  *decl;

    if (ngx_http_travel_counters == NULL) {
        return 0;
    }

    size = 0;
    decl = ngx_http_travel_counters->elts;

    for (i = 0; i < ngx_http_travel_counters->nelts; i++) {
        size += sizeof("# HELP  \n# TYPE  counter\n \n")
                + 3 * ngx_strlen(decl[i].name) + ngx_strlen(decl[i].help)
                + NGX_ATOMIC_T_LEN;
    }

    return size;
}


/*
 * Prometheus text.  Labels of one family are declared in a row by every room,
 * but rooms interleave, so each family is gathered at its first member.
 */
u_char *
ngx_http_travel_counters_render(u_char *p, u_char *last)
{
    size_t                           len;
    ngx_uint_t                       i, j, n, first;
    ngx_http_travel_counter_decl_t  *decl;

    if (ngx_http_travel_counters == NULL) {
        return p;
    }

    decl = ngx_http_travel_counters->elts;
    n = ngx_http_travel_counters->nelts;

    for (i = 0; i < n; i++) {
        len = ngx_http_travel_counter_family(decl[i].name);
        first = 1;

        for (j = 0; j < i && first; j++) {
            first = ngx_http_travel_counter_family(decl[j].name) != len
                    || ngx_strncmp(decl[j].name, decl[i].name, len) != 0;
        }

        if (!first) {
            continue;
        }

        p = ngx_slprintf(p, last, "# HELP %*s %s\n# TYPE %*s counter\n",
                         len, decl[i].name, decl[i].help, len, decl[i].name);

        for (j = i; j < n; j++) {
            if (ngx_http_travel_counter_family(decl[j].name) == len
                && ngx_strncmp(decl[j].name, decl[i].name, len) == 0)
            {
                p = ngx_slprintf(p, last, "%s %uA\n", decl[j].name,
                                 decl[j].slot->value);
            }
        }
    }

    return p;
}
