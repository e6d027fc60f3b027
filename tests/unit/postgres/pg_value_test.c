/* Values captured from a real server (tests/wire/capture_values.py) in both wire forms: they
 * decode to what the server's own arithmetic says, and to the same bytes from both. */
#include "base/json.h"
#include "connectors/postgres/pg_value.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIELDS_MAX = 16 };

typedef struct line { /* one captured value */
    uint32_t oid;
    int32_t typmod;
    const char *native, *kind;
    fr_str text, binary;
    fr_str want;
} line;

static fr_pg_catalog *catalog;
static fr_arena *arena;

static fr_str unescape(const char *s)
{
    fr_buf b = {.arena = arena};
    for (; *s != '\0'; s++) {
        char c = *s;
        if (c == '\\') {
            c = *++s;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
        }
        fr_buf_u8(&b, (uint8_t)c);
    }
    return fr_buf_view(&b);
}

static fr_str unhex(const char *s)
{
    fr_buf b = {.arena = arena};
    unsigned byte;
    for (; sscanf(s, "%2x", &byte) == 1; s += 2)
        fr_buf_u8(&b, (uint8_t)byte);
    return fr_buf_view(&b);
}

static size_t split(char *s, char **fields)
{
    size_t n = 0;
    s[strcspn(s, "\n")] = '\0';
    for (char *at = s; at != NULL && n < FIELDS_MAX; n++) {
        fields[n] = at;
        at = strchr(at, '\t');
        if (at != NULL)
            *at++ = '\0';
    }
    return n;
}

/* Calls check for each value; returns how many there were. */
static size_t each_line(bool types, void (*check)(const line *))
{
    char path[512], text[8192], *f[FIELDS_MAX];
    size_t count = 0;
    if (getenv("PGVALUES") != NULL) /* tests/real/pg_values_test.sh: captured just now */
        snprintf(path, sizeof(path), "%s", getenv("PGVALUES"));
    else
        snprintf(path, sizeof(path), "%s/tests/wire/pgvalues/pg15.tsv", FR_SOURCE_DIR);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof(text), file) != NULL) {
        fr_err err;
        if (text[0] == '#')
            continue;
        size_t n = split(text, f);
        if (strcmp(f[0], "type") == 0) {
            assert_int_equal(n, 1 + FR_PG_TYPES_COLUMNS);
            if (types)
                assert_int_equal(fr_pg_catalog_add_row(catalog, (const char *const *)f + 1, &err),
                                 FR_OK);
            continue;
        }
        assert_int_equal(n, 7);
        if (types)
            continue;
        fr_arena_reset(arena);
        line l = {.oid = (uint32_t)strtoul(f[0], NULL, 10),
                  .typmod = (int32_t)strtol(f[1], NULL, 10),
                  .native = f[2],
                  .kind = f[3],
                  .text = unescape(f[4]),
                  .binary = unhex(f[5]),
                  .want = unescape(f[6])};
        check(&l);
        count++;
    }
    fclose(file);
    return count;
}

static fr_pg_codec codec_of(const line *l, bool as_text)
{
    fr_pg_codec c;
    fr_err err;
    fr_str native;
    if (fr_pg_resolve(catalog, l->oid, l->typmod, as_text, arena, &c, &native, &err) != FR_OK)
        fail_msg("%s: %s", l->native, err.text);
    /* The script's own schema is on its search path, but not on what we assume. */
    const char *spelled = fr_arena_cstr(arena, native);
    if (strncmp(spelled, "capture_values.", 15) == 0)
        spelled += 15;
    assert_string_equal(spelled, l->native);
    return c;
}

static const char *show(const fr_pg_codec *c, const fr_value *v)
{
    fr_buf b = {.arena = arena};
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean ? "t" : "f";
    case FR_FLOAT32:
    case FR_FLOAT64:
        fr_buf_printf(&b, "%.17g", v->real);
        break;
    case FR_DECIMAL:
        fr_buf_str(&b, fr_decimal_to_text(arena, v->bytes, 0));
        break;
    case FR_BYTES:
        for (size_t i = 0; i < v->bytes.len; i++)
            fr_buf_printf(&b, "%02x", (unsigned char)v->bytes.ptr[i]);
        break;
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        fr_buf_str(&b, v->bytes);
        break;
    default:
        fr_buf_printf(&b, "%lld", (long long)v->integer);
    }
    assert_int_equal(v->kind, c->kind);
    return fr_arena_cstr(arena, fr_buf_view(&b));
}

