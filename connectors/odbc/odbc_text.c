#include "connectors/odbc/odbc_text.h"
#include "base/bytes.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define UTF16 "UTF-16LE"
#else
#define UTF16 "UTF-16BE"
#endif

void fr_odbc_text_open(fr_odbc_text *t)
{
    t->to_utf8 = iconv_open("UTF-8", UTF16);
    t->to_utf16 = iconv_open(UTF16, "UTF-8");
    /* The C library has both built in: without memory only. */
    if (t->to_utf8 == (iconv_t)-1 || t->to_utf16 == (iconv_t)-1)
        abort();
}

void fr_odbc_text_close(fr_odbc_text *t)
{
    if (t->to_utf8 != NULL)
        iconv_close(t->to_utf8);
    if (t->to_utf16 != NULL)
        iconv_close(t->to_utf16);
    *t = (fr_odbc_text){0};
}

/* out: room for what `bytes` can become at most. */
static bool convert(iconv_t cd, const void *ptr, size_t bytes, char *out, size_t room, size_t *len)
{
    char *from = (char *)(uintptr_t)ptr, *to = out;
    size_t left = room;
    (void)iconv(cd, NULL, NULL, NULL, NULL);
    if (iconv(cd, &from, &bytes, &to, &left) == (size_t)-1)
        return false;
    *len = room - left;
    return true;
}

fr_rc fr_odbc_from_utf16(fr_odbc_text *t, fr_arena *a, const void *ptr, size_t bytes, fr_str *out,
                         fr_err *err)
{
    size_t room = bytes / 2 * 3 + 1, len = 0;
    char *text = fr_arena_raw(a, room);
    if (bytes > 0 && !convert(t->to_utf8, ptr, bytes, text, room, &len)) {
        fr_fail(err, FR_ERR_DATA, "it is no UTF-16: a surrogate without its other half");
        return fr_fail_code(err, "odbc.value.text");
    }
    fr_arena_shrink(a, text, room, len);
    *out = (fr_str){text, len};
    return FR_OK;
}

fr_rc fr_odbc_to_utf16(fr_odbc_text *t, fr_arena *a, fr_str s, uint16_t **out, size_t *units_out,
                       fr_err *err)
{
    size_t room = 2 * s.len + sizeof(uint16_t), len = 0;
    uint16_t *units = fr_arena_raw(a, room);
    if (s.len > 0 && !convert(t->to_utf16, s.ptr, s.len, (char *)units, room - 2, &len)) {
        fr_fail(err, FR_ERR_DATA, "it is no UTF-8");
        return fr_fail_code(err, "odbc.value.text");
    }
    units[len / 2] = 0;
    *out = units;
    *units_out = len / 2;
    return FR_OK;
}

/* ---- connection strings ---- */

static const char *past_blanks(const char *at)
{
    while (isspace((unsigned char)*at) || *at == ';')
        at++;
    return at;
}

/* Past the value and its semicolon; NULL: a brace is not closed. */
static const char *past_value(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    if (*at != '{')
        return at + strcspn(at, ";");
    for (at++; *at != '\0'; at++) {
        if (at[0] == '}' && at[1] == '}')
            at++;
        else if (at[0] == '}')
            return at + strcspn(at, ";");
    }
    return NULL;
}

static bool is_password(const char *word, size_t len)
{
    static const char *const names[] = {"PWD", "PASSWORD", "PASSWD"};
    while (len > 0 && isspace((unsigned char)word[len - 1]))
        len--;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], word, len) == 0)
            return true;
    return false;
}

static fr_rc check(const char *dsn, fr_err *err)
{
    const char *at = past_blanks(dsn);
    bool bad = *at == '\0';
    while (*at != '\0' && !bad) {
        size_t len = strcspn(at, "=;{}");
        bad = len == 0 || at[len] != '=';
        if (!bad && is_password(at, len)) {
            fr_fail(err, FR_ERR_CONFIG, "a password stands in the dsn");
            fr_fail_code(err, "odbc.dsn_password");
            return fr_fail_hint(err, "take it out, and write password: ${cred:NAME}");
        }
        const char *next = bad ? NULL : past_value(at + len + 1);
        bad = next == NULL;
        at = bad ? at : past_blanks(next);
    }
    if (!bad)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "dsn is no connection string");
    fr_fail_code(err, "odbc.dsn");
    return fr_fail_hint(err, "write KEYWORD=value, with semicolons between: "
                             "Driver=FreeTDS;Server=db.example;Port=1433;Database=erp;UID=reader; "
                             "or DSN=name, as odbc.ini has it");
}

/* In braces all but a closing one, which is doubled, is taken as it is. */
fr_rc fr_odbc_connection_string(fr_arena *a, const char *dsn, const char *password, fr_str *out,
                                fr_err *err)
{
    fr_buf b = {.arena = a};
    FR_TRY(check(dsn, err));
    fr_buf_text(&b, dsn);
    if (password != NULL && password[0] != '\0') {
        fr_buf_text(&b, b.len > 0 && b.ptr[b.len - 1] == ';' ? "PWD={" : ";PWD={");
        for (const char *at = password; *at != '\0'; at++)
            fr_buf_text(&b, *at == '}' ? "}}" : (const char[]){*at, '\0'});
        fr_buf_text(&b, "};");
    }
    *out = fr_buf_view(&b);
    return FR_OK;
}
