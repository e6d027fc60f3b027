"""What the figures share: databases, daemons that are watched from outside, and the table of results."""
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import connect, create_database, drop_database, topics_of  # noqa: E402

BUILD = os.environ.get("BENCH_BUILD", os.path.join(ROOT, "build", "bench"))
FRESHET = os.environ.get("FRESHET") or os.path.join(BUILD, "freshet")
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
N = int(os.environ.get("BENCH_N", "5"))
TICKS = os.sysconf("SC_CLK_TCK")

# Twelve columns, about 190 bytes a row.
TABLE = """create table orders (
    id bigint primary key, customer int not null, status text not null, amount numeric(12,2) not null,
    currency text not null, email text, street text, note text, flag boolean not null,
    score double precision, created timestamptz not null, updated timestamptz not null)"""
ROW = """i, (i % 100000)::int, 'status ' || i % 7, (i % 10000) * 1.01, 'EUR',
    'customer' || i % 100000 || '@example.org', i % 200 || ' Long Street, Some Town', 'order number ' || i,
    i % 3 = 0, i * 0.5, timestamptz '2026-01-01' + i * interval '1 second', now()"""

CONFIG = """
version: 1
name: {id}
kafka:
  brokers: [{bootstrap}]
  topics: {{create: run, partitions: 3{topics}}}
registry: {{url: ["{registry}"], register: run}}
http: {{listen: none, socket: {dir}/freshet.sock}}
daemon: {{cache_dir: {dir}/cache{daemon}}}
sources:
  src:
    prefix: {id}
    {source}
    tables:
      {tables}
"""

POSTGRES = """type: postgres
    dsn: {dsn}
    log: {{publication: pub, slot: s{id}}}"""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def idle(seconds):
    """Which part of the processors' time nobody used in the next seconds, in percent. Time that was
    stolen from a virtual machine was used."""
    def now():
        with open("/proc/stat") as f:
            user, nice, system, unused, waiting, irq, softirq, stolen = map(int, f.readline().split()[1:9])
        return unused + waiting, user + nice + system + unused + waiting + irq + softirq + stolen
    before = now()
    time.sleep(seconds)
    unused, total = (b - a for a, b in zip(before, now()))
    return round(100 * unused / total, 1)


def bare(program, *words):
    """One of the bare programs; the JSON that it prints."""
    p = subprocess.run([os.path.join(BUILD, program), *map(str, words)], capture_output=True, text=True, timeout=600)
    if p.returncode != 0:
        raise RuntimeError(f"{program}: {p.stderr.strip()}")
    return json.loads(p.stdout)


def create_topics(names, partitions=3):
    admin = AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]})
    for f in admin.create_topics([NewTopic(n, partitions, 1) for n in names]).values():
        f.result(120)


def create_topic(name, partitions=3):
    create_topics([name], partitions)


def delete_topics(names):
    admin = AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]})
    for f in admin.delete_topics(names).values() if names else ():
        with contextlib.suppress(Exception):
            f.result(30)


