/* Text, bytes, labels, and what the servers keep in bytes. */
#include "connectors/mysql/my_json.h"
#include "connectors/mysql/my_value_parts.h"
#include <arpa/inet.h>
#include <endian.h>
#include <zlib.h>

enum { COLUMN_MAX = 1 << 30 };

static void put_bytes(const fr_my_codec *c, fr_str bytes, fr_value *out)
{
    out->kind = c->kind;
    out->bytes = bytes;
}

static fr_str hex(fr_arena *a, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *to = fr_arena_raw(a, n * 2 + 1);
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[p[i] >> 4];
        to[2 * i + 1] = digits[p[i] & 15];
    }
    return (fr_str){to, n * 2};
}

/* --- text and bytes --- */

static fr_str without_padding(fr_str s)
{
    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* The log drops a multi-byte blank's last byte (it is a blank by itself): ucs2's 00 20. */
static fr_str mend_padding(const fr_my_codec *c, fr_arena *a, fr_str s)
{
    size_t unit = fr_my_convert_unit(c->convert), odd = s.len % unit;
    if (odd == 0)
        return s;
    char *p = fr_arena_raw(a, s.len + unit);
    memcpy(p, s.ptr, s.len);
    memset(p + s.len, 0, unit - odd);
    p[s.len + unit - odd - 1] = ' ';
    return (fr_str){p, s.len + unit - odd};
}

static fr_rc text(const fr_my_codec *c, fr_arena *a, fr_str s, bool image, fr_value *out,
                  fr_err *err)
{
    bool padded = c->type == FR_MY_CHAR;
    if (padded && image)
        s = mend_padding(c, a, s);
    FR_TRY(fr_my_to_utf8(c->convert, a, s, &s, err));
    put_bytes(c, padded ? without_padding(s) : s, out);
    return FR_OK;
}

/* BINARY(n): the log drops trailing zeros (E10). */
static fr_str padded(fr_arena *a, fr_str s, size_t n)
{
    if (s.len >= n)
        return s;
    char *p = fr_arena_raw(a, n);
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    memset(p + s.len, 0, n - s.len);
    return (fr_str){p, n};
}

static fr_rc bytes(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out, fr_err *err)
{
    if (c->type == FR_MY_BINARY)
        s = padded(a, s, c->length);
    if (c->kind == FR_TEXT && !fr_utf8_valid(s)) {
        fr_fail(err, FR_ERR_DATA, "the bytes are not UTF-8");
        return fr_fail_code(err, "my.value.charset");
    }
    put_bytes(c, s, out);
    return FR_OK;
}

/* --- ENUM and SET --- */

static fr_rc unknown_label(size_t number, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA,
            "label %zu of the column is not known: information_schema writes ? for characters that "
            "it cannot show",
            number);
    fr_fail_code(err, "my.value.label");
    return fr_fail_hint(err,
                        "SET GLOBAL binlog_row_metadata=FULL (MySQL 8.0.1, MariaDB 10.5): then "
                        "the log says what labels are");
}

fr_rc fr_my_label(const fr_my_codec *c, fr_arena *a, uint64_t v, fr_value *out, fr_err *err)
{
    if (c->type == FR_MY_ENUM) {
        if (v > c->label_count)
            return fr_my_malformed(err, "an enum value beyond the column's labels");
        if (v > 0 && c->labels[v - 1].ptr == fr_my_no_label)
            return unknown_label((size_t)v, err);
        /* A copy: the layout may be gone before the batch. */
        bool empty = v == 0 || c->labels[v - 1].len == 0;
        put_bytes(c, empty ? FR_STR("") : fr_arena_str(a, c->labels[v - 1]), out);
        return FR_OK;
    }
    if (c->label_count < 64 && v >> c->label_count != 0)
        return fr_my_malformed(err, "a set value beyond the column's labels");
    fr_buf b = {.arena = a};
    fr_buf_room(&b, 1);
    for (size_t i = 0, n = 0; i < c->label_count && i < 64; i++) {
        if ((v >> i & 1) == 0)
            continue;
        if (c->labels[i].ptr == fr_my_no_label)
            return unknown_label(i + 1, err);
        if (n++ > 0)
            fr_buf_u8(&b, ',');
        fr_buf_str(&b, c->labels[i]);
    }
    put_bytes(c, fr_buf_view(&b), out);
    return FR_OK;
}

