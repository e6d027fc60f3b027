/* A bump allocator: many small allocations, one reset. Out of memory aborts. Free space
 * is poisoned under ASan and filled with 0xDD in debug builds, so that a pointer kept too
 * long is found. One thread at a time. */
#ifndef FR_BASE_ARENA_H
#define FR_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct fr_arena fr_arena;

/* Bytes, not a C string: never NUL-terminated, never owned by the one who holds it. */
typedef struct fr_str {
    const char *ptr;
    size_t len;
} fr_str;
#define FR_STR(literal) ((fr_str){(literal), sizeof(literal) - 1})

/* first_block: bytes of the first block; 0 takes 4 KiB. Blocks double up to 1 MiB. */
fr_arena *fr_arena_new(size_t first_block);
void fr_arena_free(fr_arena *a); /* NULL is fine */

void *fr_arena_alloc(fr_arena *a, size_t size); /* zeroed, aligned for any type */
void *fr_arena_raw(fr_arena *a, size_t size);   /* not zeroed, aligned to 8 */
/* Give the unused end of the newest allocation back; ptr must be that allocation. */
void fr_arena_shrink(fr_arena *a, void *ptr, size_t old_size, size_t new_size);
fr_str fr_arena_copy(fr_arena *a, const void *ptr, size_t len);
fr_str fr_arena_str(fr_arena *a, fr_str s);
/* NUL-terminated copies. */
char *fr_arena_cstr(fr_arena *a, fr_str s);
fr_str fr_arena_printf(fr_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
fr_str fr_arena_vprintf(fr_arena *a, const char *fmt, va_list ap);
/* Take over a buffer that a library allocated (PQgetCopyData, a result set), so that
 * values may point into it; release(ptr) runs at the next reset. size counts towards
 * fr_arena_used. */
void fr_arena_adopt(fr_arena *a, void *ptr, size_t size, void (*release)(void *ptr));
/* Bytes handed out and adopted since the last reset. */
size_t fr_arena_used(const fr_arena *a);
/* Frees all but the first block (kept for the next use) and runs all releases. */
void fr_arena_reset(fr_arena *a);
/* From now on a reset keeps ordinary blocks (of at most 1 MiB) up to so many bytes for the next
 * use, too: what is filled again and again need not ask the system for its pages each time. */
void fr_arena_keep(fr_arena *a, size_t bytes);
void fr_arena_trim(fr_arena *a); /* frees what was kept so */

/* Text as bytes: fr_cstr borrows a C string. */
fr_str fr_cstr(const char *s);
bool fr_str_eq(fr_str a, fr_str b);
bool fr_str_is(fr_str a, const char *s);
int fr_str_cmp(fr_str a, fr_str b); /* by bytes, as memcmp */
/* For printf("%.*s", FR_ARG(s)). */
#define FR_ARG(s) (int)(s).len, ((s).ptr == NULL ? "" : (s).ptr)

/* malloc and friends that abort when there is no memory. free() releases. */
void *fr_malloc(size_t size); /* zeroed */
void *fr_realloc(void *ptr, size_t size);
char *fr_strdup(const char *s); /* NULL gives NULL */
/* A text and its bytes in one piece that free() releases: a value of a map. */
fr_str *fr_str_new(fr_str s);

#endif
