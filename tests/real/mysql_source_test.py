#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""mysql-binlog and mariadb-binlog against real servers, driven through source_probe.

Each test has a database of its own; those that restart a server, change its settings or its log bring up
servers of their own. $FRESHET_TEST_MYSQL: which kinds (default "mariadb mysql"); arguments choose tests by
name. $FRESHET_BUILD names the build folder (default build/dev)."""
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import pymysql  # noqa: E402

import mysql  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
PROBE = os.path.join(BUILD, "source_probe")
DEADLINE = 60
TESTS = []
RUN = "%x" % (os.getpid() * 1000 + random.randrange(1000))


class Skip(Exception):
    pass


def expect(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what or "value", got, want))


def until(what, f):
    end = time.time() + DEADLINE
    while time.time() < end:
        r = f()
        if r:
            return r
        time.sleep(0.05)
    raise AssertionError("never: " + what)


class Result:
    def __init__(self, code, lines, err):
        self.code, self.lines, self.err = code, lines, err

    def ops(self, *ops):
        return [x for x in self.lines if x.get("op") in ops]

    def rows(self, table=None):
        return [x for x in self.ops("r", "c", "u", "d", "t") if table in (None, x["table"].split(".")[1])]

    def first(self, key):
        return next(x for x in self.lines if key in x)

    def error(self):
        return next((x for x in self.lines if "error" in x), None)

    def fails(self, kind, code):
        e = self.error()
        if e is None or e["error"] != kind or e["code"] != code:
            raise AssertionError("want %s %s, got %r %s" % (kind, code, e, self.err[-500:]))
        if not e["hint"]:
            raise AssertionError("no hint: %r" % e)
        return e

    def fine(self):
        if self.code != 0:
            raise AssertionError("exit %d: %r %s" % (self.code, self.error(), self.err[-2000:]))
        return self


class Db:
    """A database of its own on one server, and the probe on it."""

    def __init__(self, name, server, env=None):
        self.env = env or os.environ
        self.server, p = server, server.upper()
        self.mariadb = server.startswith("mariadb")
        self.name = "src_%s_%s" % (RUN, name)
        self.source = ("s%s-%s" % (RUN, name))[:40]
        self.root = self.env[p + "_DSN"]
        self.dsn, self.password = self.env[p + "_USER_DSN"], self.env[p + "_PASSWORD"]
        self.conn = mysql.connect(self.root)
        self.sql("CREATE DATABASE `%s` CHARACTER SET utf8mb4" % self.name)
        self.conn.select_db(self.name)
        self.resume = None
        self.tables = r"/^%s\./" % self.name

    def connect(self, **more):
        return mysql.connect(self.root, database=self.name, **more)

    def sql(self, text, *values, on=None):
        return mysql.run(on or self.conn, text, values or None)

    def one(self, text, *values):
        return self.sql(text, *values)[0][0]

    def version(self):
        return self.conn.get_server_info()

    def command(self, *verbs, **options):
        argv = [PROBE]
        defaults = {"type": "mariadb" if self.mariadb else "mysql", "dsn": self.dsn, "password": self.password,
                    "name": self.source, "tables": self.tables}
        if self.resume:
            defaults["resume"] = self.resume
        defaults.update(options)
        for k, v in defaults.items():
            if v is True:
                argv += ["--" + k.replace("_", "-")]
            elif v is not None:
                argv += ["--" + k.replace("_", "-"), str(v)]
        return argv + list(verbs)

    def probe(self, *verbs, **options):
        p = subprocess.run(self.command(*verbs, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=180)
        if "Sanitizer" in p.stderr or "runtime error" in p.stderr or p.returncode < 0:
            raise AssertionError("probe died: %s" % p.stderr[-3000:])
        return Result(p.returncode, [json.loads(x) for x in p.stdout.splitlines()], p.stderr)

    def start(self, *verbs, **options):
        """plan; remembers where to stream from."""
        r = self.probe("plan", *verbs, **options).fine()
        self.resume = r.first("stream_from")["stream_from"]
        return r

    def stream(self, commits=1, **options):
        r = self.probe("stream", commits=commits, **options).fine()
        self.resume = ([x["resume"] for x in r.lines if "resume" in x] or [self.resume])[-1]
        return r

    def refused(self, kind, code, **options):
        return self.probe("stream", commits=1, seconds=options.pop("seconds", 20), **options).fails(kind, code)

    def finding(self, code, severity, **options):
        r = self.probe("check", **options).fine()
        found = [x for x in r.lines if x.get("finding") == code]
        if not any(x["severity"] == severity for x in found):
            raise AssertionError("no %s %s: %r" % (severity, code, found or [x.get("finding") for x in r.lines]))
        return next(x for x in found if x["severity"] == severity)

    def close(self):
        try:
            self.conn.close()
            c = mysql.connect(self.root)
            mysql.run(c, "DROP DATABASE IF EXISTS `%s`" % self.name)
            c.close()
        except pymysql.Error:
            pass


class Servers:
    """A stack of its own, for tests that restart or configure servers."""

    def __init__(self, *names):
        self.dir = os.path.join(tempfile.mkdtemp(), "stack")
        os.chmod(os.path.dirname(self.dir), 0o755)
        self.env = {}
        for line in self.stack("up", "--owner", str(os.getpid()), *names).splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            self.env[key] = value.strip("'")

    def stack(self, verb, *args):
        p = subprocess.run([STACK, verb, "--dir", self.dir, *args], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise AssertionError("stack %s: %s" % (verb, p.stderr[-300:]))
        return p.stdout

    def configure(self, name, *lines):
        """Settings that hold from the next start on, and that start."""
        with open(self.env[name.upper() + "_CONF"], "a") as f:
            f.write("".join(line + "\n" for line in lines))
        self.stack("stop", name)
        self.stack("start", name)

    def close(self):
        subprocess.run([STACK, "down", "--dir", self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def db_test(f):
    """f(d) on a database of the shared server."""
    def run(server):
        d = Db(f.__name__, server)
        try:
            f(d)
        finally:
            d.close()
    run.__name__ = f.__name__
    TESTS.append(run)
    return f


def own_test(*suffixes):
    """f(d, servers) on servers of its own: the kind itself, and one for each suffix ("2")."""
    def decorate(f):
        def run(server):
            servers = Servers(server, *[server + s for s in suffixes])
            try:
                d = Db(f.__name__, server, servers.env)
                try:
                    f(d, servers)
                finally:
                    d.close()
            finally:
                servers.close()
        run.__name__ = f.__name__
        TESTS.append(run)
        return f
    return decorate


# ---- snapshot and stream ----


def fold(rows, key="id"):
    """What a consumer has in the end; complains about changes that do not fit together."""
    table = {}
    for x in rows:
        if x["op"] in ("r", "c"):
            k = x["after"][key]
            if k in table:
                raise AssertionError("row %r comes twice" % k)
            table[k] = x["after"]
        elif x["op"] == "u":
            if x["before"][key] not in table:
                raise AssertionError("update of %r, which is not there" % x["before"][key])
            if x["before"] != table[x["before"][key]]:
                raise AssertionError("update of another %r than we know" % x["before"][key])
            del table[x["before"][key]]
            table[x["after"][key]] = x["after"]
        elif x["op"] == "d":
            del table[x["before"][key]]
    return table


@db_test
def snapshot_and_stream_meet(d):
    """Writers run through all of it: each row is seen exactly once, and changes apply cleanly."""
    d.sql("CREATE TABLE acc(id bigint PRIMARY KEY, v int NOT NULL)")
    for i in range(0, 3000, 500):
        d.sql("INSERT INTO acc VALUES " + ",".join("(%d,0)" % n for n in range(i + 1, i + 501)))
    d.sql("CREATE TABLE done(id int PRIMARY KEY)")
    stop = threading.Event()

    def writer(n):
        c, rnd, new = d.connect(), random.Random(n), 10000 * (n + 1)
        while not stop.is_set():
            kind, at = rnd.randrange(4), rnd.randrange(3000) + 1
            if kind == 0:
                new += 1
                d.sql("INSERT INTO acc VALUES (%s, 1)", new, on=c)
            elif kind == 1:
                d.sql("DELETE FROM acc WHERE id=%s", at, on=c)
            else:
                d.sql("UPDATE acc SET v=v+1 WHERE id BETWEEN %s AND %s", at, at + 3, on=c)
        c.close()

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        r = d.start("chunks", chunk=300)
        time.sleep(0.5)
    finally:
        stop.set()
        for t in threads:
            t.join()
    d.sql("INSERT INTO done VALUES (1)")
    want = dict(d.sql("SELECT id, v FROM acc"))
    rows = r.rows("acc")
    snapshot = len(rows)
    p = subprocess.Popen(d.command("stream", seconds=60), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in p.stdout:
        lines.append(json.loads(line))
        if lines[-1].get("op") == "COMMIT" and any(x.get("table", "").endswith(".done") for x in lines[-4:]):
            break
    p.kill()
    p.wait()
    got = fold(rows + Result(0, lines, "").rows("acc"))
    expect({k: v["v"] for k, v in got.items()}, want, "the table")
    assert snapshot > 2000 and len(lines) > 50, (snapshot, len(lines))


@db_test
def positions(d):
    """Rows of a group share its lsn and are counted; each commit is a place to go on at."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    d.sql("INSERT INTO t VALUES (1,1),(2,2)")
    d.conn.begin()
    d.sql("UPDATE t SET v=9 WHERE id=1")
    d.sql("DELETE FROM t WHERE id=2")
    d.conn.commit()
    r = d.stream(commits=2)
    expect([x["op"] for x in r.ops("BEGIN", "c", "u", "d", "COMMIT")],
           ["BEGIN", "c", "c", "COMMIT", "BEGIN", "u", "d", "COMMIT"])
    rows = r.rows("t")
    expect([x["ordinal"] for x in rows], [0, 1, 0, 1])
    expect(rows[0]["lsn"], rows[1]["lsn"])
    assert rows[2]["lsn"] > rows[1]["lsn"], rows
    assert rows[0]["txn"] != rows[2]["txn"] and rows[2]["txn"] == rows[3]["txn"]
    expect(rows[2]["before"], {"id": 1, "v": 1})
    # From the first commit on, only the second transaction comes.
    first = r.ops("COMMIT")[0]["resume"]
    again = d.probe("stream", commits=1, resume=first).fine()
    expect([(x["op"], x["lsn"], x["ordinal"], x["txn"]) for x in again.rows()],
           [(x["op"], x["lsn"], x["ordinal"], x["txn"]) for x in rows[2:]])
    # And with file and position instead of GTIDs the same.
    again = d.probe("stream", commits=1, resume=first, set="log.gtid=false").fine()
    expect([x["op"] for x in again.rows()], ["u", "d"])


