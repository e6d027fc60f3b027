#include "apply/internal.h"

enum { COUNT_EVERY_US = 30000000, ENDS_EVERY_US = 1000000 };

static fr_rc target_name(void *context, fr_arena *arena, fr_str topic, fr_str *space_out,
                         fr_str *name_out, fr_err *err)
{
    fr_apply *a = context;
    fr_rc rc = fr_sink_target(a->s.sink, arena, topic, space_out, name_out, err);
    a->no_target = rc == FR_FAIL;
    return rc;
}

/* Wait until the writer has committed all it was given; false: the run is over. */
static bool drain(fr_apply *a)
{
    pthread_mutex_lock(&a->lock);
    a->flush = true;
    while (a->uncommitted > 0 && !atomic_load(&a->run_over) && !atomic_load(&a->runner.abandoned))
        pthread_cond_wait(&a->drained, &a->lock);
    a->flush = false;
    bool ok = a->uncommitted == 0;
    pthread_mutex_unlock(&a->lock);
    return ok;
}

/* `latest` is where a partition ended when it was first ours, and not at some later start, and so
 * is what a time says: the target has it before anything is read. */
static fr_rc keep_ends(fr_apply *a, fr_offsets *offsets, fr_err *err)
{
    fr_arena *arena = fr_arena_new(0);
    fr_offsets o = {.items = fr_arena_alloc(arena, (offsets->count + 1) * sizeof(fr_offset))};
    for (size_t i = 0; i < offsets->count; i++)
        if (offsets->items[i].next < 0)
            o.items[o.count++] = offsets->items[i];
    fr_rc rc = o.count == 0 ? FR_OK
               : a->s.sink->start_at != NULL
                   ? fr_consumer_find_time(a->consumer, a->s.sink->start_ms, &o, err)
                   : fr_consumer_find_ends(a->consumer, &o, err);
    if (rc == FR_OK && o.count > 0)
        rc = a->sink->ops->commit(a->sink, &o, err);
    for (size_t i = 0, at = 0; rc == FR_OK && at < o.count; i++)
        if (offsets->items[i].next < 0)
            offsets->items[i].next = o.items[at++].next;
    fr_arena_free(arena);
    return rc;
}

static fr_rc assigned(void *context, fr_offsets *offsets, fr_err *err)
{
    fr_apply *a = context;
    if (atomic_load(&a->run_over) || !drain(a))
        return fr_fail(err, FR_ERR_CANCELLED, "the sink is closing");
    FR_TRY(fr_consumer_topic_ids(a->consumer, offsets, err));
    FR_TRY(writer_claim(a->writer, offsets, err));
    if (a->s.sink->start != 0 || a->s.sink->start_at != NULL)
        FR_TRY(keep_ends(a, offsets, err));
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        fr_decoder_begin(a->decoder, o->topic, o->partition, o->next);
    }
    a->partitions += offsets->count;
    fr_log(FR_LOG_INFO, a->who, "%zu partitions assigned", offsets->count);
    return FR_OK;
}

static void revoked(void *context, const fr_offsets *offsets)
{
    fr_apply *a = context;
    (void)drain(a); /* what cannot be drained is rolled back: the run is over then */
    fr_holds_left(a->holds, offsets);
    a->partitions -= offsets->count < a->partitions ? offsets->count : a->partitions;
    fr_log(FR_LOG_INFO, a->who, "%zu partitions revoked", offsets->count);
}

/* Patterns as librdkafka takes them: a name, or "^regex". */
static const char **topics_of(const fr_sink_settings *s, fr_arena *arena)
{
    const char **topics = fr_arena_alloc(arena, (s->from.count + 1) * sizeof(char *));
    for (size_t i = 0; i < s->from.count; i++) {
        const char *p = s->from.items[i];
        if (s->from_regex == NULL || s->from_regex[i] == NULL) {
            topics[i] = p;
            continue;
        }
        fr_str inner = {p + 1, strlen(p) >= 2 ? strlen(p) - 2 : 0};
        topics[i] = inner.len > 0 && inner.ptr[0] == '^'
                        ? fr_arena_cstr(arena, inner)
                        : fr_arena_printf(arena, "^.*%.*s", FR_ARG(inner)).ptr;
    }
    return topics;
}

/* ---- topics that wait ---- */

