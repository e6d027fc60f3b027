#!/usr/bin/env python3
"""postgres-wal: the stream, value by value and transaction by transaction, and where it refuses to go on."""
import json
import os
import subprocess
import sys

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- the stream ----


@db_test
def transactions_and_ordinals(d):
    d.since(140000, "logical messages")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.sql("CREATE TABLE other(id int PRIMARY KEY)")
    d.publish()
    d.tables = "public.t"
    d.start()
    d.sql("BEGIN; INSERT INTO t VALUES (1, 'a'); SAVEPOINT s; INSERT INTO t VALUES (2, 'gone');"
          "ROLLBACK TO s; INSERT INTO other VALUES (1); INSERT INTO t VALUES (3, 'b');"
          "SELECT pg_logical_emit_message(true, 'in', 'side'); UPDATE t SET v = 'c' WHERE id = 1; COMMIT")
    d.sql("BEGIN; INSERT INTO t VALUES (4, 'x'); ROLLBACK")
    d.sql("SELECT pg_logical_emit_message(false, 'out', 'side')")
    c = d.conn.cursor()
    import io
    c.copy_from(io.StringIO("".join("%d\tcopy\n" % i for i in range(100, 1100))), "t")
    s = d.stream(2, no_confirm=True)
    changes = [(x["op"], x.get("after", {}).get("id"), x["ordinal"]) for x in s.ops("c", "u", "MESSAGE")]
    expect(changes[:5], [("c", 1, 0), ("c", 3, 2), ("MESSAGE", None, 3), ("u", 1, 4),
                         ("MESSAGE", None, 0)], "events of the first transaction")
    copied = changes[5:]
    expect(copied, [("c", i, i - 100) for i in range(100, 1100)], "COPY: ordinals")
    out = s.ops("MESSAGE")[1]
    expect(("txn" in out, out["name"], out["body"]), (False, "out", "side"), "non-transactional message")
    again = d.stream(1, go_on=False, no_confirm=True, resume=out["resume"])
    expect(([x["ordinal"] for x in again.ops("c")][:1], again.ops("MESSAGE")), ([0], []), "restart after the message")
    places = [(x["lsn"], x["ordinal"]) for x in s.ops("c", "u") if x["table"] == "public.t"]
    expect(places, sorted(set(places)), "positions increase")


@db_test
def small_batches_say_the_same(d):
    d.since(110000, "TRUNCATE in the log")
    d.sql("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("BEGIN; INSERT INTO a SELECT generate_series(1, 20); INSERT INTO b SELECT generate_series(1, 20);"
          "TRUNCATE a, b; COMMIT")

    def strip(r):
        return [x for x in r.lines if "op" in x and x["op"] != "HEARTBEAT"]
    want = strip(d.stream(1, go_on=False, no_confirm=True))
    for n in (1, 2, 3, 7):
        expect(strip(d.stream(1, go_on=False, no_confirm=True, batch=n)), want, "batch of %d" % n)
    expect([x["table"] for x in want if x["op"] == "t"], ["public.a", "public.b"], "truncates")


@db_test
def toast_default(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, big text, v int)")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 50000), 0), (2, NULL, 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET v = 1 WHERE id = 1")
    d.sql("UPDATE t SET v = 1 WHERE id = 2")
    a, b = d.stream(2).ops("u")
    expect((a["after"], a["absent_after"]), ({"id": 1, "v": 1}, ["big"]), "unchanged TOAST is absent")
    expect((b["after"], b["absent_after"]), ({"id": 2, "big": None, "v": 1}, []), "NULL is NULL")


@db_test
def toast_full(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, big text, v int)")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY FULL")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 50000), 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET v = 1")
    u = d.stream().ops("u")[0]
    expect((len(u["after"]["big"]), u["absent_after"], u["before"]["v"]), (50000, [], 0), "taken from before")


