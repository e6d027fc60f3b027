#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""file-sink: files over time: small ones are joined, the format may change, the manifest is folded."""
import json

from file_sink_case import *  # noqa: F401,F403: the vocabulary of these tests

TESTS[:] = []


@both
def small_files_are_joined(c):
    started(c, compact__files="4", keep="1h")
    first = None
    for n in range(40):
        ok(c.apply([["c", "t", at(0, id=n * 10 + i, v="%d" % n)] for i in range(10)], offset=n * 10))
        ok(c.commit(n * 10 + 10))
        first = first or c.entries()[0]["path"]
    entries = c.entries()
    assert len(entries) < 12, len(entries)
    check([r["_freshet_offset"] for r in c.rows()], 400)
    same(sum(e["rows"] for e in entries), 400)
    same(sorted((e["offsets"][0][2], e["offsets"][0][3]) for e in entries)[0][0], 0)
    assert first not in [e["path"] for e in entries]
    assert os.path.exists(os.path.join(c.path, first)), "a reader of the old manifest reads it yet"
    ok(c.probe("close", sink="a"))
    started(c, keep="0s", compact__files="4")
    ok(c.apply([["c", "t", at(0, id=999, v="z")]], offset=400))
    ok(c.commit(401))
    same(set(c.on_disk()), set(c.state()["files"]))
    check([r["_freshet_offset"] for r in c.rows()], 401)


@both
def a_damaged_file_is_not_joined(c):
    """The commits go on, it is said once, and other files are joined all the same."""
    log = os.path.join(c.dir, "log")
    c.probe = c.probe_by("sh", "-c", 'exec "$0" 2> "%s"' % log)
    started(c, compact__files="3")

    def add(first, last, day):
        for i in range(first, last):
            ok(c.apply([["c", "t", at(day, id=i, v="a")]], offset=i))
            ok(c.commit(i + 1))
    add(0, 2, 0)
    broken = os.path.join(c.path, c.entries()[0]["path"])
    with open(broken, "r+b") as f:
        whole = f.read()
        f.seek(0)
        f.write(b"#" * len(whole))
    add(2, 6, 0)
    same(len(c.entries()), 6)
    same(len(c.on_disk()), 6)  # of attempts nothing is left
    add(6, 9, 1)
    same(len(c.entries()), 7)
    with open(log) as f:
        text = f.read()
    same(text.count("stay as they are"), 1)
    assert "compact.files: 0" in text and c.path in text, text
    with open(broken, "r+b") as f:
        f.write(whole)
    ok(c.probe("close", sink="a"))
    started(c, compact__files="3")
    add(9, 10, 0)
    assert len(c.entries()) < 7, len(c.entries())
    check([r["_freshet_offset"] for r in c.rows()], 10)


@both
def many_tables_in_one_batch(c):
    """Rows go to one table after the other: those of each stay in their order, and the first error is the one that is told."""
    started(c)
    tables = [c.table([ID] + [col("c%d" % i) for i in range(18)], "t%d" % i) for i in range(40)]
    ok(c.apply([["c", t, dict(id=n, c0=t)] for n in range(5) for t in tables]))
    ok(c.apply([["c", t, dict(id=n, c0=t)] for t in tables for n in range(5, 7)]))
    ok(c.commit(1))
    for t in tables:
        same(c.values("id", "c0", table=t), [(n, t) for n in range(7)])
    good, bad = lambda t: ["c", t, dict(id=9, c0=t)], lambda t: ["c", t, {"id": 9, "$bad": "no value"}]
    c.table([ID, col("c0", "BYTES")], "t2", as_="refused")
    for events, failed in (([good("t1"), good("t0"), bad("t3"), bad("t0")], 2), ([good("t1"), bad("t0"), bad("t3")], 1), ([bad("t2"), bad("t1"), bad("t0")], 0),
                           ([good("t0"), good("refused"), bad("t0"), bad("t1")], 1), ([good("t0"), bad("t1"), good("refused"), bad("t0")], 1)):
        r = fails(c.apply(events), "CONFIG" if events[failed] == good("refused") else "DATA")
        same((events, r["applied"]), (events, failed))
    ok(c.apply([good("t0")]))
    ok(c.commit(2))
    same(c.values("id", table="t0")[7:], [(9,)])


@test
def not_joined_across_days_schemas_and_sizes(c):
    started(c, compact__files="3", compact__size="1KiB")
    c.table([ID, col("v"), col("w")], as_="t2")
    for n in range(12):
        table = "t" if n < 6 else "t2"
        ok(c.apply([["c", table, at(day, id=n, v="x" * 10)] for day in (0, 1)], offset=n * 2))
        ok(c.commit(n * 2 + 2))
    same(len({(e["day"], e["schema"]) for e in c.entries()}), 4)
    same(len(c.entries()), 24)  # every file is larger than that
    ok(c.probe("close", sink="a"))
    started(c, compact__files="3")
    for n in range(12, 15):
        ok(c.apply([["c", "t2", at(day, id=n, v="x" * 10)] for day in (0, 1)], offset=n * 2))
        c.table([ID, col("v"), col("w")], as_="t2")
        ok(c.commit(n * 2 + 2))
    assert len(c.entries()) < 24, len(c.entries())
    same(len({(e["day"], e["schema"]) for e in c.entries()}), 4)
    check([r["_freshet_offset"] for r in c.rows()], 30)


@test
def the_format_may_change(c):
    """One folder, files of both kinds: each is joined with its own."""
    for n, kind in enumerate(("parquet", "avro", "parquet")):
        started(c, format=kind, compact__files="3")
        for i in range(4):
            ok(c.apply([["c", "t", at(0, id=n * 4 + i, v=kind)]], offset=n * 4 + i))
            ok(c.commit(n * 4 + i + 1))
        ok(c.probe("close", sink="a"))
    same({os.path.splitext(e["path"])[1] for e in c.entries()}, {".parquet", ".avro"})
    assert len(c.entries()) < 8, len(c.entries())
    same(sorted(c.values("id", "v")), [(i, ("parquet", "avro", "parquet")[i // 4]) for i in range(12)])


@test
def the_manifest_is_folded(c):
    """Its files do not pile up, and no commit writes all of it."""
    reader = Reader(c.path)
    own = os.path.join(c.path, "_freshet")
    for first, last, keep in ((0, 120, "1h"), (120, 230, "0s")):
        started(c, compact__files="8", keep=keep)
        if first == 0:  # where nothing is kept a reader may meet what is gone
            reader.start()
        try:
            for n in range(first, last):
                ok(c.apply([["c", "t", at(0, id=n, v="a")]], offset=n))
                ok(c.commit(n + 1))
        finally:
            if first == 0:
                reader.end()
        ok(c.probe("close", sink="a"))
    folds = [n for n in os.listdir(own) if n.endswith("fold.json")]
    commits = sorted(n for n in os.listdir(own) if n.endswith("commit.json"))
    assert len(folds) >= 1 and len(commits) < 230, (folds, len(commits))
    sizes = [os.path.getsize(os.path.join(own, n)) for n in commits]
    assert max(sizes) < 8000, max(sizes)
    check([r["_freshet_offset"] for r in c.rows()], 230)
    started(c)
    same(c.claim(), [230])


if __name__ == "__main__":
    sys.exit(main("file_sink_join"))
