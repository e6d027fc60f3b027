/* The pre-flight catalogue: everything that plan says about a PostgreSQL source. Reads only. */
#include "connectors/postgres/wal_source.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct check {
    const fr_source_settings *settings;
    const fr_wal_config *config;
    fr_wal_source *s;
    PGconn *conn;
    fr_findings *out;
    fr_arena *a; /* out's */
    char role[FR_WAL_NAME_MAX * 2];
    fr_wal_catalog catalog;
    bool slot_exists, may_replicate;
} check;

static fr_str text_of(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static fr_str text_of(check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fr_str s = fr_arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    return s;
}

static void fixed_by(fr_finding *f, fr_sql_cost class, fr_str sql, fr_str why, fr_str cost,
                     fr_str undo)
{
    f->class = class;
    f->sql = sql;
    f->why = why;
    f->cost = cost;
    f->undo = undo;
}

static fr_rc one_row(check *c, const char *doing, const char *sql, const char *param,
                     PGresult **out, fr_err *err)
{
    return fr_pg_query(c->conn, doing, sql, &param, param != NULL ? 1 : 0, out, err);
}

/* ---- connect, version, settings ---- */

static void blocked(check *c, const char *code, const fr_err *err)
{
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, code, "%s", err->text);
    f->hint = fr_arena_str(c->a, fr_cstr(fr_err_hint(err)));
}

/* What the connection was made with, as libpq understood it. */
static bool verified(PGconn *conn)
{
    bool full = false;
    PQconninfoOption *all = PQconninfo(conn);
    for (const PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "sslmode") == 0)
            full = o->val != NULL && strcmp(o->val, "verify-full") == 0;
    PQconninfoFree(all);
    return full;
}

static void check_tls(check *c)
{
    const char *protocol = PQsslInUse(c->conn) ? PQsslAttribute(c->conn, "protocol") : NULL;
    fr_severity severity = c->config->insecure ? FR_WARNING : FR_FINE;
    if (protocol == NULL)
        fr_findings_add(c->out, severity, "pg.connect", "no TLS (%s)",
                        c->config->insecure ? "insecure: true" : "this machine");
    else if (verified(c->conn))
        fr_findings_add(c->out, FR_FINE, "pg.connect", "%s, certificate verified", protocol);
    else
        fr_findings_add(c->out, severity, "pg.connect", "%s, certificate not checked (%s)",
                        protocol, c->config->insecure ? "insecure: true" : "this machine");
}

/* Before these, a change of the publication beside an open transaction can make the server
 * leave out that transaction's later changes (C16). */
static bool publication_bug(int version)
{
    static const int fixed[][2] = {{13, 21}, {14, 18}, {15, 13}, {16, 9}, {17, 5}};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (version / 10000 == fixed[i][0])
            return version % 10000 < fixed[i][1];
    return version < 130000;
}

static void check_version(check *c)
{
    int v = c->s->version;
    if (v < 100000)
        fr_findings_add(c->out, FR_BLOCKER, "pg.version",
                        "PostgreSQL %d.%d has no pgoutput; 10 or later is needed", v / 10000,
                        v / 100 % 100);
    else
        fr_findings_add(c->out, FR_FINE, "pg.version", "PostgreSQL %d.%d%s", v / 10000, v % 10000,
                        v < 140000 ? ": values as text, no logical messages (both from 14 on)"
                                   : "");
    if (v >= 100000 && publication_bug(v)) {
        fr_finding *f = fr_findings_add(
            c->out, FR_WARNING, "pg.version",
            "a table that is added to the publication while transactions are open on it can lose "
            "their changes (a server bug, mended in 13.21, 14.18, 15.13, 16.9, 17.5)");
        f->hint = FR_STR("update the server, or change the publication in a quiet moment");
    }
}

