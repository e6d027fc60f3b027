/* schema.contract: which files hold contracts, and what is wrong with them and with schema.rules
 * as far as files alone tell it. */
#include "codec/contract.h"
#include "control/config_load.h"
#include "model/name.h"
#include "transform/rules.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name within the folder of a file. */
static const char *beside(fr_loader *l, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    if (*name == '/' || slash == NULL)
        return name;
    return fr_arena_cstr(l->a, fr_arena_printf(l->a, "%.*s/%s", (int)(slash - file), file, name));
}

void fr_contract_load(fr_loader *l, const fr_scope *s, fr_table_settings *t)
{
    const fr_node *n = fr_scope_set_by(s, "schema.contract");
    if (n == NULL || n->place.file == NULL || t->schema_contract == NULL || l->no_files ||
        *t->schema_contract == 0 || strstr(t->schema_contract, "${") != NULL)
        return;
    const char *path = beside(l, n->place.file->name, t->schema_contract);
    const fr_text_file *file = fr_file_read(l, path, n->place);
    t->schema_contract = path;
    if (file == NULL)
        return;
    fr_contract *c = fr_arena_alloc(l->a, sizeof(*c));
    *c = (fr_contract){.path = path, .text = file->text};
    t->contract = c;
}

/* The topic of "<topic>.avsc"; empty: it is another file. */
static fr_str topic_of(const char *name)
{
    static const char end[] = ".avsc";
    size_t len = strlen(name), tail = sizeof(end) - 1;
    bool good = len > tail && *name != '.' && strcmp(name + len - tail, end) == 0;
    return (fr_str){name, good ? len - tail : 0};
}

static int is_contract(const struct dirent *entry)
{
    return topic_of(entry->d_name).len > 0;
}

/* schemas/<topic>.avsc beside the configuration: all of them, for a pattern's topics are not known
 * before its tables are. */
static size_t read_folder(fr_loader *l, const char *folder, fr_contract **out)
{
    struct dirent **names;
    int found = scandir(folder, &names, is_contract, alphasort);
    size_t count = 0;
    if (found < 0 && errno != ENOENT && errno != ENOTDIR) {
        fr_problem *p = fr_problem_add(l, false, "config.unreadable", (fr_place){0}, NULL, "%s: %s",
                                       folder, strerror(errno));
        fr_problem_hint(l, p, "contracts of tables are looked for there");
    }
    if (found <= 0)
        return 0;
    *out = fr_arena_alloc(l->a, (size_t)found * sizeof(**out));
    for (int i = 0; i < found; i++) {
        const char *path =
            fr_arena_cstr(l->a, fr_arena_printf(l->a, "%s/%s", folder, names[i]->d_name));
        const fr_text_file *file = fr_file_read(l, path, (fr_place){0});
        if (file != NULL)
            (*out)[count++] = (fr_contract){
                .path = path,
                .topic = fr_arena_cstr(l->a, topic_of(names[i]->d_name)),
                .text = file->text,
            };
        free(names[i]);
    }
    free(names);
    return count;
}

void fr_contracts_find(fr_loader *l)
{
    fr_config *c = l->config;
    fr_contract *list = NULL;
    if (l->no_files || c->source_count == 0)
        return;
    size_t count = read_folder(l, beside(l, c->file, "schemas"), &list);
    for (size_t i = 0; i < c->source_count; i++) {
        c->sources[i].contracts = list;
        c->sources[i].contract_count = count;
    }
}

/* ---- schema.rules ----------------------------------------------------------------------- */

/* Nothing, as YAML writes it. */
static bool is_null(const fr_node *n)
{
    return n->plain && (n->text.len == 0 || fr_str_is(n->text, "null") || fr_str_is(n->text, "~"));
}

