"""The figures of MySQL and MariaDB: binlog, snapshot, latency, memory, sink. MariaDB of Debian is the server of
record; MySQL beside it where it costs little."""
import contextlib
import os
import uuid

from flow import (budget, catch_up, check_topic, latency_once, pid_of, said_of_commits, sink_figures, snapshot_figures,
                  snapshots, stopped)
from lib import N, ROWS, Daemon, bare, create_topic, delete_topics, say
import mysql  # noqa: E402

TITLES = {"mariadb": "MariaDB", "mysql": "MySQL"}
TRANSACTION = 20000  # messages of the straw-man's; the bare producer's too
BIG = 64 << 20

# The table and the changes of the PostgreSQL figures. Numbers: what generate_series is there.
TABLE = """create table orders (
    id bigint primary key, customer int not null, status varchar(40) not null, amount decimal(12,2) not null,
    currency varchar(3), email varchar(100), street varchar(200), note varchar(300), flag tinyint(1) not null,
    score double, created datetime(6) not null, updated timestamp(6) not null default current_timestamp(6))"""
NUMBERS = ["create table numbers (n int primary key)",
           "insert into numbers values " + ",".join(f"({i})" for i in range(1000))]


def row(i):
    return f"""{i}, {i} % 100000, concat('status ', {i} % 7), ({i} % 10000) * 1.01, 'EUR',
        concat('customer', {i} % 100000, '@example.org'), concat({i} % 200, ' Long Street, Some Town'),
        concat('order number ', {i}), {i} % 3 = 0, {i} * 0.5, timestamp '2026-01-01 00:00:00' + interval {i} second, now(6)"""


def fill(first, count):
    """Rows first .. first + count - 1, in one transaction."""
    return (f"insert into orders select {row('i')} from (select {first} + a.n + 1000 * b.n as i from numbers a "
            f"join numbers b on b.n < {(count + 999) // 1000}) x where i < {first + count}")


# Transactions of 1,000 changes: 600 updates, 200 inserts, 200 deletes; the table keeps its size.
CHANGES = f"""create procedure changes(transactions int, kept bigint)
begin
    declare t int default 0;
    while t < transactions do
        start transaction;
        insert into orders select {row("(kept + t * 200 + n)")} from numbers where n < 200;
        update orders set status = 'changed', amount = amount + 1, updated = now(6)
            where id >= 200 + t * 200 and id < 800 + t * 200;
        delete from orders where id >= t * 200 and id < t * 200 + 200;
        commit;
        set t = t + 1;
    end while;
end"""
# Transactions of 1 to 5 changes, 3 on average: as many of each kind; the table keeps its size.
SMALL = f"""create procedure small(transactions int, kept bigint)
begin
    declare t, k int default 0;
    declare low bigint default 0;
    declare high bigint default kept;
    while t < transactions do
        set k = 1 + t % 5;
        if t % 3 = 0 then
            insert into orders select {row("(high + n)")} from numbers where n < k;
            set high = high + k;
        elseif t % 3 = 1 then
            update orders set status = 'changed', amount = amount + 1 where id >= low + 100 and id < low + 100 + k;
        else
            delete from orders where id >= low and id < low + k;
            set low = low + k;
        end if;
        set t = t + 1;
    end while;
end"""


class Server:
    """A server of the stack, and a database on it that others may share."""

    def __init__(self, name):
        self.name, self.title = name, TITLES[name]
        self.root = os.environ[name.upper() + "_DSN"]
        self.host, self.port = os.environ[name.upper() + "_HOST"], os.environ[name.upper() + "_PORT"]
        self.database = "bench" + uuid.uuid4().hex[:8]

    def __enter__(self):
        """What is measured must not be how a small server of tests reads its own pages."""
        for s in ("innodb_buffer_pool_size = 1073741824", "innodb_log_file_size = 536870912",
                  "innodb_redo_log_capacity = 536870912", "max_allowed_packet = 1073741824"):
            with contextlib.suppress(mysql.pymysql.Error):  # each has but one of the two logs
                self.sql("set global " + s, database=None)
        self.sql(f"create database {self.database}", database=None)
        self.sql(*NUMBERS, TABLE)
        return self

    def __exit__(self, *_):
        self.sql(f"drop database {self.database}", database=None)

    def sql(self, *statements, database="", values=None):
        c = mysql.connect(self.root, database=self.database if database == "" else database, read_timeout=900)
        try:
            for s in statements:
                out = mysql.run(c, s, values)
            return out
        finally:
            c.close()

    def place(self):
        """File and offset of the log's end."""
        c = mysql.connect(self.root)
        try:
            words = "show master status" if self.name == "mariadb" else "show binary log status"
            return mysql.run(c, words)[0][:2]
        finally:
            c.close()

    def source(self):
        prefix = self.name.upper()
        user, password = os.environ[prefix + "_USER"], os.environ[prefix + "_PASSWORD"]
        return {"type": self.name, "dsn": f"mysql://{user}@{self.host}:{self.port}/{self.database}", "password": password}

    def daemon(self, table="orders", options="{}", **more):
        lines = "\n    ".join(f"{k}: {v}" for k, v in self.source().items())
        return Daemon(None, f"{self.database}.{table}: {options}", self.name, lines, **more)

    def stopped(self, count, table="orders", **more):
        """Daemons that have their position and wait, all at one place of the log."""
        daemons = [self.daemon(table, "{snapshot: {mode: never}}", **more) for _ in range(count)]
        return stopped(daemons)

    def no_kafka(self, *words):
        options = [f"{k}={v}" for k, v in self.source().items() if k != "type"]
        return bare("no_kafka", words[0], self.name, f"{self.database}.orders", *words[1:], *options)


