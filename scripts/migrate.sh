#!/bin/bash
# Bring an instance's database to the schema of conf/travel/schema.
set -euo pipefail
. "$(dirname "$0")/env.sh"

exec "$TRAVEL_BUILD/travelctl" migrate "${@:-up}" \
    --dir "$ROOT/conf/travel/schema" \
    --dsn "$OWNER_DSN" --superuser-dsn "$SUPERUSER_DSN"
