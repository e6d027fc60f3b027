/* XA transactions: their rows are logged when they are prepared, the outcome comes later, and after
 * other transactions (docs/adr/0027). What the log has of a prepared one is kept, and decoded when
 * it is committed, as a part of the group that says so. */
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdlib.h>

enum { XID_PART_MAX = 64, XID_MAX = 4 + 1 + 2 * XID_PART_MAX };

/* Format, length of the first part, both parts: as XA_PREPARE has them. */
typedef struct xid {
    uint8_t bytes[XID_MAX];
    size_t len;
} xid;

static fr_str view(const xid *x)
{
    return (fr_str){(const char *)x->bytes, x->len};
}

static void xid_make(xid *x, uint32_t format, fr_str global, fr_str branch)
{
    for (int i = 0; i < 4; i++)
        x->bytes[i] = (uint8_t)(format >> (8 * i));
    x->bytes[4] = (uint8_t)global.len;
    if (global.len > 0)
        memcpy(x->bytes + 5, global.ptr, global.len);
    if (branch.len > 0)
        memcpy(x->bytes + 5 + global.len, branch.ptr, branch.len);
    x->len = 5 + global.len + branch.len;
}

void fr_binlog_prepared_free(void *prepared)
{
    fr_binlog_prepared *p = prepared;
    if (p == NULL)
        return;
    fr_buf_free(&p->events);
    fr_buf_free(&p->gtids);
    free(p->file);
    free(p);
}

static void forget(fr_binlog *d, fr_str id)
{
    fr_binlog_prepared *p = fr_map_remove(d->prepared, id);
    if (p == NULL)
        return;
    d->held_bytes -= p->events.len;
    fr_binlog_prepared_free(p);
}

/* ---- while it is prepared ---- */

static fr_binlog_prepared *at_hand(fr_binlog *d)
{
    fr_str name;
    if (d->holding != NULL)
        return d->holding;
    fr_binlog_prepared *p = d->holding = fr_malloc(sizeof(*p));
    fr_binlog_set_name(&p->file, &name, d->place.group_file);
    p->offset = d->place.group_offset;
    fr_gtids_print(d->done, &p->gtids);
    return p;
}

bool fr_binlog_holds(const fr_binlog *d)
{
    return d->calls.xa == NULL && d->group.is_xa && (d->options.xa_hold || d->group.published);
}

static fr_rc too_large(fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "binlog: XA transactions that are prepared and not committed have more than %zu bytes "
            "of rows of captured tables, at %.*s:%llu",
            d->options.xa_limit, FR_ARG(d->place.group_file),
            (unsigned long long)d->place.group_offset);
    fr_fail_code(err, "my.xa_limit");
    return fr_fail_hint(err, "raise log.xa_limit (it is memory), and end what nobody will commit: "
                             "XA RECOVER lists them");
}

fr_rc fr_binlog_hold(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_binlog_prepared *p = at_hand(d);
    bool rows = d->header.type != FR_EV_TABLE_MAP;
    p->rows += rows;
    d->group.rows += rows;
    if (!d->options.xa_hold)
        return FR_OK; /* only that there are some counts */
    if (body.len + 5 > d->options.xa_limit || d->held_bytes > d->options.xa_limit - body.len - 5)
        return too_large(d, err);
    fr_buf_u8(&p->events, d->header.type);
    for (int i = 0; i < 4; i++)
        fr_buf_u8(&p->events, (uint8_t)(body.len >> (8 * i)));
    fr_buf_str(&p->events, body);
    d->held_bytes += body.len + 5;
    return FR_OK;
}

static fr_rc refused(fr_str file, uint64_t offset, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "binlog: an XA transaction was prepared at %.*s:%llu with rows of captured tables",
            FR_ARG(file), (unsigned long long)offset);
    fr_fail_code(err, "my.xa_refused");
    return fr_fail_hint(err, "the log has its rows when it is prepared, and its outcome later: "
                             "log.xa: hold keeps them until then. Or have the application use "
                             "plain transactions for captured tables");
}

/* ---- its outcome ---- */

/* The events again, as if the log had them here. FR_IDLE: the batch is full, come again. */
static fr_rc replay(fr_binlog *d, fr_batch *batch, fr_binlog_prepared *p, fr_err *err)
{
    fr_binlog_header outer = d->header;
    fr_rc rc = FR_OK;
    d->group.is_xa = false;
    while (rc == FR_OK && p->at < p->events.len) {
        fr_in in = fr_in_of((fr_str){(const char *)p->events.ptr + p->at, p->events.len - p->at});
        d->header.type = fr_in_u8(&in);
        size_t len = fr_in_u32le(&in);
        fr_str body = fr_in_take(&in, len);
        rc = d->header.type == FR_EV_TABLE_MAP ? fr_binlog_table_map(d, body, err)
                                               : fr_binlog_rows(d, batch, body, err);
        if (rc == FR_OK)
            p->at += 5 + len;
    }
    d->header = outer;
    return rc;
}

