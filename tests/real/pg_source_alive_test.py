#!/usr/bin/env python3
"""postgres-wal: staying alive while nothing comes or nobody listens, and stopping."""
import json
import subprocess
import sys
import threading
import time

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests


@db_test
def foreign_writes_move_the_slot(d):
    """R3: nothing of ours changes, the rest of the server does (C10)."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    other = Db("neighbour", base=d.base)
    try:
        other.sql("CREATE TABLE noise(v text)")
        other.sql("INSERT INTO noise SELECT repeat(md5(i::text), 20) FROM generate_series(1, 60000) i")
        end = d.one("SELECT pg_current_wal_lsn()")
        p = subprocess.Popen(d.command("stream", heartbeat_ms=300, seconds=DEADLINE), stdout=subprocess.PIPE,
                             text=True)
        beat = next(x for x in map(json.loads, p.stdout) if x.get("op") == "HEARTBEAT")
        expect(json.loads(beat["resume"])["slot"], d.slot, "resume")
        threading.Thread(target=p.stdout.read).start()
        until("confirmed", lambda: d.one("SELECT %s::pg_lsn - confirmed_flush_lsn < 32 << 20"
                                         " FROM pg_replication_slots WHERE slot_name = %s", end, d.slot))
        p.terminate()
        p.wait()
    finally:
        other.close()


@test
def starved_reader_stays():
    """No batch is free for longer than wal_sender_timeout, with a full socket: confirm keeps us (R37)."""
    s = Server("wal_sender_timeout = '2s'")
    try:
        d = Db("starved", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
        d.publish()
        d.start()
        d.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 20000) i")
        r = d.stream(1, starve_ms=6000, seconds=60)
        expect(len(r.ops("c")), 20000, "rows after 6 s without a fill")
        d.close()
    finally:
        s.close()


@db_test
def heartbeat_is_a_place_to_restart(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    writer = d.connect(d.dsn)
    w = writer.cursor()
    w.execute("BEGIN; INSERT INTO t VALUES (1)")
    d.sql("CREATE TABLE noise AS SELECT repeat('x', 100) FROM generate_series(1, 1000)")
    r = d.probe("stream", heartbeats=1, heartbeat_ms=100).fine()
    d.resume = r.ops("HEARTBEAT")[-1]["resume"]
    w.execute("COMMIT")
    writer.close()
    s = d.stream()
    expect([x["after"]["id"] for x in s.rows("public.t")], [1], "begun before the heartbeat, committed after")


@test
def alive_without_confirm():
    """Longer than wal_sender_timeout without any new position: the server keeps us."""
    s = Server("wal_sender_timeout = '2s'")
    try:
        d = Db("alive", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        p = subprocess.Popen(d.command("stream", seconds=6, no_confirm=True), stdout=subprocess.PIPE, text=True)
        time.sleep(5)
        d.sql("INSERT INTO t VALUES (1)")
        lines = [json.loads(x) for x in p.stdout.read().splitlines()]
        expect(p.wait(), 0, "exit code")
        expect([x["after"]["id"] for x in lines if x.get("op") == "c"], [1], "row after 5 s of rest")
        d.close()
    finally:
        s.close()


@db_test
def same_shape_on_both_paths(d):
    """TABLE says the same in the snapshot and in the stream, whatever the replica identity."""
    d.sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(8,2) NOT NULL")
    cols = ("id int, a text NOT NULL DEFAULT 'x', b price, c mood, d int[], e timestamptz DEFAULT now(),"
            " f varchar(7), g jsonb, h bytea")
    for name, tail in (("t_pk", "PRIMARY KEY (a, id)"), ("t_full", ""), ("t_index", "UNIQUE (a)"), ("t_none", "")):
        d.sql("CREATE TABLE %s(%s%s)" % (name, cols, tail and ", " + tail))
        d.sql("COMMENT ON TABLE %s IS 'about %s'; COMMENT ON COLUMN %s.c IS 'how it is'" % (name, name, name))
    d.sql("ALTER TABLE t_full REPLICA IDENTITY FULL; ALTER TABLE t_index REPLICA IDENTITY USING INDEX t_index_a_key")
    for name in ("t_pk", "t_full", "t_index", "t_none"):
        d.sql("INSERT INTO %s(id, b) VALUES (1, 1)" % name)
    d.publish()
    r = d.start("chunks")
    for name in ("t_pk", "t_full", "t_index", "t_none"):
        d.sql("INSERT INTO %s(id, a, b) VALUES (2, 'y', 1)" % name)
    s = d.stream(4)
    def shapes(x):
        return {e["table"]: (e["columns"], e["doc"], e["full_before"]) for e in x.ops("TABLE")}
    expect(len(shapes(r)), 4, "tables")
    expect(shapes(s), shapes(r), "stream against snapshot")


@db_test
def server_ends_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = subprocess.Popen(d.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", d.slot)
    last = json.loads(p.stdout.read().splitlines()[-1])
    expect((p.wait(), last["error"], last["sqlstate"]), (3, "CONNECT", "57P01"), "a reason to try again")


@test
def shutdown_is_not_held_up():
    """A server that stops waits until all it sent is confirmed: long before the heartbeat is due."""
    s = Server()
    try:
        d = Db("shutdown", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        p = subprocess.Popen(d.command("stream", seconds=60, heartbeat_ms=3600000), stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        d.sql("INSERT INTO t VALUES (1)")
        p.stdout.readline()
        d.conn.close()
        began = time.time()
        s.stack("stop", s.name)
        expect(time.time() - began < 10, True, "stopped in %.1f s" % (time.time() - began))
        last = json.loads(p.stdout.read().splitlines()[-1])
        expect((p.wait(), last["error"]), (3, "CONNECT"), "a reason to try again")
    finally:
        s.close()


@db_test
def interrupt(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    r = d.probe("interrupt").fine().first("interrupted_ms")
    expect((r["rc"], r["interrupted_ms"] < 1500), (1, True), "IDLE within a second: %r" % r)


@db_test
def status_and_position(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    s = d.probe("stream", "refresh", "status", "position", commits=1).fine()
    st = s.first("retained_bytes")
    expect(st["retained_bytes"] > 0 and st["read_lsn"] > 0 and st["server_lsn"] >= st["read_lsn"], True, st)
    commit = s.ops("COMMIT")[0]
    end = json.loads(commit["resume"])["end_lsn"]
    # The server reads the confirmation when it comes to it.
    until("confirmed up to the commit's end",
          lambda: d.probe("position").fine().first("system_identifier")["end_lsn"] == end)


if __name__ == "__main__":
    sys.exit(main())
