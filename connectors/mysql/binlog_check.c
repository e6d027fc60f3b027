/* The pre-flight catalogue: everything that plan says about a MySQL or MariaDB source. Reads
 * only, but for a moment among the server's replicas, which shows whether we may be one. */
#include "connectors/mysql/binlog_dump.h"
#include "connectors/mysql/my_busy.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DAY_SECONDS = 86400, KEEP_SECONDS = 3 * DAY_SECONDS };

typedef struct check {
    const fr_source_settings *settings;
    const fr_binlog_config *config;
    fr_binlog_source *s;
    fr_my *my;
    fr_findings *out;
    fr_arena *a; /* out's */
    fr_str user; /* 'freshet'@'%' */
    fr_binlog_catalog catalog;
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

static fr_finding *blocked(check *c, const fr_err *err, const char *code)
{
    char *own = fr_arena_cstr(c->a, fr_cstr(err->code[0] != '\0' ? err->code : code));
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, own, "%s", err->text);
    f->hint = fr_arena_str(c->a, fr_cstr(fr_err_hint(err)));
    return f;
}

/* A server variable; NULL where it is not known. */
static const char *variable(check *c, const char *name)
{
    fr_str value;
    fr_err ignored;
    if (fr_my_variable(c->my, c->a, name, &value, &ignored) == FR_FAIL || value.len == 0)
        return NULL;
    return fr_arena_cstr(c->a, value);
}

static bool is(const char *value, const char *wanted)
{
    return value != NULL && strcasecmp(value, wanted) == 0;
}

/* ---- the server ---- */

static void check_connection(check *c)
{
    const char *cipher = mysql_get_ssl_cipher(c->my->mysql);
    fr_severity severity = c->config->insecure ? FR_WARNING : FR_FINE;
    const char *why = c->config->insecure ? "insecure: true" : "this machine, or tls=verify";
    if (cipher == NULL)
        fr_findings_add(c->out, severity, "my.connect", "no TLS (%s)", why);
    else
        fr_findings_add(c->out, severity, "my.connect", "TLS, %s (%s)", cipher, why);
    bool maria = c->my->mariadb;
    bool names_mariadb = strcmp(c->s->type, "mariadb") == 0;
    if (maria != names_mariadb) {
        fr_finding *f =
            fr_findings_add(c->out, FR_WARNING, "my.version", "this is %s %s, and type says %s",
                            maria ? "MariaDB" : "MySQL", c->my->version_text, c->s->type);
        f->hint = text_of(c, "write type: %s", maria ? "mariadb" : "mysql");
    } else {
        fr_findings_add(c->out, FR_FINE, "my.version", "%s %s", maria ? "MariaDB" : "MySQL",
                        c->my->version_text);
    }
}

static void check_log(check *c)
{
    const fr_binlog_server *v = &c->s->server;
    if (!v->log_bin) {
        fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "my.log_bin", "there is no binary log");
        f->hint = FR_STR("below [mysqld] of the server's my.cnf: log_bin=mysql-bin, server_id=1, "
                         "binlog_format=ROW; then restart it");
        return;
    }
    fr_findings_add(c->out, FR_FINE, "my.log_bin", "is on");
    if (v->row_format) {
        fr_findings_add(c->out, FR_FINE, "my.binlog_format", "is ROW");
        return;
    }
    const char *now = variable(c, "binlog_format");
    fr_finding *f =
        fr_findings_add(c->out, FR_BLOCKER, "my.binlog_format", "is %s, must be ROW", now);
    fixed_by(f, FR_SQL_HARMLESS, FR_STR("SET GLOBAL binlog_format = 'ROW';"),
             FR_STR("the log has rows instead of statements; put it into my.cnf too"),
             FR_STR("a larger log; sessions that are open keep theirs until they reconnect"),
             text_of(c, "SET GLOBAL binlog_format = '%s';", now));
}

static void check_row_image(check *c)
{
    const char *image = variable(c, "binlog_row_image");
    if (c->s->server.full_image) {
        fr_findings_add(c->out, FR_FINE, "my.binlog_row_image", "is FULL");
        return;
    }
    fr_finding *f =
        fr_findings_add(c->out, FR_WARNING, "my.binlog_row_image",
                        "is %s: columns that a change does not touch are not in its event, and are "
                        "listed in `unavailable`",
                        image);
    fixed_by(f, FR_SQL_HARMLESS, FR_STR("SET GLOBAL binlog_row_image = 'FULL';"),
             FR_STR("whole rows before and after; put it into my.cnf too"),
             FR_STR("a larger log; sessions that are open keep theirs until they reconnect"),
             text_of(c, "SET GLOBAL binlog_row_image = '%s';", image));
}

