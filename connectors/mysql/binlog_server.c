#include "connectors/mysql/binlog_source.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what it is ---- */

static const char *setting(const fr_my_rows *rows, fr_arena *a, const char *name)
{
    for (size_t i = 0; i < rows->count; i++)
        if (fr_str_is(fr_my_text(rows, i, 0), name))
            return fr_arena_cstr(a, fr_my_text(rows, i, 1));
    return NULL;
}

/* Absent: the server is too old to have the choice. */
static bool is_or_absent(const char *value, const char *wanted)
{
    return value == NULL || strcasecmp(value, wanted) == 0;
}

static void name_server(const fr_my_rows *rows, fr_arena *a, fr_binlog_server *out)
{
    const char *uuid = setting(rows, a, "server_uuid");
    if (uuid != NULL && !out->mariadb) {
        snprintf(out->name, sizeof(out->name), "%s", uuid);
        return;
    }
    const char *id = setting(rows, a, "server_id"), *host = setting(rows, a, "hostname");
    const char *port = setting(rows, a, "port");
    snprintf(out->name, sizeof(out->name), "%s@%s:%s", id != NULL ? id : "",
             host != NULL ? host : "", port != NULL ? port : "");
}

fr_rc fr_binlog_server_read(fr_my *my, fr_binlog_server *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    fr_rc rc = fr_my_query(my, a, "read the server's settings",
                           "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'server_uuid',"
                           " 'server_id', 'hostname', 'port', 'gtid_mode', 'binlog_row_image',"
                           " 'binlog_row_metadata', 'binlog_format')",
                           &rows, err);
    if (rc == FR_OK) {
        fr_binlog_server s = {.mariadb = my->mariadb, .version = my->version};
        const char *mode = setting(&rows, a, "gtid_mode"), *bin = setting(&rows, a, "log_bin");
        const char *metadata = setting(&rows, a, "binlog_row_metadata");
        s.log_bin = bin != NULL && strcasecmp(bin, "ON") == 0;
        s.gtids = my->mariadb ? my->version >= 100000 : mode != NULL && strcasecmp(mode, "ON") == 0;
        s.full_image = is_or_absent(setting(&rows, a, "binlog_row_image"), "FULL");
        s.full_metadata = metadata != NULL && strcasecmp(metadata, "FULL") == 0;
        s.row_format = is_or_absent(setting(&rows, a, "binlog_format"), "ROW");
        name_server(&rows, a, &s);
        *out = s;
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_binlog_server_verify(const fr_binlog_server *server, fr_err *err)
{
    if (!server->log_bin) {
        fr_fail(err, FR_ERR_CONFIG, "the server writes no binary log");
        fr_fail_code(err, "my.log_bin");
        return fr_fail_hint(err, "put log_bin=mysql-bin, server_id=1 and binlog_format=ROW below "
                                 "[mysqld] in its my.cnf, and restart it");
    }
    if (!server->row_format) {
        fr_fail(err, FR_ERR_CONFIG, "the server logs statements, not rows");
        fr_fail_code(err, "my.binlog_format");
        return fr_fail_hint(err, "SET GLOBAL binlog_format = 'ROW'; (sessions that are open keep "
                                 "theirs; also in my.cnf)");
    }
    return FR_OK;
}

fr_binlog_server fr_binlog_server_of(fr_binlog_source *s)
{
    pthread_mutex_lock(&s->lock);
    fr_binlog_server server = s->server;
    pthread_mutex_unlock(&s->lock);
    return server;
}

void fr_binlog_server_now(fr_binlog_source *s, const fr_binlog_server *server)
{
    pthread_mutex_lock(&s->lock);
    s->server = *server;
    pthread_mutex_unlock(&s->lock);
}

/* ---- where its log stands ---- */

fr_rc fr_binlog_gtid_at(fr_my *my, fr_arena *a, const char *file, uint64_t pos, fr_str *out,
                        fr_err *err)
{
    fr_my_rows rows;
    fr_str name = fr_my_literal(a, fr_cstr(file));
    fr_str sql = fr_arena_printf(a, "SELECT BINLOG_GTID_POS(%.*s, %" PRIu64 ")", FR_ARG(name), pos);
    FR_TRY(fr_my_query(my, a, "read the position's GTIDs", fr_arena_cstr(a, sql), &rows, err));
    *out = fr_my_text(&rows, 0, 0);
    return FR_OK;
}

static fr_rc no_right(fr_err *err)
{
    if (err->kind != FR_ERR_AUTH)
        return FR_FAIL;
    fr_fail_code(err, "my.grants");
    return fr_fail_hint(err, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ...;");
}

fr_rc fr_binlog_here_read(fr_my *my, const fr_binlog_server *server, fr_arena *a,
                          fr_binlog_here *out, fr_err *err)
{
    fr_my_rows rows;
    bool renamed = !my->mariadb && my->version >= 80200;
    const char *sql = renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
    if (fr_my_query(my, a, "read where the log ends", sql, &rows, err) == FR_FAIL)
        return no_right(err);
    if (rows.count == 0 || fr_my_text(&rows, 0, 0).len >= sizeof(out->file)) {
        fr_fail(err, FR_ERR_CONFIG, "the server writes no binary log");
        return fr_fail_code(err, "my.log_bin");
    }
    fr_binlog_here here = {.pos = fr_my_uint(&rows, 0, 1, 4)};
    snprintf(here.file, sizeof(here.file), "%.*s", FR_ARG(fr_my_text(&rows, 0, 0)));
    if (server->gtids && my->mariadb)
        FR_TRY(fr_binlog_gtid_at(my, a, here.file, here.pos, &here.gtid, err));
    else if (server->gtids)
        here.gtid = fr_my_text(&rows, 0, 4);
    *out = here;
    return FR_OK;
}

/* ---- may we go on ---- */

static fr_rc starts_over(const fr_binlog_source *s, fr_err *err)
{
    return fr_fail_hint(err, "freshet position reset %s starts over with a new snapshot",
                        s->settings->name);
}

static fr_gtid_family family_of(bool mariadb)
{
    return mariadb ? FR_GTID_MARIADB : FR_GTID_MYSQL;
}

typedef struct log_files {
    char first[FR_BINLOG_FILE_MAX];
    bool found;
    uint64_t size; /* of ours, where found */
} log_files;

static fr_rc list_files(fr_my *my, const char *ours, log_files *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    fr_rc rc = fr_my_query(my, a, "list the binary logs", "SHOW BINARY LOGS", &rows, err);
    if (rc == FR_FAIL)
        no_right(err);
    *out = (log_files){.found = false};
    if (rc == FR_OK)
        snprintf(out->first, sizeof(out->first), "%.*s", FR_ARG(fr_my_text(&rows, 0, 0)));
    for (size_t i = 0; rc == FR_OK && i < rows.count; i++) {
        if (!fr_str_is(fr_my_text(&rows, i, 0), ours))
            continue;
        out->found = true;
        out->size = fr_my_uint(&rows, i, 1, 0);
    }
    fr_arena_free(a);
    return rc;
}

/* Without GTIDs a place means something on one server only. */
static fr_rc continues_by_file(const fr_binlog_source *s, const fr_binlog_server *server, fr_my *my,
                               const fr_binlog_position *p, bool same_server, fr_err *err)
{
    log_files files;
    if (!same_server) {
        fr_fail(err, FR_ERR_POSITION,
                "the stored position %s:%" PRIu64 " is of server %s, this is %s, and without GTIDs "
                "it says nothing here",
                p->file, p->pos, p->server, server->name);
        fr_fail_code(err, "my.other_server");
        return starts_over(s, err);
    }
    if (list_files(my, p->file, &files, err) == FR_FAIL)
        /* Before 5.5.25 the list needs SUPER; then the server itself says no, a little later. */
        return err->kind == FR_ERR_AUTH && my->version < 50600 ? FR_OK : FR_FAIL;
    if (files.found && p->pos <= files.size)
        return FR_OK;
    if (files.found) {
        fr_fail(err, FR_ERR_POSITION,
                "the stored position %s:%" PRIu64 " is behind the end of that file (%" PRIu64
                "): the server lost the end of its log, or began it anew",
                p->file, p->pos, files.size);
        fr_fail_code(err, "my.server_behind");
        return starts_over(s, err);
    }
    bool purged = fr_binlog_number_of_file(p->file) < fr_binlog_number_of_file(files.first);
    fr_fail(err, FR_ERR_POSITION, "the stored position %s:%" PRIu64 " %s; its log begins at %s",
            p->file, p->pos,
            purged ? "was purged by the server" : "is in a file that the server never had",
            files.first);
    fr_fail_code(err, purged ? "my.purged" : "my.log_reset");
    return starts_over(s, err);
}

/* The text of a set, cut where it is long, for messages. */
static const char *set_text(fr_arena *a, const fr_gtids *set)
{
    fr_buf b = {.arena = a};
    fr_gtids_print(set, &b);
    return fr_arena_cstr(a, b.len > 300 ? (fr_str){(const char *)b.ptr, 300} : fr_buf_view(&b));
}

static fr_rc behind(const fr_binlog_source *s, fr_arena *a, const fr_gtids *ours,
                    const fr_gtids *theirs, fr_err *err)
{
    fr_gtids *missing = fr_gtids_minus(ours, theirs);
    bool diverged = fr_gtids_compare(ours, theirs) == FR_GTIDS_DIVERGED;
    fr_fail(err, FR_ERR_POSITION,
            "we have read transactions that this server does not have: %s (ours: %s; the server's: "
            "%s)",
            set_text(a, missing), set_text(a, ours), set_text(a, theirs));
    fr_gtids_free(missing);
    fr_fail_code(err, diverged ? "my.diverged" : "my.server_behind");
    return fr_fail_hint(err,
                        "a replica that lags: wait, or go to another; a restored server, one that "
                        "lost the end of its log, or a fail-over that lost transactions: freshet "
                        "position reset %s starts over with a new snapshot",
                        s->settings->name);
}

static fr_rc purged_gtids(const fr_binlog_source *s, fr_arena *a, const fr_gtids *ours,
                          const fr_gtids *purged, fr_err *err)
{
    fr_gtids *missing = fr_gtids_minus(purged, ours);
    bool some = !fr_gtids_empty(missing);
    if (some) {
        fr_fail(err, FR_ERR_POSITION,
                "the server purged transactions that we have not read: %s (ours: %s; purged: %s)",
                set_text(a, missing), set_text(a, ours), set_text(a, purged));
        fr_fail_code(err, "my.purged");
        starts_over(s, err);
    }
    fr_gtids_free(missing);
    return some ? FR_FAIL : FR_OK;
}

static fr_rc read_set(fr_my *my, fr_arena *a, const char *variable, fr_gtids **out, fr_err *err)
{
    fr_str text;
    FR_TRY(fr_my_variable(my, a, variable, &text, err));
    return fr_gtids_parse(family_of(my->mariadb), text, out, err);
}

static fr_rc continues_by_gtid(const fr_binlog_source *s, fr_my *my, fr_arena *a,
                               const fr_gtids *ours, fr_err *err)
{
    fr_gtids *theirs = NULL, *purged = NULL;
    /* D07: what the log has, not what a replica has applied. */
    FR_TRY(read_set(my, a, my->mariadb ? "gtid_binlog_pos" : "gtid_executed", &theirs, err));
    fr_gtids_order order = fr_gtids_compare(ours, theirs);
    fr_rc rc = FR_OK;
    if (order == FR_GTIDS_MORE || order == FR_GTIDS_DIVERGED)
        rc = behind(s, a, ours, theirs, err);
    if (rc == FR_OK && !my->mariadb) {
        rc = read_set(my, a, "gtid_purged", &purged, err);
        if (rc == FR_OK)
            rc = purged_gtids(s, a, ours, purged, err);
    }
    fr_gtids_free(theirs);
    fr_gtids_free(purged);
    return rc;
}

fr_rc fr_binlog_server_continues(const fr_binlog_source *s, const fr_binlog_server *server,
                                 fr_my *my, const fr_binlog_position *p, fr_binlog_start_at *out,
                                 fr_err *err)
{
    if (p->mariadb != my->mariadb) {
        fr_fail(err, FR_ERR_POSITION, "the stored position is of %s, this server is %s",
                p->mariadb ? "MariaDB" : "MySQL", my->mariadb ? "MariaDB" : "MySQL");
        fr_fail_code(err, "my.other_server");
        return starts_over(s, err);
    }
    fr_arena *a = fr_arena_new(0);
    fr_binlog_start_at at = {.same_server = strcmp(p->server, server->name) == 0};
    fr_rc rc = fr_gtids_parse(family_of(my->mariadb), p->gtid, &at.done, err);
    if (rc == FR_OK) {
        at.by_gtid = s->config->gtid && server->gtids && !fr_gtids_empty(at.done);
        rc = at.by_gtid ? continues_by_gtid(s, my, a, at.done, err)
                        : continues_by_file(s, server, my, p, at.same_server, err);
    }
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        fr_gtids_free(at.done);
        return FR_FAIL;
    }
    *out = at;
    return FR_OK;
}

/* ---- what a refused dump means ---- */

/* "A slave with the same server_uuid/server_id as this slave has connected", "A slave with the same
 * server_id is already connected" (MariaDB 11.8): who was there first hears it. */
#define SAME_ID "with the same server_"

static const struct {
    const char *says, *code;
    fr_err_kind kind;
} refusals[] = {
    /* MySQL's and MariaDB's texts, all with number 1236. */
    {"purged required binary logs", "my.purged", FR_ERR_POSITION},
    {"required binlog files have been purged", "my.purged", FR_ERR_POSITION},
    {"have been purged", "my.purged", FR_ERR_POSITION},
    {"Could not find first log file name", "my.purged", FR_ERR_POSITION},
    {"has more GTIDs than the", "my.server_behind", FR_ERR_POSITION},
    {"probably means that the slave has diverged", "my.diverged", FR_ERR_POSITION},
    {"which is not in the master's binlog", "my.diverged", FR_ERR_POSITION},
    {SAME_ID, "my.server_id_clash", FR_ERR_CONFIG},
    {"max_allowed_packet", "my.packet", FR_ERR_CONFIG},
    {"Client requested master to start replication from", "my.server_behind", FR_ERR_POSITION},
    {"impossible position", "my.server_behind", FR_ERR_POSITION},
    {"Misconfigured master", "my.server_id", FR_ERR_CONFIG},
    {"Binary log is not open", "my.log_bin", FR_ERR_CONFIG},
    {"checksum", "my.checksum", FR_ERR_CONNECT},
};

static fr_rc refusal_hint(const fr_binlog_source *s, fr_err *err)
{
    if (strcmp(err->code, "my.server_id_clash") == 0)
        return fr_fail_hint(err,
                            "another replica or pipeline logs in as server_id %" PRIu32
                            ": give this source its own number with sources.%s.log.server_id",
                            s->server_id, s->settings->name);
    if (strcmp(err->code, "my.packet") == 0)
        return fr_fail_hint(err, "SET GLOBAL max_allowed_packet = 1073741824; (also in my.cnf: an "
                                 "event in the log is larger than the server may send)");
    return err->kind == FR_ERR_POSITION ? starts_over(s, err) : FR_FAIL;
}

fr_rc fr_binlog_refused(const fr_binlog_source *s, const fr_binlog_position *p, fr_err *err)
{
    if (err->kind == FR_ERR_AUTH)
        return no_right(err);
    /* MariaDB has a number of its own for the clash of ids (ER_SLAVE_SAME_ID). */
    if (err->native != 1236 && strstr(err->text, SAME_ID) == NULL)
        return FR_FAIL;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (strstr(err->text, refusals[i].says) == NULL)
            continue;
        err->kind = refusals[i].kind;
        fr_fail_code(err, refusals[i].code);
        refusal_hint(s, err);
        break;
    }
    if (err->kind == FR_ERR_POSITION)
        fr_fail_in(err, "go on at %s:%" PRIu64 "%s%.*s", p->file, p->pos,
                   p->gtid.len > 0 ? " after " : "", (int)(p->gtid.len < 300 ? p->gtid.len : 300),
                   p->gtid.len > 0 ? p->gtid.ptr : "");
    return FR_FAIL;
}
