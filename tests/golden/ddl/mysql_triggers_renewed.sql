-- ders of source shop, by freshet 0.1.0. Nothing here was run.
-- What the change table holds stays. Run it in one go with ALTER TABLE where that can be: stop freshet first, and
-- start it then. It reads all rows of the table once more (op r), since changes made in between did
-- not have the new columns.
SET NAMES utf8mb4;

-- Triggers keep the mode in which they are made: each value that the table has fits, also 0000-00-00.
SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION';
-- Where a GRANT could make an account (before MySQL 8.0), it must not:
SET SESSION sql_mode = IF(@@version LIKE '%MariaDB%' OR @@version + 0 < 8,
    CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'NO_AUTO_CREATE_USER'), @@sql_mode);

-- Writers wait until the tables are unlocked.
LOCK TABLES `shop`.`or
ders` WRITE, `shop`.`freshet_changes_or
ders` WRITE;
ALTER TABLE `shop`.`freshet_changes_or
ders`
    MODIFY COLUMN `o_id` bigint unsigned NULL,
    MODIFY COLUMN `n_id` bigint unsigned NULL COMMENT 'since 3',
    MODIFY COLUMN `o_q"``'uote` varchar(20) CHARACTER SET latin1 NULL,
    MODIFY COLUMN `n_q"``'uote` varchar(20) CHARACTER SET latin1 NULL COMMENT 'since 1',
    ADD COLUMN `o_a name that alone is as long as names may be, with quotes "``` varchar(20) CHARACTER SET latin1 NULL,
    ADD COLUMN `n_a name that alone is as long as names may be, with quotes "``` varchar(20) CHARACTER SET latin1 NULL COMMENT 'since 3',
    MODIFY COLUMN `n_gone` bigint unsigned NULL COMMENT 'until 2',
    COMMENT='freshet changes 1: shape 3, 681ac9e266629d2a';
DROP TRIGGER IF EXISTS `shop`.`freshet_i_or
ders`;
CREATE TRIGGER `shop`.`freshet_i_or
ders` AFTER INSERT ON `shop`.`or
ders`
    FOR EACH ROW INSERT INTO `shop`.`freshet_changes_or
ders` SET `freshet_op` = 'i', `freshet_at` = UTC_TIMESTAMP(6), `n_id` = NEW.`id`, `n_q"``'uote` = NEW.`q"``'uote`, `n_a name that alone is as long as names may be, with quotes "``` = NEW.`a name that alone is as long as names may be, with quotes "```, `freshet_shape` = 3;
DROP TRIGGER IF EXISTS `shop`.`freshet_u_or
ders`;
CREATE TRIGGER `shop`.`freshet_u_or
ders` AFTER UPDATE ON `shop`.`or
ders`
    FOR EACH ROW INSERT INTO `shop`.`freshet_changes_or
ders` SET `freshet_op` = 'u', `freshet_at` = UTC_TIMESTAMP(6), `o_id` = OLD.`id`, `n_id` = NEW.`id`, `o_q"``'uote` = OLD.`q"``'uote`, `n_q"``'uote` = NEW.`q"``'uote`, `o_a name that alone is as long as names may be, with quotes "``` = OLD.`a name that alone is as long as names may be, with quotes "```, `n_a name that alone is as long as names may be, with quotes "``` = NEW.`a name that alone is as long as names may be, with quotes "```, `freshet_shape` = 3;
DROP TRIGGER IF EXISTS `shop`.`freshet_d_or
ders`;
CREATE TRIGGER `shop`.`freshet_d_or
ders` AFTER DELETE ON `shop`.`or
ders`
    FOR EACH ROW INSERT INTO `shop`.`freshet_changes_or
ders` SET `freshet_op` = 'd', `freshet_at` = UTC_TIMESTAMP(6), `o_id` = OLD.`id`, `o_q"``'uote` = OLD.`q"``'uote`, `o_a name that alone is as long as names may be, with quotes "``` = OLD.`a name that alone is as long as names may be, with quotes "```, `freshet_shape` = 3;
UNLOCK TABLES;

-- Whether the triggers are there, who may not change triggers cannot ask (it takes the right TRIGGER).
DROP FUNCTION IF EXISTS `shop`.`freshet_changes_or
ders`;
CREATE FUNCTION `shop`.`freshet_changes_or
ders`() RETURNS TEXT CHARACTER SET utf8mb4 READS SQL DATA SQL SECURITY DEFINER RETURN CONCAT(
    COALESCE((SELECT GROUP_CONCAT(CONCAT(EVENT_MANIPULATION, ' ', SUBSTRING_INDEX(ACTION_STATEMENT, ' = ', -1))
        ORDER BY CONCAT(EVENT_MANIPULATION) SEPARATOR ',') FROM information_schema.TRIGGERS
        WHERE EVENT_OBJECT_SCHEMA = 'shop' AND EVENT_OBJECT_TABLE = _utf8mb4 X'6F720A64657273' AND TRIGGER_NAME IN (_utf8mb4 X'667265736865745F695F6F720A64657273', _utf8mb4 X'667265736865745F755F6F720A64657273', _utf8mb4 X'667265736865745F645F6F720A64657273')), ''), ';',
    (SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS
        WHERE CONSTRAINT_SCHEMA = 'shop' AND TABLE_NAME = _utf8mb4 X'6F720A64657273'
        AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
            OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))));

-- Whoever writes the table needs no right on the change table: triggers have those of their definer, who is
-- whoever runs this, and must stay.
-- The dsn tells no more of the account than its name: correct the host if it is another.
GRANT SELECT ON `shop`.`or
ders` TO `fre``shet`@'%';
GRANT SELECT, DELETE ON `shop`.`freshet_changes_or
ders` TO `fre``shet`@'%';
GRANT EXECUTE ON FUNCTION `shop`.`freshet_changes_or
ders` TO `fre``shet`@'%';
