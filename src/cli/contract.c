#include "cli/contract.h"
#include "codec/avro_parse.h"
#include "model/name.h"
#include <string.h>

/* Patterns are read alike by PostgreSQL, PCRE (MariaDB) and ICU (MySQL); no backslashes. */
#define DATE                                                                                       \
    "(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"                         \
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"                          \
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define TIME "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
#define ZONE "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
#define UUID "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
#define PARTS(digits) "(?:[.][0-9]{1," digits "})?"

enum { MOST_DIGITS = 200 }; /* PostgreSQL's patterns count to 255 */

typedef struct logical {
    const char *name;
    fr_avro_tag of;
    const char *must, *pattern;
} logical;

static const logical logicals[] = {
    {"date", FR_AVRO_INT, "be a date (YYYY-MM-DD)", DATE},
    {"time-millis", FR_AVRO_INT, "be a time of day (hh:mm:ss.sss)", TIME PARTS("3")},
    {"time-micros", FR_AVRO_LONG, "be a time of day (hh:mm:ss.ssssss)", TIME PARTS("6")},
    {"timestamp-millis", FR_AVRO_LONG, "be a time with zone (YYYY-MM-DDThh:mm:ss.sssZ)",
     DATE "T" TIME PARTS("3") ZONE},
    {"timestamp-micros", FR_AVRO_LONG, "be a time with zone (YYYY-MM-DDThh:mm:ss.ssssssZ)",
     DATE "T" TIME PARTS("6") ZONE},
    {"timestamp-nanos", FR_AVRO_LONG, "be a time with zone (YYYY-MM-DDThh:mm:ss.sssssssssZ)",
     DATE "T" TIME PARTS("9") ZONE},
    {"local-timestamp-millis", FR_AVRO_LONG, "be a time without zone (YYYY-MM-DDThh:mm:ss.sss)",
     DATE "T" TIME PARTS("3")},
    {"local-timestamp-micros", FR_AVRO_LONG, "be a time without zone (YYYY-MM-DDThh:mm:ss.ssssss)",
     DATE "T" TIME PARTS("6")},
    {"local-timestamp-nanos", FR_AVRO_LONG,
     "be a time without zone (YYYY-MM-DDThh:mm:ss.sssssssss)", DATE "T" TIME PARTS("9")},
    {"uuid", FR_AVRO_STRING, "be a UUID", UUID},
};

static const struct plain {
    fr_avro_tag of;
    fr_contract_kind kind;
    const char *must, *least, *most;
} plains[] = {
    {FR_AVRO_NULL, FR_CONTRACT_NULL, "be null", NULL, NULL},
    {FR_AVRO_BOOLEAN, FR_CONTRACT_BOOLEAN, "be true or false", NULL, NULL},
    {FR_AVRO_INT, FR_CONTRACT_WHOLE, "be a whole number of 32 bits", "-2147483648", "2147483647"},
    {FR_AVRO_LONG, FR_CONTRACT_WHOLE, "be a whole number of 64 bits", "-9223372036854775808",
     "9223372036854775807"},
    {FR_AVRO_FLOAT, FR_CONTRACT_REAL, "be a number of single precision", NULL, "3.4028234e38"},
    {FR_AVRO_DOUBLE, FR_CONTRACT_REAL, "be a number", NULL, "1.797e308"},
    {FR_AVRO_STRING, FR_CONTRACT_TEXT, "be a string", NULL, NULL},
    {FR_AVRO_RECORD, FR_CONTRACT_RECORD, "be an object", NULL, NULL},
    {FR_AVRO_ARRAY, FR_CONTRACT_ARRAY, "be an array", NULL, NULL},
    {FR_AVRO_MAP, FR_CONTRACT_MAP, "be an object", NULL, NULL},
};

typedef struct place {
    const struct place *above;
    const fr_avro_node *node;
    fr_str name; /* of a field; empty: an item, a value or a branch */
    unsigned depth;
} place;

typedef struct builder {
    fr_arena *a;
    const char *file;
    size_t nodes;
    fr_err *err;
} builder;

static void put_place(fr_buf *b, const place *p)
{
    if (p == NULL)
        return;
    put_place(b, p->above);
    if (p->name.len > 0)
        fr_buf_printf(b, "%s%.*s", b->len > 0 ? "." : "", FR_ARG(p->name));
}

