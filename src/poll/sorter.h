/* Records of a key and a value, sorted in little memory: what does not fit is written to files in
 * a directory, which have no name any more and are gone with the process. The order is one of our
 * own, by the key's bytes and nothing else, so that two sorters agree whatever a server's collation
 * says. One thread. */
#ifndef FR_POLL_SORTER_H
#define FR_POLL_SORTER_H

#include "base/arena.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct fr_sorter fr_sorter;

/* Can files be written there? Makes the directory (the last part of its name) where need be. As
 * fr_sorter_add. */
fr_rc fr_sorter_check(const char *dir, fr_err *err);
/* memory: bytes that records may take before they are written down; 64 KiB for each file that is
 * being read come on top, of which there are at most 64. newest: of records with the same key only
 * the one that was added last comes out; else all, in the order in which they were added. */
fr_sorter *fr_sorter_new(const char *dir, size_t memory, bool newest);
void fr_sorter_free(fr_sorter *s); /* NULL is fine */
/* Both are copied. CONFIG or BUSY, code compare.disk: the directory cannot be written, or is full;
 * the sorter is only ever freed then. */
fr_rc fr_sorter_add(fr_sorter *s, fr_str key, fr_str value, fr_err *err);
/* All were added: the next that comes is the first one. Once more: it is so again. */
fr_rc fr_sorter_rewind(fr_sorter *s, fr_err *err);
/* FR_OK, or FR_END after the last. Both are valid until the next call. */
fr_rc fr_sorter_next(fr_sorter *s, fr_str *key_out, fr_str *value_out, fr_err *err);
/* <0, 0, >0, as they come out. */
int fr_sorter_order(fr_str a, fr_str b);
uint64_t fr_sorter_written(const fr_sorter *s); /* bytes to files, so far */

#endif
