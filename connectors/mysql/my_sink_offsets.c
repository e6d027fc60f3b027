/* The two tables of our own: who owns a partition and where it stands (R30), and the keys
 * whose messages go to the dead-letter topic (R36). */
#include "base/clock.h"
#include "base/failpoint.h"
#include "mysql/my_sink.h"
#include "sql/evolve.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Topics' names are ASCII: in four bytes a character the column would be longer than an old
 * server's index takes. The text has to fit a hint. */
#define OWNER                                                                                      \
    "pipeline varchar(100) NOT NULL, sink varchar(100) NOT NULL, "                                 \
    "topic varchar(249) CHARSET ascii COLLATE ascii_bin NOT NULL, "
#define TAIL ") ENGINE=InnoDB COLLATE=utf8mb4_bin"
static const char own_ddl[] =
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_OFFSETS " (" OWNER "`partition` int NOT NULL, "
    "topic_id varchar(64) NOT NULL DEFAULT '', next_offset bigint NOT NULL, epoch bigint NOT NULL, "
    "changed timestamp NOT NULL DEFAULT NOW(), "
    "PRIMARY KEY (pipeline, sink, topic, `partition`)" TAIL "; "
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_PARKED " (" OWNER "key_hash bigint unsigned NOT NULL, "
    "n int NOT NULL, `key` longblob NOT NULL, parked timestamp NOT NULL DEFAULT NOW(), "
    "PRIMARY KEY (pipeline, sink, topic, key_hash, n)" TAIL;
_Static_assert(sizeof("run: ") + sizeof(own_ddl) <= sizeof(((fr_err *)0)->hint), "cut in a hint");

enum { CHUNK = 32 }; /* partitions in one statement */

/* ---- our tables ---- */

static fr_rc is_there(fr_my_sink *s, fr_arena *a, bool *there, fr_str *bad_engine, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(s->my, a, "look for " FR_TARGET_OFFSETS,
                       "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
                       "DATABASE() AND TABLE_NAME IN ('" FR_TARGET_OFFSETS "', '" FR_TARGET_PARKED
                       "')",
                       &rows, err));
    *there = rows.count == 2;
    *bad_engine = FR_STR("");
    for (size_t i = 0; i < rows.count; i++)
        if (!fr_str_is(fr_my_text(&rows, i, 0), "InnoDB"))
            *bad_engine = fr_my_text(&rows, i, 0);
    return FR_OK;
}

static fr_rc own_tables(fr_my_sink *s, fr_arena *a, bool create, bool plan_only, fr_findings *out,
                        fr_err *err)
{
    bool there;
    fr_str engine;
    FR_TRY(is_there(s, a, &there, &engine, err));
    if (engine.len > 0) {
        fr_fail(err, FR_ERR_CONFIG,
                FR_TARGET_OFFSETS " or " FR_TARGET_PARKED " has the engine %.*s, which "
                                  "cannot roll back",
                FR_ARG(engine));
        fr_fail_code(err, "sink.engine");
        return fr_fail_hint(err, "ALTER TABLE " FR_TARGET_OFFSETS
                                 " ENGINE=InnoDB; ALTER TABLE " FR_TARGET_PARKED " ENGINE=InnoDB");
    }
    if (!there && plan_only) {
        fr_target_plan_own_tables(out, create, "", FR_STR(own_ddl));
    } else if (!there && create) {
        return fr_my_sink_ddl(s, FR_STR(own_ddl), true, err);
    } else if (!there) {
        return fr_target_no_own_tables(err, FR_STR(own_ddl));
    }
    return FR_OK;
}

fr_rc fr_my_sink_own_tables(fr_my_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err)
{
    if (s->has_own_tables)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = own_tables(s, a, create, plan_only, out, err);
    s->has_own_tables = rc == FR_OK && !plan_only;
    fr_arena_free(a);
    return rc;
}

/* ---- claim ---- */

