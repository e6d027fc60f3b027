#!/usr/bin/env python3
"""postgres-wal: a second reader of the log beside the stream's (decision 42), for tables that were held."""
import json
import sys
import threading

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from source_beside import Both, said, same_as_first  # noqa: E402

COPIES = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = current_database()"


def no_copies(d, what):
    until("no slot is left " + what, lambda: d.one(COPIES) == 0)


def tables(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY, v text); CREATE TABLE b(id int PRIMARY KEY, n numeric)")
    d.publish()
    d.start()
    d.since(120000, "copies of slots")


def load(d, writer, rounds):
    """Small transactions in several tables, a large one and a change of a table half-way."""
    for i in range(rounds):
        with d.connect(d.dsn) as c, c.cursor() as q:
            at = writer * 1000000 + i * 10
            q.execute("BEGIN; INSERT INTO a VALUES (%s, 'v'), (%s, repeat('x', 200)); INSERT INTO b VALUES (%s, 1.5);"
                      "UPDATE a SET v = 'w' WHERE id = %s; COMMIT", (at, at + 1, at, at))
            if i == rounds // 2 and writer == 1:
                q.execute("ALTER TABLE a ADD w int DEFAULT 7")
                q.execute("BEGIN; INSERT INTO a SELECT -i, 'big', i FROM generate_series(1, 5000) i; DELETE FROM b; COMMIT")
        c.close()


@db_test
def says_the_same(d):
    """Under load, with an ALTER in between, opened three times: events, values, positions, shapes."""
    tables(d)
    rounds, after = 40, 20  # before the ALTER, however far ahead its writer is
    p = Both(d, 2 * rounds + 1, beside_after=after, times=3)
    writers = [threading.Thread(target=load, args=(d, w, rounds)) for w in (1, 2)]
    for w in writers:
        w.start()
    until_slot = until("a second reader", lambda: d.one(COPIES) or not p.running())
    for w in writers:
        w.join()
    r = p.fine()
    expect(bool(until_slot), True, "a copy of the slot was there")
    status = same_as_first(r, "public.a", 5000, 3, shapes=2)
    held = r.first("held")["held"]
    # A position in the log as status has it, from its text.
    high, low = held["end_lsn"].split("/")
    expect((status["connected"], status["confirmed_lsn"]), (True, int(high, 16) << 32 | int(low, 16)),
           "status is the stream's")
    expect(d.one("SELECT confirmed_flush_lsn <= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
                 held["end_lsn"], d.slot), True, "confirmed no further than where the table was held")
    no_copies(d, "after its close")


@db_test
def first_goes_on_confirming(d):
    """What the stream confirms does not disturb a second reader that is open; a new one is refused."""
    tables(d)
    for i in range(20):
        d.sql("INSERT INTO a VALUES (%s, 'v')", i)
    p = Both(d, 40, beside_after=5, confirm_on=True)
    until("confirmed beyond it", lambda: d.one(
        "SELECT count(*) FROM pg_replication_slots s, pg_replication_slots copy WHERE copy.temporary"
        " AND copy.database = current_database() AND s.slot_name = %s"
        " AND s.confirmed_flush_lsn > copy.confirmed_flush_lsn", d.slot))
    for i in range(20, 40):
        d.sql("INSERT INTO a VALUES (%s, 'v')", i)
    r = p.fine()
    expect([x["after"]["id"] for x in said(r.lines, "beside") if x["op"] == "c"], list(range(5, 40)), "rows")
    refused = d.probe("beside-only").fails("POSITION", "pg.slot_ahead")
    expect("freshet resume TABLE --anew" in refused["hint"], True, refused["hint"])
    no_copies(d, "after a refusal")


def lets_the_server_stop(s, d):
    """Though the first confirms no further than where a table is held, and the second nothing."""
    p = Both(d, 3)
    p.until(reader="beside", op="COMMIT")
    d.conn.close()
    began = time.time()
    s.stack("stop", s.name)
    took = time.time() - began
    r = p.end()
    expect((r.code, r.error()["error"], took < 15), (3, "CONNECT", True), "stopped in %.1f s" % took)


