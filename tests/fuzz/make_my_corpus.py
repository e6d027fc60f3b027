#!/usr/bin/env python3
"""Make the corpora of the MySQL fuzz targets from the captured files of tests/wire/binlog."""
import os
import struct

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CORPUS = os.path.join(ROOT, "fuzz", "corpus")


def put(target, name, data):
    os.makedirs(os.path.join(CORPUS, target), exist_ok=True)
    with open(os.path.join(CORPUS, target, name), "wb") as f:
        f.write(data)


def events(path):
    data, at, sums = open(path, "rb").read(), 4, None
    while at + 19 <= len(data):
        size, = struct.unpack_from("<I", data, at + 9)
        event, kind = data[at:at + size], data[at + 4]
        if kind == 15 and sums is None:
            sums = b"5.5.9" not in event[21:30]
            if sums:
                event = event[:-5] + b"\0" + event[-4:]
        elif sums:
            event = event[:-4]
            event = event[:9] + struct.pack("<I", len(event)) + event[13:]
        yield kind, event
        at += size


def main():
    for name in sorted(os.listdir(os.path.join(ROOT, "wire", "binlog"))):
        if not name.endswith(".000001"):
            continue
        every = list(events(os.path.join(ROOT, "wire", "binlog", name)))
        put("binlog", name, b"\x10" + b"".join(e for _, e in every))
        head, group, n = every[0][1], b"", 0
        for kind, event in every[1:]:
            if kind in (33, 34, 42, 162) and group:
                put("binlog", f"{name}.{n:03}", b"\x02" + head + group)
                group, n = b"", n + 1
            group += event
    document = bytes.fromhex("0002002d0012000100130001000c14000c1600616201780179")
    put("my_json", "object", struct.pack("<H", len(document)) + document + b"\x00\x03$.a\x02\x05\x01\x00")
    for i, sql in enumerate(("update t set a=1 where b=2", "insert into `a``b`.c values (1)", "truncate table x.y", "xa start 'x'",
                             "/*!40000 DROP */ table t", "set statement a=1 for delete from t", "load data infile 'x' into table t")):
        put("my_text", f"sql{i}", b"\x03" + sql.encode())
    for i, text in enumerate(("int(10) unsigned zerofill", "enum('a','it''s','b\\\\')", "decimal(65,30)", "datetime(6)", "varchar(20)", "set('x')")):
        put("my_text", f"type{i}", b"\x04" + text.encode())
    put("my_text", "mariadb", b"\x000-1-270,7-3-12")
    put("my_text", "mysql", b"\x0140064d9f-e9af-11f1-ad18-02fc00000001:1-5:7:blue:1-3:5,\n50064d9f-e9af-11f1-ad18-02fc00000001:1")
    for kind in range(1, 42):
        put("my_value", f"type{kind:02}", bytes([kind - 1, 4, 2, 10, 8, 0]) + b"\x05\x00\x00\x00abcde0123456789")


main()
