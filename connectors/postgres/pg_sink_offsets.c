/* The two tables of our own: who owns a partition and where it stands (R30), and the keys
 * whose messages go to the dead-letter topic (R36). */
#include "base/clock.h"
#include "base/failpoint.h"
#include "postgres/pg_sink.h"
#include "sql/evolve.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char offsets_ddl[] =
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_OFFSETS " ("
    "pipeline text NOT NULL, sink text NOT NULL, topic text NOT NULL, partition integer NOT NULL, "
    "topic_id text NOT NULL DEFAULT '', next_offset bigint NOT NULL, epoch bigint NOT NULL, "
    "changed timestamptz NOT NULL DEFAULT now(), "
    "PRIMARY KEY (pipeline, sink, topic, partition))";
static const char parked_ddl[] =
    "CREATE TABLE IF NOT EXISTS " FR_TARGET_PARKED " ("
    "pipeline text NOT NULL, sink text NOT NULL, topic text NOT NULL, key bytea NOT NULL, "
    "parked timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, sink, topic, key))";

/* pipeline, sink, topics, partitions. Two claims at once meet in the same order. */
static const char claim_sql[] =
    "INSERT INTO " FR_TARGET_OFFSETS " AS o (pipeline, sink, topic, partition, next_offset, epoch) "
    "SELECT $1, $2, u.t, u.p, -1, 1 FROM unnest($3::text[], $4::int4[]) u(t, p) "
    "ORDER BY u.t, u.p ON CONFLICT (pipeline, sink, topic, partition) DO UPDATE "
    "SET epoch = o.epoch + 1, changed = now() RETURNING topic, partition, epoch, next_offset, "
    "topic_id";

/* ..., next offsets, epochs, ids of topics, how many. A division by zero is how one statement of a
 * pipeline keeps the next one, COMMIT, from running. */
static const char commit_sql[] =
    "WITH w AS (UPDATE " FR_TARGET_OFFSETS " o SET next_offset = u.n, changed = now(), "
    "topic_id = coalesce(nullif(u.i, ''), o.topic_id) FROM "
    "unnest($3::text[], $4::int4[], $5::int8[], $6::int8[], $7::text[]) u(t, p, n, e, i) "
    "WHERE o.pipeline = $1 AND o.sink = $2 AND o.topic = u.t AND o.partition = u.p "
    "AND o.epoch = u.e RETURNING 1) "
    "SELECT 1 / CASE WHEN (SELECT count(*) FROM w) = $8 THEN 1 ELSE 0 END";
#define COMMIT_NAME "freshet_offsets"
static const uint32_t commit_types[] = {25, 25, 1009, 1007, 1016, 1016, 1009, 20};
enum { COMMIT_PARAMETERS = 8, TAG_OFFSETS = 1, TAG_COMMIT = 2 };

/* ---- our tables ---- */

static fr_rc is_there(PGconn *conn, bool *there, bool *allowed, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "look for " FR_TARGET_OFFSETS,
                       "SELECT count(c.oid), coalesce(bool_and(has_table_privilege(c.oid, 'SELECT')"
                       " AND has_table_privilege(c.oid, 'INSERT') AND "
                       "has_table_privilege(c.oid, 'UPDATE')), true) FROM pg_class c WHERE c.oid "
                       "IN (to_regclass('" FR_TARGET_OFFSETS "'), to_regclass('" FR_TARGET_PARKED
                       "'))",
                       NULL, 0, &res, err));
    *there = fr_pg_int(res, 0, 0, 0) == 2;
    *allowed = fr_pg_bool(res, 0, 1);
    PQclear(res);
    return FR_OK;
}

static void grants_finding(fr_pg_sink *s, fr_findings *out)
{
    fr_finding *f =
        fr_findings_add(out, FR_BLOCKER, "sink.grants",
                        "no rights on the tables " FR_TARGET_OFFSETS " and " FR_TARGET_PARKED);
    fr_str user = fr_pg_ident(out->arena, fr_cstr(PQuser(s->conn)), NULL);
    f->sql = fr_arena_printf(out->arena,
                             "GRANT SELECT, INSERT, UPDATE, DELETE ON " FR_TARGET_OFFSETS
                             ", " FR_TARGET_PARKED " TO %.*s",
                             FR_ARG(user));
    f->hint = FR_STR("grant them to the user of the dsn");
}

fr_rc fr_pg_sink_own_tables(fr_pg_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err)
{
    bool there, allowed;
    if (s->has_own_tables)
        return FR_OK;
    FR_TRY(is_there(s->conn, &there, &allowed, err));
    fr_arena *a = fr_arena_new(0);
    fr_str sql = fr_arena_printf(a, "%s; %s", offsets_ddl, parked_ddl);
    fr_rc rc = FR_OK;
    if (there && !allowed && plan_only) {
        grants_finding(s, out);
    } else if (!there && plan_only) {
        fr_target_plan_own_tables(out, create, "", sql);
    } else if (!there && create) {
        rc = fr_pg_sink_ddl(s, sql, err);
    } else if (!there) {
        rc = fr_target_no_own_tables(err, sql);
    }
    s->has_own_tables = rc == FR_OK && !plan_only;
    fr_arena_free(a);
    return rc;
}

