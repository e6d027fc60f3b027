#include "connectors/mysql/my_charset.h"
#include "connectors/mysql/my_charset_tables.h"
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

static const fr_my_charset charsets[] = {
    {"utf8mb4", NULL, 4, 1},       {"utf8mb3", NULL, 3, 1},        {"latin1", "(table)", 1, 1},
    {"ascii", "(table)", 1, 1},    {"binary", NULL, 1, 1},         {"latin2", "(table)", 1, 1},
    {"latin5", "(table)", 1, 1},   {"latin7", "(table)", 1, 1},    {"dec8", "(table)", 1, 1},
    {"cp850", "(table)", 1, 1},    {"hp8", "(table)", 1, 1},       {"koi8r", "(table)", 1, 1},
    {"koi8u", "(table)", 1, 1},    {"swe7", "(table)", 1, 1},      {"hebrew", "(table)", 1, 1},
    {"tis620", "(table)", 1, 1},   {"greek", "(table)", 1, 1},     {"cp1250", "(table)", 1, 1},
    {"cp1251", "(table)", 1, 1},   {"cp1256", "(table)", 1, 1},    {"cp1257", "(table)", 1, 1},
    {"armscii8", "(table)", 1, 1}, {"cp866", "(table)", 1, 1},     {"cp852", "(table)", 1, 1},
    {"keybcs2", "(table)", 1, 1},  {"macce", "(table)", 1, 1},     {"macroman", "(table)", 1, 1},
    {"geostd8", "(table)", 1, 1},  {"big5", "BIG5", 2, 1},         {"gb2312", "EUC-CN", 2, 1},
    {"gbk", "GBK", 2, 1},          {"gb18030", "GB18030", 4, 1},   {"euckr", "UHC", 2, 1},
    {"ujis", "EUC-JP-MS", 3, 1},   {"eucjpms", "EUC-JP-MS", 3, 1}, {"sjis", "SHIFT_JIS", 2, 1},
    {"cp932", "CP932", 2, 1},      {"ucs2", "UCS-2BE", 2, 2},      {"utf16", "UTF-16BE", 4, 2},
    {"utf16le", "UTF-16LE", 4, 2}, {"utf32", "UTF-32BE", 4, 4},
};

/* The collations' numbers as runs: first, last, character set. MariaDB's of the NOPAD kind
 * are the same plus 1024. The servers' own lists are the source: information_schema.COLLATIONS
 * of MySQL 5.5 and 9.7, MariaDB 10.11 and 11.8. */
typedef struct run {
    uint16_t first, last;
    const char *charset;
} run;

