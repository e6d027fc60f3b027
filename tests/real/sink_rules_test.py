#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""A sink's rules for topics: filter, left-out, renamed, computed and masked columns and what messages say, into PostgreSQL,
MariaDB and SQLite, from topics with old rows' keys and from plain rows, while the daemon is killed. What the targets hold in the end is
the filtered source; a sink without rules is the control. Rules that do not go with a topic hold it, and no other."""
import decimal
import hashlib
import hmac
import json
import os
import random
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mysql  # noqa: E402
import psycopg2  # noqa: E402
from harness import CONFIG, Pipeline, case, eventually, finish, read_topics, topics_of  # noqa: E402

KEY = "correct horse battery staple"
BASE = CONFIG.replace("cache_dir: {dir}/cache", 'cache_dir: {dir}/cache, mask_key: "${{env:MASK_KEY}}"')
SOURCE = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: pub, slot: {slot}}}
    tables:
      public.t: {{TABLE}}
      public.s: {{envelope: state}}
"""
SHAPE = """{{into: "${{table}}_open", filter: "status <> 'draft'", columns: {{
        rename: {{id: order_id}}, exclude: [note], mask: {{email: hash}}, types: {{net: "decimal(12,2)"}},
        derive: {{is_big: "total > 100", net: "round(total / 1.25, 2)"}}, message: {{said: op, part: partition, trace: "header:nothing"}}}}}}"""
RULES = f"""
      "{{id}}.public.t": {SHAPE}
      "/public[.]s$/": {SHAPE}
"""
TABLE = """(id int primary key, status varchar(20), total numeric(12,2) not null, email text, note text)"""


def hashed(text):
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


MARIADB, WHY = mysql.add_server("mariadb")


class Rules(Pipeline):
    """A pipeline that may have a database of MariaDB, too."""
    my = None

    def values(self):
        if MARIADB and self.my is None:
            root = os.environ["MARIADB_DSN"]
            self.at_maria(root, f"create database `{self.id}`")
            self.my = root.rsplit("/", 1)[0] + "/" + self.id
        return dict(super().values(), my=self.my)

    def at_maria(self, dsn, text):
        c = mysql.connect(dsn)
        try:
            return [tuple(r) for r in mysql.run(c, text) or []]
        finally:
            c.close()

    def close(self):
        if self.my is not None:
            self.at_maria(self.my, f"drop database `{self.id}`")
        super().close()


def pipeline(config):
    p = Rules(config)
    p.env["MASK_KEY"] = KEY
    p.write(config, BASE)
    return p


def sinks(rules, *only, more=""):
    """Block style; rules: of each sink but `plain`."""
    out = "sinks:\n"
    for name, where, into in (("dw", "type: postgres\n    dsn: {target}", None),
                              ("maria", "type: mariadb\n    dsn: '{my}'", None),
                              ("lite", "type: sqlite\n    path: {dir}/target.db", None),
                              ("plain", "type: postgres\n    dsn: {target}", "plain_${{table}}")):
        if only and name not in only or name == "maria" and not (MARIADB and not only):
            continue
        out += f"""  {name}:
    {where}
    from: ["{{id}}.public.t", "{{id}}.public.s"]
    create: run
    write: {{{{every: 50ms, batch: 7}}}}
{more}"""
        out += f'    into: "{into}"\n' if into else f"    topics:{rules}"
    return out


def query(p, sql, on=None):
    """Of a database that may not have the table yet: None."""
    try:
        return p.sql(sql, on=on or p.target)
    except psycopg2.errors.UndefinedTable:
        return None


def lite(p, sql):
    c = sqlite3.connect(os.path.join(p.dir, "target.db"), timeout=30)
    try:
        return c.execute(sql).fetchall()
    except sqlite3.OperationalError as e:
        assert "no such table" in str(e), e
        return None
    finally:
        c.close()


def number(v):
    return None if v is None else decimal.Decimal(str(v)).quantize(decimal.Decimal("0.01"))


