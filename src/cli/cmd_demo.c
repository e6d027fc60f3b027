/* freshet demo: a pipeline that needs nothing. Two processes: this one is the application, the
 * broker (kafka/mock.h) and the terminal; the other is the daemon, as `freshet run` is it. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/demo_shop.h"
#include "cli/tap.h"
#include "control/run.h"
#include "kafka/mock.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLICE_US = 100000,
    CHANGE_US = 900000,
    BATCH_EVENTS = 256,
    BATCH_BYTES = 1 << 20,
    SECOND_US = 1000000,
    SECONDS = 12,
    DRAIN_US = 20000000,
    OPEN_FILES = 16
};

static const char *const topics[] = {"shop.main.orders", "freshet.demo.checkpoint.shop",
                                     "freshet.demo.control"};

static const char configuration[] =
    "# freshet demo wrote this. The broker lives as long as the demo does.\n"
    "version: 1\n"
    "name: demo\n"
    "kafka:\n"
    "  brokers: [\"%s\"]\n"
    "  delivery: at-least-once # the mock broker has no real transactions\n"
    "  topics: {create: never} # it has them already\n"
    "registry: {url: \"file:%s/schemas\", register: run}\n"
    "http: {listen: none, socket: %s/freshet.sock}\n"
    "daemon: {cache_dir: %s/cache}\n"
    "sources:\n"
    "  shop:\n"
    "    type: sqlite\n"
    "    path: %s/shop.db\n"
    "    tables:\n"
    "      main.orders:\n"
    "        method: query\n"
    "        poll: {column: changed, every: 200ms, deletes: soft-column, delete_column: deleted}\n";

static const char sink_configuration[] = "sinks:\n"
                                         "  copy:\n"
                                         "    type: sqlite\n"
                                         "    path: %s/copy.db\n"
                                         "    from: [shop.main.orders]\n"
                                         "    create: run\n";

static volatile sig_atomic_t stopped;
static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

typedef struct demo {
    fr_cli *cli;
    char dir[64], file[96];
    int64_t seconds;
    pid_t daemon; /* 0: none */
    int go;       /* written to once the configuration is there */
    fr_mock *mock;
    fr_demo_shop *shop;
    fr_config *config;
    fr_tap tap;
    long long changes;
} demo;

/* ---- the daemon ---- */