/* ---- claim ---- */

static fr_str claim_key(fr_arena *a, fr_str topic, int32_t partition)
{
    return fr_arena_printf(a, "%d:%.*s", partition, FR_ARG(topic));
}

static void put_text_element(fr_buf *b, fr_str text)
{
    fr_buf_u32be(b, (uint32_t)text.len);
    fr_buf_str(b, text);
}

static void put_places(const fr_offsets *offsets, fr_buf *topics, fr_buf *partitions)
{
    fr_pg_array_begin(topics, fr_pg_send_oid(FR_PG_SEND_TEXT));
    fr_pg_array_begin(partitions, fr_pg_send_oid(FR_PG_SEND_INT4));
    for (size_t i = 0; i < offsets->count; i++) {
        put_text_element(topics, offsets->items[i].topic);
        fr_buf_u32be(partitions, 4);
        fr_buf_u32be(partitions, (uint32_t)offsets->items[i].partition);
    }
    fr_pg_array_end(topics, offsets->count);
    fr_pg_array_end(partitions, offsets->count);
}

static void take_claims(fr_pg_sink *s, fr_arena *a, const PGresult *res, fr_offsets *offsets)
{
    fr_map *next = fr_map_new();
    for (int i = 0; i < PQntuples(res); i++) {
        fr_str topic = fr_pg_text(res, i, 0);
        int32_t partition = (int32_t)fr_pg_int(res, i, 1, -1);
        fr_offset *place = fr_arena_alloc(a, sizeof(*place));
        place->next = fr_pg_int(res, i, 3, -1);
        fr_target_topic_id(place->topic_id, fr_pg_text(res, i, 4));
        fr_target_keep_claim(s->claims, topic, partition, fr_pg_int(res, i, 2, 0));
        fr_map_set(next, claim_key(a, topic, partition), place);
    }
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        const fr_offset *place = fr_map_get(next, claim_key(a, o->topic, o->partition));
        o->next = place != NULL ? place->next : -1;
        fr_target_topic_id(o->topic_id, fr_cstr(place != NULL ? place->topic_id : ""));
    }
    fr_map_free(next, NULL);
}

fr_rc fr_pg_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    if (s->in_txn)
        return fr_fail(err, FR_ERR_BUG, "claim inside a transaction: commit or roll back first");
    if (fr_pg_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err) == FR_FAIL)
        return fr_pg_sink_failed(s, err);
    if (offsets->count == 0)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_buf topics = {.arena = a}, partitions = {.arena = a};
    put_places(offsets, &topics, &partitions);
    const char *values[] = {s->settings->pipeline, s->settings->name, (char *)topics.ptr,
                            (char *)partitions.ptr};
    int lengths[] = {0, 0, (int)topics.len, (int)partitions.len}, formats[] = {0, 0, 1, 1};
    PGresult *res = NULL;
    fr_rc rc = fr_pg_ask(s->conn, claim_sql, values, lengths, formats, 4, false, &res, err);
    if (rc == FR_FAIL) {
        rc = fr_pg_sink_failed(s, err);
    } else if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        take_claims(s, a, res, offsets);
    } else {
        fr_pg_fail(s->conn, res, "claim partitions", err);
        rc = fr_pg_sink_failed(s, err);
    }
    PQclear(res);
    fr_arena_free(a);
    return rc;
}

/* ---- commit ---- */

static fr_rc queue_offsets(fr_pg_sink *s, fr_arena *a, const fr_offsets *offsets, fr_err *err)
{
    fr_buf b[6];
    for (int i = 0; i < 6; i++)
        b[i] = (fr_buf){.arena = a};
    put_places(offsets, &b[0], &b[1]);
    fr_pg_array_begin(&b[2], fr_pg_send_oid(FR_PG_SEND_INT8));
    fr_pg_array_begin(&b[3], fr_pg_send_oid(FR_PG_SEND_INT8));
    fr_pg_array_begin(&b[4], fr_pg_send_oid(FR_PG_SEND_TEXT));
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        int64_t epoch;
        FR_TRY(fr_target_claim(s->claims, o, &epoch, err));
        fr_buf_u32be(&b[2], 8);
        fr_buf_u64be(&b[2], (uint64_t)o->next);
        fr_buf_u32be(&b[3], 8);
        fr_buf_u64be(&b[3], (uint64_t)epoch);
        put_text_element(&b[4], fr_cstr(o->topic_id));
    }
    fr_pg_array_end(&b[2], offsets->count);
    fr_pg_array_end(&b[3], offsets->count);
    fr_pg_array_end(&b[4], offsets->count);
    fr_buf_u64be(&b[5], offsets->count);
    const char *values[COMMIT_PARAMETERS] = {s->settings->pipeline, s->settings->name};
    int lengths[COMMIT_PARAMETERS] = {(int)strlen(values[0]), (int)strlen(values[1])};
    for (int i = 0; i < 6; i++) {
        values[2 + i] = (const char *)b[i].ptr;
        lengths[2 + i] = (int)b[i].len;
    }
    if (!s->offsets_prepared)
        FR_TRY(fr_pg_pipe_prepare(&s->pipe, COMMIT_NAME, commit_sql, commit_types,
                                  COMMIT_PARAMETERS, err));
    s->offsets_prepared = true;
    return fr_pg_pipe_run(&s->pipe, COMMIT_NAME, values, lengths, COMMIT_PARAMETERS, TAG_OFFSETS,
                          err);
}

