#!/bin/bash
# One instance's parts, each alone or all together.
#   instance.sh init                     folders, keys, passwords
#   instance.sh start|stop|status|kill PART...
#   instance.sh reload nginx|workers     conf/ and conf/travel anew
#   instance.sh pid PART
# PART: postgres replica queue cache sandbox smtp otlp workers nginx, or all;
# and replica2, a second replica, which is not among all.
# Everything it knows comes from the environment: TRAVEL_RUN, TRAVEL_BUILD,
# PORT (env.sh).  Starting what runs and stopping what does not are no errors.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"

ALL="postgres replica queue cache sandbox smtp otlp workers nginx"
EXTRA="replica2"                       # only by name
STOP_WAIT=${STOP_WAIT:-20}             # seconds until KILL

# --- pid files ---------------------------------------------------------------

pid_file() {
    case $1 in
    postgres) echo "$PG_DATA/postmaster.pid" ;;
    replica)  echo "$PG_REPLICA_DATA/postmaster.pid" ;;
    replica2) echo "$PG_REPLICA2_DATA/postmaster.pid" ;;
    *)        echo "$PIDS/$1.pid" ;;
    esac
}

# What the command line of a part's process must contain: a pid file may have
# outlived its process, and the number may be somebody else's by now.
mark() {
    case $1 in
    postgres)    echo "$PG_DATA" ;;
    replica)     echo "$PG_REPLICA_DATA" ;;
    replica2)    echo "$PG_REPLICA2_DATA" ;;
    queue|cache) echo "redis-server" ;;
    sandbox)     echo "nginx: master" ;;
    nginx)       echo "nginx: master" ;;
    smtp)        echo "smtp-sink.js" ;;
    otlp)        echo "otlp-receiver.js" ;;
    workers)     echo "travel-worker" ;;
    *)           die "no part named $1" ;;
    esac
}

