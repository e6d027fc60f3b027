/* Drives one source: opens it, snapshots, follows its log, publishes, retries; decides by the
 * kind of an error, and by nothing else, what happens next. One thread of its own (the
 * publisher), one more for the reader, chunk readers while a snapshot runs. */
#ifndef FR_CAPTURE_CAPTURE_H
#define FR_CAPTURE_CAPTURE_H

#include "connect/observer.h"
#include "connect/source.h"
#include "model/settings.h"
#include "progress/checkpoint.h"

struct fr_origin; /* codec/avro_schema.h */
struct fr_router; /* transform/route.h */

typedef struct fr_capture_settings { /* all borrowed until fr_capture_free */
    const fr_source_settings *source;
    const fr_source_ops *ops;
    const fr_kafka_settings *kafka;
    const fr_registry_settings *registry;
    int64_t memory;        /* bytes for batches */
    const char *instance;  /* unique per start of the process */
    const char *cache_dir; /* for files while tables are compared */
    fr_observer observer;
} fr_capture_settings;

typedef struct fr_capture fr_capture;

/* Would a start now go on from this checkpoint, or make its slot? Else the error that it would
 * end with. Changes nothing; for plan. */
fr_rc fr_capture_verify(const fr_source_settings *settings, fr_source *source,
                        const fr_checkpoint *checkpoint, fr_err *err);

/* Starts the thread; never waits for a server. */
fr_capture *fr_capture_start(const fr_capture_settings *settings);
/* Finish the transaction at hand, commit, confirm, end. From any thread; returns at once. */
void fr_capture_stop(fr_capture *c);
/* Give up what is under way as well (the drain time is over). From any thread. */
void fr_capture_abandon(fr_capture *c);
/* Take a snapshot of this table again, as if it were new, beside the stream: noted, and begun
 * once the source follows its log and no transaction is open. where: only rows for which this SQL
 * holds; empty: all. From any thread; returns at once. */
void fr_capture_snapshot(fr_capture *c, fr_str space, fr_str name, fr_str where);
/* Do not read what is left of this table's snapshot, whatever asked for that. Noted; a snapshot
 * under way is left within a second or so. From any thread; returns at once. */
void fr_capture_cancel(fr_capture *c, fr_str space, fr_str name);
/* What became of the newest of both: nobody asked since the start; noted; in the checkpoint, so
 * that it survives whatever comes; there is no such table; refused, and then *why says why. From
 * any thread. */
typedef enum fr_request_state {
    FR_REQUEST_NONE,
    FR_REQUEST_ASKED,
    FR_REQUEST_TAKEN,
    FR_REQUEST_UNKNOWN,
    FR_REQUEST_REFUSED
} fr_request_state;
fr_request_state fr_capture_requested(fr_capture *c, fr_str space, fr_str name, fr_err *why);
/* Hold this table: what comes of it from now on waits in the source's log, until it is released;
 * the others go on. why: by whom or for what. Of a table that is held already only the word
 * changes. Noted, and done at the next end of a transaction. From any thread; returns at once. */
void fr_capture_hold(fr_capture *c, fr_str space, fr_str name, fr_str why);
/* Let a held table go on, whatever held it: it is caught up beside the others, and held again where
 * the cause is still there. anew: do not catch up, take a new snapshot of it instead. Nothing
 * happens to one that is not held. From any thread; returns at once. */
void fr_capture_release(fr_capture *c, fr_str space, fr_str name, bool anew);
/* The name that a row's key has among dead letters, "topic/hash"; FR_END: the row has none, or is
 * not whole. A row of the source, or one as its letter has it where nothing of the key is masked.
 */
fr_rc fr_dead_key(struct fr_router *router, fr_arena *a, const fr_table *table, const fr_row *row,
                  fr_str *out, fr_err *err);
/* What the encoder says of where events come from; resume knows the database. In the arena. */
fr_rc fr_capture_origin(const fr_source_settings *settings, fr_str resume, fr_arena *a,
                        struct fr_origin *out, fr_err *err);
/* Asks the server; CONFIG (snapshot.where) with what it says, or why it could not be asked. */
fr_rc fr_capture_check_where(const fr_source_settings *settings, fr_source *source, fr_str space,
                             fr_str name, fr_str where, fr_err *err);
/* True once the thread has nothing more to do. failed_out, err_out: how it ended. From any
 * thread. */
bool fr_capture_done(fr_capture *c, bool *failed_out, fr_err *err_out);
void fr_capture_free(fr_capture *c); /* stops if need be, and joins; NULL is fine */

#endif
