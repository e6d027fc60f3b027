/* Between compat.c (can this be read?), compat_list.c (what differs; levels) and their texts. */
#ifndef FR_CODEC_COMPAT_INTERNAL_H
#define FR_CODEC_COMPAT_INTERNAL_H

#include "codec/compat.h"

/* The way to a type, from the inside out. */
typedef struct fr_compat_path {
    const struct fr_compat_path *up;
    fr_str name;      /* of a field, "[]", "{}"; empty: no step that people see */
    const char *step; /* of the pointer: "fields", "items"; NULL: none */
    int index;        /* behind the step; -1: none */
    const char *last; /* behind the index; NULL: none */
} fr_compat_path;

fr_compat_path fr_compat_field_path(const fr_compat_path *up, const fr_shape *record, size_t index);
fr_compat_path fr_compat_items_path(const fr_compat_path *up, const fr_shape *s);
fr_str fr_compat_path_text(fr_arena *a, const fr_compat_path *at);
/* "/fields/1/type"; what: a member of the type there ("size"), or NULL. field: of the field itself
 * and not of its type. */
fr_str fr_compat_pointer(fr_arena *a, const fr_compat_path *at, const char *what, bool field);

/* The field of the writer that a field of the reader takes its value from: by name, then by the
 * reader's aliases. *several: more than one could be meant. NULL: none. */
const fr_shape_field *fr_compat_field(const fr_shape *writer, const fr_shape_field *f,
                                      bool *several);
bool fr_compat_full_name(const fr_shape *reader, const fr_shape *writer);
bool fr_compat_promotes(fr_shape_kind writer, fr_shape_kind reader);
/* The only branch that is not null; NULL: there are several. */
const fr_shape *fr_compat_only_branch(const fr_shape *s);
/* Room for one more, zeroed but for empty texts. */
fr_difference *fr_compat_add(fr_differences *list);
fr_str fr_compat_describe(fr_arena *a, const fr_shape *s);
fr_str fr_compat_symbols_without(fr_arena *a, const fr_shape *these, const fr_shape *those,
                                 const char *sign);
/* Reasons as text: "after.grade: TYPE_MISMATCH: cannot read int as string". */
void fr_compat_say(fr_buf *b, const fr_difference *d);

#endif
