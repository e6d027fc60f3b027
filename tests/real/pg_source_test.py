#!/usr/bin/env python3
"""postgres-wal against a real server (PG_DSN), driven through source_probe.

Each test has a database and a slot of its own; those that restart a server or change its settings
bring up a stack of their own (FRESHET_TEST_PG: which of its servers, default pg). FRESHET_BUILD names the build folder (default build/dev); arguments
choose tests by name."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

try:
    import psycopg2
except ImportError:  # another python3 comes first on the PATH than the one with the package
    if sys.executable == "/usr/bin/python3" or not os.path.exists("/usr/bin/python3"):
        print("skip pg_source: python3-psycopg2 is not installed")
        sys.exit(0)
    os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
PROBE = os.path.join(BUILD, "source_probe")
DEADLINE = 60
TESTS = []
RUN = "%x" % (os.getpid() * 1000 + random.randrange(1000))


def test(f):
    TESTS.append(f)
    return f


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


def with_path(dsn, db, user=None):
    u = urllib.parse.urlsplit(dsn)
    host = u.netloc.rsplit("@", 1)[-1]
    return urllib.parse.urlunsplit((u.scheme, "%s@%s" % (user or u.username, host), "/" + db, "", ""))


def count(conn, what, *args):
    c = conn.cursor()
    c.execute("SELECT count(*) FROM " + what, args)
    return c.fetchone()[0]


class Result:
    def __init__(self, code, lines, err):
        self.code, self.lines, self.err = code, lines, err

    def ops(self, *ops):
        return [x for x in self.lines if x.get("op") in ops]

    def rows(self, table=None):
        return [x for x in self.ops("r", "c", "u", "d", "t") if table in (None, x["table"])]

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
    """A database of its own, and the probe on it."""

    def __init__(self, name, base=None, encoding="UTF8"):
        self.base = base or os.environ["PG_DSN"]
        self.name = "src_%s_%s" % (RUN, name)
        self.source = ("s%s-%s" % (RUN, name))[:40]
        self.slot = "freshet_" + self.source.replace("-", "_")
        admin = self.connect(self.base)
        admin.cursor().execute('CREATE DATABASE "%s" TEMPLATE template0 ENCODING \'%s\' LC_COLLATE \'C\''
                               " LC_CTYPE 'C'" % (self.name, encoding))
        admin.close()
        self.dsn = with_path(self.base, self.name)
        self.conn = self.connect(self.dsn)
        self.resume = None
        self.tables = r"/^public\./"

    @staticmethod
    def connect(dsn):
        c = psycopg2.connect(dsn)
        c.autocommit = True
        return c

    def sql(self, text, *args):
        c = self.conn.cursor()
        c.execute(text, args or None)
        return c.fetchall() if c.description else None

    def one(self, text, *args):
        return self.sql(text, *args)[0][0]

    def since(self, version, what):
        if self.conn.server_version < version:
            raise Skip("%s came with %d" % (what, version // 10000))

    def publish(self, extra=""):
        self.sql("CREATE PUBLICATION %s FOR ALL TABLES %s" % (self.slot, extra))

    def command(self, *verbs, **options):
        argv = [PROBE]
        defaults = {"dsn": self.dsn, "name": self.source, "tables": self.tables}
        if self.resume:
            defaults["resume"] = self.resume
        defaults.update(options)
        for k, v in defaults.items():
            if v is True:
                argv += ["--" + k.replace("_", "-")]
            elif v is not None:
                argv += ["--" + k.replace("_", "-"), str(v)]
        return argv + list(verbs)

    def probe(self, *verbs, env=None, **options):
        p = subprocess.run(self.command(*verbs, **options), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=180,
                           env=dict(os.environ, **(env or {})))
        if "Sanitizer" in p.stderr or p.returncode < 0:
            raise AssertionError("probe died: %s" % p.stderr[-3000:])
        return Result(p.returncode, [json.loads(x) for x in p.stdout.splitlines()], p.stderr)

    def start(self, *verbs, **options):
        """plan; remembers where to stream from."""
        r = self.probe("plan", *verbs, **options).fine()
        self.resume = r.first("stream_from")["stream_from"]
        return r

    def stream(self, commits=1, go_on=True, **options):
        r = self.probe("stream", commits=commits, **options).fine()
        if go_on:
            self.resume = ([x["resume"] for x in r.lines if "resume" in x] or [self.resume])[-1]
        return r

    def close(self):
        def gone():
            self.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                     " WHERE active AND database = current_database()")
            self.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                     " WHERE NOT active AND database = current_database()")
            return self.one("SELECT count(*) FROM pg_replication_slots"
                            " WHERE database = current_database()") == 0
        try:
            until("slots dropped", gone)
        except psycopg2.Error:
            pass
        self.conn.close()
        try:
            admin = self.connect(self.base)
            admin.cursor().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                                   (self.name,))
            until("backends gone", lambda: not count(admin, "pg_stat_activity WHERE datname = %s", self.name))
            admin.cursor().execute('DROP DATABASE IF EXISTS "%s"' % self.name)
            admin.close()
        except psycopg2.Error:
            pass


class Server:
    """A stack of its own, for tests that restart or configure it."""

    def __init__(self, *settings, since=0):
        self.name = os.environ.get("FRESHET_TEST_PG", "pg")
        self.dir = os.path.join(tempfile.mkdtemp(), "stack")
        os.chmod(os.path.dirname(self.dir), 0o755)
        env = self.stack("up", "--owner", str(os.getpid()), self.name)
        self.env = dict(re.findall(r"export (\w+)=(.*)", env))
        prefix = self.name.upper().replace("-", "_")
        self.dsn, self.data = self.env[prefix + "_DSN"], self.env[prefix + "_DATA"]
        if since > 0 and self.version() < since:
            self.close()
            raise Skip("came with %d" % (since // 10000))
        if settings:
            c = Db.connect(self.dsn)
            for s in settings:
                c.cursor().execute("ALTER SYSTEM SET " + s)
            c.close()
            self.stack("stop", self.name)
            self.stack("start", self.name)

    def version(self):
        c = Db.connect(self.dsn)
        v = c.server_version
        c.close()
        return v

    def stack(self, verb, *args):
        p = subprocess.run([STACK, verb, "--dir", self.dir, *args], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise Skip("stack %s: %s" % (verb, p.stderr[-200:]))
        return p.stdout

    def close(self):
        subprocess.run([STACK, "down", "--dir", self.dir], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def db_test(f):
    def run():
        d = Db(f.__name__)
        try:
            f(d)
        finally:
            d.close()
    run.__name__ = f.__name__
    return test(run)


def resume_with(text, **changes):
    j = json.loads(text)
    j.update(changes)
    return json.dumps(j)


# ---- snapshot and stream ----


@db_test
def snapshot_and_stream_meet(d):
    """Writers run through all of it: each row is seen exactly once, and changes apply cleanly."""
    d.sql("CREATE TABLE acc(id bigint PRIMARY KEY, v int NOT NULL)")
    d.sql("INSERT INTO acc SELECT i, 0 FROM generate_series(1, 3000) i")
    d.sql("CREATE TABLE done(id int PRIMARY KEY)")
    d.publish()
    stop = threading.Event()

    def writer(n):
        c, rnd = d.connect(d.dsn), random.Random(n)
        cur, k = c.cursor(), 0
        while not stop.is_set():
            k += 1
            act = rnd.randrange(4)
            if act == 0:
                cur.execute("INSERT INTO acc VALUES (%s, %s)", (10000 + k * 10 + n, k))
            elif act == 1:
                cur.execute("DELETE FROM acc WHERE id = (SELECT min(id) FROM acc WHERE id %% 4 = %s)", (n,))
            else:
                cur.execute("BEGIN; UPDATE acc SET v = v + 1 WHERE id %% 97 = %s; COMMIT",
                            (rnd.randrange(97),))
        c.close()
    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    try:
        p = subprocess.Popen(d.command("plan", "chunks", "pause:500", "stream", chunk=500, seconds=60),
                             stdout=subprocess.PIPE, text=True)
        state, view, streamed = {}, None, 0
        for line in p.stdout:
            e = json.loads(line)
            if "view_lsn" in e:
                view = e["view_lsn"]
            elif e.get("streaming"):
                stop.set()
                for t in threads:
                    t.join()
                d.sql("INSERT INTO done VALUES (1)")
            elif e.get("error"):
                raise AssertionError(e)
            elif e.get("op") == "r":
                expect(e["lsn"] < view, True, "a snapshot row is below the view")
                expect(e["after"]["id"] in state, False, "row twice in the snapshot")
                state[e["after"]["id"]] = e["after"]["v"]
            elif e.get("op") in ("c", "u", "d"):
                if e["table"] == "public.done":
                    break
                streamed += 1
                expect(e["lsn"] >= view, True, "stream before the view")
                key = (e.get("before") or e["after"])["id"] if e["op"] == "d" else e["after"]["id"]
                expect(key in state, e["op"] != "c", "%s of %s" % (e["op"], key))
                if e["op"] == "d":
                    del state[key]
                else:
                    state[key] = e["after"]["v"]
        p.terminate()
        p.wait()
    finally:
        stop.set()
        for t in threads:
            t.join()
    expect(state, dict(d.sql("SELECT id, v FROM acc")), "final state")
    expect(streamed > 100, True, "writers were seen in the stream (%d)" % streamed)


@db_test
def chunks_of_every_key_type(d):
    """Cut in the middle of each chunk and resumed: every row exactly once."""
    keys = {
        "k_int": ("int", "i - 20"),
        "k_text": ("text", r"chr(33 + i) || E'\\''\"' || repeat('x', i %% 3) || chr(8364 + i)"),
        "k_bpchar": ("char(5)", "'b' || i"),
        "k_uuid": ("uuid", "md5(i::text)::uuid"),
        "k_num": ("numeric(12,3)", "(i - 30) * 1.125"),
        "k_bignum": ("numeric", "(i - 30) * 100000000000000000000.000000000001"),
        "k_date": ("date", "date '0002-03-01 BC' + i * 30"),
        "k_ts": ("timestamp", "timestamp '1969-12-31 23:59:59.5' + i * interval '0.1 s'"),
        "k_tstz": ("timestamptz", "timestamptz '0001-06-01 12:00+00 BC' + i * interval '30 days 1 us'"),
        "k_time": ("time", "time '00:00' + i * interval '1 min 1 us'"),
        "k_bytea": ("bytea", "decode(lpad(to_hex(i), 2, '0') || '00ff', 'hex')"),
        "k_float": ("float8", "(i - 30) / 7.0"),
        "k_real": ("real", "(i - 30) / 7.0"),
        "k_enum": ("mood", "(enum_range(NULL::mood))[i]"),
        "k_domain": ("tag", "'t' || i"),
        "k_interval": ("interval", "i * interval '1 mon -1 day'"),
        "k_inet": ("inet", "inet '10.0.0.0' + i"),
        "k_bool": ("bool", "i %% 2 = 0"),
    }
    d.sql("CREATE TYPE mood AS ENUM (%s)" % ",".join("'%c%d'" % (122 - i % 26, i) for i in range(60)))
    d.sql("CREATE DOMAIN tag AS varchar(9)")
    for t, (typ, expr) in keys.items():
        n = 2 if typ == "bool" else 60
        d.sql("CREATE TABLE %s(k %s PRIMARY KEY, n int)" % (t, typ))
        d.sql("INSERT INTO %s SELECT %s, i FROM generate_series(1, %d) i" % (t, expr.replace("%%", "%"), n))
    d.sql('CREATE TABLE "Odd ""na.me"("K 1" int, "k""2" text, x text, n int, PRIMARY KEY ("k""2", "K 1"))')
    d.sql("""INSERT INTO "Odd ""na.me" SELECT i % 7, 'g' || i / 7, NULL, i FROM generate_series(1, 60) i""")
    d.sql("CREATE TABLE k_none(n int)")
    d.sql("INSERT INTO k_none SELECT i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_array(k int[] PRIMARY KEY, n int)")
    d.sql("INSERT INTO k_array SELECT ARRAY[i], i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_uniq(a int NOT NULL UNIQUE, b int UNIQUE, n int)")
    d.sql("INSERT INTO k_uniq SELECT i, i, i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_nulls(a int UNIQUE, n int)")
    d.sql("INSERT INTO k_nulls SELECT nullif(i, 3), i FROM generate_series(1, 60) i")
    d.sql("CREATE TABLE k_empty(k int PRIMARY KEY, n int)")
    d.publish()
    r = d.probe("plan", "cut-chunks", chunk=17).fine()
    plan = r.first("plan")["plan"]
    whole = {c["name"] for c in plan if c["whole"]}
    expect(whole, {"k_none", "k_array", "k_nulls"}, "tables without a key for ranges")
    expect(len([c for c in plan if c["name"] == "k_text"]), 4, "chunks of k_text")
    expect(len([c for c in plan if c["name"] == "k_empty"]), 1, "chunks of an empty table")
    for t in list(keys) + ['Odd "na.me', "k_none", "k_array", "k_uniq", "k_nulls"]:
        n = 2 if t == "k_bool" else 60
        got = sorted(x["after"]["n"] for x in r.rows("public." + t))
        expect(got, list(range(1, n + 1)), t)
    expect([x for x in r.lines if "bad" in x], [], "bad rows")


@db_test
def chunks_from_a_sample(d):
    """Where the catalog says that a table is large, cuts come from a sample: still every row once."""
    d.sql("CREATE TABLE big(a int, b text, PRIMARY KEY (a, b))")
    d.sql("INSERT INTO big SELECT i / 3, 'b' || i FROM generate_series(1, 30000) i")
    d.sql("ANALYZE big")
    d.sql("UPDATE pg_class SET reltuples = 30000000, relpages = 200000 WHERE relname = 'big'")
    d.publish()
    r = d.probe("plan", "chunks", chunk=1000).fine()
    plan = r.first("plan")["plan"]
    expect(5 < len(plan) < 120, True, "about 30 chunks (%d)" % len(plan))
    got = [x["after"]["b"] for x in r.rows()]
    expect(len(got), 30000, "rows")
    expect(len(set(got)), 30000, "different rows")


@db_test
def where_filter_and_columns(d):
    """snapshot.where, and the publication's row filter and column list, hold for both paths."""
    d.since(150000, "row filters")
    d.sql("CREATE TABLE f(id int PRIMARY KEY, a int, b text, c text)")
    d.sql("INSERT INTO f SELECT i, i % 10, 'b', 'c' FROM generate_series(1, 100) i")
    d.sql("CREATE PUBLICATION %s FOR TABLE f (id, a, c) WHERE (id <= 50)" % d.slot)
    r = d.start("chunks", chunk=10, where="a < 5 -- half")
    rows = r.rows()
    expect(len(rows), 25, "rows")
    expect(sorted(rows[0]["after"]), ["a", "c", "id"], "columns")
    d.sql("INSERT INTO f VALUES (-1, 9, 'b', 'c'), (101, 1, 'b', 'c')")
    s = d.stream()
    expect([x["after"] for x in s.rows()], [{"id": -1, "a": 9, "c": "c"}], "streamed")
    a, b = r.ops("TABLE")[0], s.ops("TABLE")[0]
    expect(a["columns"], b["columns"], "the same table on both paths")


