#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""schema.on_change: new_topic, on real servers. Tables are altered under writers that know what they wrote, with SIGKILLs around the
marker's commit: the old topic has every state from before and then, in each partition, the marker; the new one every state from after, once and in
order, and a snapshot, so that what it says last of each row is what the table holds. No row of one shape is in the other's topic."""
import json
import os
import sys
import urllib.request

from confluent_kafka.admin import AdminClient

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, Pipeline, case, connect, eventually, finish, metric, read_topics, together  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402
from schema_changes_test import (FIRST, TABLE, Change, check_control, decode, differences, end, held, write)  # noqa: E402

CHANGES = [
    Change("retype", None, "alter table {t} alter c type text", "alter table {t} modify c text"),
    Change("dropped", None, "alter table {t} drop column c"),
    Change("renamed", None, "alter table {t} rename column c to d"),
]
NAMES = [c.name for c in CHANGES]
KINDS = {"retype": "change_type", "dropped": "drop_column", "renamed": "rename_column"}
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ['/^{id}[.]SPACE[.][a-z]+([.]v[0-9]+)?$/']
    create: run
    write: {{every: 50ms}}
"""


def head(server):
    if server == "postgres":
        return "\nsources:\n  src:\n    type: postgres\n    dsn: {source}\n    prefix: {id}\n    log: {{publication: pub, slot: {slot}}}\n"
    return "\nsources:\n  src:\n    type: {type}\n    dsn: {source}\n    password: {password}\n    prefix: {id}\n    insecure: true\n"


def config(server, names, policy="new_topic", more=""):
    space = "public" if server == "postgres" else "{id}"
    keys = ", ".join(f"{k}: {policy}" for k in ("drop_column", "rename_column", "change_type"))
    tables = "".join(f"      {space}.{t}: {{{{owner: shop-team, schema: {{{{on_change: {{{{{keys}}}}}}}}}}}}}\n" for t in names)
    return head(server) + "    tables:\n" + tables + more.replace("SPACE", space)


def pipeline(server, names, more="", target=False):
    text = config(server, names, more=more)
    p = Pipeline(text, target=target) if server == "postgres" else MyPipeline(text, server, target=target)
    p.space, p.text = "public" if server == "postgres" else p.id, text
    if server == "postgres":
        p.sql("create publication pub for all tables")
    return p


def topic(p, table, generation=1):
    return f"{p.id}.{p.space}.{table}" + (f".v{generation}" if generation > 1 else "")


def marker(m):
    """What a message says that its topic goes on in; None: it is another."""
    return dict(m.headers() or []).get("freshet.closed")


def messages(p, *topics):
    return read_topics(p.bootstrap, list(topics))


def states(p, *topics):
    """id -> its states, as the log brought them."""
    out = {}
    for t in topics:
        for m in messages(p, t):
            e = m.value() and decode(p, m.value())
            if e and e["op"] in "cu" and e["after"]["id"] > FIRST:
                out.setdefault(e["after"]["id"], []).append(e["after"])
    return out


def last_rows(p, name):
    """id -> what the topic says last of it."""
    out = {}
    for m in messages(p, name):
        e = m.value() and decode(p, m.value())
        if e and e["op"] == "d":
            out.pop(e["before"]["id"], None)
        elif e:
            out[e["after"]["id"]] = e["after"]
    return out


def rows(p, table):
    """id -> the row, as the source has it."""
    names = [r[0] for r in p.sql(f"select column_name from information_schema.columns where table_name = '{table}' and table_schema = '{p.space}' order by ordinal_position")]
    return {r[0]: dict(zip(names, r)) for r in p.sql(f"select * from {table}")}


def in_target(p, table):
    """The same of the target; nothing where it has no such table."""
    c = connect(p.target)
    try:
        q = c.cursor()
        q.execute("select to_regclass(%s)", (table,))
        if q.fetchone()[0] is None:
            return {}
        q.execute(f"select * from {table}")
        names = [d[0] for d in q.description]
        return {r["id"]: r for r in ({n: v for n, v in zip(names, row) if not n.startswith("_")} for row in q.fetchall())}
    finally:
        c.close()


def follows(p, table, want):
    """The target's table becomes this."""
    try:
        eventually(f"{table} in the target", lambda: in_target(p, table) == want(), 150, 0.5)
    except AssertionError as e:
        got = in_target(p, table)
        bad = [(i, got.get(i), want().get(i)) for i in sorted(set(got) | set(want())) if got.get(i) != want().get(i)]
        raise AssertionError(f"{e}: {len(bad)} rows differ: {bad[:3]}") from None