static fr_rc check_server(check *c, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(one_row(c, "read the server's settings",
                   "SELECT current_setting('wal_level'), pg_catalog.pg_is_in_recovery(),"
                   " current_database(), current_user",
                   NULL, &res, err));
    snprintf(c->s->db, sizeof(c->s->db), "%s", PQgetvalue(res, 0, 2));
    fr_str role = fr_pg_ident(c->a, fr_pg_text(res, 0, 3), NULL);
    snprintf(c->role, sizeof(c->role), "%.*s", FR_ARG(role));
    c->s->in_recovery = fr_pg_bool(res, 0, 1);
    fr_str level = fr_arena_str(c->a, fr_pg_text(res, 0, 0));
    PQclear(res);
    if (c->s->in_recovery)
        fr_findings_add(c->out, c->s->version >= 160000 ? FR_WARNING : FR_BLOCKER, "pg.recovery",
                        c->s->version >= 160000
                            ? "a standby: a slot here waits for activity on the primary"
                            : "a standby: logical decoding there needs PostgreSQL 16");
    else
        fr_findings_add(c->out, FR_FINE, "pg.recovery", "a primary");
    if (fr_str_is(level, "logical")) {
        fr_findings_add(c->out, FR_FINE, "pg.wal_level", "is logical");
        return FR_OK;
    }
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "pg.wal_level", "is %.*s, must be logical",
                                    FR_ARG(level));
    fixed_by(f, FR_SQL_RESTART, FR_STR("ALTER SYSTEM SET wal_level = 'logical';"),
             FR_STR("logical decoding"), FR_STR("more WAL (measure: pg_stat_wal), a restart"),
             FR_STR("ALTER SYSTEM RESET wal_level;"));
    return FR_OK;
}

/* ---- the role ---- */

static void role_lacks(check *c, bool rds, const char *code, const char *what)
{
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, code, "role %s lacks %s", c->role, what);
    fr_str sql = rds ? text_of(c, "GRANT rds_replication TO %s;", c->role)
                     : text_of(c, "ALTER ROLE %s WITH LOGIN REPLICATION;", c->role);
    fr_str undo = rds ? text_of(c, "REVOKE rds_replication FROM %s;", c->role)
                      : text_of(c, "ALTER ROLE %s WITH NOREPLICATION;", c->role);
    fixed_by(f, FR_SQL_HARMLESS, sql, FR_STR("to read the log; nothing else is ever used"),
             FR_STR("none"), undo);
}

static fr_rc check_role(check *c, fr_err *err)
{
    PGresult *res = NULL;
    /* Amazon RDS has no superuser to give REPLICATION: a role of its own stands for it. */
    FR_TRY(one_row(c, "read the role",
                   "SELECT rolreplication, rolsuper, rolbypassrls,"
                   " EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication'),"
                   " coalesce((SELECT pg_catalog.pg_has_role(current_user, oid, 'MEMBER')"
                   "  FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication'), false)"
                   " FROM pg_catalog.pg_roles WHERE rolname = current_user",
                   NULL, &res, err));
    bool replication = fr_pg_bool(res, 0, 0), super = fr_pg_bool(res, 0, 1);
    bool rds = fr_pg_bool(res, 0, 3), rds_member = fr_pg_bool(res, 0, 4);
    PQclear(res);
    fr_findings_add(c->out, FR_FINE, "pg.role.login", "role %s logs in", c->role);
    c->may_replicate = replication || super || rds_member;
    if (c->may_replicate)
        fr_findings_add(c->out, FR_FINE, "pg.role.replication", "role %s may read the log",
                        c->role);
    else
        role_lacks(c, rds, "pg.role.replication", "REPLICATION");
    if (super) {
        fr_finding *f = fr_findings_add(c->out, FR_WARNING, "pg.role.superuser",
                                        "role %s is a superuser: more than is needed", c->role);
        f->hint = FR_STR("a role of its own with LOGIN REPLICATION, and SELECT on the tables");
    }
    return FR_OK;
}

/* The right alone is not enough: pg_hba.conf and max_wal_senders have a say. */
static void check_replication_login(check *c)
{
    PGconn *repl = NULL;
    fr_err why;
    if (c->may_replicate && fr_wal_replication(c->s, &repl, &why) == FR_FAIL)
        blocked(c, "pg.connect", &why);
    fr_pg_close(repl);
}

/* ---- slots and what they keep ---- */

static void check_free(check *c, const char *code, const char *what, const char *setting,
                       int64_t used, int64_t max, int64_t needed)
{
    if (used + needed <= max) {
        fr_findings_add(c->out, FR_FINE, code, "%" PRId64 " of %" PRId64 " %s used", used, max,
                        what);
        return;
    }
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, code,
                                    "%" PRId64 " of %" PRId64 " %s used, %" PRId64 " more needed",
                                    used, max, what, needed);
    fixed_by(f, FR_SQL_RESTART,
             text_of(c, "ALTER SYSTEM SET %s = %" PRId64 ";", setting, used + needed + 4),
             text_of(c, "one for the stream, one more while a snapshot is taken"),
             FR_STR("a restart"), text_of(c, "ALTER SYSTEM RESET %s;", setting));
}

