#!/bin/bash
# scripts/docs.sh [--check] [PROGRAM]: writes what is generated from the tables of keys and verbs:
# docs/options.md, docs/cli.md, packaging/man, packaging/completions, packaging/freshet.schema.json and
# tests/golden/help. With --check it only prints what would change, and fails then.
# PROGRAM: build/dev/freshet if not given.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
program=${1:-build/dev/freshet}
[ -x "$program" ] || { echo "no $program: build it first" >&2; exit 1; }
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new"/{docs,packaging/man,packaging/completions,tests/golden/help}

"$program" docs options > "$new/docs/options.md"
"$program" docs cli > "$new/docs/cli.md"
"$program" config schema > "$new/packaging/freshet.schema.json"
"$program" docs yaml > "$new/packaging/man/freshet.yaml.5.scd"
"$program" docs man > "$new/packaging/man/freshet.1.scd"
"$program" --help > "$new/tests/golden/help/freshet.txt"
for verb in $("$program" docs verbs); do
    "$program" docs man --man "$verb" > "$new/packaging/man/freshet-$verb.1.scd"
    "$program" help "$verb" > "$new/tests/golden/help/$verb.txt"
done
"$program" completion bash > "$new/packaging/completions/freshet.bash"
"$program" completion zsh > "$new/packaging/completions/_freshet"
"$program" completion fish > "$new/packaging/completions/freshet.fish"

rc=0
while IFS= read -r file; do
    if [ -n "$check" ]; then
        diff -u "$file" "$new/$file" || rc=1
    else
        mkdir -p "$(dirname "$file")"
        cmp -s "$new/$file" "$file" || cp "$new/$file" "$file"
    fi
done < <(cd "$new" && find . -type f | sed 's|^\./||' | sort)
[ $rc = 0 ] || echo "run scripts/docs.sh and commit what it writes" >&2
exit $rc
