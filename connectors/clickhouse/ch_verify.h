/* ClickHouse asked by `freshet verify`, as a target. */
#ifndef FR_CLICKHOUSE_CH_VERIFY_H
#define FR_CLICKHOUSE_CH_VERIFY_H

#include "connect/verify.h"

extern const fr_verify_ops fr_clickhouse_verify;

#endif
