/* Sums of chunks on both sides; of those that differ, rows. */
#include "base/clock.h"
#include "cli/verify_rows.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* BUCKETS: chunks where keys have no order of numbers. NARROW: into so many a range that differs is
 * split before its rows are read. SLICE_CHUNKS: chunks that one statement makes buckets of. */
enum {
    BUCKETS = 4096,
    SLICE_CHUNKS = 5,
    NARROW = 64,
    FEW_ROWS = 2000,
    MOST_ROWS = 20000,
    MOST_FOUND = 100000
};

/* ---- keys that differ ---- */

static int by_key(const void *a, const void *b)
{
    const struct fr_verify_one *x = a, *y = b;
    int n = fr_str_cmp(x->key, y->key);
    return n != 0 ? n : fr_str_cmp(x->print, y->print);
}

static void add_found(fr_verify_run *v, fr_str key, const fr_str *cells)
{
    fr_arena *a = v->cli->arena;
    if (v->found_count == MOST_FOUND) {
        v->too_many = true;
        return;
    }
    if (v->found_count == v->found_cap) {
        v->found_cap = v->found_cap == 0 ? 256 : v->found_cap * 2;
        v->found = fr_realloc(v->found, v->found_cap * sizeof(*v->found));
    }
    fr_str *kept = fr_arena_alloc(a, v->compared * sizeof(*kept));
    for (size_t i = 0; i < v->key_count; i++) {
        fr_str cell = cells[v->keys[i]];
        kept[v->keys[i]] = cell.ptr == NULL ? cell : fr_arena_str(a, cell);
    }
    v->found[v->found_count++] = (fr_verify_key){.text = fr_arena_str(a, key), .cells = kept};
}

/* How many rows from `from` on have its key. */
static size_t run_of(const fr_verify_row_list *l, size_t from, fr_str key)
{
    size_t n = 0;
    while (from + n < l->count && fr_str_eq(l->items[from + n].key, key))
        n++;
    return n;
}

static bool same_rows(const struct fr_verify_one *a, const struct fr_verify_one *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fr_str_eq(a[i].print, b[i].print))
            return false;
    return true;
}

static void merge(fr_verify_run *v, fr_verify_row_list lists[FR_SIDES])
{
    size_t s = 0, t = 0;
    for (int i = 0; i < FR_SIDES; i++)
        if (lists[i].count > 0)
            qsort(lists[i].items, lists[i].count, sizeof(*lists[i].items), by_key);
    while (s < lists[0].count || t < lists[1].count) {
        int order = s == lists[0].count ? 1
                    : t == lists[1].count
                        ? -1
                        : fr_str_cmp(lists[0].items[s].key, lists[1].items[t].key);
        const struct fr_verify_one *first = order <= 0 ? &lists[0].items[s] : &lists[1].items[t];
        size_t n = run_of(&lists[0], s, first->key), m = run_of(&lists[1], t, first->key);
        if (n != m || !same_rows(lists[0].items + s, lists[1].items + t, n))
            add_found(v, first->key, first->cells);
        s += n;
        t += m;
    }
}

static fr_rc compare_rows(fr_verify_run *v, const fr_verify_range *r, size_t buckets,
                          const bool *wanted, fr_err *err)
{
    fr_verify_row_list lists[FR_SIDES] = {{.arena = fr_arena_new(0)}, {.arena = fr_arena_new(0)}};
    fr_rc rc = FR_OK;
    for (int i = 0; i < FR_SIDES && rc == FR_OK; i++)
        rc = fr_verify_read(v, i, r, buckets, wanted, &lists[i], err);
    if (rc == FR_OK)
        merge(v, lists);
    for (int i = 0; i < FR_SIDES; i++)
        fr_verify_list_free(&lists[i]);
    return rc;
}

/* ---- ranges of keys, as the source orders them ---- */

typedef struct bounds {
    int64_t rows; /* of a range */
    fr_verify_range range;
    char *from, *to;
    bool begun;
} bounds;

static void end_bounds(bounds *b)
{
    free(b->from);
    free(b->to);
}

