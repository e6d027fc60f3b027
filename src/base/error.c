#define FR_ERROR_C
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

fr_rc fr_fail(fr_err *err, fr_err_kind kind, const char *fmt, ...)
{
    va_list ap;
    char text[sizeof(err->text)]; /* arguments may point into *err */
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err->kind = kind;
    err->native = 0;
    err->sqlstate[0] = err->code[0] = err->hint[0] = '\0';
    memcpy(err->text, text, sizeof(text));
    return FR_FAIL;
}

fr_rc fr_fail_in(fr_err *err, const char *fmt, ...)
{
    va_list ap;
    char context[256], text[sizeof(err->text)];
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    memcpy(text, err->text, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    int room = (int)(sizeof(text) - strlen(context) - 3);
    snprintf(err->text, sizeof(err->text), "%s: %.*s", context, room, text);
    return FR_FAIL;
}

fr_rc fr_fail_code(fr_err *err, const char *code)
{
    snprintf(err->code, sizeof(err->code), "%s", code);
    return FR_FAIL;
}

fr_rc fr_fail_hint(fr_err *err, const char *fmt, ...)
{
    va_list ap;
    char hint[sizeof(err->hint)];
    va_start(ap, fmt);
    vsnprintf(hint, sizeof(hint), fmt, ap);
    va_end(ap);
    memcpy(err->hint, hint, sizeof(hint));
    return FR_FAIL;
}

static const struct {
    const char *name;
    fr_retry retry;
    int exit_code;
    const char *hint;
} kinds[] = {
#define X(name, retry, exit_code, hint) {#name, FR_RETRY_##retry, exit_code, hint},
    FR_ERR_KINDS(X)
#undef X
};

const char *fr_err_kind_name(fr_err_kind kind)
{
    return kind < FR_ERR_KIND_COUNT ? kinds[kind].name : "BUG";
}

fr_retry fr_err_retry(fr_err_kind kind)
{
    return kind < FR_ERR_KIND_COUNT ? kinds[kind].retry : FR_RETRY_NEVER;
}

int fr_err_exit(fr_err_kind kind)
{
    return kind < FR_ERR_KIND_COUNT ? kinds[kind].exit_code : 1;
}

const char *fr_err_hint(const fr_err *err)
{
    if (err->hint[0] != '\0')
        return err->hint;
    return err->kind < FR_ERR_KIND_COUNT ? kinds[err->kind].hint : kinds[0].hint;
}
