/* The board as the drivers know it. */
#ifndef FR_CONTROL_OBSERVER_H
#define FR_CONTROL_OBSERVER_H

#include "connect/observer.h"
#include "control/status.h"

/* What is told of this part. As long as its board lives; from any thread. */
fr_observer fr_board_observer(fr_part *p);

#endif