def version(name):
    c = mysql.connect(os.environ[name.upper() + "_DSN"])
    try:
        return f"{TITLES[name]} {mysql.run(c, 'select version()')[0][0]}"
    finally:
        c.close()


def straw_man(server, place, rows, transaction, check=False):
    """The same log on a topic of its own that is deleted again. transaction: of messages; 0: none."""
    topic = "bare." + uuid.uuid4().hex[:8]
    create_topic(topic)
    out = bare("my_bare_binlog", server.host, server.port, *place, rows, transaction, os.environ["KAFKA_BOOTSTRAP"],
               topic, 3)
    if check:
        check_topic(topic, out["rows"])
    delete_topics([topic])
    return out


def turns(server, daemons, place, resume, rows):
    """Ours and the straw-man in turns: A B, B A, ...; after each pair what both do without Kafka."""
    out = []
    for i, d in enumerate(daemons):
        pair = {}
        for who in ("bare", "ours") if i % 2 == 0 else ("ours", "bare"):
            pair[who] = catch_up(d, rows) if who == "ours" else straw_man(server, place, rows, TRANSACTION, i == 0)
        pair["plain"] = straw_man(server, place, rows, 0)
        pair["discard"] = bare("my_bare_binlog", server.host, server.port, *place, rows, "discard")
        pair["no_kafka"] = server.no_kafka("stream", rows, resume)
        say(", ".join(f"{k} {v['seconds']:.2f} s {v['cpu_seconds'] * 1e6 / rows:.2f} us" for k, v in pair.items()))
        if i == 0:
            total = check_topic(f"{d.id}.{server.database}.orders", rows)
            say(f"{total} messages, {pair['no_kafka']['bytes'] / total:.0f} bytes each; the straw-man's "
                f"{pair['discard']['bytes'] / total:.0f}")
        d.close()
        out.append(pair)
    return out


def binlog(r, server, name, words, runs, rows, goal):
    """The figures of a log that was caught up with. goal: of the ratio."""
    of = f"{server.title} {words}"

    def per_row(who):
        return [p[who]["cpu_seconds"] * 1e6 / rows for p in runs]

    def rate(who):
        return [rows / p[who]["seconds"] for p in runs]
    record = server.name == "mariadb"
    r.add(f"{name}_ratio", f"{of}, exactly once, against the straw-man in transactions of {TRANSACTION:,} messages", "ratio",
          [p["bare"]["seconds"] / p["ours"]["seconds"] for p in runs], goal if record else None)
    r.add(f"{name}_plain_ratio", f"{of}, exactly once, against the straw-man without transactions", "ratio",
          [p["plain"]["seconds"] / p["ours"]["seconds"] for p in runs])
    large = record and goal == 0.8
    r.add(f"{name}_cpu", f"{of}: CPU per row", "us", per_row("ours"), 2 if large else None, at_least=False)
    r.add(f"{name}_own_cpu", f"{of}: CPU per row without the Kafka client", "us", per_row("no_kafka"),
          0.5 if large else None, at_least=False)
    r.add(f"{name}_rate", f"{of}, exactly once", "rows/s", rate("ours"), digits=0)
    r.add(f"{name}_straw_rate", f"{of}, straw-man in transactions", "rows/s", rate("bare"), digits=0)
    r.add(f"{name}_plain_rate", f"{of}, straw-man without transactions", "rows/s", rate("plain"), digits=0)
    r.add(f"{name}_own_rate", f"{of}, reading and encoding without Kafka", "rows/s", rate("no_kafka"), digits=0)
    r.add(f"{name}_discard_rate", f"{of}, straw-man without Kafka", "rows/s", rate("discard"), digits=0)
    r.add(f"{name}_straw_cpu", f"{of}: CPU per row of the straw-man in transactions", "us", per_row("bare"))
    r.add(f"{name}_discard_cpu", f"{of}: CPU per row of the straw-man without Kafka", "us", per_row("discard"))
    budget(r, name, [p["ours"] for p in runs], rows)


