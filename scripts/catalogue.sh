#!/bin/bash
# scripts/catalogue.sh: checks that every test that tests/catalogue.txt names exists and is run, and prints
# which ways to fail are covered. Exit code 0: all of them do.
set -u
cd "$(dirname "$0")/.." || exit
failed=0

complain() {
    echo "not ok catalogue: tests/catalogue.txt:$number: $*"
    failed=1
}

# Exit code 1: only `make soak` runs it. A scenario is run when a list names it; a case of a script when it is spoken of in a script that
# scripts/test.sh runs; one in C when it is there and also in the table of its file.
check() { # FILE CASE
    case $1 in
    tests/fault/run.py)
        grep -qw "def scenario_$2" tests/fault/*.py || complain "no scenario $2"
        grep -qE "^$2( |$)" tests/fault/*.list || complain "$2 is in no list"
        grep -qE "^$2( |$)" tests/fault/test.list tests/fault/mysql.list || return 1
        ;;
    tests/real/*_test.* | tests/e2e/*_test.*)
        [ -x "$1" ] || complain "$1 is no test that is run"
        grep -qwF -- "$2" "$1" || complain "$1 has no $2"
        ;;
    tests/unit/*_test.c)
        [ "$(grep -cwF -- "$2" "$1" 2>/dev/null)" -ge 2 ] || complain "$1 does not run $2"
        ;;
    *) complain "$1: no folder of tests" ;;
    esac
    return 0
}

number=0
ids=() soaked=()
while read -r id file name rest; do
    number=$((number + 1))
    case $id in '' | '#'*) continue ;; esac
    [[ $id =~ ^[A-Z][0-9][0-9]$ ]] || complain "'$id' is no row of the catalogue"
    [[ -n $name && ( -z $rest || $rest == '#'* ) ]] || complain "ID FILE CASE, and no more"
    if check "$file" "$name"; then ids+=("$id"); else soaked+=("$id"); fi
done <tests/catalogue.txt
mapfile -t ids < <(printf '%s\n' "${ids[@]}" | LC_ALL=C sort -u)
mapfile -t soaked < <(printf '%s\n' "${soaked[@]}" | LC_ALL=C sort -u |
    LC_ALL=C comm -23 - <(printf '%s\n' "${ids[@]}"))
echo "catalogue: ${#ids[@]} rows covered: ${ids[*]}"
echo "catalogue: ${#soaked[@]} by make soak only: ${soaked[*]}"
exit $failed
