#include "codec/sample.h"

#include "base/map.h"
#include "codec/sample_value.h"

#include <stdlib.h>
#include <string.h>

/* From this depth on unions are null and lists empty where they can be. */
enum { SHALLOW = 4, MOST_ITEMS = 3, MOST_VALUES = 100000 };

#define FIRST_US INT64_C(1767225600000000) /* 2026-01-01 */
#define STEP_US INT64_C(1000000)

struct fr_sampler {
    fr_arena *arena; /* of the schemas */
    const fr_avro_node *key, *value;
    const fr_avro_node *row, *source; /* of an envelope; else NULL */
    fr_chance chance;
    fr_map *fixed; /* of the event under way: key field -> fr_str *, its value as Avro */
    int64_t number;
    char op;
};

typedef enum { ANY_ROW, KEY_ONLY } row_form;

static void put(fr_sampler *s, fr_buf *b, const fr_avro_node *n, unsigned depth);

static int null_branch(const fr_avro_node *n)
{
    for (size_t i = 0; n->tag == FR_AVRO_UNION && i < n->count; i++)
        if (n->members[i]->tag == FR_AVRO_NULL)
            return (int)i;
    return -1;
}

/* The first branch that is not null; the type itself where it is no union. */
static const fr_avro_node *some_branch(const fr_avro_node *n, size_t *branch)
{
    *branch = 0;
    if (n->tag != FR_AVRO_UNION)
        return n;
    while (*branch + 1 < n->count && n->members[*branch]->tag == FR_AVRO_NULL)
        ++*branch;
    return n->members[*branch];
}

static bool put_null(fr_buf *b, const fr_avro_node *n)
{
    int branch = null_branch(n);
    if (branch >= 0)
        fr_buf_zigzag(b, branch);
    return branch >= 0 || n->tag == FR_AVRO_NULL;
}

/* The branch of a union, then what must follow: returns that. */
static const fr_avro_node *put_some(fr_buf *b, const fr_avro_node *n)
{
    size_t branch;
    const fr_avro_node *some = some_branch(n, &branch);
    if (n->tag == FR_AVRO_UNION)
        fr_buf_zigzag(b, (int64_t)branch);
    return some;
}

static void put_union(fr_sampler *s, fr_buf *b, const fr_avro_node *n, unsigned depth)
{
    int null = null_branch(n);
    bool want = depth >= SHALLOW || fr_chance_below(&s->chance, s->chance.edge ? 3 : 8) == 0;
    if (null >= 0 && want) {
        fr_buf_zigzag(b, null);
        return;
    }
    size_t at = fr_chance_below(&s->chance, n->count);
    if ((int)at == null)
        at = (at + 1) % n->count;
    fr_buf_zigzag(b, (int64_t)at);
    put(s, b, n->members[at], depth + 1);
}

static void put_items(fr_sampler *s, fr_buf *b, const fr_avro_node *n, unsigned depth)
{
    size_t count = depth >= SHALLOW ? 0 : fr_chance_below(&s->chance, MOST_ITEMS + 1);
    if (count > 0)
        fr_buf_zigzag(b, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        if (n->tag == FR_AVRO_MAP) {
            fr_str name = fr_arena_printf(s->chance.arena, "key%zu", i);
            fr_buf_zigzag(b, (int64_t)name.len);
            fr_buf_str(b, name);
        }
        put(s, b, n->members[0], depth + 1);
    }
    fr_buf_zigzag(b, 0);
}

static void put(fr_sampler *s, fr_buf *b, const fr_avro_node *n, unsigned depth)
{
    switch (n->tag) {
    case FR_AVRO_NULL:
        return;
    case FR_AVRO_UNION:
        put_union(s, b, n, depth);
        return;
    case FR_AVRO_ARRAY:
    case FR_AVRO_MAP:
        put_items(s, b, n, depth);
        return;
    case FR_AVRO_RECORD:
        for (size_t i = 0; i < n->count; i++)
            put(s, b, n->fields[i].type, depth + 1);
        return;
    default:
        fr_sample_scalar(&s->chance, b, n, fr_avro_scalar_of(n));
    }
}

/* ---- key and row agree ---- */

static void put_key(fr_sampler *s, fr_buf *b)
{
    for (size_t i = 0; s->key->tag == FR_AVRO_RECORD && i < s->key->count; i++) {
        const fr_avro_field *f = &s->key->fields[i];
        const fr_avro_node *some = put_some(b, f->type);
        size_t before = b->len;
        put(s, b, some, 1);
        fr_str *kept = fr_arena_alloc(s->chance.arena, sizeof *kept);
        *kept = fr_arena_copy(s->chance.arena, b->ptr + before, b->len - before);
        fr_map_set(s->fixed, f->name, kept);
    }
    if (s->key->tag != FR_AVRO_RECORD)
        put(s, b, s->key, 1);
}

