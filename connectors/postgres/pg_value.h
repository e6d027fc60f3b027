/* Values from bytes. Pure functions; nothing is kept. */
#ifndef FR_POSTGRES_PG_VALUE_H
#define FR_POSTGRES_PG_VALUE_H

#include "connectors/postgres/pg_types.h"

/* Decode one value that is not NULL. in must live as long as arena a (values point into it
 * where they can); what must be built is built in a. *out has the codec's kind.
 * DATA errors, code "pg.value.*", say what is wrong with the value and never show it. The
 * caller puts table and column in front. *out is untouched on failure. */
fr_rc fr_pg_decode_text(const fr_pg_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);
fr_rc fr_pg_decode_binary(const fr_pg_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);

/* A column default as fr_column.fallback wants it, or empty: only plain literals count
 * (0, 'x'::text, true, '{}'::jsonb, (-1)), not functions, NULL or expressions. expression
 * is pg_get_expr(adbin, adrelid). */
fr_str fr_pg_default_literal(fr_arena *a, const fr_pg_codec *c, fr_str expression);

#endif
