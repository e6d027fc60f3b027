#include "control/follow.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "kafka/control.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_WAIT_US = 500000, LONGEST_WAIT_US = 30000000, TICK_US = 200000 };

typedef struct records { /* oldest first */
    fr_follow_record *first, **last;
} records;

struct fr_follow {
    const fr_kafka_settings *kafka;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    /* The thread's own: opened again, it reads what it has read before, and holds that back until
     * the end is reached. */
    records again;
    bool caught_up;
    int64_t seen;         /* the newest offset that was handed over; -1: none */
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    records read, asked;
    bool ready, failed, has_err;
    bool write_failed; /* has_err is of a record that Kafka does not take */
    fr_err err;
    int64_t next_try_us;
};

static fr_follow_record *record_new(fr_str key, fr_str value, int64_t offset)
{
    fr_follow_record *r = fr_malloc(sizeof(*r) + key.len + value.len + 1);
    char *bytes = (char *)(r + 1);
    *r = (fr_follow_record){.key = {key.ptr == NULL ? NULL : bytes, key.len},
                            .value = {value.ptr == NULL ? NULL : bytes + key.len, value.len},
                            .offset = offset};
    if (key.len > 0)
        memcpy(bytes, key.ptr, key.len);
    if (value.len > 0)
        memcpy(bytes + key.len, value.ptr, value.len);
    return r;
}

static void put(records *list, fr_follow_record *r)
{
    *list->last = r;
    list->last = &r->next;
}

static fr_follow_record *take(records *list)
{
    fr_follow_record *r = list->first;
    if (r == NULL)
        return NULL;
    list->first = r->next;
    if (list->first == NULL)
        list->last = &list->first;
    r->next = NULL;
    return r;
}

static records take_all(records *list)
{
    records all = *list;
    list->first = NULL;
    list->last = &list->first;
    return all;
}

/* In front of what came since. */
static void put_back(records *list, const records *taken)
{
    *taken->last = list->first;
    if (list->first == NULL)
        list->last = taken->last;
    list->first = taken->first;
}

static void free_records(records *list)
{
    for (fr_follow_record *r; (r = take(list)) != NULL;)
        free(r);
}

/* ---- the thread ---- */

static fr_rc write_all(fr_follow *f, const records *list, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    size_t count = 0, i = 0;
    for (const fr_follow_record *r = list->first; r != NULL; r = r->next)
        count++;
    fr_control_record *all = fr_arena_alloc(a, count * sizeof(*all));
    for (const fr_follow_record *r = list->first; r != NULL; r = r->next)
        all[i++] = (fr_control_record){r->key, r->value};
    fr_rc rc = fr_control_write(f->kafka, all, count, err);
    fr_arena_free(a);
    return rc;
}

/* What was asked for goes to Kafka, and comes back with all the others' records. What it does not
 * take for good is left, and said. */
static fr_rc write_asked(fr_follow *f, fr_err *err)
{
    pthread_mutex_lock(&f->lock);
    records mine = take_all(&f->asked);
    pthread_mutex_unlock(&f->lock);
    if (mine.first == NULL)
        return FR_OK;
    fr_rc rc = write_all(f, &mine, err);
    bool again = rc == FR_FAIL &&
                 (fr_err_retry(err->kind) == FR_RETRY_BACKOFF || err->kind == FR_ERR_CANCELLED);
    pthread_mutex_lock(&f->lock);
    if (again)
        put_back(&f->asked, &mine);
    f->write_failed = rc == FR_FAIL;
    f->has_err = rc == FR_FAIL;
    if (rc == FR_FAIL)
        f->err = *err;
    pthread_mutex_unlock(&f->lock);
    if (again)
        return FR_FAIL;
    free_records(&mine);
    if (rc == FR_FAIL)
        fr_log_err(FR_LOG_ERROR, "control", err);
    return FR_OK;
}

/* At the end: what is new goes on to the main thread. A topic that ends before what we have seen
 * was made anew, and all of it is new. */
static void hand_over(fr_follow *f, int64_t newest)
{
    bool anew = newest < f->seen;
    for (fr_follow_record *r; (r = take(&f->again)) != NULL;) {
        if (anew || r->offset > f->seen)
            put(&f->read, r);
        else
            free(r);
    }
    f->seen = newest;
    f->caught_up = f->ready = true;
}

static void take_batch(fr_follow *f, const fr_batch *b, bool at_end)
{
    int64_t newest = f->caught_up ? f->seen : -1;
    for (size_t i = 0; i < b->message_count; i++) {
        const fr_message *m = &b->messages[i];
        put(&f->again, record_new(m->key, m->payload, m->offset));
    }
    for (const fr_follow_record *r = f->again.first; r != NULL; r = r->next)
        newest = r->offset;
    pthread_mutex_lock(&f->lock);
    if (at_end || f->caught_up)
        hand_over(f, newest);
    f->has_err = f->has_err && f->write_failed;
    pthread_mutex_unlock(&f->lock);
}

