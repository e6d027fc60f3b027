#include "connect/finding.h"
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
