/* The daemon: starts every source and sink of a configuration, answers signals, reports its
 * health, and ends in order. Call it from the main thread, before any other thread exists. */
#ifndef FR_CONTROL_RUN_H
#define FR_CONTROL_RUN_H

#include "control/config.h"

typedef struct fr_run_settings {
    const fr_config *config;
    /* SIGHUP: load the file again. Problems are logged by the callee; NULL: keep the old. */
    fr_config *(*reload)(void *context);
    void *context;
} fr_run_settings;

/* Returns the process's exit code, that of the worst part that failed, after a stop or once
 * none can work. FR_FAIL-like start-up trouble (HTTP address in use) is reported in *err and
 * as the code. */
int fr_run(const fr_run_settings *settings, fr_err *err);

#endif