@test
def alive_while_idle():
    """Longer than wal_sender_timeout with nothing to read; and a server that shuts down is not held up."""
    s = Server("wal_sender_timeout = '2s'")
    try:
        d = Db("idle", base=s.dsn)
        tables(d)
        d.sql("INSERT INTO a VALUES (1, 'v')")
        p = Both(d, 2, heartbeat_ms=3600000)
        p.until(reader="beside", op="COMMIT")
        d.sql("SELECT pg_switch_wal()")
        p.until(reader="beside", op="HEARTBEAT")
        time.sleep(4.5)
        expect(p.running(), True, "both run")
        d.sql("INSERT INTO a VALUES (2, 'v')")
        r = p.end()
        expect(r.code, 0, "exit code: %s" % r.err[-500:])
        for reader in ("first", "beside"):
            expect([x["after"]["id"] for x in said(r.lines, reader) if x["op"] == "c"], [1, 2], reader)
        lets_the_server_stop(s, d)
    finally:
        s.close()


@db_test
def killed_in_the_middle(d):
    tables(d)
    d.sql("INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")
    p = Both(d, 1000)
    p.until(reader="beside", op="c")
    expect(d.one(COPIES), 1, "its slot")
    p.kill()
    no_copies(d, "after SIGKILL")


@db_test
def a_role_with_replication_is_enough(d):
    tables(d)
    d.sql("CREATE ROLE %s_r LOGIN REPLICATION PASSWORD 'secret'; GRANT SELECT ON a, b TO %s_r" % (d.slot, d.slot))
    try:
        d.sql("INSERT INTO a VALUES (1, 'v')")
        r = d.probe("beside", commits=1, dsn=with_path(d.base, d.name, d.slot + "_r"), password="secret").fine()
        expect(len([x for x in said(r.lines, "beside") if x["op"] == "c"]), 1, "rows")
    finally:
        d.sql("REVOKE ALL ON a, b FROM %s_r; DROP ROLE %s_r" % (d.slot, d.slot))


@test
def no_room():
    """No free slot, no free sender: BUSY, with the setting's name, and the stream goes on."""
    s = Server("max_replication_slots = 1", "max_wal_senders = 2", since=120000)
    try:
        d = Db("room", base=s.dsn)
        tables(d)
        e = d.probe("beside", commits=0).fails("BUSY", "pg.slots")
        expect("max_replication_slots" in e["hint"], True, e)
        from psycopg2.extras import PhysicalReplicationConnection
        other = psycopg2.connect(d.dsn, connection_factory=PhysicalReplicationConnection)
        e = d.probe("beside", commits=0).fails("BUSY", "pg.senders")
        expect("max_wal_senders" in e["hint"], True, e)
        other.close()
        c = d.probe("check").fine()
        expect([x["severity"] for x in c.lines if x.get("finding") == "pg.beside"], ["fine"], "said before")
        d.conn.close()
    finally:
        s.close()


@test
def a_slot_that_was_lost():
    s = Server("max_slot_wal_keep_size = '1MB'", "max_wal_size = '32MB'", since=130000)
    try:
        d = Db("lost", base=s.dsn)
        d.sql("SELECT pg_switch_wal()")
        tables(d)
        d.sql("INSERT INTO a SELECT i, 'v' FROM generate_series(1, 10) i")
        for _ in range(4):
            d.sql("CREATE TABLE noise AS SELECT repeat(md5(i::text), 20) FROM generate_series(1, 30000) i; DROP TABLE noise;")
            d.sql("SELECT pg_switch_wal()")
            d.sql("CHECKPOINT")
        until("the slot is lost", lambda: d.one("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s",
                                                d.slot) == "lost")
        e = d.probe("beside-only").fails("POSITION", "pg.slot_lost")
        expect("freshet resume TABLE --anew" in e["hint"], True, e)
        d.conn.close()
    finally:
        s.close()


@db_test
def what_the_server_can(d):
    """Before 12 the source says that it cannot; then plan has nothing to say."""
    d.sql("CREATE TABLE a(id int PRIMARY KEY, v text)")
    d.publish()
    d.start()
    told = [x["text"] for x in d.probe("check").fine().lines if x.get("finding") == "pg.beside"]
    if d.conn.server_version >= 120000:
        d.probe("beside-only").fine()
        expect(told, [], "plan")
    else:
        e = d.probe("beside-only").fails("CONFIG", "source.beside")
        expect(("12" in e["hint"], len(told)), (True, 1), e)


if __name__ == "__main__":
    sys.exit(main(workers=4))  # those with servers of their own mostly wait
