/* A table against what was published of it (docs/adr/0033): the topic is folded to its newest state
 * per key, then the table is read in one view that is newer than all of that, and both are walked
 * in one order. While this goes on nobody else reads the table, so that nothing newer of it is
 * published before what is found here. */
#include "poll/compare.h"
#include "capture/compare.h"
#include "capture/internal.h"
#include "codec/content.h"
#include "kafka/admin.h"
#include "kafka/consume.h"
#include "poll/poll.h"
#include "transform/derive.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* SORT_MEMORY: of each of the two sorters. QUEUE_MEMORY: what is read ahead of a partition. REREAD:
 * keys of one question. */
enum { SORT_MEMORY = 12 << 20, QUEUE_MEMORY = 4 << 20, REREAD = 100, OPEN_TXN_US = 90000000 };

typedef struct comparison {
    fr_capture *c;
    const compare_way *way;
    fr_poller *poller;
    fr_sql *sql;
    const fr_table_settings *settings;
    bool whole; /* method snapshot: rows are compared, and not only keys */
    fr_arena *arena;

    fr_router *router;
    fr_encoder *encoder;
    fr_contents *contents;
    fr_sql_relation *relation;
    const fr_route *route;
    fr_sorter *published, *rows;
    fr_batch *in;      /* what is read */
    fr_batch *out;     /* what is found; of the pool; NULL: none at hand */
    fr_buf value;      /* of the record that is being made */
    char header[5];    /* of the topic's keys */
    bool header_known; /* there is one */
    bool changed;      /* the relation is another one now */
    bool outside;      /* what is done now has nothing to do with the source */
    uint64_t keys, row_count, deletes, unseen, differ;

    /* Keys whose rows are read once more. */
    fr_row again[REREAD];
    size_t again_count;
    fr_arena *again_arena;
} comparison;

/* ---- begin and end ---- */

static fr_rc route_of(void *context, const fr_table *table, const fr_route **out, fr_err *err)
{
    comparison *x = context;
    return fr_router_route(x->router, table, out, err);
}

static int32_t published_of(void *context, fr_str topic)
{
    const comparison *x = context;
    return x->c->encoding.published(x->c->encoding.context, topic);
}

/* What is found to be missing is asked for by its key, which a hash does not tell. */
static fr_rc check_masks(const fr_route *r, fr_err *err)
{
    for (size_t k = 0; r->settings->method == FR_METHOD_QUERY && k < r->key_count; k++) {
        if (fr_derive_mask_of(r, r->key[k]) == NULL)
            continue;
        fr_fail(err, FR_ERR_CONFIG,
                "column %.*s of the key is masked: full-compare asks for rows by their keys (%s)",
                FR_ARG(fr_route_name(r, r->key[k])),
                r->settings->place != NULL ? r->settings->place : "configuration");
        fr_fail_code(err, "compare.mask");
        return fr_fail_hint(err, "use method: snapshot, or another way of poll.deletes");
    }
    return FR_OK;
}

fr_rc fr_compare_route(const fr_route *r, fr_err *err)
{
    FR_TRY(fr_key_is_plain(r, err));
    FR_TRY(check_masks(r, err));
    for (size_t i = 0; i < r->partition_count; i++) {
        bool in_key = false;
        for (size_t k = 0; k < r->key_count; k++)
            in_key = in_key || r->key[k] == r->partition_by[i];
        if (in_key)
            continue;
        fr_fail(err, FR_ERR_CONFIG,
                "column %.*s of partition_by is not part of the key: of a row that is gone nobody "
                "knows its partition (%s)",
                FR_ARG(r->table->columns[r->partition_by[i]].name),
                r->settings->place != NULL ? r->settings->place : "configuration");
        fr_fail_code(err, "compare.partition_by");
        return fr_fail_hint(err, "use columns of the key in partition_by, or none");
    }
    return FR_OK;
}

static bool made_compacted(const fr_kafka_settings *k)
{
    for (size_t i = 0; i < k->topic_config.count; i++)
        if (strcmp(k->topic_config.items[i].name, "cleanup.policy") == 0)
            return strcmp(k->topic_config.items[i].value, "compact") == 0;
    return false;
}

