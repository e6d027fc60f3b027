#!/usr/bin/env python3
"""A broker that is not there, hangs, or dies in the middle: on a stack of its own, since it is killed."""
import json
import os
import socket
import subprocess
import tempfile
import time

from kafka_probe import RUN, STACK, Cluster, Probe, case, expect, finish


class Own:
    """A broker that only this test uses."""

    def __init__(self):
        parent = tempfile.mkdtemp(prefix="freshet-kafka-fault-")
        os.chmod(parent, 0o755)  # the servers are not root
        self.dir = os.path.join(parent, "stack")
        self.env = {k: v for k, v in os.environ.items() if k != "FRESHET_STACK"}
        out = self("up", "--owner", str(os.getpid()), "kafka")
        self.brokers = next(line.split("=", 1)[1].strip("'\"") for line in out.splitlines()
                            if line.startswith("export KAFKA_BOOTSTRAP="))

    def __call__(self, verb, *args):
        return subprocess.run([STACK, verb, "--dir", self.dir, *args], check=True, capture_output=True, text=True,
                              env=self.env).stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quick(brokers, code, words, seconds):
    with Probe(brokers, insecure=1) as p:
        for call in (("open", "a", "down", "i1"), ("admin", "check")):
            start = time.monotonic()
            reply = p.fails("CONNECT", code, *call)
            took = time.monotonic() - start
            expect(took < seconds, call, "took %.1f s" % took)
            expect(any(w in reply for w in words), reply)


def nobody_listens():
    quick("127.0.0.1:%d" % free_port(), "kafka.connect", ["Connection refused"], 4)


def no_such_name():
    quick("no-such-host.invalid:9092", "kafka.connect", ["resolve", "Name or service not known", "lookup"], 8)


def nobody_answers():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        with Probe("127.0.0.1:%d" % s.getsockname()[1]) as p:
            start = time.monotonic()
            p.fails("CONNECT", "kafka.connect", "admin", "check")
            expect(time.monotonic() - start < 9, "admin took too long")
            start = time.monotonic()
            p.fails("CONNECT", "kafka.connect", "open", "a", "down", "i1")
            expect(time.monotonic() - start < 20, "open took too long")


def one_of_two_brokers_is_up(own):
    with Probe(["127.0.0.1:%d" % free_port(), own.brokers]) as p:
        p.ok("open", "a", "half", "i1")
        p.ok("close", "a")


def interrupted(own):
    t = RUN + ".hang"
    with Probe(own.brokers) as p:
        p.ok("open", "a", "hang", "i1")
        p.ok("produce", "a", t, "k", "v")
        p.ok("commit", "a")
        own("freeze", "kafka")
        try:
            p.ok("produce", "a", t, "k", "lost")
            reply = p("interrupted", "a")
        finally:
            own("cont", "kafka")
        expect("fail CANCELLED" in reply, reply)
        expect(int(reply.split()[1]) < 2200, reply)
        p.ok("close", "a")
    expect(Cluster(own.brokers).values(t) == ["v"], "what was interrupted is visible")


def killed_in_the_middle(own):
    """Batches that go on through kill -9: each visible once, whatever the outcome of a commit was."""
    t = RUN + ".killed"
    done, position, unknown = 0, 0, 0
    with Probe(own.brokers, property="transaction.timeout.ms=20000", max_time_ms=500) as p:
        p.ok("open", "a", "killed", "i1")
        killer = None
        while done < 60:
            if done in (20, 40) and killer is None:
                killer = subprocess.Popen([STACK, "kill", "--dir", own.dir, "kafka", "-9"], env=own.env)
            reply = p("produce", "a", t, "k", "v%d" % done)
            if reply.startswith("ok"):
                p.ok("record", "a", '{"n":%d}' % (done + 1))
                reply = p("commit", "a") if killer is None else commit_while(own, p, killer)
                killer = None
            if reply.startswith("ok"):
                done += 1
                continue
            expect("fail CONNECT" in reply or "fail BUSY" in reply, reply)
            unknown += 1
            p.ok("close", "a")
            reply = p("open", "a", "killed", "i1")
            while not reply.startswith("ok"):
                expect("fail CONNECT" in reply, reply)
                reply = p("open", "a", "killed", "i1")
            position = json.loads(reply[3:])["stream"]["resume"]["n"]
            done = position
        p.ok("close", "a")
    values = Cluster(own.brokers).values(t)
    expect(values == ["v%d" % i for i in range(60)], "not each once:", values)


def commit_while(own, p, killer):
    """The commit is sent, the broker is being killed, and comes back on the same port."""
    p.p.stdin.write("commit a\n")
    p.p.stdin.flush()
    killer.wait()
    own("start", "kafka")
    return p.p.stdout.readline().rstrip("\n")


if __name__ == "__main__":
    case("fault.nobody_listens", nobody_listens)
    case("fault.no_such_name", no_such_name)
    case("fault.nobody_answers", nobody_answers)
    broker = Own()
    try:
        case("fault.one_of_two_brokers_is_up", one_of_two_brokers_is_up, broker)
        case("fault.interrupted", interrupted, broker)
        case("fault.killed_in_the_middle", killed_in_the_middle, broker)
    finally:
        broker("down")
        os.rmdir(os.path.dirname(broker.dir))
    finish()
