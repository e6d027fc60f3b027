#include "file/file_sink.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "sql/file.h"
#include "sql/history.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const formats[] = {"parquet", "avro", NULL};
static const fr_option options[] = {
    {.name = "path",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_file_sink_config, path),
     .help =
         "The folder, which is this sink's alone; it is made when it is not there, unless create "
         "is never.",
     .flags = FR_REQUIRED | FR_PATH},
    {.name = "format",
     .type = FR_OPT_CHOICE,
     .offset = offsetof(fr_file_sink_config, format),
     .fallback = "parquet",
     .choices = formats,
     .help =
         "What the files are: parquet, by DuckDB's library, or avro (container files, deflate), "
         "by avro-c."},
    {.name = "compact.files",
     .type = FR_OPT_INT,
     .offset = offsetof(fr_file_sink_config, compact_files),
     .fallback = "16",
     .max = 1000,
     .help =
         "So many files of about one size, of one table and day, are joined into one; 0: never."},
    {.name = "compact.size",
     .type = FR_OPT_BYTES,
     .offset = offsetof(fr_file_sink_config, compact_size),
     .fallback = "64MiB",
     .min = 1LL << 10,
     .max = 1LL << 40,
     .help = "Files of this size or larger are not joined any more."},
    {.name = "keep",
     .type = FR_OPT_TIME,
     .offset = offsetof(fr_file_sink_config, keep_us),
     .fallback = "1h",
     .help =
         "How long a file that was joined into another stays, for readers that read the manifest "
         "before."},
    {.name = "memory",
     .type = FR_OPT_BYTES,
     .offset = offsetof(fr_file_sink_config, memory),
     .fallback = "128MiB",
     .min = 64LL << 20,
     .max = 1LL << 40,
     .help = "DuckDB's memory_limit; what needs more goes to files in _freshet."},
    {.name = "library",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_file_sink_config, library),
     .fallback = "libduckdb.so",
     .help = "DuckDB's library: a path, or a name that the system's loader finds."},
    {.name = NULL},
};

/* ---- open and close ---- */

static const fr_file_format *format_of(const fr_file_sink_config *c)
{
    if (c->format == FR_FILE_PARQUET)
        return &fr_file_parquet;
#ifdef FR_WITH_AVRO
    return &fr_file_avro;
#else
    return NULL;
#endif
}

static fr_rc settings_check(const fr_sink_settings *set, fr_err *err)
{
    const fr_file_sink_config *c = set->connector;
    if (set->write_mode == FR_WRITE_UPSERT)
        return fr_target_refuse(err,
                                "write.mode: a folder of files keeps every event, and no row is "
                                "ever changed in it: upsert cannot be",
                                "set write.mode: append; docs/sinks/file.md has the query for the "
                                "last state of each key");
    FR_TRY(fr_history_none(
        set, "write.mode: no row of a file is ever changed, so none can end: history cannot be",
        "set write.mode: append: every state is a row there, with its position "
        "(docs/history.md)",
        err));
    FR_TRY(fr_target_settings(set, err));
    if (c->path == NULL || c->path[0] == '\0')
        return fr_target_refuse(err, "path: rows are kept in a folder", "give the path of one");
    if (c->compact_files == 1)
        return fr_target_refuse(err, "compact.files: one file cannot be joined",
                                "0 (never), or 2 and more");
    if (format_of(c) == NULL)
        return fr_target_refuse(err, "format: avro is not compiled in (it needs avro-c)",
                                "build with libavro-dev, or set it to parquet");
    return FR_OK;
}

static void forget_next(fr_file_sink *s)
{
    s->next = (fr_file_record){.seq = 0};
    fr_arena_reset(s->open);
}

void fr_file_sink_abandon(fr_file_sink *s)
{
    fr_file_versions_forget(s);
    forget_next(s);
    fr_arena_reset(s->arena);
}

static void sink_close(fr_sink *base)
{
    fr_file_sink *s = (fr_file_sink *)base;
    if (s == NULL)
        return;
    fr_file_sink_abandon(s);
    s->format->close(s);
    fr_file_folder_close(&s->folder);
    fr_map_free(s->tables, NULL); /* empty */
    fr_target_free_versions(s->versions);
    fr_map_free(s->folded, NULL);
    fr_map_free(s->claims, free);
    fr_map_free(s->left, NULL);
    fr_arena_free(s->arena);
    fr_arena_free(s->open);
    fr_arena_free(s->home);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static fr_rc check_owner(const fr_file_sink *s, fr_err *err)
{
    const fr_file_state *state = s->folder.state;
    char own[256];
    snprintf(own, sizeof(own), "%s/%s", s->settings->pipeline, s->settings->name);
    if (state == NULL || state->owner.len == 0 || fr_str_is(state->owner, own))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s is the folder of %.*s (pipeline/sink), and this is %s",
            s->folder.path, FR_ARG(state->owner), own);
    fr_fail_code(err, "sink.config");
    return fr_fail_hint(err, "give this sink a folder of its own");
}