/* one phase 1, format 4, two lengths, the id */
static bool read_prepare(fr_str body, bool *one_phase, xid *out)
{
    fr_in in = fr_in_of(body);
    *one_phase = fr_in_u8(&in) != 0;
    uint32_t format = fr_in_u32le(&in), global = fr_in_u32le(&in), branch = fr_in_u32le(&in);
    if (global > XID_PART_MAX || branch > XID_PART_MAX)
        return false;
    fr_str first = fr_in_take(&in, global), second = fr_in_take(&in, branch);
    xid_make(out, format, first, second);
    return !in.bad;
}

static fr_rc one_phase_end(fr_binlog *d, fr_batch *batch, fr_err *err)
{
    fr_rc rc = d->holding == NULL || d->group.published ? FR_OK : replay(d, batch, d->holding, err);
    if (rc == FR_OK)
        rc = fr_binlog_group_end(d, batch);
    if (rc == FR_OK && d->holding != NULL) {
        d->held_bytes -= d->holding->events.len;
        fr_binlog_prepared_free(d->holding);
        d->holding = NULL;
    }
    return rc;
}

static fr_rc told_of(fr_binlog *d, fr_binlog_xa what, fr_str id, fr_err *err)
{
    if (d->calls.xa != NULL && !d->told)
        FR_TRY(d->calls.xa(d->calls.context, what, id, d->group.rows, err));
    d->told = true;
    return FR_OK;
}

fr_rc fr_binlog_xa_prepare(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    xid x;
    bool one_phase;
    if (!read_prepare(body, &one_phase, &x) || !d->place.in_group)
        return fr_binlog_malformed(err, d, "a malformed end of an XA transaction");
    if (one_phase)
        return one_phase_end(d, batch, err);
    if (d->calls.xa != NULL) {
        FR_TRY(
            told_of(d, FR_BINLOG_XA_PREPARE, (fr_str){(const char *)x.bytes + 5, x.len - 5}, err));
        return fr_binlog_group_end(d, batch);
    }
    if (d->group.rows > 0 && !d->options.xa_hold && !d->group.published)
        return refused(d->place.group_file, d->place.group_offset, err);
    forget(d, view(&x));
    fr_map_set(d->prepared, view(&x), at_hand(d));
    d->holding = NULL;
    return fr_binlog_group_end(d, batch);
}

/* The byte of the two digits that a text begins with. */
static bool take_hex(fr_str text, uint8_t *out)
{
    int high = text.len < 2 ? -1 : fr_hex_digit(text.ptr[0]);
    int low = high < 0 ? -1 : fr_hex_digit(text.ptr[1]);
    *out = (uint8_t)(high * 16 + low);
    return low >= 0;
}

/* X'6162' or 'ab' */
static bool take_part(fr_str *in, uint8_t out[XID_PART_MAX], size_t *len)
{
    bool hex = in->len > 0 && (in->ptr[0] == 'X' || in->ptr[0] == 'x');
    size_t at = hex ? 1 : 0, n = 0;
    if (at >= in->len || in->ptr[at++] != '\'')
        return false;
    for (; at < in->len && in->ptr[at] != '\''; n++) {
        if (n >= XID_PART_MAX)
            return false;
        if (!hex) {
            out[n] = (uint8_t)in->ptr[at++];
            continue;
        }
        if (!take_hex((fr_str){in->ptr + at, in->len - at}, &out[n]))
            return false;
        at += 2;
    }
    if (at >= in->len)
        return false;
    *in = (fr_str){in->ptr + at + 1, in->len - at - 1};
    *len = n;
    return true;
}

static bool take_comma(fr_str *in)
{
    if (in->len == 0 || in->ptr[0] != ',')
        return false;
    *in = (fr_str){in->ptr + 1, in->len - 1};
    return true;
}

