#!/bin/bash
# scripts/hardening.sh [PROGRAM]: what the release's flags promise is in
# the program: position independent, read-only relocations bound at start, a stack that is guarded and not
# executable, checked libc calls, no failpoints. Prints one line a property; exit code 1 when one is missing.
set -euo pipefail
program=${1:-$(dirname "$0")/../build/release/freshet}
[ -x "$program" ] || { echo "hardening: no $program: make build" >&2; exit 1; }
headers=$(readelf -Wl "$program")
dynamic=$(readelf -Wd "$program")
symbols=$(readelf -W --dyn-syms "$program")
rc=0
has() { # NAME TEXT PATTERN
    if grep -Eq "$3" <<<"$2"; then echo "hardening: $1"; else echo "hardening: MISSING $1" >&2; rc=1; fi
}
lacks() { # NAME TEXT PATTERN
    if grep -Eq "$3" <<<"$2"; then echo "hardening: MISSING $1" >&2; rc=1; else echo "hardening: $1"; fi
}
has "position independent executable" "$dynamic" '\(FLAGS_1\).*PIE'
has "read-only relocations" "$headers" 'GNU_RELRO'
has "symbols bound at start" "$dynamic" '\(FLAGS(_1)?\).*(NOW)'
has "stack not executable" "$headers" 'GNU_STACK.* RW +0x'
has "stack canaries" "$symbols" '__stack_chk_fail'
has "checked libc calls" "$symbols" '__(mem|str|s?n?v?f?printf|read)[a-z]*_chk'
lacks "no text relocations" "$dynamic" 'TEXTREL'
lacks "no search path" "$dynamic" 'RPATH|RUNPATH'
lacks "no failpoints" "$(strings -n 8 "$program" 2>/dev/null)" 'FRESHET_FAILPOINT'
exit $rc
