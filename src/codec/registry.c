#include "codec/registry_internal.h"

#include "base/map.h"
#include "codec/compat.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_SHOWN = 160, WHY_SHOWN = 300, DIFF_SHOWN = 500 };

struct fr_registry {
    const fr_registry_settings *settings;
    const fr_registry_ops *ops;
    void *self;
    /* Two locks, so that what is known never waits for a slow server. io is taken first. */
    pthread_mutex_t io;   /* the back end */
    pthread_mutex_t lock; /* the rest */
    fr_map *ids;          /* subject, NUL, text as given -> id */
    fr_map *schemas;      /* id -> fr_str */
    fr_arena *kept;       /* texts handed out for as long as we live */
    atomic_bool interrupted;
};

/* --- names ------------------------------------------------------------------------------ */

static const char *const level_names[] = {
    "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE",
    "FULL",     "FULL_TRANSITIVE",     "NONE",
};

const char *fr_compat_name(int level)
{
    bool known = level >= FR_COMPAT_BACKWARD && level <= FR_COMPAT_NONE;
    return known ? level_names[level] : "unknown";
}

int fr_compat_of(const char *name)
{
    for (int i = FR_COMPAT_BACKWARD; i <= FR_COMPAT_NONE; i++)
        if (strcmp(level_names[i], name) == 0)
            return i;
    return -1;
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_.~", c) != NULL);
}

fr_str fr_registry_escape(fr_arena *a, const char *subject)
{
    fr_buf b = {.arena = a};
    for (const unsigned char *p = (const unsigned char *)subject; *p != 0; p++) {
        bool first_dot = *p == '.' && b.len == 0;
        if (is_plain(*p) && !first_dot)
            fr_buf_u8(&b, *p);
        else
            fr_buf_printf(&b, "%%%02X", *p);
    }
    return fr_buf_view(&b);
}

/* --- life ------------------------------------------------------------------------------- */

/* "file:DIR" and "file:///DIR". NULL: another scheme. */
static const char *dir_of(const char *url)
{
    if (strncmp(url, "file:", 5) != 0)
        return NULL;
    const char *dir = url + 5;
    return strncmp(dir, "//", 2) == 0 ? dir + 2 : dir;
}

static fr_rc open_back_end(fr_registry *r, fr_err *err)
{
    const fr_registry_settings *s = r->settings;
    size_t directories = 0;
    for (size_t i = 0; i < s->url.count; i++)
        directories += dir_of(s->url.items[i]) != NULL;
    if (directories == 0) {
        r->ops = &fr_registry_http_ops;
        return fr_registry_http_open(s, &r->self, err);
    }
    if (s->url.count > 1) {
        fr_fail(err, FR_ERR_CONFIG, "registry.url: file: stands alone");
        fr_fail_hint(err, "name either one directory or any number of registry servers");
        return fr_fail_code(err, "registry.url");
    }
    r->ops = &fr_registry_file_ops;
    return fr_registry_file_open(dir_of(s->url.items[0]), &r->self, err);
}

fr_rc fr_registry_open(const fr_registry_settings *settings, fr_registry **out, fr_err *err)
{
    fr_registry *r = fr_malloc(sizeof(*r));
    r->settings = settings;
    pthread_mutex_init(&r->io, NULL);
    pthread_mutex_init(&r->lock, NULL);
    r->ids = fr_map_new();
    r->schemas = fr_map_new();
    r->kept = fr_arena_new(0);
    *out = r;
    if (open_back_end(r, err) == FR_OK)
        return FR_OK;
    fr_registry_close(r);
    *out = NULL;
    return FR_FAIL;
}

void fr_registry_close(fr_registry *r)
{
    if (r == NULL)
        return;
    if (r->self != NULL)
        r->ops->close(r->self);
    fr_map_free(r->ids, NULL);
    fr_map_free(r->schemas, NULL);
    fr_arena_free(r->kept);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->io);
    free(r);
}

void fr_registry_interrupt(fr_registry *r)
{
    atomic_store(&r->interrupted, true);
    r->ops->interrupt(r->self);
}

