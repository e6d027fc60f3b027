#!/usr/bin/env -S sh -c 'exec "${FRESHET_PYTHON:-python3}" "$0" "$@"'
"""`freshet ddl outbox --contract`: the database says no. One list of documents and one verdict on all servers; what is
accepted is decoded by fastavro; the control: without the contract all of them are accepted."""
import datetime
import decimal
import io
import json
import os
import sys
import uuid

import fastavro

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ddl_test import BODY, KEY, KIND, TABLE, MySql, Postgres, quoted  # noqa: E402
from harness import case, connect, finish, together  # noqa: E402
from mysql import add_server  # noqa: E402
from mysql import connect as my_connect  # noqa: E402

FIELDS = {
    "i": "int", "l": "long", "f": "float", "d": "double", "s": "string", "b": "boolean", "n": "null",
    "e": {"type": "enum", "name": "E", "symbols": ["RED", "GREEN"]},
    "day": {"type": "int", "logicalType": "date"},
    "ms": {"type": "long", "logicalType": "timestamp-millis"},
    "us": {"type": "long", "logicalType": "timestamp-micros"},
    "lo": {"type": "long", "logicalType": "local-timestamp-micros"},
    "tm": {"type": "int", "logicalType": "time-millis"},
    "dec": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    "u": {"type": "string", "logicalType": "uuid"},
    "m": {"type": "map", "values": "int"},
    "un": ["int", "string", {"type": "array", "items": "boolean"}],
    "nu": ["null", "long"],
    "a": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
        {"name": "sku", "type": "string"}, {"name": "qty", "type": "int", "default": 1}, {"name": "tags", "type": ["null", {"type": "array", "items": "string"}]}]}},
    "at": {"type": "record", "name": "At", "fields": [{"name": "x", "type": {"type": "record", "name": "X", "fields": [
        {"name": "y", "type": {"type": "map", "values": {"type": "map", "values": ["null", "boolean"]}}}]}}]},
}
# All may be missing, but for s.
CONTRACT = {"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": n, "type": t, **({} if n == "s" else {"default": None})} for n, t in FIELDS.items()]}
DIGITS = "1234567890" * 20


def one(name, text):
    return '{"s": "", "%s": %s}' % (name, text)


def several(name, texts):
    return [one(name, t) for t in texts.split(" ; ")]