static const run runs[] = {
    {1, 1, "big5"},        {2, 2, "latin2"},      {3, 3, "dec8"},        {4, 4, "cp850"},
    {5, 5, "latin1"},      {6, 6, "hp8"},         {7, 7, "koi8r"},       {8, 8, "latin1"},
    {9, 9, "latin2"},      {10, 10, "swe7"},      {11, 11, "ascii"},     {12, 12, "ujis"},
    {13, 13, "sjis"},      {14, 14, "cp1251"},    {15, 15, "latin1"},    {16, 16, "hebrew"},
    {18, 18, "tis620"},    {19, 19, "euckr"},     {20, 20, "latin7"},    {21, 21, "latin2"},
    {22, 22, "koi8u"},     {23, 23, "cp1251"},    {24, 24, "gb2312"},    {25, 25, "greek"},
    {26, 26, "cp1250"},    {27, 27, "latin2"},    {28, 28, "gbk"},       {29, 29, "cp1257"},
    {30, 30, "latin5"},    {31, 31, "latin1"},    {32, 32, "armscii8"},  {33, 33, "utf8mb3"},
    {34, 34, "cp1250"},    {35, 35, "ucs2"},      {36, 36, "cp866"},     {37, 37, "keybcs2"},
    {38, 38, "macce"},     {39, 39, "macroman"},  {40, 40, "cp852"},     {41, 42, "latin7"},
    {43, 43, "macce"},     {44, 44, "cp1250"},    {45, 46, "utf8mb4"},   {47, 49, "latin1"},
    {50, 52, "cp1251"},    {53, 53, "macroman"},  {54, 55, "utf16"},     {56, 56, "utf16le"},
    {57, 57, "cp1256"},    {58, 59, "cp1257"},    {60, 61, "utf32"},     {62, 62, "utf16le"},
    {63, 63, "binary"},    {64, 64, "armscii8"},  {65, 65, "ascii"},     {66, 66, "cp1250"},
    {67, 67, "cp1256"},    {68, 68, "cp866"},     {69, 69, "dec8"},      {70, 70, "greek"},
    {71, 71, "hebrew"},    {72, 72, "hp8"},       {73, 73, "keybcs2"},   {74, 74, "koi8r"},
    {75, 75, "koi8u"},     {76, 76, "utf8mb3"},   {77, 77, "latin2"},    {78, 78, "latin5"},
    {79, 79, "latin7"},    {80, 80, "cp850"},     {81, 81, "cp852"},     {82, 82, "swe7"},
    {83, 83, "utf8mb3"},   {84, 84, "big5"},      {85, 85, "euckr"},     {86, 86, "gb2312"},
    {87, 87, "gbk"},       {88, 88, "sjis"},      {89, 89, "tis620"},    {90, 90, "ucs2"},
    {91, 91, "ujis"},      {92, 93, "geostd8"},   {94, 94, "latin1"},    {95, 96, "cp932"},
    {97, 98, "eucjpms"},   {99, 99, "cp1250"},    {101, 124, "utf16"},   {128, 151, "ucs2"},
    {159, 159, "ucs2"},    {160, 183, "utf32"},   {192, 215, "utf8mb3"}, {223, 223, "utf8mb3"},
    {224, 247, "utf8mb4"}, {248, 250, "gb18030"}, {255, 323, "utf8mb4"}, {576, 578, "utf8mb3"},
    {608, 610, "utf8mb4"}, {640, 642, "ucs2"},    {672, 674, "utf16"},   {736, 738, "utf32"},
};

enum { NOPAD = 1024, UCA1400_FIRST = 2048, UCA1400_END = 4096 };

const fr_my_charset *fr_my_charset_by_name(fr_str name)
{
    if (fr_str_is(name, "utf8"))
        name = FR_STR("utf8mb3");
    for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++)
        if (fr_str_is(name, charsets[i].name))
            return &charsets[i];
    return NULL;
}

/* MariaDB 10.10 and later: 2048 + 256 * (0 utf8mb3, 1 utf8mb4, 2 ucs2, 3 utf16, 4 utf32) + ... */
static const char *uca1400(uint32_t collation)
{
    static const char *const names[] = {"utf8mb3", "utf8mb4", "ucs2", "utf16", "utf32"};
    uint32_t i = (collation - UCA1400_FIRST) / 256;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : NULL;
}

const fr_my_charset *fr_my_charset_by_collation(uint32_t collation)
{
    if (collation >= UCA1400_FIRST && collation < UCA1400_END) {
        const char *name = uca1400(collation);
        return name == NULL ? NULL : fr_my_charset_by_name(fr_cstr(name));
    }
    if (collation > NOPAD && collation < UCA1400_FIRST)
        collation -= NOPAD;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        if (collation >= runs[i].first && collation <= runs[i].last)
            return fr_my_charset_by_name(fr_cstr(runs[i].charset));
    return NULL;
}

/* --- conversion --- */

struct fr_my_convert {
    const fr_my_charset *charset;
    iconv_t iconv;                /* (iconv_t)-1: none */
    const uint16_t *high;         /* a single-byte set */
    bool swe7, gb18030, one_kana; /* one_kana: bytes A1 to DF are characters of their own */
    const fr_my_overrides *overrides;
};

static void find_tables(fr_my_convert *c)
{
    for (const fr_my_single *s = fr_my_singles; s->name != NULL; s++)
        if (strcmp(s->name, c->charset->name) == 0)
            c->high = s->high;
    for (const fr_my_overrides *o = fr_my_multi; o->name != NULL; o++)
        if (strcmp(o->name, c->charset->name) == 0)
            c->overrides = o;
    c->swe7 = strcmp(c->charset->name, "swe7") == 0;
    c->gb18030 = strcmp(c->charset->name, "gb18030") == 0;
    c->one_kana = strcmp(c->charset->name, "sjis") == 0;
}

