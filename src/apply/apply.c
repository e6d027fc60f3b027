#include "apply/apply.h"
#include "apply/internal.h"

#define MEMBER_FENCED "kafka.member_fenced"
enum { REPLACED_AGAIN_US = 60000000 };

static void end_run(fr_apply *a)
{
    atomic_store(&a->run_over, true);
    pthread_mutex_lock(&a->lock);
    pthread_cond_broadcast(&a->drained);
    pthread_mutex_unlock(&a->lock);
}

typedef struct writer_job {
    fr_apply *a;
    bool over; /* under the lock */
    fr_rc rc;
    fr_err err;
} writer_job;

static void *writer_thread(void *context)
{
    writer_job *job = context;
    pthread_setname_np(pthread_self(), "writer");
    fr_cancel_by(&job->a->runner.abandoned);
    job->rc = writer_run(job->a->writer, &job->err);
    if (job->rc == FR_FAIL) {
        end_run(job->a);
        fr_queue_close(job->a->decoded);
    }
    pthread_mutex_lock(&job->a->lock);
    job->over = true;
    pthread_cond_broadcast(&job->a->drained);
    pthread_mutex_unlock(&job->a->lock);
    return NULL;
}

/* Until the writer has ended, or must be ended: then the target is told to leave its statement.
 * That may wait itself where the target hangs, so it is no job for the thread that asks. */
static void await_writer(fr_apply *a, const writer_job *job)
{
    pthread_mutex_lock(&a->lock);
    while (!job->over && !atomic_load(&a->runner.abandoned))
        pthread_cond_wait(&a->drained, &a->lock);
    bool over = job->over;
    pthread_mutex_unlock(&a->lock);
    if (!over)
        a->sink->ops->interrupt(a->sink);
}

/* The consumer runs on the sink's own thread, the writer on a second one. */
static fr_rc run_threads(fr_apply *a, fr_err *err)
{
    pthread_t thread;
    writer_job job = {.a = a, .rc = FR_OK};
    FR_TRY(fr_thread_start(&thread, writer_thread, &job, err));
    fr_rc rc = consume_run(a, err);
    fr_queue_close(a->decoded);
    if (rc == FR_FAIL)
        end_run(a);
    await_writer(a, &job);
    pthread_join(thread, NULL);
    for (fr_batch *b; (b = fr_queue_take(a->decoded, 0)) != NULL;) {
        fr_pool_give(a->pool, b);
        pthread_mutex_lock(&a->lock);
        a->uncommitted--;
        pthread_mutex_unlock(&a->lock);
    }
    if (job.rc == FR_FAIL && (rc != FR_FAIL || err->kind == FR_ERR_CANCELLED)) {
        *err = job.err;
        rc = FR_FAIL;
    }
    return rc;
}

static fr_rc open_all(fr_apply *a, fr_err *err)
{
    fr_registry *registry;
    fr_sink *sink;
    FR_TRY(fr_registry_open(a->s.registry, &registry, err));
    pthread_mutex_lock(&a->lock);
    a->registry = registry;
    pthread_mutex_unlock(&a->lock);
    FR_TRY(a->s.ops->open(a->s.sink, &sink, err));
    pthread_mutex_lock(&a->lock);
    a->sink = sink;
    pthread_mutex_unlock(&a->lock);
    if (a->s.sink->errors_mode == FR_ERRORS_DLQ && sink->ops->park == NULL)
        return fr_fail(err, FR_ERR_CONFIG, "errors.mode dlq: this sink cannot keep parked keys");
    return consume_open(a, err);
}

static void close_all(fr_apply *a)
{
    atomic_store(&a->run_over, true); /* closing the consumer revokes: nothing to wait for */
    pthread_mutex_lock(&a->lock);
    fr_consumer *consumer = a->consumer;
    fr_registry *registry = a->registry;
    fr_sink *sink = a->sink;
    a->consumer = NULL;
    a->registry = NULL;
    a->sink = NULL;
    pthread_mutex_unlock(&a->lock);
    fr_consumer_close(consumer);
    fr_decoder_free(a->decoder);
    a->decoder = NULL;
    fr_shaper_free(a->shaper);
    a->shaper = NULL;
    if (sink != NULL)
        sink->ops->close(sink);
    fr_registry_close(registry);
    fr_arena_free(a->advisory_arena);
    a->advisory_arena = NULL;
    a->advisory = (fr_offsets){0};
}