def check_closed(p, table, generation=1, partitions=3):
    """Each partition ends with the marker, there is one, and rows have one schema. Answers how many rows there are."""
    by = {}
    for m in messages(p, topic(p, table, generation)):
        by.setdefault(m.partition(), []).append(m)
    assert len(by) == partitions, (table, len(by))
    problems = not_closed(by, topic(p, table, generation + 1))
    assert not problems, (table, problems)
    return by


def not_closed(by, to):
    out = []
    schemas = {m.value()[:5] for ms in by.values() for m in ms if m.value()}
    if len(schemas) > 1:
        out.append(f"{len(schemas)} schemas")
    for partition, ms in by.items():
        marks = [i for i, m in enumerate(ms) if marker(m)]
        if marks != [len(ms) - 1] or marker(ms[-1]) != to.encode() or ms[-1].value() is not None:
            out.append(f"partition {partition}: markers at {marks} of {len(ms)}")
    return out


def control_closed(by, to):
    """A row behind the marker, no marker, two of them, a row of another schema: each is seen."""
    partition = next(k for k, ms in by.items() if len(ms) > 1 and ms[0].value())
    ms = by[partition]

    class Other:
        def value(self): return b"\0\0\0\xff\xff" + ms[0].value()[5:]
        def headers(self): return None
    for wrong in (ms + ms[:1], ms[:-1], ms + ms[-1:], [Other()] + ms):
        assert not_closed({**by, partition: wrong}, to), "the check sees nothing"


def check_order(p, name):
    """Whatever comes of a row, snapshot or log, is never older than what came before."""
    seen = {}
    wrong = []
    for m in messages(p, name):
        e = m.value() and decode(p, m.value())
        if not e or not e["after"]:
            continue
        i, v = e["after"]["id"], e["after"]["v"]
        if v < seen.get(i, v):
            wrong.append((i, seen[i], v))
        seen[i] = v
    return wrong, seen


def notices(p, kind="schema.new_topic"):
    out = [json.loads(m.value()) for m in messages(p, f"freshet.{p.id}.notices")]
    return [n for n in out if n["notice"] == kind]


def equal_at_last(p, table, name):
    """What the topic says last of each row is the table's."""
    def probe():
        assert p.daemon.poll() is None, p.log(True)[-1500:]
        return last_rows(p, name) == rows(p, table)
    try:
        eventually(f"{table}: its rows in {name}", probe, 120, 0.5)
    except AssertionError:
        got, want = last_rows(p, name), rows(p, table)
        bad = [(i, got.get(i), want.get(i)) for i in sorted(set(got) | set(want)) if got.get(i) != want.get(i)]
        raise AssertionError(f"{name}: {len(bad)} rows differ: {bad[:3]}; {p.log(True)[-1500:]}") from None


def killed(p, change, server, failpoint):
    """The table is altered while it is down; then it is killed around the marker."""
    p.kill()
    p.sql(change.sql(server, change.name))
    p.start(failpoint=failpoint)
    p.wait_exit(120)
    p.start()


def under_kills(server):
    names = NAMES + ["plain"]
    p = pipeline(server, names, SINK, target=True)
    with case(f"new_topic.{server}", p):
        for t in names:
            p.sql(TABLE.format(t=t, c="int"))
            p.sql(f"insert into {t} (id, v, c) values (1, 1, 1), (2, 2, 2), (3, 3, 3)")
        p.write(config(server, names))  # a sink whose pattern takes no topic yet would look again minutes later
        p.start()
        p.says("stream from")
        writers = write(p, server, range(2), names)
        eventually("each table's rows", lambda: all(states(p, topic(p, t)) for t in names), 120, 0.5)
        p.write(p.text)
        p.sql(CHANGES[0].sql(server, "retype"))
        eventually("the first marker", lambda: notices(p), 120, 0.5)
        killed(p, CHANGES[1], server, "capture_move_record:kill")
        eventually("the second marker", lambda: len(notices(p)) == 2, 120, 0.5)
        killed(p, CHANGES[2], server, "capture_move_committed:kill")
        eventually("the third marker", lambda: len(notices(p)) == 3, 120, 0.5)
        p.kill()
        p.start()
        count = [w.count for w in writers]
        eventually("rows behind that", lambda: all(w.count > c + 20 for w, c in zip(writers, count)))
        for t in NAMES:
            p.sql(f"delete from {t} where id = 2")
        want = end(writers)
        for t in NAMES:
            equal_at_last(p, t, topic(p, t, 2))
            check_once(p, t, want[t])
        eventually("the table that nobody altered", lambda: not differences(want["plain"], states(p, topic(p, "plain"))), 60, 0.5)
        said(p)
        sinks(p)
        again(p, server)
        assert p.stop() == 0
    p.close()


