#include "sql/file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *fr_target_full_path(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX];
    if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return path;
    int n = snprintf(out, PATH_MAX, "%s/%s", here, path);
    return n > 0 && n < PATH_MAX ? out : path;
}

fr_rc fr_target_no_file(fr_err *err, fr_err_kind kind, const char *path, const char *what)
{
    char full[PATH_MAX];
    fr_fail(err, kind, "the file %s %s", fr_target_full_path(path, full), what);
    return fr_fail_code(err, "sink.file");
}

/* The folder of a file that is not there yet. */
static fr_rc check_folder(const char *path, fr_err *err)
{
    char folder[PATH_MAX], full[PATH_MAX];
    struct stat st;
    snprintf(folder, sizeof(folder), "%s", fr_target_full_path(path, full));
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        fr_fail(err, FR_ERR_CONFIG, "the folder %s is not there", folder);
        fr_fail_code(err, "sink.file");
        return fr_fail_hint(err, "mkdir -p %s, or correct the path", folder);
    }
    if (access(folder, W_OK | X_OK) == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_AUTH, "no file can be made in %s: %s", folder, strerror(errno));
    fr_fail_code(err, "sink.readonly");
    return fr_fail_hint(err, "let the user that freshet runs as write in it");
}

fr_rc fr_target_check_path(const char *path, bool *there, fr_err *err)
{
    struct stat st;
    *there = stat(path, &st) == 0;
    if (!*there && errno != ENOENT && errno != ENOTDIR) {
        fr_target_no_file(err, FR_ERR_AUTH, path, strerror(errno));
        return fr_fail_hint(err, "let the user that freshet runs as reach it");
    }
    if (!*there)
        return check_folder(path, err);
    if (S_ISREG(st.st_mode))
        return FR_OK;
    fr_target_no_file(err, FR_ERR_CONFIG, path, "is no ordinary file");
    return fr_fail_hint(err, "give the path of a file");
}
