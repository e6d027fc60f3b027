/* Configuration as data. One table per struct is read by the parser, --help, the generated
 * docs/options.md, man pages, JSON Schema, redaction in logs, and the test that sets every
 * option. */
#ifndef FR_CONNECT_OPTION_H
#define FR_CONNECT_OPTION_H

#include "base/arena.h"
#include "base/error.h"
#include "model/settings.h"
#include <stddef.h>

/* What the member at offset is:
 *   TEXT const char *   INT int64_t   BOOL bool   BYTES int64_t   TIME int64_t (us)
 *   CHOICE int (index into choices)   LIST fr_texts   MAP fr_pairs */
typedef enum {
    FR_OPT_TEXT,
    FR_OPT_INT,
    FR_OPT_BOOL,
    FR_OPT_BYTES,
    FR_OPT_TIME,
    FR_OPT_CHOICE,
    FR_OPT_LIST,
    FR_OPT_MAP
} fr_option_type;
/* REFUSED: in the vocabulary, but nothing obeys it yet: setting it to anything but its
 * default is an error that says so. */
enum {
    FR_REQUIRED = 1 << 0,
    FR_SECRET = 1 << 1,
    FR_DEPRECATED = 1 << 2,
    FR_REFUSED = 1 << 3,
    FR_PATH = 1 << 4
};

typedef struct fr_option {
    const char *name; /* relative, dotted: "log.slot" */
    fr_option_type type;
    size_t offset;              /* of the member it sets */
    const char *fallback;       /* as a user would write it: "8MiB", "10s"; NULL: zero */
    const char *help;           /* one sentence */
    long long min, max;         /* INT, BYTES, TIME (microseconds); both 0: any */
    const char *const *choices; /* CHOICE only, ends with NULL */
    unsigned flags;
    /* TEXT: is that one, as far as the text itself says? CONFIG error that quotes nothing secret.
     * NULL: any text will do. */
    fr_rc (*reads)(const char *text, fr_err *err);
} fr_option;

/* Parse one scalar into the member; texts are copied into the arena. "NO", "012" and
 * "1.10" are what the field's type says. CONFIG error without place (the caller adds it). */
fr_rc fr_option_set(const fr_option *o, fr_arena *a, void *target, fr_str text, fr_err *err);
fr_rc fr_option_add(const fr_option *o, fr_arena *a, void *target, fr_str name, fr_str text,
                    fr_err *err); /* LIST (name empty) and MAP */
fr_rc fr_option_defaults(const fr_option *table, fr_arena *a, void *target, fr_err *err);
/* As a user would write it; secrets as "***". */
fr_str fr_option_get(const fr_option *o, fr_arena *a, const void *target);
const fr_option *fr_option_find(const fr_option *table, fr_str name);
/* The nearest name within an edit distance of 3, or NULL: for did-you-mean. */
const char *fr_nearest(fr_str word, const char *const *names, size_t count);

#endif
