/* Tables, and the rows of ROWS events. */
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/binlog_map.h"
#include "connectors/mysql/my_json.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdlib.h>

/* --- tables --- */

void fr_binlog_table_free(void *table)
{
    fr_binlog_mapped *t = table;
    fr_my_layout_free(t->layout);
    free((char *)(uintptr_t)t->body.ptr);
    free(t->wires);
    free(t->metas);
    free(t);
}

static fr_binlog_mapped *find_name(fr_binlog *d, fr_str space, fr_str name, bool make)
{
    char key[2 * 256 + 1];
    if (space.len > 255 || name.len > 255)
        return NULL;
    if (space.len > 0)
        memcpy(key, space.ptr, space.len);
    key[space.len] = '\0';
    memcpy(key + space.len + 1, name.ptr, name.len);
    fr_str k = {key, space.len + 1 + name.len};
    fr_binlog_mapped *t = fr_map_get(d->tables, k);
    if (t == NULL && make) {
        t = fr_malloc(sizeof(*t));
        fr_map_set(d->tables, k, t);
    }
    return t;
}

static void set_layout(fr_binlog_mapped *t, fr_my_layout *layout)
{
    if (layout != NULL && t->layout != NULL && fr_my_layout_same(layout, t->layout)) {
        fr_my_layout_free(layout);
        return;
    }
    fr_my_layout_free(t->layout);
    t->layout = layout;
    t->announced = false;
    if (layout != NULL)
        t->version = layout->table->version;
}

static fr_rc describe(fr_binlog *d, fr_binlog_mapped *t, fr_my_relation *r, fr_arena *a,
                      fr_err *err)
{
    fr_my_layout *layout = NULL;
    if (d->calls.describe != NULL)
        FR_TRY(d->calls.describe(d->calls.context, r, a, err));
    if (r->captured && r->columns == NULL) {
        fr_fail(err, FR_ERR_SCHEMA, "%.*s.%.*s is in the log, but nobody knows its columns",
                FR_ARG(r->space), FR_ARG(r->name));
        fr_fail_code(err, "my.shape_unknown");
        return fr_fail_hint(
            err, "the table was dropped or altered before we could look at it: take a "
                 "new snapshot of what there is (freshet snapshot start TABLE), or leave "
                 "the table out. SET GLOBAL binlog_row_metadata=FULL (MySQL 8.0.1, "
                 "MariaDB 10.5 and later) writes the columns into the log");
    }
    if (r->captured)
        FR_TRY(fr_my_layout_new(r, t->version + 1, &layout, err));
    set_layout(t, layout);
    t->captured = r->captured;
    t->looked = d->looks;
    return FR_OK;
}

static void keep_body(fr_binlog_mapped *t, fr_str body, const fr_my_relation *r)
{
    free((char *)(uintptr_t)t->body.ptr);
    char *copy = fr_malloc(body.len + 1);
    memcpy(copy, body.ptr, body.len);
    t->body = (fr_str){copy, body.len};
    t->wires = fr_realloc(t->wires, (r->column_count + 1) * sizeof(*t->wires));
    t->metas = fr_realloc(t->metas, (r->column_count + 1) * sizeof(*t->metas));
    t->column_count = r->column_count;
    t->json_count = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        t->wires[i] = r->columns[i].wire;
        t->metas[i] = r->columns[i].meta;
        t->json_count += r->columns[i].wire == FR_MY_WIRE_JSON;
    }
}

static uint64_t table_id(const fr_binlog *d, fr_in *in)
{
    return d->post[d->header.type] == 6 ? fr_in_u32le(in) : fr_my_take_le(in, 6);
}

