#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""SIGTERM while something hangs: the exit comes in time, with exit code 0, whatever it waits for."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import STACK, Pipeline, case, connect, eventually, finish

SOON = 2  # seconds: far below daemon.drain

CONFIG = """
sources:
  s: {{type: postgres, dsn: "{source}", prefix: {id}, log: {{publication: pub, slot: {slot}}}, tables: {{public.t: {{}}}}}}
"""
SINK = """
sinks:
  k: {{type: postgres, dsn: "{target}", from: [{id}.public.t], create: run, on_change: {{add_column: evolve}}, write: {{every: 100ms}}}}
"""


class Own:
    """A broker and a registry that only this test freezes."""

    def __init__(self):
        parent = tempfile.mkdtemp(prefix="freshet-stop-")
        os.chmod(parent, 0o755)  # the servers are not root
        self.dir = os.path.join(parent, "stack")
        self.env = {k: v for k, v in os.environ.items() if k != "FRESHET_STACK"}
        out = self("up", "--owner", str(os.getpid()), "pg", "pg2", "kafka", "registry")
        for line in out.splitlines():
            if line.startswith("export "):
                name, value = line[7:].split("=", 1)
                if name in ("KAFKA_BOOTSTRAP", "REGISTRY_URL", "PG_DSN", "PG2_DSN"):
                    os.environ[name] = value.strip("'\"")

    def __call__(self, verb, *args):
        return subprocess.run([STACK, verb, "--dir", self.dir, *args], check=True, capture_output=True, text=True,
                              env=self.env).stdout


def silent():
    """Takes connections and never answers."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(64)
    return s, "127.0.0.1:%d" % s.getsockname()[1]


def ends(p, seconds, code=0):
    began = time.monotonic()
    p.daemon.send_signal(signal.SIGTERM)
    try:
        got = p.daemon.wait(seconds + 30)
    finally:
        took = time.monotonic() - began
    assert took < seconds, "the exit took %.1f s: %s" % (took, p.log(True)[-1500:])
    assert got == code, "exit code %d: %s" % (got, p.log(True)[-1500:])
    for canary in ("Sanitizer", "runtime error"):
        assert canary not in p.log(True), p.log(True)[-3000:]


def connected(port):
    """Somebody is connected to this port of ours."""
    with open("/proc/net/tcp") as f:
        return any(line.split()[2].endswith(":%04X" % port) and line.split()[3] == "01" for line in f.readlines()[1:])


def waits_for(p, place):
    p.start()
    eventually("a connection to " + place, lambda: connected(int(place.rsplit(":", 1)[1])), 30)


def kafka_silent():
    s, place = silent()
    for name, config in (("source", CONFIG), ("sink", SINK)):
        p = Pipeline(config)
        try:
            p.bootstrap = place
            p.write(config)
            with case("stop.kafka_never_answers." + name, p):
                waits_for(p, place)
                ends(p, SOON)
        finally:
            p.close()
    s.close()


def database_silent():
    s, place = silent()
    for name, config in (("source", CONFIG), ("target", SINK)):
        p = Pipeline(config)
        real = getattr(p, name)
        try:
            p.sql("create table t (id int primary key, v text); create publication pub for table t")
            setattr(p, name, "postgresql://postgres@%s/none" % place)
            p.write(config)
            with case("stop.%s_never_answers" % name, p):
                waits_for(p, place)
                ends(p, SOON)
        finally:
            setattr(p, name, real)
            p.close()
    s.close()


def frozen_at_start(own):
    """It was there before; at the next start it hangs, and we are anywhere in the opening."""
    p = Pipeline(CONFIG + SINK)
    try:
        p.sql("create table t (id int primary key, v text); insert into t values (1, 'a');"
              "create publication pub for table t")
        p.start()
        p.wait_events("t", 1)
        eventually("the row", lambda: connect_count(p) == 1)
        assert p.stop() == 0
        for server in ("kafka", "pg", "pg2"):
            for after in (0.0, 0.05, 0.15, 0.3, 0.6):
                with case("stop.frozen_%s_at_start.%d" % (server, after * 1000), p):
                    if server == "kafka":  # each start has an end to tell, behind the marker of a transaction
                        p.sql("update _freshet_offsets set next_offset = 1 where next_offset > 0", on=p.target)
                    p.start()
                    time.sleep(after)  # where it is then does not matter: every place must do
                    own("freeze", server)
                    try:
                        time.sleep(0.5)
                        ends(p, SOON if after < 0.5 else 4)
                    finally:
                        own("cont", server)
    finally:
        p.close()


def connect_count(p):
    c = connect(p.target)
    q = c.cursor()
    q.execute("select to_regclass('public.t') is not null")
    n = 0
    if q.fetchone()[0]:
        q.execute("select count(*) from public.t")
        n = q.fetchone()[0]
    c.close()
    return n


def frozen_at_work(own):
    """In the middle of work the drain time is given, and not a second more."""
    p = Pipeline(CONFIG + SINK + "\n")
    try:
        with open(p.config) as f:
            text = f.read().replace("daemon: {", "daemon: {drain: 4s, ")
        with open(p.config, "w") as f:
            f.write(text)
        p.sql("create table t (id int primary key, v text); insert into t values (1, 'a');"
              "create publication pub for table t")
        n = 1
        for server in ("kafka", "registry", "pg", "pg2"):
            with case("stop.frozen_%s_at_work" % server, p):
                p.start()
                n += 1
                p.sql("insert into t values (%s, 'b')", n)
                eventually("the row %d" % n, lambda: connect_count(p) == n)
                if server in ("kafka", "registry"):
                    own("freeze", server)
                    n += 1
                    p.sql("insert into t values (%s, 'c')", n)
                    if server == "registry":
                        p.sql("alter table t add column c%d int" % n)
                        n += 1
                        p.sql("insert into t values (%s, 'c')", n)
                else:
                    n += 1
                    p.sql("insert into t values (%s, 'c')", n)
                    own("freeze", server)
                try:
                    time.sleep(0.5)
                    ends(p, 4.7)
                finally:
                    own("cont", server)
        with case("stop.nothing_was_lost", p):
            p.start()
            eventually("all rows", lambda: connect_count(p) == n)
            ids = [e["after"]["id"] for e in p.events("t") if e is not None]
            assert sorted(ids) == list(range(1, n + 1)), ids
            assert p.stop() == 0
    finally:
        p.close()


def no_thread():
    """Whichever thread cannot be made: an error with a remedy, and it goes on once it can."""
    for nth in (1, 2, 3, 4):  # that of the control topic, its own, the status, the reader
        p = Pipeline(CONFIG)
        try:
            p.sql("create table t (id int primary key, v text); insert into t values (1, 'a');"
                  "create publication pub for table t")
            with case("thread.none_to_be_had.%d" % nth, p):
                p.start(failpoint="thread:err:%d" % nth)
                if nth <= 2:
                    p.refused(3, "thread: a thread cannot be made", "LimitNPROC")
                else:
                    p.says("thread: a thread cannot be made", "LimitNPROC", "trying again")
                    p.sql("insert into t values (2, 'b')")
                    p.wait_events("t", 2)
                    ends(p, 5)
        finally:
            p.close()


if __name__ == "__main__":
    own = Own()
    try:
        no_thread()
        kafka_silent()
        database_silent()
        frozen_at_start(own)
        frozen_at_work(own)
    finally:
        own("down")
        os.rmdir(os.path.dirname(own.dir))
    finish()
