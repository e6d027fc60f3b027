#include "connectors/postgres/pgoutput_decode.h"
#include "base/map.h"
#include "connectors/postgres/pg_value.h"
#include <stdlib.h>
#include <string.h>

#define EPOCH_US INT64_C(946684800000000) /* 2000-01-01 since 1970-01-01 */
enum { COLUMNS_MAX = 1664 };              /* MaxTupleAttributeNumber */

typedef struct relation {
    uint32_t oid;
    size_t column_count;
    fr_pg_layout *layout; /* NULL: not captured */
    uint32_t version;     /* the newest layout had */
    bool announced;       /* TABLE is out for this layout */
} relation;

typedef struct cell {
    fr_str bytes;
    char form; /* n null, u unchanged, t text, b binary */
} cell;

typedef struct tuple {
    char kind;  /* N new, O all of the old row, K its key; 0: not there */
    bool holes; /* some cell is null or unchanged */
    cell *cells;
    size_t cap;
} tuple;

struct fr_pgoutput {
    fr_pgoutput_calls calls;
    fr_pg_catalog *catalog;
    fr_map *relations; /* oid -> relation */
    relation *last;    /* the one of the last row */
    fr_pgoutput_place place;
    uint32_t epoch;
    uint32_t truncated;  /* of the Truncate message that found the batch full */
    const fr_txn *txn;   /* the copy in the batch of the last event, see txn_in */
    tuple before, after; /* of the message at hand */
    fr_err scratch;      /* of values that cannot be decoded */
};

static void relation_free(void *value)
{
    relation *r = value;
    fr_pg_layout_free(r->layout);
    free(r);
}

fr_pgoutput *fr_pgoutput_new(const fr_pgoutput_calls *calls, fr_pg_catalog *catalog, uint32_t epoch)
{
    fr_pgoutput *p = fr_malloc(sizeof(*p));
    p->calls = *calls;
    p->catalog = catalog;
    p->epoch = epoch;
    p->relations = fr_map_new();
    return p;
}

void fr_pgoutput_free(fr_pgoutput *p)
{
    if (p == NULL)
        return;
    fr_map_free(p->relations, relation_free);
    free(p->before.cells);
    free(p->after.cells);
    free(p);
}

const fr_pgoutput_place *fr_pgoutput_where(const fr_pgoutput *p)
{
    return &p->place;
}

static fr_rc malformed(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_BUG, "pgoutput: %s", what);
    return fr_fail_code(err, "pgoutput.malformed");
}

static fr_rc ended(const fr_in *in, const char *what, fr_err *err)
{
    return in->bad || fr_in_left(in) != 0 ? malformed(err, what) : FR_OK;
}

/* --- events --- */

/* The transaction, copied into each batch that it reaches. The last event of a batch has
 * the copy exactly if it was made in this life of the batch. */
static const fr_txn *txn_in(fr_pgoutput *p, fr_batch *b)
{
    size_t n = b->count;
    if (p->txn == NULL || n == 0 || b->events[n - 1].txn != p->txn) {
        fr_txn *txn = fr_arena_alloc(b->arena, sizeof(*txn));
        txn->id = fr_arena_printf(b->arena, "%u", p->place.xid);
        txn->commit_us = p->place.commit_us;
        p->txn = txn;
    }
    return p->txn;
}

/* NULL: the batch is full. */
static fr_event *add(fr_pgoutput *p, fr_batch *b, fr_op op, const fr_table *table,
                     uint64_t wal_start)
{
    if (fr_batch_full(b))
        return NULL;
    const fr_txn *txn = p->place.in_txn ? txn_in(p, b) : NULL;
    fr_event *e = fr_batch_add(b, op, table);
    if (e == NULL) /* the copy of the transaction filled it */
        return NULL;
    e->txn = txn;
    e->position.epoch = p->epoch;
    e->position.lsn = p->place.in_txn ? p->place.commit_lsn : wal_start;
    e->position.row_lsn = wal_start;
    e->position.ordinal = p->place.in_txn ? p->place.ordinal : 0;
    return e;
}

