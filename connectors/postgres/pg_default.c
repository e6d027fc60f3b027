/* Column defaults that are plain literals, as JSON for Avro. */
#include "connectors/postgres/pg_value_parts.h"
#include <math.h>
#include <string.h>

enum { BPCHAR = 1042 };

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '"' || c == '.' || c == ' ' || (unsigned char)c >= 0x80;
}

/* Everything after the literal must be one or more casts: ::character varying(20)[]. */
static bool only_casts(fr_str rest)
{
    size_t i = 0;
    while (i < rest.len) {
        if (rest.len - i < 3 || rest.ptr[i] != ':' || rest.ptr[i + 1] != ':')
            return false;
        for (i += 2; i < rest.len && rest.ptr[i] != ':'; i++)
            if (!is_word(rest.ptr[i]) && strchr("()[],-", rest.ptr[i]) == NULL)
                return false;
    }
    return true;
}

/* 'it''s' from the quote on; false: it does not end. E'...' is never printed where
 * standard_conforming_strings is on and the text has no backslash; with one it is refused. */
static bool quoted(fr_arena *a, fr_str in, fr_str *out, fr_str *rest)
{
    fr_buf b = {.arena = a};
    for (size_t i = 1; i < in.len; i++) {
        if (in.ptr[i] == '\'' && (i + 1 == in.len || in.ptr[i + 1] != '\'')) {
            *out = b.len > 0 ? fr_buf_view(&b) : FR_STR("");
            *rest = (fr_str){in.ptr + i + 1, in.len - i - 1};
            return true;
        }
        if (in.ptr[i] == '\'')
            i++;
        fr_buf_u8(&b, (uint8_t)in.ptr[i]);
    }
    return false;
}

/* The literal's own text, as an input function would take it. */
static bool literal(fr_arena *a, fr_str in, fr_str *out)
{
    fr_str rest;
    if (in.len == 0)
        return false;
    if (in.ptr[0] == '\'')
        return quoted(a, in, out, &rest) && only_casts(rest);
    if (in.ptr[0] == '(') { /* (-1), ('-1'::integer) */
        const char *close = memchr(in.ptr, ')', in.len);
        if (close == NULL ||
            !only_casts((fr_str){close + 1, (size_t)(in.ptr + in.len - close - 1)}))
            return false;
        in = (fr_str){in.ptr + 1, (size_t)(close - in.ptr - 1)};
        if (in.len == 0 || in.ptr[0] != '-')
            return false;
    }
    size_t n = 0;
    while (n < in.len && (is_word(in.ptr[n]) || in.ptr[n] == '-') && in.ptr[n] != ' ')
        n++;
    rest = (fr_str){in.ptr + n, in.len - n};
    *out = (fr_str){in.ptr, n};
    if (fr_str_is(*out, "true") || fr_str_is(*out, "false")) {
        out->len = 1;
        return only_casts(rest);
    }
    for (size_t i = 0; i < n; i++)
        if (strchr("0123456789.-", in.ptr[i]) == NULL)
            return false;
    return n > 0 && only_casts(rest);
}

/* Avro writes a bytes default as a string of the code points 0 to 255. */
static void put_code_points(fr_buf *out, fr_str bytes)
{
    fr_buf_u8(out, '"');
    for (size_t i = 0; i < bytes.len; i++)
        fr_buf_printf(out, "\\u%04x", (unsigned char)bytes.ptr[i]);
    fr_buf_u8(out, '"');
}

static void put_json(fr_buf *out, const fr_value *v)
{
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_text(out, v->boolean ? "true" : "false");
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        if (isfinite(v->real)) /* Avro's JSON has no other numbers */
            fr_pg_float_render(v->real, v->kind == FR_FLOAT32, out);
        break;
    case FR_DECIMAL:
    case FR_BYTES:
        put_code_points(out, v->bytes);
        break;
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        fr_buf_json(out, v->bytes);
        break;
    default:
        fr_buf_printf(out, "%lld", (long long)v->integer);
    }
}

fr_str fr_pg_default_literal(fr_arena *a, const fr_pg_codec *c, fr_str expression)
{
    fr_str text;
    fr_value v;
    fr_err ignored;
    fr_buf out = {.arena = a};
    /* An input function's text is its output's for all types we take, but for money and
     * character(n), which is padded when it is stored. */
    if (c->wire == FR_PG_WIRE_MONEY || c->oid == BPCHAR || !literal(a, expression, &text) ||
        fr_pg_decode_text(c, a, text, &v, &ignored) != FR_OK)
        return (fr_str){NULL, 0};
    put_json(&out, &v);
    return fr_buf_view(&out);
}
