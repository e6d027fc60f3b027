#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""duckdb-sink: the library and the file; other owners, readers, kills."""
import random
import resource
import signal
import threading

from duckdb_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


# ---- the library and the file ----

@test
def libraries_that_are_none(c):
    e = c.refused("CONFIG", "sink.library", library="/no/such/libduckdb.so")
    assert "duckdb.org" in e["hint"], e
    e = c.refused("CONFIG", "sink.library", library="libc.so.6")
    assert "too old, or no DuckDB" in e["text"], e
    c.open()
    os.symlink(LIBRARY, c.dir + "/libduckdb.so")
    e = c.refused("CONFIG", "sink.library", library=c.dir + "/libduckdb.so")
    assert LIBRARY in e["text"], e
    same(severities(c.check(library="/no/such.so")), [("blocker", "sink.library")])


@test
def files_that_cannot_be_used(c):
    with open(c.path, "wb") as f:
        f.write(b"this is no database, whatever its name says\n" * 1000)
    e = c.refused("CONFIG", "sink.corrupt")
    assert c.path in e["text"], e
    e = c.refused("CONFIG", "sink.file", path=c.dir + "/no/such/folder/x.db")
    assert "mkdir -p" in e["hint"], e
    c.refused("CONFIG", "sink.file", path=c.dir)
    c.refused("CONFIG", "sink.file", path=c.path + "/x.db")
    c.refused("CONFIG", "sink.config", path=":memory:")
    c.refused("CONFIG", "sink.config", path="")
    same(severities(c.check()), [("blocker", "sink.file")])
    import sqlite3
    lite = os.path.join(c.dir, "lite.db")
    s = sqlite3.connect(lite)
    s.execute("create table t (id int)")
    s.close()
    c.refused("CONFIG", "sink.corrupt", path=lite)
    good = os.path.join(c.dir, "good.db")
    c.open(path=good)
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": i, "v": ("%d" % (i * 7919 % 100003)) * 20}] for i in range(4000)]))
    ok(c.commit(1))
    ok(c.probe("close", sink="a"))
    with open(good, "r+b") as f:
        f.seek(4096)
        f.write(b"\xff" * (os.path.getsize(good) - 4096))
    fails(c.probe("open", **{"as": "a"}, type="duckdb", path=good, library=LIBRARY), "CONFIG", "sink.corrupt")


@test
def a_newer_storage_version(c):
    subprocess.run([sys.executable, "-c", "import sys, duckdb; c = duckdb.connect(sys.argv[1], config={'storage_compatibility_version': 'latest'}); "
                    "c.execute('create table t (id int)'); c.close()", c.path], check=True, env=dict(os.environ, PYTHONPATH=NEWER))
    e = c.refused("CONFIG", "sink.storage")
    assert c.path in e["text"] and "library" in e["hint"], e
    same(c.probe("check", type="duckdb", path=c.path, library=LIBRARY)["findings"][0]["code"], "sink.file")


@test
def a_file_that_may_not_be_written(c):
    c.open()
    c.claim()
    ok(c.probe("close", sink="a"))
    os.chmod(c.path, 0o444)
    if os.geteuid() != 0:
        e = c.refused("AUTH", "sink.readonly")
    else:  # nobody is refused what root is not
        os.chmod(c.dir, 0o755)
        if os.spawnlp(os.P_WAIT, "setpriv", "setpriv", "--reuid=65534", "--clear-groups", "test", "-x", PROBE, "-a", "-r", LIBRARY) != 0:
            return
        p = c.probe_by("setpriv", "--reuid=65534", "--clear-groups")
        e = fails(p("open", **{"as": "a"}, type="duckdb", path=c.path, library=LIBRARY), "AUTH", "sink.readonly")["error"]
        r = fails(p("open", **{"as": "a"}, type="duckdb", path=c.dir + "/new.db", library=LIBRARY), "AUTH", "sink.readonly")
        assert c.dir in r["error"]["text"], r
    assert c.path in e["text"], e