/* A second reader of the log takes one more of both; nothing is lost where it cannot be had. */
static void check_beside(check *c, const PGresult *counts)
{
    if (c->s->version < 120000) {
        fr_findings_add(c->out, FR_FINE, "pg.beside",
                        "before 12 the log has one reader only: a table that was held is caught up "
                        "by reading it again");
        return;
    }
    int64_t more = c->slot_exists ? 1 : 2;
    bool slot = fr_pg_int(counts, 0, 0, 0) + more <= fr_pg_int(counts, 0, 1, 0);
    bool sender = fr_pg_int(counts, 0, 2, 0) + more <= fr_pg_int(counts, 0, 3, 0);
    if (slot && sender)
        return;
    fr_findings_add(
        c->out, FR_FINE, "pg.beside",
        "no free %s for a second reader of the log: a table that was held waits for one "
        "before it is caught up",
        slot ? "sender" : "slot")
        ->hint = text_of(c, "ALTER SYSTEM SET %s = %" PRId64 "; and a restart",
                         slot ? "max_wal_senders" : "max_replication_slots",
                         fr_pg_int(counts, 0, slot ? 2 : 0, 0) + more + 4);
}

static fr_rc check_slots(check *c, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(one_row(c, "count slots",
                   "SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
                   " current_setting('max_replication_slots'),"
                   " (SELECT count(*) FROM pg_catalog.pg_stat_replication),"
                   " current_setting('max_wal_senders'),"
                   " EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)",
                   c->s->slot, &res, err));
    c->slot_exists = fr_pg_bool(res, 0, 4);
    check_free(c, "pg.slots", "slots", "max_replication_slots", fr_pg_int(res, 0, 0, 0),
               fr_pg_int(res, 0, 1, 0), c->slot_exists ? 1 : 2);
    check_free(c, "pg.senders", "senders", "max_wal_senders", fr_pg_int(res, 0, 2, 0),
               fr_pg_int(res, 0, 3, 0), c->slot_exists ? 1 : 2);
    check_beside(c, res);
    PQclear(res);
    return FR_OK;
}

static fr_rc check_own_slot(check *c, fr_err *err)
{
    char sql[400];
    PGresult *res = NULL;
    if (!c->slot_exists)
        return FR_OK;
    snprintf(sql, sizeof(sql),
             "SELECT plugin, database, restart_lsn, %s, %s FROM pg_catalog.pg_replication_slots"
             " WHERE slot_name = $1",
             c->s->version >= 130000 ? "wal_status" : "NULL",
             c->s->version >= 140000 ? "two_phase" : "NULL");
    FR_TRY(one_row(c, "read the slot", sql, c->s->slot, &res, err));
    fr_str plugin = fr_pg_text(res, 0, 0), db = fr_pg_text(res, 0, 1), st = fr_pg_text(res, 0, 3);
    if (!fr_str_is(plugin, "pgoutput") || !fr_str_is(db, c->s->db))
        fr_findings_add(c->out, FR_BLOCKER, "pg.slot_foreign",
                        "slot %s is not ours: plugin %.*s, database %.*s", c->s->slot,
                        FR_ARG(plugin.len > 0 ? plugin : FR_STR("none (a physical slot)")),
                        FR_ARG(db.len > 0 ? db : FR_STR("none")))
            ->hint = FR_STR("choose another log.slot");
    else if (fr_pg_bool(res, 0, 4))
        fr_findings_add(c->out, FR_BLOCKER, "pg.slot_foreign", "slot %s was made with two_phase",
                        c->s->slot)
            ->hint = FR_STR("choose another log.slot, which freshet makes");
    else if (fr_str_is(st, "lost") || PQgetisnull(res, 0, 2))
        fr_findings_add(c->out, FR_BLOCKER, "pg.slot_lost",
                        "slot %s was invalidated by the server: changes are gone", c->s->slot)
            ->hint = text_of(c,
                             "freshet position reset %s starts over: a new slot, and a new "
                             "snapshot",
                             c->settings->name);
    else
        fr_findings_add(c->out, fr_str_is(st, "unreserved") ? FR_WARNING : FR_FINE, "pg.slot",
                        "slot %s exists%s", c->s->slot,
                        fr_str_is(st, "unreserved") ? ", and is about to be invalidated" : "");
    PQclear(res);
    return FR_OK;
}

