-- Read from the log; the application deletes its rows.
-- Rows that are not published yet are lost with it: end the writers, and stop freshet when it has
-- published all. Then take the table out of the configuration.
SET client_encoding = 'UTF8';
BEGIN;

-- With the table go its rights, its sequence and its place in the publication.
DROP TABLE "public"."out`""; box";
DROP FUNCTION "public"."freshet_contract_out`""; box"();

-- If freshet reads nothing else of this schema:
-- REVOKE USAGE ON SCHEMA "public" FROM "fre""shet";

COMMIT;
