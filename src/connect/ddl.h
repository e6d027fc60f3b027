/* The table of an outbox as a DBA would make it: which columns, and what both dialects write the
 * same way. A connector writes the statements (connect/sql.h, put_outbox); nobody runs them.
 * Pure; everything is borrowed until the text is written. */
#ifndef FR_CONNECT_DDL_H
#define FR_CONNECT_DDL_H

#include "connect/ddl_contract.h"
#include "model/settings.h"

/* What a column is for. A column that serves two is the first of them. */
typedef enum {
    FR_DDL_NUMBER,  /* the next number, by the database: outbox.id, else poll.column */
    FR_DDL_ID,      /* outbox.id, where poll.column is the number */
    FR_DDL_TEXT,    /* outbox.key, outbox.type, a column of outbox.route */
    FR_DDL_PAYLOAD, /* outbox.payload */
    FR_DDL_HEADER,  /* outbox.headers */
    FR_DDL_CREATED, /* when, by the database: ours to add */
    FR_DDL_ROLES
} fr_ddl_role;

typedef struct fr_ddl_column {
    fr_str name;
    fr_ddl_role role;
    const char *use;     /* for a person: "the message's key" */
    const char *example; /* of a TEXT column */
} fr_ddl_column;

typedef struct fr_ddl_outbox {
    const fr_source_settings *source;
    const fr_table_settings *settings;
    fr_str space, name;
    const fr_ddl_column *columns; /* FR_DDL_NUMBER is the first */
    size_t count;
    bool remove; /* what takes it all away again */
    /* Payloads are JSON that fits it; NULL: anything. With remove it is not looked into. */
    const fr_contract_node *contract;
} fr_ddl_outbox;

/* Sets columns and count from settings, in the arena; route: the columns that outbox.route names.
 * CONFIG where one column would have to be two things. */
fr_rc fr_ddl_outbox_columns(fr_arena *a, fr_ddl_outbox *o, const fr_str *route, size_t route_count,
                            fr_err *err);
/* Published rows are deleted by freshet. */
bool fr_ddl_outbox_emptied(const fr_ddl_outbox *o);

/* How a dialect spells it. */
typedef struct fr_ddl_dialect {
    void (*put_ident)(fr_buf *b, fr_str name);
    const char *types[FR_DDL_ROLES]; /* with NOT NULL and default */
    const char *payload;             /* an example's, quoted */
} fr_ddl_dialect;

/* Text as comment: each of its lines begins with "-- ", whatever names are in it. */
void fr_ddl_comment(fr_buf *b, fr_str text);
/* What this is, by whom, what to heed; the first lines. */
void fr_ddl_outbox_head(fr_buf *b, const fr_ddl_outbox *o);
/* What a database says of a payload that is refused, before "sku must be a string". */
#define FR_DDL_MISFIT "payload does not fit its contract: "
/* "space"."table" */
void fr_ddl_outbox_name(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o);
/* CREATE TABLE ... ( ... ), without what follows it. */
void fr_ddl_outbox_create(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o);
/* INSERT, as the application would write it; without a semicolon. */
void fr_ddl_outbox_insert(fr_buf *b, const fr_ddl_dialect *d, const fr_ddl_outbox *o);

#endif
