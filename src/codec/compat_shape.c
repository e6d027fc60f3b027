#include "codec/compat.h"

#include "base/json.h"
#include "base/map.h"

#include <string.h>

enum { DEPTH_MAX = 64, PRECISION_MAX = 1 << 20, DEFAULT_MAX = 100000 };

static const char *const kind_names[] = {"null",   "boolean", "int",    "long",   "float",
                                         "double", "bytes",   "string", "record", "enum",
                                         "fixed",  "array",   "map",    "union"};

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

static const char *const field_members[] = {"name", "type", "default", "doc", "aliases"};
static const char *const named_members[] = {
    "name",   "type",        "namespace",    "doc",          "aliases",
    "fields", "symbols",     "size",         "default",      "precision",
    "scale",  "logicalType", "connect.name", "freshet.type", "connect.version"};

typedef struct parser {
    fr_arena *a;
    fr_map *names; /* full name -> fr_shape */
    int depth;
    size_t records;
    fr_err *err;
} parser;

static fr_rc parse(parser *p, const json_t *j, fr_str space, const fr_shape **out);

static fr_rc fail(parser *p, const char *why, fr_str what)
{
    fr_fail(p->err, FR_ERR_SCHEMA, "Avro schema: %s%s%.*s", why, what.len > 0 ? ": " : "",
            what.len > 200 ? 200 : (int)what.len, what.len > 0 ? what.ptr : "");
    return fr_fail_code(p->err, "registry.invalid_schema");
}

static fr_str text_of(fr_arena *a, const json_t *j)
{
    return json_is_string(j) ? fr_arena_copy(a, json_string_value(j), json_string_length(j))
                             : (fr_str){"", 0};
}

/* Objects in defaults and properties are the same in any order. */
static fr_str sorted_text(fr_arena *a, const json_t *j)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS;
    size_t len = json_dumpb(j, NULL, 0, flags);
    char *text = fr_arena_raw(a, len + 1);
    json_dumpb(j, text, len, flags);
    return (fr_str){text, len};
}

/* The name with its namespace, where it has none of its own. */
static fr_str full_name(fr_arena *a, fr_str name, fr_str space)
{
    if (name.len == 0 || space.len == 0 || memchr(name.ptr, '.', name.len) != NULL)
        return name;
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
}

static fr_str space_of(fr_str full)
{
    size_t len = full.len;
    while (len > 0 && full.ptr[len - 1] != '.')
        len--;
    return (fr_str){full.ptr, len > 0 ? len - 1 : 0};
}

static fr_shape_names names_of(fr_arena *a, const json_t *list, fr_str space)
{
    fr_shape_names n = {NULL, json_array_size(list)};
    n.items = fr_arena_alloc(a, (n.count + 1) * sizeof(*n.items));
    for (size_t i = 0; i < n.count; i++)
        n.items[i] = full_name(a, text_of(a, json_array_get(list, i)), space);
    return n;
}

/* All members that have no meaning here, sorted. */
static fr_str properties_of(fr_arena *a, const json_t *j, const char *const *known, size_t count)
{
    json_t *rest = json_copy((json_t *)(uintptr_t)j);
    for (size_t i = 0; i < count; i++)
        json_object_del(rest, known[i]);
    fr_str text = json_object_size(rest) > 0 ? sorted_text(a, rest) : (fr_str){"", 0};
    json_decref(rest);
    return text;
}

static bool primitive_of(fr_str name, fr_shape_kind *out)
{
    for (int k = FR_SHAPE_NULL; k <= FR_SHAPE_STRING; k++)
        if (fr_str_is(name, kind_names[k])) {
            *out = (fr_shape_kind)k;
            return true;
        }
    return false;
}

static fr_rc parse_name(parser *p, const json_t *j, fr_str space, const fr_shape **out)
{
    fr_str name = text_of(p->a, j);
    fr_shape_kind kind;
    if (primitive_of(name, &kind)) {
        fr_shape *s = fr_arena_alloc(p->a, sizeof(*s));
        s->kind = kind;
        *out = s;
        return FR_OK;
    }
    *out = fr_map_get(p->names, full_name(p->a, name, space));
    if (*out == NULL)
        *out = fr_map_get(p->names, name);
    return *out != NULL ? FR_OK : fail(p, "a type that is not defined", name);
}