fr_rc fr_binlog_table_map(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body), names;
    uint64_t id = table_id(d, &in);
    fr_in_u16le(&in); /* flags */
    fr_str rest = fr_in_take(&in, fr_in_left(&in));
    names = fr_in_of(rest);
    fr_str space = fr_in_take(&names, fr_in_u8(&names));
    fr_in_u8(&names);
    fr_str name = fr_in_take(&names, fr_in_u8(&names));
    if (names.bad || name.len == 0 || !d->place.in_group)
        return fr_binlog_malformed(err, d, "a table outside a transaction, or without a name");
    fr_binlog_mapped *t = find_name(d, space, name, false);
    bool known = t != NULL && t->looked == d->looks && fr_str_eq(t->body, rest);
    if (!known) {
        fr_my_relation r;
        fr_arena *a = fr_arena_new(0);
        fr_rc rc = fr_binlog_map_read(rest, d->place.mariadb, a, &r, err);
        r.id = id;
        if (rc == FR_OK) {
            t = find_name(d, space, name, true);
            rc = describe(d, t, &r, a, err);
        }
        if (rc == FR_OK)
            keep_body(t, rest, &r);
        fr_arena_free(a);
        if (rc != FR_OK)
            return FR_FAIL;
    }
    t->id = id;
    d->group.open = true;
    fr_map_set_u64(d->ids, id, t);
    d->last = NULL;
    return t->captured && fr_binlog_holds(d) ? fr_binlog_hold(d, body, err) : FR_OK;
}

fr_rc fr_binlog_named_table(fr_binlog *d, fr_str space, fr_str name, fr_binlog_mapped **out,
                            fr_err *err)
{
    *out = NULL;
    fr_binlog_mapped *t = find_name(d, space, name, false);
    if (t == NULL || t->looked != d->looks) {
        fr_my_relation r = {.space = space, .name = name, .captured = true, .full_image = true};
        fr_arena *a = fr_arena_new(0);
        t = find_name(d, space, name, true);
        fr_rc rc = t == NULL ? fr_binlog_malformed(err, d, "a table's name is too long")
                             : describe(d, t, &r, a, err);
        fr_arena_free(a);
        if (t == NULL || rc != FR_OK)
            return FR_FAIL;
        t->body.len = 0; /* the next TABLE_MAP says what the log has */
        t->id = UINT64_MAX;
    }
    if (t->captured)
        *out = t;
    return FR_OK;
}

fr_rc fr_binlog_announce(fr_binlog *d, fr_batch *batch, fr_binlog_mapped *t)
{
    if (t->announced)
        return FR_OK;
    if (fr_binlog_add(d, batch, FR_OP_TABLE, t->layout->table) == NULL)
        return FR_IDLE;
    t->announced = true;
    return FR_OK;
}

static fr_rc find_table(fr_binlog *d, uint64_t id, fr_binlog_mapped **out, fr_err *err)
{
    if (d->last == NULL || d->last_id != id) {
        d->last = fr_map_get_u64(d->ids, id);
        d->last_id = id;
    }
    if (d->last != NULL && d->last->id == id) {
        *out = d->last;
        return FR_OK;
    }
    fr_fail(err, FR_ERR_POSITION, "binlog: rows of table id %llu at %.*s:%llu without a TABLE_MAP",
            (unsigned long long)id, FR_ARG(d->place.file), (unsigned long long)d->event_offset);
    fr_fail_code(err, "binlog.unmapped");
    return fr_fail_hint(err, "we started to read in the middle of a transaction, or the server "
                             "sent only a part of it; restart freshet: it reads again from the "
                             "last whole one");
}

/* --- images --- */

typedef enum shape { INSERT_ROWS, UPDATE_ROWS, DELETE_ROWS } shape;

typedef struct rows { /* an event's rows */
    shape shape;
    bool partial; /* PARTIAL_UPDATE_ROWS */
    fr_binlog_mapped *table;
    const uint8_t *before_columns, *after_columns; /* bitmaps of what the images have */
    fr_in in;
} rows;

static inline bool bit(const uint8_t *bits, size_t i)
{
    return (bits[i / 8] >> (i % 8) & 1) != 0;
}

