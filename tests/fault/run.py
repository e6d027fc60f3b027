#!/usr/bin/env python3
"""tests/fault/run.py SCENARIO [--kills N] [--seed S] [--seconds T]: one fault run against the
servers of the stack. Prints `ok NAME: figures` or `not ok NAME: why`.

The scenarios are the functions whose names begin with `scenario_`: here those of processes that die or
stop, in network.py those of connections, in binlog.py those of connections to MySQL and MariaDB, in ddl.py
those of tables that change, in cluster.py those of several brokers. Without SCENARIO: their list."""
import argparse
import os
import signal
import subprocess
import sys
import time
import traceback

from pipeline import PATIENCE, ROOT, Failure, Skip, fault_run, figures, slot_user, stack, wait_for, wait_rows
import binlog
import cluster
import ddl
import network

# Only passed while there is no slot, or a snapshot: those first.
FIRST = ["capture_before_slot", "capture_after_slot", "capture_mid_chunk"]
ONCE = {"kafka_init"}  # in a start
NOT_PLACES = {"r1", "r6", "r12", "pg.slot_wait", "capture_short_slices", "capture_look_often", "capture_no_beside", "capture_throttle_leaves"}  # switches, not places to die at
# Of tables that are polled; killed at by tests/real/outbox_poll_test.py and compare_test.py.
OF_POLLS = ("drain_", "compare_")
OF_CLICKHOUSE = ("ch_",)  # killed at by tests/real/clickhouse_sink_test.py
OF_FILES = ("file_",)  # killed at by tests/real/file_sink_test.py
OF_DUCKDB = ("duck_",)  # killed at by tests/real/duckdb_sink_test.py
OF_LETTERS = ("dlq_",)  # killed at by tests/real/dlq_test.py
OF_NEW_TOPICS = ("capture_move",)  # killed at by tests/real/new_topic_test.py
OTHERS = OF_POLLS + OF_CLICKHOUSE + OF_FILES + OF_DUCKDB + OF_LETTERS + OF_NEW_TOPICS


def scenario_kill(args):
    """SIGKILL at random moments, a third of them while it recovers from the one before, a third
    aimed at open Kafka transactions: their messages are at the broker, their commit is held up."""
    return kills(args, "pg")


def kills(args, server, **more):
    at_work = 0
    with fault_run(args, server=server, **more) as (r, w):
        r.start()
        for n in range(args.kills):
            if n % 3 == 0:
                at_work += within(3, lambda: slot_user(r))
            if n % 3 == 1:  # it was started with slow commits: a transaction is open nearly always
                wait_rows(r, r.applied() + 1)
                at_work += 1
            time.sleep(r.random.uniform(0.0, 0.5))
            r.kill()
            r.start("kafka_before_commit:sleep=400:*" if n % 3 == 0 else None)
        v = r.settle(w, 120 + args.kills)
        if v.uncommitted_extra == 0:
            raise Failure("no transaction was open at any kill: the run proves nothing; " + str(v))
        return figures(v, r, kills=args.kills, while_it_read_the_log=at_work)


def scenario_mariadb_kill(args):
    """kill, with MariaDB as the source."""
    return kills(args, "mariadb")


def scenario_mysql_kill(args):
    """kill, with MySQL as the source."""
    return kills(args, "mysql")


def scenario_mariadb105_kill(args):
    """kill, with MariaDB 10.5 as the source."""
    return kills(args, "mariadb105")


def scenario_mariadb118_kill(args):
    """kill, with MariaDB 11.8 as the source."""
    return kills(args, "mariadb118")


def scenario_mysql55_kill(args):
    """kill, with MySQL 5.5 as the source: no GTIDs, no names in the log."""
    return kills(args, "mysql55")


def scenario_clickhouse_kill(args):
    """kill, with ClickHouse as the target."""
    return kills(args, "pg", target="clickhouse")


