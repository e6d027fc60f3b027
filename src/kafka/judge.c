/* R16: what a topic's configuration must be for the promise to hold. */
#include "kafka/topics.h"
#include <string.h>

static bool accepted(const fr_kafka_settings *s, const char *risk)
{
    return fr_texts_have(&s->accept_risk, fr_cstr(risk));
}

static fr_severity severity_of(const fr_kafka_settings *s, const char *risk)
{
    return accepted(s, risk) ? FR_WARNING : FR_BLOCKER;
}

static void hint(fr_findings *out, fr_finding *f, const char *text)
{
    f->hint = fr_arena_str(out->arena, fr_cstr(text));
}

static size_t judge_ours(const fr_topic_state *t, fr_findings *out)
{
    size_t refused = 0;
    if (t->partitions != 1) {
        refused++;
        hint(out,
             fr_findings_add(out, FR_BLOCKER, "kafka.topic.partitions",
                             "topic %s has %d partitions; it needs exactly 1", t->name,
                             (int)t->partitions),
             "Its order is its meaning: stop, copy its records into a topic of one partition.");
    }
    if (t->config_known && (!t->compacted || t->expires)) {
        refused++;
        hint(out,
             fr_findings_add(out, FR_BLOCKER, "kafka.topic.cleanup",
                             "topic %s is not only compacted: its records would expire", t->name),
             "kafka-configs --alter --entity-type topics --entity-name TOPIC --add-config "
             "cleanup.policy=compact");
    }
    return refused;
}

static size_t judge_data(const fr_kafka_settings *s, const fr_topic_state *t, bool null_keys,
                         fr_findings *out)
{
    size_t refused = 0;
    if (t->compacted && null_keys) {
        refused++;
        hint(out,
             fr_findings_add(out, FR_BLOCKER, "kafka.topic.cleanup",
                             "topic %s is compacted, and messages without key will come", t->name),
             "Give the table a key, or set cleanup.policy=delete on the topic.");
    }
    if (t->max_bytes >= 0 && t->max_bytes < s->max_row_bytes) {
        hint(out,
             fr_findings_add(out, FR_WARNING, "kafka.topic.max_bytes",
                             "topic %s takes messages of %lld bytes, rows may have %lld", t->name,
                             (long long)t->max_bytes, (long long)s->max_row_bytes),
             "Raise max.message.bytes on the topic, or lower daemon.max_row_bytes.");
    }
    if (s->topic_partitions > 0 && t->partitions != s->topic_partitions) {
        fr_findings_add(out, FR_WARNING, "kafka.topic.partitions",
                        "topic %s has %d partitions, kafka.topics.partitions says %lld", t->name,
                        (int)t->partitions, (long long)s->topic_partitions);
    }
    return refused;
}

static size_t judge_durability(const fr_kafka_settings *s, const fr_topic_state *t,
                               fr_findings *out)
{
    size_t refused = 0;
    if (t->replicas >= 3 && t->min_isr >= 0 && t->min_isr < 2) {
        fr_severity severity = severity_of(s, "min-insync-replicas");
        refused += severity == FR_BLOCKER;
        hint(out,
             fr_findings_add(out, severity, "kafka.topic.min_isr",
                             "topic %s: min.insync.replicas is %lld with %d replicas; one broker "
                             "alone may lose what it acknowledged",
                             t->name, (long long)t->min_isr, (int)t->replicas),
             "Set min.insync.replicas=2 on the topic, or accept it: kafka.accept_risk: "
             "[min-insync-replicas]");
    }
    if (t->unclean) {
        fr_severity severity = severity_of(s, "unclean-leader-election");
        refused += severity == FR_BLOCKER;
        hint(out,
             fr_findings_add(out, severity, "kafka.topic.unclean_election",
                             "topic %s: unclean.leader.election.enable is true; acknowledged "
                             "messages may be lost",
                             t->name),
             "Set unclean.leader.election.enable=false on the topic, or accept it: "
             "kafka.accept_risk: [unclean-leader-election]");
    }
    if (t->replicas < 3) {
        fr_findings_add(out, FR_WARNING, "kafka.topic.rf",
                        "topic %s has %d replica(s): a lost disk is lost data", t->name,
                        (int)t->replicas);
    }
    return refused;
}

size_t fr_topics_judge(const fr_kafka_settings *settings, const fr_topic_state *t, bool ours,
                       bool null_keys, fr_findings *out)
{
    size_t refused = ours ? judge_ours(t, out) : judge_data(settings, t, null_keys, out);
    if (!t->config_known) {
        hint(out,
             fr_findings_add(out, FR_WARNING, "kafka.acl.configs",
                             "topic %s: its configuration may not be seen, so it is not checked",
                             t->name),
             "Grant DescribeConfigs on the topic.");
        return refused;
    }
    return refused + judge_durability(settings, t, out);
}