static size_t bit_count(const uint8_t *bits, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n / 8; i++)
        count += (size_t)__builtin_popcount(bits[i]);
    if (n % 8 != 0)
        count += (size_t)__builtin_popcount(bits[n / 8] & ((1u << n % 8) - 1));
    return count;
}

/* Pass over an image; differences of JSON have a length as a document has. False: its end
 * cannot be found. */
static bool skip_row(const fr_binlog_mapped *t, const uint8_t *columns, fr_in *in)
{
    const uint8_t *nulls = fr_my_take(in, (bit_count(columns, t->column_count) + 7) / 8);
    size_t n = 0;
    for (size_t i = 0; nulls != NULL && i < t->column_count; i++) {
        if (!bit(columns, i))
            continue;
        if (!bit(nulls, n++) && !fr_my_skip_image(t->wires[i], t->metas[i], in))
            return false;
    }
    return !in->bad;
}

typedef struct image { /* where the values of a row are put */
    fr_binlog *d;
    fr_batch *batch;
    fr_event *event;
    fr_value *values;
    const uint8_t *partial;  /* bits of the JSON columns that have differences; NULL: none */
    const fr_str *documents; /* binary JSON of before, by column */
} image;

/* "mysql-bin.000004:4711", for errors. */
static const char *where(const fr_binlog *d, fr_arena *a)
{
    return fr_arena_cstr(a, fr_arena_printf(a, "%.*s:%llu", FR_ARG(d->place.file),
                                            (unsigned long long)d->event_offset));
}

static void bad_value(image *g, const fr_my_layout *l, size_t i)
{
    fr_my_layout_bad(l, i, g->batch->arena, where(g->d, g->batch->arena), &g->d->value_err,
                     &g->event->bad);
}

/* TABLE_MAP says what may be NULL, so this is a key that somebody chose. */
static void bad_null(image *g, const fr_my_layout *l, size_t i)
{
    fr_fail(&g->d->value_err, FR_ERR_DATA, "a NULL in a key");
    fr_fail_hint(&g->d->value_err, "choose key columns that are NOT NULL (tables.T.key)");
    bad_value(g, l, i);
}

static fr_rc patched(image *g, const fr_my_codec *c, size_t i, fr_in *in, fr_value *out)
{
    fr_err *err = &g->d->value_err;
    fr_str diffs = fr_in_take(in, fr_in_u32le(in)), text;
    if (in->bad)
        return fr_my_ended(err);
    if (g->documents == NULL || g->documents[i].ptr == NULL) {
        fr_fail(err, FR_ERR_DATA, "a partial update of JSON without the document before it");
        fr_fail_code(err, "my.value.partial_json");
        return fr_fail_hint(err, "SET GLOBAL binlog_row_value_options='' or binlog_row_image=FULL; "
                                 "then take a new snapshot of the table");
    }
    FR_TRY(fr_my_json_patch(g->batch->arena, g->documents[i], diffs, &text, err));
    *out = (fr_value){.kind = c->kind, .bytes = text};
    return FR_OK;
}

/* Read an image into values. FR_FAIL: the event is malformed. */
static fr_rc read_row(image *g, const fr_binlog_mapped *t, const uint8_t *columns, fr_in *in,
                      fr_str *documents)
{
    const fr_my_layout *l = t->layout;
    size_t count = t->column_count, present = bit_count(columns, count), n = 0, json = 0;
    const uint8_t *nulls = fr_my_take(in, (present + 7) / 8);
    if (nulls == NULL)
        return FR_FAIL;
    for (size_t i = 0; i < count; i++) {
        bool is_json = t->json_count > 0 && t->wires[i] == FR_MY_WIRE_JSON;
        bool diff = is_json && g->partial != NULL && bit(g->partial, json);
        json += is_json;
        if (present < count && !bit(columns, i))
            continue;
        if (bit(nulls, n++)) {
            g->values[i].kind = FR_NULL;
            if (!l->table->columns[i].nullable)
                bad_null(g, l, i);
            continue;
        }
        const uint8_t *start = in->at;
        fr_rc rc = diff ? patched(g, &l->codecs[i], i, in, &g->values[i])
                        : fr_my_decode_image(&l->codecs[i], g->batch->arena, in, &g->values[i],
                                             &g->d->value_err);
        if (in->bad)
            return FR_FAIL;
        if (is_json && documents != NULL)
            documents[i] = (fr_str){(const char *)start + 4, (size_t)(in->at - start) - 4};
        if (rc == FR_IDLE)
            fr_my_layout_zero(l, i, g->batch->arena, &g->event->zero);
        else if (rc == FR_FAIL)
            bad_value(g, l, i);
    }
    return FR_OK;
}

