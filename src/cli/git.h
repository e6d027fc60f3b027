/* Files as they were at a commit, by running git itself: without a shell, and nothing is changed.
 * One thread. */
#ifndef FR_CLI_GIT_H
#define FR_CLI_GIT_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_git fr_git;

/* The folder is in a work tree, and there is a git to ask. */
bool fr_git_there(const char *folder);
/* The commit that ref names, of the work tree that the folder is in. CONFIG (git.*): no git, no
 * work tree, no such commit. */
fr_rc fr_git_open(const char *folder, const char *ref, fr_git **out, fr_err *err);
void fr_git_close(fr_git *g);               /* NULL is fine */
const char *fr_git_commit(const fr_git *g); /* its name, 40 or 64 hex digits */
/* The file of this path as it was; FR_END: it was not there. CONFIG: it is outside of the work
 * tree. The path need not exist now; its folder is looked up as it is. */
fr_rc fr_git_read(fr_git *g, fr_arena *a, const char *path, fr_str *out, fr_err *err);
/* Paths of all files that were in this folder, and below, each as `folder` begins it. */
fr_rc fr_git_list(fr_git *g, fr_arena *a, const char *folder, const char ***out, size_t *count,
                  fr_err *err);

#endif
