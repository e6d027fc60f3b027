#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""clickhouse-sink: rows in, in order, in every mode; each once whatever dies; values, targets, names, owners."""
import random
import signal

from clickhouse_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
import topic_ids  # noqa: E402


# ---- the way through ----

@test
def ids_of_topics_are_kept(c):
    started(c)
    topic_ids.kept(c)


@test
def offsets_of_a_version_without_ids_of_topics(c):
    started(c)
    ok(c.probe("commit", sink="a", offsets=[["topic", 0, 3]]))
    ok(c.probe("close", sink="a"))
    c.q("ALTER TABLE _freshet_offsets DROP COLUMN topic_id")
    c.open(create=APPLY)
    r = ok(c.probe("prepare", sink="a", table="t", create=True, plan_only=True))
    assert any("topic_id" in f["text"] for f in r["findings"]), r
    ok(c.probe("close", sink="a"))
    c.open()
    same(c.claim(), [3])
    topic_ids.kept(c)


@test
def create_upsert_delete_offsets(c):
    started(c, [ID, col("v"), col("n", "DECIMAL", precision=10, scale=2)])
    ok(c.apply([["TABLE", "t"], ["c", "t", {"id": 1, "v": "a", "n": "1.50"}],
                ["c", "t", {"id": 2, "v": "b", "n": "-0.05"}], ["BEGIN"],
                ["u", "t", {"id": 1, "v": "z", "n": "2.00"}],
                ["r", "t", {"id": 3, "v": None, "n": None}], ["d", "t", {"id": 2}], ["COMMIT"]]))
    same(c.q("SELECT count() FROM t"), [(0,)])
    ok(c.commit())
    same(c.q("SELECT id, v, toString(n) FROM t FINAL ORDER BY id"), [(1, "z", "2"), (3, None, None)])
    same(c.q("SELECT * FROM t_current ORDER BY id"), [(1, "z", 2.0), (3, None, None)])
    same(c.state(), (8, []))
    same(c.claim(), [8])
    same(c.claim(parts=(("topic", 0), ("topic", 7), ("other", 0))), [8, -1, -1])
    same(c.q("SELECT bitShiftRight(epoch, 32) FROM _freshet_offsets FINAL WHERE what = 'claim' AND topic = 'topic' AND partition = 0"), [(3,)])
    parts = [("topic", i) for i in range(300)] + [("o'ther \"x\" \\\t\u00e9", i) for i in range(300)]
    same(c.claim(parts=parts)[1:], [-1] * 599)
    ok(c.probe("commit", sink="a", offsets=[[t, i, i * 3] for t, i in parts]))
    same(c.claim(parts=parts), [i * 3 for t, i in parts])


@test
def upserts_in_order(c):
    """I02: the last state of each key, whatever is in one commit."""
    rng, model, n = random.Random(3), {}, 0
    started(c)
    for _ in range(25):
        events = []
        for _ in range(rng.randint(1, 60)):
            i, n = rng.randint(1, 12), n + 1
            if rng.random() < 0.3:
                events.append(["d", "t", {"id": i}])
                model.pop(i, None)
            else:
                events.append([rng.choice("ucr"), "t", {"id": i, "v": "v%d" % n}])
                model[i] = "v%d" % n
        ok(c.apply(events))
        if rng.random() < 0.6:
            ok(c.commit())
    ok(c.commit())
    same(c.q("SELECT id, v FROM t FINAL ORDER BY id"), sorted(model.items()))
    same(c.q("SELECT id, v FROM t_current ORDER BY id"), sorted(model.items()))
    c.q("OPTIMIZE TABLE t FINAL")
    same(c.q("SELECT id, v FROM t_current ORDER BY id"), sorted(model.items()))


