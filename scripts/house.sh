#!/bin/bash
# scripts/house.sh: the house numbers. Length of functions (median at most 20 lines, the ten longest are
# listed, those over 100 marked) and of files (over 800 lines fails; headers over 100 are listed).
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(find src connectors -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
[ ${#files[@]} -gt 0 ] || { echo "house: no source yet"; exit 0; }

ctags -x --languages=C --langmap=C:+.h --kinds-C=f --fields=+ne --_xformat='%{end} %{line} %{input} %{name}' "${files[@]}" |
    awk '$1 ~ /^[0-9]+$/ { print $1 - $2 + 1, $3 ":" $2, $4 }' | sort -k1,1nr -k2,2 |
    awk '{ lines[NR] = $1; text[NR] = $0 }
        END {
            if (!NR) { print "house: no functions yet"; exit }
            printf "house: %d functions, median %d lines, p90 %d, longest %d\n", NR,
                lines[int((NR + 1) / 2)], lines[int(NR / 10) + 1], lines[1]
            for (i = 1; i <= 10 && i <= NR; i++) {
                split(text[i], w, " ")
                printf "  %4d  %s %s%s\n", w[1], w[2], w[3], (w[1] > 100 ? "   OVER 100: say why in a comment, or split" : "")
            }
        }'

wc -l "${files[@]}" | awk '$2 != "total" {
        if ($1 > 800) { printf "house: %s has %d lines: over 800\n", $2, $1; bad = 1 }
        else if ($2 ~ /\.h$/ && $2 !~ /connect\/(source|sink)\.h$/ && $1 > 100)
            printf "house: %s has %d lines: a header should have 100\n", $2, $1
    }
    END { exit bad }'
