#include "codec/registry_internal.h"

#include "base/json.h"
#include "base/log.h"
#include "codec/registry_refs.h"

#include <stdlib.h>
#include <string.h>

typedef struct http_registry {
    fr_transport *transport;
    fr_arena *scratch; /* paths and bodies of the call under way */
    bool plain;        /* it refuses `metadata`: not sent again */
} http_registry;

fr_rc fr_registry_http_open(const fr_registry_settings *settings, void **self_out, fr_err *err)
{
    fr_transport *transport;
    *self_out = NULL;
    FR_TRY(fr_transport_open(settings, &transport, err));
    http_registry *h = fr_malloc(sizeof(*h));
    h->transport = transport;
    h->scratch = fr_arena_new(0);
    *self_out = h;
    return FR_OK;
}

static void http_close(void *self)
{
    http_registry *h = self;
    fr_transport_close(h->transport);
    fr_arena_free(h->scratch);
    free(h);
}

static const char *http_place(void *self)
{
    return fr_transport_url(((http_registry *)self)->transport);
}

static void http_interrupt(void *self)
{
    fr_transport_interrupt(((http_registry *)self)->transport);
}

/* "/subjects/" + subject + rest, and so on. */
static char *path_of(http_registry *h, const char *before, const char *subject, const char *after)
{
    fr_str s = fr_registry_escape(h->scratch, subject);
    fr_str path = fr_arena_printf(h->scratch, "%s%.*s%s", before, FR_ARG(s), after);
    return fr_arena_cstr(h->scratch, path);
}

/* schemaType stays away: Avro is the default, and old registries do not know the member. metadata:
 * empty for none. */
static fr_str schema_body(http_registry *h, fr_str schema, fr_str metadata)
{
    fr_buf b = {.arena = h->scratch};
    fr_buf_text(&b, "{\"schema\":");
    fr_buf_json(&b, schema);
    fr_buf_text(&b, metadata.len > 0 ? ",\"metadata\":" : "");
    fr_buf_str(&b, metadata);
    fr_buf_text(&b, "}");
    return fr_buf_view(&b);
}

static fr_rc get(http_registry *h, const char *path, fr_reply *out, fr_err *err)
{
    return fr_transport_call(h->transport, "GET", path, (fr_str){NULL, 0}, out, err);
}

/* POST of a schema with what it says of its stream. Not every registry knows `metadata`, and some
 * then refuse the request: without it the question is the same. */
static fr_rc post_schema(http_registry *h, const char *path, fr_str schema, fr_str metadata,
                         fr_reply *out, fr_err *err)
{
    static const fr_str none = {"", 0};
    FR_TRY(
        fr_transport_call(h->transport, "POST", path, schema_body(h, schema, metadata), out, err));
    if (metadata.len == 0 || (out->status != 400 && out->status != 422))
        return FR_OK;
    FR_TRY(fr_transport_call(h->transport, "POST", path, schema_body(h, schema, none), out, err));
    h->plain = out->status >= 200 && out->status <= 299;
    return FR_OK;
}

static fr_str metadata_of(http_registry *h, fr_str schema)
{
    return h->plain ? (fr_str){"", 0} : fr_registry_metadata(h->scratch, schema);
}

