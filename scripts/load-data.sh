#!/bin/bash
# Load the gazetteer into an instance's database; what is there is skipped.
set -euo pipefail
. "$(dirname "$0")/env.sh"

exec node "$ROOT/scripts/node/load-data.js" "$OWNER_DSN"
