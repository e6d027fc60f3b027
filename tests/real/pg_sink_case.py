"""What the tests of postgres-sink share: a real server (PG2_DSN), driven through sink_probe.

Each test has a schema of its own in a database of its run. FRESHET_BUILD names the build
folder (default build/dev); arguments choose tests by name."""
import json
import os
import subprocess
import sys
import time
import traceback
import urllib.parse

try:
    import psycopg2
except ImportError:
    psycopg2 = None

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
BASE_DSN = os.environ.get("PG2_DSN")
PROBE = os.path.join(BUILD, "sink_probe")
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


class Case:
    """A schema, a connection of the test's own, and one probe."""

    def __init__(self, name, failpoint=None):
        self.name = name
        self.conn = psycopg2.connect(DSN)
        self.conn.autocommit = True
        self.q("CREATE SCHEMA %s" % name)
        self.q("SET search_path = %s" % name)
        self.q("SET TimeZone = 'UTC'")
        self.probes = []
        self.probe = self.new_probe(failpoint)
        self.table_id = 0

    def new_probe(self, failpoint=None):
        p = Probe(failpoint)
        self.probes.append(p)
        return p

    def dsn(self, base=None):
        base = base or DSN
        return base + ("&" if "?" in base else "?") + "options=" + urllib.parse.quote(
            "-c search_path=%s" % self.name)

    def q(self, sql, args=None):
        with self.conn.cursor() as c:
            c.execute(sql, args)
            return c.fetchall() if c.description else None

    def open(self, sink="a", probe=None, dsn=None, **settings):
        settings.setdefault("pipeline", self.name)
        return ok((probe or self.probe)("open", **{"as": sink}, dsn=dsn or self.dsn(), **settings))

    def table(self, columns, name="t", as_=None, probe=None, space="", version=1):
        as_ = as_ or name
        r = (probe or self.probe)("table", **{"as": as_}, name=name, space=space, columns=columns, version=version)
        ok(r)
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
        self.q("DROP SCHEMA %s CASCADE" % self.name)
        self.conn.close()
        assert not bad, "probe ended with %s" % bad


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


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %d s" % seconds
        time.sleep(0.02)



def main(suite):
    global DSN
    if not BASE_DSN:
        print("skip %s: PG2_DSN is not set" % suite)
        return 0
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    if psycopg2 is None:
        print("skip %s: python3 has no psycopg2" % suite)
        return 0
    database = "fr_sink_test_%d" % os.getpid()
    admin = psycopg2.connect(BASE_DSN)
    admin.autocommit = True
    admin.cursor().execute("CREATE DATABASE %s" % database)
    DSN = urllib.parse.urlunsplit(urllib.parse.urlsplit(BASE_DSN)._replace(path="/" + database))
    bad = 0
    try:
        for f in TESTS:
            if sys.argv[1:] and f.__name__ not in sys.argv[1:]:
                continue
            bad += not one(suite, f)
    finally:
        admin.cursor().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                               (database,))
        admin.cursor().execute("DROP DATABASE %s" % database)
        admin.close()
    return 1 if bad else 0


def one(suite, f):
    name = f.__name__
    c = Case(name)
    try:
        f(c)
        c.end()
        print("ok %s.%s" % (suite, name), flush=True)
        return True
    except Skip as e:
        print("skip %s.%s: %s" % (suite, name, e), flush=True)
        c.end()
        return True
    except Exception as e:
        text = " ".join(str(e).split())[:1500]
        where = traceback.extract_tb(e.__traceback__)
        line = [t.lineno for t in where if t.name == name]
        print("not ok %s.%s: line %s: %s: %s" % (suite, name, line, type(e).__name__, text), flush=True)
        for p in c.probes:
            p.p.kill()
        c.conn.close()
        return False
