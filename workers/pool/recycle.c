/* Bounds with jitter, and what /proc says of a process's memory. */

#include <stdio.h>
#include <unistd.h>

#include "recycle.h"
#include "../../common/hash.h"


static uint64_t
recycle_bound(uint64_t bound, double jitter)
{
    double    part;
    uint32_t  rnd;

    if (travel_random(&rnd, sizeof(rnd)) != TRAVEL_OK) {
        rnd = 0;
    }

    part = (double) bound * jitter * (double) rnd / 4294967296.0;

    return bound - (uint64_t) part;
}


void
worker_recycle_begin(worker_recycle_t *recycle, const worker_conf_t *conf)
{
    recycle->jobs = recycle_bound(conf->recycle_jobs, conf->recycle_jitter);
    recycle->memory = recycle_bound(conf->recycle_memory,
                                    conf->recycle_jitter);
}


/* Bytes; 0 when it cannot be told. */
static uint64_t
recycle_resident(pid_t pid)
{
    int                  n;
    char                 path[32];
    FILE                *f;
    unsigned long long   size, resident;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int) pid);
    f = fopen(path, "re");

    if (f == NULL) {
        return 0;
    }

    n = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);

    return n == 2 ? resident * (uint64_t) sysconf(_SC_PAGESIZE) : 0;
}


worker_recycle_e
worker_recycle_due(const worker_recycle_t *recycle, pid_t pid, uint64_t jobs)
{
    if (recycle->jobs > 0 && jobs >= recycle->jobs) {
        return WORKER_RECYCLE_JOBS;
    }

    return recycle->memory > 0 && recycle_resident(pid) >= recycle->memory
           ? WORKER_RECYCLE_MEMORY : WORKER_RECYCLE_NOT;
}


const char *
worker_recycle_name(worker_recycle_e why)
{
    static const char *const  names[WORKER_RECYCLE_MAX] = {
        "", "jobs", "memory"
    };

    return names[why];
}