static fr_rc queue_commit(fr_pg_sink *s, const fr_offsets *offsets, fr_err *err)
{
    FR_TRY(fr_pg_sink_begin(s, err));
    if (offsets->count > 0) {
        fr_arena *a = fr_arena_new(0);
        fr_rc rc = queue_offsets(s, a, offsets, err);
        fr_arena_free(a);
        FR_TRY(rc);
    }
    return fr_pg_pipe_text(&s->pipe, "COMMIT", TAG_COMMIT, err);
}

static fr_rc commit_failed(fr_pg_sink *s, size_t tag, fr_err *err)
{
    if (tag == TAG_OFFSETS && strcmp(err->sqlstate, "22012") == 0) {
        fr_target_fenced(err, "claimed a partition of this sink");
    }
    fr_pg_sink_failed(s, err);
    return fr_fail_in(err, "commit");
}

fr_rc fr_pg_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    size_t tag = (size_t)FR_PG_NO_TAG;
    if (!s->in_txn && offsets->count == 0)
        return FR_OK;
    if (FR_FAILPOINT("sink_before_commit")) {
        fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
        return fr_pg_sink_failed(s, err);
    }
    if (queue_commit(s, offsets, err) == FR_FAIL ||
        fr_pg_pipe_drain(&s->pipe, "commit", &tag, err) == FR_FAIL)
        return commit_failed(s, tag, err);
    if (s->changed_ddl)
        fr_pg_sink_know_all(s);
    s->in_txn = s->savepoint = s->deferred = s->changed_ddl = false;
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    if (FR_FAILPOINT("sink_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit");
    return FR_OK;
}

/* ---- parked keys ---- */

static fr_rc run_parked(fr_pg_sink *s, const char *sql, fr_str topic, fr_str key, int count,
                        PGresult **out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char *values[] = {s->settings->pipeline, s->settings->name, fr_arena_cstr(a, topic),
                            key.len > 0 ? key.ptr : ""};
    int lengths[] = {0, 0, 0, (int)key.len}, formats[] = {0, 0, 0, 1};
    PGresult *res = NULL;
    fr_rc rc = fr_pg_ask(s->conn, sql, values, lengths, formats, count, true, &res, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return fr_pg_sink_failed(s, err);
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        *out = res;
        return FR_OK;
    }
    fr_pg_fail(s->conn, res, "parked keys", err);
    PQclear(res);
    return fr_pg_sink_failed(s, err);
}

static fr_rc change_parked(fr_sink *base, const char *sql, fr_str topic, fr_str key, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    if (fr_pg_sink_begin(s, err) == FR_FAIL ||
        fr_pg_pipe_drain(&s->pipe, "begin", NULL, err) == FR_FAIL)
        return fr_pg_sink_failed(s, err);
    PGresult *res = NULL;
    FR_TRY(run_parked(s, sql, topic, key, 4, &res, err));
    PQclear(res);
    return FR_OK;
}

fr_rc fr_pg_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_parked(base,
                         "INSERT INTO " FR_TARGET_PARKED " (pipeline, sink, topic, key) "
                         "VALUES ($1, $2, $3, $4::bytea) ON CONFLICT DO NOTHING",
                         topic, key, err);
}

fr_rc fr_pg_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_parked(base,
                         "DELETE FROM " FR_TARGET_PARKED " WHERE pipeline = $1 AND sink = $2 "
                         "AND topic = $3 AND key = $4::bytea",
                         topic, key, err);
}

fr_rc fr_pg_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    if (fr_pg_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, false, NULL, err) == FR_FAIL)
        return fr_pg_sink_failed(s, err);
    PGresult *res = NULL;
    FR_TRY(run_parked(s,
                      "SELECT key FROM " FR_TARGET_PARKED
                      " WHERE pipeline = $1 AND sink = $2 AND topic = $3 ORDER BY key",
                      topic, FR_STR(""), 3, &res, err));
    size_t n = (size_t)PQntuples(res);
    fr_str *keys = fr_arena_alloc(a, (n + 1) * sizeof(fr_str));
    for (size_t i = 0; i < n; i++)
        keys[i] = fr_arena_copy(a, PQgetvalue(res, (int)i, 0), (size_t)PQgetlength(res, (int)i, 0));
    PQclear(res);
    *keys_out = keys;
    *count_out = n;
    return FR_OK;
}
