/* What must hold for a table to be compared with what was published of it: for run, and for plan.
 */
#ifndef FR_CAPTURE_COMPARE_H
#define FR_CAPTURE_COMPARE_H

#include "kafka/admin.h"
#include "model/route.h"

/* CONFIG: its key is cast, or a row that is gone does not tell its partition. Pure. */
fr_rc fr_compare_route(const fr_route *route, fr_err *err);
/* FR_OK: the topic keeps its keys; FR_END: it is not there yet, and will. published: rows were. */
fr_rc fr_compare_topic(fr_admin *admin, const fr_kafka_settings *kafka, const fr_route *route,
                       bool published, fr_err *err);

#endif
