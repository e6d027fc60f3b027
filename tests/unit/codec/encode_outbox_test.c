/* Rows of outboxes as messages: routes and messages together, as a pipeline has them. */
#include "tests/unit/codec/fixture.h"
#include "transform/route.h"

typedef struct outbox {
    fixture *f;
    fr_router *router;
    fr_table_settings tables[2];
} outbox;

enum { ID, KIND, KEY, TYPE, PAYLOAD, TRACE, COLUMNS };

static fr_rc route_by_router(void *context, const fr_table *t, const fr_route **out, fr_err *e)
{
    return fr_router_route(((outbox *)context)->router, t, out, e);
}

static fr_rc claim(void *context, const fr_route *route, fr_str topic, fr_err *e)
{
    return fr_router_claim(((outbox *)context)->router, route, topic, e);
}

static void open_all(outbox *o)
{
    fr_encoder_settings s = {.source = &o->f->source,
                             .registry_settings = &o->f->registry_settings,
                             .kafka = &o->f->kafka,
                             .origin = origin(),
                             .route = route_by_router,
                             .claim = claim,
                             .context = o};
    fr_encoder_free(o->f->encoder);
    fr_router_free(o->router);
    o->router = fr_router_new(&o->f->source);
    o->f->encoder = fr_encoder_new(&s, o->f->registry);
}

static int set_up_outbox(void **state)
{
    static const char *headers[] = {"trace"};
    outbox *o = calloc(1, sizeof *o);
    if (set_up((void **)&o->f) != 0)
        return -1;
    o->tables[0] = o->f->ts;
    o->tables[1] = o->f->ts;
    o->tables[0].pattern = "public.outbox";
    o->tables[0].place = "shop.yaml:12";
    o->tables[0].envelope = FR_ENVELOPE_RAW;
    o->tables[0].errors_topic = "set.aside";
    o->tables[0].outbox = (fr_outbox_settings){.on = true,
                                               .id = "id",
                                               .payload = "payload",
                                               .key = "aggregateid",
                                               .type = "type",
                                               .route = "ev-${source}.${aggregatetype}",
                                               .headers = {headers, 1}};
    o->tables[1].pattern = "public.orders";
    o->f->source.tables = o->tables;
    o->f->source.table_count = 2;
    open_all(o);
    *state = o;
    return 0;
}

static int tear_down_outbox(void **state)
{
    outbox *o = *state;
    void *f = o->f;
    tear_down(&f);
    fr_router_free(o->router);
    free(o);
    return 0;
}

static const fr_table *outbox_table(fr_kind payload)
{
    fr_column c[] = {
        column("id", FR_INT64, false, 1),        column("aggregatetype", FR_TEXT, true, 0),
        column("aggregateid", FR_TEXT, true, 0), column("type", FR_TEXT, true, 0),
        column("payload", payload, true, 0),     column("trace", FR_TEXT, true, 0)};
    return table_of("outbox", c, COLUMNS, false);
}

static void set_row(fr_value *v)
{
    v[ID] = whole(FR_INT64, 7);
    v[KIND] = textual(FR_TEXT, "order");
    v[KEY] = textual(FR_TEXT, "a1");
    v[TYPE] = textual(FR_TEXT, "made");
    v[PAYLOAD] = textual(FR_TEXT, "{\"x\": 1}");
    v[TRACE] = NONE;
}

static fr_event *add_row(outbox *o, fr_op op, const fr_table *t, const fr_value *v)
{
    fr_event *event = add_event(o->f->b, op, t, 0x1A2B30);
    *(op == FR_OP_DELETE ? &event->before : &event->after) = row_of(o->f->b, t, v);
    return event;
}

/* The last event of the batch. */
static void refuses(outbox *o, const char *code, const char *text)
{
    size_t done = 99;
    fr_batch *b = o->f->b;
    assert_fails(fr_encode(o->f->encoder, b, b->count - 1, b->count, &done, &err), FR_ERR_DATA);
    if (strcmp(err.code, code) != 0 || strstr(err.text, text) == NULL) {
        print_error("[%s] %s\n", err.code, err.text);
        fail();
    }
    assert_int_equal(b->message_count, 0);
}

