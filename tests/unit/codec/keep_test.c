/* schema.on_change: ignore. A table that changes goes on in the shape that was published last. */
#include "codec/change.h"
#include "tests/unit/codec/fixture.h"

static char said[256];

static void kept(void *context, const fr_table *t, fr_str what)
{
    (void)context, (void)t;
    snprintf(said, sizeof said, "%.*s", FR_ARG(what));
}

static void restart(fixture *f)
{
    fr_encoder_settings s = {.source = &f->source,
                             .registry_settings = &f->registry_settings,
                             .kafka = &f->kafka,
                             .origin = origin(),
                             .route = route_of,
                             .published = published,
                             .kept = kept,
                             .context = f};
    fr_encoder_free(f->encoder);
    f->encoder = fr_encoder_new(&s, f->registry);
}

static void ignore_all(fixture *f)
{
    f->ts.add_column = f->ts.drop_column = f->ts.change_type = f->ts.rename_column =
        FR_CHANGE_IGNORE;
}

/* One row of the table, as it is inserted. */
static fr_rc give(fixture *f, const fr_column *columns, size_t count, const fr_value *values)
{
    const fr_table *t = table_of("t", columns, count, true);
    size_t done;
    fr_batch_reset(f->b);
    fr_event *e = add_event(f->b, FR_OP_INSERT, t, 0x1A2B30);
    e->after = row_of(f->b, t, values);
    fr_rc rc = fr_encode(f->encoder, f->b, 0, 1, &done, &err);
    if (rc == FR_OK)
        f->published = f->b->messages[0].schema;
    fr_table_unref(t);
    return rc;
}

/* What of it is published, and what is said of the shape. */
static void gives(fixture *f, const fr_column *columns, size_t count, const fr_value *values,
                  const char *after, const char *what)
{
    snprintf(said, sizeof said, "(nothing)");
    assert_ok(give(f, columns, count, values));
    assert_contains(json_of(f, f->b->messages[0].payload),
                    fr_arena_cstr(f->a, fr_arena_printf(f->a, "\"after\":%s,", after)));
    assert_string_equal(said, what);
}

static void refuses(fixture *f, const fr_column *columns, size_t count, const fr_value *values,
                    const char *code, const char *what)
{
    assert_int_equal(give(f, columns, count, values), FR_FAIL);
    if (strcmp(err.code, code) != 0 || strstr(err.text, what) == NULL || err.hint[0] == 0) {
        print_error("%s [%s]\n", err.text, err.code);
        fail();
    }
}

/* id key, v, c: as they were first. */
static void begin(fixture *f, fr_kind c_kind, bool c_nullable)
{
    const fr_column c[] = {column("id", FR_INT32, false, 1), column("v", FR_INT32, true, 0),
                           column("c", c_kind, c_nullable, 0)};
    const fr_value v[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(c_kind, 3)};
    f->ts.schema_compat = FR_COMPAT_NONE;
    restart(f);
    ignore_all(f);
    gives(f, c, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "");
}

#define ID column("id", FR_INT32, false, 1)
#define V column("v", FR_INT32, true, 0)
#define C column("c", FR_INT32, true, 0)
#define D column("d", FR_INT32, true, 0)
#define N column("n", FR_INT32, true, 0)
#define NUMBERS                                                                                    \
    {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(FR_INT32, 3), whole(FR_INT32, 4),               \
     whole(FR_INT32, 5)}

static void an_added_column_is_left_out(void **state)
{
    fixture *f = *state;
    const fr_column more[] = {ID, V, C, N};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    for (int i = 0; i < 3; i++) {
        gives(f, more, 4, v, "{\"id\":1,\"v\":2,\"c\":3}", "n left out");
        assert_int_equal(f->published, first);
        restart(f); /* what was published last says the same again */
    }
    f->ts.add_column = FR_CHANGE_EVOLVE;
    restart(f);
    gives(f, more, 4, v, "{\"id\":1,\"v\":2,\"c\":3,\"n\":4}", "");
    assert_int_not_equal(f->published, first);
}

static void a_dropped_column_is_null_or_its_default(void **state)
{
    fixture *f = *state;
    const fr_column less[] = {ID, V};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    gives(f, less, 2, v, "{\"id\":1,\"v\":2,\"c\":null}", "c without its column");
    assert_int_equal(f->published, first);
    const fr_column two[] = {ID, C};
    gives(f, two, 2, v, "{\"id\":1,\"v\":null,\"c\":2}", "v without its column");
    f->ts.drop_column = FR_CHANGE_BLOCK;
    restart(f);
    refuses(f, less, 2, v, "schema.blocked", "-c: schema.on_change.drop_column says block");
}

