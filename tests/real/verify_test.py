#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet verify: 1,000 differences that were planted at each kind of sink are found, every one with its columns, and
none where there is none; keys of every kind; under writers; behind a sink that lags, and one that is stopped; what
cannot be compared is said or refused by name; the repair SQL repairs. (Types: verify_types_test.py.)"""
import contextlib
import json
import math
import os
import random
import re
import sqlite3
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mysql  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish  # noqa: E402
from sqlite import SqlitePipeline  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}
    tables: {{public.t: {{TABLE}}}}
sinks:
"""
SINKS = dict(
    pg="  pg: {{type: postgres, dsn: '{target}', from: ['{id}.public.t'], create: run, write: {{every: 50ms}}}}\n",
    maria="  maria: {{type: mariadb, dsn: '{maria}', from: ['{id}.public.t'], create: run, write: {{every: 50ms}}}}\n",
    lite="  lite: {{type: sqlite, path: '{dir}/out.db', from: ['{id}.public.t'], create: run, write: {{every: 50ms}}}}\n")
TABLE = """
create table t (id int primary key, v text, n numeric(20,4), f float8, b bytea, ok bool, d date, at timestamptz,
    al timestamp, tod time, big bigint);
create publication pub for table t
"""
FILL = """insert into t select i, case i %% 4 when 0 then '' when 1 then null else 'row ' || i end, i / 3.0, i / 7.0,
    decode(md5(i::text), 'hex'), i %% 2 = 0, date '2020-01-01' + i %% 3000,
    '2026-11-26 08:26:11.402111+02'::timestamptz + i * interval '1 s',
    '1969-12-31 23:59:59.999999'::timestamp - i * interval '1 s', time '00:00:00.5' + i * interval '1 ms', i::bigint << 33
    from generate_series(1, %s) i"""
cases = []


class Everywhere(Pipeline):
    """Sinks of every kind behind one source."""

    def __init__(self, table="", sinks=("pg",)):
        self.sinks = sinks
        super().__init__(CONFIG.replace("TABLE", table) + "".join(SINKS[s] for s in sinks))

    def values(self):
        maria = os.environ.get("MARIADB_DSN", "")
        if "maria" in self.sinks:
            c = mysql.connect(maria)
            mysql.run(c, f"create database if not exists `{self.id}` character set utf8mb4")
            c.close()
        return dict(super().values(), maria=maria.rsplit("/", 1)[0] + "/" + self.id)

    def at(self, sink, text, *values):
        """SQL at a sink; %s are parameters."""
        if sink == "pg":
            return self.sql(text, *values, on=self.target)
        if sink == "maria":
            c = mysql.connect(os.environ["MARIADB_DSN"], database=self.id)
            try:
                return mysql.run(c, text, values or None)
            finally:
                c.close()
        c = sqlite3.connect(os.path.join(self.dir, "out.db"), timeout=30)
        with c:
            got = c.execute(text.replace("%s", "?"), values).fetchall()
        c.close()
        return got

    def close(self):
        if "maria" in self.sinks:
            c = mysql.connect(os.environ["MARIADB_DSN"])
            mysql.run(c, f"drop database if exists `{self.id}`")
            c.close()
        super().close()

    def there(self, rows):
        for sink in self.sinks:
            def probe():
                assert self.daemon.poll() is None, self.daemon.returncode
                try:
                    return self.at(sink, "select count(*) from t")[0][0] == rows
                except Exception as e:  # no table yet
                    assert "t" in str(e)
                    return False
            eventually(f"{rows} rows at {sink}", probe, 60, 0.2)

    def verify(self, *words, sink=None, table="src/public.t", code=None, load="100"):
        more = (["--sink", sink] if sink else []) + (["--load", load] if load else [])
        got, out, err = self.verb("verify", table, "--json", *more, *words, timeout=300)
        answer = json.loads(out)
        assert code is None or got == code, (got, out[-1500:], err)
        return answer["error"] or answer["result"]


def scenario(table="", sql=TABLE, sinks=("pg",)):
    def wrap(f):
        def run():
            if "maria" in sinks and not mysql.add_server("mariadb")[0]:
                print(f"skip verify.{f.__name__}: no MariaDB in the stack")
                return
            p = Everywhere(table, sinks)
            with case("verify." + f.__name__, p):
                p.sql(sql)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


@contextlib.contextmanager
def locked(p):
    """The sink waits, readers do not."""
    lock = connect(p.target)
    lock.autocommit = False
    lock.cursor().execute("lock table t in exclusive mode")
    try:
        yield lock
    finally:
        lock.close()


def found(r, key="id"):
    return sorted((r["key"][key], r["what"], tuple(r["columns"])) for r in r["rows"])


