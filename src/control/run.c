#include "control/run.h"
#include "base/clock.h"
#include "control/follow.h"
#include "control/http.h"
#include "control/parts.h"
#include "control/target.h"
#include "kafka/control.h"
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
enum { WIND_UP_US = 2000000, SECOND_US = 1000000, MINUTE_US = 60000000 };
enum { LOOK_NS = 200000000, LOOK_SOON_NS = 20000000 };

typedef struct daemon_state {
    const fr_run_settings *s;
    const fr_config *config;
    fr_board *board;
    fr_http *http;
    fr_parts *parts;
    fr_follow *follow;
    fr_wills *wills;
    char topic[300]; /* of the operator's will */
    bool begun;      /* the parts: what is wanted of them was read */
    bool refused;    /* it cannot be: err says why */
    fr_err err;
    int64_t told_us; /* wall: the next try that the board was told of */
    char instance[160], worker[100], member[200];
    int64_t stop_deadline_us; /* 0: nobody asked */
    bool abandoned;
} daemon_state;

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

/* All or nothing: a file with a bad value, or with a change that is not live, is refused. */
static void reload(daemon_state *d)
{
    fr_config *fresh = d->s->reload == NULL ? NULL : d->s->reload(d->s->context);
    if (fresh == NULL) {
        fr_log(FR_LOG_ERROR, "freshet", "reload refused: the old configuration stays");
        return;
    }
    fr_arena *a = fr_arena_new(0);
    fr_str key;
    if (fr_config_differs(d->config, fresh, a, &key)) {
        fr_log(FR_LOG_ERROR, "freshet",
               "reload refused, the old configuration stays: this change needs a restart: %.*s",
               FR_ARG(key));
    } else {
        fr_log_setup((fr_log_level)fresh->daemon.log_level,
                     (fr_log_format)fresh->daemon.log_format);
        fr_log(FR_LOG_INFO, "freshet", "configuration reloaded");
    }
    fr_arena_free(a);
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
        fr_parts_stop(d->parts);
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
        *next_line_us = fr_now_us() + MINUTE_US;
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
        fr_parts_abandon(d->parts);
    }
    return now >= d->stop_deadline_us;
}

/* ---- the operator's will ---- */

static void take_record(daemon_state *d, fr_follow_record *r)
{
    const fr_will *w = fr_wills_fold(d->wills, r->key, r->value, r->offset);
    if (d->begun && w->understood)
        fr_parts_obey(d->parts, w);
    free(r);
}

static void refuse(daemon_state *d, const fr_err *err)
{
    d->refused = true;
    d->err = *err;
    fr_log_err(FR_LOG_ERROR, "control", err);
    fr_parts_wait(d->parts, err, 0);
}

/* What a later record says wrong stops nothing: what was wanted before it stays so. */
static void tell_trouble(daemon_state *d, fr_follow_state state, const fr_err *trouble, bool news)
{
    fr_err bad;
    bool wrong = fr_wills_check(d->wills, d->topic, &bad) == FR_FAIL;
    if (wrong && news)
        fr_log_err(FR_LOG_ERROR, "control", &bad);
    fr_board_control(d->board, wrong ? &bad : state == FR_FOLLOW_TROUBLE ? trouble : NULL);
}

/* Nothing runs before all that is wanted is known. */
static void begin(daemon_state *d, fr_follow_state state, const fr_err *err, int64_t next_try_us)
{
    fr_err bad;
    if (state == FR_FOLLOW_FAILED) {
        d->refused = true;
        d->err = *err;
    } else if (state == FR_FOLLOW_RETRIES && next_try_us != d->told_us) {
        d->told_us = next_try_us;
        fr_parts_wait(d->parts, err, next_try_us);
    } else if (state == FR_FOLLOW_READY || state == FR_FOLLOW_TROUBLE) {
        if (fr_wills_check(d->wills, d->topic, &bad) == FR_FAIL) {
            refuse(d, &bad);
            return;
        }
        fr_parts_start(d->parts, d->wills);
        d->begun = true;
    }
}

static void obey(daemon_state *d)
{
    fr_err err;
    int64_t next_try_us = 0;
    bool news = false;
    /* Looked at first: what was read before it was ready is there then. */
    fr_follow_state state = fr_follow_look(d->follow, &err, &next_try_us);
    for (fr_follow_record *r; (r = fr_follow_next(d->follow)) != NULL; news = true)
        take_record(d, r);
    if (d->begun)
        tell_trouble(d, state, &err, news);
    else if (d->stop_deadline_us == 0)
        begin(d, state, &err, next_try_us);
    fr_parts_step(d->parts);
}

