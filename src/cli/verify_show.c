#include "base/clock.h"
#include "cli/verify.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 10 };

static const char *const words[FR_DIFFERENCES] = {[FR_MISSING] = "missing",
                                                  [FR_EXTRA] = "extra",
                                                  [FR_CHANGED] = "changed",
                                                  [FR_DOUBLED] = "doubled"};

static fr_str shown(fr_verify_run *v, const fr_verify_field *f, fr_str canonical)
{
    fr_buf b = {.arena = v->cli->arena};
    if (canonical.ptr == NULL)
        return FR_STR("NULL");
    fr_buf_shown(&b, fr_verify_readable(v->cli->arena, f->kind, canonical));
    return fr_buf_view(&b);
}

static fr_str key_of(fr_verify_run *v, const fr_verify_key *k)
{
    fr_buf b = {.arena = v->cli->arena};
    for (size_t i = 0; i < v->key_count; i++) {
        const fr_verify_field *f = &v->fields[v->keys[i]];
        fr_buf_printf(&b, "%s%.*s %.*s", i > 0 ? ", " : "", FR_ARG(f->name),
                      FR_ARG(shown(v, f, k->cells[v->keys[i]])));
    }
    return fr_buf_view(&b);
}

static bool cell_differs(fr_verify_run *v, const fr_verify_key *k, size_t field)
{
    const fr_str *s = k->sides[0].cells, *t = k->sides[1].cells;
    fr_kind kind = v->fields[field].kind;
    fr_arena *a = v->cli->arena;
    fr_str x = fr_verify_canonical(a, kind == FR_JSON ? kind : FR_TEXT, s[field]);
    fr_str y = fr_verify_canonical(a, kind == FR_JSON ? kind : FR_TEXT, t[field]);
    return (x.ptr == NULL) != (y.ptr == NULL) || !fr_str_eq(x, y);
}

uint64_t fr_verify_differences(const fr_verify_run *v)
{
    uint64_t n = v->mode == FR_VERIFY_FAST ? v->chunks_differ - v->chunks_moving : 0;
    for (int i = 0; i < FR_DIFFERENCES; i++)
        n += v->counts[i];
    return n;
}

/* ---- for a person ---- */

/* 18402113 as "18 402 113". */
static fr_str grouped(fr_arena *a, uint64_t n)
{
    char digits[24];
    fr_buf b = {.arena = a};
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            fr_buf_u8(&b, ' ');
        fr_buf_u8(&b, (uint8_t)digits[i]);
    }
    return fr_buf_view(&b);
}

static void show_columns(fr_verify_run *v)
{
    fr_buf *b = &v->cli->out;
    const char *lead = "  columns    ";
    for (size_t i = 0; i < v->field_count; i++) {
        const fr_verify_field *f = &v->fields[i];
        if (f->why.len > 0)
            fr_buf_printf(b, "%s%.*s: not compared (%.*s)", lead, FR_ARG(f->name), FR_ARG(f->why));
        else if (f->rule.len > 0)
            fr_buf_printf(b, "%s%.*s: %.*s", lead, FR_ARG(f->name), FR_ARG(f->rule));
        else
            continue;
        lead = "\n             ";
    }
    fr_buf_text(b, lead[0] == '\n' ? "\n" : "");
}

static void show_list(fr_verify_run *v, fr_difference what)
{
    fr_buf *b = &v->cli->out;
    unsigned n = 0;
    if (v->counts[what] == 0)
        return;
    fr_buf_printf(b, "  %-10s", words[what]);
    for (size_t i = 0; i < v->found_count; i++) {
        const fr_verify_key *k = &v->found[i];
        if (k->proofs < FR_VERIFY_PROOFS || fr_verify_what(k) != what || ++n > SHOWN)
            continue;
        fr_buf_printf(b, "%s%.*s", n == 1 ? " " : "; ", FR_ARG(key_of(v, k)));
        const char *lead = " (";
        for (size_t c = 0; what == FR_CHANGED && c < v->compared; c++) {
            if (!cell_differs(v, k, c))
                continue;
            fr_buf_printf(b, "%s%.*s", lead, FR_ARG(v->fields[c].name));
            lead = ", ";
        }
        fr_buf_text(b, lead[0] == ',' ? ")" : "");
    }
    if (n > SHOWN)
        fr_buf_printf(b, "; %u more (--json shows all)", n - SHOWN);
    fr_buf_text(b, "\n");
}