def check_once(p, t, want):
    got = states(p, topic(p, t), topic(p, t, 2))
    assert not differences(want, got), differences(want, got)[:3]
    check_control(want, got)
    by = check_closed(p, t)
    control_closed(by, topic(p, t, 2))
    wrong, seen = check_order(p, topic(p, t, 2))
    assert not wrong and len(seen) > 3, wrong[:3]
    ops = {decode(p, m.value())["op"] for m in messages(p, topic(p, t, 2)) if m.value()}
    assert {"r", "c", "u", "d"} <= ops, ops
    old, new = states(p, topic(p, t)), states(p, topic(p, t, 2))
    assert old and new and all(set(r) == {"id", "k", "v", "c"} for s in old.values() for r in s)
    shape = {"retype": {"id", "k", "v", "c"}, "dropped": {"id", "k", "v"}, "renamed": {"id", "k", "v", "d"}}[t]
    assert all(set(r) == shape for s in new.values() for r in s)
    if t == "retype":
        assert all(isinstance(r["c"], int) for s in old.values() for r in s) and all(isinstance(r["c"], str) for s in new.values() for r in s)


def said(p):
    """Notices, status, metrics, position, plan and lineage name both topics."""
    for n in notices(p):
        assert n["kind"] == KINDS[n["table"]] and n["owner"] == "shop-team" and n["topic"] == topic(p, n["table"]) and n["new_topic"] == topic(p, n["table"], 2), n
    document = json.loads(p.verb("status", "--json")[1])["result"]["status"]
    of = {t["name"].split(".", 1)[1]: t for part in document["parts"] if part["name"] == "src" for t in part["tables"]}
    for t in NAMES:
        assert (of[t]["topic"], of[t]["former_topic"], of[t]["generation"]) == (topic(p, t, 2), topic(p, t), 2), of[t]
        assert metric(p, "table_generation", f'topic="{topic(p, t, 2)}"') == 2
    assert of["plain"]["topic"] is None and of["plain"]["generation"] is None, of["plain"]
    assert f"goes on in topic {topic(p, 'retype', 2)}; closed: {topic(p, 'retype')}" in p.verb("status", "-v")[1]
    code, out, err = p.verb("position", "show", "src", "--json")
    result = json.loads(out)["result"]
    generations = result.get("checkpoint", result)["generations"]
    assert {k.rsplit(".", 1)[1]: g["generation"] for k, g in generations.items()} == dict.fromkeys(NAMES, 2), generations
    code, out, err = p.verb("plan")
    for t in NAMES:
        assert f"has left topic {topic(p, t)} for {topic(p, t, 2)}" in out, (out + err)[-2500:]
    code, out, err = p.verb("lineage", f"src/{p.space}.retype")
    assert topic(p, "retype", 2) in out and f"closed: {topic(p, 'retype')}" in out, (out + err)[-2500:]


def sinks(p):
    """Both topics, each in a table of its own: the new one's ends as the source's is, the other holds what came before the marker. No error, nothing held."""
    for t in NAMES:
        follows(p, f"{t}_v2", lambda t=t: rows(p, t))
        want = last_rows(p, topic(p, t))
        follows(p, t, lambda want=want: want)
    document = json.loads(p.verb("status", "--json")[1])["result"]["status"]
    for part in document["parts"]:
        assert part["state"] == "streaming" and not any(t.get("held") for t in part.get("tables", [])), part


def again(p, server):
    """Another change: the third generation."""
    p.sql("alter table retype rename column c to d")
    p.sql("insert into retype (id, v, d) values (9, 9, 'x')")
    eventually("the next marker", lambda: len(notices(p)) == 4, 60, 0.5)
    equal_at_last(p, "retype", topic(p, "retype", 3))
    check_closed(p, "retype", 2)
    check_closed(p, "retype", 1)
    p.kill()
    p.start()
    p.sql("insert into retype (id, v, d) values (10, 10, 'y')")
    equal_at_last(p, "retype", topic(p, "retype", 3))
    follows(p, "retype_v3", lambda: rows(p, "retype"))
    assert len(messages(p, topic(p, "retype", 4))) == 0


