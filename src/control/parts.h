/* The sources and sinks of the running process: started, ended, and started again, as the
 * configuration and the operator want it (docs/operating.md). The main thread's, but where a
 * function says "From any thread". */
#ifndef FR_CONTROL_PARTS_H
#define FR_CONTROL_PARTS_H

#include "capture/capture.h"
#include "control/config.h"
#include "control/status.h"

typedef struct fr_parts_settings { /* all borrowed until fr_parts_free */
    const fr_config *config;
    fr_board *board;
    const char *instance, *member; /* see fr_capture_settings, fr_apply_settings */
} fr_parts_settings;

typedef struct fr_parts fr_parts;

/* They are on the board, pending; nothing runs. */
fr_parts *fr_parts_new(const fr_parts_settings *settings);
void fr_parts_free(fr_parts *p); /* ends what runs; NULL is fine */
/* What the operator wants is not known yet, because of err: told of all of them. */
void fr_parts_wait(fr_parts *p, const fr_err *err, int64_t next_try_us);
/* All that is wanted is known; from now on they run, but for those that are not to. wills: borrowed
 * until fr_parts_free. */
void fr_parts_start(fr_parts *p, const fr_wills *wills);
/* This will is new. What takes time goes on in fr_parts_step. */
void fr_parts_obey(fr_parts *p, const fr_will *w);
void fr_parts_step(fr_parts *p); /* several times a second */
/* They end, and none is started any more. */
void fr_parts_stop(fr_parts *p);
void fr_parts_abandon(fr_parts *p); /* gives up what is under way as well */
/* True: nothing runs, and nothing will. *worst: the exit code of the worst that failed. One that
 * rests because it is wanted so may go on: until fr_parts_stop it keeps the process. */
bool fr_parts_over(fr_parts *p, int *worst);

/* Calls use with the running source; FR_END: it rests, or nothing runs now. From any thread. */
fr_rc fr_parts_source(fr_parts *p, size_t source, void (*use)(void *context, fr_capture *c),
                      void *context);

#endif
