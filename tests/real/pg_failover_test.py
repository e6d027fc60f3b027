#!/usr/bin/env python3
"""Failover of PostgreSQL 17: a slot that its standby has takes over with nothing lost or doubled, a standby without it is
refused. And throttle.max_lag, since there is a standby to lag. Needs a stack of its own with pg17; Kafka and registry are
those of the environment."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import STACK, Pipeline, case, connect, eventually, finish  # noqa: E402

CONFIG = """
sources:
  {id}:
    type: postgres
    dsn: "%s"
    log: {{slot: {slot}, publication: p}}
    %s
    tables:
      public.t: {{}}
"""
POLLED = """
  polled:
    type: postgres
    dsn: "%s"
    prefix: {id}.polled
    throttle: {{max_lag: 1s}}
    tables:
      public.t: {{method: query, poll: {{column: id, every: 100ms}}}}
"""


class Stack:
    def __init__(self, *servers):
        self.home = tempfile.mkdtemp(prefix="freshet-failover-")
        os.chmod(self.home, 0o755)
        self.dir = os.path.join(self.home, "stack")
        p = self.run("up", "--owner", str(os.getpid()), *servers, check=False)
        if p.returncode != 0:
            shutil.rmtree(self.home, ignore_errors=True)
            print("skip pg_failover: %s" % " | ".join(p.stderr.strip().splitlines()[-2:]))
            sys.exit(0)
        self.env = dict(re.findall(r"export (\w+)=(\S+)", p.stdout))

    def run(self, verb, *words, check=True):
        return subprocess.run([STACK, verb, "--dir", self.dir, *words], capture_output=True, text=True, check=check)

    def down(self):
        self.run("down", check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Standby:
    """A copy of the primary's folder, made while that is stopped."""

    def __init__(self, stack, name, primary, synced):
        self.data, self.port, self.name = os.path.join(stack.home, name), free_port(), name
        shutil.copytree(stack.env["PG17_DATA"], self.data, symlinks=True)
        for slot in os.listdir(os.path.join(self.data, "pg_replslot")):
            shutil.rmtree(os.path.join(self.data, "pg_replslot", slot))
        for gone in ("postmaster.pid", "postmaster.opts"):
            if os.path.exists(os.path.join(self.data, gone)):
                os.unlink(os.path.join(self.data, gone))
        open(os.path.join(self.data, "standby.signal"), "w").close()
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(f"\nprimary_conninfo = 'host=127.0.0.1 port={primary} user=postgres dbname=postgres"
                    f" application_name={name}'\nprimary_slot_name = '{name}'\nhot_standby_feedback = on\n"
                    f"synchronized_standby_slots = ''\nsync_replication_slots = {'on' if synced else 'off'}\n")
        self.prefix = []
        if os.getuid() == 0:
            self.prefix = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]
            for folder, _, files in os.walk(self.data):
                for entry in [folder] + [os.path.join(folder, f) for f in files]:
                    shutil.chown(entry, "nobody", "nogroup")
        os.chmod(self.data, 0o700)
        self.process, self.dsn = None, f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, program):
        log = open(self.data + ".log", "ab")
        self.process = subprocess.Popen(
            self.prefix + [program, "-D", self.data, "-c", "listen_addresses=127.0.0.1", "-p", str(self.port)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        eventually(f"{self.name} answers", self.answers, 120)

    def answers(self):
        try:
            connect(self.dsn).close()
            return True
        except Exception:
            return False

    def promote(self):
        assert self.sql("select pg_promote(true, 120)")[0][0], "promotion"
        # Copied from the primary; its failover slots would wait for a standby that is none of this server's.
        c = connect(self.dsn)
        c.autocommit = True
        c.cursor().execute("alter system set synchronized_standby_slots = ''")
        c.cursor().execute("select pg_reload_conf()")
        c.close()

    def sql(self, text, *values):
        c = connect(self.dsn)
        try:
            q = c.cursor()
            q.execute(text, values or None)
            return q.fetchall()
        finally:
            c.close()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)


def lag(p, synced):
    with case("throttle_max_lag", p):
        p.write(CONFIG % (p.source, "throttle: {{max_lag: 1s}}") + POLLED % p.source)
        synced.sql("select pg_wal_replay_pause()")
        eventually("replay is paused", lambda: synced.sql("select pg_get_wal_replay_pause_state()")[0][0] == "paused")
        p.sql("insert into t select i, 'row' from generate_series(1, 100) i")
        eventually("it lags", lambda: p.sql(
            "select 1 from pg_stat_replication where application_name = 'synced' and replay_lag > interval '2 s'"), 120, 0.5)
        p.start()
        p.says("snapshot waits: throttle.max_lag: synced lags ", "polling waits: throttle.max_lag: synced lags ", seconds=120)
        assert not p.messages("t") and not p.messages("t", "polled.public"), "rows were read"
        synced.sql("select pg_wal_replay_resume()")
        p.says("snapshot goes on", "polling goes on", "snapshot: done", seconds=120)
        p.wait_events("t", 100)
        p.wait_events("t", 100, "polled.public")
        assert p.stop() == 0


def polled_standby(p, synced):
    """A13: the primary was polled just now; the standby, which does not see what is open there, is refused."""
    with case("a_standby_is_not_polled", p):
        p.write("sources:" + POLLED % (synced.dsn.rsplit("/", 1)[0] + "/" + p.source.rsplit("/", 1)[1]))
        p.start()
        p.refused(2, "the server is a standby: transactions that are open on the primary are not seen here",
                  "give the primary's address in dsn", seconds=120)


def without_the_slot(p, plain):
    """Physical promotion: the standby has the rows, but not the slot."""
    with case("promotion_without_the_slot_is_refused", p):
        plain.promote()
        p.write(CONFIG % (p.source.replace(p.source.split("@")[1].split("/")[0], f"127.0.0.1:{plain.port}"), ""))
        code, out, err = p.verb("plan", timeout=120)
        assert code == 4 and "pg.slot_missing" in out, out[-2000:] + err
        p.start()
        p.refused(5, "does not exist: changes since our position are gone", "position reset", seconds=120)


def with_the_slot(p, stack, synced, primary):
    with case("failover_with_the_slot_goes_on", p):
        db = p.source.rsplit("/", 1)[1]
        hosts = f"postgresql://postgres@127.0.0.1:{primary},127.0.0.1:{synced.port}/{db}?target_session_attrs=read-write"
        p.write(CONFIG % (hosts, ""))
        p.start()
        p.sql("insert into t select i, 'second' from generate_series(101, 200) i")
        p.wait_events("t", 200, seconds=120)
        eventually("the standby has the slot", lambda: synced.sql(
            "select 1 from pg_replication_slots where slot_name = %s and synced and not temporary"
            " and invalidation_reason is null", p.slot), 240, 1)
        p.sql("insert into t select i, 'third' from generate_series(201, 300) i")
        p.wait_events("t", 300, seconds=120)
        stack.run("kill", "pg17", "-9")
        synced.promote()
        p.source = f"postgresql://postgres@127.0.0.1:{synced.port}/{db}"
        p.sql("insert into t select i, 'fourth' from generate_series(301, 400) i")
        p.wait_events("t", 400, seconds=180)
        assert p.stop() == 0
        events = [e for e in p.events("t") if e is not None]
        ids = sorted(e["after"]["id"] for e in events)
        here = [row[0] for row in p.sql("select id from t order by id")]
        assert ids == here == list(range(1, 401)), f"{len(ids)} events, {len(here)} rows"
        epochs = {e["after"]["v"]: e["source"]["epoch"] for e in events}
        assert epochs["third"] == 0 and epochs["fourth"] == 1, epochs


def main():
    stack = Stack("pg17")
    servers, p = [], None
    try:
        os.environ["PG_DSN"] = stack.env["PG17_DSN"]
        primary = int(stack.env["PG17_PORT"])
        p = Pipeline(CONFIG % ("{source}", ""), target=False)
        p.sql("create table t(id int primary key, v text); create publication p for table t")
        for name in ("synced", "plain"):
            p.sql("select pg_create_physical_replication_slot(%s, true)", name)
        p.sql("alter system set synchronized_standby_slots = 'synced'")
        program = os.readlink("/proc/%s/exe" % stack.run("pid", "pg17").stdout.split()[0])
        stack.run("stop", "pg17")
        servers = [Standby(stack, "synced", primary, True), Standby(stack, "plain", primary, False)]
        stack.run("start", "pg17")
        for s in servers:
            s.start(program)
        lag(p, servers[0])
        polled_standby(p, servers[0])
        without_the_slot(p, servers[1])
        with_the_slot(p, stack, servers[0], primary)
    finally:
        if p is not None:
            p.admin = []  # the servers go, and the database with them
            p.close()
        for s in servers:
            s.stop()
        stack.down()
    finish()


if __name__ == "__main__":
    main()
