#!/usr/bin/env python3
"""The demo: load, plan, apply, run, upgrade, SIGKILL in the middle, and compare.

Called by `make demo` in the environment of the test stack; KEEP=1 leaves everything running."""
import json
import os
import signal
import subprocess
import sys
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(1, os.path.join(HERE, ".."))
import load  # noqa: E402
from running import DIR, FRESHET, began, connect, database, say  # noqa: E402

CONFIG = os.path.join(HERE, "freshet.yaml")
TABLES = ("maintainers", "packages", "dependencies", "descriptions")


def freshet(*words, check=True, quiet=False):
    print(f"$ freshet {' '.join(words)}", flush=True)
    p = subprocess.run([FRESHET, "--config", CONFIG, *words], stdout=subprocess.PIPE, text=True)
    if not quiet:
        print(p.stdout, end="", flush=True)
    if check and p.returncode != 0:
        sys.exit(f"freshet {words[0]} ended with exit code {p.returncode}")
    return p


def start():
    log = open(os.path.join(DIR, "freshet.log"), "ab")
    return subprocess.Popen([FRESHET, "--config", CONFIG, "run"], stdout=log, stderr=log)


def fail(daemon, why):
    if daemon.poll() is None:
        daemon.terminate()
    with open(os.path.join(DIR, "freshet.log"), errors="replace") as f:
        print("".join(f.readlines()[-20:]))
    sys.exit(f"demo: {why}")


def columns(cursor, table):
    cursor.execute(
        "select string_agg(quote_ident(attname), ', ' order by attname) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attname not like '\\_freshet%%'",
        ("public." + table,))
    return cursor.fetchone()[0]


# Each row as canonical JSON, so that a target column of another type (json for text[], text for
# an enum) compares by meaning.
SUM = """select count(*), coalesce(sum(('x' || substr(md5(to_jsonb(t)::text), 1, 15))::bit(60)::bigint::numeric), 0)
         from (select {columns} from public.{table}) t"""


def checksum(cursor, table, names):
    cursor.execute(SUM.format(columns=names, table=table))
    return cursor.fetchone()


def exists(cursor, table):
    cursor.execute("select to_regclass(%s) is not null", ("public." + table,))
    return cursor.fetchone()[0]


def counts(cursor):
    total = 0
    for t in TABLES:
        if exists(cursor, t):
            cursor.execute(f"select count(*) from public.{t}")
            total += cursor.fetchone()[0]
    return total


def equal(source, target):
    """(None, rows, sum) when equal, else (what differs, ..)."""
    rows, total = 0, 0
    for t in TABLES:
        if not exists(target, t):
            return f"{t} is missing", 0, 0
        names = columns(source, t)
        if names != columns(target, t):
            return f"columns of {t} differ: {names} / {columns(target, t)}", 0, 0
        left, right = checksum(source, t, names), checksum(target, t, names)
        if left != right:
            return f"{t}: {left[0]} rows here, {right[0]} there, or other values", 0, 0
        rows, total = rows + left[0], total + int(left[1])
    return None, rows, total


def memory(pid, peak):
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith("VmHWM"):
                    return max(peak, int(line.split()[1]))
    except OSError:
        pass
    return peak


