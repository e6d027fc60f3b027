/* Derived events: the filter's rules over every op, fields, masks, names, what is refused. */
#include "tests/unit/test.h"
#include "transform/derive.h"
#include "transform/route.h"

#include <stdlib.h>

typedef struct fixture {
    fr_source_settings source;
    fr_table_settings ts;
    fr_router *r;
    fr_arena *a;
    const fr_table *t;
    const fr_route *route;
    fr_pair pairs[4][8];
} fixture;

static fr_err err;

enum { ID, STATUS, TOTAL, EMAIL, BIG, COUNT };

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->source.pipeline = "shop";
    f->source.name = f->source.prefix = "erp";
    f->source.type = "postgres";
    f->source.mask_key = "0123456789abcdef";
    f->ts.pattern = "public.orders";
    f->ts.place = "shop.yaml:12";
    f->ts.schema_compat = -1;
    f->source.tables = &f->ts;
    f->source.table_count = 1;
    f->a = fr_arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_router_free(f->r);
    fr_table_unref(f->t);
    fr_arena_free(f->a);
    free(f);
    return 0;
}

static void make_table(fixture *f, bool full_before)
{
    const fr_column c[COUNT] = {
        [ID] = {.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
        [STATUS] = {.name = FR_STR("status"), .kind = FR_TEXT},
        [TOTAL] = {.name = FR_STR("total"), .kind = FR_DECIMAL, .precision = 12, .scale = 2},
        [EMAIL] = {.name = FR_STR("email"),
                   .kind = FR_TEXT,
                   .nullable = true,
                   .fallback = FR_STR("\"x@y\"")},
        [BIG] = {.name = FR_STR("big"), .kind = FR_TEXT, .nullable = true, .may_be_absent = true}};
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("orders"),
                     .full_before = full_before,
                     .column_count = COUNT,
                     .columns = c};
    f->t = fr_table_unref(f->t);
    f->t = fr_table_new(&like);
    fr_router_free(f->r);
    f->r = fr_router_new(&f->source);
}

static void make(fixture *f, bool full_before)
{
    make_table(f, full_before);
    f->route = NULL;
    assert_ok(fr_router_route(f->r, f->t, &f->route, &err));
    assert_non_null(f->route->derive);
}

static void refused(fixture *f, const char *code, const char *text, const char *hint)
{
    const fr_route *route;
    make_table(f, false);
    assert_fails(fr_router_route(f->r, f->t, &route, &err), FR_ERR_CONFIG);
    if (strcmp(err.code, code) != 0 || strstr(err.text, text) == NULL ||
        strstr(err.hint, hint) == NULL || strstr(err.text, "public.orders") == NULL ||
        strstr(err.text, "shop.yaml:12") == NULL) {
        print_error("%s [%s]\n%s\n", err.text, err.code, err.hint);
        fail();
    }
}

static fr_pairs one(fixture *f, size_t which, const char *name, const char *value)
{
    f->pairs[which][0] = (fr_pair){name, value};
    return (fr_pairs){f->pairs[which], 1};
}

/* total in cents; 0 status: absent, email NULL. */
static fr_row row(fixture *f, int64_t id, const char *status, const char *total)
{
    fr_value *v = fr_arena_alloc(f->a, COUNT * sizeof *v);
    v[ID] = (fr_value){.kind = FR_INT64, .integer = id};
    v[STATUS] = (fr_value){.kind = FR_TEXT, .bytes = fr_cstr(status == NULL ? "" : status)};
    if (status == NULL)
        v[STATUS].kind = FR_ABSENT;
    v[TOTAL].kind = FR_DECIMAL;
    assert_ok(fr_decimal_from_text(f->a, fr_cstr(total), 12, 2, &v[TOTAL].bytes, &err));
    v[EMAIL] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("ann@example.org")};
    v[BIG].kind = FR_ABSENT;
    return (fr_row){v, COUNT};
}

