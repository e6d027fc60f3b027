#include "transform/dec_cmp.h"

#include <string.h>

typedef struct decimal { /* without zeros that mean nothing */
    bool negative;
    fr_str whole, fraction;
} decimal;

static size_t digits_at(fr_str s, size_t from)
{
    size_t n = from;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n - from;
}

static bool read_decimal(fr_str s, decimal *d)
{
    size_t at = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
    d->negative = at == 1 && s.ptr[0] == '-';
    d->whole = (fr_str){s.ptr + at, digits_at(s, at)};
    at += d->whole.len;
    d->fraction = (fr_str){s.ptr + at, 0};
    if (at < s.len && s.ptr[at] == '.') {
        d->fraction = (fr_str){s.ptr + at + 1, digits_at(s, at + 1)};
        at += 1 + d->fraction.len;
    }
    bool good = at == s.len && d->whole.len + d->fraction.len > 0;
    while (d->whole.len > 0 && d->whole.ptr[0] == '0')
        d->whole = (fr_str){d->whole.ptr + 1, d->whole.len - 1};
    while (d->fraction.len > 0 && d->fraction.ptr[d->fraction.len - 1] == '0')
        d->fraction.len--;
    if (d->whole.len + d->fraction.len == 0)
        d->negative = false;
    return good;
}

static int compare_size(const decimal *x, const decimal *y)
{
    if (x->whole.len != y->whole.len)
        return x->whole.len < y->whole.len ? -1 : 1;
    int c = fr_str_cmp(x->whole, y->whole);
    return c != 0 ? c : fr_str_cmp(x->fraction, y->fraction);
}

bool fr_dec_cmp(fr_arena *a, const fr_column *c, const fr_value *v, fr_str text, int *out)
{
    decimal x, y;
    if (!read_decimal(fr_value_text(a, c, v), &x) || !read_decimal(text, &y))
        return false;
    int order = x.negative != y.negative ? (x.negative ? -1 : 1) : compare_size(&x, &y);
    if (x.negative && y.negative)
        order = -order;
    *out = order < 0 ? -1 : order > 0 ? 1 : 0;
    return true;
}