/* A union may hold each type once, and each name. */
static fr_rc check_branch(parser *p, fr_map *names, unsigned *kinds, const fr_shape *branch)
{
    bool again = (*kinds & 1u << branch->kind) != 0;
    if (branch->kind == FR_SHAPE_UNION)
        return fail(p, "a union directly inside a union", (fr_str){"", 0});
    if (branch->name.len > 0)
        again = fr_map_set(names, branch->name, names) != NULL;
    *kinds |= branch->name.len > 0 ? 0 : 1u << branch->kind;
    return again ? fail(p, "a union that holds a type twice", branch->name) : FR_OK;
}

static fr_rc parse_branches(parser *p, const json_t *list, fr_str space, fr_shape *s)
{
    unsigned kinds = 0;
    fr_map *names = fr_map_new();
    fr_rc rc = FR_OK;
    s->branch_count = json_array_size(list);
    s->branches =
        (const fr_shape **)fr_arena_alloc(p->a, (s->branch_count + 1) * sizeof(*s->branches));
    for (size_t i = 0; rc == FR_OK && i < s->branch_count; i++) {
        rc = parse(p, json_array_get(list, i), space, &s->branches[i]);
        if (rc == FR_OK)
            rc = check_branch(p, names, &kinds, s->branches[i]);
    }
    fr_map_free(names, NULL);
    return rc;
}

static fr_rc parse_field(parser *p, const json_t *j, fr_str space, const fr_shape *s,
                         fr_shape_field *f)
{
    const json_t *fallback = json_object_get(j, "default");
    f->name = text_of(p->a, json_object_get(j, "name"));
    if (f->name.len == 0)
        return fail(p, "a field without a name in record", s->name);
    f->aliases = names_of(p->a, json_object_get(j, "aliases"), (fr_str){"", 0});
    if (fallback != NULL)
        f->fallback = sorted_text(p->a, fallback);
    f->doc = text_of(p->a, json_object_get(j, "doc"));
    f->properties = properties_of(p->a, j, field_members, COUNT_OF(field_members));
    if (parse(p, json_object_get(j, "type"), space, &f->type) == FR_FAIL)
        return fr_fail_in(p->err, "field %.*s", FR_ARG(f->name));
    return FR_OK;
}

static fr_rc parse_fields(parser *p, const json_t *list, fr_str space, fr_shape *s)
{
    if (!json_is_array(list))
        return fail(p, "a record without fields", s->name);
    s->field_count = json_array_size(list);
    s->fields = fr_arena_alloc(p->a, (s->field_count + 1) * sizeof(*s->fields));
    fr_map *seen = fr_map_new();
    fr_rc rc = FR_OK;
    for (size_t i = 0; rc == FR_OK && i < s->field_count; i++) {
        rc = parse_field(p, json_array_get(list, i), space, s, &s->fields[i]);
        if (rc == FR_OK && fr_map_set(seen, s->fields[i].name, seen) != NULL)
            rc = fail(p, "a field that is there twice", s->fields[i].name);
    }
    fr_map_free(seen, NULL);
    return rc;
}

static fr_rc parse_named(parser *p, const json_t *j, fr_str space, fr_shape *s)
{
    fr_str own = text_of(p->a, json_object_get(j, "namespace"));
    fr_str name = text_of(p->a, json_object_get(j, "name"));
    if (name.len == 0)
        return fail(p, "a record, enum or fixed without a name", (fr_str){"", 0});
    s->name = full_name(p->a, name, json_object_get(j, "namespace") != NULL ? own : space);
    space = space_of(s->name);
    s->aliases = names_of(p->a, json_object_get(j, "aliases"), space);
    s->doc = text_of(p->a, json_object_get(j, "doc"));
    s->properties = properties_of(p->a, j, named_members, COUNT_OF(named_members));
    if (fr_map_set(p->names, s->name, s) != NULL)
        return fail(p, "a name that is defined twice", s->name);
    if (s->kind == FR_SHAPE_RECORD) {
        s->number = ++p->records;
        return parse_fields(p, json_object_get(j, "fields"), space, s);
    }
    if (s->kind == FR_SHAPE_ENUM) {
        s->symbols = names_of(p->a, json_object_get(j, "symbols"), (fr_str){"", 0});
        s->fallback = text_of(p->a, json_object_get(j, "default"));
        return FR_OK;
    }
    s->size = fr_json_int(j, "size", -1);
    return s->size >= 0 ? FR_OK : fail(p, "a fixed without a size", s->name);
}

