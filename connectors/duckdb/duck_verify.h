/* A DuckDB file asked by `freshet verify`, as a target. */
#ifndef FR_DUCKDB_DUCK_VERIFY_H
#define FR_DUCKDB_DUCK_VERIFY_H

#include "connect/verify.h"

extern const fr_verify_ops fr_duckdb_verify;

#endif
