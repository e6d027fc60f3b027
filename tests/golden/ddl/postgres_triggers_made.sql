-- ders of source shop, by freshet 0.1.0. Nothing here was run.
-- Each change of a row writes one more, with all its values (of an update twice), in the same transaction:
-- measure what that costs your writers. A change table that nobody empties grows: remove the triggers with
-- freshet ddl triggers --drop when freshet does not run any more.
SET client_encoding = 'UTF8';
BEGIN;

-- Writers wait until this transaction ends.
LOCK TABLE "shop"."or
ders" IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE "shop"."freshet_changes_or
ders" (
    freshet_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    freshet_op text NOT NULL,
    freshet_at timestamptz NOT NULL,
    freshet_shape integer NOT NULL,
    "o_id" bigint, "n_id" bigint,
    "o_q""`'uote" character varying(20), "n_q""`'uote" character varying(20),
    "o_a name that alone is as long as names may be, with quotes ""`" character varying(20), "n_a name that alone is as long as names may be, with quotes ""`" character varying(20)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 1000
);
COMMENT ON TABLE "shop"."freshet_changes_or
ders" IS 'freshet changes 1: shape 1, 6416dd5276eb9b4b';

CREATE FUNCTION "shop"."freshet_changes_or
ders"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet0$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "o_id", "n_id", "o_q""`'uote", "n_q""`'uote", "o_a name that alone is as long as names may be, with quotes ""`", "n_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('u', pg_catalog.clock_timestamp(), 1, OLD."id", NEW."id", OLD."q""`'uote", NEW."q""`'uote", OLD."a name that alone is as long as names may be, with quotes ""`", NEW."a name that alone is as long as names may be, with quotes ""`");
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "n_id", "n_q""`'uote", "n_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('i', pg_catalog.clock_timestamp(), 1, NEW."id", NEW."q""`'uote", NEW."a name that alone is as long as names may be, with quotes ""`");
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape, "o_id", "o_q""`'uote", "o_a name that alone is as long as names may be, with quotes ""`")
        VALUES ('d', pg_catalog.clock_timestamp(), 1, OLD."id", OLD."q""`'uote", OLD."a name that alone is as long as names may be, with quotes ""`");
    ELSE
        INSERT INTO "shop"."freshet_changes_or
ders" (freshet_op, freshet_at, freshet_shape)
        VALUES ('t', pg_catalog.clock_timestamp(), 1);
    END IF;
    RETURN NULL;
END
-- freshet shape 1
$freshet0$;
REVOKE ALL ON FUNCTION "shop"."freshet_changes_or
ders"() FROM PUBLIC;

-- The first in the order of names, so that what other triggers change comes after it. ALWAYS: also what a
-- subscription applies is a change.
CREATE TRIGGER "!freshet_changes" AFTER INSERT OR UPDATE OR DELETE ON "shop"."or
ders"
    FOR EACH ROW EXECUTE PROCEDURE "shop"."freshet_changes_or
ders"();
ALTER TABLE "shop"."or
ders" ENABLE ALWAYS TRIGGER "!freshet_changes";
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
