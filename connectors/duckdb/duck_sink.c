#include "duckdb/duck_sink.h"
#include "duckdb/duck_verify.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

static const char *const holds[] = {"always", "writing", NULL};
static const fr_option options[] = {
    {.name = "path",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_duck_sink_config, path),
     .help = "The file; it is made when it is not there, unless create is never.",
     .flags = FR_REQUIRED | FR_PATH},
    {.name = "hold",
     .type = FR_OPT_CHOICE,
     .offset = offsetof(fr_duck_sink_config, hold),
     .fallback = "always",
     .choices = holds,
     .help = "How long the file is held, which nobody else can open meanwhile: always, or writing, "
             "from the first row of a transaction to its commit."},
    {.name = "memory",
     .type = FR_OPT_BYTES,
     .offset = offsetof(fr_duck_sink_config, memory),
     .fallback = "128MiB",
     .min = 32LL << 20,
     .max = 1LL << 40,
     .help = "DuckDB's memory_limit; what needs more goes to files beside the database."},
    {.name = "threads",
     .type = FR_OPT_INT,
     .offset = offsetof(fr_duck_sink_config, threads),
     .fallback = "1",
     .min = 1,
     .max = 256,
     .help = "DuckDB's threads."},
    {.name = "library",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_duck_sink_config, library),
     .fallback = "libduckdb.so",
     .help = "DuckDB's library: a path, or a name that the system's loader finds."},
    {.name = NULL},
};

/* ---- open and close ---- */

static fr_rc settings_check(const fr_sink_settings *set, fr_err *err)
{
    const fr_duck_sink_config *c = set->connector;
    FR_TRY(fr_target_settings(set, err));
    FR_TRY(fr_history_kept(set, err));
    if (c->path == NULL || c->path[0] == '\0' || strcmp(c->path, ":memory:") == 0)
        return fr_target_refuse(err, "path: rows are kept in a file", "give the path of one");
    return FR_OK;
}

void fr_duck_sink_free(fr_duck_sink *s)
{
    if (s == NULL)
        return;
    fr_duck_sink_abandon(s);
    fr_duck_sink_shut(s);
    fr_map_free(s->tables, NULL); /* empty */
    fr_target_free_versions(s->versions);
    fr_map_free(s->known, NULL);
    fr_map_free(s->folded, NULL);
    fr_map_free(s->claims, free);
    fr_map_free(s->stored, free);
    fr_arena_free(s->arena);
    fr_arena_free(s->home);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void sink_close(fr_sink *base)
{
    fr_duck_sink_free((fr_duck_sink *)base);
}

fr_rc fr_duck_sink_new(const fr_sink_settings *settings, fr_duck_sink **out, fr_err *err)
{
    const fr_duck_sink_config *config = settings->connector;
    const fr_duck_api *api;
    FR_TRY(settings_check(settings, err));
    FR_TRY(fr_duck_load(config->library, &api, err));
    fr_duck_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_duckdb_sink;
    s->settings = settings;
    s->config = config;
    s->api = api;
    s->home = fr_arena_new(0);
    s->arena = fr_arena_new(64 << 10);
    s->tables = fr_map_new();
    s->versions = fr_map_new();
    s->known = fr_map_new();
    s->folded = fr_map_new();
    s->claims = fr_map_new();
    s->stored = fr_map_new();
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->connected, true);
    atomic_init(&s->interrupted, false);
    atomic_init(&s->lag_us, -1);
    *out = s;
    return FR_OK;
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    fr_duck_sink *s;
    FR_TRY(fr_duck_sink_new(settings, &s, err));
    if (fr_duck_sink_open(s, err) == FR_FAIL) {
        sink_close(&s->base);
        return FR_FAIL;
    }
    if (s->config->hold == FR_DUCK_HOLD_WRITING)
        fr_duck_sink_shut(s);
    *out = &s->base;
    return FR_OK;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_duck_sink_abandon((fr_duck_sink *)base);
    return FR_OK;
}

static void sink_interrupt(fr_sink *base)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->interrupted, true);
    if (s->con != NULL)
        s->api->interrupt(s->con);
    pthread_mutex_unlock(&s->lock);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* ---- check ---- */

static fr_rc check_file(fr_duck_sink *s, fr_findings *out, fr_err *err)
{
    bool create = s->settings->create != FR_WHEN_NEVER;
    FR_TRY(fr_duck_sink_same_file(s, err)); /* hold: writing let it go */
    if (s->stand_in && !create) {
        fr_duck_sink_need_file(s, false, err);
        fr_target_finding(out, "sink.file", err);
        return FR_OK;
    }
    FR_TRY(fr_duck_sink_own_tables(s, create, true, out, err));
    fr_findings_add(out, FR_FINE, "sink.version", "DuckDB %s", s->api->library_version());
    return FR_OK;
}

/* What the configuration or the operator has to mend is a finding; the rest may pass by itself. */
static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    fr_sink *base = NULL;
    if (sink_open(settings, &base, err) == FR_OK) {
        fr_rc rc = check_file((fr_duck_sink *)base, out, err);
        sink_close(base);
        return rc;
    }
    static const char *const codes[] = {"sink.config", "sink.library", "sink.busy"};
    const char *code = "sink.file";
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        code = strcmp(err->code, codes[i]) == 0 ? codes[i] : code;
    fr_target_finding(out, code, err);
    return FR_OK;
}

const fr_sink_ops fr_duckdb_sink = {
    .name = "duckdb-sink",
    .type = "duckdb",
    .summary = "Rows into tables of a DuckDB file, with their offsets, exactly once.",
    .options = options,
    .config_size = sizeof(fr_duck_sink_config),
    .open = sink_open,
    .check = sink_check,
    .claim = fr_duck_sink_claim,
    .prepare = fr_duck_sink_prepare,
    .draft = fr_duck_sink_draft,
    .apply = fr_duck_sink_apply,
    .commit = fr_duck_sink_commit,
    .rollback = sink_rollback,
    .park = fr_duck_sink_park,
    .parked = fr_duck_sink_parked,
    .unpark = fr_duck_sink_unpark,
    .interrupt = sink_interrupt,
    .status = sink_status,
    .close = sink_close,
    .settings = fr_history_kept,
    .rows = &fr_duckdb_verify,
};
