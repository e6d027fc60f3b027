"""What the tests against real servers share: databases, other people's Kafka client and Avro reader,
and a daemon with a configuration of its own.

A test makes a Pipeline, runs its cases with `case`, and ends with `finish()`, which prints nothing
but decides the exit code. Each case prints `ok NAME` or `not ok NAME: why`."""
import concurrent.futures
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import uuid

import fastavro
import psycopg2
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRESHET = os.environ.get("FRESHET", os.path.join(ROOT, "build", "dev", "freshet"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
PATIENCE = float(os.environ.get("PATIENCE", "2"))  # every deadline times this: for machines that have other work


def connect(dsn, **more):
    c = psycopg2.connect(dsn, **more)
    c.autocommit = True
    return c


def create_database(dsn, name, options=""):
    """A database of the test's own; answers its DSN."""
    c = connect(dsn)
    c.cursor().execute(f"create database {name} {options}")
    c.close()
    return dsn.rsplit("/", 1)[0] + "/" + name


def drop_database(dsn, database):
    c = connect(dsn)
    q = c.cursor()
    q.execute("select slot_name, active_pid from pg_replication_slots where database = %s", (database,))
    for slot, pid in q.fetchall():
        if pid:
            q.execute("select pg_terminate_backend(%s)", (pid,))
            deadline = time.time() + 10
            while time.time() < deadline:
                q.execute("select active from pg_replication_slots where slot_name = %s", (slot,))
                row = q.fetchone()
                if not row or not row[0]:
                    break
                time.sleep(0.05)
        q.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", (slot,))
    q.execute(f"drop database if exists {database} with (force)")
    c.close()


def stack(*words):
    """tests/stack/stack kill pg -9, start pg, freeze kafka ..."""
    subprocess.run([STACK, *words], check=True, stdout=subprocess.DEVNULL)


class Registry:
    def __init__(self, url):
        self.url, self.schemas = url, {}

    def schema(self, number):
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}", timeout=20) as r:
                text = json.load(r)["schema"]
            self.schemas[number] = fastavro.parse_schema(json.loads(text))
        return self.schemas[number]

    def decode(self, data):
        magic, number = struct.unpack(">bI", data[:5])
        assert magic == 0, "not in the registry's wire format"
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), self.schema(number), None)


def watermarks(consumer, topic, partition):
    """A topic that was just made may have no leader for a moment."""
    deadline = time.time() + 60
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        except KafkaException as e:
            if not e.args[0].retriable() and e.args[0].code() not in (3, 5, 6, -190) or time.time() > deadline:
                raise
            consumer.list_topics(topic, timeout=20)  # else it believes what it heard first
            time.sleep(0.05)


def read_topics(bootstrap, topics, committed=True):
    """Every message of the topics, from the beginning to the end as of now."""
    c = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "freshet-chk",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
    left, parts = {}, []
    for t in topics:
        # Only of this one: all scripts' topics together are thousands of partitions.
        for p in c.list_topics(t, timeout=20).topics[t].partitions:
            low, high = watermarks(c, t, p)
            if high > low:
                parts.append(TopicPartition(t, p, low))
                left[t, p] = high
    c.assign(parts)
    out, deadline = [], time.time() + 120
    while left:
        if time.time() > deadline:
            raise RuntimeError(f"no end of {sorted(left)}, and nothing more for 120 s")
        m = c.poll(1)
        if m is None:
            continue
        deadline = time.time() + 120  # a soak's topics take longer than that
        if m.error():
            if m.error().code() == -191:  # partition end
                left.pop((m.topic(), m.partition()), None)
                continue
            raise KafkaException(m.error())
        place = m.topic(), m.partition()
        if place in left:  # else what came since: where more is written all the time there is no end
            out.append(m)
            if m.offset() + 1 >= left[place]:
                del left[place]
    c.close()
    return out


def topics_of(bootstrap, prefix):
    names = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=20).topics
    return sorted(t for t in names if t.startswith(prefix + "."))