/* Of the child. Its end is that of the process. */
static int run_daemon(const demo *d, int go)
{
    char byte, log[96];
    fr_config *config = NULL;
    fr_problem *problems = NULL;
    size_t count = 0;
    fr_err err = {0};
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (read(go, &byte, 1) != 1) /* the parent is gone, or has failed */
        return 0;
    snprintf(log, sizeof(log), "%s/freshet.log", d->dir);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0 || dup2(out, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        return 1;
    fr_log_setup(FR_LOG_INFO, FR_LOG_AUTO);
    if (fr_config_load(d->file, &fr_cli_connectors, &(fr_config_flags){0}, d->cli->arena, &problems,
                       &count, &config, &err) == FR_FAIL) {
        fr_log_err(FR_LOG_ERROR, "freshet", &err);
        return fr_err_exit(err.kind);
    }
    config->kafka.mock = true;
    fr_run_settings settings = {.config = config};
    int code = fr_run(&settings, &err);
    if (code != 0 && err.text[0] != '\0')
        fr_log_err(FR_LOG_ERROR, "freshet", &err);
    fr_config_free(config);
    return code;
}

/* Before this process has threads. */
static fr_rc fork_daemon(demo *d, fr_err *err)
{
    int ends[2];
    fr_cli_flush(d->cli);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fr_fail(err, FR_ERR_BUSY, "demo: pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return fr_fail(err, FR_ERR_BUSY, "demo: fork: %s", strerror(errno));
    }
    if (child == 0) {
        close(ends[1]);
        _exit(run_daemon(d, ends[0]));
    }
    close(ends[0]);
    d->daemon = child;
    d->go = ends[1];
    return FR_OK;
}

static fr_rc log_tail(const demo *d, int status, fr_err *err)
{
    fr_fail(err, FR_ERR_BUG, "the daemon of the demo has ended with %d",
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fr_fail_code(err, "demo.daemon");
    return fr_fail_hint(err, "freshet demo --keep, and read freshet.log in its folder (%s)",
                        d->dir);
}

static fr_rc check_daemon(demo *d, fr_err *err)
{
    int status = 0;
    if (waitpid(d->daemon, &status, WNOHANG) != d->daemon)
        return FR_OK;
    d->daemon = 0;
    return stopped ? FR_OK : log_tail(d, status, err);
}

static void stop_daemon(demo *d)
{
    int64_t deadline = fr_now_us() + DRAIN_US;
    int status;
    if (d->go >= 0)
        close(d->go);
    d->go = -1;
    if (d->daemon == 0)
        return;
    kill(d->daemon, SIGTERM);
    while (waitpid(d->daemon, &status, WNOHANG) == 0) {
        if (fr_now_us() > deadline)
            kill(d->daemon, SIGKILL);
        fr_sleep_us(SLICE_US / 4);
    }
    d->daemon = 0;
}

/* ---- its files ---- */

static fr_rc write_configuration(const demo *d, fr_err *err)
{
    const char *dir = d->dir;
    FILE *f = fopen(d->file, "we");
    if (f == NULL)
        return fr_fail(err, FR_ERR_BUSY, "demo: %s: %s", d->file, strerror(errno));
    fprintf(f, configuration, fr_mock_brokers(d->mock), dir, dir, dir, dir);
    if (fr_cli_connectors.sink("sqlite") != NULL)
        fprintf(f, sink_configuration, dir);
    if (fclose(f) != 0)
        return fr_fail(err, FR_ERR_BUSY, "demo: %s: %s", d->file, strerror(errno));
    return FR_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static fr_rc make_folder(demo *d, fr_err *err)
{
    const char *parent = getenv("TMPDIR");
    int n = snprintf(d->dir, sizeof(d->dir), "%s/freshet-demo-XXXXXX",
                     parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (n >= (int)sizeof(d->dir) || mkdtemp(d->dir) == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "demo: no folder can be made in %s: %s",
                parent != NULL ? parent : "/tmp", strerror(errno));
        d->dir[0] = '\0';
        return fr_fail_hint(err, "set TMPDIR to a folder that can be written, of at most 40 bytes");
    }
    snprintf(d->file, sizeof(d->file), "%s/freshet.yaml", d->dir);
    return FR_OK;
}

/* ---- the show ---- */

static void say(demo *d, const char *text)
{
    fr_buf_text(&d->cli->out, text);
    fr_cli_flush(d->cli);
}

static fr_rc change(demo *d, fr_err *err)
{
    const char *sql = NULL;
    FR_TRY(fr_demo_shop_change(d->shop, &sql, err));
    d->changes++;
    fr_buf_printf(&d->cli->out, "\nshop> %s;\n", sql);
    fr_cli_flush(d->cli);
    return FR_OK;
}

/* The last changes are shown, too: no more are made for the last seconds. */
static fr_rc show(demo *d, fr_err *err)
{
    enum { LAST_US = 3 * SECOND_US };
    fr_batch *b = fr_batch_new(BATCH_EVENTS, BATCH_BYTES);
    int64_t end = fr_now_us() + d->seconds * SECOND_US, next = fr_now_us() + CHANGE_US;
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && !stopped && fr_now_us() < end) {
        rc = fr_tap_read(&d->tap, b, fr_now_us() + SLICE_US, err);
        if (rc != FR_FAIL)
            rc = check_daemon(d, err);
        if (rc == FR_FAIL || d->tap.shown == 0 || fr_now_us() < next || fr_now_us() > end - LAST_US)
            continue;
        rc = change(d, err);
        next = fr_now_us() + CHANGE_US;
    }
    fr_batch_free(b);
    return rc;
}

static fr_rc start(demo *d, fr_err *err)
{
    char path[96];
    fr_problem *problems = NULL;
    size_t count = 0;
    FR_TRY(make_folder(d, err));
    FR_TRY(fork_daemon(d, err));
    snprintf(path, sizeof(path), "%s/shop.db", d->dir);
    FR_TRY(fr_demo_shop_open(path, &d->shop, err));
    FR_TRY(fr_mock_start(topics, sizeof(topics) / sizeof(topics[0]), &d->mock, err));
    FR_TRY(write_configuration(d, err));
    FR_TRY(fr_config_load(d->file, &fr_cli_connectors, &(fr_config_flags){0}, d->cli->arena,
                          &problems, &count, &d->config, err));
    d->config->kafka.mock = true;
    if (write(d->go, "", 1) != 1)
        return fr_fail(err, FR_ERR_BUSY, "demo: %s", strerror(errno));
    d->tap.topic = topics[0];
    return fr_tap_open(&d->tap, d->config, true, err);
}

static const char intro[] =
    "# A shop (a SQLite file), freshet, and a broker within this process: librdkafka's mock, in "
    "memory,\n"
    "# with no real transactions. So this demo delivers at least once; with Apache Kafka it is "
    "exactly once.\n"
    "# shop> is what the application does; below it, the events as consumers see them, after "
    "about a second.\n\n";

/* Once the daemon has ended. A sink that was interrupted may be behind: that is said, no more. */
static void say_copy(demo *d)
{
    char path[96];
    long long orders = 0, same = 0;
    snprintf(path, sizeof(path), "%s/copy.db", d->dir);
    if (fr_cli_connectors.sink("sqlite") == NULL ||
        !fr_demo_shop_compare(d->shop, path, &orders, &same))
        return;
    fr_buf_printf(&d->cli->out,
                  "\n# The sink, another SQLite file, has %lld of the shop's %lld orders as they "
                  "are.\n",
                  same, orders);
    json_object_set_new(fr_cli_result(d->cli), "orders", json_integer(orders));
    json_object_set_new(fr_cli_result(d->cli), "copied", json_integer(same));
}

static void sum_up(demo *d)
{
    bool kept = fr_cli_flag(d->cli, "keep") != NULL;
    fr_buf_text(
        &d->cli->out,
        "\n# Next, with your own database and Kafka: write freshet.yaml, then\n"
        "#   freshet validate; freshet plan; freshet apply; freshet run\n"
        "# freshet config explain sources says what can be in it; docs/sources/sqlite.md is "
        "this source's page.\n");
    if (kept)
        fr_buf_printf(&d->cli->out, "# Kept: %s (freshet.yaml, freshet.log, shop.db, schemas)\n",
                      d->dir);
    json_object_set_new(fr_cli_result(d->cli), "changes", json_integer(d->changes));
    json_object_set_new(fr_cli_result(d->cli), "folder", kept ? json_string(d->dir) : json_null());
    fr_cli_summary(d->cli,
                   "# %lld changes, %" PRId64 " messages shown; at least once (mock broker)",
                   d->changes, d->tap.shown);
}

static void end(demo *d)
{
    stop_daemon(d);
    fr_tap_close(&d->tap);
    fr_mock_stop(d->mock);
    fr_demo_shop_close(d->shop);
    fr_config_free(d->config);
    if (d->dir[0] != '\0' && fr_cli_flag(d->cli, "keep") == NULL)
        (void)nftw(d->dir, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
}

static fr_rc read_flags(demo *d, fr_err *err)
{
    enum { MOST = 3600, LEAST = 5 };
    static const fr_option option = {
        .name = "seconds", .type = FR_OPT_INT, .min = LEAST, .max = MOST};
    d->seconds = SECONDS;
    FR_TRY(fr_cli_number(d->cli, &option, &d->seconds, err));
    if (fr_cli_connectors.source("sqlite") != NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "this freshet was built without SQLite");
    return fr_fail_hint(err, "build it with -DFR_WITH_SQLITE=ON");
}

int fr_cmd_demo(fr_cli *cli)
{
    demo d = {.cli = cli, .go = -1, .tap = {.cli = cli, .word = ""}};
    fr_err err;
    struct sigaction action = {.sa_handler = on_signal};
    if (read_flags(&d, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    fr_log_setup(FR_LOG_ERROR, FR_LOG_AUTO);
    say(&d, intro);
    fr_rc rc = start(&d, &err);
    if (rc == FR_OK)
        rc = show(&d, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    stop_daemon(&d);
    if (code == 0) {
        say_copy(&d);
        sum_up(&d);
    }
    end(&d);
    return code;
}