def wanted(p, table):
    """What the source's rows are by the rules, in this test's own words."""
    out = []
    for key, status, total, email in p.sql(f"select id, status, total, email from {table} order by id"):
        if status is None or status != "draft":
            net = (total / decimal.Decimal("1.25")).quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP)
            out.append((key, status, total, email and hashed(email), total > 100, net))
    return out


def held(p, table):
    sql = f"select order_id, status, total, email, is_big, net from {table}_open order by 1"
    maria = None
    if MARIADB:
        try:
            maria = p.at_maria(p.my, sql)
        except Exception as e:
            assert "doesn't exist" in str(e), e
    shape = lambda rows: rows and [(a, b, number(c), d, bool(e), number(f)) for a, b, c, d, e, f in rows]  # noqa: E731
    return [shape(rows) or [] for rows in (query(p, sql), lite(p, sql)) + ((maria,) if MARIADB else ())]


def everything(p):
    """Whether the targets are what the source is, for each table."""
    for table in ("t", "s"):
        want = wanted(p, table)
        if any(rows != want for rows in held(p, table)):
            return False
    return True


def setup(p, table=TABLE):
    for name in ("t", "s"):
        p.sql(f"create table {name} {table}")
    p.sql("alter table s replica identity full; create publication pub for table t, s")


def change(p, rng, live):
    """One change of one of the tables; notes which rows once passed."""
    table = rng.choice("ts")
    rows = live[table]
    what = rng.random()
    key = rng.randrange(60)
    status = rng.choice(["draft", "draft", "paid", "open", None])
    if key not in rows:
        p.sql(f"insert into {table} values (%s, %s, %s, %s, 'note')", key, status,
              rng.randrange(1, 30000) * decimal.Decimal("0.05"), rng.choice([None, f"ann{key}@mail.example"]))
    elif what < 0.15:
        p.sql(f"delete from {table} where id = %s", key)
        rows.pop(key)
        return
    elif what < 0.25 and key + 1000 not in rows:  # its key changes
        p.sql(f"update {table} set id = id + 1000, status = %s where id = %s", status, key)
        rows.pop(key)
        key += 1000
    else:
        p.sql(f"update {table} set status = %s, total = total + 1 where id = %s", status, key)
    if status == "draft" and rows.get(key, "draft") != "draft":
        live["left"] += 1
    rows[key] = status


def stores():
    p = pipeline(SOURCE.replace("TABLE", "") + sinks(RULES))
    rng = random.Random(7)
    live = {"t": {}, "s": {}, "left": 0}
    with case("sink_rules.stores", p):
        setup(p)
        for _ in range(60):
            change(p, rng, live)
        for turn in range(4):
            p.start()
            eventually("the targets to be the filtered source", lambda: everything(p), 90)
            for _ in range(60):
                change(p, rng, live)
            if turn % 2 == 0:
                p.kill()
            else:
                assert p.stop() == 0, p.log(True)[-800:]
            for _ in range(10):
                change(p, rng, live)
        p.start()
        eventually("the targets to be the filtered source", lambda: everything(p), 90)
        assert live["left"] > 5, live["left"]
        assert len(held(p, "t")) == (3 if MARIADB else 2)
        for table in "ts":  # the control: all rows, and what the rules hide
            count = p.sql(f"select count(*) from {table}")
            eventually("all rows without rules", lambda: query(p, f"select count(*) from plain_{table}") == count)
            assert count[0][0] > len(wanted(p, table)) > 5
            assert p.sql(f"select count(*) from plain_{table} where email like '%@mail%' and note = 'note'", on=p.target)[0][0] > 0
        said = {r[0] for r in p.sql("select distinct said from t_open", on=p.target)}
        assert said & {"c", "u"} and said <= {"c", "u", "r"}, said
        assert p.sql("select count(*) from t_open where part is null or trace is not null", on=p.target) == [(0,)]
        columns = {r[0] for r in p.sql("select column_name from information_schema.columns where table_name = 't_open'", on=p.target)}
        assert columns == {"order_id", "status", "total", "email", "is_big", "net", "said", "part", "trace",
                           "_freshet_position"}, columns
        assert p.stop() == 0
        assert "mail.example" not in p.log()
        code, out, err = p.verb("verify", "src/public.t", "--sink", "dw")
        assert code == 2 and "verify.rules" in out + err, (code, out, err)
    p.close()


