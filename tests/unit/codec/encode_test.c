#include "tests/unit/codec/fixture.h"

/* orders(id key, note, amount not null, big text that may be absent) */
static const fr_table *orders(bool full_before)
{
    fr_column c[] = {column("id", FR_INT32, false, 1), column("note", FR_TEXT, true, 0),
                     column("amount", FR_DECIMAL, false, 0), column("big", FR_TEXT, true, 0)};
    c[3].may_be_absent = !full_before;
    return table_of("orders", c, 4, full_before);
}

static void set_row(fr_value *v, int id, const char *note, const char *big)
{
    v[0] = whole(FR_INT32, id);
    v[1] = note == NULL ? NONE : textual(FR_TEXT, note);
    v[2] = (fr_value){.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}}; /* 12.34 */
    v[3] = big == NULL ? MISSING : textual(FR_TEXT, big);
}

static fr_event *add_row(fixture *f, fr_op op, const fr_table *t, const fr_value *before,
                         const fr_value *after)
{
    fr_event *event = add_event(f->b, op, t, 0x1A2B30);
    if (before != NULL)
        event->before = row_of(f->b, t, before);
    if (after != NULL)
        event->after = row_of(f->b, t, after);
    return event;
}

static void insert_makes_one_message(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value v[4];
    set_row(v, 7, "hello", "x");
    fr_txn *txn = fr_arena_alloc(f->b->arena, sizeof *txn);
    *txn = (fr_txn){.id = FR_STR("571"), .commit_us = 1785578400123456};
    add_event(f->b, FR_OP_TABLE, t, 1);
    fr_event *event = add_row(f, FR_OP_INSERT, t, NULL, v);
    event->txn = txn;
    event->position.ordinal = 4;
    event->position.epoch = 2;
    encode_all(f);
    assert_int_equal(f->b->message_count, 1);
    const fr_message *m = &f->b->messages[0];
    assert_str(m->topic, "erp.public.orders");
    assert_int_equal(m->event, 1);
    assert_int_equal(m->partition, -1);
    assert_int_equal(m->key.len, 6); /* header, zigzag 7 */
    assert_int_equal(m->key.ptr[5], 14);
    assert_int_equal(m->partition_hash, fr_murmur2("\x0e", 1));
    fr_str json = json_of(f, m->payload);
    assert_contains(json, "\"before\":null,\"after\":{\"id\":7,\"note\":\"hello\","
                          "\"amount\":\"12.34\",\"big\":\"x\"}");
    assert_contains(json, "\"source\":{\"version\":\"0.1.0\",\"connector\":\"postgresql\","
                          "\"name\":\"erp\",\"ts_ms\":1785578400123,\"snapshot\":\"false\","
                          "\"db\":\"shop\",\"sequence\":\"[\\\"1714992\\\",\\\"1714991\\\"]\","
                          "\"ts_us\":1785578400123456,\"ts_ns\":1785578400123456000,"
                          "\"schema\":\"public\",\"table\":\"orders\",\"txId\":571,"
                          "\"lsn\":1714991,\"xmin\":null,\"origin\":null,\"origin_lsn\":null,"
                          "\"epoch\":2,\"ordinal\":4},\"transaction\":null,\"op\":\"c\"");
    assert_contains(json, "\"unavailable\":[]}");
    fr_table_unref(t);
}

static void snapshot_row_is_r(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value v[4];
    set_row(v, 1, NULL, "x");
    add_row(f, FR_OP_READ, t, NULL, v);
    encode_all(f);
    fr_str json = json_of(f, f->b->messages[0].payload);
    assert_contains(json, "\"op\":\"r\"");
    assert_contains(json, "\"snapshot\":\"true\"");
    assert_contains(json, "\"note\":null");
    fr_table_unref(t);
}

