#include "cli/demo_shop.h"
#include "base/arena.h"
#include <sqlite3.h>
#include <stdlib.h>

struct fr_demo_shop {
    sqlite3 *db;
    size_t done;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE orders ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " customer TEXT NOT NULL,"
    " total DECIMAL(8,2) NOT NULL,"
    " status TEXT NOT NULL DEFAULT 'new',"
    " deleted BOOLEAN NOT NULL DEFAULT 0,"
    " changed TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')));"
    "CREATE INDEX orders_changed ON orders (changed, id);"
    "CREATE TRIGGER orders_changed AFTER UPDATE ON orders BEGIN"
    " UPDATE orders SET changed = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = NEW.id; END;"
    "INSERT INTO orders (customer, total, status) VALUES ('ada', 12.5, 'paid'), ('grace', 99, "
    "'new');";

static const char *const changes[] = {
    "INSERT INTO orders (customer, total) VALUES ('edsger', 7.25)",
    "UPDATE orders SET status = 'paid' WHERE id = 2",
    "INSERT INTO orders (customer, total) VALUES ('barbara', 1250.9)",
    "UPDATE orders SET status = 'shipped', total = 13 WHERE id = 1",
    "UPDATE orders SET deleted = 1 WHERE id = 3",
    "INSERT INTO orders (customer, total) VALUES ('donald', 2.56)",
    "UPDATE orders SET status = 'paid' WHERE id = (SELECT max(id) FROM orders)",
};

static fr_rc run(fr_demo_shop *s, const char *sql, fr_err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return FR_OK;
    fr_fail(err, FR_ERR_BUSY, "the demo's database: %s", sqlite3_errmsg(s->db));
    return fr_fail_code(err, "demo.database");
}

fr_rc fr_demo_shop_open(const char *path, fr_demo_shop **out, fr_err *err)
{
    enum { BUSY_MS = 5000 };
    fr_demo_shop *s = fr_malloc(sizeof(*s));
    fr_rc rc = FR_OK;
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK) {
        rc = fr_fail(err, FR_ERR_BUSY, "the demo's database %s cannot be made: %s", path,
                     sqlite3_errmsg(s->db));
    } else {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        rc = run(s, schema, err);
    }
    if (rc == FR_FAIL) {
        fr_demo_shop_close(s);
        return FR_FAIL;
    }
    *out = s;
    return FR_OK;
}

void fr_demo_shop_close(fr_demo_shop *s)
{
    if (s == NULL)
        return;
    sqlite3_close_v2(s->db);
    free(s);
}

fr_rc fr_demo_shop_change(fr_demo_shop *s, const char **sql_out, fr_err *err)
{
    *sql_out = changes[s->done++ % (sizeof(changes) / sizeof(changes[0]))];
    return run(s, *sql_out, err);
}

bool fr_demo_shop_compare(fr_demo_shop *s, const char *copy, long long *orders, long long *same)
{
    static const char sql[] =
        "SELECT count(*), count(c.id) FROM main.orders o LEFT JOIN copy.orders c"
        " ON c.id = o.id AND c.status = o.status AND CAST(c.total AS REAL) = o.total"
        " WHERE NOT o.deleted";
    sqlite3_stmt *q = NULL;
    char *attach = sqlite3_mprintf("ATTACH %Q AS copy", copy);
    bool good = attach != NULL && sqlite3_exec(s->db, attach, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK &&
                sqlite3_step(q) == SQLITE_ROW;
    if (good) {
        *orders = sqlite3_column_int64(q, 0);
        *same = sqlite3_column_int64(q, 1);
    }
    sqlite3_finalize(q);
    sqlite3_free(attach);
    return good;
}
