#include "file/file_folder.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "sql/file.h"
#include "sql/target.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN "_freshet"
enum { FOLD_EVERY = 100, FOLD_PART = 10, PATH_ROOM = PATH_MAX + 300 };

fr_rc fr_file_errno(fr_err *err, int number, const char *doing, const char *path)
{
    const char *what = strerror(number);
    if (number == ENOSPC || number == EDQUOT || number == EFBIG) {
        fr_fail(err, FR_ERR_BUSY, "%s %s: %s", doing, path, what);
        fr_fail_code(err, "sink.full");
        return fr_fail_hint(err,
                            "make room on the file system (df, quota, ulimit -f); it goes on by "
                            "itself then, and nothing is lost");
    }
    if (number == EACCES || number == EPERM || number == EROFS) {
        fr_fail(err, FR_ERR_AUTH, "%s %s: %s", doing, path, what);
        fr_fail_code(err, "sink.readonly");
        return fr_fail_hint(err, "let the user that freshet runs as write in that folder");
    }
    if (number == ENOENT || number == ENOTDIR) {
        fr_fail(err, FR_ERR_CONFIG, "%s %s: it was there and is gone", doing, path);
        fr_fail_code(err, "sink.file");
        return fr_fail_hint(err,
                            "put the folder back as it was, or take a new snapshot into a new one");
    }
    fr_fail(err, FR_ERR_CONNECT, "%s %s: %s", doing, path, what);
    fr_fail_code(err, "sink.file");
    return fr_fail_hint(err, "see the system's log: is the disk or mount well? It is tried again");
}

/* DIR/_freshet/<name> */
static void own_path(const fr_file_folder *f, const char *name, char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "%s/" OWN "/%s", f->path, name);
}

static int64_t now_ms(void)
{
    return fr_wall_us() / 1000;
}

/* ---- durable steps ---- */

static fr_rc sync_path(const char *path, bool folder, fr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | (folder ? O_DIRECTORY : 0));
    if (fd < 0)
        return fr_file_errno(err, errno, "open", path);
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed == 0 ? FR_OK : fr_file_errno(err, failed, "fsync", path);
}

static fr_rc sync_parent(const char *path, fr_err *err)
{
    char parent[PATH_ROOM];
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    return sync_path(parent, true, err);
}

static fr_rc same_folder(const fr_file_folder *f, fr_err *err)
{
    char path[PATH_ROOM];
    struct stat held, there;
    own_path(f, "lock", path);
    if (stat(path, &there) != 0)
        return fr_file_errno(err, errno, "look at", path);
    if (fstat(f->lock, &held) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino)
        return FR_OK;
    fr_fail(err, FR_ERR_CONNECT, "the folder %s was replaced by another while it was open",
            f->path);
    fr_fail_code(err, "sink.file");
    return fr_fail_hint(err, "it is opened anew, and goes on where its own manifest says");
}

/* One that is there may have been made by an attempt that failed before it was durable. */
static fr_rc make_dir(const char *path, fr_err *err)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fr_file_errno(err, errno, "make the folder", path);
    return sync_parent(path, err);
}

/* path: of PATH_ROOM, with f->path in front. */
static fr_rc need_dir(fr_file_folder *f, const char *path, fr_err *err)
{
    enum { MANY = 100000 };
    struct stat st;
    fr_str below = fr_cstr(path + strlen(f->path));
    if (f->synced != NULL && fr_map_get(f->synced, below) != NULL && stat(path, &st) == 0)
        return FR_OK;
    FR_TRY(make_dir(path, err));
    if (f->synced == NULL || fr_map_count(f->synced) >= MANY) {
        fr_map_free(f->synced, NULL);
        f->synced = fr_map_new();
    }
    fr_map_set(f->synced, below, f);
    return FR_OK;
}