/* A logical type that is not known, or not on its base type, is no logical type (Avro 1.11);
 * we keep names that we do not know, because their change is a change of meaning. */
static void parse_logical(parser *p, const json_t *j, fr_shape *s)
{
    s->logical = text_of(p->a, json_object_get(j, "logicalType"));
    s->marker = text_of(p->a, json_object_get(j, "freshet.type"));
    /* Debezium's meaning of a number. Of a record it is its name once more. */
    if (s->kind != FR_SHAPE_RECORD)
        s->connect = text_of(p->a, json_object_get(j, "connect.name"));
    if (!fr_str_is(s->logical, "decimal"))
        return;
    long long precision = fr_json_int(j, "precision", 0), scale = fr_json_int(j, "scale", 0);
    bool base = s->kind == FR_SHAPE_BYTES || s->kind == FR_SHAPE_FIXED;
    if (!base || precision < 1 || precision > PRECISION_MAX || scale < 0 || scale > precision) {
        s->logical = (fr_str){"", 0};
        return;
    }
    s->precision = (int)precision;
    s->scale = (int)scale;
}

static fr_rc parse_complex(parser *p, const json_t *j, fr_str type, fr_str space, fr_shape *s)
{
    if (fr_str_is(type, "error"))
        type = FR_STR("record");
    for (int k = FR_SHAPE_RECORD; k <= FR_SHAPE_MAP; k++)
        if (fr_str_is(type, kind_names[k])) {
            s->kind = (fr_shape_kind)k;
            if (k <= FR_SHAPE_FIXED)
                return parse_named(p, j, space, s);
            s->branch_count = 1;
            s->branches = (const fr_shape **)fr_arena_alloc(p->a, sizeof(*s->branches));
            return parse(p, json_object_get(j, k == FR_SHAPE_ARRAY ? "items" : "values"), space,
                         &s->branches[0]);
        }
    return fail(p, "a type that is not defined", type);
}

static fr_rc parse_object(parser *p, const json_t *j, fr_str space, const fr_shape **out)
{
    const json_t *type = json_object_get(j, "type");
    fr_shape *s = fr_arena_alloc(p->a, sizeof(*s));
    *out = s;
    if (!json_is_string(type)) /* {"type": {...}}: what is inside counts */
        return parse(p, type, space, out);
    fr_str name = text_of(p->a, type);
    if (!primitive_of(name, &s->kind)) {
        if (fr_map_get(p->names, full_name(p->a, name, space)) != NULL)
            return parse_name(p, type, space, out);
        FR_TRY(parse_complex(p, j, name, space, s));
    }
    parse_logical(p, j, s);
    return FR_OK;
}

static fr_rc parse(parser *p, const json_t *j, fr_str space, const fr_shape **out)
{
    if (p->depth >= DEPTH_MAX)
        return fail(p, "it is nested deeper than 64", (fr_str){"", 0});
    p->depth++;
    fr_rc rc;
    if (json_is_string(j)) {
        rc = parse_name(p, j, space, out);
    } else if (json_is_object(j)) {
        rc = parse_object(p, j, space, out);
    } else if (json_is_array(j)) {
        fr_shape *s = fr_arena_alloc(p->a, sizeof(*s));
        s->kind = FR_SHAPE_UNION;
        *out = s;
        rc = parse_branches(p, j, space, s);
    } else {
        rc = fail(p, "a type is missing", (fr_str){"", 0});
    }
    p->depth--;
    return rc;
}