/* --- making the layout fit the log, which is right --- */

static void relax(fr_binlog_mapped *t, size_t column, bool absent)
{
    fr_my_layout *relaxed = fr_my_layout_relax(t->layout, column, absent);
    fr_my_layout_free(t->layout);
    t->layout = relaxed;
    t->version = relaxed->table->version;
    t->announced = false;
}

/* Columns that the images lack may be absent. In after, one that before has did not change. */
static void fit_absent(const rows *r)
{
    fr_binlog_mapped *t = r->table;
    const fr_table *table = t->layout->table;
    for (size_t i = 0; i < t->column_count; i++) {
        bool before = r->shape != INSERT_ROWS && bit(r->before_columns, i);
        bool after = r->shape != DELETE_ROWS && bit(r->after_columns, i);
        bool absent = r->shape == DELETE_ROWS ? !before : !after && !before;
        if (r->shape == UPDATE_ROWS && !before && table->full_before)
            absent = true;
        if (absent && table->columns[i].key_ordinal == 0 && !table->columns[i].may_be_absent) {
            relax(t, i, true);
            table = t->layout->table;
        }
    }
}

/* --- rows --- */

static fr_rc row_malformed(const fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_BUG, "binlog: a row of event %u at %.*s:%llu does not fit its TABLE_MAP",
            d->header.type, FR_ARG(d->place.file), (unsigned long long)d->event_offset);
    return fr_fail_code(err, "binlog.malformed");
}

/* value_options, then a bit per JSON column of the table. */
static fr_rc read_partial(const rows *r, fr_in *in, const uint8_t **out)
{
    *out = NULL;
    if (!r->partial)
        return FR_OK;
    uint64_t options = fr_my_take_packed(in);
    if ((options & ~UINT64_C(1)) != 0)
        return FR_FAIL;
    if ((options & 1) != 0)
        *out = fr_my_take(in, (r->table->json_count + 7) / 8);
    return in->bad ? FR_FAIL : FR_OK;
}

static fr_rc skip_images(rows *r)
{
    const uint8_t *partial;
    bool ok = true;
    if (r->shape != INSERT_ROWS)
        ok = skip_row(r->table, r->before_columns, &r->in);
    if (ok && r->shape != DELETE_ROWS)
        ok = read_partial(r, &r->in, &partial) == FR_OK &&
             skip_row(r->table, r->after_columns, &r->in);
    return ok ? FR_OK : FR_FAIL;
}

/* What after lacks did not change if before has it; a key must be somewhere. */
static void complete(image *g, const fr_binlog_mapped *t, fr_event *e)
{
    fr_value *after = (fr_value *)(uintptr_t)e->after.values;
    for (size_t i = 0; e->after.count > 0 && e->before.count > 0 && i < t->column_count; i++)
        if (after[i].kind == FR_ABSENT)
            after[i] = e->before.values[i];
    const fr_row *row = e->after.count > 0 ? &e->after : &e->before;
    for (size_t i = 0; i < t->column_count && e->bad.len == 0; i++) {
        const fr_column *c = &t->layout->table->columns[i];
        if (c->key_ordinal == 0 || row->values[i].kind > FR_NULL)
            continue;
        fr_fail(&g->d->value_err, FR_ERR_DATA, "the log has no value of this key column");
        fr_fail_hint(&g->d->value_err, "SET GLOBAL binlog_row_image=FULL, and reconnect sessions "
                                       "that set it otherwise");
        bad_value(g, t->layout, i);
    }
}