static fr_rc open_folder(fr_file_sink *s, fr_err *err)
{
    bool there;
    char full[PATH_MAX];
    snprintf(s->folder.path, sizeof(s->folder.path), "%s",
             fr_target_full_path(s->config->path, full));
    size_t n = strlen(s->folder.path);
    while (n > 1 && s->folder.path[n - 1] == '/')
        s->folder.path[--n] = '\0';
    FR_TRY(fr_file_folder_check(s->folder.path, &there, err));
    if (there)
        FR_TRY(fr_file_folder_open(&s->folder, err));
    FR_TRY(check_owner(s, err));
    return s->format->open(s, err);
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    const fr_file_sink_config *config = settings->connector;
    FR_TRY(settings_check(settings, err));
    fr_file_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_file_sink_ops;
    s->settings = settings;
    s->config = config;
    s->format = format_of(config);
    s->folder.lock = -1;
    s->folder.keep_ms = config->keep_us / 1000;
    s->home = fr_arena_new(0);
    s->arena = fr_arena_new(64 << 10);
    s->open = fr_arena_new(0);
    s->tables = fr_map_new();
    s->versions = fr_map_new();
    s->folded = fr_map_new();
    s->claims = fr_map_new();
    s->left = fr_map_new();
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->connected, true);
    atomic_init(&s->lag_us, -1);
    if (open_folder(s, err) == FR_FAIL) {
        sink_close(&s->base);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_file_sink_abandon((fr_file_sink *)base);
    return FR_OK;
}

static void sink_interrupt(fr_sink *base)
{
    fr_file_sink *s = (fr_file_sink *)base;
    pthread_mutex_lock(&s->lock);
    if (s->con != NULL)
        s->api->interrupt(s->con);
    pthread_mutex_unlock(&s->lock);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_file_sink *s = (fr_file_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* What the configuration or the operator has to mend is a finding; the rest may pass by itself. */
static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    static const char *const codes[] = {"sink.config",  "sink.library",  "sink.busy",
                                        "sink.corrupt", "sink.manifest", "sink.readonly"};
    fr_sink *base = NULL;
    const char *code = "sink.file";
    if (sink_open(settings, &base, err) == FR_OK) {
        fr_file_sink *s = (fr_file_sink *)base;
        if (!fr_file_folder_held(&s->folder) && settings->create == FR_WHEN_NEVER)
            fr_findings_add(out, FR_BLOCKER, code, "the folder %s is not there, or no sink's",
                            s->folder.path)
                ->hint = FR_STR("correct the path, or set create to apply or run: it is made then");
        if (s->api != NULL)
            fr_findings_add(out, FR_FINE, "sink.version", "DuckDB %s", s->api->library_version());
        sink_close(base);
        return FR_OK;
    }
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        code = strcmp(err->code, codes[i]) == 0 ? codes[i] : code;
    fr_target_finding(out, code, err);
    return FR_OK;
}

/* ---- claim ---- */

/* Nothing of what this instance believed may be used: it learns anew, by a claim, what there is. */
static fr_rc lost(fr_file_sink *s, fr_err *err)
{
    if (err->kind == FR_ERR_CONNECT)
        atomic_store(&s->connected, false);
    fr_file_sink_abandon(s);
    fr_map_free(s->claims, free);
    s->claims = fr_map_new();
    return FR_FAIL;
}

static fr_rc write_claim(fr_file_sink *s, const fr_offsets *offsets, fr_err *err)
{
    fr_arena *a = s->arena;
    fr_file_record r = {.kind = FR_FILE_CLAIM, .epoch = s->folder.state->epoch + 1};
    r.owner = fr_arena_printf(a, "%s/%s", s->settings->pipeline, s->settings->name);
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        *FR_FILE_ADD(a, &r.offsets) =
            (fr_file_next){o->topic, o->partition, o->next, fr_cstr(o->topic_id)};
    }
    return fr_file_folder_append(&s->folder, &r, err);
}

