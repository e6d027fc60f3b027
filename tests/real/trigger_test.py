#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""method trigger: what triggers write down is published, each change once and in order, after a load without a gap; and
`freshet ddl triggers`, whose SQL runs as it is."""
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from urllib.parse import urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PG_SOURCE, Pipeline, case, connect, eventually, finish, read_topics, together, topics_of  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server, parts  # noqa: E402
from mysql import connect as my_connect  # noqa: E402
from outbox_case import LOCKED, Writers, is_locked  # noqa: E402

KEYS = 40
FAST = "method: trigger, poll: {{every: 50ms, batch: 40}}"


def quoted(p, *names):
    mark = '"' if p.kind == "postgres" else "`"
    return ".".join(mark + n.replace(mark, mark * 2) + mark for n in names)


def make(server, sql, table="t", more=FAST):
    """A pipeline with one table, made by sql; its triggers are not made yet."""
    line = "      " + json.dumps("%s." + table).replace("{", "{{").replace("}", "}}").replace("%s", "{space}") + ": {{" + more + "}}\n"
    if server == "postgres":
        p = Pipeline("", target=False)
        p.space, text = "public", PG_SOURCE
    else:
        p = MyPipeline("", server)
        p.space, text = p.id, MY_SOURCE
    p.kind, p.table = server, table
    p.write((text + line).replace("{space}", p.space))
    p.sql(sql)
    return p


def client(p, sql):
    if p.kind == "postgres":
        return subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", p.source], input=sql, text=True, capture_output=True)
    d = parts(p.root)
    return subprocess.run(["mariadb", "--no-defaults", "-h", d["host"], "-P", str(d["port"]), "-u", d["user"], "--skip-ssl"],
                          input=sql, text=True, capture_output=True)


def ddl(p, *words):
    code, out, err = p.verb("ddl", "triggers", "--table", f"src/{p.space}.{p.table}", *words)
    assert code == 0, (code, out, err)
    if p.kind != "postgres":  # the tests' user may be bound to one host only
        user = os.environ[p.server.upper() + "_USER"]
        assert f"`{user}`@'%'" in out, out
    return out


def run_ddl(p, *words):
    done = client(p, ddl(p, *words))
    noise = [line for line in done.stderr.splitlines() if "NOTICE" not in line]
    assert done.returncode == 0 and not noise, done.stderr
    return done


def log_of(p):
    return quoted(p, p.space, "freshet_changes_" + p.table)


def waiting(p):
    return int(p.sql(f"select count(*) from {log_of(p)}")[0][0])


def is_empty(p):
    eventually("the change table is empty", lambda: waiting(p) == 0, 60, 0.2)


def of_table(p):
    """What plan finds wrong."""
    code, out, err = p.verb("plan", "--json")
    found = [f for s in json.loads(out)["result"]["sections"] for f in s["findings"]]
    return {f["code"] for f in found if f["severity"] in ("blocker", "warning") and not f["code"].startswith("kafka.")}, found


# ---- every change, once and in order ----

STATE = """
create table t(id int primary key, ver int not null, note varchar(40));
create table counted(id int primary key, ver int not null, there int not null);
create table ledger(n {serial} primary key, id int not null, op char(1) not null, ver int not null);
"""


class Movers(Writers):
    """Each transaction locks one or two keys, and inserts, updates, deletes or moves the row; three of ten roll back.
    What it did is in the ledger of the same transaction, in the order of the lock."""

    def change(self, q, rnd, keys):
        q.execute("select id, ver, there from counted where id in %s order by id for update nowait", (tuple(keys),))
        state = {k: [v, there] for k, v, there in q.fetchall()}
        one = keys[0]
        ver, there = state[one]

        def note(key, op, version):
            q.execute("insert into ledger(id, op, ver) values (%s, %s, %s)", (key, op, version))
            q.execute("update counted set ver = %s, there = %s where id = %s", (version, int(op != "d"), key))
        if not there:
            q.execute("insert into t values (%s, %s, 'made')", (one, ver + 1))
            note(one, "c", ver + 1)
        elif len(keys) == 2 and not state[keys[1]][1]:
            q.execute("update t set id = %s, ver = %s where id = %s", (keys[1], state[keys[1]][0] + 1, one))
            note(one, "d", ver)
            note(keys[1], "c", state[keys[1]][0] + 1)
        elif rnd.random() < 0.3:
            q.execute("delete from t where id = %s", (one,))
            note(one, "d", ver)
        else:
            q.execute("update t set ver = %s, note = %s where id = %s", (ver + 1, str(rnd.random()), one))
            note(one, "u", ver + 1)

    def write(self, seed):
        rnd = random.Random(seed)
        c = self.connect()
        q = c.cursor()
        while self.left > 0:
            keys = rnd.sample(range(KEYS), rnd.randint(1, 2))
            try:
                self.change(q, rnd, keys)
            except LOCKED as e:
                c.rollback()
                if not is_locked(e) and getattr(e, "args", (0,))[0] not in (1213, 1205):
                    raise
                time.sleep(rnd.random() * 0.01)
                continue
            with self.lock:
                self.left -= 1
            time.sleep(rnd.random() * 0.01)
            (c.rollback if rnd.random() < 0.3 else c.commit)()
        c.close()


def published(p):
    """(key, op, version) in the order of each partition; a delete has the version that it ends."""
    out = []
    for e in p.events("t", p.space):
        if e is not None:
            row = e["before"] if e["op"] == "d" else e["after"]
            out.append((int(row["id"]), e["op"], int(row["ver"])))
    return out


def faults(want, got):
    """What is wrong; nothing is good. Rows of the load (r) say again what was said of the key last."""
    out, by_key = [], {}
    for key, op, ver in got:
        seen = by_key.setdefault(key, [])
        if op != "r":
            seen.append((op, ver))
        elif seen and (seen[-1][0] == "d" or seen[-1][1] != ver):
            out.append(f"key {key}: loaded version {ver} after {seen[-1]}: it went back, or ahead")
        elif not seen:
            seen.append(("r", ver))
    for key, changes in want.items():
        seen = by_key.pop(key, [])
        if seen and seen[0][0] == "r":  # of before the triggers
            seen, changes = seen[1:], [c for c in changes if c[1] > seen[0][1] or (c[0] == "d" and c[1] == seen[0][1])]
        if seen != changes:
            missed = len([c for c in changes if c not in seen])
            again = len(seen) - len(set(seen))
            out.append(f"key {key}: {missed} missed, {again} repeated, " + ("out of order" if sorted(seen) == sorted(changes) else "other"))
    return out + [f"key {key} was never written" for key in by_key]


def control(want, got):
    """The check must see each kind of fault: else it proves nothing."""
    own = [i for i, e in enumerate(got) if e[1] != "r"]
    one = own[len(own) // 2]
    other = next(i for i in own if i != one and got[i][0] == got[one][0] and got[i] != got[one])
    swapped = list(got)
    swapped[one], swapped[other] = got[other], got[one]
    stale = next(i for i in own if got[i][1] == "u")
    for name, broken in (("missed", got[:one] + got[one + 1:]), ("repeated", got + [got[one]]), ("out of order", swapped),
                         ("went back", got[:stale + 1] + [(got[stale][0], "r", got[stale][2] - 1)] + got[stale + 1:]),
                         ("never written", got + [(KEYS + 1, "c", 1)])):
        seen = faults(want, broken)
        assert any(name in f and "0 " + name not in f for f in seen), f"the check does not see {name}: {seen}"


POINTS = ("drain_before_delete:kill:2", "drain_in_delete:kill:3", None, "capture_after_commit:kill:3", "drain_after_delete:kill:2",
          "capture_before_commit:kill:2")


def under_load(server, kills):
    """Writers from before the first start on, so that the load meets them; SIGKILL, and at the places where it hurts."""
    sql = STATE.format(serial="bigserial" if server == "postgres" else "bigint auto_increment")
    sql += "".join(f"insert into counted values ({i}, {int(i % 2 == 0)}, {int(i % 2 == 0)});\n" for i in range(KEYS))
    p = make(server, sql, more=FAST.replace("40}}", "25}}"))
    name = f"trigger_{server}_" + ("killed" if kills else "under_load")
    with case(name, p):
        p.sql("insert into t select id, ver, 'first' from counted where there = 1")
        run_ddl(p)
        open_one = (lambda: open_pg(p)) if server == "postgres" else (lambda: my_connect(p.root, database=p.id, autocommit=False))
        starts = 0
        with Movers(open_one, 700 if kills else 900) as w:
            time.sleep(0.2)
            p.start(POINTS[0] if kills else None)
            while kills and any(t.is_alive() for t in w.threads):
                with contextlib.suppress(Exception):
                    p.daemon.wait(0.6)
                p.kill()
                starts += 1
                p.start(POINTS[starts % len(POINTS)])
        if kills:
            p.kill()
            p.start()
        want = {}
        for key, op, ver in p.sql("select id, op, ver from ledger order by n"):
            want.setdefault(int(key), []).append((op, int(ver)))
        total = sum(len(c) for c in want.values())
        eventually("all of it", lambda: len([e for e in published(p) if e[1] != "r"]) >= total, 90, 0.3)
        is_empty(p)
        assert p.stop() == 0
        got = published(p)
        loaded = len([e for e in got if e[1] == "r"])
        assert not faults(want, got), faults(want, got)
        control(want, got)
        assert loaded > 0, "nothing was loaded, so this run proves nothing of it"
        print(f"   {name}: {total} changes, {loaded} rows loaded beside them, {starts} kills: 0 missed, 0 repeated, 0 out of order")
    p.close()


def open_pg(p):
    c = connect(p.source)
    c.autocommit = False
    return c


# ---- the same value by the load and by a trigger ----

PG_TYPES = {
    "bool": "true", "int2": "-3", "int4": "7", "int8": "-9000000000", "numeric(10,3)": "12.340", "numeric": "-0.000012345678901234567890",
    "float4": "1.1", "float8": "'-Infinity'", "money": "'12.34'", "text": "'a''b\\ü\n'", "varchar(3)": "'ab '", "char(5)": "'ab'",
    "bytea": "'\\x00ff'", "uuid": "'0f4f1b3a-0000-4000-8000-0123456789ab'", "date": "'2024-02-29'", "time(3)": "'23:59:59.999'",
    "timetz": "'12:00+02'", "timestamp": "'2024-01-02 03:04:05.678901'", "timestamptz(0)": "'2024-01-02 03:04:05+02'", "interval": "'1 month 2 days 3 s'",
    "json": "'{\"a\": 1,  \"a\": 2}'", "jsonb": "'{\"b\": [1, null]}'", "inet": "'::1/64'", "bit(5)": "B'10101'", "varbit(9)": "B'11'",
    "int4[]": "'{1,NULL,3}'", "text[]": "'{a,\"b,c\"}'", "mood": "'so so'", "whole": "5", "point": "'(1,2)'", "int4range": "'[1,5)'",
    '"char"': "'x'", "xml": "'<a/>'",
}
MY_TYPES = {
    "tinyint(1)": "1", "smallint unsigned": "65535", "mediumint": "-8388608", "int(5) unsigned zerofill": "42", "bigint unsigned": "18446744073709551615",
    "decimal(30,10)": "-1234567890.0123456789", "float": "1.1", "double(8,3)": "2.5", "bit(9)": "b'101010101'", "char(5) character set latin1": "'ab\u00fc'",
    "varchar(3000)": "'x\u20ac '", "varbinary(300)": "x'00ff'", "binary(4)": "x'01'", "tinytext": "'t'", "longblob": "x'00'", "enum('a','b''c','\u00fc')": "'b''c'",
    "set('x','y') character set latin1": "'x,y'", "date": "'0000-00-00'", "time(3)": "'-838:59:58.999'", "datetime(6)": "'2024-01-02 03:04:05.678901'",
    "timestamp(2) null": "'2024-10-27 00:30:00.25'", "year": "1999", "json": "'{\"a\": [1, 2.5]}'", "point": "ST_GeomFromText('POINT(1 2)')",
    "int as (id * 2) virtual": None, "int as (id + 1) stored": None,
}


def types(server):
    """R27: a row of the load and the same row written down by a trigger are the same bytes."""
    kinds = PG_TYPES if server == "postgres" else MY_TYPES
    columns = ", ".join(f"c{i} {t}" for i, t in enumerate(kinds))
    given = [(i, v) for i, v in enumerate(kinds.values()) if v is not None]
    head = "create type mood as enum ('so so'); create domain whole as int not null default 1;" if server == "postgres" else \
        "set session sql_mode = '', time_zone = '+00:00';\n"
    insert = "insert into t(id, {}) values (1, {})".format(", ".join(f"c{i}" for i, _ in given), ", ".join(v for _, v in given))
    nulls = "insert into t(id, {}) values (2, 3)".format("c28") if server == "postgres" else "insert into t(id) values (2)"
    p = make(server, head + f"create table t(id int primary key, {columns});\n{insert};\n{nulls};\n", more=FAST + ", envelope: state")
    with case(f"trigger_{server}_types", p):
        run_ddl(p)
        again = ddl(p)  # what is there is what would be made
        assert not any(w in again for w in (" COLUMN ", "CREATE TABLE")), again
        p.start()
        eventually("the load", lambda: len(p.messages("t", p.space)) >= 2, 60, 0.2)
        p.sql("update t set id = id")
        if server != "postgres":
            p.sql("set session sql_mode = 'TRADITIONAL';\nupdate t set c1 = 65535 where id = 1")
        eventually("the changes", lambda: len(p.messages("t", p.space)) >= (4 if server == "postgres" else 5), 60, 0.2)
        by = {}
        for m in p.messages("t", p.space):
            by.setdefault(m.key(), []).append((m.value(), dict(m.headers() or [])))
        assert len(by) == 2, by
        for key, rows in by.items():
            assert len(rows) >= 2 and all(r == rows[0] for r in rows), [(r[1], p.registry.decode(r[0])) for r in rows]
        assert p.stop() == 0
        # The control: another value is seen.
        p.sql("update t set c1 = 1 where id = 1")
        p.start()
        last = eventually("one more", lambda: (lambda m: m if len(m) >= (5 if server == "postgres" else 6) else None)(p.messages("t", p.space)))
        assert len({m.value() for m in last}) == 3, "the control: a changed value has the same bytes"
        assert p.stop() == 0
    p.close()


# ---- DDL ----

HOSTILE = "out\"bo`x'; drop table t; -- é$freshet0$\n\\q"


def from_nothing_to_nothing(server):
    """With names that are no words: plan misses the triggers, is content then, and --drop leaves nothing."""
    long_one = "n" * 40 + "é" * 11 + "x"
    names = ["k\"e`y';--", "o_x", "x", long_one, "bl ank\nline", "Ä"]
    p = make(server, "select 1", table=HOSTILE)
    p.sql("create table {} ({} int, {}, primary key ({}));".format(
        quoted(p, p.space, HOSTILE), quoted(p, names[0]), ", ".join(quoted(p, n) + " varchar(20)" for n in names[1:]), quoted(p, names[0])))
    with case(f"trigger_{server}_ddl", p):
        assert "trigger.missing" in of_table(p)[0], "the control: plan does not miss the triggers"
        p.start()
        p.holds("trigger.missing", "freshet ddl triggers")
        run_ddl(p)
        wrong, found = of_table(p)
        assert not wrong and any(f["code"] == "trigger.there" for f in found), (wrong, found)
        again = client(p, ddl(p))  # renewed, with nothing changed
        assert again.returncode == 0, again.stderr
        p.start()
        p.says("polls 1 table")
        row = quoted(p, p.space, HOSTILE)
        p.sql(f"insert into {row} values (1, 'a', 'b', 'c', 'd', 'e')")
        p.sql(f"update {row} set {quoted(p, 'x')} = 'z'")
        p.sql(f"delete from {row}")

        def changes():
            got = [p.registry.decode(m.value()) for m in read_topics(p.bootstrap, topics_of(p.bootstrap, p.id)) if m.value()]
            got = [e for e in got if e["op"] != "r"]  # the load may have met it
            return got if len(got) >= 3 else None
        events = eventually("three events", changes, 60, 0.3)
        assert [e["op"] for e in events] == ["c", "u", "d"], events
        assert list(events[1]["before"].values()) == [1, "a", "b", "c", "d", "e"], events
        assert list(events[1]["after"].values()) == [1, "a", "z", "c", "d", "e"], events
        assert abs(events[0]["source"]["ts_ms"] - time.time() * 1000) < 600000, events[0]["source"]
        assert p.stop() == 0
        run_ddl(p, "--drop")
        if server == "postgres":
            left = p.sql("select proname from pg_proc where proname like 'freshet%'") + p.sql("select tgname from pg_trigger where not tgisinternal") + \
                p.sql("select relname from pg_class where relname like 'freshet%'")
        else:
            left = [*p.sql("select trigger_name from information_schema.triggers where trigger_schema = %s", p.id),
                    *p.sql("select routine_name from information_schema.routines where routine_schema = %s", p.id),
                    *p.sql("select table_name from information_schema.tables where table_schema = %s and table_name like 'freshet%%'", p.id)]
        assert not left, left
    p.close()


def altered(server):
    """A column that the triggers do not know stops the source; what was written down stays, and all rows come again."""
    p = make(server, "create table t(id int primary key, a int not null)")
    with open(p.config) as f:
        text = f.read()
    with case(f"trigger_{server}_altered", p):
        run_ddl(p)
        p.start()
        p.sql("insert into t values (1, 1)")
        p.wait_events("t", 1, p.space)
        p.sql("alter table t add column b int not null default 7")
        p.holds("trigger.shape", "column b", "freshet ddl triggers")
        assert "trigger.shape" in of_table(p)[0]
        p.sql("update t set a = 2, b = 8")
        p.sql("insert into t values (2, 2, 9)")
        assert waiting(p) == 2
        with open(p.config, "w") as f:  # the new column is named: rows that do not have it are published without
            f.write(text.replace("method: trigger", "method: trigger, columns: {include: [id, a, b]}"))
        run_ddl(p)
        assert waiting(p) == 2, "what was written down is gone"
        p.sql("update t set b = 10 where id = 2")
        p.start()
        p.says("all rows are read once more")
        is_empty(p)
        eventually("both rows once more", lambda: len([e for e in p.events("t", p.space) if "b" in e["after"] and e["op"] == "r"]) >= 2, 60, 0.3)
        rows = {}
        for e in p.events("t", p.space):
            if e["op"] != "r" or "b" in e["after"]:  # the first load may have met the first row
                rows.setdefault(e["after"]["id"], []).append((e["op"], e["after"]))
        assert [op for op, _ in rows[1]] == ["c", "u", "r"] and [op for op, _ in rows[2]] == ["c", "u", "r"], rows
        assert rows[1][1][1] == {"id": 1, "a": 2} and rows[1][2][1] == {"id": 1, "a": 2, "b": 8}, rows
        assert rows[2][0][1] == {"id": 2, "a": 2} and rows[2][2][1]["b"] == 10, rows
        is_empty(p)
        assert p.stop() == 0
    p.close()


def refused(server):
    """What is missing or off is named, with what to run."""
    p = make(server, "create table t(id int primary key, a int)", more="method: trigger")
    with case(f"trigger_{server}_refused", p):
        code, out, err = p.verb("ddl", "triggers", "--table", "src/a.b")
        assert code == 2 and "method: trigger" in err and not out, err
        run_ddl(p)
        if server == "postgres":
            p.sql('alter table t disable trigger "!freshet_changes"')
            assert "trigger.disabled" in of_table(p)[0]
            p.sql('alter table t enable trigger "!freshet_changes"')
            assert of_table(p)[0] == {"trigger.replica"}
            p.sql('alter table t enable always trigger "!freshet_changes"; create trigger " first" after update on t for each row'
                  ' execute procedure suppress_redundant_updates_trigger()')
            assert "trigger.order" in of_table(p)[0]
            p.sql('drop trigger " first" on t; create table child() inherits (t)')
            assert "trigger.children" in of_table(p)[0]
            p.sql("drop table child; truncate t")
            p.start()
            p.says("is held, the others go on", "table.truncated", "TRUNCATE")
            assert p.stop() == 0
        else:
            p.sql("drop trigger freshet_u_t")
            assert "trigger.missing" in of_table(p)[0]
            run_ddl(p)
            p.sql("create table parent(id int primary key) engine=innodb;\n"
                  "alter table t add constraint f foreign key (a) references parent(id) on delete cascade")
            assert of_table(p)[0] == {"my.fk_cascade"}, of_table(p)
            p.sql("drop trigger freshet_d_t")
            p.start()
            p.holds("trigger.missing", "freshet ddl triggers")
    p.close()


def partitions(server):
    """A row that goes to another partition is deleted and made; triggers must be on each partition."""
    sql = ("create table t(id int, part int, primary key (id, part)) partition by list (part); create table t1 partition of t for values in (1);"
           "create table t2 partition of t for values in (2)")
    p = make(server, sql, more=FAST.replace("trigger,", "trigger, key: [id], truncate: ignore,"))
    with case("trigger_postgres_partitions", p):
        if connect(p.source).server_version < 110000:
            code, out, err = p.verb("ddl", "triggers", "--table", "src/public.t")
            assert "trigger.partitions" in of_table(p)[0]
            return
        run_ddl(p)
        assert not of_table(p)[0], of_table(p)
        p.start()
        p.sql("insert into t values (1, 1); update t set part = 2; delete from t2; truncate t")
        got = eventually("its changes", lambda: (lambda e: e if len(e) >= 4 else None)([e for e in p.events("t") if e and e["op"] != "r"]))
        assert [(e["op"], (e["after"] or e["before"])["part"]) for e in got] == [("c", 1), ("d", 1), ("c", 2), ("d", 2)], got
        is_empty(p)
        p.sql('alter table t1 disable trigger "!freshet_changes"')
        p.holds("trigger.disabled")
    p.close()


def rights(server):
    """freshet reads and deletes, the writer writes its table, and neither has a right more."""
    p = make(server, "create table t(id int primary key, a int)")
    admin, reader, writer = p.source, f"r{p.id}", f"w{p.id}"
    as_user = lambda user: admin.replace("://" + urlsplit(admin).netloc.rpartition("@")[0] + "@", f"://{user}@")  # noqa: E731
    with case("trigger_postgres_rights", p):
        p.sql(f"create role {reader} login; create role {writer} login; grant insert, update, select on t to {writer}")
        with open(p.config) as f:
            text = f.read()
        with open(p.config, "w") as f:
            f.write(text.replace(admin, as_user(reader)))
        code, out, err = p.verb("ddl", "triggers", "--table", "src/public.t")
        assert code == 9 and "GRANT SELECT" in err, (code, err)
        p.sql(f"grant select on t to {reader}")
        run_ddl(p)
        assert not of_table(p)[0], of_table(p)
        p.start()
        p.sql("insert into t values (1, 1); update t set a = 2", on=as_user(writer))
        eventually("both", lambda: [e["op"] for e in p.events("t") if e["op"] != "r"] == ["c", "u"], 60, 0.2)
        is_empty(p)
        assert p.stop() == 0
        p.sql(f"revoke delete on freshet_changes_t from {reader}")
        assert "trigger.delete_grant" in of_table(p)[0]
        p.sql(f"drop owned by {reader}; drop owned by {writer}; drop role {reader}; drop role {writer}")
    p.close()


if __name__ == "__main__":
    SERVERS = ["postgres", "mariadb", "mysql"]
    for s in SERVERS[1:]:
        there, why = add_server(s)
        if not there:
            print(f"skip trigger.{s}: {why}", flush=True)
            SERVERS.remove(s)
    cases = [(under_load, s, s != "mariadb") for s in SERVERS]
    cases += [(partitions, "postgres"), (rights, "postgres")] + [(f, s) for f in (types, from_nothing_to_nothing, altered, refused) for s in SERVERS]
    wanted = sys.argv[1:]
    together([lambda c=c: c[0](*c[1:]) for c in cases if not wanted or any(w in c[0].__name__ + "_" + c[1] for w in wanted)], 4)
    finish()