static void update_names_what_is_unavailable(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value v[4];
    set_row(v, 1, "n", NULL);
    add_row(f, FR_OP_UPDATE, t, NULL, v);
    encode_all(f);
    fr_str json = json_of(f, f->b->messages[0].payload);
    assert_contains(json, "{\"before\":null,\"after\":{");
    assert_contains(json, "\"big\":null}");
    assert_contains(json, "\"op\":\"u\"");
    assert_contains(json, "\"unavailable\":[\"big\"]");
    fr_table_unref(t);
}

static void a_full_old_row_makes_up_for_what_is_absent(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(true);
    fr_value before[4], after[4];
    set_row(before, 1, "n", "old");
    set_row(after, 1, "m", NULL);
    add_row(f, FR_OP_UPDATE, t, before, after);
    encode_all(f);
    fr_str json = json_of(f, f->b->messages[0].payload);
    assert_contains(json,
                    "\"before\":{\"id\":1,\"note\":\"n\",\"amount\":\"12.34\",\"big\":\"old\"},"
                    "\"after\":{\"id\":1,\"note\":\"m\",\"amount\":\"12.34\",\"big\":\"old\"}");
    assert_contains(json, "\"unavailable\":[]");
    fr_table_unref(t);
}

static void delete_has_its_key_and_a_tombstone(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value before[4] = {whole(FR_INT32, 5), MISSING, MISSING, MISSING};
    add_row(f, FR_OP_DELETE, t, before, NULL);
    encode_all(f);
    assert_int_equal(f->b->message_count, 2);
    fr_str json = json_of(f, f->b->messages[0].payload);
    assert_contains(json, "{\"before\":{\"id\":5,\"note\":null,\"amount\":null,\"big\":null},"
                          "\"after\":null");
    assert_contains(json, "\"op\":\"d\"");
    assert_null(f->b->messages[1].payload.ptr);
    assert_true(fr_str_eq(f->b->messages[0].key, f->b->messages[1].key));
    assert_int_equal(f->b->messages[0].partition_hash, f->b->messages[1].partition_hash);
    fr_batch_reset(f->b);
    f->ts.tombstones = false;
    add_row(f, FR_OP_DELETE, t, before, NULL);
    encode_all(f);
    assert_int_equal(f->b->message_count, 1);
    fr_table_unref(t);
}

static void changed_key_is_delete_tombstone_create(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value before[4] = {whole(FR_INT32, 5), MISSING, MISSING, MISSING}, after[4];
    set_row(after, 6, "n", "big");
    add_row(f, FR_OP_UPDATE, t, before, after);
    encode_all(f);
    assert_int_equal(f->b->message_count, 3);
    const fr_message *m = f->b->messages;
    assert_contains(json_of(f, m[0].payload), "\"op\":\"d\"");
    assert_contains(json_of(f, m[0].key), "{\"id\":5}");
    assert_null(m[1].payload.ptr);
    assert_contains(json_of(f, m[1].key), "{\"id\":5}");
    assert_contains(json_of(f, m[2].payload), "{\"before\":null,\"after\":{\"id\":6,");
    assert_contains(json_of(f, m[2].payload), "\"op\":\"c\"");
    assert_contains(json_of(f, m[2].key), "{\"id\":6}");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(m[i].event, 0);
    fr_table_unref(t);
}

static void same_key_by_value_is_one_update(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value before[4] = {whole(FR_INT32, 5), MISSING, MISSING, MISSING}, after[4];
    set_row(after, 5, "n", "big");
    add_row(f, FR_OP_UPDATE, t, before, after);
    encode_all(f);
    assert_int_equal(f->b->message_count, 1);
    assert_contains(json_of(f, f->b->messages[0].payload), "\"op\":\"u\"");
    fr_table_unref(t);
}

static void refuses(fixture *f, const char *code, const char *text)
{
    size_t done = 99;
    size_t messages = f->b->message_count;
    assert_fails(fr_encode(f->encoder, f->b, 0, f->b->count, &done, &err), FR_ERR_DATA);
    assert_int_equal(done, f->b->count - 1);
    if (strcmp(err.code, code) != 0 || strstr(err.text, text) == NULL) {
        print_error("[%s] %s\n", err.code, err.text);
        fail();
    }
    f->b->message_count = messages;
}

