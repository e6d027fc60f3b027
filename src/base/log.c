#include "base/log.h"
#include "base/bytes.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fr_log_level max_level = FR_LOG_INFO;
static fr_log_format format_now = FR_LOG_LOGFMT;
static char **secrets;
static size_t secret_count, secret_cap;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};
static const int journald[] = {3, 4, 6, 7, 7};

void fr_log_setup(fr_log_level level, fr_log_format format)
{
    pthread_mutex_lock(&lock);
    max_level = level;
    format_now = format != FR_LOG_AUTO        ? format
                 : isatty(STDERR_FILENO) == 1 ? FR_LOG_HUMAN
                                              : FR_LOG_LOGFMT;
    pthread_mutex_unlock(&lock);
}

fr_log_level fr_log_level_now(void)
{
    pthread_mutex_lock(&lock);
    fr_log_level l = max_level;
    pthread_mutex_unlock(&lock);
    return l;
}

void fr_log_secret(const char *secret)
{
    if (secret == NULL || strlen(secret) < 4)
        return; /* too short to be told from ordinary text */
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < secret_count; i++)
        if (strcmp(secrets[i], secret) == 0) {
            pthread_mutex_unlock(&lock);
            return;
        }
    if (secret_count == secret_cap) {
        secret_cap = secret_cap == 0 ? 16 : 2 * secret_cap;
        secrets = fr_realloc(secrets, secret_cap * sizeof(*secrets));
    }
    secrets[secret_count++] = fr_strdup(secret);
    pthread_mutex_unlock(&lock);
}

static void redact_locked(char *text)
{
    for (size_t i = 0; i < secret_count; i++) {
        size_t n = strlen(secrets[i]);
        for (char *at = text; (at = strstr(at, secrets[i])) != NULL; at += 3) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + n, strlen(at + n) + 1);
        }
    }
}

void fr_redact(char *text)
{
    pthread_mutex_lock(&lock);
    redact_locked(text);
    pthread_mutex_unlock(&lock);
}

static void write_line(fr_log_level level, const char *who, const char *text)
{
    fr_buf b = {0};
    char stamp[32];
    fr_time_text(stamp, fr_wall_us());
    if (getenv("JOURNAL_STREAM") != NULL)
        fr_buf_printf(&b, "<%d>", journald[level]);
    if (format_now == FR_LOG_JSON) {
        fr_buf_printf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"who\":", stamp, level_names[level]);
        fr_buf_json(&b, fr_cstr(who));
        fr_buf_text(&b, ",\"msg\":");
        fr_buf_json(&b, fr_cstr(text));
        fr_buf_text(&b, "}\n");
    } else if (format_now == FR_LOG_HUMAN) {
        fr_buf_printf(&b, "%.8s %-5s %s: %s\n", stamp + 11, level_names[level], who, text);
    } else {
        fr_buf_printf(&b, "ts=%s level=%s who=\"%s\" msg=", stamp, level_names[level], who);
        fr_buf_json(&b, fr_cstr(text));
        fr_buf_text(&b, "\n");
    }
    size_t done = 0;
    while (done < b.len) {
        ssize_t n = write(STDERR_FILENO, b.ptr + done, b.len - done);
        if (n <= 0)
            break; /* a full disk or a closed pipe must not stop the pipeline (X06) */
        done += (size_t)n;
    }
    fr_buf_free(&b);
}

void fr_log(fr_log_level level, const char *who, const char *fmt, ...)
{
    if (level > fr_log_level_now())
        return;
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    redact_locked(text);
    write_line(level, who, text);
    pthread_mutex_unlock(&lock);
}

void fr_log_err(fr_log_level level, const char *who, const fr_err *err)
{
    fr_log(level, who, "%s%s%s%s%s%s (%s) -> %s", err->code, err->code[0] == '\0' ? "" : ": ",
           err->text, err->sqlstate[0] == '\0' ? "" : " [", err->sqlstate,
           err->sqlstate[0] == '\0' ? "" : "]", fr_err_kind_name(err->kind), fr_err_hint(err));
}
