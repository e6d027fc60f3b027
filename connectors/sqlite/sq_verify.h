/* A SQLite file asked by `freshet verify`, as a source and as a target. */
#ifndef FR_SQLITE_SQ_VERIFY_H
#define FR_SQLITE_SQ_VERIFY_H

#include "connect/verify.h"

/* sq_sink.c: of fr_verify_ops.open_sink. */
fr_rc fr_sq_sink_verify_open(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                             fr_err *err);
/* sink: of one, whose rows that are marked as deleted or have ended are gone; NULL: a source. */
fr_rc fr_sq_verify_open(const char *path, int64_t timeout_us, const fr_sink_settings *sink,
                        fr_verify **out, fr_err *err);

extern const fr_verify_ops fr_sqlite_verify;

#endif
