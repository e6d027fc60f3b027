/* Where the file of an embedded database is, for sinks and in words for people. No file is opened:
 * whoever closes a file drops all of this process's locks on it. Any thread. */
#ifndef FR_SQL_FILE_H
#define FR_SQL_FILE_H

#include "base/error.h"
#include <limits.h>
#include <stdbool.h>

/* path, or out where it is relative: a daemon's folder is not known to people. */
const char *fr_target_full_path(const char *path, char out[PATH_MAX]);
/* "the file PATH <what>", code sink.file. Returns FR_FAIL. */
fr_rc fr_target_no_file(fr_err *err, fr_err_kind kind, const char *path, const char *what);
/* Whether it is there, and an ordinary file; where it is not, whether its folder can take one.
 * CONFIG (sink.file) or AUTH (sink.file, sink.readonly), with the remedy. */
fr_rc fr_target_check_path(const char *path, bool *there, fr_err *err);

#endif
