/* The registry's twin in a directory, for demos, tests and sites without a registry:
 *     DIR/subjects/<escaped>/versions/<n>.json   {"subject","version","id","schema"}
 *     DIR/subjects/<escaped>/config.json         {"compatibilityLevel"}, where it has its own
 *     DIR/ids/<id>.avsc                          the schema's text
 *     DIR/config.json                            the level of all others; absent: BACKWARD
 *     DIR/lock                                   flock: shared by readers, alone for writers
 * A file is written whole under another name, synced, renamed and its directory synced, so a
 * crash leaves the old or the new state. The id comes first: without a version it is only
 * waiting to be used by the same schema. */
#include "codec/registry_internal.h"

#include "base/json.h"
#include "codec/compat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20, NAME_MAX_LEN = 240, VERSIONS_MAX = 100000 };

typedef struct file_registry {
    char *dir;
    int lock;
    atomic_bool interrupted;
} file_registry;

static fr_rc fail_file(fr_err *err, const char *doing, const char *path)
{
    int number = errno;
    fr_fail(err, FR_ERR_CONNECT, "file registry: %s %s: %s", doing, path, strerror(number));
    err->native = number;
    fr_fail_hint(err, "make the directory of registry.url readable and writable for this user, and "
                      "check that its disk is not full");
    fr_fail_code(err, "registry.file");
    return FR_FAIL;
}

static fr_rc fail_content(fr_err *err, const char *path, const char *why)
{
    fr_fail(err, FR_ERR_CONNECT, "file registry: %s: %s", path, why);
    fr_fail_hint(err, "the file was changed by hand or by a broken disk: restore it from a copy");
    fr_fail_code(err, "registry.file");
    return FR_FAIL;
}

/* --- files ------------------------------------------------------------------------------ */

/* FR_END: there is no such file. */
static fr_rc read_fd(int fd, const char *path, fr_arena *a, fr_str *out, fr_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_file(err, "read", path);
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
        return fail_content(err, path, "not a plain file of at most 4 MiB");
    char *bytes = fr_arena_raw(a, (size_t)st.st_size + 1);
    size_t len = 0;
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + len, (size_t)st.st_size - len);
        if (n < 0 && errno != EINTR)
            return fail_file(err, "read", path);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    *out = (fr_str){bytes, len};
    return FR_OK;
}

static fr_rc read_file(fr_arena *a, const char *path, fr_str *out, fr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? FR_END : fail_file(err, "open", path);
    fr_rc rc = read_fd(fd, path, a, out, err);
    close(fd);
    return rc;
}

static fr_rc read_json(fr_arena *a, const char *path, json_t **out, fr_err *err)
{
    fr_str text = {NULL, 0};
    fr_err bad;
    fr_rc rc = read_file(a, path, &text, err);
    if (rc != FR_OK)
        return rc;
    if (fr_json_parse(text, out, &bad) == FR_FAIL)
        return fail_content(err, path, bad.text);
    if (json_is_object(*out))
        return FR_OK;
    json_decref(*out);
    return fail_content(err, path, "not a JSON object");
}

static fr_rc sync_dir_of(const char *path, fr_err *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        *slash = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        fail_file(err, "sync", dir);
    if (fd >= 0)
        close(fd);
    return good ? FR_OK : FR_FAIL;
}

static bool write_all(int fd, fr_str text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = (fr_str){text.ptr + n, text.len - (size_t)n};
    }
    return true;
}

/* R40: under another name, synced, renamed, directory synced. The lock is held: one writer. */
static fr_rc write_file(const char *path, fr_str text, fr_err *err)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return fail_file(err, "write", path);
    }
    unlink(temporary); /* what a crash left */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_file(err, "create", temporary);
    bool good = write_all(fd, text) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        fail_file(err, "write", path);
        unlink(temporary);
        return FR_FAIL;
    }
    return sync_dir_of(path, err);
}

static fr_rc make_dir(const char *path, fr_err *err)
{
    if (mkdir(path, 0755) == 0)
        return sync_dir_of(path, err);
    return errno == EEXIST ? FR_OK : fail_file(err, "create", path);
}

/* --- names ------------------------------------------------------------------------------ */