static void a_dropped_column_that_must_be_there_holds_the_table(void **state)
{
    fixture *f = *state;
    const fr_column less[] = {ID, V};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, false);
    refuses(f, less, 2, v, "schema.blocked",
            "table public.t: schema.on_change says ignore, but its former shape cannot be kept: "
            "field c: its column is gone");
}

static void a_renamed_column_fills_its_field(void **state)
{
    fixture *f = *state;
    const fr_column one[] = {ID, V, D}, both[] = {ID, D, N}, more[] = {ID, V, D, N};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    gives(f, one, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "c from d");
    gives(f, both, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "v from d, c from n");
    gives(f, more, 4, v, "{\"id\":1,\"v\":2,\"c\":3}", "c from d, n left out");
    assert_int_equal(f->published, first);
}

static void a_renamed_key_keeps_its_name(void **state)
{
    fixture *f = *state;
    const fr_column other[] = {column("number", FR_INT32, false, 1), V, C};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    gives(f, other, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "id from number");
    assert_str(json_of(f, f->b->messages[0].key), "{\"id\":1}");
}

/* Nobody would see that a field is null now, whose column has another name only. */
static void what_cannot_be_told_from_a_rename_is_not_kept(void **state)
{
    fixture *f = *state;
    const fr_column retyped[] = {ID, V, column("d", FR_INT64, true, 0)};
    const fr_column one_of_two[] = {ID, D};
    const fr_column moved[] = {D, ID, V};
    const fr_column later[] = {ID, C, N};
    const fr_value v[] = NUMBERS;
    const fr_value w[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(FR_INT64, 3)};
    begin(f, FR_INT32, true);
    refuses(f, retyped, 3, w, "schema.blocked",
            "-c: schema.on_change.drop_column says ignore, but");
    refuses(f, one_of_two, 2, v, "schema.blocked", "dropped or renamed");
    refuses(f, moved, 3, v, "schema.blocked", "-c: ");
    gives(f, later, 3, v, "{\"id\":1,\"v\":null,\"c\":2}", "v without its column, n left out");
}

static void a_changed_type_is_kept_while_values_fit(void **state)
{
    fixture *f = *state;
    const fr_column wide[] = {ID, V, column("c", FR_INT64, true, 0)};
    fr_value v[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(FR_INT64, 3)};
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    gives(f, wide, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "c of its former type");
    assert_int_equal(f->published, first);
    v[2].integer = INT64_C(3000000000);
    refuses(f, wide, 3, v, "schema.not_kept", "column c (native): INT64 that 32 bits do not hold");
    assert_int_equal(err.kind, FR_ERR_DATA); /* errors.mode */
    v[2].integer = 4;
    gives(f, wide, 3, v, "{\"id\":1,\"v\":2,\"c\":4}", "c of its former type");
    const fr_column text[] = {ID, V, column("c", FR_TEXT, true, 0)};
    const fr_value w[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), textual(FR_TEXT, "x")};
    refuses(f, text, 3, w, "schema.blocked", "field c: column c (native, TEXT) cannot be written");
}

static void what_was_required_stays_so(void **state)
{
    fixture *f = *state;
    const fr_column c[] = {ID, V, C};
    const fr_value v[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), NONE};
    begin(f, FR_INT32, false);
    refuses(f, c, 3, v, "schema.not_kept", "NULL, and it is not nullable");
}

/* Each kind of change by its own key. */
static void some_is_kept_and_some_evolves(void **state)
{
    fixture *f = *state;
    const fr_column next[] = {ID, V, D, column("n", FR_TEXT, true, 0)};
    const fr_value v[] = {whole(FR_INT32, 1), whole(FR_INT32, 2), whole(FR_INT32, 3),
                          textual(FR_TEXT, "x")};
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    f->ts.add_column = FR_CHANGE_EVOLVE;
    gives(f, next, 4, v, "{\"id\":1,\"v\":2,\"c\":3,\"n\":\"x\"}", "c from d");
    int32_t second = f->published;
    assert_int_not_equal(second, first);
    restart(f);
    gives(f, next, 4, v, "{\"id\":1,\"v\":2,\"c\":3,\"n\":\"x\"}", "c from d");
    assert_int_equal(f->published, second);
    f->ts.rename_column = FR_CHANGE_BLOCK;
    restart(f);
    refuses(f, next, 4, v, "schema.blocked", "c->d: schema.on_change.rename_column says block");
    f->ts.rename_column = FR_CHANGE_EVOLVE;
    restart(f);
    gives(f, next, 4, v, "{\"id\":1,\"v\":2,\"d\":3,\"n\":\"x\"}", "");
}

