/* A Kafka that is a few arrays: everything of kafka/publish.h, so that the linker takes these
 * and not the real ones. What was committed is kept over publishers, as a broker would; the
 * checkpoint is folded from it at each open. */
#ifndef FR_TEST_FAKE_KAFKA_H
#define FR_TEST_FAKE_KAFKA_H

#include "base/clock.h"
#include "kafka/publish.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct fake_row {
    int64_t id; /* the key's only column */
    size_t transaction;
} fake_row;

static struct fake_kafka {
    pthread_mutex_t lock; /* what the test's own thread looks at */
    fr_arena *arena;
    fake_row *rows;
    fr_record *records;
    size_t row_count, record_count, transactions;
    fr_end end;         /* of the only partition */
    size_t fail_commit; /* the n-th commit from now fails; 0: none */
    int64_t commit_takes_us;
    int steps;
    size_t opened;
} kafka = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct fr_publisher {
    bool open;
    fake_row *rows;
    fr_record *records;
    size_t row_count, record_count;
    fr_arena *arena;
};

/* Avro's long behind the five bytes of the wire format. */
static int64_t key_of(fr_str key)
{
    uint64_t n = 0;
    for (size_t i = 5, shift = 0; i < key.len; i++, shift += 7)
        n |= (uint64_t)((uint8_t)key.ptr[i] & 0x7f) << shift;
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static void *grown(void *items, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? fr_realloc(items, (count == 0 ? 1 : 2 * count) * size)
                                      : items;
}

static void keep_record(fr_str key, fr_str value)
{
    kafka.records = grown(kafka.records, kafka.record_count, sizeof(fr_record));
    fr_record *r = &kafka.records[kafka.record_count++];
    r->key = fr_arena_str(kafka.arena, key);
    r->value = value.ptr == NULL ? value : fr_arena_str(kafka.arena, value);
}

static void fake_kafka_reset(void)
{
    fr_arena_free(kafka.arena);
    free(kafka.rows);
    free(kafka.records);
    kafka.arena = fr_arena_new(0);
    kafka.rows = NULL;
    kafka.records = NULL;
    kafka.row_count = kafka.record_count = kafka.transactions = kafka.opened = 0;
    kafka.fail_commit = 0;
    kafka.end = (fr_end){0};
    kafka.commit_takes_us = 0;
}

/* What a new publisher would be told. */
static fr_checkpoint *fake_kafka_checkpoint(void)
{
    fr_err err;
    fr_checkpoint *c = fr_checkpoint_new();
    pthread_mutex_lock(&kafka.lock);
    for (size_t i = 0; i < kafka.record_count; i++)
        assert_ok(fr_checkpoint_fold(c, kafka.records[i].key, kafka.records[i].value, &err));
    pthread_mutex_unlock(&kafka.lock);
    return c;
}

fr_rc fr_publisher_open(const fr_kafka_settings *settings, const char *source, const char *instance,
                        fr_said *said, fr_publisher **out, fr_checkpoint **checkpoint_out,
                        fr_err *err)
{
    (void)settings, (void)source, (void)instance, (void)said, (void)err;
    fr_publisher *p = fr_malloc(sizeof(*p));
    p->arena = fr_arena_new(0);
    *checkpoint_out = fake_kafka_checkpoint();
    *out = p;
    pthread_mutex_lock(&kafka.lock);
    kafka.opened++;
    pthread_mutex_unlock(&kafka.lock);
    return FR_OK;
}

void fr_publisher_close(fr_publisher *p)
{
    if (p == NULL)
        return;
    free(p->rows);
    free(p->records);
    fr_arena_free(p->arena);
    free(p);
}

fr_rc fr_publisher_topic(fr_publisher *p, fr_str topic, int32_t *partitions_out, fr_err *err)
{
    (void)p;
    (void)topic;
    (void)err;
    *partitions_out = 1;
    return FR_OK;
}

fr_rc fr_publisher_compacted(fr_publisher *p, fr_str topic, bool *out, fr_err *err)
{
    (void)p;
    (void)topic;
    (void)err;
    *out = false;
    return FR_OK;
}

fr_rc fr_publisher_fresh(fr_publisher *p, fr_str topic, bool *out, fr_err *err)
{
    (void)p;
    (void)topic;
    (void)err;
    *out = true;
    return FR_OK;
}

fr_rc fr_publisher_begin(fr_publisher *p, fr_err *err)
{
    (void)err;
    p->open = true;
    return FR_OK;
}

fr_rc fr_publisher_produce(fr_publisher *p, const fr_batch *b, size_t from, size_t to,
                           size_t *failed_message, fr_err *err)
{
    (void)failed_message, (void)err;
    assert_true(p->open);
    for (size_t i = from; i < to; i++) {
        p->rows = grown(p->rows, p->row_count, sizeof(fake_row));
        p->rows[p->row_count++] = (fake_row){key_of(b->messages[i].key), 0};
    }
    return FR_OK;
}

fr_rc fr_publisher_record(fr_publisher *p, const fr_record *r, fr_err *err)
{
    (void)err;
    p->records = grown(p->records, p->record_count, sizeof(fr_record));
    fr_record *copy = &p->records[p->record_count++];
    copy->key = fr_arena_str(p->arena, r->key);
    copy->value = r->value.ptr == NULL ? r->value : fr_arena_str(p->arena, r->value);
    return FR_OK;
}

static void make_durable(fr_publisher *p)
{
    for (size_t i = 0; i < p->row_count; i++) {
        kafka.rows = grown(kafka.rows, kafka.row_count, sizeof(fake_row));
        kafka.rows[kafka.row_count++] = (fake_row){p->rows[i].id, kafka.transactions};
    }
    for (size_t i = 0; i < p->record_count; i++)
        keep_record(p->records[i].key, p->records[i].value);
    kafka.transactions++;
}

fr_rc fr_publisher_commit(fr_publisher *p, const fr_end **ends, size_t *end_count, fr_err *err)
{
    *ends = NULL;
    *end_count = 0;
    assert_true(p->open);
    fr_sleep_us(kafka.commit_takes_us);
    pthread_mutex_lock(&kafka.lock);
    bool fails = kafka.fail_commit > 0 && --kafka.fail_commit == 0;
    if (!fails)
        make_durable(p);
    pthread_mutex_unlock(&kafka.lock);
    kafka.end = (fr_end){FR_STR("erp.public.t"), 0, (int64_t)kafka.row_count};
    *ends = &kafka.end;
    *end_count = !fails && p->row_count > 0 ? 1 : 0;
    p->row_count = p->record_count = 0;
    p->open = false;
    return fails ? fr_fail(err, FR_ERR_CONNECT, "the broker is gone") : FR_OK;
}

/* Two steps, so that the caller has something to do in between. */
fr_rc fr_publisher_commit_step(fr_publisher *p, int ms, const fr_end **ends, size_t *end_count,
                               fr_err *err)
{
    (void)ms;
    kafka.steps++;
    return kafka.steps % 2 == 1 ? FR_IDLE : fr_publisher_commit(p, ends, end_count, err);
}

fr_rc fr_publisher_abort(fr_publisher *p, fr_err *err)
{
    (void)err;
    p->row_count = p->record_count = 0;
    p->open = false;
    return FR_OK;
}

void fr_publisher_ends(fr_publisher *p, fr_arena *a, fr_end **out, size_t *count)
{
    (void)p;
    *out = fr_arena_alloc(a, sizeof(fr_end));
    (*out)[0] = kafka.end;
    *count = kafka.end.offset > 0 ? 1 : 0;
}

void fr_publisher_stats(fr_publisher *p, fr_publish_stats *out)
{
    (void)p;
    *out = (fr_publish_stats){0};
}

#endif
