#include "base/arena.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define FR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FR_ASAN 1
#endif
#endif
#ifdef FR_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { MAX_BLOCK = 1 << 20 };

typedef struct block {
    struct block *next; /* older */
    size_t size, used;
    _Alignas(16) unsigned char data[];
} block;

typedef struct adopted {
    struct adopted *next;
    void *ptr;
    void (*release)(void *ptr);
} adopted;

struct fr_arena {
    block *newest; /* its chain ends with the first block */
    block *first;
    adopted *adopted;
    block *spare; /* kept by a reset */
    size_t used, next_size, keep, spare_bytes;
};

void *fr_malloc(size_t size)
{
    void *p = calloc(1, size == 0 ? 1 : size);
    if (p == NULL) {
        fputs("freshet: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *fr_realloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size == 0 ? 1 : size);
    if (p == NULL) {
        fputs("freshet: out of memory\n", stderr);
        abort();
    }
    return p;
}

char *fr_strdup(const char *s)
{
    if (s == NULL)
        return NULL;
    size_t n = strlen(s) + 1;
    return memcpy(fr_malloc(n), s, n);
}

fr_str *fr_str_new(fr_str s)
{
    fr_str *kept = fr_malloc(sizeof(*kept) + s.len);
    if (s.len > 0)
        memcpy(kept + 1, s.ptr, s.len);
    *kept = (fr_str){(const char *)(kept + 1), s.len};
    return kept;
}

static block *block_new(size_t size)
{
    block *b = malloc(sizeof(block) + size);
    if (b == NULL) {
        fputs("freshet: out of memory\n", stderr);
        abort();
    }
    b->next = NULL;
    b->size = size;
    b->used = 0;
    POISON(b->data, size);
    return b;
}

static void block_free(block *b)
{
    UNPOISON(b->data, b->size);
    free(b);
}

fr_arena *fr_arena_new(size_t first_block)
{
    fr_arena *a = fr_malloc(sizeof(*a));
    a->next_size = first_block == 0 ? 4096 : first_block;
    a->first = a->newest = block_new(a->next_size);
    return a;
}

void fr_arena_free(fr_arena *a)
{
    if (a == NULL)
        return;
    fr_arena_reset(a);
    fr_arena_trim(a);
    block_free(a->first);
    free(a);
}

/* One that was kept, where it is large enough; else a new one. */
static block *next_block(fr_arena *a, size_t size)
{
    block *b = a->spare;
    if (b != NULL && b->size >= size) {
        a->spare = b->next;
        a->spare_bytes -= b->size;
        a->next_size = b->size > a->next_size ? b->size : a->next_size;
        return b;
    }
    if (a->next_size < MAX_BLOCK)
        a->next_size *= 2;
    return block_new(size > a->next_size ? size : a->next_size);
}

static void *take(fr_arena *a, size_t size, size_t align)
{
    block *b = a->newest;
    size_t at = (b->used + align - 1) & ~(align - 1);
    if (size > b->size || at > b->size - size) {
        b = next_block(a, size);
        b->next = a->newest;
        a->newest = b;
        at = 0;
    }
    b->used = at + size;
    a->used += size;
    UNPOISON(b->data + at, size);
    return b->data + at;
}

void *fr_arena_alloc(fr_arena *a, size_t size)
{
    return memset(take(a, size, 16), 0, size);
}

void *fr_arena_raw(fr_arena *a, size_t size)
{
    return take(a, size, 8);
}

void fr_arena_shrink(fr_arena *a, void *ptr, size_t old_size, size_t new_size)
{
    block *b = a->newest;
    unsigned char *p = ptr;
    if (new_size > old_size || p < b->data || p + old_size != b->data + b->used)
        return; /* not the newest: its end stays unused */
    b->used -= old_size - new_size;
    a->used -= old_size - new_size;
    POISON(p + new_size, old_size - new_size);
}

fr_str fr_arena_copy(fr_arena *a, const void *ptr, size_t len)
{
    char *p = take(a, len == 0 ? 1 : len, 1);
    if (len > 0)
        memcpy(p, ptr, len);
    return (fr_str){p, len};
}

fr_str fr_arena_str(fr_arena *a, fr_str s)
{
    return fr_arena_copy(a, s.ptr, s.len);
}

char *fr_arena_cstr(fr_arena *a, fr_str s)
{
    char *p = take(a, s.len + 1, 1);
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

fr_str fr_arena_vprintf(fr_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return (fr_str){"", 0};
    char *p = take(a, (size_t)n + 1, 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return (fr_str){p, (size_t)n};
}

fr_str fr_arena_printf(fr_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fr_str s = fr_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void fr_arena_adopt(fr_arena *a, void *ptr, size_t size, void (*release)(void *ptr))
{
    adopted *ad = fr_arena_alloc(a, sizeof(*ad));
    ad->ptr = ptr;
    ad->release = release;
    ad->next = a->adopted;
    a->adopted = ad;
    a->used += size;
}

size_t fr_arena_used(const fr_arena *a)
{
    return a->used;
}

void fr_arena_keep(fr_arena *a, size_t bytes)
{
    a->keep = bytes;
}

void fr_arena_trim(fr_arena *a)
{
    while (a->spare != NULL) {
        block *next = a->spare->next;
        block_free(a->spare);
        a->spare = next;
    }
    a->spare_bytes = 0;
}

/* Empties a block: whoever still points into it is found. */
static void clear(block *b)
{
#if defined(FR_FAILPOINTS) && !defined(FR_ASAN)
    memset(b->data, 0xDD, b->used);
#endif
    POISON(b->data, b->size);
    b->used = 0;
}

static void give_back(fr_arena *a, block *b)
{
    if (b->size > MAX_BLOCK || a->spare_bytes + b->size > a->keep) {
        block_free(b);
        return;
    }
    clear(b);
    b->next = a->spare;
    a->spare = b;
    a->spare_bytes += b->size;
}

void fr_arena_reset(fr_arena *a)
{
    for (adopted *ad = a->adopted; ad != NULL; ad = ad->next)
        ad->release(ad->ptr);
    a->adopted = NULL;
    while (a->newest != a->first) {
        block *older = a->newest->next;
        give_back(a, a->newest);
        a->newest = older;
    }
    clear(a->first);
    a->used = 0;
    a->next_size = a->first->size;
}

fr_str fr_cstr(const char *s)
{
    return s == NULL ? (fr_str){NULL, 0} : (fr_str){s, strlen(s)};
}

bool fr_str_eq(fr_str a, fr_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool fr_str_is(fr_str a, const char *s)
{
    return fr_str_eq(a, fr_cstr(s));
}

int fr_str_cmp(fr_str a, fr_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    if (c != 0)
        return c;
    return (a.len > b.len) - (a.len < b.len);
}