@db_test
def second_view(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t SELECT generate_series(1, 10)")
    r = d.probe("plan-view", "chunks", "end-view").fine()
    expect(len(r.rows()), 10, "rows at the second view")
    view = r.first("view_lsn")["view_lsn"]
    s = d.stream()
    expect(s.rows()[0]["lsn"] < view, True, "the insert is before the second view")
    expect(d.one("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"), 1,
           "temporary slot is gone")


@db_test
def rewritten_under_the_snapshot(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v int)")
    d.sql("INSERT INTO t SELECT i, i FROM generate_series(1, 10) i")
    d.publish()
    p = subprocess.Popen(d.command("plan", "pause:1500", "chunks"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("ALTER TABLE t ALTER v TYPE bigint")
    lines = [json.loads(x) for x in p.stdout.read().splitlines()]
    expect(p.wait(), 5, "exit code")
    expect(lines[-1]["code"], "pg.table_rewritten", "code")


@db_test
def partitions_by_root(d):
    d.since(130000, "publish_via_partition_root")
    d.sql("CREATE TABLE m(id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
    for y in (2024, 2025):
        d.sql("CREATE TABLE m_%d PARTITION OF m FOR VALUES FROM ('%d-01-01') TO ('%d-01-01')" % (y, y, y + 1))
    d.sql("INSERT INTO m SELECT i, date '2024-06-01' + i * 10, 'v' FROM generate_series(1, 50) i")
    d.probe("apply").fine()
    r = d.start("cut-chunks", chunk=9)
    expect(len(r.rows("public.m")), 50, "rows under the root's name")
    expect({x["table"] for x in r.ops("TABLE")}, {"public.m"}, "tables")
    d.sql("INSERT INTO m VALUES (99, '2025-02-02', 'new')")
    d.sql("UPDATE m SET day = '2024-02-02' WHERE id = 99")
    s = d.stream(2)
    expect({x["table"] for x in s.rows()}, {"public.m"}, "streamed under the root's name")
    d.probe("plan-replace", tables="public.m_2024").fails("CONFIG", "pg.unlogged")


@db_test
def partitions_by_leaf(d):
    d.since(130000, "publish_via_partition_root")
    d.sql("CREATE TABLE m(id int PRIMARY KEY) PARTITION BY RANGE (id)")
    d.sql("CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (100)")
    d.sql("CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (100) TO (200)")
    d.sql("INSERT INTO m SELECT i FROM generate_series(1, 150) i")
    d.publish("WITH (publish_via_partition_root = false)")
    r = d.start("chunks")
    expect((len(r.rows("public.m_1")), len(r.rows("public.m_2"))), (99, 51), "rows under leaf names")
    d.sql("INSERT INTO m VALUES (151)")
    expect(d.stream().rows()[0]["table"], "public.m_2", "streamed under the leaf's name")
    d.probe("plan-replace", tables="public.m").fails("CONFIG", "pg.unlogged")


# ---- the stream ----


@db_test
def transactions_and_ordinals(d):
    d.since(140000, "logical messages")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.sql("CREATE TABLE other(id int PRIMARY KEY)")
    d.publish()
    d.tables = "public.t"
    d.start()
    d.sql("BEGIN; INSERT INTO t VALUES (1, 'a'); SAVEPOINT s; INSERT INTO t VALUES (2, 'gone');"
          "ROLLBACK TO s; INSERT INTO other VALUES (1); INSERT INTO t VALUES (3, 'b');"
          "SELECT pg_logical_emit_message(true, 'in', 'side'); UPDATE t SET v = 'c' WHERE id = 1; COMMIT")
    d.sql("BEGIN; INSERT INTO t VALUES (4, 'x'); ROLLBACK")
    d.sql("SELECT pg_logical_emit_message(false, 'out', 'side')")
    c = d.conn.cursor()
    import io
    c.copy_from(io.StringIO("".join("%d\tcopy\n" % i for i in range(100, 1100))), "t")
    s = d.stream(2, no_confirm=True)
    changes = [(x["op"], x.get("after", {}).get("id"), x["ordinal"]) for x in s.ops("c", "u", "MESSAGE")]
    expect(changes[:5], [("c", 1, 0), ("c", 3, 2), ("MESSAGE", None, 3), ("u", 1, 4),
                         ("MESSAGE", None, 0)], "events of the first transaction")
    copied = changes[5:]
    expect(copied, [("c", i, i - 100) for i in range(100, 1100)], "COPY: ordinals")
    out = s.ops("MESSAGE")[1]
    expect(("txn" in out, out["name"], out["body"]), (False, "out", "side"), "non-transactional message")
    again = d.stream(1, go_on=False, no_confirm=True, resume=out["resume"])
    expect(([x["ordinal"] for x in again.ops("c")][:1], again.ops("MESSAGE")), ([0], []), "restart after the message")
    places = [(x["lsn"], x["ordinal"]) for x in s.ops("c", "u") if x["table"] == "public.t"]
    expect(places, sorted(set(places)), "positions increase")


@db_test
def small_batches_say_the_same(d):
    d.since(110000, "TRUNCATE in the log")
    d.sql("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("BEGIN; INSERT INTO a SELECT generate_series(1, 20); INSERT INTO b SELECT generate_series(1, 20);"
          "TRUNCATE a, b; COMMIT")

    def strip(r):
        return [x for x in r.lines if "op" in x and x["op"] != "HEARTBEAT"]
    want = strip(d.stream(1, go_on=False, no_confirm=True))
    for n in (1, 2, 3, 7):
        expect(strip(d.stream(1, go_on=False, no_confirm=True, batch=n)), want, "batch of %d" % n)
    expect([x["table"] for x in want if x["op"] == "t"], ["public.a", "public.b"], "truncates")


@db_test
def toast_default(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, big text, v int)")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 50000), 0), (2, NULL, 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET v = 1 WHERE id = 1")
    d.sql("UPDATE t SET v = 1 WHERE id = 2")
    a, b = d.stream(2).ops("u")
    expect((a["after"], a["absent_after"]), ({"id": 1, "v": 1}, ["big"]), "unchanged TOAST is absent")
    expect((b["after"], b["absent_after"]), ({"id": 2, "big": None, "v": 1}, []), "NULL is NULL")


@db_test
def toast_full(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, big text, v int)")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY FULL")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 50000), 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET v = 1")
    u = d.stream().ops("u")[0]
    expect((len(u["after"]["big"]), u["absent_after"], u["before"]["v"]), (50000, [], 0), "taken from before")


@db_test
def key_change_beside_toast(d):
    """Decision 47: the value is in no log; it is read again by the new key."""
    d.sql("CREATE TABLE t(id int, sub text, big text, more jsonb, v int, PRIMARY KEY (sub, id))")
    d.sql("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t ALTER more SET STORAGE EXTERNAL")
    d.sql("INSERT INTO t VALUES (1, 'a''b', repeat('x', 50000),"
          " jsonb_build_object('k', repeat('y', 50000)), 0)")
    d.publish()
    d.start()
    d.sql("UPDATE t SET id = 2, sub = E'c\\\\d'")
    u = d.stream().ops("u")[0]
    expect(u["before"], {"id": 1, "sub": "a'b"}, "old key")
    expect((len(u["after"]["big"]), len(u["after"]["more"]) > 50000), (50000, True), "read again")
    expect((u["absent_after"], u["name"]), ([], "big,more"), "named")
    d.sql("UPDATE t SET id = 3")
    d.sql("DELETE FROM t")
    s = d.stream(2)
    u = s.ops("u")[0]
    expect("REPLICA IDENTITY FULL" in u.get("bad", ""), True, "gone: bad, with the remedy: %r" % u)
    expect(s.ops("d")[0]["before"], {"id": 3, "sub": "c\\d"}, "the stream goes on")


@db_test
def ddl_in_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text NOT NULL)")
    d.sql("COMMENT ON COLUMN t.v IS 'first'")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1, 'a')")
    d.sql("BEGIN; INSERT INTO t VALUES (2, 'b'); ALTER TABLE t ADD w int DEFAULT 5;"
          "INSERT INTO t VALUES (3, 'c', 6); ALTER TABLE t DROP v; INSERT INTO t VALUES (4, 7); COMMIT")
    d.sql("ALTER TABLE t RENAME w TO x")
    d.sql("INSERT INTO t VALUES (5, 8)")
    d.sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE t ADD m mood DEFAULT 'ok'")
    d.sql("INSERT INTO t VALUES (6, 9)")
    s = d.stream(5)
    expect([x["after"] for x in s.ops("c")],
           [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c", "w": 6}, {"id": 4, "w": 7},
            {"id": 5, "x": 8}, {"id": 6, "x": 9, "m": "ok"}], "rows in the shape of their time")
    tables = s.ops("TABLE")
    versions = [x["version"] for x in tables]
    expect(versions, sorted(set(versions)), "each version once, counting up")
    expect([[c["name"] for c in x["columns"]] for x in tables][-1], ["id", "x", "m"], "last shape")