fr_rc fr_compare_topic(fr_admin *admin, const fr_kafka_settings *kafka, const fr_route *route,
                       bool published, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_rc rc = fr_admin_keeps_keys(admin, fr_arena_cstr(a, route->topic), err);
    fr_arena_free(a);
    if (rc != FR_END || (!published && made_compacted(kafka)))
        return rc;
    if (published)
        fr_fail(err, FR_ERR_POSITION, "topic %.*s does not exist, or may not be seen",
                FR_ARG(route->topic));
    else
        fr_fail(err, FR_ERR_CONFIG, "topic %.*s would not be made to keep its keys",
                FR_ARG(route->topic));
    fr_fail_hint(err, "kafka.topics.config: {cleanup.policy: compact}");
    return fr_fail_code(err, "compare.topic");
}

static fr_rc prepare(comparison *x, fr_err *err)
{
    fr_capture *c = x->c;
    const char *dir = c->s.cache_dir;
    FR_TRY(fr_poller_relation(x->poller, x->sql, x->changed, &x->relation, err));
    x->changed = false;
    x->router = fr_router_new(c->s.source);
    fr_encoder_settings s = c->encoding;
    s.route = route_of;
    s.published = published_of;
    s.kept = NULL;
    s.notices = (fr_str){"", 0}; /* what changed was said when the first of it was published */
    s.context = x;
    x->encoder = fr_encoder_new(&s, c->registry);
    x->contents = fr_contents_new(c->registry);
    FR_TRY(fr_router_route(x->router, x->relation->table, &x->route, err));
    FR_TRY(fr_compare_route(x->route, err));
    FR_TRY(fr_sorter_check(dir, err));
    x->published = fr_sorter_new(dir, SORT_MEMORY, true);
    x->rows = fr_sorter_new(dir, SORT_MEMORY, false);
    x->in = fr_batch_new(4096, 1 << 20);
    x->again_arena = fr_arena_new(0);
    return FR_OK;
}

static void forget(comparison *x)
{
    if (x->out != NULL)
        fr_pool_give(x->c->pool, x->out);
    fr_sorter_free(x->published);
    fr_sorter_free(x->rows);
    fr_batch_free(x->in);
    fr_encoder_free(x->encoder);
    fr_contents_free(x->contents);
    fr_router_free(x->router);
    fr_buf_free(&x->value);
    fr_arena_free(x->again_arena);
}

/* ---- what was published ---- */

static fr_rc bad_key(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, "compare.key");
    return fr_fail_hint(err, "the topic must hold this table's messages and no others, all under "
                             "one key schema: set another topic, and let it be read anew");
}

static fr_rc check_header(comparison *x, fr_str key, fr_err *err)
{
    if (key.len < sizeof(x->header))
        return bad_key(err, "a message whose key is none of ours");
    if (!x->header_known)
        memcpy(x->header, key.ptr, sizeof(x->header));
    x->header_known = true;
    return memcmp(x->header, key.ptr, sizeof(x->header)) == 0
               ? FR_OK
               : bad_key(err, "a key under another schema than other keys of the topic");
}

static fr_rc take_message(comparison *x, const fr_message *m, fr_err *err)
{
    uint8_t value[1 + FR_CONTENT_PRINT];
    bool gone = false;
    FR_TRY(check_header(x, m->key, err));
    FR_TRY(fr_content_of(x->contents, m->payload, &gone, x->whole ? value + 1 : NULL, err));
    value[0] = gone ? FR_PUBLISHED_GONE : FR_PUBLISHED_THERE;
    x->keys++;
    fr_str text = {(const char *)value, x->whole && !gone ? sizeof(value) : 1};
    return fr_sorter_add(x->published, m->key, text, err);
}

static fr_rc take_messages(comparison *x, fr_err *err)
{
    for (size_t i = 0; i < x->in->message_count; i++) {
        const fr_message *m = &x->in->messages[i];
        if (take_message(x, m, err) == FR_FAIL)
            return fr_fail_in(err, "topic %.*s, partition %d, offset %lld", FR_ARG(m->topic),
                              (int)m->partition, (long long)m->offset);
    }
    return FR_OK;
}