/* The consumer gives nothing of them. */
static void hold_back(fr_apply *a)
{
    if (!fr_holds_any(a->holds))
        return;
    fr_arena *arena = fr_arena_new(0);
    fr_str *topics;
    size_t count = fr_holds_list(a->holds, arena, &topics);
    for (size_t i = 0; i < count; i++)
        fr_consumer_hold(a->consumer, topics[i]);
    fr_arena_free(arena);
}

static bool is_ours(void *context, fr_str topic, int32_t partition)
{
    return fr_consumer_has(((fr_apply *)context)->consumer, topic, partition);
}

/* The writer has nothing of it that was not committed or left out: read on from where the target
 * has it. */
static fr_rc let_go(fr_apply *a, fr_arena *arena, fr_str topic, fr_err *err)
{
    if (!drain(a))
        return FR_OK; /* the run is over */
    fr_offsets places = fr_consumer_places(a->consumer, arena, topic);
    if (places.count > 0) {
        FR_TRY(fr_consumer_topic_ids(a->consumer, &places, err));
        FR_TRY(writer_claim(a->writer, &places, err));
    }
    fr_consumer_hold(a->consumer, topic); /* held after we last looked, and released at once */
    if (!fr_holds_let_go(a->holds, topic, is_ours, a))
        return FR_OK;
    fr_decoder_rewind(a->decoder, topic);
    return fr_consumer_release(a->consumer, topic, &places, err);
}

static fr_rc let_go_those_due(fr_apply *a, fr_err *err)
{
    fr_arena *arena = fr_arena_new(0);
    fr_str topic;
    fr_rc rc = FR_OK;
    while (rc == FR_OK && !stopping(a) && !atomic_load(&a->run_over) &&
           fr_holds_due(a->holds, fr_now_us(), arena, &topic))
        rc = let_go(a, arena, topic, err);
    fr_arena_free(arena);
    return rc;
}

static void count_waiting(fr_apply *a)
{
    fr_arena *arena = fr_arena_new(0);
    fr_str *topics;
    size_t count = fr_holds_list(a->holds, arena, &topics);
    int64_t behind = 0;
    for (size_t i = 0; i < count && behind >= 0; i++) {
        behind = fr_consumer_behind(a->consumer, topics[i]);
        fr_holds_count(a->holds, topics[i], 0, behind);
    }
    fr_arena_free(arena);
}

static fr_rc tend_holds(fr_apply *a, int64_t now, int64_t *next_count_us, fr_err *err)
{
    if (!fr_holds_any(a->holds))
        return FR_OK;
    hold_back(a);
    if (now >= *next_count_us) {
        *next_count_us = now + COUNT_EVERY_US;
        count_waiting(a);
    }
    return let_go_those_due(a, err);
}

/* ---- open and run ---- */

fr_rc consume_open(fr_apply *a, fr_err *err)
{
    fr_holds_uncount(a->holds, NULL); /* of a run before */
    fr_arena *arena = fr_arena_new(0);
    char group[192];
    snprintf(group, sizeof(group), "freshet.%s.%s", a->s.sink->pipeline, a->s.sink->name);
    fr_consumer_settings s = {.kafka = a->s.kafka,
                              .sink = a->s.sink->name,
                              .group = group,
                              .member = a->s.member,
                              .topics = topics_of(a->s.sink, arena),
                              .topic_count = a->s.sink->from.count,
                              .assigned = assigned,
                              .revoked = revoked,
                              .context = a,
                              .start = a->s.sink->start};
    fr_consumer *consumer;
    fr_rc rc = fr_consumer_open(&s, &consumer, err);
    fr_arena_free(arena);
    if (rc == FR_FAIL)
        return FR_FAIL;
    pthread_mutex_lock(&a->lock);
    a->consumer = consumer;
    pthread_mutex_unlock(&a->lock);
    hold_back(a);
    a->decoder = fr_decoder_new(a->registry, a->s.sink->max_row_bytes, target_name, a);
    a->shaper = fr_shaper_new(a->s.sink);
    return FR_OK;
}

/* A message that cannot be decoded, or that no row can be made of, keeps its place in the order, as
 * an event that is bad. Its code and the remedy are in name and body. */
static void add_bad(fr_batch *b, size_t m, const fr_err *err)
{
    const fr_message *msg = &b->messages[m];
    fr_event *e = fr_batch_add(b, FR_OP_HEARTBEAT, NULL);
    e->topic = msg->topic;
    e->partition = msg->partition;
    e->offset = msg->offset;
    e->bad = fr_arena_str(b->arena, fr_cstr(err->text));
    e->name = fr_arena_str(b->arena, fr_cstr(err->code));
    e->body = fr_arena_str(b->arena, fr_cstr(err->hint));
    e->stays = err->kind == FR_ERR_CONFIG;
}

