/* The transport: one connection that is a replica to the server, and gives one event after the
 * other as bytes. Sources: the replication protocol pages of MySQL and MariaDB that
 * binlog_decode.h names. One thread at a time, but for fr_binlog_dump_interrupt. */
#ifndef FR_MYSQL_BINLOG_DUMP_H
#define FR_MYSQL_BINLOG_DUMP_H

#include "connectors/mysql/binlog_source.h"

typedef struct fr_binlog_dump fr_binlog_dump;

/* Connects, registers as server_id and asks for the log from p on (by GTID where start says so).
 * Errors of fr_my_connect; what the server says against it comes with the first event. */
fr_rc fr_binlog_dump_open(fr_binlog_source *s, uint32_t server_id, const fr_binlog_position *p,
                          const fr_binlog_start_at *start, fr_binlog_dump **out, fr_err *err);
void fr_binlog_dump_close(fr_binlog_dump *d); /* NULL is fine */

/* The next event, header included, valid until the next call.
 *   FR_OK    *event is one
 *   FR_IDLE  nothing came until until_us (monotonic), or an interrupt
 *   FR_FAIL  CONNECT my.silent when the server has said nothing for too long; what
 *            fr_binlog_refused makes of the server's refusal */
fr_rc fr_binlog_dump_next(fr_binlog_dump *d, int64_t until_us, fr_str *event, fr_err *err);
/* From any thread: the call that runs, or the next one, ends with FR_IDLE within a second. */
void fr_binlog_dump_interrupt(fr_binlog_dump *d);
/* True once after each interrupt. */
bool fr_binlog_dump_interrupted(fr_binlog_dump *d);

/* May this user be a replica? Registers as one, and leaves. AUTH where not. */
fr_rc fr_binlog_dump_allowed(fr_binlog_source *s, fr_err *err);

/* Our number among the server's replicas: the configured one, or one derived from pipeline,
 * source and host, so that it stays the same. */
uint32_t fr_binlog_server_id(const fr_source_settings *settings, const fr_binlog_config *config);
/* A number for a second reader: derived from ours, another one each time, and none that the server
 * or one of its replicas has, as far as we may see them. */
fr_rc fr_binlog_free_server_id(fr_binlog_source *s, fr_my *my, uint32_t *out, fr_err *err);

#endif
