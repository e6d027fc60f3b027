#include "poll/sorter.h"
#include "base/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RUNS: files that are merged at once. */
enum { RUNS = 64, FILE_BUFFER = 64 << 10 };

typedef struct entry {
    uint32_t hash, at; /* at: of the record in `data` */
} entry;

/* Sizes of key and value, then both. In memory as in files. */
typedef struct head {
    uint32_t key, value;
} head;

typedef struct record {
    uint32_t hash;
    fr_str key, value;
} record;

typedef struct run { /* sorted records in a file */
    FILE *file;
    char *buffer;
    fr_buf bytes; /* of the record at hand */
    record now;
    bool ended;
} run;

struct fr_sorter {
    char *dir;
    size_t memory;
    bool newest, sorted;
    char *data; /* records from the front; */
    size_t used, room;
    entry *entries; /* each in the order of `at` until they are sorted */
    size_t count, cap;
    run runs[RUNS]; /* older ones first */
    size_t run_count;
    uint64_t written;

    /* What comes next: from `entries`, or from the runs by a heap of their indexes. */
    size_t next;
    size_t heap[RUNS], heap_count;
    size_t last; /* the run that gave the record at hand; SIZE_MAX: none did */
};

fr_sorter *fr_sorter_new(const char *dir, size_t memory, bool newest)
{
    fr_sorter *s = fr_malloc(sizeof(*s));
    s->dir = fr_strdup(dir);
    s->memory = memory;
    s->newest = newest;
    s->last = SIZE_MAX;
    return s;
}

static void run_close(run *r)
{
    if (r->file != NULL)
        (void)fclose(r->file);
    free(r->buffer);
    fr_buf_free(&r->bytes);
    memset(r, 0, sizeof(*r));
}

static void free_memory(fr_sorter *s)
{
    free(s->data);
    free(s->entries);
    s->data = NULL;
    s->entries = NULL;
    s->used = s->room = s->count = s->cap = 0;
}

void fr_sorter_free(fr_sorter *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->run_count; i++)
        run_close(&s->runs[i]);
    free_memory(s);
    free(s->dir);
    free(s);
}

uint64_t fr_sorter_written(const fr_sorter *s)
{
    return s->written;
}

/* ---- the order ---- */

static int compare(uint32_t hash_a, fr_str a, uint32_t hash_b, fr_str b)
{
    if (hash_a != hash_b)
        return hash_a < hash_b ? -1 : 1;
    return fr_str_cmp(a, b);
}

int fr_sorter_order(fr_str a, fr_str b)
{
    return compare(fr_murmur2(a.ptr, a.len), a, fr_murmur2(b.ptr, b.len), b);
}

static record record_at(const fr_sorter *s, const entry *e)
{
    head h;
    const char *p = s->data + e->at;
    memcpy(&h, p, sizeof(h));
    return (record){e->hash, {p + sizeof(h), h.key}, {p + sizeof(h) + h.key, h.value}};
}

static int by_key(const void *a, const void *b, void *context)
{
    const entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    record one = record_at(context, x), other = record_at(context, y);
    int order = fr_str_cmp(one.key, other.key);
    return order != 0 ? order : x->at < y->at ? -1 : x->at > y->at;
}

static void sort_entries(fr_sorter *s)
{
    size_t kept = 0;
    if (s->count > 1)
        qsort_r(s->entries, s->count, sizeof(entry), by_key, s);
    if (!s->newest)
        return;
    for (size_t i = 0; i < s->count; i++) {
        bool again =
            i + 1 < s->count && s->entries[i].hash == s->entries[i + 1].hash &&
            fr_str_eq(record_at(s, &s->entries[i]).key, record_at(s, &s->entries[i + 1]).key);
        if (!again)
            s->entries[kept++] = s->entries[i];
    }
    s->count = kept;
}

/* ---- files ---- */

static fr_rc disk_fail(const fr_sorter *s, const char *doing, fr_err *err)
{
    int number = errno;
    bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
    fr_fail(err, full ? FR_ERR_BUSY : FR_ERR_CONFIG, "%s in %s: %s", doing, s->dir,
            strerror(number));
    err->native = number;
    fr_fail_code(err, "compare.disk");
    return fr_fail_hint(err, "make room there, or set daemon.cache_dir to a directory that can be "
                             "written and has room");
}