/* What a snapshot would be told now; a right that is missing is seen here and not at night. */
static void check_throttle(check *c)
{
    const fr_source_settings *s = c->settings;
    fr_str why = {"", 0};
    fr_err err;
    if (s->throttle_max_lag_us == 0 && s->throttle_max_load == NULL && s->throttle_query == NULL)
        return;
    if (fr_wal_busy(&c->s->base, c->a, &why, &err) == FR_FAIL)
        blocked(c, err.code[0] != '\0' ? fr_arena_cstr(c->a, fr_cstr(err.code)) : "pg.throttle",
                &err);
    else if (why.len > 0)
        fr_findings_add(c->out, FR_WARNING, "pg.throttle", "a snapshot would wait now: %.*s",
                        FR_ARG(why));
    else
        fr_findings_add(c->out, FR_FINE, "pg.throttle", "a snapshot need not wait now");
}

/* Bytes of WAL an hour since the statistics began; 0: not measurable. */
static int64_t wal_per_hour(check *c)
{
    PGresult *res = NULL;
    fr_err ignored;
    if (c->s->version < 140000 ||
        one_row(c, "measure the log",
                "SELECT (wal_bytes / greatest(extract(epoch FROM now() - stats_reset), 1)::numeric"
                " * 3600)::bigint FROM pg_catalog.pg_stat_wal"
                " WHERE stats_reset < now() - interval '10 minutes'",
                NULL, &res, &ignored) == FR_FAIL)
        return 0;
    int64_t rate = PQntuples(res) == 1 ? fr_pg_int(res, 0, 0, 0) : 0;
    PQclear(res);
    return rate;
}

static void check_hours(check *c, int64_t keep, int64_t rate)
{
    if (rate <= 0) {
        fr_findings_add(c->out, FR_FINE, "pg.disk_hours", "not measurable here%s",
                        c->s->version < 140000 ? " (pg_stat_wal came with 14)" : " yet");
        return;
    }
    int64_t hours = keep / rate;
    fr_findings_add(c->out, hours < 24 ? FR_WARNING : FR_FINE, "pg.disk_hours",
                    "%" PRId64 " MB/h of log: %s may be away for %" PRId64 " h before %s",
                    rate >> 20, "freshet", hours,
                    c->config->retained_limit > 0 ? "log.retained_limit" : "the slot is lost");
}

static fr_rc check_keep(check *c, fr_err *err)
{
    if (c->s->version < 130000) {
        fr_finding *f = fr_findings_add(c->out, FR_WARNING, "pg.slot_wal_keep",
                                        "before 13 nothing bounds what a slot keeps: a dead slot "
                                        "fills the disk");
        f->hint = FR_STR("watch the disk; log.retained_limit gives alerts a limit");
        return FR_OK;
    }
    PGresult *res = NULL;
    FR_TRY(one_row(c, "read max_slot_wal_keep_size",
                   "SELECT setting::bigint FROM pg_catalog.pg_settings"
                   " WHERE name = 'max_slot_wal_keep_size'",
                   NULL, &res, err));
    int64_t megabytes = fr_pg_int(res, 0, 0, -1), rate = wal_per_hour(c);
    PQclear(res);
    if (megabytes >= 0) {
        fr_findings_add(c->out, FR_FINE, "pg.slot_wal_keep",
                        "max_slot_wal_keep_size = %" PRId64 " MB", megabytes);
        check_hours(c, megabytes << 20, rate);
        return FR_OK;
    }
    fr_finding *f = fr_findings_add(c->out, FR_WARNING, "pg.slot_wal_keep",
                                    "max_slot_wal_keep_size = -1: a dead slot can fill the disk");
    fixed_by(f, FR_SQL_HARMLESS,
             FR_STR("ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();"),
             FR_STR("protects YOUR disk from us: past this the slot is lost, and freshet stops and "
                    "asks for a new snapshot"),
             FR_STR("none"), FR_STR("ALTER SYSTEM RESET max_slot_wal_keep_size;"));
    if (c->config->retained_limit > 0)
        check_hours(c, c->config->retained_limit, rate);
    return FR_OK;
}