MODES = ([], ["--full"], ["--chunk", "50"])


@scenario()
def equal_and_one_of_each(p):
    p.sql(FILL, 1000)
    p.start()
    p.there(1000)
    for mode in MODES + (["--fast"],):
        r = p.verify(*mode, code=0)
        assert (r["rows_source"], r["rows_sink"], r["differences"]) == (1000, 1000, 0), r
        assert r["inside"] == {"source": mode != ["--full"], "sink": mode != ["--full"]}, r["inside"]
    p.sql("update t set v = 'other' where id = 7; delete from t where id = 8; insert into t (id) values (-5)", on=p.target)
    for mode in MODES:
        r = p.verify(*mode, code=4)
        assert found(r) == [("-5", "extra", ()), ("7", "changed", ("v",)), ("8", "missing", ())], r
    r = p.verify("--fast", "--chunk", "50", code=4)
    assert (r["differences"], r["chunks_unsettled"]) == (1, 0), r
    code, out, err = p.verb("verify", "src/public.t", "--load", "100")
    assert code == 4 and "missing    id 8\n" in out and "changed    id 7 (v)\n" in out and "extra      id -5\n" in out, (out, err)
    assert "differences: 3 of 1000 rows" in out and "n: value; zeros at the end do not count" in out, out


def tick(at):
    """One microsecond more, of a text of a time: its last digit."""
    return at[:-1] + str((int(at[-1]) + 1) % 10)


