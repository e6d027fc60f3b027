"""Fault scenarios of connections: what run.py calls for replies that are lost, peers that hang, resets."""
import os
import struct
import threading
import time

import ledger
from faultproxy import (ADD_PARTITIONS, DOWN, END_TXN, INIT_PRODUCER_ID, PRODUCE, KafkaProxy, Proxy)
from pipeline import PATIENCE, Failure, Skip, fault_run, figures, slot_user, stack, wait_for, wait_rows


def address(name):
    host, port = os.environ[name].rsplit(":", 1)
    return host, int(port)


def kafka_proxy():
    return KafkaProxy(address("KAFKA_PROXY_BOOTSTRAP")[1], address("KAFKA_BEHIND_PROXY"))


def through_kafka_proxy(args, **more):
    return fault_run(args, bootstrap=os.environ["KAFKA_PROXY_BOOTSTRAP"], **more)


def server_address(server):
    """Where it is not there, the run says so."""
    if server.upper() + "_PORT" not in os.environ:
        raise Skip(f"no {server}")
    return os.environ[server.upper() + "_HOST"], int(os.environ[server.upper() + "_PORT"])


def proxy_to(server):
    return Proxy(0, server_address(server))


def happened(r, proxy, rule, seconds=40):
    """Waits until the rule met its request."""
    wait_for(r, f"a request of API {rule.api} to {rule.action}", lambda: rule.done >= rule.times, seconds)


def progress(r, seconds=90):
    wait_rows(r, r.applied() + 3, seconds)


def scenario_lost_commit_reply(args):
    """The broker commits, the reply to EndTxn never comes: in turn the connection is reset at once,
    it hangs for a while, and the broker stays out of reach until the client has given up."""
    with kafka_proxy() as proxy, through_kafka_proxy(args, timeout=5000) as (r, w):
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            time.sleep(r.random.uniform(0.1, 0.6))
            rule = proxy.rule(END_TXN, "lose", seconds=(0, 1.5, 0)[n % 3], first=r.random.randint(1, 4))
            happened(r, proxy, rule)
            if n % 3 == 2:
                proxy.hold()
                time.sleep(7)
                proxy.release()
            progress(r)
        v = r.settle(w)
        if proxy.lost != args.kills:
            raise Failure(f"{proxy.lost} of {args.kills} replies were lost")
        return figures(v, r, replies_lost=proxy.lost)


def end_txn_error(answer):
    """Of a reply to EndTxn, version 1: INT32 correlation id, INT32 throttle time, INT16 error code."""
    if isinstance(answer, Exception):
        raise Failure(f"the late request was not answered: {answer}")
    return struct.unpack_from(">h", answer, 8)[0]


def late_commits(args, r, proxy, failpoints=None):
    """Commit requests that get stuck in the network: the client loses the connection, its retry succeeds,
    and the first one arrives amid the transaction after that. Answers the broker's error codes."""
    errors = []
    for _ in range(args.kills):
        time.sleep(r.random.uniform(0.05, 0.3))
        rule = proxy.rule(END_TXN, "late", first=r.random.randint(1, 3), after=(END_TXN, ADD_PARTITIONS, PRODUCE),
                          seconds=r.random.uniform(0, 0.02))
        wait_for(r, "a late commit", lambda: rule.answers, 60, failpoints)
        errors.append(end_txn_error(rule.answers[0]))
        progress(r)
    return errors


def scenario_late_commit(args):
    """A commit request arrives after its retry: it must find a newer epoch, and change nothing."""
    with kafka_proxy() as proxy, through_kafka_proxy(args, pace=0.004, max_events=100) as (r, w):
        r.start()
        wait_rows(r, 5)
        errors = late_commits(args, r, proxy)
        v = r.settle(w)
        took = sum(e == 0 for e in errors)
        if took > 0:
            raise Failure(f"{took} of {len(errors)} late requests were taken for the next transaction's; {v}")
        return figures(v, r, late_commits_refused=len(errors))