@test
def gone_or_replaced(c):
    """I14: another file goes on where its own offsets say; none at all is an error, and not an empty one."""
    started(c, hold="always")
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    ok(c.probe("close", sink="a"))
    copy = os.path.join(c.dir, "backup.db")
    shutil.copy(c.path, copy)
    c.open(hold="always")
    same(c.claim(), [1])
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.commit(2))
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    aside = c.path + ".aside"
    os.rename(c.path, aside)
    r = fails(c.commit(3), "CONFIG", "sink.file")
    assert "is gone" in r["error"]["text"], r
    fails(c.apply([["c", "t", {"id": 3, "v": "c"}]]), "CONFIG", "sink.file")
    same(os.path.exists(c.path), False)
    for name in os.listdir(c.dir):
        if name.endswith(".wal"):
            os.unlink(os.path.join(c.dir, name))
    os.rename(copy, c.path)
    ok(c.probe("close", sink="a"))
    c.open(hold="always")
    same(c.claim(), [1])
    ok(c.apply([["c", "t", {"id": i, "v": "again"}] for i in (2, 3, 4)]))
    ok(c.commit(4))
    other = os.path.join(c.dir, "other.db")
    c.q("CREATE TABLE mine (id int)", path=other)
    os.rename(other, c.path)
    fails(c.apply([["c", "t", {"id": 4, "v": "d"}]]), "CONNECT", "sink.file")
    same(c.probe("status", sink="a")["connected"], False)


@test
def replaced_between_two_commits(c):
    """I14: a backup of the same claim, put there while nobody had the file, lacks rows that do not come again by
    themselves: its own offset says so, and is gone by."""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    copy = os.path.join(c.dir, "backup.db")
    shutil.copy(c.path, copy)
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.commit(2))
    ok(c.commit(2))
    same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,)])
    os.replace(copy, c.path)
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}]]))
    r = fails(c.commit(3), "CONNECT", "sink.file")
    assert c.path in r["error"]["text"] and "offset" in r["error"]["text"], r
    same(c.q("SELECT (SELECT list(id) FROM t), (SELECT list(next_offset) FROM _freshet_offsets)"), [([1], [1])])
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [1])
    ok(c.apply([["c", "t", {"id": i, "v": "again"}] for i in (2, 3)]))
    ok(c.commit(3))
    same(c.q("SELECT id FROM t ORDER BY id"), [(1,), (2,), (3,)])
    c.claim(parts=(("topic", 0), ("topic", 1)))  # offsets of others are their own
    ok(c.commit(4))
    ok(c.probe("commit", sink="a", offsets=[["topic", 0, 5], ["topic", 1, 9]]))
    ok(c.probe("commit", sink="a", offsets=[["topic", 1, 10]]))
    same(c.claim(parts=(("topic", 0), ("topic", 1))), [5, 10])


@test
def replaced_while_two_sinks_have_it(c):
    """The first that opens it anew must not get the old file by way of the other."""
    for name in ("a", "b"):
        c.open(name, name=name, hold="always")
        c.claim(name)
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "old"}]]))
    ok(c.commit(1))
    os.rename(c.path, c.path + ".aside")
    c.q("CREATE TABLE mine (id int)", path=c.path)
    fails(c.apply([["c", "t", {"id": 2, "v": "lost?"}]]), "CONNECT", "sink.file")
    ok(c.probe("close", sink="a"))
    c.open("a2", name="a", hold="always")  # b still has the old one
    fails(c.probe("claim", sink="a2", offsets=[["topic", 0]]), "CONNECT", "sink.file")
    fails(c.probe("claim", sink="b", offsets=[["topic", 0]]), "CONNECT", "sink.file")
    same(c.claim("a2"), [-1])
    ok(c.apply([["c", "t", {"id": 2, "v": "new"}]], "a2"))
    ok(c.commit(2, "a2"))
    same(c.claim("b"), [-1])
    for name in ("a2", "b"):
        ok(c.probe("close", sink=name))
    same(c.q("SELECT id, v FROM t"), [(2, "new")])


