#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""write.mode history from end to end: under writers, kills and a second snapshot the history of every key is what an
audit trigger in the source wrote down, without a gap or an overlap; dead letters; what validate, plan and verify say."""
import json
import os
import re
import sqlite3
import sys
import time
from datetime import datetime

import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from duckdb_sink_case import LIBRARY, duckdb  # noqa: E402
import mysql  # noqa: E402
from harness import Pipeline, case, eventually, finish, metrics, together  # noqa: E402
from history import AUDIT, Writer, compare, ledger, same_as_ledger  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}
    tables: {{public.t: {{TABLE}}}}
sinks:
  dwh:
    SINK
    from: ["{id}.public.t"]
    create: run
    errors: {{mode: ERRORS}}
    write: {{mode: history, every: 50msMORE}}
"""
SINKS = dict(postgres="type: postgres\n    dsn: {target}", sqlite="type: sqlite\n    path: {dir}/target.db",
             mysql="type: mysql\n    dsn: {server}/{id}", mariadb="type: mariadb\n    dsn: {server}/{id}",
             duckdb="type: duckdb\n    path: {dir}/target.db\n    hold: writing\n    library: " + LIBRARY)
HISTORY = "select id, v, n, big, FROM, TO, _freshet_current from t order by id, _freshet_valid_from"
cases = []


SERVERS = ("mariadb", "mysql")


class To(Pipeline):
    """Into a target of that kind."""

    def __init__(self, kind, text):
        self.kind = kind
        super().__init__(text, target=kind == "postgres")
        self.file = os.path.join(self.dir, "target.db")
        if kind in SERVERS:
            self.run_there(f"create database {self.id} character set utf8mb4", None)

    def values(self):
        there = {}
        if self.kind in SERVERS:
            at = mysql.parts(os.environ[self.kind.upper() + "_DSN"])
            there["server"] = f"mysql://{at['user']}@{at['host']}:{at['port']}"
        return dict(super().values(), **there)

    def run_there(self, text, database):
        c = mysql.connect(os.environ[self.kind.upper() + "_DSN"], database=database)
        try:
            return mysql.run(c, text)
        finally:
            c.close()

    def close(self):
        super().close()
        if self.kind in SERVERS:
            self.run_there(f"drop database {self.id}", None)


def scenario(errors="stop", more="", table="", sinks=("postgres", "mariadb", "mysql", "sqlite", "duckdb")):
    def wrap(f):
        for sink in sinks:
            def run(sink=sink):
                name = f"history_flow.{sink}_{f.__name__}"
                if sink == "duckdb" and (duckdb is None or not os.path.exists(LIBRARY)):
                    print(f"skip {name}: no DuckDB in the cache (scripts/deps.sh duckdb)")
                    return
                if sink in SERVERS:
                    there, why = mysql.add_server(sink)
                    if not there:
                        print(f"skip {name}: {why}")
                        return
                p = To(sink, config(sink, errors, more, table))
                with case(name, p):
                    p.sql(AUDIT)
                    f(p)
                p.close()
            run.name = f"{sink}_{f.__name__}"
            cases.append(run)
        return f
    return wrap


def config(sink, errors="stop", more="", table=""):
    words = dict(SINK=SINKS[sink], ERRORS=errors, MORE=more, TABLE=table)
    return re.sub("|".join(words), lambda m: words[m.group()], CONFIG)


def at_sink(p, text):
    """None while there is no such table, or the file is held."""
    if p.kind == "postgres":
        return p.sql(text, on=p.target)
    if p.kind in SERVERS:
        try:
            return p.run_there(text, p.id)
        except pymysql.ProgrammingError as e:
            assert e.args[0] == 1146, e
            return None
    if not os.path.exists(p.file):
        return None
    try:
        c = sqlite3.connect(p.file, timeout=30, isolation_level=None) if p.kind == "sqlite" else duckdb.connect(p.file)
    except duckdb.IOException:
        time.sleep(0.05)
        return None
    try:
        if p.kind == "duckdb":
            c.execute("set TimeZone = 'UTC'")
        return c.execute(text).fetchall()
    except (sqlite3.OperationalError, duckdb.CatalogException) as e:
        assert "no such table" in str(e) or "does not exist" in str(e), e
        return None
    finally:
        c.close()