static void changed_key_beside_an_absent_value_is_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value before[4] = {whole(FR_INT32, 5), MISSING, MISSING, MISSING}, after[4];
    set_row(after, 6, "n", NULL);
    add_row(f, FR_OP_UPDATE, t, before, after);
    refuses(f, "row.key_changed_beside_absent", "table public.orders: column big (native)");
    assert_non_null(strstr(err.hint, "REPLICA IDENTITY FULL"));
    assert_int_equal(f->b->message_count, 0);
    fr_table_unref(t);
}

static void bad_values_are_named(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value good[4], v[4];
    set_row(good, 1, "n", "b");
    add_row(f, FR_OP_INSERT, t, NULL, good);
    memcpy(v, good, sizeof v);
    v[0] = NONE;
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.value", "column id (native): NULL in a NOT NULL column (at 0/1A2B30 #0)");
    fr_batch_reset(f->b);
    memcpy(v, good, sizeof v);
    v[0].integer = INT64_C(1) << 31;
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.value", "column id (native): a number that 32 bits do not hold");
    fr_batch_reset(f->b);
    memcpy(v, good, sizeof v);
    v[1] = whole(FR_INT64, 3);
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.value", "column note (native): a value of kind INT64 where TEXT is written");
    fr_batch_reset(f->b);
    memcpy(v, good, sizeof v);
    v[2].bytes = FR_STR("123456789");
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.value", "column amount (native): a decimal with more digits");
    fr_batch_reset(f->b);
    add_row(f, FR_OP_INSERT, t, NULL, good)->bad = FR_STR("column x: cannot");
    refuses(f, "row.bad", "column x: cannot");
    fr_table_unref(t);
}

static void a_row_too_large_is_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    fr_value v[4];
    f->source.max_row_bytes = 300;
    char *big = fr_arena_alloc(f->a, 400);
    memset(big, 'x', 399);
    set_row(v, 1, "n", big);
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.too_large", "more than daemon.max_row_bytes (300)");
    fr_table_unref(t);
}

static void append_only_takes_inserts_only(void **state)
{
    fixture *f = *state;
    f->ts.append_only = true;
    fr_column c[] = {column("a", FR_INT32, false, 0)};
    const fr_table *t = table_of("log", c, 1, false);
    fr_value v[1] = {whole(FR_INT32, 1)};
    add_row(f, FR_OP_INSERT, t, NULL, v);
    encode_all(f);
    assert_null(f->b->messages[0].key.ptr);
    fr_batch_reset(f->b);
    add_row(f, FR_OP_UPDATE, t, NULL, v);
    refuses(f, "row.append_only", "an update, but the table is append_only");
    fr_batch_reset(f->b);
    add_row(f, FR_OP_DELETE, t, v, NULL);
    refuses(f, "row.append_only", "a delete, but the table is append_only");
    fr_table_unref(t);
}

static void truncate_follows_its_policy(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    add_event(f->b, FR_OP_TRUNCATE, t, 9);
    refuses(f, "table.truncated", "TRUNCATE");
    assert_non_null(strstr(err.hint, "truncate: publish"));
    f->ts.truncate = FR_TRUNCATE_IGNORE;
    encode_all(f);
    assert_int_equal(f->b->message_count, 0);
    f->ts.truncate = FR_TRUNCATE_PUBLISH;
    encode_all(f);
    assert_int_equal(f->b->message_count, 1);
    assert_null(f->b->messages[0].key.ptr);
    assert_true(f->b->messages[0].everywhere);
    assert_contains(json_of(f, f->b->messages[0].payload), "{\"before\":null,\"after\":null,");
    assert_contains(json_of(f, f->b->messages[0].payload), "\"op\":\"t\"");
    fr_table_unref(t);
}

