#include "transform/rules.h"
#include "base/map.h"
#include "codec/contract.h"
#include "model/name.h"
#include "transform/dec_cmp.h"
#include "transform/rule_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct operand {
    bool there; /* false: no end of a range */
    bool exact; /* value is it; else only its text is, and dec_cmp compares */
    fr_value value;
    fr_str text;
} operand;

/* What can be seen to hold at a glance, which is nearly every value. */
typedef enum glance { FR_LOOK, FR_NOT_EMPTY, FR_WHOLE, FR_SMALL_DECIMAL, FR_FEW_TEXTS } glance;

typedef struct rule { /* what each row asks for comes first */
    glance glance;
    fr_rule_word word;
    uint16_t column;
    int64_t low, high; /* WHOLE, SMALL_DECIMAL: both within */
    const operand *operands;
    size_t count;
    void *pattern;
    fr_map *set; /* IN of texts; NULL: they are compared one by one */
    fr_expr *e;
    uint64_t broken;
    fr_str name, field;
} rule;

static fr_rules_judge judge_row;

struct fr_rules {
    const fr_route *route;
    fr_derive_tools *tools;
    const fr_table *row; /* the published table, its columns called as their fields */
    rule *items;
    size_t count;
};

/* ---- compiling ---- */

typedef struct compiler {
    fr_arena *a;
    fr_rules *rules;
    const fr_contract_record *record; /* NULL: there is no contract */
    const char *place; /* of what is being compiled: a file and line, or a contract */
    fr_map *names;
    size_t number; /* of the rule at its place, from 1 */
    fr_err *err;
} compiler;

/* FR_FAIL. */
static fr_rc refuse(const compiler *c, const char *code, fr_str name, const char *what,
                    const char *hint)
{
    const fr_table *t = c->rules->route->table;
    fr_fail(c->err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: rule %.*s: %s", c->place, FR_ARG(t->space),
            FR_ARG(t->name), FR_ARG(name), what);
    fr_fail_code(c->err, code);
    return fr_fail_hint(c->err, "%s", hint);
}

/* c->err as it is, with the place and the rule in front. */
static fr_rc wrapped(const compiler *c, fr_str name)
{
    fr_err why = *c->err;
    return refuse(c, why.code, name, why.text, fr_err_hint(&why));
}

/* As the rule calls a published column: by its field, else by its own name. */
static int column_of(const compiler *c, fr_str field)
{
    const fr_route *route = c->rules->route;
    int column = fr_table_find(c->rules->row, field);
    for (size_t i = 0; column < 0 && i < route->field_count; i++)
        if (fr_str_eq(fr_avro_name(c->a, route->table->columns[route->fields[i]].name), field))
            column = route->fields[i];
    return column;
}

static fr_rc no_field(const compiler *c, fr_str name, fr_str field)
{
    const fr_contract_field *f = c->record == NULL ? NULL : fr_contract_find(c->record, field);
    if (f != NULL)
        return refuse(c, "rule.field", name, "its field has no column, and so always its default",
                      "remove the rule");
    fr_str what = fr_arena_printf(c->a, "there is no field %.*s", FR_ARG(field));
    refuse(c, "rule.field", name, fr_arena_cstr(c->a, what), "name a field as it is published");
    const fr_column *near = fr_table_nearest(c->rules->row, field);
    return near == NULL || near->name.len == 0
               ? FR_FAIL
               : fr_fail_hint(c->err, "did you mean %.*s?", FR_ARG(near->name));
}

/* ---- operands ---- */

