/* The two tables of our own: who owns a partition, where it stands and what is under way (R30,
 * R35), and the keys whose messages go to the dead-letter topic (R36). Both only grow by rows;
 * merges keep the newest of each. */
#include "base/clock.h"
#include "clickhouse/ch_sink.h"
#include "clickhouse/ch_value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOPIC_ID FR_TARGET_OFFSETS ".topic_id"

enum { CLAIM_TRIES = 5 };

/* One row for each kind of fact; the newest has the highest version. */
static const char offsets_ddl[] =
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_OFFSETS " (pipeline String, sink String, topic String, "
    "partition Int32, what String, epoch UInt64, seq UInt64, version UInt128 DEFAULT "
    "bitOr(bitShiftLeft(toUInt128(epoch), 64), toUInt128(seq)), next_offset Int64, pending "
    "Array(Int64), topic_id String DEFAULT '', changed DateTime64(3) DEFAULT now64(3)) ENGINE = "
    "ReplacingMergeTree(version) "
    "ORDER BY (pipeline, sink, topic, partition, what)";
/* Tables of a version that did not keep it. */
static const char topic_id_ddl[] =
    "ALTER TABLE " FR_TARGET_OFFSETS " ADD COLUMN IF NOT EXISTS topic_id String DEFAULT ''";
static const char parked_ddl[] =
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_PARKED " (pipeline String, sink String, topic String, "
    "key String, parked DateTime64(3) DEFAULT now64(3)) ENGINE = ReplacingMergeTree ORDER BY "
    "(pipeline, sink, topic, key)";

/* ---- our tables ---- */

static void missing(bool create, const char *name, const char *ddl, fr_findings *out)
{
    fr_finding *f =
        fr_findings_add(out, create ? FR_CHANGE : FR_BLOCKER, "sink.table", "create %s", name);
    f->sql = fr_cstr(ddl);
    f->why = FR_STR("ClickHouse has no transactions: what is under way is written down first");
}

static fr_rc need(fr_ch_sink *s, const fr_ch_cells *there, const char *name, const char *ddl,
                  bool create, bool plan_only, fr_findings *out, fr_err *err)
{
    for (size_t i = 0; i < there->count; i++)
        if (fr_str_is(fr_ch_cell(there, i, 0), name))
            return FR_OK;
    if (plan_only) {
        missing(create, name, ddl, out);
        return FR_OK;
    }
    if (create)
        return fr_ch_exec(s->ch, "create the table of offsets", fr_cstr(ddl), err);
    fr_fail(err, FR_ERR_CONFIG, "there is no table %s", name);
    fr_fail_code(err, "sink.table");
    return fr_fail_hint(err, "run: %s", ddl);
}

/* The table just made has it. */
static fr_rc need_topic_id(fr_ch_sink *s, const fr_ch_cells *there, bool create, bool plan_only,
                           fr_findings *out, fr_err *err)
{
    bool old = false;
    for (size_t i = 0; i < there->count; i++) {
        old = old || fr_str_is(fr_ch_cell(there, i, 0), FR_TARGET_OFFSETS);
        if (fr_str_is(fr_ch_cell(there, i, 0), TOPIC_ID))
            return FR_OK;
    }
    if (!old)
        return FR_OK;
    if (create && !plan_only)
        return fr_ch_exec(s->ch, "keep the topics' ids", FR_STR(topic_id_ddl), err);
    if (plan_only) {
        fr_finding *f =
            fr_findings_add(out, create ? FR_CHANGE : FR_BLOCKER, "sink.table", "add " TOPIC_ID);
        f->sql = FR_STR(topic_id_ddl);
        f->why = FR_STR("a topic that was deleted and made again is known by it");
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "there is no column " TOPIC_ID);
    fr_fail_code(err, "sink.table");
    return fr_fail_hint(err, "run: %s", topic_id_ddl);
}