@db_test
def chunks_of_keys(d):
    """Tables cut by keys of several types, read again from the middle of each chunk: no row twice, none
    left out."""
    d.sql("CREATE TABLE a(x int, y varchar(20) CHARACTER SET latin1, v int, PRIMARY KEY(y, x))")
    d.sql("CREATE TABLE b(id varbinary(16) PRIMARY KEY)")
    d.sql("CREATE TABLE c(id decimal(20,4) PRIMARY KEY)")
    d.sql("CREATE TABLE d(at datetime(3) PRIMARY KEY)")
    d.sql("CREATE TABLE e(u varchar(10) CHARACTER SET utf8mb4 NOT NULL UNIQUE)")
    d.sql("CREATE TABLE f(id bigint unsigned PRIMARY KEY)")
    for i in range(60):
        d.sql("INSERT INTO a VALUES (%s, %s, %s)", i % 7, "äöü'\\"[i % 5] + str(i), i)
        d.sql("INSERT INTO b VALUES (%s)", bytes([i * 37 % 256, i * 91 % 256, 0, 255, i]))
        d.sql("INSERT INTO c VALUES (%s)", "%d.%04d" % (i * 37 - 900, i))
        d.sql("INSERT INTO d VALUES (%s)", "2020-01-%02d 00:00:%02d.%03d" % (i % 28 + 1, i % 60, i))
        d.sql("INSERT INTO e VALUES (%s)", "日本%d\U0001F600" % i)
        d.sql("INSERT INTO f VALUES (%s)", 2**64 - 1 - i * 3)
    for verb, chunk in (("chunks", 13), ("cut-chunks", 13), ("chunks", 1000)):
        r = d.start(verb, chunk=chunk)
        for table in "abcdef":
            rows = [json.dumps(x["after"], sort_keys=True) for x in r.rows(table)]
            expect(len(set(rows)), len(rows), table + " twice")
            expect(len(rows), d.one("SELECT count(*) FROM " + table), table)
            whole = [c["whole"] for c in r.first("plan")["plan"] if c["name"] == table]
            expect(any(whole), False, table + " whole")


