#include "capture/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_US = 1000000,   /* how often the source is asked */
    OLD_US = 5000000,    /* an answer that nobody relies on while the source is asked again */
    LEAVE_US = 30000000, /* a view is held open no longer than this for a server that is busy */
    QUIET_LOOKS = 2      /* so often in a row it must say that it is not busy any more */
};

typedef enum { OPEN, WINDOW, BUSY } shut_by;

struct throttle {
    fr_capture *c;
    pthread_mutex_t lock; /* all below */
    bool looking;         /* one thread asks the source, without the lock */
    shut_by shut;
    int64_t since_us, next_look_us, answered_us;
    int quiet;
    char why[200];
};

throttle *throttle_new(fr_capture *c)
{
    throttle *t = fr_malloc(sizeof(*t));
    *t = (throttle){.c = c};
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void throttle_free(throttle *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

bool throttle_in_window(const char *window, int at)
{
    int h1, m1, h2, m2;
    if (window == NULL || sscanf(window, "%d:%d-%d:%d", &h1, &m1, &h2, &m2) != 4)
        return true; /* the configuration has refused what is malformed */
    int from = h1 * 60 + m1, to = h2 * 60 + m2;
    return from <= to ? at >= from && at < to : at >= from || at < to;
}

static int minute_of_day(void)
{
    time_t now = (time_t)(fr_wall_us() / 1000000);
    struct tm tm;
    localtime_r(&now, &tm);
    return tm.tm_hour * 60 + tm.tm_min;
}

bool throttle_asks_source(const fr_source_settings *s)
{
    return s->throttle_max_lag_us > 0 || s->throttle_max_load != NULL || s->throttle_query != NULL;
}

/* What holds snapshots back now; OPEN: nothing. */
static fr_rc look(throttle *t, shut_by *shut, char *why, size_t size, fr_err *err)
{
    const fr_capture *c = t->c;
    const char *window = c->s.source->throttle_window;
    *shut = OPEN;
    if (!throttle_in_window(window, minute_of_day())) {
        *shut = WINDOW;
        snprintf(why, size, "throttle.window: outside %s", window);
        return FR_OK;
    }
    if (!throttle_asks_source(c->s.source) || c->source->ops->busy == NULL)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_str text = {0};
    fr_rc rc = c->source->ops->busy(c->source, a, &text, err);
    if (rc == FR_OK && text.len > 0) {
        *shut = BUSY;
        snprintf(why, size, "%.*s", FR_ARG(text));
    }
    fr_arena_free(a);
    return rc;
}

/* With the lock. The cause is said when it begins or is another one; its figures go on in the
 * status only. */
static void shut_now(throttle *t, shut_by shut, const char *why)
{
    size_t cause = strcspn(why, ":");
    bool news = t->shut == OPEN || strncmp(t->why, why, cause + 1) != 0;
    if (t->shut == OPEN)
        t->since_us = fr_now_us();
    t->shut = shut;
    t->quiet = 0;
    snprintf(t->why, sizeof(t->why), "%s", why);
    FR_TELL(&t->c->s.observer, state, FR_STATE_THROTTLED, t->why);
    if (news)
        fr_log(FR_LOG_INFO, t->c->who, "snapshot waits: %s", t->why);
}

/* With the lock. A busy server must be quiet for a moment; a window opens at once. */
static void open_now(throttle *t)
{
    if (t->shut == OPEN || (t->shut == BUSY && ++t->quiet < QUIET_LOOKS))
        return;
    t->shut = OPEN;
    FR_TELL(&t->c->s.observer, state, FR_STATE_SNAPSHOTTING, NULL);
    fr_log(FR_LOG_INFO, t->c->who, "snapshot goes on, after %.0f s",
           (double)(fr_now_us() - t->since_us) / 1e6);
}

static fr_rc look_when_due(throttle *t, fr_err *err)
{
    shut_by shut;
    char why[sizeof(t->why)];
    pthread_mutex_lock(&t->lock);
    bool ours = !t->looking && fr_now_us() >= t->next_look_us;
    t->looking = t->looking || ours;
    pthread_mutex_unlock(&t->lock);
    if (!ours)
        return FR_OK;
    fr_rc rc = look(t, &shut, why, sizeof(why), err);
    pthread_mutex_lock(&t->lock);
    t->looking = false;
    t->answered_us = fr_now_us();
    t->next_look_us = t->answered_us + LOOK_US;
    if (rc == FR_OK && shut != OPEN)
        shut_now(t, shut, why);
    else if (rc == FR_OK)
        open_now(t);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

fr_rc throttle_look(throttle *t, bool inside, bool *waits_out, bool *leave_out, fr_err *err)
{
    FR_TRY(look_when_due(t, err));
    int64_t patience = FR_FAILPOINT("capture_throttle_leaves") ? 0 : LEAVE_US;
    pthread_mutex_lock(&t->lock);
    /* Another reader is asking, and there is no answer yet, or an old one only: wait for it. */
    bool unknown = t->looking && fr_now_us() - t->answered_us > OLD_US;
    *waits_out = unknown || t->shut == BUSY || (t->shut == WINDOW && !inside);
    *leave_out = !unknown &&
                 (t->shut == WINDOW || (t->shut == BUSY && fr_now_us() - t->since_us >= patience));
    pthread_mutex_unlock(&t->lock);
    return FR_OK;
}