/* The back end is ours until end(). */
static fr_rc begin(fr_registry *r, fr_err *err)
{
    pthread_mutex_lock(&r->io);
    if (!atomic_load(&r->interrupted))
        return FR_OK;
    pthread_mutex_unlock(&r->io);
    return fr_fail(err, FR_ERR_CANCELLED, "schema registry: shutdown was requested");
}

static fr_rc end(fr_registry *r, fr_arena *a, fr_rc rc)
{
    pthread_mutex_unlock(&r->io);
    fr_arena_free(a);
    return rc;
}

/* --- what is known ---------------------------------------------------------------------- */

static fr_str key_of(fr_buf *b, const char *subject, fr_str schema)
{
    fr_buf_text(b, subject);
    fr_buf_u8(b, 0);
    fr_buf_str(b, schema);
    return fr_buf_view(b);
}

static bool known_id(fr_registry *r, const char *subject, fr_str schema, int32_t *id_out)
{
    fr_buf key = {0};
    pthread_mutex_lock(&r->lock);
    void *id = fr_map_get(r->ids, key_of(&key, subject, schema));
    pthread_mutex_unlock(&r->lock);
    fr_buf_free(&key);
    /* Stored plus one, because an id may be 0. */
    *id_out = (int32_t)((intptr_t)id - 1);
    return id != NULL;
}

static void keep_id(fr_registry *r, const char *subject, fr_str schema, int32_t id)
{
    fr_buf key = {0};
    pthread_mutex_lock(&r->lock);
    fr_map_set(r->ids, key_of(&key, subject, schema), (void *)((intptr_t)id + 1));
    pthread_mutex_unlock(&r->lock);
    fr_buf_free(&key);
}

static bool known_schema(fr_registry *r, int32_t id, fr_str *text_out)
{
    pthread_mutex_lock(&r->lock);
    const fr_str *text = fr_map_get_u64(r->schemas, (uint64_t)id);
    if (text != NULL)
        *text_out = *text;
    pthread_mutex_unlock(&r->lock);
    return text != NULL;
}

static fr_str keep_schema(fr_registry *r, int32_t id, fr_str text)
{
    pthread_mutex_lock(&r->lock);
    fr_str *kept = fr_map_get_u64(r->schemas, (uint64_t)id);
    if (kept == NULL) {
        kept = fr_arena_alloc(r->kept, sizeof(*kept));
        *kept = fr_arena_copy(r->kept, text.ptr, text.len);
        fr_map_set_u64(r->schemas, (uint64_t)id, kept);
    }
    pthread_mutex_unlock(&r->lock);
    return *kept;
}

/* --- registering ------------------------------------------------------------------------ */

/* Some registries give one id to schemas that differ in docs only: those write the same
 * bytes, and that is what counts. */
static bool same_data(fr_arena *a, fr_str x, fr_str y)
{
    const fr_shape *sx, *sy;
    fr_err ignored;
    if (fr_str_eq(x, y))
        return true;
    if (fr_shape_parse(a, x, &sx, &ignored) == FR_FAIL ||
        fr_shape_parse(a, y, &sy, &ignored) == FR_FAIL)
        return false;
    return fr_str_eq(fr_shape_text(a, sx), fr_shape_text(a, sy));
}

