#include "connectors/mysql/binlog_decode.h"
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdlib.h>
#include <zlib.h>

enum { CHECKSUM = 4 };
#define MAX_EVENT_DEFAULT ((size_t)1 << 30)

fr_binlog *fr_binlog_new(const fr_binlog_calls *calls, const fr_binlog_options *options,
                         const fr_gtids *done)
{
    fr_binlog *d = fr_malloc(sizeof(*d));
    d->calls = *calls;
    d->options = *options;
    if (d->options.max_event == 0)
        d->options.max_event = MAX_EVENT_DEFAULT + 65536;
    d->done = done != NULL ? fr_gtids_copy(done) : fr_gtids_new(options->family);
    d->place.done = d->done;
    d->tables = fr_map_new();
    d->ids = fr_map_new();
    d->prepared = fr_map_new();
    return d;
}

void fr_binlog_free(fr_binlog *d)
{
    if (d == NULL)
        return;
    fr_map_free(d->ids, NULL);
    fr_map_free(d->tables, fr_binlog_table_free);
    fr_map_free(d->prepared, fr_binlog_prepared_free);
    fr_binlog_prepared_free(d->holding);
    fr_gtids_free(d->published_set);
    fr_gtids_free(d->done);
    fr_binlog_payload_free(d->payload);
    free(d->file);
    free(d->group_file);
    free(d->safe_file);
    free(d->floor_file);
    free((char *)(uintptr_t)d->query.ptr);
    free(d->scratch);
    free(d);
}

void fr_binlog_start(fr_binlog *d, fr_str file, uint64_t offset)
{
    fr_str view;
    fr_binlog_set_name(&d->floor_file, &view, file);
    d->floor_offset = offset;
}

void fr_binlog_published(fr_binlog *d, fr_str file, uint64_t offset, const fr_gtids *set)
{
    d->published_set = set == NULL ? NULL : fr_gtids_copy(set);
    d->published_lsn = fr_binlog_file_number(file) << 40 | offset;
    d->catching = d->place.catching = true;
}

const fr_binlog_place *fr_binlog_where(const fr_binlog *d)
{
    return &d->place;
}

fr_str fr_binlog_query(const fr_binlog *d)
{
    return d->query;
}

void fr_binlog_forget(fr_binlog *d)
{
    d->looks++;
}

/* --- headers and checksums --- */

fr_rc fr_binlog_read_header(fr_binlog *d, fr_in *in, fr_err *err)
{
    size_t size = fr_in_left(in);
    d->header.time = fr_in_u32le(in);
    d->header.type = fr_in_u8(in);
    d->header.server_id = fr_in_u32le(in);
    d->header.size = fr_in_u32le(in);
    d->header.log_pos = fr_in_u32le(in);
    d->header.flags = fr_in_u16le(in);
    if (in->bad || d->header.size != size)
        return fr_binlog_malformed(err, d, "an event's size is not what its header says");
    return FR_OK;
}

/* A FORMAT_DESCRIPTION is summed as if its file were closed. */
static bool checksum_fits(const fr_binlog *d, fr_str event)
{
    uint8_t head[FR_EV_HEADER];
    uint32_t said;
    if (event.len < FR_EV_HEADER + CHECKSUM)
        return false;
    memcpy(head, event.ptr, sizeof(head));
    if (d->header.type == FR_EV_FORMAT)
        head[17] &= (uint8_t)~FR_EV_F_IN_USE;
    size_t rest = event.len - FR_EV_HEADER - CHECKSUM;
    uLong sum = crc32(0, head, sizeof(head));
    sum = crc32_z(sum, (const Bytef *)event.ptr + FR_EV_HEADER, rest);
    fr_in in = fr_in_of((fr_str){event.ptr + event.len - CHECKSUM, CHECKSUM});
    said = fr_in_u32le(&in);
    return said == (uint32_t)sum;
}

static fr_rc wrong_checksum(const fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "binlog: event %u at %.*s:%llu has a wrong checksum",
            d->header.type, FR_ARG(d->place.file), (unsigned long long)d->event_offset);
    fr_fail_code(err, "binlog.checksum");
    return fr_fail_hint(err, "it was damaged on the way or on the server's disk; we read it again. "
                             "If it stays, check the file on the server: mysqlbinlog "
                             "--verify-binlog-checksum");
}

/* Length of the event without its checksum. Before the first FORMAT_DESCRIPTION, and around a
 * change of file, whether there is one is told by the sum itself. A FORMAT_DESCRIPTION of a
 * server that knows checksums has room for one always. */
