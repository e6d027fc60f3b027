#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""`envelope: debezium` beside messages that a real Debezium wrote (tests/data/debezium): the same statements on a
real PostgreSQL, those of the snapshot and then those of the stream, give the same schemas, keys, headers and values.
What is different is listed here, each with its reason; what cannot be written is refused by name."""
# alone: the topics and subjects of the set have their own names, whoever uses them
import json
import os
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import debezium as golden  # noqa: E402
import fastavro  # noqa: E402
from harness import CONFIG as BASE  # noqa: E402
from harness import Pipeline, case, connect, eventually, finish, read_topics  # noqa: E402

CONFIG = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: pg
    transaction_metadata: true
    log: {{publication: {slot}, slot: {slot}}}
    tables:
      "/^golden\\\\..*$/": {{envelope: debezium, truncate: publish}}
"""
# Of each run of its own.
VARY = ["ts_ms", "ts_us", "ts_ns"]
VARY_SOURCE = VARY + ["lsn", "txId", "sequence"]
# (topic, offset, field): (Debezium's value, ours, why). The set's README calls the first three wrong.
NAME = "a column of type name is null by Debezium's stream, and what it is by its snapshot"
DIFFERENT = {
    ("types_str", 2, "after.c_name"): (None, "nam", NAME),
    ("types_str", 4, "after.c_name"): (None, "nam", NAME),
    ("types_time", 1, "after.c_date_dflt"): (-625821272, -2147472691, "-infinity: by its stream it is the second"),
}
# Snapshots read many tables at once: no row of theirs is the first or last of all, so none is said to be.
MARKS = {"first", "first_in_data_collection", "last_in_data_collection", "last"}


class Golden(Pipeline):
    """On the database that the set was recorded on: its name is in every message."""

    def make_source(self, options):
        return os.environ["PG_DSN"].rsplit("/", 1)[0] + "/postgres"

    def drop_source(self):
        self.sql(f"drop schema if exists golden cascade; drop publication if exists {self.slot}")
        self.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active", self.slot)


def full_names(s, space=""):
    """A schema with names in full, as two registries may spell it differently."""
    if isinstance(s, list):
        return [full_names(x, space) for x in s]
    if isinstance(s, str):
        known = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
        return s if s in known or "." in s or not space else f"{space}.{s}"
    if s["type"] == "record":
        space = s.get("namespace", space)
        fields = [dict(f, type=full_names(f["type"], space)) for f in s["fields"]]
        return {k: v for k, v in dict(s, name=f"{space}.{s['name']}", fields=fields).items() if k != "namespace"}
    if s["type"] == "array":
        return dict(s, items=full_names(s["items"], space))
    return s


def field(event, path):
    for k in path.split("."):
        event = event[k]
    return event


def differences(topic, offset, want, got, schemas):
    """What one message says otherwise: a list. Values are compared as bytes of Avro once what varies is the same."""
    out = []
    (wk, wv, wh), (gk, gv, gh) = want, got
    if (wk and wk[5:]) != (gk and gk[5:]):
        out.append(f"key {wk} {gk}")
    if [h for h in wh if h[0] != "__debezium.context.runId"] != [h for h in gh if h[0] != "__debezium.context.runId"]:
        out.append(f"headers {wh} {gh}")
    if wv is None or gv is None:
        return out + (["one is a tombstone"] if wv is not gv else [])
    old, new = (schemas(int.from_bytes(v[1:5], "big"), mine) for v, mine in ((wv, False), (gv, True)))
    w, g = golden.decoded(old, wv[5:]), golden.decoded(new, gv[5:])
    for schema, event, data in ((old, w, wv), (new, g, gv)):  # else equal events were not equal bytes
        if golden.encoded(schema, event) != data[5:]:
            out.append("the bytes are not those of what they say")
    if w["op"] == "r" and w["source"]["snapshot"] in MARKS and g["source"]["snapshot"] == "true":
        w["source"]["snapshot"] = "true"
    for (t, o, path), (debezium, ours, _) in DIFFERENT.items():
        if (t, o) == (topic, offset) and field(w, path) == debezium and field(g, path) == ours:
            side, column = path.split(".")
            w[side][column] = ours
    for e in (w, g):
        for k in VARY:
            e[k] = None
        for k in VARY_SOURCE:
            e["source"][k] = 0 if k == "ts_ms" else None
        if e["transaction"] is not None:
            e["transaction"]["id"] = ""
    if golden.encoded(old, w) != golden.encoded(new, g):
        parts = [k for k in w if repr(w[k]) != repr(g[k])]
        out.append("value: " + "; ".join(f"{k}: {w[k]} / {g[k]}" for k in parts))
    return out


