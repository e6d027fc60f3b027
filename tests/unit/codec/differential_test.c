/* avro-c as the oracle: random schemas, random rows. What we write it reads as the same values
 * and writes as the same bytes; what it writes we read as the same values.
 * FRESHET_TEST_SEED repeats a run. */
#include "tests/unit/codec/fixture.h"

#include "base/bytes.h"

#include <avro.h>
#include <time.h>

enum { TABLES = 160, ROWS = 16 };

static uint64_t seed;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(2685821657736338717);
}

static unsigned below(unsigned n)
{
    return (unsigned)((next_random() >> 33) % n);
}

/* Numbers of every length, and the edges often. */
static int64_t random_integer(bool narrow)
{
    static const int64_t edges[] = {0, 1, -1, INT32_MAX, INT32_MIN, 63, 64, -64, -65};
    if (below(4) == 0)
        return edges[below(9)];
    if (!narrow && below(6) == 0)
        return below(2) ? INT64_MAX : INT64_MIN;
    int64_t v = (int64_t)next_random() >> below(63);
    return narrow ? (int32_t)v : v;
}

static fr_str random_bytes(fr_arena *a, bool text)
{
    static const char *const pieces[] = {
        "a", "Z", " ", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A", "\\", "\"", "\n", "0"};
    fr_buf b = {.arena = a};
    size_t n = below(8) == 0 ? below(300) : below(12);
    fr_buf_text(&b, "");
    for (size_t i = 0; i < n; i++) {
        if (text)
            fr_buf_text(&b, pieces[below(10)]);
        else
            fr_buf_u8(&b, (uint8_t)next_random());
    }
    return b.len == 0 ? FR_STR("") : fr_buf_view(&b);
}

static fr_str random_decimal(fr_arena *a)
{
    char text[24];
    fr_str out;
    snprintf(text, sizeof text, "%s%u.%02u", below(2) ? "-" : "", below(99999999), below(100));
    assert_ok(fr_decimal_from_text(a, fr_cstr(text), 10, 2, &out, &err));
    return out;
}

static fr_value random_value(fr_arena *a, const fr_column *c)
{
    fr_value v = {.kind = c->kind};
    if (c->nullable && below(3) == 0)
        return NONE;
    switch (c->kind) {
    case FR_BOOL:
        v.boolean = below(2) == 1;
        return v;
    case FR_INT32:
    case FR_DATE:
        v.integer = random_integer(true);
        return v;
    case FR_FLOAT32:
        v.real = (double)((float)random_integer(true) / 7);
        return v;
    case FR_FLOAT64:
        v.real = (double)random_integer(false) / 7;
        return v;
    case FR_DECIMAL:
        v.bytes = random_decimal(a);
        return v;
    case FR_UUID: {
        char *text = fr_arena_alloc(a, 40);
        snprintf(text, 40, "%08x-0000-4000-8000-%012x", below(UINT32_MAX), below(UINT32_MAX));
        v.bytes = (fr_str){text, 36};
        return v;
    }
    case FR_TEXT:
    case FR_JSON:
    case FR_BYTES:
        v.bytes = random_bytes(a, c->kind != FR_BYTES);
        return v;
    default:
        v.integer = random_integer(false);
        return v;
    }
}

static const fr_table *random_table(fixture *f, unsigned number)
{
    fr_column c[16];
    size_t count = 1 + below(15);
    for (size_t i = 0; i < count; i++) {
        fr_kind kind = (fr_kind)(2 + below(FR_KIND_COUNT - 2));
        char *name = fr_arena_alloc(f->a, 32);
        snprintf(name, 32, "%s%zu", below(4) == 0 ? "c-" : "c", i);
        c[i] = column(name, kind, i > 0 && below(2) == 0, i == 0 ? 1 : 0);
    }
    char *name = fr_arena_alloc(f->a, 32);
    snprintf(name, 32, "t%u", number);
    return table_of(name, c, count, true);
}

/* ---- avro-c's side ---- */

static avro_schema_t schema_of(fixture *f, fr_str payload, avro_value_iface_t **class)
{
    const unsigned char *p = (const unsigned char *)payload.ptr;
    fr_str text;
    avro_schema_t schema;
    int32_t id =
        (int32_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]);
    assert_ok(fr_registry_schema(f->registry, id, &text, &err));
    if (avro_schema_from_json_length(text.ptr, text.len, &schema) != 0) {
        print_error("avro-c: %s\n%.*s\n", avro_strerror(), FR_ARG(text));
        fail();
    }
    *class = avro_generic_class_from_schema(schema);
    assert_non_null(*class);
    return schema;
}

static void assert_bytes(const void *got, size_t len, fr_str want)
{
    assert_int_equal(len, want.len);
    assert_memory_equal(got, want.ptr, len);
}

static void assert_avro(const avro_value_t *v, const fr_value *want)
{
    const void *bytes = NULL;
    const char *text = NULL;
    size_t len = 0;
    int32_t i = 0;
    int64_t l = 0;
    float real = 0;
    double big = 0;
    int b = 0;
    switch (avro_value_get_type(v)) {
    case AVRO_BOOLEAN:
        avro_value_get_boolean(v, &b);
        assert_int_equal(b, want->boolean);
        break;
    case AVRO_INT32:
        avro_value_get_int(v, &i);
        assert_true(i == want->integer);
        break;
    case AVRO_INT64:
        avro_value_get_long(v, &l);
        assert_true(l == want->integer);
        break;
    case AVRO_FLOAT:
        avro_value_get_float(v, &real);
        assert_true((double)real == want->real);
        break;
    case AVRO_DOUBLE:
        avro_value_get_double(v, &big);
        assert_true(big == want->real);
        break;
    case AVRO_STRING:
        avro_value_get_string(v, &text, &len);
        assert_bytes(text, len - 1, want->bytes);
        break;
    default:
        assert_int_equal(avro_value_get_type(v), AVRO_BYTES);
        avro_value_get_bytes(v, &bytes, &len);
        assert_bytes(bytes, len, want->bytes);
    }
}