@db_test
def key_change_beside_toast(d):
    """Decision 47: the value is in no log; it is read again by the new key."""
    d.sql("CREATE TABLE t(id int, sub text, big text, more jsonb, v int, PRIMARY KEY (sub, id))")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t ALTER more SET STORAGE EXTERNAL")
    d.sql("INSERT INTO t VALUES (1, 'a''b', repeat('x', 50000),"
          " jsonb_build_object('k', repeat('y', 50000)), 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET id = 2, sub = E'c\\\\d'")
    u = d.stream().ops("u")[0]
    expect(u["before"], {"id": 1, "sub": "a'b"}, "old key")
    expect((len(u["after"]["big"]), len(u["after"]["more"]) > 50000), (50000, True), "read again")
    expect((u["absent_after"], u["name"]), ([], "big,more"), "named")
    d.sql("UPDATE t SET id = 3")
    d.sql("DELETE FROM t")
    s = d.stream(2)
    u = s.ops("u")[0]
    expect((u.get("bad"), u["gone"], u["absent_after"]), (None, True, ["big", "more"]),
           "gone: its delete comes later, so nothing is missing: %r" % u)
    expect(s.ops("d")[0]["before"], {"id": 3, "sub": "c\\d"}, "and here it is")
    d.sql("INSERT INTO t VALUES (1, 'a', repeat('x', 50000), jsonb_build_object('k', repeat('y', 50000)), 0)")
    d.sql("UPDATE t SET id = 2")
    d.sql("UPDATE t SET id = 3")
    first, second = d.stream(3).ops("u")
    expect((first["gone"], second.get("gone"), len(second["after"]["big"])), (True, None, 50000),
           "moved on: the last key has the value")