static fr_rc refuse(const builder *w, const place *p, const char *what, const char *hint)
{
    fr_buf b = {.arena = w->a};
    put_place(&b, p);
    fr_fail(w->err, FR_ERR_CONFIG, "%s: %s%.*s%s", w->file, b.len > 0 ? "field " : "",
            FR_ARG(fr_buf_view(&b)), what + (b.len > 0 ? 0 : 2));
    fr_fail_code(w->err, "config.contract");
    return fr_fail_hint(w->err, "%s", hint);
}

static fr_rc build(builder *w, const place *p, const fr_contract_node **out);

static fr_rc below(builder *w, const place *p, fr_str name, const fr_avro_node *type,
                   fr_contract_member *m)
{
    const place at = {.above = p,
                      .node = type,
                      .name = name,
                      .depth = p->depth + (p->node->tag != FR_AVRO_UNION)};
    m->name = name;
    return build(w, &at, &m->node);
}

static fr_contract_node *text_node(builder *w, const char *must, fr_str pattern)
{
    fr_contract_node *n = fr_arena_alloc(w->a, sizeof *n);
    *n = (fr_contract_node){.kind = FR_CONTRACT_TEXT, .must = fr_cstr(must), .pattern = pattern};
    return n;
}

static fr_rc decimal(builder *w, const place *p, const fr_contract_node **out)
{
    const fr_avro_node *t = p->node;
    int before = (int)(t->precision - t->scale), scale = (int)t->scale;
    fr_buf b = {.arena = w->a};
    if (t->precision > MOST_DIGITS)
        return refuse(w, p, ": a decimal of more than 200 digits",
                      "what the database cannot check is refused: make it a string");
    fr_buf_text(&b, before > 0 ? "-?(?:0|[1-9]" : "-?(?:0");
    if (before > 1)
        fr_buf_printf(&b, "[0-9]{0,%d}", before - 1);
    fr_buf_u8(&b, ')');
    if (scale > 0)
        fr_buf_printf(&b, "(?:[.][0-9]{1,%d})?", scale);
    fr_contract_node *n = text_node(w, "", fr_buf_view(&b));
    n->must = fr_arena_printf(w->a, "be a string with a decimal of at most %d + %d digits", before,
                              scale);
    *out = n;
    return FR_OK;
}

/* A logical type that does not fit what it is on is none: so says the specification. */
static bool is_decimal(const fr_avro_node *t)
{
    return fr_str_is(t->logical, "decimal") && t->precision > 0 && t->scale >= 0 &&
           t->scale <= t->precision;
}

static fr_rc build_enum(builder *w, const place *p, const fr_contract_node **out)
{
    fr_buf b = {.arena = w->a};
    for (size_t i = 0; i < p->node->count; i++) {
        fr_str symbol = p->node->symbols[i];
        if (!fr_avro_fullname_legal(symbol) || memchr(symbol.ptr, '.', symbol.len) != NULL)
            return refuse(w, p, ": an enum has a symbol that is no Avro name",
                          "symbols are letters, digits and _");
        fr_buf_printf(&b, "%s%.*s", i > 0 ? "|" : "", FR_ARG(symbol));
    }
    *out = text_node(w, "be a symbol of its enum", fr_buf_view(&b));
    return FR_OK;
}

static fr_rc build_union(builder *w, const place *p, const fr_contract_node **out)
{
    const fr_avro_node *t = p->node;
    fr_contract_node *n = fr_arena_alloc(w->a, sizeof *n);
    fr_contract_member *members = fr_arena_alloc(w->a, t->count * sizeof *members);
    *n = (fr_contract_node){.kind = FR_CONTRACT_ANY,
                            .must = FR_STR("be of one of the types of its union"),
                            .members = members};
    for (size_t i = 0; i < t->count; i++) {
        if (t->members[i]->tag == FR_AVRO_NULL)
            n->nullable = true;
        else
            FR_TRY(below(w, p, FR_STR(""), t->members[i], &members[n->count++]));
    }
    *out = n;
    if (n->count == 0) {
        n->kind = FR_CONTRACT_NULL;
        n->must = FR_STR("be null");
    } else if (n->count == 1) {
        fr_contract_node *only = fr_arena_alloc(w->a, sizeof *only);
        *only = *members[0].node;
        only->nullable = n->nullable;
        *out = only;
    }
    return FR_OK;
}

