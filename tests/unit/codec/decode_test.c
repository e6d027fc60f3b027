#include "tests/unit/codec/fixture.h"

#include "base/bytes.h"

/* ---- our own messages ---- */

enum { ALL = FR_KIND_COUNT - 2 };

/* One column of every kind behind a key. */
static const fr_table *all_kinds(bool nullable)
{
    fr_column c[ALL + 1] = {column("id", FR_INT64, false, 1)};
    for (int k = 0; k < ALL; k++)
        c[k + 1] = column(fr_kind_name((fr_kind)(k + 2)), (fr_kind)(k + 2), nullable, 0);
    return table_of("kinds", c, ALL + 1, true);
}

static void sample(fr_value *v, int edge)
{
    static const char *const texts[] = {"", "x", "naïve \xF0\x9F\x8C\x8A"};
    static const double reals[] = {0.0, -1.5, 1048576.5};
    static const fr_str decimals[] = {{"\0", 1}, {"\x80\0\0\0", 4}, {"\x7f\xff\xff\xff", 4}};
    int64_t big[] = {INT64_MIN, INT64_MAX, -1}, small[] = {INT32_MIN, INT32_MAX, 0};
    v[0] = whole(FR_INT64, edge);
    for (int k = 0; k < ALL; k++) {
        fr_value *to = &v[k + 1];
        to->kind = (fr_kind)(k + 2);
        switch (to->kind) {
        case FR_BOOL:
            to->boolean = edge == 1;
            break;
        case FR_INT32:
        case FR_DATE:
            to->integer = small[edge];
            break;
        case FR_FLOAT32:
        case FR_FLOAT64:
            to->real = reals[edge];
            break;
        case FR_DECIMAL:
            to->bytes = decimals[edge];
            break;
        case FR_UUID:
            to->bytes = FR_STR("00112233-4455-6677-8899-aabbccddeeff");
            break;
        case FR_TEXT:
        case FR_JSON:
        case FR_BYTES:
            to->bytes = fr_cstr(texts[edge]);
            break;
        default:
            to->integer = big[edge];
        }
    }
}

static void assert_same_value(const fr_value *a, const fr_value *b, fr_str name)
{
    fr_row left = {a, 1}, right = {b, 1};
    if (a->kind != b->kind || fr_row_crc(0, &left) != fr_row_crc(0, &right)) {
        print_error("column %.*s differs: kind %s, %s\n", FR_ARG(name), fr_kind_name(a->kind),
                    fr_kind_name(b->kind));
        fail();
    }
}

static void assert_same_row(const fr_row *a, const fr_row *b, const fr_table *t)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_same_value(&a->values[i], &b->values[i], t->columns[i].name);
}

static void every_kind_comes_back(void **state)
{
    fixture *f = *state;
    for (int envelope = 0; envelope < 2; envelope++) {
        f->ts.envelope = envelope == 0 ? FR_ENVELOPE_STANDARD : FR_ENVELOPE_STATE;
        open_encoder(f);
        fr_batch_reset(f->b);
        fr_batch_reset(f->back);
        const fr_table *t = all_kinds(true);
        fr_table renamed = *t;
        renamed.name = envelope == 0 ? FR_STR("kinds_a") : FR_STR("kinds_b");
        const fr_table *u = fr_table_new(&renamed);
        fr_value v[ALL + 1];
        for (int edge = 0; edge < 3; edge++) {
            sample(v, edge);
            add_event(f->b, FR_OP_INSERT, u, 50)->after = row_of(f->b, u, v);
        }
        for (int k = 1; k <= ALL; k++)
            v[k] = NONE;
        add_event(f->b, FR_OP_INSERT, u, 50)->after = row_of(f->b, u, v);
        encode_all(f);
        decode_all(f);
        assert_int_equal(f->back->count, 5);
        assert_int_equal(f->back->events[0].op, FR_OP_TABLE);
        const fr_table *got = f->back->events[0].table;
        assert_int_equal(got->column_count, u->column_count);
        for (size_t i = 0; i < got->column_count; i++) {
            assert_true(fr_str_eq(got->columns[i].name, u->columns[i].name));
            assert_int_equal(got->columns[i].kind, u->columns[i].kind);
            assert_int_equal(got->columns[i].nullable, u->columns[i].nullable);
            assert_int_equal(got->columns[i].precision, u->columns[i].precision);
            assert_int_equal(got->columns[i].scale, u->columns[i].scale);
            assert_int_equal(got->columns[i].key_ordinal, u->columns[i].key_ordinal);
        }
        for (size_t i = 0; i < 4; i++)
            assert_same_row(&f->b->events[i].after, &f->back->events[i + 1].after, u);
        fr_table_unref(t);
        fr_table_unref(u);
    }
}