static fr_str claim_key(fr_arena *a, fr_str topic, int64_t partition)
{
    return fr_arena_printf(a, "%" PRId64 ":%.*s", partition, FR_ARG(topic));
}

static fr_str owner(fr_my_sink *s, fr_arena *a)
{
    return fr_arena_printf(a, "`pipeline` = %.*s AND `sink` = %.*s",
                           FR_ARG(fr_my_literal(a, fr_cstr(s->settings->pipeline))),
                           FR_ARG(fr_my_literal(a, fr_cstr(s->settings->name))));
}

static int by_place(const void *left, const void *right)
{
    const fr_offset *a = left, *b = right;
    int order = fr_str_cmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

/* Two claims at once meet in the same order. The table has one unique index. */
static fr_rc raise_epochs(fr_my_sink *s, fr_arena *a, const fr_offset *sorted, size_t count,
                          fr_err *err)
{
    fr_str pipeline = fr_my_literal(a, fr_cstr(s->settings->pipeline));
    fr_str sink = fr_my_literal(a, fr_cstr(s->settings->name));
    fr_buf b = {.arena = a};
    fr_buf_text(&b,
                "INSERT INTO `" FR_TARGET_OFFSETS "` (`pipeline`, `sink`, `topic`, `partition`, "
                "`next_offset`, `epoch`) VALUES ");
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(&b, "%s(%.*s, %.*s, %.*s, %d, -1, 1)", i > 0 ? ", " : "", FR_ARG(pipeline),
                      FR_ARG(sink), FR_ARG(fr_my_literal(a, sorted[i].topic)), sorted[i].partition);
    fr_buf_text(&b, " ON DUPLICATE KEY UPDATE `epoch` = `epoch` + 1, "
                    "`changed` = CURRENT_TIMESTAMP");
    return fr_my_exec(s->my, "claim partitions", fr_buf_view(&b), err);
}

typedef struct place {
    int64_t next, epoch;
    fr_str topic_id;
} place;

static fr_rc read_places(fr_my_sink *s, fr_arena *a, fr_map *places, fr_err *err)
{
    fr_my_rows rows;
    fr_str sql =
        fr_arena_printf(a,
                        "SELECT `topic`, `partition`, `next_offset` + 1, `epoch`, `topic_id` FROM "
                        "`" FR_TARGET_OFFSETS "` WHERE %.*s%c",
                        FR_ARG(owner(s, a)), '\0');
    FR_TRY(fr_my_query(s->my, a, "read offsets", sql.ptr, &rows, err));
    for (size_t i = 0; i < rows.count; i++) {
        place *p = fr_arena_alloc(a, sizeof(*p));
        p->next = (int64_t)fr_my_uint(&rows, i, 2, 0) - 1;
        p->epoch = (int64_t)fr_my_uint(&rows, i, 3, 0);
        p->topic_id = fr_my_text(&rows, i, 4);
        fr_map_set(places,
                   claim_key(a, fr_my_text(&rows, i, 0), (int64_t)fr_my_uint(&rows, i, 1, 0)), p);
    }
    return FR_OK;
}

static fr_rc claim(fr_my_sink *s, fr_arena *a, fr_map *places, fr_offsets *offsets, fr_err *err)
{
    fr_offset *sorted = fr_arena_raw(a, (offsets->count + 1) * sizeof(*sorted));
    memcpy(sorted, offsets->items, offsets->count * sizeof(*sorted));
    qsort(sorted, offsets->count, sizeof(*sorted), by_place);
    for (size_t at = 0; at < offsets->count; at += CHUNK) {
        size_t left = offsets->count - at;
        FR_TRY(raise_epochs(s, a, sorted + at, left < CHUNK ? left : CHUNK, err));
    }
    FR_TRY(read_places(s, a, places, err));
    FR_TRY(fr_my_sink_exec(s, "claim partitions", "COMMIT", err));
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        const place *p = fr_map_get(places, claim_key(a, o->topic, o->partition));
        if (p == NULL)
            return fr_fail(err, FR_ERR_BUSY, "the claim of %.*s[%d] is gone", FR_ARG(o->topic),
                           o->partition);
        o->next = p->next;
        fr_target_topic_id(o->topic_id, p->topic_id);
        fr_target_keep_claim(s->claims, o->topic, o->partition, p->epoch);
    }
    return FR_OK;
}