fr_rc fr_file_folder_dirs(fr_file_folder *f, const char *below, fr_err *err)
{
    char path[PATH_ROOM];
    if (fr_file_folder_held(f))
        FR_TRY(same_folder(f, err));
    snprintf(path, sizeof(path), "%s/%s", f->path, below);
    size_t from = strlen(f->path) + 1;
    for (size_t i = from; path[i] != '\0'; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        FR_TRY(need_dir(f, path, err));
        path[i] = '/';
    }
    return need_dir(f, path, err);
}

void fr_file_folder_discard(const fr_file_folder *f, const char *below)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/%s", f->path, below);
    unlink(path);
    snprintf(path, sizeof(path), "%s/%s.tmp", f->path, below);
    unlink(path);
}

fr_rc fr_file_folder_publish(const fr_file_folder *f, const char *below, int64_t *bytes_out,
                             fr_err *err)
{
    char made[PATH_ROOM], path[PATH_ROOM];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", f->path, below);
    snprintf(made, sizeof(made), "%s/%s.tmp", f->path, below);
    FR_TRY(sync_path(made, false, err));
    if (stat(made, &st) != 0)
        return fr_file_errno(err, errno, "look at", made);
    if (FR_FAILPOINT("file_before_rename"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint file_before_rename");
    if (rename(made, path) != 0)
        return fr_file_errno(err, errno, "rename", made);
    if (FR_FAILPOINT("file_after_rename"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint file_after_rename");
    *bytes_out = (int64_t)st.st_size;
    return sync_parent(path, err);
}

static fr_rc write_all(int fd, fr_str text)
{
    for (size_t at = 0; at < text.len;) {
        ssize_t n = write(fd, text.ptr + at, text.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FR_FAIL;
        at += (size_t)n;
    }
    return FR_OK;
}

/* Complete and durable, or not there. */
static fr_rc write_path(const char *path, fr_str text, fr_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return fr_file_errno(err, errno, "write", path);
    int failed = write_all(fd, text) == FR_FAIL || fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && failed == 0)
        failed = errno;
    if (failed == 0)
        return FR_OK;
    unlink(path);
    return fr_file_errno(err, failed, "write", path);
}

/* A file beside the one that it is going to be. */
static fr_rc write_beside(const fr_file_folder *f, const char *name, fr_str text,
                          char made[PATH_ROOM], fr_err *err)
{
    char own[NAME_MAX];
    snprintf(own, sizeof(own), "%s.%s.tmp", name, f->writer);
    own_path(f, own, made);
    return write_path(made, text, err);
}

fr_rc fr_file_folder_put(const fr_file_folder *f, fr_str below, fr_str text, fr_err *err)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/%.*s.tmp", f->path, FR_ARG(below));
    return write_path(path, text, err);
}

/* ---- reading ---- */

/* errno in *number; ENOENT is no error of ours. */
static bool read_file(const char *path, fr_arena *a, fr_str *out, int *number)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    *number = errno;
    if (fd < 0)
        return false;
    *number = fstat(fd, &st) != 0 ? errno : 0;
    char *text = *number == 0 ? fr_arena_raw(a, (size_t)st.st_size + 1) : NULL;
    size_t at = 0;
    while (*number == 0 && at < (size_t)st.st_size) {
        ssize_t n = read(fd, text + at, (size_t)st.st_size - at);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            *number = errno;
        at += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    *out = (fr_str){text, at};
    return *number == 0;
}

/* The number of "<number><end>"; -1: it is none. */
static int64_t number_of(const char *name, const char *end)
{
    char *rest;
    if (name[0] < '0' || name[0] > '9')
        return -1;
    long long n = strtoll(name, &rest, 10);
    return strcmp(rest, end) == 0 ? n : -1;
}

typedef struct listing {
    int64_t fold, commit; /* the newest; 0: none */
} listing;

static fr_rc list_own(const fr_file_folder *f, listing *out, fr_err *err)
{
    char path[PATH_ROOM];
    own_path(f, "", path);
    *out = (listing){0, 0};
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? FR_OK : fr_file_errno(err, errno, "read", path);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int64_t fold = number_of(e->d_name, ".fold.json"),
                commit = number_of(e->d_name, ".commit.json");
        out->fold = fold > out->fold ? fold : out->fold;
        out->commit = commit > out->commit ? commit : out->commit;
    }
    closedir(dir);
    return FR_OK;
}

/* FR_END: there is no such file. */
static fr_rc read_record(const fr_file_folder *f, int64_t number, const char *end, fr_arena *a,
                         fr_file_record *out, fr_err *err)
{
    char name[64], path[PATH_ROOM];
    fr_str text;
    int failed;
    snprintf(name, sizeof(name), "%012" PRId64 "%s", number, end);
    own_path(f, name, path);
    if (!read_file(path, a, &text, &failed))
        return failed == ENOENT ? FR_END : fr_file_errno(err, failed, "read", path);
    if (fr_file_record_read(a, text, out, err) == FR_FAIL)
        return fr_fail_in(err, "%s", path);
    if (out->seq == number)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: the manifest is damaged: another number stands in it", path);
    return fr_fail_code(err, "sink.corrupt");
}

static fr_rc apply_one(fr_file_folder *f, int64_t number, const char *end, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_file_record r;
    fr_rc rc = read_record(f, number, end, a, &r, err);
    if (rc == FR_OK && fr_file_state_apply(f->state, &r, err) == FR_FAIL)
        rc = fr_fail_in(err, "%s/" OWN ", %" PRId64 "%s", f->path, number, end);
    fr_arena_free(a);
    return rc;
}

/* FR_END: something that was listed is gone. */
static fr_rc load_listed(fr_file_folder *f, const listing *l, fr_err *err)
{
    fr_rc rc = FR_OK;
    fr_file_state_free(f->state);
    f->state = fr_file_state_new();
    f->folded = l->fold;
    if (l->fold > 0)
        rc = apply_one(f, l->fold, ".fold.json", err);
    if (rc == FR_END)
        return rc;
    while (rc == FR_OK)
        rc = apply_one(f, f->state->seq + 1, ".commit.json", err);
    FR_TRY(rc);
    return l->commit <= f->state->seq ? FR_OK : FR_END;
}

fr_rc fr_file_folder_load(fr_file_folder *f, fr_err *err)
{
    listing l;
    int64_t fold;
    FR_TRY(list_own(f, &l, err));
    do { /* a newer fold takes the place of what is gone */
        fr_rc rc = load_listed(f, &l, err);
        if (rc != FR_END)
            return rc;
        fold = l.fold;
        FR_TRY(list_own(f, &l, err));
    } while (l.fold > fold);
    fr_fail(err, FR_ERR_CONFIG,
            "%s/" OWN ": the manifest is damaged: commit %" PRId64 " is missing", f->path,
            f->state->seq + 1);
    fr_fail_code(err, "sink.corrupt");
    return fr_fail_hint(err,
                        "restore the folder " OWN " together with the files from one backup, or "
                        "give the sink an empty folder and take a new snapshot");
}

/* ---- opening ---- */

fr_rc fr_file_folder_check(const char *path, bool *there, fr_err *err)
{
    struct stat st;
    char full[PATH_MAX], lock[PATH_ROOM];
    const char *plain = fr_target_full_path(path, full);
    *there = false;
    if (strpbrk(plain, "*?[") != NULL || strlen(plain) > PATH_MAX - 400) {
        fr_fail(err, FR_ERR_CONFIG, "path %s: too long, or with one of * ? [", plain);
        fr_fail_code(err, "sink.config");
        return fr_fail_hint(err, "DuckDB reads these as patterns: give the folder another path");
    }
    if (stat(plain, &st) != 0)
        return errno == ENOENT ? fr_target_check_path(path, there, err)
                               : fr_file_errno(err, errno, "look at", plain);
    if (!S_ISDIR(st.st_mode)) {
        fr_fail(err, FR_ERR_CONFIG, "%s is no folder", plain);
        fr_fail_code(err, "sink.file");
        return fr_fail_hint(err, "give the path of a folder, or of one that is not there yet");
    }
    if (access(plain, R_OK | W_OK | X_OK) != 0)
        return fr_file_errno(err, errno, "write in", plain);
    snprintf(lock, sizeof(lock), "%s/" OWN "/lock", plain);
    *there = access(lock, F_OK) == 0;
    return FR_OK;
}

static fr_rc busy(fr_file_folder *f, int fd, fr_err *err)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    close(fd);
    fr_fail(err, FR_ERR_BUSY, "%s: another process writes this folder (PID %s)", f->path,
            pid[0] != '\0' ? pid : "unknown");
    fr_fail_code(err, "sink.busy");
    return fr_fail_hint(err, "one instance writes a folder: end that one, and this one goes on by "
                             "itself; or give this sink a folder of its own");
}

/* A text for people only: nothing depends on it. */
static void write_pid(int fd)
{
    char pid[24];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) < 0)
        return;
}

