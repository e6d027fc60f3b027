/* Which librdkafka this is, and what that means. */
#include "kafka/admin.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>

static char name[64];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_name(void)
{
    snprintf(name, sizeof(name), "librdkafka %s", rd_kafka_version_str());
}

const char *fr_kafka_library(void)
{
    pthread_once(&once, make_name);
    return name;
}

bool fr_kafka_library_weak(const char **why)
{
    int version = rd_kafka_version();
    *why = "";
    if (version < 0x020300ff) {
        *why = "older than 2.3.0: a topic that was deleted and created again is not recognised by "
               "its id, an idempotent producer may stop after a disconnect, and SCRAM logins fail "
               "with Kafka 3.8.1 and newer";
    } else if (version < 0x020500ff) {
        *why = "older than 2.5.0: an idempotent producer may stop after a disconnect, and SCRAM "
               "logins fail with Kafka 3.8.1 and newer";
    } else if (version < 0x020601ff) {
        *why = "older than 2.6.1: SCRAM logins fail with Kafka 3.8.1 and newer";
    }
    return (*why)[0] != '\0';
}
