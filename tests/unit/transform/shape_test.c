/* A sink's rules for topics: what becomes of decoded events where one row a key is kept and where
 * each event is a row, what is refused, and what a message says of itself. */
#include "tests/unit/test.h"
#include "transform/shape.h"

#include <stdlib.h>
#include <string.h>

enum { ID, STATUS, EMAIL, BODY, COUNT };

typedef struct fixture {
    fr_sink_settings sink;
    fr_topic_settings rules;
    fr_shaper *s;
    fr_batch *b;
    const fr_table *t;
    fr_pair pairs[6][4];
    const char *names[2][4];
} fixture;

static fr_err err;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->sink.name = "dw";
    f->sink.into = "${table}";
    f->sink.mask_key = "0123456789abcdef";
    f->sink.topics = &f->rules;
    f->sink.topic_count = 1;
    f->rules.shape.pattern = "erp.public.orders";
    f->rules.shape.place = "shop.yaml:7";
    f->b = fr_batch_new(64, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_batch_free(f->b);
    fr_shaper_free(f->s);
    fr_table_unref(f->t);
    free(f);
    return 0;
}

static void make(fixture *f, bool full_before)
{
    const fr_column c[COUNT] = {
        [ID] = {.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
        [STATUS] = {.name = FR_STR("status"), .kind = FR_TEXT, .nullable = true},
        [EMAIL] = {.name = FR_STR("email"), .kind = FR_TEXT, .nullable = true},
        [BODY] = {
            .name = FR_STR("body"), .kind = FR_TEXT, .nullable = true, .may_be_absent = true}};
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("orders"),
                     .version = 7,
                     .full_before = full_before,
                     .column_count = COUNT,
                     .columns = c};
    fr_table_unref(f->t);
    f->t = fr_table_new(&like);
    fr_shaper_free(f->s);
    f->s = fr_shaper_new(&f->sink);
}

static fr_pairs pair(fixture *f, size_t which, const char *name, const char *value)
{
    f->pairs[which][0] = (fr_pair){name, value};
    return (fr_pairs){f->pairs[which], 1};
}

static fr_texts list(fixture *f, size_t which, const char *a, const char *b)
{
    f->names[which][0] = a;
    f->names[which][1] = b;
    return (fr_texts){f->names[which], b == NULL ? 1 : 2};
}

static fr_value text(const char *s)
{
    return s == NULL ? (fr_value){.kind = FR_ABSENT}
                     : (fr_value){.kind = FR_TEXT, .bytes = fr_cstr(s)};
}

static fr_row row(fixture *f, int64_t id, const char *status, const char *body)
{
    fr_row r;
    fr_value *v = fr_batch_row(f->b, f->t, &r);
    v[ID] = (fr_value){.kind = FR_INT64, .integer = id};
    v[STATUS] = text(status);
    v[EMAIL] = text("ann@example.org");
    v[BODY] = text(body);
    return r;
}

#define NONE ((fr_row){NULL, 0})

/* The event of one message, after a TABLE event; NULL: it was left out. */
static fr_rc shape(fixture *f, fr_op op, fr_row before, fr_row after, const fr_message *more,
                   fr_event **out)
{
    fr_message m = more == NULL ? (fr_message){0} : *more;
    m.topic = FR_STR("erp.public.orders");
    m.partition = 2;
    m.offset = 41;
    size_t from = f->b->count;
    fr_batch_add(f->b, FR_OP_TABLE, f->t);
    fr_event *e = fr_batch_add(f->b, op, f->t);
    e->topic = m.topic;
    e->before = before;
    e->after = after;
    e->time_us = 5000000;
    fr_rc rc = fr_shaper_apply(f->s, f->b, from, &m, &err);
    *out = f->b->count == from + 2 ? &f->b->events[from + 1] : NULL;
    if (rc == FR_OK && f->b->count > from)
        assert_int_equal(f->b->events[from].op, FR_OP_TABLE);
    return rc;
}

enum { LEFT_OUT = 99 };

static int becomes(fixture *f, fr_op op, fr_row before, fr_row after)
{
    fr_event *e;
    if (shape(f, op, before, after, NULL, &e) == FR_FAIL)
        fail_msg("%s", err.text);
    return e == NULL ? LEFT_OUT : (int)e->op;
}

