-- Polled; freshet deletes what it has published.
-- Rows that are not published yet are lost with it: end the writers, and stop freshet when it has
-- published all. Then take the table out of the configuration.
SET NAMES utf8mb4;

-- The dsn tells no more of the account than its name: correct the host if it is another.
REVOKE SELECT, DELETE ON `shop`.`out``"; box` FROM `fre``shet`@'%';
-- For the account that writes it, before the table is dropped (rights outlive it):
-- REVOKE INSERT ON `shop`.`out``"; box` FROM 'application'@'%';

DROP TABLE `shop`.`out``"; box`;
DROP PROCEDURE `shop`.`freshet_contract_out``"; box`;