static void state_is_the_row_itself(void **state)
{
    fixture *f = *state;
    f->ts.envelope = FR_ENVELOPE_STATE;
    const fr_table *t = orders(true);
    fr_value v[4], before[4];
    set_row(v, 3, "n", "b");
    set_row(before, 2, "n", "b");
    add_row(f, FR_OP_READ, t, NULL, v);
    add_row(f, FR_OP_UPDATE, t, before, v);
    add_row(f, FR_OP_DELETE, t, v, NULL);
    encode_all(f);
    const fr_message *m = f->b->messages;
    assert_int_equal(f->b->message_count, 4);
    assert_str(json_of(f, m[0].payload),
               "{\"id\":3,\"note\":\"n\",\"amount\":\"12.34\",\"big\":\"b\"}");
    assert_contains(json_of(f, m[1].key), "{\"id\":2}");
    assert_null(m[1].payload.ptr);
    assert_true(fr_str_eq(m[2].payload, m[0].payload));
    assert_null(m[3].payload.ptr);
    fr_table_unref(t);
}

static void partition_by_hashes_its_columns(void **state)
{
    fixture *f = *state;
    const char *by[] = {"note"};
    f->ts.partition_by = (fr_texts){by, 1};
    const fr_table *t = orders(true);
    fr_value v[4], before[4];
    set_row(before, 3, "a", "b");
    set_row(v, 3, "z", "b");
    add_row(f, FR_OP_INSERT, t, NULL, before);
    add_row(f, FR_OP_UPDATE, t, before, v);
    encode_all(f);
    const fr_message *m = f->b->messages;
    assert_int_equal(f->b->message_count, 4); /* c; then d, tombstone, c: it moves */
    assert_int_equal(m[0].partition_hash, fr_murmur2("\x02\x02"
                                                     "a",
                                                     3));
    assert_int_equal(m[1].partition_hash, m[0].partition_hash);
    assert_int_equal(m[2].partition_hash, m[0].partition_hash);
    assert_int_equal(m[3].partition_hash, fr_murmur2("\x02\x02"
                                                     "z",
                                                     3));
    fr_table_unref(t);
}

static void partitioner_murmur2_hashes_all_of_the_key(void **state)
{
    fixture *f = *state;
    f->kafka.partitioner = 1;
    const fr_table *t = orders(true);
    fr_value v[4];
    set_row(v, 3, "a", "b");
    add_row(f, FR_OP_INSERT, t, NULL, v);
    encode_all(f);
    fr_str key = f->b->messages[0].key;
    assert_int_equal(f->b->messages[0].partition_hash, fr_murmur2(key.ptr, key.len));
    fr_table_unref(t);
}

