/* Every commit takes one call where the broker answers within a step; a call that timed out is
 * only resumed where librdkafka still knows of it. */
#include "kafka/commit.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/thread.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { STEP_MS = 500 };

struct fr_committer {
    rd_kafka_t *rk;
    pthread_t thread;
    atomic_bool ending;

    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    bool asked, answered;
    rd_kafka_error_t *error;
};

/* librdkafka refuses any other call then. This one does nothing where it is not refused: no
 * offsets, no request. */
bool fr_transactional_call_known(rd_kafka_t *rk)
{
    rd_kafka_consumer_group_metadata_t *nobody = rd_kafka_consumer_group_metadata_new("none");
    rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(0);
    rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(rk, nothing, nobody, 0);
    bool known = error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__CONFLICT;
    rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(nothing);
    rd_kafka_consumer_group_metadata_destroy(nobody);
    return known;
}

static rd_kafka_error_t *commit(fr_committer *c)
{
    for (int ms = FR_FAILPOINT("kafka_commit_short") ? 1 : STEP_MS;; ms = STEP_MS) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(c->rk, ms);
        if (error == NULL || !rd_kafka_error_is_retriable(error) || atomic_load(&c->ending)) {
            return error;
        }
        rd_kafka_error_destroy(error);
        if (!fr_transactional_call_known(c->rk)) {
            return rd_kafka_error_new(RD_KAFKA_RESP_ERR__STATE,
                                      "a commit that timed out cannot be resumed");
        }
    }
}

static void *committer_thread(void *context)
{
    fr_committer *c = context;
    pthread_setname_np(pthread_self(), "committer");
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->ending)) {
        if (!c->asked) {
            fr_cond_wait(&c->wake, &c->lock, INT64_MAX);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
        rd_kafka_error_t *error = commit(c);
        pthread_mutex_lock(&c->lock);
        c->error = error;
        c->asked = false;
        c->answered = true;
        pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void destroy(fr_committer *c)
{
    rd_kafka_error_destroy(c->error);
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

fr_rc fr_committer_start(rd_kafka_t *rk, fr_committer **out, fr_err *err)
{
    fr_committer *c = fr_malloc(sizeof(*c));
    c->rk = rk;
    pthread_mutex_init(&c->lock, NULL);
    fr_cond_init(&c->wake);
    fr_cond_init(&c->done);
    if (fr_thread_start(&c->thread, committer_thread, c, err) == FR_FAIL) {
        destroy(c);
        return FR_FAIL;
    }
    *out = c;
    return FR_OK;
}

void fr_committer_ask(fr_committer *c)
{
    pthread_mutex_lock(&c->lock);
    c->asked = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

bool fr_committer_answer(fr_committer *c, int ms, rd_kafka_error_t **error_out)
{
    int64_t deadline = fr_now_us() + INT64_C(1000) * ms;
    pthread_mutex_lock(&c->lock);
    while (!c->answered && fr_cond_wait(&c->done, &c->lock, deadline)) {
        continue;
    }
    bool answered = c->answered;
    if (answered) {
        *error_out = c->error;
        c->error = NULL;
        c->answered = false;
    }
    pthread_mutex_unlock(&c->lock);
    return answered;
}

void fr_committer_end(fr_committer *c)
{
    if (c == NULL) {
        return;
    }
    atomic_store(&c->ending, true);
    pthread_mutex_lock(&c->lock);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    destroy(c);
}