static fr_rc run_open(const fr_sorter *s, run *r, fr_err *err)
{
    fr_buf name = {0};
    fr_buf_printf(&name, "%s/compare-XXXXXX", s->dir);
    fr_buf_u8(&name, '\0');
    int fd = mkostemp((char *)name.ptr, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink((char *)name.ptr);
    fr_buf_free(&name);
    *r = (run){.file = fd < 0 ? NULL : fdopen(fd, "w+")};
    if (r->file == NULL) {
        fr_rc rc = disk_fail(s, "write a sorted file", err);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    r->buffer = fr_malloc(FILE_BUFFER);
    (void)setvbuf(r->file, r->buffer, _IOFBF, FILE_BUFFER);
    return FR_OK;
}

fr_rc fr_sorter_check(const char *dir, fr_err *err)
{
    fr_sorter *s = fr_sorter_new(dir, 0, false);
    run r;
    (void)mkdir(dir, 0700); /* where it is not there after that, opening says so */
    fr_rc rc = run_open(s, &r, err);
    if (rc == FR_OK)
        run_close(&r);
    fr_sorter_free(s);
    return rc;
}

static fr_rc run_write(fr_sorter *s, run *r, const record *from, fr_err *err)
{
    head h = {(uint32_t)from->key.len, (uint32_t)from->value.len};
    bool good = fwrite(&h, sizeof(h), 1, r->file) == 1;
    good = good && (h.key == 0 || fwrite(from->key.ptr, h.key, 1, r->file) == 1);
    good = good && (h.value == 0 || fwrite(from->value.ptr, h.value, 1, r->file) == 1);
    s->written += sizeof(h) + h.key + h.value;
    return good ? FR_OK : disk_fail(s, "write a sorted file", err);
}

static fr_rc run_next(const fr_sorter *s, run *r, fr_err *err)
{
    head h;
    if (fread(&h, 1, sizeof(h), r->file) != sizeof(h)) {
        r->ended = true;
        return ferror(r->file) ? disk_fail(s, "read a sorted file", err) : FR_END;
    }
    size_t size = (size_t)h.key + h.value;
    r->bytes.len = 0;
    char *to = (char *)fr_buf_room(&r->bytes, size + 1);
    if (size > 0 && fread(to, 1, size, r->file) != size)
        return disk_fail(s, "read a sorted file", err);
    r->now = (record){fr_murmur2(to, h.key), {to, h.key}, {to + h.key, h.value}};
    return FR_OK;
}

/* ---- merging runs ---- */

static bool before(const fr_sorter *s, size_t a, size_t b)
{
    const record *x = &s->runs[a].now, *y = &s->runs[b].now;
    int order = compare(x->hash, x->key, y->hash, y->key);
    return order != 0 ? order < 0 : a < b;
}

static void sift(fr_sorter *s, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap_count; child++)
            if (before(s, s->heap[child], s->heap[least]))
                least = child;
        if (least == i)
            return;
        size_t other = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = other;
        i = least;
    }
}

static fr_rc begin_merge(fr_sorter *s, fr_err *err)
{
    s->heap_count = 0;
    s->last = SIZE_MAX;
    for (size_t i = 0; i < s->run_count; i++) {
        run *r = &s->runs[i];
        if (fflush(r->file) != 0 || fseeko(r->file, 0, SEEK_SET) != 0)
            return disk_fail(s, "write a sorted file", err);
        r->ended = false;
        fr_rc rc = run_next(s, r, err);
        FR_TRY(rc);
        if (rc == FR_OK)
            s->heap[s->heap_count++] = i;
    }
    for (size_t i = s->heap_count; i-- > 0;)
        sift(s, i);
    return FR_OK;
}

/* The next record of all runs; equal keys from the older run first. */
static fr_rc merge_next(fr_sorter *s, record *out, fr_err *err)
{
    if (s->last != SIZE_MAX) {
        fr_rc rc = run_next(s, &s->runs[s->last], err);
        FR_TRY(rc);
        if (rc == FR_END)
            s->heap[0] = s->heap[--s->heap_count];
        sift(s, 0);
        s->last = SIZE_MAX;
    }
    if (s->heap_count == 0)
        return FR_END;
    s->last = s->heap[0];
    *out = s->runs[s->last].now;
    return FR_OK;
}

