#!/bin/bash
# scripts/golden.sh [--check]: everything generated that is committed.
set -eu
exec "$(dirname "$0")/docs.sh" "$@"