static const fr_table *pair_table(bool full_before)
{
    fr_column c[] = {column("id", FR_INT32, false, 1), column("note-1", FR_TEXT, false, 0),
                     column("big", FR_TEXT, true, 0)};
    c[2].may_be_absent = !full_before;
    return table_of("pairs", c, 3, full_before);
}

static void operations_and_places_come_back(void **state)
{
    fixture *f = *state;
    const fr_table *t = pair_table(false);
    fr_value v[3] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), MISSING};
    fr_value key[3] = {whole(FR_INT32, 1), MISSING, MISSING};
    fr_txn txn = {.id = FR_STR("571"), .commit_us = 1785578400123456};
    fr_event *update = add_event(f->b, FR_OP_UPDATE, t, UINT64_C(0x2F00000010));
    update->after = row_of(f->b, t, v);
    update->txn = &txn;
    update->position.ordinal = 7;
    update->position.epoch = 3;
    fr_event *gone = add_event(f->b, FR_OP_DELETE, t, UINT64_C(0x2F00000020));
    gone->before = row_of(f->b, t, key);
    gone->txn = &txn;
    encode_all(f);
    decode_all(f);
    assert_int_equal(f->back->count, 3); /* TABLE, update, delete; the tombstone is ours */
    const fr_event *u = &f->back->events[1], *d = &f->back->events[2];
    assert_int_equal(u->op, FR_OP_UPDATE);
    assert_int_equal(u->after.values[2].kind, FR_ABSENT);
    assert_int_equal(u->before.count, 0);
    assert_int_equal(u->position.lsn, UINT64_C(0x2F00000010));
    assert_int_equal(u->position.row_lsn, UINT64_C(0x2F0000000F));
    assert_int_equal(u->position.ordinal, 7);
    assert_int_equal(u->position.epoch, 3);
    assert_str(u->txn->id, "571");
    assert_int_equal(u->txn->commit_us, 1785578400123456);
    assert_str(u->topic, "erp.public.pairs");
    assert_int_equal(d->op, FR_OP_DELETE);
    assert_same_row(&gone->before, &d->before, t); /* what was not logged is absent, not NULL */
    assert_str(u->table->columns[1].name, "note-1");
    assert_str(u->table->name, "pairs");
    assert_false(u->table->full_before);
    assert_false(u->table->foreign);
    fr_table_unref(t);
}

static void a_tombstone_alone_is_a_delete(void **state)
{
    fixture *f = *state;
    const fr_table *t = pair_table(true);
    fr_value v[3] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), NONE};
    fr_event *event = add_event(f->b, FR_OP_INSERT, t, 500);
    event->after = row_of(f->b, t, v);
    event->position.ordinal = 2;
    add_event(f->b, FR_OP_DELETE, t, 600)->before = row_of(f->b, t, v);
    encode_all(f);
    f->b->messages[1] = f->b->messages[2]; /* compaction took the delete itself */
    f->b->message_count = 2;
    decode_all(f);
    assert_int_equal(f->back->count, 3);
    const fr_event *d = &f->back->events[2];
    assert_int_equal(d->op, FR_OP_DELETE);
    assert_int_equal(d->before.values[0].integer, 1);
    assert_int_equal(d->before.values[1].kind, FR_ABSENT);
    assert_int_equal(d->position.lsn, 500); /* right behind what its partition told last */
    assert_false(d->foreign);
    assert_int_equal(d->position.ordinal, 3);
    assert_true(d->unplaced); /* which its row need not be below */
    assert_false(d->echo);
    fr_table_unref(t);
}

