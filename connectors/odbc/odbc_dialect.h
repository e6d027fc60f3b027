/* What databases and their drivers have of their own: asked of the driver (SQLGetInfo) where it
 * can be, else known by the name of the database, with the reason beside it. Pure. */
#ifndef FR_ODBC_ODBC_DIALECT_H
#define FR_ODBC_ODBC_DIALECT_H

#include "base/error.h"
#include "model/value.h"

/* How at most n rows are asked for. */
typedef enum fr_odbc_limit {
    FR_ODBC_MAX_ROWS, /* not in SQL: SQL_ATTR_MAX_ROWS, which a driver may apply as it likes */
    FR_ODBC_LIMIT,    /* ... LIMIT n */
    FR_ODBC_FETCH,    /* ... FETCH FIRST n ROWS ONLY */
    FR_ODBC_TOP,      /* SELECT TOP n ... */
    FR_ODBC_FIRST     /* SELECT FIRST n ... */
} fr_odbc_limit;

/* What stands in front of a table's name. */
typedef enum fr_odbc_space {
    FR_ODBC_NO_SPACE, /* nothing: the configuration calls it main */
    FR_ODBC_SCHEMA,
    FR_ODBC_CATALOG
} fr_odbc_space;

enum { FR_ODBC_SESSION_MAX = 4 };

typedef struct fr_odbc_quirks {
    const char *dbms; /* how SQL_DBMS_NAME begins; letters of either case */
    fr_odbc_limit limit;
    const char *clock;                        /* its clock in UTC; NULL: none is known */
    const char *coarse;                       /* of versions below precise_from; NULL: as clock */
    unsigned precise_from;                    /* major * 100 + minor */
    const char *session[FR_ODBC_SESSION_MAX]; /* what each session begins with */
    /* Its driver makes NULL of a value that is not of its column's type, unless it is asked for as
     * text. */
    bool by_text;
    const char *own,
        *wrong;           /* the source of ours for it, and what its driver gets wrong; or NULL */
    bool wide_ints;       /* whatever they are declared as, they have up to 64 bits */
    bool spans;           /* a TIME is a length of time, below 0 or beyond a day as well */
    bool times_are_texts; /* not compared by what they mean */
    bool rounds_times;    /* its datetime holds 1/300 s, its smalldatetime minutes, and neither is
                             what the driver says that it is */
} fr_odbc_quirks;

typedef struct fr_odbc_dialect {
    const fr_odbc_quirks *quirks; /* never NULL */
    bool known;                   /* they are this database's own */
    char quote[4];                /* around names; empty: names cannot be quoted */
    char dbms[80], dbms_version[80], driver[80], driver_version[80], manager[40];
    char escape[4]; /* of patterns for names */
    fr_odbc_space space;
    unsigned version; /* major * 100 + minor */
} fr_odbc_dialect;

/* By SQL_DBMS_NAME; *known: false where it is in no row. */
const fr_odbc_quirks *fr_odbc_quirks_of(const char *dbms, bool *known);
const char *fr_odbc_clock(const fr_odbc_dialect *d); /* NULL: none is known */
/* "10.11.6-MariaDB", "13.02.0000": 1011, 1302. */
unsigned fr_odbc_version(const char *text);
/* What a type of this name is, whatever SQL type the driver gives it; FR_ABSENT: as the SQL type
 * says. */
fr_kind fr_odbc_named_kind(const fr_odbc_quirks *q, fr_str type_name);
/* A time of this type is rounded by its database to a step that the driver does not tell: as the
 * value it gives it is not the one that the database compares. */
bool fr_odbc_rounded_time(const fr_odbc_quirks *q, fr_str type_name);
/* An error that ends by itself: what was asked for is not known, and has to be asked again. */
bool fr_odbc_passes(fr_err_kind kind);
/* The table has changed since it was described, or between the driver's own preparing and
 * executing. statement: of poll.query; one that names what is not there is its author's matter. */
bool fr_odbc_no_longer_so(const fr_odbc_quirks *q, const char *sqlstate, int native,
                          bool statement);
/* What an SQLSTATE and a native number mean; connecting: while there is no connection yet. False:
 * nothing is known of them. */
bool fr_odbc_error_kind(const fr_odbc_quirks *q, const char *sqlstate, int native, bool connecting,
                        fr_err_kind *out);

#endif
