/* MySQL's binary JSON (json_binary.h of the server's source) to the text that the server
 * prints; and the differences of PARTIAL_UPDATE_ROWS (json_diff.h there). Pure. */
#ifndef FR_MYSQL_MY_JSON_H
#define FR_MYSQL_MY_JSON_H

#include "base/bytes.h"
#include "base/error.h"

/* Text in a. An empty document (what a NULL becomes in a NOT NULL column) is null.
 * DATA error "my.value.json": malformed, or nested too deeply (100, the server's limit). */
fr_rc fr_my_json_text(fr_arena *a, fr_str binary, fr_str *out, fr_err *err);
/* The document after all differences, as text in a. before: the binary document. */
fr_rc fr_my_json_patch(fr_arena *a, fr_str before, fr_str diffs, fr_str *out, fr_err *err);

#endif
