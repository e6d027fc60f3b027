/* THE list of connectors compiled in: connectors/list.c. Only src/cli includes this. */
#ifndef FR_CONNECTORS_LIST_H
#define FR_CONNECTORS_LIST_H

#include "connect/sink.h"
#include "connect/source.h"

/* NULL: no such connector. index runs from 0. */
const fr_source_ops *fr_source_at(size_t index);
const fr_sink_ops *fr_sink_at(size_t index);
const fr_source_ops *fr_source_of(const char *type);
const fr_sink_ops *fr_sink_of(const char *type);

#endif
