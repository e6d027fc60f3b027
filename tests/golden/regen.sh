#!/bin/sh
# Writes the golden files anew from what the code makes now: tests/golden/regen.sh [BUILD_DIR]
# Read the difference before you commit it: consumers hold these schemas.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/dev}
cmake --build "$build" --target unit.codec.avro_schema
FRESHET_REGEN_GOLDEN=1 "$build/unit.codec.avro_schema"
git -C "$root" --no-pager diff --stat -- tests/golden
