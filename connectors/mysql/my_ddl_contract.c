/* What makes MySQL 8.0.4 and MariaDB 10.2.7 and later refuse a payload that does not fit its
 * contract. The same code on both: JSON_SCHEMA_VALID is not everywhere, and says another thing on
 * each. A variable of type JSON is text on MariaDB, and parsed once on MySQL. */
#include "connect/ddl.h"
#include "connect/ddl_triggers.h"
#include "connectors/mysql/my_conn.h"
#include "connectors/mysql/my_query.h"

static const fr_contract_dialect dialect = {
    .begin = "b$l: BEGIN\n",
    .end = "END b$l;\n",
    .leave = "LEAVE b$l; ",
    .set_bad = "SET bad = CONCAT(",
    .clear_bad = "SET bad = NULL;\n",
    .types = {[FR_CONTRACT_NULL] = "'NULL'",
              [FR_CONTRACT_BOOLEAN] = "'BOOLEAN'",
              [FR_CONTRACT_WHOLE] = "'INTEGER', 'UNSIGNED INTEGER'",
              [FR_CONTRACT_REAL] = "'INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL'",
              [FR_CONTRACT_TEXT] = "'STRING'",
              [FR_CONTRACT_RECORD] = "'OBJECT'",
              [FR_CONTRACT_ARRAY] = "'ARRAY'",
              [FR_CONTRACT_MAP] = "'OBJECT'"},
    .type = "JSON_TYPE(v$d)",
    .text = "CONVERT(JSON_UNQUOTE(v$d) USING utf8mb4) COLLATE utf8mb4_bin",
    .whole = "CAST(JSON_UNQUOTE(v$d) AS DECIMAL(20))",
    .real = "JSON_UNQUOTE(v$d) + 0e0",
    .unlike = " NOT REGEXP '^(?:",
    .unlike_end = ")\\\\z'",
    .member = "SET v$d = JSON_EXTRACT(v$p, '$.\"",
    .member_end = "\"');",
    .others = "JSON_LENGTH(v$d) <> 0",
    .others_name = " + JSON_CONTAINS_PATH(v$d, 'one', '$.\"",
    .others_name_end = "\"')",
    .others_between = "",
    .others_end = "",
    .twice = "IF JSON_LENGTH(v$d) <> COALESCE(JSON_LENGTH(JSON_KEYS(v$d)), 0) THEN ",
    .items = "SET n$d = JSON_LENGTH(v$p);\nSET i$d = 0;\nWHILE i$d < n$d DO\n"
             "SET v$d = JSON_EXTRACT(v$p, CONCAT('$[', i$d, ']'));\n",
    .items_end = "SET i$d = i$d + 1;\nEND WHILE;\n",
    .values = "SET w$d = JSON_EXTRACT(v$p, '$.*');\nSET n$d = COALESCE(JSON_LENGTH(w$d), 0);\n"
              "SET i$d = 0;\nWHILE i$d < n$d DO\n"
              "SET v$d = JSON_EXTRACT(w$d, CONCAT('$[', i$d, ']'));\n",
    .values_end = "SET i$d = i$d + 1;\nEND WHILE;\n",
};

/* What some databases or readers take otherwise than others; s is without escaped backslashes.
 * MySQL forgets names that come twice, and the digits of numbers, when it parses: so members are
 * counted by their colons, and long numbers are looked for in the text. */
