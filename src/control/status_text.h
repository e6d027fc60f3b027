/* Phrases of `freshet status` that other verbs say as well. */
#ifndef FR_CONTROL_STATUS_TEXT_H
#define FR_CONTROL_STATUS_TEXT_H

#include "base/json.h"
#include "control/status.h"

/* "log kept 31.0 GB of 50.0 GB, +2.1 GB/h: limit in 9h00m", of a part of the status document;
 * false: nobody knows what is kept. */
bool fr_status_retained(const json_t *part, fr_buf *out);

#endif
