/* What the bare programs of the bench share: they do one half of freshet's work with nothing
 * around it, and print one line of JSON. */
#ifndef FR_BENCH_BARE_H
#define FR_BENCH_BARE_H

#include "base/clock.h"
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static inline void bare_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* CPU time of this process so far, user and system. */
static inline double bare_cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline void bare_report(uint64_t rows, uint64_t bytes, int64_t began_us, double began_cpu)
{
    printf("{\"rows\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
           (unsigned long long)rows, (unsigned long long)bytes,
           (double)(fr_now_us() - began_us) / 1e6, bare_cpu_seconds() - began_cpu);
}

#endif
