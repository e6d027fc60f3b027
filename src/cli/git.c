#include "cli/git.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 16, MOST_FILE = 1 << 20, MOST_OUTPUT = 64 << 20 };

extern char **environ;

struct fr_git {
    char root[PATH_MAX]; /* of the work tree, resolved */
    char commit[72];
    pid_t pid; /* git cat-file --batch; 0: not started */
    FILE *ask, *answer;
};

/* ---- running it ---- */

typedef struct child {
    pid_t pid;
    int in, out, log; /* its stdin to write, its stdout and stderr to read; -1: none */
} child;

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool start(const char *folder, const char *const *words, bool feed, child *c)
{
    const char *argv[MOST_WORDS + 4] = {"git", "-C", folder};
    int in[2] = {-1, -1}, out[2] = {-1, -1}, log[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; i < MOST_WORDS && words[i] != NULL; i++)
        argv[3 + i] = words[i];
    bool good = (!feed || pipe2(in, O_CLOEXEC) == 0) && pipe2(out, O_CLOEXEC) == 0 &&
                pipe2(log, O_CLOEXEC) == 0;
    posix_spawn_file_actions_init(&actions);
    if (feed)
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, log[1], STDERR_FILENO);
    int rc =
        good ? posix_spawnp(&c->pid, "git", &actions, NULL, (char *const *)(uintptr_t)argv, environ)
             : errno;
    posix_spawn_file_actions_destroy(&actions);
    shut(&in[0]);
    shut(&out[1]);
    shut(&log[1]);
    *c = (child){.pid = c->pid, .in = in[1], .out = out[0], .log = log[0]};
    if (rc == 0)
        return true;
    shut(&c->in);
    shut(&c->out);
    shut(&c->log);
    errno = rc;
    return false;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void read_all(int fd, fr_buf *b)
{
    ssize_t n = 1;
    while (n > 0 && b->len < MOST_OUTPUT) {
        n = read(fd, fr_buf_room(b, 65536), 65536);
        b->len += n > 0 ? (size_t)n : 0;
        if (n < 0 && errno == EINTR)
            n = 1;
    }
}

/* The whole output, and the exit code; -1: there is no git. What it says of errors is short, so
 * that it never waits for us to read that first. */
static int run(const char *folder, const char *const *words, fr_buf *out, fr_buf *log)
{
    child c = {.pid = 0};
    if (!start(folder, words, false, &c))
        return -1;
    read_all(c.out, out);
    shut(&c.out);
    read_all(c.log, log);
    shut(&c.log);
    return wait_for(c.pid);
}

/* Without the end of the line. */
static fr_str first_line(const fr_buf *b)
{
    const char *end = b->len == 0 ? NULL : memchr(b->ptr, '\n', b->len);
    return (fr_str){(const char *)b->ptr,
                    end == NULL ? b->len : (size_t)(end - (const char *)b->ptr)};
}

static fr_rc no_git(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "cannot run git: %m");
    fr_fail_code(err, "git.missing");
    return fr_fail_hint(err, "install git, or give the older files with --against DIR");
}

/* ---- opening ---- */

static fr_rc find_root(fr_git *g, const char *folder, fr_err *err)
{
    static const char *const words[] = {"rev-parse", "--show-toplevel", NULL};
    fr_buf out = {0}, log = {0};
    int code = run(folder, words, &out, &log);
    fr_rc rc = FR_OK;
    if (code < 0) {
        rc = no_git(err);
    } else if (code != 0 || out.len == 0) {
        rc = fr_fail(err, FR_ERR_CONFIG, "%s is in no git work tree: %.*s", folder,
                     FR_ARG(first_line(&log)));
        fr_fail_code(err, "git.tree");
        fr_fail_hint(err, "give what to compare with: --against DIR, or --against registry");
    } else {
        snprintf(g->root, sizeof g->root, "%.*s", FR_ARG(first_line(&out)));
    }
    fr_buf_free(&out);
    fr_buf_free(&log);
    return rc;
}

static fr_rc find_commit(fr_git *g, const char *ref, fr_err *err)
{
    char name[512];
    const char *const words[] = {"rev-parse", "--verify", "--quiet", name, NULL};
    fr_buf out = {0}, log = {0};
    snprintf(name, sizeof name, "%s^{commit}", ref);
    /* A ref with these is none, and an option would be one of git's. */
    bool odd = *ref == '-' || *ref == 0 || strpbrk(ref, " \t\r\n:\\") != NULL ||
               strlen(ref) + 16 > sizeof name;
    int code = odd ? 1 : run(g->root, words, &out, &log);
    fr_str commit = first_line(&out);
    bool good = code == 0 && commit.len >= 40 && commit.len < sizeof g->commit;
    if (good) {
        snprintf(g->commit, sizeof g->commit, "%.*s", FR_ARG(commit));
    } else {
        fr_fail(err, FR_ERR_CONFIG, "%s has no commit `%s`%s%.*s", g->root, ref,
                log.len > 0 ? ": " : "", FR_ARG(first_line(&log)));
        fr_fail_code(err, "git.ref");
        fr_fail_hint(err, "a new or shallow clone has little: git fetch origin main, or "
                          "fetch-depth: 0 in CI");
    }
    fr_buf_free(&out);
    fr_buf_free(&log);
    return good ? FR_OK : FR_FAIL;
}

