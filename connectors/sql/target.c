#include "sql/target.h"
#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ---- */

fr_rc fr_target_refuse(fr_err *err, const char *what, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "%s", what);
    fr_fail_code(err, "sink.config");
    return fr_fail_hint(err, "%s", hint);
}

fr_rc fr_target_fenced(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_FENCED, "another instance %s", what);
    fr_fail_code(err, "sink.fenced");
    return fr_fail_hint(err, "this sink joins its group again and learns which partitions are its "
                             "own; where that comes again and again, two processes run it outside "
                             "of one group: stop one");
}

fr_rc fr_target_settings(const fr_sink_settings *set, fr_err *err)
{
    const int changes[] = {set->add_column, set->drop_column, set->change_type};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        if (changes[i] == FR_CHANGE_NEW_TOPIC || changes[i] == FR_CHANGE_BOTH)
            return fr_target_refuse(err, "on_change: new_topic and both are for sources",
                                    "evolve, block, stop or ignore");
    if (set->change_type == FR_CHANGE_IGNORE)
        return fr_target_refuse(err, "on_change.change_type: a type cannot be ignored",
                                "evolve, block or stop");
    return FR_OK;
}

fr_status fr_target_status(bool connected, int64_t lag_us)
{
    return (fr_status){.connected = connected,
                       .lag_us = lag_us,
                       .lag_bytes = -1,
                       .retained_bytes = -1,
                       .retained_limit = -1};
}

/* ---- events ---- */

void fr_target_position(uint8_t out[FR_TARGET_POSITION_SIZE], const fr_event *e)
{
    bool foreign = e->position.lsn == 0 && e->position.epoch == 0;
    uint32_t epoch = e->position.epoch, ordinal = foreign ? 0 : e->position.ordinal;
    uint64_t lsn = foreign ? (uint64_t)e->offset : e->position.lsn;
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(epoch >> (24 - 8 * i));
        out[12 + i] = (uint8_t)(ordinal >> (24 - 8 * i));
    }
    for (int i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(lsn >> (56 - 8 * i));
}

bool fr_target_is_ordered(const fr_event *e)
{
    return !e->foreign && (e->position.lsn != 0 || e->position.epoch != 0);
}

fr_str fr_target_truncated_at(fr_arena *a, bool positioned, const fr_event *e)
{
    uint8_t position[FR_TARGET_POSITION_SIZE];
    fr_buf b = {.arena = a};
    if (!positioned || !fr_target_is_ordered(e))
        return FR_STR("");
    fr_target_position(position, e);
    fr_buf_hex(&b, (fr_str){(const char *)position, sizeof(position)});
    return fr_buf_view(&b);
}

const uint8_t fr_target_latest[FR_TARGET_POSITION_SIZE] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                           255, 255, 255, 255, 255, 255, 255, 255};

void fr_target_topic_id(char out[FR_TOPIC_ID_SIZE], fr_str id)
{
    bool fits = id.len < FR_TOPIC_ID_SIZE;
    snprintf(out, FR_TOPIC_ID_SIZE, "%.*s", fits ? (int)id.len : 0, id.ptr);
}

bool fr_target_has_table(fr_op op)
{
    return op == FR_OP_READ || op == FR_OP_INSERT || op == FR_OP_UPDATE || op == FR_OP_DELETE ||
           op == FR_OP_TRUNCATE || op == FR_OP_TABLE;
}

fr_rc fr_target_bad_row(fr_err *err, fr_str qualified, fr_str what, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "%.*s: %.*s%s", FR_ARG(qualified), FR_ARG(what), why);
    return fr_fail_code(err, "sink.row");
}

fr_rc fr_target_bad_key(fr_err *err, fr_str qualified, fr_str ident, const fr_value *v)
{
    return fr_target_bad_row(err, qualified, ident,
                             v->kind == FR_NULL ? ": a key that is NULL"
                                                : ": the key is not there");
}

