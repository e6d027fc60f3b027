/* The table of PostgreSQL's own types; internal to pg_types*.c. */
#ifndef FR_POSTGRES_PG_BUILTIN_H
#define FR_POSTGRES_PG_BUILTIN_H

#include "connectors/postgres/pg_types.h"

typedef struct fr_pg_builtin {
    fr_pg_type type;
    fr_pg_wire wire;
    fr_kind kind;
    const char *sql; /* as format_type prints it; NULL: its typname */
} fr_pg_builtin;

/* Sorted by oid; arrays are not in it but in the list of pairs. NULL: not built in. */
const fr_pg_builtin *fr_pg_builtin_find(uint32_t oid);
const fr_pg_builtin *fr_pg_builtin_at(size_t index); /* NULL after the last */
/* The kind of columns whose values look so, outside the built-in table (extensions). */
fr_kind fr_pg_wire_kind(fr_pg_wire wire);
/* format_type; t may be any type of the catalog. */
void fr_pg_type_name(const fr_pg_catalog *c, const fr_pg_type *t, int32_t typmod, fr_buf *out);

#endif