pid_of() {
    local pid words
    { read -r pid < "$(pid_file "$1")"; } 2>/dev/null || return 1
    [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
    { mapfile -d '' -t words < "/proc/$pid/cmdline"; } 2>/dev/null || return 1
    [[ "${words[*]}" == *"$(mark "$1")"* ]] && ! dead "$pid" || return 1
    echo "$pid"
}

# Ended, but nobody has heard of it yet.
dead() {
    local line
    while read -r line; do
        [[ $line != State:*Z* ]] || return 0
    done 2>/dev/null < "/proc/$1/status"
    return 1
}

wait_gone() {
    local pid=$1 tries=$(($2 * 20))
    while [ "$tries" -gt 0 ]; do
        kill -0 "$pid" 2>/dev/null || return 0
        dead "$pid" && return 0
        sleep 0.05
        tries=$((tries - 1))
    done
    return 1
}

# wait_for SECONDS COMMAND...
wait_for() {
    local tries=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# In a session of its own, so that ^C in the terminal reaches only run.sh.
spawn() {
    local name=$1
    shift
    setsid "$@" < /dev/null >> "$LOGS/$name.log" 2>&1 &
    echo $! > "$PIDS/$name.pid"
}

# await NAME PORT: until what was spawned answers there, or is gone.
await() {
    wait_for 40 up_or_gone "$(cat "$PIDS/$1.pid")" "$2" || true
    pid_of "$1" > /dev/null && answers "$2" || {
        tail -20 "$LOGS/$1.log" >&2
        stop "$1"
        die "$1 did not start on port $2, see $LOGS/$1.log"
    }
}

up_or_gone() { ! kill -0 "$1" 2>/dev/null || answers "$2"; }

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# --- init --------------------------------------------------------------------

init() {
    umask 022
    mkdir -p "$TRAVEL_RUN" "$LOGS" "$PIDS" "$TRAVEL_RUN/redis-queue" \
        "$TRAVEL_RUN/redis-cache" "$TRAVEL_RUN/tmp"
    mkdir -p "$KEYS"
    chmod 711 "$KEYS"
    init_sockets
    "$here/keys.sh" "$KEYS"
    publish_key
    echo "$PORT" > "$TRAVEL_RUN/port"
}

# The public half of the signing key: what the edge verifies with.
publish_key() {
    local jwks=$TRAVEL_RUN/jwks.json
    [ "$jwks" -nt "$KEYS/signing.pem" ] && [ -s "$jwks" ] && return
    "$TRAVEL_BUILD/travelctl" token jwks --key "$KEYS/signing.pem" \
        > "$jwks.new" || { echo "instance: no jwks.json" >&2; return 0; }
    mv "$jwks.new" "$jwks"
}

init_sockets() {
    if [ -e "$SOCKETS" ] && [ ! -O "$SOCKETS" ]; then
        die "$SOCKETS belongs to somebody else"
    fi
    mkdir -p "$SOCKETS" "$PG_SOCKET" "$PG_REPLICA_SOCKET" \
        "$PG_REPLICA2_SOCKET" "$PG_BASE"
    if [ -n "$PG_USER" ]; then
        chown "$PG_USER" "$PG_SOCKET" "$PG_REPLICA_SOCKET" \
            "$PG_REPLICA2_SOCKET" "$PG_BASE"
    fi
    ln -sfn "$QUEUE_SOCKET" "$TRAVEL_RUN/queue.sock"
    ln -sfn "$CACHE_SOCKET" "$TRAVEL_RUN/cache.sock"
    ln -sfn "$PG_SOCKET" "$TRAVEL_RUN/pg"
    ln -sfn "$PG_REPLICA_SOCKET" "$TRAVEL_RUN/pg-replica"
    ln -sfn "$PG_REPLICA2_SOCKET" "$TRAVEL_RUN/pg-replica2"
    [ "$PG_BASE" = "$TRAVEL_RUN/postgres" ] ||
        ln -sfn "$PG_BASE" "$TRAVEL_RUN/postgres"
}

# --- PostgreSQL --------------------------------------------------------------

sql() { psql -XAtq -v ON_ERROR_STOP=1 -d "$SUPERUSER_DSN dbname=${2:-travel}" -c "$1"; }

pg_initialise() {
    local pw=$PG_BASE/pw.$$
    install -m 600 ${PG_USER:+-o "$PG_USER"} "$KEYS/pg-super.password" "$pw"
    as_pg "$PG_BIN/initdb" -D "$PG_DATA" -U postgres --pwfile="$pw" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --wal-segsize=4 ${TRAVEL_FSYNC:+--no-sync} > "$LOGS/initdb.log" 2>&1 ||
        { cat "$LOGS/initdb.log" >&2; die "initdb failed"; }
    rm -f "$pw"
    "$here/render.sh" "$ROOT/conf/postgresql.conf" "$TRAVEL_RUN/postgresql.conf"
    as_pg sh -c 'cat >> "$1/postgresql.conf"; echo "local replication all scram-sha-256" >> "$1/pg_hba.conf"' \
        sh "$PG_DATA" < "$TRAVEL_RUN/postgresql.conf"
}

pg_launch() {
    local name=$1 data=$2 socket=$3
    # After a kill -9 the old backends hold the shared memory a little longer.
    local tries=20
    until as_pg setsid "$PG_BIN/pg_ctl" start -s -w -t 60 -D "$data" \
        -l "$PG_BASE/$name.log" -o "-k $socket -c cluster_name=$name" \
        < /dev/null > /dev/null 2> "$LOGS/pg_ctl.log"
    do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            tail -20 "$PG_BASE/$name.log" >&2
            die "$name did not start"
        fi
        sleep 0.2
    done
    ln -sfn "$PG_BASE/$name.log" "$LOGS/$name.log"
}

start_postgres() {
    [ -s "$PG_DATA/PG_VERSION" ] || pg_initialise
    pg_launch postgres "$PG_DATA" "$PG_SOCKET"
    [ -e "$PG_BASE/.roles" ] || pg_roles
}

pg_roles() {
    KEYS=$KEYS psql -XAtq -d "$SUPERUSER_DSN dbname=postgres" \
        -f "$here/roles.sql"
    as_pg touch "$PG_BASE/.roles"
}

start_replica()  { replica_start replica "$PG_REPLICA_DATA" "$PG_REPLICA_SOCKET"; }
start_replica2() { replica_start replica2 "$PG_REPLICA2_DATA" "$PG_REPLICA2_SOCKET"; }

replica_start() {
    if [ ! -e "$2/standby.signal" ]; then
        replica_clone "$1" "$2"
    fi
    pg_launch "$1" "$2" "$3"
}

replica_clone() {
    as_pg rm -rf "$2"
    sql "SELECT pg_drop_replication_slot('$1')
           FROM pg_replication_slots WHERE slot_name = '$1'" postgres \
        > /dev/null
    as_pg env PGPASSWORD="$(cat "$KEYS/pg-replica.password")" \
        "$PG_BIN/pg_basebackup" -D "$2" -R -C -S "$1" \
        -X stream --checkpoint=fast ${TRAVEL_FSYNC:+--no-sync} \
        -d "host=$PG_SOCKET user=travel_replica" ||
        die "pg_basebackup failed"
}

# --- Redis -------------------------------------------------------------------

start_redis() {
    local dir=$TRAVEL_RUN/redis-$1
    "$here/render.sh" "$ROOT/conf/redis-acl.conf" "$dir/users.tmp" "$1"
    # Redis' ACL files know no comments.
    grep '^user ' "$dir/users.tmp" > "$dir/users.acl"
    rm -f "$dir/users.tmp"
    "$here/render.sh" "$ROOT/conf/redis.conf" "$dir/redis.conf" "$1"
    (cd / && setsid redis-server "$dir/redis.conf" < /dev/null > /dev/null)
    wait_for 60 redis_ready "$1" || die "$1: see $LOGS/redis-$1.log"
}

redis_ready() {
    [ "$(REDISCLI_AUTH=$(cat "$KEYS/redis-admin.password") redis-cli \
        --user admin -s "$SOCKETS/$1.sock" ping 2>/dev/null)" = PONG ]
}

start_queue() { start_redis queue; }
start_cache() { start_redis cache; }

# --- the outside parties -----------------------------------------------------

start_sandbox() {
    "$here/render.sh" "$ROOT/conf/sandbox.conf" "$TRAVEL_RUN/sandbox.conf"
    setsid nginx -p "$TRAVEL_RUN" -c "$TRAVEL_RUN/sandbox.conf" \
        -e "$LOGS/sandbox-error.log" < /dev/null
    wait_for 40 answers "$PORT_SANDBOX" || die "sandbox: port $PORT_SANDBOX"
}

start_smtp() {
    spawn smtp node "$here/node/smtp-sink.js" --port "$PORT_SMTP" \
        --out "$TRAVEL_RUN/mails.jsonl" --fail-file "$TRAVEL_RUN/smtp.fail"
    await smtp "$PORT_SMTP"
}

start_otlp() {
    spawn otlp node "$here/node/otlp-receiver.js" --port "$PORT_OTLP" \
        --out "$TRAVEL_RUN/traces.jsonl" --fail-file "$TRAVEL_RUN/otlp.fail"
    await otlp "$PORT_OTLP"
}

# --- ours --------------------------------------------------------------------

# Stock binaries with a sanitized module need the runtime first of all; a test
# may put a clock of its own under a plain one.
preload() {
    [ -n "${TRAVEL_SAN:-}" ] || { echo "${TRAVEL_PRELOAD:-}"; return 0; }
    gcc -print-file-name=libasan.so
}

render_workers() {
    "$here/render.sh" "${TRAVEL_WORKERS_CONF:-$ROOT/conf/workers.conf}" \
        "$TRAVEL_RUN/workers.conf"
}

render_nginx() {
    "$here/render.sh" "${TRAVEL_NGX_CONF:-$ROOT/conf/nginx.conf}" \
        "$TRAVEL_RUN/nginx.conf"
}

start_workers() {
    render_workers
    spawn workers "$TRAVEL_BUILD/travel-worker" -c "$TRAVEL_RUN/workers.conf"
    await workers "$PORT_METRICS"
}

# In the foreground as far as nginx knows, so its own pid file is the truth and
# what it says at start is ours to show.
start_nginx() {
    render_nginx
    rm -f "$PIDS/nginx.pid"
    # nginx is not ours to judge on leaks, and lives on what it never frees.  By
    # its path: an upgrade (USR2) executes what it was called by.
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 LD_PRELOAD=$(preload) \
        setsid "$(command -v nginx)" -p "$TRAVEL_RUN" \
        -c "$TRAVEL_RUN/nginx.conf" -e "$LOGS/error.log" \
        < /dev/null > "$LOGS/nginx.out" 2>&1 &
    wait_for 40 nginx_up_or_gone $! || true
    pid_of nginx > /dev/null && answers "$PORT" || {
        cat "$LOGS/nginx.out" >&2
        die "nginx did not start on port $PORT, see $LOGS/error.log"
    }
}

# It listens before it has a pid file and its title.
nginx_up_or_gone() {
    ! kill -0 "$1" 2>/dev/null || { pid_of nginx && answers "$PORT"; }
}

# --- commands ----------------------------------------------------------------

start() {
    pid_of "$1" > /dev/null || "start_$1"
}

# TERM for most; PostgreSQL: INT is its fast shutdown; nginx: QUIT would wait
# for WebSockets without end, TERM does not.
stop() {
    local pid signal=TERM seconds=$STOP_WAIT
    pid=$(pid_of "$1") || return 0
    case $1 in
    postgres|replica*) signal=INT ;;
    workers)          seconds=$((STOP_WAIT + 30)) ;;    # they drain
    esac
    kill -s "$signal" "$pid"
    wait_gone "$pid" "$seconds" || {
        echo "instance: $1 did not stop in ${seconds}s, killed" >&2
        kill -s KILL "$pid" 2>/dev/null || true
        wait_gone "$pid" 5 || true
    }
    case $1 in postgres|replica*) ;; *) rm -f "$(pid_file "$1")" ;; esac
}