static const char text_checks[] =
    "IF JSON_VALID(t) THEN\n"
    "    SET s = REPLACE(t, '\\\\\\\\', '');\n"
    "    IF s REGEXP '\\\\\\\\u0000' THEN\n"
    "        SET bad = 'it has \\\\u0000';\n"
    "    ELSEIF s REGEXP '\\\\\\\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])' THEN\n"
    "        SET bad = 'it has a letter, a digit or _ as \\\\u00...';\n"
    "    ELSEIF REGEXP_REPLACE(s, "
    "'\\\\\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\\\\\u[dD][c-fC-F][0-9a-fA-F]{2}', '')\n"
    "        REGEXP '\\\\\\\\u[dD][89a-fA-F]' THEN\n"
    "        SET bad = 'it has half of a surrogate pair';\n"
    "    ELSEIF s REGEXP '\\\\\\\\[^\"/bfnrtu]' THEN\n"
    "        SET bad = 'it is no JSON';\n"
    "    ELSE\n"
    "        SET v0 = t;\n"
    "        SET s = REGEXP_REPLACE(REPLACE(s, '\\\\\"', ''), '\"[^\"]*\"', '');\n"
    "        SET r = REPLACE(REPLACE(CONCAT(v0, ''), '\\\\\\\\', ''), '\\\\\"', '');\n"
    "        SET r = REGEXP_REPLACE(r, '\"[^\"]*\"', '');\n"
    "        IF LENGTH(s) - LENGTH(REPLACE(s, ':', '')) <> LENGTH(r) - LENGTH(REPLACE(r, ':', '')) "
    "THEN\n"
    "            SET bad = 'it has a name twice';\n"
    "        ELSEIF s REGEXP '[0-9]{201}|[eE][+-]?[0-9]{5}' THEN\n"
    "            SET bad = 'it has a number of too many digits';\n"
    "        END IF;\n"
    "    END IF;\n"
    "ELSE\n"
    "    SET bad = 'it is no JSON';\n"
    "END IF;\n";

fr_str fr_my_contract_procedure(fr_arena *a, const fr_ddl_outbox *o)
{
    return fr_my_qualified(a, o->space, fr_triggers_name(a, "freshet_contract_", o->name));
}

static void put_variables(fr_buf *b, unsigned depth)
{
    fr_buf_text(b, "DECLARE bad, s, r LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n");
    for (unsigned i = 0; i < depth; i++)
        fr_buf_printf(b, "DECLARE v%u, w%u JSON;\nDECLARE i%u, n%u BIGINT DEFAULT 0;\n", i, i, i,
                      i);
}

/* No name that could be anything is in the body, so that it holds no delimiter. A message has 128
 * characters. */
void fr_my_put_contract(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o)
{
    fr_str procedure = fr_my_contract_procedure(a, o);
    fr_buf_text(b,
                "-- Needs MySQL 8.0.4 or MariaDB 10.2.7: on older ones this fails, and nothing is "
                "made.\n"
                "DO JSON_VALID(REGEXP_REPLACE('{}', 'x', ''));\n"
                "-- Literals are read in this mode, and what is made keeps it.\n"
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';\n\n"
                "-- Refuses a payload that does not fit the contract; NULL, a tombstone, does.\n"
                "DELIMITER $$\n");
    fr_buf_printf(b,
                  "CREATE PROCEDURE %.*s(IN t LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)\n"
                  "    NO SQL\nBEGIN\n",
                  FR_ARG(procedure));
    put_variables(b, fr_contract_depth(o->contract));
    fr_buf_printf(b, "IF t IS NOT NULL THEN\n%sIF bad IS NULL THEN\n", text_checks);
    fr_contract_put(b, &dialect, o->contract);
    fr_buf_text(b, "END IF;\nEND IF;\nIF bad IS NOT NULL THEN\n"
                   "SET bad = CONCAT('" FR_DDL_MISFIT "', IF(CHAR_LENGTH(bad) > 90, "
                   "CONCAT('...', RIGHT(bad, 87)), bad));\n"
                   "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = bad;\n"
                   "END IF;\nEND $$\nDELIMITER ;\n\n");
}

void fr_my_put_contract_triggers(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o)
{
    static const char *const events[] = {"INSERT", "UPDATE"};
    static const char *const prefixes[] = {"freshet_contract_i_", "freshet_contract_u_"};
    fr_str column = fr_my_ident(a, fr_cstr(o->settings->outbox.payload));
    fr_str table = fr_my_qualified(a, o->space, o->name);
    fr_str procedure = fr_my_contract_procedure(a, o);
    fr_buf_text(b,
                "-- Both run with the rights of whoever runs this, who must stay. Where there is "
                "a binary log this takes\n"
                "-- SUPER (or SET_ANY_DEFINER), or log_bin_trust_function_creators.\n");
    for (size_t i = 0; i < 2; i++) {
        fr_str name = fr_my_qualified(a, o->space, fr_triggers_name(a, prefixes[i], o->name));
        fr_buf_printf(b,
                      "CREATE TRIGGER %.*s BEFORE %s ON %.*s\n"
                      "    FOR EACH ROW CALL %.*s(NEW.%.*s);\n",
                      FR_ARG(name), events[i], FR_ARG(table), FR_ARG(procedure), FR_ARG(column));
    }
    fr_buf_u8(b, '\n');
}
