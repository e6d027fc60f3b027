/* Publishers, consumers and admin calls by hand, for tests/real/kafka_test.py: settings as
 * arguments, then one command a line on stdin, one reply a line on stdout:
 *     ok ...        or        fail KIND code text | hint
 */
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "kafka/admin.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include "kafka/publish.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ARGS = 16, MAX_NAMES = 8 };

typedef struct named {
    char name[32];
    fr_publisher *publisher;
    fr_consumer *consumer;
    fr_batch *batch;
    fr_checkpoint *checkpoint;
} named;

static fr_kafka_settings settings = {.pipeline = "probe",
                                     .exactly_once = true,
                                     .max_events = 20000,
                                     .max_bytes = 16 << 20,
                                     .max_time_us = 500000,
                                     .topics_create = FR_WHEN_RUN,
                                     .memory = 16 << 20,
                                     .max_row_bytes = 16 << 20};
static named all[MAX_NAMES];

static named *find(const char *name)
{
    for (size_t i = 0; i < MAX_NAMES; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    for (size_t i = 0; i < MAX_NAMES; i++) {
        if (all[i].name[0] == '\0') {
            snprintf(all[i].name, sizeof(all[i].name), "%s", name);
            return &all[i];
        }
    }
    fprintf(stderr, "too many names\n");
    exit(2);
}

static void ok(const char *text)
{
    printf("ok %s\n", text);
}

static void failed(const fr_err *err)
{
    printf("fail %s %s %s | %s\n", fr_err_kind_name(err->kind),
           err->code[0] == '\0' ? "-" : err->code, err->text, fr_err_hint(err));
}

static void add_pair(fr_pairs *pairs, char *text)
{
    char *value = strchr(text, '=');
    pairs->items = fr_realloc(pairs->items, (pairs->count + 1) * sizeof(*pairs->items));
    *value = '\0';
    pairs->items[pairs->count++] = (fr_pair){text, value + 1};
}

static void add_text(fr_texts *texts, const char *text)
{
    texts->items = fr_realloc(texts->items, (texts->count + 1) * sizeof(*texts->items));
    texts->items[texts->count++] = text;
}

static void set_option(const char *name, char *value)
{
    if (strcmp(name, "brokers") == 0) {
        add_text(&settings.brokers, value);
    } else if (strcmp(name, "property") == 0) {
        add_pair(&settings.properties, value);
    } else if (strcmp(name, "config") == 0) {
        add_pair(&settings.topic_config, value);
    } else if (strcmp(name, "accept") == 0) {
        add_text(&settings.accept_risk, value);
    } else if (strcmp(name, "pipeline") == 0) {
        settings.pipeline = value;
    } else if (strcmp(name, "delivery") == 0) {
        settings.exactly_once = strcmp(value, "exactly-once") == 0;
    } else if (strcmp(name, "create") == 0) {
        settings.topics_create = strcmp(value, "run") == 0     ? FR_WHEN_RUN
                                 : strcmp(value, "never") == 0 ? FR_WHEN_NEVER
                                                               : FR_WHEN_APPLY;
    } else if (strcmp(name, "partitions") == 0) {
        settings.topic_partitions = strtoll(value, NULL, 10);
    } else if (strcmp(name, "replication") == 0) {
        settings.topic_replication = strtoll(value, NULL, 10);
    } else if (strcmp(name, "partitioner") == 0) {
        settings.partitioner = strcmp(value, "payload") != 0;
    } else if (strcmp(name, "max-time-ms") == 0) {
        settings.max_time_us = strtoll(value, NULL, 10) * 1000;
    } else if (strcmp(name, "max-row-bytes") == 0) {
        settings.max_row_bytes = strtoll(value, NULL, 10);
    } else if (strcmp(name, "memory") == 0) {
        settings.memory = strtoll(value, NULL, 10);
    } else if (strcmp(name, "insecure") == 0) {
        settings.insecure = true;
    } else if (strcmp(name, "log") == 0) {
        fr_log_setup(FR_LOG_DEBUG, FR_LOG_LOGFMT);
    } else {
        fprintf(stderr, "no option %s\n", name);
        exit(2);
    }
}

/* ---- publishers ---- */

/* open NAME SOURCE INSTANCE -> the checkpoint as JSON */
static void do_open(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    if (fr_publisher_open(&settings, v[2], v[3], NULL, &n->publisher, &n->checkpoint, &err) ==
        FR_FAIL) {
        failed(&err);
        return;
    }
    fr_arena *a = fr_arena_new(0);
    n->batch = fr_batch_new(1 << 20, 64 << 20);
    fr_str json = fr_checkpoint_json(a, n->checkpoint);
    printf("ok %.*s\n", FR_ARG(json));
    fr_arena_free(a);
}

/* size 0: the payload as it is; else so many bytes that do not compress. */
static void add_message(named *n, const char *topic, const char *key, const char *payload,
                        size_t size)
{
    fr_message *m = fr_batch_message(n->batch);
    m->topic = fr_arena_str(n->batch->arena, fr_cstr(topic));
    if (strcmp(key, "-") != 0) {
        m->key = fr_arena_str(n->batch->arena, fr_cstr(key));
        m->partition_hash = fr_murmur2(key, strlen(key));
    }
    m->everywhere = strcmp(payload, "everywhere") == 0;
    if (size > 0) {
        char *p = fr_arena_raw(n->batch->arena, size);
        uint32_t seed = 12345;
        for (size_t i = 0; i < size; i++) { /* does not compress */
            seed = seed * 1103515245u + 12345u;
            p[i] = (char)('!' + (seed >> 16) % 94);
        }
        m->payload = (fr_str){p, size};
    } else if (strcmp(payload, "-") != 0) {
        m->payload = fr_arena_str(n->batch->arena, fr_cstr(payload));
    }
}

static void produced(named *n, size_t from)
{
    fr_err err;
    size_t at = 0;
    if (fr_publisher_produce(n->publisher, n->batch, from, n->batch->message_count, &at, &err) ==
        FR_FAIL) {
        printf("message %zu: ", at - from);
        failed(&err);
        return;
    }
    ok("");
}

/* produce NAME TOPIC KEY PAYLOAD ("-": none; "everywhere": to each partition) */
static void do_produce(char **v)
{
    named *n = find(v[1]);
    size_t from = n->batch->message_count;
    add_message(n, v[2], v[3], v[4], 0);
    produced(n, from);
}

/* big NAME TOPIC SIZE: three messages, the one in the middle of SIZE bytes */
static void do_big(char **v)
{
    named *n = find(v[1]);
    size_t from = n->batch->message_count;
    add_message(n, v[2], "a", "small", 0);
    add_message(n, v[2], "b", "", (size_t)strtoull(v[3], NULL, 10));
    add_message(n, v[2], "c", "small", 0);
    produced(n, from);
}

/* bulk NAME TOPIC COUNT SIZE */
static void do_bulk(char **v)
{
    named *n = find(v[1]);
    size_t from = n->batch->message_count;
    size_t count = strtoull(v[3], NULL, 10), size = strtoull(v[4], NULL, 10);
    char key[24];
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%zu", i % 1000);
        add_message(n, v[2], key, "", size);
    }
    produced(n, from);
}