@db_test
def unchanged_table_is_not_announced_again(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1, 'a')")
    d.sql("ALTER TABLE t SET (fillfactor = 80)")
    d.sql("VACUUM ANALYZE t")
    d.sql("INSERT INTO t VALUES (2, 'a')")
    s = d.stream(3 if d.conn.server_version < 150000 else 2)
    expect(len(s.ops("TABLE")), 1, "TABLE events")
    d.sql("COMMENT ON TABLE t IS 'now with a comment'")
    d.sql("ALTER TABLE t SET (fillfactor = 90)")
    d.sql("INSERT INTO t VALUES (3, 'a')")
    expect(d.stream().ops("TABLE")[-1]["doc"], "now with a comment", "comment")


@db_test
def text_only_type_arrives(d):
    """pgoutput's binary option is for the whole stream: a type that must be text ends it once."""
    d.since(140000, "binary")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("ALTER TABLE t ADD w tsvector")
    d.sql("INSERT INTO t VALUES (2, 'a fat cat')")
    s = d.stream(2)
    expect(s.ops("c")[1]["after"]["w"], "'a' 'cat' 'fat'", "from the start: text")
    p = subprocess.Popen(d.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
    d.sql("CREATE TABLE u(id int PRIMARY KEY)")
    p.stdout.readline()
    p.terminate()
    p.wait()
    e = Db("text_only_2")
    try:
        e.sql("CREATE TABLE t(id int PRIMARY KEY)")
        e.publish()
        e.start()
        p = subprocess.Popen(e.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
        expect(json.loads(p.stdout.readline()), {"streaming": True}, "started")
        e.sql("ALTER TABLE t ADD w tsvector")
        e.sql("INSERT INTO t VALUES (2, 'a fat cat')")
        out = [json.loads(x) for x in p.stdout.read().splitlines()]
        expect((p.wait(), out[-1]["error"], out[-1]["code"]), (3, "BUSY", "pg.text_only"), "ends once")
        until("slot free", lambda: not e.one("SELECT active FROM pg_replication_slots WHERE slot_name = %s", e.slot))
        expect(e.stream().ops("c")[0]["after"]["w"], "'a' 'cat' 'fat'", "then goes on as text")
    finally:
        e.close()


@db_test
def generated_columns(d):
    d.since(120000, "generated columns")
    if d.conn.server_version >= 180000:
        raise Skip("18 may publish them")
    d.sql("CREATE TABLE t(id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, v int)")
    d.sql("INSERT INTO t VALUES (1, DEFAULT, 1)")
    d.publish()
    r = d.start("chunks")
    d.sql("INSERT INTO t VALUES (2, DEFAULT, 1)")
    s = d.stream()
    expect((r.rows()[0]["after"], s.rows()[0]["after"]), ({"id": 1, "v": 1}, {"id": 2, "v": 1}), "both paths")
    found = [x for x in d.probe("check").lines if x.get("finding") == "pg.generated"]
    expect(len(found), 1, "named by check")


@db_test
def names_in_any_script(d):
    d.sql('CREATE SCHEMA "naïve"; CREATE TABLE "naïve"."表·Tab"("ключ" int PRIMARY KEY, "va l" text)')
    d.sql('INSERT INTO "naïve"."表·Tab" VALUES (1, \'日本\')')
    d.publish()
    d.tables = "naïve.表·Tab"
    r = d.start("chunks")
    expect(r.rows()[0]["after"], {"ключ": 1, "va l": "日本"}, "snapshot")
    d.sql('INSERT INTO "naïve"."表·Tab" VALUES (2, \'é\')')
    expect(d.stream().rows("naïve.表·Tab")[0]["after"], {"ключ": 2, "va l": "é"}, "stream")


@test
def latin1_database():
    d = Db("latin1", encoding="LATIN1")
    try:
        d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
        d.sql("INSERT INTO t VALUES (1, 'naïve')")
        d.publish()
        expect(d.start("chunks").rows()[0]["after"]["v"], "naïve", "snapshot")
        d.sql("INSERT INTO t VALUES (2, 'é')")
        expect(d.stream().rows()[0]["after"]["v"], "é", "stream")
    finally:
        d.close()


@db_test
def row_above_the_limit(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    d.sql("INSERT INTO t VALUES (1, repeat('x', 20000)), (2, 'y')")
    d.publish()
    r = d.start("chunks", max_row=10000)
    expect(["bad" in x for x in r.rows()], [True, False], "snapshot")
    d.sql("INSERT INTO t VALUES (3, repeat('x', 20000)), (4, 'y')")
    expect(["bad" in x for x in d.stream(max_row=10000).rows()], [True, False], "stream")


# ---- staying alive, stopping ----


@db_test
def foreign_writes_move_the_slot(d):
    """R3: nothing of ours changes, the rest of the server does (C10)."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    other = Db("neighbour", base=d.base)
    try:
        other.sql("CREATE TABLE noise(v text)")
        other.sql("INSERT INTO noise SELECT repeat(md5(i::text), 20) FROM generate_series(1, 60000) i")
        end = d.one("SELECT pg_current_wal_lsn()")
        p = subprocess.Popen(d.command("stream", heartbeat_ms=300, seconds=DEADLINE), stdout=subprocess.PIPE,
                             text=True)
        beat = next(x for x in map(json.loads, p.stdout) if x.get("op") == "HEARTBEAT")
        expect(json.loads(beat["resume"])["slot"], d.slot, "resume")
        threading.Thread(target=p.stdout.read).start()
        until("confirmed", lambda: d.one("SELECT %s::pg_lsn - confirmed_flush_lsn < 32 << 20"
                                         " FROM pg_replication_slots WHERE slot_name = %s", end, d.slot))
        p.terminate()
        p.wait()
    finally:
        other.close()


@test
def starved_reader_stays():
    """No batch is free for longer than wal_sender_timeout, with a full socket: confirm keeps us (R37)."""
    s = Server("wal_sender_timeout = '2s'")
    try:
        d = Db("starved", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
        d.publish()
        d.start()
        d.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 20000) i")
        r = d.stream(1, starve_ms=6000, seconds=60)
        expect(len(r.ops("c")), 20000, "rows after 6 s without a fill")
        d.close()
    finally:
        s.close()


@db_test
def heartbeat_is_a_place_to_restart(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    writer = d.connect(d.dsn)
    w = writer.cursor()
    w.execute("BEGIN; INSERT INTO t VALUES (1)")
    d.sql("CREATE TABLE noise AS SELECT repeat('x', 100) FROM generate_series(1, 1000)")
    r = d.probe("stream", heartbeats=1, heartbeat_ms=100).fine()
    d.resume = r.ops("HEARTBEAT")[-1]["resume"]
    w.execute("COMMIT")
    writer.close()
    s = d.stream()
    expect([x["after"]["id"] for x in s.rows("public.t")], [1], "begun before the heartbeat, committed after")


@test
def alive_without_confirm():
    """Longer than wal_sender_timeout without any new position: the server keeps us."""
    s = Server("wal_sender_timeout = '2s'")
    try:
        d = Db("alive", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        p = subprocess.Popen(d.command("stream", seconds=6, no_confirm=True), stdout=subprocess.PIPE, text=True)
        time.sleep(5)
        d.sql("INSERT INTO t VALUES (1)")
        lines = [json.loads(x) for x in p.stdout.read().splitlines()]
        expect(p.wait(), 0, "exit code")
        expect([x["after"]["id"] for x in lines if x.get("op") == "c"], [1], "row after 5 s of rest")
        d.close()
    finally:
        s.close()


@db_test
def same_shape_on_both_paths(d):
    """TABLE says the same in the snapshot and in the stream, whatever the replica identity."""
    d.sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(8,2) NOT NULL")
    cols = ("id int, a text NOT NULL DEFAULT 'x', b price, c mood, d int[], e timestamptz DEFAULT now(),"
            " f varchar(7), g jsonb, h bytea")
    for name, tail in (("t_pk", "PRIMARY KEY (a, id)"), ("t_full", ""), ("t_index", "UNIQUE (a)"), ("t_none", "")):
        d.sql("CREATE TABLE %s(%s%s)" % (name, cols, tail and ", " + tail))
        d.sql("COMMENT ON TABLE %s IS 'about %s'; COMMENT ON COLUMN %s.c IS 'how it is'" % (name, name, name))
    d.sql("ALTER TABLE t_full REPLICA IDENTITY FULL; ALTER TABLE t_index REPLICA IDENTITY USING INDEX t_index_a_key")
    for name in ("t_pk", "t_full", "t_index", "t_none"):
        d.sql("INSERT INTO %s(id, b) VALUES (1, 1)" % name)
    d.publish()
    r = d.start("chunks")
    for name in ("t_pk", "t_full", "t_index", "t_none"):
        d.sql("INSERT INTO %s(id, a, b) VALUES (2, 'y', 1)" % name)
    s = d.stream(4)
    def shapes(x):
        return {e["table"]: (e["columns"], e["doc"], e["full_before"]) for e in x.ops("TABLE")}
    expect(len(shapes(r)), 4, "tables")
    expect(shapes(s), shapes(r), "stream against snapshot")


@db_test
def server_ends_the_stream(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = subprocess.Popen(d.command("stream", seconds=30), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    d.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", d.slot)
    last = json.loads(p.stdout.read().splitlines()[-1])
    expect((p.wait(), last["error"], last["sqlstate"]), (3, "CONNECT", "57P01"), "a reason to try again")


@test
def shutdown_is_not_held_up():
    """A server that stops waits until all it sent is confirmed: long before the heartbeat is due."""
    s = Server()
    try:
        d = Db("shutdown", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        p = subprocess.Popen(d.command("stream", seconds=60, heartbeat_ms=3600000), stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        d.sql("INSERT INTO t VALUES (1)")
        p.stdout.readline()
        d.conn.close()
        began = time.time()
        s.stack("stop", s.name)
        expect(time.time() - began < 10, True, "stopped in %.1f s" % (time.time() - began))
        last = json.loads(p.stdout.read().splitlines()[-1])
        expect((p.wait(), last["error"]), (3, "CONNECT"), "a reason to try again")
    finally:
        s.close()


@db_test
def interrupt(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    r = d.probe("interrupt").fine().first("interrupted_ms")
    expect((r["rc"], r["interrupted_ms"] < 1500), (1, True), "IDLE within a second: %r" % r)


@db_test
def status_and_position(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    s = d.probe("stream", "refresh", "status", "position", commits=1).fine()
    st = s.first("retained_bytes")
    expect(st["retained_bytes"] > 0 and st["read_lsn"] > 0 and st["server_lsn"] >= st["read_lsn"], True, st)
    commit = s.ops("COMMIT")[0]
    end = json.loads(commit["resume"])["end_lsn"]
    # The server reads the confirmation when it comes to it.
    until("confirmed up to the commit's end",
          lambda: d.probe("position").fine().first("system_identifier")["end_lsn"] == end)


# ---- refusals: R6 ----


@db_test
def slot_missing(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    expect(d.probe("stream").code, 5, "exit code")
    d.probe("stream").fails("POSITION", "pg.slot_missing")
    d.probe("position").fails("POSITION", "pg.slot_missing")


@db_test
def slot_made_again(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    d.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", d.slot)
    d.probe("stream").fails("POSITION", "pg.slot_ahead")


@db_test
def slot_advanced(d):
    d.since(110000, "pg_replication_slot_advance")
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("INSERT INTO t VALUES (1)")
    d.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", d.slot)
    d.probe("stream").fails("POSITION", "pg.slot_ahead")


@db_test
def position_of_another_system(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = d.resume
    d.probe("stream", resume=resume_with(p, system_identifier="1")).fails("POSITION", "pg.system_identifier")
    d.probe("stream", resume=resume_with(p, db="elsewhere")).fails("POSITION", "pg.database")
    d.probe("stream", resume=resume_with(p, end_lsn="FFFF/0")).fails("POSITION", "pg.server_behind")
    d.probe("stream", resume=resume_with(p, timeline=7)).fails("POSITION", "pg.timeline")
    for broken in ("{}", "x", '{"end_lsn":"0/0"}', resume_with(p, end_lsn="nonsense"), resume_with(p, epoch=-1)):
        d.probe("stream", resume=broken).fails("POSITION", "pg.position")
    d.stream(0, seconds=1)


@db_test
def slot_of_another(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", d.slot)
    d.probe("plan-replace").fails("CONFIG", "pg.slot_foreign")
    d.sql("SELECT pg_drop_replication_slot(%s)", d.slot)
    d.start()
    d.probe("plan").fails("POSITION", "pg.slot_exists")
    d.probe("plan-replace").fine()


@db_test
def slot_active(d):
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    d.start()
    p = subprocess.Popen(d.command("stream", seconds=20), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    e = d.probe("stream").fails("BUSY", "pg.slot_active")
    pid = d.one("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", d.slot)
    expect(str(pid) in e["text"], True, "names the pid")
    d.probe("plan-replace").fails("BUSY", "pg.slot_active")
    p.terminate()
    p.wait()


@test
def slot_lost():
    s = Server("max_slot_wal_keep_size = '1MB'", "max_wal_size = '64MB'", "min_wal_size = '32MB'",
               since=130000)
    try:
        d = Db("lost", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("CREATE TABLE noise(v text)")

        def lost():
            d.sql("INSERT INTO noise SELECT repeat(md5(i::text), 20) FROM generate_series(1, 30000) i")
            d.sql("CHECKPOINT")
            return d.one("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", d.slot) == "lost"
        until("slot lost", lost)
        d.probe("stream").fails("POSITION", "pg.slot_lost")
        found = {x["finding"]: x for x in d.probe("check").lines}
        expect(found["pg.slot"]["severity"], "blocker", "check")
        d.close()
    finally:
        s.close()


@test
def new_timeline():
    """The server's log forks: below the fork we go on in a new epoch, above it we refuse."""
    s = Server("max_wal_size = '1GB'", since=120000)
    try:
        d = Db("fork", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("INSERT INTO t VALUES (1)")
        d.conn.close()
        s.stack("stop", s.name)
        owner = os.stat(s.data)
        signal_file = os.path.join(s.data, "recovery.signal")
        open(signal_file, "w").close()
        os.chown(signal_file, owner.st_uid, owner.st_gid)
        with open(os.path.join(s.data, "postgresql.auto.conf"), "a") as f:
            f.write("restore_command = 'false'\n")
        s.stack("start", s.name)
        d.conn = d.connect(d.dsn)
        until("promoted", lambda: not d.one("SELECT pg_is_in_recovery()"))
        expect(d.one("SELECT timeline_id FROM pg_control_checkpoint()") >= 1, True, "timeline")
        d.sql("INSERT INTO t VALUES (2)")
        history = max(x for x in os.listdir(os.path.join(s.data, "pg_wal")) if x.endswith(".history"))
        fork = open(os.path.join(s.data, "pg_wal", history)).read().split()[1]
        beyond = "%s/%X" % (fork.split("/")[0], int(fork.split("/")[1], 16) + 8)
        d.probe("stream", resume=resume_with(d.resume, end_lsn=beyond)).fails("POSITION", "pg.timeline")
        r = d.stream(2)
        expect([(x["after"]["id"], x["epoch"]) for x in r.ops("c")], [(1, 1), (2, 1)], "rows in epoch 1")
        now = json.loads(d.resume)
        expect((now["epoch"], now["timeline"]), (1, 2), "position")
        d.sql("INSERT INTO t VALUES (3)")
        expect(d.stream().ops("c")[0]["epoch"], 1, "epoch stays")
        d.close()
    finally:
        s.close()


@test
def killed_server():
    """C01, C03: after kill -9 the slot falls back; our own end LSN is passed, nothing comes twice."""
    s = Server("checkpoint_timeout = '1h'")
    try:
        d = Db("killed", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        for i in range(7):
            d.sql("INSERT INTO t VALUES (%s)", i)
        expect([x["after"]["id"] for x in d.stream(7).ops("c")], list(range(7)), "first")
        s.stack("kill", s.name, "-9")
        s.stack("start", s.name)
        d.conn = d.connect(d.dsn)
        d.sql("INSERT INTO t VALUES (100)")
        expect([x["after"]["id"] for x in d.stream(1).ops("c")], [100], "after the crash")
        d.close()
    finally:
        s.close()


@test
def prepared_transactions():
    s = Server("max_prepared_transactions = 5")
    try:
        d = Db("prepared", base=s.dsn)
        d.sql("CREATE TABLE t(id int PRIMARY KEY)")
        d.publish()
        d.start()
        d.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'")
        d.sql("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'")
        d.sql("INSERT INTO t VALUES (3)")
        d.sql("ROLLBACK PREPARED 'two'")
        d.sql("COMMIT PREPARED 'one'")
        expect([x["after"]["id"] for x in d.stream(2).ops("c")], [3, 1], "in commit order")
        d.sql("BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'in the way'")
        e = d.probe("plan-replace", env={"FRESHET_FAILPOINT": "pg.slot_wait:err"}).fails("BUSY", "pg.slot_wait")
        expect("'in the way'" in e["text"], True, "names the prepared transaction: %s" % e["text"])
        d.sql("ROLLBACK PREPARED 'in the way'")
        d.close()
    finally:
        s.close()


@db_test
def slot_waits_for_a_transaction(d):
    """C30: who is in the way is said; the slot is made once they end."""
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    c = d.connect(d.dsn)
    c.cursor().execute("BEGIN; INSERT INTO t VALUES (1)")
    pid = c.get_backend_pid()
    e = d.probe("plan", env={"FRESHET_FAILPOINT": "pg.slot_wait:err"}).fails("BUSY", "pg.slot_wait")
    expect("pid %d" % pid in e["text"], True, "names the pid: %s" % e["text"])
    expect(d.one("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", d.slot), 0, "no slot is left")
    p = subprocess.Popen(d.command("plan", "chunks"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = p.stderr.readline()
    expect("pid %d" % pid in said, True, "said while waiting: %s" % said)
    c.cursor().execute("COMMIT")
    c.close()
    out, _ = p.communicate(timeout=DEADLINE)
    expect((p.returncode, [json.loads(x)["after"]["id"] for x in out.splitlines() if '"r"' in x]), (0, [1]), "then made")


# ---- rights, configuration ----


@db_test
def publication_rules(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)")
    d.tables = "public.a,public.b"
    e = d.probe("plan").fails("CONFIG", "pg.publication")
    expect('CREATE PUBLICATION "%s" FOR TABLE ONLY "public"."a", ONLY "public"."b"' % d.slot in e["hint"], True,
           e["hint"])
    d.probe("apply", tables="public.a").fine()
    d.start(tables="public.a")
    e = d.probe("plan-replace").fails("CONFIG", "pg.publication")
    expect('ALTER PUBLICATION "%s" ADD TABLE ONLY "public"."b"' % d.slot in e["hint"], True, e["hint"])
    d.probe("stream").fails("CONFIG", "pg.publication")
    d.probe("apply").fine()
    expect(len(d.probe("apply").fine().lines), 0, "apply twice changes nothing")
    d.stream(0, seconds=1)
    d.sql("ALTER PUBLICATION %s SET (publish = 'insert')" % d.slot)
    d.probe("stream").fails("CONFIG", "pg.publication")


@db_test
def publication_made_after_the_slot(d):
    d.sql("CREATE TABLE a(id int PRIMARY KEY)")
    d.publish()
    d.start()
    d.sql("DROP PUBLICATION %s" % d.slot)
    d.sql("INSERT INTO a VALUES (1)")
    found = {x["finding"]: x["severity"] for x in d.probe("check").lines}
    expect(found["pg.slot_after_publication"], "blocker", "check")
    d.publish()
    d.probe("stream").fails("CONFIG", "pg.slot_after_publication")


@db_test
def tables_that_cannot_be(d):
    d.sql("CREATE UNLOGGED TABLE u(id int PRIMARY KEY); CREATE VIEW v AS SELECT 1 AS x;"
          "CREATE TABLE t(id int PRIMARY KEY)")
    d.sql("CREATE PUBLICATION %s FOR TABLE t" % d.slot)
    d.probe("plan", tables="public.u").fails("CONFIG", "pg.unlogged")
    d.probe("plan", tables="public.v").fails("CONFIG", "pg.unlogged")
    d.probe("plan", tables="public.nowhere").fails("CONFIG", "pg.table")
    expect([c["name"] for c in d.start().first("plan")["plan"]], ["t"], "a pattern leaves them out")
    found = [(x["finding"], x["severity"]) for x in d.probe("check").lines if x["finding"] == "pg.unlogged"]
    expect(found, [("pg.unlogged", "warning")] * 2, "check says so")


@db_test
def logins(d):
    role = "r_%s" % RUN
    d.sql("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    d.publish()
    d.sql("CREATE ROLE %s LOGIN" % role)
    dsn = with_path(d.dsn, d.name, role)
    try:
        d.probe("plan", dsn=dsn).fails("AUTH", "pg.login")
        found = {x["finding"]: x for x in d.probe("check", dsn=dsn).lines if x["severity"] == "blocker"}
        expect(set(found), {"pg.role.replication", "pg.table.select"}, "blockers without rights")
        for f in found.values():
            if "sql" in f:
                d.sql(f["sql"])
        r = d.probe("plan", "chunks", dsn=dsn).fine()
        expect(len(r.rows()), 1, "exactly the rights that check asked for (S05)")
        d.sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id > 5)")
        d.probe("plan-replace", dsn=dsn).fails("AUTH", "pg.row_security")
        found = {x["finding"]: x for x in d.probe("check", dsn=dsn).lines if x["severity"] == "blocker"}
        expect(set(found), {"pg.row_security"}, "row security")
        d.sql(found["pg.row_security"]["sql"])
        d.probe("plan-replace", dsn=dsn).fine()
        super_found = {x["finding"]: x["severity"] for x in d.probe("check").lines}
        expect(super_found["pg.role.superuser"], "warning", "superuser")
        expect("pg.role.superuser" in {x["finding"] for x in d.probe("check", dsn=dsn).lines}, False, "not for it")
    finally:
        d.close()
        d.conn = d.connect(d.base)
        d.sql("DROP ROLE %s" % role)


@db_test
def passwords(d):
    base = os.environ.get("PG_SCRAM_DSN")
    if not base:
        raise Skip("no PG_SCRAM_DSN")
    u = urllib.parse.urlsplit(base)
    d.sql("CREATE TABLE t(id int PRIMARY KEY)")
    d.publish()
    dsn = with_path(base, d.name, u.username)
    r = d.probe("tables", dsn=dsn, password="wrong-secret-9")
    e = r.fails("AUTH", "pg.login")
    expect("wrong-secret-9" in json.dumps(r.lines) + r.err, False, "the password is shown")
    expect(e["sqlstate"], "28P01", "sqlstate")
    d.probe("tables", dsn=dsn).fails("AUTH", "pg.login")
    r = d.probe("tables", dsn=base, password="x").fails("CONFIG", "pg.dsn_password")
    expect(u.password in json.dumps(r), False, "the password is shown")
    d.probe("tables", dsn=dsn, password=u.password).fine()
    d.probe("tables", dsn="postgresql://x@db.example/y?sslmode=require").fails("CONFIG", "pg.tls")
    d.probe("tables", dsn="nonsense").fails("CONFIG", "pg.dsn")
    d.probe("tables", dsn=with_path(d.dsn, "no_such_db")).fails("CONFIG", "")
    d.probe("tables", dsn="postgresql://x@127.0.0.1:1/y").fails("CONNECT", "pg.connect")


@test
def tls():
    """pg-tls of the stack: verified against its authority, refused against another."""
    base, wrong = os.environ.get("PG_TLS_DSN"), os.environ.get("TLS_WRONG_CA")
    if not base or not wrong:
        raise Skip("no PG_TLS_DSN")
    d = Db("tls")
    try:
        base = base.strip("'")
        found = d.probe("check", dsn=base, tables=None).lines[0]
        expect((found["finding"], found["severity"]), ("pg.connect", "fine"), "verified")
        expect("certificate verified" in found["text"], True, found["text"])
        other = re.sub("sslrootcert=[^&]*", "sslrootcert=" + wrong, base)
        d.probe("tables", dsn=other).fails("CONFIG", "pg.tls")
    finally:
        d.close()


@db_test
def identity_findings(d):
    d.sql("CREATE TABLE fine(id int PRIMARY KEY); CREATE TABLE none(id int);"
          "CREATE TABLE nothing(id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;"
          "CREATE TABLE idx(id int NOT NULL); CREATE UNIQUE INDEX i ON idx(id);"
          "ALTER TABLE idx REPLICA IDENTITY USING INDEX i; CREATE TABLE f(id int);"
          "ALTER TABLE f REPLICA IDENTITY FULL; CREATE TABLE toasty(id int PRIMARY KEY, v text)")
    d.sql("INSERT INTO toasty SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 1000) i")
    found = [x for x in d.probe("check").lines if x["finding"] == "pg.replica_identity"]
    expect(sorted(re.search(r"public\.(\w+)", x["text"]).group(1) for x in found), ["none", "nothing"], "tables")
    for x in found:
        d.sql(x["sql"])
    again = d.probe("check").lines
    expect([x for x in again if x["finding"] == "pg.replica_identity"], [], "mended by the SQL")
    expect(["toasty" in x["text"] for x in again if x["finding"] == "pg.toast"], [True], "toast")
    d.sql(next(x["sql"] for x in again if x["finding"] == "pg.publication"))
    d.start()
    d.sql("INSERT INTO idx VALUES (1); UPDATE idx SET id = 2; DELETE FROM idx")
    s = d.stream()
    expect([(x["op"], x.get("before")) for x in s.rows()], [("c", None), ("u", {"id": 1}), ("d", {"id": 2})], "index")


def main():
    chosen = sys.argv[1:]
    if not os.environ.get("PG_DSN"):
        print("skip pg_source: PG_DSN is not set")
        return 0
    if not os.path.exists(PROBE):
        print("skip pg_source: %s is not built" % PROBE)
        return 0
    failed = 0
    for t in TESTS:
        if chosen and t.__name__ not in chosen:
            continue
        try:
            t()
            print("ok pg_source.%s" % t.__name__, flush=True)
        except Skip as e:
            print("skip pg_source.%s: %s" % (t.__name__, e), flush=True)
        except Exception as e:
            failed += 1
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
            print("not ok pg_source.%s: %s" % (t.__name__, str(e).replace("\n", " ")[:1500]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