fr_rc fr_target_no_row(fr_err *err, fr_str qualified, fr_str ident)
{
    if (ident.len == 0)
        return fr_fail(err, FR_ERR_BUG, "%.*s: nothing is absent of a row that is not there",
                       FR_ARG(qualified));
    fr_fail(err, FR_ERR_DATA,
            "%.*s: the row is not there, and the message does not have the column %.*s, which is "
            "NOT NULL",
            FR_ARG(qualified), FR_ARG(ident));
    return fr_fail_code(err, "sink.not_null");
}

/* ---- findings ---- */

fr_rc fr_target_blocked(const fr_findings *found, fr_err *err)
{
    for (size_t i = 0; i < found->count; i++) {
        const fr_finding *f = &found->items[i];
        if (f->severity != FR_BLOCKER)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "%.*s", FR_ARG(f->text));
        fr_fail_code(err, f->code);
        return f->sql.len > 0 ? fr_fail_hint(err, "%.*s%s%.*s", FR_ARG(f->hint),
                                             f->hint.len > 0 ? ": " : "", FR_ARG(f->sql))
                              : fr_fail_hint(err, "%.*s", FR_ARG(f->hint));
    }
    return FR_OK;
}

fr_str fr_target_key_list(fr_arena *a, const fr_table *t, fr_target_ident ident)
{
    fr_buf b = {.arena = a};
    for (size_t n = 1; n <= fr_table_key_count(t); n++)
        for (size_t i = 0; i < t->column_count; i++)
            if (t->columns[i].key_ordinal == n)
                fr_buf_printf(&b, "%s%.*s", n > 1 ? ", " : "",
                              FR_ARG(ident(a, t->columns[i].name)));
    return fr_buf_view(&b);
}

bool fr_target_of_table(const fr_err *err)
{
    static const char *const codes[] = {
        "sink.table",       "sink.add_column", "sink.drop_column", "sink.types",
        "sink.name",        "sink.key",        "sink.delete",      "sink.grants",
        "sink.value",       "sink.unique",     "sink.packet",      "sink.not_null",
        "sink.foreign_key", "sink.check",      "sink.locked",      "sink.altered"};
    if (err->kind == FR_ERR_DATA)
        return true;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(err->code, codes[i]) == 0)
            return true;
    return false;
}

void fr_target_finding(fr_findings *out, const char *code, const fr_err *err)
{
    fr_finding *f = fr_findings_add(out, FR_BLOCKER, code, "%s", err->text);
    f->hint = fr_arena_str(out->arena, fr_cstr(fr_err_hint(err)));
}

fr_str fr_target_next_change(const fr_findings *found, size_t *at)
{
    while (*at < found->count) {
        const fr_finding *f = &found->items[(*at)++];
        if (f->severity == FR_CHANGE && f->sql.len > 0)
            return f->sql;
    }
    return FR_STR("");
}

/* ---- tables ---- */