static void check_metadata(check *c)
{
    const char *metadata = variable(c, "binlog_row_metadata");
    if (c->s->server.full_metadata) {
        fr_findings_add(c->out, FR_FINE, "my.binlog_row_metadata", "is FULL");
        return;
    }
    fr_finding *f = fr_findings_add(
        c->out, FR_WARNING, "my.binlog_row_metadata",
        "%s: the log does not name its columns; tables are taken from information_schema, and a "
        "change of a table that we cannot place stops the source",
        metadata != NULL ? metadata : "this server does not have it");
    if (metadata == NULL)
        f->hint =
            FR_STR("stop freshet only when it has caught up before you ALTER captured tables");
    else
        fixed_by(
            f, FR_SQL_HARMLESS, FR_STR("SET GLOBAL binlog_row_metadata = 'FULL';"),
            FR_STR("names, signs and character sets come with the log; put it into my.cnf too"),
            FR_STR("some hundred bytes a transaction and table"),
            text_of(c, "SET GLOBAL binlog_row_metadata = '%s';", metadata));
}

static void check_gtid(check *c)
{
    const fr_binlog_server *v = &c->s->server;
    const char *mode = variable(c, "gtid_mode");
    if (v->gtids && c->config->gtid)
        fr_findings_add(c->out, FR_FINE, "my.gtid", "%s: another server with the same log will do",
                        v->mariadb ? "MariaDB's" : "gtid_mode is ON");
    else
        fr_findings_add(
            c->out, FR_WARNING, "my.gtid",
            "%s: the position is a file of this one server, and a fail-over needs a new "
            "snapshot",
            v->gtids       ? "log.gtid is false"
            : mode != NULL ? "gtid_mode is not ON"
                           : "this server has none");
}

/* Seconds that the server keeps its log; 0: for ever; -1 unknown. */
static int64_t keeps_seconds(check *c)
{
    const char *seconds = variable(c, "binlog_expire_logs_seconds");
    const char *days = variable(c, "expire_logs_days");
    if (is(variable(c, "binlog_expire_logs_auto_purge"), "OFF"))
        return 0;
    if (seconds != NULL && strtoll(seconds, NULL, 10) > 0)
        return strtoll(seconds, NULL, 10);
    if (days != NULL && strtod(days, NULL) > 0)
        return (int64_t)(strtod(days, NULL) * (double)DAY_SECONDS);
    return seconds == NULL && days == NULL ? -1 : 0;
}

static void check_expire(check *c)
{
    int64_t seconds = keeps_seconds(c);
    if (seconds == 0 || seconds >= KEEP_SECONDS) {
        fr_findings_add(c->out, FR_FINE, "my.expire",
                        seconds == 0 ? "the log is never purged by age: watch the disk"
                                     : "the log is kept for %" PRId64 " hours",
                        seconds / 3600);
        return;
    }
    fr_finding *f = fr_findings_add(c->out, FR_WARNING, "my.expire",
                                    "the log is kept for %" PRId64
                                    " hours: an outage that is longer needs a new snapshot",
                                    seconds / 3600);
    bool modern = variable(c, "binlog_expire_logs_seconds") != NULL;
    fixed_by(f, FR_SQL_HARMLESS,
             modern ? FR_STR("SET GLOBAL binlog_expire_logs_seconds = 604800;")
                    : FR_STR("SET GLOBAL expire_logs_days = 7;"),
             FR_STR("time to repair something over a weekend; put it into my.cnf too"),
             FR_STR("disk space for the log of a week"),
             modern
                 ? text_of(c, "SET GLOBAL binlog_expire_logs_seconds = %" PRId64 ";", seconds)
                 : text_of(c, "SET GLOBAL expire_logs_days = %" PRId64 ";", seconds / DAY_SECONDS));
}

static void check_server_id(check *c)
{
    if (is(variable(c, "server_id"), "0")) {
        fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "my.server_id",
                                        "the server's own server_id is 0: it serves no replica");
        fixed_by(f, FR_SQL_HARMLESS, FR_STR("SET GLOBAL server_id = 1;"),
                 FR_STR("put it into my.cnf too"), FR_STR("none"),
                 FR_STR("SET GLOBAL server_id = 0;"));
        return;
    }
    fr_findings_add(c->out, FR_FINE, "my.server_id", "ours is %" PRIu32 "%s", c->s->server_id,
                    c->config->server_id == 0 ? " (from pipeline, source and host)" : "");
}

