/* Names as others allow them: Avro's and Kafka's. Pure functions; from any thread. */
#ifndef FR_MODEL_NAME_H
#define FR_MODEL_NAME_H

#include "base/arena.h"
#include <stdint.h>

/* The name of a table or column as Avro allows it ([A-Za-z_][A-Za-z0-9_]*), injectively: two
 * different names never meet, and the way back exists. Source: Avro 1.11, Names. Itself
 * where legal. Each byte that is not allowed (and a leading digit) becomes _xHH with
 * capital hex digits; an underscore that begins something that looks so already becomes
 * _x5F ("a_x2D" -> "a_x5Fx2D"; "max_xid" stays). The empty name becomes _x00. */
fr_str fr_avro_name(fr_arena *a, fr_str name);
/* The way back. */
fr_str fr_avro_name_back(fr_arena *a, fr_str avro_name);
/* True when each part between dots is a legal name and there is at least one. */
bool fr_avro_fullname_legal(fr_str name);

/* A name as Debezium makes it one for Avro: what is not allowed becomes _, for each UTF-16 unit of
 * it, and a digit that begins gets a _ in front. full: parts joined by dots stay so. Names that
 * differ may meet. */
fr_str fr_debezium_name(fr_arena *a, fr_str name, bool full);

/* A topic's name as Kafka allows it: other characters become _, at most 249 bytes;
 * NUL-terminated. */
fr_str fr_topic_legal(fr_arena *a, fr_str name);
/* The topic of a table's generation: the first's is `topic` itself (also 0), the others' are
 * "<topic>.v2" and so on, shortened before the dot where Kafka would not take it. In the arena. */
fr_str fr_topic_generation(fr_arena *a, fr_str topic, uint32_t generation);
/* The way back, where the name ends as a later generation's does: borrowed from it. Else the topic
 * itself, and 1. */
fr_str fr_topic_first(fr_str topic, uint32_t *generation);
/* Why Kafka would not take this as a topic's name: a literal. NULL: it would. */
const char *fr_topic_refused(fr_str name);

#endif