/* The key after so many rows; NULL: they are fewer. */
static fr_rc next_bound(fr_verify_run *v, fr_arena *a, const bounds *b, char **out, fr_err *err)
{
    fr_verify_side *s = &v->sides[FR_SOURCE_SIDE];
    const fr_verify_field *f = &v->fields[v->keys[0]];
    const fr_verify_column *c = f->columns[FR_SOURCE_SIDE];
    fr_str name = s->ops->ident(a, c->name);
    fr_buf sql = {.arena = a};
    /* AS: id::text is called id, too, and the order would be that of texts. */
    fr_buf_printf(&sql, "SELECT %.*s AS _freshet_bound FROM %.*s", FR_ARG(f->texts[FR_SOURCE_SIDE]),
                  FR_ARG(s->table.from));
    if (b->to != NULL) {
        fr_buf_printf(&sql, " WHERE %.*s > ", FR_ARG(name));
        s->ops->put_literal(s->conn, &sql, c, f->kind, fr_cstr(b->to));
    }
    fr_buf_printf(&sql, " ORDER BY %.*s LIMIT 1 OFFSET %" PRId64, FR_ARG(name), b->rows - 1);
    FR_TRY(fr_verify_scalar(v, FR_SOURCE_SIDE, a, fr_buf_view(&sql), out, err));
    if (*out != NULL && !f->canonical[FR_SOURCE_SIDE])
        *out = fr_arena_cstr(a, fr_verify_canonical(a, f->kind, fr_cstr(*out)));
    return FR_OK;
}

static fr_rc no_order(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "the source's keys cannot be read in pieces: one comes twice");
    fr_fail_code(err, "verify.order");
    return fr_fail_hint(err, "--load 100 reads them in one statement");
}

/* FR_END: that was the last. */
static fr_rc next_range(fr_verify_run *v, bounds *b, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    char *to = NULL;
    fr_rc rc = b->begun && b->to == NULL ? FR_END : next_bound(v, a, b, &to, err);
    if (rc == FR_OK && to != NULL && b->to != NULL && strcmp(to, b->to) == 0)
        rc = no_order(err);
    if (rc == FR_OK) {
        free(b->from);
        b->from = b->to;
        b->to = fr_strdup(to);
        b->begun = true;
        b->range = (fr_verify_range){b->from, b->to};
    }
    fr_arena_free(a);
    return rc;
}

/* ---- chunks ---- */

static bool equal(const fr_verify_sum *a, const fr_verify_sum *b)
{
    return a->count == b->count && a->sum == b->sum;
}

static uint64_t larger(const fr_verify_sum *a, const fr_verify_sum *b)
{
    return a->count > b->count ? a->count : b->count;
}

/* MySQL orders labels by their numbers, and compares them as texts; a NUL would end a bound. */
static bool can_slice(const fr_verify_run *v)
{
    const fr_verify_column *c = v->fields[v->keys[0]].columns[FR_SOURCE_SIDE];
    bool labels = c->type.len > 4 &&
                  (memcmp(c->type.ptr, "enum", 4) == 0 || memcmp(c->type.ptr, "set(", 4) == 0);
    return v->sides[FR_SOURCE_SIDE].load < 100 && !labels &&
           v->sides[FR_SOURCE_SIDE].ops->now != NULL; /* a file needs no rests */
}

/* All buckets of the whole table, in statements of so many rows, so that the source has its
 * rests. */
static fr_rc source_sums(fr_verify_run *v, size_t buckets, fr_verify_sum *out, fr_err *err)
{
    bounds b = {.rows = v->chunk * SLICE_CHUNKS};
    fr_verify_sum *part = fr_malloc(buckets * sizeof(*part));
    fr_rc rc = FR_OK;
    memset(out, 0, buckets * sizeof(*out));
    while (rc == FR_OK && (rc = next_range(v, &b, err)) == FR_OK) {
        rc = fr_verify_sums(v, FR_SOURCE_SIDE, &b.range, buckets, part, err);
        for (size_t i = 0; i < buckets; i++) {
            out[i].count += part[i].count;
            out[i].sum += part[i].sum;
        }
    }
    end_bounds(&b);
    free(part);
    return rc == FR_END ? FR_OK : rc;
}