@db_test
def tables_without_key(d):
    d.sql("CREATE TABLE t(a int, b varchar(5))")
    d.sql("CREATE TABLE en(e enum('x','y') PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1,'x'),(1,'x'),(NULL,NULL)")
    d.sql("INSERT INTO en VALUES ('y'),('x')")
    r = d.start("chunks", append_only=True)
    expect(len(r.rows("t")), 3)
    expect(len(r.rows("en")), 2)
    expect([c["whole"] for c in r.first("plan")["plan"]], [True, True])


@db_test
def where_of_a_snapshot(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1),(2),(3),(4)")
    r = d.start("cut-chunks", where="id % 2 = 0 -- even", chunk=1)
    expect([x["after"]["id"] for x in r.rows()], [2, 4])


@db_test
def second_view(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    d.start()
    d.sql("INSERT INTO t VALUES (2)")
    r = d.probe("plan-view", "chunks").fine()
    expect(len(r.rows()), 2)
    assert r.first("view_lsn")["view_lsn"] > json.loads(d.resume)["pos"]


@own_test()
def table_changed_under_a_snapshot(d, servers):
    """The ALTER has not to wait (MariaDB: with one more right), and what is left is read at a new view."""
    if d.mariadb:
        d.sql("GRANT BINLOG ADMIN ON *.* TO freshet@'%'" if d.server != "mariadb105" else "DO 1")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(100))")
    d.sql("INSERT INTO t VALUES (1,'a'),(2,'b')")
    p = subprocess.Popen(d.command("plan", "pause:4000", "chunks"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("SET SESSION lock_wait_timeout=2")
    d.sql("ALTER TABLE t MODIFY v varchar(10) CHARACTER SET latin1")
    lines = [json.loads(x) for x in p.stdout]
    p.wait()
    Result(p.returncode, lines, "").fails("CONNECT", "my.table_changed")


# ---- the log ----


@db_test
def rotation(d):
    """D09, D12: files change amid it all."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    for i in range(5):
        d.sql("INSERT INTO t VALUES (%s)", i)
        d.sql("FLUSH LOGS")
    r = d.stream(commits=5)
    expect([x["after"]["id"] for x in r.rows()], [0, 1, 2, 3, 4])
    lsn = [x["lsn"] for x in r.rows()]
    expect(sorted(lsn), lsn, "order")
    d.sql("INSERT INTO t VALUES (5)")
    expect([x["after"]["id"] for x in d.stream().rows()], [5])


@db_test
def ddl_in_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    d.sql("INSERT INTO t VALUES (1,1)")
    d.sql("ALTER TABLE t ADD COLUMN w varchar(5) DEFAULT 'x', DROP COLUMN v")
    d.sql("INSERT INTO t VALUES (2,'y')")
    r = d.stream(commits=2)
    expect([[c["name"] for c in x["columns"]] for x in r.ops("TABLE")], [["id", "v"], ["id", "w"]])
    expect(r.rows()[1]["after"], {"id": 2, "w": "y"})


@db_test
def online_schema_change(d):
    """D20: the shadow table is not captured; after the swap it is the table."""
    d.tables = "%s.t" % d.name
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.sql("INSERT INTO t VALUES (1,1)")
    d.start()
    d.sql("CREATE TABLE _t_gho LIKE t")
    d.sql("ALTER TABLE _t_gho ADD COLUMN w int")
    d.sql("INSERT INTO _t_gho SELECT id, v, NULL FROM t")
    d.sql("INSERT INTO t VALUES (2,2)")
    d.sql("INSERT INTO _t_gho VALUES (2,2,NULL)")
    d.sql("RENAME TABLE t TO _t_del, _t_gho TO t")
    d.sql("INSERT INTO t VALUES (3,3,3)")
    d.sql("UPDATE _t_del SET v=0")
    d.sql("DELETE FROM t WHERE id=1")
    r = d.stream(commits=3)
    expect([(x["op"], x.get("after", x.get("before"))["id"]) for x in r.rows()], [("c", 2), ("c", 3), ("d", 1)])
    expect(r.rows()[1]["after"], {"id": 3, "v": 3, "w": 3})


@db_test
def create_select_and_truncate(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("TRUNCATE TABLE t")
    d.sql("CREATE TABLE u(PRIMARY KEY(id)) SELECT 7 AS id")
    r = d.stream(commits=3)
    expect([(x["op"], x["table"].split(".")[1]) for x in r.rows()], [("c", "t"), ("t", "t"), ("c", "u")])


@db_test
def non_transactional(d):
    """D13: what MyISAM wrote survives a ROLLBACK, and is in the log."""
    d.sql("CREATE TABLE m(id int PRIMARY KEY) ENGINE=MyISAM")
    d.sql("CREATE TABLE i(id int PRIMARY KEY)")
    d.start()
    d.sql("SET SESSION binlog_direct_non_transactional_updates=0")
    if not d.mariadb:
        d.sql("INSERT INTO m VALUES (1)")   # with enforced GTIDs the engines cannot be mixed
    else:
        d.conn.begin()
        d.sql("INSERT INTO i VALUES (1)")
        d.sql("INSERT INTO m VALUES (1)")
        d.conn.rollback()
    r = d.stream(commits=1)
    expect(d.sql("SELECT id FROM m"), ((1,),))
    assert {"id": 1} in [x["after"] for x in r.rows("m")], r.lines
    d.finding("my.engine", "warning")


@db_test
def xa_is_refused(d):
    """D14"""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    c = d.connect()
    for s in ("XA START 'x%s'" % RUN, "INSERT INTO t VALUES (1)", "XA END 'x%s'" % RUN, "XA PREPARE 'x%s'" % RUN,
              "XA COMMIT 'x%s'" % RUN):
        d.sql(s, on=c)
    c.close()
    d.refused("POSITION", "my.xa_refused")


@db_test
def statement_format_is_fatal(d):
    """D15"""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("SET SESSION binlog_format='STATEMENT'")
    d.sql("INSERT INTO t VALUES (1)")
    e = d.refused("POSITION", "my.statement_format")
    assert "INSERT" not in e["text"], e


@db_test
def row_image_of_a_session(d):
    """D16: absent is not null."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int, b text)")
    d.sql("INSERT INTO t VALUES (1, 1, 'long')")
    d.start()
    d.sql("SET SESSION binlog_row_image='MINIMAL'")
    d.sql("UPDATE t SET v=2 WHERE id=1")
    d.sql("DELETE FROM t WHERE id=1")
    r = d.stream(commits=2)
    u, gone = r.rows()
    expect(u["before"], {"id": 1})
    expect(u["after"], {"id": 1, "v": 2})
    expect(u["absent_after"], ["b"])
    expect(gone["before"], {"id": 1})


@db_test
def flush_tables(d):
    """D21: table ids are given anew."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE TABLE u(id int PRIMARY KEY, v varchar(3))")
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i)
        d.sql("INSERT INTO u VALUES (%s, 'a')", i)
        d.sql("FLUSH TABLES")
    r = d.stream(commits=6)
    expect([x["after"] for x in r.rows("u")], [{"id": i, "v": "a"} for i in range(3)])


@db_test
def idle_tables(d):
    """D30: other tables' changes move the position."""
    d.tables = "%s.mine" % d.name
    d.sql("CREATE TABLE mine(id int PRIMARY KEY)")
    d.sql("CREATE TABLE other(id int PRIMARY KEY)")
    d.start()
    before = json.loads(d.resume)
    for i in range(20):
        d.sql("INSERT INTO other VALUES (%s)", i)
    r = d.probe("stream", heartbeats=1, heartbeat_ms=200).fine()
    after = json.loads(r.ops("HEARTBEAT")[-1]["resume"])
    assert (after["file"], after["pos"]) > (before["file"], before["pos"]), (before, after)
    expect(r.rows(), [])


@db_test
def large_rows(d):
    """D33: packets above 16 MiB, and rows above the limit."""
    big = d.one("SELECT @@global.max_allowed_packet")
    if big < 50 << 20:
        d.sql("SET GLOBAL max_allowed_packet=67108864")
        d.conn = d.connect()
    d.sql("CREATE TABLE t(id int PRIMARY KEY, b longblob)")
    d.start()
    d.sql("INSERT INTO t SELECT 1, REPEAT('x', 20000000)")
    r = d.probe("stream", commits=1, max_row=1 << 26, quiet=True).fine()
    expect(r.first("streamed")["streamed"], 1)
    d.start()
    d.sql("INSERT INTO t SELECT 2, REPEAT('x', 70000)")
    r = d.stream(commits=1, max_row=65536)
    assert "max_row_bytes" in r.rows()[0]["bad"], r.rows()[0]["bad"]


@db_test
def compressed(d):
    """D23: payloads and compressed rows, from one moment to the next."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(2000))")
    d.start()
    if not d.mariadb:
        d.sql("SET SESSION binlog_transaction_compression=ON")
        d.sql("INSERT INTO t VALUES (1, REPEAT('y', 2000)), (2, REPEAT('z', 2000))")
        d.sql("SET SESSION binlog_transaction_compression=OFF")
        d.sql("UPDATE t SET v='q' WHERE id=1")
    else:
        d.sql("SET GLOBAL log_bin_compress=ON")
        try:
            c = d.connect()
            d.sql("INSERT INTO t VALUES (1, REPEAT('y', 2000)), (2, REPEAT('z', 2000))", on=c)
            d.sql("SET GLOBAL log_bin_compress=OFF", on=c)
        finally:
            d.sql("SET GLOBAL log_bin_compress=OFF")
        d.sql("UPDATE t SET v='q' WHERE id=1")
    r = d.stream(commits=2)
    expect([(x["op"], x["after"]["id"], len(x["after"]["v"])) for x in r.rows()],
           [("c", 1, 2000), ("c", 2, 2000), ("u", 1, 1)])


@db_test
def interrupt(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    ms = d.probe("interrupt").fine().first("interrupted_ms")["interrupted_ms"]
    assert 400 <= ms < 2000, ms


@db_test
def transports(d):
    """TLS, compression, both, and a Unix socket."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v longtext)")
    d.start()
    d.sql("INSERT INTO t SELECT 1, REPEAT('x', 3000000)")
    ca = d.env["TLS_CA"]
    socket = d.env[d.server.upper() + "_SOCKET"]
    for dsn in (d.dsn + "?ca=" + ca, d.dsn + "?compress=true", d.dsn + "?compress=true&ca=" + ca,
                "mysql://freshet@/%s?socket=%s" % (d.name, socket)):
        r = d.probe("stream", commits=1, dsn=dsn).fine()
        expect(len(r.rows()[0]["after"]["v"]), 3000000, dsn)
    d.probe("tables", dsn=d.dsn + "?ca=" + d.env["TLS_WRONG_CA"]).fails("CONFIG", "my.certificate")
    d.probe("tables", password="wrong").fails("AUTH", "")


