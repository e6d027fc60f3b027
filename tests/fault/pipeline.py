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
from harness import drop_database  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRESHET = os.environ.get("FRESHET", os.path.join(ROOT, "build", "dev", "freshet"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
PATIENCE = float(os.environ.get("PATIENCE", "2"))  # every deadline times this: for machines that have other work

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
{source_block}
sinks:
  dst:
    type: {target_type}
    dsn: {target}
    from: ["{prefix}.{space}.t1", "{prefix}.{space}.t2", "{prefix}.{space}.t3", "{prefix}.{space}.t4", "{prefix}.{space}.ledger"]
    create: run
    write: {{every: 50ms}}
    on_change: {{add_column: evolve, drop_column: evolve}}
"""


POSTGRES = """  src:
    type: postgres
    dsn: {source}
    prefix: {prefix}
    log: {{publication: ledger_pub, slot: {slot}, heartbeat: 2s}}
    tables:
      "/^public\\\\./": {{method: log, snapshot: {{chunk: 50, parallel: 2}}}}"""

MYSQL = """  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {prefix}
    log: {{heartbeat: 2s}}
    tables:
      "/^{prefix}\\\\./":
        method: log
        snapshot: {{chunk: 50, parallel: 2}}
        schema: {{on_change: {{drop_column: evolve, change_type: evolve}}}}"""


class Failure(Exception):
    pass


class Skip(Exception):
    """A server that cannot be had here."""


def via(dsn, port):
    """The DSN with another port, where a proxy listens."""
    return re.sub(r":\d+/", f":{port}/", dsn) if port else dsn


class Run:
    """Databases, topics and a daemon of its own, removed at the end."""

    def __init__(self, seed, max_events=500, timeout=60000, rows=200, bootstrap=None, source_port=None,
                 target_port=None, env=None, server="pg", target="pg2"):
        """bootstrap, source_port, target_port: what the daemon is told, when a proxy stands between.
        server and target: of the stack, the source's and the sink's."""
        self.id = "f" + uuid.uuid4().hex[:8]
        self.random = random.Random(seed)
        self.seed, self.server = seed, server
        for name in {server, target} - {"pg", "pg2"}:
            there, why = ledger.mysql.add_server(name)
            if not there:
                raise Skip(f"no {name}: {why}")
        self.admin = [os.environ[name.upper() + "_DSN"] for name in (server, target)]
        for dsn in self.admin:
            c = ledger.connect(dsn)
            text = "character set utf8mb4" if ledger.is_mysql(dsn) else ""
            c.cursor().execute(f"create database {self.id} {text}")
            c.close()
        self.source, self.target = [d.rsplit("/", 1)[0] + "/" + self.id for d in self.admin]
        ledger.create(self.source, rows)
        self.dir = tempfile.mkdtemp(prefix="freshet-fault-")
        self.bootstrap = os.environ["KAFKA_BOOTSTRAP"]
        source = self.source_block(source_port)
        text = CONFIG.format(name=self.id, bootstrap=bootstrap or self.bootstrap,
                             registry=os.environ["REGISTRY_URL"], source_block=source,
                             space="public" if server == "pg" else self.id,
                             target=via(self.target, target_port), prefix=self.id, dir=self.dir,
                             target_type=self.target_type(),
                             max_events=max_events, timeout=timeout)
        head, rest = text.split("sources:\n")
        source, sink = rest.split("sinks:\n")
        self.config = self.write("freshet.yaml", text)
        self.source_only = self.write("source.yaml", head + "sources:\n" + source)
        self.sink_only = self.write("sink.yaml", head + "sinks:\n" + sink)
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.daemon = self.sink = None
        self.starts, self.running = 0, {}
        self.env = env or {}
        self.others = False  # the source has rows of others in the workload's transactions
        self.ended = {}  # exit code -> how often the daemon ended by itself

    def target_type(self):
        if ledger.clickhouse.is_clickhouse(self.target):
            return "clickhouse"
        return "mysql" if ledger.is_mysql(self.target) else "postgres"

    def source_block(self, port):
        if self.server == "pg":
            return POSTGRES.format(source=via(self.source, port), prefix=self.id, slot="s" + self.id)
        user = os.environ[self.server.upper() + "_USER_DSN"].rsplit("/", 1)[0] + "/" + self.id
        return MYSQL.format(type="mariadb" if self.server.startswith("mariadb") else "mysql",
                            source=via(user, port), prefix=self.id,
                            password=os.environ[self.server.upper() + "_PASSWORD"])

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
            c = ledger.connect(self.target)
            q = c.cursor()
            q.execute("select count(*) from ledger")
            n = q.fetchone()[0]
            c.close()
            return n
        except ledger.DatabaseError:
            return 0

    def counts(self, dsn):
        try:
            c = ledger.connect(dsn)
            q = c.cursor()
            q.execute("select " + ", ".join(f"(select count(*) from {t})" for t in ledger.TABLES + ["ledger"]))
            n = q.fetchone()
            c.close()
            return n
        except ledger.DatabaseError:
            return None

    def catch_up(self, seconds=120, restart=True):
        """Until the target holds as many rows of every table as the source (a snapshot may still
        be on its way when the log's rows are there); the daemon is started again when it ended."""
        want = self.counts(self.source)
        deadline = time.time() + seconds * PATIENCE
        while self.counts(self.target) != want:
            if time.time() > deadline:
                v = self.check()  # is it the stream that lacks them, or only the target?
                raise Failure(f"target has {self.counts(self.target)} of {want} rows after {seconds * PATIENCE:.0f} s;"
                              f" the stream has {v}\n  " + "\n  ".join(v.notes))
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
            return self.daemon.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("SIGTERM did not end the daemon in time")

    def check(self):
        return ledger.Check(self.bootstrap, os.environ["REGISTRY_URL"], self.id, self.source,
                            self.target, self.others).run()

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
        if os.environ.get("KEEPALL"):
            return
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        for dsn, database in zip(self.admin, (self.source, self.target)):
            try:
                if ledger.clickhouse.is_clickhouse(dsn):
                    ledger.connect(dsn).execute(f"drop database {self.id}")
                elif ledger.is_mysql(dsn):
                    with contextlib.closing(ledger.connect(dsn)) as c:
                        ledger.mysql.run(c, f"drop database {self.id}")
                else:
                    drop_database(dsn, self.id)
            except ledger.DatabaseError as e:
                print(f"  (left behind: {self.id}: {e})")


def figures(v, r, **more):
    extra = "".join(f", {k.replace('_', ' ')} {n}" for k, n in more.items())
    for code, n in sorted(r.ended.items()):
        extra += f", {n} exits with code {code}"
    return f"{v}; seed {r.seed}, {r.starts} starts, read_uncommitted shows {v.uncommitted_extra} more{extra}"


def wait_rows(r, n, seconds=90):
    deadline = time.time() + seconds * PATIENCE
    while r.applied() < n:
        if time.time() > deadline:
            raise Failure(f"only {r.applied()} of {n} transactions arrived within {seconds * PATIENCE:.0f} s")
        if not r.alive():
            r.start()
        time.sleep(0.05)


def wait_for(r, what, probe, seconds, failpoint=None):
    deadline = time.time() + seconds * PATIENCE
    while not probe():
        if time.time() > deadline:
            raise Failure(f"{what}: not within {seconds * PATIENCE:.0f} s")
        if not r.alive():
            r.start(failpoint)
        time.sleep(0.05)


def slot_user(r):
    """The server process that serves our slot, or the thread that sends us the binlog, or None."""
    if r.server != "pg":
        with contextlib.closing(ledger.connect(r.admin[0])) as c:
            rows = ledger.mysql.run(c, "select id from information_schema.processlist where command like 'Binlog Dump%'")
        return rows[0][0] if rows else None
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
        for writer in w.writers:
            if writer.error is not None:
                print(f"  writer {writer.number} ended: {writer.error!r}")
        raise
    finally:
        w.stop_event.set()
        r.close()


def stack(*words):
    subprocess.run([STACK, *words], check=True, stdout=subprocess.DEVNULL)