@test
def older_positions_do_nothing(c):
    """R31: replays and messages that come late never win; a newer epoch does."""
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "new", "$at": [1, 500, 3]}]]))
    ok(c.commit())
    ok(c.apply([["u", "t", {"id": 1, "v": "old", "$at": [1, 500, 2]}], ["u", "t", {"id": 1, "v": "older", "$at": [1, 499, 9]}],
                ["d", "t", {"id": 1, "$at": [0, 1 << 60, 0]}], ["c", "t", {"id": 2, "v": "x", "$at": [1, (1 << 62) + 1, 0]}]]))
    ok(c.commit())
    ok(c.apply([["u", "t", {"id": 2, "v": "y", "$at": [1, 1 << 62, 4000000000]}]]))
    ok(c.commit())
    same(c.q("SELECT id, v FROM t FINAL ORDER BY id"), [(1, "new"), (2, "x")])
    ok(c.apply([["d", "t", {"id": 1, "$at": [2, 1, 0]}]]))
    ok(c.commit())
    ok(c.apply([["u", "t", {"id": 1, "v": "zombie", "$at": [1, 900, 0]}]]))
    ok(c.commit())
    same(c.q("SELECT id, v FROM t FINAL ORDER BY id"), [(2, "x")])


@test
def key_changed_in_an_update(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 2, "v": "b"}, {"id": 1, "v": "a"}]]))
    ok(c.commit())
    same(c.q("SELECT * FROM t_current"), [(2, "b")])


@test
def rollback_and_several_applies(c):
    started(c)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.probe("rollback", sink="a"))
    ok(c.apply([["c", "t", {"id": 3, "v": "c"}], ["c", "t", {"id": 5, "v": "c"}]], offset=0))
    r = fails(c.apply([["c", "t", {"id": 4, "v": "c"}], ["c", "t", {"id": None, "v": "c"}]]), "DATA", "sink.row")
    same(r["applied"], 1)
    ok(c.probe("rollback", sink="a"))
    ok(c.apply([["c", "t", {"id": 4, "v": "e"}]], offset=0))
    ok(c.commit())
    same(c.q("SELECT id, v FROM t"), [(4, "e")])
    r = fails(c.apply([["c", "t", {"id": 6, "v": "c"}], ["c", "t", {"$bad": "column x: no number"}]]), "DATA", "sink.row")
    same(r["applied"], 1)


@test
def deletes(c):
    c.open("hard", name="hard")
    c.open("soft", deletes=1, name="soft")
    c.open("ignore", deletes=2, name="ignore")
    for sink in ("hard", "soft", "ignore"):
        c.claim(sink)
        c.table([ID, col("v")], sink)
        ok(c.apply([["c", sink, {"id": i, "v": "a"}] for i in (1, 2, 3)] + [["d", sink, {"id": 1, "v": "was"}]], sink))
        ok(c.commit(sink))
    same(c.q("SELECT * FROM hard_current ORDER BY id"), [(2, "a"), (3, "a")])
    same(c.q("SELECT id, v, _freshet_deleted FROM soft FINAL ORDER BY id"), [(1, "was", 1), (2, "a", 0), (3, "a", 0)])
    same(c.q("SELECT * FROM soft_current ORDER BY id"), [(2, "a"), (3, "a")])
    same(c.q("SELECT count() FROM ignore_current"), [(3,)])
    ok(c.apply([["c", "soft", {"id": 1, "v": "back"}]], "soft"))
    ok(c.commit("soft"))
    same(c.q("SELECT * FROM soft_current WHERE id = 1"), [(1, "back")])
    ok(c.apply([["d", "soft", {"id": 1}]], "soft"))  # the values are those that it had
    ok(c.commit("soft"))
    same(c.q("SELECT id, v, _freshet_deleted FROM soft FINAL WHERE id = 1"), [(1, "back", 1)])
    for left, right in (("hard", "soft"), ("soft", "hard")):
        c.table([ID, col("v")], left, as_="other")
        fails(c.apply([["c", "other", {"id": 9, "v": "x"}]], right), "CONFIG", "sink.table")


@test
def append_mode(c):
    c.open("a", write_mode=1, deletes=1)
    c.claim()
    c.table([ID, col("v")])
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}], ["u", "t", {"id": 1, "v": "b"}], ["c", "t", {"id": 1, "v": "b"}], ["d", "t", {"id": 1}]]))
    ok(c.commit())
    same(c.q("SELECT id, v, _freshet_deleted FROM t ORDER BY _freshet_position"), [(1, "a", 0), (1, "b", 0), (1, "b", 0), (1, None, 1)])
    same(c.there("t_current"), False)
    c.open("hard", write_mode=1, name="hard")
    c.claim("hard")
    c.table([col("k"), col("v", "INT32")], "nokey")
    ok(c.apply([["c", "nokey", {"k": None, "v": 1}]] * 5, "hard"))
    ok(c.commit("hard"))
    same(c.q("SELECT count() FROM nokey"), [(5,)])
    fails(c.apply([["d", "nokey", {"k": "a", "v": 1}]], "hard"), "CONFIG", "sink.delete")
    c.open("up", name="up")
    c.claim("up")
    fails(c.apply([["c", "nokey", {"k": "a", "v": 1}]], "up"), "CONFIG", "sink.key")


