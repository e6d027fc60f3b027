/* Values on their way into ClickHouse: the bytes of RowBinary
 * (https://clickhouse.com/docs/interfaces/formats/RowBinary). Nothing is rounded or cut: what a
 * type does not hold is an error that names the column. Pure. */
#ifndef FR_CLICKHOUSE_CH_VALUE_H
#define FR_CLICKHOUSE_CH_VALUE_H

#include "clickhouse/ch_type.h"

/* Appends v, which fr_ch_fit_of lets into `to`; with the byte that tells NULL where `to` is
 * Nullable. ABSENT is as NULL. DATA: sink.value, or sink.not_null for NULL where there is none. */
fr_rc fr_ch_put_value(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                      fr_err *err);
/* What stands for no value at all in a row that only says that a key is gone: NULL, else zeros. */
void fr_ch_put_nothing(fr_buf *out, const fr_ch_type *to);
/* A value that was put so, with its byte that tells NULL; in->bad where it is cut short. */
fr_str fr_ch_take_value(fr_in *in, const fr_ch_type *type);
/* n in so many bytes, little-endian. */
void fr_ch_put_uint(fr_buf *out, uint64_t n, int size);

#endif
