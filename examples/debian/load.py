"""Debian's package index, as apt keeps it, into the tables of schema.sql."""
import datetime
import glob
import io
import lzma
import os
import re
import subprocess

PRIORITIES = {"required", "important", "standard", "optional", "extra"}
KINDS = ("Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Provides", "Replaces")


def paragraphs(lines):
    fields, name = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, name = {}, None
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line[1:]
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields


def escape(v):
    if v is None:
        return "\\N"
    return (str(v).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r"))


class Table:
    def __init__(self, name, columns):
        self.name, self.columns, self.text, self.rows = name, columns, io.StringIO(), 0

    def add(self, *values):
        self.text.write("\t".join(escape(v) for v in values) + "\n")
        self.rows += 1

    def copy(self, cursor):
        self.text.seek(0)
        cursor.copy_expert(f"copy {self.name} ({', '.join(self.columns)}) from stdin", self.text)


def add_dependencies(table, package_id, fields):
    for kind in KINDS:
        for position, group in enumerate(fields.get(kind, "").split(","), 1):
            for alternative, one in enumerate(group.split("|"), 1):
                m = re.match(r"\s*([^\s(\[<]+)\s*(?:\(([^)]*)\))?", one)
                if m:
                    table.add(package_id, kind.lower(), position, alternative, m[1], m[2])


def array(texts):
    quoted = ['"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"' for t in texts]
    return "{" + ",".join(quoted) + "}"


def apt_options(index):
    """apt's own view of the index in the cache, and of nothing else on this machine."""
    options = {"Dir::Etc::sourcelist": f"{index}/list", "Dir::Etc::sourceparts": "-",
               "Dir::State::lists": f"{index}/lists", "Dir::State::status": "/dev/null",
               "Dir::Cache": os.environ.get("DEMO_DIR", "/tmp")}
    return [word for pair in options.items() for word in ("-o", "=".join(pair))]


def read_packages(index, today, now):
    maintainers = Table("maintainers", ("maintainer_id", "name", "email"))
    packages = Table("packages", (
        "package_id", "name", "version", "architecture", "section", "priority", "maintainer_id",
        "installed_kib", "size_bytes", "mib", "essential", "tags", "homepage", "sha256",
        "indexed_on", "indexed_at"))
    dependencies = Table("dependencies", ("package_id", "kind", "position", "alternative", "target", "version"))
    descriptions = Table("descriptions", ("digest", "language", "summary", "body"))
    known, seen, ids = {}, set(), 0
    dump = subprocess.Popen(["apt-cache", *apt_options(index), "dumpavail"], stdout=subprocess.PIPE, text=True, errors="replace")
    for f in paragraphs(dump.stdout):
        ids += 1
        who = f.get("Maintainer", "nobody")
        if who not in known:
            known[who] = len(known) + 1
            m = re.match(r"(.*?)\s*<(.*)>$", who)
            maintainers.add(known[who], m[1] if m else who, m[2] if m else None)
        size = int(f.get("Size", 0))
        priority = f.get("Priority")
        packages.add(
            ids, f["Package"], f["Version"], f.get("Architecture", "all"), f.get("Section"),
            priority if priority in PRIORITIES else None, known[who], f.get("Installed-Size"), size,
            f"{size / 1048576:.3f}", f.get("Essential") == "yes",
            array(f["Tag"].replace("\n", " ").split(", ")) if "Tag" in f else None, f.get("Homepage"),
            "\\x" + f["SHA256"] if "SHA256" in f else None, today, now)
        add_dependencies(dependencies, ids, f)
        for key, language in (("Description-en", "en"), ("Description", "en")):
            digest = f.get("Description-md5")
            if key in f and digest and (digest, language) not in seen:
                seen.add((digest, language))
                summary, _, body = f[key].partition("\n")
                descriptions.add(digest, language, summary, body)
    dump.wait()
    return [maintainers, packages, dependencies, descriptions], seen


def open_list(path):
    if path.endswith(".xz"):
        return lzma.open(path, "rt", errors="replace")
    if path.endswith(".lz4"):
        p = subprocess.Popen(["/usr/lib/apt/apt-helper", "cat-file", path], stdout=subprocess.PIPE, text=True, errors="replace")
        return p.stdout
    return open(path, errors="replace")


def read_translations(descriptions, seen, folder):
    """Descriptions in the languages that were fetched: <folder>/*_Translation-<language>*."""
    for path in sorted(glob.glob(os.path.join(folder, "*_Translation-*"))):
        language = re.search(r"_Translation-([A-Za-z_]+)", path.replace("%5f", "_"))[1]
        with open_list(path) as f:
            for p in paragraphs(f):
                digest, text = p.get("Description-md5"), p.get("Description-" + language)
                if digest and text and (digest, language) not in seen:
                    seen.add((digest, language))
                    summary, _, body = text.partition("\n")
                    descriptions.add(digest, language, summary, body)


def load(connection, index):
    now = datetime.datetime.now(datetime.timezone.utc)
    tables, seen = read_packages(index, now.date().isoformat(), now.isoformat())
    read_translations(tables[3], seen, os.path.join(index, "lists"))
    cursor = connection.cursor()
    for t in tables:
        t.copy(cursor)
    connection.commit()
    connection.autocommit = True
    cursor.execute("analyze")
    return {t.name: t.rows for t in tables}