fr_rc fr_my_convert_open(const fr_my_charset *charset, fr_my_convert **out, fr_err *err)
{
    fr_my_convert *c = fr_malloc(sizeof(*c));
    c->charset = charset;
    c->iconv = (iconv_t)-1;
    find_tables(c);
    if (charset->iconv != NULL && c->high == NULL) {
        c->iconv = iconv_open("UTF-8", charset->iconv);
        if (c->iconv == (iconv_t)-1) {
            free(c);
            fr_fail(err, FR_ERR_CONFIG, "this machine's iconv cannot convert %s (%s)",
                    charset->name, charset->iconv);
            fr_fail_code(err, "my.charset_unsupported");
            return fr_fail_hint(err, "install glibc's character set modules: apt-get install "
                                     "libc-bin libc6 (they are in gconv/), or ship them in the "
                                     "container image");
        }
    }
    *out = c;
    return FR_OK;
}

void fr_my_convert_close(fr_my_convert *c)
{
    if (c == NULL)
        return;
    if (c->iconv != (iconv_t)-1)
        iconv_close(c->iconv);
    free(c);
}

static fr_rc broken(const fr_my_convert *c, size_t at, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "the text is not valid %s at byte %zu", c->charset->name, at);
    return fr_fail_code(err, "my.value.charset");
}

static size_t ascii_length(fr_str in)
{
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= in.len; i += 8) {
        memcpy(&word, in.ptr + i, 8);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (i < in.len && (in.ptr[i] & 0x80) == 0)
        i++;
    return i;
}

/* Eight bytes at a time, the last eight too, which may overlap those before. */
static bool is_ascii(fr_str in)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t word = 0;
    if (in.len < sizeof(word)) {
        for (size_t i = 0; i < in.len; i++)
            word |= (uint8_t)in.ptr[i];
        return (word & high) == 0;
    }
    for (size_t i = 0; i + sizeof(word) <= in.len; i += sizeof(word)) {
        memcpy(&word, in.ptr + i, sizeof(word));
        if ((word & high) != 0)
            return false;
    }
    memcpy(&word, in.ptr + in.len - sizeof(word), sizeof(word));
    return (word & high) == 0;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t u)
{
    if (u < 0x80) {
        *to++ = (uint8_t)u;
    } else if (u < 0x800) {
        *to++ = (uint8_t)(0xc0 | u >> 6);
        *to++ = (uint8_t)(0x80 | (u & 0x3f));
    } else if (u < 0x10000) {
        *to++ = (uint8_t)(0xe0 | u >> 12);
        *to++ = (uint8_t)(0x80 | ((u >> 6) & 0x3f));
        *to++ = (uint8_t)(0x80 | (u & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | u >> 18);
        *to++ = (uint8_t)(0x80 | ((u >> 12) & 0x3f));
        *to++ = (uint8_t)(0x80 | ((u >> 6) & 0x3f));
        *to++ = (uint8_t)(0x80 | (u & 0x3f));
    }
    return to;
}

/* A byte is at most three in UTF-8. */
static fr_rc by_table(fr_my_convert *c, fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    size_t room = in.len * 3;
    uint8_t *start = fr_arena_raw(a, room + 1), *to = start;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t b = (uint8_t)in.ptr[i];
        uint32_t u = b >= 0x80 ? c->high[b - 0x80] : c->swe7 ? fr_my_swe7_low[b] : b;
        if (u == 0 && b != 0)
            return broken(c, i, err);
        to = put_utf8(to, u);
    }
    fr_arena_shrink(a, start, room + 1, (size_t)(to - start));
    *out = (fr_str){(const char *)start, (size_t)(to - start)};
    return FR_OK;
}

/* All of in; to has room for three times as much (no character set of ours needs more). */
static fr_rc run_iconv(fr_my_convert *c, fr_str in, size_t at, uint8_t **to, fr_err *err)
{
    char *from = (char *)(uintptr_t)in.ptr, *target = (char *)*to;
    size_t left = in.len, room = in.len * 3 + 4;
    iconv(c->iconv, NULL, NULL, NULL, NULL);
    if (in.len > 0 && iconv(c->iconv, &from, &left, &target, &room) != 0)
        return broken(c, at + in.len - left, err);
    if (iconv(c->iconv, NULL, NULL, &target, &room) != 0) /* what it held back */
        return broken(c, at + in.len, err);
    *to = (uint8_t *)target;
    return FR_OK;
}