class Schemas:
    """By id: the set's own and those of our registry."""

    def __init__(self, p):
        self.p, self.theirs = p, {v["id"]: v["schema"] for vs in golden.subjects().values() for v in vs}
        self.parsed = {}

    def __call__(self, number, mine):
        if mine:
            return self.p.registry.schema(number)
        if number not in self.parsed:
            self.parsed[number] = fastavro.parse_schema(json.loads(json.dumps(self.theirs[number])))
        return self.parsed[number]


def ours(topic):
    got = [(m.key(), m.value(), [(k, v.decode()) for k, v in m.headers() or []])
           for m in read_topics(p.bootstrap, [topic])]
    return got


def versions(subject):
    base = f"{p.registry.url}/subjects/{subject}/versions"
    with urllib.request.urlopen(base, timeout=20) as r:
        numbers = json.load(r)
    out = []
    for n in numbers:
        with urllib.request.urlopen(f"{base}/{n}", timeout=20) as r:
            out.append(json.loads(json.load(r)["schema"]))
    return out


def wait_for(topic, count):
    def probe():
        assert p.daemon.poll() is None, f"the daemon ended: {p.log()[-1500:]}"
        got = ours(topic)
        return got if len(got) >= count else None
    return eventually(f"{count} messages of {topic}", probe, 90, 0.2)


# A connector's slot and publication, and the tables that it has read.
TAKEN = """
sources:
  src:
    type: postgres
    dsn: {source}
    prefix: {id}
    log: {{publication: dbz_publication, slot: {slot}}}
    tables: {{public.t: {{envelope: debezium, snapshot: {{mode: never}}}}}}
"""

# What the set has no row of.
MORE = """
create domain dom as numeric(6,2); create type size as enum ('s', 'm,l');
create table more (k numeric primary key, d dom not null, e size[], h bytea[], z timestamptz, z0 timestamptz(0), tz timetz[], u uuid[],
  f real default 3.14, g double precision default 1e10, t text default ('a' || 'b'), w timestamptz not null default now(),
  c char(5) default 'ab', j jsonb not null default '{"a": 1}', i interval default '1 day', dd date[], ts3 timestamp(3)[],
  inf timestamp, infd date, n int not null, uu uuid not null, b1 bit(1) default '1', bd bit(3) default B'110', b bit(3)[] null);
alter table more drop column b;
"""
# Values that are stored beside their row, and one of more than a megabyte.
LARGE = """
create table large (id int primary key, n int, u uuid[], d date[], h bytea[], i int[], f float8[]);
alter table large alter u set storage external, alter d set storage external, alter h set storage external, alter i set storage external;
insert into large select 1, 1, array_agg(md5(i::text)::uuid), array_agg('2024-01-01'::date + i), array_agg(decode(md5(i::text), 'hex')), array_agg(i), '{-0,1}'
  from generate_series(1, 2000) i;
update large set n = 2;
insert into large select 2, 1, null, null, null, array_agg(i + 100000), null from generate_series(1, 200000) i;
"""
LABELS = """
create table by_label (e size default 's', id int, n int, primary key (e, id));
insert into by_label values ('s', 1, 1);
alter type size add value 'xl';
alter table by_label alter e set default 'm,l';
insert into by_label values ('s', 2, 1);
"""


