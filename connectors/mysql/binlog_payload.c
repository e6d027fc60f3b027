/* What is compressed: MariaDB's events by zlib, MySQL's TRANSACTION_PAYLOAD by zstd. */
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

static uint8_t *scratch(fr_binlog *d, size_t size)
{
    if (d->scratch_cap < size) {
        d->scratch_cap = size + size / 4;
        d->scratch = fr_realloc(d->scratch, d->scratch_cap);
    }
    return d->scratch;
}

/* One byte: 100 in its upper bits, then the algorithm (0: zlib), then how many bytes of length
 * follow, big-endian; then a zlib stream (binlog_buf_compress of MariaDB's log_event.cc). */
fr_rc fr_binlog_inflate(fr_binlog *d, fr_str in, fr_str *out, fr_err *err)
{
    fr_in bytes = fr_in_of(in);
    uint8_t head = fr_in_u8(&bytes);
    uint64_t len = fr_my_take_be(&bytes, head & 7);
    /* zlib makes at most 1032 bytes of one. */
    if (bytes.bad || (head & 0xf8) != 0x80 || (head & 7) > 4 || len > d->options.max_event ||
        len / 1040 > fr_in_left(&bytes))
        return fr_binlog_malformed(err, d, "a compressed event with an unknown header");
    uLongf size = (uLongf)len;
    uint8_t *to = scratch(d, (size_t)len + 1);
    if (uncompress(to, &size, bytes.at, (uLong)fr_in_left(&bytes)) != Z_OK || size != len)
        return fr_binlog_malformed(err, d, "a compressed event is damaged");
    *out = (fr_str){(const char *)to, (size_t)len};
    return FR_OK;
}

/* --- TRANSACTION_PAYLOAD --- */

struct fr_binlog_payload {
    ZSTD_DStream *zstd; /* NULL: not compressed */
    size_t in_at;       /* bytes of the payload that are consumed */
    uint64_t left;      /* uncompressed bytes that are still to come */
    uint8_t *event;     /* the inner event at hand, heap */
    size_t cap, have;   /* have: bytes of it so far */
    bool whole;         /* it is all there: the batch was full */
};

void fr_binlog_payload_free(fr_binlog_payload *p)
{
    if (p == NULL)
        return;
    ZSTD_freeDStream(p->zstd);
    free(p->event);
    free(p);
}

typedef struct envelope {
    uint64_t size, algorithm, uncompressed;
    fr_str bytes;
} envelope;

enum { ALGORITHM_ZSTD = 0, ALGORITHM_NONE = 255 };

/* Fields of type, length, value; 0 ends them. */
static fr_rc read_envelope(fr_binlog *d, fr_str body, envelope *e, fr_err *err)
{
    fr_in in = fr_in_of(body);
    *e = (envelope){.algorithm = ALGORITHM_NONE};
    for (;;) {
        uint64_t field = fr_my_take_packed(&in);
        if (in.bad || field == 0)
            break;
        fr_in value = fr_in_of(fr_in_take(&in, (size_t)fr_my_take_packed(&in)));
        uint64_t number = fr_my_take_packed(&value);
        if (field == 1)
            e->size = number;
        else if (field == 2)
            e->algorithm = number;
        else if (field == 3)
            e->uncompressed = number;
    }
    e->bytes = (fr_str){(const char *)in.at, fr_in_left(&in)};
    if (in.bad || e->size != e->bytes.len)
        return fr_binlog_malformed(err, d, "a malformed payload");
    if (e->algorithm != ALGORITHM_ZSTD && e->algorithm != ALGORITHM_NONE)
        return fr_binlog_malformed(err, d, "a payload in a compression that we do not know");
    if (e->algorithm == ALGORITHM_NONE)
        e->uncompressed = e->size;
    return FR_OK;
}

static fr_rc start(fr_binlog *d, const envelope *e, fr_err *err)
{
    fr_binlog_payload *p = fr_malloc(sizeof(*p));
    p->left = e->uncompressed;
    d->payload = p;
    if (e->algorithm != ALGORITHM_ZSTD)
        return FR_OK;
    p->zstd = ZSTD_createDStream();
    if (p->zstd == NULL || ZSTD_isError(ZSTD_initDStream(p->zstd)))
        return fr_fail(err, FR_ERR_BUG, "zstd does not start");
    return FR_OK;
}