static void show_head(fr_verify_run *v)
{
    fr_arena *a = v->cli->arena;
    fr_buf *b = &v->cli->out;
    if (v->position > 0)
        fr_buf_printf(b, "at lsn %" PRIX64 "/%" PRIX64 " (sink caught up in %.1f s)   ",
                      v->position >> 32, v->position & 0xffffffff, (double)v->waited_us / 1e6);
    fr_buf_printf(b, "%.*s rows   %.*s chunks ", FR_ARG(grouped(a, v->rows[0])),
                  FR_ARG(grouped(a, v->chunks_equal + v->chunks_differ)));
    if (v->by != NULL)
        fr_buf_printf(b, "by %s   ", v->by);
    else
        fr_buf_text(b, "by hash of the key   ");
    fr_buf_printf(b, "%s\n",
                  v->mode == FR_VERIFY_FULL ? "every row read" : "md5 over canonical values");
    for (int i = 0; v->cli->verbose && i < FR_SIDES; i++)
        fr_cli_note(v->cli, "%s: sums are made %s", v->sides[i].name,
                    v->sides[i].inside ? "in the database" : "here, of rows that are read");
}

static void show_text(fr_verify_run *v, uint64_t differences)
{
    fr_arena *a = v->cli->arena;
    fr_buf *b = &v->cli->out;
    bool fine = differences + v->moving + v->chunks_moving == 0 && !v->too_many;
    show_head(v);
    fr_buf_printf(
        b, "  rows       source %.*s    %s %.*s    %s\n", FR_ARG(grouped(a, v->rows[0])),
        v->sink->name, FR_ARG(grouped(a, v->rows[1])),
        fr_cli_glyph(v->cli, v->rows[0] == v->rows[1] || fine ? FR_GLYPH_FINE : FR_GLYPH_FAIL));
    fr_buf_printf(b, "  chunks     %.*s equal   %.*s differ%s\n",
                  FR_ARG(grouped(a, v->chunks_equal)), FR_ARG(grouped(a, v->chunks_differ)),
                  v->mode == FR_VERIFY_FAST || v->chunks_differ == 0 ? "" : " → rows compared");
    for (int i = 0; i < FR_DIFFERENCES; i++)
        show_list(v, (fr_difference)i);
    if (v->moving + v->chunks_moving > 0)
        fr_buf_printf(b, "  unsettled  %.*s %s that differ%s%s\n",
                      FR_ARG(grouped(a, v->moving + v->chunks_moving)),
                      v->mode == FR_VERIFY_FAST ? "chunks" : "rows",
                      v->why[0] != 0 ? ": " : ", and change all the time", v->why);
    show_columns(v);
}

/* ---- for programs ---- */

static json_t *value_json(fr_verify_run *v, const fr_verify_field *f, fr_str canonical)
{
    return canonical.ptr == NULL
               ? json_null()
               : fr_cli_json_text(fr_verify_readable(v->cli->arena, f->kind, canonical));
}

static json_t *key_json(fr_verify_run *v, const fr_verify_key *k)
{
    json_t *j = json_object(), *key = json_object(), *columns = json_array();
    for (size_t i = 0; i < v->key_count; i++) {
        const fr_verify_field *f = &v->fields[v->keys[i]];
        json_object_set_new(key, fr_arena_cstr(v->cli->arena, f->name),
                            value_json(v, f, k->cells[v->keys[i]]));
    }
    fr_difference what = fr_verify_what(k);
    for (size_t i = 0; what == FR_CHANGED && i < v->compared; i++)
        if (cell_differs(v, k, i))
            json_array_append_new(columns, fr_cli_json_text(v->fields[i].name));
    json_object_set_new(j, "key", key);
    json_object_set_new(j, "what", json_string(words[what]));
    json_object_set_new(j, "columns", columns);
    json_object_set_new(j, "rows_source", json_integer((json_int_t)k->sides[0].count));
    json_object_set_new(j, "rows_sink", json_integer((json_int_t)k->sides[1].count));
    return j;
}

