#!/usr/bin/env python3
"""Print connectors/mysql/my_charset_tables.c: what the servers make of each byte, as Unicode.

    make_my_charsets.py 'COMMAND of a client of MariaDB' 'COMMAND of a client of MySQL'

The commands read SQL from standard input (mariadb -S ... -N -B). Single-byte character sets are
asked in full; for multi-byte ones only what glibc's iconv sees differently is kept.
"""
import ctypes
import subprocess
import sys

SINGLE = ("dec8 cp850 hp8 koi8r latin1 latin2 swe7 ascii hebrew tis620 koi8u greek cp1250 latin5 armscii8 cp866 "
          "keybcs2 macce macroman cp852 latin7 cp1251 cp1256 cp1257 geostd8").split()
MULTI = {"big5": "BIG5", "ujis": "EUC-JP-MS", "sjis": "SHIFT_JIS", "gb18030": "GB18030"}
PER_LINE = 12
libc = ctypes.CDLL(None)
libc.iconv_open.restype = ctypes.c_void_p
libc.iconv.argtypes = [ctypes.c_void_p] * 5


def ask(client, sequences, charset):
    """Unicode of each byte sequence; 0: the server does not know it."""
    sql = "".join(f"select hex(convert(convert(X'{s.hex()}' using {charset}) using utf32));\n" for s in sequences)
    run = subprocess.run(client, input=sql.encode(), capture_output=True, shell=True, check=True)
    out = []
    for s, line in zip(sequences, run.stdout.decode().splitlines(), strict=True):
        lost = line == "NULL" or len(line) != 8 or int(line, 16) == 0xfffd or (line == "0000003F" and s != b"?")
        out.append(0 if lost else int(line, 16))
    return out


def iconv(name):
    handle = libc.iconv_open(b"UTF-32BE", name.encode())

    def convert(s):
        libc.iconv(handle, None, None, None, None)
        source, target = ctypes.create_string_buffer(s, len(s)), ctypes.create_string_buffer(64)
        at, left = ctypes.c_void_p(ctypes.addressof(source)), ctypes.c_size_t(len(s))
        to, room = ctypes.c_void_p(ctypes.addressof(target)), ctypes.c_size_t(64)
        libc.iconv(handle, ctypes.byref(at), ctypes.byref(left), ctypes.byref(to), ctypes.byref(room))
        done = left.value == 0 and room.value == 60
        return int.from_bytes(target.raw[:4], "big") if done else 0

    return convert


def sequences(charset):
    out = [bytes([a, b]) for a in range(0x81, 0xff) for b in range(0x30, 256) if charset != "gb18030" or b >= 0x40]
    if charset == "ujis":
        out += [bytes([0x8f, a, b]) for a in range(0xa0, 256) for b in range(0xa0, 256)]
    return out


def put_runs(client):
    """GB 18030's four bytes of the BMP, as runs: the standard counts them through, with gaps."""
    tried = [bytes([a, b, c, d]) for a in range(0x81, 0x85) for b in range(0x30, 0x3a) for c in range(0x81, 0xff)
             for d in range(0x30, 0x3a)]
    runs = []
    for i, u in enumerate(ask(client, tried, "gb18030")):
        if u and runs and runs[-1][0] + runs[-1][2] == i and runs[-1][1] + runs[-1][2] == u:
            runs[-1][2] += 1
        elif u:
            runs.append([i, u, 1])
    print("const fr_my_run fr_my_gb18030_runs[] = {")
    put_rows(runs + [[0, 0, 0]], lambda r: f"{{{r[0]}, {r[1]:#x}, {r[2]}}}")
    print("};")


def put_rows(values, form):
    for i in range(0, len(values), PER_LINE):
        print("    " + ", ".join(form(v) for v in values[i:i + PER_LINE]) + ",")


def main():
    mariadb, mysql = sys.argv[1:3]
    print("/* What the servers make of each byte. Made by tests/tools/make_my_charsets.py: do not edit. */\n"
          '#include "connectors/mysql/my_charset_tables.h"\n\n/* clang-format off */')
    for charset in SINGLE:
        table = ask(mariadb, [bytes([b]) for b in range(256)], charset)
        if table != ask(mysql, [bytes([b]) for b in range(256)], charset):
            raise SystemExit(f"{charset}: the servers differ")
        print(f"static const uint16_t {charset}[128] = {{")
        put_rows(table[128:], lambda v: f"{v:#x}" if v else "0")
        print("};")
        low = [(b, table[b]) for b in range(128) if table[b] != b]
        if low and charset != "swe7":
            raise SystemExit(f"{charset} is not ASCII below 128")
        if low:
            print("const uint16_t fr_my_swe7_low[128] = {")
            put_rows(table[:128], lambda v: f"{v:#x}" if v else "0")
            print("};")
    print("const fr_my_single fr_my_singles[] = {")
    for charset in SINGLE:
        print(f'    {{"{charset}", {charset}}},')
    print("    {NULL, NULL},\n};\n")
    for charset, name in MULTI.items():
        tried = sequences(charset)
        server = ask(mysql if charset == "gb18030" else mariadb, tried, charset)
        ours = iconv(name)
        differ = [(int.from_bytes(s, "big"), u) for s, u in zip(tried, server) if u != ours(s)]
        differ = sorted((s, u) for s, u in differ if u)
        print(f"static const fr_my_override {charset}[] = {{")
        put_rows(differ, lambda p: f"{{{p[0]:#x}, {p[1]:#x}}}")
        print("};")
    put_runs(mysql)
    print("const fr_my_overrides fr_my_multi[] = {")
    for charset in MULTI:
        print(f'    {{"{charset}", {charset}, sizeof({charset}) / sizeof({charset}[0])}},')
    print("    {NULL, NULL, 0},\n};\n/* clang-format on */")


main()