@db_test
def key_change_beside_toast_of_a_row_that_is_hardly_gone(d):
    """Its delete is visible but could still be forgotten by a crash: only what is flushed counts."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, big text)")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t VALUES (1, repeat('x', 50000))")
    d.publish()
    d.start()
    d.sql("UPDATE t SET id = 2")
    d.sql("SET synchronous_commit = off; DELETE FROM t")
    s = d.stream(2)
    expect((s.ops("u")[0]["gone"], len(s.ops("d"))), (True, 1), "gone, and its delete")


@db_test
def ddl_in_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text NOT NULL)")
    d.sql("COMMENT ON COLUMN t.v IS 'first'")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1, 'a')")
    d.sql("BEGIN; INSERT INTO t VALUES (2, 'b'); ALTER TABLE t ADD w int DEFAULT 5;"
          "INSERT INTO t VALUES (3, 'c', 6); ALTER TABLE t DROP v; INSERT INTO t VALUES (4, 7); COMMIT")
    d.sql("ALTER TABLE t RENAME w TO x")
    d.sql("INSERT INTO t VALUES (5, 8)")
    d.sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE t ADD m mood DEFAULT 'ok'")
    d.sql("INSERT INTO t VALUES (6, 9)")
    s = d.stream(5)
    expect([x["after"] for x in s.ops("c")],
           [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c", "w": 6}, {"id": 4, "w": 7},
            {"id": 5, "x": 8}, {"id": 6, "x": 9, "m": "ok"}], "rows in the shape of their time")
    tables = s.ops("TABLE")
    versions = [x["version"] for x in tables]
    expect(versions, sorted(set(versions)), "each version once, counting up")
    expect([[c["name"] for c in x["columns"]] for x in tables][-1], ["id", "x", "m"], "last shape")


@db_test
def unchanged_table_is_not_announced_again(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1, 'a')")
    d.sql("ALTER TABLE t SET (fillfactor = 80)")
    d.sql("VACUUM ANALYZE t")
    d.sql("INSERT INTO t VALUES (2, 'a')")
    s = d.stream(3 if d.conn.server_version < 150000 else 2)
    expect(len(s.ops("TABLE")), 1, "TABLE events")
    d.sql("COMMENT ON TABLE t IS 'now with a comment'")
    d.sql("ALTER TABLE t SET (fillfactor = 90)")
    d.sql("INSERT INTO t VALUES (3, 'a')")
    expect(d.stream().ops("TABLE")[-1]["doc"], "now with a comment", "comment")


@db_test
def text_only_type_arrives(d):
    """pgoutput's binary option is for the whole stream: a type that must be text ends it once."""
    d.since(140000, "binary")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("ALTER TABLE t ADD w tsvector")
    d.sql("INSERT INTO t VALUES (2, 'a fat cat')")
    s = d.stream(2)
    expect(s.ops("c")[1]["after"]["w"], "'a' 'cat' 'fat'", "from the start: text")
    p = subprocess.Popen(d.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
    d.sql("CREATE TABLE u(id int PRIMARY KEY)")
    p.stdout.readline()
    p.terminate()
    p.wait()
    e = Db("text_only_2")
    try:
        e.sql("CREATE TABLE t(id int PRIMARY KEY)")
        e.publish()
        e.start()
        p = subprocess.Popen(e.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
        expect(json.loads(p.stdout.readline()), {"streaming": True}, "started")
        e.sql("ALTER TABLE t ADD w tsvector")
        e.sql("INSERT INTO t VALUES (2, 'a fat cat')")
        out = [json.loads(x) for x in p.stdout.read().splitlines()]
        expect((p.wait(), out[-1]["error"], out[-1]["code"]), (3, "BUSY", "pg.text_only"), "ends once")
        until("slot free", lambda: not e.one("SELECT active FROM pg_replication_slots WHERE slot_name = %s", e.slot))
        expect(e.stream().ops("c")[0]["after"]["w"], "'a' 'cat' 'fat'", "then goes on as text")
    finally:
        e.close()


@db_test
def generated_columns(d):
    d.since(120000, "generated columns")
    if d.conn.server_version >= 180000:
        raise Skip("18 may publish them")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, v int)")
    d.sql("INSERT INTO t VALUES (1, DEFAULT, 1)")
    d.publish()
    r = d.start("chunks")
    d.sql("INSERT INTO t VALUES (2, DEFAULT, 1)")
    s = d.stream()
    expect((r.rows()[0]["after"], s.rows()[0]["after"]), ({"id": 1, "v": 1}, {"id": 2, "v": 1}), "both paths")
    found = [x for x in d.probe("check").lines if x.get("finding") == "pg.generated"]
    expect(len(found), 1, "named by check")


@db_test
def names_in_any_script(d):
    d.sql('CREATE SCHEMA "naïve"; CREATE TABLE "naïve"."表·Tab"("ключ" int PRIMARY KEY, "va l" text)')
    d.sql('INSERT INTO "naïve"."表·Tab" VALUES (1, \'日本\')')
    d.publish()
    d.tables = "naïve.表·Tab"
    r = d.start("chunks")
    expect(r.rows()[0]["after"], {"ключ": 1, "va l": "日本"}, "snapshot")
    d.sql('INSERT INTO "naïve"."表·Tab" VALUES (2, \'é\')')
    expect(d.stream().rows("naïve.表·Tab")[0]["after"], {"ключ": 2, "va l": "é"}, "stream")


@test
def latin1_database():
    d = Db("latin1", encoding="LATIN1")
    try:
        d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
        d.sql("INSERT INTO t VALUES (1, 'naïve')")
        d.publish()
        expect(d.start("chunks").rows()[0]["after"]["v"], "naïve", "snapshot")
        d.sql("INSERT INTO t VALUES (2, 'é')")
        expect(d.stream().rows()[0]["after"]["v"], "é", "stream")
    finally:
        d.close()


@db_test
def settings_of_the_database(d):
    """E07: whatever the database sets for its sessions, a value is the same, on both paths."""
    hostile = {"timezone": "America/New_York", "datestyle": "SQL, DMY", "intervalstyle": "postgres_verbose",
               "bytea_output": "escape", "extra_float_digits": "-15", "client_encoding": "LATIN1",
               "search_path": "nowhere", "standard_conforming_strings": "off", "xmloption": "document",
               "default_transaction_read_only": "on", "statement_timeout": "1ms",
               "idle_in_transaction_session_timeout": "1ms"}
    # In that zone 01:30 comes twice, when the clocks go back.
    values = ("'2024-11-03 01:30:00-04', '2024-11-03 01:30:00-05', '2024-03-10 02:30:00', '01:30:00-04',"
              " '1 mon -1 day 02:03:04.5', 0.1, 1e-20, '\\x00ff5c', '2024-02-01', '2024-02-01'")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a timestamptz, b timestamptz, c timestamp, d timetz, e interval,"
          " f real, g double precision, h bytea, i date, j text)")
    d.sql("INSERT INTO t VALUES (1, %s)" % values)
    d.publish()
    for name, value in hostile.items():
        d.sql("ALTER DATABASE \"%s\" SET %s = %s" % (d.name, name, value if name == "datestyle" else "'%s'" % value))
    r = d.start("chunks")
    d.sql("INSERT INTO t VALUES (2, %s)" % values)
    s = d.stream()
    rows = [dict(x["after"], id=0) for x in r.rows() + s.rows()]
    expect(len(rows), 2, "rows")
    expect(rows[0], rows[1], "snapshot against stream")
    expect((rows[0]["a"], rows[0]["b"]), ("2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"), "an hour between the two half past one")
    expect((rows[0]["f"], rows[0]["g"], rows[0]["i"]), (0.100000001, 1e-20, "2024-02-01"), "floats and date: %r" % rows[0])
    expect(rows[0]["e"], "P1M-1DT2H3M4.5S", "interval")