static fr_rc claim(fr_file_sink *s, fr_offsets *offsets, fr_err *err)
{
    bool first = s->folder.claimed == 0;
    if (!fr_file_folder_held(&s->folder) && s->settings->create == FR_WHEN_NEVER) {
        fr_fail(err, FR_ERR_CONFIG, "the folder %s is not there, or no sink's", s->folder.path);
        fr_fail_code(err, "sink.file");
        return fr_fail_hint(err,
                            "correct the path, or set create to apply or run: it is made then");
    }
    FR_TRY(fr_file_folder_make(&s->folder, err));
    FR_TRY(fr_file_folder_load(&s->folder, err));
    FR_TRY(check_owner(s, err));
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        const fr_file_next *next = fr_map_get(s->folder.state->offsets,
                                              fr_file_offset_key(s->arena, o->topic, o->partition));
        o->next = next != NULL ? next->next : -1;
        fr_target_topic_id(o->topic_id, next != NULL ? next->topic_id : FR_STR(""));
    }
    FR_TRY(write_claim(s, offsets, err));
    for (size_t i = 0; i < offsets->count; i++)
        fr_target_keep_claim(s->claims, offsets->items[i].topic, offsets->items[i].partition,
                             s->folder.state->epoch);
    return first ? fr_file_folder_sweep(&s->folder, err) : FR_OK;
}

static bool anything_waits(const fr_file_sink *s)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(s->tables, &i, NULL, &value))
        if (((const fr_file_version *)value)->day_count > 0)
            return true;
    return s->next.keys.count > 0;
}

static fr_rc sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err)
{
    fr_file_sink *s = (fr_file_sink *)base;
    if (anything_waits(s))
        return fr_fail(err, FR_ERR_BUG, "claim while rows wait: commit or roll back first");
    fr_file_sink_abandon(s); /* versions are laid onto what the manifest says now */
    fr_map_free(s->left, NULL);
    s->left = fr_map_new();
    s->untidy = false;
    fr_rc rc = claim(s, offsets, err);
    fr_arena_reset(s->arena);
    if (rc == FR_FAIL)
        return lost(s, err);
    atomic_store(&s->connected, true);
    return FR_OK;
}

/* ---- commit ---- */

static fr_str day_text(fr_arena *a, int32_t day)
{
    return day == FR_FILE_UNDATED ? FR_STR("undated") : fr_date_text(a, day);
}

fr_str fr_file_sink_name(fr_file_sink *s, fr_arena *a, fr_str folder, fr_str day)
{
    return fr_arena_printf(a, "%.*s/%.*s/%012" PRId64 "-%s-%u%s", FR_ARG(folder), FR_ARG(day),
                           s->folder.state->seq + 1, s->folder.writer, s->files++, s->format->end);
}

static fr_rc write_day(fr_file_sink *s, const fr_file_version *v, const fr_file_day *day,
                       fr_file_record *r, fr_err *err)
{
    fr_arena *a = s->arena;
    fr_file_entry *e = FR_FILE_ADD(a, &r->add);
    e->space = v->space;
    e->name = v->name;
    e->day = day_text(a, day->day);
    e->shape = v->shape.number;
    e->rows = day->rows;
    e->ranges = day->ranges.items;
    e->range_count = day->ranges.count;
    e->path = fr_file_sink_name(s, a, v->folder, e->day);
    fr_str folder = fr_arena_printf(a, "%.*s/%.*s%c", FR_ARG(v->folder), FR_ARG(e->day), '\0');
    FR_TRY(fr_file_folder_dirs(&s->folder, folder.ptr, err));
    FR_TRY(s->format->write(s, v, day, e->path, err));
    return fr_file_folder_publish(&s->folder, fr_arena_cstr(a, e->path), &e->bytes, err);
}

static fr_rc write_files(fr_file_sink *s, fr_file_record *r, fr_err *err)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(s->tables, &i, NULL, &value)) {
        const fr_file_version *v = value;
        for (size_t d = 0; d < v->day_count; d++)
            FR_TRY(write_day(s, v, &v->days[d], r, err));
    }
    return FR_OK;
}

static fr_rc own_partitions(const fr_file_sink *s, const fr_offsets *offsets, fr_file_record *r,
                            fr_err *err)
{
    int64_t ignored;
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        FR_TRY(fr_target_claim(s->claims, o, &ignored, err));
        *FR_FILE_ADD(s->arena, &r->offsets) =
            (fr_file_next){o->topic, o->partition, o->next, fr_cstr(o->topic_id)};
    }
    return FR_OK;
}

/* Versions stay, and what was staged of them goes. */
static void settle(fr_file_sink *s)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(s->tables, &i, NULL, &value))
        fr_file_version_drop(s, value);
    forget_next(s);
}

/* The commit is made: what is left to fold or to take away is tried again after the next one, and
 * told once. */
static void tidy(fr_file_sink *s)
{
    fr_err err;
    if (fr_file_folder_tidy(&s->folder, &err) != FR_FAIL || s->untidy)
        return;
    s->untidy = true;
    fr_fail_in(&err, "fold the manifest");
    fr_log_err(FR_LOG_WARN, s->settings->name, &err);
}

