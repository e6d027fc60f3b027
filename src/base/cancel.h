/* Waits that end when their thread is told to give up. A driver names a flag once; whatever
 * waits on that thread for a server (a login, a reply, a broker that is not there) looks at it
 * every now and then, and no handle has to exist yet for it to be reached. */
#ifndef FR_BASE_CANCEL_H
#define FR_BASE_CANCEL_H

#include "base/error.h"
#include <stdatomic.h>
#include <stdbool.h>

/* How long a wait may last, in milliseconds, between two looks. */
enum { FR_CANCEL_TICK_MS = 100 };

/* The waits of this thread end once *flag is true. Borrowed; NULL: they never do. */
void fr_cancel_by(const atomic_bool *flag);
bool fr_cancelled(void);
/* CANCELLED once cancelled, FR_OK before. */
fr_rc fr_cancel_check(fr_err *err);

#endif
