/* DDL of capture by triggers for MySQL and MariaDB. Each statement stands for itself there; so the
 * triggers change under a lock that keeps writers out: no change falls between two sets of them. */
#include "connect/ddl.h"
#include "connectors/mysql/my_query_parts.h"
#include <inttypes.h>

enum { PARTS_MYSQL = 50604, PARTS_MARIADB = 50300 };

typedef struct maker {
    fr_buf *b;
    fr_arena *a;
    const fr_ddl_triggers *o;
    bool parts;                       /* times have parts of a second */
    fr_str table, log, tell, account; /* quoted; tell: the function; account empty: not known */
} maker;

typedef struct event {
    char letter;
    const char *name, *prefix;
    bool before, after;
} event;

static const event events[] = {{'i', "INSERT", "freshet_i_", false, true},
                               {'u', "UPDATE", "freshet_u_", true, true},
                               {'d', "DELETE", "freshet_d_", true, false}};
enum { EVENTS = 3 };

static fr_str quoted(const maker *m, fr_str name)
{
    return fr_my_ident(m->a, name);
}

static fr_str trigger_name(const maker *m, const event *e)
{
    return fr_triggers_name(m->a, e->prefix, m->o->name);
}

static fr_str trigger(const maker *m, const event *e)
{
    return fr_my_qualified(m->a, m->o->space, trigger_name(m, e));
}

/* ---- the change table ---- */

static void put_new_log(const maker *m)
{
    fr_buf_printf(m->b, "CREATE TABLE %.*s (\n", FR_ARG(m->log));
    fr_buf_printf(m->b,
                  "    `" FR_TRIGGERS_ID "` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,\n"
                  "    `" FR_TRIGGERS_OP "` CHAR(1) CHARACTER SET ascii NOT NULL,\n"
                  "    `" FR_TRIGGERS_AT "` DATETIME%s NOT NULL,\n"
                  "    `" FR_TRIGGERS_SHAPE "` INT NOT NULL",
                  m->parts ? "(6)" : "");
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        fr_str before = quoted(m, c->before), after = quoted(m, c->after);
        fr_buf_printf(m->b, ",\n    %.*s %.*s NULL, %.*s %.*s NULL", FR_ARG(before),
                      FR_ARG(c->type), FR_ARG(after), FR_ARG(c->type));
    }
    fr_buf_printf(m->b, "\n) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT=%.*s;\n\n",
                  FR_ARG(fr_my_literal(m->a, m->o->label)));
}

static void put_old_log(const maker *m)
{
    fr_buf_printf(m->b, "ALTER TABLE %.*s", FR_ARG(m->log));
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        bool gone = c->news == FR_TRIGGERS_GONE;
        const char *verb = c->news == FR_TRIGGERS_ADDED ? "ADD" : "MODIFY";
        fr_str before = quoted(m, c->before), after = quoted(m, c->after);
        if (c->news == FR_TRIGGERS_SAME)
            continue;
        if (!gone)
            fr_buf_printf(m->b, "\n    %s COLUMN %.*s %.*s NULL,", verb, FR_ARG(before),
                          FR_ARG(c->type));
        fr_buf_printf(m->b, "\n    %s COLUMN %.*s %.*s NULL COMMENT '%s %" PRId64 "',", verb,
                      FR_ARG(after), FR_ARG(c->type), gone ? "until" : "since",
                      gone ? m->o->shape - 1 : c->since);
    }
    fr_buf_printf(m->b, "\n    COMMENT=%.*s;\n", FR_ARG(fr_my_literal(m->a, m->o->label)));
}

/* ---- the triggers ---- */

/* One statement, so that no DELIMITER is needed. The shape is the last: the function reads it
 * there. */
static void put_trigger(const maker *m, const event *e)
{
    fr_str name = trigger(m, e);
    if (m->o->again)
        fr_buf_printf(m->b, "DROP TRIGGER IF EXISTS %.*s;\n", FR_ARG(name));
    fr_buf_printf(m->b,
                  "CREATE TRIGGER %.*s AFTER %s ON %.*s\n    FOR EACH ROW INSERT INTO %.*s SET "
                  "`" FR_TRIGGERS_OP "` = '%c', `" FR_TRIGGERS_AT "` = UTC_TIMESTAMP%s",
                  FR_ARG(name), e->name, FR_ARG(m->table), FR_ARG(m->log), e->letter,
                  m->parts ? "(6)" : "()");
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        if (c->news == FR_TRIGGERS_GONE)
            continue;
        fr_str of = quoted(m, c->name), before = quoted(m, c->before), after = quoted(m, c->after);
        if (e->before)
            fr_buf_printf(m->b, ", %.*s = OLD.%.*s", FR_ARG(before), FR_ARG(of));
        if (e->after)
            fr_buf_printf(m->b, ", %.*s = NEW.%.*s", FR_ARG(after), FR_ARG(of));
    }
    fr_buf_printf(m->b, ", `" FR_TRIGGERS_SHAPE "` = %" PRId64 ";\n", m->o->shape);
}