/* As a log without REPLICA IDENTITY FULL has it. */
static fr_row key(fixture *f, int64_t id)
{
    fr_value *v = fr_arena_alloc(f->a, COUNT * sizeof *v);
    for (size_t i = 0; i < COUNT; i++)
        v[i].kind = FR_NULL;
    v[ID] = (fr_value){.kind = FR_INT64, .integer = id};
    return (fr_row){v, COUNT};
}

static fr_rc apply(fixture *f, fr_op op, fr_row before, fr_row after, fr_event *out)
{
    fr_event *e = fr_arena_alloc(f->a, sizeof *e);
    *e = (fr_event){.op = op, .table = f->t, .before = before, .after = after};
    e->position = (fr_position){.lsn = 0x1A2B30, .ordinal = 4};
    return f->route->apply(f->route->derive, f->a, e, out, &err);
}

#define GONE ((fr_row){NULL, 0})
enum { LEFT_OUT = 99 };

/* Which op the event becomes. */
static int becomes(fixture *f, fr_op op, fr_row before, fr_row after)
{
    fr_event out;
    fr_rc rc = apply(f, op, before, after, &out);
    if (rc == FR_FAIL)
        print_error("%s\n", err.text);
    assert_int_not_equal(rc, FR_FAIL);
    return rc == FR_END ? LEFT_OUT : (int)out.op;
}

static void the_filter_over_whole_rows(void **state)
{
    fixture *f = *state;
    f->ts.filter = "status <> 'draft'";
    make(f, true);
    fr_row draft = row(f, 1, "draft", "1"), sent = row(f, 1, "sent", "1"),
           paid = row(f, 1, "paid", "1");
    ((fr_value *)draft.values)[BIG].kind = FR_NULL; /* the whole old row */
    assert_int_equal(becomes(f, FR_OP_INSERT, GONE, sent), FR_OP_INSERT);
    assert_int_equal(becomes(f, FR_OP_INSERT, GONE, draft), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, sent), FR_OP_READ);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, draft), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_UPDATE, sent, paid), FR_OP_UPDATE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, draft, sent), FR_OP_INSERT);
    assert_int_equal(becomes(f, FR_OP_UPDATE, sent, draft), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, draft, draft), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_DELETE, sent, GONE), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_DELETE, draft, GONE), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_TRUNCATE, GONE, GONE), FR_OP_TRUNCATE);
    assert_int_equal(fr_router_filtered(f->r), 4);
    fr_event out;
    assert_ok(apply(f, FR_OP_UPDATE, draft, sent, &out));
    assert_int_equal(out.before.count, 0);
    assert_ok(apply(f, FR_OP_UPDATE, sent, draft, &out));
    assert_int_equal(out.after.count, 0);
    assert_str(out.before.values[STATUS].bytes, "sent");
    assert_true(out.derived);
}

static void the_filter_where_old_rows_are_keys(void **state)
{
    fixture *f = *state;
    f->ts.filter = "status <> 'draft'";
    make(f, false);
    fr_row draft = row(f, 2, "draft", "1"), sent = row(f, 2, "sent", "1");
    fr_event out;
    /* no old row: nobody knows whether it passed */
    assert_int_equal(becomes(f, FR_OP_UPDATE, GONE, sent), FR_OP_UPDATE);
    assert_ok(apply(f, FR_OP_UPDATE, GONE, draft, &out));
    assert_int_equal(out.op, FR_OP_DELETE);
    assert_int_equal(out.before.values[ID].integer, 2);
    assert_int_equal(out.before.values[STATUS].kind, FR_ABSENT); /* not the row that was left out */
    assert_int_equal(becomes(f, FR_OP_DELETE, key(f, 2), GONE), FR_OP_DELETE);
    /* the key changed: it is the old one that goes */
    assert_ok(apply(f, FR_OP_UPDATE, key(f, 1), draft, &out));
    assert_int_equal(out.op, FR_OP_DELETE);
    assert_int_equal(out.before.values[ID].integer, 1);
    assert_int_equal(becomes(f, FR_OP_UPDATE, key(f, 1), sent), FR_OP_UPDATE);
}

