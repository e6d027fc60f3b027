#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""schema.on_change: ignore, on real servers. Tables are altered under writers that know what they wrote, with SIGKILLs
around each ALTER: every state is published once, in the shape that the table had first, and the topic has one schema. What does not
fit that shape holds its table; with evolve the shape of now is published."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, Pipeline, case, eventually, finish, read_topics, together  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402
from schema_changes_test import (TABLE, Change, all_there, check_control, differences, end, held, pair, published, write)  # noqa: E402

OLD = ("id", "k", "v", "c")
CHANGES = [
    Change("added", None, "alter table {t} add n int"),
    Change("add_first", None, "alter table {t} add n int not null default 5", "alter table {t} add n int not null default 5 first"),
    Change("dropped", None, "alter table {t} drop column c"),
    Change("renamed", None, "alter table {t} rename column c to d"),
    Change("rename_add", None, "alter table {t} rename column c to d; alter table {t} add n text", "alter table {t} rename column c to d, add n text"),
    Change("widen", None, "alter table {t} alter c type bigint", "alter table {t} modify c bigint"),
    Change("narrow", None, "alter table {t} alter c type int", "alter table {t} modify c int", "bigint"),
]
NAMES = [c.name for c in CHANGES]


def head(server):
    if server == "postgres":
        return "\nsources:\n  src:\n    type: postgres\n    dsn: {source}\n    prefix: {id}\n    log: {{publication: pub, slot: {slot}}}\n"
    return "\nsources:\n  src:\n    type: {type}\n    dsn: {source}\n    password: {password}\n    prefix: {id}\n    insecure: true\n"


def config(server, names, policy):
    space = "public" if server == "postgres" else "{id}"
    keys = ", ".join(f"{k}: {policy}" for k in ("add_column", "drop_column", "rename_column", "change_type"))
    return head(server) + "    tables:\n" + "".join(f"      {space}.{t}: {{{{schema: {{{{on_change: {{{{{keys}}}}}}}}}}}}}\n" for t in names)


def pipeline(server, names):
    p = Pipeline(config(server, names, "ignore"), target=False) if server == "postgres" else MyPipeline(config(server, names, "ignore"), server)
    p.space = "public" if server == "postgres" else p.id
    if server == "postgres":
        p.sql("create publication pub for all tables")
    return p


def as_it_was(row):
    """What a row of any shape is in the first one."""
    return dict({k: row.get(k) for k in OLD}, c=row.get("c", row.get("d")))


def schemas(p, table):
    return {m.value()[:5] for m in read_topics(p.bootstrap, [f"{p.id}.{p.space}.{table}"]) if m.value()}


def altered(p, server):
    """Three ALTERs each: under way, while it is down, and before it is killed with what it then read."""
    def alter(some):
        for c in some:
            p.sql(c.sql(server, c.name))
    alter(CHANGES[0::3])
    p.kill()
    alter(CHANGES[1::3])
    p.start(failpoint="capture_after_produce:kill")
    p.wait_exit()
    p.start()
    alter(CHANGES[2::3])
    p.kill()
    p.start()


def under_kills(server):
    p = pipeline(server, NAMES)
    with case(f"on_change_ignore.{server}", p):
        for c in CHANGES:
            p.sql(TABLE.format(t=c.name, c=c.c))
        p.start()
        p.says("stream from")
        writers = write(p, server, range(3), NAMES)
        eventually("each table's first row", lambda: all(published(p, NAMES).values()), 90, 0.5)
        altered(p, server)
        count = [w.count for w in writers]
        eventually("rows behind that", lambda: all(w.count > c + 20 for w, c in zip(writers, count)))
        raw = end(writers)
        want = {t: {i: [as_it_was(row) for row in states] for i, states in rows.items()} for t, rows in raw.items()}
        got = all_there(p, want, NAMES, "all of it, as it was")
        check_control(want["added"], got["added"])
        for t in NAMES:
            assert differences(raw[t], got[t]) or t in ("widen", "narrow"), f"{t}: its shape has not changed: the test shows nothing"
            assert len(schemas(p, t)) == 1, f"{t}: {schemas(p, t)}"
        assert not held(p)
        status(p, server)
        again_from_the_start(p, want)
        evolves(p, server, want, raw)
    p.close()


