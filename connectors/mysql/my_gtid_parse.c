/* Ids and sets from text and from MySQL's binary forms. */
#include "connectors/mysql/my_gtid_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_MAX = 32 };
#define NUMBER_MAX ((uint64_t)INT64_MAX) /* MySQL's last is one below */

static fr_rc wrong(fr_err *err, fr_str text, size_t at, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "not a GTID set, at character %zu: %s (it has %zu)", at + 1, what,
            text.len);
    return fr_fail_code(err, "my.gtid");
}

typedef struct scan {
    fr_str in;
    size_t at;
} scan;

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void spaces(scan *s)
{
    while (s->at < s->in.len && is_space(s->in.ptr[s->at]))
        s->at++;
}

static bool eat(scan *s, char c)
{
    spaces(s);
    if (s->at >= s->in.len || s->in.ptr[s->at] != c)
        return false;
    s->at++;
    spaces(s);
    return true;
}

static bool number(scan *s, uint64_t max, uint64_t *out)
{
    size_t start = s->at;
    uint64_t v = 0;
    while (s->at < s->in.len && s->in.ptr[s->at] >= '0' && s->in.ptr[s->at] <= '9') {
        unsigned digit = (unsigned)(s->in.ptr[s->at++] - '0');
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v) || v > max)
            return false;
    }
    *out = v;
    return s->at > start;
}