static void transaction_is_counted(void **state)
{
    fixture *f = *state;
    f->source.transaction_metadata = true;
    const fr_table *t = orders(true);
    fr_column c[] = {column("a", FR_INT32, false, 1)};
    const fr_table *other = table_of("other", c, 1, false);
    fr_value v[4], w[4], one[1] = {whole(FR_INT32, 1)};
    set_row(v, 3, "a", "b");
    set_row(w, 4, "a", "b");
    fr_txn *txn = fr_arena_alloc(f->b->arena, sizeof *txn);
    *txn = (fr_txn){.id = FR_STR("99"), .commit_us = 1000000};
    add_event(f->b, FR_OP_BEGIN, NULL, 9);
    add_row(f, FR_OP_INSERT, t, NULL, v);
    add_row(f, FR_OP_INSERT, other, NULL, one);
    add_row(f, FR_OP_UPDATE, t, v, w); /* a changed key: two messages that count */
    add_event(f->b, FR_OP_COMMIT, NULL, 9);
    for (size_t i = 0; i < f->b->count; i++)
        f->b->events[i].txn = txn;
    encode_all(f);
    const fr_message *m = f->b->messages;
    assert_int_equal(f->b->message_count, 7);
    assert_str(m[0].topic, "erp.transaction");
    assert_str(json_of(f, m[0].key), "{\"id\":\"99\"}");
    assert_str(json_of(f, m[0].payload), "{\"status\":\"BEGIN\",\"id\":\"99\",\"event_count\":null,"
                                         "\"data_collections\":null,\"ts_ms\":1000}");
    assert_contains(json_of(f, m[1].payload), "\"transaction\":{\"id\":\"99\",\"total_order\":1,"
                                              "\"data_collection_order\":1}");
    assert_contains(json_of(f, m[2].payload), "\"total_order\":2,\"data_collection_order\":1}");
    assert_contains(json_of(f, m[3].payload), "\"total_order\":3,\"data_collection_order\":2}");
    assert_contains(json_of(f, m[5].payload), "\"total_order\":4,\"data_collection_order\":3}");
    assert_str(json_of(f, m[6].payload),
               "{\"status\":\"END\",\"id\":\"99\",\"event_count\":4,\"data_collections\":["
               "{\"data_collection\":\"public.orders\",\"event_count\":3},"
               "{\"data_collection\":\"public.other\",\"event_count\":1}],\"ts_ms\":1000}");
    fr_table_unref(t);
    fr_table_unref(other);
}

static void a_transaction_seen_late_has_no_counts(void **state)
{
    fixture *f = *state;
    f->source.transaction_metadata = true;
    const fr_table *t = orders(true);
    fr_value v[4];
    set_row(v, 3, "a", "b");
    fr_txn txn = {.id = FR_STR("99"), .commit_us = 1000000};
    add_event(f->b, FR_OP_BEGIN, NULL, 9)->txn = &txn;
    encode_all(f);
    fr_batch_reset(f->b);
    fr_encoder_rewind(f->encoder);
    add_row(f, FR_OP_INSERT, t, NULL, v)->txn = &txn;
    add_event(f->b, FR_OP_COMMIT, NULL, 9)->txn = &txn;
    encode_all(f);
    assert_contains(json_of(f, f->b->messages[0].payload), "\"transaction\":null");
    assert_contains(json_of(f, f->b->messages[1].payload), "\"event_count\":null");
    fr_table_unref(t);
}

static void a_failed_event_counts_for_nothing(void **state)
{
    fixture *f = *state;
    f->source.transaction_metadata = true;
    const fr_table *t = orders(true);
    fr_value v[4], w[4];
    fr_txn txn = {.id = FR_STR("99"), .commit_us = 1000000};
    set_row(v, 3, "a", "b");
    set_row(w, 4, "a", "b");
    w[2].bytes = FR_STR("123456789"); /* the delete is made, the create fails */
    add_event(f->b, FR_OP_BEGIN, NULL, 9)->txn = &txn;
    add_row(f, FR_OP_UPDATE, t, v, w)->txn = &txn;
    size_t done;
    assert_fails(fr_encode(f->encoder, f->b, 0, 2, &done, &err), FR_ERR_DATA);
    assert_int_equal(done, 1);
    assert_int_equal(f->b->message_count, 1);
    add_event(f->b, FR_OP_COMMIT, NULL, 9)->txn = &txn;
    assert_ok(fr_encode(f->encoder, f->b, 2, 3, &done, &err));
    assert_contains(json_of(f, f->b->messages[1].payload), "\"event_count\":0");
    fr_table_unref(t);
}

static void logical_messages_have_a_topic(void **state)
{
    fixture *f = *state;
    fr_event *event = add_event(f->b, FR_OP_MESSAGE, NULL, 77);
    event->name = FR_STR("audit");
    event->body = FR_STR("\x01\xff");
    encode_all(f);
    const fr_message *m = f->b->messages;
    assert_str(m[0].topic, "erp.message");
    assert_str(json_of(f, m[0].key), "{\"prefix\":\"audit\"}");
    assert_contains(json_of(f, m[0].payload), "{\"op\":\"m\",");
    assert_contains(json_of(f, m[0].payload),
                    "\"message\":{\"prefix\":\"audit\",\"content\":{\"$bytes\":\"01ff\"}}");
}

