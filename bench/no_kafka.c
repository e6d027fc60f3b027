/* What of freshet's work is not Kafka's: a source's own reader fills batches, the encoder makes
 * messages of them (schemas in a directory), and they are thrown away. One thread.
 *
 *   no_kafka position TYPE TABLES KEY=VALUE...                the log's place now
 *   no_kafka stream TYPE TABLES ROWS RESUME KEY=VALUE...      ends with the transaction of that row
 *   no_kafka snapshot TYPE TABLES KEY=VALUE...                all rows as of now
 *
 * TABLES: names or /regex/, with commas. KEY=VALUE: what stands below sources.<s>. PostgreSQL makes
 * its slot for position and snapshot. */
#include "bench/bare.h"
#include "codec/encode.h"
#include "connectors/list.h"
#include "transform/route.h"
#include <ftw.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 4096, BATCH_BYTES = 1 << 20, MOST_TABLES = 16 };

typedef struct run {
    fr_source_settings settings;
    fr_table_settings tables[MOST_TABLES];
    const fr_source_ops *ops;
    fr_source *source;
    fr_arena *arena;
    void *config;
    fr_router *router;
    fr_registry *registry;
    fr_encoder *encoder;
    fr_batch *batch;
    char folder[32], url[64];
    uint64_t rows, bytes;
    bool at_commit;
} run;

static void check(fr_rc rc, const fr_err *err)
{
    if (rc == FR_FAIL)
        bare_die(err->code, err->text);
}

/* ---- setting up ---- */

static void set_tables(run *r, char *list)
{
    fr_err err;
    char *save = NULL;
    for (char *t = strtok_r(list, ",", &save); t != NULL && r->settings.table_count < MOST_TABLES;
         t = strtok_r(NULL, ",", &save)) {
        fr_table_settings *s = &r->tables[r->settings.table_count++];
        *s = (fr_table_settings){.pattern = t,
                                 .place = "bench",
                                 .topic = "${prefix}.${space}.${table}",
                                 .tombstones = true,
                                 .schema_compat = -1,
                                 .snapshot_chunk = 100000,
                                 .snapshot_parallel = 1};
        check(fr_pattern_compile(t, &s->regex, &err), &err);
    }
    r->settings.tables = r->tables;
}

static void set_options(run *r, char **pairs, int count)
{
    fr_err err;
    r->config = fr_malloc(r->ops->config_size);
    check(fr_option_defaults(r->ops->options, r->arena, r->config, &err), &err);
    r->settings.connector = r->config;
    for (int i = 0; i < count; i++) {
        char *sign = strchr(pairs[i], '=');
        if (sign == NULL)
            bare_die("KEY=VALUE", pairs[i]);
        const fr_option *o =
            fr_option_find(r->ops->options, (fr_str){pairs[i], (size_t)(sign - pairs[i])});
        if (o == NULL)
            bare_die("no such key", pairs[i]);
        check(fr_option_set(o, r->arena, r->config, fr_cstr(sign + 1), &err), &err);
    }
}

static fr_rc route_of(void *context, const fr_table *table, const fr_route **out, fr_err *err)
{
    return fr_router_route(((run *)context)->router, table, out, err);
}

