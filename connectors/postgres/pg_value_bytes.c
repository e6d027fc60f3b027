#include "connectors/postgres/pg_value_parts.h"
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint8_t *put_hex(uint8_t *at, uint8_t byte)
{
    *at++ = (uint8_t)hex_digits[byte >> 4];
    *at++ = (uint8_t)hex_digits[byte & 15];
    return at;
}

/* NULL: not hex. */
static char *hex_bytes(fr_arena *a, fr_str hex)
{
    char *bytes = fr_arena_raw(a, hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len / 2; i++) {
        int high = hex_value(hex.ptr[2 * i]), low = hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return NULL;
        bytes[i] = (char)(high << 4 | low);
    }
    return hex.len % 2 == 0 ? bytes : NULL;
}

fr_rc fr_pg_bytea_parse(fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    bool marked = in.len >= 2 && in.ptr[0] == '\\' && in.ptr[1] == 'x';
    const char *bytes = marked ? hex_bytes(a, (fr_str){in.ptr + 2, in.len - 2}) : NULL;
    if (bytes == NULL)
        return fr_pg_malformed(err, "not bytea as bytea_output hex prints it");
    *out = (fr_str){bytes, in.len / 2 - 1};
    return FR_OK;
}

/* Byte order and type; what follows is for those who read geometries. */
fr_rc fr_pg_ewkb_check(fr_str in, fr_err *err)
{
    if (in.len < 5 || (unsigned char)in.ptr[0] > 1)
        return fr_pg_malformed(err, "not EWKB, which PostGIS makes of geometry and geography");
    return FR_OK;
}

fr_rc fr_pg_ewkb_parse(fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    const char *bytes = hex_bytes(a, in);
    fr_str ewkb = {bytes, bytes == NULL ? 0 : in.len / 2};
    FR_TRY(fr_pg_ewkb_check(ewkb, err));
    *out = ewkb;
    return FR_OK;
}

void fr_pg_ewkb_render(fr_str in, fr_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *at = fr_buf_room(out, 2 * in.len);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t byte = (uint8_t)in.ptr[i];
        *at++ = (uint8_t)digits[byte >> 4];
        *at++ = (uint8_t)digits[byte & 15];
    }
    out->len += 2 * in.len;
}

void fr_pg_bytea_render(fr_str in, fr_buf *out)
{
    uint8_t *at = fr_buf_room(out, 2 + 2 * in.len);
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < in.len; i++)
        at = put_hex(at, (uint8_t)in.ptr[i]);
    out->len += 2 + 2 * in.len;
}

fr_rc fr_pg_bit_render(fr_str bytes, fr_buf *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    uint32_t bits = fr_in_u32be(&in);
    if (in.bad || fr_in_left(&in) != ((size_t)bits + 7) / 8)
        return fr_pg_malformed(err, "not a bit string");
    uint8_t *at = fr_buf_room(out, bits);
    for (uint32_t i = 0; i < bits; i++)
        at[i] = (in.at[i / 8] >> (7 - i % 8) & 1) != 0 ? '1' : '0';
    out->len += bits;
    return FR_OK;
}

void fr_pg_uuid_render(fr_str in, fr_buf *out)
{
    uint8_t *at = fr_buf_room(out, 36);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at = put_hex(at, (uint8_t)in.ptr[i]);
    }
    out->len += 36;
}

/* 1: a lower-case hex digit. */
#define H 1
static const uint8_t uuid_class[256] = {
    ['0'] = H, ['1'] = H, ['2'] = H, ['3'] = H, ['4'] = H, ['5'] = H, ['6'] = H, ['7'] = H,
    ['8'] = H, ['9'] = H, ['a'] = H, ['b'] = H, ['c'] = H, ['d'] = H, ['e'] = H, ['f'] = H};
#undef H

static bool all_hex(const char *p, size_t n)
{
    unsigned all = 1;
    for (size_t i = 0; i < n; i++)
        all &= uuid_class[(unsigned char)p[i]];
    return all != 0;
}

bool fr_pg_uuid_valid(fr_str in)
{
    const char *p = in.ptr;
    return in.len == 36 && all_hex(p, 8) && p[8] == '-' && all_hex(p + 9, 4) && p[13] == '-' &&
           all_hex(p + 14, 4) && p[18] == '-' && all_hex(p + 19, 4) && p[23] == '-' &&
           all_hex(p + 24, 12);
}

/* --- network addresses: as inet_out and cidr_out print them --- */

enum { FAMILY_4 = 2, FAMILY_6 = 3 };

static void put_ip4(const uint8_t *p, fr_buf *out)
{
    fr_buf_printf(out, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
}

typedef struct run { /* of zero words */
    int at, len;
} run;

static run longest_zeros(const unsigned *words)
{
    run best = {-1, 1}; /* one zero alone is not shortened */
    for (int i = 0; i < 8; i++) {
        int len = 0;
        while (i + len < 8 && words[i + len] == 0)
            len++;
        if (len > best.len)
            best = (run){i, len};
        i += len;
    }
    return best;
}

static void put_ip6(const uint8_t *p, fr_buf *out)
{
    unsigned words[8];
    for (size_t i = 0; i < 8; i++)
        words[i] = (unsigned)p[2 * i] << 8 | p[2 * i + 1];
    run zeros = longest_zeros(words);
    bool holds_ip4 = zeros.at == 0 && (zeros.len == 6 || (zeros.len == 7 && words[7] != 1) ||
                                       (zeros.len == 5 && words[5] == 0xffff));
    for (int i = 0; i < 8; i++) {
        if (i == zeros.at) {
            fr_buf_text(out, zeros.at + zeros.len == 8 ? "::" : ":");
            i += zeros.len - 1;
            continue;
        }
        if (i > 0)
            fr_buf_u8(out, ':');
        if (i == 6 && holds_ip4) {
            put_ip4(p + 12, out);
            return;
        }
        fr_buf_printf(out, "%x", words[i]);
    }
}

fr_rc fr_pg_inet_render(fr_str bytes, fr_buf *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    uint8_t family = fr_in_u8(&in), bits = fr_in_u8(&in), cidr = fr_in_u8(&in);
    uint8_t size = fr_in_u8(&in);
    uint8_t full = family == FAMILY_4 ? 32 : 128;
    if (in.bad || (family != FAMILY_4 && family != FAMILY_6) || size != full / 8 ||
        fr_in_left(&in) != size || bits > full)
        return fr_pg_malformed(err, "not a network address");
    if (family == FAMILY_4)
        put_ip4(in.at, out);
    else
        put_ip6(in.at, out);
    if (cidr != 0 || bits != full)
        fr_buf_printf(out, "/%u", bits);
    return FR_OK;
}

fr_rc fr_pg_macaddr_render(fr_str in, fr_buf *out, fr_err *err)
{
    if (in.len != 6 && in.len != 8)
        return fr_pg_malformed(err, "not a MAC address");
    for (size_t i = 0; i < in.len; i++)
        fr_buf_printf(out, i == 0 ? "%02x" : ":%02x", (uint8_t)in.ptr[i]);
    return FR_OK;
}
