/* The two tables of our own: who owns a partition and where it stands (R30), and the keys whose
 * messages go to the dead-letter topic (R36). */
#include "base/clock.h"
#include "base/failpoint.h"
#include "sql/evolve.h"
#include "sqlite/sq_sink.h"

static const char own_ddl[] =
    "CREATE TABLE IF NOT EXISTS main." FR_TARGET_OFFSETS " ("
    "pipeline TEXT NOT NULL, sink TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, "
    "topic_id TEXT NOT NULL DEFAULT '', next_offset INTEGER NOT NULL, epoch INTEGER NOT NULL, "
    "changed TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, "
    "PRIMARY KEY (pipeline, sink, topic, partition)) STRICT; "
    "CREATE TABLE IF NOT EXISTS main." FR_TARGET_PARKED " ("
    "pipeline TEXT NOT NULL, sink TEXT NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL, "
    "parked TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, "
    "PRIMARY KEY (pipeline, sink, topic, key)) STRICT";
_Static_assert(sizeof("run: ") + sizeof(own_ddl) <= sizeof(((fr_err *)0)->hint), "cut in a hint");

static const char claim_sql[] =
    "INSERT INTO main." FR_TARGET_OFFSETS " (pipeline, sink, topic, partition, next_offset, epoch) "
    "VALUES (?1, ?2, ?3, ?4, -1, 1) ON CONFLICT (pipeline, sink, topic, partition) DO UPDATE "
    "SET epoch = epoch + 1, changed = CURRENT_TIMESTAMP RETURNING epoch, next_offset, "
    "topic_id";

static const char put_sql[] =
    "UPDATE main." FR_TARGET_OFFSETS " SET next_offset = ?5, changed = CURRENT_TIMESTAMP, "
    "topic_id = COALESCE(NULLIF(?7, ''), topic_id) "
    "WHERE pipeline = ?1 AND sink = ?2 AND topic = ?3 AND partition = ?4 AND epoch = ?6";

static const char park_sql[] =
    "INSERT INTO main." FR_TARGET_PARKED " (pipeline, sink, topic, key) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT DO NOTHING";

static const char unpark_sql[] = "DELETE FROM main." FR_TARGET_PARKED
                                 " WHERE pipeline = ?1 AND sink = ?2 AND topic = ?3 AND key = ?4";

static const char parked_sql[] = "SELECT key FROM main." FR_TARGET_PARKED
                                 " WHERE pipeline = ?1 AND sink = ?2 AND topic = ?3 ORDER BY key";

static void bind_owner(fr_sq_sink *s, sqlite3_stmt *stmt, fr_str topic)
{
    fr_sq_sink_bind_text(stmt, 1, fr_cstr(s->settings->pipeline));
    fr_sq_sink_bind_text(stmt, 2, fr_cstr(s->settings->name));
    fr_sq_sink_bind_text(stmt, 3, topic);
}

/* ---- our tables ---- */

static fr_rc missing(fr_sq_sink *s, bool create, bool plan_only, fr_findings *out, fr_err *err)
{
    if (plan_only) {
        fr_target_plan_own_tables(out, create, s->stand_in ? "the file, with " : "",
                                  FR_STR(own_ddl));
        return FR_OK;
    }
    return create ? fr_sq_sink_ddl(s, FR_STR(own_ddl), err)
                  : fr_target_no_own_tables(err, FR_STR(own_ddl));
}

fr_rc fr_sq_sink_own_tables(fr_sq_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err)
{
    int64_t count;
    if (s->has_own_tables)
        return FR_OK;
    if (!plan_only)
        FR_TRY(fr_sq_sink_begin(s, err));
    FR_TRY(fr_sq_sink_number(s, "look for " FR_TARGET_OFFSETS,
                             "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND "
                             "lower(name) IN ('" FR_TARGET_OFFSETS "', '" FR_TARGET_PARKED "')",
                             &count, err));
    if (count < 2)
        FR_TRY(missing(s, create, plan_only, out, err));
    s->has_own_tables = !plan_only;
    return FR_OK;
}

/* ---- claim ---- */

static fr_rc claim_one(fr_sq_sink *s, sqlite3_stmt *stmt, fr_offset *o, fr_err *err)
{
    bind_owner(s, stmt, o->topic);
    sqlite3_bind_int(stmt, 4, o->partition);
    fr_rc rc = fr_sq_sink_step(s, "claim partitions", stmt, err);
    if (rc != FR_OK)
        return rc == FR_FAIL ? rc : fr_fail(err, FR_ERR_BUG, "claim partitions: no row");
    fr_target_keep_claim(s->claims, o->topic, o->partition, sqlite3_column_int64(stmt, 0));
    o->next = sqlite3_column_int64(stmt, 1);
    const char *id = (const char *)sqlite3_column_text(stmt, 2);
    fr_target_topic_id(o->topic_id, fr_cstr(id != NULL ? id : ""));
    rc = fr_sq_sink_step(s, "claim partitions", stmt, err);
    sqlite3_reset(stmt);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc claim(fr_sq_sink *s, fr_offsets *offsets, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    FR_TRY(fr_sq_sink_begin(s, err));
    FR_TRY(fr_sq_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err));
    FR_TRY(fr_sq_sink_compile(s, "claim partitions", FR_STR(claim_sql), false, &stmt, err));
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < offsets->count && rc == FR_OK; i++)
        rc = claim_one(s, stmt, &offsets->items[i], err);
    sqlite3_finalize(stmt);
    return rc == FR_FAIL ? rc : fr_sq_sink_end(s, err);
}

