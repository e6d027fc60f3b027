"""The figures of polls, comparisons and outboxes. PostgreSQL; a backlog on MariaDB, too."""
import contextlib
import os
import re
import statistics
import subprocess
import threading
import time

from flow import (TITLES, Meter, bare_latency, budget, count_messages, first_poll, latency_once, said_of_commits,
                  snapshot_figures, snapshots)
from lib import N, ROW, ROWS, TABLE, Daemon, bare, create_topic, create_topics, database, say, sql
from harness import STACK, connect, eventually  # noqa: E402
from my_figures import Server, fill  # noqa: E402

FEW = max(1, N // 2)  # of what takes long
BY_ID = "{method: query, poll: {column: id, every: 1s}}"


def polled(dsn, tables, **more):
    """A daemon that asks, and reads no log."""
    return Daemon(dsn, tables, source=f"type: postgres\n    dsn: {dsn}", **more)


# --- a backlog -----------------------------------------------------------------------------------

def poll_backlog(r):
    with database() as dsn:
        sql(dsn, TABLE, f"insert into orders select {ROW} from generate_series(1, {ROWS}) i", "vacuum analyze orders")
        runs = snapshots(lambda: polled(dsn, f'"public.orders": {BY_ID}'), lambda: bare("bare_copy", dsn, "orders"),
                         lambda d: d.id + ".public.orders", ROWS, once=first_poll)
    snapshot_figures(r, "poll_backlog", ("poll_backlog_reader", "bare COPY reader"), runs, ROWS,
                     title="first poll by id", goal=0.75)


def mariadb_poll_backlog(r):
    rows = ROWS // 2
    with Server("mariadb") as s:
        s.sql(fill(1, rows), "analyze table orders", f"grant process on *.* to '{os.environ['MARIADB_USER']}'@'%'")
        runs = snapshots(lambda: s.daemon(options=BY_ID),
                         lambda: bare("my_bare_select", s.host, s.port, s.database, "orders"),
                         lambda d: f"{d.id}.{s.database}.orders", rows, once=first_poll)
    snapshot_figures(r, "mariadb_poll_backlog", ("mariadb_poll_backlog_reader", "bare prepared-statement reader"), runs,
                     rows, "MariaDB: ", "first poll by id", None)


# --- polls that find nothing -----------------------------------------------------------------------

IDLE_SECONDS, COUNT_SECONDS = 30, 10


def metric(d, name):
    """The sum over all tables."""
    d.alive()
    return sum(float(n) for n in re.findall(r"^%s(?:{.*})? (\S+)" % name, d.metrics(), re.M))


def polls(d):
    return metric(d, "freshet_poll_seconds_count")


def settled(d, count):
    """Every table was polled some times, and nothing that a first poll leaves is to be done any more."""
    d.logged(f"polls {count} table")
    eventually("all tables were polled", lambda: polls(d) >= 3 * count, 300, 1)
    eventually("no number may still come", lambda: metric(d, "freshet_poll_gaps") == 0, 300, 1)
    time.sleep(3)


def idle_window(d, seconds):
    """What polls that find nothing cost."""
    began, before = time.time(), polls(d)
    meter, kernel, at = Meter(d), d.cpu((12,)), time.time()
    time.sleep(seconds)
    out = meter.read(time.time() - at)
    out["kernel"] = d.cpu((12,)) - kernel
    out["polls"] = (polls(d) - before) / (time.time() - began)
    out["memory"] = d.memory("VmRSS")
    return out


@contextlib.contextmanager
def statements_logged(dsn):
    """The server, which is ours alone, logs what it is asked."""
    sql(dsn, "alter system set log_statement = 'all'", "select pg_reload_conf()")
    try:
        time.sleep(1)
        yield
    finally:
        sql(dsn, "alter system reset log_statement", "select pg_reload_conf()")


def questions(text):
    """To tables, and who is open, in a part of the server's log."""
    texts = re.findall(r"freshet poll src LOG:  (?:statement|execute [^:]*): (.*)", text)
    tables = sum(t.startswith("BEGIN READ ONLY") for t in texts)
    looks = sum("clock_timestamp()" in t for t in texts)
    if tables + looks != len(texts):
        raise RuntimeError(f"{len(texts)} messages, of which {tables} ask tables and {looks} who is open")
    return tables, looks


def asked_window(d, seconds):
    """What the server's log has of that time: how often a table was asked, and who is open; how many polls it was.
    Polls go on while they are counted: so the mean is taken of the log with that time and without it."""
    path = subprocess.run([STACK, "log", "pg"], capture_output=True, text=True, check=True).stdout.strip()
    at, made = [os.path.getsize(path)], []
    for wait in (seconds, 0):
        made.append(polls(d))
        at.append(os.path.getsize(path))
        time.sleep(wait)
        at.append(os.path.getsize(path))
    with open(path, "rb") as f:
        f.seek(at[0])
        log = f.read(at[3] - at[0])
    both = [questions(log[a - at[0]:b - at[0]].decode(errors="replace")) for a, b in (at[1:3], (at[0], at[3]))]
    tables, looks = (statistics.mean(x) for x in zip(*both))
    return {"tables": tables, "looks": looks, "polls": made[1] - made[0]}


def poll_idle(r):
    count = int(os.environ.get("BENCH_POLLED", "1000"))
    with database() as dsn:
        for at in range(0, count, 500):
            sql(dsn, f"""do $$ begin for i in {at} .. {min(at + 500, count) - 1} loop
                execute format('create table t%s (id bigint primary key, name text, at timestamptz)', i);
                execute format('insert into t%s select i, ''a row'', now() from generate_series(1, 10) i', i);
                end loop; end $$""")
        sql(dsn, "vacuum analyze")
        d = polled(dsn, f'"/^public[.]t[0-9]+$/": {BY_ID}')
        d.rewrite(os.environ["REGISTRY_URL"], f"file:{d.dir}/registry")  # so many schemas take a registry long
        create_topics([f"{d.id}.public.t{i}" for i in range(count)], 1)
        try:
            d.start()
            settled(d, count)
            runs = [idle_window(d, IDLE_SECONDS) for _ in range(FEW)]
            with statements_logged(dsn):
                asked = [asked_window(d, COUNT_SECONDS) for _ in range(FEW)]
            d.stop()
        finally:
            d.close()
    idle_figures(r, f"{count:,} tables polled every second, nothing new", runs, asked)


def idle_figures(r, of, runs, asked):
    def each(get):
        return [get(m) for m in runs]
    r.add("poll_idle_cpu", f"{of}: CPU", "cores", each(lambda m: m["cpu_seconds"] / m["seconds"]), 0.05, at_least=False,
          digits=3)
    r.add("poll_idle_queries", f"{of}: questions to a table in one poll", "queries",
          [a["tables"] / a["polls"] for a in asked], 1, at_least=False)
    r.add("poll_idle_looks", f"{of}: questions who is open, for all tables together", "queries/s",
          [a["looks"] / COUNT_SECONDS for a in asked], digits=1)
    r.add("poll_idle_rate", f"{of}: polls that were made", "polls/s", each(lambda m: m["polls"]), digits=0)
    r.add("poll_idle_server", f"{of}: CPU of PostgreSQL", "cores", each(lambda m: m["servers"]["pg"] / m["seconds"]),
          digits=3)
    r.add("poll_idle_memory", f"{of}: resident memory", "MB", each(lambda m: m["memory"]), digits=1)
    def per_poll(get):
        return statistics.median(get(m) * 1e6 / (m["polls"] * m["seconds"]) for m in runs)
    threads = {n: per_poll(lambda m, n=n: m["threads"].get(n, 0)) for n in runs[0]["threads"]}
    r.note("poll_idle", f"CPU per poll: freshet {per_poll(lambda m: m['cpu_seconds']):.1f} us ("
           + ", ".join(f"{n} {v:.1f}" for n, v in sorted(threads.items(), key=lambda x: -x[1]) if v >= 0.5)
           + f"; {per_poll(lambda m: m['kernel']):.1f} of all of it in the kernel: to send, to wait, to be woken), PostgreSQL "
           f"{per_poll(lambda m: m['servers']['pg']):.0f} us.")


# --- outboxes ------------------------------------------------------------------------------------

KEYS = '{id: id, key: aggregateid, type: type, payload: payload, route: "${prefix}.${aggregatetype}"}'
EMPTIED = f"{{method: outbox, outbox: {KEYS}}}"
# 200 bytes each.
PAYLOAD = """convert_to(rpad('{"order": ' || i || ', "by": "customer' || i % 100000 || '@example.org", "was": "'
    || md5(i::text) || '", "is": "', 198, md5((i + 1)::text)) || '"}', 'UTF8')"""
WRITERS = 4
# One of the writers: a row, a COMMIT, two milliseconds of other work.
WRITE = f"""create procedure write(i bigint) language plpgsql as $$
    begin
        while not exists (select from halt) loop
            insert into outbox (aggregatetype, aggregateid, type, payload)
                values ('order', 'order' || i % 1000, 'changed', {PAYLOAD});
            i := i + 1;
            commit;
            perform pg_sleep(0.002);
        end loop;
    end $$"""


def make_outbox(d, dsn, *more):
    """The table that freshet ddl prints for it."""
    sql(dsn, "drop table if exists outbox", d.verb("ddl", "outbox", "--table", "src/public.outbox"), *more)


@contextlib.contextmanager
def writing(dsn, count):
    """So many sessions insert and commit meanwhile."""
    sql(dsn, "delete from halt")
    threads = [threading.Thread(target=sql, args=(dsn, f"call write({i + 1}000000)")) for i in range(count)]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        sql(dsn, "insert into halt values (1)")
        for t in threads:
            t.join()


def written(dsn):
    return sql(dsn, "select last_value from outbox_id_seq")[0][0]


def deleted(d, dsn, upto):
    """When no row up to this id is left any more."""
    c = connect(dsn)
    q = c.cursor()

    def gone():
        d.alive()
        q.execute("select not exists (select from outbox where id <= %s)", (upto,))
        return q.fetchone()[0]
    eventually("all is deleted", gone, 300, 0.02)
    c.close()
    return time.time()


def drain(dsn, rows, writers, check):
    """Rows that wait are published and deleted, all of them."""
    d = polled(dsn, f'"public.outbox": {EMPTIED}')
    make_outbox(d, dsn, f"""insert into outbox (aggregatetype, aggregateid, type, payload)
        select 'order', 'order' || i % 1000, 'changed', {PAYLOAD} from generate_series(1, {rows}) i""", "checkpoint")
    create_topic(d.id + ".order")
    d.apply()
    with writing(dsn, writers):
        d.start()
        began = d.logged("polls 1 table")
        meter, before = Meter(d), written(dsn)
        d.wait_committed(rows)
        out = meter.read(deleted(d, dsn, rows) - began)
        out["written"] = (written(dsn) - before) / out["seconds"]
    total = written(dsn)
    deleted(d, dsn, total)
    d.stop()
    if check:
        count_messages(d.id + ".order", total)
    d.close()
    return out


def outbox(r):
    rows = ROWS // 5
    runs = {0: [], WRITERS: []}
    with database() as dsn:
        sql(dsn, "create table halt (id int)", WRITE)
        for i in range(N + 1):
            for writers, done in runs.items():
                out = drain(dsn, rows, writers, i == 0)
                say(f"{writers} writers ({out['written']:,.0f} rows/s): {rows} events in {out['seconds']:.2f} s")
                if i > 0:  # the servers are warm
                    done.append(out)
    of = f"outbox, {rows:,} rows of 200 bytes wait: published and deleted"
    r.add("outbox_drain_rate", of, "events/s", [rows / m["seconds"] for m in runs[0]], 20000, digits=0)
    r.add("outbox_busy_rate", f"{of}, {WRITERS} writers meanwhile", "events/s",
          [rows / m["seconds"] for m in runs[WRITERS]], digits=0)
    r.add("outbox_busy_written", "the same: rows that these wrote", "rows/s", [m["written"] for m in runs[WRITERS]], digits=0)
    r.add("outbox_drain_memory", f"{of}: most resident memory", "MB", [m["memory"] for m in runs[0]], digits=1)
    budget(r, "outbox_drain", runs[0], rows)


def outbox_latency(r):
    seconds = int(os.environ.get("BENCH_LATENCY_SECONDS", "60")) // 2
    follows = {"log": "stream from", "polled": "polls 1 table"}
    times = {way: [] for way in follows}
    floor = []
    with database() as tailed, database() as dsn:
        sql(tailed, "create publication pub")
        daemons = {"log": (tailed, Daemon(tailed, f'"public.outbox": {{outbox: {KEYS}}}')),
                   "polled": (dsn, polled(dsn, f'"public.outbox": {{poll: {{every: 100ms}}, {EMPTIED[1:]}'))}
        try:
            for at, d in daemons.values():
                # The writer of all latencies brings two values.
                make_outbox(d, at, "alter table outbox alter aggregatetype set default 'order', alter type set default 'noted'")
                create_topic(d.id + ".order")
                d.apply()
            for i in range(FEW):
                for way, (at, d) in daemons.items():
                    times[way].append(latency_once(d, follows[way], "latency", at, "outbox (aggregateid, payload)",
                                                   d.id + ".order", seconds, i))
                floor.append(bare_latency(daemons["log"][1], i, seconds))
                say(", ".join(f"{way} {t[-1]}" for way, t in {**times, "bare transactions": floor}.items()))
        finally:
            for _, d in daemons.values():
                d.close()
    latency_figures(r, times, floor, seconds)


def latency_figures(r, times, floor, seconds):
    of = {"log": "outbox, read from the log", "polled": "outbox, polled every 100 ms"}
    goals = {"log": 25, "polled": 150}
    for way, t in times.items():
        what = f"{of[way]}: COMMIT to a read_committed consumer, 200 commits/s for {seconds} s"
        r.add(f"outbox_{way}_p50", what, "ms", [m["p50_ms"] for m in t])
        r.add(f"outbox_{way}_p99", what + ", 99th percentile", "ms", [m["p99_ms"] for m in t], goals[way], at_least=False)
    what = "bare transactional producer beside the outboxes"
    r.add("outbox_bare_p50", what, "ms", [f["p50_ms"] for f in floor])
    r.add("outbox_bare_p99", what + ", 99th percentile", "ms", [f["p99_ms"] for f in floor])
    r.note("outbox_log", f"{said_of_commits(times['log'])}. With nothing but librdkafka and the broker it takes "
           f"{statistics.median(f['p50_ms'] for f in floor):.1f} ms (p99 {statistics.median(f['p99_ms'] for f in floor):.1f}).")
    r.note("outbox_polled", "A row waits 50 ms on average, and 100 ms at most, until it is asked for. Then it is read, with "
           f"what came with it, and published. {said_of_commits(times['polled'])}.")


# --- comparing a table with its topic --------------------------------------------------------------

COMPARED = re.compile(r"compared \S+ with its (\d+) rows, in (\d+) ms \((\d+) MiB of files\): (\d+) messages, (\d+) deletes, "
                      r"(\d+) rows that were not there, (\d+) that differed")


def compare_once(d, keys):
    """The first comparison after a start: what it says of itself, and what it took."""
    d.start()
    d.logged("polls 1 table")
    meter = Meter(d)
    d.logged(f"compared {d.id}", 900, 0.1)
    with open(d.logfile, errors="replace") as f:
        f.seek(d.seen)
        rows, ms, files, messages, *found = map(int, COMPARED.search(f.read()).groups())
    out = {**meter.read(ms / 1000), "files": files}
    d.stop()
    if rows != keys or messages != keys or any(found):
        raise RuntimeError(f"{rows} rows, {messages} messages, of {keys} keys; deletes, unseen, others: {found}")
    return out


def compare(r):
    keys = int(os.environ.get("BENCH_COMPARE_KEYS", "10000000"))
    table = '"public.keys": {method: query, poll: {column: id, every: 1s, deletes: full-compare, compare_every: %s}}'
    with database() as dsn:
        sql(dsn, "create table keys (id bigint, note text not null)",
            f"insert into keys select i, 'note ' || i from generate_series(1, {keys}) i",
            "alter table keys add primary key (id)", "vacuum analyze keys")
        # Large segments: the broker has nothing to compact, and does not while we read.
        d = polled(dsn, table % "24h", topics=", config: {cleanup.policy: compact, segment.bytes: 1073741824}")
        try:
            d.apply()
            d.start()
            began = d.logged("polls 1 table")
            first = d.wait_committed(keys, 900) - began
            d.stop()
            d.rewrite("compare_every: 24h", "compare_every: 1s")
            runs = [compare_once(d, keys) for _ in range(FEW)]
        finally:
            d.close()
    of = f"comparison of {keys:,} keys with their topic, nothing differs"
    r.add("compare_seconds", of, "s", [m["seconds"] for m in runs], 60, at_least=False, digits=1)
    r.add("compare_memory", f"{of}: most resident memory", "MB", [m["memory"] for m in runs], 128, at_least=False, digits=1)
    r.add("compare_files", f"{of}: written to files", "MiB", [m["files"] for m in runs], digits=0)
    r.add("compare_load", f"first poll of these {keys:,} rows into a compacted topic", "rows/s", [keys / first], digits=0)
    r.note("compare", "CPU per key: freshet "
           f"{statistics.median(m['cpu_seconds'] for m in runs) * 1e6 / keys:.2f} us, "
           + ", ".join(f"{TITLES[n]} {statistics.median(m['servers'][n] for m in runs) * 1e6 / keys:.2f} us"
                       for n in runs[0]["servers"])
           + ". First the topic is read and sorted, then the table, then both are merged; nothing of that overlaps.")


FIGURES = [outbox, outbox_latency, poll_backlog, mariadb_poll_backlog, poll_idle, compare]
