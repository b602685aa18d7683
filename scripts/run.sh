#!/bin/bash
# A whole travel backend in one folder (run/, or TRAVEL_RUN).
#   run.sh foreground   start everything, show what to try, ^C ends all
#   run.sh up           the same in the background
#   run.sh down         stop it; data stays
#   run.sh status       what runs; exit 1 if anything does not
#   run.sh reload       new migrations, conf/ and conf/travel, while it runs
#   run.sh reset        stop it and delete the folder, data and all
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"

instance=$here/instance.sh

# The port of the last start holds for the commands that follow it.
adopt_port() {
    [ ! -s "$TRAVEL_RUN/port" ] || PORT=$(cat "$TRAVEL_RUN/port")
    unset PORT_SANDBOX PORT_SMTP PORT_OTLP PORT_METRICS
    . "$here/env.sh"
}

say() { printf '%s\n' "$*"; }

# One line per step; what it said is shown only if it failed.
step() {
    local started=$SECONDS name=$1 log=$LOGS/start.log
    shift
    printf '%-28s' "$name"
    if ! "$@" > "$log" 2>&1; then
        say "failed"
        cat "$log" >&2
        return 1
    fi
    say "ok  $((SECONDS - started))s"
}

ready() { curl -fsS -o /dev/null "http://127.0.0.1:$PORT/ready"; }

wait_ready() {
    local tries=200
    until ready 2>/dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            ready || true
            die "not ready; see $LOGS"
        fi
        sleep 0.1
    done
}

check_ports() {
    local name port pid
    for name in nginx:$PORT sandbox:$PORT_SANDBOX smtp:$PORT_SMTP \
        otlp:$PORT_OTLP workers:$PORT_METRICS
    do
        port=${name#*:}
        if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            "$instance" pid "${name%%:*}" > /dev/null ||
                die "port $port is taken by another program; PORT=n moves us"
        fi
    done
}

mint_demo() {
    (umask 077
     "$TRAVEL_BUILD/travelctl" token mint --key "$KEYS/signing.pem" --ttl 7d \
         --email demo@travel.local > "$TRAVEL_RUN/demo.token")
}

start_all() {
    if [ -s "$TRAVEL_RUN/port" ] && [ "$(cat "$TRAVEL_RUN/port")" != "$PORT" ]
    then
        # The port moves: whatever was told the old one starts anew.
        ( PORT=$(cat "$TRAVEL_RUN/port") "$instance" stop nginx workers otlp \
            smtp sandbox )
    fi
    check_ports
    "$instance" init
    step "PostgreSQL primary" "$instance" start postgres
    step "schema" "$here/migrate.sh" up
    "$here/load-data.sh"
    step "PostgreSQL replica" "$instance" start replica
    step "Redis: queue and cache" "$instance" start queue cache
    step "sandbox, SMTP, OTLP" "$instance" start sandbox smtp otlp
    step "workers" "$instance" start workers
    step "GraphiQL" "$here/graphiql.sh" "$TRAVEL_RUN/graphiql"
    step "nginx" "$instance" start nginx
    step "ready" wait_ready
    mint_demo
}

show() {
    local url=http://127.0.0.1:$PORT
    cat <<END

  API        $url/api/v1/          metrics  $url/metrics
  health     $url/health           ready    $url/ready
  GraphQL    $url/api/graphql      (a browser gets GraphiQL)
  workers    http://127.0.0.1:$PORT_METRICS/metrics
  sandbox    http://127.0.0.1:$PORT_SANDBOX
  mails      $TRAVEL_RUN/mails.jsonl
  traces     $TRAVEL_RUN/traces.jsonl
  logs       $LOGS
  token      $TRAVEL_RUN/demo.token

To paste:

  T="Authorization: Bearer \$(cat $TRAVEL_RUN/demo.token)" J="Content-Type: application/json" U=$url/api/v1
  ID=\$(curl -s -H "\$T" -H "\$J" -H 'Prefer: wait=5' \$U/journeys -d '{"origin":"Berlin","destination":"Paris, FR","theme":"history"}' | tee >(cat >&2) | jq -r .id)
  curl -s -H "\$T" -H "\$J" -H 'Prefer: wait=10' \$U/journeys/\$ID/stories -d '{"theme":"history"}' | jq .
  B=\$(curl -s -H "\$T" -H "\$J" -H 'Prefer: wait=5' \$U/bookings -d '{"partner":"opentable","venue_id":"v-42","booking_date":"$(date -u -d '+7 days' +%Y-%m-%dT19:30:00Z)","party_size":2,"journey_id":"'\$ID'"}' | tee >(cat >&2) | jq -r .id)
  curl -s -H "\$T" \$U/bookings/\$B | jq . ; curl -s -H "\$T" "\$U/journeys?limit=10" | jq . ; curl -s -X DELETE -H "\$T" \$U/bookings/\$B | jq .

END
}

# Ends what foreground started, once, whatever the reason: an impatient second
# ^C does not leave half of it, nor does a terminal that is gone.
finish() {
    trap '' INT TERM HUP PIPE
    trap - EXIT
    { say; say "stopping"; } 2> /dev/null || true
    "$instance" stop all
    exit "${1:-0}"
}

reset() {
    "$instance" stop all
    case $TRAVEL_RUN in
    /|"$HOME"|"$ROOT") die "will not delete $TRAVEL_RUN" ;;
    esac
    [ -d "$TRAVEL_RUN/keys" ] || [ ! -e "$TRAVEL_RUN" ] ||
        die "$TRAVEL_RUN does not look like an instance"
    rm -rf "$SOCKETS" "$PG_BASE" "$TRAVEL_RUN"
}

case ${1:-} in
foreground)
    trap 'finish 1' EXIT
    trap 'finish 0' INT TERM HUP
    start_all
    show
    say "^C ends all."
    while "$instance" status all > "$TRAVEL_RUN/status" 2>&1; do
        sleep 2 & wait $!
    done
    say "a part has ended by itself:"
    cat "$TRAVEL_RUN/status"
    ;;
up)
    start_all
    show
    ;;
down)   adopt_port; "$instance" stop all ;;
status) adopt_port; "$instance" status all ;;
reload) adopt_port
        step "schema" "$here/migrate.sh" up
        step "workers" "$instance" reload workers
        step "nginx" "$instance" reload nginx ;;
reset)  adopt_port; reset ;;
*)      sed -n '2,9s/^# //p' "$0" >&2; exit 2 ;;
esac
