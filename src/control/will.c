#include "control/will.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/map.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct fr_wills {
    fr_map *all; /* key -> entry */
};

typedef struct entry {
    fr_arena *arena; /* of the key's newest record */
    fr_str key;
    fr_will will;
} entry;

static const char *const states[] = {"running", "paused", "stopped"};
static const struct {
    const char *prefix;
    fr_will_kind kind;
    bool named; /* a name follows the part's */
} kinds[] = {{"source/", FR_WILL_SOURCE, false},
             {"sink/", FR_WILL_SINK, false},
             {"table/", FR_WILL_TABLE, true},
             {"topic/", FR_WILL_TOPIC, true}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), KEY_MAX = 1000 };

const char *fr_will_state_name(fr_will_state s)
{
    return states[s];
}

/* ---- keys ---- */

fr_str fr_will_key(fr_arena *a, const fr_will_target *t)
{
    return fr_arena_printf(a, "%s%.*s%s%.*s", kinds[t->kind].prefix, FR_ARG(t->part),
                           t->name.len > 0 ? "/" : "", FR_ARG(t->name));
}

static bool has_space(fr_str name)
{
    const char *dot = memchr(name.ptr, '.', name.len);
    return dot != NULL && dot > name.ptr && dot + 1 < name.ptr + name.len;
}

static bool split(fr_str rest, bool named, fr_will_target *t)
{
    const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    if (named != (slash != NULL))
        return false;
    t->part = named ? (fr_str){rest.ptr, (size_t)(slash - rest.ptr)} : rest;
    t->name = named ? (fr_str){slash + 1, rest.len - t->part.len - 1} : (fr_str){"", 0};
    return t->part.len > 0 && (!named || t->name.len > 0);
}

bool fr_will_key_read(fr_str key, fr_will_target *out)
{
    if (key.ptr == NULL || key.len > KEY_MAX || !fr_utf8_valid(key))
        return false;
    for (size_t i = 0; i < KINDS; i++) {
        size_t len = strlen(kinds[i].prefix);
        fr_will_target t = {.kind = kinds[i].kind};
        if (key.len <= len || memcmp(key.ptr, kinds[i].prefix, len) != 0)
            continue;
        if (!split((fr_str){key.ptr + len, key.len - len}, kinds[i].named, &t) ||
            (t.kind == FR_WILL_TABLE && !has_space(t.name)))
            return false;
        *out = t;
        return true;
    }
    return false;
}

/* ---- values ---- */

fr_str fr_will_value(fr_arena *a, const fr_will *w)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "{\"v\":1,\"state\":\"%s\",\"by\":", states[w->state]);
    fr_buf_json(&b, w->by);
    fr_buf_printf(&b, ",\"at\":%" PRId64 ",\"why\":", w->at_us);
    fr_buf_json(&b, w->why);
    fr_buf_text(&b, w->anew ? ",\"anew\":true" : "");
    fr_buf_text(&b, w->restart ? ",\"restart\":true}" : "}");
    return fr_buf_view(&b);
}

static bool is_text(fr_str s, size_t most)
{
    return s.len <= most && fr_utf8_valid(s);
}

fr_rc fr_will_sound(const fr_will *w, fr_err *err)
{
    if (w->state == FR_WILL_STOPPED && w->target.name.len > 0) {
        fr_fail(err, FR_ERR_CONFIG, "a single table has no connection of its own to be freed");
        fr_fail_code(err, "control.verb");
        return fr_fail_hint(err, "freshet pause %.*s/%.*s", FR_ARG(w->target.part),
                            FR_ARG(w->target.name));
    }
    if (w->anew && w->target.kind != FR_WILL_TABLE) {
        fr_fail(err, FR_ERR_CONFIG, "only a table of a source can begin anew");
        fr_fail_code(err, "control.verb");
        return fr_fail_hint(err, "leave --anew out");
    }
    if (is_text(w->by, FR_WILL_BY_MAX) && is_text(w->why, FR_WILL_WHY_MAX))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "who asks, or why, is too long, or no UTF-8");
    fr_fail_code(err, "control.why");
    return fr_fail_hint(err, "at most %d bytes of who, %d of why", FR_WILL_BY_MAX, FR_WILL_WHY_MAX);
}

static fr_rc unreadable(fr_err *err, const char *what)
{
    return fr_fail(err, FR_ERR_CONFIG, "%s", what);
}

static fr_rc read_state(const json_t *j, fr_will *out, fr_err *err)
{
    const char *state = fr_json_str(j, "state", "");
    for (int i = 0; i <= FR_WILL_STOPPED; i++)
        if (strcmp(state, states[i]) == 0) {
            out->state = (fr_will_state)i;
            return FR_OK;
        }
    return unreadable(err, "`state` is none of running, paused, stopped");
}

static fr_rc read_text(fr_arena *a, const json_t *j, const char *name, size_t most, fr_str *out,
                       fr_err *err)
{
    const json_t *t = json_object_get(j, name);
    fr_str text = t == NULL ? FR_STR("") : (fr_str){json_string_value(t), json_string_length(t)};
    if ((t != NULL && !json_is_string(t)) || !is_text(text, most))
        return fr_fail(err, FR_ERR_CONFIG, "`%s` is no text of at most %zu bytes", name, most);
    *out = fr_arena_str(a, text);
    return FR_OK;
}

