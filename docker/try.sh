#!/bin/bash
# Build the images, start compose.yaml with keys of its own and see that it does
# what it should: health, a booking and its mail, what is not writable, a
# reload, a stop in time.  Then everything is taken away.
#   try.sh
# DOCKER (docker) and COMPOSE ("$DOCKER compose") are the commands; BUILD=no
# takes the images as they are; PORT (18080).  With DOCKER=podman, Debian's
# docker-compose talks to Podman's service, and what systemd would do for the
# health checks is done here where there is none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DOCKER=${DOCKER:-docker} PORT=${PORT:-18080}
# Podman's own format has no health checks.
export BUILDAH_FORMAT=docker
case $DOCKER in
*podman) podman=yes COMPOSE=${COMPOSE:-docker-compose}
    TRAVEL_IMAGE=${TRAVEL_IMAGE:-localhost/ngx-travel} ;;
*) podman= ;;
esac
export TRAVEL_IMAGE=${TRAVEL_IMAGE:-ngx-travel} TRAVEL_TAG=${TRAVEL_TAG:-latest}
work=$(mktemp -d)
url=http://127.0.0.1:$PORT
helpers=()

# compose.yaml with the keys of this trial in place of docker/secrets, and without
# its limit of open files where that is above what there may be here.  -p names
# it: docker-compose of Debian 12 knows no name in the file.
unfit='^name: '
files=$(ulimit -Hn)
[ "$files" = unlimited ] || [ "$files" -ge 65536 ] || unfit+='|^ *ulimits: '
sed -E -e "/$unfit/d" -e "s|\./secrets|$work/secrets|" \
    -e "s|context: \.\.|context: $here/..|" "$here/compose.yaml" \
    > "$work/compose.yaml"
# shellcheck disable=SC2206
compose=(${COMPOSE:-$DOCKER compose} -p travel-try -f "$work/compose.yaml"
    ${COMPOSE_MORE:-})

die() { echo "try: $*" >&2; exit 1; }
ok() { printf '%-40s ok  %ss\n' "$1" "$SECONDS"; }

finish() {
    trap - EXIT
    [ "$1" = 0 ] || "${compose[@]}" logs --tail 40 >&2 || true
    "${compose[@]}" down -v > "$work/down.log" 2>&1 || cat "$work/down.log" >&2
    [ ${#helpers[@]} = 0 ] || kill "${helpers[@]}" 2> /dev/null || true
    rm -rf "$work"
    exit "$1"
}
trap 'finish $?' EXIT

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt "$end" ] || die "waited for $what"
        sleep 1
    done
    ok "$what"
}

# What docker-compose asks, and who looks after the containers' health.
podman_service() {
    export DOCKER_HOST=unix://$work/podman.sock
    $DOCKER system service --time=0 "$DOCKER_HOST" > "$work/service.log" 2>&1 &
    helpers+=($!)
    wait_for 20 "podman's service" test -S "$work/podman.sock"
    [ ! -S /run/systemd/private ] || return 0
    while sleep 2; do
        for id in $($DOCKER ps -q --filter "name=travel-try"); do
            $DOCKER healthcheck run "$id" || true
        done
    done > /dev/null 2>&1 &
    helpers+=($!)
}

inside() { local name=$1; shift; "${compose[@]}" exec -T "$name" "$@"; }

# What npm trusts here, it trusts in the image that fetches.
build=()
[ ! -s "${NODE_EXTRA_CA_CERTS:-}" ] ||
    build=(--secret "id=ca,src=$NODE_EXTRA_CA_CERTS")
if [ "${BUILD:-}" != no ]; then
    for target in edge workers redis postgres tools; do
        $DOCKER build -f "$here/Dockerfile" --target "$target" \
            -t "$TRAVEL_IMAGE/$target:$TRAVEL_TAG" \
            ${build[@]+"${build[@]}"} "$here/.."
    done
    ok "images"
fi
"$here/secrets.sh" "$work/secrets"
ok "secrets"
[ -z "$podman" ] || podman_service
"${compose[@]}" up -d
wait_for 300 "ready" curl -fsS "$url/ready"
curl -fsS "$url/health" > /dev/null
ok "health"
[ "$(curl -so /dev/null -w '%{http_code}' "$url/metrics")" = 403 ] ||
    die "/metrics is open"
inside edge healthy 8080 /metrics || die "/metrics is closed from within"
ok "metrics from within alone"
wait_for 300 "the gazetteer" sh -c \
    "curl -fsS '$url/api/v1/places?q=Kyoto&limit=1' | grep -q Kyoto"

token=$($DOCKER run --rm -i --network none "$TRAVEL_IMAGE/workers:$TRAVEL_TAG" \
    travelctl token mint --key /dev/stdin --email demo@travel.local \
    < "$work/secrets/signing.pem")
ask() {
    curl -fsS -H "Authorization: Bearer $token" -H 'Prefer: wait=10' \
        -H 'Content-Type: application/json' "$@"
}
ask "$url/api/v1/bookings" -d '{"partner": "opentable", "venue_id": "v-1",
    "booking_date": "2030-01-01T19:00:00Z", "party_size": 2}' \
    > "$work/booking"
number=$(sed -n 's/.*"confirmation_number":"\([^"]*\)".*/\1/p' "$work/booking")
[ -n "$number" ] || die "no booking: $(cat "$work/booking")"
ok "a booking"
wait_for 30 "its mail" inside mail grep -q "$number" /var/lib/travel/mails.jsonl
wait_for 30 "its spans" inside collector grep -q travel- \
    /var/lib/travel/traces.jsonl

for name in edge workers queue primary mail; do
    inside "$name" sh -c '[ "$(id -u)" != 0 ] && ! touch /x 2>/dev/null' ||
        die "$name may write, or is root"
done
ok "nobody is root or writes where he should not"
inside edge sh -c '! ls /run/secrets | grep -q "signing\|worker\|owner"' ||
    die "the edge has secrets of others"
ok "the edge has its own secrets alone"
inside workers travelctl queue stat > /dev/null
ok "travelctl"

"${compose[@]}" kill -s HUP edge > /dev/null
sleep 1
ask "$url/api/v1/bookings" | grep -q "$number" || die "gone after a reload"
ok "a reload"

started=$SECONDS
"${compose[@]}" stop edge workers > /dev/null 2>&1
[ $((SECONDS - started)) -lt 50 ] || die "edge and workers took too long"
for name in edge workers; do
    id=$("${compose[@]}" ps -a -q "$name" 2>/dev/null || "${compose[@]}" ps -q "$name")
    code=$($DOCKER inspect -f '{{.State.ExitCode}}' "$id")
    [ "$code" = 0 ] || die "$name ended with $code"
done
ok "they end by themselves"
"${compose[@]}" stop > /dev/null 2>&1
"${compose[@]}" start > /dev/null
wait_for 120 "all of it again" ask "$url/api/v1/bookings"
ask "$url/api/v1/bookings" | grep -q "$number" || die "the booking is gone"
ok "with what it knew"
