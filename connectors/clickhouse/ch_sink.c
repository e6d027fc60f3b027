#include "clickhouse/ch_sink.h"
#include "base/json.h"
#include "clickhouse/ch_dsn.h"
#include "clickhouse/ch_verify.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

static const fr_option options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_ch_sink_config, dsn),
     .help =
         "Address of the target's HTTP interface: clickhouse://user@host:8443/database, without "
         "a password.",
     .flags = FR_REQUIRED,
     .reads = fr_ch_dsn_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_ch_sink_config, password),
     .help = "The user's password, by reference: ${file:...}, ${cred:...} or ${env:...}.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_ch_sink_config, insecure),
     .fallback = "false",
     .help = "Allow connections off this machine whose server is not verified by TLS."},
    {.name = NULL},
};

/* ---- asking ---- */

int64_t fr_ch_number(fr_str text)
{
    char copy[32] = "";
    memcpy(copy, text.ptr, text.len < sizeof(copy) ? text.len : sizeof(copy) - 1);
    return strtoll(copy, NULL, 10);
}

static fr_rc read_cells(fr_arena *a, const json_t *rows, fr_ch_cells *out, fr_err *err)
{
    size_t count = json_array_size(rows), columns = json_array_size(json_array_get(rows, 0));
    fr_str *cells = fr_arena_alloc(a, (count * columns + 1) * sizeof(fr_str));
    for (size_t i = 0; i < count * columns; i++) {
        const json_t *cell = json_array_get(json_array_get(rows, i / columns), i % columns);
        if (!json_is_string(cell))
            return fr_fail(err, FR_ERR_CONNECT, "the reply is not what was asked for");
        cells[i] = fr_arena_copy(a, json_string_value(cell), json_string_length(cell));
    }
    *out = (fr_ch_cells){count, columns, cells};
    return FR_OK;
}

fr_rc fr_ch_select(fr_ch *ch, fr_arena *a, fr_ch_call call, fr_ch_cells *out, fr_err *err)
{
    fr_buf reply = {0};
    json_t *j = NULL;
    call.sql = fr_arena_printf(a, "%.*s FORMAT JSONCompactStrings", FR_ARG(call.sql));
    fr_rc rc = fr_ch_ask(ch, &call, &reply, err);
    if (rc == FR_OK && fr_json_parse(fr_buf_view(&reply), &j, err) == FR_FAIL) {
        err->kind = FR_ERR_CONNECT;
        rc = fr_fail_in(err, "%s", call.doing);
    }
    if (rc == FR_OK)
        rc = read_cells(a, json_object_get(j, "data"), out, err);
    json_decref(j);
    fr_buf_free(&reply);
    return rc;
}

fr_rc fr_ch_exec(fr_ch *ch, const char *doing, fr_str sql, fr_err *err)
{
    const fr_ch_call call = {.doing = doing, .sql = sql};
    return fr_ch_ask(ch, &call, NULL, err);
}

fr_rc fr_ch_sink_failed(fr_ch_sink *s, fr_err *err)
{
    if (err->kind == FR_ERR_CONNECT)
        atomic_store(&s->connected, false);
    return FR_FAIL;
}

/* ---- open and close ---- */

static fr_rc history_check(const fr_sink_settings *set, fr_err *err)
{
    return fr_history_none(
        set,
        "write.mode: ClickHouse has no transactions in which one row ends and the next begins: "
        "history cannot be",
        "set write.mode: append: every state is a row there, with its position "
        "(docs/history.md)",
        err);
}

static fr_rc settings_check(const fr_sink_settings *set, fr_err *err)
{
    FR_TRY(fr_target_settings(set, err));
    FR_TRY(history_check(set, err));
    return FR_OK;
}

static void sink_close(fr_sink *base)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->lane_count; i++)
        fr_ch_lane_free(s->lanes[i]);
    free((void *)s->lanes);
    for (size_t i = 0; i < s->old_count; i++)
        fr_ch_sink_table_free(s->old[i]);
    free((void *)s->old);
    fr_map_free(s->tables, fr_ch_sink_table_free);
    fr_map_free(s->known, NULL);
    fr_map_free(s->by_key, NULL);
    fr_buf_free(&s->parked);
    fr_ch_close(s->ch);
    fr_arena_free(s->arena);
    fr_arena_free(s->home);
    free(s);
}

