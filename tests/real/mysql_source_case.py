"""What the tests of mysql-binlog and mariadb-binlog share: a database and the probe (tests/tools/source_probe.c) on it,
and servers of their own for those that restart one, or change its settings or its log.

$FRESHET_TEST_MYSQL: which kinds (default "mariadb mysql"); arguments choose tests by name. $FRESHET_BUILD names the
build folder (default build/dev)."""
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
from harness import together  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build", "dev"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
PROBE = os.path.join(BUILD, "source_probe")
DEADLINE = 120
WORKERS = 4
TESTS, OWN = [], []     # those on the shared server, those on servers of their own
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


def lines_until(reader, sign):
    """What a reader says, to the first line with the sign in it."""
    lines = []
    for line in reader.stdout:
        lines.append(json.loads(line))
        if sign in line:
            return lines
    raise AssertionError("the reader ended before %r: %r" % (sign, lines[-2:]))


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


def second_of(server):
    """What the stack calls another server of the kind."""
    return server + ("2" if server.isalpha() else "_2")


class Db:
    """A database of its own on one server, and the probe on it."""

    def __init__(self, name, server, env=None):
        self.env = env or os.environ
        self.server, p = server, server.upper()
        self.mariadb = server.startswith("mariadb")
        self.second = second_of(server)
        self.name = "src_%s_%s" % (RUN, name)
        self.source = ("s%s-%s" % (RUN, name))[:40]
        self.root = self.env[p + "_DSN"]
        self.dsn, self.password = self.env[p + "_USER_DSN"], self.env[p + "_PASSWORD"]
        self.conn = mysql.connect(self.root)
        self.sql("CREATE DATABASE `%s` CHARACTER SET utf8mb4" % self.name)
        self.conn.select_db(self.name)
        version = self.one("SELECT VERSION()")
        self.release = tuple(int(x) for x in version.split("-")[0].split("."))
        self.gtids = self.mariadb or self.release >= (5, 6)
        self.names = self.has("binlog_row_metadata")    # whether the log can say what its columns are called
        self.resume, self.users = None, []
        self.tables = r"/^%s\./" % self.name

    def connect(self, **more):
        return mysql.connect(self.root, database=self.name, **more)

    def sql(self, text, *values, on=None):
        return mysql.run(on or self.conn, text, values or None)

    def one(self, text, *values):
        return self.sql(text, *values)[0][0]

    def user(self, name):
        """A new one with no rights: (how a statement calls it, the probe's options to log in as it)."""
        name = "%s_%s" % (name, RUN)
        self.sql("CREATE USER '%s'@'%%' IDENTIFIED BY '%s-secret'" % (name, name))
        self.users.append(name)
        at = self.dsn.split("@")[1].split("/")[0]
        return "'%s'@'%%'" % name, dict(dsn="mysql://%s@%s/" % (name, at), password=name + "-secret")

    def has(self, variable):
        return bool(self.sql("SHOW GLOBAL VARIABLES LIKE %s", variable))

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
            elif isinstance(v, list):
                for one in v:
                    argv += ["--" + k.replace("_", "-"), one]
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

    def follower(self):
        return Follower(self)

    def reader(self, **options):
        """A stream that goes on while the test does."""
        return subprocess.Popen(self.command("stream", **options), stdout=subprocess.PIPE, text=True)

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
            for name in self.users:
                mysql.run(c, "DROP USER '%s'@'%%'" % name)
            c.close()
        except pymysql.Error:
            pass


class Follower:
    """Reads what a test does to its tables: at the end; or, where the log has no names, as it happens, for
    then a change of a table must be seen before the next one."""

    def __init__(self, d):
        self.d, self.lines = d, []
        self.reader = None if d.names else d.reader(seconds=DEADLINE)

    def read(self, sign="COMMIT"):
        """Until the reader, if there is one, said so."""
        if self.reader is not None:
            self.lines += lines_until(self.reader, sign)

    def result(self, commits):
        if self.reader is None:
            return self.d.stream(commits=commits)
        self.reader.terminate()
        self.reader.wait()
        return Result(0, self.lines, "")


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


def own_test(second=False):
    """f(d, servers) on a server of its own, or two."""
    def decorate(f):
        def run(server):
            servers = Servers(server, *([second_of(server)] if second else []))
            try:
                d = Db(f.__name__, server, servers.env)
                try:
                    f(d, servers)
                finally:
                    d.close()
            finally:
                servers.close()
        run.__name__ = f.__name__
        OWN.append(run)
        return f
    return decorate


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


def run_one(server, test):
    """Whether it did not fail."""
    name, what = "mysql_source.%s.%s" % (server, test.__name__), ""
    try:
        test(server)
        print("ok " + name, flush=True)
        return True
    except Skip as e:
        if str(e):  # else it is about another kind of server
            print("skip %s: %s" % (name, e), flush=True)
        return True
    except Exception as e:
        if not isinstance(e, AssertionError):
            what = "\n" + traceback.format_exc().rstrip()
        print("not ok %s: %s%s" % (name, " ".join(str(e).split())[:900] or type(e).__name__, what), flush=True)
        return False


def main():
    """Servers side by side, and beside them the tests that have servers of their own; those on one shared
    server take turns: some change its settings, or log what only stops the others."""
    wanted, fine, jobs, own = sys.argv[1:], [], [], []

    def pick(server, tests):
        return [(server, t) for t in tests if not wanted or t.__name__ in wanted]

    def job(turns):
        jobs.append(lambda: fine.extend([run_one(*turn) for turn in turns]))

    for server in os.environ.get("FRESHET_TEST_MYSQL", "mariadb mysql").split():
        there, why = mysql.add_server(server)
        if not there:
            print("skip mysql_source.%s: %s" % (server, why), flush=True)
            continue
        job(pick(server, TESTS))
        own += pick(server, OWN)
    for turn in own:
        job([turn])
    together(jobs, WORKERS)
    return 0 if all(fine) else 1
