#!/bin/bash
# scripts/lint.sh [FOLDER...]: layers, house numbers, links, format, shell scripts, clang-tidy, cppcheck. All
# run; exit code 1 when one complains. Some minutes long, so no part of `make test`; with FOLDER clang-tidy
# and cppcheck read only those (src/kafka ...).
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
# Option tables are offsets into structs, and macros with members as arguments; an int64_t is printed as long long.
checks+=',-bugprone-casting-through-void,-bugprone-misplaced-widening-cast,-bugprone-macro-parentheses'
checks+=',-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'

# Out of cppcheck's: its parser trips over compound literals (internalAstError); gcc and clang define what
# C11 leaves to them, arithmetic shifts and a NULL that is a pointer (shiftTooManyBitsSigned, varFuncNullUB);
# ctu* do not see the condition that guards a pointer, nor that a struct is an output.
wrong=(internalAstError shiftTooManyBitsSigned varFuncNullUB ctunullpointer ctuuninitvar)

mapfile -t c < <(find src connectors tests bench -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
[ $# -gt 0 ] || set -- src connectors
mapfile -t units < <(find "$@" -name '*.c' 2>/dev/null | LC_ALL=C sort)
run layers scripts/layers.sh
run house scripts/house.sh
run links scripts/links.sh
if [ ${#c[@]} -gt 0 ]; then
    run format clang-format-19 --dry-run -Werror "${c[@]}"
fi
run shellcheck shellcheck -S warning scripts/*.sh tests/stack/run tests/real/*.sh tests/e2e/*.sh .ci/run
if [ ${#units[@]} -gt 0 ]; then
    # clang's own compilation database: gcc's warnings options are not all clang's.
    run configure cmake --preset clang --log-level=WARNING
    run clang-tidy xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/clang \
        --warnings-as-errors='*' --checks="$checks" \
        < <(printf '%s\n' "${units[@]}")
    run cppcheck cppcheck -j "$(nproc)" --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --error-exitcode=1 "${wrong[@]/#/--suppress=}" -I . -I src -I connectors "${units[@]}"
fi
exit $rc
