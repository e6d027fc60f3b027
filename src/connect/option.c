#include "connect/option.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct unit {
    const char *name;
    int64_t size;
} unit;

/* Largest first: a value is written in the first one that divides it. */
static const unit time_units[] = {{"d", 86400000000}, {"h", 3600000000}, {"m", 60000000},
                                  {"s", 1000000},     {"ms", 1000},      {"us", 1}};
static const unit byte_units[] = {{"GiB", 1 << 30}, {"GB", 1000000000}, {"MiB", 1 << 20},
                                  {"MB", 1000000},  {"KiB", 1 << 10},   {"kB", 1000},
                                  {"B", 1}};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static fr_rc bad_value(fr_err *err, const char *hint)
{
    fr_fail_code(err, "config.bad_value");
    return hint != NULL ? fr_fail_hint(err, "%s", hint) : FR_FAIL;
}

static fr_str trimmed(fr_str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0]))
        s = (fr_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Digits with an optional sign; *rest is what follows. False when there are none or they
 * do not fit. */
static bool take_number(fr_str text, int64_t *out, fr_str *rest)
{
    size_t i = 0;
    bool minus = text.len > 0 && text.ptr[0] == '-';
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        i = 1;
    size_t first = i;
    int64_t value = 0;
    for (; i < text.len && isdigit((unsigned char)text.ptr[i]); i++) {
        int digit = text.ptr[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (i == first || (!minus && value == INT64_MIN))
        return false;
    *out = minus ? value : -value;
    *rest = (fr_str){text.ptr + i, text.len - i};
    return true;
}

static fr_rc check_range(const fr_option *o, int64_t value, fr_str text, fr_err *err)
{
    if ((o->min == 0 && o->max == 0) || (value >= o->min && (o->max == 0 || value <= o->max)))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is out of range", o->name, FR_ARG(text));
    fr_option shown = *o;
    shown.flags = 0;
    shown.offset = 0;
    char hint[160];
    fr_arena *a = fr_arena_new(0);
    int64_t min = o->min, max = o->max;
    fr_str low = fr_option_get(&shown, a, &min);
    fr_str high = fr_option_get(&shown, a, &max);
    if (o->max == 0)
        snprintf(hint, sizeof(hint), "at least %.*s", FR_ARG(low));
    else
        snprintf(hint, sizeof(hint), "between %.*s and %.*s", FR_ARG(low), FR_ARG(high));
    fr_arena_free(a);
    return bad_value(err, hint);
}

static fr_rc parse_int(const fr_option *o, fr_str text, int64_t *out, fr_err *err)
{
    fr_str rest;
    int64_t value;
    if (!take_number(text, &value, &rest) || rest.len > 0) {
        fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is not a whole number", o->name, FR_ARG(text));
        return bad_value(err, "write digits only, for example 1000");
    }
    FR_TRY(check_range(o, value, text, err));
    *out = value;
    return FR_OK;
}

static const unit *find_unit(const unit *units, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_is(name, units[i].name))
            return &units[i];
    return NULL;
}

static fr_rc parse_units(const fr_option *o, fr_str text, int64_t *out, fr_err *err)
{
    bool time = o->type == FR_OPT_TIME;
    const char *hint = time ? "a number with one of ms s m h d, for example 500ms or 10s"
                            : "a number with one of B KiB MiB GiB kB MB GB, for example 16MiB";
    fr_str rest;
    int64_t number;
    if (!take_number(text, &number, &rest)) {
        fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is not a %s", o->name, FR_ARG(text),
                time ? "time" : "size");
        return bad_value(err, hint);
    }
    rest = trimmed(rest);
    int64_t value = 0;
    if (number != 0 || rest.len > 0) {
        const unit *u = time ? find_unit(time_units, COUNT(time_units), rest)
                             : find_unit(byte_units, COUNT(byte_units), rest);
        if (u == NULL) {
            fr_fail(err, FR_ERR_CONFIG,
                    rest.len == 0 ? "%s: `%.*s` has no unit" : "%s: `%.*s` has an unknown unit",
                    o->name, FR_ARG(text));
            return bad_value(err, hint);
        }
        if (number < 0 || __builtin_mul_overflow(number, u->size, &value)) {
            fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is out of range", o->name, FR_ARG(text));
            return bad_value(err, hint);
        }
    }
    FR_TRY(check_range(o, value, text, err));
    *out = value;
    return FR_OK;
}

static fr_rc parse_bool(const fr_option *o, fr_str text, bool *out, fr_err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < COUNT(words); i++) {
        if (text.len == strlen(words[i]) && strncasecmp(text.ptr, words[i], text.len) == 0) {
            *out = i % 2 == 1;
            return FR_OK;
        }
    }
    fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is neither true nor false", o->name, FR_ARG(text));
    return bad_value(err, "write true or false (yes, no, on, off are fine too)");
}

