/* freshet doctor: would `run` work here? Local checks only; plan asks the servers. */
#include "base/clock.h"
#include "cli/cli.h"
#include "kafka/admin.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void check_config(fr_cli *cli, fr_findings *f, fr_config **out)
{
    const char *file = NULL;
    fr_err err;
    fr_problem *problems;
    size_t count = 0, warnings = 0;
    fr_config_flags flags = {.strict = cli->strict};
    if (fr_config_find(cli->config, cli->arena, &file, &err) == FR_FAIL) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "config.file", "%s", err.text);
        bad->hint = fr_arena_str(cli->arena, fr_cstr(fr_err_hint(&err)));
        return;
    }
    fr_rc rc =
        fr_config_load(file, &fr_cli_connectors, &flags, cli->arena, &problems, &count, out, &err);
    for (size_t i = 0; i < count; i++)
        warnings += problems[i].warning ? 1 : 0;
    if (rc == FR_FAIL) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "config.validate", "%s", err.text);
        bad->hint = FR_STR("freshet validate shows each with its place");
    } else if (warnings > 0) {
        fr_findings_add(f, FR_WARNING, "config.validate", "%s: %zu warnings", file, warnings);
    } else {
        fr_findings_add(f, FR_FINE, "config.validate", "%s", file);
    }
}

static void check_cache(fr_findings *f, const fr_config *c)
{
    const char *dir = c->daemon.cache_dir;
    struct statvfs fs;
    if (access(dir, F_OK) != 0) {
        fr_finding *w = fr_findings_add(f, FR_WARNING, "cache.dir", "%s does not exist", dir);
        w->hint = fr_arena_printf(f->arena,
                                  "mkdir -p %s, owned by the user that runs freshet; or "
                                  "set daemon.cache_dir",
                                  dir);
    } else if (access(dir, W_OK | X_OK) != 0) {
        fr_finding *w = fr_findings_add(f, FR_WARNING, "cache.dir", "%s: %s", dir, strerror(errno));
        w->hint = FR_STR("give it to the user that runs freshet");
    } else if (statvfs(dir, &fs) == 0 && fs.f_bavail * fs.f_frsize < 16UL * 1024 * 1024) {
        fr_findings_add(f, FR_WARNING, "cache.dir", "%s: less than 16 MiB are free", dir);
    } else {
        fr_findings_add(f, FR_FINE, "cache.dir", "%s (may be deleted)", dir);
    }
}

/* True when this address can be bound now. */
static bool can_bind(const char *host, const char *port, int *error_out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        *error_out = EADDRNOTAVAIL;
        return false;
    }
    int s = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (s >= 0)
        (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool good = s >= 0 && bind(s, found->ai_addr, found->ai_addrlen) == 0;
    *error_out = errno;
    if (s >= 0)
        close(s);
    freeaddrinfo(found);
    return good;
}

static void check_listen(fr_cli *cli, fr_findings *f, const fr_config *c)
{
    const char *listen = c->http.listen;
    if (strcmp(listen, "none") == 0) {
        fr_findings_add(f, FR_FINE, "net.listen", "none");
        return;
    }
    const char *colon = strrchr(listen, ':');
    fr_str host = {listen, (size_t)(colon - listen)};
    if (host.len > 1 && host.ptr[0] == '[')
        host = (fr_str){host.ptr + 1, host.len - 2};
    int error = 0;
    if (can_bind(fr_arena_cstr(cli->arena, host), colon + 1, &error)) {
        fr_findings_add(f, FR_FINE, "net.listen", "%s", listen);
        return;
    }
    fr_finding *bad =
        fr_findings_add(f, FR_BLOCKER, "net.listen", "%s: %s", listen, strerror(error));
    bad->hint = error == EADDRINUSE
                    ? FR_STR("freshet may be running already; else choose another http.listen")
                    : FR_STR("choose an address of this machine in http.listen");
}

