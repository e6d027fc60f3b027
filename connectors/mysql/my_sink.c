#include "mysql/my_sink.h"
#include "mysql/my_dsn.h"
#include "mysql/my_verify.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

/* See fr_my_sink_begin. */
enum { FROZEN_SECONDS = 120 };

static const fr_option options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_my_sink_config, dsn),
     .help = "Address of the target: mysql://user@host:3306/database, without a password.",
     .flags = FR_REQUIRED,
     .reads = fr_my_dsn_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_my_sink_config, password),
     .help = "The user's password, by reference: ${file:...}, ${cred:...} or ${env:...}.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_my_sink_config, insecure),
     .fallback = "false",
     .help = "Allow connections off this machine whose server is not verified by TLS."},
    {.name = NULL},
};

/* ---- open and close ---- */

static fr_rc settings_check(const fr_sink_settings *set, fr_err *err)
{
    FR_TRY(fr_target_settings(set, err));
    FR_TRY(fr_history_kept(set, err));
    if (strlen(set->pipeline) > 100 || strlen(set->name) > 100)
        return fr_target_refuse(err,
                                "names of pipelines and sinks have at most 100 characters here",
                                "give it a shorter name");
    return FR_OK;
}

static void sink_close(fr_sink *base)
{
    fr_my_sink *s = (fr_my_sink *)base;
    if (s == NULL)
        return;
    fr_my_sink_forget(s);
    fr_map_free(s->tables, NULL);
    fr_map_free(s->known, NULL);
    fr_map_free(s->folded, NULL);
    fr_map_free(s->claims, free);
    for (size_t i = 0; i < s->cell_cap; i++)
        fr_my_cells_free(&s->cells[i]);
    free(s->cells);
    free(s->binds);
    fr_my_close(s->my);
    fr_arena_free(s->arena);
    fr_arena_free(s->home);
    free(s);
}

/* 'user'@'host' for GRANT; user@host is how the server says it. */
static fr_str account(fr_arena *a, fr_str current)
{
    size_t at = current.len;
    while (at > 0 && current.ptr[at - 1] != '@')
        at--;
    if (at == 0)
        return fr_my_literal(a, current);
    fr_str user = {current.ptr, at - 1}, host = {current.ptr + at, current.len - at};
    return fr_arena_printf(a, "%.*s@%.*s", FR_ARG(fr_my_literal(a, user)),
                           FR_ARG(fr_my_literal(a, host)));
}

static fr_rc look_around(fr_my_sink *s, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(s->my, s->home, "look around", "SELECT DATABASE(), CURRENT_USER()", &rows,
                       err));
    if (fr_my_null(&rows, 0, 0))
        return fr_target_refuse(
            err, "the dsn names no database, and " FR_TARGET_OFFSETS " has to be in one",
            "write mysql://user@host:3306/database");
    s->database = fr_my_text(&rows, 0, 0);
    s->user = account(s->home, fr_my_text(&rows, 0, 1));
    fr_my_sink_rest(s);
    return FR_OK;
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    fr_my *my = NULL;
    fr_my_abilities can;
    int64_t frozen = FROZEN_SECONDS + 2 * settings->every_us / 1000000;
    FR_TRY(settings_check(settings, err));
    FR_TRY(fr_my_sink_connect(settings, frozen, &my, &can, err));
    fr_my_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_mysql_sink;
    s->settings = settings;
    s->my = my;
    s->can = can;
    s->frozen_seconds = frozen;
    s->home = fr_arena_new(0);
    s->arena = fr_arena_new(64 << 10);
    s->tables = fr_map_new();
    s->known = fr_map_new();
    s->folded = fr_map_new();
    s->claims = fr_map_new();
    atomic_init(&s->connected, true);
    atomic_init(&s->lag_us, -1);
    if (look_around(s, err) == FR_FAIL) {
        sink_close(&s->base);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_my_sink_abandon((fr_my_sink *)base);
    return FR_OK; /* a lost connection has rolled back too; the next call says so */
}