static void put_function(const maker *m)
{
    fr_str space = fr_my_literal(m->a, m->o->space), name = fr_my_literal(m->a, m->o->name);
    fr_buf_text(m->b,
                "-- Whether the triggers are there, who may not change triggers cannot ask (it "
                "takes the right TRIGGER).\n");
    if (m->o->again)
        fr_buf_printf(m->b, "DROP FUNCTION IF EXISTS %.*s;\n", FR_ARG(m->tell));
    fr_buf_printf(m->b,
                  "CREATE FUNCTION %.*s() RETURNS TEXT CHARACTER SET utf8mb4 READS SQL DATA SQL "
                  "SECURITY DEFINER RETURN CONCAT(\n"
                  "    COALESCE((SELECT GROUP_CONCAT(CONCAT(EVENT_MANIPULATION, ' ', "
                  "SUBSTRING_INDEX(ACTION_STATEMENT, ' = ', -1))\n"
                  "        ORDER BY CONCAT(EVENT_MANIPULATION) SEPARATOR ',') FROM "
                  "information_schema.TRIGGERS\n"
                  "        WHERE EVENT_OBJECT_SCHEMA = %.*s AND EVENT_OBJECT_TABLE = %.*s AND "
                  "TRIGGER_NAME IN (",
                  FR_ARG(m->tell), FR_ARG(space), FR_ARG(name));
    for (size_t i = 0; i < EVENTS; i++)
        fr_buf_printf(m->b, "%s%.*s", i > 0 ? ", " : "",
                      FR_ARG(fr_my_literal(m->a, trigger_name(m, &events[i]))));
    fr_buf_printf(m->b,
                  ")), ''), ';',\n"
                  "    (SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS\n"
                  "        WHERE CONSTRAINT_SCHEMA = %.*s AND TABLE_NAME = %.*s\n"
                  "        AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')\n"
                  "            OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))));\n\n",
                  FR_ARG(space), FR_ARG(name));
}

/* ---- rights, and all of it ---- */

/* Rights outlive what they are of. That to read the table freshet may have for something else. */
static void put_rights(const maker *m, const char *verb, const char *to)
{
    bool known = m->account.len > 0;
    fr_str who = known ? m->account : FR_STR("'freshet'@'%'");
    fr_str table = fr_arena_printf(m->a, "%s SELECT ON %.*s %s %.*s;\n", verb, FR_ARG(m->table), to,
                                   FR_ARG(who));
    fr_str rest = fr_arena_printf(m->a,
                                  "%s SELECT, DELETE ON %.*s %s %.*s;\n"
                                  "%s EXECUTE ON FUNCTION %.*s %s %.*s;\n",
                                  verb, FR_ARG(m->log), to, FR_ARG(who), verb, FR_ARG(m->tell), to,
                                  FR_ARG(who));
    fr_buf_text(m->b, known ? "-- The dsn tells no more of the account than its name: correct the "
                              "host if it is another.\n"
                            : "-- The dsn names no user: put in freshet's account.\n");
    if (known && !m->o->remove)
        fr_buf_str(m->b, table);
    else
        fr_ddl_comment(m->b, table);
    if (known)
        fr_buf_str(m->b, rest);
    else
        fr_ddl_comment(m->b, rest);
}

static void put_all(const maker *m)
{
    fr_buf_text(m->b, "-- Triggers keep the mode in which they are made: each value that the table "
                      "has fits, also 0000-00-00.\n"
                      "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,"
                      "NO_ENGINE_SUBSTITUTION';\n");
    fr_buf_text(m->b, fr_my_ddl_no_new_accounts);
    fr_buf_u8(m->b, '\n');
    if (!m->o->again)
        put_new_log(m);
    fr_buf_printf(m->b,
                  "-- Writers wait until the tables are unlocked.\nLOCK TABLES %.*s WRITE, %.*s "
                  "WRITE;\n",
                  FR_ARG(m->table), FR_ARG(m->log));
    if (m->o->again)
        put_old_log(m);
    for (size_t i = 0; i < EVENTS; i++)
        put_trigger(m, &events[i]);
    fr_buf_text(m->b, "UNLOCK TABLES;\n\n");
    put_function(m);
    fr_buf_text(m->b,
                "-- Whoever writes the table needs no right on the change table: triggers "
                "have those of their definer, who is\n-- whoever runs this, and must stay.\n");
    put_rights(m, "GRANT", "TO");
}

static void put_removal(const maker *m)
{
    for (size_t i = 0; i < EVENTS; i++)
        fr_buf_printf(m->b, "DROP TRIGGER IF EXISTS %.*s;\n", FR_ARG(trigger(m, &events[i])));
    fr_buf_text(m->b, "-- The first if freshet reads the table in no other way.\n");
    put_rights(m, "REVOKE", "FROM");
    fr_buf_printf(m->b, "DROP FUNCTION IF EXISTS %.*s;\nDROP TABLE %.*s;\n", FR_ARG(m->tell),
                  FR_ARG(m->log));
}

fr_rc fr_my_put_triggers(fr_sql *base, fr_buf *b, const fr_ddl_triggers *o, fr_err *err)
{
    const fr_my *my = base == NULL ? NULL : ((fr_my_sql *)base)->my;
    fr_arena *a = fr_arena_new(0);
    fr_str log = fr_my_qualified(a, o->space, o->log);
    (void)err;
    maker m = {.b = b,
               .a = a,
               .o = o,
               .parts = my != NULL && my->version >= (my->mariadb ? PARTS_MARIADB : PARTS_MYSQL),
               .table = fr_my_qualified(a, o->space, o->name),
               .log = log,
               .tell = log,
               .account = fr_my_ddl_account(a, o->source)};
    fr_ddl_triggers_head(b, o);
    fr_buf_text(b, "SET NAMES utf8mb4;\n\n");
    if (o->remove)
        put_removal(&m);
    else
        put_all(&m);
    fr_arena_free(a);
    return FR_OK;
}
