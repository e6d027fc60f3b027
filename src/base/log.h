/* Logging: levels, key=value or JSON lines on stderr, a prefix per source or sink. Row
 * values are never logged. Thread-safe: from any thread. */
#ifndef FR_BASE_LOG_H
#define FR_BASE_LOG_H

#include "base/error.h"

typedef enum { FR_LOG_ERROR, FR_LOG_WARN, FR_LOG_INFO, FR_LOG_DEBUG, FR_LOG_TRACE } fr_log_level;
typedef enum { FR_LOG_AUTO, FR_LOG_HUMAN, FR_LOG_LOGFMT, FR_LOG_JSON } fr_log_format;

void fr_log_setup(fr_log_level level, fr_log_format format);
fr_log_level fr_log_level_now(void);
/* who: "source erp", "sink warehouse", "freshet"; never NULL. One line, no newline. */
void fr_log(fr_log_level level, const char *who, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An error: its kind, code, text and hint. */
void fr_log_err(fr_log_level level, const char *who, const fr_err *err);
/* Replaces every occurrence of a registered secret by "***" in all later lines. */
void fr_log_secret(const char *secret);
/* The same replacement, in place, for text that goes elsewhere. */
void fr_redact(char *text);

#endif