static bool same_bits(const fr_value *a, const fr_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == FR_BOOL)
        return a->boolean == b->boolean;
    if (a->kind == FR_FLOAT32 || a->kind == FR_FLOAT64)
        return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
    if (a->kind == FR_DECIMAL || a->kind == FR_TEXT || a->kind == FR_BYTES || a->kind == FR_JSON ||
        a->kind == FR_UUID)
        return fr_str_eq(a->bytes, b->bytes);
    return a->integer == b->integer;
}

static bool real_is(const fr_value *v, const char *want)
{
    double d = v->kind == FR_FLOAT32 ? (double)strtof(want, NULL) : strtod(want, NULL);
    return isnan(d) ? isnan(v->real) != 0 : d == v->real && signbit(d) == signbit(v->real);
}

static bool same_singles(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
        if (json_is_real(x) ? (float)json_real_value(x) != (float)json_number_value(y)
                            : json_equal(x, y) == 0)
            return false;
    }
    return true;
}

/* Arrays are compared as JSON: a tab or 1e300 may be spelled in several ways, and before
 * PostgreSQL 12 the server spells 0.1 as 0.100000001. */
static bool same_json(fr_str a, fr_str b, bool single)
{
    json_t *ja = NULL, *jb = NULL;
    fr_err err;
    bool same = fr_json_parse(a, &ja, &err) == FR_OK && fr_json_parse(b, &jb, &err) == FR_OK &&
                (json_equal(ja, jb) == 1 || (single && same_singles(ja, jb)));
    json_decref(ja);
    json_decref(jb);
    return same;
}

static bool as_wanted(const fr_pg_codec *c, const fr_value *v, const line *l)
{
    const char *want = fr_arena_cstr(arena, l->want);
    if (v->kind == FR_FLOAT32 || v->kind == FR_FLOAT64)
        return real_is(v, want);
    if (c->wire == FR_PG_WIRE_ARRAY)
        return same_json(v->bytes, l->want, c->element == FR_PG_WIRE_FLOAT4);
    return strcmp(show(c, v), want) == 0;
}

static void check_refused(const fr_pg_codec *c, const line *l, const char *code)
{
    fr_value v;
    fr_err err;
    assert_int_equal(fr_pg_decode_text(c, arena, l->text, &v, &err), FR_FAIL);
    assert_string_equal(err.code, code);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_int_equal(fr_pg_decode_binary(c, arena, l->binary, &v, &err), FR_FAIL);
    assert_string_equal(err.code, code);
}

static void check_value(const line *l)
{
    fr_pg_codec c = codec_of(l, false);
    fr_value text, binary;
    fr_err err;
    assert_string_equal(fr_kind_name(c.kind), l->kind);
    if (fr_str_is(l->want, "-")) {
        check_refused(&c, l, "pg.value.infinite");
        return;
    }
    /* The year 294276 is beyond 64 bits of microseconds since 1970. */
    if (l->want.len == 19 && fr_str_cmp(l->want, FR_STR("9223372036854775807")) > 0 &&
        (c.kind == FR_DATETIME || c.kind == FR_TIMESTAMP)) {
        check_refused(&c, l, "pg.value.range");
        return;
    }
    if (fr_pg_decode_text(&c, arena, l->text, &text, &err) != FR_OK)
        fail_msg("%s %.*s: %s", l->native, FR_ARG(l->text), err.text);
    if (!as_wanted(&c, &text, l))
        fail_msg("%s %.*s: %s", l->native, FR_ARG(l->text), show(&c, &text));
    if (!fr_pg_codec_binary_safe(&c)) {
        assert_int_equal(fr_pg_decode_binary(&c, arena, l->binary, &binary, &err), FR_FAIL);
        return;
    }
    if (fr_pg_decode_binary(&c, arena, l->binary, &binary, &err) != FR_OK)
        fail_msg("%s %.*s in binary: %s", l->native, FR_ARG(l->text), err.text);
    if (!same_bits(&text, &binary))
        fail_msg("%s %.*s in binary: %s", l->native, FR_ARG(l->text), show(&c, &binary));
}

