/* A column of information_schema: COLUMN_TYPE as SHOW COLUMNS prints it. */
#include "connectors/mysql/my_types.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LABELS_MAX = 65535 };

static fr_rc unknown(const fr_my_schema_row *row, fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA, "column %.*s has the type %.*s, which we do not know",
            FR_ARG(row->name), FR_ARG(row->column_type));
    fr_fail_code(err, "my.type_unknown");
    return fr_fail_hint(err,
                        "leave the column out (columns.exclude: [%.*s]), and please report "
                        "the server's version",
                        FR_ARG(row->name));
}

static bool word_is(fr_str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* Words that mean another, in some version. */
static fr_str synonym(fr_str name)
{
    static const char *const pairs[][2] = {{"integer", "int"},
                                           {"geomcollection", "geometrycollection"},
                                           {"numeric", "decimal"},
                                           {"real", "double"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (word_is(name, pairs[i][0]))
            return fr_cstr(pairs[i][1]);
    return name;
}

static fr_my_type find_type(fr_str name)
{
    name = synonym(name);
    for (int t = FR_MY_UNKNOWN + 1; t < FR_MY_TYPE_COUNT; t++)
        if (word_is(name, fr_my_type_rows[t].name))
            return (fr_my_type)t;
    return FR_MY_UNKNOWN;
}

/* Word by word; what is in parentheses at once. */
typedef struct scan {
    fr_str in;
    size_t at;
} scan;

static void spaces(scan *s)
{
    while (s->at < s->in.len && s->in.ptr[s->at] == ' ')
        s->at++;
}

static fr_str word(scan *s)
{
    spaces(s);
    size_t start = s->at;
    while (s->at < s->in.len && s->in.ptr[s->at] != ' ' && s->in.ptr[s->at] != '(')
        s->at++;
    return (fr_str){s->in.ptr + start, s->at - start};
}

/* Up to the closing parenthesis; quotes hide it. False: there is none. */
static bool parameters(scan *s, fr_str *out)
{
    bool quoted = false;
    *out = (fr_str){NULL, 0};
    if (s->at >= s->in.len || s->in.ptr[s->at] != '(')
        return true;
    size_t start = ++s->at;
    for (; s->at < s->in.len; s->at++) {
        char c = s->in.ptr[s->at];
        if (c == '\\' && quoted)
            s->at++;
        else if (c == '\'')
            quoted = !quoted;
        else if (c == ')' && !quoted)
            break;
    }
    if (s->at >= s->in.len)
        return false;
    *out = (fr_str){s->in.ptr + start, s->at - start};
    s->at++;
    return true;
}

static bool two_numbers(fr_str in, uint32_t *first, uint32_t *second)
{
    uint32_t *to = first;
    size_t digits = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == ',' && to == first && digits > 0) {
            to = second;
            digits = 0;
        } else if (c >= '0' && c <= '9' && digits++ < 9) {
            *to = *to * 10 + (uint32_t)(c - '0');
        } else {
            return false;
        }
    }
    return digits > 0;
}

/* --- labels: 'a','it''s','back\\slash' (append_unescaped of the servers) --- */

static char unescape(char c)
{
    return c == '0' ? '\0' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
}

/* From behind the first quote; *at is behind the last one. */
static bool label(fr_str in, size_t *at, fr_buf *b)
{
    for (; *at < in.len; (*at)++) {
        char c = in.ptr[*at];
        if (c == '\'' && (*at + 1 >= in.len || in.ptr[*at + 1] != '\'')) {
            (*at)++;
            return true;
        }
        if (c == '\'' || c == '\\')
            (*at)++;
        if (*at < in.len)
            fr_buf_u8(b, (uint8_t)(c == '\\' ? unescape(in.ptr[*at]) : in.ptr[*at]));
    }
    return false;
}

const char fr_my_no_label[] = "?";

/* Of a character set whose characters information_schema cannot all show. */
static void doubt_labels(fr_my_column *c, fr_arena *a)
{
    if (c->charset == NULL || c->charset->max_length < 4 || c->label_count == 0)
        return;
    fr_str *sure = fr_arena_alloc(a, c->label_count * sizeof(*sure));
    for (size_t i = 0; i < c->label_count; i++) {
        bool known = memchr(c->labels[i].ptr, '?', c->labels[i].len) == NULL;
        sure[i] = known ? c->labels[i] : (fr_str){fr_my_no_label, 1};
    }
    c->labels = sure;
}

static bool labels(fr_str in, fr_arena *a, fr_my_column *out)
{
    size_t count = 0, at = 0;
    fr_buf all = {.arena = a};
    size_t most = 1;
    for (size_t i = 0; i < in.len; i++)
        most += in.ptr[i] == ',';
    if (most > LABELS_MAX)
        return false;
    fr_str *list = fr_arena_alloc(a, most * sizeof(fr_str));
    fr_buf_room(&all, in.len + 1); /* it never moves */
    while (at < in.len && count < most) {
        size_t start = all.len;
        bool quoted = in.ptr[at] == '\'';
        at++;
        if (!quoted || !label(in, &at, &all))
            return false;
        list[count].ptr = (const char *)all.ptr + start;
        list[count++].len = all.len - start;
        if (at < in.len && in.ptr[at] != ',')
            return false;
        at++;
    }
    out->labels = list;
    out->label_count = count;
    return count > 0;
}

static bool set_parameters(fr_my_column *c, fr_str p, fr_arena *a)
{
    uint32_t first = 0, second = 0;
    switch (fr_my_type_rows[c->type].param) {
    case FR_MY_LABELS:
        return labels(p, a, c);
    case FR_MY_PLAIN:
        return true;
    case FR_MY_LENGTH:
        if (p.len > 0 && !two_numbers(p, &first, &second))
            return false;
        c->length = p.len > 0 ? first : 1;
        return true;
    case FR_MY_DIGITS:
        if (p.len > 0 && !two_numbers(p, &first, &second))
            return false;
        c->scale = (uint8_t)(first > 6 && c->type != FR_MY_TIME ? 0 : first); /* timestamp(14) */
        return c->scale <= 6;
    default:
        if (p.len > 0 && !two_numbers(p, &first, &second))
            return false;
        c->precision = (uint8_t)(p.len > 0 ? first : 10);
        c->scale = (uint8_t)second;
        return first <= 65 && second <= 38;
    }
}

/* UNSIGNED and the like; comments are old formats or COMPRESSED, which the log says better. */
static void set_words(fr_my_column *c, scan *s)
{
    while (s->at < s->in.len) {
        fr_str w = word(s);
        if (w.len == 0 || w.ptr[0] == '/')
            break;
        if (word_is(w, "unsigned") || word_is(w, "zerofill"))
            c->is_unsigned = true;
    }
}

static bool contains_word(fr_str extra, const char *what)
{
    return extra.len > 0 && memmem(extra.ptr, extra.len, what, strlen(what)) != NULL;
}

static void set_extra(fr_my_column *c, const fr_my_schema_row *row)
{
    fr_str e = row->extra;
    c->is_virtual = contains_word(e, "VIRTUAL"); /* both "VIRTUAL" and "VIRTUAL GENERATED" */
    c->generated = c->is_virtual || contains_word(e, "STORED GENERATED") ||
                   contains_word(e, "PERSISTENT") || row->generation.len > 0;
    c->invisible = contains_word(e, "INVISIBLE");
}

/* --- defaults --- */

/* MariaDB's is an expression: 'it''s', 5, NULL, current_timestamp(). */
static bool literal(const fr_my_schema_row *row, bool mariadb, fr_arena *a, fr_str *out)
{
    fr_str d = row->fallback;
    size_t at = 1;
    fr_buf b = {.arena = a};
    if (d.ptr == NULL || contains_word(row->extra, "DEFAULT_GENERATED") || word_is(d, "NULL"))
        return false;
    if (!mariadb) {
        *out = d;
        return !(d.len >= 17 && strncasecmp(d.ptr, "CURRENT_TIMESTAMP", 17) == 0);
    }
    if (d.len > 0 && d.ptr[0] == '\'') {
        fr_buf_room(&b, 1);
        *out = (fr_str){NULL, 0};
        if (!label(d, &at, &b) || at != d.len)
            return false;
        *out = fr_buf_view(&b);
        return true;
    }
    for (size_t i = 0; i < d.len; i++)
        if (strchr("0123456789.-+eE", d.ptr[i]) == NULL || d.ptr[i] == '\0')
            return false;
    *out = d;
    return d.len > 0;
}

static void put_code_points(fr_buf *b, fr_str bytes)
{
    fr_buf_u8(b, '"');
    for (size_t i = 0; i < bytes.len; i++)
        fr_buf_printf(b, "\\u%04x", (unsigned char)bytes.ptr[i]);
    fr_buf_u8(b, '"');
}

static void put_default(fr_buf *b, const fr_value *v, const fr_my_column *c)
{
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_text(b, v->boolean ? "true" : "false");
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        fr_my_float_render(v->real, c->type == FR_MY_FLOAT, b);
        break;
    case FR_DECIMAL:
        put_code_points(b, v->bytes);
        break;
    case FR_TEXT:
    case FR_UUID:
        fr_buf_json(b, v->bytes);
        break;
    default:
        fr_buf_printf(b, "%lld", (long long)v->integer);
    }
}

