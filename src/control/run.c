#include "control/run.h"
#include "apply/apply.h"
#include "base/clock.h"
#include "capture/capture.h"
#include "control/http.h"
#include "control/status.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The end of daemon.drain is for those that did not end by themselves. */
enum { WIND_UP_US = 2000000 };

typedef struct daemon_state {
    const fr_run_settings *s;
    const fr_config *config;
    fr_board *board;
    fr_http *http;
    fr_capture **captures;
    fr_apply **applies;
    char instance[160], worker[100], member[200];
    int64_t stop_deadline_us; /* 0: nobody asked */
    bool abandoned;
    pthread_mutex_t lock; /* of parts_run: HTTP's threads live longer than the parts */
    bool parts_run;
} daemon_state;

/* The drivers know an observer, the board knows parts: one adapter for each function. */
static void on_state(void *p, fr_state s, const char *reason)
{
    fr_part_state(p, s, reason);
}
static void on_error(void *p, fr_state s, const fr_err *err, int64_t next_try_wall_us)
{
    fr_part_error(p, s, err, next_try_wall_us);
}
static void on_count(void *p, fr_str space, fr_str table, const uint64_t by_op[5], uint64_t bytes,
                     int64_t commit_us)
{
    fr_part_count(p, space, table, by_op, bytes, commit_us);
}
static void on_table(void *p, fr_str space, fr_str table, fr_state s)
{
    fr_part_table(p, space, table, s);
}
static void on_snapshot(void *p, fr_str space, fr_str table, uint32_t done, uint32_t chunks,
                        uint64_t rows, uint64_t expected)
{
    fr_part_snapshot(p, space, table, done, chunks, rows, expected);
}
static void on_connector(void *p, const fr_status *s)
{
    fr_part_connector(p, s);
}
static void on_position(void *p, fr_str resume)
{
    fr_part_position(p, resume);
}
static void on_progress(void *p)
{
    fr_part_progress(p);
}
static void on_dead_letters(void *p, uint64_t n)
{
    fr_part_dead_letters(p, n);
}
static void on_filtered(void *p, uint64_t n)
{
    fr_part_filtered(p, n);
}
static void on_broken(void *p, fr_str space, fr_str table, fr_str rule, uint64_t n)
{
    fr_part_broken(p, space, table, rule, n);
}
static void on_stage(void *p, int which, double seconds)
{
    fr_part_stage(p, which, seconds);
}
static void on_kafka(void *p, uint64_t inflight, uint64_t transactions)
{
    fr_part_kafka(p, inflight, transactions);
}

static void on_polled(void *p, fr_str space, fr_str table, const fr_polled_status *s)
{
    fr_part_polled(p, space, table, s);
}
static void on_poll(void *p, double seconds)
{
    fr_part_stage(p, FR_STAGE_POLL, seconds);
}

static fr_observer observer_of(fr_part *p)
{
    return (fr_observer){.part = p,
                         .state = on_state,
                         .error = on_error,
                         .count = on_count,
                         .table = on_table,
                         .snapshot = on_snapshot,
                         .connector = on_connector,
                         .position = on_position,
                         .progress = on_progress,
                         .dead_letters = on_dead_letters,
                         .filtered = on_filtered,
                         .broken = on_broken,
                         .stage = on_stage,
                         .kafka = on_kafka,
                         .polled = on_polled,
                         .poll = on_poll};
}

static void name_ourselves(daemon_state *d)
{
    char host[64] = "localhost";
    gethostname(host, sizeof(host) - 1);
    snprintf(d->worker, sizeof(d->worker), "%s:%d", host, (int)getpid());
    const fr_http_settings *http = &d->config->http;
    bool none = http->listen == NULL || strcmp(http->listen, "none") == 0;
    const char *where = none ? http->socket : http->listen;
    uint64_t hash = where == NULL ? 0 : fr_hash64(where, strlen(where));
    snprintf(d->member, sizeof(d->member), "%s-%08x", host, (unsigned)(hash ^ hash >> 32));
    snprintf(d->instance, sizeof(d->instance), "%s:%lld", d->worker, (long long)fr_wall_us());
}