/* H04: whatever id we write must lead every reader to our schema. */
static fr_rc verify(fr_registry *r, fr_arena *a, const char *subject, fr_str schema, int32_t id,
                    fr_err *err)
{
    fr_str text;
    if (!known_schema(r, id, &text)) {
        fr_rc rc = r->ops->schema(r->self, a, id, &text, err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (rc == FR_END)
            text = (fr_str){"", 0};
    }
    if (same_data(a, text, schema)) {
        keep_schema(r, id, schema);
        return FR_OK;
    }
    fr_fail(err, FR_ERR_SCHEMA,
            "subject %s: %s gave id %d for our schema, but for that id it returns %s%.*s", subject,
            r->ops->place(r->self), id, text.len == 0 ? "nothing" : "another: ",
            text.len > SCHEMA_SHOWN ? SCHEMA_SHOWN : (int)text.len, text.ptr);
    fr_fail_hint(err, "readers would decode with the wrong schema, so nothing was published: check "
                      "that all URLs of registry.url are one registry, and that no proxy in front "
                      "of it caches");
    return fr_fail_code(err, "registry.wrong_id");
}

static fr_rc fail_missing(fr_registry *r, const char *subject, fr_err *err)
{
    bool deleted = r->ops->was_deleted != NULL && r->ops->was_deleted(r->self, subject);
    fr_fail(
        err, FR_ERR_SCHEMA,
        "subject %s: %s in the registry %s, and registry.register does not let this program make "
        "it",
        subject, deleted ? "was deleted" : "not", r->ops->place(r->self));
    const char *hint = "run `freshet apply`, which registers first schemas, or set "
                       "registry.register: run";
    if (deleted)
        hint =
            "registering it again brings it back, with the ids that it had: run `freshet apply`, "
            "or set registry.register: run";
    if (r->settings->register_when == FR_WHEN_NEVER)
        hint = "register it by other means, or set registry.register: apply";
    fr_fail_hint(err, "%s", hint);
    return fr_fail_code(err, "registry.subject_missing");
}

/* At most `max` bytes of s, with a sign that more was there. */
static void put_short(fr_buf *b, fr_str s, size_t max)
{
    size_t len = s.len <= max ? s.len : max;
    while (len < s.len && len > 0 && ((unsigned char)s.ptr[len] & 0xC0) == 0x80)
        len--;
    fr_buf_str(b, (fr_str){s.ptr, len});
    if (len < s.len)
        fr_buf_text(b, "...");
}

/* The text of a refusal: what differs first, then why, then both schemas. */
static fr_rc fail_incompatible(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                               fr_str why, fr_err *err)
{
    fr_err ignored;
    int version = 0;
    int32_t id;
    fr_str latest = {"", 0}, diff = {"", 0};
    fr_buf b = {.arena = a};
    if (r->ops->latest(r->self, a, subject, &version, &id, &latest, &ignored) == FR_OK)
        (void)fr_compat_diff(a, latest, schema, &diff, &ignored);
    if (diff.len > 0) {
        fr_buf_text(&b, ": ");
        put_short(&b, diff, DIFF_SHOWN);
    }
    if (why.len > 0) {
        fr_buf_text(&b, "; reason: ");
        put_short(&b, why, WHY_SHOWN);
    }
    if (latest.len > 0) {
        fr_buf_printf(&b, "; registered v%d: ", version);
        put_short(&b, latest, SCHEMA_SHOWN);
        fr_buf_text(&b, "; ours: ");
        put_short(&b, schema, SCHEMA_SHOWN);
    }
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: the new schema is not compatible%.*s", subject,
            (int)b.len, b.len > 0 ? (const char *)b.ptr : "");
    fr_fail_hint(err, "keep the old type (columns.types), give the new column a default "
                      "(columns.defaults), or publish the new shape elsewhere (topic and "
                      "schema.name); to force it, lower the subject's compatibility in the "
                      "registry, which breaks its readers");
    return fr_fail_code(err, "registry.incompatible");
}

static fr_rc fail_level(fr_registry *r, const char *subject, int wanted, int level, fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: %s was told compatibility %s and keeps %s", subject,
            r->ops->place(r->self), fr_compat_name(wanted), fr_compat_name(level));
    fr_fail_hint(err, "set the level in the registry by hand, or set schema.compatibility of the "
                      "table to what the registry keeps");
    return fr_fail_code(err, "registry.compat");
}

/* FR_END: tell the registry once the subject has its first version. What was set is read back,
 * because a level that is weaker than the one asked for would let a breaking schema through in
 * silence. Except NONE: Apicurio takes it as "as all others", and refuses loudly later. */
static fr_rc set_level(fr_registry *r, const char *subject, int compat, fr_err *err)
{
    int level;
    if (compat < 0)
        return FR_OK;
    FR_TRY(r->ops->level(r->self, subject, &level, err));
    if (level == compat)
        return FR_OK;
    fr_rc rc = r->ops->set_level(r->self, subject, compat, err);
    if (rc != FR_OK || compat == FR_COMPAT_NONE)
        return rc;
    FR_TRY(r->ops->level(r->self, subject, &level, err));
    return level == compat ? FR_OK : fail_level(r, subject, compat, level, err);
}

static fr_rc add_version(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                         int32_t *id_out, fr_err *err)
{
    fr_str why;
    fr_rc rc = r->ops->add(r->self, a, subject, schema, id_out, &why, err);
    return rc == FR_END ? fail_incompatible(r, a, subject, schema, why, err) : rc;
}