/* record NAME RESUME */
static void do_record(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    fr_arena *a = fr_arena_new(0);
    fr_end *ends;
    size_t count;
    fr_publisher_ends(n->publisher, a, &ends, &count);
    fr_record r = fr_checkpoint_stream(a, false, fr_cstr(v[2]), NULL, ends, count, fr_wall_us());
    fr_rc rc = fr_publisher_begin(n->publisher, &err);
    rc = rc == FR_OK ? fr_publisher_record(n->publisher, &r, &err) : rc;
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        failed(&err);
        return;
    }
    ok("");
}

/* fact NAME TOPIC ID PARTITIONS END: a forged record, as if another incarnation had been */
static void do_fact(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    fr_arena *a = fr_arena_new(0);
    fr_topic_fact fact = {fr_cstr(v[2]), fr_cstr(strcmp(v[3], "-") == 0 ? "" : v[3]),
                          (int32_t)strtol(v[4], NULL, 10), FR_STR("payload"), 0};
    fr_end end = {fr_cstr(v[2]), 0, strtoll(v[5], NULL, 10)};
    fr_record one = fr_checkpoint_topic_fact(a, &fact), two = fr_checkpoint_ends(a, &end, 1);
    fr_rc rc = fr_publisher_begin(n->publisher, &err);
    rc = rc == FR_OK ? fr_publisher_record(n->publisher, &one, &err) : rc;
    rc = rc == FR_OK && end.offset > 0 ? fr_publisher_record(n->publisher, &two, &err) : rc;
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        failed(&err);
        return;
    }
    ok("");
}