def status(p, server):
    tables = {t["name"].split(".", 1)[1]: t["kept"] for part in json.loads(p.verb("status", "--json")[1])["result"]["status"]["parts"] for t in part.get("tables", [])}
    assert tables["added"] == "n left out" and tables["dropped"] == "c without its column", tables
    assert tables["rename_add"] == "c from d, n left out" and tables["widen"] == "c of its former type", tables
    code, out, err = p.verb("plan")
    assert code in (0, 1, 2), (code, err)
    for text in (".added goes on in its former shape, as schema.on_change says ignore: n left out", ".renamed goes on in its former shape"):
        assert text in out, out


def again_from_the_start(p, want):
    """Rows of a snapshot have the present shape, and are published in the former one."""
    before = len(p.events("dropped", p.space))
    for t in ("dropped", "renamed"):
        code, _, err = p.verb("snapshot", "start", f"src/{p.space}.{t}", "-y")
        assert code == 0, err
    eventually("the snapshot's rows", lambda: len(p.events("dropped", p.space)) >= before + len(want["dropped"]), 60, 0.5)
    eventually("and of the other table", lambda: any(e and e["op"] == "r" and e["after"]["id"] in want["renamed"] for e in p.events("renamed", p.space)), 60, 0.5)
    for t in ("dropped", "renamed"):
        assert len(schemas(p, t)) == 1
        assert all(set(e["after"]) == set(OLD) for e in p.events(t, p.space) if e and e["after"])


def evolves(p, server, want, raw):
    """evolve: what is published from then on is the row as it is."""
    names = [t for t in NAMES if t != "narrow"]  # the registry refuses that
    assert p.stop() == 0
    p.write(config(server, names, "evolve"))
    p.start()
    p.says("stream from")
    writers = write(p, server, range(3, 6), names)
    eventually("rows of now", lambda: all(w.count > 30 for w in writers))
    for t, rows in end(writers).items():
        want[t].update(rows)
    all_there(p, want, names, "the shape of now")
    assert all(len(schemas(p, t)) == 2 for t in names) and p.stop() == 0


def kept_no_longer(server):
    """A value that the former type does not hold, a column that must be there, a type that no value fits: held, the others go on."""
    names = ["big", "gone", "other", "fine"]
    p = pipeline(server, names)
    with case(f"on_change_ignore.held_{server}", p):
        for t in names:
            p.sql(f"create table {t} (id int primary key, c int not null)" if t == "gone" and server != "postgres" else f"create table {t} (id int primary key, c int)")
            p.sql(f"insert into {t} values (1, 1)")
        p.start()
        p.says("stream from")
        modify = "alter table {} alter c type {}" if server == "postgres" else "alter table {} modify c {}"
        p.sql(modify.format("big", "bigint"))
        p.sql(modify.format("other", "text"))
        p.sql("alter table gone drop column c")
        p.sql("insert into big values (2, 2)")
        p.sql("insert into big values (3, 3000000000)")
        p.sql("insert into other values (2, 'x')")
        p.sql("insert into gone values (2)")
        p.sql("insert into fine values (2, 2)")
        p.wait_events("big", 2, p.space)
        p.wait_events("fine", 2, p.space)
        wait = {"big", "other"} | ({"gone"} if server != "postgres" else set())  # PostgreSQL's fields may all be null
        eventually("those that cannot be kept are held", lambda: held(p) == wait, 60, 0.3)
        log = p.log()
        assert "says ignore, but a value does not fit the former type" in log and "its former shape cannot be kept: field c" in log, log
        p.kill()
        p.start()
        p.says("stream from")
        p.sql("insert into fine values (3, 3)")
        p.wait_events("fine", 3, p.space)
        eventually("held again, at the same rows", lambda: held(p) == wait, 60, 0.3)
        assert p.stop() == 0
        p.write(config(server, names, "evolve").replace(".other: {{", ".other: {{topic: '{id}.v2.other', "))
        p.start()
        p.wait_events("big", 3, p.space)
        eventually("nothing is held", lambda: not held(p), 60, 0.3)
        assert sorted(e["after"]["c"] for e in p.events("big", p.space)) == [1, 2, 3000000000]
        assert p.stop() == 0
    p.close()


