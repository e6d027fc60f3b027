#!/bin/bash
# scripts/golden.sh [--check]: writes everything generated that is committed; needs the dev build only.
# With --check it changes nothing, prints what would change, and fails then.
#
#   docs/options.md, docs/cli.md, packaging/, tests/golden/help   the tables of keys and verbs (docs.sh)
#   docs/types.md                                                  the tables of PostgreSQL's and MySQL's types
#   docs/benchmarks.md                                             the figures of bench/results.json (bench/page.py)
#   tests/golden/schemas                                           the Avro schemas of each envelope
#   schemas/envelope.avsc                                          one of those, to be read by people
#
# tests/golden/checkpoints is not among them: those are what released versions wrote, and stay.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/dev}
check=
[ "${1:-}" != --check ] || check=--check
for program in freshet gen_types unit.codec.avro_schema; do
    [ -x "$build/$program" ] || {
        echo "golden: no $build/$program: cmake --preset dev && cmake --build build/dev" >&2
        exit 1
    }
done
rc=0
scripts/docs.sh ${check:+--check} "$build/freshet" || rc=1

if [ -n "$check" ]; then
    "$build/unit.codec.avro_schema" >/dev/null 2>"$build/golden.log" || { cat "$build/golden.log"; rc=1; }
else
    FRESHET_REGEN_GOLDEN=1 "$build/unit.codec.avro_schema" >/dev/null 2>&1
fi

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/docs" "$new/schemas"
"$build/gen_types" >"$new/docs/types.md"
python3 -m json.tool --indent 2 tests/golden/schemas/standard_identity_default.avsc >"$new/schemas/envelope.avsc"
python3 bench/page.py bench/results.json "$new/docs/benchmarks.md"
for file in docs/types.md docs/benchmarks.md schemas/envelope.avsc; do
    if [ -n "$check" ]; then
        diff -Nu "$file" "$new/$file" || rc=1
    else
        cmp -s "$new/$file" "$file" || cp "$new/$file" "$file"
    fi
done
[ $rc = 0 ] || echo "make docs, read the difference, commit it" >&2
exit $rc