static fr_rc strip_checksum(fr_binlog *d, fr_str event, size_t *len, fr_err *err)
{
    bool fits,
        tell = d->header.type == FR_EV_ROTATE || d->header.type == FR_EV_FORMAT || !d->has_format;
    *len = event.len;
    if (!tell && !d->checksums)
        return FR_OK;
    fits = checksum_fits(d, event);
    if (!fits && !tell)
        return wrong_checksum(d, err);
    if (fits) {
        *len = event.len - CHECKSUM;
        return FR_OK;
    }
    if (d->header.type != FR_EV_FORMAT || event.len < FR_EV_HEADER + 57 + 1 + CHECKSUM)
        return FR_OK;
    /* Here it does not fit: an old server that has none, or one that was told not to send any,
     * and left the algorithm (0) and four bytes in place. */
    bool none = event.ptr[event.len - CHECKSUM - 1] == 0;
    bool knows = fr_binlog_format_has_sum(event);
    if (knows && !none)
        return wrong_checksum(d, err);
    if (knows)
        *len = event.len - CHECKSUM;
    return FR_OK;
}

/* --- places --- */

/* Where the event starts, and where it ends, in its file: 64 bit, while log_pos has 32 and may
 * be missing (D10, D11). False: it is not in the file. */
static bool place_event(fr_binlog *d, uint64_t *end)
{
    uint64_t low = d->place.offset;
    bool floor = d->floor_file != NULL && fr_str_is(d->place.file, d->floor_file);
    d->event_offset = d->place.offset;
    *end = d->place.offset;
    if ((d->header.flags & FR_EV_F_ARTIFICIAL) != 0 || d->header.type == FR_EV_HEARTBEAT ||
        d->header.type == FR_EV_HEARTBEAT_V2)
        return false;
    if (d->header.log_pos == 0) {
        if (d->header.type == FR_EV_FORMAT || d->header.type == FR_EV_ROTATE)
            return false;
        *end = d->place.offset + d->header.size;
        return true;
    }
    if (floor && low < d->floor_offset && d->header.type != FR_EV_FORMAT &&
        d->header.type != FR_EV_PREVIOUS_GTIDS && d->header.type != FR_EV_GTID_LIST &&
        d->header.type != FR_EV_CHECKPOINT && d->header.type != FR_EV_START_ENCRYPTION)
        low = d->floor_offset;
    uint64_t at = (low & ~UINT64_C(0xffffffff)) | d->header.log_pos;
    if (at < low)
        at += UINT64_C(0x100000000);
    if (at < d->header.size)
        return false;
    *end = at;
    d->event_offset = at - d->header.size;
    return true;
}

static void move_to(fr_binlog *d, uint64_t end)
{
    bool safe = !d->place.in_group;
    d->place.offset = end;
    if (safe && d->place.file.len > 0 && d->place.safe_offset != end) {
        if (!fr_str_eq(d->place.safe_file, d->place.file))
            fr_binlog_set_name(&d->safe_file, &d->place.safe_file, d->place.file);
        d->place.safe_offset = end;
        d->moved = true;
    }
}

/* --- dispatch --- */

static void keep_query(fr_binlog *d, fr_str text)
{
    if (!d->options.statements)
        return;
    if (d->query_cap < text.len) {
        d->query_cap = text.len * 2;
        d->query.ptr = fr_realloc((char *)(uintptr_t)d->query.ptr, d->query_cap);
    }
    if (text.len > 0)
        memcpy((char *)(uintptr_t)d->query.ptr, text.ptr, text.len);
    d->query.len = text.len;
}

static fr_rc unknown_event(fr_binlog *d, fr_err *err)
{
    if ((d->header.flags & FR_EV_F_IGNORABLE) != 0)
        return FR_OK;
    fr_fail(err, FR_ERR_BUG, "binlog: unknown event %u at %.*s:%llu (server %s)", d->header.type,
            FR_ARG(d->place.file), (unsigned long long)d->event_offset, d->version);
    fr_fail_code(err, "binlog.unknown_event");
    return fr_fail_hint(err, "unknown is fatal: this server writes something that we do not know "
                             "and may not pass over; please report its version");
}

