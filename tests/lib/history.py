"""What the tests of write.mode history share: a source whose audit trigger writes a ledger, writers, and the
comparison of a history with it. A history is rows (id, v, n, big, from, until, current) in the order of id and from,
times as datetimes in UTC."""
import contextlib
import random
import threading
from datetime import timedelta

import psycopg2
from harness import connect, eventually

AUDIT = """
create table t (id int primary key, v text, n int, big text);
create table ledger (seq bigserial, id int, gone bool, v text, n int, big text, txid bigint, at timestamp);
create function audit() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.id <> old.id) then
        insert into ledger (id, gone, txid, at) values (old.id, true, txid_current(), clock_timestamp() at time zone 'UTC');
    end if;
    if tg_op <> 'DELETE' then
        insert into ledger (id, gone, v, n, big, txid, at)
        values (new.id, false, new.v, new.n, new.big, txid_current(), clock_timestamp() at time zone 'UTC');
    end if;
    return null;
end $$;
create trigger audit after insert or update or delete on t for each row execute function audit();
create publication pub for table t
"""
BIG = "(select string_agg(md5(i::text || random()), '') from generate_series(1, 120) i)"


class Writer:
    """Threads that change t, each in transactions of up to four statements; keys come, go and change."""

    def __init__(self, p, seed, threads=2):
        self.p, self.rng, self.count, self.over = p, random.Random(seed), 0, threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(random.Random(seed + i),)) for i in range(threads)]

    def fill(self, rows):
        self.p.sql(f"insert into t select i, 'row ' || i, i, {BIG} from generate_series(1, {rows}) i")

    def write(self, rng):
        c = connect(self.p.source)
        c.autocommit = False
        while not self.over.is_set():
            with contextlib.suppress(psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation):
                for _ in range(rng.choice([1, 1, 2, 4])):
                    self.change(c.cursor(), rng)
                c.commit()
                self.count += 1
                continue
            c.rollback()
        c.close()

    def change(self, q, rng):
        key, what = rng.randrange(1, 60), rng.random()
        if what < 0.15:
            q.execute("delete from t where id = %s", (key,))
        elif what < 0.25:
            q.execute("update t set id = id + 100 where id = %s and not exists (select 1 from t x where x.id = %s)", (key, key + 100))
        elif what < 0.35:
            q.execute("delete from t where id = %s; insert into t values (%s, 'anew', %s, null)", (key, key, rng.randrange(1000)))
        elif what < 0.8:  # big is not in the log
            q.execute("update t set v = %s, n = n + 1 where id = %s", (rng.choice(["a", "A", "", None, "é\U0001f600"]), key))
        elif what < 0.85:
            q.execute("update t set v = v where id = %s", (key,))
        else:
            q.execute(f"insert into t values (%s, 'w', %s, {BIG}) on conflict (id) do update set big = excluded.big, n = excluded.n",
                      (key, rng.randrange(1000)))

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join()


def ledger(p):
    """By key: [(values or None: gone, transaction, when its trigger ran)]; what changed nothing is left out."""
    keys = {}
    for key, gone, v, n, big, txid, at in p.sql("select id, gone, v, n, big, txid, at from ledger order by seq"):
        steps = keys.setdefault(key, [])
        values = None if gone else (v, n, big)
        if not steps and gone or steps and steps[-1][0] == values:
            continue
        steps.append((values, txid, at))
    return keys


def compare(rows, keys, first=None):
    """first: the transactions whose rows a snapshot brought, which says not when they were committed."""
    slack = timedelta(microseconds=1000)
    got = {}
    for key, v, n, big, begin, end, now in rows:
        got.setdefault(key, []).append(((v, n, big), begin, end, now))
    assert set(got) == set(keys), sorted(set(got) ^ set(keys))[:10]
    for key, steps in keys.items():
        states = got[key]
        at = 0
        for i, (values, txid, when) in enumerate(steps):
            after = steps[i + 1] if i + 1 < len(steps) else None
            if values is None:
                continue
            assert at < len(states), f"key {key}: the history ends before state {i} of {len(steps)}"
            state, begin, end, now = states[at]
            assert state == values, f"key {key}: state {i} is {values}, the history has {state}"
            assert begin >= when or txid == first, f"key {key}: state {i} begins {begin}, its change was at {when}"
            assert after is None or after[1] == txid or txid == first or begin <= after[2] + slack, f"key {key}: {i} begins at {begin}, after {after[2]}"
            assert (end is None) == (after is None) == bool(now), f"key {key}: state {i}: until {end}, current {now}"
            assert end is None or end > begin, f"key {key}: state {i} is from {begin} until {end}"
            if after is not None and after[0] is not None:
                assert at + 1 < len(states), f"key {key}: no state after {i}"
                assert states[at + 1][1] == end, f"key {key}: until {end}, the next from {states[at + 1][1]}"
            elif after is not None:
                assert end >= after[2], f"key {key}: gone at {after[2]}, the history has {end}"
                assert at + 1 == len(states) or states[at + 1][1] >= end, f"key {key}: it overlaps at {end}"
            at += 1
        assert at == len(states), f"key {key}: {len(states)} states, the ledger has {at}"


def same_as_ledger(p, history, seconds=90):
    """Until it is. history(p): the rows, or None."""
    first = p.sql("select txid from ledger order by seq limit 1")[0][0]
    said = [None]

    def probe():
        assert p.daemon.poll() is None, p.daemon.returncode
        try:
            compare(history(p) or [], ledger(p), first)
            return True
        except AssertionError as e:
            said[0] = e
            return False
    try:
        eventually("the ledger's history", probe, seconds, 0.3)
    except AssertionError as e:
        raise AssertionError(f"{e}: {said[0]}") from None
