/* What a source connector implements. A source opens readers; a reader fills batches: the
 * stream is one, each chunk of a snapshot another. Connectors never retry, reconnect,
 * sleep, start threads or log above info: they fail, and the runtime opens a new reader at
 * the last safe position, or not, by the kind of the error (base/error.h).
 * Threads: a reader is used by one thread at a time, two readers of one source may run at
 * once. Only interrupt() and status() may be called while another call is running. */
#ifndef FR_CONNECT_SOURCE_H
#define FR_CONNECT_SOURCE_H

#include "base/error.h"
#include "connect/finding.h"
#include "connect/option.h"
#include "connect/status.h"
#include "model/batch.h"
#include "model/settings.h"

typedef struct fr_chunk { /* part of a table; plain data, so it can be checkpointed */
    fr_str space, name;   /* the table */
    uint32_t index;       /* 0, 1, ... within the table */
    fr_str from, to;      /* keys, [from, to), in the connector's own spelling (JSON array of
                             texts); empty: open end. After part of a chunk was published
                             `from` may become the last row's own key: then it is (from, to)
                             and after is set. */
    bool after;
    bool whole;   /* cannot be resumed in the middle or at another view: a table without key;
                     an interrupted snapshot of it starts over */
    fr_str where; /* SQL that check_where let pass: only rows for which it holds; empty: all. The
                     driver fills it in. */
} fr_chunk;

typedef struct fr_plan {
    fr_str view;       /* what makes chunks consistent: an exported snapshot's name */
    uint64_t view_lsn; /* all commits below it are in the view, none at or above */
    uint32_t epoch;
    fr_str stream_from;     /* resume position at the view */
    fr_chunk *chunks;       /* all tables, in table order then key order */
    size_t chunk_count;     /* 0: nothing to snapshot */
    uint64_t rows_expected; /* an estimate; 0 unknown */
    fr_arena *arena;        /* owns all of the above; the caller's */
} fr_plan;

typedef struct fr_reader fr_reader;
typedef struct fr_reader_ops {
    /* Append events until the batch is full, the deadline passes or nothing is left (a
     * stream returns as soon as the socket is empty and something was appended).
     *   FR_OK    events were appended: call again
     *   FR_IDLE  nothing appended: deadline or interrupt
     *   FR_END   nothing appended: the chunk is done (a stream never ends)
     *   FR_FAIL  the caller drops what was appended, and closes the reader
     * A row that cannot be decoded is no failure: append it with event->bad set. */
    fr_rc (*fill)(fr_reader *r, fr_batch *batch, int64_t deadline_us, fr_err *err);

    /* Everything up to resume is durable downstream: the source may forget it (standby
     * status update). Also the heartbeat: called at least every few seconds, with the same
     * position if need be, even while no batch is free. resume empty: nothing new is
     * durable, just stay alive. Optional. */
    fr_rc (*confirm)(fr_reader *r, fr_str resume, fr_err *err);

    /* Make a fill that is running return FR_IDLE within a second. From any thread. */
    void (*interrupt)(fr_reader *r);
    void (*close)(fr_reader *r); /* after any failure too; NULL is fine */
} fr_reader_ops;
struct fr_reader { /* first member of the connector's own */
    const fr_reader_ops *ops;
};

/* What plan is asked for. */
typedef struct fr_plan_request {
    bool create;    /* first start: make the slot, and take the view from its creation. Else: a
                       second view beside the existing slot, to finish or extend a snapshot. */
    bool replace;   /* with create: the checkpoint said `creating`, so a slot of our name is our
                       own, left over from a crash: drop it first. Else it is another's: POSITION
                       error, never dropped. */
    uint32_t epoch; /* with create: the plan's epoch; above all that this source published under
                       before (a new slot may be on a new cluster whose lsn starts anew) */
    /* Which tables; NULL: every captured one with snapshot.mode initial. */
    bool (*want)(void *context, fr_str space, fr_str name);
    void *context;
} fr_plan_request;

/* A captured table that the log has no changes of any more, or may have missed some. */
typedef enum fr_absence {
    FR_ABSENT_GONE,  /* there is no table of its name, which the configuration names */
    FR_ABSENT_LOG,   /* it is there, and its changes are not in the log as we may read it */
    FR_ABSENT_REMADE /* it is another table by its name than when this was asked last: whether all
                        of its changes were in the log nobody can say. Said once */
} fr_absence;
typedef struct fr_absent { /* texts in the arena, as those of an error of kind CONFIG */
    fr_absence kind;
    fr_str space, name;
    const char *code;
    fr_str text, hint;
} fr_absent;