def scenario_control_late_commit(args):
    """The control: without the defence of R12 the same requests end a transaction that they do not belong to."""
    off = "r12:off:*"
    with kafka_proxy() as proxy, through_kafka_proxy(args, pace=0.004, max_events=100) as (r, w):
        r.start(off)
        wait_rows(r, 5)
        errors = late_commits(args, r, proxy, off)
        w.stop()
        r.catch_up()
        r.stop()
        v = r.check()
        if v.doubled + v.lost + v.torn == 0:
            raise Failure(f"nothing was doubled although the defence was off: the check proves nothing; {errors} {v}")
        return figures(v, r, late_commits=len(errors), taken=sum(e == 0 for e in errors))


def scenario_lost_replies(args):
    """Replies to Produce, AddPartitionsToTxn and InitProducerId lost or late, commits late."""
    kinds = [(PRODUCE, "lose", 0), (ADD_PARTITIONS, "lose", 0), (INIT_PRODUCER_ID, "lose", 0), (END_TXN, "delay", 2),
             (PRODUCE, "lose", 1), (ADD_PARTITIONS, "delay", 2), (INIT_PRODUCER_ID, "delay", 2)]
    with kafka_proxy() as proxy, through_kafka_proxy(args) as (r, w):
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            api, action, seconds = kinds[n % len(kinds)]
            rule = proxy.rule(api, action, seconds=seconds, first=1 if api == INIT_PRODUCER_ID else r.random.randint(1, 4))
            if api == INIT_PRODUCER_ID:
                r.kill()
                r.start()
            happened(r, proxy, rule)
            progress(r)
        v = r.settle(w)
        return figures(v, r, replies_lost=proxy.lost, faults=args.kills)


def scenario_kafka_resets(args):
    """All connections to the broker reset, at random moments; no file stays open behind them."""
    with kafka_proxy() as proxy, through_kafka_proxy(args) as (r, w):
        r.start()
        wait_rows(r, 5)
        cut, before = 0, open_files(r)
        for _ in range(args.kills):
            time.sleep(r.random.uniform(0.1, 0.8))
            cut += proxy.cut()
        progress(r)
        if r.starts != 1:
            raise Failure(f"the daemon ended: exit codes {r.ended}")
        wait_for(r, f"as many open files as before ({before}, or 20 more)", lambda: open_files(r) <= before + 20, 60)
        v = r.settle(w)
        return figures(v, r, resets=cut)


def open_files(r):
    return len(os.listdir(f"/proc/{r.daemon.pid}/fd"))


