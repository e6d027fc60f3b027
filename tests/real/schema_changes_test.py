#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Each ALTER of docs/schema-changes.md, under writers that know what they wrote, with SIGKILLs between: tables that are
held (block: ..._b), and twins of them that evolve (..._e). Nothing is lost, nothing comes twice, each message can be read
with the schema that it names, and says what its row was at that commit; what was held goes on after evolve and a restart."""
import io
import os
import random
import struct
import sys
import threading
import time

import fastavro
import psycopg2
import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, checkpoint, connect, eventually, finish, read_topics, together  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402

FIRST = 60 * 1000000  # ids of rows of the snapshot are below
NO_SUCH = {"42703", "42P01", 1054, 1146}  # column, table
AGAIN = {1020, 1205, 1213, 1412}  # MySQL: a deadlock, or a table that was altered since our view: the transaction begins again


class Change:
    """Of column c, or of the table. held: tables of policy block wait (and with EVOLVED its twin does not)."""

    def __init__(self, name, held, postgres, mysql=None, c="int"):
        self.name, self.held, self.c = name, held, c
        self.statements = {"postgres": postgres, "mysql": mysql or postgres}

    def sql(self, server, table):
        return self.statements["postgres" if server == "postgres" else "mysql"].format(t=table, c=self.c)


# What holds a table, by family of servers. EVOLVED: schema.on_change, until it says evolve. REFUSED: a topic's key or the
# registry's level; it goes on under another topic.
EVOLVED, REFUSED, NOTHING = "evolved", "refused", "nothing"
TABLE = "create table {t} (id int primary key, k int not null default 3, v int not null, c {c})"
CHANGES = [
    Change("add", EVOLVED, "alter table {t} add n int"),
    Change("add_default", EVOLVED, "alter table {t} add n int not null default 5"),
    Change("drop", EVOLVED, "alter table {t} drop column c"),
    Change("rename", EVOLVED, "alter table {t} rename column c to d"),
    Change("widen", EVOLVED, "alter table {t} alter c type bigint", "alter table {t} modify c bigint"),
    Change("digits", EVOLVED, "alter table {t} alter c type numeric(10, 2)", "alter table {t} modify c numeric(10, 2)", "numeric(6, 2)"),
    Change("narrow", REFUSED, "alter table {t} alter c type int", "alter table {t} modify c int", "bigint"),
    Change("retype", REFUSED, "alter table {t} alter c type text", "alter table {t} modify c text"),
    Change("key", REFUSED, "alter table {t} drop constraint {t}_pkey, add primary key (id, k)", "alter table {t} drop primary key, add primary key (id, k)"),
    Change("longer", NOTHING, "alter table {t} alter c type varchar(20)", "alter table {t} modify c varchar(20)", "varchar(10)"),
    Change("note", NOTHING, "alter table {t} alter c set default 9; comment on column {t}.c is 'what it is'",
           "alter table {t} modify c int default 9 comment 'what it is'", "int default 1"),
    Change("swap", NOTHING, "create table {t}_new (like {t} including all); begin; alter table {t} rename to {t}_old; alter table {t}_new rename to {t}; commit",
           "create table {t}_new like {t};\nrename table {t} to {t}_old, {t}_new to {t}"),
    Change("anew", NOTHING, "begin; drop table {t}; " + TABLE + "; commit", "drop table {t};\n" + TABLE),
    Change("anew_other", REFUSED, "begin; drop table {t}; " + TABLE.replace("{c}", "text") + "; commit", "drop table {t};\n" + TABLE.replace("{c}", "text")),
]
BY_SERVER = {  # pgoutput does not say which columns may be NULL
    "postgres": [Change("to_null", NOTHING, "alter table {t} alter c drop not null", c="int not null"),
                 Change("to_not_null", NOTHING, "alter table {t} alter c set not null")],
    "mysql": [Change("to_null", EVOLVED, "alter table {t} modify c int null", c="int not null"),
              Change("to_not_null", REFUSED, "alter table {t} modify c int not null"),
              Change("order", NOTHING, "alter table {t} modify c int first")],
}
# After these no restart finds the table: they come last, and their tables are taken out of the configuration.
GONE = [Change("table_rename", NOTHING, "alter table {t} rename to {t}_was"), Change("table_drop", NOTHING, "drop table {t}")]


def changes(server):
    return CHANGES + BY_SERVER["postgres" if server == "postgres" else "mysql"] + GONE


def tables(change):
    return [change.name + "_b"] + [change.name + "_e"] * (change.held is EVOLVED)


POLICY = {how: ", ".join(f"{k}_column: {how}" for k in ("add", "drop", "rename")) + f", change_type: {how}" for how in ("evolve", "block")}


def config(server, settled=False):
    """settled: all evolve, those that cannot have another topic, and those that are gone are left out."""
    head = "\nsources:\n  src:\n    type: {type}\n    dsn: {source}\n    password: {password}\n    prefix: {id}\n    insecure: true\n"
    if server == "postgres":
        head = "\nsources:\n  src:\n    type: postgres\n    dsn: {source}\n    prefix: {id}\n    log: {{publication: pub, slot: {slot}}}\n"
    lines = []
    for c in changes(server):
        for t in tables(c) if not (settled and c in GONE) else []:
            policy = POLICY["evolve" if settled or t.endswith("_e") else "block"]
            topic = f"topic: '{{id}}.v2.{t}', " if settled and c.held is REFUSED else ""
            lines.append(f"      {'public' if server == 'postgres' else '{id}'}.{t}: {{{{{topic}schema: {{{{on_change: {{{{{policy}}}}}}}}}}}}}\n")
    if server == "postgres":
        lines.append(f"      public.within_e: {{{{schema: {{{{on_change: {{{{{POLICY['evolve']}}}}}}}}}}}}}\n")
    return head + "    tables:\n" + "".join(lines)


class Writer(threading.Thread):
    """Transactions over two tables: a row each, and another state of an older one. Of each it keeps what the row was in the
    transaction, as the database says it."""

    def __init__(self, p, server, number, names):
        super().__init__(daemon=True)
        self.p, self.server, self.names = p, server, names
        self.random = random.Random(number)
        self.at = FIRST + number * 1000000
        self.stopping, self.error = False, None
        self.rows = {}  # table -> id -> its states
        self.with_c = {}
        self.count = 0

    def run(self):
        self.connection = connect(self.p.source) if self.server == "postgres" else my_connect(self.p.root, database=self.p.id)
        try:
            while not self.stopping:
                self.transaction(self.random.sample(self.names, 2))
                time.sleep(0.03)
        except Exception as e:  # shown by whoever joins us
            self.error = e
        finally:
            self.connection.close()  # no lock of ours keeps an ALTER waiting

    def states(self, q, table):
        """A new row, and an older one changed; NO_SUCH: the table or c is gone."""
        self.at += 1
        older = self.random.choice(list(self.rows.get(table, {0: 0})))
        c = self.with_c.get(table, True)
        q.execute(f"insert into {table} (id, v{', c' if c else ''}) values (%s, 0{', %s' if c else ''})",
                  (self.at, str(self.at % 100)) if c else (self.at,))
        q.execute(f"update {table} set v = v + 1 where id = %s", (older,))
        for i in (self.at, older):
            q.execute(f"select * from {table} where id = %s", (i,))
            for row in q.fetchall():
                yield i, {d[0]: value for d, value in zip(q.description, row)}

    def of_table(self, q, table):
        q.execute("savepoint s")
        try:
            return [(table, i, row) for i, row in self.states(q, table)]
        except (psycopg2.Error, pymysql.Error) as e:
            code = getattr(e, "pgcode", None) or e.args[0]
            if code not in NO_SUCH:
                raise
            q.execute("rollback to savepoint s")
            if code in ("42703", 1054):
                self.with_c[table] = False
            return []

    def transaction(self, names):
        q = self.connection.cursor()
        q.execute("begin")
        try:
            done = [row for table in names for row in self.of_table(q, table)]
        except pymysql.Error as e:
            if e.args[0] not in AGAIN:
                raise
            q.execute("rollback")
            return
        q.execute("commit")
        for table, i, row in done:
            self.rows.setdefault(table, {}).setdefault(i, []).append(row)
        self.count += 1


def ledger(writers):
    """table -> id -> its states, of all writers."""
    out = {}
    for w in writers:
        for table, rows in list(w.rows.items()):
            out.setdefault(table, {}).update(rows)
    return out


def decode(p, data):
    """By the schema that the message names, to its last byte."""
    rest = io.BytesIO(data[5:])
    e = fastavro.schemaless_reader(rest, p.registry.schema(struct.unpack(">bI", data[:5])[1]), None)
    assert not rest.read(1), "more bytes than the schema has"
    return e


def published(p, names):
    """table -> id -> its states as they were published."""
    space = p.id if isinstance(p, MyPipeline) else "public"
    out = {t: {} for t in names}
    for m in read_topics(p.bootstrap, [f"{p.id}.{s}.{t}" for t in names for s in (space, "v2")]):
        e = m.value() and decode(p, m.value())
        if e and e["op"] in "cu" and e["after"]["id"] > FIRST:
            out[m.topic().rsplit(".", 1)[1]].setdefault(e["after"]["id"], []).append(e["after"])
    return out


def differences(want, got):
    """What is missing, too much or other of one table."""
    return [f"{i}: {len(want.get(i, []))} states, published {len(got.get(i, []))}; {want.get(i, [])[-1:]} {got.get(i, [])[-1:]}"
            for i in sorted(set(want) | set(got)) if want.get(i) != got.get(i)]


def all_there(p, want, names, what):
    wrong = {}

    def probe():
        assert p.daemon.poll() is None, "the daemon ended"
        got = published(p, names)
        wrong.clear()
        wrong.update({t: d for t in names if (d := differences(want.get(t, {}), got[t]))})
        return got if not wrong else None
    try:
        return eventually(what, probe, 90, 0.5)
    except AssertionError as e:
        raise AssertionError(f"{e}: " + "; ".join(f"{t} {len(d)}: {d[0]}" for t, d in wrong.items())) from None


def held(p):
    return {name.split(".", 1)[1] for name in checkpoint(p)["held"]}


def check_held(want, got):
    """What was published of a held table is all that came before, and nothing of the new shape."""
    for i, states in got.items():
        assert states == want[i][:len(states)], (i, states, want[i])
    assert differences(want, got), "nothing waits: was it held?"


def check_control(want, got):
    """One row that is missing, twice there, or another: each is seen."""
    i = next(iter(got))
    for wrong in (got[i][:-1], got[i] + got[i][-1:], got[i][:-1] + [dict(got[i][-1], v=-1)], [{k: x for k, x in r.items() if k != "k"} for r in got[i]]):
        assert len(differences(want, {**got, i: wrong})) == 1, wrong


def alter(p, server, which):
    for c in which:
        for t in tables(c):
            p.sql(c.sql(server, t))


def altered_under_kills(p, server):
    """Killed, altered while it is down, and killed again when it has sent what it then read."""
    few = changes(server)[:-len(GONE)]
    alter(p, server, few[0::3])
    p.kill()
    alter(p, server, few[1::3])
    p.start(failpoint="capture_after_produce:kill")
    p.wait_exit()
    p.start()
    alter(p, server, few[2::3])
    p.kill()
    p.start()


ROW = {"id": FIRST + 1, "k": 3, "v": 1, "c": 1}
WITHIN = {FIRST + 1: [ROW], FIRST + 2: [dict(ROW, id=FIRST + 2, c=2, n=2)], FIRST + 3: [dict(ROW, id=FIRST + 3, c=3000000000)]}


def within_a_transaction(p):
    """PostgreSQL: rows before, between and after two ALTERs of their own transaction."""
    p.sql(f"begin; insert into within_e (id, v, c) values ({FIRST + 1}, 1, 1); alter table within_e add n int; insert into within_e (id, v, c, n) values"
          f" ({FIRST + 2}, 1, 2, 2); alter table within_e alter c type bigint, drop column n; insert into within_e (id, v, c) values ({FIRST + 3}, 1, 3000000000); commit")


def write(p, server, numbers, names):
    writers = [Writer(p, server, n, names) for n in numbers]
    for w in writers:
        w.start()
    return writers


def end(writers):
    for w in writers:
        w.stopping = True
    for w in writers:
        w.join()
        assert w.error is None, w.error
    return ledger(writers)


def scenario(p, server):
    names = [t for c in changes(server) for t in tables(c)]
    for c in changes(server):
        for t in tables(c):
            p.sql(TABLE.format(t=t, c=c.c))
    if server == "postgres":
        p.sql(TABLE.format(t="within_e", c="int") + "; create publication pub for all tables")
        names = names + ["within_e"]
    p.start()
    p.says("stream from")
    written = [t for t in names if t != "within_e"]
    writers = write(p, server, range(3), written)
    eventually("each table's first row", lambda: all(published(p, written).values()), 90, 0.5)
    altered_under_kills(p, server)
    waiting = {t for c in changes(server) for t in tables(c) if c.held is not NOTHING and not t.endswith("_e")}
    eventually("those that are to be held, and no other", lambda: held(p) == waiting, 60, 0.5)
    p.says("stream from")
    alter(p, server, GONE)
    if server == "postgres":
        within_a_transaction(p)
    count = [w.count for w in writers]
    eventually("rows behind that", lambda: all(w.count > c + 20 for w, c in zip(writers, count)))
    want = end(writers)
    if server == "postgres":
        want["within_e"] = WITHIN
    all_there(p, want, [t for t in names if t not in waiting], "what is not held")
    got = published(p, waiting)
    for t in waiting:
        check_held(want[t], got[t])
    assert held(p) - {t for c in GONE for t in tables(c)} == waiting and p.stop() == 0  # those are held within a minute
    p.write(config(server, True))
    p.start()
    writers = write(p, server, range(3, 6), [t for t in written if not t.startswith("table_")])
    eventually("nothing is held", lambda: not held(p), 60, 0.5)
    for table, rows in end(writers).items():
        want[table].update(rows)
    got = all_there(p, want, names, "all of it")
    check_control(want["widen_b"], got["widen_b"])
    assert p.stop() == 0


def pair(server, method="", log=True):
    """Two tables, t and u, of one source."""
    if server == "postgres":
        head = "\nsources:\n  src:\n    type: postgres\n    dsn: {source}\n    prefix: {id}" + "\n    log: {{publication: pub, slot: {slot}}}" * log
    else:
        head = "\nsources:\n  src:\n    type: {type}\n    dsn: {source}\n    password: {password}\n    prefix: {id}\n    insecure: true"
    space = "public" if server == "postgres" else "{id}"
    text = head + "\n    tables:\n" + "".join(f"      {space}.{t}: {{{{{method}}}}}\n" for t in "tu")
    p = Pipeline(text, target=False) if server == "postgres" else MyPipeline(text, server)
    p.space, p.text = space.format(id=p.id), text
    for t in "tu":
        p.sql(f"create table {t} (id int primary key, v int not null)")
        p.sql(f"insert into {t} values (1, 1)")
    return p


def ids(p, table):
    return sorted(e["after"]["id"] for e in p.events(table, p.space) if e and e["after"])


def polled(server):
    """Held by a column that is dropped, and by a table that is dropped; the other one is read on; back again, and nothing is missing."""
    p = pair(server, "method: query, poll: {{column: id, every: 100ms}}", log=False)
    with case(f"schema_changes.polled_{server}", p):
        if server != "postgres":
            p.grant("process on *.*")
        p.start()
        p.wait_events("t", 1, p.space)
        p.wait_events("u", 1, p.space)
        p.sql("alter table t add n int")
        p.sql("insert into t values (2, 2, 2)")
        p.wait_events("t", 2, p.space)
        p.sql("alter table t drop column v")
        p.sql("insert into t values (3, 3)")
        p.says(".t is held, the others go on")
        p.sql("drop table u")
        p.says(".u is held, the others go on")
        p.sql("create table u (id int primary key, v int not null)")
        p.sql("insert into u values (2, 2)")
        eventually("status has both", lambda: held(p) == {"t", "u"})
        p.kill()
        p.write(p.text.replace("method: query,", "method: query, schema: {{on_change: {{drop_column: evolve}}}},"))
        p.start()
        p.wait_events("t", 3, p.space)
        p.wait_events("u", 2, p.space)
        rows = {e["after"]["id"]: e["after"] for e in p.events("t", p.space)}
        assert rows == {1: {"id": 1, "v": 1}, 2: {"id": 2, "v": 2, "n": 2}, 3: {"id": 3, "n": 3}} and ids(p, "t") == [1, 2, 3], rows
        assert ids(p, "u") == [1, 2] and not held(p)
        assert p.stop() == 0
    p.close()


def run(server):
    p = Pipeline(config(server), target=False) if server == "postgres" else MyPipeline(config(server), server)
    with case(f"schema_changes.{server}", p):
        scenario(p, server)
    p.close()


if __name__ == "__main__":
    SERVERS = sys.argv[1:] or ["postgres", "mariadb"]  # mysql: as mariadb
    for s in [s for s in SERVERS if s != "postgres"]:
        there, why = add_server(s)
        if not there:
            print(f"skip schema_changes.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([lambda s=s: run(s) for s in SERVERS] + [lambda s=s: polled(s) for s in SERVERS], 4)
    finish()
