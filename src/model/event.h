/* One change, and its place. */
#ifndef FR_MODEL_EVENT_H
#define FR_MODEL_EVENT_H

#include "model/table.h"

typedef enum fr_op {
    FR_OP_READ,      /* a row met by a snapshot                       after          */
    FR_OP_INSERT,    /*                                               after          */
    FR_OP_UPDATE,    /*                                               before?  after */
    FR_OP_DELETE,    /*                                               before         */
    FR_OP_TRUNCATE,  /* every row of table is gone                                   */
    FR_OP_TABLE,     /* table has this version from here on; sent before its first row of
                        each version, on both sides                                   */
    FR_OP_BEGIN,     /* txn starts: every event up to COMMIT shares its txn          */
    FR_OP_COMMIT,    /* txn is complete; its position.resume is a place to restart from */
    FR_OP_MESSAGE,   /* pg_logical_emit_message: prefix in `name`, payload in `body`;
                        txn NULL when it was emitted outside a transaction           */
    FR_OP_HEARTBEAT, /* nothing changed, but the position (resume) moved             */
} fr_op;

/* A change of a table's rows. */
static inline bool fr_op_is_change(fr_op op)
{
    return op == FR_OP_INSERT || op == FR_OP_UPDATE || op == FR_OP_DELETE || op == FR_OP_TRUNCATE;
}

typedef struct fr_txn { /* copied into each batch that the transaction reaches */
    fr_str id;          /* xid or GTID */
    int64_t commit_us;  /* when the source committed; microseconds since 1970 */
    /* What a binary log says of it, for events' `source`; elsewhere empty and 0. */
    fr_str gtid, file;
    uint32_t server_id; /* of the server that committed it first */
    uint32_t thread;    /* its connection there; 0: the log does not say */
} fr_txn;

enum { FR_BINLOG_BITS = 40 };

/* Two questions, so two answers. Where did this row come from: (epoch, lsn, ordinal),
 * increasing within a source, what a sink uses to recognise a repeat. Where may we start
 * again: resume. */
typedef struct fr_position {
    uint64_t lsn;     /* PostgreSQL: commit LSN (Begin has it); a snapshot's rows: that of
                         its view; polling: the number of the page */
    uint64_t row_lsn; /* where this row itself was logged (source.lsn); 0: as lsn. In a binary
                         log: number of its file << FR_BINLOG_BITS | offset */
    uint32_t ordinal; /* 0, 1, 2, ... among the events with this lsn (rows and messages;
                         not BEGIN, COMMIT, TABLE); snapshots: 0 */
    uint32_t epoch;   /* counts up when lsn starts anew: failover, restore */
    fr_str resume;    /* opaque to all but the connector: a JSON object as text. Empty: not
                         a place to restart. Else: once this event and all before it are
                         durable, reading from here loses nothing. */
} fr_position;

typedef struct fr_event {
    fr_op op;
    const fr_table *table; /* NULL for BEGIN, COMMIT, MESSAGE and HEARTBEAT */
    fr_row before, after;
    const fr_txn *txn; /* NULL outside transactions (snapshots, polling) */
    int64_t time_us;   /* when the row changed, in a sink else when Kafka got it; 0: unknown */
    fr_position position;
    fr_str name, body; /* MESSAGE; an UPDATE whose name is set had these columns read again */
    bool gone;    /* an UPDATE that changed its key, and whose row is not there any more: a later
                     event says what became of it, so that values which no log has may stay absent */
    uint32_t row; /* 0, 1, 2, ... within what was logged at row_lsn; where a log has such groups */
    fr_str zero;  /* else empty: columns ("a,b") whose value is a date that is none (0000-00-00),
                     and so NULL here; message header freshet.zero */
    bool derived; /* its rows are those of the route's table already, and not of this one: what
                     comparisons find */
    /* Sinks: the Kafka place this event came from; topic empty on the source side. */
    fr_str topic;
    int32_t partition;
    int64_t offset;
    /* The position is this offset, which says nothing beside other partitions. */
    bool foreign;
    /* Sinks: a tombstone whose delete was not seen. Its position is borrowed: it is newer than all
     * that its key had before it in its partition, whatever positions that has. */
    bool unplaced;
    bool echo;  /* and its delete was taken before we began to read here: it says nothing new */
    fr_str bad; /* else empty: why this row could not be decoded (names column, type,
                   position; no values); it keeps its place in the order, and errors.mode
                   decides downstream */
    bool stays; /* bad, and no fault of this row: its topic waits where errors.mode is dlq, too */
} fr_event;

#endif