fr_rc fr_target_check_name(const char *server, fr_str name, fr_err *err)
{
    const char *why = name.len == 0                              ? "empty"
                      : memchr(name.ptr, '\0', name.len) != NULL ? "a NUL byte"
                      : !fr_utf8_valid(name)                     ? "invalid UTF-8"
                                                                 : NULL;
    if (why == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "a name that %s cannot have (%s)", server, why);
    return fr_fail_code(err, "sink.name");
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

fr_str fr_target_lower(fr_arena *a, fr_str s)
{
    char *out = fr_arena_raw(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        out[i] = lower(s.ptr[i]);
    return (fr_str){out, s.len};
}

bool fr_target_same_name(fr_str left, fr_str right)
{
    if (left.len != right.len)
        return false;
    for (size_t i = 0; i < left.len; i++)
        if (lower(left.ptr[i]) != lower(right.ptr[i]))
            return false;
    return true;
}

static fr_str pair(fr_arena *a, fr_str space, fr_str name)
{
    return fr_arena_printf(a, "%.*s%c%.*s", FR_ARG(space), '\0', FR_ARG(name));
}

fr_rc fr_target_check_folded(fr_map *folded, fr_arena *home, fr_str space, fr_str name,
                             const fr_table *t, const char *why, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str key = pair(a, space, name), full = pair(a, t->space, t->name);
    fr_str *first = fr_map_get(folded, key);
    bool fine = first == NULL || fr_str_eq(*first, full);
    if (first == NULL) {
        first = fr_arena_alloc(home, sizeof(*first));
        *first = fr_arena_str(home, full);
        fr_map_set(folded, key, first);
    }
    fr_arena_free(a);
    if (fine)
        return FR_OK;
    const char *other = memchr(first->ptr, '\0', first->len);
    fr_str theirs = {other + 1, first->len - (size_t)(other + 1 - first->ptr)};
    fr_fail(err, FR_ERR_CONFIG, "the tables %.*s and %.*s differ by case only, and %s",
            FR_ARG(t->name), FR_ARG(theirs), why);
    fr_fail_code(err, "sink.name");
    return fr_fail_hint(err, "give one of them another name: sinks.*.into, in a sink of its own");
}

static bool is_older(const fr_table *t, const fr_table *than)
{
    return t->version != than->version ? t->version < than->version : t->serial < than->serial;
}

const fr_table *fr_target_version_before(const fr_map *tables, const fr_table *t)
{
    const fr_table *found = NULL;
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(tables, &i, &key, &value)) {
        const fr_table *other = *(const fr_table *const *)value;
        if (is_older(other, t) && fr_str_eq(other->space, t->space) &&
            fr_str_eq(other->name, t->name) && (found == NULL || is_older(found, other)))
            found = other;
    }
    return found;
}

void fr_target_keep_version(fr_map *versions, const fr_table *t)
{
    if (fr_map_get_u64(versions, t->serial) != NULL)
        return;
    const fr_table **kept = fr_malloc(sizeof(*kept));
    *kept = fr_table_ref(t);
    fr_map_set_u64(versions, t->serial, (void *)kept);
}

static void free_version(void *kept)
{
    fr_table_unref(*(const fr_table **)kept);
    free(kept);
}

void fr_target_free_versions(fr_map *versions)
{
    fr_map_free(versions, free_version);
}

bool fr_target_known(const fr_map *known, const fr_table *t)
{
    fr_arena *a = fr_arena_new(256);
    bool there = fr_map_get(known, pair(a, t->space, t->name)) != NULL;
    fr_arena_free(a);
    return there;
}

void fr_target_know(fr_map *known, const fr_table *t)
{
    fr_arena *a = fr_arena_new(256);
    fr_map_set(known, pair(a, t->space, t->name), known);
    fr_arena_free(a);
}

fr_rc fr_target_vanished(const fr_table *t, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "the table %.*s was there and is gone", FR_ARG(t->name));
    fr_fail_code(err, "sink.table");
    return fr_fail_hint(err, "bring it back with its rows, or take a new snapshot into a new one");
}

/* ---- claims ---- */

static fr_str claim_key(fr_arena *a, fr_str topic, int32_t partition)
{
    return fr_arena_printf(a, "%d:%.*s", partition, FR_ARG(topic));
}

void fr_target_keep_claim(fr_map *claims, fr_str topic, int32_t partition, int64_t epoch)
{
    fr_arena *a = fr_arena_new(256);
    fr_str key = claim_key(a, topic, partition);
    int64_t *kept = fr_map_get(claims, key);
    if (kept == NULL) {
        kept = fr_malloc(sizeof(*kept));
        fr_map_set(claims, key, kept);
    }
    *kept = epoch;
    fr_arena_free(a);
}

fr_rc fr_target_claim(const fr_map *claims, const fr_offset *o, int64_t *epoch_out, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    const int64_t *epoch = fr_map_get(claims, claim_key(a, o->topic, o->partition));
    fr_arena_free(a);
    if (epoch == NULL)
        return fr_fail(err, FR_ERR_BUG, "commit of %.*s[%d], which was not claimed",
                       FR_ARG(o->topic), o->partition);
    *epoch_out = *epoch;
    return FR_OK;
}
