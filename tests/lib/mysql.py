"""What the tests with MySQL and MariaDB servers share: connections, names, and a Pipeline whose source is
one of them."""
import os
import shlex
import subprocess
import urllib.parse

import pymysql

from harness import STACK, Pipeline


def parts(dsn):
    """mysql://user@host:port/database as pymysql wants it."""
    u = urllib.parse.urlsplit(dsn)
    return dict(host=u.hostname, port=u.port, user=u.username, password=u.password or "",
                database=u.path.strip("/") or None)


def connect(dsn, **more):
    """As root of the stack's server, without a password; each statement is a transaction."""
    options = dict(parts(dsn), autocommit=True, charset="utf8mb4", read_timeout=120, write_timeout=120)
    options.update(more)
    return pymysql.connect(**options)


def run(c, text, values=None):
    with c.cursor() as q:
        q.execute(text, values)
        return q.fetchall() if q.description else None


def present(name):
    """Is this server in the stack that runs? (MySQL's packages may be missing: then tests are skipped.)"""
    return name.upper() + "_DSN" in os.environ


# A source whose tables follow.
MY_SOURCE = """
sources:
  src:
    type: {type}
    dsn: {source}
    password: {password}
    prefix: {id}
    insecure: true
    tables:
"""


class MyPipeline(Pipeline):
    """Like Pipeline; the source is database self.id of a server of the stack, read as its user with the
    rights that docs/sources/mysql.md asks for. config may use {type} {source} {password} {ca}."""

    def __init__(self, config, server="mariadb", target=False):
        self.server = server
        self.root = os.environ[server.upper() + "_DSN"]
        super().__init__(config, target=target)

    def make_source(self, options):
        c = connect(self.root)
        run(c, f"create database `{self.id}` {options or 'character set utf8mb4'}")
        c.close()
        user = os.environ[self.server.upper() + "_USER_DSN"]
        return user.rsplit("/", 1)[0] + "/" + self.id

    def values(self):
        prefix = self.server.upper()
        return dict(super().values(), type="mariadb" if self.server.startswith("mariadb") else "mysql",
                    password=os.environ[prefix + "_PASSWORD"], ca=os.environ.get("TLS_CA", ""))

    def grant(self, rights):
        """To the user by whom the source is read: "select on `a`.`b`"."""
        c = connect(self.root)
        run(c, f"grant {rights} to '{os.environ[self.server.upper() + '_USER']}'@'%'")
        c.close()

    def drop_source(self):
        c = connect(self.root)
        run(c, f"drop database if exists `{self.id}`")
        c.close()

    def sql(self, text, *values, on=None):
        """As root, in our database; several statements with a semicolon at the end of the line."""
        c = connect(on or self.root, database=self.id)
        try:
            out = None
            for one in text.split(";\n"):
                if one.strip():
                    out = run(c, one, values or None)
            return out
        finally:
            c.close()


def add_server(name):
    """Adds a server to the stack that runs; False (and why) where it cannot be had here."""
    if present(name):
        return True, ""
    p = subprocess.run([STACK, "up", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode != 0:
        return False, " ".join(p.stderr.split())[:200]
    for line in p.stdout.splitlines():
        key, _, value = line.removeprefix("export ").partition("=")
        os.environ[key] = shlex.split(value)[0] if value else ""
    return True, ""
