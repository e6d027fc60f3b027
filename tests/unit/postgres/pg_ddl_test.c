/* The DDL of an outbox, word for word. */
#include "connectors/postgres/pg_query.h"
#include "connectors/postgres/wal_source.h"
#include "tests/unit/connect/ddl_contract.h"
#include <stdlib.h>

static fr_err err;

typedef struct fixture {
    fr_wal_config config;
    fr_source_settings source;
    fr_table_settings table;
    fr_ddl_outbox o;
    fr_buf out;
} fixture;

static int set_up(void **state)
{
    fixture *f = fr_malloc(sizeof *f);
    f->config = (fr_wal_config){.dsn = "host=db user=fre\"shet", .publication = "p\"ub"};
    f->source = (fr_source_settings){.name = "shop", .connector = &f->config};
    f->table = (fr_table_settings){.outbox = {.on = true, .id = "id", .payload = "bo\"dy"}};
    f->o = (fr_ddl_outbox){.source = &f->source,
                           .settings = &f->table,
                           .space = FR_STR("public"),
                           .name = FR_STR("out\nbox")};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_buf_free(&f->out);
    free(f);
    return 0;
}

static fr_str text(fixture *f)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_free(&f->out);
    assert_ok(fr_ddl_outbox_columns(a, &f->o, NULL, 0, &err));
    assert_ok(fr_postgres_sql.put_outbox(&f->out, &f->o, &err));
    fr_arena_free(a);
    return fr_buf_view(&f->out);
}

static void assert_has(fr_str got, const char *part)
{
    if (memmem(got.ptr, got.len, part, strlen(part)) == NULL) {
        print_error("\"%s\" is not in\n%.*s\n", part, FR_ARG(got));
        fail();
    }
}

static void polled(void **state)
{
    fixture *f = *state;
    f->table.method = FR_METHOD_OUTBOX;
    f->table.outbox.clean_up = true;
    assert_str(
        text(f),
        "-- Makes outbox public.out\n-- box of source shop, by freshet " FR_VERSION
        ". Nothing here was run.\n"
        "-- Polled; freshet deletes what it has published.\n"
        "-- Where such a table is there already this fails, and changes nothing: look whether it "
        "is the one.\n"
        "SET client_encoding = 'UTF8';\nBEGIN;\n\n"
        "CREATE TABLE \"public\".\"out\nbox\" (\n"
        "    \"id\" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- header id, and the order\n"
        "    \"bo\"\"dy\" bytea, -- the message's value; NULL: a tombstone\n"
        "    \"created\" timestamptz NOT NULL DEFAULT now() -- when, for people\n"
        ") WITH (\n"
        "    autovacuum_vacuum_scale_factor = 0,\n"
        "    autovacuum_vacuum_threshold = 1000,\n"
        "    autovacuum_analyze_scale_factor = 0,\n"
        "    autovacuum_analyze_threshold = 10000,\n"
        "    toast.autovacuum_vacuum_scale_factor = 0,\n"
        "    toast.autovacuum_vacuum_threshold = 1000\n);\n\n"
        "GRANT USAGE ON SCHEMA \"public\" TO \"fre\"\"shet\";\n"
        "GRANT SELECT, DELETE ON \"public\".\"out\nbox\" TO \"fre\"\"shet\";\n"
        "-- For the role that writes it (numbers need no right of their own):\n"
        "-- GRANT USAGE ON SCHEMA \"public\" TO application;\n"
        "-- GRANT INSERT ON \"public\".\"out\n-- box\" TO application;\n"
        "\nCOMMIT;\n\n"
        "-- An event, in the transaction that it is about. bytea is any format as it is; jsonb "
        "would rewrite it.\n"
        "-- INSERT INTO \"public\".\"out\n-- box\" (\"bo\"\"dy\")\n"
        "-- VALUES (convert_to('{\"id\": 42}', 'UTF8'));\n");
}

static void rows_that_stay(void **state)
{
    fixture *f = *state;
    f->table.method = FR_METHOD_OUTBOX;
    f->table.poll_column = "n";
    fr_str got = text(f);
    assert_has(got, "\"n\" bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- the order");
    assert_has(got, "\"id\" uuid PRIMARY KEY, -- header id\n");
    assert_has(got, ")\n");
    assert_has(got, "\nGRANT SELECT ON ");
    assert_has(got,
               "-- INSERT INTO \"public\".\"out\n-- box\" (\"id\", \"bo\"\"dy\")\n-- VALUES ('7b");
    assert_null(memmem(got.ptr, got.len, "autovacuum", 10));
    assert_null(memmem(got.ptr, got.len, "PUBLICATION", 11));
}

static void from_the_log(void **state)
{
    fixture *f = *state;
    assert_has(text(f), "\nALTER PUBLICATION \"p\"\"ub\" ADD TABLE \"public\".\"out\nbox\";\n");
    f->config.publication = NULL; /* the usual one may not be there yet */
    assert_has(text(f), "\n-- ALTER PUBLICATION \"freshet_shop\" ADD TABLE \"public\".\"out\n"
                        "-- box\";\n");
    f->config.dsn = "${env:DSN}"; /* was not resolved */
    fr_str got = text(f);
    assert_has(got, "\n-- The dsn names no role: put in freshet's.\n"
                    "-- GRANT USAGE ON SCHEMA \"public\" TO freshets_role;\n"
                    "-- GRANT SELECT ON \"public\".\"out\n-- box\" TO freshets_role;\n");
}

static void removed(void **state)
{
    fixture *f = *state;
    f->o.remove = true;
    fr_str got = text(f);
    assert_has(got, "BEGIN;\n\n-- With the table go its rights, its sequence and its place in the "
                    "publication.\nDROP TABLE \"public\".\"out\nbox\";\n"
                    "-- If it was made with --contract:\n"
                    "-- DROP FUNCTION \"public\".\"freshet_contract_out\n-- box\"();\n");
    assert_has(got, "-- REVOKE USAGE ON SCHEMA \"public\" FROM \"fre\"\"shet\";\n\nCOMMIT;\n");
}

/* The column's name is in the function's body, and does not end it. */
static void of_a_contract(void **state)
{
    fixture *f = *state;
    f->o.contract = &record_node;
    f->o.name = FR_STR("out`\"; box");
    f->table.outbox.payload = "bo\"dy$freshet$ $freshet0$";
    text(f);
    sql_is_golden("postgres_contract_made", &f->out);
    f->o.remove = true;
    text(f);
    sql_is_golden("postgres_contract_removed", &f->out);
}

static void long_names(void **state)
{
    fixture *f = *state;
    fr_arena *a = fr_arena_new(0);
    char name[65];
    memset(name, 'n', sizeof(name) - 1);
    name[64] = 0;
    f->table.outbox.key = name;
    assert_ok(fr_ddl_outbox_columns(a, &f->o, NULL, 0, &err));
    assert_fails(fr_postgres_sql.put_outbox(&f->out, &f->o, &err), FR_ERR_CONFIG);
    f->table.outbox.key = name + 1;
    assert_has(text(f), name + 1);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(polled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_that_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(from_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_a_contract, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
