/* Commits are asked for on a thread of their own, so that whoever wants one can do other work
 * meanwhile. Polling rd_kafka_commit_transaction with a short time-out is no way to do that: the
 * call begins with a question to librdkafka's main thread, and where the time-out strikes there
 * (a busy machine, a stopped process), the answer that comes late is taken for that of a later
 * question. The call may then report a commit that is still under way, or librdkafka ends the
 * process (docs/adr/0021-commit-thread.md). */
#ifndef FR_KAFKA_COMMIT_H
#define FR_KAFKA_COMMIT_H

#include "base/error.h"
#include <librdkafka/rdkafka.h>
#include <stdbool.h>

typedef struct fr_committer fr_committer;

/* rk: transactional and initialised; borrowed until end. */
fr_rc fr_committer_start(rd_kafka_t *rk, fr_committer **out, fr_err *err);
/* Commit the open transaction, of which nothing is outstanding. From here to the answer nothing
 * may be produced, begun or aborted with rk. */
void fr_committer_ask(fr_committer *c);
/* True: there is an answer, which is given once; error_out is NULL for "committed", else the
 * caller's, and final for this rk's transaction. False: not within ms milliseconds. */
bool fr_committer_answer(fr_committer *c, int ms, rd_kafka_error_t **error_out);
/* After a transactional call timed out: is it still the one under way, so that calling it again
 * resumes it? Where not, nothing more may be done with rk than to destroy it. */
bool fr_transactional_call_known(rd_kafka_t *rk);
/* Ends the thread, within half a second also when a commit is under way: that one is left
 * as it is, and rk may then only be destroyed. NULL is nothing. */
void fr_committer_end(fr_committer *c);

#endif