static fr_rc check_failover(check *c, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(one_row(c, "look for standbys",
                   "SELECT count(*) FROM pg_catalog.pg_stat_replication r"
                   " LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid"
                   " WHERE coalesce(s.slot_type, 'physical') = 'physical'",
                   NULL, &res, err));
    int64_t standbys = fr_pg_int(res, 0, 0, 0);
    PQclear(res);
    if (c->s->version >= 170000)
        fr_findings_add(c->out, FR_FINE, "pg.failover_slot",
                        "the slot is made with failover = true; standbys need "
                        "sync_replication_slots = on and hot_standby_feedback = on");
    else if (standbys > 0)
        fr_findings_add(c->out, FR_WARNING, "pg.failover_slot",
                        "%" PRId64 " standbys: before 17 a slot does not fail over; after a "
                        "failover freshet stops and asks for a new snapshot",
                        standbys);
    return FR_OK;
}

/* ---- publication ---- */

static void check_operations(check *c)
{
    const fr_wal_publication *p = &c->catalog.publication;
    bool all = p->insert && p->update && p->delete && (p->truncate || c->s->version < 110000);
    if (all)
        return;
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "pg.publication",
                                    "publication %s leaves out operations", c->s->publication);
    fr_str name = fr_pg_ident(c->a, fr_cstr(c->s->publication), NULL);
    fixed_by(f, FR_SQL_HARMLESS,
             text_of(c, "ALTER PUBLICATION %.*s SET (publish = 'insert, update, delete%s');",
                     FR_ARG(name), c->s->version >= 110000 ? ", truncate" : ""),
             FR_STR("all changes, or the copies are wrong"), FR_STR("none"), (fr_str){"", 0});
}

static void check_publication(check *c)
{
    const fr_wal_catalog *k = &c->catalog;
    fr_str sql = fr_wal_publication_sql(c->a, c->s->version, c->s->publication, k);
    fr_str name = fr_pg_ident(c->a, fr_cstr(c->s->publication), NULL);
    if (sql.len == 0) {
        fr_findings_add(c->out, k->publication.exists ? FR_FINE : FR_BLOCKER, "pg.publication",
                        k->publication.exists ? "publication %s publishes all captured tables"
                                              : "publication %s does not exist, and no table "
                                                "matches",
                        c->s->publication);
    } else {
        size_t missing = 0;
        for (size_t i = 0; i < k->count; i++)
            missing += !k->tables[i].published;
        fr_finding *f =
            fr_findings_add(c->out, FR_BLOCKER, "pg.publication",
                            k->publication.exists ? "publication %s lacks %zu tables"
                                                  : "publication %s does not exist (%zu tables)",
                            c->s->publication, missing);
        f->hint = FR_STR("freshet apply --source-objects makes it, where the role may");
        fixed_by(f, FR_SQL_LOCK, sql, FR_STR("which tables the log is decoded for"),
                 FR_STR("SHARE UPDATE EXCLUSIVE on each table for milliseconds"),
                 k->publication.exists ? fr_wal_publication_undo(c->a, c->s->publication, k)
                                       : text_of(c, "DROP PUBLICATION %.*s;", FR_ARG(name)));
    }
    if (k->publication.exists)
        check_operations(c);
    else if (c->slot_exists)
        fr_findings_add(c->out, FR_BLOCKER, "pg.slot_after_publication",
                        "slot %s exists without its publication: the log before the publication "
                        "cannot be decoded; drop the slot, make the publication, start over",
                        c->s->slot);
    else
        fr_findings_add(c->out, FR_FINE, "pg.slot_after_publication",
                        "run makes the slot, after the publication");
}

/* ---- tables ---- */

