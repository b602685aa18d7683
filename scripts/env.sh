# Sourced by every script that deals with an instance: where it lives, its
# ports, its users.  An instance is one folder, TRAVEL_RUN (default run/); two
# instances share nothing, so tests use the same scripts as `make run`.
#
# Sockets live in a short path of their own (a unix socket's path ends at 107
# bytes) and are linked from the instance's folder.  PostgreSQL refuses to run
# as root: then it runs as `postgres`, and where that user cannot reach the
# folder (a checkout below /root) its data lives in /var/tmp, linked as well;
# TRAVEL_PG_BASE puts it elsewhere.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TRAVEL_RUN=${TRAVEL_RUN:-$ROOT/run}
TRAVEL_BUILD=${TRAVEL_BUILD:-$ROOT/build}
PORT=${PORT:-8080}

# nginx lives where a plain user's PATH does not look.
case :$PATH: in
*:/usr/sbin:*) ;;
*) export PATH=$PATH:/usr/sbin:/sbin ;;
esac

die() { echo "${0##*/}: $*" >&2; exit 1; }

# Four more ports follow it.
case $PORT in
*[!0-9]*|0*|??????*) die "PORT=$PORT is no port" ;;
esac
[ "$PORT" -le 65531 ] || die "PORT=$PORT is too high: it takes five ports"

PORT_SANDBOX=${PORT_SANDBOX:-$((PORT + 1))}
PORT_SMTP=${PORT_SMTP:-$((PORT + 2))}
PORT_OTLP=${PORT_OTLP:-$((PORT + 3))}
PORT_METRICS=${PORT_METRICS:-$((PORT + 4))}

# newest_postgres: the folder of its programs.  A machine without a server may
# still render configuration.
newest_postgres() {
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1
}

# reachable USER FOLDER: can that user get there?  (The folder may be missing.)
reachable() {
    local dir=$2
    while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
    setpriv --reuid="$1" --regid="$1" --clear-groups test -x "$dir" 2>/dev/null
}

find_out() {
    TRAVEL_RUN=$(realpath -m "$TRAVEL_RUN")
    TRAVEL_BUILD=$(realpath -m "$TRAVEL_BUILD")
    TAG=$(printf %s "$TRAVEL_RUN" | sha256sum | cut -c1-10)
    PG_BIN=$(newest_postgres) || true
    PG_USER= NGX_USER= PG_HOME=$TRAVEL_RUN/postgres
    [ "$EUID" = 0 ] || return 0
    PG_USER=postgres NGX_USER=root
    if reachable www-data "$ROOT" && reachable www-data "$TRAVEL_RUN"; then
        NGX_USER=www-data
    fi
    reachable postgres "$TRAVEL_RUN" || PG_HOME=/var/tmp/travel-$TAG
}

# What a script of this instance has found out, those that it calls are told:
# it takes a dozen processes.
if [ "${TRAVEL_FOUND:-}" != "$EUID $ROOT $TRAVEL_RUN $TRAVEL_BUILD" ]; then
    find_out
    TRAVEL_FOUND="$EUID $ROOT $TRAVEL_RUN $TRAVEL_BUILD"
    export TRAVEL_FOUND TAG PG_BIN PG_USER NGX_USER PG_HOME
fi

KEYS=${TRAVEL_KEYS:-$TRAVEL_RUN/keys}
LOGS=$TRAVEL_RUN/logs
PIDS=$TRAVEL_RUN/pids
SOCKETS=/tmp/travel-$TAG
PG_SOCKET=$SOCKETS/p
PG_REPLICA_SOCKET=$SOCKETS/r
PG_REPLICA2_SOCKET=$SOCKETS/r2
QUEUE_SOCKET=$SOCKETS/queue.sock
CACHE_SOCKET=$SOCKETS/cache.sock
PG_BASE=${TRAVEL_PG_BASE:-$PG_HOME}
PG_DATA=$PG_BASE/primary
PG_REPLICA_DATA=$PG_BASE/replica
PG_REPLICA2_DATA=$PG_BASE/replica2

SUPERUSER_DSN="host=$PG_SOCKET dbname=travel user=postgres"
OWNER_DSN="host=$PG_SOCKET dbname=travel user=travel_owner"
export PGPASSFILE=$KEYS/pgpass
export TRAVEL_RUN TRAVEL_BUILD PORT

# as_pg COMMAND...: run as the user that owns the databases.
as_pg() {
    if [ -n "$PG_USER" ]; then
        (cd / && exec setpriv --reuid="$PG_USER" --regid="$PG_USER" \
            --init-groups env -u PGPASSFILE HOME=/var/lib/postgresql "$@")
    else
        "$@"
    fi
}
