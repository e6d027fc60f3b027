/* What my_query.c, my_triggers.c and my_ddl_triggers.c share. */
#ifndef FR_MYSQL_MY_QUERY_PARTS_H
#define FR_MYSQL_MY_QUERY_PARTS_H

#include "connectors/mysql/binlog_split.h"
#include "connectors/mysql/my_query.h"
#include "connectors/mysql/my_rows.h"

/* The binlog source's way to connect is what we need of it. */
typedef struct fr_my_sql {
    fr_sql base;
    fr_binlog_source *source;
    fr_my *my;
    const char *processes; /* the table of sessions and what they do */
    bool repeatable;       /* its binary log takes no transaction at READ COMMITTED */
    bool views;            /* between begin_view and end_view, in a transaction */
    fr_buf removal;        /* what take began: deletes its rows; empty: nothing */
    uint64_t taken;        /* rows that came */
} fr_my_sql;

typedef struct fr_my_sql_relation {
    fr_sql_relation base;
    fr_arena *arena;
    fr_binlog_table *from;
    fr_my_layout *layout;
    fr_str qualified, shape;
    fr_str *index; /* one per column: an index that begins with it, quoted; a unique one first */
} fr_my_sql_relation;

/* "sql.changed" where its columns are others than when it was described. They stay so until the
 * transaction ends. */
fr_rc fr_my_sql_same(fr_my_sql *c, const fr_my_sql_relation *r, fr_err *err);

/* my_triggers.c */
void fr_my_triggers_copies(fr_my_sql_relation *r);
fr_rc fr_my_triggers(fr_sql *base, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                     fr_err *err);
fr_rc fr_my_begin_view(fr_sql *base, fr_sql_relation *const *relations, size_t count, fr_err *err);
void fr_my_end_view(fr_sql *base);

#endif
