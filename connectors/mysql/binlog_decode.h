/* The binary log of MySQL and MariaDB: events in, batches out. Pure: no sockets, no clock.
 * Formats: the servers' sources (libbinlogevents / log_event.h), and
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html
 * https://mariadb.com/kb/en/replication-protocol/
 * One thread at a time. */
#ifndef FR_MYSQL_BINLOG_DECODE_H
#define FR_MYSQL_BINLOG_DECODE_H

#include "connectors/mysql/my_gtid.h"
#include "connectors/mysql/my_layout.h"

/* A statement of the log. */
typedef enum fr_binlog_statement_kind {
    FR_BINLOG_DDL, /* anything that is not one of the others: CREATE, ALTER, RENAME, GRANT, ... */
    FR_BINLOG_DML, /* in statement format, and none of its tables is captured (else it is fatal) */
} fr_binlog_statement_kind;

typedef struct fr_binlog_statement {
    fr_binlog_statement_kind kind;
    fr_str space; /* the default database; may be empty */
    fr_str text;  /* UTF-8, or as it is where its character set is unknown or broken */
} fr_binlog_statement;

/* XA: rows are logged when they are prepared, the outcome comes later (D14). */
typedef enum fr_binlog_xa {
    FR_BINLOG_XA_PREPARE,
    FR_BINLOG_XA_COMMIT,
    FR_BINLOG_XA_ROLLBACK
} fr_binlog_xa;

typedef struct fr_binlog_calls {
    void *context;
    /* A TABLE_MAP that is not known yet (its bytes differ from the last one of that table, or
     * a statement came between): say whether it is captured, and complete it with
     * fr_my_relation_fill. r->columns NULL: only names are known (TRUNCATE, a statement);
     * fill in all columns if it is captured. Texts may be put into a, which lives as long
     * as the call. */
    fr_rc (*describe)(void *context, fr_my_relation *r, fr_arena *a, fr_err *err);
    /* A statement, before its group ends: fr_binlog_where() is the place it starts at. What
     * was described before is described again after a DDL. Optional. */
    fr_rc (*statement)(void *context, const fr_binlog_statement *s, fr_err *err);
    /* For tools that show a log as it is. rows: captured ones among the prepared. With it: a
     * prepared group's events are in the batch, and after FR_OK its COMMIT event is. NULL:
     * options.xa_hold says what becomes of them. */
    fr_rc (*xa)(void *context, fr_binlog_xa what, fr_str xid, uint32_t rows, fr_err *err);
} fr_binlog_calls;

typedef struct fr_binlog_options {
    fr_gtid_family family; /* of `done`, and of the ids that are expected; NONE: whatever comes
                              is shown in gtid, and nothing is added to done */
    uint32_t epoch;        /* of every position */
    size_t max_event;      /* bytes of an event, uncompressed too; 0: 1 GiB + 64 KiB */
    bool xa_hold;          /* false: PREPARE with captured rows fails with "my.xa_refused"; true:
                              they come with the group that commits them. COMMIT of one that we
                              know nothing of is "my.xa_unknown" */
    size_t xa_limit;       /* bytes of rows that are held at once, else "my.xa_limit" */
    bool statements;       /* give each row's statement (ROWS_QUERY, ANNOTATE_ROWS) by
                              fr_binlog_query */
} fr_binlog_options;

/* Where the decoder is. Read only, valid until the next call. */
typedef struct fr_binlog_place {
    fr_str file;          /* "mysql-bin.000004"; empty before the first ROTATE */
    uint64_t file_number; /* 4 */
    uint64_t offset;      /* behind the last event, 64 bit (D11) */
    bool in_group;        /* offset is no place to start at */
    bool xa;              /* the group is an XA transaction */
    fr_str group_file;    /* where the group at hand, or the last one, starts */
    uint64_t group_offset;
    uint64_t lsn;      /* of that group: file number << 40 | offset */
    fr_gtid gtid;      /* of that group; family NONE: it has none */
    int64_t commit_us; /* of that group, since 1970; whole seconds on old servers */
    uint32_t ordinal;  /* of its next row */
    fr_str safe_file;  /* after the last group that ended: a place to start again */
    uint64_t safe_offset;
    const fr_gtids *done;  /* all groups that ended; at a safe place, what to resume from */
    bool catching;         /* still among groups that were published: no place to resume from */
    uint32_t server_id;    /* of the last event */
    fr_str server_version; /* of the last FORMAT_DESCRIPTION; empty before it */
    bool mariadb;          /* says server_version */
    bool checksums;        /* CRC32 */
    uint64_t groups, rows; /* so far; rows captured or not */
    int64_t event_us;      /* the last event's time, since 1970; 0: it has none */
} fr_binlog_place;

