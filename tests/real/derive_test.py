#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Derived events: filter, computed, masked and renamed columns, from the logs of PostgreSQL and MariaDB and from polls. What
consumers hold in the end is the filtered source; what is masked is nowhere: a column that is not masked is the control."""
import collections
import contextlib
import decimal
import hashlib
import hmac
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, PG_SOURCE, Pipeline, case, eventually, finish, metric, read_topics, together, topics_of  # noqa: E402
from mysql import MY_SOURCE, MyPipeline, add_server  # noqa: E402

KEY = "correct horse battery staple"
BASE = CONFIG.replace("cache_dir: {dir}/cache", 'cache_dir: {dir}/cache, mask_key: "${{env:MASK_KEY}}"')
COMPACT = BASE.replace("partitions: 3", "partitions: 3, config: {{cleanup.policy: compact}}")
DERIVED = """filter: "status <> 'draft'", columns: {{
        rename: {{id: order_id}}, types: {{net: "decimal(12,2)", size: long}}, mask: {{email: hash, phone: {{keep_last: 3}}, memo: "null"}},
        derive: {{is_big: "total > 100", label: "status || '#' || id", net: "round(total / 1.25, 2)", size: "json_extract(doc, '$.size')"}}}}"""
TABLE = """(id int primary key, status varchar(20), total numeric(12,2) not null default 0, email varchar(80),
            phone varchar(40), memo varchar(40), doc varchar(40), plain varchar(40))"""
FIELDS = {"order_id", "status", "total", "email", "phone", "memo", "doc", "plain", "is_big", "label", "net", "size"}
SINK = """
sinks:
  dw: {{type: postgres, dsn: {target}, from: ["{id}.SPACE.t"], into: t, create: run, write: {{every: 50ms}}}}
