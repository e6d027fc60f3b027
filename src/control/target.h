/* The word for what a verb is about: "erp", "erp/public.orders", "warehouse/erp.public.orders". */
#ifndef FR_CONTROL_TARGET_H
#define FR_CONTROL_TARGET_H

#include "control/config.h"
#include "control/will.h"

/* Where to look. ANY: a word without slash is a source or a sink. */
typedef enum { FR_OF_ANY, FR_OF_SOURCES, FR_OF_SINKS, FR_OF_TABLES } fr_target_of;

/* Texts of *out are borrowed from word. CONFIG with a did-you-mean: cli.no_source, cli.no_sink,
 * cli.no_table, cli.no_target; cli.ambiguous where a source and a sink go by the word. */
fr_rc fr_target_find(const fr_config *c, const char *word, fr_target_of of, fr_will_target *out,
                     fr_err *err);

#endif