def within(seconds, probe):
    """Whether it came true in that time."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        if probe():
            return True
        time.sleep(0.03)
    return False


def failpoints():
    names = set()
    for folder in ("src", "connectors"):
        for base, _, files in os.walk(os.path.join(ROOT, folder)):
            for f in files:
                if f.endswith(".c"):
                    with open(os.path.join(base, f), encoding="utf-8") as text:
                        names |= {part.split('"')[0] for part in text.read().split('FR_FAILPOINT("')[1:]}
    return {n for n in names - NOT_PLACES if not n.startswith(OTHERS)}


def die_at(r, failpoint, seconds, hit, missed):
    r.start(failpoint)
    try:
        r.daemon.wait(seconds)
    except subprocess.TimeoutExpired:
        r.kill()
        missed.append(failpoint)
        return
    (hit if r.daemon.returncode == -signal.SIGKILL else missed).append(failpoint)


def scenario_failpoints(args):
    """SIGKILL at every named place, --kills times: at its first passing or a later one."""
    hit, missed = [], []
    with fault_run(args) as (r, w):
        for name in FIRST:
            die_at(r, f"{name}:kill:1", args.seconds, hit, missed)
        r.start()
        wait_rows(r, 5)  # the snapshot is over
        r.kill()
        for turn in range(args.kills):
            for name in sorted(failpoints() - set(FIRST)):
                nth = 1 if name in ONCE or turn == 0 and r.random.random() < 0.5 else r.random.randint(2, 5)
                die_at(r, f"{name}:kill:{nth}", args.seconds, hit, missed)
        r.start()
        v = r.settle(w)
        print(f"  killed at: {' '.join(hit)}\n  not passed in this run: {' '.join(missed) or 'none'}")
        if len(hit) < 3 * len(missed):
            raise Failure(f"only {len(hit)} of {len(hit) + len(missed)} places were passed")
        return figures(v, r, places_killed_at=len(hit))


def server_kills(args, server, source="pg", **more):
    with fault_run(args, server=source, **more) as (r, w):
        r.start()
        wait_rows(r, 5)
        for _ in range(args.kills):
            time.sleep(r.random.uniform(0.3, 1.2))
            stack("kill", server, "-9")
            stack("start", server)
        v = r.settle(w, 120 + 5 * args.kills)
        return figures(v, r, kills=args.kills, unknown_commits=sum(x.unknown for x in w.writers))


def scenario_pg_kill(args):
    """SIGKILL of the source's server."""
    return server_kills(args, "pg")


def scenario_mariadb_server_kill(args):
    """SIGKILL of the source's server, a MariaDB."""
    return server_kills(args, "mariadb", "mariadb")


def scenario_mysql_server_kill(args):
    """SIGKILL of the source's server, a MySQL."""
    return server_kills(args, "mysql", "mysql")


def scenario_target_kill(args):
    """SIGKILL of the target's server: lost replies to its commits among them."""
    return server_kills(args, "pg2")


def scenario_mariadb_target_kill(args):
    """The same, with MariaDB as the target."""
    return server_kills(args, "mariadb", target="mariadb")


def scenario_mysql_target_kill(args):
    """The same, with MySQL as the target."""
    return server_kills(args, "mysql", target="mysql")


def scenario_clickhouse_target_kill(args):
    """The same, with ClickHouse as the target: it knows its offsets and tokens after a SIGKILL."""
    return server_kills(args, "clickhouse", target="clickhouse")


def scenario_kafka_kill(args):
    """SIGKILL of the broker."""
    return server_kills(args, "kafka")


def takeover(r, n):
    """A is stopped, B takes over, A goes on; answers A's exit code."""
    old = r.daemon
    old.send_signal(signal.SIGSTOP)
    try:
        before = slot_user(r)
        r.start()
        wait_for(r, "the new instance to read the log", lambda: slot_user(r) not in (None, before), 90)
    finally:
        old.send_signal(signal.SIGCONT)
    try:
        return old.wait(60 * PATIENCE)
    except subprocess.TimeoutExpired:
        old.kill()
        old.wait()
        raise Failure(f"takeover {n}: the old instance goes on") from None


