/* A table of MySQL or MariaDB, and the version of it made of that. Used by the log and by
 * snapshots, so that both give a table the same shape. */
#ifndef FR_MYSQL_MY_LAYOUT_H
#define FR_MYSQL_MY_LAYOUT_H

#include "connectors/mysql/my_types.h"
#include "model/batch.h"

typedef struct fr_my_relation {
    uint64_t id; /* table id of the log; 0: from information_schema */
    fr_str space, name;
    size_t column_count;
    fr_my_column *columns; /* NULL: the log has only the names (TRUNCATE) */
    bool from_log;         /* else of information_schema */
    bool named;            /* columns have their names: FULL metadata, or information_schema */
    bool keyed;            /* primary is set in columns, or there is no key (as `named`) */
    /* The configuration and the catalog only. */
    bool captured;   /* true */
    bool full_image; /* true; false: binlog_row_image is not FULL: columns may be absent */
    bool key_before; /* rows are whole, but old ones, which have the key alone (polling) */
    fr_str doc;      /* TABLE_COMMENT */
} fr_my_relation;

typedef struct fr_my_layout {
    const fr_table *table; /* a reference */
    fr_my_codec *codecs;   /* one per column of the table */
    fr_my_relation *from;  /* a copy of what it was made of */
    fr_arena *arena;       /* owns from, labels */
    fr_my_convert **converts;
    size_t convert_count;
} fr_my_layout;

/* Complete what the log said (r) with what information_schema said (known), which may be older
 * or newer:
 *   named:  by name: key, comment, default, configuration, and the types that the log does
 *           not tell apart (uuid, inet4, inet6, vector of MariaDB). A column that `known` does not
 *           have stays as the log has it.
 *   else:   by place: count, types, lengths and nullability must agree, else SCHEMA error
 *           "my.shape_mismatch" that names the first column that does not (D17, D18).
 *   r->columns NULL: all of known.
 * Texts are shared with known, which must live as long as r. */
fr_rc fr_my_relation_fill(fr_my_relation *r, const fr_my_relation *known, fr_arena *a, fr_err *err);
/* Can a column so declared be written so? Why not in *why (a literal), else NULL. */
bool fr_my_column_fits(const fr_my_column *declared, fr_my_wire wire, uint16_t meta,
                       const char **why);

/* Build the table: kinds, native types, defaults, key (primary), may_be_absent and full_before
 * (full_image and not key_before). SCHEMA errors "my.type_unsupported", "my.charset_unsupported",
 * with table and column in front; "my.column_unnamed" when the log has no names and nobody gave
 * them. */
fr_rc fr_my_layout_new(const fr_my_relation *r, uint32_t version, fr_my_layout **out, fr_err *err);
/* The same layout as version + 1, with a column made nullable (absent: one that may be
 * absent, and full_before false): the log is right. */
fr_my_layout *fr_my_layout_relax(const fr_my_layout *l, size_t column, bool absent);
/* True when nothing that a consumer can see differs, and values are read the same way. */
bool fr_my_layout_same(const fr_my_layout *a, const fr_my_layout *b);
void fr_my_layout_free(fr_my_layout *l); /* NULL is fine */

/* A value of a row could not be decoded: *bad says why, unless it says something already:
 * table, column, type, reason, remedy, and `at` ("mysql-bin.000004:4711"); never the value. */
void fr_my_layout_bad(const fr_my_layout *l, size_t column, fr_arena *a, const char *at,
                      const fr_err *err, fr_str *bad);
/* Add a column's name to a list: "a,b". For event->zero. */
void fr_my_layout_zero(const fr_my_layout *l, size_t column, fr_arena *a, fr_str *zero);

#endif