/* Rows are in our memory: no core dumps, no look from other users' debuggers (S09). */
static void protect_memory(void)
{
    struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}

/* The memory of a batch and of a fetch is big, short-lived and made by one thread for another:
 * glibc would keep it in an arena for each thread, and by its own growing threshold rather in the
 * heap than give it back. */
static void keep_memory_small(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 4);
    (void)mallopt(M_MMAP_THRESHOLD, 512 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 2 << 20);
#endif
}

static void start_parts(daemon_state *d)
{
    const fr_config *c = d->config;
    size_t parts = c->source_count + c->sink_count;
    int64_t memory = c->daemon.memory / (int64_t)(parts == 0 ? 1 : parts);
    d->captures = fr_malloc((c->source_count + 1) * sizeof(*d->captures));
    d->applies = fr_malloc((c->sink_count + 1) * sizeof(*d->applies));
    for (size_t i = 0; i < c->source_count; i++) {
        fr_capture_settings s = {.source = &c->sources[i],
                                 .ops = c->source_ops[i],
                                 .kafka = &c->kafka,
                                 .registry = &c->registry,
                                 .memory = memory,
                                 .instance = d->instance,
                                 .cache_dir = c->daemon.cache_dir};
        s.observer =
            observer_of(fr_board_part(d->board, false, c->sources[i].name, c->sources[i].type));
        d->captures[i] = fr_capture_start(&s);
    }
    for (size_t i = 0; i < c->sink_count; i++) {
        fr_apply_settings s = {.sink = &c->sinks[i],
                               .ops = c->sink_ops[i],
                               .kafka = &c->kafka,
                               .registry = &c->registry,
                               .memory = memory,
                               .member = d->member};
        s.observer = observer_of(fr_board_part(d->board, true, c->sinks[i].name, c->sinks[i].type));
        d->applies[i] = fr_apply_start(&s);
    }
}

static void stop_parts(daemon_state *d)
{
    for (size_t i = 0; i < d->config->source_count; i++)
        fr_capture_stop(d->captures[i]);
    for (size_t i = 0; i < d->config->sink_count; i++)
        fr_apply_stop(d->applies[i]);
}

static void abandon_parts(daemon_state *d)
{
    for (size_t i = 0; i < d->config->source_count; i++)
        fr_capture_abandon(d->captures[i]);
    for (size_t i = 0; i < d->config->sink_count; i++)
        fr_apply_abandon(d->applies[i]);
}

/* True once every part has ended; worst: the exit code of the worst one. */
static bool all_done(daemon_state *d, int *worst)
{
    bool done = true, failed = false;
    fr_err err;
    *worst = 0;
    for (size_t i = 0; i < d->config->source_count; i++) {
        done = fr_capture_done(d->captures[i], &failed, &err) && done;
        if (failed && fr_err_exit(err.kind) > *worst)
            *worst = fr_err_exit(err.kind);
        failed = false;
    }
    for (size_t i = 0; i < d->config->sink_count; i++) {
        done = fr_apply_done(d->applies[i], &failed, &err) && done;
        if (failed && fr_err_exit(err.kind) > *worst)
            *worst = fr_err_exit(err.kind);
        failed = false;
    }
    return done;
}

