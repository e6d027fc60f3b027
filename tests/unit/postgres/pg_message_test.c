/* Bodies of logical messages as rows. */
#include "unit/test.h"

#include "connectors/postgres/pg_message.h"
#include <string.h>

static const char *headers[] = {"trace", "id"};
static const fr_table_settings settings = {.pattern = "pg_logical_emit_message.box",
                                           .outbox = {.on = true,
                                                      .id = "id",
                                                      .payload = "payload",
                                                      .key = "k\"ey",
                                                      .type = "id",
                                                      .route = "a.${kind}.${topic}.${kind}",
                                                      .headers = {headers, 2}}};

enum { ID, KEY, PAYLOAD, KIND, TRACE, COLUMNS };

static void the_columns_are_those_that_the_outbox_names(void **state)
{
    (void)state;
    static const char *const names[] = {"id", "k\"ey", "payload", "kind", "trace"};
    fr_str prefix;
    assert_true(fr_table_messages(&settings, &prefix));
    const fr_table *t = fr_pg_message_table(&settings, prefix);
    assert_int_equal(t->column_count, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++)
        assert_true(fr_str_is(t->columns[i].name, names[i]));
    assert_true(fr_str_is(t->space, "pg_logical_emit_message") && fr_str_is(t->name, "box"));
    fr_table_unref(t);
    fr_table_settings other = {.pattern = "public.pg_logical_emit_message"};
    assert_false(fr_table_messages(&other, &prefix));
}

typedef struct row {
    fr_batch *b;
    fr_event *e;
    const fr_table *t;
} row;

static row take(const char *body, size_t len, bool in_txn)
{
    static const fr_txn txn = {.id = {"7", 1}};
    row r = {.b = fr_batch_new(10, 1 << 20), .t = fr_pg_message_table(&settings, FR_STR("box"))};
    r.e = fr_batch_add(r.b, FR_OP_MESSAGE, NULL);
    r.e->name = FR_STR("box");
    r.e->body = (fr_str){body, len};
    r.e->txn = in_txn ? &txn : NULL;
    fr_pg_message_row(r.b, r.e, r.t);
    assert_int_equal(r.e->op, FR_OP_INSERT);
    assert_ptr_equal(r.e->table, r.t);
    assert_int_equal(r.e->after.count, COLUMNS);
    return r;
}

static void drop(row r)
{
    fr_batch_free(r.b);
    fr_table_unref(r.t);
}

static void is(row r, size_t column, const char *text)
{
    const fr_value *v = &r.e->after.values[column];
    assert_int_equal(v->kind, text == NULL ? FR_NULL : FR_TEXT);
    if (text != NULL && !fr_str_is(v->bytes, text))
        fail_msg("column %zu is %.*s, not %s", column, FR_ARG(v->bytes), text);
}

#define TAKE(body) take(body, sizeof(body) - 1, true)

static void members_are_values(void **state)
{
    (void)state;
    row r = TAKE(
        " {\"other\": \"}\\\"\", \"id\" : 12345678901234567890123 ,\n\"k\\\"ey\":\"\\u00e9\\n\","
        "\"payload\":{\"a\": [1.10, \"]}\\\\\", {}],\"b\":1e2 } ,\"kind\":null} ");
    assert_int_equal(r.e->bad.len, 0);
    is(r, ID, "12345678901234567890123");
    is(r, KEY, "\xc3\xa9\n");
    is(r, PAYLOAD, "{\"a\": [1.10, \"]}\\\\\", {}],\"b\":1e2 }");
    is(r, KIND, NULL);
    is(r, TRACE, NULL);
    drop(r);
    r = TAKE("{\"id\":true,\"payload\":\"\",\"kind\":[],\"trace\":-0.50}");
    is(r, ID, "true");
    is(r, PAYLOAD, "");
    is(r, KIND, "[]");
    is(r, TRACE, "-0.50");
    drop(r);
    r = TAKE("{}");
    assert_int_equal(r.e->bad.len, 0);
    is(r, ID, NULL);
    drop(r);
    r = TAKE("{\"payload\":\"a\\u0000b\"}");
    assert_int_equal(r.e->after.values[PAYLOAD].bytes.len, 3);
    drop(r);
}

static void what_is_no_object_is_a_bad_row(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "", "[]", "1", "{\"a\":1", "{} {}", "\xff", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        row r = take(bodies[i], strlen(bodies[i]), true);
        if (strstr(r.e->bad.len > 0 ? r.e->bad.ptr : "", "no JSON object") == NULL)
            fail_msg("%s was taken", bodies[i]);
        drop(r);
    }
    row r = take("{}", 2, false);
    assert_non_null(strstr(r.e->bad.ptr, "pg_logical_emit_message(true"));
    drop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_columns_are_those_that_the_outbox_names),
        cmocka_unit_test(members_are_values),
        cmocka_unit_test(what_is_no_object_is_a_bad_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