static void a_tombstone_where_reading_begins(void **state)
{
    fixture *f = *state;
    const fr_table *t = pair_table(true);
    fr_value v[3] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), NONE};
    add_event(f->b, FR_OP_DELETE, t, 600)->before = row_of(f->b, t, v);
    encode_all(f);
    hand_over(f);
    const fr_message *m = &f->back->messages[1];
    const int64_t begins[] = {m->offset, m->offset - 1, -1};
    for (size_t i = 0; i < 3; i++) {
        fr_decoder_begin(f->decoder, m->topic, m->partition, begins[i]);
        assert_int_equal(fr_decode(f->decoder, f->back, 1, &err), FR_OK);
        const fr_event *d = &f->back->events[f->back->count - 1];
        assert_int_equal(d->op, FR_OP_DELETE);
        assert_true(d->unplaced);
        assert_int_equal(d->echo, i == 0); /* its delete is right before it, and was taken */
    }
    fr_decoder_begin(f->decoder, m->topic, m->partition, m->offset - 1);
    size_t count = f->back->count;
    assert_int_equal(fr_decode(f->decoder, f->back, 0, &err), FR_OK);
    assert_int_equal(fr_decode(f->decoder, f->back, 1, &err), FR_OK);
    assert_int_equal(f->back->count, count + 1);
    assert_false(f->back->events[count].unplaced);
    fr_table_unref(t);
}

static void a_state_tombstone_is_a_delete_even_first(void **state)
{
    fixture *f = *state;
    f->ts.envelope = FR_ENVELOPE_STATE;
    const fr_table *t = pair_table(true);
    fr_value v[3] = {whole(FR_INT32, 9), textual(FR_TEXT, "a"), NONE};
    add_event(f->b, FR_OP_DELETE, t, 600)->before = row_of(f->b, t, v);
    encode_all(f);
    assert_int_equal(f->b->message_count, 1);
    decode_all(f);
    assert_int_equal(f->back->count, 2);
    assert_int_equal(f->back->events[0].op, FR_OP_TABLE);
    assert_int_equal(f->back->events[0].table->column_count, 3); /* by the registry's newest */
    assert_int_equal(f->back->events[1].op, FR_OP_DELETE);
    assert_int_equal(f->back->events[1].before.values[0].integer, 9);
    assert_int_equal(f->back->events[1].position.lsn, 101); /* the offset */
    assert_true(f->back->events[1].foreign);
    assert_false(f->back->events[1].unplaced);
    assert_true(f->back->events[0].table->foreign);
    fr_table_unref(t);
}

static void truncate_and_messages_come_back(void **state)
{
    fixture *f = *state;
    f->ts.truncate = FR_TRUNCATE_PUBLISH;
    const fr_table *t = pair_table(true);
    add_event(f->b, FR_OP_TRUNCATE, t, 10);
    fr_event *note = add_event(f->b, FR_OP_MESSAGE, NULL, 20);
    note->name = FR_STR("audit");
    note->body = FR_STR("\xff\0");
    encode_all(f);
    decode_all(f);
    assert_int_equal(f->back->count, 3);
    assert_int_equal(f->back->events[1].op, FR_OP_TRUNCATE);
    assert_false(f->back->events[1].foreign);
    assert_int_equal(f->back->events[2].op, FR_OP_MESSAGE);
    assert_str(f->back->events[2].name, "audit");
    assert_int_equal(f->back->events[2].body.len, 2);
    assert_int_equal(f->back->events[2].position.lsn, 20);
    fr_table_unref(t);
}

/* It has no key, and is of the table of rows that have one, be it read before them or after. */
static void a_truncation_is_of_the_rows_table(void **state)
{
    fixture *f = *state;
    f->ts.truncate = FR_TRUNCATE_PUBLISH;
    const fr_table *t = pair_table(true);
    fr_value v[3] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), NONE};
    add_event(f->b, FR_OP_INSERT, t, 5)->after = row_of(f->b, t, v);
    add_event(f->b, FR_OP_TRUNCATE, t, 10);
    encode_all(f);
    fr_message row = f->b->messages[0];
    f->b->messages[0] = f->b->messages[1];
    f->b->messages[1] = row;
    decode_all(f);
    assert_int_equal(f->back->count, 3); /* TABLE, truncate, row */
    assert_int_equal(f->back->events[1].op, FR_OP_TRUNCATE);
    assert_int_equal(f->back->events[2].op, FR_OP_INSERT);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(f->back->events[i].table, f->back->events[2].table);
    assert_int_equal(f->back->events[1].table->columns[0].key_ordinal, 1);
    assert_int_equal(f->back->events[1].before.count, 0);
    fr_table_unref(t);
}

