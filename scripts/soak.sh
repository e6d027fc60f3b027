#!/bin/bash
# scripts/soak.sh: the long tests: the fault scenarios of tests/fault/soak.list, the source's tests on other
# versions of PostgreSQL, those of MySQL and MariaDB on other versions of these, 10,000 pairs of schemas, then
# each fuzz target for FUZZ_SECONDS (an hour). Takes a night and more.
# Exit code 0: nothing failed.
set -u
cd "$(dirname "$0")/.." || exit
export LOGS=${LOGS:-$PWD/build/soak-logs}
scripts/deps.sh test && cmake --preset dev && cmake --build build/dev -j "$(nproc)" || exit
failed=0
scripts/fault.sh tests/fault/soak.list || failed=1
scripts/versions.sh || failed=1
FRESHET_TEST_MYSQL="mariadb105 mariadb118 mysql55" TESTS='mysql_*' LOGS=$LOGS/mysql scripts/test.sh real || failed=1
COMPAT_PAIRS=10000 COMPAT_SEED=${SEED:-10} TESTS='compat_test*' SCRIPT_SECONDS=3600 LOGS=$LOGS/compat scripts/test.sh real || failed=1
FUZZ_SECONDS=${FUZZ_SECONDS:-3600} FUZZ_LIMIT=0 LOGS=$LOGS/fuzz scripts/test.sh fuzz || failed=1
exit $failed
