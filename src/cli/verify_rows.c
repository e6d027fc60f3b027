#include "cli/verify_rows.h"
#include "base/clock.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BITS = 60 };

/* ---- what a row is: fields with '|' between them; NULL is '~', a text has its length before it */

static bool is_text(const fr_verify_field *f)
{
    return f->kind == FR_TEXT || f->kind == FR_JSON;
}

static size_t characters(fr_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void put_field(fr_buf *b, bool first, const fr_verify_field *f, fr_str canonical)
{
    if (!first)
        fr_buf_u8(b, '|');
    bool odd = canonical.ptr != NULL && (memchr(canonical.ptr, '|', canonical.len) != NULL ||
                                         memchr(canonical.ptr, '~', canonical.len) != NULL);
    if (canonical.ptr == NULL)
        fr_buf_u8(b, '~');
    else if (is_text(f) || odd)
        fr_buf_printf(b, "%zu:", characters(canonical));
    fr_buf_str(b, canonical);
}

static void sql_field(fr_buf *b, const fr_verify_run *v, int side, size_t field)
{
    const fr_verify_ops *ops = v->sides[side].ops;
    const fr_verify_field *f = &v->fields[field];
    fr_str x = f->texts[side];
    fr_buf_text(b, "COALESCE(");
    if (is_text(f))
        fr_buf_printf(b, "%s%s%.*s%s%s':'%s%.*s%s", ops->join_open, ops->length_open, FR_ARG(x),
                      ops->length_close, ops->join_between, ops->join_between, FR_ARG(x),
                      ops->join_close);
    else
        fr_buf_str(b, x);
    fr_buf_text(b, ", '~')");
}

static fr_str sql_number(const fr_verify_run *v, int side, const uint16_t *fields, size_t count)
{
    const fr_verify_ops *ops = v->sides[side].ops;
    fr_buf b = {.arena = v->cli->arena};
    fr_buf_printf(&b, "%s%s", ops->hash_open, ops->join_open);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fr_buf_printf(&b, "%s'|'%s", ops->join_between, ops->join_between);
        sql_field(&b, v, side, fields == NULL ? i : fields[i]);
    }
    fr_buf_printf(&b, "%s%s", ops->join_close, ops->hash_close);
    return fr_buf_view(&b);
}

void fr_verify_prepare(fr_verify_run *v, int side)
{
    fr_verify_side *s = &v->sides[side];
    s->inside = s->ops->hash_open != NULL && v->mode != FR_VERIFY_FULL;
    for (size_t i = 0; i < v->compared; i++)
        s->inside = s->inside && v->fields[i].canonical[side];
    if (!s->inside)
        return;
    s->key = sql_number(v, side, v->keys, v->key_count);
    s->row = sql_number(v, side, NULL, v->compared);
}

/* The same number as the databases', of the same text. */
static uint64_t number_of(const fr_verify_run *v, fr_str text)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    uint64_t n = 0;
    EVP_MD_CTX *md = v->md5;
    if (EVP_DigestInit_ex(md, EVP_md5(), NULL) != 1 ||
        EVP_DigestUpdate(md, text.ptr, text.len) != 1 || EVP_DigestFinal_ex(md, digest, NULL) != 1)
        return 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | digest[i];
    return n >> (64 - HASH_BITS);
}

/* ---- asking ---- */

fr_rc fr_verify_ask(fr_verify_run *v, int side, fr_str sql, fr_verify_row *each, void *context,
                    fr_err *err)
{
    fr_verify_side *s = &v->sides[side];
    if (s->rest_until_us > fr_now_us())
        fr_sleep_us(s->rest_until_us - fr_now_us());
    int64_t from = fr_now_us();
    fr_rc rc = s->ops->query(s->conn, sql, each, context, err);
    int64_t now = fr_now_us();
    if (s->load < 100)
        s->rest_until_us = now + (now - from) * (100 - s->load) / s->load;
    if (rc != FR_FAIL)
        return rc;
    if (v->timeout_us > 0 && now - from >= v->timeout_us && err->kind != FR_ERR_BUG) {
        err->kind = FR_ERR_BUSY; /* by the server or by us */
        fr_fail_code(err, "verify.timeout");
        fr_fail_hint(err, "--timeout gives a statement longer");
    }
    return fr_fail_in(err, "%s", s->name);
}

typedef struct one_cell {
    fr_arena *arena;
    char *text;
    bool seen;
} one_cell;

static fr_rc take_cell(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    one_cell *c = context;
    (void)err;
    if (!c->seen && count > 0 && cells[0].ptr != NULL)
        c->text = fr_arena_cstr(c->arena, cells[0]);
    c->seen = true;
    return FR_OK;
}