/* A row into an event. */
static fr_rc fill(fr_binlog *d, fr_batch *batch, rows *r, fr_event *e)
{
    fr_binlog_mapped *t = r->table;
    image g = {.d = d, .batch = batch, .event = e};
    fr_str *documents = NULL;
    if (r->partial)
        documents = fr_arena_alloc(batch->arena, (t->column_count + 1) * sizeof(*documents));
    if (r->shape != INSERT_ROWS) {
        g.values = fr_batch_row(batch, t->layout->table, &e->before);
        FR_TRY(read_row(&g, t, r->before_columns, &r->in, documents));
    }
    if (r->shape != DELETE_ROWS) {
        FR_TRY(read_partial(r, &r->in, &g.partial));
        g.documents = documents;
        g.values = fr_batch_row(batch, t->layout->table, &e->after);
        FR_TRY(read_row(&g, t, r->after_columns, &r->in, NULL));
    }
    complete(&g, t, e);
    return FR_OK;
}

/* copy: the row's bytes are not the batch's yet. They are copied once the event has its place:
 * before it, a row that fills a batch on its own would never find room. */
static fr_rc one_row(fr_binlog *d, fr_batch *batch, rows *r, const fr_str *copy, fr_err *err)
{
    static const fr_op ops[] = {FR_OP_INSERT, FR_OP_UPDATE, FR_OP_DELETE};
    if (fr_binlog_announce(d, batch, r->table) == FR_IDLE)
        return FR_IDLE;
    fr_event *e = fr_binlog_add(d, batch, ops[r->shape], r->table->layout->table);
    if (e == NULL)
        return FR_IDLE;
    if (copy != NULL)
        r->in = fr_in_of(fr_arena_str(batch->arena, *copy));
    if (fill(d, batch, r, e) == FR_FAIL)
        return row_malformed(d, err);
    e->row = d->row_number++;
    d->group.rows++;
    d->place.ordinal++;
    d->place.rows++;
    return FR_OK;
}

/* More than the batch has room for: row by row, each measured first. */
static fr_rc large_rows(fr_binlog *d, fr_batch *batch, rows *r, fr_str left, fr_err *err)
{
    while (left.len > 0) {
        rows measured = *r;
        measured.in = fr_in_of(left);
        if (skip_images(&measured) == FR_FAIL || (const char *)measured.in.at == left.ptr)
            return row_malformed(d, err);
        fr_str row = {left.ptr, (size_t)((const char *)measured.in.at - left.ptr)};
        fr_rc rc = one_row(d, batch, r, &row, err);
        if (rc != FR_OK)
            return rc;
        left.ptr += row.len;
        left.len -= row.len;
        d->row_at += row.len;
    }
    r->in = fr_in_of(left);
    return FR_OK;
}

/* The rows of an event; copied into the batch, since values point into them. */
static fr_rc captured_rows(fr_binlog *d, fr_batch *batch, rows *r, fr_err *err)
{
    if (fr_in_left(&r->in) == 0)
        return FR_OK;
    fr_str left = {(const char *)r->in.at + d->row_at, fr_in_left(&r->in) - d->row_at};
    fit_absent(r);
    if (fr_arena_used(batch->arena) + left.len >= batch->max_bytes)
        return large_rows(d, batch, r, left, err);
    r->in = fr_in_of(fr_arena_str(batch->arena, left));
    const uint8_t *start = r->in.at;
    size_t before = d->row_at;
    while (fr_in_left(&r->in) > 0) {
        d->row_at = before + (size_t)(r->in.at - start);
        fr_rc rc = one_row(d, batch, r, NULL, err);
        if (rc != FR_OK)
            return rc;
        if (r->in.at == start + (d->row_at - before))
            return row_malformed(d, err); /* a row of no bytes never ends */
    }
    return FR_OK;
}