static void check_socket(fr_cli *cli, fr_findings *f, const fr_config *c)
{
    const char *path = c->http.socket;
    struct sockaddr_un address;
    if (path == NULL || *path == 0)
        return;
    if (strlen(path) >= sizeof(address.sun_path)) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "net.socket", "%s is longer than %zu",
                                          path, sizeof(address.sun_path) - 1);
        bad->hint = FR_STR("choose a shorter http.socket");
        return;
    }
    const char *slash = strrchr(path, '/');
    fr_str dir = slash == NULL ? FR_STR(".") : (fr_str){path, (size_t)(slash - path)};
    const char *folder = dir.len == 0 ? "/" : fr_arena_cstr(cli->arena, dir);
    if (access(folder, W_OK | X_OK) == 0) {
        fr_findings_add(f, FR_FINE, "net.socket", "%s", path);
        return;
    }
    fr_finding *bad =
        fr_findings_add(f, FR_BLOCKER, "net.socket", "%s: %s", folder, strerror(errno));
    bad->hint = FR_STR("RuntimeDirectory=freshet makes it under systemd; else set http.socket to "
                       "a writable place, or to \"\"");
}

static void check_limits(fr_findings *f, const fr_config *c)
{
    struct rlimit files;
    size_t parts = c == NULL ? 1 : c->source_count + c->sink_count;
    unsigned long wanted = 1024 + 64 * parts;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted) {
        fr_finding *w = fr_findings_add(f, FR_WARNING, "limits.nofile", "%lu open files",
                                        (unsigned long)files.rlim_cur);
        w->hint = fr_arena_printf(f->arena, "ulimit -n %lu, or LimitNOFILE= under systemd", wanted);
    } else {
        fr_findings_add(f, FR_FINE, "limits.nofile", "%lu", (unsigned long)files.rlim_cur);
    }
}

/* A clock before this program was made makes nonsense of lags and of TLS. */
static void check_clock(fr_findings *f)
{
    char now[32];
    fr_time_text(now, fr_wall_us());
    if (fr_wall_us() / 1000000 < 1735689600) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "clock.now", "it is %s here", now);
        bad->hint = FR_STR("set the clock; timedatectl set-ntp true");
        return;
    }
    fr_findings_add(f, FR_FINE, "clock.now", "%s", now);
}

static void check_program(fr_findings *f)
{
    const char *why;
    if (fr_kafka_library_weak(&why)) {
        fr_finding *w = fr_findings_add(f, FR_WARNING, "library.rdkafka", "%s", fr_kafka_library());
        w->hint = fr_arena_str(f->arena, fr_cstr(why));
    } else {
        fr_findings_add(f, FR_FINE, "library.rdkafka", "%s", fr_kafka_library());
    }
    for (size_t i = 0; fr_cli_connectors.source_at(i) != NULL; i++)
        fr_findings_add(f, FR_FINE, "connector.source", "%s", fr_cli_connectors.source_at(i)->name);
    for (size_t i = 0; fr_cli_connectors.sink_at(i) != NULL; i++)
        fr_findings_add(f, FR_FINE, "connector.sink", "%s", fr_cli_connectors.sink_at(i)->name);
}

int fr_cmd_doctor(fr_cli *cli)
{
    fr_findings f = {.arena = cli->arena};
    fr_config *config = NULL;
    check_config(cli, &f, &config);
    if (config != NULL) {
        check_cache(&f, config);
        check_listen(cli, &f, config);
        check_socket(cli, &f, config);
    }
    check_program(&f);
    check_clock(&f);
    check_limits(&f, config);
    const char *only = fr_cli_flag(cli, "check");
    fr_findings shown = {.arena = cli->arena};
    json_t *list = json_array();
    for (size_t i = 0; i < f.count; i++) {
        if (only != NULL && strncmp(f.items[i].code, only, strlen(only)) != 0)
            continue;
        fr_cli_finding(cli, &f.items[i]);
        json_array_append_new(list, fr_cli_finding_json(&f.items[i]));
        fr_finding *copy = fr_findings_add(&shown, f.items[i].severity, f.items[i].code, "%s", "");
        copy->text = f.items[i].text;
    }
    json_object_set_new(fr_cli_result(cli), "findings", list);
    fr_config_free(config);
    fr_tally t = {0};
    fr_cli_tally(&t, &shown);
    if (shown.count == 0) {
        fr_err err;
        fr_fail(&err, FR_ERR_CONFIG, "no check begins with `%s`", only == NULL ? "" : only);
        fr_fail_code(&err, "cli.bad_value");
        return fr_cli_fail(cli, &err);
    }
    fr_cli_summary(cli, "%zu checks · %zu failed · %zu warning%s", shown.count, t.blockers,
                   t.warnings, t.warnings == 1 ? "" : "s");
    return t.blockers > 0 ? FR_EXIT_NO : 0;
}