def log_of(server, procedure, rows, transactions, count):
    """Daemons that wait, then the changes; what the straw-man and the daemons have to read."""
    server.sql(procedure, fill(0, 20000))
    daemons, resume, place = server.stopped(count), server.no_kafka("position")["resume"], server.place()
    server.sql(f"call {procedure.split()[2].split('(')[0]}({transactions}, 20000)")
    return turns(server, daemons, place, resume, rows)


def mariadb_binlog(r):
    with Server("mariadb") as s:
        runs = log_of(s, CHANGES, ROWS, ROWS // 1000, N)
    binlog(r, s, "mariadb_binlog", "binlog, transactions of 1,000", runs, ROWS, 0.80)
    r.add("mariadb_memory_full_speed", "MariaDB: most resident memory while catching up", "MB",
          [p["ours"]["memory"] for p in runs], 96, at_least=False, digits=1)


def mariadb_small(r):
    transactions = ROWS * 2 // 15 // 15 * 15
    rows = transactions * 3
    with Server("mariadb") as s:
        runs = log_of(s, SMALL, rows, transactions, N)
    binlog(r, s, "mariadb_small", "binlog, transactions of 1 to 5", runs, rows, 0.70)


def mysql_binlog(r):
    rows, count = ROWS // 2000 * 1000, min(N, 3)
    with Server("mysql") as s:
        runs = log_of(s, CHANGES, rows, rows // 1000, count)
    binlog(r, s, "mysql_binlog", "binlog, transactions of 1,000", runs, rows, 0.80)


def mariadb_giant(r):
    count = min(N, 3)
    with Server("mariadb") as s:
        daemons, most = s.stopped(count), []
        s.sql(fill(0, ROWS))
        for i, d in enumerate(daemons):
            most.append(catch_up(d, ROWS)["memory"])
            if i == 0:
                check_topic(f"{d.id}.{s.database}.orders", ROWS)
            d.close()
    r.add("mariadb_memory_one_transaction", f"MariaDB: most resident memory, one transaction of {ROWS:,} rows", "MB", most,
          128, at_least=False, digits=1)


def mariadb_wide(r):
    count = min(N, 3)
    limit = BIG + (1 << 20)
    with Server("mariadb") as s:
        s.sql("create table wide (id bigint primary key, body longblob)")
        daemons = s.stopped(count, "wide", topics=f", config: {{max.message.bytes: {limit}, segment.bytes: 1073741824}}",
                            daemon=f", max_row_bytes: {limit >> 20}MiB")
        s.sql("insert into wide values (1, %s)", values=(os.urandom(BIG),))
        most = []
        for d in daemons:
            most.append(catch_up(d, 1)["memory"])
            check_topic(f"{d.id}.{s.database}.wide", 1)
            d.close()
    r.add("mariadb_memory_wide", f"MariaDB: most resident memory, one row of {BIG >> 20} MiB of noise", "MB", most, 256,
          at_least=False, digits=1)


def mariadb_snapshot(r):
    with Server("mariadb") as s:
        s.sql(fill(1, ROWS), "analyze table orders")
        runs = snapshots(s.daemon, lambda: bare("my_bare_select", s.host, s.port, s.database, "orders"),
                         lambda d: f"{d.id}.{s.database}.orders", ROWS)
    snapshot_figures(r, "mariadb_snapshot", ("mariadb_reader", "bare prepared-statement reader"), runs, ROWS, "MariaDB: ")


def mariadb_latency(r):
    seconds = int(os.environ.get("BENCH_LATENCY_SECONDS", "60")) // 2
    times = []
    with Server("mariadb") as s:
        s.sql("create table notes (id bigint primary key, note text)", "insert into notes values (0, 'for its topic')")
        d = s.daemon("notes")
        try:
            for i in range(min(N, 3)):
                times.append(latency_once(d, "stream from", "my_latency", f"{s.host}:{s.port}", s.database + ".notes",
                                          f"{d.id}.{s.database}.notes", seconds, i))
                say(times[-1])
        finally:
            d.close()
    r.add("mariadb_latency_p50", f"MariaDB: COMMIT to a read_committed consumer, 200 commits/s for {seconds} s", "ms",
          [t["p50_ms"] for t in times], 8, at_least=False)
    r.add("mariadb_latency_p99", "MariaDB: the same, 99th percentile", "ms", [t["p99_ms"] for t in times], 25, at_least=False)
    r.note("mariadb_latency", f"{said_of_commits(times)}. What it takes without a database is said at the figure of "
           "PostgreSQL.")


def sinks(r, name, rounds):
    with Server(name) as s:
        sink_figures(r, name + "_sink", rounds, "my_sink_methods", s.host, s.port, s.database, "0.3", rounds,
                     pid_of(name), of=s.title + " ")


def mariadb_sink(r):
    sinks(r, "mariadb", N)


def mysql_sink(r):
    sinks(r, "mysql", min(N, 3))


FIGURES = [mariadb_binlog, mariadb_small, mariadb_giant, mariadb_wide, mariadb_snapshot, mariadb_latency, mariadb_sink,
           mysql_binlog, mysql_sink]
