/* The records of the checkpoint topic, written; docs/checkpoints.md says what they mean. */
#include "base/bytes.h"
#include "base/json.h"
#include "progress/checkpoint.h"
#include <stdlib.h>
#include <string.h>

static fr_record record(const fr_buf *b, fr_str key)
{
    return (fr_record){key, fr_buf_view(b)};
}

static fr_str joined(fr_arena *a, const char *prefix, fr_str first, const char *between,
                     fr_str second)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, prefix);
    fr_buf_str(&b, first);
    fr_buf_text(&b, between);
    fr_buf_str(&b, second);
    return fr_buf_view(&b);
}

static bool is_object(fr_str text)
{
    fr_err ignored;
    json_t *j = NULL;
    if (text.len < 2 || text.ptr[0] != '{' || fr_json_parse(text, &j, &ignored) == FR_FAIL) {
        return false;
    }
    bool object = json_is_object(j);
    json_decref(j);
    return object;
}

/* As the object it is; anything else as a text, so that a record can always be read. */
static void put_position(fr_buf *b, const char *name, fr_str resume)
{
    fr_buf_printf(b, ",\"%s\":", name);
    if (is_object(resume)) {
        fr_buf_str(b, resume);
    } else {
        fr_buf_json(b, resume);
    }
}

static void put_ends(fr_buf *b, const fr_end *ends, size_t count)
{
    fr_buf_text(b, ",\"ends\":[");
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(b, i > 0 ? ",[" : "[");
        fr_buf_json(b, ends[i].topic);
        fr_buf_printf(b, ",%d,%lld]", (int)ends[i].partition, (long long)ends[i].offset);
    }
    fr_buf_text(b, "]");
}

fr_record fr_checkpoint_claim(fr_arena *a, fr_str instance, int64_t wall_us)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"v\":1,\"instance\":");
    fr_buf_json(&b, instance);
    fr_buf_printf(&b, ",\"at\":%lld}", (long long)wall_us);
    return record(&b, FR_STR("claim"));
}

fr_record fr_checkpoint_stream(fr_arena *a, bool creating, fr_str resume, const fr_split *split,
                               const fr_end *ends, size_t end_count, int64_t wall_us)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"v\":1");
    if (creating) {
        fr_buf_text(&b, ",\"state\":\"creating\"");
    }
    if (resume.len > 0) {
        put_position(&b, "resume", resume);
    }
    if (split != NULL && split->id.len > 0) {
        fr_buf_text(&b, ",\"split\":{\"id\":");
        fr_buf_json(&b, split->id);
        fr_buf_printf(&b, ",\"events\":\"%llu\",\"crc\":%lu}", (unsigned long long)split->events,
                      (unsigned long)split->crc);
    }
    put_ends(&b, ends, end_count);
    fr_buf_printf(&b, ",\"at\":%lld}", (long long)wall_us);
    return record(&b, FR_STR("stream"));
}

static void put_chunk(fr_buf *b, const fr_chunk_left *c)
{
    fr_buf_printf(b, "{\"index\":%lu", (unsigned long)c->index);
    if (c->from.len > 0) {
        fr_buf_text(b, ",\"from\":");
        fr_buf_json(b, c->from);
    }
    if (c->to.len > 0) {
        fr_buf_text(b, ",\"to\":");
        fr_buf_json(b, c->to);
    }
    fr_buf_text(b, c->after ? ",\"after\":true" : "");
    fr_buf_text(b, c->whole ? ",\"whole\":true}" : "}");
}

static void put_snapshot(fr_buf *b, const fr_snapshot_progress *p)
{
    fr_buf_text(b, "{\"v\":1,\"space\":");
    fr_buf_json(b, p->space);
    fr_buf_text(b, ",\"table\":");
    fr_buf_json(b, p->name);
    put_position(b, "resume", p->view_resume);
    fr_buf_printf(b, ",\"view_lsn\":\"%llu\",\"chunks\":%lu,\"rows\":\"%llu\",\"left\":[",
                  (unsigned long long)p->view_lsn, (unsigned long)p->chunks,
                  (unsigned long long)p->rows);
    for (size_t i = 0; i < p->left_count; i++) {
        fr_buf_text(b, i > 0 ? "," : "");
        put_chunk(b, &p->left[i]);
    }
    fr_buf_text(b, "]");
    if (p->where.len > 0) {
        fr_buf_text(b, ",\"where\":");
        fr_buf_json(b, p->where);
    }
    fr_buf_text(b, p->cancelled ? ",\"cancelled\":true}" : "}");
}

fr_record fr_checkpoint_snapshot(fr_arena *a, const fr_snapshot_progress *p)
{
    fr_buf b = {.arena = a};
    put_snapshot(&b, p);
    return record(&b, joined(a, "snapshot/", p->space, ".", p->name));
}