static void casts_are_done(void **state)
{
    fixture *f = *state;
    fr_pair types[] = {{"n", "decimal(20,3)"},
                       {"t", "decimal(6,1)"},
                       {"d", "string"},
                       {"x", "string"},
                       {"i", "long"}};
    f->ts.column_types = (fr_pairs){types, 5};
    fr_column c[] = {column("id", FR_INT32, false, 1), column("n", FR_DECIMAL, false, 0),
                     column("t", FR_TEXT, true, 0),    column("d", FR_DATE, true, 0),
                     column("x", FR_FLOAT64, true, 0), column("i", FR_INT32, true, 0)};
    const fr_table *t = table_of("cast", c, 6, true);
    fr_value v[6] = {whole(FR_INT32, 1),
                     {.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}},
                     textual(FR_TEXT, "-7.5"),
                     whole(FR_DATE, 0),
                     {.kind = FR_FLOAT64, .real = 0.1},
                     whole(FR_INT32, -2)};
    add_row(f, FR_OP_INSERT, t, NULL, v);
    encode_all(f);
    assert_contains(json_of(f, f->b->messages[0].payload),
                    "{\"id\":1,\"n\":\"12.340\",\"t\":\"-7.5\",\"d\":\"1970-01-01\","
                    "\"x\":\"0.1\",\"i\":-2}");
    v[2] = textual(FR_TEXT, "NaN");
    fr_batch_reset(f->b);
    add_row(f, FR_OP_INSERT, t, NULL, v);
    refuses(f, "row.value", "column t (native): a value that its decimal of columns.types");
    fr_table_unref(t);
}

static void another_key_under_a_topic_is_refused(void **state)
{
    fixture *f = *state;
    fr_column c[] = {column("a", FR_INT32, false, 1), column("b", FR_INT32, false, 2)};
    const fr_table *t = table_of("moved", c, 2, true);
    c[1].key_ordinal = 0;
    const fr_table *other = table_of("moved", c, 2, true);
    size_t done;
    add_event(f->b, FR_OP_TABLE, t, 1);
    add_event(f->b, FR_OP_TABLE, other, 1);
    assert_fails(fr_encode(f->encoder, f->b, 0, 2, &done, &err), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "schema.key_changed");
    assert_int_equal(done, 1);
    fr_table_unref(t);
    fr_table_unref(other);
}

/* Encodes a row of the table by a new encoder (as after a restart) or the one at hand; how many
 * columns of a, b, c it has. */
static fr_rc encode_columns(fixture *f, size_t columns, bool restart)
{
    fr_column c[] = {column("a", FR_INT32, false, 1), column("b", FR_INT32, true, 0),
                     column("c", FR_INT32, true, 0)};
    const fr_table *t = table_of("came_and_went", c, columns, true);
    fr_value v[3] = {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(FR_INT32, 3)};
    size_t done;
    if (restart)
        open_encoder(f);
    fr_batch_reset(f->b);
    add_row(f, FR_OP_INSERT, t, NULL, v);
    fr_rc rc = fr_encode(f->encoder, f->b, 0, f->b->count, &done, &err);
    if (rc == FR_OK)
        f->published = f->b->messages[f->b->message_count - 1].schema;
    fr_table_unref(t);
    return rc;
}

static void refused_drop(fixture *f, bool restart, const char *columns)
{
    assert_int_equal(encode_columns(f, 1, restart), FR_FAIL);
    assert_string_equal(err.code, "schema.on_change");
    assert_non_null(strstr(err.text, columns));
}