static json_t *columns_json(fr_verify_run *v)
{
    json_t *all = json_array();
    for (size_t i = 0; i < v->field_count; i++) {
        const fr_verify_field *f = &v->fields[i];
        json_t *j = json_object();
        json_object_set_new(j, "name", fr_cli_json_text(f->name));
        json_object_set_new(j, "compared", json_boolean(f->why.len == 0));
        if (f->why.len > 0)
            json_object_set_new(j, "why", fr_cli_json_text(f->why));
        else
            json_object_set_new(j, "kind", json_string(fr_kind_name(f->kind)));
        if (f->rule.len > 0)
            json_object_set_new(j, "rule", fr_cli_json_text(f->rule));
        json_array_append_new(all, j);
    }
    return all;
}

static void put_count(json_t *j, const char *name, uint64_t n)
{
    json_object_set_new(j, name, json_integer((json_int_t)n));
}

static void show_json(fr_verify_run *v, uint64_t differences)
{
    static const char *const modes[] = {"fast", "chunks", "full"};
    json_t *r = fr_cli_result(v->cli), *counts = json_object();
    json_t *list = json_array(), *moving = json_array();
    json_object_set_new(r, "table", json_string(v->cli->args[0]));
    json_object_set_new(r, "sink", json_string(v->sink->name));
    json_object_set_new(r, "mode", json_string(modes[v->mode]));
    json_object_set_new(r, "by", v->by == NULL ? json_null() : json_string(v->by));
    put_count(r, "rows_source", v->rows[0]);
    put_count(r, "rows_sink", v->rows[1]);
    put_count(r, "chunks_equal", v->chunks_equal);
    put_count(r, "chunks_differ", v->chunks_differ);
    put_count(r, "chunks_unsettled", v->chunks_moving);
    for (int i = 0; i < FR_DIFFERENCES; i++)
        put_count(counts, words[i], v->counts[i]);
    json_object_set_new(r, "counts", counts);
    put_count(r, "differences", differences);
    put_count(r, "unsettled", v->moving);
    for (size_t i = 0; i < v->found_count; i++)
        json_array_append_new(v->found[i].proofs >= FR_VERIFY_PROOFS ? list : moving,
                              key_json(v, &v->found[i]));
    json_object_set_new(r, "rows", list);
    json_object_set_new(r, "rows_unsettled", moving);
    json_object_set_new(r, "position",
                        v->position == 0 ? json_null() : json_integer((json_int_t)v->position));
    put_count(r, "waited_ms", (uint64_t)v->waited_us / 1000);
    json_object_set_new(r, "complete", json_boolean(!v->too_many));
    json_object_set_new(r, "why", v->why[0] == 0 ? json_null() : json_string(v->why));
    json_object_set_new(r, "columns", columns_json(v));
    json_object_set_new(
        r, "inside",
        json_pack("{s:b,s:b}", "source", v->sides[0].inside, "sink", v->sides[1].inside));
}

void fr_verify_show(fr_verify_run *v)
{
    uint64_t differences = fr_verify_differences(v);
    show_json(v, differences);
    show_text(v, differences);
    const char *what = v->mode == FR_VERIFY_FAST ? "chunks" : "rows";
    uint64_t of = v->mode == FR_VERIFY_FAST ? v->chunks_equal + v->chunks_differ : v->rows[0];
    if (v->too_many)
        fr_cli_summary(v->cli, "more than %zu rows differ: it was not looked any further",
                       v->found_count);
    else if (differences == 0 && v->moving + v->chunks_moving == 0)
        fr_cli_summary(v->cli, "equal: %.*s rows", FR_ARG(grouped(v->cli->arena, v->rows[0])));
    else
        fr_cli_summary(v->cli, "differences: %" PRIu64 " of %" PRIu64 " %s%s", differences, of,
                       what, v->moving + v->chunks_moving > 0 ? "; others are not settled" : "");
}

/* ---- SQL that makes the sink equal ---- */

