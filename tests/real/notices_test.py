#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""Notices of schema changes: one for each version that is published, in the transaction of its first row, over kills; one
for a table that is held by it, or because it is gone; and none where there is no topic for them, while the rows go on."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import CONFIG, Pipeline, case, eventually, finish, read_topics, together, topics_of  # noqa: E402
from mysql import MyPipeline, add_server  # noqa: E402

TABLES = """    tables:
      {space}.t: {{{{owner: shop-team, tags: [sales], pii: [v], schema: {{{{on_change: {{{{change_type: evolve, drop_column: block}}}}}}}}}}}}
      {space}.u: {{{{}}}}
"""


def config(server):
    if server == "postgres":
        return ("\nsources:\n  src:\n    type: postgres\n    dsn: {source}\n    prefix: {id}\n    log: {{publication: pub, slot: {slot}}}\n"
                + TABLES.format(space="public"))
    return ("\nsources:\n  src:\n    type: {type}\n    dsn: {source}\n    password: {password}\n    prefix: {id}\n    insecure: true\n"
            + TABLES.format(space="{id}"))


def pipeline(server):
    p = Pipeline(config(server), target=False) if server == "postgres" else MyPipeline(config(server), server)
    p.space = "public" if server == "postgres" else p.id
    p.topic = f"freshet.{p.id}.notices"
    p.sql("create table t (id int primary key, v varchar(20), n int)")
    p.sql("insert into t values (1, 'a', 1)")
    p.sql("create table u (id int primary key)")
    if server == "postgres":
        p.sql("create publication pub for table t, u")
    return p


def notices(p):
    if p.topic not in topics_of(p.bootstrap, f"freshet.{p.id}"):
        return []
    all_of_them = [(m.key().decode(), json.loads(m.value())) for m in read_topics(p.bootstrap, [p.topic])]
    return sorted(all_of_them, key=lambda kn: kn[1]["at"])


def ids(p):
    """The schemas of the topic's rows, in the order of their keys."""
    out = []
    for m in sorted((m for m in read_topics(p.bootstrap, [f"{p.id}.{p.space}.t"]) if m.value()), key=lambda m: p.registry.decode(m.value())["after"]["id"]):
        number = int.from_bytes(m.value()[1:5], "big")
        if number not in out:
            out.append(number)
    return out


def one_for_each_version(server):
    p = pipeline(server)
    with case(f"notices.{server}", p):
        p.start()
        p.says("stream from")
        p.sql("insert into t values (2, 'b', 2)")
        p.wait_events("t", 2, p.space)
        assert notices(p) == [], "nothing has changed"
        p.sql("alter table t add column c int")
        p.sql("insert into t values (3, 'c', 3, 3)")
        p.wait_events("t", 3, p.space)
        p.kill()
        p.sql("alter table t alter n type bigint" if server == "postgres" else "alter table t modify n bigint")
        p.sql("insert into t values (4, 'd', 4, 4)")
        p.start(failpoint="capture_after_produce:kill")     # its first row and its notice are there, in no transaction that counts
        p.wait_exit()
        p.start()
        p.wait_events("t", 4, p.space)
        said, schemas = notices(p), ids(p)
        assert [(k, n["notice"]) for k, n in said] == [(f"{p.id}.{p.space}.t", "schema.changed")] * 2, said
        assert [(n["old_id"], n["new_id"]) for _, n in said] == list(zip(schemas, schemas[1:])), (said, schemas)
        added, widened = (n for _, n in said)
        for n in added, widened:
            assert (n["pipeline"], n["source"], n["space"], n["table"]) == (p.id, "src", p.space, "t"), n
            assert n["owner"] == "shop-team" and n["tags"] == ["sales"] and n["pii"] == ["v"], n
            assert n["subject"] == f"{p.id}.{p.space}.t-value" and n["at"].endswith("Z"), n
        assert added["breaking"] is False, added
        assert [(c["sign"], c["path"], c["new"]) for c in added["changes"]] == [("+", "c", "null | int")], added
        assert widened["breaking"] is True, widened
        assert [(c["sign"], c["path"], c["old"], c["new"], c["breaks"]) for c in widened["changes"]] == [
            ("~", "n", "null | int", "null | long", "readers of the old schema")], widened
        assert f"schema of {p.id}.{p.space}.t: id {schemas[0]} -> {schemas[1]}: +c null | int" in p.log(), "no line in the log"
        held(p, schemas)
        assert p.stop() == 0
    p.close()