/* The level first, so that no version is ever added under another one. Registries that keep
 * none for a subject without versions get it right after the first. */
static fr_rc add_subject(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                         int compat, int32_t *id_out, fr_err *err)
{
    fr_rc rc = set_level(r, subject, compat, err);
    if (rc == FR_FAIL)
        return FR_FAIL;
    FR_TRY(add_version(r, a, subject, schema, id_out, err));
    if (rc == FR_END && set_level(r, subject, compat, err) == FR_FAIL)
        return fr_fail_in(err, "subject %s: its compatibility could not be set", subject);
    return FR_OK;
}

static fr_rc find_or_add(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                         int compat, bool create, int32_t *id_out, fr_err *err)
{
    fr_rc rc = r->ops->lookup(r->self, subject, schema, id_out, err);
    if (rc != FR_END)
        return rc;
    rc = r->ops->exists(r->self, subject, err);
    if (rc == FR_OK)
        return add_version(r, a, subject, schema, id_out, err);
    if (rc == FR_END && !create)
        return fail_missing(r, subject, err);
    return rc == FR_END ? add_subject(r, a, subject, schema, compat, id_out, err) : rc;
}

static fr_rc register_locked(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                             int compat, bool create, int32_t *id_out, fr_err *err)
{
    fr_str text;
    if (known_id(r, subject, schema, id_out)) /* another thread was faster */
        return FR_OK;
    FR_TRY(fr_avro_canonical(a, schema, &text, err));
    FR_TRY(find_or_add(r, a, subject, text, compat, create, id_out, err));
    FR_TRY(verify(r, a, subject, text, *id_out, err));
    keep_id(r, subject, schema, *id_out);
    return FR_OK;
}

