/* Events that carry no rows: FORMAT_DESCRIPTION, ROTATE, heartbeats, INCIDENT. */
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdio.h>
#include <stdlib.h>

fr_rc fr_binlog_malformed(fr_err *err, const fr_binlog *d, const char *what)
{
    fr_fail(err, FR_ERR_BUG, "binlog: event %u at %.*s:%llu: %s", d->header.type,
            FR_ARG(d->place.file), (unsigned long long)d->event_offset, what);
    return fr_fail_code(err, "binlog.malformed");
}

void fr_binlog_set_name(char **to, fr_str *view, fr_str name)
{
    char *copy = fr_malloc(name.len + 1);
    if (name.len > 0)
        memcpy(copy, name.ptr, name.len);
    free(*to);
    *to = copy;
    *view = (fr_str){copy, name.len};
}

/* "mysql-bin.000004": 4; compared as a number, so .1000000 comes after .999999 (D12). */
uint64_t fr_binlog_file_number(fr_str name)
{
    uint64_t v = 0, unit = 1;
    for (size_t i = name.len; i > 0 && name.ptr[i - 1] >= '0' && name.ptr[i - 1] <= '9'; i--) {
        v += unit * (uint64_t)(name.ptr[i - 1] - '0');
        unit = unit < UINT64_C(100000000000000) ? unit * 10 : 0;
    }
    return v;
}

/* --- FORMAT_DESCRIPTION: version 2, server 50, created 4, header length 1, post-header
 * lengths, then (MySQL 5.6.1, MariaDB 5.3) the checksum's algorithm --- */

static bool has_algorithm(const char *version, bool mariadb)
{
    unsigned major = 0, minor = 0, patch = 0;
    if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) < 2)
        return true;
    unsigned v = major * 10000 + minor * 100 + patch;
    return v >= (mariadb ? 50300u : 50601u);
}

bool fr_binlog_format_has_sum(fr_str event)
{
    char version[51] = "";
    memcpy(version, event.ptr + FR_EV_HEADER + 2, 50); /* the caller saw that it is there */
    return has_algorithm(version, strstr(version, "MariaDB") != NULL);
}

static void read_post_lengths(fr_binlog *d, fr_str lengths)
{
    memset(d->post, 0, sizeof(d->post));
    for (size_t i = 0; i < lengths.len && i + 1 < sizeof(d->post); i++)
        d->post[i + 1] = (uint8_t)lengths.ptr[i];
}

fr_rc fr_binlog_format(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body);
    uint16_t version = fr_in_u16le(&in);
    fr_str server = fr_in_take(&in, 50);
    fr_in_u32le(&in);
    uint8_t header = fr_in_u8(&in);
    if (in.bad || version != 4 || header != FR_EV_HEADER)
        return fr_binlog_malformed(err, d, "not a binary log of version 4 (MySQL 5.0 and later)");
    snprintf(d->version, sizeof(d->version), "%.*s", (int)strnlen(server.ptr, 50), server.ptr);
    d->place.server_version = fr_cstr(d->version);
    d->place.mariadb = strstr(d->version, "MariaDB") != NULL;
    uint8_t algorithm = 0;
    size_t lengths = fr_in_left(&in);
    if (has_algorithm(d->version, d->place.mariadb)) {
        if (lengths < 1)
            return fr_binlog_malformed(err, d, "no checksum algorithm");
        algorithm = (uint8_t)body.ptr[body.len - 1];
        lengths--;
    }
    if (algorithm > 1)
        return fr_binlog_malformed(err, d, "a checksum algorithm that we do not know");
    read_post_lengths(d, fr_in_take(&in, lengths));
    d->has_format = true;
    d->checksums = d->place.checksums = algorithm == 1;
    return FR_OK;
}

/* --- ROTATE: position 8, name --- */

/* Every file of a log ends with its number. Nothing else tells a damaged ROTATE: whether it has a
 * checksum is known by whether its last four bytes are one (they are part of the name then). */
static bool is_numbered(fr_str name)
{
    size_t digits = 0;
    while (digits < name.len && name.ptr[name.len - 1 - digits] >= '0' &&
           name.ptr[name.len - 1 - digits] <= '9')
        digits++;
    return digits > 0 && digits < name.len && name.ptr[name.len - 1 - digits] == '.';
}

