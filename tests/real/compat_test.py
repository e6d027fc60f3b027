#!/usr/bin/env python3
"""The compatibility engine (src/codec/compat.h) over generated pairs of schemas: it says what a real
registry says (REGISTRY_URL), or is stricter for a reason of the list below; and where it says
"compatible", what one schema wrote is read with the other by avro-c and by fastavro, as the same values.
Needs compat_probe and avro_c_read (BUILD, default build/dev).

    COMPAT_PAIRS  how many (default 800)        COMPAT_SEED  which (default 2)
"""
import collections
import http.client
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
import urllib.parse

import fastavro

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import schema_pairs  # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build", "dev"))
PAIRS = int(os.environ.get("COMPAT_PAIRS", "800"))
SEED = os.environ.get("COMPAT_SEED", "2")
WORKERS = 3
VALUES = 3
# For these alone we may be stricter than a registry, and never less strict.
STRICTER = {"name.only", "logical.changed", "decimal.rescaled", "decimal.narrowed", "number.rounded",
            "bytes.as_text", "enum.default", "enum.reordered", "union.ambiguous", "alias.ambiguous", "default.invalid"}
AVRO = {"NAME_MISMATCH", "FIXED_SIZE_MISMATCH", "MISSING_ENUM_SYMBOLS", "TYPE_MISMATCH",
        "READER_FIELD_MISSING_DEFAULT_VALUE", "MISSING_UNION_BRANCH"}
# Strict kinds where a library really reads another value, or cannot read: the check must see it.
DAMAGING = {"number.rounded", "bytes.as_text", "enum.default", "enum.reordered"}