fr_rc fr_shape_parse(fr_arena *a, fr_str schema, const fr_shape **out, fr_err *err)
{
    json_t *j;
    *out = NULL;
    /* A schema may be a bare word without quotes in old registries: that is no JSON. */
    if (fr_json_parse(schema, &j, err) == FR_FAIL) {
        err->kind = FR_ERR_SCHEMA;
        fr_fail_in(err, "Avro schema");
        return fr_fail_code(err, "registry.invalid_schema");
    }
    parser p = {.a = a, .names = fr_map_new(), .err = err};
    fr_rc rc = parse(&p, j, (fr_str){"", 0}, out);
    fr_map_free(p.names, NULL);
    json_decref(j);
    return rc;
}

/* --- text ------------------------------------------------------------------------------- */

static void write_shape(fr_buf *b, fr_map *seen, const fr_shape *s);

static void write_logical(fr_buf *b, const fr_shape *s)
{
    if (s->logical.len > 0)
        fr_buf_printf(b, "/%.*s", FR_ARG(s->logical));
    if (s->precision > 0)
        fr_buf_printf(b, "(%d,%d)", s->precision, s->scale);
    if (s->connect.len > 0)
        fr_buf_printf(b, "/connect %.*s", FR_ARG(s->connect));
    if (s->marker.len > 0)
        fr_buf_printf(b, "/freshet %.*s", FR_ARG(s->marker));
}

static void write_named(fr_buf *b, fr_map *seen, const fr_shape *s)
{
    fr_buf_printf(b, " %.*s", FR_ARG(s->name));
    if (fr_map_set(seen, s->name, (void *)(uintptr_t)s) != NULL)
        return;
    fr_buf_printf(b, "[%lld]{", (long long)s->size);
    for (size_t i = 0; i < s->symbols.count; i++)
        fr_buf_printf(b, "%.*s,", FR_ARG(s->symbols.items[i]));
    fr_buf_printf(b, "=%.*s;", FR_ARG(s->fallback));
    for (size_t i = 0; i < s->field_count; i++) {
        const fr_shape_field *f = &s->fields[i];
        fr_buf_printf(b, "%.*s=%.*s:", FR_ARG(f->name), FR_ARG(f->fallback));
        write_shape(b, seen, f->type);
        fr_buf_text(b, ";");
    }
    fr_buf_text(b, "}");
}

static void write_shape(fr_buf *b, fr_map *seen, const fr_shape *s)
{
    fr_buf_text(b, kind_names[s->kind]);
    write_logical(b, s);
    if (s->name.len > 0)
        write_named(b, seen, s);
    for (size_t i = 0; i < s->branch_count; i++) {
        fr_buf_text(b, i == 0 ? "<" : "|");
        write_shape(b, seen, s->branches[i]);
    }
    if (s->branch_count > 0)
        fr_buf_text(b, ">");
}

fr_str fr_shape_text(fr_arena *a, const fr_shape *s)
{
    fr_buf b = {.arena = a};
    fr_map *seen = fr_map_new();
    write_shape(&b, seen, s);
    fr_map_free(seen, NULL);
    return fr_buf_view(&b);
}

/* "decimal(10,2)", else the kind. */
static void describe_kind(fr_buf *b, const fr_shape *s)
{
    if (s->logical.len == 0) {
        fr_buf_text(b, kind_names[s->kind]);
        return;
    }
    fr_buf_str(b, s->logical);
    if (s->precision > 0)
        fr_buf_printf(b, "(%d,%d)", s->precision, s->scale);
}

void fr_shape_describe(fr_buf *b, const fr_shape *s)
{
    if (s->kind == FR_SHAPE_UNION) {
        for (size_t i = 0; i < s->branch_count; i++) {
            fr_buf_text(b, i > 0 ? " | " : "");
            fr_shape_describe(b, s->branches[i]);
        }
        return;
    }
    describe_kind(b, s);
    if (s->name.len > 0 && s->logical.len == 0)
        fr_buf_printf(b, " %.*s", FR_ARG(s->name));
    if (s->connect.len > 0 || s->marker.len > 0)
        fr_buf_printf(b, " (%.*s)", FR_ARG(s->connect.len > 0 ? s->connect : s->marker));
    if (s->branch_count > 0) {
        fr_buf_text(b, " of ");
        fr_shape_describe(b, s->branches[0]);
    }
}