static void assert_avro_row(const avro_value_t *record, const fr_value *want, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        avro_value_t v, inner = {0};
        int branch = 1;
        assert_int_equal(avro_value_get_by_index(record, i, &v, NULL), 0);
        if (avro_value_get_type(&v) == AVRO_UNION) {
            avro_value_get_discriminant(&v, &branch);
            avro_value_get_current_branch(&v, &inner);
            v = inner;
        }
        assert_int_equal(branch, want[i].kind != FR_NULL);
        if (branch == 1)
            assert_avro(&v, &want[i]);
    }
}

static void set_avro(avro_value_t *v, const fr_value *from)
{
    char *text;
    switch (avro_value_get_type(v)) {
    case AVRO_BOOLEAN:
        avro_value_set_boolean(v, from->boolean);
        break;
    case AVRO_INT32:
        avro_value_set_int(v, (int32_t)from->integer);
        break;
    case AVRO_INT64:
        avro_value_set_long(v, from->integer);
        break;
    case AVRO_FLOAT:
        avro_value_set_float(v, (float)from->real);
        break;
    case AVRO_DOUBLE:
        avro_value_set_double(v, from->real);
        break;
    case AVRO_STRING: /* it wants a NUL behind, and counts it */
        text = calloc(1, from->bytes.len + 1);
        memcpy(text, from->bytes.ptr, from->bytes.len);
        avro_value_set_string_len(v, text, from->bytes.len + 1);
        free(text);
        break;
    default:
        avro_value_set_bytes(v, (void *)(uintptr_t)from->bytes.ptr, from->bytes.len);
    }
}

static void set_avro_row(avro_value_t *record, const fr_value *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        avro_value_t v, inner = {0};
        avro_value_get_by_index(record, i, &v, NULL);
        if (avro_value_get_type(&v) == AVRO_UNION) {
            avro_value_set_branch(&v, from[i].kind != FR_NULL, &inner);
            v = inner;
        }
        if (from[i].kind != FR_NULL)
            set_avro(&v, &from[i]);
        else
            avro_value_set_null(&v);
    }
}

static fr_str write_avro(fr_arena *a, avro_value_t *v, fr_str header)
{
    size_t size;
    avro_value_sizeof(v, &size);
    char *bytes = fr_arena_raw(a, size + 5);
    memcpy(bytes, header.ptr, 5);
    avro_writer_t writer = avro_writer_memory(bytes + 5, (int64_t)size);
    assert_int_equal(avro_value_write(writer, v), 0);
    avro_writer_free(writer);
    return (fr_str){bytes, size + 5};
}

/* ---- the comparison ---- */

static void compare_row(fixture *f, const fr_event *event, fr_message *m, avro_value_iface_t *class)
{
    avro_value_t v, row, branch;
    size_t count = event->table->column_count;
    avro_generic_value_new(class, &v);
    avro_reader_t reader = avro_reader_memory(m->payload.ptr + 5, (int64_t)m->payload.len - 5);
    assert_int_equal(avro_value_read(reader, &v), 0);
    avro_reader_free(reader);
    row = v;
    if (f->ts.envelope == FR_ENVELOPE_STANDARD) {
        avro_value_get_by_name(&v, "after", &branch, NULL);
        assert_int_equal(avro_value_get_current_branch(&branch, &row), 0);
    }
    assert_avro_row(&row, event->after.values, count);
    fr_str theirs = write_avro(f->a, &v, m->payload);
    assert_true(fr_str_eq(theirs, m->payload));
    /* The other way: values that only avro-c has written. */
    fr_value other[16];
    for (size_t i = 0; i < count; i++)
        other[i] = random_value(f->b->arena, &event->table->columns[i]);
    set_avro_row(&row, other, count);
    m->payload = write_avro(f->a, &v, m->payload);
    fr_value *values = fr_arena_alloc(f->b->arena, count * sizeof *values);
    memcpy(values, other, count * sizeof *values);
    ((fr_event *)(uintptr_t)event)->after.values = values;
    avro_value_decref(&v);
}

static void compare_table(fixture *f, unsigned number)
{
    const fr_table *t = random_table(f, number);
    fr_value v[16];
    avro_value_iface_t *class;
    fr_batch_reset(f->b);
    fr_batch_reset(f->back);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < t->column_count; i++)
            v[i] = random_value(f->b->arena, &t->columns[i]);
        add_event(f->b, FR_OP_INSERT, t, 1000 + r)->after = row_of(f->b, t, v);
    }
    encode_all(f);
    assert_int_equal(f->b->message_count, ROWS);
    avro_schema_t schema = schema_of(f, f->b->messages[0].payload, &class);
    for (size_t r = 0; r < ROWS; r++)
        compare_row(f, &f->b->events[r], &f->b->messages[r], class);
    decode_all(f);
    assert_int_equal(f->back->count, ROWS + 1);
    for (size_t r = 0; r < ROWS; r++) {
        const fr_row *got = &f->back->events[r + 1].after, *want = &f->b->events[r].after;
        assert_int_equal(fr_row_crc(0, got), fr_row_crc(0, want));
    }
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
    fr_table_unref(t);
}

static void both_agree(void **state)
{
    fixture *f = *state;
    const char *given = getenv("FRESHET_TEST_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("FRESHET_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < TABLES; i++) {
        f->ts.envelope = i % 2 == 0 ? FR_ENVELOPE_STANDARD : FR_ENVELOPE_STATE;
        compare_table(f, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_agree, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
