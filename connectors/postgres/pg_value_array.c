/* Arrays become JSON arrays, nested as the dimensions are; lower bounds are dropped.
 * Text form: array_out in src/backend/utils/adt/arrayfuncs.c, "8.15. Arrays" of the manual. */
#include "connectors/postgres/pg_value_parts.h"
#include <string.h>
#include <strings.h>

enum { DIMENSIONS = 6 }; /* MAXDIM */

typedef struct writer {
    const fr_pg_codec *codec;
    fr_buf out, unescaped, rendered; /* the last two hold one element */
    fr_err *err;
} writer;

/* JSON numbers and booleans. NaN and infinities are neither. */
static bool bare(fr_pg_wire wire, fr_str text)
{
    switch (wire) {
    case FR_PG_WIRE_BOOL:
    case FR_PG_WIRE_INT2:
    case FR_PG_WIRE_INT4:
    case FR_PG_WIRE_INT8:
    case FR_PG_WIRE_UINT4:
        return true;
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_FLOAT8:
        return text.ptr[text.len - 1] >= '0' && text.ptr[text.len - 1] <= '9';
    default:
        return false;
    }
}

static fr_rc put_element(writer *w, fr_str in, bool binary)
{
    fr_pg_wire wire = w->codec->element;
    w->rendered.len = 0;
    FR_TRY(fr_pg_render(wire, w->codec->scale, in, binary, &w->rendered, w->err));
    fr_str text = fr_buf_view(&w->rendered);
    if (text.len > 0 && bare(wire, text))
        fr_buf_str(&w->out, text);
    else
        fr_buf_json(&w->out, text);
    return FR_OK;
}

/* --- text --- */

static fr_rc bad_array(writer *w)
{
    return fr_pg_malformed(w->err, "not an array");
}

/* "..." with \ before any character; the opening quote is passed. */
static fr_rc text_quoted(writer *w, fr_in *in)
{
    w->unescaped.len = 0;
    for (;;) {
        uint8_t c = fr_in_u8(in);
        if (c == '"' && !in->bad)
            break;
        if (c == '\\')
            c = fr_in_u8(in);
        if (in->bad)
            return bad_array(w);
        fr_buf_u8(&w->unescaped, c);
    }
    return put_element(w, fr_buf_view(&w->unescaped), false);
}

static fr_rc text_bare(writer *w, fr_in *in)
{
    const uint8_t *from = in->at;
    while (in->at < in->end && *in->at != (uint8_t)w->codec->delimiter && *in->at != '}')
        if (strchr("\"\\{", *in->at++) != NULL)
            return bad_array(w);
    fr_str element = {(const char *)from, (size_t)(in->at - from)};
    if (element.len == 0)
        return bad_array(w);
    if (element.len == 4 && strncasecmp(element.ptr, "null", 4) == 0) {
        fr_buf_text(&w->out, "null");
        return FR_OK;
    }
    return put_element(w, element, false);
}

static fr_rc text_level(writer *w, fr_in *in, int depth);

static fr_rc text_item(writer *w, fr_in *in, int depth)
{
    if (in->at == in->end)
        return bad_array(w);
    if (*in->at == '{')
        return text_level(w, in, depth + 1);
    if (*in->at == '"') {
        in->at++;
        return text_quoted(w, in);
    }
    return text_bare(w, in);
}

static fr_rc text_level(writer *w, fr_in *in, int depth)
{
    if (depth >= DIMENSIONS || fr_in_u8(in) != '{')
        return bad_array(w);
    fr_buf_u8(&w->out, '[');
    if (in->at < in->end && *in->at == '}') {
        in->at++;
        fr_buf_u8(&w->out, ']');
        return FR_OK;
    }
    for (;;) {
        FR_TRY(text_item(w, in, depth));
        uint8_t c = fr_in_u8(in);
        if (c == '}' && !in->bad)
            break;
        if (c != (uint8_t)w->codec->delimiter || in->bad)
            return bad_array(w);
        fr_buf_u8(&w->out, ',');
    }
    fr_buf_u8(&w->out, ']');
    return FR_OK;
}

static bool skip_bound(fr_in *in)
{
    size_t n = 0;
    while (in->at < in->end && strchr("-+0123456789", *in->at) != NULL && *in->at != 0) {
        in->at++;
        n++;
    }
    return n > 0;
}

/* "[0:2][-1:1]=" in front of arrays whose bounds do not start at 1. */
static bool skip_bounds(fr_in *in)
{
    if (in->at == in->end || *in->at != '[')
        return true;
    while (in->at < in->end && *in->at == '[') {
        in->at++;
        if (!skip_bound(in) || fr_in_u8(in) != ':' || !skip_bound(in) || fr_in_u8(in) != ']')
            return false;
    }
    return fr_in_u8(in) == '=' && !in->bad;
}

static fr_rc array_text(writer *w, fr_str bytes)
{
    fr_in in = fr_in_of(bytes);
    if (!skip_bounds(&in))
        return bad_array(w);
    FR_TRY(text_level(w, &in, 0));
    return fr_in_left(&in) == 0 ? FR_OK : bad_array(w);
}

/* --- binary --- */

static fr_rc binary_element(writer *w, fr_in *in)
{
    int32_t len = (int32_t)fr_in_u32be(in);
    if (len == -1 && !in->bad) {
        fr_buf_text(&w->out, "null");
        return FR_OK;
    }
    fr_str element = len < 0 ? (fr_str){NULL, 0} : fr_in_take(in, (size_t)len);
    if (in->bad || len < 0)
        return bad_array(w);
    return put_element(w, element, true);
}

static fr_rc binary_level(writer *w, fr_in *in, const uint32_t *sizes, int dimensions)
{
    fr_buf_u8(&w->out, '[');
    for (uint32_t i = 0; i < sizes[0]; i++) {
        if (i > 0)
            fr_buf_u8(&w->out, ',');
        if (dimensions > 1)
            FR_TRY(binary_level(w, in, sizes + 1, dimensions - 1));
        else
            FR_TRY(binary_element(w, in));
    }
    fr_buf_u8(&w->out, ']');
    return FR_OK;
}

static fr_rc array_binary(writer *w, fr_str bytes)
{
    fr_in in = fr_in_of(bytes);
    uint32_t dimensions = fr_in_u32be(&in), flags = fr_in_u32be(&in), sizes[DIMENSIONS];
    fr_in_u32be(&in); /* the elements' oid: the codec knows it */
    if (in.bad || dimensions > DIMENSIONS || flags > 1)
        return bad_array(w);
    if (dimensions == 0) {
        fr_buf_text(&w->out, "[]");
        return fr_in_left(&in) == 0 ? FR_OK : bad_array(w);
    }
    uint64_t elements = 1;
    for (uint32_t i = 0; i < dimensions; i++) {
        sizes[i] = fr_in_u32be(&in);
        fr_in_u32be(&in); /* lower bound */
        elements *= sizes[i];
        if (in.bad || elements == 0 || elements > fr_in_left(&in) / 4)
            return bad_array(w); /* each element has a length of four bytes */
    }
    FR_TRY(binary_level(w, &in, sizes, (int)dimensions));
    return fr_in_left(&in) == 0 ? FR_OK : bad_array(w);
}

fr_rc fr_pg_array(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_str *out,
                  fr_err *err)
{
    writer w = {.codec = c, .err = err};
    w.out.arena = w.unescaped.arena = w.rendered.arena = a;
    fr_buf_room(&w.out, in.len + 16);
    FR_TRY(binary ? array_binary(&w, in) : array_text(&w, in));
    *out = fr_buf_view(&w.out);
    return FR_OK;
}
