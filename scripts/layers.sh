#!/bin/bash
# scripts/layers.sh: checks tests/layers.txt over every #include of src/ and connectors/.
# Prints FILE:LINE and the forbidden folder for each violation; exit code 1 when there is one.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
mapfile -t files < <(find src connectors -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
[ ${#files[@]} -gt 0 ] || exit 0
printf '%s\n' "${files[@]}" | awk '
    function dir(path) { return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : "" }
    # src/base/x/y.c -> src/base; connectors/list.c -> connectors
    function layer(path, part, n) {
        n = split(dir(path), part, "/")
        return n < 2 ? part[1] : part[1] "/" part[2]
    }
    function normal(path) {
        while (gsub(/(^|\/)\.\//, "/", path) || sub(/[^\/]+\/\.\.\//, "", path));
        sub(/^\//, "", path)
        return path
    }
    # The file of ours that #include "name" in path means; "" for none.
    function target(path, name, base, i, n, found) {
        n = split(dir(path) "/,src/,connectors/,", base, ",")
        for (i = 1; i <= n; i++) {
            found = normal(base[i] name)
            if (found in have) return found
        }
        return ""
    }
    function listed(word, list, item, i, n) {
        n = split(list, item, " ")
        for (i = 1; i <= n; i++) {
            if (item[i] == word) return 1
            if (item[i] ~ /\/\*$/ && index(word, substr(item[i], 1, length(item[i]) - 1)) == 1) return 1
        }
        return 0
    }
    function rule(own) {
        if (own in may) return may[own]
        sub(/\/.*/, "/*", own)
        return may[own]
    }
    function complain(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; bad++ }
    FILENAME == "-" { have[$0] = 1; ARGV[ARGC++] = $0; total++; next }
    FILENAME == "tests/layers.txt" {
        sub(/#.*/, "")
        at = index($0, ":")
        if (!at) next
        left = substr($0, 1, at - 1); right = substr($0, at + 1)
        if (sub(/^lib +/, "", left)) library[left] = right; else may[left] = right
        next
    }
    /^[ \t]*#[ \t]*include[ \t]*["<]/ {
        quoted = $0 ~ /include[ \t]*"/
        name = $0; sub(/^[^"<]*["<]/, "", name); sub(/[">].*/, "", name)
        own = layer(FILENAME)
        if (name in library && !listed(own, library[name]) && !listed(FILENAME, library[name])) complain(own " may not include <" name ">, only" library[name] " may")
        if (!quoted || (found = target(FILENAME, name)) == "") next
        other = layer(found)
        if (own != other && !listed(other, rule(own)) && !listed(found, rule(own)))
            complain(own " may not include " other " (" name ")")
    }
    END { printf "layers: %d files, %d violations\n", total, bad; exit bad > 0 }
' - tests/layers.txt
