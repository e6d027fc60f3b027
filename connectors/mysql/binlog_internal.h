/* The decoder's own. Not for other folders' eyes. */
#ifndef FR_MYSQL_BINLOG_INTERNAL_H
#define FR_MYSQL_BINLOG_INTERNAL_H

#include "base/map.h"
#include "connectors/mysql/binlog_decode.h"
#include "connectors/mysql/binlog_query.h"

/* clang-format off */
enum { /* event types */
    FR_EV_UNKNOWN = 0, FR_EV_START_V3 = 1, FR_EV_QUERY = 2, FR_EV_STOP = 3, FR_EV_ROTATE = 4,
    FR_EV_INTVAR = 5, FR_EV_APPEND_BLOCK = 9, FR_EV_DELETE_FILE = 11, FR_EV_RAND = 13,
    FR_EV_USER_VAR = 14, FR_EV_FORMAT = 15, FR_EV_XID = 16, FR_EV_BEGIN_LOAD = 17,
    FR_EV_EXECUTE_LOAD = 18, FR_EV_TABLE_MAP = 19, FR_EV_WRITE_V1 = 23, FR_EV_UPDATE_V1 = 24,
    FR_EV_DELETE_V1 = 25, FR_EV_INCIDENT = 26, FR_EV_HEARTBEAT = 27, FR_EV_IGNORABLE = 28,
    FR_EV_ROWS_QUERY = 29, FR_EV_WRITE_V2 = 30, FR_EV_UPDATE_V2 = 31, FR_EV_DELETE_V2 = 32,
    FR_EV_GTID = 33, FR_EV_ANONYMOUS = 34, FR_EV_PREVIOUS_GTIDS = 35, FR_EV_TXN_CONTEXT = 36,
    FR_EV_VIEW_CHANGE = 37, FR_EV_XA_PREPARE = 38, FR_EV_PARTIAL_UPDATE = 39, FR_EV_PAYLOAD = 40,
    FR_EV_HEARTBEAT_V2 = 41, FR_EV_GTID_TAGGED = 42,
    FR_EV_ANNOTATE = 160, FR_EV_CHECKPOINT = 161, FR_EV_MARIADB_GTID = 162, FR_EV_GTID_LIST = 163,
    FR_EV_START_ENCRYPTION = 164, FR_EV_QUERY_COMPRESSED = 165, FR_EV_WRITE_C1 = 166,
    FR_EV_UPDATE_C1 = 167, FR_EV_DELETE_C1 = 168, FR_EV_WRITE_C2 = 169, FR_EV_UPDATE_C2 = 170,
    FR_EV_DELETE_C2 = 171,
};
enum { FR_EV_F_IN_USE = 0x01, FR_EV_F_ARTIFICIAL = 0x20, FR_EV_F_IGNORABLE = 0x80 };
enum { FR_EV_HEADER = 19 };
/* clang-format on */

/* A table by name, as its last TABLE_MAP had it. */
typedef struct fr_binlog_mapped {
    uint64_t id;     /* its last table id; others are not valid any more */
    fr_str body;     /* of that TABLE_MAP; heap */
    uint64_t looked; /* d->looks when it was described */
    bool captured;
    size_t column_count, json_count;
    fr_my_wire *wires; /* of the log, for rows that are only counted */
    uint16_t *metas;
    fr_my_layout *layout; /* NULL: not captured */
    uint32_t version;     /* the newest layout had */
    bool announced;       /* TABLE is out for this layout */
} fr_binlog_mapped;

typedef struct fr_binlog_header {
    uint32_t time, server_id, size, log_pos;
    uint8_t type;
    uint16_t flags;
} fr_binlog_header;

/* The group at hand. */
typedef struct fr_binlog_group {
    bool begun;     /* ends with an end, not with its first statement */
    bool has_begin; /* BEGIN is in a batch */
    bool is_xa;
    bool published;  /* before where we went on the last time: read for what is prepared in it */
    uint32_t rows;   /* captured ones; of an XA transaction that is held, events with some */
    uint32_t thread; /* the connection it came by; 0: not said */
    bool has_time;   /* commit_us came with the GTID */
    bool open;       /* tables are named whose rows have not all come: the last ones say so */
    bool guessed;    /* an event had no position: what was not sent before it is not counted */
} fr_binlog_group;

typedef struct fr_binlog_payload fr_binlog_payload;

/* An XA transaction that is prepared. */
typedef struct fr_binlog_prepared {
    uint32_t rows; /* events with rows of captured tables */
    fr_buf events; /* those and their TABLE_MAPs: type 1, length 4, body */
    size_t at;     /* how many bytes of them are done, while it is committed */
    char *file;    /* where its group starts; NULL: it is only known that it has no rows for us */
    uint64_t offset;
    fr_buf gtids; /* all groups before it */
} fr_binlog_prepared;

