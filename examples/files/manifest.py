"""The files of a folder that freshet's file sink writes (docs/sinks/file.md): those that its manifest lists, and
no others. Copy it, or use it as it is:

    python3 manifest.py DIR                                   # a line for each file
    pyarrow.dataset.dataset(manifest.files(DIR, "orders"))    # one table, in Python
"""
import json
import os
import re
import sys


def _crc32c(data):
    table = _crc32c.table
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


_crc32c.table = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _crc32c.table.append(_n)


def _record(path, check):
    with open(path, "rb") as f:
        text = f.read()
    if check:
        body, end = text[:-19], text[-19:]
        if end != b',"crc":"%08x"}\n' % _crc32c(body):
            raise ValueError("%s is damaged" % path)
    return json.loads(text)


def state(folder, check=False):
    """What the manifest says now: {"files": {path: entry}, "offsets": {(topic, partition): next}, "schemas":
    {(space, table, number): columns}, "seq": number of the newest commit}. check: the sums, too."""
    own = os.path.join(folder, "_freshet")
    folds = sorted(int(m[1]) for m in map(re.compile(r"(\d+)\.fold\.json$").match, os.listdir(own)) if m)
    seq = folds[-1] if folds else 0
    s = {"files": {}, "offsets": {}, "schemas": {}, "seq": 0}
    if seq:
        _add(s, _record(os.path.join(own, "%012d.fold.json" % seq), check))
    while True:
        try:
            _add(s, _record(os.path.join(own, "%012d.commit.json" % (s["seq"] + 1)), check))
        except FileNotFoundError:
            return s


def _add(s, r):
    if r["v"] != 1:
        raise ValueError("a manifest of version %s" % r["v"])
    for e in r["add"]:
        s["files"][e["path"]] = e
    for path in r["remove"]:
        del s["files"][path]
    for topic, partition, offset, *_ in r["offsets"]:  # the id of the topic, where it is known
        s["offsets"][topic, partition] = offset
    for c in r["schemas"]:
        s["schemas"][c["space"], c["table"], c["schema"]] = c["columns"]
    s["seq"] = r["seq"]


def files(folder, table, space="", days=None):
    """The paths of one table's files, in the order in which they were written; of these days only ("2026-11-26")."""
    found = [e for e in state(folder)["files"].values()
             if e["table"] == table and e["space"] == space and (days is None or e["day"] in days)]
    return [os.path.join(folder, e["path"]) for e in sorted(found, key=lambda e: os.path.basename(e["path"]))]


if __name__ == "__main__":
    for entry in state(sys.argv[1], check=True)["files"].values():
        print(entry["rows"], entry["bytes"], entry["path"], sep="\t")
