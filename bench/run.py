#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""run.py [NAME|PATTERN...]: the figures of docs/benchmarks.md, each BENCH_N times (default 5), in turns with
what it is compared with, on the servers that the environment names. Results go to bench/results.json.

Every figure is a ratio within one run, or a figure whose unit does not depend on the machine's load
more than it must. Nothing is timed before it was run once, and nothing is tuned for the bench."""
import fnmatch
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import alter_figures  # noqa: E402
import my_figures  # noqa: E402
import poll_figures  # noqa: E402
import schema_files  # noqa: E402
from flow import (bare_latency, budget, catch_up, check_topic, latency_once, said_of_commits, sink_figures,  # noqa: E402
                  snapshot_figures, snapshots, stopped)
from lib import BUILD, FRESHET, N, ROOT, ROW, ROWS, TABLE, Daemon, Results, bare, database, idle, say, sql  # noqa: E402

SETTLE, QUIET = 2, 3  # seconds, before each figure
PLAIN = '"public.orders": {snapshot: {mode: never}}'

# The whole old row in every update and delete.
FULL = "alter table orders replica identity full"
PUBLICATION = "create publication pub for table orders"

# Transactions of 1,000 changes: 600 updates, 200 inserts, 200 deletes; the table keeps its size.
CHANGES = f"""create procedure changes(transactions int, kept bigint) language plpgsql as $$
    begin
        for t in 0 .. transactions - 1 loop
            insert into orders select {ROW} from generate_series(kept + t * 200, kept + t * 200 + 199) i;
            update orders set status = 'changed', amount = amount + 1, updated = now()
                where id >= 200 + t * 200 and id < 800 + t * 200;
            delete from orders where id >= t * 200 and id < t * 200 + 200;
            commit;
        end loop;
    end $$"""


def set_up(dsn, count):
    """Daemons with their slots, stopped; and a slot for the bare receiver. All at one place of the log."""
    daemons = [Daemon(dsn, PLAIN) for _ in range(count)]
    stopped(daemons)
    sql(dsn, "select pg_create_logical_replication_slot('bare', 'pgoutput')")
    return daemons


def pairs(dsn, daemons, rows):
    """Ours and the bare receiver in turns: A B, B A, A B, ..."""
    both = []
    for i, d in enumerate(daemons):
        pair = {}
        for who in ("bare", "ours") if i % 2 == 0 else ("ours", "bare"):
            pair[who] = catch_up(d, rows) if who == "ours" else bare("bare_receiver", dsn, "bare", "pub", rows)
        say(f"bare {pair['bare']['seconds']:.2f} s, freshet {pair['ours']['seconds']:.2f} s")
        both.append(pair)
        if i == 0:
            check_topic(d.id + ".public.orders", rows)
        d.close()
        sql(dsn, f"select pg_drop_replication_slot('s{d.id}')")
    return both


def catchup(r):
    with database() as dsn:
        sql(dsn, TABLE, FULL, CHANGES, PUBLICATION,
            f"insert into orders select {ROW} from generate_series(0, 19999) i", "checkpoint")
        daemons = set_up(dsn, N)
        sql(dsn, f"call changes({ROWS // 1000}, 20000)")
        both = pairs(dsn, daemons, ROWS)
    cpu = [(p["ours"]["cpu_seconds"] - p["bare"]["cpu_seconds"]) * 1e6 / ROWS for p in both]
    r.add("catchup_ratio", "log catch-up, exactly once, against a bare receiver of the same slot", "ratio",
          [p["bare"]["seconds"] / p["ours"]["seconds"] for p in both], 0.90)
    r.add("catchup_cpu", "CPU per row on top of the bare receiver's", "us", cpu, 2.5, at_least=False)
    r.add("catchup_rate", "log catch-up, exactly once", "rows/s", [ROWS / p["ours"]["seconds"] for p in both], digits=0)
    r.add("bare_receiver_rate", "bare receiver", "rows/s", [ROWS / p["bare"]["seconds"] for p in both], digits=0)
    r.add("bare_receiver_cpu", "CPU per row of the bare receiver", "us",
          [p["bare"]["cpu_seconds"] * 1e6 / ROWS for p in both])
    r.add("memory_full_speed", "most resident memory while catching up", "MB", [p["ours"]["memory"] for p in both],
          96, at_least=False, digits=1)
    budget(r, "catchup", [p["ours"] for p in both], ROWS)


def giant(r):
    with database() as dsn:
        sql(dsn, TABLE, FULL, PUBLICATION)
        daemons = set_up(dsn, N)
        sql(dsn, f"insert into orders select {ROW} from generate_series(1, {ROWS}) i")
        most = []
        for i, d in enumerate(daemons):
            most.append(catch_up(d, ROWS)["memory"])
            if i == 0:
                check_topic(d.id + ".public.orders", ROWS)
            d.close()
    r.add("memory_one_transaction", f"most resident memory, one transaction of {ROWS:,} rows", "MB", most, 128,
          at_least=False, digits=1)


def snapshot(r):
    with database() as dsn:
        sql(dsn, TABLE, PUBLICATION, f"insert into orders select {ROW} from generate_series(1, {ROWS}) i",
            "vacuum analyze orders")
        runs = snapshots(lambda: Daemon(dsn, '"public.orders": {}'), lambda: bare("bare_copy", dsn, "orders"),
                         lambda d: d.id + ".public.orders", ROWS,
                         lambda d: sql(dsn, f"select pg_drop_replication_slot('s{d.id}')"))
    snapshot_figures(r, "snapshot", ("bare_copy", "bare COPY reader"), runs, ROWS)


def latency(r):
    seconds = int(os.environ.get("BENCH_LATENCY_SECONDS", "60"))
    with database() as dsn:
        sql(dsn, "create table orders (id bigint primary key, note text)", PUBLICATION,
            "insert into orders values (0, 'so that its topic is there')")
        d = Daemon(dsn, '"public.orders": {}')
        times, floor = [], []
        try:
            for i in range(min(N, 3)):  # each is long enough
                times.append(latency_once(d, "stream from", "latency", dsn, "orders", d.id + ".public.orders", seconds, i))
                floor.append(bare_latency(d, i, seconds))
                say(f"{times[-1]}, bare transactions {floor[-1]}")
        finally:
            d.close()
    r.add("latency_p50", f"COMMIT to a read_committed consumer, exactly once, 200 commits/s for {seconds} s", "ms",
          [t["p50_ms"] for t in times], 8, at_least=False)
    r.add("latency_p99", "the same, 99th percentile", "ms", [t["p99_ms"] for t in times], 25, at_least=False)
    r.add("bare_latency_p50", "bare transactional producer of as many messages, no database", "ms",
          [f["p50_ms"] for f in floor])
    r.add("bare_latency_p99", "the same, 99th percentile", "ms", [f["p99_ms"] for f in floor])
    r.note("latency", f"{said_of_commits(times)}; {statistics.median(t['ack'][1] for t in times):,.0f} of them carried "
           f"{200 * seconds:,} commits. With nothing but librdkafka and the broker, in transactions of the same shape "
           f"({statistics.median(f['transactions'] for f in floor):,.0f} of them), it takes "
           f"{statistics.median(f['p50_ms'] for f in floor):.1f} ms (p99 {statistics.median(f['p99_ms'] for f in floor):.1f}): "
           "one request to add the partitions, then one to produce for each partition (the broker asks its coordinator about "
           "each, and answers one at a time), one to end the transaction; and who begins the next one before the broker has "
           "written its markers is sent away for 20 ms.")
    r.add("memory_idle", "resident memory while nothing happens", "MB", [t["idle"] for t in times], 32, at_least=False,
          digits=1)


def sink(r):
    sink_figures(r, "sink", N, "sink_methods", os.environ["PG2_DSN"], "0.3", N, "1")


def tables(r):
    count = int(os.environ.get("BENCH_TABLES", "5000"))
    with database() as dsn:
        for at in range(0, count, 500):
            sql(dsn, f"""do $$ begin for i in {at} .. {at + 499} loop
                execute format('create table t%s (id bigint primary key, name text, at timestamptz)', i);
                end loop; end $$""")
        sql(dsn, "create publication pub for all tables")
        d = Daemon(dsn, '"/^public[.]t[0-9]+$/": {}')
        starts = []
        try:
            d.start()
            first = d.logged("stream from", 300) - d.began
            d.stop()
            for _ in range(N):
                time.sleep(0.5)
                d.start()
                starts.append(d.logged("stream from") - d.began)
                idle = d.memory("VmRSS")
                d.stop()
        finally:
            d.close()
    r.add("start_5000_tables", f"start to streaming with {count:,} tables", "s", starts, 2, at_least=False)
    r.add("first_start_5000_tables", f"first start: slot, snapshots of {count:,} empty tables", "s", [first])
    r.add("memory_5000_tables", f"resident memory with {count:,} tables", "MB", [idle], digits=1)


def contract_cost(r):
    """What the encoder takes longer with a contract, and with three value rules beside it: no server."""
    contract, both = [], []
    for _ in range(N):
        said = subprocess.run([os.path.join(BUILD, "contract_cost")], capture_output=True, text=True, check=True).stdout
        contract.append(float(said.split("contract ")[-1].split(" ")[0]))
        both.append(float(said.split("both ")[-1].split(" ")[0]))
    r.add("contract_cost", "encoding with a contract and three value rules, on top of encoding without", "%", both, 15, at_least=False,
          digits=1)
    r.add("contract_alone_cost", "the same with the contract alone", "%", contract, digits=1)
    r.note("contract_cost", f"12 columns, of which one becomes an enum, one is wider, one has another name, and one field has no column; "
           f"rules not_empty, range and in. Last: {said.strip()}.")


def schema_check(r):
    """`schema check` of 1,000 contracts against the commit before, of which each has changed: no server."""
    took = []
    with tempfile.TemporaryDirectory() as d:
        schema_files.write(d, 1000)
        for _ in range(N + 1):
            at = time.time()
            p = subprocess.run([FRESHET, "schema", "check"], cwd=d, capture_output=True, text=True)
            took.append(time.time() - at)
            if p.returncode != 0 or "1000 changed" not in p.stdout:
                sys.exit(f"bench: schema check said {p.stdout[-300:]} {p.stderr[-300:]}")
    r.add("schema_check", "schema check of 1,000 contracts of 12 fields against git:HEAD, offline", "s", took[1:], 2, at_least=False)


ALL = {f.__name__: f for f in [catchup, giant, snapshot, latency, sink, tables, contract_cost, schema_check, *alter_figures.FIGURES,
                                 *my_figures.FIGURES, *poll_figures.FIGURES]}


def chosen(patterns):
    """The figures that the words of the command line name: names, or patterns like mariadb*."""
    for p in patterns:
        if not fnmatch.filter(ALL, p):
            sys.exit(f"bench: no figure {p}; there are: {' '.join(ALL)}")
    return [n for n in ALL if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def has_server(name):
    """MySQL's packages cannot be had everywhere."""
    server = name.split("_")[0]
    return server not in my_figures.TITLES or server.upper() + "_DSN" in os.environ