# What is wrong is said, and what runs goes on with what it has.
reload() {
    local pid
    pid=$(pid_of "$1") || die "$1 does not run"
    "render_$1"
    case $1 in
    nginx)
        ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 LD_PRELOAD=$(preload) \
            nginx -t -q -p "$TRAVEL_RUN" -c "$TRAVEL_RUN/nginx.conf" \
            -e stderr ;;
    workers)
        "$TRAVEL_BUILD/travel-worker" -t -c "$TRAVEL_RUN/workers.conf" ;;
    esac
    kill -s HUP "$pid"
}

kill_part() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -s KILL "$pid"
    wait_gone "$pid" 10
}

status() {
    local pid
    if pid=$(pid_of "$1"); then
        printf '%-10s running  %s\n' "$1" "$pid"
    else
        printf '%-10s stopped\n' "$1"
        return 1
    fi
}

command=${1:-}
shift || true
case $command in
init) init; exit ;;
pid)  pid_of "$1"; exit ;;
reload)
    for part in "$@"; do
        case $part in nginx|workers) ;; *) die "no reload of $part" ;; esac
        reload "$part"
    done
    exit ;;
start|stop|status|kill) ;;
*) sed -n '2,9s/^# //p' "$0" >&2; exit 2 ;;
esac

if [ "${*:-all}" = all ]; then
    set -- $ALL
    [ "$command" != stop ] || set -- $ALL $EXTRA
fi
if [ "$command" = stop ] && [ $# -gt 1 ]; then        # last started first
    reversed=
    for part in "$@"; do reversed="$part $reversed"; done
    set -- $reversed
fi

rc=0
for part in "$@"; do
    case " $ALL $EXTRA " in *" $part "*) ;; *) die "no part named $part" ;; esac
    # Only status may fail and go on; `||` would switch off set -e inside.
    case $command in
    start)  start "$part" ;;
    stop)   stop "$part" ;;
    kill)   kill_part "$part" ;;
    status) status "$part" || rc=1 ;;
    esac
done
exit $rc
