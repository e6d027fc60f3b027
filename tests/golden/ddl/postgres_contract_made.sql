-- Read from the log; the application deletes its rows.
-- Where such a table is there already this fails, and changes nothing: look whether it is the one.
SET client_encoding = 'UTF8';
BEGIN;

-- Refuses a payload that does not fit the contract; NULL, a tombstone, does.
CREATE FUNCTION "public"."freshet_contract_out`""; box"() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $freshet1$
DECLARE
bad text;
s text;
v0 json;
i0 bigint;
v1 json;
i1 bigint;
v2 json;
i2 bigint;
BEGIN
v0 := NEW."bo""dy$freshet$ $freshet0$";
IF v0 IS NULL THEN
RETURN NEW;
END IF;
IF strpos(v0::text, '\') > 0 THEN
    s := replace(v0::text, '\\', '');
    IF s ~ '\\u0000' THEN
        bad := 'it has \u0000';
    ELSIF s ~ '\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])' THEN
        bad := 'it has a letter, a digit or _ as \u00...';
    ELSIF regexp_replace(s, '\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}', '', 'g')
        ~ '\\u[dD][89a-fA-F]' THEN
        bad := 'it has half of a surrogate pair';
    END IF;
END IF;
IF bad IS NULL THEN
<<b0>>
BEGIN
IF json_typeof(v0) NOT IN ('object') THEN bad := CONCAT('it must be an object');
EXIT b0; END IF;
IF (SELECT count(*) <> count(DISTINCT k) OR bool_or(k <> ALL (ARRAY['t', 'm', 'u']::text[])) FROM json_object_keys(v0) k) THEN bad := CONCAT('it has a member that the contract does not name, or one twice');
EXIT b0; END IF;
v1 := v0 -> 't';
IF v1 IS NOT NULL THEN
<<b1>>
BEGIN
IF json_typeof(v1) IN ('null') THEN EXIT b1; END IF;
IF json_typeof(v1) NOT IN ('string') THEN bad := CONCAT('t must be a or b');
EXIT b1; END IF;
IF (v1 #>> '{}') !~ '^(?:a|b)$' THEN bad := CONCAT('t must be a or b');
EXIT b1; END IF;
END b1;
END IF;
IF bad IS NOT NULL THEN EXIT b0; END IF;
v1 := v0 -> 'm';
IF v1 IS NULL THEN bad := CONCAT('m is missing');
EXIT b0; END IF;
<<b2>>
BEGIN
IF json_typeof(v1) NOT IN ('object') THEN bad := CONCAT('m must be an object');
EXIT b2; END IF;
IF (SELECT count(*) <> count(DISTINCT k) FROM json_object_keys(v1) k) THEN bad := CONCAT('m has a name twice');
EXIT b2; END IF;
FOR v2 IN SELECT e.value FROM json_each(v1) e LOOP
<<b3>>
BEGIN
IF json_typeof(v2) NOT IN ('number') THEN bad := CONCAT('m[*] must be a number');
EXIT b3; END IF;
IF (v2 #>> '{}') !~ '^(?:-?[0-9]{1,200}(?:[.][0-9]{1,200})?(?:[eE][+-]?[0-9]{1,4})?)$' THEN bad := CONCAT('m[*] must be a number');
EXIT b3; END IF;
IF ABS((v2 #>> '{}')::numeric) > 1e9 THEN bad := CONCAT('m[*] must be a number');
EXIT b3; END IF;
END b3;
IF bad IS NOT NULL THEN EXIT b2; END IF;
END LOOP;
END b2;
IF bad IS NOT NULL THEN EXIT b0; END IF;
v1 := v0 -> 'u';
IF v1 IS NULL THEN bad := CONCAT('u is missing');
EXIT b0; END IF;
<<b4>>
BEGIN
bad := NULL;
<<b5>>
BEGIN
IF json_typeof(v1) NOT IN ('boolean') THEN bad := CONCAT('u must be true or false');
EXIT b5; END IF;
END b5;
IF bad IS NULL THEN EXIT b4; END IF;
bad := NULL;
<<b6>>
BEGIN
IF json_typeof(v1) NOT IN ('array') THEN bad := CONCAT('u must be an array');
EXIT b6; END IF;
FOR v2, i2 IN SELECT e.value, e.ordinality - 1 FROM json_array_elements(v1) WITH ORDINALITY e LOOP
<<b7>>
BEGIN
IF json_typeof(v2) NOT IN ('number') THEN bad := CONCAT('u[', i2, '] must be a whole number');
EXIT b7; END IF;
IF (v2 #>> '{}') !~ '^(?:-?(?:0|[1-9][0-9]{0,18}))$' THEN bad := CONCAT('u[', i2, '] must be a whole number');
EXIT b7; END IF;
IF (v2 #>> '{}')::numeric NOT BETWEEN -5 AND 5 THEN bad := CONCAT('u[', i2, '] must be a whole number');
EXIT b7; END IF;
END b7;
IF bad IS NOT NULL THEN EXIT b6; END IF;
END LOOP;
END b6;
IF bad IS NULL THEN EXIT b4; END IF;
bad := CONCAT('u must be of one of the types of its union');
END b4;
IF bad IS NOT NULL THEN EXIT b0; END IF;
END b0;
END IF;
IF bad IS NOT NULL THEN
RAISE EXCEPTION USING MESSAGE = 'payload does not fit its contract: ' || bad,
    ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
    COLUMN = 'bo"dy$freshet$ $freshet0$', CONSTRAINT = TG_NAME;
END IF;
RETURN NEW;
END
$freshet1$;

CREATE TABLE "public"."out`""; box" (
    "id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- header id, and the order
    "bo""dy$freshet$ $freshet0$" json, -- the message's value; NULL: a tombstone
    "created" timestamptz NOT NULL DEFAULT now() -- when, for people
);
CREATE TRIGGER "freshet_contract_out`""; box" BEFORE INSERT OR UPDATE ON "public"."out`""; box"
    FOR EACH ROW EXECUTE PROCEDURE "public"."freshet_contract_out`""; box"();

GRANT USAGE ON SCHEMA "public" TO "fre""shet";
GRANT SELECT ON "public"."out`""; box" TO "fre""shet";
-- For the role that writes it (numbers need no right of their own):
-- GRANT USAGE ON SCHEMA "public" TO application;
-- GRANT INSERT ON "public"."out`""; box" TO application;
-- GRANT SELECT, DELETE ON "public"."out`""; box" TO who_deletes_its_rows;

-- Leave this out if it is FOR ALL TABLES.
ALTER PUBLICATION "p""ub" ADD TABLE "public"."out`""; box";

COMMIT;

-- An event, in the transaction that it is about. json keeps the text as it is written; jsonb would rewrite it.
-- INSERT INTO "public"."out`""; box" ("bo""dy$freshet$ $freshet0$")
-- VALUES ('{...}');