def more_schema():
    value = versions("pg.golden.more-value")[0]
    row = value["fields"][0]["type"][1]["fields"]
    return {f["name"]: f for f in row}


p = Golden(CONFIG, target=False)
try:
    golden.forget(p.bootstrap, p.registry.url)
    schemas = Schemas(p)
    before, stream = golden.statements()
    c = connect(p.source)
    golden.execute(c, before)
    p.sql(f"create publication {p.slot} for all tables")
    p.write(CONFIG, base=BASE.replace("partitions: 3", "partitions: 1"))
    p.start()
    got = {}
    with case("debezium.snapshot_is_read", p):
        for t in golden.TABLES:
            reads = sum(1 for _, v, _ in golden.messages("pg.golden." + t) if v and b"\x02r" in v and
                        golden.decoded(schemas(int.from_bytes(v[1:5], "big"), False), v[5:])["op"] == "r")
            wait_for("pg.golden." + t, reads)
    golden.execute(c, stream)
    for t in golden.TABLES:
        with case("debezium.messages." + t, p):
            want = golden.messages("pg.golden." + t)
            got[t] = wait_for("pg.golden." + t, len(want))
            assert len(got[t]) == len(want), f"{len(got[t])} messages, not {len(want)}"
            bad = [(i, d) for i in range(len(want)) if (d := differences(t, i, want[i], got[t][i], schemas))]
            assert not bad, bad
    for subject, recorded in sorted(golden.subjects().items()):
        if "heartbeat" in subject:
            continue  # none are written: docs/debezium.md
        with case("debezium.schema." + subject, p):
            mine = versions(subject)
            assert len(mine) == len(recorded), f"{len(mine)} versions, not {len(recorded)}"
            for a, b in zip(mine, recorded):
                assert full_names(a) == full_names(b["schema"]), f"{full_names(a)} {full_names(b['schema'])}"
    with case("debezium.transactions", p):
        want = golden.messages("pg.transaction")
        mine = wait_for("pg.transaction", len(want))
        theirs = [golden.decoded(schemas(int.from_bytes(v[1:5], "big"), False), v[5:]) for _, v, _ in want]
        told = [p.registry.decode(v) for _, v, _ in mine]
        strip = lambda e: {k: v for k, v in e.items() if k not in ("id", "ts_ms")}  # noqa: E731
        rows = [strip(e) for e in told if e["event_count"] != 0]  # ALTER TABLE has a transaction without rows
        assert [e for e in rows if e["status"] == "END"] == [strip(e) for e in theirs if e["status"] == "END" and e["event_count"]], rows
    with case("debezium.a_changed_byte_is_seen", p):
        key, value, headers = got["types_num"][0]
        at = value.index(b"\x1c\xbe\x99\x1a\x14")  # c_num
        changed = value[:at] + b"\x1d" + value[at + 1:]
        want = golden.messages("pg.golden.types_num")[0]
        assert not differences("types_num", 0, want, (key, value, headers), schemas)
        assert differences("types_num", 0, want, (key, changed, headers), schemas)
        assert differences("types_num", 0, want, (key[:-1] + b"\x04", value, headers), schemas)
        assert differences("types_num", 0, want, (key, value, headers[1:]), schemas)
        for (t, o, path), (_, mine, _) in DIFFERENT.items():  # and each exception is one
            want = golden.messages("pg.golden." + t)[o]
            assert field(golden.decoded(schemas(int.from_bytes(want[1][1:5], "big"), False), want[1][5:]), path) != mine
    with case("debezium.what_the_set_does_not_have", p):
        c.cursor().execute(MORE)
        c.cursor().execute("""insert into more (k, d, e, h, z, z0, tz, u, dd, ts3, inf, infd, n, uu) values (12.50, 1.5, '{s,"m,l"}',
          array['\\xff00'::bytea, null], '2024-01-01 00:00:00+00', '2024-01-01 00:00:00+00', '{12:00+02,NULL}',
          '{123e4567-e89b-12d3-a456-426655440000}', '{2024-02-29,infinity}', '{1969-12-31 23:59:59.999}', '-infinity', 'infinity', 7,
          '00112233-4455-6677-8899-aabbccddeeff')""")
        c.cursor().execute("update more set k = 13 where k = 12.5; delete from more where k = 13")
        m = wait_for("pg.golden.more", 6)
        e = [v and p.registry.decode(v) for _, v, _ in m]
        row = e[0]["after"]
        assert row["d"] == b"\x00\x96" or row["d"] == 1.5 or str(row["d"]) == "1.50", row["d"]
        assert row["e"] == ["s", "m,l"] and row["h"] == [b"\xff\x00", None], row
        assert row["z"] == "2024-01-01T00:00:00.000000Z" and row["z0"] == "2024-01-01T00:00:00Z", row
        assert row["tz"] == ["10:00:00Z", None] and row["u"] == ["123e4567-e89b-12d3-a456-426655440000"], row
        assert row["dd"] == [19782, -2147472692] and row["ts3"] == [-1], row
        assert row["inf"] == -9223372036854775808 and row["infd"] == -2147472692, row
        assert row["k"] == {"scale": 1, "value": b"\x7d"} and row["i"] == 86400000000 and row["c"] == "ab   ", row
        assert [m[i][2][0] for i in (1, 2, 3)] == [("__debezium.newkey", '{"k":{"scale":0,"value":"DQ=="}}')] * 2 + [
            ("__debezium.oldkey", '{"k":{"scale":1,"value":"fQ=="}}')], [x[2] for x in m]
        old = e[4]["before"]
        assert row["uu"] == "00112233-4455-6677-8899-aabbccddeeff" and old["uu"] == "", (row, old)
        assert row["b1"] is True and row["bd"] == b"\x06", row
        assert old["n"] == 0 and old["w"] == "1970-01-01T00:00:00.000000Z" and old["j"] == '{"a": 1}', old
        f = more_schema()
        assert f["e"]["type"][1]["items"]["connect.parameters"] == {"allowed": "s,m,l"}, f["e"]
        assert f["f"]["default"] == 3.14 and f["g"]["default"] == 1e10 and f["c"]["default"] == "ab", f
        assert f["b1"]["default"] is True and f["bd"]["default"] == "\x06", f
        assert f["t"]["default"] is None and f["i"]["default"] == 86400000000, f
    with case("debezium.arrays_that_are_large", p):
        golden.execute(c, [s for s in LARGE.split(";") if s.strip()])
        e = [p.registry.decode(v)["after"] for _, v, _ in wait_for("pg.golden.large", 3)]
        placeholder = "__debezium_unavailable_value"
        assert len(e[0]["u"]) == 2000 and len(e[0]["d"]) == 2000 and len(e[0]["h"][0]) == 16, e[0]["u"][:2]
        assert [str(x) for x in e[0]["f"]] == ["-0.0", "1.0"], e[0]["f"]
        assert e[1]["n"] == 2 and e[1]["u"] == ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"], e[1]["u"][:2]
        assert e[1]["d"] == e[1]["i"] == [ord(x) for x in placeholder] and e[1]["h"] == [placeholder.encode()], (e[1]["d"], e[1]["h"])
        assert len(e[2]["i"]) == 200000, len(e[2]["i"])  # 1.4 MB of JSON
    with case("debezium.a_keys_default_and_labels_may_change", p):
        golden.execute(c, [s for s in LABELS.split(";") if s.strip()])
        m = wait_for("pg.golden.by_label", 2)
        assert m[0][0][:5] == m[1][0][:5] and len(versions("pg.golden.by_label-key")) == 1, [x[0] for x in m]
    with case("debezium.a_null_beside_a_default_stays_null", p):
        c.cursor().execute("insert into types_num (id, c_int, c_num) values (77, null, null)")
        e = wait_for("pg.golden.types_num", 10)[9]
        row = p.registry.decode(e[1])["after"]
        assert row["c_int"] is None and row["c_num"] is None, row
    with case("debezium.values_that_have_no_place_hold_their_table", p):
        c.cursor().execute("insert into more (k, d, n, uu) values ('NaN', 1, 1, '00112233-4455-6677-8899-aabbccddeeff')")
        p.says("more", "no NaN")
    with case("debezium.verbs_know_its_names", p):
        code, out, err = p.verb("lineage", "src/golden.odd-name t")
        assert code == 0 and "pg.golden.odd-name_t._1st_col" in out, out + err
        code, out, err = p.verb("schema", "sample", "src/golden.types_num")
        assert code != 0 and "types of Debezium's" in out + err, out + err
        code, out, err = p.verb("tap", "pg.golden.types_str", "--from", "beginning")
        assert code == 0 and '"c_point":"(1.5,-2.5)"' in out, out + err
        assert "runtime error" not in p.log() and "Sanitizer" not in p.log(), p.log()[-3000:]
    with case("debezium.types_that_are_not_there_are_refused", p):
        assert p.stop() == 0
        c.cursor().execute("create table other (id int primary key, b box, r int4multirange)")
        c.cursor().execute("create table keyed (id int not null unique)")  # by which Debezium would key it
        golden.register(p.registry.url, "pg.golden.keyed-key", {"type": "record", "name": "Key", "namespace": "pg.golden.keyed",
                                                                "fields": [{"name": "id", "type": "int"}]})
        c.cursor().execute("alter table by_label alter e set default 's'")
        code, out, err = p.verb("plan")
        assert code != 0 and "column b (box): envelope debezium has no such type" in out + err, out + err
        assert "columns.exclude: [b]" in out + err, out + err
        assert "subject pg.golden.keyed-key: the topic's messages have a key (version 1), the table has none" in out + err, out + err
        assert "by_label-key: version 1, but for defaults or labels" in out + err, out + err