class Program:
    """A program that answers a line with a line."""

    def __init__(self, name):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        self.process = subprocess.Popen([os.path.join(BUILD, name)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=env)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        return self.process.wait(60)


class Registry:
    """One connection; of one process."""

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

    def register(self, subject, pair):
        """All versions of the pair. One that the registry refuses beside the others is left out. False: the
        registry cannot hold the first."""
        for i, old in enumerate(list(pair.versions)):
            status, said = self.call("POST", "/subjects/%s/versions" % subject,
                                     {"schema": schema_pairs.text(old)})
            if status == 500 and schema_pairs.in_a_map_of_its_own(old):
                return False  # Apicurio 2.6.13 does not come to an end with these
            if status in (409, 422) and i > 0:
                pair.versions.remove(old)
            elif status != 200:
                raise AssertionError("registering: HTTP %d: %s" % (status, said))
            if i == 0 and pair.level != "BACKWARD":
                self.level(subject, pair.level.replace("_TRANSITIVE", ""))
        if pair.level.endswith("TRANSITIVE"):
            self.level(subject, pair.level)
        return True

    def level(self, subject, level):
        status, said = self.call("PUT", "/config/" + subject, {"compatibility": level})
        assert status == 200, said

    def verdict(self, subject, pair):
        """True or False, None: it cannot tell; and all that it says."""
        where = "versions" if pair.level.endswith("TRANSITIVE") else "versions/latest"
        status, said = self.call("POST", "/compatibility/subjects/%s/%s?verbose=true" % (subject, where),
                                 {"schema": pair.new_text})
        if status != 200 or not isinstance(said.get("is_compatible"), bool):
            return None, said
        return said["is_compatible"], said


class Outcome:
    def __init__(self):
        self.count = collections.Counter()
        self.wrong = []
        self.sole = collections.Counter()    # pairs that one kind alone makes incompatible
        self.caught = collections.Counter()  # of those, which this test would miss no more

    def add(self, name, n=1):
        self.count[name] += n

    def blame(self, pair, why):
        self.wrong.append("seed %s pair %d %s: %s; old %s new %s" % (
            SEED, pair.number, pair.level, why, pair.old_texts, pair.new_text))

    def join(self, other):
        self.count += other.count
        self.wrong += other.wrong
        self.sole += other.sole
        self.caught += other.caught


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


def from_json(j, t):
    """avro-c's JSON of a value as fastavro has it."""
    if t.kind == "union":
        if j is None:
            return None
        (name, v), = j.items()
        return from_json(v, next(b for b in t.inner if name in (b.kind, b.name, getattr(b, "full"))))
    if t.kind == "record":
        return {f.name: from_json(j[f.name], f.type) for f in t.fields}
    if t.kind in ("array", "map"):
        return [from_json(i, t.inner[0]) for i in j] if t.kind == "array" else \
            {k: from_json(i, t.inner[0]) for k, i in j.items()}
    if t.kind in ("bytes", "fixed"):
        return j.encode("latin-1")
    return j


def by_avro_c(program, writer, reader, data):
    """The reader's schema that it was asked with, and values. Raises Limit where it cannot be asked."""
    if any(t.aliases or any(f.aliases for f in t.fields) for t in schema_pairs.types_in(reader)):
        raise Limit("avro-c knows no aliases")
    projected = schema_pairs.without_defaults(writer, reader)
    if projected is None:
        raise Limit("avro-c knows no defaults")
    if schema_pairs.reads_text_as_bytes(writer, projected):
        raise Limit("avro-c reads no text as bytes")
    w, r = schema_pairs.text(writer, logical=True), schema_pairs.text(projected, logical=True)
    hexes = [d.hex() for d in data]
    said = program.ask(writer=w, reader=r, data=hexes, by="reader")
    if said.get("error") == "it died":
        if "error" not in program.ask(writer=w, reader=w, data=hexes, by="reader"):
            raise AssertionError("it died of the pair, and not of the writer's schema alone")
        said = program.ask(writer=w, reader=r, data=hexes, by="writer")
        if "error" in said:
            raise Limit("avro-c dies of maps in maps, with one and the same schema on both sides, too")
    if "error" in said:
        raise AssertionError(said["error"])
    return projected, [from_json(json.loads(v), projected) for v in said["values"]]


class Limit(Exception):
    pass


def alike(got, want):
    if isinstance(got, dict) and isinstance(want, dict):
        return got.keys() == want.keys() and all(alike(got[k], want[k]) for k in got)
    if isinstance(got, list) and isinstance(want, list):
        return len(got) == len(want) and all(map(alike, got, want))
    if isinstance(got, bytes) and isinstance(want, str):
        return got == want.encode()
    return got == want and isinstance(got, bool) == isinstance(want, bool)


def decode(pair, writer, reader, program, outcome):
    """None: read as it must be; else what went wrong."""
    values = some_values(pair.rng, writer)
    data = [schema_pairs.encode(v, writer) for v in values]
    want = [schema_pairs.resolved(v, writer, reader, lambda j, t: j) for v in values]
    try:
        got = by_fastavro(writer, reader, data)
    except Exception as e:  # whatever it throws
        return "fastavro: %s: %s" % (type(e).__name__, e)
    if alike(got, want):
        # Of a union of bytes and text it takes the one that comes first, even where nothing changed.
        outcome.add("fastavro gives the bytes of a text", got != want)
    else:
        return "fastavro read %r and not %r" % (got, want)
    outcome.add("read by fastavro", len(data))
    try:
        projected, got = by_avro_c(program, writer, reader, data)
    except Limit as e:
        outcome.add(str(e))
        return None
    except AssertionError as e:
        return "avro-c: %s" % e
    want = [schema_pairs.resolved(v, writer, projected, None) for v in values]
    if got != want:
        return "avro-c read %r and not %r" % (got, want)
    outcome.add("read by avro-c", len(data))
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
    subject = "compat-%s-%s-%d" % (RUN, SEED, pair.number)
    held = registry.register(subject, pair)
    ours = programs["compat_probe"].ask(level=pair.level, old=pair.old_texts, new=pair.new_text)
    if ours["verdict"] == "error":
        return outcome.blame(pair, "we cannot read it: %s" % ours["why"])
    breaks = [d for d in ours["list"] if d["verdict"] != "note"]
    if (ours["verdict"] == "broken") != bool(breaks):
        return outcome.blame(pair, "verdict %s without a reason" % ours["verdict"])
    if held:
        said, answer = registry.verdict(subject, pair)
        why = disagreement(breaks, said, answer, outcome)
        if why:
            outcome.blame(pair, why)
        control(pair, breaks, said, programs, outcome)
    else:
        outcome.add("the registry cannot hold a record in a map of its own")
    if not breaks:
        outcome.add("compatible")
        for writer, reader in pair.ways():
            why = decode(pair, writer, reader, programs["avro_c_read"], outcome)
            if why:
                outcome.blame(pair, why)
    return None


def disagreement(breaks, said, answer, outcome):
    """None where we say what the registry says, or are stricter for a reason of the list."""
    kinds = {d["kind"] for d in breaks}
    avro = {d["registry_kind"] for d in breaks if d["verdict"] == "registry"}
    unlisted = {d["kind"] for d in breaks if d["verdict"] == "strict"} - STRICTER
    if unlisted or not avro <= AVRO:
        return "reasons that are in no list: %s %s" % (unlisted, avro)
    if said is None and breaks and answer.get("error_code") == 42201:
        # Apache Avro throws where two fields are meant, and its parser refuses such defaults.
        outcome.add("refused as no schema")
        return None
    if said is None or said == bool(avro):
        return "the registry says %s (%s), we %s" % (said, answer, sorted(kinds))
    outcome.add("stricter" if kinds and not avro else "same verdict")
    if avro:
        places = set(re.findall(r" at (/[^\s,\]]*)", answer.get("reason") or ""))
        ours = {d["pointer"] for d in breaks if d["verdict"] == "registry"}
        outcome.add("places named", len(places))
        if not places or not places <= ours:
            return "the registry names %s, we name %s (%s)" % (places, ours, answer)
    return None


def control(pair, breaks, said, programs, outcome):
    """With the one rule switched off that speaks against a pair, does this test see it?"""
    kinds = {d["kind"] for d in breaks}
    if len(kinds) != 1:
        return
    kind, = kinds
    outcome.sole[kind] += 1
    if breaks[0]["verdict"] == "registry":
        outcome.caught[kind] += said is False
    elif kind in DAMAGING:
        outcome.caught[kind] += is_seen(pair, programs["avro_c_read"])


def is_seen(pair, program):
    unused = Outcome()
    try:
        return any(decode(pair, w, r, program, unused) for w, r in pair.ways())
    except UnicodeDecodeError:  # no reader could give such a value
        return True


RUN = "%d-%d" % (os.getpid(), int(time.time()))


def work(share):
    """The pairs of one process."""
    outcome, registry = Outcome(), Registry(os.environ["REGISTRY_URL"])
    programs = {name: Program(name) for name in ("compat_probe", "avro_c_read")}
    for number in range(share, PAIRS, WORKERS):
        pair = schema_pairs.Pair(SEED, number)
        try:
            judge(pair, programs, registry, outcome)
        except Exception as e:
            outcome.blame(pair, "the test itself: %s: %s" % (type(e).__name__, e))
    for name, program in programs.items():
        if program.close() != 0:
            outcome.wrong.append("%s died" % name)
    return outcome


def report(outcome):
    failed = 0

    def check(name, good, why):
        nonlocal failed
        print("ok compat.%s" % name if good else "not ok compat.%s: %s" % (name, why))
        failed += not good

    count = outcome.count
    for line in outcome.wrong[:20]:
        print("disagreement: " + line[:3000])
    check("agrees", not outcome.wrong, "%d pairs, see above; repeat one with COMPAT_SEED=%s" %
          (len(outcome.wrong), SEED))
    check("decodes", count["read by fastavro"] > PAIRS and count["read by avro-c"] > PAIRS, count)
    check("judged", count["same verdict"] > PAIRS / 2 and count["stricter"] > PAIRS / 20, count)
    missed = sorted(k for k in AVRO | DAMAGING if outcome.caught[k] == 0)
    check("control_without_a_rule", not missed, "nothing is seen without %s: %s" % (missed, outcome.sole))
    unseen = sorted(k for k in STRICTER if outcome.sole[k] == 0)
    if PAIRS >= 5000:  # some are rare
        check("every_rule_is_met", not unseen, unseen)
    return failed


def main():
    if not os.path.exists(os.path.join(BUILD, "avro_c_read")):
        print("skip compat: avro-c is not there")
        return 0
    begun = time.time()
    outcome = Outcome()
    with multiprocessing.Pool(WORKERS) as pool:
        for one in pool.imap_unordered(work, range(WORKERS)):
            outcome.join(one)
    failed = report(outcome)
    print("%d pairs of seed %s in %.1f s: %s" % (PAIRS, SEED, time.time() - begun, dict(outcome.count)))
    print("one rule alone against a pair, and seen without it: %s" % ", ".join(
        "%s %d/%d" % (k, outcome.caught[k], n) for k, n in sorted(outcome.sole.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