def held(p, schemas):
    p.sql("alter table t drop column c")
    p.sql("insert into t values (5, 'e', 5)")
    eventually("a notice of the held table", lambda: len(notices(p)) == 3)
    key, n = notices(p)[2]
    assert key == f"{p.space}.t" and (n["notice"], n["code"]) == ("schema.held", "schema.blocked"), n
    assert "-c" in n["error"] and "schema.on_change.drop_column" in n["hint"] and n["owner"] == "shop-team", n
    p.kill()
    p.start()
    eventually("held again", lambda: p.log(True).count("schema.blocked") > 0)
    p.sql("alter table t add column c int")
    p.sql("insert into t values (6, 'f', 6, 6)")
    p.sql("insert into u values (1)")  # behind it: a second notice would be there
    p.wait_events("u", 1, p.space)
    assert len(notices(p)) == 3 and ids(p) == schemas, "it was said before"


def gone(server):
    """A table that is dropped, and one that the publication forgets: said in the transaction of its record, over kills; and none
    where schema.on_change.drop_table is ignore."""
    p = pipeline(server)
    with case(f"notices.gone_{server}", p):
        p.start()
        p.says("stream from")
        p.wait_events("t", 1, p.space)
        assert p.stop() == 0
        p.sql("drop table t")
        p.start(failpoint="capture_before_commit:kill")
        p.wait_exit()
        assert notices(p) == [], "its record is not committed"
        p.start(failpoint="capture_after_commit:kill")
        p.wait_exit()
        assert len(notices(p)) == 1, notices(p)
        p.start()
        p.sql("insert into u values (1)")
        p.wait_events("u", 1, p.space)
        said = notices(p)
        assert len(said) == 1 and said[0][0] == f"{p.space}.t", said
        n = said[0][1]
        assert (n["notice"], n["code"], n["space"], n["table"]) == ("schema.held", "schema.table_gone", p.space, "t"), n
        assert "is gone" in n["error"] and "new snapshot" in n["hint"] and n["owner"] == "shop-team" and n["at"].endswith("Z"), n
        assert p.stop() == 0
        if server == "postgres":
            p.start(failpoint="capture_look_often:off:*")
            p.says("stream from")
            p.sql("alter publication pub drop table u")
            eventually("a notice of what the publication forgot", lambda: len(notices(p)) == 2)
            key, n = notices(p)[1]
            assert key == "public.u" and (n["notice"], n["code"]) == ("schema.held", "pg.publication") and "ALTER PUBLICATION" in n["hint"], n
            assert p.stop() == 0
    p.close()


def gone_and_ignored():
    p = pipeline("postgres")
    with case("notices.gone_and_ignored", p):
        p.start()
        p.says("stream from")
        p.wait_events("t", 1)
        assert p.stop() == 0
        p.write(config("postgres").replace("drop_column: block", "drop_table: ignore"))
        p.sql("drop table t")
        p.start()
        p.says("its topic stays as it is")
        p.sql("insert into u values (1)")
        p.wait_events("u", 1)
        assert notices(p) == [] and p.stop() == 0
    p.close()


def without_a_topic():
    """kafka.topics.create: never, and nobody made it."""
    p = pipeline("postgres")
    with case("notices.no_topic", p):
        p.write(config("postgres"))
        p.start()
        p.says("stream from")
        p.wait_events("t", 1)
        assert p.stop() == 0
        p.write(config("postgres"), CONFIG.replace("create: run", "create: never"))
        p.start()
        p.says("stream from")
        p.sql("alter table t add column c int")
        p.sql("insert into t values (2, 'b', 2, 2)")
        p.sql("insert into t values (3, 'c', 3, 3)")
        p.wait_events("t", 3)
        p.says("no notices are published", p.topic)
        assert notices(p) == [] and p.stop() == 0
        code, out, _ = p.verb("plan", "--json")
        assert p.topic in out, out
    p.close()


if __name__ == "__main__":
    SERVERS = sys.argv[1:] or ["postgres", "mariadb"]
    for s in [s for s in SERVERS if s != "postgres"]:
        there, why = add_server(s)
        if not there:
            print(f"skip notices.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([lambda s=s, f=f: f(s) for s in SERVERS for f in (one_for_each_version, gone)] + [gone_and_ignored, without_a_topic], 3)
    finish()
