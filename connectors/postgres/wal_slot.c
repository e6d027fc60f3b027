#include "connectors/postgres/wal_slot.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "connectors/postgres/wal_source.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Slot creation waits for all transactions that are open to end. */
enum { WAIT_SECONDS = 120, SAY_SECONDS = 5, WIND_UP_SECONDS = 5 };

/* ---- making ---- */

/* Names end with this: nobody else's, and a DBA sees which process it was. */
static fr_str name_end(fr_arena *a)
{
    return fr_arena_printf(a, "%d_%" PRIx64, (int)getpid(), (uint64_t)fr_wall_us() & 0xffffffffff);
}

static fr_str create_sql(const fr_wal_source *s, fr_arena *a, bool temporary)
{
    fr_str name =
        temporary ? fr_arena_printf(a, "freshet_view_%.*s", FR_ARG(name_end(a))) : fr_cstr(s->slot);
    const char *options = s->version < 150000 ? "EXPORT_SNAPSHOT" : "(SNAPSHOT 'export')";
    if (s->version >= 170000 && !temporary && !s->in_recovery)
        options = "(SNAPSHOT 'export', FAILOVER true)";
    fr_str quoted = fr_pg_ident(a, name, NULL);
    return fr_arena_printf(a, "CREATE_REPLICATION_SLOT %.*s%s LOGICAL pgoutput %s", FR_ARG(quoted),
                           temporary ? " TEMPORARY" : "", options);
}

