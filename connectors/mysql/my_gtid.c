#include "connectors/mysql/my_gtid.h"
#include "connectors/mysql/my_gtid_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- one id --- */

static void uuid_text(const uint8_t *u, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[u[i] >> 4];
        *to++ = digits[u[i] & 15];
    }
    *to = '\0';
}

const char *fr_gtid_text(const fr_gtid *g, char text[FR_GTID_TEXT])
{
    char uuid[37];
    text[0] = '\0';
    if (g->family == FR_GTID_MARIADB) {
        snprintf(text, FR_GTID_TEXT, "%u-%u-%" PRIu64, g->domain, g->server, g->number);
    } else if (g->family == FR_GTID_MYSQL) {
        uuid_text(g->uuid, uuid);
        snprintf(text, FR_GTID_TEXT, "%s%s%s:%" PRIu64, uuid, g->tag[0] != '\0' ? ":" : "", g->tag,
                 g->number);
    }
    return text;
}

/* --- sets --- */

fr_gtids *fr_gtids_new(fr_gtid_family family)
{
    fr_gtids *s = fr_malloc(sizeof(*s));
    s->family = family;
    return s;
}

void fr_gtids_free(fr_gtids *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->group_count; i++)
        free(s->groups[i].spans);
    free(s->groups);
    free(s->domains);
    free(s);
}

fr_gtids *fr_gtids_copy(const fr_gtids *s)
{
    fr_gtids *c = fr_gtids_new(s->family);
    fr_gtids_merge(c, s);
    return c;
}

fr_gtid_family fr_gtids_family(const fr_gtids *s)
{
    return s->family;
}

bool fr_gtids_empty(const fr_gtids *s)
{
    return s->group_count == 0 && s->domain_count == 0;
}

static fr_gtid_domain *find_domain(const fr_gtids *s, uint32_t domain, size_t *place)
{
    size_t i = 0;
    while (i < s->domain_count && s->domains[i].domain < domain)
        i++;
    *place = i;
    return i < s->domain_count && s->domains[i].domain == domain ? &s->domains[i] : NULL;
}

static void set_domain(fr_gtids *s, const fr_gtid_domain *d)
{
    size_t at;
    fr_gtid_domain *known = find_domain(s, d->domain, &at);
    if (known != NULL) {
        *known = *d;
        return;
    }
    s->domains = fr_realloc(s->domains, (s->domain_count + 1) * sizeof(*s->domains));
    memmove(s->domains + at + 1, s->domains + at, (s->domain_count - at) * sizeof(*s->domains));
    s->domains[at] = *d;
    s->domain_count++;
}

static int group_order(const fr_gtid_group *g, const uint8_t *uuid, const char *tag)
{
    int c = memcmp(g->uuid, uuid, 16);
    return c != 0 ? c : strcmp(g->tag, tag);
}

static fr_gtid_group *find_group(const fr_gtids *s, const uint8_t *uuid, const char *tag,
                                 size_t *place)
{
    size_t i = 0;
    while (i < s->group_count && group_order(&s->groups[i], uuid, tag) < 0)
        i++;
    *place = i;
    return i < s->group_count && group_order(&s->groups[i], uuid, tag) == 0 ? &s->groups[i] : NULL;
}

static fr_gtid_group *need_group(fr_gtids *s, const uint8_t *uuid, const char *tag)
{
    size_t at;
    fr_gtid_group *known = find_group(s, uuid, tag, &at);
    if (known != NULL)
        return known;
    s->groups = fr_realloc(s->groups, (s->group_count + 1) * sizeof(*s->groups));
    memmove(s->groups + at + 1, s->groups + at, (s->group_count - at) * sizeof(*s->groups));
    fr_gtid_group *g = &s->groups[at];
    memset(g, 0, sizeof(*g));
    memcpy(g->uuid, uuid, 16);
    snprintf(g->tag, sizeof(g->tag), "%s", tag);
    s->group_count++;
    return g;
}

/* Spans are sorted and do not touch. The usual case is the last one growing by one. */
static void add_span(fr_gtid_group *g, uint64_t first, uint64_t end)
{
    size_t i = g->span_count;
    while (i > 0 && g->spans[i - 1].end >= first)
        i--;
    size_t last = i; /* the spans that the new one touches: i to last */
    while (last < g->span_count && g->spans[last].first <= end) {
        first = g->spans[last].first < first ? g->spans[last].first : first;
        end = g->spans[last].end > end ? g->spans[last].end : end;
        last++;
    }
    if (last == i) {
        g->spans = fr_realloc(g->spans, (g->span_count + 1) * sizeof(*g->spans));
        memmove(g->spans + i + 1, g->spans + i, (g->span_count - i) * sizeof(*g->spans));
        g->span_count++;
    } else {
        memmove(g->spans + i + 1, g->spans + last, (g->span_count - last) * sizeof(*g->spans));
        g->span_count -= last - i - 1;
    }
    g->spans[i] = (fr_gtid_span){first, end};
}

void fr_gtids_add_span(fr_gtids *s, const uint8_t *uuid, const char *tag, uint64_t first,
                       uint64_t end)
{
    add_span(need_group(s, uuid, tag), first, end);
}

