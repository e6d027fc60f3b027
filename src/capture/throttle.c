#include "capture/internal.h"
#include <inttypes.h>
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
    uint64_t paid_rows; /* since paid_from_us */
    int64_t paid_from_us;
    bool polls; /* it holds polls, whose states are told by their publisher */
};

throttle *throttle_new(fr_capture *c)
{
    throttle *t = fr_malloc(sizeof(*t));
    *t = (throttle){.c = c, .polls = fr_source_polled(c->s.source)};
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

static fr_rc ask_source(const fr_capture *c, fr_sql *sql, fr_arena *a, fr_str *why, fr_err *err)
{
    if (sql != NULL)
        return sql->ops->busy == NULL ? FR_OK : sql->ops->busy(sql, a, why, err);
    return c->source->ops->busy == NULL ? FR_OK : c->source->ops->busy(c->source, a, why, err);
}

/* What holds snapshots or polls back now; OPEN: nothing. */
static fr_rc look(throttle *t, fr_sql *sql, shut_by *shut, char *why, size_t size, fr_err *err)
{
    const fr_capture *c = t->c;
    const char *window = c->s.source->throttle_window;
    *shut = OPEN;
    if (!throttle_in_window(window, minute_of_day())) {
        *shut = WINDOW;
        snprintf(why, size, "throttle.window: outside %s", window);
        return FR_OK;
    }
    if (!fr_source_asks_busy(c->s.source))
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_str text = {0};
    fr_rc rc = ask_source(c, sql, a, &text, err);
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
    if (!t->polls)
        FR_TELL(&t->c->s.observer, state, FR_STATE_THROTTLED, t->why);
    if (news)
        fr_log(FR_LOG_INFO, t->c->who, "%s: %s", t->polls ? "polling waits" : "snapshot waits",
               t->why);
}

/* With the lock. A busy server must be quiet for a moment; a window opens at once. */
static void open_now(throttle *t)
{
    if (t->shut == OPEN || (t->shut == BUSY && ++t->quiet < QUIET_LOOKS))
        return;
    t->shut = OPEN;
    if (!t->polls)
        FR_TELL(&t->c->s.observer, state, FR_STATE_SNAPSHOTTING, NULL);
    fr_log(FR_LOG_INFO, t->c->who, "%s goes on, after %.0f s", t->polls ? "polling" : "snapshot",
           (double)(fr_now_us() - t->since_us) / 1e6);
}

static fr_rc look_when_due(throttle *t, fr_sql *sql, fr_err *err)
{
    shut_by shut;
    char why[sizeof(t->why)];
    pthread_mutex_lock(&t->lock);
    bool ours = !t->looking && fr_now_us() >= t->next_look_us;
    t->looking = t->looking || ours;
    pthread_mutex_unlock(&t->lock);
    if (!ours)
        return FR_OK;
    fr_rc rc = look(t, sql, &shut, why, sizeof(why), err);
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

/* With the lock. Another reader is asking, and there is no answer yet, or an old one only: wait
 * for it. */
static bool no_answer(const throttle *t)
{
    return t->looking && fr_now_us() - t->answered_us > OLD_US;
}

fr_rc throttle_look(throttle *t, bool inside, bool *waits_out, bool *leave_out, fr_err *err)
{
    FR_TRY(look_when_due(t, NULL, err));
    int64_t patience = FR_FAILPOINT("capture_throttle_leaves") ? 0 : LEAVE_US;
    pthread_mutex_lock(&t->lock);
    bool unknown = no_answer(t);
    *waits_out = unknown || t->shut == BUSY || (t->shut == WINDOW && !inside);
    *leave_out = !unknown &&
                 (t->shut == WINDOW || (t->shut == BUSY && fr_now_us() - t->since_us >= patience));
    pthread_mutex_unlock(&t->lock);
    return FR_OK;
}

int64_t throttle_pay(throttle *t, size_t rows)
{
    uint64_t per_second = (uint64_t)t->c->s.source->throttle_rows_per_second;
    if (per_second == 0)
        return 0;
    pthread_mutex_lock(&t->lock);
    int64_t now = fr_now_us();
    int64_t due = t->paid_from_us + (int64_t)(t->paid_rows * 1000000 / per_second);
    if (now - due > 1000000) { /* time that was not used is not saved up for a burst */
        t->paid_from_us = now;
        t->paid_rows = 0;
    }
    t->paid_rows += rows;
    due = t->paid_from_us + (int64_t)(t->paid_rows * 1000000 / per_second);
    pthread_mutex_unlock(&t->lock);
    return due;
}

fr_rc throttle_poll(throttle *t, fr_sql *sql, bool *waits_out, fr_err *err)
{
    FR_TRY(look_when_due(t, sql, err));
    int64_t paid_us = throttle_pay(t, 0);
    pthread_mutex_lock(&t->lock);
    *waits_out = no_answer(t) || t->shut != OPEN || fr_now_us() < paid_us;
    pthread_mutex_unlock(&t->lock);
    return FR_OK;
}

bool throttle_cause(throttle *t, char *out, size_t size)
{
    int64_t paid_us = throttle_pay(t, 0);
    pthread_mutex_lock(&t->lock);
    bool shut = t->shut != OPEN;
    snprintf(out, size, "%s", shut ? t->why : "");
    if (!shut && fr_now_us() < paid_us)
        snprintf(out, size, "throttle.rows_per_second: no more than %" PRId64,
                 t->c->s.source->throttle_rows_per_second);
    pthread_mutex_unlock(&t->lock);
    return shut;
}