/* "pid 4711 (user app, xid 748, since 12:01:02), ...": who has to end first. */
static void blockers(PGconn *sql, char *out, size_t size)
{
    fr_err ignored;
    PGresult *res = NULL;
    snprintf(out, size, "an open transaction");
    if (fr_pg_query(sql, "find open transactions",
                    "SELECT pg_catalog.string_agg(who, ', ') FROM (SELECT * FROM ("
                    " SELECT 'pid ' || pid || coalesce(' (user ' || usename || ')', '')"
                    "  || ' xid ' || backend_xid || coalesce(' since ' || xact_start::text, '')"
                    "  AS who, coalesce(xact_start, 'infinity') AS since"
                    "  FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL"
                    " UNION ALL SELECT 'prepared transaction ' || pg_catalog.quote_literal(gid)"
                    "  || ' xid ' || transaction || ' since ' || prepared, prepared"
                    "  FROM pg_catalog.pg_prepared_xacts) t ORDER BY since LIMIT 3) f",
                    NULL, 0, &res, &ignored) == FR_FAIL)
        return;
    if (!PQgetisnull(res, 0, 0))
        snprintf(out, size, "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
}

/* True: the command has ended, one way or the other. False too when we are to give up. */
static bool ended(PGconn *conn, int64_t deadline)
{
    while (PQisBusy(conn)) {
        int64_t left = deadline - fr_now_us();
        if (left <= 0)
            return false;
        if (fr_cancelled())
            return false;
        struct pollfd p = {.fd = PQsocket(conn), .events = POLLIN};
        int ready = poll(&p, 1,
                         left > INT64_C(1000) * FR_CANCEL_TICK_MS ? FR_CANCEL_TICK_MS
                                                                  : (int)(left / 1000) + 1);
        if (ready < 0 && errno != EINTR)
            return true;
        if (ready > 0 && PQconsumeInput(conn) == 0)
            return true;
    }
    return true;
}

static void cancel(PGconn *repl, PGconn *sql)
{
    fr_err ignored;
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", PQbackendPID(repl));
    const char *param = pid;
    PGresult *res = NULL;
    if (fr_pg_query(sql, "cancel", "SELECT pg_catalog.pg_cancel_backend($1::int)", &param, 1, &res,
                    &ignored) == FR_OK)
        PQclear(res);
    ended(repl, fr_now_us() + WIND_UP_SECONDS * INT64_C(1000000));
}

/* There is no time to see it done. Should it not be, `creating` stands in the checkpoint, and
 * the next start replaces the slot. */
static void cancel_unseen(PGconn *repl, PGconn *sql)
{
    char text[64];
    snprintf(text, sizeof(text), "SELECT pg_catalog.pg_cancel_backend(%d)", PQbackendPID(repl));
    (void)PQsendQuery(sql, text);
    (void)PQflush(sql);
}

static fr_rc wait_for_slot(fr_wal_source *s, PGconn *repl, PGconn *sql, fr_err *err)
{
    int64_t deadline = fr_now_us() + WAIT_SECONDS * INT64_C(1000000);
    char who[400];
    while (!ended(repl, fr_now_us() + SAY_SECONDS * INT64_C(1000000))) {
        if (fr_cancel_check(err) == FR_FAIL) {
            cancel_unseen(repl, sql);
            return FR_FAIL;
        }
        blockers(sql, who, sizeof(who));
        if (fr_now_us() < deadline && !FR_FAILPOINT("pg.slot_wait")) {
            fr_log(FR_LOG_INFO, s->application, "slot %s waits for transactions to end: %s",
                   s->slot, who);
            continue;
        }
        cancel(repl, sql);
        fr_fail(err, FR_ERR_BUSY, "slot %s could not be made in %d s: waits for %s", s->slot,
                WAIT_SECONDS, who);
        fr_fail_code(err, "pg.slot_wait");
        return fr_fail_hint(err, "let these transactions end, or end them: SELECT "
                                 "pg_terminate_backend(PID); ROLLBACK PREPARED 'NAME';");
    }
    return FR_OK;
}

static fr_rc slot_refused(const fr_wal_source *s, fr_err *err)
{
    if (strcmp(err->sqlstate, "42710") == 0) { /* duplicate_object */
        fr_fail_code(err, "pg.slot_exists");
        fr_fail_hint(err,
                     "another pipeline may own it: choose another log.slot, or, if it is "
                     "left over: SELECT pg_drop_replication_slot('%s');",
                     s->slot);
    } else if (strncmp(err->sqlstate, "53", 2) == 0) {
        err->kind = FR_ERR_CONFIG;
        fr_fail_code(err, "pg.slots");
        fr_fail_hint(err, "raise max_replication_slots (needs a restart), or drop one that "
                          "nobody uses: SELECT * FROM pg_replication_slots WHERE NOT active;");
    } else if (strcmp(err->sqlstate, "42501") == 0) {
        fr_fail_code(err, "pg.role.replication");
        fr_fail_hint(err, "ALTER ROLE ... WITH REPLICATION");
    }
    return FR_FAIL;
}

fr_rc fr_wal_slot_create(fr_wal_source *s, PGconn *repl, PGconn *sql, bool temporary,
                         fr_wal_slot_made *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char *command = fr_arena_cstr(a, create_sql(s, a, temporary));
    fr_rc may = fr_cancel_check(err);
    int sent = may == FR_FAIL ? 0 : PQsendQuery(repl, command);
    fr_arena_free(a);
    FR_TRY(may);
    if (sent == 0)
        return fr_pg_fail(repl, NULL, "make the slot", err);
    FR_TRY(wait_for_slot(s, repl, sql, err));
    PGresult *res = PQgetResult(repl);
    fr_rc rc = FR_OK;
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        fr_pg_fail(repl, res, "make the slot", err);
        rc = slot_refused(s, err);
    } else if (!fr_pg_lsn_parse(fr_pg_text(res, 0, 1), &out->lsn)) {
        rc = fr_fail(err, FR_ERR_BUG, "make the slot: no consistent point");
    } else {
        snprintf(out->snapshot, sizeof(out->snapshot), "%s", PQgetvalue(res, 0, 2));
    }
    PQclear(res);
    while ((res = PQgetResult(repl)) != NULL)
        PQclear(res);
    return rc;
}

/* ---- what there is ---- */

typedef struct slot_state {
    bool exists, active, temporary, two_phase;
    int64_t active_pid;
    char plugin[FR_WAL_NAME_MAX], database[260], wal_status[24], invalidation[64];
    uint64_t confirmed, restart;
} slot_state;

static fr_rc slot_read(const fr_wal_source *s, const char *slot, PGconn *sql, slot_state *out,
                       fr_err *err)
{
    char text[400];
    snprintf(text, sizeof(text),
             "SELECT plugin, database, active, active_pid, confirmed_flush_lsn, restart_lsn,"
             " temporary, %s, %s, %s FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
             s->version >= 130000 ? "wal_status" : "NULL",
             s->version >= 170000   ? "invalidation_reason"
             : s->version >= 160000 ? "CASE WHEN conflicting THEN 'conflict with recovery' END"
                                    : "NULL",
             s->version >= 140000 ? "two_phase" : "NULL");
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(sql, "read the slot", text, &slot, 1, &res, err));
    *out = (slot_state){.exists = PQntuples(res) == 1};
    if (out->exists) {
        snprintf(out->plugin, sizeof(out->plugin), "%s", PQgetvalue(res, 0, 0));
        snprintf(out->database, sizeof(out->database), "%s", PQgetvalue(res, 0, 1));
        out->active = fr_pg_bool(res, 0, 2);
        out->active_pid = fr_pg_int(res, 0, 3, 0);
        fr_pg_lsn_parse(fr_pg_text(res, 0, 4), &out->confirmed);
        fr_pg_lsn_parse(fr_pg_text(res, 0, 5), &out->restart);
        out->temporary = fr_pg_bool(res, 0, 6);
        snprintf(out->wal_status, sizeof(out->wal_status), "%s", PQgetvalue(res, 0, 7));
        snprintf(out->invalidation, sizeof(out->invalidation), "%s", PQgetvalue(res, 0, 8));
        out->two_phase = fr_pg_bool(res, 0, 9);
    }
    PQclear(res);
    return FR_OK;
}

