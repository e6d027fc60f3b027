/* What a registry's reply means: Confluent's shapes and Apicurio's deviations from them. Pure
 * functions over bytes from the network. A reply that makes no sense is a CONNECT error
 * (registry.reply) and not DATA: the rows are not at fault, and must not become dead letters
 * because a proxy answered in HTML. */
#ifndef FR_CODEC_REGISTRY_REPLY_H
#define FR_CODEC_REGISTRY_REPLY_H

#include "codec/registry_transport.h"

/* Another schema that one uses by name. */
typedef struct fr_reference {
    fr_str name;
    const char *subject;
    int version;
} fr_reference;
typedef struct fr_schema_text {
    fr_str text;
    fr_reference *references;
    size_t reference_count;
} fr_schema_text;

/* 404 that says "no such subject, version or schema" (40401 to 40404, 40408), as opposed to a
 * wrong path. */
bool fr_reply_absent(const fr_reply *r);
/* 422 that says that the subject's mode lets nothing be written (42205). */
bool fr_reply_closed(const fr_reply *r);
/* Any reply that the caller did not expect, as an error: 422 SCHEMA, the rest CONNECT. */
fr_rc fr_reply_fail(const fr_reply *r, const char *what, fr_err *err);
/* The message of an error body; empty: none. In the arena. */
fr_str fr_reply_message(const fr_reply *r, fr_arena *a);

/* All of these: a status that is not 200 to 299 is an error by fr_reply_fail. */
fr_rc fr_reply_id(const fr_reply *r, int32_t *id_out, fr_err *err);
/* The members `id` and `version`, and the schema as below. */
fr_rc fr_reply_version(const fr_reply *r, fr_arena *a, int *version_out, int32_t *id_out,
                       fr_schema_text *out, fr_err *err);
/* DATA when the schema is not Avro. In the arena. */
fr_rc fr_reply_schema(const fr_reply *r, fr_arena *a, fr_schema_text *out, fr_err *err);
/* FR_OK compatible, FR_END not: reasons in *why_out, possibly empty. */
fr_rc fr_reply_compatible(const fr_reply *r, fr_arena *a, fr_str *why_out, fr_err *err);
/* -1: a level that we do not know. */
fr_rc fr_reply_level(const fr_reply *r, int *level_out, fr_err *err);
/* "READWRITE", "READONLY", ...; in the arena. */
fr_rc fr_reply_mode(const fr_reply *r, fr_arena *a, fr_str *mode_out, fr_err *err);
/* FR_OK: the list of versions has at least one; FR_END: it is empty. */
fr_rc fr_reply_versions(const fr_reply *r, fr_err *err);
/* The list itself, lowest first, in the arena. */
fr_rc fr_reply_numbers(const fr_reply *r, fr_arena *a, int **out, size_t *count, fr_err *err);

#endif