@db_test
def zero_dates(d):
    d.sql("SET SESSION sql_mode=''")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, a date NOT NULL, b datetime, c timestamp NULL)")
    d.sql("INSERT INTO t VALUES (1, '0000-00-00', '2020-00-01 00:00:00', '0000-00-00 00:00:00')")
    r = d.start("chunks")
    d.sql("INSERT INTO t VALUES (2, '0000-00-00', '2020-00-01 00:00:00', '0000-00-00 00:00:00')")
    rows = r.rows() + d.stream().rows()
    for x in rows:
        expect([x["after"][c] for c in "abc"], [None, None, None])
        expect(sorted(x["zero"].split(",")), ["a", "b", "c"])


INTEGERS = [("tinyint", -128, 127), ("smallint", -32768, 32767), ("mediumint", -8388608, 8388607),
            ("int", -2147483648, 2147483647), ("bigint", -2**63, 2**63 - 1)]


def typed_columns(d):
    """Column definitions with values as SQL, for every type this kind of server has."""
    out = []
    for name, low, high in INTEGERS:
        out.append((name, [str(low), "0", str(high)]))
        out.append((name + " unsigned", ["0", str(2 * high + 1)]))
        out.append((name + "(5) zerofill", ["7"]))
    out += [
        ("tinyint(1)", ["0", "1", "-7"]), ("decimal(65,30)", ["-" + "9" * 35 + "." + "8" * 30, "0.1"]),
        ("decimal(5,0)", ["-99999", "0"]), ("decimal(10,2) unsigned", ["12345678.91"]),
        ("float", ["1.1", "-3.4e38", "1.4e-45", "0"]), ("double", ["1.1", "-1.7976931348623157e308", "5e-324"]),
        ("float(7,3)", ["1234.567"]), ("double(10,4)", ["-1.2345", "-0e0"]),
        ("bit(1)", ["b'0'", "b'1'"]), ("bit(64)", ["b'1" + "0" * 62 + "1'"]), ("bit(13)", ["b'1010101010101'"]),
        ("date", ["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"]),
        ("time", ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
        ("time(6)", ["'-12:34:56.000001'", "'23:59:59.999999'", "'-00:00:00.5'"]), ("time(3)", ["'-1:02:03.004'"]),
        ("datetime", ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"]),
        ("datetime(6)", ["'2024-02-29 12:34:56.789012'"]), ("datetime(1)", ["'1969-12-31 23:59:59.9'"]),
        ("timestamp null", ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"]),
        ("timestamp(6) null", ["'2001-09-09 01:46:40.000001'"]), ("year", ["1901", "2155", "0"]),
        ("char(10)", ["'a'", "''", "'x  '"]), ("varchar(20)", ["'trailing  '", "''", "'\u00e9\u65e5\U0001F600'"]),
        ("binary(4)", ["X'00FF'", "X'20202020'", "X'AABBCC00'"]), ("varbinary(300)", ["X''", "X'00FF0A'"]),
        ("tinytext", ["'tiny'"]), ("text", ["REPEAT('t', 70000 % 65535)"]), ("mediumtext", ["'m'"]),
        ("longtext", ["REPEAT('l', 100000)"]), ("tinyblob", ["X'00'"]), ("blob", ["X'FF'"]), ("longblob", ["X''"]),
        ("enum('a','b,c','it''s','')", ["'a'", "'b,c'", "'it''s'"]), ("set('x','y','z z')", ["''", "'x,z z'", "'y'"]),
        ("geometry", ["ST_GeomFromText('POINT(1 -2.5)')", "ST_GeomFromText('LINESTRING(0 0,1 1)', 4326)"]),
        ("polygon", ["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')"]),
        ("json", ["'{\"b\": [1, -2.5, \"x\", null, true], \"a\": {\"c\": \"\u00e9\"}}'", "'[]'", "'1e10'"]),
    ]
    for charset, text in (("latin1", "\u00e9\u20ac"), ("cp1251", "\u0416"), ("sjis", "\u65e5"), ("gbk", "\u65e5"),
                          ("utf8mb3" if not d.mariadb else "utf8", "\u65e5"), ("ucs2", "\u65e5x"), ("utf16", "\U0001F600"),
                          ("utf32", "\U0001F600"), ("koi8r", "\u0416"), ("euckr", "\ud55c"), ("big5", "\u65e5"), ("ascii", "a")):
        out.append(("varchar(10) character set " + charset, ["'%s'" % text]))
        out.append(("char(4) character set " + charset, ["'%s'" % text[0]]))
        if ord(text[0]) < 0x10000:      # information_schema shows labels in utf8mb3
            out.append(("enum('%s','q') character set %s" % (text[0], charset), ["'%s'" % text[0]]))
    if d.mariadb:
        out += [("uuid", ["'123e4567-e89b-12d3-a456-426655440000'"]), ("inet6", ["'::1'", "'2001:db8::ff'"]),
                ("varchar(2000) compressed", ["REPEAT('c', 1500)", "'short'"]), ("blob compressed", ["REPEAT('d', 900)"])]
        if d.conn.get_server_info() >= "10.10":
            out.append(("inet4", ["'192.0.2.1'"]))
    else:
        out.append(("vector(3)", ["STRING_TO_VECTOR('[1,-2.5,3]')"]))
    return out


@db_test
def values_are_the_same(d):
    """R27: a value read by the snapshot and the same value out of the log are one and the same, and so is
    their table; for every type, character set, and NULL."""
    columns = typed_columns(d)
    tables = []
    for n, (kind, values) in enumerate(columns):
        d.sql("CREATE TABLE t%d(id int PRIMARY KEY, v %s)" % (n, kind))
        d.sql("CREATE TABLE s%d LIKE t%d" % (n, n))
        for i, v in enumerate(values + ["NULL"]):
            d.sql("INSERT INTO t%d VALUES (%d, %s)" % (n, i, v))
        tables.append(n)
    r = d.start("chunks")
    for n in tables:
        d.sql("INSERT INTO s%d SELECT * FROM t%d" % (n, n))
    s = d.stream(commits=len(tables), max_row=1 << 24)
    wrong = []
    for n, (kind, values) in enumerate(columns):
        a, b = r.rows("t%d" % n), s.rows("s%d" % n)
        expect(len(a), len(values) + 1, kind)
        ta = next(x["columns"] for x in r.ops("TABLE") if x["table"].endswith(".t%d" % n))
        tb = next(x["columns"] for x in s.ops("TABLE") if x["table"].endswith(".s%d" % n))
        if ta != tb:
            wrong.append("%s: columns %r and %r" % (kind, ta[1], tb[1]))
        for x, y in zip(a, b):
            if x["after"] != y["after"] or x.get("bad") or y.get("bad"):
                wrong.append("%s: %r %s and %r %s" % (kind, x["after"].get("v"), x.get("bad", ""), y["after"].get("v"),
                                                      y.get("bad", "")))
    expect(wrong, [])


# ---- continuity ----


@own_test()
def purged(d, servers):
    """D04: refused, with both positions; by GTID and by file."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i + 10)
        d.sql("FLUSH LOGS")
    logs = d.sql("SHOW BINARY LOGS")
    def purge():    # not while the engine may still need a file to recover
        d.sql("PURGE BINARY LOGS TO '%s'" % logs[-1][0])
        return len(d.sql("SHOW BINARY LOGS")) == 1
    until("purged", purge)
    e = d.refused("POSITION", "my.purged", set="log.gtid=false")
    assert logs[-1][0] in e["text"] and json.loads(d.resume)["file"] in e["text"], e
    e = d.refused("POSITION", "my.purged")
    assert json.loads(d.resume)["gtid"][:10] in e["text"], e


@own_test()
def log_begun_anew(d, servers):
    """D05: RESET MASTER makes the same file names again, with other contents."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    for i in range(5):
        d.sql("INSERT INTO t VALUES (%s)", i)
    d.stream(commits=5)
    known = d.resume
    time.sleep(1.1)     # a file's age is known by the second
    d.sql("RESET MASTER" if d.mariadb else "RESET BINARY LOGS AND GTIDS")
    d.refused("POSITION", "my.server_behind")
    d.refused("POSITION", "my.server_behind", set="log.gtid=false")
    for i in range(30):     # the same ids and the same offsets exist again
        d.sql("INSERT INTO t VALUES (%s)", i + 100)
    d.resume = known
    d.refused("POSITION", "my.log_reset", set="log.gtid=false")
    d.refused("POSITION", "my.log_reset")


def make_replica(d, servers, second):
    """second follows d's server from its beginning; answers a connection to it."""
    p = second.upper()
    c = mysql.connect(servers.env[p + "_DSN"], database=None)
    port = servers.env[d.server.upper() + "_PORT"]
    d.sql("CREATE USER repl@'%%' IDENTIFIED BY 'repl-secret'")
    d.sql("GRANT REPLICATION SLAVE ON *.* TO repl@'%%'")
    if d.mariadb:
        d.sql("SET GLOBAL gtid_slave_pos=''", on=c)
        d.sql("CHANGE MASTER TO master_host='127.0.0.1', master_port=%s, master_user='repl',"
              " master_password='repl-secret', master_use_gtid=slave_pos" % port, on=c)
        d.sql("START SLAVE", on=c)
    else:
        d.sql("CHANGE REPLICATION SOURCE TO source_host='127.0.0.1', source_port=%s, source_user='repl',"
              " source_password='repl-secret', source_auto_position=1, get_source_public_key=1" % port, on=c)
        d.sql("START REPLICA", on=c)
    return c


def caught_up(d, c, count):
    def probe():
        try:
            return mysql.run(c, "SELECT count(*) FROM `%s`.t" % d.name)[0][0] == count
        except pymysql.Error:
            return False
    until("the replica has %d rows" % count, probe)


@own_test("2")
def fail_over(d, servers):
    """D06: to a replica with the same GTIDs, without a new snapshot; an errant transaction is refused."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    c = make_replica(d, servers, d.server + "2")
    d.start()
    for i in range(3):
        d.sql("INSERT INTO t VALUES (%s)", i)
    r = d.stream(commits=3)
    d.sql("INSERT INTO t VALUES (3)")
    caught_up(d, c, 4)
    servers.stack("kill", d.server, "-9")
    mysql.run(c, "STOP SLAVE" if d.mariadb else "STOP REPLICA")
    mysql.run(c, "INSERT INTO `%s`.t VALUES (4)" % d.name)
    second = servers.env[d.server.upper() + "2_USER_DSN"]
    r2 = d.probe("stream", commits=2, dsn=second).fine()
    expect([x["after"]["id"] for x in r.rows() + r2.rows()], [0, 1, 2, 3, 4])
    assert (r2.rows()[0]["epoch"], r2.rows()[0]["lsn"]) > (r.rows()[-1]["epoch"], r.rows()[-1]["lsn"])
    expect(r2.rows()[0]["epoch"], r.rows()[0]["epoch"] + 1)
    e = d.refused("POSITION", "my.other_server", dsn=second, set="log.gtid=false")
    # The old one comes back with a transaction that the new one never had.
    resume = [x["resume"] for x in r2.lines if "resume" in x][-1]
    servers.stack("start", d.server)
    d.conn = d.connect()
    d.sql("INSERT INTO t VALUES (99)")
    e = d.probe("stream", commits=1, resume=resume).fails("POSITION", "my.diverged")
    assert json.loads(resume)["gtid"].split(",")[0][:8] in e["text"], e


@own_test()
def killed_server(d, servers):
    """The server dies and comes back: reading on at the last commit, everything once (D09)."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    a = d.stream()
    d.sql("INSERT INTO t VALUES (2)")
    servers.stack("kill", d.server, "-9")
    e = d.probe("stream", commits=1, seconds=5).error()
    expect(e["error"], "CONNECT")
    servers.stack("start", d.server)
    d.conn = d.connect()
    d.sql("INSERT INTO t VALUES (3)")
    b = d.stream(commits=2)
    expect([x["after"]["id"] for x in a.rows() + b.rows()], [1, 2, 3])


@own_test()
def frozen_server(d, servers):
    """D28: no heartbeat for too long is a lost connection."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    p = subprocess.Popen(d.command("stream", seconds=60), stdout=subprocess.PIPE, text=True)
    lines = []
    for line in p.stdout:
        lines.append(json.loads(line))
        if lines[-1].get("op") == "COMMIT":
            break
    servers.stack("freeze", d.server)
    try:
        lines += [json.loads(x) for x in p.stdout]
    finally:
        servers.stack("cont", d.server)
    p.wait()
    expect(Result(p.returncode, lines, "").error()["code"], "my.silent")


@own_test()
def same_server_id(d, servers):
    """D26: two readers with one id; the one that was first is told why."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    options = dict(set="log.server_id=4711")
    p = subprocess.Popen(d.command("stream", seconds=40, **options), stdout=subprocess.PIPE, text=True)
    until("streaming", lambda: "streaming" in p.stdout.readline())
    time.sleep(1)
    d.sql("INSERT INTO t VALUES (1)")
    other = dict(options, name=d.source + "x")
    d.probe("stream", commits=1, **other).fine()
    lines = [json.loads(x) for x in p.stdout]
    p.wait()
    e = Result(p.returncode, lines, "").error()
    expect((e["error"], e["code"]), ("CONFIG", "my.server_id_clash"))
    assert "log.server_id" in e["hint"], e


@own_test()
def without_names(d, servers):
    """D17: binlog_row_metadata=MINIMAL. Tables are taken from information_schema; what cannot be placed
    stops the source."""
    d.sql("SET GLOBAL binlog_row_metadata='MINIMAL'")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(10))")
    d.sql("INSERT INTO t VALUES (1,'a')")
    d.start("chunks")
    assert json.loads(d.resume)["shapes"], d.resume
    d.sql("INSERT INTO t VALUES (2,'b')")
    expect(d.stream().rows()[0]["after"], {"id": 2, "v": "b"})
    # An ALTER while we read is followed.
    p = subprocess.Popen(d.command("stream", commits=2, seconds=30), stdout=subprocess.PIPE, text=True)
    lines = [json.loads(p.stdout.readline())]
    d.sql("INSERT INTO t VALUES (3,'c')")
    lines += [json.loads(p.stdout.readline()) for _ in range(4)]
    d.sql("ALTER TABLE t ADD COLUMN w int")
    d.sql("INSERT INTO t VALUES (4,'d',4)")
    lines += [json.loads(x) for x in p.stdout]
    p.wait()
    r = Result(p.returncode, lines, "").fine()
    expect([x["after"] for x in r.rows()], [{"id": 3, "v": "c"}, {"id": 4, "v": "d", "w": 4}])
    d.resume = [x["resume"] for x in lines if "resume" in x][-1]
    # One while we are away is not.
    d.sql("ALTER TABLE t CHANGE v vv varchar(10), CHANGE w ww int")
    d.refused("POSITION", "my.shape_unknown")


@own_test()
def unlogged_ddl(d, servers):
    """D18: a DDL that is not in the log; with names in it the log itself says so, without it is fatal."""
    d.sql("SET GLOBAL binlog_row_metadata='MINIMAL'")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.start()
    p = subprocess.Popen(d.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
    until("streaming", lambda: "streaming" in p.stdout.readline())
    time.sleep(1)
    c = d.connect()
    d.sql("SET SESSION sql_log_bin=0", on=c)
    d.sql("ALTER TABLE t ADD COLUMN w int", on=c)
    c.close()
    d.sql("INSERT INTO t VALUES (1,1,1)")
    lines = [json.loads(x) for x in p.stdout]
    p.wait()
    Result(p.returncode, lines, "").fails("SCHEMA", "my.shape_mismatch")


@own_test()
def domains(d, servers):
    """D31: MariaDB's domains are each a row of their own."""
    if not d.mariadb:
        raise Skip("domains are MariaDB's")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.start()
    a, b = d.connect(), d.connect()
    d.sql("SET SESSION gtid_domain_id=1", on=a)
    d.sql("SET SESSION gtid_domain_id=2", on=b)
    for i in range(4):
        d.sql("INSERT INTO t VALUES (%s)", i, on=(a, b)[i % 2])
    r = d.stream(commits=2)
    r2 = d.stream(commits=2)
    expect([x["after"]["id"] for x in r.rows() + r2.rows()], [0, 1, 2, 3])
    expect(len(json.loads(d.resume)["gtid"].split(",")), 3)


# ---- pre-flight ----


@db_test
def plan_is_fine(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    r = d.probe("check").fine()
    expect([x for x in r.lines if x["severity"] == "blocker"], [])


@db_test
def plan_finds_tables(d):
    d.sql("CREATE TABLE k(a int)")
    d.sql("CREATE TABLE p(id int PRIMARY KEY)")
    d.sql("CREATE TABLE c(id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p(id) ON DELETE CASCADE)")
    d.finding("my.primary_key", "blocker")
    d.finding("my.primary_key", "warning", append_only=True)
    if d.mariadb or d.conn.get_server_info() < "9.6":
        d.finding("my.fk_cascade", "warning")
    d.finding("my.table", "blocker", tables="%s.nothere" % d.name)
    d.probe("plan", tables="%s.nothere" % d.name).fails("CONFIG", "my.table")


@own_test()
def plan_finds_settings(d, servers):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    for variable, value, code, severity in (
            ("binlog_format", "STATEMENT", "my.binlog_format", "blocker"),
            ("binlog_row_image", "MINIMAL", "my.binlog_row_image", "warning"),
            ("binlog_row_metadata", "MINIMAL", "my.binlog_row_metadata", "warning"),
            ("sync_binlog", "0", "my.sync_binlog", "warning")):
        before = d.one("SELECT @@global.%s" % variable)
        d.sql("SET GLOBAL %s=%s" % (variable, value))
        f = d.finding(code, severity)
        # What it says to type helps.
        for statement in f["sql"].split(";"):
            if statement.strip():
                d.sql(statement)
        assert not [x for x in d.probe("check").lines if x.get("finding") == code and x["severity"] == severity], code
        d.sql("SET GLOBAL %s=%s" % (variable, before))
    d.sql("SET GLOBAL binlog_expire_logs_seconds=3600")
    d.finding("my.expire", "warning")
    d.finding("my.gtid", "warning", set="log.gtid=false")


@own_test()
def plan_finds_no_log(d, servers):
    servers.configure(d.server, "skip_log_bin")
    d.conn = d.connect()
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.finding("my.log_bin", "blocker")
    d.probe("plan").fails("CONFIG", "my.log_bin")


@own_test()
def plan_finds_rights(d, servers):
    """Each missing right is named, with the statement that gives it, which helps."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE USER poor@'%%' IDENTIFIED BY 'poor-secret'")
    d.sql("GRANT SELECT ON `%s`.* TO poor@'%%'" % d.name)
    options = dict(dsn=d.dsn.replace("//freshet@", "//poor@"), password="poor-secret")
    r = d.probe("check", **options).fine()
    missing = [x for x in r.lines if x["finding"] == "my.grants" and x["severity"] == "blocker"]
    expect(len(missing), 2, "missing rights %r" % missing)
    for x in missing + [x for x in r.lines if x["finding"] == "my.snapshot_lock" and x["severity"] == "warning"]:
        d.sql(x["sql"].rstrip(";"))
    r = d.probe("check", **options).fine()
    expect([x for x in r.lines if x["severity"] == "blocker" or x["finding"] == "my.snapshot_lock" and
            x["severity"] != "fine"], [])
    d.sql("INSERT INTO t VALUES (1)")
    d.start("chunks", **options)
    d.sql("INSERT INTO t VALUES (2)")
    expect(len(d.stream(**options).rows()), 1)
    d.sql("CREATE USER blind@'%%' IDENTIFIED BY 'blind-secret'")
    options = dict(dsn="mysql://blind@" + d.dsn.split("@")[1].split("/")[0] + "/", password="blind-secret")
    d.finding("my.table", "blocker", tables="%s.t" % d.name, **options)


@own_test()
def without_lock_rights(d, servers):
    """MySQL needs one of two rights to begin a snapshot; LOCK TABLES will do."""
    if d.mariadb:
        raise Skip("MariaDB locks nothing")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("CREATE USER poor@'%%' IDENTIFIED BY 'poor-secret'")
    d.sql("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor@'%%'")
    options = dict(dsn=d.dsn.replace("//freshet@", "//poor@"), password="poor-secret")
    d.finding("my.snapshot_lock", "warning", **options)
    d.probe("plan", **options).fails("AUTH", "my.snapshot_lock")
    d.sql("GRANT LOCK TABLES ON `%s`.* TO poor@'%%'" % d.name)
    expect(len(d.start("chunks", **options).rows()), 1)


def main():
    wanted = sys.argv[1:]
    failed = 0
    for server in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
        there, why = mysql.add_server(server)
        if not there:
            print("skip mysql_source.%s: %s" % (server, why), flush=True)
            continue
        for t in TESTS:
            if wanted and t.__name__ not in wanted:
                continue
            name = "mysql_source.%s.%s" % (server, t.__name__)
            try:
                t(server)
                print("ok " + name, flush=True)
            except Skip:
                pass    # says nothing of this kind of server
            except Exception as e:
                failed += 1
                print("not ok %s: %s" % (name, " ".join(str(e).split())[:900] or type(e).__name__), flush=True)
                if not isinstance(e, AssertionError):
                    traceback.print_exc(file=sys.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
