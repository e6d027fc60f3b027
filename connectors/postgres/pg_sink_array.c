/* JSON arrays as PostgreSQL's array literals, without a tree: numbers keep their digits. */
#include "postgres/pg_sink_value.h"
#include <string.h>

enum { MAX_DEPTH = 6 }; /* MAXDIM in PostgreSQL's source */

static fr_rc not_an_array(fr_err *err, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "not a JSON array that fits an array column: %s", why);
    return fr_fail_code(err, "sink.value");
}

static void skip_blanks(fr_in *in)
{
    while (in->at < in->end && memchr(" \t\r\n", *in->at, 4) != NULL)
        in->at++;
}

static int peek(const fr_in *in)
{
    return in->at < in->end ? *in->at : -1;
}

static void put_quoted(fr_buf *out, uint8_t c)
{
    if (c == '"' || c == '\\')
        fr_buf_u8(out, '\\');
    fr_buf_u8(out, c);
}

static void put_utf8(fr_buf *out, uint32_t c)
{
    if (c < 0x80) {
        put_quoted(out, (uint8_t)c);
    } else if (c < 0x800) {
        fr_buf_u8(out, (uint8_t)(0xc0 | c >> 6));
        fr_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        fr_buf_u8(out, (uint8_t)(0xe0 | c >> 12));
        fr_buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        fr_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        fr_buf_u8(out, (uint8_t)(0xf0 | c >> 18));
        fr_buf_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        fr_buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        fr_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

static bool hex4(fr_in *in, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t d = fr_in_u8(in);
        if (d >= '0' && d <= '9')
            v = v << 4 | (uint32_t)(d - '0');
        else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
            v = v << 4 | (uint32_t)((d | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

static fr_rc put_escape(fr_in *in, fr_buf *out, fr_err *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t c = fr_in_u8(in);
    const char *known = c != 0 ? strchr(from, c) : NULL;
    if (known != NULL) {
        put_quoted(out, (uint8_t)to[known - from]);
        return FR_OK;
    }
    uint32_t code, low;
    if (c != 'u' || !hex4(in, &code))
        return not_an_array(err, "bad escape");
    if (code >= 0xd800 && code < 0xdc00) {
        if (fr_in_u8(in) != '\\' || fr_in_u8(in) != 'u' || !hex4(in, &low) || low < 0xdc00 ||
            low > 0xdfff)
            return not_an_array(err, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return not_an_array(err, "half a surrogate pair");
    }
    if (code == 0)
        return not_an_array(err, "the text holds U+0000, which PostgreSQL cannot store");
    put_utf8(out, code);
    return FR_OK;
}

static fr_rc put_string(fr_in *in, fr_buf *out, fr_err *err)
{
    in->at++; /* the quote */
    fr_buf_u8(out, '"');
    for (;;) {
        int c = peek(in);
        if (c < 0x20)
            return not_an_array(err, "a string without end");
        in->at++;
        if (c == '"')
            break;
        if (c != '\\')
            fr_buf_u8(out, (uint8_t)c);
        else
            FR_TRY(put_escape(in, out, err));
    }
    fr_buf_u8(out, '"');
    return FR_OK;
}

/* null, true, false, a number: nothing in it needs an escape. */
static fr_rc put_word(fr_in *in, fr_buf *out, fr_err *err)
{
    const uint8_t *start = in->at;
    while (in->at < in->end && memchr(",]} \t\r\n", *in->at, 7) == NULL)
        in->at++;
    fr_str word = {(const char *)start, (size_t)(in->at - start)};
    if (fr_str_is(word, "null")) {
        fr_buf_text(out, "NULL");
        return FR_OK;
    }
    if (word.len == 0 || (memchr("-0123456789", word.ptr[0], 11) == NULL &&
                          !fr_str_is(word, "true") && !fr_str_is(word, "false")))
        return not_an_array(err, "unexpected character");
    for (size_t i = 0; i < word.len; i++)
        if (memchr("\"\\{}[:", word.ptr[i], 6) != NULL)
            return not_an_array(err, "unexpected character");
    fr_buf_u8(out, '"');
    fr_buf_str(out, word);
    fr_buf_u8(out, '"');
    return FR_OK;
}

/* An object as it stands: an element of json[], or text to others. */
static fr_rc put_object(fr_in *in, fr_buf *out, fr_err *err)
{
    int depth = 0;
    bool quoted = false;
    fr_buf_u8(out, '"');
    do {
        int c = peek(in);
        if (c < 0)
            return not_an_array(err, "an object without end");
        in->at++;
        put_quoted(out, (uint8_t)c);
        if (quoted && c == '\\' && peek(in) >= 0)
            put_quoted(out, *in->at++);
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (c == '{') - (c == '}');
    } while (depth > 0);
    fr_buf_u8(out, '"');
    return FR_OK;
}

static fr_rc put_elements(fr_in *in, fr_buf *out, int depth, fr_err *err);

static fr_rc put_element(fr_in *in, fr_buf *out, int depth, fr_err *err)
{
    switch (peek(in)) {
    case '[':
        return put_elements(in, out, depth + 1, err);
    case '{':
        return put_object(in, out, err);
    case '"':
        return put_string(in, out, err);
    default:
        return put_word(in, out, err);
    }
}

static fr_rc put_elements(fr_in *in, fr_buf *out, int depth, fr_err *err)
{
    skip_blanks(in);
    if (peek(in) != '[')
        return not_an_array(err, "no array");
    if (depth > MAX_DEPTH)
        return not_an_array(err, "more than 6 dimensions");
    in->at++;
    fr_buf_u8(out, '{');
    skip_blanks(in);
    while (peek(in) != ']') {
        FR_TRY(put_element(in, out, depth, err));
        skip_blanks(in);
        if (peek(in) == ']')
            break;
        if (peek(in) != ',')
            return not_an_array(err, "unexpected character");
        in->at++;
        fr_buf_u8(out, ',');
        skip_blanks(in);
        if (peek(in) == ']')
            return not_an_array(err, "unexpected character");
    }
    in->at++;
    fr_buf_u8(out, '}');
    return FR_OK;
}

fr_rc fr_pg_array_literal(fr_buf *out, fr_str json, fr_err *err)
{
    fr_in in = fr_in_of(json);
    if (json.len > 0 && memchr(json.ptr, '\0', json.len) != NULL)
        return not_an_array(err, "the text holds U+0000, which PostgreSQL cannot store");
    FR_TRY(put_elements(&in, out, 1, err));
    skip_blanks(&in);
    if (fr_in_left(&in) > 0)
        return not_an_array(err, "text after its end");
    return FR_OK;
}