static fr_rc parse_choice(const fr_option *o, fr_str text, int *out, fr_err *err)
{
    char list[400] = "";
    size_t n = 0, used = 0;
    for (; o->choices[n] != NULL; n++) {
        if (fr_str_is(text, o->choices[n])) {
            *out = (int)n;
            return FR_OK;
        }
        int more =
            snprintf(list + used, sizeof(list) - used, "%s%s", n > 0 ? ", " : "", o->choices[n]);
        used += (size_t)more < sizeof(list) - used ? (size_t)more : 0;
    }
    const char *near = fr_nearest(text, o->choices, n);
    fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s` is none of its choices", o->name, FR_ARG(text));
    fr_fail_code(err, "config.bad_value");
    if (near != NULL)
        return fr_fail_hint(err, "did you mean `%s`? choices: %s", near, list);
    return fr_fail_hint(err, "choices: %s", list);
}

static fr_rc parse_text(const fr_option *o, fr_arena *a, fr_str text, const char **out, fr_err *err)
{
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "%s: the text holds a NUL", o->name);
        return bad_value(err, "remove the \\0");
    }
    *out = fr_arena_cstr(a, text);
    return FR_OK;
}

/* "a, b" or "[a, b]": only defaults are written so. */
static fr_rc parse_list(const fr_option *o, fr_arena *a, void *target, fr_str text, fr_err *err)
{
    if (text.len >= 2 && (text.ptr[0] == '[' || text.ptr[0] == '{'))
        text = (fr_str){text.ptr + 1, text.len - 2};
    while (text.len > 0) {
        const char *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma == NULL ? text.len : (size_t)(comma - text.ptr);
        fr_str item = trimmed((fr_str){text.ptr, len}), name = {NULL, 0};
        if (o->type == FR_OPT_MAP && item.len > 0) {
            const char *colon = memchr(item.ptr, ':', item.len);
            size_t split = colon == NULL ? item.len : (size_t)(colon - item.ptr);
            name = (fr_str){item.ptr, split};
            item = split == item.len ? (fr_str){item.ptr + split, 0}
                                     : trimmed((fr_str){colon + 1, item.len - split - 1});
        }
        if (item.len > 0 || name.len > 0)
            FR_TRY(fr_option_add(o, a, target, name, item, err));
        len += comma == NULL ? 0 : 1;
        text = (fr_str){text.ptr + len, text.len - len};
    }
    return FR_OK;
}

fr_rc fr_option_set(const fr_option *o, fr_arena *a, void *target, fr_str text, fr_err *err)
{
    void *at = (char *)target + o->offset;
    switch (o->type) {
    case FR_OPT_TEXT:
        return parse_text(o, a, text, at, err);
    case FR_OPT_INT:
        return parse_int(o, text, at, err);
    case FR_OPT_BOOL:
        return parse_bool(o, text, at, err);
    case FR_OPT_BYTES:
    case FR_OPT_TIME:
        return parse_units(o, text, at, err);
    case FR_OPT_CHOICE:
        return parse_choice(o, text, at, err);
    case FR_OPT_LIST:
        *(fr_texts *)at = (fr_texts){0};
        return parse_list(o, a, target, text, err);
    case FR_OPT_MAP:
        *(fr_pairs *)at = (fr_pairs){0};
        return parse_list(o, a, target, text, err);
    }
    return fr_fail(err, FR_ERR_BUG, "option %s has no type", o->name);
}

/* Lists are short and built once: one new array an item. */
static void *grown(fr_arena *a, const void *items, size_t count, size_t size)
{
    char *more = fr_arena_alloc(a, (count + 1) * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

fr_rc fr_option_add(const fr_option *o, fr_arena *a, void *target, fr_str name, fr_str text,
                    fr_err *err)
{
    const char *value = NULL;
    FR_TRY(parse_text(o, a, text, &value, err));
    if (o->type == FR_OPT_LIST) {
        fr_texts *list = (fr_texts *)(void *)((char *)target + o->offset);
        list->items = grown(a, list->items, list->count, sizeof(list->items[0]));
        list->items[list->count++] = value;
        return FR_OK;
    }
    if (o->type != FR_OPT_MAP)
        return fr_fail(err, FR_ERR_BUG, "option %s is no list", o->name);
    const char *key = "";
    FR_TRY(parse_text(o, a, name, &key, err));
    fr_pairs *map = (fr_pairs *)(void *)((char *)target + o->offset);
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].name, key) == 0) {
            map->items[i].value = value;
            return FR_OK;
        }
    }
    map->items = grown(a, map->items, map->count, sizeof(map->items[0]));
    map->items[map->count++] = (fr_pair){key, value};
    return FR_OK;
}

fr_rc fr_option_defaults(const fr_option *table, fr_arena *a, void *target, fr_err *err)
{
    for (const fr_option *o = table; o->name != NULL; o++) {
        if (o->fallback == NULL || (o->flags & FR_REFUSED) != 0)
            continue; /* a refused option has no member */
        FR_TRY(fr_option_set(o, a, target, fr_cstr(o->fallback), err));
    }
    return FR_OK;
}

static fr_str get_units(fr_arena *a, const unit *units, size_t count, int64_t value,
                        const char *zero)
{
    if (value == 0)
        return fr_cstr(zero);
    for (size_t i = 0; i < count; i++)
        if (value % units[i].size == 0)
            return fr_arena_printf(a, "%" PRId64 "%s", value / units[i].size, units[i].name);
    return fr_arena_printf(a, "%" PRId64, value);
}

static fr_str get_list(fr_arena *a, const fr_texts *list)
{
    fr_str out = FR_STR("[");
    for (size_t i = 0; i < list->count; i++)
        out = fr_arena_printf(a, "%.*s%s%s", FR_ARG(out), i > 0 ? ", " : "", list->items[i]);
    return fr_arena_printf(a, "%.*s]", FR_ARG(out));
}

static fr_str get_map(fr_arena *a, const fr_pairs *map)
{
    fr_str out = FR_STR("{");
    for (size_t i = 0; i < map->count; i++)
        out = fr_arena_printf(a, "%.*s%s%s: %s", FR_ARG(out), i > 0 ? ", " : "", map->items[i].name,
                              map->items[i].value);
    return fr_arena_printf(a, "%.*s}", FR_ARG(out));
}

fr_str fr_option_get(const fr_option *o, fr_arena *a, const void *target)
{
    const void *at = (const char *)target + o->offset;
    int64_t number = 0;
    if (o->type == FR_OPT_INT || o->type == FR_OPT_BYTES || o->type == FR_OPT_TIME)
        memcpy(&number, at, sizeof(number));
    switch (o->type) {
    case FR_OPT_TEXT: {
        const char *text = *(const char *const *)at;
        if (text == NULL)
            return (fr_str){NULL, 0};
        return (o->flags & FR_SECRET) != 0 ? FR_STR("***") : fr_cstr(text);
    }
    case FR_OPT_INT:
        return fr_arena_printf(a, "%" PRId64, number);
    case FR_OPT_BOOL:
        return *(const bool *)at ? FR_STR("true") : FR_STR("false");
    case FR_OPT_BYTES:
        return get_units(a, byte_units, COUNT(byte_units), number, "0B");
    case FR_OPT_TIME:
        return get_units(a, time_units, COUNT(time_units), number, "0s");
    case FR_OPT_CHOICE:
        return fr_cstr(o->choices[*(const int *)at]);
    case FR_OPT_LIST:
        return get_list(a, at);
    case FR_OPT_MAP:
        return get_map(a, at);
    }
    return (fr_str){NULL, 0};
}

const fr_option *fr_option_find(const fr_option *table, fr_str name)
{
    for (const fr_option *o = table; o->name != NULL; o++)
        if (fr_str_is(name, o->name))
            return o;
    return NULL;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn one into the other; more
 * than 3 are all the same to us. */
static size_t edits(fr_str a, fr_str b)
{
    enum { longest = 64 };
    if (a.len > longest || b.len > longest)
        return longest;
    size_t rows[3][longest + 1];
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = (char)tolower((unsigned char)a.ptr[i - 1]);
            char y = (char)tolower((unsigned char)b.ptr[j - 1]);
            size_t best = last[j - 1] + (x == y ? 0 : 1);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            bool swapped =
                i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            if (swapped && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *fr_nearest(fr_str word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = 4;
    for (size_t i = 0; i < count; i++) {
        size_t n = edits(word, fr_cstr(names[i]));
        /* A word of three letters is not a misspelling of every other one. */
        if (n < least && n < (word.len > strlen(names[i]) ? word.len : strlen(names[i]))) {
            least = n;
            nearest = names[i];
        }
    }
    return word.len < 4 && least > 1 ? NULL : nearest;
}
