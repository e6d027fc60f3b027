/* PostgreSQL asked by `freshet verify`, as a source and as a target. */
#ifndef FR_POSTGRES_PG_VERIFY_H
#define FR_POSTGRES_PG_VERIFY_H

#include "connect/verify.h"
#include "connectors/postgres/pg_conn.h"

/* target: address and login; the rest is set. soft: rows that are marked as deleted are gone. */
fr_rc fr_pg_verify_open(fr_pg_target *target, int64_t timeout_us, bool soft, fr_verify **out,
                        fr_err *err);
/* wal_source.c: of fr_verify_ops.open_source. */
fr_rc fr_wal_verify_open(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                         fr_err *err);

extern const fr_verify_ops fr_postgres_verify;

#endif