static const fr_snapshot_progress *snapshot_of(const fr_checkpoint *c, fr_arena *a, fr_str space,
                                               fr_str name)
{
    return fr_map_get(c->snapshots, joined(a, "", space, ".", name));
}

static fr_rc check_where(fr_str where, fr_err *err)
{
    bool text = fr_utf8_valid(where) && memchr(where.ptr, 0, where.len) == NULL;
    if (text && where.len <= FR_WHERE_MAX) {
        return FR_OK;
    }
    if (text)
        fr_fail(err, FR_ERR_CONFIG, "the condition is longer than %d bytes", FR_WHERE_MAX);
    else
        fr_fail(err, FR_ERR_CONFIG, "the condition is no text");
    fr_fail_code(err, "snapshot.where");
    return fr_fail_hint(err, "give one SQL condition, as it would stand after WHERE, in UTF-8");
}

fr_rc fr_checkpoint_ask(fr_arena *a, const fr_checkpoint *now, fr_str space, fr_str name,
                        fr_str where, fr_record *out, fr_err *err)
{
    const fr_snapshot_progress *p = snapshot_of(now, a, space, name);
    if (where.len == 0) {
        *out = (fr_record){joined(a, "snapshot/", space, ".", name), {NULL, 0}};
        return FR_OK;
    }
    FR_TRY(check_where(where, err));
    if (p == NULL || p->left_count > 0) {
        fr_fail(err, FR_ERR_BUSY, "%.*s.%.*s: another snapshot of it is not through", FR_ARG(space),
                FR_ARG(name));
        fr_fail_code(err, "snapshot.under_way");
        return fr_fail_hint(err, "wait until freshet snapshot status says done, or end it: freshet "
                                 "snapshot cancel");
    }
    /* One chunk that cannot be gone on with: what there is to read is found out at the view. */
    fr_chunk_left all = {.whole = true};
    fr_snapshot_progress next = {
        .space = space, .name = name, .where = where, .chunks = 1, .left = &all, .left_count = 1};
    *out = fr_checkpoint_snapshot(a, &next);
    return FR_OK;
}

fr_rc fr_checkpoint_cancel(fr_arena *a, const fr_checkpoint *now, fr_str space, fr_str name,
                           fr_record *out, fr_err *err)
{
    const fr_snapshot_progress *p = snapshot_of(now, a, space, name);
    bool begun = now->has_stream && !now->creating;
    if (!begun || (p != NULL && p->left_count == 0)) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s.%.*s: no snapshot of it is under way", FR_ARG(space),
                FR_ARG(name));
        fr_fail_code(err, "snapshot.not_under_way");
        return fr_fail_hint(err, "freshet snapshot status lists those that are");
    }
    fr_snapshot_progress next = {.space = space, .name = name};
    if (p != NULL) {
        next = *p;
        next.left = NULL;
        next.left_count = 0;
    }
    next.cancelled = true;
    *out = fr_checkpoint_snapshot(a, &next);
    return FR_OK;
}

static void put_fact(fr_buf *b, const fr_topic_fact *t)
{
    fr_buf_text(b, "{\"v\":1");
    if (t->topic_id.len > 0) {
        fr_buf_text(b, ",\"id\":");
        fr_buf_json(b, t->topic_id);
    }
    fr_buf_printf(b, ",\"partitions\":%d,\"partitioner\":", (int)t->partitions);
    fr_buf_json(b, t->partitioner);
    if (t->schema > 0)
        fr_buf_printf(b, ",\"schema\":%d", (int)t->schema);
    fr_buf_text(b, "}");
}

fr_record fr_checkpoint_topic_fact(fr_arena *a, const fr_topic_fact *t)
{
    fr_buf b = {.arena = a};
    put_fact(&b, t);
    return record(&b, joined(a, "topic/", t->topic, "", (fr_str){"", 0}));
}

fr_record fr_checkpoint_ends(fr_arena *a, const fr_end *ends, size_t count)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"v\":1");
    put_ends(&b, ends, count);
    fr_buf_text(&b, "}");
    return record(&b, FR_STR("ends"));
}

fr_record fr_checkpoint_table(fr_arena *a, fr_str table, fr_str progress)
{
    return (fr_record){joined(a, "table/", table, "", (fr_str){"", 0}), progress};
}

static void put_held(fr_buf *b, const fr_held_fact *h)
{
    fr_buf_text(b, "{\"v\":1,\"space\":");
    fr_buf_json(b, h->space);
    fr_buf_text(b, ",\"table\":");
    fr_buf_json(b, h->name);
    if (h->from.len > 0) {
        put_position(b, "from", h->from);
    }
    if (h->txn.len > 0) {
        fr_buf_text(b, ",\"txn\":");
        fr_buf_json(b, h->txn);
        fr_buf_printf(b, ",\"seen\":\"%llu\"", (unsigned long long)h->seen);
    }
    fr_buf_text(b, h->joined ? ",\"joined\":true" : "");
    fr_buf_text(b, h->asked ? ",\"asked\":true" : "");
    fr_buf_text(b, ",\"code\":");
    fr_buf_json(b, h->code);
    fr_buf_text(b, ",\"why\":");
    fr_buf_json(b, h->why);
    fr_buf_printf(b, ",\"since\":%lld}", (long long)h->since_us);
}