/* X'gtrid',X'bqual',format: what both servers write. */
static bool read_words(fr_str text, xid *out)
{
    uint8_t global[XID_PART_MAX], branch[XID_PART_MAX];
    size_t global_len = 0, branch_len = 0;
    uint32_t format = 1;
    if (!take_part(&text, global, &global_len))
        return false;
    if (take_comma(&text) && !take_part(&text, branch, &branch_len))
        return false;
    if (take_comma(&text)) {
        format = 0;
        for (; text.len > 0 && *text.ptr >= '0' && *text.ptr <= '9'; text.ptr++, text.len--)
            format = format * 10 + (uint32_t)(*text.ptr - '0');
    }
    xid_make(out, format, (fr_str){(const char *)global, global_len},
             (fr_str){(const char *)branch, branch_len});
    return true;
}

static fr_rc unknown(fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "binlog: an XA transaction is committed at %.*s:%llu that was prepared before the "
            "log that we read: whether it has rows of captured tables cannot be told",
            FR_ARG(d->place.file), (unsigned long long)d->event_offset);
    fr_fail_code(err, "my.xa_unknown");
    return fr_fail_hint(err, "take a new snapshot while none is prepared (XA RECOVER lists them), "
                             "with a user that may look at that (MySQL: GRANT XA_RECOVER_ADMIN ON "
                             "*.* TO ...): freshet position reset SOURCE");
}

static fr_rc commit(fr_binlog *d, fr_batch *batch, const xid *x, fr_err *err)
{
    fr_binlog_prepared *p = fr_map_get(d->prepared, view(x));
    if (d->group.published)
        return FR_OK;
    if (p == NULL)
        return d->group.begun ? FR_OK : unknown(d, err);
    if (p->rows > 0 && !d->options.xa_hold)
        return refused(fr_cstr(p->file), p->offset, err);
    return replay(d, batch, p, err);
}

fr_rc fr_binlog_xa_end(fr_binlog *d, fr_batch *batch, bool commits, fr_str words, fr_err *err)
{
    xid x;
    if (d->calls.xa != NULL) {
        FR_TRY(told_of(d, commits ? FR_BINLOG_XA_COMMIT : FR_BINLOG_XA_ROLLBACK, words, err));
        return fr_binlog_group_end(d, batch);
    }
    if (!read_words(words, &x))
        return fr_binlog_malformed(err, d, "the end of an XA transaction without its id");
    fr_rc rc = commits ? commit(d, batch, &x, err) : FR_OK;
    if (rc == FR_OK)
        rc = fr_binlog_group_end(d, batch);
    if (rc == FR_OK)
        forget(d, view(&x));
    return rc;
}

/* ---- what a position says of them ---- */

static const fr_binlog_prepared *oldest_of(const fr_binlog *d)
{
    const fr_binlog_prepared *oldest = NULL;
    size_t i = 0;
    void *value;
    while (fr_map_next(d->prepared, &i, NULL, &value)) {
        const fr_binlog_prepared *p = value;
        if (p->rows == 0)
            continue;
        uint64_t file = fr_binlog_file_number(fr_cstr(p->file)),
                 first = oldest == NULL ? 0 : fr_binlog_file_number(fr_cstr(oldest->file));
        if (oldest == NULL || file < first || (file == first && p->offset < oldest->offset))
            oldest = p;
    }
    return oldest;
}

bool fr_binlog_held(const fr_binlog *d, fr_str *file, uint64_t *offset, fr_str *gtids)
{
    const fr_binlog_prepared *p = oldest_of(d);
    if (p == NULL)
        return false;
    *file = fr_cstr(p->file);
    *offset = p->offset;
    *gtids = fr_buf_view(&p->gtids);
    return true;
}

void fr_binlog_open_xids(const fr_binlog *d, fr_buf *b)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(d->prepared, &i, &key, &value)) {
        if (((const fr_binlog_prepared *)value)->rows > 0)
            continue;
        fr_buf_text(b, b->len == 0 ? "" : ",");
        fr_buf_hex(b, key);
    }
}

static bool know_one(fr_binlog *d, fr_str hex)
{
    uint8_t id[XID_MAX];
    size_t n = hex.len / 2;
    if (hex.len % 2 != 0 || n == 0 || n > XID_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!take_hex((fr_str){hex.ptr + 2 * i, 2}, &id[i]))
            return false;
    forget(d, (fr_str){(const char *)id, n});
    fr_map_set(d->prepared, (fr_str){(const char *)id, n}, fr_malloc(sizeof(fr_binlog_prepared)));
    return true;
}

bool fr_binlog_know_xids(fr_binlog *d, fr_str list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t n = comma == NULL ? list.len : (size_t)(comma - list.ptr);
        if (!know_one(d, (fr_str){list.ptr, n}))
            return false;
        n += comma != NULL;
        list = (fr_str){list.ptr + n, list.len - n};
    }
    return true;
}