/* Only what is the same written as a default and read as a value: not bytes and bits (b'0'),
 * which information_schema spells in several ways. */
static fr_str default_json(const fr_my_column *c, fr_str text, fr_arena *a)
{
    fr_my_codec codec = {.type = c->type,
                         .digits = c->scale,
                         .is_unsigned = c->is_unsigned,
                         .zero = FR_MY_ZERO_ERROR,
                         .meta = (uint16_t)(c->precision << 8 | c->scale)};
    fr_value v = {.kind = FR_TEXT, .bytes = text};
    fr_err ignored;
    fr_buf b = {.arena = a};
    bool is_text = fr_my_type_rows[c->type].text;
    codec.kind = fr_my_kind(c, &codec.precision, &codec.scale);
    if (!is_text && (c->type == FR_MY_BIT || codec.kind == FR_BYTES || codec.kind == FR_JSON))
        return (fr_str){NULL, 0};
    if (is_text ? !fr_utf8_valid(text) : fr_my_decode_text(&codec, a, text, &v, &ignored) != FR_OK)
        return (fr_str){NULL, 0};
    put_default(&b, &v, c);
    return fr_buf_view(&b);
}

fr_rc fr_my_column_from_schema(const fr_my_schema_row *row, bool mariadb, fr_arena *a,
                               fr_my_column *out, fr_err *err)
{
    scan s = {row->column_type, 0};
    fr_my_column c = {.wire = FR_MY_WIRE_UNKNOWN};
    fr_str p, text;
    c.type = find_type(word(&s));
    if (c.type == FR_MY_UNKNOWN || !parameters(&s, &p) || !set_parameters(&c, p, a))
        return unknown(row, err);
    set_words(&c, &s);
    set_extra(&c, row);
    c.name = fr_arena_str(a, row->name);
    c.column_type = fr_arena_str(a, row->column_type);
    c.doc = fr_arena_str(a, row->comment);
    c.nullable = word_is(row->is_nullable, "YES");
    c.charset = row->charset.len > 0 ? fr_my_charset_by_name(row->charset) : NULL;
    if (row->charset.len > 0 && c.charset == NULL) {
        fr_fail(err, FR_ERR_SCHEMA, "column %.*s has the character set %.*s, which we do not know",
                FR_ARG(row->name), FR_ARG(row->charset));
        fr_fail_code(err, "my.charset_unsupported");
        return fr_fail_hint(err,
                            "leave the column out (columns.exclude: [%.*s]), or convert it: ALTER "
                            "TABLE ... MODIFY ... CHARACTER SET utf8mb4; and please report the "
                            "server's version",
                            FR_ARG(row->name));
    }
    doubt_labels(&c, a);
    if (row->srs_id.len > 0)
        c.srid = (uint32_t)strtoul(fr_arena_cstr(a, row->srs_id), NULL, 10);
    if (!c.generated && literal(row, mariadb, a, &text))
        c.fallback = default_json(&c, text, a);
    *out = c;
    return FR_OK;
}