static fr_rc http_lookup(void *self, const char *subject, fr_str schema, int32_t *id_out,
                         fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    const char *path = path_of(h, "/subjects/", subject, "");
    fr_str metadata = metadata_of(h, schema);
    FR_TRY(post_schema(h, path, schema, metadata, &r, err));
    /* Where it is part of what a schema is, one that was registered without it is another. */
    if (metadata.len > 0 && !h->plain && fr_reply_absent(&r))
        FR_TRY(post_schema(h, path, schema, (fr_str){"", 0}, &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    return fr_reply_id(&r, id_out, err);
}

static fr_rc http_exists(void *self, const char *subject, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/subjects/", subject, "/versions"), &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    return fr_reply_versions(&r, err);
}

/* Confluent answers 404 for a subject without a level of its own unless it is asked for the
 * global one too; registries that do not know the parameter are asked again. */
static fr_rc http_level(void *self, const char *subject, int *level_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/config/", subject, "?defaultToGlobal=true"), &r, err));
    if (r.status == 404)
        FR_TRY(get(h, "/config", &r, err));
    return fr_reply_level(&r, level_out, err);
}

static const struct {
    const char *mode, *hint;
} modes[] = {
    {"READONLY",
     "whoever owns it has closed it: have its mode set to READWRITE (PUT /mode), or register "
     "the schema by other means; known schemas go on meanwhile"},
    {"READONLY_OVERRIDE",
     "the whole registry is closed, whatever its subjects say (a standby, or a move "
     "to another one): point registry.url to the one that is written to, or have "
     "the mode set to READWRITE (PUT /mode)"},
    {"IMPORT",
     "it takes schemas with ids of another registry only (a copy is under way): have the mode "
     "set to READWRITE (PUT /mode) when that is done"},
    {"FORWARD", "it passes writes on to another registry: name that one in registry.url"},
};

static const char *hint_of_mode(fr_str mode)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (fr_str_is(mode, modes[i].mode))
            return modes[i].hint;
    return "have the mode set to READWRITE (PUT /mode)";
}

/* What mode a subject is in; empty: it is not told. */
static fr_str mode_of(http_registry *h, fr_arena *a, const char *subject)
{
    fr_reply r;
    fr_err ignored;
    fr_str mode = {"", 0};
    const char *path = path_of(h, "/mode/", subject, "?defaultToGlobal=true");
    if (get(h, path, &r, &ignored) == FR_FAIL || fr_reply_mode(&r, a, &mode, &ignored) == FR_FAIL)
        return (fr_str){"", 0};
    return mode;
}

static fr_rc fail_closed(http_registry *h, const char *subject, const fr_reply *r, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str said = fr_reply_message(r, a), mode = mode_of(h, a, subject);
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: %s lets nothing be written: mode %.*s (%.*s)", subject,
            fr_transport_url(h->transport), FR_ARG(mode.len > 0 ? mode : FR_STR("not told")),
            FR_ARG(said));
    err->native = 422;
    fr_fail_hint(err, "%s", hint_of_mode(mode));
    fr_arena_free(a);
    fr_redact(err->text);
    return fr_fail_code(err, "registry.mode");
}