fr_rc fr_verify_scalar(fr_verify_run *v, int side, fr_arena *a, fr_str sql, char **out, fr_err *err)
{
    one_cell c = {.arena = a};
    FR_TRY(fr_verify_ask(v, side, sql, take_cell, &c, err));
    *out = c.text;
    return FR_OK;
}

static void put_where(fr_buf *b, const fr_verify_run *v, int side, const fr_verify_range *r,
                      const char *lead)
{
    fr_verify_side *s = (fr_verify_side *)&v->sides[side];
    const fr_verify_field *f = &v->fields[v->keys[0]];
    for (int end = 0; end < 2; end++) {
        const char *value = end == 0 ? r->from : r->to;
        if (value == NULL)
            continue;
        bool nulls = r->from == NULL && f->columns[side]->nullable; /* they are in the first one */
        fr_buf_printf(b, "%s%s", lead, nulls ? "(" : "");
        fr_buf_str(b, s->ops->ident(b->arena, f->columns[side]->name));
        fr_buf_text(b, end == 0 ? " > " : " <= ");
        s->ops->put_literal(s->conn, b, f->columns[side], f->kind, fr_cstr(value));
        if (nulls)
            fr_buf_printf(b, " OR %.*s IS NULL)", FR_ARG(f->texts[side]));
        lead = " AND ";
    }
}

/* SELECT the text of each field FROM the table. */
static void put_select(fr_buf *b, const fr_verify_run *v, int side)
{
    for (size_t i = 0; i < v->compared; i++)
        fr_buf_printf(b, "%s%.*s", i == 0 ? "SELECT " : ", ", FR_ARG(v->fields[i].texts[side]));
    fr_buf_printf(b, " FROM %.*s", FR_ARG(v->sides[side].table.from));
}

/* ---- rows that come ---- */

typedef struct taking {
    fr_verify_run *v;
    int side;
    size_t buckets;
    const bool *wanted;
    fr_verify_row_list *list; /* or */
    fr_verify_sum *sums;
    fr_arena *scratch;
} taking;

static fr_str key_text(const fr_verify_run *v, fr_arena *a, const fr_str *canonical)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < v->key_count; i++)
        put_field(&b, i == 0, &v->fields[v->keys[i]], canonical[v->keys[i]]);
    return fr_buf_view(&b);
}

static fr_str row_text(const fr_verify_run *v, fr_arena *a, const fr_str *canonical)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < v->compared; i++)
        put_field(&b, i == 0, &v->fields[i], canonical[i]);
    return fr_buf_view(&b);
}

static void keep_row(taking *t, fr_str key, fr_str print, const fr_str *canonical,
                     const fr_str *cells)
{
    fr_verify_row_list *l = t->list;
    size_t n = t->v->compared;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 256 : l->cap * 2;
        l->items = fr_realloc(l->items, l->cap * sizeof(*l->items));
    }
    fr_str *kept = fr_arena_alloc(l->arena, n * sizeof(*kept));
    for (size_t i = 0; i < n; i++) {
        fr_str c = t->v->fields[i].kind == FR_JSON ? cells[i] : canonical[i];
        kept[i] = c.ptr == NULL ? c : fr_arena_str(l->arena, c);
        if (c.ptr != NULL && kept[i].ptr == NULL)
            kept[i].ptr = "";
    }
    l->items[l->count++] =
        (struct fr_verify_one){fr_arena_str(l->arena, key), fr_arena_str(l->arena, print), kept};
}

static fr_rc take_row(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    taking *t = context;
    fr_verify_run *v = t->v;
    (void)err;
    (void)count;
    fr_arena_reset(t->scratch);
    fr_str *canonical = fr_arena_alloc(t->scratch, v->compared * sizeof(*canonical));
    for (size_t i = 0; i < v->compared; i++)
        canonical[i] = v->fields[i].canonical[t->side]
                           ? cells[i]
                           : fr_verify_canonical(t->scratch, v->fields[i].kind, cells[i]);
    fr_str key = key_text(v, t->scratch, canonical);
    size_t bucket = t->buckets > 1 ? (size_t)(number_of(v, key) % t->buckets) : 0;
    if (t->wanted != NULL && !t->wanted[bucket])
        return FR_OK;
    fr_str print = row_text(v, t->scratch, canonical);
    if (t->list != NULL) {
        keep_row(t, key, print, canonical, cells);
        return FR_OK;
    }
    t->sums[bucket].count++;
    t->sums[bucket].sum += number_of(v, print);
    return FR_OK;
}

static fr_rc ask_rows(taking *t, fr_str sql, fr_err *err)
{
    t->scratch = fr_arena_new(0);
    fr_rc rc = fr_verify_ask(t->v, t->side, sql, take_row, t, err);
    fr_arena_free(t->scratch);
    return rc;
}

/* ---- sums ---- */

