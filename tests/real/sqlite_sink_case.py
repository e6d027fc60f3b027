"""What the tests of sqlite-sink share: a file of its own for each, driven through sink_probe and read by
Python's sqlite3. The vocabulary is that of mysql_sink_case."""
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import mysql_sink_case as base
from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests


class Case(base.Case):
    """A folder, a file in it that is not there yet, and one probe."""

    def __init__(self, name, failpoint=None):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="freshet-sqlite-")
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

    def other(self, path=None):
        """Another session on the same file; transactions begin when they are told to."""
        return sqlite3.connect(path or self.path, isolation_level=None, timeout=30)

    def q(self, sql, args=(), path=None):
        c = self.other(path)
        try:
            return c.execute(sql, args).fetchall()
        finally:
            c.close()

    def there(self, table):
        return bool(self.q("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)))

    def open(self, sink="a", probe=None, path=None, **settings):
        settings.setdefault("pipeline", self.name)
        return ok((probe or self.probe)("open", **{"as": sink}, type="sqlite", path=path or self.path, **settings))

    def refused(self, kind, code, **settings):
        """It cannot be opened."""
        settings.setdefault("path", self.path)
        return fails(self.probe("open", **{"as": "refused"}, type="sqlite", **settings), kind, code)["error"]

    def plan(self, table="t", sink="a", **k):
        found = ok(self.probe("prepare", sink=sink, table=table, create=True, plan_only=True, **k))["findings"]
        return found

    def drop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def severities(found):
    return [(SEVERITY[f["severity"]], f["code"]) for f in found]


def main(suite):
    """Several at once: they mostly wait for the disk and for each other's locks."""
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    chosen = [f for f in TESTS if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    jobs = [lambda f=f: line_of("%s.%s" % (suite, f.__name__), f, Case(f.__name__)) for f in chosen]
    return 0 if side_by_side(jobs, 3) else 1
