-- ders of source shop, by freshet 0.1.0. Nothing here was run.
-- Changes that are not published yet are lost with it: let freshet publish all, then stop it, and take
-- the table out of the configuration.
SET NAMES utf8mb4;

DROP TRIGGER IF EXISTS `shop`.`freshet_i_or
ders`;
DROP TRIGGER IF EXISTS `shop`.`freshet_u_or
ders`;
DROP TRIGGER IF EXISTS `shop`.`freshet_d_or
ders`;
-- The first if freshet reads the table in no other way.
-- The dsn tells no more of the account than its name: correct the host if it is another.
-- REVOKE SELECT ON `shop`.`or
-- ders` FROM `fre``shet`@'%';
REVOKE SELECT, DELETE ON `shop`.`freshet_changes_or
ders` FROM `fre``shet`@'%';
REVOKE EXECUTE ON FUNCTION `shop`.`freshet_changes_or
ders` FROM `fre``shet`@'%';
DROP FUNCTION IF EXISTS `shop`.`freshet_changes_or
ders`;
DROP TABLE `shop`.`freshet_changes_or
ders`;