static bool digits(fr_str s, size_t at, size_t count, unsigned *out)
{
    *out = 0;
    if (at + count > s.len)
        return false;
    for (size_t i = at; i < at + count; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return true;
}

/* hh:mm:ss and a fraction of up to six digits; the rest is left in *text. */
static bool read_time(fr_str *text, int64_t *us)
{
    unsigned h, m, s, fraction = 0, scale = 1000000;
    fr_str t = *text;
    size_t at = 8;
    if (!digits(t, 0, 2, &h) || !digits(t, 3, 2, &m) || !digits(t, 6, 2, &s) || t.ptr[2] != ':' ||
        t.ptr[5] != ':' || h > 23 || m > 59 || s > 59)
        return false;
    if (at < t.len && t.ptr[at] == '.') {
        for (at++; at < t.len && t.ptr[at] >= '0' && t.ptr[at] <= '9' && scale > 1; at++) {
            scale /= 10;
            fraction += (unsigned)(t.ptr[at] - '0') * scale;
        }
        if (t.ptr[at - 1] == '.')
            return false;
    }
    *us = ((int64_t)h * 3600 + m * 60 + s) * 1000000 + fraction;
    *text = (fr_str){t.ptr + at, t.len - at};
    return true;
}

static bool read_date(fr_str *text, int64_t *days)
{
    static const unsigned most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned y, m, d;
    fr_str t = *text;
    if (!digits(t, 0, 4, &y) || !digits(t, 5, 2, &m) || !digits(t, 8, 2, &d) || t.ptr[4] != '-' ||
        t.ptr[7] != '-' || m < 1 || m > 12 || d < 1 || d > most[m - 1])
        return false;
    *days = fr_days_from_civil(y, m, d);
    if (m == 2 && d == 29 && *days == fr_days_from_civil(y, 3, 1))
        return false; /* no leap year */
    *text = (fr_str){t.ptr + 10, t.len - 10};
    return true;
}

/* "2026-11-26", "2026-11-26 08:26:11.4"; of a moment in UTC with or without Z. */
static bool read_moment(fr_str text, bool utc, int64_t *us)
{
    int64_t days, time = 0;
    if (!read_date(&text, &days))
        return false;
    if (text.len > 0 && (text.ptr[0] == 'T' || text.ptr[0] == ' ')) {
        text = (fr_str){text.ptr + 1, text.len - 1};
        if (!read_time(&text, &time))
            return false;
    }
    *us = days * INT64_C(86400000000) + time;
    return text.len == 0 || (utc && fr_str_is(text, "Z"));
}

static bool read_real(fr_arena *a, fr_str text, double *out)
{
    char *end, *copy = fr_arena_cstr(a, text);
    *out = strtod(copy, &end);
    return text.len > 0 && *end == '\0' && !isnan(*out);
}

static bool read_integer(fr_arena *a, fr_str text, int64_t *out)
{
    fr_err ignored;
    fr_str bytes;
    if (fr_decimal_from_text(a, text, 0, 0, &bytes, &ignored) == FR_FAIL || bytes.len > sizeof *out)
        return false;
    *out = fr_decimal_number(bytes);
    return true;
}

bool fr_rule_operand(fr_arena *a, const fr_column *c, fr_str text, fr_value *out)
{
    fr_err ignored;
    *out = (fr_value){.kind = c->kind};
    switch (c->kind) {
    case FR_BOOL:
        out->boolean = fr_str_is(text, "true");
        return out->boolean || fr_str_is(text, "false");
    case FR_INT32:
    case FR_INT64:
        return read_integer(a, text, &out->integer);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return read_real(a, text, &out->real);
    case FR_DECIMAL:
        return fr_decimal_from_text(a, text, 0, c->scale, &out->bytes, &ignored) == FR_OK;
    case FR_DATE:
        return read_date(&text, &out->integer) && text.len == 0;
    case FR_TIME:
        return read_time(&text, &out->integer) && text.len == 0;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return read_moment(text, c->kind == FR_TIMESTAMP, &out->integer);
    case FR_BYTES:
        return false;
    default:
        out->bytes = text;
        return true;
    }
}

/* A number with more decimals than the column's: an end of a range, but no value of it. */
static bool only_text(fr_arena *a, const fr_column *c, fr_str text)
{
    fr_err ignored;
    fr_str out;
    bool number = c->kind == FR_INT32 || c->kind == FR_INT64 || c->kind == FR_DECIMAL;
    return number && fr_decimal_from_text(a, text, 0, 300, &out, &ignored) == FR_OK;
}

static fr_rc unfit(fr_err *err, const char *code, fr_str what, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "%.*s", FR_ARG(what));
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

static bool is_text(fr_kind kind)
{
    return kind == FR_TEXT || kind == FR_JSON || kind == FR_UUID;
}

/* Which conditions there can be on values of this kind. */
static fr_rc check_kind(fr_arena *a, const fr_rule_text *t, const fr_column *c, fr_err *err)
{
    fr_kind kind = c->kind;
    bool good = true;
    const char *hint = "";
    if (t->word == FR_RULE_MATCHES) {
        good = is_text(kind);
        hint = "only texts have patterns: use range or in";
    } else if (t->word == FR_RULE_RANGE) {
        good = !is_text(kind) && kind != FR_BYTES && kind != FR_BOOL;
        hint = "ranges are of numbers, dates and times: use in, matches or sql";
    } else if (t->word == FR_RULE_IN) {
        good = kind != FR_BYTES && kind != FR_FLOAT32 && kind != FR_FLOAT64;
        hint = "bytes and floating point are in no list: use range or sql";
    }
    if (good)
        return FR_OK;
    return unfit(err, "rule.type",
                 fr_arena_printf(a, "%s does not go with %.*s, which is %s",
                                 fr_rule_word_name(t->word), FR_ARG(t->field), fr_kind_name(kind)),
                 hint);
}

fr_rc fr_rule_check(fr_arena *a, const fr_rule_text *t, const fr_column *c, fr_err *err)
{
    fr_value ignored;
    FR_TRY(check_kind(a, t, c, err));
    for (size_t i = 0; t->word != FR_RULE_MATCHES && i < t->count; i++) {
        fr_str text = t->operands[i];
        if (text.ptr == NULL || fr_rule_operand(a, c, text, &ignored) ||
            (t->word == FR_RULE_RANGE && only_text(a, c, text)))
            continue;
        return unfit(err, "rule.operand",
                     fr_arena_printf(a, "`%.*s` is no value of %.*s (%s)",
                                     (int)(text.len < 60 ? text.len : 60), text.ptr,
                                     FR_ARG(t->field), fr_kind_name(c->kind)),
                     "numbers as 12.5, dates as 2026-11-26, times as 08:26:11, moments as "
                     "2026-11-26 08:26:11");
    }
    return FR_OK;
}

static void free_set(void *map)
{
    fr_map_free(map, NULL);
}

static void set_members(const compiler *c, rule *r)
{
    enum { FEW = 6 };
    if (r->word != FR_RULE_IN || r->count <= FEW ||
        !is_text(c->rules->row->columns[r->column].kind))
        return;
    r->set = fr_map_new();
    fr_arena_adopt(c->a, r->set, 0, free_set);
    for (size_t i = 0; i < r->count; i++)
        fr_map_set(r->set, r->operands[i].text, r);
}

static void compile_operands(const compiler *c, rule *r, const fr_rule_text *text)
{
    const fr_column *column = &c->rules->row->columns[r->column];
    operand *list = fr_arena_alloc(c->a, (text->count + 1) * sizeof *list);
    r->operands = list;
    r->count = text->count;
    for (size_t i = 0; i < text->count; i++) {
        list[i] = (operand){.there = text->operands[i].ptr != NULL, .text = text->operands[i]};
        if (list[i].there)
            list[i].exact = fr_rule_operand(c->a, column, list[i].text, &list[i].value);
    }
    set_members(c, r);
}

/* An end of a range as a number; false: it needs more than that. */
static bool whole_of(const operand *o, int64_t open, int64_t *out)
{
    *out = open;
    if (!o->there)
        return true;
    if (o->value.kind != FR_DECIMAL)
        *out = o->value.integer;
    else if (o->value.bytes.len <= sizeof *out)
        *out = fr_decimal_number(o->value.bytes);
    return o->exact && (o->value.kind != FR_DECIMAL || o->value.bytes.len <= sizeof *out);
}

static void set_glance(rule *r, fr_kind kind)
{
    enum { FEW = 8 };
    bool numbers = kind != FR_FLOAT32 && kind != FR_FLOAT64;
    if (r->word == FR_RULE_NOT_EMPTY)
        r->glance = FR_NOT_EMPTY;
    else if (r->word == FR_RULE_IN && is_text(kind) && r->count <= FEW)
        r->glance = FR_FEW_TEXTS;
    else if (r->word == FR_RULE_RANGE && numbers && whole_of(&r->operands[0], INT64_MIN, &r->low) &&
             whole_of(&r->operands[1], INT64_MAX, &r->high))
        r->glance = kind == FR_DECIMAL ? FR_SMALL_DECIMAL : FR_WHOLE;
}

/* ---- one rule ---- */

static fr_rc compile_sql(const compiler *c, rule *r, const fr_rule_text *text)
{
    fr_derive_tools *tools = c->rules->tools;
    size_t at;
    if (tools->sandbox == NULL)
        FR_TRY(fr_sandbox_open(&tools->sandbox, c->err));
    const char *sql = fr_arena_cstr(c->a, text->operands[0]);
    if (fr_expr_compile(tools->sandbox, c->a, c->rules->row, sql, &r->e, &at, c->err) == FR_OK)
        return FR_OK;
    if (c->err->kind != FR_ERR_CONFIG)
        return FR_FAIL;
    fr_err why = *c->err;
    fr_str what = at == 0 ? fr_cstr(why.text)
                          : fr_arena_printf(c->a, "%s (at \"%.24s\")", why.text, sql + at);
    fr_str code = fr_arena_printf(c->a, "rule.%s", why.code);
    return refuse(c, fr_arena_cstr(c->a, code), r->name, fr_arena_cstr(c->a, what),
                  fr_err_hint(&why));
}

static fr_rc compile_pattern(const compiler *c, rule *r, const fr_rule_text *text)
{
    if (c->rules->tools->matcher == NULL)
        c->rules->tools->matcher = fr_matcher_open();
    if (fr_rule_pattern(c->a, text->operands[0], &r->pattern, c->err) == FR_OK)
        return FR_OK;
    return wrapped(c, r->name);
}

/* "email.matches", or "sql1"; the second of that name "email.matches-2". */
static fr_rc set_name(const compiler *c, rule *r, const fr_rule_text *text)
{
    r->name = text->name;
    if (r->name.len > 0 && fr_map_get(c->names, r->name) != NULL)
        return refuse(c, "rule.name", r->name, "another rule of the table is called so",
                      "give it another name");
    fr_str usual = text->word == FR_RULE_SQL
                       ? FR_STR("sql")
                       : fr_arena_printf(c->a, "%.*s.%s", FR_ARG(fr_avro_name(c->a, text->field)),
                                         fr_rule_word_name(text->word));
    for (unsigned n = 1; r->name.len == 0; n++) {
        fr_str name = n == 1 ? usual : fr_arena_printf(c->a, "%.*s-%u", FR_ARG(usual), n);
        if (fr_map_get(c->names, name) == NULL)
            r->name = name;
    }
    fr_map_set(c->names, r->name, r);
    return FR_OK;
}

static fr_rc compile_rule(const compiler *c, const fr_rule_text *text)
{
    rule *r = &c->rules->items[c->rules->count];
    *r = (rule){.word = text->word, .field = text->field};
    FR_TRY(set_name(c, r, text));
    c->rules->count++;
    if (text->word == FR_RULE_SQL)
        return compile_sql(c, r, text);
    int column = column_of(c, text->field);
    if (column < 0)
        return no_field(c, r->name, text->field);
    r->column = (uint16_t)column;
    if (fr_rule_check(c->a, text, &c->rules->row->columns[column], c->err) == FR_FAIL)
        return wrapped(c, r->name);
    if (text->word == FR_RULE_MATCHES)
        return compile_pattern(c, r, text);
    compile_operands(c, r, text);
    set_glance(r, c->rules->row->columns[column].kind);
    return FR_OK;
}

/* ---- all of them ---- */

static fr_rc add(const compiler *c, const json_t *j, fr_str field)
{
    fr_rule_text text;
    if (fr_rule_read(c->a, j, field, &text, c->err) == FR_OK)
        return compile_rule(c, &text);
    return wrapped(c, field.len > 0 ? field : fr_arena_printf(c->a, "%zu", c->number));
}

/* "freshet.rules" of a record or field. */
static fr_rc add_list(compiler *c, fr_str list, fr_str field)
{
    json_t *j;
    if (list.len == 0)
        return FR_OK;
    FR_TRY(fr_json_parse(list, &j, c->err));
    fr_rc rc = FR_OK;
    if (!json_is_array(j))
        rc = refuse(c, "rule.syntax", field, "freshet.rules is no list",
                    "write \"freshet.rules\": [{\"not_empty\": true}]");
    for (size_t i = 0; rc == FR_OK && i < json_array_size(j); i++) {
        c->number = i + 1;
        rc = add(c, json_array_get(j, i), field);
    }
    json_decref(j);
    return rc;
}

static fr_rc add_settings(compiler *c)
{
    const fr_texts *list = &c->rules->route->settings->schema_rules;
    for (size_t i = 0; i < list->count; i++) {
        json_t *j = NULL;
        c->number = i + 1;
        FR_TRY(fr_json_parse(fr_cstr(list->items[i]), &j, c->err));
        fr_rc rc = add(c, j, FR_STR(""));
        json_decref(j);
        FR_TRY(rc);
    }
    return FR_OK;
}

static fr_rc add_contract(compiler *c)
{
    FR_TRY(add_list(c, c->record->rules, FR_STR("")));
    for (size_t i = 0; i < c->record->field_count; i++)
        FR_TRY(add_list(c, c->record->fields[i].rules, c->record->fields[i].name));
    return FR_OK;
}

static size_t list_size(fr_str list)
{
    json_t *j;
    fr_err ignored;
    if (list.len == 0 || fr_json_parse(list, &j, &ignored) == FR_FAIL)
        return 0;
    size_t count = json_array_size(j);
    json_decref(j);
    return count;
}

/* At most so many rules; lists that are none are told of later. */
static size_t rules_there(const fr_route *route)
{
    size_t count = route->settings->schema_rules.count;
    const fr_contract_record *r = route->pin == NULL ? NULL : route->pin->record;
    if (r == NULL)
        return count;
    bool bad = r->rules.len > 0 && list_size(r->rules) == 0;
    count += list_size(r->rules) + bad;
    for (size_t i = 0; i < r->field_count; i++)
        count += list_size(r->fields[i].rules) + (r->fields[i].rules.len > 0);
    return count;
}

/* The published columns, called as their fields are: what expressions and fields mean. */
static const fr_table *row_of(fr_arena *a, const fr_route *route)
{
    fr_table *row = fr_arena_alloc(a, sizeof *row);
    fr_column *columns = fr_arena_alloc(a, (route->table->column_count + 1) * sizeof *columns);
    for (size_t i = 0; i < route->table->column_count; i++) {
        columns[i] = route->table->columns[i];
        columns[i].name = FR_STR("");
    }
    for (size_t i = 0; i < route->field_count; i++) {
        uint16_t column = route->fields[i];
        columns[column].name = route->pin != NULL ? route->pin->columns[column].field->name
                                                  : route->table->columns[column].name;
    }
    *row = *route->table;
    row->columns = columns;
    return row;
}

fr_rc fr_rules_compile(fr_arena *a, fr_derive_tools *tools, fr_route *route, fr_err *err)
{
    size_t room = rules_there(route);
    if (room == 0)
        return FR_OK;
    fr_rules *rules = fr_arena_alloc(a, sizeof *rules);
    const char *place = route->settings->place;
    compiler c = {.a = a,
                  .rules = rules,
                  .record = route->pin == NULL ? NULL : route->pin->record,
                  .place = place == NULL ? "configuration" : place,
                  .names = fr_map_new(),
                  .err = err};
    rules->route = route;
    rules->tools = tools;
    rules->row = row_of(a, route);
    rules->items = fr_arena_alloc(a, room * sizeof *rules->items);
    fr_rc rc = add_settings(&c);
    if (rc == FR_OK && c.record != NULL) {
        c.place = route->pin->contract->path;
        rc = add_contract(&c);
    }
    fr_map_free(c.names, NULL);
    if (rc == FR_OK) {
        route->rules = rules;
        route->judge = judge_row;
    }
    return rc;
}

/* ---- judging ---- */

typedef struct judging {
    fr_rules *rules;
    fr_arena *a;
    const fr_event *event;
    fr_err *err;
} judging;

/* FR_FAIL: the rule, its field, and the value's shape, but never the value. */
static fr_rc broken(const judging *j, rule *r, const char *code, const char *what)
{
    const fr_table *t = j->rules->route->table;
    const fr_position *at = &j->event->position;
    r->broken++;
    fr_fail(j->err, FR_ERR_DATA, "table %.*s.%.*s: rule %.*s: %s%.*s%s%s (at %X/%X #%u)",
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(r->name), r->e == NULL ? "field " : "",
            FR_ARG(r->field), r->e == NULL ? ": " : "", what, (unsigned)(at->lsn >> 32),
            (unsigned)at->lsn, at->ordinal);
    fr_fail_code(j->err, code);
    return fr_fail_hint(j->err, "correct the row, or the rule; errors.mode: dlq sets such rows "
                                "aside");
}

static fr_rc broken_shape(const judging *j, rule *r, const fr_value *v, const char *what)
{
    char text[160];
    bool sized = is_text(v->kind) || v->kind == FR_BYTES;
    if (sized)
        snprintf(text, sizeof text, "%s of %zu bytes %s", fr_kind_name(v->kind), v->bytes.len,
                 what);
    else
        snprintf(text, sizeof text, "%s %s", fr_kind_name(v->kind), what);
    return broken(j, r, "rule.broken", text);
}

/* Two's complement of minimal length. */
static int compare_bytes(fr_str a, fr_str b)
{
    bool x = a.len > 0 && (a.ptr[0] & 0x80) != 0, y = b.len > 0 && (b.ptr[0] & 0x80) != 0;
    if (x != y)
        return x ? -1 : 1;
    if (a.len != b.len)
        return (a.len < b.len) == x ? 1 : -1;
    return memcmp(a.ptr, b.ptr, a.len);
}

static int compare_value(const judging *j, const rule *r, const fr_value *v, const operand *o)
{
    int order = 0;
    if (!o->exact) {
        fr_dec_cmp(j->a, &j->rules->row->columns[r->column], v, o->text, &order);
        return order;
    }
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean == o->value.boolean ? 0 : 1;
    case FR_FLOAT32:
    case FR_FLOAT64:
        return v->real < o->value.real ? -1 : v->real > o->value.real;
    case FR_DECIMAL:
        return compare_bytes(v->bytes, o->value.bytes);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        return fr_str_eq(v->bytes, o->value.bytes) ? 0 : 1;
    default:
        return v->integer < o->value.integer ? -1 : v->integer > o->value.integer;
    }
}