def history(p):
    """None while there is no table, or nobody can look."""
    if p.kind == "postgres" and p.sql("select to_regclass('t')", on=p.target)[0][0] is None:
        return None
    zone = dict(postgres="%s at time zone 'UTC'", duckdb="cast(%s as timestamp)").get(p.kind, "%s")
    rows = at_sink(p, HISTORY.replace("FROM", zone % "_freshet_valid_from").replace("TO", zone % "_freshet_valid_to"))
    if rows is None or p.kind in ("postgres", "duckdb"):
        return rows
    if p.kind in SERVERS:
        return [(*r[:6], bool(r[6])) for r in rows]
    return [(*r[:4], datetime.fromisoformat(r[4]), r[5] and datetime.fromisoformat(r[5]), bool(r[6])) for r in rows]


def sink(p, text):
    """A statement at the sink, until somebody may."""
    if p.kind in ("postgres", "duckdb", "sqlite") and text.startswith("update"):
        text += " returning 1"
    eventually(text, lambda: at_sink(p, text) is not None or p.kind in SERVERS + ("postgres",))


def committed(p):
    """Events that the sink of the running daemon has committed."""
    try:
        said = metrics(p)
    except OSError:  # it is not up yet
        return 0
    return sum(float(line.rsplit(" ", 1)[1]) for line in said.splitlines() if line.startswith("freshet_sink_rows_total{"))


def snapshot(p):
    code, out, err = p.verb("snapshot", "start", "src/public.t", "-y")
    assert code == 0, out + err


def verify(p, *words):
    code, out, err = p.verb("verify", "src/public.t", "--sink", "dwh", "--json", "--load", "100", *words, timeout=120)
    answer = json.loads(out)
    return code, answer["error"] or answer["result"]


@scenario()
def killed_under_load(p):
    writer = Writer(p, 7)
    writer.fill(40)
    p.start()
    eventually("the first snapshot", lambda: len(history(p) or []) == 40, 60)
    writer.start()
    try:
        for n in range(6):
            eventually("progress", lambda: committed(p) > 0, 60)
            time.sleep(writer.rng.uniform(0, 0.3))
            p.kill()
            if n == 2:
                snapshot(p)
            p.start()
    finally:
        writer.stop()
    same_as_ledger(p, history)
    got, want, first = eventually("a look", lambda: history(p)), ledger(p), p.sql("select txid from ledger order by seq limit 1")[0][0]
    compare(got, want, first)
    assert len(got) > 150 and writer.count > 100, (len(got), writer.count)
    code, said = verify(p)
    assert code == 0 and said["differences"] == 0, said
    # A history without one of its states, with a changed one, a gap, or an overlap is seen.
    middle = next(i for i in range(1, len(got) - 1) if got[i - 1][0] == got[i][0] == got[i + 1][0] and got[i - 1][5] == got[i][4])
    row = list(got[middle])
    for name, bad in (("a lost state", got[:middle] + got[middle + 1:]), ("a doubled one", got[:middle] + got[middle:middle + 1] + got[middle:]),
                      ("another value", got[:middle] + [tuple([row[0], "other"] + row[2:])] + got[middle + 1:]),
                      ("a gap", got[:middle] + [tuple(row[:4] + [row[4] + (row[5] - row[4]) / 2] + row[5:])] + got[middle + 1:])):
        try:
            compare(bad, want, first)
        except AssertionError:
            continue
        raise AssertionError("the check does not see " + name)
    sink(p, "update t set v = 'planted' where _freshet_current and id = (select m from (select min(id) as m from t where _freshet_current) as x)")
    code, said = verify(p)
    assert code == 4 and said["differences"] == 1, said
    code, said = verify(p, "--fix-sql", os.path.join(p.dir, "fix.sql"))
    assert code == 2 and said["code"] == "verify.history", said
    # and a snapshot mends it, as a state of its own
    states = len(got)
    snapshot(p)
    eventually("one state more", lambda: len(history(p) or []) == states + 1, 60)
    assert verify(p)[0] == 0