static void check_sync(check *c)
{
    const char *sync = variable(c, "sync_binlog");
    if (sync == NULL || is(sync, "1"))
        return;
    fr_finding *f = fr_findings_add(
        c->out, FR_WARNING, "my.sync_binlog",
        "is %s: a crash of the server's machine loses the end of its log, and freshet may have "
        "published what the server then does not know any more; it would stop and say so",
        sync);
    fixed_by(f, FR_SQL_HARMLESS, FR_STR("SET GLOBAL sync_binlog = 1;"),
             FR_STR("the log survives a crash; put it into my.cnf too"),
             FR_STR("a flush to disk for each group of commits"),
             text_of(c, "SET GLOBAL sync_binlog = %s;", sync));
}

static void check_replica(check *c)
{
    fr_my_rows rows = {0};
    fr_err ignored;
    bool renamed = !c->my->mariadb && c->my->version >= 80022;
    if (fr_my_query(c->my, c->a, "look for a primary",
                    renamed ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS", &rows,
                    &ignored) == FR_FAIL ||
        rows.count == 0)
        return;
    const char *logs = variable(c, "log_replica_updates");
    if (logs == NULL)
        logs = variable(c, "log_slave_updates");
    if (!is(logs, "OFF")) {
        fr_findings_add(c->out, FR_FINE, "my.log_slave_updates",
                        "a replica that logs what it applies");
        return;
    }
    fr_finding *f = fr_findings_add(c->out, FR_BLOCKER, "my.log_slave_updates",
                                    "this is a replica, and what it applies is not in its own log");
    f->hint = FR_STR("log_slave_updates=ON below [mysqld] of its my.cnf and a restart, or give the "
                     "primary's address in dsn");
}

/* ---- rights ---- */

static void missing_right(check *c, const fr_err *err, const char *code, const char *right,
                          const char *why)
{
    if (err->kind != FR_ERR_AUTH) {
        blocked(c, err, code);
        return;
    }
    fr_finding *f =
        fr_findings_add(c->out, FR_BLOCKER, code, "%.*s has no right %s", FR_ARG(c->user), right);
    fixed_by(f, FR_SQL_HARMLESS, text_of(c, "GRANT %s ON *.* TO %.*s;", right, FR_ARG(c->user)),
             fr_cstr(why), FR_STR("none"),
             text_of(c, "REVOKE %s ON *.* FROM %.*s;", right, FR_ARG(c->user)));
}

static void check_filters(check *c, const fr_my_rows *status)
{
    fr_str only = fr_my_text(status, 0, 2), without = fr_my_text(status, 0, 3);
    if (only.len == 0 && without.len == 0)
        return;
    fr_finding *f =
        fr_findings_add(c->out, FR_WARNING, "my.binlog_filter",
                        "the server logs %s %.*s: other changes are in no log",
                        only.len > 0 ? "only" : "all but", FR_ARG(only.len > 0 ? only : without));
    f->hint = FR_STR("take binlog_do_db and binlog_ignore_db out of its my.cnf, unless no captured "
                     "table is concerned");
}

static void check_rights(check *c)
{
    fr_err err;
    fr_my_rows rows;
    size_t before = c->out->count;
    bool renamed = !c->my->mariadb && c->my->version >= 80200;
    if (fr_my_query(c->my, c->a, "read where the log ends",
                    renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", &rows,
                    &err) == FR_FAIL)
        missing_right(c, &err, "my.grants",
                      c->my->mariadb && c->my->version >= 100500 ? "BINLOG MONITOR"
                                                                 : "REPLICATION CLIENT",
                      "where the log ends, and whether it still has what we need");
    else
        check_filters(c, &rows);
    if (fr_binlog_dump_allowed(c->s, &err) == FR_FAIL)
        missing_right(c, &err, "my.grants", "REPLICATION SLAVE", "to read the log");
    if (c->out->count == before)
        fr_findings_add(c->out, FR_FINE, "my.grants", "%.*s may read the log", FR_ARG(c->user));
}

static bool granted(const fr_my_rows *grants, const char *right)
{
    for (size_t i = 0; i < grants->count; i++) {
        fr_str line = fr_my_text(grants, i, 0);
        if (memmem(line.ptr, line.len, " ON *.* ", 8) != NULL &&
            (memmem(line.ptr, line.len, right, strlen(right)) != NULL ||
             memmem(line.ptr, line.len, "ALL PRIVILEGES", 14) != NULL))
            return true;
    }
    return false;
}