fr_record fr_checkpoint_held(fr_arena *a, const fr_held_fact *h)
{
    fr_buf b = {.arena = a};
    put_held(&b, h);
    return record(&b, joined(a, "held/", h->space, ".", h->name));
}

fr_record fr_checkpoint_released(fr_arena *a, fr_str space, fr_str name)
{
    return (fr_record){joined(a, "held/", space, ".", name), {NULL, 0}};
}

static void put_generation(fr_buf *b, const fr_generation_fact *g)
{
    fr_buf_text(b, "{\"v\":1,\"space\":");
    fr_buf_json(b, g->space);
    fr_buf_text(b, ",\"table\":");
    fr_buf_json(b, g->name);
    fr_buf_printf(b, ",\"generation\":%lu,\"kind\":", (unsigned long)g->generation);
    fr_buf_json(b, g->kind);
    if (g->from.len > 0) {
        put_position(b, "from", g->from);
    }
    if (g->txn.len > 0) {
        fr_buf_text(b, ",\"txn\":");
        fr_buf_json(b, g->txn);
        fr_buf_printf(b, ",\"seen\":\"%llu\"", (unsigned long long)g->seen);
    }
    fr_buf_printf(b, ",\"since\":%lld}", (long long)g->since_us);
}

fr_record fr_checkpoint_generation(fr_arena *a, const fr_generation_fact *g)
{
    fr_buf b = {.arena = a};
    put_generation(&b, g);
    return record(&b, joined(a, "generation/", g->topic, "", (fr_str){"", 0}));
}

fr_record fr_checkpoint_parked(fr_arena *a, fr_str topic, fr_str hash, bool released)
{
    fr_record r = {joined(a, "parked/", topic, "/", hash), FR_STR("{\"v\":1}")};
    if (released) {
        r.value = (fr_str){NULL, 0};
    }
    return r;
}

/* One member of the whole: name and then the values of a map, each put as its record is. */
static void put_map(fr_buf *b, const char *name, const fr_map *m,
                    void (*put)(fr_buf *b, const void *value))
{
    fr_str key;
    void *value;
    size_t i = 0, n = 0;
    fr_buf_printf(b, ",\"%s\":{", name);
    while (fr_map_next(m, &i, &key, &value)) {
        fr_buf_text(b, n++ > 0 ? "," : "");
        fr_buf_json(b, key);
        fr_buf_text(b, ":");
        put(b, value);
    }
    fr_buf_text(b, "}");
}

static void put_snapshot_value(fr_buf *b, const void *value)
{
    put_snapshot(b, value);
}

static void put_fact_value(fr_buf *b, const void *value)
{
    put_fact(b, value);
}

static void put_table_value(fr_buf *b, const void *value)
{
    fr_buf_str(b, *(const fr_str *)value);
}

static void put_held_value(fr_buf *b, const void *value)
{
    put_held(b, value);
}

static void put_generation_value(fr_buf *b, const void *value)
{
    put_generation(b, value);
}

static void put_end_value(fr_buf *b, const void *value)
{
    fr_buf_printf(b, "%lld", (long long)((const fr_end *)value)->offset);
}

static void put_parked_value(fr_buf *b, const void *value)
{
    (void)value;
    fr_buf_text(b, "{\"v\":1}");
}

fr_str fr_checkpoint_json(fr_arena *a, const fr_checkpoint *c)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"v\":1,\"stream\":");
    if (c->has_stream) {
        fr_str s =
            fr_checkpoint_stream(a, c->creating, c->resume, &c->split, NULL, 0, c->written_us)
                .value;
        fr_buf_str(&b, s);
    } else {
        fr_buf_text(&b, "null");
    }
    fr_buf_text(&b, ",\"claim\":");
    if (c->claim_instance.len > 0) {
        fr_buf_str(&b, fr_checkpoint_claim(a, c->claim_instance, c->claim_us).value);
    } else {
        fr_buf_text(&b, "null");
    }
    put_map(&b, "snapshots", c->snapshots, put_snapshot_value);
    put_map(&b, "topics", c->topics, put_fact_value);
    put_map(&b, "tables", c->tables, put_table_value);
    put_map(&b, "held", c->held, put_held_value);
    if (fr_map_count(c->generations) > 0)
        put_map(&b, "generations", c->generations, put_generation_value);
    put_map(&b, "ends", c->ends, put_end_value);
    put_map(&b, "parked", c->parked, put_parked_value);
    fr_buf_text(&b, "}");
    return fr_buf_view(&b);
}
