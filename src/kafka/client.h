/* What every client of ours has in common: configuration (ours, the user's, and what the
 * user may not set), logging, the last fault with librdkafka's own words, and errors made
 * from both. Internal to src/kafka. */
#ifndef FR_KAFKA_CLIENT_H
#define FR_KAFKA_CLIENT_H

#include "base/error.h"
#include "kafka/endtxn.h"
#include "model/settings.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { FR_CLIENT_TICK_MS = 200 };

typedef struct fr_client {
    rd_kafka_t *rk;
    const fr_kafka_settings *settings;
    char who[128];                  /* "source erp": for logs */
    void *owner;                    /* whose client it is: for delivery reports and rebalances */
    const atomic_bool *interrupted; /* the owner's; NULL: never */
    /* The newest fault of the most telling class; written by librdkafka's callbacks. */
    pthread_mutex_t lock;
    rd_kafka_resp_err_t fault;
    char reason[512];
    bool all_down;
} fr_client;

typedef struct fr_client_options {
    rd_kafka_type_t type;
    const char *who;
    void *owner;
    const atomic_bool *interrupted;
    const fr_pair *defaults; /* before the user's properties */
    size_t default_count;
    const fr_pair *owned; /* after them */
    size_t owned_count;
    fr_endtxn *ends; /* NULL: nobody asks */
    /* Callbacks; may be NULL. */
    void (*delivered)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *client);
    void (*rebalanced)(rd_kafka_t *rk, rd_kafka_resp_err_t what,
                       rd_kafka_topic_partition_list_t *partitions, void *client);
} fr_client_options;

/* CONFIG when a property is unknown, wrong or ours, or plaintext would leave this machine
 * (kafka.insecure). Connects to nothing yet. On failure *c is closed. */
fr_rc fr_client_open(fr_client *c, const fr_kafka_settings *settings,
                     const fr_client_options *options, fr_err *err);
void fr_client_close(fr_client *c); /* a client that is all zeros is fine */
/* A broker answered: CONNECT, AUTH when not within timeout_us, and sooner when every broker
 * refuses. *metadata_out may be NULL; else all topics, to be destroyed by the caller. */
fr_rc fr_client_ready(fr_client *c, int64_t timeout_us,
                      const struct rd_kafka_metadata **metadata_out, fr_err *err);
/* CANCELLED once interrupted, or once this thread is to give up (base/cancel.h). */
fr_rc fr_client_check(fr_client *c, fr_err *err);
/* The user's value of a property, or NULL. */
const char *fr_client_property(const fr_kafka_settings *settings, const char *name);

/* An error from librdkafka's, with the last fault's reason where it tells more; what is
 * "commit", "topic erp.public.orders". reason may be NULL. */
fr_rc fr_client_fail(fr_client *c, fr_err *err, rd_kafka_resp_err_t code, const char *reason,
                     const char *what);
/* The same from an error object, which it destroys. */
fr_rc fr_client_fail_error(fr_client *c, fr_err *err, rd_kafka_error_t *error, const char *what);
/* Which of our kinds, and the dotted code. */
fr_err_kind fr_client_kind(rd_kafka_resp_err_t code, const char **dotted, const char **hint);
/* True for what librdkafka tells a consumer and gets over by itself. */
bool fr_client_passes(rd_kafka_resp_err_t code);
/* True for the codes that say that another producer, or the broker's own time-out, has
 * taken our epoch (decision 35). */
bool fr_client_fenced(rd_kafka_resp_err_t code);

#endif