GOOD = [
    '{"s": ""}', ' \t\r\n{\n"s"\t:\r" \\u00e9 \\n \\"\\\\ \\ud83d\\ude00 \u00e9 \U0001f600 : {}[], true" } ', '{"s": "\\\\u0000 \\\\\\\\ \\/"}',
    '{"s": "' + "x" * 300000 + '"}',
    *several("i", "0 ; -0 ; 2147483647 ; -2147483648"),
    *several("l", "9223372036854775807 ; -9223372036854775808 ; 42"),
    *several("f", "1 ; 1.5 ; -3.4e38 ; 1e-40"),
    *several("d", f"1 ; 0.1 ; 1e2 ; 1E+2 ; 1.5e-3 ; 1.7e308 ; -1.7e308 ; 18446744073709551616 ; {DIGITS} ; 0.{DIGITS} ; 1e-0005 ; -0.0"),
    *several("b", "true ; false"), *several("n", "null"), *several("e", '"RED" ; "GREEN"'),
    *several("day", '"2026-11-26" ; "2024-02-29" ; "2000-02-29" ; "0001-01-01" ; "9999-12-31"'),
    *several("ms", '"2026-11-26T12:34:56Z" ; "2026-11-26T12:34:56.123Z" ; "2026-11-26T23:59:59.1+05:30"'),
    *several("us", '"2026-11-26T12:34:56.123456-14:00"'), *several("lo", '"2026-11-26T12:34:56.123456"'), *several("tm", '"23:59:59.999" ; "00:00:00"'),
    *several("dec", '"1234.56" ; "-0.05" ; "0" ; "9999"'),
    *several("u", '"7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22" ; "7B0C5A1E-2F7D-4C55-9D3E-0A9F5D6C1B22"'),
    *several("m", '{} ; {"a": 1} ; {"a b\\"\\u00e9": 1, "": 2, "A": 3, "a": 4, "$.x": 5}'),
    *several("un", '1 ; "x" ; [] ; [true]'), *several("nu", "null ; 5"),
    *several("a", '[] ; [{"sku": "a"}] ; [{"sku": "a", "qty": 2, "tags": null}, {"tags": ["x", "y"], "sku": "b"}]'),
    *several("at", '{"x": {"y": {}}} ; {"x": {"y": {"k": {"l": null, "m": true}}}}'),
]
# With what is said of it.
NO_JSON, WHOLE = "", "whole number"
BAD = [(t, said) for said, texts in {
    "s is missing": ["{}", '{"i": 1}'],
    "s must be a string": ['{"s": null}', '{"s": 1}', '{"s": {}}', '{"s": ["x"]}', '{"s": true}'],
    "it must be an object": ["[]", "1", '"x"', "null", "true", '[{"s": ""}]'],
    "does not name": ['{"s": "", "more": 1}', '{"s": "", "S": "x"}', '{"s": "", "": 1}', '{"s": "", "s ": 1}', '{"s": "", "secret\'\\"": "hunter2"}'],
    "twice": ['{"s": "x", "s": "y"}', one("m", '{"a": 1, "a": 2}'), one("a", '[{"sku": "a", "sku": "a"}]'), one("m", '{"x:": 1, "x:": "\\":"}')],
    "i must be a whole number of 32 bits": several("i", '2147483648 ; -2147483649 ; 1.0 ; 1e2 ; 1E2 ; "1" ; true ; [] ; 1.5 ; 99999999999999999999999999'),
    "l must be a whole number of 64 bits": several("l", '9223372036854775808 ; -9223372036854775809 ; 1.0 ; "5" ; 18446744073709551615 ; 18446744073709551616 ; null'),
    "f must be": several("f", '3.5e38 ; -1e300 ; "1" ; "NaN" ; null'), "d must be": several("d", '"1" ; true ; {}'),
    "b must be true or false": several("b", '"true" ; 1 ; 0 ; null'), "n must be null": several("n", '0 ; "" ; false ; {}'),
    "e must be a symbol": several("e", '"red" ; "RED " ; "" ; "BLUE" ; "RED\\n" ; "REDGREEN" ; 0'),
    "day must be a date": several("day", '"2026-02-29" ; "1900-02-29" ; "2026-13-01" ; "2026-11-31" ; "0000-01-01" ; "2026-1-1" ; "2026-11-26\\n" ; "x2026-11-26" ; 20783 ; ""'),
    "ms must be a time with zone": several("ms", '"2026-11-26T12:34:56" ; "2026-11-26 12:34:56Z" ; "2026-11-26T24:00:00Z" ; "2026-11-26T12:34:56.1234Z" ; "2026-02-30T12:34:56Z" ; 1795782896000'),
    "us must be a time with zone": several("us", '"2026-11-26T12:34:56.1234567Z" ; "2026-11-26T12:34:56z"'),
    "lo must be a time without zone": several("lo", '"2026-11-26T12:34:56Z"'), "tm must be a time of day": several("tm", '"24:00:00" ; "1:00:00" ; "12:34" ; 5'),
    "dec must be": several("dec", '"12345" ; "1.234" ; 1.5 ; "1." ; ".5" ; "+1" ; "01" ; "1e2" ; "" ; "-"'),
    "u must be a UUID": several("u", '"7b0c5a1e2f7d4c559d3e0a9f5d6c1b22" ; "" ; "{7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22}"'),
    "m[*] must be": several("m", '{"a": "1"} ; {"a": 1, "b": null} ; {"a": 1, "b": 2.5}'), "m must be an object": several("m", "[] ; null ; 1"),
    "un must be of one of the types": several("un", 'true ; null ; 2147483648 ; [1] ; {}'), "nu must be a whole": several("nu", '"x" ; 1.0'),
    "a[1].sku must be a string": several("a", '[{"sku": "a"}, {"sku": 1}]'), "a[0].sku is missing": several("a", '[{"qty": 1}]'),
    "a[2] must be an object": several("a", '[{"sku": "a"}, {"sku": "b"}, null]'), "a[0].tags[1] must be a string": several("a", '[{"sku": "a", "tags": ["x", null]}]'),
    "a[0] has a member": several("a", '[{"sku": "a", "Sku": "b"}]'), "a must be an array": several("a", '{} ; {"sku": "a"} ; "x"'),
    "a[0].qty must be": several("a", '[{"sku": "a", "qty": null}]'),
    "at.x is missing": several("at", "{}"), "at.x.y[*][*] must be true": several("at", '{"x": {"y": {"k": {"l": 1}}}}'),
    "at.x.y[*] must be an object": several("at", '{"x": {"y": {"k": ' + "[" * 20 + "]" * 20 + "}}}"),
    "it has \\u0000": [r'{"s": "a\u0000"}', r'{"s": "\\\u0000"}', r'{"s": "", "\u0000": 1}'],
    "it has a letter, a digit or _ as \\u00...": [r'{"\u0073": "x"}', r'{"s": "\u005F"}', r'{"s": "", "i": 1, "\u0069": 2}'],
    NO_JSON: ["", " ", "x", '{"s": ""', '{"s": ""} x', '{"s": "",}', "{'s': ''}", "{s: 1}", '{"s": "a\nb"}', '{"s": "\\x"}', '{"s": "\x01"}', '\ufeff{"s": ""}',
              one("i", "01"), one("d", "1."), one("d", ".5"), one("d", "+1"), one("d", "NaN"), one("d", "Infinity"), one("d", "1e"), one("d", "-"), one("b", "True"),
              one("d", "1e309"), one("d", "-1e999"), one("d", "1e99999"), one("d", "1e-99999"), one("d", DIGITS + "1"), one("d", "0." + DIGITS + "1"),
              r'{"s": "\ud800"}', r'{"s": "\ud800\ud800"}', r'{"s": "\ude00\ud83d"}', r'{"s": "\u00g0"}', r'{"s": "\u12"}', one("un", "[1 2]"), one("un", "[true,]"), one("un", "[,]"),
              one("at", "[" * 3000 + "]" * 3000), '{"s": "" /* */}', '{"s" ""}'],
}.items() for t in texts]


