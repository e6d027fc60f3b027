#include "unit/test.h"

#include "sql/collapse.h"
#include <math.h>
#include <stdlib.h>

/* Columns k (key), v, w; all are written. */
static const fr_column columns[] = {{.name = FR_STR("k"), .kind = FR_INT32, .key_ordinal = 1},
                                    {.name = FR_STR("v"), .kind = FR_INT32, .nullable = true},
                                    {.name = FR_STR("w"), .kind = FR_INT32, .nullable = true}};
static const uint16_t all[] = {0, 1, 2};
static const bool nothing[] = {false, false, false}, w_must_be[] = {false, false, true};

typedef struct fixture {
    fr_arena *a;
    const fr_table *table;
    fr_target_shape shape;
    fr_target_changes changes;
} fixture;

static fixture set_up(bool guarded, bool marked, const bool *patched)
{
    fr_table like = {.name = FR_STR("t"), .column_count = 3, .columns = columns};
    fixture f = {.a = fr_arena_new(0), .table = fr_table_new(&like)};
    f.shape = (fr_target_shape){f.table, all, patched, 3, guarded, marked};
    return f;
}

static void tear_down(fixture *f)
{
    free(f->changes.items);
    fr_table_unref(f->table);
    fr_arena_free(f->a);
}

enum { ABSENT = -1, GONE = -2 };

/* v GONE: a delete. */
static void add(fixture *f, int k, int v, int w, uint8_t position)
{
    fr_value *values = fr_arena_alloc(f->a, 3 * sizeof(*values));
    const int numbers[] = {k, v, w};
    for (int i = 0; i < 3; i++)
        values[i] =
            (fr_value){.kind = numbers[i] < 0 ? FR_ABSENT : FR_INT32, .integer = numbers[i]};
    fr_target_change c = {.values = values, .event = f->changes.count};
    fr_buf key = {.arena = f->a};
    fr_target_put_key(&key, &columns[0], &values[0]);
    fr_target_set_key(f->a, &c, &key, 0);
    c.position[0] = position;
    if (v == GONE)
        c.form = FR_TARGET_DELETE;
    else
        fr_target_set_form(&f->shape, &c);
    fr_target_changes_add(&f->changes, &c);
}

static int number(const fr_target_change *c, int column)
{
    const fr_value *v = &c->values[column];
    return v->kind == FR_ABSENT ? ABSENT : v->kind == FR_NULL ? 0 : (int)v->integer;
}

static void the_last_of_each_key_in_key_order(void **state)
{
    (void)state;
    fixture f = set_up(true, false, nothing);
    add(&f, 2, 1, 1, 1);
    add(&f, 1, 5, 5, 2);
    add(&f, 2, GONE, ABSENT, 3);
    add(&f, 3, GONE, ABSENT, 4);
    add(&f, 3, 7, ABSENT, 5); /* what was there of it is gone */
    add(&f, 1, 6, ABSENT, 6); /* w is as it was */
    add(&f, 1, 9, 9, 1);      /* read again */
    fr_target_collapse(&f.shape, f.a, &f.changes);
    assert_int_equal(f.changes.count, 3);
    const fr_target_change *c = f.changes.items;
    assert_int_equal(number(&c[0], 0), 1);
    assert_int_equal(number(&c[0], 1), 6);
    assert_int_equal(number(&c[0], 2), 5);
    assert_false(c[0].partial);
    assert_int_equal(c[1].form, FR_TARGET_DELETE);
    assert_int_equal(number(&c[2], 0), 3);
    assert_int_equal(c[2].values[2].kind, FR_NULL);
    tear_down(&f);
}

static void marks_keep_values(void **state)
{
    (void)state;
    fixture f = set_up(false, true, nothing);
    add(&f, 1, 5, 6, 0);
    add(&f, 1, GONE, ABSENT, 0);
    add(&f, 2, GONE, ABSENT, 0);
    add(&f, 2, 3, ABSENT, 0);
    fr_target_collapse(&f.shape, f.a, &f.changes);
    assert_int_equal(f.changes.count, 2);
    const fr_target_change *c = f.changes.items;
    assert_int_equal(c[0].form, FR_TARGET_ROW);
    assert_true(c[0].deleted);
    assert_int_equal(number(&c[0], 1), 5);
    assert_int_equal(number(&c[1], 2), ABSENT); /* as the marked row has it */
    assert_true(c[1].partial);
    tear_down(&f);
}

