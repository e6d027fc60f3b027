/* All decoding of foreign bytes goes through fr_in, all building of byte strings through
 * fr_buf. Reading past the end sets the reader's `bad` flag and yields zeros, so a decoder
 * may read a whole structure and ask once. Nothing here allocates from lengths it was
 * told before checking them against the bytes that are left. */
#ifndef FR_BASE_BYTES_H
#define FR_BASE_BYTES_H

#include "base/arena.h"
#include <stdint.h>

typedef struct fr_in {
    const uint8_t *at, *end;
    bool bad;
} fr_in;

fr_in fr_in_of(fr_str s);
static inline size_t fr_in_left(const fr_in *in)
{
    return (size_t)(in->end - in->at);
}
uint8_t fr_in_u8(fr_in *in);
uint16_t fr_in_u16be(fr_in *in);
uint32_t fr_in_u32be(fr_in *in);
uint64_t fr_in_u64be(fr_in *in);
uint16_t fr_in_u16le(fr_in *in);
uint32_t fr_in_u32le(fr_in *in);
uint64_t fr_in_u64le(fr_in *in);
/* len bytes as they are; an empty string and bad when there are fewer. */
fr_str fr_in_take(fr_in *in, size_t len);
/* Up to and without the next NUL, which is passed over. */
fr_str fr_in_cstr(fr_in *in);
/* Avro's zigzag variable-length integer, at most 10 bytes. */
int64_t fr_in_zigzag(fr_in *in);

/* A growing buffer; either on the heap (arena NULL: fr_buf_free it) or in an arena. */
typedef struct fr_buf {
    uint8_t *ptr;
    size_t len, cap;
    fr_arena *arena;
} fr_buf;

void fr_buf_free(fr_buf *b); /* heap buffers only; resets it to empty */
/* Room for n more bytes; returns where they go. The caller adds to len. */
uint8_t *fr_buf_room(fr_buf *b, size_t n);
void fr_buf_put(fr_buf *b, const void *ptr, size_t len);
void fr_buf_str(fr_buf *b, fr_str s);
void fr_buf_text(fr_buf *b, const char *s);
void fr_buf_printf(fr_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fr_buf_u8(fr_buf *b, uint8_t v);
void fr_buf_u16be(fr_buf *b, uint16_t v);
void fr_buf_u32be(fr_buf *b, uint32_t v);
void fr_buf_u64be(fr_buf *b, uint64_t v);
void fr_buf_zigzag(fr_buf *b, int64_t v);
void fr_buf_hex(fr_buf *b, fr_str bytes);    /* two digits each, in lower case */
void fr_buf_base64(fr_buf *b, fr_str bytes); /* RFC 4648, padded, in one line */
/* "..." with JSON's escapes; s must be UTF-8. */
void fr_buf_json(fr_buf *b, fr_str s);
/* A text of somebody else's, on one line of a terminal: controls of both kinds (U+0000 to U+001F,
 * U+007F to U+009F) become '?'. s need not be UTF-8. */
void fr_buf_shown(fr_buf *b, fr_str s);
static inline fr_str fr_buf_view(const fr_buf *b)
{
    return (fr_str){(const char *)b->ptr, b->len};
}

/* What a hexadecimal digit counts; -1: it is none. */
static inline int fr_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* True when s is well-formed UTF-8 (no surrogates, no overlong forms). */
bool fr_utf8_valid(fr_str s);
/* CRC-32C (Castagnoli), continuing from crc; start with 0. In hardware where there is. */
uint32_t fr_crc32c(uint32_t crc, const void *ptr, size_t len);
/* Murmur2 as Kafka's Java clients compute it; the partition is (v & 0x7fffffff) % n. */
uint32_t fr_murmur2(const void *ptr, size_t len);
/* FNV-1a, 64 bit: for fingerprints of small things and key hashes in messages. */
uint64_t fr_hash64(const void *ptr, size_t len);

#endif