static fr_rc judge_range(const judging *j, rule *r, const fr_value *v)
{
    const operand *low = &r->operands[0], *high = &r->operands[1];
    bool real = v->kind == FR_FLOAT32 || v->kind == FR_FLOAT64;
    if (real && isnan(v->real))
        return broken_shape(j, r, v, "that is no number");
    if (low->there && compare_value(j, r, v, low) < 0)
        return broken_shape(j, r, v, "below its range");
    if (high->there && compare_value(j, r, v, high) > 0)
        return broken_shape(j, r, v, "above its range");
    return FR_OK;
}

static fr_rc judge_in(const judging *j, rule *r, const fr_value *v)
{
    bool found = r->set != NULL && fr_map_get(r->set, v->bytes) != NULL;
    for (size_t i = 0; r->set == NULL && !found && i < r->count; i++)
        found = compare_value(j, r, v, &r->operands[i]) == 0;
    return found ? FR_OK : broken_shape(j, r, v, "that is not in its list");
}

static fr_rc judge_match(const judging *j, rule *r, const fr_value *v)
{
    fr_rc rc = fr_matcher_run(j->rules->tools->matcher, r->pattern, v->bytes);
    if (rc == FR_OK)
        return FR_OK;
    if (rc == FR_END)
        return broken_shape(j, r, v, "that does not match its pattern");
    broken_shape(j, r, v, "that takes too much work to match with its pattern");
    return fr_fail_code(j->err, "rule.undecided");
}

