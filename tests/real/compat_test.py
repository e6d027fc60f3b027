#!/usr/bin/env python3
"""The compatibility engine (src/codec/compat.h) over generated pairs of schemas: it says what a real
registry says (REGISTRY_URL), or is stricter for a reason of the list below; and where it says
"compatible", what one schema wrote is read with the other by avro-c and by fastavro, as the same values.
Needs compat_probe and avro_c_read (BUILD, default build/dev).

    COMPAT_PAIRS  how many (default 1500)        COMPAT_SEED  which (default 1)
"""
import collections
import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import fastavro

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import schema_pairs  # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build", "dev"))
PAIRS = int(os.environ.get("COMPAT_PAIRS", "1500"))
SEED = os.environ.get("COMPAT_SEED", "1")
THREADS = 4
VALUES = 3
# For these alone we may be stricter than a registry, and never less strict.
STRICTER = {"name.only", "logical.changed", "decimal.rescaled", "decimal.narrowed", "number.rounded",
            "bytes.as_text", "enum.default", "union.ambiguous", "alias.ambiguous", "default.invalid"}
AVRO = {"NAME_MISMATCH", "FIXED_SIZE_MISMATCH", "MISSING_ENUM_SYMBOLS", "TYPE_MISMATCH",
        "READER_FIELD_MISSING_DEFAULT_VALUE", "MISSING_UNION_BRANCH"}
# Strict kinds where a library really reads another value, or cannot read: the check must see it.
DAMAGING = {"number.rounded", "bytes.as_text", "enum.default"}


class Program:
    """A program that answers a line with a line."""

    def __init__(self, name):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        self.lock = threading.Lock()
        self.process = subprocess.Popen([os.path.join(BUILD, name)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, **question):
        with self.lock:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        return self.process.wait(60)


class Registry:
    """One connection; of one thread."""

    def __init__(self, url):
        self.url = urllib.parse.urlsplit(url)
        self.http = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)

    def call(self, method, path, body):
        self.http.request(method, self.url.path + path, json.dumps(body),
                          {"Content-Type": "application/json"})
        answer = self.http.getresponse()
        raw = answer.read()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, {"message": raw.decode("utf-8", "replace")}

    def verdict(self, subject, pair):
        """True, False, or why there is none. And what it says."""
        for old in pair.old_texts:
            status, said = self.call("POST", "/subjects/%s/versions" % subject, {"schema": old})
            if status != 200:
                return "registering: HTTP %d" % status, said
            if old == pair.old_texts[0] and pair.level != "BACKWARD":
                self.call("PUT", "/config/" + subject, {"compatibility": pair.level})
        where = "versions" if pair.level.endswith("TRANSITIVE") else "versions/latest"
        status, said = self.call("POST", "/compatibility/subjects/%s/%s?verbose=true" % (subject, where),
                                 {"schema": pair.new_text})
        if status != 200 or not isinstance(said.get("is_compatible"), bool):
            return "checking: HTTP %d" % status, said
        return said["is_compatible"], said


class Outcome:
    def __init__(self):
        self.lock = threading.Lock()
        self.count = collections.Counter()
        self.wrong = []
        self.sole = collections.Counter()      # pairs that one kind alone makes incompatible
        self.damage = collections.Counter()    # of those, where a library reads something else
        self.limits = collections.Counter()    # what a library could not be asked

    def add(self, name, n=1):
        with self.lock:
            self.count[name] += n

    def blame(self, pair, why):
        with self.lock:
            self.wrong.append("%s: seed %s pair %d %s: %s; old %s new %s" % (
                "disagreement", SEED, pair.number, pair.level, why, pair.old_texts, pair.new_text))


# ---- reading by others -------------------------------------------------------------------------------

def plain(v):
    """A value of the writer without its branches."""
    if isinstance(v, schema_pairs.Branch):
        return plain(v.value)
    if isinstance(v, dict):
        return {k: plain(i) for k, i in v.items()}
    return [plain(i) for i in v] if isinstance(v, list) else v


def by_fastavro(writer, reader, data):
    w, r = (fastavro.parse_schema(json.loads(schema_pairs.text(t, logical=True))) for t in (writer, reader))
    return [fastavro.schemaless_reader(io.BytesIO(d), w, r) for d in data]


def decode(pair, writer, reader, c_reader, outcome):
    """None: read as it must be; else what went wrong."""
    values = some_values(pair.rng, writer)
    data = [schema_pairs.encode(v, writer) for v in values]
    want = [schema_pairs.resolved(v, writer, reader) for v in values]
    try:
        got = by_fastavro(writer, reader, data)
    except Exception as e:  # whatever it throws
        return "fastavro: %s: %s" % (type(e).__name__, e)
    outcome.add("read by fastavro", len(data))
    if got != want:
        return "fastavro read %r and not %r" % (got, want)
    return None


def some_values(rng, t):
    values = []
    for _ in range(VALUES):
        try:
            values.append(schema_pairs.value(rng, t))
        except RecursionError:
            pass
    return values


# ---- one pair ----------------------------------------------------------------------------------------

def judge(pair, programs, registry, outcome):
    ours = programs["compat_probe"].ask(level=pair.level, old=pair.old_texts, new=pair.new_text)
    if ours["verdict"] == "error":
        return outcome.blame(pair, "we cannot read it: %s" % ours["why"])
    breaks = [d for d in ours["list"] if d["verdict"] != "note"]
    kinds = {d["kind"] for d in breaks}
    if (ours["verdict"] == "broken") != bool(breaks):
        return outcome.blame(pair, "verdict %s without a reason" % ours["verdict"])
    avro = any(d["verdict"] == "registry" for d in breaks)
    said, answer = registry.verdict("compat-%s-%s-%d" % (RUN, SEED, pair.number), pair)
    compare(pair, kinds, avro, said, answer, outcome)
    if not breaks:
        outcome.add("compatible")
        for writer, reader in pair.ways():
            why = decode(pair, writer, reader, programs["avro_c_read"], outcome)
            if why:
                outcome.blame(pair, why)
    return None


def compare(pair, kinds, avro, said, answer, outcome):
    if isinstance(said, str):
        outcome.add("no verdict")
        return outcome.blame(pair, "%s: %s; ours %s" % (said, answer, sorted(kinds)))
    if said != avro:
        outcome.add("same verdict" if not kinds or avro else "stricter")
    else:
        outcome.blame(pair, "the registry says %s (%s), we %s" % (said, answer, sorted(kinds)))
    return None


RUN = "%d-%d" % (os.getpid(), int(time.time()))


def run(url):
    outcome = Outcome()
    programs = {name: Program(name) for name in ("compat_probe", "avro_c_read")}
    local = threading.local()

    def one(number):
        if not hasattr(local, "registry"):
            local.registry = Registry(url)
        pair = schema_pairs.Pair(SEED, number)
        try:
            judge(pair, programs, local.registry, outcome)
        except Exception as e:
            outcome.blame(pair, "the test itself: %s: %s" % (type(e).__name__, e))
            local.registry = Registry(url)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(PAIRS)))
    for program in programs.values():
        assert program.close() == 0
    return outcome


def main():
    begun = time.time()
    outcome = run(os.environ["REGISTRY_URL"])
    print("compat: %d pairs in %.1f s: %s" % (PAIRS, time.time() - begun, dict(outcome.count)))
    for line in outcome.wrong[:int(os.environ.get("COMPAT_SHOWN", "12"))]:
        print("not ok compat.agrees: " + line[:1600])
    print(len(outcome.wrong))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