/* columns.types: string takes every value, and the server's text but for floats, booleans,
 * money and arrays, whose spelling is ours. */
static void check_as_text(const line *l)
{
    fr_pg_codec c = codec_of(l, true);
    fr_value text, binary;
    fr_err err;
    assert_int_equal(fr_pg_decode_text(&c, arena, l->text, &text, &err), FR_OK);
    assert_int_equal(text.kind, FR_TEXT);
    bool ours = c.wire == FR_PG_WIRE_FLOAT4 || c.wire == FR_PG_WIRE_FLOAT8 ||
                c.wire == FR_PG_WIRE_BOOL || c.wire == FR_PG_WIRE_MONEY ||
                c.wire == FR_PG_WIRE_ARRAY;
    if (!ours)
        assert_true(fr_str_eq(text.bytes, l->text));
    if (!fr_pg_codec_binary_safe(&c))
        return;
    assert_int_equal(fr_pg_decode_binary(&c, arena, l->binary, &binary, &err), FR_OK);
    if (!same_bits(&text, &binary))
        fail_msg("%s %.*s as text: %s", l->native, FR_ARG(l->text), show(&c, &binary));
}

/* Cut short at every byte, or with one byte changed, a value is a value or a typed error. */
static void check_damaged(const line *l)
{
    for (int form = 0; form < 2; form++) {
        fr_pg_codec c = codec_of(l, false);
        fr_str whole = form == 0 ? l->text : l->binary;
        for (size_t n = 0; n < whole.len; n++) {
            fr_value v = {.kind = FR_ABSENT};
            fr_err err;
            char *copy = malloc(whole.len); /* so that ASan sees one byte too many */
            memcpy(copy, whole.ptr, whole.len);
            copy[n] = (char)(copy[n] ^ (1 << (n % 8)));
            for (int cut = 0; cut < 2; cut++) {
                fr_str in = {copy, cut == 0 ? n : whole.len};
                char *exact = malloc(in.len + 1);
                memcpy(exact, copy, in.len);
                in.ptr = exact;
                fr_rc rc = form == 0 ? fr_pg_decode_text(&c, arena, in, &v, &err)
                                     : fr_pg_decode_binary(&c, arena, in, &v, &err);
                if (rc == FR_OK)
                    assert_int_equal(v.kind, c.kind);
                else
                    assert_int_equal(err.kind, FR_ERR_DATA);
                free(exact);
            }
            free(copy);
        }
    }
}

static void values_are_what_the_server_says(void **state)
{
    (void)state;
    assert_true(each_line(false, check_value) > 200);
}

static void any_type_can_be_text(void **state)
{
    (void)state;
    each_line(false, check_as_text);
}

static void damaged_values_are_errors(void **state)
{
    (void)state;
    each_line(false, check_damaged);
}

