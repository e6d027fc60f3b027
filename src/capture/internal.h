/* What the files of capture/ share, and nobody else sees. */
#ifndef FR_CAPTURE_INTERNAL_H
#define FR_CAPTURE_INTERNAL_H

#include "base/bytes.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/map.h"
#include "base/queue.h"
#include "capture/capture.h"
#include "codec/encode.h"
#include "connect/runner.h"
#include "connect/sql.h"
#include "kafka/publish.h"
#include "transform/route.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct snapshot snapshot;
typedef struct throttle throttle;
typedef struct requests requests;
typedef struct polls polls;
typedef struct held held;
typedef struct holds holds;
typedef struct absences absences;
typedef struct moves moves;

struct fr_capture {
    fr_capture_settings s;
    char who[96]; /* "source erp" */
    fr_runner runner;
    pthread_mutex_t lock; /* reader, safe, and what interrupt touches */

    /* One run: from opening everything to the next failure. */
    fr_registry *registry;
    fr_publisher *publisher;
    fr_checkpoint *checkpoint;
    fr_source *source;
    fr_router *router;
    fr_encoder *encoder;
    fr_pool *pool;
    throttle *throttle; /* of snapshots or polls */
    requests *requests; /* for snapshots; under the lock */
    holds *holds;       /* asked for, or asked to end; under the lock */
    held *held_tables;  /* of this run; the publisher's */
    absences *absences; /* tables that are gone */
    moves *moves;       /* tables that go on in another topic; of this run, the publisher's */
    fr_said *said;      /* about topics, over all runs */
    int64_t run_began_us;
    bool snapshot_waits;    /* a snapshot waits: the stream is followed until it may go on */
    fr_queue *filled;       /* batches, reader -> publisher */
    fr_reader *reader;      /* the stream's, while there is one; for interrupt */
    atomic_bool committing; /* the publisher waits for the broker, and not for batches */
    atomic_bool silent;     /* the source had nothing more to say when the last batch was filled */
    fr_encoder_settings encoding; /* what the encoder was made with */
    polls *polls;                 /* of a source that is polled; NULL: none now; under the lock */
    fr_buf safe;                  /* newest committed resume text */
    fr_buf confirmable;           /* not beyond what held tables need */
    uint64_t safe_version;

    /* Over all runs, under the lock: rows that Kafka did not take for their size. */
    fr_arena *refused_arena;
    fr_map *refused; /* which row -> why (char *); NULL: none yet */
};

static inline bool stopping(fr_capture *c)
{
    return atomic_load_explicit(&c->runner.stopping, memory_order_relaxed);
}

/* capture.c */
fr_rc capture_encoder(fr_capture *c, fr_str resume, fr_arena *a, fr_err *err);
/* Of the table's snapshot, as of the start of this run; NULL: none. */
const fr_snapshot_progress *capture_progress(const fr_capture *c, fr_str space, fr_str name);
fr_rc capture_next_epoch(fr_str resume, uint32_t *out, fr_err *err);

/* outlet.c: from filled batches to committed Kafka transactions. */
typedef struct outlet outlet;
outlet *outlet_new(fr_capture *c);
void outlet_free(outlet *o); /* gives all batches back */
/* A transaction split before the last stop: skip what was published of it (R17). */
void outlet_skip(outlet *o, const fr_split *split);
void outlet_resume(outlet *o, fr_str resume);
void outlet_snapshot(outlet *o, snapshot *s); /* chunk progress goes into its checkpoints */
/* This run reads the rows of this table, and says so in the checkpoint. */
void outlet_known(outlet *o, fr_str space, fr_str name);
/* Something was taken in that no commit has carried yet. */
bool outlet_open(const outlet *o);
/* The next batch to take; NULL: none until deadline_us (monotonic), or the readers have ended. */
fr_batch *outlet_next(outlet *o, int64_t deadline_us);
size_t outlet_waiting(const outlet *o); /* batches that outlet_next would give at once */
/* Encode and produce a batch that outlet_next gave; commits whenever a limit is reached. Owns
 * the batch. */
fr_rc outlet_take(outlet *o, fr_batch *b, fr_err *err);
/* Nothing is waiting: commit if it is time. quiet: the source has nothing more to say. */
fr_rc outlet_idle(outlet *o, bool quiet, fr_err *err);
fr_rc outlet_close(outlet *o, fr_err *err); /* commit now; no-op when there is nothing */
/* At the end: commit what is whole, give up (abort) a transaction that is not. */
fr_rc outlet_finish(outlet *o, fr_err *err);
/* At a stop: the `ends` record, unless it is as new as what was committed. */
fr_rc outlet_ends(outlet *o, fr_err *err);
/* When the next idle commit is due (monotonic), INT64_MAX: nothing is open. */
int64_t outlet_due(const outlet *o);
/* The newest source transaction taken in is younger than five seconds. */
bool outlet_fresh(const outlet *o);
/* Write records of our own in a transaction of their own. */
fr_rc outlet_records(outlet *o, const fr_record *records, size_t count, fr_err *err);

