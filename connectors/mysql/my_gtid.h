/* Global transaction ids, and sets of them, of both families. Pure; one thread at a time.
 *   MariaDB: domain-server-sequence; a set is the last one of each domain, and contains
 *            all of a domain up to its sequence: "0-1-270,7-3-12"
 *   MySQL:   uuid[:tag]:number; a set is intervals: "3e11fa47-...:1-5:7:blue:1-3,..." */
#ifndef FR_MYSQL_MY_GTID_H
#define FR_MYSQL_MY_GTID_H

#include "base/bytes.h"
#include "base/error.h"

typedef enum fr_gtid_family { FR_GTID_NONE, FR_GTID_MARIADB, FR_GTID_MYSQL } fr_gtid_family;

typedef struct fr_gtid {
    fr_gtid_family family; /* NONE: there is none (anonymous, an old server) */
    uint32_t domain, server;
    uint8_t uuid[16];
    char tag[33]; /* "" when there is none; lower case */
    uint64_t number;
} fr_gtid;

enum { FR_GTID_TEXT = 96 }; /* room for any, with its NUL */
/* Writes "" for NONE. Returns text. */
const char *fr_gtid_text(const fr_gtid *g, char text[FR_GTID_TEXT]);
fr_rc fr_gtid_parse(fr_gtid_family family, fr_str text, fr_gtid *out, fr_err *err);

typedef struct fr_gtids fr_gtids;
/* FR_GTID_NONE: a set that takes no ids; prints as empty. */
fr_gtids *fr_gtids_new(fr_gtid_family family);
fr_gtids *fr_gtids_copy(const fr_gtids *s);
void fr_gtids_free(fr_gtids *s); /* NULL is fine */
fr_gtid_family fr_gtids_family(const fr_gtids *s);
bool fr_gtids_empty(const fr_gtids *s);

/* As the servers write it (gtid_executed with line breaks too); DATA error "my.gtid" with
 * the place. */
fr_rc fr_gtids_parse(fr_gtid_family family, fr_str text, fr_gtids **out, fr_err *err);
/* Canonical: sorted, merged; the same set always gives the same text. */
void fr_gtids_print(const fr_gtids *s, fr_buf *b);
/* MySQL's binary form: COM_BINLOG_DUMP_GTID's and PREVIOUS_GTIDS'. Tagged when a tag is in
 * it (8.4's form, which older servers do not read). */
void fr_gtids_binary(const fr_gtids *s, fr_buf *b);
fr_rc fr_gtids_from_binary(fr_str bytes, fr_gtids **out, fr_err *err);

/* Families must agree: else add is without effect and contains false. MariaDB: the domain's
 * newest is now g, whatever was before (the log is the order). */
void fr_gtids_add(fr_gtids *s, const fr_gtid *g);
bool fr_gtids_contains(const fr_gtids *s, const fr_gtid *g);
void fr_gtids_merge(fr_gtids *s, const fr_gtids *other); /* MariaDB: the larger of each domain */
/* What is in s and not in other. MariaDB: s's last id of each domain where it is ahead. */
fr_gtids *fr_gtids_minus(const fr_gtids *s, const fr_gtids *other);

typedef enum fr_gtids_order {
    FR_GTIDS_EQUAL,
    FR_GTIDS_LESS,    /* all of a is in b, and b has more */
    FR_GTIDS_MORE,    /* the other way round */
    FR_GTIDS_DIVERGED /* each has what the other has not: cannot be ordered */
} fr_gtids_order;
fr_gtids_order fr_gtids_compare(const fr_gtids *a, const fr_gtids *b);

#endif