@scenario(errors="dlq", sinks=("postgres", "mariadb", "mysql", "sqlite"))
def dead_letters_in_order(p):
    """A key that was set aside comes later, all of it and in order; its times are those of its commits."""
    p.sql("insert into t values (1, 'a', 1, 'x'), (2, 'b', 1, 'x')")
    p.start()
    eventually("two rows", lambda: len(history(p) or []) == 2)
    sink(p, "create trigger small before insert on t when new.n >= 100 begin select raise(abort, 'CHECK constraint failed: n'); end"
         if p.kind == "sqlite" else "alter table t add constraint small check (n < 100)")
    p.sql("update t set n = 500 where id = 1")
    p.sql("update t set n = 5 where id = 1; update t set n = 6 where id = 2")
    eventually("the other key", lambda: len(history(p)) == 3)
    p.sql("delete from t where id = 1")
    p.sql("insert into t values (1, 'again', 7, 'y'); update t set n = 8 where id = 2")
    eventually("the other key", lambda: len(history(p)) == 4)
    sink(p, "drop trigger small" if p.kind == "sqlite" else "alter table t drop constraint small")
    code, out, err = p.verb("dlq", "retry", "--all", "-y")
    assert code == 0, out + err
    same_as_ledger(p, history)
    code, out, err = p.verb("dlq", "retry", "--all", "-y")
    assert len(history(p)) == 7, history(p)
    p.sql("update t set n = 9 where id = 1")
    same_as_ledger(p, history)


@scenario(more=", truncate: apply", table="truncate: publish")
def truncated(p):
    p.sql("insert into t select i, 'v' || i, i, 'x' from generate_series(1, 30) i")
    p.start()
    eventually("30 rows", lambda: len(history(p) or []) == 30)
    p.sql("update t set n = n + 1 where id <= 5")
    p.sql("truncate t")
    rows = eventually("all ended", lambda: (h := history(p)) and not any(r[6] for r in h) and h)
    assert len(rows) == 35 and all(r[5] > r[4] for r in rows)
    p.sql("insert into t values (1, 'new', 1, 'x')")
    eventually("a new beginning", lambda: [r[1] for r in history(p) or [] if r[6]] == ["new"])


@scenario(table="envelope: state")
def plain_rows(p):
    """Messages without positions and times: the order is that of the topic, and the time is Kafka's."""
    p.sql("alter table t replica identity full")
    p.sql("insert into t select i, 'v', i, 'x' from generate_series(1, 4) i")
    p.start()
    eventually("4 rows", lambda: len(history(p) or []) == 4)
    p.sql("update t set n = n + 1 where id <= 2")
    p.sql("update t set n = n where id = 4; update t set n = 9 where id = 3")
    p.sql("delete from t where id = 1")
    eventually("one has ended", lambda: [r for r in history(p) or [] if r[0] == 1 and r[6]] == [] and len(history(p) or []) == 7)
    p.kill()
    p.sql("insert into t values (1, 'again', 0, 'y'); update t set id = 40 where id = 4")
    p.start()
    want = [(1, "v", 1, False), (1, "v", 2, False), (1, "again", 0, True), (2, "v", 2, False), (2, "v", 3, True), (3, "v", 3, False),
            (3, "v", 9, True), (4, "v", 4, False), (40, "v", 4, True)]
    rows = eventually("all states", lambda: (h := history(p)) and [(*r[:3], r[6]) for r in h] == want and h, 60)
    for a, b in zip(rows, rows[1:]):
        assert a[5] is None or a[5] > a[4], a
        assert a[0] != b[0] or a[5] == b[4] or (a[0] == 1 and a[2] == 2 and a[5] < b[4]), (a, b)


@scenario(sinks=("postgres",))
def said_before_it_runs(p):
    p.sql("insert into t values (1, 'a', 1, 'x')")
    assert p.verb("validate")[0] == 0
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    p.start()
    eventually("a row", lambda: len(history(p) or []) == 1)
    assert p.stop() == 0
    p.sql("drop table t", on=p.target)
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    assert "_freshet_valid_from" in text and "_freshet_current" in text, (code, out, err)
    code, out, err = p.verb("schema", "export", "src/public.t", "--as", "sql:postgres")
    assert code == 0 and '"_freshet_valid_to" timestamptz' in out, (code, out, err)
    p.write(config("postgres", more=", deletes: soft"))
    code, out, err = p.verb("validate")
    assert code == 2 and "write.deletes" in out + err and "leave write.deletes out" in out + err, (code, out, err)
    others = {"clickhouse": "dsn: 'http://127.0.0.1:8123/x'", "file": "path: /tmp/x"}
    for kind, more in others.items():
        p.write(config("postgres").replace(SINKS["postgres"], f"type: {kind}\n    {more}"))
        code, out, err = p.verb("validate")
        assert code == 2 and "write.mode" in out + err and "append" in out + err, (kind, code, out, err)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    together([c for c in cases if not wanted or c.name in wanted], 2)
    finish()