static void a_filter_over_the_key_alone(void **state)
{
    fixture *f = *state;
    f->ts.filter = "id % 2 = 0";
    make(f, false);
    fr_row even = row(f, 2, "x", "1"), odd = row(f, 3, "x", "1");
    assert_int_equal(becomes(f, FR_OP_DELETE, key(f, 3), GONE), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_DELETE, key(f, 2), GONE), FR_OP_DELETE);
    assert_int_equal(becomes(f, FR_OP_UPDATE, key(f, 2), odd), FR_OP_DELETE);
    /* it enters with a value that was not logged: the encoder has to judge that */
    assert_int_equal(becomes(f, FR_OP_UPDATE, key(f, 3), even), FR_OP_UPDATE);
    ((fr_value *)even.values)[BIG].kind = FR_NULL;
    assert_int_equal(becomes(f, FR_OP_UPDATE, key(f, 3), even), FR_OP_INSERT);
}

static void null_keeps_the_row_and_a_text_is_no_truth(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.filter = "CASE WHEN id = 1 THEN NULL WHEN id = 2 THEN 0.0 WHEN id = 3 THEN 2 ELSE status "
                   "END";
    make(f, true);
    assert_int_equal(becomes(f, FR_OP_INSERT, GONE, row(f, 1, "x", "1")), FR_OP_INSERT);
    assert_int_equal(becomes(f, FR_OP_INSERT, GONE, row(f, 2, "x", "1")), LEFT_OUT);
    assert_int_equal(becomes(f, FR_OP_INSERT, GONE, row(f, 3, "x", "1")), FR_OP_INSERT);
    assert_fails(apply(f, FR_OP_INSERT, GONE, row(f, 4, "topsecret", "1"), &out), FR_ERR_DATA);
    assert_string_equal(err.code, "filter.type_error");
    assert_non_null(strstr(err.text, "table public.orders: filter: "));
    assert_non_null(strstr(err.text, "(at 0/1A2B30 #4)"));
    assert_null(strstr(err.text, "topsecret"));
}

static void what_was_not_logged_cannot_be_judged(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.filter = "big IS NULL OR status = 'x'";
    make(f, false);
    assert_fails(apply(f, FR_OP_UPDATE, GONE, row(f, 1, "x", "1"), &out), FR_ERR_DATA);
    assert_string_equal(err.code, "filter.absent");
    assert_non_null(strstr(err.text, "column big"));
    make(f, true); /* the old row has what the new one lacks */
    fr_row old = row(f, 1, "y", "1");
    ((fr_value *)old.values)[BIG] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("large")};
    assert_int_equal(becomes(f, FR_OP_UPDATE, old, row(f, 1, "x", "1")), FR_OP_INSERT);
    assert_int_equal(becomes(f, FR_OP_UPDATE, old, row(f, 1, "y", "1")), LEFT_OUT);
}

static void polled_rows_that_do_not_pass_are_deleted(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.filter = "status <> 'draft'";
    f->ts.method = FR_METHOD_QUERY;
    make(f, false);
    assert_true(fr_table_key_before(&f->ts));
    assert_ok(apply(f, FR_OP_READ, GONE, row(f, 7, "draft", "1"), &out));
    assert_int_equal(out.op, FR_OP_DELETE);
    assert_int_equal(out.before.values[ID].integer, 7);
    assert_int_equal(out.before.values[STATUS].kind, FR_ABSENT);
    /* poll.delete_column: as the row is now it does not pass, and nobody knows what it was */
    for (int whole = 0; whole < 2; whole++) { /* envelope state: old rows would be whole */
        make(f, whole == 1);
        assert_ok(apply(f, FR_OP_DELETE, row(f, 7, "draft", "1"), GONE, &out));
        assert_int_equal(out.op, FR_OP_DELETE);
        assert_int_equal(out.before.values[ID].integer, 7);
        assert_int_equal(out.before.values[STATUS].kind, FR_ABSENT);
    }
    const char *status[] = {"status"}; /* the tombstone goes where the row went */
    f->ts.partition_by = (fr_texts){status, 1};
    make(f, true);
    assert_ok(apply(f, FR_OP_READ, GONE, row(f, 7, "draft", "1"), &out));
    assert_str(out.before.values[STATUS].bytes, "draft");
    f->ts.partition_by = (fr_texts){NULL, 0};
    f->ts.append_only = true;
    make(f, false);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, row(f, 7, "draft", "1")), LEFT_OUT);
    f->ts.append_only = false;
    f->ts.method = FR_METHOD_SNAPSHOT; /* a comparison finds what is missing */
    make(f, false);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, row(f, 7, "draft", "1")), LEFT_OUT);
}

