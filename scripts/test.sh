#!/bin/bash
# scripts/test.sh [STEP...]: builds and tests everything; without STEP all steps, in order.
#
# A step is a function below. What it prints is kept in a file and shown when it fails; its tests are
# counted from lines "ok NAME", "not ok NAME: why", "skip NAME: why" (cmocka's own are translated).
# One failing step does not stop the others. The last line is "N passed, N failed, N skipped".
# Exit code 0: nothing failed, and no step that must run was skipped.
#
#   FUZZ_SECONDS   per fuzz target (default 10; 5 when CI=true)
#   JOBS           for the compiler, and fuzz targets at once (default: cores)
#   WORKERS        scripts of tests/real and tests/e2e at once (default 2)
#   LOGS           where the output is kept (default build/test-logs)
#   PATIENCE       all deadlines of scripts and scenarios times this (default 2)
#   TESTS          a pattern: only those scripts of tests/real and tests/e2e (default *)
#
# A skip must be allowed by name in tests/may_skip.txt; any other one fails the run.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit
logs=${LOGS:-$root/build/test-logs}
jobs=${JOBS:-$(nproc)}
[ "${CI:-}" = true ] && fuzz_seconds=${FUZZ_SECONDS:-5} || fuzz_seconds=${FUZZ_SECONDS:-10}
passed=0 failed=0 skipped=0 broken=0

# --- steps: what they print is counted, their exit code too ---------------------------------------

deps() { # the environment, not a test
    scripts/deps.sh test
}

build() {
    cmake --preset dev && cmake --build build/dev -j "$jobs" -- -k 0 && echo "ok build"
}

# What is installed: other warnings than at -O1, the flags of hardening, no failpoints.
release() {
    cmake --preset release && cmake --build build/release -j "$jobs" || return 1
    scripts/hardening.sh && echo "ok release"
}

unit() {
    [ -f CMakeLists.txt ] || return 0
    local rc=0
    ctest --test-dir build/dev -L '^unit$' -j "$jobs" --output-on-failure --no-tests=ignore \
        --test-output-size-passed 4194304 --test-output-size-failed 4194304 || rc=$?
    count_ctest build/dev/Testing/Temporary/LastTest.log
    return $rc
}

# Counts cmocka's cases in ctest's log. A program that died names none: then itself.
count_ctest() { # LOG
    [ -f "$1" ] || return 0
    awk '
        function done() {
            if (name == "") return
            if (!good && !bad) print "not ok unit." name ": the program failed or died"
            if (good && !cases) print "ok unit." name
            name = ""
        }
        function mark(kind, label, why) {
            if (name == "" || (name, label) in seen) return
            seen[name, label] = 1
            cases++
            print kind " unit." name "." label why
        }
        /^[0-9]+\/[0-9]+ Testing: / { done(); name = $3; good = bad = cases = missing = 0; next }
        /\[       OK \] / { sub(/.*\[       OK \] /, ""); mark("ok", $1, "") }
        /\[  SKIPPED \] / && !/test\(s\)/ { sub(/.*\[  SKIPPED \] /, ""); mark("skip", $1, ": skipped by the test") }
        /\[  FAILED  \] / && !/test\(s\)/ {
            sub(/.*\[  FAILED  \] /, ""); bad++; mark("not ok", $1, ": see the log")
        }
        /^Command: ""$/ { missing = 1 }
        /^Test Passed\.$/ { good = !missing }    # ctest says so of a program that was not built, too
        END { done() }' "$1"
}

layers() {
    scripts/layers.sh && echo "ok layers"
}

house() {
    local rc=0
    if scripts/house.sh; then echo "ok house"; else echo "not ok house: see above"; rc=1; fi
    if scripts/links.sh; then echo "ok links"; else echo "not ok links: see above"; rc=1; fi
    if tests/stack/compose_check.py; then echo "ok compose"; else echo "not ok compose: see above"; rc=1; fi
    return $rc
}

