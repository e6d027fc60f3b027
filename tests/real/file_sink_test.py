#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""file-sink: every event a row of a Parquet file, and a manifest that readers can trust. Read by pyarrow."""
import json
import random
import resource
import signal
import threading

from file_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
import topic_ids  # noqa: E402

TESTS[:] = []


# ---- the way through ----

@both
def rows_days_offsets(c):
    started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2)])
    assert not c.state()["files"] and c.state()["offsets"] == {("topic", 0): -1}
    ok(c.apply([["TABLE", "t"], ["c", "t", at(0, id=1, v="a", n="1.50")], ["BEGIN"], ["u", "t", at(0, id=1, v="z", n="-0.05")],
                ["r", "t", at(1, id=3, v=None, n=None)], ["d", "t", at(1, id=1)], ["COMMIT"], ["c", "t", {"id": 9, "v": "", "n": "0.00"}]],
               position=[7, 5], offset=100))
    assert not c.state()["files"], "nothing counts before the commit"
    ok(c.commit(108))
    same([(e["day"], e["rows"], e["offsets"], os.path.dirname(e["path"])) for e in sorted(c.entries(), key=lambda e: e["day"])],
         [("2026-11-26", 2, [["topic", 0, 101, 103]], "t/2026-11-26"), ("2026-11-27", 2, [["topic", 0, 104, 105]], "t/2026-11-27"),
          ("undated", 1, [["topic", 0, 107, 107]], "t/undated")])
    rows = sorted(c.rows(), key=lambda r: r["_freshet_offset"])
    same([(r["id"], r["v"], str(r["n"]), r["_freshet_op"], r["_freshet_offset"]) for r in rows],
         [(1, "a", "1.50", "c", 101), (1, "z", "-0.05", "u", 103), (3, None, "None", "r", 104), (1, None, "None", "d", 105),
          (9, "", "0.00", "c", 107)])
    same(list(rows[0]), ["id", "v", "n"] + OWN)
    same(rows[3]["_freshet_absent"], '["v","n"]')
    same([r["_freshet_absent"] for r in rows[:3]], [None] * 3)
    same(rows[0]["_freshet_position"], (7).to_bytes(4, "big") + (5).to_bytes(8, "big") + (1).to_bytes(4, "big"))
    same([rows[0]["_freshet_at"].isoformat(), rows[4]["_freshet_at"]], ["2026-11-26T01:00:00+00:00", None])
    same(c.claim(), [108])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [108, -1, -1])
    parts = [("topic", i) for i in range(60)] + [("o'ther \"x\" \\", i) for i in range(60)]
    same(c.claim(parts=parts)[1:], [-1] * 119)
    ok(c.probe("commit", sink="a", offsets=[[t, i, i * 3] for t, i in parts]))
    same(c.claim(parts=parts), [i * 3 for t, i in parts])
    if c.format == "avro":
        return
    meta = pq.ParquetFile(os.path.join(c.path, c.entries()[0]["path"])).metadata
    same({meta.row_group(0).column(i).compression for i in range(meta.num_columns)}, {"ZSTD"})
    stats = meta.row_group(0).column(0).statistics
    same((stats.has_min_max, stats.null_count), (True, 0))


@both
def rolled_back_is_not_there(c):
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="gone")]]))
    ok(c.probe("rollback", sink="a"))
    ok(c.apply([["c", "t", at(0, id=2, v="b")]]))
    ok(c.apply([["c", "t", at(0, id=i, v="c")] for i in range(5)], **{"from": 3}))
    ok(c.commit(5))
    same(c.values("id", "v"), [(2, "b"), (3, "c"), (4, "c")])
    same(len(c.on_disk()), 1)
    ok(c.commit(9))
    same(c.claim(), [9])
    same(len(c.entries()), 1)