static void rows_are_deleted_when_an_expression_says_so(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.method = FR_METHOD_QUERY;
    f->ts.poll_delete_when = "status = 'gone'";
    make(f, true);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, row(f, 7, "there", "1")), FR_OP_READ);
    assert_ok(apply(f, FR_OP_READ, GONE, row(f, 7, "gone", "1"), &out));
    assert_int_equal(out.op, FR_OP_DELETE);
    assert_int_equal(out.after.count, 0);
    assert_str(out.before.values[STATUS].bytes, "gone");
    f->ts.poll_delete_when = "nullif(status, status)"; /* NULL: not known to be true */
    make(f, true);
    assert_int_equal(becomes(f, FR_OP_READ, GONE, row(f, 7, "gone", "1")), FR_OP_READ);
}

static fr_value *field(fixture *f, fr_row *row_out, const char *expression, const char *type)
{
    fr_event out;
    f->ts.column_derive = one(f, 0, "made", expression);
    f->ts.column_types = type == NULL ? (fr_pairs){NULL, 0} : one(f, 1, "made", type);
    make(f, true);
    assert_int_equal(f->route->field_count, COUNT + 1);
    assert_str(f->route->table->columns[COUNT].name, "made");
    assert_true(f->route->table->columns[COUNT].nullable);
    fr_rc rc = apply(f, FR_OP_INSERT, GONE, row(f, 9, "paid", "12.34"), &out);
    if (rc == FR_FAIL)
        return NULL;
    *row_out = out.after;
    assert_int_equal(out.after.count, COUNT + 1);
    return (fr_value *)&out.after.values[COUNT];
}

static void fields_have_their_types(void **state)
{
    fixture *f = *state;
    fr_row r;
    fr_value *v = field(f, &r, "total > 10", NULL);
    assert_int_equal(v->kind, FR_BOOL);
    assert_true(v->boolean);
    v = field(f, &r, "status || '-' || id", NULL);
    assert_int_equal(v->kind, FR_TEXT);
    assert_str(v->bytes, "paid-9");
    v = field(f, &r, "id + 1", "long");
    assert_int_equal(v->integer, 10);
    v = field(f, &r, "id", "int");
    assert_int_equal(v->kind, FR_INT32);
    v = field(f, &r, "round(total)", "long"); /* 12.0 is a whole number */
    assert_int_equal(v->integer, 12);
    v = field(f, &r, "total * 2", "double");
    assert_true(v->real == 24.68);
    v = field(f, &r, "round(total * 1.19, 2)", "decimal(12,2)");
    assert_str(fr_decimal_to_text(f->a, v->bytes, 2), "14.68");
    v = field(f, &r, "'7.5'", "decimal(12,2)");
    assert_str(fr_decimal_to_text(f->a, v->bytes, 2), "7.50");
    v = field(f, &r, "id", "decimal(12,2)");
    assert_str(fr_decimal_to_text(f->a, v->bytes, 2), "9.00");
    v = field(f, &r, "x'0102'", "bytes");
    assert_int_equal(v->bytes.len, 2);
    v = field(f, &r, "nullif(id, id)", "long");
    assert_int_equal(v->kind, FR_NULL);
}

