/* throttle.max_lag, max_load, query on MySQL and MariaDB. */
#ifndef FR_MYSQL_MY_BUSY_H
#define FR_MYSQL_MY_BUSY_H

#include "connectors/mysql/my_conn.h"
#include "model/settings.h"

/* As fr_source_ops.busy, over a connection with no transaction open. max_lag is the server's own
 * lag as a replica, since a primary does not know its replicas'; max_load is a number of SHOW
 * GLOBAL STATUS, of which ours is a part. CONFIG my.throttle. */
fr_rc fr_my_busy(fr_my *my, const fr_source_settings *settings, fr_arena *a, fr_str *why_out,
                 fr_err *err);

#endif