@both
def the_tombstone_of_a_delete_that_was_committed_is_no_row(c):
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")], ["d", "t", at(0, id=1)]]))
    ok(c.commit(2))
    ok(c.apply([["d", "t", {"id": 1, "$unplaced": True, "$echo": True}], ["d", "t", {"id": 2, "$unplaced": True}]], offset=2))
    ok(c.commit(4))
    same([(r["id"], r["_freshet_op"]) for r in sorted(c.rows(), key=lambda r: r["_freshet_offset"])], [(1, "c"), (1, "d"), (2, "d")])
    same(c.claim(), [4])


@both
def a_row_that_is_refused_is_named(c):
    started(c, [ID, col("d", "DATE")])
    for events, failed in (([["c", "t", {"id": 1, "d": 1}], ["c", "t", {"id": 2, "d": 99999999999}]], 1),
                           ([["c", "t", {"id": 1, "d": 1, "$bad": "column x: no date"}]], 0), ([["c", "t"]], 0)):
        r = fails(c.apply(events), "DATA")
        same(r["applied"], failed)
    ok(c.apply([["c", "t", {"id": 3, "d": 2}]]))
    ok(c.commit(1))
    same(c.values("id"), [(3,)])


@both
def deletes_and_truncates_by_policy(c):
    events = [["c", "t", {"id": 1, "v": "a"}], ["d", "t", {"id": 1}], ["t", "t"]]
    started(c, deletes=2, truncate=2)
    ok(c.apply(events))
    ok(c.commit(1))
    same(c.values("id", "_freshet_op"), [(1, "c")])
    ok(c.probe("close", sink="a"))
    started(c, deletes=1, truncate=1)
    ok(c.apply(events))
    ok(c.commit(2))
    same(c.values("id", "_freshet_op")[1:], [(1, "c"), (1, "d"), (None, "t")])
    ok(c.probe("close", sink="a"))
    started(c)
    same(fails(c.apply(events), "DATA", "sink.truncate")["applied"], 2)


@test
def ids_of_topics_are_kept(c):
    started(c)
    topic_ids.kept(c)


@test
def what_is_refused(c):
    assert "write.mode: append" in c.refused("CONFIG", "sink.config", write_mode=0)["hint"]
    assert "libduckdb" in c.refused("CONFIG", "sink.library", library="/nowhere/libduckdb.so")["hint"]
    c.refused("CONFIG", "sink.config", path=c.dir + "/a*b")
    c.refused("CONFIG", "sink.config", compact__files="1")
    c.refused("CONFIG", "sink.file", path=c.dir + "/no/folder")
    open(c.dir + "/file", "w").close()
    c.refused("CONFIG", "sink.file", path=c.dir + "/file")
    same([f["code"] for f in c.check(create=NEVER) if f["severity"] == 2], ["sink.file"])
    c.open(create=NEVER)
    fails(c.probe("claim", sink="a", offsets=[["topic", 0]]), "CONFIG", "sink.file")
    ok(c.probe("close", sink="a"))
    started(c)
    ok(c.probe("close", sink="a"))
    assert "folder of its own" in c.refused("CONFIG", "sink.config", name="another")["hint"]
    assert not [f for f in c.check() if f["severity"] == 2]


@test
def a_path_with_a_slash_at_its_end(c):
    c.open(path=c.path + "//")
    c.claim()
    c.table([ID])
    ok(c.apply([["c", "t", at(0, id=1)]]))
    ok(c.commit(1))
    same(c.values("id"), [(1,)])


@test
def plan_makes_nothing(c):
    c.open()
    c.table([ID])
    same(severities(c.plan()), [("change", "sink.file")])
    assert not os.path.exists(c.path)
    ok(c.probe("prepare", sink="a", table="t", create=True))
    same(severities(c.plan()), [])
    same(c.on_disk(), [])


# ---- names and values ----

