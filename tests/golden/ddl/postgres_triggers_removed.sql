-- ders of source shop, by freshet 0.1.0. Nothing here was run.
-- Changes that are not published yet are lost with it: let freshet publish all, then stop it, and take
-- the table out of the configuration.
SET client_encoding = 'UTF8';
BEGIN;

DROP TRIGGER IF EXISTS "!freshet_changes" ON "shop"."or
ders";
DROP TRIGGER IF EXISTS "!freshet_truncate" ON "shop"."or
ders";
DROP FUNCTION IF EXISTS "shop"."freshet_changes_or
ders"();
-- With it go its rights and its sequence.
DROP TABLE "shop"."freshet_changes_or
ders";

-- If freshet reads the table in no other way:
-- REVOKE SELECT ON "shop"."or
-- ders" FROM "fre""shet";

COMMIT;