/* The first line that differs, but for the log's settings, which may change while we run. */
static bool differs(fr_str a, fr_str b, fr_str *line)
{
    while (a.len > 0 || b.len > 0) {
        const char *ea = a.len == 0 ? NULL : memchr(a.ptr, '\n', a.len);
        const char *eb = b.len == 0 ? NULL : memchr(b.ptr, '\n', b.len);
        fr_str la = {a.ptr, ea == NULL ? a.len : (size_t)(ea - a.ptr)};
        fr_str lb = {b.ptr, eb == NULL ? b.len : (size_t)(eb - b.ptr)};
        bool log = la.len > 10 && memcmp(la.ptr, "daemon.log", 10) == 0 && lb.len > 10 &&
                   memcmp(lb.ptr, "daemon.log", 10) == 0;
        if (!log && !fr_str_eq(la, lb)) {
            *line = lb.len > 0 ? lb : la;
            return true;
        }
        a = ea == NULL ? (fr_str){NULL, 0} : (fr_str){ea + 1, a.len - la.len - 1};
        b = eb == NULL ? (fr_str){NULL, 0} : (fr_str){eb + 1, b.len - lb.len - 1};
    }
    return false;
}

/* All or nothing: a file with a bad value, or with a change that is not live, is refused. */
static void reload(daemon_state *d)
{
    fr_config *fresh = d->s->reload == NULL ? NULL : d->s->reload(d->s->context);
    if (fresh == NULL) {
        fr_log(FR_LOG_ERROR, "freshet", "reload refused: the old configuration stays");
        return;
    }
    fr_buf before = {0}, after = {0};
    fr_str line;
    fr_config_show(&before, d->config, false);
    fr_config_show(&after, fresh, false);
    if (differs(fr_buf_view(&before), fr_buf_view(&after), &line)) {
        fr_log(FR_LOG_ERROR, "freshet",
               "reload refused, the old configuration stays: this change needs a restart: %.*s",
               FR_ARG(line));
    } else {
        fr_log_setup((fr_log_level)fresh->daemon.log_level,
                     (fr_log_format)fresh->daemon.log_format);
        fr_log(FR_LOG_INFO, "freshet", "configuration reloaded");
    }
    fr_buf_free(&before);
    fr_buf_free(&after);
    fr_config_free(fresh);
}

static void log_status(daemon_state *d)
{
    fr_buf b = {0};
    fr_board_json(d->board, &b);
    fr_log(FR_LOG_INFO, "freshet", "status %.*s", (int)b.len, (char *)b.ptr);
    fr_buf_free(&b);
}

