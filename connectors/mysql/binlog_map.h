/* TABLE_MAP events. Pure. */
#ifndef FR_MYSQL_BINLOG_MAP_H
#define FR_MYSQL_BINLOG_MAP_H

#include "connectors/mysql/my_layout.h"

/* body: the event without header, post-header and checksum: from the database's name on.
 * Texts point into body but for labels, which are in a. mariadb: in its metadata spatial
 * columns have a character set. Names, keys, labels and character sets are there as far as
 * the optional metadata is (`named` says whether it is FULL); columns whose type nobody
 * told are FR_MY_UNKNOWN with wire and meta. BUG "binlog.malformed". */
fr_rc fr_binlog_map_read(fr_str body, bool mariadb, fr_arena *a, fr_my_relation *out, fr_err *err);

#endif