static fr_rc judge_empty(const judging *j, rule *r, const fr_value *v)
{
    if (v->kind == FR_NULL)
        return broken(j, r, "rule.broken", "NULL");
    if ((is_text(v->kind) || v->kind == FR_BYTES) && v->bytes.len == 0)
        return broken(j, r, "rule.broken", "empty");
    return FR_OK;
}

static fr_rc judge_sql(const judging *j, rule *r, const fr_value *values)
{
    fr_result x;
    fr_err why;
    size_t count;
    const uint16_t *columns = fr_expr_columns(r->e, &count);
    for (size_t i = 0; i < count; i++) {
        if (values[columns[i]].kind != FR_ABSENT)
            continue;
        const fr_table *t = j->rules->route->table;
        broken(j, r, "rule.absent", "it reads a value that the source did not log");
        return fr_fail_hint(j->err,
                            "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL, or binlog_row_image = "
                            "FULL",
                            FR_ARG(t->space), FR_ARG(t->name));
    }
    if (fr_expr_run(r->e, values, &x, &why) == FR_FAIL)
        return broken(j, r, "rule.failed", why.text);
    if (x.kind == FR_RESULT_TEXT || x.kind == FR_RESULT_BLOB)
        return broken(j, r, "rule.type_error", "its result is a text, and neither true nor false");
    bool holds = x.kind == FR_RESULT_NULL   ? true
                 : x.kind == FR_RESULT_REAL ? x.real != 0
                                            : x.integer != 0;
    return holds ? FR_OK : broken(j, r, "rule.broken", "it is false");
}