@test
def a_disk_that_does_not_take_it(c):
    """What cannot be written is an error that passes; rows and offset stay one."""
    p = c.probe = c.probe_by("sh", "-c", "trap '' XFSZ; exec \"$0\"")
    started(c, hold="always")
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (600000, resource.RLIM_INFINITY))
    rng = random.Random(4)
    events = [["c", "t", {"id": i, "v": "%x" % rng.getrandbits(4000)}] for i in range(6000)]
    r = c.apply(events)
    if r["ok"]:
        r = c.commit(2)
    fails(r, "BUSY", "sink.full")
    resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    same(c.claim(), [1])  # the same sink goes on: it opens the file anew
    ok(c.apply(events))
    ok(c.commit(2))
    ok(c.probe("close", sink="a"))
    same(c.q("SELECT count(*), (SELECT next_offset FROM _freshet_offsets) FROM t"), [(6000, 2)])


# ---- others ----

@test
def one_process_holds_the_file(c):
    """BUSY says who; it passes by itself once that one lets go."""
    c.open(hold="always")
    c.claim()
    c.table([ID, col("v")])
    other = c.new_probe()
    e = fails(other("open", **{"as": "b"}, type="duckdb", path=c.path, library=LIBRARY), "BUSY", "sink.busy")["error"]
    assert "PID %d" % c.probe.p.pid in e["text"] and "hold: writing" in e["hint"], e
    same(severities(ok(other("check", type="duckdb", path=c.path, library=LIBRARY))["findings"]), [("blocker", "sink.busy")])
    try:
        c.other(read_only=True)
        raise AssertionError("another process reads a file that is held")
    except duckdb.IOException as e:
        assert "lock" in str(e), e
    ok(c.probe("close", sink="a"))
    c.open("b", probe=other, hold="always")
    same(c.claim("b", probe=other), [-1])


@test
def a_zombie_is_fenced(c):
    """I08, R30: with hold: writing others may claim between two transactions."""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "old owner"}]]))
    ok(c.commit(10))
    other = c.new_probe()
    c.open("b", probe=other)
    c.table([ID, col("v")], probe=other)
    same(c.claim("b", probe=other), [10])
    ok(c.apply([["c", "t", {"id": 1, "v": "zombie"}], ["c", "t", {"id": 2, "v": "zombie"}]]))
    fails(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other), "BUSY", "sink.busy")
    fails(c.commit(11), "FENCED", "sink.fenced")
    same(c.q("SELECT id, v FROM t"), [(1, "old owner")])
    ok(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other))
    ok(c.commit(12, "b", probe=other))
    fails(c.commit(13), "FENCED")
    c.q("DELETE FROM _freshet_offsets")
    ok(c.apply([["c", "t", {"id": 3, "v": "x"}]], "b", probe=other))
    fails(c.commit(14, "b", probe=other), "FENCED")
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "old owner"), (2, "new owner")])


@test
def a_reader_is_waited_for(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit(1))
    reader = c.other(read_only=True)
    same(reader.execute("SELECT v FROM t").fetchall(), [("a",)])
    e = fails(c.apply([["c", "t", {"id": 2, "v": "b"}]]), "BUSY", "sink.busy")["error"]
    assert "PID %d" % os.getpid() in e["text"], e
    same(reader.execute("SELECT v FROM t").fetchall(), [("a",)])
    reader.close()
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}]]))
    ok(c.commit(2))
    same(c.q("SELECT v FROM t ORDER BY id"), [("a",), ("b",)])


@test
def two_sinks_of_one_file(c):
    """Of one process they share the file, also while each has a transaction; of two they cannot."""
    for i in range(2):
        c.open("s%d" % i, name="s%d" % i, hold="always")
        c.table([ID, col("v")], "t%d" % i)
        c.claim("s%d" % i)
    for n in range(20):
        for i in range(2):
            ok(c.apply([["c", "t%d" % i, {"id": n, "v": "x"}]], "s%d" % i))
        for i in range(2):
            ok(c.commit(n + 1, "s%d" % i))
    fails(c.probe("open", **{"as": "s2"}, type="duckdb", path=c.path, library=LIBRARY, threads="2"), "CONFIG", "sink.config")
    os.symlink(c.path, c.dir + "/link.db")
    c.open("link", path=c.dir + "/link.db", name="link", hold="always")  # the same one
    c.table([ID, col("v")], "t3")
    c.claim("link")
    ok(c.apply([["c", "t3", {"id": 1, "v": "x"}]], "link"))
    ok(c.commit(1, "link"))
    ok(c.probe("close", sink="link"))
    os.link(c.path, c.dir + "/hard.db")  # DuckDB would not know that it is
    e = fails(c.probe("open", **{"as": "s3"}, type="duckdb", path=c.dir + "/hard.db", library=LIBRARY), "CONFIG", "sink.file")["error"]
    assert c.path in e["text"], e
    for i in range(2):
        ok(c.probe("close", sink="s%d" % i))
    same(c.q("SELECT (SELECT count(*) FROM t0), (SELECT count(*) FROM t1)"), [(20, 20)])
    same(c.q("SELECT sink, next_offset FROM _freshet_offsets ORDER BY sink"), [("link", 1), ("s0", 20), ("s1", 20)])


