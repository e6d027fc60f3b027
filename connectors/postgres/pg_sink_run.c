/* Rows whose order matters, and that one statement may write all the same. */
#include "postgres/pg_sink.h"
#include <stdlib.h>

/* Keys of the run in a hash table of positions. */
size_t fr_pg_sink_run(const fr_target_changes *changes, size_t start)
{
    size_t most = changes->count - start, slots = 16;
    while (slots < 2 * most)
        slots *= 2;
    uint32_t *index = fr_malloc(slots * sizeof(*index));
    size_t n = 0;
    for (; n < most; n++) {
        const fr_target_change *c = &changes->items[start + n];
        if (c->form != changes->items[start].form)
            break;
        size_t at = (size_t)fr_hash64(c->key.ptr, c->key.len) & (slots - 1);
        while (index[at] != 0 && !fr_target_same_key(&changes->items[start + index[at] - 1], c))
            at = (at + 1) & (slots - 1);
        if (index[at] != 0)
            break;
        index[at] = (uint32_t)n + 1;
    }
    free(index);
    return n;
}