static void open_encoder(run *r)
{
    static fr_kafka_settings kafka;
    static fr_registry_settings rs = {.register_when = FR_WHEN_RUN};
    static const char *urls[1];
    fr_err err;
    strcpy(r->folder, "/tmp/fr_bench_XXXXXX");
    if (mkdtemp(r->folder) == NULL)
        bare_die(r->folder, "cannot be made");
    snprintf(r->url, sizeof(r->url), "file:%s/registry", r->folder);
    urls[0] = r->url;
    rs.url = (fr_texts){urls, 1};
    check(fr_registry_open(&rs, &r->registry, &err), &err);
    r->router = fr_router_new(&r->settings);
    fr_encoder_settings s = {.source = &r->settings,
                             .registry_settings = &rs,
                             .kafka = &kafka,
                             .route = route_of,
                             .context = r,
                             .origin = {FR_STR("0.1.0"), fr_cstr(r->settings.type),
                                        fr_cstr(r->settings.type), FR_STR("bench"), FR_STR("")}};
    r->encoder = fr_encoder_new(&s, r->registry);
    r->batch = fr_batch_new(BATCH, BATCH_BYTES);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* ---- work ---- */

static void encode(run *r)
{
    fr_err err;
    size_t done;
    check(fr_encode(r->encoder, r->batch, 0, r->batch->count, &done, &err), &err);
    for (size_t i = 0; i < r->batch->message_count; i++)
        r->bytes += r->batch->messages[i].key.len + r->batch->messages[i].payload.len;
    for (size_t i = 0; i < r->batch->count; i++) {
        r->rows += r->batch->events[i].op <= FR_OP_DELETE;
        r->at_commit = r->batch->events[i].op == FR_OP_COMMIT;
    }
}

static fr_rc step(run *r, fr_reader *reader)
{
    fr_err err;
    fr_batch_reset(r->batch);
    fr_rc rc = reader->ops->fill(reader, r->batch, fr_now_us() + 1000000, &err);
    check(rc, &err);
    if (rc == FR_OK)
        encode(r);
    return rc;
}

static void follow(run *r, uint64_t rows, const char *resume)
{
    fr_err err;
    fr_reader *reader;
    check(r->ops->read_stream(r->source, fr_cstr(resume), &reader, &err), &err);
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    while (r->rows < rows || !r->at_commit)
        (void)step(r, reader);
    bare_report(r->rows, r->bytes, began, cpu);
    reader->ops->close(reader);
}

static void make_plan(run *r, fr_plan *plan)
{
    fr_err err;
    const fr_plan_request request = {.create = true};
    *plan = (fr_plan){.arena = r->arena};
    check(r->ops->plan(r->source, &request, plan, &err), &err);
}

static void read_all(run *r)
{
    fr_err err;
    fr_plan plan;
    make_plan(r, &plan);
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    for (size_t i = 0; i < plan.chunk_count; i++) {
        fr_reader *reader;
        check(r->ops->read_chunk(r->source, &plan, &plan.chunks[i], &reader, &err), &err);
        while (step(r, reader) != FR_END)
            continue;
        reader->ops->close(reader);
    }
    bare_report(r->rows, r->bytes, began, cpu);
    r->ops->end_view(r->source);
}

static void position(run *r)
{
    fr_plan plan;
    make_plan(r, &plan);
    fr_buf b = {.ptr = NULL};
    fr_buf_json(&b, plan.stream_from);
    printf("{\"resume\": %.*s}\n", (int)b.len, (char *)b.ptr);
    fr_buf_free(&b);
    r->ops->end_view(r->source);
}

int main(int argc, char **argv)
{
    static run r;
    fr_err err;
    bool stream = argc > 6 && strcmp(argv[1], "stream") == 0;
    if (argc < 5)
        bare_die("usage",
                 "no_kafka stream|snapshot|position TYPE TABLES [ROWS RESUME] KEY=VALUE...");
    r.arena = fr_arena_new(0);
    r.ops = fr_source_of(argv[2]);
    if (r.ops == NULL)
        bare_die("no connector", argv[2]);
    r.settings = (fr_source_settings){.pipeline = "bench",
                                      .name = "bench",
                                      .type = argv[2],
                                      .prefix = "bench",
                                      .heartbeat_us = 10000000,
                                      .max_row_bytes = 16 << 20};
    int first = stream ? 6 : 4;
    set_tables(&r, argv[3]);
    set_options(&r, argv + first, argc - first);
    open_encoder(&r);
    check(r.ops->open(&r.settings, &r.source, &err), &err);
    if (stream)
        follow(&r, strtoull(argv[4], NULL, 10), argv[5]);
    else if (strcmp(argv[1], "snapshot") == 0)
        read_all(&r);
    else
        position(&r);
    fflush(stdout);
    r.ops->close(r.source);
    fr_batch_free(r.batch);
    fr_encoder_free(r.encoder);
    fr_registry_close(r.registry);
    fr_router_free(r.router);
    nftw(r.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
