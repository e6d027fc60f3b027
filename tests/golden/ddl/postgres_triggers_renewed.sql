-- ders of source shop, by freshet 0.1.0. Nothing here was run.
-- What the change table holds stays. Run it in one go with ALTER TABLE where that can be: stop freshet first, and
-- start it then. It reads all rows of the table once more (op r), since changes made in between did
-- not have the new columns.
SET client_encoding = 'UTF8';
BEGIN;

-- Writers wait until this transaction ends.
LOCK TABLE "shop"."or
ders" IN SHARE ROW EXCLUSIVE MODE;

COMMENT ON COLUMN "shop"."freshet_changes_or
ders"."n_id" IS 'since 3';
ALTER TABLE "shop"."freshet_changes_or
ders" ALTER COLUMN "o_q""`'uote" TYPE character varying(20) USING "o_q""`'uote"::character varying(20);
ALTER TABLE "shop"."freshet_changes_or
ders" ALTER COLUMN "n_q""`'uote" TYPE character varying(20) USING "n_q""`'uote"::character varying(20);
COMMENT ON COLUMN "shop"."freshet_changes_or
ders"."n_q""`'uote" IS 'since 1';
ALTER TABLE "shop"."freshet_changes_or
ders" ADD COLUMN IF NOT EXISTS "o_a name that alone is as long as names may be, with quotes ""`" character varying(20);
ALTER TABLE "shop"."freshet_changes_or
ders" ADD COLUMN IF NOT EXISTS "n_a name that alone is as long as names may be, with quotes ""`" character varying(20);
COMMENT ON COLUMN "shop"."freshet_changes_or
ders"."n_a name that alone is as long as names may be, with quotes ""`" IS 'since 3';
COMMENT ON COLUMN "shop"."freshet_changes_or
ders"."n_gone" IS 'until 2';
COMMENT ON TABLE "shop"."freshet_changes_or
ders" IS 'freshet changes 1: shape 3, 6416dd5276eb9b4b';

CREATE OR REPLACE FUNCTION "shop"."freshet_changes_or
ders"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet0$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "o_id", "n_id", "o_q""`'uote", "n_q""`'uote", "o_a name that alone is as long as names may be, with quotes ""`", "n_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('u', pg_catalog.clock_timestamp(), 3, OLD."id", NEW."id", OLD."q""`'uote", NEW."q""`'uote", OLD."a name that alone is as long as names may be, with quotes ""`", NEW."a name that alone is as long as names may be, with quotes ""`");
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "n_id", "n_q""`'uote", "n_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('i', pg_catalog.clock_timestamp(), 3, NEW."id", NEW."q""`'uote", NEW."a name that alone is as long as names may be, with quotes ""`");
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "o_id", "o_q""`'uote", "o_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('d', pg_catalog.clock_timestamp(), 3, OLD."id", OLD."q""`'uote", OLD."a name that alone is as long as names may be, with quotes ""`");
    ELSE
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape)
        VALUES ('t', pg_catalog.clock_timestamp(), 3);
    END IF;
    RETURN NULL;
END
-- freshet shape 3
$freshet0$;
REVOKE ALL ON FUNCTION "shop"."freshet_changes_or
ders"() FROM PUBLIC;

-- The first in the order of names, so that what other triggers change comes after it. ALWAYS: also what a
-- subscription applies is a change.
DROP TRIGGER IF EXISTS "!freshet_changes" ON "shop"."or
ders";
CREATE TRIGGER "!freshet_changes" AFTER INSERT OR UPDATE OR DELETE ON "shop"."or
ders"
    FOR EACH ROW EXECUTE PROCEDURE "shop"."freshet_changes_or
ders"();
ALTER TABLE "shop"."or
ders" ENABLE ALWAYS TRIGGER "!freshet_changes";
DROP TRIGGER IF EXISTS "!freshet_truncate" ON "shop"."or
ders";
CREATE TRIGGER "!freshet_truncate" AFTER TRUNCATE ON "shop"."or
ders"
    FOR EACH STATEMENT EXECUTE PROCEDURE "shop"."freshet_changes_or
ders"();
ALTER TABLE "shop"."or
ders" ENABLE ALWAYS TRIGGER "!freshet_truncate";

-- Whoever writes the table needs no right on the change table: the function has those of its owner, who is
-- whoever runs this.
GRANT USAGE ON SCHEMA "shop" TO "fre""shet";
GRANT SELECT ON "shop"."or
ders" TO "fre""shet";
GRANT SELECT, DELETE ON "shop"."freshet_changes_or
ders" TO "fre""shet";

COMMIT;