static fr_rc both_sums(fr_verify_run *v, const fr_verify_range *r, size_t buckets,
                       fr_verify_sum *sums[FR_SIDES], fr_err *err)
{
    bool whole = r->from == NULL && r->to == NULL && v->by == NULL;
    FR_TRY(whole && can_slice(v) ? source_sums(v, buckets, sums[0], err)
                                 : fr_verify_sums(v, FR_SOURCE_SIDE, r, buckets, sums[0], err));
    return fr_verify_sums(v, FR_SINK_SIDE, r, buckets, sums[1], err);
}

/* Rows of the buckets that differ, so many at once as fit. */
static fr_rc differing_buckets(fr_verify_run *v, const fr_verify_range *r, size_t buckets,
                               fr_verify_sum *sums[FR_SIDES], fr_err *err)
{
    bool *wanted = fr_malloc(buckets);
    uint64_t rows = 0;
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < buckets && rc == FR_OK; i++) {
        if (!equal(&sums[0][i], &sums[1][i])) {
            wanted[i] = true;
            rows += larger(&sums[0][i], &sums[1][i]);
        }
        if (rows > 0 && (rows >= MOST_ROWS || i + 1 == buckets)) {
            rc = v->too_many ? FR_OK : compare_rows(v, r, buckets, wanted, err);
            memset(wanted, 0, buckets);
            rows = 0;
        }
    }
    free(wanted);
    return rc;
}

typedef enum { EQUAL, DIFFERS, MOVES } chunk;

typedef struct part { /* chunks that are summed at once: one range, or the buckets of all */
    fr_verify_range range;
    size_t buckets;
    fr_verify_sum *sums[FR_SIDES];
    chunk *chunks;
    size_t moving; /* of them */
} part;

typedef struct parts { /* of --fast: in which chunks differed */
    part *items;
    size_t count, cap;
} parts;

static void free_part(part *p)
{
    free(p->sums[0]);
    free(p->sums[1]);
    free(p->chunks);
}

static void free_parts(parts *l)
{
    for (size_t i = 0; i < l->count; i++)
        free_part(&l->items[i]);
    free(l->items);
}

static const char *kept(fr_verify_run *v, const char *bound)
{
    return bound == NULL ? NULL : fr_arena_cstr(v->cli->arena, fr_cstr(bound));
}

static void keep_part(fr_verify_run *v, parts *l, const part *p)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->items = fr_realloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->count] = *p;
    l->items[l->count++].range = (fr_verify_range){kept(v, p->range.from), kept(v, p->range.to)};
}

static size_t judge(size_t buckets, fr_verify_sum *sums[FR_SIDES], const fr_verify_sum *later,
                    chunk *chunks)
{
    size_t moving = 0;
    for (size_t i = 0; i < buckets; i++) {
        bool stood = later == NULL || equal(&sums[0][i], &later[i]);
        bool same = equal(&sums[0][i], &sums[1][i]);
        if (later != NULL && !stood && equal(&later[i], &sums[1][i]))
            same = true;
        chunks[i] = same ? EQUAL : later != NULL && stood ? DIFFERS : MOVES;
        moving += chunks[i] == MOVES ? 1 : 0;
    }
    return moving;
}

static void count_chunks(fr_verify_run *v, const part *p)
{
    for (size_t i = 0; i < p->buckets; i++) {
        v->rows[0] += p->sums[0][i].count;
        v->rows[1] += p->sums[1][i].count;
        v->chunks_equal += p->chunks[i] == EQUAL && p->sums[0][i].count > 0 ? 1 : 0;
        v->chunks_differ += p->chunks[i] == EQUAL ? 0 : 1;
        v->chunks_moving += v->mode == FR_VERIFY_FAST && p->chunks[i] == MOVES ? 1 : 0;
    }
}

