#!/bin/bash
# Fill in a configuration template: every @NAME@ becomes that instance's value.
#   render.sh TEMPLATE OUTPUT [ROLE]
# With a ROLE, lines that begin with "@role " count for that role alone; a line
# that ends in a backslash goes on in the next.  A token without a value stops.
# A file TRAVEL_VALUES of lines NAME=value goes before what the instance has:
# docker/values renders the same templates for containers.
set -euo pipefail
. "$(dirname "$0")/env.sh"

template=$1 output=$2 role=${3:-}
secret() { [ ! -r "$KEYS/$1.password" ] || echo "$(< "$KEYS/$1.password")"; }
# Few templates ask for one, and it takes four processes.
hash_of() {
    grep -q '_HASH@' "$template" || return 0
    secret "$1" | tr -d '\n' | sha256sum | cut -d' ' -f1
}

declare -A value=(
    [RUN]=$TRAVEL_RUN [ROOT]=$ROOT [BUILD]=$TRAVEL_BUILD [PORT]=$PORT
    [PORT_SANDBOX]=$PORT_SANDBOX [PORT_SMTP]=$PORT_SMTP
    [PORT_OTLP]=$PORT_OTLP [PORT_METRICS]=$PORT_METRICS
    [PG_SOCKET]=$PG_SOCKET [PG_REPLICA_SOCKET]=$PG_REPLICA_SOCKET
    [PG_REPLICA2_SOCKET]=$PG_REPLICA2_SOCKET
    [QUEUE_SOCKET]=$QUEUE_SOCKET [CACHE_SOCKET]=$CACHE_SOCKET
    [QUEUE]=unix:$QUEUE_SOCKET [CACHE]=unix:$CACHE_SOCKET
    [LISTEN]=127.0.0.1 [HOST_SANDBOX]=127.0.0.1
    [HOST_SMTP]=127.0.0.1 [HOST_OTLP]=127.0.0.1 [HOST_METRICS]=127.0.0.1
    [SHARED_BUFFERS]=${TRAVEL_SHARED_BUFFERS:-128MB}
    [FSYNC]=${TRAVEL_FSYNC:-on}
    [SOCKETS]=$SOCKETS [KEYS]=$KEYS [LOGS]=$LOGS [PIDS]=$PIDS
    [WORKERS]=${TRAVEL_NGX_WORKERS:-auto}
    [PROCESSES]=${TRAVEL_PROCESSES:-2} [SLOTS]=${TRAVEL_SLOTS:-16}
    [LIMITS]=${TRAVEL_LIMITS:-limits.conf}
    [X_SANDBOX]=${TRAVEL_X_SANDBOX:-}
    [USER]=${NGX_USER:+user $NGX_USER;} [RESOLVER]=
    [PG_EDGE_PASSWORD]=$(secret pg-edge)
    [PG_WORKER_PASSWORD]=$(secret pg-worker)
    [REDIS_EDGE_PASSWORD]=$(secret redis-edge)
    [REDIS_WORKER_PASSWORD]=$(secret redis-worker)
    [REDIS_EDGE_HASH]=$(hash_of redis-edge)
    [REDIS_WORKER_HASH]=$(hash_of redis-worker)
    [REDIS_ADMIN_HASH]=$(hash_of redis-admin)
    [ROLE]=$role
)

if [ -n "${TRAVEL_VALUES:-}" ]; then
    while IFS='=' read -r name v; do
        case $name in ''|'#'*) continue ;; esac
        value[$name]=$v
    done < "$TRAVEL_VALUES"
fi

program=
for name in "${!value[@]}"; do
    v=${value[$name]//\\/\\\\}; v=${v//|/\\|}; v=${v//&/\\&}
    program+="s|@$name@|$v|g;"
done

umask 077
new=$output.$$
by_role=()
[ -z "$role" ] || by_role=(-e "s/^@$role //" -e '/^@[a-z]\+ /d')
sed -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*//;ba' -e '}' "$template" |
    sed ${by_role[@]+"${by_role[@]}"} -e "$program" > "$new"

if left=$(grep -v '^[[:space:]]*#' "$new" | grep -on '@[A-Z_]\{2,\}@'); then
    rm -f "$new"
    die "$template: no value for $(echo $left)"
fi
mv "$new" "$output"