static json_t *json_of(fr_loader *l, const fr_option *o, const fr_node *n, const char *path)
{
    fr_str text;
    if (n->kind == FR_NODE_TEXT && is_null(n))
        return json_null();
    if (n->kind == FR_NODE_TEXT) /* a reference that is not known here stays as it is written */
        return fr_value_resolve(l, n, path, o, &text) == FR_FAIL ? NULL
                                                                 : json_stringn(text.ptr, text.len);
    json_t *j = n->kind == FR_NODE_LIST ? json_array() : json_object();
    for (size_t i = 0; j != NULL && i < n->count; i++) {
        const fr_member *m = &n->members[i];
        json_t *value = json_of(l, o, m->value, path);
        int bad = n->kind == FR_NODE_LIST
                      ? json_array_append_new(j, value)
                      : json_object_set_new(j, fr_arena_cstr(l->a, m->key), value);
        if (bad != 0) {
            json_decref(j);
            j = NULL;
        }
    }
    return j;
}

/* What was resolved is not resolved again. */
static fr_str escaped(fr_loader *l, fr_str text)
{
    fr_buf b = {.arena = l->a};
    for (size_t i = 0; i < text.len; i++) {
        if (i + 1 < text.len && text.ptr[i] == '$' && text.ptr[i + 1] == '{')
            fr_buf_u8(&b, '$');
        fr_buf_u8(&b, (uint8_t)text.ptr[i]);
    }
    return fr_buf_view(&b);
}

const fr_node *fr_rule_node(fr_loader *l, const fr_option *o, const fr_node *n, const char *path)
{
    if (n->kind != FR_NODE_MAP)
        return n;
    json_t *j = json_of(l, o, n, path);
    if (j == NULL)
        return n; /* a map where one value belongs, unless the reason was said */
    fr_node *one = fr_arena_alloc(l->a, sizeof(*one));
    *one = (fr_node){.kind = FR_NODE_TEXT, .place = n->place};
    one->text = fr_cstr(fr_arena_cstr(l->a, escaped(l, fr_json_text(l->a, j))));
    json_decref(j);
    return one;
}

/* What a rule has wrong whatever it is about. */
static fr_rc check_rule(fr_loader *l, const fr_rule_text *t, fr_err *err)
{
    fr_expr *e;
    void *pattern;
    size_t at;
    if (t->word == FR_RULE_MATCHES)
        return fr_rule_pattern(l->a, t->operands[0], &pattern, err);
    if (t->word != FR_RULE_SQL)
        return FR_OK;
    if (l->sandbox == NULL)
        FR_TRY(fr_sandbox_open(&l->sandbox, err));
    const char *sql = fr_arena_cstr(l->a, t->operands[0]);
    if (fr_expr_compile(l->sandbox, l->a, NULL, sql, &e, &at, err) == FR_OK)
        return FR_OK;
    fr_err why = *err;
    fr_fail(err, FR_ERR_CONFIG, "%s%s%.24s%s", why.text, at > 0 ? " (at \"" : "",
            at > 0 ? sql + at : "", at > 0 ? "\")" : "");
    fr_fail_code(err, fr_arena_cstr(l->a, fr_arena_printf(l->a, "rule.%s", why.code)));
    return fr_fail_hint(err, "%s", fr_err_hint(&why));
}

/* It refers to nothing that is not known on this machine. */
static bool known(const fr_loader *l, const char *text)
{
    return !l->flags->offline || strstr(text, "${") == NULL;
}

/* Where a rule stands; what was not read has left none. */
static const fr_node *rule_at(const fr_node *n, size_t i, size_t count)
{
    return n->kind == FR_NODE_LIST && n->count == count ? n->members[i].value : n;
}

void fr_rules_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    const fr_node *n = fr_scope_set_by(s, "schema.rules");
    if (n == NULL || !fr_scope_said_here(s, "schema.rules"))
        return;
    for (size_t i = 0; i < t->schema_rules.count; i++) {
        const fr_node *item = rule_at(n, i, t->schema_rules.count);
        fr_rule_text text;
        fr_err err;
        if (!known(l, t->schema_rules.items[i]))
            continue;
        if (fr_rule_parse(l->a, fr_cstr(t->schema_rules.items[i]), &text, &err) == FR_OK &&
            check_rule(l, &text, &err) == FR_OK)
            continue;
        fr_str path = fr_arena_printf(l->a, "%s.schema.rules", s->path);
        fr_problem_of(l, item->place, fr_arena_cstr(l->a, path), &err);
    }
}