static void results_that_do_not_fit_are_errors(void **state)
{
    static const char *const cases[][2] = {
        {"status", "long"},
        {"total", "long"},
        {"id * 1000000000000", "int"},
        {"id", "string"},
        {"id", "boolean"},
        {"status", "bytes"},
        {"total / 7", "decimal(12,2)"},
        {"id * 0.000001", "decimal(12,2)"}, /* a double that prints as 9e-06 */
        {"id * 111111111111111.3", "decimal(18,0)"},
        {"id * 1000", "decimal(3,0)"},
        {"status", "decimal(3,0)"},
        {"status", "double"},
    };
    fixture *f = *state;
    fr_row r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (field(f, &r, cases[i][0], cases[i][1]) != NULL) {
            print_error("%s as %s\n", cases[i][0], cases[i][1]);
            fail();
        }
        assert_int_equal(err.kind, FR_ERR_DATA);
        assert_string_equal(err.code, "derive.type_error");
        assert_non_null(strstr(err.text, "table public.orders: made: "));
        assert_null(strstr(err.text, "paid"));
    }
}

static void a_field_of_an_absent_value_is_absent(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.column_derive = one(f, 0, "size", "length(big)");
    make(f, false);
    assert_true(f->route->table->columns[COUNT].may_be_absent);
    assert_ok(apply(f, FR_OP_UPDATE, key(f, 1), row(f, 1, "x", "1"), &out));
    assert_int_equal(out.after.values[COUNT].kind, FR_ABSENT);
    assert_int_equal(out.before.values[COUNT].kind, FR_ABSENT);
    make(f, true);
    fr_row old = row(f, 1, "y", "1");
    ((fr_value *)old.values)[BIG] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("large")};
    assert_ok(apply(f, FR_OP_UPDATE, old, row(f, 1, "x", "1"), &out));
    assert_int_equal(out.after.values[COUNT].integer, 5);
    assert_int_equal(out.before.values[COUNT].integer, 5);
}

static fr_value masked(fixture *f, const char *column, const char *mask)
{
    fr_event out;
    f->ts.column_mask = one(f, 2, column, mask);
    make(f, true);
    int at = fr_table_find(f->t, fr_cstr(column));
    assert_ok(apply(f, FR_OP_UPDATE, row(f, 1, "x", "1.50"), row(f, 1, "x", "1.50"), &out));
    const fr_value *before = &out.before.values[at], *after = &out.after.values[at];
    assert_true(fr_value_same(before, after));
    const fr_column *c = &f->route->table->columns[at];
    assert_true(after->kind == FR_NULL ? c->nullable : c->kind == after->kind);
    assert_int_equal(c->fallback.len, 0);
    return *after;
}

static void masks_hide_both_rows(void **state)
{
    fixture *f = *state;
    /* printf 'ann@example.org' | openssl dgst -sha256 -hmac 0123456789abcdef */
    fr_value v = masked(f, "email", "hash");
    assert_str(v.bytes, "b2eadfbaaca8f7b30b76563378bedc2fe183e5b392a7710ab8166987238c66ef");
    v = masked(f, "total", "hash"); /* of its text, "1.50" */
    assert_int_equal(v.bytes.len, 64);
    assert_str(masked(f, "email", "redact").bytes, "***");
    assert_str(masked(f, "email", "keep_last: 4").bytes, "***.org");
    assert_str(masked(f, "email", "keep_last: 15").bytes, "***");
    assert_str(masked(f, "email", "keep_last: 64").bytes, "***");
    assert_int_equal(masked(f, "email", "null").kind, FR_NULL);
    assert_int_equal(masked(f, "total", "null").kind, FR_NULL);
    v = masked(f, "id", "hash"); /* a key */
    assert_int_equal(v.bytes.len, 64);
}

