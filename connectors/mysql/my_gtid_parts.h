/* How sets of ids are kept; my_gtid_parse.c fills them. */
#ifndef FR_MYSQL_MY_GTID_PARTS_H
#define FR_MYSQL_MY_GTID_PARTS_H

#include "connectors/mysql/my_gtid.h"

typedef struct fr_gtid_domain { /* MariaDB: the last id of a domain */
    uint32_t domain, server;
    uint64_t number;
} fr_gtid_domain;

typedef struct fr_gtid_span { /* [first, end) */
    uint64_t first, end;
} fr_gtid_span;

typedef struct fr_gtid_group { /* MySQL: of a uuid and tag */
    uint8_t uuid[16];
    char tag[33];
    size_t span_count;
    fr_gtid_span *spans;
} fr_gtid_group;

struct fr_gtids {
    fr_gtid_family family;
    size_t domain_count, group_count; /* both sorted */
    fr_gtid_domain *domains;
    fr_gtid_group *groups;
};

/* end is behind the last one. */
void fr_gtids_add_span(fr_gtids *s, const uint8_t *uuid, const char *tag, uint64_t first,
                       uint64_t end);

#endif