def told(kind, v):
    """As an application hands it to an Avro library."""
    if isinstance(kind, list):
        for k in kind:
            try:
                value = told(k, v)
                if fastavro.validation.validate(value, fastavro.parse_schema(k, expand=True), raise_errors=False):
                    return value
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
        raise ValueError("none of the union")
    if isinstance(kind, str):
        return v
    name, logical = kind["type"], kind.get("logicalType")
    if name == "record":
        assert set(v) <= {f["name"] for f in kind["fields"]}
        return {f["name"]: told(f["type"], v[f["name"]]) for f in kind["fields"] if f["name"] in v}
    if name == "array":
        return [told(kind["items"], x) for x in v]
    if name == "map":
        return {k: told(kind["values"], x) for k, x in v.items()}
    if logical == "date":
        return datetime.date.fromisoformat(v)
    if logical and "timestamp" in logical:
        return datetime.datetime.fromisoformat(v.replace("Z", "+00:00"))
    if logical and "time" in logical:
        return datetime.time.fromisoformat(v)
    return decimal.Decimal(v) if logical == "decimal" else uuid.UUID(v) if logical == "uuid" else v


def decoded(text):
    """By a reader that knows nothing of us: only the members that are there."""
    doc = json.loads(text)
    kind = dict(CONTRACT, fields=[{"name": f["name"], "type": f["type"]} for f in CONTRACT["fields"] if f["name"] in doc])
    value, out = told(kind, doc), io.BytesIO()
    schema = fastavro.parse_schema(kind)
    fastavro.schemaless_writer(out, schema, value, strict=False)
    out.seek(0)
    back = fastavro.schemaless_reader(out, schema)
    assert set(back) == set(doc), (back, doc)