/* Rows of both shapes come at once: those of a snapshot, and the log's from before the ALTER. */
static void both_shapes_are_one(void **state)
{
    fixture *f = *state;
    const fr_column old[] = {ID, V, C}, next[] = {ID, V, C, N};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    int32_t first = f->published;
    for (int i = 0; i < 3; i++) {
        gives(f, next, 4, v, "{\"id\":1,\"v\":2,\"c\":3}", "n left out");
        gives(f, old, 3, v, "{\"id\":1,\"v\":2,\"c\":3}", "");
        assert_int_equal(f->published, first);
    }
    restart(f);
    f->published = 4711; /* the registry does not have that: its newest is the judge */
    restart(f);
    gives(f, next, 4, v, "{\"id\":1,\"v\":2,\"c\":3}", "n left out");
}

/* The same version of the table again, when another shape was published meanwhile. */
static void what_is_kept_follows_what_was_published(void **state)
{
    fixture *f = *state;
    const fr_column next[] = {ID, V, C, N};
    const fr_value v[] = NUMBERS;
    begin(f, FR_INT32, true);
    const fr_table *t = table_of("t", next, 4, true);
    for (int i = 0; i < 2; i++) {
        size_t done;
        fr_batch_reset(f->b);
        add_event(f->b, FR_OP_INSERT, t, 7)->after = row_of(f->b, t, v);
        assert_ok(fr_encode(f->encoder, f->b, 0, 1, &done, &err));
        assert_contains(json_of(f, f->b->messages[0].payload),
                        i == 0 ? "\"after\":{\"id\":1,\"v\":2,\"c\":3},"
                               : "\"after\":{\"id\":1,\"v\":2},");
        const fr_column less[] = {ID, V};
        f->ts.drop_column = FR_CHANGE_EVOLVE;
        gives(f, less, 2, v, "{\"id\":1,\"v\":2}", "");
    }
    fr_table_unref(t);
}

/* A mask that names the column as it was called does not cover it any more. */
static void what_was_masked_stays_so(void **state)
{
    fixture *f = *state;
    const fr_column first[] = {ID, column("c", FR_TEXT, true, 0)};
    const fr_column next[] = {ID, column("d", FR_TEXT, true, 0)};
    const fr_value v[] = {whole(FR_INT32, 1), textual(FR_TEXT, "x")};
    fr_pair was = {"c", "hash"}, is = {"d", "hash"};
    restart(f);
    ignore_all(f);
    f->ts.column_mask = (fr_pairs){&was, 1};
    assert_ok(give(f, first, 2, v));
    refuses(f, next, 2, v, "schema.blocked", "field c would be masked otherwise than it was");
    f->ts.column_mask = (fr_pairs){&is, 1};
    restart(f);
    gives(f, next, 2, v, "{\"id\":1,\"c\":\"x\"}", "c from d");
}

static void state_records_too(void **state)
{
    fixture *f = *state;
    const fr_column c[] = {ID, V}, next[] = {ID, column("w", FR_INT32, true, 0), N};
    const fr_value v[] = NUMBERS;
    f->ts.envelope = FR_ENVELOPE_STATE;
    restart(f);
    ignore_all(f);
    assert_ok(give(f, c, 2, v));
    assert_ok(give(f, next, 3, v));
    assert_str(json_of(f, f->b->messages[0].payload), "{\"id\":1,\"v\":2}");
    assert_string_equal(said, "v from w, n left out");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {CASE(an_added_column_is_left_out),
                                       CASE(a_dropped_column_is_null_or_its_default),
                                       CASE(a_dropped_column_that_must_be_there_holds_the_table),
                                       CASE(a_renamed_column_fills_its_field),
                                       CASE(a_renamed_key_keeps_its_name),
                                       CASE(what_cannot_be_told_from_a_rename_is_not_kept),
                                       CASE(a_changed_type_is_kept_while_values_fit),
                                       CASE(what_was_required_stays_so),
                                       CASE(some_is_kept_and_some_evolves),
                                       CASE(both_shapes_are_one),
                                       CASE(what_is_kept_follows_what_was_published),
                                       CASE(what_was_masked_stays_so),
                                       CASE(state_records_too)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
