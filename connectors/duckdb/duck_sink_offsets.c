/* The two tables of our own: who owns a partition and where it stands (R30), and the keys whose
 * messages go to the dead-letter topic (R36). They have no index: DuckDB would keep each version of
 * a row that changes with every commit in it, and one process at a time writes the file. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "duckdb/duck_sink.h"
#include "sql/evolve.h"
#include "sql/file.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char own_ddl[] =
    "CREATE TABLE IF NOT EXISTS main." FR_TARGET_OFFSETS " ("
    "pipeline VARCHAR NOT NULL, sink VARCHAR NOT NULL, topic VARCHAR NOT NULL, partition INTEGER "
    "NOT NULL, topic_id VARCHAR NOT NULL DEFAULT '', next_offset BIGINT NOT NULL, epoch BIGINT NOT "
    "NULL, changed TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')); "
    "CREATE TABLE IF NOT EXISTS main." FR_TARGET_PARKED " ("
    "pipeline VARCHAR NOT NULL, sink VARCHAR NOT NULL, topic VARCHAR NOT NULL, key BLOB NOT NULL, "
    "parked TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'))";
_Static_assert(sizeof("run: ") + sizeof(own_ddl) <= sizeof(((fr_err *)0)->hint), "cut in a hint");

#define OWNED "pipeline = $1 AND sink = $2 AND topic = $3"

static fr_rc own(fr_duck_sink *s, const char *doing, const char *format, fr_duck_param *p,
                 size_t count, fr_arena *a, fr_duck_rows *out, fr_err *err)
{
    fr_arena *texts = fr_arena_new(512);
    fr_buf sql = {.arena = texts};
    for (const char *at = format; *at != '\0'; at++) { /* @: where our tables are */
        if (*at == '@')
            fr_buf_printf(&sql, "%.*s.main.", FR_ARG(s->catalog));
        else
            fr_buf_u8(&sql, (uint8_t)*at);
    }
    fr_buf_u8(&sql, '\0');
    p[0] = (fr_duck_param){FR_DUCK_P_TEXT, fr_cstr(s->settings->pipeline), 0};
    p[1] = (fr_duck_param){FR_DUCK_P_TEXT, fr_cstr(s->settings->name), 0};
    fr_rc rc = fr_duck_sink_ask(s, doing, (const char *)sql.ptr, p, count, a, out, err);
    fr_arena_free(texts);
    return rc;
}

static fr_duck_param text_param(fr_str text)
{
    return (fr_duck_param){FR_DUCK_P_TEXT, text, 0};
}

static fr_duck_param int_param(int64_t number)
{
    return (fr_duck_param){.what = FR_DUCK_P_INT, .number = number};
}

/* ---- our tables ---- */

static fr_rc missing(fr_duck_sink *s, bool create, bool plan_only, fr_findings *out, fr_err *err)
{
    if (plan_only) {
        fr_target_plan_own_tables(out, create, s->stand_in ? "the file, with " : "",
                                  FR_STR(own_ddl));
        return FR_OK;
    }
    return create ? fr_duck_sink_ddl(s, FR_STR(own_ddl), err)
                  : fr_target_no_own_tables(err, FR_STR(own_ddl));
}