static fr_rc build_plain(builder *w, const place *p, const fr_contract_node **out)
{
    const fr_avro_node *t = p->node;
    fr_contract_node *n = fr_arena_alloc(w->a, sizeof *n);
    size_t i = 0;
    while (plains[i].of != t->tag)
        i++;
    size_t count = t->tag >= FR_AVRO_RECORD ? t->count : 0;
    fr_contract_member *members = fr_arena_alloc(w->a, (count + 1) * sizeof *members);
    *n = (fr_contract_node){.kind = plains[i].kind,
                            .must = fr_cstr(plains[i].must),
                            .least = plains[i].least,
                            .most = plains[i].most,
                            .count = count,
                            .members = members};
    for (size_t j = 0; j < count; j++) {
        bool record = t->tag == FR_AVRO_RECORD;
        const fr_avro_field *f = record ? &t->fields[j] : NULL;
        FR_TRY(below(w, p, record ? f->name : FR_STR(""), record ? f->type : t->members[0],
                     &members[j]));
        members[j].required = record && !f->has_default && !members[j].node->nullable &&
                              members[j].node->kind != FR_CONTRACT_NULL;
    }
    *out = n;
    return FR_OK;
}

static fr_rc build(builder *w, const place *p, const fr_contract_node **out)
{
    const fr_avro_node *t = p->node;
    for (const place *q = p->above; q != NULL; q = q->above)
        if (q->node == t)
            return refuse(w, p, ": the type contains itself", "a contract must have an end");
    if (p->depth >= FR_CONTRACT_MAX_DEPTH)
        return refuse(w, p, ": nested deeper than 30 levels", "databases read no deeper JSON");
    if (++w->nodes > FR_CONTRACT_MAX_NODES)
        return refuse(w, p, ": a contract of more than 1000 types", "make it smaller");
    for (size_t i = 0; i < sizeof logicals / sizeof *logicals; i++)
        if (t->tag == logicals[i].of && fr_str_is(t->logical, logicals[i].name)) {
            *out = text_node(w, logicals[i].must, fr_cstr(logicals[i].pattern));
            return FR_OK;
        }
    if (t->tag == FR_AVRO_FIXED && t->size == 16 && fr_str_is(t->logical, "uuid")) {
        *out = text_node(w, "be a UUID", FR_STR(UUID));
        return FR_OK;
    }
    if (t->tag == FR_AVRO_BYTES || t->tag == FR_AVRO_FIXED) {
        if (is_decimal(t))
            return decimal(w, p, out);
        return refuse(w, p, ": bytes have no one way to be written as JSON",
                      "make it a string, and say how its bytes are written (base64)");
    }
    if (t->tag == FR_AVRO_ENUM)
        return build_enum(w, p, out);
    return t->tag == FR_AVRO_UNION ? build_union(w, p, out) : build_plain(w, p, out);
}

fr_rc fr_contract_of(fr_arena *a, const char *name, fr_str schema, const fr_contract_node **out,
                     fr_err *err)
{
    builder w = {.a = a, .file = name, .err = err};
    place root = {.above = NULL};
    fr_err bad;
    if (fr_avro_parse(a, schema, &root.node, &bad) == FR_FAIL) {
        fr_fail(err, FR_ERR_CONFIG, "%s: %s", name, bad.text);
        fr_fail_code(err, "config.contract");
        return fr_fail_hint(err, "a contract is an Avro schema (.avsc)");
    }
    if (root.node->tag != FR_AVRO_RECORD)
        return refuse(&w, &root, ": a contract is the schema of a record", "wrap it in a record");
    return build(&w, &root, out);
}

fr_rc fr_contract_read(fr_arena *a, const char *file, const fr_contract_node **out, fr_err *err)
{
    FILE *in = fopen(file, "re");
    char *text = fr_arena_raw(a, FR_AVRO_MAX_SCHEMA + 1);
    size_t len = in != NULL ? fread(text, 1, FR_AVRO_MAX_SCHEMA + 1, in) : 0;
    bool good = in != NULL && ferror(in) == 0;
    if (!good)
        fr_fail(err, FR_ERR_CONFIG, "cannot read the contract %s: %m", file);
    if (in != NULL)
        fclose(in);
    if (!good) {
        fr_fail_code(err, "config.contract");
        return fr_fail_hint(err, "--contract names a file with an Avro schema");
    }
    return fr_contract_of(a, file, (fr_str){text, len}, out, err);
}
