#!/bin/bash
# scripts/links.sh: every file that a page of ours links to exists, and README.md links to every page of docs/.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0 links=0
while IFS= read -r page; do
    while IFS= read -r link; do
        links=$((links + 1))
        [ -e "$(dirname "$page")/$link" ] || { echo "$page: no $link"; bad=1; }
    done < <(grep -oE '\]\([^)# ]+' "$page" | cut -c 3- | grep -Ev '^[a-z]+:' || true)
done < <(find . -name '*.md' -not -path './build/*' -not -path '*/node_modules/*' | sed 's|^\./||' | LC_ALL=C sort)
for page in docs/*.md; do
    grep -q "($page)" README.md || { echo "README.md: no link to $page"; bad=1; }
done
echo "links: $links, $([ $bad = 0 ] && echo all found || echo some are missing)"
exit $bad