fr_rc fr_duck_sink_own_tables(fr_duck_sink *s, bool create, bool plan_only, fr_findings *out,
                              fr_err *err)
{
    fr_duck_rows r;
    if (s->has_own_tables)
        return FR_OK;
    if (!plan_only)
        FR_TRY(fr_duck_sink_begin(s, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_duck_sink_ask(
        s, "look for " FR_TARGET_OFFSETS,
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND "
        "schema_name = 'main' AND lower(table_name) IN ('" FR_TARGET_OFFSETS "', '" FR_TARGET_PARKED
        "')",
        NULL, 0, a, &r, err);
    size_t count = rc == FR_OK ? r.count : 0;
    fr_arena_free(a);
    FR_TRY(rc);
    if (count < 2)
        FR_TRY(missing(s, create, plan_only, out, err));
    s->has_own_tables = !plan_only;
    return FR_OK;
}

/* ---- claim ---- */

static fr_rc claim_one(fr_duck_sink *s, fr_arena *a, fr_offset *o, fr_err *err)
{
    const char *doing = "claim partitions";
    fr_duck_rows r;
    fr_duck_param p[4] = {[2] = text_param(o->topic), [3] = int_param(o->partition)};
    FR_TRY(own(s, doing,
               "UPDATE @" FR_TARGET_OFFSETS " SET epoch = epoch + 1, changed = now() AT TIME ZONE "
               "'UTC' WHERE " OWNED " AND partition = $4",
               p, 4, NULL, &r, err));
    if (r.changed == 0)
        FR_TRY(own(s, doing,
                   "INSERT INTO @" FR_TARGET_OFFSETS
                   " (pipeline, sink, topic, partition, next_offset, epoch) VALUES ($1, $2, $3, "
                   "$4, -1, 1)",
                   p, 4, NULL, NULL, err));
    FR_TRY(own(s, doing,
               "SELECT CAST(epoch AS VARCHAR), CAST(next_offset AS VARCHAR), topic_id FROM "
               "@" FR_TARGET_OFFSETS " WHERE " OWNED " AND partition = $4",
               p, 4, a, &r, err));
    if (r.count != 1)
        return fr_fail(err, FR_ERR_BUG, "%s: %zu rows of one partition in " FR_TARGET_OFFSETS,
                       doing, r.count);
    fr_target_keep_claim(s->claims, o->topic, o->partition,
                         strtoll(fr_arena_cstr(a, fr_duck_cell(&r, 0, 0)), NULL, 10));
    o->next = strtoll(fr_arena_cstr(a, fr_duck_cell(&r, 0, 1)), NULL, 10);
    fr_target_topic_id(o->topic_id, fr_duck_cell(&r, 0, 2));
    fr_target_keep_claim(s->stored, o->topic, o->partition, o->next);
    return FR_OK;
}

static fr_rc claim(fr_duck_sink *s, fr_offsets *offsets, fr_err *err)
{
    FR_TRY(fr_duck_sink_begin(s, err));
    FR_TRY(fr_duck_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < offsets->count && rc == FR_OK; i++) {
        rc = claim_one(s, a, &offsets->items[i], err);
        fr_arena_reset(a);
    }
    fr_arena_free(a);
    return rc == FR_FAIL ? rc : fr_duck_sink_end(s, err);
}

fr_rc fr_duck_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    if (s->in_txn)
        return fr_fail(err, FR_ERR_BUG, "claim inside a transaction: commit or roll back first");
    return claim(s, offsets, err) == FR_FAIL ? fr_duck_sink_failed(s, err) : FR_OK;
}

/* ---- commit ---- */

/* The claim is ours, or not any more; the file may be another one all the same: where nobody holds
 * it between two commits, an older copy may be put there, which has the claim, and lacks rows that
 * would not come again. */
static fr_rc not_ours(fr_duck_sink *s, fr_duck_param *p, fr_err *err)
{
    fr_duck_rows r;
    fr_arena *a = fr_arena_new(256);
    fr_rc rc = own(s, "put offsets",
                   "SELECT topic FROM @" FR_TARGET_OFFSETS " WHERE " OWNED
                   " AND partition = $4 AND epoch = $5",
                   p, 5, a, &r, err);
    bool ours = rc == FR_OK && r.count > 0;
    fr_arena_free(a);
    FR_TRY(rc);
    if (!ours) {
        return fr_target_fenced(err, "claimed a partition of this sink");
    }
    s->broken = true;
    fr_target_no_file(err, FR_ERR_CONNECT, s->config->path,
                      "has another offset than was committed: it was replaced, or changed");
    return fr_fail_hint(err, "it is opened anew, and goes on where its own offsets say");
}

static fr_rc put_offset(fr_duck_sink *s, const fr_offset *o, fr_err *err)
{
    int64_t epoch, stored;
    fr_duck_rows r;
    FR_TRY(fr_target_claim(s->claims, o, &epoch, err));
    FR_TRY(fr_target_claim(s->stored, o, &stored, err));
    fr_duck_param p[8] = {[2] = text_param(o->topic), [3] = int_param(o->partition),
                          [4] = int_param(epoch),     [5] = int_param(stored),
                          [6] = int_param(o->next),   [7] = text_param(fr_cstr(o->topic_id))};
    FR_TRY(own(s, "put offsets",
               "UPDATE @" FR_TARGET_OFFSETS " SET next_offset = $7, changed = now() AT TIME ZONE "
               "'UTC', topic_id = COALESCE(NULLIF($8, ''), topic_id) WHERE " OWNED
               " AND partition = $4 AND epoch = $5 AND next_offset = $6",
               p, 8, NULL, &r, err));
    return r.changed == 1 ? FR_OK : not_ours(s, p, err);
}

static fr_rc commit(fr_duck_sink *s, const fr_offsets *offsets, fr_err *err)
{
    FR_TRY(fr_duck_sink_begin(s, err));
    for (size_t i = 0; i < offsets->count; i++)
        FR_TRY(put_offset(s, &offsets->items[i], err));
    FR_TRY(fr_duck_sink_end(s, err));
    for (size_t i = 0; i < offsets->count; i++)
        fr_target_keep_claim(s->stored, offsets->items[i].topic, offsets->items[i].partition,
                             offsets->items[i].next);
    return FR_OK;
}

fr_rc fr_duck_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    if (!s->in_txn && offsets->count == 0)
        return FR_OK;
    if (FR_FAILPOINT("sink_before_commit")) {
        fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
        return fr_duck_sink_failed(s, err);
    }
    if (commit(s, offsets, err) == FR_FAIL) {
        fr_duck_sink_failed(s, err);
        return fr_fail_in(err, "commit");
    }
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    if (FR_FAILPOINT("sink_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit");
    return FR_OK;
}

/* ---- parked keys ---- */

static const char park_sql[] =
    "INSERT INTO @" FR_TARGET_PARKED
    " (pipeline, sink, topic, key) SELECT $1, $2, $3, $4 WHERE NOT "
    "EXISTS (SELECT 1 FROM @" FR_TARGET_PARKED " WHERE " OWNED " AND key = $4)";

static const char unpark_sql[] = "DELETE FROM @" FR_TARGET_PARKED " WHERE " OWNED " AND key = $4";

static fr_rc change_parked(fr_duck_sink *s, const char *sql, fr_str topic, fr_str key, fr_err *err)
{
    fr_duck_param p[4] = {[2] = text_param(topic), [3] = {FR_DUCK_P_BLOB, key, 0}};
    FR_TRY(fr_duck_sink_begin(s, err));
    FR_TRY(fr_duck_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err));
    s->has_rows = true;
    return own(s, "parked keys", sql, p, 4, NULL, NULL, err);
}