static fr_rc slot_active(const fr_wal_source *s, const slot_state *slot, fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "slot %s is active for PID %" PRId64, s->slot, slot->active_pid);
    fr_fail_code(err, "pg.slot_active");
    return fr_fail_hint(err,
                        "after a broken connection the server lets go within "
                        "wal_sender_timeout; else see who it is: SELECT * FROM "
                        "pg_stat_activity WHERE pid = %" PRId64 ";",
                        slot->active_pid);
}

static fr_rc slot_foreign(const fr_wal_source *s, const slot_state *slot, fr_err *err)
{
    bool ours = strcmp(slot->plugin, "pgoutput") == 0 && strcmp(slot->database, s->db) == 0;
    if (ours && !slot->two_phase)
        return FR_OK;
    if (ours) { /* rows before anybody knows whether they are committed */
        fr_fail(err, FR_ERR_CONFIG, "slot %s was made with two_phase", s->slot);
        fr_fail_code(err, "pg.slot_foreign");
        return fr_fail_hint(err, "choose another log.slot, which freshet makes");
    }
    fr_fail(err, FR_ERR_CONFIG, "slot %s is not ours: plugin %s, database %s", s->slot,
            slot->plugin[0] != '\0' ? slot->plugin : "none (a physical slot)",
            slot->database[0] != '\0' ? slot->database : "none");
    fr_fail_code(err, "pg.slot_foreign");
    return fr_fail_hint(err, "choose another log.slot");
}

fr_rc fr_wal_slot_clear(fr_wal_source *s, PGconn *sql, bool replace, fr_err *err)
{
    slot_state slot;
    FR_TRY(slot_read(s, s->slot, sql, &slot, err));
    if (!slot.exists)
        return FR_OK;
    FR_TRY(slot_foreign(s, &slot, err));
    if (!replace) {
        fr_fail(err, FR_ERR_POSITION, "slot %s exists already", s->slot);
        snprintf(err->sqlstate, sizeof(err->sqlstate), "42710");
        return slot_refused(s, err);
    }
    if (slot.active)
        return slot_active(s, &slot, err);
    const char *name = s->slot;
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(sql, "drop the slot", "SELECT pg_catalog.pg_drop_replication_slot($1)",
                       &name, 1, &res, err));
    PQclear(res);
    return FR_OK;
}

static fr_rc slot_missing(const fr_wal_source *s, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION, "slot %s does not exist: changes since our position are gone",
            s->slot);
    fr_fail_code(err, "pg.slot_missing");
    return fr_fail_hint(err,
                        "was it dropped, or did the database fail over? freshet position "
                        "reset %s starts over: a new slot, and a new snapshot",
                        s->settings->name);
}

fr_rc fr_wal_slot_position(fr_wal_source *s, PGconn *sql, fr_wal_position *out, fr_err *err)
{
    slot_state slot;
    FR_TRY(slot_read(s, s->slot, sql, &slot, err));
    if (!slot.exists)
        return slot_missing(s, err);
    FR_TRY(slot_foreign(s, &slot, err));
    fr_wal_position p = {.timeline = s->timeline, .end_lsn = slot.confirmed};
    snprintf(p.system_identifier, sizeof(p.system_identifier), "%s", s->system_identifier);
    snprintf(p.db, sizeof(p.db), "%s", s->db);
    snprintf(p.slot, sizeof(p.slot), "%s", s->slot);
    pthread_mutex_lock(&s->lock);
    p.epoch = s->epoch;
    pthread_mutex_unlock(&s->lock);
    *out = p;
    return FR_OK;
}

/* ---- may we go on? (R6) ---- */