@both
def hostile_corpus(c):
    """S01, S02, I16: values are values and names are names; no file is outside of the folder."""
    values = ["'", "''", '"', "`", "]", "\\", "'; DROP TABLE s1; --", "%s%n%d", "?1", "$1", "\n\r\t", "\u0000", "NULL", "x'00'", "\uff02",
              "\U0001f4a9", "a" * 100000, "{{}}", "${v}", "--", "/*", "\u202e", "\ufeff", "../../x"]
    names = ['"', "`", "]", "[", "\\", "a\nb", "\uff02", "x" * 300, "select", "rowid", "A b", "'; DROP TABLE s1; --", "\u00e9", "t.t", "%s", "$1", "main",
             "temp", "s1", "-", "c0", "o0", "p", "..", ".", "/", "../up", "a/b", "*", "?", "{x,y}", "_freshet", "_x", ".hidden", "con", "a b\u202e", "~",
             "day=1", "undated"]
    started(c, [ID, col("v")])
    ok(c.apply([["c", "t", {"id": i, "v": v}] for i, v in enumerate(values)]))
    for i, name in enumerate(names):
        c.table([col(name, "TEXT", 1), col("vv"), col(name + "2")], "table " + name, as_="n%d" % i)
        c.table([col("kk", "INT32", 1), col(name)], name, as_="m%d" % i)
        ok(c.apply([["c", "n%d" % i, {name: "key", "vv": "a", name + "2": name}], ["c", "m%d" % i, {"kk": 1, name: name}]]))
    c.table([ID, col("v")], 'ta"b', space="../sp/ace", as_="spaced")
    ok(c.apply([["c", "spaced", {"id": 1, "v": "x"}]]))
    ok(c.commit(1))
    same([v for v, in c.values("v")], values)
    for name in names:
        same(c.values("kk", name, table=name), [(1, name)])
        same(c.values(name, "vv", name + "2", table="table " + name), [("key", "a", name)])
    same(c.values("id", "v", table='ta"b', space="../sp/ace"), [(1, "x")])
    same(os.listdir(c.dir), ["lake"])
    same(c.on_disk(), sorted(c.state()["files"]))
    folders = os.listdir(c.path)
    assert not [f for f in folders if f[0] in "._" and f != "_freshet"], folders
    ok(c.probe("close", sink="a"))
    same(started(c) and c.claim(), [1])  # and the manifest is read back


@test
def names_that_are_refused(c):
    """S03"""
    started(c, [ID, col("Foo"), col("foo")])
    fails(c.probe("prepare", sink="a", table="t", create=True), "CONFIG", "sink.name")
    for name in ("_freshet_op", "_FRESHET_Offset", "", "a\u0000b"):
        c.table([ID, col(name)], "named")
        fails(c.apply([["c", "named", {"id": 1}]]), "CONFIG", "sink.name")
    c.table([ID], "Tab")
    c.table([ID], "tab")
    ok(c.apply([["c", "Tab", {"id": 1}]]))
    fails(c.apply([["c", "tab", {"id": 1}]]), "CONFIG", "sink.name")


# ---- tables change ----

