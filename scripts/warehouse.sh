#!/bin/bash
# The warehouse: a database and a login of its own, brought to the schema of
# conf/travel/analytics.  May be run again.
set -euo pipefail
. "$(dirname "$0")/env.sh"

base="host=$PG_SOCKET user=postgres"
psql=(psql -XAtq -v ON_ERROR_STOP=1 -d)

if [ ! -s "$KEYS/pg-analytics.password" ]; then
    (umask 077; openssl rand -hex 24 > "$KEYS/pg-analytics.password")
fi

"${psql[@]}" "$base dbname=travel" -v pw="$(cat "$KEYS/pg-analytics.password")" \
    <<'END'
SELECT 'CREATE ROLE travel_analytics LOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'travel_analytics')
\gexec
ALTER ROLE travel_analytics PASSWORD :'pw';
ALTER ROLE travel_analytics SET TimeZone = 'UTC';
SELECT 'CREATE DATABASE travel_analytics OWNER travel_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'travel_analytics')
\gexec
END
"${psql[@]}" "$base dbname=travel_analytics" \
    -c 'GRANT CREATE ON SCHEMA public TO travel_owner'

exec "$TRAVEL_BUILD/travelctl" migrate "${@:-up}" \
    --dir "$ROOT/conf/travel/analytics" \
    --dsn "host=$PG_SOCKET dbname=travel_analytics user=travel_owner"