static bool over(daemon_state *d, int *worst)
{
    obey(d);
    if (!d->refused)
        return fr_parts_over(d->parts, worst);
    *worst = fr_err_exit(d->err.kind);
    return true;
}

static int watch(daemon_state *d, const sigset_t *signals)
{
    int worst;
    int64_t next_line_us = fr_now_us() + MINUTE_US, next_tick_us = 0;
    while (!over(d, &worst)) {
        bool soon = d->stop_deadline_us != 0 || !d->begun;
        struct timespec wait = {.tv_nsec = soon ? LOOK_SOON_NS : LOOK_NS};
        int signal_number = sigtimedwait(signals, NULL, &wait);
        if (signal_number > 0)
            on_signal(d, signal_number);
        if (out_of_time(d))
            _exit(0);
        if (fr_now_us() < next_tick_us)
            continue;
        next_tick_us = fr_now_us() + SECOND_US;
        tick(d, &next_line_us);
    }
    return worst;
}

/* ---- what is asked over HTTP ---- */

typedef struct snapshot_asked {
    const fr_config_place *place;
    const fr_http_snapshot *q;
    fr_request_state state;
    fr_err *why;
} snapshot_asked;

static void tell_capture(void *context, fr_capture *c)
{
    snapshot_asked *s = context;
    const fr_config_place *p = s->place;
    if (s->q->verb == FR_SNAPSHOT_START)
        fr_capture_snapshot(c, p->space, p->name, fr_cstr(s->q->where));
    else if (s->q->verb == FR_SNAPSHOT_CANCEL)
        fr_capture_cancel(c, p->space, p->name);
    s->state = fr_capture_requested(c, p->space, p->name, s->why);
}

static fr_rc on_snapshot_asked(void *context, const fr_http_snapshot *q, const char **state_out,
                               fr_err *why, fr_err *err)
{
    static const char *const states[] = {"none", "asked", "taken", "unknown", "refused"};
    daemon_state *d = context;
    fr_config_place p;
    snapshot_asked s = {.place = &p, .q = q, .why = why};
    if (fr_config_snapshot_table(d->config, q->table, &p, err) == FR_FAIL)
        return fr_fail_code(err, "snapshot.no_table");
    if (fr_parts_source(d->parts, p.source, tell_capture, &s) == FR_OK) {
        *state_out = states[s.state];
        return FR_OK;
    }
    fr_fail(err, FR_ERR_BUSY, "its source does not run: freshet starts or stops, or it is paused");
    fr_fail_code(err, "snapshot.not_now");
    return fr_fail_hint(err, "ask again in a moment, or after: freshet resume %s",
                        d->config->sources[p.source].name);
}

/* Is written into the topic, and obeyed once it is read there. */
static fr_rc on_will_asked(void *context, const fr_http_will *q, fr_will *w, fr_err *err)
{
    daemon_state *d = context;
    w->at_us = fr_wall_us();
    FR_TRY(fr_target_find(d->config, q->name, q->of, &w->target, err));
    FR_TRY(fr_will_sound(w, err));
    fr_config_place place;
    if (w->anew)
        FR_TRY(fr_config_snapshot_table(d->config, q->name, &place, err));
    fr_arena *a = fr_arena_new(0);
    fr_follow_ask(d->follow, fr_will_key(a, &w->target), fr_will_value(a, w));
    fr_arena_free(a);
    return FR_OK;
}

static void start_all(daemon_state *d)
{
    const fr_parts_settings s = {
        .config = d->config, .board = d->board, .instance = d->instance, .member = d->member};
    d->parts = fr_parts_new(&s);
    d->wills = fr_wills_new();
    fr_control_topic(&d->config->kafka, d->topic, sizeof(d->topic));
    d->follow = fr_follow_start(&d->config->kafka);
}

static void end_all(daemon_state *d)
{
    fr_http_stop(d->http);
    fr_parts_free(d->parts);
    fr_follow_stop(d->follow);
    fr_wills_free(d->wills);
    fr_board_free(d->board);
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
    start_all(&d);
    const fr_http_actions actions = {
        .context = &d, .snapshot = on_snapshot_asked, .will = on_will_asked};
    if (fr_http_start(&d.config->http, d.board, &actions, &d.http, err) == FR_FAIL) {
        end_all(&d);
        return fr_err_exit(err->kind);
    }
    fr_log(FR_LOG_INFO, "freshet", "%s: %zu sources, %zu sinks, instance %s", d.config->name,
           d.config->source_count, d.config->sink_count, d.instance);
    fr_notify("READY=1");
    int code = watch(&d, &signals);
    end_all(&d);
    fr_log(FR_LOG_INFO, "freshet", "stopped, exit code %d", code);
    return code;
}