static void refused(fixture *f, fr_err_kind kind, const char *code, const char *words,
                    const char *hint)
{
    fr_event *e;
    make(f, false);
    assert_fails(shape(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x"), NULL, &e), kind);
    if (strcmp(err.code, code) != 0 || strstr(err.text, words) == NULL ||
        strstr(err.hint, hint) == NULL || strstr(err.text, "erp.public.orders") == NULL ||
        (kind == FR_ERR_CONFIG && strstr(err.text, "shop.yaml:7") == NULL))
        fail_msg("%s [%s]\n%s", err.text, err.code, err.hint);
    assert_null(e);
}

/* ---- without rules ---- */

static void topics_without_rules_stay(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.pattern = "erp.public.others";
    make(f, false);
    assert_ok(shape(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x"), NULL, &e));
    assert_ptr_equal(e->table, f->t);
    assert_int_equal(e->after.count, COUNT);
}

static void a_table_that_went_on_keeps_its_rules(void **state)
{
    fixture *f = *state;
    const fr_topic_settings *rules;
    fr_topic_settings two[2] = {f->rules, f->rules};
    assert_ok(fr_sink_topic(&f->sink, FR_STR("erp.public.orders.v2"), &rules, &err));
    assert_ptr_equal(rules, &f->rules);
    assert_ok(fr_sink_topic(&f->sink, FR_STR("erp.public.orders2"), &rules, &err));
    assert_null(rules);
    two[0].shape.pattern = "/orders/";
    two[1].shape.pattern = "/public/";
    assert_ok(fr_pattern_compile("/orders/", &two[0].shape.regex, &err));
    assert_ok(fr_pattern_compile("/public/", &two[1].shape.regex, &err));
    f->sink.topics = two;
    f->sink.topic_count = 2;
    assert_fails(fr_sink_topic(&f->sink, FR_STR("erp.public.orders"), &rules, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.two_patterns");
    assert_ok(fr_sink_topic(&f->sink, FR_STR("erp.shop.orders"), &rules, &err));
    assert_ptr_equal(rules, &two[0]);
    fr_pattern_free(two[0].shape.regex);
    fr_pattern_free(two[1].shape.regex);
}

static void a_topic_has_its_own_table(void **state)
{
    fixture *f = *state;
    fr_arena *a = fr_arena_new(0);
    fr_str space, name;
    f->rules.into = "raw.${table}_open";
    assert_ok(fr_sink_target(&f->sink, a, FR_STR("erp.public.orders"), &space, &name, &err));
    assert_true(fr_str_is(space, "raw") && fr_str_is(name, "orders_open"));
    assert_ok(fr_sink_target(&f->sink, a, FR_STR("erp.public.lines"), &space, &name, &err));
    assert_true(space.len == 0 && fr_str_is(name, "lines"));
    fr_arena_free(a);
}

/* ---- fields ---- */

static void fields_names_masks_and_messages(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"order_id", "status", "email", "short", "seen", "at", "op"};
    const fr_header headers[] = {{"trace", FR_STR("old")}, {"trace", FR_STR("t-1")}};
    fr_event *e;
    f->rules.shape.column_rename = pair(f, 0, "id", "order_id");
    f->rules.shape.columns_exclude = list(f, 0, "body", NULL);
    f->rules.shape.column_mask = pair(f, 1, "email", "keep_last: 3");
    f->rules.shape.column_derive = pair(f, 2, "short", "substr(status, 1, 2) || id");
    f->pairs[3][0] = (fr_pair){"seen", "header:trace"};
    f->pairs[3][1] = (fr_pair){"at", "committed"};
    f->pairs[3][2] = (fr_pair){"op", "op"};
    f->rules.message = (fr_pairs){f->pairs[3], 3};
    make(f, false);
    assert_ok(shape(f, FR_OP_UPDATE, row(f, 3, NULL, NULL), row(f, 3, "paid", "x"),
                    &(fr_message){.headers = headers, .header_count = 2}, &e));
    assert_int_equal(e->table->column_count, 7);
    assert_int_equal(e->table->version, 7);
    for (size_t i = 0; i < 7; i++)
        assert_true(fr_str_is(e->table->columns[i].name, names[i]));
    assert_int_equal(e->table->columns[0].key_ordinal, 1);
    const fr_value *v = e->after.values;
    assert_int_equal(v[0].integer, 3);
    assert_true(fr_str_is(v[2].bytes, "***org") && fr_str_is(v[3].bytes, "pa3"));
    assert_true(fr_str_is(v[4].bytes, "t-1") && fr_str_is(v[6].bytes, "u"));
    assert_int_equal(v[5].integer, 5000000);
    /* The old row says which it is. */
    assert_int_equal(e->before.values[0].integer, 3);
    for (size_t i = 1; i < 7; i++)
        assert_int_equal(e->before.values[i].kind, FR_ABSENT);
}

static void a_header_that_is_no_text_is_bad(void **state)
{
    fixture *f = *state;
    const fr_header bad = {"trace", FR_STR("\xff")};
    fr_event *e;
    f->rules.message = pair(f, 0, "seen", "header:trace");
    make(f, false);
    assert_fails(shape(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x"),
                       &(fr_message){.headers = &bad, .header_count = 1}, &e),
                 FR_ERR_DATA);
    assert_string_equal(err.code, "message.header");
    assert_non_null(strstr(err.text, "erp.public.orders[2]@41"));
    assert_ok(shape(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x"), NULL, &e));
    assert_int_equal(e->after.values[COUNT].kind, FR_NULL);
}

/* ---- the filter ---- */

static void one_row_a_key(void **state)
{
    fixture *f = *state;
    f->rules.shape.filter = "status <> 'draft'";
    make(f, false);
    assert_int_equal(becomes(f, FR_OP_READ, NONE, row(f, 1, "paid", "x")), FR_OP_READ);
    assert_int_equal(becomes(f, FR_OP_READ, NONE, row(f, 1, "draft", "x")), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_INSERT, NONE, row(f, 1, "draft", "x")), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, NONE, row(f, 1, "draft", "x")), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", "x")), FR_OP_UPDATE);
    assert_int_equal(becomes(f, FR_OP_DELETE, row(f, 1, NULL, NULL), NONE), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_DELETE, row(f, 1, "draft", "x"), NONE), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_TRUNCATE, NONE, NONE), FR_OP_TRUNCATE);
    fr_event *e;
    assert_ok(shape(f, FR_OP_UPDATE, row(f, 8, "paid", "x"), row(f, 9, "draft", "x"), NULL, &e));
    assert_int_equal(e->before.values[ID].integer, 8);
    assert_int_equal(e->before.values[STATUS].kind, FR_ABSENT);
    assert_int_equal(e->after.count, 0);
}

static void each_event_is_a_row(void **state)
{
    fixture *f = *state;
    f->rules.shape.filter = "status <> 'draft'";
    f->sink.write_mode = FR_WRITE_APPEND;
    make(f, true);
    assert_int_equal(becomes(f, FR_OP_READ, NONE, row(f, 1, "draft", "x")), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_INSERT, NONE, row(f, 1, "draft", "x")), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x")), FR_OP_INSERT);
    assert_int_equal(becomes(f, FR_OP_UPDATE, row(f, 1, "paid", "x"), row(f, 1, "draft", "x")),
                     FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, row(f, 1, "draft", "x"), row(f, 1, "draft", "y")),
                     LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_DELETE, row(f, 1, "draft", "x"), NONE), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_DELETE, row(f, 1, "paid", "x"), NONE), FR_OP_DELETE);
    make(f, false); /* nothing but the key is sure of an old row */
    assert_int_equal(becomes(f, FR_OP_UPDATE, row(f, 1, "draft", "x"), row(f, 1, "draft", "y")),
                     FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_DELETE, row(f, 1, "draft", "x"), NONE), FR_OP_DELETE);
}