/* Without a log for its session a view gives a table's metadata lock back after each chunk. */
static void check_snapshot_of_mariadb(check *c, const fr_my_rows *grants)
{
    const char *right = c->my->version >= 100500 ? "BINLOG ADMIN" : "SUPER";
    if (granted(grants, right)) {
        fr_findings_add(c->out, FR_FINE, "my.snapshot_lock", "a snapshot locks nothing");
        return;
    }
    fr_finding *f =
        fr_findings_add(c->out, FR_FINE, "my.snapshot_lock",
                        "a snapshot locks no rows; ALTER TABLE of a captured table waits "
                        "until it is read");
    f->hint = text_of(c, "with the right %s it would not have to", right);
}

static void check_snapshot(check *c)
{
    fr_my_rows grants = {0};
    fr_err ignored;
    if (fr_my_query(c->my, c->a, "read the grants", "SHOW GRANTS", &grants, &ignored) == FR_FAIL)
        return;
    if (c->my->mariadb) {
        check_snapshot_of_mariadb(c, &grants);
        return;
    }
    if (granted(&grants, "RELOAD")) {
        fr_findings_add(c->out, FR_FINE, "my.snapshot_lock",
                        "commits stand still for some milliseconds (FLUSH TABLES WITH READ LOCK) "
                        "when a snapshot begins");
        return;
    }
    if (granted(&grants, "LOCK TABLES")) {
        fr_findings_add(c->out, FR_FINE, "my.snapshot_lock",
                        "writes to the captured tables stand still for some milliseconds (LOCK "
                        "TABLES) when a snapshot begins");
        return;
    }
    fr_finding *f = fr_findings_add(
        c->out, FR_WARNING, "my.snapshot_lock",
        "%.*s seems to have neither RELOAD nor LOCK TABLES, one of which a snapshot needs to begin "
        "at a known place of the log",
        FR_ARG(c->user));
    fixed_by(f, FR_SQL_HARMLESS, text_of(c, "GRANT RELOAD ON *.* TO %.*s;", FR_ARG(c->user)),
             FR_STR("commits stand still for some milliseconds when a snapshot begins"),
             FR_STR("none"), text_of(c, "REVOKE RELOAD ON *.* FROM %.*s;", FR_ARG(c->user)));
}

/* ---- tables ---- */

static void check_select(check *c, const fr_binlog_table *t)
{
    fr_err err;
    fr_my_rows rows;
    fr_str name = fr_my_qualified(c->a, t->relation.space, t->relation.name);
    fr_str sql = text_of(c, "SELECT * FROM %.*s LIMIT 0", FR_ARG(name));
    if (fr_my_query(c->my, c->a, "read", fr_arena_cstr(c->a, sql), &rows, &err) == FR_OK)
        return;
    if (err.kind != FR_ERR_AUTH) {
        blocked(c, &err, "my.table");
        return;
    }
    fr_finding *f =
        fr_findings_add(c->out, FR_BLOCKER, "my.table.select", "%.*s may not read %.*s.%.*s",
                        FR_ARG(c->user), FR_ARG(t->relation.space), FR_ARG(t->relation.name));
    fixed_by(f, FR_SQL_HARMLESS,
             text_of(c, "GRANT SELECT ON %.*s TO %.*s;", FR_ARG(name), FR_ARG(c->user)),
             FR_STR("the snapshot reads it, and information_schema shows its columns"),
             FR_STR("none"),
             text_of(c, "REVOKE SELECT ON %.*s FROM %.*s;", FR_ARG(name), FR_ARG(c->user)));
}

static void check_key(check *c, const fr_binlog_table *t)
{
    if (t->key_count > 0 || t->settings->key.count > 0 || t->settings->outbox.on)
        return; /* an outbox says itself what its messages' keys are */
    fr_finding *f = fr_findings_add(
        c->out, t->settings->append_only ? FR_WARNING : FR_BLOCKER, "my.primary_key",
        "%.*s.%.*s has no primary key and no unique index of NOT NULL columns",
        FR_ARG(t->relation.space), FR_ARG(t->relation.name));
    f->hint = FR_STR("give it one; or name columns with key:, or set append_only: true if rows "
                     "never change");
}

