/* What a sink connector implements. The same manners as a source: no retries, no threads,
 * no sleeping; fail and let the runtime decide. One thread at a time. */
#ifndef FR_CONNECT_SINK_H
#define FR_CONNECT_SINK_H

#include "base/error.h"
#include "connect/finding.h"
#include "connect/option.h"
#include "connect/status.h"
#include "model/batch.h"
#include "model/settings.h"

enum { FR_TOPIC_ID_SIZE = 32 };

typedef struct fr_offset {
    fr_str topic;
    int32_t partition;
    int64_t next; /* the offset to consume next; -1: none stored */
    /* Which topic of that name it counts in, as the cluster tells it; empty: nobody told. */
    char topic_id[FR_TOPIC_ID_SIZE];
} fr_offset;
typedef struct fr_offsets {
    fr_offset *items;
    size_t count;
} fr_offsets;

typedef struct fr_sink fr_sink;
struct fr_verify_ops;
typedef struct fr_sink_ops {
    const char *name, *type, *summary; /* "postgres-sink", "postgres" */
    const fr_option *options;          /* keys below sinks.<k>. */
    size_t config_size;
    int64_t batch_rows; /* write.batch where nothing is said; 0: what the option table says */

    fr_rc (*open)(const fr_sink_settings *settings, fr_sink **out, fr_err *err);
    fr_rc (*check)(const fr_sink_settings *settings, fr_findings *out, fr_err *err);
    /* Become the owner of these partitions (epoch + 1, R30) and fill in items[].next and topic_id
     * from the target; -1 and empty where it holds none. */
    fr_rc (*claim)(fr_sink *s, fr_offsets *offsets, fr_err *err);
    /* Make or check the target for this table version (create / on_change): `create` is
     * true in `freshet apply` and where create: run. table->space and name are the target's
     * (space empty: the connection's default). Idempotent. plan_only: only report, through
     * out (FR_CHANGE for what would be done). out may be NULL. */
    fr_rc (*prepare)(fr_sink *s, const fr_table *table, bool create, bool plan_only,
                     fr_findings *out, fr_err *err);
    /* What prepare would say and do where there is no such table yet: FR_CHANGE with sql, blockers
     * for what is in the way. Asks no server, and means the newest that this sink knows; of
     * settings only what tables are made by is read. For `schema export`. Optional. */
    fr_rc (*draft)(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                   fr_err *err);
    /* Apply events in order, inside the open target transaction (begun if need be). READ,
     * INSERT, UPDATE upsert (or append), DELETE and TRUNCATE by settings, TABLE calls
     * prepare; others are passed over. FR_ABSENT values are left as they are in the target.
     * Must bear repeats. On FR_FAIL events[*applied] is the one that failed, or one of its table
     * (a DATA error always knows which); *applied == to: it is no single table's fault. The
     * transaction is then rolled back and all since the last commit must be applied again. */
    fr_rc (*apply)(fr_sink *s, const fr_batch *batch, size_t from, size_t to, size_t *applied,
                   fr_err *err);
    /* Make all that was applied durable, and offsets with it, in one transaction; a topic_id that
     * is empty leaves the one that the target holds. FENCED
     * when another owner claimed one of the partitions. A lost reply to COMMIT is a CONNECT
     * error: the runtime reopens, claims and finds out (R34). */
    fr_rc (*commit)(fr_sink *s, const fr_offsets *offsets, fr_err *err);
    fr_rc (*rollback)(fr_sink *s, fr_err *err);
    /* R36: keys parked in the dead-letter queue, kept beside the offsets. park() is part of
     * the open transaction. Optional: without it errors.mode dlq is refused. */
    fr_rc (*park)(fr_sink *s, fr_str topic, fr_str key, fr_err *err);
    fr_rc (*parked)(fr_sink *s, fr_arena *a, fr_str topic, fr_str **keys_out, size_t *count_out,
                    fr_err *err);
    /* The key is parked no longer: part of the open transaction. One that is not parked: nothing.
     * Comes with park; NULL where the store has no transactions: freshet dlq refuses (dlq.sink). */
    fr_rc (*unpark)(fr_sink *s, fr_str topic, fr_str key, fr_err *err);
    void (*interrupt)(fr_sink *s); /* any thread: a running statement ends soon, CANCELLED */
    void (*status)(fr_sink *s, fr_status *out); /* any thread */
    void (*close)(fr_sink *s);
    /* What speaks against these settings, whatever the target is like: asked by `validate`, too.
     * The error's text begins with the key: "write.mode: why". CONFIG, with the remedy. Optional.
     */
    fr_rc (*settings)(const fr_sink_settings *settings, fr_err *err);
    /* The same database, asked by `freshet verify` (connect/verify.h). NULL: it cannot be. */
    const struct fr_verify_ops *rows;
} fr_sink_ops;
struct fr_sink {
    const fr_sink_ops *ops;
};

#endif