/* TABLE before the first event of a layout; FR_IDLE: no room. */
static fr_rc announce(fr_pgoutput *p, fr_batch *b, relation *r, uint64_t wal_start)
{
    if (r->announced)
        return FR_OK;
    if (add(p, b, FR_OP_TABLE, r->layout->table, wal_start) == NULL)
        return FR_IDLE;
    r->announced = true;
    return FR_OK;
}

/* --- transactions --- */

static fr_rc begin(fr_pgoutput *p, fr_batch *b, fr_in *in, uint64_t wal_start, fr_err *err)
{
    uint64_t lsn = fr_in_u64be(in);
    int64_t commit_us = (int64_t)fr_in_u64be(in);
    uint32_t xid = fr_in_u32be(in);
    FR_TRY(ended(in, "Begin is malformed", err));
    if (p->place.in_txn)
        return malformed(err, "Begin inside a transaction");
    if (__builtin_add_overflow(commit_us, EPOCH_US, &commit_us))
        return malformed(err, "Begin has an impossible commit time");
    if (fr_batch_full(b))
        return FR_IDLE;
    p->place.in_txn = true;
    p->place.xid = xid;
    p->place.commit_lsn = lsn;
    p->place.commit_us = commit_us;
    p->place.ordinal = 0;
    p->txn = NULL;
    if (add(p, b, FR_OP_BEGIN, NULL, wal_start) == NULL) {
        p->place.in_txn = false;
        return FR_IDLE;
    }
    return FR_OK;
}

static fr_rc commit(fr_pgoutput *p, fr_batch *b, fr_in *in, fr_err *err)
{
    uint8_t flags = fr_in_u8(in);
    uint64_t lsn = fr_in_u64be(in), end_lsn = fr_in_u64be(in);
    fr_in_u64be(in); /* the time, as in Begin */
    FR_TRY(ended(in, "Commit is malformed", err));
    if (!p->place.in_txn || flags != 0)
        return malformed(err, flags != 0 ? "Commit has flags" : "Commit outside a transaction");
    if (lsn != p->place.commit_lsn || end_lsn < lsn)
        return malformed(err, "Commit is not of the transaction that began");
    if (add(p, b, FR_OP_COMMIT, NULL, end_lsn) == NULL)
        return FR_IDLE;
    p->place.end_lsn = end_lsn;
    p->place.in_txn = false;
    p->txn = NULL;
    return FR_OK;
}

static fr_rc logical_message(fr_pgoutput *p, fr_batch *b, fr_in *in, fr_err *err)
{
    uint8_t flags = fr_in_u8(in);
    uint64_t lsn = fr_in_u64be(in);
    fr_str prefix = fr_in_cstr(in);
    fr_str body = fr_in_take(in, fr_in_u32be(in));
    bool transactional = (flags & 1) != 0;
    FR_TRY(ended(in, "Message is malformed", err));
    if ((flags & ~1u) != 0 || transactional != p->place.in_txn)
        return malformed(err, "Message has unknown flags or is in the wrong place");
    fr_event *e = add(p, b, FR_OP_MESSAGE, NULL, lsn);
    if (e == NULL)
        return FR_IDLE;
    e->name = prefix;
    e->body = body;
    if (!fr_utf8_valid(prefix))
        e->bad = FR_STR("the prefix of a logical message is not UTF-8");
    if (transactional)
        p->place.ordinal++;
    return FR_OK;
}

/* --- relations --- */

static fr_rc read_columns(fr_in *in, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    r->column_count = fr_in_u16be(in);
    if (in->bad || r->column_count > COLUMNS_MAX)
        return malformed(err, "Relation has too many columns");
    r->columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(*r->columns));
    for (size_t i = 0; i < r->column_count; i++) {
        fr_pg_attr *c = &r->columns[i];
        uint8_t flags = fr_in_u8(in);
        c->name = fr_in_cstr(in);
        c->type = fr_in_u32be(in);
        c->typmod = (int32_t)fr_in_u32be(in);
        c->identity = (flags & 1) != 0;
        c->nullable = true;
        if ((flags & ~1u) != 0 || in->bad || !fr_utf8_valid(c->name))
            return malformed(err, "Relation has a malformed column");
    }
    return FR_OK;
}