def split(server):
    """PostgreSQL: an ALTER within a transaction that takes several of Kafka's, and kills around the marker's commit, at which the transaction is
    published in part: its rows of the former shape are read again, and are nothing of the new topic."""
    base = CONFIG.replace("kafka:\n", "kafka:\n  transaction: {{max_events: 100}}\n")
    for failpoint in ("capture_move:kill", "capture_move_record:kill", "capture_move_committed:kill"):
        p = pipeline(server, ["retype", "plain"])
        with case(f"new_topic.split.{failpoint}", p):
            p.write(config(server, ["retype", "plain"]), base)
            for t in ("retype", "plain"):
                p.sql(TABLE.format(t=t, c="int"))
            p.start(failpoint)
            p.says("stream from")
            one = "insert into {t} (id, v, c) select i, 1, {c} from generate_series({a}, {b}) i"
            p.sql("begin; " + "; ".join((
                one.format(t="retype", c="i", a=FIRST + 1, b=FIRST + 5000), one.format(t="plain", c="i", a=FIRST + 1, b=FIRST + 50),
                "alter table retype alter c type text", one.format(t="retype", c="i::text", a=FIRST + 5001, b=FIRST + 10000),
                one.format(t="plain", c="i", a=FIRST + 51, b=FIRST + 100), "commit")))
            p.wait_exit(60)
            result = json.loads(p.verb("position", "show", "src", "--json")[1])["result"]
            k = result.get("checkpoint", result)
            assert 0 < int(k["stream"]["split"]["events"]) < 10100, "it was not published in part: the test shows nothing"
            if "committed" in failpoint:
                g = k["generations"][topic(p, "retype")]
                assert (g["generation"], g["seen"], g["txn"]) == (2, "5000", k["stream"]["split"]["id"]), g
            else:
                assert "generations" not in k, k
            p.start()
            equal_at_last(p, "retype", topic(p, "retype", 2))
            old, new, plain = (states(p, topic(p, *t)) for t in (("retype",), ("retype", 2), ("plain",)))
            assert sorted(old) == list(range(FIRST + 1, FIRST + 5001)) and sorted(new) == list(range(FIRST + 5001, FIRST + 10001)), (len(old), len(new))
            assert sorted(plain) == list(range(FIRST + 1, FIRST + 101)) and all(len(s) == 1 for x in (old, new, plain) for s in x.values())
            by = check_closed(p, "retype")
            control_closed(by, topic(p, "retype", 2))
            assert len({m.value()[:5] for m in messages(p, topic(p, "retype", 2))}) == 1 and not messages(p, topic(p, "retype", 3))
            with urllib.request.urlopen(f"{os.environ['REGISTRY_URL']}/subjects/{topic(p, 'retype', 2)}-value/versions", timeout=20) as versions:
                assert len(json.load(versions)) == 1, "the former shape is a version of the new subject"
            assert p.stop() == 0
        p.close()


def released(server):
    """A table that block held goes on in another topic once the policy says so: the second reader meets the change."""
    p = pipeline(server, ["retype", "plain"])
    with case(f"new_topic.released_{server}", p):
        p.write(config(server, ["retype", "plain"], "block"))
        for t in ("retype", "plain"):
            p.sql(TABLE.format(t=t, c="int"))
            p.sql(f"insert into {t} (id, v, c) values (1, 1, 1)")
        p.start()
        p.says("stream from")
        p.sql(CHANGES[0].sql(server, "retype"))
        p.sql("insert into retype (id, v, c) values (2, 2, 'x')")
        eventually("it is held", lambda: held(p) == {"retype"}, 60, 0.3)
        p.sql("insert into retype (id, v, c) values (3, 3, 'y')")
        p.sql("insert into plain (id, v, c) values (2, 2, 2)")
        p.wait_events("plain", 2, p.space)
        assert p.stop() == 0
        p.write(config(server, ["retype", "plain"]))
        p.start("capture_move_record:kill")
        p.wait_exit(60)
        p.start()
        equal_at_last(p, "retype", topic(p, "retype", 2))
        check_closed(p, "retype")
        log = [e["after"]["id"] for e in (decode(p, m.value()) for m in messages(p, topic(p, "retype", 2)) if m.value()) if e["op"] == "c"]
        assert sorted(log) == [2, 3], log
        eventually("nothing is held", lambda: not held(p), 60, 0.3)
        assert p.stop() == 0
    p.close()