static const fr_avro_node *key_type(const fr_sampler *s, fr_str field)
{
    size_t branch;
    for (size_t i = 0; s->key != NULL && s->key->tag == FR_AVRO_RECORD && i < s->key->count; i++)
        if (fr_str_eq(s->key->fields[i].name, field))
            return some_branch(s->key->fields[i].type, &branch);
    return NULL;
}

static void put_row(fr_sampler *s, fr_buf *b, const fr_avro_node *row, row_form form)
{
    for (size_t i = 0; i < row->count; i++) {
        const fr_avro_field *f = &row->fields[i];
        size_t branch;
        const fr_avro_node *key = key_type(s, f->name), *some = some_branch(f->type, &branch);
        const fr_str *kept = fr_map_get(s->fixed, f->name);
        if (kept != NULL && key != NULL && key->tag == some->tag &&
            fr_str_eq(key->name, some->name)) {
            put_some(b, f->type);
            fr_buf_str(b, *kept);
        } else if (form != KEY_ONLY || !put_null(b, f->type)) {
            put(s, b, f->type, 2);
        }
    }
}

/* ---- envelopes ---- */

static int64_t moment(const fr_sampler *s)
{
    return FIRST_US + s->number * STEP_US;
}

/* A number that `source` or the envelope says of the event. False: it is none of these. */
static bool told_number(const fr_sampler *s, fr_str name, int64_t *out)
{
    const struct {
        const char *name;
        int64_t value;
    } told[] = {{"ts_ms", moment(s) / 1000},
                {"ts_us", moment(s)},
                {"ts_ns", moment(s) * 1000},
                {"txId", s->number + 1},
                {"lsn", 1000 + 16 * s->number},
                {"epoch", 1},
                {"ordinal", 0},
                {"pos", 1000 + 16 * s->number},
                {"server_id", 1},
                {"row", 0}};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (fr_str_is(name, told[i].name)) {
            *out = told[i].value;
            return true;
        }
    return false;
}

/* From "freshet.postgres.Source": "postgres". */
static fr_str middle_of(fr_str name)
{
    size_t end = name.len;
    while (end > 0 && name.ptr[end - 1] != '.')
        end--;
    size_t start = end > 0 ? end - 1 : 0;
    while (start > 0 && name.ptr[start - 1] != '.')
        start--;
    return end > start + 1 ? (fr_str){name.ptr + start, end - 1 - start} : FR_STR("sample");
}

static fr_str last_of(fr_str name)
{
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '.')
        at--;
    return (fr_str){name.ptr + at, name.len - at};
}

static fr_str told_text(const fr_sampler *s, fr_str name)
{
    if (fr_str_is(name, "version"))
        return FR_STR(FR_VERSION);
    if (fr_str_is(name, "connector"))
        return middle_of(s->source->name);
    if (fr_str_is(name, "snapshot"))
        return s->op == 'r' ? FR_STR("true") : FR_STR("false");
    if (fr_str_is(name, "schema"))
        return middle_of(s->row->name);
    if (fr_str_is(name, "table"))
        return last_of(s->row->name);
    return FR_STR("sample");
}

static void put_told(fr_sampler *s, fr_buf *b, const fr_avro_field *f)
{
    size_t branch;
    int64_t number;
    const fr_avro_node *some = some_branch(f->type, &branch);
    bool whole = some->tag == FR_AVRO_INT || some->tag == FR_AVRO_LONG;
    if (whole && told_number(s, f->name, &number)) {
        put_some(b, f->type);
        fr_buf_zigzag(b, number);
    } else if (f->type->tag == FR_AVRO_STRING) {
        fr_str text = told_text(s, f->name);
        fr_buf_zigzag(b, (int64_t)text.len);
        fr_buf_str(b, text);
    } else if (f->type->tag == FR_AVRO_ARRAY || f->type->tag == FR_AVRO_MAP) {
        fr_buf_zigzag(b, 0);
    } else if (!put_null(b, f->type)) {
        put(s, b, f->type, SHALLOW);
    }
}

static void put_source(fr_sampler *s, fr_buf *b, const fr_avro_node *type)
{
    put_some(b, type);
    for (size_t i = 0; i < s->source->count; i++)
        put_told(s, b, &s->source->fields[i]);
}

static void put_side(fr_sampler *s, fr_buf *b, const fr_avro_node *type, bool there, row_form form)
{
    if (!there && put_null(b, type))
        return;
    put_row(s, b, put_some(b, type), form);
}

