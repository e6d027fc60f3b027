"""What the tests of sources of type odbc share: connection strings for the servers of the stack, and pipelines."""
import os
import shutil
import sqlite3
import tempfile
import urllib.parse

import mysql
from harness import ROOT, Pipeline

# A source whose tables follow; {odbc} is its connection string.
SOURCE = """
sources:
  src:
    type: odbc
    dsn: {odbc}
    password: {password}
    prefix: {id}
    tables:
"""


class Pg(Pipeline):
    """Its database is read through psqlodbc; {source} is the same for the native source."""

    space = "public"

    def odbc(self):
        u = urllib.parse.urlsplit(self.source)
        return (f"Driver=PostgreSQL Unicode;Server={u.hostname};Port={u.port};Database={u.path.strip('/')};"
                f"Uid={u.username};SSLmode=disable;")

    def values(self):
        return dict(super().values(), odbc=self.odbc(), password="unused", space="public")

    def start(self, failpoint=None):
        self.env["LSAN_OPTIONS"] = f"suppressions={ROOT}/tests/lsan.supp"
        return super().start(failpoint)


class Maria(mysql.MyPipeline):
    """Through MariaDB's driver, as the stack's root, which has no password there."""

    def __init__(self, config, target=False):
        super().__init__(config, "mariadb", target)
        self.space = self.id

    def odbc(self):
        u = urllib.parse.urlsplit(os.environ["MARIADB_USER_DSN"])
        return f"Driver=MariaDB Unicode;Server={u.hostname};Port={u.port};Uid={u.username};Database={self.id};"

    def values(self):
        return dict(super().values(), odbc=self.odbc(), space=self.id)


class Lite(Pipeline):
    """A SQLite file through sqliteodbc."""

    space = "main"

    def make_source(self, options):
        self.folder = tempfile.mkdtemp(prefix="freshet-odbc-")
        return os.path.join(self.folder, "app.db")

    def drop_source(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self):
        return sqlite3.connect(self.source, timeout=60, isolation_level=None, check_same_thread=False)

    def sql(self, text, *values, on=None):
        c = self.connect()
        try:
            if values:
                return c.execute(text, values).fetchall()
            return c.executescript(text) if ";" in text else c.execute(text).fetchall()
        finally:
            c.close()

    def values(self):
        return dict(super().values(), odbc=f"Driver=SQLite3;Database={self.source};Timeout=60000;", password="unused",
                    space="main")