@test
def truncates(c):
    started(c, truncate=0)
    ok(c.apply([["c", "t", {"id": 1, "v": "a"}]]))
    ok(c.commit())
    fails(c.apply([["t", "t"]]), "DATA", "sink.truncate")
    c.open("ignore", truncate=2, name="ignore")
    c.claim("ignore")
    ok(c.apply([["t", "t"]], "ignore"))
    ok(c.commit("ignore"))
    same(c.q("SELECT count() FROM t FINAL"), [(1,)])
    c.open("apply", truncate=1, name="apply")
    c.claim("apply", parts=(("topic", 0), ("topic", 1)))
    ok(c.apply([["c", "t", {"id": 2, "v": "b"}], ["t", "t"], ["c", "t", {"id": 3, "v": "c"}]], "apply"))
    ok(c.commit("apply"))
    same(c.q("SELECT id FROM t FINAL"), [(3,)])
    ok(c.apply([["c", "t", {"id": 10, "v": "after", "$at": [1, 50, 0]}, ], ["c", "t", {"id": 11, "v": "before", "$at": [1, 30, 0]}]], "apply", partition=1))
    ok(c.commit("apply"))
    ok(c.apply([["t", "t", {"$at": [1, 40, 0]}], ["c", "t", {"id": 12, "v": "after", "$at": [1, 41, 0]}]], "apply"))
    ok(c.commit("apply"))
    same(c.q("SELECT id FROM t FINAL ORDER BY id"), [(10,), (12,)])  # partition 1 was ahead of the truncate
    ok(c.apply([["t", "t", {"$at": [0, 5, 0], "$foreign": True}], ["c", "t", {"id": 13, "v": "after", "$at": [1, 50, 1]}]], "apply"))
    ok(c.commit("apply"))
    same(c.q("SELECT id FROM t FINAL"), [(13,)])  # an offset says nothing of other partitions


@test
def absent_values_stay(c):
    """Filled up from the row's last version: in the same block, in an earlier one, in the target."""
    columns = [col("k", "TEXT", 2), col("id", "INT32", 1), col("v"), col("n", "DECIMAL", precision=40, scale=3), col("big"), col("at", "TIMESTAMP")]
    started(c, columns)
    full = lambda i: {"id": i, "k": "key '\\\t %d" % i, "v": "v", "n": "%d.125" % i, "big": "b" * 3000 + str(i), "at": i}  # noqa: E731
    key = lambda i, **k: dict({"id": i, "k": full(i)["k"]}, **k)  # noqa: E731
    ok(c.apply([["c", "t", full(i)] for i in range(1500)]))
    ok(c.commit())
    ok(c.apply([["u", "t", key(i, v="patched", n=None)] for i in range(0, 1400)]                                    # in the target; in three blocks
               + [["c", "t", full(2000)], ["u", "t", key(2000, v="1")], ["u", "t", key(2000, n="7.5")], ["u", "t", key(2000)],  # all in one block
                  ["d", "t", key(3)], ["u", "t", key(3, v="again")],                                                           # of a row that is gone
                  ["u", "t", key(5000, v="new")], ["u", "t", key(5000, at=7)]]))                                                # and of one that never was
    ok(c.commit())
    ok(c.apply([["u", "t", key(1400, v=None)], ["u", "t", key(5000, big="x")]]))
    ok(c.commit())
    same(c.q("SELECT count(), sum(v = 'patched' AND n IS NULL AND length(big) > 3000 AND endsWith(big, toString(id)) AND toUnixTimestamp64Micro(at) = id) FROM t FINAL"),
         [(1502, 1399)])
    same(c.q("SELECT id, v, toString(n), right(big, 4), toUnixTimestamp64Micro(at) FROM t FINAL WHERE id IN (3, 1400, 1401, 2000, 5000) ORDER BY id"),
         [(3, "again", None, None, None), (1400, None, "1400.125", "1400", 1400), (1401, "v", "1401.125", "1401", 1401),
          (2000, "1", "7.5", "2000", 2000), (5000, "new", None, "x", 7)])
    ok(c.probe("table", **{"as": "n"}, name="n", columns=[ID, dict(col("v"), nullable=False), col("w")]))
    ok(c.apply([["c", "n", {"id": 1, "v": "a", "w": "b"}], ["u", "n", {"id": 1, "w": "c"}]]))
    ok(c.commit())
    same(c.q("SELECT id, v, w FROM n FINAL"), [(1, "a", "c")])
    ok(c.apply([["u", "n", {"id": 2, "w": "c"}]]))
    e = fails(c.commit(), "CONFIG", "sink.not_null")["error"]
    assert "`v`" in e["text"] and "REPLICA IDENTITY FULL" in e["hint"], e