static fr_rc commit(fr_file_sink *s, const fr_offsets *offsets, fr_file_record *r, fr_err *err)
{
    *r = s->next;
    r->kind = FR_FILE_COMMIT;
    r->epoch = s->folder.state->epoch;
    r->owner = s->folder.state->owner;
    FR_TRY(own_partitions(s, offsets, r, err));
    FR_TRY(write_files(s, r, err));
    if (FR_FAILPOINT("file_before_manifest"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint file_before_manifest");
    FR_TRY(fr_file_folder_append(&s->folder, r, err));
    if (FR_FAILPOINT("file_after_manifest"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint file_after_manifest");
    if (s->commit_us != 0)
        atomic_store(&s->lag_us, fr_wall_us() - s->commit_us);
    FR_TRY(fr_file_sink_compact(s, r, err));
    tidy(s);
    return FR_OK;
}

static fr_rc sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err)
{
    fr_file_sink *s = (fr_file_sink *)base;
    fr_file_record r;
    if (offsets->count == 0 && !anything_waits(s))
        return FR_OK;
    if (FR_FAILPOINT("sink_before_commit")) {
        fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_commit");
        return lost(s, err);
    }
    s->files = 0;
    if (commit(s, offsets, &r, err) == FR_FAIL) {
        fr_fail_in(err, "commit");
        return lost(s, err);
    }
    settle(s);
    fr_arena_reset(s->arena);
    return FR_FAILPOINT("sink_after_commit")
               ? fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_commit")
               : FR_OK;
}

/* ---- parked keys: in the manifest, beside the offsets ---- */

static fr_rc need_folder(fr_file_sink *s, fr_err *err)
{
    if (fr_file_folder_held(&s->folder))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "the folder %s is not there, or no sink's", s->folder.path);
    fr_fail_code(err, "sink.file");
    return fr_fail_hint(err, "correct the path, or let freshet run make it");
}

static fr_rc change_key(fr_file_sink *s, fr_str topic, fr_str key, bool parked, fr_err *err)
{
    FR_TRY(need_folder(s, err));
    fr_file_key *k = FR_FILE_ADD(s->open, &s->next.keys);
    *k = (fr_file_key){fr_arena_str(s->open, topic), fr_arena_str(s->open, key), parked};
    return FR_OK;
}

static fr_rc sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_key((fr_file_sink *)base, topic, key, true, err);
}

static fr_rc sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err)
{
    return change_key((fr_file_sink *)base, topic, key, false, err);
}

/* As the commit would leave them. */
static bool is_parked(const fr_file_sink *s, fr_str topic, fr_str key, bool before)
{
    for (size_t i = 0; i < s->next.keys.count; i++) {
        const fr_file_key *k = &s->next.keys.items[i];
        if (fr_str_eq(k->topic, topic) && fr_str_eq(k->key, key))
            before = k->parked;
    }
    return before;
}

static fr_rc sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                         size_t *count_out, fr_err *err)
{
    fr_file_sink *s = (fr_file_sink *)base;
    size_t i = 0;
    void *value;
    FR_FILE_LIST(fr_str, list) = {NULL, 0, 0};
    FR_TRY(need_folder(s, err));
    while (fr_map_next(s->folder.state->keys, &i, NULL, &value)) {
        const fr_file_key *k = value;
        if (fr_str_eq(k->topic, topic) && is_parked(s, topic, k->key, true))
            *FR_FILE_ADD(a, &list) = fr_arena_str(a, k->key);
    }
    for (i = 0; i < s->next.keys.count; i++) {
        const fr_file_key *k = &s->next.keys.items[i];
        fr_str name = fr_file_table_key(a, topic, k->key);
        if (k->parked && fr_str_eq(k->topic, topic) && is_parked(s, topic, k->key, false) &&
            fr_map_get(s->folder.state->keys, name) == NULL)
            *FR_FILE_ADD(a, &list) = fr_arena_str(a, k->key);
    }
    *keys_out = list.items;
    *count_out = list.count;
    return FR_OK;
}

const fr_sink_ops fr_file_sink_ops = {
    .name = "file-sink",
    .type = "file",
    .summary = "Every event as a row of Parquet or Avro files by table and day, with a manifest, "
               "exactly once.",
    .options = options,
    .config_size = sizeof(fr_file_sink_config),
    .batch_rows = 100000,
    .settings = settings_check,
    .open = sink_open,
    .check = sink_check,
    .claim = sink_claim,
    .prepare = fr_file_sink_prepare,
    .apply = fr_file_sink_apply,
    .commit = sink_commit,
    .rollback = sink_rollback,
    .park = sink_park,
    .parked = sink_parked,
    .unpark = sink_unpark,
    .interrupt = sink_interrupt,
    .status = sink_status,
    .close = sink_close,
};
