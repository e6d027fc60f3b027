/* One error type for the whole program. A function that can fail returns fr_rc and takes
 * a fr_err last. On FR_FAIL, and only then, *err is filled in. Whoever makes an error
 * gives its kind and the fact; each caller may put one phrase in front. Connectors and
 * libraries never log what they return. Exit codes are the program's (docs/cli.md);
 * 4 there is a verb's verdict and not an error. */
#ifndef FR_BASE_ERROR_H
#define FR_BASE_ERROR_H

typedef enum { FR_FAIL = -1, FR_OK = 0, FR_IDLE = 1, FR_END = 2 } fr_rc;

typedef enum { FR_RETRY_NEVER, FR_RETRY_BACKOFF, FR_RETRY_POLICY } fr_retry;

#define FR_ERR_KINDS(X)                                                                            \
    /* name      retry    exit  what the operator can do */                                        \
    X(BUG, NEVER, 1, "this is our mistake: please report it")                                      \
    X(CONFIG, NEVER, 2, "correct the configuration")                                               \
    X(CONNECT, BACKOFF, 3, "check that the server is up and reachable")                            \
    X(BUSY, BACKOFF, 3, "deadlock, lock wait or overload: passes by itself")                       \
    X(POSITION, NEVER, 5, "continuity cannot be proved: take a new snapshot or move the position") \
    X(SCHEMA, NEVER, 6, "register a compatible schema for this subject")                           \
    X(DATA, POLICY, 7, "see errors.mode: block, stop or dlq")                                      \
    X(FENCED, NEVER, 8, "another instance owns this source")                                       \
    X(AUTH, NEVER, 9, "check user, password and grants")                                           \
    X(CANCELLED, NEVER, 0, "shutdown was requested")

#define X(name, retry, exit_code, hint) FR_ERR_##name,
typedef enum { FR_ERR_KINDS(X) FR_ERR_KIND_COUNT } fr_err_kind;
#undef X

typedef struct fr_err {
    fr_err_kind kind;
    int native;       /* errno, rd_kafka_resp_err_t, HTTP status; 0: none */
    char sqlstate[6]; /* "" when the other side gave none */
    char code[48];    /* stable dotted code, "pg.slot_missing"; "" when none */
    char text[1200];  /* "stream shop: read wal: connection reset" */
    char hint[800];   /* what to type next; "" : the kind's own */
} fr_err;

/* For calls with nothing to clean up after: give the callee's error to our caller. */
#define FR_TRY(call)                                                                               \
    do {                                                                                           \
        if ((call) == FR_FAIL)                                                                     \
            return FR_FAIL;                                                                        \
    } while (0)

/* All of these return FR_FAIL, so that failing is one statement:
 *     return fr_fail(err, FR_ERR_DATA, "column %s: year %d", name, year);
 * fr_fail resets every other member of *err. */
fr_rc fr_fail(fr_err *err, fr_err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put context in front of an error that a callee filled in: "context: text". */
fr_rc fr_fail_in(fr_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Give the error a stable code. */
fr_rc fr_fail_code(fr_err *err, const char *code);
/* Say what to do next, instead of the kind's own hint. */
fr_rc fr_fail_hint(fr_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The table of kinds, as functions. */
const char *fr_err_kind_name(fr_err_kind kind); /* "CONFIG" */
fr_retry fr_err_retry(fr_err_kind kind);
int fr_err_exit(fr_err_kind kind);
/* err->hint, or the kind's own. Never NULL. */
const char *fr_err_hint(const fr_err *err);

#if defined(__clang_analyzer__) && !defined(FR_ERROR_C)
/* clang-tidy reads one file at a time: without this it believes that fr_fail may succeed. */
static inline fr_rc fr_failed(fr_rc rc)
{
    return rc == FR_FAIL ? rc : FR_FAIL;
}
#define fr_fail(...) fr_failed(fr_fail(__VA_ARGS__))
#define fr_fail_in(...) fr_failed(fr_fail_in(__VA_ARGS__))
#define fr_fail_code(...) fr_failed(fr_fail_code(__VA_ARGS__))
#define fr_fail_hint(...) fr_failed(fr_fail_hint(__VA_ARGS__))
#endif

#endif
