/* Drives one sink: consume -> decode -> apply -> commit, retry, dead letters; decides by the
 * kind of an error what happens next. Two threads: a consumer (consume, decode) and a writer
 * (apply, commit), so that decoding overlaps with the target's work and a slow target never
 * costs the group membership. */
#ifndef FR_APPLY_APPLY_H
#define FR_APPLY_APPLY_H

#include "connect/observer.h"
#include "connect/sink.h"
#include "model/settings.h"

typedef struct fr_apply_settings { /* all borrowed until fr_apply_free */
    const fr_sink_settings *sink;
    const fr_sink_ops *ops;
    const fr_kafka_settings *kafka;
    const fr_registry_settings *registry;
    int64_t memory;     /* bytes for batches */
    const char *member; /* this worker's name in the consumer group; see fr_consumer_settings */
    fr_observer observer;
} fr_apply_settings;

typedef struct fr_apply fr_apply;

/* Starts the threads; never waits for a server. */
fr_apply *fr_apply_start(const fr_apply_settings *settings);
/* Commit what was applied and end. From any thread; returns at once. */
void fr_apply_stop(fr_apply *a);
/* Give up what is under way as well. From any thread. */
void fr_apply_abandon(fr_apply *a);
/* Hold this topic: its messages wait in Kafka, the other topics go on; until it is released. why:
 * by whom or for what. From any thread; returns at once. */
void fr_apply_hold(fr_apply *a, fr_str topic, fr_str why);
/* Let a held topic go on, whatever held it. From any thread; returns at once. */
void fr_apply_release(fr_apply *a, fr_str topic);
/* True once the threads have nothing more to do. From any thread. */
bool fr_apply_done(fr_apply *a, bool *failed_out, fr_err *err_out);
void fr_apply_free(fr_apply *a); /* stops if need be, and joins; NULL is fine */

#endif