static void table_is_told_once_a_version(void **state)
{
    fixture *f = *state;
    const fr_table *one = pair_table(true);
    fr_column c[4];
    memcpy(c, one->columns, 3 * sizeof *c);
    c[3] = column("more", FR_INT32, true, 0);
    const fr_table *two = table_of("pairs", c, 4, true);
    fr_value v[4] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), NONE, NONE};
    const fr_table *turns[] = {one, one, two, one, two};
    for (size_t i = 0; i < 5; i++)
        add_event(f->b, FR_OP_INSERT, turns[i], 1)->after = row_of(f->b, turns[i], v);
    encode_all(f);
    decode_all(f);
    assert_int_equal(f->back->count, 7);
    fr_batch_reset(f->back);
    decode_all(f);
    assert_int_equal(f->back->count, 5);
    fr_decoder_rewind(f->decoder, FR_STR("another"));
    fr_batch_reset(f->back);
    decode_all(f);
    assert_int_equal(f->back->count, 5);
    fr_decoder_rewind(f->decoder, f->back->messages[0].topic);
    fr_batch_reset(f->back);
    decode_all(f);
    assert_int_equal(f->back->count, 7);
    fr_table_unref(one);
    fr_table_unref(two);
}

static void a_full_batch_takes_nothing(void **state)
{
    fixture *f = *state;
    const fr_table *t = pair_table(true);
    fr_value v[3] = {whole(FR_INT32, 1), textual(FR_TEXT, "a"), NONE};
    for (int i = 0; i < 3; i++)
        add_event(f->b, FR_OP_INSERT, t, 1)->after = row_of(f->b, t, v);
    encode_all(f);
    hand_over(f);
    f->back->max_events = 3;
    assert_int_equal(fr_decode(f->decoder, f->back, 0, &err), FR_OK);
    assert_int_equal(fr_decode(f->decoder, f->back, 1, &err), FR_OK);
    assert_int_equal(fr_decode(f->decoder, f->back, 2, &err), FR_IDLE);
    assert_int_equal(f->back->count, 3);
    fr_table_unref(t);
}

static void bytes_cut_anywhere_are_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = all_kinds(true);
    fr_value v[ALL + 1];
    sample(v, 2);
    add_event(f->b, FR_OP_UPDATE, t, 77)->after = row_of(f->b, t, v);
    encode_all(f);
    hand_over(f);
    fr_str whole_payload = f->back->messages[0].payload;
    for (size_t len = 0; len < whole_payload.len; len++) {
        /* A copy of exactly that size, so that a step beyond is seen by the sanitizer. */
        char *copy = malloc(len + 1);
        memcpy(copy, whole_payload.ptr, len);
        char *exact = realloc(copy, len == 0 ? 1 : len);
        f->back->messages[0].payload = (fr_str){exact, len};
        assert_fails(fr_decode(f->decoder, f->back, 0, &err), FR_ERR_DATA);
        assert_non_null(strstr(err.text, "topic erp.public.kinds[0]@101: "));
        assert_int_equal(f->back->count, 0);
        free(exact);
    }
    char *longer = fr_arena_alloc(f->a, whole_payload.len + 1);
    memcpy(longer, whole_payload.ptr, whole_payload.len);
    f->back->messages[0].payload = (fr_str){longer, whole_payload.len + 1};
    assert_fails(fr_decode(f->decoder, f->back, 0, &err), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "left over"));
    f->back->messages[0].payload = whole_payload;
    assert_ok(fr_decode(f->decoder, f->back, 0, &err));
    fr_table_unref(t);
}

/* ---- other people's ---- */

static int32_t register_text(fixture *f, const char *subject, const char *schema)
{
    int32_t id = 0;
    fr_str canonical;
    assert_ok(fr_avro_canonical(f->a, fr_cstr(schema), &canonical, &err));
    assert_ok(
        fr_registry_register(f->registry, subject, canonical, FR_COMPAT_NONE, true, &id, &err));
    return id;
}

