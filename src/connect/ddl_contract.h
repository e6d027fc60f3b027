/* The contract of an outbox's payloads as a tree of checks, and the code that makes them in the
 * database: for each kind of value the same questions in each dialect, so that all databases
 * say the same. A connector adds what is around it. Pure (docs/sources/outbox.md, "A contract"). */
#ifndef FR_CONNECT_DDL_CONTRACT_H
#define FR_CONNECT_DDL_CONTRACT_H

#include "base/bytes.h"

typedef enum {
    FR_CONTRACT_NULL,
    FR_CONTRACT_BOOLEAN,
    FR_CONTRACT_WHOLE,  /* between least and most */
    FR_CONTRACT_REAL,   /* not beyond most, either way */
    FR_CONTRACT_TEXT,   /* of pattern */
    FR_CONTRACT_RECORD, /* members, and no others */
    FR_CONTRACT_ARRAY,  /* items are all like members[0] */
    FR_CONTRACT_MAP,    /* values are all like members[0] */
    FR_CONTRACT_ANY,    /* like one of members; has no name of its own */
    FR_CONTRACT_KINDS
} fr_contract_kind;

/* JSON below it: MariaDB reads 32 levels. */
#define FR_CONTRACT_MAX_DEPTH 30
#define FR_CONTRACT_MAX_NODES 1000

typedef struct fr_contract_node fr_contract_node;
typedef struct fr_contract_member {
    fr_str name;   /* of a record: letters, digits and _ only; else empty */
    bool required; /* of a record: it may not be missing */
    const fr_contract_node *node;
} fr_contract_member;

struct fr_contract_node {
    fr_contract_kind kind;
    bool nullable;            /* JSON's null too */
    fr_str must;              /* for a person: "be a date (YYYY-MM-DD)"; plain ASCII, no quotes */
    const char *least, *most; /* as SQL writes them */
    fr_str pattern; /* of the whole text; what PCRE, ICU and PostgreSQL read alike; no quotes and no
                     * backslashes. Empty: any text */
    size_t count;
    const fr_contract_member *members;
};

/* Templates: $d is the depth of the value that is looked at (v0 is the payload), $p the depth
 * above, $l the number of the block. */
typedef struct fr_contract_dialect {
    const char *begin, *end, *leave; /* of block b$l */
    const char *set_bad;             /* up to a list of texts, and its ")" */
    const char *clear_bad;
    const char *types[FR_CONTRACT_KINDS]; /* a list of literals */
    const char *type, *text, *whole, *real;
    const char *unlike, *unlike_end; /* around a pattern: true where it does not match */
    const char *member, *member_end; /* v$d is the member of v$p; around a name */
    const char *others, *others_name, *others_name_end, *others_end; /* a record has others */
    const char *others_between;
    const char *twice; /* a map has a name twice */
    const char *items, *items_end, *values, *values_end;
} fr_contract_dialect;

/* Sets `bad`, a variable, to what is wrong with v0 where something is; else it is as it was. */
void fr_contract_put(fr_buf *b, const fr_contract_dialect *d, const fr_contract_node *root);
/* How many levels there are: v0 to v<depth - 1>. */
unsigned fr_contract_depth(const fr_contract_node *root);

#endif