static void a_table_is_judged_by_what_was_published_last(void **state)
{
    fixture *f = *state;
    f->ts.schema_compat = FR_COMPAT_NONE;
    f->ts.drop_column = FR_CHANGE_STOP;
    assert_ok(encode_columns(f, 1, true));
    int32_t first = f->published;
    assert_true(first > 0);
    assert_ok(encode_columns(f, 2, true));
    assert_int_not_equal(f->published, first);
    refused_drop(f, true, "-b");
    f->ts.drop_column = FR_CHANGE_EVOLVE;
    assert_ok(encode_columns(f, 1, true));
    assert_int_equal(f->published, first);
    /* The newest version of the subject has b, but c is all that is new to the topic. */
    f->ts.add_column = FR_CHANGE_STOP;
    assert_int_equal(encode_columns(f, 3, true), FR_FAIL);
    assert_non_null(strstr(err.text, "+b, +c"));
    assert_ok(encode_columns(f, 1, true)); /* nothing has changed */
}

static void also_without_a_restart(void **state)
{
    fixture *f = *state;
    f->ts.schema_compat = FR_COMPAT_NONE;
    f->ts.drop_column = FR_CHANGE_STOP;
    assert_ok(encode_columns(f, 1, false));
    assert_ok(encode_columns(f, 3, false));
    refused_drop(f, false, "-b, -c");
    refused_drop(f, false, "-b, -c"); /* again: it is tried again in its turn */
}

static void what_the_registry_lost_is_judged_by_its_newest(void **state)
{
    fixture *f = *state;
    f->ts.schema_compat = FR_COMPAT_NONE;
    f->ts.drop_column = FR_CHANGE_STOP;
    assert_ok(encode_columns(f, 2, true));
    f->published = 4711;
    f->ts.drop_column = FR_CHANGE_STOP;
    refused_drop(f, true, "-b");
    f->published = 4711;
    assert_ok(encode_columns(f, 2, true));
}

/* Two readers of a snapshot have the same table in two structs. */
static void the_same_table_twice_is_no_change(void **state)
{
    fixture *f = *state;
    f->ts.add_column = f->ts.drop_column = f->ts.change_type = FR_CHANGE_STOP;
    for (int i = 0; i < 4; i++)
        assert_ok(encode_columns(f, 2, false));
}

static void unknown_subjects_wait_for_apply(void **state)
{
    fixture *f = *state;
    f->registry_settings.register_when = FR_WHEN_APPLY;
    const fr_table *t = orders(true);
    size_t done;
    add_event(f->b, FR_OP_TABLE, t, 1);
    assert_fails(fr_encode(f->encoder, f->b, 0, 1, &done, &err), FR_ERR_SCHEMA);
    fr_table_unref(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(insert_makes_one_message),
        CASE(snapshot_row_is_r),
        CASE(update_names_what_is_unavailable),
        CASE(a_full_old_row_makes_up_for_what_is_absent),
        CASE(delete_has_its_key_and_a_tombstone),
        CASE(changed_key_is_delete_tombstone_create),
        CASE(same_key_by_value_is_one_update),
        CASE(changed_key_beside_an_absent_value_is_refused),
        CASE(bad_values_are_named),
        CASE(a_row_too_large_is_refused),
        CASE(append_only_takes_inserts_only),
        CASE(truncate_follows_its_policy),
        CASE(state_is_the_row_itself),
        CASE(partition_by_hashes_its_columns),
        CASE(partitioner_murmur2_hashes_all_of_the_key),
        CASE(transaction_is_counted),
        CASE(a_transaction_seen_late_has_no_counts),
        CASE(a_failed_event_counts_for_nothing),
        CASE(logical_messages_have_a_topic),
        CASE(casts_are_done),
        CASE(another_key_under_a_topic_is_refused),
        CASE(a_table_is_judged_by_what_was_published_last),
        CASE(also_without_a_restart),
        CASE(what_the_registry_lost_is_judged_by_its_newest),
        CASE(the_same_table_twice_is_no_change),
        CASE(unknown_subjects_wait_for_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