/* --- spatial: a 4-byte SRID, then WKB; EWKB has the SRID behind the type --- */

enum { WKB_SRID = 0x20000000, WKB_HEAD = 5 };

static fr_rc geometry(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out, fr_err *err)
{
    fr_in in = fr_in_of(s);
    uint32_t srid = fr_in_u32le(&in);
    fr_str wkb = {(const char *)in.at, fr_in_left(&in)};
    if (in.bad || wkb.len < WKB_HEAD || (wkb.ptr[0] != 0 && wkb.ptr[0] != 1))
        return fr_my_malformed(err, "a spatial value is no SRID and WKB");
    if (srid != 0) {
        bool little = wkb.ptr[0] == 1;
        uint32_t type;
        memcpy(&type, wkb.ptr + 1, 4);
        type = (little ? le32toh(type) : be32toh(type)) | WKB_SRID;
        type = little ? htole32(type) : htobe32(type);
        srid = little ? htole32(srid) : htobe32(srid);
        char *p = fr_arena_raw(a, wkb.len + 4);
        p[0] = wkb.ptr[0];
        memcpy(p + 1, &type, 4);
        memcpy(p + WKB_HEAD, &srid, 4);
        memcpy(p + WKB_HEAD + 4, wkb.ptr + WKB_HEAD, wkb.len - WKB_HEAD);
        wkb = (fr_str){p, wkb.len + 4};
    }
    put_bytes(c, c->kind == FR_TEXT ? hex(a, (const uint8_t *)wkb.ptr, wkb.len) : wkb, out);
    return FR_OK;
}

fr_rc fr_my_geometry_from_wkb(fr_arena *a, fr_str wkb, uint32_t srid, fr_str *out, fr_err *err)
{
    fr_in in = fr_in_of(wkb);
    uint8_t order = fr_in_u8(&in);
    uint32_t type = order == 1 ? fr_in_u32le(&in) : fr_in_u32be(&in);
    if (!in.bad && (type & WKB_SRID) != 0)
        srid = order == 1 ? fr_in_u32le(&in) : fr_in_u32be(&in);
    type &= ~(uint32_t)WKB_SRID;
    if (in.bad || order > 1 || type < 1 || type > 7)
        return fr_my_malformed(err, "not WKB or EWKB of two dimensions");
    size_t rest = fr_in_left(&in);
    uint8_t *p = fr_arena_raw(a, 4 + WKB_HEAD + rest);
    srid = htole32(srid);
    type = order == 1 ? htole32(type) : htobe32(type);
    memcpy(p, &srid, 4);
    p[4] = order;
    memcpy(p + 5, &type, 4);
    memcpy(p + 4 + WKB_HEAD, in.at, rest);
    *out = (fr_str){(const char *)p, 4 + WKB_HEAD + rest};
    return FR_OK;
}

/* --- what MariaDB keeps in BINARY --- */

static fr_rc uuid(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out)
{
    fr_str digits = hex(a, (const uint8_t *)padded(a, s, 16).ptr, 16);
    char *to = fr_arena_raw(a, 36);
    for (size_t i = 0, k = 0; i < 36; i++)
        to[i] = i == 8 || i == 13 || i == 18 || i == 23 ? '-' : digits.ptr[k++];
    put_bytes(c, (fr_str){to, 36}, out);
    return FR_OK;
}

static fr_rc address(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out, fr_err *err)
{
    bool four = c->type == FR_MY_INET4;
    char printed[INET6_ADDRSTRLEN];
    s = padded(a, s, four ? 4 : 16);
    if (s.len != (four ? 4u : 16u) ||
        inet_ntop(four ? AF_INET : AF_INET6, s.ptr, printed, sizeof(printed)) == NULL)
        return fr_my_malformed(err, "an address has an impossible length");
    put_bytes(c, fr_arena_copy(a, printed, strlen(printed)), out);
    return FR_OK;
}