static fr_rc still_open(const comparison *x, fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "topic %.*s: a transaction is still open at its end",
            FR_ARG(x->route->topic));
    fr_fail_code(err, "compare.transaction");
    return fr_fail_hint(err, "kafka-transactions.sh find-hanging says whose it is");
}

/* To the end, and no further than what is committed: our own transactions are, and while one of
 * them has its markers still to come the end is not reached. */
static fr_rc read_messages(comparison *x, fr_consumer *consumer, fr_err *err)
{
    int64_t heard_us = fr_now_us();
    for (;;) {
        fr_batch_reset(x->in);
        fr_rc rc = fr_consume(consumer, x->in, fr_now_us() + 200000, err);
        FR_TRY(rc);
        FR_TRY(take_messages(x, err));
        if (x->way->over(x->way->context))
            return FR_IDLE;
        if (fr_consumer_at_end(consumer) && fr_consumer_lag(consumer) == 0)
            return FR_OK;
        if (rc == FR_OK)
            heard_us = fr_now_us();
        if (fr_now_us() - heard_us > OPEN_TXN_US)
            return still_open(x, err);
    }
}

/* FR_END: it is not there yet. */
static fr_rc check_topic(comparison *x, fr_err *err)
{
    fr_admin *admin = NULL;
    FR_TRY(fr_admin_open(x->c->s.kafka, &admin, err));
    fr_rc rc = fr_compare_topic(admin, x->c->s.kafka, x->route, fr_poller_rows(x->poller) > 0, err);
    fr_admin_close(admin);
    return rc;
}

static fr_rc read_topic(comparison *x, fr_err *err)
{
    const char *topic = fr_arena_cstr(x->arena, x->route->topic);
    fr_rc rc = check_topic(x, err);
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : rc;
    fr_kafka_settings k = *x->c->s.kafka;
    if (k.memory > QUEUE_MEMORY)
        k.memory = QUEUE_MEMORY;
    fr_consumer_settings s = {.kafka = &k, .topics = &topic, .topic_count = 1};
    fr_consumer *consumer = NULL;
    FR_TRY(fr_consumer_open(&s, &consumer, err));
    rc = read_messages(x, consumer, err);
    fr_consumer_close(consumer);
    fr_batch_reset(x->in);
    return rc == FR_OK ? fr_sorter_rewind(x->published, err) : rc; /* frees its memory */
}

/* ---- what the table holds ---- */

/* A row of which only its key was read becomes the delete of that key: it is the key's bytes that
 * are wanted, and a delete needs nothing else. */
static void keep_key(const comparison *x, fr_event *e)
{
    fr_value *values = (fr_value *)e->after.values;
    e->op = FR_OP_DELETE;
    for (size_t i = 0; i < e->after.count; i++) {
        bool key = false;
        for (size_t k = 0; k < x->route->key_count; k++)
            key = key || x->route->key[k] == i;
        if (!key)
            values[i] = (fr_value){.kind = FR_ABSENT};
    }
    e->before = e->after;
    e->after = (fr_row){0};
}

/* Rows as they are published, before any of them is sorted in a file. FR_END: the filter leaves it
 * out, and if it was published it will be found missing. */
static fr_rc derive_row(comparison *x, fr_event *e, fr_err *err)
{
    fr_event derived;
    fr_rc rc = x->route->apply(x->route->derive, x->in->arena, e, &derived, err);
    if (rc == FR_OK)
        *e = derived;
    return rc;
}

static fr_rc check_filter(const comparison *x, const fr_event *e, fr_err *err)
{
    bool passes;
    FR_TRY(fr_derive_passes(x->route, e, &e->after, &passes, err));
    return passes ? FR_OK : FR_END;
}

static fr_rc add_row(comparison *x, const fr_message *m, fr_err *err)
{
    const fr_event *e = &x->in->events[m->event];
    uint8_t print[FR_CONTENT_PRINT];
    bool gone;
    FR_TRY(check_header(x, m->key, err));
    if (x->whole) {
        FR_TRY(fr_content_of(x->contents, m->payload, &gone, print, err));
        x->value.len = 0;
        fr_buf_put(&x->value, print, sizeof(print));
        fr_row_pack(&x->value, e);
        return fr_sorter_add(x->rows, m->key, fr_buf_view(&x->value), err);
    }
    /* row: 1, no poll will find it any more */
    return fr_sorter_add(x->rows, m->key, e->row == 1 ? FR_STR("\1") : FR_STR(""), err);
}

