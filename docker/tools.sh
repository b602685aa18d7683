#!/bin/bash
# What stands beside a backend: loading data, and the demo's outside parties.
#   travel-tools load-data     the gazetteer, once; what is there is skipped
#   travel-tools partners      the booking partner's sandbox, on 8081
#   travel-tools mail          an SMTP server that keeps what it gets, on 2525
#   travel-tools collector     an OTLP/HTTP receiver that does, on 4318
set -euo pipefail

case ${1:-} in
load-data)
    # libpq wants a password file that nobody else can read.
    (umask 077; cp /run/secrets/pgpass /tmp/pgpass)
    export PGPASSFILE=/tmp/pgpass
    exec node scripts/node/load-data.js \
        "host=${TRAVEL_PG_HOST:-primary} dbname=travel user=travel_owner"
    ;;
partners)
    mkdir -p /var/lib/travel/tmp
    exec nginx -p /var/lib/travel -c /etc/travel/sandbox.conf -g 'daemon off;' \
        -e /var/log/travel/sandbox-error.log
    ;;
mail)
    exec node scripts/node/smtp-sink.js --host 0.0.0.0 --port 2525 \
        --out /var/lib/travel/mails.jsonl
    ;;
collector)
    exec node scripts/node/otlp-receiver.js --host 0.0.0.0 --port 4318 \
        --out /var/lib/travel/traces.jsonl
    ;;
*)
    sed -n '2,6s/^# //p' "$0"
    exit 2
    ;;
esac
