#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""money means what lc_monetary says: yen have no digits behind the point, dinars three. Snapshot and log say the same amount
as the database's own sessions do, and a target that counts otherwise is refused."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from decimal import Decimal  # noqa: E402

from harness import Pipeline, case, eventually, finish  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{}}
"""
POLLED = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    tables:
      public.t: {{method: query, poll: {{column: id, every: 100ms}}}}
"""
SINK = """
sinks:
  dst:
    type: postgres
    dsn: {target}
    from: ["{id}.public.t"]
    create: run
    write: {{every: 50ms}}
"""
AMOUNTS = ["0", "1", "-1", "1234567", "-1234567"]


def make_locale(name, data):
    """For the server of this data folder, which looks for its locales beside it."""
    place = os.path.join(os.path.dirname(data), "locales")
    os.makedirs(place, exist_ok=True)
    p = subprocess.run(["localedef", "-i", name, "-f", "UTF-8", os.path.join(place, name + ".UTF-8")], capture_output=True, text=True)
    assert p.returncode == 0 or os.path.exists(os.path.join(place, name + ".UTF-8", "LC_MONETARY")), p.stderr


def amounts(p, digits):
    """What the source's own sessions say: id -> amount. Never less than its smallest coin is shown."""
    rows = dict(p.sql("select id, m::numeric from t"))
    assert {-v.as_tuple().exponent for v in rows.values()} == {digits}, rows
    return rows


def works_with(name, digits):
    p = Pipeline(CONFIG)
    with case(f"pg_money.{name}", p):
        database = p.id
        if name != "C":
            make_locale(name, os.environ["PG_DATA"])
            p.sql(f"alter database {database} set lc_monetary = '{name}.UTF-8'")
        p.sql("create table t (id int primary key, m money, a money[]); create publication pub for table t")
        smallest = Decimal(1).scaleb(-digits)
        for i, amount in enumerate(AMOUNTS):  # half of them by the snapshot, half by the log
            p.sql(f"insert into t values ({i}, ({amount})::numeric::money, array[({amount})::numeric::money])")
        p.sql("insert into t values (90, (%s::numeric)::money, '{}')", smallest)
        p.start()
        p.wait_events("t", len(AMOUNTS) + 1)
        p.sql("insert into t select id + 100, m, a from t")
        p.wait_events("t", 2 * len(AMOUNTS) + 2)
        want = amounts(p, digits)
        got = {e["after"]["id"]: e["after"] for e in p.events("t")}
        assert {i: v["m"] for i, v in got.items()} == want, (got, want)
        assert want[90] == smallest and want[3] == 1234567, want
        for i in got:  # snapshot and log
            assert got[i]["a"] == got[(i + 100) % 200]["a"], got
        assert got[3]["a"] == f'["{want[3]}"]', got[3]
        p.stop()
        p.write(CONFIG + SINK)  # a numeric of the same digits
        p.start()
        eventually("the rows in the target", lambda: target(p) == want)
    p.close()


def target(p):
    try:
        return dict(p.sql("select id, m from t", on=p.target))
    except Exception:  # not there yet
        return None


def target_counts_otherwise():
    p = Pipeline(CONFIG)
    with case("pg_money.target_counts_otherwise", p):
        make_locale("ja_JP", os.environ["PG2_DATA"])
        p.sql("create table t (id int primary key, m money); create publication pub for table t; insert into t values (1, '12.34')")
        p.sql("create table t (id int primary key, m money)", on=p.target)
        p.sql(f"alter database {p.id} set lc_monetary = 'ja_JP.UTF-8'", on=p.target)
        p.write(CONFIG + SINK)
        code, out, err = p.verb("plan")
        assert code == 4 and "is money, which has 0 digits behind the point" in out and "numeric(19,0)" in out, (code, [x for x in out.splitlines() if "OK" not in x][-9:], err)
        p.start()
        p.says("is money, which has 0 digits behind the point", "make it numeric(19,0): ALTER TABLE")
        p.stop()
        p.sql(f"alter database {p.id} reset lc_monetary", on=p.target)
        p.start()
        eventually("the row in the target", lambda: p.sql("select m::numeric from t", on=p.target) == [(Decimal("12.34"),)])
    p.close()


def polled():
    """The same where the table is asked for what is new."""
    p = Pipeline(POLLED, target=False)
    with case("pg_money.polled", p):
        make_locale("ja_JP", os.environ["PG_DATA"])
        p.sql(f"alter database {p.id} set lc_monetary = 'ja_JP.UTF-8'")
        p.sql("create table t (id serial primary key, m money); insert into t (m) select i::numeric::money from generate_series(1, 3) i")
        p.start()
        p.wait_events("t", 3)
        p.sql("insert into t (m) values (1234567::numeric::money)")
        got = {e["after"]["id"]: e["after"]["m"] for e in p.wait_events("t", 4)}
        assert got == amounts(p, 0) and got[4] == 1234567, got
    p.close()


works_with("C", 2)
works_with("ja_JP", 0)
works_with("ar_BH", 3)
target_counts_otherwise()
polled()
finish()