static void check_identity(check *c, const fr_wal_table *t)
{
    char which = t->relation.identity;
    fr_str space = t->relation.space, name = t->relation.name;
    bool usable =
        which == 'f' || (which == 'd' && t->has_primary) || (which == 'i' && t->has_identity_index);
    if (usable)
        return;
    bool append = t->settings->append_only;
    fr_finding *f =
        fr_findings_add(c->out, append ? FR_WARNING : FR_BLOCKER, "pg.replica_identity",
                        "%.*s.%.*s has %s: updates and deletes would fail on the source (!)",
                        FR_ARG(space), FR_ARG(name),
                        which == 'n'   ? "REPLICA IDENTITY NOTHING"
                        : which == 'i' ? "an identity index that is gone"
                                       : "no primary key and identity DEFAULT");
    fr_str undo = text_of(c, "ALTER TABLE %.*s REPLICA IDENTITY %s;", FR_ARG(t->qualified),
                          which == 'n' ? "NOTHING" : "DEFAULT");
    if (t->has_primary) {
        fixed_by(f, FR_SQL_LOCK,
                 text_of(c, "ALTER TABLE %.*s REPLICA IDENTITY DEFAULT;", FR_ARG(t->qualified)),
                 FR_STR("which row an update or delete is about"),
                 FR_STR("ACCESS EXCLUSIVE for milliseconds"), undo);
        return;
    }
    fixed_by(f, FR_SQL_LOCK,
             text_of(c, "ALTER TABLE %.*s REPLICA IDENTITY FULL;", FR_ARG(t->qualified)),
             FR_STR("which row an update or delete is about"),
             FR_STR("ACCESS EXCLUSIVE for milliseconds; whole old row in WAL for each update and "
                    "delete"),
             undo);
    if (t->settings->outbox.on)
        f->hint = FR_STR("better: a primary key over its id");
    else
        f->hint = t->key_count > 0
                      ? FR_STR("better: REPLICA IDENTITY USING INDEX of its unique index; "
                               "append_only: true if rows never change")
                      : FR_STR("better: a primary key; append_only: true if rows never "
                               "change");
}

static void check_rights(check *c, const fr_wal_table *t)
{
    if (!t->may_select) {
        fr_finding *f =
            fr_findings_add(c->out, FR_BLOCKER, "pg.table.select", "role %s may not read %.*s.%.*s",
                            c->role, FR_ARG(t->relation.space), FR_ARG(t->relation.name));
        fr_str space = fr_pg_ident(c->a, t->relation.space, NULL);
        fixed_by(f, FR_SQL_HARMLESS,
                 text_of(c, "GRANT USAGE ON SCHEMA %.*s TO %s; GRANT SELECT ON %.*s TO %s;",
                         FR_ARG(space), c->role, FR_ARG(t->qualified), c->role),
                 FR_STR("the snapshot reads it"), FR_STR("none"),
                 text_of(c, "REVOKE SELECT ON %.*s FROM %s;", FR_ARG(t->qualified), c->role));
    }
    if (t->row_security) {
        fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "pg.row_security",
                                        "policies would hide rows of %.*s.%.*s from the snapshot",
                                        FR_ARG(t->relation.space), FR_ARG(t->relation.name));
        fixed_by(f, FR_SQL_HARMLESS, text_of(c, "ALTER ROLE %s BYPASSRLS;", c->role),
                 FR_STR("the log is not subject to policies; the snapshot must not be either"),
                 FR_STR("none"), text_of(c, "ALTER ROLE %s NOBYPASSRLS;", c->role));
    }
}

static void check_columns(check *c, const fr_wal_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (t->columns[i].generated && !t->columns[i].sent)
            fr_findings_add(c->out, FR_WARNING, "pg.generated",
                            "%.*s.%.*s.%.*s is a generated column: the log does not have it, so "
                            "no event will",
                            FR_ARG(t->relation.space), FR_ARG(t->relation.name),
                            FR_ARG(t->columns[i].name));
}

static void check_refused(check *c)
{
    for (size_t i = 0; i < c->catalog.refused_count; i++) {
        const fr_wal_table *t = &c->catalog.refused[i];
        bool exact = t->settings->regex == NULL;
        /* A pattern that meets the partitions of a captured table means that table. */
        if (!exact && t->persistence == 'p' && (t->partition || t->kind == 'p'))
            continue;
        fr_findings_add(c->out, exact ? FR_BLOCKER : FR_WARNING, "pg.unlogged", "%.*s.%.*s %s%s",
                        FR_ARG(t->relation.space), FR_ARG(t->relation.name),
                        fr_wal_refusal(t, &c->catalog.publication), exact ? "" : ": left out");
    }
}

static void check_named(check *c)
{
    for (size_t i = 0; i < c->settings->table_count; i++) {
        const fr_table_settings *t = &c->settings->tables[i];
        if (!fr_wal_is_missing(&c->catalog, t))
            continue;
        fr_finding *f = fr_findings_add(
            c->out, t->drop_table == FR_GONE_IGNORE ? FR_WARNING : FR_BLOCKER, "pg.table",
            "there is no table %s in database %s", t->pattern, c->s->db);
        f->hint = FR_STR("a table that was captured before is held, and the others go on, unless "
                         "schema.on_change.drop_table says otherwise");
    }
}