static void refused(uint32_t oid, int32_t typmod, const char *text, const char *code)
{
    fr_pg_codec c;
    fr_value v = {.kind = FR_ABSENT};
    fr_err err;
    assert_int_equal(fr_pg_resolve(catalog, oid, typmod, false, arena, &c, NULL, &err), FR_OK);
    if (fr_pg_decode_text(&c, arena, fr_cstr(text), &v, &err) != FR_FAIL)
        fail_msg("%s was taken for type %u", text, oid);
    assert_string_equal(err.code, code);
    assert_int_equal(v.kind, FR_ABSENT);
    if (strlen(text) > 3) /* no values in errors */
        assert_null(strstr(err.text, text));
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    int32_t numeric_10_2 = ((10 << 16) | 2) + 4;
    refused(16, -1, "true", "pg.value.malformed");
    refused(21, -1, "32768", "pg.value.malformed");
    refused(23, -1, "2147483648", "pg.value.malformed");
    refused(23, -1, "", "pg.value.malformed");
    refused(23, -1, "-", "pg.value.malformed");
    refused(23, -1, "1 ", "pg.value.malformed");
    refused(20, -1, "9223372036854775808", "pg.value.malformed");
    refused(20, -1, "-9223372036854775809", "pg.value.malformed");
    refused(26, -1, "-1", "pg.value.malformed");
    refused(5069, -1, "18446744073709551616", "pg.value.malformed");
    refused(5069, -1, "1.5", "pg.value.malformed");
    refused(701, -1, "0x10", "pg.value.malformed");
    refused(701, -1, "1e", "pg.value.malformed");
    refused(701, -1, "nan", "pg.value.malformed");
    refused(1700, numeric_10_2, "NaN", "pg.value.nan");
    refused(1700, numeric_10_2, "-Infinity", "pg.value.infinite");
    refused(1700, numeric_10_2, "123456789.00", "pg.value.range");
    refused(1700, numeric_10_2, "1.234", "pg.value.range");
    refused(790, -1, "1.00", "pg.value.malformed");
    refused(790, -1, "$1,00", "pg.value.malformed");
    refused(25, -1, "\xff\xfe", "pg.value.utf8");
    refused(1009, -1, "{\"\xc3\"}", "pg.value.utf8");
    refused(17, -1, "\\x0", "pg.value.malformed");
    refused(17, -1, "\\000", "pg.value.malformed");
    refused(2950, -1, "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11", "pg.value.malformed");
    refused(1082, -1, "2024-13-01", "pg.value.malformed");
    refused(1082, -1, "01/02/2024", "pg.value.malformed");
    refused(1083, -1, "25:00:00", "pg.value.malformed");
    refused(1114, -1, "2024-01-01T00:00:00", "pg.value.malformed");
    refused(1114, -1, "294277-01-01 00:00:00", "pg.value.range");
    refused(1184, -1, "2024-01-01 00:00:00", "pg.value.malformed");
    refused(1007, -1, "{1,2", "pg.value.malformed");
    refused(1007, -1, "{1,2}}", "pg.value.malformed");
    refused(1007, -1, "{{{{{{{1}}}}}}}", "pg.value.malformed");
    refused(1007, -1, "{1,,2}", "pg.value.malformed");
    refused(1007, -1, "{a}", "pg.value.malformed");
    refused(1009, -1, "{\"a}", "pg.value.malformed");
    refused(1009, -1, "[0:1={a}", "pg.value.malformed");
}

/* POINT(1 2) with SRID 4326, as PostGIS sends and prints it. */
static const char point[] =
    "\x01\x01\x00\x00\x20\xe6\x10\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00"
    "\x00\x00\x00\x00\x00\x00\x40";
static const char point_hex[] = "0101000020E6100000000000000000F03F0000000000000040";

static void geometry_is_ewkb_in_both_forms(void **state)
{
    (void)state;
    fr_pg_codec c = {.wire = FR_PG_WIRE_EWKB, .kind = FR_BYTES};
    fr_str bytes = {point, sizeof(point) - 1};
    fr_value v;
    fr_err err;
    assert_int_equal(fr_pg_decode_binary(&c, arena, bytes, &v, &err), FR_OK);
    assert_true(v.kind == FR_BYTES && fr_str_eq(v.bytes, bytes));
    assert_int_equal(fr_pg_decode_text(&c, arena, fr_cstr(point_hex), &v, &err), FR_OK);
    assert_true(v.kind == FR_BYTES && fr_str_eq(v.bytes, bytes));
    c.as_text = true;
    c.kind = FR_TEXT;
    assert_int_equal(fr_pg_decode_binary(&c, arena, bytes, &v, &err), FR_OK);
    assert_true(v.kind == FR_TEXT && fr_str_is(v.bytes, point_hex));
    assert_int_equal(fr_pg_decode_text(&c, arena, fr_cstr(point_hex), &v, &err), FR_OK);
    assert_true(v.kind == FR_TEXT && fr_str_is(v.bytes, point_hex));
}

static void what_is_no_ewkb_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "01", "0101000020E610000", "02010000000000", "01010000G0", "POINT(1 2)"};
    (void)state;
    fr_pg_codec c = {.wire = FR_PG_WIRE_EWKB, .kind = FR_BYTES};
    fr_value v;
    fr_err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fr_pg_decode_text(&c, arena, fr_cstr(bad[i]), &v, &err), FR_FAIL);
        assert_string_equal(err.code, "pg.value.malformed");
    }
    assert_int_equal(fr_pg_decode_binary(&c, arena, FR_STR("\x01\x01"), &v, &err), FR_FAIL);
    assert_int_equal(fr_pg_decode_binary(&c, arena, FR_STR("\x02\x01\x01\x01\x01"), &v, &err),
                     FR_FAIL);
}

