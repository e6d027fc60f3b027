#include "control/watch.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include <stdlib.h>

enum { EVERY_US = 5000000 };

typedef struct watched {
    fr_part *board;    /* NULL: it is not; under the lock */
    fr_source *source; /* the thread's: open while it is watched */
    bool said;         /* that it cannot be asked */
} watched;

struct fr_watch {
    const fr_config *config;
    watched *all; /* one a source */
    pthread_t thread;
    bool started;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static void close_source(fr_watch *w, size_t i)
{
    if (w->all[i].source != NULL)
        w->config->source_ops[i]->close(w->all[i].source);
    w->all[i].source = NULL;
}

static fr_rc ask(fr_watch *w, size_t i, fr_status *out, fr_err *err)
{
    const fr_source_ops *ops = w->config->source_ops[i];
    watched *t = &w->all[i];
    if (t->source == NULL)
        FR_TRY(ops->open(&w->config->sources[i], &t->source, err));
    FR_TRY(ops->refresh(t->source, err));
    ops->status(t->source, out);
    return FR_OK;
}

static void look(fr_watch *w, size_t i)
{
    fr_status s = {.lag_us = -1, .lag_bytes = -1, .retained_bytes = -1, .retained_limit = -1};
    watched *t = &w->all[i];
    fr_err err;
    pthread_mutex_lock(&w->lock);
    bool wanted = t->board != NULL;
    pthread_mutex_unlock(&w->lock);
    fr_rc rc = wanted ? ask(w, i, &s, &err) : FR_IDLE;
    if (rc != FR_OK)
        close_source(w, i);
    if (rc == FR_FAIL && !t->said && !atomic_load(&w->stop))
        fr_log(FR_LOG_WARN, "freshet", "source %s is paused, and what it keeps is not known: %s",
               w->config->sources[i].name, err.text);
    t->said = rc == FR_FAIL;
    s.connected = false; /* nothing reads it */
    pthread_mutex_lock(&w->lock);
    if (rc == FR_OK && t->board != NULL)
        fr_part_connector(t->board, &s);
    pthread_mutex_unlock(&w->lock);
}

static void *watch_thread(void *context)
{
    fr_watch *w = context;
    pthread_setname_np(pthread_self(), "watch");
    fr_cancel_by(&w->stop);
    while (!atomic_load(&w->stop)) {
        for (size_t i = 0; i < w->config->source_count && !atomic_load(&w->stop); i++)
            look(w, i);
        int64_t until = fr_now_us() + EVERY_US;
        pthread_mutex_lock(&w->lock);
        if (!atomic_load(&w->stop))
            (void)fr_cond_wait(&w->wake, &w->lock, until);
        pthread_mutex_unlock(&w->lock);
    }
    for (size_t i = 0; i < w->config->source_count; i++)
        close_source(w, i);
    return NULL;
}

fr_watch *fr_watch_new(const fr_config *config)
{
    fr_watch *w = fr_malloc(sizeof(*w));
    w->config = config;
    w->all = fr_malloc((config->source_count + 1) * sizeof(*w->all));
    pthread_mutex_init(&w->lock, NULL);
    fr_cond_init(&w->wake);
    return w;
}

void fr_watch_free(fr_watch *w)
{
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stop, true);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->started)
        pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w->all);
    free(w);
}

void fr_watch_source(fr_watch *w, size_t source, fr_part *board)
{
    fr_err err;
    if (w->config->source_ops[source]->refresh == NULL ||
        fr_source_polled(&w->config->sources[source]))
        return;
    pthread_mutex_lock(&w->lock);
    w->all[source].board = board;
    if (!w->started) {
        w->started = fr_thread_start(&w->thread, watch_thread, w, &err) == FR_OK;
        if (!w->started)
            fr_log_err(FR_LOG_ERROR, "watch", &err);
    }
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void fr_watch_leave(fr_watch *w, size_t source)
{
    pthread_mutex_lock(&w->lock);
    w->all[source].board = NULL;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}