@both
def columns_by_policy(c):
    """S04, I05: a new version begins a new file, and old ones stay as they are."""
    started(c, [ID, col("v"), col("n", "INT32")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a", "n": 5}]]))
    c.table([ID, col("v"), col("n", "INT64"), col("w")], as_="t2")
    ok(c.apply([["c", "t2", {"id": 2, "v": "b", "n": 1 << 40, "w": "new"}]]))
    ok(c.commit(2))
    c.table([ID, col("n", "INT32")], as_="t3")
    ok(c.apply([["c", "t3", {"id": 3, "n": 7}]]))
    ok(c.commit(3))
    same([(e["schema"], e["rows"]) for e in c.entries()], [(1, 1), (2, 1), (3, 1)])
    same([[(n, t) for n, t, k in v] for v in c.state()["schemas"].values()],
         [[("id", "INTEGER"), ("v", "VARCHAR"), ("n", "INTEGER")], [("id", "INTEGER"), ("v", "VARCHAR"), ("n", "BIGINT"), ("w", "VARCHAR")],
          [("id", "INTEGER"), ("n", "BIGINT")]])
    same(c.values("id", "v", "n", "w"), [(1, "a", 5, None), (2, "b", 1 << 40, "new"), (3, None, 7, None)])
    same({os.path.splitext(e["path"])[1] for e in c.entries()}, {"." + c.format})
    if c.format == "avro":
        return
    schema = pyarrow.unify_schemas([pq.read_schema(os.path.join(c.path, e["path"])) for e in c.entries()], promote_options="permissive")
    same(str(schema.field("n").type), "int64")
    ok(c.probe("close", sink="a"))
    started(c, [ID, col("n", "INT64")], add_column=BLOCK, drop_column=BLOCK, change_type=BLOCK)
    ok(c.apply([["c", "t", {"id": 4, "n": 8}]]))  # the shape that is there already
    ok(c.commit(4))
    same([e["schema"] for e in c.entries()], [1, 2, 3, 3])
    for columns, code in (([ID, col("n", "INT64"), col("x")], "sink.add_column"), ([ID], "sink.drop_column"), ([ID, col("n", "TEXT")], "sink.types"),
                          ([ID, col("n", "DECIMAL", precision=30, scale=2)], "sink.types")):
        c.table(columns, as_="new")
        fails(c.apply([["c", "new", {"id": 5}]]), "CONFIG", code)
    ok(c.probe("close", sink="a"))
    started(c, [ID, col("n", "INT64"), col("x")], add_column=IGNORE)
    ok(c.apply([["c", "t", {"id": 6, "n": 9, "x": "left out"}]]))
    ok(c.commit(6))
    same([list(r) for r in c.rows()][-1], ["id", "n"] + OWN)


# ---- others, kills, disks ----

@test
def one_instance_writes(c):
    started(c)
    error = c.refused("BUSY", "sink.busy", probe=c.new_probe())
    assert "PID %d" % c.probe.p.pid in error["text"], error
    same([f["code"] for f in c.check() if f["severity"] == 2], ["sink.busy"])
    ok(c.probe("close", sink="a"))
    started(c)


def without_lock(c):
    """As on a file system whose locks others do not see: another lock file under the same name."""
    lock = os.path.join(c.path, "_freshet", "lock")
    os.rename(lock, lock + ".old")
    open(lock, "w").close()
    return lock


@test
def a_zombie_is_fenced(c):
    """I08, R30: where locks do not hold, the number of the next commit does. Nothing of it counts, and it takes
    nothing away from its successor."""
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]]))
    ok(c.commit(1))
    ok(c.apply([["c", "t", at(0, id=2, v="of the zombie")]]))
    lock = without_lock(c)
    other = c.new_probe()
    c.open("b", probe=other)
    same(ok(other("claim", sink="b", offsets=[["topic", 0]]))["next"], [1])
    ok(other("table", **{"as": "t"}, name="t", columns=[ID, col("v")]))
    os.replace(lock + ".old", lock)  # the zombie finds its own lock in place
    fails(c.commit(2), "FENCED", "sink.fenced")
    os.rename(lock, lock + ".old")
    same(c.values("id"), [(1,)])
    os.replace(lock + ".old", lock)
    ok(c.probe("close", sink="a"))
    lock = without_lock(c)
    os.unlink(lock + ".old")
    ok(other("close", sink="b"))
    c.open("b", probe=other)
    same(ok(other("claim", sink="b", offsets=[["topic", 0]]))["next"], [1])
    same(len(c.on_disk()), 1)  # what the zombie wrote is swept
    ok(other("apply", sink="b", events=[["c", "t", at(0, id=2, v="b")]]))
    ok(other("commit", sink="b", offsets=[["topic", 0, 2]]))
    same(c.values("id", "v"), [(1, "a"), (2, "b")])


def commits(c):
    return {int(n.split(".")[0]) for n in os.listdir(os.path.join(c.path, "_freshet")) if n.endswith("commit.json")}