static void huge_dimensions_allocate_nothing(void **state)
{
    static const uint8_t bytes[] = {0,    0,    0, 2, 0, 0, 0, 0,    0,    0,    0,   23,
                                    0x7f, 0xff, 0, 0, 0, 0, 0, 1,    0x7f, 0,    0,   0,
                                    0,    0,    0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    fr_pg_codec c;
    fr_value v;
    fr_err err;
    (void)state;
    fr_arena_reset(arena);
    assert_int_equal(fr_pg_resolve(catalog, 1007, -1, false, arena, &c, NULL, &err), FR_OK);
    assert_int_equal(
        fr_pg_decode_binary(&c, arena, (fr_str){(const char *)bytes, sizeof(bytes)}, &v, &err),
        FR_FAIL);
    assert_true(fr_arena_used(arena) < 4096);
}

static void literal_is(uint32_t oid, int32_t typmod, const char *expression, const char *want)
{
    fr_pg_codec c;
    fr_err err;
    assert_int_equal(fr_pg_resolve(catalog, oid, typmod, false, arena, &c, NULL, &err), FR_OK);
    fr_str got = fr_pg_default_literal(arena, &c, fr_cstr(expression));
    assert_string_equal(fr_arena_cstr(arena, got), want);
}

static void only_literals_are_defaults(void **state)
{
    int32_t numeric_10_2 = ((10 << 16) | 2) + 4;
    (void)state;
    literal_is(23, -1, "0", "0");
    literal_is(23, -1, "(-1)", "-1");
    literal_is(23, -1, "'-1'::integer", "-1");
    literal_is(20, -1, "'9223372036854775807'::bigint", "9223372036854775807");
    literal_is(23, -1, "nextval('s'::regclass)", "");
    literal_is(23, -1, "1 + 1", "");
    literal_is(23, -1, "(1 + 1)", "");
    literal_is(23, -1, "", "");
    literal_is(16, -1, "true", "true");
    literal_is(16, -1, "false", "false");
    literal_is(25, -1, "'x'::text", "\"x\"");
    literal_is(25, -1, "'it''s \"so\"'::text", "\"it's \\\"so\\\"\"");
    literal_is(25, -1, "''::text", "\"\"");
    literal_is(1043, 14, "'x'::character varying(10)", "\"x\"");
    literal_is(25, -1, "NULL::text", "");
    literal_is(25, -1, "('a'::text || 'b'::text)", "");
    literal_is(25, -1, "'a'::text || 'b'::text", "");
    literal_is(25, -1, "E'a\\\\b'::text", "");
    literal_is(25, -1, "CURRENT_USER", "");
    literal_is(1042, 9, "'ab'::bpchar", "");
    literal_is(701, -1, "1.5", "1.5");
    literal_is(701, -1, "'NaN'::double precision", "");
    literal_is(700, -1, "0.1", "0.1");
    literal_is(1700, numeric_10_2, "0", "\"\\u0000\"");
    literal_is(1700, numeric_10_2, "1.28", "\"\\u0000\\u0080\"");
    literal_is(1700, -1, "1.50", "\"1.50\"");
    literal_is(1082, -1, "'1970-01-02'::date", "1");
    literal_is(1082, -1, "CURRENT_DATE", "");
    literal_is(1114, -1, "now()", "");
    literal_is(1184, -1, "'1970-01-01 00:00:01+00'::timestamp with time zone", "1000000");
    literal_is(3802, -1, "'{\"a\": 1}'::jsonb", "\"{\\\"a\\\": 1}\"");
    literal_is(1009, -1, "'{}'::text[]", "\"[]\"");
    literal_is(17, -1, "'\\x00ff'::bytea", "\"\\u0000\\u00ff\"");
}

static int setup(void **state)
{
    (void)state;
    catalog = fr_pg_catalog_new();
    arena = fr_arena_new(0);
    each_line(true, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_pg_catalog_free(catalog);
    fr_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_the_server_says),
        cmocka_unit_test(any_type_can_be_text),
        cmocka_unit_test(damaged_values_are_errors),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(geometry_is_ewkb_in_both_forms),
        cmocka_unit_test(what_is_no_ewkb_is_refused),
        cmocka_unit_test(huge_dimensions_allocate_nothing),
        cmocka_unit_test(only_literals_are_defaults),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
