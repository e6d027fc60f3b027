/* What the cluster says about topics, making them, and what R15 and R16 ask of them.
 * Internal to src/kafka; owner's thread of the client. */
#ifndef FR_KAFKA_TOPICS_H
#define FR_KAFKA_TOPICS_H

#include "connect/finding.h"
#include "connect/sink.h"
#include "kafka/client.h"
#include "progress/checkpoint.h"

typedef struct fr_topic_state {
    const char *name; /* in the arena */
    bool exists;
    int32_t partitions, replicas; /* replicas: the fewest of any partition */
    fr_str id;                    /* empty: the library or the broker does not tell */
    bool config_known;            /* false: no right to DescribeConfigs */
    bool compacted, expires;      /* cleanup.policy: compact, delete, or both */
    bool unclean;
    int64_t min_isr, max_bytes; /* -1 unknown */
} fr_topic_state;

/* One request each for topics and their configuration; out has count entries. */
fr_rc fr_topics_describe(fr_client *c, fr_arena *a, const char *const *names, size_t count,
                         fr_topic_state *out, fr_err *err);
#if RD_KAFKA_VERSION >= 0x020300ff
/* The id as text, at least 32 bytes; false: the broker does not tell. */
bool fr_topics_id(const rd_kafka_TopicDescription_t *d, char *out, size_t size);
#endif
/* The same of the topics alone: there, partitions, replicas, ids. */
fr_rc fr_topics_look(fr_client *c, fr_arena *a, const char *const *names, size_t count,
                     fr_topic_state *out, fr_err *err);
/* With the settings; ours: one partition, compacted. Waits until it can be used. FR_END when
 * it is there already. */
fr_rc fr_topics_create(fr_client *c, const char *name, bool ours, fr_err *err);
/* The log end (high watermark) of each place, into log_ends[i]; -1: partition not there. */
fr_rc fr_topics_log_ends(fr_client *c, const fr_end *places, size_t count, int64_t *log_ends,
                         fr_err *err);
/* Each next becomes the first message of this time (in ms since 1970, by Kafka's timestamps) or
 * later; where there is none it stays. */
fr_rc fr_topics_at(fr_client *c, int64_t time_ms, fr_offsets *offsets, fr_err *err);
/* R16: appends what is not as it should be; returns how many of them refuse to run. */
size_t fr_topics_judge(const fr_kafka_settings *settings, const fr_topic_state *t, bool ours,
                       bool null_keys, fr_findings *out);
/* The same of one topic: what refuses is the error, warnings are logged. said: what was logged
 * before; NULL: all is news. */
fr_rc fr_topics_check(const fr_client *c, fr_said *said, const fr_topic_state *t, bool ours,
                      fr_err *err);
/* Describes the topic, after it was made where it was missing and create allows that. CONFIG
 * (kafka.topic.missing) where not. */
fr_rc fr_topics_need(fr_client *c, fr_arena *a, const char *name, bool create, bool ours,
                     fr_topic_state *out, fr_err *err);
/* A topic of ours: there (made unless kafka.topics.create is never), and checked. */
fr_rc fr_topics_own(fr_client *c, fr_said *said, const char *name, fr_err *err);
/* "freshet.<pipeline>.checkpoint.<source>" */
void fr_topics_checkpoint_name(const fr_kafka_settings *settings, const char *source, char *out,
                               size_t size);

#endif