static fr_str wire(fixture *f, int32_t id, const void *bytes, size_t len)
{
    fr_buf b = {.arena = f->a};
    fr_buf_u8(&b, 0);
    fr_buf_u32be(&b, (uint32_t)id);
    fr_buf_put(&b, bytes, len);
    return fr_buf_view(&b);
}

static fr_rc decode_one(fixture *f, const char *topic, fr_str key, fr_str payload)
{
    fr_message *m = fr_batch_message(f->back);
    m->topic = fr_cstr(topic);
    m->partition = 1;
    m->offset = 42;
    m->key = key;
    m->payload = payload;
    return fr_decode(f->decoder, f->back, f->back->message_count - 1, &err);
}

#define NO_KEY ((fr_str){NULL, 0})

static void a_plain_record_is_a_row(void **state)
{
    fixture *f = *state;
    int32_t key = register_text(f, "foreign-key",
                                "{\"type\":\"record\",\"name\":\"K\",\"fields\":["
                                "{\"name\":\"region\",\"type\":\"string\"},"
                                "{\"name\":\"id\",\"type\":\"int\"}]}");
    int32_t value = register_text(
        f, "foreign-value",
        "{\"type\":\"record\",\"name\":\"V\",\"fields\":["
        "{\"name\":\"id\",\"type\":\"int\"},"
        "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"}},"
        "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
        "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}},"
        "{\"name\":\"mixed\",\"type\":[\"null\",\"int\",\"string\"]},"
        "{\"name\":\"last\",\"type\":[\"string\",\"null\"]},"
        "{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}},"
        "{\"name\":\"u\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"}}]}");
    const char body[] = "\x02"
                        "\x04\x02x\x02y\x00"
                        "\xd0\x0f"
                        "\x02"
                        "\x04\x02q"
                        "\x02"
                        "\xab\xcd"
                        "\x48"
                        "00112233-4455-6677-8899-AABBCCDDEEFF";
    assert_ok(decode_one(f, "foreign",
                         wire(f, key,
                              "\x04"
                              "eu\x02",
                              4),
                         wire(f, value, body, sizeof body - 1)));
    assert_int_equal(f->back->count, 2);
    const fr_table *t = f->back->events[0].table;
    assert_int_equal(t->column_count, 9); /* region is known from the key alone */
    assert_str(t->columns[8].name, "region");
    assert_int_equal(t->columns[8].key_ordinal, 1);
    assert_int_equal(t->columns[0].key_ordinal, 2);
    const fr_value *v = f->back->events[1].after.values;
    assert_int_equal(v[0].integer, 1);
    assert_int_equal(v[1].kind, FR_JSON);
    assert_str(v[1].bytes, "[\"x\",\"y\"]");
    assert_int_equal(v[2].kind, FR_TIMESTAMP);
    assert_int_equal(v[2].integer, 1000000);
    assert_str(v[3].bytes, "B");
    assert_str(v[4].bytes, "\"q\"");
    assert_int_equal(v[5].kind, FR_NULL);
    assert_int_equal(v[6].bytes.len, 2);
    assert_str(v[7].bytes, "00112233-4455-6677-8899-aabbccddeeff");
    assert_str(v[8].bytes, "eu");
    assert_int_equal(f->back->events[1].position.lsn, 42);
    assert_int_equal(f->back->events[1].op, FR_OP_INSERT);
    /* Its tombstone deletes by the same key. */
    assert_ok(decode_one(f, "foreign",
                         wire(f, key,
                              "\x04"
                              "eu\x02",
                              4),
                         NO_KEY));
    const fr_event *d = &f->back->events[2];
    assert_int_equal(d->op, FR_OP_DELETE);
    assert_int_equal(d->before.values[0].integer, 1);
    assert_str(d->before.values[8].bytes, "eu");
    assert_int_equal(d->before.values[1].kind, FR_ABSENT);
}

