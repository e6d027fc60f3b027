/* The checkpoint topic, read to its end. Internal to src/kafka. */
#ifndef FR_KAFKA_RESTORE_H
#define FR_KAFKA_RESTORE_H

#include "kafka/client.h"
#include "progress/checkpoint.h"

/* read_committed, and no transaction is open at its end (R9). The topic must exist.
 * BUSY when a transaction stays open; POSITION when a record cannot be understood. */
fr_rc fr_restore(const fr_kafka_settings *settings, const char *source, fr_checkpoint **out,
                 fr_err *err);

#endif
