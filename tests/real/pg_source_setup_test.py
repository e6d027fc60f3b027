#!/usr/bin/env python3
"""postgres-wal: rights, passwords, TLS, the publication, and which tables can be."""
import json
import os
import re
import sys
import urllib.parse

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests


@db_test
def publication_rules(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)")
    d.tables = "public.a,public.b"
    e = d.probe("plan").fails("CONFIG", "pg.publication")
    expect('CREATE PUBLICATION "%s" FOR TABLE ONLY "public"."a", ONLY "public"."b"' % d.slot in e["hint"], True,
           e["hint"])
    d.probe("apply", tables="public.a").fine()
    d.start(tables="public.a")
    e = d.probe("plan-replace").fails("CONFIG", "pg.publication")
    expect('ALTER PUBLICATION "%s" ADD TABLE ONLY "public"."b"' % d.slot in e["hint"], True, e["hint"])
    d.probe("apply").fine()
    expect(len(d.probe("apply").fine().lines), 0, "apply twice changes nothing")
    d.stream(0, seconds=1)
    d.sql("ALTER PUBLICATION %s SET (publish = 'insert')" % d.slot)
    d.probe("stream").fails("CONFIG", "pg.publication")


@db_test
def publication_made_after_the_slot(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("DROP PUBLICATION %s" % d.slot)
    d.sql("INSERT INTO a VALUES (1)")
    found = {x["finding"]: x["severity"] for x in d.probe("check").lines}
    expect(found["pg.slot_after_publication"], "blocker", "check")
    d.publish()
    d.probe("stream").fails("CONFIG", "pg.slot_after_publication")


@db_test
def tables_that_cannot_be(d):
    d.sql("CREATE UNLOGGED TABLE u(id int PRIMARY KEY); CREATE VIEW v AS SELECT 1 AS x;"
          "CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE PUBLICATION %s FOR TABLE t" % d.slot)
    d.probe("plan", tables="public.u").fails("CONFIG", "pg.unlogged")
    d.probe("plan", tables="public.v").fails("CONFIG", "pg.unlogged")
    d.probe("plan", tables="public.nowhere").fails("CONFIG", "pg.table")
    expect([c["name"] for c in d.start().first("plan")["plan"]], ["t"], "a pattern leaves them out")
    found = [(x["finding"], x["severity"]) for x in d.probe("check").lines if x["finding"] == "pg.unlogged"]
    expect(found, [("pg.unlogged", "warning")] * 2, "check says so")


@db_test
def logins(d):
    role = "r_%s" % RUN
    d.sql("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    d.publish()
    d.sql("CREATE ROLE %s LOGIN" % role)
    dsn = with_path(d.dsn, d.name, role)
    try:
        d.probe("plan", dsn=dsn).fails("AUTH", "pg.login")
        found = {x["finding"]: x for x in d.probe("check", dsn=dsn).lines if x["severity"] == "blocker"}
        expect(set(found), {"pg.role.replication", "pg.table.select"}, "blockers without rights")
        for f in found.values():
            if "sql" in f:
                d.sql(f["sql"])
        r = d.probe("plan", "chunks", dsn=dsn).fine()
        expect(len(r.rows()), 1, "exactly the rights that check asked for (S05)")
        d.sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id > 5)")
        d.probe("plan-replace", dsn=dsn).fails("AUTH", "pg.row_security")
        found = {x["finding"]: x for x in d.probe("check", dsn=dsn).lines if x["severity"] == "blocker"}
        expect(set(found), {"pg.row_security"}, "row security")
        d.sql(found["pg.row_security"]["sql"])
        d.probe("plan-replace", dsn=dsn).fine()
        super_found = {x["finding"]: x["severity"] for x in d.probe("check").lines}
        expect(super_found["pg.role.superuser"], "warning", "superuser")
        expect("pg.role.superuser" in {x["finding"] for x in d.probe("check", dsn=dsn).lines}, False, "not for it")
    finally:
        d.close()
        d.conn = d.connect(d.base)
        d.sql("DROP ROLE %s" % role)


@db_test
def passwords(d):
    base = os.environ.get("PG_SCRAM_DSN")
    if not base:
        raise Skip("no PG_SCRAM_DSN")
    u = urllib.parse.urlsplit(base)
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    dsn = with_path(base, d.name, u.username)
    r = d.probe("tables", dsn=dsn, password="wrong-secret-9")
    e = r.fails("AUTH", "pg.login")
    expect("wrong-secret-9" in json.dumps(r.lines) + r.err, False, "the password is shown")
    expect(e["sqlstate"], "28P01", "sqlstate")
    d.probe("tables", dsn=dsn).fails("AUTH", "pg.login")
    r = d.probe("tables", dsn=base, password="x").fails("CONFIG", "pg.dsn_password")
    expect(u.password in json.dumps(r), False, "the password is shown")
    d.probe("tables", dsn=dsn, password=u.password).fine()
    d.probe("tables", dsn="postgresql://x@db.example/y?sslmode=require").fails("CONFIG", "pg.tls")
    d.probe("tables", dsn="nonsense").fails("CONFIG", "pg.dsn")
    d.probe("tables", dsn=with_path(d.dsn, "no_such_db")).fails("CONFIG", "")
    d.probe("tables", dsn="postgresql://x@127.0.0.1:1/y").fails("CONNECT", "pg.connect")


@test
def tls():
    """pg-tls of the stack: verified against its authority, refused against another."""
    base, wrong = os.environ.get("PG_TLS_DSN"), os.environ.get("TLS_WRONG_CA")
    if not base or not wrong:
        raise Skip("no PG_TLS_DSN")
    d = Db("tls")
    try:
        base = base.strip("'")
        found = d.probe("check", dsn=base, tables=None).lines[0]
        expect((found["finding"], found["severity"]), ("pg.connect", "fine"), "verified")
        expect("certificate verified" in found["text"], True, found["text"])
        other = re.sub("sslrootcert=[^&]*", "sslrootcert=" + wrong, base)
        d.probe("tables", dsn=other).fails("CONFIG", "pg.tls")
    finally:
        d.close()


@db_test
def failover_slot(d):
    """C12: from 17 on the slot is made so that standbys get it, and check says so."""
    d.since(170000, "failover slots")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    found = {x["finding"]: x["severity"] for x in d.probe("check").lines}
    expect(found["pg.failover_slot"], "fine", "check")
    d.start()
    expect(d.one("SELECT failover FROM pg_replication_slots WHERE slot_name = %s", d.slot), True, "failover")


@db_test
def identity_findings(d):
    d.sql("CREATE TABLE fine(id int PRIMARY KEY); CREATE TABLE none(id int);"
          "CREATE TABLE nothing(id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;"
          "CREATE TABLE idx(id int NOT NULL); CREATE UNIQUE INDEX i ON idx(id);"
          "ALTER TABLE idx REPLICA IDENTITY USING INDEX i; CREATE TABLE f(id int);"
          "ALTER TABLE f REPLICA IDENTITY FULL; CREATE TABLE toasty(id int PRIMARY KEY, v text)")
    d.sql("INSERT INTO toasty SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 1000) i")
    found = [x for x in d.probe("check").lines if x["finding"] == "pg.replica_identity"]
    expect(sorted(re.search(r"public\.(\w+)", x["text"]).group(1) for x in found), ["none", "nothing"], "tables")
    for x in found:
        d.sql(x["sql"])
    again = d.probe("check").lines
    expect([x for x in again if x["finding"] == "pg.replica_identity"], [], "mended by the SQL")
    expect(["toasty" in x["text"] for x in again if x["finding"] == "pg.toast"], [True], "toast")
    d.sql(next(x["sql"] for x in again if x["finding"] == "pg.publication"))
    d.start()
    d.sql("INSERT INTO idx VALUES (1); UPDATE idx SET id = 2; DELETE FROM idx")
    s = d.stream()
    expect([(x["op"], x.get("before")) for x in s.rows()], [("c", None), ("u", {"id": 1}), ("d", {"id": 2})], "index")


if __name__ == "__main__":
    sys.exit(main())