typedef struct fr_binlog fr_binlog;

/* calls and options are copied; done is copied (NULL: empty). */
fr_binlog *fr_binlog_new(const fr_binlog_calls *calls, const fr_binlog_options *options,
                         const fr_gtids *done);
void fr_binlog_free(fr_binlog *d); /* NULL is fine */
/* We asked the server for this place, or by GTID, with this as the place of the last group
 * we had: offsets in that file are not below it. Before the first event. */
void fr_binlog_start(fr_binlog *d, fr_str file, uint64_t offset);
/* What we start from is older than what was published: groups in `set` (copied), or where that is
 * NULL those below file and offset, give no events; XA transactions prepared in them are held. */
void fr_binlog_published(fr_binlog *d, fr_str file, uint64_t offset, const fr_gtids *set);
/* XA transactions that are prepared at a safe place. With rows for us: where the first of their
 * groups starts, and the ids of all groups before that; false: there is none. Borrowed. */
bool fr_binlog_held(const fr_binlog *d, fr_str *file, uint64_t *offset, fr_str *gtids);
/* Those without, as text; and what such a text said, before the first event. */
void fr_binlog_open_xids(const fr_binlog *d, fr_buf *b);
bool fr_binlog_know_xids(fr_binlog *d, fr_str list); /* false: it is malformed */
const fr_binlog_place *fr_binlog_where(const fr_binlog *d);

/* One event, header and checksum included, without the protocol's status byte. Nothing in
 * the batch points into it: what is needed is copied into batch->arena, and the caller may
 * use its buffer again.
 *   FR_OK    done (position moved; perhaps nothing was appended)
 *   FR_IDLE  the batch is full before the event was done: give the same event again with the
 *            next batch, before any other
 *   FR_FAIL  BUG: malformed or unknown (R42); POSITION: INCIDENT, rows without a map; CONNECT:
 *            a wrong checksum (once more from the last safe place may help, D25); SCHEMA,
 *            CONFIG: what describe, statement or fr_my_layout_new said. Only free it then.
 *
 * Events: BEGIN with a group's first captured row; TABLE before the first row of each version
 * of a table; INSERT, UPDATE, DELETE, TRUNCATE; COMMIT if there was a BEGIN; HEARTBEAT when
 * the server had nothing to send, and the safe place moved since the last event. COMMIT and
 * HEARTBEAT have no position.resume: fill it in from where(), which is at a safe place then.
 *   - position.lsn is the group's, row_lsn file number << 40 | offset of the ROWS event (of
 *     the payload it was in); ordinal counts every row and truncated table of the group,
 *     captured or not.
 *   - a column that the image does not have is ABSENT; in after it is taken from before where
 *     that has it (it did not change). A key column in neither: bad.
 *   - a value that cannot be decoded: event->bad, the value is ABSENT; the stream goes on.
 *   - zero dates: event->zero, see fr_my_zero. */
fr_rc fr_binlog_event(fr_binlog *d, fr_batch *batch, fr_str event, fr_err *err);
/* With options.statements: the statement that the rows at hand came from, as the log has
 * it; empty: none. Valid until the next call. */
fr_str fr_binlog_query(const fr_binlog *d);
/* Forget all descriptions: the configuration changed. Next TABLE_MAPs ask again. */
void fr_binlog_forget(fr_binlog *d);

#endif