/* ---- a contract, and what the configuration says of the table ---------------------------- */

typedef struct checking {
    fr_loader *l;
    const fr_scope *s;
    const fr_table_settings *t;
    const fr_contract *c;
    const fr_contract_record *r;
    const fr_node *rule; /* of schema.rules; NULL: the contract itself is looked at */
} checking;

static void complain(const checking *k, const fr_err *err)
{
    const char *key = k->rule != NULL ? "schema.rules" : "schema.contract";
    fr_place place = k->rule != NULL ? k->rule->place : fr_scope_place(k->s, key);
    fr_str path = fr_arena_printf(k->l->a, "%s.%s", k->s->path, key);
    fr_problem_of(k->l, place, fr_arena_cstr(k->l->a, path), err);
}

static void complain_of(const checking *k, const char *code, fr_str field, const char *what,
                        const char *hint)
{
    fr_err err;
    fr_fail(&err, FR_ERR_CONFIG, "contract %s%s%.*s: %s", k->c->path,
            field.len > 0 ? ", field " : "", FR_ARG(field), what);
    fr_fail_code(&err, code);
    fr_fail_hint(&err, "%s", hint);
    complain(k, &err);
}

static fr_str published(const checking *k, const char *column)
{
    const char *renamed = fr_pairs_get(&k->t->column_rename, fr_cstr(column));
    return fr_avro_name(k->l->a, fr_cstr(renamed != NULL ? renamed : column));
}

static void check_keys(const checking *k)
{
    for (size_t i = 0; i < k->t->key.count; i++) {
        fr_str name = published(k, k->t->key.items[i]);
        const fr_contract_field *f = fr_contract_find(k->r, name);
        fr_buf ignored = {.arena = k->l->a};
        if (f == NULL)
            complain_of(k, "contract.key", name, "the key's column has no field",
                        "add the field: each field of the key is one of the row, too");
        else if (f->nullable)
            complain_of(k, "contract.key", name, "it is part of the key, and nullable",
                        "take null out of its type: a key is never null");
        else if (!fr_pin_key_type(&ignored, f))
            complain_of(k, "contract.key", name, "an enum or fixed cannot be part of a key",
                        "make it a string or bytes");
    }
}

/* A derived field whose type is said. */
static bool derived_column(const checking *k, const char *field, fr_column *out)
{
    const char *type = fr_pairs_get(&k->t->column_types, fr_cstr(field));
    *out = (fr_column){.name = fr_cstr(field), .kind = FR_NULL};
    if (type != NULL)
        out->kind = fr_derive_kind(type, &out->precision, &out->scale);
    return out->kind != FR_NULL;
}

static void check_derived(const checking *k)
{
    for (size_t i = 0; i < k->t->column_derive.count; i++) {
        const char *field = k->t->column_derive.items[i].name;
        const fr_contract_field *f = fr_contract_find(k->r, published(k, field));
        fr_column c;
        fr_pin_convert *how;
        if (f == NULL || !derived_column(k, field, &c) || fr_pin_fit(&c, f, &how) != FR_END)
            continue;
        complain_of(k, "contract.type", f->name,
                    "columns.derive of it has a type that it cannot hold",
                    "change one of the two types; docs/contracts.md says which go together");
    }
}