def folds(c):
    return {int(n.split(".")[0]) for n in os.listdir(os.path.join(c.path, "_freshet")) if n.endswith("fold.json")}


@test
def a_zombie_that_slept_for_long_is_fenced(c):
    """The number that it takes was taken, folded and is not kept any more: it is free, and its commit does not count."""
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]]))
    ok(c.commit(1))
    number = max(commits(c)) + 1
    ok(c.apply([["c", "t", at(0, id=2, v="of the zombie")]]))
    lock = without_lock(c)
    other = c.new_probe()
    c.open("b", probe=other, keep="0s")
    same(ok(other("claim", sink="b", offsets=[["topic", 0]]))["next"], [1])
    for n in range(2, 230):
        ok(other("commit", sink="b", offsets=[["topic", 0, n]]))
    assert number not in commits(c) and min(folds(c)) >= number, (number, min(commits(c)), folds(c))
    os.replace(lock + ".old", lock)
    before = c.state()
    fails(c.commit(2), "FENCED", "sink.fenced")
    assert number not in commits(c)
    same(c.state(), before)
    same(c.values("id"), [(1,)])


@test
def commits_stay_for_keep(c):
    """From when a fold took their place, and not from when they were made."""
    started(c, keep="1h")
    own = os.path.join(c.path, "_freshet")
    n, past = 0, (1, 1)

    def until(count):
        nonlocal n
        while len(folds(c)) < count:
            n += 1
            ok(c.commit(n))
    until(1)
    for name in os.listdir(own):
        if name.endswith("commit.json"):
            os.utime(os.path.join(own, name), past)
    until(2)
    same(commits(c), set(range(1, max(commits(c)) + 1)))
    first = min(folds(c))
    os.utime(os.path.join(own, "%012d.fold.json" % first), past)
    until(3)
    same(min(commits(c)), first + 1)
    same(min(folds(c)), first)
    same(c.state()["offsets"], {("topic", 0): n})
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [n])


@test
def a_fold_that_fails_is_made_later(c):
    """The commit before it is made, and says so."""
    log = os.path.join(c.dir, "log")
    c.probe = c.probe_by("sh", "-c", 'exec "$0" 2> "%s"' % log)
    started(c)
    with open(os.path.join(c.path, "_freshet", "000000000001.commit.json")) as f:
        writer = json.load(f)["writer"]
    os.mkdir(os.path.join(c.path, "_freshet", "000000000100.fold.json.%s.tmp" % writer))
    for n in range(1, 103):
        ok(c.commit(n))
    same(folds(c), {101})
    with open(log) as f:
        same(f.read().count("fold the manifest"), 1)
    same(c.claim(), [102])


@test
def files_of_others_stay(c):
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]]))
    ok(c.commit(1))
    folder = os.path.join(c.path, "t", "2026-11-26")
    seq, writer = os.path.basename(c.entries()[0]["path"]).split("-")[:2]
    for name in ("mine.parquet", "README", "000000000001-mine-1.parquet", "%s-%s-7.parquet" % (seq, writer), "%s-%s-8.parquet.tmp" % (seq, writer),
                 "000000000900-%s-0.parquet" % writer):
        open(os.path.join(folder, name), "w").close()
    ok(c.probe("close", sink="a"))
    started(c)
    left = set(os.listdir(folder))
    same(left - {"%s-%s-0.parquet" % (seq, writer)}, {"mine.parquet", "README", "000000000001-mine-1.parquet", "000000000900-%s-0.parquet" % writer})
    same(c.values("id"), [(1,)])