@db_test
def row_above_the_limit(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 20000)), (2, 'y')")
    d.publish()
    r = d.start("chunks", max_row=10000)
    expect(["bad" in x for x in r.rows()], [True, False], "snapshot")
    d.sql("INSERT INTO t VALUES (3, repeat('x', 20000)), (4, 'y')")
    expect(["bad" in x for x in d.stream(max_row=10000).rows()], [True, False], "stream")


# ---- refusals: R6 ----


@db_test
def slot_missing(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    expect(d.probe("stream").code, 5, "exit code")
    d.probe("stream").fails("POSITION", "pg.slot_missing")
    d.probe("position").fails("POSITION", "pg.slot_missing")


@db_test
def slot_made_again(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    d.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", d.slot)
    d.probe("stream").fails("POSITION", "pg.slot_ahead")


@db_test
def slot_advanced(d):
    d.since(110000, "pg_replication_slot_advance")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", d.slot)
    d.probe("stream").fails("POSITION", "pg.slot_ahead")


@db_test
def position_of_another_system(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = d.resume
    d.probe("stream", resume=resume_with(p, system_identifier="1")).fails("POSITION", "pg.system_identifier")
    d.probe("stream", resume=resume_with(p, db="elsewhere")).fails("POSITION", "pg.database")
    d.probe("stream", resume=resume_with(p, end_lsn="FFFF/0")).fails("POSITION", "pg.server_behind")
    d.probe("stream", resume=resume_with(p, timeline=7)).fails("POSITION", "pg.timeline")
    for broken in ("{}", "x", '{"end_lsn":"0/0"}', resume_with(p, end_lsn="nonsense"), resume_with(p, epoch=-1)):
        d.probe("stream", resume=broken).fails("POSITION", "pg.position")
    d.stream(0, seconds=1)


@db_test
def slot_of_another(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", d.slot)
    d.probe("plan-replace").fails("CONFIG", "pg.slot_foreign")
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    if d.conn.server_version >= 140000:
        d.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', false, true)", d.slot)
        d.probe("position").fails("CONFIG", "pg.slot_foreign")
        said = [x for x in d.probe("check").lines if x.get("finding") == "pg.slot_foreign"]
        expect([x["severity"] for x in said], ["blocker"], "plan says it: %r" % said)
        d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    d.start()
    d.probe("plan").fails("POSITION", "pg.slot_exists")
    d.probe("plan-replace").fine()


@db_test
def slot_active(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = subprocess.Popen(d.command("stream", seconds=20), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    e = d.probe("stream").fails("BUSY", "pg.slot_active")
    pid = d.one("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", d.slot)
    expect(str(pid) in e["text"], True, "names the pid")
    d.probe("plan-replace").fails("BUSY", "pg.slot_active")
    p.terminate()
    p.wait()


@test
def slot_lost():
    s = Server("max_slot_wal_keep_size = '1MB'", "max_wal_size = '64MB'", "min_wal_size = '32MB'",
               since=130000)
    try:
        d = Db("lost", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("CREATE TABLE noise(v text)")

        def lost():
            d.sql("INSERT INTO noise SELECT repeat(md5(i::text), 20) FROM generate_series(1, 30000) i")
            d.sql("CHECKPOINT")
            return d.one("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", d.slot) == "lost"
        until("slot lost", lost)
        d.probe("stream").fails("POSITION", "pg.slot_lost")
        found = {x["finding"]: x for x in d.probe("check").lines}
        expect(found["pg.slot_lost"]["severity"], "blocker", "check")
        d.close()
    finally:
        s.close()


@test
def new_timeline():
    """The server's log forks: below the fork we go on in a new epoch, above it we refuse."""
    s = Server("max_wal_size = '1GB'", since=120000)
    try:
        d = Db("fork", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("INSERT INTO t VALUES (1)")
        d.conn.close()
        s.stack("stop", s.name)
        owner = os.stat(s.data)
        signal_file = os.path.join(s.data, "recovery.signal")
        open(signal_file, "w").close()
        os.chown(signal_file, owner.st_uid, owner.st_gid)
        with open(os.path.join(s.data, "postgresql.auto.conf"), "a") as f:
            f.write("restore_command = 'false'\n")
        s.stack("start", s.name)
        d.conn = d.connect(d.dsn)
        until("promoted", lambda: not d.one("SELECT pg_is_in_recovery()"))
        expect(d.one("SELECT timeline_id FROM pg_control_checkpoint()") >= 1, True, "timeline")
        d.sql("INSERT INTO t VALUES (2)")
        history = max(x for x in os.listdir(os.path.join(s.data, "pg_wal")) if x.endswith(".history"))
        fork = open(os.path.join(s.data, "pg_wal", history)).read().split()[1]
        beyond = "%s/%X" % (fork.split("/")[0], int(fork.split("/")[1], 16) + 8)
        d.probe("stream", resume=resume_with(d.resume, end_lsn=beyond)).fails("POSITION", "pg.timeline")
        r = d.stream(2)
        expect([(x["after"]["id"], x["epoch"]) for x in r.ops("c")], [(1, 1), (2, 1)], "rows in epoch 1")
        now = json.loads(d.resume)
        expect((now["epoch"], now["timeline"]), (1, 2), "position")
        d.sql("INSERT INTO t VALUES (3)")
        expect(d.stream().ops("c")[0]["epoch"], 1, "epoch stays")
        d.close()
    finally:
        s.close()


@test
def killed_server():
    """C01, C03: after kill -9 the slot falls back; our own end LSN is passed, nothing comes twice."""
    s = Server("checkpoint_timeout = '1h'")
    try:
        d = Db("killed", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        for i in range(7):
            d.sql("INSERT INTO t VALUES (%s)", i)
        expect([x["after"]["id"] for x in d.stream(7).ops("c")], list(range(7)), "first")
        s.stack("kill", s.name, "-9")
        s.stack("start", s.name)
        d.conn = d.connect(d.dsn)
        d.sql("INSERT INTO t VALUES (100)")
        expect([x["after"]["id"] for x in d.stream(1).ops("c")], [100], "after the crash")
        d.close()
    finally:
        s.close()


@test
def prepared_transactions():
    s = Server("max_prepared_transactions = 5")
    try:
        d = Db("prepared", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'")
        d.sql("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'")
        d.sql("INSERT INTO t VALUES (3)")
        d.sql("ROLLBACK PREPARED 'two'")
        d.sql("COMMIT PREPARED 'one'")
        expect([x["after"]["id"] for x in d.stream(2).ops("c")], [3, 1], "in commit order")
        d.sql("BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'in the way'")
        e = d.probe("plan-replace", env={"FRESHET_FAILPOINT": "pg.slot_wait:err"}).fails("BUSY", "pg.slot_wait")
        expect("'in the way'" in e["text"], True, "names the prepared transaction: %s" % e["text"])
        d.sql("ROLLBACK PREPARED 'in the way'")
        d.close()
    finally:
        s.close()


@db_test
def slot_waits_for_a_transaction(d):
    """C30: who is in the way is said; the slot is made once they end."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    c = d.connect(d.dsn)
    c.cursor().execute("BEGIN; INSERT INTO t VALUES (1)")
    pid = c.get_backend_pid()
    e = d.probe("plan", env={"FRESHET_FAILPOINT": "pg.slot_wait:err"}).fails("BUSY", "pg.slot_wait")
    expect("pid %d" % pid in e["text"], True, "names the pid: %s" % e["text"])
    expect(d.one("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", d.slot), 0, "no slot is left")
    p = subprocess.Popen(d.command("plan", "chunks"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = p.stderr.readline()
    expect("pid %d" % pid in said, True, "said while waiting: %s" % said)
    c.cursor().execute("COMMIT")
    c.close()
    out, _ = p.communicate(timeout=DEADLINE)
    expect((p.returncode, [json.loads(x)["after"]["id"] for x in out.splitlines() if '"r"' in x]), (0, [1]), "then made")


if __name__ == "__main__":
    sys.exit(main())
