#include "sqlite/sq_sink.h"
#include "connectors/sqlite/sq_verify.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

static const fr_option options[] = {
    {.name = "path",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_sq_sink_config, path),
     .help = "The file; it is made when it is not there, unless create is never.",
     .flags = FR_REQUIRED | FR_PATH},
    {.name = NULL},
};

/* ---- open and close ---- */

static fr_rc settings_check(const fr_sink_settings *set, fr_err *err)
{
    const fr_sq_sink_config *c = set->connector;
    FR_TRY(fr_target_settings(set, err));
    FR_TRY(fr_history_kept(set, err));
    if (c->path == NULL || c->path[0] == '\0' || strcmp(c->path, ":memory:") == 0)
        return fr_target_refuse(err, "path: rows are kept in a file", "give the path of one");
    return FR_OK;
}

static void sink_close(fr_sink *base)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    if (s == NULL)
        return;
    fr_sq_sink_abandon(s);
    fr_sq_sink_shut(s);
    fr_map_free(s->tables, NULL);
    fr_map_free(s->known, NULL);
    fr_map_free(s->folded, NULL);
    fr_map_free(s->claims, free);
    fr_arena_free(s->arena);
    fr_arena_free(s->home);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    FR_TRY(settings_check(settings, err));
    fr_sq_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_sqlite_sink;
    s->settings = settings;
    s->path = ((const fr_sq_sink_config *)settings->connector)->path;
    s->home = fr_arena_new(0);
    s->arena = fr_arena_new(64 << 10);
    s->tables = fr_map_new();
    s->known = fr_map_new();
    s->folded = fr_map_new();
    s->claims = fr_map_new();
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->interrupted, false);
    atomic_init(&s->connected, true);
    atomic_init(&s->lag_us, -1);
    if (fr_sq_sink_open(s, err) == FR_FAIL) {
        sink_close(&s->base);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_sq_sink_abandon((fr_sq_sink *)base);
    return FR_OK;
}

static void sink_interrupt(fr_sink *base)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->interrupted, true);
    if (s->db != NULL)
        sqlite3_interrupt(s->db);
    pthread_mutex_unlock(&s->lock);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* ---- check ---- */

static fr_rc say_version(fr_sq_sink *s, fr_findings *out, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (s->stand_in) {
        fr_findings_add(out, FR_FINE, "sink.version", "SQLite %s", sqlite3_libversion());
        return FR_OK;
    }
    FR_TRY(fr_sq_sink_compile(s, "read the file's mode", FR_STR("PRAGMA main.journal_mode"), false,
                              &stmt, err));
    fr_rc rc = fr_sq_sink_step(s, "read the file's mode", stmt, err);
    if (rc == FR_OK)
        fr_findings_add(out, FR_FINE, "sink.version", "SQLite %s, journal_mode %s",
                        sqlite3_libversion(), (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc check_file(fr_sq_sink *s, fr_findings *out, fr_err *err)
{
    bool create = s->settings->create != FR_WHEN_NEVER;
    if (s->stand_in && !create) {
        fr_sq_sink_need_file(s, false, err);
        fr_target_finding(out, "sink.file", err);
        return FR_OK;
    }
    FR_TRY(fr_sq_sink_own_tables(s, create, true, out, err));
    return say_version(s, out, err);
}

/* What the configuration or the operator has to mend is a finding; the rest may pass by itself. */
static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    fr_sink *base = NULL;
    if (sink_open(settings, &base, err) == FR_OK) {
        fr_rc rc = check_file((fr_sq_sink *)base, out, err);
        sink_close(base);
        return rc;
    }
    fr_target_finding(out, strcmp(err->code, "sink.config") == 0 ? "sink.config" : "sink.file",
                      err);
    return FR_OK;
}

fr_rc fr_sq_sink_verify_open(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                             fr_err *err)
{
    const fr_sq_sink_config *c = settings->connector;
    return fr_sq_verify_open(c->path, timeout_us, settings, out, err);
}

const fr_sink_ops fr_sqlite_sink = {
    .name = "sqlite-sink",
    .type = "sqlite",
    .summary = "Rows into tables of an SQLite file, with their offsets, exactly once.",
    .options = options,
    .config_size = sizeof(fr_sq_sink_config),
    .open = sink_open,
    .check = sink_check,
    .claim = fr_sq_sink_claim,
    .prepare = fr_sq_sink_prepare,
    .draft = fr_sq_sink_draft,
    .apply = fr_sq_sink_apply,
    .commit = fr_sq_sink_commit,
    .rollback = sink_rollback,
    .park = fr_sq_sink_park,
    .parked = fr_sq_sink_parked,
    .unpark = fr_sq_sink_unpark,
    .interrupt = sink_interrupt,
    .status = sink_status,
    .close = sink_close,
    .settings = fr_history_kept,
    .rows = &fr_sqlite_verify,
};