void fr_gtids_add(fr_gtids *s, const fr_gtid *g)
{
    if (s->family == FR_GTID_NONE || g->family != s->family)
        return;
    if (s->family == FR_GTID_MARIADB)
        set_domain(s, &(fr_gtid_domain){g->domain, g->server, g->number});
    else
        fr_gtids_add_span(s, g->uuid, g->tag, g->number, g->number + 1);
}

bool fr_gtids_contains(const fr_gtids *s, const fr_gtid *g)
{
    size_t at;
    if (g->family != s->family || s->family == FR_GTID_NONE)
        return false;
    if (s->family == FR_GTID_MARIADB) {
        const fr_gtid_domain *d = find_domain(s, g->domain, &at);
        return d != NULL && g->number <= d->number;
    }
    const fr_gtid_group *group = find_group(s, g->uuid, g->tag, &at);
    for (size_t i = 0; group != NULL && i < group->span_count; i++)
        if (g->number >= group->spans[i].first && g->number < group->spans[i].end)
            return true;
    return false;
}

void fr_gtids_merge(fr_gtids *s, const fr_gtids *other)
{
    size_t at;
    if (other->family != s->family)
        return;
    for (size_t i = 0; i < other->domain_count; i++) {
        const fr_gtid_domain *d = find_domain(s, other->domains[i].domain, &at);
        if (d == NULL || d->number < other->domains[i].number)
            set_domain(s, &other->domains[i]);
    }
    for (size_t i = 0; i < other->group_count; i++) {
        const fr_gtid_group *g = &other->groups[i];
        for (size_t k = 0; k < g->span_count; k++)
            fr_gtids_add_span(s, g->uuid, g->tag, g->spans[k].first, g->spans[k].end);
    }
}

/* What of one span is in none of b's. */
static void span_minus(fr_gtids *out, const fr_gtid_group *g, fr_gtid_span span,
                       const fr_gtid_group *b)
{
    for (size_t i = 0; b != NULL && i < b->span_count && span.first < span.end; i++) {
        if (b->spans[i].end <= span.first)
            continue;
        if (b->spans[i].first >= span.end)
            break;
        if (b->spans[i].first > span.first)
            fr_gtids_add_span(out, g->uuid, g->tag, span.first, b->spans[i].first);
        span.first = b->spans[i].end;
    }
    if (span.first < span.end)
        fr_gtids_add_span(out, g->uuid, g->tag, span.first, span.end);
}

fr_gtids *fr_gtids_minus(const fr_gtids *s, const fr_gtids *other)
{
    fr_gtids *out = fr_gtids_new(s->family);
    size_t at;
    for (size_t i = 0; i < s->domain_count; i++) {
        const fr_gtid_domain *d = find_domain(other, s->domains[i].domain, &at);
        if (d == NULL || d->number < s->domains[i].number)
            set_domain(out, &s->domains[i]);
    }
    for (size_t i = 0; i < s->group_count; i++) {
        const fr_gtid_group *g = &s->groups[i], *b = find_group(other, g->uuid, g->tag, &at);
        for (size_t k = 0; k < g->span_count; k++)
            span_minus(out, g, g->spans[k], b);
    }
    return out;
}

fr_gtids_order fr_gtids_compare(const fr_gtids *a, const fr_gtids *b)
{
    fr_gtids *only_a = fr_gtids_minus(a, b), *only_b = fr_gtids_minus(b, a);
    bool more = !fr_gtids_empty(only_a), less = !fr_gtids_empty(only_b);
    fr_gtids_free(only_a);
    fr_gtids_free(only_b);
    if (more && less)
        return FR_GTIDS_DIVERGED;
    return more ? FR_GTIDS_MORE : less ? FR_GTIDS_LESS : FR_GTIDS_EQUAL;
}

static void print_group(const fr_gtids *s, size_t i, fr_buf *b)
{
    const fr_gtid_group *g = &s->groups[i];
    char uuid[37];
    bool same = i > 0 && memcmp(s->groups[i - 1].uuid, g->uuid, 16) == 0;
    uuid_text(g->uuid, uuid);
    if (!same)
        fr_buf_printf(b, "%s%s", i > 0 ? "," : "", uuid);
    if (g->tag[0] != '\0')
        fr_buf_printf(b, ":%s", g->tag);
    for (size_t k = 0; k < g->span_count; k++) {
        fr_buf_printf(b, ":%" PRIu64, g->spans[k].first);
        if (g->spans[k].end - g->spans[k].first > 1)
            fr_buf_printf(b, "-%" PRIu64, g->spans[k].end - 1);
    }
}

void fr_gtids_print(const fr_gtids *s, fr_buf *b)
{
    for (size_t i = 0; i < s->domain_count; i++)
        fr_buf_printf(b, "%s%u-%u-%" PRIu64, i > 0 ? "," : "", s->domains[i].domain,
                      s->domains[i].server, s->domains[i].number);
    for (size_t i = 0; i < s->group_count; i++)
        print_group(s, i, b);
}