static void do_commit(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    const fr_end *ends;
    size_t count;
    if (fr_publisher_commit(n->publisher, &ends, &count, &err) == FR_FAIL) {
        failed(&err);
        return;
    }
    printf("ok");
    for (size_t i = 0; i < count; i++) {
        printf(" %.*s/%d=%lld", FR_ARG(ends[i].topic), (int)ends[i].partition,
               (long long)ends[i].offset);
    }
    printf("\n");
    fr_batch_reset(n->batch);
}

static void do_abort(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    if (fr_publisher_abort(n->publisher, &err) == FR_FAIL) {
        failed(&err);
        return;
    }
    fr_batch_reset(n->batch);
    ok("");
}

static void do_topic(char **v)
{
    fr_err err;
    int32_t partitions = 0;
    if (fr_publisher_topic(find(v[1])->publisher, fr_cstr(v[2]), &partitions, &err) == FR_FAIL) {
        failed(&err);
        return;
    }
    printf("ok %d\n", (int)partitions);
}

static void do_close(char **v)
{
    named *n = find(v[1]);
    fr_publisher_close(n->publisher);
    fr_consumer_close(n->consumer);
    fr_batch_free(n->batch);
    fr_checkpoint_free(n->checkpoint);
    memset(n, 0, sizeof(*n));
    ok("");
}

static void do_stats(char **v)
{
    fr_publish_stats s;
    fr_publisher_stats(find(v[1])->publisher, &s);
    printf("ok messages=%llu bytes=%llu transactions=%llu queued=%llu\n",
           (unsigned long long)s.messages, (unsigned long long)s.bytes,
           (unsigned long long)s.transactions, (unsigned long long)s.queued);
}

static void *give_up_soon(void *flag)
{
    fr_sleep_us(700000);
    atomic_store((atomic_bool *)flag, true);
    return NULL;
}

/* interrupted NAME: a commit that is interrupted after 0.7 s, and how long it took */
static void do_interrupted(char **v)
{
    pthread_t thread;
    named *n = find(v[1]);
    fr_err err;
    const fr_end *ends;
    size_t count;
    int64_t start = fr_now_us();
    atomic_bool given_up = false;
    pthread_create(&thread, NULL, give_up_soon, &given_up);
    fr_cancel_by(&given_up);
    fr_rc rc = fr_publisher_commit(n->publisher, &ends, &count, &err);
    pthread_join(thread, NULL);
    fr_cancel_by(NULL);
    printf("after %lld ms: ", (long long)((fr_now_us() - start) / 1000));
    if (rc == FR_FAIL) {
        failed(&err);
    } else {
        ok("committed");
    }
}

/* speed NAME TOPIC SECONDS ROWS SIZE: transactions of ROWS messages */
static void do_speed(char **v)
{
    named *n = find(v[1]);
    fr_err err;
    size_t rows = strtoull(v[4], NULL, 10), size = strtoull(v[5], NULL, 10), at;
    uint64_t total = 0, transactions = 0;
    const fr_end *ends;
    size_t count;
    char key[24];
    fr_batch_reset(n->batch);
    for (size_t i = 0; i < rows; i++) {
        snprintf(key, sizeof(key), "k%zu", i % 1000);
        add_message(n, v[2], key, "", size);
    }
    int64_t start = fr_now_us(), end = start + strtoll(v[3], NULL, 10) * 1000000;
    while (fr_now_us() < end) {
        if (fr_publisher_produce(n->publisher, n->batch, 0, rows, &at, &err) == FR_FAIL ||
            fr_publisher_commit(n->publisher, &ends, &count, &err) == FR_FAIL) {
            failed(&err);
            return;
        }
        total += rows;
        transactions++;
    }
    double s = (double)(fr_now_us() - start) / 1e6;
    printf("ok %.0f messages/s, %.1f transactions/s, %.3f ms each\n", (double)total / s,
           (double)transactions / s, s * 1000 / (double)transactions);
}

/* ---- consumers ---- */

static fr_rc on_assigned(void *context, fr_offsets *offsets, fr_err *err)
{
    const char *next = context; /* offset where each begins; "-1": not known */
    (void)err;
    for (size_t i = 0; i < offsets->count; i++) {
        offsets->items[i].next = strtoll(next, NULL, 10);
    }
    return FR_OK;
}

