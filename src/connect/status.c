#include "connect/status.h"

#include <stddef.h>

const char *fr_state_name(fr_state s)
{
    static const char *const names[] = {"pending",   "snapshotting", "catching-up", "streaming",
                                        "throttled", "paused",       "blocked",     "retrying",
                                        "failed",    "stopped"};
    size_t count = sizeof(names) / sizeof(names[0]);
    return (size_t)s < count ? names[s] : "unknown";
}
