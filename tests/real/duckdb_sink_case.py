"""What the tests of duckdb-sink share: a file of its own for each, driven through sink_probe and read by
DuckDB's Python package. The vocabulary is that of mysql_sink_case. The sinks let go of the file after each
commit (hold: writing) unless a test says otherwise, or nobody could read it beside them."""
import os
import shutil
import subprocess
import sys
import tempfile

import mysql_sink_case as base
from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
from sqlite_sink_case import severities  # noqa: F401

VERSIONS = dict(line.strip().split("=", 1) for line in open(os.path.join(ROOT, "tests", "stack", "versions")) if "=" in line)
FOLDER = subprocess.run([os.path.join(ROOT, "scripts", "deps.sh"), "path", "duckdb"], capture_output=True, text=True, check=True).stdout.strip()
LIBRARY = os.path.join(FOLDER, "libduckdb.so")
sys.path.insert(0, os.path.join(FOLDER, "python-" + VERSIONS["DUCKDB"]))
NEWER = os.path.join(FOLDER, "python-" + VERSIONS["DUCKDB_NEWER"])
try:
    import duckdb
except ImportError:
    duckdb = None


class Case(base.Case):
    """A folder, a file in it that is not there yet, and one probe."""

    def __init__(self, name, failpoint=None):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="freshet-duckdb-")
        self.path = os.path.join(self.dir, "target.db")
        self.probes = []
        self.probe = self.new_probe(failpoint)

    mariadb, version = False, (99,)  # what cases for both ask

    def probe_by(self, *words):
        """A probe that another program starts."""
        p = Probe.__new__(Probe)
        p.p = subprocess.Popen([*words, PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.dead = False
        self.probes.append(p)
        return p

    def other(self, path=None, read_only=False):
        return duckdb.connect(path or self.path, read_only=read_only, config={"autoload_known_extensions": "false"})

    def q(self, sql, args=None, path=None):
        c = self.other(path)
        try:
            c.execute("SET TimeZone = 'UTC'")
            return c.execute(sql, args).fetchall()
        finally:
            c.close()

    def there(self, table):
        return bool(self.q("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", (table,)))

    def open(self, sink="a", probe=None, path=None, **settings):
        settings.setdefault("pipeline", self.name)
        settings.setdefault("hold", "writing")
        return ok((probe or self.probe)("open", **{"as": sink}, type="duckdb", path=path or self.path, library=LIBRARY, **settings))

    def refused(self, kind, code, **settings):
        """It cannot be opened."""
        settings.setdefault("path", self.path)
        settings.setdefault("library", LIBRARY)
        return fails(self.probe("open", **{"as": "refused"}, type="duckdb", **settings), kind, code)["error"]

    def check(self, **settings):
        settings.setdefault("path", self.path)
        settings.setdefault("library", LIBRARY)
        return ok(self.probe("check", type="duckdb", **settings))["findings"]

    def plan(self, table="t", sink="a", **k):
        return ok(self.probe("prepare", sink=sink, table=table, create=True, plan_only=True, **k))["findings"]

    def drop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def main(suite):
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    if duckdb is None or not os.path.exists(LIBRARY):
        print("skip %s: no DuckDB in the cache (scripts/deps.sh duckdb)" % suite)
        return 0
    chosen = [f for f in TESTS if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    jobs = [lambda f=f: line_of("%s.%s" % (suite, f.__name__), f, Case(f.__name__)) for f in chosen]
    return 0 if side_by_side(jobs, 2) else 1
