#include "codec/avro_parse.h"
#include "base/map.h"
#include "model/name.h"

#include <string.h>

static const char *const words[] = {"null",   "boolean", "int",    "long",   "float",
                                    "double", "bytes",   "string", "record", "enum",
                                    "fixed",  "array",   "map",    "union"};

typedef struct parser {
    fr_arena *arena;
    fr_map *names;
    fr_err *err;
} parser;

static fr_rc bad_schema(fr_err *err, const char *what, fr_str where)
{
    fr_fail(err, FR_ERR_DATA, "Avro schema: %s%s%.*s", what, where.len > 0 ? ": " : "",
            (int)(where.len < 200 ? where.len : 200), where.len > 0 ? where.ptr : "");
    return fr_fail_code(err, "avro.schema");
}

const char *fr_avro_word(fr_avro_tag tag)
{
    return words[tag];
}

size_t fr_avro_decimal_bytes(int precision)
{
    return (size_t)((precision * 3.3219280948873626 + 1) / 8) + 1; /* log2(10) bits a digit */
}

int fr_avro_tag_of(const char *word)
{
    for (int i = 0; i < FR_AVRO_UNION; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    return strcmp(word, "error") == 0 ? FR_AVRO_RECORD : -1;
}

json_t *fr_avro_json(fr_str text, fr_err *err)
{
    fr_err unused = {0};
    err = err == NULL ? &unused : err;
    if (text.len > FR_AVRO_MAX_SCHEMA) {
        bad_schema(err, "longer than 1 MiB", FR_STR(""));
        return NULL;
    }
    /* A bare name, as some registries give for primitive types. */
    if (text.len > 0 && text.len < 8 && text.ptr[0] >= 'a' && text.ptr[0] <= 'z') {
        char word[8];
        memcpy(word, text.ptr, text.len);
        word[text.len] = '\0';
        int tag = fr_avro_tag_of(word);
        if (tag >= 0 && tag < FR_AVRO_RECORD && tag != FR_AVRO_NULL)
            return json_string(word);
    }
    json_error_t e;
    json_t *j = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (j == NULL)
        bad_schema(err, "not JSON", fr_cstr(e.text));
    return j;
}

fr_str fr_avro_full_name(fr_arena *a, const char *name, const char *space, fr_str enclosing,
                         fr_str *space_out)
{
    const char *dot = strrchr(name, '.');
    fr_str given = fr_cstr(name);
    if (dot != NULL)
        *space_out = (fr_str){given.ptr, (size_t)(dot - name)};
    else
        *space_out = space != NULL ? fr_cstr(space) : enclosing;
    *space_out = fr_arena_str(a, *space_out);
    if (dot != NULL || space_out->len == 0)
        return fr_arena_str(a, given);
    return fr_arena_printf(a, "%.*s.%s", FR_ARG(*space_out), name);
}

static fr_rc parse_node(parser *p, const json_t *j, fr_str space, unsigned depth,
                        const fr_avro_node **out);

static fr_str property(parser *p, const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    if (!json_is_string(v))
        return FR_STR("");
    return fr_arena_copy(p->arena, json_string_value(v), json_string_length(v));
}

static fr_avro_node *new_node(parser *p, fr_avro_tag tag, const json_t *j)
{
    fr_avro_node *n = fr_arena_alloc(p->arena, sizeof *n);
    n->tag = tag;
    n->name = n->logical = n->connect = n->marker = FR_STR("");
    if (!json_is_object(j))
        return n;
    n->logical = property(p, j, "logicalType");
    n->connect = property(p, j, "connect.name");
    n->marker = property(p, j, "freshet.type");
    n->key_before = strcmp(fr_json_str(j, "freshet.before", ""), "key") == 0;
    n->precision = fr_json_int(j, "precision", 0);
    n->scale = fr_json_int(j, "scale", 0);
    return n;
}

static fr_rc parse_use(parser *p, const char *word, fr_str space, const fr_avro_node **out)
{
    int tag = fr_avro_tag_of(word);
    if (tag >= 0 && tag < FR_AVRO_RECORD) {
        *out = new_node(p, (fr_avro_tag)tag, NULL);
        return FR_OK;
    }
    fr_str inner;
    fr_str full = fr_avro_full_name(p->arena, word, NULL, space, &inner);
    *out = fr_map_get(p->names, full);
    if (*out == NULL) /* as Apache Avro: a name that the namespace lacks may be one without any */
        *out = fr_map_get(p->names, fr_cstr(word));
    if (*out == NULL)
        return bad_schema(p->err, "type is not defined", full);
    return FR_OK;
}

static fr_rc parse_fields(parser *p, const json_t *list, fr_str space, unsigned depth,
                          fr_avro_node *n)
{
    if (!json_is_array(list))
        return bad_schema(p->err, "record has no list of fields", n->name);
    size_t count = json_array_size(list);
    fr_avro_field *fields = fr_arena_alloc(p->arena, (count + 1) * sizeof *fields);
    fr_map *seen = fr_map_new();
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < count && rc == FR_OK; i++) {
        const json_t *f = json_array_get(list, i);
        fields[i].name = property(p, f, "name");
        fields[i].has_default = json_object_get(f, "default") != NULL;
        if (memchr(fields[i].name.ptr, '.', fields[i].name.len) != NULL ||
            !fr_avro_fullname_legal(fields[i].name))
            rc = bad_schema(p->err, "illegal field name", fields[i].name);
        else if (fr_map_set(seen, fields[i].name, n) != NULL)
            rc = bad_schema(p->err, "field is there twice", fields[i].name);
        else
            rc = parse_node(p, json_object_get(f, "type"), space, depth + 1, &fields[i].type);
    }
    fr_map_free(seen, NULL);
    n->fields = fields;
    n->count = count;
    return rc;
}