fr_rc fr_my_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    if (s->in_txn)
        return fr_fail(err, FR_ERR_BUG, "claim inside a transaction: commit or roll back first");
    if (fr_my_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err) == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_arena *a = fr_arena_new(0);
    fr_map *places = fr_map_new();
    fr_rc rc = offsets->count > 0 ? claim(s, a, places, offsets, err) : FR_OK;
    fr_map_free(places, NULL);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_my_sink_rest(s);
    return FR_OK;
}

/* ---- commit ---- */

static void put_place(fr_buf *b, fr_arena *a, const fr_offset *o)
{
    fr_buf_printf(b, "`topic` = %.*s AND `partition` = %d", FR_ARG(fr_my_literal(a, o->topic)),
                  o->partition);
}

/* The text ends before COMMIT where a partition is not ours any more: not all rows were
 * found, and what adds that up fails. */
static fr_rc put_offsets(fr_my_sink *s, fr_arena *a, fr_buf *b, const fr_offset *items,
                         size_t count, fr_err *err)
{
    fr_buf_text(b, "UPDATE `" FR_TARGET_OFFSETS "` SET `changed` = CURRENT_TIMESTAMP, "
                   "`next_offset` = CASE");
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(b, " WHEN ");
        put_place(b, a, &items[i]);
        fr_buf_printf(b, " THEN %" PRId64, items[i].next);
    }
    fr_buf_text(b, " END, `topic_id` = CASE WHEN FALSE THEN ''");
    for (size_t i = 0; i < count; i++) {
        if (items[i].topic_id[0] == '\0')
            continue;
        fr_buf_text(b, " WHEN ");
        put_place(b, a, &items[i]);
        fr_buf_printf(b, " THEN %.*s", FR_ARG(fr_my_literal(a, fr_cstr(items[i].topic_id))));
    }
    fr_buf_printf(b, " ELSE `topic_id` END WHERE %.*s AND (", FR_ARG(owner(s, a)));
    for (size_t i = 0; i < count; i++) {
        const fr_offset *o = &items[i];
        int64_t epoch;
        FR_TRY(fr_target_claim(s->claims, o, &epoch, err));
        fr_buf_text(b, i > 0 ? " OR (" : "(");
        put_place(b, a, o);
        fr_buf_printf(b, " AND `epoch` = %" PRId64 ")", epoch);
    }
    fr_buf_printf(b, "); SELECT " FR_MY_RAISE " + (ROW_COUNT() <> %zu); ", count);
    return FR_OK;
}

static fr_rc commit(fr_my_sink *s, fr_arena *a, const fr_offsets *offsets, fr_err *err)
{
    fr_buf b = {.arena = a};
    FR_TRY(fr_my_sink_begin(s, err));
    for (size_t at = 0; at < offsets->count; at += CHUNK) {
        size_t left = offsets->count - at;
        FR_TRY(put_offsets(s, a, &b, offsets->items + at, left < CHUNK ? left : CHUNK, err));
    }
    fr_buf_printf(&b, "COMMIT%s", fr_my_sink_unwatch(s));
    return fr_my_exec(s->my, "commit", fr_buf_view(&b), err);
}

static fr_rc commit_failed(fr_my_sink *s, fr_err *err)
{
    if (err->native == FR_MY_RAISED) {
        fr_target_fenced(err, "claimed a partition of this sink");
    }
    fr_my_sink_failed(s, err);
    return fr_fail_in(err, "commit");
}