static void put_cells(fr_verify_run *v, fr_buf *b, const fr_str *cells, const char *between,
                      bool keys_only, bool names, bool values)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    const char *lead = "";
    size_t n = keys_only ? v->key_count : v->compared;
    for (size_t i = 0; i < n; i++) {
        size_t at = keys_only ? v->keys[i] : i;
        const fr_verify_field *f = &v->fields[at];
        fr_buf_text(b, lead);
        if (names)
            fr_buf_str(b, t->ops->ident(b->arena, f->columns[FR_SINK_SIDE]->name));
        if (names && values)
            fr_buf_text(b, cells[at].ptr == NULL ? " IS " : " = ");
        if (values)
            t->ops->put_literal(t->conn, b, f->columns[FR_SINK_SIDE], f->kind, cells[at]);
        lead = between;
    }
}

/* Where rows that are gone stay, marked. */
static void put_mark(const fr_verify_side *t, fr_buf *b, bool gone)
{
    t->ops->put_literal(t->conn, b, t->table.mark, FR_BOOL, gone ? FR_STR("1") : FR_STR("0"));
}

static void put_insert(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    fr_buf_printf(b, "INSERT INTO %.*s (", FR_ARG(t->table.name));
    put_cells(v, b, k->sides[0].cells, ", ", false, true, false);
    if (t->table.mark != NULL)
        fr_buf_printf(b, ", %.*s", FR_ARG(t->ops->ident(b->arena, t->table.mark->name)));
    fr_buf_text(b, ") VALUES (");
    put_cells(v, b, k->sides[0].cells, ", ", false, false, true);
    if (t->table.mark != NULL) {
        fr_buf_text(b, ", ");
        put_mark(t, b, false);
    }
    fr_buf_text(b, ");\n");
}

static void put_gone(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    fr_buf_printf(b, "UPDATE %.*s SET %.*s = ", FR_ARG(t->table.name),
                  FR_ARG(t->ops->ident(b->arena, t->table.mark->name)));
    put_mark(t, b, true);
    fr_buf_text(b, " WHERE ");
    put_cells(v, b, k->cells, " AND ", true, true, true);
    fr_buf_text(b, ";\n");
}

static void put_delete(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    fr_buf_printf(b, "DELETE FROM %.*s WHERE ", FR_ARG(v->sides[FR_SINK_SIDE].table.name));
    put_cells(v, b, k->cells, " AND ", true, true, true);
    fr_buf_text(b, ";\n");
}

static void put_update(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    const char *lead = " SET ";
    fr_buf_printf(b, "UPDATE %.*s", FR_ARG(t->table.name));
    for (size_t i = 0; i < v->compared; i++) {
        const fr_verify_field *f = &v->fields[i];
        if (!cell_differs(v, k, i))
            continue;
        fr_buf_text(b, lead);
        fr_buf_str(b, t->ops->ident(b->arena, f->columns[FR_SINK_SIDE]->name));
        fr_buf_text(b, " = ");
        t->ops->put_literal(t->conn, b, f->columns[FR_SINK_SIDE], f->kind, k->sides[0].cells[i]);
        lead = ", ";
    }
    fr_buf_text(b, " WHERE ");
    put_cells(v, b, k->cells, " AND ", true, true, true);
    fr_buf_text(b, ";\n");
}

/* Where the sink has statements of its own: those of a row that is doubled there are none. */
static void put_own(fr_verify_run *v, fr_buf *b, const fr_verify_key *k, fr_verify_act act)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    const fr_str *values = act == FR_VERIFY_DROP ? k->cells : k->sides[FR_SOURCE_SIDE].cells;
    fr_verify_cell *cells = fr_arena_alloc(b->arena, v->compared * sizeof(*cells));
    fr_buf sql = {.arena = b->arena};
    fr_err err;
    for (size_t i = 0; i < v->compared; i++) {
        bool set = act == FR_VERIFY_PUT || (act == FR_VERIFY_SET && cell_differs(v, k, i));
        cells[i] = (fr_verify_cell){.column = v->fields[i].columns[FR_SINK_SIDE],
                                    .kind = v->fields[i].kind,
                                    .text = values[i],
                                    .key = v->fields[i].key,
                                    .set = set};
    }
    if (t->ops->put_fix(t->conn, &sql, &t->table, act, cells, v->compared, &err) == FR_OK) {
        fr_buf_str(b, fr_buf_view(&sql));
        return;
    }
    fr_buf_printf(b, "-- %.*s: ", FR_ARG(key_of(v, k)));
    fr_buf_shown(b, fr_cstr(err.text));
    fr_buf_text(b, "\n");
}

