#!/bin/bash
# Make the keys and passwords of an instance; what is there stays as it is.
#   keys.sh DIRECTORY
# Only the workers may have signing.pem (who has it mints tokens), sealed.pem
# and pg-owner, pg-super; the edge has no use for them.
set -euo pipefail
umask 077
cd "${1:?usage: keys.sh DIRECTORY}"

for name in pg-super pg-owner pg-worker pg-edge pg-replica \
    redis-admin redis-worker redis-edge
do
    [ -s "$name.password" ] ||
        openssl rand -hex 24 | tr -d '\n' > "$name.password"
done
printf '*:*:*:%s:%s\n' postgres "$(cat pg-super.password)" \
    travel_owner "$(cat pg-owner.password)" \
    travel_worker "$(cat pg-worker.password)" \
    travel_edge "$(cat pg-edge.password)" \
    travel_replica "$(cat pg-replica.password)" > pgpass
[ -s signing.pem ] ||
    openssl ecparam -name prime256v1 -genkey -noout -out signing.pem
[ -s consistency.key ] || openssl rand -hex 32 > consistency.key
[ -s sealed.pem ] || openssl genpkey -algorithm X25519 -out sealed.pem
[ -s sealed.pub ] || openssl pkey -in sealed.pem -pubout -out sealed.pub