static void sink_interrupt(fr_sink *base)
{
    fr_my_interrupt(((fr_my_sink *)base)->my);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_my_sink *s = (fr_my_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* ---- check ---- */

/* read_only does not hold for those with such a right, and reading the grants tells. */
static bool may_write_anyway(const fr_my_rows *grants)
{
    static const char *const rights[] = {"SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN",
                                         "ALL PRIVILEGES ON *.*", "CONNECTION_ADMIN"};
    fr_arena *a = fr_arena_new(0);
    bool may = false;
    for (size_t i = 0; i < grants->count; i++)
        for (size_t r = 0; r < sizeof(rights) / sizeof(rights[0]); r++)
            may = may || strstr(fr_arena_cstr(a, fr_my_text(grants, i, 0)), rights[r]) != NULL;
    fr_arena_free(a);
    return may;
}

static fr_rc check_writable(fr_my_sink *s, fr_findings *out, fr_err *err)
{
    fr_my_rows grants;
    fr_str read_only, super;
    FR_TRY(fr_my_variable(s->my, out->arena, "read_only", &read_only, err));
    FR_TRY(fr_my_variable(s->my, out->arena, "super_read_only", &super, err));
    if (!fr_str_is(read_only, "ON") && !fr_str_is(super, "ON"))
        return FR_OK;
    FR_TRY(fr_my_query(s->my, out->arena, "read grants", "SHOW GRANTS", &grants, err));
    if (!fr_str_is(super, "ON") && may_write_anyway(&grants))
        return FR_OK;
    fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sink.connect",
                                    "the server is read_only: nothing can be written");
    f->hint = FR_STR("give the dsn of the primary");
    return FR_OK;
}

static void say_version(fr_my_sink *s, fr_findings *out)
{
    uint32_t v = s->can.version;
    fr_findings_add(out, FR_FINE, "sink.version", "%s %u.%u.%u",
                    s->can.mariadb ? "MariaDB" : "MySQL", v / 10000, v / 100 % 100, v % 100);
    if (!s->can.fractions)
        fr_findings_add(out, FR_WARNING, "sink.version",
                        "this server keeps no fractions of seconds: they are cut");
}

static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    fr_sink *base = NULL;
    if (sink_open(settings, &base, err) == FR_FAIL) {
        fr_target_finding(out,
                          err->code[0] == '\0' || strncmp(err->code, "my.", 3) == 0 ? "sink.connect"
                          : strcmp(err->code, "sink.version") == 0                  ? "sink.version"
                                                                                    : "sink.config",
                          err);
        return FR_OK;
    }
    fr_my_sink *s = (fr_my_sink *)base;
    fr_rc rc = check_writable(s, out, err);
    if (rc == FR_OK &&
        fr_my_sink_own_tables(s, settings->create != FR_WHEN_NEVER, true, out, err) == FR_FAIL) {
        rc = err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_AUTH ? FR_OK : FR_FAIL;
        if (rc == FR_OK)
            fr_target_finding(out, err->kind == FR_ERR_AUTH ? "sink.grants" : "sink.engine", err);
    }
    if (rc == FR_OK)
        say_version(s, out);
    sink_close(base);
    return rc;
}

fr_rc fr_my_sink_verify_open(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                             fr_err *err)
{
    const fr_my_sink_config *c = settings->connector;
    fr_my_target target = {.dsn = c->dsn, .password = c->password, .insecure = c->insecure};
    return fr_my_verify_open(&target, timeout_us, settings, out, err);
}

/* Both types name the same: which server it is, is asked. */
#define OPS(ops_name, ops_type, ops_draft)                                                         \
    {                                                                                              \
        .name = ops_name,                                                                          \
        .type = ops_type,                                                                          \
        .summary =                                                                                 \
            "Rows into tables of a MySQL or MariaDB database, with their offsets, exactly once.",  \
        .options = options,                                                                        \
        .config_size = sizeof(fr_my_sink_config),                                                  \
        .open = sink_open,                                                                         \
        .check = sink_check,                                                                       \
        .claim = fr_my_sink_claim,                                                                 \
        .prepare = fr_my_sink_prepare,                                                             \
        .draft = ops_draft,                                                                        \
        .apply = fr_my_sink_apply,                                                                 \
        .commit = fr_my_sink_commit,                                                               \
        .rollback = sink_rollback,                                                                 \
        .park = fr_my_sink_park,                                                                   \
        .parked = fr_my_sink_parked,                                                               \
        .unpark = fr_my_sink_unpark,                                                               \
        .interrupt = sink_interrupt,                                                               \
        .status = sink_status,                                                                     \
        .close = sink_close,                                                                       \
        .settings = fr_history_kept,                                                               \
        .rows = &fr_my_verify,                                                                     \
    }

const fr_sink_ops fr_mysql_sink = OPS("mysql-sink", "mysql", fr_mysql_sink_draft);
const fr_sink_ops fr_mariadb_sink = OPS("mariadb-sink", "mariadb", fr_mariadb_sink_draft);