static void draw_writer(fr_file_folder *f)
{
    uint64_t chance;
    if (f->writer[0] != '\0')
        return;
    if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
        chance = (uint64_t)fr_wall_us() ^ (uint64_t)getpid() << 48;
    snprintf(f->writer, sizeof(f->writer), "%016" PRIx64, chance);
}

/* Not by PID: in containers that is 1 of all of them. */
void fr_file_folder_spill(fr_file_folder *f, char *out, size_t size)
{
    draw_writer(f);
    snprintf(out, size, "spill.%s", f->writer);
}

fr_rc fr_file_folder_open(fr_file_folder *f, fr_err *err)
{
    char path[PATH_ROOM];
    own_path(f, "lock", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fr_file_errno(err, errno, "open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return busy(f, fd, err); /* a file system without locks: commits tell writers apart */
    write_pid(fd);
    draw_writer(f);
    f->lock = fd;
    f->claimed = 0;
    return fr_file_folder_load(f, err);
}

/* The folder itself, in one that freshet may not be allowed to read. */
static fr_rc make_top(fr_file_folder *f, fr_err *err)
{
    char parent[PATH_ROOM];
    snprintf(parent, sizeof(parent), "%s", f->path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    if (access(f->path, F_OK) == 0 && access(parent, R_OK) != 0)
        return FR_OK;
    return need_dir(f, f->path, err);
}

fr_rc fr_file_folder_make(fr_file_folder *f, fr_err *err)
{
    char path[PATH_ROOM];
    if (fr_file_folder_held(f))
        FR_TRY(same_folder(f, err));
    FR_TRY(make_top(f, err));
    FR_TRY(fr_file_folder_dirs(f, OWN, err));
    if (fr_file_folder_held(f))
        return FR_OK;
    own_path(f, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fr_file_errno(err, errno, "make", path);
    close(fd);
    FR_TRY(sync_parent(path, err));
    return fr_file_folder_open(f, err);
}

void fr_file_folder_close(fr_file_folder *f)
{
    if (f->lock >= 0)
        close(f->lock);
    f->lock = -1;
    fr_file_state_free(f->state);
    f->state = NULL;
    fr_map_free(f->synced, NULL);
    f->synced = NULL;
}

/* ---- adding ---- */

/* Where file systems have no hard links, by a rename that replaces nothing. */
static int take_number(const char *made, const char *path)
{
    if (link(made, path) == 0)
        return 0;
    int failed = errno;
    if (failed == EPERM || failed == EOPNOTSUPP || failed == ENOSYS || failed == EMLINK)
        failed = renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0 ? 0 : errno;
    return failed;
}

/* A server may have made the link and its reply got lost: then what is there is ours. */
static bool is_ours(const char *path, fr_str text)
{
    fr_arena *a = fr_arena_new(0);
    fr_str there;
    int failed;
    bool ours = read_file(path, a, &there, &failed) && fr_str_eq(there, text);
    fr_arena_free(a);
    return ours;
}

static fr_rc fenced(const fr_file_folder *f, fr_err *err)
{
    fr_target_fenced(err, "has written to this folder");
    return fr_fail_in(err, "%s", f->path);
}

static fr_rc place(const fr_file_folder *f, int64_t seq, fr_str text, fr_err *err)
{
    char name[64], path[PATH_ROOM], made[PATH_ROOM];
    listing l;
    snprintf(name, sizeof(name), "%012" PRId64 ".commit.json", seq);
    own_path(f, name, path);
    FR_TRY(write_beside(f, name, text, made, err));
    int failed = take_number(made, path);
    unlink(made);
    if (failed == EEXIST && !is_ours(path, text))
        return fenced(f, err);
    if (failed != 0 && failed != EEXIST)
        return fr_file_errno(err, failed, "make", path);
    FR_TRY(list_own(f, &l, err));
    if (l.fold >= seq) { /* the number was taken long ago, and its commit is not kept any more */
        unlink(path);
        return fenced(f, err);
    }
    return sync_parent(path, err);
}

fr_rc fr_file_folder_append(fr_file_folder *f, fr_file_record *r, fr_err *err)
{
    fr_buf text = {.arena = NULL};
    FR_TRY(same_folder(f, err));
    r->seq = f->state->seq + 1;
    r->at_ms = now_ms();
    r->writer = fr_cstr(f->writer);
    fr_file_record_write(&text, r);
    fr_rc rc = place(f, r->seq, fr_buf_view(&text), err);
    fr_buf_free(&text);
    FR_TRY(rc);
    if (r->kind == FR_FILE_CLAIM && f->claimed == 0)
        f->claimed = r->seq;
    return fr_file_state_apply(f->state, r, err);
}

/* ---- folding, and what is not needed any more ---- */

static bool is_old(const fr_file_folder *f, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && now_ms() - (int64_t)st.st_mtim.tv_sec * 1000 > f->keep_ms;
}

/* The newest fold that is older than keep, and not the newest of all; 0: none. Who began to read
 * within keep began with it, or with a newer one. */
static fr_rc outlived(const fr_file_folder *f, int64_t *out, fr_err *err)
{
    char path[PATH_ROOM];
    own_path(f, "", path);
    *out = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fr_file_errno(err, errno, "read", path);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int64_t fold = number_of(e->d_name, ".fold.json");
        own_path(f, e->d_name, path);
        if (fold > *out && fold < f->folded && is_old(f, path))
            *out = fold;
    }
    closedir(dir);
    return FR_OK;
}

/* What is before a fold that has been there for keep, and what was left half-written. */
static fr_rc drop_old(const fr_file_folder *f, fr_err *err)
{
    char path[PATH_ROOM];
    int64_t first;
    FR_TRY(outlived(f, &first, err));
    own_path(f, "", path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fr_file_errno(err, errno, "read", path);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int64_t fold = number_of(e->d_name, ".fold.json"),
                commit = number_of(e->d_name, ".commit.json");
        size_t n = strlen(e->d_name);
        bool half = n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0;
        own_path(f, e->d_name, path);
        if ((fold > 0 && fold < first) || (commit > 0 && commit <= first) ||
            (half && is_old(f, path)))
            unlink(path);
    }
    closedir(dir);
    return FR_OK;
}

static fr_rc write_fold(fr_file_folder *f, fr_err *err)
{
    char name[64], path[PATH_ROOM], made[PATH_ROOM];
    fr_arena *a = fr_arena_new(0);
    fr_buf text = {.arena = NULL};
    fr_file_record r;
    fr_file_state_fold(f->state, a, &r);
    r.at_ms = now_ms();
    fr_file_record_write(&text, &r);
    snprintf(name, sizeof(name), "%012" PRId64 ".fold.json", r.seq);
    own_path(f, name, path);
    fr_rc rc = write_beside(f, name, fr_buf_view(&text), made, err);
    if (rc == FR_OK && rename(made, path) != 0)
        rc = fr_file_errno(err, errno, "rename", made);
    if (rc == FR_OK)
        rc = sync_parent(path, err);
    fr_file_state *fresh = fr_file_state_new(); /* without what was removed */
    if (rc == FR_OK)
        rc = fr_file_state_apply(fresh, &r, err);
    if (rc == FR_OK) {
        fr_file_state *old = f->state;
        f->state = fresh;
        fresh = old;
        f->folded = r.seq;
    }
    fr_file_state_free(fresh);
    fr_buf_free(&text);
    fr_arena_free(a);
    return rc;
}

/* Joined files whose time of grace is over. */
static void drop_gone(fr_file_folder *f)
{
    char path[PATH_ROOM];
    int64_t until = now_ms() - f->keep_ms;
    for (;;) {
        size_t i = 0;
        void *value;
        if (!fr_map_next(f->state->gone, &i, NULL, &value))
            return;
        fr_file_gone *gone = value;
        if (gone->at_ms > until)
            return; /* they are in the order of their times */
        snprintf(path, sizeof(path), "%s/%.*s", f->path, FR_ARG(gone->path));
        unlink(path);
        fr_map_remove(f->state->gone, gone->path);
    }
}

fr_rc fr_file_folder_tidy(fr_file_folder *f, fr_err *err)
{
    int64_t part = (int64_t)fr_map_count(f->state->files) / FOLD_PART;
    drop_gone(f);
    if (f->state->seq - f->folded < (part > FOLD_EVERY ? part : FOLD_EVERY))
        return FR_OK;
    FR_TRY(write_fold(f, err));
    return drop_old(f, err);
}

/* ---- files of nobody ---- */

/* What a later instance writes has a higher number: it is not touched, even by one that slept after
 * its claim. */
static void sweep_file(fr_file_folder *f, const char *below, const char *name)
{
    char path[PATH_ROOM];
    int64_t seq = fr_file_name_seq(fr_cstr(name));
    int n = snprintf(path, sizeof(path), "%s/%s/%s", f->path, below, name);
    fr_str listed = {path + strlen(f->path) + 1, (size_t)n - strlen(f->path) - 1};
    if (seq < 0 || seq > f->claimed || fr_map_get(f->state->files, listed) != NULL ||
        fr_map_get(f->state->gone, listed) != NULL)
        return;
    unlink(path);
}

static fr_rc sweep_level(fr_file_folder *f, const char *below, int level, fr_err *err)
{
    char path[PATH_ROOM], deeper[PATH_ROOM];
    fr_rc rc = FR_OK;
    snprintf(path, sizeof(path), "%s/%s", f->path, below);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOTDIR || errno == ENOENT ? FR_OK
                                                   : fr_file_errno(err, errno, "read", path);
    for (struct dirent *e; (e = readdir(dir)) != NULL && rc == FR_OK;) {
        if (e->d_name[0] == '.' || (level == 0 && strcmp(e->d_name, OWN) == 0))
            continue;
        snprintf(deeper, sizeof(deeper), "%s%s%s", below, level == 0 ? "" : "/", e->d_name);
        if (level == 2)
            sweep_file(f, below, e->d_name);
        else
            rc = sweep_level(f, deeper, level + 1, err);
    }
    closedir(dir);
    return rc;
}

/* What DuckDB of an instance that was killed had put there: memory that it had no room for. */
static void sweep_spill(const fr_file_folder *f, const char *name)
{
    char path[PATH_ROOM], file[PATH_ROOM];
    own_path(f, name, path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int n = snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && n < (int)sizeof(file))
            unlink(file);
    }
    closedir(dir);
    rmdir(path);
}

static fr_rc sweep_own(fr_file_folder *f, fr_err *err)
{
    char path[PATH_ROOM], ours[64];
    fr_file_folder_spill(f, ours, sizeof(ours));
    own_path(f, "", path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fr_file_errno(err, errno, "read", path);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, "spill.", 6) == 0 && strcmp(e->d_name, ours) != 0)
            sweep_spill(f, e->d_name);
    closedir(dir);
    return FR_OK;
}

fr_rc fr_file_folder_sweep(fr_file_folder *f, fr_err *err)
{
    FR_TRY(sweep_own(f, err));
    return sweep_level(f, "", 0, err);
}