typedef struct fr_source fr_source;
struct fr_sql_ops;
struct fr_verify_ops;
typedef struct fr_source_ops {
    const char *name;         /* "postgres-wal": in logs and connectors list */
    const char *type;         /* "postgres": what S.type says */
    const char *summary;      /* one line, for --help and the generated reference */
    const fr_option *options; /* ends with an entry whose name is NULL; keys below
                                 sources.<s>. */
    size_t config_size;       /* the struct that options describe */

    /* Connect once and check what must hold (wal_level, grants, publication). Borrows
     * settings (and settings->connector) until close. */
    fr_rc (*open)(const fr_source_settings *settings, fr_source **out, fr_err *err);
    /* Everything of the pre-flight catalogue, for plan; changes nothing. Needs no open
     * source: a server that cannot be reached is a finding. */
    fr_rc (*check)(const fr_source_settings *settings, fr_findings *out, fr_err *err);
    /* The captured tables as they are now. Each comes with one reference for the caller. */
    fr_rc (*list_tables)(fr_source *s, fr_arena *arena, const fr_table ***out, size_t *count_out,
                         fr_err *err);
    /* What to snapshot, and where to stream from then on. The view stays valid until
     * end_view. */
    fr_rc (*plan)(fr_source *s, const fr_plan_request *request, fr_plan *out, fr_err *err);
    void (*end_view)(fr_source *s);
    fr_rc (*read_chunk)(fr_source *s, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                        fr_err *err);
    /* For a batch of chunk rows: the key of event e as `from` text for the rest of the
     * chunk, in the batch's arena. */
    fr_rc (*row_key)(fr_source *s, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err);
    /* Start-up matrix R6: POSITION error when continuity cannot be proved. */
    fr_rc (*read_stream)(fr_source *s, fr_str resume, fr_reader **out, fr_err *err);
    /* The captured tables for which the log is not what it should be. Neither read_stream nor a
     * second view (plan without create) fails for such tables: whether the others go on is the
     * driver's to say. A few cheap questions: asked before the stream is read, and every minute
     * then. From any thread. Optional: without it they fail. */
    fr_rc (*absent)(fr_source *s, fr_arena *a, fr_absent **out, size_t *count_out, fr_err *err);
    /* A second reader of the same log, for a table that was held (decision 42): as read_stream,
     * from a resume that is not before what the stream's reader has confirmed, beside that reader,
     * readers of chunks and all other calls. It changes neither what status says nor what the
     * server keeps: confirm only keeps it alive, whatever resume it is given. While nothing of ours
     * comes it says about every second how far it has read, if that is news (HEARTBEAT), so that
     * the caller sees when it has reached the stream's reader. What is behind that one's position
     * must not be published from here: a server may show it here before it would survive a
     * failover. From any thread, as often as there is something to catch up; close it when there is
     * not. BUSY: there is no room for another reader now. POSITION: the log does not go back so
     * far, or cannot be read there any more: what is left is a new snapshot of the table. CONFIG
     * source.beside: this server cannot. Optional; without it, and where the server cannot, the one
     * stream has to read again from there. */
    fr_rc (*read_beside)(fr_source *s, fr_str resume, fr_reader **out, fr_err *err);
    /* Orders two resume texts of this source: <0, 0, >0. */
    int (*compare)(fr_source *s, fr_str a, fr_str b);
    /* The commit lsn space value below which resume has read everything: an event with
     * position.lsn < this is before resume. */
    uint64_t (*resume_lsn)(fr_source *s, fr_str resume);
    /* Could a stream be read from resume? As read_stream would say it, with nothing begun; that
     * the log has a reader now is no error here. For plan. Optional. */
    fr_rc (*verify)(fr_source *s, fr_str resume, fr_err *err);
    /* Does throttle.max_lag, max_load or query ask snapshots to wait? *why_out: the key and what
     * was seen, in the arena; empty: go on. From any thread. Optional: without it a
     * configuration that sets them is refused. */
    fr_rc (*busy)(fr_source *s, fr_arena *a, fr_str *why_out, fr_err *err);
    /* Can a snapshot of this table have this SQL condition? Asks the server, and reads no row: it
     * must be one whole condition, so that the statement around it stays what it is. Fails with
     * what the server says. From any thread. Optional: without it conditions are refused. */
    fr_rc (*check_where)(fr_source *s, fr_str space, fr_str name, fr_str where, fr_err *err);
    /* Adopt the slot's own position: for `position set --from-slot`. Optional. */
    fr_rc (*position_now)(fr_source *s, fr_arena *a, fr_str *resume_out, fr_err *err);
    void (*status)(fr_source *s, fr_status *out); /* never blocks; any thread */
    /* Refresh what status shows by asking the server (a connection of its own); called by
     * a background thread now and then. Optional. */
    fr_rc (*refresh)(fr_source *s, fr_err *err);
    /* Objects on the source that `apply --source-objects` would make (publication). */
    fr_rc (*apply_objects)(fr_source *s, fr_findings *done, fr_err *err);
    void (*close)(fr_source *s); /* half-opened or NULL is fine */
    /* The same database, asked in SQL: for tables whose method is query (connect/sql.h). All of
     * the above but name to config_size is for the log, and not used then. NULL: it cannot be. */
    const struct fr_sql_ops *sql;
    /* What a column is that is declared with this type ("numeric(10,2)"), as CREATE TABLE has it:
     * kind, precision, scale, span and native_type of *out, whose name is there; texts in the
     * arena. asked: columns.types of it, or NULL. Without a server, for tests of configurations.
     * CONFIG: no type that is known so. Optional. */
    fr_rc (*declared)(fr_arena *a, const char *type, const char *asked, fr_column *out,
                      fr_err *err);
    /* The same database, asked by `freshet verify` (connect/verify.h). NULL: it cannot be. */
    const struct fr_verify_ops *rows;
} fr_source_ops;
struct fr_source {
    const fr_source_ops *ops;
};

#endif
