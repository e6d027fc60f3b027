#!/bin/bash
# scripts/fault.sh [LIST]: the fault scenarios of a list (default tests/fault/test.list), one after another,
# each with a seed of its own, on a stack that is up for all of them. Prints their lines; one that fails
# does not stop the others.
#
#   FRESHET   the program; it must have been built with failpoints (default build/dev/freshet)
#   SEED      the first scenario's seed, the next ones count on (default: the time)
#   PATIENCE  all deadlines of the scenarios times this (default 2)
#   LOGS      where what they print is kept (default build/fault-logs)
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
list=$(realpath "${1:-$root/tests/fault/test.list}")
export FRESHET=${FRESHET:-$root/build/dev/freshet} LOGS=${LOGS:-$root/build/fault-logs}

if [ "${2:-}" != --on-stack ]; then
    mkdir -p "$LOGS"
    FRESHET_STACK_LOGS=$LOGS/fault-servers-$(basename "$list" .list) exec "$root/tests/stack/run" "$0" "$list" --on-stack
fi

# A server that a scenario left dead would make a liar of the next one.
all_up() { # SCENARIO
    local server state
    while read -r server state _; do
        [ "$state" = up ] && continue
        echo "not ok fault.$1: left $server $state"
        "$root/tests/stack/stack" start "$server" >/dev/null
    done < <("$root/tests/stack/stack" status)
}

child=
trap '[ -z "$child" ] || kill "$child"; exit 143' TERM INT HUP
failed=0
seed=${SEED:-$(date +%s)}
while read -r scenario arguments; do
    case $scenario in '' | '#'*) continue ;; esac
    log=$LOGS/fault-$scenario.log
    # shellcheck disable=SC2086
    "$FRESHET_PYTHON" "$root/tests/fault/run.py" "$scenario" --seed "$seed" $arguments \
        >"$log" 2>&1 </dev/null &
    child=$!
    wait "$child"
    rc=$?
    child=
    all_up "$scenario" >>"$log"
    if [ $rc != 0 ] && ! grep -q '^not ok ' "$log"; then
        echo "not ok fault.$scenario: exit code $rc" >>"$log"
    fi
    if grep -q '^not ok ' "$log"; then
        failed=1
        cat "$log"
    else
        grep '^ok \|^skip ' "$log"
    fi
    seed=$((seed + 1))
done <"$list"
exit $failed
