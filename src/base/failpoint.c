#include "base/failpoint.h"

#ifdef FR_FAILPOINTS
#include "base/clock.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_POINTS = 16 };

static struct point {
    char name[48], action[24];
    long nth; /* 0: each */
    long passed;
} points[MAX_POINTS];
static size_t point_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void parse(void)
{
    const char *env = getenv("FRESHET_FAILPOINT");
    char *copy = strdup(env == NULL ? "" : env), *rest = NULL;
    for (char *item = copy == NULL ? NULL : strtok_r(copy, ",", &rest); item != NULL;
         item = strtok_r(NULL, ",", &rest)) {
        struct point *p = &points[point_count];
        char nth[16] = "1";
        if (point_count == MAX_POINTS ||
            sscanf(item, "%47[^:]:%23[^:]:%15s", p->name, p->action, nth) < 2) {
            fprintf(stderr, "FRESHET_FAILPOINT: cannot read \"%s\"\n", item);
            abort();
        }
        p->nth = strcmp(nth, "*") == 0 ? 0 : atol(nth);
        point_count++;
    }
    free(copy);
}

static bool act(const char *action)
{
    if (strcmp(action, "kill") == 0) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (strcmp(action, "stop") == 0) {
        raise(SIGSTOP);
        return false;
    }
    if (strncmp(action, "sleep=", 6) == 0) {
        fr_sleep_us(atol(action + 6) * 1000);
        return false;
    }
    return true;
}

bool fr_failpoint(const char *name)
{
    pthread_once(&once, parse);
    for (size_t i = 0; i < point_count; i++) {
        struct point *p = &points[i];
        if (strcmp(p->name, name) != 0)
            continue;
        pthread_mutex_lock(&lock);
        long passed = ++p->passed;
        pthread_mutex_unlock(&lock);
        if (p->nth == 0 || p->nth == passed)
            return act(p->action);
    }
    return false;
}
#else
typedef int fr_failpoint_unused;
#endif