@test
def parked_keys(c):
    """R36: part of the transaction, beside the offsets."""
    started(c)
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    ok(c.probe("park", sink="a", topic="topic", key="k1"))
    ok(c.probe("rollback", sink="a"))
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    for key in ("k1", "k2", "k1", "", "x" * 5000):
        ok(c.probe("park", sink="a", topic="topic", key=key))
    ok(c.commit(3))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), sorted(["", "k1", "k2", "x" * 5000]))
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])
    ok(c.probe("unpark", sink="a", topic="topic", key="k2"))
    ok(c.probe("rollback", sink="a"))
    same(len(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), 4)
    for topic, key in (("topic", "k2"), ("topic", "nobody"), ("other", "k1")):
        ok(c.probe("unpark", sink="a", topic=topic, key=key))
    ok(c.commit(4))
    same(sorted(ok(c.probe("parked", sink="a", topic="topic"))["keys"]), ["", "k1", "x" * 5000])


@test
def a_long_statement_is_interrupted(c):
    """A table without an index is read as a whole; interrupts come at growing times until one hits that."""
    c.q("CREATE TABLE t AS SELECT CAST(hash(i) >> 2 AS bigint) AS id, CAST(NULL AS blob) AS _freshet_position FROM range(4000000) r(i)")
    before = c.q("SELECT count(*) FROM t")
    started(c, [col("id", "INT64", 1)], hold="always")
    events = [["c", "t", {"id": -1}], ["d", "t", {"id": 1 << 61}], ["d", "t", {"id": 1}]]
    for ms in [n for n in range(1, 200, 4)] * 3:
        ok(c.probe("interrupt_in", sink="a", ms=ms))
        r = c.apply(events)
        if not r["ok"]:
            fails(r, "CANCELLED")
            break
        ok(c.probe("rollback", sink="a"))
    else:
        raise AssertionError("no interrupt hit a statement")
    ok(c.apply(events))
    ok(c.commit(2))
    ok(c.probe("close", sink="a"))
    same(c.q("SELECT count(*) FROM t"), [(before[0][0] + 1,)])


def killed(c, hold):
    rng = random.Random(8)
    life = now = 0
    while life < 8 or (now <= 0 and life < 30):  # on a slow machine lives are longer until one of them commits
        life += 1
        p = c.new_probe()
        c.open(probe=p, hold=hold)
        c.table([ID, col("v")], probe=p)
        at = max(c.claim(probe=p)[0], 0)
        p.dead = True
        killer = threading.Timer(rng.uniform(0.05, 0.8) * (1 if life <= 8 else life - 7), p.p.send_signal, (signal.SIGKILL,))
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
        p.p.wait()
        now = c.q("SELECT next_offset FROM _freshet_offsets")[0][0]
        if c.there("t"):
            same(c.q("SELECT count(*), count(DISTINCT id), max(id) + 1 FROM t"), [(now, now, now)] if now > 0 else [(0, 0, None)])
    assert now > 0
    c.q("DELETE FROM t WHERE id = 0")  # the control
    assert c.q("SELECT count(*) FROM t") != [(now,)]


@test
def kills_at_any_moment(c):
    """I01: as many rows as the offset says, after each of 8 lives."""
    killed(c, "always")


@test
def kills_while_it_lets_go(c):
    killed(c, "writing")


if __name__ == "__main__":
    sys.exit(main("duckdb_sink_file"))
