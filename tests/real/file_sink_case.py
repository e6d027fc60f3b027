"""What the tests of file-sink share: a folder of its own for each, driven through sink_probe and read by pyarrow or
fastavro, by way of the manifest alone (examples/files/manifest.py, which is what users have). The vocabulary is
that of mysql_sink_case."""
import os
import shutil
import subprocess
import sys
import tempfile
import threading

import mysql_sink_case as base
from mysql_sink_case import *  # noqa: F401,F403: the vocabulary of these tests
from sqlite_sink_case import severities  # noqa: F401

sys.path.insert(0, os.path.join(ROOT, "examples", "files"))
import manifest  # noqa: E402


def part(name):
    return subprocess.run([os.path.join(ROOT, "scripts", "deps.sh"), "path", name], capture_output=True, text=True, check=True).stdout.strip()


LIBRARY = os.path.join(part("duckdb"), "libduckdb.so")
sys.path.insert(0, part("pyarrow"))
try:
    import pyarrow
    import pyarrow.parquet as pq
except ImportError:
    pyarrow = None
try:
    import fastavro
except ImportError:
    fastavro = None
MISSING = pyarrow is None or fastavro is None or not os.path.exists(LIBRARY)
OWN = ["_freshet_op", "_freshet_position", "_freshet_at", "_freshet_topic", "_freshet_partition", "_freshet_offset", "_freshet_absent"]


DAY = 86400000000
NOV_26 = 1795651200000000  # 2026-11-26 00:00 UTC
AVRO = set()  # tests that are made with Avro files, too


def at(day, **row):
    return {"$us": NOV_26 + day * DAY + 3600000000, **row}


def check(offsets, count):
    """Each of the first `count` offsets once: 0 lost, 0 doubled."""
    assert len(offsets) == len(set(offsets)), "doubled: %s" % sorted({o for o in offsets if offsets.count(o) > 1})[:5]
    lost = set(range(count)) - set(offsets)
    assert not lost, "lost: %s" % sorted(lost)[:5]


def both(f):
    AVRO.add(f)
    return test(f)


def avro_rows(path):
    with open(path, "rb") as f:
        reader = fastavro.reader(f)
        names = {x["name"]: x.get("freshet.column", x["name"]) for x in reader.writer_schema["fields"]}
        return [{names[k]: v for k, v in row.items()} for row in reader]


def read_rows(folder, entries):
    """Rows of these files of the manifest, as dictionaries, in their order; each file is as the manifest says."""
    rows = []
    for e in entries:
        path = os.path.join(folder, e["path"])
        assert os.path.getsize(path) == e["bytes"], e
        found = avro_rows(path) if path.endswith(".avro") else pq.read_table(path, partitioning=None).to_pylist()
        assert len(found) == e["rows"], (e, len(found))
        rows += found
    return rows


class Case(base.Case):
    """A folder that is not there yet, and one probe."""

    def __init__(self, name, file_format="parquet", failpoint=None):
        self.name, self.format = name, file_format
        self.dir = tempfile.mkdtemp(prefix="freshet-file-")
        self.path = os.path.join(self.dir, "lake")
        self.probes = []
        self.probe = self.new_probe(failpoint)

    mariadb, version = False, (99,)

    def probe_by(self, *words):
        """A probe that another program starts."""
        p = Probe.__new__(Probe)
        p.p = subprocess.Popen([*words, PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.dead = False
        self.probes.append(p)
        return p

    def settings(self, settings):
        for name, value in dict(pipeline=self.name, write_mode=1, format=self.format, path=self.path, library=LIBRARY).items():
            settings.setdefault(name, value)
        return {k.replace("__", "."): v for k, v in settings.items()}

    def open(self, sink="a", probe=None, **settings):
        return ok((probe or self.probe)("open", **{"as": sink}, type="file", **self.settings(settings)))

    def refused(self, kind, code, probe=None, **settings):
        """It cannot be opened."""
        r = (probe or self.probe)("open", **{"as": "refused"}, type="file", **self.settings(settings))
        return fails(r, kind, code)["error"]

    def check(self, **settings):
        return ok(self.probe("check", type="file", **self.settings(settings)))["findings"]

    def plan(self, table="t", sink="a", **k):
        return ok(self.probe("prepare", sink=sink, table=table, create=True, plan_only=True, **k))["findings"]

    def state(self, path=None):
        return manifest.state(path or self.path, check=True)

    def entries(self, table="t", space="", path=None):
        found = [e for e in self.state(path)["files"].values() if e["table"] == table and e["space"] == space]
        return sorted(found, key=lambda e: os.path.basename(e["path"]))

    def rows(self, table="t", space="", path=None):
        return read_rows(path or self.path, self.entries(table, space, path))

    def values(self, *columns, table="t", space=""):
        return [tuple(r.get(c) for c in columns) for r in self.rows(table, space)]

    def on_disk(self):
        """Files below the folder that are not the manifest's own."""
        found = []
        for folder, _, names in os.walk(self.path):
            if not folder.startswith(os.path.join(self.path, "_freshet")):
                found += [os.path.relpath(os.path.join(folder, n), self.path) for n in names]
        return sorted(found)

    def drop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Reader(threading.Thread):
    """Reads the manifest all the time, and each file that it lists: never one that is missing or half-written.
    What it sees of a table grows, and has no row twice."""

    def __init__(self, path):
        super().__init__()
        self.path, self.over, self.looks, self.error, self.seen = path, threading.Event(), 0, None, {}

    def run(self):
        try:
            while not self.over.is_set():
                if os.path.isdir(os.path.join(self.path, "_freshet")):
                    self.look()
        except Exception as e:
            self.error = e

    def look(self):
        entries = sorted(manifest.state(self.path, check=True)["files"].values(), key=lambda e: e["path"])
        offsets = []
        for e in entries:
            if e["path"] not in self.seen:
                self.seen[e["path"]] = [r["_freshet_offset"] for r in read_rows(self.path, [e])]
            else:
                assert os.path.getsize(os.path.join(self.path, e["path"])) == e["bytes"], e
            offsets += self.seen[e["path"]]
        check(offsets, len(offsets))
        self.looks += 1

    def end(self):
        self.over.set()
        self.join()
        if self.error:
            raise self.error
        assert self.looks > 5, self.looks


def main(suite):
    if not os.access(PROBE, os.X_OK):
        print("not ok %s: %s is not built" % (suite, PROBE))
        return 1
    if MISSING:
        print("skip %s: no DuckDB or no pyarrow in the cache (scripts/deps.sh duckdb, scripts/deps.sh pyarrow)" % suite)
        return 0
    chosen = [(f, k) for f in TESTS for k in ("parquet", "avro") if k == "parquet" or f in AVRO]
    chosen = [(f, k) for f, k in chosen if not set(sys.argv[1:]) - {"avro"} or f.__name__ in sys.argv[1:] if "avro" not in sys.argv[1:] or k == "avro"]
    jobs = [lambda f=f, k=k: line_of(".".join([suite, *[k] * (k != "parquet"), f.__name__]), f, Case(f.__name__, k)) for f, k in chosen]
    return 0 if side_by_side(jobs, 2) else 1
