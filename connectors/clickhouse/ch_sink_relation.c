/* The target as the server has it, and the view of its current rows. */
#include "clickhouse/ch_sink.h"
#include <string.h>

/* ---- names ---- */

static fr_str qualified(fr_arena *a, fr_str database, fr_str name)
{
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(fr_ch_ident(a, database)),
                           FR_ARG(fr_ch_ident(a, name)));
}

fr_rc fr_ch_target_name(fr_arena *a, const char *database, const fr_table *t, fr_ch_target *out,
                        fr_err *err)
{
    fr_ch_target r = {.database_there = true};
    r.database = fr_arena_str(a, t->space.len > 0 ? t->space : fr_cstr(database));
    FR_TRY(fr_target_check_name("ClickHouse", r.database, err));
    FR_TRY(fr_target_check_name("ClickHouse", t->name, err));
    if (fr_str_is(t->name, FR_TARGET_OFFSETS) || fr_str_is(t->name, FR_TARGET_PARKED)) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s is a table of freshet's own", FR_ARG(t->name));
        fr_fail_code(err, "sink.name");
        return fr_fail_hint(err, "give the table another name by into");
    }
    r.name = fr_arena_str(a, t->name);
    r.qualified = qualified(a, r.database, r.name);
    r.view_qualified =
        qualified(a, r.database, fr_arena_printf(a, "%.*s" FR_CH_VIEW_END, FR_ARG(r.name)));
    *out = r;
    return FR_OK;
}

/* ---- what the engine's text says ---- */

/* The end of what begins with a quote: behind its closing one. */
static size_t past_quoted(fr_str text, size_t at)
{
    char quote = text.ptr[at++];
    while (at < text.len && text.ptr[at] != quote)
        at += text.ptr[at] == '\\' ? 2 : 1;
    return at < text.len ? at + 1 : text.len;
}

static bool is_quote(char c)
{
    return c == '`' || c == '\'' || c == '"';
}

/* Where the element that begins at `at` ends: at a comma or closing parenthesis outside of it. */
static size_t element_end(fr_str text, size_t at)
{
    int depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (depth == 0 && (c == ',' || c == ')'))
            break;
        depth += c == '(';
        depth -= c == ')';
        at = is_quote(c) ? past_quoted(text, at) : at + 1;
    }
    return at;
}

static fr_str unquoted(fr_arena *a, fr_str s)
{
    if (s.len < 2 || s.ptr[0] != '`' || past_quoted(s, 0) != s.len)
        return fr_arena_str(a, s);
    fr_buf b = {.arena = a};
    for (size_t i = 1; i + 1 < s.len; i++) {
        bool escaped = s.ptr[i] == '\\' && i + 2 < s.len;
        i += escaped;
        fr_buf_u8(&b, (uint8_t)(escaped ? fr_ch_escaped(s.ptr[i]) : s.ptr[i]));
    }
    return fr_buf_view(&b);
}

/* Where the parenthesis that opens at `at` is closed; the end where it is not. */
static size_t closing(fr_str text, size_t at)
{
    do
        at = element_end(text, at + 1);
    while (at < text.len && text.ptr[at] != ')');
    return at;
}

size_t fr_ch_split(fr_arena *a, fr_str text, fr_str **out)
{
    fr_buf list = {.arena = a};
    size_t at = 0;
    if (text.len > 1 && text.ptr[0] == '(' && closing(text, 0) == text.len - 1)
        text = (fr_str){text.ptr + 1, text.len - 2};
    while (at < text.len) {
        while (at < text.len && text.ptr[at] == ' ')
            at++;
        size_t end = element_end(text, at);
        fr_str element = unquoted(a, (fr_str){text.ptr + at, end - at});
        fr_buf_put(&list, &element, sizeof(element));
        at = end + 1;
    }
    *out = (fr_str *)(void *)list.ptr;
    return list.len / sizeof(fr_str);
}

static fr_str without(fr_str text, const char *prefix, bool *was)
{
    size_t n = strlen(prefix);
    if (text.len < n || memcmp(text.ptr, prefix, n) != 0)
        return text;
    *was = true;
    return (fr_str){text.ptr + n, text.len - n};
}

/* The arguments in the parentheses right behind the engine's name. */
static fr_str arguments(fr_str engine, fr_str full)
{
    if (full.len <= engine.len || full.ptr[engine.len] != '(')
        return FR_STR("");
    size_t end = closing(full, engine.len);
    return (fr_str){full.ptr + engine.len + 1, end - engine.len - 1};
}

/* Where the SETTINGS begin; the end where there are none. What is quoted is passed over. */
static size_t find_settings(fr_str full)
{
    static const char word[] = " SETTINGS ";
    size_t at = 0, n = sizeof(word) - 1;
    while (at + n <= full.len && memcmp(full.ptr + at, word, n) != 0)
        at = is_quote(full.ptr[at]) ? past_quoted(full, at) : at + 1;
    return at + n <= full.len ? at : full.len;
}

/* " name = 1000" among the SETTINGS. */
static int64_t setting(fr_arena *a, fr_str full, const char *name, int64_t fallback)
{
    size_t begin = find_settings(full);
    const char *text = fr_arena_cstr(a, (fr_str){full.ptr + begin, full.len - begin});
    fr_str key = fr_arena_printf(a, " %s = %c", name, '\0');
    const char *at = strstr(text, key.ptr);
    return at != NULL ? fr_ch_number(fr_cstr(at + strlen(key.ptr))) : fallback;
}