struct fr_binlog {
    fr_binlog_calls calls;
    fr_binlog_options options;
    fr_binlog_place place;
    fr_binlog_group group;
    fr_gtids *done;
    /* FORMAT_DESCRIPTION */
    bool has_format;
    uint8_t post[256]; /* post-header lengths by type; 0: unknown type */
    bool checksums;
    char version[64];
    /* XA */
    fr_map *prepared;            /* id -> fr_binlog_prepared */
    fr_binlog_prepared *holding; /* of the group at hand; NULL: not yet */
    size_t held_bytes;
    fr_gtids *published_set; /* fr_binlog_published's; NULL: by place */
    uint64_t published_lsn;
    bool catching; /* what is read may be published already */
    /* Tables */
    fr_map *tables; /* "space\0name" -> fr_binlog_mapped */
    fr_map *ids;    /* table id -> fr_binlog_mapped; emptied with each file */
    uint64_t looks; /* counts up when descriptions are worth a new look */
    fr_binlog_mapped *last;
    uint64_t last_id;
    /* Names in place */
    char *file, *group_file, *safe_file;
    char *floor_file; /* fr_binlog_start's */
    uint64_t floor_offset;
    /* The event at hand */
    fr_binlog_header header;
    uint64_t event_offset; /* where it starts in the file; of the payload for what is in it */
    bool in_payload;
    fr_str query; /* heap: the rows' statement */
    size_t query_cap;
    bool moved; /* the safe place moved since an event had it */
    const fr_txn *txn;
    /* What is left of an event that found the batch full */
    size_t row_at;       /* bytes of its rows that are done */
    uint32_t row_number; /* and how many those are */
    bool told;           /* a statement was handed on, what remains is the group's end */
    fr_binlog_payload *payload;
    uint8_t *scratch; /* decompressed events */
    size_t scratch_cap;
    fr_err value_err;
};

/* binlog_event.c */
fr_rc fr_binlog_malformed(fr_err *err, const fr_binlog *d, const char *what);
fr_rc fr_binlog_format(fr_binlog *d, fr_str body, fr_err *err);
/* Does the server that wrote this whole FORMAT_DESCRIPTION know checksums? */
bool fr_binlog_format_has_sum(fr_str event);
fr_rc fr_binlog_rotate(fr_binlog *d, fr_str body, fr_err *err);
fr_rc fr_binlog_heartbeat(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
fr_rc fr_binlog_incident(fr_binlog *d, fr_str body, fr_err *err);
void fr_binlog_set_name(char **to, fr_str *view, fr_str name);
uint64_t fr_binlog_file_number(fr_str name);

/* binlog_group.c: groups, and the events they make */
fr_rc fr_binlog_gtid(fr_binlog *d, fr_str body, fr_err *err);
void fr_binlog_group_start(fr_binlog *d);
/* Ends the group; FR_IDLE: no room for its COMMIT, come again. */
fr_rc fr_binlog_group_end(fr_binlog *d, fr_batch *batch);
/* NULL: the batch is full. BEGIN comes with the first event of a group. */
fr_event *fr_binlog_add(fr_binlog *d, fr_batch *batch, fr_op op, const fr_table *table);
fr_rc fr_binlog_query_event(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
fr_rc fr_binlog_xid(fr_binlog *d, fr_batch *batch, fr_err *err);

/* binlog_xa.c */
fr_rc fr_binlog_xa_prepare(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
/* words: what follows XA COMMIT or XA ROLLBACK. */
fr_rc fr_binlog_xa_end(fr_binlog *d, fr_batch *batch, bool commits, fr_str words, fr_err *err);
/* Are the rows of the group at hand kept, and not decoded? Then one event of a captured table. */
bool fr_binlog_holds(const fr_binlog *d);
fr_rc fr_binlog_hold(fr_binlog *d, fr_str body, fr_err *err);
void fr_binlog_prepared_free(void *prepared); /* NULL is fine */

/* binlog_rows.c: tables and their rows */
void fr_binlog_table_free(void *table);
fr_rc fr_binlog_table_map(fr_binlog *d, fr_str body, fr_err *err);
fr_rc fr_binlog_rows(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
/* The table of a name that a statement has; not captured: *out is NULL. */
fr_rc fr_binlog_named_table(fr_binlog *d, fr_str space, fr_str name, fr_binlog_mapped **out,
                            fr_err *err);
/* TABLE before the first event of a layout. FR_IDLE: no room. */
fr_rc fr_binlog_announce(fr_binlog *d, fr_batch *batch, fr_binlog_mapped *t);

/* binlog_payload.c */
/* MariaDB's compressed tail: into d->scratch. */
fr_rc fr_binlog_inflate(fr_binlog *d, fr_str in, fr_str *out, fr_err *err);
fr_rc fr_binlog_payload_event(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
void fr_binlog_payload_free(fr_binlog_payload *p);

/* binlog_decode.c: an event without its checksum, header read. */
fr_rc fr_binlog_dispatch(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err);
fr_rc fr_binlog_read_header(fr_binlog *d, fr_in *in, fr_err *err);

#endif