/* With or without dashes, as the server takes it. */
static bool uuid(scan *s, uint8_t out[16])
{
    for (size_t i = 0; i < 16; i++) {
        if (s->at < s->in.len && s->in.ptr[s->at] == '-' && (i == 4 || i == 6 || i == 8 || i == 10))
            s->at++;
        if (s->in.len - s->at < 2)
            return false;
        int high = fr_hex_digit(s->in.ptr[s->at]), low = fr_hex_digit(s->in.ptr[s->at + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        s->at += 2;
    }
    return true;
}

static bool tag_start(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool tag(scan *s, char out[TAG_MAX + 1])
{
    size_t n = 0;
    while (s->at < s->in.len && n < TAG_MAX) {
        char c = s->in.ptr[s->at];
        if (!tag_start(c) && !(c >= '0' && c <= '9'))
            break;
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        s->at++;
    }
    out[n] = '\0';
    return n > 0 && (s->at >= s->in.len || !tag_start(s->in.ptr[s->at]));
}

/* --- MariaDB: 0-1-270,7-3-12 --- */

static bool mariadb_id(scan *s, fr_gtid *out)
{
    uint64_t domain, server;
    *out = (fr_gtid){.family = FR_GTID_MARIADB};
    if (!number(s, UINT32_MAX, &domain) || !eat(s, '-') || !number(s, UINT32_MAX, &server) ||
        !eat(s, '-') || !number(s, UINT64_MAX, &out->number))
        return false;
    out->domain = (uint32_t)domain;
    out->server = (uint32_t)server;
    return true;
}

static fr_rc mariadb_set(scan *s, fr_gtids *set, fr_err *err)
{
    fr_gtid g;
    do {
        spaces(s);
        if (!mariadb_id(s, &g))
            return wrong(err, s->in, s->at, "domain-server-sequence is expected");
        if (fr_gtids_contains(set, &(fr_gtid){.family = g.family, .domain = g.domain}))
            return wrong(err, s->in, s->at, "a domain is there twice");
        fr_gtids_add(set, &g);
    } while (eat(s, ','));
    return FR_OK;
}

/* --- MySQL: uuid:1-5:7:tag:1-3,uuid... --- */

static bool spans(scan *s, fr_gtids *set, const uint8_t *u, const char *t)
{
    do {
        uint64_t first, last;
        if (!number(s, NUMBER_MAX - 1, &first) || first == 0)
            return false;
        last = first;
        if (eat(s, '-') && !number(s, NUMBER_MAX - 1, &last))
            return false;
        if (last >= first) /* the server takes 5-3 for nothing */
            fr_gtids_add_span(set, u, t, first, last + 1);
        spaces(s);
        if (s->at + 1 < s->in.len && s->in.ptr[s->at] == ':') { /* a tag, or more numbers */
            scan ahead = {s->in, s->at + 1};
            spaces(&ahead);
            if (ahead.at < ahead.in.len && tag_start(ahead.in.ptr[ahead.at]))
                return true;
        }
    } while (eat(s, ':'));
    return true;
}

static fr_rc mysql_set(scan *s, fr_gtids *set, fr_err *err)
{
    do {
        uint8_t u[16];
        char t[TAG_MAX + 1] = "";
        spaces(s);
        if (s->at == s->in.len) /* a comma at the end is fine */
            break;
        if (!uuid(s, u))
            return wrong(err, s->in, s->at, "a server's uuid is expected");
        while (eat(s, ':')) {
            if (s->at < s->in.len && tag_start(s->in.ptr[s->at]) && (!tag(s, t) || !eat(s, ':')))
                return wrong(err, s->in, s->at, "a tag of at most 32 characters is expected");
            if (!spans(s, set, u, t))
                return wrong(err, s->in, s->at, "a transaction number or a range is expected");
        }
    } while (eat(s, ','));
    return FR_OK;
}

fr_rc fr_gtids_parse(fr_gtid_family family, fr_str text, fr_gtids **out, fr_err *err)
{
    scan s = {text, 0};
    fr_gtids *set = fr_gtids_new(family);
    fr_rc rc = FR_OK;
    spaces(&s);
    if (s.at < text.len && family == FR_GTID_MARIADB)
        rc = mariadb_set(&s, set, err);
    else if (s.at < text.len && family == FR_GTID_MYSQL)
        rc = mysql_set(&s, set, err);
    spaces(&s);
    if (rc == FR_OK && s.at < text.len)
        rc = wrong(err, text, s.at, "it should end here");
    if (rc == FR_FAIL)
        fr_gtids_free(set);
    else
        *out = set;
    return rc;
}

fr_rc fr_gtid_parse(fr_gtid_family family, fr_str text, fr_gtid *out, fr_err *err)
{
    scan s = {text, 0};
    fr_gtid g = {.family = family};
    bool ok = false;
    if (family == FR_GTID_MARIADB) {
        ok = mariadb_id(&s, &g);
    } else if (family == FR_GTID_MYSQL) {
        ok = uuid(&s, g.uuid) && eat(&s, ':');
        if (ok && s.at < text.len && tag_start(text.ptr[s.at]))
            ok = tag(&s, g.tag) && eat(&s, ':');
        ok = ok && number(&s, NUMBER_MAX - 1, &g.number) && g.number > 0;
    }
    if (!ok || s.at != text.len)
        return wrong(err, text, s.at, "one id is expected");
    *out = g;
    return FR_OK;
}

/* --- binary: a count of uuids, then each with a count of [first, end); since 8.4 with tags
 * when there are any: the count has format 1 in its first and last byte, and each uuid is
 * followed by its tag (Gtid_set::encode of the server's rpl_gtid_set.cc) --- */

static bool any_tag(const fr_gtids *s)
{
    for (size_t i = 0; i < s->group_count; i++)
        if (s->groups[i].tag[0] != '\0')
            return true;
    return false;
}

static void put_le64(fr_buf *b, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        fr_buf_u8(b, (uint8_t)(v >> (8 * i)));
}

void fr_gtids_binary(const fr_gtids *s, fr_buf *b)
{
    bool tagged = any_tag(s);
    uint64_t count = s->group_count;
    put_le64(b, tagged ? UINT64_C(1) << 56 | count << 8 | 1 : count);
    for (size_t i = 0; i < s->group_count; i++) {
        const fr_gtid_group *g = &s->groups[i];
        fr_buf_put(b, g->uuid, 16);
        if (tagged) { /* the library's variable-length integer: below 64, one byte */
            fr_buf_u8(b, (uint8_t)(strlen(g->tag) << 1));
            fr_buf_text(b, g->tag);
        }
        put_le64(b, g->span_count);
        for (size_t k = 0; k < g->span_count; k++) {
            put_le64(b, g->spans[k].first);
            put_le64(b, g->spans[k].end);
        }
    }
}

static bool read_tag(fr_in *in, char out[TAG_MAX + 1])
{
    uint8_t len = fr_in_u8(in);
    if ((len & 1) != 0 || len >> 1 > TAG_MAX)
        return false;
    fr_str t = fr_in_take(in, len >> 1);
    scan s = {t, 0};
    out[0] = '\0';
    return !in->bad && (t.len == 0 || (tag(&s, out) && s.at == t.len));
}

static bool read_group(fr_in *in, bool tagged, fr_gtids *set)
{
    fr_str u = fr_in_take(in, 16);
    char t[TAG_MAX + 1] = "";
    if (tagged && !read_tag(in, t))
        return false;
    uint64_t count = fr_in_u64le(in), last = 0;
    if (in->bad || count > fr_in_left(in) / 16)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t first = fr_in_u64le(in), end = fr_in_u64le(in);
        if (first <= last || end <= first || end > NUMBER_MAX)
            return false;
        fr_gtids_add_span(set, (const uint8_t *)u.ptr, t, first, end);
        last = end;
    }
    return true;
}

fr_rc fr_gtids_from_binary(fr_str bytes, fr_gtids **out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    uint64_t count = fr_in_u64le(&in);
    bool tagged = count >> 56 != 0, ok = count >> 56 <= 1 && !in.bad;
    if (tagged)
        count = count >> 8 & UINT64_C(0xffffffffffff);
    fr_gtids *set = fr_gtids_new(FR_GTID_MYSQL);
    for (uint64_t i = 0; ok && i < count; i++)
        ok = read_group(&in, tagged, set);
    if (!ok || fr_in_left(&in) != 0) {
        fr_gtids_free(set);
        fr_fail(err, FR_ERR_DATA, "a GTID set in binary form is malformed");
        return fr_fail_code(err, "my.gtid");
    }
    *out = set;
    return FR_OK;
}
