/* Between registry.c (caches, the order of steps, errors an operator reads) and its two back
 * ends: registry_http.c (a registry server) and registry_file.c (a directory). A back end is
 * called by one thread at a time, except interrupt. */
#ifndef FR_CODEC_REGISTRY_INTERNAL_H
#define FR_CODEC_REGISTRY_INTERNAL_H

#include "base/bytes.h"
#include "codec/registry.h"

/* `subject` is the name as users write it; every back end does its own escaping. Unless said
 * otherwise FR_END means "no such thing". Texts that are handed out live in the arena. */
typedef struct fr_registry_ops {
    fr_rc (*lookup)(void *self, const char *subject, fr_str schema, int32_t *id_out, fr_err *err);
    fr_rc (*exists)(void *self, const char *subject, fr_err *err);
    /* The level that applies to this subject now: an fr_compat, -1: one we do not know. */
    fr_rc (*level)(void *self, const char *subject, int *level_out, fr_err *err);
    /* FR_END: not before the subject has a version. */
    fr_rc (*set_level)(void *self, const char *subject, int level, fr_err *err);
    /* FR_END: incompatible; *why_out is what was said about it. */
    fr_rc (*add)(void *self, fr_arena *a, const char *subject, fr_str schema, int32_t *id_out,
                 fr_str *why_out, fr_err *err);
    fr_rc (*schema)(void *self, fr_arena *a, int32_t id, fr_str *text_out, fr_err *err);
    /* FR_END: incompatible, as above. */
    fr_rc (*compatible)(void *self, fr_arena *a, const char *subject, fr_str schema,
                        fr_str *why_out, fr_err *err);
    fr_rc (*latest)(void *self, fr_arena *a, const char *subject, int *version_out, int32_t *id_out,
                    fr_str *text_out, fr_err *err);
    /* A subject that is not there now: was it, and was it deleted so that it can come back? NULL:
     * this back end deletes nothing. */
    bool (*was_deleted)(void *self, const char *subject);
    fr_rc (*versions)(void *self, fr_arena *a, const char *subject, fr_registry_version **out,
                      size_t *count, fr_err *err);
    /* The level that is the subject's own. */
    fr_rc (*own_level)(void *self, const char *subject, int *level_out, fr_err *err);
    /* From now on the level of all others is its. */
    fr_rc (*drop_level)(void *self, const char *subject, fr_err *err);
    fr_rc (*check)(void *self, fr_findings *out, fr_err *err);
    const char *(*place)(void *self); /* URL or directory, for messages */
    void (*interrupt)(void *self);    /* any thread */
    void (*close)(void *self);
} fr_registry_ops;

fr_rc fr_registry_http_open(const fr_registry_settings *settings, void **self_out, fr_err *err);
extern const fr_registry_ops fr_registry_http_ops;
/* dir: without "file:". */
fr_rc fr_registry_file_open(const char *dir, void **self_out, fr_err *err);
extern const fr_registry_ops fr_registry_file_ops;

/* {"properties":{"owner":...},"tags":{"**.email":["PII"]}}: what the schema says of its stream.
 * Empty: nothing. In the arena. */
fr_str fr_registry_metadata(fr_arena *a, fr_str schema);

/* "BACKWARD_TRANSITIVE"; and back, -1 for a word we do not know. */
const char *fr_compat_name(int level);
int fr_compat_of(const char *name);
/* Percent-encode all but letters, digits, '-', '_', '.' and '~'; a leading '.' too, so that
 * the result is also a safe file name. */
fr_str fr_registry_escape(fr_arena *a, const char *subject);

#endif
