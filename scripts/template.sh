#!/bin/bash
# A migrated and loaded database for tests, made once and copied often.
#   template.sh restore     put a copy into the instance TRAVEL_RUN
# The template lives in build/, named after everything that it was made from;
# whoever comes first makes it, under a lock.  It never syncs: a power cut may
# cost a test its data.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"

version() {
    cat "$ROOT"/conf/travel/schema/*.sql "$here/node/load-data.js" \
        "$here/node/package-lock.json" "$here/instance.sh" "$here/template.sh" \
        "$here/roles.sql" "$ROOT/conf/postgresql.conf" |
        sha256sum | cut -c1-16
}

store=$ROOT/build
template=$store/pg-template-$(version)-$(id -u)

make_template() (
    unset TRAVEL_PG_BASE
    TRAVEL_RUN=$(mktemp -d /tmp/travel-template-XXXXXX)
    chmod 755 "$TRAVEL_RUN"
    export TRAVEL_RUN TRAVEL_FSYNC=off TRAVEL_SHARED_BUFFERS=64MB
    . "$here/env.sh"
    trap '"$here/instance.sh" kill postgres; rm -rf "$SOCKETS" "$PG_BASE" \
        "$TRAVEL_RUN"' EXIT
    "$here/instance.sh" init
    "$here/instance.sh" start postgres
    "$here/migrate.sh" up
    "$here/load-data.sh"
    # Of a copy nobody has cached anything.
    psql -Xq -d "$SUPERUSER_DSN" -c 'TRUNCATE jobs.outbox' -c 'VACUUM ANALYZE'
    "$here/instance.sh" stop postgres
    # The log of the load is most of the folder, and of no use to a copy.
    as_pg "$PG_BIN/pg_resetwal" -D "$PG_DATA" > /dev/null
    mkdir -p "$template.new/keys"
    cp -a "$KEYS"/pg-*.password "$template.new/keys/"
    cp -a "$PG_BASE" "$template.new/postgres"
    mv "$template.new" "$template"
)

[ "${1:-}" = restore ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }

mkdir -p "$store"
exec 9> "$store/.template.lock"
flock -w 300 9
if [ ! -d "$template" ]; then
    rm -rf "$template.new"
    find "$store" -maxdepth 1 -name 'pg-template-*' -mmin +120 \
        -exec rm -rf {} +
    make_template >&2 9>&-
fi
flock -u 9

mkdir -p "$TRAVEL_RUN" "$PG_BASE"
mkdir -p -m 711 "$KEYS"
cp -a "$template/keys/." "$KEYS/"
cp -a --reflink=auto "$template/postgres/." "$PG_BASE/"