/* NULL keeps every condition but not_empty; what was not logged is not published either. */
static fr_rc judge_one(const judging *j, rule *r, const fr_value *values)
{
    const fr_value *v = &values[r->column];
    if (r->word == FR_RULE_SQL)
        return judge_sql(j, r, values);
    if (v->kind == FR_ABSENT || (v->kind == FR_NULL && r->word != FR_RULE_NOT_EMPTY))
        return FR_OK;
    switch (r->word) {
    case FR_RULE_MATCHES:
        return judge_match(j, r, v);
    case FR_RULE_RANGE:
        return judge_range(j, r, v);
    case FR_RULE_IN:
        return judge_in(j, r, v);
    default:
        return judge_empty(j, r, v);
    }
}

static bool is_listed(const rule *r, fr_str text)
{
    for (size_t i = 0; i < r->count; i++) {
        fr_str one = r->operands[i].text;
        if (one.len == text.len && (text.len == 0 || (one.ptr[0] == text.ptr[0] &&
                                                      memcmp(one.ptr, text.ptr, text.len) == 0)))
            return true;
    }
    return false;
}

/* False says nothing yet: the rule is then asked itself. */
static inline bool holds(const rule *r, const fr_value *v)
{
    int64_t n;
    if (r->glance == FR_LOOK || v->kind <= FR_NULL)
        return false;
    switch (r->glance) {
    case FR_WHOLE:
        return v->integer >= r->low && v->integer <= r->high;
    case FR_SMALL_DECIMAL:
        if (v->bytes.len > sizeof n)
            return false;
        n = fr_decimal_number(v->bytes);
        return n >= r->low && n <= r->high;
    case FR_FEW_TEXTS:
        return is_listed(r, v->bytes);
    default:
        return !(is_text(v->kind) || v->kind == FR_BYTES) || v->bytes.len > 0;
    }
}

static fr_rc judge_row(fr_rules *rules, fr_arena *a, const fr_event *event, const fr_value *values,
                       fr_err *err)
{
    for (size_t i = 0; i < rules->count; i++) {
        rule *r = &rules->items[i];
        const fr_value *v = &values[r->column];
        if (holds(r, v))
            continue;
        judging j = {rules, a, event, err};
        FR_TRY(judge_one(&j, r, values));
    }
    return FR_OK;
}

bool fr_rules_broken(fr_rules *r, size_t i, fr_str *name, uint64_t *count)
{
    if (r == NULL || i >= r->count)
        return false;
    *name = r->items[i].name;
    *count = r->items[i].broken;
    r->items[i].broken = 0;
    return true;
}