static void put_envelope(fr_sampler *s, fr_buf *b)
{
    bool key_before = s->value->key_before;
    bool before = s->op == 'd' || (s->op == 'u' && !key_before), after = s->op != 'd';
    for (size_t i = 0; i < s->value->count; i++) {
        const fr_avro_field *f = &s->value->fields[i];
        if (fr_str_is(f->name, "before")) {
            put_side(s, b, f->type, before, key_before ? KEY_ONLY : ANY_ROW);
        } else if (fr_str_is(f->name, "after")) {
            put_side(s, b, f->type, after, ANY_ROW);
        } else if (fr_str_is(f->name, "source")) {
            put_source(s, b, f->type);
        } else if (fr_str_is(f->name, "op")) {
            put_some(b, f->type);
            fr_buf_zigzag(b, 1);
            fr_buf_u8(b, (uint8_t)s->op);
        } else {
            put_told(s, b, f);
        }
    }
}

static const fr_avro_node *record_in(const fr_avro_node *value, const char *field)
{
    size_t branch;
    int at = fr_avro_find(value, field);
    const fr_avro_node *n = at < 0 ? NULL : some_branch(value->fields[at].type, &branch);
    return n != NULL && n->tag == FR_AVRO_RECORD ? n : NULL;
}

static void find_envelope(fr_sampler *s)
{
    size_t branch;
    int op = fr_avro_find(s->value, "op");
    const fr_avro_node *before = record_in(s->value, "before"), *row = record_in(s->value, "after");
    const fr_avro_node *source = record_in(s->value, "source");
    if (op < 0 || row == NULL || before != row || source == NULL ||
        some_branch(s->value->fields[op].type, &branch)->tag != FR_AVRO_STRING)
        return;
    s->row = row;
    s->source = source;
}

/* ---- all ---- */

/* What an event must hold at least, whatever is chosen. */
typedef struct walk {
    const fr_avro_node *path[FR_AVRO_MAX_DEPTH];
    size_t visits;
} walk;

static bool ends(walk *w, const fr_avro_node *n, size_t depth)
{
    if (++w->visits > MOST_VALUES || depth >= FR_AVRO_MAX_DEPTH)
        return false;
    if (n->tag == FR_AVRO_UNION) {
        if (null_branch(n) >= 0)
            return true;
        for (size_t i = 0; i < n->count; i++)
            if (!ends(w, n->members[i], depth))
                return false;
        return true;
    }
    if (n->tag != FR_AVRO_RECORD)
        return true;
    for (size_t i = 0; i < depth; i++)
        if (w->path[i] == n)
            return false;
    w->path[depth] = n;
    for (size_t i = 0; i < n->count; i++)
        if (!ends(w, n->fields[i].type, depth + 1))
            return false;
    return true;
}

static fr_rc parse(fr_sampler *s, fr_str schema, const fr_avro_node **out, fr_err *err)
{
    walk w = {.visits = 0};
    FR_TRY(fr_avro_parse(s->arena, schema, out, err));
    if (ends(&w, *out, 0))
        return FR_OK;
    fr_fail(err, FR_ERR_DATA,
            "Avro schema: a record contains itself without end, or more than %d values",
            MOST_VALUES);
    fr_fail_code(err, "avro.schema");
    return fr_fail_hint(err, "let a field be a union with null, or an array");
}

fr_rc fr_sampler_new(fr_str key, fr_str value, const fr_sample_settings *settings, fr_sampler **out,
                     fr_err *err)
{
    fr_sampler *s = fr_malloc(sizeof *s);
    s->arena = fr_arena_new(0);
    s->fixed = fr_map_new();
    s->chance = (fr_chance){.state = settings->seed, .edge = settings->edge};
    fr_rc rc = parse(s, value, &s->value, err);
    if (rc == FR_OK && key.len > 0)
        rc = parse(s, key, &s->key, err);
    if (rc == FR_OK)
        find_envelope(s);
    *out = s;
    if (rc == FR_OK)
        return FR_OK;
    fr_sampler_free(s);
    *out = NULL;
    return FR_FAIL;
}

void fr_sampler_free(fr_sampler *s)
{
    if (s == NULL)
        return;
    fr_map_free(s->fixed, NULL);
    fr_arena_free(s->arena);
    free(s);
}

void fr_sampler_next(fr_sampler *s, fr_arena *a, fr_sample *out)
{
    static const char ops[] = "cccccuuurd";
    fr_buf key = {.arena = a}, value = {.arena = a};
    s->chance.arena = a;
    fr_map_free(s->fixed, NULL);
    s->fixed = fr_map_new();
    s->op = ops[fr_chance_below(&s->chance, sizeof ops - 1)];
    if (s->key != NULL)
        put_key(s, &key);
    if (s->row != NULL)
        put_envelope(s, &value);
    else if (s->value->tag == FR_AVRO_RECORD)
        put_row(s, &value, s->value, ANY_ROW);
    else
        put(s, &value, s->value, 0);
    s->number++;
    out->key = s->key == NULL ? (fr_str){NULL, 0} : fr_buf_view(&key);
    out->value = fr_buf_view(&value);
    if (out->value.ptr == NULL) /* a null, or a record without fields: no bytes */
        out->value = FR_STR("");
}