/* Columns do not count here but what is out of line now: else nearly every table would be
 * in the list. */
static fr_rc check_toast(check *c, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(one_row(c, "look for TOASTed values",
                   "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'r'"
                   " AND c.reltoastrelid <> 0 AND pg_catalog.pg_relation_size(c.reltoastrelid) > 0"
                   " AND c.oid >= 16384",
                   NULL, &res, err));
    for (int i = 0; i < PQntuples(res); i++) {
        for (size_t k = 0; k < c->catalog.count; k++) {
            const fr_wal_table *t = &c->catalog.tables[k];
            if (t->relation.oid != (uint32_t)fr_pg_int(res, i, 0, 0) || t->toasted == 0 ||
                t->relation.identity == 'f')
                continue;
            fr_finding *f = fr_findings_add(
                c->out, FR_WARNING, "pg.toast",
                "%.*s.%.*s has TOASTed values: unchanged ones are %s, and read again where a key "
                "changes",
                FR_ARG(t->relation.space), FR_ARG(t->relation.name),
                fr_wal_debezium(t->settings) ? "`__debezium_unavailable_value`"
                                             : "listed in `unavailable`");
            fixed_by(
                f, FR_SQL_LOCK,
                text_of(c, "ALTER TABLE %.*s REPLICA IDENTITY FULL;", FR_ARG(t->qualified)),
                FR_STR("only if consumers need every value in every event"),
                FR_STR("ACCESS EXCLUSIVE for milliseconds; whole old row in WAL for each "
                       "update and delete"),
                text_of(c, "ALTER TABLE %.*s REPLICA IDENTITY DEFAULT;", FR_ARG(t->qualified)));
        }
    }
    PQclear(res);
    return FR_OK;
}

static void check_tables(check *c)
{
    size_t before = c->out->count;
    check_refused(c);
    check_named(c);
    if (c->catalog.messages && c->s->version < 140000)
        fr_findings_add(c->out, FR_BLOCKER, "pg.messages",
                        "PostgreSQL %d sends no logical messages, which are captured here (14 and "
                        "later do)",
                        c->s->version / 10000);
    for (size_t i = 0; i < c->catalog.count; i++) {
        check_identity(c, &c->catalog.tables[i]);
        check_rights(c, &c->catalog.tables[i]);
        check_columns(c, &c->catalog.tables[i]);
    }
    if (c->out->count == before)
        fr_findings_add(c->out, FR_FINE, "pg.table.select", "%zu tables can be captured",
                        c->catalog.count);
    fr_findings_add(c->out, FR_FINE, "pg.heartbeat",
                    "an idle database needs no heartbeat table: keepalives move the slot");
}

/* ---- all ---- */

static fr_rc check_connected(check *c, fr_err *err)
{
    c->s->version = PQserverVersion(c->conn);
    check_tls(c);
    check_version(c);
    if (c->s->version < 100000)
        return FR_OK;
    FR_TRY(check_server(c, err));
    FR_TRY(check_role(c, err));
    check_replication_login(c);
    FR_TRY(check_slots(c, err));
    FR_TRY(check_own_slot(c, err));
    FR_TRY(check_keep(c, err));
    check_throttle(c);
    FR_TRY(check_failover(c, err));
    FR_TRY(fr_wal_catalog_read(c->conn, c->s->version, c->settings, c->s->publication, c->a,
                               &c->catalog, err));
    check_publication(c);
    check_tables(c);
    return check_toast(c, err);
}

fr_rc fr_wal_check(const fr_source_settings *settings, fr_findings *out, fr_err *err)
{
    check c = {.settings = settings,
               .config = settings->connector,
               .s = fr_wal_source_new(settings),
               .out = out,
               .a = out->arena};
    fr_err why;
    fr_rc rc = FR_OK;
    if (fr_wal_names(settings, c.s->slot, c.s->publication, &why) == FR_FAIL)
        blocked(&c, "pg.slot", &why);
    else if (fr_wal_take(c.s, &c.conn, &why) == FR_FAIL)
        blocked(&c, "pg.connect", &why);
    else
        rc = check_connected(&c, err);
    fr_wal_give(c.s, c.conn);
    c.s->base.ops->close(&c.s->base);
    return rc;
}
