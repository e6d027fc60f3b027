/* What must hold of the file, and what plan says of it. */
#include "connectors/sqlite/sq_query.h"
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Locks of another machine are not seen there, or its clock is another. */
static const char *network_of(const fr_sq *c)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } remote[] = {{0x6969, "NFS"},     {0x517b, "SMB"},      {0xff534d42, "CIFS"},
                  {0xfe534d42, "SMB"}, {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},
                  {0x01021997, "9P"},  {0x47504653, "GPFS"}, {0x0bd00bd0, "Lustre"},
                  {0x73757245, "Coda"}};
    struct statfs fs;
    if (statfs(c->path, &fs) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
        if (((unsigned long)fs.f_type & 0xffffffff) == remote[i].magic)
            return remote[i].name;
    return NULL;
}

fr_rc fr_sq_verify(fr_sql *base, const fr_source_settings *settings, fr_err *err)
{
    fr_sq_sql *c = (fr_sq_sql *)base;
    fr_sq_look look;
    const char *network = network_of(c->conn);
    if (network != NULL && fr_source_bounded(settings)) {
        fr_fail(err, FR_ERR_CONFIG,
                "%s lies on a network (%s): who writes to it from another machine is not seen "
                "here, and rows would be missed",
                c->conn->path, network);
        fr_fail_code(err, "query.bound");
        return fr_fail_hint(err, "run freshet where the file is");
    }
    for (size_t i = 0; i < settings->table_count; i++) {
        if (!fr_table_emptied(&settings->tables[i]) ||
            sqlite3_db_readonly(c->conn->db, "main") == 0)
            continue;
        fr_fail(err, FR_ERR_AUTH, "%s cannot be written, and %s is an outbox that is emptied",
                c->conn->path, settings->tables[i].pattern);
        fr_fail_code(err, "outbox.delete_grant");
        return fr_fail_hint(err, "give this user the right to write the file and its folder; or "
                                 "outbox.delete: false");
    }
    if (!fr_source_bounded(settings))
        return FR_OK;
    fr_arena *a = fr_arena_new(256);
    fr_rc rc = fr_sq_watch_look(&c->watch, c->conn, a, &look, err);
    fr_arena_free(a);
    return rc;
}

static void say_rollback(const fr_sq *c, fr_str mode, fr_findings *out)
{
    fr_finding *f = fr_findings_add(
        out, FR_WARNING, "sqlite.wal",
        "%s: journal mode %.*s: while a page is read no writer can commit (it waits, or gets "
        "SQLITE_BUSY)",
        c->path, FR_ARG(mode));
    f->hint = FR_STR("PRAGMA journal_mode = WAL; or a small poll.batch, and a busy_timeout in the "
                     "application");
}

/* The -shm and -wal that we make are ours. */
static void say_owner(const fr_sq *c, fr_findings *out)
{
    struct stat st;
    if (stat(c->path, &st) != 0 || geteuid() == 0 || geteuid() == st.st_uid)
        return;
    fr_finding *f = fr_findings_add(
        out, FR_WARNING, "sqlite.wal",
        "%s belongs to another user: where freshet is the first to open it, its -wal and -shm "
        "belong to freshet, and the application may not be able to write them",
        c->path);
    f->hint = FR_STR("run freshet as the user of the application; or let both have a group that "
                     "may write the file, its folder and what is made there");
}

void fr_sq_check(fr_sql *base, const fr_source_settings *settings, fr_findings *out)
{
    const fr_sq *c = ((const fr_sq_sql *)base)->conn;
    fr_str mode;
    fr_err err;
    (void)settings;
    if (fr_sq_scalar(c, "look into", FR_STR("PRAGMA journal_mode"), out->arena, &mode, &err) ==
        FR_FAIL) {
        fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sqlite.open", "%s", err.text);
        f->hint = fr_arena_str(out->arena, fr_cstr(fr_err_hint(&err)));
        return;
    }
    if (!fr_str_is(mode, "wal")) {
        say_rollback(c, mode, out);
        return;
    }
    fr_findings_add(out, FR_FINE, "sqlite.wal", "%s: WAL mode: readers and writers do not wait",
                    c->path);
    say_owner(c, out);
}