/* The next n bytes of what the payload holds, behind `have`. */
static fr_rc pull(fr_binlog *d, const envelope *e, size_t n, fr_err *err)
{
    fr_binlog_payload *p = d->payload;
    if (n > p->left)
        return fr_binlog_malformed(err, d, "a payload ends in the middle of an event");
    if (p->zstd == NULL) {
        memcpy(p->event + p->have, e->bytes.ptr + p->in_at, n);
        p->in_at += n;
    } else {
        ZSTD_outBuffer out = {p->event + p->have, n, 0};
        while (out.pos < n) {
            ZSTD_inBuffer in = {e->bytes.ptr, e->bytes.len, p->in_at};
            size_t was = out.pos;
            size_t rc = ZSTD_decompressStream(p->zstd, &out, &in);
            if (ZSTD_isError(rc) || (out.pos == was && in.pos == p->in_at))
                return fr_binlog_malformed(err, d, "a payload is damaged");
            p->in_at = in.pos;
        }
    }
    p->have += n;
    p->left -= n;
    return FR_OK;
}

static void need(fr_binlog_payload *p, size_t size)
{
    if (p->cap >= size)
        return;
    p->cap = size + size / 4 + 1024;
    p->event = fr_realloc(p->event, p->cap);
}

static fr_rc next_event(fr_binlog *d, const envelope *e, fr_err *err)
{
    fr_binlog_payload *p = d->payload;
    p->have = 0;
    need(p, FR_EV_HEADER);
    FR_TRY(pull(d, e, FR_EV_HEADER, err));
    fr_in in = fr_in_of((fr_str){(const char *)p->event + 9, 4});
    uint32_t size = fr_in_u32le(&in);
    if (size < FR_EV_HEADER || size - FR_EV_HEADER > p->left || size > d->options.max_event)
        return fr_binlog_malformed(err, d, "an event in a payload has an impossible size");
    /* Not by its word alone: zstd makes at most some 100,000 bytes of one. */
    if (p->zstd != NULL && size / 131072 > e->bytes.len)
        return fr_binlog_malformed(err, d, "an event in a payload is larger than it can be");
    need(p, size);
    FR_TRY(pull(d, e, size - FR_EV_HEADER, err));
    p->whole = true;
    return FR_OK;
}

static bool may_be_inside(uint8_t type)
{
    return type != FR_EV_PAYLOAD && type != FR_EV_FORMAT && type != FR_EV_ROTATE &&
           type != FR_EV_GTID && type != FR_EV_ANONYMOUS && type != FR_EV_GTID_TAGGED &&
           type != FR_EV_HEARTBEAT && type != FR_EV_HEARTBEAT_V2;
}

static fr_rc one_event(fr_binlog *d, fr_batch *batch, fr_err *err)
{
    fr_binlog_payload *p = d->payload;
    fr_binlog_header outer = d->header;
    fr_in in = fr_in_of((fr_str){(const char *)p->event, p->have});
    FR_TRY(fr_binlog_read_header(d, &in, err));
    if (!may_be_inside(d->header.type))
        return fr_binlog_malformed(err, d, "an event that no payload may hold");
    fr_rc rc = fr_binlog_dispatch(d, batch, (fr_str){(const char *)in.at, fr_in_left(&in)}, err);
    d->header = outer;
    if (rc == FR_OK)
        p->whole = d->told = false;
    return rc;
}

/* Inner events have no checksums; offsets are the payload's. */
fr_rc fr_binlog_payload_event(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    envelope e;
    FR_TRY(read_envelope(d, body, &e, err));
    if (d->payload == NULL)
        FR_TRY(start(d, &e, err));
    while (d->payload->whole || d->payload->left > 0) {
        if (!d->payload->whole)
            FR_TRY(next_event(d, &e, err));
        fr_rc rc = one_event(d, batch, err);
        if (rc != FR_OK)
            return rc;
    }
    fr_binlog_payload_free(d->payload);
    d->payload = NULL;
    return FR_OK;
}
