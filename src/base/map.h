/* One hash map: byte-string keys (copied) or 64-bit keys to pointers (borrowed).
 * One thread at a time. Iteration order is insertion order. */
#ifndef FR_BASE_MAP_H
#define FR_BASE_MAP_H

#include "base/arena.h"
#include <stdint.h>

typedef struct fr_map fr_map;

fr_map *fr_map_new(void);
/* release is called for each value; NULL: values are borrowed. NULL map is fine. */
void fr_map_free(fr_map *m, void (*release)(void *value));
/* Returns the value that was there before, or NULL. */
void *fr_map_set(fr_map *m, fr_str key, void *value);
void *fr_map_get(const fr_map *m, fr_str key);
void *fr_map_remove(fr_map *m, fr_str key); /* returns the value, or NULL */
void *fr_map_set_u64(fr_map *m, uint64_t key, void *value);
void *fr_map_get_u64(const fr_map *m, uint64_t key);
void *fr_map_remove_u64(fr_map *m, uint64_t key);
size_t fr_map_count(const fr_map *m);
/* size_t i = 0; while (fr_map_next(m, &i, &key, &value)) ...  Do not change m meanwhile. */
bool fr_map_next(const fr_map *m, size_t *i, fr_str *key_out, void **value_out);

#endif
