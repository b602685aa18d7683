#!/bin/bash
# One of the two Redis servers, by the configuration of conf/redis.conf: what is
# other in a container is said behind it.  Its users are made at each start from
# the passwords in /run/secrets.
#   travel-redis queue|cache [OPTION...]   options of redis-server
#   travel-redis healthy
set -euo pipefail
share=/usr/local/share/ngx_travel
export TRAVEL_VALUES=$share/docker/values TRAVEL_KEYS=/run/secrets
export TRAVEL_RUN=/var/lib/travel

if [ "$1" = healthy ]; then
    export REDISCLI_AUTH=$(cat /run/secrets/redis-admin.password)
    [ "$(redis-cli --user admin --no-auth-warning ping)" = PONG ]
    exit
fi

role=$1 dir=/var/lib/travel/redis-$1
shift
"$share/scripts/render.sh" "$share/conf/redis-acl.conf" /tmp/users "$role"
# Redis' ACL files know no comments.
grep '^user ' /tmp/users > "$dir/users.acl"
"$share/scripts/render.sh" "$share/conf/redis.conf" /tmp/redis.conf "$role"
exec redis-server /tmp/redis.conf --port 6379 --bind '*' \
    --unixsocket '' --daemonize no --logfile '' "$@"