/* messages[first..last) of so many events, into the open transaction, or a new one: they stay where
 * they are until it is committed, or the publisher closed. */
fr_rc outlet_send(outlet *o, fr_batch *b, size_t first, size_t last, size_t events, fr_err *err);
/* Into the open transaction, with another encoder than the stream's (held.c): events[from..to) of a
 * batch that stays the caller's until outlet_keep. */
fr_rc outlet_beside(outlet *o, fr_encoder *e, fr_batch *b, size_t from, size_t to, fr_err *err);
void outlet_keep(outlet *o, fr_batch *b); /* until the next commit; then it goes back to the pool */
fr_str outlet_position(const outlet *o);  /* of the last whole transaction that was taken in */
/* Nothing is encoded beyond it, and no transaction is taken in by half. */
bool outlet_settled(const outlet *o);

/* tally.c */
typedef struct tallies tallies;
tallies *tallies_new(void);
void tallies_free(tallies *all);
bool tallies_add(tallies *all, const fr_event *e, uint64_t bytes); /* true: its table's first */
void tallies_tell(tallies *all, const fr_observer *ob);            /* and begin at 0 */
typedef struct settling {
    int64_t quickest_us; /* a commit without a stall: the least seen, rising slowly */
    int64_t settle_us;   /* how long a broker is busy with a commit after it said yes */
    bool after_another;  /* the open transaction was begun right after one */
} settling;
void settling_wait(settling *p, int64_t closed_us, bool young);
void settling_learn(settling *p, int64_t took, bool young);

/* notices.c */
typedef enum notices_state { NOTICES_UNKNOWN, NOTICES_GO, NOTICES_CANNOT } notices_state;
/* This message is a notice, and no row. */
bool notices_is(const fr_capture *c, const fr_batch *b, const fr_message *m);
/* messages[first..last) of the batch into the open transaction, without the notices among them
 * where their topic cannot be written, which is said once. */
fr_rc notices_produce(fr_capture *c, notices_state *state, fr_batch *b, size_t first, size_t last,
                      size_t *failed, fr_err *err);

/* ahead.c: batches that are encoded while a commit is under way. The publisher's thread. */
typedef struct ahead ahead;
ahead *ahead_new(fr_capture *c);
void ahead_free(ahead *a); /* gives its batches back */
bool ahead_allowed(const ahead *a);
size_t ahead_waiting(const ahead *a); /* encoded or not */
bool ahead_encoded(const ahead *a);   /* some are */
/* *encoded: how many of its events are, their messages in the batch. */
fr_batch *ahead_next(ahead *a, int64_t deadline_us, size_t *encoded);
bool ahead_work(ahead *a); /* encodes one batch; false: there is none, or it must not be */

/* dead.c: errors.mode dlq. */
typedef struct dead_letters dead_letters;
dead_letters *dead_new(fr_capture *c);
void dead_free(dead_letters *d);
bool dead_wanted(const dead_letters *d, const fr_event *e); /* its table's errors.mode is dlq */
/* Its key is parked, or Kafka has refused it: dead_put with why NULL, where its table still has
 * dead letters (dead_wanted); else dead_left, the error that says so. */
bool dead_parked(dead_letters *d, const fr_event *e);
fr_rc dead_left(const fr_event *e, fr_err *err);
/* Producing this message of the batch failed with *err. Where that is its size, and its table's
 * errors.mode is dlq: the row is set aside when it is read again, and *err passes by itself, for
 * the transaction is lost with the message. Returns FR_FAIL. */
fr_rc dead_refused(dead_letters *d, const fr_batch *b, size_t message, fr_err *err);
/* The dead letter of events[index], as a message of the batch; its key is parked. why NULL: it
 * was parked already. */
fr_rc dead_put(dead_letters *d, fr_batch *b, size_t index, const fr_err *why, fr_err *err);
/* Keys parked since the last commit; borrowed until dead_committed. */
size_t dead_records(dead_letters *d, const fr_record **out);
void dead_committed(dead_letters *d);

/* snapshot.c */
snapshot *snapshot_new(fr_capture *c);
void snapshot_free(snapshot *s);
/* Adds the plan's chunks of a table, or those left from before. */
void snapshot_add(snapshot *s, const fr_plan *plan, fr_str space, fr_str name,
                  const fr_snapshot_progress *before);
/* Before snapshot_add: the log is read from here on, so that of an outbox only older rows are left.
 */