def eventually(what, probe, seconds=60, pause=0.05):
    """Waits for a condition, with a deadline; answers what the probe answered."""
    deadline = time.time() + seconds * PATIENCE
    while True:
        got = probe()
        if got:
            return got
        if time.time() > deadline:
            raise AssertionError(f"{what}: not within {seconds * PATIENCE:.0f} s")
        time.sleep(pause)


def checkpoint(p):
    """The record of source src, as `position show` has it; a broker that is busy is asked again, for a minute."""
    deadline = time.time() + 60
    while True:
        code, out, err = p.verb("position", "show", "src", "--json")
        if code == 0:
            return json.loads(out)["result"]["checkpoint"]
        assert "kafka." in out + err and time.time() < deadline, (code, out, err)


CONFIG = """
version: 1
name: {id}
kafka:
  brokers: [{bootstrap}]
  topics: {{create: run, partitions: 3}}
registry: {{url: ["{registry}"], register: run}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}/cache}}
"""


# For tests of what ends a source: by default its table would be held.
STOP = "defaults: {{errors: {{mode: stop}}}}\n"

# A source whose tables follow.
PG_SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    tables:
"""


class Pipeline:
    """Databases, names and a daemon of one test; close() removes them.

    self.id is in every name; self.source and self.target are DSNs; topics begin with self.id."""

    def __init__(self, config, target=True, options=""):
        self.id = "e" + uuid.uuid4().hex[:8]
        self.source = self.make_source(options)
        self.target = create_database(os.environ["PG2_DSN"], self.id) if target else None
        self.bootstrap, self.registry = os.environ["KAFKA_BOOTSTRAP"], Registry(os.environ["REGISTRY_URL"])
        self.dir = tempfile.mkdtemp(prefix="freshet-e2e-")
        self.config = os.path.join(self.dir, "freshet.yaml")
        self.slot = "s" + self.id
        self.daemon, self.mark = None, 0
        self.env = {}
        self.write(config)

    def make_source(self, options):
        """The source's database; answers its DSN. (MyPipeline has another.)"""
        return create_database(os.environ["PG_DSN"], self.id, options)

    def drop_source(self):
        with contextlib.suppress(psycopg2.Error):
            drop_database(os.environ["PG_DSN"], self.id)

    def values(self):
        """What a configuration's {names} stand for."""
        return dict(id=self.id, source=self.source, target=self.target, slot=self.slot, dir=self.dir,
                    bootstrap=self.bootstrap, registry=os.environ["REGISTRY_URL"])

    def write(self, config, base=CONFIG):
        """The base with ours after it; {id} {source} {target} {slot} {dir} ... are filled in."""
        values = self.values()
        with open(self.config, "w") as f:
            f.write(base.format(**values) + config.format(**values))

    def sql(self, text, *values, on=None):
        c = connect(on or self.source)
        try:
            q = c.cursor()
            q.execute(text, values or None)
            return q.fetchall() if q.description else None
        finally:
            c.close()

    def start(self, failpoint=None):
        env = dict(os.environ, **self.env)
        env.pop("FRESHET_FAILPOINT", None)
        if failpoint:
            env["FRESHET_FAILPOINT"] = failpoint
        self.logfile = open(os.path.join(self.dir, "log"), "ab")
        self.mark = self.logfile.tell()
        self.daemon = subprocess.Popen([FRESHET, "run", "--config", self.config], env=env,
                                       stdout=self.logfile, stderr=self.logfile)
        return self.daemon

    def stop(self, seconds=20):
        if self.daemon is None:
            return 0
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
        return self.daemon.wait(seconds * PATIENCE)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def stopped(self):
        """Whether a failpoint (`:stop`) holds the daemon; SIGCONT lets it go on."""
        with open(f"/proc/{self.daemon.pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    def log(self, this_start=False):
        """What the daemon said; this_start: since it was started last."""
        with open(os.path.join(self.dir, "log"), "rb") as f:
            f.seek(self.mark if this_start else 0)
            return f.read().decode(errors="replace")

    def says(self, *texts, seconds=40):
        """Until each of the texts was said since the last start."""
        for text in texts:
            eventually(f"{text!r} in the log", lambda t=text: t in self.log(True), seconds)

    def refused(self, code, *texts, seconds=40):
        """The daemon ends by itself with this exit code, after each of the texts."""
        got = self.wait_exit(seconds)
        log = self.log(True)
        assert got == code, f"exit code {got}, not {code}: {log[-600:]}"
        for text in texts:
            assert text in log, f"{text!r} was not said: {log[-600:]}"
        for canary in ("Sanitizer", "runtime error"):
            assert canary not in log, log[-3000:]

    def holds(self, *texts):
        """The table is held for this reason, and the daemon, which goes on, is stopped."""
        self.says("is held, the others go on", *texts)
        assert self.stop() == 0, self.log(True)[-800:]

    def ends_or_holds(self, code, *texts):
        """For each of the texts the daemon ends with this exit code, or its table is held, as fits the error."""
        eventually("an end, or a held table", lambda: self.daemon.poll() is not None or "is held, the others go on" in self.log(True))
        if self.daemon.poll() is None:
            self.holds(*texts)
        else:
            self.refused(code, *texts)

    def verb(self, *words, timeout=60, env=None):
        """freshet WORDS with this configuration: (exit code, stdout, stderr)."""
        p = subprocess.run([FRESHET, *words, "--config", self.config], capture_output=True, text=True,
                           timeout=timeout * PATIENCE, stdin=subprocess.DEVNULL, env=dict(os.environ, **self.env, **(env or {})))
        return p.returncode, p.stdout, p.stderr

    def messages(self, table, space="public", committed=True):
        return read_topics(self.bootstrap, [f"{self.id}.{space}.{table}"], committed)

    def events(self, table, space="public"):
        """Decoded values, tombstones as None, in partition and offset order."""
        return [m.value() and self.registry.decode(m.value()) for m in self.messages(table, space)]

    def wait_events(self, table, count, space="public", seconds=60):
        """Until the topic holds so many events (tombstones not counted)."""
        def probe():
            if self.daemon is not None and self.daemon.poll() is not None:
                raise AssertionError(f"the daemon ended with exit code {self.daemon.returncode}")
            got = [e for e in self.events(table, space) if e is not None]
            return got if len(got) >= count else None
        return eventually(f"{count} events of {table}", probe, seconds, 0.2)

    def wait_exit(self, seconds=60):
        return self.daemon.wait(seconds * PATIENCE)

    def close(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.kill()
        self.drop_source()
        if self.target:
            with contextlib.suppress(psycopg2.Error):
                drop_database(os.environ["PG2_DSN"], self.id)
        shutil.rmtree(self.dir, ignore_errors=True)


def metrics(p):
    """What the daemon says at /metrics, by its socket."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(os.path.join(p.dir, "freshet.sock"))
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    got = b""
    while chunk := s.recv(65536):
        got += chunk
    s.close()
    return got.decode()


def metric(p, name, *labels):
    """The value of the sample of source src with these labels; None: there is none."""
    for line in metrics(p).splitlines():
        if line.startswith(f"freshet_{name}{{") and 'source="src"' in line and all(label in line for label in labels):
            return float(line.rsplit(" ", 1)[1])
    return None


failed = 0


@contextlib.contextmanager
def case(name, pipeline=None):
    """One result line; with a pipeline (or the last one of a list), the end of its log when it failed."""
    global failed
    try:
        yield
    except Exception as e:  # a case never stops the others
        failed += 1
        text = str(e).replace("\n", " | ")[:900] or traceback.extract_tb(e.__traceback__)[-1].line
        print(f"not ok {name}: {text}", flush=True)
        if not isinstance(e, AssertionError):
            traceback.print_exc(file=sys.stdout)
        if isinstance(pipeline, list):
            pipeline = pipeline[-1] if pipeline else None
        if pipeline is not None and pipeline.daemon is not None:
            print("".join("    " + line + "\n" for line in pipeline.log().splitlines()[-40:]), flush=True)
        return
    print(f"ok {name}", flush=True)


def together(cases, workers=3):
    """Functions that each make a pipeline of their own, several at once: they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for f in [pool.submit(c) for c in cases]:
            f.result()


def finish():
    sys.exit(1 if failed else 0)
