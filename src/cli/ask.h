/* What several verbs ask: the running daemon, and names that a person typed. */
#ifndef FR_CLI_ASK_H
#define FR_CLI_ASK_H

#include "cli/cli.h"
#include "control/http.h"
#include "control/will.h"
#include "kafka/admin.h"
#include "kafka/publish.h"
#include "transform/route.h"

/* GET path from --url, else the socket, else the address of the configuration (may be NULL
 * with --url). CONNECT when none answers. The caller owns *out. */
fr_rc fr_ask_daemon(fr_cli *cli, const fr_config *config, const char *path, json_t **out,
                    fr_err *err);
/* The same with POST: it is to do something. */
fr_rc fr_tell_daemon(fr_cli *cli, const fr_config *config, const char *path, json_t **out,
                     fr_err *err);
/* Nothing listens where they asked, so that no freshet runs here. One that hangs, or refuses, runs:
 * its source must not be taken over behind its back. */
bool fr_ask_nobody(const fr_err *err);
/* Opening a source's publisher takes it over, so that a daemon which runs it would lose it: CONFIG
 * with this code where one runs here that has not stopped it. */
fr_rc fr_ask_stopped(fr_cli *cli, const fr_config *config, const char *source, const char *code,
                     fr_err *err);
fr_str fr_ask_who(fr_arena *a); /* "ana@db1" */
/* The topic that "source/space.table" goes to now, or the word itself where it has no slash. */
fr_rc fr_ask_topic(const fr_config *config, fr_arena *a, const char *word, const char **out,
                   fr_err *err);
/* All that it has gone to, the newest last; or the word itself alone. */
fr_rc fr_ask_topics(const fr_config *config, fr_arena *a, const char *word, const char ***out,
                    size_t *count, fr_err *err);
/* The topic of a table's events, as its settings name it; of an outbox, of its rows. Texts are in
 * the arena. CONFIG: each row names its own. */
fr_rc fr_ask_table_topic(const fr_config *config, fr_arena *a, const fr_config_place *p,
                         fr_str *out, fr_err *err);
/* The other way, also for tables that only a pattern takes: the table whose topic this is, where
 * its topic ends in space.table, as it usually does, or a later one of it (`.v2`). Names are
 * borrowed from topic. False: none. */
bool fr_ask_topic_table(const fr_config *config, fr_arena *a, fr_str topic, fr_config_place *out);
/* What tables a source has now, also where it is polled. It is opened for this. The list is in the
 * arena, the references are the caller's. */
fr_rc fr_ask_tables(const fr_config *config, size_t source, fr_arena *a, const fr_table ***tables,
                    size_t *count, fr_err *err);
/* Tells a source's router which tables have gone on in other topics (schema.on_change: new_topic).
 */
void fr_ask_generations(const fr_config *config, const fr_checkpoint *k, fr_router *r);
/* The same with what Kafka holds of the source. */
fr_rc fr_ask_moved(const fr_config *config, size_t source, fr_router *r, fr_err *err);
size_t fr_ask_snapshots_left(const fr_checkpoint *c);
/* What Kafka holds of this source; NULL: nothing. The caller frees it. */
fr_rc fr_ask_checkpoint(const fr_config *config, size_t source, fr_checkpoint **out, fr_err *err);
/* What the operator wants, as the control topic says; NULL: there is no such topic. The caller
 * frees it. */
fr_rc fr_ask_wills(const fr_config *config, fr_wills **out, fr_err *err);
/* Takes the source over for one transaction, in which write puts its records: for verbs that change
 * a checkpoint while no daemon runs. what: the verb, for the claim's name. */
fr_rc fr_ask_write(fr_cli *cli, const fr_config *config, size_t source, const char *what,
                   fr_rc (*write)(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old,
                                  void *context, fr_err *err),
                   void *context, fr_err *err);

#endif