static fr_rc read_switch(const json_t *j, const char *name, bool *out, fr_err *err)
{
    const json_t *t = json_object_get(j, name);
    if (t != NULL && !json_is_boolean(t))
        return fr_fail(err, FR_ERR_CONFIG, "`%s` is neither true nor false", name);
    *out = json_is_true(t);
    return FR_OK;
}

static fr_rc read_version(const json_t *j, fr_err *err)
{
    const json_t *v = json_object_get(j, "v");
    if (!json_is_object(j))
        return unreadable(err, "it is no JSON object");
    if (!json_is_integer(v))
        return unreadable(err, "it has no version `v`");
    if (json_integer_value(v) == 1)
        return FR_OK;
    return fr_fail(err, FR_ERR_CONFIG,
                   "written by a newer freshet (version %" JSON_INTEGER_FORMAT ", known is 1)",
                   json_integer_value(v));
}

static fr_rc read_object(fr_arena *a, const json_t *j, fr_will *out, fr_err *err)
{
    const json_t *at = json_object_get(j, "at");
    FR_TRY(read_version(j, err));
    FR_TRY(read_state(j, out, err));
    FR_TRY(read_text(a, j, "by", FR_WILL_BY_MAX, &out->by, err));
    FR_TRY(read_text(a, j, "why", FR_WILL_WHY_MAX, &out->why, err));
    FR_TRY(read_switch(j, "anew", &out->anew, err));
    FR_TRY(read_switch(j, "restart", &out->restart, err));
    if (!json_is_integer(at) || json_integer_value(at) < 0)
        return unreadable(err, "`at` is no time in microseconds since 1970");
    out->at_us = json_integer_value(at);
    if (out->state != FR_WILL_RUNNING && (out->anew || out->restart))
        return unreadable(err, "`anew` and `restart` go with state running only");
    return FR_OK;
}

static fr_rc read_value(fr_arena *a, fr_str value, fr_will *out, fr_err *err)
{
    json_t *j = NULL;
    if (value.ptr == NULL) { /* taken back */
        out->by = out->why = FR_STR("");
        return FR_OK;
    }
    if (fr_json_parse(value, &j, err) == FR_FAIL) {
        err->kind = FR_ERR_CONFIG;
        return FR_FAIL;
    }
    fr_rc rc = read_object(a, j, out, err);
    json_decref(j);
    return rc;
}

/* ---- folding ---- */

fr_wills *fr_wills_new(void)
{
    fr_wills *w = fr_malloc(sizeof(*w));
    w->all = fr_map_new();
    return w;
}

static void free_entry(void *value)
{
    entry *e = value;
    fr_arena_free(e->arena);
    free(e);
}

void fr_wills_free(fr_wills *w)
{
    if (w == NULL)
        return;
    fr_map_free(w->all, free_entry);
    free(w);
}

static entry *entry_of(fr_wills *w, fr_str key)
{
    entry *e = fr_map_get(w->all, key);
    if (e == NULL) {
        e = fr_malloc(sizeof(*e));
        fr_map_set(w->all, key, e);
    } else {
        fr_arena_free(e->arena);
    }
    *e = (entry){.arena = fr_arena_new(512)};
    e->key = fr_arena_str(e->arena, key);
    return e;
}

const fr_will *fr_wills_fold(fr_wills *w, fr_str key, fr_str value, int64_t offset)
{
    entry *e = entry_of(w, key.ptr == NULL ? FR_STR("") : key);
    fr_will read = {.offset = offset};
    /* Whatever the key is: what was taken back is nothing. */
    bool known = fr_will_key_read(e->key, &read.target);
    e->will = read;
    if (!known && value.ptr != NULL)
        unreadable(&e->will.problem, "its key is none of source/S, sink/K, table/S/SPACE.TABLE, "
                                     "topic/K/TOPIC");
    else if (read_value(e->arena, value, &read, &e->will.problem) == FR_OK) {
        e->will = read;
        e->will.understood = known;
        e->will.problem = (fr_err){0};
    }
    return &e->will;
}

/* A hostile key, for an error: no controls, nothing but ASCII. */
static void key_text(char *out, size_t size, fr_str key)
{
    size_t n = key.len < size ? key.len : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = key.ptr[i] >= ' ' && key.ptr[i] <= '~' ? key.ptr[i] : '?';
    out[n] = '\0';
}

fr_rc fr_wills_check(const fr_wills *w, const char *topic, fr_err *err)
{
    char name[200];
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(w->all, &i, &key, &value)) {
        const entry *e = value;
        if (e->will.understood || e->will.problem.text[0] == '\0')
            continue;
        key_text(name, sizeof(name), key);
        fr_fail(err, FR_ERR_CONFIG,
                "topic %s, offset %" PRId64 ", key `%s`: what the operator wants cannot be "
                "understood: %s",
                topic, e->will.offset, name, e->will.problem.text);
        fr_fail_code(err, "control.record");
        return fr_fail_hint(err, "run the newer freshet, or say anew what is wanted (freshet pause "
                                 "or resume), or write a record of this key without a value into "
                                 "the topic: then nothing is wanted");
    }
    return FR_OK;
}

bool fr_wills_next(const fr_wills *w, size_t *i, const fr_will **out)
{
    fr_str key;
    void *value;
    while (fr_map_next(w->all, i, &key, &value)) {
        *out = &((const entry *)value)->will;
        if ((*out)->understood)
            return true;
    }
    return false;
}
