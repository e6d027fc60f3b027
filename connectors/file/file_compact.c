/* Small files of one day, table and schema into one. Files are joined with those of about their own
 * size: each row is so written anew once for each time that its file has become compact.files times
 * as large, and not with every commit. */
#include "base/failpoint.h"
#include "base/log.h"
#include "file/file_sink.h"
#include <inttypes.h>

enum { TIERS = 64 };

/* 0 for the smallest, one more for each compact.files times as large. */
static int tier_of(const fr_file_sink *s, const fr_file_entry *e)
{
    int tier = 0;
    for (int64_t left = e->bytes; left >= s->config->compact_files; tier++)
        left /= s->config->compact_files;
    return tier;
}

/* The first so many of a tier, in the order of their names, up to compact.size. Returns how many.
 */
static size_t choose(const fr_file_sink *s, const fr_file_group *g, int tier, fr_file_entry **out)
{
    size_t count = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < g->count && count < (size_t)s->config->compact_files; i++) {
        fr_file_entry *e = g->items[i];
        if (e->bytes >= s->config->compact_size || tier_of(s, e) != tier)
            continue;
        if (count > 1 && bytes + e->bytes > s->config->compact_size)
            break;
        out[count++] = e;
        bytes += e->bytes;
    }
    return count;
}

/* The fullest tier that has enough; -1: none has. */
static int due(const fr_file_sink *s, const fr_file_group *g)
{
    int64_t counts[TIERS] = {0};
    int found = -1;
    for (size_t i = 0; i < g->count; i++)
        if (g->items[i]->bytes < s->config->compact_size)
            counts[tier_of(s, g->items[i])]++;
    for (int t = 0; t < TIERS; t++)
        if (counts[t] >= s->config->compact_files && (found < 0 || counts[t] > counts[found]))
            found = t;
    return found;
}

static void add_ranges(fr_arena *a, fr_file_entry *to, const fr_file_entry *from, size_t *cap)
{
    for (size_t i = 0; i < from->range_count; i++) {
        const fr_file_range *r = &from->ranges[i];
        size_t k = 0;
        while (k < to->range_count && (to->ranges[k].partition != r->partition ||
                                       !fr_str_eq(to->ranges[k].topic, r->topic)))
            k++;
        if (k == to->range_count) {
            if (to->range_count == *cap)
                to->ranges = fr_file_grow(a, to->ranges, to->range_count, sizeof(*r), cap);
            to->ranges[to->range_count++] = *r;
            continue;
        }
        fr_file_range *have = &to->ranges[k];
        have->first = r->first < have->first ? r->first : have->first;
        have->last = r->last > have->last ? r->last : have->last;
    }
}

/* The joined file, durable, and the record by which it counts. */
static fr_rc join(fr_file_sink *s, fr_file_entry *const *files, size_t count, fr_file_record *r,
                  fr_err *err)
{
    const fr_file_entry *first = files[0];
    fr_arena *a = s->arena;
    size_t cap = 0, at = first->path.len;
    int64_t rows = 0;
    while (at > 0 && first->path.ptr[at - 1] != '/')
        at--;
    fr_str folder = {first->path.ptr, at - first->day.len - 2}; /* without "/DAY/" */
    fr_file_entry *joined = FR_FILE_ADD(a, &r->add);
    *joined = *first;
    joined->path = fr_file_sink_name(s, a, folder, first->day);
    joined->rows = 0;
    joined->ranges = NULL;
    joined->range_count = 0;
    for (size_t i = 0; i < count; i++) {
        joined->rows += files[i]->rows;
        add_ranges(a, joined, files[i], &cap);
        *FR_FILE_ADD(a, &r->remove) = files[i]->path;
    }
    FR_TRY(s->format->join(s, files, count, joined->path, &rows, err));
    if (rows != joined->rows)
        return fr_fail(err, FR_ERR_BUG, "%.*s: %" PRId64 " rows of %" PRId64 " were read",
                       FR_ARG(joined->path), rows, joined->rows);
    FR_TRY(fr_file_folder_publish(&s->folder, fr_arena_cstr(a, joined->path), &joined->bytes, err));
    return FR_FAILPOINT("file_before_compact")
               ? fr_fail(err, FR_ERR_CONNECT, "failpoint file_before_compact")
               : FR_OK;
}

/* The rows are committed, whatever became of the joining: it is told once, and left. */
static fr_rc leave(fr_file_sink *s, fr_str group, const fr_file_record *r, size_t count,
                   fr_err *err)
{
    const fr_file_entry *e = &r->add.items[0];
    if (err->kind == FR_ERR_CANCELLED)
        return fr_fail_in(err, "join small files");
    fr_file_folder_discard(&s->folder, fr_arena_cstr(s->arena, e->path));
    fr_fail_in(err, "%s: %zu small files of %.*s, %.*s, stay as they are", s->folder.path, count,
               FR_ARG(e->name), FR_ARG(e->day));
    fr_fail_hint(err,
                 "no row is lost by that; where a file is damaged, restore it from a backup. It "
                 "is tried again after the next claim; compact.files: 0 joins none");
    fr_log_err(FR_LOG_WARN, s->settings->name, err);
    fr_map_set(s->left, group, s);
    return FR_OK;
}

static fr_rc join_group(fr_file_sink *s, fr_str group, fr_file_entry *const *files, size_t count,
                        fr_err *err)
{
    fr_file_record r = {
        .kind = FR_FILE_COMPACT, .epoch = s->folder.state->epoch, .owner = s->folder.state->owner};
    if (join(s, files, count, &r, err) == FR_FAIL)
        return leave(s, group, &r, count, err);
    if (fr_file_folder_append(&s->folder, &r, err) == FR_FAIL)
        return fr_fail_in(err, "join small files");
    return FR_FAILPOINT("file_after_compact")
               ? fr_fail(err, FR_ERR_CONNECT, "failpoint file_after_compact")
               : FR_OK;
}

/* One join a commit and group: what comes must not wait for long. */
fr_rc fr_file_sink_compact(fr_file_sink *s, const fr_file_record *done, fr_err *err)
{
    if (s->config->compact_files == 0)
        return FR_OK;
    fr_file_entry **files =
        fr_arena_alloc(s->arena, (size_t)s->config->compact_files * sizeof(fr_file_entry *));
    for (size_t i = 0; i < done->add.count; i++) {
        fr_str key = fr_file_group_key(s->arena, &done->add.items[i]);
        const fr_file_group *g = fr_map_get(s->folder.state->groups, key);
        int tier = g == NULL || fr_map_get(s->left, key) != NULL ? -1 : due(s, g);
        size_t count = tier < 0 ? 0 : choose(s, g, tier, files);
        if (count > 1)
            FR_TRY(join_group(s, key, files, count, err));
    }
    return FR_OK;
}