def field_goes_away():
    """A field that the filter reads is dropped: that topic waits, and goes on without the filter."""
    config = SOURCE.replace("TABLE", "schema: {{on_change: {{drop_column: evolve}}}}")
    more = "    on_change: {{drop_column: ignore}}\n    errors: {{mode: dlq}}\n"  # it is no message's fault
    p = pipeline(config + sinks(RULES, "dw", more=more))
    with case("sink_rules.field_goes_away", p):
        setup(p)
        p.sql("insert into t values (1, 'paid', 10, 'a@b', 'n'); insert into s values (1, 'paid', 10, 'a@b', 'n')")
        p.start()
        eventually("the first rows", lambda: query(p, "select count(*) from t_open") == [(1,)]
                   and query(p, "select count(*) from s_open") == [(1,)])
        p.sql("alter table t drop column status; insert into t values (2, 20, 'b@b', 'n')")
        p.sql("insert into s values (2, 'paid', 20, 'a@b', 'n')")
        p.says("is blocked since", "filter.no_such_column", "freshet.yaml")
        eventually("the other topic to go on", lambda: query(p, "select count(*) from s_open") == [(2,)])
        assert p.sql("select count(*) from t_open", on=p.target) == [(1,)]
        assert f"freshet.{p.id}.dlq" not in topics_of(p.bootstrap, f"freshet.{p.id}"), "there are dead letters"
        code, out, _ = p.verb("plan")
        assert code == 4 and "filter.no_such_column" in out, (code, out)
        assert p.stop() == 0
        p.write(config + sinks(RULES.replace("filter: \"status <> 'draft'\", ", "", 1), "dw", more=more), BASE)
        p.start()
        eventually("the topic to go on", lambda: query(p, "select order_id, status from t_open order by 1") == [(1, "paid"), (2, None)])
        assert p.stop() == 0
    p.close()


def two_patterns():
    """Two patterns that take the same topic: that one waits, and no other."""
    both = '\n      "/public[.]/": {{columns: {{exclude: [note]}}}}\n      "/[.]t$/": {{columns: {{mask: {{email: hash}}}}}}\n'
    p = pipeline(SOURCE.replace("TABLE", "") + sinks(both, "dw"))
    with case("sink_rules.two_patterns", p):
        setup(p)
        p.sql("insert into t values (1, 'paid', 10, 'a@b', 'n'); insert into s values (1, 'paid', 10, 'a@b', 'n')")
        p.start()
        p.says("is blocked since", "config.two_patterns")
        eventually("the other topic to go on", lambda: query(p, "select count(*) from s") == [(1,)])
        assert p.stop() == 0
    p.close()


def values_not_logged():
    """A large value that did not change: a row that the target may not have is not patched; without that column it is."""
    p = pipeline(SOURCE.replace("TABLE", "") + sinks('\n      "{id}.public.t": {{filter: "status <> \'draft\'"}}\n', "dw"))
    with case("sink_rules.values_not_logged", p):
        setup(p)
        p.sql("alter table t alter note set storage external")
        p.sql("insert into t values (1, 'draft', 1, null, repeat('x', 9000)), (2, 'paid', 1, null, repeat('y', 9000))")
        p.sql("insert into s values (1, 'paid', 1)")
        p.start()
        eventually("the row that passes", lambda: query(p, "select id from t") == [(2,)])
        p.sql("update t set status = 'draft' where id = 2")
        eventually("it to be gone", lambda: query(p, "select id from t") == [])
        p.sql("update t set status = 'paid' where id = 1")
        p.says("is blocked since", "filter.absent", "column note")
        assert p.sql("select id from t", on=p.target) == []
        assert p.stop() == 0
        p.write(SOURCE.replace("TABLE", "") + sinks(
            '\n      "{id}.public.t": {{filter: "status <> \'draft\'", columns: {{exclude: [note]}}}}\n', "dw"), BASE)
        p.start()
        eventually("the row without the column", lambda: query(p, "select id, status from t") == [(1, "paid")])
        assert p.stop() == 0
    p.close()