fr_rc fr_registry_register(fr_registry *r, const char *subject, fr_str schema, int compat,
                           bool create, int32_t *id_out, fr_err *err)
{
    if (known_id(r, subject, schema, id_out))
        return FR_OK;
    FR_TRY(begin(r, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = register_locked(r, a, subject, schema, compat, create, id_out, err);
    if (rc == FR_FAIL && strncmp(err->text, "subject ", 8) != 0)
        fr_fail_in(err, "subject %s", subject);
    return end(r, a, rc);
}

/* --- looking up ------------------------------------------------------------------------- */

/* Connect's converter has members in an order of its own, and some registries compare texts: is the
 * subject's newest schema this one, in its words? FR_END: it is not. */
static fr_rc same_as_latest(fr_registry *r, fr_arena *a, const char *subject, fr_str text,
                            int32_t *id_out, fr_err *err)
{
    static const char connect[] = "\"connect.name\":";
    int version;
    int32_t id;
    fr_str theirs, canonical;
    fr_err ignored;
    if (memmem(text.ptr, text.len, connect, sizeof connect - 1) == NULL)
        return FR_END;
    fr_rc rc = r->ops->latest(r->self, a, subject, &version, &id, &theirs, err);
    if (rc != FR_OK)
        return rc;
    if (fr_avro_canonical(a, theirs, &canonical, &ignored) != FR_OK || !fr_str_eq(canonical, text))
        return FR_END;
    *id_out = id;
    return FR_OK;
}

fr_rc fr_registry_lookup(fr_registry *r, const char *subject, fr_str schema, int32_t *id_out,
                         fr_err *err)
{
    fr_str text;
    if (known_id(r, subject, schema, id_out))
        return FR_OK;
    FR_TRY(begin(r, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_avro_canonical(a, schema, &text, err);
    if (rc == FR_OK)
        rc = r->ops->lookup(r->self, subject, text, id_out, err);
    if (rc == FR_END)
        rc = same_as_latest(r, a, subject, text, id_out, err);
    if (rc == FR_OK)
        rc = verify(r, a, subject, text, *id_out, err);
    if (rc == FR_OK)
        keep_id(r, subject, schema, *id_out);
    return end(r, a, rc);
}

fr_rc fr_registry_compatible(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                             fr_str *why_out, fr_err *err)
{
    fr_str text;
    *why_out = (fr_str){"", 0};
    FR_TRY(fr_avro_canonical(a, schema, &text, err));
    FR_TRY(begin(r, err));
    return end(r, NULL, r->ops->compatible(r->self, a, subject, text, why_out, err));
}

fr_rc fr_registry_latest(fr_registry *r, fr_arena *a, const char *subject, int *version_out,
                         int32_t *id_out, fr_str *text_out, fr_err *err)
{
    FR_TRY(begin(r, err));
    return end(r, NULL, r->ops->latest(r->self, a, subject, version_out, id_out, text_out, err));
}

fr_rc fr_registry_versions(fr_registry *r, fr_arena *a, const char *subject,
                           fr_registry_version **out, size_t *count, fr_err *err)
{
    FR_TRY(begin(r, err));
    return end(r, NULL, r->ops->versions(r->self, a, subject, out, count, err));
}

fr_rc fr_registry_level(fr_registry *r, const char *subject, int *level_out, fr_err *err)
{
    FR_TRY(begin(r, err));
    return end(r, NULL, r->ops->level(r->self, subject, level_out, err));
}

static fr_rc put_back(fr_registry *r, const char *subject, bool had, int own, fr_err *err)
{
    fr_err failed;
    fr_rc rc = had ? r->ops->set_level(r->self, subject, own, &failed)
                   : r->ops->drop_level(r->self, subject, &failed);
    if (rc != FR_FAIL)
        return FR_OK;
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: its compatibility could not be put back: %s", subject,
            failed.text);
    fr_fail_hint(err, "by hand: %s /config/%s%s%s", had ? "PUT" : "DELETE", subject,
                 had ? " with " : "", had ? fr_compat_name(own) : "");
    return fr_fail_code(err, "registry.level");
}

static fr_rc force_locked(fr_registry *r, fr_arena *a, const char *subject, fr_str schema,
                          int level, int32_t *id_out, fr_err *err)
{
    int own = -1;
    fr_err lost;
    fr_rc had = r->ops->own_level(r->self, subject, &own, err);
    if (had == FR_OK && own < 0) {
        fr_fail(err, FR_ERR_SCHEMA, "subject %s: it has a level that freshet could not put back",
                subject);
        return fr_fail_code(err, "registry.level");
    }
    if (had == FR_FAIL || r->ops->set_level(r->self, subject, level, err) == FR_FAIL)
        return FR_FAIL;
    fr_rc rc = add_version(r, a, subject, schema, id_out, err);
    if (rc == FR_OK)
        rc = verify(r, a, subject, schema, *id_out, err);
    if (put_back(r, subject, had == FR_OK, own, &lost) == FR_OK)
        return rc;
    *err = lost;
    return FR_FAIL;
}

fr_rc fr_registry_force(fr_registry *r, const char *subject, fr_str schema, int level,
                        int32_t *id_out, fr_err *err)
{
    fr_str text;
    FR_TRY(begin(r, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_avro_canonical(a, schema, &text, err);
    if (rc == FR_OK)
        rc = force_locked(r, a, subject, text, level, id_out, err);
    if (rc == FR_OK)
        keep_id(r, subject, schema, *id_out);
    return end(r, a, rc);
}

static fr_rc fail_unknown_id(fr_registry *r, int32_t id, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "schema id %d: the registry %s does not know it", id,
            r->ops->place(r->self));
    fr_fail_hint(err, "the message was written with another registry, its schema was deleted, or "
                      "it is no Avro of a schema registry");
    return fr_fail_code(err, "registry.unknown_id");
}

fr_rc fr_registry_schema(fr_registry *r, int32_t id, fr_str *text_out, fr_err *err)
{
    if (known_schema(r, id, text_out))
        return FR_OK;
    FR_TRY(begin(r, err));
    fr_arena *a = fr_arena_new(0);
    fr_str text;
    fr_rc rc = r->ops->schema(r->self, a, id, &text, err);
    if (rc == FR_OK)
        *text_out = keep_schema(r, id, text);
    else if (rc == FR_END)
        rc = fail_unknown_id(r, id, err);
    return end(r, a, rc);
}

fr_rc fr_registry_check(fr_registry *r, fr_findings *out, fr_err *err)
{
    FR_TRY(begin(r, err));
    return end(r, NULL, r->ops->check(r->self, out, err));
}