static fr_rc decode_all(fr_apply *a, fr_batch *b, fr_err *err)
{
    b->max_events = SIZE_MAX; /* the messages are in: their events must all fit */
    b->max_bytes = SIZE_MAX;
    for (size_t m = 0; m < b->message_count; m++) {
        size_t from = b->count;
        a->no_target = false;
        bool decoded = fr_decode(a->decoder, b, m, err) != FR_FAIL;
        if (decoded && fr_shaper_apply(a->shaper, b, from, &b->messages[m], err) != FR_FAIL)
            continue;
        /* Rules that do not go with a topic are its trouble, and not the sink's. */
        bool of_rules = (decoded || a->no_target) && err->kind == FR_ERR_CONFIG;
        bool of_message = err->kind == FR_ERR_DATA || of_rules;
        if (!of_message || a->s.sink->errors_mode == FR_ERRORS_STOP)
            return FR_FAIL;
        add_bad(b, m, err);
    }
    return FR_OK;
}

static void tell_group(fr_apply *a)
{
    pthread_mutex_lock(&a->lock);
    fr_offsets o = a->advisory;
    fr_arena *arena = a->advisory_arena;
    a->advisory = (fr_offsets){0};
    a->advisory_arena = NULL;
    pthread_mutex_unlock(&a->lock);
    if (o.count > 0)
        fr_consumer_committed(a->consumer, &o);
    fr_arena_free(arena);
}

static void give_on(fr_apply *a, fr_batch *b)
{
    pthread_mutex_lock(&a->lock);
    a->uncommitted++;
    pthread_mutex_unlock(&a->lock);
    if (fr_queue_put(a->decoded, b, INT64_MAX))
        return;
    pthread_mutex_lock(&a->lock);
    a->uncommitted--;
    pthread_mutex_unlock(&a->lock);
    fr_pool_give(a->pool, b);
}

/* A partition whose end is behind markers of transactions only, and which nothing comes to any
 * more: were it not told, the target would keep a place that retention takes away. */
static bool tell_ends(fr_apply *a, fr_batch *b)
{
    int64_t now = fr_now_us();
    if (now < a->next_ends_us)
        return false;
    fr_offsets ends = fr_consumer_ends(a->consumer, b->arena);
    if (ends.count == 0)
        return false;
    a->next_ends_us = now + ENDS_EVERY_US;
    fr_offsets *told = fr_arena_alloc(b->arena, sizeof(*told));
    *told = ends;
    b->ends = told;
    return true;
}

static fr_rc consume_one(fr_apply *a, fr_err *err)
{
    tell_group(a);
    fr_batch *b = fr_pool_take(a->pool, fr_now_us() + 100000);
    if (b == NULL) /* the target is slow: stay in the group */
        return fr_consumer_heartbeat(a->consumer, err);
    b->max_events = (size_t)a->s.sink->batch_rows;
    b->max_bytes = 1 << 20;
    fr_rc rc = fr_consume(a->consumer, b, fr_now_us() + 50000, err);
    if (rc == FR_OK)
        rc = decode_all(a, b, err);
    if (rc != FR_FAIL && tell_ends(a, b))
        rc = FR_OK; /* a batch of no message, where there is none */
    fr_pool_weigh(a->pool, b);
    if (rc == FR_OK)
        give_on(a, b);
    else
        fr_pool_give(a->pool, b);
    return rc;
}

/* All that is ours was read and is committed in the target. */
static bool nothing_waits(fr_apply *a)
{
    pthread_mutex_lock(&a->lock);
    bool idle = a->uncommitted == 0;
    pthread_mutex_unlock(&a->lock);
    return idle && (a->partitions == 0 || fr_consumer_at_end(a->consumer));
}

fr_rc consume_run(fr_apply *a, fr_err *err)
{
    int64_t next_lag_us = 0, next_count_us = 0;
    while (!stopping(a) && !atomic_load(&a->run_over)) {
        FR_TRY(consume_one(a, err));
        int64_t now = fr_now_us();
        FR_TRY(tend_holds(a, now, &next_count_us, err));
        if (now < next_lag_us)
            continue;
        next_lag_us = now + 1000000;
        if (!nothing_waits(a))
            continue;
        fr_holds_passed(a->holds, NULL);
        FR_TELL(&a->s.observer, progress);
    }
    tell_group(a);
    return FR_OK;
}
