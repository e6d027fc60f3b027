#!/bin/bash
# scripts/bench.sh [NAME...]: measures what docs/benchmarks.md shows, on servers of its own, and writes
# bench/results.json and the page. With NAMEs (catchup giant snapshot latency sink tables) only those, into
# build/bench-results.json, and no page: what is committed comes from one whole run.
#
#   BENCH_N                 repetitions of each figure (default 5; of the latency at most 3), in turns with
#                           what it is compared with
#   BENCH_LATENCY_SECONDS   of each repetition of the latency (default 60)
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
cmake --preset bench
cmake --build build/bench --target freshet sink_methods bare_receiver bare_copy bare_producer \
    bare_transactions latency
export FRESHET=$root/build/bench/freshet BENCH_BUILD=$root/build/bench
if [ $# -gt 0 ]; then
    BENCH_OUT=$root/build/bench-results.json exec tests/stack/run bench/run.py "$@"
fi
tests/stack/run bench/run.py
bench/page.py
