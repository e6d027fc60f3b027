/* Avro container files (Avro 1.11, Object Container Files), by avro-c: rows wait as Avro's bytes
 * and become blocks at the commit. avro-c keeps no logicalType of a schema that it parses, so the
 * file is made in memory, and its header replaced by one with the whole schema; the blocks and the
 * mark between them are avro-c's. That also shows every error of the disk: avro-c tells none at
 * closing. */
#include "duckdb/duck_sink.h"
#include "file/file_sink.h"
#include "model/name.h"
#include "sql/text.h"
#include <avro.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 << 10, LARGEST_ROW = 16 << 20, SYNC = 16 };
static const char magic[] = {'O', 'b', 'j', 1};

/* ---- the schema ---- */

#define X(name, member, avro, logical) [FR_##name] = {avro, logical},
static const struct {
    const char *avro, *logical;
} kinds[FR_KIND_COUNT] = {FR_KINDS(X)};
#undef X

/* A DECIMAL of no declared precision is a text. */
static bool is_text(const fr_column *c)
{
    return c->kind == FR_DECIMAL && (c->precision < 1 || c->scale < 0 || c->scale > c->precision);
}

static void put_type(fr_buf *b, const fr_column *staged)
{
    if (is_text(staged))
        fr_buf_text(b, "\"string\"");
    else if (staged->kind == FR_DECIMAL)
        fr_buf_printf(b,
                      "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,"
                      "\"scale\":%d}",
                      staged->precision, staged->scale);
    else if (kinds[staged->kind].logical[0] != '\0')
        fr_buf_printf(b, "{\"type\":\"%s\",\"logicalType\":\"%s\"}", kinds[staged->kind].avro,
                      kinds[staged->kind].logical);
    else
        fr_buf_printf(b, "\"%s\"", kinds[staged->kind].avro);
}

static void put_field(fr_buf *b, const fr_column *c)
{
    fr_str name = fr_avro_name(b->arena, c->name);
    fr_buf_printf(b, "{\"name\":\"%.*s\"", FR_ARG(name));
    if (!fr_str_eq(name, c->name)) {
        fr_buf_text(b, ",\"freshet.column\":");
        fr_buf_json(b, c->name);
    }
    fr_buf_text(b, ",\"type\":[\"null\",");
    put_type(b, c);
    fr_buf_text(b, "],\"default\":null},");
}

/* The file has what the manifest says of it: where that is wider, the message's values become so.
 */
static void widen(fr_column *staged, fr_str type)
{
    if (fr_str_is(type, "BIGINT"))
        staged->kind = FR_INT64;
    else if (fr_str_is(type, "DOUBLE"))
        staged->kind = FR_FLOAT64;
}

static fr_rc container_lay(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    fr_buf b = {.arena = v->arena};
    (void)s, (void)err;
    fr_buf_printf(&b, "{\"type\":\"record\",\"name\":\"%.*s\"",
                  FR_ARG(fr_avro_name(v->arena, v->name)));
    if (v->space.len > 0)
        fr_buf_printf(&b, ",\"namespace\":\"%.*s\"", FR_ARG(fr_avro_name(v->arena, v->space)));
    fr_buf_text(&b, ",\"fields\":[");
    for (size_t i = 0; i < v->shape.column_count; i++) {
        widen(&v->staged[i], v->shape.columns[i].type);
        put_field(&b, &v->staged[i]);
    }
    fr_buf_text(&b, "{\"name\":\"_freshet_op\",\"type\":\"string\"},"
                    "{\"name\":\"" FR_TARGET_POSITION "\",\"type\":\"bytes\"},"
                    "{\"name\":\"_freshet_at\",\"type\":[\"null\",{\"type\":\"long\","
                    "\"logicalType\":\"timestamp-micros\"}],\"default\":null},"
                    "{\"name\":\"_freshet_topic\",\"type\":\"string\"},"
                    "{\"name\":\"_freshet_partition\",\"type\":\"int\"},"
                    "{\"name\":\"_freshet_offset\",\"type\":\"long\"},"
                    "{\"name\":\"_freshet_absent\",\"type\":[\"null\",\"string\"],"
                    "\"default\":null}]}");
    v->schema = fr_buf_view(&b);
    return FR_OK;
}