format() {
    local files
    mapfile -t files < <(c_files)
    [ ${#files[@]} -gt 0 ] || return 0
    if clang-format-19 --dry-run -Werror "${files[@]}" 2>/dev/null; then
        echo "ok format"
        return
    fi
    local f
    for f in "${files[@]}"; do
        clang-format-19 --dry-run -Werror "$f" 2>/dev/null && continue
        echo "not ok format.$f: make format"
    done
    return 1
}

# What is generated must be what is committed.
golden() {
    [ -x scripts/golden.sh ] || return 0
    scripts/golden.sh --check && echo "ok golden"
}

# Each target over its committed corpus, then on for FUZZ_SECONDS.
fuzz() {
    ls tests/fuzz/*_fuzz.c >/dev/null 2>&1 || return 0
    cmake --preset fuzz && cmake --build build/fuzz -j "$jobs" || return 1
    find tests/fuzz -maxdepth 1 -name '*_fuzz.c' | LC_ALL=C sort |
        xargs -r -n 1 -P "$jobs" "$0" --fuzz >"$logs/fuzz.all"
    cat "$logs/fuzz.all"
    ! grep -aq '^not ok ' "$logs/fuzz.all"
}

fuzz_target() { # SOURCE
    local name target log
    name=$(basename "$1" .c)
    log=$logs/$name.log
    target=$(find build/fuzz -type f -name "$name" -perm -u+x | head -n 1)
    if fuzz_one "$name" "$target" >"$log" 2>&1; then
        echo "ok fuzz.$name" >>"$log"
    else
        echo "not ok fuzz.$name: see $log and $logs/fuzz-$name" >>"$log"
    fi
    flock "$logs" cat "$log"
}

fuzz_one() { # NAME PROGRAM
    local work=$logs/fuzz-$1 seeds=() dict=() d
    [ -n "$2" ] || return 1
    mkdir -p "$work/found" "$work/new"
    for d in "tests/fuzz/corpus/${1%_fuzz}" "tests/fuzz/corpus/$1" "tests/fuzz/${1%_fuzz}.corpus"; do
        [ ! -d "$d" ] || seeds+=("$d")
    done
    for d in "tests/fuzz/${1%_fuzz}.dict" "tests/fuzz/$1.dict"; do
        [ ! -f "$d" ] || dict+=("-dict=$d")
    done
    if [ ${#seeds[@]} -gt 0 ]; then
        "$2" -runs=0 -rss_limit_mb=2048 "-artifact_prefix=$work/found/" "${seeds[@]}" || return 1
    fi
    "$2" "-max_total_time=$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "-artifact_prefix=$work/found/" "${dict[@]}" "$work/new" "${seeds[@]}"
}

# Every script against one stack that is up for all of them; each makes its own databases and topics.
real() {
    local tests
    mapfile -t tests < <(find tests/real tests/e2e -maxdepth 1 -name "${TESTS:-*}" -name '*_test.*' \
        -type f -perm -u+x 2>/dev/null | LC_ALL=C sort)
    [ ${#tests[@]} -gt 0 ] || return 0
    FRESHET_STACK_LOGS=$logs/servers FRESHET=${FRESHET:-$root/build/dev/freshet} \
        STACK="pg pg2 pg-tls kafka registry" tests/stack/run "$0" --scripts "${tests[@]}"
}

# Data races: the drivers between fakes, and the way through real servers. Needs a librdkafka with
# pthreads (as scripts/deps.sh makes it): those of C11 are not seen by ThreadSanitizer.
tsan() {
    local t reports=$logs/tsan-reports units="unit.capture.capture unit.apply.apply" all=0
    # shellcheck disable=SC2086
    cmake --preset tsan && cmake --build build/tsan -j "$jobs" --target freshet $units || return 1
    rm -rf "$reports"
    mkdir -p "$reports"
    export TSAN_OPTIONS="suppressions=$root/tests/tsan.supp log_path=$reports/report history_size=4"
    for t in $units; do
        if "build/tsan/$t"; then echo "ok tsan.$t"; else
            echo "not ok tsan.$t: see the log, and $reports"
            all=1
        fi
    done
    TESTS=flow_test.py FRESHET=$root/build/tsan/freshet real | sed 's/^\(ok\|not ok\) /\1 tsan./'
    [ "${PIPESTATUS[0]}" = 0 ] || all=1
    # A program that is killed has no exit code to tell it with.
    if ls "$reports"/report.* >/dev/null 2>&1; then
        cat "$reports"/report.*
        echo "not ok tsan.reports: a data race, see $reports"
        return 1
    fi
    echo "ok tsan.reports"
    return $all
}

# Kills, lost replies, hanging peers: tests/fault/test.list and mysql.list, each on servers of its own. Both
# mostly wait: side by side.
fault() {
    local all=0 mysql=$logs/fault-mysql.log
    scripts/fault.sh tests/fault/mysql.list >"$mysql" 2>&1 &
    scripts/fault.sh tests/fault/test.list || all=1
    wait $! || all=1
    cat "$mysql"
    return $all
}

# Which rows of the catalogue of failures have a test, and that each test named there exists.
catalogue() {
    scripts/catalogue.sh && echo "ok catalogue"
}

# In the stack's environment. Not to be used by hand. Scripts mostly wait, and bring the servers that they
# kill: several at once. One with a line "# alone: why" runs when the others are through.
scripts_on_stack() {
    local t together=() alone=()
    for t in "$@"; do
        if grep -q '^# alone: ' "$t"; then alone+=("$t"); else together+=("$t"); fi
    done
    if [ ${#together[@]} -gt 0 ]; then
        printf '%s\0' "${together[@]}" | xargs -0 -n 1 -P "${WORKERS:-2}" "$0" --script || return
    fi
    for t in "${alone[@]}"; do "$0" --script "$t" || return; done
    for t in "$@"; do
        ! grep -q '^not ok ' "$logs/$(basename "${t%.*}").log" || return 1
    done
}

# One script, and then all that it printed at once. Fails only when it cannot be run.
one_script() { # SCRIPT
    local name begun=$SECONDS rc log
    PATH=$(dirname "$FRESHET_PYTHON"):$PATH # tests in Python find their modules
    name=$(basename "${1%.*}")
    log=$logs/$name.log
    timeout -k 10 "${SCRIPT_SECONDS:-900}" "$1" >"$log" 2>&1 </dev/null
    rc=$?
    if [ $rc != 0 ] && ! grep -q '^not ok ' "$log"; then
        case $rc in 124 | 137) echo "not ok $name: not ended after ${SCRIPT_SECONDS:-900} s" ;;
        *) echo "not ok $name: exit code $rc" ;; esac >>"$log"
    elif ! grep -q '^\(not ok\|ok\|skip\) ' "$log"; then
        echo "not ok $name: it printed no result" >>"$log"
    fi
    left_down "$name" >>"$log"
    echo "($name: $((SECONDS - begun)) s)" >>"$log"
    flock "$logs" cat "$log"
}

# A server that a test left dead or frozen would make a liar of the next one.
left_down() { # NAME
    local server state
    while read -r server state _; do
        case $state in
        up | coming) continue ;;
        frozen) tests/stack/stack cont "$server" ;;
        *) tests/stack/stack start "$server" >/dev/null ;;
        esac
        echo "not ok $1: left $server $state"
    done < <(tests/stack/stack status)
}

c_files() {
    find src connectors tests bench -name '*.[ch]' 2>/dev/null | LC_ALL=C sort
}

# --- running them ----------------------------------------------------------------------------------

step() { # NAME SECONDS
    local name=$1 seconds=$2 log=$logs/$1.log begun=$SECONDS rc n_ok n_not n_skip name_skipped
    [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
    timeout -k 20 "$seconds" "$0" --step "$name" >"$log" 2>&1 </dev/null
    rc=$?
    n_ok=$(grep -ac '^ok ' "$log")
    n_not=$(grep -ac '^not ok ' "$log")
    n_skip=$(grep -ac '^skip ' "$log")
    if [ $rc != 0 ] && [ "$n_not" = 0 ]; then
        n_not=1
    fi
    passed=$((passed + n_ok)) failed=$((failed + n_not)) skipped=$((skipped + n_skip))
    printf '%-8s %5d ok %4d not ok %4d skipped  %4d s\n' "$name" "$n_ok" "$n_not" "$n_skip" $((SECONDS - begun))
    grep -a '^skip ' "$log" | sed 's/^/    /'
    for name_skipped in $(sed -n 's/^skip \([^ :]*\).*/\1/p' "$log"); do
        grep -qsx "$name_skipped" tests/may_skip.txt && continue
        echo "    $name_skipped was skipped, and is not in tests/may_skip.txt"
        broken=1
    done
    if [ "$n_not" != 0 ]; then
        case $rc in 124 | 137) echo "    not ended after $seconds s" ;; esac
        grep -a '^not ok ' "$log" | sed 's/^/    /'
        echo "    --- last lines of ${log#"$root"/}"
        tail -n 80 "$log" | sed 's/^/    /'
    fi
}

case ${1:-} in
--step) # in a process of its own, so that it can be ended after its time
    "$2"
    exit
    ;;
--scripts)
    scripts_on_stack "${@:2}"
    exit
    ;;
--fuzz)
    fuzz_target "$2"
    exit
    ;;
--script)
    one_script "$2"
    exit
    ;;
-h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit
    ;;
esac

wanted=("$@")
rm -rf "$logs"
mkdir -p "$logs"
export LOGS=$logs
step deps 1800
step build 900
step release 900
step unit 600
step layers 60
step house 60
step format 60
step golden 120
step fuzz "${FUZZ_LIMIT:-900}" # 0: as long as it takes
step tsan 600
step real 3300 # on a busy machine; half of it on a quiet one
step fault 1500
step catalogue 60
grep -a '^catalogue: ' "$logs/catalogue.log" 2>/dev/null

echo "in $SECONDS s; logs in ${logs#"$root"/}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$broken" = 0 ] && [ "$passed" -gt 0 ]
