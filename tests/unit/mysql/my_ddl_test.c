/* The DDL of an outbox, word for word. */
#include "connectors/mysql/binlog_source.h"
#include "connectors/mysql/my_query.h"
#include "tests/unit/connect/ddl_contract.h"
#include <stdlib.h>

static fr_err err;

typedef struct fixture {
    fr_binlog_config config;
    fr_source_settings source;
    fr_table_settings table;
    fr_ddl_outbox o;
    fr_buf out;
} fixture;

static int set_up(void **state)
{
    fixture *f = fr_malloc(sizeof *f);
    f->config = (fr_binlog_config){.dsn = "mysql://fre%60shet@db/shop"};
    f->source = (fr_source_settings){.name = "shop", .connector = &f->config};
    f->table = (fr_table_settings){
        .method = FR_METHOD_OUTBOX,
        .outbox = {.on = true, .id = "id", .payload = "bo`dy", .clean_up = true}};
    f->o = (fr_ddl_outbox){.source = &f->source,
                           .settings = &f->table,
                           .space = FR_STR("shop"),
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

static fr_rc write_it(fixture *f)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_free(&f->out);
    assert_ok(fr_ddl_outbox_columns(a, &f->o, NULL, 0, &err));
    fr_rc rc = fr_mysql_sql.put_outbox(&f->out, &f->o, &err);
    fr_arena_free(a);
    return rc;
}

static void polled(void **state)
{
    fixture *f = *state;
    assert_ok(write_it(f));
    assert_str(
        fr_buf_view(&f->out),
        "-- Makes outbox shop.out\n-- box of source shop, by freshet " FR_VERSION
        ". Nothing here was run.\n"
        "-- Polled; freshet deletes what it has published.\n"
        "-- Where such a table is there already this fails, and changes nothing: look whether it "
        "is the one.\n"
        "SET NAMES utf8mb4;\n\n"
        "CREATE TABLE `shop`.`out\nbox` (\n"
        "    `id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, -- header id, and the "
        "order\n"
        "    `bo``dy` LONGBLOB NULL, -- the message's value; NULL: a tombstone\n"
        "    `created` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP -- when, for people\n"
        ") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;\n"
        "-- MySQL before 8.0 and MariaDB before 10.2.4 begin to count anew when an empty table's "
        "server is restarted:\n"
        "-- ids come again there. Consumers must not take them for unique.\n\n"
        "-- Where a GRANT could make an account (before MySQL 8.0), it must not:\n"
        "SET SESSION sql_mode = IF(@@version LIKE '%MariaDB%' OR @@version + 0 < 8,\n"
        "    CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'NO_AUTO_CREATE_USER'), @@sql_mode);\n"
        "-- The dsn tells no more of the account than its name: correct the host if it is "
        "another.\n"
        "GRANT SELECT, DELETE ON `shop`.`out\nbox` TO `fre``shet`@'%';\n"
        "-- For the account that writes it:\n"
        "-- GRANT INSERT ON `shop`.`out\n-- box` TO 'application'@'%';\n"
        "\n-- An event, in the transaction that it is about. LONGBLOB is any format as it is; JSON "
        "would be rewritten.\n"
        "-- INSERT INTO `shop`.`out\n-- box` (`bo``dy`)\n"
        "-- VALUES ('{\"id\": 42}');\n");
}

static void removed(void **state)
{
    fixture *f = *state;
    f->o.remove = true;
    f->table.method = FR_METHOD_LOG;
    f->config.dsn = "${env:DSN}"; /* was not resolved */
    assert_ok(write_it(f));
    assert_str(fr_buf_view(&f->out),
               "-- Removes outbox shop.out\n-- box of source shop, by freshet " FR_VERSION
               ". Nothing here was run.\n"
               "-- Read from the log; the application deletes its rows.\n"
               "-- Rows that are not published yet are lost with it: end the writers, and stop "
               "freshet when it has\n"
               "-- published all. Then take the table out of the configuration.\n"
               "SET NAMES utf8mb4;\n\n"
               "-- The dsn names no user: put in freshet's account.\n"
               "-- REVOKE SELECT ON `shop`.`out\n-- box` FROM 'freshet'@'%';\n"
               "-- For the account that writes it, before the table is dropped (rights outlive "
               "it):\n"
               "-- REVOKE INSERT ON `shop`.`out\n-- box` FROM 'application'@'%';\n"
               "-- REVOKE SELECT, DELETE ON `shop`.`out\n-- box` FROM 'who_deletes'@'%';\n"
               "\nDROP TABLE `shop`.`out\nbox`;\n"
               "-- If it was made with --contract:\n"
               "-- DROP PROCEDURE `shop`.`freshet_contract_out\n-- box`;\n");
}

static void of_a_contract(void **state)
{
    fixture *f = *state;
    f->o.contract = &record_node;
    f->o.name = FR_STR("out`\"; box");
    assert_ok(write_it(f));
    sql_is_golden("mysql_contract_made", &f->out);
    f->o.remove = true;
    assert_ok(write_it(f));
    sql_is_golden("mysql_contract_removed", &f->out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(polled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_a_contract, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