static fr_rc add_rows(comparison *x, fr_err *err)
{
    fr_batch *b = x->in;
    size_t done;
    for (size_t i = 0; i < b->count && (!x->whole || x->route->derive != NULL); i++) {
        fr_event *e = &b->events[i];
        if (e->op != FR_OP_READ || e->bad.len > 0)
            continue;
        fr_rc rc = x->whole ? derive_row(x, e, err) : check_filter(x, e, err);
        FR_TRY(rc);
        if (rc == FR_END) {
            e->op = FR_OP_HEARTBEAT; /* no row */
            continue;
        }
        if (x->whole)
            continue;
        e->row = fr_poller_passed(x->poller, &e->after) ? 1 : 0;
        keep_key(x, e);
    }
    FR_TRY(fr_encode(x->encoder, b, 0, b->count, &done, err));
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < b->message_count; i++) {
        const fr_message *m = &b->messages[i];
        if (m->event == last) /* the tombstone */
            continue;
        last = m->event;
        x->row_count++;
        FR_TRY(add_row(x, m, err));
    }
    return FR_OK;
}

/* All that a SELECT gives, a batch at a time. */
static fr_rc read_all(comparison *x, fr_str sql, const bool *wanted,
                      fr_rc (*take)(comparison *x, fr_err *err), fr_err *err)
{
    fr_reader *reader = NULL;
    x->relation->wanted = wanted;
    if (x->sql->ops->select(x->sql, x->relation, sql, &reader, err) == FR_FAIL) {
        x->relation->wanted = NULL;
        x->changed = strcmp(err->code, "sql.changed") == 0;
        return FR_FAIL;
    }
    fr_rc rc = FR_OK;
    while (rc != FR_END && rc != FR_FAIL) {
        fr_batch_reset(x->in);
        rc = reader->ops->fill(reader, x->in, fr_now_us() + 1000000, err);
        if (rc == FR_OK && take(x, err) == FR_FAIL)
            rc = FR_FAIL;
        if (rc != FR_FAIL && x->way->over(x->way->context))
            break;
    }
    reader->ops->close(reader);
    x->relation->wanted = NULL;
    fr_batch_reset(x->in);
    return rc == FR_END ? FR_OK : rc == FR_FAIL ? rc : FR_IDLE;
}

static fr_rc read_table(comparison *x, fr_err *err)
{
    const fr_table *t = x->relation->table;
    bool *keys = fr_arena_alloc(x->arena, t->column_count + 1);
    const bool *wanted = x->whole ? NULL : keys;
    for (size_t i = 0; i < t->column_count; i++)
        keys[i] = fr_poller_wants(x->poller, i) || fr_derive_filter_reads(x->route, i);
    for (size_t k = 0; k < x->route->key_count; k++)
        keys[x->route->key[k]] = true;
    fr_str sql = fr_compare_all_sql(x->arena, x->sql->ops, x->relation, x->settings, wanted);
    return read_all(x, sql, wanted, add_rows, err);
}

/* ---- what is found ---- */

static fr_rc send(comparison *x, bool done)
{
    fr_poller_compared(x->poller, x->out, done);
    fr_batch *b = x->out;
    x->out = NULL;
    return x->way->put(x->way->context, b) ? FR_OK : FR_IDLE;
}

static bool have_batch(comparison *x)
{
    if (x->out == NULL)
        x->out = x->way->take(x->way->context);
    return x->out != NULL;
}

/* Room for one event. FR_IDLE: it is over. */
static fr_rc new_event(comparison *x, fr_op op, fr_event **out)
{
    if (x->out != NULL && fr_batch_full(x->out)) {
        fr_rc rc = send(x, false);
        if (rc != FR_OK)
            return rc;
    }
    if (!have_batch(x))
        return FR_IDLE;
    *out = fr_batch_add(x->out, op, x->relation->table);
    return FR_OK;
}

