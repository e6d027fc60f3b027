#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""freshet verify: differences that were planted at the sink are found, each of them, and none where there is none; by
keys of every kind, under writers, behind a sink that lags; what cannot be compared is said; the repair SQL repairs."""
import json
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Pipeline, case, connect, eventually, finish  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}, heartbeat: 500ms}}
    tables: {{public.t: TABLE}}
sinks:
  out:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""
TABLE = """
create table t (id int primary key, v text, n numeric(20,4), f float8, g float4, b bytea, j jsonb, ok bool, u uuid,
    d date, at timestamptz, al timestamp, tod time, big bigint);
create publication pub for table t
"""
FILL = """insert into t select i, 'row ' || i, i / 3.0, i / 7.0, i / 9.0, decode(md5(i::text), 'hex'), jsonb_build_object('i', i),
    i %% 2 = 0, md5(i::text)::uuid, date '2020-01-01' + i, '2026-11-26 08:26:11.402+02'::timestamptz + i * interval '1 s',
    '1969-12-31 23:59:59.999999'::timestamp - i * interval '1 s', time '00:00:00.5' + i * interval '1 ms', i::bigint << 33
    from generate_series(1, %s) i"""
cases = []


def scenario(table="{{}}", sql=TABLE):
    def wrap(f):
        def run():
            p = Pipeline(CONFIG.replace("TABLE", table))
            with case("verify." + f.__name__, p):
                p.sql(sql)
                f(p)
            p.close()
        run.name = f.__name__
        cases.append(run)
        return f
    return wrap


def there(p, rows, table="t"):
    def probe():
        assert p.daemon.poll() is None, p.daemon.returncode
        return p.sql("select to_regclass(%s) is not null", table, on=p.target)[0][0] and p.sql(f"select count(*) from {table}", on=p.target)[0][0] == rows
    eventually(f"{rows} rows at the sink", probe, 90)


def verify(p, *words, table="src/public.t", code=None, timeout=180):
    got, out, err = p.verb("verify", table, "--json", "--load", "100", *words, timeout=timeout)
    answer = json.loads(out)
    assert code is None or got == code, (got, answer, err)
    return answer["result"] if answer.get("error") is None else answer


def found(r):
    return sorted((d["key"]["id"], d["what"], tuple(d["columns"])) for d in r["rows"])


@scenario()
def equal_and_one_of_each(p):
    p.sql(FILL, 1000)
    p.start()
    there(p, 1000)
    for mode in ([], ["--fast"], ["--full"], ["--chunk", "50"]):
        r = verify(p, *mode, code=0)
        assert (r["rows_source"], r["rows_sink"], r["differences"]) == (1000, 1000, 0), r
    p.sql("update t set v = 'other' where id = 7; delete from t where id = 8; insert into t (id) values (-5)", on=p.target)
    for mode in ([], ["--full"], ["--chunk", "50"]):
        r = verify(p, *mode, code=4)
        assert found(r) == [("-5", "extra", ()), ("7", "changed", ("v",)), ("8", "missing", ())], r
    r = verify(p, "--fast", "--chunk", "50", code=4)
    assert (r["differences"], r["chunks_unsettled"]) == (1, 0), r


def main():
    for c in cases:
        if len(sys.argv) < 2 or c.name in sys.argv[1:]:
            c()


main()
finish()
