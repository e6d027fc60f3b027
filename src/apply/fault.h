/* What follows from an error of one event of a sink: errors.mode, and on_change where a change of
 * the table is meant. Pure. Internal to src/apply. */
#ifndef FR_APPLY_FAULT_H
#define FR_APPLY_FAULT_H

#include "base/error.h"
#include "model/settings.h"

typedef enum fr_fault {
    FR_FAULT_STOPS,     /* it is the sink's: it ends, or is tried again as a whole */
    FR_FAULT_HOLDS,     /* its topic waits */
    FR_FAULT_SETS_ASIDE /* the message goes to the dead letters */
} fr_fault;

/* err: an event is known that it is of. */
fr_fault fr_fault_of(const fr_sink_settings *s, const fr_err *err);

#endif