static void a_row_is_its_message(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    set_row(v);
    add_event(o->f->b, FR_OP_TABLE, t, 1);
    add_row(o, FR_OP_INSERT, t, v);
    add_row(o, FR_OP_READ, t, v);
    encode_all(o->f);
    assert_int_equal(o->f->b->message_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const fr_message *m = &o->f->b->messages[i];
        assert_str(m->topic, "ev-erp.order");
        assert_str(m->key, "a1");
        assert_str(m->payload, "{\"x\": 1}");
        assert_int_equal(m->partition, -1);
        assert_int_equal(m->partition_hash, fr_murmur2("a1", 2));
        assert_int_equal(m->schema, 0);
        assert_int_equal(m->event, i + 1);
        assert_int_equal(m->header_count, 3);
        assert_string_equal(m->headers[0].name, "id");
        assert_str(m->headers[0].value, "7");
        assert_string_equal(m->headers[1].name, "type");
        assert_str(m->headers[1].value, "made");
        assert_string_equal(m->headers[2].name, "trace");
        assert_null(m->headers[2].value.ptr);
    }
    fr_table_unref(t);
}

static void null_and_empty_are_two_things(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_BYTES);
    fr_value v[COLUMNS];
    set_row(v);
    v[KEY] = v[TYPE] = v[PAYLOAD] = NONE;
    add_row(o, FR_OP_INSERT, t, v);
    v[KEY] = textual(FR_TEXT, "");
    v[PAYLOAD] = (fr_value){.kind = FR_BYTES, .bytes = {NULL, 0}};
    add_row(o, FR_OP_INSERT, t, v);
    v[PAYLOAD].bytes = (fr_str){"\x00\xff\n", 3};
    add_row(o, FR_OP_INSERT, t, v);
    encode_all(o->f);
    const fr_message *m = o->f->b->messages;
    assert_null(m[0].key.ptr);
    assert_null(m[0].payload.ptr);
    assert_int_equal(m[0].partition_hash, 0);
    assert_null(m[0].headers[1].value.ptr);
    assert_non_null(m[1].key.ptr);
    assert_int_equal(m[1].key.len, 0);
    assert_non_null(m[1].payload.ptr);
    assert_int_equal(m[1].payload.len, 0);
    assert_int_equal(m[2].payload.len, 3);
    assert_memory_equal(m[2].payload.ptr, "\x00\xff\n", 3);
    fr_table_unref(t);
}