bool fr_git_there(const char *folder)
{
    fr_git g = {.pid = 0};
    fr_err ignored;
    return find_root(&g, folder, &ignored) == FR_OK;
}

/* One process for all files: a thousand contracts must not start a thousand. */
static fr_rc start_batch(fr_git *g, fr_err *err)
{
    static const char *const words[] = {"cat-file", "--batch", NULL};
    child c = {.pid = 0};
    if (!start(g->root, words, true, &c))
        return no_git(err);
    shut(&c.log);
    g->pid = c.pid;
    g->ask = fdopen(c.in, "w");
    g->answer = fdopen(c.out, "r");
    return FR_OK;
}

fr_rc fr_git_open(const char *folder, const char *ref, fr_git **out, fr_err *err)
{
    fr_git *g = fr_malloc(sizeof *g);
    *out = g;
    if (find_root(g, folder, err) == FR_OK && find_commit(g, ref, err) == FR_OK &&
        start_batch(g, err) == FR_OK)
        return FR_OK;
    fr_git_close(g);
    *out = NULL;
    return FR_FAIL;
}

void fr_git_close(fr_git *g)
{
    if (g == NULL)
        return;
    if (g->ask != NULL)
        fclose(g->ask);
    if (g->answer != NULL)
        fclose(g->answer);
    if (g->pid > 0)
        (void)wait_for(g->pid);
    free(g);
}

const char *fr_git_commit(const fr_git *g)
{
    return g->commit;
}

/* ---- reading ---- */

/* The path within the work tree. */
static fr_rc inside(const fr_git *g, fr_arena *a, const char *path, const char **out, fr_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    fr_str dir = slash == NULL ? FR_STR(".") : (fr_str){path, (size_t)(slash - path)};
    size_t root = strlen(g->root);
    bool there = realpath(slash == path ? "/" : fr_arena_cstr(a, dir), folder) != NULL;
    bool within =
        there && strncmp(folder, g->root, root) == 0 && (folder[root] == '/' || folder[root] == 0);
    if (within && strchr(path, '\n') == NULL) {
        const char *rest = folder[root] == '/' ? folder + root + 1 : "";
        *out = fr_arena_cstr(a, fr_arena_printf(a, "%s%s%s", rest, *rest != 0 ? "/" : "", name));
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "%s is not within the git work tree %s", path, g->root);
    fr_fail_code(err, "git.outside");
    return fr_fail_hint(err, "keep contracts in the repository, or give --against DIR");
}

static fr_rc broken(const fr_git *g, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "git cat-file in %s ended, or answered otherwise than git does",
            g->root);
    fr_fail_code(err, "git.answer");
    return fr_fail_hint(err, "git -C %s fsck", g->root);
}

static fr_rc take(fr_git *g, fr_arena *a, size_t size, fr_str *out, fr_err *err)
{
    if (size > MOST_FILE) {
        fr_fail(err, FR_ERR_CONFIG, "a file of %zu bytes is no contract", size);
        return fr_fail_code(err, "git.answer");
    }
    char *text = fr_arena_raw(a, size + 1);
    if (fread(text, 1, size + 1, g->answer) != size + 1)
        return broken(g, err);
    *out = (fr_str){text, size};
    return FR_OK;
}

fr_rc fr_git_read(fr_git *g, fr_arena *a, const char *path, fr_str *out, fr_err *err)
{
    const char *name;
    char *line = NULL, kind[16] = "";
    size_t cap = 0, size = 0;
    FR_TRY(inside(g, a, path, &name, err));
    fprintf(g->ask, "%s:%s\n", g->commit, name);
    if (fflush(g->ask) != 0 || getline(&line, &cap, g->answer) <= 0) {
        free(line);
        return broken(g, err);
    }
    /* "OID blob SIZE", or "COMMIT:NAME missing" */
    size_t len = strlen(line);
    bool missing = len > 9 && strcmp(line + len - 9, " missing\n") == 0;
    bool blob =
        !missing && sscanf(line, "%*s %15s %zu", kind, &size) == 2 && strcmp(kind, "blob") == 0;
    free(line);
    if (missing)
        return FR_END;
    return blob ? take(g, a, size, out, err) : broken(g, err);
}

fr_rc fr_git_list(fr_git *g, fr_arena *a, const char *folder, const char ***out, size_t *count,
                  fr_err *err)
{
    const char *name;
    fr_buf text = {0}, log = {0};
    *count = 0;
    FR_TRY(inside(g, a, folder, &name, err));
    const char *tree = fr_arena_cstr(a, fr_arena_printf(a, "%s:%s", g->commit, name));
    const char *const words[] = {"ls-tree", "-r", "-z", "--name-only", tree, NULL};
    int code = run(g->root, words, &text, &log); /* fails where there was no such folder */
    size_t names = 0;
    for (size_t i = 0; code == 0 && i < text.len; i++)
        names += text.ptr[i] == 0;
    *out = (const char **)fr_arena_alloc(a, (names + 1) * sizeof **out);
    fr_in in = fr_in_of(fr_buf_view(&text));
    while (*count < names) {
        fr_str below = fr_in_cstr(&in);
        (*out)[(*count)++] = fr_arena_cstr(a, fr_arena_printf(a, "%s/%.*s", folder, FR_ARG(below)));
    }
    fr_buf_free(&text);
    fr_buf_free(&log);
    return code < 0 ? no_git(err) : FR_OK;
}
