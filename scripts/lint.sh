#!/bin/bash
# scripts/lint.sh: layers, house numbers, format, shell scripts, clang-tidy, cppcheck. All run; exit code 1 when one complains.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
rc=0
run() {
    echo "== $1"
    shift
    "$@" || rc=1
}

# Left out: what contradicts the house style, or the compiler's own -Wconversion says better.
checks='-*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier'
checks+=',-bugprone-multi-level-implicit-pointer-conversion,-bugprone-narrowing-conversions'
checks+=',-bugprone-branch-clone,-bugprone-not-null-terminated-result,-bugprone-assignment-in-if-condition'
checks+=',-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'

mapfile -t c < <(find src connectors tests bench -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
mapfile -t units < <(find src connectors -name '*.c' 2>/dev/null | LC_ALL=C sort)
run layers scripts/layers.sh
run house scripts/house.sh
if [ ${#c[@]} -gt 0 ]; then
    run format clang-format-19 --dry-run -Werror "${c[@]}"
fi
run shellcheck shellcheck -S warning scripts/*.sh tests/stack/run tests/real/*.sh .ci/run
if [ ${#units[@]} -gt 0 ]; then
    # clang's own compilation database: gcc's warnings options are not all clang's.
    run configure cmake --preset clang --log-level=WARNING
    run clang-tidy xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/clang \
        --warnings-as-errors='*' --checks="$checks" \
        < <(printf '%s\n' "${units[@]}")
    run cppcheck cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --error-exitcode=1 -I src -I connectors "${units[@]}"
fi
exit $rc