/* B08: each value's own text, whatever its column's type. */
static void keys_of_every_kind_are_text(void **state)
{
    outbox *o = *state;
    fr_column c[] = {column("id", FR_UUID, false, 1), column("aggregateid", FR_INT32, true, 0),
                     column("payload", FR_JSON, true, 0), column("type", FR_BOOL, false, 0),
                     column("trace", FR_DECIMAL, false, 0)};
    const fr_table *t = table_of("outbox", c, 5, false);
    o->tables[0].outbox.route = NULL;
    open_all(o);
    fr_value v[] = {textual(FR_UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
                    whole(FR_INT32, -42),
                    textual(FR_JSON, "[1,2]"),
                    {.kind = FR_BOOL, .boolean = true},
                    {.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}}};
    add_row(o, FR_OP_INSERT, t, v);
    encode_all(o->f);
    const fr_message *m = o->f->b->messages;
    assert_str(m->topic, "erp.public.outbox");
    assert_str(m->key, "-42");
    assert_str(m->payload, "[1,2]");
    assert_str(m->headers[0].value, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_str(m->headers[1].value, "true");
    assert_str(m->headers[2].value, "12.34");
    fr_table_unref(t);
}

/* B04 */
static void the_clean_up_is_no_event(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    set_row(v);
    add_row(o, FR_OP_INSERT, t, v);
    v[KIND] = v[KEY] = v[TYPE] = v[PAYLOAD] = v[TRACE] = MISSING;
    add_row(o, FR_OP_DELETE, t, v);
    add_row(o, FR_OP_DELETE, t, v)->bad = FR_STR("column x: cannot");
    add_event(o->f->b, FR_OP_TRUNCATE, t, 2);
    encode_all(o->f);
    assert_int_equal(o->f->b->message_count, 1);
    fr_table_unref(t);
}

static void a_row_does_not_change(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    set_row(v);
    add_row(o, FR_OP_UPDATE, t, v);
    refuses(o, "outbox.changed",
            "table public.outbox: outbox row 7: an update, but what a row of an outbox says may "
            "have been published (at 0/1A2B30 #0)");
    fr_table_unref(t);
}

static void topic_refused(outbox *o, const fr_table *t, fr_value kind, const char *text)
{
    fr_value v[COLUMNS];
    set_row(v);
    v[KIND] = kind;
    fr_batch_reset(o->f->b);
    add_row(o, FR_OP_INSERT, t, v);
    refuses(o, "outbox.topic", text);
    assert_null(strstr(err.text, "secret"));
}

static void a_row_that_names_no_topic_is_bad(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    topic_refused(o, t, NONE,
                  "outbox row 7: its column aggregatetype, which names the topic, is NULL");
    topic_refused(o, t, textual(FR_TEXT, ""), "which names the topic, is empty");
    topic_refused(o, t, textual(FR_TEXT, "secret/order"), "it has other characters than letters");
    topic_refused(o, t, textual(FR_TEXT, "secret\n"), "is no topic: it has other characters");
    topic_refused(o, t, textual(FR_TEXT, long_name), "it is longer than 249 bytes");
    o->tables[0].outbox.route = "${aggregatetype}";
    open_all(o);
    topic_refused(o, t, textual(FR_TEXT, ".."), "it is only dots");
    topic_refused(o, t, textual(FR_TEXT, "freshet.shop.checkpoint.erp"), "keeps for itself");
    topic_refused(o, t, textual(FR_TEXT, "freshet.other.dlq"), "keeps for itself");
    topic_refused(o, t, textual(FR_TEXT, "__consumer_offsets"), "keeps for itself");
    topic_refused(o, t, textual(FR_TEXT, "erp.message"), "keeps for itself");
    topic_refused(o, t, textual(FR_TEXT, "set.aside"), "keeps for itself");
    fr_table_unref(t);
}

static void a_row_does_not_write_into_another_tables_topic(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_column c[] = {column("id", FR_INT32, false, 1)};
    const fr_table *orders = table_of("orders", c, 1, false);
    o->tables[0].outbox.route = "${aggregatetype}";
    open_all(o);
    add_event(o->f->b, FR_OP_TABLE, orders, 1);
    encode_all(o->f);
    topic_refused(o, t, textual(FR_TEXT, "erp.public.orders"),
                  "its topic is that of table public.orders");
    /* And the other way round: the topic is the outbox's once a row went there. */
    open_all(o);
    fr_value v[COLUMNS];
    set_row(v);
    v[KIND] = textual(FR_TEXT, "erp.public.orders");
    fr_batch_reset(o->f->b);
    add_row(o, FR_OP_INSERT, t, v);
    encode_all(o->f);
    fr_batch_reset(o->f->b);
    add_event(o->f->b, FR_OP_TABLE, orders, 1);
    size_t done;
    assert_fails(fr_encode(o->f->encoder, o->f->b, 0, 1, &done, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.topic_shared");
    fr_table_unref(orders);
    fr_table_unref(t);
}

static void rows_that_cannot_be_told_are_bad(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    set_row(v);
    v[ID] = NONE;
    add_row(o, FR_OP_INSERT, t, v);
    refuses(o, "outbox.no_id", "outbox row NULL: its id is NULL");
    fr_batch_reset(o->f->b);
    set_row(v);
    v[PAYLOAD] = MISSING;
    add_row(o, FR_OP_INSERT, t, v);
    refuses(o, "outbox.absent", "outbox row 7: the source did not log its column payload");
    fr_batch_reset(o->f->b);
    set_row(v);
    o->f->source.max_row_bytes = 10;
    add_row(o, FR_OP_INSERT, t, v);
    refuses(o, "row.too_large", "its message has 15 bytes");
    fr_table_unref(t);
}

static void its_rows_count_in_transactions(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    fr_txn txn = {.id = FR_STR("99"), .commit_us = 1000000};
    o->f->source.transaction_metadata = true;
    set_row(v);
    add_event(o->f->b, FR_OP_BEGIN, NULL, 9)->txn = &txn;
    add_row(o, FR_OP_INSERT, t, v)->txn = &txn;
    add_row(o, FR_OP_INSERT, t, v)->txn = &txn;
    add_row(o, FR_OP_DELETE, t, v)->txn = &txn;
    add_event(o->f->b, FR_OP_COMMIT, NULL, 9)->txn = &txn;
    encode_all(o->f);
    assert_int_equal(o->f->b->message_count, 4);
    assert_contains(
        json_of(o->f, o->f->b->messages[3].payload),
        "\"event_count\":2,\"data_collections\":[{\"data_collection\":\"public.outbox\","
        "\"event_count\":2}]");
    fr_table_unref(t);
}

static void what_the_log_has_brought_is_not_read_again(void **state)
{
    outbox *o = *state;
    const fr_table *t = outbox_table(FR_TEXT);
    fr_value v[COLUMNS];
    set_row(v);
    fr_encoder_remember(o->f->encoder, FR_STR("public"), FR_STR("outbox"));
    add_row(o, FR_OP_INSERT, t, v); /* 7 */
    v[ID].integer = 8;
    add_row(o, FR_OP_INSERT, t, v);
    add_row(o, FR_OP_DELETE, t, v); /* an id may be given again */
    add_row(o, FR_OP_READ, t, v);
    v[ID].integer = 7;
    add_row(o, FR_OP_READ, t, v);
    v[ID].integer = 6;
    add_row(o, FR_OP_READ, t, v);
    encode_all(o->f);
    assert_int_equal(o->f->b->message_count, 4);
    assert_int_equal(o->f->b->messages[2].event, 3);
    assert_int_equal(o->f->b->messages[3].event, 5);
    fr_batch_reset(o->f->b);
    fr_encoder_forget(o->f->encoder);
    v[ID].integer = 7;
    add_row(o, FR_OP_READ, t, v);
    encode_all(o->f);
    assert_int_equal(o->f->b->message_count, 1);
    fr_table_unref(t);
}

static void config_refused(outbox *o, const fr_table *t, const char *text, const char *hint)
{
    size_t done;
    open_all(o);
    fr_batch_reset(o->f->b);
    add_event(o->f->b, FR_OP_TABLE, t, 1);
    assert_fails(fr_encode(o->f->encoder, o->f->b, 0, 1, &done, &err), FR_ERR_CONFIG);
    if (strstr(err.text, text) == NULL || strstr(err.hint, hint) == NULL) {
        print_error("%s\n%s\n", err.text, err.hint);
        fail();
    }
}

static void columns_that_are_not_there_are_named(void **state)
{
    outbox *o = *state;
    fr_outbox_settings *s = &o->tables[0].outbox;
    const fr_table *t = outbox_table(FR_TEXT);
    const char *all = "its columns are id, aggregatetype, aggregateid, type, payload, trace";
    s->payload = "body";
    config_refused(o, t, "shop.yaml:12: table public.outbox: outbox.payload names column body",
                   all);
    s->payload = "payload";
    s->route = "x.${kind}";
    config_refused(o, t, "outbox.route names column kind, which it does not have", all);
    s->route = NULL;
    s->key = "k";
    config_refused(o, t, "outbox.key names column k", all);
    s->key = NULL;
    s->payload = "id";
    config_refused(o, t, "column id, which is neither text, JSON nor bytes", "it is native");
    s->payload = "payload";
    static const char *headers[] = {"type"};
    s->headers = (fr_texts){headers, 1};
    config_refused(o, t, "outbox.headers names column type, and there is a header of that name",
                   "outbox.type");
    s->type = NULL;
    s->route = "freshet.shop.mine";
    config_refused(o, t, "is one of freshet's own", "another topic");
    s->route = "${topic}.${space}/events";
    open_all(o);
    const fr_route *r;
    assert_ok(fr_router_route(o->router, t, &r, &err));
    assert_str(r->topic, "erp.public.outbox.public_events");
    fr_table_unref(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_outbox, tear_down_outbox)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_row_is_its_message),
        CASE(null_and_empty_are_two_things),
        CASE(keys_of_every_kind_are_text),
        CASE(the_clean_up_is_no_event),
        CASE(a_row_does_not_change),
        CASE(a_row_that_names_no_topic_is_bad),
        CASE(a_row_does_not_write_into_another_tables_topic),
        CASE(rows_that_cannot_be_told_are_bad),
        CASE(its_rows_count_in_transactions),
        CASE(what_the_log_has_brought_is_not_read_again),
        CASE(columns_that_are_not_there_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
