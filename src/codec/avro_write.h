/* Writing Avro's binary form where room was asked for before: nothing here checks bounds. Each
 * writes at `at` and returns the end. Source: Avro 1.11 specification, "Binary Encoding";
 * Confluent's wire format for the header. */
#ifndef FR_CODEC_AVRO_WRITE_H
#define FR_CODEC_AVRO_WRITE_H

#include "base/arena.h"
#include <stdint.h>
#include <string.h>

#define FR_WIRE_HEADER 5 /* byte 0, schema id */

static inline uint8_t *fr_put_long(uint8_t *at, int64_t v)
{
    uint64_t n = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    while (n >= 0x80) {
        *at++ = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    *at++ = (uint8_t)n;
    return at;
}

static inline uint8_t *fr_put_raw(uint8_t *at, fr_str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static inline uint8_t *fr_put_bytes(uint8_t *at, fr_str s)
{
    return fr_put_raw(fr_put_long(at, (int64_t)s.len), s);
}

/* A union's branch: 0 (null) or 1. */
static inline uint8_t *fr_put_branch(uint8_t *at, bool there)
{
    *at++ = there ? 2 : 0;
    return at;
}

static inline uint8_t *fr_put_header(uint8_t *at, int32_t schema_id)
{
    *at++ = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)((uint32_t)schema_id >> shift);
    return at;
}

#endif