@test
def the_check_sees_what_is_lost_or_doubled(c):
    """The control of the two tests below."""
    for offsets, word in (([0, 1, 3], "lost"), ([0, 1, 1, 2], "doubled")):
        try:
            check(offsets, 4)
        except AssertionError as e:
            assert word in str(e), e
            continue
        raise AssertionError("nothing is seen of %s" % offsets)
    started(c)
    ok(c.apply([["c", "t", at(0, id=i, v="a")] for i in range(4)], offset=0))
    ok(c.commit(4))
    path = os.path.join(c.path, c.entries()[0]["path"])
    reader = Reader(c.path)
    reader.look()
    for harm in (lambda: os.truncate(path, 100), lambda: os.unlink(path)):
        harm()
        try:
            Reader(c.path).look()
        except (AssertionError, OSError):
            continue
        raise AssertionError("a file that is %s is not seen" % harm)


def go_on(c, rng, total, failpoint=None, kill_after=None, **settings):
    """Batches from where the manifest says, until all are there or the probe dies. Answers where it is.
    kill_after: so many commits, and then a moment."""
    probe = c.probe = c.new_probe(failpoint)
    killer, commits = None, 0
    try:
        started(c, **settings)
        at_ = max(c.claim()[0], 0)
        while at_ < total:
            if commits == kill_after:
                killer = threading.Timer(rng.uniform(0, 0.5), probe.p.kill)
                killer.start()
            commits += 1
            n = min(rng.choice([1, 3, 20, 100]), total - at_)
            half = n // 2
            for first, last in ((at_, at_ + half), (at_ + half, at_ + n)):
                if first < last:
                    ok(c.apply([["c", "t", at(i % 2, id=i, v="%x" % i)] for i in range(first, last)], offset=first))
            at_ += n
            ok(c.commit(at_))
        ok(c.probe("close", sink="a"))
        probe.close()
    except (EOFError, BrokenPipeError):
        probe.dead = True
        probe.p.wait()
    finally:
        if killer:
            killer.cancel()
    return max(list(c.state()["offsets"].values()) + [0]) if os.path.isdir(os.path.join(c.path, "_freshet")) else 0


def settled(c, total):
    offsets = [r["_freshet_offset"] for r in c.rows()]
    same(len(offsets), total)
    check(offsets, total)
    same(c.state()["offsets"][("topic", 0)], total)


@test
def kills_at_any_moment(c):
    """I01, I15: SIGKILL at random, a reader all the time, files joined meanwhile."""
    rng = random.Random(11)
    reader = Reader(c.path)
    reader.start()
    total, died = 2000, 0
    try:
        for _ in range(40):
            at_ = go_on(c, rng, total, kill_after=rng.randint(0, 4), compact__files="4")
            died += c.probe.dead
            if at_ >= total:
                break
        at_ = go_on(c, rng, total + 500, compact__files="4")
    finally:
        reader.end()
    same(at_, total + 500)
    assert died > 2, died
    settled(c, total + 500)
    print("  killed %d times, %d looks of the reader" % (died, reader.looks), file=sys.stderr)


@both
def kills_at_named_places(c):
    rng = random.Random(5)
    reader = Reader(c.path)
    reader.start()
    total, places = 0, ["file_before_rename", "file_after_rename", "file_before_manifest", "file_after_manifest", "file_before_compact",
                        "file_after_compact", "sink_before_commit", "sink_after_commit", "sink_after_rows"]
    try:
        for place in places:
            for nth in (1, 3):
                total += 400
                go_on(c, rng, total, "%s:kill:%d" % (place, nth), compact__files="3")
                same((place, nth, c.probe.dead), (place, nth, True))
                same(go_on(c, rng, total, compact__files="3"), total)
    finally:
        reader.end()
    settled(c, total)
    print("  killed at %d named places, %d looks of the reader" % (2 * len(places), reader.looks), file=sys.stderr)
    listed, there = set(c.state()["files"]), set(c.on_disk())
    assert listed <= there and len(listed) < 60, (len(listed), len(there))