/* consume NAME GROUP|- START(0|1) NEXT TOPIC...: opens */
static void do_consume(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    static char next[8][24];
    static int used;
    char *mine = next[used++ % 8];
    snprintf(mine, sizeof(next[0]), "%s", v[4]);
    size_t count = 0;
    while (v[5 + count] != NULL) {
        count++;
    }
    fr_consumer_settings s = {.kafka = &settings,
                              .group = strcmp(v[2], "-") == 0 ? NULL : v[2],
                              .topics = (const char *const *)(v + 5),
                              .topic_count = count,
                              .assigned = on_assigned,
                              .context = mine,
                              .start = v[3][0] == '1'};
    if (fr_consumer_open(&s, &n->consumer, &err) == FR_FAIL) {
        failed(&err);
        return;
    }
    n->batch = fr_batch_new(1 << 20, 256 << 20);
    ok("");
}

/* read NAME SECONDS: to the end of all partitions; prints topic/partition@offset=key:payload */
static void do_read(char **v)
{
    fr_err err;
    named *n = find(v[1]);
    int64_t deadline = fr_now_us() + (int64_t)(strtod(v[2], NULL) * 1e6);
    fr_batch_reset(n->batch);
    do {
        if (fr_consume(n->consumer, n->batch, fr_now_us() + 200000, &err) == FR_FAIL) {
            failed(&err);
            return;
        }
    } while (!fr_consumer_at_end(n->consumer) && fr_now_us() < deadline);
    printf("ok end=%d lag=%lld n=%zu", fr_consumer_at_end(n->consumer),
           (long long)fr_consumer_lag(n->consumer), n->batch->message_count);
    for (size_t i = 0; i < n->batch->message_count && n->batch->message_count < 200; i++) {
        const fr_message *m = &n->batch->messages[i];
        fr_str shown = m->payload.len > 40 ? FR_STR("(long)") : m->payload;
        printf(" %.*s/%d@%lld=%.*s:%.*s", FR_ARG(m->topic), (int)m->partition, (long long)m->offset,
               FR_ARG(m->key), FR_ARG(shown));
        for (size_t h = 0; h < m->header_count; h++) {
            printf(";%s=%.*s", m->headers[h].name, FR_ARG(m->headers[h].value));
        }
    }
    printf("\n");
}

/* committed NAME TOPIC PARTITION NEXT */
static void do_committed(char **v)
{
    fr_offset o = {fr_cstr(v[2]), (int32_t)strtol(v[3], NULL, 10), strtoll(v[4], NULL, 10), ""};
    fr_offsets offsets = {&o, 1};
    fr_consumer_committed(find(v[1])->consumer, &offsets);
    ok("");
}

/* heartbeat NAME SECONDS: a slow target */
static void do_heartbeat(char **v)
{
    fr_err err;
    int64_t deadline = fr_now_us() + (int64_t)(strtod(v[2], NULL) * 1e6);
    while (fr_now_us() < deadline) {
        if (fr_consumer_heartbeat(find(v[1])->consumer, &err) == FR_FAIL) {
            failed(&err);
            return;
        }
        fr_sleep_us(100000);
    }
    ok("");
}

/* ---- admin and dead letters ---- */

static void print_findings(const fr_findings *f)
{
    static const char MARK[] = {'=', '~', '!', '+'};
    printf("ok");
    for (size_t i = 0; i < f->count; i++) {
        printf(" [%c %s %.*s]", MARK[f->items[i].severity], f->items[i].code,
               FR_ARG(f->items[i].text));
    }
    printf("\n");
}

static fr_rc run_admin(fr_admin *a, char **v, fr_findings *f, fr_err *err)
{
    int32_t partitions = 0;
    fr_checkpoint *c = NULL;
    fr_rc rc = FR_FAIL;
    if (strcmp(v[1], "check") == 0) {
        rc = fr_admin_check(a, f, err);
    } else if (strcmp(v[1], "topic") == 0) {
        rc = fr_admin_check_topic(a, v[2], v[3] != NULL && strcmp(v[3], "ours") == 0,
                                  v[3] != NULL && strcmp(v[3], "nokey") == 0, f, err);
    } else if (strcmp(v[1], "create") == 0) {
        rc = fr_admin_create_topic(a, v[2], v[3] != NULL, err);
        fr_findings_add(f, FR_FINE, rc == FR_END ? "there" : "created", "%s", v[2]);
    } else if (strcmp(v[1], "partitions") == 0) {
        rc = fr_admin_partitions(a, v[2], &partitions, err);
        fr_findings_add(f, FR_FINE, rc == FR_END ? "none" : "partitions", "%d", (int)partitions);
    } else {
        rc = fr_admin_checkpoint(a, v[2], &c, err);
        if (rc == FR_OK) {
            fr_str json = fr_checkpoint_json(f->arena, c);
            fr_findings_add(f, FR_FINE, "checkpoint", "%.*s", FR_ARG(json));
            fr_checkpoint_free(c);
        } else {
            fr_findings_add(f, FR_FINE, "none", "-");
        }
    }
    return rc;
}