static fr_rc subject_path(file_registry *f, fr_arena *a, const char *subject, const char *rest,
                          char **out, fr_err *err)
{
    fr_str name = fr_registry_escape(a, subject);
    if (name.len == 0 || name.len > NAME_MAX_LEN) {
        fr_fail(err, FR_ERR_CONFIG, "file registry: subject %s: the name is %s", subject,
                name.len == 0 ? "empty" : "too long for a file");
        fr_fail_code(err, "registry.file");
        return FR_FAIL;
    }
    *out = fr_arena_cstr(a, fr_arena_printf(a, "%s/subjects/%.*s%s", f->dir, FR_ARG(name), rest));
    return FR_OK;
}

/* The number in "<n><suffix>"; 0: another name. */
static int32_t number_of(const char *name, const char *suffix)
{
    char *end;
    if (name[0] < '1' || name[0] > '9')
        return 0;
    long n = strtol(name, &end, 10);
    return strcmp(end, suffix) == 0 && n <= INT32_MAX ? (int32_t)n : 0;
}

/* The largest n among the files "<n><suffix>"; 0: none, or no such directory. */
static fr_rc newest(const char *dir, const char *suffix, int32_t *out, fr_err *err)
{
    *out = 0;
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT ? FR_OK : fail_file(err, "list", dir);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        int32_t n = number_of(e->d_name, suffix);
        if (n > *out)
            *out = n;
    }
    closedir(d);
    return FR_OK;
}

/* --- locking ---------------------------------------------------------------------------- */

/* DIR, subjects, ids, lock. */
static fr_rc make_all(file_registry *f, fr_arena *a, fr_err *err)
{
    static const char *const dirs[] = {"", "/subjects", "/ids"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        FR_TRY(make_dir(fr_arena_cstr(a, fr_arena_printf(a, "%s%s", f->dir, dirs[i])), err));
    return FR_OK;
}

/* Whoever only reads makes nothing: plan must leave no trace. */
static fr_rc open_lock(file_registry *f, bool make, fr_err *err)
{
    if (f->lock >= 0)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    char *path = fr_arena_cstr(a, fr_arena_printf(a, "%s/lock", f->dir));
    fr_rc rc = make ? make_all(f, a, err) : FR_OK;
    if (rc == FR_OK)
        f->lock = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0644);
    if (rc == FR_OK && f->lock < 0)
        rc = errno == ENOENT && !make ? FR_END : fail_file(err, "open", path);
    fr_arena_free(a);
    return rc;
}