def flip(sink, p, what, i, other):
    """One difference at the sink; what verify must say of it."""
    read = lambda column: p.at(sink, f"select {column} from t where id = %s", i)[0][0]
    put = lambda column, value: p.at(sink, f"update t set {column} = %s where id = %s", value, i)
    if what == "missing":
        p.at(sink, "delete from t where id = %s", i)
        return [(i, "missing", ())]
    if what == "extra":
        p.at(sink, "insert into t (id, v) values (%s, 'x')", -i)
        return [(-i, "extra", ())]
    if what == "doubled":
        p.at(sink, "insert into t select * from t where id = %s", i)
        return [(i, "doubled", ())]
    if what == "swapped":
        mine, theirs = read("n"), p.at(sink, "select n from t where id = %s", other)[0][0]
        put("n", theirs)
        p.at(sink, "update t set n = %s where id = %s", mine, other)
        return [(i, "changed", ("n",)), (other, "changed", ("n",))]
    if what == "null_for_empty":
        put("v", {"": None, None: ""}.get(read("v"), "row " + str(i) + " "))
        return [(i, "changed", ("v",))]
    if what == "bit_of_bytes":
        b = bytearray(bytes(read("b")))
        b[i % 16] ^= 1 << i % 8
        put("b", bytes(b))
        return [(i, "changed", ("b",))]
    if what == "bit_of_float":
        put("f", math.nextafter(read("f"), math.inf))
        return [(i, "changed", ("f",))]
    if what == "bit_of_number":
        put("big", read("big") ^ 1)
        return [(i, "changed", ("big",))]
    if what == "microsecond":
        column = ("at", "al")[i % 2]
        text = {"pg": f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')", "maria": f"cast({column} as char)", "lite": column}[sink]
        put(column, tick(read(text)) + ("+00" if sink == "pg" else ""))
        return [(i, "changed", (column,))]
    put("d", "1999-12-31")
    return [(i, "changed", ("d",))]


WHATS = ["missing", "extra", "doubled", "swapped", "null_for_empty", "bit_of_bytes", "bit_of_float", "bit_of_number", "microsecond", "day"]


@scenario(sinks=("pg", "maria", "lite"))
def a_thousand_planted(p):
    """A swapped pair is two rows: WHATS on 910 keys are 1,001 differences."""
    rng = random.Random(11)
    p.sql(FILL, 20000)
    p.start()
    p.there(20000)
    for sink in p.sinks:  # the control: nothing is planted yet
        r = p.verify(sink=sink, code=0)
        assert (r["rows_source"], r["rows_sink"], r["differences"], r["unsettled"]) == (20000, 20000, 0, 0), r
    for sink in p.sinks:
        p.at(sink, {"pg": "alter table t drop constraint t_pkey", "maria": "alter table t drop primary key",
                    "lite": "create table t2 as select * from t"}[sink])
        if sink == "lite":  # SQLite drops no key
            p.at(sink, "drop table t")
            p.at(sink, "alter table t2 rename to t")
        p.at(sink, "create index t_id on t (id)")
        ids = rng.sample(range(1, 20001), 1001)
        want = []
        for k in range(910):
            want += flip(sink, p, WHATS[k % 10], ids[k], ids[910 + k // 10])
        assert len(want) == 1001
        r = p.verify(sink=sink, code=4)
        want = sorted((str(i), what, columns) for i, what, columns in want)
        assert found(r) == want, (sink, sorted(set(want) ^ set(found(r)))[:6], len(found(r)))
        assert r["unsettled"] == 0 and r["differences"] == 1001, r["differences"]


KEYED = """
create table t (a text collate "en-x-icu", k int, v text, primary key (a, k)); create publication pub for table t
"""


@scenario(sql=KEYED, sinks=("pg", "maria", "lite"))
def keys_that_are_texts(p):
    """No database's order or collation matters; keys are hostile."""
    words = ["", "a", "A", "\u00e4", "a ", "b'c", 'd"e', "f\\g", "%s", "|", "~", "1:x|~", "\U0001f600", "x" * 150, "line\nline", "NULL"]
    for n, w in enumerate(words * 20):
        p.sql("insert into t values (%s, %s, %s)", w, n, f"v{n}")
    p.start()
    p.there(320)
    for sink in p.sinks:
        r = p.verify(sink=sink, code=0)
        assert (r["by"], r["rows_source"]) == (None, 320), r
        assert p.verify("--chunk", "10", sink=sink, code=0, load="99")["chunks_equal"] == r["chunks_equal"]  # in pieces
        for w in words[:8]:
            p.at(sink, "update t set v = 'changed' where a = %s", w)
        # MariaDB's own comparison is of a column that the sink made: of bytes.
        r = p.verify(sink=sink, code=4)
        assert sorted({x["key"]["a"] for x in r["rows"]}) == sorted(words[:8]), (sink, r["rows"])
        assert r["differences"] == 160 and all(x["columns"] == ["v"] for x in r["rows"])


def run_script(p, sink, text):
    """A file of statements, in a session of another time zone than ours."""
    if sink == "pg":
        c = connect(p.target, options="-c timezone=Asia/Tokyo")
        c.cursor().execute(text)
        c.close()
    elif sink == "maria":
        c = mysql.connect(os.environ["MARIADB_DSN"], database=p.id, client_flag=1 << 16, init_command="set time_zone = '+09:00'")
        with c.cursor() as q:
            q.execute(text)
            while q.nextset():
                pass
        c.close()
    else:
        c = sqlite3.connect(os.path.join(p.dir, "out.db"))
        c.executescript(text)
        c.close()


def fixed(p, sink, **counts):
    """What --fix-sql writes, run, makes the sink equal; the file's text."""
    file = os.path.join(p.dir, sink + ".sql")
    r = p.verify("--fix-sql", file, sink=sink, code=4)
    assert r["counts"] == dict(dict(missing=0, extra=0, changed=0, doubled=0), **counts), (sink, r["counts"])
    with open(file, encoding="utf-8") as f:
        text = f.read()
    run_script(p, sink, text)
    p.verify("--full", sink=sink, code=0)
    return text


@scenario(sinks=("pg", "maria", "lite"))
def repair(p):
    """--fix-sql: what it says makes the sink equal, values of every type included."""
    p.sql(FILL, 500)
    p.sql("insert into t (id, v) values (501, %s), (502, E'a\\\\b''c\"d;\\n-- x'), (503, null)", "'); drop table t; --")
    p.start()
    p.there(503)
    for sink in p.sinks:
        if sink == "maria":  # an instant there goes through the session's zone
            p.at(sink, "alter table t modify at timestamp(6) null")
        p.at(sink, "delete from t where id in (3, 501, 502)")
        p.at(sink, "insert into t (id, v) values (-1, 'x')")
        p.at(sink, "update t set v = 'wrong', n = 0, f = 0, b = null, ok = null, d = null, at = null, al = null, tod = null, big = 5 where id = 9")
        fixed(p, sink, missing=3, extra=1, changed=1)


@scenario(sinks=("pg", "maria", "lite"))
def repair_of_marked_rows(p):
    """Soft deletes: a row that is marked and should not be, one that should be, one that is not there at all."""
    p.write(CONFIG.replace("TABLE", "") + "".join(SINKS[s].replace("every: 50ms", "every: 50ms, deletes: soft") for s in p.sinks))
    p.sql(FILL, 20)
    p.start()
    p.there(20)
    for sink in p.sinks:
        mark = "true" if sink == "pg" else "1"
        p.at(sink, f"update t set _freshet_deleted = {mark}, v = 'old' where id = 3")
        p.at(sink, "delete from t where id = 4")
        p.at(sink, "update t set v = 'wrong' where id = 5")
        p.at(sink, "insert into t (id, v) values (-1, 'x')" if sink != "pg" else "insert into t (id, v, _freshet_deleted) values (-1, 'x', false)")
        fixed(p, sink, missing=2, extra=1, changed=1)
        marked = p.at(sink, "select id from t where _freshet_deleted" + (" = 1" if sink != "pg" else ""))
        assert [tuple(m) for m in marked] == [(-1,)], (sink, marked)


TWICE = "create table t (id int not null, v text); alter table t replica identity full; create publication pub for table t"


@scenario(table="key: [id]", sql=TWICE, sinks=("pg",))
def a_key_that_the_source_has_twice(p):
    """No statement can make the sink have both rows: nothing is written for them but why."""
    p.sql("insert into t values (1, 'a'), (2, 'b')")
    p.start()
    p.there(2)
    p.sql("insert into t values (2, 'c')")
    file = os.path.join(p.dir, "fix.sql")
    r = p.verify("--fix-sql", file, code=4)
    assert found(r) == [("2", "doubled", ())], r
    with open(file, encoding="utf-8") as f:
        lines = f.read().splitlines()
    assert all(line.startswith("--") for line in lines) and any("id 2" in line for line in lines), lines


@contextlib.contextmanager
def writers(p, pause=0):
    """Two that change rows of t all the time; few values, so that rows go to another and back between two looks."""
    stop, wrote = threading.Event(), [0]

    def write(seed):
        rng, c = random.Random(seed), connect(p.source)
        q = c.cursor()
        while not stop.is_set():
            i = rng.randrange(1, 2500)
            q.execute(rng.choice(["update t set v = 'x' where id = %s", "update t set v = 'y' where id = %s", "delete from t where id = %s",
                                  "insert into t (id, v) values (%s, 'new') on conflict do nothing"]), (i,))
            wrote[0] += 1
            stop.wait(pause)
        c.close()
    both = [threading.Thread(target=write, args=(s,)) for s in (1, 2)]
    for w in both:
        w.start()
    try:
        yield
    finally:
        stop.set()
        for w in both:
            w.join()
    assert wrote[0] > 200, wrote


@scenario(sinks=("pg", "lite"))
def under_writers(p):
    """Both run, rows change all the time: equal rows are never called different, and a planted difference is found."""
    p.sql(FILL, 3000)
    p.start()
    p.there(3000)
    with writers(p):
        for sink in p.sinks:
            for mode in MODES:
                r = p.verify(*mode, sink=sink)
                assert r["differences"] == 0, (sink, mode, r["rows"][:3])
            p.at(sink, "update t set big = 1 where id = 2900")
            p.at(sink, "delete from t where id = 2901")
            r = p.verify(sink=sink, code=4)
            assert found(r) == [("2900", "changed", ("big",)), ("2901", "missing", ())], r
            p.at(sink, "update t set big = %s where id = 2900", 2900 << 33)
            p.at(sink, "insert into t (id) values (2901)")
    p.sql("update t set ok = not ok where id = 2901")  # heals the row that was deleted by hand
    for sink in p.sinks:
        r = p.verify(sink=sink, code=0)
        assert r["unsettled"] == 0, r


def from_mysql_under_writers():
    """The same from a binary log, with a key of two numbers; and by polls, where there is no position to wait for."""
    if not mysql.add_server("mariadb")[0]:
        print("skip verify.from_mysql_under_writers: no MariaDB in the stack")
        return
    polled = mysql.MY_SOURCE.replace("sources:", "").replace("src:", "poll:").replace("prefix: {id}", "prefix: {id}q")
    p = mysql.MyPipeline(mysql.MY_SOURCE + "      {id}.t: {{}}\n" + polled
                         + "      {id}.q: {{method: query, poll: {{column: changed, every: 200ms}}}}\n"
                         + SINKS["lite"].replace("  lite", "sinks:\n  lite").replace("'{id}.public.t'", "'{id}.{id}.t', '{id}q.{id}.q'"))
    with case("verify.from_mysql_under_writers", p):
        my_under_writers(p)
    p.close()


def my_under_writers(p):
    c = mysql.connect(p.root)
    mysql.run(c, f"grant process on *.* to '{os.environ[p.server.upper() + '_USER']}'@'%'")  # polls ask who is open
    c.close()
    p.sql("create table t (a int, b bigint, v varchar(20), at datetime(6), primary key (a, b));\n"
          "create table q (a int primary key, v varchar(20), changed timestamp(6) not null default current_timestamp(6) on update current_timestamp(6), index (changed))")
    p.sql("insert into t select seq mod 5, seq, seq, now(6) from seq_1_to_2000;\ninsert into q (a, v) select seq, seq from seq_1_to_200")
    out = os.path.join(p.dir, "out.db")
    table = f"src/{p.id}.t"

    def at(text):
        c = sqlite3.connect(out, timeout=30)
        with c:
            got = c.execute(text).fetchall()
        c.close()
        return got

    def there():
        try:
            return at("select (select count(*) from t), (select count(*) from q)") == [(2000, 200)]
        except sqlite3.OperationalError:
            return False
    p.start()
    eventually("all rows", there, 60)
    stop, wrote = threading.Event(), [0]

    def write():
        rng, c = random.Random(3), mysql.connect(p.root, database=p.id)
        while not stop.is_set():
            i = rng.randrange(1, 1500)
            mysql.run(c, rng.choice(["update t set v = 'x' where b = %s", "update t set v = 'y' where b = %s", "delete from t where b = %s"]), (i,))
            wrote[0] += 1
        c.close()
    w = threading.Thread(target=write)
    w.start()

    def verify(*words, code):
        got, text, err = p.verb("verify", *words, "--json", "--load", "100", timeout=200)
        answer = json.loads(text)
        assert got == code, (got, answer["error"] or answer["result"]["rows"][:5], err[-300:])
        return answer["result"]
    try:
        for mode in MODES:
            r = verify(table, *mode, code=0)
            assert (r["by"], r["differences"], r["unsettled"]) == ("a", 0, 0), r
        at("update t set at = '2000-01-01 00:00:00' where b = 1900")
        at("delete from t where b = 1901")
        r = verify(table, code=4)
        assert sorted((x["key"]["b"], x["what"]) for x in r["rows"]) == [("1900", "changed"), ("1901", "missing")], r["rows"]
    finally:
        stop.set()
        w.join()
    assert wrote[0] > 100, wrote
    p.sql("delete from q where a = 7;\nupdate q set v = 'new' where a = 8")
    at("update q set v = 'wrong' where a = 9")
    r = verify(f"poll/{p.id}.q", code=4)
    # A poll never sees a delete: that row is still there, and said to be.
    assert sorted((x["key"]["a"], x["what"], *x["columns"]) for x in r["rows"]) == [("7", "extra"), ("9", "changed", "v")], r["rows"]
    assert r["position"] is None and r["unsettled"] == 0, r


from_mysql_under_writers.name = "from_mysql_under_writers"
cases.append(from_mysql_under_writers)


def is_asked(p):
    """Whether verify asks for the sink's offsets: that is its statement for a millisecond at a time, so the server looks on."""
    try:
        p.sql("do $$ begin for i in 1..3000 loop perform pg_stat_clear_snapshot();"
              " if exists (select from pg_stat_activity where application_name = 'freshet verify' and query like '%_freshet_offsets%')"
              " then return; end if; end loop; raise 'not now'; end $$", on=p.target)
    except psycopg2.errors.RaiseException:
        return False
    return True


@scenario()
def a_sink_that_lags(p):
    """Nothing is called different that is only late; what the sink does not reach in time is unsettled, not equal."""
    p.sql(FILL, 200)
    p.start()
    p.there(200)
    lock = connect(p.target)
    lock.autocommit = False
    lock.cursor().execute("lock table t in exclusive mode")  # the sink waits, readers do not
    p.sql("update t set v = 'late' where id <= 20")
    r = p.verify("--settle", "5s", code=4)
    assert (r["differences"], r["unsettled"]) == (0, 20) and "sink has not applied" in r["why"], r
    r = p.verify("--settle", "5s", "--fast", code=4)
    assert (r["differences"], r["chunks_unsettled"]) == (0, 1), r
    done = []
    t = threading.Thread(target=lambda: done.append(p.verify(code=0)))
    t.start()
    eventually("verify asks how far the sink is", lambda: done or is_asked(p), 60)
    assert not done, done
    lock.rollback()
    t.join()
    assert done and done[0]["differences"] == 0 and done[0]["chunks_differ"] == 1, done
    assert p.stop() == 0
    p.sql("update t set v = 'later' where id <= 10")
    r = p.verify("--settle", "3s", code=4)
    assert (r["differences"], r["unsettled"]) == (0, 10) and "does freshet run" in r["why"], r
    lock.close()


@scenario()
def fast_before_the_end_of_the_topic_is_seen(p):
    """A deadline that ends before we know what Kafka has for the sink: nothing was proved."""
    log = "    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}\n"
    assert log in CONFIG
    p.write(CONFIG.replace(log, "").replace("TABLE", "method: query, poll: {{column: id, every: 200ms}}") + SINKS["pg"])
    p.sql(FILL, 100)
    p.start()
    p.there(100)
    with locked(p):
        p.sql("insert into t (id) values (101)")
        p.wait_events("t", 101)
        r = p.verify("--settle", "1450ms", "--fast", code=4)  # polls are waited for for 1.4 s
        assert (r["differences"], r["chunks_unsettled"]) == (0, 1) and r["why"], r


@scenario()
def one_deadline_for_all_chunks(p):
    p.sql(FILL, 400)
    p.start()
    p.there(400)
    with locked(p):
        p.sql("update t set v = 'late' where id % 50 = 7")
        r = p.verify("--settle", "4s", "--fast", "--chunk", "50", code=4)
        assert (r["differences"], r["chunks_unsettled"], r["chunks_equal"]) == (0, 8, 0), r
        assert r["waited_ms"] < 12000, r["waited_ms"]
    p.there(400)
    p.sql("update t set v = 'wrong' where id in (1, 399)", on=p.target)
    r = p.verify("--fast", "--chunk", "50", code=4)
    assert (r["differences"], r["chunks_unsettled"], r["chunks_equal"]) == (2, 0, 6), r


@scenario()
def looks_do_not_outlast_the_deadline(p):
    """20,000 rows wait for the sink: to look at all of them takes longer than we may wait."""
    p.sql(FILL, 20000)
    p.start()
    p.there(20000)
    with locked(p):
        p.sql("update t set v = 'late'")
        r = p.verify("--settle", "2s", code=4, load="10")
        assert (r["differences"], r["unsettled"]) == (0, 20000), r
        assert r["waited_ms"] < 7000, r["waited_ms"]


@scenario(sql="create table t (b bytea primary key, id int); create publication pub for table t", sinks=("pg", "lite"))
def a_first_column_that_is_empty(p):
    """Sums that a database makes and those that are made here are of the same text."""
    p.sql("insert into t values ('', 1), ('\\x01', 2)")
    p.start()
    p.there(2)
    for sink in p.sinks:
        r = p.verify("--fast", "--settle", "3s", sink=sink, code=0)
        assert r["inside"] == {"source": True, "sink": sink == "pg"}, r["inside"]


@scenario(sql="create table t (d date, id int, v text, primary key (d, id)); create publication pub for table t")
def keys_without_an_end(p):
    p.sql("insert into t values ('2026-01-01', 1, 'a'), ('0044-03-15 BC', 2, 'b')")
    p.start()
    p.there(2)
    p.sql("insert into t values ('-infinity', 3, 'c'), ('infinity', 4, 'd'); update t set v = 'x' where id = 2", on=p.target)
    r = p.verify(code=4)
    assert found(r) == [("2", "changed", ("v",)), ("3", "extra", ()), ("4", "extra", ())], r
    fixed(p, "pg", extra=2, changed=1)


@scenario(table="key: [k, id]", sql="create table t (k int not null, id int not null, v text); alter table t replica identity full; create publication pub for table t",
          sinks=("pg",))
def keys_that_are_null(p):
    """No range has them, and no `=` finds them."""
    p.sql("insert into t select i, i, 'a' from generate_series(1, 40) i")
    p.start()
    p.there(40)
    p.sql("alter table t drop constraint if exists t_pkey; alter table t alter k drop not null; insert into t values (null, 50, 'b')", on=p.target)
    for mode in MODES + (["--chunk", "10"],):
        r = p.verify(*mode, code=4)
        assert found(r) == [("50", "extra", ())] and r["by"] == "k", r
    r = p.verify("--fast", "--chunk", "10", code=4)
    assert (r["differences"], r["chunks_unsettled"], r["chunks_equal"]) == (1, 0, 3), r
    fixed(p, "pg", extra=1)


@scenario(sql="create table t (n numeric(10,2) primary key, v text); create publication pub for table t", sinks=("pg", "lite"))
def keys_that_no_literal_finds(p):
    """SQLite compares texts: 12.3 is not 12.30 there."""
    p.sql("insert into t values (12.30, 'a'), (1, 'b')")
    p.start()
    p.there(2)
    p.verify(sink="pg", code=0)
    p.at("lite", "update t set v = 'x'")
    e = p.verify(sink="lite", code=2)
    assert e["code"] == "verify.key" and "column n of the key" in e["message"] and "sink" in e["message"], e


def keys_that_are_times_in_sqlite():
    """A source's DATETIME and TIMESTAMP may be written in several ways (TIME orders no rows: its source says so);
    numbers and dates in one."""
    make = "create table t (at {type} not null, id integer not null unique, v text, primary key (at, id)); insert into t values ({value}, 1, 'a');"
    for kind, value, types, code in (("TIMESTAMP", "'2026-11-26T08:26:11Z'", "", 2), ("DATETIME", "'2026-11-26 08:26'", "", 2), ("TIME", "'08:26'", "", "sqlite.type"),
                                     ("seen", "1700000000", "columns: {{types: {{at: unix-seconds}}}}, ", 4), ("DATE", "'2026-11-26'", "", 4)):
        p = SqlitePipeline("      main.t: {{" + types + "method: query, poll: {{column: id, every: 200ms}}}}\nsinks:\n"
                           + SINKS["lite"].replace("public", "main"), make.format(type=kind, value=value))
        with case("verify.keys_that_are_times_in_sqlite_" + kind, p):
            c = sqlite3.connect(os.path.join(p.dir, "out.db"))
            c.executescript("create table t (at text, id integer, v text, primary key (at, id));")
            c.close()
            got, out, err = p.verb("verify", "src/main.t", "--json", "--load", "100", "--settle", "2s")
            answer = json.loads(out)
            e = answer["error"]
            assert got == (code if code == 4 else 2), (got, out[-600:])
            if code == "sqlite.type":
                assert e["code"] == code and "column at" in e["message"], e
            elif code == 2:
                assert e["code"] == "verify.key" and "column at of the key" in e["message"] and "source" in e["message"], e
        p.close()


keys_that_are_times_in_sqlite.name = "keys_that_are_times_in_sqlite"
cases.append(keys_that_are_times_in_sqlite)


def texts_among_bytes():
    """SQLite keeps a text in a column of bytes or numbers: no literal of those says it, and none of it gets into a statement."""
    make = """create table t (id integer primary key autoincrement, b blob, f real);
      insert into t values (1, 'x''); drop table t; --', 1), (2, x'00ff', 0.5), (3, x'00', 'x''); drop');"""
    p = SqlitePipeline("      main.t: {{method: query, poll: {{column: id, every: 200ms}}}}\nsinks:\n" + SINKS["lite"].replace("public", "main"), make)
    with case("verify.texts_among_bytes", p):
        out = os.path.join(p.dir, "out.db")
        c = sqlite3.connect(out)
        c.executescript("create table t (id integer primary key, b blob, f real)")
        file = os.path.join(p.dir, "fix.sql")
        code, said, err = p.verb("verify", "src/main.t", "--json", "--load", "100", "--settle", "60s", "--fix-sql", file)
        assert code == 4 and json.loads(said)["result"]["counts"]["missing"] == 3, (code, said[-600:], err)
        with open(file, encoding="utf-8") as f:
            text = f.read()
        for row, column in ((1, "b"), (3, "f")):
            assert re.search(rf"^-- .*\b{row}: column {column}: it is no value that could be published$", text, re.M), text
        c.executescript(text)
        assert c.execute("select id, hex(b), f from t").fetchall() == [(2, "00FF", 0.5)], text
        c.close()
    p.close()


texts_among_bytes.name = "texts_among_bytes"
cases.append(texts_among_bytes)


def bytes_longer_than_a_packet():
    """A text that a server does not make, since it is too long, is no NULL."""
    for server in ("mariadb", "mysql"):
        if not mysql.add_server(server)[0]:
            print(f"skip verify.bytes_longer_than_a_packet_{server}: not in the stack")
            continue
        p = mysql.MyPipeline(mysql.MY_SOURCE + "      {id}.t: {{}}\n" + SINKS["lite"].replace("  lite", "sinks:\n  lite").replace("public", "{id}"), server)
        with case("verify.bytes_longer_than_a_packet_" + server, p):
            too_long(p)
        p.close()


def too_long(p):
    p.sql("create table t (id int primary key, b longblob, d datetime)")
    c = mysql.connect(p.root, database=p.id)
    mysql.run(c, "set sql_mode = ''")
    mysql.run(c, "insert into t values (1, repeat('x', 700000), '2026-01-01'), (2, 'y', '0000-00-00')")
    mysql.run(c, "insert into t values " + ", ".join(f"({i}, 'z', '0000-00-00')" for i in range(3, 1501)))  # more than warnings are kept
    before = mysql.run(c, "select @@global.max_allowed_packet")[0][0]
    p.start()
    out = os.path.join(p.dir, "out.db")

    def there():
        try:
            s = sqlite3.connect(out, timeout=30)
            got = s.execute("select count(*) from t").fetchall()
            s.close()
            return got == [(1500,)]
        except sqlite3.OperationalError:
            return False
    eventually("all rows", there, 60)
    words = ("verify", f"src/{p.id}.t", "--json", "--load", "100")
    try:
        mysql.run(c, f"set global max_allowed_packet = {1 << 20}")
        for mode in MODES:
            code, text, err = p.verb(*words, *mode)
            e, r = json.loads(text)["error"], json.loads(text)["result"]
            if p.server == "mysql" and code == 0:  # without MD5 nothing is joined inside, and its HEX is not cut
                assert not r["inside"]["source"] and (r["rows_source"], r["differences"], r["unsettled"]) == (1500, 0, 0), r
                continue
            assert code == 2 and e["code"] == "verify.packet" and "max_allowed_packet" in e["message"] + e["fix"], (mode, text[-800:])
    finally:
        mysql.run(c, f"set global max_allowed_packet = {before}")
        c.close()
    for mode in MODES:
        code, text, err = p.verb(*words, *mode)
        assert code == 0, text[-800:]


bytes_longer_than_a_packet.name = "bytes_longer_than_a_packet"
cases.append(bytes_longer_than_a_packet)


@scenario(table="columns: {{rename: {{v: word}}, mask: {{big: \"null\"}}, derive: {{twice: \"id * 2\"}}, types: {{twice: long}}, exclude: [b]}}")
def what_is_not_compared_is_said(p):
    p.sql(FILL, 100)
    p.start()
    p.there(100)
    r = p.verify(code=0)
    why = {c["name"]: c.get("why") for c in r["columns"]}
    assert (why["big"], why["twice"], why["b"], why["word"]) == ("masked", "derived by an expression", "not published", None), why
    p.sql("alter table t add extra int; update t set word = 'x' where id = 5; update t set twice = 0 where id = 6", on=p.target)
    r = p.verify(code=4)
    assert found(r) == [("5", "changed", ("word",))], r
    assert {c["name"]: c.get("why") for c in r["columns"]}["extra"] == "only at the sink"
    code, out, err = p.verb("verify", "src/public.t")
    assert "twice: not compared (derived by an expression)" in out and "big: not compared (masked)" in out, out


@scenario(sinks=("pg", "maria", "lite"))
def soft_deletes(p):
    """Rows that are marked are gone; the result is there for Prometheus, too."""
    p.write(CONFIG.replace("TABLE", "") + "".join(SINKS[s].replace("every: 50ms", "every: 50ms, deletes: soft") for s in p.sinks))
    p.sql(FILL, 100)
    p.start()
    p.there(100)
    p.sql("delete from t where id <= 10")
    file = os.path.join(p.dir, "verify.prom")
    for sink in p.sinks:
        r = p.verify("--metrics", file, sink=sink, code=0)
        assert (r["rows_source"], r["differences"], p.at(sink, "select count(*) from t")) in ((90, 0, [(100,)]), (90, 0, ((100,),))), r
        p.at(sink, "update t set v = 'x' where id = 50")
        p.verify("--metrics", file, sink=sink, code=4)
        with open(file, encoding="utf-8") as f:
            text = f.read()
        assert f'freshet_verify_differences{{pipeline="{p.id}",source="src",table="public.t",sink="{sink}"}} 1\n' in text, text
        assert "freshet_verify_last_success_timestamp_seconds{" in text and "freshet_verify_unsettled{" in text


@scenario()
def a_statement_that_takes_too_long(p):
    p.sql(FILL, 10)
    p.start()
    p.there(10)
    lock = connect(p.target)
    lock.autocommit = False
    lock.cursor().execute("lock table t in access exclusive mode")
    code, out, err = p.verb("verify", "src/public.t", "--timeout", "1s", "--json")
    error = json.loads(out)["error"]
    assert code == 3 and error["code"] == "verify.timeout", error
    lock.close()


@scenario(sinks=("pg", "lite"))
def refused(p):
    p.sql(FILL, 10)
    for words, code in ((["src/public.u"], "cli.no_table"), (["topic"], "verify.topic"), (["src/public.t"], "verify.sink"),
                        (["src/public.t", "--sink", "none"], "verify.sink"), (["src/public.t", "--sink", "pg"], "verify.no_table"),
                        (["src/public.t", "--sink", "pg", "--fast", "--full"], "cli.usage"),
                        (["src/public.t", "--sink", "pg", "--settle", "long"], "cli.bad_value")):
        got, out, err = p.verb("verify", *words, "--json")
        error = json.loads(out)["error"]
        assert got == 2 and error["code"] == code and error["fix"], (words, got, error)
    for table, code in (("filter: \"id > 5\"", "verify.filter"), ("append_only: true", "verify.key"), ("snapshot: {{where: \"id > 5\"}}", "verify.filter")):
        p.write(CONFIG.replace("TABLE", table) + SINKS["pg"])
        got, out, err = p.verb("verify", "src/public.t", "--json")
        assert got == 2 and json.loads(out)["error"]["code"] == code, (table, out)
    for more, code in ((", mode: append", "verify.append"), (", deletes: ignore", "verify.deletes")):
        p.write(CONFIG.replace("TABLE", "") + SINKS["pg"].replace("every: 50ms", "every: 50ms" + more))
        got, out, err = p.verb("verify", "src/public.t", "--json")
        assert got == 2 and json.loads(out)["error"]["code"] == code, (more, out)


def main():
    for c in cases:
        if len(sys.argv) < 2 or c.name in sys.argv[1:]:
            c()


if __name__ == "__main__":  # verify_stores_test takes some of it
    main()
    finish()