static void on_signal(daemon_state *d, int signal_number)
{
    if (signal_number == SIGHUP) {
        reload(d);
    } else if (signal_number == SIGUSR1) {
        log_status(d);
    } else if (d->stop_deadline_us != 0) {
        _exit(128 + signal_number);
    } else {
        fr_log(FR_LOG_INFO, "freshet", "%s: draining",
               signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
        fr_notify("STOPPING=1");
        d->stop_deadline_us = fr_now_us() + d->config->daemon.drain_us;
        stop_parts(d);
    }
}

/* Once a second: systemd's status line and watchdog; once a minute the same in the log. */
static void tick(daemon_state *d, int64_t *next_line_us)
{
    fr_buf b = {0};
    fr_buf_text(&b, "STATUS=");
    fr_board_line(d->board, &b);
    fr_buf_u8(&b, '\0');
    fr_notify((char *)b.ptr);
    fr_buf names = {0};
    if (!fr_board_stalled(d->board, &names))
        fr_notify("WATCHDOG=1");
    if (fr_now_us() >= *next_line_us) {
        fr_log(FR_LOG_INFO, "freshet", "%s", (char *)b.ptr + strlen("STATUS="));
        *next_line_us = fr_now_us() + 60000000;
    }
    fr_buf_free(&names);
    fr_buf_free(&b);
}

/* Drain time nearly over: give up what is under way; and once it is over leave as if killed,
 * which is as safe. True: leave now. */
static bool out_of_time(daemon_state *d)
{
    int64_t now = fr_now_us();
    int64_t drain = d->config->daemon.drain_us;
    int64_t wind_up = drain / 4 < WIND_UP_US ? drain / 4 : WIND_UP_US;
    if (d->stop_deadline_us == 0 || now < d->stop_deadline_us - wind_up)
        return false;
    if (!d->abandoned) {
        fr_log(FR_LOG_WARN, "freshet", "drain time is nearly over: giving up what is under way");
        d->abandoned = true;
        abandon_parts(d);
    }
    return now >= d->stop_deadline_us;
}

static int watch(daemon_state *d, const sigset_t *signals)
{
    int worst;
    int64_t next_line_us = fr_now_us() + 60000000;
    while (!all_done(d, &worst)) {
        struct timespec wait = {.tv_sec = d->stop_deadline_us == 0 ? 1 : 0,
                                .tv_nsec = d->stop_deadline_us == 0 ? 0 : 20000000};
        int signal_number = sigtimedwait(signals, NULL, &wait);
        if (signal_number > 0)
            on_signal(d, signal_number);
        if (out_of_time(d))
            _exit(0);
        tick(d, &next_line_us);
    }
    return worst;
}

static void let_in(daemon_state *d, bool parts_run)
{
    pthread_mutex_lock(&d->lock);
    d->parts_run = parts_run;
    pthread_mutex_unlock(&d->lock);
}

static void free_parts(daemon_state *d)
{
    for (size_t i = 0; i < d->config->source_count; i++)
        fr_capture_free(d->captures[i]);
    for (size_t i = 0; i < d->config->sink_count; i++)
        fr_apply_free(d->applies[i]);
    free(d->captures);
    free(d->applies);
}

static void tell_capture(daemon_state *d, const fr_config_place *p, const fr_http_snapshot *q)
{
    fr_capture *c = d->captures[p->source];
    if (q->verb == FR_SNAPSHOT_START)
        fr_capture_snapshot(c, p->space, p->name, fr_cstr(q->where));
    else if (q->verb == FR_SNAPSHOT_CANCEL)
        fr_capture_cancel(c, p->space, p->name);
}

static fr_rc on_snapshot_asked(void *context, const fr_http_snapshot *q, const char **state_out,
                               fr_err *why, fr_err *err)
{
    static const char *const states[] = {"none", "asked", "taken", "unknown", "refused"};
    daemon_state *d = context;
    fr_config_place p;
    if (fr_config_snapshot_table(d->config, q->table, &p, err) == FR_FAIL)
        return fr_fail_code(err, "snapshot.no_table");
    fr_rc rc = FR_OK;
    pthread_mutex_lock(&d->lock);
    if (d->parts_run) {
        tell_capture(d, &p, q);
        *state_out = states[fr_capture_requested(d->captures[p.source], p.space, p.name, why)];
    } else {
        rc = fr_fail(err, FR_ERR_BUSY, "freshet is starting or stopping");
        fr_fail_code(err, "snapshot.not_now");
        fr_fail_hint(err, "ask again in a moment");
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

int fr_run(const fr_run_settings *settings, fr_err *err)
{
    daemon_state d = {.s = settings, .config = settings->config};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    protect_memory();
    keep_memory_small();
    name_ourselves(&d);
    d.board = fr_board_new(d.config->name, d.worker);
    pthread_mutex_init(&d.lock, NULL);
    const fr_http_actions actions = {.context = &d, .snapshot = on_snapshot_asked};
    if (fr_http_start(&d.config->http, d.board, &actions, &d.http, err) == FR_FAIL) {
        fr_board_free(d.board);
        return fr_err_exit(err->kind);
    }
    fr_log(FR_LOG_INFO, "freshet", "%s: %zu sources, %zu sinks, instance %s", d.config->name,
           d.config->source_count, d.config->sink_count, d.instance);
    start_parts(&d);
    let_in(&d, true);
    fr_notify("READY=1");
    int code = watch(&d, &signals);
    let_in(&d, false);
    free_parts(&d);
    fr_http_stop(d.http);
    pthread_mutex_destroy(&d.lock);
    fr_board_free(d.board);
    fr_log(FR_LOG_INFO, "freshet", "stopped, exit code %d", code);
    return code;
}
