/* An Avro schema as the contract of an outbox's payloads in JSON: what a database is to check.
 * Pure but for reading the file (docs/sources/outbox.md, "A contract"). */
#ifndef FR_CLI_CONTRACT_H
#define FR_CLI_CONTRACT_H

#include "base/error.h"
#include "connect/ddl_contract.h"

/* All of it in the arena. CONFIG error that names the file and the place in the schema: what is
 * no schema of a record, contains itself, is too deep or too large, or has bytes, which JSON has
 * no way to write. */
fr_rc fr_contract_read(fr_arena *a, const char *file, const fr_contract_node **out, fr_err *err);
/* The same of a text; name: what errors call it. */
fr_rc fr_contract_of(fr_arena *a, const char *name, fr_str schema, const fr_contract_node **out,
                     fr_err *err);

#endif