fr_rc fr_ch_sink_own_tables(fr_ch_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err)
{
    fr_ch_cells there;
    const fr_ch_call call = {
        .doing = "look for " FR_TARGET_OFFSETS,
        .sql =
            FR_STR("SELECT name FROM system.tables WHERE database = currentDatabase() AND name "
                   "IN ('" FR_TARGET_OFFSETS "', '" FR_TARGET_PARKED "') UNION ALL "
                   "SELECT '" TOPIC_ID "' FROM system.columns WHERE database = "
                   "currentDatabase() AND table = '" FR_TARGET_OFFSETS "' AND name = 'topic_id'")};
    if (s->has_own_tables)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_ch_select(s->ch, a, call, &there, err);
    if (rc == FR_OK)
        rc = need(s, &there, FR_TARGET_OFFSETS, offsets_ddl, create, plan_only, out, err);
    if (rc == FR_OK)
        rc = need_topic_id(s, &there, create, plan_only, out, err);
    if (rc == FR_OK)
        rc = need(s, &there, FR_TARGET_PARKED, parked_ddl, create, plan_only, out, err);
    fr_arena_free(a);
    s->has_own_tables = rc == FR_OK && !plan_only;
    return rc;
}

/* ---- records ---- */

static void put_fact(fr_buf *out, const fr_ch_sink *s, const fr_ch_lane *l, const char *what,
                     uint64_t seq)
{
    fr_ch_put_string(out, fr_cstr(s->settings->pipeline));
    fr_ch_put_string(out, fr_cstr(s->settings->name));
    fr_ch_put_string(out, l->topic);
    fr_ch_put_uint(out, (uint32_t)l->partition, 4);
    fr_ch_put_string(out, fr_cstr(what));
    fr_ch_put_uint(out, l->epoch, 8);
    fr_ch_put_uint(out, seq, 8);
}

void fr_ch_put_state(fr_buf *out, const fr_ch_sink *s, fr_ch_lane *l, int64_t next,
                     const fr_ch_block *blocks, size_t count)
{
    fr_ch_state *st = &l->state;
    st->epoch = l->epoch;
    st->seq = ++l->seq;
    st->next = next;
    st->bound_count = count;
    st->bounds = fr_realloc(st->bounds, (count + 1) * sizeof(*st->bounds));
    put_fact(out, s, l, "state", l->seq);
    fr_ch_put_uint(out, (uint64_t)next, 8);
    fr_ch_put_length(out, count);
    for (size_t i = 0; i < count; i++) {
        st->bounds[i] = blocks[i].last;
        fr_ch_put_uint(out, (uint64_t)blocks[i].last, 8);
    }
    fr_ch_put_string(out, fr_cstr(l->topic_id));
}

fr_rc fr_ch_write_states(fr_ch_sink *s, const fr_buf *records, fr_err *err)
{
    const fr_ch_call call = {.doing = "put offsets",
                             .sql = FR_STR("INSERT INTO " FR_TARGET_OFFSETS
                                           " (pipeline, sink, topic, partition, what, "
                                           "epoch, seq, next_offset, pending, topic_id) FORMAT "
                                           "RowBinary"),
                             .body = fr_buf_view(records)};
    return fr_ch_ask(s->ch, &call, NULL, err);
}

/* ---- reading ---- */

/* Newest records of this sink: topic, partition, what, epoch, seq, next, pending with commas, id. A
 * server of several replicas is to answer with what was acknowledged. */
static fr_rc read_facts(fr_ch_sink *s, fr_arena *a, bool claims_only, fr_ch_cells *out, fr_err *err)
{
    const fr_ch_call call = {
        .doing = "read offsets",
        .sql = fr_arena_printf(
            a,
            "SELECT topic, partition, what, argMax(epoch, version), argMax(seq, version), "
            "argMax(next_offset, version), arrayStringConcat(arrayMap(x -> toString(x), "
            "argMax(pending, version)), ','), argMax(topic_id, version) FROM " FR_TARGET_OFFSETS
            " WHERE pipeline = "
            "{p:String} AND sink = {s:String}%s GROUP BY topic, partition, what "
            "SETTINGS select_sequential_consistency = 1",
            claims_only ? " AND what = 'claim'" : ""),
        .params = {{"p", fr_cstr(s->settings->pipeline)}, {"s", fr_cstr(s->settings->name)}}};
    return fr_ch_select(s->ch, a, call, out, err);
}

static uint64_t unsigned_of(fr_str text)
{
    char copy[32] = "";
    memcpy(copy, text.ptr, text.len < sizeof(copy) ? text.len : sizeof(copy) - 1);
    return strtoull(copy, NULL, 10);
}

