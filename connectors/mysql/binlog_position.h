/* The resume text of a mysql-binlog source: one JSON object,
 *   {"server":"8f6a...","flavour":"mysql","db":"","epoch":0,"file":"mysql-bin.000004","pos":4711,
 *    "file_time":1732600000,"gtid":"8f6a...:1-17","shapes":"..."}
 * It is always the end of a group of events. Where gtid is not empty and the server still knows
 * it, that is where we go on; file and pos are for servers without, and for people. file_time is
 * when that file was begun (0: not known): the same name with another time is another log.
 * XA transactions that are prepared there, where there are any: "xa":{"file","pos","gtid"}, the
 * place before the first of them with rows of captured tables, where reading must begin to have
 * them; "xa_open":"..", the ids of those without.
 * shapes: where the log carries no column names, the fingerprint of the tables it was read by. */
#ifndef FR_MYSQL_BINLOG_POSITION_H
#define FR_MYSQL_BINLOG_POSITION_H

#include "base/bytes.h"
#include "base/error.h"

enum { FR_BINLOG_SERVER_MAX = 200, FR_BINLOG_FILE_MAX = 512 };

typedef struct fr_binlog_position {
    char server[FR_BINLOG_SERVER_MAX];
    bool mariadb;
    uint32_t epoch;
    char file[FR_BINLOG_FILE_MAX];
    uint64_t pos;
    uint64_t file_time;                 /* seconds since 1970 */
    fr_str gtid;                        /* of the arena given to parse */
    char held_file[FR_BINLOG_FILE_MAX]; /* empty: none is held */
    uint64_t held_pos;
    fr_str held_gtid;
    fr_str xa_open;  /* as fr_binlog_open_xids wrote it */
    char shapes[20]; /* empty: names come with the log */
} fr_binlog_position;

/* POSITION error (my.position) when text is not such an object. */
fr_rc fr_binlog_position_parse(fr_arena *a, fr_str text, fr_binlog_position *out, fr_err *err);
fr_str fr_binlog_position_text(fr_arena *a, const fr_binlog_position *p);

/* The number at the end of a binlog file's name: 4 of "mysql-bin.000004", and of any length
 * (D12). 0 when there is none. */
uint64_t fr_binlog_number_of_file(const char *file);
/* A place in the log as one number: file number << 40 | offset. */
uint64_t fr_binlog_lsn(const char *file, uint64_t pos);

#endif