class Daemon:
    """A freshet run of its own name and topics, and slot where it is PostgreSQL, on a database that others
    may share. source: the lines of the configuration that say where it is; topics, daemon: more keys below
    kafka.topics and daemon."""

    def __init__(self, dsn, tables, server="pg", source=None, topics="", daemon=""):
        self.server = server
        self.id = "b" + uuid.uuid4().hex[:8]
        self.dir = tempfile.mkdtemp(prefix="freshet-bench-")
        self.config, self.logfile = os.path.join(self.dir, "freshet.yaml"), os.path.join(self.dir, "log")
        self.process, self.seen = None, 0
        with open(self.config, "w") as f:
            f.write(CONFIG.format(id=self.id, source=source or POSTGRES.format(id=self.id, dsn=dsn), tables=tables,
                                  dir=self.dir, topics=topics, daemon=daemon,
                                  bootstrap=os.environ["KAFKA_BOOTSTRAP"], registry=os.environ["REGISTRY_URL"]))

    def rewrite(self, old, new):
        """Another configuration, from the next start on."""
        with open(self.config) as f:
            text = f.read()
        if text.count(old) != 1:
            raise RuntimeError(f"{old} is not in the configuration, or more than once")
        with open(self.config, "w") as f:
            f.write(text.replace(old, new))

    def verb(self, *words):
        """What freshet WORDS prints with this configuration."""
        p = subprocess.run([FRESHET, *words, "--config", self.config], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=120)
        if p.returncode != 0:
            raise RuntimeError(f"freshet {' '.join(words)}: {p.stdout}\n{p.stderr}")
        return p.stdout

    def apply(self):
        """Topics and schemas before the first start, as an operator would."""
        self.verb("apply", "--yes")

    def start(self):
        self.seen = os.path.getsize(self.logfile) if os.path.exists(self.logfile) else 0
        with open(self.logfile, "ab") as f:
            self.began = time.time()
            self.process = subprocess.Popen([FRESHET, "run", "--config", self.config], stdout=f, stderr=f)

    def alive(self):
        """It must not have ended by itself."""
        if self.process.poll() is not None:
            with open(self.logfile, errors="replace") as f:
                raise RuntimeError(f"freshet ended, exit code {self.process.returncode}:\n" + f.read()[-2000:])

    def logged(self, text, seconds=120, pause=0.005):
        """Waits for a line since the last start; answers the time that it carries."""
        deadline = time.time() + seconds
        while True:
            with open(self.logfile, errors="replace") as f:
                f.seek(self.seen)
                log = f.read()
            for line in log.splitlines():
                if text in line:
                    stamp = re.search(r"ts=(\S+)", line).group(1)
                    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
            if self.process.poll() is not None or time.time() > deadline or " level=error " in log:
                raise RuntimeError(f"freshet: no '{text}':\n" + "\n".join(log.splitlines()[-15:]))
            time.sleep(pause)

    def cpu(self, of=(11, 12)):
        """Seconds so far; of: fields of its stat, user and system."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return sum(int(fields[i]) for i in of) / TICKS

    def memory(self, what):
        """VmRSS (now) or VmHWM (the most so far), in MB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(what + r":\s+(\d+) kB", f.read()).group(1)) / 1024

    def threads(self):
        """CPU seconds so far by what a thread is called; those that ended are not in it."""
        out = {}
        folder = f"/proc/{self.process.pid}/task"
        for t in os.listdir(folder):
            with contextlib.suppress(OSError):
                with open(f"{folder}/{t}/stat") as f:
                    name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
                name = "librdkafka" if name.startswith("rdk:") else name
                out[name] = out.get(name, 0) + sum(map(int, rest.split()[11:13])) / TICKS
        return out

    def metrics(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(os.path.join(self.dir, "freshet.sock"))
        s.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        text = b""
        while part := s.recv(65536):
            text += part
        s.close()
        return text.decode()

    def stage(self, name):
        """Seconds spent in a stage so far, and how often."""
        found = re.findall(r'^freshet_stage_seconds_(sum|count)\{[^}]*stage="%s"\} (\S+)' % name, self.metrics(), re.M)
        return tuple(float(dict(found).get(k, 0)) for k in ("sum", "count"))

    def committed(self):
        """Events that Kafka has acknowledged in committed transactions, as /metrics says."""
        return sum(int(n) for n in re.findall(r"^freshet_events_total\{[^}]*\} (\d+)", self.metrics(), re.M))

    def wait_committed(self, count, seconds=300):
        """Asks more often towards the end: an answer costs the daemon CPU time, too."""
        deadline = time.time() + seconds
        got = 0
        while self.process.poll() is None and time.time() < deadline:
            with contextlib.suppress(OSError):  # it may just be ending
                if (got := self.committed()) >= count:
                    return time.time()
            time.sleep(0.01 if got > count * 0.9 else 0.2)
        with open(self.logfile, errors="replace") as f:
            raise RuntimeError(f"freshet: {got} of {count} events committed:\n" + f.read()[-2000:])

    def profile(self, what):
        """With BENCH_PROFILE, a folder: perf's record of what the daemon does from now on."""
        folder = os.environ.get("BENCH_PROFILE")
        if folder:
            os.makedirs(folder, exist_ok=True)
            subprocess.Popen(["perf", "record", "-q", "-F", "499", "-g", "-p", str(self.process.pid), "-o",
                              os.path.join(folder, what + ".perf")], stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop()
        brokers = os.environ["KAFKA_BOOTSTRAP"]
        delete_topics(topics_of(brokers, self.id) + topics_of(brokers, "freshet." + self.id))
        shutil.rmtree(self.dir, ignore_errors=True)


@contextlib.contextmanager
def database():
    name = "bench" + uuid.uuid4().hex[:8]
    dsn = create_database(os.environ["PG_DSN"], name)
    try:
        yield dsn
    finally:
        drop_database(os.environ["PG_DSN"], name)


def sql(dsn, *statements):
    c = connect(dsn)
    q = c.cursor()
    for s in statements:
        q.execute(s)
    rows = q.fetchall() if q.description else None
    c.close()
    return rows


class Results:
    def __init__(self):
        self.figures, self.notes = [], []

    def add(self, name, what, unit, samples, goal=None, at_least=True, digits=2):
        """One figure; at_least: the goal is a lower bound, else an upper one."""
        value = round(statistics.median(samples), digits)
        met = None if goal is None else (value >= goal if at_least else value <= goal)
        self.figures.append({"name": name, "what": what, "value": value, "unit": unit, "goal": goal,
                             "bound": None if goal is None else "at least" if at_least else "at most",
                             "met": met, "n": len(samples), "min": round(min(samples), digits),
                             "median": value, "max": round(max(samples), digits)})
        say(f"{name} = {value} {unit} [{round(min(samples), digits)}-{round(max(samples), digits)}]"
            + ("" if goal is None else f" goal {goal}: {'met' if met else 'MISSED'}"))

    def note(self, about, text):
        """What the page says beside the figures whose names begin so."""
        self.notes.append({"about": about, "text": text})
        say(f"{about}: {text}")