static fr_ch_lane *lane_of(const fr_ch_sink *s, const fr_ch_cells *c, size_t row)
{
    return fr_ch_lane_find(s, fr_ch_cell(c, row, 0), (int32_t)fr_ch_number(fr_ch_cell(c, row, 1)));
}

static bool is_claim(const fr_ch_cells *c, size_t row)
{
    return fr_str_is(fr_ch_cell(c, row, 2), "claim");
}

static void read_bounds(fr_str text, fr_ch_state *st)
{
    size_t count = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ',';
    st->bounds = fr_realloc(st->bounds, (count + 1) * sizeof(*st->bounds));
    st->bound_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma != NULL ? (size_t)(comma - text.ptr) : text.len;
        st->bounds[i] = fr_ch_number((fr_str){text.ptr, len});
        text = comma != NULL ? (fr_str){comma + 1, text.len - len - 1} : (fr_str){"", 0};
    }
}

static void read_state(fr_ch_lane *l, const fr_ch_cells *c, size_t row)
{
    l->state.epoch = unsigned_of(fr_ch_cell(c, row, 3));
    l->state.seq = unsigned_of(fr_ch_cell(c, row, 4));
    l->state.next = fr_ch_number(fr_ch_cell(c, row, 5));
    read_bounds(fr_ch_cell(c, row, 6), &l->state);
    fr_target_topic_id(l->topic_id, fr_ch_cell(c, row, 7));
}

/* ---- claim ---- */

typedef struct claiming {
    fr_ch_lane **lanes;
    size_t count;
} claiming;

/* One above all that were seen; the lower half is by chance, so that no two are one. */
static void raise_epochs(const claiming *k, const fr_ch_sink *s, const fr_ch_cells *seen)
{
    for (size_t i = 0; i < k->count; i++) {
        fr_ch_lane *l = k->lanes[i];
        uint64_t top = l->epoch >> 32;
        uint32_t chance = 0;
        for (size_t row = 0; row < seen->count; row++) {
            uint64_t epoch = unsigned_of(fr_ch_cell(seen, row, 3)) >> 32;
            if (epoch > top && lane_of(s, seen, row) == l)
                top = epoch;
        }
        if (getrandom(&chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
            chance = (uint32_t)fr_now_us();
        l->epoch = (top + 1) << 32 | chance;
        l->seq = 0;
    }
}

static fr_rc write_claims(fr_ch_sink *s, const claiming *k, fr_err *err)
{
    fr_buf records = {0};
    for (size_t i = 0; i < k->count; i++) {
        put_fact(&records, s, k->lanes[i], "claim", 0);
        fr_ch_put_uint(&records, 0, 8);
        fr_ch_put_length(&records, 0);
        fr_ch_put_string(&records, FR_STR(""));
    }
    fr_rc rc = fr_ch_write_states(s, &records, err);
    fr_buf_free(&records);
    return rc;
}

/* Whether our claims are the newest; what is under way is read once they stand. */
static bool settle(const claiming *k, const fr_ch_sink *s, const fr_ch_cells *c)
{
    size_t ours = 0;
    for (size_t i = 0; i < k->count; i++) {
        k->lanes[i]->state.next = -1;
        k->lanes[i]->state.bound_count = 0;
        k->lanes[i]->topic_id[0] = '\0';
    }
    for (size_t row = 0; row < c->count; row++) {
        fr_ch_lane *l = lane_of(s, c, row);
        for (size_t i = 0; i < k->count && l != NULL; i++) {
            if (k->lanes[i] != l)
                continue;
            if (is_claim(c, row))
                ours += unsigned_of(fr_ch_cell(c, row, 3)) == l->epoch;
            else
                read_state(l, c, row);
            break;
        }
    }
    return ours == k->count;
}

static fr_rc claim_all(fr_ch_sink *s, const claiming *k, fr_arena *a, fr_err *err)
{
    fr_ch_cells seen;
    FR_TRY(read_facts(s, a, false, &seen, err));
    for (int i = 0; i < CLAIM_TRIES; i++) {
        raise_epochs(k, s, &seen);
        FR_TRY(write_claims(s, k, err));
        FR_TRY(read_facts(s, a, false, &seen, err));
        if (settle(k, s, &seen))
            return FR_OK;
    }
    fr_fail(err, FR_ERR_BUSY, "others claim the same partitions");
    return fr_fail_code(err, "sink.claim");
}

fr_rc fr_ch_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    if (fr_ch_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err) == FR_FAIL)
        return fr_ch_sink_failed(s, err);
    fr_arena *a = fr_arena_new(0);
    claiming k = {fr_arena_alloc(a, (offsets->count + 1) * sizeof(fr_ch_lane *)), offsets->count};
    for (size_t i = 0; i < k.count; i++)
        k.lanes[i] = fr_ch_lane_claimed(s, offsets->items[i].topic, offsets->items[i].partition);
    fr_rc rc = k.count == 0 ? FR_OK : claim_all(s, &k, a, err);
    for (size_t i = 0; i < k.count && rc == FR_OK; i++) {
        offsets->items[i].next = k.lanes[i]->state.next;
        fr_target_topic_id(offsets->items[i].topic_id, fr_cstr(k.lanes[i]->topic_id));
    }
    fr_arena_free(a);
    s->lost = s->lost && rc == FR_FAIL;
    return rc == FR_FAIL ? fr_ch_sink_failed(s, err) : FR_OK;
}