class Demo:
    def __init__(self):
        self.peak = 0
        self.events = {}
        self.differs = None

    def prepare(self):
        self.source_dsn = database(os.environ["PG_DSN"], "debian")
        self.target_dsn = database(os.environ["PG2_DSN"], "warehouse")
        os.environ.update(SOURCE_DSN=self.source_dsn, TARGET_DSN=self.target_dsn,
                          DEMO_SOCKET=os.path.join(DIR, "freshet.sock"), DEMO_CACHE=os.path.join(DIR, "cache"))
        c = psycopg2.connect(self.source_dsn)
        with open(os.path.join(HERE, "schema.sql")) as f:
            c.cursor().execute(f.read())
        rows = load.load(c, os.environ["DEMO_INDEX"])
        c.close()
        self.rows = sum(rows.values())
        say("loaded " + ", ".join(f"{n} {t}" for t, n in rows.items()) + f": {self.rows} rows")
        if self.rows < 100000:
            sys.exit("demo: the package index is too small: remove it from the cache and start again")
        self.source = connect(self.source_dsn).cursor()
        self.target = connect(self.target_dsn).cursor()

    def wait(self, what, done, seconds=120):
        deadline = time.time() + seconds
        while not done():
            self.peak = memory(self.daemon.pid, self.peak)
            if self.daemon.poll() is not None:
                fail(self.daemon, f"the daemon ended with exit code {self.daemon.returncode}")
            if time.time() > deadline:
                fail(self.daemon, f"{what}: not within {seconds} s {self.differs or ''}")
            time.sleep(0.1)

    def snapshot(self):
        self.daemon = start()
        t = time.time()
        self.wait("snapshot in the target", lambda: counts(self.target) >= self.rows)
        took = time.time() - t
        self.rate = self.rows / took
        say(f"snapshot is in the target: {self.rows} rows in {took:.1f} s, {self.rate:,.0f} rows/s"
            " from table to Kafka to table")

    def status(self):
        """Adds what this process has counted; called once for each of the two."""
        p = subprocess.run([FRESHET, "--config", CONFIG, "status", "--json"], stdout=subprocess.PIPE, text=True)
        for part in json.loads(p.stdout)["result"]["status"]["parts"]:
            for t in part.get("tables", []):
                ops = t.get("events", {})
                n = sum(ops.values()) if isinstance(ops, dict) else ops
                key = (part["kind"], t["name"].rsplit(".", 1)[-1])
                self.events[key] = self.events.get(key, 0) + n

    def upgrade(self):
        say("upgrade: inserts, updates, deletes, changed keys, a new column; SIGKILL in the middle")
        q = self.source
        q.execute("update packages set version = version || '+u1', indexed_at = now() where package_id % 7 = 0")
        q.execute("delete from dependencies where package_id % 50 = 0 and kind = 'suggests'")
        q.execute("insert into packages select package_id + 1000000, name || '-next', version, architecture, section,"
                  " priority, maintainer_id, installed_kib, size_bytes, mib, essential, tags, homepage, sha256,"
                  " indexed_on, now() from packages where package_id % 40 = 0")
        self.status()
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        say("killed")
        q.execute("update dependencies set position = position + 1000 where package_id % 100 = 1 and kind = 'depends'")
        q.execute("alter table packages add column popularity int")
        q.execute("update packages set popularity = package_id % 1000 where package_id % 5 = 0")
        q.execute("update descriptions set summary = summary || ' \u2713' where language <> 'en' and digest < '2'")
        self.daemon = start()
        last = [0.0]

        def same():
            if counts(self.target) != counts(self.source) or time.time() - last[0] < 2:
                return False
            self.differs = equal(self.source, self.target)[0]
            last[0] = time.time()
            return self.differs is None

        self.wait("equality after the upgrade", same)

    def delay(self):
        """Commit on the source to visible in the target, one row at a time."""
        times = []
        for n in range(10):
            t = time.time()
            self.source.execute("update maintainers set email = %s where maintainer_id = 1", (f"probe{n}@example.org",))
            while True:
                self.target.execute("select email from public.maintainers where maintainer_id = 1")
                if self.target.fetchone()[0] == f"probe{n}@example.org":
                    break
                time.sleep(0.002)
            times.append(time.time() - t)
        return sorted(times)[len(times) // 2]

    def finish(self):
        delay = self.delay()
        self.status()
        self.peak = memory(self.daemon.pid, self.peak)
        what, rows, total = equal(self.source, self.target)
        print()
        print(f"{'table':<14}{'rows':>10}{'published':>12}{'applied':>12}")
        for t in TABLES:
            self.source.execute(f"select count(*) from {t}")
            print(f"{t:<14}{self.source.fetchone()[0]:>10}{self.events.get(('source', t), 0):>12}{self.events.get(('sink', t), 0):>12}")
        print(f"rate {self.rate:,.0f} rows/s · peak memory {self.peak / 1024:.0f} MiB · delay {delay * 1000:.0f} ms (median, table to table)"
              f" · {time.time() - began:.0f} s")
        if what:
            fail(self.daemon, f"source and target differ: {what}")
        print(f"source and target are equal: {len(TABLES)} tables, {rows} rows, checksum {total % (1 << 64):016x}")

    def stop(self):
        self.daemon.terminate()
        code = self.daemon.wait(20)
        if code != 0:
            sys.exit(f"demo: the daemon ended with exit code {code} after SIGTERM")


def main():
    d = Demo()
    d.prepare()
    # It says what is missing (exit code 4: the publication), and writes the SQL for the DBA.
    if freshet("plan", "--sql", os.path.join(DIR, "for-the-dba.sql"), check=False).returncode not in (0, 4):
        sys.exit("demo: plan failed")
    freshet("apply", "--yes", "--source-objects")
    d.snapshot()
    d.upgrade()
    d.finish()
    if os.environ.get("KEEP") != "1":
        d.stop()
        return
    print(f"""
Everything goes on running. What to type next (in another terminal):
  export KAFKA_BOOTSTRAP={os.environ['KAFKA_BOOTSTRAP']} REGISTRY_URL={os.environ['REGISTRY_URL']} \\
         SOURCE_DSN={d.source_dsn} TARGET_DSN={d.target_dsn} \\
         DEMO_SOCKET={os.environ['DEMO_SOCKET']} DEMO_CACHE={os.environ['DEMO_CACHE']} DEMO_LISTEN={os.environ['DEMO_LISTEN']}
  {FRESHET} -c {CONFIG} status
  {FRESHET} -c {CONFIG} tap debian/public.packages
  psql {d.source_dsn} -c "update packages set homepage = 'https://example.org' where package_id = 1"
  curl http://{os.environ['DEMO_LISTEN']}/metrics
Ctrl-C here ends it all.""", flush=True)
    try:
        d.daemon.wait()
    except KeyboardInterrupt:
        d.stop()


main()