def by_apply(server):
    """kafka.topics.create: apply: held with what to type, and no row of the new shape anywhere, until apply has made the topic."""
    base = CONFIG.replace("create: run", "create: apply").replace("register: run", "register: apply")
    p = pipeline(server, ["retype", "plain"])
    with case(f"new_topic.by_apply_{server}", p):
        p.write(config(server, ["retype", "plain"]), base)
        for t in ("retype", "plain"):
            p.sql(TABLE.format(t=t, c="int"))
            p.sql(f"insert into {t} (id, v, c) values (1, 1, 1)")
        code, out, err = p.verb("apply", "-y")
        assert code == 0, (code, (out + err)[-2500:])
        p.start()
        p.says("stream from")
        p.wait_events("retype", 1, p.space)
        p.sql(CHANGES[0].sql(server, "retype"))
        p.sql("insert into retype (id, v, c) values (2, 2, 'x')")
        eventually("it is held", lambda: held(p) == {"retype"}, 60, 0.3)
        assert f"it cannot go on in topic {topic(p, 'retype', 2)}" in p.log() and f"make topic {topic(p, 'retype', 2)}" in p.log(), p.log()[-1500:]
        assert not [m for m in messages(p, topic(p, "retype")) if marker(m)]
        p.sql("insert into plain (id, v, c) values (2, 2, 2)")
        p.wait_events("plain", 2, p.space)
        code, out, err = p.verb("plan")
        assert f"it goes on in {topic(p, 'retype', 2)}" in out, (out + err)[-2500:]
        code, out, err = p.verb("apply", "-y")
        assert code == 0, (code, (out + err)[-1200:])
        assert topic(p, "retype", 2) in AdminClient({"bootstrap.servers": p.bootstrap}).list_topics(timeout=20).topics, (out + err)[-2500:]
        code, out, err = p.verb("resume", f"src/{p.space}.retype", "-y")
        assert code == 0, (code, (out + err)[-2500:])
        equal_at_last(p, "retype", topic(p, "retype", 2))
        check_closed(p, "retype")
        assert p.stop() == 0
    p.close()


def by_snapshot(server):
    """Nobody writes after the ALTER: the first row of the new shape is one of a snapshot. Compacted topics, whose marker needs a key."""
    base = CONFIG.replace("partitions: 3", "partitions: 3, config: {{cleanup.policy: compact}}")
    p = pipeline(server, ["retype", "plain"])
    with case(f"new_topic.by_snapshot_{server}", p):
        p.write(config(server, ["retype", "plain"]), base)
        for t in ("retype", "plain"):
            p.sql(TABLE.format(t=t, c="int"))
            for i in range(1, 30):
                p.sql(f"insert into {t} (id, v, c) values ({i}, 1, 1)")
        p.start()
        p.says("stream from")
        p.wait_events("retype", 29, p.space)
        p.sql(CHANGES[0].sql(server, "retype"))
        for t in ("retype", "plain"):
            code, out, err = p.verb("snapshot", "start", f"src/{p.space}.{t}", "-y")
            assert code == 0, (code, (out + err)[-2500:])
        equal_at_last(p, "retype", topic(p, "retype", 2))
        by = check_closed(p, "retype")
        keys = {ms[-1].key() for ms in by.values()}
        assert len(keys) == 1 and b"freshet.closed" in keys.pop(), keys
        ops = [decode(p, m.value())["op"] for m in messages(p, topic(p, "retype", 2))]
        assert ops == ["r"] * 29, ops
        p.wait_events("plain", 58, p.space)
        assert p.stop() == 0
    p.close()


if __name__ == "__main__":
    SERVERS = [s for s in sys.argv[1:] if s in ("postgres", "mariadb", "mysql")] or ["postgres", "mariadb"]
    WANTED = [f for f in (under_kills, released, by_apply, by_snapshot, split) if f.__name__ in sys.argv[1:]] or [under_kills, released, by_apply, by_snapshot, split]
    for s in [s for s in SERVERS if s != "postgres"]:
        there, why = add_server(s)
        if not there:
            print(f"skip new_topic.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([lambda s=s, f=f: f(s) for s in SERVERS for f in WANTED if f is not split or s == "postgres"], 4)
    finish()