def caught_up(server):
    """A table that was paused over an ALTER: the second reader publishes both shapes as the first, as the stream does then."""
    p = pipeline(server, ["t", "u"])
    with case(f"on_change_ignore.caught_up_{server}", p):
        for t in "tu":
            p.sql(TABLE.format(t=t, c="int"))
            p.sql(f"insert into {t} (id, v, c) values (1, 1, 1)")
        p.start()
        p.says("stream from")
        p.wait_events("t", 1, p.space)
        code, _, err = p.verb("pause", f"src/{p.space}.t", "--why", "to see", "-y")
        assert code == 0, err
        p.sql("insert into t (id, v, c) values (2, 2, 2)")
        p.sql("alter table t add n int")
        p.sql("alter table t rename column c to d")
        p.sql("insert into t (id, v, d, n) values (3, 3, 3, 3)")
        p.sql("insert into u (id, v, c) values (2, 2, 2)")
        p.wait_events("u", 2, p.space)
        assert held(p) == {"t"} and len(p.events("t", p.space)) == 1
        p.kill()
        p.start()
        p.says("stream from")
        code, _, err = p.verb("resume", f"src/{p.space}.t", "-y")
        assert code == 0, err
        p.wait_events("t", 3, p.space)
        eventually("nothing is held", lambda: not held(p), 60, 0.3)
        p.sql("insert into t (id, v, d, n) values (4, 4, 4, 4)")
        p.wait_events("t", 4, p.space)
        rows = sorted(tuple(e["after"].items()) for e in p.events("t", p.space))
        assert rows == [(("id", i), ("k", 3), ("v", i), ("c", i)) for i in (1, 2, 3, 4)] and len(schemas(p, "t")) == 1, rows
        assert p.stop() == 0
    p.close()


def compared(server):
    """method: snapshot compares rows with what was published: in its former shape nothing has changed, and nothing is sent again."""
    keys = ", ".join(f"{k}: ignore" for k in ("add_column", "drop_column", "rename_column", "change_type"))
    p = pair(server, f"method: snapshot, poll: {{{{every: 300ms}}}}, schema: {{{{on_change: {{{{{keys}}}}}}}}}", log=False)
    with case(f"on_change_ignore.compared_{server}", p):
        p.write(p.text, CONFIG.replace("partitions: 3", "partitions: 3, config: {{cleanup.policy: compact}}"))
        p.start()
        for t in "tu":
            p.wait_events(t, 1, p.space)
        p.sql("alter table t add n int")
        p.sql("alter table t rename column v to w")
        p.sql("update t set w = 7, n = 1")
        p.sql("insert into t values (2, 2, 2)")
        p.wait_events("t", 3, p.space)
        p.kill()
        p.start()
        p.sql("update t set w = 8 where id = 1")
        p.sql("insert into u values (2, 2)")
        p.wait_events("u", 2, p.space)
        p.wait_events("t", 4, p.space)
        p.sql("update t set n = 9")  # which nobody is to see
        p.sql("insert into t values (3, 3, 3)")
        p.wait_events("t", 5, p.space)
        rows = sorted((e["after"]["id"], e["after"]["v"]) for e in p.events("t", p.space))
        assert rows == [(1, 1), (1, 7), (1, 8), (2, 2), (3, 3)] and len(schemas(p, "t")) == 1, rows
        assert p.stop() == 0
    p.close()


if __name__ == "__main__":
    SERVERS = sys.argv[1:] or ["postgres", "mariadb"]  # mysql: as mariadb
    for s in [s for s in SERVERS if s != "postgres"]:
        there, why = add_server(s)
        if not there:
            print(f"skip on_change_ignore.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([lambda s=s, f=f: f(s) for s in SERVERS for f in (under_kills, kept_no_longer, caught_up, compared)], 4)
    finish()
