/* Conditions for the rows of a snapshot that somebody typed: what the server is asked before any of
 * our statements holds one. Pure. */
#ifndef FR_CONNECT_WHERE_H
#define FR_CONNECT_WHERE_H

#include "base/arena.h"

enum { FR_WHERE_PROBES = 2 };

/* Between parentheses it could close ours and open another pair; between two words it cannot. So
 * what the server takes in both statements is one condition, and what follows it in a statement
 * stays as it is; on a connection that takes one statement at a time. No row is looked at. from:
 * the table as it is spelt after FROM. The texts are in the arena. */
void fr_where_probes(fr_arena *a, fr_str from, fr_str where, const char *out[FR_WHERE_PROBES]);

#endif