/* --- defaults --------------------------------------------------------------------------- */

/* How much may still be looked at: a default may need others, and these it again. */
typedef struct filling {
    int depth, left;
} filling;

static bool fits(filling *f, const json_t *j, const fr_shape *s);

/* Bytes stand as a string, one character of at most U+00FF a byte. */
static bool bytes_fit(const json_t *j, int64_t size)
{
    int64_t count = 0;
    if (!json_is_string(j))
        return false;
    const unsigned char *p = (const unsigned char *)json_string_value(j);
    for (size_t i = 0; i < json_string_length(j); i++) {
        if (p[i] > 0xc3)
            return false;
        count += (p[i] & 0xc0) != 0x80;
    }
    return size < 0 || count == size;
}

static bool text_fits(filling *f, fr_str fallback, const fr_shape *s)
{
    json_t *j = json_loadb(fallback.ptr, fallback.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool good = j != NULL && fits(f, j, s);
    json_decref(j);
    return good;
}

static bool record_fits(filling *f, const json_t *j, const fr_shape *s)
{
    if (!json_is_object(j))
        return false;
    for (size_t i = 0; i < s->field_count; i++) {
        const fr_shape_field *field = &s->fields[i];
        const json_t *value = json_object_getn(j, field->name.ptr, field->name.len);
        if (value == NULL ? !text_fits(f, field->fallback, field->type)
                          : !fits(f, value, field->type))
            return false;
    }
    return true;
}

static bool all_fit(filling *f, const json_t *j, const fr_shape *s)
{
    size_t i;
    const char *key;
    const json_t *item;
    bool good = json_is_array(j) == (s->kind == FR_SHAPE_ARRAY) &&
                json_is_object(j) == (s->kind == FR_SHAPE_MAP);
    json_array_foreach(j, i, item) good = good && fits(f, item, s->branches[0]);
    json_object_foreach((json_t *)(uintptr_t)j, key, item) good =
        good && fits(f, item, s->branches[0]);
    return good;
}

static bool enum_fits(const json_t *j, const fr_shape *s)
{
    bool found = false;
    for (size_t i = 0; json_is_string(j) && i < s->symbols.count; i++)
        found = found || fr_str_is(s->symbols.items[i], json_string_value(j));
    return found;
}

static bool fits_inside(filling *f, const json_t *j, const fr_shape *s)
{
    switch (s->kind) {
    case FR_SHAPE_NULL:
        return json_is_null(j);
    case FR_SHAPE_BOOLEAN:
        return json_is_boolean(j);
    case FR_SHAPE_INT:
        return json_is_integer(j) && json_integer_value(j) >= INT32_MIN &&
               json_integer_value(j) <= INT32_MAX;
    case FR_SHAPE_LONG:
        return json_is_integer(j);
    case FR_SHAPE_FLOAT:
    case FR_SHAPE_DOUBLE:
        return json_is_number(j);
    case FR_SHAPE_BYTES:
        return bytes_fit(j, -1);
    case FR_SHAPE_FIXED:
        return bytes_fit(j, s->size);
    case FR_SHAPE_STRING:
        return json_is_string(j);
    case FR_SHAPE_ENUM:
        return enum_fits(j, s);
    case FR_SHAPE_RECORD:
        return record_fits(f, j, s);
    case FR_SHAPE_UNION: /* a default is of the first branch */
        return s->branch_count > 0 && fits(f, j, s->branches[0]);
    default:
        return all_fit(f, j, s);
    }
}

static bool fits(filling *f, const json_t *j, const fr_shape *s)
{
    if (f->depth >= DEPTH_MAX || f->left-- <= 0)
        return false;
    f->depth++;
    bool good = fits_inside(f, j, s);
    f->depth--;
    return good;
}

bool fr_shape_default_fits(const fr_shape *s, fr_str fallback)
{
    filling f = {0, DEFAULT_MAX};
    return text_fits(&f, fallback, s);
}
