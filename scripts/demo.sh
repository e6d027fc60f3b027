#!/bin/bash
# scripts/demo.sh: servers, real data, freshet, and a comparison at the end. KEEP=1 leaves it running.
# DEMO=mysql: a MariaDB shop into PostgreSQL, and MariaDB and MySQL 5.5 into MySQL 9 (examples/shop).
# DEMO=analytics: that shop into ClickHouse and a DuckDB file at once (examples/analytics).
# DEMO=outbox: two outboxes, one read from the log and one polled, under the same writers (examples/outbox).
# DEMO=contracts: tables that are altered under load, by each policy, and one with a contract (examples/contracts).
# DEMO=query: polling, with 50 writers that commit late, and naive pollers beside it (examples/polling).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
export DEMO=${DEMO:-debian}
scripts/deps.sh demo
cmake --preset release >build-demo.log 2>&1 && cmake --build build/release >>build-demo.log 2>&1 || {
    tail -n 40 build-demo.log
    exit 1
}
rm -f build-demo.log
DEMO_DIR=$(mktemp -d)
trap 'rm -rf "$DEMO_DIR"' EXIT
DEMO_INDEX=$(scripts/deps.sh path package-index)
export DEMO_DIR DEMO_INDEX
export FRESHET="$root/build/release/freshet"
# A free port for /metrics and the rest.
DEMO_LISTEN=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export DEMO_LISTEN
case $DEMO in
debian) STACK="pg pg2 kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/debian/demo.py' ;;
mysql) STACK="pg2 mariadb kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/shop/demo.py' ;;
analytics)
    DUCKDB_HOME=$(scripts/deps.sh path duckdb)
    DUCKDB_PYTHON=$(find "$DUCKDB_HOME" -maxdepth 1 -name "python-$(sed -n 's/^DUCKDB=//p' tests/stack/versions)")
    export DUCKDB_HOME DUCKDB_PYTHON
    STACK="mariadb clickhouse kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/analytics/demo.py'
    ;;
query) STACK="pg pg2 kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/polling/demo.py' ;;
outbox) STACK="pg kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/outbox/demo.py' ;;
contracts) STACK="pg pg2 kafka registry" tests/stack/run sh -c '"$FRESHET_PYTHON" examples/contracts/demo.py' ;;
*)
    echo "demo: there is no DEMO=$DEMO: debian (the default), mysql, analytics, outbox, query or contracts" >&2
    exit 2
    ;;
esac