/* Settings that only newer servers know, and what a table gets that says nothing. */
static fr_rc look_around(fr_ch_sink *s, fr_err *err)
{
    fr_ch_cells c;
    const fr_ch_call call = {
        .doing = "look around",
        .sql = FR_STR("SELECT version(), (SELECT any(value) FROM system.merge_tree_settings WHERE "
                      "name = 'non_replicated_deduplication_window'), (SELECT count() FROM "
                      "system.settings WHERE name = 'deduplicate_insert'), (SELECT count() FROM "
                      "system.settings WHERE name = "
                      "'deduplicate_blocks_in_dependent_materialized_views')")};
    FR_TRY(fr_ch_select(s->ch, s->home, call, &c, err));
    s->version = fr_ch_cell(&c, 0, 0);
    s->window = fr_ch_number(fr_ch_cell(&c, 0, 1));
    fr_buf also = {.arena = s->home};
    if (fr_ch_number(fr_ch_cell(&c, 0, 2)) > 0)
        fr_buf_text(&also, "&deduplicate_insert=enable");
    if (fr_ch_number(fr_ch_cell(&c, 0, 3)) > 0)
        fr_buf_text(&also, "&deduplicate_blocks_in_dependent_materialized_views=1");
    fr_buf_u8(&also, 0);
    fr_ch_also(s->ch, (const char *)also.ptr);
    return FR_OK;
}

/* ReplacingMergeTree with is_deleted is of 23.2, views of FINAL and tokens are older. */
static fr_rc check_version(const fr_ch_sink *s, fr_err *err)
{
    const char *dot = memchr(s->version.ptr, '.', s->version.len);
    int64_t major = fr_ch_number(s->version), minor = 0;
    if (dot != NULL)
        minor =
            fr_ch_number((fr_str){dot + 1, (size_t)(s->version.ptr + s->version.len - dot - 1)});
    if (major > 23 || (major == 23 && minor >= 3))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "ClickHouse %.*s is too old", FR_ARG(s->version));
    fr_fail_code(err, "sink.version");
    return fr_fail_hint(err, "23.3 or later is needed");
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    const fr_ch_sink_config *c = settings->connector;
    fr_ch *ch = NULL;
    const fr_ch_server server = {c->dsn, c->password, c->insecure};
    FR_TRY(settings_check(settings, err));
    FR_TRY(fr_ch_open(&server, &ch, err));
    fr_ch_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_clickhouse_sink;
    s->settings = settings;
    s->ch = ch;
    s->home = fr_arena_new(0);
    s->arena = fr_arena_new(64 << 10);
    s->tables = fr_map_new();
    s->known = fr_map_new();
    s->by_key = fr_map_new();
    atomic_init(&s->connected, true);
    atomic_init(&s->lag_us, -1);
    if (look_around(s, err) == FR_FAIL || check_version(s, err) == FR_FAIL) {
        sink_close(&s->base);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_ch_lanes_roll_back((fr_ch_sink *)base);
    return FR_OK;
}

static void sink_interrupt(fr_sink *base)
{
    fr_ch_interrupt(((fr_ch_sink *)base)->ch);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* ---- check ---- */

static fr_rc check_all(fr_ch_sink *s, fr_findings *out, fr_err *err)
{
    FR_TRY(fr_ch_sink_own_tables(s, s->settings->create != FR_WHEN_NEVER, true, out, err));
    fr_findings_add(out, FR_FINE, "sink.version", "ClickHouse %.*s", FR_ARG(s->version));
    return FR_OK;
}

static const char *code_of(const fr_err *err)
{
    if (strcmp(err->code, "sink.version") == 0)
        return "sink.version";
    return err->code[0] == '\0' || strncmp(err->code, "ch.", 3) == 0 ? "sink.connect"
                                                                     : "sink.config";
}

static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    fr_sink *base = NULL;
    if (sink_open(settings, &base, err) == FR_FAIL) {
        fr_target_finding(out, code_of(err), err);
        return FR_OK;
    }
    fr_rc rc = check_all((fr_ch_sink *)base, out, err);
    sink_close(base);
    if (rc == FR_FAIL && (err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_AUTH)) {
        fr_target_finding(out, err->kind == FR_ERR_AUTH ? "sink.grants" : "sink.connect", err);
        return FR_OK;
    }
    return rc;
}

const fr_sink_ops fr_clickhouse_sink = {
    .name = "clickhouse-sink",
    .type = "clickhouse",
    .summary = "Rows into tables of a ClickHouse server, each exactly once.",
    .options = options,
    .config_size = sizeof(fr_ch_sink_config),
    .batch_rows = 50000,
    .open = sink_open,
    .check = sink_check,
    .claim = fr_ch_sink_claim,
    .prepare = fr_ch_sink_prepare,
    .draft = fr_ch_sink_draft,
    .apply = fr_ch_sink_apply,
    .commit = fr_ch_sink_commit,
    .rollback = sink_rollback,
    .park = fr_ch_sink_park,
    .parked = fr_ch_sink_parked,
    .interrupt = sink_interrupt,
    .status = sink_status,
    .close = sink_close,
    .settings = history_check,
    .rows = &fr_clickhouse_verify,
};
