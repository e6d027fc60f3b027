/* errors.limit of a sink with dead letters: so many errors in so many messages of a topic, and it
 * waits instead of going to the dead letters whole. One thread at a time. Internal to src/apply. */
#ifndef FR_APPLY_LIMIT_H
#define FR_APPLY_LIMIT_H

#include "connect/sink.h"

typedef struct fr_limit fr_limit;

/* NULL text: there is none, and nothing is ever too many. The text was checked. */
fr_limit *fr_limit_new(const char *text);
void fr_limit_free(fr_limit *l); /* NULL is fine */
/* These messages of the batch came; counted in whole batches. */
void fr_limit_count(fr_limit *l, const fr_batch *b);
/* One more message of this topic is bad: true where that is above the limit. */
bool fr_limit_exceeded(fr_limit *l, fr_str topic);
/* These topics are read again, or another's: they begin anew. */
void fr_limit_forget(fr_limit *l, const fr_offsets *claimed);

#endif