@test
def errors_at_named_places(c):
    """The same, and the process goes on: after each failure it claims and learns how far it is."""
    for place in ("file_before_rename", "file_after_rename", "file_before_manifest", "file_after_manifest"):
        c.probe = c.new_probe(place + ":err:2")
        started(c)
        at_ = max(c.claim()[0], 0)
        for _ in range(4):
            ok(c.apply([["c", "t", at(0, id=at_ + i, v="x")] for i in range(5)], offset=at_))
            r = c.commit(at_ + 5)
            if not r["ok"]:
                fails(r, "CONNECT")
            at_ = c.claim()[0]
        ok(c.probe("close", sink="a"))
        check([r["_freshet_offset"] for r in c.rows()], at_)


def full(c, limit, unlimit):
    rng = random.Random(4)
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]], offset=0))
    ok(c.commit(1))
    events = [["c", "t", at(0, id=i, v="%x" % rng.getrandbits(8000))] for i in range(1, 3000)]
    limit()
    ok(c.apply(events, offset=1))
    error = fails(c.commit(3000), "BUSY", "sink.full")["error"]
    assert "goes on by itself" in error["hint"], error
    same(len(c.on_disk()), 1)
    unlimit()
    same(c.claim(), [1])  # the same sink goes on
    ok(c.apply(events, offset=1))
    ok(c.commit(3000))
    ok(c.probe("close", sink="a"))
    check([r["_freshet_offset"] for r in c.rows()], 3000)


@both
def a_file_that_may_not_grow(c):
    p = c.probe = c.probe_by("sh", "-c", "trap '' XFSZ; exec \"$0\"")
    full(c, lambda: resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (600000, resource.RLIM_INFINITY)),
         lambda: resource.prlimit(p.p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))


@both
def a_full_disk(c):
    """ENOSPC of a small tmpfs, in a namespace of the probe's own, which the test reaches through /proc."""
    words = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=3m none "$0" && exec "$1"', c.dir]
    trial = subprocess.run(words + ["true"], capture_output=True, text=True)
    if trial.returncode != 0:
        raise Skip("no tmpfs can be mounted: %s" % trial.stderr.strip())
    c.probe = c.probe_by(*words)
    wait_for(lambda: os.path.exists("/proc/%d/root%s" % (c.probe.p.pid, c.dir)) and "freshet-file" in open("/proc/%d/mountinfo" % c.probe.p.pid).read())
    inside = "/proc/%d/root%s" % (c.probe.p.pid, c.dir)
    c.settings_path = c.path

    def fill():
        c.path = inside + "/lake"
        with open(inside + "/ballast", "wb") as f:
            f.write(b"x" * 2500000)
    rng = random.Random(4)
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]], offset=0))
    ok(c.commit(1))
    events = [["c", "t", at(0, id=i, v="%x" % rng.getrandbits(8000))] for i in range(1, 1200)]
    ok(c.apply(events, offset=1))
    fill()
    assert "make room" in fails(c.commit(1200), "BUSY", "sink.full")["error"]["hint"]
    same(len(c.on_disk()), 1)
    os.unlink(inside + "/ballast")
    same(c.claim(), [1])
    ok(c.apply(events, offset=1))
    ok(c.commit(1200))
    check([r["_freshet_offset"] for r in c.rows()], 1200)
    ok(c.probe("close", sink="a"))
    c.path = c.settings_path


@test
def gone_replaced_damaged(c):
    """I14: nothing is made in place of what is gone, and what is damaged is not read."""
    started(c)
    ok(c.apply([["c", "t", at(0, id=1, v="a")]]))
    ok(c.commit(1))
    backup = c.dir + "/backup"
    shutil.copytree(c.path, backup)
    ok(c.apply([["c", "t", at(0, id=2, v="b")]]))
    ok(c.commit(2))
    ok(c.apply([["c", "t", at(0, id=3, v="c")]]))
    shutil.rmtree(c.path)
    fails(c.commit(3), "CONFIG", "sink.file")
    assert not os.path.exists(c.path), os.listdir(c.path)
    fails(c.probe("claim", sink="a", offsets=[["topic", 0]]), "CONFIG", "sink.file")
    assert not os.path.exists(c.path), os.listdir(c.path)
    ok(c.probe("close", sink="a"))
    shutil.rmtree(c.path, ignore_errors=True)
    shutil.copytree(backup, c.path)
    c.open()
    same(c.claim(), [1])  # as far as the backup is
    ok(c.probe("close", sink="a"))
    own = os.path.join(c.path, "_freshet")
    newest = sorted(n for n in os.listdir(own) if n.endswith("commit.json"))
    with open(os.path.join(own, newest[0]), "r+b") as f:
        f.seek(30)
        f.write(b"#")
    c.refused("CONFIG", "sink.corrupt")
    os.unlink(os.path.join(own, newest[0]))
    assert "missing" in c.refused("CONFIG", "sink.corrupt")["text"]


