-- Polled; freshet deletes what it has published.
-- Where such a table is there already this fails, and changes nothing: look whether it is the one.
SET NAMES utf8mb4;

-- Needs MySQL 8.0.4 or MariaDB 10.2.7: on older ones this fails, and nothing is made.
DO JSON_VALID(REGEXP_REPLACE('{}', 'x', ''));
-- Literals are read in this mode, and what is made keeps it.
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';

-- Refuses a payload that does not fit the contract; NULL, a tombstone, does.
DELIMITER $$
CREATE PROCEDURE `shop`.`freshet_contract_out``"; box`(IN t LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    NO SQL
BEGIN
DECLARE bad, s, r LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
DECLARE v0, w0 JSON;
DECLARE i0, n0 BIGINT DEFAULT 0;
DECLARE v1, w1 JSON;
DECLARE i1, n1 BIGINT DEFAULT 0;
DECLARE v2, w2 JSON;
DECLARE i2, n2 BIGINT DEFAULT 0;
IF t IS NOT NULL THEN
IF JSON_VALID(t) THEN
    SET s = REPLACE(t, '\\\\', '');
    IF s REGEXP '\\\\u0000' THEN
        SET bad = 'it has \\u0000';
    ELSEIF s REGEXP '\\\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])' THEN
        SET bad = 'it has a letter, a digit or _ as \\u00...';
    ELSEIF REGEXP_REPLACE(s, '\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}', '')
        REGEXP '\\\\u[dD][89a-fA-F]' THEN
        SET bad = 'it has half of a surrogate pair';
    ELSEIF s REGEXP '\\\\[^"/bfnrtu]' THEN
        SET bad = 'it is no JSON';
    ELSE
        SET v0 = t;
        SET s = REGEXP_REPLACE(REPLACE(s, '\\"', ''), '"[^"]*"', '');
        SET r = REPLACE(REPLACE(CONCAT(v0, ''), '\\\\', ''), '\\"', '');
        SET r = REGEXP_REPLACE(r, '"[^"]*"', '');
        IF LENGTH(s) - LENGTH(REPLACE(s, ':', '')) <> LENGTH(r) - LENGTH(REPLACE(r, ':', '')) THEN
            SET bad = 'it has a name twice';
        ELSEIF s REGEXP '[0-9]{201}|[eE][+-]?[0-9]{5}' THEN
            SET bad = 'it has a number of too many digits';
        END IF;
    END IF;
ELSE
    SET bad = 'it is no JSON';
END IF;
IF bad IS NULL THEN
b0: BEGIN
IF JSON_TYPE(v0) NOT IN ('OBJECT') THEN SET bad = CONCAT('it must be an object');
LEAVE b0; END IF;
IF JSON_LENGTH(v0) <> 0 + JSON_CONTAINS_PATH(v0, 'one', '$."t"') + JSON_CONTAINS_PATH(v0, 'one', '$."m"') + JSON_CONTAINS_PATH(v0, 'one', '$."u"') THEN SET bad = CONCAT('it has a member that the contract does not name, or one twice');
LEAVE b0; END IF;
SET v1 = JSON_EXTRACT(v0, '$."t"');
IF v1 IS NOT NULL THEN
b1: BEGIN
IF JSON_TYPE(v1) IN ('NULL') THEN LEAVE b1; END IF;
IF JSON_TYPE(v1) NOT IN ('STRING') THEN SET bad = CONCAT('t must be a or b');
LEAVE b1; END IF;
IF CONVERT(JSON_UNQUOTE(v1) USING utf8mb4) COLLATE utf8mb4_bin NOT REGEXP '^(?:a|b)\\z' THEN SET bad = CONCAT('t must be a or b');
LEAVE b1; END IF;
END b1;
END IF;
IF bad IS NOT NULL THEN LEAVE b0; END IF;
SET v1 = JSON_EXTRACT(v0, '$."m"');
IF v1 IS NULL THEN SET bad = CONCAT('m is missing');
LEAVE b0; END IF;
b2: BEGIN
IF JSON_TYPE(v1) NOT IN ('OBJECT') THEN SET bad = CONCAT('m must be an object');
LEAVE b2; END IF;
IF JSON_LENGTH(v1) <> COALESCE(JSON_LENGTH(JSON_KEYS(v1)), 0) THEN SET bad = CONCAT('m has a name twice');
LEAVE b2; END IF;
SET w2 = JSON_EXTRACT(v1, '$.*');
SET n2 = COALESCE(JSON_LENGTH(w2), 0);
SET i2 = 0;
WHILE i2 < n2 DO
SET v2 = JSON_EXTRACT(w2, CONCAT('$[', i2, ']'));
b3: BEGIN
IF JSON_TYPE(v2) NOT IN ('INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL') THEN SET bad = CONCAT('m[*] must be a number');
LEAVE b3; END IF;
IF CONVERT(JSON_UNQUOTE(v2) USING utf8mb4) COLLATE utf8mb4_bin NOT REGEXP '^(?:-?[0-9]{1,200}(?:[.][0-9]{1,200})?(?:[eE][+-]?[0-9]{1,4})?)\\z' THEN SET bad = CONCAT('m[*] must be a number');
LEAVE b3; END IF;
IF ABS(JSON_UNQUOTE(v2) + 0e0) > 1e9 THEN SET bad = CONCAT('m[*] must be a number');
LEAVE b3; END IF;
END b3;
IF bad IS NOT NULL THEN LEAVE b2; END IF;
SET i2 = i2 + 1;
END WHILE;
END b2;
IF bad IS NOT NULL THEN LEAVE b0; END IF;
SET v1 = JSON_EXTRACT(v0, '$."u"');
IF v1 IS NULL THEN SET bad = CONCAT('u is missing');
LEAVE b0; END IF;
b4: BEGIN
SET bad = NULL;
b5: BEGIN
IF JSON_TYPE(v1) NOT IN ('BOOLEAN') THEN SET bad = CONCAT('u must be true or false');
LEAVE b5; END IF;
END b5;
IF bad IS NULL THEN LEAVE b4; END IF;
SET bad = NULL;
b6: BEGIN
IF JSON_TYPE(v1) NOT IN ('ARRAY') THEN SET bad = CONCAT('u must be an array');
LEAVE b6; END IF;
SET n2 = JSON_LENGTH(v1);
SET i2 = 0;
WHILE i2 < n2 DO
SET v2 = JSON_EXTRACT(v1, CONCAT('$[', i2, ']'));
b7: BEGIN
IF JSON_TYPE(v2) NOT IN ('INTEGER', 'UNSIGNED INTEGER') THEN SET bad = CONCAT('u[', i2, '] must be a whole number');
LEAVE b7; END IF;
IF CONVERT(JSON_UNQUOTE(v2) USING utf8mb4) COLLATE utf8mb4_bin NOT REGEXP '^(?:-?(?:0|[1-9][0-9]{0,18}))\\z' THEN SET bad = CONCAT('u[', i2, '] must be a whole number');
LEAVE b7; END IF;
IF CAST(JSON_UNQUOTE(v2) AS DECIMAL(20)) NOT BETWEEN -5 AND 5 THEN SET bad = CONCAT('u[', i2, '] must be a whole number');
LEAVE b7; END IF;
END b7;
IF bad IS NOT NULL THEN LEAVE b6; END IF;
SET i2 = i2 + 1;
END WHILE;
END b6;
IF bad IS NULL THEN LEAVE b4; END IF;
SET bad = CONCAT('u must be of one of the types of its union');
END b4;
IF bad IS NOT NULL THEN LEAVE b0; END IF;
END b0;
END IF;
END IF;
IF bad IS NOT NULL THEN
SET bad = CONCAT('payload does not fit its contract: ', IF(CHAR_LENGTH(bad) > 90, CONCAT('...', RIGHT(bad, 87)), bad));
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = bad;
END IF;
END $$
DELIMITER ;

CREATE TABLE `shop`.`out``"; box` (
    `id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, -- header id, and the order
    `bo``dy` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, -- the message's value; NULL: a tombstone
    `created` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP -- when, for people
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;
-- MySQL before 8.0 and MariaDB before 10.2.4 begin to count anew when an empty table's server is restarted:
-- ids come again there. Consumers must not take them for unique.

-- Both run with the rights of whoever runs this, who must stay. Where there is a binary log this takes
-- SUPER (or SET_ANY_DEFINER), or log_bin_trust_function_creators.
CREATE TRIGGER `shop`.`freshet_contract_i_out``"; box` BEFORE INSERT ON `shop`.`out``"; box`
    FOR EACH ROW CALL `shop`.`freshet_contract_out``"; box`(NEW.`bo``dy`);
CREATE TRIGGER `shop`.`freshet_contract_u_out``"; box` BEFORE UPDATE ON `shop`.`out``"; box`
    FOR EACH ROW CALL `shop`.`freshet_contract_out``"; box`(NEW.`bo``dy`);

-- Where a GRANT could make an account (before MySQL 8.0), it must not:
SET SESSION sql_mode = IF(@@version LIKE '%MariaDB%' OR @@version + 0 < 8,
    CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'NO_AUTO_CREATE_USER'), @@sql_mode);
-- The dsn tells no more of the account than its name: correct the host if it is another.
GRANT SELECT, DELETE ON `shop`.`out``"; box` TO `fre``shet`@'%';
-- For the account that writes it:
-- GRANT INSERT ON `shop`.`out``"; box` TO 'application'@'%';

-- An event, in the transaction that it is about. LONGTEXT is the text as it is; JSON would be rewritten.
-- INSERT INTO `shop`.`out``"; box` (`bo``dy`)
-- VALUES ('{...}');
