#!/bin/bash
# Bring the database to the schema of this image, by a login that only this
# needs.  Files that are applied are skipped, so it may run before every start.
#   migrate [up|down|status ...]
set -euo pipefail

# libpq wants a password file that nobody else can read, a secret may be one that
# everybody in the container can.
umask 077
cp "${TRAVEL_KEYS:-/run/secrets}/pgpass" /tmp/pgpass
export PGPASSFILE=/tmp/pgpass

base="host=${TRAVEL_PG_HOST:-primary} dbname=travel"
exec travelctl migrate "${@:-up}" \
    --dir /usr/local/share/ngx_travel/conf/travel/schema \
    --dsn "$base user=travel_owner" --superuser-dsn "$base user=postgres"
