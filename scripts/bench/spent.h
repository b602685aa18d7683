/* CPU that this process has spent, in ms: what programs of the bench tell. */

#ifndef BENCH_SPENT_H
#define BENCH_SPENT_H

#include <sys/resource.h>

static inline double
spent(void)
{
    struct rusage  used;

    getrusage(RUSAGE_SELF, &used);

    return (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3
           + (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

#endif