def takeovers(args, server):
    fenced = 0
    with fault_run(args, server=server) as (r, w):
        r.split()
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            time.sleep(r.random.uniform(0.3, 1.0))
            fenced += takeover(r, n) == 8
        v = r.settle(w)
        if fenced != args.kills:
            raise Failure(f"{fenced} of {args.kills} old instances ended with exit code 8; {v}")
        return figures(v, r, takeovers=args.kills, fenced=fenced)


def scenario_takeover(args):
    """SIGSTOP of A, start of B, SIGCONT of A: A is fenced, nothing is doubled."""
    return takeovers(args, "pg")


def scenario_mariadb_takeover(args):
    """The same, with MariaDB as the source: both log in there with one server_id."""
    return takeovers(args, "mariadb")


def scenario_mysql_takeover(args):
    """The same, with MySQL as the source."""
    return takeovers(args, "mysql")


def scenario_pause(args):
    """SIGSTOP for longer than the broker's transaction time-out: not a takeover, so it goes on."""
    with fault_run(args, timeout=5000) as (r, w):
        r.start()
        wait_rows(r, 5)
        for _ in range(args.kills):
            time.sleep(r.random.uniform(0.3, 0.8))
            r.daemon.send_signal(signal.SIGSTOP)
            time.sleep(8)
            r.daemon.send_signal(signal.SIGCONT)
            before = r.applied()
            wait_rows(r, before + 3)
            if r.starts != 1:
                raise Failure(f"a pause ended the daemon: {r.starts} starts, exit codes {r.ended}")
        v = r.settle(w)
        return figures(v, r, pauses=args.kills)


def control(args, server, off, **more):
    """The rules that `off` names are switched off: the same kills lose rows, and the check sees it."""
    with fault_run(args, server=server, **more) as (r, w):
        r.start(off)
        wait_rows(r, 5)
        for _ in range(args.kills):
            # stop the publisher before its commit, while the reader goes on (and confirms, where it can)
            r.stop()
            r.start(off + ",capture_before_commit:sleep=1500:3")
            time.sleep(2.0)
            r.kill()
            r.start(off)
            time.sleep(0.5)
        w.stop()
        time.sleep(3)
        r.stop()
        v = r.check()
        if v.lost == 0 and v.torn == 0:
            raise Failure(f"nothing was lost although {off} was set: the check proves nothing; {v}")
        return figures(v, r, kills=args.kills)


def scenario_control_r1_off(args):
    """The control: with R1 and R6 switched off the same kills lose rows, and the check sees it."""
    return control(args, "pg", "r1:off:*,r6:off:*")


def scenario_mariadb_control_r6_off(args):
    """The control: it goes on at the end of the server's log, not at the checkpoint. (No binlog is kept
    for us, so there is nothing that R1 could confirm too early.) No transaction is split: that a split one
    does not go on would be noticed."""
    return control(args, "mariadb", "r6:off:*", max_events=5000)


def scenario_mysql_control_r6_off(args):
    """The same, with MySQL as the source."""
    return control(args, "mysql", "r6:off:*", max_events=5000)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scenario", nargs="?")
    p.add_argument("--kills", type=int, default=5, help="how often (default 5)")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--seconds", type=float, default=15, help="failpoints: how long for a place to be passed")
    args = p.parse_args()
    scenarios = {k[9:]: f for m in (vars(network), vars(cluster), vars(binlog), vars(ddl), globals()) for k, f in m.items() if k.startswith("scenario_")}
    if args.scenario not in scenarios:
        p.exit(2 if args.scenario else 0, "".join(f"{k:20} {f.__doc__.splitlines()[0]}\n" for k, f in scenarios.items()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a scenario cleans up behind itself
    name, begun = f"fault.{args.scenario}", time.time()
    try:
        said = scenarios[args.scenario](args)
    except Skip as e:
        print(f"skip {name}: {e}")
        return
    except Exception as e:  # whatever it is, it has a name and a seed
        if not isinstance(e, Failure):
            traceback.print_exc(file=sys.stdout)
        print(f"not ok {name}: seed {args.seed}: {type(e).__name__ if not str(e) else e}")
        sys.exit(1)
    print(f"ok {name}: {said}, {time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
