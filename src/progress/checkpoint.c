/* The records of the checkpoint topic, folded. Writers are in checkpoint_write.c. */
#include "progress/checkpoint.h"
#include "base/json.h"
#include <stdlib.h>
#include <string.h>

/* The public part first. Whatever may be replaced by a newer record has an arena of its
 * own, so that reading a topic that was never compacted takes no more memory than what is
 * true at its end. */
typedef struct folded {
    fr_checkpoint pub;
    fr_arena *stream, *claim;
    fr_map *snapshot_arenas;   /* "space.table" -> fr_arena* */
    fr_map *held_arenas;       /* the same */
    fr_map *generation_arenas; /* topic -> fr_arena* */
} folded;

static const char SNAPSHOT[] = "snapshot/", TOPIC[] = "topic/", PARKED[] = "parked/",
                  TABLE[] = "table/", HELD[] = "held/", GENERATION[] = "generation/";

fr_checkpoint *fr_checkpoint_new(void)
{
    folded *f = fr_malloc(sizeof(*f));
    f->pub.arena = fr_arena_new(0);
    f->pub.snapshots = fr_map_new();
    f->pub.topics = fr_map_new();
    f->pub.ends = fr_map_new();
    f->pub.parked = fr_map_new();
    f->pub.tables = fr_map_new();
    f->stream = fr_arena_new(1024);
    f->claim = fr_arena_new(256);
    f->snapshot_arenas = fr_map_new();
    f->pub.held = fr_map_new();
    f->held_arenas = fr_map_new();
    f->pub.generations = fr_map_new();
    f->generation_arenas = fr_map_new();
    return &f->pub;
}

static void free_arena(void *arena)
{
    fr_arena_free(arena);
}

void fr_checkpoint_free(fr_checkpoint *c)
{
    if (c == NULL) {
        return;
    }
    folded *f = (folded *)c;
    fr_map_free(c->snapshots, NULL);
    fr_map_free(c->topics, NULL);
    fr_map_free(c->ends, NULL);
    fr_map_free(c->parked, NULL);
    fr_map_free(c->tables, free);
    fr_map_free(f->snapshot_arenas, free_arena);
    fr_map_free(c->held, NULL);
    fr_map_free(f->held_arenas, free_arena);
    fr_map_free(c->generations, NULL);
    fr_map_free(f->generation_arenas, free_arena);
    fr_arena_free(f->stream);
    fr_arena_free(f->claim);
    fr_arena_free(c->arena);
    free(f);
}

static fr_rc unreadable(fr_err *err, const char *what)
{
    return fr_fail(err, FR_ERR_POSITION, "%s", what);
}

static fr_str text_of(fr_arena *a, const json_t *j)
{
    return json_is_string(j) ? fr_arena_copy(a, json_string_value(j), json_string_length(j))
                             : (fr_str){"", 0};
}

static fr_str member_text(fr_arena *a, const json_t *obj, const char *name)
{
    return text_of(a, json_object_get(obj, name));
}