fr_rc fr_duck_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    fr_rc rc = change_parked(s, park_sql, topic, key, err);
    return rc == FR_FAIL ? fr_duck_sink_failed(s, err) : FR_OK;
}

fr_rc fr_duck_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    fr_rc rc = change_parked(s, unpark_sql, topic, key, err);
    return rc == FR_FAIL ? fr_duck_sink_failed(s, err) : FR_OK;
}

static fr_rc parked(fr_duck_sink *s, fr_arena *a, fr_str topic, fr_duck_rows *r, fr_err *err)
{
    bool rows = s->in_txn;
    fr_duck_param p[3] = {[2] = text_param(topic)};
    FR_TRY(fr_duck_sink_begin(s, err));
    FR_TRY(fr_duck_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err));
    FR_TRY(own(s, "parked keys",
               "SELECT key FROM @" FR_TARGET_PARKED " WHERE " OWNED " ORDER BY key", p, 3, a, r,
               err));
    return rows ? FR_OK : fr_duck_sink_end(s, err);
}

fr_rc fr_duck_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                          size_t *count_out, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    fr_duck_rows r = {.count = 0};
    if (parked(s, a, topic, &r, err) == FR_FAIL)
        return fr_duck_sink_failed(s, err);
    *keys_out = r.cells;
    *count_out = r.count;
    return FR_OK;
}