/* A row that the target may not have cannot be patched. */
static void values_that_were_not_logged(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.filter = "status <> 'draft'";
    make(f, false);
    assert_fails(shape(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", NULL), NULL, &e), FR_ERR_DATA);
    assert_string_equal(err.code, "filter.absent");
    assert_non_null(strstr(err.text, "column body"));
    assert_non_null(strstr(err.hint, "columns.exclude"));
    assert_fails(shape(f, FR_OP_UPDATE, NONE, row(f, 1, NULL, "x"), NULL, &e), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "column status"));
    assert_int_equal(becomes(f, FR_OP_UPDATE, NONE, row(f, 1, "draft", NULL)), FR_OP_DELETE);
    make(f, true);
    assert_ok(shape(f, FR_OP_UPDATE, row(f, 1, "draft", "old"), row(f, 1, "paid", NULL), NULL, &e));
    assert_true(fr_str_is(e->after.values[BODY].bytes, "old"));
    f->rules.shape.columns_exclude = list(f, 0, "body", NULL);
    make(f, false);
    assert_int_equal(becomes(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", NULL)), FR_OP_UPDATE);
    f->rules.shape.filter = "id > 0"; /* of the key: always known */
    f->rules.shape.columns_exclude = (fr_texts){0};
    make(f, false);
    assert_int_equal(becomes(f, FR_OP_UPDATE, row(f, 1, NULL, NULL), row(f, 1, "paid", NULL)),
                     FR_OP_UPDATE);
}

static void fields_of_values_that_were_not_logged(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.column_derive = pair(f, 0, "size", "length(body)");
    make(f, false);
    assert_ok(shape(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", NULL), NULL, &e));
    assert_int_equal(e->after.values[COUNT].kind, FR_ABSENT); /* it has not changed */
    f->rules.shape.column_derive = pair(f, 0, "size", "length(body || status)");
    make(f, false);
    assert_fails(shape(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", NULL), NULL, &e), FR_ERR_DATA);
    assert_string_equal(err.code, "derive.absent");
    assert_non_null(strstr(err.text, "column body"));
    f->sink.write_mode = FR_WRITE_APPEND;
    make(f, false);
    assert_ok(shape(f, FR_OP_UPDATE, NONE, row(f, 1, "paid", NULL), NULL, &e));
    assert_int_equal(e->after.values[COUNT].kind, FR_ABSENT);
}

/* ---- what is refused ---- */

static void the_key_stays(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.columns_exclude = list(f, 0, "id", NULL);
    refused(f, FR_ERR_CONFIG, "config.key", "id is part of the key, and is left out", "keep it");
    f->sink.write_mode = FR_WRITE_APPEND;
    make(f, false);
    assert_ok(shape(f, FR_OP_INSERT, NONE, row(f, 1, "paid", "x"), NULL, &e));
    assert_int_equal(fr_table_key_count(e->table), 0);
    f->sink.write_mode = FR_WRITE_UPSERT;
    f->rules.shape.columns_exclude = (fr_texts){0};
    f->rules.shape.column_mask = pair(f, 0, "id", "null");
    refused(f, FR_ERR_CONFIG, "config.key", "makes keys equal", "hash");
    f->rules.shape.column_mask = pair(f, 0, "id", "hash");
    make(f, false);
    assert_ok(shape(f, FR_OP_DELETE, row(f, 1, NULL, NULL), NONE, NULL, &e));
    assert_int_equal(e->before.values[ID].bytes.len, 64);
}

static void names_that_are_not_there(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.column_mask = pair(f, 0, "emial", "redact");
    refused(f, FR_ERR_CONFIG, "config.unknown_column", "columns.mask: emial", "email");
    f->rules.shape.column_mask = (fr_pairs){0};
    f->rules.shape.filter = "stat = 1";
    refused(f, FR_ERR_CONFIG, "filter.no_such_column", "filter: ", "status");
    assert_fails(shape(f, FR_OP_DELETE, row(f, 1, NULL, NULL), NONE, NULL, &e), FR_ERR_CONFIG);
    assert_null(e);
    f->rules.shape.filter = NULL;
    f->rules.shape.column_rename = pair(f, 1, "email", "status");
    refused(f, FR_ERR_CONFIG, "config.field", "status would be the name of two fields",
            "columns.rename");
    f->rules.shape.column_rename = (fr_pairs){0};
    f->rules.shape.column_types = pair(f, 2, "email", "long");
    refused(f, FR_ERR_CONFIG, "config.types", "columns.types: email", "CAST");
    f->rules.shape.column_types = (fr_pairs){0};
    f->rules.shape.columns_include = list(f, 0, "nothing", NULL);
    refused(f, FR_ERR_CONFIG, "config.unknown_column", "columns.include: nothing",
            "columns.include");
}

/* Several topics fill one table where the rules say what tells their rows apart. */
static void tables_of_several_topics(void **state)
{
    fixture *f = *state;
    const fr_table *made, *other;
    const fr_route *route;
    fr_event *e;
    f->rules.into = "all";
    f->rules.message = pair(f, 0, "shard", "topic");
    make(f, false);
    assert_ok(fr_shaper_table(f->s, FR_STR("erp.public.orders"), f->t, &made, &route, &err));
    other = fr_table_new(f->t);
    assert_fails(fr_shaper_table(f->s, FR_STR("crm.public.orders"), other, &made, &route, &err),
                 FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.table_shared");
    assert_non_null(strstr(err.text, "erp.public.orders and crm.public.orders"));
    f->rules.shape.key = list(f, 0, "shard", "id");
    assert_ok(fr_pattern_compile("/orders/", &f->rules.shape.regex, &err));
    make(f, false);
    assert_ok(fr_shaper_table(f->s, FR_STR("crm.public.orders"), other, &made, &route, &err));
    assert_ok(shape(f, FR_OP_DELETE, row(f, 3, NULL, NULL), NONE, NULL, &e));
    assert_int_equal(e->table->columns[COUNT].key_ordinal, 1);
    assert_int_equal(e->table->columns[ID].key_ordinal, 2);
    assert_false(e->table->columns[COUNT].nullable);
    assert_true(fr_str_is(e->before.values[COUNT].bytes, "erp.public.orders"));
    assert_int_equal(e->before.values[STATUS].kind, FR_ABSENT);
    assert_int_equal(becomes(f, FR_OP_TRUNCATE, NONE, NONE), FR_OP_TRUNCATE);
    f->sink.truncate = FR_TRUNCATE_PUBLISH;
    assert_fails(shape(f, FR_OP_TRUNCATE, NONE, NONE, NULL, &e), FR_ERR_DATA);
    assert_string_equal(err.code, "sink.truncate");
    fr_table_unref(other);
    fr_pattern_free(f->rules.shape.regex);
    f->rules.shape.regex = NULL;
}

static void keys_that_cannot_be(void **state)
{
    fixture *f = *state;
    f->rules.message = pair(f, 0, "place", "offset");
    f->rules.shape.key = list(f, 0, "id", "place");
    refused(f, FR_ERR_CONFIG, "config.key", "place is neither", "deletes do not say it");
    f->rules.message = pair(f, 0, "shard", "topic");
    f->rules.shape.key = list(f, 0, "shard", NULL);
    refused(f, FR_ERR_CONFIG, "config.key", "id is part of the messages' key", "add it");
    f->rules.shape.key = list(f, 0, "id", "shrad");
    refused(f, FR_ERR_CONFIG, "config.key", "a column is not there", "each once");
}

static void errors_of_rows_keep_the_table(void **state)
{
    fixture *f = *state;
    fr_event *e;
    f->rules.shape.column_derive = pair(f, 0, "n", "json_extract(status, '$.n')");
    f->rules.shape.column_types = pair(f, 1, "n", "long");
    make(f, false);
    assert_fails(shape(f, FR_OP_INSERT, NONE, row(f, 1, "no JSON", "x"), NULL, &e), FR_ERR_DATA);
    assert_int_equal(f->b->count, 1);
    assert_int_equal(f->b->events[0].op, FR_OP_TABLE);
    assert_int_equal(f->b->events[0].table->column_count, COUNT + 1);
    assert_null(strstr(err.text, "no JSON"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(topics_without_rules_stay),
                                       T(a_table_that_went_on_keeps_its_rules),
                                       T(a_topic_has_its_own_table),
                                       T(fields_names_masks_and_messages),
                                       T(a_header_that_is_no_text_is_bad),
                                       T(one_row_a_key),
                                       T(each_event_is_a_row),
                                       T(values_that_were_not_logged),
                                       T(fields_of_values_that_were_not_logged),
                                       T(the_key_stays),
                                       T(names_that_are_not_there),
                                       T(tables_of_several_topics),
                                       T(keys_that_cannot_be),
                                       T(errors_of_rows_keep_the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