static void add_unplaced(fixture *f, int k)
{
    add(f, k, GONE, ABSENT, 1);
    f->changes.items[f->changes.count - 1].unplaced = true;
}

static void an_unplaced_delete_is_the_newest_so_far(void **state)
{
    (void)state;
    fixture f = set_up(true, false, nothing);
    add(&f, 1, 5, 6, 100);
    add_unplaced(&f, 1);
    add_unplaced(&f, 2);
    add(&f, 2, 3, 4, 101);
    add_unplaced(&f, 3);
    add(&f, 3, GONE, ABSENT, 9);
    fr_target_collapse(&f.shape, f.a, &f.changes);
    const fr_target_change *c = f.changes.items;
    assert_int_equal(f.changes.count, 3);
    assert_int_equal(c[0].form, FR_TARGET_DELETE);
    assert_ptr_equal(fr_target_compared(&c[0]), fr_target_latest);
    assert_int_equal(c[1].form, FR_TARGET_ROW);
    assert_int_equal(fr_target_compared(&c[1])[0], 101);
    assert_ptr_equal(fr_target_compared(&c[2]), fr_target_latest);
    tear_down(&f);
}

/* The row keeps its position, or later ones were older. */
static void an_unplaced_mark(void **state)
{
    (void)state;
    fixture f = set_up(true, true, nothing);
    add(&f, 1, 5, 6, 100);
    add_unplaced(&f, 1);
    fr_target_collapse(&f.shape, f.a, &f.changes);
    const fr_target_change *c = f.changes.items;
    assert_int_equal(f.changes.count, 1);
    assert_int_equal(c->form, FR_TARGET_ROW);
    assert_true(c->deleted);
    assert_int_equal(number(c, 1), 5);
    assert_int_equal(fr_target_compared(c)[0], 100);
    tear_down(&f);
}

static void what_must_be_there(void **state)
{
    (void)state;
    fixture f = set_up(false, false, w_must_be);
    add(&f, 1, 5, ABSENT, 0);
    add(&f, 2, ABSENT, 5, 0);
    assert_int_equal(f.changes.items[0].form, FR_TARGET_PATCH);
    assert_int_equal(f.changes.items[1].form, FR_TARGET_ROW);
    fr_str mask = fr_target_mask(f.a, &f.shape, &f.changes.items[1]);
    assert_int_equal(mask.len, 3);
    assert_true(fr_target_in_mask(mask, 0) && !fr_target_in_mask(mask, 1));
    assert_true(fr_target_has_mask(&f.shape, &f.changes.items[1], mask));
    assert_false(fr_target_has_mask(&f.shape, &f.changes.items[0], mask));
    tear_down(&f);
}

static void zero_is_one_key(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const fr_column c = {.name = FR_STR("k"), .kind = FR_FLOAT64};
    fr_buf keys[3] = {{.arena = a}, {.arena = a}, {.arena = a}};
    const double numbers[] = {0.0, -0.0, 1.0};
    for (int i = 0; i < 3; i++)
        fr_target_put_key(&keys[i], &c, &(fr_value){.kind = FR_FLOAT64, .real = numbers[i]});
    assert_true(fr_str_eq(fr_buf_view(&keys[0]), fr_buf_view(&keys[1])));
    assert_false(fr_str_eq(fr_buf_view(&keys[0]), fr_buf_view(&keys[2])));
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_last_of_each_key_in_key_order),
                                       cmocka_unit_test(marks_keep_values),
                                       cmocka_unit_test(an_unplaced_delete_is_the_newest_so_far),
                                       cmocka_unit_test(an_unplaced_mark),
                                       cmocka_unit_test(what_must_be_there),
                                       cmocka_unit_test(zero_is_one_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
