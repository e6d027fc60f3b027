#include "model/name.h"
#include "base/bytes.h"

#include <string.h>

#define TOPIC_MAX 249

static const char hex_digits[] = "0123456789ABCDEF";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "_xHH" at i: what an escape looks like. */
static bool is_escape(fr_str s, size_t i)
{
    return s.len - i >= 4 && s.ptr[i] == '_' && s.ptr[i + 1] == 'x' &&
           hex_value(s.ptr[i + 2]) >= 0 && hex_value(s.ptr[i + 3]) >= 0;
}

static bool stays(fr_str s, size_t i)
{
    if (is_digit(s.ptr[i]))
        return i > 0;
    return is_letter(s.ptr[i]) && !is_escape(s, i);
}

static void put_escape(fr_buf *b, char c)
{
    uint8_t byte = (uint8_t)c;
    fr_buf_text(b, "_x");
    fr_buf_u8(b, (uint8_t)hex_digits[byte >> 4]);
    fr_buf_u8(b, (uint8_t)hex_digits[byte & 15]);
}

fr_str fr_avro_name(fr_arena *a, fr_str name)
{
    if (name.len == 0)
        return FR_STR("_x00");
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < name.len; i++) {
        if (stays(name, i))
            fr_buf_u8(&b, (uint8_t)name.ptr[i]);
        else
            put_escape(&b, name.ptr[i]);
    }
    return fr_buf_view(&b);
}

fr_str fr_avro_name_back(fr_arena *a, fr_str avro_name)
{
    if (fr_str_is(avro_name, "_x00"))
        return FR_STR("");
    fr_buf b = {.arena = a};
    size_t i = 0;
    while (i < avro_name.len) {
        if (is_escape(avro_name, i)) {
            int byte = hex_value(avro_name.ptr[i + 2]) * 16 + hex_value(avro_name.ptr[i + 3]);
            fr_buf_u8(&b, (uint8_t)byte);
            i += 4;
        } else {
            fr_buf_u8(&b, (uint8_t)avro_name.ptr[i++]);
        }
    }
    return fr_buf_view(&b);
}

/* Java's strings are of UTF-16: four bytes of UTF-8 are two units, others one. */
fr_str fr_debezium_name(fr_arena *a, fr_str name, bool full)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        uint8_t byte = (uint8_t)c;
        if (i == 0 && is_digit(c))
            fr_buf_u8(&b, '_');
        if (is_letter(c) || is_digit(c) || (full && i > 0 && c == '.'))
            fr_buf_u8(&b, byte);
        else if (byte >= 0xF0)
            fr_buf_text(&b, "__");
        else if (byte < 0x80 || byte >= 0xC0)
            fr_buf_u8(&b, '_');
    }
    return fr_buf_view(&b);
}

bool fr_avro_fullname_legal(fr_str name)
{
    bool begins = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '.' && begins)
            return false;
        if (c != '.' && !is_letter(c) && (begins || !is_digit(c)))
            return false;
        begins = c == '.';
    }
    return !begins;
}

static bool is_topic_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' ||
           c == '_' || c == '-';
}

fr_str fr_topic_legal(fr_arena *a, fr_str name)
{
    size_t len = name.len < TOPIC_MAX ? name.len : TOPIC_MAX;
    char *out = fr_arena_raw(a, len + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = is_topic_char(name.ptr[i]) ? name.ptr[i] : '_';
    }
    out[len] = '\0';
    if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
        memset(out, '_', len);
    return (fr_str){out, len};
}

fr_str fr_topic_generation(fr_arena *a, fr_str topic, uint32_t generation)
{
    if (generation < 2)
        return fr_topic_legal(a, topic);
    fr_str end = fr_arena_printf(a, ".v%u", (unsigned)generation);
    size_t most = TOPIC_MAX - end.len;
    fr_str head = {topic.ptr, topic.len < most ? topic.len : most};
    return fr_topic_legal(a, fr_arena_printf(a, "%.*s%.*s", FR_ARG(head), FR_ARG(end)));
}

fr_str fr_topic_first(fr_str topic, uint32_t *generation)
{
    size_t at = topic.len, digits = 0;
    uint32_t number = 0, unit = 1;
    for (; at > 0 && digits < 4 && topic.ptr[at - 1] >= '0' && topic.ptr[at - 1] <= '9'; digits++) {
        number += unit * (uint32_t)(topic.ptr[--at] - '0');
        unit *= 10;
    }
    *generation = 1;
    bool later = digits > 0 && number > 1 && topic.ptr[at] != '0' && at > 2 &&
                 topic.ptr[at - 1] == 'v' && topic.ptr[at - 2] == '.';
    if (!later)
        return topic;
    *generation = number;
    return (fr_str){topic.ptr, at - 2};
}

const char *fr_topic_refused(fr_str name)
{
    if (name.len == 0)
        return "it is empty";
    if (name.len > TOPIC_MAX)
        return "it is longer than 249 bytes";
    if (fr_str_is(name, ".") || fr_str_is(name, ".."))
        return "it is only dots";
    for (size_t i = 0; i < name.len; i++) {
        if (!is_topic_char(name.ptr[i]))
            return "it has other characters than letters, digits, dot, _ and -";
    }
    return NULL;
}