/* Is the next record one of the same key? Then the one at hand is not the newest. */
static bool comes_again(const fr_sorter *s, const record *now)
{
    /* Within a run keys are different already. */
    for (size_t child = 1; child <= 2 && child < s->heap_count; child++) {
        const record *next = &s->runs[s->heap[child]].now;
        if (next->hash == now->hash && fr_str_eq(next->key, now->key))
            return true;
    }
    return false;
}

static fr_rc merged(fr_sorter *s, record *out, fr_err *err)
{
    fr_rc rc;
    do {
        rc = merge_next(s, out, err);
    } while (rc == FR_OK && s->newest && comes_again(s, out));
    return rc;
}

static fr_rc merge_all(fr_sorter *s, fr_err *err)
{
    run all;
    record now;
    FR_TRY(begin_merge(s, err));
    FR_TRY(run_open(s, &all, err));
    fr_rc rc = merged(s, &now, err);
    while (rc == FR_OK) {
        rc = run_write(s, &all, &now, err);
        if (rc == FR_OK)
            rc = merged(s, &now, err);
    }
    if (rc == FR_FAIL) {
        run_close(&all);
        return rc;
    }
    for (size_t i = 0; i < s->run_count; i++)
        run_close(&s->runs[i]);
    s->runs[0] = all;
    s->run_count = 1;
    return FR_OK;
}

/* What is in memory becomes a run. */
static fr_rc flush(fr_sorter *s, fr_err *err)
{
    if (s->count == 0)
        return FR_OK;
    sort_entries(s);
    if (s->run_count == RUNS)
        FR_TRY(merge_all(s, err));
    run *r = &s->runs[s->run_count];
    FR_TRY(run_open(s, r, err));
    s->run_count++;
    for (size_t i = 0; i < s->count; i++) {
        record now = record_at(s, &s->entries[i]);
        FR_TRY(run_write(s, r, &now, err));
    }
    if (fflush(r->file) != 0)
        return disk_fail(s, "write a sorted file", err);
    s->used = s->count = 0;
    return FR_OK;
}

/* ---- in and out ---- */

static void grow(fr_sorter *s, size_t need)
{
    if (s->used + need > s->room) {
        s->room = s->room == 0 ? 4096 : 2 * s->room;
        s->room = s->room > s->memory ? s->memory : s->room;
        s->room = s->room < s->used + need ? s->used + need : s->room;
        s->data = fr_realloc(s->data, s->room);
    }
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 256 : s->cap + s->cap / 2;
        s->entries = fr_realloc(s->entries, s->cap * sizeof(entry));
    }
}

fr_rc fr_sorter_add(fr_sorter *s, fr_str key, fr_str value, fr_err *err)
{
    head h = {(uint32_t)key.len, (uint32_t)value.len};
    size_t need = sizeof(h) + key.len + value.len;
    if (need > (1u << 31))
        return fr_fail(err, FR_ERR_DATA, "a row of %zu bytes cannot be sorted", need);
    if (s->count > 0 && s->used + need + (s->count + 1) * sizeof(entry) > s->memory)
        FR_TRY(flush(s, err));
    grow(s, need);
    char *p = s->data + s->used;
    memcpy(p, &h, sizeof(h));
    if (key.len > 0)
        memcpy(p + sizeof(h), key.ptr, key.len);
    if (value.len > 0)
        memcpy(p + sizeof(h) + key.len, value.ptr, value.len);
    s->entries[s->count++] = (entry){fr_murmur2(key.ptr, key.len), (uint32_t)s->used};
    s->used += need;
    return FR_OK;
}

fr_rc fr_sorter_rewind(fr_sorter *s, fr_err *err)
{
    if (!s->sorted && s->run_count == 0) {
        sort_entries(s);
    } else if (!s->sorted) {
        FR_TRY(flush(s, err));
        free_memory(s);
    }
    s->sorted = true;
    s->next = 0;
    return begin_merge(s, err);
}

fr_rc fr_sorter_next(fr_sorter *s, fr_str *key_out, fr_str *value_out, fr_err *err)
{
    record now = {0};
    fr_rc rc = FR_OK;
    if (s->run_count > 0)
        rc = merged(s, &now, err);
    else if (s->next == s->count)
        rc = FR_END;
    else
        now = record_at(s, &s->entries[s->next++]);
    if (rc == FR_OK) {
        *key_out = now.key;
        *value_out = now.value;
    }
    return rc;
}
