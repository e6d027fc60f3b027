/* Named places where a test may inject a fault. FRESHET_FAILPOINT holds a comma-separated
 * list of name:action[:nth], action = kill (SIGKILL to ourselves), err, sleep=MS, stop
 * (SIGSTOP to ourselves), off (skip a safety step: control runs only); nth = at the n-th
 * passing (default 1), `*` at each. Compiled out unless FR_FAILPOINTS is defined: release
 * builds have none. scripts list them by grep. From any thread. */
#ifndef FR_BASE_FAILPOINT_H
#define FR_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef FR_FAILPOINTS
/* True when the action is err (the caller fails) or off (the caller leaves its step out). */
bool fr_failpoint(const char *name);
#define FR_FAILPOINT(name) fr_failpoint(name)
#else
#define FR_FAILPOINT(name) false
#endif

#endif