static fr_rc put_delete(comparison *x, fr_str key, fr_err *err)
{
    fr_event *e;
    fr_rc rc = new_event(x, FR_OP_DELETE, &e);
    if (rc != FR_OK)
        return rc;
    fr_value *values = fr_batch_row(x->out, x->route->table, &e->before);
    e->derived = true;
    FR_TRY(fr_key_values(x->route, fr_arena_str(x->out->arena, key), values, err));
    fr_poller_place(x->poller, e);
    x->deletes++;
    return FR_OK;
}

/* derived: it is a row of the route's table, and else one of the source's. */
static fr_rc put_row(comparison *x, fr_str packed, bool derived, fr_err *err)
{
    fr_event *e;
    fr_rc rc = new_event(x, FR_OP_READ, &e);
    if (rc != FR_OK)
        return rc;
    fr_str kept = fr_arena_str(x->out->arena, packed);
    const fr_table *t = derived ? x->route->table : x->relation->table;
    e->derived = derived;
    if (!fr_row_unpack(kept, t, x->out, e))
        return fr_fail(err, FR_ERR_BUG, "a row is not what was sorted");
    fr_poller_place(x->poller, e);
    return FR_OK;
}

static fr_rc not_unique(fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "two rows have the same key");
    fr_fail_code(err, "poll.not_unique");
    return fr_fail_hint(err, "name the columns that tell them apart: key");
}

static bool differs(const fr_match *m)
{
    return m->published.len != 1 + FR_CONTENT_PRINT ||
           memcmp(m->published.ptr + 1, m->row.ptr, FR_CONTENT_PRINT) != 0;
}

/* Deletes come before all else: a new row may have what was unique in an old one. */
static fr_rc find_deletes(comparison *x, const fr_match *m, fr_err *err)
{
    if (m->again && x->whole)
        return not_unique(err);
    if (m->kind == FR_MATCH_MISSING)
        return put_delete(x, m->key, err);
    if (m->again)
        return FR_OK;
    if (m->kind == FR_MATCH_UNSEEN && (x->whole || m->row.len > 0))
        x->unseen++;
    if (m->kind == FR_MATCH_BOTH && x->whole && differs(m))
        x->differ++;
    return FR_OK;
}

/* Rows that came when they were asked for by their keys. One that was changed meanwhile, so that a
 * poll will find it, is left to that. */
static fr_rc put_found(comparison *x, fr_err *err)
{
    for (size_t i = 0; i < x->in->count; i++) {
        const fr_event *e = &x->in->events[i];
        if (e->op != FR_OP_READ)
            continue;
        if (e->bad.len > 0) {
            fr_fail(err, FR_ERR_DATA, "%.*s", FR_ARG(e->bad));
            return fr_fail_code(err, "row.bad");
        }
        if (!fr_poller_passed(x->poller, &e->after))
            continue;
        x->value.len = 0;
        fr_row_pack(&x->value, e);
        FR_TRY(put_row(x, fr_buf_view(&x->value), false, err));
    }
    return FR_OK;
}

static fr_rc read_again(comparison *x, fr_err *err)
{
    fr_str sql;
    if (x->again_count == 0)
        return FR_OK;
    if (!fr_compare_rows_sql(x->again_arena, x->sql->ops, x->relation, x->settings, x->route->key,
                             x->route->key_count, x->again, x->again_count, &sql)) {
        fr_fail(err, FR_ERR_DATA, "a key cannot be written as SQL");
        return fr_fail_code(err, "compare.key");
    }
    fr_rc rc = read_all(x, sql, NULL, put_found, err);
    x->again_count = 0;
    fr_arena_reset(x->again_arena);
    return rc;
}

static fr_rc ask_again(comparison *x, fr_str key, fr_err *err)
{
    size_t columns = x->route->table->column_count;
    fr_value *values = fr_arena_alloc(x->again_arena, (columns + 1) * sizeof(*values));
    FR_TRY(fr_key_values(x->route, fr_arena_str(x->again_arena, key), values, err));
    x->again[x->again_count++] = (fr_row){values, columns};
    return x->again_count == REREAD ? read_again(x, err) : FR_OK;
}

