/* SQLite has one writer at a time: it holds a lock from before its first statement that writes is
 * run (so before a DEFAULT CURRENT_TIMESTAMP of it is computed) until what it commits can be seen.
 * Where that lock lies is part of the file format: byte 120 of the -shm file is WAL_WRITE_LOCK
 * (https://www.sqlite.org/walformat.html, section 2.3), the byte at 0x40000001 of the database is
 * RESERVED in the other journal modes (os.h of SQLite; asked by xCheckReservedLock).
 *
 * The trap: POSIX locks of a process on a file are gone when it closes ANY descriptor of that file
 * (https://www.sqlite.org/howtocorrupt.html, section 2.2). So the -shm file is never opened here:
 * the descriptor that SQLite itself has open is found in /proc/self/fd, and only asked. It is
 * asked by F_OFD_GETLK, as an owner that is not this process, so that writers within this process
 * are seen, too. */
#include "connectors/sqlite/sq_lock.h"
#include "base/bytes.h"
#include "base/clock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RESERVED_BYTE = 0x40000001, WAL_WRITE_LOCK = 120, HEADER = 48, CHANGES_AT = 8, TRIES = 100 };

/* What is known of a file, for all connections: a bound that was right stays right. */
typedef struct fr_sq_file {
    dev_t dev;
    ino_t ino;
    unsigned users;
    int64_t final_us;
    struct fr_sq_file *next;
} fr_sq_file;

static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static fr_sq_file *files;

/* A lock that is held now was not held when this machine was started. */
static int64_t boot_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return fr_wall_us() - ((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

void fr_sq_watch_begin(fr_sq_watch *w, const fr_sq *c)
{
    pthread_mutex_lock(&files_lock);
    fr_sq_file *f = files;
    while (f != NULL && (f->dev != c->dev || f->ino != c->ino))
        f = f->next;
    if (f == NULL) {
        f = fr_malloc(sizeof(*f));
        *f = (fr_sq_file){.dev = c->dev, .ino = c->ino, .next = files};
        files = f;
    }
    f->users++;
    pthread_mutex_unlock(&files_lock);
    *w = (fr_sq_watch){.file = f};
}

void fr_sq_watch_end(fr_sq_watch *w)
{
    if (w->file == NULL)
        return;
    pthread_mutex_lock(&files_lock);
    if (--w->file->users == 0) {
        fr_sq_file **at = &files;
        while (*at != w->file)
            at = &(*at)->next;
        *at = w->file->next;
        free(w->file);
    }
    pthread_mutex_unlock(&files_lock);
    w->file = NULL;
}

/* ---- what SQLite has open ---- */

static bool is_file(int fd, dev_t dev, ino_t ino)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static int find_descriptor(dev_t dev, ino_t ino)
{
    DIR *d = opendir("/proc/self/fd");
    int found = -1;
    if (d == NULL)
        return -1;
    for (struct dirent *e = readdir(d); e != NULL && found < 0; e = readdir(d)) {
        char *end = NULL;
        long fd = strtol(e->d_name, &end, 10);
        if (end != e->d_name && *end == '\0' && fd != dirfd(d) && is_file((int)fd, dev, ino))
            found = (int)fd;
    }
    closedir(d);
    return found;
}

/* True: the byte is locked by a writer, whose pid is *pid (-1: unknown). */
static bool asked(int fd, off_t byte, bool *held, pid_t *pid)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &l) != 0)
        return false;
    *held = l.l_type == F_WRLCK;
    *pid = l.l_pid;
    return true;
}

static void name_who(fr_arena *a, pid_t pid, fr_str *out)
{
    char path[64], name[64] = "";
    if (pid <= 0) {
        *out = FR_STR("another process, which is not seen from here");
        return;
    }
    if (pid == getpid()) {
        *out = FR_STR("this process itself");
        return;
    }
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f != NULL && fgets(name, sizeof(name), f) != NULL)
        name[strcspn(name, "\n")] = '\0';
    if (f != NULL)
        (void)fclose(f);
    *out = name[0] == '\0' ? fr_arena_printf(a, "pid %d", (int)pid)
                           : fr_arena_printf(a, "pid %d (%s)", (int)pid, name);
}

static fr_rc cannot_see(const fr_sq *c, const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT,
            "%s: whether somebody writes to it cannot be seen (%s), so that rows which are "
            "committed late would be missed",
            c->path, what);
    return fr_fail_code(err, "query.bound");
}

/* ---- WAL mode ---- */