/* As for Parquet, but decimals of any width. */
static fr_str container_type(fr_arena *a, const fr_column *c)
{
    fr_column staged = fr_file_staged(c);
    if (c->kind == FR_DECIMAL && !is_text(c))
        return fr_arena_printf(a, "DECIMAL(%d,%d)", c->precision, c->scale);
    return fr_duck_sink_type(a, &staged);
}

/* Avro's own promotions, those that lose nothing: a reader takes files of the one for the other.
 * Decimals are not among them: readers resolve none of other digits. */
static bool promotes(fr_str from, fr_str to)
{
    static const char *const pairs[][2] = {
        {"INTEGER", "BIGINT"}, {"INTEGER", "DOUBLE"}, {"FLOAT", "DOUBLE"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (fr_str_is(from, pairs[i][0]) && fr_str_is(to, pairs[i][1]))
            return true;
    return false;
}

static fr_str container_both(fr_arena *a, const fr_column *staged, fr_str type, fr_str held)
{
    (void)a, (void)staged;
    return promotes(type, held) ? held : promotes(held, type) ? type : FR_STR("");
}

/* ---- rows ---- */

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

static void put_bytes(fr_buf *b, fr_str bytes)
{
    fr_buf_zigzag(b, (int64_t)bytes.len);
    fr_buf_str(b, bytes);
}

static void put_little(fr_buf *b, uint64_t bits, int size)
{
    for (int i = 0; i < size; i++)
        fr_buf_u8(b, (uint8_t)(bits >> 8 * i));
}

static void put_real(fr_buf *b, const fr_value *v, bool single)
{
    float f = single ? (float)v->real : 0;
    uint32_t small;
    uint64_t large;
    memcpy(&small, &f, sizeof(small));
    memcpy(&large, &v->real, sizeof(large));
    put_little(b, single ? small : large, single ? 4 : 8);
}

static fr_rc put_decimal(fr_file_sink *s, fr_buf *b, const fr_column *c, fr_str unscaled,
                         fr_err *err)
{
    if (is_text(c)) {
        put_bytes(b, fr_decimal_to_text(s->arena, unscaled, c->scale));
        return FR_OK;
    }
    fr_str text = fr_decimal_to_text(s->arena, unscaled, 0);
    size_t digits = text.len - (text.len > 0 && text.ptr[0] == '-');
    if (digits > (size_t)c->precision && !fr_str_is(text, "0"))
        return no_such_value(err, c, "the number has more digits than the column's precision");
    put_bytes(b, unscaled.len > 0 ? unscaled : (fr_str){"", 1});
    return FR_OK;
}

/* staged: the column as the file has it. int and long are alike. */
static fr_rc put_value(fr_file_sink *s, fr_buf *b, const fr_column *c, const fr_column *staged,
                       const fr_value *v, fr_err *err)
{
    if (v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    FR_TRY(fr_file_check(c, v, err));
    if (c->kind == FR_INT32 && staged->kind == FR_FLOAT64) {
        const fr_value real = {.kind = FR_FLOAT64, .real = (double)v->integer};
        put_real(b, &real, false);
        return FR_OK;
    }
    switch (c->kind) {
    case FR_BOOL:
        fr_buf_u8(b, v->boolean);
        return FR_OK;
    case FR_FLOAT32:
    case FR_FLOAT64:
        put_real(b, v, staged->kind == FR_FLOAT32);
        return FR_OK;
    case FR_DECIMAL:
        return put_decimal(s, b, c, v->bytes, err);
    case FR_TEXT:
    case FR_JSON:
        if (!fr_utf8_valid(v->bytes))
            return no_such_value(err, c, "the text is no UTF-8");
        put_bytes(b, v->bytes);
        return FR_OK;
    case FR_BYTES:
    case FR_UUID:
        put_bytes(b, v->bytes);
        return FR_OK;
    case FR_DATE:
        if (v->integer > INT32_MAX || v->integer < INT32_MIN)
            return no_such_value(err, c, "Avro has no such date");
        fr_buf_zigzag(b, v->integer);
        return FR_OK;
    default:
        fr_buf_zigzag(b, v->integer);
        return FR_OK;
    }
}

static fr_rc put_row(fr_file_sink *s, const fr_file_version *v, fr_buf *b, const fr_row *row,
                     fr_err *err)
{
    for (size_t i = 0; i < v->shape.column_count; i++) {
        const fr_value *value = row->count > 0 ? &row->values[v->columns[i]] : NULL;
        bool there = value != NULL && value->kind != FR_NULL && value->kind != FR_ABSENT;
        const fr_column *c = &v->table->columns[v->columns[i]];
        fr_buf_zigzag(b, there);
        if (there && put_value(s, b, c, &v->staged[i], value, err) == FR_FAIL)
            return fr_fail_in(err, "%.*s", FR_ARG(v->shown));
    }
    return FR_OK;
}

static void put_own(fr_file_sink *s, const fr_file_version *v, fr_buf *b, const fr_event *e,
                    const fr_row *row, char op)
{
    uint8_t position[FR_TARGET_POSITION_SIZE];
    fr_str absent = fr_file_absent(s, v, row);
    int64_t us = fr_file_time(e);
    fr_target_position(position, e);
    put_bytes(b, (fr_str){&op, 1});
    put_bytes(b, (fr_str){(const char *)position, sizeof(position)});
    fr_buf_zigzag(b, us > 0);
    if (us > 0)
        fr_buf_zigzag(b, us);
    put_bytes(b, e->topic);
    fr_buf_zigzag(b, e->partition);
    fr_buf_zigzag(b, e->offset);
    fr_buf_zigzag(b, absent.len > 0);
    if (absent.len > 0)
        put_bytes(b, absent);
}

static fr_rc container_row(fr_file_sink *s, fr_file_version *v, fr_file_day *day, const fr_event *e,
                           const fr_row *row, char op, fr_err *err)
{
    fr_buf *b = &day->bytes;
    size_t from = b->len;
    fr_buf_u32be(b, 0);
    FR_TRY(put_row(s, v, b, row, err));
    put_own(s, v, b, e, row, op);
    size_t n = b->len - from - 4;
    if (n > UINT32_MAX)
        return fr_target_bad_row(err, v->shown, FR_STR(""), "a row of more than 4 GiB");
    for (int i = 0; i < 4; i++)
        b->ptr[from + (size_t)i] = (uint8_t)(n >> (24 - 8 * i));
    day->longest = n > day->longest ? n : day->longest;
    return FR_OK;
}

/* ---- files ---- */

static fr_rc avro_failed(fr_err *err, const char *doing)
{
    fr_fail(err, FR_ERR_BUG, "avro-c: %s: %s", doing, avro_strerror());
    return FR_FAIL;
}

typedef struct making { /* a file, in memory */
    char *text;         /* free() */
    size_t len;
    FILE *stream;
    avro_schema_t schema;
    avro_file_writer_t writer;
} making;

/* avro-c has 64 KiB for the schema of a header, which a wide table's does not fit into: it gets a
 * small one, and no row is measured by it. */
static fr_rc begin(making *m, size_t block, fr_err *err)
{
    *m = (making){.schema = avro_schema_bytes()};
    m->stream = open_memstream(&m->text, &m->len);
    if (m->stream == NULL ||
        avro_file_writer_create_with_codec_fp(m->stream, "memory", 0, m->schema, &m->writer,
                                              "deflate", block) != 0) {
        m->writer = NULL;
        return avro_failed(err, "begin a file");
    }
    return FR_OK;
}

/* Where the blocks begin, and the mark between them, right before. False: it is no such file. */
static bool header_of(fr_str text, fr_str *schema, size_t *blocks)
{
    fr_in in = fr_in_of(text);
    fr_str start = fr_in_take(&in, sizeof(magic));
    *schema = FR_STR("");
    if (in.bad || memcmp(start.ptr, magic, sizeof(magic)) != 0)
        return false;
    for (int64_t count; (count = fr_in_zigzag(&in)) != 0 && !in.bad;) {
        if (count < 0) {
            count = count < -1000 ? 1000 : -count;
            fr_in_zigzag(&in);
        }
        for (; count > 0 && !in.bad; count--) {
            fr_str name = fr_in_take(&in, (size_t)fr_in_zigzag(&in));
            fr_str value = fr_in_take(&in, (size_t)fr_in_zigzag(&in));
            if (fr_str_is(name, "avro.schema"))
                *schema = value;
        }
    }
    fr_in_take(&in, SYNC);
    *blocks = text.len - fr_in_left(&in);
    return !in.bad && schema->len > 0;
}

static void put_header(fr_buf *b, fr_str schema)
{
    fr_buf_put(b, magic, sizeof(magic));
    fr_buf_zigzag(b, 2);
    put_bytes(b, FR_STR("avro.schema"));
    put_bytes(b, schema);
    put_bytes(b, FR_STR("avro.codec"));
    put_bytes(b, FR_STR("deflate"));
    fr_buf_zigzag(b, 0);
}

/* What avro-c made, under a header with the schema as it is. */
static fr_rc put_file(fr_file_sink *s, const making *m, fr_str schema, fr_str below, fr_err *err)
{
    fr_buf b = {.arena = NULL};
    fr_str made = {m->text, m->len}, ignored;
    size_t blocks;
    if (!header_of(made, &ignored, &blocks))
        return fr_fail(err, FR_ERR_BUG, "avro-c: a file without its header");
    put_header(&b, schema);
    fr_buf_put(&b, made.ptr + blocks - SYNC, made.len - blocks + SYNC);
    fr_rc rc = fr_file_folder_put(&s->folder, below, fr_buf_view(&b), err);
    fr_buf_free(&b);
    return rc;
}

static fr_rc end(fr_file_sink *s, making *m, fr_str schema, fr_str below, fr_rc rc, fr_err *err)
{
    if (m->writer != NULL && avro_file_writer_close(m->writer) != 0 && rc == FR_OK)
        rc = avro_failed(err, "end a file");
    if (m->stream != NULL && fclose(m->stream) != 0 && rc == FR_OK)
        rc = avro_failed(err, "end a file");
    if (rc == FR_OK)
        rc = put_file(s, m, schema, below, err);
    if (m->schema != NULL)
        avro_schema_decref(m->schema);
    free(m->text);
    return rc;
}

static fr_rc add_rows(making *m, const fr_file_day *day, fr_err *err)
{
    fr_in in = fr_in_of(fr_buf_view(&day->bytes));
    while (fr_in_left(&in) > 0) {
        uint32_t n = fr_in_u32be(&in);
        fr_str row = fr_in_take(&in, n);
        if (avro_file_writer_append_encoded(m->writer, row.ptr, (int64_t)row.len) != 0)
            return avro_failed(err, "a row");
    }
    return FR_OK;
}

static fr_rc container_write(fr_file_sink *s, const fr_file_version *v, const fr_file_day *day,
                             fr_str below, fr_err *err)
{
    making m;
    fr_rc rc = begin(&m, day->longest + BLOCK, err);
    if (rc == FR_OK)
        rc = add_rows(&m, day, err);
    return end(s, &m, v->schema, below, rc, err);
}

/* ---- joining ---- */

static fr_rc damaged(fr_err *err, const char *path, const char *why)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: the file is damaged: %s", path, why);
    fr_fail_code(err, "sink.corrupt");
    return fr_fail_hint(err, "restore it from a backup; compact.files: 0 goes on without it");
}

/* The schema as it stands in the file; avro-c would not give all of it. */
static fr_rc schema_in(fr_file_sink *s, const char *path, fr_str *out, fr_err *err)
{
    enum { HEAD = 4 << 20 };
    char *head = fr_arena_raw(s->arena, HEAD);
    size_t blocks;
    FILE *f = fopen(path, "rbe");
    size_t n = f != NULL ? fread(head, 1, HEAD, f) : 0;
    if (f != NULL)
        fclose(f);
    return header_of((fr_str){head, n}, out, &blocks) ? FR_OK : damaged(err, path, "no header");
}

static fr_rc add_file(making *m, avro_value_t *value, const char *path, int64_t rows, size_t *since,
                      fr_err *err)
{
    avro_file_reader_t reader = NULL;
    fr_rc rc = FR_OK;
    if (avro_file_reader(path, &reader) != 0)
        return damaged(err, path, avro_strerror());
    for (int64_t i = 0; i < rows && rc == FR_OK; i++) {
        size_t size = 0;
        avro_value_reset(value);
        if (avro_file_reader_read_value(reader, value) != 0)
            rc = damaged(err, path, "rows are missing");
        else if (avro_value_sizeof(value, &size) != 0 ||
                 avro_file_writer_append_value(m->writer, value) != 0)
            rc = avro_failed(err, "a row");
        *since += size;
        if (rc == FR_OK && *since >= BLOCK) {
            if (avro_file_writer_sync(m->writer) != 0)
                rc = avro_failed(err, "end a block");
            *since = 0;
        }
    }
    avro_file_reader_close(reader);
    return rc;
}

/* A value for rows of this schema. */
static fr_rc value_of(fr_str json, avro_value_t *out, fr_err *err)
{
    avro_schema_t schema;
    if (avro_schema_from_json_length(json.ptr, json.len, &schema) != 0)
        return avro_failed(err, "the schema");
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    int failed = class == NULL ? -1 : avro_generic_value_new(class, out);
    if (class != NULL)
        avro_value_iface_decref(class);
    avro_schema_decref(schema);
    return failed == 0 ? FR_OK : avro_failed(err, "the schema");
}

static fr_rc add_files(fr_file_sink *s, making *m, fr_str schema, fr_file_entry *const *files,
                       size_t count, int64_t *rows_out, fr_err *err)
{
    avro_value_t value;
    size_t since = 0;
    fr_rc rc = FR_OK;
    FR_TRY(value_of(schema, &value, err));
    *rows_out = 0;
    for (size_t i = 0; i < count && rc == FR_OK; i++) {
        fr_str path =
            fr_arena_printf(s->arena, "%s/%.*s%c", s->folder.path, FR_ARG(files[i]->path), '\0');
        rc = add_file(m, &value, path.ptr, files[i]->rows, &since, err);
        *rows_out += files[i]->rows;
    }
    avro_value_decref(&value);
    return rc;
}

static fr_rc container_join(fr_file_sink *s, fr_file_entry *const *files, size_t count,
                            fr_str below, int64_t *rows_out, fr_err *err)
{
    making m;
    fr_str schema;
    int64_t most = s->settings->max_row_bytes;
    fr_str first =
        fr_arena_printf(s->arena, "%s/%.*s%c", s->folder.path, FR_ARG(files[0]->path), '\0');
    FR_TRY(schema_in(s, first.ptr, &schema, err));
    fr_rc rc = begin(&m, (size_t)(most > LARGEST_ROW ? most : LARGEST_ROW) + 2 * BLOCK, err);
    if (rc == FR_OK)
        rc = add_files(s, &m, schema, files, count, rows_out, err);
    return end(s, &m, schema, below, rc, err);
}

/* ---- nothing to open ---- */

static fr_rc container_open(fr_file_sink *s, fr_err *err)
{
    (void)s, (void)err;
    return FR_OK;
}

static void container_close(fr_file_sink *s)
{
    (void)s;
}

static fr_rc container_flush(fr_file_sink *s, fr_file_version *v, fr_err *err)
{
    (void)s, (void)v, (void)err;
    return FR_OK;
}

static void container_drop(fr_file_sink *s, fr_file_version *v)
{
    (void)s, (void)v;
}

const fr_file_format fr_file_avro = {.end = ".avro",
                                     .open = container_open,
                                     .close = container_close,
                                     .lay = container_lay,
                                     .row = container_row,
                                     .flush = container_flush,
                                     .drop = container_drop,
                                     .write = container_write,
                                     .join = container_join,
                                     .type = container_type,
                                     .both = container_both};
