"""What the tests of mysql-sink share: real servers (MARIADB_DSN, MYSQL_DSN, MYSQL55_DSN, and others of
tests/stack), driven through sink_probe.

Every test runs on every server that is up, each time in a database of its own. FRESHET_BUILD names the
build folder (default build/dev), FRESHET_SINK_PROBE the program itself; arguments choose tests by name,
and servers by theirs (mariadb, mysql, mysql55)."""
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import traceback
import urllib.parse

try:
    import pymysql
except ImportError:
    pymysql = None

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
PROBE = os.environ.get("FRESHET_SINK_PROBE", os.path.join(BUILD, "sink_probe"))
SERVERS = ["mariadb", "mysql", "mysql55", "mariadb105", "mariadb118"]
EVOLVE, BLOCK, STOP, IGNORE = 0, 1, 2, 3
APPLY, RUN, NEVER = 0, 1, 2
SEVERITY = ["fine", "warning", "blocker", "change"]
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Skip(Exception):
    pass


class Probe:
    def __init__(self, failpoint=None):
        env = dict(os.environ)
        env.pop("FRESHET_FAILPOINT", None)
        if failpoint:
            env["FRESHET_FAILPOINT"] = failpoint
        self.p = subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=env)
        self.dead = False

    def send(self, do, **k):
        k["do"] = do
        self.p.stdin.write(json.dumps(k) + "\n")
        self.p.stdin.flush()

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            self.dead = True
            raise EOFError("probe ended with %s" % self.p.wait())
        return json.loads(line)

    def __call__(self, do, **k):
        self.send(do, **k)
        return self.answer()

    def close(self):
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        rc = self.p.wait(timeout=60)
        self.p.stdout.close()
        return rc


def connect(host, port, user="root", password="", **more):
    return pymysql.connect(host=host, port=port, user=user, password=password, charset="utf8mb4",
                           autocommit=True, **more)


class Case:
    """A database, a connection of the test's own, and one probe."""

    def __init__(self, server, name, failpoint=None):
        u = urllib.parse.urlsplit(os.environ[server.upper() + "_DSN"])
        self.server, self.host, self.port = server, u.hostname, u.port
        self.name = name[:50] + "_%d" % os.getpid()
        self.conn = connect(self.host, self.port)
        self.q("CREATE DATABASE %s DEFAULT CHARACTER SET utf8mb4" % self.name)
        self.conn.select_db(self.name)
        self.q("SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES', default_storage_engine = 'InnoDB'")
        text = self.q("SELECT VERSION()")[0][0]
        self.mariadb = "MariaDB" in text
        self.version = tuple(int(n) for n in text.split("-")[0].split(".")[:3])
        self.probes = []
        self.probe = self.new_probe(failpoint)

    def fractions(self):
        return self.mariadb or self.version >= (5, 6, 4)

    def new_probe(self, failpoint=None):
        p = Probe(failpoint)
        self.probes.append(p)
        return p

    def dsn(self, port=None, user="root"):
        return "mysql://%s@%s:%d/%s" % (user, self.host, port or self.port, self.name)

    def q(self, sql, args=None):
        with self.conn.cursor() as c:
            c.execute(sql, args)
            return list(c.fetchall()) if c.description else None

    def there(self, table):
        return bool(self.q("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND "
                           "TABLE_NAME = %s", (self.name, table)))

    def other(self):
        """Another session in the same database, with autocommit off."""
        c = connect(self.host, self.port, database=self.name)
        c.autocommit(False)
        return c

    def sessions(self):
        """Connections of the sinks: their ids."""
        mine = self.q("SELECT CONNECTION_ID()")[0][0]
        return [r[0] for r in self.q("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s AND ID <> %s",
                                     (self.name, mine))]

    def open(self, sink="a", probe=None, dsn=None, **settings):
        settings.setdefault("pipeline", self.name)
        return ok((probe or self.probe)("open", **{"as": sink}, type="mysql", dsn=dsn or self.dsn(), **settings))

    def table(self, columns, name="t", as_=None, probe=None, space=""):
        as_ = as_ or name
        ok((probe or self.probe)("table", **{"as": as_}, name=name, space=space, columns=columns))
        return as_

    def claim(self, sink="a", parts=((("topic"), 0),), probe=None):
        return ok((probe or self.probe)("claim", sink=sink, offsets=[list(p) for p in parts]))["next"]

    def apply(self, events, sink="a", probe=None, **k):
        return (probe or self.probe)("apply", sink=sink, events=events, **k)

    def commit(self, offset, sink="a", probe=None, topic="topic"):
        return (probe or self.probe)("commit", sink=sink, offsets=[[topic, 0, offset]])

    def end(self):
        codes = [p.close() for p in self.probes]
        bad = [c for p, c in zip(self.probes, codes) if c != 0 and not p.dead]
        self.drop()
        assert not bad, "probe ended with %s" % bad

    def drop(self):
        self.q("DROP DATABASE %s" % self.name)
        self.conn.close()


def ok(r):
    assert r["ok"], r
    return r


def fails(r, kind, code=None):
    assert not r["ok"], "expected %s: %s" % (kind, r)
    assert r["error"]["kind"] == kind, r
    if code:
        assert r["error"]["code"] == code, r
    return r


def same(got, want):
    assert got == want, "got %r\nwant %r" % (got, want)


def col(name, kind="TEXT", key=0, **k):
    return dict(name=name, kind=kind, key=key, **k)


ID = col("id", "INT32", 1)


def started(c, columns=None, **settings):
    c.open(**settings)
    c.claim()
    return c.table(columns or [ID, col("v")])


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %d s" % seconds
        time.sleep(0.02)


def available(suite, named):
    """Those that are named, here or in FRESHET_TEST_MYSQL; they are added to the stack."""
    import mysql  # of tests/lib

    servers = []
    for s in named or os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
        there, why = mysql.add_server(s)
        if there:
            servers.append(s)
        else:
            print("skip %s.%s: %s" % (suite, s, why), flush=True)
    return servers


def main(suite):
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    if pymysql is None:
        print("skip %s: python3 has no pymysql" % suite)
        return 0
    chosen = [a for a in sys.argv[1:] if a not in SERVERS]
    servers = available(suite, [s for s in SERVERS if s in sys.argv[1:]])
    jobs = [lambda f=f, s=s: line_of("%s.%s.%s" % (suite, f.__name__, s), f, Case(s, f.__name__))
            for s in servers for f in TESTS if not chosen or f.__name__ in chosen]
    return 0 if side_by_side(jobs, 1) else 1


def line_of(name, f, c):
    """Runs one case; answers the line that tells of it, or nothing. It never stops the others."""
    try:
        f(c)
        c.end()
        return "ok " + name
    except Skip as e:
        c.end()
        return "skip %s: %s" % (name, e) if str(e) else ""  # else it is about another kind of server
    except Exception as e:
        line = [t.lineno for t in traceback.extract_tb(e.__traceback__) if t.name == f.__name__]
        for p in c.probes:
            p.p.kill()
            p.p.wait()
        c.drop()
        return "not ok %s: line %s: %s: %s" % (name, line, type(e).__name__, " ".join(str(e).split())[:1500])


def side_by_side(jobs, workers):
    """Functions that answer lines, several at once; whether none failed."""
    good = True
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for line in pool.map(lambda job: job(), jobs):
            if line:
                print(line, flush=True)
            good = good and not line.startswith("not")
    return good
