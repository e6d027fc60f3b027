"""A shop's data, made from Debian's package index: names in many scripts, texts in many languages, and what
old MySQL databases hold besides: zero dates, empty enums, keys beyond what is signed."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "debian"))
import load  # noqa: E402

PACKAGES, ORDERS, CLICKS = 20000, 30000, 20000
COUNTRIES = (("at", "Österreich", 1918), ("br", "Brasil", 0), ("cn", "中国", 1949), ("gr", "Ελλάδα", 1901), ("is", "Ísland", 1944))


class Dice:
    """The same numbers each time, and the same in every Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n


def latin1(text):
    return text.encode("cp1252", "ignore").decode("cp1252")


def packages(index):
    dump = subprocess.Popen(["apt-cache", *load.apt_options(index), "dumpavail"], stdout=subprocess.PIPE, text=True,
                            errors="replace")
    seen = {}
    for f in load.paragraphs(dump.stdout):
        if len(seen) < PACKAGES and f["Package"] not in seen:
            seen[f["Package"]] = f
    dump.wait()
    return seen


def translations(index, by_digest):
    lists = os.path.join(index, "lists")
    for name in sorted(os.listdir(lists)):
        m = re.search(r"_Translation-([A-Za-z]+)$|_Translation-([A-Za-z]+)\.", name.replace("%5f", "_"))
        if not m:
            continue
        language = m[1] or m[2]
        with load.open_list(os.path.join(lists, name)) as f:
            for p in load.paragraphs(f):
                sku, text = by_digest.get(p.get("Description-md5")), p.get("Description-" + language)
                if sku and text:
                    yield sku, language, text.split("\n")[0]


def customers(found):
    names = {}
    for f in found.values():
        m = re.match(r"(.*?)\s*<(.*)>$", f.get("Maintainer", ""))
        if m and m[2] not in names:
            names[m[2]] = m[1]
    d = Dice(1)
    for i, (email, name) in enumerate(sorted(names.items()), 1):
        born = "0000-00-00" if i % 5 == 0 else f"19{50 + d.below(50)}-{1 + d.below(12):02d}-{1 + d.below(28):02d}"
        since = "0000-00-00 00:00:00" if i % 7 == 0 else f"20{10 + d.below(15)}-06-01 12:00:{d.below(60):02d}"
        yield (i, latin1(name)[:120], email[:190], ("new", "regular", "gold", "")[d.below(4)], d.below(2), born, since,
               f"{d.below(2000000) / 100 - 1000:.2f}")


def products(found):
    d = Dice(2)
    for sku, f in found.items():
        flags = ",".join(x for x in ("new", "sale", "imported", "fragile") if d.below(3) == 0)
        title = f.get("Description-en", f.get("Description", sku)).split("\n")[0]
        attributes = None if d.below(4) == 0 else '{"section": "%s", "size": %s, "tags": ["%s", null, true], "ratio": 0.%d}' % (
            f.get("Section", "x"), f.get("Size", 0), "größe" if d.below(2) else "尺寸", 1 + d.below(9))
        yield (sku, title[:255], f"{d.below(100000) / 100:.2f}", None if d.below(9) == 0 else d.below(8000) / 16, flags,
               attributes, bytes.fromhex(f["SHA256"]) if "SHA256" in f else None)


def orders(customer_count, skus):
    d = Dice(3)
    for i in range(1, ORDERS + 1):
        number = i if i % 1000 else (1 << 63) + i  # unsigned, and beyond what is signed
        lines = [(number, n, skus[d.below(len(skus))], 1 + d.below(70000), f"{d.below(100000) / 100:.2f}")
                 for n in range(1, 2 + d.below(4))]
        took = None if i % 11 == 0 else f"{d.below(24)}:{d.below(60):02d}:{d.below(60):02d}"
        yield ((number, 1 + d.below(customer_count), f"20{10 + d.below(15)}-{1 + d.below(12):02d}-15 08:{d.below(60):02d}:00",
                "0000-00-00 00:00:00" if i % 13 == 0 else None, ("open", "paid", "sent", "returned")[d.below(4)], took,
                f"{d.below(10 ** 9) / 10000:.4f}", None if i % 3 else "prüfen, Stück à 5 €"), lines)


def clicks(skus):
    d = Dice(4)
    for i in range(CLICKS):
        at = f"2026-01-{1 + d.below(28):02d} {d.below(24):02d}:{d.below(60):02d}:{d.below(60):02d}.{d.below(1000000):06d}"
        yield at, skus[d.below(len(skus))], d.below(1 << 31), None if i % 4 == 0 else "Mozilla/4.0 (compatible; MSIE 6.0)"


def insert(cursor, table, columns, rows):
    """In statements of many rows, as a dump is loaded."""
    rows = list(rows)
    cursor.executemany(f"insert into {table} ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})", rows)
    return len(rows)


CUSTOMER = ("id", "name", "email", "status", "newsletter", "born", "since", "balance")
ORDER = ("id", "customer_id", "placed", "paid", "state", "took", "total", "note")
ITEM = ("order_id", "line", "sku", "quantity", "price")


def fill(cursor, index):
    found = packages(index)
    skus = list(found)
    by_digest = {f["Description-md5"]: sku for sku, f in found.items() if "Description-md5" in f}
    count = {"customers": insert(cursor, "customers", CUSTOMER, customers(found)),
             "products": insert(cursor, "products", ("sku", "title", "price", "weight", "flags", "attributes", "picture"),
                                products(found)),
             "countries": insert(cursor, "countries", ("code", "name", "founded"), COUNTRIES)}
    texts = {(sku, language): text for sku, language, text in translations(index, by_digest)}
    count["descriptions"] = insert(cursor, "descriptions", ("sku", "language", "summary"),
                                   ((*key, text) for key, text in texts.items()))
    made = list(orders(count["customers"], skus))
    count["orders"] = insert(cursor, "orders", ORDER, (o for o, _ in made))
    count["order_items"] = insert(cursor, "order_items", ITEM, (line for _, lines in made for line in lines))
    count["clicks"] = insert(cursor, "clicks", ("at", "sku", "session", "agent"), clicks(skus))
    return count


def fill_legacy(cursor, rows):
    """A MySQL 5.5 that has customers and orders only."""
    customer, order, item = rows
    return {"customers": insert(cursor, "customers", CUSTOMER, customer), "orders": insert(cursor, "orders", ORDER, order),
            "order_items": insert(cursor, "order_items", ITEM, item)}
