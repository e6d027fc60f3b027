/* Sources that are paused: nothing reads them, but what their servers keep for them is asked every
 * few seconds, by a connection of its own. One thread for all. From any thread. */
#ifndef FR_CONTROL_WATCH_H
#define FR_CONTROL_WATCH_H

#include "control/config.h"
#include "control/status.h"

typedef struct fr_watch fr_watch;
fr_watch *fr_watch_new(const fr_config *config); /* borrowed until free */
void fr_watch_free(fr_watch *w);                 /* joins */
/* Watch this source, and tell the board; no-op for one that keeps no log for us. */
void fr_watch_source(fr_watch *w, size_t source, fr_part *board);
/* No longer: nothing is told once this returned. */
void fr_watch_leave(fr_watch *w, size_t source);

#endif
