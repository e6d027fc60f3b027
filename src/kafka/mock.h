/* A broker within this process, for who has none: librdkafka's mock. It keeps messages in memory
 * and knows no real transactions, no controller and no configuration: for the demo, nothing else.
 */
#ifndef FR_KAFKA_MOCK_H
#define FR_KAFKA_MOCK_H

#include "base/error.h"
#include <stddef.h>

typedef struct fr_mock fr_mock;

/* Begins to listen on a port of this machine, with these topics of one partition. It lives in
 * threads of its own. BUSY: it cannot. */
fr_rc fr_mock_start(const char *const *topics, size_t count, fr_mock **out, fr_err *err);
void fr_mock_stop(fr_mock *m); /* NULL is fine; all clients must be gone */
/* "127.0.0.1:41965"; as long as the mock. */
const char *fr_mock_brokers(const fr_mock *m);

#endif