static void check_engine(check *c, const fr_binlog_table *t)
{
    if (t->transactional)
        return;
    fr_findings_add(c->out, FR_WARNING, "my.engine",
                    "%.*s.%.*s is %.*s: no view covers it, so rows that change while its snapshot "
                    "is read come twice, first as r and then as what changed; they end up right",
                    FR_ARG(t->relation.space), FR_ARG(t->relation.name), FR_ARG(t->engine));
}

static void check_shape(check *c, const fr_binlog_table *t)
{
    fr_err err;
    fr_my_layout *layout = NULL;
    if (fr_my_layout_new(&t->relation, 1, &layout, &err) == FR_FAIL)
        blocked(c, &err, "my.type");
    fr_my_layout_free(layout);
}

/* Rows that a foreign key changes are not in the log: the engine does it below it. MySQL does
 * it above from 9.6 on. information_schema shows constraints only to those who may write, so
 * the table's own statement is read: "  CONSTRAINT `x` FOREIGN KEY (...) ... ON DELETE CASCADE". */
static void check_cascades(check *c, const fr_binlog_table *t)
{
    static const char *const rules[] = {" ON DELETE CASCADE", " ON DELETE SET NULL",
                                        " ON UPDATE CASCADE", " ON UPDATE SET NULL"};
    fr_my_rows rows;
    fr_err ignored;
    fr_str name = fr_my_qualified(c->a, t->relation.space, t->relation.name);
    fr_str sql = text_of(c, "SHOW CREATE TABLE %.*s", FR_ARG(name));
    if ((!c->my->mariadb && c->my->version >= 90600) ||
        fr_my_query(c->my, c->a, "read the constraints", fr_arena_cstr(c->a, sql), &rows,
                    &ignored) == FR_FAIL)
        return;
    char *save = NULL;
    for (char *line = strtok_r(fr_arena_cstr(c->a, fr_my_text(&rows, 0, 1)), "\n", &save);
         line != NULL; line = strtok_r(NULL, "\n", &save)) {
        const char *rule = NULL;
        for (size_t i = 0; i < 4 && rule == NULL && strstr(line, " FOREIGN KEY (") != NULL; i++)
            rule = strstr(line, rules[i]);
        if (rule == NULL)
            continue;
        fr_finding *f = fr_findings_add(c->out, FR_WARNING, "my.fk_cascade",
                                        "%.*s.%.*s: what a foreign key changes (%.*s) is in no "
                                        "log, so consumers never hear of it",
                                        FR_ARG(t->relation.space), FR_ARG(t->relation.name),
                                        (int)strcspn(rule + 1, ","), rule + 1);
        f->hint =
            FR_STR("have the application or a trigger change the rows, or let consumers apply "
                   "the same rule");
    }
}

static void check_named(check *c)
{
    for (size_t i = 0; i < c->settings->table_count; i++) {
        const fr_table_settings *t = &c->settings->tables[i];
        bool found = t->regex != NULL || t->method == FR_METHOD_SKIP;
        for (size_t k = 0; k < c->catalog.count && !found; k++)
            found = c->catalog.tables[k].settings == t;
        if (found)
            continue;
        fr_finding *f =
            fr_findings_add(c->out, t->drop_table == FR_GONE_IGNORE ? FR_WARNING : FR_BLOCKER,
                            "my.table", "there is no table %s, or no right to see it", t->pattern);
        f->hint = FR_STR("a table that was captured before is held, and the others go on, unless "
                         "schema.on_change.drop_table says otherwise");
        fixed_by(f, FR_SQL_HARMLESS,
                 text_of(c, "GRANT SELECT ON %s TO %.*s;", t->pattern, FR_ARG(c->user)),
                 FR_STR("if the table is there"), FR_STR("none"),
                 text_of(c, "REVOKE SELECT ON %s FROM %.*s;", t->pattern, FR_ARG(c->user)));
    }
}

static void check_tables(check *c)
{
    fr_err why;
    if (fr_binlog_catalog_read(c->my, c->settings, c->s->server.full_image, c->a, &c->catalog,
                               &why) == FR_FAIL) {
        blocked(c, &why, "my.table");
        return;
    }
    size_t before = c->out->count;
    check_named(c);
    for (size_t i = 0; i < c->catalog.count; i++) {
        const fr_binlog_table *t = &c->catalog.tables[i];
        check_select(c, t);
        check_key(c, t);
        check_engine(c, t);
        check_shape(c, t);
        check_cascades(c, t);
    }
    if (c->out->count == before)
        fr_findings_add(c->out, FR_FINE, "my.table.select", "%zu tables can be captured",
                        c->catalog.count);
}