void snapshot_since(snapshot *s, fr_str resume);
size_t snapshot_tables(const snapshot *s);
/* Nothing more of this table is read, nor noted: a new snapshot of it is to be taken. */
void snapshot_leave(snapshot *s, fr_str space, fr_str name);
/* The batch is of a table that is held, or left: nothing more of it is read, nor noted. */
bool snapshot_held(snapshot *s, const fr_batch *b);
/* Note that a batch of a chunk was produced; its progress belongs into the next commit. */
fr_rc snapshot_produced(snapshot *s, fr_batch *b, fr_err *err);
/* Records of all tables that changed since the last call, in the arena. */
size_t snapshot_records(snapshot *s, fr_arena *a, bool all, fr_record **out);
/* Beside a stream, which stands still meanwhile: what is not read after this time is left for
 * another view, where it can be gone on with. */
void snapshot_slice(snapshot *s, int64_t us);
/* FR_OK: all is read, or we are stopping; FR_IDLE: its slice is over, or it has to wait for so
 * long that its view was given up: the rest needs another one. */
fr_rc snapshot_run(snapshot *s, outlet *o, const fr_plan *plan, fr_err *err);

/* throttle.c: may a snapshot or a poll read now? From any thread but new and free. */
throttle *throttle_new(fr_capture *c);
void throttle_free(throttle *t);
/* "20:00-06:00", and a minute of the local day; NULL: always. */
bool throttle_in_window(const char *window, int minute);
/* Asks the source at most once a second, and tells and logs what changed. *waits_out: do not read
 * now; inside a chunk that was begun in the window only a busy server counts. *leave_out: that
 * will last, or has lasted: no view should be held open for it. */
fr_rc throttle_look(throttle *t, bool inside, bool *waits_out, bool *leave_out, fr_err *err);
/* rows_per_second: so many rows were read, over all readers. Until when (monotonic) nothing more
 * should be; 0: there is no limit. */
int64_t throttle_pay(throttle *t, size_t rows);
/* As throttle_look, for polls, which hold nothing open between two pages: asks over c. */
fr_rc throttle_poll(throttle *t, fr_sql *c, bool *waits_out, fr_err *err);
/* What holds polls back, "throttle.window: ..."; empty: nothing. False: at most rows_per_second,
 * which is no state of the source. */
bool throttle_cause(throttle *t, char *out, size_t size);

/* poll.c: a source whose tables are asked (method query). As run_once; nothing of the log is
 * opened. */
fr_rc poll_run(fr_capture *c, outlet *o, fr_arena *a, fr_err *err);

/* compare.c: what a polled table holds against what was published of it. */
struct fr_poller;
struct fr_sql;
typedef struct compare_way {          /* how the driver of polls lends a hand; all true: go on */
    fr_batch *(*take)(void *context); /* an empty batch of the pool; NULL: it is over */
    bool (*put)(void *context, fr_batch *b);
    bool (*settle)(void *context); /* waits until all that was put is committed */
    bool (*over)(void *context);
    void *context;
} compare_way;
/* Nobody else may use the poller meanwhile. FR_OK: compared; FR_IDLE: it is over; FR_END: it could
 * not be compared, *err says why, and nothing of the source is to blame; FR_FAIL. Unless FR_OK what
 * was found before is published all the same. */
fr_rc compare_table(fr_capture *c, const compare_way *way, struct fr_poller *poller,
                    struct fr_sql *sql, const fr_table_settings *settings, fr_err *err);

/* Any wait between two polls ends. From any thread, under c->lock. */
void polls_wake(polls *p);

/* request.c: what was asked about snapshots while the source runs. */
requests *requests_new(void);
void requests_free(requests *r);
bool requests_waiting(const requests *r); /* from any thread */
/* The rest of this table's snapshot is not wanted, and that waits to be taken. From any thread. */
bool requests_cancel(fr_capture *c, fr_str space, fr_str name);
/* The run is to begin anew, as if something was asked for. From any thread. */
void requests_reopen(requests *r);
void requests_taken(requests *r); /* the run has begun anew, where nothing else can be asked for */
/* Put them into the checkpoint, before anything is read. */
fr_rc requests_take(fr_capture *c, outlet *o, fr_err *err);

/* held.c: tables that the source goes on without (decision 24), and what catches them up beside it
 * (decision 42). The publisher's thread. */
held *held_new(fr_capture *c); /* as the checkpoint has them */
void held_free(held *h);
bool held_any(const held *h);
/* What comes of it is passed over. False once it is caught up. */
bool held_is(const held *h, fr_str space, fr_str name);
bool held_polled(const held *h, fr_str table); /* the same of "space.table" */
bool held_dirty(const held *h);                /* some record waits for a commit */
size_t held_waiting(const held *h);            /* batches that wait for the stream to come as far */
/* The encoder of this run is there; tables that an error held are released at the first run of a
 * process: what stood in their way may be mended. */
