/* The resume text of a postgres-wal source: one JSON object,
 *   {"system_identifier":"7432...","timeline":1,"db":"erp","slot":"freshet_erp","epoch":0,
 *    "end_lsn":"16/B374D848"}
 * end_lsn is a Commit's end LSN (never its commit LSN): every commit that begins before it
 * has been read. */
#ifndef FR_POSTGRES_WAL_POSITION_H
#define FR_POSTGRES_WAL_POSITION_H

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

typedef struct fr_wal_position {
    char system_identifier[24]; /* decimal text, as IDENTIFY_SYSTEM gives it */
    char db[260], slot[68];     /* names have at most 63 bytes; a db in JSON escapes more */
    uint32_t timeline, epoch;
    uint64_t end_lsn;
} fr_wal_position;

/* POSITION error (pg.position) when text is not such an object. */
fr_rc fr_wal_position_parse(fr_str text, fr_wal_position *out, fr_err *err);
fr_str fr_wal_position_text(fr_arena *a, const fr_wal_position *p);
/* What stands before the LSN in the text, NUL-terminated, of the heap: the text of another
 * LSN is this, the LSN and FR_WAL_POSITION_END. */
char *fr_wal_position_head(const fr_wal_position *p);
#define FR_WAL_POSITION_END "\"}"
/* Just the end LSN and epoch, without complaint: 0 when there is none. */
uint64_t fr_wal_position_lsn(fr_str text, uint32_t *epoch_out);

#endif