/* Apicurio knows no settings of a subject that has no version yet. */
static fr_rc http_set_level(void *self, const char *subject, int level, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    fr_str body = fr_arena_printf(h->scratch, "{\"compatibility\":\"%s\"}", fr_compat_name(level));
    FR_TRY(
        fr_transport_call(h->transport, "PUT", path_of(h, "/config/", subject, ""), body, &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    if (r.status >= 200 && r.status <= 299)
        return FR_OK;
    if (fr_reply_closed(&r))
        return fail_closed(h, subject, &r, err);
    return fr_reply_fail(&r, "compatibility level", err);
}

/* Reasons: the newest version first, as the registry sees it. */
static fr_rc http_compatible(void *self, fr_arena *a, const char *subject, fr_str schema,
                             fr_str *why_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    *why_out = (fr_str){"", 0};
    const char *path =
        path_of(h, "/compatibility/subjects/", subject, "/versions/latest?verbose=true");
    FR_TRY(post_schema(h, path, schema, (fr_str){"", 0}, &r, err));
    if (fr_reply_absent(&r))
        return FR_OK;
    return fr_reply_compatible(&r, a, why_out, err);
}

static fr_rc http_add(void *self, fr_arena *a, const char *subject, fr_str schema, int32_t *id_out,
                      fr_str *why_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    *why_out = (fr_str){"", 0};
    FR_TRY(post_schema(h, path_of(h, "/subjects/", subject, "/versions"), schema,
                       metadata_of(h, schema), &r, err));
    if (fr_reply_closed(&r))
        return fail_closed(h, subject, &r, err);
    if (r.status != 409)
        return fr_reply_id(&r, id_out, err);
    fr_str said = fr_reply_message(&r, a);
    /* Only the check names every reason; when it cannot, the refusal itself has to do. */
    fr_err ignored;
    if (http_compatible(self, a, subject, schema, why_out, &ignored) != FR_END || why_out->len == 0)
        *why_out = said;
    return FR_END;
}

/* A version of a subject; FR_END: there is none. */
static fr_rc fetch(void *self, fr_arena *a, const char *subject, int version, fr_schema_text *out,
                   fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    int32_t id;
    char after[48];
    snprintf(after, sizeof(after), "/versions/%d", version);
    FR_TRY(get(h, path_of(h, "/subjects/", subject, after), &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    return fr_reply_version(&r, a, &version, &id, out, err);
}

static fr_rc http_schema(void *self, fr_arena *a, int32_t id, fr_str *text_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_schema_text found = {0};
    char path[64];
    fr_arena_reset(h->scratch);
    snprintf(path, sizeof(path), "/schemas/ids/%d", id);
    FR_TRY(get(h, path, &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    FR_TRY(fr_reply_schema(&r, a, &found, err));
    return fr_registry_whole(a, &found, fetch, h, text_out, err);
}

static fr_rc http_latest(void *self, fr_arena *a, const char *subject, int *version_out,
                         int32_t *id_out, fr_str *text_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_schema_text found = {0};
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/subjects/", subject, "/versions/latest"), &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    FR_TRY(fr_reply_version(&r, a, version_out, id_out, &found, err));
    return fr_registry_whole(a, &found, fetch, h, text_out, err);
}

/* Registries that know no soft deletion, or forget at once, do not list it. */
static bool http_was_deleted(void *self, const char *subject)
{
    http_registry *h = self;
    fr_reply r;
    fr_err ignored;
    fr_arena_reset(h->scratch);
    const char *path = path_of(h, "/subjects/", subject, "/versions?deleted=true");
    return get(h, path, &r, &ignored) == FR_OK && r.status == 200 &&
           fr_reply_versions(&r, &ignored) == FR_OK;
}

static fr_rc http_version(http_registry *h, fr_arena *a, const char *subject, int number,
                          fr_registry_version *out, fr_err *err)
{
    fr_reply r;
    fr_schema_text found = {0};
    char after[48];
    snprintf(after, sizeof(after), "/versions/%d", number);
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/subjects/", subject, after), &r, err));
    if (fr_reply_absent(&r)) /* deleted since */
        return FR_END;
    FR_TRY(fr_reply_version(&r, a, &out->number, &out->id, &found, err));
    return fr_registry_whole(a, &found, fetch, h, &out->text, err);
}

static fr_rc http_versions(void *self, fr_arena *a, const char *subject, fr_registry_version **out,
                           size_t *count, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    int *numbers;
    size_t all, kept = 0;
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/subjects/", subject, "/versions"), &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    FR_TRY(fr_reply_numbers(&r, a, &numbers, &all, err));
    *out = fr_arena_alloc(a, (all + 1) * sizeof(**out));
    for (size_t i = 0; i < all; i++) {
        fr_rc rc = http_version(h, a, subject, numbers[i], &(*out)[kept], err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        kept += rc == FR_OK;
    }
    *count = kept;
    return kept > 0 ? FR_OK : FR_END;
}

/* 404 also where a registry cannot say what is the subject's own. */
static fr_rc http_own_level(void *self, const char *subject, int *level_out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    FR_TRY(get(h, path_of(h, "/config/", subject, ""), &r, err));
    if (r.status == 404)
        return FR_END;
    return fr_reply_level(&r, level_out, err);
}

static fr_rc http_drop_level(void *self, const char *subject, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_arena_reset(h->scratch);
    FR_TRY(fr_transport_call(h->transport, "DELETE", path_of(h, "/config/", subject, ""),
                             (fr_str){NULL, 0}, &r, err));
    if (fr_reply_absent(&r))
        return FR_END;
    return r.status >= 200 && r.status <= 299 ? FR_OK
                                              : fr_reply_fail(&r, "compatibility level", err);
}

/* An error of a check is a finding. */
static fr_rc find_error(fr_findings *out, const char *code, const fr_err *e)
{
    if (e->kind == FR_ERR_CANCELLED)
        return FR_FAIL;
    fr_finding *f = fr_findings_add(out, FR_BLOCKER, code, "%s", e->text);
    f->hint = fr_arena_str(out->arena, fr_cstr(fr_err_hint(e)));
    return FR_OK;
}

/* Not every registry has modes: without one it is writable. */
static fr_rc check_mode(http_registry *h, fr_findings *out, fr_err *err)
{
    fr_reply r;
    fr_str mode;
    FR_TRY(get(h, "/mode", &r, err));
    if (r.status < 200 || r.status > 299) {
        fr_findings_add(out, FR_FINE, "registry.mode", "this registry has no modes: writable");
        return FR_OK;
    }
    FR_TRY(fr_reply_mode(&r, out->arena, &mode, err));
    if (fr_str_is(mode, "READWRITE")) {
        fr_findings_add(out, FR_FINE, "registry.mode", "READWRITE");
        return FR_OK;
    }
    fr_finding *f = fr_findings_add(out, FR_BLOCKER, "registry.mode",
                                    "mode is %.*s: no schema can be registered", FR_ARG(mode));
    f->hint = fr_cstr(hint_of_mode(mode));
    return FR_OK;
}

static fr_rc check_level(http_registry *h, fr_findings *out, fr_err *err)
{
    fr_reply r;
    int level;
    FR_TRY(get(h, "/config", &r, err));
    FR_TRY(fr_reply_level(&r, &level, err));
    if (level >= 0 && level != FR_COMPAT_NONE) {
        fr_findings_add(out, FR_FINE, "registry.compat", "compatibility is %s for all subjects",
                        fr_compat_name(level));
        return FR_OK;
    }
    fr_finding *f = fr_findings_add(
        out, FR_WARNING, "registry.compat",
        level < 0 ? "the level for all subjects is one that freshet does not know"
                  : "compatibility is NONE for all subjects: the registry refuses nothing");
    f->hint = FR_STR("freshet sets registry.compatibility for each new subject; existing subjects "
                     "keep theirs");
    return FR_OK;
}

static fr_rc http_check(void *self, fr_findings *out, fr_err *err)
{
    http_registry *h = self;
    fr_reply r;
    fr_rc rc = get(h, "/subjects?offset=0&limit=1", &r, err);
    /* Some have no list of subjects; any JSON answer shows that a registry is there. */
    if (rc == FR_OK && r.status != 404 && fr_reply_versions(&r, err) == FR_FAIL)
        rc = FR_FAIL;
    if (rc == FR_FAIL)
        return find_error(out,
                          err->kind == FR_ERR_AUTH                 ? "registry.auth"
                          : strcmp(err->code, "registry.tls") == 0 ? "registry.tls"
                                                                   : "registry.connect",
                          err);
    fr_findings_add(out, FR_FINE, "registry.connect", "%s answers", fr_transport_url(h->transport));
    if (check_mode(h, out, err) == FR_FAIL)
        FR_TRY(find_error(out, "registry.mode", err));
    if (check_level(h, out, err) == FR_FAIL)
        FR_TRY(find_error(out, "registry.compat", err));
    return FR_OK;
}

const fr_registry_ops fr_registry_http_ops = {
    .lookup = http_lookup,
    .exists = http_exists,
    .level = http_level,
    .set_level = http_set_level,
    .add = http_add,
    .schema = http_schema,
    .compatible = http_compatible,
    .latest = http_latest,
    .was_deleted = http_was_deleted,
    .versions = http_versions,
    .own_level = http_own_level,
    .drop_level = http_drop_level,
    .check = http_check,
    .place = http_place,
    .interrupt = http_interrupt,
    .close = http_close,
};