class Table:
    def __init__(self, p):
        self.p, mark = p, p.quotes
        names = ", ".join(quoted(mark, n) for n in (KEY, "type", KIND, BODY))
        self.name = quoted(mark, p.space, TABLE)
        self.insert = f"insert into {self.name} ({names}) values ('1', '2', '3', %s)"
        self.c = connect(p.admin) if isinstance(p, Postgres) else my_connect(p.root)
        self.c.autocommit = True if isinstance(p, Postgres) else self.c.autocommit

    def run(self, statement, *values):
        """What the server says; empty: it did it."""
        try:
            with self.c.cursor() as q:
                q.execute(statement, values)
        except Exception as e:  # noqa: BLE001
            return str(e.args[-1]) or "refused"
        return ""


def says_no(server):
    p = Postgres(True) if server == "postgres" else MySql(server, True)
    with case(f"contract_{server}", p):
        word, file = ("ddl", "outbox", "--table", f"src/{p.table}"), os.path.join(p.dir, "order.avsc")
        with open(file, "w") as f:
            json.dump(CONTRACT, f)
        code, make, err = p.verb(*word, "--contract", file)
        assert code == 0, err
        done = p.client(make)
        assert done.returncode == 0 and not done.stderr, done.stderr
        t, wrong = Table(p), []
        for text in GOOD:
            said = t.run(t.insert, text)
            if said:
                wrong.append(("refused", text[:200], said))
        kept = sorted(r if isinstance(r, str) else r[0] for r in p.sql(
            f"select {quoted(p.quotes, BODY)}{'::text' if server == 'postgres' else ''} from {t.name}",
            **({"on": p.admin} if server == "postgres" else {})))
        assert kept == sorted(GOOD) or wrong, "payloads are not as they were written"
        for text, why in BAD:
            said = t.run(t.insert, text)
            if not said or why not in said or why and "payload does not fit its contract" not in said or "hunter2" in said:
                wrong.append(("accepted" if not said else "said", text[:200], why, said))
        assert not wrong, "\n".join(map(str, wrong))
        assert "not fit" in t.run(f"update {t.name} set {quoted(p.quotes, BODY)} = '[]'"), "an update"
        assert not t.run(t.insert, None), "a tombstone"
        code, drop, err = p.verb(*word, "--drop", "--contract", file)
        done = p.client(drop)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert not [n for n in functions(p)], "functions are left"
        done = p.client(p.verb(*word)[1])
        assert done.returncode == 0, done.stderr
        for text in GOOD + [text for text, why in BAD]:
            said = t.run(t.insert, text.encode())
            assert not said, ("the control: a table without a contract", text[:200], said)
        t.c.close()
    p.close()


def functions(p):
    if isinstance(p, Postgres):
        return p.sql("select proname from pg_proc where proname like 'freshet%%'", on=p.admin)
    return p.sql("select routine_name from information_schema.routines where routine_schema = %s", p.space) or ()


def reads():
    with case("contract_decoded"):
        for text in GOOD:
            decoded(text)
        refused = 0
        for text, _ in BAD:
            try:
                decoded(text)
            except Exception:  # noqa: BLE001
                refused += 1
        assert refused > 60, f"the control: fastavro takes {refused}"
        assert len(GOOD) + len(BAD) > 150


if __name__ == "__main__":
    SERVERS = ["postgres", "mariadb", "mysql"]
    for s in SERVERS[1:]:
        there, why = add_server(s)
        if not there:
            print(f"skip contract.{s}: {why}", flush=True)
            SERVERS.remove(s)
    together([reads] + [lambda s=s: says_no(s) for s in SERVERS], 4)
    finish()