/* Which columns are published is known only where they are listed. */
static void check_listed(const checking *k)
{
    const fr_table_settings *t = k->t;
    size_t count = t->columns_include.count + t->column_derive.count, n = 0;
    const char **names = fr_arena_alloc(k->l->a, (count + 1) * sizeof(*names));
    if (t->columns_include.count == 0 || t->regex != NULL)
        return;
    for (size_t i = 0; i < t->columns_include.count; i++)
        if (!fr_texts_have(&t->columns_exclude, fr_cstr(t->columns_include.items[i])))
            names[n++] = fr_arena_cstr(k->l->a, published(k, t->columns_include.items[i]));
    for (size_t i = 0; i < t->column_derive.count; i++)
        names[n++] = fr_arena_cstr(k->l->a, published(k, t->column_derive.items[i].name));
    for (size_t i = 0; i < k->r->field_count; i++) {
        const fr_contract_field *f = &k->r->fields[i];
        bool there = f->fallback.ptr != NULL;
        for (size_t c = 0; c < n && !there; c++)
            there = fr_contract_find(k->r, fr_cstr(names[c])) == f;
        if (there)
            continue;
        const char *near = fr_nearest(f->name, names, n);
        fr_str hint = fr_arena_printf(k->l->a,
                                      "did you mean %s? Rename the column, give the field "
                                      "an alias, or give it a default",
                                      near);
        complain_of(k, "contract.column", f->name,
                    "no published column is called so, and it has no "
                    "default",
                    near != NULL ? fr_arena_cstr(k->l->a, hint)
                                 : "publish the column, make the field nullable, or give it a "
                                   "default");
    }
}

static void check_name(const checking *k)
{
    const char *name = k->t->schema_name;
    if (name == NULL || strstr(name, "${") != NULL || fr_str_is(k->r->name, name))
        return;
    fr_str what = fr_arena_printf(k->l->a, "its record is %.*s, and schema.name says %s",
                                  FR_ARG(k->r->name), name);
    complain_of(k, "contract.name", FR_STR(""), fr_arena_cstr(k->l->a, what),
                "leave schema.name out: a contract names its record itself");
}

/* What columns that go into this field surely are. False: they may be of several kinds. */
static bool column_for(const fr_contract_field *f, fr_column *c)
{
    static const fr_kind kinds[FR_PIN_TYPES] = {[FR_PIN_ENUM] = FR_TEXT,
                                                [FR_PIN_FIXED] = FR_BYTES,
                                                [FR_PIN_FIXED_DECIMAL] = FR_DECIMAL,
                                                [FR_PIN_TIME_MILLIS] = FR_TIME,
                                                [FR_PIN_TIMESTAMP_MILLIS] = FR_TIMESTAMP,
                                                [FR_PIN_DATETIME_MILLIS] = FR_DATETIME};
    fr_kind kind = kinds[f->type] != 0 ? kinds[f->type] : fr_pin_kind(f->type);
    *c = (fr_column){.name = f->name, .kind = kind, .precision = f->precision, .scale = 300};
    return f->type != FR_PIN_STRING;
}

static void check_field_rule(const checking *k, const fr_rule_text *t)
{
    const fr_contract_field *f =
        t->field.len == 0 ? NULL : fr_contract_find(k->r, fr_avro_name(k->l->a, t->field));
    fr_column c;
    fr_err err;
    if (t->field.len > 0 && f == NULL) {
        const char **names = fr_arena_alloc(k->l->a, (k->r->field_count + 1) * sizeof(*names));
        for (size_t i = 0; i < k->r->field_count; i++)
            names[i] = fr_arena_cstr(k->l->a, k->r->fields[i].name);
        const char *near = fr_nearest(t->field, names, k->r->field_count);
        fr_str hint = fr_arena_printf(k->l->a, "did you mean %s?", near);
        complain_of(k, "rule.field", t->field, "there is no such field",
                    near != NULL ? fr_arena_cstr(k->l->a, hint) : "correct the rule");
    } else if (f != NULL && column_for(f, &c) && fr_rule_check(k->l->a, t, &c, &err) == FR_FAIL) {
        complain_of(k, err.code, f->name, err.text, fr_err_hint(&err));
    }
}

