/* What sinks into SQL databases have in common: settings that none of them obeys, an event's
 * position as bytes, what rows are refused, what findings become, names that differ by case, and
 * who owns which partition. Nothing here talks to a server. One thread at a time. */
#ifndef FR_SQL_TARGET_H
#define FR_SQL_TARGET_H

#include "base/map.h"
#include "connect/sink.h"

#define FR_TARGET_POSITION "_freshet_position"
#define FR_TARGET_DELETED "_freshet_deleted"
/* write.mode history: from and until when the row was so, and whether it is so now */
#define FR_TARGET_FROM "_freshet_valid_from"
#define FR_TARGET_TO "_freshet_valid_to"
#define FR_TARGET_CURRENT "_freshet_current"
#define FR_TARGET_OFFSETS "_freshet_offsets"
#define FR_TARGET_PARKED "_freshet_parked"
enum { FR_TARGET_POSITION_SIZE = 16 };

/* ---- settings ---- */

/* CONFIG (sink.config). Returns FR_FAIL. */
fr_rc fr_target_refuse(fr_err *err, const char *what, const char *hint);
/* FENCED (sink.fenced): "another instance <what>". Returns FR_FAIL. */
fr_rc fr_target_fenced(fr_err *err, const char *what);
fr_rc fr_target_settings(const fr_sink_settings *set, fr_err *err);
/* Nothing is known of logs: what a sink can say of itself. */
fr_status fr_target_status(bool connected, int64_t lag_us);

/* ---- events ---- */

/* Epoch, lsn, ordinal, big-endian; the Kafka offset serves where a message has none of ours
 * (decision 44). */
void fr_target_position(uint8_t out[FR_TARGET_POSITION_SIZE], const fr_event *e);
/* Whether positions of its topic have one order over all partitions: they are ours. */
bool fr_target_is_ordered(const fr_event *e);
/* A truncate comes by each partition, and what another one brought may be newer: where rows have
 * positions, and these have one order, what goes is what has none and what is not behind this one,
 * in hex. "": all rows go. */
fr_str fr_target_truncated_at(fr_arena *a, bool positioned, const fr_event *e);
/* Later than every position: what a delete that is unplaced is compared as. It is stored nowhere.
 */
extern const uint8_t fr_target_latest[FR_TARGET_POSITION_SIZE];
#define FR_TARGET_LATEST_HEX "ffffffffffffffffffffffffffffffff"
/* The id of a topic, as the target holds it: what is longer than one is none of ours. */
void fr_target_topic_id(char out[FR_TOPIC_ID_SIZE], fr_str id);
/* Whether events of this op are a table's. */
bool fr_target_has_table(fr_op op);

/* DATA (sink.row) about a row of this table, quoted. Returns FR_FAIL, as those below. */
fr_rc fr_target_bad_row(fr_err *err, fr_str qualified, fr_str what, const char *why);
/* A value that cannot be a key's. */
fr_rc fr_target_bad_key(fr_err *err, fr_str qualified, fr_str ident, const fr_value *v);
/* A row that is not there to be updated, and cannot be inserted: it has no value of a column that
 * is NOT NULL (sink.not_null; ident: its name; "": there is none, which is a BUG). */
fr_rc fr_target_no_row(fr_err *err, fr_str qualified, fr_str ident);

/* ---- findings ---- */

/* CONFIG where there is a blocker among them: the first, with its SQL in the hint. */
fr_rc fr_target_blocked(const fr_findings *found, fr_err *err);
/* How a dialect quotes a column's name. */
typedef fr_str (*fr_target_ident)(fr_arena *a, fr_str column);
/* The key columns of t, in key order: "a", "b". */
fr_str fr_target_key_list(fr_arena *a, const fr_table *t, fr_target_ident ident);
/* True of what one table, or one row, is at fault for: DATA, and what is in the way of a table.
 * Everything else is the whole target's. */
bool fr_target_of_table(const fr_err *err);
/* An error as a blocker. */
void fr_target_finding(fr_findings *out, const char *code, const fr_err *err);
/* The SQL of the first change from *at on that has one; *at: behind it. "": there is none. */
fr_str fr_target_next_change(const fr_findings *found, size_t *at);

/* ---- tables ---- */

/* Not empty, no NUL, UTF-8: else CONFIG (sink.name). server: for a person. */
fr_rc fr_target_check_name(const char *server, fr_str name, fr_err *err);
/* ASCII letters only, as servers fold names. */
fr_str fr_target_lower(fr_arena *a, fr_str s);
bool fr_target_same_name(fr_str left, fr_str right);
/* S03: space and name are the target's as the server takes them; folded keeps what was first
 * there under them, its texts in home. CONFIG (sink.name) where t is another one. why: the
 * server's reason, for a person. */
fr_rc fr_target_check_folded(fr_map *folded, fr_arena *home, fr_str space, fr_str name,
                             const fr_table *t, const char *why, fr_err *err);
/* The newest version of the same target that is older than t, which need not be the newest itself:
 * partitions may ask for an older version after a newer one. Older is what has the lower version
 * (the registry's number of its schema; new ones are higher), and not what was met first. NULL:
 * there is none. tables: by serial, values that begin with their fr_table. */
const fr_table *fr_target_version_before(const fr_map *tables, const fr_table *t);
/* Versions of the whole life of a sink, which may lay tables anew again and again: a map that
 * fr_target_version_before takes, with a reference to each. */
void fr_target_keep_version(fr_map *versions, const fr_table *t);
void fr_target_free_versions(fr_map *versions);

/* Targets that were there: one that vanishes is not made again. */
bool fr_target_known(const fr_map *known, const fr_table *t);
void fr_target_know(fr_map *known, const fr_table *t);
/* An empty table in place of one that was dropped would hide that its rows are gone: CONFIG. */
fr_rc fr_target_vanished(const fr_table *t, fr_err *err);

/* ---- claims: epochs, or offsets, by topic and partition; free the values ---- */

void fr_target_keep_claim(fr_map *claims, fr_str topic, int32_t partition, int64_t epoch);
/* BUG where it was not claimed. */
fr_rc fr_target_claim(const fr_map *claims, const fr_offset *o, int64_t *epoch_out, fr_err *err);

#endif