static fr_rc lost(const fr_wal_source *s, const char *code, fr_err *err, const char *why)
{
    fr_fail(err, FR_ERR_POSITION, "%s", why);
    fr_fail_code(err, code);
    return fr_fail_hint(err,
                        "freshet position reset %s starts over: a new slot, and a new "
                        "snapshot",
                        s->settings->name);
}

/* Does the log of this slot go back to p? */
static fr_rc slot_reaches(const fr_wal_source *s, const slot_state *slot, const fr_wal_position *p,
                          fr_err *err)
{
    char why[500], ours[24], theirs[24];
    if (!slot->exists)
        return slot_missing(s, err);
    FR_TRY(slot_foreign(s, slot, err));
    if (strcmp(slot->wal_status, "lost") == 0 || slot->invalidation[0] != '\0' ||
        slot->restart == 0) {
        snprintf(why, sizeof(why), "slot %s was invalidated by the server%s%s%s", s->slot,
                 slot->invalidation[0] != '\0' ? " (" : "", slot->invalidation,
                 slot->invalidation[0] != '\0' ? ")" : ": max_slot_wal_keep_size was reached");
        return lost(s, "pg.slot_lost", err, why);
    }
    if (slot->confirmed > p->end_lsn) {
        fr_pg_lsn_text(ours, p->end_lsn);
        fr_pg_lsn_text(theirs, slot->confirmed);
        snprintf(why, sizeof(why),
                 "slot %s stands at %s, after our position %s: somebody advanced or re-created "
                 "it, or Kafka lost checkpoints; the changes between are gone",
                 s->slot, theirs, ours);
        return lost(s, "pg.slot_ahead", err, why);
    }
    return FR_OK;
}

/* The LSN where timeline `wanted` ended, from a history file ("1\t0/3000000\treason"). */
static bool switch_point(fr_str history, uint32_t wanted, uint64_t *out)
{
    while (history.len > 0) {
        const char *nl = memchr(history.ptr, '\n', history.len);
        size_t len = nl != NULL ? (size_t)(nl - history.ptr) : history.len;
        char line[200];
        snprintf(line, sizeof(line), "%.*s", (int)len, history.ptr);
        char *rest = NULL;
        unsigned long id = strtoul(line, &rest, 10);
        if (rest != line && id == wanted) {
            rest += strspn(rest, " \t");
            return fr_pg_lsn_parse((fr_str){rest, strcspn(rest, " \t")}, out);
        }
        history = (fr_str){history.ptr + len + (nl != NULL), history.len - len - (nl != NULL)};
    }
    return false;
}

static fr_rc timeline_verify(const fr_wal_source *s, PGconn *repl, uint32_t now, fr_wal_position *p,
                             fr_err *err)
{
    if (now == p->timeline)
        return FR_OK;
    char why[500], command[40], ours[24], theirs[24] = "an unknown place";
    uint64_t end = 0;
    bool known = false;
    if (now > p->timeline) {
        PGresult *res = NULL;
        snprintf(command, sizeof(command), "TIMELINE_HISTORY %u", now);
        FR_TRY(fr_pg_query(repl, "read the timeline's history", command, NULL, 0, &res, err));
        known = PQntuples(res) == 1 && switch_point(fr_pg_text(res, 0, 1), p->timeline, &end);
        PQclear(res);
    }
    if (known && p->end_lsn <= end) {
        p->timeline = now;
        p->epoch++;
        return FR_OK;
    }
    fr_pg_lsn_text(ours, p->end_lsn);
    if (known)
        fr_pg_lsn_text(theirs, end);
    snprintf(why, sizeof(why),
             "the server is on timeline %u, which left ours (%u) at %s, but we published up to "
             "%s: the failover lost transactions that are in Kafka (%" PRIu64 " bytes of log)",
             now, p->timeline, theirs, ours, known ? p->end_lsn - end : 0);
    return lost(s, "pg.timeline", err, why);
}

