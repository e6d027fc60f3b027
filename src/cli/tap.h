/* Messages of a topic, decoded and shown: what tap does, for other verbs, too. */
#ifndef FR_CLI_TAP_H
#define FR_CLI_TAP_H

#include "cli/cli.h"
#include "codec/registry.h"
#include "kafka/consume.h"

typedef struct fr_tap {
    fr_cli *cli;
    const char *word, *topic; /* word: what a person typed */
    fr_registry *registry;
    fr_consumer *consumer;
    fr_arena *a;          /* of one message */
    json_t *events;       /* borrowed from the result of --json */
    int64_t limit, shown; /* limit 0: none */
} fr_tap;

/* Without a consumer group, from the topic's beginning or its end. fr_tap_close in any case. */
fr_rc fr_tap_open(fr_tap *t, const fr_config *config, bool beginning, fr_err *err);
void fr_tap_close(fr_tap *t);
/* Shows what comes until the batch is full or the deadline passes; as fr_consume. */
fr_rc fr_tap_read(fr_tap *t, fr_batch *b, int64_t deadline_us, fr_err *err);

/* Bytes that are no Avro, as JSON: the text that they are, or {"$bytes":"00ff"}. */
fr_str fr_tap_raw(fr_arena *a, fr_str data);

#endif
