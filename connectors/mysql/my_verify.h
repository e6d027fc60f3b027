/* MySQL and MariaDB asked by `freshet verify`, as a source and as a target. */
#ifndef FR_MYSQL_MY_VERIFY_H
#define FR_MYSQL_MY_VERIFY_H

#include "connect/verify.h"
#include "connectors/mysql/my_conn.h"

/* target: address and login. sink: of one, whose rows that are marked as deleted or have ended are
 * gone; NULL: a source. */
fr_rc fr_my_verify_open(const fr_my_target *target, int64_t timeout_us,
                        const fr_sink_settings *sink, fr_verify **out, fr_err *err);
/* binlog_source.c: of fr_verify_ops.open_source. */
fr_rc fr_binlog_verify_open(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                            fr_err *err);
/* my_sink.c: of fr_verify_ops.open_sink. */
fr_rc fr_my_sink_verify_open(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                             fr_err *err);

extern const fr_verify_ops fr_my_verify;

#endif