def first_line(*words):
    try:
        p = subprocess.run(words, capture_output=True, text=True, timeout=20)
        return (p.stdout + p.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1)) / 1024 / 1024
    with open("/etc/os-release") as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read()).group(1)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "memory_gib": round(memory, 1), "kernel": platform.release(), "system": system}


def versions():
    with open(os.path.join(ROOT, "tests", "stack", "versions")) as f:
        pinned = dict(line.strip().split("=", 1) for line in f if "=" in line and not line.startswith("#"))
    return {"freshet": first_line(FRESHET, "--version"),
            "commit": first_line("git", "-C", ROOT, "rev-parse", "--short", "HEAD"),
            "postgres": sql(os.environ["PG_DSN"], "show server_version")[0][0], "kafka": pinned["KAFKA"],
            **{n: my_figures.version(n) for n in my_figures.TITLES if has_server(n)},
            "registry": "Apicurio " + pinned["APICURIO"], "librdkafka": pinned["LIBRDKAFKA"]}


def main():
    names = chosen(sys.argv[1:])
    left_out = [n for n in names if not has_server(n)]
    names = [n for n in names if n not in left_out]
    for n in left_out:
        say(f"{n}: not measured, the stack has no such server")
    out = os.environ.get("BENCH_OUT", os.path.join(ROOT, "bench", "results.json"))
    r = Results()
    began, unused = time.time(), []
    for n in names:
        time.sleep(SETTLE)  # servers tidy up after the figure before, and after their start
        unused.append(idle(QUIET))
        say(f"{n}: the machine is {unused[-1]} % idle")
        at = time.time()
        ALL[n](r)
        say(f"{n}: {time.time() - at:.0f} s")
    result = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "seconds": round(time.time() - began),
              "n": N, "rows": ROWS, "idle": unused, "complete": names == list(ALL), "left_out": left_out,
              "machine": machine(), "versions": versions(), "figures": r.figures, "notes": r.notes}
    with open(out, "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


main()