/* Numbers that may exceed 63 bits are written as texts. */
static bool take_u64(const json_t *obj, const char *name, uint64_t *out)
{
    const char *text = fr_json_str(obj, name, NULL);
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool take_int(const json_t *obj, const char *name, int64_t max, int64_t *out)
{
    const json_t *j = json_object_get(obj, name);
    *out = json_is_integer(j) ? json_integer_value(j) : -1;
    return *out >= 0 && *out <= max;
}

static fr_rc fold_claim(folded *f, const json_t *j, fr_err *err)
{
    fr_arena_reset(f->claim);
    f->pub.claim_instance = member_text(f->claim, j, "instance");
    if (f->pub.claim_instance.len == 0 || !take_int(j, "at", INT64_MAX, &f->pub.claim_us)) {
        return unreadable(err, "a claim without instance or time");
    }
    return FR_OK;
}

static void set_end(fr_checkpoint *c, fr_str topic, int32_t partition, int64_t offset)
{
    char tail[16];
    int n = snprintf(tail, sizeof(tail), "/%d", (int)partition);
    char *key = fr_malloc(topic.len + (size_t)n + 1);
    memcpy(key, topic.ptr, topic.len);
    memcpy(key + topic.len, tail, (size_t)n);
    fr_str k = {key, topic.len + (size_t)n};
    fr_end *end = fr_map_get(c->ends, k);
    if (end == NULL) {
        end = fr_arena_alloc(c->arena, sizeof(*end));
        end->topic = fr_arena_str(c->arena, topic);
        end->partition = partition;
        fr_map_set(c->ends, k, end);
    }
    if (offset > end->offset) {
        end->offset = offset;
    }
    free(key);
}

static fr_rc fold_ends(fr_checkpoint *c, const json_t *list, fr_err *err)
{
    size_t i;
    const json_t *e;
    json_array_foreach(list, i, e)
    {
        const json_t *topic = json_array_get(e, 0);
        const json_t *partition = json_array_get(e, 1);
        const json_t *offset = json_array_get(e, 2);
        json_int_t p = json_is_integer(partition) ? json_integer_value(partition) : -1;
        json_int_t o = json_is_integer(offset) ? json_integer_value(offset) : -1;
        if (!json_is_string(topic) || p < 0 || p > INT32_MAX || o < 0) {
            return unreadable(err, "an end that is not [topic, partition, offset]");
        }
        fr_str name = {json_string_value(topic), json_string_length(topic)};
        set_end(c, name, (int32_t)p, o);
    }
    return FR_OK;
}

static fr_rc fold_split(folded *f, const json_t *j, fr_err *err)
{
    fr_split *s = &f->pub.split;
    int64_t crc = 0;
    *s = (fr_split){0};
    if (j == NULL) {
        return FR_OK;
    }
    s->id = member_text(f->stream, j, "id");
    if (s->id.len == 0 || !take_u64(j, "events", &s->events) ||
        !take_int(j, "crc", UINT32_MAX, &crc)) {
        return unreadable(err, "a split transaction without id, events or crc");
    }
    s->crc = (uint32_t)crc;
    return FR_OK;
}

static void clear_stream(folded *f)
{
    fr_checkpoint *c = &f->pub;
    fr_arena_reset(f->stream);
    c->has_stream = c->creating = false;
    c->resume = (fr_str){"", 0};
    c->split = (fr_split){0};
    c->written_us = 0;
}

static fr_rc fold_stream(folded *f, const json_t *j, fr_err *err)
{
    fr_checkpoint *c = &f->pub;
    const json_t *resume = json_object_get(j, "resume");
    clear_stream(f);
    c->has_stream = true;
    c->creating = fr_str_is(fr_cstr(fr_json_str(j, "state", "")), "creating");
    if (json_is_object(resume)) {
        c->resume = fr_json_text(f->stream, resume);
    } else if (json_is_string(resume)) {
        c->resume = text_of(f->stream, resume);
    }
    if (c->resume.len == 0 && !c->creating) {
        return unreadable(err, "a stream position without resume");
    }
    if (!take_int(j, "at", INT64_MAX, &c->written_us)) {
        return unreadable(err, "a stream position without time");
    }
    FR_TRY(fold_split(f, json_object_get(j, "split"), err));
    return fold_ends(c, json_object_get(j, "ends"), err);
}

static fr_rc fold_chunk(fr_arena *a, const json_t *j, fr_chunk_left *out, fr_err *err)
{
    int64_t index = 0;
    if (!take_int(j, "index", UINT32_MAX, &index)) {
        return unreadable(err, "a chunk without index");
    }
    out->index = (uint32_t)index;
    out->from = member_text(a, j, "from");
    out->to = member_text(a, j, "to");
    out->after = json_is_true(json_object_get(j, "after"));
    out->whole = json_is_true(json_object_get(j, "whole"));
    return FR_OK;
}

static fr_rc take_snapshot(fr_arena *a, const json_t *j, fr_snapshot_progress *p, fr_err *err)
{
    const json_t *left = json_object_get(j, "left");
    const json_t *resume = json_object_get(j, "resume");
    int64_t chunks = 0;
    p->space = member_text(a, j, "space");
    p->name = member_text(a, j, "table");
    p->where = member_text(a, j, "where");
    p->cancelled = json_is_true(json_object_get(j, "cancelled"));
    p->view_resume = json_is_object(resume) ? fr_json_text(a, resume) : text_of(a, resume);
    if (!take_u64(j, "view_lsn", &p->view_lsn) || !take_u64(j, "rows", &p->rows) ||
        !take_int(j, "chunks", UINT32_MAX, &chunks) || p->name.len == 0 || !json_is_array(left)) {
        return unreadable(err, "a snapshot without table, view_lsn, rows, chunks or left");
    }
    p->chunks = (uint32_t)chunks;
    p->left_count = json_array_size(left);
    p->left = fr_arena_alloc(a, (p->left_count + 1) * sizeof(*p->left));
    for (size_t i = 0; i < p->left_count; i++) {
        FR_TRY(fold_chunk(a, json_array_get(left, i), &p->left[i], err));
    }
    return FR_OK;
}

static fr_rc fold_snapshot(folded *f, fr_str name, const json_t *j, fr_err *err)
{
    fr_map_remove(f->pub.snapshots, name);
    fr_arena_free(fr_map_remove(f->snapshot_arenas, name));
    if (j == NULL) {
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(512);
    fr_snapshot_progress *p = fr_arena_alloc(a, sizeof(*p));
    if (take_snapshot(a, j, p, err) == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    fr_map_set(f->pub.snapshots, name, p);
    fr_map_set(f->snapshot_arenas, name, a);
    return FR_OK;
}

static fr_rc take_held(fr_arena *a, const json_t *j, fr_held_fact *h, fr_err *err)
{
    const json_t *from = json_object_get(j, "from");
    h->space = member_text(a, j, "space");
    h->name = member_text(a, j, "table");
    h->from = json_is_object(from) ? fr_json_text(a, from) : text_of(a, from);
    h->txn = member_text(a, j, "txn");
    h->joined = json_is_true(json_object_get(j, "joined"));
    h->asked = json_is_true(json_object_get(j, "asked"));
    h->code = member_text(a, j, "code");
    h->why = member_text(a, j, "why");
    bool seen = h->txn.len == 0 || take_u64(j, "seen", &h->seen);
    if (h->name.len == 0 || !seen || !take_int(j, "since", INT64_MAX, &h->since_us)) {
        return unreadable(err, "a held table without table, seen or since");
    }
    return FR_OK;
}

static fr_rc fold_held(folded *f, fr_str name, const json_t *j, fr_err *err)
{
    fr_map_remove(f->pub.held, name);
    fr_arena_free(fr_map_remove(f->held_arenas, name));
    if (j == NULL) {
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(512);
    fr_held_fact *h = fr_arena_alloc(a, sizeof(*h));
    if (take_held(a, j, h, err) == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    fr_map_set(f->pub.held, name, h);
    fr_map_set(f->held_arenas, name, a);
    return FR_OK;
}

/* The operator took the topic back: what was acknowledged there no longer counts. */
static void forget_ends(fr_checkpoint *c, fr_str topic)
{
    fr_map *kept = fr_map_new();
    fr_str key;
    void *value;
    size_t i = 0;
    while (fr_map_next(c->ends, &i, &key, &value)) {
        if (!fr_str_eq(((fr_end *)value)->topic, topic)) {
            fr_map_set(kept, key, value);
        }
    }
    fr_map_free(c->ends, NULL);
    c->ends = kept;
}

static fr_rc fold_topic(fr_checkpoint *c, fr_str topic, const json_t *j, fr_err *err)
{
    if (j == NULL) {
        fr_map_remove(c->topics, topic);
        forget_ends(c, topic);
        return FR_OK;
    }
    int64_t partitions = 0;
    if (!take_int(j, "partitions", INT32_MAX, &partitions) || partitions == 0) {
        return unreadable(err, "a topic without partitions");
    }
    int64_t schema = 0;
    if (json_object_get(j, "schema") != NULL && !take_int(j, "schema", INT32_MAX, &schema)) {
        return unreadable(err, "a topic whose schema has no id");
    }
    fr_topic_fact *t = fr_map_get(c->topics, topic);
    if (t == NULL) {
        t = fr_arena_alloc(c->arena, sizeof(*t));
        t->topic = fr_arena_str(c->arena, topic);
        fr_map_set(c->topics, topic, t);
    }
    t->topic_id = member_text(c->arena, j, "id");
    t->partitions = (int32_t)partitions;
    t->partitioner = member_text(c->arena, j, "partitioner");
    t->schema = (int32_t)schema;
    return FR_OK;
}

static fr_rc take_generation(fr_arena *a, fr_str topic, const json_t *j, fr_generation_fact *g,
                             fr_err *err)
{
    const json_t *from = json_object_get(j, "from");
    int64_t number = 0;
    g->topic = fr_arena_str(a, topic);
    g->space = member_text(a, j, "space");
    g->name = member_text(a, j, "table");
    g->kind = member_text(a, j, "kind");
    g->from = json_is_object(from) ? fr_json_text(a, from) : text_of(a, from);
    g->txn = member_text(a, j, "txn");
    bool seen = g->txn.len == 0 || take_u64(j, "seen", &g->seen);
    bool numbered = take_int(j, "generation", FR_GENERATIONS, &number) && number > 1;
    g->generation = (uint32_t)number;
    if (g->name.len == 0 || !seen || !numbered || !take_int(j, "since", INT64_MAX, &g->since_us)) {
        return unreadable(err, "a table's generation without table, generation, seen or since");
    }
    return FR_OK;
}

static fr_rc fold_generation(folded *f, fr_str topic, const json_t *j, fr_err *err)
{
    fr_map_remove(f->pub.generations, topic);
    fr_arena_free(fr_map_remove(f->generation_arenas, topic));
    if (j == NULL) {
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(512);
    fr_generation_fact *g = fr_arena_alloc(a, sizeof(*g));
    if (take_generation(a, topic, j, g, err) == FR_FAIL) {
        fr_arena_free(a);
        return FR_FAIL;
    }
    fr_map_set(f->pub.generations, topic, g);
    fr_map_set(f->generation_arenas, topic, a);
    return FR_OK;
}

static fr_rc fold_parked(fr_checkpoint *c, fr_str id, const json_t *j)
{
    if (j == NULL) {
        fr_map_remove(c->parked, id);
        return FR_OK;
    }
    if (fr_map_get(c->parked, id) == NULL) {
        fr_map_set(c->parked, id, fr_arena_cstr(c->arena, id));
    }
    return FR_OK;
}

/* What it says is for whoever polls the table; that it is JSON of a known version is seen to. */
static fr_rc fold_table(fr_checkpoint *c, fr_str table, fr_str value)
{
    free(value.ptr == NULL ? fr_map_remove(c->tables, table)
                           : fr_map_set(c->tables, table, fr_str_new(value)));
    return FR_OK;
}

static bool under(fr_str key, const char *prefix, fr_str *rest)
{
    size_t n = strlen(prefix);
    if (key.len <= n || memcmp(key.ptr, prefix, n) != 0) {
        return false;
    }
    *rest = (fr_str){key.ptr + n, key.len - n};
    return true;
}

/* j NULL: a tombstone. */
static fr_rc fold_key(folded *f, fr_str key, fr_str value, const json_t *j, fr_err *err)
{
    fr_str rest;
    if (under(key, SNAPSHOT, &rest)) {
        return fold_snapshot(f, rest, j, err);
    }
    if (under(key, TOPIC, &rest)) {
        return fold_topic(&f->pub, rest, j, err);
    }
    if (under(key, PARKED, &rest)) {
        return fold_parked(&f->pub, rest, j);
    }
    if (under(key, TABLE, &rest)) {
        return fold_table(&f->pub, rest, value);
    }
    if (under(key, HELD, &rest)) {
        return fold_held(f, rest, j, err);
    }
    if (under(key, GENERATION, &rest)) {
        return fold_generation(f, rest, j, err);
    }
    bool stream = fr_str_is(key, "stream"), claim = fr_str_is(key, "claim");
    if (!stream && !claim && !fr_str_is(key, "ends")) {
        return unreadable(err, "a record that this version of freshet does not know");
    }
    if (stream && j == NULL) {
        clear_stream(f);
    }
    if (j == NULL) {
        return FR_OK;
    }
    if (stream) {
        fr_rc rc = fold_stream(f, j, err);
        if (rc == FR_FAIL) {
            clear_stream(f); /* all of it or nothing */
        }
        return rc;
    }
    return claim ? fold_claim(f, j, err) : fold_ends(&f->pub, json_object_get(j, "ends"), err);
}

static fr_rc check_version(const json_t *j, fr_err *err)
{
    long long v = fr_json_int(j, "v", 0);
    if (v == 1) {
        return FR_OK;
    }
    if (v > 1) {
        fr_fail(err, FR_ERR_POSITION, "written by a newer freshet (version %lld, known is 1)", v);
        return fr_fail_hint(err, "Run the newer freshet again, or move the position: freshet "
                                 "position set.");
    }
    return unreadable(err, "no version");
}

fr_rc fr_checkpoint_fold(fr_checkpoint *c, fr_str key, fr_str value, fr_err *err)
{
    json_t *j = NULL;
    fr_err why;
    fr_rc rc = FR_OK;
    if (value.ptr != NULL) {
        rc = fr_json_parse(value, &j, &why);
        rc = rc == FR_FAIL ? unreadable(err, why.text) : check_version(j, err);
    }
    if (rc == FR_OK) {
        rc = fold_key((folded *)c, key, value, j, err);
    }
    json_decref(j);
    if (rc == FR_FAIL) {
        fr_fail_code(err, "checkpoint.record");
        fr_fail_in(err, "checkpoint record \"%.*s\"", (int)(key.len > 200 ? 200 : key.len),
                   key.ptr == NULL ? "" : key.ptr);
    }
    return rc;
}
