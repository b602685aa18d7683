#!/bin/bash
# A primary, made with its logins when its volume is empty, or a replica, copied
# from the primary when its volume is.
#   travel-postgres primary|replica [OPTION...]   options of postgres
# TRAVEL_PG_HOST is the primary (primary), TRAVEL_PG_SLOT the replica's slot
# there (its hostname's letters and digits).  Secrets: pg-super.password and
# what scripts/roles.sql reads for a primary, pg-replica.password for a replica.
set -euo pipefail
share=/usr/local/share/ngx_travel
secrets=/run/secrets
data=/var/lib/postgresql/data/pg

primary() {
    [ ! -s "$data/PG_VERSION" ] || return 0
    # Made aside, so that what was begun and not ended is begun again.
    rm -rf "$data.new"
    initdb -D "$data.new" -U postgres --pwfile="$secrets/pg-super.password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 > /dev/null
    cat "$share/postgresql.conf" >> "$data.new/postgresql.conf"
    # A container's network is its own; what else may come in is the host's say.
    printf 'host %s all scram-sha-256\n' 'all all' 'replication travel_replica' \
        >> "$data.new/pg_hba.conf"
    pg_ctl start -s -w -D "$data.new" -o '-k /tmp'
    PGPASSWORD=$(cat "$secrets/pg-super.password") KEYS=$secrets \
        psql -XAtq -h /tmp -U postgres -f "$share/roles.sql"
    pg_ctl stop -s -w -m fast -D "$data.new"
    mv "$data.new" "$data"
}

replica() {
    local host=${TRAVEL_PG_HOST:-primary} slot
    slot=${TRAVEL_PG_SLOT:-r_$(hostname | tr -cd 'a-z0-9')}
    [ ! -e "$data/standby.signal" ] || return 0
    export PGPASSWORD=$(cat "$secrets/pg-replica.password")
    until pg_isready -q -h "$host"; do sleep 1; done
    rm -rf "$data" "$data.new"
    psql -XAtq -h "$host" -U travel_replica -d postgres -v slot="$slot" <<'END'
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
 WHERE slot_name = :'slot' AND NOT active
END
    pg_basebackup -D "$data.new" -R -C -S "$slot" -X stream \
        --checkpoint=fast -d "host=$host user=travel_replica"
    mv "$data.new" "$data"
}

role=$1
shift
"$role"
exec postgres -D "$data" -k /tmp -c listen_addresses='*' \
    -c cluster_name="$role" "$@"
