/* freshet position, in its files. */
#ifndef FR_CLI_POSITION_H
#define FR_CLI_POSITION_H

#include "cli/ask.h"

/* Where a sink goes on, or one topic of it (empty: all): beginning, end, here, or a time in UTC. It
 * is said first, and asked for once. */
fr_rc fr_position_set_sink(fr_cli *cli, const fr_config *config, const fr_will_target *t,
                           const char *where, fr_err *err);

#endif
