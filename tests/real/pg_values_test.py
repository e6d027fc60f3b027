#!/usr/bin/env python3
"""Values of a real PostgreSQL: both wire forms, the stream and COPY give the same (R27).

Needs PG_DSN; the programs are those of build/dev, or of BUILD_DIR.
"""
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import psycopg2
import psycopg2.extensions

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "wire"))
import capture_pgoutput  # noqa: E402

BUILD = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build", "dev"))
failed = False


def report(name, why):
    global failed
    failed = failed or why is not None
    print(f"ok pg_values.{name}" if why is None else f"not ok pg_values.{name}: {why}".replace("\n", " "), flush=True)


def program(name, *arguments, **keywords):
    return subprocess.run([os.path.join(BUILD, name), *arguments], capture_output=True, text=True, **keywords)


def events(path):
    done = program("pgoutput_events", path)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def without_places(text):
    """Events without what differs from run to run: LSNs and transaction ids, and the empty
    transactions that servers before 15 send."""
    text = re.sub(r'"(at|row)":"[^"]*",?', "", text)
    text = re.sub(r'"txn":"[0-9]+",?', "", re.sub(r" at [0-9A-F]+/[0-9A-F]+", " at", text))
    return re.sub(r'\{"op":"begin","ordinal":0,\}\n\{"op":"commit","ordinal":0,\}\n', "", text)


def values(dsn, folder):
    """Every type: text and binary decode to what the server's arithmetic says."""
    path = os.path.join(folder, "values.tsv")
    with open(path, "w", encoding="utf-8") as out:
        subprocess.run([sys.executable, os.path.join(ROOT, "tests", "wire", "capture_values.py")], check=True,
                       stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "PG_DSN": dsn})
    done = program("unit.postgres.pg_value", env={**os.environ, "PGVALUES": path})
    return None if done.returncode == 0 else (done.stderr + done.stdout)[-400:]


def stream(dsn, folder):
    """The scenario gives the events that were reviewed for PostgreSQL 15, in both forms."""
    version = capture_pgoutput.capture_all("now", dsn, folder)
    text = events(os.path.join(folder, "now.text.hex"))
    binary = os.path.join(folder, "now.binary.hex")
    if os.path.exists(binary) and events(binary) != text:
        return "binary and text have other events"
    if version < 140000:  # no messages: the reviewed events of 15 have them
        return None
    for form in ("events", "other.events"):
        hexes = os.path.join(folder, "now.other.hex" if form == "other.events" else "now.text.hex")
        with open(os.path.join(ROOT, "tests", "wire", "pgoutput", "pg15." + form), encoding="utf-8") as reviewed:
            if without_places(reviewed.read()) != without_places(events(hexes)):
                return f"other events than tests/wire/pgoutput/pg15.{form}"
    return None


def binary_messages(data):
    """COPY BINARY as libpq hands it out: the head with the first row, then row by row."""
    messages, start, at = [], 0, 19
    while True:
        count = int.from_bytes(data[at:at + 2], "big", signed=True)
        at += 2
        for _ in range(max(count, 0)):
            length = int.from_bytes(data[at:at + 4], "big", signed=True)
            at += 4 + max(length, 0)
        messages.append(data[start:at])
        start = at
        if count == -1:
            return messages


def copied(capture, form, folder):
    data = io.BytesIO()
    with capture.db.cursor() as cur:
        for setting, value in capture_pgoutput.SETTINGS.items():
            cur.execute(f"set local {setting} = %s", (value,))
        cur.copy_expert("copy (select * from shop.customer order by id) to stdout" +
                        (" (format binary)" if form == "binary" else ""), data)
    capture.db.commit()
    messages = binary_messages(data.getvalue()) if form == "binary" else data.getvalue().splitlines(keepends=True)
    done = program("pg_copy_rows", os.path.join(folder, "copy.text.hex"), "customer", form,
                   input="".join(m.hex() + "\n" for m in messages))
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return [json.loads(line)["after"] for line in done.stdout.splitlines()]


def snapshot(dsn, folder):
    """Rows read by COPY are those that the stream has, bit for bit as JSON prints them."""
    capture = capture_pgoutput.Capture("copy", dsn, folder)
    try:
        capture.run(capture_pgoutput.SCENARIO[:2])
        capture.write("text", "")
        streamed = [json.loads(line) for line in events(os.path.join(folder, "copy.text.hex")).splitlines()]
        streamed = [event["after"] for event in streamed if event["op"] == "insert"]
        if len(streamed) != 3:
            return f"{len(streamed)} rows were streamed"
        for form in ("text", "binary"):
            rows = copied(capture, form, folder)
            if rows != streamed:
                return f"COPY in {form} has other rows than the stream"
    finally:
        capture.close()
    return None


def main():
    name = f"pg_values_{os.getpid()}"
    admin = psycopg2.connect(os.environ["PG_DSN"])
    admin.autocommit = True
    admin.cursor().execute(f"create database {name}")
    dsn = psycopg2.extensions.make_dsn(os.environ["PG_DSN"], dbname=name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in (values, stream, snapshot):
                try:
                    report(case.__name__, case(dsn, folder))
                except (RuntimeError, OSError, psycopg2.Error, subprocess.SubprocessError) as error:
                    report(case.__name__, error)
    finally:
        admin.cursor().execute(f"drop database if exists {name}")
    sys.exit(1 if failed else 0)


main()
