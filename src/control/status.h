/* What the pipeline is doing: one document, read by /v1/status, /metrics, the CLI, sd_notify
 * and USR1. Counters are written by the drivers' threads (atomics and one lock), read by
 * any. From any thread. */
#ifndef FR_CONTROL_STATUS_H
#define FR_CONTROL_STATUS_H

#include "base/bytes.h"
#include "base/error.h"
#include "connect/status.h"
#include "control/will.h"
#include "model/event.h"

typedef struct fr_part fr_part; /* one source or sink */
typedef struct fr_board fr_board;

fr_board *fr_board_new(const char *pipeline, const char *worker);
void fr_board_free(fr_board *b);
fr_part *fr_board_part(fr_board *b, bool sink, const char *name, const char *type);

/* reason may be NULL; kept as a copy. A failure or retry carries err. */
void fr_part_state(fr_part *p, fr_state s, const char *reason);
void fr_part_error(fr_part *p, fr_state s, const fr_err *err, int64_t next_try_wall_us);
/* Counted once acknowledged (sources) or applied (sinks). commit_us: the source's time. */
void fr_part_count(fr_part *p, fr_str space, fr_str table, const uint64_t by_op[5] /* c u d r t */,
                   uint64_t bytes, int64_t commit_us);
void fr_part_table(fr_part *p, fr_str space, fr_str table, fr_state s);
void fr_part_snapshot(fr_part *p, fr_str space, fr_str table, uint32_t chunks_done, uint32_t chunks,
                      uint64_t rows, uint64_t rows_expected);
void fr_part_connector(fr_part *p, const fr_status *s);
void fr_part_position(fr_part *p, fr_str resume);
void fr_part_progress(fr_part *p); /* a commit, or a heartbeat that proves nothing waits */
void fr_part_dead_letters(fr_part *p, uint64_t n);
void fr_part_filtered(fr_part *p, uint64_t n);
/* So many more rows broke this rule. */
void fr_part_broken(fr_part *p, fr_str space, fr_str table, fr_str rule, uint64_t n);
/* The poll's facts of a table that is asked; a copy is kept. */
void fr_part_polled(fr_part *p, fr_str space, fr_str table, const fr_polled_status *s);
/* The table waits while the others go on, or goes on itself (h NULL); a copy is kept. Of a sink:
 * space is empty, table is the topic. */
void fr_part_held(fr_part *p, fr_str space, fr_str table, const fr_held_status *h);
void fr_part_kept(fr_part *p, fr_str space, fr_str table, fr_str said);
void fr_part_moved(fr_part *p, fr_str space, fr_str table, fr_str topic, fr_str former,
                   uint32_t generation);
/* True: the table (by its name as it is shown) is held. *by_operator: somebody asked for it. */
bool fr_part_is_held(fr_part *p, fr_str table, bool *by_operator, int64_t *since_us);
/* What the operator wants of the part (table empty) or of one of its tables; a copy is kept.
 * restarting: it is to end first, until fr_part_restarted. */
void fr_part_will(fr_part *p, fr_str table, const fr_will *w, bool restarting);
void fr_part_restarted(fr_part *p);
/* It was ended because that is wanted: PAUSED or STOPPED. */
void fr_part_rests(fr_part *p, fr_state s, const char *reason);
/* The operator's will cannot be read now (NULL: it can): the newest that is known holds. */
void fr_board_control(fr_board *b, const fr_err *err);
enum { FR_STAGE_POLL = 4 };
/* seconds; which: 0 read, 1 encode, 2 ack, 3 sink, FR_STAGE_POLL */
void fr_part_stage(fr_part *p, int which, double seconds);
void fr_part_kafka(fr_part *p, uint64_t inflight, uint64_t transactions);

/* The document of status --json and /v1/status. */
void fr_board_json(fr_board *b, fr_buf *out);
/* The human form of `freshet status`, made from that document (also one from the network). */
fr_rc fr_status_text(fr_str document, bool color, fr_buf *out, fr_err *err);
void fr_board_metrics(fr_board *b, size_t max_tables, fr_buf *out); /* Prometheus text 0.0.4 */
/* Of that text: name="value", quoted. */
void fr_metrics_label(fr_buf *b, const char *name, const char *value);
/* One line for sd_notify and the log. */
void fr_board_line(fr_board *b, fr_buf *out);
/* R41: a part that should move does not, and gives no reason. names: which. */
bool fr_board_stalled(fr_board *b, fr_buf *names);
bool fr_board_ready(fr_board *b);
/* Exit code of the worst failed part, or 0. */
int fr_board_worst(fr_board *b);

#endif