static fr_rc sum_again(fr_verify_run *v, part *p, fr_err *err)
{
    fr_verify_sum *later = fr_malloc(p->buckets * sizeof(*later));
    fr_rc rc = fr_verify_sums(v, FR_SINK_SIDE, &p->range, p->buckets, p->sums[1], err);
    if (rc == FR_OK)
        rc = fr_verify_sums(v, FR_SOURCE_SIDE, &p->range, p->buckets, later, err);
    if (rc == FR_OK) {
        p->moving = judge(p->buckets, p->sums, later, p->chunks);
        memcpy(p->sums[0], later, p->buckets * sizeof(*later));
    }
    free(later);
    return rc;
}

/* --fast reads no rows: chunks that differed are summed again once the sink has passed the source,
 * all of them behind one wait, until none moves that differs. */
static fr_rc settle_parts(fr_verify_run *v, parts *l, fr_err *err)
{
    int64_t end = fr_now_us() + v->settle_us;
    bool passed = true;
    for (size_t left = l->count; left > 0 && fr_now_us() < end;) {
        FR_TRY(fr_verify_pass(v, end, &passed, err));
        if (!passed)
            break;
        left = 0;
        for (size_t i = 0; i < l->count; i++) {
            if (l->items[i].moving > 0)
                FR_TRY(sum_again(v, &l->items[i], err));
            left += l->items[i].moving;
        }
    }
    for (size_t i = 0; i < l->count; i++)
        count_chunks(v, &l->items[i]);
    return FR_OK;
}

static fr_rc narrow(fr_verify_run *v, const fr_verify_range *r, uint64_t rows, fr_err *err)
{
    fr_verify_sum halves[FR_SIDES][NARROW], *sums[FR_SIDES] = {halves[0], halves[1]};
    if (v->too_many)
        return FR_OK;
    if (rows <= FEW_ROWS || v->mode == FR_VERIFY_FULL)
        return compare_rows(v, r, 1, NULL, err);
    FR_TRY(both_sums(v, r, NARROW, sums, err));
    return differing_buckets(v, r, NARROW, sums, err);
}

static fr_rc compare_part(fr_verify_run *v, part *p, fr_err *err)
{
    if (p->buckets > 1)
        return differing_buckets(v, &p->range, p->buckets, p->sums, err);
    return p->chunks[0] == EQUAL ? FR_OK
                                 : narrow(v, &p->range, larger(p->sums[0], p->sums[1]), err);
}

static fr_rc compare_range(fr_verify_run *v, const fr_verify_range *r, size_t buckets, parts *l,
                           fr_err *err)
{
    part p = {.range = *r, .buckets = buckets, .chunks = fr_malloc(buckets * sizeof(*p.chunks))};
    for (int i = 0; i < FR_SIDES; i++)
        p.sums[i] = fr_malloc(buckets * sizeof(*p.sums[i]));
    fr_rc rc = both_sums(v, r, buckets, p.sums, err);
    if (rc == FR_OK)
        p.moving = judge(buckets, p.sums, NULL, p.chunks);
    if (rc == FR_OK && p.moving > 0 && v->mode == FR_VERIFY_FAST) {
        keep_part(v, l, &p);
        return FR_OK;
    }
    if (rc == FR_OK)
        count_chunks(v, &p);
    if (rc == FR_OK && v->mode != FR_VERIFY_FAST)
        rc = compare_part(v, &p, err);
    free_part(&p);
    return rc;
}

/* ---- the whole table ---- */

static fr_rc by_ranges(fr_verify_run *v, parts *l, fr_err *err)
{
    bounds b = {.rows = v->chunk};
    fr_rc rc = FR_OK;
    while (rc == FR_OK && (rc = next_range(v, &b, err)) == FR_OK)
        rc = compare_range(v, &b.range, 1, l, err);
    end_bounds(&b);
    return rc == FR_END ? FR_OK : rc;
}

fr_rc fr_verify_find(fr_verify_run *v, fr_err *err)
{
    parts l = {NULL, 0, 0};
    fr_rc rc = v->by != NULL ? by_ranges(v, &l, err)
                             : compare_range(v, &(fr_verify_range){NULL, NULL}, BUCKETS, &l, err);
    if (rc == FR_OK)
        rc = settle_parts(v, &l, err);
    free_parts(&l);
    return rc;
}