static void masks_count_characters_and_leave_null(void **state)
{
    fixture *f = *state;
    (void)f;
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = FR_STR("c"), .kind = FR_TEXT};
    fr_mask keep;
    assert_true(fr_mask_parse("keep_last: 2", &keep));
    fr_value v = {.kind = FR_TEXT, .bytes = FR_STR("aü€")};
    assert_ok(fr_mask_value(&keep, NULL, a, &c, &v, &err));
    assert_str(v.bytes, "***ü€");
    v = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("ü€")};
    assert_ok(fr_mask_value(&keep, NULL, a, &c, &v, &err));
    assert_str(v.bytes, "***");
    v = (fr_value){.kind = FR_NULL};
    assert_ok(fr_mask_value(&keep, NULL, a, &c, &v, &err));
    assert_int_equal(v.kind, FR_NULL);
    static const char *const bad[] = {
        "", "sha", "keep_last", "keep_last: 0", "keep_last: 65", "keep_last: 4x", "Hash"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(fr_mask_parse(bad[i], &keep));
    fr_arena_free(a);
}

static void expressions_see_what_masks_hide(void **state)
{
    fixture *f = *state;
    fr_event out;
    f->ts.column_mask = one(f, 0, "email", "redact");
    f->ts.column_derive = one(f, 1, "domain", "substr(email, instr(email, '@') + 1) || ''");
    f->ts.filter = "email LIKE '%@example.org'";
    make(f, true);
    assert_ok(apply(f, FR_OP_INSERT, GONE, row(f, 1, "x", "1"), &out));
    assert_str(out.after.values[EMAIL].bytes, "***");
    assert_str(out.after.values[COUNT].bytes, "example.org");
    assert_string_equal(fr_derive_reader(f->route, EMAIL), "filter");
    assert_null(fr_derive_reader(f->route, TOTAL));
    assert_true(fr_derive_filter_reads(f->route, EMAIL));
    fr_value v = {.kind = FR_TEXT, .bytes = FR_STR("ann@example.org")};
    assert_ok(fr_derive_mask(f->route, f->a, EMAIL, &v, &err));
    assert_str(v.bytes, "***");
}

/* Settings name the source's columns, and derived fields by their own names. */
static void names_are_the_sources(void **state)
{
    fixture *f = *state;
    const char *names[] = {"id"}, *out_names[] = {"big"};
    f->ts.column_rename = one(f, 0, "id", "order_id");
    f->ts.column_derive = one(f, 1, "paid", "status = 'paid'");
    f->ts.key = f->ts.partition_by = (fr_texts){names, 1};
    f->ts.columns_exclude = (fr_texts){out_names, 1};
    f->ts.column_types = one(f, 2, "id", "string");
    make(f, false);
    const fr_route *r = f->route;
    assert_str(r->table->columns[ID].name, "order_id");
    assert_str(r->source->columns[ID].name, "id");
    assert_ptr_equal(r->source, f->t);
    assert_int_equal(r->key[0], ID);
    assert_int_equal(r->partition_by[0], ID);
    assert_int_equal(r->field_count, COUNT); /* without big, with paid */
    assert_int_equal(r->fields[COUNT - 1], COUNT);
    assert_str(fr_route_name(r, ID), "id");
    assert_str(fr_route_name(r, COUNT), "paid");
    assert_true(fr_route_derived(r, COUNT));
    assert_false(fr_route_derived(r, BIG));
    fr_event e = {.op = FR_OP_UPDATE,
                  .table = f->t,
                  .after = row(f, 1, "x", "1"),
                  .zero = FR_STR("status,id"),
                  .name = FR_STR("id")},
             out;
    assert_ok(r->apply(r->derive, f->a, &e, &out, &err));
    assert_str(out.zero, "status,order_id");
    assert_str(out.name, "order_id");
}

