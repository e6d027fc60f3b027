/* Table -> route: topic, key columns, fields, schema name; from the settings and nothing
 * else. Refuses two tables on one topic, a table without key unless append_only, unknown
 * columns in key, partition_by, include, exclude (with did-you-mean). One thread. */
#ifndef FR_TRANSFORM_ROUTE_H
#define FR_TRANSFORM_ROUTE_H

#include "model/name.h"
#include "model/route.h"

typedef struct fr_router fr_router;
fr_router *fr_router_new(const fr_source_settings *settings);
void fr_router_free(fr_router *r);
/* FR_OK; FR_END: the table is not captured. The route belongs to the router. */
fr_rc fr_router_route(fr_router *r, const fr_table *table, const fr_route **out, fr_err *err);
/* The table whose topic is `topic` by its settings goes on in fr_topic_generation of that, from now
 * on and with all its versions; named: its records' names get a suffix, too (where subjects are
 * made of nothing else). Routes that were given before stay valid. */
void fr_router_move(fr_router *r, fr_str topic, uint32_t generation, bool named);
/* The topic of a table's first generation: by its settings and nothing else. In the arena. */
fr_rc fr_route_topic(fr_arena *a, const fr_source_settings *s, const fr_table_settings *ts,
                     fr_str space, fr_str table, fr_str *out, fr_err *err);
/* A row of this outbox names a topic: DATA when it may not write there, which is when the topic is
 * one of freshet's or Kafka's own, takes dead letters, or belongs to another table. */
fr_rc fr_router_claim(fr_router *r, const fr_route *route, fr_str topic, fr_err *err);
/* What rules and contracts have kept back since the last call (tell NULL: that did not count, and
 * is forgotten); the contract's rule is called "contract". */
void fr_router_broken(fr_router *r,
                      void (*tell)(void *part, fr_str space, fr_str table, fr_str rule, uint64_t n),
                      void *part);
/* The full name of a table's row record by schema.name alone: without a contract, which has its
 * own. In the arena. */
fr_rc fr_route_record(fr_arena *a, const fr_source_settings *s, const fr_table_settings *ts,
                      fr_str space, fr_str table, fr_str *out, fr_err *err);
uint64_t fr_router_filtered(const fr_router *r); /* events that filters have left out so far */

#endif
