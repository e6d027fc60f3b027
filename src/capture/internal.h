/* What the files of capture/ share, and nobody else sees. */
#ifndef FR_CAPTURE_INTERNAL_H
#define FR_CAPTURE_INTERNAL_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/map.h"
#include "base/queue.h"
#include "capture/capture.h"
#include "codec/encode.h"
#include "kafka/publish.h"
#include "transform/route.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct snapshot snapshot;
typedef struct throttle throttle;

struct fr_capture {
    fr_capture_settings s;
    fr_source_settings settings; /* what s.source points to: the caller's, and our stop flag */
    char who[96];                /* "source erp" */
    pthread_t thread;
    pthread_mutex_t lock; /* reader, safe, err, done, failed; and what interrupt touches */
    pthread_cond_t wake;
    atomic_bool stopping, abandoned;
    bool done, failed;
    fr_err err;

    /* One run: from opening everything to the next failure. */
    fr_registry *registry;
    fr_publisher *publisher;
    fr_checkpoint *checkpoint;
    fr_source *source;
    fr_router *router;
    fr_encoder *encoder;
    fr_pool *pool;
    throttle *throttle; /* of snapshots */
    bool held;          /* a snapshot waits: the stream is followed until it may go on */
    fr_queue *filled;   /* batches, reader -> publisher */
    fr_reader *reader;  /* the stream's, while there is one; for interrupt */
    atomic_bool silent; /* the source had nothing more to say when the last batch was filled */
    fr_buf safe;        /* newest committed resume text */
    uint64_t safe_version;
    bool progressed; /* something was committed in this run */
};

static inline bool stopping(fr_capture *c)
{
    return atomic_load_explicit(&c->stopping, memory_order_relaxed);
}

/* outlet.c: from filled batches to committed Kafka transactions. */
typedef struct outlet outlet;
outlet *outlet_new(fr_capture *c);
void outlet_free(outlet *o); /* gives all batches back */
/* A transaction split before the last stop: skip what was published of it (R17). */
void outlet_skip(outlet *o, const fr_split *split);
void outlet_resume(outlet *o, fr_str resume);
void outlet_snapshot(outlet *o, snapshot *s); /* chunk progress goes into its checkpoints */
/* Encode and produce a batch; commits whenever a limit is reached. Owns the batch. */
fr_rc outlet_take(outlet *o, fr_batch *b, fr_err *err);
/* Nothing is waiting: commit if it is time. quiet: the source has nothing more to say. */
fr_rc outlet_idle(outlet *o, bool quiet, fr_err *err);
fr_rc outlet_close(outlet *o, fr_err *err); /* commit now; no-op when there is nothing */
/* At the end: commit what is whole, give up (abort) a transaction that is not. */
fr_rc outlet_finish(outlet *o, fr_err *err);
/* When the next idle commit is due (monotonic), INT64_MAX: nothing is open. */
int64_t outlet_due(const outlet *o);
/* The newest source transaction taken in is younger than five seconds. */
bool outlet_fresh(const outlet *o);
/* Write records of our own in a transaction of their own. */
fr_rc outlet_records(outlet *o, const fr_record *records, size_t count, fr_err *err);

/* dead.c: errors.mode dlq. */
typedef struct dead_letters dead_letters;
dead_letters *dead_new(fr_capture *c);
void dead_free(dead_letters *d);
bool dead_wanted(const dead_letters *d, const fr_event *e); /* its table's errors.mode is dlq */
bool dead_parked(dead_letters *d, const fr_event *e);
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
size_t snapshot_tables(const snapshot *s);
/* Note that a batch of a chunk was produced; its progress belongs into the next commit. */
fr_rc snapshot_produced(snapshot *s, fr_batch *b, fr_err *err);
/* Records of all tables that changed since the last call, in the arena. */
size_t snapshot_records(snapshot *s, fr_arena *a, bool all, fr_record **out);
/* FR_OK: all is read, or we are stopping; FR_IDLE: it has to wait for so long that its view was
 * given up, and the rest needs another one. */
fr_rc snapshot_run(snapshot *s, outlet *o, const fr_plan *plan, fr_err *err);

/* throttle.c: may a snapshot read now? From any thread but new and free. */
throttle *throttle_new(fr_capture *c);
void throttle_free(throttle *t);
/* "20:00-06:00", and a minute of the local day; NULL: always. */
bool throttle_in_window(const char *window, int minute);
/* True when the source has to be asked, on a connection more. */
bool throttle_asks_source(const fr_source_settings *s);
/* Asks the source at most once a second, and tells and logs what changed. *waits_out: do not read
 * now; inside a chunk that was begun in the window only a busy server counts. *leave_out: that
 * will last, or has lasted: no view should be held open for it. */
fr_rc throttle_look(throttle *t, bool inside, bool *waits_out, bool *leave_out, fr_err *err);

/* stream.c: follow the log from resume. stop_lsn 0: until stopping, or, when a snapshot is held
 * back (c->held), until that may go on; else until all commits below it were taken. */
fr_rc stream_run(fr_capture *c, outlet *o, fr_str resume, uint64_t stop_lsn, fr_err *err);

#endif