void fr_ch_target_engine(fr_arena *a, fr_str engine, fr_str full, int64_t fallback_window,
                         fr_ch_target *out)
{
    fr_str *args;
    size_t count = fr_ch_split(a, arguments(engine, full), &args), from = 0;
    out->replicated = false;
    out->engine =
        without(without(engine, "Replicated", &out->replicated), "Shared", &out->replicated);
    out->engine = fr_arena_str(a, out->engine);
    while (from < count && args[from].len > 0 && args[from].ptr[0] == '\'')
        from++; /* path and replica */
    out->version = from < count ? args[from] : FR_STR("");
    out->deleted = from + 1 < count ? args[from + 1] : FR_STR("");
    out->window = out->replicated
                      ? setting(a, full, "replicated_deduplication_window", FR_CH_WINDOW)
                      : setting(a, full, "non_replicated_deduplication_window", fallback_window);
}

/* ---- reading ---- */

static fr_str view_name(fr_arena *a, const fr_ch_target *r)
{
    return fr_arena_printf(a, "%.*s" FR_CH_VIEW_END, FR_ARG(r->name));
}

static fr_rc read_tables(fr_ch_sink *s, fr_arena *a, fr_ch_target *r, fr_err *err)
{
    fr_ch_cells c;
    const fr_ch_call call = {
        .doing = "read the target",
        .sql = FR_STR("SELECT name, engine, engine_full, sorting_key, partition_key, comment FROM "
                      "system.tables WHERE database = {d:String} AND name IN ({n:String}, "
                      "{v:String}) UNION ALL SELECT name, '', '', '', '', '' FROM "
                      "system.databases WHERE name = {d:String}"),
        .params = {{"d", r->database}, {"n", r->name}, {"v", view_name(a, r)}}};
    FR_TRY(fr_ch_select(s->ch, a, call, &c, err));
    r->database_there = false;
    for (size_t i = 0; i < c.count; i++) {
        fr_str name = fr_ch_cell(&c, i, 0), engine = fr_ch_cell(&c, i, 1);
        if (engine.len == 0) {
            r->database_there = true;
        } else if (fr_str_eq(name, r->name)) {
            r->there = true;
            fr_ch_target_engine(a, engine, fr_ch_cell(&c, i, 2), s->window, r);
            r->sorting_count = fr_ch_split(a, fr_ch_cell(&c, i, 3), &r->sorting);
            r->partition_key = fr_ch_cell(&c, i, 4);
        } else {
            r->view_there = true;
            r->view_ours = fr_str_is(engine, "View") && fr_str_is(fr_ch_cell(&c, i, 5), "freshet");
        }
    }
    return FR_OK;
}

static void add_column(fr_ch_target *r, const fr_ch_cells *c, size_t row)
{
    fr_str how = fr_ch_cell(c, row, 3), type = fr_ch_cell(c, row, 2);
    bool computed = fr_str_is(how, "MATERIALIZED") || fr_str_is(how, "ALIAS");
    r->columns[r->column_count++] = (fr_ch_target_column){
        .name = fr_ch_cell(c, row, 1),
        .type_text = type,
        .type = fr_ch_type_of(type),
        .has_default = how.len > 0,
        .computed = computed,
        .hidden = computed || fr_str_is(how, "EPHEMERAL"),
    };
}

static fr_rc read_columns(fr_ch_sink *s, fr_arena *a, fr_ch_target *r, fr_err *err)
{
    fr_ch_cells c;
    const fr_ch_call call = {
        .doing = "read the target",
        .sql = FR_STR("SELECT table, name, type, default_kind FROM system.columns WHERE database = "
                      "{d:String} AND table IN ({n:String}, {v:String}) ORDER BY position"),
        .params = {{"d", r->database}, {"n", r->name}, {"v", view_name(a, r)}}};
    FR_TRY(fr_ch_select(s->ch, a, call, &c, err));
    r->columns = fr_arena_alloc(a, (c.count + 1) * sizeof(*r->columns));
    r->view_columns = fr_arena_alloc(a, (c.count + 1) * sizeof(fr_str));
    for (size_t i = 0; i < c.count; i++) {
        if (fr_str_eq(fr_ch_cell(&c, i, 0), r->name))
            add_column(r, &c, i);
        else
            r->view_columns[r->view_column_count++] = fr_ch_cell(&c, i, 1);
    }
    return FR_OK;
}

fr_rc fr_ch_target_read(fr_ch_sink *s, fr_arena *a, const fr_table *t, fr_ch_target *out,
                        fr_err *err)
{
    fr_ch_target r;
    FR_TRY(fr_ch_target_name(a, fr_ch_database(s->ch), t, &r, err));
    FR_TRY(read_tables(s, a, &r, err));
    if (r.there)
        FR_TRY(read_columns(s, a, &r, err));
    *out = r;
    return FR_OK;
}

fr_rc fr_ch_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err)
{
    fr_ch_target r;
    FR_TRY(fr_ch_target_name(out->arena, "default", table, &r, err));
    if (table->space.len == 0) { /* the connection's, which nobody asked */
        r.qualified = fr_ch_ident(out->arena, r.name);
        r.view_qualified = fr_ch_ident(out->arena, view_name(out->arena, &r));
    }
    fr_ch_sink_compare(settings, &r, table, NULL, true, out);
    return FR_OK;
}

const fr_ch_target_column *fr_ch_target_find(const fr_ch_target *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_str_eq(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}
