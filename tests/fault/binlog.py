"""Fault scenarios of sources with a binlog: their connections, their servers' silence, a Kafka that hangs."""
import contextlib
import os
import time

import ledger
from binlogproxy import NAMES, QUERY, ROWS, STARTS, TABLE_MAP, XID, BinlogProxy
from network import progress, proxy_to, server_address, slow_kafka, source_resets
from pipeline import Failure, fault_run, figures, stack, wait_for, wait_rows


def asked(dsn, text):
    with contextlib.closing(ledger.connect(dsn)) as c:
        return ledger.mysql.run(c, text)


@contextlib.contextmanager
def setting(server, name, value):
    """A global variable of the server, for as long as it takes. Where there is no such server, Run says why."""
    there, _ = ledger.mysql.add_server(server)
    if not there:
        yield
        return
    root = os.environ[server.upper() + "_DSN"]
    before = asked(root, f"select @@global.{name}")[0][0]
    asked(root, f"set global {name} = {value}")
    try:
        yield
    finally:
        asked(root, f"set global {name} = {before}")


def said(r, text):
    """How often the daemon's log has it."""
    r.log.flush()
    with open(r.log.name, errors="replace") as f:
        return f.read().count(text)


def scenario_mariadb_source_resets(args):
    """The connections to MariaDB cut after a random number of bytes, again and again."""
    return source_resets(args, "mariadb")


def scenario_mysql_source_resets(args):
    """The same, with MySQL as the source."""
    return source_resets(args, "mysql")


def place_to_cut(r, n):
    """Of two cuts one is at the n-th event of a group, one at an event of a kind that each group has."""
    if n % 2 == 0:
        return lambda index, kind: index == n // 2 % 40
    kinds = [list(ROWS), [XID], [TABLE_MAP], STARTS, [QUERY, TABLE_MAP]][n // 2 % 5]
    skip = [r.random.randint(0, 3) if kinds[0] in (TABLE_MAP, *ROWS) else 0]

    def wanted(_, kind):
        if kind not in kinds:
            return False
        skip[0] -= 1
        return skip[0] < 0
    return wanted


def group_cuts(args, server):
    ledger.mysql.add_server(server)
    with BinlogProxy(server_address(server), args.seed) as proxy, \
            fault_run(args, source_port=proxy.port, server=server) as (r, w):
        r.start()
        wait_rows(r, 5)
        for n in range(args.kills):
            proxy.cut_at(place_to_cut(r, n))
            wait_for(r, f"cut {n} in a group", lambda: len(proxy.cuts) > n, 60)
            progress(r)
        if r.starts != 1:
            raise Failure(f"the daemon ended: exit codes {r.ended}")
        v = r.settle(w)
        kinds = {name for _, name, _, _ in proxy.cuts}
        inside = sum(0 < passed < size for _, _, passed, size in proxy.cuts)
        print(f"  cut at event (of a group), its kind, bytes that passed: {proxy.cuts}")
        if not {"GTID", "TABLE_MAP", "XID"} <= kinds or not kinds & set(ROWS.values()):
            raise Failure(f"of the kinds of events only {sorted(kinds)} were cut; {v}")
        return figures(v, r, cuts_in_groups=len(proxy.cuts), inside_an_event=inside,
                       at_kinds=" ".join(sorted(kinds)))


def scenario_mariadb_group_cuts(args):
    """The connection to MariaDB cut at each event of a group, at any byte of it."""
    return group_cuts(args, "mariadb")


def scenario_mysql_group_cuts(args):
    """The same, with MySQL as the source."""
    return group_cuts(args, "mysql")


# The reader found the line dead: without a heartbeat, or in the middle of a packet.
GAVE_UP = ("no heartbeat from the server", "stream: read the log: Lost connection")


def silence(args, server, begin, end, **more):
    """begin() makes the server silent, end() ends that: it must be noticed meanwhile."""
    longest = 0.0
    gave_up = lambda r: sum(said(r, text) for text in GAVE_UP)
    with fault_run(args, server=server, **more) as (r, w):
        r.start()
        wait_rows(r, 5)
        for _ in range(args.kills):
            time.sleep(r.random.uniform(0.2, 1.0))
            before = gave_up(r)
            begin()
            begun = time.time()
            try:
                wait_for(r, "the reader to notice a dead line", lambda: gave_up(r) > before, 40)
                longest = max(longest, time.time() - begun)
            finally:
                end()
            progress(r)
        if r.starts != 1:
            raise Failure(f"the daemon ended: exit codes {r.ended}")
        v = r.settle(w)
        return figures(v, r, silences=args.kills, noticed_within_s=round(longest))


def frozen(args, server):
    return silence(args, server, lambda: stack("freeze", server), lambda: stack("cont", server))


def scenario_mariadb_frozen(args):
    """SIGSTOP of the source's server, a MariaDB, until the reader gives it up; SIGCONT."""
    return frozen(args, "mariadb")


def scenario_mysql_frozen(args):
    """The same, with MySQL as the source."""
    return frozen(args, "mysql")


def swallowed(args, server):
    ledger.mysql.add_server(server)
    with proxy_to(server) as proxy:
        return silence(args, server, proxy.hold, proxy.release, source_port=proxy.port)


def scenario_mariadb_silent(args):
    """The network to the source's server, a MariaDB, swallows all packets until the reader gives up."""
    return swallowed(args, "mariadb")


def scenario_mysql_silent(args):
    """The same, with MySQL as the source."""
    return swallowed(args, "mysql")


def flood(r):
    """More than the daemon, the network and the server keep in memory: the server has to wait for us."""
    asked(r.source, "create table if not exists bulk (id bigint primary key auto_increment, body longtext)")
    for _ in range(15):
        asked(r.source, "insert into bulk (body) values " + ", ".join(["(repeat('flood ', 33000))"] * 50))


def slow_kafka_of(args, server):
    """The server would drop a reader that takes nothing for 5 s; we ask it for more patience."""
    with setting(server, "net_write_timeout", 5):
        return slow_kafka(args, server, flood)


def scenario_mariadb_slow_kafka(args):
    """Kafka hangs for 15 s and MariaDB (net_write_timeout 5 s) has 150 MB for us: its dump thread stays."""
    return slow_kafka_of(args, "mariadb")


def scenario_mysql_slow_kafka(args):
    """The same, with MySQL as the source."""
    return slow_kafka_of(args, "mysql")
