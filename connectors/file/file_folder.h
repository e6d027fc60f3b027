/* The folder on disk: its manifest read, added to and folded, its lock, files that are made and
 * taken away. A commit's number is taken by link(2), which fails where it is taken already: that,
 * and not the lock, is what two writers are told apart by, also over NFS
 * (docs/adr/0050-file-sink.md). One thread at a time. */
#ifndef FR_FILE_FILE_FOLDER_H
#define FR_FILE_FILE_FOLDER_H

#include "file/file_manifest.h"
#include <limits.h>

enum { FR_FILE_WRITER = 16 }; /* hexadecimal digits of an instance */

typedef struct fr_file_folder {
    char path[PATH_MAX];             /* in full, without '/' at its end */
    int lock;                        /* -1: not held */
    char writer[FR_FILE_WRITER + 1]; /* by chance, once; "": not drawn yet */
    fr_map *synced; /* by path below, folders whose names are known to be durable; NULL: none */
    fr_file_state *state; /* as it was read last, and what was added since */
    int64_t folded;       /* number of the newest fold; 0: none */
    int64_t claimed;      /* number of this instance's first claim; 0: none yet */
    int64_t keep_ms;
} fr_file_folder;

/* Where it is, and whether it can be written. Nothing is made. CONFIG (sink.file, sink.config),
 * AUTH (sink.readonly). */
fr_rc fr_file_folder_check(const char *path, bool *there, fr_err *err);
/* Takes the lock and reads the manifest, where there is one. BUSY (sink.busy): another process of
 * this host, or of one that shares the locks, has it. */
fr_rc fr_file_folder_open(fr_file_folder *f, fr_err *err);
/* Makes what is not there of it, all durable, then opens it. */
fr_rc fr_file_folder_make(fr_file_folder *f, fr_err *err);
void fr_file_folder_close(fr_file_folder *f);
static inline bool fr_file_folder_held(const fr_file_folder *f)
{
    return f->lock >= 0;
}
/* Reads again what there is. */
fr_rc fr_file_folder_load(fr_file_folder *f, fr_err *err);

/* The record becomes the next of the manifest, for good: seq, at_ms and writer are set here. FENCED
 * (sink.fenced) where another instance has taken its number. After any failure the state is to be
 * loaded again: the record may be there all the same (R34). */
fr_rc fr_file_folder_append(fr_file_folder *f, fr_file_record *r, fr_err *err);
/* Folds the manifest where there are many commits since the last fold, and takes away files that no
 * reader needs any more. */
fr_rc fr_file_folder_tidy(fr_file_folder *f, fr_err *err);
/* Takes away what instances before this one left: files that no manifest lists. After the claim. */
fr_rc fr_file_folder_sweep(fr_file_folder *f, fr_err *err);

/* The name in _freshet of what this instance has no memory for. */
void fr_file_folder_spill(fr_file_folder *f, char *out, size_t size);
/* The folder below, made with those above it and durable, also where an attempt before made it and
 * failed. Nothing is made in the place of a folder that was held and is gone (sink.file). */
fr_rc fr_file_folder_dirs(fr_file_folder *f, const char *below, fr_err *err);
/* The file DIR/<below>.tmp, complete or not at all. */
fr_rc fr_file_folder_put(const fr_file_folder *f, fr_str below, fr_str text, fr_err *err);
/* DIR/<below>.tmp, which is complete, becomes DIR/<below>, and both are durable. *bytes_out: its
 * size. */
fr_rc fr_file_folder_publish(const fr_file_folder *f, const char *below, int64_t *bytes_out,
                             fr_err *err);
/* DIR/<below> and DIR/<below>.tmp, which nothing lists, go. */
void fr_file_folder_discard(const fr_file_folder *f, const char *below);
/* An errno as an error: full, not allowed, or the disk's. Returns FR_FAIL. */
fr_rc fr_file_errno(fr_err *err, int number, const char *doing, const char *path);

#endif
