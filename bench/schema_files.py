"""A configuration with many tables and their contracts, in a git work tree: each contract has one field more than
in the last commit. Run by itself: schema_files.py FOLDER [COUNT]."""
import json
import os
import subprocess
import sys

CONFIG = """version: 1
name: bench
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "file:registry"}
http: {listen: none}
sources:
  src:
    type: postgres
    dsn: postgresql://nobody@127.0.0.1/none
    tables:
"""
TYPES = ["long", "int", "string", "boolean", "double", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
         {"type": "long", "logicalType": "timestamp-micros"}]


def contract(number, fields):
    return {"type": "record", "name": f"Row{number}", "namespace": "bench", "doc": "A row", "fields": [
        {"name": f"field{i}", "type": ["null", TYPES[i % len(TYPES)]], "default": None, "doc": "What it is"} for i in range(fields)]}


def write_all(folder, count, fields):
    for n in range(count):
        with open(os.path.join(folder, "schemas", f"src.public.t{n}.avsc"), "w") as f:
            json.dump(contract(n, fields), f, indent=1)


def write(folder, count):
    os.makedirs(os.path.join(folder, "schemas"))
    with open(os.path.join(folder, "freshet.yaml"), "w") as f:
        f.write(CONFIG + "".join(f"      public.t{n}: {{}}\n" for n in range(count)))
    write_all(folder, count, 11)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "before"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    write_all(folder, count, 12)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