/* One line, whatever names and values hold. */
static void put_comment(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    fr_buf_printf(b,
                  "-- %.*s: the source has %zu rows with this key; which of them the sink should "
                  "have is not known\n",
                  FR_ARG(key_of(v, k)), k->sides[FR_SOURCE_SIDE].count);
}

static bool has_literal(const fr_verify_run *v, size_t field, fr_str text)
{
    const fr_verify_side *t = &v->sides[FR_SINK_SIDE];
    const fr_verify_field *f = &v->fields[field];
    if (text.ptr == NULL)
        return true;
    return t->ops->fits != NULL ? t->ops->fits(f->columns[FR_SINK_SIDE], f->kind, text)
                                : fr_verify_fits(f->kind, text);
}

/* The first field of what a statement would say of this row that no literal says; NULL: none. */
static const fr_verify_field *unsaid(fr_verify_run *v, const fr_verify_key *k, fr_difference what)
{
    for (size_t i = 0; i < v->compared; i++) {
        bool set = what == FR_CHANGED ? cell_differs(v, k, i) : what != FR_EXTRA;
        if ((v->fields[i].key && !has_literal(v, i, k->cells[i])) ||
            (set && !has_literal(v, i, k->sides[FR_SOURCE_SIDE].cells[i])))
            return &v->fields[i];
    }
    return NULL;
}

/* A row that is missing may be there, marked as gone. */
static void put_fix(fr_verify_run *v, fr_buf *b, const fr_verify_key *k)
{
    fr_difference what = fr_verify_what(k);
    bool marks = v->sides[FR_SINK_SIDE].table.mark != NULL;
    if (k->sides[FR_SOURCE_SIDE].count > 1) {
        put_comment(v, b, k);
        return;
    }
    if (v->sides[FR_SINK_SIDE].ops->put_fix != NULL) {
        put_own(v, b, k,
                what == FR_EXTRA     ? FR_VERIFY_DROP
                : what == FR_MISSING ? FR_VERIFY_PUT
                                     : FR_VERIFY_SET);
        return;
    }
    const fr_verify_field *bad = unsaid(v, k, what);
    if (bad != NULL) {
        fr_buf_printf(b, "-- %.*s: column ", FR_ARG(key_of(v, k)));
        fr_buf_shown(b, bad->name);
        fr_buf_text(b, ": it is no value that could be published\n");
        return;
    }
    if (what == FR_CHANGED)
        put_update(v, b, k);
    if (what == FR_EXTRA && marks)
        put_gone(v, b, k);
    if ((what == FR_EXTRA && !marks) || what == FR_DOUBLED || (what == FR_MISSING && marks))
        put_delete(v, b, k);
    if (what == FR_MISSING || what == FR_DOUBLED)
        put_insert(v, b, k);
}

fr_rc fr_verify_fix(fr_verify_run *v, fr_err *err)
{
    const char *script = v->sides[FR_SINK_SIDE].ops->script;
    fr_buf b = {.arena = v->cli->arena};
    fr_buf_printf(&b,
                  "-- %s at sink %s. Rows may have changed since: stop the sink (freshet stop %s), "
                  "verify once more,\n-- run this, verify again. Columns that are not compared are "
                  "not written.\n",
                  v->cli->args[0], v->sink->name, v->sink->name);
    fr_buf_text(&b, script == NULL ? "" : script);
    for (size_t i = 0; i < v->found_count; i++) {
        if (v->found[i].proofs >= FR_VERIFY_PROOFS)
            put_fix(v, &b, &v->found[i]);
    }
    FR_TRY(fr_cli_write_file(v->fix_file, fr_buf_view(&b), err));
    fr_cli_note(v->cli, "%s: SQL for the sink's database", v->fix_file);
    return FR_OK;
}
