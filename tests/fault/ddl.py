"""Fault scenarios of tables that change under load, on servers with a binlog: files of 64 KiB, FLUSH LOGS, columns that
come and go, online schema changes as pt-online-schema-change and gh-ost make them, CREATE TABLE .. SELECT; and kills
of the daemon between, and while it happens."""
import concurrent.futures
import contextlib
import os
import threading
import time

import pymysql

import ledger
from binlog import asked, setting
from harness import Registry, read_topics
from network import progress
from pipeline import Failure, fault_run, figures, wait_for

COLUMNS = ", ".join(ledger.COLUMNS)


def insisted(dsn, text):
    """Writers are in the way, now and then."""
    for _ in range(50):
        try:
            return asked(dsn, text)
        except pymysql.OperationalError as e:
            if e.args[0] not in (1205, 1213):  # lock wait time-out, deadlock
                raise
    raise Failure(f"deadlocks without an end: {text}")


def rotate(r, _):
    for _ in range(5):
        asked(r.source, "flush logs")
        time.sleep(r.random.uniform(0.01, 0.2))


def columns(r, n):
    """The old way, then without touching a row; what the round before added goes."""
    asked(r.source, f"alter table t1 add column c{n} int default 7")
    asked(r.source, f"alter table t2 add column i{n} varchar(20) default 'instant', algorithm=instant")
    asked(r.source, f"alter table t1 modify payload {'medium' if n % 2 else ''}text")
    asked(r.source, f"alter table t1 drop column c{n}")
    asked(r.source, f"alter table t2 drop column i{n}")


def like_pt_osc(r, n):
    """Triggers keep the shadow table the same while it is filled; then both are renamed."""
    new = ", ".join("new." + c for c in ledger.COLUMNS)
    replace = f"replace into _t3_new ({COLUMNS}) values ({new})"
    for text in (
            "create table _t3_new like t3", f"alter table _t3_new add column osc{n} int default 5",
            "create trigger osc_d after delete on t3 for each row delete ignore from _t3_new where id = old.id",
            "create trigger osc_u after update on t3 for each row begin"
            f" delete ignore from _t3_new where old.id <> new.id and id = old.id; {replace}; end",
            f"create trigger osc_i after insert on t3 for each row {replace}"):
        asked(r.source, text)
    ids = [row[0] for row in asked(r.source, "select id from t3 order by id")]
    for at in range(0, len(ids), 200):
        last = ids[min(at + 199, len(ids) - 1)]
        insisted(r.source, f"insert ignore into _t3_new ({COLUMNS}) select {COLUMNS} from t3"
                           f" where id between {ids[at]} and {last} lock in share mode")
    asked(r.source, "rename table t3 to _t3_old, _t3_new to t3")
    asked(r.source, "drop table _t3_old")


def is_queued(r, statement):
    return asked(r.source, "select 1 from information_schema.processlist where state like 'Waiting for table%'"
                           f" and db = '{r.id}' and info like '{statement}%'")


def swap_under_lock(r):
    """Whether the rename was done: it may be chosen to end a deadlock with writers."""
    with contextlib.closing(ledger.connect(r.source)) as c, concurrent.futures.ThreadPoolExecutor(1) as pool:
        ledger.mysql.run(c, "lock tables t4 write, t4_gho write")
        swap = pool.submit(asked, r.source, "rename table t4 to t4_old, t4_gho to t4")
        ledger.mysql.run(c, f"insert into t4_gho ({COLUMNS}) select {COLUMNS} from t4")
        wait_for(r, "the rename to be queued", lambda: swap.done() or is_queued(r, "rename table t4"), 30)
        ledger.mysql.run(c, "unlock tables")
        try:
            swap.result()
        except pymysql.OperationalError as e:
            if e.args[0] not in (1205, 1213):
                raise
            return False
    return True


def like_gh_ost(r, n):
    """Writers wait at a lock while the rename is queued before them: it waits for t4 first, in the order of names."""
    while True:
        asked(r.source, "create table t4_gho like t4")
        asked(r.source, f"alter table t4_gho add column gho{n} bigint, drop column big, add column big text")
        if swap_under_lock(r):
            break
        asked(r.source, "drop table t4_gho")
    asked(r.source, "drop table t4_old")


def create_select(r, n):
    insisted(r.source, f"create table ctas{n} (primary key (id)) select {COLUMNS} from t1 order by id limit 300")


CHANGES = [rotate, columns, like_pt_osc, like_gh_ost, create_select]


def check_created(r, made):
    """Tables that the ledger does not know: each row once, and the same. (A snapshot may read what the log has told:
    a table that was not there at the last start is read at the next.)"""
    registry = Registry(os.environ["REGISTRY_URL"])
    for table in made:
        rows, seen = {}, []
        for m in read_topics(r.bootstrap, [f"{r.id}.{r.id}.{table}"]):
            if m.value() is not None:
                e = registry.decode(m.value())
                rows[e["after"]["id"]] = tuple(e["after"][c] for c in ledger.COLUMNS[1:])
                seen.append((e["op"], e["after"]["id"]))
        want = ledger.rows_of(r.source, table)
        if rows != want or len(seen) != len(set(seen)):
            raise Failure(f"{table}: {len(want)} rows at the source, {len(rows)} in its topic, by {len(seen)} events"
                          f" of which {len(set(seen))} differ")


def change(r, n):
    """Under the daemon's eyes, or while it is away, or it dies in the middle."""
    how = r.random.choice(["sees", "dead", "dies"])
    if how == "dead":
        r.kill()
    killer = threading.Timer(r.random.uniform(0, 0.3), r.kill) if how == "dies" else None
    if killer:
        killer.start()
    CHANGES[n % len(CHANGES)](r, n)
    if killer:
        killer.join()
    if not r.alive():
        r.start()
    progress(r)
    return how != "sees"


def ddl(args, server):
    killed, made = 0, []
    with setting(server, "max_binlog_size", 65536), fault_run(args, server=server) as (r, w):
        r.others = True
        r.start()
        progress(r)
        files = len(asked(r.admin[0], "show binary logs"))
        for n in range(args.kills):
            killed += change(r, n)
            if CHANGES[n % len(CHANGES)] is create_select:
                made.append(f"ctas{n}")
        v = r.settle(w)
        check_created(r, made)
        files = len(asked(r.admin[0], "show binary logs")) - files
        if files < args.kills:
            raise Failure(f"only {files} files of the log were written: nothing was rotated")
        return figures(v, r, changes=args.kills, kills=killed, files_of_the_log=files)


def scenario_mariadb_ddl(args):
    """MariaDB's log is rotated all the time, tables are altered, swapped and made under load; kills between."""
    return ddl(args, "mariadb")


def scenario_mysql_ddl(args):
    """The same, with MySQL as the source."""
    return ddl(args, "mysql")