/* Modulo 2^64, of digits. */
static uint64_t wrapped(fr_str digits)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len && digits.ptr[i] >= '0' && digits.ptr[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(digits.ptr[i] - '0');
    return n;
}

static fr_rc take_sum(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    taking *t = context;
    uint64_t bucket = count == 3 ? wrapped(cells[0]) : t->buckets;
    if (bucket >= t->buckets)
        return fr_fail(err, FR_ERR_CONNECT, "the answer to a sum makes no sense");
    t->sums[bucket].count = wrapped(cells[1]);
    t->sums[bucket].sum = cells[2].ptr == NULL ? 0 : wrapped(cells[2]);
    return FR_OK;
}

fr_rc fr_verify_sums(fr_verify_run *v, int side, const fr_verify_range *r, size_t buckets,
                     fr_verify_sum *out, fr_err *err)
{
    const fr_verify_side *s = &v->sides[side];
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    taking t = {.v = v, .side = side, .buckets = buckets, .sums = out};
    memset(out, 0, buckets * sizeof(*out));
    if (!s->inside) {
        put_select(&b, v, side);
        put_where(&b, v, side, r, " WHERE ");
    } else if (buckets == 1) {
        fr_buf_printf(&b, "SELECT 0, COUNT(*), SUM(%.*s) FROM %.*s", FR_ARG(s->row),
                      FR_ARG(s->table.from));
        put_where(&b, v, side, r, " WHERE ");
    } else {
        fr_buf_printf(&b, "SELECT b, COUNT(*), SUM(h) FROM (SELECT %.*s %% %zu AS b, %.*s AS h ",
                      FR_ARG(s->key), buckets, FR_ARG(s->row));
        fr_buf_printf(&b, "FROM %.*s", FR_ARG(s->table.from));
        put_where(&b, v, side, r, " WHERE ");
        fr_buf_text(&b, ") x GROUP BY b");
    }
    fr_rc rc = s->inside ? fr_verify_ask(v, side, fr_buf_view(&b), take_sum, &t, err)
                         : ask_rows(&t, fr_buf_view(&b), err);
    fr_arena_free(a);
    return rc;
}

/* ---- rows ---- */

fr_rc fr_verify_read(fr_verify_run *v, int side, const fr_verify_range *r, size_t buckets,
                     const bool *wanted, fr_verify_row_list *out, fr_err *err)
{
    const fr_verify_side *s = &v->sides[side];
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    taking t = {.v = v, .side = side, .buckets = buckets, .wanted = wanted, .list = out};
    put_select(&b, v, side);
    bool some = s->inside && wanted != NULL && buckets > 1;
    const char *lead = " WHERE ";
    if (some) {
        fr_buf_printf(&b, " WHERE %.*s %% %zu IN (", FR_ARG(s->key), buckets);
        const char *comma = "";
        for (size_t i = 0; i < buckets; i++) {
            if (wanted[i])
                fr_buf_printf(&b, "%s%zu", comma, i);
            comma = wanted[i] ? ", " : comma;
        }
        fr_buf_text(&b, ")");
        lead = " AND ";
    }
    put_where(&b, v, side, r, lead);
    fr_rc rc = ask_rows(&t, fr_buf_view(&b), err);
    fr_arena_free(a);
    return rc;
}

static void put_is(fr_buf *b, const fr_verify_run *v, int side, const fr_verify_field *f,
                   fr_str canonical)
{
    const fr_verify_side *s = &v->sides[side];
    if (canonical.ptr == NULL) {
        fr_buf_printf(b, "%.*s IS NULL", FR_ARG(f->texts[side]));
        return;
    }
    fr_buf_str(b, s->ops->ident(b->arena, f->columns[side]->name));
    fr_buf_text(b, " = ");
    s->ops->put_literal(s->conn, b, f->columns[side], f->kind, canonical);
}

fr_rc fr_verify_read_keys(fr_verify_run *v, int side, const fr_verify_key *const *keys,
                          size_t count, fr_verify_row_list *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    taking t = {.v = v, .side = side, .buckets = 1, .list = out};
    put_select(&b, v, side);
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(&b, i == 0 ? " WHERE (" : " OR (");
        for (size_t k = 0; k < v->key_count; k++) {
            fr_buf_text(&b, k > 0 ? " AND " : "");
            put_is(&b, v, side, &v->fields[v->keys[k]], keys[i]->cells[v->keys[k]]);
        }
        fr_buf_text(&b, ")");
    }
    fr_rc rc = ask_rows(&t, fr_buf_view(&b), err);
    fr_arena_free(a);
    return rc;
}

void fr_verify_list_free(fr_verify_row_list *l)
{
    free(l->items);
    fr_arena_free(l->arena);
    memset(l, 0, sizeof(*l));
}