/* The number of committed transactions, from the index's header: it has two copies, which are the
 * same unless one is being written. A checkpoint or a new start of the log does not change it. */
static bool read_changes(int fd, uint32_t *out)
{
    for (int tries = 0; tries < TRIES; tries++) {
        uint8_t copies[2 * HEADER];
        if (pread(fd, copies, sizeof(copies), 0) != (ssize_t)sizeof(copies))
            return false;
        if (memcmp(copies, copies + HEADER, HEADER) == 0) {
            memcpy(out, copies + CHANGES_AT, sizeof(*out)); /* in the machine's own order */
            return true;
        }
        fr_sleep_us(tries);
    }
    return false;
}

static fr_rc look_at_wal(const fr_sq *c, fr_arena *a, fr_sq_look *out, uint64_t *version,
                         fr_err *err)
{
    struct stat st;
    uint32_t changes = 0;
    pid_t pid = -1;
    const char *path = fr_arena_cstr(a, fr_arena_printf(a, "%s-shm", c->path));
    if (stat(path, &st) != 0)
        return cannot_see(c, "it is in WAL mode, and there is no -shm file", err);
    int fd = find_descriptor(st.st_dev, st.st_ino);
    if (fd < 0)
        return cannot_see(c, "its -shm file was replaced, or /proc is not there", err);
    *version = read_changes(fd, &changes) ? (uint64_t)1 << 32 | changes : 0;
    if (!asked(fd, WAL_WRITE_LOCK, &out->held, &pid) || !is_file(fd, st.st_dev, st.st_ino))
        return cannot_see(c, "the system does not tell locks of its -shm file", err);
    if (out->held)
        name_who(a, pid, &out->who);
    return FR_OK;
}

/* ---- the other modes ---- */

static fr_rc look_at_file(const fr_sq *c, fr_arena *a, fr_sq_look *out, fr_err *err)
{
    sqlite3_file *file = NULL;
    int reserved = 0;
    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file == NULL || file->pMethods == NULL ||
        file->pMethods->xCheckReservedLock(file, &reserved) != SQLITE_OK)
        return cannot_see(c, "SQLite does not tell its locks", err);
    out->held = reserved != 0;
    bool still = false;
    pid_t pid = -1;
    int fd = out->held ? find_descriptor(c->dev, c->ino) : -1;
    if (out->held)
        name_who(a, fd >= 0 && asked(fd, RESERVED_BYTE, &still, &pid) && still ? pid : -1,
                 &out->who);
    return FR_OK;
}

/* ---- both ---- */

static fr_rc look(const fr_sq *c, fr_arena *a, fr_sq_look *out, uint64_t *version, fr_err *err)
{
    fr_str text, mode;
    FR_TRY(fr_sq_scalar(c, "look into", FR_STR("PRAGMA data_version"), a, &text, err));
    FR_TRY(fr_sq_scalar(c, "look into", FR_STR("PRAGMA journal_mode"), a, &mode, err));
    if (fr_str_is(mode, "wal"))
        return look_at_wal(c, a, out, version, err);
    *version = strtoull(fr_arena_cstr(a, text), NULL, 10) & UINT32_MAX;
    return look_at_file(c, a, out, err);
}

/* Nobody writes: what was stamped before now is final. Somebody does, but there was a commit since
 * the last look: whoever wrote then has ended, and what was stamped before that look is final. */
static int64_t final_of(fr_sq_watch *w, const fr_sq_look *l, uint64_t version)
{
    int64_t final = 0;
    if (!l->held)
        final = l->now_us;
    else if (w->version != 0 && version != 0 && version >> 32 == w->version >> 32 &&
             version != w->version && w->seen_us <= l->now_us)
        final = w->seen_us;
    pthread_mutex_lock(&files_lock);
    if (w->file->final_us > l->now_us) /* the clock went back: it says nothing any more */
        w->file->final_us = 0;
    if (final > w->file->final_us)
        w->file->final_us = final;
    final = w->file->final_us;
    pthread_mutex_unlock(&files_lock);
    return final != 0 ? final : boot_us();
}

fr_rc fr_sq_watch_look(fr_sq_watch *w, const fr_sq *c, fr_arena *a, fr_sq_look *out, fr_err *err)
{
    uint64_t version = 0;
    *out = (fr_sq_look){.now_us = fr_wall_us()};
    FR_TRY(fr_sq_same_file(c, err));
    FR_TRY(look(c, a, out, &version, err));
    out->final_us = final_of(w, out, version);
    w->seen_us = out->now_us;
    w->version = version;
    return FR_OK;
}