def dead_letters():
    """A row that an expression has no value for is set aside as it came, and goes again once the expression is right."""
    derive = '\n      "{id}.public.t": {{columns: {{derive: {{n: "EXPR"}}, types: {{n: long}}, mask: {{email: redact}}}}}}\n'
    def config(expr):
        return SOURCE.replace("TABLE", "") + sinks(derive.replace("EXPR", expr), "dw", more="    errors: {{mode: dlq}}\n")
    p = pipeline(config("json_extract(note, '$.n')"))
    with case("sink_rules.dead_letters", p):
        setup(p)
        p.sql("""insert into t values (1, 'paid', 1, 'a@mail.example', '{"n": 7}'), (2, 'paid', 1, 'b@mail.example', 'no JSON')""")
        p.sql("insert into s values (1, 'paid', 1)")
        p.start()
        eventually("the good row", lambda: query(p, "select id, n, email from t") == [(1, 7, "***")])
        p.sql("update t set total = 5 where id = 2")
        def letters():
            return [m for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"]) if m.value() is not None]
        both = eventually("both letters of the key", lambda: (lambda m: len(m) == 2 and m)(letters()))
        mine = [m for m in p.messages("t") if p.registry.decode(m.key())["id"] == 2]
        assert [m.value() for m in both] == [m.value() for m in mine], "not the bytes that came"
        assert "no JSON" not in p.log() and "mail.example" not in p.log()
        assert p.stop() == 0
        p.write(config("iif(json_valid(note), json_extract(note, '$.n'), -1)"), BASE)
        code, out, err = p.verb("dlq", "retry", "--sink", "dw", "--yes")
        assert code == 0, (code, out, err)
        rows = p.sql("select id, total, n, email from t order by id", on=p.target)
        assert rows == [(1, 1, 7, "***"), (2, 5, -1, "***")], rows
        p.start()
        p.sql("insert into t values (3, 'paid', 1, null, 'no')")
        eventually("the sink to go on", lambda: query(p, "select n from t where id = 3") == [(-1,)])
        assert p.stop() == 0
    p.close()


def plan_and_validate():
    """What is wrong is said before anything runs, with its place and what to do."""
    def config(rules):
        return SOURCE.replace("TABLE", "") + sinks(rules, "dw")
    p = pipeline(config(RULES))
    with case("sink_rules.plan_and_validate", p):
        setup(p)
        p.sql("insert into t values (1, 'paid', 1, null, null); insert into s values (1, 'paid', 1, null, null)")
        code, out, err = p.verb("plan", "--sql", os.path.join(p.dir, "plan.sql"))
        made = open(os.path.join(p.dir, "plan.sql")).read()
        assert code == 0 and "t_open" in out and "order_id" in made and "note" not in made, (code, out, err, made)
        for rules, code, words in (
                ('"{id}.public.u": {{filter: "a = 1"}}', 2, ["config.conflict", "add it to from"]),
                ('"{id}.public.t": {{filter: "a = = 1"}}', 2, ["filter.syntax"]),
                ('"{id}.public.t": {{columns: {{message: {{x: y}}}}}}', 2, ["header:NAME"]),
                ('"{id}.public.t": {{columns: {{types: {{total: long}}}}}}', 2, ["no field of columns.derive"]),
                ('"{id}.public.t": {{columns: {{mask: {{email: what}}}}}}', 2, ["config.bad_value", "keep_last"]),
                ('"{id}.public.t": {{method: log}}', 2, ["config.unknown_key"]),
        ):
            p.write(config(f"\n      {rules}\n"), BASE)
            got, out, err = p.verb("validate")
            assert got == code and all(w in out + err for w in words), (rules, got, out, err)
        for rules, words in (
                ('"{id}.public.t": {{filter: "stat <> \'draft\'"}}', ["filter.no_such_column", "freshet.yaml:", "did you mean status?"]),
                ('"{id}.public.t": {{columns: {{exclude: [id]}}}}', ["config.key", "keep it"]),
                ('"{id}.public.t": {{columns: {{mask: {{id: "null"}}}}}}', ["config.key", "use hash"]),
                ('"{id}.public.t": {{columns: {{mask: {{emial: hash}}}}}}', ["config.unknown_column", "email"]),
                ('"{id}.public.t": {{columns: {{rename: {{email: note}}}}}}', ["config.field"]),
        ):
            p.write(config(f"\n      {rules}\n"), BASE)
            got, out, err = p.verb("plan")
            sink = out[out.find("SINK dw"):]
            assert got == 4 and all(w in sink for w in words), (rules, got, sink, err)
        p.write(config('\n      "{id}.public.t": {{filter: "total > 1", columns: {{mask: {{email: redact}}, derive: {{who: "lower(email)"}}}}}}\n'), BASE)
        got, out, err = p.verb("plan")
        sink = out[out.find("SINK dw"):]
        topic = f"topic {p.id}.public.t"
        assert got == 0 and f"{topic}: who reads column email, which is masked" in sink, (got, sink, err)
        assert f"{topic}: an update that lacks a value of status, email, note, because it is large" in sink, sink
        p.write(config('\n      "/nothing/": {{filter: "a = 1"}}\n'), BASE)
        got, out, err = p.verb("plan")
        assert got == 0 and "sink.rules.unused" in out, (got, out, err)
        p.write(config(RULES), BASE)
        got, out, err = p.verb("lineage", "src/public.t", "--json")
        sink = json.loads(out)["result"]["streams"][0]["sinks"][0]
        assert sink["table"] == "t_open" and sink["rules"]["filter"] == "status <> 'draft'", sink
        fields = {f["field"]: f for f in sink["fields"]}
        assert fields["order_id"]["from"] == ["id"] and fields["email"]["mask"] == "hash", fields
        assert fields["net"]["from"] == ["total"] and "note" not in fields and fields["said"]["message"] == "op", fields
    p.close()


def one_table():
    """Two topics into one table, with the topic in its key; without that it is refused; one topic into two tables by two sinks."""
    shard = '"/public/": {{into: all_of_them, key: [shard, id], columns: {{message: {{shard: topic}}}}}}'
    two = sinks(f"\n      {shard}\n", "dw", "lite", "plain")
    p = pipeline(SOURCE.replace("TABLE", "") + two)
    with case("sink_rules.one_table", p):
        setup(p)
        for table, status in (("t", "paid"), ("s", "open")):
            p.sql(f"insert into {table} select i, %s, i, null, 'n' from generate_series(1, 20) i", status)
        p.start()
        def all_rows():
            got = p.sql("select shard, id, status, total::int from all_of_them order by 1, 2", on=p.target)
            return got, lite(p, "select shard, id, status, cast(total as int) from all_of_them order by 1, 2")
        def want():
            return [(f"{p.id}.public.{t}", *r) for t in "st" for r in p.sql(f"select id, status, total::int from {t} order by 1")]
        def there():
            return query(p, "select 1 from all_of_them limit 1") and lite(p, "select 1 from all_of_them") and all_rows() == (want(), want())
        eventually("the rows of both", there)
        p.sql("update t set total = 100 where id < 5; delete from s where id between 3 and 8; delete from t where id = 20")
        p.kill()
        p.sql("delete from t where id = 3; update s set total = 7 where id = 9")
        p.start()
        eventually("the rows of both after a kill", there)
        assert len(want()) == 32
        for table in "ts":  # the same topics, by another sink
            assert eventually("a table each", lambda: query(p, f"select count(*) from plain_{table}") == p.sql(f"select count(*) from {table}"))
        assert p.stop() == 0
        p.write(SOURCE.replace("TABLE", "") + sinks('\n      "/public/": {{into: mixed}}\n', "dw"), BASE)
        code, out, err = p.verb("plan")
        assert code == 4 and "config.table_shared" in out, (code, out, err)
        p.sql("insert into t values (50, 'paid', 1); insert into s values (50, 'open', 1)")
        p.start()
        p.says("is blocked since", "config.table_shared")
        one = eventually("the first topic's rows", lambda: query(p, "select count(*), count(distinct status) from mixed"))
        assert one[0][1] == 1, one
    p.close()


def start_at():
    """A sink that begins at a time: what Kafka had before is not read, neither then nor after a restart."""
    p = pipeline(SOURCE.replace("TABLE", ""))
    with case("sink_rules.start_at", p):
        setup(p)
        p.sql("insert into t values (1, 'paid', 1); insert into s values (1, 'paid', 1)")
        p.start()
        p.wait_events("t", 1)
        last = max(m.timestamp()[1] for m in p.messages("t") + p.messages("s"))
        at = last // 1000 + 1  # the next whole second
        eventually("that second to be over", lambda: time.time() > at + 1)
        p.sql("insert into t values (2, 'paid', 1); insert into s values (2, 'paid', 1)")
        p.wait_events("t", 2)
        p.wait_events("s", 2)
        assert p.stop() == 0
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        p.write(SOURCE.replace("TABLE", "") + sinks("\n      {{}}\n", "dw", "plain", more=f"    start_at: {when}\n")
                .replace("    topics:\n      {{}}\n", ""), BASE)
        p.start()
        eventually("the later rows", lambda: query(p, "select id from t") == [(2,)] and query(p, "select id from s") == [(2,)])
        p.kill()
        p.sql("insert into t values (3, 'paid', 1)")
        p.start()
        eventually("the next row", lambda: query(p, "select id from t order by 1") == [(2,), (3,)])
        assert p.stop() == 0
        p.write(SOURCE.replace("TABLE", "") + sinks("", "plain", more="    start_at: yesterday\n"), BASE)
        code, out, err = p.verb("validate")
        assert code == 2 and "2026-11-26T08:00:00Z" in out + err, (code, out, err)
    p.close()


def each_event_is_a_row():
    """write.mode append: what never passed is left out, what leaves the filter is a marked row; the key may be left out."""
    rules = """\n      "{id}.public.t": {{filter: "status <> 'draft'", columns: {{exclude: [id, email], mask: {{note: {{keep_last: 2}}}}}}}}\n"""
    config = SOURCE.replace("TABLE", "") + sinks(rules, "lite").replace("write: {{every", "write: {{mode: append, deletes: soft, every")
    p = pipeline(config)
    with case("sink_rules.each_event_is_a_row", p):
        setup(p)
        p.sql("alter table t replica identity full; insert into s values (1, 'paid', 1)")
        p.sql("insert into t values (1, 'draft', 1, 'a@b', 'hidden'), (2, 'paid', 2, 'a@b', 'secret')")
        p.start()
        rows = lambda: lite(p, "select status, cast(total as int), note, _freshet_deleted from t order by rowid")  # noqa: E731
        eventually("the row that passes", lambda: rows() == [("paid", 2, "***et", 0)])
        p.sql("update t set total = 3 where id = 1")  # never there
        p.sql("update t set status = 'draft' where id = 2")  # leaves
        p.sql("delete from t where id = 2")  # was gone
        p.kill()
        p.sql("update t set status = 'open' where id = 1; delete from t where id = 1")
        p.start()
        want = [("paid", 2, "***et", 0), ("paid", 2, "***et", 1), ("open", 3, "***en", 0), ("open", 3, "***en", 1)]
        eventually("what became of both", lambda: sorted(rows()) == sorted(want))
        assert p.stop() == 0
        columns = [r[1] for r in lite(p, "pragma table_info(t)")]
        assert "id" not in columns and "email" not in columns, columns
    p.close()


CASES = [each_event_is_a_row, stores, one_table, start_at, field_goes_away, two_patterns, values_not_logged, dead_letters, plan_and_validate]
if not MARIADB:
    print(f"skip sink_rules.stores.mariadb: {WHY}")
for one in CASES:
    if not sys.argv[1:] or one.__name__ in sys.argv[1:]:
        one()
finish()
