#include "transform/result.h"
#include "base/bytes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits of a double that are surely meant: those of a decimal that was bound as one. What the
 * scale would round away stays in the text, as 1e-05, which no decimal takes. */
static fr_str real_digits(fr_arena *a, double v, int scale)
{
    char text[40], plain[400];
    snprintf(text, sizeof text, "%.15g", v);
    if (strchr(text, 'e') == NULL) /* or it is inf */
        return fr_arena_copy(a, text, strlen(text));
    int len = snprintf(plain, sizeof plain, "%.*f", scale, v);
    bool whole = len > 0 && (size_t)len < sizeof plain &&
                 fabs(strtod(plain, NULL) - v) <= (fabs(v) < 1 ? fabs(v) * 1e-15 : 0);
    return whole ? fr_arena_copy(a, plain, (size_t)len) : fr_arena_copy(a, text, strlen(text));
}

static bool to_decimal(fr_arena *a, const fr_field_type *f, const fr_result *x, fr_value *v)
{
    fr_err ignored;
    fr_str text = x->bytes;
    if (x->kind == FR_RESULT_INTEGER)
        text = fr_arena_printf(a, "%lld", (long long)x->integer);
    else if (x->kind == FR_RESULT_REAL)
        text = real_digits(a, x->real, f->scale);
    return x->kind != FR_RESULT_BLOB &&
           fr_decimal_from_text(a, text, f->precision, f->scale, &v->bytes, &ignored) == FR_OK;
}

static bool to_integer(const fr_field_type *f, const fr_result *x, fr_value *v)
{
    const double exact = 9007199254740992.0; /* 2^53 */
    bool whole = x->kind == FR_RESULT_REAL && fabs(x->real) <= exact && x->real == trunc(x->real);
    if (x->kind != FR_RESULT_INTEGER && !whole)
        return false;
    v->integer = whole ? (int64_t)x->real : x->integer;
    return f->kind == FR_INT64 || (v->integer >= INT32_MIN && v->integer <= INT32_MAX);
}

static bool to_real(const fr_result *x, fr_value *v)
{
    const int64_t exact = INT64_C(1) << 53;
    v->real = x->kind == FR_RESULT_REAL ? x->real : (double)x->integer;
    return x->kind == FR_RESULT_REAL ||
           (x->kind == FR_RESULT_INTEGER && x->integer >= -exact && x->integer <= exact);
}

bool fr_result_value(fr_arena *a, const fr_field_type *f, const fr_result *x, fr_value *v)
{
    *v = (fr_value){.kind = x->kind == FR_RESULT_NULL ? FR_NULL : f->kind};
    if (x->kind == FR_RESULT_NULL)
        return true;
    switch (f->kind) {
    case FR_BOOL:
        v->boolean = x->integer == 1;
        return x->kind == FR_RESULT_INTEGER && (x->integer == 0 || x->integer == 1);
    case FR_INT32:
    case FR_INT64:
        return to_integer(f, x, v);
    case FR_FLOAT64:
        return to_real(x, v);
    case FR_DECIMAL:
        return to_decimal(a, f, x, v);
    case FR_TEXT:
        if (x->kind != FR_RESULT_TEXT || !fr_utf8_valid(x->bytes))
            return false;
        break;
    default:
        if (x->kind != FR_RESULT_BLOB)
            return false;
    }
    v->bytes = fr_arena_copy(a, x->bytes.ptr, x->bytes.len);
    return true;
}