def spilled(c):
    """Files that hold what memory has no room for."""
    own = os.path.join(c.path, "_freshet")
    return [f for n in os.listdir(own) if n.startswith("spill.") for f in os.listdir(os.path.join(own, n))]


@test
def more_than_memory(c):
    """What waits and does not fit goes to files, which a kill leaves and the next claim takes away, also where it is
    of an instance with the same PID."""
    started(c, memory="64MiB")
    rng = random.Random(8)
    for n in range(6):
        ok(c.apply([["c", "t", at(0, id=n * 1000 + i, v="%x" % rng.getrandbits(64000))] for i in range(1000)], offset=n * 1000))
    assert spilled(c)
    ok(c.commit(6000))
    same([r["_freshet_offset"] for r in c.rows()], list(range(6000)))
    assert 10 < pq.ParquetFile(os.path.join(c.path, c.entries()[0]["path"])).metadata.num_row_groups < 100
    for n in range(6, 12):
        ok(c.apply([["c", "t", at(0, id=n * 1000 + i, v="%x" % rng.getrandbits(64000))] for i in range(1000)], offset=n * 1000))
    assert spilled(c)
    c.probe.p.kill()
    c.probe.p.wait()
    c.probe.dead = True
    c.probe = c.new_probe()
    same_pid = os.path.join(c.path, "_freshet", "spill.%d" % c.probe.p.pid)
    os.mkdir(same_pid)
    open(os.path.join(same_pid, "tmp.block"), "w").close()
    started(c)
    assert not spilled(c) and not os.path.exists(same_pid)
    same(c.claim(), [6000])


@test
def parked_keys(c):
    """R36"""
    started(c)
    ok(c.probe("park", sink="a", topic="topic", key="k\u00e9"))
    ok(c.probe("rollback", sink="a"))
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], [])
    for key in ("one", "two"):
        ok(c.probe("park", sink="a", topic="topic", key=key))
    ok(c.commit(1))
    ok(c.probe("close", sink="a"))
    started(c)
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], ["one", "two"])
    same(ok(c.probe("parked", sink="a", topic="other"))["keys"], [])
    ok(c.probe("unpark", sink="a", topic="topic", key="one"))
    ok(c.commit(2))
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], ["two"])
    # Keys as Kafka has them: those of Avro begin with a NUL.
    raw = ["\u0000\u0000\u0001one", "\u0000\u0000\u0001two", "\u0000"]
    for key in raw:
        ok(c.probe("park", sink="a", topic="avro", key=key))
    same(ok(c.probe("parked", sink="a", topic="avro"))["keys"], raw)
    ok(c.commit(3))
    ok(c.probe("close", sink="a"))
    started(c)
    same(ok(c.probe("parked", sink="a", topic="avro"))["keys"], raw)
    ok(c.probe("unpark", sink="a", topic="avro", key=raw[0]))
    ok(c.commit(4))
    same(ok(c.probe("parked", sink="a", topic="avro"))["keys"], raw[1:])
    same(ok(c.probe("parked", sink="a", topic="topic"))["keys"], ["two"])


if __name__ == "__main__":
    sys.exit(main("file_sink"))