class Peak:
    """The largest resident memory of a process, in MiB, while it is watched."""

    def __init__(self, process):
        self.process, self.first, self.largest = process, self.now(process), 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    @staticmethod
    def now(process):
        with open(f"/proc/{process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1048576

    def watch(self):
        while not self.ended.wait(0.1):
            self.largest = max(self.largest, self.now(self.process))

    def stop(self):
        self.ended.set()
        self.thread.join()
        return self.largest - self.first


def slow_kafka(args, server, during=lambda r: None):
    """during(r): called while Kafka hangs."""
    # A sanitizer keeps what was freed for a while; that is not the daemon's memory.
    quiet = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"}
    grown = 0
    with kafka_proxy() as proxy, through_kafka_proxy(args, pace=0.001, env=quiet, server=server) as (r, w):
        r.start()
        wait_rows(r, 50)
        for _ in range(args.kills):
            before, peak = slot_user(r), Peak(r.daemon)
            proxy.hold()
            held = time.time()
            during(r)
            time.sleep(max(0.0, held + 15 - time.time()))
            reader = slot_user(r)
            proxy.release()
            progress(r)
            after = slot_user(r)
            grown = max(grown, peak.stop())
            if before is None or reader != before or after != before:
                raise Failure(f"the server's sender {before} was replaced: {reader} after 15 s, then {after}")
            if grown > 192:
                raise Failure(f"the daemon grew by {grown:.0f} MiB with daemon.memory at 64 MiB")
        if r.starts != 1:
            raise Failure(f"the daemon ended: exit codes {r.ended}")
        v = r.settle(w)
        return figures(v, r, holds_of_15_s=args.kills, MiB_grown=round(grown))


def scenario_slow_kafka(args):
    """Kafka hangs for 15 s: the walsender (wal_sender_timeout 10 s) stays, memory stays bounded."""
    return slow_kafka(args, "pg")


def source_resets(args, server):
    if server != "pg":
        ledger.mysql.add_server(server)  # Run tells why where it cannot be had
    with proxy_to(server) as proxy, fault_run(args, source_port=proxy.port, server=server) as (r, w):
        r.start()
        wait_rows(r, 5)
        # Mostly in the stream; the others while it logs in, asks for settings, starts. Each failure in
        # a row doubles the pause before the next attempt.
        early = lambda: r.random.random() < 0.25
        proxy.cut_after(lambda: int(10 ** (r.random.uniform(0, 3.5) if early() else r.random.uniform(4, 5.5))))
        proxy.cut()
        wanted, deadline = proxy.accepted + args.kills, time.time() + (60 + 6 * args.kills) * PATIENCE
        while proxy.accepted < wanted:
            if time.time() > deadline:
                raise Failure(f"only {proxy.accepted - wanted + args.kills} connections in time")
            if not r.alive():
                r.start()
            time.sleep(0.1)
        cuts = proxy.accepted
        proxy.cut_after(None)
        proxy.cut()
        v = r.settle(w)
        return figures(v, r, connections_cut=cuts)


def scenario_source_resets(args):
    """The connection to the source's server cut after a random number of bytes, again and again."""
    return source_resets(args, "pg")


def commits_lost(args, reply, after=0.0, target="pg2"):
    if target != "pg2":
        ledger.mysql.add_server(target)  # Run tells why where it cannot be had
    with proxy_to(target) as proxy, fault_run(args, target_port=proxy.port, target=target) as (r, w):
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            time.sleep(r.random.uniform(0.1, 0.5))
            proxy.lose_after(DOWN, reply, 1, after)
            wait_for(r, "a commit of the sink", lambda: proxy.lost > n, 30)
            progress(r)
        v = r.settle(w)
        return figures(v, r, replies_lost=proxy.lost)


def scenario_target_commit_lost(args):
    """The target commits, the reply to COMMIT never comes."""
    return commits_lost(args, b"COMMIT\0")


# The name of the column that the sink asks for in the same text as COMMIT, right before it.
MYSQL_COMMIT = b"(ROW_COUNT() <> "


def scenario_mariadb_target_commit_lost(args):
    """The same, with MariaDB as the target."""
    return commits_lost(args, MYSQL_COMMIT, 0.2, "mariadb")


def scenario_mysql_target_commit_lost(args):
    """The same, with MySQL as the target."""
    return commits_lost(args, MYSQL_COMMIT, 0.2, "mysql")


def scenario_registry_down(args):
    """No registry: known schemas go on; a new one waits, and nothing of it is lost."""
    with fault_run(args) as (r, w):
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            stack("kill", "registry", "-9")
            try:
                progress(r)  # what is known is cached
                c = ledger.connect(r.source)
                c.cursor().execute(f"alter table t1 add column more{n} text")
                c.close()
                time.sleep(5)
                waiting = r.applied()
                time.sleep(1)
                if not r.alive():
                    raise Failure(f"the daemon ended with exit code {r.daemon.returncode}")
            finally:
                stack("start", "registry")
            wait_rows(r, waiting + 3)
            if r.starts != 1:
                raise Failure(f"the daemon ended: exit codes {r.ended}")
        v = r.settle(w)
        return figures(v, r, outages=args.kills)
