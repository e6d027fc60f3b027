#!/usr/bin/env python3
"""postgres-sink: other owners, lost answers, kills, deadlocks."""
import random
import socket
import sys
import threading
import urllib.parse

from pg_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import topic_ids  # noqa: E402


# ---- who owns it, and what a crash leaves ----

@test
def ids_of_topics_are_kept(c):
    started(c)
    topic_ids.kept(c)


@test
def a_zombie_is_fenced(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "old owner"}]]))
    ok(c.commit(10))
    ok(c.apply([["c", "t", {"id": 1, "v": "zombie"}], ["c", "t", {"id": 2, "v": "zombie"}]]))
    other = c.new_probe()
    c.open("b", probe=other)
    c.table([ID, col("v")], probe=other)
    same(c.claim("b", probe=other), [10])
    fails(c.commit(11), "FENCED", "sink.fenced")
    same(c.q("SELECT id, v FROM t"), [(1, "old owner")])
    ok(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other))
    ok(c.commit(12, "b", probe=other))
    fails(c.commit(13), "FENCED")
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "old owner"), (2, "new owner")])
    same(c.claim("b", probe=other), [12])


@test
def a_commit_that_waits_for_a_claim_loses(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    ok(c.apply([["c", "t", {"id": 2, "v": "a"}]]))
    mine = psycopg2.connect(c.dsn())
    cur = mine.cursor()
    cur.execute("UPDATE _freshet_offsets SET epoch = epoch + 1")
    c.probe.send("commit", sink="a", offsets=[["topic", 0, 2]])
    wait_for(lambda: c.q("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                         "current_database() AND application_name LIKE 'freshet%%'")[0][0] == 1)
    mine.commit()
    mine.close()
    fails(c.probe.answer(), "FENCED")
    same(c.q("SELECT id FROM t"), [(1,)])


class Proxy:
    """Passes bytes through; drops what the server says once `drop` is seen from the client."""

    def __init__(self, host, port):
        self.target, self.cut_at = (host, port), None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.serve, daemon=True)]
        self.threads[0].start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            state = {"cut": False}
            for a, b, up in ((client, server, True), (server, client, False)):
                t = threading.Thread(target=self.pump, args=(a, b, up, state), daemon=True)
                t.start()

    def pump(self, a, b, up, state):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if up and self.cut_at is not None and self.cut_at in data:
                    state["cut"] = True
                    self.cut_at = None
                if not up and state["cut"]:
                    break  # the server has answered; the client never hears it
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@test
def a_lost_answer_to_commit(c):
    """R34, I18: the commit happened, and only the target knows."""
    u = urllib.parse.urlsplit(c.dsn())
    proxy = Proxy(u.hostname, u.port)
    via = c.dsn().replace("%s:%d" % (u.hostname, u.port), "127.0.0.1:%d" % proxy.port)
    c.open(dsn=via)
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    proxy.cut_at = b"COMMIT"
    fails(c.commit(2), "CONNECT")
    fails(c.apply([["c", "t", {"id": 3, "v": "c"}]]), "CONNECT")
    same(c.probe("status", sink="a")["connected"], False)
    ok(c.probe("close", sink="a"))
    c.open(dsn=via)
    same(c.claim(), [2])
    same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,)])
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    ok(c.commit(3))
    proxy.close()


