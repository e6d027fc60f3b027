/* What a sink makes of rows before it applies them: sinks.<k>.topics, with the words and the code
 * of derived events (docs/expressions.md, docs/adr/0058). Between the decoder and the connector, so
 * that every target has it. One thread. */
#ifndef FR_TRANSFORM_SHAPE_H
#define FR_TRANSFORM_SHAPE_H

#include "model/batch.h"
#include "model/route.h"

typedef struct fr_shaper fr_shaper;

/* settings: borrowed. */
fr_shaper *fr_shaper_new(const fr_sink_settings *settings);
void fr_shaper_free(fr_shaper *s); /* NULL is fine */

/* What becomes of `in`, the table that a decoder made of messages of this topic. The shaper's own;
 * NULL in *route_out: no rules are for the topic, and *out is `in`. CONFIG, with the place in the
 * configuration: the rules do not go with this version of it. */
fr_rc fr_shaper_table(fr_shaper *s, fr_str topic, const fr_table *in, const fr_table **out,
                      const fr_route **route_out, fr_err *err);
/* The events of the batch from `from` on, all of message m, become those that are applied; what the
 * filter leaves out is gone. On FR_FAIL there is none of m's rows; DATA: it is this row's fault;
 * CONFIG: as above. */
fr_rc fr_shaper_apply(fr_shaper *s, fr_batch *b, size_t from, const fr_message *m, fr_err *err);

/* What columns.message may say: "topic", "offset", "header:trace". FR_NULL: it is none of them;
 * else the kind of its column. */
fr_kind fr_shape_message_kind(const char *what);
extern const char fr_shape_message_words[]; /* for a hint */

#endif