/* Rows of other tables are counted, so that a changed choice of tables moves no ordinal; an event
 * whose types we do not know counts as one. */
static fr_rc counted_rows(fr_binlog *d, rows *r)
{
    uint32_t count = 0;
    while (fr_in_left(&r->in) > 0) {
        const uint8_t *start = r->in.at;
        if (skip_images(r) == FR_FAIL || r->in.at == start) {
            count = 1;
            break;
        }
        count++;
    }
    d->place.ordinal += count;
    d->place.rows += count;
    return FR_OK;
}

/* --- events --- */

static bool shape_of(uint8_t type, rows *r, bool *extra, bool *compressed)
{
    *extra = false;
    *compressed = type >= FR_EV_WRITE_C1;
    switch (type) {
    case FR_EV_WRITE_V1:
    case FR_EV_UPDATE_V1:
    case FR_EV_DELETE_V1:
        r->shape = (shape)(type - FR_EV_WRITE_V1);
        return true;
    case FR_EV_WRITE_V2:
    case FR_EV_UPDATE_V2:
    case FR_EV_DELETE_V2:
        *extra = true;
        r->shape = (shape)(type - FR_EV_WRITE_V2);
        return true;
    case FR_EV_PARTIAL_UPDATE:
        *extra = r->partial = true;
        r->shape = UPDATE_ROWS;
        return true;
    case FR_EV_WRITE_C1:
    case FR_EV_UPDATE_C1:
    case FR_EV_DELETE_C1:
        r->shape = (shape)(type - FR_EV_WRITE_C1);
        return true;
    case FR_EV_WRITE_C2:
    case FR_EV_UPDATE_C2:
    case FR_EV_DELETE_C2:
        *extra = true;
        r->shape = (shape)(type - FR_EV_WRITE_C2);
        return true;
    default:
        return false;
    }
}

enum { STATEMENT_END = 1 }; /* of a ROWS event's flags */

/* table id, flags, [extra], count, bitmaps, rows */
fr_rc fr_binlog_rows(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    rows r = {.in = fr_in_of(body)};
    bool extra, compressed;
    shape_of(d->header.type, &r, &extra, &compressed);
    uint64_t id = table_id(d, &r.in);
    d->group.open = (fr_in_u16le(&r.in) & STATEMENT_END) == 0;
    if (extra) {
        uint16_t n = fr_in_u16le(&r.in);
        fr_in_take(&r.in, n >= 2 ? n - 2u : 0);
    }
    if (!d->place.in_group)
        return fr_binlog_malformed(err, d, "rows outside a transaction");
    FR_TRY(find_table(d, id, &r.table, err));
    if (r.table->captured && fr_binlog_holds(d))
        return fr_binlog_hold(d, body, err);
    if (d->group.published)
        return FR_OK;
    uint64_t count = fr_my_take_packed(&r.in);
    if (r.in.bad || count != r.table->column_count)
        return fr_binlog_malformed(err, d, "rows have another number of columns than their table");
    size_t bytes = (r.table->column_count + 7) / 8;
    r.before_columns = r.after_columns = fr_my_take(&r.in, bytes);
    if (r.shape == UPDATE_ROWS)
        r.after_columns = fr_my_take(&r.in, bytes);
    if (r.in.bad)
        return fr_binlog_malformed(err, d, "rows end too early");
    if (r.table->captured && fr_batch_full(batch) && fr_in_left(&r.in) > 0)
        return FR_IDLE;
    fr_str tail = {(const char *)r.in.at, fr_in_left(&r.in)};
    if (compressed)
        FR_TRY(fr_binlog_inflate(d, tail, &tail, err));
    r.in = fr_in_of(tail);
    if (!r.table->captured)
        return counted_rows(d, &r);
    fr_rc rc = captured_rows(d, batch, &r, err);
    if (rc == FR_OK)
        d->row_at = d->row_number = 0;
    return rc;
}