@test
def a_connection_that_ends(c):
    started(c)
    for when in ("before rows", "after rows"):
        ok(c.apply([["c", "t", {"id": 1, "v": when}]]))
        same(c.q("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                 "AND application_name LIKE 'freshet%%'"), [(True,)])
        if when == "before rows":
            fails(c.apply([["c", "t", {"id": 2, "v": "a"}]]), "CONNECT")
        else:
            fails(c.commit(5), "CONNECT")
        ok(c.probe("rollback", sink="a"))
        ok(c.probe("close", sink="a"))
        c.open()
        same(c.claim(), [-1])
        same(c.q("SELECT count(*) FROM pg_tables WHERE tablename = 't' AND schemaname = current_schema()"), [(0,)])


@test
def kills_leave_rows_and_offsets_as_one(c):
    if not ok_failpoints(c):
        raise Skip("built without FR_FAILPOINTS")
    base = c.probe
    for point, survives in [("sink_before_begin", False), ("sink_after_rows", False),
                            ("sink_before_commit", False), ("sink_after_commit", True)]:
        p = c.new_probe("%s:kill" % point)
        c.open(probe=p)
        c.table([ID, col("v")], probe=p)
        at = c.claim(probe=p)[0]
        at = max(at, 0)
        try:
            ok(c.apply([["c", "t", {"id": at, "v": point}]], probe=p))
            ok(c.commit(at + 1, probe=p))
            raise AssertionError("%s did not kill" % point)
        except EOFError:
            pass
        c.open("x" + point, probe=base)
        now = max(c.claim("x" + point, probe=base)[0], 0)
        same((point, now), (point, at + (1 if survives else 0)))
        there = c.q("SELECT to_regclass('t') IS NOT NULL")[0][0]
        rows = c.q("SELECT count(*) FROM t")[0][0] if there else 0
        same((point, rows), (point, now))


@test
def kills_at_any_moment(c):
    """K9 wherever it hits: as many rows as the offset says, after each of 15 lives."""
    rng = random.Random(8)
    base = c.probe
    done = 0
    for life in range(15):
        p = c.new_probe()
        c.open(probe=p)
        c.table([ID, col("v")], probe=p)
        at = max(c.claim(probe=p)[0], 0)
        p.dead = True
        killer = threading.Timer(rng.uniform(0.01, 0.4), p.p.kill)
        killer.start()
        try:
            while True:
                n = rng.choice([1, 3, 40])
                ok(c.apply([["c", "t", {"id": at + i, "v": "life %d" % life}] for i in range(n)], probe=p))
                ok(c.commit(at + n, probe=p))
                at += n
        except (EOFError, BrokenPipeError):
            pass
        killer.join()
        name = "check%d" % life
        c.open(name, probe=base)
        now = max(c.claim(name, probe=base)[0], 0)
        ok(base("close", sink=name))
        there = c.q("SELECT to_regclass('t') IS NOT NULL")[0][0]
        same(c.q("SELECT count(*), coalesce(max(id) + 1, 0) FROM t")[0] if there else (0, 0), (now, now))
        assert now >= done, (now, done)
        done = now


def ok_failpoints(c):
    p = c.new_probe("sink_before_begin:err")
    c.open(probe=p)
    c.table([ID, col("v")], probe=p)
    r = c.apply([["HB"]], probe=p)
    return not r["ok"]


@test
def deadlocks_pass(c):
    """R33, I07: another session holds 1 and wants 2; we hold 2 and want 1."""
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    c.q("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    started(c)
    mine = psycopg2.connect(c.dsn() + urllib.parse.quote(" -c deadlock_timeout=1h"))
    cur = mine.cursor()
    cur.execute("UPDATE t SET v = 'mine' WHERE id = 1")
    ok(c.apply([["u", "t", {"id": 2, "v": "x"}]]))
    c.probe.send("apply", sink="a", events=[["u", "t", {"id": 1, "v": "x"}], ["u", "t", {"id": 2, "v": "y"}]])
    wait_for(lambda: locks_waiting(c) == 1)
    t = threading.Thread(target=lambda: cur.execute("UPDATE t SET v = 'mine' WHERE id = 2"))
    t.start()
    r = fails(c.probe.answer(), "BUSY")
    same(r["error"]["sqlstate"], "40P01")
    t.join(30)
    mine.commit()
    mine.close()
    ok(c.apply([["u", "t", {"id": 2, "v": "x"}], ["u", "t", {"id": 1, "v": "x"}]]))
    ok(c.commit(1))
    same(c.q("SELECT v FROM t"), [("x",), ("x",)])


def locks_waiting(c):
    return c.q("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
               "AND a.application_name LIKE 'freshet%%' AND a.datname = current_database()")[0][0]


@test
def interrupts(c):
    c.q("CREATE TABLE t (id int PRIMARY KEY, v text)")
    started(c)
    mine = psycopg2.connect(c.dsn())
    mine.cursor().execute("LOCK TABLE t")
    ok(c.probe("interrupt_in", sink="a", ms=3000))
    fails(c.apply([["c", "t", {"id": 1, "v": "a"}]]), "CANCELLED")
    mine.rollback()
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    mine.close()


@test
def parked_keys(c):
    started(c)
    keys = ["k1", "a'; --", "\"", "é"]
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    for k in keys + ["k1"]:
        ok(c.probe("park", sink="a", topic="topic", key=k))
    same(c.q("SELECT count(*) FROM _freshet_parked"), [(0,)])
    ok(c.commit(1))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(keys))
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])
    ok(c.probe("park", sink="a", topic="topic", key="lost"))
    ok(c.probe("rollback", sink="a"))
    same(len(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), 4)
    ok(c.probe("unpark", sink="a", topic="topic", key=keys[1]))
    ok(c.probe("rollback", sink="a"))
    same(len(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), 4)
    ok(c.probe("unpark", sink="a", topic="topic", key=keys[1]))
    ok(c.probe("unpark", sink="a", topic="topic", key="nobody"))
    ok(c.probe("unpark", sink="a", topic="other", key=keys[0]))
    ok(c.commit(2))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(k for k in keys if k != keys[1]))


if __name__ == "__main__":
    sys.exit(main("pg_sink_faults"))
