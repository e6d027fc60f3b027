"""ClickHouse by its HTTP interface, for tests: one statement, or something like a connection of Python's databases."""
import json
import os
import shlex
import subprocess
import urllib.error
import urllib.parse
import urllib.request

STACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stack", "stack")


class Error(Exception):
    """What the server answered, or that it did not."""


def ask(url, sql, body=None, user=None, password=None, **settings):
    """One statement; the reply's bytes."""
    q = dict(settings, wait_end_of_query=1, async_insert=0)
    if body is not None:
        q["query"], sql = sql, body
    request = urllib.request.Request(url + "?" + urllib.parse.urlencode(q), sql if isinstance(sql, bytes) else sql.encode())
    if user:
        request.add_header("X-ClickHouse-User", user)
        request.add_header("X-ClickHouse-Key", password)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as r:
            return r.read()
    except urllib.error.HTTPError as e:
        raise Error("%s: %s" % (sql[:200], e.read().decode(errors="replace")[:500])) from None
    except OSError as e:
        raise Error(str(e)) from None


def rows(url, sql, **settings):
    """Of a SELECT; None of others."""
    select = sql.lstrip().upper().startswith(("SELECT", "WITH", "DESC", "SHOW"))
    out = ask(url, sql + (" FORMAT JSONCompactEachRow" if select else ""), output_format_json_quote_64bit_integers=0,
              output_format_json_quote_denormals=1, output_format_decimal_trailing_zeros=1, **settings)
    return [tuple(json.loads(line)) for line in out.decode(errors="surrogateescape").splitlines()] if select else None


def is_clickhouse(dsn):
    return dsn.startswith("clickhouse://")


class Connection:
    """Tables are read as they are now: FINAL."""

    def __init__(self, dsn):
        u = urllib.parse.urlsplit(dsn)
        self.url, self.database, self.result = "http://%s:%d/" % (u.hostname, u.port), u.path[1:], None

    def cursor(self):
        return self

    def execute(self, sql):
        self.result = rows(self.url, sql, database=self.database, final=1)

    def fetchall(self):
        return self.result

    def fetchone(self):
        return self.result[0] if self.result else None

    def close(self):
        pass


def add_server():
    """False, and why, where there is no ClickHouse here."""
    if os.environ.get("CLICKHOUSE_URL"):
        return True, ""
    p = subprocess.run([STACK, "up", "clickhouse"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode != 0:
        return False, " ".join(p.stderr.split())[:200]
    for line in p.stdout.splitlines():
        key, _, value = line.removeprefix("export ").partition("=")
        os.environ[key] = shlex.split(value)[0] if value else ""
    return True, ""