fr_rc fr_binlog_dispatch(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    switch (d->header.type) {
    case FR_EV_WRITE_V1:
    case FR_EV_UPDATE_V1:
    case FR_EV_DELETE_V1:
    case FR_EV_WRITE_V2:
    case FR_EV_UPDATE_V2:
    case FR_EV_DELETE_V2:
    case FR_EV_PARTIAL_UPDATE:
    case FR_EV_WRITE_C1:
    case FR_EV_UPDATE_C1:
    case FR_EV_DELETE_C1:
    case FR_EV_WRITE_C2:
    case FR_EV_UPDATE_C2:
    case FR_EV_DELETE_C2:
        return fr_binlog_rows(d, batch, body, err);
    case FR_EV_TABLE_MAP:
        return fr_binlog_table_map(d, body, err);
    case FR_EV_GTID:
    case FR_EV_ANONYMOUS:
    case FR_EV_GTID_TAGGED:
    case FR_EV_MARIADB_GTID:
        return fr_binlog_gtid(d, body, err);
    case FR_EV_QUERY:
    case FR_EV_QUERY_COMPRESSED:
    case FR_EV_EXECUTE_LOAD:
        return fr_binlog_query_event(d, batch, body, err);
    case FR_EV_XID:
        return fr_binlog_xid(d, batch, err);
    case FR_EV_XA_PREPARE:
        return fr_binlog_xa_prepare(d, batch, body, err);
    case FR_EV_PAYLOAD:
        return fr_binlog_payload_event(d, batch, body, err);
    case FR_EV_ROTATE:
        return fr_binlog_rotate(d, body, err);
    case FR_EV_FORMAT:
        return fr_binlog_format(d, body, err);
    case FR_EV_HEARTBEAT:
    case FR_EV_HEARTBEAT_V2:
        return fr_binlog_heartbeat(d, batch, body, err);
    case FR_EV_INCIDENT:
        return fr_binlog_incident(d, body, err);
    case FR_EV_ANNOTATE:
        keep_query(d, body);
        return FR_OK;
    case FR_EV_ROWS_QUERY: /* a length of one byte that does not count */
        keep_query(d, body.len > 0 ? (fr_str){body.ptr + 1, body.len - 1} : body);
        return FR_OK;
    /* Nothing for us: ends and marks of files, the context of statements, the insides of LOAD
     * DATA (which its EXECUTE_LOAD_QUERY tells about), and what replicas need. The server
     * decrypts what it sends, so START_ENCRYPTION is only a mark. */
    case FR_EV_STOP:
    case FR_EV_INTVAR:
    case FR_EV_APPEND_BLOCK:
    case FR_EV_DELETE_FILE:
    case FR_EV_RAND:
    case FR_EV_USER_VAR:
    case FR_EV_BEGIN_LOAD:
    case FR_EV_IGNORABLE:
    case FR_EV_PREVIOUS_GTIDS:
    case FR_EV_TXN_CONTEXT:
    case FR_EV_VIEW_CHANGE:
    case FR_EV_CHECKPOINT:
    case FR_EV_GTID_LIST:
    case FR_EV_START_ENCRYPTION:
        return FR_OK;
    default:
        return unknown_event(d, err);
    }
}

/* Inside a group the server leaves nothing out, but for MariaDB's ANNOTATE_ROWS, which stand before
 * a statement's tables and which we do not ask for. Packets have numbers, but the library does
 * not look at them here: whatever is between us and the server must not lose or repeat rows.
 * (MariaDB from 11.4 on gives most events no position, and so nothing to compare.) */
static fr_rc check_gap(const fr_binlog *d, fr_err *err)
{
    uint64_t gap = d->event_offset - d->place.offset;
    bool annotated = d->place.mariadb && d->header.type == FR_EV_TABLE_MAP && !d->group.open;
    if (!d->place.in_group || d->group.guessed || gap == 0 ||
        (annotated && gap < UINT64_C(0x80000000)))
        return FR_OK;
    fr_fail(err, FR_ERR_CONNECT,
            "binlog: event %u at %.*s:%llu does not follow the one that ended at %llu in the same "
            "transaction",
            d->header.type, FR_ARG(d->place.file), (unsigned long long)d->event_offset,
            (unsigned long long)d->place.offset);
    fr_fail_code(err, "binlog.gap");
    return fr_fail_hint(err, "something between us and the server drops or repeats events (a proxy "
                             "or a relay of the log?); we read again");
}

static fr_rc check_order(const fr_binlog *d, fr_err *err)
{
    if (d->place.file.len == 0 && d->header.type != FR_EV_ROTATE &&
        d->header.type != FR_EV_HEARTBEAT && d->header.type != FR_EV_HEARTBEAT_V2)
        return fr_binlog_malformed(err, d, "an event before the first ROTATE");
    if (d->has_format || d->header.type == FR_EV_ROTATE || d->header.type == FR_EV_FORMAT ||
        d->header.type == FR_EV_HEARTBEAT || d->header.type == FR_EV_HEARTBEAT_V2)
        return FR_OK;
    return fr_binlog_malformed(err, d, "an event before the first FORMAT_DESCRIPTION");
}

fr_rc fr_binlog_event(fr_binlog *d, fr_batch *batch, fr_str event, fr_err *err)
{
    fr_in in = fr_in_of(event);
    uint64_t end;
    size_t len;
    d->event_offset = d->place.offset;
    FR_TRY(fr_binlog_read_header(d, &in, err));
    if (event.len > d->options.max_event)
        return fr_binlog_malformed(err, d, "an event is larger than the limit");
    FR_TRY(check_order(d, err));
    bool in_file = place_event(d, &end);
    FR_TRY(strip_checksum(d, event, &len, err));
    if (in_file)
        FR_TRY(check_gap(d, err));
    fr_str body = {event.ptr + FR_EV_HEADER, len - FR_EV_HEADER};
    d->place.server_id = d->header.server_id;
    d->place.event_us = (int64_t)d->header.time * 1000000;
    fr_rc rc = fr_binlog_dispatch(d, batch, body, err);
    if (rc != FR_OK)
        return rc;
    d->told = false;
    d->group.guessed |= in_file && d->header.log_pos == 0;
    if (in_file && d->header.type != FR_EV_ROTATE)
        move_to(d, end);
    return FR_OK;
}