static fr_rc read_relation(fr_in *in, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    *r = (fr_pg_relation){.oid = fr_in_u32be(in), .captured = true};
    r->space = fr_in_cstr(in);
    r->name = fr_in_cstr(in);
    r->identity = (char)fr_in_u8(in);
    if (r->space.len == 0) /* pgoutput's way to say pg_catalog */
        r->space = FR_STR("pg_catalog");
    if (in->bad || memchr("dnfi", r->identity, 4) == NULL || !fr_utf8_valid(r->space) ||
        !fr_utf8_valid(r->name))
        return malformed(err, "Relation is malformed");
    FR_TRY(read_columns(in, r, a, err));
    return ended(in, "Relation is malformed", err);
}

/* Types that are not known yet are looked up once each, on the way. */
static fr_rc make_layout(fr_pgoutput *p, const fr_pg_relation *r, uint32_t version,
                         fr_pg_layout **out, fr_err *err)
{
    for (;;) {
        fr_rc rc = fr_pg_layout_new(p->catalog, r, version, out, err);
        if (rc != FR_FAIL || strcmp(err->code, "pg.type_unknown") != 0 || p->calls.lookup == NULL)
            return rc;
        uint32_t oid = (uint32_t)err->native;
        fr_err failed = *err;
        FR_TRY(p->calls.lookup(p->calls.context, oid, p->catalog, err));
        if (fr_pg_catalog_find(p->catalog, oid) == NULL) {
            *err = failed;
            return FR_FAIL;
        }
    }
}

static fr_rc update_relation(fr_pgoutput *p, relation *r, const fr_pg_relation *said, fr_err *err)
{
    fr_pg_layout *layout = NULL;
    if (said->captured)
        FR_TRY(make_layout(p, said, r->version + 1, &layout, err));
    r->column_count = said->column_count;
    if (layout != NULL && r->layout != NULL && fr_pg_layout_same(layout, r->layout)) {
        fr_pg_layout_free(layout);
        return FR_OK;
    }
    fr_pg_layout_free(r->layout);
    r->layout = layout;
    r->announced = false;
    if (layout != NULL)
        r->version = layout->table->version;
    return FR_OK;
}

/* Only a relation that was understood is remembered: one without layout is not captured. */
static fr_rc remember(fr_pgoutput *p, const fr_pg_relation *said, fr_err *err)
{
    relation *known = fr_map_get_u64(p->relations, said->oid);
    relation *r = known != NULL ? known : fr_malloc(sizeof(*r));
    r->oid = said->oid;
    if (update_relation(p, r, said, err) == FR_FAIL) {
        if (known == NULL)
            relation_free(r);
        return FR_FAIL;
    }
    if (known == NULL) {
        fr_map_set_u64(p->relations, r->oid, r);
        p->place.relations++;
    }
    return FR_OK;
}

static fr_rc relation_message(fr_pgoutput *p, fr_in *in, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_pg_relation said;
    fr_rc rc = read_relation(in, &said, a, err);
    if (rc == FR_OK && p->calls.describe != NULL)
        rc = p->calls.describe(p->calls.context, &said, a, err);
    if (rc != FR_FAIL)
        rc = remember(p, &said, err);
    fr_arena_free(a);
    return rc;
}

static relation *find_relation(fr_pgoutput *p, uint32_t oid)
{
    if (p->last == NULL || p->last->oid != oid)
        p->last = fr_map_get_u64(p->relations, oid);
    return p->last;
}

/* --- rows --- */

static fr_rc read_tuple(const relation *r, fr_in *in, tuple *t, char kind, fr_err *err)
{
    size_t count = fr_in_u16be(in);
    if (in->bad || count != r->column_count)
        return malformed(err, "a row has another number of columns than its relation");
    if (t->cap < count) {
        t->cap = count;
        t->cells = fr_realloc(t->cells, count * sizeof(cell));
    }
    t->holes = false;
    for (size_t i = 0; i < count; i++) {
        cell *c = &t->cells[i];
        c->form = (char)fr_in_u8(in);
        c->bytes = (fr_str){NULL, 0};
        if (c->form == 't' || c->form == 'b')
            c->bytes = fr_in_take(in, fr_in_u32be(in));
        else if (c->form == 'n' || c->form == 'u')
            t->holes = true;
        else
            return malformed(err, "a row has a column of an unknown form");
    }
    if (in->bad)
        return malformed(err, "a row ends too early");
    t->kind = kind;
    return FR_OK;
}