fr_rc fr_my_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    if (!s->in_txn && offsets->count == 0)
        return FR_OK;
    if (FR_FAILPOINT("sink_before_commit")) {
        fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
        return fr_my_sink_failed(s, err);
    }
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = commit(s, a, offsets, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return commit_failed(s, err);
    s->in_txn = s->savepoint = false;
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    if (FR_FAILPOINT("sink_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit");
    return FR_OK;
}

/* ---- parked keys ---- */

static fr_str hex(fr_arena *a, fr_str bytes)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "X'");
    for (size_t i = 0; i < bytes.len; i++)
        fr_buf_printf(&b, "%02X", (unsigned char)bytes.ptr[i]);
    fr_buf_u8(&b, '\'');
    return fr_buf_view(&b);
}

/* A key may be longer than an index takes, hence the hash; keys that share one are numbered. It is
 * ours, because no hash of the server is in all versions: SHA1 went with MySQL 9.6, SHA2 is NULL in
 * a 5.5 without TLS. */
fr_rc fr_my_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    if (fr_my_sink_begin(s, err) == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_arena *a = fr_arena_new(0);
    fr_str bytes = hex(a, key), text = fr_my_literal(a, topic);
    uint64_t hash = fr_hash64(key.ptr, key.len);
    fr_str sql = fr_arena_printf(
        a,
        "INSERT INTO `" FR_TARGET_PARKED "` (`pipeline`, `sink`, `topic`, `key_hash`, `n`, `key`) "
        "SELECT %.*s, %.*s, %.*s, %" PRIu64 ", COALESCE(MAX(`n`) + 1, 0), %.*s "
        "FROM `" FR_TARGET_PARKED "` WHERE %.*s AND `topic` = %.*s AND `key_hash` = %" PRIu64
        " HAVING COALESCE(SUM(`key` = %.*s), 0) = 0",
        FR_ARG(fr_my_literal(a, fr_cstr(s->settings->pipeline))),
        FR_ARG(fr_my_literal(a, fr_cstr(s->settings->name))), FR_ARG(text), hash, FR_ARG(bytes),
        FR_ARG(owner(s, a)), FR_ARG(text), hash, FR_ARG(bytes));
    fr_rc rc = fr_my_exec(s->my, "parked keys", sql, err);
    fr_arena_free(a);
    return rc == FR_FAIL ? fr_my_sink_failed(s, err) : FR_OK;
}

fr_rc fr_my_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    if (fr_my_sink_begin(s, err) == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_arena *a = fr_arena_new(0);
    fr_str sql = fr_arena_printf(a,
                                 "DELETE FROM `" FR_TARGET_PARKED
                                 "` WHERE %.*s AND `topic` = %.*s AND `key_hash` = %" PRIu64
                                 " AND `key` = %.*s",
                                 FR_ARG(owner(s, a)), FR_ARG(fr_my_literal(a, topic)),
                                 fr_hash64(key.ptr, key.len), FR_ARG(hex(a, key)));
    fr_rc rc = fr_my_exec(s->my, "parked keys", sql, err);
    fr_arena_free(a);
    return rc == FR_FAIL ? fr_my_sink_failed(s, err) : FR_OK;
}

fr_rc fr_my_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    fr_my_rows rows;
    if (fr_my_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err) == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_str sql = fr_arena_printf(
        a, "SELECT `key` FROM `" FR_TARGET_PARKED "` WHERE %.*s AND `topic` = %.*s%c",
        FR_ARG(owner(s, a)), FR_ARG(fr_my_literal(a, topic)), '\0');
    if (fr_my_query(s->my, a, "parked keys", sql.ptr, &rows, err) == FR_FAIL)
        return fr_my_sink_failed(s, err);
    fr_my_sink_rest(s);
    fr_str *keys = fr_arena_alloc(a, (rows.count + 1) * sizeof(fr_str));
    for (size_t i = 0; i < rows.count; i++)
        keys[i] = fr_my_text(&rows, i, 0);
    *keys_out = keys;
    *count_out = rows.count;
    return FR_OK;
}
