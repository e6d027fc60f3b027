#!/usr/bin/env python3
"""Seeds of the PostgreSQL fuzz targets out of the captures in tests/wire."""
import hashlib
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SEEDS = os.path.join(ROOT, "tests", "fuzz", "corpus")


def write(target, data):
    folder = os.path.join(SEEDS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, hashlib.sha1(data).hexdigest()[:16]), "wb") as out:
        out.write(data)


def indexes():
    """The place of each type in pg_builtin.c, which is what the first byte of a seed chooses."""
    with open(os.path.join(ROOT, "connectors", "postgres", "pg_builtin.c"), encoding="utf-8") as source:
        return {int(oid): i for i, oid in enumerate(re.findall(r"^    [TA]\((\d+),", source.read(), re.M))}


def unescape(text):
    return re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n"}.get(m[1], m[1]), text).encode()


def values():
    places = indexes()
    typmods = {-1: 0, ((10 << 16) | 2) + 4: 1, ((38 << 16) | 10) + 4: 2}
    seen = {}
    with open(os.path.join(ROOT, "tests", "wire", "pgvalues", "pg15.tsv"), encoding="utf-8") as lines:
        for line in lines:
            f = line.rstrip("\n").split("\t")
            if f[0] in ("type",) or line.startswith("#") or int(f[0]) not in places:
                continue
            head = bytes([places[int(f[0])], typmods.get(int(f[1]), 0)])
            seen[f[0]] = seen.get(f[0], 0) + 1
            if seen[f[0]] <= 5:
                write("pg_text", head + unescape(f[4]))
                write("pg_binary", head + bytes.fromhex(f[5]))
    write("pg_text", b"\xff\x001\tx\\ty\t1.5\t2024-01-01 00:00:00+00\t{a,b}\t\\\\x00\n")
    row = b"\x00\x06" + b"\x00\x00\x00\x04\x00\x00\x00\x01" + b"\x00\x00\x00\x01x" + b"\xff\xff\xff\xff" * 4
    write("pg_binary", b"\xff\x00PGCOPY\n\xff\r\n\x00" + bytes(8) + row)
    for literal in (b"'x'::text", b"(-1)", b"true", b"'{}'::jsonb", b"'it''s'::character varying(10)"):
        write("pg_text", bytes([places[25], 8]) + literal)


def streams():
    for name, limit in (("pg15.text", 40), ("pg15.binary", 200), ("pg15.other", 20), ("pg10.text", 20)):
        data = b""
        with open(os.path.join(ROOT, "tests", "wire", "pgoutput", name + ".hex"), encoding="utf-8") as lines:
            for line in lines:
                if "/" in line and not line.startswith(("#", "type")) and limit > 0:
                    message = bytes.fromhex(line.split(" ")[1])
                    data += len(message).to_bytes(2, "big") + message
                    limit -= 1
        for flags in (0x0f, 0x01, 0x31):
            write("pgoutput", bytes([flags]) + data)


values()
streams()