static fr_rc find_rows(comparison *x, const fr_match *m, fr_err *err)
{
    if (m->kind == FR_MATCH_MISSING || m->again)
        return FR_OK;
    if (!x->whole)
        return m->kind == FR_MATCH_UNSEEN && m->row.len > 0 ? ask_again(x, m->key, err) : FR_OK;
    if (m->kind == FR_MATCH_BOTH && !differs(m))
        return FR_OK;
    fr_str packed = {m->row.ptr + FR_CONTENT_PRINT, m->row.len - FR_CONTENT_PRINT};
    return put_row(x, packed, true, err);
}

static fr_rc walk(comparison *x, fr_rc (*find)(comparison *x, const fr_match *m, fr_err *err),
                  fr_err *err)
{
    fr_matcher w;
    fr_match m;
    fr_rc rc = fr_matcher_begin(&w, x->published, x->rows, err);
    for (unsigned n = 0; rc == FR_OK; n++) {
        rc = fr_matcher_next(&w, &m, err);
        if (rc == FR_OK)
            rc = find(x, &m, err);
        if (rc == FR_OK && n % 1024 == 0 && x->way->over(x->way->context))
            rc = FR_IDLE;
    }
    fr_matcher_end(&w);
    return rc == FR_END ? FR_OK : rc;
}

static fr_rc publish_found(comparison *x, fr_err *err)
{
    fr_poller_begin_page(x->poller);
    fr_rc rc = walk(x, find_deletes, err);
    if (rc == FR_OK && x->unseen + x->differ > 0)
        rc = walk(x, find_rows, err);
    if (rc == FR_OK)
        rc = read_again(x, err);
    if (rc != FR_OK || !have_batch(x))
        return rc == FR_OK ? FR_IDLE : rc;
    if (FR_FAILPOINT("compare_found"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint compare_found");
    return send(x, true);
}

/* ---- all of it ---- */

static fr_rc compare_once(comparison *x, fr_err *err)
{
    fr_rc rc = prepare(x, err);
    if (rc != FR_OK)
        return rc;
    rc = x->way->settle(x->way->context) ? FR_OK : FR_IDLE;
    x->outside = true;
    if (rc == FR_OK)
        rc = read_topic(x, err);
    x->outside = rc == FR_FAIL;
    if (rc == FR_OK)
        rc = read_table(x, err);
    if (rc == FR_OK)
        rc = publish_found(x, err);
    return rc;
}

static void say_found(const comparison *x, int64_t began_us)
{
    fr_str topic = x->route->topic;
    bool news = x->deletes + x->unseen + x->differ > 0 || !x->whole;
    fr_log(news ? FR_LOG_INFO : FR_LOG_DEBUG, x->c->who,
           "compared %.*s with its %" PRIu64 " rows, in %" PRId64 " ms (%" PRIu64
           " MiB of files): %" PRIu64 " messages, %" PRIu64 " deletes, %" PRIu64
           " rows that were not there, %" PRIu64 " that differed",
           FR_ARG(topic), x->row_count, (fr_now_us() - began_us) / 1000,
           (fr_sorter_written(x->published) + fr_sorter_written(x->rows)) >> 20, x->keys,
           x->deletes, x->unseen, x->differ);
}

fr_rc compare_table(fr_capture *c, const compare_way *way, fr_poller *poller, fr_sql *sql,
                    const fr_table_settings *settings, fr_err *err)
{
    int64_t began_us = fr_now_us();
    bool again = false;
    for (;;) {
        comparison x = {.c = c,
                        .way = way,
                        .poller = poller,
                        .sql = sql,
                        .settings = settings,
                        .whole = settings->method == FR_METHOD_SNAPSHOT,
                        .changed = again,
                        .arena = fr_arena_new(0)};
        fr_rc rc = compare_once(&x, err);
        bool changed = rc == FR_FAIL && x.changed;
        bool outside = rc == FR_FAIL && (x.outside || strcmp(err->code, "compare.disk") == 0);
        if (rc == FR_OK)
            say_found(&x, began_us);
        forget(&x);
        fr_arena_free(x.arena);
        if (changed && !again) {
            fr_log(FR_LOG_INFO, c->who, "%s: its columns have changed", settings->pattern);
            again = true;
            continue;
        }
        if (rc == FR_FAIL && way->over(way->context))
            return FR_IDLE;
        return outside ? FR_END : rc;
    }
}