/* Which tuples follow in a message of this tag, and nothing else. */
static fr_rc read_row(fr_pgoutput *p, const relation *r, char tag, fr_in *in, fr_err *err)
{
    p->before.kind = p->after.kind = 0;
    uint8_t kind = fr_in_u8(in);
    if (tag != 'I' && (kind == 'K' || kind == 'O')) {
        FR_TRY(read_tuple(r, in, &p->before, (char)kind, err));
        kind = tag == 'U' ? fr_in_u8(in) : 0;
    }
    if (tag != 'D' && kind == 'N')
        FR_TRY(read_tuple(r, in, &p->after, (char)kind, err));
    if ((tag == 'D' ? p->before.kind : p->after.kind) == 0)
        return malformed(err, "a change without its row");
    return ended(in, "bytes after a row", err);
}

/* The cell a column's new value is in: an unchanged TOASTed value may be in the old row. */
static const cell *new_cell(const fr_pgoutput *p, size_t i)
{
    const cell *c = &p->after.cells[i];
    if (c->form == 'u' && p->before.kind == 'O' && p->before.cells[i].form != 'u')
        return &p->before.cells[i];
    return c;
}

static void relax(relation *r, size_t column, bool absent)
{
    fr_pg_layout *relaxed = fr_pg_layout_relax(r->layout, column, absent);
    fr_pg_layout_free(r->layout);
    r->layout = relaxed;
    r->version = relaxed->table->version;
    r->announced = false;
}

/* The catalog is of another time than the log: where the row has a NULL, or an unchanged
 * value, in a column that should have none, the log is right. */
static void fit_layout(fr_pgoutput *p, relation *r)
{
    bool holes =
        (p->after.kind != 0 && p->after.holes) || (p->before.kind == 'O' && p->before.holes);
    if (!holes)
        return;
    for (size_t i = 0; i < r->column_count; i++) {
        const fr_column *c = &r->layout->table->columns[i];
        char form = p->after.kind != 0 ? new_cell(p, i)->form : 'x';
        char old = p->before.kind == 'O' ? p->before.cells[i].form : 'x';
        if ((form == 'n' || old == 'n') && !c->nullable)
            relax(r, i, false);
        if (form == 'u' && !r->layout->table->columns[i].may_be_absent)
            relax(r, i, true);
    }
}

/* values[i] is ABSENT, and stays so where it cannot be decoded. */
static void put_cell(fr_pgoutput *p, const fr_pg_layout *l, size_t i, const cell *c, fr_batch *b,
                     fr_event *e, fr_value *values)
{
    fr_rc rc = FR_OK;
    if (c->form == 'b')
        rc = fr_pg_decode_binary(&l->codecs[i], b->arena, c->bytes, &values[i], &p->scratch);
    else if (c->form == 't')
        rc = fr_pg_decode_text(&l->codecs[i], b->arena, c->bytes, &values[i], &p->scratch);
    else if (c->form == 'n')
        values[i].kind = FR_NULL;
    if (rc == FR_FAIL)
        fr_pg_layout_bad(l, i, b->arena, e->position.row_lsn, &p->scratch, &e->bad);
}

static void put_before(fr_pgoutput *p, const relation *r, fr_batch *b, fr_event *e)
{
    const fr_pg_layout *l = r->layout;
    fr_value *values = fr_batch_row(b, l->table, &e->before);
    for (size_t i = 0; i < r->column_count; i++)
        if (p->before.kind == 'O' || l->identity[i]) /* K: the others are sent as NULL */
            put_cell(p, l, i, &p->before.cells[i], b, e, values);
}

static void put_after(fr_pgoutput *p, const relation *r, fr_batch *b, fr_event *e)
{
    fr_value *values = fr_batch_row(b, r->layout->table, &e->after);
    for (size_t i = 0; i < r->column_count; i++) {
        const cell *c = new_cell(p, i);
        if (c != &p->after.cells[i])
            values[i] = e->before.values[i];
        else
            put_cell(p, r->layout, i, c, b, e, values);
    }
}