/* VECTOR: floats, little-endian; as the JSON array that both servers' functions print and read. */
static fr_rc vector(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out, fr_err *err)
{
    fr_in in = fr_in_of(s);
    fr_buf b = {.arena = a};
    if (s.len % 4 != 0)
        return fr_my_malformed(err, "a vector has an impossible length");
    fr_buf_u8(&b, '[');
    while (fr_in_left(&in) > 0) {
        uint32_t bits = fr_in_u32le(&in);
        float f;
        memcpy(&f, &bits, sizeof(f));
        if ((bits & 0x7f800000) == 0x7f800000)
            return fr_my_malformed(err, "a vector has an element that is no number");
        if (b.len > 1)
            fr_buf_u8(&b, ',');
        fr_my_float_render((double)f, true, &b);
    }
    fr_buf_u8(&b, ']');
    put_bytes(c, fr_buf_view(&b), out);
    return FR_OK;
}

/* --- all of them --- */

static fr_rc stored(const fr_my_codec *c, fr_arena *a, fr_str s, fr_value *out, fr_err *err)
{
    fr_str json;
    switch (c->type) {
    case FR_MY_JSON:
        FR_TRY(fr_my_json_text(a, s, &json, err));
        put_bytes(c, json, out);
        return FR_OK;
    case FR_MY_UUID:
        if (s.len > 16)
            return fr_my_malformed(err, "a uuid has an impossible length");
        return uuid(c, a, s, out);
    case FR_MY_INET4:
    case FR_MY_INET6:
        return address(c, a, s, out, err);
    default:
        return bytes(c, a, s, out, err);
    }
}

static fr_rc printed_text(const fr_my_codec *c, fr_str s, fr_value *out, fr_err *err)
{
    if (!fr_utf8_valid(s) || (c->type == FR_MY_UUID && s.len != 36))
        return fr_my_malformed(err, "not what the server prints for this type");
    put_bytes(c, s, out);
    return FR_OK;
}

fr_rc fr_my_string(const fr_my_codec *c, fr_arena *a, fr_str content, bool image, fr_value *out,
                   fr_err *err)
{
    if (fr_my_is_spatial(c->type))
        return geometry(c, a, content, out, err);
    if (c->type == FR_MY_VECTOR)
        return vector(c, a, content, out, err);
    if (c->convert != NULL)
        return text(c, a, content, image, out, err);
    bool printed = c->type == FR_MY_JSON || c->type >= FR_MY_UUID;
    return printed && !image ? printed_text(c, content, out, err) : stored(c, a, content, out, err);
}

/* Column compression (Field_longstr::compress of MariaDB's field.cc): a byte of method (8 in
 * its upper half: zlib; 0: none), whether it is raw, and the size of the length that follows. */
fr_rc fr_my_inflate_column(fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    fr_in bytes_in = fr_in_of(in);
    uint8_t head = in.len == 0 ? 0 : fr_in_u8(&bytes_in);
    if (in.len == 0 || head >> 4 == 0) {
        *out = (fr_str){(const char *)bytes_in.at, fr_in_left(&bytes_in)};
        return FR_OK;
    }
    uint64_t len = fr_my_take_be(&bytes_in, head & 7);
    if (bytes_in.bad || head >> 4 != 8 || len > COLUMN_MAX || len / 1100 > fr_in_left(&bytes_in))
        return fr_my_malformed(err, "a compressed column has an unknown header");
    char *to = fr_arena_raw(a, (size_t)len + 1);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes_in.at,
                  .avail_in = (uInt)fr_in_left(&bytes_in),
                  .next_out = (Bytef *)to,
                  .avail_out = (uInt)len + 1};
    if (inflateInit2(&z, (head & 8) != 0 ? -MAX_WBITS : MAX_WBITS) != Z_OK)
        return fr_my_malformed(err, "zlib does not start");
    int rc = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (rc != Z_STREAM_END || z.total_out != len)
        return fr_my_malformed(err, "a compressed column is damaged");
    *out = (fr_str){to, (size_t)len};
    return FR_OK;
}