/* ---- all ---- */

/* Only where the server has seen an XA PREPARE since it started, and logs it then. */
static void check_xa(check *c)
{
    fr_arena *a = c->a;
    fr_binlog_prepares p;
    fr_err err;
    fr_my_rows now;
    if (fr_binlog_prepared_look(c->s, c->my, a, &p, &err) == FR_FAIL || !p.used)
        return;
    bool holds = c->config->xa != 0;
    fr_finding *f = fr_findings_add(
        c->out, holds ? FR_FINE : FR_WARNING, "my.xa",
        holds ? "XA transactions are held until they are committed, at most %" PRId64
                " bytes of their rows; so long the log must not be purged"
              : "the server is used with XA transactions: one with rows of captured tables stops "
                "the source",
        c->config->xa_limit);
    if (!holds)
        f->hint = FR_STR("log.xa: hold publishes them when they are committed");
    if (fr_my_query(c->my, a, "look", "XA RECOVER", &now, &err) == FR_OK)
        return;
    f = fr_findings_add(
        c->out, FR_WARNING, "my.xa_recover",
        "%.*s may not see what is prepared: a snapshot that begins while an older XA "
        "transaction is prepared has to be taken again",
        FR_ARG(c->user));
    fixed_by(f, FR_SQL_HARMLESS,
             text_of(c, "GRANT XA_RECOVER_ADMIN ON *.* TO %.*s;", FR_ARG(c->user)),
             FR_STR("a snapshot waits until it is committed or rolled back"), FR_STR("none"),
             text_of(c, "REVOKE XA_RECOVER_ADMIN ON *.* FROM %.*s;", FR_ARG(c->user)));
}

static fr_rc read_user(check *c, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(c->my, c->a, "ask who we are", "SELECT CURRENT_USER()", &rows, err));
    fr_str who = fr_my_text(&rows, 0, 0);
    const char *at = memrchr(who.ptr, '@', who.len);
    size_t name = at != NULL ? (size_t)(at - who.ptr) : who.len;
    fr_str user = fr_my_literal(c->a, (fr_str){who.ptr, name});
    fr_str host =
        fr_my_literal(c->a, at != NULL ? (fr_str){at + 1, who.len - name - 1} : FR_STR("%"));
    c->user = text_of(c, "%.*s@%.*s", FR_ARG(user), FR_ARG(host));
    return FR_OK;
}

/* What a snapshot would be told now; a right that is missing is seen here and not at night. */
static void check_throttle(check *c)
{
    fr_str why = {"", 0};
    fr_err err;
    if (!fr_source_asks_busy(c->settings))
        return;
    if (fr_my_busy(c->my, c->settings, c->a, &why, &err) == FR_FAIL)
        blocked(c, &err, "my.throttle");
    else if (why.len > 0)
        fr_findings_add(c->out, FR_WARNING, "my.throttle", "a snapshot would wait now: %.*s",
                        FR_ARG(why));
    else
        fr_findings_add(c->out, FR_FINE, "my.throttle", "a snapshot need not wait now");
}

static fr_rc check_connected(check *c, fr_err *err)
{
    FR_TRY(fr_binlog_server_read(c->my, &c->s->server, err));
    FR_TRY(read_user(c, err));
    check_connection(c);
    check_log(c);
    if (!c->s->server.log_bin)
        return FR_OK;
    check_row_image(c);
    check_metadata(c);
    check_gtid(c);
    check_expire(c);
    check_server_id(c);
    check_sync(c);
    check_replica(c);
    check_rights(c);
    check_snapshot(c);
    check_throttle(c);
    check_xa(c);
    check_tables(c);
    return FR_OK;
}

fr_rc fr_binlog_check(const fr_source_settings *settings, fr_findings *out, fr_err *err)
{
    bool mariadb = strcmp(settings->type, "mariadb") == 0;
    check c = {.settings = settings,
               .config = settings->connector,
               .s = fr_binlog_source_new(settings, mariadb ? &fr_mariadb_binlog_source
                                                           : &fr_mysql_binlog_source),
               .out = out,
               .a = out->arena};
    fr_err why;
    fr_rc rc = FR_OK;
    if (fr_binlog_connect(c.s, &c.my, &why) == FR_FAIL)
        blocked(&c, &why, "my.connect");
    else
        rc = check_connected(&c, err);
    fr_my_close(c.my);
    c.s->base.ops->close(&c.s->base);
    return rc;
}