static fr_rc row_message(fr_pgoutput *p, fr_batch *b, char tag, fr_in *in, uint64_t wal_start,
                         fr_err *err)
{
    uint32_t oid = fr_in_u32be(in);
    relation *r = find_relation(p, oid);
    if (!p->place.in_txn)
        return malformed(err, "a row outside a transaction");
    if (in->bad || r == NULL)
        return malformed(err, "a row of a relation that was not announced");
    if (r->layout == NULL) {
        p->place.ordinal++;
        return FR_OK;
    }
    FR_TRY(read_row(p, r, tag, in, err));
    fit_layout(p, r);
    if (announce(p, b, r, wal_start) == FR_IDLE)
        return FR_IDLE;
    fr_op op = tag == 'I' ? FR_OP_INSERT : tag == 'U' ? FR_OP_UPDATE : FR_OP_DELETE;
    fr_event *e = add(p, b, op, r->layout->table, wal_start);
    if (e == NULL)
        return FR_IDLE;
    if (p->before.kind != 0)
        put_before(p, r, b, e);
    if (p->after.kind != 0)
        put_after(p, r, b, e);
    p->place.ordinal++;
    return FR_OK;
}

static fr_rc truncate_message(fr_pgoutput *p, fr_batch *b, fr_in *in, uint64_t wal_start,
                              fr_err *err)
{
    uint32_t count = fr_in_u32be(in);
    uint8_t options = fr_in_u8(in);
    if (in->bad || (options & ~3u) != 0 || fr_in_left(in) != (uint64_t)count * 4)
        return malformed(err, "Truncate is malformed");
    if (!p->place.in_txn)
        return malformed(err, "Truncate outside a transaction");
    for (uint32_t i = 0; i < count; i++) {
        relation *r = find_relation(p, fr_in_u32be(in));
        if (r == NULL)
            return malformed(err, "Truncate of a relation that was not announced");
        if (i < p->truncated) /* before the batch was full */
            continue;
        if (r->layout != NULL && (announce(p, b, r, wal_start) == FR_IDLE ||
                                  add(p, b, FR_OP_TRUNCATE, r->layout->table, wal_start) == NULL))
            return FR_IDLE;
        p->truncated++;
        p->place.ordinal++;
    }
    p->truncated = 0;
    return FR_OK;
}

/* Nothing is taken from these: the origin of a transaction, and the name of a type that
 * the catalog will tell us more about. */
static fr_rc ignored_message(char tag, fr_in *in, fr_err *err)
{
    if (tag == 'O') {
        fr_in_u64be(in);
    } else {
        fr_in_u32be(in);
        fr_in_cstr(in);
    }
    fr_in_cstr(in);
    return ended(in, tag == 'O' ? "Origin is malformed" : "Type is malformed", err);
}

fr_rc fr_pgoutput_message(fr_pgoutput *p, fr_batch *batch, fr_str message, uint64_t wal_start,
                          fr_err *err)
{
    fr_in in = fr_in_of(message);
    char tag = (char)fr_in_u8(&in);
    if (in.bad)
        return malformed(err, "an empty message");
    switch (tag) {
    case 'I':
    case 'U':
    case 'D':
        return row_message(p, batch, tag, &in, wal_start, err);
    case 'B':
        return begin(p, batch, &in, wal_start, err);
    case 'C':
        return commit(p, batch, &in, err);
    case 'R':
        return relation_message(p, &in, err);
    case 'T':
        return truncate_message(p, batch, &in, wal_start, err);
    case 'M':
        return logical_message(p, batch, &in, err);
    case 'O':
    case 'Y':
        return ignored_message(tag, &in, err);
    default:
        fr_fail(err, FR_ERR_BUG, "pgoutput: unknown message 0x%02x at %X/%X", (uint8_t)tag,
                (unsigned)(wal_start >> 32), (unsigned)wal_start);
        fr_fail_code(err, "pgoutput.unknown_message");
        return fr_fail_hint(err, "unknown is fatal: this server speaks a newer pgoutput than we "
                                 "know; please report its version");
    }
}