"""


PG_LOG = PG_SOURCE.replace("    tables:", "    log: {{slot: {slot}}}\n    tables:")
PUBLICATION = "create publication freshet_src for all tables with (publish_via_partition_root = true)"


def hashed(text):
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


@contextlib.contextmanager
def pipeline(name, make, config, base=BASE, target=True):
    p = make(config, target)
    p.env["MASK_KEY"] = KEY
    p.write(config, base)
    with case(f"derive_{name}", p):
        yield p
    p.close()


def on_pg(config, target):
    return Pipeline(config, target=target)


def on_mariadb(config, target):
    return MyPipeline(config, "mariadb", target=target)


def ops(p, space, table="t", key="order_id"):
    """Of each key, in order, what happened to it: c, r, u, d, and - for a tombstone."""
    out = collections.defaultdict(str)
    for m in p.messages(table, space):
        k = p.registry.decode(m.key())[key]
        out[k] += p.registry.decode(m.value())["op"] if m.value() else "-"
    return dict(out)


def find(p, *needles):
    """Which of the texts stand anywhere: in any topic of the pipeline (keys, values, headers) or its log."""
    found = set()
    topics = topics_of(p.bootstrap, p.id) + topics_of(p.bootstrap, f"freshet.{p.id}")
    assert len(topics) > 2, topics
    for m in read_topics(p.bootstrap, topics):
        everything = b"|".join([m.key() or b"", m.value() or b""] + [str(h).encode() for h in m.headers() or []])
        found |= {n for n in needles if n.encode() in everything}
    log = p.log()
    return found | {n for n in needles if n in log}


def insert(p, key, status, total="150.00", table="t", doc='{"size": 7}'):
    p.sql(f"insert into {table} values (%s, %s, %s, %s, %s, %s, %s, %s)", key, status, total, f"hidden{key}@mail.example",
          f"+49-170-55{key:03}", f"memo-hidden-{key}", doc, f"plain-{key}")


def expected(p, table="t"):
    """The filtered source as consumers should have it."""
    out = {}
    for key, status, total, email, phone, _, doc, plain in p.sql(f"select * from {table}"):
        if status == "draft":
            continue
        net = (total / decimal.Decimal("1.25")).quantize(decimal.Decimal("0.01"))
        out[key] = (status, total, hashed(email), "***" + phone[-3:], None, plain, total > 100,
                    None if status is None else f"{status}#{key}", net, json.loads(doc)["size"])
    return out


def in_target(p):
    rows = Pipeline.sql(p, "select order_id, status, total, email, phone, memo, plain, is_big, label, net, size from t", on=p.target)
    return {r[0]: tuple(r[1:]) for r in rows}


def logged(name, make, source, space):
    """The whole way from a log: snapshot, every way through the filter, dead letters, the sink."""
    tables = "".join(f"      SPACE.{t}: {{{{{DERIVED}{more}}}}}\n" for t, more in
                     (("t", ""), ("k", ", errors: {{mode: dlq}}"))).replace("SPACE", space or "{id}")
    with pipeline(name, make, source + tables + SINK.replace("SPACE", space or "{id}")) as p:
        space = space or p.id
        p.sql("create table t" + TABLE)
        p.sql("create table k" + TABLE)
        if space == "public":
            p.sql("alter table t replica identity full; " + PUBLICATION)
        for key, status in ((1, "sent"), (2, "draft"), (3, None)):
            insert(p, key, status)
        p.start()
        p.wait_events("t", 2, space)
        insert(p, 4, "sent", "99.99")
        insert(p, 5, "draft")
        p.sql("update t set status = 'sent' where id = 2")
        p.sql("update t set status = 'draft' where id = 1")
        p.sql("update t set total = 3 where id = 5")
        p.sql("delete from t where id = 5")
        p.sql("update t set total = 200 where id = 4")
        p.sql("update t set id = 6 where id = 3")
        insert(p, 7, "sent")
        p.sql("delete from t where id = 7")
        # Nothing is known of old rows of k on PostgreSQL: leaving always sends the delete.
        insert(p, 1, "draft", table="k")
        p.sql("update k set total = 1 where id = 1")
        p.sql("update k set status = 'sent' where id = 1")
        insert(p, 2, "sent", table="k", doc="{malformed")
        p.sql("update k set doc = '{}' where id = 2")
        insert(p, 3, "sent", table="k")
        eventually("the last event", lambda: ops(p, space).get(7) == "cd-" and 3 in ops(p, space, "k"))
        eventually("the target holds the filtered source", lambda: in_target(p) == expected(p))
        dead = eventually("the dead letters", lambda: (lambda d: d if len(d) == 2 else None)(
            [json.loads(m.value()) for m in read_topics(p.bootstrap, [f"freshet.{p.id}.dlq"])]))
        left_out = 5 if space == "public" else 6
        eventually("what was left out is counted", lambda: metric(p, "events_filtered_total") == left_out)
        assert p.stop() == 0
        got = ops(p, space)
        assert got == {1: "rd-", 2: "c", 3: "rd-", 4: "cu", 6: "c", 7: "cd-"}, got
        got = ops(p, space, "k")
        assert got == {1: "d-u" if space == "public" else "c", 3: "c"}, got
        assert all(set(e["after"]) == FIELDS for e in p.events("t", space) if e and e["after"]), p.events("t", space)[0]
        four = [e for e in p.events("t", space) if e and e["op"] == "u"]
        assert len(four) == 1 and four[0]["after"]["email"] == hashed("hidden4@mail.example"), four
        assert four[0]["before"]["phone"] == "***004" and four[0]["before"]["is_big"] is False, four
        letter = dead[0]
        assert "size: it has no result" in letter["reason"] and letter["after"]["email"] == hashed("hidden2@mail.example"), letter
        assert letter["after"]["phone"] == "***002" and letter["after"]["memo"] is None and letter["after"]["plain"] == "plain-2", letter
        seen = find(p, "plain-2", "plain-4", "hidden", "+49", "mail.example", "170-55")
        assert seen == {"plain-2", "plain-4"}, f"{seen}: two of them should be found, and nothing that is masked"
        plan_and_schemas(p)


def plan_and_schemas(p):
    plan = p.verb("plan")[1]
    assert "REGISTRY" in plan, plan
    schema = json.dumps(p.registry.schemas, default=str)
    assert '"freshet.mask": "hash"' in schema and '"freshet.mask": "keep_last"' in schema, schema[:2000]


def polled():
    """A row that leaves the filter is deleted; so is one of which an expression says so; masked keys are compared."""
    tables = ("      public.t: {{method: query, poll: {{column: at, every: 100ms}}, " + DERIVED + "}}\n"
              "      public.g: {{method: query, poll: {{column: at, every: 100ms, delete_when: \"gone = 1\"}}}}\n"
              "      public.w: {{method: snapshot, poll: {{every: 300ms}}, filter: \"v <> 'draft'\", columns: {{mask: {{id: hash}}}}}}\n"
              "      public.f: {{method: query, poll: {{column: at, every: 100ms, deletes: full-compare, compare_every: 1s}}, filter: \"v <> 'draft'\"}}\n")
    with pipeline("polled", on_pg, PG_SOURCE + tables + SINK.replace("SPACE", "public"), COMPACT) as p:
        p.sql("create table t" + TABLE.replace("plain varchar(40)", "plain varchar(40), at timestamptz not null default now()")
              + "; create table g(id int primary key, gone int, at timestamptz not null default now());"
              "create table w(id int primary key, v text); create table f(id int primary key, v text, at timestamptz not null default now())")
        insert_polled = lambda key, status: p.sql(  # noqa: E731
            "insert into t values (%s, %s, 150, %s, %s, 'memo', '{\"size\": 7}', 'plain')", key, status, f"hidden{key}@mail.example", f"+49-{key:03}")
        insert_polled(1, "sent")
        insert_polled(2, "draft")
        p.sql("insert into g values (1, 0), (2, null), (3, 1); insert into w values (4711, 'x'), (4712, 'draft'), (4713, 'y');"
              "insert into f values (1, 'x'), (2, 'draft'), (3, 'y')")
        p.start()
        eventually("all is there", lambda: set(ops(p, "public")) == {1, 2} and len(ops(p, "public", "g", "id")) == 3
                   and len(ops(p, "public", "w", "id")) == 2 and len(ops(p, "public", "f", "id")) == 3)
        p.sql("update t set status = 'draft', at = now() where id = 1")
        p.sql("update t set status = 'sent', at = now() where id = 2")
        p.sql("update g set gone = 1, at = now() where id = 1")
        p.sql("update w set v = 'draft' where id = 4711; update w set v = 'z' where id = 4713; update w set v = 'new' where id = 4712")
        p.sql("delete from f where id = 1; update f set v = 'draft' where id = 3")  # without its time: no poll finds it
        eventually("deletes", lambda: ops(p, "public") == {1: "rd-", 2: "d-r"} and ops(p, "public", "g", "id") == {1: "rd-", 2: "r", 3: "d-"})
        want = {hashed("4711"): "rd-", hashed("4712"): "r", hashed("4713"): "rr"}
        eventually("the comparison of masked keys", lambda: ops(p, "public", "w", "id") == want)
        eventually("the comparison of keys", lambda: ops(p, "public", "f", "id") == {1: "rd-", 2: "d-", 3: "rd-"})
        eventually("the target", lambda: list(in_target(p)) == [2])
        status, out, _ = p.verb("plan")
        for text in ("filter.polled", "mask.key"):
            assert text in out, out
        assert p.stop() == 0
        assert find(p, "hidden", "mail.example", "sent") == {"sent"}, find(p, "hidden", "mail.example")


def refusals():
    """What does not go is said at its place, before anything is read."""
    table = "      public.t: {{filter: \"stat <> 'draft'\", columns: {{derive: {{n: \"coalesce(total, 0)\"}}}}}}\n"
    with pipeline("refusals", on_pg, PG_LOG + table, target=False) as p:
        p.sql("create table t" + TABLE + "; " + PUBLICATION)
        code, out, _ = p.verb("plan")
        assert code == 4 and "filter" not in out.split("derive.type")[0], out
        p.write(PG_LOG + table.replace("coalesce(total, 0)", "total > 1"), BASE)
        code, out, _ = p.verb("plan")
        assert code == 4 and "filter.no_such_column" in out and "did you mean status?" in out, out
        p.start()
        p.refused(2, "filter: there is no column stat", "did you mean status?")
        p.write(PG_LOG + "      public.t: {{columns: {{mask: {{email: hash}}}}}}\n")
        code, out, _ = p.verb("validate")
        assert code == 2 and "hash needs daemon.mask_key" in out, out
        p.write(PG_LOG + table.replace("stat <>", "email <>").replace("coalesce(total, 0)", "total > 1").replace("columns: {{", "pii: [email], columns: {{"), BASE)
        out = p.verb("plan")[1]
        assert "derive.reads_masked" in out and "personal data" in out, out


def pg_log():
    logged("pg_log", on_pg, PG_LOG, "public")


def mariadb_log():
    there, why = add_server("mariadb")
    if not there:
        print(f"skip derive_mariadb_log: {why}", flush=True)
        return
    logged("mariadb_log", on_mariadb, MY_SOURCE, "")


if __name__ == "__main__":
    names = sys.argv[1:] or ["pg_log", "mariadb_log", "polled", "refusals"]
    together([globals()[n] for n in names], 4)
    finish()