@test
def absent_values_of_large_keys(c):
    """A key is asked for in pieces that the server's HTTP interface takes, alone or beside others. One that no question
    holds is an error of its row."""
    started(c, [col("k", "TEXT", 1), col("v"), col("w")])
    keys = [("%03d" % i) * (size // 3) for i, size in enumerate([40000] * 7 + [3, 52000, 60000, 62000, 70000, 200000, 290000, 6, 30000])]
    ok(c.apply([["c", "t", {"k": k, "v": "v%d" % i, "w": "old"}] for i, k in enumerate(keys)]))
    ok(c.commit())
    ok(c.apply([["u", "t", {"k": k, "w": "new"}] for k in keys]))
    ok(c.commit())
    same(c.q("SELECT count(), uniqExact(k), countIf(w = 'new'), uniqExact(v) FROM t FINAL"), [(len(keys),) * 4])
    huge = "x" * 400000
    ok(c.apply([["c", "t", {"k": huge, "v": "a", "w": "b"}]]))
    ok(c.commit())
    r = fails(c.apply([["u", "t", {"k": "small", "w": "x"}], ["u", "t", {"k": huge, "w": "x"}]]), "DATA", "sink.key")
    same(r["applied"], 1)
    assert "large" in r["error"]["text"] and "xxx" not in r["error"]["text"], r


@test
def many_large_absent_values(c):
    """More than a reply may hold: they are asked for in parts."""
    started(c, [ID, col("big"), col("v")])
    for at in range(0, 400, 100):
        ok(c.apply([["c", "t", {"id": i, "big": "%03d" % i * 66667, "v": "old"}] for i in range(at, at + 100)]))
        ok(c.commit())
    ok(c.apply([["u", "t", {"id": i, "v": "new"}] for i in range(400)]))
    ok(c.commit())
    same(c.q("SELECT count(), uniqExact(big), sum(length(big)), countIf(v = 'new') FROM t FINAL"), [(400, 400, 400 * 200001, 400)])


# ---- each once, whatever dies ----

N, PARTS = 400, 3


def event(i, append):
    """The i-th event of a partition: always the same."""
    rng = random.Random(i)
    if append:
        return ["c", "w" if i % 97 > 90 else "t", {"id": i, "v": "row %d" % i}]
    key, what = rng.randint(1, 40), rng.random()
    if what < 0.2:
        return ["d", "t", {"id": key}]
    return ["u", "t", {"id": key, "w": "w %d" % i} if what < 0.4 else {"id": key, "v": "row %d" % i, "w": None}]


def life(c, rng, append, failpoint=None, kill=None, most=30):
    """One instance: claims, applies from there in batches of its own, commits now and then, until all is in, or it
    dies or fails. Whether it came to the end."""
    p = c.new_probe(failpoint)
    p.dead = True
    killer = threading.Timer(kill, p.p.send_signal, (signal.SIGKILL,)) if kill else None
    try:
        c.open(probe=p, write_mode=int(append))
        for name, columns in (("t", [ID, col("v")] + ([] if append else [col("w")])), ("w", [ID, col("v"), col("more", "INT32")])):
            c.table(columns, "t", as_=name, probe=p)
        at = [max(n, 0) for n in c.claim(parts=[("topic", i) for i in range(PARTS)], probe=p)]
        if killer:
            killer.start()
        while min(at) < N:
            part = rng.choice([i for i in range(PARTS) if at[i] < N])
            n = min(rng.randint(1, most), N - at[part])
            events = [event(at[part] + k, append) for k in range(n)]
            for e in events:
                e[2]["id"] += part * 100000
                if e[1] == "w":
                    e[2]["more"] = e[2]["id"]
            if not c.apply(events, probe=p, partition=part, offset=at[part])["ok"]:
                return False
            at[part] += n
            if rng.random() < 0.4 and not c.commit(probe=p)["ok"]:
                return False
        return c.commit(probe=p)["ok"]
    except (EOFError, BrokenPipeError):
        return False
    finally:
        if killer:
            killer.cancel()
        p.p.kill()


def folded(part):
    rows = {}
    for i in range(N):
        op, _, row = event(i, False)
        if op == "d":
            rows.pop(row["id"] + part * 100000, None)
        else:
            rows.setdefault(row["id"] + part * 100000, {"v": None}).update(row)
    return {k: (r["v"], r["w"]) for k, r in rows.items()}


PLACES = ["ch_after_ahead", "ch_before_rows", "ch_after_rows", "sink_before_commit", "sink_after_commit"]


def lives(c, append, more="", rounds=3):
    rng = random.Random(str(append))
    ends = 0
    for _ in range(rounds):
        for place in PLACES:
            for action in ("kill", "err"):
                ends += life(c, rng, append, "%s:%s:%d%s" % (place, action, rng.randint(1, 5), more))
    assert ends < rounds * len(PLACES), "%d lives came to their end" % ends
    for _ in range(rounds * 4):
        life(c, rng, append, more.lstrip(",") or None, kill=rng.uniform(0.05, 0.5))
    assert life(c, rng, append, more.lstrip(",") or None), "the last one did not come to its end"


def doubled(c):
    return c.q("SELECT count() - uniqExact(id) FROM t")[0][0]


@test
def kills_append_each_row_once(c):
    """I01, R35: blocks of the same bounds under the same tokens, though every life has other batches."""
    lives(c, True)
    same(c.q("SELECT count(), uniqExact(id), sum(id), sum(more = id) FROM t"),
         [(N * PARTS, N * PARTS, sum(p * 100000 + i for p in range(PARTS) for i in range(N)), sum(i % 97 > 90 for i in range(N)) * PARTS)])
    same(sorted(c.state(p) for p in range(PARTS)), [(N, [])] * PARTS)


@test
def kills_append_control(c):
    """The same without tokens: rows are doubled, and the check sees it."""
    lives(c, True, ",ch_no_token:off:*")
    assert doubled(c) > 0, "nothing is doubled: the check proves nothing"
    same(c.q("SELECT uniqExact(id) FROM t"), [(N * PARTS,)])


@test
def kills_upsert_equals_the_fold(c):
    lives(c, False)
    want = sorted((k,) + r for p in range(PARTS) for k, r in folded(p).items())
    same(c.q("SELECT id, v, w FROM t FINAL ORDER BY id"), want)
    c.q("ALTER TABLE t DELETE WHERE id = %d SETTINGS mutations_sync = 2" % want[0][0])  # the control
    assert c.q("SELECT id, v, w FROM t FINAL ORDER BY id") != want


@test
def a_range_that_comes_in_pieces(c):
    """What was under way is inserted when all of it is there again; until then nothing of it is stored."""
    p = c.new_probe("ch_after_rows:kill")
    p.dead = True
    c.open(probe=p, write_mode=1)
    c.table([ID, col("v")], probe=p)
    c.claim(probe=p)
    rows = [["c", "t", {"id": i, "v": "x"}] for i in range(100)]
    ok(c.apply(rows[:50], probe=p))
    try:
        c.commit(probe=p)
    except EOFError:
        pass
    same(c.q("SELECT count() FROM t"), [(50,)])
    same(c.state(), (0, [49]))
    c.open(write_mode=1)
    c.table([ID, col("v")])
    same(c.claim(), [0])
    ok(c.apply(rows[:20]))
    ok(c.commit())
    same((c.state(), c.q("SELECT count() FROM t")), ((0, [49]), [(50,)]))
    ok(c.apply(rows[20:40]))
    ok(c.probe("rollback", sink="a"))  # the first twenty outlive it: they were committed, as far as the writer knows
    ok(c.apply(rows[20:49], offset=20))
    ok(c.commit())
    same(c.state(), (0, [49]))
    ok(c.apply(rows[49:100]))
    ok(c.commit())
    same((c.state(), c.q("SELECT count(), uniqExact(id) FROM t")), ((100, []), [(100, 100)]))
    same(c.claim(), [100])


@test
def a_range_whose_table_is_altered_between_its_pieces(c):
    """Its first rows wait in the old types when the table gets others: all of it is read again."""
    p = c.new_probe("ch_after_rows:kill")
    p.dead = True
    both = (("topic", 0), ("topic", 1))

    def begin(p=None):
        c.open(probe=p, write_mode=1)
        c.table([ID, col("v", "INT32")], "t", as_="old", probe=p)
        c.table([ID, col("v", "INT64")], "t", as_="new", probe=p)
        return c.claim(probe=p, parts=both)
    begin(p)
    rows_ = [["c", "old", {"id": i, "v": i}] for i in range(50)]
    ok(c.apply(rows_, probe=p))
    try:
        c.commit(probe=p)
    except EOFError:
        pass
    same(begin(), [0, -1])
    ok(c.apply(rows_[:20]))
    ok(c.commit())
    ok(c.apply([["c", "new", {"id": 100, "v": 1 << 40}]], partition=1))
    ok(c.apply(rows_[20:]))
    fails(c.commit(), "BUSY", "sink.altered")
    ok(c.probe("close", sink="a"))
    same(begin(), [0, 0])
    ok(c.apply(rows_))
    ok(c.apply([["c", "new", {"id": 100, "v": 1 << 40}]], partition=1))
    ok(c.commit())
    same(c.q("SELECT count(), uniqExact(id), sum(v) FROM t"), [(51, 51, sum(range(50)) + (1 << 40))])
    same(c.claim(parts=both), [50, 1])


@test
def tokens_that_are_forgotten(c):
    """I17: beyond the window a replay inserts rows again. Current rows stay what they are; a table of all states has them
    twice, and that is why a small window is refused."""
    for mode, name in ((0, "now"), (1, "every")):
        p = c.new_probe("ch_after_rows:kill")
        p.dead = True
        c.open("a", probe=p, write_mode=mode, name=name)
        c.table([ID, col("v")], name, as_="t", probe=p)
        c.claim("a", probe=p)
        rows_ = [["c", "t", {"id": i, "v": "x"}] for i in range(50)]
        ok(c.apply(rows_, "a", p))
        try:
            c.commit("a", p)
        except EOFError:
            pass
        c.q("ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = 1" % name)
        for i in range(3):
            c.q("INSERT INTO %s (id, v, _freshet_position%s) VALUES (%d, 'another', 0%s)" % (name, ", _freshet_deleted" if mode == 0 else "", 900 + i, ", 0" if mode == 0 else ""))
        q = c.new_probe()
        c.open("b", probe=q, write_mode=mode, name=name)
        c.table([ID, col("v")], name, as_="t", probe=q)
        same(c.claim("b", probe=q), [0])
        fails(c.apply(rows_, "b", q), "CONFIG", "sink.table")
        c.q("ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = 1000" % name)
        ok(c.apply(rows_, "b", q))
        ok(c.commit("b", q))
        got = c.q("SELECT count(), uniqExact(id) FROM %s%s WHERE id < 900" % (name, " FINAL" if mode == 0 else ""))
        same((name, got), (name, [(50, 50)] if mode == 0 else [(100, 50)]))


@test
def a_zombie_is_fenced(c):
    """I08: it inserts nothing once another has claimed; what it had written ahead is the other's to insert."""
    started(c, write_mode=1)
    ok(c.apply([["c", "t", {"id": 1, "v": "old owner"}]]))
    ok(c.commit())
    other = c.new_probe()
    c.open("b", probe=other, write_mode=1)
    c.table([ID, col("v")], probe=other)
    same(c.claim("b", probe=other), [1])
    ok(c.apply([["c", "t", {"id": 2, "v": "zombie"}]]))
    fails(c.commit(), "FENCED", "sink.fenced")
    same(c.q("SELECT id, v FROM t"), [(1, "old owner")])
    ok(c.apply([["c", "t", {"id": 2, "v": "new owner"}]], "b", probe=other))
    ok(c.commit("b", probe=other))
    c.open("again", write_mode=1)
    same(c.claim("again"), [2])
    fails(c.commit("b", probe=other), "FENCED")
    same(c.q("SELECT id, v FROM t ORDER BY id"), [(1, "old owner"), (2, "new owner")])


@test
def a_zombie_in_the_middle(c):
    """Stopped between its write-ahead and its rows, or between its rows and its offsets, while another takes over."""
    for n, place in enumerate(["ch_before_rows", "sink_before_commit"]):
        old = c.new_probe("%s:stop" % place)
        c.open("old%d" % n, probe=old, write_mode=1, name="s%d" % n)
        c.table([ID, col("v")], "t%d" % n, as_="t", probe=old)
        c.claim("old%d" % n, probe=old)
        rows = [["c", "t", {"id": i, "v": "x"}] for i in range(30)]
        ok(c.apply(rows[:10], "old%d" % n, probe=old))
        old.send("commit", sink="old%d" % n, offsets=[["topic", 0, 10]])
        wait_for(lambda: open("/proc/%d/stat" % old.p.pid).read().rpartition(")")[2].split()[0] == "T")
        new = c.new_probe()
        c.open("new", probe=new, write_mode=1, name="s%d" % n)
        c.table([ID, col("v")], "t%d" % n, as_="t", probe=new)
        same(c.claim("new", probe=new), [0])
        ok(c.apply(rows[:15], "new", probe=new))
        ok(c.commit("new", probe=new))
        same(c.q("SELECT count(), uniqExact(id) FROM t%d" % n), [(15, 15)])
        old.p.send_signal(signal.SIGCONT)
        r = old.answer()
        if r["ok"]:  # its last write is older than the other's, and stays so
            fails(old("commit", sink="old%d" % n, offsets=[["topic", 0, 10]]), "FENCED")
        ok(c.apply(rows[15:], "new", probe=new))
        ok(c.commit("new", probe=new))
        same(c.q("SELECT count(), uniqExact(id) FROM t%d" % n), [(30, 30)])
        same(c.claim("new", probe=new), [30])


@test
def many_claim_at_once(c):
    """One of them is the owner in the end."""
    probes = [c.new_probe() for _ in range(4)]
    for p in probes:
        c.open("s", probe=p, write_mode=1)
        c.table([ID, col("v")], probe=p)
    for p in probes:
        p.send("claim", sink="s", offsets=[["topic", 0]])
    claimed = [p for p in probes if p.answer()["ok"]]
    assert claimed, "nobody has claimed"
    good = 0
    for p in claimed:
        c.next[(p, "s", 0)] = 0
        ok(c.apply([["c", "t", {"id": 1, "v": "x"}]], "s", p))
        good += c.commit("s", p)["ok"]
    same((good, c.q("SELECT count() FROM t")), (1, [(1,)]))


@test
def lost_replies(c):
    """I18: requests that are cut off before or after the server has them, each one in turn."""
    count = [0]
    plan = {}

    def handle(request):
        count[0] += 1
        return plan.get(count[0])
    proxy = Proxy(c.port, handle)
    rows = [["c", "t", {"id": i, "v": "x"}] for i in range(200)]
    at, failed = 0, 0
    for round in range(41):
        p = c.new_probe()
        count[0] = 0
        plan.clear()
        for n in (0, 1):  # libcurl sends again what it sent by a connection that it had kept
            plan[1000 * (round == 40) + 3 + round // 2 % 19 + n] = "cut after" if round % 2 else "cut before"
        if not p("open", **{"as": "a"}, type="clickhouse", dsn=c.dsn(proxy.port), pipeline=c.name, write_mode=1)["ok"]:
            failed += 1
            continue
        c.table([ID, col("v")], probe=p)
        r = p("claim", sink="a", offsets=[["topic", 0]])
        at = max(r["next"][0], 0) if r["ok"] else at
        while r["ok"] and at < len(rows):
            r = c.apply(rows[at:at + 5], probe=p, offset=at)
            r = r if not r["ok"] else p("commit", sink="a", offsets=[["topic", 0, min(at + 5, len(rows))]])
            at = min(at + 5, len(rows)) if r["ok"] else at
            if round < 40 and at >= (round + 1) * 5:
                break
        if not r["ok"]:
            failed += 1
            same(r["error"]["kind"], "CONNECT")
    proxy.close()
    same(c.q("SELECT count(), uniqExact(id) FROM t"), [(200, 200)])
    assert failed > 10, failed


if __name__ == "__main__":
    sys.exit(main("clickhouse_sink"))