finally:
    p.close()
r = Golden(CONFIG.replace("transaction_metadata: true", "transaction_metadata: false"), target=False)
with case("debezium.subjects_that_are_there_keep_their_ids", r):
    golden.forget(r.bootstrap, r.registry.url)
    known = {}
    for subject, recorded in golden.subjects().items():
        if subject.startswith("pg.golden"):
            known[subject] = golden.register(r.registry.url, subject, recorded[0]["schema"])
    golden.execute(connect(r.source), golden.statements()[0])
    r.sql(f"create publication {r.slot} for all tables")
    r.start()
    for t in golden.TABLES:
        m = eventually(f"a message of {t}", lambda: read_topics(r.bootstrap, [f"pg.golden.{t}"]))[0]  # noqa: B023
        assert int.from_bytes(m.value()[1:5], "big") == known[f"pg.golden.{t}-value"], t
        assert m.key() is None or int.from_bytes(m.key()[1:5], "big") == known[f"pg.golden.{t}-key"], t
    assert r.stop() == 0
r.close()
q = Pipeline(TAKEN, target=False)
with case("debezium.a_slot_is_taken_over_without_a_gap", q):
    q.sql("create table t (id int primary key); create publication dbz_publication for all tables")
    q.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", q.slot)
    q.sql("insert into t values (1)")
    q.sql("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", q.slot)  # what was sent, and confirmed
    q.sql("insert into t values (2)")  # while nobody reads
    code, out, err = q.verb("position", "set", "src", "--from-slot", "-y")
    assert code == 0, out + err
    q.start()
    q.wait_events("t", 1)
    q.sql("insert into t values (3)")
    got = q.wait_events("t", 2)
    assert [(e["op"], e["after"]["id"]) for e in got] in ([("c", 2), ("c", 3)], [("c", 3), ("c", 2)]), got
    assert q.stop() == 0
q.close()
finish()