static size_t char_length(const fr_my_convert *c, const uint8_t *p, size_t left)
{
    size_t n = 2;
    if (*p < 0x80 || (c->one_kana && *p >= 0xa1 && *p <= 0xdf))
        n = 1;
    else if (c->gb18030 && left > 1 && p[1] >= 0x30 && p[1] <= 0x39)
        n = 4;
    else if (c->charset->max_length == 3 && *p == 0x8f)
        n = 3;
    return n < left ? n : left;
}

/* 0: no override. */
static uint32_t override(const fr_my_overrides *o, uint32_t bytes)
{
    size_t low = 0, high = o->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (o->all[mid].bytes < bytes)
            low = mid + 1;
        else
            high = mid;
    }
    return low < o->count && o->all[low].bytes == bytes ? o->all[low].unicode : 0;
}

/* glibc's GB 18030 lacks what Unicode had not assigned in its time. */
static uint32_t gb18030(const uint8_t *p)
{
    if (p[0] < 0x81 || p[2] < 0x81 || p[2] > 0xfe || p[3] < 0x30 || p[3] > 0x39)
        return 0;
    uint32_t i =
        ((((uint32_t)p[0] - 0x81) * 10 + p[1] - 0x30) * 126 + p[2] - 0x81) * 10 + p[3] - 0x30;
    uint32_t supplementary = (0x90 - 0x81) * 12600;
    if (i >= supplementary)
        return i - supplementary < 0x100000 ? 0x10000 + i - supplementary : 0;
    for (const fr_my_run *r = fr_my_gb18030_runs; r->count != 0; r++)
        if (i >= r->first && i - r->first < r->count)
            return r->unicode + i - r->first;
    return 0;
}

static uint32_t own_view(const fr_my_convert *c, const uint8_t *p, size_t n)
{
    uint32_t bytes = 0;
    if (n == 1)
        return *p < 0x80 ? *p : 0;
    if (c->gb18030 && n == 4)
        return gb18030(p);
    for (size_t i = 0; i < n; i++)
        bytes = bytes << 8 | p[i];
    return override(c->overrides, bytes);
}

/* Runs of what iconv knows as the servers do, and in between what it does not. */
static fr_rc by_both(fr_my_convert *c, fr_str in, uint8_t **to, fr_err *err)
{
    const uint8_t *p = (const uint8_t *)in.ptr;
    size_t done = 0, n;
    for (size_t i = 0; i < in.len; i += n) {
        n = char_length(c, p + i, in.len - i);
        uint32_t u = own_view(c, p + i, n);
        if (u == 0 && p[i] != 0)
            continue;
        if (i > done)
            FR_TRY(run_iconv(c, (fr_str){in.ptr + done, i - done}, done, to, err));
        *to = put_utf8(*to, u);
        done = i + n;
    }
    return in.len > done ? run_iconv(c, (fr_str){in.ptr + done, in.len - done}, done, to, err)
                         : FR_OK;
}

fr_rc fr_my_to_utf8(fr_my_convert *c, fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    bool ascii = c->charset->min_length == 1 && !c->swe7 && is_ascii(in);
    if (ascii) {
        *out = in;
        return FR_OK;
    }
    if (c->high != NULL)
        return by_table(c, a, in, out, err);
    if (c->iconv == (iconv_t)-1) {
        if (!fr_utf8_valid(in)) {
            size_t at = ascii_length(in);
            return broken(c, at, err);
        }
        *out = in;
        return FR_OK;
    }
    size_t room = in.len * 3 + 4;
    uint8_t *start = fr_arena_raw(a, room), *to = start;
    FR_TRY(c->overrides != NULL ? by_both(c, in, &to, err) : run_iconv(c, in, 0, &to, err));
    fr_arena_shrink(a, start, room, (size_t)(to - start));
    *out = (fr_str){(const char *)start, (size_t)(to - start)};
    return FR_OK;
}

size_t fr_my_convert_unit(const fr_my_convert *c)
{
    return c == NULL ? 1 : c->charset->min_length;
}

const fr_my_charset *fr_my_convert_charset(const fr_my_convert *c)
{
    return c->charset;
}
