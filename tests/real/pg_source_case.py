"""What the tests of postgres-wal share: a database and the probe (tests/tools/source_probe.c) on it, a server
of its own, and cases that print ok, not ok and skip. Not a test itself.

Each test has a database and a slot of its own; those that restart a server or change its settings
bring up a stack of their own (FRESHET_TEST_PG: which of its servers, default pg). FRESHET_BUILD names
the build folder (default build/dev); arguments choose tests by name."""
import concurrent.futures
import json
import os
import random
import re
import subprocess
import sys
import tempfile
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
DEADLINE = 120
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


def run_one(t):
    """Whether it did not fail."""
    try:
        t()
        print("ok pg_source.%s" % t.__name__, flush=True)
    except Skip as e:
        print("skip pg_source.%s: %s" % (t.__name__, e), flush=True)
    except Exception as e:
        if os.environ.get("VERBOSE"):
            traceback.print_exc()
        print("not ok pg_source.%s: %s" % (t.__name__, str(e).replace("\n", " ")[:1500]), flush=True)
        return False
    return True


def main(workers=1):
    """Runs the tests that were defined, so many at once; arguments choose some by name. Answers the exit code."""
    chosen = sys.argv[1:]
    if not os.environ.get("PG_DSN"):
        print("skip pg_source: PG_DSN is not set")
        return 0
    if not os.path.exists(PROBE):
        print("skip pg_source: %s is not built" % PROBE)
        return 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        fine = list(pool.map(run_one, [t for t in TESTS if not chosen or t.__name__ in chosen]))
    return 0 if all(fine) else 1
