"""One pipeline under faults: its databases, topics and daemon, and what scenarios wait for."""
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ledger  # noqa: E402
from harness import connect_any, create_database, drop_database  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRESHET = os.environ.get("FRESHET", os.path.join(ROOT, "build", "dev", "freshet"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")

CONFIG = """
version: 1
name: {name}
kafka:
  brokers: [{bootstrap}]
  delivery: exactly-once
  topics: {{create: run, partitions: 3}}
  transaction: {{max_events: {max_events}, max_time: 200ms}}
  properties: {{transaction.timeout.ms: {timeout}}}
registry: {{url: ["{registry}"], register: run}}
http: {{listen: none, socket: "{dir}/${{env:SOCKET_NUMBER}}.sock"}}
daemon: {{cache_dir: {dir}/cache, drain: 10s}}
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {prefix}
    log: {{publication: ledger_pub, slot: {slot}, heartbeat: 2s}}
    tables:
      "/^public\\\\./": {{method: log, snapshot: {{chunk: 50, parallel: 2}}}}
sinks:
  dst:
    type: {target_type}
    dsn: {target}
    from: ["{prefix}.public.t1", "{prefix}.public.t2", "{prefix}.public.t3", "{prefix}.public.t4", "{prefix}.public.ledger"]
    create: run
    write: {{every: 50ms}}
    on_change: {{add_column: evolve}}
"""


class Failure(Exception):
    pass


def errors():
    """What the clients of the servers in use raise."""
    mysql = sys.modules.get("pymysql")
    return (ledger.psycopg2.Error,) + ((mysql.Error,) if mysql else ())


def via(dsn, port):
    """The DSN with another port, where a proxy listens."""
    return re.sub(r":\d+/", f":{port}/", dsn) if port else dsn


class Run:
    """Databases, topics and a daemon of its own, removed at the end."""

    def __init__(self, seed, max_events=500, timeout=60000, rows=200, bootstrap=None, source_port=None,
                 target_port=None, target="PG2", env=None):
        """bootstrap, source_port, target_port: what the daemon is told, when a proxy stands between. target:
        the server of the stack that the sink writes to (PG2, MARIADB, MYSQL)."""
        self.id = "f" + uuid.uuid4().hex[:8]
        self.random = random.Random(seed)
        self.seed = seed
        self.admin = [os.environ["PG_DSN"], os.environ[target + "_DSN"]]
        self.source, self.target = [create_database(dsn, self.id) for dsn in self.admin]
        ledger.create(self.source, rows)
        self.dir = tempfile.mkdtemp(prefix="freshet-fault-")
        self.bootstrap = os.environ["KAFKA_BOOTSTRAP"]
        text = CONFIG.format(name=self.id, bootstrap=bootstrap or self.bootstrap,
                             registry=os.environ["REGISTRY_URL"],
                             source=via(self.source, source_port), target=via(self.target, target_port),
                             target_type=self.target.split(":")[0].replace("postgresql", "postgres"),
                             prefix=self.id,
                             slot="s" + self.id, dir=self.dir, max_events=max_events,
                             timeout=timeout)
        head, rest = text.split("sources:\n")
        source, sink = rest.split("sinks:\n")
        self.config = self.write("freshet.yaml", text)
        self.source_only = self.write("source.yaml", head + "sources:\n" + source)
        self.sink_only = self.write("sink.yaml", head + "sinks:\n" + sink)
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.daemon = self.sink = None
        self.starts, self.running = 0, {}
        self.env = env or {}
        self.ended = {}  # exit code -> how often the daemon ended by itself

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def spawn(self, failpoint=None, config=None):
        """The same socket at each start, as in real life (it is in the sink's name in its group), unless a
        process of ours still has it."""
        number = next(n for n in range(100) if n not in self.running or self.running[n].poll() is not None)
        env = dict(os.environ, SOCKET_NUMBER=str(number), **self.env)
        env.pop("FRESHET_FAILPOINT", None)
        if failpoint:
            env["FRESHET_FAILPOINT"] = failpoint
        self.starts += 1
        self.running[number] = subprocess.Popen([FRESHET, "run", "--config", config or self.config], env=env,
                                                stdout=self.log, stderr=self.log)
        return self.running[number]

    def start(self, failpoint=None):
        code = self.daemon and self.daemon.poll()
        if code not in (None, 0, -signal.SIGKILL):
            self.ended[code] = self.ended.get(code, 0) + 1
        self.daemon = self.spawn(failpoint, self.source_only if self.sink else None)

    def split(self):
        """Source and sink as two processes: start, kill and stop then mean the source's."""
        self.sink = self.spawn(config=self.sink_only)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def alive(self):
        return self.daemon is not None and self.daemon.poll() is None

    def applied(self):
        """Ledger rows in the target."""
        try:
            c = connect_any(self.target)
            q = c.cursor()
            q.execute("select count(*) from ledger")
            n = q.fetchone()[0]
            c.close()
            return n
        except errors():
            return 0

    def counts(self, dsn):
        try:
            c = connect_any(dsn)
            q = c.cursor()
            q.execute("select " + ", ".join(f"(select count(*) from {t})" for t in ledger.TABLES + ["ledger"]))
            n = q.fetchone()
            c.close()
            return n
        except errors():
            return None

    def catch_up(self, seconds=120, restart=True):
        """Until the target holds as many rows of every table as the source (a snapshot may still
        be on its way when the log's rows are there); the daemon is started again when it ended."""
        want = self.counts(self.source)
        deadline = time.time() + seconds
        while self.counts(self.target) != want:
            if time.time() > deadline:
                raise Failure(f"target has {self.counts(self.target)} of {want} rows after {seconds} s")
            if not self.alive():
                if not restart:
                    raise Failure(f"the daemon ended with exit code {self.daemon.returncode}")
                self.start()
            time.sleep(0.1)

    def stop(self):
        if not self.alive():
            return self.daemon.returncode if self.daemon else 0
        self.daemon.send_signal(signal.SIGTERM)
        try:
            return self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("SIGTERM did not end the daemon within 20 s")

    def check(self):
        return ledger.Check(self.bootstrap, os.environ["REGISTRY_URL"], self.id, self.source,
                            self.target).run()

    def sanitized(self):
        """A daemon that a sanitizer ended is started again like any other: the log tells."""
        self.log.flush()
        with open(self.log.name, errors="replace") as f:
            found = re.search(r"^.*(ERROR: \w+Sanitizer|runtime error: ).*$", f.read(), re.M)
        if found:
            raise Failure(f"{found.group(0).strip()}; see {self.log.name}")

    def settle(self, workload, seconds=120):
        workload.stop()
        self.catch_up(seconds)
        code = self.stop()
        if code != 0:
            raise Failure(f"the daemon ended with exit code {code} after SIGTERM")
        v = self.check()
        if not v.zero():
            raise Failure(f"{v}\n  " + "\n  ".join(v.notes))
        self.sanitized()
        return v

    def tail(self, lines=25):
        self.log.flush()
        with open(self.log.name, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def close(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        for dsn, database in zip(self.admin, (self.source, self.target)):
            try:
                drop_database(dsn, self.id)
            except errors() as e:
                print(f"  (left behind: {self.id}: {e})")


def figures(v, r, **more):
    extra = "".join(f", {k.replace('_', ' ')} {n}" for k, n in more.items())
    for code, n in sorted(r.ended.items()):
        extra += f", {n} exits with code {code}"
    return f"{v}; seed {r.seed}, {r.starts} starts, read_uncommitted shows {v.uncommitted_extra} more{extra}"


def wait_rows(r, n, seconds=60):
    deadline = time.time() + seconds
    while r.applied() < n:
        if time.time() > deadline:
            raise Failure(f"only {r.applied()} of {n} transactions arrived within {seconds} s")
        if not r.alive():
            r.start()
        time.sleep(0.05)


def wait_for(r, what, probe, seconds):
    deadline = time.time() + seconds
    while not probe():
        if time.time() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        if not r.alive():
            r.start()
        time.sleep(0.05)


def slot_user(r):
    """The server process that serves our slot, or None."""
    c = ledger.connect(r.admin[0])
    q = c.cursor()
    q.execute("select active_pid from pg_replication_slots where slot_name = %s", ("s" + r.id,))
    row = q.fetchone()
    c.close()
    return row and row[0]


@contextlib.contextmanager
def fault_run(args, pace=0.015, **more):
    """A Run with the workload on; shows the end of the log when it fails. pace: the writers' pause between
    two transactions, in seconds."""
    r = Run(args.seed, **more)
    w = ledger.Workload(r.source, seed=args.seed, pace=pace)
    try:
        w.start()
        yield r, w
    except Exception:
        print(r.tail())
        raise
    finally:
        w.stop_event.set()
        r.close()


def stack(*words):
    subprocess.run([STACK, *words], check=True, stdout=subprocess.DEVNULL)
