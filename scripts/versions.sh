#!/bin/bash
# scripts/versions.sh [VERSION...]: the tests of the PostgreSQL source on other versions of the server (default
# 10 13 17 18, what Maven Central has of them; brought where they are missing). Each test says itself from which
# version on it can run. Exit code 0: none failed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)

if [ "${1:-}" = --on-stack ]; then
    name=PG$2_DSN scram=PG$2_SCRAM_DSN
    export PG_DSN=${!name} PG_SCRAM_DSN=${!scram} FRESHET_TEST_PG=pg$2
    PATH=$(dirname "$FRESHET_PYTHON"):$PATH
    rc=0
    for t in "$root"/tests/real/pg_source_*test.py "$root"/tests/real/pg_decoding_test.py; do
        "$t" | sed "s/^\(ok\|not ok\|skip\) /\1 pg$2./"
        [ "${PIPESTATUS[0]}" = 0 ] || rc=1
    done
    exit $rc
fi
failed=0
[ $# -gt 0 ] || set -- 10 13 17 18
for v in "$@"; do
    "$root/scripts/deps.sh" "postgres-$v" || { failed=1; continue; }
    STACK=pg$v "$root/tests/stack/run" "$0" --on-stack "$v" || failed=1
done
exit $failed
