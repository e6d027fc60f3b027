#!/usr/bin/env python3
"""postgres-wal against somebody else's decoder: the same random transactions, from writers beside each other, read
by us through pgoutput and by test_decoding on a second slot, compared change by change."""
import random
import re
import sys
import threading
from decimal import Decimal

from pg_source_case import *  # noqa: F401,F403: the vocabulary of these tests

WRITERS, TRANSACTIONS = 3, 120
PART = re.compile(r"(\"(?:[^\"]|\"\")+\"|\w+)\[([^\]]*(?:\[\])?)\]:('(?:[^']|'')*'|[^ ]+)")
CHANGE = re.compile(r"table (\S+): (INSERT|UPDATE|DELETE|TRUNCATE):(?: old-key: (.*?) new-tuple:)? ?(.*)$", re.S)
OPS = {"INSERT": "c", "UPDATE": "u", "DELETE": "d", "TRUNCATE": "t"}


def theirs(text):
    """name -> value as text, None, or absent where the value was not in the log."""
    row = {}
    for name, _, value in PART.findall(text):
        if value == "unchanged-toast-datum":
            continue
        row[name.strip('"')] = None if value == "null" else value[1:-1].replace("''", "'") if value[0] == "'" else value
    return row


def ours(row):
    """The same from the probe's JSON."""
    def plain(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, dict):
            return "\\x" + v["$bytes"]
        return v if v is None else str(v)
    return {k: plain(v) for k, v in (row or {}).items()}


def known(row):
    """Without NULLs: test_decoding leaves them out of old keys and rows. Numbers by value."""
    def number(v):
        return str(Decimal(v).normalize()) if re.fullmatch(r"-?\d+(\.\d+)?", v) else v
    return {k: number(v) for k, v in row.items() if v is not None}


def their_changes(d, slot):
    """[(xid, [(op, table, before, after)])] in commit order, transactions without rows left out."""
    out, now = [], None
    for xid, text in d.sql("SELECT xid::text, data FROM pg_logical_slot_get_changes(%s, NULL, NULL,"
                           " 'skip-empty-xacts', '1', 'include-xids', '1')", slot):
        if text.startswith("BEGIN"):
            now = []
        elif text.startswith("COMMIT"):
            out.append((xid, now))
        else:
            table, op, old, row = CHANGE.match(text).groups()
            if op == "TRUNCATE":  # one line for all its tables
                now += [("t", t, {}, {}) for t in table.split(", ")]
                continue
            before = theirs(old or (row if op == "DELETE" else ""))
            now.append((OPS[op], table, known(before), known(theirs(row)) if op != "DELETE" else {}))
    return out


def our_changes(r):
    out, now = [], []
    for e in r.lines:
        if e.get("op") in OPS.values():
            before = ours(e.get("before")) if e["op"] in "ud" else {}
            after = ours(e.get("after")) if e["op"] in "cu" else {}
            now.append((e["op"], e["table"], known(before), known(after)))
        elif e.get("op") == "COMMIT":
            out.append(now)
            now = []
    return out


def writer(d, number, failed):
    try:
        rnd = random.Random(number)
        c = d.connect(d.dsn)
        c.autocommit = False
        q = c.cursor()
        for n in range(TRANSACTIONS):
            for _ in range(rnd.randint(1, 8)):
                change(q, rnd, number)
            if rnd.random() < 0.2:
                q.execute("SAVEPOINT s")
                change(q, rnd, number)
                q.execute("ROLLBACK TO s" if rnd.random() < 0.5 else "RELEASE s")
            c.rollback() if rnd.random() < 0.15 else c.commit()
        c.close()
    except Exception as e:  # shown by the test
        failed.append(e)


def change(q, rnd, number):
    """One statement on rows of this writer."""
    t = rnd.choice(["plain", "whole", "toasted"])
    key = number * 1000 + rnd.randint(0, 30)
    text = rnd.choice(["", "it's", "a 'b' [c]:d", "null", "new-tuple:", "na\u00efve \u8868", None])
    what = rnd.random()
    if what < 0.45:
        q.execute("INSERT INTO %s(id, v, n, b, day) VALUES (%%s, %%s, %%s, %%s, %%s) ON CONFLICT (id) DO UPDATE"
                  " SET v = excluded.v, n = excluded.n" % t,
                  (key, text, Decimal(rnd.randint(-99999, 99999)) / 100, rnd.random() < 0.5, "2024-02-%02d" % rnd.randint(1, 29)))
    elif what < 0.65:
        q.execute("UPDATE %s SET v = %%s WHERE id = %%s" % t, (text, key))
    elif what < 0.8:
        q.execute("UPDATE %s SET id = id + 100 WHERE id = %%s AND NOT EXISTS (SELECT FROM %s WHERE id = %%s + 100)" % (t, t),
                  (key, key))
    elif what < 0.9:
        q.execute("UPDATE toasted SET big = repeat(md5(%s::text), 300) WHERE id = %s", (rnd.random(), key))
    else:
        q.execute("DELETE FROM %s WHERE id = %%s" % t, (key,))


@db_test
def as_test_decoding_says(d):
    for t in ("plain", "whole", "toasted"):
        d.sql("CREATE TABLE %s(id int PRIMARY KEY, v text, n numeric(10,2), b boolean, day date, big text)" % t)
    d.sql("ALTER TABLE whole REPLICA IDENTITY FULL; ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL")
    d.publish()
    d.start()
    slot = d.slot + "_other"
    d.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", slot)
    failed, threads = [], []
    for n in range(WRITERS):
        threads.append(threading.Thread(target=writer, args=(d, n + 1, failed)))
        threads[-1].start()
    for t in threads:
        t.join()
    expect(failed, [], "writers")
    d.sql("BEGIN; TRUNCATE plain; ALTER TABLE whole ADD extra int DEFAULT 5; INSERT INTO whole(id, v) VALUES (1, 'new');"
          "INSERT INTO plain(id) VALUES (1); COMMIT")
    want = their_changes(d, slot)
    got = our_changes(d.stream(len(want), batch=50))
    expect(len(got), len(want), "transactions")
    changes = 0
    for mine, (xid, other) in zip(got, want):
        expect(len(mine), len(other), "changes of transaction %s" % xid)
        for a, b in zip(mine, other):
            compare(a, b, xid)
            changes += 1
    expect(changes > WRITERS * TRANSACTIONS * 2, True, "enough was compared (%d)" % changes)


def compare(a, b, xid):
    expect(a[:2], b[:2], "operation in transaction %s" % xid)
    expect(a[2], b[2], "before, of %s %s in transaction %s" % (b[0], b[1], xid))
    missing = set(a[3]) - set(b[3])  # we take an unchanged TOASTed value from the old row, or read it again
    expect(missing <= {"big"}, True, "columns that only we have: %s" % missing)
    expect({k: v for k, v in a[3].items() if k not in missing}, b[3], "after, of %s %s in transaction %s" % (b[0], b[1], xid))


if __name__ == "__main__":
    sys.exit(main())