static fr_rc damaged_name(const fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "binlog: the name of the file after %.*s has no number at its end",
            FR_ARG(d->place.file));
    fr_fail_code(err, "binlog.checksum");
    return fr_fail_hint(err, "it was damaged on the way; we read it again");
}

fr_rc fr_binlog_rotate(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body);
    uint64_t position = fr_in_u64le(&in);
    fr_str name = fr_in_take(&in, fr_in_left(&in));
    bool artificial = (d->header.flags & FR_EV_F_ARTIFICIAL) != 0 || d->header.log_pos == 0;
    if (in.bad || name.len == 0 || name.len > 512 || memchr(name.ptr, 0, name.len) != NULL)
        return fr_binlog_malformed(err, d, "a file without a name");
    if (!is_numbered(name))
        return damaged_name(d, err);
    if (d->place.in_group) {
        /* A server that crashed leaves a group without an end, and says so with a ROTATE that
         * no file has (D09). A real one comes between groups only. */
        fr_fail(err, FR_ERR_CONNECT, "binlog: %.*s ends at %llu in the middle of a transaction",
                FR_ARG(d->place.file), (unsigned long long)d->place.offset);
        fr_fail_code(err, "binlog.cut_off");
        return fr_fail_hint(err, "the server was probably killed while it wrote the file; it "
                                 "rolls the transaction back. We read again from the last whole "
                                 "one");
    }
    bool same = fr_str_eq(name, d->place.file) && artificial;
    fr_map_free(d->ids, NULL); /* table ids start anew with each file (D21) */
    d->ids = fr_map_new();
    d->last = NULL;
    if (same && position <= d->place.offset)
        return FR_OK; /* the one that comes with each connection */
    fr_binlog_set_name(&d->file, &d->place.file, name);
    d->place.file_number = fr_binlog_file_number(name);
    d->place.offset = position;
    fr_binlog_set_name(&d->safe_file, &d->place.safe_file, name);
    d->place.safe_offset = position;
    d->moved = true;
    return FR_OK;
}

/* --- heartbeats --- */

/* A name and a position in fields of type, length, value. */
static void read_v2(fr_in *in, fr_str *name, uint64_t *position)
{
    while (fr_in_left(in) > 0 && !in->bad) {
        uint64_t type = fr_my_take_packed(in);
        if (type == 0)
            break;
        fr_str value = fr_in_take(in, (size_t)fr_my_take_packed(in));
        fr_in number = fr_in_of(value);
        if (type == 1)
            *name = value;
        else if (type == 2)
            *position = fr_my_take_packed(&number);
    }
}

fr_rc fr_binlog_heartbeat(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body);
    fr_str name = body;
    uint64_t position = d->header.log_pos;
    if (d->header.type == FR_EV_HEARTBEAT_V2)
        read_v2(&in, &name, &position);
    if (in.bad)
        return fr_binlog_malformed(err, d, "a malformed heartbeat");
    if (d->place.in_group || !d->moved || d->place.safe_file.len == 0)
        return FR_OK;
    fr_event *e = fr_batch_full(batch) ? NULL : fr_batch_add(batch, FR_OP_HEARTBEAT, NULL);
    if (e == NULL)
        return FR_IDLE;
    e->position.epoch = d->options.epoch;
    e->position.lsn = d->place.file_number << 40 | d->place.safe_offset;
    e->position.row_lsn = e->position.lsn;
    d->moved = false;
    return FR_OK;
}

/* --- INCIDENT: number 2, message with a length of one byte --- */

fr_rc fr_binlog_incident(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body);
    uint16_t number = fr_in_u16le(&in);
    fr_str message = fr_in_take(&in, fr_in_u8(&in));
    fr_fail(err, FR_ERR_POSITION,
            "binlog: the server reports an incident at %.*s:%llu: number %u, %.*s",
            FR_ARG(d->place.file), (unsigned long long)d->event_offset, number,
            (int)(in.bad || !fr_utf8_valid(message) ? 0 : message.len), message.ptr);
    fr_fail_code(err, "binlog.incident");
    return fr_fail_hint(err, "changes are missing from the log (LOST_EVENTS): take a new snapshot: "
                             "freshet snapshot start, or freshet position set behind it if you "
                             "know what was lost");
}