static size_t pool_batches(const fr_apply *a)
{
    int64_t n = a->s.memory / (3 << 20);
    return n < 3 ? 3 : n > 64 ? 64 : (size_t)n;
}

/* Another joined the group under our name. A broker that was restarted may make two of one, so
 * we join once more; where that is a second process, it does the same, and the first of the two
 * that is replaced again goes. */
static fr_rc replaced(fr_apply *a, fr_err *err)
{
    int64_t now = fr_now_us();
    bool again = a->replaced_us != 0 && now - a->replaced_us < REPLACED_AGAIN_US;
    a->replaced_us = now;
    if (!again)
        err->kind = FR_ERR_BUSY;
    return FR_FAIL;
}

static fr_rc run_once(void *context, fr_err *err)
{
    fr_apply *a = context;
    a->uncommitted = a->partitions = 0;
    atomic_store(&a->run_over, false);
    a->pool = fr_pool_new(pool_batches(a), 4096, 1 << 20);
    a->decoded = fr_queue_new(fr_pool_size(a->pool));
    a->writer = writer_new(a);
    fr_rc rc = open_all(a, err);
    if (rc == FR_OK && !stopping(a)) {
        FR_TELL(&a->s.observer, state, FR_STATE_STREAMING, NULL);
        rc = run_threads(a, err);
    }
    close_all(a);
    writer_free(a->writer);
    a->writer = NULL;
    fr_queue_free(a->decoded);
    fr_pool_free(a->pool);
    return rc == FR_FAIL && strcmp(err->code, MEMBER_FENCED) == 0 ? replaced(a, err) : rc;
}

/* A topic that its source has not made yet comes by itself. */
static bool topic_missing(const fr_err *err)
{
    return strcmp(err->code, "kafka.topic.missing") == 0;
}

/* A sink that was fenced lost its partitions to another member of its group: joining again
 * is the way to learn which ones are ours now (R30). Unless a second process goes by our own
 * name: then one of the two must go, and it is us. */
static bool passes(const fr_err *err)
{
    return (err->kind == FR_ERR_FENCED && strcmp(err->code, MEMBER_FENCED) != 0) ||
           topic_missing(err);
}

fr_apply *fr_apply_start(const fr_apply_settings *settings)
{
    fr_apply *a = fr_malloc(sizeof(*a));
    a->s = *settings;
    snprintf(a->who, sizeof(a->who), "sink %s", settings->sink->name);
    pthread_mutex_init(&a->lock, NULL);
    fr_cond_init(&a->drained);
    a->holds = fr_holds_new(a->who, &a->s.observer);
    a->runner = (fr_runner){.thread_name = "consumer",
                            .who = a->who,
                            .observer = &a->s.observer,
                            .run = run_once,
                            .passes = passes,
                            .awaited = topic_missing,
                            .context = a};
    fr_runner_start(&a->runner);
    return a;
}

void fr_apply_stop(fr_apply *a)
{
    fr_runner_stop(&a->runner);
    pthread_mutex_lock(&a->lock);
    if (a->consumer != NULL)
        fr_consumer_interrupt(a->consumer);
    pthread_mutex_unlock(&a->lock);
}

void fr_apply_abandon(fr_apply *a)
{
    fr_runner_abandon(&a->runner);
    fr_apply_stop(a);
    pthread_mutex_lock(&a->lock);
    pthread_cond_broadcast(&a->drained);
    if (a->registry != NULL)
        fr_registry_interrupt(a->registry);
    pthread_mutex_unlock(&a->lock);
}

void fr_apply_hold(fr_apply *a, fr_str topic, fr_str why)
{
    fr_arena *arena = fr_arena_new(1024);
    const fr_cause cause = {.code = FR_HELD_OPERATOR,
                            .why = fr_arena_cstr(arena, why),
                            .partition = -1,
                            .operators = true};
    fr_holds_put(a->holds, topic, &cause);
    fr_arena_free(arena);
}

void fr_apply_release(fr_apply *a, fr_str topic)
{
    fr_holds_ask(a->holds, topic);
}

bool fr_apply_done(fr_apply *a, bool *failed_out, fr_err *err_out)
{
    return fr_runner_done(&a->runner, failed_out, err_out);
}

void fr_apply_free(fr_apply *a)
{
    if (a == NULL)
        return;
    fr_apply_stop(a);
    fr_runner_end(&a->runner);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->drained);
    fr_holds_free(a->holds);
    free(a);
}