fr_rc fr_ch_still_ours(fr_ch_sink *s, fr_err *err)
{
    fr_ch_cells c;
    FR_TRY(read_facts(s, s->arena, true, &c, err));
    size_t found = 0, wanted = 0;
    for (size_t i = 0; i < s->lane_count; i++)
        wanted += s->lanes[i]->want >= 0;
    for (size_t row = 0; row < c.count; row++) {
        const fr_ch_lane *l = lane_of(s, &c, row);
        if (l != NULL && l->want >= 0)
            found += unsigned_of(fr_ch_cell(&c, row, 3)) == l->epoch;
    }
    if (found == wanted)
        return FR_OK;
    return fr_target_fenced(err, "claimed a partition of this sink");
}

/* ---- parked keys ---- */

fr_rc fr_ch_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    (void)err;
    fr_ch_put_string(&s->parked, fr_cstr(s->settings->pipeline));
    fr_ch_put_string(&s->parked, fr_cstr(s->settings->name));
    fr_ch_put_string(&s->parked, topic);
    fr_ch_put_string(&s->parked, key);
    return FR_OK;
}

fr_rc fr_ch_write_parked(fr_ch_sink *s, fr_err *err)
{
    const fr_ch_call call = {.doing = "parked keys",
                             .sql = FR_STR("INSERT INTO " FR_TARGET_PARKED
                                           " (pipeline, sink, topic, key) FORMAT RowBinary"),
                             .body = fr_buf_view(&s->parked)};
    if (s->parked.len == 0)
        return FR_OK;
    FR_TRY(fr_ch_ask(s->ch, &call, NULL, err));
    s->parked.len = 0;
    return FR_OK;
}

static fr_str of_hex(fr_arena *a, fr_str hex)
{
    char *out = fr_arena_alloc(a, hex.len / 2 + 1);
    for (size_t i = 0; i + 1 < hex.len; i += 2)
        out[i / 2] = (char)(fr_hex_digit(hex.ptr[i]) << 4 | fr_hex_digit(hex.ptr[i + 1]));
    return (fr_str){out, hex.len / 2};
}

fr_rc fr_ch_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    fr_ch_cells c;
    const fr_ch_call call = {.doing = "parked keys",
                             .sql = FR_STR("SELECT DISTINCT hex(key) FROM " FR_TARGET_PARKED
                                           " WHERE pipeline = {p:String} AND sink = {s:String} "
                                           "AND topic = {t:String} SETTINGS "
                                           "select_sequential_consistency = 1"),
                             .params = {{"p", fr_cstr(s->settings->pipeline)},
                                        {"s", fr_cstr(s->settings->name)},
                                        {"t", topic}}};
    bool create = s->settings->create != FR_WHEN_NEVER;
    if (fr_ch_sink_own_tables(s, create, false, NULL, err) == FR_FAIL ||
        fr_ch_select(s->ch, a, call, &c, err) == FR_FAIL)
        return fr_ch_sink_failed(s, err);
    fr_str *keys = fr_arena_alloc(a, (c.count + 1) * sizeof(fr_str));
    for (size_t i = 0; i < c.count; i++)
        keys[i] = of_hex(a, fr_ch_cell(&c, i, 0));
    *keys_out = keys;
    *count_out = c.count;
    return FR_OK;
}
