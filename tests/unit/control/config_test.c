/* The configuration: the example that is shipped, then one case a problem (tests/cases/config). */
#include "control/config.h"
#include "tests/unit/connectors.h"
#include "tests/unit/test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loaded {
    fr_rc rc;
    fr_config *config;
    fr_problem *problems;
    size_t count;
    fr_arena *arena;
} loaded;

static loaded load(const char *name, fr_config_flags flags)
{
    loaded l = {.arena = fr_arena_new(0)};
    fr_err err;
    l.rc = fr_config_load(name, &scripted_connectors, &flags, l.arena, &l.problems, &l.count,
                          &l.config, &err);
    if (l.rc == FR_FAIL)
        assert_int_equal(err.kind, FR_ERR_CONFIG);
    return l;
}

static void unload(loaded *l)
{
    if (l->rc == FR_OK)
        fr_config_free(l->config);
    fr_arena_free(l->arena);
}

static void example_is_understood(void **state)
{
    (void)state;
    loaded l = load(FR_SOURCE_DIR "/examples/freshet.yaml", (fr_config_flags){.offline = true});
    for (size_t i = 0; i < l.count; i++)
        print_error("%s %s\n", l.problems[i].code, l.problems[i].text);
    assert_int_equal(l.rc, FR_OK);
    assert_int_equal(l.count, 0);
    const fr_config *c = l.config;
    assert_string_equal(c->name, "legacy-erp");
    assert_int_equal(c->daemon.memory, 256 * 1024 * 1024);
    assert_int_equal(c->daemon.log_format, FR_LOG_LOGFMT);
    assert_true(c->kafka.exactly_once);
    assert_int_equal(c->kafka.brokers.count, 2);
    assert_int_equal(c->kafka.max_time_us, 500000);
    assert_int_equal(c->kafka.topic_partitions, 6);
    assert_string_equal(c->kafka.topic_config.items[0].name, "cleanup.policy");
    assert_int_equal(c->kafka.properties.count, 4);
    assert_int_equal(c->registry.compatibility, FR_COMPAT_BACKWARD);
    assert_int_equal(c->source_count, 1);
    const fr_source_settings *s = &c->sources[0];
    const struct scripted_config *own = s->connector;
    assert_string_equal(own->slot, "freshet_erp");
    assert_int_equal(own->retained_limit, 50000000000);
    assert_string_equal(s->prefix, "erp");
    assert_int_equal(s->heartbeat_us, 10000000);
    assert_int_equal(s->throttle_connections, 6);
    const fr_table_settings *t = fr_source_match(s, FR_STR("public"), FR_STR("orders"));
    assert_non_null(t);
    assert_string_equal(t->topic, "erp.orders");
    assert_int_equal(t->schema_compat, FR_COMPAT_FULL_TRANSITIVE);
    assert_int_equal(t->errors_mode, FR_ERRORS_STOP);
    assert_string_equal(t->errors_topic, "freshet.legacy-erp.dlq");
    assert_int_equal(t->snapshot_chunk, 20000);
    assert_int_equal(t->pii.count, 2);
    assert_null(fr_source_match(s, FR_STR("audit"), FR_STR("log")));
    assert_null(fr_source_match(s, FR_STR("public"), FR_STR("other")));
    assert_int_equal(c->sink_count, 1);
    assert_int_equal(c->sinks[0].batch_rows, 5000);
    assert_int_equal(c->sinks[0].deletes, 1);
    assert_int_equal(c->sinks[0].add_column, FR_CHANGE_EVOLVE);
    assert_int_equal(fr_sink_match(&c->sinks[0], FR_STR("erp.orders")), 0);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
