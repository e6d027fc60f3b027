/* Schema registry client (Confluent's REST API; Apicurio and others speak it too) and its
 * twin that keeps the same in a directory (`file:DIR`). Ids are cached both ways; only
 * canonical texts are sent, because some registries tell texts apart by their spacing.
 * Source: docs.confluent.io/platform/current/schema-registry/develop/api.html.
 * From any thread; blocking, with time-outs and retries of its own: at most 10 s a try, three
 * tries of every URL. One question is asked at a time; what is cached never waits for it. */
#ifndef FR_CODEC_REGISTRY_H
#define FR_CODEC_REGISTRY_H

#include "base/error.h"
#include "connect/finding.h"
#include "model/settings.h"

typedef struct fr_registry fr_registry;

/* No I/O yet. Borrows settings. */
fr_rc fr_registry_open(const fr_registry_settings *settings, fr_registry **out, fr_err *err);
void fr_registry_close(fr_registry *r); /* NULL is fine */

/* The id of this schema under this subject, registering it if needed. create: a subject
 * without any version may be made (else SCHEMA error that names `freshet apply`). compat:
 * an fr_compat that a new subject gets when it differs from the registry's own level.
 * Incompatible: SCHEMA error that shows the differences, both schemas, and what to do. The
 * registry's answer is verified: the schema it returns for the id must be ours (H04).
 * CONNECT when no registry answers in time, or not as a registry would (a proxy's HTML, half
 * a JSON, more than 1 MiB): no row is at fault, so it is never DATA. CONFIG (registry.tls)
 * when no URL's certificate, or ours, is accepted. AUTH for 401, 403. */
fr_rc fr_registry_register(fr_registry *r, const char *subject, fr_str schema, int compat,
                           bool create, int32_t *id_out, fr_err *err);
/* FR_OK, or FR_END when the subject does not hold this schema. One of Connect's is known in its
 * converter's words, too, where it is the subject's newest. */
fr_rc fr_registry_lookup(fr_registry *r, const char *subject, fr_str schema, int32_t *id_out,
                         fr_err *err);
/* FR_OK compatible, FR_END not (reasons in why, in the arena), as the registry sees it. An
 * unknown subject is compatible. */
fr_rc fr_registry_compatible(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                             fr_str *why_out, fr_err *err);
/* Newest version; FR_END when the subject is unknown. text is in the arena. */
fr_rc fr_registry_latest(fr_registry *r, fr_arena *a, const char *subject, int *version_out,
                         int32_t *id_out, fr_str *text_out, fr_err *err);
typedef struct fr_registry_version {
    int number;
    int32_t id;
    fr_str text;
} fr_registry_version;

/* All versions that are there, oldest first, in the arena; FR_END when the subject is unknown. */
fr_rc fr_registry_versions(fr_registry *r, fr_arena *a, const char *subject,
                           fr_registry_version **out, size_t *count, fr_err *err);
/* The level that applies to a subject now: an fr_compat, -1: one that we do not know. */
fr_rc fr_registry_level(fr_registry *r, const char *subject, int *level_out, fr_err *err);
/* Registers under another level, which the subject has for this moment only: it gets its own back,
 * or none where it had none, also after a failure (SCHEMA, registry.level, when that fails). The
 * subject has a version already. Errors else as those of fr_registry_register. */
fr_rc fr_registry_force(fr_registry *r, const char *subject, fr_str schema, int level,
                        int32_t *id_out, fr_err *err);
/* The schema of an id; text lives as long as the registry. DATA error when unknown. */
fr_rc fr_registry_schema(fr_registry *r, int32_t id, fr_str *text_out, fr_err *err);
/* registry.connect, .auth, .mode, .compat findings. */
fr_rc fr_registry_check(fr_registry *r, fr_findings *out, fr_err *err);
/* Make calls that are under way fail with CANCELLED soon, and all later ones that would have
 * to ask. What is cached is still answered, so that a batch can be finished. */
void fr_registry_interrupt(fr_registry *r);

/* Who keeps the schemas of a stream's keys and values, by registry.subject: the topic, the record,
 * or both. record: the full name of a row's. In the arena. */
typedef enum { FR_SUBJECT_KEY, FR_SUBJECT_VALUE } fr_subject_side;
const char *fr_subject(const fr_registry_settings *s, fr_arena *a, fr_str topic, fr_str record,
                       fr_envelope envelope, fr_subject_side side);

/* What a stream's schema says to use instead of it, in the arena; NULL: it is not deprecated. */
const char *fr_schema_deprecated(fr_arena *a, fr_str schema);

/* One canonical text per schema: our own key order, no spaces. Parses any Avro schema. */
fr_rc fr_avro_canonical(fr_arena *a, fr_str schema, fr_str *out, fr_err *err);

#endif
