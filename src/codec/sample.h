/* Random events that fit a schema, for the tests of those who read a topic: the same seed makes
 * the same events. Envelopes are recognised by shape (as in decode.h): op, before, after, source
 * and key then agree with each other. Values stay within what every Avro reader can show: dates
 * and times of the years 1 to 9999, times of day within a day, decimals within their precision. */
#ifndef FR_CODEC_SAMPLE_H
#define FR_CODEC_SAMPLE_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_sampler fr_sampler;

typedef struct fr_sample_settings {
    uint64_t seed;
    bool edge; /* smallest, largest, empty, odd values and nulls rather than likely ones */
} fr_sample_settings;

typedef struct fr_sample {
    fr_str key, value; /* Avro binary, without the header of the wire; key ptr NULL: none */
} fr_sample;

/* key: its schema's text; empty: events have none. DATA: one is no schema; or a record must
 * contain itself, so that no value of it has an end. */
fr_rc fr_sampler_new(fr_str key, fr_str value, const fr_sample_settings *settings, fr_sampler **out,
                     fr_err *err);
void fr_sampler_free(fr_sampler *s); /* NULL is fine */
/* The next event, in the arena. */
void fr_sampler_next(fr_sampler *s, fr_arena *a, fr_sample *out);

#endif
