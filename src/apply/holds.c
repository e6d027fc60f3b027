#include "apply/holds.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_TRY_US = 1000000, FIRST_COSTLY_US = 60000000, LONGEST_US = 600000000 };

typedef struct hold {
    char *topic, *why;
    char code[48], from[64];
    int32_t partition;
    int64_t offset;
    bool operators, stays;
    bool waits;  /* else it was let go, and has not come past its cause yet */
    bool asked;  /* to be let go at once */
    bool trying; /* was due; not let go yet */
    int64_t since_us, next_us;
    fr_backoff backoff;
    uint64_t passed_over;
    int64_t behind;
} hold;

struct fr_holds {
    const char *who;
    const fr_observer *observer;
    pthread_mutex_t lock;
    fr_map *by_topic;
    atomic_size_t count;
};

fr_holds *fr_holds_new(const char *who, const fr_observer *observer)
{
    fr_holds *h = fr_malloc(sizeof(*h));
    h->who = who;
    h->observer = observer;
    pthread_mutex_init(&h->lock, NULL);
    h->by_topic = fr_map_new();
    return h;
}

static void free_hold(void *value)
{
    hold *x = value;
    free(x->topic);
    free(x->why);
    free(x);
}

void fr_holds_free(fr_holds *h)
{
    size_t i = 0;
    fr_str topic;
    if (h == NULL)
        return;
    while (fr_map_next(h->by_topic, &i, &topic, NULL))
        FR_TELL(h->observer, held, FR_STR(""), topic, NULL);
    fr_map_free(h->by_topic, free_hold);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- telling ---- */

static void tell(fr_holds *h, const hold *x)
{
    const fr_held_status s = {.code = x->code,
                              .why = x->why,
                              .from = x->from,
                              .since_us = x->since_us,
                              .waiting = x->passed_over + (uint64_t)x->behind,
                              .catching_up = !x->waits};
    FR_TELL(h->observer, held, FR_STR(""), fr_cstr(x->topic), &s);
}

static void say(fr_holds *h, const hold *x)
{
    if (x->operators) {
        fr_log(FR_LOG_WARN, h->who, "topic %s is paused, the other topics go on: %s", x->topic,
               x->why);
        return;
    }
    char since[32];
    fr_time_text(since, x->since_us);
    fr_log(FR_LOG_WARN, h->who,
           "topic %s is blocked since %s, from %s on; the other topics go on: %s: %s; %s", x->topic,
           since, x->from, x->code, x->why,
           x->stays ? "it waits until it is resumed" : "it is tried again until that passes");
}

static void over(fr_holds *h, hold *x)
{
    fr_log(FR_LOG_INFO, h->who, "topic %s goes on, after %.0f s", x->topic,
           (double)(fr_wall_us() - x->since_us) / 1e6);
    FR_TELL(h->observer, held, FR_STR(""), fr_cstr(x->topic), NULL);
    fr_map_remove(h->by_topic, fr_cstr(x->topic));
    free_hold(x);
    atomic_fetch_sub(&h->count, 1);
}

/* ---- holding ---- */

static hold *hold_of(fr_holds *h, fr_str topic)
{
    hold *x = fr_map_get(h->by_topic, topic);
    if (x != NULL)
        return x;
    x = fr_malloc(sizeof(*x));
    x->topic = fr_malloc(topic.len + 1);
    memcpy(x->topic, topic.ptr, topic.len);
    x->partition = -1;
    x->since_us = fr_wall_us();
    x->backoff = (fr_backoff){.first_us = FIRST_TRY_US, .max_us = LONGEST_US};
    fr_map_set(h->by_topic, topic, x);
    atomic_fetch_add(&h->count, 1);
    return x;
}

/* True when the log has not heard of this yet. */
static bool take_cause(hold *x, const fr_cause *cause)
{
    bool news =
        x->why == NULL || strcmp(x->why, cause->why) != 0 || strcmp(x->code, cause->code) != 0;
    if (news) {
        free(x->why);
        x->why = fr_strdup(cause->why);
        snprintf(x->code, sizeof(x->code), "%s", cause->code);
    }
    x->operators = cause->operators;
    x->stays = cause->stays;
    x->backoff.first_us = cause->costly ? FIRST_COSTLY_US : FIRST_TRY_US;
    if (cause->partition >= 0) {
        x->partition = cause->partition;
        x->offset = cause->offset;
        snprintf(x->from, sizeof(x->from), "partition %d offset %lld", (int)x->partition,
                 (long long)x->offset);
    }
    return news;
}

void fr_holds_put(fr_holds *h, fr_str topic, const fr_cause *cause)
{
    pthread_mutex_lock(&h->lock);
    hold *x = hold_of(h, topic);
    bool keeps = x->waits && x->operators && !cause->operators;
    if (!keeps) {
        bool again = !x->waits;
        bool news = take_cause(x, cause);
        x->waits = true;
        x->trying = x->asked = false;
        int64_t now = fr_now_us();
        if (again && x->next_us <= now)
            x->next_us = now + fr_backoff_next(&x->backoff);
        if (news)
            say(h, x);
        tell(h, x);
    }
    pthread_mutex_unlock(&h->lock);
}

void fr_holds_ask(fr_holds *h, fr_str topic)
{
    pthread_mutex_lock(&h->lock);
    hold *x = fr_map_get(h->by_topic, topic);
    if (x != NULL && x->waits) {
        x->asked = true;
        fr_backoff_reset(&x->backoff);
    }
    pthread_mutex_unlock(&h->lock);
}

bool fr_holds_has(fr_holds *h, fr_str topic)
{
    if (!fr_holds_any(h))
        return false;
    pthread_mutex_lock(&h->lock);
    const hold *x = fr_map_get(h->by_topic, topic);
    bool waits = x != NULL && x->waits;
    pthread_mutex_unlock(&h->lock);
    return waits;
}

bool fr_holds_any(fr_holds *h)
{
    return atomic_load(&h->count) > 0;
}

size_t fr_holds_list(fr_holds *h, fr_arena *a, fr_str **out)
{
    size_t n = 0, i = 0;
    fr_str key;
    void *value;
    pthread_mutex_lock(&h->lock);
    *out = fr_arena_alloc(a, (fr_map_count(h->by_topic) + 1) * sizeof(fr_str));
    while (fr_map_next(h->by_topic, &i, &key, &value))
        if (((const hold *)value)->waits)
            (*out)[n++] = fr_arena_str(a, key);
    pthread_mutex_unlock(&h->lock);
    return n;
}

/* ---- letting go ---- */

bool fr_holds_due(fr_holds *h, int64_t now_us, fr_arena *a, fr_str *topic_out)
{
    size_t i = 0;
    fr_str key;
    void *value;
    bool found = false;
    if (!fr_holds_any(h))
        return false;
    pthread_mutex_lock(&h->lock);
    while (!found && fr_map_next(h->by_topic, &i, &key, &value)) {
        hold *x = value;
        bool due = x->asked || (!x->operators && !x->stays && now_us >= x->next_us);
        if (!x->waits || !due)
            continue;
        found = x->trying = true;
        x->next_us = now_us + fr_backoff_next(&x->backoff);
        *topic_out = fr_arena_str(a, key);
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

bool fr_holds_let_go(fr_holds *h, fr_str topic,
                     bool (*known)(void *context, fr_str topic, int32_t partition), void *context)
{
    pthread_mutex_lock(&h->lock);
    hold *x = fr_map_get(h->by_topic, topic);
    bool goes = x != NULL && x->waits && x->trying;
    if (goes) {
        if (x->asked) { /* whoever asked wants to hear what comes of it */
            free(x->why);
            x->why = fr_strdup("tried again, as somebody asked for it");
        }
        x->waits = x->trying = x->asked = x->operators = false;
        x->passed_over = 0;
        x->behind = 0;
        if (x->partition < 0 || !known(context, topic, x->partition))
            over(h, x);
        else
            tell(h, x);
    }
    pthread_mutex_unlock(&h->lock);
    return goes;
}

static bool is_past(const hold *x, const fr_offsets *committed)
{
    for (size_t i = 0; committed != NULL && i < committed->count; i++) {
        const fr_offset *o = &committed->items[i];
        if (o->partition == x->partition && o->next > x->offset && fr_str_is(o->topic, x->topic))
            return true;
    }
    return committed == NULL;
}

void fr_holds_passed(fr_holds *h, const fr_offsets *committed)
{
    size_t i = 0;
    fr_str key;
    void *value;
    if (!fr_holds_any(h))
        return;
    pthread_mutex_lock(&h->lock);
    while (fr_map_next(h->by_topic, &i, &key, &value)) {
        hold *x = value;
        if (x->waits || !is_past(x, committed))
            continue;
        over(h, x);
        i = 0; /* the map has changed */
    }
    pthread_mutex_unlock(&h->lock);
}

void fr_holds_left(fr_holds *h, const fr_offsets *revoked)
{
    if (!fr_holds_any(h))
        return;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < revoked->count; i++) {
        const fr_offset *o = &revoked->items[i];
        hold *x = fr_map_get(h->by_topic, o->topic);
        if (x == NULL || x->partition != o->partition)
            continue;
        if (!x->waits) {
            over(h, x);
        } else if (!x->operators) {
            x->next_us = x->stays = 0;
            fr_backoff_reset(&x->backoff); /* a try for this says nothing of the cause */
        }
    }
    pthread_mutex_unlock(&h->lock);
}

void fr_holds_count(fr_holds *h, fr_str topic, uint64_t passed_over, int64_t behind)
{
    pthread_mutex_lock(&h->lock);
    hold *x = fr_map_get(h->by_topic, topic);
    if (x != NULL) {
        x->passed_over += passed_over;
        if (behind >= 0)
            x->behind = behind;
        if (behind >= 0 && x->waits)
            tell(h, x);
    }
    pthread_mutex_unlock(&h->lock);
}

void fr_holds_uncount(fr_holds *h, const fr_offsets *claimed)
{
    size_t i = 0;
    fr_str key;
    void *value;
    if (!fr_holds_any(h))
        return;
    pthread_mutex_lock(&h->lock);
    while (fr_map_next(h->by_topic, &i, &key, &value)) {
        bool again = claimed == NULL;
        for (size_t k = 0; !again && k < claimed->count; k++)
            again = fr_str_eq(claimed->items[k].topic, key);
        if (again)
            ((hold *)value)->passed_over = 0;
    }
    pthread_mutex_unlock(&h->lock);
}
