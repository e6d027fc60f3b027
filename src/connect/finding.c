#include "connect/finding.h"
#include "base/bytes.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

fr_finding *fr_findings_add(fr_findings *f, fr_severity severity, const char *code, const char *fmt,
                            ...)
{
    if (f->count == f->cap) {
        size_t cap = f->cap == 0 ? 16 : f->cap * 2;
        fr_finding *items = fr_arena_alloc(f->arena, cap * sizeof(*items));
        if (f->count > 0)
            memcpy(items, f->items, f->count * sizeof(*items));
        f->items = items;
        f->cap = cap;
    }
    fr_finding *finding = &f->items[f->count++];
    *finding = (fr_finding){.severity = severity, .code = code};
    va_list ap;
    va_start(ap, fmt);
    finding->text = fr_arena_vprintf(f->arena, fmt, ap);
    va_end(ap);
    return finding;
}

struct fr_said {
    fr_map *last; /* about -> char *, the findings as lines */
};

fr_said *fr_said_new(void)
{
    fr_said *s = fr_malloc(sizeof(*s));
    s->last = fr_map_new();
    return s;
}

void fr_said_free(fr_said *s)
{
    if (s == NULL)
        return;
    fr_map_free(s->last, free);
    free(s);
}

static const char *line_of(fr_arena *a, const fr_finding *f)
{
    return fr_arena_cstr(a, fr_arena_printf(a, "\n%s %.*s\n", f->code, FR_ARG(f->text)));
}

void fr_said_news(fr_said *s, fr_str about, const fr_findings *f, bool *news)
{
    fr_arena *a = fr_arena_new(0);
    const char *last = s == NULL ? NULL : fr_map_get(s->last, about);
    fr_buf now = {0};
    for (size_t i = 0; i < f->count; i++) {
        const char *line = line_of(a, &f->items[i]);
        news[i] = last == NULL || strstr(last, line) == NULL;
        fr_buf_text(&now, line);
    }
    if (s != NULL) {
        char *kept = fr_malloc(now.len + 1);
        if (now.len > 0)
            memcpy(kept, now.ptr, now.len);
        kept[now.len] = 0;
        free(fr_map_set(s->last, about, kept));
    }
    fr_buf_free(&now);
    fr_arena_free(a);
}