static void check_rules_of(const checking *k, fr_str list, fr_str field)
{
    json_t *j;
    fr_err err;
    if (list.len == 0 || fr_json_parse(list, &j, &err) == FR_FAIL)
        return;
    if (!json_is_array(j))
        complain_of(k, "rule.syntax", field, "freshet.rules is no list",
                    "write \"freshet.rules\": [{\"not_empty\": true}]");
    for (size_t i = 0; i < json_array_size(j); i++) {
        fr_rule_text text;
        if (fr_rule_read(k->l->a, json_array_get(j, i), field, &text, &err) == FR_OK &&
            check_rule(k->l, &text, &err) == FR_OK)
            check_field_rule(k, &text);
        else
            complain_of(k, err.code, field, err.text, fr_err_hint(&err));
    }
    json_decref(j);
}

static void check_rules(const checking *k)
{
    check_rules_of(k, k->r->rules, FR_STR(""));
    for (size_t i = 0; i < k->r->field_count; i++)
        check_rules_of(k, k->r->fields[i].rules, k->r->fields[i].name);
    const fr_node *n = fr_scope_set_by(k->s, "schema.rules");
    for (size_t i = 0; n != NULL && i < k->t->schema_rules.count; i++) {
        checking of_rule = *k;
        fr_rule_text text;
        fr_err ignored;
        of_rule.rule = rule_at(n, i, k->t->schema_rules.count);
        if (known(k->l, k->t->schema_rules.items[i]) &&
            fr_rule_parse(k->l->a, fr_cstr(k->t->schema_rules.items[i]), &text, &ignored) == FR_OK)
            check_field_rule(&of_rule, &text);
    }
}

void fr_contract_check(fr_loader *l, const fr_scope *s, const fr_source_settings *source,
                       const fr_table_settings *t, const char *topic)
{
    checking k = {.l = l, .s = s, .t = t};
    fr_err err;
    if (t->method == FR_METHOD_SKIP)
        return;
    k.c = fr_contract_file(source, t, fr_cstr(topic != NULL ? topic : ""));
    if (k.c == NULL)
        return;
    if (fr_contract_parse(l->a, k.c, &k.r, &err) == FR_FAIL) {
        complain(&k, &err);
        return;
    }
    check_name(&k);
    check_keys(&k);
    check_derived(&k);
    check_listed(&k);
    check_rules(&k);
}

static bool is_named(const fr_config *c, const char *path)
{
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t k = 0; k < c->sources[i].table_count; k++) {
            const char *named = c->sources[i].tables[k].schema_contract;
            if (named != NULL && strcmp(named, path) == 0)
                return true;
        }
    return false;
}

/* A file that nothing looks at is a contract that nobody keeps. */
void fr_contracts_unused(fr_loader *l, const fr_map *topics)
{
    const fr_config *c = l->config;
    const fr_contract *list = c->source_count == 0 ? NULL : c->sources[0].contracts;
    size_t count = list == NULL ? 0 : c->sources[0].contract_count, n = 0, at = 0;
    const char **names = fr_arena_alloc(l->a, (fr_map_count(topics) + 1) * sizeof(*names));
    fr_str topic;
    while (fr_map_next(topics, &at, &topic, NULL))
        names[n++] = fr_arena_cstr(l->a, topic);
    for (size_t i = 0; i < count; i++) {
        if (fr_map_get(topics, fr_cstr(list[i].topic)) != NULL || is_named(c, list[i].path))
            continue;
        const char *near = fr_nearest(fr_cstr(list[i].topic), names, n);
        fr_problem *p =
            fr_problem_add(l, true, "contract.unused", (fr_place){0}, NULL,
                           "%s is no contract: no table has topic %s", list[i].path, list[i].topic);
        if (near != NULL)
            fr_problem_hint(l, p, "did you mean schemas/%s.avsc?", near);
        else
            fr_problem_hint(l, p, "name it after a topic, or name it in schema.contract");
    }
}