static void tables_without_all_this_pass_by(void **state)
{
    fixture *f = *state;
    make_table(f, false);
    assert_ok(fr_router_route(f->r, f->t, &f->route, &err));
    assert_null(f->route->derive);
    assert_ptr_equal(f->route->table, f->t);
    fr_value v = {.kind = FR_TEXT, .bytes = FR_STR("x")};
    assert_ok(fr_derive_mask(f->route, f->a, EMAIL, &v, &err));
    assert_str(v.bytes, "x");
}

static void what_cannot_be_is_refused(void **state)
{
    fixture *f = *state;
    const char *made[] = {"made"};
    fr_table_settings plain = f->ts;
    f->ts.filter = "stats <> 'draft'";
    refused(f, "filter.no_such_column", "filter: there is no column stats", "did you mean status?");
    const char *status[] = {"status"};
    f->ts.filter = "status <> 'draft'";
    f->ts.method = FR_METHOD_TRIGGER;
    f->ts.columns_exclude = (fr_texts){status, 1};
    refused(f, "trigger.column", "filter: it reads column status", "publish the column");
    f->ts = plain;
    f->ts.column_derive = one(f, 0, "made", "status || now()");
    refused(f, "derive.function", "columns.derive.made: ", "docs/expressions.md");
    f->ts.column_derive = one(f, 0, "made", "coalesce(status, 'x')");
    refused(f, "derive.type", "the type of its result is not known", "columns.types");
    f->ts.column_types = one(f, 1, "made", "varchar");
    refused(f, "derive.type", "cannot have this type", "boolean, int, long");
    f->ts.column_types = one(f, 1, "mode", "string");
    refused(f, "config.unknown_column", "columns.types names column mode", "");
    f->ts = plain;
    f->ts.column_derive = one(f, 0, "email", "lower(email)");
    refused(f, "config.derive", "has a column of this name", "another name");
    f->ts.column_derive = one(f, 0, "made", "lower(email)");
    f->ts.key = (fr_texts){made, 1};
    refused(f, "config.unknown_column", "key names column made", "nor part of a key");
    f->ts = plain;
    f->ts.column_rename = one(f, 0, "email", "status");
    refused(f, "config.field", "two fields would be called status", "columns.rename");
    f->ts.column_rename = one(f, 0, "emial", "mail");
    refused(f, "config.unknown_column", "columns.rename names column emial", "did you mean email?");
    f->ts = plain;
    f->ts.column_mask = one(f, 0, "emial", "hash");
    refused(f, "config.unknown_column", "columns.mask names column emial", "did you mean email?");
    f->ts.column_mask = one(f, 0, "email", "sha1");
    refused(f, "config.mask", "columns.mask.email", "hash, redact, null");
    f->ts.column_mask = one(f, 0, "total", "redact");
    refused(f, "config.mask", "no text", "use hash or null");
    f->ts.column_mask = one(f, 0, "id", "null");
    refused(f, "config.key", "part of the key", "use hash");
    f->ts.column_mask = one(f, 0, "email", "hash");
    f->ts.column_types = one(f, 1, "email", "string");
    refused(f, "config.mask", "a type in columns.types", "remove it");
    f->ts.column_types = (fr_pairs){NULL, 0};
    f->source.mask_key = NULL;
    refused(f, "config.mask_key", "hash needs a key", "daemon.mask_key");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_filter_over_whole_rows),
        TEST(the_filter_where_old_rows_are_keys),
        TEST(a_filter_over_the_key_alone),
        TEST(null_keeps_the_row_and_a_text_is_no_truth),
        TEST(what_was_not_logged_cannot_be_judged),
        TEST(polled_rows_that_do_not_pass_are_deleted),
        TEST(rows_are_deleted_when_an_expression_says_so),
        TEST(fields_have_their_types),
        TEST(results_that_do_not_fit_are_errors),
        TEST(a_field_of_an_absent_value_is_absent),
        TEST(masks_hide_both_rows),
        TEST(masks_count_characters_and_leave_null),
        TEST(expressions_see_what_masks_hide),
        TEST(names_are_the_sources),
        TEST(tables_without_all_this_pass_by),
        TEST(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