static fr_rc lock(file_registry *f, int how, fr_err *err)
{
    fr_rc rc = open_lock(f, how == LOCK_EX, err);
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : FR_FAIL;
    while (flock(f->lock, how | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_file(err, "lock", f->dir);
        if (atomic_load(&f->interrupted))
            return fr_fail(err, FR_ERR_CANCELLED, "file registry: shutdown was requested");
        usleep(5000);
    }
    return FR_OK;
}

static void unlock(file_registry *f)
{
    if (f->lock >= 0)
        flock(f->lock, LOCK_UN);
}

/* --- what is stored --------------------------------------------------------------------- */

typedef fr_registry_version version;

static fr_rc read_version(file_registry *f, fr_arena *a, const char *subject, int32_t number,
                          version *out, fr_err *err)
{
    char rest[64], *path = NULL;
    json_t *j;
    snprintf(rest, sizeof(rest), "/versions/%d.json", number);
    FR_TRY(subject_path(f, a, subject, rest, &path, err));
    fr_rc rc = read_json(a, path, &j, err);
    if (rc != FR_OK)
        return rc == FR_END ? fail_content(err, path, "this version is missing") : rc;
    long long id = fr_json_int(j, "id", 0);
    const json_t *schema = json_object_get(j, "schema");
    if (id < 1 || id > INT32_MAX || !json_is_string(schema))
        rc = fail_content(err, path, "no usable `id` and `schema`");
    else
        *out = (version){number, (int32_t)id,
                         fr_arena_copy(a, json_string_value(schema), json_string_length(schema))};
    json_decref(j);
    return rc;
}

/* All versions of a subject, oldest first. */
static fr_rc read_versions(file_registry *f, fr_arena *a, const char *subject, version **out,
                           size_t *count, fr_err *err)
{
    char *path = NULL;
    int32_t last;
    FR_TRY(subject_path(f, a, subject, "/versions", &path, err));
    FR_TRY(newest(path, ".json", &last, err));
    if (last > VERSIONS_MAX)
        return fail_content(err, path, "more than 100000 versions");
    version *all = fr_arena_alloc(a, ((size_t)last + 1) * sizeof(*all));
    for (int32_t n = 1; n <= last; n++)
        FR_TRY(read_version(f, a, subject, n, &all[n - 1], err));
    *out = all;
    *count = (size_t)last;
    return FR_OK;
}

/* FR_END: the file is not there. */
static fr_rc read_level(fr_arena *a, const char *path, int *out, fr_err *err)
{
    json_t *j;
    fr_rc rc = read_json(a, path, &j, err);
    if (rc != FR_OK)
        return rc;
    *out = fr_compat_of(fr_json_str(j, "compatibilityLevel", ""));
    json_decref(j);
    return *out >= 0 ? FR_OK : fail_content(err, path, "no usable `compatibilityLevel`");
}

static fr_rc level_of(file_registry *f, fr_arena *a, const char *subject, int *out, fr_err *err)
{
    char *path = NULL;
    FR_TRY(subject_path(f, a, subject, "/config.json", &path, err));
    fr_rc rc = read_level(a, path, out, err);
    if (rc != FR_END)
        return rc;
    rc = read_level(a, fr_arena_cstr(a, fr_arena_printf(a, "%s/config.json", f->dir)), out, err);
    if (rc == FR_END)
        *out = FR_COMPAT_BACKWARD;
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static char *id_path(file_registry *f, fr_arena *a, int32_t id)
{
    return fr_arena_cstr(a, fr_arena_printf(a, "%s/ids/%d.avsc", f->dir, id));
}

/* The id of this text, or the next free one and its file. */
static fr_rc id_for(file_registry *f, fr_arena *a, fr_str schema, int32_t *out, fr_err *err)
{
    int32_t last;
    fr_str text = {NULL, 0};
    FR_TRY(newest(fr_arena_cstr(a, fr_arena_printf(a, "%s/ids", f->dir)), ".avsc", &last, err));
    for (int32_t id = 1; id <= last; id++) {
        fr_rc rc = read_file(a, id_path(f, a, id), &text, err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        *out = id;
        if (rc == FR_OK && fr_str_eq(text, schema))
            return FR_OK;
    }
    *out = last + 1;
    return write_file(id_path(f, a, *out), schema, err);
}

static fr_rc write_version(file_registry *f, fr_arena *a, const char *subject, const version *v,
                           fr_err *err)
{
    char rest[64], *path = NULL;
    static const char *const dirs[] = {"", "/versions"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        FR_TRY(subject_path(f, a, subject, dirs[i], &path, err));
        FR_TRY(make_dir(path, err));
    }
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"subject\":");
    fr_buf_json(&b, fr_cstr(subject));
    fr_buf_printf(&b, ",\"version\":%d,\"id\":%d,\"schema\":", v->number, v->id);
    fr_buf_json(&b, v->text);
    fr_buf_text(&b, "}\n");
    snprintf(rest, sizeof(rest), "/versions/%d.json", v->number);
    FR_TRY(subject_path(f, a, subject, rest, &path, err));
    return write_file(path, fr_buf_view(&b), err);
}

static fr_rc check_versions(file_registry *f, fr_arena *a, const char *subject, fr_str schema,
                            const version *all, size_t count, fr_str *why_out, fr_err *err)
{
    int level;
    fr_str *texts = fr_arena_alloc(a, (count + 1) * sizeof(*texts));
    for (size_t i = 0; i < count; i++)
        texts[i] = all[i].text;
    FR_TRY(level_of(f, a, subject, &level, err));
    return fr_compat_check(a, level, schema, texts, count, why_out, err);
}

/* --- the back end, locked --------------------------------------------------------------- */

static fr_rc lookup_locked(file_registry *f, fr_arena *a, const char *subject, fr_str schema,
                           int32_t *id_out, fr_err *err)
{
    version *all;
    size_t count;
    FR_TRY(read_versions(f, a, subject, &all, &count, err));
    for (size_t i = count; i > 0; i--)
        if (fr_str_eq(all[i - 1].text, schema)) {
            *id_out = all[i - 1].id;
            return FR_OK;
        }
    return FR_END;
}

static fr_rc file_lookup(void *self, const char *subject, fr_str schema, int32_t *id_out,
                         fr_err *err)
{
    file_registry *f = self;
    FR_TRY(lock(f, LOCK_SH, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = lookup_locked(f, a, subject, schema, id_out, err);
    fr_arena_free(a);
    unlock(f);
    return rc;
}

static fr_rc file_latest(void *self, fr_arena *a, const char *subject, int *version_out,
                         int32_t *id_out, fr_str *text_out, fr_err *err)
{
    file_registry *f = self;
    version *all;
    size_t count;
    FR_TRY(lock(f, LOCK_SH, err));
    fr_rc rc = read_versions(f, a, subject, &all, &count, err);
    unlock(f);
    if (rc == FR_FAIL || count == 0)
        return rc == FR_FAIL ? FR_FAIL : FR_END;
    *version_out = all[count - 1].number;
    *id_out = all[count - 1].id;
    *text_out = all[count - 1].text;
    return FR_OK;
}

static fr_rc file_versions(void *self, fr_arena *a, const char *subject, fr_registry_version **out,
                           size_t *count, fr_err *err)
{
    file_registry *f = self;
    FR_TRY(lock(f, LOCK_SH, err));
    fr_rc rc = read_versions(f, a, subject, out, count, err);
    unlock(f);
    return rc == FR_OK && *count == 0 ? FR_END : rc;
}

static fr_rc file_exists(void *self, const char *subject, fr_err *err)
{
    int number;
    int32_t id;
    fr_str text;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = file_latest(self, a, subject, &number, &id, &text, err);
    fr_arena_free(a);
    return rc;
}

static fr_rc file_level(void *self, const char *subject, int *level_out, fr_err *err)
{
    file_registry *f = self;
    FR_TRY(lock(f, LOCK_SH, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = level_of(f, a, subject, level_out, err);
    fr_arena_free(a);
    unlock(f);
    return rc;
}

static fr_rc set_level_locked(file_registry *f, fr_arena *a, const char *subject, int level,
                              fr_err *err)
{
    char *path = NULL;
    FR_TRY(subject_path(f, a, subject, "", &path, err));
    FR_TRY(make_dir(path, err));
    FR_TRY(subject_path(f, a, subject, "/config.json", &path, err));
    return write_file(
        path, fr_arena_printf(a, "{\"compatibilityLevel\":\"%s\"}\n", fr_compat_name(level)), err);
}

static fr_rc file_set_level(void *self, const char *subject, int level, fr_err *err)
{
    file_registry *f = self;
    FR_TRY(lock(f, LOCK_EX, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = set_level_locked(f, a, subject, level, err);
    fr_arena_free(a);
    unlock(f);
    return rc;
}

static fr_rc file_own_level(void *self, const char *subject, int *level_out, fr_err *err)
{
    file_registry *f = self;
    char *path = NULL;
    FR_TRY(lock(f, LOCK_SH, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = subject_path(f, a, subject, "/config.json", &path, err);
    if (rc == FR_OK)
        rc = read_level(a, path, level_out, err);
    fr_arena_free(a);
    unlock(f);
    return rc;
}

static fr_rc file_drop_level(void *self, const char *subject, fr_err *err)
{
    file_registry *f = self;
    char *path = NULL;
    FR_TRY(lock(f, LOCK_EX, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = subject_path(f, a, subject, "/config.json", &path, err);
    if (rc == FR_OK && unlink(path) != 0)
        rc = errno == ENOENT ? FR_END : fail_file(err, "remove", path);
    if (rc == FR_OK)
        rc = sync_dir_of(path, err);
    fr_arena_free(a);
    unlock(f);
    return rc;
}

static fr_rc add_locked(file_registry *f, fr_arena *a, const char *subject, fr_str schema,
                        int32_t *id_out, fr_str *why_out, fr_err *err)
{
    version *all;
    size_t count;
    /* Another process may have added it since it was looked up. */
    fr_rc rc = lookup_locked(f, a, subject, schema, id_out, err);
    if (rc != FR_END)
        return rc;
    FR_TRY(read_versions(f, a, subject, &all, &count, err));
    rc = check_versions(f, a, subject, schema, all, count, why_out, err);
    if (rc != FR_OK)
        return rc;
    version v = {.number = (int)count + 1, .text = schema};
    FR_TRY(id_for(f, a, schema, &v.id, err));
    *id_out = v.id;
    return write_version(f, a, subject, &v, err);
}

static fr_rc file_add(void *self, fr_arena *a, const char *subject, fr_str schema, int32_t *id_out,
                      fr_str *why_out, fr_err *err)
{
    file_registry *f = self;
    *why_out = (fr_str){"", 0};
    FR_TRY(lock(f, LOCK_EX, err));
    fr_rc rc = add_locked(f, a, subject, schema, id_out, why_out, err);
    unlock(f);
    return rc;
}

static fr_rc file_schema(void *self, fr_arena *a, int32_t id, fr_str *text_out, fr_err *err)
{
    file_registry *f = self;
    return read_file(a, id_path(f, a, id), text_out, err);
}

static fr_rc file_compatible(void *self, fr_arena *a, const char *subject, fr_str schema,
                             fr_str *why_out, fr_err *err)
{
    file_registry *f = self;
    version *all;
    size_t count;
    *why_out = (fr_str){"", 0};
    FR_TRY(lock(f, LOCK_SH, err));
    fr_rc rc = read_versions(f, a, subject, &all, &count, err);
    if (rc == FR_OK)
        rc = check_versions(f, a, subject, schema, all, count, why_out, err);
    unlock(f);
    return rc;
}

static fr_rc file_check(void *self, fr_findings *out, fr_err *err)
{
    file_registry *f = self;
    (void)err;
    if (access(f->dir, R_OK | W_OK | X_OK) == 0) {
        fr_findings_add(out, FR_FINE, "registry.connect", "directory %s", f->dir);
    } else if (errno == ENOENT) {
        fr_findings_add(out, FR_CHANGE, "registry.connect", "directory %s", f->dir);
    } else {
        fr_finding *found = fr_findings_add(out, FR_BLOCKER, "registry.connect", "directory %s: %s",
                                            f->dir, strerror(errno));
        found->hint = FR_STR("make it readable and writable for this user");
    }
    fr_findings_add(out, FR_FINE, "registry.mode", "READWRITE");
    fr_finding *found = fr_findings_add(out, FR_WARNING, "registry.connect",
                                        "schemas are kept in files on this machine only");
    found->hint = FR_STR("consumers on other machines need a registry server: set registry.url");
    return FR_OK;
}

static const char *file_place(void *self)
{
    return ((file_registry *)self)->dir;
}

static void file_interrupt(void *self)
{
    atomic_store(&((file_registry *)self)->interrupted, true);
}

static void file_close(void *self)
{
    file_registry *f = self;
    if (f->lock >= 0)
        close(f->lock);
    free(f->dir);
    free(f);
}

fr_rc fr_registry_file_open(const char *dir, void **self_out, fr_err *err)
{
    *self_out = NULL;
    if (dir[0] == '\0' || strlen(dir) > PATH_MAX / 2) {
        fr_fail(err, FR_ERR_CONFIG, "registry.url: file: needs a directory");
        fr_fail_hint(err, "write file:/var/lib/freshet/schemas");
        return fr_fail_code(err, "registry.url");
    }
    file_registry *f = fr_malloc(sizeof(*f));
    f->dir = fr_strdup(dir);
    f->lock = -1;
    *self_out = f;
    return FR_OK;
}

const fr_registry_ops fr_registry_file_ops = {
    .lookup = file_lookup,
    .exists = file_exists,
    .level = file_level,
    .set_level = file_set_level,
    .add = file_add,
    .schema = file_schema,
    .compatible = file_compatible,
    .latest = file_latest,
    .versions = file_versions,
    .own_level = file_own_level,
    .drop_level = file_drop_level,
    .check = file_check,
    .place = file_place,
    .interrupt = file_interrupt,
    .close = file_close,
};
