#include "base/map.h"
#include "base/bytes.h"
#include <stdlib.h>
#include <string.h>

/* Entries in insertion order, and an open-addressed index of positions into them. A removed
 * entry keeps its place (value NULL, gone) until the next growth. */
typedef struct entry {
    uint64_t hash;
    char *key;
    size_t len;
    void *value;
    bool gone;
} entry;

struct fr_map {
    entry *entries;
    size_t used, cap, live;
    uint32_t *index; /* 1 + position; 0: free */
    size_t slots;    /* a power of two */
};

fr_map *fr_map_new(void)
{
    fr_map *m = fr_malloc(sizeof(*m));
    m->slots = 16;
    m->index = fr_malloc(m->slots * sizeof(*m->index));
    return m;
}

void fr_map_free(fr_map *m, void (*release)(void *value))
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->used; i++) {
        if (!m->entries[i].gone && release != NULL)
            release(m->entries[i].value);
        free(m->entries[i].key);
    }
    free(m->entries);
    free(m->index);
    free(m);
}

static entry *find(const fr_map *m, fr_str key, uint64_t hash)
{
    for (size_t at = hash & (m->slots - 1);; at = (at + 1) & (m->slots - 1)) {
        if (m->index[at] == 0)
            return NULL;
        entry *e = &m->entries[m->index[at] - 1];
        if (!e->gone && e->hash == hash && e->len == key.len &&
            (key.len == 0 || memcmp(e->key, key.ptr, key.len) == 0))
            return e;
    }
}

static void place(fr_map *m, size_t position)
{
    size_t at = m->entries[position].hash & (m->slots - 1);
    while (m->index[at] != 0)
        at = (at + 1) & (m->slots - 1);
    m->index[at] = (uint32_t)(position + 1);
}

static void rebuild(fr_map *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->used; i++) {
        if (m->entries[i].gone)
            free(m->entries[i].key);
        else
            m->entries[kept++] = m->entries[i];
    }
    m->used = kept;
    while (m->slots < 4 * (kept + 1))
        m->slots *= 2;
    free(m->index);
    m->index = fr_malloc(m->slots * sizeof(*m->index));
    for (size_t i = 0; i < m->used; i++)
        place(m, i);
}

void *fr_map_set(fr_map *m, fr_str key, void *value)
{
    uint64_t hash = fr_hash64(key.ptr, key.len);
    entry *e = find(m, key, hash);
    if (e != NULL) {
        void *before = e->value;
        e->value = value;
        return before;
    }
    if (2 * (m->used + 1) > m->slots)
        rebuild(m);
    if (m->used == m->cap) {
        m->cap = m->cap == 0 ? 8 : 2 * m->cap;
        m->entries = fr_realloc(m->entries, m->cap * sizeof(entry));
    }
    e = &m->entries[m->used];
    *e = (entry){.hash = hash, .key = fr_malloc(key.len + 1), .len = key.len, .value = value};
    if (key.len > 0)
        memcpy(e->key, key.ptr, key.len);
    place(m, m->used++);
    m->live++;
    return NULL;
}

void *fr_map_get(const fr_map *m, fr_str key)
{
    entry *e = find(m, key, fr_hash64(key.ptr, key.len));
    return e == NULL ? NULL : e->value;
}

void *fr_map_remove(fr_map *m, fr_str key)
{
    entry *e = find(m, key, fr_hash64(key.ptr, key.len));
    if (e == NULL)
        return NULL;
    void *value = e->value;
    e->gone = true;
    e->value = NULL;
    m->live--;
    return value;
}

static fr_str u64_key(const uint64_t *key)
{
    return (fr_str){(const char *)key, sizeof(*key)};
}

void *fr_map_set_u64(fr_map *m, uint64_t key, void *value)
{
    return fr_map_set(m, u64_key(&key), value);
}

void *fr_map_get_u64(const fr_map *m, uint64_t key)
{
    return fr_map_get(m, u64_key(&key));
}

void *fr_map_remove_u64(fr_map *m, uint64_t key)
{
    return fr_map_remove(m, u64_key(&key));
}

size_t fr_map_count(const fr_map *m)
{
    return m->live;
}

bool fr_map_next(const fr_map *m, size_t *i, fr_str *key_out, void **value_out)
{
    while (*i < m->used && m->entries[*i].gone)
        (*i)++;
    if (*i >= m->used)
        return false;
    const entry *e = &m->entries[(*i)++];
    if (key_out != NULL)
        *key_out = (fr_str){e->key, e->len};
    if (value_out != NULL)
        *value_out = e->value;
    return true;
}