static fr_rc system_verify(fr_wal_source *s, PGconn *repl, fr_wal_position *p, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(repl, "identify the system", "IDENTIFY_SYSTEM", NULL, 0, &res, err));
    char system[24], why[700], ours[24], theirs[24];
    snprintf(system, sizeof(system), "%s", PQgetvalue(res, 0, 0));
    uint32_t timeline = (uint32_t)fr_pg_int(res, 0, 1, 0);
    uint64_t server = 0;
    fr_pg_lsn_parse(fr_pg_text(res, 0, 2), &server);
    PQclear(res);
    if (strcmp(system, p->system_identifier) != 0) {
        snprintf(why, sizeof(why),
                 "this is another database cluster: system identifier %s, our position is of %s",
                 system, p->system_identifier);
        return lost(s, "pg.system_identifier", err, why);
    }
    if (strcmp(s->db, p->db) != 0) {
        snprintf(why, sizeof(why), "our position is of database %s, the dsn names %s", p->db,
                 s->db);
        return lost(s, "pg.database", err, why);
    }
    FR_TRY(timeline_verify(s, repl, timeline, p, err));
    if (server < p->end_lsn) {
        fr_pg_lsn_text(ours, p->end_lsn);
        fr_pg_lsn_text(theirs, server);
        snprintf(why, sizeof(why),
                 "the server's log ends at %s, before our position %s: it was restored from a "
                 "backup, or lost its last transactions",
                 theirs, ours);
        return lost(s, "pg.server_behind", err, why);
    }
    return FR_OK;
}

fr_rc fr_wal_slot_verify(fr_wal_source *s, PGconn *repl, PGconn *sql, fr_wal_position *p,
                         uint64_t *confirmed_out, fr_err *err)
{
    slot_state slot;
    FR_TRY(system_verify(s, repl, p, err));
    FR_TRY(slot_read(s, s->slot, sql, &slot, err));
    FR_TRY(slot_reaches(s, &slot, p, err));
    *confirmed_out = slot.confirmed;
    return slot.active ? slot_active(s, &slot, err) : FR_OK;
}

/* ---- a second reader's ---- */

static fr_rc copy_refused(const fr_wal_source *s, fr_err *err)
{
    if (strcmp(err->sqlstate, "42704") == 0) /* undefined_object */
        return slot_missing(s, err);
    if (strcmp(err->sqlstate, "55000") == 0) { /* invalidated, or it keeps no log any more */
        err->kind = FR_ERR_POSITION;
        return fr_fail_code(err, "pg.slot_lost");
    }
    slot_refused(s, err);
    bool now = strncmp(err->sqlstate, "53", 2) == 0 || strcmp(err->sqlstate, "42710") == 0 ||
               strcmp(err->sqlstate, "0A000") == 0 || strcmp(err->sqlstate, "XX000") == 0;
    if (now) /* no room, a name that is taken, or the slot changed meanwhile */
        err->kind = FR_ERR_BUSY;
    return FR_FAIL;
}

static fr_rc copy_slot(const fr_wal_source *s, PGconn *repl, const char *to, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str sql =
        fr_arena_printf(a, "SELECT pg_catalog.pg_copy_logical_replication_slot(%.*s, %.*s, true)",
                        FR_ARG(fr_pg_literal(a, fr_cstr(s->slot), NULL)),
                        FR_ARG(fr_pg_literal(a, fr_cstr(to), NULL)));
    PGresult *res = NULL;
    fr_rc rc = fr_pg_query(repl, "copy the slot", fr_arena_cstr(a, sql), NULL, 0, &res, err);
    PQclear(res);
    fr_arena_free(a);
    return rc == FR_FAIL ? copy_refused(s, err) : FR_OK;
}

fr_rc fr_wal_slot_copy(fr_wal_source *s, PGconn *repl, PGconn *sql, fr_wal_position *p,
                       char name_out[FR_WAL_NAME_MAX], fr_err *err)
{
    slot_state slot;
    if (s->version < 120000) {
        fr_fail(err, FR_ERR_CONFIG,
                "PostgreSQL %d cannot copy a slot, so that its log has one reader only",
                s->version / 10000);
        fr_fail_code(err, "source.beside");
        return fr_fail_hint(err, "PostgreSQL 12 and later can");
    }
    FR_TRY(system_verify(s, repl, p, err));
    FR_TRY(slot_read(s, s->slot, sql, &slot, err));
    FR_TRY(slot_reaches(s, &slot, p, err));
    fr_arena *a = fr_arena_new(0);
    snprintf(name_out, FR_WAL_NAME_MAX, "%.32s_beside_%.*s", s->slot, FR_ARG(name_end(a)));
    fr_arena_free(a);
    FR_TRY(copy_slot(s, repl, name_out, err));
    /* The slot may have moved before it was copied; the copy does not. */
    FR_TRY(slot_read(s, name_out, sql, &slot, err));
    if (!slot.exists) { /* it is temporary: the end of the session that made it took it along */
        fr_fail(err, FR_ERR_CONNECT, "the copy of slot %s is gone with its connection", s->slot);
        return fr_fail_code(err, "pg.copy_gone");
    }
    return slot_reaches(s, &slot, p, err);
}