#define DEBEZIUM                                                                                   \
    "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"srv.public.t\",\"fields\":["       \
    "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Value\",\"fields\":[" \
    "{\"name\":\"id\",\"type\":\"int\"},"                                                          \
    "{\"name\":\"name\",\"type\":[\"null\",\"string\"],\"default\":null},"                         \
    "{\"name\":\"price\",\"type\":[\"null\",{\"type\":\"bytes\",\"scale\":2,\"precision\":10,"     \
    "\"connect.version\":1,\"connect.parameters\":{\"scale\":\"2\"},"                              \
    "\"connect.name\":\"org.apache.kafka.connect.data.Decimal\",\"logicalType\":\"decimal\"}],"    \
    "\"default\":null},"                                                                           \
    "{\"name\":\"ts\",\"type\":[\"null\",{\"type\":\"long\",\"connect.version\":1,"                \
    "\"connect.name\":\"io.debezium.time.Timestamp\"}],\"default\":null}],"                        \
    "\"connect.name\":\"srv.public.t.Value\"}],\"default\":null},"                                 \
    "{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},"                         \
    "{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"Source\","                      \
    "\"namespace\":\"io.debezium.connector.postgresql\",\"fields\":["                              \
    "{\"name\":\"snapshot\",\"type\":[{\"type\":\"string\",\"connect.default\":\"false\"},"        \
    "\"null\"],\"default\":\"false\"},"                                                            \
    "{\"name\":\"lsn\",\"type\":[\"null\",\"long\"],\"default\":null}]}},"                         \
    "{\"name\":\"transaction\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"block\","        \
    "\"namespace\":\"event\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}],"                \
    "\"default\":null},"                                                                           \
    "{\"name\":\"op\",\"type\":\"string\"},"                                                       \
    "{\"name\":\"ts_ms\",\"type\":[\"null\",\"long\"],\"default\":null}]}"

static void debezium_is_understood(void **state)
{
    fixture *f = *state;
    int32_t id = register_text(f, "srv-value", DEBEZIUM);
    const char body[] = "\x00"                         /* before */
                        "\x02\x0a\x02\x38"             /* after: 5, name ... */
                        "__debezium_unavailable_value" /* ... 28 bytes */
                        "\x02\x04\x04\xd2"             /* 12.34 */
                        "\x02\xd0\x0f"                 /* 1000 ms */
                        "\x00\x0a"
                        "false"
                        "\x02\x08" /* source */
                        "\x00"
                        "\x02u"
                        "\x02\x02"; /* transaction, op, ts_ms */
    assert_ok(decode_one(f, "srv", NO_KEY, wire(f, id, body, sizeof body - 1)));
    const fr_event *event = &f->back->events[1];
    assert_int_equal(event->op, FR_OP_UPDATE);
    assert_int_equal(event->after.values[0].integer, 5);
    assert_int_equal(event->after.values[1].kind, FR_ABSENT);
    assert_str(fr_decimal_to_text(f->a, event->after.values[2].bytes, 2), "12.34");
    assert_int_equal(event->after.values[3].kind, FR_DATETIME);
    assert_int_equal(event->after.values[3].integer, 1000000);
    assert_int_equal(event->position.lsn, 42); /* foreign: guarded by the offset */
    assert_true(event->foreign);
    assert_false(event->table->full_before);
}

static void what_is_no_avro_is_refused(void **state)
{
    fixture *f = *state;
    assert_fails(decode_one(f, "x", NO_KEY, FR_STR("{\"a\":1}")), FR_ERR_DATA);
    assert_string_equal(err.code, "message.wire_format");
    assert_fails(decode_one(f, "x", NO_KEY, FR_STR("\0\0\0\x7f\xff.")), FR_ERR_DATA);
    assert_fails(decode_one(f, "x", NO_KEY, NO_KEY), FR_ERR_DATA);
    assert_string_equal(err.code, "message.tombstone");
    fr_message *closed = fr_batch_message(f->back); /* the same, and the marker's header */
    *closed = (fr_message){.topic = FR_STR("x"),
                           .headers = &(fr_header){FR_HEADER_CLOSED, FR_STR("x.v2")},
                           .header_count = 1};
    assert_ok(fr_decode(f->decoder, f->back, f->back->message_count - 1, &err));
    closed->key = FR_STR("\0\0\0\0\7\34freshet.closed");
    assert_ok(fr_decode(f->decoder, f->back, f->back->message_count - 1, &err));
    int32_t id = register_text(f, "prim-value", "\"string\"");
    assert_fails(decode_one(f, "prim", NO_KEY, wire(f, id, "\x02x", 2)), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "not of a record but of type string"));
    assert_int_equal(f->back->count, 0);
}