static fr_rc parse_symbols(parser *p, const json_t *list, fr_avro_node *n)
{
    size_t count = json_array_size(list);
    fr_str *symbols = fr_arena_alloc(p->arena, (count + 1) * sizeof *symbols);
    for (size_t i = 0; i < count; i++) {
        const json_t *s = json_array_get(list, i);
        if (!json_is_string(s))
            return bad_schema(p->err, "enum has a symbol that is no text", n->name);
        symbols[i] = fr_arena_copy(p->arena, json_string_value(s), json_string_length(s));
    }
    n->symbols = symbols;
    n->count = count;
    return count > 0 ? FR_OK : bad_schema(p->err, "enum has no symbols", n->name);
}

static fr_rc parse_named(parser *p, fr_avro_tag tag, const json_t *j, fr_str space, unsigned depth,
                         const fr_avro_node **out)
{
    const char *name = fr_json_str(j, "name", "");
    fr_avro_node *n = new_node(p, tag, j);
    fr_str inner;
    n->name = fr_avro_full_name(p->arena, name, fr_json_str(j, "namespace", NULL), space, &inner);
    if (!fr_avro_fullname_legal(n->name))
        return bad_schema(p->err, "illegal name", n->name);
    if (fr_map_set(p->names, n->name, n) != NULL)
        return bad_schema(p->err, "name is defined twice", n->name);
    *out = n;
    if (tag == FR_AVRO_RECORD)
        return parse_fields(p, json_object_get(j, "fields"), inner, depth, n);
    if (tag == FR_AVRO_ENUM)
        return parse_symbols(p, json_object_get(j, "symbols"), n);
    const json_t *size = json_object_get(j, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX)
        return bad_schema(p->err, "fixed without a size", n->name);
    n->size = (size_t)json_integer_value(size);
    return FR_OK;
}

static fr_rc parse_union(parser *p, const json_t *j, fr_str space, unsigned depth,
                         const fr_avro_node **out)
{
    fr_avro_node *n = new_node(p, FR_AVRO_UNION, j);
    n->count = json_array_size(j);
    n->members = fr_arena_alloc(p->arena, (n->count + 1) * sizeof *n->members);
    unsigned seen = 0;
    for (size_t i = 0; i < n->count; i++) {
        FR_TRY(parse_node(p, json_array_get(j, i), space, depth + 1, &n->members[i]));
        fr_avro_tag tag = n->members[i]->tag;
        bool named = tag >= FR_AVRO_RECORD && tag <= FR_AVRO_FIXED;
        if (tag == FR_AVRO_UNION || (!named && (seen & 1u << tag) != 0))
            return bad_schema(p->err, "union holds a union, or one type twice", FR_STR(""));
        seen |= 1u << tag;
    }
    *out = n;
    return n->count > 0 ? FR_OK : bad_schema(p->err, "union has no branches", FR_STR(""));
}

static fr_rc parse_object(parser *p, const json_t *j, fr_str space, unsigned depth,
                          const fr_avro_node **out)
{
    const json_t *type = json_object_get(j, "type");
    if (!json_is_string(type)) /* {"type":{...}}: as what is inside */
        return parse_node(p, type, space, depth + 1, out);
    int tag = fr_avro_tag_of(json_string_value(type));
    if (tag < 0)
        return parse_use(p, json_string_value(type), space, out);
    if (tag >= FR_AVRO_RECORD && tag <= FR_AVRO_FIXED)
        return parse_named(p, (fr_avro_tag)tag, j, space, depth, out);
    fr_avro_node *n = new_node(p, (fr_avro_tag)tag, j);
    *out = n;
    if (tag < FR_AVRO_RECORD)
        return FR_OK;
    n->count = 1;
    n->members = fr_arena_alloc(p->arena, sizeof *n->members);
    const char *inside = tag == FR_AVRO_ARRAY ? "items" : "values";
    return parse_node(p, json_object_get(j, inside), space, depth + 1, n->members);
}

static fr_rc parse_node(parser *p, const json_t *j, fr_str space, unsigned depth,
                        const fr_avro_node **out)
{
    if (depth > FR_AVRO_MAX_DEPTH)
        return bad_schema(p->err, "nested deeper than 64 levels", FR_STR(""));
    if (json_is_string(j))
        return parse_use(p, json_string_value(j), space, out);
    if (json_is_array(j))
        return parse_union(p, j, space, depth, out);
    if (json_is_object(j))
        return parse_object(p, j, space, depth, out);
    return bad_schema(p->err, "a type is missing", space);
}

fr_rc fr_avro_parse(fr_arena *a, fr_str schema, const fr_avro_node **out, fr_err *err)
{
    json_t *j = fr_avro_json(schema, err);
    if (j == NULL)
        return FR_FAIL;
    parser p = {.arena = a, .names = fr_map_new(), .err = err};
    fr_rc rc = parse_node(&p, j, FR_STR(""), 0, out);
    fr_map_free(p.names, NULL);
    json_decref(j);
    return rc;
}

int fr_avro_find(const fr_avro_node *record, const char *field)
{
    if (record->tag != FR_AVRO_RECORD)
        return -1;
    for (size_t i = 0; i < record->count; i++) {
        if (fr_str_is(record->fields[i].name, field))
            return (int)i;
    }
    return -1;
}