/* Until it fails, or is to stop. */
static fr_rc follow(fr_follow *f, fr_backoff *backoff, fr_err *err)
{
    fr_control *c;
    FR_TRY(fr_control_open(f->kafka, &c, err));
    fr_rc rc = FR_OK;
    free_records(&f->again);
    f->caught_up = false;
    while (rc != FR_FAIL && !atomic_load(&f->stop)) {
        const fr_batch *b;
        rc = fr_control_read(c, fr_now_us() + TICK_US, &b, err);
        if (rc == FR_FAIL)
            break;
        take_batch(f, b, fr_control_at_end(c));
        fr_backoff_reset(backoff);
        rc = write_asked(f, err);
    }
    fr_control_close(c);
    return rc;
}

/* False: that was the end. */
static bool try_again(fr_follow *f, fr_backoff *backoff, const fr_err *err)
{
    int64_t wait = fr_backoff_next(backoff), until = fr_now_us() + wait;
    pthread_mutex_lock(&f->lock);
    bool again = f->ready || fr_err_retry(err->kind) == FR_RETRY_BACKOFF;
    f->failed = !again;
    f->has_err = true;
    f->err = *err;
    f->next_try_us = fr_wall_us() + wait;
    pthread_mutex_unlock(&f->lock);
    fr_log_err(again ? FR_LOG_WARN : FR_LOG_ERROR, "control", err);
    if (again)
        fr_log(FR_LOG_INFO, "control", "trying again in %.1f s", (double)wait / 1e6);
    pthread_mutex_lock(&f->lock);
    while (again && !atomic_load(&f->stop) && fr_cond_wait(&f->wake, &f->lock, until))
        continue;
    pthread_mutex_unlock(&f->lock);
    return again;
}

static void *follow_thread(void *context)
{
    fr_follow *f = context;
    fr_backoff backoff = {.first_us = FIRST_WAIT_US, .max_us = LONGEST_WAIT_US};
    fr_err err;
    pthread_setname_np(pthread_self(), "control");
    fr_cancel_by(&f->stop);
    while (!atomic_load(&f->stop))
        if (follow(f, &backoff, &err) == FR_FAIL && !atomic_load(&f->stop) &&
            !try_again(f, &backoff, &err))
            return NULL;
    return NULL;
}

/* ---- for others ---- */

fr_follow *fr_follow_start(const fr_kafka_settings *kafka)
{
    fr_follow *f = fr_malloc(sizeof(*f));
    f->kafka = kafka;
    f->seen = -1;
    f->again.last = &f->again.first;
    f->read.last = &f->read.first;
    f->asked.last = &f->asked.first;
    pthread_mutex_init(&f->lock, NULL);
    fr_cond_init(&f->wake);
    f->started = fr_thread_start(&f->thread, follow_thread, f, &f->err) == FR_OK;
    if (!f->started) { /* else they are the thread's from here on */
        f->failed = f->has_err = true;
        fr_log_err(FR_LOG_ERROR, "control", &f->err);
    }
    return f;
}

void fr_follow_stop(fr_follow *f)
{
    if (f == NULL)
        return;
    atomic_store(&f->stop, true);
    pthread_mutex_lock(&f->lock);
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
    if (f->started)
        pthread_join(f->thread, NULL);
    free_records(&f->again);
    free_records(&f->read);
    free_records(&f->asked);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->wake);
    free(f);
}

fr_follow_state fr_follow_look(fr_follow *f, fr_err *err, int64_t *next_try_us)
{
    pthread_mutex_lock(&f->lock);
    fr_follow_state s = f->failed                ? FR_FOLLOW_FAILED
                        : f->ready && f->has_err ? FR_FOLLOW_TROUBLE
                        : f->ready               ? FR_FOLLOW_READY
                        : f->has_err             ? FR_FOLLOW_RETRIES
                                                 : FR_FOLLOW_BEGINS;
    if (f->has_err)
        *err = f->err;
    if (s == FR_FOLLOW_RETRIES)
        *next_try_us = f->next_try_us;
    pthread_mutex_unlock(&f->lock);
    return s;
}

fr_follow_record *fr_follow_next(fr_follow *f)
{
    pthread_mutex_lock(&f->lock);
    fr_follow_record *r = take(&f->read);
    pthread_mutex_unlock(&f->lock);
    return r;
}

void fr_follow_ask(fr_follow *f, fr_str key, fr_str value)
{
    fr_follow_record *r = record_new(key, value, -1);
    pthread_mutex_lock(&f->lock);
    put(&f->asked, r);
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
}
