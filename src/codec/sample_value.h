/* One random value of a type. Internal to codec/sample*.c; one thread. */
#ifndef FR_CODEC_SAMPLE_VALUE_H
#define FR_CODEC_SAMPLE_VALUE_H

#include "codec/avro_parse.h"
#include "codec/avro_read.h"

typedef struct fr_chance {
    uint64_t state;
    bool edge;
    fr_arena *arena; /* of the event under way */
} fr_chance;

uint64_t fr_chance_next(fr_chance *c);
/* 0 to below - 1; below is not 0. */
uint64_t fr_chance_below(fr_chance *c, uint64_t below);
int64_t fr_chance_between(fr_chance *c, int64_t least, int64_t most);

/* A type that is one value (fr_avro_scalar_of knows it), as Avro binary. */
void fr_sample_scalar(fr_chance *c, fr_buf *b, const fr_avro_node *n, fr_avro_scalar s);

#endif
