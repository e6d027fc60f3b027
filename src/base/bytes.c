#include "base/bytes.h"
#include <endian.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fr_in fr_in_of(fr_str s)
{
    const uint8_t *p = (const uint8_t *)(s.ptr == NULL ? "" : s.ptr);
    return (fr_in){p, p + s.len, false};
}

static const uint8_t *need(fr_in *in, size_t n)
{
    if (in->bad || fr_in_left(in) < n) {
        in->bad = true;
        in->at = in->end;
        return NULL;
    }
    const uint8_t *p = in->at;
    in->at += n;
    return p;
}

#define FIXED(name, type, convert)                                                                 \
    type name(fr_in *in)                                                                           \
    {                                                                                              \
        type v;                                                                                    \
        const uint8_t *p = need(in, sizeof(v));                                                    \
        if (p == NULL)                                                                             \
            return 0;                                                                              \
        memcpy(&v, p, sizeof(v));                                                                  \
        return convert(v);                                                                         \
    }
FIXED(fr_in_u8, uint8_t, )
FIXED(fr_in_u16be, uint16_t, be16toh)
FIXED(fr_in_u32be, uint32_t, be32toh)
FIXED(fr_in_u64be, uint64_t, be64toh)
FIXED(fr_in_u16le, uint16_t, le16toh)
FIXED(fr_in_u32le, uint32_t, le32toh)
FIXED(fr_in_u64le, uint64_t, le64toh)

fr_str fr_in_take(fr_in *in, size_t len)
{
    const uint8_t *p = need(in, len);
    return p == NULL ? (fr_str){"", 0} : (fr_str){(const char *)p, len};
}

fr_str fr_in_cstr(fr_in *in)
{
    size_t left = fr_in_left(in);
    const uint8_t *nul = left == 0 ? NULL : memchr(in->at, 0, left);
    if (in->bad || nul == NULL) {
        in->bad = true;
        in->at = in->end;
        return (fr_str){"", 0};
    }
    fr_str s = {(const char *)in->at, (size_t)(nul - in->at)};
    in->at = nul + 1;
    return s;
}

int64_t fr_in_zigzag(fr_in *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *p = need(in, 1);
        if (p == NULL)
            return 0;
        if (shift == 63 && *p > 1)
            break;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if ((*p & 0x80) == 0)
            return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    }
    in->bad = true;
    in->at = in->end;
    return 0;
}

void fr_buf_free(fr_buf *b)
{
    if (b->arena == NULL)
        free(b->ptr);
    *b = (fr_buf){.arena = b->arena};
}

uint8_t *fr_buf_room(fr_buf *b, size_t n)
{
    if (b->ptr != NULL && b->cap - b->len >= n)
        return b->ptr + b->len;
    size_t cap = b->cap < 128 ? 256 : b->cap * 2;
    while (cap < b->len + n)
        cap *= 2;
    if (b->arena == NULL) {
        b->ptr = fr_realloc(b->ptr, cap);
    } else {
        uint8_t *p = fr_arena_raw(b->arena, cap);
        if (b->ptr != NULL)
            memcpy(p, b->ptr, b->len);
        b->ptr = p;
    }
    b->cap = cap;
    return b->ptr + b->len;
}

void fr_buf_put(fr_buf *b, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    memcpy(fr_buf_room(b, len), ptr, len);
    b->len += len;
}

void fr_buf_str(fr_buf *b, fr_str s)
{
    fr_buf_put(b, s.ptr, s.len);
}

void fr_buf_text(fr_buf *b, const char *s)
{
    fr_buf_put(b, s, strlen(s));
}

void fr_buf_printf(fr_buf *b, const char *fmt, ...)
{
    va_list ap;
    char small[256];
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n < sizeof(small)) {
        fr_buf_put(b, small, (size_t)n);
        return;
    }
    char *at = (char *)fr_buf_room(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void fr_buf_u8(fr_buf *b, uint8_t v)
{
    *fr_buf_room(b, 1) = v;
    b->len++;
}

void fr_buf_u16be(fr_buf *b, uint16_t v)
{
    v = htobe16(v);
    fr_buf_put(b, &v, sizeof(v));
}

void fr_buf_u32be(fr_buf *b, uint32_t v)
{
    v = htobe32(v);
    fr_buf_put(b, &v, sizeof(v));
}

void fr_buf_u64be(fr_buf *b, uint64_t v)
{
    v = htobe64(v);
    fr_buf_put(b, &v, sizeof(v));
}

void fr_buf_zigzag(fr_buf *b, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    uint8_t *p = fr_buf_room(b, 10);
    size_t n = 0;
    while (z >= 0x80) {
        p[n++] = (uint8_t)(z | 0x80);
        z >>= 7;
    }
    p[n++] = (uint8_t)z;
    b->len += n;
}

static const char hex[] = "0123456789abcdef";

void fr_buf_base64(fr_buf *b, fr_str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < bytes.len ? (uint8_t)bytes.ptr[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            fr_buf_u8(b, i + k > bytes.len ? '=' : (uint8_t)digits[v >> (18 - 6 * k) & 63]);
    }
}

void fr_buf_hex(fr_buf *b, fr_str bytes)
{
    uint8_t *p = bytes.len > 0 ? fr_buf_room(b, 2 * bytes.len) : NULL;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = (uint8_t)bytes.ptr[i];
        p[2 * i] = (uint8_t)hex[byte >> 4];
        p[2 * i + 1] = (uint8_t)hex[byte & 15];
    }
    b->len += 2 * bytes.len;
}

void fr_buf_json(fr_buf *b, fr_str s)
{
    fr_buf_u8(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        fr_buf_put(b, s.ptr + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            fr_buf_u8(b, '\\');
            fr_buf_u8(b, c);
        } else if (c == '\n') {
            fr_buf_text(b, "\\n");
        } else {
            char u[7] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15], 0};
            fr_buf_text(b, u);
        }
    }
    if (s.len > from) /* an empty s may have no pointer */
        fr_buf_put(b, s.ptr + from, s.len - from);
    fr_buf_u8(b, '"');
}

void fr_buf_shown(fr_buf *b, fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool second = c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] >= 0x80 &&
                      (unsigned char)s.ptr[i + 1] <= 0x9F;
        fr_buf_u8(b, c < 0x20 || c == 0x7F || second ? '?' : c);
        i += second ? 1 : 0;
    }
}

/* Length of the well-formed sequence at p, 0: not well-formed. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

bool fr_utf8_valid(fr_str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        uint64_t word;
        if (s.len - i >= 8) { /* eight ASCII bytes at a time */
            memcpy(&word, p + i, 8);
            if ((word & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        size_t n = utf8_length(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        crc_table[i] = c;
    }
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *p,
                                                               size_t len)
{
    uint64_t c = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        c = __builtin_ia32_crc32di(c, v);
    }
    for (; len > 0; len--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
    return ~(uint32_t)c;
}
#endif

uint32_t fr_crc32c(uint32_t crc, const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc_hardware(crc, p, len);
#endif
    pthread_once(&crc_once, crc_fill);
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = (crc >> 8) ^ crc_table[(crc ^ p[i]) & 0xff];
    return ~crc;
}

uint32_t fr_murmur2(const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)len;
    for (; len >= 4; len -= 4, p += 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (len >= 3)
        h ^= (uint32_t)p[2] << 16;
    if (len >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (len >= 1) {
        h ^= p[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

uint64_t fr_hash64(const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) {
        h ^= p[i];
        h *= 0x100000001b3u;
    }
    return h;
}