/* admin check | topic T [ours|nokey] | create T [ours] | partitions T | checkpoint SOURCE */
static void do_admin(char **v)
{
    fr_err err;
    fr_admin *a;
    fr_findings f = {.arena = fr_arena_new(0)};
    int64_t start = fr_now_us();
    if (fr_admin_open(&settings, &a, &err) == FR_FAIL) {
        failed(&err);
    } else {
        if (run_admin(a, v, &f, &err) == FR_FAIL) {
            printf("after %lld ms: ", (long long)((fr_now_us() - start) / 1000));
            failed(&err);
        } else {
            print_findings(&f);
        }
        fr_admin_close(a);
    }
    fr_arena_free(f.arena);
}

/* dlq TOPIC KEY PAYLOAD REASON */
static void do_dlq(char **v)
{
    fr_err err;
    fr_dlq *d;
    fr_header h = {"freshet.zero", FR_STR("at")};
    fr_message m = {.topic = FR_STR("erp.public.orders"),
                    .partition = 3,
                    .offset = 17,
                    .key = fr_cstr(v[2]),
                    .payload = fr_cstr(v[3]),
                    .headers = &h,
                    .header_count = 1};
    if (fr_dlq_open(&settings, v[1], &d, &err) == FR_FAIL) {
        failed(&err);
        return;
    }
    if (fr_dlq_put(d, "sink warehouse", &m, v[4], true, &err) == FR_FAIL ||
        fr_dlq_flush(d, &err) == FR_FAIL) {
        failed(&err);
    } else {
        ok("");
    }
    fr_dlq_close(d);
}

static void do_library(char **v)
{
    const char *why;
    (void)v;
    bool weak = fr_kafka_library_weak(&why);
    printf("ok %s %s %s\n", fr_kafka_library(), weak ? "weak" : "fine", why);
}

static const struct {
    const char *name;
    int args;
    void (*run)(char **v);
} COMMANDS[] = {
    {"open", 4, do_open},
    {"produce", 5, do_produce},
    {"big", 4, do_big},
    {"bulk", 5, do_bulk},
    {"record", 3, do_record},
    {"fact", 6, do_fact},
    {"commit", 2, do_commit},
    {"abort", 2, do_abort},
    {"topic", 3, do_topic},
    {"close", 2, do_close},
    {"stats", 2, do_stats},
    {"interrupted", 2, do_interrupted},
    {"speed", 6, do_speed},
    {"consume", 6, do_consume},
    {"read", 3, do_read},
    {"committed", 5, do_committed},
    {"heartbeat", 3, do_heartbeat},
    {"admin", 2, do_admin},
    {"dlq", 5, do_dlq},
    {"library", 1, do_library},
};

static void run(char *line)
{
    char *v[MAX_ARGS + 1] = {NULL};
    int n = 0;
    for (char *rest = NULL, *word = strtok_r(line, " \n", &rest); word != NULL && n < MAX_ARGS;
         word = strtok_r(NULL, " \n", &rest)) {
        v[n++] = word;
    }
    for (size_t i = 0; n > 0 && i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
        if (strcmp(COMMANDS[i].name, v[0]) == 0 && n >= COMMANDS[i].args) {
            COMMANDS[i].run(v);
            fflush(stdout);
            return;
        }
    }
    printf("no such command\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    fr_log_setup(FR_LOG_WARN, FR_LOG_LOGFMT);
    for (int i = 1; i + 1 < argc; i += 2) {
        set_option(argv[i] + 2, argv[i + 1]);
    }
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        run(line);
    }
    free(line);
    free(settings.brokers.items);
    free(settings.properties.items);
    free(settings.topic_config.items);
    free(settings.accept_risk.items);
    return 0;
}