fr_rc fr_sq_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    if (s->in_txn)
        return fr_fail(err, FR_ERR_BUG, "claim inside a transaction: commit or roll back first");
    return claim(s, offsets, err) == FR_FAIL ? fr_sq_sink_failed(s, err) : FR_OK;
}

/* ---- commit ---- */

static fr_rc put_offset(fr_sq_sink *s, const fr_offset *o, fr_err *err)
{
    int64_t epoch;
    FR_TRY(fr_target_claim(s->claims, o, &epoch, err));
    bind_owner(s, s->put, o->topic);
    sqlite3_bind_int(s->put, 4, o->partition);
    sqlite3_bind_int64(s->put, 5, o->next);
    sqlite3_bind_int64(s->put, 6, epoch);
    fr_sq_sink_bind_text(s->put, 7, fr_cstr(o->topic_id));
    FR_TRY(fr_sq_sink_step(s, "put offsets", s->put, err));
    if (sqlite3_changes(s->db) == 1)
        return FR_OK;
    return fr_target_fenced(err, "claimed a partition of this sink");
}

static fr_rc commit(fr_sq_sink *s, const fr_offsets *offsets, fr_err *err)
{
    FR_TRY(fr_sq_sink_begin(s, err));
    FR_TRY(fr_sq_sink_compile(s, "put offsets", FR_STR(put_sql), true, &s->put, err));
    for (size_t i = 0; i < offsets->count; i++)
        FR_TRY(put_offset(s, &offsets->items[i], err));
    return fr_sq_sink_end(s, err);
}

fr_rc fr_sq_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    if (!s->in_txn && offsets->count == 0)
        return FR_OK;
    if (FR_FAILPOINT("sink_before_commit")) {
        fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
        return fr_sq_sink_failed(s, err);
    }
    if (commit(s, offsets, err) == FR_FAIL) {
        fr_sq_sink_failed(s, err);
        return fr_fail_in(err, "commit");
    }
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    if (FR_FAILPOINT("sink_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit");
    return FR_OK;
}

/* ---- parked keys ---- */

static fr_rc change_parked(fr_sink *base, const char *sql, fr_str topic, fr_str key, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    sqlite3_stmt *stmt = NULL;
    if (fr_sq_sink_begin(s, err) == FR_FAIL ||
        fr_sq_sink_compile(s, "parked keys", fr_cstr(sql), false, &stmt, err) == FR_FAIL)
        return fr_sq_sink_failed(s, err);
    bind_owner(s, stmt, topic);
    fr_sq_sink_bind_blob(stmt, 4, key.ptr, key.len);
    fr_rc rc = fr_sq_sink_step(s, "parked keys", stmt, err);
    sqlite3_finalize(stmt);
    return rc == FR_FAIL ? fr_sq_sink_failed(s, err) : FR_OK;
}

fr_rc fr_sq_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_parked(base, park_sql, topic, key, err);
}

fr_rc fr_sq_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_parked(base, unpark_sql, topic, key, err);
}

static fr_rc need_own_tables(fr_sq_sink *s, fr_err *err)
{
    if (s->has_own_tables || s->in_txn)
        return FR_OK;
    FR_TRY(fr_sq_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err));
    return fr_sq_sink_end(s, err);
}

static fr_rc read_parked(fr_sq_sink *s, sqlite3_stmt *stmt, fr_arena *a, fr_buf *keys, fr_err *err)
{
    fr_rc rc;
    while ((rc = fr_sq_sink_step(s, "parked keys", stmt, err)) == FR_OK) {
        fr_str key = fr_sq_sink_column(a, stmt, 0);
        fr_buf_put(keys, &key, sizeof(key));
    }
    return rc;
}

fr_rc fr_sq_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    sqlite3_stmt *stmt = NULL;
    fr_buf keys = {.arena = a};
    fr_buf_room(&keys, sizeof(fr_str));
    if (need_own_tables(s, err) == FR_FAIL ||
        fr_sq_sink_compile(s, "parked keys", FR_STR(parked_sql), false, &stmt, err) == FR_FAIL)
        return fr_sq_sink_failed(s, err);
    bind_owner(s, stmt, topic);
    fr_rc rc = read_parked(s, stmt, a, &keys, err);
    sqlite3_finalize(stmt);
    if (rc == FR_FAIL)
        return fr_sq_sink_failed(s, err);
    *keys_out = (fr_str *)(void *)keys.ptr;
    *count_out = keys.len / sizeof(fr_str);
    return FR_OK;
}
