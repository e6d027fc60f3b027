#!/bin/bash
# scripts/bench.sh [NAME...]: measures what docs/benchmarks.md shows, on servers of its own, and writes
# bench/results.json and the page; some 35 minutes. With NAMEs (catchup giant snapshot latency sink tables contract_cost schema_check alter_pause
# mariadb_binlog mariadb_small mariadb_giant mariadb_wide mariadb_snapshot mariadb_latency mariadb_sink
# mysql_binlog mysql_sink outbox outbox_latency poll_backlog mariadb_poll_backlog poll_idle compare; patterns
# too: 'm*', '*snapshot') only those, into build/bench-results.json, and no page: what is committed comes
# from one whole run. $BENCH may hold the NAMEs: make bench BENCH='m*'.
#
#   BENCH_N                 repetitions of each figure (default 5; of the latency at most 3; of the latency of outboxes, of
#                           idle polls and of comparisons half as many), in turns with what it is compared with
#   BENCH_ROWS              of most figures (default 1,000,000)
#   BENCH_LATENCY_SECONDS   of each repetition of the latency (default 60; half of it for MariaDB's and outboxes')
#   BENCH_POLLED            tables of the idle polls (default 1,000)
#   BENCH_COMPARE_KEYS      of the comparison (default 10,000,000)
#   BENCH_PROFILE           a folder for perf's records of the daemon
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit
    ;;
esac
scripts/deps.sh test
STACK="pg pg2 mariadb kafka registry"
if scripts/deps.sh mysql; then
    STACK="$STACK mysql"
fi
export STACK
cmake --preset bench
cmake --build build/bench --target freshet sink_methods my_sink_methods bare_receiver bare_copy bare_producer \
    bare_transactions latency my_latency my_bare_binlog my_bare_select no_kafka contract_cost
export FRESHET=$root/build/bench/freshet BENCH_BUILD=$root/build/bench
set -f
# shellcheck disable=SC2086 # names, with blanks between
[ $# -gt 0 ] || set -- ${BENCH:-}
if [ $# -gt 0 ]; then
    BENCH_OUT=$root/build/bench-results.json exec tests/stack/run bench/run.py "$@"
fi
tests/stack/run bench/run.py
bench/page.py
