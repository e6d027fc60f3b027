/* pg_logical_emit_message as an outbox without a table (docs/sources/outbox.md): a message's body
 * is a JSON object, and its members are the columns of a row. Pure. */
#ifndef FR_POSTGRES_PG_MESSAGE_H
#define FR_POSTGRES_PG_MESSAGE_H

#include "model/batch.h"
#include "model/settings.h"

/* The table that such messages are rows of: a text column for each that the outbox names, and
 * nothing else. With one reference for the caller. */
const fr_table *fr_pg_message_table(const fr_table_settings *t, fr_str prefix);

/* A MESSAGE becomes an INSERT. Of a member that is a text it has that text, of any other the JSON
 * as it was written; null, and a member that is not there, are NULL. event->bad is set where the
 * body is no JSON object, or the message was not part of a transaction. Values point to the event's
 * body or into the batch's arena. */
void fr_pg_message_row(fr_batch *b, fr_event *e, const fr_table *table);

#endif