void held_begin(held *h);
/* Is this error of this event a reason to go on without its table, and not without all? */
bool held_wants(const held *h, const fr_event *e, const fr_err *why);
bool held_wants_read(const fr_table_settings *t, const fr_err *why); /* of a table that is polled */
/* It is held from here on. from: the resume of the last whole transaction before it; empty: it is
 * polled. txn, seen: what is published of the next one. unread: its snapshot was under way. */
typedef struct held_place {
    fr_str from, txn;
    uint64_t seen;
    bool unread;
} held_place;
void held_put(held *h, fr_str space, fr_str name, const held_place *at, const fr_err *why);
/* Where events[index] of the stream's batch can be left: the last place before it, which is
 * `before` where the batch has none, and what was published since of its table; rows: "space.table"
 * -> how many of them came before the batch. Borrowed from all of them. */
held_place held_place_before(const fr_batch *b, size_t index, fr_str before, const fr_map *rows);
/* From events[index] on, which was not encoded because of *err, its table goes on in another topic,
 * or is held and the others go on. FR_FAIL: neither. Of the stream's batch as held_place_before.
 * snap: of which the batch is a part. */
fr_rc held_from(fr_capture *c, snapshot *snap, fr_batch *b, size_t index, fr_str before,
                const fr_map *rows, fr_err *err);
/* Such rows of the transaction that the batch ends within, whose events begin at `from`. */
void held_count_rows(fr_map **rows, const fr_batch *b, size_t from, bool in_txn);
/* The same for events[index] of a batch of the second reader. */
void held_again(held *h, const fr_batch *b, size_t index, const fr_err *why);
/* For the next commit, in the arena; held_committed once it is. resume: its own. */
size_t held_records(held *h, fr_arena *a, fr_str resume, fr_record **out);
void held_committed(held *h);
/* The least of resume and what held tables are to be read from. Borrowed. */
fr_str held_least(const held *h, fr_str resume);
/* Somebody asked for something: held_work is to be called. From any thread. */
bool held_asked(fr_capture *c);
/* Between two batches: what was asked for, the second reader's beginning, its batches as far as the
 * stream has come, and its end. */
fr_rc held_work(held *h, outlet *o, fr_err *err);
/* Before the log is followed: where the source cannot be read twice, what was released. */
fr_rc held_before(held *h, outlet *o, fr_err *err);
void held_take(held *h, fr_batch *b); /* a batch of the second reader */
void held_end(held *h, outlet *o);    /* of the second reader; before the queue is freed */
/* Tables that a tombstone is to be written for: nothing is known of the source any more. */
size_t held_forget(held *h, fr_arena *a, fr_record **out);
size_t held_removed(held *h, fr_arena *a,
                    fr_record **out); /* those that are not captured any more */
holds *holds_new(void);
void holds_free(holds *q);

/* absent.c: tables that are gone, or that the log lacks. */
absences *absences_new(void);
void absences_free(absences *x);
/* Before anything is read. CONFIG where a table is not there that never was captured. */
fr_rc absent_at_start(fr_capture *c, outlet *o, fr_err *err);
void absent_look(fr_capture *c); /* asks the server, if it is time; the status thread's */
fr_rc absent_work(fr_capture *c, outlet *o, fr_err *err); /* what it has found; the publisher's */

/* move.c: schema.on_change new_topic. */
moves *moves_new(fr_capture *c); /* as the checkpoint has them; the router is told */
void moves_free(moves *m);
/* Rows of a transaction that is read again whose table had not gone on yet. */
void moves_skip(const moves *m);
bool moves_known(const moves *m, fr_str space, fr_str name); /* it has, once */
/* From events[index] of the batch on, which e did not encode because of *err (FR_NEW_TOPIC), its
 * table goes on in its next topic; what says so is in the batch and in the next commit's records.
 * FR_FAIL: *err says what is in the way. snap: as held_from. */
fr_rc moves_put(moves *m, fr_encoder *e, snapshot *snap, fr_batch *b, size_t index,
                const held_place *at, fr_err *err);
size_t moves_records(const moves *m, fr_arena *a, fr_record **out); /* of the next commit */
void moves_committed(moves *m);
/* What this run has met is nothing for a snapshot that was planned before. */
void moves_leave(const moves *m, snapshot *s);

/* stream.c: follow the log from resume. stop_lsn 0: until stopping, until a snapshot is asked
 * for, or, when one is held back (c->snapshot_waits), until that may go on; else until all commits
 * below it were taken. */
fr_rc stream_run(fr_capture *c, outlet *o, fr_str resume, uint64_t stop_lsn, fr_err *err);

#endif
