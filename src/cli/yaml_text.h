/* A JSON tree as YAML, by libyaml: what is quoted and how is its business. */
#ifndef FR_CLI_YAML_TEXT_H
#define FR_CLI_YAML_TEXT_H

#include "base/bytes.h"
#include "base/error.h"
#include <jansson.h>

/* Block style, keys in their order, texts that would read as something else quoted. BUG where
 * libyaml fails. */
fr_rc fr_yaml_text(fr_buf *b, const json_t *j, fr_err *err);

#endif