static void a_key_that_is_no_avro_is_no_key(void **state)
{
    fixture *f = *state;
    int32_t id = register_text(f, "lk-value",
                               "{\"type\":\"record\",\"name\":\"V\",\"fields\":["
                               "{\"name\":\"id\",\"type\":\"int\"}]}");
    assert_ok(decode_one(f, "lk", FR_STR("\0\0\0\0\0\0\0\x07"), wire(f, id, "\x02", 1)));
    assert_ok(decode_one(f, "lk", FR_STR("plain"), wire(f, id, "\x02", 1)));
    assert_int_equal(fr_table_key_count(f->back->events[0].table), 0);
}

static void hostile_bytes_are_refused(void **state)
{
    fixture *f = *state;
    int32_t id = register_text(f, "h-value",
                               "{\"type\":\"record\",\"name\":\"V\",\"fields\":["
                               "{\"name\":\"n\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},"
                               "{\"name\":\"s\",\"type\":\"string\"}]}");
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", 9, "more items"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "number"}, /* INT64_MIN, then nothing */
        {"\x00\xfe\xff\xff\xff\x0f", 6, "beyond the end"},          /* 2^31 - 1 bytes of text */
        {"\x00\x01", 2, "negative"},
        {"\x00\x04\xc3\x28", 4, "not UTF-8"},
        {"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(decode_one(f, "h", NO_KEY, wire(f, id, cases[i].bytes, cases[i].len)),
                     FR_ERR_DATA);
        if (strstr(err.text, cases[i].why) == NULL) {
            print_error("case %zu: %s\n", i, err.text);
            fail();
        }
    }
    /* A list that holds itself: 100 levels of one item each. */
    int32_t deep = register_text(f, "deep-value",
                                 "{\"type\":\"record\",\"name\":\"L\",\"fields\":["
                                 "{\"name\":\"next\",\"type\":[\"null\",\"L\"]}]}");
    char levels[101];
    memset(levels, 2, 100);
    levels[100] = 0;
    assert_fails(decode_one(f, "deep", NO_KEY, wire(f, deep, levels, 101)), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "deeper than 64"));
    assert_ok(decode_one(f, "deep", NO_KEY, wire(f, deep, "\x02\x02\x00", 3)));
    assert_str(f->back->events[1].after.values[0].bytes, "{\"next\":{\"next\":null}}");
}

static void json_of_everything(void **state)
{
    fixture *f = *state;
    fr_str out;
    const char schema[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
        "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"double\"}},"
        "{\"name\":\"d\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},"
        "{\"name\":\"b\",\"type\":\"bytes\"},"
        "{\"name\":\"n\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
        "\"precision\":6,\"scale\":3}}]}";
    const char plain[] = "\x02\x02k\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x02\x04\xde\xad\x02\xff";
    assert_ok(fr_avro_to_json(f->a, FR_STR(schema), FR_STR(plain), &out, &err));
    assert_str(out, "{\"m\":{\"k\":1.5},\"d\":\"1970-01-02\",\"b\":{\"$bytes\":\"dead\"},"
                    "\"n\":\"-0.001\"}");
    assert_fails(fr_avro_to_json(f->a, FR_STR(schema), FR_STR("\x02"), &out, &err), FR_ERR_DATA);
    assert_fails(fr_avro_to_json(f->a, FR_STR("{"), FR_STR(plain), &out, &err), FR_ERR_DATA);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_kind_comes_back),
        CASE(operations_and_places_come_back),
        CASE(a_tombstone_alone_is_a_delete),
        CASE(a_tombstone_where_reading_begins),
        CASE(a_state_tombstone_is_a_delete_even_first),
        CASE(truncate_and_messages_come_back),
        CASE(a_truncation_is_of_the_rows_table),
        CASE(table_is_told_once_a_version),
        CASE(a_full_batch_takes_nothing),
        CASE(bytes_cut_anywhere_are_refused),
        CASE(a_plain_record_is_a_row),
        CASE(debezium_is_understood),
        CASE(what_is_no_avro_is_refused),
        CASE(a_key_that_is_no_avro_is_no_key),
        CASE(hostile_bytes_are_refused),
        CASE(json_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
