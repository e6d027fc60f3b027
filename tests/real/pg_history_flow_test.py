#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""write.mode history from end to end: under writers, kills and a second snapshot the history of every key is what an
audit trigger in the source wrote down, without a gap or an overlap; dead letters; what validate, plan and verify say."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, eventually, finish, together  # noqa: E402
from history import AUDIT, Writer, compare, ledger, same_as_ledger  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}
    tables: {{public.t: {{TABLE}}}}
sinks:
  dwh:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    errors: {{mode: ERRORS}}
    write: {{mode: history, every: 50msMORE}}
"""
HISTORY = """select id, v, n, big, _freshet_valid_from at time zone 'UTC', _freshet_valid_to at time zone 'UTC',
    _freshet_current from t order by id, _freshet_valid_from"""
cases = []


def scenario(errors="stop", more="", table=""):
    def wrap(f):
        def run():
            p = Pipeline(CONFIG.replace("ERRORS", errors).replace("MORE", more).replace("TABLE", table))
            with case("pg_history_flow." + f.__name__, p):
                p.sql(AUDIT)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def history(p):
    """None while there is no table."""
    if p.sql("select to_regclass('t')", on=p.target)[0][0] is None:
        return None
    return p.sql(HISTORY, on=p.target)


def progress(p):
    if p.sql("select to_regclass('_freshet_offsets')", on=p.target)[0][0] is None:
        return 0
    return p.sql("select coalesce(sum(next_offset), 0) from _freshet_offsets", on=p.target)[0][0]


def snapshot(p):
    code, out, err = p.verb("snapshot", "start", "src/public.t", "-y")
    assert code == 0, out + err


def verify(p, *words):
    code, out, err = p.verb("verify", "src/public.t", "--sink", "dwh", "--json", "--load", "100", *words, timeout=120)
    answer = json.loads(out)
    return code, answer["error"] or answer["result"]


@scenario()
def killed_under_load(p):
    writer = Writer(p, 7)
    writer.fill(40)
    p.start()
    eventually("the first snapshot", lambda: len(history(p) or []) == 40, 60)
    writer.start()
    try:
        for n in range(6):
            before = progress(p)
            eventually("progress", lambda: progress(p) > before, 60)
            time.sleep(writer.rng.uniform(0, 0.3))
            p.kill()
            if n == 2:
                snapshot(p)
            p.start()
    finally:
        writer.stop()
    same_as_ledger(p, history)
    got, want, first = history(p), ledger(p), p.sql("select txid from ledger order by seq limit 1")[0][0]
    compare(got, want, first)
    assert len(got) > 150 and writer.count > 100, (len(got), writer.count)
    code, said = verify(p)
    assert code == 0 and said["differences"] == 0, said
    # A history without one of its states, with a changed one, a gap, or an overlap is seen.
    middle = next(i for i in range(1, len(got) - 1) if got[i - 1][0] == got[i][0] == got[i + 1][0])
    row = list(got[middle])
    for name, bad in (("a lost state", got[:middle] + got[middle + 1:]), ("a doubled one", got[:middle] + got[middle:middle + 1] + got[middle:]),
                      ("another value", got[:middle] + [tuple([row[0], "other"] + row[2:])] + got[middle + 1:]),
                      ("a gap", got[:middle] + [tuple(row[:4] + [row[4] + (row[5] - row[4]) / 2] + row[5:])] + got[middle + 1:])):
        try:
            compare(bad, want, first)
        except AssertionError:
            continue
        raise AssertionError("the check does not see " + name)
    p.sql("update t set v = 'planted' where ctid = (select ctid from t where _freshet_current limit 1)", on=p.target)
    code, said = verify(p)
    assert code == 4 and said["differences"] == 1, said
    code, said = verify(p, "--fix-sql", os.path.join(p.dir, "fix.sql"))
    assert code == 2 and said["code"] == "verify.history", said
    # and a snapshot mends it, as a state of its own
    states = len(got)
    snapshot(p)
    eventually("one state more", lambda: len(history(p)) == states + 1, 60)
    assert verify(p)[0] == 0


@scenario(errors="dlq")
def dead_letters_in_order(p):
    """A key that was set aside comes later, all of it and in order; its times are those of its commits."""
    p.sql("insert into t values (1, 'a', 1, 'x'), (2, 'b', 1, 'x')")
    p.start()
    eventually("two rows", lambda: len(history(p) or []) == 2)
    p.sql("alter table t add check (n < 100)", on=p.target)
    p.sql("update t set n = 500 where id = 1")
    p.sql("update t set n = 5 where id = 1; update t set n = 6 where id = 2")
    eventually("the other key", lambda: len(history(p)) == 3)
    p.sql("delete from t where id = 1")
    p.sql("insert into t values (1, 'again', 7, 'y'); update t set n = 8 where id = 2")
    eventually("the other key", lambda: len(history(p)) == 4)
    p.sql("alter table t drop constraint t_n_check", on=p.target)
    code, out, err = p.verb("dlq", "retry", "--all", "-y")
    assert code == 0, out + err
    same_as_ledger(p, history)
    code, out, err = p.verb("dlq", "retry", "--all", "-y")
    assert len(history(p)) == 7, history(p)
    p.sql("update t set n = 9 where id = 1")
    same_as_ledger(p, history)


@scenario(more=", truncate: apply", table="truncate: publish")
def truncated(p):
    p.sql("insert into t select i, 'v' || i, i, 'x' from generate_series(1, 30) i")
    p.start()
    eventually("30 rows", lambda: len(history(p) or []) == 30)
    p.sql("update t set n = n + 1 where id <= 5")
    p.sql("truncate t")
    eventually("all ended", lambda: not any(r[6] for r in history(p)))
    assert len(history(p)) == 35 and all(r[5] > r[4] for r in history(p))
    p.sql("insert into t values (1, 'new', 1, 'x')")
    eventually("a new beginning", lambda: [r[1] for r in history(p) if r[6]] == ["new"])


@scenario()
def said_before_it_runs(p):
    p.sql("insert into t values (1, 'a', 1, 'x')")
    assert p.verb("validate")[0] == 0
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    p.start()
    eventually("a row", lambda: len(history(p) or []) == 1)
    assert p.stop() == 0
    p.sql("drop table t", on=p.target)
    code, out, err = p.verb("plan", "--json")
    text = json.dumps(json.loads(out))
    assert "_freshet_valid_from" in text and "_freshet_current" in text, (code, out, err)
    code, out, err = p.verb("schema", "export", "src/public.t", "--as", "sql:postgres")
    assert code == 0 and '"_freshet_valid_to" timestamptz' in out, (code, out, err)
    for write, words in (("mode: history, deletes: soft", ("write.deletes", "leave write.deletes out")),):
        p.write(CONFIG.replace("ERRORS", "stop").replace("mode: history", write).replace("MORE", "").replace("TABLE", ""))
        code, out, err = p.verb("validate")
        assert code == 2 and all(w in out + err for w in words), (code, out, err)
    for kind, more in (("clickhouse", "dsn: 'http://127.0.0.1:8123/x'"), ("file", "path: /tmp/x, format: parquet")):
        p.write(CONFIG.replace("ERRORS", "stop").replace("MORE", "").replace("TABLE", "").replace("type: postgres\n    dsn: {target}", f"type: {kind}\n    " + more.replace(", ", "\n    ")))
        code, out, err = p.verb("validate")
        assert code == 2 and "write.mode" in out + err and "append" in out + err, (code, out, err)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    together([c for c in cases if not wanted or c.name in wanted], 2)
    finish()
