/* What the files of apply/ share, and nobody else sees. */
#ifndef FR_APPLY_INTERNAL_H
#define FR_APPLY_INTERNAL_H

#include "apply/apply.h"
#include "apply/holds.h"
#include "base/bytes.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/queue.h"
#include "codec/decode.h"
#include "connect/runner.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include "transform/shape.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer writer;

struct fr_apply {
    fr_apply_settings s;
    char who[96]; /* "sink warehouse" */
    fr_runner runner;
    pthread_mutex_t lock;
    pthread_cond_t drained; /* the writer has nothing uncommitted, or has ended */

    /* One run: from opening everything to the next failure. */
    fr_registry *registry;
    fr_consumer *consumer;
    fr_decoder *decoder;
    fr_shaper *shaper;
    bool no_target; /* the rules told the decoder none for its topic; the consumer thread's */
    fr_sink *sink;
    fr_pool *pool;
    fr_queue *decoded; /* consumer -> writer */
    writer *writer;
    size_t partitions;    /* that are ours; the consumer thread's */
    int64_t next_ends_us; /* when ends are told again; the consumer thread's */
    atomic_bool run_over; /* one of the two threads has ended this run */
    bool flush;           /* under lock: commit what there is, then signal drained */
    size_t uncommitted;   /* under lock: batches queued or applied, not committed */
    fr_offsets advisory;  /* under lock: committed in the target, to be told to the group */
    fr_arena *advisory_arena;
    /* Over all runs. */
    fr_holds *holds;
    char locked[256];    /* topic whose table was locked last, since the last commit */
    int64_t replaced_us; /* when another last joined under our name; 0 never */
};

static inline bool stopping(fr_apply *a)
{
    return atomic_load_explicit(&a->runner.stopping, memory_order_relaxed);
}

/* consume_loop.c */
fr_rc consume_open(fr_apply *a, fr_err *err);
fr_rc consume_run(fr_apply *a, fr_err *err); /* the consumer thread, until stop or failure */

/* writer.c */
writer *writer_new(fr_apply *a);
void writer_free(writer *w);
/* The writer thread's body. */
fr_rc writer_run(writer *w, fr_err *err);
/* While nothing is uncommitted: own the partitions, whose topics have these ids now, learn where
 * they stand and which keys are parked. POSITION where the target's place is one in another topic
 * of that name. What was left out of them is forgotten: it is read again. */
fr_rc writer_claim(writer *w, fr_offsets *offsets, fr_err *err);

#endif
